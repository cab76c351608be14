"""Print what is set, updated and deleted on a site.

    python examples/follow_changes.py [URL]

Without arguments it follows a copy of the sample site, which it changes itself.
"""

import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from staticstore import StaticStore, key_deleted, publish

SAMPLE_SITE = Path(__file__).parent.parent / "sample_site"

if len(sys.argv) > 1:
    with suppress(KeyboardInterrupt), StaticStore(sys.argv[1], poll_interval=10) as store:
        for change in store.watch():  # until Ctrl-C
            print(change.action, change.key)
else:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(shutil.copytree(SAMPLE_SITE, folder, dirs_exist_ok=True), "data")
        (data / "old.txt").write_text("old\n")
        publish(folder)
        with StaticStore(folder, poll_interval=0.5) as store:
            deleted: list[str] = []
            # A signal holds its handlers weakly by default, and this lambda has no other name.
            key_deleted.connect(
                lambda _, key, **more: deleted.append(key), sender=store, weak=False
            )
            changes = store.watch(timeout=1)  # ends after a second without a change
            (data / "new.txt").write_text("new\n")
            (data / "old.txt").replace(data / "stations" / "stations.csv")
            publish(folder)
            for change in changes:
                print(f"{change.action:6}  {change.key}")
        print("the signal key_deleted was sent for", *deleted)
