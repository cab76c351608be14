"""Entries of a foreign index whose texts are made when they are looked at."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from typing import ClassVar

from staticstore import Index
from staticstore.index.forms.foreign_entries import ForeignEntries, foreign_entries
from staticstore.index.forms.stored import Stored

TEXTS = {"b": b'{"size":2}', "a": b'{"size":1}', "c": b'{"size":3}'}


class Late:
    """A text that notes when it is made."""

    made: ClassVar[list[bytes]] = []

    def __init__(self, text: bytes) -> None:
        self.text = text

    def __bytes__(self) -> bytes:
        Late.made.append(self.text)
        return self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Late) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


def late(texts: Mapping[str, bytes] = TEXTS) -> dict[str, Late]:
    return {key: Late(text) for key, text in texts.items()}


def stored(
    entries: Mapping[str, bytes | Late], unchecked: Iterable[str], before: Stored | None = None
) -> ForeignEntries:
    return foreign_entries(entries, list(unchecked), before=before, https_only=True)


def test_entries_that_are_made_late_are_those_of_their_texts() -> None:
    index, other = Index(stored(late(), TEXTS)), Index(stored(TEXTS, TEXTS))
    assert index == other
    assert list(index) == list(other) == ["a", "b", "c"]
    assert index.stored.get("a") == b'{"size":1}'
    assert list(index.stored.values_of("size")) == [("a", 1), ("b", 2), ("c", 3)]
    assert list(index.stored.document()) == list(other.stored.document())
    assert list(index.stored.keys_of_other_bytes(other.stored, is_final=True)) == []
    assert list(other.stored.keys_of_other_bytes(index.stored, is_final=True)) == []
    assert pickle.loads(pickle.dumps(index)) == index


def test_some_may_be_late_and_others_not() -> None:
    index = Index(stored({**late(), "d": b'{"size":4}'}, [*TEXTS, "d"]))
    assert dict(index.stored.values_of("size")) == {"a": 1, "b": 2, "c": 3, "d": 4}


def test_one_that_is_no_object_is_left_out_and_the_others_stay_late() -> None:
    found = stored({**late(), "bad": Late(b"[]")}, [*TEXTS, "bad"])
    assert list(found) == ["a", "b", "c"]
    assert "'bad' is left out" in found.problems[0]
    Late.made.clear()
    assert [found.get("a"), found.get("a")] == 2 * [b'{"size":1}']
    assert len(Late.made) == 2


def test_what_is_the_same_is_neither_made_nor_checked_again() -> None:
    before = stored(late(), TEXTS)
    Late.made.clear()
    after = stored({**late(), "b": Late(b'{"size":5}')}, TEXTS, before)
    assert after.is_checked
    assert list(before.keys_of_other_bytes(after, is_final=True)) == ["b"]
    assert set(Late.made) == {b'{"size":2}', b'{"size":5}'}


def test_with_other_entries_their_texts_are_compared() -> None:
    before = stored({**TEXTS, "b": b'{"size":5}'}, TEXTS)
    assert list(before.keys_of_other_bytes(stored(late(), TEXTS), is_final=True)) == ["b"]
