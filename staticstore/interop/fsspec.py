"""Sites as file systems of fsspec, for ``staticstore://`` URLs."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

try:
    from fsspec.asyn import AsyncFileSystem, get_loop
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "staticstore.interop.fsspec needs fsspec, which the extra `fsspec` brings", name=error.name
    ) from error
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.config import apply_config, conf
from fsspec.utils import isfilelike

from ..errors import IntegrityError, TransportError
from ..index.fields import Content
from .file_systems.directories import Directories
from .file_systems.file_descriptions import FileDescriptions, not_found
from .file_systems.files import AwaitedFile, UncachedFile
from .file_systems.process_store import ProcessStore
from .file_systems.storage_options import OF_FSSPEC, StorageOptions
from .snapshot_reading import SnapshotReading

if TYPE_CHECKING:
    from ..client.store import StaticStore

__all__ = ["StaticStoreFileSystem"]

T = TypeVar("T")
_Info = dict[str, Any]


class _WithoutSecrets(type(AsyncFileSystem)):  # type: ignore[misc]
    # Takes the secrets out of the arguments before fsspec makes a token of them, and keeps
    # them as `storage_options`.

    def __call__(cls, *args: Any, **options: Any) -> Any:
        sealed = StorageOptions.of(args, apply_config(cls, options))
        # fsspec adds what it is configured with, unless it is given.
        configured = dict.fromkeys(conf.get(cls.protocol, ()))
        files = super().__call__(**{**configured, **dict(sorted(sealed.public.items()))})
        files.storage_options = _given(files.storage_options)
        return files


class _ReadOnly:
    # Refuses all that writes.

    async def _refuse(self, path: object = None, *args: Any, **kwargs: Any) -> NoReturn:
        raise _read_only(path)

    def refuse(self, path: object = None, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise an `OSError` with ``EROFS``: nothing can be written.

        Raises
        ------
        OSError
            Always.
        """
        raise _read_only(path)

    # fsspec makes the methods without an underscore of these.
    _mkdir = _makedirs = _pipe = _pipe_file = _put = _put_file = _refuse
    _copy = _cp_file = _mv_file = _rm = _rm_file = _refuse
    # These have no such counterpart, or do more than to call it.
    rmdir = touch = mv = move = rename = refuse
    delete = upload = write_bytes = write_text = start_transaction = refuse


class StaticStoreFileSystem(_ReadOnly, FileDescriptions, metaclass=_WithoutSecrets):
    r"""A site as a read-only file system of fsspec.

    fsspec makes it of URLs such as ``staticstore://KEY``, with the parameters below as
    ``storage_options``, and of ``staticstore://KEY::https://data.example.org/site/``, without
    any.  Paths are keys; a directory is what keys have in common up to a slash.

    The site is connected at the first use.  It is polled when it is used, if it was last
    polled more than `max_age` seconds ago; a poll that fails leaves the snapshot as it is.
    File systems of one process with the same options share one connection.  Methods of fsspec
    without an underscore may be called by any thread, and in forked children.

    ``storage_options``, pickles, JSON, tokens and the repr contain no secrets.  What is
    unpickled uses the connection that file systems of its process have to the same site, or
    makes its own.

    Parameters
    ----------
    root : str, path or several of them
        As of `StaticStore`; by default the URL at the end of a chain.
    auth : optional
        As of `StaticStore.connect`; or ``"module:function"``, the name of a function to import.
        A function that can be imported is kept by its name, and called where the file system
        is unpickled; other credentials stay in this process.
    max_age : float, optional
        Seconds after which what is used is polled first; 0 to poll at each use.
    **options
        The others of `StaticStore`, but for ``poll_interval``, those of
        `StaticStore.connect`, and those of `fsspec.asyn.AsyncFileSystem`.

    Raises
    ------
    TypeError, ValueError
        An option is unknown or invalid, or none says where the site is.

    Notes
    -----
    A listing costs a bisection for each of its entries the first time, and nothing is
    requested.  What writes raises `OSError` with ``EROFS``.

    Examples
    --------
    >>> import fsspec
    >>> from staticstore.interop.fsspec import StaticStoreFileSystem
    >>> files = StaticStoreFileSystem(sample_site)
    >>> files.ls("terrain", detail=False)[:2]
    ['terrain/contours.geojson', 'terrain/dem.tif']
    >>> files.cat_file("terrain/dem.tif", 0, 4)
    b'II*\x00'
    """

    protocol = "staticstore"
    _pid: int

    def __init__(self, root: Any, *, max_age: float | None = None, **options: Any) -> None:
        max_age = 300.0 if max_age is None else max_age
        if not isinstance(max_age, int | float) or not max_age >= 0:
            raise ValueError(f"max_age is in seconds, 0 or more, not {max_age!r}")
        super().__init__(**{name: options[name] for name in OF_FSSPEC & options.keys()})
        self._options = StorageOptions.known(_given({"root": root, **options}))
        self._max_age = max_age
        self._options.store()  # raises what is wrong with its arguments
        self._found_store: ProcessStore | None = None

    # -- the store ---------------------------------------------------------------

    @property
    def loop(self) -> Any:
        """The event loop that runs the methods without an underscore."""
        if self._pid != os.getpid():  # of a forked child
            self._pid = os.getpid()
            self._loop = None if self.asynchronous else get_loop()
        return self._loop

    @property
    def _process_store(self) -> ProcessStore:
        if self._found_store is None:
            self._found_store = ProcessStore.of(self._options)
        return self._found_store

    @property
    def _since(self) -> float:
        return time.monotonic() - self._max_age

    def _ready(self) -> StaticStore:
        return self._process_store.ready(self._since)

    async def _store(self) -> StaticStore:
        return await self._process_store.ready_async(self._since)

    async def _directories(self) -> Directories:
        await self._store()
        return await self._process_store.directories_async()

    def _known_directories(self) -> Directories | None:
        return self._process_store.known_directories()

    def invalidate_cache(self, path: str | None = None) -> None:
        """Poll the site at the next use, however long ago it was polled."""
        self._process_store.forget_age()

    def __repr__(self) -> str:
        """Show the root; no secret, and without I/O."""
        root = self._options.public["root"]
        return f"<StaticStoreFileSystem: {root if isinstance(root, str) else ', '.join(root)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the options, without secrets but for queries of the roots."""
        return _unpickled, (type(self), self._options.pickled(self.storage_options))

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        stripped = super()._strip_protocol(path)
        return stripped if isinstance(stripped, list) else stripped.lstrip("/")

    # -- bytes -------------------------------------------------------------------

    async def _cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        return await self._part(await self._store(), path, start, end)

    async def _part(
        self, store: StaticStore, path: str, start: int | None = None, end: int | None = None
    ) -> bytes:
        key = self._strip_protocol(path)

        async def read(store: StaticStore) -> bytes:
            if start in (None, 0) and end is None:
                return await store.read_async(key)
            return await store.get_range_async(key, start, end)

        return await self._read(store, key, read)

    async def _read(
        self, store: StaticStore, key: str, read: Callable[[StaticStore], Awaitable[T]]
    ) -> T:
        """Read a value; once more if the site has published another since the last poll."""
        try:
            try:
                return await read(store)
            except IntegrityError:
                before = await store.get_async(key)
                self.invalidate_cache()
                store = await self._store()
                if (await store.get_async(key)).metadata == before.metadata:
                    raise
                return await read(store)
        except KeyError:
            raise not_found(key, self._known_directories()) from None

    async def _cat(
        self,
        path: Any,
        recursive: bool = False,
        on_error: str = "raise",
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> Any:
        paths = await self._expand_path(path, recursive=recursive)
        if recursive:
            kinds = await asyncio.gather(*map(self._isdir, paths))
            paths = [
                one for one, is_directory in zip(paths, kinds, strict=True) if not is_directory
            ]
        is_single = isinstance(path, str) and paths == [self._strip_protocol(path)]
        store = await self._store()
        # All at once, so that they are fetched together.
        read = [self._part(store, one, **kwargs) for one in paths]
        found = await asyncio.gather(*read, return_exceptions=True)
        if on_error == "raise":
            _raise_first(found)
        if is_single:
            return found[0]
        return {
            name: data
            for name, data in zip(paths, found, strict=True)
            if on_error != "omit" or not isinstance(data, BaseException)
        }

    async def _cat_ranges(
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        batch_size: int | None = None,
        on_error: str = "return",
        **kwargs: Any,
    ) -> list[Any]:
        if not isinstance(paths, list):
            raise TypeError(f"paths is a list, not {type(paths).__name__}")
        many_starts, many_ends = (
            list(one) if isinstance(one, Iterable) else [one] * len(paths) for one in (starts, ends)
        )
        store = await self._store()
        parts = zip(paths, many_starts, many_ends, strict=True)
        read = [self._part(store, *one) for one in parts]
        found = await asyncio.gather(*read, return_exceptions=True)
        if on_error != "return":
            _raise_first(found)
        return found

    async def _get_file(
        self, rpath: str, lpath: Any, callback: Any = DEFAULT_CALLBACK, **kwargs: Any
    ) -> None:
        key = self._strip_protocol(rpath)
        if await self._isdir(key):
            os.makedirs(lpath, exist_ok=True)
            return
        if isfilelike(lpath):
            lpath.write(await self._cat_file(key))
            return

        def progress(done: int, total: int | None) -> None:
            callback.set_size(total)
            callback.absolute_update(done)

        store = await self._store()
        await self._read(store, key, lambda store: store.to_file_async(key, lpath, progress))

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: object = None,
        cache_type: str | None = None,
        cache_size: int = 8 << 20,
        **kwargs: Any,
    ) -> Any:
        key = self._strip_protocol(path)
        if mode != "rb":
            raise _read_only(key)
        try:
            value = self._ready().get(key)
        except KeyError:
            raise not_found(key, self._known_directories()) from None
        if cache_type != "none":
            return value.open(cache_size=cache_size)
        return UncachedFile(self, value, block_size)

    async def open_async(self, path: str, mode: str = "rb", **kwargs: Any) -> AwaitedFile:
        r"""Open a value as a file whose ``read`` is awaited.

        It is read as the snapshot of now describes it.  One request is made, if the index
        does not say the size.

        Parameters
        ----------
        path : str
            The key.
        mode : str, optional
            ``"rb"``.
        **kwargs
            As of fsspec; without effect.

        Returns
        -------
        AwaitedFile
            With ``await file.read(n)``, ``seek``, ``tell`` and ``size``, in bytes.  Use it in
            an ``async with`` block, or ``await file.close()``.

        Raises
        ------
        FileNotFoundError
            There is no such key.
        OSError
            The mode is one that writes: ``EROFS``.
        ValueError
            The mode is one of text, or `compression` is given.
        TransportError
            Neither the index nor the host says the size.

        Examples
        --------
        >>> import asyncio
        >>> async def main():
        ...     files = StaticStoreFileSystem(sample_site, asynchronous=True)
        ...     async with await files.open_async("terrain/dem.tif") as file:
        ...         return file.size, await file.read(4), file.tell()
        >>> asyncio.run(main())
        (96510, b'II*\x00', 4)
        """
        if "b" not in mode or kwargs.get("compression"):
            raise ValueError("what is awaited are bytes: the mode is 'rb', without compression")
        key = self._strip_protocol(path)
        if mode != "rb":
            raise _read_only(key)
        site = SnapshotReading(await self._store())
        try:
            value = await site.get_async(key)
        except KeyError:
            raise not_found(key) from None
        if (size := Content.of(value.metadata).size) is None:
            size = await site.called(lambda: value.size)
        if size is None:
            raise TransportError("neither the index nor the host says the size", key=key)
        return AwaitedFile(self, site, value, size)


def _read_only(path: object) -> OSError:
    text = "a site cannot be written by its readers: change its folder, and publish it"
    return OSError(errno.EROFS, text, path if path and isinstance(path, str) else None)


def _given(options: _Info) -> _Info:
    return {name: value for name, value in options.items() if value is not None}


def _raise_first(found: Iterable[Any]) -> None:
    for one in found:
        if isinstance(one, BaseException):
            raise one


def _unpickled(kind: type[StaticStoreFileSystem], options: _Info) -> StaticStoreFileSystem:
    return kind(**StorageOptions.unpickled(options))
