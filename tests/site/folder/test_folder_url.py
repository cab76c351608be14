"""A URL where a folder is needed: refused by every function that takes one, and nothing is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from staticstore import StaticStore, StoreError, mirror, publish, push, serve, verify_site

from ..sitefolder import make_site, tree

URLS = ["https://data.example.org/site/", "s3://bucket/site", "file:///srv/site"]
FUNCTIONS: list[Callable[[Any], Any]] = [
    publish,
    verify_site,
    serve,
    lambda site: push(site, "target"),
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, in which a URL would become a folder ``https:``."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("url", [*URLS, Path("https://data.example.org/site/")])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_url_is_no_folder_of_a_site(function: Callable[[Any], Any], url: Any) -> None:
    with pytest.raises(StoreError, match="a folder of this machine is needed here, not a URL"):
        function(url)


@pytest.mark.parametrize("url", [*URLS, Path("https://data.example.org/site/")])
def test_a_mirror_does_not_copy_into_a_folder_named_as_a_url(
    tmp_path: Path, here: Path, url: Any
) -> None:
    site = make_site(tmp_path / "site", {"a": b"1"})
    publish(site)
    with (
        StaticStore(site, poll_interval=0) as store,
        pytest.raises(StoreError, match="'staticstore push' uploads one into a bucket"),
    ):
        mirror(store, url)
    assert tree(here) == {}


def test_a_colon_in_the_name_of_a_folder_is_none_of_a_url(here: Path) -> None:
    make_site(here / "a:b" / "c", {"a": b"1"})
    assert publish("./a:b/c").set == ["a"]
    assert publish(here / "a:b" / "c").set == []
