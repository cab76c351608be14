"""The cache of indexes: the last one of each site, and what came with it."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ... import tuning
from ...disk.atomic import atomic_file, remove_leftovers
from ...disk.file_system import NotOwnError, open_own, remove_foreign
from ...disk.part_file import PartFolder
from ...errors import IntegrityError, NotConnectedError, StoreError, reason_of
from ...index.forms.foreign_entries import ForeignEntries
from ...index.freshness import Freshness
from ...index.head import Head
from ...index.snapshot import Index
from ..following.index_reader import Held
from .folder import DOCUMENT, INDEX_FILES, NOTE, CacheEntry, CacheFolder
from .note import Note, read_note

if TYPE_CHECKING:
    from ...transport.http.root import Root

__all__ = ["CacheReport", "CachedIndex", "CachedSite", "sites_in", "verify_cache"]

_LOCK = "lock"

# Size, sha256, entries and warnings of a document in the cache.
_Document = tuple[int, str, int, tuple[str, ...]]


class CachedIndex:
    """Reads and writes the index of one site; never raises an error of the disk.

    Parameters
    ----------
    folder : CacheFolder
        The cache.
    root : Root
        The site.
    options : mapping
        Those of the store.  What was read of a site that must be signed counts under the
        same pinned root document alone, and only with the signatures of its head.
    """

    def __init__(self, folder: CacheFolder, root: Root, options: Mapping[str, Any]) -> None:
        self._folder = folder
        self._root = root
        self._place = folder.place_of_site(root, options)
        self._pinned: bytes | None = options["trust"]
        self._note: Note | None = None
        #: Where interrupted documents are kept.
        self.parts = PartFolder(self._opened)

    def _opened(self, makes: bool) -> Path:
        if makes:
            self._folder.make(self._place)
        else:
            self._folder.check(self._place)
        return self._place

    def read(self, most_bytes: int | None = None) -> tuple[Held, Freshness, float] | None:
        """Return the index, what its host said, and when it came (since 1970), or None.

        Parameters
        ----------
        most_bytes : int, optional
            A larger index is not read.

        A million entries (160 MB) take 0.2 s, most of it for their digest.
        """
        try:
            self._folder.check(self._place)
            if most_bytes is not None and read_note(self._place).size > most_bytes:
                return None
            note, body = _verified(self._place)
            is_https = self._root.origin.scheme == "https"
            if self._pinned is not None:
                note = _signed_note(note, self._pinned)
            index = Index.parse(body, vouched_entries=note.entries, https_only=is_https)
            if self._root.document is not None:
                index = Index(ForeignEntries.of(index.stored), index.warnings)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._folder.note_error(error, "cannot be read")
            if isinstance(error, NotOwnError):
                self._forget()
            return None
        except ValueError as error:  # of which IndexFormatError is one
            self._folder.note(f"held an index that cannot be used: {error}")
            self._forget()
            return None
        self._note = note
        self._touch()
        held = Held(
            index.changed_by({}, note.warnings),
            note.validators,
            note.index_sha256,
            note.head,
            size=note.size,
            source=note.source,
            expires=note.expires,
            signatures=note.signatures,
        )
        return held, Freshness.parse(note.freshness), note.fetched

    def freshness(self) -> Freshness:
        """Return what the host has said, by the note alone; empty without one."""
        try:
            self._folder.check(self._place)
            return Freshness.parse(read_note(self._place).freshness)
        except (OSError, ValueError):
            return Freshness()

    def count(self, held: Held, freshness: Freshness) -> None:
        """Write what the host has said when it did not confirm the index that is cached."""
        note = self._note
        if note is None or note.index_sha256 != held.sha256:
            return
        if note.freshness != freshness.as_json():
            counted = note._replace(freshness=freshness.as_json())
            self._alone(lambda: self._write_note(counted))

    def write(self, held: Held, freshness: Freshness, is_cut: Callable[[], bool]) -> bool:
        """Write an index, unless it is cached already.

        Other threads and processes may go on meanwhile.  If one of them is writing an
        index of this site now, this one is left to the next call.

        Parameters
        ----------
        held : Held
            The index, whole.
        freshness : Freshness
            What the host has said.
        is_cut : callable
            Checked after each piece; once it returns True, nothing more is written.

        Returns
        -------
        bool
            False if it was made by changes, and is not what the head names.
        """
        if self._is_written(held, freshness):
            self._touch()
            return True
        if self._folder.is_paused:
            return True
        try:
            self._alone(lambda: self._write(held, freshness, is_cut))
        except IntegrityError:
            return False
        except StoreError:  # disconnected, or lines that cannot be read
            pass
        return True

    def _alone(self, write: Callable[[], None]) -> None:
        import filelock  # seldom needed, and slow to import

        with self._folder.writing(), contextlib.suppress(filelock.Timeout, NotImplementedError):
            self._folder.make(self._place)
            remove_foreign(self._place / _LOCK)  # locking empties the file
            with filelock.FileLock(self._place / _LOCK, mode=0o600).acquire(timeout=0):
                write()

    def _touch(self) -> None:
        with contextlib.suppress(OSError):
            self._folder.touch(self._place / NOTE, (self._place / NOTE).stat())

    def _is_written(self, held: Held, freshness: Freshness) -> bool:
        note = self._note
        return note is not None and (
            (note.index_sha256, note.validators, note.head, note.source, note.expires)
            == (held.sha256, held.validators, held.head, held.source, held.expires)
            and note.freshness == freshness.as_json()
        )

    def _write(self, held: Held, freshness: Freshness, is_cut: Callable[[], bool]) -> None:
        remove_leftovers(self._place)
        self.parts.clear()
        document = self._written_before(held) or self._write_document(held, is_cut)
        size, sha256, entries, warnings = document
        self._write_note(  # last: without it the document does not count
            Note(
                root=self._root.shown,
                fetched=time.time(),
                size=size,
                sha256=sha256,
                entries=entries,
                index_sha256=held.sha256,
                validators=held.validators,
                head=held.head,
                source=held.source,
                freshness=freshness.as_json(),
                warnings=warnings,
                expires=held.expires,
                signatures=held.signatures,
            )
        )

    def _write_note(self, note: Note) -> None:
        with atomic_file(self._place / NOTE, sync=False, mode=0o600) as file:
            file.write(note.encode())
        self._note = note

    def _written_before(self, held: Held) -> _Document | None:
        try:
            note = read_note(self._place)
        except (OSError, ValueError):
            return None
        if note.index_sha256 != held.sha256:
            return None
        return note.size, note.sha256, note.entries, note.warnings

    def _forget(self) -> None:
        with contextlib.suppress(OSError):
            self._folder.check(self._place)
            (self._place / NOTE).unlink(missing_ok=True)

    def _write_document(self, held: Held, is_cut: Callable[[], bool]) -> _Document:
        digest, size = hashlib.sha256(), 0
        entries, warnings = len(held.index), held.index.warnings
        with atomic_file(self._place / DOCUMENT, sync=False, mode=0o600) as file:
            for piece in _pieces(held.index.document()):
                if is_cut():
                    raise NotConnectedError("the store was disconnected")
                digest.update(piece)
                size += file.write(piece)
            if held.is_derived and held.index.is_canonical and digest.hexdigest() != held.sha256:
                raise IntegrityError(
                    "changes have led to another index than the head names",
                    expected=held.sha256,
                    actual=digest.hexdigest(),
                )
            self._forget()  # the old note belongs to the old document
        self._folder.evict(self._folder.max_bytes)
        return size, digest.hexdigest(), entries, warnings


def _verified(place: Path) -> tuple[Note, bytes]:
    note = read_note(place)
    descriptor, status = open_own(place / DOCUMENT)
    with FileIO(descriptor, "rb") as file:
        if status.st_size != note.size:
            raise ValueError("the document has another size")
        body = file.readall()
    if hashlib.sha256(body).hexdigest() != note.sha256:
        raise ValueError("the document is damaged")
    return note, body


def _signed_note(note: Note, pinned: bytes) -> Note:
    """Return a note as its signatures say it, whoever wrote it; ValueError if they do not."""
    from ...trust.chain import RootChain, SignedHead  # they import python-tuf, of an extra
    from ...trust.documents import Lifetime, version_of
    from ...trust.layout import ROOT, document_name

    if note.signatures is None:
        raise ValueError("its signatures are missing")
    read = note.signatures.files(pinned).get
    try:
        chain = RootChain.of(pinned, document_name(ROOT, version_of(pinned))).followed(read)
        signed = SignedHead.read(chain.root, read)
        head = Head.parse(signed.head)
    except StoreError as error:
        raise ValueError(f"its signatures are not right: {error}") from None
    if not note.sha256 == note.index_sha256 == head.index.sha256:
        raise ValueError("it is not the one that is signed")
    parts = [chain.root, *(document.signed for document in signed.documents.values())]
    return note._replace(head=head, expires=min(Lifetime.of(part).expires for part in parts))


def _pieces(document: Iterable[bytes | memoryview]) -> Iterator[memoryview]:
    # Small ones, so that writing can be given up in between.
    for text in document:
        view, size = memoryview(text), tuning.CACHE_PIECE_BYTES
        for start in range(0, len(view), size):
            yield view[start : start + size]


class CachedSite(NamedTuple):
    """An index in a cache, as its note describes it."""

    note: Note
    #: Bytes, of note and document.
    size: int


def sites_in(folder: CacheFolder) -> Iterator[CachedSite]:
    """Find the indexes in a cache whose notes can be read; documents are not checked."""
    for index in folder.indexes():
        with contextlib.suppress(OSError, ValueError):
            yield CachedSite(read_note(index.paths[0].parent), index.size)


class CacheReport(NamedTuple):
    """What `verify_cache` found."""

    #: Values and indexes that are right.
    checked: int
    #: Those that were not, and are removed: their paths, and why.
    removed: list[tuple[Path, str]]


def verify_cache(folder: CacheFolder) -> CacheReport:
    """Read all values and indexes of a cache, and remove those that are damaged.

    Those that another process removes meanwhile do not count.
    """
    checked = 0
    removed: list[tuple[Path, str]] = []
    for entry, problem_of in [
        *((value, _problem_of_value) for value in folder.values()),
        *((index, _problem_of_index) for index in folder.indexes()),
    ]:
        try:
            problem = problem_of(entry)
        except FileNotFoundError:
            continue
        except OSError as error:
            problem = reason_of(error)
        if problem is None:
            checked += 1
        else:
            entry.remove()
            removed.append((entry.paths[0], problem))
    return CacheReport(checked, removed)


def _problem_of_value(value: CacheEntry) -> str | None:
    (path,) = value.paths
    with FileIO(open_own(path)[0], "rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    return None if actual == path.name else "the value has another sha256"


def _problem_of_index(index: CacheEntry) -> str | None:
    if len(index.paths) < len(INDEX_FILES):
        return "a part of the index is missing"
    try:
        _verified(index.paths[0].parent)
    except ValueError as error:
        return str(error)
    return None
