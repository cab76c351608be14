"""Blocks: an index is cut at certain keys, so that an insertion shifts no other block."""

from __future__ import annotations

import hashlib
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staticstore import Index, IndexFormatError
from staticstore.index import blocks as blocks_module
from staticstore.index.blocks import (
    BlockRoot,
    Stretch,
    block_files,
    changed_block_files,
    holding,
)
from staticstore.index.fields import canonical_line
from staticstore.index.forms.piece import name_of

_keys = st.text('ab"\\ !é\U0001f600', min_size=1, max_size=4).filter(
    lambda key: not key.startswith("\\")
)
_few = st.sampled_from([f"{a}{b}" for a in 'a"é😀' for b in "0123456789"])
_numbers = st.integers(0, 9) | st.integers(10**8, 10**40)
_states = st.dictionaries(_keys, st.fixed_dictionaries({"n": st.integers(0, 99)}), min_size=1)


def body_of(count: int, *, without: int | None = None) -> bytes:
    entries = {f"{n:05}": {"title": f"number {n}"} for n in range(count) if n != without}
    return Index.from_entries(entries).canonical()


def cut(body: bytes, before: BlockRoot | None = None) -> tuple[Stretch, ...]:
    root, lines = block_files(body, before)
    return root.blocks_of(lines, 2, len(body) - 2)


@given(_states, st.integers(20, 200))
@settings(max_examples=100, deadline=None)
def test_blocks_are_whole_lines_that_cover_the_index(state: dict[str, object], size: int) -> None:
    body = Index.from_entries(state).canonical()  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks_module, "_BLOCK_BYTES", size)
        found = cut(body)
    assert found[0].offset == 2
    assert found[-1].end == len(body) - 2
    for block in found:
        text = body[block.offset : block.end]
        assert hashlib.sha256(text).hexdigest() == block.sha256
        assert next(iter(Index.parse(b"{%b}" % text.rstrip(b",\n")))) == block.first


@given(_states, st.sampled_from("ab"))
@settings(max_examples=100, deadline=None)
def test_a_key_is_in_the_block_found_for_it(state: dict[str, object], key: str) -> None:
    body = Index.from_entries({**state, key: {}}).canonical()  # type: ignore[dict-item]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks_module, "_BLOCK_BYTES", 40)
        block = holding(cut(body), key)
    assert block is not None
    assert key in Index.parse(b"{%b}" % body[block.offset : block.end].rstrip(b",\n"))


def test_there_is_no_block_before_the_first_key() -> None:
    assert holding(cut(body_of(10)), "") is None


def test_a_block_ends_before_a_key_with_a_certain_checksum() -> None:
    body = body_of(5000)
    root, lines = block_files(body, None)
    firsts = [block.first for block in root.blocks_of(lines, 2, len(body) - 2)]
    wanted = [f"{n:05}" for n in range(5000) if zlib.crc32(b"%05d" % n) % root.modulus == 0]
    assert set(firsts) == {"00000", *wanted}


def test_a_block_is_not_larger_than_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks_module, "_MOST_BLOCK_BYTES", 500)
    assert max(block.size for block in cut(body_of(5000))) <= 500


def test_blocks_have_about_the_right_size() -> None:
    found = cut(body_of(50_000))
    assert 1 << 15 < sum(block.size for block in found) / len(found) < 1 << 17


def test_removing_a_key_changes_one_block() -> None:
    before, after = cut(body_of(50_000)), cut(body_of(50_000, without=30_001))
    assert len({one.sha256 for one in after} - {one.sha256 for one in before}) == 1


def test_the_modulus_is_kept_while_it_is_close_to_the_best() -> None:
    root, _ = block_files(body_of(1000), None)
    larger = BlockRoot(2 * root.modulus, root.lines, root.pages)
    assert block_files(body_of(1000), larger)[0].modulus == larger.modulus


def test_the_modulus_is_replaced_if_it_is_far_from_the_best() -> None:
    root, _ = block_files(body_of(1000), None)
    larger = BlockRoot(8 * root.modulus, root.lines, root.pages)
    assert block_files(body_of(1000), larger)[0].modulus == root.modulus


def test_pages_cover_the_list_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks_module, "_BLOCK_BYTES", 50)
    body = body_of(5000)
    root, lines = block_files(body, None)
    assert len(root.pages) > 5
    in_pages = [
        block
        for page in root.pages
        for block in root.blocks_of(lines[page.offset : page.end], 2, len(body) - 2)
    ]
    assert in_pages == list(root.blocks_of(lines, 2, len(body) - 2))


def test_a_root_can_be_parsed_again() -> None:
    root, _ = block_files(body_of(3000), None)
    assert BlockRoot.parse(root.encode()) == root


SHA256 = '"' + "0" * 64 + '"'
ROOT = '"format":"staticstore-blocks/1","modulus":4,"href":"blocks/x","size":9,"sha256":' + SHA256


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        "[]",
        f"{{{ROOT}}}",
        '{{{},"pages":[]}}'.format(ROOT.replace("blocks/1", "blocks/2")),
        f'{{{ROOT},"pages":[["a",0,9,"00"]]}}',
        f'{{{ROOT},"pages":[["a",0,8,{SHA256}]]}}',
        f'{{{ROOT},"pages":[["a",0,4,{SHA256}],["a",4,5,{SHA256}]]}}',
        f'{{{ROOT},"pages":[["a",0,4,{SHA256}],["b",5,4,{SHA256}]]}}',
        f'{{{ROOT},"pages":[["a",0,9,{SHA256}],["b",9,0,{SHA256}]]}}',
        f'{{{ROOT},"pages":[[1,0,9,{SHA256}]]}}',
        '{{{},"pages":[["a",0,9,{}]]}}'.format(ROOT.replace('"modulus":4', '"modulus":0'), SHA256),
        '{{{},"pages":[["a",0,9,{}]]}}'.format(ROOT.replace("blocks/x", "../x"), SHA256),
    ],
)
def test_an_invalid_root_is_refused(body: str) -> None:
    with pytest.raises(IndexFormatError):
        BlockRoot.parse(body.encode())


@pytest.mark.parametrize(
    "page",
    [
        b"no JSON\n",
        b'["a",2,9]\n',
        b'["a",0,9,%b]\n' % SHA256.encode(),
        b'["a",2,99,%b]\n' % SHA256.encode(),
        b'["b",2,4,%b]\n["a",6,4,%b]\n' % (SHA256.encode(), SHA256.encode()),
    ],
)
def test_an_invalid_list_of_blocks_is_refused(page: bytes) -> None:
    root, _ = block_files(body_of(10), None)
    with pytest.raises(IndexFormatError):
        root.blocks_of(page, 2, 40)


@given(_keys)
def test_the_name_of_a_line_is_its_key(key: str) -> None:
    assert name_of(canonical_line(key, {"size": 1}) + b",") == key.encode()


@given(
    st.dictionaries(_few, st.fixed_dictionaries({"n": _numbers}), min_size=8),
    st.dictionaries(_few, st.none() | _numbers, min_size=1, max_size=4),
    st.sampled_from([1, 2, 3]),
    st.sampled_from([(60, 1 << 20), (400, 60), (400, 200), (4000, 100)]),
)
@settings(max_examples=200, deadline=None)
def test_changes_cut_the_same_blocks_as_all_lines(
    before: dict[str, dict[str, int]],
    changes: dict[str, int | None],
    every: int,
    sizes: tuple[int, int],
) -> None:
    if every > 1:
        changes = dict.fromkeys(sorted(before)[::every]) | changes
    after = {**before, **{key: {"n": n} for key, n in changes.items() if n is not None}}
    after = {key: entry for key, entry in after.items() if changes.get(key, 0) is not None}
    changed = {
        key: None if n is None else b'{"n":%d}' % n
        for key, n in sorted(changes.items())
        if before.get(key) != (None if n is None else {"n": n})
    }
    if not after or not changed:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks_module, "_BLOCK_BYTES", sizes[0])
        patch.setattr(blocks_module, "_MOST_BLOCK_BYTES", sizes[1])
        patch.setattr("staticstore.tuning.INDEX_PIECE_BYTES", 100)
        old = Index.from_entries(before)
        root, lines = block_files(old.canonical(), None)
        new = Index(old.stored.folded(changed))
        body = new.canonical()
        assert body == Index.from_entries(after).canonical()
        expected = block_files(body, root)
        found = changed_block_files(root, lines, new, changed, len(body))
        assert found == (expected if expected[0].modulus == root.modulus else None)
