"""The exports in a site's folder: which there are, and whether they are ours.

``.staticstore/also.json`` has the digests of each file, noted before it is written, so that a
killed publish leaves no file that the next one does not know.  Without that note, as in a
fresh checkout, a file is ours if it is what the published index makes, byte for byte.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..disk.atomic import atomic_file, is_link, later_than
from ..disk.file_system import NotRegularError, open_regular, read_regular
from ..errors import IndexFormatError, StoreError, quoted
from ..index import codec
from ..index.forms.parsing import canonical_lines_of
from ..index.snapshot import Index
from .about import published_about
from .documents.exports import EXPORTS, Export, changed_pieces, rendered_pieces

if TYPE_CHECKING:
    from ..index.about import About
    from .folder.site_folder import SiteFolder
    from .publishing.plan import PublishPlan

__all__ = [
    "ExportOption",
    "NotedExport",
    "SiteExports",
    "checked_names",
    "export_problems",
    "noted_exports",
]

#: The names of the exports that a site is to have; None for those that it has.
ExportOption = Iterable[str] | None

_FORMAT = "staticstore-also/1"
#: To be raised when the same entries make other lines.
_VERSION = 1
_MOST_NOTE_BYTES = 1 << 16


class NotedExport(NamedTuple):
    """What the last publish noted of an export."""

    #: Digests of the file, lowercase hex: the last of them, or any if a publish was killed.
    digests: tuple[str, ...]
    #: The sha256 of the index that it is of; None if that is not certain.
    of_index: str | None


def checked_names(names: Iterable[str]) -> list[str]:
    """Return names of exports, each once and in order.

    Raises
    ------
    ValueError
        There is no export of such a name.

    Examples
    --------
    >>> checked_names(["stac", "sums", "stac"])
    ['stac', 'sums']
    """
    found = sorted(set(names))
    if unknown := [name for name in found if name not in EXPORTS]:
        raise ValueError(
            f"the exports are {', '.join(EXPORTS)}, not {', '.join(map(repr, unknown))}"
        )
    return found


@dataclass(frozen=True)
class SiteExports:
    """The exports of a site, before a publish.

    Attributes
    ----------
    folder : SiteFolder
        The site.
    names : list of str
        Those that it will have, in order; see `EXPORTS`.
    noted : dict
        Those that were written, by name.
    """

    folder: SiteFolder
    names: list[str]
    noted: dict[str, NotedExport] = field(repr=False)

    @classmethod
    def open(cls, folder: SiteFolder, wanted: ExportOption) -> SiteExports:
        """Read which exports a site has.

        Parameters
        ----------
        folder : SiteFolder
            The site.
        wanted : iterable of str or None
            The exports that it is to have from now on; None for those that it has.

        Raises
        ------
        ValueError
            There is no export of such a name.
        """
        given = [wanted] if isinstance(wanted, str) else wanted
        if not isinstance(given, Iterable | None):
            raise TypeError(f"also takes names of exports, such as ['sums'], not {wanted!r}")
        names = None if given is None else checked_names(given)
        noted = _read_note(folder)
        if noted is None:
            noted = _adopted(folder, names)
        return cls(folder, sorted(noted) if names is None else names, noted)

    def check(self) -> None:
        """Check that no file of others is where an export will be.

        Raises
        ------
        StoreError
            There is one.
        """
        for name in self.names:
            path = self.folder.root / EXPORTS[name].file
            if name not in self.noted and os.path.lexists(path):
                raise _foreign(path)

    def write(self, plan: PublishPlan) -> None:
        """Write the exports of a publish, and remove those that are no longer wanted.

        What has not changed is not written.  After few changes only their lines are made anew.

        Parameters
        ----------
        plan : PublishPlan
            The publish; its head is not written yet.

        Raises
        ------
        StoreError
            A file of others has taken the place of one.
        OSError
            One cannot be read or written.
        """
        self.check()
        noted = dict(self.noted)
        for name in sorted(noted.keys() - set(self.names)):
            path = self.folder.root / EXPORTS[name].file
            with contextlib.suppress(NotRegularError):
                if self._own_body(name, path)[0] is not None:
                    path.unlink()
            del noted[name]
        for name in self.names:
            path = self.folder.root / EXPORTS[name].file
            old, before = self._own_body(name, path)
            if old is None and os.path.lexists(path):
                raise _foreign(path)
            pieces = self._pieces(name, plan, old)
            sha256 = _sha256(pieces)
            if before != sha256:
                # Both digests: a killed process leaves either file.
                digests = (*filter(None, [before]), sha256)
                _write_note(self.folder, {**noted, name: NotedExport(digests, None)})
                with atomic_file(path, modified=later_than(path)) as file:
                    file.writelines(pieces)
            noted[name] = NotedExport((sha256,), plan.head.index.sha256)
        if noted != self.noted:
            _write_note(self.folder, noted)

    def _own_body(self, name: str, path: Path) -> tuple[bytes | None, str | None]:
        # And its digest; None if it is missing, or not ours.
        if name not in self.noted or is_link(path) or not path.is_file():
            return None, None
        body = read_regular(path)
        sha256 = _sha256([body])
        return (body, sha256) if sha256 in self.noted[name].digests else (None, None)

    def _pieces(self, name: str, plan: PublishPlan, old: bytes | None) -> list[bytes | memoryview]:
        export, data_path = EXPORTS[name], self.folder.data_path
        before = None if plan.old_head is None else plan.old_head.index.sha256
        if old is not None and plan.changed is not None and self.noted[name].of_index == before:
            raws = plan.changed.items()
            changed = {key: None if raw is None else codec.decode(raw) for key, raw in raws}
            return changed_pieces(export, data_path, old, changed)
        return list(_rendered(export, data_path, plan.about.about, bytes(plan.body)))


def noted_exports(folder: SiteFolder) -> dict[str, NotedExport]:
    """Return the exports that the last publish noted, by name; none without a note."""
    return _read_note(folder) or {}


def _read_note(folder: SiteFolder) -> dict[str, NotedExport] | None:
    # A note that is damaged is none.
    with contextlib.suppress(OSError, IndexFormatError, LookupError, TypeError, AttributeError):
        note = codec.decode(read_regular(_note(folder), _MOST_NOTE_BYTES))
        if note["format"] == _FORMAT:
            is_current = (note["version"], note["data"]) == (_VERSION, folder.data_path)
            return {
                name: NotedExport(
                    tuple(map(str, one["sha256"])), one["index"] if is_current else None
                )
                for name, one in note["files"].items()
                if name in EXPORTS
            }
    return None


def export_problems(folder: SiteFolder, body: bytes) -> Iterator[tuple[str, str]]:
    """Yield the files of exports that are not of an index, and what is wrong.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    body : bytes
        Its index, in canonical form.
    """
    about = published_about(folder, folder.read_head())
    for name in noted_exports(folder):
        path = folder.root / EXPORTS[name].file
        if not os.path.lexists(path):
            yield path.name, "there is no such file: publish the site again"
        elif not _has_pieces(path, _rendered(EXPORTS[name], folder.data_path, about, body)):
            yield path.name, "it is not of this index: publish the site again"


def _adopted(folder: SiteFolder, names: list[str] | None) -> dict[str, NotedExport]:
    """Return the exports without a note that are what the published index makes."""
    found: dict[str, NotedExport] = {}
    if names is None:
        # Of a site that has been published here without exports, no file is looked at.
        had_none = (folder.private / "last.json").exists() and not _note(folder).exists()
        names = [] if had_none else sorted(EXPORTS)
    there = [name for name in names if os.path.lexists(folder.root / EXPORTS[name].file)]
    body = folder.read_index().body if there else None
    if body is None:
        return found
    about = published_about(folder, folder.read_head())
    for name in there:
        path, export = folder.root / EXPORTS[name].file, EXPORTS[name]
        if _has_pieces(path, _rendered(export, folder.data_path, about, body)):
            found[name] = NotedExport((_sha256([read_regular(path)]),), None)
    return found


def _rendered(export: Export, data_path: str, about: About | None, body: bytes) -> Iterator[bytes]:
    try:
        index = Index(canonical_lines_of(body))
    except IndexFormatError:  # an empty index
        index = Index.parse(body)
    yield from rendered_pieces(export, data_path, about, index.stored.items())


def _has_pieces(path: Path, pieces: Iterator[bytes]) -> bool:
    # Whether a file has exactly these bytes; read no further than they are equal.
    try:
        if is_link(path):
            return False
        with io.BufferedReader(open_regular(path)) as file:
            return all(file.read(len(piece)) == piece for piece in pieces) and not file.read(1)
    # An index that was written by hand may lack sizes and digests, or have something else there.
    except (OSError, IndexFormatError, LookupError, TypeError, ValueError):
        return False


def _sha256(pieces: Iterable[bytes | memoryview]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _note(folder: SiteFolder) -> Path:
    return folder.private / "also.json"


def _write_note(folder: SiteFolder, noted: Mapping[str, NotedExport]) -> None:
    files = {
        name: {"sha256": list(one.digests), "index": one.of_index} for name, one in noted.items()
    }
    note = {"format": _FORMAT, "version": _VERSION, "data": folder.data_path, "files": files}
    with atomic_file(_note(folder)) as file:
        file.write(codec.encode(note) + b"\n")


def _foreign(path: Path) -> StoreError:
    return StoreError(
        f"{quoted(str(path))} is not replaced by an export: staticstore did not write it. Move it "
        "away, or publish without this export (also, --also)"
    )
