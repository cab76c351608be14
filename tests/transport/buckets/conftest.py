"""An environment without the credentials of whoever runs the tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PREFIXES = ("AWS_", "AZURE_", "GOOGLE_", "CLOUDSDK_")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in list(os.environ):
        if name.startswith(PREFIXES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return monkeypatch
