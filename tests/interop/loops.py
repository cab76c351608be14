"""The contract of a dispatch: tests that the tests of each event loop inherit."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

import pytest

from staticstore import Change, Changes, StaticStore, StoreError, tuning
from staticstore.client.telling.subscription import Dispatch
from staticstore.interop.desktop import in_thread
from tests.client.scene import TIMEOUT, Call, MemorySite

__all__ = ["DispatchContract", "Loop", "write"]

BEFORE = {"map": {"size": 1}, "old": {}}
AFTER = {"map": {"size": 2}, "new": {}}
ALL = ["update map", "set new", "delete old"]
MANY = {f"{number:05}": {"size": number} for number in range(10_000)}


class Loop(ABC):
    """An event loop of a toolkit, run by this thread."""

    #: Exceptions that the loop would have reported to the user.
    errors: list[BaseException]

    @abstractmethod
    def dispatch(self) -> Dispatch:
        """Return a new dispatch for the loop."""

    @abstractmethod
    def run_until(self, condition: Callable[[], bool]) -> None:
        """Run the loop until a condition holds; fail after a timeout."""

    @abstractmethod
    def call_later(self, call: Callable[[], object]) -> None:
        """Let the loop make a call in a few milliseconds."""

    @abstractmethod
    def end(self) -> None:
        """Destroy the object that deliveries need."""

    def run_past(self, dispatch: Dispatch) -> None:
        """Run the loop until everything dispatched so far has been delivered."""
        passed = threading.Event()
        dispatch(passed.set)
        self.run_until(passed.is_set)


class Recorder:
    """A callback that records the changes and the threads that deliver them."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.threads: set[threading.Thread] = set()

    def __call__(self, received: Change | Changes) -> None:
        self.threads.add(threading.current_thread())
        for change in [received] if isinstance(received, Change) else received:
            self.lines.append(f"{change.action} {change.key}")


class Outcome:
    """The results that `in_thread` delivers, and the threads."""

    def __init__(self) -> None:
        self.results: list[object] = []
        self.threads: list[threading.Thread] = []

    def done(self, result: object) -> None:
        self.results.append(result)
        self.threads.append(threading.current_thread())

    def failed(self, error: StoreError | OSError) -> None:
        self.done(f"failed: {error}")


def fail(error: Exception) -> Callable[[], object]:
    """Return work that raises an error."""

    def work() -> object:
        raise error

    return work


def write(site: MemorySite, store: StaticStore, *keys: str) -> None:
    """Write an index with exactly these keys, and let a store poll it."""
    site.write({key: {} for key in keys})
    store.update_index()


class DispatchContract:
    """The tests; each subclass has a fixture `loop`."""

    @pytest.fixture
    def store(self, site: MemorySite) -> StaticStore:
        site.write(BEFORE)
        return site.open()

    def change(self, site: MemorySite, store: StaticStore, entries: object = None) -> None:
        """Let another thread poll a change, while the loop does not run."""
        site.write(AFTER if entries is None else entries)  # type: ignore[arg-type]
        Call(store.update_index).result()

    def test_changes_are_delivered_in_the_thread_of_the_loop_in_key_order(
        self, loop: Loop, site: MemorySite, store: StaticStore
    ) -> None:
        recorder = Recorder()
        store.subscribe(recorder, dispatch=loop.dispatch())
        self.change(site, store)
        loop.run_until(lambda: len(recorder.lines) == len(ALL))
        assert recorder.lines == ALL
        assert recorder.threads == {threading.current_thread()}

    def test_changes_found_by_the_poller_are_delivered_while_the_loop_runs(
        self, loop: Loop, site: MemorySite
    ) -> None:
        site.write(BEFORE)
        recorder = Recorder()
        with StaticStore(site.url, poll_interval=0.02) as store:
            store.subscribe(recorder, dispatch=loop.dispatch())
            site.write(AFTER)
            loop.run_until(lambda: len(recorder.lines) == len(ALL))
        assert recorder.lines == ALL

    def test_g1_a_loop_that_does_not_run_does_not_block_a_poll(
        self, loop: Loop, site: MemorySite, store: StaticStore
    ) -> None:
        store.subscribe(print, dispatch=loop.dispatch())
        self.change(site, store, MANY)  # returns although nothing can be delivered

    def test_ten_thousand_changes_in_a_batch_are_one_delivery(
        self, loop: Loop, site: MemorySite, store: StaticStore
    ) -> None:
        delivered: list[Changes] = []
        store.subscribe(delivered.append, batch=True, dispatch=loop.dispatch())
        self.change(site, store, MANY)
        loop.run_until(lambda: bool(delivered))
        assert [(len(each.set), len(each.delete)) for each in delivered] == [
            (len(MANY), len(BEFORE))
        ]

    def test_deliveries_keep_their_order(
        self, loop: Loop, site: MemorySite, store: StaticStore
    ) -> None:
        recorder = Recorder()
        store.subscribe(recorder, actions=["set"], dispatch=loop.dispatch())
        self.change(site, store, MANY)
        loop.run_until(lambda: len(recorder.lines) == len(MANY))
        assert recorder.lines == [f"set {key}" for key in MANY]

    def test_g5_other_events_are_handled_between_many_deliveries(
        self,
        loop: Loop,
        site: MemorySite,
        store: StaticStore,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(tuning, "SLICE_SECONDS", 1e-4)  # far less than all of them take
        recorder, counts = Recorder(), list[int]()
        store.subscribe(recorder, actions=["set"], dispatch=loop.dispatch())
        self.change(site, store, MANY)
        loop.call_later(lambda: counts.append(len(recorder.lines)))
        loop.run_until(lambda: bool(counts) and len(recorder.lines) == len(MANY))
        assert counts[0] < len(MANY)

    def test_initial_entries_are_delivered_by_the_loop_too(
        self, loop: Loop, store: StaticStore
    ) -> None:
        recorder = Recorder()
        store.subscribe(recorder, initial=True, batch=True, dispatch=loop.dispatch())
        assert recorder.lines == []
        loop.run_until(lambda: bool(recorder.lines))
        assert recorder.lines == ["set map", "set old"]

    def test_g2_waiting_deliveries_are_not_made_after_close(
        self, loop: Loop, site: MemorySite, store: StaticStore
    ) -> None:
        recorder, dispatch = Recorder(), loop.dispatch()
        subscription = store.subscribe(recorder, dispatch=dispatch)
        self.change(site, store)
        subscription.close()
        loop.run_past(dispatch)
        assert recorder.lines == []

    def test_nothing_is_delivered_after_a_callback_has_closed_the_subscription(
        self, loop: Loop, site: MemorySite, store: StaticStore
    ) -> None:
        recorder, dispatch = Recorder(), loop.dispatch()

        def hear(change: Change) -> None:
            recorder(change)
            subscription.close()

        subscription = store.subscribe(hear, dispatch=dispatch)
        self.change(site, store)
        loop.run_past(dispatch)
        assert recorder.lines == ALL[:1]

    def test_g2_deliveries_waiting_at_disconnect_are_made_after_the_next_connect(
        self, loop: Loop, site: MemorySite, store: StaticStore
    ) -> None:
        recorder, dispatch = Recorder(), loop.dispatch()
        store.subscribe(recorder, dispatch=dispatch)
        self.change(site, store)
        store.disconnect()
        loop.run_past(dispatch)
        assert recorder.lines == []
        site.write({**AFTER, "newer": {}})
        Call(lambda: store.connect(retries=0)).result()
        loop.run_until(lambda: len(recorder.lines) == len(ALL) + 1)
        assert recorder.lines == [*ALL, "set newer"]

    def test_a_callback_may_disconnect_the_store(
        self, loop: Loop, site: MemorySite, store: StaticStore
    ) -> None:
        recorder, dispatch = Recorder(), loop.dispatch()

        def hear(change: Change) -> None:
            recorder(change)
            store.disconnect()

        store.subscribe(hear, dispatch=dispatch)
        self.change(site, store)
        loop.run_past(dispatch)
        assert recorder.lines == ALL[:1]

    def test_g3_an_exception_of_a_delivery_is_shown_by_the_toolkit_and_stops_nothing(
        self,
        loop: Loop,
        site: MemorySite,
        store: StaticStore,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        recorder, dispatch = Recorder(), loop.dispatch()

        def fail(change: Change) -> None:
            raise ZeroDivisionError(change.key)

        store.subscribe(fail, dispatch=dispatch)
        store.subscribe(recorder, dispatch=dispatch)
        self.change(site, store)
        loop.run_past(dispatch)
        assert recorder.lines == ALL
        shown = [(type(error), str(error)) for error in loop.errors]
        assert shown == [(ZeroDivisionError, line.split()[1]) for line in ALL]
        assert caplog.records == []

    def test_g4_a_closed_loop_is_logged_and_others_receive_their_changes(
        self,
        loop: Loop,
        site: MemorySite,
        store: StaticStore,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        recorder = Recorder()
        store.subscribe(print, batch=True, dispatch=loop.dispatch())
        store.subscribe(recorder)
        loop.end()
        self.change(site, store)
        assert recorder.lines == ALL
        (record,) = caplog.records
        assert record.exc_info is not None
        assert isinstance(record.exc_info[1], RuntimeError)

    def test_g1_a_poll_during_other_work_of_the_loop_is_delivered_after_it(
        self, loop: Loop, site: MemorySite, store: StaticStore
    ) -> None:
        recorder, entered, done = Recorder(), threading.Event(), threading.Event()

        def work() -> None:
            entered.set()
            assert done.wait(TIMEOUT)  # the thread of the window is busy
            recorder.lines.append("work")

        def poll() -> None:
            assert entered.wait(TIMEOUT)
            self.change(site, store)
            done.set()

        store.subscribe(recorder, dispatch=loop.dispatch())
        loop.call_later(work)
        polled = Call(poll)
        loop.run_until(lambda: len(recorder.lines) == 1 + len(ALL))
        polled.result()
        assert recorder.lines == ["work", *ALL]

    def test_work_is_done_in_a_thread_and_its_result_delivered_by_the_loop(
        self, loop: Loop
    ) -> None:
        outcome = Outcome()
        in_thread(threading.current_thread, outcome.done, dispatch=loop.dispatch())
        loop.run_until(lambda: bool(outcome.results))
        assert outcome.threads == [threading.current_thread()]
        assert outcome.results[0] is not threading.current_thread()

    def test_in_thread_returns_immediately(self, loop: Loop) -> None:
        outcome, go_on = Outcome(), threading.Event()
        in_thread(lambda: go_on.wait(TIMEOUT), outcome.done, dispatch=loop.dispatch())
        assert outcome.results == []
        go_on.set()
        loop.run_until(lambda: outcome.results == [True])

    @pytest.mark.parametrize("error", [StoreError("gone"), OSError("gone")])
    def test_errors_of_a_site_or_a_disk_are_delivered_as_failures(
        self, loop: Loop, error: Exception
    ) -> None:
        outcome = Outcome()
        in_thread(fail(error), outcome.done, failed=outcome.failed, dispatch=loop.dispatch())
        loop.run_until(lambda: outcome.results == ["failed: gone"])
        assert outcome.threads == [threading.current_thread()]
        assert loop.errors == []

    def test_g8_an_unexpected_exception_of_work_is_shown_by_the_toolkit(self, loop: Loop) -> None:
        outcome, dispatch = Outcome(), loop.dispatch()
        in_thread(
            fail(ZeroDivisionError("a")), outcome.done, failed=outcome.failed, dispatch=dispatch
        )
        loop.run_until(lambda: len(loop.errors) == 1)
        in_thread(fail(StoreError("b")), outcome.done, dispatch=dispatch)
        loop.run_until(lambda: len(loop.errors) == 2)
        assert [str(error) for error in loop.errors] == ["a", "b"]
        assert outcome.results == []

    def test_g9_work_that_ends_after_the_window_delivers_nothing(
        self, loop: Loop, caplog: pytest.LogCaptureFixture
    ) -> None:
        outcome, dispatch, go_on = Outcome(), loop.dispatch(), threading.Event()
        before = set(threading.enumerate())
        in_thread(lambda: go_on.wait(TIMEOUT), outcome.done, dispatch=dispatch)
        workers = list(set(threading.enumerate()) - before)
        loop.end()
        go_on.set()
        workers[0].join(TIMEOUT)
        assert not workers[0].is_alive()
        assert outcome.results == []
        assert caplog.records == []
