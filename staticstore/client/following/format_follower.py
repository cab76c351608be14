"""Follows an index that others publish, by the documents that it consists of."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...errors import unforeseen_as_refusal
from ...formats import reader_of
from ...index.forms.foreign_entries import foreign_entries
from ...index.snapshot import Index
from ...transport.http.wire import Deadline
from ...transport.values.remote_value import Sources
from .direct_follower import DirectFollower
from .document_tree import DocumentTree
from .documents import Documents
from .index_reader import Held

if TYPE_CHECKING:
    from ...formats import Read
    from ...transport.http.session import Session

__all__ = ["FormatFollower"]

_LOG = logging.getLogger("staticstore")


class FormatFollower(DirectFollower):
    """Fetches an index in a format of others, or what has changed in it; a `Follower`.

    Parameters
    ----------
    sessions : sequence of Session
        That of the only root, which names the first document.
    form : str or callable
        The format, as in `StaticStore`.
    **bounds
        As in `DirectFollower`; `max_bytes` is for all documents together.
    """

    def __init__(self, sessions: Sequence[Session], form: str | Read, **bounds: Any) -> None:
        super().__init__(sessions, **bounds)
        # A function may have been another one when an index was cached.
        self._recalls = isinstance(form, str)
        self._tree = DocumentTree(self.session, reader_of(form), self.max_bytes)

    @property
    def problems(self) -> tuple[str, ...]:
        """Which documents could not be had, for people."""
        return self._tree.problems

    def sources(self, held: Held) -> Sources:
        """Return where the values of a snapshot can be read."""
        return Sources((self.session,), (), None)

    def documents(self, held: Held) -> Documents:
        """Return the documents that a head names, of which there are none."""
        return Documents((self.session,), Deadline(self._seconds), self.max_bytes, set())

    def fetch(
        self,
        held: Held | None,
        *,
        seconds: float | None = None,
        anew: bool = False,
        every: bool = False,
    ) -> Held | None:
        """Return the current index; None if it is the one that is held.

        Parameters
        ----------
        held : Held or None
            What is held.
        seconds : float, optional
            A lower time limit than usual.
        anew : bool, optional
            Whether to read all documents even if they have not changed.
        every : bool, optional
            Whether to ask for all documents, also those that are asked for in turn.

        Raises
        ------
        StoreError
            As `DocumentTree.poll`.
        """
        deadline = self._deadline(seconds)
        if held is None or anew:
            self._tree.forget()
        else:
            self._tree.recall(held.validators)
        self._tree.poll(deadline, every=every or held is None or anew)
        if held is None and (unread := self._tree.unread) is not None:
            _LOG.warning("the index may lack entries: %s", unread)
        if held is not None and not anew and self._tree.sha256 in (None, held.sha256):
            return self._confirmed(held)
        merged = self._tree.merged()
        if merged is None:  # the snapshot that had the entries was not taken
            self._tree.forget()
            self._tree.poll(deadline, every=True)
            merged = self._tree.merged()
        sha256 = self._tree.sha256
        assert merged is not None
        assert sha256 is not None
        with unforeseen_as_refusal("the index cannot be read"):
            stored = foreign_entries(
                merged.entries,
                merged.unchecked,
                before=None if held is None else held.index.stored,
                https_only=self.session.root.origin.scheme == "https",
            )
        self.freshness.know_index(sha256, None)
        return self._confirmed(
            Held(Index(stored, merged.warnings), {}, sha256, size=self._tree.size)
        )

    def part(self, held: Held | None) -> Held | None:
        """Return None: such an index has no parts."""
        return None

    def whole(self, held: Held) -> Held:
        """Return the index, read anew."""
        return self.fetch(held, anew=True) or held

    def _confirmed(self, held: Held) -> Held:
        validators = self._tree.validators if self._recalls else {}
        return dataclasses.replace(
            held, validators=validators, documents=len(self._tree), unread=self._tree.unread
        )
