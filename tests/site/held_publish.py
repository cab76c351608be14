"""Publishes the site given, and stops in the middle of it until a line comes on stdin."""

from __future__ import annotations

import sys

from staticstore.site.publisher import publish


def hold(done: int, total: int) -> None:
    """Say that the publish is running, and wait."""
    print("running", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    publish(sys.argv[1], progress=hold)
