"""FAULTS A47: what a document of STAC says, also where real ones are irregular."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staticstore.formats import Document, Entry, Link
from staticstore.formats.parsing import parse
from staticstore.formats.stac import is_likely, read

URL = "https://data.example.org/stac/page.json"
SHA256 = "ab" * 32


def document(value: object) -> Document:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Document(URL, body, "application/geo+json", None)


def entries(value: object) -> dict[str, Entry]:
    return {one.key: one for one in read(document(value)) if isinstance(one, Entry)}


def metadata(value: object) -> dict[str, dict[str, Any]]:
    return {key: json.loads(bytes(entry.metadata)) for key, entry in entries(value).items()}  # type: ignore[arg-type]


def links(value: object) -> list[Link]:
    return [one for one in read(document(value)) if isinstance(one, Link)]


def warnings(value: object) -> list[str]:
    return [one for one in read(document(value)) if isinstance(one, str)]


def item(**fields: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "i",
        "assets": {"dem": {"href": "a.tif"}},
        **fields,
    }


def collection_of(*items: object, **fields: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(items), **fields}


def test_a_key_is_collection_item_and_asset() -> None:
    assert list(entries(item(collection="c"))) == ["c/i/dem"]


def test_without_a_collection_a_key_is_item_and_asset() -> None:
    assert list(entries(item(collection=None))) == ["i/dem"]


def test_the_metadata_are_those_of_the_item_and_the_asset() -> None:
    found = metadata(
        item(
            collection="c",
            bbox=[1, 2, 3, 4],
            properties={"datetime": "2024-05-01T00:00:00Z", "gsd": 10},
            assets={"dem": {"href": "a.tif", "title": "Heights", "gsd": 30}},
        )
    )
    assert found["c/i/dem"] == {
        "datetime": "2024-05-01T00:00:00Z",
        "bbox": [1, 2, 3, 4],
        "collection": "c",
        "item": "i",
        "title": "Heights",
        "gsd": 30,  # the asset's own
    }


@pytest.mark.parametrize(
    ("checksum", "field", "digest"),
    [
        ("1220" + SHA256.upper(), "sha256", SHA256),
        ("1340" + "cd" * 64, "sha512", "cd" * 64),
        ("1114" + "ef" * 20, "sha1", "ef" * 20),
        ("D50110" + "01" * 16, "md5", "01" * 16),
    ],
)
def test_a_multihash_says_which_digest_it_is(checksum: str, field: str, digest: str) -> None:
    asset = {"href": "a.tif", "file:checksum": checksum, "file:size": 7, "type": "image/tiff"}
    found = metadata(item(assets={"dem": asset}))["i/dem"]
    assert (found[field], found["size"], found["media_type"]) == (digest, 7, "image/tiff")


@pytest.mark.parametrize(
    "checksum", [SHA256, "1220ab", "1230" + SHA256, 5, None, "d50120" + "0" * 64]
)
def test_any_other_checksum_is_plain_metadata(checksum: object) -> None:
    found = metadata(item(assets={"dem": {"href": "a.tif", "file:checksum": checksum}}))["i/dem"]
    assert found == {"item": "i", "file:checksum": checksum}


def test_the_time_of_an_asset_is_that_of_its_value() -> None:
    asset = {"href": "a.tif", "updated": "2024-05-01T00:00:00Z"}
    found = metadata(item(properties={"updated": "2020-01-01T00:00:00Z"}, assets={"dem": asset}))
    assert found["i/dem"]["modified"] == "2024-05-01T00:00:00Z"


def test_fields_of_an_item_say_nothing_of_the_bytes_of_its_assets() -> None:
    properties = {"size": 5, "sha256": SHA256, "packed": ["packs/x.zip", 0], "shape": {"size": 1}}
    assert metadata(item(properties=properties))["i/dem"] == {
        "properties.size": 5,
        "properties.sha256": SHA256,
        "properties.packed": ["packs/x.zip", 0],
        "shape": {"size": 1},
        "item": "i",
    }


# How an asset's place is taken out of its text


@pytest.mark.parametrize(
    "text",
    [
        b'{"href":"a.tif","n":1}',
        b'{"n":1,"href":"a.tif"}',
        b'{ "n" : 1 , "href" : "a.tif" }',
        b'{"n":1,"hr\\u0065f":"a.tif"}',
        b'{"n":1,"href":"a.tif","href":"a.tif"}',
    ],
)
def test_the_metadata_do_not_say_where_an_asset_is(text: bytes) -> None:
    body = b'{"type":"Feature","id":"i","assets":{"dem":%b}}' % text
    assert entries(body)["i/dem"].href == "a.tif"
    assert metadata(body)["i/dem"] == {"item": "i", "n": 1}


def test_an_href_inside_of_an_asset_stays() -> None:
    asset = {"alternate": {"s3": {"href": "s3://bucket/a.tif"}}, "href": "a.tif"}
    found = metadata(item(assets={"dem": asset}))["i/dem"]
    assert found["alternate"] == {"s3": {"href": "s3://bucket/a.tif"}}


@pytest.mark.parametrize("href", ['a"b', "a\\b", 'a","x":"b', "ü/日本.tif"])
def test_an_href_may_hold_any_text(href: str) -> None:
    body = item(assets={"dem": {"n": 1, "href": href, "m": 2}})
    assert entries(body)["i/dem"].href == href
    assert metadata(body)["i/dem"] == {"item": "i", "n": 1, "m": 2}


NASTY = [
    "href",
    '"href"',
    '"href": "x",',
    "hr\\u0065f",
    "\\",
    '"',
    "{",
    "}",
    ",",
    "size",
    "n",
    "é",
    "",
]
values = st.recursive(
    st.none() | st.integers(-9, 9) | st.sampled_from(NASTY),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NASTY), inner, max_size=3)
    ),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from(NASTY), values, max_size=5)


@settings(deadline=None, max_examples=60)
@given(objects, objects, st.sampled_from(NASTY), st.sampled_from([",", " , "]), st.booleans())
def test_whatever_is_in_it_an_asset_has_the_fields_of_both(
    properties: dict[str, Any], asset: dict[str, Any], href: str, comma: str, ascii_only: bool
) -> None:
    made = item(properties=properties, assets={"a": {**asset, "href": href}})
    body = json.dumps(made, separators=(comma, " : "), ensure_ascii=ascii_only).encode()
    (entry,) = entries(body).values()
    of_item = {f"properties.{k}" if k == "size" else k: v for k, v in properties.items()}
    of_asset = {name: value for name, value in asset.items() if name != "href"}
    assert entry.href == href
    assert metadata(body)["i/a"] == {**of_item, **of_asset, "item": "i"}


# Links


def test_children_items_and_pages_are_followed_and_items_are_leaves() -> None:
    found = links(
        {
            "type": "Catalog",
            "id": "c",
            "links": [
                {"rel": "self", "href": "catalog.json"},
                {"rel": "child", "href": "./a/catalog.json"},
                {"rel": "item", "href": "./i.json"},
                {"rel": "items", "href": "https://api.example.org/items"},
            ],
        }
    )
    assert found == [
        Link("./a/catalog.json"),
        Link("./i.json", leaf=True),
        Link("https://api.example.org/items"),
    ]


def test_the_next_page_of_an_item_collection_is_followed() -> None:
    page = collection_of(item(), links=[{"rel": "next", "href": "?page=2", "method": "GET"}])
    assert links(page) == [Link("?page=2")]


def test_an_item_leads_no_further() -> None:
    assert (
        links(item(links=[{"rel": "next", "href": "b.json"}, {"rel": "child", "href": "c"}])) == []
    )


def test_a_list_of_collections_leads_to_their_items() -> None:
    items = [{"rel": "items", "href": "collections/a/items"}]
    found = {"collections": [{"id": "a", "type": "Collection", "links": items}], "links": []}
    assert links(found) == [Link("collections/a/items")]


def test_an_asset_of_a_collection_is_a_value() -> None:
    found = {"type": "Collection", "id": "c", "links": [], "assets": {"map": {"href": "map.png"}}}
    assert metadata(found) == {"c/map": {"collection": "c"}}


def test_a_page_that_has_to_be_posted_for_is_an_error() -> None:
    """Its items would be missing, and so seem deleted."""
    page = collection_of(links=[{"rel": "next", "href": "search", "method": "POST", "body": {}}])
    with pytest.raises(ValueError, match="its next link has to be asked for by POST"):
        links(page)


# Irregularities of real documents


@pytest.mark.parametrize(
    "kind", ["text/html", "application/vnd.apache.parquet", "application/ld+json"]
)
def test_another_form_of_the_same_page_is_not_followed(kind: str) -> None:
    """OGC API Features: one link for each media type."""
    found = [
        {"rel": "items", "href": "a", "type": kind},
        {"rel": "items", "href": "b", "type": "application/geo+json; charset=utf-8"},
    ]
    assert links({"type": "Collection", "id": "c", "links": found}) == [Link("b")]


@pytest.mark.parametrize("assets", [None, [], "none", {}])
def test_an_item_may_be_without_assets(assets: object) -> None:
    assert list(read(document(item(assets=assets)))) == []


@pytest.mark.parametrize("bbox", [None, "1,2,3,4", {}])
def test_a_box_that_is_none_is_left_out(bbox: object) -> None:
    assert metadata(item(bbox=bbox, properties=None))["i/dem"] == {"item": "i"}


def test_an_id_may_be_a_number_and_hold_slashes() -> None:
    assert list(entries(item(id=17, collection="landsat/08"))) == ["landsat/08/17/dem"]


def test_in_version_0_6_the_collection_is_a_property() -> None:
    old = item(stac_version="0.6.1", properties={"collection": "c"})
    assert list(entries(old)) == ["c/i/dem"]
    assert list(entries({**old, "stac_version": "1.0.0"})) == ["i/dem"]


def test_before_1_0_a_multihash_has_another_name() -> None:
    asset = {"href": "a.tif", "checksum:multihash": "1220" + SHA256}
    old = item(stac_version="0.9.0", assets={"dem": asset})
    assert metadata(old)["i/dem"]["sha256"] == SHA256


def test_a_catalog_before_1_0_has_no_type() -> None:
    found = {"stac_version": "0.8.1", "id": "c", "links": [{"rel": "child", "href": "a.json"}]}
    assert links(found) == [Link("a.json")]


def test_a_byte_order_mark_is_passed_over() -> None:
    assert list(entries(b"\xef\xbb\xbf" + json.dumps(item()).encode())) == ["i/dem"]


def test_in_a_page_a_relative_asset_is_relative_to_its_item() -> None:
    own = [{"rel": "self", "href": "https://other.example.org/items/i.json"}]
    page = collection_of(item(links=own), item(id="j"), item(id="k", links=[None, {"rel": "self"}]))
    assert {key: entry.href for key, entry in entries(page).items()} == {
        "i/dem": "https://other.example.org/items/a.tif",
        "j/dem": "a.tif",
        "k/dem": "a.tif",
    }


def test_an_absolute_asset_in_a_page_stays() -> None:
    own = [{"rel": "self", "href": "https://other.example.org/items/i.json"}]
    page = collection_of(item(links=own, assets={"dem": {"href": "s3://bucket/a.tif"}}))
    assert entries(page)["i/dem"].href == "s3://bucket/a.tif"


@pytest.mark.parametrize("asset", [None, 5, [], {}, {"href": None}, {"href": ["a.tif"]}])
def test_an_asset_without_an_href_is_left_out_and_reported(asset: object) -> None:
    found = item(assets={"bad": asset, "dem": {"href": "a.tif"}})
    assert list(entries(found)) == ["i/dem"]
    assert warnings(found) == ["'i/bad' is left out: it has no href"]


def test_what_is_no_item_is_left_out_and_reported() -> None:
    page = collection_of(None, "i", item(id=None, collection="c"), item())
    assert list(entries(page)) == ["i/dem"]
    assert warnings(page) == [
        "an item is left out: it is no object",
        "an item is left out: it is no object",
        "an item of c is left out: it has no id",
    ]


@pytest.mark.parametrize("kind", [["a"], {}, 5, None])
def test_a_link_of_an_unknown_kind_is_passed_over(kind: object) -> None:
    found = {
        "type": "Catalog",
        "id": "c",
        "links": [{"rel": kind, "href": "a"}, 5, None, {"rel": "child"}],
    }
    assert links(found) == []


# Bad input


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<!DOCTYPE html><html></html>",
        b"[]",
        b"null",
        b"{}",
        b'{"type":"Feature","id":"i","assets":{"a":{"href":"x","n":NaN}}}',
        b'{"type":"Feature","id":"i","assets":{"a":{"href":"x"}',
        b'{"type":"FeatureCollection","features":{}}',
        b'{"type":"FeatureCollection","features":[]' + b',"x":[' * 100_000,
    ],
)
def test_what_is_no_document_of_stac_is_refused(body: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        list(read(document(body)))


def test_the_same_document_gives_the_same() -> None:
    page = document(collection_of(item(), item(id="j", collection="c"), 5, links=[]))
    assert list(read(page)) == list(read(page))


def test_a_document_is_recognized_by_its_version() -> None:
    assert is_likely(document(item()))
    assert not is_likely(document({"type": "FeatureCollection", "features": []}))
    assert not is_likely(document(b'<p>"stac_version"</p>'))


def test_an_item_whose_links_are_no_list_spoils_no_other() -> None:
    items = [{"id": "a", "links": {"rel": "self"}, "assets": {"d": {"href": "a.tif"}}}]
    items.append({"id": "b", "assets": {"d": {"href": "b.tif"}}})
    body = json.dumps({"type": "FeatureCollection", "features": items}).encode()
    found = read(Document("https://data.example.org/items.json", body, None, None))
    assert [one.href for one in found if isinstance(one, Entry)] == ["a.tif", "b.tif"]


# Memory

NOTHING: list[Any] = [[]] * 300_000  # takes 20 times its text as objects


@pytest.mark.parametrize(
    "found",
    [
        item(assets=NOTHING),
        item(assets={"dem": NOTHING}),
        item(assets={"dem": {"href": NOTHING}}),
        item(assets={"dem": {"href": "a.tif", "file:checksum": NOTHING}}),
        item(id=NOTHING),
        item(type=NOTHING, links=[]),
        collection_of(NOTHING),
        collection_of(item(collection=NOTHING)),
    ],
)
def test_what_stands_where_something_else_should_makes_no_objects(found: object) -> None:
    page = document(found)
    tracemalloc.start()
    try:
        assert len(list(read(page))) <= 1
        assert tracemalloc.get_traced_memory()[1] <= 3 * len(page.body)
    finally:
        tracemalloc.stop()


def test_assets_share_the_properties_of_their_item_in_memory() -> None:
    assets = {f"a{number}": {"href": f"{number}.tif"} for number in range(1000)}
    page = document(item(properties={"text": "x" * 100_000}, assets=assets))
    tracemalloc.start()
    try:
        found = parse(read, page, URL)
        assert tracemalloc.get_traced_memory()[0] <= 10 * len(page.body)
    finally:
        tracemalloc.stop()
    assert found.size > 100_000_000  # as many bytes as the texts have that are made of it
    assert sum(len(bytes(text)) for text in found.entries.values()) > 100_000_000


def test_a_text_is_the_same_whenever_it_is_made() -> None:
    asset = {"href": "a.tif", "type": "image/tiff", "file:checksum": "1220" + SHA256}
    page = document(item(assets={"dem": asset}))
    before, after = parse(read, page, URL).entries, parse(read, page, URL).entries
    assert bytes(before["i/dem"]) == bytes(before["i/dem"]) == bytes(after["i/dem"])
