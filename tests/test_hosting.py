"""The page docs/hosting.md shows the lines that tests/tools runs, and its links work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINES = ROOT / "docs" / "hosting"
PAGE = (ROOT / "docs" / "hosting.md").read_text("utf-8")


@pytest.mark.parametrize("link", re.findall(r"\]\(((?!https?:)[^)#]+)\)", PAGE))
def test_a_link_works(link: str) -> None:
    assert (ROOT / "docs" / link).exists()


@pytest.mark.parametrize("name", sorted(path.name for path in LINES.iterdir()))
def test_the_page_shows_the_lines_that_the_tests_run(name: str) -> None:
    shown = re.findall(
        rf"\]\(hosting/{name}\).*?^```\w*\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE
    )
    assert shown[:1] == [(LINES / name).read_text("utf-8")]
