"""The demonstration."""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from pathlib import Path

import pytest

from staticstore import publish
from staticstore.commands import demo
from staticstore.commands.exits import CommandError
from staticstore.commands.terminal import Output
from tests.commands.conftest import Run, copy_sample
from tests.commands.shell import finish, on_terminal, start


def test_it_shows_every_signal_and_ends_by_itself(cli: Run) -> None:
    began = time.monotonic()
    ended = cli("demo")
    assert ended.code == 0
    assert time.monotonic() - began < 15
    actions = [line.split("\t")[:2] for line in ended.lines if line.endswith(" later")]
    assert sorted(actions) == [
        ["delete", "water/lakes.geojson"],
        ["set", "visitors/hello.txt"],
        ["update", "measurements/weather-2025.csv"],
    ]


def test_it_shows_what_the_query_finds(cli: Run) -> None:
    lines = cli("demo").lines
    assert '>>> store.query(select=["title"], type="raster")' in lines
    assert "imagery/true-color.tif\tTrue color image of Ilvar" in lines


def test_it_ends_with_three_lines_on_what_to_do_next(cli: Run) -> None:
    tail = cli("demo").lines[-4:]
    assert tail[0] == "What to do next"
    assert "staticstore publish FOLDER" in tail[1]
    assert "staticstore serve FOLDER" in tail[2]
    assert "README.md" in tail[3]


def test_it_says_nothing_that_was_not_meant(cli: Run) -> None:
    assert not cli("demo").err


def test_it_is_json_lines_too(cli: Run) -> None:
    records = cli("demo", "--json").records
    signals = {record["signal"] for record in records if "signal" in record}
    assert signals == {"set", "update", "delete"}


def test_it_has_a_bar_and_a_table_on_a_terminal() -> None:
    code, shown = on_terminal("demo")
    assert code == 0
    assert "━" in shown
    assert "title" in shown


def test_it_leaves_nothing_behind(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    threads = threading.active_count()
    cli("demo")
    assert not list(tmp_path.iterdir())
    assert threading.active_count() == threads


def test_interrupted_it_leaves_nothing_behind(tmp_path: Path) -> None:
    process = start("demo", env={"TMPDIR": str(tmp_path)})
    assert process.stdout is not None
    while b"server = serve" not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGINT)
    ended = finish(process)
    assert ended.code == 130
    assert not ended.err
    assert not list(tmp_path.iterdir())


def test_it_fails_when_a_signal_does_not_come(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(demo, "_change", lambda site: None)
    ended = cli("demo")
    assert ended.code == 1
    assert "no signal within 0.2 s: delete of water/lakes.geojson, set of" in ended.errors


def test_it_works_on_a_sample_that_nobody_can_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = tmp_path / "sample_site"
    sample.mkdir()
    publish(copy_sample(sample))
    for path in [*sample.rglob("*"), sample]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    monkeypatch.setattr(demo, "_PACKAGE", tmp_path / "staticstore")
    try:
        with demo._sample_copy() as site:
            assert not (site / "index.json").exists()
            (site / "data" / "new.txt").touch()
            (site / "metadata.toml").write_text("")
    finally:
        for path in [sample, *sample.rglob("*")]:
            path.chmod(0o755)


def test_it_says_what_to_do_where_the_sample_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "_PACKAGE", tmp_path / "staticstore")
    with pytest.raises(CommandError, match="is missing"):
        demo.run_demo(Output())
