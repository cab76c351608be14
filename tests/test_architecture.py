"""House rules: imports point down, folders stay small, and a word means one thing."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

import staticstore
from staticstore import StaticStore, publish, serve

ROOT = Path(__file__).parent.parent


def _picture() -> Any:
    """Return the script that draws the picture of the package, as a module."""
    spec = importlib.util.spec_from_file_location("picture", ROOT / "docs" / "picture.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PICTURE = _picture()
MODULES: dict[str, Path] = PICTURE.modules()
IMPORTS: dict[str, set[str]] = PICTURE.imports()
RUN_TIME_IMPORTS: dict[str, set[str]] = PICTURE.imports(at_run_time=True)
FLOORS: tuple[tuple[str, ...], ...] = PICTURE.FLOORS
TEXTS = {name: path.read_text("utf-8") for name, path in MODULES.items()}
TREES = {name: ast.parse(text) for name, text in TEXTS.items()}
PACKAGES = {name for name, path in MODULES.items() if path.name == "__init__.py"}
LEAVES = sorted(MODULES.keys() - PACKAGES)  # modules that are not folders

MOST_MODULES = 292
MOST_LINES = 400
MOST_IN_A_FOLDER = defaultdict(lambda: 16, {"commands": 20})
MOST_DEPTH = 15
MOST_ON_THE_WAY = 10

# Participles that may name a folder or a module; any other name is a noun.
PARTICIPLES = {
    "feed",  # a noun
    "fetching",
    "following",
    "hashing",
    "mirroring",
    "parsing",
    "placed",
    "publishing",
    "pushing",
    "reading",
    "serving",
    "staging",
    "stored",
    "syncing",
    "telling",
    "tuning",
    "watching",
}

# A protocol between modules is written down, as one of these.
PROTOCOLS = {
    "client.following.index_reader": {"ReadParts"},
    "client.following.connection": {"Follower"},
    "client.tasks.turns": {"BegunReads"},
    "transport.http.failures": {"Cuttable"},
    "transport.http.template": {"PeerCheck"},
    "transport.http.wire": {"Receivable"},
    "transport.values.remote_value": {"CompressedWay", "Wholes"},
    "transport.values.seekable": {"_Openable"},
    "site.pushing.target": {"Target"},
}
ABSTRACT_CLASSES = {
    "client.async_connection": {"AsyncConnectable"},
    "client.async_reading": {"AsyncReading"},
    "client.async_following": {"AsyncFollowing"},
    "client.value_info": {"ValueInfo"},
    "query.predicates": {"Predicate"},
    "transport.buckets.credential": {"BucketCredential"},
    "client.live_store": {"LiveStore"},
    "client.pickles.picklable_store": {"PicklableStore"},
    "transport.many.carrier": {"Carrier"},
    "client.reading": {"Reading"},
    "client.telling.subscribers": {"ViewFollower"},
    "client.telling.subscription": {"ChangeSource", "Subscribable", "SubscriptionOwner"},
    "index.forms.stored": {"Stored"},
    "index.queries": {"DelegatedQueries"},
    "interop.file_systems.file_descriptions": {"FileDescriptions"},
}

# What staticstore/__init__.py imports for its own use.
FOR_ITSELF = {"Any", "TYPE_CHECKING", "annotations"}


# Floors


def _floor(module: str) -> int:
    room = PICTURE.room_of(module)
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_down(module: str) -> None:
    """A module imports from lower floors and from its own folder, and from no folder beside it."""
    room = PICTURE.room_of(module)
    elsewhere = {other for other in IMPORTS[module] if PICTURE.room_of(other) != room}
    assert {other for other in elsewhere if _floor(other) >= _floor(module)} == set()


def test_no_imports_form_a_circle() -> None:
    TopologicalSorter(IMPORTS).prepare()  # raises CycleError


def test_the_publisher_needs_no_client() -> None:
    """Publishing needs the format and the transport, not the reader."""
    seen, waiting = set[str](), ["site.publisher"]
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting.extend(IMPORTS.get(module, ()))
    assert not {module for module in seen if module.startswith("client")}


@cache
def _chain(module: str) -> tuple[str, ...]:
    """Return the longest chain of imports that begins at a module."""
    chains = (_chain(other) for other in sorted(RUN_TIME_IMPORTS[module]))
    return (module, *max(chains, key=len, default=()))


def test_the_imports_are_not_deep() -> None:
    deepest = max(map(_chain, LEAVES), key=len)
    assert len(deepest) <= MOST_DEPTH, " > ".join(deepest)


# Folders and names


def test_the_package_has_a_limited_number_of_modules() -> None:
    assert len(LEAVES) <= MOST_MODULES


def test_a_folder_has_a_limited_number_of_modules() -> None:
    counts = Counter(module.rpartition(".")[0] for module in LEAVES)
    assert {
        folder: count for folder, count in counts.items() if count > MOST_IN_A_FOLDER[folder]
    } == {}


@pytest.mark.parametrize("module", LEAVES)
def test_a_module_has_a_limited_number_of_lines(module: str) -> None:
    assert len(TEXTS[module].splitlines()) <= MOST_LINES


def test_modules_are_named_by_nouns() -> None:
    words = {word for module in MODULES for word in re.split(r"[._]", module)}
    assert {word for word in words if word.endswith(("ing", "ed"))} <= PARTICIPLES


def test_the_picture_is_current() -> None:
    drawn = (ROOT / "docs" / "architecture.svg").read_text("utf-8")
    assert PICTURE.picture() == drawn, "run: python docs/picture.py"


def _private_names_of_others(module: str) -> Iterator[str]:
    """Yield the private names that a module uses and does not define.

    Inherited names count as its own.
    """
    defined = {"_replace", "_asdict", "_fields"}  # of any named tuple
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            defined.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            defined.add(node.id)
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield from (alias.name for alias in node.names if re.match("_[^_]", alias.name))
        elif isinstance(node, ast.Attribute) and re.match("_[^_]", node.attr):
            text = ast.unparse(node)
            if node.attr not in defined and not re.match(r"(self|cls)\._\w+$", text):
                yield text


def test_no_module_uses_a_private_name_of_another() -> None:
    assert [f"{m}: {name}" for m in LEAVES for name in _private_names_of_others(m)] == []


def _classes() -> Iterator[tuple[str, ast.ClassDef]]:
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                yield module, node


def test_a_class_name_is_unique() -> None:
    places = defaultdict(list)
    for module, node in _classes():
        places[node.name].append(module)
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}


def test_each_protocol_and_abstract_class_is_known() -> None:
    protocols, abstract = defaultdict(set), defaultdict(set)
    for module, node in _classes():
        bases = {ast.unparse(base).partition("[")[0] for base in node.bases}
        if "Protocol" in bases:
            protocols[module].add(node.name)
        if "ABC" in bases or "@abstractmethod" in ast.unparse(node):
            abstract[module].add(node.name)
    assert protocols == PROTOCOLS
    assert abstract == ABSTRACT_CLASSES


# What the documentation says about the code

GLOSSARY = (ROOT / "docs" / "glossary.md").read_text("utf-8")
CLASSES = {node.name for _, node in _classes()}


def test_the_classes_of_the_glossary_exist() -> None:
    named = set(re.findall(r"`([A-Z][A-Za-z]+)`", GLOSSARY))
    assert named
    assert named <= CLASSES


def test_the_glossary_defines_each_term_once() -> None:
    terms = re.findall(r"^\| \*\*([^*]+)\*\*", GLOSSARY, re.MULTILINE)
    assert len(terms) > 30
    assert len(terms) == len(set(terms))


@pytest.mark.parametrize(
    "document", ["docs/architecture.md", "docs/decisions.md", "CONTRIBUTING.md"]
)
def test_names_in_a_document_exist(document: str) -> None:
    """In `folder/module.name` the module is one of the package, and defines the name."""
    text = (ROOT / document).read_text("utf-8")
    named = re.findall(r"`([a-z_]+(?:/[a-z_0-9]+)+)(?:\.([A-Za-z_]+))?(?:\.([a-z_]+))?`", text)
    assert named
    for path, *names in named:
        if path.startswith("text/"):  # a media type
            continue
        if path.startswith(("tests/", "docs/", "benchmarks/", "examples/", "staticstore/")):
            assert (ROOT / f"{path}.{names[0] or 'py'}").exists() or (ROOT / path).is_dir(), path
            continue
        module = path.replace("/", ".")
        assert module in MODULES, path
        for name in filter(None, names):
            assert re.search(rf"\b{name}\b", TEXTS[module]), f"{path}.{name}"


# The number of modules that a call goes through


def _modules_called(call: Callable[[], object]) -> list[str]:
    """Return the modules of the package whose functions a call runs in this thread."""
    seen: dict[str, None] = {}

    def note(frame: Any, event: str, argument: object) -> None:
        name = frame.f_globals.get("__name__", "")
        if event == "call" and name.startswith("staticstore."):
            seen[name.removeprefix("staticstore.")] = None

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    return list(seen)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StaticStore]:
    site = tmp_path_factory.mktemp("site")
    (site / "data").mkdir()
    (site / "data" / "a.bin").write_bytes(bytes(range(256)) * 40)
    publish(site, metadata={"*": {"type": "raster"}})
    with (
        serve(site, port=0) as server,
        StaticStore(server.url, poll_interval=0).connect() as connected,
    ):
        yield connected


@pytest.mark.parametrize("way", ["query", "range"])
def test_a_call_goes_through_few_modules(store: StaticStore, way: str) -> None:
    value = store["a.bin"]
    calls: dict[str, Callable[[], object]] = {
        "query": lambda: list(store.query(type="raster")),
        "range": lambda: value.range(0, 4).read(),
    }
    calls[way]()  # the first call builds and connects what the second uses
    modules = _modules_called(calls[way])
    print(f"{way}: {len(modules)} modules: {' > '.join(modules)}")
    assert len(modules) <= MOST_ON_THE_WAY


# Purity, exports and imports


@pytest.mark.parametrize("name", ["socket", "threading", "requests", "os", "time", "pathlib", "io"])
def test_the_index_is_pure(name: str) -> None:
    # The system's name, and locks around caches, are neither I/O nor threads.
    allowed = {
        "index.fields": "os",
        "index.forms.lines": "threading",
        "index.forms.parsing": "threading",
        "index.forms.field_indexes": "threading",
    }
    for module in LEAVES:
        if module.startswith("index.") and allowed.get(module) != name:
            imported = {
                origin.partition(".")[0]
                for node in ast.walk(TREES[module])
                for origin in _imported_from_elsewhere(node)
            }
            assert name not in imported, module


_PURE = "from pathlib import PurePath"


def _imported_from_elsewhere(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and not node.level and ast.unparse(node) != _PURE:
        return [node.module or ""]
    return []


def test_all_names_what_the_package_exports() -> None:
    public = {
        name
        for name, value in vars(staticstore).items()
        if not (name.startswith("_") or inspect.ismodule(value) or name in FOR_ITSELF)
    }
    assert public | set(staticstore._ELSEWHERE) == set(staticstore.__all__)


def test_all_is_sorted_and_each_name_exists() -> None:
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
    """Return the modules that some code imports in a fresh process."""
    # Coverage measurement imports some before.
    code = f"import sys\nbefore = set(sys.modules)\n{code}\nprint(*set(sys.modules) - before)"
    return set(subprocess.check_output([sys.executable, "-c", code], text=True).split())


def test_importing_staticstore_imports_no_slow_module() -> None:
    assert not imported_by("import staticstore").intersection(SLOW)


def test_a_successful_look_up_imports_no_module_for_failures(tmp_path: Path) -> None:
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
