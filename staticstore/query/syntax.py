"""Conditions as text, as on the command line: ``size>=1000``.

A condition is a field, an operator and a value::

    type=raster        equals; a value that is JSON also as JSON: the number 3 and the text "3"
    type!=raster       does not equal, or is missing
    size>1000          less and greater: <  <=  >  >=
    title~north        contains, whatever the case; of a list, an item
    bbox@5,44,16,48    a box that intersects west, south, east, north
    date=null          is missing; date!=null: is not

The first operator in the text counts, and spaces around it do not.  A name that contains an
operator, and a value that begins with one or with a space, is written as a JSON string:
``"a=b"=5``, ``title="=x"``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, NoReturn

from .boxes import intersects
from .combinations import all_of, any_of
from .order import ge, gt, le, lt
from .predicates import ne, one_of
from .texts import contains

__all__ = [
    "OPERATORS",
    "ConditionError",
    "FieldCondition",
    "parse_condition",
    "where_of",
    "written_field",
]

#: The operators, in the order in which they are offered.
OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "~", "@")

_ORDER: dict[str, Callable[[Any], Any]] = {"<": lt, "<=": le, ">": gt, ">=": ge, "!=": ne}
# An "@" is an operator where no other follows: "@type=Dataset" is a condition on "@type".
_OPERATOR = re.compile(r"!?[=<>~]+|@(?=[^=<>~]*\Z)")
_WRONG = {
    "=": "== ===",
    "!=": "!== <> >< ≠",
    "<": "<<",
    "<=": "=< <== ≤",
    ">": ">>",
    ">=": "=> >== ≥",
    "~": "=~ ~= ~~ ≈",
}
_MEANT = {wrong: right for right, several in _WRONG.items() for wrong in several.split()}
_PLAIN_FIELD = re.compile(r'[^\s"!=<>~][^!=<>~@]*(?<!\s)')
_SIGNS = re.compile("[≠≤≥≈]")
_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)
_JSON = json.JSONDecoder()


class ConditionError(ValueError):
    """A text is not a condition.

    Parameters
    ----------
    text : str
        The text.
    position : int
        Where it goes wrong, in characters from its beginning.
    reason : str
        What is wrong there.
    suggestion : str, optional
        The condition that was probably meant.
    """

    def __init__(
        self, text: str, position: int, reason: str, suggestion: str | None = None
    ) -> None:
        super().__init__(f"{reason}, at character {position + 1}")
        self.text = text
        self.position = position
        self.reason = reason
        self.suggestion = suggestion


class FieldCondition(NamedTuple):
    """A condition that was parsed."""

    #: The condition as text.
    text: str
    #: The name of the field.
    field: str
    #: What stands for the field in the ``where`` of a query.
    wanted: Any

    @property
    def values(self) -> tuple[Any, ...] | None:
        """The values of which the field must equal one; None for other operators."""
        if isinstance(self.wanted, one_of):
            return self.wanted.values
        is_plain = self.wanted is None or isinstance(self.wanted, str)
        return (self.wanted,) if is_plain else None


def parse_condition(text: str) -> FieldCondition:
    """Parse a condition.

    Parameters
    ----------
    text : str
        As the module's docstring says.

    Raises
    ------
    ConditionError
        It cannot be understood.

    Examples
    --------
    >>> parse_condition("size >= 1000").wanted, parse_condition("bands=3").wanted
    (ge(1000), one_of(3, '3'))
    >>> parse_condition("size=>5")
    Traceback (most recent call last):
    staticstore.query.syntax.ConditionError: '=>' is no operator, at character 5
    """
    field, at, operator = _field_and_operator(text)
    if operator not in OPERATORS:
        _refuse_operator(text, at, operator)
    end = at + len(operator)
    typed = text[end:]
    value = typed.strip()
    start = len(text) - len(typed.lstrip()) if value else len(text)
    if operator == "=":
        wanted = _equal(value, typed)
    elif operator == "@":
        wanted = _box(text, end)
    elif not value and operator != "!=":
        raise ConditionError(text, start, f"the value after {operator!r} is missing")
    elif operator == "~":
        wanted = _contains(value)
    else:
        try:
            wanted = _ORDER[operator](_json_or_text(value))
        except TypeError:  # a list, an object or null has no order
            reason = f"{operator!r} takes a number, a text, a date, true or false, not {value}"
            raise ConditionError(text, start, reason) from None
    return FieldCondition(text, field, wanted)


def where_of(conditions: Iterable[FieldCondition]) -> dict[str, Any]:
    """Return the ``where`` of a query in which all conditions hold.

    Raises
    ------
    ConditionError
        A field would have to equal different values.

    Examples
    --------
    >>> where_of(map(parse_condition, ["size>1000", "size<2000", "type=raster"]))
    {'size': all_of(gt(1000), lt(2000)), 'type': 'raster'}
    """
    by_field: dict[str, list[FieldCondition]] = {}
    for condition in conditions:
        by_field.setdefault(condition.field, []).append(condition)
    where: dict[str, Any] = {}
    for field, several in by_field.items():
        _refuse_contradiction(several)
        wanted = [condition.wanted for condition in several]
        where[field] = wanted[0] if len(wanted) == 1 else all_of(*wanted)
    return where


def _refuse_contradiction(conditions: list[FieldCondition]) -> None:
    equal = [condition for condition in conditions if condition.values is not None]
    for other in equal[1:]:
        if not any(value in (equal[0].values or ()) for value in other.values or ()):
            reason = f"{equal[0].text} and {other.text} cannot both hold"
            raise ConditionError(other.text, 0, reason)


def written_field(field: str) -> str:
    """Return the name of a field as a condition begins with it, in quotes if need be.

    Examples
    --------
    >>> print(written_field("proj:code"), written_field("a=b"))
    proj:code "a=b"
    """
    return field if _PLAIN_FIELD.fullmatch(field) else json.dumps(field, ensure_ascii=False)


# -- the field and the operator ------------------------------------------------------------


def _field_and_operator(text: str) -> tuple[str, int, str]:
    # The name, the position of the operator, and the operator, or what stands in its place.
    begin = len(text) - len(text.lstrip())
    if text.startswith('"', begin):
        return _quoted_field(text, begin)
    # The first character may be an "@" that is no operator, as in JSON-LD.
    found = _OPERATOR.search(text, begin + text.startswith("@", begin))
    if found is None:
        _refuse_bare_field(text)
    field = text[begin : found.start()].rstrip()
    if not field:
        raise ConditionError(text, begin, f"the field before {found[0]!r} is missing")
    return field, found.start(), found[0]


def _quoted_field(text: str, begin: int) -> tuple[str, int, str]:
    try:
        field, end = _JSON.raw_decode(text, begin)
    except ValueError:
        raise ConditionError(text, begin, "the name in quotes is not valid JSON") from None
    at = end + len(text[end:]) - len(text[end:].lstrip())
    found = re.compile(r"!?[=<>~]+|@").match(text, at)
    if found is None:
        raise ConditionError(text, at, "an operator must follow the name in quotes")
    return field, at, found[0]


def _refuse_operator(text: str, at: int, operator: str) -> NoReturn:
    meant = _MEANT.get(operator)
    suggestion = None if meant is None else text[:at] + meant + text[at + len(operator) :]
    raise ConditionError(text, at, f"{operator!r} is no operator", _right(suggestion))


def _refuse_bare_field(text: str) -> NoReturn:
    if sign := _SIGNS.search(text):
        _refuse_operator(text, sign.start(), sign[0])
    if not text.strip():
        raise ConditionError(text, 0, "it is empty")
    reason = (
        "there is no operator in it: if there are spaces around it, or the shell has taken '<' or "
        f"'>' for a redirection, put the condition in quotes, as in '{text.strip()}>5'"
    )
    raise ConditionError(text, len(text), reason)


def _right(suggestion: str | None) -> str | None:
    # What is suggested must be understood itself.
    if suggestion is None:
        return None
    try:
        return parse_condition(suggestion).text
    except ConditionError:
        return None


# -- the value -----------------------------------------------------------------------------


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(digits)
    return number


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        return text


def _equal(value: str, typed: str) -> Any:
    decoded = _json_or_text(value)
    if decoded is None:
        return None
    texts = dict.fromkeys((value, typed))
    if decoded is value and len(texts) == 1:
        return value
    return one_of(*([] if decoded is value else [decoded]), *texts)


def _contains(value: str) -> Any:
    # A number occurs in no text: its digits may.
    decoded = _json_or_text(value)
    if isinstance(decoded, str):
        return contains(decoded)
    return any_of(contains(decoded), contains(value))


def _box(text: str, end: int) -> intersects:
    begin, parts = end, list[str]()
    for begin, part in _parts(text, end):
        if not _NUMBER.fullmatch(part):
            reason = f"{part.strip()!r} is no number" if part.strip() else "a number is missing"
            raise ConditionError(text, begin, reason, _box_with_commas(text, end))
        parts.append(part)
    if len(parts) not in (4, 6):
        reason = f"a box has 4 numbers, W,S,E,N, or 6 with heights, not {len(parts)}"
        raise ConditionError(text, end, reason)
    numbers = [int(part) if part.strip().isdigit() else float(part) for part in parts]
    try:
        return intersects(*numbers)
    except ValueError:
        half = len(parts) // 2
        parts[1], parts[half + 1] = parts[half + 1], parts[1]
        swapped = _right(text[:end] + ",".join(parts)) if numbers[1] > numbers[half + 1] else None
        reason = "south is greater than north" if swapped else "a number is too large"
        raise ConditionError(text, end, reason, swapped) from None


def _parts(text: str, end: int) -> Iterator[tuple[int, str]]:
    # The numbers of a box, with their positions; a JSON list is one, too.
    begin, stop = end, len(text)
    if re.fullmatch(r"\s*\[.*\]\s*", text[end:], re.DOTALL):
        begin, stop = text.index("[", end) + 1, text.rindex("]")
    for part in text[begin:stop].split(","):
        yield begin, part
        begin += len(part) + 1


def _box_with_commas(text: str, end: int) -> str | None:
    numbers = re.split(r"[\s,;]+", text[end:].strip(" []()"))
    if len(numbers) not in (4, 6) or not all(map(_NUMBER.fullmatch, numbers)):
        return None
    return _right(text[:end] + ",".join(numbers))
