"""One run of one contender in its own process; prints what was measured, as JSON.

A contender that cannot run here prints the reason, as a text.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import json
import mmap
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .sites import LiveSite
from .subjects import CannotRun, Figures, Place

__all__: list[str] = []

_TOUCHED_BYTES = 1 << 29


def main() -> None:
    """Run one contender of one subject."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module")
    parser.add_argument("subject")
    parser.add_argument("contender")
    parser.add_argument("served", type=Path)
    parser.add_argument("url")
    parser.add_argument("count", type=int)
    asked = parser.parse_args()
    module = importlib.import_module(f"benchmarks.subjects.{asked.module}")
    subject = next(one for one in module.SUBJECTS if one.name == asked.subject)
    live = LiveSite(asked.served, asked.url)
    answer: Figures | str
    try:
        answer = subject.contenders[asked.contender](Place(live, asked.count, Meter()))
    except (CannotRun, ModuleNotFoundError) as reason:
        answer = f"does not run here: {reason}"
    finally:
        live.remove()
    print(json.dumps(answer))


class Meter:
    """Measures time, processor time, bytes on the wire and memory of a block."""

    @contextmanager
    def measuring(self) -> Iterator[Figures]:
        """Fill a dictionary when the block ends."""
        figures: Figures = {}
        # When the whole heap is due for a collection, which takes 50 ms, depends on what was
        # imported before.
        gc.collect()
        _touch_memory()
        _forget_peak()
        memory, wire = _memory("VmRSS"), _bytes_on_loopback()
        began, cpu = time.perf_counter(), time.process_time()
        yield figures
        figures["seconds"] = time.perf_counter() - began
        figures["cpu"] = time.process_time() - cpu
        figures["wire"] = _bytes_on_loopback() - wire
        figures["peak"] = _memory("VmHWM")
        figures["grown"] = figures["peak"] - memory

    def per_call(self, call: Callable[[], object], *, least: float = 0.2) -> Figures:
        """Return the seconds of one call, measured over many."""
        count, total = 0, 0.0
        while total < least:
            began = time.perf_counter()
            call()
            total += time.perf_counter() - began
            count += 1
        return {"seconds": total / count}


def _touch_memory() -> None:
    """Use the memory that the measured part will get, so that all contenders find the same.

    The host of a virtual machine may have taken back what nobody used for a while, and gives
    it again at the first touch, which takes 2 s for a GiB.
    """
    with mmap.mmap(-1, _TOUCHED_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        with contextlib.suppress(AttributeError):
            memory.madvise(mmap.MADV_HUGEPAGE)  # as numpy does, and then it is quick
        for start in range(0, _TOUCHED_BYTES, mmap.PAGESIZE):
            memory[start] = 1


def _forget_peak() -> None:
    """Reset the peak memory of this process to its current memory, if allowed."""
    try:
        Path("/proc/self/clear_refs").write_text("5", "ascii")
    except OSError:
        return


def _memory(name: str) -> int:
    """Return a figure of this process's memory, in bytes.

    Not by `resource.getrusage`, which on Linux begins with the parent's figure.
    """
    status = Path("/proc/self/status").read_text("ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if name in line) * 1024


def _bytes_on_loopback() -> int:
    """Return the bytes sent over loopback so far, packet headers included."""
    for line in Path("/proc/net/dev").read_text("ascii").splitlines():
        name, _, figures = line.partition(":")
        if name.strip() == "lo":
            return int(figures.split()[0])
    return 0


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    # At a normal exit, threads of a contender (obstore's, for one) may abort the process.
    os._exit(0)
