"""The settings of a store, without secrets, as pickles carry them."""

from __future__ import annotations

import base64
import dataclasses
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from ...errors import StoreError, quoted
from ...index.fields import check_key
from ...transport.http.root import Root, checked_origins, roots_of

if TYPE_CHECKING:
    from ...transport.http.session import Session
    from ..cache.folder import CacheFolder
    from ..cache.trust_state import TrustedSite

__all__ = ["NamedFunction", "Settings", "checked_trust", "imported", "signed_site"]

_HINT = (
    "a pickle or copy carries no password, no header fields and no proxies: call connect(auth=...)"
    " in this process, or first connect with a function as auth that can be imported here"
)
# Arguments of `connect` that concern the index alone.
_OF_INDEX = ("max_index_bytes", "index_deadline")
_Pairs = tuple[tuple[str, Any], ...]


class Settings(NamedTuple):
    """The arguments of a store and of its last `connect`, without secrets.

    Two are equal if one connection serves for both.
    """

    #: With their queries, without users and passwords.
    roots: tuple[str, ...]
    #: Arguments of the constructor, and of `connect`.
    options: _Pairs
    connection: _Pairs = ()

    @classmethod
    def of(cls, roots: Sequence[Root], **options: Any) -> Settings:
        """Return the settings of a store that is not connected yet.

        Raises
        ------
        TypeError, ValueError
            An option is invalid, or does not go with the format.
        """
        checked = _checked(options, len(roots))
        return cls(tuple(root.location for root in roots), tuple(checked.items()))

    def connected(self, arguments: Mapping[str, Any]) -> Settings:
        """Return these settings with those arguments of `connect` that may be pickled."""
        public = dict(arguments)
        del public["headers"]
        if public["proxies"]:
            del public["proxies"]
        elif public["proxies"] is not None:  # use none
            public["proxies"] = ()
        auth = public.pop("auth")
        if auth in ("netrc", "instance") or isinstance(auth, NamedFunction):
            public["auth"] = auth
        elif (named := NamedFunction.of(auth)) is not None:
            public["auth"] = named
        for name in ("verify", "cert"):
            public[name] = _absolute(public[name])
        if isinstance(public["timeout"], list):
            public["timeout"] = tuple(public["timeout"])
        return self._replace(connection=tuple(public.items()))

    @property
    def hint(self) -> str | None:
        """What to add to a refusal; None if the pickle says how to authenticate."""
        return None if "auth" in dict(self.connection) else _HINT

    @property
    def place(self) -> tuple[Any, ...]:
        """Where the site is: the roots, and the paths below them."""
        options = dict(self.options)
        return self.roots, options["data_path"], options["index_path"]

    def arguments(self) -> dict[str, Any]:
        """Return the arguments for `connect`."""
        arguments = dict(self.connection)
        if "proxies" in arguments and arguments["proxies"] is not None:
            arguments["proxies"] = {}
        return arguments

    def open_sessions(self) -> list[Session]:
        """Return a session for each root."""
        from ...transport.http.arguments import SessionOptions
        from ...transport.http.session import open_sessions  # slow to import

        arguments = {k: v for k, v in self.arguments().items() if k not in _OF_INDEX}
        known = dict(self.options)
        options = SessionOptions(origins=known["origins"], hint=self.hint, **arguments)
        roots = roots_of(self.roots, name_documents=known["format"] is not None)
        return open_sessions(roots, options)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings, without plain queries of the roots, which may be secrets.

        A pickle in a log or in the window of a queue does not show them.  It does not
        protect them from those who can read the pickle.
        """
        roots = tuple(base64.b64encode(root.encode()) for root in self.roots)
        return _unpickled, (roots, self.options, self.connection)


def _checked(options: Mapping[str, Any], roots: int) -> dict[str, Any]:
    checked = dict(options)
    interval = options["poll_interval"]
    if not isinstance(interval, int | float) or not 0 <= interval < 1e9:
        raise ValueError(f"poll_interval is in seconds, 0 or more, not {interval!r}")
    is_foreign = options["format"] is not None
    if options["origins"] is None:
        checked["origins"] = "any" if is_foreign else "own"
    else:
        checked["origins"] = checked_origins(options["origins"])
    if is_foreign:
        _check_format(options, roots)
        checked["data_path"] = ""
    check_key(checked["data_path"] + "key")
    check_key(checked["index_path"])
    return checked


def _check_format(options: Mapping[str, Any], roots: int) -> None:
    from ...formats import reader_of  # seldom needed

    reader_of(options["format"])
    refused = {
        "lazy=True": options["lazy"],
        "several roots": roots > 1 or options["equal_roots"],
        "trust": options.get("trust") is not None,
        "data_path": options["data_path"] not in ("", "data/"),
        "index_path, which is the end of the URL then,": options["index_path"] != "index.json",
    }
    if names := [name for name, is_given in refused.items() if is_given]:
        raise ValueError(f"{' and '.join(names)} cannot be combined with format: leave it out")


def _unpickled(roots: Sequence[bytes], options: _Pairs, connection: _Pairs) -> Settings:
    return Settings(tuple(base64.b64decode(r).decode() for r in roots), options, connection)


@dataclasses.dataclass(frozen=True)
class NamedFunction:
    """The function given as `auth`, by its name, as it is pickled.

    Not the function: cloudpickle, of Dask, Ray and Spark, would pickle that of a script or
    a notebook with its code and the variables that it uses, perhaps a password.
    """

    module: str
    name: str

    @classmethod
    def of(cls, function: Any) -> Self | None:
        """Return the name of a function; None if it cannot be imported by it."""
        # Only a function that its module has under its name: a method or a partial function
        # is more than its name says.
        module = getattr(function, "__module__", None)
        name = getattr(function, "__qualname__", None)
        if not callable(function) or not isinstance(module, str) or not isinstance(name, str):
            return None
        found: object = sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        return cls(module, name) if found is function else None

    def __call__(self) -> Any:
        """Import the function, and call it.

        Raises
        ------
        StoreError
            It cannot be imported in this process.
        """
        try:
            found = imported(self.module, self.name)
        except (ImportError, AttributeError) as error:
            raise StoreError(
                f"the function given as auth, {self.name} of the module {self.module},"
                " cannot be imported in this process: define it in a module that every"
                " process can import"
            ) from error
        return found()


def imported(module: str, name: str) -> Any:
    """Return what a module has under a name, which may have dots.

    Raises
    ------
    ImportError, AttributeError
        It has nothing of that name, or cannot be imported.
    """
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def checked_trust(trust: bytes | str | os.PathLike[str] | None, index_path: str) -> bytes | None:
    """Return the bytes of a pinned root document, which another process may not find.

    Raises
    ------
    TypeError, ValueError
        It is no root document; or no index but ``index.json`` is signed.
    StoreError
        The file cannot be read.
    ImportError
        python-tuf is not installed.
    """
    if trust is None:
        return None
    if index_path != "index.json":
        raise ValueError("only index.json is signed: trust goes with no other index_path")
    from ...trust.documents import check_pinned, read_pinned

    if isinstance(trust, bytes):
        pinned, where = trust, "trust"
    elif isinstance(trust, str | os.PathLike):
        pinned, where = read_pinned(trust), quoted(os.fspath(trust))
    else:
        raise TypeError(f"trust is a path or bytes, not {type(trust).__name__}")
    try:
        check_pinned(pinned)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    return pinned


def signed_site(
    folder: CacheFolder | None, root: Root, options: Mapping[str, Any]
) -> TrustedSite | None:
    """Return what is known of a site that must be signed; None if it need not be."""
    if options["trust"] is None:
        return None
    from ..cache.trust_state import TrustedSite  # it imports python-tuf, of an extra

    return TrustedSite.of(folder, root, options)


def _absolute(path: Any) -> Any:
    # For a process in another folder.  Other values are returned unchanged.
    if isinstance(path, tuple | list):
        return tuple(map(_absolute, path))
    return os.path.abspath(path) if isinstance(path, str | os.PathLike) else path
