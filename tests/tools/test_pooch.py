"""pooch reads the registries that we export, and fetches the values by them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from staticstore import publish, serve
from tests.site.sitefolder import fill, make_site

pooch = pytest.importorskip("pooch")

FILES = {
    "a.csv": b"x\n1\n",
    "b c/#d'e\".txt": b"2",
    "back\\slash": b"3",
    "Höhe/$HOME `x`.tif": b"4",
}


def test_a_registry_has_each_value_under_its_path(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site", FILES)
    publish(site, also=["pooch"])
    found = pooch.create(path=tmp_path / "cache", base_url="https://data.example.org/site/")
    found.load_registry(site / "registry.txt")
    assert set(found.registry) == {f"data/{key}" for key in FILES}


def test_values_are_fetched_and_verified_by_a_registry(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site", {"a.csv": b"x\n1\n", "b/c.txt": b"2"})
    publish(site, also=["pooch"])
    with serve(site, port=0) as server:
        found = pooch.create(path=tmp_path / "cache", base_url=server.url)
        found.load_registry(site / "registry.txt")
        assert Path(found.fetch("data/b/c.txt")).read_bytes() == b"2"
        fill(site / "data", {"a.csv": b"other"})
        with pytest.raises(ValueError, match=os.sep + "?a.csv"):
            found.fetch("data/a.csv")
