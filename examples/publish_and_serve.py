"""Make a site of a folder, and serve it.

    python examples/publish_and_serve.py [FOLDER]

FOLDER must contain a folder data/.  Without arguments it is a copy of the
sample site, which is served until one value has been read.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from staticstore import StaticStore, publish, serve

SAMPLE_SITE = Path(__file__).parent.parent / "sample_site"


def make_site(folder: str) -> None:
    """Write the index of a folder, and print a report."""
    report = publish(folder)
    print(f"{report.entries} keys, {report.bytes} bytes; {report.hashed} files were hashed")
    for path, reason in report.skipped:
        print(path, "was skipped:", reason)


if len(sys.argv) > 1:
    make_site(sys.argv[1])
    with serve(sys.argv[1]) as server:
        print("serving", server.url, "until you press Ctrl-C")
        server.wait()
else:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(SAMPLE_SITE, folder, dirs_exist_ok=True)
        make_site(folder)
        with serve(folder, port=0) as server, StaticStore(server.url) as store:
            print(server.url, "has a table of weather stations:")
            print(store.to_bytes("stations/stations.csv").decode(), end="")
