"""A publish of few changes writes, byte for byte, what a publish of all files would."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from staticstore.site.documents import head_files
from staticstore.site.publisher import publish, publish_touched
from tests.killing import Instants

from ..sitefolder import THEN, make_site

# Plain keys, and those with meanings of their own: unfinished, withheld, of git, of other forms.
KEYS = [f"{folder}{number}.tif" for folder in ("", "a/", "a/b/", "c/") for number in range(7)]
KEYS += ["a.tif", "a/x.part", "c/.env", "c/.jj", "é", "e\u0301", "K", "\u212a"]
TEXTS = [*KEYS[:12], "é", "K", "*.tif", "a/*", "nothing", "*"]
Rules = dict[str, dict[str, Any]]

rules = st.dictionaries(
    st.sampled_from(TEXTS),
    st.dictionaries(st.sampled_from(["title", "n"]), st.sampled_from(["x", "ü", '"']), min_size=1),
    max_size=6,
)
edits = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(KEYS), st.binary(max_size=2)),
    st.tuples(st.just("touch"), st.sampled_from(KEYS), st.integers(0, 3)),
    st.tuples(st.just("remove"), st.sampled_from(KEYS)),
    st.tuples(st.just("rename"), st.sampled_from(KEYS), st.sampled_from(KEYS)),
)
changes = st.one_of(
    st.lists(edits, min_size=1, max_size=4),
    st.tuples(st.tuples(st.just("give"), st.sampled_from(["", "json", "toml", "csv"]), rules)),
)
# What is changed before a publish; whether it packs; and the system call at which it is killed.
publishes = st.lists(
    st.tuples(
        changes,
        st.sampled_from([False, False, False, True]),
        st.one_of(st.none(), st.none(), st.integers(0, 70)),
    ),
    min_size=2,
    max_size=12,
)


@pytest.fixture(autouse=True)
def _as_in_large_indexes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small indexes have many pieces and blocks, and each change count as a small one."""
    monkeypatch.setattr("staticstore.tuning.UPDATED_MOST_PART", 1)
    monkeypatch.setattr("staticstore.tuning.INDEX_PIECE_BYTES", 300)
    monkeypatch.setattr("staticstore.index.blocks._BLOCK_BYTES", 400)
    monkeypatch.setattr("staticstore.index.blocks._MOST_BLOCK_BYTES", 900)
    monkeypatch.setattr(head_files, "_now", lambda: "2026-01-01T00:00:00Z")
    monkeypatch.setattr(
        "secrets.token_hex", lambda size=8: os.urandom(8).hex() if size == 8 else "ab" * 16
    )


class Publisher:
    """Makes the same site twice: as it is, and without what is noted."""

    def __init__(self, folder: Path) -> None:
        self.sites = [make_site(folder / name, {}) for name in ("noted", "anew", "touched")]
        # Where something has changed since the last publish; None if not known.
        self.touched: set[str] | None = None
        self.time = THEN
        self.metadata: Rules | None = None
        for number, key in enumerate(KEYS[:25]):
            self.write(key, b"%d" % number)

    def write(self, key: str, value: bytes) -> None:
        self.time += 1
        self.touch_path(key)
        for site in self.sites:
            path = site / "data" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(value)
            os.utime(path, (self.time, self.time))

    def touch_path(self, key: str) -> None:
        if self.touched is not None:
            self.touched.add(key)

    def touch(self, key: str, seconds: int) -> None:
        self.touch_path(key)
        for site in self.sites:
            if (site / "data" / key).exists():
                os.utime(site / "data" / key, (THEN + seconds, THEN + seconds))

    def remove(self, key: str) -> None:
        self.touch_path(key)
        for site in self.sites:
            (site / "data" / key).unlink(missing_ok=True)

    def rename(self, key: str, other: str) -> None:
        self.touch_path(key)
        self.touch_path(other)
        for site in self.sites:
            if (site / "data" / key).exists():
                (site / "data" / other).parent.mkdir(parents=True, exist_ok=True)
                (site / "data" / key).rename(site / "data" / other)

    def give(self, kind: str, given: Rules) -> None:
        self.metadata = None if kind else given
        for site in self.sites:
            for name in ("json", "toml", "csv"):
                (site / f"metadata.{name}").unlink(missing_ok=True)
            if kind:
                text = _FORMS[kind](given)
                (site / f"metadata.{kind}").write_text(text, "utf-8")

    def publish(self, *, pack: bool) -> None:
        noted, anew, touched = self.sites
        for name in ("notes", "last.json"):
            (anew / ".staticstore" / name).unlink(missing_ok=True)
        first, second = (
            publish(site, metadata=self.metadata, pack=pack, force=True) for site in (noted, anew)
        )
        third = publish_touched(
            touched, self.touched, metadata=self.metadata, pack=pack, force=True
        )
        assert replace(first, hashed=0) == replace(second, hashed=0) == replace(third, hashed=0)
        assert _published(noted) == _published(anew) == _published(touched)
        self.touched = set()

    def kill(self, number: int, *, pack: bool) -> None:
        child = os.fork()
        if not child:
            try:
                os.cpu_count = lambda: 1
                Instants(number).count()
                publish(self.sites[0], metadata=self.metadata, pack=pack, force=True)
            finally:
                os._exit(0)
        os.waitpid(child, 0)


def _toml(given: Rules) -> str:
    return "".join(
        f"[{json.dumps(key, ensure_ascii=False)}]\n"
        + "".join(
            f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in fields.items()
        )
        for key, fields in given.items()
    )


def _csv(given: Rules) -> str:
    def cell(text: str) -> str:
        return '"' + text.replace('"', '""') + '"'

    rows = [[key, fields.get("title", ""), fields.get("n", "")] for key, fields in given.items()]
    return "key,title,n\n" + "".join(",".join(map(cell, row)) + "\n" for row in rows)


def _published(site: Path) -> dict[str, bytes]:
    return {
        path.relative_to(site).as_posix(): path.read_bytes()
        for path in sorted(site.rglob("*"))
        if path.is_file() and not {"data", ".staticstore"} & set(path.parts)
    }


_FORMS: dict[str, Callable[[Rules], str]] = {"json": json.dumps, "toml": _toml, "csv": _csv}


@given(publishes)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_history_writes_what_publishes_from_nothing_would(
    history: list[tuple[list[Any], bool, int | None]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        publisher = Publisher(Path(folder))
        publisher.publish(pack=False)
        for edits, pack, killed_at in history:
            for action, *arguments in edits:
                getattr(publisher, action)(*arguments)
            if killed_at is not None:
                publisher.kill(killed_at, pack=pack)
            publisher.publish(pack=pack)
