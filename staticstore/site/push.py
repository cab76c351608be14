"""A site goes to a host: ``push`` uploads what the target lacks.

What it writes, in this order, each file whole or not at all::

    .staticstore/push.json      which values this push may leave others than an index says
    data/<key>                  the values that are new or others
    packs/, about/, changes/, blocks/   what the index and the head will name
    index/<sha256>.json
    .nojekyll, index.html       if they are there and others than at the target
    about.json, README, LICENSE, CITATION.cff   as the site's own words name them
    index.json
    index.head.json

Killed at any instant it leaves the old index or the new one, and the next
push makes up for it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from ..errors import IntegrityError, InvalidKeyError, StoreError, TransportError
from ..transport.daemons import Daemons
from .guards import Force, Guards
from .hashing import Progress
from .push_destination import NOTE, PushDestination, PushNote
from .push_plan import Plan, check_apart, check_guards, check_names
from .push_source import PushSource, Upload, served_now, verified_pieces
from .target import FolderTarget, Served, Target
from .targets import open_target

__all__ = ["PushReport", "push"]

T = TypeVar("T")
_THREADS = "staticstore push"  # what they are called
_NOTED = 10.0  # seconds after which it is noted what was uploaded
_NOTING = 20  # how many times as long as noting took, at least


@dataclass
class PushReport:
    """What a push did, or with ``dry_run`` would have done.

    Attributes
    ----------
    uploaded : list of str
        The files, by where they stand below the root; in the order of the stages.
    kept : int
        How many values and packs stood there already.
    deleted : list of str
        The files that nothing names any more, and that were removed.
    left : int
        How many of those stay, because nobody asked for their removal.
    failed : list of (str, str)
        The files that are not what the index says, each with what is wrong.
        If there are any, neither index nor head was uploaded.
    inert : list of str
        Those of the uploaded values that are served as text or bytes, and not as the
        HTML, SVG, XML or script that the index says they are; see `push`.
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
    endpoint: str | None = None,
    region: str | None = None,
    anonymous: bool = False,
    progress: Progress | None = None,
) -> PushReport:
    """Bring a published site to a bucket or a folder: upload what the target's index lacks.

    What the target's index and head name is believed to stand there.  Each file
    is held against its digest while it is read; what is not as the index says
    is not uploaded, and then no index is either.  The head is written last, so
    that readers see the old site or the new one.  Data is named by its key, and
    replaced in place: a reader of the old index finds that out by the digest.

    Parameters
    ----------
    site : path
        The site's folder, published and not changed since.
    target : str or path
        ``s3://bucket/prefix``, ``gs://bucket/prefix``, ``az://container/prefix``,
        ``file:///folder`` or a path.  All but folders need the extra ``cloud``.
    delete : bool, optional
        Whether to remove what index and head at the target do not name any more,
        after the head is written: values now, and a day later the files that
        are named by their digest, for readers may follow an older head.
    force : bool or iterable of str, optional
        What to do though it is rarely meant: ``"shrink"``, to leave no entry, or
        fewer than half of 20 or more; ``"lineage"``, to push over another lineage
        or a newer generation; ``"folder"``, to replace somebody else's page, index or
        values where no push of ours has been.
        True is all of it.
    dry_run : bool, optional
        Whether to write and remove nothing, and only report.
    allow_names : iterable of str, optional
        Names that are uploaded although they are withheld; see `mirror`.
    active : bool, optional
        Whether a bucket is to serve values as HTML, SVG, XML or scripts if the index
        says so.  Whoever has written them could then run scripts in the name of the
        bucket's host, as the site's own page does; without it they are served as plain
        text.  Values that stand there keep the type that they were uploaded with, and
        the host of a folder chooses types itself.
    workers : int, optional
        How many files are uploaded at once.
    endpoint, region, anonymous
        The URL of a host that speaks S3 or Azure's protocol; the region of an S3
        bucket; whether to send no credentials.
    progress : callable, optional
        Called as ``progress(done, total)``, in bytes; by one thread at a time.

    Returns
    -------
    PushReport

    Raises
    ------
    StoreError
        The site is not published as it is, or another push or publish is running
        on the target's folder.  Its index names what is withheld, such as
        ``.git/config``, in a folder that no `publish` of ours has written: an index
        cannot leave out what its head and its blocks name.  Nothing was written.
    RefusedError
        It is what `force` is for; the name is in its `guard`.  A StoreError of
        `staticstore.site.guards`.  Nothing was written.
    TransportError
        The target could not be asked or written; what it had still stands.
        AuthorizationError, if it wants other credentials.
    IndexFormatError
        What stands there as an index is none.
    ValueError
        `workers` is below 1, or `force` names something else.

    Notes
    -----
    Five requests at most if nothing has changed.  A large file is uploaded by several
    requests at once, in parts of 8 MiB.  A push after one that broke off goes on where
    that was some seconds before its end.  A folder takes one push at a time; nothing
    keeps two pushes to one bucket apart, nor a publish during a push: what changes
    meanwhile fails.

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
        raise ValueError(f"at least one worker uploads, not {workers!r}")
    guards = Guards(force)
    allowed = [allow_names] if isinstance(allow_names, str) else list(allow_names)
    host = open_target(target, endpoint=endpoint, region=region, anonymous=anonymous)
    pushable = PushSource.open(site)
    check_apart(pushable, host)
    with contextlib.nullcontext() if dry_run else host.alone():
        pushed = _aside(lambda: PushDestination.read(host, pushable))
        check_names(pushable, pushed, allowed)
        plan = Plan.make(pushable, pushed, int(time.time()), active=active or host.has_folders)
        check_guards(pushable, pushed, guards, target=host, delete=delete)
        report = PushReport(kept=plan.kept)
        if dry_run:
            _foretell(plan, report, delete=delete)
        else:
            _Push(host, plan, report, workers, progress).run(delete=delete)
        uploaded = frozenset(report.uploaded)
        report.inert = [one.href for one in plan.stages[0] if one.is_inert and one.href in uploaded]
    report.seconds = time.monotonic() - began
    return report


def _foretell(plan: Plan, report: PushReport, *, delete: bool) -> None:
    uploads = [one for stage in plan.stages for one in stage]
    report.uploaded = [one.href for one in uploads] + [href for href, _, _ in plan.last]
    report.bytes = sum(one.size for one in uploads) + sum(len(body) for _, body, _ in plan.last)
    if delete:
        report.deleted = plan.outdated
    else:
        report.left = len(plan.outdated)


class _Push:
    """One push, from its first upload on."""

    def __init__(
        self,
        target: Target,
        plan: Plan,
        report: PushReport,
        workers: int,
        progress: Progress | None,
    ) -> None:
        self._target = target
        self._plan = plan
        self._report = report
        self._workers = workers
        self._progress = progress
        self._lock = threading.Lock()
        self._stopped = False
        self._done = 0
        self._total = sum(one.size for stage in plan.stages for one in stage)
        self._note = plan.before
        self._stored = dict(plan.during.stored)
        self._noted = time.monotonic()
        self._pause = _NOTED

    def run(self, *, delete: bool) -> None:
        """Upload stage by stage; no index if a file of a stage before is not what it must be."""
        plan = self._plan
        self._write_note(plan.during)
        outdated = plan.outdated
        if delete and plan.obstacles and self._target.has_folders:
            _aside(lambda: self._target.remove(plan.obstacles))
            outdated = sorted(set(outdated).difference(plan.obstacles))
        for stage in plan.stages:
            self._upload(stage)
            if self._report.failed:
                self._write_note(self._note_now())
                return
        if isinstance(self._target, FolderTarget):
            self._target.write_git_files()
        for href, body, served in plan.last:
            self._write(href, body, served)
            self._report.uploaded.append(href)
            self._report.bytes += len(body)
        if not delete:
            self._report.left = len(plan.outdated)
            self._write_note(plan.after)
            return
        if outdated:
            _aside(lambda: self._target.remove(outdated))
        self._report.deleted = plan.outdated
        self._write_note(plan.cleaned)

    def _upload(self, stage: list[Upload]) -> None:
        try:
            with Daemons(min(self._workers, len(stage)) or 1, _THREADS) as threads:
                running = [threads.submit(partial(self._upload_one, one)) for one in stage]
                for upload, future in zip(stage, running, strict=True):
                    reason = future.result()
                    if reason is None:
                        self._report.uploaded.append(upload.href)
                        self._report.bytes += upload.size
                        self._stored[upload.href] = upload.sha256
                        self._note_stored()
                    else:
                        self._report.failed.append((upload.href, reason))
        except BaseException:
            self._stopped = True  # threads that are still at it end at their next piece
            raise

    def _upload_one(self, upload: Upload) -> str | None:
        """Upload a file; return why it was not, if that is the file's own fault."""
        try:
            pieces = self._counted(verified_pieces(upload))
            self._target.write(upload.href, upload.size, pieces, upload.served)
        except TransportError:
            raise
        except (IntegrityError, InvalidKeyError, StoreError) as error:
            return str(error)
        return None

    def _counted(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            if self._stopped:
                raise TransportError("the push has ended")
            yield piece
            with self._lock:
                self._done += len(piece)
                if self._progress is not None:
                    self._progress(self._done, self._total)

    def _note_stored(self) -> None:
        """Note what was uploaded, once in a while, so that a push that breaks off goes on there."""
        began = time.monotonic()
        if began - self._noted >= self._pause:
            self._write_note(self._note_now())
            self._noted = time.monotonic()
            self._pause = max(_NOTED, _NOTING * (self._noted - began))

    def _note_now(self) -> PushNote:
        return self._plan.during._replace(stored=dict(self._stored))

    def _write_note(self, new: PushNote) -> None:
        if new == self._note:
            return
        self._note = new
        if new == PushNote():
            _aside(lambda: self._target.remove([NOTE]))
        else:
            self._write(NOTE, new.encode(), served_now(NOTE))

    def _write(self, href: str, body: bytes, served: Served) -> None:
        _aside(lambda: self._target.write(href, len(body), iter([body]), served))


def _aside(call: Callable[[], T]) -> T:
    """Make a call in another thread: what obstore does in the main one cannot be interrupted."""
    threads = Daemons(1, _THREADS)
    try:
        return threads.submit(call).result()
    finally:
        threads.close()
