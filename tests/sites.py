"""Sites for tests: written by hand, so that they do not depend on the publisher."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["entry", "index_of", "write_index", "write_site"]


def entry(value: bytes, **fields: Any) -> dict[str, Any]:
    """Return what a publisher writes about a value, and more fields."""
    return {"size": len(value), "sha256": hashlib.sha256(value).hexdigest(), **fields}


def index_of(values: Mapping[str, bytes], **fields: Any) -> bytes:
    """Return an index of these values, all with the same further fields."""
    return json.dumps({key: entry(value, **fields) for key, value in values.items()}).encode()


def write_site(
    folder: Path,
    values: Mapping[str, bytes],
    describe: Callable[[str, bytes], Mapping[str, Any]] = lambda key, value: entry(value),
) -> None:
    """Replace a site by values, and an index whose entries are made by `describe`."""
    for key, value in values.items():
        path = folder / "data" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(value)
    write_index(folder, {key: describe(key, value) for key, value in values.items()})


def write_index(folder: Path, entries: Mapping[str, Any] | bytes) -> None:
    """Write an index a second later, so that every server sees that it is a new one."""
    path = folder / "index.json"
    before = path.stat().st_mtime if path.exists() else 0
    body = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    new = folder / "index.new"
    new.write_bytes(body)
    time = int(max(before, new.stat().st_mtime)) + 1
    os.utime(new, (time, time))
    new.replace(path)
