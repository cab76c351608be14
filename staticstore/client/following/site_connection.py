"""Opens connections to a site, by the follower that its store has chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ...errors import checked_number
from ...transport.http.arguments import SessionOptions
from ...transport.http.session import open_sessions
from ..access import import_before_forks
from .connection import Connection

if TYPE_CHECKING:
    from ...index.freshness import Freshness
    from ...transport.http.root import Root
    from ...transport.http.session import Session
    from ..access import IndexDownload
    from ..cache.folder import CacheFolder
    from .connection import Follower
    from .follower import SiteFollower

__all__ = ["open_connection"]


def open_connection(
    roots: Sequence[Root],
    options: Mapping[str, Any],
    arguments: Mapping[str, Any],
    *,
    poll_interval: float,
    hint: str | None,
    freshness: Freshness,
    folder: CacheFolder | None,
    download: IndexDownload,
    follower: Callable[..., SiteFollower],
    sessions: list[Session] | None = None,
) -> tuple[Connection, list[str]]:
    """Make a connection to a site; nothing is requested yet.

    Parameters
    ----------
    roots : sequence of Root
        The roots of the site.
    options, arguments : mapping
        The arguments of a store, and of its `connect`.
    poll_interval : float
        Seconds, 0 for no polling.
    hint : str or None
        What to add to a refusal.
    freshness : Freshness
        What the site has said so far.
    folder : CacheFolder or None
        Where the index is cached.
    download : IndexDownload
        How documents are downloaded.
    follower : callable
        Makes the follower, unless the index is one of others: `follower_class`.
    sessions : list of Session, optional
        Those of the roots, if they are open already; they stay open.

    Returns
    -------
    Connection, list of str
        The URLs are of roots to which a password is sent in the clear.
    """
    cached = None
    if folder is not None:
        from ..cache.index import CachedIndex  # seldom needed

        cached = CachedIndex(folder, roots[0], options)
        download = download._replace(parts=cached.parts)
    of_session = dict(arguments)
    max_bytes, seconds = of_session.pop("max_index_bytes"), of_session.pop("index_deadline")
    checked_number(max_bytes, "max_index_bytes", least=1)
    checked_number(seconds, "index_deadline", least=0)
    of_sessions = SessionOptions(
        **of_session, origins=options["origins"], hint=hint, progress=download.progress
    )
    owns_sessions = sessions is None
    if sessions is None:
        sessions = open_sessions(roots, of_sessions)
    bounds = {
        "freshness": freshness,
        "max_bytes": max_bytes,
        "seconds": seconds,
        "owns_sessions": owns_sessions,
    }
    follow: Callable[[], Follower]
    if options["format"] is not None:
        from .format_follower import FormatFollower  # seldom needed

        follow = partial(FormatFollower, sessions, options["format"], **bounds)
    else:
        follow = partial(follower, sessions, options["index_path"], parts=download.parts, **bounds)
    import_before_forks()
    exposed = [session.root.url for session in sessions if session.exposes_password]
    return Connection(follow, cached, poll_interval), exposed
