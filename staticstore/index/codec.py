"""JSON in and out: strict, fast, and in the one canonical form.

msgspec takes a tenth of the time of `json` and a quarter of its memory, since
it can leave the entries of an index raw.  It is imported at the first call,
so that a program that only imports staticstore does not pay for it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import repeat
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict, TypeVar

from ..errors import IndexFormatError
from ..query.comparison import field_value
from .hidden import PACK_HREF

if TYPE_CHECKING:
    import msgspec

    #: The JSON text of an entry, as it came.
    Raw = msgspec.Raw | bytes


__all__ = [
    "MOST_LEVELS",
    "SHA256",
    "FieldDecoder",
    "check_depth",
    "decode",
    "decode_contents",
    "decode_entries",
    "decode_objects",
    "decode_root",
    "decode_stretches",
    "encode",
    "field_decoder",
    "keys_of_entries",
    "member_lines",
    "split",
    "split_change",
]

# Compiled at their first use, so that `import staticstore` does not pay (benchmark: imports).
SHA256 = r"[0-9a-f]{64}\Z"
T = TypeVar("T")

#: Decodes one field of each member of a JSON object: returns the names and the values.
FieldDecoder = Callable[[bytes], tuple[Iterable[str], list[Any]]]

#: An entry may be nested this deep.  Metadata never is, and Python's recursion limit is
#: far away, so that comparing or copying an entry cannot overflow the stack.
MOST_LEVELS = 100
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
# Brackets in a row, or a text, perhaps without its end.  The quantifiers are possessive:
# otherwise the engine would remember a way back for each character of a long text.
_BRACKETS_OR_TEXT = rb'(?s)[\[{]++|[\]}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
_QUOTE = ord('"')

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_Stretch = tuple[str, int, int, str]


class _Root(TypedDict):
    format: str
    modulus: int
    href: str
    size: int
    sha256: str
    pages: list[_Stretch]


class _Codec:
    """The decoders and encoders, each made once."""

    def __init__(self) -> None:
        import msgspec

        json = msgspec.json
        change = msgspec.defstruct("Change", [("key", str), ("metadata", msgspec.Raw)])
        self.split = json.Decoder(dict[str, msgspec.Raw]).decode
        self.split_change: Callable[[bytes], Any] = json.Decoder(change).decode
        self.decode_entries = json.Decoder(dict[str, dict[str, Any]]).decode
        count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
        # A digest becomes part of a path in the cache: accept nothing else.
        digest = Annotated[str, msgspec.Meta(pattern=rf"\A{SHA256}")]
        pack = Annotated[str, msgspec.Meta(pattern=rf"\A{PACK_HREF}")]
        # Structs need no dictionary each, and the garbage collector passes over them.
        place = msgspec.defstruct(
            "Place",
            [("href", pack), ("offset", count)],
            array_like=True,
            forbid_unknown_fields=True,
            gc=False,
        )
        placed = msgspec.defstruct(
            "Placed",
            [("href", str)],
            namespace={"base": None},
            forbid_unknown_fields=True,
            gc=False,
        )
        compressed = msgspec.defstruct(
            "CompressedCopy",
            [("coding", Literal["zstd"]), ("size", count), ("sha256", digest)],
            namespace={"href": property(lambda copy: f"stored/{copy.sha256}.zst")},
            array_like=True,
            forbid_unknown_fields=True,
            gc=False,
        )
        contents = msgspec.defstruct(
            "Contents",
            [
                ("size", count | None, None),
                ("sha256", digest | None, None),
                ("place", place | None, None),
                ("modified", str | None, None),
                ("placed", placed | None, None),
                ("compressed", compressed | None, None),
            ],
            rename={"place": "packed", "compressed": "stored"},
            namespace={"checksum": None},
            gc=False,
        )
        self.decode_contents = json.Decoder(dict[str, contents]).decode  # type: ignore[valid-type]
        self.decode_objects = json.Decoder(list[dict[str, Any]]).decode
        # These decoders skip what is not asked for without making objects of it.
        self.decode_root = json.Decoder(_Root).decode
        self.decode_stretches = json.Decoder(_Stretch).decode_lines
        self.decode = json.Decoder().decode
        encoder = json.Encoder(order="sorted")
        self.encode = encoder.encode
        self.encode_lines = encoder.encode_lines
        self.errors = (msgspec.MsgspecError, UnicodeDecodeError)

    def field_decoder(self, field: str) -> Callable[[bytes], dict[str, Any]]:
        """Return a decoder of one field of each member of an object."""
        import msgspec

        names = {"value": field}
        one_field = msgspec.defstruct("Field", [("value", Any, None)], rename=names, gc=False)
        return msgspec.json.Decoder(dict[str, one_field]).decode  # type: ignore[valid-type]


@functools.cache
def _codec() -> _Codec:
    return _Codec()


def _decoded(decode: Callable[[Any], T], text: bytes | bytearray, what: str) -> T:
    """Decode; raise `IndexFormatError` with `what` in its message."""
    try:
        return decode(text)
    except RecursionError as error:
        raise IndexFormatError(f"{what}: nested too deeply") from error
    except _codec().errors as error:
        raise IndexFormatError(f"{what}: {error}") from error


def split(body: bytes | bytearray) -> dict[str, msgspec.Raw]:
    """Split one JSON object into its keys and their raw values.

    The values are views into `body`, which lives as long as one of them does.
    Only their syntax is checked; `decode` finds numbers out of range and
    texts that are not UTF-8.

    Raises
    ------
    IndexFormatError
        It is not a JSON object in UTF-8.
    """
    if body.startswith(_BYTE_ORDER_MARK):
        body = body.removeprefix(_BYTE_ORDER_MARK)
    return _decoded(_codec().split, body, "the index is not a JSON object in UTF-8")


def split_change(line: bytes) -> tuple[str, msgspec.Raw]:
    """Split one line of a change file into its key and its raw metadata.

    Raises
    ------
    IndexFormatError
        It is not such a line.
    """
    change = _decoded(_codec().split_change, line, "not a line of a change file")
    return change.key, change.metadata


def decode(raw: msgspec.Raw | bytes) -> Any:
    """Decode a JSON value; the result is the caller's own.

    Raises
    ------
    IndexFormatError
        The value holds NaN, a number that overflows or a text that is not
        UTF-8, or is nested too deeply.
    """
    codec = _codec()
    try:  # not through `_decoded`: a call less for each entry that is read
        return codec.decode(raw)
    except RecursionError as error:
        raise IndexFormatError("nested too deeply") from error
    except codec.errors as error:
        raise IndexFormatError(f"invalid JSON: {error}") from error


def decode_entries(members: bytes) -> dict[str, dict[str, Any]]:
    """Decode a JSON object of JSON objects.

    Raises
    ------
    IndexFormatError
        As `decode`, or a member is not an object.
    """
    return _decoded(_codec().decode_entries, members, "the entries cannot be read")


def decode_contents(members: bytes) -> dict[str, Any]:
    """Decode what the entries in a JSON object say of the bytes of their values.

    Other fields are skipped and not checked.

    Raises
    ------
    IndexFormatError
        As `decode_entries`, or a field of an entry is plain metadata.
    """
    # The structs have the attributes of `Content`.
    return _decoded(_codec().decode_contents, members, "the entries cannot be read")


def decode_root(body: bytes) -> Mapping[str, Any]:
    """Decode the root of the blocks of an index; unknown fields cost no memory.

    Raises
    ------
    IndexFormatError
        It is not such a document.
    """
    return _decoded(_codec().decode_root, body, "not a root of blocks")


def decode_stretches(lines: bytes) -> list[tuple[str, int, int, str]]:
    """Decode a page of the list of blocks, or the whole list.

    Raises
    ------
    IndexFormatError
        They are not such lines.
    """
    return _decoded(_codec().decode_stretches, lines, "not a list of blocks")


def decode_objects(text: bytes) -> list[dict[str, Any]]:
    """Decode a JSON array of JSON objects; raises as `decode_entries`."""
    return _decoded(_codec().decode_objects, text, "the entries cannot be read")


def keys_of_entries(members: bytes) -> list[str]:
    """Decode the names of the members of a JSON object of JSON objects.

    Only the syntax of the members is checked.

    Raises
    ------
    IndexFormatError
        As `decode_entries`.
    """
    found = split(members)
    if not all(map(bytes.startswith, map(bytes, found.values()), repeat(b"{"))):
        raise IndexFormatError("a member is not an object")
    return list(found)


def field_decoder(field: str) -> FieldDecoder:
    """Return a decoder of one field of all entries in a JSON object.

    Its result is None for an entry without the field.  Other fields are
    skipped and not checked, unless `field_value` may reach into them: such a
    decoder is slower.  The decoder raises as `decode_entries`.

    Examples
    --------
    >>> field_decoder("n")(b'{"a":{"n":1,"m":2},"b":{}}')
    (dict_keys(['a', 'b']), [1, None])
    """

    def slow_decoder(members: bytes) -> tuple[Iterable[str], list[Any]]:
        entries = decode_entries(members)
        return entries.keys(), [field_value(entry, field) for entry in entries.values()]

    if "." in field:
        return slow_decoder
    try:
        decode_field = _codec().field_decoder(field)
    except ValueError:  # a name that has to be escaped in JSON
        return slow_decoder

    def decoder(members: bytes) -> tuple[Iterable[str], list[Any]]:
        found = _decoded(decode_field, members, "the entries cannot be read")
        return found.keys(), [entry.value for entry in found.values()]

    return decoder


def check_depth(text: bytes, count: int) -> None:
    """Refuse JSON that is nested too deeply, without recursion.

    Parameters
    ----------
    text : bytes
        JSON values separated by commas, perhaps with names.
    count : int
        The least number of them that have brackets.

    Raises
    ------
    IndexFormatError
        One of them is nested more than `MOST_LEVELS` deep.
    """
    if text.count(b"[") + text.count(b"{") - count < MOST_LEVELS:
        return
    brackets = text.translate(None, _NO_BRACKETS)
    for _ in range(MOST_LEVELS // 2):  # each time one level less, or two
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if not brackets:
            return
    depth = 0  # there may be brackets in texts: look at all
    for found in re.finditer(_BRACKETS_OR_TEXT, text):
        first, length = text[found.start()], found.end() - found.start()
        if first == _QUOTE:
            continue
        depth += length if first in b"[{" else -length
        if depth > MOST_LEVELS:
            raise IndexFormatError("nested too deeply")


def member_lines(entries: Mapping[str, object]) -> bytes:
    r"""Write the members of an object in canonical form, one to a line, with commas.

    Examples
    --------
    >>> member_lines({"a": {"y": 1, "x": 2}, "b": {}})
    b'"a":{"x":2,"y":1},\n"b":{}'
    """
    # An encoded value holds no newline, so that a separator cannot be part of one.
    one_each = _codec().encode_lines([{key: entry} for key, entry in entries.items()])
    return one_each.replace(b"}\n{", b",\n")[1:-2]


def encode(value: object) -> bytes:
    """Encode a value in canonical form: sorted, no spaces, UTF-8, no needless escapes.

    Examples
    --------
    >>> encode({"title": "Zürich", "bbox": [8.4, 47.3]}).decode()
    '{"bbox":[8.4,47.3],"title":"Zürich"}'
    """
    return _codec().encode(value)
