"""The options of a publish, as one object for all that passes them on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..documents.compression import Compressing, CompressOption
from ..documents.packs import MOST_PACK_BYTES, PACK_BELOW_BYTES, Packing
from ..guards import Force

if TYPE_CHECKING:
    from ..exports import ExportOption
    from ..feed import FeedOption
    from ..folder.hashing import TotalProgress
    from ..predecessor import PublishedAt
    from ..signatures.key_folder import KeyFolder
    from .metadata import Source

__all__ = ["PublishOptions"]


@dataclass(frozen=True, kw_only=True)
class PublishOptions:
    """The options of a publish, as given; see `publish`."""

    metadata: Source | None = None
    pack: bool = False
    pack_below: int = PACK_BELOW_BYTES
    compress: CompressOption = None
    expire: str | None = None
    browse: bool = False
    feed: FeedOption = None
    parquet: bool | None = None
    also: ExportOption = None
    after: str | os.PathLike[str] | PublishedAt | None = None
    data: str | os.PathLike[str] | None = None
    sign: str | os.PathLike[str] | KeyFolder | None = None
    unsign: bool = False
    force: Force = False
    dry_run: bool = False
    progress: TotalProgress | None = None

    def packing(self) -> Packing | None:
        """Return which values to pack; None to make no new packs.

        Raises
        ------
        ValueError
            `pack_below` is out of range.
        """
        below = self.pack_below
        if type(below) is not int or not 0 < below <= MOST_PACK_BYTES:
            raise ValueError(f"pack_below is from 1 to {MOST_PACK_BYTES} bytes, not {below!r}")
        return Packing(below, writes=not self.dry_run) if self.pack else None

    def compressing(self) -> Compressing:
        """Return which values get compressed copies.

        Raises
        ------
        StoreError
            There is no module that compresses.
        TypeError
            `compress` is neither a pattern, patterns, False nor None.
        """
        return Compressing.of(self.compress, writes=not self.dry_run)
