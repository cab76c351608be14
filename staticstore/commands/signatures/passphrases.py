"""The keys of a command line, and their passphrases: from a terminal or a file."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import click

from ...errors import StoreError
from ..bars import bars_hidden
from ..parameters import FILE, FOLDER
from ..terminal import printable

if TYPE_CHECKING:
    from ...site.signatures.key_folder import KeyFolder

__all__ = [
    "KEYS_VARIABLE",
    "key_folder",
    "new_passphrases",
    "passphrase_option",
    "sign_option",
    "usage_of_passphrases",
]

#: The environment variable that names the folder of keys for what cannot do without.
KEYS_VARIABLE = "STATICSTORE_KEYS"

_VARIABLE = "STATICSTORE_PASSPHRASE_FILE"
_PIN = "pin"  # what securesystemslib calls that of any token
_Function = TypeVar("_Function", bound=Callable[..., None])


class NoPassphraseError(StoreError):
    """A passphrase is needed, and nothing says where it is."""


def sign_option(help_text: str, *, is_needed: bool) -> Callable[[_Function], _Function]:
    """Return the option ``--sign``, folders of keys.

    Parameters
    ----------
    help_text : str
        What it is for.
    is_needed : bool
        Whether the command cannot do without; then it can come from the environment.
    """
    return click.option(
        "--sign",
        metavar="FOLDER",
        multiple=True,
        required=is_needed,
        type=FOLDER,
        envvar=KEYS_VARIABLE if is_needed else None,
        show_envvar=is_needed,
        help=f"{help_text} May be repeated: keys are looked for in all of them.",
    )


passphrase_option = click.option(
    "--passphrase-file",
    metavar="FILE",
    type=FILE,
    envvar=_VARIABLE,
    show_envvar=True,
    help="Read the passphrases of keys from this file, one in each line; by default they are "
    "asked for on the terminal.",
)


def key_folder(paths: Sequence[str], passphrase_file: str | None) -> KeyFolder:
    """Return the folder of keys, whose passphrases come from a file or the terminal."""
    from ...site.folder.trust_files import check_trust_package

    check_trust_package()
    from ...site.signatures.key_folder import KeyFolder  # slow to import
    from ...site.signatures.passphrases import read_passphrases

    def ask(name: str) -> list[str]:
        if passphrase_file is not None:
            return read_passphrases(passphrase_file)
        text = "PIN of the token" if name == _PIN else f"Passphrase for {printable(name)}"
        return [_prompted(text, name)]

    return KeyFolder(*paths, passphrases=ask)


def new_passphrases(passphrase_file: str | None, *, names: Sequence[str]) -> list[str]:
    """Return the passphrases of new keys: the first one, and that of the renew key.

    Parameters
    ----------
    passphrase_file : str or None
        The file that has them; a file of one line has one for all.
    names : sequence of str
        What each is for, to ask for it; the last one may be left empty, to be the first.
    """
    if passphrase_file is not None:
        from ...site.signatures.passphrases import read_passphrases

        return read_passphrases(passphrase_file)[:2]
    found: list[str] = []
    for name in names:
        text = f"New passphrase for {name}"
        if found:
            text += " (empty: the same)"
        default = "" if found else None
        while given := _prompted(text, name, default=default):
            if _prompted("The same again", name) == given:
                found.append(given)
                break
            click.echo("the two passphrases differ: type it again", err=True)
    return found


def _prompted(text: str, name: str, *, default: str | None = None) -> str:
    if not sys.stdin.isatty():
        raise NoPassphraseError(
            f"there is no terminal to ask for the passphrase for {printable(name)}: give "
            f"--passphrase-file FILE, or name the file in {_VARIABLE}"
        )
    with bars_hidden():
        given: str = click.prompt(
            text, hide_input=True, err=True, default=default, show_default=False
        )
    return given


@contextlib.contextmanager
def usage_of_passphrases() -> Iterator[None]:
    """Raise a click.UsageError if nothing says where a passphrase is."""
    try:
        yield
    except NoPassphraseError as error:
        raise click.UsageError(str(error)) from None
