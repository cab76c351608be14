"""The page to browse a site with: one file that needs nothing but the site.

The folder ``browse`` beside this module has its source: ``page.html``, and parts of
script and style, which are joined here.  Their digests stand in the page's own
Content-Security-Policy, so that a browser runs these and nothing else, whatever the
site's keys and metadata contain.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html
import importlib.resources
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...disk.atomic import atomic_file
from ...disk.file_system import NotRegularError, read_regular
from ...errors import StoreError, quoted, reason_of
from ..folder.data_path import DATA_PATH
from .feed import FEED_MEDIA_TYPE, FEED_NAME
from .root_files import read_at_most

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from ..folder.site_folder import SiteFolder

__all__ = ["has_our_page", "is_our_page", "page_to_write", "render_page", "write_page"]

# The parts in the order in which they are joined.
_STYLES = ("colors", "layout", "list", "preview", "narrow")
_SCRIPTS = (
    "state",
    "texts",
    "keys",
    "index",
    "about",
    "follow",
    "search",
    "rows",
    "preview",
    "files",
    "tables",
    "plots",
    "maps",
    "main",
)

_FEED_LINK = f'<link rel="alternate" type="{FEED_MEDIA_TYPE}" href="{FEED_NAME}">\n'
_MOST_PAGE_BYTES = 1 << 20  # ours is smaller
# The second line of our page, in any version.
_PAGE_MARK = re.compile(rb"\A<!DOCTYPE html>\s*<!-- staticstore-page/\d+:")


def render_page(data_path: str = DATA_PATH, *, has_feed: bool = False) -> bytes:
    """Return the page, which is the same for each site with its values at that path.

    With `has_feed` its head names the site's feed, so that readers of feeds find it.

    Examples
    --------
    >>> render_page().splitlines()[0]
    b'<!DOCTYPE html>'
    """
    folder = importlib.resources.files(__package__) / "browse"
    style = _joined(folder / "style", "css", _STYLES)
    script = _joined(folder / "script", "js", _SCRIPTS)
    parts = {
        "data path": html.escape(data_path),
        "feed": _FEED_LINK if has_feed else "",
        "style": style,
        "style digest": _source_expression(style),
        "script": script,
        "script digest": _source_expression(script),
    }
    page = (folder / "page.html").read_text("utf-8")
    return re.sub(r"\{\{(.+?)\}\}", lambda found: parts[found[1]], page).encode()


def _joined(folder: Traversable, suffix: str, names: Sequence[str]) -> str:
    return "\n".join((folder / f"{name}.{suffix}").read_text("utf-8") for name in names)


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


def page_to_write(folder: SiteFolder, *, has_feed: bool) -> bytes | None:
    """Return the page; None if the folder has it already.

    Raises
    ------
    StoreError
        The folder has an ``index.html`` that staticstore did not write.
    """
    page = render_page(folder.data_path, has_feed=has_feed)
    try:
        current = read_regular(folder.page)
    except FileNotFoundError:
        return page
    except NotRegularError as error:
        raise _foreign_page(folder, "it is no file") from error
    except OSError as error:
        raise _foreign_page(folder, f"it cannot be read: {reason_of(error)}") from error
    if not is_our_page(current):
        raise _foreign_page(folder, "staticstore did not write it")
    return None if current == page else page


def has_our_page(folder: SiteFolder) -> bool:
    """Return whether the folder has a page of ours, of any version."""
    with contextlib.suppress(OSError):
        return is_our_page(read_at_most(folder.page, _MOST_PAGE_BYTES) or b"")
    return False


def write_page(folder: SiteFolder, page: bytes) -> None:
    """Write the page, whole or not at all.

    Raises
    ------
    OSError
        It cannot be written.
    """
    with atomic_file(folder.page) as file:
        file.write(page)


def _foreign_page(folder: SiteFolder, reason: str) -> StoreError:
    return StoreError(
        f"{quoted(str(folder.page))} is not replaced by a page to browse the site: {reason}. "
        "Move it away, or publish without the page"
    )
