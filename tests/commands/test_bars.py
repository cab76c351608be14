"""Progress bars: which are shown, and that they fit the terminal."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from staticstore.commands.bars import Bars, shortened

LARGE = 10 << 20


def console(width: int = 80, height: int = 24) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=height)


def lines(bars: Bars) -> list[str]:
    """Return the lines of the bars."""
    on = bars._progress.console
    with on.capture() as captured:
        on.print(bars._progress.get_renderable(), markup=False)
    return Text.from_ansi(captured.get()).plain.splitlines()


def shown_by(on: Console, *names: str) -> list[str]:
    bars = Bars(on, "mirroring", transient=True)
    bars.show_total(5 << 20, 30 << 20)
    for name in names:
        bars.show_value(name, 1 << 20, LARGE)
    return lines(bars)


@given(st.text(), st.integers(1, 50))
def test_a_name_is_no_wider_than_its_room(text: str, width: int) -> None:
    assert cell_len(shortened(text, width)) <= max(width, 1)


def test_of_a_long_name_the_end_is_shown() -> None:
    assert shortened("a/long/way/to/dem.tif", 12) == "…/to/dem.tif"
    assert shortened("日本/地形", 5) == "…地形"


@pytest.mark.parametrize("width", [20, 33, 40, 60, 80, 200])
def test_bars_fit_the_terminal(width: int) -> None:
    shown = shown_by(console(width), "terrain/dem.tif", "日本/" * 90, "[red]x[/red]")
    assert len(shown) == 4
    assert all(cell_len(line) <= width for line in shown)


def test_a_narrow_terminal_has_names_and_sizes_and_no_bars() -> None:
    whole, one = shown_by(console(40), "terrain/alps/dem.tif")
    assert whole.split()[:3] == ["mirroring", "5.2/31.5", "MB"]
    assert one.split()[:3] == ["…lps/dem.tif", "1.0/10.5", "MB"]


def test_names_are_no_markup() -> None:
    assert "[red]x[/red] :smile:" in shown_by(console(), "[red]x[/red] :smile:")[1]


def test_small_values_have_no_bars() -> None:
    bars = Bars(console(), "mirroring", transient=True)
    bars.show_value("small", 10, 1 << 20)
    bars.show_value("small", None, None)
    bars.show_value("of unknown size", 10, None)
    assert [line.split()[0] for line in lines(bars)] == ["mirroring", "of"]


def test_a_block_that_ends_before_the_delay_shows_nothing() -> None:
    on = console()
    with Bars(on, "index", transient=True, delay=60.0) as bars:
        bars.show_total(1, 2)
    assert isinstance(on.file, io.StringIO)
    assert on.file.getvalue() == ""


def test_what_has_ended_has_no_bar() -> None:
    bars = Bars(console(), "mirroring", transient=True)
    bars.show_value("a", 1, LARGE)
    bars.show_value("b", 1, LARGE)
    bars.show_value("a", None, None)
    assert [line.split()[0] for line in lines(bars)] == ["mirroring", "b"]


def test_there_are_no_more_bars_than_lines() -> None:
    assert len(shown_by(console(height=6), *map(str, range(64)))) == 5
