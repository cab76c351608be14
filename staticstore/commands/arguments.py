"""Options that only a few commands take, and that are arguments of their functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

from ..errors import IndexFormatError
from ..index import codec
from ..site.guards import GUARDS, Force, Guards

__all__ = [
    "SECONDS",
    "ForceCommand",
    "allow_name_option",
    "force_option",
    "interval_option",
    "parse_conditions",
    "select_option",
    "where_option",
]

_ALL_GUARDS = "all"
_INTERVAL_SECONDS = 30.0

_Function = TypeVar("_Function", bound=Callable[..., None])


class ForceCommand(click.Command):
    """A command whose ``--force`` has an optional value: ``--force=NAME``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; click takes the argument after a bare ``--force`` as its value."""
        end = args.index("--") if "--" in args else len(args)
        options = [f"--force={_ALL_GUARDS}" if one == "--force" else one for one in args[:end]]
        return super().parse_args(ctx, [*options, *args[end:]])


def force_option(*guards: str) -> Callable[[_Function], _Function]:
    """Return the option ``--force`` of a `ForceCommand` that has these guards."""
    return click.option(
        "--force",
        metavar="[=NAME]",
        multiple=True,
        callback=_parse_force,
        help=f"Do what is rarely meant, all or what is named: {', '.join(guards)}.",
    )


def _parse_force(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> Force:
    names = [name.strip() for value in values for name in value.split(",")]
    if _ALL_GUARDS in names:
        return True
    try:
        Guards(names)
    except ValueError:
        choices = ", ".join(GUARDS)
        raise click.BadParameter(f"--force takes no name, or some of {choices}") from None
    return frozenset(names)


class _Seconds(click.FloatRange):
    name = "seconds"

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True, max=1e6)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        seconds: float = super().convert(value, param, ctx)
        if math.isnan(seconds):  # which no comparison puts outside the range
            self.fail("it is not a number", param, ctx)
        return seconds


#: The type of an option in seconds: a number above 0.
SECONDS = _Seconds()


def interval_option(help_text: str) -> Callable[[_Function], _Function]:
    """Return the option ``--interval``, the seconds between polls."""
    return click.option(
        "--interval",
        metavar="SECONDS",
        type=SECONDS,
        default=_INTERVAL_SECONDS,
        show_default=True,
        help=help_text,
    )


allow_name_option = click.option(
    "--allow-name",
    "allow_names",
    metavar="NAME",
    multiple=True,
    help="Include files of this name, such as .htaccess, which are withheld otherwise; "
    "may be repeated.",
)


# -- fields and conditions -----------------------------------------------------------------


def _parse_fields(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> list[str] | None:
    fields = [name.strip() for value in values for name in value.split(",")]
    if not all(fields):
        raise click.BadParameter("a field name between the commas is missing")
    return fields or None


#: The fields to show; None for those that the command shows without it.
select_option = click.option(
    "--select",
    metavar="FIELD,...",
    multiple=True,
    callback=_parse_fields,
    help="Show these fields; may be repeated.",
)


class _Equal:
    """Whether a value is what a text is as JSON, or that text itself."""

    def __init__(self, decoded: object, text: str) -> None:
        self._decoded = decoded
        self._text = text

    def __call__(self, value: object) -> bool:
        return value in (self._decoded, self._text)


def parse_conditions(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, Any]:
    """Return the conditions ``FIELD=VALUE``, as the argument ``where`` of a query.

    A field must equal what VALUE is as JSON, or VALUE as it was typed.
    """
    where: dict[str, Any] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{text!r} is not of the form field=value")
        if name in where:
            raise click.BadParameter(f"the field {name!r} is given twice")
        where[name] = _condition(value)
    return where


def _condition(text: str) -> object:
    try:
        decoded = codec.decode(text.encode())
    except (IndexFormatError, UnicodeEncodeError):
        return text
    # A predicate is not called for an entry without the field, which null matches.
    return None if decoded is None else _Equal(decoded, text)


def where_option(help_text: str) -> Callable[[_Function], _Function]:
    """Return the option ``--where``, conditions; ``--select`` says that it is meant."""

    def add(function: _Function) -> _Function:
        option = click.option(
            "--where",
            metavar="FIELD=VALUE",
            multiple=True,
            callback=parse_conditions,
            help=help_text,
        )
        former = click.option(
            "--select", hidden=True, expose_value=False, multiple=True, callback=_refuse_select
        )
        return option(former(function))

    return add


def _refuse_select(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> None:
    if values:
        raise click.UsageError("--select names fields to show: for a condition, use --where")
