"""Packs and compressed copies, fetched into a mirror with their values."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ... import tuning
from ...disk.atomic import atomic_file
from ...disk.file_system import open_regular, sync_files, sync_folder
from ...errors import NotConnectedError, StoreError
from ...index.fields import Content
from ...index.head import NamedDocument, Role
from ...transport.many.batch import fetch_all
from ...transport.many.request import SizedRequest
from ...transport.values.download import download
from ...transport.values.stream import copy_whole
from ...workers import Workers
from ...zstd import (
    DecompressionError,
    decompress_file,
    decompressed_copy,
    find_zstd,
    may_decompress,
)
from ..documents.document_files import place_file, write_pieces

if TYPE_CHECKING:
    from ...index.hidden import CompressedCopy
    from ...transport.values.remote_value import RemoteValue
    from ..folder.retention import NamedByEntries
    from ..folder.site_folder import SiteFolder
    from .fetching import Fetching

__all__ = ["fetch_named"]

_FOLDER = Role.COMPRESSED.folder


def fetch_named(
    folder: SiteFolder, named: NamedByEntries, fetching: Fetching, keys: Sequence[str]
) -> list[str]:
    """Fetch packs and compressed copies, and stage the values in them.

    One that cannot be fetched is left out.

    Parameters
    ----------
    folder : SiteFolder
        The mirror's folder.
    named : NamedByEntries
        What the index of the site names.
    fetching : Fetching
        Takes the values.
    keys : sequence of str
        The values to stage.

    Returns
    -------
    list of str
        The other keys.

    Raises
    ------
    NotConnectedError
        The store was disconnected.
    OSError
        The disk failed.
    """
    left = fetching.fetch_packs(folder, named.packs, keys)
    return _CopyFetching(folder, named.copies, fetching).fetch(left) if named.copies else left


class _CopyFetching:
    def __init__(
        self, folder: SiteFolder, copies: Mapping[str, CompressedCopy], fetching: Fetching
    ) -> None:
        self._folder = folder
        self._copies = copies
        self._fetching = fetching
        self._origin = fetching.origin
        self._failures = 0
        self._written: list[str] = []

    def fetch(self, keys: Sequence[str]) -> list[str]:
        """Fetch missing copies and stage their values; return the other keys."""
        wanted = {key for key in keys if key in self._copies} if find_zstd() else set[str]()
        missing = self._missing()
        named = [key for key, copy in self._copies.items() if copy.href in missing or key in wanted]
        contents = self._origin.snapshot.contents_of(named)
        small: list[tuple[str, Content]] = []
        large: dict[str, list[tuple[str, Content]]] = {}
        for key in named:
            content, copy = contents[key], self._copies[key]
            if content.sha256 is None or not may_decompress(copy.size, content.size or 0):
                continue
            if copy.href in missing and (content.size or 0) <= tuning.MIRROR_SMALL_BYTES:
                small.append((key, content))
            else:
                large.setdefault(copy.href, []).append((key, content))
        done = {*self._take_small(small, wanted), *self._take_large(large, missing, wanted)}
        sync_files(self._written)
        if self._written:
            sync_folder(self._folder.root / _FOLDER)
        return [key for key in keys if key not in done]

    def _missing(self) -> set[str]:
        sizes: dict[str, int] = {}
        with contextlib.suppress(OSError), os.scandir(self._folder.root / _FOLDER) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    sizes[f"{_FOLDER}/{entry.name}"] = entry.stat(follow_symlinks=False).st_size
        every = {copy.href: copy for copy in self._copies.values()}
        return {href for href, copy in every.items() if not self._is_here(copy, sizes.get(href))}

    def _is_here(self, copy: CompressedCopy, size: int | None) -> bool:
        if size != copy.size or not self._fetching.verify:
            return size == copy.size
        with open_regular(self._folder.root / copy.href) as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == copy.sha256

    def _remote(self, key: str, copy: CompressedCopy) -> RemoteValue:
        itself = Content(copy.size, copy.sha256, None)
        return self._origin.values.access.remote_value(key, itself)._replace(url_path=copy.href)

    # -- small values ----------------------------------------------------------

    def _take_small(self, some: list[tuple[str, Content]], wanted: set[str]) -> Iterator[str]:
        for batch in self._batches(some):
            requests = [
                SizedRequest(self._copies[key].href, self._copies[key].size) for key, _ in batch
            ]
            answers = fetch_all(self._origin.session, requests)
            for (key, content), answer in zip(batch, answers, strict=True):
                copy = self._copies[key]
                body = None if answer is None else answer.body
                if body is None or hashlib.sha256(body).hexdigest() != copy.sha256:
                    body = self._read(key, copy)
                if body is None:
                    continue
                self._keep(copy, body)
                data = decompressed_copy(body, None, content.size or 0) if key in wanted else None
                if data is not None and hashlib.sha256(data).hexdigest() == content.sha256:
                    self._fetching.put(key, data)
                    yield key

    def _batches(self, some: list[tuple[str, Content]]) -> Iterator[list[tuple[str, Content]]]:
        batch: list[tuple[str, Content]] = []
        size = 0
        for key, content in some:
            length = self._copies[key].size
            if batch and size + length > self._fetching.batch_bytes:
                yield batch
                batch, size = [], 0
            batch.append((key, content))
            size += length
        if batch:
            yield batch

    def _read(self, key: str, copy: CompressedCopy) -> bytes | None:
        if self._failures >= tuning.COPY_FAILURES:
            return None
        file = io.BytesIO()
        try:
            copy_whole(self._remote(key, copy), file)
        except NotConnectedError:
            raise
        except StoreError:
            self._failures += 1
            return None
        self._failures = 0
        return file.getvalue()

    def _keep(self, copy: CompressedCopy, body: bytes) -> None:
        with contextlib.suppress(OSError):  # staging its value will fail, too
            write_pieces(self._folder, Role.COMPRESSED, [body])
            self._written.append(os.fspath(self._folder.root / copy.href))

    # -- large values ----------------------------------------------------------

    def _take_large(
        self, some: Mapping[str, list[tuple[str, Content]]], missing: set[str], wanted: set[str]
    ) -> Iterator[str]:
        with Workers(self._fetching.workers, "staticstore mirror") as pool:
            calls = [
                pool.submit(partial(self._fetch_large, values, wanted, is_missing=href in missing))
                for href, values in some.items()
            ]
            for call in calls:
                for key, path in call.result():
                    with contextlib.suppress(OSError):  # it is fetched in another way, or fails
                        self._fetching.put_file(key, path)
                        yield key

    def _fetch_large(
        self, values: list[tuple[str, Content]], wanted: set[str], *, is_missing: bool
    ) -> list[tuple[str, Path]]:
        key, _ = values[0]
        copy = self._copies[key]
        path = self._folder.root / copy.href
        found = []
        try:
            if is_missing:
                if self._failures >= tuning.COPY_FAILURES:
                    return []
                staged = self._folder.incoming / path.name
                download(self._remote(key, copy), staged, sync=False)
                place_file(self._folder, NamedDocument(Role.COMPRESSED, *copy), staged)
                self._written.append(os.fspath(path))
                self._failures = 0
            for key, content in values:
                if key in wanted:
                    target = self._fetching.staging.path_for(key, content.sha256)
                    if _decompress(path, target, content):
                        found.append((key, target))
        except NotConnectedError:
            raise
        except (StoreError, OSError):
            self._failures += 1
        return found


def _decompress(copy: Path, target: Path, content: Content) -> bool:
    """Decompress a copy into a file; return whether the digest is right."""
    try:
        with open_regular(copy) as source, atomic_file(target, sync=False) as file:
            if decompress_file(source, file, content.size or 0) != content.sha256:
                raise DecompressionError("it is that of another value")
    except DecompressionError:
        return False
    return True
