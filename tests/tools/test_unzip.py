"""Info-ZIP's unzip reads a pack."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from staticstore import publish
from tests.site.sitefolder import make_site


@pytest.mark.skipif(not shutil.which("unzip"), reason="unzip is not installed")
def test_unzip_finds_nothing_wrong_with_a_pack(tmp_path: Path) -> None:
    site = make_site(
        tmp_path / "site", {"a.csv": b"x\n1\n", "b/é.bin": b"\x00\xff" * 40, "c": b"third"}
    )
    publish(site, pack=True)
    [pack] = (site / "packs").iterdir()
    subprocess.run(["unzip", "-t", pack], check=True, capture_output=True)
