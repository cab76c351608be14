"""The site's own words at the target of a push: what to write there, and what to leave alone."""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from ..errors import IndexFormatError
from ..index.about import ABOUT_NAME, MOST_ABOUT_BYTES, MOST_FILE_BYTES, About
from ..index.head import Document, Role
from .target import Target

__all__ = ["PushedAbout"]

_LOG = logging.getLogger("staticstore.site")
_LARGE = "large"  # stands for the digest of what is larger than any file of ours


class PushedAbout(NamedTuple):
    """What a push has to do with ``about.json`` and the files that belong to it."""

    #: What to write, by name.
    lacking: Mapping[str, bytes] = MappingProxyType({})
    #: Files of earlier pushes that no longer belong to the site.
    outdated: tuple[str, ...] = ()
    #: The names at which a file of somebody else stands, whatever its bytes are.
    foreign: frozenset[str] = frozenset()

    @classmethod
    def compare(
        cls,
        target: Target,
        wanted: Mapping[str, bytes],
        documents: tuple[Document | None, Document | None],
        forgotten: Mapping[str, int],
        foreign: frozenset[str],
    ) -> PushedAbout:
        """Ask a target what stands there, unless its head names the same document.

        A file is ours if a document at the target says so that an earlier push
        brought there, and the note does not say that it stood there before.  Any
        other stays; where it is not as the site has it, that is logged.

        Parameters
        ----------
        target : Target
            Where to.
        wanted : mapping
            What belongs to the site, by name.
        documents : (Document or None, Document or None)
            What the head of the site names, and what that of the target does.
        forgotten : mapping
            The hrefs that the note at the target has, also of a push that broke off.
        foreign : frozenset of str
            The names that the note at the target says are somebody else's.

        Raises
        ------
        TransportError
            It cannot be asked.
        """
        here, there = documents
        if here == there:
            return cls(foreign=foreign)
        ours = _digests(target, there, forgotten)
        lacking, others = {}, set(foreign)
        for name, body in wanted.items():
            standing = _digest_at(target, name)
            is_ours = standing in ours[name] and name not in foreign
            if standing == _sha256(body):
                # The document that is pushed will name these bytes, too, whoever wrote them.
                others.update(() if is_ours else (name,))
            elif standing is None or is_ours:
                lacking[name] = body
                others.discard(name)
            else:
                _LOG.warning(
                    "%s is not pushed: a file of that name stands there that no push wrote", name
                )
        gone = sorted(ours.keys() - wanted - others)
        outdated = [name for name in gone if _digest_at(target, name) in ours[name]]
        return cls(lacking, tuple(outdated), frozenset(others))


def _digests(
    target: Target, named: Document | None, forgotten: Mapping[str, int]
) -> defaultdict[str, set[str]]:
    """Return the digests that pushes gave to files, by their names."""
    digests = defaultdict[str, set[str]](set)
    for sha256 in _candidates(named, forgotten):
        try:
            href = Document(Role.ABOUT, 0, sha256).href
            body = target.read(href, most_bytes=MOST_ABOUT_BYTES)
            if body is None or _sha256(body) != sha256:
                continue
            digests[ABOUT_NAME].add(sha256)
            files = About.parse(body).files
        except IndexFormatError:
            continue
        for name, file in files.items():
            digests[name].add(file.sha256)
    return digests


def _candidates(named: Document | None, forgotten: Mapping[str, int]) -> Iterator[str]:
    if named is not None:
        yield named.sha256
    for href in forgotten:
        folder, _, name = href.partition("/")
        if folder == Role.ABOUT.folder:
            yield name.partition(".")[0]


def _digest_at(target: Target, name: str) -> str | None:
    """Return the digest of what stands there; None if nothing does."""
    try:
        body = target.read(name, most_bytes=MOST_FILE_BYTES)
    except IndexFormatError:
        return _LARGE
    return None if body is None else _sha256(body)


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
