"""The feed in a site's folder, and what a publish adds to it."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from ..disk.atomic import atomic_file
from ..disk.file_system import read_regular
from ..errors import IndexFormatError, StoreError, quoted, raise_alone, without_secrets
from ..index import codec
from ..transport.http.root import Root
from .documents.feed import (
    FEED_NAME,
    Feed,
    entry_of_publish,
    our_feed,
    render_feed,
)
from .documents.root_files import OwnFiles

if TYPE_CHECKING:
    from pathlib import Path

    from ..index.about import About
    from ..index.head import Head
    from .folder.last_publish import PublishReport
    from .folder.site_folder import SiteFolder

__all__ = ["FeedOption", "SiteFeed", "checked_feed_url"]

#: The root URL of the site; False for no feed; None for what there is.
FeedOption = str | Literal[False] | None

_FORMAT = "staticstore-feed/1"
_MOST_NOTE_BYTES = 1 << 16


def checked_feed_url(url: object) -> str:
    """Return the root URL of a site for its feed, with a slash at its end.

    Raises
    ------
    ValueError
        It is no http(s) URL, or has a password or a query: a feed is public.

    Examples
    --------
    >>> checked_feed_url("https://data.example.org/site")
    'https://data.example.org/site/'
    """
    what = "a feed needs the http(s) URL at which the site is published"
    if not isinstance(url, str):
        raise ValueError(f"{what}, or False, not {url!r}")
    shown = quoted(without_secrets(url))
    try:
        parts = urlsplit(url)
        root = Root(url)
    except ValueError as error:
        raise_alone(ValueError(f"{what}: {shown} cannot be used: {error}"))
    if parts.scheme.lower() not in ("http", "https"):
        raise ValueError(f"{what}, not {shown}")
    if root.userinfo is not None or root.query:
        raise ValueError(f"{what}, without a password and a query, not {shown}: anybody sees it")
    return root.url


@dataclass(frozen=True)
class SiteFeed:
    """The feed of a site's folder, before a publish.

    Attributes
    ----------
    folder : SiteFolder
        The site.
    url : str or None
        The root URL of its links from now on; None for no feed.
    published : bytes or None
        The feed of the published site, unparsed; None if none was read.
    """

    folder: SiteFolder
    url: str | None
    published: bytes | None = None

    @classmethod
    def open(cls, folder: SiteFolder, wanted: FeedOption) -> SiteFeed:
        """Read the feed and the note of a site.

        Raises
        ------
        ValueError
            `wanted` is no URL for a feed.
        StoreError
            A feed is wanted in the place of a file that staticstore did not write.
        """
        url = None if wanted in (None, False) else checked_feed_url(wanted)
        body = our_feed(folder)
        if wanted is None:
            url = _noted_url(_note(folder))
        if wanted is url is None and body is not None:  # a fresh checkout
            old = Feed.parse(body)
            url = None if old is None else old.url
        if url is not None and body is None and OwnFiles(folder).sha256_of(FEED_NAME) is not None:
            raise StoreError(
                f"{quoted(str(folder.root / FEED_NAME))} is not replaced by a feed: staticstore "
                "did not write it. Move it away, or publish without the feed (--no-feed)"
            )
        return cls(folder, url)

    def write(
        self, head: Head, old_head: Head | None, report: PublishReport, about: About | None
    ) -> None:
        """Write the feed of a publish, or remove it; what has not changed is not written.

        Parameters
        ----------
        head, old_head : Head
            The new head, and the one that the publish continued; None if there was none.
        report : PublishReport
            What has changed.
        about : About or None
            The site's own words.

        Raises
        ------
        OSError
            It cannot be written.
        """
        # Read while the folder is locked: another publish may have written it meanwhile.
        body = our_feed(self.folder)
        # Ours also in a fresh checkout, which has no notes.
        known = frozenset() if body is None else frozenset({hashlib.sha256(body).hexdigest()})
        own = OwnFiles(self.folder)
        if self.url is None:
            own.remove(FEED_NAME, known)
            _note(self.folder).unlink(missing_ok=True)
            return
        entry = None
        if old_head is None or (old_head.lineage, old_head.generation) != (
            head.lineage,
            head.generation,
        ):
            entry = entry_of_publish(
                self.url,
                self.folder.data_path,
                head,
                {"set": report.set, "update": report.updated, "delete": report.deleted},
                has_new_about=(None if old_head is None else old_head.about) != head.about,
            )
        _write_note(_note(self.folder), self.url)
        old = _newer(body, self.published)
        own.write(FEED_NAME, render_feed(self.url, old, head, about, entry), known)


def _newer(here: bytes | None, published: bytes | None) -> Feed | None:
    # Of two that are equally new, the one of the folder.
    feeds = [Feed.parse(body) for body in (here, published) if body is not None]
    return max(filter(None, feeds), key=lambda feed: feed.updated, default=None)


def _note(folder: SiteFolder) -> Path:
    return folder.private / "feed.json"


def _noted_url(note: Path) -> str | None:
    # A note that is missing or cannot be used says nothing.
    with contextlib.suppress(OSError, IndexFormatError, LookupError, TypeError, ValueError):
        said = codec.decode(read_regular(note, _MOST_NOTE_BYTES))
        return checked_feed_url(said["url"]) if said["format"] == _FORMAT else None
    return None


def _write_note(note: Path, url: str) -> None:
    if _noted_url(note) != url:
        with atomic_file(note) as file:
            file.write(codec.encode({"format": _FORMAT, "url": url}) + b"\n")
