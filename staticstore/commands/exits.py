"""How a command ends: the exit code of each error, and its message.

::

    0    done
    1    another error
    2    usage: the command line itself is wrong
    3    the index does not have the key, or nothing matches
    4    not authorized
    5    network: the bytes could not be transferred
    6    integrity: the bytes are not those that the index describes
    7    the index cannot be read
    8    part of the work failed, and the rest is done
    130  interrupted
    141  the reader of the output has closed it
    143  terminated
"""

from __future__ import annotations

import re
import shlex
from enum import IntEnum
from typing import NamedTuple

import click

from ..errors import (
    AuthorizationError,
    HTTPStatusError,
    IndexFormatError,
    IntegrityError,
    StoreError,
    TransportError,
)
from ..query.syntax import ConditionError
from ..site.guards import NothingMatchesError

__all__ = [
    "CommandError",
    "Ending",
    "ExitCode",
    "ending_of",
    "nothing_matches",
    "partly_failed",
    "system_reason",
]


class ExitCode(IntEnum):
    """The exit codes, as the module's docstring explains them."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    NO_SUCH_KEY = 3
    NOT_AUTHORIZED = 4
    NETWORK = 5
    INTEGRITY = 6
    BAD_INDEX = 7
    PARTLY = 8
    INTERRUPTED = 130
    CLOSED_PIPE = 141
    TERMINATED = 143  # of `__main__`, which does not import this


class CommandError(Exception):
    """A command failed for a reason of its own, not one of the library's.

    Parameters
    ----------
    message : str
        What is wrong.
    code : ExitCode, optional
        The exit code.
    kind : str, optional
        The error's type, as programs that read JSON see it.
    key : str, optional
        The key concerned.
    hint : str, optional
        What to do about it.
    """

    def __init__(
        self,
        message: str,
        *,
        code: ExitCode = ExitCode.ERROR,
        kind: str = "CommandError",
        key: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.kind = kind
        self.key = key
        self.hint = hint


def nothing_matches(message: str, *, hint: str | None = None) -> CommandError:
    """Return the error of a command whose pattern or conditions match no key."""
    return CommandError(message, code=ExitCode.NO_SUCH_KEY, kind="NothingMatchesError", hint=hint)


def partly_failed(message: str, *, hint: str) -> CommandError:
    """Return the error of a command that has done only a part of its work."""
    return CommandError(message, code=ExitCode.PARTLY, kind="PartlyFailed", hint=hint)


def system_reason(error: OSError) -> str:
    """Return the operating system's text for an error: ``Permission denied``."""
    return error.strerror or type(error).__name__


class Ending(NamedTuple):
    """How a command ends after an error."""

    code: ExitCode
    #: The name of the error's class.
    kind: str
    #: What was wrong, and where; None if nothing is to be shown.
    message: str | None
    #: What to do about it.
    hint: str | None = None
    key: str | None = None
    url: str | None = None
    status: int | None = None
    #: An argument that is wrong, and where in it.
    argument: str | None = None
    position: int = 0


_CLOUDS = ("s3:", "gs:", "az:")
# The first match counts: subclasses come first.
_CODES: tuple[tuple[type[StoreError], ExitCode], ...] = (
    (NothingMatchesError, ExitCode.NO_SUCH_KEY),
    (AuthorizationError, ExitCode.NOT_AUTHORIZED),
    (TransportError, ExitCode.NETWORK),
    (IntegrityError, ExitCode.INTEGRITY),
    (IndexFormatError, ExitCode.BAD_INDEX),
    (StoreError, ExitCode.ERROR),
)
_LACKS_FORMAT = "give its format"
_FORMAT_HINT = "--format NAME reads an index that others publish"
# Click quotes surplus arguments, and a password may be among them.
_QUOTED_ARGUMENTS = re.compile(r"(Got unexpected extra arguments?) \(.*\)", re.DOTALL)
_LINE_BREAKS = re.compile(r"\n\t?")  # between the choices that it lists


def ending_of(error: BaseException) -> Ending | None:
    """Return how a command ends after an error; the only map from errors to codes.

    Parameters
    ----------
    error : BaseException
        What the command raised.

    Returns
    -------
    Ending or None
        None for a bug in the program, whose traceback is to be shown.
    """
    kind = type(error).__name__
    match error:
        case CommandError():
            return Ending(error.code, error.kind, str(error), error.hint, error.key)
        case StoreError():
            code = next(code for family, code in _CODES if isinstance(error, family))
            return Ending(code, kind, str(error), _hint(error), error.key, error.url, error.status)
        case click.UsageError():
            message = _QUOTED_ARGUMENTS.sub(r"\1", _LINE_BREAKS.sub(" ", error.format_message()))
            name = error.ctx.command_path if error.ctx is not None else "staticstore"
            hint = f"'{name} --help' shows how to use it"
            if _LACKS_FORMAT in message:
                hint = _FORMAT_HINT
            ending = Ending(ExitCode.USAGE, kind, message, hint)
            wrong = error.__cause__
            if not isinstance(wrong, ConditionError):
                return ending
            if wrong.suggestion is not None:
                hint = f"did you mean {shlex.quote(wrong.suggestion)}?"
            return ending._replace(hint=hint, argument=wrong.text, position=wrong.position)
        case click.ClickException():
            return Ending(ExitCode.ERROR, kind, error.format_message())
        # A wait that is interrupted at an unlucky moment releases its lock twice.
        case KeyboardInterrupt() | click.Abort() | RuntimeError(__context__=KeyboardInterrupt()):
            return Ending(ExitCode.INTERRUPTED, kind, None)
        case BrokenPipeError():
            return Ending(ExitCode.CLOSED_PIPE, kind, None)
        case OSError():
            # Without a file name it is a stream: whatever opens a file names it.
            what = "the output cannot be written" if error.filename is None else error.filename
            return Ending(ExitCode.ERROR, kind, f"{what}: {system_reason(error)}")
    return None


def _hint(error: StoreError) -> str | None:
    match error:
        case AuthorizationError(url=str(url)) if url.startswith(_CLOUDS):
            return (
                "credentials come from the environment, as for the cloud's own tools; "
                "they must also permit listing the bucket"
            )
        case HTTPStatusError(status=301, url=str(url)) if url.startswith(_CLOUDS):
            return "the bucket is in another region: give --region NAME"
        case HTTPStatusError(status=404, url=str(url)) if url.startswith(_CLOUDS):
            return "the bucket does not exist: create it with the cloud's own tools"
        case AuthorizationError(status=407):
            return "put user and password into the proxy's URL: --proxy http://USER:PASSWORD@HOST"
        case AuthorizationError():
            return (
                "--auth USER asks for the password; --auth-file FILE, --netrc or the variable "
                "STATICSTORE_AUTH provide it; for a bucket, the environment does, too"
            )
        case HTTPStatusError(status=404) if _LACKS_FORMAT in str(error):
            return _FORMAT_HINT
        case IndexFormatError() if "needs the extra" in str(error):
            return None
        case IndexFormatError(url=str()) if "in this format" in str(error):
            return (
                "the URL is that of the document itself, such as .../repodata.json, "
                "and --format NAME its form"
            )
        case IndexFormatError(url=str()):
            return "the URL must be a site's root, and index.json there a single JSON object"
        case TransportError() if "the store's origins" in str(error):
            return "--origin URL permits a host"
        case TransportError() if "certificate" in str(error):
            return "--ca FILE names the certificate authorities to trust"
    return None
