"""Makes directory listings as web servers write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from urllib.parse import quote

__all__ = ["PAGES", "apache", "apache_table", "caddy", "lighttpd", "nginx", "python"]

#: What a folder has: sizes of files, and None for folders.
Folder = Mapping[str, int | None]


def _links(folder: Folder) -> list[tuple[str, str, int | None]]:
    """Return href, name and size of each, with a slash behind folders."""
    found = []
    for name, size in folder.items():
        end = "/" if size is None else ""
        found.append((escape(quote(name) + end), escape(name + end), size))
    return found


def nginx(folder: Folder) -> str:
    """Return a page with sizes in bytes, and names that are cut."""
    rows = "".join(
        f'<a href="{href}">{name if len(name) <= 50 else name[:47] + "..&gt;"}</a>'
        f"      29-Nov-2026 18:00      {'-' if size is None else size:>19}\r\n"
        for href, name, size in _links(folder)
    )
    return (
        "<html>\r\n<head><title>Index of /pub/</title></head>\r\n<body>\r\n<h1>Index of /pub/</h1>"
        f'<hr><pre><a href="../">../</a>\r\n{rows}</pre><hr></body>\r\n</html>\r\n'
    )


def _rounded(size: int | None) -> str:
    if size is None:
        return "  - "
    return f"{size:3d} " if size < 973 else f"{size / 1024:.1f}K"


def apache(folder: Folder) -> str:
    """Return a page with icons, links that sort, and rounded sizes."""
    rows = "".join(
        f'<img src="/icons/x.gif" alt="[   ]"> <a href="{href}">{name}</a>   '
        f"2026-11-29 18:00  {_rounded(size)} \n"
        for href, name, size in _links(folder)
    )
    sort = "".join(f'<a href="?C={column};O=D">{column}</a>  ' for column in ("N", "M", "S", "D"))
    return (
        '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">\n<html>\n <head>\n'
        "  <title>Index of /pub</title>\n </head>\n <body>\n<h1>Index of /pub</h1>\n"
        f'<pre><img src="/icons/blank.gif" alt="Icon "> {sort}<hr>'
        '<img src="/icons/back.gif" alt="[PARENTDIR]"> <a href="/">Parent Directory</a>     -   \n'
        f"{rows}<hr></pre>\n<address>Apache/2.4.57 (Debian) Server at x Port 80</address>\n"
        "</body></html>\n"
    )


def apache_table(folder: Folder) -> str:
    """Return a page with a table, whose icons are links, and with a description."""
    rows = "".join(
        f'<tr><td valign="top"><a href="{href}"><img src="/icons/x.gif" alt="[   ]"></a></td><td>'
        f'<a href="{href}">{name}</a></td><td align="right">2026-11-29 18:00  </td>'
        f'<td align="right">{_rounded(size)}</td><td>Level 3</td></tr>\n'
        for href, name, size in _links(folder)
    )
    return (
        "<!DOCTYPE html>\n<html>\n <head>\n  <title>Index of /pub</title>\n </head>\n <body>\n"
        '<h1>Index of /pub</h1>\n  <table>\n   <tr><th><a href="?C=N;O=D">Name</a></th></tr>\n'
        '<tr><td><a href="/">Parent Directory</a></td><td>&nbsp;</td></tr>\n'
        f"{rows}</table>\n</body></html>\n"
    )


def lighttpd(folder: Folder) -> str:
    """Return a page with rounded sizes and media types."""
    rows = "".join(
        f'<tr><td class="n"><a href="{href}">{name}</a></td>'
        f'<td class="m">2026-Nov-29 18:00:00</td><td class="s">'
        f"{'- &nbsp;' if size is None else f'{size / 1024:.1f}K'}</td>"
        '<td class="t">text/plain</td></tr>\n'
        for href, name, size in _links(folder)
    )
    return (
        "<!DOCTYPE html>\n<html>\n<head>\n<title>Index of /pub/</title>\n<style>a { }</style>\n"
        '</head>\n<body>\n<h2>Index of /pub/</h2>\n<div class="list">\n<table>\n<tbody>\n'
        '<tr class="d"><td class="n"><a href="../">..</a>/</td><td class="m">&nbsp;</td>'
        f'<td class="s">- &nbsp;</td><td class="t">Directory</td></tr>\n{rows}</tbody>\n'
        '</table>\n</div>\n<div class="foot">lighttpd/1.4.69</div>\n<script>\n'
        "var a = '<a href=\"script.js\">';\n</script>\n</body>\n</html>\n"
    )


def caddy(folder: Folder) -> str:
    """Return a page with sizes and times in attributes, which names its server only."""
    rows = "".join(
        f'<tr class="file">\n<td></td>\n<td>\n<a href="./{href}">\n<svg><path d="M0 0"></path>'
        f'</svg>\n<span class="name">{name}</span>\n</a>\n</td>\n'
        + (
            "<td>&mdash;</td>\n"
            if size is None
            else f'<td class="size" data-size="{size}">\n<div>{size / 1024:.1f} KiB</div></td>\n'
        )
        + '<td class="timestamp"><time datetime="2026-11-29T18:00:00Z">11/29/2026 06:00:00 PM'
        " +00:00</time></td>\n</tr>\n"
        for href, name, size in _links(folder)
    )
    return (
        '<!DOCTYPE html>\n<html>\n<head>\n<title>pub</title>\n</head>\n<body>\n<h1><a href="/">/'
        '</a><a href="/pub/">pub</a></h1>\n<a href="?sort=size&order=asc">Size</a>\n<table>\n'
        f'<tr><td><a href="..">Up</a></td></tr>\n{rows}</table>\n<footer>Served with '
        '<a rel="noopener noreferrer" href="https://caddyserver.com">Caddy</a></footer>\n'
        "</body>\n</html>\n"
    )


def python(folder: Folder) -> str:
    """Return a page with names alone."""
    rows = "".join(f'<li><a href="{href}">{name}</a></li>\n' for href, name, _ in _links(folder))
    return (
        '<!DOCTYPE HTML>\n<html lang="en">\n<head>\n<title>Directory listing for /pub/</title>\n'
        "</head>\n<body>\n<h1>Directory listing for /pub/</h1>\n<hr>\n"
        f"<ul>\n{rows}</ul>\n<hr>\n</body>\n</html>\n"
    )


#: The pages by name.
PAGES: dict[str, Callable[[Folder], str]] = {
    page.__name__: page for page in (nginx, apache, apache_table, lighttpd, caddy, python)
}
