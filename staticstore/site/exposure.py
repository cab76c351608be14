"""What of a site's folder others may see: what is not withheld, and does not lead elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import PurePath

from ..errors import quoted
from .about import SOURCE_NAME
from .folder import is_link, path_text
from .withheld import folded, is_spelled, withheld_key

__all__ = ["is_hidden", "link_problem", "problems_of_links"]

_READ_BY_PUBLISH = (f"{SOURCE_NAME}*", "metadata.*")


def is_hidden(path: str) -> bool:
    """Return whether what stands at a path below a site's root, with slashes, is the publisher's.

    That is what is withheld, what begins with a dot, and what `publish` reads:
    ``about.toml`` and files of metadata, of whatever form and also as copies.

    Examples
    --------
    >>> is_hidden(".staticstore/notes.json"), is_hidden("data/.env"), is_hidden("data/.zarray")
    (True, True, False)
    """
    if path == ".nojekyll":
        return False
    return (
        folded(path).startswith(".")
        or is_spelled(path, _READ_BY_PUBLISH)
        or withheld_key(path) is not None
    )


def link_problem(root: str, data: str, path: str) -> str | None:
    """Say why others may not see what a path leads to, all links followed; None if they may.

    Parameters
    ----------
    root, data : str
        The site's folder and its data, which may be a link to elsewhere.
    path : str
        Anything below them.
    """
    real, real_root, real_data = map(os.path.realpath, (path, root, data))
    below_root, below_data = _below(real_root, real), _below(real_data, real)
    if below_root is not None:
        below, is_refused = below_root, is_hidden(below_root)
    elif below_data is not None:
        below, is_refused = below_data, withheld_key(below_data) is not None
    else:
        return "a symbolic link leads out of the site"
    if not is_refused:
        return None
    return f"a symbolic link leads to {quoted(path_text(below))}, which is withheld"


def problems_of_links(root: str, data: str, keys: Iterable[str]) -> dict[str, str]:
    """Return the keys whose files others may not see, because of a link, and why.

    Notes
    -----
    Costs a system call for each key, and some for each folder.
    """
    real_data = os.path.realpath(data)
    folders: dict[str, str | None] = {"": None}
    problems: dict[str, str] = {}
    for key in keys:
        above = key.rpartition("/")[0]
        if above not in folders:
            path = os.path.join(real_data, *above.split("/"))
            has_links = os.path.realpath(path) != path
            folders[above] = link_problem(root, data, path) if has_links else None
        path = f"{data}/{key}"
        problem = folders[above] or (link_problem(root, data, path) if is_link(path) else None)
        if problem is not None:
            problems[key] = problem
    return problems


def _below(top: str, real: str) -> str | None:
    """Return the place of a real path below a folder, with slashes; None if it is not below."""
    path = PurePath(real)
    return path.relative_to(top).as_posix() if path.is_relative_to(top) else None
