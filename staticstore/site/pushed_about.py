"""The site's own words at the target of a push: what to write there, and what to leave alone."""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from ..errors import IndexFormatError
from ..index.about import ABOUT_NAME, About
from ..index.head import Document, Role
from .target import Target

__all__ = ["PushedAbout"]

_LOG = logging.getLogger("staticstore.site")


class PushedAbout(NamedTuple):
    """What a push has to do with ``about.json`` and the files that belong to it."""

    #: What to write, by name.
    lacking: Mapping[str, bytes] = MappingProxyType({})
    #: Files of earlier pushes that no longer belong to the site.
    outdated: tuple[str, ...] = ()

    @classmethod
    def compare(
        cls,
        target: Target,
        wanted: Mapping[str, bytes],
        documents: tuple[Document | None, Document | None],
        forgotten: Mapping[str, int],
    ) -> PushedAbout:
        """Ask a target what stands there, unless its head names the same document.

        A file is ours if a document at the target says so that an earlier push
        brought there; any other stays, and that is logged.

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

        Raises
        ------
        TransportError
            It cannot be asked.
        """
        here, there = documents
        if here == there:
            return cls()
        ours = _digests(target, there, forgotten)
        lacking = {}
        for name, body in wanted.items():
            standing = target.read(name)
            if standing is None or _sha256(standing) in ours[name]:
                if standing != body:
                    lacking[name] = body
            elif standing != body:
                _LOG.warning(
                    "%s is not pushed: a file of that name stands there that no push wrote", name
                )
        outdated = [name for name in sorted(ours.keys() - wanted) if _stands(target, name, ours)]
        return cls(lacking, tuple(outdated))


def _digests(
    target: Target, named: Document | None, forgotten: Mapping[str, int]
) -> defaultdict[str, set[str]]:
    """Return the digests that pushes gave to files, by their names."""
    digests = defaultdict[str, set[str]](set)
    for sha256 in _candidates(named, forgotten):
        body = target.read(Document(Role.ABOUT, 0, sha256).href)
        if body is None or _sha256(body) != sha256:
            continue
        digests[ABOUT_NAME].add(sha256)
        try:
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


def _stands(target: Target, name: str, ours: Mapping[str, set[str]]) -> bool:
    standing = target.read(name)
    return standing is not None and _sha256(standing) in ours[name]


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
