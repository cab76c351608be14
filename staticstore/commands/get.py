"""What ``get`` does: copy a value, or a range of it, to where it is wanted."""

from __future__ import annotations

import codecs
import difflib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..client.store import StaticStore
from ..client.value import URLValue
from ..errors import StoreError, quoted
from ..index.fields import Facts
from ..terminal import Output, size_text
from ..transport.destination import destination, is_replaced
from .exits import CommandError, ExitCode

if TYPE_CHECKING:
    from ..transport.stream import Progress

__all__ = ["Span", "get"]

#: Start and end of a range, as in a slice.
Span = tuple[int | None, int | None]

_PIECE = 1 << 20  # bytes
_KEYS_COMPARED = 10_000  # to find one that is spelled alike
# What a text may have nothing of, if it shall do no harm to a terminal.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def get(
    store: StaticStore, output: Output, key: str, *, file: str | None, span: Span | None
) -> None:
    """Copy a value, or a range of it, to a file or to the standard output.

    Parameters
    ----------
    store : StaticStore
        Connected.
    output : Output
        Where to tell of it.
    key : str
        The key.
    file : str or None
        Where to: ``"-"`` is the standard output whatever it is, and None the
        same, but a terminal gets nothing that could harm it.
    span : (int or None, int or None), optional
        Start and end; None for the whole value, which is verified.
    """
    value = _value(store, key)
    if file is None or file == "-":
        _to_stdout(value, output, span, guarded=file is None and sys.stdout.isatty())
        return
    size = _to_file(value, output, span, file)
    verified = span is None and value.sha256 is not None
    output.record({"key": key, "file": file, "size": size, "verified": verified})
    output.note(f"{file}: {size_text(size)}{', verified' if verified else ''}")


def _value(store: StaticStore, key: str) -> URLValue:
    try:
        return store[key]
    except KeyError:
        pass
    alike: list[str] = []
    if len(store) <= _KEYS_COMPARED:
        alike = difflib.get_close_matches(key, store, n=1)
    raise CommandError(
        f"the index has no key {quoted(key)}",
        code=ExitCode.NO_SUCH_KEY,
        kind="KeyError",
        key=key,
        hint=f"did you mean {quoted(alike[0])}?" if alike else "'staticstore ls' shows all keys",
    )


def _to_stdout(value: URLValue, output: Output, span: Span | None, *, guarded: bool) -> None:
    write = sys.stdout.buffer.write
    if sys.stdout.isatty():  # a bar would be written into the text
        check = _text_guard(value.key) if guarded else None
        for piece in _pieces(value, span, None):
            if check is not None:
                check(piece)
            write(piece)
    else:
        with output.progress(value.key) as progress:
            for piece in _pieces(value, span, progress):
                write(piece)
    sys.stdout.buffer.flush()


def _to_file(value: URLValue, output: Output, span: Span | None, file: str) -> int:
    """Write the file whole or not at all; return how many bytes."""
    path, size = Path(file), 0
    try:
        with output.progress(value.key) as progress:

            def note(done: int, total: int | None) -> None:
                nonlocal size
                size = done
                if progress is not None:
                    progress(done, total)

            if span is None:
                value.to_file(path, note)
            else:
                with destination(path) as written:
                    written.writelines(_pieces(value, span, note))
    except StoreError:
        raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CommandError(f"{quoted(file)} cannot be written: {reason}") from error
    return path.stat().st_size if is_replaced(path) else size


def _pieces(value: URLValue, span: Span | None, progress: Progress | None) -> Iterator[bytes]:
    if span is None:
        yield from value.iterdata(_PIECE, progress)
        return
    size = Facts.of(value.metadata).size
    total = None if size is None else len(range(size)[slice(*span)])
    done = 0
    with value.range(*span) as stream:
        while piece := stream.read(_PIECE):
            done += len(piece)
            if progress is not None:
                progress(done, total)
            yield piece


def _text_guard(key: str) -> Callable[[bytes], None]:
    """Return what raises for a piece that is no text which a terminal can show."""
    decoder = codecs.getincrementaldecoder("utf-8")()

    def check(piece: bytes) -> None:
        try:
            harmful = _CONTROLS.search(decoder.decode(piece)) is not None
        except UnicodeDecodeError:
            harmful = True
        if harmful:
            raise CommandError(
                f"the value of {quoted(key)} is binary, and would garble the terminal",
                key=key,
                hint="-o FILE writes it to a file, '-o -' to the terminal all the same",
            )

    return check
