"""The command ``mirror``: what it copies, what it prints, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from staticstore import publish, serve, verify_site
from staticstore.site.mirror import MirrorReport
from tests.commands.conftest import Run
from tests.commands.shell import finish, start
from tests.servers import Nginx
from tests.site.sitefolder import fill, index_of, make_site
from tests.sites import write_site

NOTHING_DONE = MirrorReport(0, 0, 0, [], 0, 0.0, None, False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy"


def test_mirror_says_what_it_did(cli: Run, url: str, copy: Path) -> None:
    ended = cli("mirror", url, copy)
    assert ended.code == 0
    assert ended.text.startswith("16 fetched, 0 kept, 0 deleted, 0 failed: 581.7 kB in ")
    assert cli("mirror", url, copy).text.startswith("0 fetched, 16 kept, ")
    assert verify_site(copy).wrong == []


def test_mirror_as_json_has_the_report(cli: Run, url: str, copy: Path) -> None:
    (copy / "data" / "stations" / "stations.csv").mkdir(parents=True)
    ended = cli("mirror", url, copy, "--json")
    (record,) = ended.records
    assert record.pop("seconds") > 0
    assert record.pop("bytes") > 500_000
    reason = "a folder is in its place"
    assert record == {
        "fetched": 15,
        "kept": 0,
        "deleted": 0,
        "failed": [{"key": "stations/stations.csv", "reason": reason}],
        "generation": 1,
        "newer": False,
        "skipped": [],
        "older": 0,
        "verified_by": {"sha256": 15},
    }


def test_what_failed_is_named_and_the_exit_code_says_partly(cli: Run, url: str, copy: Path) -> None:
    (copy / "data" / "stations" / "stations.csv").mkdir(parents=True)
    ended = cli("mirror", url, copy)
    assert ended.code == 8
    assert ended.lines[0] == "failed\tstations/stations.csv\ta folder is in its place"
    assert "1 value could not be copied" in ended.errors


def test_patterns_and_where_say_what_is_copied(cli: Run, url: str, copy: Path) -> None:
    assert cli("mirror", url, copy, "*dem.tif", "*.csv", "--where", "type=raster").code == 0
    assert list(index_of(copy)) == ["terrain/dem.tif"]


def test_where_may_be_given_more_than_once(cli: Run, url: str, copy: Path) -> None:
    assert cli("mirror", url, copy, "--where", "type=raster", "--where", "bands=3").code == 0
    assert list(index_of(copy)) == ["imagery/true-color.tif"]


def test_a_mirror_takes_conditions_with_all_operators(cli: Run, url: str, copy: Path) -> None:
    arguments = ["--where", "size>=20000", "--where", "size<40000", "--where", "title~color"]
    assert cli("mirror", url, copy, *arguments).code == 0
    assert list(index_of(copy)) == ["imagery/true-color.tif"]


def test_select_of_a_mirror_says_which_option_is_meant(cli: Run, url: str, copy: Path) -> None:
    ended = cli("mirror", url, copy, "--select", "type=raster")
    assert ended.code == 2
    assert "for a condition, use --where" in ended.errors
    assert not copy.exists()


def test_f13_a_part_over_a_whole_copy_wants_force(cli: Run, url: str, copy: Path) -> None:
    cli("mirror", url, copy)
    ended = cli("mirror", url, copy, "--where", "bands=3", "--delete")
    assert ended.code == 1
    assert "1 of 16 entries would be left" in ended.errors
    assert "--force=part" in ended.errors
    assert len(index_of(copy)) == 16
    ended = cli("mirror", url, copy, "--where", "bands=3", "--delete", "--force=part")
    assert "15 deleted" in ended.text


@pytest.mark.parametrize(
    ("text", "rate"), [("1024", 1024), ("500k", 512000), ("2M", 2 << 20), ("1.5G", 3 << 29)]
)
def test_a_rate_has_suffixes_as_of_curl_and_wget(
    cli: Run, url: str, copy: Path, monkeypatch: pytest.MonkeyPatch, text: str, rate: float
) -> None:
    asked: list[object] = []

    def record_rate(store: object, folder: object, **options: object) -> MirrorReport:
        asked.append(options["limit_rate"])
        return NOTHING_DONE

    monkeypatch.setattr("staticstore.site.mirror.mirror", record_rate)
    assert cli("mirror", url, copy, "--limit-rate", text).code == 0
    assert asked == [rate]


@pytest.mark.parametrize("text", ["fast", "2 MB", "-1", "0", "1023", "1e6", "nan", "2MM", ""])
def test_a_rate_that_is_none_is_a_mistake(cli: Run, url: str, copy: Path, text: str) -> None:
    ended = cli("mirror", url, copy, "--limit-rate", text)
    assert ended.code == 2
    assert "--limit-rate" in ended.errors
    assert not copy.exists()


def test_a_bare_force_takes_no_argument_away(cli: Run, url: str, copy: Path) -> None:
    assert cli("mirror", "--force", url, copy).code == 0
    assert len(index_of(copy)) == 16


@pytest.mark.parametrize("option", ["--force=everything", "--force=", "--force=part,shrunk"])
def test_a_guard_that_there_is_not_is_a_mistake(
    cli: Run, url: str, copy: Path, option: str
) -> None:
    ended = cli("mirror", option, url, copy)
    assert ended.code == 2
    assert "shrink, part, folder, lineage" in ended.errors
    assert not copy.exists()


def test_f13_a_pattern_that_matches_nothing_makes_no_copy(cli: Run, url: str, copy: Path) -> None:
    ended = cli("mirror", url, copy, "*.none")
    assert ended.code == 3
    assert "none of the 16 keys of the site matches" in ended.errors
    assert not (copy / "index.json").exists()


def test_f13_a_pattern_that_matches_nothing_leaves_a_copy_as_it_is(
    cli: Run, url: str, copy: Path
) -> None:
    cli("mirror", url, copy, "*.tif")
    before = list(index_of(copy))
    ended = cli("mirror", url, copy, "*.none", "*.other")
    assert ended.code == 3
    assert "none of the 16 keys of the site matches '*.none', '*.other'" in ended.errors
    assert list(index_of(copy)) == before


def test_f13_a_pattern_of_an_empty_site_makes_no_copy(cli: Run, tmp_path: Path, copy: Path) -> None:
    publish(make_site(tmp_path / "empty", {}))
    ended = cli("mirror", tmp_path / "empty", copy, "*")
    assert ended.code == 3
    assert "none of the 0 keys of the site matches '*'" in ended.errors
    assert not copy.exists()


def test_f13_of_several_patterns_that_which_matches_nothing_is_named(
    cli: Run, url: str, copy: Path
) -> None:
    ended = cli("mirror", url, copy, "*dem.tif", "*.none")
    assert ended.code == 0
    assert "no key of the site matches '*.none'" in ended.errors
    assert "dem.tif" not in ended.errors


def test_f13_a_folder_that_is_no_mirror_is_refused(cli: Run, url: str, copy: Path) -> None:
    fill(copy / "data", {"mine.csv": b"mine"})
    ended = cli("mirror", url, copy)
    assert ended.code == 1
    assert "'data/mine.csv'" in ended.errors
    assert "--force=folder" in ended.errors
    assert cli("mirror", url, copy, "--force=folder").code == 0


def test_a_copy_that_cannot_be_written_is_an_error(cli: Run, url: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = cli("mirror", url, tmp_path / "file" / "copy")
    assert ended.code == 1
    assert "cannot be written: Not a directory" in ended.errors


def test_watch_copies_what_changes_and_nothing_else(tmp_path: Path, copy: Path) -> None:
    site = make_site(tmp_path / "site", {"a.txt": b"1", "b.txt": b"2"})
    publish(site)
    with serve(site, port=0) as server:
        process = start("mirror", server.url, str(copy), "--watch", "--interval", "0.05", "--json")
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["fetched"] == 2
        fill(site / "data", {"b.txt": b"22"})
        publish(site)
        record = json.loads(process.stdout.readline())
        assert (record["fetched"], record["kept"], record["generation"]) == (1, 1, 2)
        assert (copy / "index.head.json").read_bytes() == (site / "index.head.json").read_bytes()
        process.terminate()
        finish(process)


def test_watch_tries_again_what_failed(tmp_path: Path, copy: Path) -> None:
    site = make_site(tmp_path / "site", {"a.txt": b"1", "b.txt": b"2"})
    publish(site)
    (site / "data" / "b.txt").rename(site / "b.txt")
    with serve(site, port=0) as server:
        process = start("mirror", server.url, str(copy), "--watch", "--interval", "0.05", "--json")
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["failed"]
        (site / "b.txt").rename(site / "data" / "b.txt")
        while json.loads(process.stdout.readline())["failed"]:
            pass
        process.terminate()
        finish(process)
    assert (copy / "index.head.json").read_bytes() == (site / "index.head.json").read_bytes()


class Outage:
    """An origin that fails and recovers."""

    def __init__(self, site: Path) -> None:
        self.site = site
        # While there is a file `down`, every request fails.
        self.web = Nginx(site, extra="if (-f $document_root/down) { return 503; }")
        self._saved: dict[Path, bytes] = {}

    def begin(self, kind: str) -> None:
        if kind == "stopped":
            self.web.stop()
        elif kind == "503":
            (self.site / "down").touch()
        elif kind == "bad index":
            for path in (self.site / "index.json", self.site / "index.head.json"):
                self._saved[path] = path.read_bytes()
                path.write_text("<html>")
        else:
            for path in (self.site / "data").iterdir():
                path.unlink()
            publish(self.site, force=True)

    def end(self, kind: str) -> None:
        for path, body in self._saved.items():
            path.write_bytes(body)
        fill(self.site / "data", {"a.txt": b"1", "b.txt": b"22"})
        publish(self.site)
        (self.site / "down").unlink(missing_ok=True)
        if kind == "stopped":
            self.web.start()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("stopped", "refused"),
        ("503", "503"),
        ("bad index", "<html>"),
        ("nothing left", "would leave 0 of 2 entries"),
    ],
)
def test_watch_says_that_the_site_is_down_and_catches_up_when_it_is_back(
    tmp_path: Path, copy: Path, kind: str, said: str
) -> None:
    site = make_site(tmp_path / "site", {"a.txt": b"1", "b.txt": b"2"})
    publish(site)
    outage = Outage(site)
    with outage.web:
        options = ("--delete", "--watch", "--interval", "0.05", "--json")
        process = start("mirror", outage.web.url, str(copy), *options)
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["fetched"] == 2
        outage.begin(kind)
        warning = json.loads(process.stderr.readline())["warning"]["message"]
        assert said in warning
        assert verify_site(copy).checked == 2
        outage.end(kind)
        assert json.loads(process.stdout.readline())["fetched"] == 1
        assert (copy / "index.head.json").read_bytes() == (site / "index.head.json").read_bytes()
        process.terminate()
        finish(process)


def test_f13_watch_says_once_what_is_refused_and_goes_on_when_it_is_mended(
    tmp_path: Path, copy: Path
) -> None:
    site = make_site(tmp_path / "site", {"a.txt": b"1"})
    publish(site)
    fill(copy / "data", {"mine.txt": b"mine"})
    with serve(site, port=0) as server:
        process = start("mirror", server.url, str(copy), "--watch", "--interval", "0.05", "--json")
        assert process.stdout is not None
        assert process.stderr is not None
        assert "mine.txt" in json.loads(process.stderr.readline())["warning"]["message"]
        fill(site / "data", {"b.txt": b"2"})
        publish(site)  # refused as well, and not reported again
        (copy / "data" / "mine.txt").unlink()
        assert json.loads(process.stdout.readline())["fetched"] in (1, 2)
        process.terminate()
        assert finish(process).err.count(b"mine.txt") == 0


def test_watch_ends_where_it_could_never_copy(url: str, cli: Run, copy: Path) -> None:
    copy.write_bytes(b"a file")
    ended = cli("mirror", url, copy, "--watch")
    assert ended.code == 1
    assert "cannot be written" in ended.errors


# Names that are withheld


@pytest.fixture
def careless(tmp_path: Path) -> Path:
    """Make a site whose index names files that publish withholds."""
    write_site(tmp_path / "careless", {".htaccess": b"1", ".git/x": b"2", "a": b"3"})
    return tmp_path / "careless"


def test_f11_what_was_skipped_is_told_and_no_failure(cli: Run, careless: Path, copy: Path) -> None:
    ended = cli("mirror", careless, copy)
    assert ended.code == 0
    assert ended.lines[0].startswith("skipped\t.git/x\tit may hold secrets")
    assert "1 fetched, 0 kept, 0 deleted, 2 skipped, 0 failed" in ended.text
    assert "--allow-name" in ended.errors
    (record,) = cli("mirror", careless, copy, "--json").records
    assert [one["key"] for one in record["skipped"]] == [".git/x", ".htaccess"]


def test_f11_mirror_and_push_take_names_that_are_allowed(
    cli: Run, careless: Path, copy: Path, tmp_path: Path
) -> None:
    allowed = ("--allow-name", ".htaccess", "--allow-name", ".git")
    cli("mirror", careless, copy)  # a part, with the head that a push needs
    assert cli("mirror", careless, copy, "*", *allowed).code == 0
    assert sorted(index_of(copy)) == [".git/x", ".htaccess", "a"]
    refused = cli("push", copy, tmp_path / "host")
    assert refused.code == 1
    assert "the index names what is withheld: '.git/x'" in refused.errors
    assert cli("push", copy, tmp_path / "host", *allowed).code == 0
    assert (tmp_path / "host" / "data" / ".git" / "x").read_bytes() == b"2"


def test_a_url_in_the_place_of_the_folder_is_refused_without_its_password(
    cli: Run, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = cli("mirror", url, "https://user:secret@data.example.org/site/")
    assert ended.code == 1
    assert "not a URL: 'staticstore mirror' copies a site into a folder" in ended.errors
    assert "secret" not in ended.errors
    assert list(tmp_path.iterdir()) == []
