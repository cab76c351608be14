"""The types of parameters: files, folders, sites, targets and keys.

Each says what a shell completes.  Keys are completed from an index on this machine, in a
folder or in the cache: nothing is requested while somebody types.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from click.shell_completion import CompletionItem
from click.types import StringParamType

from .. import tuning
from ..errors import StoreError

if TYPE_CHECKING:
    from ..client.cache.folder import CacheFolder

__all__ = [
    "FILE",
    "FOLDER",
    "KEY",
    "SITE_URL",
    "TARGET",
    "LocalPath",
    "data_option",
    "data_path_of",
]

_Items = list[CompletionItem[str]]


class LocalPath(click.Path):
    """A path of this machine, whose ``~`` is expanded as in a shell, also in ``--option=~/x``.

    Parameters
    ----------
    kind : "file" or "dir"
        What a shell completes.
    exists : bool, optional
        Whether it must exist.
    """

    def __init__(self, kind: Literal["file", "dir"], *, exists: bool = False) -> None:
        super().__init__(exists=exists, readable=exists)
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path with the home folder in the place of ``~``."""
        return super().convert(os.path.expanduser(value), param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> _Items:
        """Leave it to the shell, which completes names of files or folders."""
        return [CompletionItem(incomplete, type=self._kind)]


class SiteURL(LocalPath):
    """The root of a site, a URL or a folder."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> _Items:
        """Offer the sites whose indexes are cached, else folders."""
        roots = sorted({root for root in _cached_roots(ctx) if root.startswith(incomplete)})
        if roots:
            return [CompletionItem(root) for root in roots]
        return super().shell_complete(ctx, param, incomplete)


class TargetURL(LocalPath):
    """Where a site is pushed to: a folder, or a bucket with its scheme."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the target; refuse what may be a bucket without its scheme."""
        path = super().convert(value, param, ctx)
        is_meant = "://" in path or path.startswith((".", os.sep)) or Path(path).is_absolute()
        if not (is_meant or path != value or os.path.isdir(path)):
            self.fail(
                f"{value!r} is no folder that exists: give ./{value} for a new folder, "
                f"or s3://{value} (gs://, az://) for a bucket",
                param,
                ctx,
            )
        return path


class KeyName(StringParamType):
    """A key, or a shell pattern."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> _Items:
        """Offer keys up to the next slash, as a shell offers names of files."""
        url = ctx.params.get("url")
        if not isinstance(url, str):
            return []
        names = _levels(_known_keys(ctx, url), incomplete)
        return [CompletionItem(name, is_open=name.endswith("/")) for name in names]


FILE = LocalPath("file")
FOLDER = LocalPath("dir")
SITE_URL = SiteURL("dir")
TARGET = TargetURL("dir")
KEY = KeyName()


def data_option(help_text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the option ``--data`` of what reads a site's folder."""
    return click.option("--data", metavar="FOLDER", type=FOLDER, help=help_text)


def data_path_of(url: str, data: str | None) -> str:
    """Return where the values of a site are: as ``--data`` says, or the note in a folder."""
    if data is not None:
        return data.strip("/") + "/"
    if not os.path.isdir(url):
        return "data/"
    from ..site.folder.site_folder import SiteFolder  # seldom needed

    return SiteFolder.of(url).data_path


def _levels(keys: Iterable[str], beginning: str) -> Iterator[str]:
    last = None
    count = 0
    for key in keys:
        if not key.startswith(beginning):
            continue
        end = key.find("/", len(beginning))
        name = key if end < 0 else key[: end + 1]
        if name != last:
            if (count := count + 1) > tuning.COMPLETED_KEYS:
                return
            yield name
        last = name


def _known_keys(ctx: click.Context, url: str) -> Iterable[str]:
    from ..index.snapshot import Index
    from ..transport.http.root import Root

    try:
        root = Root(url)
        if root.folder is not None:
            return Index.parse(Path(root.folder, "index.json").read_bytes())
        folder = _cache(ctx)
        if folder is None:
            return ()
        from ..client.cache.index import CachedIndex  # slow to import

        data_path = data_path_of(url, ctx.obj.data)
        known = CachedIndex(folder, root, "index.json", data_path).read()
        return () if known is None else known[0].index.checked()
    except (StoreError, OSError, ValueError):  # somebody is typing: say nothing
        return ()


def _cached_roots(ctx: click.Context) -> Iterable[str]:
    from ..client.cache.index import sites_in

    folder = _cache(ctx)
    return () if folder is None else (site.note.root for site in sites_in(folder))


def _cache(ctx: click.Context) -> CacheFolder | None:
    from ..client.cache.folder import CacheFolder

    named: CacheFolder | None = getattr(ctx.obj, "cache", None)  # by --cache or its variable
    try:
        return CacheFolder.of(True) if named is None else named
    except StoreError:  # there is no home folder
        return None
