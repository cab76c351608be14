"""Many small files are hashed by processes: each takes an interpreter, and a process has one.

Both ends are here.  The other process is a Python that was started for it: it
gets lists of files, and answers each with a list of digests.  Where it has
none, and wherever it fails altogether, the files are left to who asked.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import sys
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

from .file_digest import Digest, PointerFoundError, ReplacedError, SecretFoundError, digest_of
from .found_file import FoundFile

if TYPE_CHECKING:
    import subprocess

__all__ = ["HashProcess", "answer", "at_once", "process_count"]

_WORTH_A_PROCESS = 4_000  # files; a thread hashes as many while a process starts
_MOST_AT_ONCE = 8  # more read no faster from one disk
_LENGTH = 4  # bytes before each message that say how long it is
# Whatever else a Python says when it starts begins otherwise.
_GREETING = b"staticstore hashes\n"
# What a Python needs to start, and to read file names as we do.  It gets no more of the
# environment, where passwords and keys of clouds stand.
_ENVIRONMENT = """
    PATH HOME USERPROFILE TMPDIR TEMP TMP
    LANG LANGUAGE LC_ALL LC_CTYPE PYTHONUTF8 PYTHONCOERCECLOCALE PYTHONHOME PYTHONEXECUTABLE
    PYTHONPLATLIBDIR PYTHONNOUSERSITE PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX
    __PYVENV_LAUNCHER__
    LD_LIBRARY_PATH DYLD_LIBRARY_PATH DYLD_FALLBACK_LIBRARY_PATH DYLD_FRAMEWORK_PATH LIBPATH
    SYSTEMROOT SYSTEMDRIVE WINDIR
"""
# Where its modules are is the first that it is told.
_PROGRAM = f"""
import marshal, sys
requests, answers = sys.stdin.buffer, sys.stdout.buffer
sys.path[:] = marshal.loads(requests.read(int.from_bytes(requests.read({_LENGTH}), "big")))
from {__name__} import answer
answer(requests, answers)
"""


def at_once(wanted: int) -> int:
    """Return how many of so many threads or processes shall hash at once: one for each core."""
    return min(wanted, os.cpu_count() or 1, _MOST_AT_ONCE)


def process_count(files: int) -> int:
    """Return how many processes hash so many small files sooner than one thread does; perhaps 0."""
    count = at_once(files // _WORTH_A_PROCESS)
    return count if count > 1 and _is_python(sys.executable) else 0


def _is_python(program: str | None) -> bool:
    """Tell whether a program runs the code that it is given.

    One in which Python is embedded or frozen would start itself once more: a
    second window.
    """
    name = os.path.basename(program or "").lower()
    return name.startswith(("python", "pypy")) and not getattr(sys, "frozen", False)


class HashProcess:
    """A process that hashes files, for one thread, and ends with the block.

    If it does not start, or dies, it knows of no file any more.

    Examples
    --------
    >>> with HashProcess() as process:
    ...     process.digests_of([FoundFile("file", "there/is/no/such/file", 3, 5, 7)])
    [None]
    """

    def __init__(self) -> None:
        """Start it."""
        import subprocess  # which neither few files need nor the other process

        self._process: subprocess.Popen[bytes] | None = None
        with contextlib.suppress(OSError):
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # it says nothing when a key interrupts it, too
                env={name: os.environ[name] for name in _ENVIRONMENT.split() if name in os.environ},
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )

    def __enter__(self) -> HashProcess:
        """Wait for its greeting."""
        if self._process is None:
            return self
        try:
            _send(_requests(self._process), [str(place) for place in sys.path])
            if _answers(self._process).readline(len(_GREETING)) != _GREETING:
                self._end()
        except OSError:
            self._end()
        return self

    def __exit__(self, *error: object) -> None:
        """End it; it has nothing to lose."""
        self._end()

    def digests_of(self, files: Sequence[FoundFile]) -> list[Digest | None]:
        """Hash files.

        Returns
        -------
        list of Digest or None
            For each file; None if it did not stand still, cannot be read, is not
            the one that was found, or is a private key.
        """
        if self._process is not None:
            try:
                # marshal knows tuples alone
                _send(_requests(self._process), [tuple(file) for file in files])
                rows = _receive(_answers(self._process))
                return [None if row is None else Digest(*row) for row in rows]
            except (OSError, EOFError):
                self._end()
        return [None] * len(files)

    def kill(self) -> None:
        """Have it answer no more, whatever it does; any thread may ask for that."""
        process = self._process
        if process is not None:
            process.kill()

    def _end(self) -> None:
        self.kill()
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(OSError), process:  # closes the pipes, and waits
                pass


def _send(pipe: IO[bytes], value: list[Any]) -> None:
    message = marshal.dumps(value)
    pipe.write(len(message).to_bytes(_LENGTH, "big") + message)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> list[Any]:
    length = int.from_bytes(pipe.read(_LENGTH), "big")
    value: list[Any] = marshal.loads(pipe.read(length))
    return value


def _requests(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin is not None
    return process.stdin


def _answers(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdout is not None
    return process.stdout


def answer(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Hash what is asked for until nobody asks any more: the life of the other process."""
    answers.write(_GREETING)
    answers.flush()
    with contextlib.suppress(EOFError):
        while True:
            _send(answers, [_row(FoundFile(*found)) for found in _receive(requests)])


def _row(file: FoundFile) -> tuple[str, int, int, int] | None:
    try:
        digest = digest_of(file.path, is_wanted=file.is_same)
    except (SecretFoundError, PointerFoundError, ReplacedError, OSError):
        return None
    return digest and (*digest,)
