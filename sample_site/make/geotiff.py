"""Write GeoTIFF rasters (TIFF 6.0, and OGC GeoTIFF 1.1, document 19-008), not compressed.

A file is the header, the directory, what the directory points to, and then the
pixels in strips: who reads its first two kilobytes knows all but the pixels.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from .grid import HEIGHT, NORTH, STEP_X, STEP_Y, WEST, WIDTH, degrees
from .png import Color

_SHORT, _LONG, _RATIONAL, _DOUBLE, _ASCII = 3, 4, 5, 12, 2
_CODES = {_SHORT: "H", _LONG: "I", _RATIONAL: "II", _DOUBLE: "d"}
_STRIP_ROWS = 20


class Entry(NamedTuple):
    """An entry of the directory, its values packed."""

    tag: int
    kind: int
    number: int
    """Of values."""
    packed: bytes


def geotiff(
    values: Sequence[int],
    *,
    description: str,
    code: str = "B",
    samples: int = 1,
    cells: int = 1,
    no_data: int | None = None,
    colors: Sequence[Color] = (),
) -> bytes:
    """Return a raster of the whole island, in WGS 84 longitude and latitude (EPSG:4326).

    Parameters
    ----------
    values : sequence of int
        Row by row from the northwest; of each pixel all its samples.
    description : str
        What is shown; ASCII.
    code : str
        ``"B"`` for samples from 0 to 255, ``"h"`` from -32768 to 32767.
    samples : int
        3 for red, green and blue; otherwise 1.
    cells : int
        Side of a pixel in cells of the grid.
    no_data : int, optional
        The value of pixels where nothing is known.
    colors : sequence of Color
        The color of the values 0, 1, 2, …, if they are the numbers of classes.
    """
    pixels = struct.pack(f"<{len(values)}{code}", *values)
    strip = _STRIP_ROWS * (WIDTH // cells) * samples * struct.calcsize(code)
    sizes = [min(strip, len(pixels) - start) for start in range(0, len(pixels), strip)]
    # 2: red, green and blue; 3: numbers of colors; 1: the more the brighter.
    shown = 2 if samples == 3 else 3 if colors else 1
    entries = [
        *_layout(cells, code, samples, sizes),
        _numbers(262, _SHORT, shown),
        _words(270, description),
        *_place(cells),
    ]
    if colors:
        entries.append(_color_map(colors))
    if no_data is not None:
        entries.append(_words(42113, str(no_data)))  # GDAL_NODATA
    return _before_strips(entries, sizes) + pixels


def _layout(cells: int, code: str, samples: int, sizes: list[int]) -> list[Entry]:
    """Return the entries that say how the pixels are laid out, but not where they begin."""
    return [
        _numbers(256, _LONG, WIDTH // cells),
        _numbers(257, _LONG, HEIGHT // cells),
        _numbers(258, _SHORT, *[8 * struct.calcsize(code)] * samples),  # bits of a sample
        _numbers(259, _SHORT, 1),  # not compressed
        _numbers(277, _SHORT, samples),
        _numbers(278, _LONG, _STRIP_ROWS),
        _numbers(279, _LONG, *sizes),
        _numbers(282, _RATIONAL, 72, 1),
        _numbers(283, _RATIONAL, 72, 1),
        _numbers(284, _SHORT, 1),  # the samples of a pixel stand together
        _numbers(296, _SHORT, 2),  # the 72 above are to the inch
        _numbers(339, _SHORT, *[2 if code.islower() else 1] * samples),  # signed or not
    ]


def _numbers(tag: int, kind: int, *values: float) -> Entry:
    """Return an entry of numbers; a rational is two of them."""
    code = _CODES[kind]
    number = len(values) // len(code)
    return Entry(tag, kind, number, struct.pack("<" + code * number, *values))


def _words(tag: int, text: str) -> Entry:
    """Return an entry of ASCII text, which ends with a zero."""
    packed = text.encode("ascii") + b"\0"
    return Entry(tag, _ASCII, len(packed), packed)


def _place(cells: int) -> list[Entry]:
    """Return the entries that say where on Earth the raster lies."""
    name = "WGS 84|"
    keys = [
        (1024, 0, 1, 2),  # GTModelType: geographic
        (1025, 0, 1, 1),  # GTRasterType: a pixel is an area
        (2048, 0, 1, 4326),  # GeodeticCRS: EPSG:4326
        (2049, 34737, len(name), 0),  # GeodeticCitation: in the text of that tag
        (2054, 0, 1, 9102),  # GeogAngularUnits: degree
    ]
    # The directory of keys begins with its version, 1.1.1, and their number.
    directory = [1, 1, 1, len(keys), *(number for key in keys for number in key)]
    return [
        _numbers(33550, _DOUBLE, degrees(STEP_X * cells), degrees(STEP_Y * cells), 0),
        _numbers(33922, _DOUBLE, 0, 0, 0, degrees(WEST), degrees(NORTH), 0),
        _numbers(34735, _SHORT, *directory),
        _words(34737, name),
    ]


def _color_map(colors: Sequence[Color]) -> Entry:
    """Return the colors of 256 values: all reds, all greens, all blues, 16 bits each."""
    padded = [*colors, *[(0, 0, 0)] * (256 - len(colors))]
    return _numbers(320, _SHORT, *(color[band] * 257 for band in range(3) for color in padded))


def _before_strips(entries: list[Entry], sizes: list[int]) -> bytes:
    """Return all that comes before strips of these sizes."""
    # How much that is does not depend on where the strips begin, so they may begin at 0 first.
    start = len(_head([*entries, _strips(0, sizes)]))
    return _head([*entries, _strips(start, sizes)])


def _strips(start: int, sizes: list[int]) -> Entry:
    """Return the entry that says at which byte each strip begins."""
    return _numbers(273, _LONG, *(start + sum(sizes[:number]) for number in range(len(sizes))))


def _head(entries: list[Entry]) -> bytes:
    """Return the header, the directory, and the values that have no room in it."""
    directory, rest = [struct.pack("<H", len(entries))], bytearray()
    after = 8 + 2 + 12 * len(entries) + 4
    for entry in sorted(entries):
        field = entry.packed.ljust(4, b"\0")
        if len(field) > 4:
            field = struct.pack("<I", after + len(rest))
            # What an offset points to begins at an even byte.
            rest += entry.packed + bytes(len(entry.packed) % 2)
        directory.append(struct.pack("<HHI", entry.tag, entry.kind, entry.number) + field)
    return b"II*\0" + struct.pack("<I", 8) + b"".join(directory) + bytes(4) + bytes(rest)
