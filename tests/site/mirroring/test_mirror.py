"""Copies of sites, served by a real nginx: whole and in part, first and again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from staticstore import StaticStore, mirror, publish, verify_site
from staticstore.errors import NotConnectedError
from staticstore.index.blocks import BlockRoot
from staticstore.index.head import Head
from staticstore.transport.values.download import part_of
from tests.servers import Nginx
from tests.sites import write_site

from ..sitefolder import fill, index_of, make_site, tree

FILES = {
    "a.csv": b"x\n1\n",
    "empty": b"",
    "maps/ilvar übersicht 100%.txt": b"ilvar",
    "maps/large.bin": bytes(range(256)) * 6000,
    "maps/small.bin": b"small",
}
SIZE = sum(map(len, FILES.values()))

Connect = Callable[..., StaticStore]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = make_site(tmp_path / "site", FILES)
    publish(folder, metadata={"maps/*": {"type": "map"}})
    return folder


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy"


@pytest.fixture
def web(site: Path) -> Iterator[Nginx]:
    with Nginx(site) as nginx:
        yield nginx


@pytest.fixture
def connect(web: Nginx, stack: ExitStack) -> Connect:
    def connect() -> StaticStore:
        return stack.enter_context(StaticStore(web.url, poll_interval=0))

    return connect


def contents(root: Path) -> dict[str, bytes]:
    """Return the bytes of all files that a reader may see, but for what old heads named."""
    old = set()
    if (root / "index.head.json").exists():
        head = Head.parse((root / "index.head.json").read_bytes())
        assert head.blocks is not None
        lines = BlockRoot.parse((root / head.blocks.href).read_bytes()).lines
        named = {head.index.href, head.blocks.href, lines.href}
        named |= {span.document.href for span in head.change_files}
        old = {f"{path.parent.name}/{path.name}" for path in root.glob("[ibc]*/*.json*")} - named
    return {
        name: body
        for name, (body, _) in tree(root).items()
        if not name.startswith(".staticstore") and name not in old
    }


def republish(site: Path, **files: bytes) -> None:
    fill(site / "data", {name.replace("_", "."): value for name, value in files.items()})
    publish(site, metadata={"maps/*": {"type": "map"}})


# The whole


def test_a_whole_mirror_has_every_file_of_the_site(
    connect: Connect, site: Path, copy: Path
) -> None:
    mirror(connect(), copy)
    assert contents(copy) == contents(site)


def test_a_mirror_of_a_packed_site_has_the_packs_too(
    connect: Connect, site: Path, copy: Path
) -> None:
    publish(site, metadata={"maps/*": {"type": "map"}}, pack=True)
    mirror(connect(), copy)
    assert contents(copy) == contents(site)
    assert list(copy.glob("packs/*.zip"))


def test_values_in_packs_are_not_requested_one_by_one(
    connect: Connect, site: Path, copy: Path, web: Nginx
) -> None:
    publish(site, metadata={"maps/*": {"type": "map"}}, pack=True)
    mirror(connect(), copy)
    asked = [request.target for request in web.requests() if "/data/" in request.target]
    assert sorted(asked) == ["/data/empty", "/data/maps/large.bin"]


def test_a_pack_that_is_gone_costs_only_requests(connect: Connect, site: Path, copy: Path) -> None:
    publish(site, pack=True)
    store = connect()
    for pack in site.glob("packs/*.zip"):
        pack.unlink()
    assert not mirror(store, copy).failed
    assert contents(copy) == contents(site)


def test_a_pack_that_is_damaged_costs_only_requests(
    connect: Connect, site: Path, copy: Path
) -> None:
    publish(site, pack=True)
    for pack in site.glob("packs/*.zip"):
        pack.write_bytes(pack.read_bytes().replace(b"ilvar", b"other"))
    assert not mirror(connect(), copy).failed
    assert (copy / "data" / "maps" / "small.bin").read_bytes() == b"small"
    assert not list(copy.glob("packs/*.zip"))


def test_verify_replaces_a_damaged_pack_of_the_copy(
    connect: Connect, site: Path, copy: Path
) -> None:
    publish(site, pack=True)
    mirror(connect(), copy)
    for pack in copy.glob("packs/*.zip"):
        body = pack.read_bytes().replace(b"ilvar", b"other")
        pack.unlink()
        pack.write_bytes(body)
    mirror(connect(), copy, verify=True)
    assert contents(copy) == contents(site)


def test_the_report_counts_what_came(connect: Connect, copy: Path) -> None:
    report = mirror(connect(), copy)
    assert (report.fetched, report.kept, report.deleted, report.failed) == (5, 0, 0, [])
    assert (report.bytes, report.generation, report.newer) == (SIZE, 1, False)
    assert report.seconds > 0


@pytest.mark.parametrize("pack", [False, True], ids=["plain", "pack"])
def test_a_limited_mirror_takes_as_long_as_its_rate_says_and_fails_for_nothing(
    web: Nginx, site: Path, copy: Path, pack: bool
) -> None:
    publish(site, metadata={"maps/*": {"type": "map"}}, pack=pack)
    with StaticStore(web.url, poll_interval=0).connect(timeout=0.2, min_rate=1e9) as store:
        report = mirror(store, copy, limit_rate=4 * SIZE)
    assert not report.failed
    assert report.seconds > 0.2
    assert contents(copy) == contents(site)


@pytest.mark.parametrize("rate", [0, 1023, -1, float("nan"), float("inf"), "2M", True])
def test_a_rate_that_is_none_is_refused(connect: Connect, copy: Path, rate: Any) -> None:
    with pytest.raises(ValueError, match="limit_rate must be a number, 1024 or more"):
        mirror(connect(), copy, limit_rate=rate)


def test_large_values_tell_how_far_they_are_and_when_they_have_ended(
    connect: Connect, site: Path, copy: Path
) -> None:
    fill(site / "data", {"gone.bin": b"gone" * 500_000})
    publish(site)
    (site / "data" / "gone.bin").unlink()
    told: dict[str, list[tuple[int | None, int | None]]] = {}

    def note(key: str, done: int | None, total: int | None) -> None:
        told.setdefault(key, []).append((done, total))

    mirror(connect(), copy, value_progress=note)
    size = len(FILES["maps/large.bin"])
    assert told["maps/large.bin"][-2:] == [(size, size), (None, None)]
    assert told["gone.bin"] == [(None, None)]
    assert told.keys() == {"maps/large.bin", "gone.bin"}


def test_a_mirror_is_a_site_that_verifies(connect: Connect, copy: Path) -> None:
    mirror(connect(), copy)
    report = verify_site(copy)
    assert (report.wrong, report.extra, report.checked) == ([], [], 5)


def test_a_mirror_of_a_mirror_is_the_same(connect: Connect, copy: Path, tmp_path: Path) -> None:
    mirror(connect(), copy)
    with StaticStore(copy, poll_interval=0) as store:
        mirror(store, tmp_path / "second")
    assert contents(tmp_path / "second") == contents(copy)


def test_publishing_a_mirror_changes_nothing(connect: Connect, site: Path, copy: Path) -> None:
    mirror(connect(), copy)
    report = publish(copy, metadata={"maps/*": {"type": "map"}})
    assert (report.set, report.updated, report.deleted) == ([], [], [])
    assert contents(copy) == contents(site)


def test_a_site_without_a_head_is_copied_byte_for_byte(tmp_path: Path, copy: Path) -> None:
    write_site(tmp_path / "plain", FILES)
    with Nginx(tmp_path / "plain") as web, StaticStore(web.url, poll_interval=0) as store:
        assert not mirror(store, copy).failed
    assert (copy / "index.json").read_bytes() == (tmp_path / "plain" / "index.json").read_bytes()
    assert not (copy / "index.head.json").exists()


def test_an_index_whose_bytes_are_gone_is_written_anew(tmp_path: Path, copy: Path) -> None:
    site = tmp_path / "plain"
    write_site(site, {"a": b"1", "b": b"2"})
    index = site / "index.json"
    index.write_text(json.dumps(json.loads(index.read_bytes()), indent=2))
    with StaticStore(site, poll_interval=0) as store:
        index.unlink()
        assert mirror(store, copy).failed == []
    assert index_of(copy).keys() == {"a", "b"}
    assert verify_site(copy).wrong == []


def test_values_of_which_the_index_says_nothing_are_fetched_each_time(
    tmp_path: Path, copy: Path
) -> None:
    write_site(tmp_path / "plain", FILES, lambda key, value: {})
    with StaticStore(tmp_path / "plain", poll_interval=0) as store:
        assert mirror(store, copy).fetched == 5
        assert mirror(store, copy).fetched == 5
    assert (copy / "data" / "a.csv").read_bytes() == FILES["a.csv"]


def test_a_field_of_the_head_that_nobody_knows_is_carried(
    connect: Connect, site: Path, copy: Path
) -> None:
    head = json.loads((site / "index.head.json").read_bytes())
    (site / "index.head.json").write_text(json.dumps({**head, "signatures": ["…"]}))
    mirror(connect(), copy)
    assert (copy / "index.head.json").read_bytes() == (site / "index.head.json").read_bytes()


def test_a_lazy_store_is_mirrored_whole(web: Nginx, site: Path, copy: Path) -> None:
    with StaticStore(web.url, poll_interval=0, lazy=True) as store:
        mirror(store, copy)
    assert contents(copy) == contents(site)


def test_values_have_the_times_of_the_index(connect: Connect, site: Path, copy: Path) -> None:
    mirror(connect(), copy)
    for key in FILES:
        assert (copy / "data" / key).stat().st_mtime == (site / "data" / key).stat().st_mtime


# Again


def test_a_second_run_makes_two_requests_and_writes_nothing(
    connect: Connect, copy: Path, web: Nginx
) -> None:
    mirror(connect(), copy)
    before, asked = tree(copy), len(web.requests())
    report = mirror(connect(), copy)
    assert (report.fetched, report.kept) == (0, 5)
    assert tree(copy) == before
    assert len(web.requests()) - asked == 2  # head and index


def test_what_changed_is_fetched_and_nothing_else(
    connect: Connect, site: Path, copy: Path, web: Nginx
) -> None:
    mirror(connect(), copy)
    asked = len(web.requests())
    republish(site, a_csv=b"x\n22\n", new_csv=b"new")
    report = mirror(connect(), copy)
    assert (report.fetched, report.kept) == (2, 4)
    paths = [one.target for one in web.requests()[asked:]]
    assert sorted(path for path in paths if "/data/" in path) == ["/data/a.csv", "/data/new.csv"]
    assert contents(copy) == contents(site)


def test_what_somebody_changed_in_the_copy_is_fetched_again(connect: Connect, copy: Path) -> None:
    mirror(connect(), copy)
    (copy / "data" / "a.csv").write_bytes(b"x\n9\n")
    assert mirror(connect(), copy).fetched == 1
    assert (copy / "data" / "a.csv").read_bytes() == FILES["a.csv"]


def test_verify_finds_what_was_changed_in_secret(connect: Connect, copy: Path) -> None:
    mirror(connect(), copy)
    path = copy / "data" / "a.csv"
    before = path.stat()
    path.write_bytes(b"x\n9\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert mirror(connect(), copy).fetched == 0
    assert mirror(connect(), copy, verify=True).fetched == 1
    assert path.read_bytes() == FILES["a.csv"]


def test_what_was_copied_by_other_means_is_kept(connect: Connect, copy: Path) -> None:
    fill(copy / "data", FILES)
    assert mirror(connect(), copy).kept == 5


def test_a_large_value_is_taken_up_where_it_broke_off(
    connect: Connect, copy: Path, web: Nginx
) -> None:
    store = connect()
    (copy / ".staticstore" / "incoming").mkdir(parents=True)
    key = "maps/large.bin"
    (waiting,) = _incoming(store, copy, key)
    part = part_of(waiting)
    part.write_bytes(FILES[key][:1_000_000])
    note = {"sha256": store[key].sha256, "url": store[key].url, "etag": None}
    part.with_name(f"{part.name}.json").write_text(json.dumps(note))
    assert not mirror(store, copy).failed
    (sent,) = [one.sent for one in web.requests() if one.target == "/data/maps/large.bin"]
    assert sent < len(FILES[key]) - 900_000


def _incoming(store: StaticStore, copy: Path, key: str) -> list[Path]:
    from staticstore.site.folder.site_folder import SiteFolder
    from staticstore.site.mirroring.staging import Staging

    with Staging(SiteFolder(copy), set()) as arrivals:
        return [arrivals.path_for(key, store[key].sha256)]


def test_the_head_that_is_replaced_leaves_its_files_for_a_day(
    connect: Connect, site: Path, copy: Path
) -> None:
    mirror(connect(), copy)
    old = Head.parse((copy / "index.head.json").read_bytes())
    republish(site, a_csv=b"x\n22\n")
    mirror(connect(), copy)
    assert Head.parse((copy / "index.head.json").read_bytes()).generation == 2
    assert (copy / old.index.href).exists()


def test_f9_a_run_is_of_one_snapshot_and_tells_of_a_newer_one(
    connect: Connect, site: Path, copy: Path
) -> None:
    store = connect()
    old = (site / "index.json").read_bytes()
    republish(site, new_csv=b"new")
    assert mirror(store, copy).newer
    assert (copy / "index.json").read_bytes() == old
    assert not (copy / "data" / "new.csv").exists()
    report = mirror(store, copy)
    assert (report.fetched, report.newer) == (1, False)


# Parts


def test_a_part_is_what_the_conditions_and_patterns_say(connect: Connect, copy: Path) -> None:
    mirror(connect(), copy, globs=["*.bin"], type="map")
    assert sorted(index_of(copy)) == ["maps/large.bin", "maps/small.bin"]
    assert not (copy / "data" / "a.csv").exists()
    assert verify_site(copy).wrong == []


def test_conditions_of_one_field_must_both_hold(connect: Connect, copy: Path) -> None:
    mirror(connect(), copy, where={"size": lambda size: size > 4}, size=lambda size: size < 1000)
    assert sorted(index_of(copy)) == ["maps/ilvar übersicht 100%.txt", "maps/small.bin"]


def test_one_of_several_patterns_is_enough(connect: Connect, copy: Path) -> None:
    mirror(connect(), copy, globs=["*.csv", "empty"])
    assert sorted(index_of(copy)) == ["a.csv", "empty"]


def test_a_part_has_a_lineage_of_its_own(connect: Connect, site: Path, copy: Path) -> None:
    mirror(connect(), copy)
    whole = Head.parse((copy / "index.head.json").read_bytes())
    mirror(connect(), copy, type="map", force={"part"})
    part = Head.parse((copy / "index.head.json").read_bytes())
    assert part.lineage != whole.lineage
    republish(site, **{"maps/other": b"other"})
    mirror(connect(), copy, type="map")
    following = Head.parse((copy / "index.head.json").read_bytes())
    assert (following.lineage, following.generation) == (part.lineage, part.generation + 1)


def test_a_part_names_no_packs(connect: Connect, site: Path, copy: Path) -> None:
    publish(site, pack=True)
    mirror(connect(), copy, globs="*.csv")
    assert not {"packed"} & index_of(copy)["a.csv"].keys()
    assert not (copy / "packs").exists()


def test_a_part_that_becomes_the_whole_has_the_head_of_the_site(
    connect: Connect, site: Path, copy: Path
) -> None:
    mirror(connect(), copy, type="map")
    mirror(connect(), copy)
    assert (copy / "index.head.json").read_bytes() == (site / "index.head.json").read_bytes()


# Arguments


@pytest.mark.parametrize("workers", [0, -1, 1.5, True])
def test_a_number_of_workers_that_is_none_is_refused(
    connect: Connect, copy: Path, workers: int
) -> None:
    with pytest.raises(ValueError, match="workers"):
        mirror(connect(), copy, workers=workers)


def test_a_store_that_is_not_connected_cannot_be_mirrored(site: Path, copy: Path) -> None:
    with pytest.raises(NotConnectedError):
        mirror(StaticStore(site), copy)
    assert not copy.exists()


def test_progress_rises_to_the_bytes_that_come(connect: Connect, copy: Path) -> None:
    told: list[tuple[int, int]] = []
    mirror(connect(), copy, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (SIZE, SIZE)
