"""Keys: which texts are keys, and where a key leads, in a URL or in a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..errors import InvalidKeyError

if TYPE_CHECKING:
    from pathlib import PurePath

__all__ = [
    "are_keys",
    "check_key",
    "key_problem",
    "key_to_path",
    "key_to_url_path",
]

# C0, DEL and C1 controls; what embeds, overrides or isolates writing direction
# (UAX #9), so that a key never reads as another one; and surrogates.
_UNPRINTABLE = "[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
# An empty, "." or ".." segment: HTTP clients fold those before they send a
# request, quoted or not (RFC 3986, section 5.2.4), so they would name another value.
_BAD_SEGMENT = r"(?:\A|/)\.{0,2}(?:/|\Z)"

# What is printable in ASCII, but for the backslash, which no key may begin with.
_HARMLESS = bytes(set(range(0x20, 0x7F)) - {ord("\\")})

_WINDOWS_DEVICE = r"(?i:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|COM[0-9¹²³]|LPT[0-9¹²³]) *(?:\.|\Z)"
_WINDOWS_FORBIDDEN = r'[<>:"|?*\\]|[. ]\Z'
_LONGEST_SEGMENT = 255  # bytes, on nearly every file system


def key_problem(key: object) -> str | None:
    """Say what keeps `key` from being a key; None if nothing does.

    The cost is one regular expression or two over the text.
    """
    if not isinstance(key, str):
        return f"a key is a text, not {type(key).__name__}"
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
    """Tell whether none of many texts has a `key_problem`.

    The texts are looked at as one, for what every problem shows between or
    within them, and one by one only if there is something.
    """
    joined = f"/{'/'.join(keys)}/"
    if joined.isascii():  # what is harmless is taken away: six times faster than to search
        is_printable = not joined.encode().translate(None, _HARMLESS)
    else:
        is_printable = "\\" not in joined and not re.search(_UNPRINTABLE, joined)
    # Most segments that begin with a dot are harmless, but few keys have any.
    is_beyond_doubt = is_printable and "//" not in joined and "/." not in joined
    return is_beyond_doubt or not any(map(key_problem, keys))


def check_key(key: object) -> str:
    r"""Return `key` if it can name a value.

    Whether a site has such a key is another question, and not asked here.

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
        that is empty, ``.`` or ``..``, or holds a control character, a
        character that turns the writing direction, or a lone surrogate.

    Examples
    --------
    >>> check_key("terrain/100% dem.tif")
    'terrain/100% dem.tif'
    >>> check_key("../secret")
    Traceback (most recent call last):
    staticstore.errors.InvalidKeyError: no key: one of its segments between slashes is ...
    """
    if problem := key_problem(key):
        raise InvalidKeyError(f"no key: {problem}", key=key if isinstance(key, str) else None)
    assert isinstance(key, str)
    return key


def key_to_url_path(data_path: str, key: str) -> str:
    """Return the path of a value in a URL, relative to the root.

    The key is quoted whole and never joined as a URL (RFC 3986): a key such as
    ``//other.example/x`` or ``%2e%2e/x`` is text and stays it.

    Parameters
    ----------
    data_path : str
        What stands between root and key, such as ``"data/"``.
    key : str
        A key that `check_key` has let through.

    Examples
    --------
    >>> key_to_url_path("data/", "100% é/a+b.tif")
    'data/100%25%20%C3%A9/a%2Bb.tif'
    """
    return quote(data_path + key, safe="/")


def key_to_path(key: str, *, windows: bool = os.name == "nt") -> PurePath:
    """Return the relative path of a file that holds the value of `key`.

    Whether two keys lead to one file, on a file system that folds case or
    Unicode forms, cannot be seen from one key.

    Parameters
    ----------
    key : str
        A key.
    windows : bool, optional
        Whether to hold to the rules of Windows as well; by default, on Windows.

    Raises
    ------
    InvalidKeyError
        It is no key, or a file system could not hold such a name.

    Examples
    --------
    >>> key_to_path("terrain/dem.tif").parts
    ('terrain', 'dem.tif')
    """
    from pathlib import PurePath

    segments = check_key(key).split("/")
    for segment in segments:
        if len(segment.encode()) > _LONGEST_SEGMENT:
            raise InvalidKeyError(
                f"a segment is longer than {_LONGEST_SEGMENT} bytes: no file can have that name",
                key=key,
            )
        if windows and (
            re.match(_WINDOWS_DEVICE, segment) or re.search(_WINDOWS_FORBIDDEN, segment)
        ):
            raise InvalidKeyError(f"Windows can have no file named {segment!r}", key=key)
    return PurePath(*segments)
