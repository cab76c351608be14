"""A fork waits until no thread is importing a module that a forked reader needs, too."""

from __future__ import annotations

import contextlib
import functools
import os
import sys

__all__ = ["import_before_forks"]

_PACKAGES = ("staticstore.index", "staticstore.transport", "staticstore.client")
# What these import when they first need it.  They, or what they import, have something done
# at each fork, and must not begin with the second half of it: only waited for.
_WAITED_FOR = ("filelock", "platformdirs", "urllib.request")


@functools.cache
def import_before_forks() -> None:
    """Have all that reading needs imported before the first fork of this process.

    Modules are imported when they are first needed, and each has a lock meanwhile.  A
    child that is forked then would wait for it forever.  A process that
    never forks imports nothing more.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_import_all)


@functools.cache
def _import_all() -> None:
    import importlib
    import pkgutil

    names = [name for name in _WAITED_FOR if name in sys.modules]
    for package in _PACKAGES:
        path = importlib.import_module(package).__path__
        names += [f"{package}.{module.name}" for module in pkgutil.iter_modules(path)]
    for name in names:
        with contextlib.suppress(ImportError):  # an extra that is not installed
            importlib.import_module(name)
