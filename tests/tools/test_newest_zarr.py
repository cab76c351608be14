"""The newest zarr, and VirtualiZarr, which need Python 3.12, pass the same tests.

They run in an environment of their own, in the project's `.cache/`, where a Python that is
new enough is found; it takes 200 MB and some seconds, once.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache"
MINORS = (12, 13, 14)  # of Python 3
PACKAGES = (
    *("zarr >= 3.2", "virtualizarr >= 2.8", "h5py", "dask[array]", "xarray", "obspec-utils"),
    *("pytest", "pytest-timeout", "trustme", "hypothesis", "pycurl", "werkzeug"),
    *("requests", "urllib3", "blinker", "cachetools", "msgspec", "filelock", "platformdirs"),
)
# Seconds that the environment may take: less than a test may.
BOUND = 100.0


class Missing(Exception):
    """There is no such environment, for the reason given."""


def _run(command: list[str | Path], deadline: float) -> str:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=max(deadline - time.monotonic(), 1.0),
        )
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [str(error)]
        raise Missing(lines[-1]) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(str(error)) from error
    return done.stdout.strip()


def _python() -> Path:
    """Return the first Python that is new enough and starts; a shim of pyenv may not."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in MINORS:
        on_path = shutil.which(f"python3.{minor}")
        of_pyenv = sorted(versions.glob(f"3.{minor}.*/bin/python3.{minor}"))
        found: list[str | Path] = [*of_pyenv] if on_path is None else [on_path, *of_pyenv]
        for path in found:
            with contextlib.suppress(Missing):
                asked = [path, "-c", "import sys; print(sys.executable)"]
                return Path(_run(asked, time.monotonic() + BOUND))
    raise Missing("there is no Python 3.12 or newer here")


@functools.cache
def _environment() -> Path | str:
    """Return the Python of the environment, or why there is none."""
    deadline = time.monotonic() + BOUND
    try:
        if sys.version_info >= (3, 12):
            raise Missing("this Python is new enough to run these tests itself")
        python = _python()
        folder = CACHE / f"zarr-{python.name}"
        CACHE.mkdir(exist_ok=True)
        with FileLock(CACHE / "zarr.lock", timeout=BOUND):
            if not (folder / ".made").exists():
                shutil.rmtree(folder, ignore_errors=True)
                _run([python, "-m", "venv", "--without-pip", folder], deadline)
                own = folder / "bin" / "python"
                pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", own]
                options = ["--quiet", "--no-compile", "--disable-pip-version-check"]
                _run([*pip, "install", *options, *PACKAGES], deadline)
                (folder / ".made").touch()
    except (Missing, Timeout) as error:
        return str(error)
    return folder / "bin" / "python"


@pytest.mark.timeout(3 * BOUND)
@pytest.mark.parametrize(
    "name", ["test_zarr_store", "test_zarr", "test_obspec", "test_virtualizarr"]
)
def test_the_newest_versions_pass_the_same_tests(name: str) -> None:
    python = _environment()
    if isinstance(python, str):
        pytest.skip(f"the newest zarr needs Python 3.12: {python}")
    options = ["-q", "-p", "no:cacheprovider", "-W", "ignore::DeprecationWarning"]
    done = subprocess.run(
        [python, "-m", "pytest", *options, f"tests/tools/{name}.py"],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith(("COVERAGE", "PYTEST"))},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
