"""JSON in and out: strict, fast, and in the one canonical form.

msgspec takes a tenth of the time of `json` and a quarter of its memory, since
it can leave the entries of an index raw.  It is imported at the first call
here, so that a program which only imports staticstore does not pay for it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from itertools import repeat
from typing import TYPE_CHECKING, Annotated, Any

from ..errors import IndexFormatError
from .fields import PACK_HREF, SHA256

if TYPE_CHECKING:
    import msgspec

    from .fields import Content

__all__ = [
    "FieldDecoder",
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

#: Decodes one field of each member of a JSON object: the names, and its values.
FieldDecoder = Callable[[bytes], tuple[Iterable[str], list[Any]]]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


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
        # A digest becomes part of a path in the cache, so that it must be one.
        digest = Annotated[str, msgspec.Meta(pattern=rf"\A{SHA256}")]
        pack = Annotated[str, msgspec.Meta(pattern=rf"\A{PACK_HREF}")]
        # Without a dictionary for each, and unseen by the garbage collector.
        place = msgspec.defstruct(
            "Place",
            [("href", pack), ("offset", count)],
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
            ],
            rename={"place": "packed"},
            gc=False,
        )
        self.decode_contents = json.Decoder(dict[str, contents]).decode  # type: ignore[valid-type]
        self.decode_objects = json.Decoder(list[dict[str, Any]]).decode
        stretch = tuple[str, int, int, str]
        texts = [(name, str) for name in ("format", "href", "sha256")]
        numbers = [(name, int) for name in ("modulus", "size")]
        root = msgspec.defstruct("Root", [*texts, *numbers, ("pages", list[stretch])])
        # What these do not ask for is passed over, and no object is made of it.
        self.decode_root: Callable[[bytes], Any] = json.Decoder(root).decode
        self.decode_stretches = json.Decoder(stretch).decode_lines
        self.decode = json.Decoder().decode
        encoder = json.Encoder(order="sorted")
        self.encode = encoder.encode
        self.encode_lines = encoder.encode_lines
        self.error = msgspec.MsgspecError

    def field_decoder(self, field: str) -> Callable[[bytes], dict[str, Any]]:
        """Return what decodes one field of each member of an object."""
        import msgspec

        names = {"value": field}
        one_field = msgspec.defstruct("Field", [("value", Any, None)], rename=names, gc=False)
        return msgspec.json.Decoder(dict[str, one_field]).decode  # type: ignore[valid-type]


@functools.cache
def _codec() -> _Codec:
    return _Codec()


def split(body: bytes | bytearray) -> dict[str, msgspec.Raw]:
    """Take one JSON object apart into its keys and their values, these left raw.

    The values are views into `body`, which lives as long as one of them does.
    What is inside a value is checked for its syntax alone; `decode` finds
    numbers out of range and texts that are not UTF-8.

    Raises
    ------
    IndexFormatError
        It is no JSON object in UTF-8.
    """
    codec = _codec()
    try:
        if body.startswith(_BYTE_ORDER_MARK):
            body = body.removeprefix(_BYTE_ORDER_MARK)
        return codec.split(body)
    except RecursionError as error:
        raise IndexFormatError("the index is nested too deeply") from error
    except (codec.error, UnicodeDecodeError) as error:
        raise IndexFormatError(f"the index is no JSON object in UTF-8: {error}") from error


def split_change(line: bytes) -> tuple[str, msgspec.Raw]:
    """Take one line of a change file apart into its key and its metadata, this left raw.

    Raises
    ------
    IndexFormatError
        It is no such line.
    """
    codec = _codec()
    try:
        change = codec.split_change(line)
    except (codec.error, UnicodeDecodeError, RecursionError) as error:
        raise IndexFormatError(f"no line of a change file: {error}") from error
    return change.key, change.metadata


def decode(raw: msgspec.Raw | bytes) -> Any:
    """Decode a JSON value; what is returned is the caller's own.

    Raises
    ------
    IndexFormatError
        The value holds NaN, a number that overflows, a text that is not
        UTF-8, or is nested too deeply.
    """
    codec = _codec()
    try:
        return codec.decode(raw)
    except RecursionError as error:
        raise IndexFormatError("nested too deeply") from error
    except (codec.error, UnicodeDecodeError) as error:
        raise IndexFormatError(f"no JSON that can be read: {error}") from error


def decode_entries(members: bytes) -> dict[str, dict[str, Any]]:
    """Decode a JSON object of JSON objects.

    Raises
    ------
    IndexFormatError
        As `decode`, or a member is no object.
    """
    codec = _codec()
    try:
        return codec.decode_entries(members)
    except (codec.error, UnicodeDecodeError, RecursionError) as error:
        raise IndexFormatError(f"no entries that can be read: {error}") from error


def decode_contents(members: bytes) -> dict[str, Content]:
    """Decode, of a JSON object of entries, what they say of the bytes of their values.

    What is passed over is not checked.

    Raises
    ------
    IndexFormatError
        As `decode_entries`, or a field is plain metadata somewhere.
    """
    codec = _codec()
    try:
        return codec.decode_contents(members)  # has the same attributes
    except (codec.error, UnicodeDecodeError, RecursionError) as error:
        raise IndexFormatError(f"no entries that can be read: {error}") from error


def decode_root(body: bytes) -> dict[str, Any]:
    """Decode the root of the blocks of an index; what else is in it costs no memory.

    Raises
    ------
    IndexFormatError
        It is no such document.
    """
    codec = _codec()
    try:
        root = codec.decode_root(body)
    except (codec.error, UnicodeDecodeError, RecursionError) as error:
        raise IndexFormatError(f"no root of blocks: {error}") from error
    return {name: getattr(root, name) for name in root.__struct_fields__}


def decode_stretches(lines: bytes) -> list[tuple[str, int, int, str]]:
    """Decode a page of the list of blocks, or all of it; raises as `decode_root`."""
    codec = _codec()
    try:
        return codec.decode_stretches(lines)
    except (codec.error, UnicodeDecodeError, RecursionError) as error:
        raise IndexFormatError(f"no list of blocks: {error}") from error


def decode_objects(text: bytes) -> list[dict[str, Any]]:
    """Decode a JSON array of JSON objects; raises as `decode_entries`."""
    codec = _codec()
    try:
        return codec.decode_objects(text)
    except (codec.error, UnicodeDecodeError, RecursionError) as error:
        raise IndexFormatError(f"no entries that can be read: {error}") from error


def keys_of_entries(members: bytes) -> list[str]:
    """Decode the names of the members of a JSON object of JSON objects.

    What is in the members is checked for its syntax alone.

    Raises
    ------
    IndexFormatError
        As `decode_entries`.
    """
    found = split(members)
    if not all(map(bytes.startswith, map(bytes, found.values()), repeat(b"{"))):
        raise IndexFormatError("a member is no object")
    return list(found)


def field_decoder(field: str) -> FieldDecoder:
    """Return what decodes one field of all entries in a JSON object, and nothing else of them.

    A field that an entry does not have is None.  What is passed over is not
    checked.  The decoder raises `IndexFormatError` as `decode_entries` does.

    Examples
    --------
    >>> field_decoder("n")(b'{"a":{"n":1,"m":2},"b":{}}')
    (dict_keys(['a', 'b']), [1, None])
    """
    codec = _codec()
    try:
        decode_field = codec.field_decoder(field)
    except ValueError:  # a name that would have to be escaped in JSON

        def slow_decoder(members: bytes) -> tuple[Iterable[str], list[Any]]:
            entries = decode_entries(members)
            return entries.keys(), [entry.get(field) for entry in entries.values()]

        return slow_decoder

    def decoder(members: bytes) -> tuple[Iterable[str], list[Any]]:
        try:
            found = decode_field(members)
        except (codec.error, UnicodeDecodeError, RecursionError) as error:
            raise IndexFormatError(f"no entries that can be read: {error}") from error
        return found.keys(), [entry.value for entry in found.values()]

    return decoder


def member_lines(entries: Mapping[str, object]) -> bytes:
    r"""Write each member of an object in canonical form, a comma and a newline between them.

    Examples
    --------
    >>> member_lines({"a": {"y": 1, "x": 2}, "b": {}})
    b'"a":{"x":2,"y":1},\n"b":{}'
    """
    # An encoded value holds no newline, so that what separates two lines stands nowhere else.
    one_each = _codec().encode_lines([{key: entry} for key, entry in entries.items()])
    return one_each.replace(b"}\n{", b",\n")[1:-2]


def encode(value: object) -> bytes:
    """Encode a value in canonical form: fields sorted, no spaces, UTF-8, no needless escapes.

    Examples
    --------
    >>> encode({"title": "Zürich", "bbox": [8.4, 47.3]}).decode()
    '{"bbox":[8.4,47.3],"title":"Zürich"}'
    """
    return _codec().encode(value)
