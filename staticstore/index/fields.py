"""Entries of an index: keys, JSON, and the fields that readers understand."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import quote

from ..errors import IndexFormatError, InvalidKeyError, quoted
from . import codec
from .codec import SHA256
from .hidden import CompressedCopy, Place, copy_of, hide, place_of
from .placed import Placed, place_problem, placed_of

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import PurePath

    from .codec import Raw

__all__ = [
    "PUBLISHER_FIELDS",
    "Content",
    "are_keys",
    "canonical_line",
    "canonical_lines",
    "check_key",
    "check_keys",
    "entry_problem",
    "key_problem",
    "key_to_path",
    "key_to_url_path",
    "line_problem",
    "parse_media_type",
    "parse_time",
    "quoted_path",
    "time_text",
    "visible_metadata",
]

T = TypeVar("T")

#: The fields that the publisher writes itself; they may not be given by hand.
PUBLISHER_FIELDS = ("size", "sha256", "modified", "media_type", "packed", "stored")

# RFC 3339, section 5.6, in UTC.
# Not 24:00, which newer Pythons take for the next day.
_TIME = r"\d{4}-\d\d-\d\dT(?!24)\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|\+00:00)\Z"
# RFC 9110, section 8.3.1: type "/" subtype, then parameters.
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = rf"{_TOKEN}/{_TOKEN}(?:[ \t]*;[\x20-\x7e]*)?\Z"
# C0, DEL and C1 controls; characters that embed, override or isolate writing direction
# (UAX #9), with which a key could read as another one; and surrogates.
_UNPRINTABLE = "[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
# An empty, "." or ".." segment: HTTP clients remove those before they send a request, quoted
# or not (RFC 3986, section 5.2.4), so that the key would name another value.
_BAD_SEGMENT = r"(?:\A|/)\.{0,2}(?:/|\Z)"
# Printable ASCII without the backslash, with which no key may begin.
_HARMLESS = bytes(set(range(0x20, 0x7F)) - {ord("\\")})
_WINDOWS_DEVICE = r"(?i:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|COM[0-9¹²³]|LPT[0-9¹²³]) *(?:\.|\Z)"
_WINDOWS_FORBIDDEN = r'[<>:"|?*\\]|[. ]\Z'
_MOST_SEGMENT_BYTES = 255  # on nearly every file system
# Digests of foreign indexes and their hex digits, the best first.
_CHECKSUMS = {"sha512": 128, "sha1": 40, "md5": 32}
_is_sha256 = re.compile(SHA256).match
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_.~/-]+")


class Content(NamedTuple):
    """What an entry says of the bytes of its value.

    A field of another type, such as a negative size, is plain metadata and None here.
    """

    #: Bytes, or None.
    size: int | None
    #: 64 lowercase hex digits, or None.
    sha256: str | None
    #: None for a value that is not packed.
    place: Place | None
    #: The text of the field, or None; `parse_time` checks it.
    modified: str | None = None
    #: Where the value is, if not below ``data/``.
    placed: Placed | None = None
    #: Another digest, ``"md5:…"``, of a foreign index without a sha256; it tells of accidents.
    checksum: str | None = None
    #: None for a value without one.
    compressed: CompressedCopy | None = None

    @classmethod
    def of(cls, entry: Mapping[str, Any], *, has_checksums: bool = False) -> Content:
        """Read the fields of an entry.

        Parameters
        ----------
        entry : mapping
            The entry, with its hidden fields.
        has_checksums : bool, optional
            Whether ``sha512``, ``sha1`` and ``md5`` are digests of the value, too.

        Examples
        --------
        >>> Content.of({"size": 3, "sha256": "no digest", "packed": ["../1.zip", 30]})[:3]
        (3, None, None)
        """
        size, sha256, modified = entry.get("size"), entry.get("sha256"), entry.get("modified")
        if not (isinstance(sha256, str) and _is_sha256(sha256)):
            sha256 = None
        return cls(
            size if type(size) is int and 0 <= size < 1 << 63 else None,
            sha256,
            place_of(entry["packed"]) if "packed" in entry else None,
            modified if isinstance(modified, str) else None,
            placed_of(entry["placed"]) if "placed" in entry else None,
            _checksum_of(entry) if has_checksums and sha256 is None else None,
            copy_of(entry["stored"]) if "stored" in entry else None,
        )

    @property
    def digest(self) -> str | None:
        """The digest that the bytes must have, with its algorithm: ``"sha256:…"``; or None."""
        return self.checksum if self.sha256 is None else f"sha256:{self.sha256}"


def _checksum_of(entry: Mapping[str, Any]) -> str | None:
    for name, count in _CHECKSUMS.items():
        text = entry.get(name)
        if isinstance(text, str) and len(text) == count and re.fullmatch(r"[0-9a-f]+", text):
            return f"{name}:{text}"
    return None


def parse_media_type(value: object) -> str | None:
    """Return the value of a field if it is a well-formed MIME type, else None.

    Examples
    --------
    >>> parse_media_type("text/csv; charset=utf-8")
    'text/csv; charset=utf-8'
    """
    return value if isinstance(value, str) and re.match(_MEDIA_TYPE, value) else None


def parse_time(text: str | None) -> datetime | None:
    """Parse an RFC 3339 time in UTC; return None for anything else.

    Examples
    --------
    >>> parse_time("2026-11-20T12:00:00Z")
    datetime.datetime(2026, 11, 20, 12, 0, tzinfo=datetime.timezone.utc)
    """
    from datetime import datetime, timedelta

    if text is None or not re.match(_TIME, text):
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:  # a 13th month
        return None
    return time if time.utcoffset() == timedelta(0) else None


def time_text(time: datetime) -> str:
    """Write an aware time as RFC 3339 in UTC, without a fraction if it has none.

    Examples
    --------
    >>> from datetime import datetime
    >>> time_text(datetime.fromisoformat("2026-11-20T13:00:00+01:00"))
    '2026-11-20T12:00:00Z'
    """
    from datetime import timedelta

    utc = time - (time.utcoffset() or timedelta(0))
    return utc.replace(tzinfo=None).isoformat() + "Z"


def key_problem(key: object) -> str | None:
    """Return why `key` is not a key; None if it is one.

    The cost is that of one or two regular expressions over the text.
    """
    if not isinstance(key, str):
        return f"a key is text, not {type(key).__name__}"
    if unprintable := re.search(_UNPRINTABLE, key):
        return f"it holds the character U+{ord(unprintable[0]):04X}"
    if key.startswith("\\"):
        return "it starts with a backslash"
    if not re.search(_BAD_SEGMENT, key):
        return None
    if not key:
        return "it is empty"
    if key.startswith("/"):
        return "it starts with a slash"
    return "one of its segments between slashes is empty, '.' or '..'"


def are_keys(keys: Sequence[str]) -> bool:
    """Return whether all of many texts are keys."""
    # Look at all texts as one, and at each only if something looks like a problem
    # (benchmark: parsing).
    joined = f"/{'/'.join(keys)}/"
    if joined.isascii():  # removing what is harmless is six times faster than a search
        is_printable = not joined.encode().translate(None, _HARMLESS)
    else:
        is_printable = "\\" not in joined and not re.search(_UNPRINTABLE, joined)
    is_harmless = is_printable and "//" not in joined and "/." not in joined
    return is_harmless or not any(map(key_problem, keys))


def check_key(key: object) -> str:
    r"""Return `key` if it can name a value, whether or not a site has such a key.

    Parameters
    ----------
    key : object
        Anything; a key is a non-empty ``str``.

    Returns
    -------
    str
        The same text, not normalized, not decoded.

    Raises
    ------
    InvalidKeyError
        The text is empty, absolute or rooted with a backslash, has a segment
        that is empty, ``.`` or ``..``, or contains a control character, a
        character that changes the writing direction, or a lone surrogate.

    Examples
    --------
    >>> check_key("terrain/100% dem.tif")
    'terrain/100% dem.tif'
    >>> check_key("../secret")
    Traceback (most recent call last):
    staticstore.errors.InvalidKeyError: not a key: one of its segments between slashes is ...
    """
    if problem := key_problem(key):
        raise InvalidKeyError(f"not a key: {problem}", key=key if isinstance(key, str) else None)
    assert isinstance(key, str)
    return key


def check_keys(keys: T) -> T:
    """Return an iterable of keys; `TypeError` for one key, which would be read as letters."""
    if isinstance(keys, str):
        raise TypeError(f"keys is a list of keys: [{quoted(keys)}]")
    return keys


def key_to_url_path(data_path: str, key: str) -> str:
    """Return the path of a value in a URL, relative to the root.

    The whole key is quoted and never joined as a URL (RFC 3986): a key such as
    ``//other.example/x`` or ``%2e%2e/x`` is only text.

    Parameters
    ----------
    data_path : str
        The path from the root to the values, such as ``"data/"``.
    key : str
        A key that `check_key` accepts.

    Examples
    --------
    >>> key_to_url_path("data/", "100% é/a+b.tif")
    'data/100%25%20%C3%A9/a%2Bb.tif'
    """
    return quoted_path(data_path + key)


def quoted_path(path: str, *, errors: str = "strict") -> str:
    """Quote all of a path but its slashes; `errors` as of `str.encode`."""
    return path if _PLAIN_PATH.fullmatch(path) else quote(path, safe="/", errors=errors)


def key_to_path(key: str, *, windows: bool = os.name == "nt") -> PurePath:
    """Return the relative path of the file for the value of `key`.

    Two keys may have the same file on a file system that ignores case or
    Unicode forms; one key does not show that.

    Parameters
    ----------
    key : str
        A key.
    windows : bool, optional
        Whether to apply the rules of Windows as well; by default, on Windows.

    Raises
    ------
    InvalidKeyError
        It is not a key, or no file can have such a name.

    Examples
    --------
    >>> key_to_path("terrain/dem.tif").parts
    ('terrain', 'dem.tif')
    """
    from pathlib import PurePath

    segments = check_key(key).split("/")
    for segment in segments:
        if len(segment.encode()) > _MOST_SEGMENT_BYTES:
            raise InvalidKeyError(
                f"a segment is longer than {_MOST_SEGMENT_BYTES} bytes: shorten it", key=key
            )
        if windows and (
            re.match(_WINDOWS_DEVICE, segment) or re.search(_WINDOWS_FORBIDDEN, segment)
        ):
            raise InvalidKeyError(f"Windows allows no file named {segment!r}: rename it", key=key)
    return PurePath(*segments)


def entry_problem(key: str, raw: Raw, *, https_only: bool = False) -> str | None:
    """Return why an entry is left out of the index; None if it is valid.

    Parameters
    ----------
    key : str
        Its key.
    raw : bytes
        The entry, as it came.
    https_only : bool, optional
        As of `href_problem`.

    Raises
    ------
    IndexFormatError
        A number overflows, a text is not UTF-8, or it is nested too deeply:
        the whole index is refused.
    """
    try:
        codec.check_depth(bytes(raw), 1)
        metadata = codec.decode(raw)
    except IndexFormatError as error:
        raise IndexFormatError(f"the entry cannot be read: {error}", key=key) from error
    if problem := key_problem(key):
        return problem
    if not isinstance(metadata, dict):
        return "its metadata is not a JSON object"
    return place_problem(metadata, https_only=https_only)


def line_problem(key: str, raw: Raw, *, https_only: bool = False) -> str | None:
    """Return why an entry is left out of an index that is already in use; None if it is valid."""
    try:
        return entry_problem(key, raw, https_only=https_only)
    except IndexFormatError as error:
        return str(error)


def canonical_line(key: str, metadata: Mapping[str, Any]) -> bytes:
    """Write one entry in canonical form, without a comma and a newline.

    Raises
    ------
    IndexFormatError
        JSON cannot express the metadata.
    """
    try:
        name, text = codec.encode(key), codec.encode(metadata)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise IndexFormatError(f"JSON cannot express this entry: {error}", key=key) from error
    if codec.decode(text) != metadata:  # it would come back as something else
        raise IndexFormatError(
            "JSON cannot express this metadata: it holds NaN, a tuple or a date, say", key=key
        )
    if len(text) > 2 * codec.MOST_LEVELS:  # so many brackets it takes
        codec.check_depth(text, 1)
    return name + b":" + text


def canonical_lines(items: Sequence[tuple[str, Mapping[str, Any]]]) -> bytes:
    """Write several entries in canonical form, separated as in a document.

    Raises
    ------
    IndexFormatError
        JSON cannot express the metadata of one of them.
    """
    entries = dict(items)
    # All at once takes a third of the time.  benchmark: publish-small
    with contextlib.suppress(TypeError, ValueError, OverflowError, RecursionError):
        text = codec.member_lines(entries)
        codec.check_depth(text, len(items))
        if len(entries) == len(items) and codec.decode_entries(b"{%b}" % text) == entries:
            return text
    return b",\n".join(canonical_line(key, metadata) for key, metadata in items)


def visible_metadata(raw: Raw) -> dict[str, Any]:
    """Decode an entry; what only readers use is left out (`hide`)."""
    metadata: dict[str, Any] = codec.decode(raw)
    hide(metadata)
    return metadata
