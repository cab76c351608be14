"""Stores that pickle, and what those that are unpickled share in a process."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from ..access import SharedSite
from ..async_connection import default_arguments
from ..live_store import LiveStore

if TYPE_CHECKING:
    from ...transport.http.session import Session
    from ..cache.values import ValueCache
    from ..following.connection import Begun
    from ..following.live import LiveIndex
    from .settings import Settings

__all__ = ["PicklableStore"]


class PicklableStore(LiveStore):
    """A store whose pickle has its location and settings, but no secret.

    The stores of one site that are unpickled in a process share its sessions and its index,
    until they are connected by their own `connect`.
    """

    _settings: Settings
    _cache: ValueCache
    _is_unpickled = False  # whether the first use connects
    _warnings: tuple[str, ...] = ()

    @classmethod
    @abstractmethod
    def _of(cls, settings: Settings) -> Self:
        """Return a store that is not connected."""

    @abstractmethod
    def _connect(
        self,
        arguments: dict[str, Any],
        poll_interval: float | None,
        begun: Begun | None = None,
        sessions: list[Session] | None = None,
    ) -> None:
        """Connect; with sessions, by those, which stay open afterwards."""

    @property
    @abstractmethod
    def _live(self) -> LiveIndex:
        """The index, connected or not."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle where the site is and how it is reached; no snapshot, and no secret."""
        return _unpickled, (type(self), self._settings)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """Return the place of the site, and the digest of the index."""
        held, place = self._live.current, self._settings.place
        return type(self).__name__, place, None if held is None else held.sha256

    def _join(self, begun: Begun | None = None) -> None:
        """Connect by what other unpickled stores of the site have connected."""
        from .indirect import IndirectFollower  # only for pickles

        site = SharedSite.of(self._settings)
        connection = IndirectFollower.connection(site, partial(_connected, type(self)))
        if begun is not None:
            begun(connection)
        self._live.open(connection, is_lazy=dict(site.settings.options)["lazy"])
        self._cache, self._is_unpickled = site.cache, False


def _connected(kind: type[PicklableStore], site: SharedSite) -> tuple[LiveIndex, tuple[str, ...]]:
    # For other stores.  This one is garbage then, so that its index sends no signals.
    store = _unpickled(kind, site.settings)
    arguments = {**default_arguments(), **site.settings.arguments()}
    store._connect(arguments, 0, sessions=site.sessions)
    return store._live, store._warnings


def _unpickled(kind: type[PicklableStore], settings: Settings) -> PicklableStore:
    store = kind._of(settings)
    store._settings, store._is_unpickled = settings, True
    return store
