"""Run a program with the URL of a site that changes every three seconds.

    python examples/changing_site.py examples/browser_qt.py

The site is a copy of the sample site, which is removed when the program ends.
"""

import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from itertools import count
from pathlib import Path

from staticstore import publish, serve

SAMPLE_SITE = Path(__file__).parent.parent / "sample_site"


def change(data: Path, number: int) -> None:
    """Add a line to a table, and add, update or delete one of three notes."""
    with (data / "measurements" / "weather-2025.csv").open("a") as table:
        table.write(f"2026-01-{1 + number % 31:02},W5,-1.2,0.4,1.9,0.0\n")
    note = data / "notes" / f"seals-{1 + number % 3}.txt"
    note.parent.mkdir(exist_ok=True)
    if number % 4 == 3:
        note.unlink(missing_ok=True)
    else:
        note.write_text(f"{number} seals slept on the beach.\n")


with tempfile.TemporaryDirectory() as folder, suppress(KeyboardInterrupt):
    data = Path(shutil.copytree(SAMPLE_SITE, folder, dirs_exist_ok=True), "data")
    with Path(folder, "metadata.toml").open("a") as metadata:
        metadata.write('["notes/*"]\ntype = "note"\ntitle = "A note from Ilvar"\n')
    change(data, 0)
    publish(folder)
    with serve(folder, port=0) as server:
        program = subprocess.Popen([sys.executable, sys.argv[1], server.url])
        for number in count(1):
            with suppress(subprocess.TimeoutExpired):
                sys.exit(program.wait(timeout=3))
            change(data, number)
            publish(folder)
