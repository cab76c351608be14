"""The modules of the Qt binding that a program uses: PySide6 or PyQt6, never both."""

from __future__ import annotations

import importlib
import sys
from typing import Any

__all__ = ["qt_core", "qt_module"]

_BINDINGS = ("PySide6", "PyQt6")


def qt_core(given: object = None) -> Any:
    """Import ``QtCore`` of the program's binding, and return it.

    Parameters
    ----------
    given : object, optional
        An object of Qt, whose binding is used.  By default it is the binding
        that has an application, else one that is imported, else PySide6 if it
        is installed.

    Raises
    ------
    ImportError
        Neither binding is installed.
    """
    of_given = {kind.__module__.partition(".")[0] for kind in type(given).__mro__}
    imported = [name for name in _BINDINGS if sys.modules.get(f"{name}.QtCore")]
    in_use = [
        name for name in imported if sys.modules[f"{name}.QtCore"].QCoreApplication.instance()
    ]
    for name in (*of_given.intersection(_BINDINGS), *in_use, *imported, *_BINDINGS):
        try:
            return importlib.import_module(f"{name}.QtCore")
        except ImportError as error:
            missing = error
    raise ImportError(
        "a Qt window needs the package `PySide6-Essentials`, which the extra `qt` brings, "
        f"or `PyQt6` ({missing})"
    ) from missing


def qt_module(core: Any, name: str) -> Any:
    """Import and return another module of a ``QtCore``'s binding, such as ``QtGui``.

    Raises
    ------
    ImportError
        It is not installed, or a library that it needs is missing.
    """
    return importlib.import_module(core.__name__.replace("QtCore", name))
