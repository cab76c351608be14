"""The signals that a store sends when its index changes.

Each is a `blinker.Signal`; filter with ``connect(handler, sender=store)``.  By
default blinker holds handlers weakly: keep a reference to a bound method or a
lambda, or use `StaticStore.subscribe`, which holds a strong one.

``key_set``, ``key_updated``, ``key_deleted``
    Once for each key, in key order: ``handler(store, key=…, metadata=…, previous=…)``.
    ``metadata`` is None for a delete, ``previous`` for a set.  Both are copies that
    belong to the handler.
``index_updated``
    Once for each poll that changed something, after the signals of its keys:
    ``handler(store, changes=…)``.
``poll_failed``
    When a poll failed and the old snapshot was kept: ``handler(store, error=…)``.

They are sent after the new snapshot has replaced the old one, outside every
lock, by one thread at a time: the poller's, or the one that called
`StaticStore.update_index`.  A handler that raises is logged; the others are called.
"""

from __future__ import annotations

from blinker import Signal

__all__ = ["index_updated", "key_deleted", "key_set", "key_updated", "poll_failed"]

key_set = Signal(
    "A key is new in the index: ``handler(store, key=…, metadata=…, previous=None)``."
)
key_updated = Signal(
    "The metadata of a key has changed: ``handler(store, key=…, metadata=…, previous=…)``."
)
key_deleted = Signal(
    "A key is gone from the index: ``handler(store, key=…, metadata=None, previous=…)``."
)
index_updated = Signal(
    "A poll found changes; its key signals have been sent: ``handler(store, changes=…)``."
)
poll_failed = Signal("A poll failed; the old snapshot is kept: ``handler(store, error=…)``.")
