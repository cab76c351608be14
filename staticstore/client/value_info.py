"""What is known of a value: from the index, else from its host."""

from __future__ import annotations

import contextlib
import copy
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from ..errors import TransportError, quoted
from ..index.fields import Content, parse_media_type, parse_time

if TYPE_CHECKING:
    from datetime import datetime

    from ..transport.http.response import Response
    from ..transport.values.remote_value import RemoteValue
    from .access import Access

__all__ = ["ValueInfo", "renamed"]

Info = TypeVar("Info", bound="ValueInfo")

_MOST_SIGNED_SECONDS = 7 * 86400  # S3 and Google allow no more

# Methods of a file, which a value, having no position, does not have.
_OF_FILES = frozenset(
    {"close", "closed", "read1", "readinto", "readline", "readlines", "seek", "tell"}
)


class ValueInfo:
    """The descriptive half of `URLValue`: metadata, size, media type and so on.

    Attributes
    ----------
    key : str
        The key.
    """

    def __init__(
        self, key: str, metadata: dict[str, Any], content: Content, access: Access
    ) -> None:
        self.key = key
        self._metadata = metadata
        self._content = content
        self._access = access
        self._answer: Response | None = None
        self._size: int | None = None
        self._has_asked_size = False

    @property
    @abstractmethod
    def remote_value(self) -> RemoteValue:
        """The value on its hosts."""

    @property
    def url(self) -> str:
        """The URL of the value, for requests like this store's own.

        It includes the query of the root URL, which may be a secret, but no user and
        password, and no signature: see `sign`.
        """
        return self._access.url(self.key, self._content)

    def sign(self, expires: float = 3600) -> str:
        """Sign a URL of this value in a bucket, to hand on: anybody may read it for a time.

        Nothing is requested.  Whoever has the URL can read the value until it expires, or
        until the credentials do; it cannot be revoked without revoking those.

        Parameters
        ----------
        expires : float, optional
            Seconds from now on: 1 to 604,800, which are seven days.

        Returns
        -------
        str
            The URL, which is a secret as long as it is valid.

        Raises
        ------
        ValueError
            `expires` is out of these bounds.
        StoreError
            The site is not in a bucket, or its credentials (none, or a token) cannot sign URLs.

        Notes
        -----
        Any thread may call it.  A reader of the URL verifies nothing.

        Examples
        --------
        >>> sample_store["terrain/dem.tif"].sign()
        Traceback (most recent call last):
        ...
        staticstore.errors.StoreError: only a site in a bucket (s3:, gs: or az:) has signed URLs
        """
        is_number = isinstance(expires, int | float) and not isinstance(expires, bool)
        if not is_number or not 1 <= expires <= _MOST_SIGNED_SECONDS:
            raise ValueError(
                f"expires is in seconds, from 1 to {_MOST_SIGNED_SECONDS} (7 days), not {expires!r}"
            )
        return self._access.signed_url(self.key, self._content, int(expires))

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata, as a copy."""
        return copy.deepcopy(self._metadata)

    @property
    def size(self) -> int | None:
        """Size in bytes, from the index, else from the host; None if neither says it.

        If the index does not, one HEAD request is made, once.  If the answer has no size,
        or 0, which some hosts say of all values, one byte is requested.
        """
        if self._content.size is not None:
            return self._content.size
        answer = self._host_answer()
        if not (answer.whole_size or answer.codings or self._has_asked_size):
            from ..transport.values.answers import ask_size

            with contextlib.suppress(TransportError):  # the HEAD was answered, after all
                self._size = ask_size(self.remote_value)
            self._has_asked_size = True
        return answer.whole_size or self._size

    @property
    def modified(self) -> datetime | None:
        """When the content was published, from the index, else the host; UTC, or None.

        If the index does not say it, one HEAD request is made, once; if the host refuses
        that, one for a byte.
        """
        modified = parse_time(self._content.modified)
        return self._host_answer().last_modified if modified is None else modified

    @property
    def media_type(self) -> str | None:
        """The MIME type, from the index, else from the host, or None."""
        said = parse_media_type(self._metadata.get("media_type"))
        return self._host_answer().header("Content-Type") if said is None else said

    @property
    def etag(self) -> str | None:
        """The host's entity tag, or None; one HEAD request if nothing was read yet."""
        return self._host_answer().etag

    @property
    def sha256(self) -> str | None:
        """The sha256 in the index, lowercase hex, or None."""
        return self._content.sha256

    @property
    def digest(self) -> str | None:
        """The digest that the bytes are compared with, such as ``"sha256:e3b0…"``; or None.

        In an index of another format it may be a sha512, sha1 or md5.  A sha1 or md5 tells of
        accidents, not of attacks.
        """
        return self._content.digest

    def _host_answer(self) -> Response:
        if self._answer is None:
            from ..transport.values.answers import ask_head

            self._answer = ask_head(self.remote_value)
        return self._answer

    if not TYPE_CHECKING:  # to type checkers these names do not exist

        def __iter__(self) -> NoReturn:
            """Raise `TypeError`, with what to iterate over."""
            raise TypeError("a URLValue has no lines: iterate over value.open() or .iterdata()")

        def __getattr__(self, name: str) -> Any:
            """Raise `AttributeError`, for the methods of a file with what to use."""
            hint = f": use value.open().{name}" if name in _OF_FILES else ""
            if name.endswith("_async") and hasattr(type(self), name.removesuffix("_async")):
                hint = ": the methods with _async are those of the store"
            text = f"{type(self).__name__!r} object has no attribute {name!r}{hint}"
            raise AttributeError(text, name=name, obj=self)

    def __repr__(self) -> str:
        """Show the key, and size and media type if the index has them; without I/O."""
        from ..index.notebook import size_text  # seldom needed

        size, media_type = self._content.size, parse_media_type(self._metadata.get("media_type"))
        known = [None if size is None else size_text(size), media_type]
        return f"<URLValue: {', '.join([quoted(self.key), *filter(None, known)])}>"

    def _repr_html_(self) -> str:
        """Show in a notebook what the index says; without I/O."""
        from ..index.notebook import value_html

        return value_html(repr(self)[1:-1], self.url, self._metadata)


def renamed(value: Info, key: str) -> Info:
    """Return a value under the key that it has in a view."""
    if value.key == key:
        return value
    return type(value)(key, value._metadata, value._content, value._access.renamed(value.key))
