"""The test vectors of the format (docs/vectors) hold for the reader and the publisher."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
import runpy
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from staticstore import Index, IndexFormatError, StaticStore, StoreError, publish, tuning
from staticstore.errors import quoted
from staticstore.index import blocks as blocks_module
from staticstore.index import codec
from staticstore.index.blocks import BlockRoot, block_files, holding
from staticstore.index.changes import diff, parse_change_lines, sum_of_document, sum_text
from staticstore.index.fields import (
    Content,
    canonical_line,
    key_problem,
    key_to_url_path,
    parse_media_type,
    parse_time,
    time_text,
)
from staticstore.index.head import Head, NamedDocument
from staticstore.site.documents.head_files import next_head
from staticstore.site.folder.site_folder import SiteFolder
from staticstore.site.verify import verify_site
from staticstore.transport.http.root import Root
from tests.servers import RawServer, Request, Wire, serve_files

DOCS = Path(__file__).parent.parent / "docs"
VECTORS = DOCS / "vectors"
FORMAT = (DOCS / "format.md").read_text("utf-8")
Files = dict[str, bytes]


def read(name: str) -> Any:
    return json.loads((VECTORS / name).read_text("utf-8"))


def files_below(folder: Path) -> Files:
    """Return the files of a folder, without the publisher's notes."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    ours = (".staticstore/", ".nojekyll", ".gitattributes")
    return {path: body for path, body in found.items() if not path.startswith(ours)}


@pytest.fixture
def connect(start: Callable[..., RawServer]) -> Iterator[Callable[..., StaticStore]]:
    """Connect a store that does not poll by itself."""
    stores = []

    def connect(answer: Any, **options: Any) -> StaticStore:
        server = start(answer, heads=True)
        stores.append(StaticStore(server.url, poll_interval=0, **options))
        return stores[-1].connect(retries=0)

    yield connect
    for store in stores:
        store.disconnect()


# The folder


def test_the_committed_vectors_are_what_the_script_makes() -> None:
    made: Files = runpy.run_path(str(VECTORS / "make.py"))["made"]()
    folders = {path.rpartition("/")[0] + "/" for path in made} - {"/"}
    found = {path: body for path, body in files_below(VECTORS).items() if path in made}
    stray = {path for path in files_below(VECTORS) if path.rpartition("/")[0] + "/" in folders}
    assert found == made
    assert stray - made.keys() == set()


def test_the_script_imports_nothing_of_staticstore() -> None:
    assert "staticstore" not in re.findall(
        r"^\s*(?:from|import) (\w+)", (VECTORS / "make.py").read_text("utf-8"), re.MULTILINE
    )


def test_the_vectors_are_small() -> None:
    assert sum(path.stat().st_size for path in VECTORS.rglob("*") if path.is_file()) < 300_000


@pytest.mark.parametrize("name", sorted(path.name for path in VECTORS.iterdir()))
def test_each_file_of_the_vectors_is_described(name: str) -> None:
    if name not in ("README.md", "__pycache__"):
        assert f"`{name}" in (VECTORS / "README.md").read_text("utf-8")


_EXAMPLES = re.findall(
    r"^\*\*`(vectors/.*?)`\*\*, ([\d,]+) bytes:\n\n```text\n(.*?)```$",
    FORMAT,
    re.MULTILINE | re.DOTALL,
)


def test_the_specification_has_an_example() -> None:
    assert len(_EXAMPLES) >= 6


@pytest.mark.parametrize(("path", "size", "text"), _EXAMPLES)
def test_the_example_of_the_specification_has_the_bytes_shown(
    path: str, size: str, text: str
) -> None:
    assert text.encode() == (DOCS / path).read_bytes()
    assert size == f"{len(text.encode()):,}"


def test_the_first_reader_of_the_specification_works(
    start: Callable[..., RawServer], capsys: pytest.CaptureFixture[str]
) -> None:
    source = re.search(r"```python\n(.*?)```", FORMAT, re.DOTALL)
    assert source is not None
    server = start(serve_files(files_below(VECTORS / "sites" / "generations" / "1")))
    exec(source[1].replace("https://data.example.org/site/", server.url), {})
    assert capsys.readouterr().out.splitlines()[:2] == [
        "a note.txt Value 0 6",
        "stations/kår.csv Value 1 13",
    ]


# Keys, URLs and entries

KEYS = read("keys.json")


@pytest.mark.parametrize("key", KEYS["valid"], ids=ascii)
def test_a_valid_key_is_accepted(key: str) -> None:
    assert key_problem(key) is None


@pytest.mark.parametrize(("key", "why"), KEYS["refused"], ids=ascii)
def test_a_text_that_is_no_key_is_refused(key: str, why: str) -> None:
    assert key_problem(key) is not None


def test_keys_are_in_the_order_of_their_code_points() -> None:
    keys = KEYS["order"][1]
    assert list(Index.from_entries({key: {} for key in reversed(keys)})) == keys


@pytest.mark.parametrize(
    "case", read("urls.json")["cases"], ids=lambda case: ascii(case["root"] + case["key"])
)
def test_a_key_has_the_url(case: dict[str, Any]) -> None:
    if case["url"] is None:
        with pytest.raises(ValueError, match="fragment"):
            Root(case["root"])
        return
    root = Root(case["root"])
    url = root.join(key_to_url_path(case["data"], case["key"]))
    assert (url, root.userinfo) == (case["url"], tuple(case.get("user", ())) or None)


FACTS = ("size", "sha256", "modified", "media_type", "pack", "placed", "stored")


@pytest.mark.parametrize("case", read("entries.json")["cases"], ids=lambda case: case["entry"])
def test_an_entry_means(case: dict[str, Any]) -> None:
    index = Index.parse(b'{"k":%b}' % case["entry"].encode())
    raw = index.raw("k")
    assert raw is not None
    entry = codec.decode(raw)
    content, time = Content.of(entry), parse_time(Content.of(entry).modified)
    assert index["k"] == case["metadata"]
    assert {
        "size": content.size,
        "sha256": content.sha256,
        "modified": None if time is None else time_text(time),
        "media_type": parse_media_type(entry.get("media_type")),
        "pack": None if content.place is None else list(content.place),
        "placed": None if content.placed is None else content.placed.href,
        "stored": None if content.compressed is None else content.compressed.as_json(),
    } == {name: case[name] for name in FACTS}


@pytest.mark.parametrize("case", read("entries.json")["same"], ids=lambda c: ascii(c["entries"]))
def test_entries_are_the_same_if_they_mean_the_same(case: dict[str, Any]) -> None:
    old, new = (Index.parse(b'{"k":%b}' % text.encode()) for text in case["entries"])
    assert (not diff(old, new)) == case["same"]


# Indexes

INDEXES = read("indexes.json")


def _body(case: dict[str, Any]) -> bytes:
    return bytes.fromhex(case["hex"]) if "hex" in case else case["text"].encode()


def _parsed(body: bytes) -> Index | None:
    try:
        return Index.parse(body)
    except IndexFormatError:
        return None


@pytest.mark.parametrize("case", INDEXES["cases"], ids=lambda case: ascii(_body(case)))
def test_a_document_is_an_index_or_is_refused(case: dict[str, Any]) -> None:
    index = _parsed(_body(case))
    if "entries" not in case:
        assert index is None
        return
    assert index is not None
    assert dict(index) == case["entries"]
    warned = sorted(warning.partition(" is left out")[0] for warning in index.warnings)
    assert warned == sorted(map(quoted, case["left_out"]))


@pytest.mark.parametrize(("levels", "accepted"), INDEXES["nested"][1])
def test_an_entry_may_be_nested_a_hundred_levels_deep(levels: int, accepted: bool) -> None:
    inner = b"[" * (levels - 1) + b"]" * (levels - 1) if levels > 1 else b"1"
    assert (_parsed(b'{"a":{"x":%b}}' % inner) is not None) == accepted


@pytest.mark.parametrize(("levels", "accepted"), INDEXES["nested_left_out"][1])
def test_an_entry_that_is_left_out_may_not_be_nested_deeper(levels: int, accepted: bool) -> None:
    inner = b"[" * (levels - 1) + b"]" * (levels - 1)
    assert (_parsed(b'{"../a":{"x":%b}}' % inner) is not None) == accepted


@pytest.mark.parametrize(("digits", "accepted"), INDEXES["digits"][1])
def test_an_integer_may_have_many_digits(digits: int, accepted: bool) -> None:
    assert (_parsed(b'{"a":{"x":%b}}' % (b"1" * digits)) is not None) == accepted


@pytest.mark.parametrize("case", read("canonical.json")["cases"], ids=lambda c: ascii(c["json"]))
def test_json_has_one_canonical_form(case: dict[str, Any]) -> None:
    value = codec.decode(case["json"].encode())
    written = canonical_line("k", {"x": value}).removeprefix(b'"k":{"x":').removesuffix(b"}")
    assert written == case["canonical"].encode()
    assert written.hex() == case.get("hex", written.hex())
    document = b'{\n"k":{"x":%b}\n}\n' % written
    assert Index.parse(document).canonical() == document


@pytest.mark.parametrize("case", read("digests.json")["cases"], ids=lambda case: case["sum"])
def test_an_index_has_the_sum(case: dict[str, Any]) -> None:
    body = case["index"].encode()
    assert Index.parse(body).canonical() == body
    assert hashlib.sha256(body).hexdigest() == case["sha256"]
    assert sum_text(sum_of_document(body)) == case["sum"]


# Heads and change files

HEADS = read("heads.json")


def _head_of(case: dict[str, Any]) -> bytes:
    if "text" in case:
        return str(case["text"]).encode()
    base: Any = copy.deepcopy(HEADS["base"])
    if "append" in case:
        text: str = json.dumps(base).removesuffix("}") + case["append"]
        return f"{case.get('before', '')}{text}".encode()
    path = case.get("at", case.get("remove"))
    if not path:
        return json.dumps(case["value"]).encode()
    inner = base
    for step in path[:-1]:
        inner = inner[step]
    if "remove" in case:
        del inner[path[-1]]
    else:
        inner[path[-1]] = case["value"]
    return json.dumps(base).encode()


@pytest.mark.parametrize("case", HEADS["cases"], ids=lambda case: ascii(case))
def test_a_head_is_accepted_or_absent(case: dict[str, Any]) -> None:
    try:
        Head.parse(_head_of(case))
    except IndexFormatError:
        assert not case["accepted"]
    else:
        assert case["accepted"]


@pytest.mark.parametrize(("size", "accepted"), HEADS["sizes"][1])
def test_a_head_has_a_limited_size(
    size: int, accepted: bool, connect: Callable[..., StaticStore]
) -> None:
    files = files_below(VECTORS / "sites" / "generations" / "1")
    store = connect(serve_files({**files, "index.head.json": files["index.head.json"].ljust(size)}))
    assert (store.info()["generation"] is not None) == accepted


@pytest.mark.parametrize(
    "case", read("changefiles.json")["cases"], ids=lambda case: ascii(case["text"])
)
def test_a_change_file_has_final_states(case: dict[str, Any]) -> None:
    body = case["text"].encode()
    if "states" not in case:
        with pytest.raises(IndexFormatError):
            parse_change_lines(body)
        return
    found = parse_change_lines(body)
    assert {key: raw and raw.decode() for key, raw in found.items()} == case["states"]


# Changes

CHANGES = read("changes/cases.json")


class Host:
    """A host with the documents of all generations, and one head."""

    def __init__(self, head: str) -> None:
        self.files = files_below(VECTORS / "changes")
        self.asked: list[str] = []
        self.show(head)

    def show(self, head: str) -> None:
        self.asked.clear()
        self.files["index.head.json"] = head.encode()
        self.files["index.json"] = self.files[json.loads(head)["index"]["href"]]

    def __call__(self, request: Request, wire: Wire) -> None:
        self.asked.append(request.path[1:])
        serve_files(self.files)(request, wire)


@pytest.mark.parametrize("case", CHANGES["cases"], ids=lambda c: f"{c['from']}-{c['to']}")
def test_changes_lead_from_one_generation_to_another(
    case: dict[str, Any], connect: Callable[..., StaticStore]
) -> None:
    old, new = (CHANGES["heads"][case[name] - 1] for name in ("from", "to"))
    host = Host(old)
    store = connect(host)
    host.show(new)
    changes = store.update_index()
    href = json.loads(new)["index"]["href"]
    way = [href] if case["files"] is None else case["files"]
    assert [[change.action, change.key] for change in changes] == case["changes"]
    assert host.asked == ["index.head.json", *way]
    assert store.index.canonical() == host.files[href]


@pytest.mark.parametrize("case", CHANGES["wrong"], ids=lambda case: case["why"])
def test_changes_that_lead_elsewhere_are_replaced_by_the_whole_index(
    case: dict[str, Any], connect: Callable[..., StaticStore]
) -> None:
    host = Host(CHANGES["heads"][-2])
    store = connect(host)
    host.show(case["head"])
    assert list(store.update_index()) == []
    href = json.loads(case["head"])["index"]["href"]
    assert host.asked[-1] == href
    assert store.index.canonical() == host.files[href]


@pytest.mark.parametrize("case", CHANGES["damaged"], ids=lambda case: case["why"])
def test_documents_that_are_not_as_named_are_not_used(
    case: dict[str, Any], connect: Callable[..., StaticStore]
) -> None:
    host = Host(CHANGES["heads"][-2])
    store = connect(host)
    host.show(case["head"])
    for path, text in case["files"].items():
        host.files.pop(path) if text is None else host.files.update({path: text.encode()})
    try:
        assert list(store.update_index()) == []
        result = "new"
    except StoreError:
        result = "failed"
    assert (result, host.asked) == (case["result"], case["asked"])
    head = case["head"] if result == "new" else CHANGES["heads"][-2]
    digest = hashlib.sha256(store.index.canonical()).hexdigest()
    assert digest == json.loads(head)["index"]["sha256"]


# Which answer is believed

FRESHNESS = read("freshness.json")


class Script:
    """Answers the polls of a case of freshness.json."""

    def __init__(self) -> None:
        self.poll: dict[str, Any] = {}
        self.asked: list[Request] = []

    @staticmethod
    def head_of(lineage: str, generation: int, index: str) -> bytes:
        body = FRESHNESS["indexes"][index].encode()
        sha256 = hashlib.sha256(body).hexdigest()
        named = {"href": f"index/{sha256}.json", "size": len(body), "sha256": sha256}
        return json.dumps(
            {
                "format": "staticstore-head/1",
                "lineage": hashlib.sha256(lineage.encode()).hexdigest()[:32],
                "generation": generation,
                "published": FRESHNESS["published"],
                "index": {**named, "entries": 1},
            }
        ).encode()

    def __call__(self, request: Request, wire: Wire) -> None:
        name = {"/index.head.json": "head", "/index.json": "index"}.get(request.path)
        if name is None:  # an index under its digest
            if "document" in self.poll:
                wire.response(self.poll["document"])
                return
            bodies = [text.encode() for text in FRESHNESS["indexes"].values()]
            digest = request.path.removeprefix("/index/").removesuffix(".json")
            wire.response(200, next(b for b in bodies if hashlib.sha256(b).hexdigest() == digest))
            return
        self.asked.append(request)
        said = self.poll[name]
        if said == "unchanged":
            wire.response(304)
        elif isinstance(said, int):
            wire.response(said)
        elif name == "head":
            body = self.head_of(*said)
            wire.response(200, body, {"ETag": f'"{zlib.crc32(body)}"'})
        else:
            modified = self.poll["last_modified"]
            dates = {"Last-Modified": modified} if modified else {}
            body = FRESHNESS["indexes"][said].encode()
            wire.response(200, body, {"ETag": f'"{zlib.crc32(body)}"', **dates})


@pytest.mark.parametrize("case", FRESHNESS["cases"], ids=lambda case: case["name"])
def test_a_reader_believes(case: dict[str, Any], connect: Callable[..., StaticStore]) -> None:
    script = Script()
    store: StaticStore | None = None
    names = {text: name for name, text in FRESHNESS["indexes"].items()}
    for number, (answer, expected) in enumerate(case["polls"], start=1):
        script.poll, script.asked = answer, []
        before = None if store is None else store.index
        try:
            if store is None:
                store = connect(script)
            else:
                store.update_index()
            result = "same"
        except StoreError:
            result = "failed"
        assert store is not None
        held = names[store.index.canonical().decode()]
        older = store._live.freshness.older
        if before is None or store.index != before:
            result = "new"
        elif result == "same" and older:
            result = "ignored"
        seen = {"result": result, "held": held, "older": older, "stale": store.info()["stale"]}
        assert seen == {name: expected[name] for name in seen}, f"poll {number}"
        asked = [request.path.removeprefix("/") for request in script.asked]
        names_asked = ["head" if path == "index.head.json" else "index" for path in asked]
        assert names_asked == expected.get("asked", ["head"]), f"poll {number}"
        headers = script.asked[0].headers
        assert (headers.get("Cache-Control") == "no-cache") == expected.get("no_cache", False)
        if expected.get("no_cache"):
            assert not {"If-None-Match", "If-Modified-Since"} & {*headers}


STATUSES = read("statuses.json")
_SITE = files_below(VECTORS / "sites" / "generations" / "1")


class StatusHost:
    """A host that answers one path with a status, and all others well."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.path, self.status = "", 200
        self.asked: list[str] = []

    def __call__(self, request: Request, wire: Wire) -> None:
        self.asked.append(request.path[1:])
        if request.path[1:] == self.path:
            wire.response(self.status, b"no")
        else:
            serve_files(self.files)(request, wire)

    def generation(self, number: int) -> None:
        self.files["index.head.json"] = CHANGES["heads"][number - 1].encode()


def _of_new_head(status: int, connect: Callable[..., StaticStore]) -> str:
    host = StatusHost(_SITE)
    host.path, host.status = "index.head.json", status
    connect(host)
    return "absent"


def _of_known_head(status: int, connect: Callable[..., StaticStore]) -> str:
    host = StatusHost(_SITE)
    store = connect(host)
    host.path, host.status = "index.head.json", status
    for _ in range(2):
        with pytest.raises(StoreError):
            store.update_index()
    store.update_index()  # the third time index.json is read
    assert host.asked[-1] == "index.json"
    return "absent"


def _of_document(status: int, connect: Callable[..., StaticStore], *, is_known: bool) -> str:
    host = StatusHost(files_below(VECTORS / "changes"))
    host.generation(1 if is_known else 2)
    store = connect(host)
    if is_known:
        host.generation(2)
        store.update_index()
    host.generation(3)
    host.path = json.loads(CHANGES["heads"][2])["changes"][0]["href"]
    host.status = status
    store.update_index()
    assert host.path in host.asked
    return "absent"


def _of_index(status: int, connect: Callable[..., StaticStore]) -> str:
    host = StatusHost({name: body for name, body in _SITE.items() if name != "index.head.json"})
    host.path, host.status = "index.json", status
    connect(host)
    return "absent"


_MEANINGS: dict[str, Callable[[int, Callable[..., StaticStore]], str]] = {
    "new_head": _of_new_head,
    "known_head": _of_known_head,
    "new_document": partial(_of_document, is_known=False),
    "known_document": partial(_of_document, is_known=True),
    "index": _of_index,
}


@pytest.mark.parametrize("column", STATUSES["columns"])
@pytest.mark.parametrize("status", [int(status) for status in STATUSES["statuses"]])
def test_a_status_means_absent_or_failed(
    column: str, status: int, connect: Callable[..., StaticStore]
) -> None:
    expected = STATUSES["statuses"][str(status)][STATUSES["columns"].index(column)]
    try:
        meaning = _MEANINGS[column](status, connect)
    except StoreError:
        meaning = "failed"
    assert meaning == expected


# Blocks and packs

BLOCKS = VECTORS / "blocks"
_ROOT = BlockRoot.parse(
    (BLOCKS / json.loads((BLOCKS / "index.head.json").read_bytes())["blocks"]["href"]).read_bytes()
)
_LIST = (BLOCKS / _ROOT.lines.href).read_bytes()
_LIST_OF_BLOCKS = _ROOT.blocks_of(_LIST, 2, len((BLOCKS / "index.json").read_bytes()) - 2)


@pytest.mark.parametrize("case", read("blocks/cases.json")["keys"], ids=lambda c: ascii(c["key"]))
def test_a_key_is_in_one_page_and_one_block(case: dict[str, Any]) -> None:
    key = case["key"]
    page, block = holding(_ROOT.pages, key), holding(_LIST_OF_BLOCKS, key)
    assert (None if page is None else _ROOT.pages.index(page)) == case["page"]
    assert (None if block is None else _LIST_OF_BLOCKS.index(block)) == case["block"]
    assert zlib.crc32(key.encode()) == case["crc32"]


def test_a_block_ends_before_each_key_with_a_certain_checksum() -> None:
    keys = list(Index.parse((BLOCKS / "index.json").read_bytes()))
    firsts = {key for key in keys if zlib.crc32(key.encode()) % _ROOT.modulus == 0}
    assert {block.first for block in _LIST_OF_BLOCKS} == firsts | {keys[0]}


def test_our_publisher_cuts_the_same_blocks_and_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks_module, "_BLOCK_BYTES", 200)
    monkeypatch.setattr(blocks_module, "_PAGE_BYTES", 500)
    assert block_files((BLOCKS / "index.json").read_bytes(), None) == (_ROOT, _LIST)


def test_a_lazy_reader_finds_keys_by_ranges_alone(connect: Callable[..., StaticStore]) -> None:
    files = files_below(BLOCKS)
    seen: list[Request] = []

    def answer(request: Request, wire: Wire) -> None:
        seen.append(request)
        serve_files(files)(request, wire)

    store = connect(answer, lazy=True)
    for case in read("blocks/cases.json")["keys"]:
        assert (case["key"] in store) == (case["entry"] is not None)
        if case["entry"] is not None:
            assert store.get_metadata(case["key"]) == case["entry"]
    heads = ("/index.head.json", "/" + json.loads(files["index.head.json"])["blocks"]["href"])
    assert [one.path for one in seen if one.range is None] == list(heads)


@pytest.mark.parametrize("case", read("blocks/cases.json")["older"], ids=lambda c: str(c["why"]))
def test_a_reader_of_an_older_index_fetches_the_blocks_that_differ(
    case: dict[str, Any], connect: Callable[..., StaticStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "BLOCKS_WORTHWHILE_BYTES", 0)
    monkeypatch.setattr(tuning, "BLOCKS_WORTHWHILE_PART", 1)
    files = files_below(BLOCKS)
    seen: list[Request] = []

    def answer(request: Request, wire: Wire) -> None:
        seen.append(request)
        serve_files(served)(request, wire)

    old = json.loads(case["head"])["index"]["href"]
    served: Files = {"index.head.json": case["head"].encode(), old: case["index"].encode()}
    store = connect(answer)
    served |= files
    seen.clear()
    changes = store.update_index()
    assert [[change.action, change.key] for change in changes] == case["changes"]
    assert store.index.canonical() == files["index.json"]
    head = json.loads(files["index.head.json"])
    ranged = {one.range for one in seen if one.path == "/" + head["index"]["href"]}
    blocks = [_LIST_OF_BLOCKS[number] for number in case["blocks"]]
    assert ranged == {(block.offset, block.end) for block in blocks}


ROOTS = read("roots.json")


@pytest.mark.parametrize("case", ROOTS["cases"], ids=lambda case: case["why"])
def test_a_root_of_blocks_is_accepted_or_absent(case: dict[str, Any]) -> None:
    body = json.dumps({**ROOTS["base"], **case["with"]}).encode()
    try:
        BlockRoot.parse(body)
    except IndexFormatError:
        assert not case["accepted"]
    else:
        assert case["accepted"]


@pytest.mark.parametrize("case", read("packs.json")["cases"], ids=lambda case: case["key"])
def test_a_pack_has_the_value_at_its_offset(case: dict[str, Any]) -> None:
    pack = (VECTORS / case["pack"]).read_bytes()
    value = pack[case["offset"] : case["offset"] + case["size"]]
    site = VECTORS / case["pack"].partition("/packs/")[0]
    assert hashlib.sha256(value).hexdigest() == case["sha256"]
    assert value == (site / "data" / case["key"]).read_bytes()


def test_many_values_are_read_from_packs(connect: Callable[..., StaticStore]) -> None:
    files = files_below(VECTORS / "sites" / "full")
    values = {name[5:]: body for name, body in files.items() if name.startswith("data/")}
    without_data = {name: body for name, body in files.items() if not name.startswith("data/")}
    store = connect(serve_files(without_data))
    assert dict(store.read_many(values)) == values


# Sites


def test_a_plain_site_is_read(connect: Callable[..., StaticStore]) -> None:
    expected = read("sites/plain.json")
    store = connect(serve_files(files_below(VECTORS / "sites" / "plain")))
    assert dict(store.index) == expected["entries"]
    assert len(store.index.warnings) == len(expected["left_out"])
    found = {key: store.to_bytes(key).decode() for key in store}
    assert found == expected["values"]


@pytest.mark.parametrize("site", ["full", "generations/1", "generations/2"])
def test_a_site_is_complete(site: str, tmp_path: Path) -> None:
    folder = shutil.copytree(VECTORS / "sites" / site, tmp_path / "site")
    report = verify_site(folder)
    assert (report.wrong, report.extra) == ([], [])


def test_what_a_site_says_of_itself_is_read(connect: Callable[..., StaticStore]) -> None:
    store = connect(serve_files(files_below(VECTORS / "sites" / "full")))
    about = store.about()
    assert about is not None
    assert about["title"] == "Test vectors"
    assert about["keywords"] == ["vectors", "format"]


def _write_values(folder: Path, state: Path) -> Mapping[str, Mapping[str, Any]]:
    """Write the values of a state with their times; return the metadata to give."""
    entries = json.loads((state / "index.json").read_bytes())
    for key, entry in entries.items():
        path = folder / "data" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((state / "data" / key).read_bytes())
        seconds = datetime.fromisoformat(entry["modified"]).timestamp()
        os.utime(path, (seconds, seconds))
    own = ("size", "sha256", "modified", "media_type", "packed", "stored")
    return {
        key: {name: value for name, value in entry.items() if name not in own}
        for key, entry in entries.items()
    }


def _without_chance(files: Files) -> dict[str, Any]:
    """Return files with the head decoded, without what chance and the clock decide."""
    head = json.loads(files["index.head.json"])
    del head["lineage"], head["published"]
    return {**files, "index.head.json": head}


def test_our_publisher_writes_the_first_generation(tmp_path: Path) -> None:
    state = VECTORS / "sites" / "generations" / "1"
    publish(tmp_path, metadata=_write_values(tmp_path, state))
    assert _without_chance(files_below(tmp_path)) == _without_chance(files_below(state))


def test_our_publisher_writes_the_second_generation_after_the_first(tmp_path: Path) -> None:
    states = VECTORS / "sites" / "generations"
    folder = Path(shutil.copytree(states / "1", tmp_path / "site"))
    publish(folder, metadata=_write_values(folder, states / "2"))
    found, expected = files_below(folder), files_below(states / "2")
    assert _without_chance(found) == _without_chance(expected)
    lineages = {json.loads(files["index.head.json"])["lineage"] for files in (found, expected)}
    assert len(lineages) == 1


def test_our_publisher_writes_each_generation_of_the_changes(tmp_path: Path) -> None:
    """The documents and heads of all generations, from the entries alone."""
    files = files_below(VECTORS / "changes")
    folder, head = SiteFolder(tmp_path), None
    written: dict[NamedDocument, bytes] = {}
    for text in CHANGES["heads"]:
        expected = json.loads(text)
        body = files[expected["index"]["href"]]
        head, new = next_head(folder, head, Index.parse(body), body, elsewhere=written)
        assert new is not None
        written |= {**new.documents, head.index: body}
        found = {**json.loads(head.encode()), "published": expected["published"]}
        assert {**found, "lineage": expected["lineage"]} == expected
    changes = {one.href: body for one, body in written.items() if "changes" in one.href}
    assert changes.items() <= files.items()


def test_our_publisher_packs_the_same_bytes(tmp_path: Path) -> None:
    cases = read("packs.json")["cases"]
    href = cases[0]["pack"].removeprefix("sites/full/")
    for case in cases:
        number = int(case["key"][5:7])
        path = tmp_path / "data" / case["key"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"value %d\n" % number * 3)
    publish(tmp_path, pack=True)
    assert [path.name for path in (tmp_path / "packs").iterdir()] == [href.removeprefix("packs/")]


def _output_of(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_a_reader_in_javascript_passes_the_vectors() -> None:
    node = shutil.which("node")
    if node is None or int(_output_of(node, "--version").lstrip("v").partition(".")[0]) < 20:
        pytest.skip("node 20 is not installed")
    done = subprocess.run(
        [node, VECTORS / "check.mjs"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^\d{3,} vectors, 0 failed$", done.stdout, re.MULTILINE)
