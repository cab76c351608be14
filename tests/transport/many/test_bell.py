"""The thread of a carrier hears each request that is submitted to it."""

from __future__ import annotations

import select

import pytest

from staticstore.transport.many.bell import Bell


def test_a_ring_while_an_earlier_one_is_heard_is_not_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bell = Bell()
    receiving = bell._receiving

    class Receiving:
        def fileno(self) -> int:
            number: int = receiving.fileno()
            return number

        def recv(self, size: int) -> bytes:
            bell.ring()
            data: bytes = receiving.recv(size)
            return data

    bell.ring()
    with monkeypatch.context() as patched:
        patched.setattr(bell, "_receiving", Receiving())
        bell.wait((), (), 0)
    bell.ring()
    assert select.select([receiving], (), (), 0)[0] == [receiving]
    bell.close()
