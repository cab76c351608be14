"""The storage options of a file system of fsspec, and the secrets among them."""

from __future__ import annotations

import base64
import inspect
import os
import secrets
import threading
import weakref
from collections.abc import Mapping
from operator import eq
from typing import Any, NamedTuple

from ...client.async_connection import default_arguments
from ...client.pickles.settings import NamedFunction, checked_trust, imported
from ...client.store import StaticStore
from ...errors import StoreError, quoted
from ...processes import PerProcess
from ...transport.http.root import roots_of

__all__ = ["OF_FSSPEC", "Account", "StorageOptions"]

_CONNECT = default_arguments().keys()
_STORE = inspect.signature(StaticStore).parameters.keys() - {"root_url", "poll_interval"}
_OF_PLACE = frozenset({"root", "fo", "target_protocol", "target_options", "account"})
#: What `AsyncFileSystem` and the caching of its instances take.
OF_FSSPEC = frozenset(
    {
        "asynchronous",
        "batch_size",
        "listings_expiry_time",
        "loop",
        "max_paths",
        "skip_instance_cache",
        "use_listings_cache",
    }
)
_NAMED = ("netrc", "instance")  # credentials that are somewhere else
_LOCAL_PROTOCOLS = ("file", "local")
_WHERE = (
    'say where the site is: storage_options={"root": "https://data.example.org/site/"},'
    " or staticstore://KEY::https://data.example.org/site/; in a chain the options stand under the"
    ' protocol: storage_options={"staticstore": {"root": ...}}'
)
_TWO_PLACES = (
    "the URL ends with a site, and the options or fsspec's configuration have another root"
)


class Account:
    """The secrets that some file systems of this process share, under a random name.

    Only the name gets into tokens, pickles and JSON; it says nothing of the secrets.  Who
    knows the name has them sent to the roots that they were given for, and nowhere else.

    Parameters
    ----------
    roots : tuple of str
        The roots that they are for, without secrets.
    given : mapping
        The secret arguments of `StaticStore.connect`, and ``root`` if it has any; also an
        attribute, as is the `name`.
    """

    __slots__ = ("__weakref__", "given", "name", "roots")

    def __init__(self, roots: tuple[str, ...], given: Mapping[str, Any]) -> None:
        self.name = secrets.token_hex(8)
        self.roots = roots
        self.given = given

    def has(self, hidden: Mapping[str, Any]) -> bool:
        """Return whether it has these secrets; those of a pickle are without a user."""
        return all(
            name in self.given and (_same_roots if name == "root" else eq)(self.given[name], secret)
            for name, secret in hidden.items()
        )

    def __repr__(self) -> str:
        """Show the name alone."""
        return f"<Account: {self.name}>"

    @staticmethod
    def of(roots: tuple[str, ...], given: Mapping[str, Any]) -> Account:
        """Return the account with these secrets for these roots, the same for equal ones."""
        with _LOCK.get():
            for known in list(_ACCOUNTS.values()):
                if known.roots == roots and known.given == given:
                    return known
            account = Account(roots, given)
            _ACCOUNTS[account.name] = account
        return account

    @staticmethod
    def named(public: Mapping[str, Any]) -> Account | None:
        """Return the account that public options name, if it is for their roots."""
        account = _ACCOUNTS.get(public.get("account", ""))
        root = public["root"]
        roots = (root,) if isinstance(root, str) else tuple(root)
        return account if account is not None and account.roots == roots else None


# The one place where a file system finds the secrets of its name, as long as another one
# that has them lives.
_ACCOUNTS: weakref.WeakValueDictionary[str, Account] = weakref.WeakValueDictionary()
_LOCK = PerProcess(threading.Lock)


class StorageOptions(NamedTuple):
    """The options of a file system, with its secrets apart."""

    #: Without secrets: they may be shown, pickled and written as JSON.
    public: dict[str, Any]
    #: None without secrets, and if this process does not know them.
    account: Account | None

    @classmethod
    def of(cls, args: tuple[Any, ...], given: Mapping[str, Any]) -> StorageOptions:
        """Read the options as a user, fsspec or a pickle gives them.

        Parameters
        ----------
        args : tuple
            The root, if it was given without a name.
        given : mapping
            The options.

        Returns
        -------
        StorageOptions
            The public ones have roots without user, password and query, and a function
            given as ``auth`` by its name, as ``module:name``, if it can be imported.

        Raises
        ------
        TypeError, ValueError
            An option is unknown, or none says where the site is.
        """
        options = _located(args, given)
        hidden: dict[str, Any] = {}
        of_buckets = {name: options.pop(name, None) for name in ("endpoint", "region")}
        is_foreign = options.get("format") is not None
        roots = roots_of(options["root"], **of_buckets, name_documents=is_foreign)
        if any(root.userinfo or root.query or "?" in (root.document or "") for root in roots):
            hidden["root"] = options["root"]
        texts = tuple(root.shown for root in roots)
        options["root"] = list(texts) if len(texts) > 1 else texts[0]
        if (auth := options.pop("auth", None)) is not None:
            if (name := _name_of(auth)) is None:
                hidden["auth"] = auth
            else:
                options["auth"] = name
        if (trust := options.get("trust")) is not None:
            options["trust"] = _trust_text(trust)
        for name in ("headers", "proxies"):
            if options.get(name):
                hidden[name] = options.pop(name)
        account = Account.named(options)
        if hidden and (account is None or not account.has(hidden)):
            account = Account.of(texts, hidden)
        if account is not None:
            options["account"] = account.name
        # None is the default of each option, and no value that fsspec writes as JSON.
        public = {name: _plain(one) for name, one in options.items() if one is not None}
        return cls(public, account)

    @classmethod
    def known(cls, public: Mapping[str, Any]) -> StorageOptions:
        """Return public options with their secrets, if this process knows them."""
        return cls(dict(public), Account.named(public))

    def pickled(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return options for a pickle: without secrets, but with the queries of the roots.

        They are encoded: a pickle in a log or in the window of a queue does not show them.
        """
        roots = [base64.b64encode(root.encode()) for root in self.roots]
        kept = {name: value for name, value in options.items() if name != "loop"}
        return {**kept, "root": roots}

    @staticmethod
    def unpickled(options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options of a pickle as they were."""
        return {**options, "root": [base64.b64decode(one).decode() for one in options["root"]]}

    @property
    def is_without_secrets(self) -> bool:
        """Whether there were secrets, in another process or in file systems that are gone."""
        return self.account is None and "account" in self.public

    @property
    def roots(self) -> tuple[str, ...]:
        """The roots with their queries, without users and passwords."""
        is_foreign = self._all.get("format") is not None
        roots = roots_of(self._all["root"], name_documents=is_foreign)
        return tuple(root.location for root in roots)

    @property
    def place(self) -> str:
        """A text that is the same for options that one connection serves, but for secrets."""
        kept = sorted((_STORE | _CONNECT) & self.public.keys())
        return repr((self.roots, [(name, self.public[name]) for name in kept]))

    def store(self) -> StaticStore:
        """Return a store, which is not connected, and does not poll."""
        options = {name: self.public[name] for name in _STORE & self.public.keys()}
        if (trust := options.get("trust")) is not None:
            options["trust"] = trust.encode()
        return StaticStore(self._all["root"], poll_interval=0, **options)

    def connect(self, store: StaticStore) -> None:
        """Connect a store.

        Raises
        ------
        StoreError
            As `StaticStore.connect`; or the function of ``auth`` cannot be imported.
        """
        arguments = {name: self._all[name] for name in _CONNECT & self._all.keys()}
        store.connect(_imported(arguments.pop("auth", None)), **arguments)

    @property
    def _all(self) -> dict[str, Any]:
        return self.public if self.account is None else {**self.public, **self.account.given}


def _located(args: tuple[Any, ...], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with the place of the site as ``root``."""
    if len(args) > 1:
        raise TypeError("a file system of a site takes the root alone without a name")
    options = dict(given, **dict(zip(["root"], args, strict=False)))
    _check_names(options)
    protocol = options.pop("target_protocol", None)
    chained, more = options.pop("fo", None), options.pop("target_options", None) or {}
    if chained is not None:
        text = os.fspath(chained)
        is_whole = "://" in text or protocol is None or protocol in _LOCAL_PROTOCOLS
        text = text if is_whole else f"{protocol}://{text}"
        if options.get("root") not in (None, text):
            raise ValueError(_TWO_PLACES)
        options["root"] = text
        _check_names(more)
        options = {**more, **options}
    if not options.get("root"):
        raise ValueError(_WHERE)
    return options


def _check_names(options: Mapping[str, Any]) -> None:
    if "poll_interval" in options:
        raise TypeError("a file system does not poll by itself: use max_age, in seconds")
    known = _STORE | _CONNECT | _OF_PLACE | {"max_age"}
    if unknown := sorted(options.keys() - known - OF_FSSPEC):
        import difflib  # slow to import

        names = sorted(known - _OF_PLACE | {"root"})
        alike = difflib.get_close_matches(unknown[0], names, n=1)
        hint = f": did you mean {alike[0]!r}? There" if alike else "; there"
        raise TypeError(f"unknown storage option {quoted(unknown[0])}{hint} are {', '.join(names)}")


def _name_of(auth: Any) -> str | None:
    """Return what names credentials without containing them, or None."""
    if isinstance(auth, str):
        # Only a name that leads to a function: another text may be a password.
        return auth if auth in _NAMED or _function_of(auth) is not None else None
    named = NamedFunction.of(auth)
    return None if named is None else f"{named.module}:{named.name}"


def _function_of(name: str) -> Any:
    """Return the function of ``module:name``, or None."""
    module, _, path = name.partition(":")
    if not (module and path):
        return None
    try:
        found = imported(module, path)
    except (ImportError, AttributeError):
        return None
    return found if callable(found) else None


def _same_roots(known: Any, given: Any) -> bool:
    return all(
        one.location == other.location and other.userinfo in (None, one.userinfo)
        for one, other in zip(roots_of(known), roots_of(given), strict=True)
    )


def _imported(auth: Any) -> Any:
    """Return the function of a name; all else as it is."""
    if not isinstance(auth, str) or auth in _NAMED:
        return auth
    if (function := _function_of(auth)) is None:
        raise StoreError(
            'auth as a text is "netrc", or "module:function" with a function that can be imported'
            " in this process; a user and a password are (user, password)"
        )
    return function


def _trust_text(trust: Any) -> str:
    # The root document itself, which another process may not find, as JSON can have it.
    if isinstance(trust, str) and trust.startswith("{"):
        return trust
    pinned = checked_trust(trust, "index.json")
    assert pinned is not None
    return pinned.decode()


def _plain(value: Any) -> Any:
    # Paths for a process in another folder; tuples as JSON returns them.
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return os.path.abspath(value) if isinstance(value, os.PathLike) else value
