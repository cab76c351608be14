"""A process that hashes many small files: threads would share one interpreter.

Both ends are here.  The other process is a new Python; it receives lists of files
and answers each with a list of digests.  The caller hashes the files without a
digest itself, and all of them if the process fails.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import sys
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

from ... import tuning
from .data_file import (
    FileDigest,
    FoundFile,
    PointerFoundError,
    ReplacedError,
    SecretFoundError,
    digest_of,
)

if TYPE_CHECKING:
    import subprocess

__all__ = ["HashProcess", "answer", "process_count", "worker_count"]

_LENGTH_BYTES = 4  # the length of each message, before it
# Anything else that a starting Python may print differs from it.
_GREETING = b"staticstore hashes\n"
# What a Python needs to start, and to read file names as we do.  Nothing else: the environment
# may hold passwords and keys of clouds.
_ENVIRONMENT = """
    PATH HOME USERPROFILE TMPDIR TEMP TMP
    LANG LANGUAGE LC_ALL LC_CTYPE PYTHONUTF8 PYTHONCOERCECLOCALE PYTHONHOME PYTHONEXECUTABLE
    PYTHONPLATLIBDIR PYTHONNOUSERSITE PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX
    __PYVENV_LAUNCHER__
    LD_LIBRARY_PATH DYLD_LIBRARY_PATH DYLD_FALLBACK_LIBRARY_PATH DYLD_FRAMEWORK_PATH LIBPATH
    SYSTEMROOT SYSTEMDRIVE WINDIR
"""
# The first message has the path of its modules, and that of our package: its `__init__` is not
# run, which would import a reader of sites.  benchmark: publish-small
_PACKAGE = __name__.partition(".")[0]
_PROGRAM = f"""
import marshal, sys, types
requests, answers = sys.stdin.buffer, sys.stdout.buffer
message = requests.read(int.from_bytes(requests.read({_LENGTH_BYTES}), "big"))
package = sys.modules["{_PACKAGE}"] = types.ModuleType("{_PACKAGE}")
sys.path[:], package.__path__ = marshal.loads(message)
from {__name__} import answer
answer(requests, answers)
"""


def worker_count(wanted: int) -> int:
    """Return how many threads or processes to start: one for each core at most."""
    return min(wanted, os.cpu_count() or 1, tuning.HASH_WORKERS)


def process_count(files: int) -> int:
    """Return how many processes to start for small files; 0 if one thread is faster."""
    count = worker_count(files // tuning.FILES_PER_PROCESS)
    return count if count > 1 and _is_python(sys.executable) else 0


def _is_python(program: str | None) -> bool:
    # A program in which Python is embedded or frozen would open a second window instead.
    name = os.path.basename(program or "").lower()
    return name.startswith(("python", "pypy")) and not getattr(sys, "frozen", False)


class HashProcess:
    """A process that hashes files for one thread; a context manager that ends it.

    If the process does not start, or dies, no file has a digest.

    Examples
    --------
    >>> with HashProcess() as process:
    ...     process.digests_of([FoundFile("file", "there/is/no/such/file", 3, 5, 7)])
    [None]
    """

    def __init__(self) -> None:
        """Start the process."""
        import subprocess  # slow to import; neither few files nor the other process need it

        self._process: subprocess.Popen[bytes] | None = None
        with contextlib.suppress(OSError):
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # an interrupt from the keyboard prints a traceback
                env={name: os.environ[name] for name in _ENVIRONMENT.split() if name in os.environ},
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )

    def __enter__(self) -> HashProcess:
        """Wait until the process is ready."""
        if self._process is None:
            return self
        try:
            paths = (sys.path, sys.modules[_PACKAGE].__path__)
            _send(self._process.stdin, [list(map(str, path)) for path in paths])
            assert self._process.stdout is not None
            if self._process.stdout.readline(len(_GREETING)) != _GREETING:
                self._end()
        except OSError:
            self._end()
        return self

    def __exit__(self, *error: object) -> None:
        """End the process."""
        self._end()

    def digests_of(self, files: Sequence[FoundFile]) -> list[FileDigest | None]:
        """Hash files.

        Returns
        -------
        list of FileDigest or None
            For each file; None if it changed, was replaced, cannot be read, or is a
            private key or a pointer.
        """
        if self._process is not None:
            try:
                # marshal writes plain tuples only
                _send(self._process.stdin, list(map(tuple, files)))
                rows = _receive(self._process.stdout)
                return [row and FileDigest(*row) for row in rows]
            except (OSError, EOFError):
                self._end()
        return [None] * len(files)

    def kill(self) -> None:
        """Kill the process; any thread may call it."""
        process = self._process
        if process is not None:
            process.kill()

    def _end(self) -> None:
        self.kill()
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(OSError), process:  # close the pipes, and wait
                pass


def _send(pipe: IO[bytes] | None, value: list[Any]) -> None:
    assert pipe is not None
    message = marshal.dumps(value)
    pipe.write(len(message).to_bytes(_LENGTH_BYTES, "big") + message)
    pipe.flush()


def _receive(pipe: IO[bytes] | None) -> list[Any]:
    assert pipe is not None
    length = int.from_bytes(pipe.read(_LENGTH_BYTES), "big")
    value: list[Any] = marshal.loads(pipe.read(length))
    return value


def answer(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer requests until the pipe is closed: the main loop of the other process."""
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
