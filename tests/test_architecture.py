"""The house: imports point one way, and the package exports what it says."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import staticstore

PACKAGE = Path(staticstore.__file__).parent

# From the ground floor up; a room may import from lower floors and its own.
FLOORS = [
    {"errors", "signals", "notebook", "processes"},
    {"index"},
    {"transport"},
    {"client"},
    {"site"},
    {"interop"},
    {"bars", "terminal", "commands", "demo", "cli", "__main__"},
]

# What staticstore/__init__.py imports for its own use.
FOR_ITSELF = {"Any", "TYPE_CHECKING", "annotations"}


def _modules() -> dict[str, Path]:
    """Return the modules of the package, by their names below it."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    del found["__init__"]
    return found


def _imports(module: str, path: Path) -> Iterator[str]:
    """Yield the modules of ours that a module imports, also within functions and for types."""
    package = module.split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            yield from (
                n.removeprefix("staticstore.") for n in names if n.startswith("staticstore.")
            )
        elif isinstance(node, ast.ImportFrom):
            origin = (node.module or "").split(".") if node.module else []
            if node.level:
                target = [*package[: len(package) - node.level + 1], *origin]
            elif origin[:1] == ["staticstore"]:
                target = origin[1:]
            else:
                continue
            for alias in node.names:
                submodule = ".".join([*target, alias.name])
                yield submodule if submodule in MODULES else ".".join(target)


MODULES = _modules()
IMPORTS = {name: set(_imports(name, path)) for name, path in MODULES.items()}


def _floor(module: str) -> int:
    room = module.split(".")[0]
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_down(module: str) -> None:
    upward = {other for other in IMPORTS[module] if other and _floor(other) > _floor(module)}
    assert not upward


def test_the_ground_floor_imports_nothing_of_ours() -> None:
    assert not IMPORTS["errors"] | IMPORTS["signals"] | IMPORTS["notebook"]


def test_no_imports_form_a_circle() -> None:
    TopologicalSorter(IMPORTS).prepare()  # raises CycleError


def test_the_publisher_needs_no_client() -> None:
    """Publishing needs what is said and what is believed, not who reads."""
    seen, waiting = set[str](), ["site.publisher"]
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting.extend(IMPORTS.get(module, ()))
    assert not {module for module in seen if module.startswith("client")}


@pytest.mark.parametrize("name", ["socket", "threading", "requests", "os", "time", "pathlib", "io"])
def test_the_index_is_pure(name: str) -> None:
    for module, path in MODULES.items():
        if not module.startswith("index."):
            continue
        tree = ast.parse(path.read_text("utf-8"))
        imported = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        # A name of the system, and a lock around a cache, are no I/O and no thread.
        allowed = {
            "index.keys": "os",
            "index.lines": "threading",
            "index.field_index": "threading",
            "index.parsing": "threading",
        }
        assert name not in imported or allowed.get(module) == name, module


def test_all_names_what_the_package_exports() -> None:
    public = {
        name
        for name, value in vars(staticstore).items()
        if not (name.startswith("_") or inspect.ismodule(value) or name in FOR_ITSELF)
    }
    assert public | set(staticstore._ELSEWHERE) == set(staticstore.__all__)


def test_all_is_sorted_and_each_name_is_there() -> None:
    assert staticstore.__all__ == sorted(staticstore.__all__)
    for name in staticstore.__all__:
        assert getattr(staticstore, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        staticstore.nonsense  # noqa: B018


SLOW = [
    "requests",
    "urllib3",
    "msgspec",
    "asyncio",
    "hashlib",
    "pathlib",
    "datetime",
    "click",
    "rich",
    "werkzeug",
    "PySide6",
    "PyQt6",
    "tkinter",
]

SELDOM = ["asyncio", "concurrent.futures", "filelock", "platformdirs"]


def imported_by(code: str) -> set[str]:
    """Return the modules that some code brings into a fresh process."""
    # Who measures coverage has some there before.
    code = f"import sys\nbefore = set(sys.modules)\n{code}\nprint(*set(sys.modules) - before)"
    return set(subprocess.check_output([sys.executable, "-c", code], text=True).split())


def test_importing_staticstore_leaves_what_is_slow_for_later() -> None:
    assert not imported_by("import staticstore").intersection(SLOW)


def test_a_look_up_that_goes_well_brings_nothing_for_when_it_does_not(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_bytes(b"a")
    staticstore.publish(tmp_path)
    code = f"""
from staticstore import StaticStore
with StaticStore({str(tmp_path)!r}, poll_interval=0, lazy=True) as store:
    assert store["a.txt"].size == 1
"""
    assert not imported_by(code).intersection(SELDOM)


@pytest.mark.parametrize("name", staticstore.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    value = getattr(staticstore, name)
    assert (value.__doc__ or "").strip()
    if inspect.isclass(value) and value.__module__.startswith("staticstore"):
        for attribute, member in vars(value).items():
            if not attribute.startswith("_") and (callable(member) or isinstance(member, property)):
                assert inspect.getdoc(member), f"{name}.{attribute}"
