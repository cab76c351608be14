"""Draw docs/architecture.svg from the imports of the package: ``python docs/picture.py``."""

from __future__ import annotations

import ast
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).resolve().parent.parent / "staticstore"
PICTURE = Path(__file__).with_name("architecture.svg")

#: The rooms of each floor, from the ground floor up.  A room imports from lower floors only.
#: GROUND has the modules that stand in no folder, except those of ENTRANCE.
GROUND = "ground floor"
FLOORS: tuple[tuple[str, ...], ...] = (
    (GROUND, "query"),
    ("disk", "index"),
    ("transport", "formats"),
    ("trust",),
    ("client",),
    ("site",),
    ("commands", "interop"),
)
#: Modules in no folder that belong to the commands.
ENTRANCE = {"cli", "__main__"}

_WIDTH = 1080
_MARGIN = 20
_PADDING = 14
_LINE = 18  # between two base lines
_LETTER = 7.1  # the width of a letter of 13 px, at most
_FLOOR_GAP = 38
_FOLDER_GAP = 26
_SIDE_GAP = 14  # between rooms
_BESIDE_GAP = 30  # between folders
_WIDEST_COLUMN = 132
_CORRIDOR = 46  # beside a room, for arrows that pass it
_SHARES = {
    GROUND: 0.62,
    "query": 0.38,
    "disk": 0.32,
    "index": 0.68,
    "transport": 0.72,
    "formats": 0.28,
    "commands": 0.68,
    "interop": 0.32,
}
_STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #22303f }
.title { font-weight: 700; font-size: 16px }
.about { font-size: 12px; fill: #5a6878 }
.folder { font-weight: 600; fill: #2f5a8a }
.room { fill: #f3f6fa; stroke: #b4c2d1 }
.box { fill: #ffffff; stroke: #d3dde7 }
.arrow { stroke: #6485ab; stroke-width: 1.4; fill: none }
.tip { fill: #6485ab }
"""


def modules() -> dict[str, Path]:
    """Return the modules of the package by their names below it."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    del found["__init__"]
    return found


def imports(*, at_run_time: bool = False) -> dict[str, set[str]]:
    """Return which modules each module imports, also inside functions.

    At run time are those without what stands in ``if TYPE_CHECKING:``.
    """
    known = modules()
    return {
        name: set(_imported(name, path, known, at_run_time)) - {""} for name, path in known.items()
    }


def _imported(name: str, path: Path, known: Mapping[str, Path], at_run_time: bool) -> Iterator[str]:
    package = name.split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in _nodes(ast.parse(path.read_text("utf-8")), at_run_time):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            yield from (
                n.removeprefix("staticstore.") for n in names if n.startswith("staticstore.")
            )
        elif isinstance(node, ast.ImportFrom):
            origin = node.module.split(".") if node.module else []
            if node.level:
                origin = [*package[: len(package) - node.level + 1], *origin]
            elif origin[:1] == ["staticstore"]:
                del origin[0]
            else:
                continue
            for alias in node.names:
                submodule = ".".join([*origin, alias.name])
                yield submodule if submodule in known else ".".join(origin)


def _nodes(node: ast.AST, at_run_time: bool) -> Iterator[ast.AST]:
    yield node
    children: Collection[ast.AST] = list(ast.iter_child_nodes(node))
    if at_run_time and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        children = node.orelse
    for child in children:
        yield from _nodes(child, at_run_time)


def room_of(module: str) -> str:
    """Return the room of a module: the first folder below the package, or GROUND."""
    first, *rest = module.split(".")
    if first in ENTRANCE:
        return "commands"
    return first if rest or modules()[first].name == "__init__.py" else GROUND


class _Box(NamedTuple):
    """A rectangle of the picture."""

    x: float
    y: float
    width: float
    height: float

    @property
    def bottom(self) -> float:
        return self.y + self.height


class _Package(NamedTuple):
    """The folders of each room with their modules, and who imports whom."""

    folders: dict[str, dict[str, list[str]]]
    between_folders: Counter[tuple[str, str]]
    between_rooms: set[tuple[str, str]]
    about: dict[str, str]


def _package() -> _Package:
    paths = modules()
    folders: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    home, about = {}, {GROUND: "What every floor uses."}
    for name, path in paths.items():
        if path.name == "__init__.py":
            home[name] = name
            text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
            about[name] = text.partition("\n")[0]
        else:
            room = room_of(name)
            home[name] = name.rpartition(".")[0] or room
            folders[room][home[name]].append(name.rpartition(".")[2])
    between_folders, between_rooms = Counter[tuple[str, str]](), set[tuple[str, str]]()
    for name, others in imports().items():
        for other in others:
            between_folders[home[name], home[other]] += 1
            between_rooms.add((room_of(name), room_of(other)))
    return _Package(folders, between_folders, between_rooms, about)


def picture() -> str:
    """Return the picture as SVG: floors, folders and modules, and who imports whom."""
    package = _package()
    drawn: list[str] = []
    boxes: dict[str, _Box] = {}
    y = float(_MARGIN)
    for floor in reversed(FLOORS):
        full = _WIDTH - 2 * _MARGIN - _SIDE_GAP * (len(floor) - 1)
        if floor == ("site",):
            full -= _CORRIDOR
        x, height = float(_MARGIN), 0.0
        for room in floor:
            width = full * _SHARES.get(room, 1)
            texts, needed = _room(room, package, _Box(x, y, width, 0))
            boxes[room] = _Box(x, y, width, needed)
            height = max(height, needed)
            drawn += texts
            x += width + _SIDE_GAP
        for room in floor:
            boxes[room] = boxes[room]._replace(height=height)
        y += height + _FLOOR_GAP
    rooms = [_rectangle("room", boxes[room]) for floor in FLOORS for room in floor]
    return _document([*rooms, *drawn, *_between_rooms(package, boxes)], y - _FLOOR_GAP + _MARGIN)


def _room(room: str, package: _Package, place: _Box) -> tuple[list[str], float]:
    """Return what is drawn in a room, and how high the room is."""
    folders = package.folders[room]
    title = room if room == GROUND else f"{room}/"
    drawn = [_title(title, package.about[room], place)]
    y = place.y + 38
    inner = _Box(place.x + _PADDING, y, place.width - 2 * _PADDING, 0)
    boxes: dict[str, _Box] = {}
    rows = _rows(room, folders, package.between_folders)
    for row in rows:
        x, height = inner.x, 0.0
        for folder, width in zip(row, _widths(row, folders, inner.width), strict=True):
            texts, needed = _folder(folder, room, folders[folder], _Box(x, y, width, 0))
            boxes[folder] = _Box(x, y, width, needed)
            height = max(height, needed)
            drawn += texts
            x += width + _BESIDE_GAP
        for folder in row:
            boxes[folder] = boxes[folder]._replace(height=height)
        y += height + _FOLDER_GAP
    drawn = [
        *(_rectangle("box", box) for box in boxes.values()),
        *drawn,
        *_between_folders(rows, boxes, package.between_folders),
    ]
    return drawn, y - _FOLDER_GAP + _PADDING - place.y


def _title(title: str, about: str, place: _Box) -> str:
    # 10 and 6.6 px are the widths of a letter, at most.
    if 2 * _PADDING + len(title) * 10 + len(about) * 6.6 > place.width:
        about = about.partition(":")[0].rstrip(".") + "."
    return (
        f'<text class="title" x="{place.x + _PADDING:.0f}" y="{place.y + 25:.0f}">{escape(title)}'
        f'<tspan class="about" dx="12">{escape(about)}</tspan></text>'
    )


def _rows(
    room: str, folders: Collection[str], between: Mapping[tuple[str, str], int]
) -> list[list[str]]:
    """Return the folders in rows, each below those that import more of it than it of them.

    The room's own modules stand first: they are what other rooms use.
    """

    @cache
    def depth(folder: str) -> int:
        above = [other for other in folders if _is_above(other, folder, room, between)]
        return 1 + max(map(depth, above), default=-1)

    rows: dict[int, list[str]] = defaultdict(list)
    for folder in sorted(folders):
        rows[depth(folder)].append(folder)
    return [rows[number] for number in sorted(rows)]


def _is_above(one: str, other: str, room: str, between: Mapping[tuple[str, str], int]) -> bool:
    if one == other or other == room:
        return False
    if one == room:
        return True
    return between.get((one, other), 0) > between.get((other, one), 0)


def _widths(row: list[str], folders: Mapping[str, list[str]], width: float) -> list[float]:
    width -= _BESIDE_GAP * (len(row) - 1)
    weights = [3 + len(folders[folder]) for folder in row]
    return [width * weight / sum(weights) for weight in weights]


def _folder(folder: str, room: str, names: list[str], place: _Box) -> tuple[list[str], float]:
    label = folder.removeprefix(room).lstrip(".")
    x, y = place.x + 12, place.y + 20
    drawn = []
    if label:
        drawn.append(_text("folder", x, y, f"{label}/"))
        y += _LINE
    column = max(map(len, names)) * _LETTER + 18
    columns = max(1, int((place.width - 12) // column))
    rows = math.ceil(len(names) / columns)
    # As evenly as the rows allow.
    columns = math.ceil(len(names) / rows)
    column = min((place.width - 12) / columns, _WIDEST_COLUMN)
    drawn += [
        _text("module", x + number // rows * column, y + number % rows * _LINE, name)
        for number, name in enumerate(names)
    ]
    return drawn, y + (rows - 1) * _LINE + 11 - place.y


def _between_folders(
    rows: list[list[str]],
    boxes: Mapping[str, _Box],
    between: Mapping[tuple[str, str], int],
) -> list[str]:
    """Return the arrows between neighbors in a row, and from each row to the next."""
    drawn = []
    for row in rows:
        for first, second in pairwise(row):
            if between.get((first, second)) or between.get((second, first)):
                drawn.append(_level(boxes[first], boxes[second]))
    for above, below in pairwise(rows):
        pairs = [(a, b) for a in above for b in below if between.get((a, b)) or between.get((b, a))]
        for first, second in pairs:
            x, end = _shared(
                boxes[first],
                boxes[second],
                [a for a, b in pairs if b == second].index(first),
                [b for a, b in pairs if a == first].index(second),
            )
            drawn.append(
                _arrow(
                    [(x, boxes[first].bottom), (end, boxes[second].y)],
                    down=bool(between.get((first, second))),
                    up=bool(between.get((second, first))),
                )
            )
    return drawn


def _shared(above: _Box, below: _Box, from_above: int, from_below: int) -> tuple[float, float]:
    """Return where an arrow begins and ends: straight down where the boxes overlap."""
    left = max(above.x, below.x)
    right = min(above.x + above.width, below.x + below.width)
    if right - left > 24:
        return (left + right) / 2, (left + right) / 2
    begin = above.x + above.width * (0.35 + 0.3 * from_below)
    end = below.x + below.width * (0.35 + 0.3 * from_above)
    return begin, end


def _between_rooms(package: _Package, boxes: Mapping[str, _Box]) -> list[str]:
    """Return an arrow for each pair of rooms that no longer way joins."""
    pairs = {(a, b) for a, b in package.between_rooms if a != b}
    drawn = []
    for above, below in sorted(pairs):
        if any((above, other) in pairs and (other, below) in pairs for other in boxes):
            continue
        first, second = boxes[above], boxes[below]
        left = max(first.x, second.x)
        right = min(first.x + first.width, second.x + second.width)
        x = (left + right) / 2
        if second.y - first.bottom > _FLOOR_GAP + 1:  # past the rooms between, in the corridor
            x = _WIDTH - _MARGIN - _CORRIDOR / 2
        drawn.append(_arrow([(x, first.bottom), (x, second.y)]))
    return drawn


def _arrow(points: list[tuple[float, float]], *, down: bool = True, up: bool = False) -> str:
    (x, y), (end, bottom) = points
    top = y + 8 if up else y
    last = bottom - 8 if down else bottom
    path = f"M{x:.0f} {top:.0f}V{last:.0f}"
    if round(x) != round(end):
        middle = (y + bottom) / 2
        path = f"M{x:.0f} {top:.0f}V{middle:.0f}H{end:.0f}V{last:.0f}"
    drawn = [f'<path class="arrow" d="{path}"/>']
    if down:
        drawn.append(_tip(end, bottom, -9))
    if up:
        drawn.append(_tip(x, y, 9))
    return "".join(drawn)


def _level(left: _Box, right: _Box) -> str:
    """Return an arrow with two heads, for folders of one row import as much of each other."""
    x, end, y = left.x + left.width, right.x, left.y + left.height / 2
    return (
        f'<path class="arrow" d="M{x + 8:.0f} {y:.0f}H{end - 8:.0f}"/>'
        f'<path class="tip" d="M{x:.0f} {y:.0f}l9 -4.5v9z"/>'
        f'<path class="tip" d="M{end:.0f} {y:.0f}l-9 -4.5v9z"/>'
    )


def _tip(x: float, y: float, back: int) -> str:
    return f'<path class="tip" d="M{x:.0f} {y:.0f}l-4.5 {back}h9z"/>'


def _rectangle(kind: str, box: _Box) -> str:
    return (
        f'<rect class="{kind}" x="{box.x:.0f}" y="{box.y:.0f}" width="{box.width:.0f}"'
        f' height="{box.height:.0f}" rx="6"/>'
    )


def _text(kind: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}">{escape(text)}</text>'


def _document(drawn: list[str], height: float) -> str:
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}"'
            f' width="{_WIDTH}" height="{height:.0f}" role="img"'
            ' aria-label="The folders and modules of staticstore, and which folder imports which">',
            f"<style>{_STYLE}</style>",
            f'<rect width="{_WIDTH}" height="{height:.0f}" fill="#ffffff"/>',
            *drawn,
            "</svg>",
            "",
        ]
    )


if __name__ == "__main__":
    PICTURE.write_text(picture(), "utf-8")
