"""What a push is to do, and what it refuses to."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import StoreError
from .pushable import PushableSite, Upload, served_now
from .pushed import PushedSite, PushNote
from .target import FolderTarget, Served, Target

__all__ = ["Plan", "check_apart", "check_guard", "check_newer"]


@dataclass(frozen=True)
class Plan:
    """What is to be done."""

    #: Each is uploaded when the one before it is.
    stages: list[list[Upload]]
    #: Small files that are written when those are, in this order.
    last: list[tuple[str, bytes, Served]]
    #: The note before, while and after it is done.
    before: PushNote
    during: PushNote
    after: PushNote
    kept: int

    @classmethod
    def make(cls, site: PushableSite, pushed: PushedSite) -> Plan:
        """Compare a site with what stands at its target."""
        lacking = pushed.lacking(site)
        there = pushed.named(site)
        packs = list(site.packs())
        documents = [site.changes(), site.parts(), [site.whole()]]
        stages = [
            list(site.values(lacking)),
            *([one for one in stage if one.href not in there] for stage in (packs, *documents)),
        ]
        left = pushed.forgotten(site.index)
        replaced = frozenset(key for key in lacking if key in pushed.index)
        new = frozenset(lacking) - replaced
        there_too = {
            **pushed.beside,
            "index.json": pushed.body,
            "index.head.json": pushed.head_body,
        }
        last = {**site.beside, "index.json": site.body, "index.head.json": site.head_body}
        return cls(
            stages=stages,
            last=[
                (href, body, served_now(href))
                for href, body in last.items()
                if body != there_too[href]
            ],
            before=pushed.note,
            # Those that are new, too: if this push is killed, the next may not know them.
            during=PushNote(pushed.note.overwritten | replaced, left | new),
            after=PushNote(left=left),
            kept=len(site.index) - len(lacking) + len(packs) - len(stages[1]),
        )


def check_apart(site: PushableSite, target: Target) -> None:
    """Refuse a target that is the site itself."""
    if isinstance(target, FolderTarget):
        there, here = target.root.resolve(), site.folder.root.resolve()
        if there == here or here in there.parents:
            raise StoreError(f"{target.url} is the site itself, or a folder in it")


def check_newer(site: PushableSite, pushed: PushedSite) -> None:
    """Refuse to push over what readers would go on to believe."""
    ours, theirs = site.head, pushed.head
    if theirs is None or theirs.lineage != ours.lineage or pushed.head_body == site.head_body:
        return
    if theirs.generation > ours.generation or (
        theirs.generation == ours.generation and theirs.index != ours.index
    ):
        raise StoreError(
            f"the target has generation {theirs.generation} of this site, and the folder "
            f"{ours.generation}: push from where it was published, or force it"
        )


def check_guard(pushed: PushedSite, plan: Plan) -> None:
    """Refuse to delete more than half of what is there."""
    gone = len(plan.after.left)
    all_there = len(pushed.note.left | frozenset(pushed.index))
    if gone * 2 > all_there:
        raise StoreError(
            f"{gone} of {all_there} values at the target would be deleted, which is more than "
            "half: look at what was published, or force it"
        )
