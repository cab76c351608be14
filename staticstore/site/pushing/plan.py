"""The plan of a push: its uploads and removals, and what it refuses to do."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import IndexFormatError, StoreError, path_text, quoted, reason_of
from ...trust.layout import TIMESTAMP_NAME, root_version, trust_path
from ..documents.feed import FEED_NAME, is_our_feed
from ..documents.page import is_our_page
from ..folder.retention import KEPT_SECONDS, entry_files_of
from ..folder.site_folder import SiteFolder
from ..folder.withheld import may_be_withheld, withheld_key
from ..guards import Guards, first_few, foreign_values, is_ours
from .destination import PushDestination, PushNote
from .source import PushSource, Upload, served_fresh
from .target import FolderTarget, Target

if TYPE_CHECKING:
    from .cloud import Served

__all__ = ["PushPlan", "check_apart", "check_guards", "check_names"]

_LOG = logging.getLogger("staticstore.site")


@dataclass(frozen=True)
class PushPlan:
    """The uploads, removals and notes of one push."""

    #: Uploads; each stage begins when the one before it is complete.
    stages: list[list[Upload]]
    #: Small files that are written after the stages, in this order.
    last: list[tuple[str, bytes, Served]]
    #: Then these are removed, whatever else stays: signatures that the site has no longer.
    removed: list[str]
    #: Files that nothing names any more, and that may be deleted now.
    outdated: list[str]
    #: Those of them that block a new file or its folder, so that they go first.
    obstacles: list[str]
    #: The note before the push, during it, after it, and after `outdated` is deleted.
    before: PushNote
    during: PushNote
    after: PushNote
    cleaned: PushNote
    #: How many values, packs and compressed copies the target has already.
    kept: int

    @classmethod
    def make(cls, site: PushSource, old: PushDestination, now: int, *, active: bool) -> PushPlan:
        """Compare a site with what its target has.

        Parameters
        ----------
        site : PushSource
            The site.
        old : PushDestination
            What the target has.
        now : int
            The time, in seconds since 1970.
        active : bool
            Whether values keep media types that a browser would run.
        """
        lacking = old.lacking(site)
        documents, entry_files = _lacking_documents(site, old), len(entry_files_of(site.index))
        exports = [one for one in site.exports if one.href not in old.foreign_exports]
        stages = [list(site.values(lacking, active=active)), *documents, _lacking(exports, old)]
        left = old.keys_beside(site.index)
        obstacles = _obstacles(left, lacking)
        during = _note_during(site, old, [*lacking, *obstacles], stages, now)
        named = {one.href for one in site.digest_named()}
        forgotten = {href: since for href, since in during.forgotten.items() if href not in named}
        due = {href for href, since in forgotten.items() if since < now - KEPT_SECONDS}
        about, data = old.about, site.folder.data_path
        also = {one.href: one.sha256 for one in exports}
        outdated_exports = sorted(old.note.also.keys() - also)
        signed = _signed(site)
        return cls(
            stages=stages,
            last=_last(site, old),
            removed=_removed(signed, old),
            outdated=[
                *(data + key for key in sorted(left)),
                *about.outdated,
                *outdated_exports,
                *sorted(due),
            ],
            obstacles=[data + key for key in obstacles],
            before=old.note,
            during=during,
            after=PushNote(
                left=left,
                forgotten=forgotten,
                foreign=during.foreign,
                data=data,
                also={**old.note.also, **also},
                signed=signed,
            ),
            cleaned=PushNote(
                forgotten={href: forgotten[href] for href in forgotten.keys() - due},
                foreign=during.foreign,
                data=data,
                also=also,
                signed=signed,
            ),
            kept=len(site.index) - len(lacking) + entry_files - len(documents[0]),
        )


def _obstacles(left: Iterable[str], lacking: Iterable[str]) -> list[str]:
    """Return the old keys that are folders of new keys, or below one."""
    new = set(lacking)
    folders = {folder for key in new for folder in _folders_of(key)}
    return sorted(key for key in left if key in folders or not new.isdisjoint(_folders_of(key)))


def _folders_of(key: str) -> Iterator[str]:
    while key := key.rpartition("/")[0]:
        yield key


def _lacking_documents(site: PushSource, old: PushDestination) -> list[list[Upload]]:
    return [[one for one in stage if not old.has(one)] for stage in site.stages()]


def _signed(site: PushSource) -> dict[str, str]:
    return {one.href: one.sha256 for one in site.signatures()}


def _removed(signed: Mapping[str, str], old: PushDestination) -> list[str]:
    """Return what would lead readers to signatures that the site has no longer."""
    if old.timestamp is None:
        return []
    if not signed:
        return [trust_path(TIMESTAMP_NAME)]
    return [href for href in _other_roots(signed, old) if href not in signed]


def _other_roots(signed: Mapping[str, str], old: PushDestination) -> list[str]:
    """Return the root documents at the target that the site has not."""
    there = {} if old.timestamp is None else old.note.signed
    return [href for href in sorted(there) if _is_root(href) and signed.get(href) != there[href]]


def _is_root(href: str) -> bool:
    return root_version(href.removeprefix(trust_path(""))) is not None


def _lacking(exports: list[Upload], old: PushDestination) -> list[Upload]:
    also = {**old.note.stored, **old.note.also}
    return [one for one in exports if also.get(one.href) != one.sha256]


def _note_during(
    site: PushSource,
    old: PushDestination,
    touched: list[str],
    stages: list[list[Upload]],
    now: int,
) -> PushNote:
    """Return what the next push cannot know if this one is killed."""
    note, index = old.note, old.index
    documents = {one.href for stage in stages[1:-1] for one in stage}
    writing = documents | {one.href for one in stages[0]}
    # An uploaded document counts as forgotten until a head names it.
    going = (old.named() - {one.href for one in site.digest_named()}) | documents
    # Readers of an old timestamp need until now what was forgotten before.
    forgotten = dict.fromkeys(note.forgotten, now) if old.lags else note.forgotten
    return PushNote(
        overwritten=note.overwritten | frozenset(key for key in touched if key in index),
        left=old.keys_beside(site.index) | frozenset(site.index).difference(index),
        forgotten={**forgotten, **dict.fromkeys(going, now)},
        stored={href: sha256 for href, sha256 in note.stored.items() if href not in writing},
        foreign=old.about.foreign,
        data=site.folder.data_path,
        also={**note.also, **dict.fromkeys((one.href for one in stages[-1]), "")},
        # Of a first push, so that the next one knows of a timestamp that is the last to come.
        signed=note.signed or (_signed(site) if old.timestamp is None else {}),
    )


def _last(site: PushSource, old: PushDestination) -> list[tuple[str, bytes, Served]]:
    current = {"index.json": site.body, "index.head.json": site.head_body}
    stamp = trust_path(TIMESTAMP_NAME)
    last = {stamp: site.trust[TIMESTAMP_NAME]} if site.trust else {}
    wanted = {**site.beside, **old.about.lacking, **current, **last}
    standing = {**old.beside, "index.json": old.body, "index.head.json": old.head_body}
    standing[stamp] = old.timestamp
    lacking = {href: body for href, body in wanted.items() if body != standing.get(href)}
    if FEED_NAME in lacking and not is_our_feed(standing.get(FEED_NAME) or lacking[FEED_NAME]):
        _LOG.warning("%s is not pushed: the target has one that no publish wrote", FEED_NAME)
        del lacking[FEED_NAME]
    return [(href, body, served_fresh(href)) for href, body in lacking.items()]


def check_apart(site: PushSource, target: Target) -> None:
    """Refuse a target that is the site itself, or a folder in it.

    Raises
    ------
    StoreError
        It is one.
    """
    if isinstance(target, FolderTarget):
        there, here = target.root.resolve(), site.folder.root.resolve()
        if there == here or here in there.parents:
            raise StoreError(f"{target.url} is the site itself, or a folder in it")


def check_names(site: PushSource, old: PushDestination, allowed: Collection[str]) -> None:
    """Refuse to upload keys that are withheld by their names.

    A key that the target has already may stay, if earlier versions published such names.

    Parameters
    ----------
    site : PushSource
        The site.
    old : PushDestination
        What the target has already.
    allowed : collection of str
        Names that are not withheld.

    Raises
    ------
    StoreError
        The index names such a key, and cannot be pushed without it.
    """
    if not may_be_withheld(site.index):
        return
    found = {key: why for key in site.index if (why := withheld_key(key, allowed)) is not None}
    new = [key for key, why in found.items() if not (why.is_new and key in old.index)]
    if new:
        named = first_few([f"{quoted(key)}: {found[key].reason}" for key in new], "; ")
        raise StoreError(
            f"nothing is pushed, because the index names what is withheld: {named}. Move it "
            "out of data/ and publish again, or allow its name (--allow-name)"
        )
    for key, why in found.items():
        _LOG.warning(
            "%s stays at the target, but would be withheld if it were new: %s",
            quoted(key),
            why.reason,
        )


def check_guards(
    site: PushSource, old: PushDestination, guards: Guards, *, target: Target, delete: bool
) -> None:
    """Refuse what is rarely meant; see `guards`.

    Raises
    ------
    RefusedError
        A guard refuses.
    StoreError
        The folder of a target cannot be read, or its values are in another folder.
    """
    ours, theirs = site.folder.data_path, old.note.data
    if ours != theirs and (old.is_known or old.body is not None):
        raise StoreError(
            f"the values at {target.url} are in {theirs}, and those of this site in {ours}: "
            "push into a folder or prefix of its own"
        )
    _check_lineage(site, old, guards, target.url)
    _check_signatures(site, old, guards, target.url)
    if not old.is_known:
        _check_files(site, old, guards, target)
    _check_page(site, old, guards)
    # Values that await their deletion count, too, if they are to be deleted now.
    keys = frozenset(old.index) | (old.note.left if delete else frozenset())
    guards.check_shrink("the push", len(keys), len(site.index))


def _check_lineage(site: PushSource, old: PushDestination, guards: Guards, target: str) -> None:
    ours, theirs = site.head, old.head
    if theirs is None or old.head_body == site.head_body:
        return
    if theirs.lineage != ours.lineage:
        guards.refuse(
            "lineage",
            f"the site at {target} has another lineage: 'staticstore publish SITE --after "
            f"{target}' continues it",
        )
    elif theirs.generation > ours.generation or (
        theirs.generation == ours.generation
        and (theirs.index, theirs.about) != (ours.index, ours.about)
    ):
        # Readers believe no older generation, and no other one of the same number.
        guards.refuse(
            "lineage",
            f"the target has generation {theirs.generation} of this site, and the folder "
            f"{ours.generation}: push from where it was published, or continue the target's "
            f"with 'staticstore publish SITE --after {target}'",
        )


def _check_signatures(site: PushSource, old: PushDestination, guards: Guards, target: str) -> None:
    if old.timestamp is None:
        return
    refused = "readers with its root file would refuse this one"
    if not site.trust:
        guards.refuse(
            "lineage",
            f"the site at {target} is signed, and the folder is not: {refused}; publish the folder "
            "with --sign, unless the site is no longer to be signed",
        )
    elif others := _other_roots(_signed(site), old):
        guards.refuse(
            "lineage",
            f"the site at {target} is signed with other keys ({first_few(others)}): {refused}; "
            "publish the folder with the newest keys of that site",
        )


def _check_files(site: PushSource, old: PushDestination, guards: Guards, target: Target) -> None:
    foreign = [] if _is_index_of_site(site, old, target) else ["index.json"]
    if isinstance(target, FolderTarget) and not is_ours(
        folder := SiteFolder(target.root, site.folder.data_path)
    ):
        try:
            foreign += foreign_values(folder, [site.index, old.index])[0]
        except OSError as error:
            raise StoreError(f"{target.url} cannot be read: {reason_of(error)}") from error
    if foreign:
        named = first_few([quoted(path_text(path)) for path in foreign])
        guards.refuse(
            "folder",
            f"no push made the files at {target.url}, and this one would replace or delete "
            f"some: {named}; push into a folder or prefix of its own",
        )


def _is_index_of_site(site: PushSource, old: PushDestination, target: Target) -> bool:
    # Another program's index.json may parse: look whether its first key has a value.
    if old.index.warnings:
        return False
    first = next(iter(old.index), None)
    try:
        return first is None or target.read(site.folder.data_path + first, most_bytes=0) is not None
    except IndexFormatError:  # larger than 0 bytes, so it exists
        return True


def _check_page(site: PushSource, old: PushDestination, guards: Guards) -> None:
    page = old.beside.get("index.html")
    if page is None or old.body is not None or page == site.beside["index.html"]:
        return
    if not is_our_page(page):
        guards.refuse(
            "folder",
            "the target has an index.html that belongs to no site: push into a folder or "
            "prefix of its own",
        )
