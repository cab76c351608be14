"""Numbers of the package: measured ones are in `tuning`, and each name ends in its unit."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import staticstore
from benchmarks.subjects import MODULES
from staticstore import tuning

PACKAGE = Path(staticstore.__file__).parent
TEXTS = {str(path.relative_to(PACKAGE)): path.read_text("utf-8") for path in PACKAGE.rglob("*.py")}

USERS = sorted(name for name, text in TEXTS.items() if re.search(r"import.*\btuning$", text, re.M))

UNITS = {
    "ALLOCATIONS", "ANSWERS", "BLOCKS", "BUCKETS", "BUFFERS", "BYTES", "CHANGE", "CHANGES",
    "CHARACTERS",
    "CODINGS", "COLUMNS", "CONNECTIONS", "DIGITS", "DIVISOR", "DOCUMENTS", "DOUBLINGS", "ENTRIES",
    "FACTOR", "FAILURES", "FIELDS", "FILES", "HINTS", "ITEMS", "KEYS", "LEAVES", "LEVELS", "LINKS",
    "MEMBERS", "MILLISECONDS", "NANOSECONDS", "ORIGINS", "PART", "PARTS", "PIXELS", "POLLS",
    "PROBLEMS", "PROCESS", "RANKS", "RATIO", "REDIRECTS", "REQUESTS", "RETRIES", "ROWS", "SECOND",
    "ROTATIONS", "SECONDS", "SESSIONS", "SHARDS", "STREAMS", "SUMS", "TEXTS", "THREADS", "TRIES",
    "VALUES", "WARNINGS", "WORKERS", "BYTE", "DAYS", "FRAMES", "HEADS", "LINES", "MICROSECONDS",
    "BATCHES", "ATTEMPTS", "FOLDERS", "SITES",
}  # fmt: skip

# Numbers that are no quantities: a modulus, a version, permissions, an upper end of integers, a
# level, bits.
NO_QUANTITIES = {
    *("_SUM_MODULUS", "_VERSION", "OWN_MODE", "_MOST_INTEGER", "COMPRESSION_LEVEL"),
    *("_HAS_CHECKSUMS", "_RESERVED", "_MOST_VERSION"),
}


def _numbers(text: str) -> Iterator[str]:
    """Yield the names of a module's constants whose value is computed from numbers alone."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and all(
            isinstance(part, ast.BinOp | ast.UnaryOp | ast.Constant | ast.operator | ast.unaryop)
            and not isinstance(getattr(part, "value", 0), str | bytes | bool | None)
            for part in ast.walk(node.value)
        ):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def test_the_name_of_a_quantity_ends_in_its_unit() -> None:
    names = {(module, name) for module, text in TEXTS.items() for name in _numbers(text)}
    without = {one for one in names if one[1].rpartition("_")[2] not in UNITS}
    assert {one for one in without if one[1] not in NO_QUANTITIES} == set()


def test_every_number_is_used() -> None:
    used = {name for one in USERS for name in re.findall(r"\btuning\.([A-Z_]+)", TEXTS[one])}
    assert used == {name for name in vars(tuning) if name.isupper()}


@pytest.mark.parametrize("module", USERS)
def test_a_number_is_not_bound_at_import(module: str) -> None:
    """Otherwise a test could not replace it."""
    tree = ast.parse(TEXTS[module])
    early: list[ast.AST] = [node for node in tree.body if isinstance(node, ast.Assign)]
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            early += [one for one in node.body if isinstance(one, ast.Assign | ast.AnnAssign)]
        elif isinstance(node, ast.FunctionDef):
            early += [*node.args.defaults, *filter(None, node.args.kw_defaults)]
    assert [ast.unparse(node) for node in early if "tuning." in ast.unparse(node)] == []


def test_comments_name_existing_benchmarks() -> None:
    modules = [importlib.import_module(f"benchmarks.subjects.{module}") for module in MODULES]
    subjects = {subject.name for module in modules for subject in module.SUBJECTS}
    named = {
        name.strip()
        for text in TEXTS.values()
        for names in re.findall(r"benchmark: ([\w ,-]+)", text)
        for name in names.split(",")
    }
    assert named - {"for which a context manager is too slow"} <= subjects


def test_the_module_is_short() -> None:
    assert len(TEXTS["tuning.py"].splitlines()) <= 400
