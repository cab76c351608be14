"""The command line as a whole: its commands, its streams, and its exit code."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import TextIO

import click

from . import __version__
from .commands.exits import ExitCode, ending_of
from .commands.options import CommonOptions
from .commands.shells import COMPLETE_VARIABLE, completed
from .commands.terminal import Output

__all__ = ["cli", "run"]

_OUR_LOGGER = "staticstore"
_TRANSPORT_LOGGER = "urllib3"
_LOG_LEVELS = {0: logging.WARNING, 1: logging.INFO}  # by the number of -v; beyond that, all


# In the order of a day's work.  The command NAME is `NAME` in commands/NAME.py, or as below.
_COMMANDS = (
    *("publish", "serve", "push"),
    *("keys", "renew"),
    *("info", "ls", "query", "get", "watch"),
    *("mirror", "cache", "demo"),
    "completion",
)
_IN_FOLDERS = {"keys": "signatures.keys", "renew": "signatures.renew"}


# A group without one of its commands; before click 8.2 that is no error.
_NO_COMMAND = getattr(click.exceptions, "NoArgsIsHelpError", ())


class _Group(click.Group):
    # A command is imported when it is run, or shown in the help of all.

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(
            f".commands.{_IN_FOLDERS.get(cmd_name, cmd_name)}", __package__
        )
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(
    cls=_Group,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="staticstore %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Publish a folder as a site on any static web host, and read such sites.

    A site is a folder data/ with files, and an index.json that describes them. URL is the root
    of a site, or a local folder.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(ExitCode.USAGE)


def run(arguments: Sequence[str]) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str
        The command line after the program's name.

    Returns
    -------
    int
        The exit code, one of `ExitCode`.
    """
    if instruction := os.environ.get(COMPLETE_VARIABLE):
        return _complete(instruction)
    # Before anything is parsed: errors of parsing are shown in the same form.
    output = Output(as_json="--json" in arguments)
    with _safe_streams(as_json=output.as_json), _logs_shown(output):
        try:
            return _run(arguments, output)
        except BaseException as error:
            ending = ending_of(error)
            if ending is None:
                raise
            if ending.message is not None:
                with contextlib.suppress(OSError):  # the standard error is closed, too
                    output.error(ending)
            return ending.code


def _run(arguments: Sequence[str], output: Output) -> int:
    code: int = ExitCode.DONE
    try:
        with cli.make_context("staticstore", [*arguments], obj=CommonOptions(output)) as context:
            cli.invoke(context)
    except click.exceptions.Exit as done:
        code = done.exit_code
    except _NO_COMMAND as error:  # the whole help, with its line breaks
        click.echo(error.format_message(), err=True)
        code = ExitCode.USAGE
    sys.stdout.flush()
    return code


def _complete(instruction: str) -> int:
    text = completed(cli, instruction, CommonOptions(Output(quiet=True)))
    if text is None:
        return ExitCode.ERROR
    click.echo(text.encode())
    return ExitCode.DONE


@contextlib.contextmanager
def _safe_streams(*, as_json: bool) -> Iterator[None]:
    # A stream that was closed is None, and its number would go to the next file opened.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 -- open to the end
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in sys.stdout, sys.stderr:
        if isinstance(stream, io.TextIOWrapper):  # no character must raise an encoding error
            encoding = "utf-8" if as_json else stream.encoding
            stream.reconfigure(encoding=encoding, errors="backslashreplace")
    try:
        yield
    finally:
        try:
            sys.stdout.flush()
        except OSError:
            # It has been reported; the interpreter would report it again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# -- logs and warnings -----------------------------------------------------------------------


@contextlib.contextmanager
def _logs_shown(output: Output) -> Iterator[None]:
    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        output.warning(str(message))

    logger, handler = logging.getLogger(_OUR_LOGGER), _OutputHandler(output)
    # Else Python writes its warnings; `-vv` shows requests by the signal `request_finished`.
    of_transport, silence = logging.getLogger(_TRANSPORT_LOGGER), logging.NullHandler()
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = show
        logger.addHandler(handler)
        of_transport.addHandler(silence)
        logger.setLevel(logging.DEBUG)  # the handler filters: -v is not parsed yet
        try:
            yield
        finally:
            logger.removeHandler(handler)
            of_transport.removeHandler(silence)
            logger.setLevel(level)


class _OutputHandler(logging.Handler):
    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        level = _LOG_LEVELS.get(self._output.verbose, logging.DEBUG)
        if record.levelno >= logging.WARNING:
            self._output.warning(record.getMessage())
        elif record.levelno >= level:
            self._output.log(record.getMessage())
