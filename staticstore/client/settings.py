"""What a pickle says of a store: where its site is and how it is reached, and no secret."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..transport.root import Root, roots_of

if TYPE_CHECKING:
    from ..transport.session import Session

__all__ = ["Settings"]

_HINT = (
    "a pickle or copy carries no password, no header fields and no proxies: call connect(auth=...)"
    " in this process, or first connect with a function as auth that can be imported here"
)
#: What concerns the index, and not each request.
_OF_INDEX = ("max_index_bytes", "index_deadline")

_Pairs = tuple[tuple[str, Any], ...]


class Settings(NamedTuple):
    """The arguments of a store and of its last `connect`, without secrets.

    Two are equal if one connection serves for both.
    """

    #: With their queries, without users and passwords.
    roots: tuple[str, ...]
    #: Of the constructor, and of `connect`.
    options: _Pairs
    connection: _Pairs = ()

    @classmethod
    def of(cls, roots: Sequence[Root], **options: Any) -> Settings:
        """Return those of a store that was not connected yet."""
        return cls(tuple(root.join("") for root in roots), tuple(options.items()))

    def connected(self, arguments: Mapping[str, Any]) -> Settings:
        """Return the same with what may be pickled of the arguments of `connect`."""
        public = dict(arguments)
        del public["headers"]
        if public["proxies"]:
            del public["proxies"]
        elif public["proxies"] is not None:  # use none
            public["proxies"] = ()
        auth = public.pop("auth")
        if auth == "netrc" or _can_be_imported(auth):
            public["auth"] = auth
        for name in ("verify", "cert"):
            public[name] = _absolute(public[name])
        if isinstance(public["timeout"], list):
            public["timeout"] = tuple(public["timeout"])
        return self._replace(connection=tuple(public.items()))

    @property
    def hint(self) -> str | None:
        """What to add to a refusal; None if the pickle says how to authenticate."""
        return None if "auth" in dict(self.connection) else _HINT

    def arguments(self) -> dict[str, Any]:
        """Return the arguments for `connect`."""
        arguments = dict(self.connection)
        if "proxies" in arguments and arguments["proxies"] is not None:
            arguments["proxies"] = {}
        return arguments

    def open_sessions(self) -> list[Session]:
        """Return a session for each root."""
        from ..transport.arguments import SessionOptions
        from ..transport.sources import open_sessions  # slow to import

        arguments = {k: v for k, v in self.arguments().items() if k not in _OF_INDEX}
        origins = dict(self.options)["origins"]
        options = SessionOptions(origins=origins, hint=self.hint, **arguments)
        return open_sessions(roots_of(self.roots), options)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the queries encoded: a pickle in a log or a queue's window shows none.

        That is no protection from whoever can read the pickle.
        """
        roots = tuple(base64.b64encode(root.encode()) for root in self.roots)
        return _settings, (roots, self.options, self.connection)


def _settings(roots: Sequence[bytes], options: _Pairs, connection: _Pairs) -> Settings:
    return Settings(tuple(base64.b64decode(r).decode() for r in roots), options, connection)


def _can_be_imported(auth: object) -> bool:
    """Return whether a pickle names this as a function of a module, and says no more of it.

    A method or a partial function would be pickled with what it holds: the password, say.
    """
    name = getattr(auth, "__qualname__", None)
    if not callable(auth) or not isinstance(name, str):
        return False
    found: object = sys.modules.get(getattr(auth, "__module__", None) or "")
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is auth


def _absolute(path: Any) -> Any:
    """Return a path, or paths, for a process in another folder; what is none stays."""
    if isinstance(path, tuple | list):
        return tuple(map(_absolute, path))
    return os.path.abspath(path) if isinstance(path, str | os.PathLike) else path
