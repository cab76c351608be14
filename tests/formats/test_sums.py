"""Lists of checksums, as the tools that write them do."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from staticstore.formats import Document, Entry, sums

NAMES = ("a b.txt", "back\\slash", "new\nline", "ü.nc", "two  spaces", "(x) = y")
TOOLS: dict[str, list[str]] = {
    "sha256": ["sha256sum"],
    "sha256 tagged": ["sha256sum", "--tag"],
    "sha256 binary": ["sha256sum", "-b"],
    "sha256 zero": ["sha256sum", "-z"],
    "sha512": ["sha512sum"],
    "sha384 tagged": ["sha384sum", "--tag"],
    "sha1": ["sha1sum"],
    "md5": ["md5sum"],
    "md5 tagged": ["md5sum", "--tag"],
    "sha256 shasum": ["shasum", "-a", "256"],
    "sha512 shasum": ["shasum", "-a", "512", "-b"],
}


def document(body: bytes) -> Document:
    return Document("https://data.example.org/SHA256SUMS", body, None, None)


def read(body: bytes) -> dict[str, Any]:
    return {one.key: one.metadata for one in sums.read(document(body)) if isinstance(one, Entry)}


def warnings(body: bytes) -> list[str]:
    return [one for one in sums.read(document(body)) if isinstance(one, str)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize("tool", TOOLS)
def test_a_list_is_read_as_its_tool_has_written_it(tool: str, folder: Path) -> None:
    command, algorithm = TOOLS[tool], tool.split()[0]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    body = subprocess.run([*command, *NAMES], cwd=folder, stdout=subprocess.PIPE, check=True).stdout
    expected = {
        name: {algorithm: hashlib.new(algorithm, name.encode()).hexdigest()} for name in NAMES
    }
    assert read(body) == expected
    assert not warnings(body)


def test_openssl_writes_such_lists_too(folder: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    command = ["openssl", "dgst", "-sha256", "ü.nc", "a b.txt"]
    body = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=True).stdout
    assert read(body)["a b.txt"] == {"sha256": hashlib.sha256(b"a b.txt").hexdigest()}


def test_names_that_begin_with_the_current_folder_are_those_without_it() -> None:
    assert list(read(b"%b  ./deep/a.txt\n" % (b"ab" * 32))) == ["deep/a.txt"]


def test_a_file_with_several_digests_has_them_all() -> None:
    body = b"MD5 (a) = %b\nSHA256 (a) = %b\nSIZE (a) = 12\n" % (b"0f" * 16, b"ab" * 32)
    assert read(body) == {"a": {"md5": "0f" * 16, "sha256": "ab" * 32, "size": 12}}


def test_a_signed_list_is_read_without_its_signature() -> None:
    body = b"""\
-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

# Fedora-41.iso: 2134 bytes
SHA256 (Fedora-41.iso) = %b
- -dashed  is no checksum
-----BEGIN PGP SIGNATURE-----

iQIzBAEBCAAdFiEEP
-----END PGP SIGNATURE-----
""" % (b"AB" * 32)
    assert read(body) == {"Fedora-41.iso": {"sha256": "AB" * 32}}
    assert warnings(body) == ["no checksums, and left out: line 6"]


def test_several_lines_that_are_no_checksums_are_counted_as_several() -> None:
    body = b"a\n%b  a.txt\nb\n" % (b"ab" * 32)
    assert warnings(body) == ["no checksums, and left out: lines 1, 3"]


def test_a_name_that_is_not_utf_8_is_no_key() -> None:
    assert list(read(b"%b  caf\xe9\n" % (b"ab" * 32))) == ["caf\udce9"]


def test_windows_line_ends_and_a_byte_order_mark_are_no_part_of_names() -> None:
    assert list(read(b"\xef\xbb\xbf%b *a.txt\r\n" % (b"ab" * 32))) == ["a.txt"]


@pytest.mark.parametrize("size", [b"-1", b"9" * 30, b"1e3", "²".encode()])
def test_a_size_that_is_none_is_left_out(size: bytes) -> None:
    body = b"SHA256 (a) = %b\nSIZE (a) = %b\n" % (b"ab" * 32, size)
    assert read(body) == {"a": {"sha256": "ab" * 32}}


@pytest.mark.parametrize("body", [b"<!DOCTYPE html>\n<html>", b"a.txt ab\n", b"{}", b"\x00\x01"])
def test_a_document_without_one_checksum_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="is no checksum, and no other line is one"):
        read(body)
    assert not sums.is_likely(document(body))


def test_an_empty_list_lists_nothing() -> None:
    assert read(b"# none yet\n") == {}


def test_a_list_is_recognized() -> None:
    assert sums.is_likely(document(b"%b  a\n" % (b"ab" * 32)))


def test_zeros_that_a_crash_left_are_no_empty_list() -> None:
    with pytest.raises(ValueError, match="no line of the list"):
        list(sums.read(Document("https://data.example.org/SHA256SUMS", bytes(4096), None, None)))
