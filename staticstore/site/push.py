"""Upload what a bucket or folder lacks of a published site: ``push``.

What it writes, in this order, each file whole or not at all::

    .staticstore/push.json      which values may differ from the index while this runs
    data/<key>                  values that are new or changed
    packs/, stored/, about/, changes/, blocks/   what the index and the head will name
    index/<sha256>.json
    registry.txt, SHA256SUMS, items.json, datapackage.json   those that the site has
    trust/                      the signatures, if there are any
    .nojekyll, index.html,      if the site has them and the target's differ
    feed.atom
    about.json, README, LICENSE, CITATION.cff   the files of the site's own words
    index.json
    index.head.json
    trust/timestamp.json        removed if the site is no longer signed

A push that is killed at any instant leaves the old index or the new one, and the
next push resumes.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from .. import tuning
from ..errors import StoreError, TransportError
from ..workers import Workers
from .guards import Force, Guards
from .pushing.destination import NOTE, PushDestination, PushNote
from .pushing.plan import PushPlan, check_apart, check_guards, check_names
from .pushing.source import PushSource, Upload, served_fresh, verified_pieces
from .pushing.target import FolderTarget, Target, open_target

if TYPE_CHECKING:
    from .folder.hashing import TotalProgress
    from .pushing.cloud import Served

__all__ = ["PushReport", "push"]

T = TypeVar("T")
_THREAD_NAME = "staticstore push"


@dataclass(repr=False)
class PushReport:
    """What a push did, or with ``dry_run`` would have done.

    Attributes
    ----------
    uploaded : list of str
        The paths of the files below the root, in the order of the stages.
    kept : int
        How many values, packs and compressed copies the target had already.
    deleted : list of str
        The files that nothing named any more, and that were deleted; the timestamp of a
        site that is no longer signed also without `delete`.
    left : int
        How many such files were left, without `delete`.
    failed : list of (str, str)
        The files that differ from the index, and how.  If there are any, neither
        index nor head was uploaded.
    inert : list of str
        The uploaded values that are served as text or bytes, and not as the HTML,
        SVG, XML or script that the index says they are; see `push`.
    bytes : int
        The sizes of what was uploaded, summed.
    seconds : float
        How long it took.
    """

    uploaded: list[str] = field(default_factory=list)
    kept: int = 0
    deleted: list[str] = field(default_factory=list)
    left: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    inert: list[str] = field(default_factory=list)
    bytes: int = 0
    seconds: float = 0.0

    def __repr__(self) -> str:
        """Count what the lists name."""
        return (
            f"<PushReport: {len(self.uploaded)} uploaded, {self.kept} kept, "
            f"{len(self.deleted)} deleted, {self.left} left, {len(self.failed)} failed, "
            f"{self.bytes} bytes, {self.seconds:.1f} s>"
        )


def push(
    site: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    delete: bool = False,
    force: Force = False,
    dry_run: bool = False,
    allow_names: Iterable[str] = (),
    active: bool = False,
    workers: int = 8,
    data: str | os.PathLike[str] | None = None,
    endpoint: str | None = None,
    region: str | None = None,
    anonymous: bool = False,
    progress: TotalProgress | None = None,
) -> PushReport:
    """Upload what a bucket or a folder lacks of a published site.

    What the target's index and head name is taken to be there.  Each file is
    verified against its digest while it is read; one that differs is not uploaded,
    and then the index is not either.  The head is written last, so that readers see the
    old site or the new one.  A value is named by its key, and replaced in place: a
    reader of the old index detects that by the digest.

    Parameters
    ----------
    site : path
        The site's folder, published and not changed since.
    target : str or path
        ``s3://bucket/prefix``, ``gs://bucket/prefix``, ``az://container/prefix``,
        ``file:///folder`` or a path.  Buckets need the extra ``cloud``.
    delete : bool, optional
        Whether to delete what index and head at the target do not name any more,
        after the head is written: values at once, and files named by their digest
        a day later, since readers may still follow an older head.
    force : bool or iterable of str, optional
        The guards to override: ``"shrink"`` refuses to leave no entry, or fewer than
        half of 20 or more; ``"lineage"`` to push over another lineage or a newer
        generation, or an unsigned site over a signed one, or one with other keys;
        ``"folder"`` to replace a foreign page, index or values where no push of ours has
        been.  True overrides all.
    dry_run : bool, optional
        Whether to write and delete nothing, and only report.
    allow_names : iterable of str, optional
        Names that are uploaded although they are withheld; see `mirror`.
    active : bool, optional
        Whether a bucket serves values as HTML, SVG, XML or scripts if the index says
        so.  Their authors could then run scripts in the name of the bucket's host, as
        the site's own page does; without it they are served as plain text.  Values
        that the target has already keep their type, and the host of a folder chooses
        types itself.
    workers : int, optional
        How many files are uploaded at once.
    data : str or path, optional
        The folder of the values, if not the one that was published.
    endpoint : str, optional
        The URL of a host that speaks the protocol of S3 or Azure.
    region : str, optional
        The region of an S3 bucket.
    anonymous : bool, optional
        Whether to send no credentials.
    progress : callable, optional
        Called as ``progress(done, total)``, in bytes, by any thread, one at a time.

    Returns
    -------
    PushReport

    Raises
    ------
    StoreError
        The site is not published, or has changed since; another push or publish is
        running on the target's folder; or the index of a folder that `publish` has
        not written names what is withheld, such as ``.git/config``, and an index
        cannot be pushed in part.  Nothing was written.
    RefusedError
        A guard refuses, and `force` would allow it.  Nothing was written.
    TransportError
        The target cannot be read or written; its old site is still there.
        AuthorizationError if it wants other credentials.
    IndexFormatError
        The target has an index that cannot be parsed.
    ValueError
        `workers` is below 1, or `force` names an unknown guard.

    Notes
    -----
    Costs five requests at most if nothing has changed.  A large file is uploaded in
    parts of 8 MiB, several at once.  After an interrupted push the next one resumes
    where it was some seconds before its end.  A folder takes one push at a time.  Two
    pushes to one bucket, or a publish during a push, are not locked out: files that
    change during a push fail.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from staticstore import publish
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     data = pathlib.Path(folder, "site", "data")
    ...     data.mkdir(parents=True)
    ...     _ = (data / "a.txt").write_text("a")
    ...     _ = publish(data.parent)
    ...     report = push(data.parent, pathlib.Path(folder, "host"))
    ...     report.uploaded[0], report.uploaded[-1]
    ('data/a.txt', 'index.head.json')
    """
    began = time.monotonic()
    if workers < 1:
        raise ValueError(f"workers must be 1 or more, not {workers!r}")
    guards = Guards(force)
    allowed = [allow_names] if isinstance(allow_names, str) else list(allow_names)
    host = open_target(target, endpoint=endpoint, region=region, anonymous=anonymous)
    source = PushSource.open(site, data)
    check_apart(source, host)
    with contextlib.nullcontext() if dry_run else host.alone():
        destination = _in_thread(lambda: PushDestination.read(host, source))
        check_names(source, destination, allowed)
        active = active or host.has_folders
        plan = PushPlan.make(source, destination, int(time.time()), active=active)
        check_guards(source, destination, guards, target=host, delete=delete)
        report = PushReport(kept=plan.kept)
        if dry_run:
            _predict(plan, report, delete=delete)
        else:
            _Push(host, plan, report, workers, progress).run(delete=delete)
        uploaded = frozenset(report.uploaded)
        report.inert = [one.href for one in plan.stages[0] if one.is_inert and one.href in uploaded]
    report.seconds = time.monotonic() - began
    return report


def _predict(plan: PushPlan, report: PushReport, *, delete: bool) -> None:
    uploads = [one for stage in plan.stages for one in stage]
    report.uploaded = [one.href for one in uploads] + [href for href, _, _ in plan.last]
    report.bytes = sum(one.size for one in uploads) + sum(len(body) for _, body, _ in plan.last)
    report.deleted = plan.removed + (plan.outdated if delete else [])
    if not delete:
        report.left = len(plan.outdated)


@dataclass
class _Push:
    """The writing part of a push."""

    target: Target
    plan: PushPlan
    report: PushReport
    workers: int
    progress: TotalProgress | None

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._stopped = False
        self._done = 0
        self._total = sum(one.size for stage in self.plan.stages for one in stage)
        self._note = self.plan.before
        self._stored = dict(self.plan.during.stored)
        self._noted = time.monotonic()
        self._pause = tuning.PUSH_NOTE_SECONDS

    def run(self, *, delete: bool) -> None:
        """Upload stage by stage; end before the index if a file of a stage failed."""
        plan = self.plan
        self._write_note(plan.during)
        outdated = plan.outdated
        if delete and plan.obstacles and self.target.has_folders:
            _in_thread(lambda: self.target.remove(plan.obstacles))
            outdated = sorted(set(outdated).difference(plan.obstacles))
        for stage in plan.stages:
            self._upload(stage)
            if self.report.failed:
                self._write_note(self._current_note())
                return
        if isinstance(self.target, FolderTarget):
            self.target.write_beside(plan.after.data)
        for href, body, served in plan.last:
            self._write(href, body, served)
            self.report.uploaded.append(href)
            self.report.bytes += len(body)
        if plan.removed:
            _in_thread(lambda: self.target.remove(plan.removed))
            self.report.deleted = plan.removed
        if not delete:
            self.report.left = len(plan.outdated)
            self._write_note(plan.after)
            return
        if outdated:
            _in_thread(lambda: self.target.remove(outdated))
        self.report.deleted = plan.removed + plan.outdated
        self._write_note(plan.cleaned)

    def _upload(self, stage: list[Upload]) -> None:
        try:
            with Workers(min(self.workers, len(stage)) or 1, _THREAD_NAME) as threads:
                running = [threads.submit(partial(self._upload_one, one)) for one in stage]
                for upload, future in zip(stage, running, strict=True):
                    reason = future.result()
                    if reason is None:
                        self.report.uploaded.append(upload.href)
                        self.report.bytes += upload.size
                        self._stored[upload.href] = upload.sha256
                        self._note_stored()
                    else:
                        self.report.failed.append((upload.href, reason))
        except BaseException:
            self._stopped = True  # other threads stop at their next piece
            raise

    def _upload_one(self, upload: Upload) -> str | None:
        """Upload a file; return why it failed, if the file itself is the reason."""
        try:
            pieces = self._counted(verified_pieces(upload))
            self.target.write(upload.href, upload.size, pieces, upload.served)
        except TransportError:
            raise
        except StoreError as error:
            return str(error)
        return None

    def _counted(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            if self._stopped:
                raise TransportError("the push has ended")
            yield piece
            with self._lock:
                self._done += len(piece)
                if self.progress is not None:
                    self.progress(self._done, self._total)

    def _note_stored(self) -> None:
        # Without a note of what is complete, an interrupted push would start over.
        began = time.monotonic()
        if began - self._noted >= self._pause:
            self._write_note(self._current_note())
            self._noted = time.monotonic()
            longer = tuning.PUSH_NOTE_FACTOR * (self._noted - began)
            self._pause = max(tuning.PUSH_NOTE_SECONDS, longer)

    def _current_note(self) -> PushNote:
        return self.plan.during._replace(stored=dict(self._stored))

    def _write_note(self, new: PushNote) -> None:
        if new == self._note:
            return
        self._note = new
        if new == PushNote():
            _in_thread(lambda: self.target.remove([NOTE]))
        else:
            self._write(NOTE, new.encode(), served_fresh(NOTE))

    def _write(self, href: str, body: bytes, served: Served) -> None:
        _in_thread(lambda: self.target.write(href, len(body), iter([body]), served))


def _in_thread(call: Callable[[], T]) -> T:
    """Make a call in another thread: Ctrl-C cannot interrupt obstore in the main one."""
    with Workers(1, _THREAD_NAME) as threads:
        return threads.submit(call).result()
