"""Progress: bars for the total and for each large value; and all requests."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Self

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

from ..signals import request_finished

if TYPE_CHECKING:
    from ..errors import StoreError

__all__ = ["Bars", "bars_hidden", "requests_shown", "shortened"]

_LARGE_BYTES = 1 << 23  # a smaller value has arrived before its name can be read
_MOST_COLUMNS = 40  # of a name, and of a bar
_FIGURES_COLUMNS = 28
_LEAST_COLUMNS = 10  # of a bar, and of a name beside one


def shortened(text: str, width: int) -> str:
    """Return a text cut to a width in columns; it keeps its end, where keys differ.

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
    # Of a name and of a bar, in columns; a narrow terminal has no bar.
    room = console.width - _FIGURES_COLUMNS
    if room < 3 * _LEAST_COLUMNS:
        return max(room, _LEAST_COLUMNS), 0
    bar = min(room * 2 // 5, _MOST_COLUMNS)
    return min(room - bar - 1, _MOST_COLUMNS), bar


class _Name(ProgressColumn):
    # Never becomes narrower: bars that jump are hard to read.

    def __init__(self, console: Console) -> None:
        super().__init__(Column(no_wrap=True))
        self._console = console
        self._width = 0

    def render(self, task: Task) -> Text:
        most = _widths(self._console)[0]
        name = shortened(task.description, most)
        self._width = min(max(self._width, cell_len(name)), most)
        return Text(set_cell_size(name, self._width))


class _Bar(BarColumn):
    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def render(self, task: Task) -> ProgressBar:
        self.bar_width = max(_widths(self._console)[1], 1)
        return super().render(task)


class Bars:
    """Bars that are shown while the block lasts; any thread may update them.

    Parameters
    ----------
    console : Console
        Where to show them.
    what : str
        The name of the bar for the total.  All names are free of control characters.
    transient : bool
        Whether the bars are erased at the end.
    delay : float, optional
        Seconds before they are shown, if the block lasts so long.
    """

    def __init__(self, console: Console, what: str, *, transient: bool, delay: float = 0.0) -> None:
        columns = [
            _Name(console),
            *([_Bar(console)] if _widths(console)[1] else []),
            DownloadColumn(table_column=Column(no_wrap=True, justify="right")),
            TransferSpeedColumn(table_column=Column(no_wrap=True, justify="right")),
        ]
        self._progress = Progress(
            *columns,
            console=console,
            transient=transient,
            redirect_stdout=False,  # the value itself may go there
        )
        self._room = max(console.height - 2, 0)
        self._total = self._progress.add_task(what, total=None)
        self._lock = threading.Lock()
        self._running: dict[str, TaskID] = {}
        self._timer = threading.Timer(delay, self._progress.start) if delay else None

    def __enter__(self) -> Self:
        """Show the bars, once the delay is over."""
        _current.append(self._progress)
        if self._timer is None:
            self._progress.start()
        else:
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop, and erase them if they are transient."""
        _current.remove(self._progress)
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
        if self._progress.live.is_started:
            self._progress.stop()

    def show_total(self, done: int, total: int | None) -> None:
        """Update the bar for the total, in bytes."""
        self._progress.update(self._total, completed=done, total=total)

    def show_value(self, name: str, done: int | None, total: int | None) -> None:
        """Update the bar for one value, in bytes; None for `done` removes it."""
        with self._lock:
            if done is None:
                if (task := self._running.pop(name, None)) is not None:
                    self._progress.remove_task(task)
            elif name in self._running:
                self._progress.update(self._running[name], completed=done, total=total)
            elif len(self._running) < self._room and (total is None or total >= _LARGE_BYTES):
                task = self._progress.add_task(name, total=total, completed=done)
                self._running[name] = task


# What a command shows now: one or none.
_current: list[Progress] = []


@contextlib.contextmanager
def bars_hidden() -> Iterator[None]:
    """Hide bars while the block lasts: they would be drawn over a question."""
    shown = [one for one in _current if one.live.is_started]
    for one in shown:
        one.stop()
    try:
        yield
    finally:
        for one in shown:
            one.start()


@contextlib.contextmanager
def requests_shown(log: Callable[[str], object]) -> Iterator[None]:
    """Log each request that ends while the block lasts, as with ``-vv``."""

    def show(
        store: object,
        *,
        method: str,
        url: str,
        status: int | None,
        bytes: int,
        seconds: float,
        attempt: int,
        error: StoreError | None,
    ) -> None:
        answer = "no answer" if status is None else str(status)
        text = f"{method} {url} {answer}, {bytes} bytes, {seconds * 1000:.0f} ms"
        text += f", attempt {attempt}" if attempt > 1 else ""
        log(text if error is None else f"{text}: {error.args[0]}")

    with request_finished.connected_to(show):
        yield
