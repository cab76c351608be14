"""The fields that the reader understands, if they have the right type (FAULTS A5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staticstore import Index
from staticstore.index.fields import Content, parse_media_type, parse_time, time_text
from staticstore.index.hidden import is_packed
from tests.index.strategies import metadata, quick

DIGEST = "0123456789abcdef" * 4
NOTHING = Content(None, None, None, None)


@pytest.mark.parametrize("size", [0, 1, 12, 1 << 40, (1 << 63) - 1])
def test_a_valid_size_is_used(size: int) -> None:
    assert Content.of({"size": size}) == NOTHING._replace(size=size)


@pytest.mark.parametrize(
    "size", [-1, 2.5, 2.0, True, False, 1 << 63, 2**64, "12", None, [12], {}, ""], ids=repr
)
def test_a5_an_invalid_size_is_ignored(size: object) -> None:
    assert Content.of({"size": size}).size is None


@pytest.mark.parametrize("size", [-1, 2.5, True, 2**64, "12"], ids=repr)
def test_a5_an_invalid_size_stays_plain_metadata(size: Any) -> None:
    index = Index.from_entries({"a": {"size": size}})
    assert index["a"] == {"size": size}
    assert list(index.query(size=size)) == [("a", {"size": size})]


def test_a_valid_digest_is_used() -> None:
    assert Content.of({"sha256": DIGEST}) == NOTHING._replace(sha256=DIGEST)


@pytest.mark.parametrize(
    "digest",
    [
        *[DIGEST.upper(), DIGEST[:-1], DIGEST + "0", DIGEST + "\n", f" {DIGEST[1:]}", "g" * 64],
        *["", None, 0, [DIGEST], "sha256:" + DIGEST, "\u0660" * 64],
    ],
    ids=ascii,
)
def test_an_invalid_digest_is_ignored(digest: object) -> None:
    assert Content.of({"sha256": digest}).sha256 is None


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-20T12:00:00Z", datetime(2026, 11, 20, 12, tzinfo=UTC)),
        ("2026-11-20T12:00:00+00:00", datetime(2026, 11, 20, 12, tzinfo=UTC)),
        ("2026-11-20T12:00:00.5Z", datetime(2026, 11, 20, 12, 0, 0, 500_000, tzinfo=UTC)),
        ("2024-02-29T23:59:59.123456Z", datetime(2024, 2, 29, 23, 59, 59, 123_456, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_a_valid_time_in_utc_is_used(text: str, time: datetime) -> None:
    assert parse_time(Content.of({"modified": text}).modified) == time
    assert time.tzinfo is not None


@pytest.mark.parametrize(
    "time",
    [
        *["2026-11-20", "2026-11-20T12:00:00", "2026-11-20 12:00:00Z", "20261120T120000Z"],
        *["2026-11-20T12:00:00+01:00", "2026-11-20T12:00Z", "2026-13-20T12:00:00Z"],
        *["2025-02-29T12:00:00Z", "2026-11-20T25:00:00Z", "2026-11-20T12:60:00Z"],
        *[
            "2026-11-20T12:00:00Z\n",
            " 2026-11-20T12:00:00Z",
            "\u0662\u0660\u0662\u0666-11-20T12:00:00Z",
            "",
            "now",
        ],
        *["0000-01-01T00:00:00Z", "2026-11-20T12:00:00.Z", 1_700_000_000, None, True, [2026]],
    ],
    ids=ascii,
)
def test_an_invalid_time_is_ignored(time: object) -> None:
    assert parse_time(Content.of({"modified": time}).modified) is None


@quick
@given(st.datetimes(timezones=st.just(UTC)))
def test_a_formatted_time_can_be_parsed_again(time: datetime) -> None:
    assert parse_time(time_text(time)) == time


def test_a_time_in_another_zone_is_formatted_in_utc() -> None:
    time = datetime(2026, 11, 20, 1, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert time_text(time) == "2026-11-19T20:00:00Z"


@pytest.mark.parametrize(
    "media_type",
    ["image/tiff", "text/csv; charset=utf-8", "application/geo+json", "x/y;q", "a!#$&^_.+-/b"],
)
def test_a_valid_media_type_is_used(media_type: str) -> None:
    assert parse_media_type(media_type) == media_type


@pytest.mark.parametrize(
    "media_type",
    [
        *["", "text", "text/", "/csv", "text/csv\r\nX-Evil: 1", "text/csv\n", "text csv", "té/x"],
        *["text/csv charset=utf-8", "text/csv; é", "a/b/c", None, 5, ["text/csv"]],
    ],
    ids=ascii,
)
def test_an_invalid_media_type_is_ignored(media_type: object) -> None:
    assert parse_media_type(media_type) is None


@quick
@given(metadata)
def test_content_can_be_made_from_any_metadata(fields: dict[str, Any]) -> None:
    content = Content.of(fields)
    assert content.size is None or content.size == fields["size"]
    assert parse_media_type(fields.get("media_type")) in (None, fields.get("media_type"))
    parse_time(content.modified)


@pytest.mark.parametrize("packed", [["packs/x.zip", 0], ["", 1 << 70]], ids=repr)
def test_a_place_in_a_pack_is_used_and_hidden(packed: list[Any]) -> None:
    assert is_packed(packed)
    assert Index.from_entries({"a": {"packed": packed, "v": 1}})["a"] == {"v": 1}


@pytest.mark.parametrize(
    "packed",
    [[], ["x"], ["x", -1], ["x", 1.0], ["x", True], [1, "x"], ["x", 1, 2], "x", None, {"x": 1}],
    ids=repr,
)
def test_an_invalid_place_in_a_pack_is_plain_metadata(packed: Any) -> None:
    assert not is_packed(packed)
    assert Index.from_entries({"a": {"packed": packed}})["a"] == {"packed": packed}


def test_packed_entries_yields_the_places_in_packs() -> None:
    place = ["packs/x.zip", 7]
    index = Index.from_entries({key: {} for key in map(str, range(200))} | {"b": {"packed": place}})
    changed = index.changed_by({"a": b'{"packed":["packs/x.zip",0]}', "c": b'{"packed":"x"}'})
    assert list(changed.packed_entries()) == [
        ("a", {"packed": ["packs/x.zip", 0]}),
        ("b", {"packed": place}),
    ]
