"""The keys of a snapshot as directories, as file systems show them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache

from ... import tuning
from ...index.fields import Content, parse_time
from ...processes import PerProcess

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...index.snapshot import Index

__all__ = ["Directories", "directory_info", "value_info"]

_Info = dict[str, Any]


def directory_info(path: str) -> _Info:
    """Return what a file system says of a directory."""
    return {"name": path, "size": 0, "type": "directory"}


def value_info(key: str, metadata: Mapping[str, Any]) -> _Info:
    """Return what a file system says of a value, as far as its entry says it.

    Returns
    -------
    dict
        ``name``, ``size`` (bytes, or None) and ``type``; ``sha256``, ``ETag`` (the digest, in
        quotes) and ``mtime`` (seconds since 1970), if the entry says them.

    Examples
    --------
    >>> value_info("a.txt", {"size": 3, "modified": "2026-01-01T00:00:00Z"})
    {'name': 'a.txt', 'size': 3, 'type': 'file', 'mtime': 1767225600.0}
    """
    content = Content.of(metadata)
    info: _Info = {"name": key, "size": content.size, "type": "file"}
    if content.sha256 is not None:
        info["sha256"] = content.sha256
        info["ETag"] = f'"{content.sha256}"'
    if (modified := parse_time(content.modified)) is not None:
        info["mtime"] = modified.timestamp()
    return info


class Directories:
    """The directories of one snapshot; thread-safe.

    A directory is what keys have in common up to a slash, and there is none without keys.

    Parameters
    ----------
    index : Index
        The snapshot; also an attribute.

    Examples
    --------
    >>> from staticstore import Index
    >>> directories = Directories(Index.from_entries({"a/b": {"size": 3}, "c": {}}))
    >>> [info["name"] for info in directories.level("")], directories.has("a")
    (['a', 'c'], True)
    """

    def __init__(self, index: Index) -> None:
        self.index = index
        self._levels = PerProcess(_Levels)

    def has(self, path: str) -> bool:
        """Return whether there is a directory; the root always is."""
        return not path or next(self._keys(path), None) is not None

    def level(self, path: str, stem: str = "") -> list[_Info]:
        """List what is in a directory, and begins with `stem`; empty if there is nothing.

        The first time by a bisection for each entry; then from memory.
        """
        levels = self._levels.get()
        with levels.lock:
            known = levels.by_path.get((path, stem))
        if known is None:
            prefix = (f"{path}/" if path else "") + stem
            known = [self.info(name) for name in self.index.prefixes(prefix)]
            if len(known) <= levels.by_path.maxsize:
                with levels.lock:
                    levels.by_path[path, stem] = known
        return [dict(info) for info in known]

    def below(
        self, path: str, stem: str = "", depth: int | None = None, *, with_directories: bool
    ) -> Iterator[str]:
        """Iterate over what is below a directory; directories end with a slash.

        Parameters
        ----------
        path : str
            The directory.
        stem : str, optional
            What everything begins with, behind the directory.
        depth : int, optional
            1 for what is in the directory itself; by default any depth.
        with_directories : bool
            Whether to include directories.
        """
        if depth is None:
            yield from self._all_below(path, stem, with_directories)
            return
        levels = [iter(self.level(path, stem))]  # not recursive: a key may have any depth
        while levels:
            info = next(levels[-1], None)
            if info is None:
                levels.pop()
            elif info["type"] == "file":
                yield info["name"]
            else:
                if with_directories:
                    yield info["name"] + "/"
                if len(levels) < depth:
                    levels.append(iter(self.level(info["name"])))

    def info(self, name: str) -> _Info:
        """Return the info of a key, or of a directory (with a slash at its end)."""
        if name.endswith("/"):
            return directory_info(name[:-1])
        return value_info(name, self.index[name])

    def _all_below(self, path: str, stem: str, with_directories: bool) -> Iterator[str]:
        start = len(path) + 1 if path else 0
        before: list[str] = []
        for key in self._keys(path, stem):
            if with_directories:
                parts = key[start:].split("/")[:-1]
                same = takewhile(lambda two: two[0] == two[1], zip(parts, before, strict=False))
                known = sum(1 for _ in same)
                for depth in range(known + 1, len(parts) + 1):
                    yield key[:start] + "/".join(parts[:depth]) + "/"
                before = parts
            yield key

    def _keys(self, path: str, stem: str = "") -> Iterator[str]:
        prefix = (f"{path}/" if path else "") + stem
        for key in self.index.keys_from(prefix):
            if not key.startswith(prefix):
                return
            yield key


class _Levels:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.by_path: LRUCache[tuple[str, str], list[_Info]] = LRUCache(
            tuning.LISTED_ENTRIES, getsizeof=lambda infos: len(infos) + 1
        )
