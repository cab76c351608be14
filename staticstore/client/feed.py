"""The index of a site, as it is fetched again and again."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from ..errors import IndexFormatError, TransportError
from ..index.snapshot import Index
from ..transport.response import Response
from ..transport.session import Session

__all__ = ["Feed", "Held"]

_log = logging.getLogger("staticstore")

# Servers whose validators are made of size and whole seconds (nginx, Apache,
# Caddy) miss a change within the same second, so that now and then the index
# is asked for as if none were held.
_UNCONDITIONAL_EVERY = 24
_EXCERPT = 80  # characters


@dataclass(frozen=True)
class Held:
    """A snapshot, and what is needed to ask whether it is still the current one."""

    index: Index
    #: Header fields of a conditional request (RFC 9110, section 13.1).
    validators: Mapping[str, str]
    #: Of the document, so that one without validators is not parsed in vain.
    sha256: bytes


class Feed:
    """Fetches ``index.json`` conditionally, and parses it.

    It holds no snapshot itself.

    Parameters
    ----------
    session : Session
        The way to the site.
    index_path : str
        Where the index stands, relative to the root, not quoted.
    max_bytes : int
        The most that an index may have.
    seconds : float
        How long one fetch may take in all.
    """

    def __init__(self, session: Session, index_path: str, *, max_bytes: int, seconds: float):
        self._session = session
        self._url_path = quote(index_path, safe="/")
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._count = itertools.count(1)

    def fetch(self, held: Held | None) -> Held | None:
        """Return the current index; None if the host says that it is the one held.

        Raises
        ------
        TransportError
            It could not be had.
        IndexFormatError
            What came is no index.
        """
        deadline = time.monotonic() + self._seconds
        conditional = held is not None and next(self._count) % _UNCONDITIONAL_EVERY != 0
        validators = held.validators if held is not None and conditional else {}
        response, body = self._get(validators, deadline)
        if response.status == 304 and validators:
            return None
        if response.status != 200:
            # Not what was asked for: a cache that is confused, perhaps.
            response, body = self._get({"Cache-Control": "no-cache"}, deadline)
        if response.status != 200:
            raise TransportError(
                f"the host answered {response.status} to a request for the whole index",
                url=response.url,
                status=response.status,
            )
        sha256 = hashlib.sha256(body).digest()
        if held is not None and held.sha256 == sha256:
            return dataclasses.replace(held, validators=_validators(response))
        index = _parse(response, body)
        if index.warnings:
            more = f" and {len(index.warnings) - 1} more" if len(index.warnings) > 1 else ""
            _log.warning(
                "in the index of %s: %s%s", self._session.root.url, index.warnings[0], more
            )
        return Held(index, _validators(response), sha256)

    def _get(self, headers: Mapping[str, str], deadline: float) -> tuple[Response, bytes]:
        return self._session.fetch(
            self._url_path,
            headers={"Accept-Encoding": "gzip, deflate", **headers},
            deadline=deadline,
            max_bytes=self._max_bytes,
        )


def _parse(response: Response, body: bytes) -> Index:
    try:
        return Index.parse(body)
    except IndexFormatError as error:
        excerpt = ascii(body[: 4 * _EXCERPT].decode("utf-8", "replace")[:_EXCERPT])
        content_type = response.header("Content-Type")
        sent = "a document of no type" if content_type is None else ascii(content_type)
        raise IndexFormatError(
            f"{error}; the host sent {sent}, which begins {excerpt}",
            url=response.url,
            status=response.status,
        ) from error


def _validators(response: Response) -> dict[str, str]:
    fields = {"If-None-Match": response.etag, "If-Modified-Since": response.header("Last-Modified")}
    return {name: value for name, value in fields.items() if value}
