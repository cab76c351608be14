"""The page to browse a site: ``index.html``, one file that needs nothing but the site.

It is ``browse.html``, which lies beside this module, with the digests of its
own script and style filled in: a browser runs those and nothing else, whatever
the site's keys and metadata contain.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import re

from ..errors import StoreError, quoted
from ..transport.atomic import atomic_file
from ..transport.regular import NotRegularError, read_regular
from .folder import SiteFolder, reason_of

__all__ = ["is_our_page", "page_to_write", "render_page", "write_page"]

#: What a page of ours, of any version, has on its second line.
_MARK = re.compile(rb"\A<!DOCTYPE html>\s*<!-- staticstore-page/\d+:")


def render_page() -> bytes:
    """Return the page, the same for every site.

    Examples
    --------
    >>> render_page().splitlines()[0]
    b'<!DOCTYPE html>'
    """
    template = importlib.resources.files(__package__).joinpath("browse.html").read_text("utf-8")
    for name in ("script", "style"):
        source = re.search(f"<{name}>(.*?)</{name}>", template, re.DOTALL)
        assert source is not None
        digest = base64.b64encode(hashlib.sha256(source[1].encode()).digest()).decode()
        template = template.replace(f"'{{{name}}}'", f"'sha256-{digest}'")
    return template.encode()


def is_our_page(page: bytes) -> bool:
    """Tell whether staticstore wrote a page, in any of its versions.

    Examples
    --------
    >>> is_our_page(render_page()), is_our_page(b"<!DOCTYPE html>")
    (True, False)
    """
    return _MARK.match(page) is not None


def page_to_write(folder: SiteFolder) -> bytes | None:
    """Return the page if it does not stand there yet; None if it does.

    Raises
    ------
    StoreError
        An ``index.html`` of somebody else stands in its place.
    """
    page = render_page()
    try:
        standing = read_regular(folder.page)
    except FileNotFoundError:
        return page
    except NotRegularError as error:
        raise _not_ours(folder, "it is no file") from error
    except OSError as error:
        raise _not_ours(folder, f"it cannot be read: {reason_of(error)}") from error
    if not is_our_page(standing):
        raise _not_ours(folder, "staticstore did not write it")
    return None if standing == page else page


def write_page(folder: SiteFolder, page: bytes) -> None:
    """Write the page, whole or not at all.

    Raises
    ------
    OSError
        It cannot be written.
    """
    with atomic_file(folder.page) as file:
        file.write(page)


def _not_ours(folder: SiteFolder, reason: str) -> StoreError:
    return StoreError(
        f"{quoted(str(folder.page))} is not replaced by a page to browse the site: {reason}. "
        "Move it away, or publish without the page"
    )
