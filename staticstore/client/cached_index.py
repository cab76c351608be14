"""The last index of a site, kept on disk with what it takes to ask whether it is still current."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from ..errors import IntegrityError, NotConnectedError, StoreError
from ..index import codec
from ..index.freshness import Freshness
from ..index.head import Head, parse_count, parse_sha256
from ..index.snapshot import Index
from ..transport.atomic import atomic_file, remove_leftovers
from ..transport.part_file import PartFolder
from ..transport.regular import NotOwnError, open_own, read_own, remove_foreign
from ..transport.response import checked_validators
from ..transport.root import Root
from .cache_folder import DOCUMENT, NOTE, CacheFolder, last_used_now
from .held import Held

__all__ = ["CachedIndex", "Note", "read_note", "verified"]

_FORMAT = "staticstore-cached-index/2"
_LOCK = "lock"
_PIECE = 1 << 20  # bytes
_MOST_NOTE_BYTES = 1 << 20


@dataclass(frozen=True)
class Note:
    """What is kept beside the document of an index.

    It is written as a line with its own sha256 and a line of JSON.
    """

    #: The site's root, without secrets; for people who look into the cache.
    root: str
    #: Seconds since 1970.
    fetched: float
    #: Of the document as it lies here.
    size: int
    sha256: str
    entries: int
    #: Of the index as it came; may be another form of the same.
    index_sha256: str
    validators: Mapping[str, str]
    head: Head | None
    #: The root that it came from, if that is not the first.
    source: str | None
    #: What the first root has said: see `Freshness.as_json`.
    freshness: Mapping[str, Any]
    #: What was left out of the index.
    warnings: tuple[str, ...]

    @classmethod
    def parse(cls, text: bytes) -> Note:
        """Parse what `encode` has written.

        Raises
        ------
        ValueError
            It is something else, be it by a single bit.
        """
        digest, _, line = text.partition(b"\n")
        if hashlib.sha256(line).hexdigest().encode() != digest:
            raise ValueError("the note is damaged")
        said = codec.decode(line)
        try:
            if said["format"] != _FORMAT:
                raise ValueError("the note is of another version")
            head, source = said["head"], said["source"]
            return cls(
                root=str(said["root"]),
                fetched=_finite(said["fetched"]),
                size=parse_count(said["size"]),
                sha256=parse_sha256(said["sha256"]),
                entries=parse_count(said["entries"]),
                index_sha256=parse_sha256(said["index_sha256"]),
                validators=checked_validators(said["validators"]),
                head=None if head is None else Head.parse(head.encode()),
                source=None if source is None else str(source),
                freshness=Freshness.parse(said["freshness"]).as_json(),
                warnings=tuple(map(str, said["warnings"])),
            )
        except (LookupError, TypeError, AttributeError) as error:
            raise ValueError("the note is of another version") from error

    def encode(self) -> bytes:
        """Write the note."""
        said = {
            **{field.name: getattr(self, field.name) for field in dataclasses.fields(self)},
            "format": _FORMAT,
            "validators": dict(self.validators),
            "head": None if self.head is None else self.head.encode().decode(),
            "freshness": dict(self.freshness),
        }
        line = codec.encode(said)
        return hashlib.sha256(line).hexdigest().encode() + b"\n" + line


class CachedIndex:
    """Reads and writes the index of one site; raises nothing that the disk says.

    Parameters
    ----------
    folder : CacheFolder
        The cache.
    root : Root
        The site.
    index_path, data_path : str
        As in `StaticStore`.
    """

    def __init__(self, folder: CacheFolder, root: Root, index_path: str, data_path: str) -> None:
        self._folder = folder
        self._root = root
        # A digest, for the query of a root is a secret.
        site = "\n".join([root.join(""), index_path, data_path])
        self._place = folder.place_of_index(hashlib.sha256(site.encode()).hexdigest())
        self._kept: Note | None = None
        #: Where the beginnings of documents stay that break off.
        self.parts = PartFolder(self._opened)

    def _opened(self, makes: bool) -> Path:
        if makes:
            self._folder.make(self._place)
        else:
            self._folder.check(self._place)
        return self._place

    def read(self) -> tuple[Held, Freshness, float] | None:
        """Return the index, what its host has said, and when it was fetched; None without one.

        The time is in seconds since 1970.

        Notes
        -----
        A million entries (160 MB) take 0.2 s, most of it for their digest.
        """
        try:
            self._folder.check(self._place)
            note, body = verified(self._place)
            index = Index.parse(body, vouched_entries=note.entries)
        except FileNotFoundError:
            return None
        except NotOwnError as error:
            self._folder.note_error(error, "cannot be read")
            self._forget()
            return None
        except OSError as error:
            self._folder.note_error(error, "cannot be read")
            return None
        except ValueError as error:  # of which IndexFormatError is one
            self._folder.note(f"held an index that cannot be used: {error}")
            self._forget()
            return None
        self._kept = note
        self._touch()
        held = Held(
            index.changed_by({}, note.warnings),
            note.validators,
            note.index_sha256,
            note.head,
            size=note.size,
            source=note.source,
        )
        return held, Freshness.parse(note.freshness), note.fetched

    def freshness(self) -> Freshness:
        """Return what the host has said, without reading the index; nothing without a note."""
        try:
            self._folder.check(self._place)
            return Freshness.parse(read_note(self._place).freshness)
        except (OSError, ValueError):
            return Freshness()

    def count(self, held: Held, freshness: Freshness) -> None:
        """Keep what the host has said when it did not confirm the index that is kept."""
        kept = self._kept
        if kept is None or kept.index_sha256 != held.sha256:
            return
        if kept.freshness != freshness.as_json():
            note = dataclasses.replace(kept, freshness=freshness.as_json())
            self._alone(lambda: self._write_note(note))

    def write(self, held: Held, freshness: Freshness, is_cut: Callable[[], bool]) -> bool:
        """Keep an index, unless it is the one that is kept already.

        Other threads and processes go on meanwhile; if one of them keeps an
        index of this site at this very moment, this one is left to the next call.

        Parameters
        ----------
        held : Held
            The index, and what is held with it.
        freshness : Freshness
            What the host has said.
        is_cut : callable
            Looked at now and then; once it gives True, nothing more is written.

        Returns
        -------
        bool
            False if it was made of changes, and is not what the head names.
        """
        if self._is_kept(held, freshness):
            self._touch()
            return True
        if self._folder.rests:
            return True
        try:
            self._alone(lambda: self._write(held, freshness, is_cut))
        except IntegrityError:
            return False
        except StoreError:  # disconnected, or lines that are none
            pass
        return True

    def _alone(self, write: Callable[[], None]) -> None:
        """Write, unless another process does; what the disk says is no error."""
        import filelock  # seldom needed, and slow to import

        with self._folder.writing(), contextlib.suppress(filelock.Timeout, NotImplementedError):
            self._folder.make(self._place)
            remove_foreign(self._place / _LOCK)  # which is emptied when it is locked
            with filelock.FileLock(self._place / _LOCK, mode=0o600).acquire(timeout=0):
                write()

    def _touch(self) -> None:
        with contextlib.suppress(OSError):
            last_used_now(self._place / NOTE, (self._place / NOTE).stat())

    def _is_kept(self, held: Held, freshness: Freshness) -> bool:
        kept = self._kept
        return kept is not None and (
            (kept.index_sha256, kept.validators, kept.head, kept.source, kept.freshness)
            == (held.sha256, held.validators, held.head, held.source, freshness.as_json())
        )

    def _write(self, held: Held, freshness: Freshness, is_cut: Callable[[], bool]) -> None:
        """Write the document, unless it lies there, and then the note, which makes it count."""
        remove_leftovers(self._place)
        self.parts.clear()
        note = self._note_of_document(held, freshness)
        if note is not None:
            self._write_note(note)
            return
        self._write_note(self._write_document(held, freshness, is_cut))
        self._folder.evict(self._folder.max_bytes)

    def _write_note(self, note: Note) -> None:
        with atomic_file(self._place / NOTE, sync=False, mode=0o600) as file:
            file.write(note.encode())
        self._kept = note

    def _note_of_document(self, held: Held, freshness: Freshness) -> Note | None:
        """Return the new note, if the document that lies there is the right one."""
        try:
            note = read_note(self._place)
        except (OSError, ValueError):
            return None
        if note.index_sha256 != held.sha256:
            return None
        return dataclasses.replace(
            note,
            fetched=time.time(),
            validators=held.validators,
            head=held.head,
            source=held.source,
            freshness=freshness.as_json(),
        )

    def _forget(self) -> None:
        """Let the document that lies here count no longer."""
        with contextlib.suppress(OSError):
            self._folder.check(self._place)
            (self._place / NOTE).unlink(missing_ok=True)

    def _write_document(self, held: Held, freshness: Freshness, is_cut: Callable[[], bool]) -> Note:
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
            self._forget()  # lest it tell of another document
        return Note(
            root=self._root.url,
            fetched=time.time(),
            size=size,
            sha256=digest.hexdigest(),
            entries=entries,
            index_sha256=held.sha256,
            validators=held.validators,
            head=held.head,
            source=held.source,
            freshness=freshness.as_json(),
            warnings=warnings,
        )


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError("a time is not finite")
    return float(number)


def read_note(place: Path) -> Note:
    """Read the note of a site.

    Raises
    ------
    ValueError
        It is damaged.
    OSError
        It is not there, not the user's own, or cannot be read.
    """
    return Note.parse(read_own(place / NOTE, _MOST_NOTE_BYTES))


def verified(place: Path) -> tuple[Note, bytes]:
    """Read the note of a site, and the document that is the one of which it tells.

    Raises
    ------
    ValueError
        One of them is damaged.
    OSError
        One of them is not there, or cannot be read.
    """
    note = read_note(place)
    descriptor, status = open_own(place / DOCUMENT)
    with FileIO(descriptor, "rb") as file:
        if status.st_size != note.size:
            raise ValueError("the document has another size")
        body = file.readall()
    if hashlib.sha256(body).hexdigest() != note.sha256:
        raise ValueError("the document is damaged")
    return note, body


def _pieces(document: Iterable[bytes | memoryview]) -> Iterator[memoryview]:
    """Cut what is long into pieces, so that it can be given up in between."""
    for text in document:
        view = memoryview(text)
        for start in range(0, len(view), _PIECE):
            yield view[start : start + _PIECE]
