"""What Sphinx needs to write staticstore.1: ``make man``."""

from __future__ import annotations

import sys
from pathlib import Path

import staticstore

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

project = "staticstore"
release = staticstore.__version__
#: Of the release, not of the day on which the page is written: the same text, the same page.
today = "November 2026"
root_doc = "staticstore"
extensions = ["sphinx_click", "command_sections"]
smartquotes = False
man_pages = [("staticstore", "staticstore", "publish and read data on any static web host", "", 1)]
