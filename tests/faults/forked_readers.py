"""Fork readers from a process in which threads read and poll; run by `test_e_fork`.

    python -m tests.faults.forked_readers URL FOLDER CHILDREN ROUNDS [CERTIFICATES]

Prints a line for each child that failed, and in the end how many
succeeded.
"""

from __future__ import annotations

import faulthandler
import itertools
import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from pathlib import Path

from staticstore import StaticStore

_SECONDS = 45  # after which a child, or a thread of the parent, counts as hanging
_SHARE = 16  # values that a child reads in each of three ways, and one more


def read_all(store: StaticStore, folder: Path, first: int) -> None:
    """Read values in three ways, starting with any of them."""
    keys = list(store)
    turn = itertools.islice(itertools.cycle(keys), first, first + 3 * _SHARE + 1)
    whole, parts, many = (list(itertools.islice(turn, n)) for n in (_SHARE, _SHARE, _SHARE + 1))
    for key in whole:
        assert store[key].read() == (folder / key).read_bytes(), key
    for key in parts:
        with store[key].range(10, 200) as part:
            assert part.read() == (folder / key).read_bytes()[10:200], key
    for key, value in store.read_many(many):
        assert value == (folder / key).read_bytes(), key


def run_child(store: StaticStore, folder: Path, number: int) -> None:
    """Read in a forked child, and exit without the exit handlers of the parent."""
    status = 1
    signal.alarm(_SECONDS)  # ends a child that hangs
    try:
        read_all(store, folder, number)
        store.update_index()
        store.disconnect()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def main(url: str, data: str, children: str, rounds: str, certificates: str = "") -> None:
    """Fork repeatedly while four threads read and the poller polls."""
    warnings.simplefilter("ignore", DeprecationWarning)  # of forks of a process with threads
    logging.disable(logging.CRITICAL)
    faulthandler.enable()
    faulthandler.register(signal.SIGALRM, chain=True)  # shows where the child hangs
    folder = Path(data)
    failures: list[str] = []
    store = StaticStore(url, poll_interval=0.05)
    store.connect(verify=certificates or True, proxies={})
    ended = threading.Event()

    def read(number: int) -> None:
        try:
            while not ended.is_set():
                read_all(store, folder, number)
        except Exception as error:
            failures.append(f"a thread of the parent: {error!r}")

    threads = [threading.Thread(target=read, args=(25 * n,), daemon=True) for n in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(int(rounds)):
        pids = []
        for number in range(int(children)):
            pid = os.fork()
            if not pid:
                run_child(store, folder, number)
            pids.append(pid)
        for pid in pids:
            _, status = os.waitpid(pid, 0)
            if status:
                failures.append(f"a child: {os.waitstatus_to_exitcode(status)}")
    ended.set()
    for thread in threads:
        thread.join(_SECONDS)
        failures += ["a thread of the parent hangs"] * thread.is_alive()
    error = store.info()["last_error"]
    if error is not None:
        failures.append(f"the parent's poller: {error}")
    store.disconnect()
    print(*failures, sep="\n", end="\n" if failures else "")
    print(int(rounds) * int(children) - sum(one.startswith("a child") for one in failures))


if __name__ == "__main__":
    main(*sys.argv[1:])
