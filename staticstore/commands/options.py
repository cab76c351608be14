"""The options that commands share, and how what is typed is read."""

from __future__ import annotations

import contextlib
import logging
import math
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from ..client.store import StaticStore
from ..errors import IndexFormatError, StoreError
from ..index import codec
from ..site.guards import GUARDS, Force, Guards
from ..terminal import Output, shown
from ..transport.rate import LEAST_RATE
from .credentials import parse_credentials, read_auth_file
from .get import Span

if TYPE_CHECKING:
    from ..client.cache_folder import CacheFolder
    from ..site.predecessor import PublishedAt
    from ..transport.beginnings import PartFolder

__all__ = [
    "SECONDS",
    "USER_CACHE",
    "Forcible",
    "Shared",
    "allow_name_option",
    "auth_options",
    "cache_option",
    "connecting_options",
    "force_option",
    "interval_option",
    "output_options",
    "parse_conditions",
    "parse_fields",
    "parse_file",
    "parse_rate",
    "parse_span",
    "reaching_options",
]


class Forcible(click.Command):
    """A command whose ``--force`` takes a name behind an equals sign, or none."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; click alone would take what follows a bare ``--force`` for its value."""
        end = args.index("--") if "--" in args else len(args)
        options = [f"--force={_EVERYTHING}" if one == "--force" else one for one in args[:end]]
        return super().parse_args(ctx, [*options, *args[end:]])


class _Seconds(click.FloatRange):
    """A number of seconds above 0."""

    name = "seconds"

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True, max=1e6)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read a number; NaN is in every range, and is none."""
        seconds: float = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail("it is no number", param, ctx)
        return seconds


#: What stands for the user's own cache folder.
USER_CACHE = "user"
#: The type of an option that takes seconds.
SECONDS = _Seconds()
_INTERVAL = 30.0  # seconds
_EVERYTHING = "all"

_LOG = logging.getLogger("staticstore.cli")
_RETRIES = 2  # of a request, for somebody is waiting
_RATE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)([kmgKMG]?)")
_RANGE = re.compile(r"(-?[0-9]{1,18})?:(-?[0-9]{1,18})?")

_Function = TypeVar("_Function", bound=Callable[..., None])


@dataclass
class Shared:
    """What commands share: where their results go, and how they connect."""

    output: Output = field(default_factory=Output)
    auth: tuple[str, str] | Literal["netrc"] | None = field(default=None, repr=False)
    proxy: str | None = field(default=None, repr=False)
    ca: str | None = None
    cache: CacheFolder | None = None

    @contextlib.contextmanager
    def connected(
        self,
        url: str,
        *,
        poll_interval: float = 0.0,
        lazy: bool = False,
        parts: PartFolder | None = None,
    ) -> Iterator[StaticStore]:
        """Connect to a site while the block lasts.

        `parts` is where the beginning of an index stays that breaks off, without a cache.
        """
        try:
            store = StaticStore(
                url,
                poll_interval=poll_interval,
                lazy=lazy,
                cache=None if self.cache is None else self.cache.path,
            )
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="URL") from None
        store._parts = parts
        store.connect(
            self.auth,
            proxies=None if self.proxy is None else {"http": self.proxy, "https": self.proxy},
            verify=True if self.ca is None else self.ca,
            retries=_RETRIES,
        )
        _LOG.info("%r", store)
        try:
            yield store
        finally:
            store.disconnect()

    def published_at(self, location: str) -> PublishedAt:
        """Return where a site is published, and how it is reached."""
        from ..site.predecessor import PublishedAt

        return PublishedAt(
            location,
            auth=self.auth,
            proxies=None if self.proxy is None else {"http": self.proxy, "https": self.proxy},
            verify=True if self.ca is None else self.ca,
        )


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    assert parameter.name is not None
    setattr(context.ensure_object(Shared), parameter.name, value)


def _keep_cache(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        from ..client.cache_folder import CacheFolder

        try:
            folder = CacheFolder.of(True if value == USER_CACHE else value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
        except StoreError as error:  # no home folder
            if parameter.default is not None:  # the command is about the cache
                raise
            click.echo(f"nothing is cached: {error}", err=True)
            return
        context.ensure_object(Shared).cache = folder


def _keep_for_output(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    assert parameter.name is not None
    setattr(context.ensure_object(Shared).output, parameter.name, value)


def _keep_proxy(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    try:
        known = value is None or urlsplit(value).hostname is not None
    except ValueError:
        known = False
    if not known:  # and not shown, for it may hold a password
        raise click.BadParameter("it is no URL, such as http://proxy.example.org:3128")
    _keep(context, parameter, value)


def _keep_auth(
    read: Callable[[Any], tuple[str, str] | Literal["netrc"]],
) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Return the callback of an option that says who the user is, of which one is given."""

    def keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value is None or value is False:  # an empty text names no file, and is an error
            return
        shared = context.ensure_object(Shared)
        if shared.auth is None:
            shared.auth = read(value)
            return
        assert parameter.name is not None
        # Variables come after what was typed, which counts.
        if context.get_parameter_source(parameter.name) is not ParameterSource.ENVIRONMENT:
            raise click.UsageError("give only one of --auth, --auth-file and --netrc")

    return keep


def _typed_credentials(text: str) -> tuple[str, str]:
    user, password = parse_credentials(text)
    if password is None:
        if not sys.stdin.isatty():
            raise click.BadParameter(
                "give USER:PASSWORD, for there is no terminal to ask on, or use --auth-file"
            )
        password = click.prompt(f"Password for {shown(user)}", hide_input=True, err=True)
    return user, password


def output_options(function: _Function) -> _Function:
    """Give a command the options of `Output`."""
    for option in (
        click.option(
            "-q",
            "--quiet",
            is_flag=True,
            expose_value=False,
            callback=_keep_for_output,
            help="Say nothing but results and errors.",
        ),
        click.option(
            "-v",
            "--verbose",
            count=True,
            expose_value=False,
            callback=_keep_for_output,
            help="Say more; -vv: every request.",
        ),
        click.option(
            "--json",
            "as_json",
            is_flag=True,
            expose_value=False,
            callback=_keep_for_output,
            help="Write JSON Lines: an object a line.",
        ),
    ):
        function = option(function)
    return function


def connecting_options(function: _Function) -> _Function:
    """Give a command the argument ``url``, and the options of `Shared.connected`."""
    return click.argument("url")(reaching_options(cache_option(default=None)(function)))


def reaching_options(function: _Function) -> _Function:
    """Give a command the options that say how a host is reached."""
    for option in (
        click.option(
            "--ca",
            metavar="FILE",
            type=click.Path(exists=True),
            expose_value=False,
            callback=_keep,
            help="Trust the certificate authorities in this file.",
        ),
        click.option(
            "--proxy",
            metavar="URL",
            expose_value=False,
            callback=_keep_proxy,
            help="Go through this proxy, not through that of the environment.",
        ),
        click.option(
            "--netrc",
            is_flag=True,
            expose_value=False,
            callback=_keep_auth(lambda _: "netrc"),
            help="Take user and password for the host from your netrc file.",
        ),
        auth_options,
    ):
        function = option(function)
    return function


def auth_options(function: _Function) -> _Function:
    """Give a command the options that say a user and a password."""
    for option in (
        click.option(
            "--auth-file",
            metavar="FILE",
            expose_value=False,
            callback=_keep_auth(read_auth_file),
            help="Read USER:PASSWORD from this file, which only you can read.",
        ),
        click.option(
            "--auth",
            metavar="USER[:PASSWORD]",
            envvar="STATICSTORE_AUTH",
            show_envvar=True,
            expose_value=False,
            callback=_keep_auth(_typed_credentials),
            help="Who you are. A password that is left out is asked for; one that is given here "
            "is seen by all users of this machine.",
        ),
    ):
        function = option(function)
    return function


def force_option(*guards: str) -> Callable[[_Function], _Function]:
    """Return the option that has something done though it is rarely meant.

    Parameters
    ----------
    *guards : str
        The names of what the command refuses otherwise, as its help says.
    """
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
    if _EVERYTHING in names:
        return True
    try:
        Guards(names)
    except ValueError:
        raise click.BadParameter(f"it is --force, or --force= and {', '.join(GUARDS)}") from None
    return frozenset(names)


def interval_option(help_text: str) -> Callable[[_Function], _Function]:
    """Return the option that says how often to look at a site."""
    return click.option(
        "--interval",
        metavar="SECONDS",
        type=SECONDS,
        default=_INTERVAL,
        show_default=True,
        help=help_text,
    )


def cache_option(*, default: str | None) -> Callable[[_Function], _Function]:
    """Return the option that says where the cache is."""
    return click.option(
        "--cache",
        metavar="FOLDER",
        envvar="STATICSTORE_CACHE",
        show_envvar=True,
        default=default,
        expose_value=False,
        callback=_keep_cache,
        help=f"Where indexes and values are kept; '{USER_CACHE}' is your own cache folder.",
    )


allow_name_option = click.option(
    "--allow-name",
    "allow_names",
    metavar="NAME",
    multiple=True,
    help="Take this name, which is withheld otherwise, such as .htaccess; may be repeated.",
)


def parse_conditions(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, Any]:
    """Read ``field=value``: a value that is JSON is what it says, any other is a text."""
    where: dict[str, Any] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{text!r} is not of the form field=value")
        if name in where:
            raise click.BadParameter(f"the field {name!r} is given twice")
        try:
            where[name] = codec.decode(value.encode())
        except (IndexFormatError, UnicodeEncodeError):
            where[name] = value
    return where


def parse_fields(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> list[str] | None:
    """Read names of fields, given one by one or with commas between them."""
    fields = [name.strip() for value in values for name in value.split(",")]
    if not all(fields):
        raise click.BadParameter("a name between the commas is missing")
    return fields or None


def parse_span(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> Span | None:
    """Read ``START:END``, each of which may be left out."""
    if value is None:
        return None
    match = _RANGE.fullmatch(value)
    if match is None:
        raise click.BadParameter(f"{value!r} is not of the form START:END, in bytes")
    start, end = (None if bound is None else int(bound) for bound in match.groups())
    return start, end


def parse_file(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Read where to write: a path that names a file, or ``-``."""
    if value is not None and not Path(value).name:
        raise click.BadParameter(f"{value!r} names no file")
    return value


def parse_rate(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> float | None:
    """Read bytes a second, perhaps with k, M or G, which count by 1024 as in curl and wget."""
    if value is None:
        return None
    match = _RATE.fullmatch(value)
    if match is None:
        raise click.BadParameter(f"{value!r} is not of the form 500k, 2M or 1.5G, bytes a second")
    rate = float(match[1]) * 1024.0 ** " kmg".index(match[2].lower() or " ")
    if not LEAST_RATE <= rate < 1e18:
        raise click.BadParameter(f"{value!r} is below 1k or beyond all networks")
    return rate
