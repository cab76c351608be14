"""Write the test vectors that contain digests: ``python docs/vectors/make.py``.

It follows ``docs/format.md`` with the standard library alone, and imports nothing of staticstore,
so that it is a second opinion.  The other vectors are written by hand.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent

Entries = dict[str, dict[str, Any]]
Files = dict[str, bytes]

LINEAGE = "6f1c0a52d3b94e7786f5a1b2c3d4e5f6"
PUBLISHED = "2026-11-20T12:00:00Z"
# Of a published site: sizes of a block and of a page, about, and the most of the changes.
BLOCK_BYTES, PAGE_BYTES, CHANGES_PART = 1 << 16, 1 << 14, 1 / 4


# -- section 3: JSON and bytes


def canonical(value: object) -> bytes:
    """Return canonical JSON; sufficient for numbers from 0.0001 to below 1e16."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode()


def sha256(body: bytes) -> str:
    """Return a digest in lowercase hex."""
    return hashlib.sha256(body).hexdigest()


def named(folder: str, body: bytes, ending: str) -> dict[str, Any]:
    """Return what names a document by its digest."""
    return {
        "href": f"{folder}/{sha256(body)}{ending}",
        "size": len(body),
        "sha256": sha256(body),
    }


# -- section 5: the index


def lines_of(entries: Entries) -> list[bytes]:
    """Return the line of each entry, without comma and newline, in order."""
    return [canonical(key) + b":" + canonical(entries[key]) for key in sorted(entries)]


def index_of(entries: Entries) -> bytes:
    """Return an index in canonical form."""
    lines = lines_of(entries)
    return b"{\n" + b",\n".join(lines) + (b"\n}\n" if lines else b"}\n")


def sum_of(lines: Iterable[bytes]) -> str:
    """Return the sum of lines."""
    total = sum(int.from_bytes(hashlib.sha256(line).digest()[:16], "big") for line in lines)
    return f"{total % (1 << 128):032x}"


# -- section 8: blocks


def blocks_of(
    entries: Entries, *, modulus: int | None = None, page_bytes: int = PAGE_BYTES
) -> tuple[bytes, bytes]:
    """Return the root of the blocks of an index, and their list."""
    keys, body = sorted(entries), index_of(entries)
    if modulus is None:
        modulus = 1
        while modulus * 2 <= BLOCK_BYTES * (len(keys) + 2) / len(body):
            modulus *= 2
    blocks: list[list[Any]] = []
    at = 2
    for key, line in zip(keys, body[2:-2].splitlines(keepends=True), strict=True):
        is_first = zlib.crc32(key.encode()) % modulus == 0
        if not blocks or is_first or blocks[-1][2] + len(line) > 1 << 20:
            blocks.append([key, at, 0, b""])
        blocks[-1][2] += len(line)
        blocks[-1][3] += line
        at += len(line)
    rows = [canonical([*block[:3], sha256(block[3])]) + b"\n" for block in blocks]
    pages: list[list[Any]] = []
    for block, row in zip(blocks, rows, strict=True):
        if not pages or len(pages[-1][3]) >= page_bytes:
            pages.append([block[0], sum(len(page[3]) for page in pages), 0, b""])
        pages[-1][3] += row
        pages[-1][2] = len(pages[-1][3])
    listed = b"".join(rows)
    root = {
        "format": "staticstore-blocks/1",
        "modulus": modulus,
        **named("blocks", listed, ".jsonl"),
        "pages": [[*page[:3], sha256(page[3])] for page in pages],
    }
    return canonical(root) + b"\n", listed


# -- section 7: changes


def changes_between(old: Entries, new: Entries) -> dict[str, bytes | None]:
    """Return the final states of what differs."""
    return {
        key: canonical(new[key]) if key in new else None
        for key in sorted(old.keys() | new.keys())
        # Other bytes, even where they mean the same: 20 and 20.0.
        if key not in old or key not in new or canonical(old[key]) != canonical(new[key])
    }


def change_file(states: Mapping[str, bytes | None]) -> bytes:
    """Return a change file."""
    return b"".join(
        b'{"key":%b,"metadata":%b}\n' % (canonical(key), b"null" if raw is None else raw)
        for key, raw in sorted(states.items())
    )


# -- section 6: the head, and sites of several generations


@dataclass
class Site:
    """A site that is published again and again."""

    #: The files that it has now, without values.
    files: Files = field(default_factory=dict)
    generation: int = 0
    entries: Entries = field(default_factory=dict)
    #: Origins and final states of each span, oldest first.
    spans: list[tuple[list[str], dict[str, bytes | None]]] = field(default_factory=list)

    def publish(
        self, entries: Entries, *, about: bytes | None = None, spans: bool = True, **blocks: Any
    ) -> dict[str, Any]:
        """Write the next generation; return the head."""
        body = index_of(entries)
        root, listed = blocks_of(entries, **blocks)
        if self.generation:
            self._add_span(changes_between(self.entries, entries))
        self.generation += 1
        self.entries = entries
        while self._changes_size() > len(body) * CHANGES_PART:
            del self.spans[0]
        index = {**named("index", body, ".json"), "entries": len(entries)}
        head: dict[str, Any] = {
            "format": "staticstore-head/1",
            "lineage": LINEAGE,
            "generation": self.generation,
            "published": PUBLISHED.replace("12:00", f"12:{self.generation:02}"),
            "index": {**index, "sum": sum_of(lines_of(entries))},
            "blocks": named("blocks", root, ".json"),
            "changes": [],
        }
        new = {head["blocks"]["href"]: root, f"blocks/{sha256(listed)}.jsonl": listed}
        for origins, states in self.spans if spans else []:
            text = change_file(states)
            document = named("changes", text, ".jsonl")
            head["changes"].append({"from": origins, **document, "count": len(states)})
            new[document["href"]] = text
        if about is not None:
            head["about"] = {"size": len(about), "sha256": sha256(about)}
            new |= {f"about/{sha256(about)}.json": about, "about.json": about}
        new |= {index["href"]: body, "index.json": body, "index.head.json": canonical(head) + b"\n"}
        self.files |= new
        return head

    def _changes_size(self) -> int:
        return sum(len(change_file(states)) for _, states in self.spans)

    def _add_span(self, states: dict[str, bytes | None]) -> None:
        size, merged = len(change_file(states)), []
        while self.spans and len(change_file(self.spans[-1][1])) < 2 * size:
            merged.insert(0, self.spans.pop())
            size += len(change_file(merged[0][1]))
        origins = [origin for older, _ in merged for origin in older]
        every: dict[str, bytes | None] = {}
        for _, older_states in merged:
            every |= older_states
        origins.append(sha256(index_of(self.entries))[:16])
        self.spans.append((origins, every | states))


# -- section 9: packs


def pack_of(values: Mapping[str, bytes]) -> tuple[str, bytes, dict[str, int]]:
    """Return the href of a pack of values, its bytes, and the offset of each value."""
    file, offsets = io.BytesIO(), dict[str, int]()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for key in sorted(values):
            member = zipfile.ZipInfo(key)
            member.create_system, member.external_attr = 3, 0o100644 << 16
            archive.writestr(member, values[key])
            offsets[key] = file.tell() - len(values[key])
    body = file.getvalue()
    return f"packs/{sha256(body)}.zip", body, offsets


# -- the vectors


def entry(value: bytes, minute: int, **fields: Any) -> dict[str, Any]:
    """Return the entry of a value."""
    modified = f"2026-11-19T08:{minute:02}:00Z"
    return {**fields, "size": len(value), "sha256": sha256(value), "modified": modified}


def below(folder: str, files: Files) -> Files:
    """Return files with a folder before their paths."""
    return {f"{folder}/{path}": body for path, body in files.items()}


def example() -> Files:
    """Return two generations of a small site, as in the appendix of the specification."""
    values = {
        "a note.txt": b"hello\n",
        "stations/kår.csv": b"day,mm\n1,4.5\n",
        "stations/oss.csv": b"day,mm\n1,0.5\n2,7.0\n",
        "terrain/empty": b"",
        "terrain/\U0001f3d4.bin": bytes(range(8)),
        "terrain/\uffdc.bin": b"\x00\xff",
    }
    types = {"txt": "text/plain", "csv": "text/csv"}

    def entries_of(minutes: Mapping[str, int]) -> Entries:
        return {
            key: {
                **entry(value, minutes.get(key, 0), title=f"Value {number}"),
                **({"media_type": types[end]} if (end := key[-3:]) in types else {}),
            }
            for number, (key, value) in enumerate(values.items())
        }

    def state() -> Files:
        return dict(site.files) | {f"data/{key}": value for key, value in values.items()}

    site = Site()
    site.publish(entries_of({}))
    first = state()
    values["stations/oss.csv"] += b"3,1.0\n"
    site.publish(entries_of({"stations/oss.csv": 30}))
    return below("sites/generations/1", first) | below("sites/generations/2", state())


def full() -> tuple[Files, list[dict[str, Any]]]:
    """Return a site with all that a site may have, and where its packed values are."""
    license_text = b"CC0-1.0\n"
    words = {
        "title": "Test vectors",
        "keywords": ["vectors", "format"],
        "files": {"LICENSE": {"size": len(license_text), "sha256": sha256(license_text)}},
    }
    about = canonical(words) + b"\n"
    values = {f"many/{number:02}.dat": b"value %d\n" % number * 3 for number in range(24)}
    minutes = dict.fromkeys(values, 0)
    places: dict[str, list[Any]] = {}
    packs: Files = {}

    def pack(keys: Iterable[str]) -> None:
        href, body, offsets = pack_of({key: values[key] for key in keys})
        packs[href] = body
        places.update({key: [href, offset] for key, offset in offsets.items()})

    def entries() -> Entries:
        return {
            key: {**entry(value, minutes[key], n=number), "packed": places[key]}
            for number, (key, value) in enumerate(values.items())
        }

    site = Site()
    pack(values)
    site.publish(entries(), about=about)
    values["many/07.dat"], minutes["many/07.dat"] = b"another value\n", 45
    pack(["many/07.dat"])
    site.publish(entries(), about=about)
    files = site.files | packs | {f"data/{key}": value for key, value in values.items()}
    packed = [
        {
            "pack": f"sites/full/{places[key][0]}",
            "key": key,
            "offset": places[key][1],
            "size": len(value),
            "sha256": sha256(value),
        }
        for key, value in values.items()
    ]
    return below("sites/full", files | {"LICENSE": license_text}), packed


def changes() -> Files:
    """Return eight generations of an index, with heads, change files and what they announce."""
    site, heads = Site(), []
    entries: Entries = {f"k{number:02}": {"n": number, "pad": "x" * 40} for number in range(40)}
    packed = ["packs/" + "ab" * 32 + ".zip", 30]
    states: list[Entries] = [
        entries,
        {**entries, "new": {"v": 1}},
        {**entries, "k03": {"n": -3}, "new": {"v": 1}},
        {**entries, "k03": {"n": -3}},
        {**entries},
        {**entries, 'a "quoted" key': {"é": "\U0001f600"}},
        {**entries, 'a "quoted" key': {"é": "\U0001f600"}, "k20": {**entries["k20"], "n": 20.0}},
    ]
    states.append({**states[-1], "k21": {**entries["k21"], "packed": packed}})
    for state in states:
        heads.append(site.publish(state))
    cases = []
    for start in range(len(states)):
        for end in range(start + 1, len(states)):
            way = _way(heads[start], heads[end])
            expected = _announced(states[start], states[end])
            cases.append({"from": start + 1, "to": end + 1, "files": way, "changes": expected})
    wanted = {name: body for name, body in site.files.items() if name.startswith(("ind", "cha"))}
    right = change_file(changes_between(states[-2], states[-1]))
    wrong, more = _wrong_ways(heads[-2], heads[-1], right)
    texts = [_text_of(head) for head in heads]
    about = (
        "Texts of heads, and polls of a reader that holds the index of one generation (numbered "
        "from 1) and finds a later head. 'cases': the change files that it reads, in order, and "
        "what it announces. 'wrong': it holds the last generation but one, and cannot use the "
        "change files of the head, so that it reads the whole index, and announces nothing, since "
        "only 'packed' differs. 'damaged': the same, with other 'files' on the host: the text, or "
        "null for 404; index.json has the index that the head names, unless it is one of them. "
        "'asked' is all that it asks for, in order."
    )
    damaged = _damaged(heads[-1], wanted)
    document = {
        "about": about,
        "heads": texts,
        "cases": cases,
        "wrong": wrong,
        "damaged": damaged,
    }
    wanted |= more
    del wanted["index.json"], wanted["index.head.json"]
    return below("changes", {**wanted, "cases.json": shown(document)})


def _text_of(head: dict[str, Any]) -> str:
    return (canonical(head) + b"\n").decode()


def _wrong_ways(
    held: dict[str, Any], head: dict[str, Any], right: bytes
) -> tuple[list[Any], Files]:
    """Return heads whose change files are no way to the current index, and the files."""
    cases: list[Any] = []
    files: Files = {}

    def add(
        why: str, text: bytes, *, has_sum: bool = True, is_there: bool = True, **others: Any
    ) -> None:
        document = named("changes", text, ".jsonl")
        span = {"from": [held["index"]["sha256"][:16]], **document, "count": 1}
        index = {name: head["index"][name] for name in head["index"] if has_sum or name != "sum"}
        changed = {**head, "index": index, "changes": [span], **others}
        cases.append({"why": why, "head": _text_of(changed)})
        if is_there:
            files[document["href"]] = text

    other = change_file({"k21": b'{"n":-1}'})
    add("other changes: the sum differs", other)
    add("other changes, without a sum: the digest differs", other, has_sum=False)
    add("a text that is no key", b'{"key":"../x","metadata":{}}\n')
    add("no change file", b'{"key"')
    add("a change file that is not there", change_file({"k21": None}), is_there=False)
    add("another lineage", right, lineage=LINEAGE[::-1])
    spaces = b" " * (head["index"]["size"] - len(right))
    add("as many bytes as the index", right.rstrip() + spaces + b"\n")
    return cases, files


def _damaged(head: dict[str, Any], files: Files) -> list[Any]:
    """Return polls that find other documents than the head names."""
    index, change = head["index"]["href"], head["changes"][-1]["href"]
    alone = _text_of({**head, "changes": [], "blocks": None})
    current, page = files[index].decode(), "<!DOCTYPE html>\n"
    other = current.replace("xxxx", "yyyy", 1)
    # The right states in the right number of bytes.
    swapped = re.sub(r'{("key":.*),("metadata":.*)}', r"{\2,\1}", files[change].decode())
    polls: list[tuple[str, str, dict[str, str | None], list[str], bool]] = [
        (
            "the index is at index.json alone",
            alone,
            {index: None},
            [index, "index.json"],
            True,
        ),
        (
            "a page in the place of the index",
            alone,
            {index: page},
            [index, "index.json"],
            True,
        ),
        (
            "another index of the same size",
            alone,
            {index: other},
            [index, "index.json"],
            True,
        ),
        (
            "no index as named: the head is asked for once more, and the poll fails",
            alone,
            {index: None, "index.json": other},
            [index, "index.json", "index.head.json", index, "index.json"],
            False,
        ),
        (
            "other bytes in the place of a change file, which would lead to the right index",
            _text_of({**head, "blocks": None}),
            {change: swapped},
            [change, index],
            True,
        ),
    ]
    return [
        {
            "why": why,
            "head": text,
            "files": others,
            "asked": ["index.head.json", *asked],
            "result": "new" if is_read else "failed",
        }
        for why, text, others, asked, is_read in polls
    ]


def _way(held: dict[str, Any], head: dict[str, Any]) -> list[str] | None:
    if held["index"]["sha256"] == head["index"]["sha256"]:
        return []
    for position, span in enumerate(head["changes"]):
        if held["index"]["sha256"][:16] in span["from"]:
            way = head["changes"][position:]
            if sum(one["size"] for one in way) < head["index"]["size"]:
                return [one["href"] for one in way]
    return None


def _announced(old: Entries, new: Entries) -> list[list[Any]]:
    def visible(entry: dict[str, Any] | None) -> dict[str, Any] | None:
        return entry and {name: value for name, value in entry.items() if name != "packed"}

    return [
        ["update" if key in old and key in new else "set" if key in new else "delete", key]
        for key in sorted(old.keys() | new.keys())
        if visible(old.get(key)) != visible(new.get(key))
    ]


def blocks() -> Files:
    """Return an index with many small blocks and pages, and where its keys are."""
    entries: Entries = {f"{number:03}/x": {"n": number} for number in range(160)}
    odd = [" first", '"quoted"', "a\\b", "a!b", "a b", "é", "e\u0301", "\uffdc", "\U0001f600"]
    # Several blocks on both sides of where the orders of UTF-8 and UTF-16 differ.
    odd += [f"{first}/{number:02}" for first in odd[-2:] for number in range(16)]
    entries |= {key: {"odd": True} for key in odd}
    site, modulus = Site(), 8
    site.publish(entries, modulus=modulus, page_bytes=500)
    root = json.loads(site.files[json.loads(site.files["index.head.json"])["blocks"]["href"]])
    listed = [json.loads(line) for line in site.files[root["href"]].splitlines()]
    absent = ["\x20", "!", "000", "000/y", "zzz", "\U0010ffff", "é/", "010/x "]
    keys = []
    for key in [*entries, *absent]:
        crc = zlib.crc32(key.encode())
        page, block = (_last_at_most(rows, key) for rows in (root["pages"], listed))
        found = entries.get(key)
        keys.append({"key": key, "crc32": crc, "page": page, "block": block, "entry": found})
    about = (
        "'keys': the CRC-32 of a key, and where to look for it: the number of its page, and that "
        "of its block in the whole list (from 0; null: it is before the first), and its entry, "
        "null if there is none. 'older': a reader that holds 'index', which 'head' names, finds "
        "the head of the site; the numbers of the blocks that differ, and what it announces."
    )
    older = [_older(why, entries, before, listed) for why, before in _before(entries, listed)]
    cases = {"about": about, "keys": keys, "older": older}
    return below("blocks", {**site.files, "cases.json": shown(cases)})


def _before(entries: Entries, listed: list[Any]) -> Iterable[tuple[str, Entries]]:
    """Yield older indexes, and what is special in them."""
    third, fourth = listed[3][0], listed[4][0]
    yield "one entry has changed", {**entries, "010/x": {"n": -10}}
    yield "an entry before the first key is gone", {**entries, " ": {}}
    yield "the last entry is gone", {**entries, "\U0001f600/99": {}}
    yield "an entry in the middle is gone", {**entries, third + "!": {"n": 1}}
    yield "a block is new", {key: entries[key] for key in entries if not third <= key < fourth}
    yield (
        "a first key is new",
        {key: value for key, value in entries.items() if key != fourth},
    )


def _older(why: str, entries: Entries, before: Entries, listed: list[Any]) -> dict[str, Any]:
    lines = dict(zip(sorted(before), lines_of(before), strict=True))
    held: list[list[bytes]] = [[] for _ in listed]
    for key in sorted(before):
        held[_last_at_most(listed, key) or 0].append(lines[key])
    texts = [b"".join(line + b",\n" for line in part) for part in held]
    texts[-1] = texts[-1].removesuffix(b",\n") + b"\n"  # the last line of the index
    missing = [
        number
        for number, (row, text) in enumerate(zip(listed, texts, strict=True))
        if (row[2], row[3]) != (len(text), sha256(text))
    ]
    changed = _announced(before, entries)
    site = Site()
    site.publish(before)
    head = json.loads(site.files["index.head.json"])
    text = _text_of({**head, "generation": 0, "blocks": None})
    index = index_of(before).decode()
    return {"why": why, "head": text, "index": index, "blocks": missing, "changes": changed}


def _last_at_most(rows: list[list[Any]], key: str) -> int | None:
    numbers = [number for number, row in enumerate(rows) if row[0] <= key]
    return numbers[-1] if numbers else None


def digests() -> bytes:
    """Return the digest of each line of some indexes, and their sums."""
    many: list[Entries] = [
        {},
        {"a": {}},
        {"a": {}, "b": {"x": 1}},
        {"é": {"t": "Zürich"}, "\U0001f600": {}, "\uffdc": {"a": [1, 2.5, None, True]}},
        {f"{number:03}": {"n": number} for number in range(300)},  # beyond 2**128
    ]
    cases = []
    for entries in many:
        body, lines = index_of(entries), lines_of(entries)
        case: dict[str, Any] = {"index": body.decode(), "sha256": sha256(body)}
        if len(lines) < 10:
            case["lines"] = [[line.decode(), sha256(line)] for line in lines]
        cases.append({**case, "sum": sum_of(lines)})
    about = (
        "Indexes in canonical form: 'lines' has each line as it is hashed, and its digest (left "
        "out of a long index); 'sha256' is the digest of the index, 'sum' its sum."
    )
    return shown({"about": about, "cases": cases})


def shown(document: object) -> bytes:
    """Return a document as readable JSON in ASCII, with a line for each item of its lists."""
    text = json.dumps(document, indent=1)
    return (text + "\n").encode()


def made() -> Files:
    """Return all files that this script writes, by their paths in the folder of the vectors."""
    files, packed = full()
    about = (
        "Where the bytes of a value are in a pack: 'offset' is the second item of the entry's "
        "'packed', 'size' and 'sha256' are those of the value."
    )
    files |= {"packs.json": shown({"about": about, "cases": packed}), "digests.json": digests()}
    return files | example() | changes() | blocks()


if __name__ == "__main__":
    for path, body in made().items():
        (FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / path).write_bytes(body)
