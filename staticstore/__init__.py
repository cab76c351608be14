"""A folder of data files on any static web host, as a live, verified key-value store.

The reader is `StaticStore`; the publisher `publish`, and `serve` to look at
what was published.  The signals, and the errors, each a `StoreError`, are
described in their modules.
"""

from .client.store import StaticStore
from .client.subscription import Subscription
from .client.value import URLValue
from .errors import (
    AuthorizationError,
    HTTPStatusError,
    IndexFormatError,
    IntegrityError,
    InvalidKeyError,
    NotConnectedError,
    StoreError,
    TransportError,
    TransportTimeout,
)
from .index.changes import Change, Changes
from .index.snapshot import Index
from .signals import index_updated, key_deleted, key_set, key_updated, poll_failed

__version__ = "0.1.0"

__all__ = [
    "AuthorizationError",
    "Change",
    "Changes",
    "HTTPStatusError",
    "Index",
    "IndexFormatError",
    "IntegrityError",
    "InvalidKeyError",
    "NotConnectedError",
    "StaticStore",
    "StoreError",
    "Subscription",
    "TransportError",
    "TransportTimeout",
    "URLValue",
    "index_updated",
    "key_deleted",
    "key_set",
    "key_updated",
    "poll_failed",
]
