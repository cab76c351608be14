"""Hypothesis strategies for the tests of the index: keys, JSON, and indexes."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from staticstore.index.fields import key_problem

__all__ = ["entries", "json_values", "keys", "metadata", "quick", "texts"]

quick = settings(max_examples=100, deadline=None, database=None)

#: All texts that JSON can have in UTF-8: no lone surrogates.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)

# Plain ones, so that two indexes share some; and ones that sort differently in UTF-16 or escaped.
_segments = st.sampled_from(
    ["a", "b", "A", "é", "日", " ", '"', "!", "~", "a b", "%2e%2e", "...", "\uffff", "\U0001d11e"]
)

#: Valid keys.
keys: SearchStrategy[str] = st.one_of(
    _segments,
    st.lists(_segments, min_size=1, max_size=3).map("/".join),
    texts.filter(lambda text: key_problem(text) is None),
)

_numbers = st.one_of(
    st.integers(-(1 << 70), 1 << 70), st.floats(allow_nan=False, allow_infinity=False)
)
#: Any JSON value.
json_values: SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | _numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=4,
)

#: The metadata of a key.
metadata: SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from(["type", "title", "size", "packed", "bbox"]) | texts, json_values, max_size=3
)

#: A whole index, decoded.
entries: SearchStrategy[dict[str, dict[str, Any]]] = st.dictionaries(keys, metadata, max_size=4)
