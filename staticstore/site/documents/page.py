"""The page to browse a site with: one file that needs nothing but the site.

The folder ``browse`` beside this module has its source: ``page.html``, and parts of
script and style, which are joined here.  Their digests stand in the page's own
Content-Security-Policy, so that a browser runs these and nothing else, whatever the
site's keys and metadata contain.  Sites differ in the path of their values and in the
`first_screen`.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import importlib.resources
import os
import re
import threading
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ...disk.atomic import atomic_file, is_link
from ...disk.file_system import NotRegularError, read_regular
from ...errors import StoreError, quoted, reason_of
from ..folder.data_path import DATA_PATH
from .feed import FEED_MEDIA_TYPE, FEED_NAME, our_feed
from .first_screen import FirstScreen

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from ...transport.http.conditions import Representation
    from ..folder.site_folder import SiteFolder

__all__ = [
    "LivePage",
    "check_page",
    "has_our_page",
    "is_our_page",
    "page_of",
    "page_version",
    "render_page",
    "renew_page",
    "shortened",
]

# The parts in the order in which they are joined.
_STYLES = ("colors", "layout", "list", "preview", "copy", "first", "narrow")
_SCRIPTS = (
    "state",
    "first",
    "texts",
    "keys",
    "index",
    "about",
    "follow",
    "query",
    "facets",
    "search",
    "tree",
    "rows",
    "address",
    "selection",
    "preview",
    "copy",
    "save",
    "pictures",
    "files",
    "tables",
    "plots",
    "maps",
    "world",
    "places",
    "formats",
    "main",
)

# What the page needs, and nothing else.  Images are bytes of the site that were verified, or
# what the metadata of a value names on the web.
_POLICY = (
    "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; "
    "img-src blob: data: https: http:; media-src blob:; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_FEED_LINK = f'<link rel="alternate" type="{FEED_MEDIA_TYPE}" href="{FEED_NAME}">\n'
_MOST_PAGE_BYTES = 1 << 20  # ours is smaller
# The second line of our page, in any version.
_PAGE_MARK = re.compile(rb"\A<!DOCTYPE html>\s*<!-- staticstore-page/\d+:")
_PART = re.compile(r"\{\{(.+?)\}\}")
# To the end of a line, and without quotes, so that it is not the end of a text.
_COMMENT = re.compile(r"(^|\s+)// [^\"'`]*$")


def render_page(
    screen: FirstScreen | None = None, data_path: str = DATA_PATH, *, has_feed: bool = False
) -> bytes:
    """Return the page.

    Parameters
    ----------
    screen : FirstScreen, optional
        What it shows without its script; by default that of a site without an index.
    data_path : str, optional
        The path from the root to the values.
    has_feed : bool, optional
        Whether its head names the site's feed, so that readers of feeds find it.

    Examples
    --------
    >>> render_page().splitlines()[0]
    b'<!DOCTYPE html>'
    """
    screen = screen or FirstScreen()
    texts, parts = _source()
    parts = {**parts, **screen.parts(data_path), "data path": escape(data_path)}
    parts["feed"] = _FEED_LINK if has_feed else ""
    # Texts and names of parts in turn.
    return "".join(parts[text] if i % 2 else text for i, text in enumerate(texts)).encode()


@functools.cache
def _source() -> tuple[list[str], dict[str, str]]:
    folder = importlib.resources.files(__package__) / "browse"
    style = _joined(folder / "style", "css", _STYLES)
    script = _joined(folder / "script", "js", _SCRIPTS)
    texts = _PART.split((folder / "page.html").read_text("utf-8"))
    sources = _source_expression(script), _source_expression(style)
    return texts, {"style": style, "script": script, "policy": _POLICY.format(*sources)}


@functools.cache
def page_version() -> str:
    """Return a digest of all that pages of this version have in common."""
    return hashlib.sha256(render_page()).hexdigest()


def _joined(folder: Traversable, suffix: str, names: Sequence[str]) -> str:
    return "".join(shortened((folder / f"{name}.{suffix}").read_text("utf-8")) for name in names)


def shortened(source: str) -> str:
    r"""Strip indentation, blank lines and most comments of script or style.

    A text that goes over several lines must have none of these.

    Examples
    --------
    >>> print(shortened("if (a) {  // only then\n\n  b();\n}"), end="")
    if (a) {
    b();
    }
    """
    lines = (_COMMENT.sub("", line.strip()) for line in source.splitlines())
    return "".join(f"{line}\n" for line in lines if line)


def _source_expression(source: str) -> str:
    # How a policy allows an inline script or style (CSP Level 3, section 2.3.1).
    digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def is_our_page(page: bytes) -> bool:
    """Return whether any version of staticstore wrote a page.

    Examples
    --------
    >>> is_our_page(render_page()), is_our_page(b"<!DOCTYPE html>")
    (True, False)
    """
    return _PAGE_MARK.match(page) is not None


def has_our_page(folder: SiteFolder) -> bool:
    """Return whether the folder has a page of ours, of any version; no link."""
    with contextlib.suppress(StoreError):
        return _our_page(folder) is not None and not is_link(folder.page)
    return False


def check_page(folder: SiteFolder) -> None:
    """Refuse to write the page over a file that is not ours.

    Raises
    ------
    StoreError
        The folder has an ``index.html`` that staticstore did not write.
    """
    _our_page(folder)


def page_of(folder: SiteFolder) -> bytes:
    """Return the page of a site as its index is now; at most its first MiB is read."""
    has_feed = our_feed(folder) is not None
    return render_page(FirstScreen.of(folder), folder.data_path, has_feed=has_feed)


def renew_page(folder: SiteFolder) -> None:
    """Write the page, whole or not at all, unless it is there with the same bytes.

    Raises
    ------
    StoreError
        As `check_page`.
    OSError
        It cannot be written.
    """
    page = page_of(folder)
    if _our_page(folder) != page:
        with atomic_file(folder.page) as file:
            file.write(page)


class LivePage:
    """The page of a site that has none written; thread-safe.

    It is made when it is asked for, and kept until index or head change.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    """

    def __init__(self, folder: SiteFolder) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._made: tuple[object, bytes, Representation] | None = None

    def current(self) -> tuple[bytes, Representation]:
        """Return the page, and its validators; costs two system calls if nothing changed."""
        from ...transport.http.conditions import Representation  # a publish needs no HTTP

        with self._lock:
            index, head = map(_state_of, (self._folder.index, self._folder.head))
            state = [one and (one.st_ino, one.st_size, one.st_mtime_ns) for one in (index, head)]
            if self._made is None or self._made[0] != state:
                page = page_of(self._folder)
                etag = hashlib.sha256(page).hexdigest()[:32]
                modified = None if index is None else Representation.of(index).modified
                current = Representation(len(page), etag, modified)
                self._made = state, page, current
            return self._made[1:]


def _state_of(path: Path) -> os.stat_result | None:
    with contextlib.suppress(OSError):
        return os.stat(path)
    return None


def _our_page(folder: SiteFolder) -> bytes | None:
    # None if there is none.
    try:
        current = read_regular(folder.page, _MOST_PAGE_BYTES)
    except FileNotFoundError:
        return None
    except NotRegularError as error:
        raise _foreign_page(folder, "it is no file") from error
    except OSError as error:
        raise _foreign_page(folder, f"it cannot be read: {reason_of(error)}") from error
    if not is_our_page(current):
        raise _foreign_page(folder, "staticstore did not write it")
    return current


def _foreign_page(folder: SiteFolder, reason: str) -> StoreError:
    return StoreError(
        f"{quoted(str(folder.page))} is not replaced by a page to browse the site: {reason}. "
        "Move it away, or publish without the page"
    )
