"""A fork waits until no thread is inside a TLS library, whose locks a child cannot free."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Iterator

__all__ = ["ForkGate", "fork_gate"]

# A handshake may wait for its host for longer; it holds no lock then.
_PATIENCE_SECONDS = 0.5


class ForkGate:
    """Keeps forks and the setting up of TLS connections apart.

    OpenSSL takes locks while it makes contexts and shakes hands, and lets the
    interpreter go meanwhile.  A child that is forked then finds them held for good,
    and hangs in its own first handshake, where no timeout ends it.  Other locks are
    made anew in the child: see `staticstore.processes`.

    Parameters
    ----------
    patience : float, optional
        The longest time that a fork waits, in seconds.
    """

    def __init__(self, patience: float = _PATIENCE_SECONDS) -> None:
        self._patience = patience
        self._begin()

    def _begin(self) -> None:
        self._change = threading.Condition()
        self._inside = 0
        self._forks = 0

    def watch(self) -> None:
        """Begin to hold up forks of this process, for good."""
        os.register_at_fork(
            before=self.close, after_in_parent=self.open, after_in_child=self._begin
        )

    @contextlib.contextmanager
    def passing(self) -> Iterator[None]:
        """Let no fork begin in the block, for a while; wait for one that is going on."""
        with self._change:
            self._change.wait_for(lambda: not self._forks, self._patience)
            self._inside += 1
        try:
            yield
        finally:
            with self._change:
                self._inside -= 1
                self._change.notify_all()

    def close(self) -> None:
        """Let no thread begin, and wait for those inside."""
        with self._change:
            self._forks += 1
            self._change.wait_for(lambda: not self._inside, self._patience)

    def open(self) -> None:
        """Let threads begin again."""
        with self._change:
            self._forks -= 1
            self._change.notify_all()


@functools.cache
def fork_gate() -> ForkGate:
    """Return the gate of this process; its forks are held up from the first call on."""
    gate = ForkGate()
    if hasattr(os, "register_at_fork"):
        gate.watch()
    return gate
