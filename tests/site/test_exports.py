"""FAULTS F23: the index in other forms, complete, kept up, and never over files of others."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staticstore import StoreError, mirror, publish, push, verify_site
from staticstore.formats import Document, Entry, reader_of
from staticstore.index.fields import key_problem
from staticstore.index.snapshot import Index
from staticstore.site.documents.exports import EXPORTS, changed_pieces, rendered_pieces
from staticstore.site.exports import checked_names
from tests.killing import killed

from .killed_update import change
from .sitefolder import fill, index_of, make_site, tree

ALL = sorted(EXPORTS)
FILES = {
    "a.csv": b"x\n1\n",
    "b c/#d'e\".txt": b"2",
    "back\\slash": b"3",
    "é/日本 100%.tif": b"4",
    "-begins": b"",
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return make_site(tmp_path / "site", FILES)


def exports_of(site: Path) -> dict[str, bytes]:
    """Return the bytes of the exports that are there, by name."""
    paths = {name: site / export.file for name, export in EXPORTS.items()}
    return {name: path.read_bytes() for name, path in paths.items() if path.exists()}


def rendered(site: Path) -> dict[str, bytes]:
    """Return all exports of the index that is published, made anew."""
    items = [(key, entry) for key, entry in index_of(site).items()]
    return {
        name: b"".join(rendered_pieces(export, "data/", None, items))
        for name, export in EXPORTS.items()
    }


def features(site: Path) -> dict[str, dict[str, Any]]:
    found = json.loads((site / "items.json").read_bytes())["features"]
    return {one["id"]: one for one in found}


def resources(site: Path) -> dict[str, dict[str, Any]]:
    found = json.loads((site / "datapackage.json").read_bytes())["resources"]
    return {one["name"]: one for one in found}


# What they say


@pytest.mark.parametrize("name", ALL)
def test_our_own_form_reads_the_same_keys_and_digests(site: Path, name: str) -> None:
    """Their keys are paths from the root, but for STAC, which has ids."""
    publish(site, also=[name])
    body = (site / EXPORTS[name].file).read_bytes()
    url = f"https://data.example.org/{EXPORTS[name].file}"
    read = list(reader_of(name)(Document(url, body, None, None)))
    above = "" if name == "stac" else "data/"
    found = {}
    for one in read:
        assert isinstance(one, Entry)
        metadata: Any = one.metadata
        metadata = metadata if isinstance(metadata, dict) else json.loads(bytes(metadata))
        found[one.key] = metadata["sha256"]
    assert found == {above + key: entry["sha256"] for key, entry in index_of(site).items()}


any_keys = st.sets(st.text(min_size=1).filter(lambda key: key_problem(key) is None), max_size=6)


@settings(deadline=None, max_examples=60)
@given(any_keys, any_keys)
def test_any_keys_are_read_again_and_replaced(keys: set[str], others: set[str]) -> None:
    digests = {key: hashlib.sha256(key.encode()).hexdigest() for key in keys | others}
    entries = {key: {"size": 1, "sha256": digests[key]} for key in sorted(keys)}
    changes = {key: None if key in keys else {"size": 1, "sha256": digests[key]} for key in others}
    left = sorted(keys ^ others)
    for name, export in EXPORTS.items():
        text = b"".join(rendered_pieces(export, "data/", None, entries.items()))
        text = b"".join(changed_pieces(export, "data/", text, changes))
        if not left and name in ("pooch", "sums"):
            assert text == b""
            continue
        document = Document(f"https://data.example.org/{export.file}", text, None, None)
        above = "" if name == "stac" else "data/"
        found = [one.key for one in reader_of(name)(document) if isinstance(one, Entry)]
        assert found == [above + key for key in left]


@pytest.mark.parametrize("program", ["sha256sum", "shasum"])
def test_the_checksums_are_checked_by(site: Path, program: str) -> None:
    if (path := shutil.which(program)) is None:
        pytest.skip(f"{program} is not installed")
    publish(site, also=["sums"])
    options = ["-a", "256"] if program == "shasum" else ["--strict"]
    command = [path, *options, "-c", "SHA256SUMS"]
    checked = subprocess.run(command, cwd=site, capture_output=True, text=True, check=True)
    assert checked.stdout.count(": OK\n") == len(FILES)


def test_an_item_has_the_box_and_the_time_of_its_entry(site: Path) -> None:
    fields = {"bbox": [8, 46, 10, 47], "datetime": "2024-05-01T10:00:00Z", "title": "A"}
    publish(site, metadata={"a.csv": fields}, also=["stac"])
    found = features(site)["a.csv"]
    assert found["bbox"] == [8, 46, 10, 47]
    assert found["geometry"]["coordinates"] == [[[8, 46], [10, 46], [10, 47], [8, 47], [8, 46]]]
    assert found["properties"] == {"datetime": "2024-05-01T10:00:00Z", "title": "A"}


def test_the_time_of_an_item_is_else_that_of_its_value(site: Path) -> None:
    publish(site, also=["stac"])
    assert features(site)["a.csv"]["properties"] == {
        "datetime": index_of(site)["a.csv"]["modified"]
    }


def test_a_date_is_the_beginning_of_its_day(site: Path) -> None:
    publish(site, metadata={"a.csv": {"datetime": "2024-05-01"}}, also=["stac"])
    assert features(site)["a.csv"]["properties"] == {
        "datetime": "2024-05-01T00:00:00Z",
        "staticstore:datetime": "2024-05-01",
    }


def test_of_a_span_the_time_is_null(site: Path) -> None:
    span = {"start_datetime": "2024-05-01T00:00:00Z", "end_datetime": "2024-06-01T00:00:00Z"}
    publish(site, metadata={"a.csv": span}, also=["stac"])
    assert features(site)["a.csv"]["properties"] == {**span, "datetime": None}


def test_a_box_across_the_antimeridian_is_cut_there(site: Path) -> None:
    publish(site, metadata={"a.csv": {"bbox": [170, -20, -170, -10]}}, also=["stac"])
    geometry = features(site)["a.csv"]["geometry"]
    assert geometry["type"] == "MultiPolygon"
    assert [part[0][0][0] for part in geometry["coordinates"]] == [170, -180]


@pytest.mark.parametrize(
    "box", [[600000, 5200000, 610000, 5210000], "8,46,10,47", [1, 2], [0, 9, 1, 8]]
)
def test_what_is_no_box_in_degrees_is_prefixed(site: Path, box: object) -> None:
    publish(site, metadata={"a.csv": {"bbox": box}}, also=["stac"])
    found = features(site)["a.csv"]
    assert found["geometry"] is None
    assert "bbox" not in found
    assert found["properties"]["staticstore:bbox"] == box


def test_fields_that_stac_defines_otherwise_are_prefixed(site: Path) -> None:
    fields = {"license": "see the file", "gsd": "10 m", "providers": "us", "type": "raster"}
    publish(site, metadata={"a.csv": fields}, also=["stac"])
    found = features(site)["a.csv"]["properties"]
    del found["datetime"]
    assert found == {
        "staticstore:license": "see the file",
        "staticstore:gsd": "10 m",
        "staticstore:providers": "us",
        "type": "raster",  # an item's properties have none
    }


def test_fields_that_data_packages_define_otherwise_are_prefixed(site: Path) -> None:
    fields = {"type": "raster", "schema": 5, "title": "A", "path": "x", "bbox": [1, 2, 3, 4]}
    publish(site, metadata={"a.csv": fields}, also=["datapackage"])
    found = resources(site)["a.csv"]
    assert found["path"] == "data/a.csv"
    assert found["hash"] == f"sha256:{index_of(site)['a.csv']['sha256']}"
    kept = {name: found[name] for name in ("title", "bbox", "bytes", "mediatype")}
    assert kept == {"title": "A", "bbox": [1, 2, 3, 4], "bytes": 4, "mediatype": "text/csv"}
    prefixed = {name: value for name, value in found.items() if name.startswith("staticstore:")}
    assert prefixed == {
        "staticstore:type": "raster",
        "staticstore:schema": 5,
        "staticstore:path": "x",
    }


def test_a_data_package_has_the_words_of_the_site(site: Path) -> None:
    (site / "about.toml").write_text(
        'title = "Ilvar"\nlicense = "CC-BY-4.0"\ncontact = "Office"\nkeywords = ["snow"]\n'
        'cite_as = "Office 2026"\n'
    )
    publish(site, also=["datapackage"])
    found = json.loads((site / "datapackage.json").read_bytes())
    del found["resources"], found["$schema"]
    assert found == {
        "title": "Ilvar",
        "licenses": [{"name": "CC-BY-4.0"}],
        "contributors": [{"title": "Office"}],
        "keywords": ["snow"],
        "staticstore:cite_as": "Office 2026",
    }


def test_values_elsewhere_than_in_data_have_their_own_path(site: Path) -> None:
    (site / "data").rename(site / "rasters")
    publish(site, data="rasters", also=ALL)
    assert b"  rasters/a.csv\n" in (site / "SHA256SUMS").read_bytes()
    assert features(site)["a.csv"]["assets"]["data"]["href"] == "rasters/a.csv"


def test_an_empty_site_has_empty_exports(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site", {})
    publish(site, also=ALL)
    assert (site / "SHA256SUMS").read_bytes() == b""
    assert features(site) == resources(site) == {}
    fill(site / "data", {"a": b"a"})
    publish(site)
    assert exports_of(site) == rendered(site)


# When they are written


def test_they_are_kept_up_by_each_publish(site: Path) -> None:
    publish(site, also=ALL)
    assert exports_of(site) == rendered(site)
    fill(site / "data", {"a.csv": b"other", "new": b"5"})
    (site / "data" / "back\\slash").unlink()
    publish(site)
    assert "new" in features(site)
    assert exports_of(site) == rendered(site)


def test_few_changes_make_only_their_lines_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(tmp_path / "site", {f"{number:03}": b"%d" % number for number in range(60)})
    publish(site, also=ALL)
    fill(site / "data", {"000": b"first", "030": b"other", "zz": b"last"})
    (site / "data" / "059").unlink()
    made: list[str] = []
    for name, export in EXPORTS.items():

        def line(data_path: str, key: str, entry: Any, export: Any = export) -> bytes:
            made.append(key)
            return bytes(export.line(data_path, key, entry))

        monkeypatch.setitem(EXPORTS, name, export._replace(line=line))
    publish(site)
    assert sorted(set(made)) == ["000", "030", "zz"]
    monkeypatch.undo()
    assert exports_of(site) == rendered(site)


def test_any_changes_give_what_all_lines_give() -> None:
    entries = {
        f"k{number:02}": {"size": number, "sha256": f"{number:064x}"} for number in range(12)
    }
    for name, export in EXPORTS.items():

        def text(some: dict[str, Any], export: Any = export) -> bytes:
            return b"".join(rendered_pieces(export, "data/", None, sorted(some.items())))

        for old in ({}, {"k05": entries["k05"]}, dict(list(entries.items())[2:9:2]), entries):
            for keys in ([], ["k05"], ["k00", "k11"], ["k08", "k09", "k10"], list(entries)):
                for changes in (
                    dict.fromkeys(keys),
                    {key: entries[key] for key in keys},
                    {key: {"size": 99, "sha256": "f" * 64} for key in keys},
                ):
                    merged = {**old, **changes}
                    new = {key: entry for key, entry in merged.items() if entry is not None}
                    changed = b"".join(changed_pieces(export, "data/", text(old), changes))
                    assert changed == text(new), name


def test_a_publish_that_changes_nothing_writes_nothing(site: Path) -> None:
    publish(site, also=ALL)
    before = tree(site)
    publish(site)
    publish(site, also=ALL)
    (site / ".staticstore" / "last.json").unlink()  # so that all is looked at
    publish(site)
    assert tree(site) == before


def test_they_begin_on_a_site_that_is_published_already(site: Path) -> None:
    before = publish(site).generation
    assert publish(site, also=["sums"]).generation == before
    assert exports_of(site) == {"sums": rendered(site)["sums"]}


def test_an_empty_list_removes_them(site: Path) -> None:
    publish(site, also=ALL)
    publish(site, also=[])
    assert exports_of(site) == {}
    publish(site)
    assert exports_of(site) == {}


def test_another_list_removes_those_that_it_lacks(site: Path) -> None:
    publish(site, also=["pooch", "sums"])
    publish(site, also=["stac"])
    assert list(exports_of(site)) == ["stac"]


def test_one_that_was_deleted_is_written_again(site: Path) -> None:
    publish(site, also=["sums", "stac"])
    (site / "SHA256SUMS").unlink()
    publish(site)
    assert exports_of(site).keys() == {"sums", "stac"}


def test_a_dry_run_writes_none(site: Path) -> None:
    publish(site, also=ALL, dry_run=True)
    assert exports_of(site) == {}


def test_new_words_of_the_site_are_in_the_next_data_package(site: Path) -> None:
    publish(site, also=["datapackage"])
    (site / "about.toml").write_text('title = "Ilvar"\n')
    publish(site)
    assert json.loads((site / "datapackage.json").read_bytes())["title"] == "Ilvar"


def test_a_name_of_no_export_is_an_error(site: Path) -> None:
    with pytest.raises(
        ValueError, match="the exports are pooch, sums, stac, datapackage, not 'zip'"
    ):
        publish(site, also=["sums", "zip"])
    assert checked_names("stac" for _ in range(2)) == ["stac"]


# Files of others


@pytest.mark.parametrize("name", ALL)
def test_a_file_of_others_is_never_replaced(site: Path, name: str) -> None:
    path = site / EXPORTS[name].file
    path.write_bytes(b"mine\n")
    with pytest.raises(StoreError, match="is not replaced by an export"):
        publish(site, also=[name])
    assert path.read_bytes() == b"mine\n"
    assert not (site / "index.json").exists()


def test_without_the_option_a_file_of_others_does_not_matter(site: Path) -> None:
    (site / "SHA256SUMS").write_bytes(b"mine\n")
    publish(site)
    publish(site, also=["stac"])
    publish(site, also=[])
    assert exports_of(site) == {"sums": b"mine\n"}


def test_a_file_that_others_have_changed_is_never_replaced_nor_removed(site: Path) -> None:
    publish(site, also=["sums"])
    (site / "SHA256SUMS").write_bytes(b"mine\n")
    fill(site / "data", {"new": b"5"})
    with pytest.raises(StoreError, match="is not replaced by an export"):
        publish(site)
    assert "new" not in index_of(site)
    publish(site, also=[])
    assert exports_of(site) == {"sums": b"mine\n"}


@pytest.mark.skipif(os.name == "nt", reason="needs symbolic links")
def test_nothing_is_written_through_a_link(site: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"mine\n")
    publish(site, also=["sums"])
    (site / "SHA256SUMS").unlink()
    (site / "SHA256SUMS").symlink_to(other)
    fill(site / "data", {"new": b"5"})
    with pytest.raises(StoreError, match="is not replaced by an export"):
        publish(site)
    assert other.read_bytes() == b"mine\n"


def test_in_a_fresh_checkout_what_the_index_makes_is_ours(site: Path) -> None:
    publish(site, also=["sums", "stac"])
    shutil.rmtree(site / ".staticstore")
    fill(site / "data", {"new": b"5"})
    publish(site)
    assert exports_of(site) == {name: rendered(site)[name] for name in ("sums", "stac")}


def test_in_a_fresh_checkout_any_other_file_is_of_others(site: Path) -> None:
    publish(site, also=["sums", "stac"])
    shutil.rmtree(site / ".staticstore")
    (site / "SHA256SUMS").write_bytes((site / "SHA256SUMS").read_bytes() + b"\n")
    fill(site / "data", {"new": b"5"})
    publish(site)
    assert exports_of(site)["sums"].endswith(b"\n\n")
    assert "new" in features(site)


@pytest.mark.parametrize(
    "note",
    [b"", b"[]", b'{"format":"staticstore-also/1"}', b'{"format":"staticstore-also/1","files":5}'],
)
def test_with_a_damaged_note_what_the_index_makes_is_ours(site: Path, note: bytes) -> None:
    publish(site, also=["sums", "stac"])
    (site / ".staticstore" / "also.json").write_bytes(note)
    (site / "items.json").write_bytes(b"mine\n")
    fill(site / "data", {"new": b"5"})
    publish(site)
    assert exports_of(site) == {"sums": rendered(site)["sums"], "stac": b"mine\n"}


@pytest.mark.parametrize(
    "index", [b"<html>", b"[]", b'{"a.csv": {}}', b'{"a.csv": {"size": 1, "sha256": 5}}']
)
def test_with_a_damaged_index_no_file_is_ours(site: Path, index: bytes) -> None:
    publish(site, also=["sums", "stac"])
    shutil.rmtree(site / ".staticstore")
    (site / "index.head.json").unlink()
    (site / "index.json").write_bytes(index)
    before = exports_of(site)
    fill(site / "data", {"new": b"5"})
    publish(site, force=True)
    assert exports_of(site) == before


def test_a_note_names_no_other_file(site: Path) -> None:
    publish(site, also=["sums"])
    path = site / ".staticstore" / "also.json"
    note = json.loads(path.read_bytes())
    note["files"]["../../victim"] = note["files"]["sums"]
    path.write_text(json.dumps(note))
    publish(site, also=[])
    assert exports_of(site) == {}


def test_f1_killed_at_any_instant_the_next_publish_knows_its_exports(
    tmp_path: Path, memory_path: Path
) -> None:
    files = {**{f"f{number:02}": b"%d" % number for number in range(40)}, "a/f03": b"3"}
    site = make_site(tmp_path / "site", files)
    publish(site, also=["datapackage", "sums"])
    old = (site / "index.json").read_bytes()
    survived = killed("tests.site.killed_update", site, memory_path)
    assert survived >= 20
    change(site)
    publish(site)
    new = (site / "index.json").read_bytes()
    seen = []
    for number in range(survived + 1):
        copy = memory_path / str(number)
        seen.append((copy / "index.json").read_bytes())
        fill(copy / "data", {"after": b"what was published does not come again"})
        publish(copy)
        found = rendered(copy)
        assert exports_of(copy) == {name: found[name] for name in ("datapackage", "sums")}
        assert verify_site(copy).wrong == []
    assert seen == sorted(seen, key=[old, new].index)
    assert set(seen) == {old, new}


# What is done with them


def test_check_says_which_are_not_of_the_index(site: Path) -> None:
    publish(site, also=["sums", "stac", "pooch"])
    assert verify_site(site).wrong == []
    (site / "SHA256SUMS").unlink()
    (site / "items.json").write_bytes(b"{}")
    assert sorted(verify_site(site).wrong) == [
        ("SHA256SUMS", "there is no such file: publish the site again"),
        ("items.json", "it is not of this index: publish the site again"),
    ]


def test_a_mirror_leaves_them_out(site: Path, tmp_path: Path) -> None:
    from staticstore import StaticStore

    publish(site, also=ALL)
    with StaticStore(site, poll_interval=0) as store:
        mirror(store, tmp_path / "copy")
    assert exports_of(tmp_path / "copy") == {}


def test_a_push_brings_them_before_the_index(site: Path, tmp_path: Path) -> None:
    publish(site, also=ALL)
    target = tmp_path / "host"
    uploaded = push(site, target).uploaded
    assert exports_of(target) == exports_of(site)
    order = [uploaded.index(name) for name in ("data/a.csv", "SHA256SUMS", "index.json")]
    assert order == sorted(order)


def test_a_push_uploads_only_those_that_have_changed(site: Path, tmp_path: Path) -> None:
    publish(site, also=["sums", "datapackage"])
    target = tmp_path / "host"
    push(site, target)
    assert push(site, target).uploaded == []
    (site / "about.toml").write_text('title = "Ilvar"\n')
    publish(site)
    uploaded = push(site, target).uploaded
    assert "datapackage.json" in uploaded
    assert "SHA256SUMS" not in uploaded


def test_a_push_with_delete_removes_those_that_are_gone(site: Path, tmp_path: Path) -> None:
    publish(site, also=["sums", "stac"])
    target = tmp_path / "host"
    push(site, target)
    publish(site, also=["stac"])
    assert push(site, target).left == 1
    assert push(site, target, delete=True).deleted == ["SHA256SUMS"]
    assert list(exports_of(target)) == ["stac"]


def test_a_push_replaces_no_file_of_others(
    site: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish(site)
    target = tmp_path / "host"
    push(site, target)
    (target / "SHA256SUMS").write_bytes(b"mine\n")
    publish(site, also=["sums", "stac"])
    push(site, target, delete=True)
    assert exports_of(target).keys() == {"sums", "stac"}
    assert exports_of(target)["sums"] == b"mine\n"
    assert "SHA256SUMS is not pushed" in caplog.text


def test_a_push_refuses_exports_of_another_index(site: Path, tmp_path: Path) -> None:
    publish(site, also=["sums"])
    (site / "SHA256SUMS").unlink()
    with pytest.raises(StoreError, match="'SHA256SUMS': it is missing, or of another"):
        push(site, tmp_path / "host")


def test_an_export_is_of_the_index_as_any_reader_reads_it(site: Path) -> None:
    publish(site, also=ALL)
    index = Index.parse((site / "index.json").read_bytes())
    assert set(index) == features(site).keys() == resources(site).keys()


@pytest.mark.parametrize("wanted", [True, False])
def test_what_is_no_list_of_exports_is_an_error_with_an_example(site: Path, wanted: bool) -> None:
    with pytest.raises(TypeError, match="also takes names of exports, such as"):
        publish(site, also=wanted)  # type: ignore[arg-type]
