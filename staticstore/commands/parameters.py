"""The types of parameters, such as files and keys, and options that a few commands have.

Each type says what a shell completes.  Keys and fields are completed from an index on this machine,
in a folder or in the cache: nothing is requested while somebody types.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click
from click.shell_completion import CompletionItem
from click.types import StringParamType

from .. import tuning
from ..errors import InvalidKeyError, quoted
from ..index.advice import condition_advice, condition_beginnings
from ..index.fields import check_key
from ..query.syntax import ConditionError, FieldCondition, parse_condition, where_of
from ..site.guards import GUARDS, Force, Guards
from .shells import cached_roots, known_index

if TYPE_CHECKING:
    from ..index.snapshot import Index

__all__ = [
    "FILE",
    "FOLDER",
    "KEY",
    "SECONDS",
    "SITE_URL",
    "TARGET",
    "Asked",
    "ForceCommand",
    "LocalPath",
    "allow_name_option",
    "conditions_argument",
    "data_option",
    "data_path_of",
    "force_option",
    "interval_option",
    "limit_option",
    "null_option",
    "parse_data_path",
    "select_option",
    "sort_option",
    "where_option",
]

_ALL_GUARDS = "all"
_INTERVAL_SECONDS = 30.0
_SHOWN_CHARACTERS = 60  # of a condition, in a message

_Function = TypeVar("_Function", bound=Callable[..., None])

_Items = list[CompletionItem[str]]


class LocalPath(click.Path):
    """A path of this machine, whose ``~`` is expanded as in a shell, also in ``--option=~/x``.

    Parameters
    ----------
    kind : "file" or "dir"
        What a shell completes.
    exists : bool, optional
        Whether it must exist.
    """

    def __init__(self, kind: Literal["file", "dir"], *, exists: bool = False) -> None:
        super().__init__(exists=exists, readable=exists)
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path with the home folder in the place of ``~``; refuse an empty one."""
        if value == "":  # of an unset variable; it would be the current folder
            self.fail("it is empty", param, ctx)
        return super().convert(os.path.expanduser(value), param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> _Items:
        """Leave it to the shell, which completes names of files or folders."""
        return [CompletionItem(incomplete, type=self._kind)]


class SiteURL(LocalPath):
    """The root of a site, a URL or a folder."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> _Items:
        """Offer the sites whose indexes are cached, else folders."""
        roots = sorted({root for root in cached_roots(ctx) if root.startswith(incomplete)})
        if roots:
            return [CompletionItem(root) for root in roots]
        return super().shell_complete(ctx, param, incomplete)


class TargetURL(LocalPath):
    """Where a site is pushed to: a folder, or a bucket with its scheme."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the target; refuse what may be a bucket without its scheme."""
        path = super().convert(value, param, ctx)
        is_meant = "://" in path or path.startswith((".", os.sep)) or Path(path).is_absolute()
        if not (is_meant or path != value or os.path.isdir(path)):
            bucket = re.sub("^(s3|gs|az):/?", "", value)
            self.fail(
                f"{value!r} is no folder that exists: give ./{value} for a new folder, "
                f"or s3://{bucket} (gs://, az://) for a bucket",
                param,
                ctx,
            )
        return path


class KeyName(StringParamType):
    """A key, or a shell pattern."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> _Items:
        """Offer keys up to the next slash, as a shell offers names of files."""
        url = ctx.params.get("url")
        if not isinstance(url, str):
            return []
        names = _levels(known_index(ctx, url) or (), incomplete)
        return [CompletionItem(name, is_open=name.endswith("/")) for name in names]


FILE = LocalPath("file")
FOLDER = LocalPath("dir")
SITE_URL = SiteURL("dir")
TARGET = TargetURL("dir")
KEY = KeyName()


def data_option(help_text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the option ``--data`` of what reads a site's folder."""
    return click.option("--data", metavar="FOLDER", type=FOLDER, help=help_text)


def parse_data_path(text: str) -> str:
    """Return the folder of the values below the root of a site, with a slash at its end.

    Raises
    ------
    click.BadParameter
        It is empty, or leads out of the site.
    """
    data_path = text.strip("/") + "/"
    try:
        check_key(f"{data_path}key")
    except InvalidKeyError:
        raise click.BadParameter(
            f"{text!r} is no folder below the root of the site, such as rasters"
        ) from None
    return data_path


def data_path_of(url: str, data: str | None) -> str:
    """Return where the values of a site are: as ``--data`` says, or the note in a folder."""
    if data is not None:
        return data
    if not os.path.isdir(url):
        return "data/"
    from ..site.folder.site_folder import SiteFolder  # seldom needed

    return SiteFolder.of(url).data_path


def _levels(keys: Iterable[str], beginning: str) -> Iterator[str]:
    last = None
    count = 0
    for key in keys:
        if not key.startswith(beginning) or key.startswith("-"):  # it would be an option
            continue
        end = key.find("/", len(beginning))
        name = key if end < 0 else key[: end + 1]
        if name != last:
            if (count := count + 1) > tuning.COMPLETED_KEYS:
                return
            yield name
        last = name


# -- options of a few commands -------------------------------------------------------------


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


# -- fields, and what is listed -----------------------------------------------------------------


def _parse_fields(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> list[str] | None:
    fields = [name.strip() for value in values for name in value.split(",")]
    if not all(fields):
        raise click.BadParameter("a field name between the commas is missing")
    return fields or None


def _parse_sort(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> list[str] | None:
    fields = _parse_fields(context, parameter, values)
    if fields and "-" in fields:
        raise click.BadParameter("a field name after the minus sign is missing")
    return fields


#: The fields to show; None for those that the command shows without it.
select_option = click.option(
    "--select",
    metavar="FIELD,...",
    multiple=True,
    callback=_parse_fields,
    help="Show these fields; may be repeated.",
)

sort_option = click.option(
    "--sort",
    metavar="[-]FIELD,...",
    multiple=True,
    callback=_parse_sort,
    help="Sort by these fields, falling after a minus sign: --sort=-size; may be repeated. "
    "Values without the field come last.",
)

limit_option = click.option(
    "--limit", metavar="N", type=click.IntRange(min=1), help="Show the first N only."
)

null_option = click.option(
    "-0",
    "--null",
    is_flag=True,
    help="End each key with a NUL instead of a line break, for xargs -0; nothing but keys.",
)


# -- conditions ----------------------------------------------------------------------------


class Asked:
    """The conditions of a command line; false without any.

    Attributes
    ----------
    where : dict or None
        The ``where`` of a query in which all hold; None without conditions.
    """

    def __init__(self, conditions: tuple[FieldCondition, ...]) -> None:
        self._conditions = conditions
        self.where: dict[str, Any] | None = where_of(conditions) or None

    def __bool__(self) -> bool:
        """Return whether there are conditions."""
        return self.where is not None

    def advice(self, index: Index) -> Iterator[str]:
        """Yield why nothing matches, as far as that is easily seen."""
        return condition_advice(index, self._conditions)


class ConditionText(StringParamType):
    """A condition on a field, which becomes a `FieldCondition`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse it."""
        try:
            return parse_condition(value)
        except ConditionError as error:
            raise _condition_error(error, ctx) from error

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> _Items:
        """Offer names of fields, and after a whole name operators that fit its values."""
        # After an option whose value is missing, click leaves the arguments as they are.
        url = ctx.params.get("url") or next(iter(ctx.args), None)
        index = known_index(ctx, url) if isinstance(url, str) else None
        if index is None:
            return []
        beginnings = condition_beginnings(index, incomplete)
        return [CompletionItem(beginning, is_open=True) for beginning in beginnings]


def _condition_error(error: ConditionError, ctx: click.Context | None) -> click.UsageError:
    text = error.text
    if len(text) > _SHOWN_CHARACTERS:
        text = text[: _SHOWN_CHARACTERS - 1] + "…"
    message = f"the condition {quoted(text)} cannot be understood: {error.reason}"
    return click.UsageError(message, ctx)


def _ask(
    context: click.Context, parameter: click.Parameter, values: tuple[FieldCondition, ...]
) -> Asked:
    try:
        return Asked(values)
    except ConditionError as error:
        raise _condition_error(error, context) from error


#: The conditions of a command, as arguments.
conditions_argument = click.argument(
    "asked", metavar="[CONDITION]...", nargs=-1, type=ConditionText(), callback=_ask
)


def where_option(help_text: str) -> Callable[[_Function], _Function]:
    """Return the option ``--where``, conditions."""
    return click.option(
        "--where",
        "asked",
        metavar="CONDITION",
        multiple=True,
        type=ConditionText(),
        callback=_ask,
        help=help_text,
    )
