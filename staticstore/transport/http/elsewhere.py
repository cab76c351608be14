"""Where entries lead: a session for each origin, without secrets."""

from __future__ import annotations

import contextlib
import functools
import os
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from requests import Request

from ...errors import StoreError, TransportError, raise_alone
from ...index.fields import key_problem
from ...index.placed import href_problem, is_data_url, resolved_url
from .root import Origin, Root, origin_of
from .session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from ...index.placed import Placed
    from .response import Response
    from .template import RequestTemplate
    from .wire import Wire

__all__ = ["DataRoot", "Elsewhere", "Location", "locate", "placed_url"]

_MOST_SESSIONS = 16  # each may have a thread and idle connections
_HINT = "credentials are sent to the origin of the first root only"


class Location(NamedTuple):
    """Where to request a value: session of its origin, path below its root."""

    session: Session
    #: Quoted, perhaps with a query.
    url_path: str

    @property
    def url(self) -> str:
        """The URL."""
        return self.session.root.join(self.url_path)


def placed_url(placed: Placed, root: Root) -> str:
    """Return the URL of a placed value, whether or not it may be requested.

    Raises
    ------
    ValueError
        The reference cannot be read.
    """
    return placed.href if is_data_url(placed.href) else resolved_url(placed, root.url)


def locate(placed: Placed, first: Session, key: str | None = None) -> Location:
    """Return where to request a placed value; nothing is requested.

    The only place that turns what an entry says into a URL to request.  A session of
    another origin has no credentials, no header fields of the user, and no certificate.

    Parameters
    ----------
    placed : Placed
        What its entry says.
    first : Session
        The session of the first root.
    key : str, optional
        For errors.

    Raises
    ------
    TransportError
        It may not be requested: the URL is refused, or its origin is not among those that
        the site may lead to.
    """
    root, href = first.root, placed.href
    https_only = urlsplit(placed.base or root.url).scheme == "https"
    if problem := href_problem(href, https_only=https_only):
        raise _refusal(problem, root.url, key)
    elsewhere = first.companion(Elsewhere)
    if is_data_url(href):
        return Location(elsewhere.of_data(first), href[len("data:") :])
    try:
        url = resolved_url(placed, root.url)
        if not url.isascii():  # a host that is sent in IDNA
            url = str(Request("GET", url).prepare().url)
        origin = origin_of(url)
    except ValueError:  # of which the errors of requests for URLs are some
        raise_alone(_refusal("its place is not a URL", root.url, key))
    if origin.scheme == "file" and root.is_local:
        if not _is_in_folder(root, url):
            raise _refusal("its place is not in the folder of the site", root.url, key)
        return Location(first, url[len(root.url) :])
    problem = href_problem(url, https_only=https_only)  # such as a base of another scheme
    if problem or not origin.scheme:
        raise _refusal(problem or "its place is not a URL", root.url, key)
    if origin == root.origin:
        if url.startswith(root.url) and not urlsplit(url).query:
            return Location(first, url[len(root.url) :])
        return Location(elsewhere.own(first, url), _path_of(url))
    if first.options.origins != "any" and not first.sender.perimeter.is_named(origin):
        problem = (
            "the index leads to another origin than that of the site; if that is right, add "
            f"'{origin}' to the store's origins"
        )
        raise _refusal(problem, url, key)
    return Location(elsewhere.other(first, url, origin), _path_of(url))


def _refusal(problem: str, url: str, key: str | None) -> TransportError:
    return TransportError(f"refused: {problem}", key=key, url=url)


def _is_in_folder(root: Root, url: str) -> bool:
    # What is quoted is decoded for the file system: look at what that sees.
    path, folder = url.removeprefix(root.url), os.path.realpath(str(root.folder))
    decoded = unquote(path)
    if path == url or "?" in path or "\\" in decoded or key_problem(decoded) is not None:
        return False
    real = os.path.realpath(os.path.join(folder, decoded))  # without links
    return real.startswith(os.path.join(folder, ""))


def _path_of(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(("", "", parts.path[1:], parts.query, ""))


class DataRoot(Root):
    """The root of all ``data:`` URLs; nothing is requested of a host.

    Examples
    --------
    >>> DataRoot().join("text/plain,hi")
    'data:text/plain,hi'
    """

    def __init__(self) -> None:
        self.userinfo = self.bucket = None
        self.query = ""
        self.url = "data:"
        self.is_local = True
        self.origin = Origin("data", "", None)
        self.join = "data:{}".format


class Elsewhere:
    """The sessions to which the entries of a site lead, made when first needed.

    At most 16 origins have one at a time; a read that has begun keeps its own.  Any
    thread may use it.

    Parameters
    ----------
    wire : Wire
        That of the first root's session, whose companion this is.
    """

    def __init__(self, wire: Wire) -> None:
        self._sessions: dict[Hashable, Session] = {}

    def of_data(self, first: Session) -> Session:
        """Return the session of ``data:`` URLs."""
        return self._known("data:", lambda: Session(DataRoot(), wires=first.wires))

    def own(self, first: Session, url: str) -> Session:
        """Return a session, with credentials, of the first root's origin for a URL of it."""
        has_query = not urlsplit(url).query

        def make() -> Session:
            root = first.root.of_whole_origin(has_query=has_query)
            sender = first.sender
            options = first.options._replace(auth=sender.auth, perimeter=sender.perimeter)
            return Session(root, options, wires=first.wires, is_alone=first.is_alone)

        return self._known(has_query, make)

    def other(self, first: Session, url: str, origin: Origin) -> Session:
        """Return a session, without credentials, of another origin for a URL of it."""
        return self._known(origin, lambda: _OtherSession(first, url))

    def _known(self, name: Hashable, make: Callable[[], Session]) -> Session:
        known = self._sessions.get(name)
        if known is not None:
            return known
        while len(self._sessions) >= _MOST_SESSIONS:
            with contextlib.suppress(KeyError, StopIteration, RuntimeError):
                del self._sessions[next(iter(self._sessions))]
        return self._sessions.setdefault(name, make())

    def close(self) -> None:
        """Close the sessions; their wire is that of the first root's."""
        for session in list(self._sessions.values()):
            session.close()


class _OtherSession(Session):
    # Of an origin to which entries lead: no secret is sent there, and whether it may have an
    # inner address depends on the first root's.

    def __init__(self, first: Session, url: str) -> None:
        options = first.options._replace(
            auth=None,
            headers=None,
            cert=None,
            anonymous=False,
            perimeter=first.sender.perimeter,
            hint=_HINT,
            progress=None,
        )
        root = Root(urlunsplit((*urlsplit(url)[:2], "/", "", "")))
        super().__init__(root, options, wires=first.wires, is_alone=first.is_alone)
        self._first = first

    def template(self) -> RequestTemplate | None:
        """Return what all requests have in common; None if it is refused."""
        try:
            return super().template()
        except TransportError:  # a single request says why
            return None

    def request(self, method: str, url_path: str, **options: Any) -> Response:
        """Send a request; if in doubt, ask first whether the root is public.

        It is not known in a process that has the index from a pickle or a cache.
        """
        first = self._first
        send = functools.partial(super().request, method, url_path, **options)
        try:
            return send()
        except TransportError:
            if first.root.is_local or not first.sender.perimeter.is_in_doubt:
                raise
        with contextlib.suppress(StoreError):
            first.request("HEAD", "", is_retried=False).close()
        return send()
