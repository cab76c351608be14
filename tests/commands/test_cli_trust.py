"""``--trust``: what readers of signed sites say, and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands.conftest import Run
from tests.trust_sites import SignedSite


@pytest.fixture
def site(tmp_path: Path) -> SignedSite:
    """A signed site."""
    return SignedSite(tmp_path / "site")


def test_info_says_that_a_site_is_signed_and_until_when(cli: Run, site: SignedSite) -> None:
    ended = cli("info", site.root, "--trust", site.pinned)
    assert ended.code == 0
    assert b"signed" in ended.out
    assert b"expires" in ended.out
    out = cli("info", site.root, "--trust", site.pinned, "--json").out
    record = json.loads(out)
    assert record["trust"] == "signed"
    assert record["trust_expires"].startswith("20")


@pytest.mark.parametrize("command", ["info", "ls", "query", "get", "mirror"])
def test_a_refused_signature_ends_with_6(
    cli: Run, site: SignedSite, tmp_path: Path, command: str
) -> None:
    (site.trust / "timestamp.json").unlink()
    of_commands: dict[str, object] = {"get": "a.txt", "mirror": tmp_path / "copy"}
    more = [of_commands[command]] if command in of_commands else []
    ended = cli(command, site.root, *more, "--trust", site.pinned)
    assert ended.code == 6
    assert b"timestamp.json" in ended.err
    assert b"Traceback" not in ended.err


@pytest.mark.parametrize("name", ["index.json", "trust/timestamp.json", "nothing"])
def test_what_is_no_root_document_ends_with_2(cli: Run, site: SignedSite, name: str) -> None:
    ended = cli("ls", site.root, "--trust", site.root / name)
    assert ended.code == 2
    assert b"--trust" in ended.err


def test_a_url_in_place_of_the_root_file_is_refused_before_any_request(
    cli: Run, site: SignedSite
) -> None:
    ended = cli("ls", site.root, "--trust", "https://data.example.org/site/trust/1.root.json")
    assert ended.code == 2
    assert b"a file on this machine, not a URL" in ended.err


def test_a_folder_in_place_of_the_root_file_leads_to_the_file(cli: Run, site: SignedSite) -> None:
    ended = cli("ls", site.root, "--trust", site.trust)
    assert ended.code == 2
    assert b"name the file in it, such as 1.root.json" in ended.err


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("index.json", b"it is no document of TUF"),
        ("trust/timestamp.json", b"it is a document of another role"),
        ("edited.json", b"its own keys have not signed it"),
    ],
)
def test_what_is_no_root_file_is_said_without_names_of_classes(
    cli: Run, site: SignedSite, name: str, reason: bytes
) -> None:
    edited = site.pinned.read_bytes().replace(b'"expires":"202', b'"expires":"212')
    (site.root / "edited.json").write_bytes(edited.replace(b'"expires": "202', b'"expires": "212'))
    ended = cli("ls", site.root, "--trust", site.root / name)
    assert reason in ended.err
    assert b"Error" not in ended.err


def test_another_root_file_is_asked_about(cli: Run, site: SignedSite, tmp_path: Path) -> None:
    other = SignedSite(tmp_path / "other")
    ended = cli("ls", site.root, "--trust", other.pinned)
    assert ended.code == 6
    assert b"is the root file that of this site?" in ended.err


def test_a_mirror_is_verified(cli: Run, site: SignedSite, tmp_path: Path) -> None:
    assert cli("mirror", site.root, tmp_path / "copy", "--trust", site.pinned).code == 0
    assert cli("get", tmp_path / "copy", "a.txt", "--trust", site.pinned).code == 0


def test_an_index_of_others_is_not_signed(cli: Run, site: SignedSite) -> None:
    ended = cli("ls", site.root / "SHA256SUMS", "--format", "sums", "--trust", site.pinned)
    assert ended.code == 2
    assert b"trust cannot be combined with format" in ended.err
