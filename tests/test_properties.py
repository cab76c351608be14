"""Properties that hold for all keys, bytes and bounds, on a real server."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from staticstore import StaticStore
from staticstore.index.fields import key_problem
from tests.servers import Nginx, require
from tests.sites import write_site

VALUE = bytes(range(256)) * 8

_segments = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20
).filter(lambda text: len(text.encode()) <= 200)
_keys = (
    st.lists(_segments, min_size=1, max_size=3)
    .map("/".join)
    .filter(lambda key: key_problem(key) is None)
)
_numbers = itertools.count()
_bounds = st.none() | st.integers(-3000, 3000)


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """Serve one folder for all examples."""
    require("nginx")
    with Nginx(tmp_path_factory.mktemp("site")) as server:
        yield server


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(keys=st.sets(_keys, min_size=1, max_size=8))
@example(keys={"%2e%2e/x", "a%2fb", "é+ ?#&;=", "~", "'\"`|<>^{}\\x"})
def test_a_key_can_be_read_from_a_real_server(nginx: Nginx, keys: set[str]) -> None:
    site = nginx.site / f"keys-{next(_numbers)}"
    values = {key: key.encode() for key in keys if not _is_above_another(key, keys)}
    write_site(site, values)
    with StaticStore(f"{nginx.url}{site.name}/", poll_interval=0) as store:
        assert {key: store.to_bytes(key) for key in store} == values


def _is_above_another(key: str, keys: set[str]) -> bool:
    """Return whether a key would need a folder where another one is a file."""
    return any(other.startswith(f"{key}/") for other in keys)


@pytest.fixture(scope="module")
def ranged(nginx: Nginx) -> Iterator[StaticStore]:
    """Connect to a site with one value, with and without its size and digest."""
    site = nginx.site / "ranges"
    site.mkdir()
    write_site(site, {"described": VALUE})
    (site / "data/undescribed").write_bytes(VALUE)
    index = (site / "index.json").read_bytes()
    (site / "index.json").write_bytes(index[:-1] + b', "undescribed": {}}')
    with StaticStore(f"{nginx.url}ranges/", poll_interval=0) as store:
        yield store


@settings(max_examples=150, deadline=None)
@given(start=_bounds, end=_bounds, key=st.sampled_from(["described", "undescribed"]))
def test_a_range_equals_the_slice(
    ranged: StaticStore, start: int | None, end: int | None, key: str
) -> None:
    with ranged[key].range(start, end) as stream:
        assert stream.read() == VALUE[start:end]


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(0, 700), min_size=1, max_size=20))
def test_a_stream_read_in_any_pieces_returns_the_value(
    ranged: StaticStore, sizes: list[int]
) -> None:
    with ranged.get_data("described") as stream:
        assert b"".join([*(stream.read(size) for size in sizes), stream.read()]) == VALUE
