"""The recipes of docs/cookbook.md, and the files that they read.

A recipe is a block of Python below a line ``<!-- recipe: NAME -->``, or ``<!-- recipe: NAME,
after OTHER -->`` if it uses names of another one.  What it prints stands behind each
``print``, as a comment.
"""

from __future__ import annotations

import ast
import contextlib
import fnmatch
import importlib.util
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["MAKER", "PAGE", "RECIPES", "Recipe", "make_files"]

_ROOT = Path(__file__).parents[2]
SHOWN_URL = "http://127.0.0.1:8000/"
PAGE = (_ROOT / "docs" / "cookbook.md").read_text("utf-8")
MAKER = _ROOT / "examples" / "cookbook_site.py"


def _maker() -> Any:
    spec = importlib.util.spec_from_file_location("cookbook_site", MAKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_MAKER = _maker()
make_files = _MAKER.make_files


@dataclass(frozen=True)
class Recipe:
    """A block of Python of the page."""

    name: str
    code: str
    before: str = ""

    @property
    def shown(self) -> list[str]:
        """What the page says that it prints, line by line."""
        return re.findall(r"^ *print\(.*\)  # (.*)$", self.code, re.MULTILINE)

    @property
    def libraries(self) -> list[str]:
        """The modules that it imports."""
        found: list[str] = []
        for node in ast.walk(ast.parse(self.code)):
            if isinstance(node, ast.Import):
                found += [one.name for one in node.names]
            elif isinstance(node, ast.ImportFrom):
                found.append(node.module or "")
        return found

    @property
    def keys(self) -> list[str]:
        """The keys that it reads; of a folder, that of the folder."""
        texts = re.findall(r'"(?:staticstore://)?([^"\n]*/[^"\n]*)"', self.code)
        texts = [text.partition("::")[0].rstrip("/") for text in texts]
        return [
            key for key in _MAKER.FILES if any(fnmatch.fnmatchcase(key, text) for text in texts)
        ]

    def run(self, store: Any, url: str) -> list[str]:
        """Run it with a store of a site, and return the lines that it prints.

        Parameters
        ----------
        store : Any
            Opens keys as files.
        url : str
            The root of the site, in the place of the one that the page shows.
        """
        names: dict[str, Any] = {"store": store, "__name__": "__main__"}
        for code in (self.before, self.code):
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(code.replace(SHOWN_URL, url), f"<{self.name}>", "exec"), names)
        if names["store"] is not store:
            names["store"].disconnect()
        return printed.getvalue().splitlines()


def _recipes() -> dict[str, Recipe]:
    blocks = re.findall(
        r"^<!-- recipe: (\S+?)(?:, after (\S+))? -->\n```python\n(.*?)^```$", PAGE, re.M | re.S
    )
    found: dict[str, Recipe] = {}
    for name, before, code in blocks:
        found[name] = Recipe(name, code, found[before].code if before else "")
    return found


RECIPES = _recipes()
