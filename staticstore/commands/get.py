"""``staticstore get``: copy values, or ranges of them, to files or standard output."""

from __future__ import annotations

import codecs
import contextlib
import difflib
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import tuning
from ..errors import InvalidKeyError, quoted
from ..index.notebook import size_text
from .exits import CommandError, ExitCode
from .options import CommonOptions, examples, output_options, site_options
from .parameters import FILE, KEY
from .value_files import FolderCopy, ValuePart, new_folders, write_errors_of

if TYPE_CHECKING:
    from ..client.store import StaticStore
    from ..client.value import URLValue
    from .terminal import Output

__all__ = ["get"]

_RANGE = re.compile(r"(-?[0-9]{1,18})?:(-?[0-9]{1,18})?")
_PATTERN = re.compile(r"[*?[]")
# Control characters that a terminal would obey; tab, line feed and carriage return are text.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SEPARATORS = (os.sep, os.altsep or os.sep)


def _parse_range(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> slice | None:
    if value is None:
        return None
    match = _RANGE.fullmatch(value)
    if match is None:
        raise click.BadParameter(f"{value!r} is not of the form START:END, in bytes")
    return slice(*(None if bound is None else int(bound) for bound in match.groups()))


def _parse_place(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    if value == "":
        raise click.BadParameter("it is empty: give the name of a file or folder")
    return value


@click.command(
    epilog=examples(
        "staticstore get https://data.example.org/site/ terrain/dem.tif -o dem.tif",
        "staticstore get https://data.example.org/site/ stations.csv | head",
        "staticstore get https://data.example.org/site/ terrain/dem.tif --range -8: | xxd",
        "staticstore get https://data.example.org/site/ stations.csv 'terrain/*' -o my-folder",
    )
)
@site_options
@click.argument("keys", metavar="KEY...", type=KEY, nargs=-1, required=True)
@click.option(
    "-o",
    "place",
    metavar="FILE|FOLDER",
    type=FILE,
    callback=_parse_place,
    help="Write to this file, or into this folder; - is the standard output.",
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
def get(
    common: CommonOptions, url: str, keys: tuple[str, ...], place: str | None, part: slice | None
) -> None:
    """Read values, or some bytes of them.

    Several keys, and shell patterns as of 'ls', need -o FOLDER: each value is written to
    FOLDER/KEY. A single key is written to the file of -o; a folder that exists, or a path with
    a slash at its end, gets the file under the last part of the key.

    Whole values are verified against their digests: a file is written completely and correctly,
    or not at all.
    """
    output = common.output
    is_file = place not in (None, "-")
    if output.as_json and not is_file:
        raise click.UsageError("--json needs -o FILE: the value would be mixed with the JSON")
    if len(keys) > 1:
        _check_folder(place)
    elif place is not None and is_file and not _PATTERN.search(keys[0]):
        _check_file(place, keys[0])
    is_lazy = not any(map(_PATTERN.search, keys))
    with common.connected(url, lazy=is_lazy) as store:
        if len(keys) == 1 and keys[0] in store:
            _get_one(ValuePart(store[keys[0]], part), output, place)
            return
        values = _matching(store, keys, output)
        parts = {key: ValuePart(value, part) for key, value in values.items()}
        FolderCopy(_check_folder(place), output, store.disconnect).write(parts)


# -- which keys, and where to -----------------------------------------------------------


def _check_folder(place: str | None) -> Path:
    if place is None or place == "-":
        raise click.UsageError("several keys, or a pattern, need -o FOLDER")
    if os.path.lexists(place) and not os.path.isdir(place):
        text = "it is a file, and several values go into a folder"
        raise CommandError(f"{quoted(place)} cannot be written: {text}")
    return Path(place)


def _check_file(place: str, key: str) -> None:
    from ..disk.atomic import checked_place

    if place.endswith(_SEPARATORS) and not os.path.isdir(place):
        return  # the folder is made once the key is found
    with contextlib.suppress(InvalidKeyError):  # a key that no index has
        path = _file_of(place, key)
        with write_errors_of(path):
            checked_place(path)


def _file_of(place: str, key: str) -> Path:
    from ..index.fields import key_to_path

    is_folder = place.endswith(_SEPARATORS) or os.path.isdir(place)
    return Path(place, key_to_path(key).name) if is_folder else Path(place)


def _matching(store: StaticStore, keys: tuple[str, ...], output: Output) -> dict[str, URLValue]:
    from ..site.folder.withheld import withheld_key

    found: dict[str, URLValue] = {}
    missing: list[str] = []
    for key in keys:
        if key in store:
            found[key] = store[key]
            continue
        matching = list(store.glob(key)) if _PATTERN.search(key) else []
        if not matching:
            missing.append(key)
        for match in matching:
            # The host chooses its keys, and such a file could take effect in the folder.
            if match in found:
                continue
            if (withheld := withheld_key(match)) is not None:
                output.warning(
                    f"{quoted(match)} is left out: {withheld.reason}; give the key itself to get it"
                )
            else:
                found[match] = store[match]
    if missing:
        raise _no_such_key(store, missing)
    return found


def _no_such_key(store: StaticStore, missing: list[str]) -> CommandError:
    first, *others = missing
    hint = "'staticstore ls' shows all keys"
    if others:
        text = f"nothing in the index matches {', '.join(map(quoted, missing))}"
    elif _PATTERN.search(first):
        text = f"no key matches {quoted(first)}"
    else:
        text = f"the index has no key {quoted(first)}"
        if len(store) <= tuning.SUGGESTING_KEYS:
            for alike in difflib.get_close_matches(first, store, n=1):
                hint = f"did you mean {quoted(alike)}?"
    return CommandError(text, code=ExitCode.NO_SUCH_KEY, kind="KeyError", key=first, hint=hint)


# -- one value --------------------------------------------------------------------------


def _get_one(part: ValuePart, output: Output, place: str | None) -> None:
    if place is None or place == "-":
        _write_stdout(part, output, is_forced=place == "-")
        return
    path = _file_of(place, part.value.key)
    with new_folders() as make:
        if path != Path(place):
            with write_errors_of(path):
                make(path.parent)
        with output.progress(part.value.key) as progress:
            size = part.write(path, progress)
    part.record(output, path, size)
    output.note(f"{path}: {size_text(size)}{', verified' if part.is_verified else ''}")


def _write_stdout(part: ValuePart, output: Output, *, is_forced: bool) -> None:
    write = sys.stdout.buffer.write
    if sys.stdout.isatty():  # no progress bar, which would be written into the text
        check = None if is_forced else _text_check(part.value.key)
        for piece in part.pieces(None):
            if check is not None:
                check(piece)
            write(piece)
    else:
        with output.progress(part.value.key) as progress:
            for piece in part.pieces(progress):
                write(piece)
    sys.stdout.buffer.flush()


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
