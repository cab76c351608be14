"""Files of metadata: JSON, TOML and CSV, read into rules of the same kind."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..errors import StoreError
from .metadata_csv import parse_csv
from .metadata_json import parse_json
from .source_text import first_failing_line, line_at, read_text

__all__ = ["parse_toml", "read_document"]

#: Keys or patterns with what stands beside them, not checked any further.
Rules = Iterable[tuple[object, object]]

# The time of `tomllib` rises with the square of the parts of a key, and fields of more than 98
# levels are refused anyway.
_LONG_KEY = re.compile(
    r"""(?:(?<![\w-])[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
    r"""(?:[ \t]*+\.[ \t]*+(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')){3000}""",
    re.ASCII,
)


def read_document(path: Path, name: str) -> Rules:
    """Read a metadata file, by what its name ends in.

    A byte order mark is tolerated.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        What errors call it.

    Raises
    ------
    StoreError
        The file cannot be read, or is not what it says that it is.  The error
        names it, and the line.
    """
    parse = _PARSERS.get(path.suffix.lower())
    if parse is None:
        raise StoreError(f"{name}: metadata is read from files named .json, .toml or .csv")
    return parse(read_text(path, name), name)


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """Parse TOML; raise `StoreError` with the line if it is none.

    Parameters
    ----------
    text : str
        The document.
    name : str
        What errors call it.
    """
    if long_key := _LONG_KEY.search(text):
        line = line_at(text, long_key.start())
        raise StoreError(f"{name}, line {line}: a key has more than 3,000 parts: flatten it")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+)", str(error))
        line = int(place[1]) if place else text.rstrip().count("\n") + 1
        raise StoreError(f"{name}, line {line}: it is no TOML: {error}") from error
    except (ValueError, RecursionError) as error:
        # Python's own, which name no line.
        kind = type(error)
        line = first_failing_line(text, lambda part: _fails_by(part, kind))
        is_deep = isinstance(error, RecursionError)
        what = "it is nested too deeply" if is_deep else "a number has too many digits"
        raise StoreError(f"{name}, line {line}: {what}") from error


def _fails_by(text: str, kind: type[Exception]) -> bool:
    try:
        tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        return type(error) is kind  # and not a TOMLDecodeError, for a text that is cut
    return False


_PARSERS: dict[str, Callable[[str, str], Rules]] = {
    ".json": lambda text, name: parse_json(text, name).items(),
    ".toml": lambda text, name: parse_toml(text, name).items(),
    ".csv": parse_csv,
}
