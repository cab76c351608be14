"""The ancestor's own suite, encore's `StoreReadTestMixin`, run against ours."""

from __future__ import annotations

import urllib.request  # encore uses it without importing it
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import TestCase

import pytest

from staticstore import JoinedStore, MountedStore, StaticStore, URLValue
from tests.servers import Nginx, PythonServer, require
from tests.sites import write_site

suite = pytest.importorskip("encore.storage.tests.abstract_test")
StoreReadTestMixin: Any = suite.StoreReadTestMixin

VALUES = {"test1": b"test2\n", **{f"key{i}": b"value%d" % i for i in range(10)}}


def _describe(key: str, value: bytes) -> dict[str, Any]:
    if key == "test1":
        return {
            "a_str": "test3",
            "an_int": 1,
            "a_float": 2.0,
            "a_bool": True,
            "a_list": ["one", "two", "three"],
            "a_dict": {"one": 1, "two": 2, "three": 3},
        }
    number = int(key.removeprefix("key"))
    optional = {} if number % 2 else {"optional": True}
    return {"query_test1": "value", "query_test2": number, **optional}


class _Pair(URLValue):
    """A value that can be unpacked into data and metadata, as the ancestor's could."""

    def __iter__(self) -> Iterator[Any]:
        return iter((self.data, self.metadata))


class _Pairs:
    def get(self, key: str, default: Any = None) -> Any:
        value = super().get(key)  # type: ignore[misc]
        value.__class__ = _Pair
        return value


class _Store(_Pairs, StaticStore):
    pass


class _Joined(_Pairs, JoinedStore):
    pass


class _Suite(StoreReadTestMixin):  # type: ignore[misc]
    @pytest.fixture(autouse=True)
    def _site(self, tmp_path: Path) -> Iterator[None]:
        write_site(tmp_path, VALUES, _describe)
        with ExitStack() as stack:
            self.folder = tmp_path
            root = self.serve(tmp_path, stack)
            self.store = stack.enter_context(_Store(root, poll_interval=0))
            yield

    def serve(self, site: Path, stack: ExitStack) -> str:
        """Return a URL at which the site is served until the stack ends."""
        raise AssertionError("each host says how")

    def test_to_file_large(self) -> None:
        """Do what the ancestor skips, for want of a way to write to its store."""
        large = b"test4" * 10_000_000
        write_site(self.folder, {"test3": large})
        self.store.update_index()
        self.store.to_file("test3", self.folder / "copy")
        assert (self.folder / "copy").read_bytes() == large


class TestOnFiles(_Suite, TestCase):
    def serve(self, site: Path, stack: ExitStack) -> str:
        return "file:" + urllib.request.pathname2url(str(site)) + "/"


class TestOnHttpServer(_Suite, TestCase):
    def serve(self, site: Path, stack: ExitStack) -> str:
        return stack.enter_context(PythonServer(site)).url


class TestOnNginx(_Suite, TestCase):
    def serve(self, site: Path, stack: ExitStack) -> str:
        require("nginx")
        return stack.enter_context(Nginx(site)).url


class _Views(StoreReadTestMixin):  # type: ignore[misc]
    """The suite as the ancestor runs it for its joined and its mounted store."""

    def stores(self, folder: Path, count: int) -> list[StaticStore]:
        """Return connected stores with the same values, those of a number in one of them."""
        parts: list[dict[str, bytes]] = [{} for _ in range(count)]
        for key, value in VALUES.items():
            number = 1 if key == "test1" else int(key.removeprefix("key"))
            parts[number % count][key] = value
        sites = [folder / str(number) for number in range(count)]
        for site, values in zip(sites, parts, strict=True):
            write_site(site, values, _describe)
        return [StaticStore(site, poll_interval=0) for site in sites]


class TestJoinedStore(_Views, TestCase):
    @pytest.fixture(autouse=True)
    def _site(self, tmp_path: Path) -> Iterator[None]:
        with _Joined(self.stores(tmp_path, 3)) as self.store:
            yield


class TestMountedStore(_Views, TestCase):
    """The ancestor's falls back to the store below the mount, as ours does when joined to it."""

    @pytest.fixture(autouse=True)
    def _site(self, tmp_path: Path) -> Iterator[None]:
        mounted, backing = self.stores(tmp_path, 2)
        with _Joined([MountedStore({"": mounted}), backing]) as self.store:
            yield


MountedSuite: Any = pytest.importorskip("encore.storage.tests.mounted_store_test").MountedStoreTest
READING = [name for name in dir(MountedSuite) if name.startswith("test_get")]


@pytest.mark.parametrize("name", READING)
def test_a_mounted_store_masks_as_the_ancestor_s(name: str, tmp_path: Path) -> None:
    def describe(key: str, value: bytes) -> dict[str, Any]:
        return {"metakey": value.decode().strip()}

    write_site(tmp_path / "mounted", {"test1": b"mounted\n"}, describe)
    backing = {"test/test1": b"backing\n", "test/test2": b"backing\n"}
    write_site(tmp_path / "backing", backing, describe)
    mounted, below = (
        StaticStore(tmp_path / name, poll_interval=0) for name in ("mounted", "backing")
    )
    suite = MountedSuite(name)
    with JoinedStore([MountedStore({"test/": mounted}), below]) as suite.store:
        getattr(suite, name)()
