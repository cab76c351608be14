"""Conditions on the command line: the argument and the option, and why nothing matches."""

from __future__ import annotations

import difflib
import itertools
import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem
from click.types import StringParamType

from .. import tuning
from ..errors import quoted
from ..query.boxes import Box
from ..query.comparison import field_value, order_key
from ..query.order import Ordered
from ..query.predicates import exists
from ..query.syntax import OPERATORS, ConditionError, FieldCondition, parse_condition, where_of
from .parameters import known_index

if TYPE_CHECKING:
    from ..index.snapshot import Index
    from .terminal import Output

__all__ = ["Asked", "conditions_argument", "where_option"]

_Function = TypeVar("_Function", bound=Callable[..., None])

_PLAIN_NAME = re.compile(r'[^\s"@!=<>~-][^"@!=<>~]*(?<!\s)')
_MESSAGE_CHARACTERS = 60  # of a condition that is quoted


class Asked:
    """The conditions of a command line.

    Parameters
    ----------
    conditions : sequence of FieldCondition
        As they were typed.

    Attributes
    ----------
    where : dict or None
        The ``where`` of a query in which all hold; None without conditions.
    """

    def __init__(self, conditions: Sequence[FieldCondition] = ()) -> None:
        self._conditions = conditions
        self.where: dict[str, Any] | None = where_of(conditions) or None

    def __bool__(self) -> bool:
        """Return whether there are conditions."""
        return self.where is not None

    def explain(self, index: Index, output: Output) -> None:
        """Warn of conditions that no entry can fulfill, after nothing matched."""
        warn_of_unknown_fields(index, (one.field for one in self._conditions), output)
        for condition in self._conditions:
            if isinstance(condition.wanted, Ordered):
                _warn_of_kinds(index, condition, condition.wanted, output)


def warn_of_unknown_fields(index: Index, fields: Iterable[str], output: Output) -> None:
    """Warn of each field that no entry has, and name one that is similar."""
    for field in dict.fromkeys(fields):
        if next(index.query_keys(where={field: exists()}), None) is None:
            alike = difflib.get_close_matches(field, _fields_of(index), n=1)
            hint = f": did you mean {quoted(alike[0])}?" if alike else ""
            output.warning(f"no entry has the field {quoted(field)}{hint}")


def _warn_of_kinds(
    index: Index, condition: FieldCondition, wanted: Ordered, output: Output
) -> None:
    field = condition.field
    some = itertools.islice(index.query(where={field: exists()}), tuning.SAMPLED_ENTRIES)
    keys = [order_key(field_value(metadata, field)) for _, metadata in some]
    kinds = sorted({key[0] for key in keys if key is not None})
    if kinds and wanted.interval.kind not in kinds:
        output.warning(
            f"{quoted(field)} is {' or '.join(map(str, kinds))} in the index, but the value in "
            f"{quoted(condition.text)} is {wanted.interval.kind}: different kinds never match"
        )


def _fields_of(index: Index) -> dict[str, Any]:
    # The fields of the first entries, with one of their values; those of objects as `a.b`.
    fields: dict[str, Any] = {}
    for _, metadata in itertools.islice(index.query(), tuning.SAMPLED_ENTRIES):
        for field, value in metadata.items():
            fields.setdefault(field, value)
            if isinstance(value, dict):
                for inner, inner_value in value.items():
                    fields.setdefault(f"{field}.{inner}", inner_value)
    return fields


# -- the argument and the option -----------------------------------------------------------


class _ConditionText(StringParamType):
    name = "condition"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return parse_condition(value)
        except ConditionError as error:
            raise _usage_error(error, ctx) from error

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[str]]:
        # Names of fields, and after a whole name the operators that its values can have.
        index = known_index(ctx, url) if isinstance(url := ctx.params.get("url"), str) else None
        if index is None:
            return []
        fields = {_written(field): value for field, value in _fields_of(index).items()}
        names = sorted(name for name in fields if name.startswith(incomplete))
        if len(names) == 1 or incomplete in names:
            name = incomplete if incomplete in names else names[0]
            names.remove(name)
            names = [name + operator for operator in _operators_for(fields[name])] + names
        return [CompletionItem(name, is_open=True) for name in names]


def _written(field: str) -> str:
    return field if _PLAIN_NAME.fullmatch(field) else json.dumps(field, ensure_ascii=False)


def _operators_for(value: Any) -> list[str]:
    unfit = set()
    if order_key(value) is None:
        unfit |= {"<", "<=", ">", ">="}
    if not isinstance(value, str | list):
        unfit.add("~")
    if Box.of(value) is None:
        unfit.add("@")
    return [operator for operator in OPERATORS if operator not in unfit]


def _usage_error(error: ConditionError, ctx: click.Context | None) -> click.UsageError:
    text = error.text
    if len(text) > _MESSAGE_CHARACTERS:
        text = text[: _MESSAGE_CHARACTERS - 1] + "…"
    return click.UsageError(
        f"the condition {quoted(text)} cannot be understood: {error.reason}", ctx
    )


def _parse(
    context: click.Context, parameter: click.Parameter, values: tuple[FieldCondition, ...]
) -> Asked:
    try:
        return Asked(values)
    except ConditionError as error:
        raise _usage_error(error, context) from error


#: The argument ``conditions`` of a command: what an `Asked` has.
conditions_argument = click.argument(
    "asked", metavar="[CONDITION]...", nargs=-1, type=_ConditionText(), callback=_parse
)


def where_option(help_text: str) -> Callable[[_Function], _Function]:
    """Return the option ``--where``, conditions; ``--select`` says that it is meant."""
    return click.option(
        "--where",
        "asked",
        metavar="CONDITION",
        multiple=True,
        type=_ConditionText(),
        callback=_parse,
        help=help_text,
    )
