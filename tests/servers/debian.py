"""Finds the programs of real web servers, for tests that need more than an imitation.

An installed program is used as it is.  Otherwise the package of Debian (or of a
distribution like it) is downloaded and unpacked below the project's `.cache/`,
with the dependencies that the machine lacks.  Nothing is installed, and no
privilege is needed::

    .cache/debian/
        lock                    held during a fetch
        lists/                  apt's lists of packages
        work-…/                 a fetch in progress, or the rest of one that was killed
        nginx-debian12-x86_64/  a whole program: moved here once it has started
"""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest
from filelock import FileLock, Timeout

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "debian"

# Program -> the package that has it in usr/sbin or usr/bin.
PACKAGES = {
    "nginx": "nginx",
    "squid": "squid",
    "apache2": "apache2-bin",
    "caddy": "caddy",
    "lighttpd": "lighttpd",
    "softhsm2-util": "softhsm2",
}

# The option that shows the version, if it is not `-v`.
ASKED_FOR_VERSION = {"caddy": "version"}

# Seconds that a fetch may take, including waiting for another run's: less than a test may.
BOUND = 100.0

# The machine's own settings (sources, keys, a proxy) apply, but not its hooks, which are meant for
# real installations and, run by root, would clean the machine's own folders.
APT_CONFIGURATION = """\
Dir::State::lists "{lists}";
Dir::Cache "{work}";
Dir::Cache::archives "{archives}";
Debug::NoLocking "true";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


class Unavailable(Exception):
    """The program is neither installed nor available, for the reason given."""

    def __init__(self, program: str, reason: str) -> None:
        super().__init__(f"{program} is not available: {reason}")
        self.program = program
        self.reason = reason


@dataclass(frozen=True)
class Program:
    """A program that can be run, with `environment` added to our own.

    `prefix` is the folder that its package treats as the root folder.
    """

    path: Path
    prefix: Path = Path("/")
    environment: Mapping[str, str] = field(default_factory=dict)


def require(program: str) -> Program:
    """Find the program, or skip the test that needs it; on CI (`CI` is "true"), fail it."""
    try:
        return find(program)
    except Unavailable as error:
        unavailable(error)


def unavailable(error: Unavailable) -> NoReturn:
    """Skip a test that lacks what it needs; on CI (`CI` is "true"), fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(str(error), pytrace=False)
    pytest.skip(str(error))


def find(program: str) -> Program:
    """Find a program of `PACKAGES`, fetching it if necessary.

    Raises
    ------
    Unavailable
        Now, and immediately whenever this run of Python asks again.
    """
    outcome = _outcome(program)
    if isinstance(outcome, Unavailable):
        raise Unavailable(program, outcome.reason)
    return outcome


def install(name: str, *packages: str) -> None:
    """Install packages on this machine, if they cannot run from a folder; needs root.

    Raises
    ------
    Unavailable
        There is no apt-get, this is not root, or it failed.
    """
    if not (apt := shutil.which("apt-get")) or os.geteuid() != 0:
        raise Unavailable(name, f"not installed, and only root can: apt-get install {packages[0]}")
    deadline = time.monotonic() + BOUND
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / "lock", timeout=BOUND):
        _run(name, [apt, "-qq", "update"], deadline, check=False)
        options = ["-qq", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=60"]
        _run(name, [apt, *options, "install", *packages], deadline)


@functools.cache
def _outcome(program: str) -> Program | Unavailable:
    # Remembered, so that a machine without network waits for its timeouts only once.
    package = PACKAGES[program]
    folders = [os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"]
    if installed := shutil.which(program, path=os.pathsep.join(folders)):
        return Program(Path(installed))
    try:
        system = platform.freedesktop_os_release()
        release = system["ID"] + system.get("VERSION_ID", "")
        folder = CACHE / f"{program}-{release}-{platform.machine()}"
        # Started again, because the machine's libraries may have changed since the fetch.
        if _defect(program, folder) is not None:
            _fetch(program, package, folder)
    except Unavailable as error:
        return error
    except OSError as error:
        return Unavailable(program, f"{type(error).__name__}: {error}")
    return _unpacked(program, folder)


def _unpacked(program: str, folder: Path) -> Program:
    """Describe the program in a folder to which packages have been unpacked."""
    places = [folder / "usr/sbin" / program, folder / "usr/bin" / program]
    path = next((place for place in places if place.is_file()), places[0])
    roots = [folder / "usr/lib", folder / "lib"]
    libraries = [*(path for root in roots for path in sorted(root.glob("*-linux-*"))), *roots]
    search = [str(path) for path in libraries if any(path.glob("*.so*"))]
    if search and (inherited := os.environ.get("LD_LIBRARY_PATH")):
        search.append(inherited)
    environment = {"LD_LIBRARY_PATH": os.pathsep.join(search)} if search else {}
    return Program(path, folder, environment)


def _defect(program: str, folder: Path) -> str | None:
    """Return why the program in that folder does not start; None if it does."""
    if not folder.is_dir():
        return "it has not been fetched"
    candidate = _unpacked(program, folder)
    try:
        subprocess.run(
            [candidate.path, ASKED_FOR_VERSION.get(program, "-v")],
            env={**os.environ, **candidate.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=20,
        )
    except subprocess.CalledProcessError as error:
        return _last_line(error.stderr) or str(error)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None


def _fetch(program: str, package: str, folder: Path) -> None:
    """Unpack the package and its dependencies to `folder`, all or nothing."""
    if not (apt := shutil.which("apt-get")) or not (dpkg := shutil.which("dpkg")):
        raise Unavailable(program, "not installed, and there is no apt-get and dpkg to fetch it")
    deadline = time.monotonic() + BOUND
    CACHE.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(CACHE / "lock", timeout=BOUND):
            if _defect(program, folder) is None:  # another run was faster
                return
            for old in (folder, *CACHE.glob("work-*")):
                shutil.rmtree(old, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix="work-", dir=CACHE) as work:
                _download(program, package, apt, Path(work), deadline)
                whole = Path(work) / "whole"
                whole.mkdir()
                for archive in sorted(Path(work).glob("archives/*.deb")):
                    _run(program, [dpkg, "-x", archive, whole], deadline)
                if defect := _defect(program, whole):
                    raise Unavailable(program, f"fetched, but it does not start: {defect}")
                whole.rename(folder)
    except Timeout as error:
        raise Unavailable(program, "another run has been fetching for too long") from error


def _download(program: str, package: str, apt: str, work: Path, deadline: float) -> None:
    """Let apt put the package, and its missing dependencies, into `work/archives`."""
    archives, lists = work / "archives", CACHE / "lists"
    for folder in (archives, lists):
        (folder / "partial").mkdir(parents=True, exist_ok=True)
    settings = work / "apt.conf"
    settings.write_text(APT_CONFIGURATION.format(lists=lists, work=work, archives=archives))
    get: list[str | Path] = [apt, "-c", settings, "-qq"]
    # One unavailable source does not matter, if the package is in another.
    complaint = _run(program, [*get, "update"], deadline, check=False)
    wanted = ["--download-only", "--no-install-recommends", "-y", "install", package]
    try:
        _run(program, [*get, *wanted], deadline)
    except Unavailable as error:
        raise Unavailable(program, f"{error.reason} {complaint}".strip()) from error


def _run(program: str, command: list[str | Path], deadline: float, check: bool = True) -> str:
    """Run a command silently, and return the last line of its error output."""
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=check,
            timeout=max(deadline - time.monotonic(), 1.0),
        )
    except subprocess.CalledProcessError as error:
        raise Unavailable(program, _last_line(error.stderr) or str(error)) from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(program, f"fetching it took more than {BOUND:.0f} s") from error
    return _last_line(done.stderr)


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
