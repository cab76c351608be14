"""Conda channels: what their indexes say becomes entries, in whatever way they say it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pytest
import zstandard as zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import msgpack

from staticstore import tuning
from staticstore.formats import Document, Entry, Link, conda, conda_shards, zstandard
from tests.formats.channels import (
    compressed,
    package,
    repodata,
    repodata_bytes,
    shards_of,
)

URL = "https://conda.example.org/channel/linux-64/repodata.json"
INDEX = "https://conda.example.org/channel/linux-64/repodata_shards.msgpack.zst"


def read(body: bytes, *, url: str = URL, note: str | None = None) -> list[Entry | Link]:
    return list(conda.read(Document(url, body, None, note)))


def entries(body: bytes, *, url: str = URL, note: str | None = None) -> list[Entry]:
    return [one for one in read(body, url=url, note=note) if isinstance(one, Entry)]


def written(index: Mapping[str, Any], **options: Any) -> bytes:
    return json.dumps(index, **options).encode()


def metadata(entry: Entry) -> Any:
    raw = entry.metadata
    return raw if isinstance(raw, Mapping) else json.loads(bytes(raw))


def records(found: list[Entry]) -> dict[str, Any]:
    return {entry.key: metadata(entry) for entry in found}


def expected(index: Mapping[str, Any]) -> dict[str, Any]:
    return {**index["packages"], **index["packages.conda"]}


# What it says


def test_a_package_is_an_entry_by_the_name_of_its_file() -> None:
    assert records(entries(repodata_bytes(20))) == expected(repodata(20))


def test_the_text_of_a_package_stays_as_it_is() -> None:
    body = b'{"packages": {"a-1-0.conda": { "size":7 ,\n"name" : "\\u00e9" }}}'
    [entry] = entries(body)
    assert not isinstance(entry.metadata, Mapping)
    assert bytes(entry.metadata) == b'{ "size":7 ,\n"name" : "\\u00e9" }'


def test_the_same_document_gives_the_same_entries() -> None:
    body = repodata_bytes(300, info={"base_url": "../pkgs"})
    first, second = entries(body), entries(body)
    assert [one.href for one in first] == [one.href for one in second]
    assert records(first) == records(second)


def test_a_large_document_gives_the_same_entries_as_a_small_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tuning, "CONDA_PATIENT_BYTES", 0)
    monkeypatch.setattr(tuning, "CONDA_BATCH_ENTRIES", 7)
    found = entries(repodata_bytes(20))
    assert {type(entry.key) for entry in found} == {str}
    assert records(found) == expected(repodata(20))


def test_values_are_beside_the_document_without_a_base_url() -> None:
    assert {entry.href for entry in entries(repodata_bytes(3))} == {None}


@pytest.mark.parametrize(
    ("base", "href"),
    [
        ("https://files.example.org/linux-64/", "https://files.example.org/linux-64/1%212.conda"),
        ("https://files.example.org/linux-64", "https://files.example.org/linux-64/1%212.conda"),
        ("../files", "../files/1%212.conda"),
        (".", "./1%212.conda"),
        ("/pool/", "/pool/1%212.conda"),
        ("", None),
        (None, None),
    ],
)
def test_a_base_url_says_where_values_are(base: str | None, href: str | None) -> None:
    index = {"info": {"base_url": base}, "packages.conda": {"1!2.conda": {}}}
    [entry] = entries(written(index))
    assert (entry.key, entry.href) == ("1!2.conda", href)


def test_what_was_removed_is_no_entry() -> None:
    [kept, gone] = [package(number)[0] for number in (1, 5)]
    body = written(repodata(0, **{"packages": {gone: {}}, "packages.conda": {kept: {}}}))
    index = json.loads(body) | {"removed": [gone, "never-there-1-0.conda"]}
    assert list(records(entries(written(index)))) == [kept]


# Irregularities of real documents


def test_an_indented_document_is_read_like_one_without_spaces() -> None:
    index = repodata(10)
    spaced = entries(written(index, indent=2, sort_keys=True))
    assert records(spaced) == expected(index)


def test_a_byte_order_mark_is_passed_over() -> None:
    assert len(entries(b"\xef\xbb\xbf" + repodata_bytes(3))) == 3


@pytest.mark.parametrize("other", [{}, {"packages": None}, {"packages": {}, "info": None}])
def test_one_kind_of_packages_is_enough(other: dict[str, Any]) -> None:
    assert len(entries(written({"packages.conda": {"a-1-0.conda": {}}, **other}))) == 1


def test_members_that_are_not_known_are_passed_over() -> None:
    index = repodata(3, signatures={"a": {}}, v3={"whl": {}}, repodata_version="2")
    assert records(entries(written(index))) == expected(index)


@pytest.mark.parametrize("spaces", [None, 1])
def test_digests_in_upper_case_are_lowered(spaces: int | None) -> None:
    index = repodata(20)
    name, record = package(7)
    digests = {field: record[field].upper() for field in ("md5", "sha256")}
    index["packages.conda"][name] = {**record, **digests, "license": "MIT AND ISC"}
    found = records(entries(written(index, indent=spaces)))
    assert found == {**expected(index), name: {**record, "license": "MIT AND ISC"}}


def test_an_upper_case_name_beside_a_digest_stays() -> None:
    text = b'{"md5":"A","name":"R6","sha256":null}'
    [entry] = entries(b'{"packages":{"a-1-0.conda":%b}}' % text)
    assert metadata(entry) == json.loads(text)


_JSON = st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.text(max_size=5)
_FIELDS = st.sampled_from(["sha256", "md5", "name", '"sha256":"'])
_DIGESTS = st.sampled_from(["AB" * 32, "ab" * 32, "Cd" * 16, "N/A", ""])


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(st.text(max_size=5), st.dictionaries(_FIELDS, _JSON | _DIGESTS)), st.booleans()
)
def test_any_records_are_those_of_json_with_digests_lowered(
    packages: dict[str, dict[str, Any]], spaced: bool
) -> None:
    body = written({"packages": packages}, indent=2 if spaced else None)
    lengths = {"sha256": 64, "md5": 32}
    assert records(entries(body)) == {
        key: {
            name: value.lower()
            if isinstance(value, str) and len(value) == lengths.get(name)
            else value
            for name, value in record.items()
        }
        for key, record in packages.items()
    }


def test_what_is_no_object_is_left_to_the_reader() -> None:
    found = entries(b'{"packages":{"a":null,"b":[1],"c":{"sha256":"%b"}}}' % (b"AB" * 32))
    assert records(found) == {"a": None, "b": [1], "c": {"sha256": "ab" * 32}}


# What is refused


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<!DOCTYPE html><title>Sign in</title>",
        b"{}",
        b'{"info":{"subdir":"noarch"}}',
        b'{"packages":[]}',
        b'{"packages":{"a-1-0.conda":{"size":7}',
        b'{"packages":{},"removed":{}}',
        b'{"packages":{},"info":{"base_url":7}}',
        b'{"packages":{"a-1-0.conda":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        b"[]",
        b"null",
    ],
)
@pytest.mark.parametrize("patient_bytes", [0, 1 << 30])
def test_what_is_no_index_of_a_channel_is_refused(
    body: bytes, patient_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "CONDA_PATIENT_BYTES", patient_bytes)
    with pytest.raises((ValueError, RecursionError)):
        read(body)


# Compressed


def test_a_compressed_document_gives_the_same_entries() -> None:
    body = repodata_bytes(50)
    assert records(entries(compressed(body), url=f"{URL}.zst")) == expected(repodata(50))


def test_several_frames_are_one_document() -> None:
    body = repodata_bytes(50)
    frames = compressed(body[:999]) + compressed(body[999:])
    assert len(entries(frames)) == 50


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (compressed(repodata_bytes(50))[:-7], "cut short"),
        (compressed(b"")[:4] + b"\xff" * 40, "cannot be decompressed"),
        (compressed(b"{}") + b"no frame", "cannot be decompressed"),
        (compressed(b" ") * 1000, "frames"),
    ],
)
def test_a_compressed_document_that_is_not_whole_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read(body)


def test_a_bomb_is_refused_before_it_takes_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A44."""
    monkeypatch.setattr(zstandard, "_ANY_BYTES", 1 << 20)
    bomb = compressed(b"[" * (8 << 20))
    assert len(bomb) * 500 < 8 << 20
    with pytest.raises(ValueError, match="too large"):
        read(bomb)


@pytest.mark.parametrize(("window_log", "is_read"), [(23, True), (24, False)])
def test_no_window_above_8_mib_is_made(window_log: int, is_read: bool) -> None:
    """A44: as RFC 8878 recommends it, whatever the frame asks for."""
    parameters = zstd.ZstdCompressionParameters(window_log=window_log)
    frame = zstd.ZstdCompressor(compression_params=parameters).compressobj()
    body = frame.compress(repodata_bytes(3)) + frame.flush()
    if is_read:
        assert len(entries(body)) == 3
    else:
        with pytest.raises(ValueError, match="too much memory"):
            read(body)


def bounded(body: bytes, counts: list[int], most: int) -> zstandard.BoundedDocument:
    def check_size(count: int) -> None:
        counts.append(count)
        if count > most:
            raise ValueError("more than it may have")

    return zstandard.BoundedDocument.of(Document(URL, body, None, None), check_size)


def test_a_document_is_decompressed_up_to_the_bound_that_it_has() -> None:
    """A44: also spaces, which become no entry."""
    counts: list[int] = []
    most = 2 << 20
    with pytest.raises(ValueError, match="more than it may have"):
        list(conda.read(bounded(compressed(b" " * (16 << 20)), counts, most)))
    assert most < counts[-1] <= most + tuning.DOCUMENT_PIECE_BYTES


def test_the_frames_of_a_document_count_together() -> None:
    """A44."""
    counts: list[int] = []
    frames = compressed(b" " * 1000) * 9
    with pytest.raises(ValueError, match="more than it may have"):
        list(conda.read(bounded(frames, counts, 5500)))
    assert counts[-1] == 6000


def test_a_bound_of_its_own_replaces_that_of_any_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zstandard, "_MOST_BYTES", 1 << 10)
    body = compressed(repodata_bytes(50))
    with pytest.raises(ValueError, match="too large"):
        read(body)
    assert len(list(conda.read(bounded(body, [], 1 << 20)))) == 50


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zstandard, "find_zstd", lambda: None)
    with pytest.raises(ValueError, match="the extra `zstd`"):
        read(compressed(repodata_bytes(1)))


# Shards


def shard_links(**info: str) -> list[Link]:
    index = shards_of(repodata(20), **info).listed
    return [link for link in read(index, url=INDEX) if isinstance(link, Link)]


def test_a_list_of_shards_is_a_link_for_each_name() -> None:
    made = shards_of(repodata(20))
    assert [link.href for link in shard_links()] == list(made.shards)
    assert all(link.leaf for link in shard_links())


def test_shards_give_the_entries_of_the_whole_document() -> None:
    index = repodata(20)
    made = shards_of(index)
    found = [
        entry
        for link in shard_links()
        for entry in entries(made.shards[link.href], url=INDEX, note=link.note)
    ]
    assert records(found) == expected(index)


@pytest.mark.parametrize(
    ("info", "link", "value"),
    [
        ({}, "", "https://conda.example.org/channel/linux-64/"),
        ({"shards_base_url": "./shards/"}, "./shards/", None),
        (
            {"shards_base_url": "https://shards.example.net/x"},
            "https://shards.example.net/x/",
            None,
        ),
        ({"base_url": "../files"}, "", "https://conda.example.org/channel/files/"),
        ({"base_url": "https://files.example.net/"}, "", "https://files.example.net/"),
    ],
)
def test_base_urls_are_relative_to_the_list_of_shards(
    info: dict[str, str], link: str, value: str | None
) -> None:
    made = shards_of(repodata(2), **info)
    for found in shard_links(**info)[:1]:
        name = found.href.removeprefix(link)
        # A shard elsewhere changes nothing: its packages are where the list says.
        [entry] = entries(made.shards[name], url="https://else.example.net/", note=found.note)
        assert value is None or entry.href == value + entry.key


def test_a_shard_with_another_digest_is_refused() -> None:
    made = shards_of(repodata(20))
    first, second = shard_links()[:2]
    with pytest.raises(ValueError, match="not the shard"):
        read(made.shards[second.href], note=first.note)


def test_what_a_shard_removes_is_no_entry() -> None:
    shard = {"packages": {"a-1-0.tar.bz2": {}, "a-2-0.tar.bz2": {}}, "removed": ["a-1-0.tar.bz2"]}
    body = compressed(msgpack.encode(shard))
    found = entries(body, note=f"{hashlib.sha256(body).hexdigest()} https://x.example.org/")
    assert list(records(found)) == ["a-2-0.tar.bz2"]


def test_a_shard_leads_to_no_other_shards() -> None:
    body = msgpack.encode({"shards": {"a": bytes(32)}})
    note = f"{hashlib.sha256(body).hexdigest()} https://x.example.org/"
    assert read(body, note=note) == []


@pytest.mark.parametrize(
    "index",
    [
        {},
        {"shards": {"a": b"short"}},
        {"shards": {"a": "text"}},
        {"shards": []},
        {"shards": {}, "info": {"base_url": 7}},
        {"packages": {}},
    ],
)
def test_what_is_no_list_of_shards_is_refused(index: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own words
        read(msgpack.encode(index), url=INDEX)


@pytest.mark.parametrize(
    "body", [b"\x81", b"\x81\xa6shards\xdf\xff\xff\xff\xff", b"\x81" * 100_000]
)
def test_a_count_is_not_believed(body: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        read(body, url=INDEX)


def test_a_name_without_a_shard_is_passed_over() -> None:
    assert read(msgpack.encode({"shards": {"gone": None}}), url=INDEX) == []


# The hint


@pytest.mark.parametrize(
    ("url", "body"),
    [
        (URL, repodata_bytes(1)),
        (URL, json.dumps(repodata(1), indent=2).encode()),
        (f"{URL}.zst", compressed(repodata_bytes(1))),
        (INDEX, shards_of(repodata(1)).listed),
    ],
)
def test_its_documents_are_recognized(url: str, body: bytes) -> None:
    assert conda.is_likely(Document(url, body, None, None))


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"<html>", b'{"a.csv":{"size":7}}', b"\x28\xb5\x2f\xfd"]
)
def test_others_are_not_recognized(body: bytes) -> None:
    assert not conda.is_likely(Document("https://data.example.org/x", body, None, None))


def test_shards_that_are_bombs_take_little_memory_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conda_shards, "_MOST_SHARD_BYTES", 1 << 20)
    bomb = compressed(bytes(2 << 20))
    note = f"{hashlib.sha256(bomb).hexdigest()} https://conda.example.org/"
    with pytest.raises(ValueError, match="too large"):
        read(bomb, url=INDEX, note=note)
