"""The options that commands share, and what they ask for.

What most commands take, such as ``--json`` or ``--proxy``, is gathered in a
`CommonOptions`, which click passes to each command.  What a few take, such as
``--force``, is an argument of their functions.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from ..client.store import StaticStore, keep_parts_in
from ..errors import IndexFormatError, StoreError
from ..index import codec
from ..site.guards import GUARDS, Force, Guards
from .credentials import parse_credentials, read_auth_file
from .parameters import FILE, FOLDER, SITE_URL, LocalPath, data_path_of
from .terminal import Output, printable

if TYPE_CHECKING:
    from ..client.cache.folder import CacheFolder
    from ..disk.part_file import PartFolder
    from ..site.predecessor import PublishedAt

__all__ = [
    "SECONDS",
    "USER_CACHE",
    "CommonOptions",
    "ForceCommand",
    "allow_name_option",
    "auth_options",
    "cache_option",
    "examples",
    "force_option",
    "host_options",
    "interval_option",
    "output_options",
    "parse_conditions",
    "site_options",
]

#: The value of ``--cache`` that means the user's own cache folder.
USER_CACHE = "user"

_ALL_GUARDS = "all"
_INTERVAL_SECONDS = 30.0
_RETRIES = 2  # of a request: somebody is waiting for the command

_LOG = logging.getLogger("staticstore.cli")

_Function = TypeVar("_Function", bound=Callable[..., None])
_Credentials = tuple[str, str] | Literal["netrc"]


@dataclass
class CommonOptions:
    """Where a command's results go, and how it connects."""

    output: Output = field(default_factory=Output)
    auth: _Credentials | None = field(default=None, repr=False)
    proxy: str | None = field(default=None, repr=False)
    ca: str | None = None
    cache: CacheFolder | None = None
    #: Where the values of a site are below its root; None for where it says, or ``data/``.
    data: str | None = None

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

        Without a cache, `parts` is where an interrupted download of the index can resume from.
        """
        try:
            store = StaticStore(
                url,
                poll_interval=poll_interval,
                lazy=lazy,
                data_path=data_path_of(url, self.data),
                cache=None if self.cache is None else self.cache.path,
            )
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="URL") from None
        keep_parts_in(store, parts)
        store.connect(self.auth, proxies=self._proxies, verify=self._verify, retries=_RETRIES)
        _LOG.info("%r", store)
        try:
            yield store
        finally:
            store.disconnect()

    def published_at(self, location: str) -> PublishedAt:
        """Return where a site is published, and how to connect to it."""
        from ..site.predecessor import PublishedAt  # slow to import, and rarely needed

        return PublishedAt(location, auth=self.auth, proxies=self._proxies, verify=self._verify)

    @property
    def _proxies(self) -> dict[str, str] | None:
        return None if self.proxy is None else {"http": self.proxy, "https": self.proxy}

    @property
    def _verify(self) -> bool | str:
        return True if self.ca is None else self.ca


def examples(*lines: str) -> str:
    """Return the end of a command's help: commands to type."""
    # The control character keeps click from wrapping the lines.
    return "\n  ".join(("\b\nExamples:", *lines))


# -- options that are kept in CommonOptions ------------------------------------------------

_common_option = functools.partial(click.option, expose_value=False)


def _decorate(function: _Function, *options: Callable[[_Function], _Function]) -> _Function:
    for option in reversed(options):  # click lists them from the last one applied
        function = option(function)
    return function


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    assert parameter.name is not None
    setattr(context.ensure_object(CommonOptions), parameter.name, value)


def _keep_in_output(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    assert parameter.name is not None
    setattr(context.ensure_object(CommonOptions).output, parameter.name, value)


def _keep_proxy(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    try:
        is_url = value is None or urlsplit(value).hostname is not None
    except ValueError:
        is_url = False
    if not is_url:  # and not repeated: it may contain a password
        raise click.BadParameter("not a URL, such as http://proxy.example.org:3128")
    _keep(context, parameter, value)


def _keep_cache(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    from ..client.cache.folder import CacheFolder

    try:
        folder = CacheFolder.of(True if value == USER_CACHE else value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    except StoreError as error:  # there is no home folder
        if parameter.default is not None:  # the command is about the cache
            raise
        click.echo(f"nothing is cached: {error}", err=True)
        return
    context.ensure_object(CommonOptions).cache = folder


def output_options(function: _Function) -> _Function:
    """Add ``--json``, ``--verbose`` and ``--quiet`` to a command."""
    option = functools.partial(_common_option, callback=_keep_in_output)
    return _decorate(
        function,
        option("--json", "as_json", is_flag=True, help="Write JSON Lines: one object per line."),
        option("-v", "--verbose", count=True, help="Say more; -vv: every request."),
        option("-q", "--quiet", is_flag=True, help="Show only results and errors."),
    )


def site_options(function: _Function) -> _Function:
    """Add the argument ``url`` and the options of `CommonOptions.connected`."""
    options = (host_options, cache_option(default=None), _values_option)
    return click.argument("url", type=SITE_URL)(_decorate(function, *options))


_values_option = _common_option(
    "--data",
    metavar="FOLDER",
    callback=_keep,
    help="Where the values are below the root, if not in data/, or where a folder says.",
)


def host_options(function: _Function) -> _Function:
    """Add the options that say how to connect to a host to a command."""
    return _decorate(
        function,
        auth_options,
        _common_option(
            "--netrc",
            is_flag=True,
            callback=_keep_auth(lambda _: "netrc"),
            help="Take user and password for the host from your netrc file.",
        ),
        _common_option(
            "--proxy",
            metavar="URL",
            callback=_keep_proxy,
            help="Use this proxy instead of the one in the environment.",
        ),
        _common_option(
            "--ca",
            metavar="FILE",
            type=LocalPath("file", exists=True),
            callback=_keep,
            help="Trust the certificate authorities in this file.",
        ),
    )


def cache_option(*, default: str | None) -> Callable[[_Function], _Function]:
    """Return the option ``--cache``, a folder."""
    return _common_option(
        "--cache",
        metavar="FOLDER",
        type=FOLDER,
        envvar="STATICSTORE_CACHE",
        show_envvar=True,
        default=default,
        callback=_keep_cache,
        help=f"Where to keep indexes and values; '{USER_CACHE}' is your own cache folder.",
    )


# -- credentials ---------------------------------------------------------------------------


def auth_options(function: _Function) -> _Function:
    """Add ``--auth`` and ``--auth-file`` to a command."""
    return _decorate(
        function,
        _common_option(
            "--auth",
            metavar="USER[:PASSWORD]",
            envvar="STATICSTORE_AUTH",
            show_envvar=True,
            callback=_keep_auth(_read_auth_option),
            help="Your user name. The password is asked for if it is left out; if it is given "
            "here, all users of this machine can see it.",
        ),
        _common_option(
            "--auth-file",
            metavar="FILE",
            type=FILE,
            callback=_keep_auth(read_auth_file),
            help="Read USER:PASSWORD from this file, which only you can read.",
        ),
    )


def _keep_auth(
    read: Callable[[Any], _Credentials],
) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        # But "" is an error: it names no user and no file.
        if value is None or value is False or context.resilient_parsing:  # a shell completes
            return
        common = context.ensure_object(CommonOptions)
        assert parameter.name is not None
        if common.auth is None:
            common.auth = read(value)
        # A variable is processed after what was typed, and yields to it.
        elif context.get_parameter_source(parameter.name) is not ParameterSource.ENVIRONMENT:
            raise click.UsageError("give only one of --auth, --auth-file and --netrc")

    return keep


def _read_auth_option(text: str) -> tuple[str, str]:
    user, password = parse_credentials(text)
    if password is None:
        if not sys.stdin.isatty():
            raise click.BadParameter(
                "there is no terminal to ask for the password: give USER:PASSWORD, "
                "or use --auth-file"
            )
        password = click.prompt(f"Password for {printable(user)}", hide_input=True, err=True)
    return user, password


# -- options that are arguments of a few commands ------------------------------------------


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


def parse_conditions(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, Any]:
    """Return the fields and values of ``FIELD=VALUE``; a value is JSON, else text."""
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
