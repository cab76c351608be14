"""Write TOML (version 1.0): tables of texts, numbers and lists of them."""

import json
from collections.abc import Mapping

Fields = dict[str, str | int | float | list[str] | list[float]]


def toml(comment: str, tables: Mapping[str, Fields]) -> bytes:
    """Return the tables in their order, each with a quoted name, below a comment."""
    parts = [f"# {line}\n" for line in comment.splitlines()]
    for name, fields in tables.items():
        parts.append(f"\n[{_value(name)}]\n")
        parts += [f"{field} = {_value(value)}\n" for field, value in fields.items()]
    return "".join(parts).encode()


def _value(value: str | int | float | list[str] | list[float]) -> str:
    """Return a value; texts, numbers and lists look in TOML as they do in JSON."""
    return json.dumps(value, ensure_ascii=False)
