"""The color that glows behind the rows of a table of Qt; importing this imports QtCore."""

from __future__ import annotations

import time
from collections.abc import Set
from typing import Any

from .qt_core import qt_core, qt_module
from .rows import Glow

__all__ = ["QtGlow", "Signal"]

QtCore: Any = qt_core()
#: Declares a signal; PySide6 and PyQt6 have different names for it.
Signal: Any = getattr(QtCore, "Signal", None) or QtCore.pyqtSignal
_FRAME_MILLISECONDS = 40


class QtGlow(QtCore.QObject):  # type: ignore[misc]
    """A `Glow` in a color, with a timer that runs while any key glows.

    Parameters
    ----------
    color : str
        A name that Qt knows, or ``#RRGGBB``.
    parent : QObject
        The owner.

    Raises
    ------
    ValueError
        Qt does not know the color.
    """

    #: Emitted when rows are to be repainted, first in full color and last without any.
    faded = Signal()

    def __init__(self, color: str, parent: Any) -> None:
        super().__init__(parent)
        # Imported here: a program without glow need not have QtGui.
        self._color_of = qt_module(QtCore, "QtGui").QColor
        self._color = self._color_of(color)
        if not self._color.isValid():
            raise ValueError(f"Qt knows no color {color!r}; give '#ffc233', for example")
        self._glow = Glow()
        self._timer = QtCore.QTimer(self)
        self._timer.setInterval(_FRAME_MILLISECONDS)
        self._timer.timeout.connect(self._fade)

    def light(self, keys: Set[str]) -> None:
        """Let keys glow from now on."""
        if keys:
            self._glow.light(keys, time.monotonic())
            self._timer.start()
            self.faded.emit()

    def color(self, key: str) -> Any:
        """Return the color of a key, more transparent as it fades; None if it does not glow."""
        strength = self._glow.strength(key, time.monotonic())
        if not strength:
            return None
        color = self._color_of(self._color)
        color.setAlphaF(strength)
        return color

    def _fade(self) -> None:
        if self._glow.is_out(time.monotonic()):
            self._timer.stop()
        self.faded.emit()
