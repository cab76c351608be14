"""The color that glows behind the rows of a table of Qt; importing this imports Qt's core."""

from __future__ import annotations

import time
from collections.abc import Set
from typing import Any

from .glow import Glow
from .qt_core import qt_core, qt_module

__all__ = ["QtGlow", "Signal"]

QtCore: Any = qt_core()
#: What declares a signal, which PySide6 and PyQt6 name differently.
Signal: Any = getattr(QtCore, "Signal", None) or QtCore.pyqtSignal
_FRAME = 40  # milliseconds


class QtGlow(QtCore.QObject):  # type: ignore[misc]
    """Keys that glow in a color, and a timer that runs while any does.

    Parameters
    ----------
    color : str
        As Qt names it.
    parent : QObject
        What it lives with.

    Raises
    ------
    ValueError
        Qt knows no such color.
    """

    #: It is time to paint anew, first in full color and last without any.
    faded = Signal()

    def __init__(self, color: str, parent: Any) -> None:
        super().__init__(parent)
        # Qt's part for graphics, which a program without glow may do without.
        self._color_of = qt_module(QtCore, "QtGui").QColor
        self._color = self._color_of(color)
        if not self._color.isValid():
            raise ValueError(f"Qt knows no color {color!r}; it knows '#ffc233', for one")
        self._glow = Glow()
        self._timer = QtCore.QTimer(self)
        self._timer.setInterval(_FRAME)
        self._timer.timeout.connect(self._fade)

    def light(self, keys: Set[str]) -> None:
        """Let keys glow from now on."""
        if keys:
            self._glow.light(keys, time.monotonic())
            self._timer.start()
            self.faded.emit()

    def color(self, key: str) -> Any:
        """Return the color of a key that glows, as transparent as it is faint; None for others."""
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
