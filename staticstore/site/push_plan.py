"""What a push is to do, and what it refuses to."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from ..errors import IndexFormatError, StoreError, quoted
from .folder import SiteFolder, reason_of
from .foreign_files import foreign_values, is_ours, listed
from .guards import Guards
from .history import KEPT
from .page import is_our_page
from .push_destination import PushDestination, PushNote
from .push_source import DATA, PushSource, Upload, packs_of, served_now
from .target import FolderTarget, Served, Target
from .withheld import may_be_withheld, withheld_key

__all__ = ["Plan", "check_apart", "check_guards", "check_names"]

_LOG = logging.getLogger("staticstore.site")
_NAMED = 3  # keys that an error names


@dataclass(frozen=True)
class Plan:
    """What is to be done."""

    #: Each is uploaded when the one before it is.
    stages: list[list[Upload]]
    #: Small files that are written when those are, in this order.
    last: list[tuple[str, bytes, Served]]
    #: What nothing names any more, and may be deleted now.
    outdated: list[str]
    #: What of that must go first, where a file cannot stand beside a folder of its name.
    obstacles: list[str]
    #: The note before it is done, while, after, and after that is deleted, too.
    before: PushNote
    during: PushNote
    after: PushNote
    cleaned: PushNote
    kept: int

    @classmethod
    def make(cls, site: PushSource, pushed: PushDestination, now: int, *, active: bool) -> Plan:
        """Compare a site with what stands at its target, in the second `now` since 1970.

        Unless `active`, values are to be served as what no browser runs.
        """
        lacking = pushed.lacking(site)
        stages = [list(site.values(lacking, active=active)), *_lacking_documents(site, pushed)]
        left = pushed.no_more(site.index)
        obstacles = _obstacles(left, lacking)
        during = _note_during(site, pushed, [*lacking, *obstacles], stages, now)
        ours = {one.href for one in site.digest_named()}
        forgotten = {href: since for href, since in during.forgotten.items() if href not in ours}
        due = {href for href, since in forgotten.items() if since < now - KEPT}
        return cls(
            stages=stages,
            last=_last(site, pushed),
            outdated=[*(DATA + key for key in sorted(left)), *pushed.about.outdated, *sorted(due)],
            obstacles=[DATA + key for key in obstacles],
            before=pushed.note,
            during=during,
            after=PushNote(left=left, forgotten=forgotten, foreign=during.foreign),
            cleaned=PushNote(
                forgotten={href: forgotten[href] for href in forgotten.keys() - due},
                foreign=during.foreign,
            ),
            kept=len(site.index) - len(lacking) + len(packs_of(site.index)) - len(stages[1]),
        )


def _obstacles(left: Iterable[str], lacking: Iterable[str]) -> list[str]:
    """Return the keys that are folders of new ones, or whose folders are new keys."""
    new = set(lacking)
    folders = {folder for key in new for folder in _folders_of(key)}
    return sorted(key for key in left if key in folders or not new.isdisjoint(_folders_of(key)))


def _folders_of(key: str) -> Iterator[str]:
    while key := key.rpartition("/")[0]:
        yield key


def _lacking_documents(site: PushSource, pushed: PushDestination) -> list[list[Upload]]:
    """Return the files named by their digest that are to be uploaded, in stages."""
    there, stored = pushed.named(), pushed.note.stored
    return [
        [one for one in stage if one.href not in there and stored.get(one.href) != one.sha256]
        for stage in site.stages()
    ]


def _note_during(
    site: PushSource,
    pushed: PushDestination,
    touched: list[str],
    stages: list[list[Upload]],
    now: int,
) -> PushNote:
    """Say what the next push cannot know if this one is killed."""
    note = pushed.note
    documents = {one.href for stage in stages[1:] for one in stage}
    writing = documents | {one.href for one in stages[0]}
    # What is uploaded counts as forgotten until a head names it.
    going = (pushed.named() - {one.href for one in site.digest_named()}) | documents
    return PushNote(
        overwritten=note.overwritten | frozenset(key for key in touched if key in pushed.index),
        left=pushed.no_more(site.index) | frozenset(site.index).difference(pushed.index),
        forgotten={**note.forgotten, **dict.fromkeys(going, now)},
        stored={href: sha256 for href, sha256 in note.stored.items() if href not in writing},
        foreign=pushed.about.foreign,
    )


def _last(site: PushSource, pushed: PushDestination) -> list[tuple[str, bytes, Served]]:
    current = {"index.json": site.body, "index.head.json": site.head_body}
    wanted = {**site.beside, **pushed.about.lacking, **current}
    there = {**pushed.beside, "index.json": pushed.body, "index.head.json": pushed.head_body}
    return [
        (href, body, served_now(href)) for href, body in wanted.items() if body != there.get(href)
    ]


def check_apart(site: PushSource, target: Target) -> None:
    """Refuse a target that is the site itself."""
    if isinstance(target, FolderTarget):
        there, here = target.root.resolve(), site.folder.root.resolve()
        if there == here or here in there.parents:
            raise StoreError(f"{target.url} is the site itself, or a folder in it")


def check_names(site: PushSource, pushed: PushDestination, allowed: Collection[str]) -> None:
    """Refuse to upload what is withheld by its name.

    A key that the target has already stays, if earlier versions published such names.

    Parameters
    ----------
    site : PushSource
        The site.
    pushed : PushDestination
        What stands at the target.
    allowed : collection of str
        Names that are not withheld.

    Raises
    ------
    StoreError
        The index names something that is withheld, and cannot be pushed without it.
    """
    if not may_be_withheld(site.index):
        return
    found = {key: why for key in site.index if (why := withheld_key(key, allowed)) is not None}
    new = [key for key, why in found.items() if not (why.is_new and key in pushed.index)]
    if new:
        named = "; ".join(f"{quoted(key)}: {found[key].reason}" for key in new[:_NAMED])
        more = f"; and {len(new) - _NAMED} more" if len(new) > _NAMED else ""
        raise StoreError(
            f"nothing is pushed, because the index names what is withheld: {named}{more}. Move it "
            "out of data/ and publish again, or allow its name (--allow-name)"
        )
    for key, why in found.items():
        _LOG.warning(
            "%s stays at the target, but would be withheld if it were new: %s",
            quoted(key),
            why.reason,
        )


def check_guards(
    site: PushSource, pushed: PushDestination, guards: Guards, *, target: Target, delete: bool
) -> None:
    """Refuse what one rarely means.

    Raises
    ------
    RefusedError
        It is not forced.
    StoreError
        A target's folder cannot be read.
    """
    _check_lineage(site, pushed, guards, target.url)
    if not pushed.is_known:
        _check_files(site, pushed, guards, target)
    _check_page(site, pushed, guards)
    # What only has not been deleted yet counts as well, if it is to be deleted now.
    there = frozenset(pushed.index) | (pushed.note.left if delete else frozenset())
    guards.check_shrink("the push", len(there), len(site.index))


def _check_lineage(site: PushSource, pushed: PushDestination, guards: Guards, target: str) -> None:
    """Refuse to push over another site, or over what readers would go on to believe."""
    ours, theirs = site.head, pushed.head
    if theirs is None or pushed.head_body == site.head_body:
        return
    if theirs.lineage != ours.lineage:
        guards.refuse(
            "lineage",
            f"another lineage stands at {target}: 'staticstore publish SITE --after {target}' "
            "goes on from it",
        )
    elif theirs.generation > ours.generation or (
        theirs.generation == ours.generation
        and (theirs.index, theirs.about) != (ours.index, ours.about)
    ):
        guards.refuse(
            "lineage",
            f"the target has generation {theirs.generation} of this site, and the folder "
            f"{ours.generation}: push from where it was published, or go on from the target "
            f"with 'staticstore publish SITE --after {target}'",
        )


def _check_files(site: PushSource, pushed: PushDestination, guards: Guards, target: Target) -> None:
    """Refuse to replace the files of somebody who has no site there."""
    foreign = [] if _is_index_of_site(pushed, target) else ["index.json"]
    if isinstance(target, FolderTarget) and not is_ours(folder := SiteFolder(target.root)):
        try:
            foreign += foreign_values(folder, [site.index, pushed.index])[0]
        except OSError as error:
            raise StoreError(f"{target.url} cannot be read: {reason_of(error)}") from error
    if foreign:
        guards.refuse(
            "folder",
            f"no push made what stands at {target.url}, and this one would replace or delete "
            f"files there: {listed(foreign)}; push into a folder or prefix of its own",
        )


def _is_index_of_site(pushed: PushDestination, target: Target) -> bool:
    """Return whether an index is that of a site: its first value, if it has one, is there."""
    if pushed.index.warnings:
        return False
    first = next(iter(pushed.index), None)
    try:
        return first is None or target.read(DATA + first, most_bytes=0) is not None
    except IndexFormatError:  # it has more bytes, so it is there
        return True


def _check_page(site: PushSource, pushed: PushDestination, guards: Guards) -> None:
    """Refuse to replace the page of somebody who has no site there."""
    there = pushed.beside.get("index.html")
    if there is None or pushed.body is not None or there == site.beside["index.html"]:
        return
    if not is_our_page(there):
        guards.refuse(
            "folder",
            "an index.html stands at the target that belongs to no site: push into a folder or "
            "prefix of its own",
        )
