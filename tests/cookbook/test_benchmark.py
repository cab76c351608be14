"""The benchmark counts what a recipe costs; speed is not tested here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.cookbook import SHOWN, VARIANTS, Cost, cost_of
from staticstore import publish
from tests.cookbook.recipes import RECIPES, make_files
from tests.servers import Nginx

pytest.importorskip("numpy")
pytest.importorskip("aiohttp")


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    folder = tmp_path_factory.mktemp("numpy")
    list(make_files(folder, RECIPES["numpy"].keys))
    publish(folder)
    with Nginx(folder) as server:
        yield server


@pytest.mark.parametrize(("contender", "requests"), [("ours", 2), ("fsspec", 2)])
def test_requests_of_each_contender_are_counted(
    nginx: Nginx, contender: str, requests: int
) -> None:
    cost = cost_of("numpy", contender, nginx)
    assert isinstance(cost, Cost)
    assert cost.requests == requests
    assert cost.bytes > 30_000


def test_a_recipe_that_fails_is_no_cost(nginx: Nginx) -> None:
    assert cost_of("h5py", "ours", nginx) == "fails"


@pytest.mark.parametrize("name", SHOWN)
def test_what_is_measured_is_a_recipe(name: str) -> None:
    assert VARIANTS.get(name, (name,))[0] in RECIPES
