"""A bbox on the outline of the world."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from staticstore.site.server import SiteServer, serve
from tests.tools.page.browsing import choose, expect, looking, write_site

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BOXES: dict[str, Any] = {
    "tiny": [-19.6, 48.13, -19.384, 48.25],
    "wide": [-30, 30, 45, 72],
    "world": [-180, -90, 180, 90],
    "pacific": [170, -20, -170, -10],
    "high": [8, 47, 400, 9, 48, 2500],
}
NO_BOXES: dict[str, Any] = {
    "metres": [500000, 5200000, 510000, 5210000],
    "upside down": [1, 50, 2, 40],
    "text": ["1", "2", "3", "4"],
    "short": [1, 2, 3],
    "none": [None, None, None, None],
    "huge": [1e308, -1e308, 1e308, 1e308],
    "deep": [[1, 2], [3, 4], [5, 6], [7, 8]],
    "object": {"0": 1, "length": 4},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteServer]:
    index = {key: {"bbox": bbox} for key, bbox in {**BOXES, **NO_BOXES}.items()}
    with serve(write_site(tmp_path_factory.mktemp("places"), index), port=0) as server:
        yield server


@pytest.fixture(scope="module")
def page(browser: Browser, server: SiteServer) -> Iterator[Page]:
    """One window for all tests."""
    with looking(browser) as look:
        yield look(server.url)


def look_at(page: Page, key: str) -> None:
    choose(page, key)
    expect(page.locator("#preview .path")).to_have_text(key)


def test_a_tiny_box_is_marked_by_a_ring_and_shown_closer(page: Page) -> None:
    look_at(page, "tiny")
    expect(page.locator(".place svg")).to_have_count(2)
    expect(page.locator(".place .ring")).to_have_count(2)
    expect(page.locator(".place .note")).to_have_text(
        "bbox: 19.6° W to 19.384° W, 48.13° N to 48.25° N"
    )


def test_a_wide_box_is_drawn_once(page: Page) -> None:
    look_at(page, "wide")
    expect(page.locator(".place svg .area")).to_have_count(1)
    assert page.locator(".place .ring").count() == 0


def test_a_box_across_the_antimeridian_is_drawn_in_two_parts(page: Page) -> None:
    look_at(page, "pacific")
    world = page.locator(".place svg").first
    expect(world.locator(".area")).to_have_count(2)
    left = [float(area.get_attribute("x") or "") for area in world.locator(".area").all()]
    assert left == pytest.approx([350 * 4, 0])
    expect(page.locator(".place svg").nth(1).locator(".area")).to_have_count(1)
    expect(page.locator(".place .note")).to_contain_text("170° E to 170° W")


@pytest.mark.parametrize(
    ("key", "shown"), [("high", "8° E to 9° E, 47° N to 48° N"), ("world", "180° W")]
)
def test_six_numbers_and_the_whole_world_are_boxes(page: Page, key: str, shown: str) -> None:
    look_at(page, key)
    expect(page.locator(".place .note")).to_contain_text(shown)


def test_what_is_no_box_in_degrees_is_only_a_field(page: Page) -> None:
    for key in NO_BOXES:
        look_at(page, key)
        assert page.locator("#preview .place").count() == 0
        expect(page.locator("#preview dt", has_text="bbox")).to_have_count(1)


@pytest.mark.parametrize(
    ("bbox", "expected"),
    [
        ([0, 0, 360, 1], [-180, 0, 180, 1]),
        ([190, 0, 200, 1], [-170, 0, -160, 1]),
        ([350, 0, 10, 1], [-10, 0, 10, 1]),
        ([180, 0, -170, 1], [-180, 0, -170, 1]),
        ([-180, 0, -180, 0], [-180, 0, -180, 0]),
        ([180, 0, 180, 0], [-180, 0, -180, 0]),
        ([360, 0, -360, 1], None),
    ],
)
def test_longitudes_may_be_counted_to_360(
    page: Page, bbox: list[float], expected: list[float] | None
) -> None:
    found = page.evaluate("bbox => boxOf(bbox)", bbox)
    assert (found and [found[side] for side in ("west", "south", "east", "north")]) == expected
