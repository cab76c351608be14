"""What is noted of the last publish may be damaged, of another site, or made by an attacker."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from staticstore.index import codec
from staticstore.site.guards import RefusedError
from staticstore.site.publisher import publish, verify_site

from ..sitefolder import THEN, fill, index_of, make_site

FILES = {f"f{number:02}": b"%d" % number for number in range(40)}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = make_site(tmp_path / "site", FILES)
    publish(folder, pack=True)
    return folder


def forge(site: Path, /, **fields: Any) -> None:
    """Change fields of the note on the last publish, so that it stays current."""
    path = site / ".staticstore" / "last.json"
    path.write_text(json.dumps(noted(site) | fields))


def noted(site: Path) -> dict[str, Any]:
    note: dict[str, Any] = json.loads((site / ".staticstore" / "last.json").read_bytes())
    return note


def leave(site: Path) -> None:
    pass


def change(site: Path) -> None:
    fill(site / "data", {"f07": b"changed"})


@pytest.mark.parametrize("edit", [leave, change])
@pytest.mark.parametrize(
    "fields",
    [
        {"report": {}},
        {"report": {"entries": "40"}},
        {"report": []},
        {"left_out": [["a", "b", "c"]]},
        {"packs": {"packs/x": 1}},
        {"packs": []},
        {"packs": {}},
        {"exempt": {}},
        {"until": "never"},
        {"site": None},
        {"site": [1, "x", [[]]]},
    ],
)
def test_a_note_that_cannot_be_right_changes_nothing(
    site: Path, tmp_path: Path, fields: dict[str, Any], edit: Callable[[Path], None]
) -> None:
    other = make_site(tmp_path / "other", FILES)
    for folder in (site, other):
        edit(folder)
    forge(site, **fields)
    publish(site, pack=True)
    publish(other, pack=True)
    hide = {"packed": None}
    assert {key: value | hide for key, value in index_of(site).items()} == {
        key: value | hide for key, value in index_of(other).items()
    }
    assert verify_site(site).wrong == []


@pytest.mark.parametrize("edit", [leave, change])
def test_no_href_of_a_note_leads_out_of_the_site(site: Path, edit: Callable[[Path], None]) -> None:
    outside = site.parent / "outside"
    outside.write_text("x")
    os.utime(outside, (THEN, THEN))
    forge(site, packs={**noted(site)["packs"], "../outside": [1, 0, 0]})
    edit(site)
    publish(site, pack=True)
    assert outside.stat().st_mtime == THEN


def test_a_false_count_of_entries_gets_no_publish_past_a_guard(site: Path) -> None:
    forge(site, report=noted(site)["report"] | {"entries": 10**9})
    for name in list(FILES)[1:]:
        (site / "data" / name).unlink()
    with pytest.raises(RefusedError):
        publish(site, pack=True)


@pytest.mark.parametrize(
    "parsed",
    [
        None,
        [],
        [[["f07", 5]], []],
        [[[5, {"title": "x"}]], []],
        [[[[], {"title": "x"}]], []],
        [[], [[3, {}]]],
        [[], [["f*", ["title"]]]],
        [[["f07", {"packed": [f"packs/{'0' * 64}.zip", 0]}]], []],
        [[], [["f*", {"sha256": "0" * 64}]]],
    ],
)
def test_metadata_that_no_publish_has_noted_is_parsed_again(site: Path, parsed: Any) -> None:
    (site / "metadata.json").write_text('{"f07": {"title": "given"}}')
    publish(site)
    before = index_of(site)
    note = site / ".staticstore" / "metadata"
    header = json.loads(note.read_bytes().partition(b"\n")[0])
    text = b"[[" if parsed is None else json.dumps(parsed).encode()
    header[2] = hashlib.sha256(text).hexdigest()
    note.write_bytes(codec.encode(header) + b"\n" + text)
    (site / ".staticstore" / "last.json").unlink()
    publish(site)
    assert index_of(site) == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_name_that_is_no_text_beside_the_documents_does_no_harm(site: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(site / "index") + b"/\xff")).touch()
    except OSError:
        pytest.skip("the file system has no such names")
    change(site)
    assert publish(site).updated == ["f07"]
    assert publish(site).updated == []


def test_a_warning_of_the_index_that_was_replaced_is_not_repeated(site: Path) -> None:
    (site / "index.json").write_text("no index")
    (site / "index.head.json").unlink()
    assert any("is replaced" in warning for warning in publish(site).warnings)
    assert publish(site).warnings == []
