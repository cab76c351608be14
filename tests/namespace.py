"""A process in network and mount namespaces of its own, in which it has public addresses.

Nothing in it reaches a network: all addresses are those of its loopback
device, and there is no route to any other.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pytest

__all__ = ["Namespace", "resolve"]

P = ParamSpec("P")
T = TypeVar("T")

_CLONE_NEWNS, _CLONE_NEWNET = 0x00020000, 0x40000000
_HOSTS = Path("/etc/hosts")
_SECONDS = 30.0


class Namespace:
    """Runs functions of test modules in such a process.

    Parameters
    ----------
    folder : Path
        A folder for a file that replaces ``/etc/hosts``.
    addresses : sequence of str
        Addresses of the process besides 127.0.0.0/8 and ::1.
    """

    def __init__(self, folder: Path, addresses: list[str]) -> None:
        if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("mount"):
            pytest.skip("a network namespace needs root, ip and mount")
        hosts = folder / "hosts"
        hosts.touch()
        # Not forked: this process has threads.
        context = multiprocessing.get_context("spawn")
        self._process = ProcessPoolExecutor(
            1, context, initializer=_enter, initargs=(str(hosts), addresses)
        )
        try:
            self.run(os.getpid)
        except BrokenProcessPool:
            pytest.skip("no network namespace can be made here")

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a function of a module returns there, or raise what it raises."""
        return self._process.submit(function, *args, **kwargs).result(_SECONDS)

    def close(self) -> None:
        """End the process, and with it the namespaces."""
        self._process.shutdown()


def resolve(name: str, address: str) -> None:
    """Give an address to a name, the only one besides localhost; for use in the namespace."""
    # In place, since the file is mounted.
    _HOSTS.write_text(f"127.0.0.1 localhost\n{address} {name}\n")


def _enter(hosts: str, addresses: list[str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET | _CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare failed")
    commands: list[list[Any]] = [
        ["mount", "--make-rprivate", "/"],
        ["mount", "--bind", hosts, _HOSTS],
        ["ip", "link", "set", "lo", "up"],
        *(["ip", "address", "add", address, "dev", "lo"] for address in addresses),
    ]
    for command in commands:
        subprocess.run(command, check=True, capture_output=True)
