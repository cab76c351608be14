"""A folder of files on any static web host, as a live, verified key-value store.

The reader is `StaticStore`; the publisher `publish`, and `serve` to look at
what was published; `mirror` makes a copy that is a site again; `JoinedStore`
and `MountedStore` are several stores as one.  The signals,
and the errors, each a `StoreError`, are described in their modules.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .client.store import StaticStore
from .client.telling.subscription import Subscription
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
    TrustError,
)
from .index.changes import Change, Changes
from .index.snapshot import Index
from .signals import (
    index_updated,
    key_deleted,
    key_set,
    key_updated,
    poll_failed,
    request_finished,
)

if TYPE_CHECKING:
    from .client.views import JoinedStore, MountedStore
    from .site.guards import RefusedError
    from .site.mirror import MirrorReport, mirror
    from .site.predecessor import PublishedAt
    from .site.publisher import PublishReport, VerifyReport, publish, verify_site
    from .site.push import PushReport, push
    from .site.server import SiteServer, serve

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
    "JoinedStore",
    "MirrorReport",
    "MountedStore",
    "NotConnectedError",
    "PublishReport",
    "PublishedAt",
    "PushReport",
    "RefusedError",
    "SiteServer",
    "StaticStore",
    "StoreError",
    "Subscription",
    "TransportError",
    "TransportTimeout",
    "TrustError",
    "URLValue",
    "VerifyReport",
    "index_updated",
    "key_deleted",
    "key_set",
    "key_updated",
    "mirror",
    "poll_failed",
    "publish",
    "push",
    "request_finished",
    "serve",
    "verify_site",
]

# What a program that only reads a site does not need, the publishing and copying half above
# all: imported when it is first asked for (PEP 562).
_ELSEWHERE = {
    "JoinedStore": "client.views",
    "MirrorReport": "site.mirror",
    "MountedStore": "client.views",
    "PublishReport": "site.publisher",
    "PublishedAt": "site.predecessor",
    "PushReport": "site.push",
    "RefusedError": "site.guards",
    "SiteServer": "site.server",
    "VerifyReport": "site.publisher",
    "mirror": "site.mirror",
    "publish": "site.publisher",
    "push": "site.push",
    "serve": "site.server",
    "verify_site": "site.publisher",
}


def __getattr__(name: str) -> Any:
    if name in _ELSEWHERE:
        return getattr(importlib.import_module(f".{_ELSEWHERE[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
