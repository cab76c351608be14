"""``staticstore get``: copy a value, or a range, to a file or standard output."""

from __future__ import annotations

import codecs
import difflib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import tuning
from ..errors import StoreError, quoted
from ..index.fields import Content
from ..index.notebook import size_text
from .exits import CommandError, ExitCode, system_reason
from .options import CommonOptions, examples, output_options, site_options
from .parameters import FILE, KEY

if TYPE_CHECKING:
    from ..client.store import StaticStore
    from ..client.value import URLValue
    from ..transport.values.stream import ReadProgress
    from .terminal import Output

__all__ = ["get"]

_RANGE = re.compile(r"(-?[0-9]{1,18})?:(-?[0-9]{1,18})?")
# Control characters that a terminal would obey; tab, line feed and carriage return are text.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def _parse_range(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> slice | None:
    if value is None:
        return None
    match = _RANGE.fullmatch(value)
    if match is None:
        raise click.BadParameter(f"{value!r} is not of the form START:END, in bytes")
    return slice(*(None if bound is None else int(bound) for bound in match.groups()))


def _parse_file(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    if value is not None and not Path(value).name:
        raise click.BadParameter(f"{value!r} is not the name of a file")
    return value


@click.command(
    epilog=examples(
        "staticstore get https://data.example.org/site/ terrain/dem.tif -o dem.tif",
        "staticstore get https://data.example.org/site/ stations.csv | head",
        "staticstore get https://data.example.org/site/ terrain/dem.tif --range -8: | xxd",
    )
)
@site_options
@click.argument("key", type=KEY)
@click.option(
    "-o",
    "file",
    metavar="FILE",
    type=FILE,
    callback=_parse_file,
    help="Write to this file; - is the standard output.",
)
@click.option(
    "--range",
    "part",
    metavar="START:END",
    callback=_parse_range,
    help="Only these bytes, as in a slice; negative numbers count from the end.",
)
@output_options
@click.pass_obj
def get(common: CommonOptions, url: str, key: str, file: str | None, part: slice | None) -> None:
    """Read a value, or some bytes of it.

    A whole value is verified against its digest: the file is written completely and correctly,
    or not at all.
    """
    output = common.output
    if output.as_json and file in (None, "-"):
        raise click.UsageError("--json needs -o FILE: the value would be mixed with the JSON")
    with common.connected(url, lazy=True) as store:
        value = _value(store, key)
        if file is None or file == "-":
            _write_stdout(value, output, part, is_forced=file == "-")
            return
        size = _write_file(value, output, part, file)
    verified = part is None and value.sha256 is not None
    output.record({"key": key, "file": file, "size": size, "verified": verified})
    output.note(f"{file}: {size_text(size)}{', verified' if verified else ''}")


def _value(store: StaticStore, key: str) -> URLValue:
    try:
        return store[key]
    except KeyError:
        pass
    alike: list[str] = []
    if len(store) <= tuning.SUGGESTING_KEYS:
        alike = difflib.get_close_matches(key, store, n=1)
    raise CommandError(
        f"the index has no key {quoted(key)}",
        code=ExitCode.NO_SUCH_KEY,
        kind="KeyError",
        key=key,
        hint=f"did you mean {quoted(alike[0])}?" if alike else "'staticstore ls' shows all keys",
    )


def _write_stdout(value: URLValue, output: Output, part: slice | None, *, is_forced: bool) -> None:
    write = sys.stdout.buffer.write
    if sys.stdout.isatty():  # no progress bar, which would be written into the text
        check = None if is_forced else _text_check(value.key)
        for piece in _pieces(value, part, None):
            if check is not None:
                check(piece)
            write(piece)
    else:
        with output.progress(value.key) as progress:
            for piece in _pieces(value, part, progress):
                write(piece)
    sys.stdout.buffer.flush()


def _write_file(value: URLValue, output: Output, part: slice | None, file: str) -> int:
    from ..disk.atomic import destination, is_replaced

    path, size = Path(file), 0
    try:
        with output.progress(value.key) as progress:

            def note(done: int, total: int | None) -> None:
                nonlocal size
                size = done
                if progress is not None:
                    progress(done, total)

            if part is None:
                value.to_file(path, note)
            else:
                with destination(path) as written:
                    written.writelines(_pieces(value, part, note))
    except StoreError:
        raise
    except OSError as error:
        text = f"{quoted(file)} cannot be written: {system_reason(error)}"
        raise CommandError(text) from error
    return path.stat().st_size if is_replaced(path) else size


def _pieces(value: URLValue, part: slice | None, progress: ReadProgress | None) -> Iterator[bytes]:
    if part is None:
        yield from value.iterdata(tuning.VALUE_PIECE_BYTES, progress)
        return
    size = Content.of(value.metadata).size
    total = None if size is None else len(range(size)[part])
    done = 0
    with value.range(part.start, part.stop) as stream:
        while piece := stream.read(tuning.VALUE_PIECE_BYTES):
            done += len(piece)
            if progress is not None:
                progress(done, total)
            yield piece


def _text_check(key: str) -> Callable[[bytes], None]:
    decoder = codecs.getincrementaldecoder("utf-8")()

    def check(piece: bytes) -> None:
        try:
            is_text = _CONTROLS.search(decoder.decode(piece)) is None
        except UnicodeDecodeError:
            is_text = False
        if not is_text:
            raise CommandError(
                f"the value of {quoted(key)} is binary and would garble the terminal",
                key=key,
                hint="-o FILE writes it to a file, '-o -' to the terminal all the same",
            )

    return check
