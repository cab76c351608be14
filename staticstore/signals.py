"""The signals that a store sends when its index changes.

Each is a `blinker.Signal`; filter with ``connect(handler, sender=store)``.  By default
blinker holds handlers weakly: keep a reference to a bound method or a lambda, or use
`StaticStore.subscribe`, which holds a strong one.

Of a poll that changed something, the signals of its keys are sent first, in key order,
then `index_updated`.  All are sent after the new snapshot has replaced the old one, outside
every lock, by one thread at a time: the poller's, or the one that called
`StaticStore.update_index`.  A handler that raises is logged; the others are called.
Metadata are copies that belong to the handler.
"""

from __future__ import annotations

from blinker import Signal

__all__ = ["index_updated", "key_deleted", "key_set", "key_updated", "poll_failed"]

key_set = Signal("Sent for each new key, as ``handler(store, key=…, metadata=…, previous=None)``.")
key_updated = Signal(
    "Sent for each key with other metadata, as ``handler(store, key=…, metadata=…, previous=…)``."
)
key_deleted = Signal(
    "Sent for each key that is gone, as ``handler(store, key=…, metadata=None, previous=…)``."
)
index_updated = Signal(
    "Sent once for a poll that found changes, as ``handler(store, changes=…)`` with its `Changes`."
)
poll_failed = Signal(
    "Sent for a poll that failed, as ``handler(store, error=…)``; the old snapshot is kept."
)
