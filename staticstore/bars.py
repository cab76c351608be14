"""Progress bars: one for the whole, and one for each large value that is under way."""

from __future__ import annotations

import threading
from typing import Self

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TransferSpeedColumn,
)
from rich.progress_bar import ProgressBar
from rich.table import Column
from rich.text import Text

__all__ = ["Bars", "shortened"]

# A smaller value is there before anybody has read its name.
_LARGE = 1 << 23  # bytes
_NAME = 40  # columns, at most; as many has a bar
_FIGURES = 28  # columns
_LEAST = 10  # columns of a bar, and of a name beside one


def shortened(text: str, width: int) -> str:
    """Return a text in so many columns; of a long one the end, which tells keys apart.

    Examples
    --------
    >>> shortened("terrain/alps/dem.tif", 13)
    '…alps/dem.tif'
    """
    if cell_len(text) <= width:
        return text
    backwards = set_cell_size(text[::-1], max(width - 1, 0))
    return f"…{backwards.rstrip()[::-1]}"


def _widths(console: Console) -> tuple[int, int]:
    """Return the columns that a name has and a bar, 0 where there is no room for one."""
    room = console.width - _FIGURES
    if room < 3 * _LEAST:
        return max(room, _LEAST), 0
    bar = min(room * 2 // 5, _NAME)
    return min(room - bar - 1, _NAME), bar


class _Name(ProgressColumn):
    """What a bar is of, in columns that never become fewer: bars that jump are hard to read."""

    def __init__(self, console: Console) -> None:
        super().__init__(Column(no_wrap=True))
        self._console = console
        self._width = 0

    def render(self, task: Task) -> Text:
        """Return the name."""
        most = _widths(self._console)[0]
        name = shortened(task.description, most)
        self._width = min(max(self._width, cell_len(name)), most)
        return Text(set_cell_size(name, self._width))


class _Bar(BarColumn):
    """A bar as wide as there is room for."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def render(self, task: Task) -> ProgressBar:
        """Return the bar."""
        self.bar_width = max(_widths(self._console)[1], 1)
        return super().render(task)


class Bars:
    """The bars, while the block lasts; any thread may tell how far something is.

    Parameters
    ----------
    console : Console
        Where they are shown.
    what : str
        Stands beside the bar for the whole; harmless, as all names here.
    transient : bool
        Whether they vanish at the end.
    """

    def __init__(self, console: Console, what: str, *, transient: bool) -> None:
        columns = [
            _Name(console),
            *([_Bar(console)] if _widths(console)[1] else []),
            DownloadColumn(table_column=Column(no_wrap=True, justify="right")),
            TransferSpeedColumn(table_column=Column(no_wrap=True, justify="right")),
        ]
        self._shown = Progress(
            *columns,
            console=console,
            transient=transient,
            redirect_stdout=False,  # it may be where the bytes go
        )
        self._most = max(console.height - 2, 0)
        self._whole = self._shown.add_task(what, total=None)
        self._lock = threading.Lock()
        self._running: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        """Show them."""
        self._shown.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Show them no more."""
        self._shown.stop()

    def whole(self, done: int, total: int | None) -> None:
        """Tell how far the whole is, in bytes."""
        self._shown.update(self._whole, completed=done, total=total)

    def one(self, name: str, done: int | None, total: int | None) -> None:
        """Tell how far one of many is, in bytes; None as `done` if it has ended."""
        with self._lock:
            if done is None:
                if (task := self._running.pop(name, None)) is not None:
                    self._shown.remove_task(task)
            elif name in self._running:
                self._shown.update(self._running[name], completed=done, total=total)
            elif (total is None or total >= _LARGE) and len(self._running) < self._most:
                task = self._shown.add_task(name, total=total, completed=done)
                self._running[name] = task
