"""``staticstore watch``: show changes as they happen, and run commands."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from ..client.store import StaticStore
from ..errors import quoted
from .exits import Ending, ExitCode, partly_failed, system_reason
from .options import CommonOptions, examples, output_options, site_options
from .parameters import SECONDS, Asked, conditions_argument, data_path_of, interval_option
from .terminal import ACTION_STYLES, Cell, Output, count_text

if TYPE_CHECKING:
    import subprocess

    from ..index.changes import Change

__all__ = ["ChangeCommand", "differing_fields", "watch"]

_PLACEHOLDER = re.compile(r"\{(key|action|url)\}")
# Linux limits a variable with its name to 128 KiB.
_MOST_VARIABLE_BYTES = 100_000
_SHELLS = frozenset(("ash", "bash", "dash", "fish", "ksh", "sh", "zsh"))
_END_SECONDS = 5.0  # which a command has to end when the watch does


@click.command(
    short_help="Show the changes of a site as they happen.",
    epilog=examples(
        "staticstore watch https://data.example.org/site/",
        "staticstore watch https://data.example.org/site/ type=raster 'size>1000000'",
        "staticstore watch https://data.example.org/site/ --interval 5 --idle 60 --json",
        "staticstore watch https://data.example.org/site/ --exec './process {action} -- {key}'",
        "staticstore watch https://data.example.org/site/ --shell --exec 'env >> changes.log'",
    ),
)
@site_options
@conditions_argument
@interval_option("How long to wait between polls.")
@click.option(
    "--idle",
    metavar="SECONDS",
    type=SECONDS,
    help="Exit when nothing has changed for this long; by default never.",
)
@click.option(
    "--exec",
    "command",
    metavar="COMMAND",
    help="Run this for each change, one after another; {key}, {action} and {url} are replaced.",
)
@click.option("--shell", is_flag=True, help="Have a shell run the command of --exec.")
@output_options
@click.pass_obj
def watch(
    common: CommonOptions,
    url: str,
    asked: Asked,
    interval: float,
    idle: float | None,
    command: str | None,
    shell: bool,
) -> None:
    """Show what is set, updated and deleted, as it happens.

    With conditions, as those of query, changes whose metadata before or after fulfills them.

    The command of --exec has STATICSTORE_ACTION, STATICSTORE_KEY, STATICSTORE_URL,
    STATICSTORE_METADATA and STATICSTORE_PREVIOUS (JSON) in its environment, and all of it as
    JSON on its standard input. If it fails, that is reported, and the next one runs; at the
    end, the exit code is 8.
    """
    output = common.output
    if shell and command is None:
        raise click.UsageError("--shell goes with --exec")
    runner, stores = None, list[StaticStore]()
    if command is not None:
        url_of = _urls(url, common, stores)
        runner = ChangeCommand(command, shell=shell, url_of=url_of, output=output)
    with common.connected(url, poll_interval=interval) as store:
        stores.append(store)
        changes = store.watch(idle, where=asked.where)
        count = len(store)
        if asked and (count := store.count(where=asked.where)) == 0:
            output.warnings(asked.advice(store.index))
        output.note(f"watching {count_text(count, 'key')}; press Ctrl-C to stop")
        for change in changes:
            _show(output, change)
            if runner is not None:
                runner.run(change)
    if runner is not None and runner.failed:
        raise partly_failed(
            f"{runner.failed} of {count_text(runner.started, 'command')} failed",
            hint="the errors above name the keys",
        )


def _show(output: Output, change: Change) -> None:
    output.record(
        {
            "action": change.action,
            "key": change.key,
            "metadata": change.metadata,
            "previous": change.previous,
        }
    )
    output.line(
        Cell(change.action, ACTION_STYLES[change.action], 6),
        change.key,
        Cell(", ".join(differing_fields(change)), "dim"),
    )


def differing_fields(change: Change) -> list[str]:
    """Return the names of the fields that an update changed; else none.

    Examples
    --------
    >>> from staticstore import Change
    >>> differing_fields(Change("a", b'{"size":1,"type":"table"}', b'{"size":2,"type":"table"}'))
    ['size']
    """
    before, after = change.previous, change.metadata
    if before is None or after is None:
        return []
    missing = object()
    return [
        field
        for field in sorted(before.keys() | after.keys())
        if before.get(field, missing) != after.get(field, missing)
    ]


# -- commands for changes ------------------------------------------------------------------


def _urls(url: str, common: CommonOptions, stores: list[StaticStore]) -> Callable[[str], str]:
    # The URLs of values, without the query of the root, which may be a secret.
    from ..index.fields import key_to_url_path
    from ..transport.http.root import Root

    is_foreign = common.format is not None
    data_path = "" if is_foreign else data_path_of(url, common.data)
    of_bucket = {"endpoint": common.endpoint, "region": common.region}
    root = Root(url, **of_bucket, names_document=is_foreign)

    def url_of(key: str) -> str:
        value = stores[0].get(key, None) if stores else None
        url: str = root.join(key_to_url_path(data_path, key)) if value is None else value.url
        return url.removesuffix(root.query)

    return url_of


class ChangeCommand:
    """A command that is run for each change, one after another.

    Parameters
    ----------
    command : str
        As typed in a shell; ``{key}``, ``{action}`` and ``{url}`` in its words are replaced.
    shell : bool
        Whether a shell runs it; then nothing is replaced, since a key could contain code.
    url_of : callable
        Returns the URL of a key's value.
    output : Output
        Where failures are reported.

    Attributes
    ----------
    started, failed : int
        How many commands were started or could not be, and how many of them failed.

    Raises
    ------
    click.UsageError
        The command is not there, or would let a key choose what is run.
    """

    def __init__(
        self, command: str, *, shell: bool, url_of: Callable[[str], str], output: Output
    ) -> None:
        if not command.strip():
            raise click.UsageError("the command of --exec is empty")
        self._words = [command] if shell else _words(command)
        self._name = "the command" if shell else quoted(self._words[0])
        self._shell = shell
        self._url_of = url_of
        self._output = output
        self.started = self.failed = 0
        placeholder = _PLACEHOLDER.search(self._words[0])
        if placeholder is not None and shell:
            variable = f'"$STATICSTORE_{placeholder[1].upper()}"'
            raise click.UsageError(
                f"with --shell, {placeholder[0]} is not replaced, since a key could contain "
                f"code: use {variable}"
            )
        if placeholder is not None:
            raise click.UsageError(f"the command of --exec is {placeholder[0]}: name a program")
        if (code := _code_with_placeholder(self._words)) is not None:
            raise click.UsageError(
                f"{code[0]} would run {code[1]} as code, since a key could contain some: use "
                f'"$STATICSTORE_{code[1][1:-1].upper()}"'
            )

    def run(self, change: Change) -> None:
        """Run the command for a change, wait for its end, and report a failure."""
        self.started += 1
        reason = self._run(change)
        if reason is not None:
            self.failed += 1
            message = f"{self._name} {reason} ({change.action} {quoted(change.key)})"
            ending = Ending(ExitCode.PARTLY, "CommandFailed", message, key=change.key)
            self._output.error(ending)

    def _run(self, change: Change) -> str | None:
        import subprocess  # slow to import

        facts = {
            "action": change.action,
            "key": change.key,
            "url": self._url_of(change.key),
            "metadata": change.metadata,
            "previous": change.previous,
        }
        arguments: str | list[str] = self._words[0]
        if not self._shell:
            if _is_option(self._words, change.key):
                return "is not run: the key would be an option; write -- before {key}"
            arguments = [
                _PLACEHOLDER.sub(lambda match: str(facts[match[1]]), word) for word in self._words
            ]
        try:
            process = subprocess.Popen(
                arguments,
                shell=self._shell,
                env=self._environment(facts),
                stdin=subprocess.PIPE,
                stdout=sys.stderr if self._output.as_json else None,  # which has JSON Lines alone
            )
        except OSError as error:
            return f"cannot be started: {system_reason(error)}"
        except ValueError:  # a NUL, or half of a surrogate pair
            return "cannot be started: the key cannot be passed to a program"
        try:
            process.communicate(json.dumps(facts).encode() + b"\n")
        except BaseException:  # Ctrl-C, or a signal
            _end(process)
            raise
        return _failure(process.returncode)

    def _environment(self, facts: dict[str, Any]) -> dict[str, str]:
        environment = dict(os.environ)
        for name, fact in facts.items():
            variable = f"STATICSTORE_{name.upper()}"
            text = json.dumps(fact) if name in ("metadata", "previous") else str(fact)
            environment[variable] = text
            if len(text) > _MOST_VARIABLE_BYTES:
                del environment[variable]
                self._output.warning(
                    f"{variable} of {quoted(facts['key'])} is too long for the environment, and "
                    "not set: the command has it on its standard input"
                )
        return environment


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise click.UsageError(
            f"the command of --exec cannot be split into words: {error}"
        ) from None
    if not _PLACEHOLDER.search(words[0]) and shutil.which(words[0]) is None:
        hint = "; --shell runs a line of shell" if re.search(r"[|&;<>$`]", command) else ""
        raise click.UsageError(f"there is no command {quoted(words[0])} to run{hint}")
    return words


def _code_with_placeholder(words: list[str]) -> tuple[str, str] | None:
    # As in `sh -c "process {key}"`, also behind `env` or `timeout 60`.
    for shell, option, code in zip(words, words[1:], words[2:], strict=False):
        if os.path.basename(shell) in _SHELLS and re.fullmatch(r"-\w*c", option):
            placeholder = _PLACEHOLDER.search(code)
            if placeholder is not None:
                return quoted(shell), placeholder[0]
    return None


def _is_option(words: list[str], key: str) -> bool:
    # Of a site of somebody else, a key must not be an option of the command.
    for word in words:
        if word == "--":
            return False
        if word.startswith("{key}") and key.startswith("-"):
            return True
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_END_SECONDS)
    finally:
        process.kill()
        process.wait()


def _failure(code: int) -> str | None:
    if code < 0:
        import signal

        names = {number.value: number.name for number in signal.Signals}
        return f"was ended by {names.get(-code, f'signal {-code}')}"
    return f"failed with exit code {code}" if code else None
