"""What is found in a data folder, and what is left out of it."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore.disk.file_system import open_regular
from staticstore.errors import StoreError, path_text
from staticstore.site.folder import withheld
from staticstore.site.folder.data_file import FoundFile, holds_private_key, media_type_of
from staticstore.site.folder.scan import scan
from staticstore.site.folder.site_folder import SiteFolder
from staticstore.site.folder.withheld import may_be_withheld, withheld_key

from ..sitefolder import fill


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def keys(data: Path) -> list[str]:
    return [file.key for file in scan(data).files]


def reasons(data: Path) -> dict[str, str]:
    return {one.path: one.reason for one in scan(data).left_out}


def kinds(data: Path) -> dict[str, str]:
    return {one.path: one.kind for one in scan(data).left_out}


def test_keys_come_in_the_order_of_their_code_points(data: Path) -> None:
    names = ["b", "a/z", "a-b", "Z", "é", "😀", "\uffee", "a/b/c"]
    fill(data, dict.fromkeys(names, b""))
    assert keys(data) == sorted(names)


def test_the_files_of_each_folder_are_told_in_the_order_of_their_keys(data: Path) -> None:
    names = ["b", "a/z", "a/b/c", "c/d", "a/y"]
    fill(data, dict.fromkeys(names, b""))
    told: list[list[str]] = []
    scan(data, lambda files: told.append([file.key for file in files]))
    assert told == [["b"], ["a/y", "a/z"], ["a/b/c"], ["c/d"]]


def test_files_that_are_only_told_are_not_kept(data: Path) -> None:
    fill(data, {"a": b""})
    told: list[FoundFile] = []
    assert scan(data, told.extend, keeps_files=False).files == []
    assert [file.key for file in told] == ["a"]


def test_it_is_the_same_where_no_descriptor_leads_to_a_file(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(data, {"a": b"1", "b/c": b"22"})
    (data / "link").symlink_to("b")
    found = scan(data)
    monkeypatch.setattr(os, "supports_dir_fd", set())  # as on Windows
    assert scan(data).files == found.files


def test_a_file_is_found_with_its_state(data: Path) -> None:
    fill(data, {"a": b"abc"})
    (found,) = scan(data).files
    status = (data / "a").stat()
    assert found[2:] == (3, status.st_mtime_ns, status.st_ino, status.st_dev, False)


def test_the_data_folder_may_be_a_link(tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", {"a": b"", "b": b""})
    (tmp_path / "elsewhere" / "c").symlink_to("a")
    (tmp_path / "data").symlink_to("elsewhere")
    assert keys(tmp_path / "data") == ["a", "b", "c"]


def test_f5_links_inside_are_followed(data: Path) -> None:
    fill(data, {"real/a": b"1"})
    (data / "folder").symlink_to("real")
    (data / "file").symlink_to(data / "real" / "a")
    assert keys(data) == ["file", "folder/a", "real/a"]


def test_f5_every_link_that_leads_out_is_named(data: Path, tmp_path: Path) -> None:
    fill(tmp_path / "secret", {"a": b""})
    (tmp_path / "data2").mkdir()  # begins like the data folder, and is another
    fill(data, {"ok": b""})
    (data / "file").symlink_to(tmp_path / "secret" / "a")
    (data / "folder").symlink_to("../secret")
    (data / "sibling").symlink_to("../data2")
    with pytest.raises(StoreError, match="lead out") as caught:
        scan(data)
    assert all(f"'{name}' -> " in str(caught.value) for name in ("file", "folder", "sibling"))


def test_f5_of_very_many_links_that_lead_out_some_are_named(data: Path) -> None:
    for number in range(25):
        (data / f"l{number}").symlink_to("/")
    with pytest.raises(StoreError, match="and 5 more"):
        scan(data)


def test_f5_a_link_out_to_what_cannot_be_looked_at_is_an_error(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data / "closed").symlink_to(tmp_path)
    refuse(monkeypatch, "stat", "closed")
    with pytest.raises(StoreError, match="lead out"):
        scan(data)


def test_f5_a_link_inside_that_cannot_be_looked_at_is_left_out(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(data, {"a": b""})
    (data / "closed").symlink_to("a")
    refuse(monkeypatch, "stat", "closed")
    assert reasons(data) == {"closed": "it cannot be read: Permission denied"}


def test_links_that_dangle_or_go_round_are_left_out(data: Path) -> None:
    fill(data, {"folder/a": b""})
    (data / "nowhere").symlink_to("no such file")
    (data / "itself").symlink_to("itself")
    (data / "folder" / "up").symlink_to("..")
    assert keys(data) == ["folder/a"]
    assert reasons(data) == {
        "nowhere": "the link leads nowhere",
        "itself": "the link leads in a circle",
        "folder/up": "the link leads back to a folder that it is in",
    }


def test_two_folders_that_link_to_each_other_are_followed_once(data: Path) -> None:
    fill(data, {"a/x": b"", "b/y": b""})
    (data / "a" / "b").symlink_to("../b")
    (data / "b" / "a").symlink_to("../a")
    assert keys(data) == ["a/b/y", "a/x", "b/a/x", "b/y"]


def test_f4_a_fifo_a_socket_and_a_device_are_left_out(data: Path) -> None:
    os.mkfifo(data / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.getcwd()
        os.chdir(data)  # the name of a socket may have a hundred bytes
        try:
            listening.bind("socket")
        finally:
            os.chdir(here)
        assert set(kinds(data).items()) == {("fifo", "failed"), ("socket", "failed")}


def test_f4_opening_a_fifo_does_not_block(data: Path) -> None:
    os.mkfifo(data / "fifo")
    with pytest.raises(OSError, match="not a regular file"):
        open_regular(data / "fifo")


def test_f4_a_socket_cannot_be_opened(data: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.getcwd()
        os.chdir(data)
        try:
            listening.bind("socket")
        finally:
            os.chdir(here)
        with pytest.raises(OSError, match="not a regular file"):
            open_regular(data / "socket")


def test_what_cannot_be_looked_at_after_it_was_opened_is_closed_again(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(data, {"a": b""})
    closed: list[int] = []
    real_close = os.close

    def failing(descriptor: int) -> os.stat_result:
        raise OSError(5, "Input/output error")

    def closing(descriptor: int) -> None:
        closed.append(descriptor)
        real_close(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", failing)
        patched.setattr(os, "close", closing)
        with pytest.raises(OSError, match="Input/output"):
            open_regular(data / "a")
    assert len(closed) == 1


def test_f6_secrets_are_left_out_by_their_names(data: Path) -> None:
    secrets = [
        ".git/config",
        ".hg/x",
        ".svn/x",
        ".ssh/config",
        ".aws/credentials",
        ".gnupg/x",
        ".env",
        ".env.local",
        ".htpasswd",
        ".htaccess",
        ".netrc",
        "id_rsa",
        "keys/id_ed25519",
        "keys/id_ecdsa_sk",
        "id_rsa.bak",
        "sub/.GIT/config",
    ]
    fill(data, dict.fromkeys(secrets, b""))
    assert keys(data) == []
    assert set(kinds(data).values()) == {"secret"}
    assert len(reasons(data)) == len(secrets)


def test_f6_a_link_to_a_secret_is_left_out(data: Path) -> None:
    fill(data, {".env": b"PASSWORD=1"})
    (data / "settings.txt").symlink_to(".env")
    assert keys(data) == []
    assert kinds(data) == {".env": "secret", "settings.txt": "secret"}


def test_litter_is_left_out_without_being_a_failure(data: Path) -> None:
    litter = [".DS_Store", "Thumbs.db", "a/desktop.ini", ".staticstore-00.tmp", "b/.staticstore/x"]
    fill(data, dict.fromkeys(litter, b""))
    assert keys(data) == []
    assert set(kinds(data).values()) == {"litter"}


def test_other_dot_files_and_public_keys_are_data(data: Path) -> None:
    names = [".zarray", "z/.zattrs", ".environment", "id_rsa.pub", "id_rsa_statistics.csv"]
    fill(data, dict.fromkeys(names, b""))
    assert keys(data) == sorted(names)


@pytest.mark.parametrize(
    "first_bytes",
    [
        b"-----BEGIN PRIVATE KEY-----\n",
        b"-----BEGIN RSA PRIVATE KEY-----\n",
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n",
        b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n",
        b"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\n",
        b"\xef\xbb\xbf \r\n-----BEGIN EC PRIVATE KEY-----\n",
        b"PuTTY-User-Key-File-3: ssh-ed25519\n",
    ],
)
def test_f6_private_keys_are_known_by_their_first_bytes(first_bytes: bytes) -> None:
    assert holds_private_key(first_bytes)


@pytest.mark.parametrize(
    "first_bytes",
    [b"", b"-----BEGIN PUBLIC KEY-----", b"A key:\n-----BEGIN PRIVATE KEY-----", b"key,value\n"],
)
def test_f6_what_is_no_private_key_is_not_taken_for_one(first_bytes: bytes) -> None:
    assert not holds_private_key(first_bytes)


def test_names_that_are_no_keys_are_left_out_with_a_reason(data: Path) -> None:
    (data / "a\nb").write_bytes(b"")
    (data / "\\rooted").write_bytes(b"")
    (data / "x\u202ey").mkdir()
    with open(os.fsencode(data) + b"/caf\xe9", "wb"):
        pass
    assert keys(data) == []
    assert reasons(data) == {
        "a\nb": "its name cannot be a key: it holds the character U+000A",
        "\\rooted": "its name cannot be a key: it starts with a backslash",
        "x\u202ey": "its name cannot be a key: it holds the character U+202E",
        "caf\\xe9": "its name cannot be a key: it holds the character U+DCE9",
    }


def refuse(monkeypatch: pytest.MonkeyPatch, call: str, name: str) -> None:
    """Make a system call fail for one name: as root, permissions stop nobody."""
    real: Any = getattr(os, call)

    def refusing(path: Any = ".", *args: Any, **options: Any) -> Any:
        if not isinstance(path, int) and os.path.basename(os.fspath(path)) == name:
            raise PermissionError(13, "Permission denied", path)
        return real(path, *args, **options)

    monkeypatch.setattr(os, call, refusing)


@pytest.mark.parametrize("call", ["open", "scandir"])  # by descriptors, and as on Windows
def test_f2_a_folder_that_cannot_be_read_leaves_the_others(
    data: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    fill(data, {"closed/a": b"", "open/b": b""})
    refuse(monkeypatch, call, "closed")
    assert keys(data) == ["open/b"]
    assert kinds(data) == {"closed": "failed"}


@pytest.mark.parametrize("by_descriptor", [True, False])
def test_f2_a_file_that_cannot_be_looked_at_leaves_the_others(
    data: Path, monkeypatch: pytest.MonkeyPatch, by_descriptor: bool
) -> None:
    fill(data, {"a": b"", "b": b""})
    refuse(monkeypatch, "stat", "a")
    if by_descriptor:
        monkeypatch.setattr(os, "supports_dir_fd", {os.stat})
    assert keys(data) == ["b"]
    assert reasons(data) == {"a": "it cannot be read: Permission denied"}


def test_f2_a_path_too_long_for_the_system_leaves_the_others(data: Path) -> None:
    fill(data, {"ok": b""})
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(data)
        for _ in range(20):
            os.mkdir("d" * 250)
            os.chdir("d" * 250)
    finally:
        os.fchdir(here)
        os.close(here)
    found = scan(data)
    assert [file.key for file in found.files] == ["ok"]
    assert [one.kind for one in found.left_out] == ["failed"]


def test_f4_a_file_that_vanishes_during_the_scan_is_left_out(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(data, {"a": b"", "b": b""})
    real: Any = os.stat

    def vanishing(path: Any, **options: Any) -> os.stat_result:
        if str(path).endswith("/a"):
            raise FileNotFoundError(2, "No such file or directory")
        result: os.stat_result = real(path, **options)
        return result

    monkeypatch.setattr(os, "stat", vanishing)
    assert reasons(data) == {"a": "it vanished during the scan"}


def test_a_data_folder_that_cannot_be_read_is_an_error(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, "scandir", "data")
    with pytest.raises(StoreError, match="cannot be read: Permission denied"):
        scan(data)


def test_a_missing_site_or_data_folder_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="create it, and put the files to publish into a folder"):
        SiteFolder.open(tmp_path / "none")
    with pytest.raises(StoreError, match="data': create it"):
        SiteFolder.open(tmp_path)


def test_a_path_that_is_not_utf_8_is_shown_escaped() -> None:
    assert path_text("caf\udce9") == "caf\\xe9"
    assert path_text("日本") == "日本"


@pytest.mark.parametrize(
    ("key", "media_type"),
    [
        ("a/b.geojson", "application/geo+json"),
        ("x.CSV", "text/csv"),
        ("x.tar.gz", "application/gzip"),
        ("z/.zattrs", "application/json"),
        ("zarr.json", "application/json"),
        ("z/0.0", None),
        ("a.b/README", None),
        ("README", None),
        (".csv", "text/csv"),
        ("x.", None),
    ],
)
def test_the_media_type_goes_by_the_name(key: str, media_type: str | None) -> None:
    assert media_type_of(key) == media_type


def test_a_plain_name_is_not_withheld() -> None:
    assert withheld_key("data.csv") is None


@pytest.mark.parametrize(
    "name",
    [
        *withheld._SECRETS.split(),
        *withheld._NEWER_SECRETS.split(),
        *withheld._NEWER_SECRET_FILES.split(),
        *withheld._LITTER.split(),
        *withheld._NEWER_LITTER.split(),
        ".env",
        ".ENV.local",
        "ID_ed25519.old",
        ".staticstore",
        ".staticstore-ab12.tmp",
    ],
)
def test_no_name_that_is_withheld_is_overlooked_among_others(name: str) -> None:
    name = name.replace("*", "x")
    assert withheld_key(name) is not None
    assert may_be_withheld(["a.csv", name, "z.csv"])


def test_published_keys_are_gone_through_once_however_many_names_are_withheld(
    data: Path,
) -> None:
    fill(data, {name: b"x" for number in range(9) for name in (f"{number}", f"._{number}")})
    passes = []

    class Published(Collection[str]):
        def __iter__(self) -> Iterator[str]:
            passes.append(1)
            return iter(["._3", "3"])

        def __contains__(self, key: object) -> bool:
            return key in list(self)

        def __len__(self) -> int:
            return 2

    found = scan(data, published=Published())
    assert [*found.exempt] == ["._3"]
    assert len(found.left_out) == 8
    assert len(passes) == 1
