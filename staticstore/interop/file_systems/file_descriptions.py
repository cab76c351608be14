"""The half of a file system that tells what there is."""

from __future__ import annotations

import errno
import hashlib
from abc import abstractmethod
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fsspec.asyn import AsyncFileSystem, sync

from .directories import Directories, directory_info, value_info

if TYPE_CHECKING:
    from ...client.store import StaticStore
    from ...client.value import URLValue

__all__ = ["FileDescriptions", "not_found"]

_Info = dict[str, Any]


class FileDescriptions(AsyncFileSystem):  # type: ignore[misc]
    """The half of `StaticStoreFileSystem` that lists and describes."""

    @abstractmethod
    def _ready(self) -> StaticStore:
        """Return the store, connected, and polled if it is due."""

    @abstractmethod
    async def _store(self) -> StaticStore:
        """Return the store as `_ready`, without blocking the event loop."""

    @abstractmethod
    async def _directories(self) -> Directories:
        """Return the directories of the current snapshot."""

    @abstractmethod
    def _known_directories(self) -> Directories | None:
        """Return the directories without a request; None of a lazy store."""

    async def _ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        if kwargs.get("refresh"):
            self.invalidate_cache()
        path = self._strip_protocol(path)
        directories = await self._directories()
        found = directories.level(path)
        if not found and path:
            found = [await self._info(path)]
        return found if detail else [info["name"] for info in found]

    async def _info(self, path: str, **kwargs: Any) -> _Info:
        path = self._strip_protocol(path)
        if not path:
            return directory_info(path)
        store = await self._store()
        try:
            value: URLValue = await store.get_async(path)
        except KeyError:
            if (await self._directories()).has(path):
                return directory_info(path)
            raise not_found(path) from None
        metadata = value.metadata
        info = value_info(path, metadata)
        if info["size"] is None:
            info.update(await _said(store, path))
        return {**info, "metadata": metadata}

    async def _exists(self, path: str, **kwargs: Any) -> bool:
        return await self._type(path) is not None

    async def _isfile(self, path: str) -> bool:
        return await self._type(path) == "file"

    async def _isdir(self, path: str) -> bool:
        return await self._type(path) == "directory"

    async def _type(self, path: str) -> str | None:
        path = self._strip_protocol(path)
        store = await self._store()
        if path and await store.get_async(path, None) is not None:
            return "file"
        return "directory" if (await self._directories()).has(path) else None

    async def _find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, **kwargs: Any
    ) -> list[str] | dict[str, _Info]:
        detail, stem = kwargs.pop("detail", False), kwargs.pop("prefix", "")
        path = self._strip_protocol(path)
        directories = await self._directories()
        if maxdepth is not None and maxdepth < 1:
            raise ValueError(f"maxdepth is 1 or more, not {maxdepth}")
        names = list(directories.below(path, stem, maxdepth, with_directories=withdirs))
        if withdirs and path and not stem and names:
            names.insert(0, path + "/")
        if not names and path and await self._isfile(path):
            names = [path]
        if not detail:
            return sorted(name.rstrip("/") for name in names)
        return {name.rstrip("/"): directories.info(name) for name in sorted(names)}

    async def _du(
        self, path: str, total: bool = True, maxdepth: int | None = None, **kwargs: Any
    ) -> int | dict[str, int]:
        found: Any = await self._find(path, maxdepth=maxdepth, detail=True, **kwargs)
        sizes = {}
        for name, info in found.items():
            if info["type"] == "file":
                size = info["size"]
                sizes[name] = (await self._info(name))["size"] or 0 if size is None else size
        return sum(sizes.values()) if total else sizes

    def ukey(self, path: str) -> str:
        """Return the sha256 of a value, or a digest of what its host says of it."""
        info = self.info(path)
        if "sha256" not in info and info["type"] == "file":
            info.update(self._asked(path))
        known: str = info.get("sha256") or hashlib.sha256(repr(info).encode()).hexdigest()
        return known

    def checksum(self, path: str) -> int:
        """Return `ukey` as a number."""
        return int(self.ukey(path), 16)

    def modified(self, path: str) -> datetime:
        """Return when the content of a value was first published, or what its host says."""
        path = self._strip_protocol(path)
        info = self.info(path)
        if info["type"] == "directory":
            raise not_found(path, self._known_directories())
        if "mtime" not in info:
            info = self._asked(path)
        if "mtime" not in info:
            raise FileNotFoundError(f"neither the index nor the host says when {path} was changed")
        return datetime.fromtimestamp(info["mtime"], UTC)

    def _asked(self, path: str) -> _Info:
        info: _Info = sync(self.loop, _said, self._ready(), self._strip_protocol(path))
        return info

    #: The content of a value is as old as its publication: the same as `modified`.
    created = modified

    def sign(self, path: str, expiration: float = 100, **kwargs: Any) -> str:
        """Return a URL of a value to hand on, of a site in a bucket: `StaticStore.sign`.

        Parameters
        ----------
        path : str
            The key.
        expiration : float, optional
            Seconds for which anybody may read it.
        """
        key = self._strip_protocol(path)
        try:
            return self._ready().sign(key, expires=expiration)
        except KeyError:
            raise not_found(key, self._known_directories()) from None


def not_found(path: str, directories: Directories | None = None) -> OSError:
    """Return the error for a path that is no key.

    Parameters
    ----------
    path : str
        The path.
    directories : Directories, optional
        Those of the snapshot, which the path may be one of.
    """
    if directories is not None and directories.has(path):
        return IsADirectoryError(errno.EISDIR, "a directory of the site, not a value", path)
    hint = ""
    if "://" in path:
        hint = ": paths are keys, without the URL of the site"
    elif path.startswith("data/"):
        hint = ": paths are keys, which mostly have no data/"
    return FileNotFoundError(errno.ENOENT, f"the site has no such key{hint}", path)


async def _said(store: StaticStore, path: str) -> _Info:
    """Return what the host says of a value."""
    value = await store.head_async(path)
    said: _Info = {"size": value.size}
    if value.modified is not None:
        said["mtime"] = value.modified.timestamp()
    if value.sha256 is None and value.etag is not None:
        said["ETag"] = value.etag
    return said
