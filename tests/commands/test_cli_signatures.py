"""Signed sites on the command line: keys, publish --sign, renew, keys rotate."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import pytest

from tests.commands.conftest import Run
from tests.commands.shell import TIMEOUT, Terminal

pytest.importorskip("tuf")

PASSPHRASE = "correct horse"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATICSTORE_KEYS", "STATICSTORE_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "a.txt").write_text("a")
    return folder


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file with a passphrase."""
    path = tmp_path / "passphrase"
    path.write_text(f"{PASSPHRASE}\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def keys(cli: Run, tmp_path: Path, secret: Path) -> Path:
    assert cli("keys", "new", tmp_path / "keys", "--passphrase-file", secret).code == 0
    return tmp_path / "keys"


@pytest.fixture
def signed(cli: Run, site: Path, keys: Path, secret: Path) -> Path:
    ended = cli("publish", site, "--sign", keys, "--passphrase-file", secret)
    assert ended.code == 0, ended.errors
    return site


def test_a_publish_shows_the_root_document_to_hand_to_readers(
    cli: Run, site: Path, keys: Path, secret: Path
) -> None:
    ended = cli("publish", site, "--sign", keys, "--passphrase-file", secret)
    path = site / "trust" / "1.root.json"
    assert f"hand this file to readers, by another way than the site: {path}" in ended.lines
    assert f"its sha256 is {hashlib.sha256(path.read_bytes()).hexdigest()}" in ended.lines


def test_in_json_it_is_a_part_of_the_report(cli: Run, site: Path, keys: Path, secret: Path) -> None:
    ended = cli("publish", site, "--sign", keys, "--passphrase-file", secret, "--json")
    (record,) = ended.records
    path = site / "trust" / "1.root.json"
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert record["root"] == {"path": str(path), "sha256": sha256}


def test_new_keys_show_the_root_document(cli: Run, tmp_path: Path, secret: Path) -> None:
    folder = tmp_path / "keys"
    ended = cli("keys", "new", folder, "--passphrase-file", secret, "--json")
    root = folder / "1.root.json"
    sha256 = hashlib.sha256(root.read_bytes()).hexdigest()
    assert ended.records == [{"root": {"path": str(root), "sha256": sha256}}]


def test_the_numbers_of_root_keys_are_options(cli: Run, tmp_path: Path, secret: Path) -> None:
    numbers = ["--root-keys", "1", "--threshold", "1"]
    assert cli("keys", "new", tmp_path / "k", *numbers, "--passphrase-file", secret).code == 0
    assert len(list((tmp_path / "k").glob("root-*.pem"))) == 1


def test_more_needed_than_made_is_a_usage_error(cli: Run, tmp_path: Path, secret: Path) -> None:
    ended = cli("keys", "new", tmp_path / "k", "--threshold", "4", "--passphrase-file", secret)
    assert (ended.code, (tmp_path / "k").exists()) == (2, False)


@pytest.mark.parametrize("command", ["new", "publish", "renew", "rotate"])
def test_without_a_terminal_and_a_file_a_passphrase_is_a_usage_error(
    cli: Run, signed: Path, keys: Path, tmp_path: Path, command: str
) -> None:
    arguments = {
        "new": ["keys", "new", tmp_path / "new"],
        "publish": ["publish", signed, "--sign", keys],
        "renew": ["renew", signed, "--sign", keys],
        "rotate": ["keys", "rotate", "publish", signed, "--sign", keys],
    }
    ended = cli(*arguments[command])
    assert ended.code == 2
    assert "--passphrase-file FILE" in ended.errors
    assert "STATICSTORE_PASSPHRASE_FILE" in ended.errors
    assert not (tmp_path / "new").exists()


def test_the_passphrase_file_and_the_keys_may_be_named_by_variables(
    cli: Run, signed: Path, keys: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATICSTORE_KEYS", str(keys))
    monkeypatch.setenv("STATICSTORE_PASSPHRASE_FILE", str(secret))
    ended = cli("renew", signed)
    assert ended.code == 0
    assert ended.text.startswith("signed until ")


def test_keys_named_by_a_variable_do_not_sign_a_site_that_nobody_asked_to_sign(
    cli: Run, site: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATICSTORE_KEYS", str(keys))
    assert cli("publish", site).code == 0
    assert not (site / "trust").exists()


def test_a_wrong_passphrase_is_an_error_and_is_not_shown(
    cli: Run, site: Path, keys: Path, secret: Path
) -> None:
    secret.write_text("open sesame\n")
    ended = cli("publish", site, "--sign", keys, "--passphrase-file", secret)
    assert ended.code == 1
    assert "the passphrase does not open" in ended.errors
    assert "sesame" not in ended.text + ended.errors


def test_a_signed_site_is_not_published_without_a_word_about_signatures(
    cli: Run, signed: Path
) -> None:
    ended = cli("publish", signed)
    assert ended.code == 1
    assert "--sign FOLDER" in ended.errors
    assert "--unsign" in ended.errors
    assert cli("publish", signed, "--unsign").code == 0
    assert not (signed / "trust").exists()


def test_sign_and_unsign_are_two_things(cli: Run, signed: Path, keys: Path) -> None:
    assert cli("publish", signed, "--sign", keys, "--unsign").code == 2


def test_a_check_of_a_changed_signature_exits_with_6(cli: Run, signed: Path) -> None:
    assert cli("publish", signed, "--check").code == 0
    path = signed / "trust" / "timestamp.json"
    path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":2'))
    ended = cli("publish", signed, "--check")
    assert ended.code == 6
    assert "trust/timestamp.json is not signed by the keys of the site" in ended.text


def test_a_renewal_of_a_changed_signature_exits_with_6(
    cli: Run, signed: Path, keys: Path, secret: Path
) -> None:
    path = signed / "trust" / "timestamp.json"
    path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":2'))
    assert cli("renew", signed, "--sign", keys, "--passphrase-file", secret).code == 6


def test_a_variable_for_passphrases_goes_with_every_publish(
    cli: Run, signed: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATICSTORE_PASSPHRASE_FILE", str(secret))
    assert cli("publish", signed, "--check").code == 0
    assert cli("publish", signed, "--unsign").code == 0
    assert cli("publish", signed).code == 0


def test_a_check_with_the_keys_needs_no_passphrase(cli: Run, signed: Path, keys: Path) -> None:
    assert cli("publish", signed, "--check", "--sign", keys).code == 0


def test_keys_inside_a_site_are_refused(cli: Run, signed: Path, secret: Path) -> None:
    ended = cli("keys", "new", signed / "keys", "--passphrase-file", secret)
    assert ended.code == 1
    assert "is inside the site" in ended.errors


def test_a_rotation_says_which_files_no_longer_count(
    cli: Run, signed: Path, keys: Path, secret: Path
) -> None:
    (old,) = keys.glob("publish-*")
    ended = cli(
        *("keys", "rotate", "publish", signed, "--sign", keys),
        *("--passphrase-file", secret, "--json"),
    )
    assert ended.records == [{"root": "trust/2.root.json", "retired": [old.name], "signed": True}]
    assert cli("publish", signed, "--check", "--sign", keys).code == 0


def test_keys_of_root_alone_may_be_lost(cli: Run, signed: Path, keys: Path, secret: Path) -> None:
    rotated = ["keys", "rotate", "renew", signed, "--sign", keys, "--passphrase-file", secret]
    assert cli(*rotated, "--lost", "12").code == 2


def typed(answers: dict[str, str], *arguments: object) -> tuple[int, str]:
    """Run a command on a terminal, and answer its questions; return its exit code and output."""
    terminal = Terminal()
    try:
        with terminal.run(*map(str, arguments)) as process:
            for question, answer in answers.items():
                terminal.read_until(question)
                terminal.type(f"{answer}\n")
            shown = terminal.read()
            return process.wait(TIMEOUT), shown
    finally:
        terminal.close()


def test_passphrases_are_asked_for_on_a_terminal_and_not_shown(site: Path, tmp_path: Path) -> None:
    answers = {
        "New passphrase for the keys": PASSPHRASE,
        "The same again": PASSPHRASE,
        "New passphrase for the renew key": "",
    }
    code, shown = typed(answers, "keys", "new", tmp_path / "keys")
    assert (code, PASSPHRASE in shown) == (0, False)
    code, shown = typed(
        {"Passphrase for publish-": PASSPHRASE}, "publish", site, "--sign", tmp_path / "keys"
    )
    assert (code, PASSPHRASE in shown) == (0, False)
    assert (site / "trust" / "timestamp.json").exists()


def _asks(times: int, shown: str) -> bool:
    return shown.count(": \r\n") == times - 1 and shown.endswith(": ")


def test_two_passphrases_that_differ_are_asked_for_again(tmp_path: Path) -> None:
    terminal = Terminal()
    try:
        with terminal.run("keys", "new", str(tmp_path / "keys")) as process:
            for number, answer in enumerate((PASSPHRASE, "correct hose", *2 * [PASSPHRASE], "")):
                terminal.read_until_it(partial(_asks, number + 1), "a question")
                terminal.type(f"{answer}\n")
            shown = terminal.read()
            assert process.wait(TIMEOUT) == 0
    finally:
        terminal.close()
    assert "the two passphrases differ: type it again" in shown


def test_no_bar_is_drawn_over_the_question_for_a_passphrase(
    signed: Path, keys: Path, cli: Run
) -> None:
    terminal = Terminal()
    try:
        with terminal.run("publish", str(signed), "--sign", str(keys)) as process:
            shown = terminal.read_until("Passphrase for publish-")
            terminal.type(f"{PASSPHRASE}\n")
            terminal.read()
            assert process.wait(TIMEOUT) == 0
    finally:
        terminal.close()
    # What erases the bar comes before the question, and no bar until the answer.
    before, _, after = shown.partition("Passphrase")
    assert "\x1b[2K" in before
    assert "hashing" not in after


def test_keys_without_a_command_show_their_help(cli: Run) -> None:
    ended = cli("keys")
    assert ended.code == 2
    assert "\n  rotate  Replace keys.\n" in ended.errors


def test_a_check_says_until_when_the_site_is_signed(cli: Run, signed: Path, keys: Path) -> None:
    ended = cli("publish", signed, "--check", "--sign", keys)
    assert "; signed until 20" in ended.text
    assert cli("publish", signed, "--check", "--json").records[0]["expires"].startswith("20")


def test_who_removes_signatures_is_told_what_readers_see(cli: Run, signed: Path) -> None:
    assert "readers with its root file refuse it" in cli("publish", signed, "--unsign").errors
    assert "refuse it" not in cli("publish", signed, "--unsign").errors


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nowhere", "there is no folder 'nowhere'"),
        ("https://data.example.org/site/", "a folder of this machine is needed here, not a URL"),
    ],
)
def test_a_renewal_of_what_is_no_folder_says_so(
    cli: Run, keys: Path, secret: Path, place: str, said: str
) -> None:
    ended = cli("renew", place, "--sign", keys, "--passphrase-file", secret)
    assert ended.code == 1
    assert said in ended.errors


def test_a_rotation_says_what_to_do_next(cli: Run, signed: Path, keys: Path, secret: Path) -> None:
    rotated = ["keys", "rotate", "renew", signed, "--sign", keys, "--passphrase-file", secret]
    ended = cli(*rotated)
    assert "upload the site" in ended.errors
    assert "copy the new renew key to where the site is renewed" in ended.errors
