"""The location of a site or document as people write it: checked, and taken apart."""

from __future__ import annotations

import fnmatch
import os
import re
from urllib.parse import quote

from ..errors import quoted, without_secrets

__all__ = [
    "BUCKET_SCHEMES",
    "LONE_PERCENT",
    "PATH_CHARACTERS",
    "SCHEME",
    "check_spelling",
    "folder_url",
    "form_of_name",
    "split_document",
]

SCHEME = r"[A-Za-z][A-Za-z0-9+.-]+:"  # two letters at least: C: is a drive
LONE_PERCENT = r"%(?![0-9A-Fa-f]{2})"
PATH_CHARACTERS = "/%:@!$&'()*+,;=~"  # RFC 3986, section 3.3
BUCKET_SCHEMES = ("s3", "gs", "az")
# What may be a URL without its scheme: a host with a dot, an address or localhost, and a path.
_BARE_URL = re.compile(
    r"((localhost|127(\.\d+){3})|([\w-]+\.)+[A-Za-z]{2,}|\d+(\.\d+){3})"
    r"(:\d+)?(/[^?#@]*)?(?=[?#]|$)"
)
# The names that first documents of other forms mostly have, in lower case.
_USUAL_NAMES = {
    "conda": ("repodata*.json", "repodata*.zst", "current_repodata.json"),
    "datapackage": ("datapackage.json",),
    "pooch": ("registry.txt",),
    "stac": ("catalog.json", "collection.json"),
    "sums": ("md5sum*", "sha[0-9]*sum*", "checksum*", "*.md5", "*.sha256"),
}
_INDEX_NAME = re.compile(r"(?:^|(?<=[/\\]))index(\.head)?\.json$")


def check_spelling(text: str, *, is_document: bool) -> None:
    """Refuse likely mistakes: the name of an index, or a URL without scheme.

    Parameters
    ----------
    text : str
        The location.
    is_document : bool
        Whether it is that of a document, not of a root.

    Raises
    ------
    ValueError
        It is one; the message has what was probably meant.
    """
    path = os.path.expanduser(text)
    if os.path.exists(path) and os.path.isfile(path) == is_document:
        return
    if is_document and os.path.isdir(path):
        raise ValueError(f"{quoted(text)} is a folder: name the first document of the index in it")
    path = text.partition("?")[0] if re.match(SCHEME, text) else text
    if not is_document and (named := _INDEX_NAME.search(path)):
        folder = without_secrets(path[: named.start()]) or "."
        raise ValueError(f"leave {named[0]} out: the root is what contains it, {quoted(folder)}")
    if os.path.isfile(path):
        form = form_of_name(os.path.basename(path))
        hint = "" if form is None else f", {form!r}"
        raise ValueError(
            f"{quoted(text)} is a file, and the root of a site is a folder: "
            f"if it is an index in another form, give its format{hint}"
        )
    # A name without a path is rather that of a file which is not there.
    if (bare := _BARE_URL.match(text)) and not (is_document and "/" not in bare[0]):
        url = f"{'http' if bare[2] else 'https'}://{bare[0]}"
        raise ValueError(f"there is no folder {quoted(bare[0])}: did you mean {quoted(url)}?")


def form_of_name(name: str) -> str | None:
    """Return the form whose documents mostly have this name, for a hint; or None.

    Parameters
    ----------
    name : str
        The last segment of a URL or path.

    Examples
    --------
    >>> form_of_name("SHA256SUMS"), form_of_name("index.json")
    ('sums', None)
    """
    for form, patterns in _USUAL_NAMES.items():
        if any(fnmatch.fnmatchcase(name.lower(), pattern) for pattern in patterns):
            return form
    return None


def split_document(text: str) -> tuple[str, str]:
    """Split a document's location into folder and quoted name with query.

    The query of a bucket stays with the folder.

    Raises
    ------
    ValueError
        It has a fragment.

    Examples
    --------
    >>> split_document("https://data.example.org/a/list.txt?v=1")
    ('https://data.example.org/a/', 'list.txt?v=1')
    """
    if not re.match(SCHEME, text):
        folder, name = os.path.split(os.path.abspath(os.path.expanduser(text)))
        return folder, quote(name, safe="")
    if "#" in text:
        raise ValueError("the URL of a document has no fragment: leave out what follows '#'")
    place, mark, query = text.partition("?")
    host, path = re.findall(rf"\A({SCHEME}(?://[^/]*)?)(.*)\Z", place, re.DOTALL)[0]
    folder, slash, name = path.rpartition("/")
    folder = f"{host}{folder}{slash}"
    name = quote(re.sub(LONE_PERCENT, "%25", name), safe=PATH_CHARACTERS)
    if text.partition(":")[0].lower() in BUCKET_SCHEMES:  # whose query is of the bucket
        return folder + mark + query, name
    return folder, name + mark + query


def folder_url(folder: str) -> str:
    """Return the ``file:`` URL of a folder, with a slash at its end."""
    from pathlib import Path  # slow to import

    url = Path(folder).absolute().as_uri()
    return url if url.endswith("/") else url + "/"
