"""Programs for the tests of what is started as a process."""

from __future__ import annotations

from pathlib import Path


def a_python(folder: Path, script: str) -> str:
    """Make a program by the name of Python that does something of its own first."""
    program = folder / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)
