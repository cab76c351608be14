"""F20: what is hardly meant as a value is warned of or left out, and git keeps line ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from staticstore import StoreError
from staticstore.site.folder.data_file import FoundFile, pointer_problem
from staticstore.site.folder.hash_process import HashProcess
from staticstore.site.folder.scan import scan
from staticstore.site.folder.withheld import withheld_key
from staticstore.site.publisher import publish
from staticstore.site.push import push

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:%b\nsize 104857600\n" % (b"4d" * 32)
POINTERS = {
    "lfs": LFS,
    "lfs of Windows": LFS.replace(b"\n", b"\r\n"),
    "lfs with an extension": LFS.replace(b"oid", b"ext-0-case-fold sha256:00\noid"),
    "lfs, early": LFS.replace(b"git-lfs.github.com", b"hawser.github.com"),
    "lfs, alpha": b"version http://git-media.io/v/2\noid sha256:00\nsize 1\n",
    "annex": b"/annex/objects/SHA256E-s104857600--4d7a.tif\n",
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "site" / "data").mkdir(parents=True)
    (tmp_path / "site" / "data" / "a.csv").write_bytes(b"a,b\r\n1,2\r\n")
    return tmp_path / "site"


def index_of(site: Path) -> list[str]:
    return list(json.loads((site / "index.json").read_bytes()))


# Pointers


@pytest.mark.parametrize("kind", POINTERS)
def test_f20_a_pointer_is_left_out_in_words(site: Path, kind: str) -> None:
    (site / "data" / "dem.tif").write_bytes(POINTERS[kind])
    report = publish(site)
    assert index_of(site) == ["a.csv"]
    [(path, reason)] = report.failed
    assert path == "dem.tif"
    assert "pointer and not the file itself: run 'git " in reason


def test_f20_what_a_pointer_stands_for_is_published_when_it_is_there(site: Path) -> None:
    (site / "data" / "dem.tif").write_bytes(LFS)
    publish(site)
    assert publish(site).failed
    (site / "data" / "dem.tif").write_bytes(b"II*\0")
    assert publish(site).set == ["dem.tif"]


@pytest.mark.parametrize(
    "body",
    [LFS + b"x" * 1024, b"# " + LFS, LFS[:20], b"/annex/objects/README", b"x/annex/objects/A--b"],
)
def test_f20_a_text_about_pointers_is_published(site: Path, body: bytes) -> None:
    (site / "data" / "pointers.txt").write_bytes(body)
    assert publish(site).set == ["a.csv", "pointers.txt"]


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.toml", "about.toml"])
def test_f20_a_pointer_beside_the_data_is_refused(site: Path, name: str) -> None:
    (site / name).write_bytes(LFS)
    with pytest.raises(StoreError, match=f"{name}: it is a Git LFS pointer"):
        publish(site)


def test_f20_a_pointer_is_no_readme(site: Path) -> None:
    (site / "about.toml").write_bytes(b"title = 'x'\n")
    (site / "README.md").write_bytes(LFS)
    [warning] = publish(site).warnings
    assert warning.startswith("README.md is left out of about.json: it is a Git LFS pointer")


def test_f20_a_process_that_hashes_leaves_a_pointer_to_its_caller(site: Path) -> None:
    pointer = site / "data" / "dem.tif"
    pointer.write_bytes(LFS)
    paths = [pointer, site / "data" / "a.csv"]
    found = [FoundFile.of(path.name, str(path), path.stat()) for path in paths]
    with HashProcess() as process:
        pointed, other = process.digests_of(found)
    assert pointed is None
    assert other is not None


def test_f20_a_pointer_is_told_by_its_beginning() -> None:
    assert pointer_problem(LFS[:100], 1023) is not None
    assert pointer_problem(LFS, 1024) is None


# Litter

LITTER = [
    *("._x", "._dem.tif", "a/._b/c", "__MACOSX/x", ".Trashes/x", ".Trash-1000/files/x", ".nfs0012"),
    *(
        "~$report.xlsx",
        ".~lock.report.ods#",
        ".x.swp",
        ".x.SWO",
        ".x.csv.kate-swp",
        ".#x",
        "a/.swp",
    ),
    *("$RECYCLE.BIN/x", "ehthumbs.db", ".fuse_hidden0001", ".ipynb_checkpoints/x-checkpoint.ipynb"),
    *(".staticstore-0123abcd.part", "a/.staticstore-x.tmp", ".rsync-partial/x", ".syncthing.x.tmp"),
]
NO_LITTER = [
    *(
        "_x",
        ".zattrs",
        ".zgroup",
        "x.swp.csv",
        "x._y",
        "lock#",
        "a~b",
        "~a",
        "$x",
        "nfs01",
        ".nfsx",
    ),
    *("Trash-1000", "x.swo", "..x", ".x", "staticstore-0.part", "directory", ".nojekyll"),
]


@pytest.mark.parametrize("name", LITTER)
def test_f20_litter_is_left_out_without_a_warning(site: Path, name: str) -> None:
    path = site / "data" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    report = publish(site)
    assert (report.set, report.failed, report.warnings) == (["a.csv"], [], [])
    assert len(report.skipped) == 1


def test_f20_a_lock_of_emacs_is_litter_though_its_link_leads_nowhere(site: Path) -> None:
    (site / "data" / ".#a.csv").symlink_to("user@host.123:456")
    report = publish(site)
    assert (report.failed, len(report.skipped)) == ([], 1)


@pytest.mark.parametrize("name", NO_LITTER)
def test_f20_a_name_like_those_of_litter_is_published(name: str) -> None:
    assert withheld_key(name) is None


def test_f20_litter_that_is_published_already_is_kept(site: Path) -> None:
    (site / "data" / "._x").write_bytes(b"x")
    found = scan(site / "data", published=["._x"])
    assert [file.key for file in found.files] == ["._x", "a.csv"]
    assert list(found.exempt) == ["._x"]


@pytest.mark.parametrize(
    "name",
    ["x.part", "x.csv.PART", "a/x.crdownload", "x.tmp", "x.filepart", "x.csv~", "#x#", "x.swp"],
)
def test_f20_what_is_perhaps_unfinished_is_kept_and_warned_of(site: Path, name: str) -> None:
    path = site / "data" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    report = publish(site)
    assert sorted(report.set) == sorted(["a.csv", name])
    [warning] = report.warnings
    assert warning.startswith(f"{name!r} is published, but has the name of a temporary")


@pytest.mark.parametrize("name", ["part", "x.party", "x#", "#x", "x.part1.rar", "tmp/x"])
def test_f20_other_names_are_not_warned_of(site: Path, name: str) -> None:
    path = site / "data" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    assert publish(site).warnings == []


# Git


def test_f20_attributes_are_written_once_and_never_over_others(site: Path, tmp_path: Path) -> None:
    attributes = site / ".gitattributes"
    publish(site, dry_run=True)
    assert not attributes.exists()
    publish(site)
    written = attributes.read_bytes()
    assert written.endswith(b"\n* -text\n")
    attributes.unlink()
    publish(site)
    assert attributes.read_bytes() == written
    attributes.write_bytes(b"* binary\n")
    publish(site)
    assert attributes.read_bytes() == b"* binary\n"
    target = tmp_path / "target"
    target.mkdir()
    (target / ".gitattributes").write_bytes(b"mine")
    push(site, target)
    assert (target / ".gitattributes").read_bytes() == b"mine"


def test_f20_attributes_that_let_git_change_values_are_warned_of(site: Path) -> None:
    (site / ".gitattributes").write_bytes(b"* -text\n*.csv text eol=lf\n")
    [warning] = publish(site).warnings
    assert warning.startswith("'.gitattributes' lets git change the line ends of 'data/a.csv',")
    assert warning.endswith("add the line '* -text' at its end")
    (site / ".gitattributes").write_bytes(b"* -text\n*.csv text eol=lf\n* -text\n")
    assert publish(site).warnings == []


def test_f20_attributes_among_the_data_are_warned_of(site: Path) -> None:
    (site / "data" / "b").mkdir()
    (site / "data" / "b" / ".gitattributes").write_bytes(b"*.txt text=auto\n")
    assert publish(site).warnings == []
    (site / "data" / "b" / "x.txt").write_bytes(b"x")
    [warning] = publish(site).warnings
    assert warning.startswith("'data/b/.gitattributes' lets git change the line ends of 'data/b/x")
