"""The options that commands share, and what they ask for.

What most take, such as ``--json``, is gathered in a `CommonOptions`, which click passes to each
command.  What a few take, such as ``--force``, is in `parameters`.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click
from click.core import ParameterSource

from .. import tuning
from ..client.access import IndexDownload
from ..client.store import StaticStore, download_index_by
from ..errors import StoreError
from .credentials import (
    NetrcFile,
    bucket_options,
    check_bucket_access,
    is_authorization,
    parse_ca,
    parse_cert,
    parse_headers,
    parse_proxy,
    parse_timeout,
    parse_trust,
    read_auth_file,
    read_auth_option,
)
from .parameters import FILE, FOLDER, SITE_URL, LocalPath, data_path_of, parse_data_path
from .terminal import Output

if TYPE_CHECKING:
    from ..client.cache.folder import CacheFolder
    from ..disk.part_file import PartFolder
    from ..site.predecessor import PublishedAt

__all__ = [
    "USER_CACHE",
    "CommonOptions",
    "auth_options",
    "cache_option",
    "examples",
    "host_options",
    "output_options",
    "site_options",
]

#: The value of ``--cache`` that means the user's own cache folder.
USER_CACHE = "user"

_RETRIES = 2  # of a request: somebody is waiting for the command
_LOG = logging.getLogger("staticstore.cli")

_Function = TypeVar("_Function", bound=Callable[..., None])
_Credentials = tuple[str, str] | Literal["netrc", "instance"] | NetrcFile


@dataclass
class CommonOptions:
    """Where a command's results go, and how it connects."""

    output: Output = field(default_factory=Output)
    auth: _Credentials | None = field(default=None, repr=False)
    proxy: str | None = field(default=None, repr=False)
    ca: str | None = None
    cert: str | tuple[str, str] | None = None
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    timeout: tuple[float, float] = (5.0, 30.0)  # to connect, and to read
    copies: tuple[str, ...] = field(default=(), repr=False)
    origins: tuple[str, ...] = ()  # that the site may lead to, as given: URLs, "any" and "own"
    endpoint: str | None = None
    region: str | None = None
    anonymous: bool = False
    cache: CacheFolder | None = None
    #: Where the values of a site are below its root; None for where it says, or ``data/``.
    data: str | None = None
    format: str | None = None  # of a foreign index
    trust: bytes | None = None  # the root file of a signed site

    @contextlib.contextmanager
    def connected(
        self,
        url: str,
        *,
        poll_interval: float = 0.0,
        lazy: bool = False,
        parts: PartFolder | None = None,
    ) -> Iterator[StaticStore]:
        """Connect while the block lasts; a download resumes from `parts`, or from the cache."""
        access = self._access(url, *self.copies)
        others = [origin for origin in self.origins if origin != "own"]
        try:
            store = StaticStore(
                [url, *self.copies],
                format=self.format,
                poll_interval=poll_interval,
                lazy=lazy and self.format is None,
                data_path=data_path_of(url, self.data),
                cache=None if self.cache is None else self.cache.path,
                origins="any" if "any" in others else others or ("own" if self.origins else None),
                endpoint=self.endpoint,
                region=self.region,
                trust=self.trust,
            )
        except ValueError as error:
            given = {"--copy": self.copies, "--origin": self.origins, "--format": self.format}
            hint = " or ".join(["URL", *(name for name, value in given.items() if value)])
            raise click.BadParameter(str(error), param_hint=hint) from None
        with self.output.progress("index", delay=tuning.BAR_DELAY_SECONDS) as progress:
            download_index_by(store, IndexDownload(parts, progress))
            store.connect(**access, timeout=self.timeout, retries=_RETRIES)
        _LOG.info("%r", store)
        try:
            yield store
        finally:
            store.disconnect()

    def published_at(self, location: str) -> PublishedAt:
        """Return where a site is published, and how to connect to it."""
        from ..site.predecessor import PublishedAt  # slow to import, and rarely needed

        access = {**self._access(location), "endpoint": self.endpoint, "region": self.region}
        return PublishedAt(location, timeout=self.timeout, **access)

    def _access(self, location: str, *copies: str) -> dict[str, Any]:
        check_bucket_access(self.auth, [location, *copies], anonymous=self.anonymous)
        auth = self.auth
        return {
            "auth": auth.entry_for(location) if isinstance(auth, NetrcFile) else auth,
            "proxies": None if self.proxy is None else {"http": self.proxy, "https": self.proxy},
            "headers": self.headers,
            "verify": True if self.ca is None else self.ca,
            "cert": self.cert,
            "anonymous": self.anonymous,
        }


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
    output = context.ensure_object(CommonOptions).output
    setattr(output, parameter.name, value)
    if parameter.name == "verbose" and value > 1 and not context.resilient_parsing:
        from .bars import requests_shown  # slow to import

        context.with_resource(requests_shown(output.log))


def _keep_data(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    # Also while a shell completes: what is cached depends on it.
    _keep(context, parameter, None if value is None else parse_data_path(value))


def _keep_parsed(
    parse: Callable[[Any], object],
) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value is not None and not context.resilient_parsing:  # or else a shell completes
            _keep(context, parameter, parse(value))

    return keep


def _keep_headers(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> None:
    if context.resilient_parsing:  # a shell completes
        return
    common = context.ensure_object(CommonOptions)
    common.headers = parse_headers(values)
    if common.auth is not None and is_authorization(common.headers):
        raise click.UsageError(_ONE_OF_THEM)


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
    copy_option = _common_option(
        "--copy",
        "copies",
        metavar="URL",
        type=SITE_URL,
        multiple=True,
        callback=_keep,
        help="A copy of the site, for when the site does not answer; may be repeated.",
    )
    own = (copy_option, cache_option(default=None), _values_option, _origin_option, _form_option)
    options = (host_options, *own, _trust_option)
    return click.argument("url", type=SITE_URL)(_decorate(function, *options))


_origin_option = _common_option(
    "--origin",
    "origins",
    metavar="URL",
    multiple=True,
    callback=_keep,
    help="Another host that values may be on, 'any' for all or 'own' for none; may be repeated.",
)

_values_option = _common_option(
    "--data",
    metavar="FOLDER",
    callback=_keep_data,
    help="Where the values are below the root, if not in data/, or where a folder says.",
)

_form_option = _common_option(
    "--format",
    metavar="NAME",
    callback=_keep,
    help="Read an index that others publish: pooch, sums, conda, stac, s3, autoindex, datapackage.",
)


_trust_option = _common_option(
    "--trust",
    metavar="FILE",
    type=FILE,
    callback=_keep_parsed(parse_trust),
    help="The root file of a signed site: believe only what its keys have signed.",
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
            "--instance",
            is_flag=True,
            callback=_keep_auth(lambda _: "instance"),
            help="Ask the cloud machine that this runs on for credentials for a bucket.",
        ),
        _common_option(
            "--proxy",
            metavar="URL",
            callback=_keep_parsed(parse_proxy),
            help="Use this proxy instead of the one in the environment.",
        ),
        _common_option(
            "--ca",
            metavar="FILE",
            type=LocalPath("file", exists=True),
            callback=_keep_parsed(parse_ca),
            help="Trust the certificate authorities in this file.",
        ),
        _common_option(
            "--cert",
            metavar="FILE[,KEY]",
            type=FILE,
            callback=_keep_parsed(parse_cert),
            help="Identify yourself by the client certificate, and its private key, in PEM files.",
        ),
        _common_option(
            "--header",
            "headers",
            metavar="'NAME: VALUE'",
            multiple=True,
            callback=_keep_headers,
            help="Send this header field to the host of the site; may be repeated.",
        ),
        *bucket_options(_keep),
        _common_option(
            "--timeout",
            metavar="SECONDS",
            default="5,30",
            show_default=True,
            callback=_keep_parsed(parse_timeout),
            help="How long to wait for a connection and for the next byte, or CONNECT,READ.",
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

_ONE_OF_THEM = (
    "give only one of --auth, --auth-file, --netrc, --instance and a header field Authorization"
)


def auth_options(function: _Function) -> _Function:
    """Add ``--auth`` and ``--auth-file`` to a command."""
    return _decorate(
        function,
        _common_option(
            "--auth",
            metavar="USER[:PASSWORD]",
            envvar="STATICSTORE_AUTH",
            show_envvar=True,
            callback=_keep_auth(read_auth_option),
            help="Your user name. The password is asked for if it is left out; if it is given "
            "here, all users of this machine can see it.",
        ),
        _common_option(
            "--auth-file",
            metavar="FILE",
            type=FILE,
            callback=_keep_auth(read_auth_file),
            help="Read USER:PASSWORD, or an entry as in netrc, from a file that only you can read.",
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
        if common.auth is None and not is_authorization(common.headers):
            common.auth = read(value)
        # A variable is processed after what was typed, and yields to it.
        elif context.get_parameter_source(parameter.name) is not ParameterSource.ENVIRONMENT:
            raise click.UsageError(_ONE_OF_THEM)

    return keep
