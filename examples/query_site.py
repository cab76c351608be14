"""Query a site.

    python examples/query_site.py [URL [FIELD=TEXT ...]]

Without arguments it lists the rasters of the sample site.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from staticstore import StaticStore, publish

SAMPLE_SITE = Path(__file__).parent.parent / "sample_site"


def show(url: str, wanted: dict[str, str]) -> None:
    """Print the values of a site that have these fields."""
    # Without polling: this program ends before anything could change.
    with StaticStore(url, poll_interval=0) as store:
        for key, metadata in store.query(select=["title", "size"], where=wanted):
            print(f"{metadata.get('size', 0):>8}  {key:28}  {metadata.get('title', '')}")
            # The value is opened now, and only these 8 bytes of it are transferred.
            with store[key].range(0, 8) as head:
                print(" " * 8, " begins with", head.read())


if len(sys.argv) > 1:
    show(sys.argv[1], dict(text.split("=", 1) for text in sys.argv[2:] if "=" in text))
else:
    with tempfile.TemporaryDirectory() as folder:
        # A site may also be a local folder; the original is not modified.
        shutil.copytree(SAMPLE_SITE, folder, dirs_exist_ok=True)
        publish(folder)
        show(folder, {"type": "raster"})
