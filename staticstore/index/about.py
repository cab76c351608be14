"""What a site says of itself in ``about.json``, and the files that this may name."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..errors import IndexFormatError
from . import codec
from .head import NamedDocument, Role, parse_count, parse_sha256

__all__ = [
    "ABOUT_NAME",
    "FILE_MEDIA_TYPE",
    "FILE_NAMES",
    "MOST_ABOUT_BYTES",
    "MOST_FILE_BYTES",
    "About",
    "NamedFile",
    "field_problem",
]

#: Where people find the current document, relative to the root.
ABOUT_NAME = "about.json"
#: The only files that it may name, all of them in the root, whatever a host says.
FILE_NAMES = (
    *(
        f"{name}{ending}"
        for name in ("README", "LICENSE")
        for ending in ("", ".md", ".rst", ".txt")
    ),
    "CITATION.cff",
)
#: The media type of these files, whatever is in them: browsers do not run text.
FILE_MEDIA_TYPE = "text/plain; charset=utf-8"
#: No such file is larger.
MOST_FILE_BYTES = 1 << 20
assert Role.ABOUT.most_bytes is not None
#: No document is larger, and no file that it is written from.
MOST_ABOUT_BYTES: int = Role.ABOUT.most_bytes

_TEXTS = ("cite_as", "contact", "description", "homepage", "license", "title", "version")
_LIST = "keywords"
_FIELDS = sorted((*_TEXTS, _LIST))
# With controls, or characters that change the writing direction, people would see another
# URL than the one that is followed.
_NO_URL = r"\s\\\x00-\x20\x7f-\x9f\u202a-\u202e\u2066-\u2069"
# No user or password: all who follow the link would send it.
_HOMEPAGE = re.compile(rf"https?://[^/?#@{_NO_URL}]+(?:[/?#][^{_NO_URL}]*)?\Z", re.IGNORECASE)


class NamedFile(NamedTuple):
    """A file in the site's root, as the document names it."""

    #: Bytes.
    size: int
    #: Lowercase hex.
    sha256: str

    @classmethod
    def of(cls, body: bytes) -> NamedFile:
        """Return the size and the digest of these bytes."""
        return cls(len(body), hashlib.sha256(body).hexdigest())


@dataclass(frozen=True)
class About:
    r"""What a site says of itself.

    Examples
    --------
    >>> About.parse(b'{"title": "Ilvar", "version": 2, "files": {"../x": {}}}').encode()
    b'{"title":"Ilvar"}\n'
    """

    #: Texts, and for ``keywords`` a list of texts; see `field_problem`.
    fields: Mapping[str, str | list[str]] = field(default_factory=dict)
    #: By name, each one of `FILE_NAMES`.
    files: Mapping[str, NamedFile] = field(default_factory=dict)

    @classmethod
    def parse(cls, body: bytes) -> About:
        """Parse a document; unknown and invalid fields and files are left out.

        Raises
        ------
        IndexFormatError
            It is not a JSON object, or larger than `MOST_ABOUT_BYTES`.
        """
        if len(body) > MOST_ABOUT_BYTES:
            raise IndexFormatError(f"{ABOUT_NAME} has more than {MOST_ABOUT_BYTES} bytes")
        parsed = codec.decode(body)
        if not isinstance(parsed, dict):
            raise IndexFormatError(f"{ABOUT_NAME} is not a JSON object")
        fields = {name: parsed[name] for name in _FIELDS if name in parsed}
        return cls(
            {name: value for name, value in fields.items() if field_problem(name, value) is None},
            _files(parsed.get("files")),
        )

    def as_json(self) -> dict[str, Any]:
        """Return what `parse` reads; the result is the caller's own."""
        document: dict[str, Any] = {
            name: list(value) if isinstance(value, list) else value
            for name, value in self.fields.items()
        }
        if self.files:
            document["files"] = {name: file._asdict() for name, file in self.files.items()}
        return document

    def encode(self) -> bytes:
        """Write the document as canonical JSON, with a newline at its end."""
        return codec.encode(self.as_json()) + b"\n"

    @property
    def document(self) -> NamedDocument:
        """The document as a head names it."""
        return NamedDocument.of(Role.ABOUT, self.encode())


def field_problem(name: str, value: object) -> str | None:
    """Return what is wrong with a field of the document; None if it is valid.

    Examples
    --------
    >>> field_problem("version", 2)
    'version must be text: put it in quotes'
    """
    if name not in _FIELDS:
        return f"this field is unknown: the fields are {', '.join(_FIELDS)}"
    if name == _LIST:
        is_list = isinstance(value, list) and all(isinstance(one, str) for one in value)
        return None if is_list else f'{name} must be a list of texts, such as ["snow", "glaciers"]'
    if not isinstance(value, str):
        return f"{name} must be text: put it in quotes"
    if name == "homepage" and not _HOMEPAGE.match(value):
        return "homepage must be a URL that begins with http:// or https://, without a user"
    return None


def _files(parsed: Any) -> dict[str, NamedFile]:
    files = {}
    for name in FILE_NAMES if isinstance(parsed, dict) else ():
        try:
            named = parsed[name]
            file = NamedFile(parse_count(named["size"]), parse_sha256(named["sha256"]))
        except (LookupError, TypeError, ValueError):
            continue
        if file.size <= MOST_FILE_BYTES:
            files[name] = file
    return files
