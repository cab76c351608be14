"""Which target a URL or a path names."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ..errors import StoreError
from .cloud import CloudTarget
from .target import FolderTarget, Target

__all__ = ["open_target"]

# What `s3:bucket` and rsync's `host:/folder` say must not become the name of a folder here.
# Two characters at least: one is a drive of Windows.
_URL = re.compile(r"([^/\\:]{2,}):")


def open_target(
    url: str | os.PathLike[str],
    *,
    endpoint: str | None = None,
    region: str | None = None,
    anonymous: bool = False,
) -> Target:
    """Return the target that a URL or a path names; nothing is asked or written yet.

    Raises
    ------
    StoreError
        There is no such kind of target, the options do not fit it, or the extra
        ``cloud`` is not installed.
    """
    text = os.fspath(url)
    match = _URL.match(text)
    is_file = match is not None and match[1].lower() == "file"
    if match is None or is_file:
        if endpoint is not None or region is not None or anonymous:
            raise StoreError("a folder has neither endpoint nor region, and asks nobody's name")
        return FolderTarget(Path(url2pathname(urlsplit(text).path) if is_file else text))
    return CloudTarget(text, endpoint=endpoint, region=region, anonymous=anonymous)
