"""Worker threads, which do not keep the interpreter from exiting."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from staticstore.workers import Workers


def test_calls_are_made_and_their_results_returned() -> None:
    with Workers(3, "test") as pool:
        found = [pool.submit(lambda number=number: number * 2) for number in range(20)]  # type: ignore[misc]
    assert [one.result() for one in found] == list(range(0, 40, 2))


def test_at_most_the_given_number_of_threads_is_started() -> None:
    seen = set()
    with Workers(3, "test") as pool:
        for _ in range(50):
            pool.submit(lambda: seen.add(threading.current_thread()))
    assert len(seen) <= 3


def test_an_error_is_raised_where_the_result_is_requested() -> None:
    with Workers(1, "test") as pool:
        found = pool.submit(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        found.result()


def test_waiting_calls_are_cancelled_at_close() -> None:
    goes_on, may_end = threading.Event(), threading.Event()

    def call() -> bool:
        goes_on.set()
        return may_end.wait(10)

    pool = Workers(1, "test")
    first, second = pool.submit(call), pool.submit(call)
    assert goes_on.wait(10)
    pool.close()
    may_end.set()
    assert first.result(10)
    assert second.cancelled()


def test_leaving_the_block_with_an_error_does_not_wait() -> None:
    may_end = threading.Event()
    with pytest.raises(KeyError), Workers(1, "test") as pool:
        pool.submit(lambda: may_end.wait(10))
        raise KeyError
    may_end.set()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Make SIGINT raise, which a shell's background processes ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_that_ends_no_wait_is_noticed_before_the_result() -> None:
    asked, may_end = threading.Event(), threading.Event()

    def call() -> bool:
        asked.wait(10)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)  # not the main thread
        return may_end.wait(10)

    with Workers(1, "test") as pool:
        found = pool.submit(call)
        with pytest.raises(KeyboardInterrupt):
            asked.set()
            found.result()
        assert not found.done()
        may_end.set()


def test_a_timeout_that_the_call_raised_is_raised_at_once() -> None:
    def call() -> None:
        raise TimeoutError("its own")

    with Workers(1, "test") as pool:
        found = pool.submit(call)
        with pytest.raises(TimeoutError, match="its own"):
            found.result()
