"""The benchmarks run, and report what they measured; speed is not tested here."""

from __future__ import annotations

import importlib
import json
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

import benchmarks
from benchmarks.array_sites import make_array_sites
from benchmarks.channel_sites import make_channels
from benchmarks.chart import chart
from benchmarks.copy_sites import make_copy_sites
from benchmarks.indexes import canonical, changed, entries
from benchmarks.line import line_to
from benchmarks.process import Meter, main
from benchmarks.record import Measurement, Record
from benchmarks.report import as_markdown
from benchmarks.sites import CHANGES, LiveSite, make_states
from benchmarks.subjects import MODULES, Place, Subject, Target
from benchmarks.value_sites import make_value_sites
from staticstore import Index, StaticStore, serve

COUNT = 200
# Subjects that need no other package than the tests do.
CONTENDERS = {
    "connect": ("ours", "ours, other form", "ours, lazy", "encore"),
    "connect-again": ("ours, lazy", "encore"),
    "nothing": ("ours", "encore"),
    "changes": ("ours", "encore"),
    "blocks": ("ours",),
    "whole": ("ours", "ours, other form", "encore"),
    "waits": ("connect", "poll: blocks", "first query"),
    "first query": ("ours", "encore"),
    "to_arrow": ("ours", "pyarrow.json.read_json of the same lines"),
    "query unique": ("ours", "ours, 10 changes later", "encore", "sqlite3"),
    "query of a view": ("ours", "sqlite3"),
    "signals": ("ours", "ours, no handler", "blinker"),
    "parsing": ("ours, by a head", "ours, all checked", "json", "msgspec"),
    "imports": ("staticstore",),
    "stream": ("ours", "ours, iterdata", "raw socket", "requests", "urllib3", "encore"),
    "verified": ("ours", "ours, iterdata", "raw socket, sha256 of each piece"),
    "file": ("ours, verified and synced", "ours, verified", "requests", "encore"),
    "sequential": ("ours", "ours, plain stream"),
    "many": (
        "ours, packed",
        "ours, with `fast`",
        "ours",
        "requests, 16 threads",
        "urllib3, 16 threads",
        "http.client, 4 threads",
        "encore",
    ),
    "many-far": ("ours, packed", "ours", "requests, 16 threads"),
    "async-slow": ("ours, whose answer takes 3 s", "ours, whose answer is prompt"),
    "chunks-slow": ("ours, with `fast`", "ours"),
    "few-far": ("ours, with `fast`", "ours"),
    "calls-tls": ("ours, with `fast`", "ours"),
    "ranges": ("ours, with `fast`", "ours", "http.client, 4 threads"),
    "compressed-near": ("read, compressed", "read_many, plain", "4 MiB of it, compressed"),
    "column": ("ours",),
    "zarr-10": ("ours", "FsspecStore, http"),
    "zarr-sharded": ("ours, with `fast`",),
    "conda": ("ours", "json.loads", "ours, connected", "requests, json.loads"),
    "conda-large": ("ours", "json.loads"),
    "conda-waits": ("ours",),
    "mirror": ("ours, packed", "ours, with `fast`", "ours"),
    "mirror-large": ("ours",),
    "mirror-again": ("ours",),
    "publish-again": ("ours", "find -printf '%s %T@'"),
    "publish-changed": (
        "ours",
        "ours, told which one",
        "ours, with all exports",
        "ours, by --watch, from the end of the rest",
        "ours, metadata from a CSV file of a row each",
        "ours, metadata from a mapping of a key each",
        "find -printf '%s %T@'",
    ),
    "publish-million": ("ours", "find -printf '%s %T@'"),
    "publish-small": ("ours", "sha256sum, a process for each core"),
    "publish-large": ("ours", "sha256sum, a process for each core"),
    "stac": ("ours", "ours, connected on loopback", "json.loads"),
    "trust-polls": ("ours, with trust", "ours, without", "what trust adds"),
    "trust-changes": ("ours, with trust", "ours, without", "what trust adds"),
    "trust-publishes": (
        "ours, signed",
        "ours, not signed",
        "what signing adds",
        "the command, signed",
        "the command, not signed",
    ),
}


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("states")
    make_states(folder, entries(COUNT))
    sizes = {"rows": 1000, "chunk": 2000, "features": 6_000_000}
    make_value_sites(folder, large=3 << 20, ranged=1 << 20, small=20, **sizes)
    make_copy_sites(folder, large=3 << 20, small=20, many=30)
    make_array_sites(folder, small=20, large=1, shards=1)
    make_channels(folder, COUNT)
    return folder


@pytest.fixture
def live(states: Path) -> Iterator[LiveSite]:
    with serve(states, port=0) as server:
        site = LiveSite(states, server.url)
        yield site
        site.remove()


def subjects() -> dict[str, Subject]:
    modules = [importlib.import_module(f"benchmarks.subjects.{name}") for name in MODULES]
    return {subject.name: subject for module in modules for subject in module.SUBJECTS}


def test_an_index_is_the_same_at_each_run() -> None:
    assert entries(COUNT) == entries(COUNT)


def test_an_index_is_written_as_publish_writes_it() -> None:
    index = entries(COUNT)
    assert canonical(index) == Index.from_entries(index).canonical()


def test_the_given_number_of_entries_changes() -> None:
    index = entries(COUNT)
    after = changed(index, CHANGES)
    assert sum(index[key] != after[key] for key in index) == CHANGES


@pytest.mark.parametrize("state", ["ten", "blocks", "whole"])
def test_a_live_site_changes_from_one_state_to_another(live: LiveSite, state: str) -> None:
    live.show("first")
    with StaticStore(live.url, poll_interval=0) as store:
        live.show(state)
        assert len(store.update_index()) == CHANGES


@pytest.mark.parametrize(
    ("subject", "contender"), [(name, one) for name, some in CONTENDERS.items() for one in some]
)
def test_each_contender_measures_something(live: LiveSite, subject: str, contender: str) -> None:
    figures = subjects()[subject].contenders[contender](Place(live, COUNT, Meter()))
    assert isinstance(figures["seconds"], float)


def report(subject: Subject, runs: dict[str, list[dict[str, float]]]) -> str:
    measurements = {subject.name: Measurement.of("2026-02-03", runs, subject.targets)}
    return as_markdown(Record(7, 1, {"2026-02-03": ["a machine"]}, measurements), [subject])


def test_the_report_says_which_targets_were_reached() -> None:
    subject = Subject(
        "a", "to do it", {}, (Target("ours", "seconds", 5, "peer"), Target("ours", "wire", 2e3))
    )
    ours, peer = {"seconds": 0.001, "wire": 3000.0}, {"seconds": 0.01, "wire": 9.0}
    text = report(subject, {"ours": [ours] * 3, "peer": [peer]})
    assert "| to do it: ours | 5 x against peer | 10.0 x | yes |" in text
    assert "| to do it: ours | ≤ 2 kB | 3 kB | no |" in text


def test_ours_is_compared_with_the_best_of_the_peers_that_ran() -> None:
    subject = Subject("a", "to do it", {}, (Target("ours", "seconds", 1.5, ("b", "c", "d")),))
    found = {name: [{"seconds": time}] for name, time in (("ours", 2.0), ("b", 8.0), ("c", 6.0))}
    text = report(subject, found)
    assert "| to do it: ours | 1.5 x against c, the best of 2 | 3.00 x | yes |" in text


@pytest.mark.parametrize(
    ("times", "reached"),
    [
        ([1.02, 0.99, 1.03, 1.01], "0.99 x, p = 0.34 | yes"),
        ([1.12, 1.09, 1.13, 1.11], "0.90 x, p = 0.014 | no"),
    ],
)
def test_what_is_no_slower_may_be_slower_by_chance(times: list[float], reached: str) -> None:
    target = Target("ours", "seconds", 1, "peer", is_significant=True)
    runs = {"ours": times, "peer": [1.0, 1.04, 0.98, 1.005]}
    found = {name: [{"seconds": one} for one in some] for name, some in runs.items()}
    text = report(Subject("a", "to do it", {}, (target,)), found)
    assert f"| to do it: ours | 1 x against peer, p < 0.05 | {reached} |" in text


def test_a_target_whose_peers_did_not_run_is_left_out() -> None:
    subject = Subject("a", "to do it", {}, (Target("ours", "seconds", 1.5, ("b", "c")),))
    text = report(subject, {"ours": [{"seconds": 2.0}]})
    assert "against" not in text.partition("## Figures")[0].partition("## Targets")[2]


def test_the_report_says_on_which_machine_and_day_a_subject_was_measured() -> None:
    text = report(Subject("a", "to do it", {}), {"ours": [{"seconds": 2.0}]})
    assert "2026-02-03:\n\n- a machine\n" in text
    assert "| to do it | ours | 2 s |  |  |  |  | 2026-02-03 |" in text


def test_later_measurements_replace_those_of_the_same_subjects(tmp_path: Path) -> None:
    first, later = (
        Record(7, 1, {day: [day]}, {name: Measurement(day, {}) for name in names})
        for day, names in (("2026-02-03", "ab"), ("2026-02-04", "bc"))
    )
    first.write(tmp_path / "record.json")
    kept = Record.read(tmp_path / "record.json").updated_by(later)
    days = {name: one.day[-1] for name, one in kept.measurements.items()}
    assert days == {"a": "3", "b": "4", "c": "4"}
    assert list(kept.machines) == ["2026-02-03", "2026-02-04"]
    assert list(kept.updated_by(first).machines) == ["2026-02-03", "2026-02-04"]


def test_measurements_of_another_size_are_not_mixed() -> None:
    with pytest.raises(ValueError, match="--entries 7 --value 1"):
        Record(7, 1, {}, {}).updated_by(Record(8, 1, {}, {}))


def test_the_report_is_written_from_the_record() -> None:
    folder = Path(benchmarks.__file__).parent
    text = as_markdown(Record.read(folder / "results.json"), list(subjects().values()))
    assert text == (folder / "RESULTS.md").read_text("utf-8")


def test_every_target_names_existing_contenders() -> None:
    for subject in subjects().values():
        for target in subject.targets:
            peers = (target.peer,) if isinstance(target.peer, str) else target.peer or ()
            assert {target.contender, *peers} <= set(subject.contenders)


def test_a_contender_that_cannot_run_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "small").mkdir()
    run = ["many", "many", "encore", str(tmp_path), "http://127.0.0.1:9/", "7"]
    monkeypatch.setattr("sys.argv", ["process", *run])
    main()
    assert json.loads(capsys.readouterr().out) == "does not run here: there is no site 'values'"


def test_the_relay_counts_the_bytes_of_values(live: LiveSite) -> None:
    live.show("values")
    with line_to(live.url) as (url, fetched):
        for path in ("small/00000.bin", "small/00001.bin"):
            with urllib.request.urlopen(f"{url}data/{path}") as answer:
                answer.read()
        assert fetched() == 2 * 1024


def test_the_chart_is_a_picture() -> None:
    root = ET.fromstring(chart("Times faster", [("a < b", 1000.0), ("c", 2.0)]))
    assert "a < b" in [element.text for element in root.iter()]
