"""The command line: what was asked, checked and handed to `commands`."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import click

from . import __version__, commands
from .client.store import StaticStore
from .demo import run_demo
from .errors import IndexFormatError
from .exits import ExitCode, ending_of
from .index import codec
from .messages import told
from .terminal import Output

__all__ = ["cli", "run"]

_LOG = logging.getLogger("staticstore.cli")
_RETRIES = 2  # of a request, for somebody is waiting
_WATCH_INTERVAL = 30.0  # seconds
_RANGE = re.compile(r"(-?[0-9]{1,18})?:(-?[0-9]{1,18})?")
_SECONDS = click.FloatRange(min=0, min_open=True, max=1e6)

_Function = TypeVar("_Function", bound=Callable[..., None])


# -- running ------------------------------------------------------------------------


def run(arguments: Sequence[str]) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str
        What stands on the command line after the program's name.

    Returns
    -------
    int
        The exit code, one of `ExitCode`.
    """
    # Known before all else, for what cannot be parsed is an error to be told, too.
    output = Output(as_json="--json" in arguments)
    with _steady_streams(), told(output):
        try:
            return _run(arguments, output)
        except BaseException as error:
            ending = ending_of(error)
            if ending is None:
                raise
            if ending.message is not None:
                with contextlib.suppress(OSError):  # nobody listens there either
                    output.error(ending)
            return ending.code


def _run(arguments: Sequence[str], output: Output) -> int:
    try:
        with cli.make_context("staticstore", list(arguments), obj=Shared(output)) as context:
            cli.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    finally:
        sys.stdout.flush()
    return ExitCode.DONE


@contextlib.contextmanager
def _steady_streams() -> Iterator[None]:
    """Let no character and no closed stream end a command in a traceback."""
    # A stream that was closed is None, and its number would go to the next file opened.
    sys.stdout = sys.stdout or open(os.devnull, "w")
    sys.stderr = sys.stderr or open(os.devnull, "w")
    for stream in sys.stdout, sys.stderr:
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        yield
    finally:
        try:
            sys.stdout.flush()
        except OSError:
            # Said already, and not to be said again by the interpreter at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# -- what commands share --------------------------------------------------------------


@dataclass
class Shared:
    """What commands share: where their results go, and how they connect."""

    output: Output = field(default_factory=Output)
    auth: tuple[str, str] | None = None
    proxy: str | None = None
    ca: str | None = None

    @contextlib.contextmanager
    def connected(self, url: str, *, poll_interval: float = 0.0) -> Iterator[StaticStore]:
        """Connect to a site while the block lasts."""
        try:
            store = StaticStore(url, poll_interval=poll_interval)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="URL") from None
        store.connect(
            self.auth,
            proxies=None if self.proxy is None else {"http": self.proxy, "https": self.proxy},
            verify=True if self.ca is None else self.ca,
            retries=_RETRIES,
        )
        _LOG.info("connected: %s", store)
        try:
            if store.index.warnings:
                _LOG.warning("%d entries ... ")
            yield store
        finally:
            store.disconnect()


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    assert parameter.name is not None
    setattr(context.ensure_object(Shared), parameter.name, value)


def _keep_for_output(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    assert parameter.name is not None
    setattr(context.ensure_object(Shared).output, parameter.name, value)


def _keep_auth(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    user, colon, password = value.partition(":")
    if not colon:
        if not sys.stdin.isatty():
            raise click.BadParameter("give USER:PASSWORD, for no terminal is there to ask on")
        password = click.prompt(f"Password for {user}", hide_input=True, err=True)
    context.ensure_object(Shared).auth = user, password
