"""Pillow reads pictures from a value that is opened."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.tools.conftest import published

image = pytest.importorskip("PIL.Image")


def test_pillow_reads_from_it(tmp_path: Path) -> None:
    written = io.BytesIO()
    image.new("RGB", (40, 30), (1, 2, 3)).save(written, "PNG")
    with (
        published(tmp_path, "a.png", written.getvalue()) as store,
        store["a.png"].open() as file,
        image.open(file) as read,
    ):
        assert read.getpixel((39, 29)) == (1, 2, 3)
