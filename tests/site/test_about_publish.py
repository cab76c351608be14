"""The site's own words as they are published; F11: never over a file of others."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from staticstore import StoreError, publish, verify_site
from staticstore.index.about import ABOUT_NAME, MOST_ABOUT_BYTES, MOST_FILE_BYTES, NamedFile
from staticstore.index.head import MOST_HEAD_BYTES, Head
from staticstore.site.folder import retention
from staticstore.site.watching import publish_watching

from .sitefolder import THEN, fill, make_site, tree

FILES = {"a.csv": b"x\n1\n", "b/c.bin": b"123"}
WORDS = 'title = "Ilvar"\nlicense = "CC0-1.0"\nkeywords = ["snow"]\n'


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    os.utime(path, (THEN, THEN))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = make_site(tmp_path / "site", FILES)
    write(folder / "about.toml", WORDS)
    write(folder / "README.md", "# Ilvar\n")
    return folder


def head_of(site: Path) -> Head:
    return Head.parse((site / "index.head.json").read_bytes())


def said(site: Path) -> dict[str, Any]:
    """Return the document that the head names, which must be the one for people, too."""
    document = head_of(site).about
    assert document is not None
    body = (site / document.href).read_bytes()
    assert document.describes(body)
    assert body == (site / ABOUT_NAME).read_bytes()
    found: dict[str, Any] = json.loads(body)
    return found


# What is said


def test_the_head_names_what_the_site_says(site: Path) -> None:
    publish(site)
    assert said(site) == {
        "title": "Ilvar",
        "license": "CC0-1.0",
        "keywords": ["snow"],
        "files": {"README.md": NamedFile.of(b"# Ilvar\n")._asdict()},
    }


def test_without_words_of_its_own_a_site_has_no_trace_of_them(site: Path) -> None:
    (site / "about.toml").unlink()
    publish(site)
    assert head_of(site).about is None
    assert not list(site.glob("about*"))


def test_other_words_alone_make_a_generation_of_the_same_index(site: Path) -> None:
    publish(site)
    before = head_of(site)
    write(site / "about.toml", WORDS + 'version = "2"\n')
    report = publish(site)
    after = head_of(site)
    assert (report.generation, report.updated) == (before.generation + 1, [])
    assert (after.index, after.blocks, after.change_files) == (
        before.index,
        before.blocks,
        before.change_files,
    )
    assert said(site)["version"] == "2"


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "CITATION.cff", "LICENSE.rst"])
def test_another_file_beside_it_makes_a_generation(site: Path, name: str) -> None:
    publish(site)
    write(site / name, "another")
    assert publish(site).generation == 2
    assert said(site)["files"][name] == NamedFile.of(b"another")._asdict()


def test_what_has_not_changed_stays_as_it_is(site: Path) -> None:
    publish(site)
    before = tree(site)
    (site / ".staticstore" / "last.json").unlink()  # else a glance would be enough
    publish(site)
    assert tree(site) == before


@pytest.mark.parametrize("name", ["about.json", "about/{}.json"])
def test_f15_what_is_gone_is_written_again(site: Path, name: str) -> None:
    publish(site)
    before, document = tree(site).keys(), head_of(site).about
    assert document is not None
    (site / name.format(document.sha256)).unlink()
    assert publish(site).generation == 1
    assert tree(site).keys() == before
    assert said(site)


def test_words_that_are_taken_back_are_gone_from_the_head(site: Path) -> None:
    publish(site)
    (site / "about.toml").unlink()
    assert publish(site).generation == 2
    assert head_of(site).about is None
    assert not (site / ABOUT_NAME).exists()
    assert (site / "README.md").exists()


def test_old_words_are_removed_a_day_later(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(site)
    write(site / "about.toml", 'title = "Other"\n')
    publish(site)
    assert len(list((site / "about").iterdir())) == 2
    monkeypatch.setattr(retention, "KEPT_SECONDS", -1.0)
    (site / ".staticstore" / "last.json").unlink()
    publish(site)
    assert [path.stem for path in (site / "about").iterdir()] == [
        document.sha256 if (document := head_of(site).about) else None
    ]


def test_the_head_of_a_long_history_stays_below_4_kib(site: Path) -> None:
    for number in range(80):
        fill(site / "data", {f"{number % 3}": b"%d" % number})
        publish(site)
    assert len((site / "index.head.json").read_bytes()) < MOST_HEAD_BYTES
    assert said(site)["title"] == "Ilvar"


def test_a_dry_run_writes_nothing(site: Path) -> None:
    before = tree(site)
    assert publish(site, dry_run=True).generation == 1
    assert tree(site) == before


def test_words_that_change_are_published_while_it_watches(site: Path) -> None:
    stop = threading.Event()
    outcomes = publish_watching(site, stop=stop)
    next(outcomes)
    write(site / "about.toml", 'title = "While it watches"\n')
    next(outcomes)
    stop.set()
    assert list(outcomes) == []
    assert said(site)["title"] == "While it watches"


# What is refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('title = "x"\nauthor = "y"\n', "line 2: 'author': this field is unknown"),
        ('title = "x"\n\n[files]\n"README.php" = 1\n', "line 3: 'files': this field is unknown"),
        ("title = 1\n", "line 1: 'title': title must be text"),
        ("# v\nversion = 1.10\n", "line 2: 'version': version must be text: put it in quotes"),
        ("version = 2026-01-01\n", "line 1: .*must be text"),
        ('keywords = "snow"\n', "line 1: .*must be a list of texts"),
        ('keywords = ["snow", 1]\n', "line 1: .*must be a list of texts"),
        ('description = """\ncontact = 1\n"""\ncontact = 1\n', "line 4: 'contact'"),
        ('homepage = "javascript:alert(1)"\n', "line 1: .*begins with http"),
        ('homepage = "https://ali:sesame@example.org/"\n', "without a user"),
        ('title = "x\n', "line 1: it is not valid TOML"),
        ('title = "x"\ntitle = "y"\n', "line 2: it is not valid TOML"),
        (f"version = {'1' * 5000}\n", "too many digits"),
        (f"version = {'[' * 5000}\n", "about.toml"),
        (f'title = "{"x" * MOST_ABOUT_BYTES}"\n', f"at most {MOST_ABOUT_BYTES} bytes"),
    ],
)
def test_words_that_cannot_be_used_are_an_error_that_names_the_line(
    site: Path, text: str, message: str
) -> None:
    write(site / "about.toml", text)
    before = tree(site)
    with pytest.raises(StoreError, match=message) as caught:
        publish(site)
    assert "sesame" not in str(caught.value)
    assert tree(site) == before


def test_text_that_is_not_utf_8_is_an_error_with_its_line(site: Path) -> None:
    (site / "about.toml").write_bytes(b'title = "x"\nlicense = "\xe9"\n')
    with pytest.raises(StoreError, match=r"about\.toml, line 2: it is not UTF-8"):
        publish(site)


def test_a_document_that_escapes_make_too_large_is_an_error(site: Path) -> None:
    write(site / "about.toml", 'title = """' + "\t" * (MOST_ABOUT_BYTES - 100) + '"""\n')
    with pytest.raises(StoreError, match=r"about\.json would have more than"):
        publish(site)
    assert not (site / "index.json").exists()


def test_f5_a_link_in_place_of_the_words_is_an_error(site: Path, tmp_path: Path) -> None:
    (site / "about.toml").rename(tmp_path / "elsewhere.toml")
    (site / "about.toml").symlink_to(tmp_path / "elsewhere.toml")
    with pytest.raises(StoreError, match=r"about\.toml must be a file, not a link"):
        publish(site)
    assert not (site / "index.json").exists()


def test_f4_a_fifo_in_place_of_the_words_never_blocks(site: Path) -> None:
    (site / "about.toml").unlink()
    os.mkfifo(site / "about.toml")
    with pytest.raises(StoreError, match="must be a file"):
        publish(site)


@pytest.mark.parametrize("kind", ["link", "large", "fifo", "folder", "key"])
def test_a_file_that_cannot_be_carried_is_left_out_with_a_warning(
    site: Path, tmp_path: Path, kind: str
) -> None:
    path = site / "LICENSE"
    if kind == "link":
        (tmp_path / "outside").write_text("outside")
        path.symlink_to(tmp_path / "outside")
    elif kind == "large":
        path.write_bytes(bytes(MOST_FILE_BYTES + 1))
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_text("-----BEGIN PRIVATE KEY-----\n")
    assert any("LICENSE is left out" in warning for warning in publish(site).warnings)
    assert list(said(site)["files"]) == ["README.md"]


@pytest.mark.parametrize("name", ["README.php", "readme.md", "LICENSE.html", "README.md.bak"])
def test_f11_files_of_other_names_are_not_carried(site: Path, name: str) -> None:
    write(site / name, "other")
    publish(site)
    assert list(said(site)["files"]) == ["README.md"]


@pytest.mark.parametrize("theirs", [b'{"title": "mine"}', b"", b"<html>"])
def test_f11_an_about_of_somebody_else_stays(site: Path, theirs: bytes) -> None:
    (site / ABOUT_NAME).write_bytes(theirs)
    report = publish(site)
    assert any("about.json is not replaced" in warning for warning in report.warnings)
    assert (site / ABOUT_NAME).read_bytes() == theirs
    assert head_of(site).about is not None


def test_f11_a_link_in_place_of_the_about_stays(site: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.json").write_text("outside")
    (site / ABOUT_NAME).symlink_to(tmp_path / "outside.json")
    publish(site)
    assert (tmp_path / "outside.json").read_text() == "outside"
    assert (site / ABOUT_NAME).is_symlink()


def test_an_about_of_ours_is_known_in_a_fresh_checkout(site: Path) -> None:
    publish(site)
    for path in (site / ".staticstore").iterdir():
        path.unlink()
    write(site / "about.toml", 'title = "Other"\n')
    assert publish(site).warnings == []
    assert said(site)["title"] == "Other"


# What a check says


def test_a_site_as_it_was_published_is_right(site: Path) -> None:
    publish(site)
    assert not verify_site(site).wrong


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"another")])
@pytest.mark.parametrize("name", ["README.md", "about/{}.json"])
def test_a_check_names_what_has_changed(site: Path, name: str, spoil: Any) -> None:
    publish(site)
    document = head_of(site).about
    assert document is not None
    name = name.format(document.sha256)
    spoil(site / name)
    assert [path for path, _ in verify_site(site).wrong] == [name]


def test_a_check_says_of_a_document_that_it_is_none(site: Path) -> None:
    publish(site)
    document = head_of(site).about
    assert document is not None
    body = b"[]"
    other = type(document).of(document.role, body)
    head = Head(**{**vars(head_of(site)), "about": other})
    (site / other.href).write_bytes(body)
    (site / "index.head.json").write_bytes(head.encode())
    assert [path for path, _ in verify_site(site).wrong] == [other.href]
