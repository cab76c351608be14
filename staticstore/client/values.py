"""The values of one snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..index.fields import Content
from ..index.keys import key_to_url_path
from ..index.query import selected, selection
from .kept import KeptValues
from .value import URLValue

if TYPE_CHECKING:
    from ..index.snapshot import Index
    from ..transport.session import Session
    from ..transport.sources import Sources
    from .lazy import LazyIndex
    from .settings import Settings

__all__ = ["Values"]


class Values(Mapping[str, URLValue]):
    """The values of one snapshot: what it lists stays what it gives, whatever polls bring."""

    def __init__(
        self,
        index: Index | LazyIndex,
        sources: Sources,
        data_path: str,
        kept: KeptValues,
        settings: Settings,
    ) -> None:
        self.index = index
        self._sources = sources
        self.data_path = data_path
        self.kept = kept
        self._settings = settings

    @property
    def session(self) -> Session:
        """The way to the root that is asked first."""
        return self._sources.session

    @property
    def folders(self) -> list[str]:
        """The roots that are folders of this machine, in order of preference."""
        sessions = (*self._sources.alike, *self._sources.unlike)
        return [folder for one in sessions if (folder := one.root.folder) is not None]

    def __getitem__(self, key: str) -> URLValue:
        """Return a value; nothing is requested."""
        from ..transport.remote_value import RemoteValue

        metadata = self.index[key]
        content = Content.of(metadata)
        url_path = key_to_url_path(self.data_path, key)
        sources = self._sources
        target = RemoteValue(
            sources.session,
            url_path,
            key,
            content.size,
            content.sha256,
            sources=None if sources.is_one else sources,
        )
        return URLValue(target, metadata, content, self.kept, self._settings)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, in order."""
        return iter(self.index)

    def __len__(self) -> int:
        """Count the keys."""
        return len(self.index)

    def __contains__(self, key: object) -> bool:
        """Tell whether there is such a key."""
        return key in self.index

    def metadata(self, key: str, select: Iterable[str] | None = None) -> dict[str, Any]:
        """Return the metadata of a key, or the fields of it that are wanted."""
        return selected(self.index[key], selection(select))
