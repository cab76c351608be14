"""Commands that read an index which others publish: ``--format``."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands.conftest import Run
from tests.servers import RawServer, serve_files

VALUES = {"legend.txt": b"1 = water\n", "deep/a.csv": b"station\n"}


@pytest.fixture
def sums(tmp_path: Path) -> Path:
    """A folder with a list of checksums."""
    folder = tmp_path / "files"
    lines = []
    for name, data in VALUES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        lines.append(f"{hashlib.sha256(data).hexdigest()}  {name}\n")
    (folder / "SHA256SUMS").write_text("".join(lines))
    return folder / "SHA256SUMS"


def test_ls_lists_the_keys(cli: Run, sums: Path) -> None:
    assert cli("ls", "--format", "sums", sums).text == "deep/a.csv\nlegend.txt\n"


def test_info_shows_format_and_documents(cli: Run, sums: Path) -> None:
    shown = json.loads(cli("info", "--json", "--format", "sums", sums).text)
    assert (shown["format"], shown["documents"], shown["entries"]) == ("sums", 1, 2)


def test_query_asks_for_fields(cli: Run, sums: Path) -> None:
    digest = hashlib.sha256(VALUES["legend.txt"]).hexdigest()
    ended = cli("query", "--format", "sums", sums, f"sha256={digest}")
    assert (ended.code, ended.text.split()[:1]) == (0, ["legend.txt"])


def test_get_writes_a_verified_value(cli: Run, sums: Path) -> None:
    assert cli("get", "--format", "sums", sums, "legend.txt").text == "1 = water\n"
    (sums.parent / "legend.txt").write_bytes(b"1 = fire.\n")
    assert cli("get", "--format", "sums", sums, "legend.txt").code == 6


def test_mirror_makes_a_site(cli: Run, sums: Path, tmp_path: Path) -> None:
    assert cli("mirror", "--format", "sums", sums, tmp_path / "copy").code == 0
    assert cli("ls", tmp_path / "copy").text == "deep/a.csv\nlegend.txt\n"


def test_mirror_says_what_was_not_verified_by_a_sha256(cli: Run, tmp_path: Path) -> None:
    digest = hashlib.md5(b"a").hexdigest()
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "registry.txt").write_text(f"a md5:{digest}\n")
    arguments = ("mirror", "--format", "pooch", tmp_path / "registry.txt", tmp_path / "copy")
    ended = cli(*arguments, "--json")
    assert json.loads(ended.text)["verified_by"] == {"md5": 1}
    (tmp_path / "copy" / "data" / "a").unlink()
    assert "of some values: 1 verified by md5 only" in cli(*arguments).errors


def test_watch_gives_a_command_the_place_of_a_value(cli: Run, tmp_path: Path) -> None:
    program = tmp_path / "show.py"
    program.write_text(
        "import os, sys; open(sys.argv[1], 'a').write(os.environ['STATICSTORE_URL'])"
    )
    digest = "ab" * 32
    files = {"registry.txt": b""}
    good = serve_files(files)
    with RawServer(good, heads=True) as server:
        url = f"{server.url}elsewhere/a?id=1"

        def answer(request: object, wire: object) -> None:
            if server.requests[1:]:
                files["registry.txt"] = f"a {digest} {url}\n".encode()
            good(request, wire)  # type: ignore[arg-type]

        server.answer = answer
        words = f"{sys.executable} {program} {tmp_path / 'shown'}"
        arguments = ("--interval", "0.05", "--idle", "1", "--exec", words)
        ended = cli("watch", "--format", "pooch", f"{server.url}registry.txt", *arguments)
    assert ended.code == 0
    assert (tmp_path / "shown").read_text() == url


def test_an_unknown_format_is_a_usage_error(cli: Run, sums: Path) -> None:
    ended = cli("ls", "--format", "zip", sums)
    assert ended.code == 2
    assert "no format is named 'zip'" in ended.errors
    assert "--format" in ended.errors


def test_a_document_of_another_form_is_a_bad_index(cli: Run, sums: Path) -> None:
    ended = cli("ls", "--format", "pooch", sums)
    assert ended.code == 7
    assert "it looks like one for format='sums'" in ended.errors


@pytest.mark.parametrize("option", [["--copy", "other"], ["--data", "x"]])
def test_what_does_not_go_with_a_format_is_a_usage_error(
    cli: Run, sums: Path, option: list[str]
) -> None:
    assert cli("ls", "--format", "sums", sums, *option).code == 2


def test_a_document_that_cannot_be_read_gets_a_hint_of_the_format(cli: Run, sums: Path) -> None:
    ended = cli("info", "--format", "s3", sums)
    assert ended.code == 7
    assert "the URL is that of the document itself" in ended.errors
    assert "index.json" not in ended.errors


def test_a_file_that_is_missing_is_not_taken_for_a_host(cli: Run) -> None:
    ended = cli("ls", "--format", "stac", "nowhere.json")
    assert "there is no such file" in ended.errors


def test_a_folder_in_the_place_of_a_document_is_a_usage_error(cli: Run, sums: Path) -> None:
    ended = cli("ls", "--format", "sums", sums.parent)
    assert ended.code == 2
    assert "is a folder: name the first document" in ended.errors


def test_mirror_says_how_many_values_were_not_verified_at_all(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a").write_bytes(b"a")
    (tmp_path / "index.json").write_text('{"a": {}}')
    ended = cli("mirror", tmp_path, tmp_path / "copy")
    assert "the index has no sha256 of some values: 1 not verified" in ended.errors


def test_a_document_without_its_format_is_named_as_one(cli: Run, sums: Path) -> None:
    ended = cli("ls", sums)
    assert ended.code == 2
    assert "is a file, and the root of a site is a folder" in ended.errors
    assert "if it is an index in another form, give its format, 'sums'" in ended.errors
    assert "hint: --format NAME reads an index that others publish" in ended.errors


def test_another_file_in_the_place_of_a_site_gets_no_name_of_a_format(cli: Run, sums: Path) -> None:
    ended = cli("ls", sums.parent / "legend.txt")
    assert ended.errors.splitlines()[0].endswith("give its format")


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("SHA256SUMS", "sums"),
        ("registry.txt", "pooch"),
        ("repodata.json.zst", "conda"),
        ("catalog.json", "stac"),
        ("datapackage.json", "datapackage"),
    ],
)
def test_the_url_of_a_document_without_its_format_gets_a_hint_of_it(
    cli: Run, start: Callable[..., RawServer], name: str, form: str
) -> None:
    ended = cli("ls", f"{start(serve_files({name: b'{}'})).url}{name}")
    assert ended.code == 5
    assert f"if '{name}' is an index in another form, give its format, '{form}'" in ended.errors
    assert "hint: --format NAME" in ended.errors


def test_another_url_without_an_index_gets_no_hint_of_a_format(
    cli: Run, start: Callable[..., RawServer]
) -> None:
    ended = cli("ls", f"{start(serve_files({})).url}site/")
    assert ended.code == 5
    assert "format" not in ended.errors


def test_a_name_that_is_alike_is_suggested(cli: Run, sums: Path) -> None:
    assert "did you mean 'conda'?" in cli("ls", "--format", "Conda", sums).errors


def test_a_document_that_needs_an_extra_gets_no_hint_of_its_url(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.formats.zstandard.find_zstd", lambda: None)
    (tmp_path / "repodata.json.zst").write_bytes(b"\x28\xb5\x2f\xfd")
    ended = cli("ls", "--format", "conda", tmp_path / "repodata.json.zst")
    assert ended.code == 7
    assert "that needs the extra `zstd`" in ended.errors
    assert "hint:" not in ended.errors


@pytest.mark.parametrize("command", [["ls"], ["query"], ["query", "--count"]])
def test_an_index_without_keys_says_what_was_left_out(
    cli: Run, tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "registry.txt").write_text(f"a {'ab' * 32} doi:10.5281/zenodo.1/a\n")
    ended = cli(*command, "--format", "pooch", tmp_path / "registry.txt")
    assert ended.code == 0
    assert "'a' is left out: its place is at doi:" in ended.errors


def test_a_document_that_cannot_be_read_is_warned_of(cli: Run, tmp_path: Path) -> None:
    item = {"type": "Feature", "stac_version": "1.0.0", "id": "a", "assets": {"x": {"href": "a"}}}
    links = [{"rel": "item", "href": f"{name}.json"} for name in "ab"]
    catalog = {"type": "Catalog", "stac_version": "1.0.0", "id": "c", "links": links}
    for name, text in {
        "catalog": json.dumps(catalog),
        "a": json.dumps(item),
        "b": "<html>",
    }.items():
        (tmp_path / f"{name}.json").write_text(text)
    ended = cli("ls", "--format", "stac", tmp_path / "catalog.json")
    assert (ended.code, ended.text) == (0, "a/x\n")
    assert "warning: the index may lack entries: a document" in ended.errors
    assert "b.json" in ended.errors
