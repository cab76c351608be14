"""Registries of pooch: read as pooch itself reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from staticstore.formats import Document, Entry, pooch

real_pooch = pytest.importorskip("pooch", reason="pooch is not installed")

SHA256 = "ab" * 32
REGISTRY = f"""\
# made by hand
dem.tif {SHA256}

"two words.csv" md5:{"0F" * 16}
it\\'s.txt SHA1:{"1e" * 20} https://mirror.example.org/files/17
  'nested/a "b".nc'\t{SHA256}   https://mirror.example.org/b.nc?x=1
"""


def document(text: str | bytes) -> Document:
    body = text.encode() if isinstance(text, str) else text
    return Document("https://data.example.org/registry.txt", body, "text/plain", None)


def read(text: str | bytes) -> list[Entry]:
    return list(pooch.read(document(text)))


def test_names_and_urls_are_those_that_pooch_reads(tmp_path: Path) -> None:
    (tmp_path / "registry.txt").write_text(REGISTRY)
    theirs = real_pooch.create(path=tmp_path, base_url="", registry=None)
    theirs.load_registry(tmp_path / "registry.txt")
    found = read(REGISTRY)
    assert [entry.key for entry in found] == list(theirs.registry)
    assert {entry.key: entry.href for entry in found if entry.href} == theirs.urls


def test_digests_are_those_that_pooch_reads(tmp_path: Path) -> None:
    (tmp_path / "registry.txt").write_text(REGISTRY)
    theirs = real_pooch.create(path=tmp_path, base_url="", registry=None)
    theirs.load_registry(tmp_path / "registry.txt")
    for entry in read(REGISTRY):
        assert not isinstance(entry.metadata, bytes)
        ((algorithm, digest),) = entry.metadata.items()
        text = theirs.registry[entry.key]
        assert algorithm == real_pooch.hashes.hash_algorithm(text)
        assert digest.lower() == text.rpartition(":")[2]


def test_a_registry_that_pooch_has_made_is_read(tmp_path: Path) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    for name in ("a.txt", "two words.txt", "deep/b.txt"):
        (tmp_path / "data" / name).write_text(name)
    # pooch does not quote names: those with a space it cannot read itself.
    (tmp_path / "data" / "two words.txt").unlink()
    real_pooch.make_registry(str(tmp_path / "data"), str(tmp_path / "registry.txt"))
    found = read((tmp_path / "registry.txt").read_bytes())
    assert [entry.key for entry in found] == ["a.txt", "deep/b.txt"]
    assert found[0].metadata == {"sha256": real_pooch.file_hash(str(tmp_path / "data" / "a.txt"))}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("alone", "line 2 of the registry has 1 part, "),
        (f"a {SHA256} https://h/ more", "line 2 of the registry has 4 parts"),
        ("'open aa", "line 2 of the registry: No closing quotation"),
        (f"{SHA256}  a.txt", "'a.txt' is no digest"),
        ("<html> <head>", "'<head>' is no digest"),
    ],
)
def test_a_line_that_is_none_is_named(line: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read(f"a {SHA256}\n{line}\n")


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_names() -> None:
    found = read(f"\ufeffa.txt {SHA256}\r\nb.txt {SHA256}\r\n".encode())
    assert [entry.key for entry in found] == ["a.txt", "b.txt"]


def test_a_name_may_hold_what_python_takes_for_the_end_of_a_line() -> None:
    assert [entry.key for entry in read(f"a\u0085b {SHA256}\n")] == ["a\u0085b"]


@pytest.mark.parametrize(
    "body", [b"\xff\xfe", b"<html>", b'{"a": {}}', b"", f"{SHA256}  a".encode()]
)
def test_other_documents_are_not_taken_for_registries(body: bytes) -> None:
    assert not pooch.is_likely(document(body))


def test_a_registry_is_recognized() -> None:
    assert pooch.is_likely(document(REGISTRY))


def test_a_page_of_another_kind_does_not_take_quadratic_time() -> None:
    page = b'{"links":["' + b"x" * 50_000 + b'"]}'
    with pytest.raises(ValueError, match="quotes and more than"):
        read(page)
    assert not pooch.is_likely(document(page))
