"""Site folders for the tests of what is done with them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: 2026-01-02T03:04:05Z, long before any scan.
THEN = 1767323045


_OF_NO_ACCOUNT = {(".staticstore", "lock"), (".staticstore", "last.json")}


def fill(data: Path, files: Mapping[str, bytes]) -> None:
    """Write files below a folder, and make them old enough to be believed."""
    for key, value in files.items():
        path = data / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(value)
        os.utime(path, (THEN, THEN))


def make_site(root: Path, files: Mapping[str, bytes]) -> Path:
    """Make a site's folder with these values."""
    (root / "data").mkdir(parents=True)
    fill(root / "data", files)
    return root


def index_of(site: Path) -> dict[str, Any]:
    """Decode the index that was published."""
    index: dict[str, Any] = json.loads((site / "index.json").read_bytes())
    return index


def tree(root: Path) -> dict[str, tuple[bytes, int]]:
    """Return the bytes and the time of every file, hidden or not.

    But the lock's, which is empty, and which old versions of filelock touch; and that of the
    publisher's last look at all the others.
    """
    return {
        path.relative_to(root).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(root.rglob("*"))
        if path.is_file() and (*path.parts[-2:-1], path.name) not in _OF_NO_ACCOUNT
    }
