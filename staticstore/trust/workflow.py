"""The client workflow of TUF (its specification, section 5), from a pinned root.

The steps are those of python-tuf's ``ngclient``, which works on a folder.  Here each run has
a folder of its own for as long as it takes, filled from a `TrustState` and read back into
one, so that any number of threads and processes may run at once.  What reads the documents
is given: nothing here knows of HTTP.

ngclient is used with these exceptions: what is no document of TUF counts as absent, such as
a page with status 200 in the place of the next root document; no document may be larger than
`MOST_DOCUMENT_BYTES`; delegations are not followed; and root documents that are in the state
do not count as rotations.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import StoreError, TrustError, TrustReason, raise_alone, reason_of
from .documents import TrustState, VerifiedHead, is_document, lifetime_of, version_of
from .layout import (
    MOST_DOCUMENT_BYTES,
    MOST_ROTATIONS,
    ROLES,
    ROOT,
    SNAPSHOT,
    TARGET_NAME,
    TARGETS,
    TIMESTAMP,
    document_name,
    is_trust_name,
    target_name,
)

if TYPE_CHECKING:
    from tuf.api.metadata import TargetFile
    from tuf.ngclient import FetcherInterface, Updater

__all__ = ["ReadDocument", "verified_head"]

#: Returns the bytes of a file of ``trust/``, at most so many; None if it is absent.
ReadDocument = Callable[[str, int], bytes | None]

_ROOT_FOLDER = "root_history"  # the names are ngclient's
_VERSIONED = (SNAPSHOT, TARGETS)


def verified_head(
    pinned: bytes, state: TrustState, read: ReadDocument, *, verified: int = 0
) -> tuple[VerifiedHead | TrustError | StoreError, TrustState]:
    """Go through the client workflow once.

    Parameters
    ----------
    pinned : bytes
        The root document that is trusted.
    state : TrustState
        What was verified before; what does not verify now is ignored.
    read : callable
        Reads the documents of the site.
    verified : int, optional
        So many of the root documents of the state were verified in this process, and are
        not verified again.

    Returns
    -------
    VerifiedHead or StoreError, TrustState
        The head, or why there is none that can be trusted; and what is verified now, in
        either case.

    Notes
    -----
    Requests one document if nothing is new, beside the next root document, and four more
    if there is a new head.  Costs about 3 ms of the processor.  Thread-safe.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="staticstore-trust-") as name:
            run = _Run(Path(name), pinned, state, read, verified)
            run.write_state()
            try:
                found: VerifiedHead | StoreError = run.head()
            except StoreError as error:
                found = error
            new = run.read_state(is_verified=isinstance(found, VerifiedHead))
    except OSError as error:
        return _folder_error(error), state
    return (found._replace(state=new) if isinstance(found, VerifiedHead) else found), new


class _Run:
    def __init__(
        self, folder: Path, pinned: bytes, state: TrustState, read: ReadDocument, verified: int
    ) -> None:
        self._folder = folder
        self._state = state
        self._source = _TrustSource(read)
        # The root documents that need no verification: this run begins with the last of them.
        self._before = state.roots[:verified]
        self._bootstrap = self._before[-1] if self._before else pinned
        self._first = version_of(self._bootstrap)
        self._head = state.head

    def write_state(self) -> None:
        (self._folder / _ROOT_FOLDER).mkdir()
        for version, root in enumerate(self._state.roots[len(self._before) :], self._first + 1):
            self._path_of_root(version).write_bytes(root)
        for role in (TIMESTAMP, SNAPSHOT, TARGETS):
            if body := getattr(self._state, role):
                self._path_of(role).write_bytes(body)

    def read_state(self, *, is_verified: bool) -> TrustState:
        roots = list(self._before)
        for version in range(self._first + 1, self._last + 1):
            roots.append(self._path_of_root(version).read_bytes())
        found = {role: _read(self._path_of(role)) for role in ROLES[1:]}
        if not is_verified:  # some of it may never have been looked at
            root = roots[-1] if roots else self._bootstrap
            found = {
                role: one if _is_signed(role, one, root) else b"" for role, one in found.items()
            }
        return TrustState(tuple(roots), **found, head=self._head)

    @property
    def _last(self) -> int:
        # ngclient links the last root document that it trusts.
        with contextlib.suppress(OSError):
            return version_of((self._folder / "root.json").read_bytes())
        return self._first

    def _path_of_root(self, version: int) -> Path:
        return self._folder / _ROOT_FOLDER / document_name(ROOT, version)

    def _path_of(self, role: str) -> Path:
        return self._folder / f"{role}.json"

    def head(self) -> VerifiedHead:
        from tuf.ngclient import Updater, UpdaterConfig

        known = len(self._state.roots) - len(self._before)
        config = UpdaterConfig(
            max_root_rotations=known + MOST_ROTATIONS,
            max_delegations=0,
            root_max_length=MOST_DOCUMENT_BYTES,
            timestamp_max_length=MOST_DOCUMENT_BYTES,
            snapshot_max_length=MOST_DOCUMENT_BYTES,
            targets_max_length=MOST_DOCUMENT_BYTES,
        )
        with self._source.mapped():
            updater = Updater(
                os.fspath(self._folder),
                "/",
                fetcher=self._source.fetcher(),
                config=config,
                bootstrap=self._bootstrap,
            )
            target = self._target(updater)
            self._head = self._body_of(target)
        documents = [self._path_of_root(self._last), *map(self._path_of, ROLES[1:])]
        lifetimes = [lifetime_of(path.read_bytes()) for path in documents]
        return VerifiedHead(
            self._head, version_of(_read(self._path_of(TIMESTAMP))), tuple(lifetimes)
        )

    def _target(self, updater: Updater) -> TargetFile:
        updater.refresh()
        target = updater.get_targetinfo(TARGET_NAME)
        if target is None or "sha256" not in target.hashes:
            raise TrustError("the signed documents name no head", reason="missing")
        return target

    def _body_of(self, target: TargetFile) -> bytes:
        from tuf.api.exceptions import LengthOrHashMismatchError

        with contextlib.suppress(LengthOrHashMismatchError):
            target.verify_length_and_hashes(self._state.head)
            return self._state.head
        body = self._source.read(target_name(target.hashes["sha256"]), MOST_DOCUMENT_BYTES)
        if body is None:
            raise TrustError("the signed head is not there", reason="missing")
        target.verify_length_and_hashes(body)
        return body


class _TrustSource:
    """What reads documents of the site, for ngclient."""

    def __init__(self, read: ReadDocument) -> None:
        self._read = read
        # The name and bytes of the last document.
        self._name = ""
        self._body = b""

    def read(self, name: str, most_bytes: int) -> bytes | None:
        self._name, self._body = name, b""
        # Versions and digests come from documents: only what is made of them right is a path.
        if not is_trust_name(name):
            return None
        found = self._read(name, min(most_bytes, MOST_DOCUMENT_BYTES))
        self._body = found or b""
        return found

    def document(self, url: str, most_bytes: int) -> bytes | None:
        body = self.read(url.removeprefix("/"), most_bytes)
        return body if body is not None and is_document(body) else None

    def fetcher(self) -> FetcherInterface:
        from tuf.api.exceptions import DownloadHTTPError, DownloadLengthMismatchError
        from tuf.ngclient import FetcherInterface

        document = self.document

        class SiteFetcher(FetcherInterface):
            def _fetch(self, url: str) -> Iterator[bytes]:
                yield self.download_bytes(url, MOST_DOCUMENT_BYTES)

            def download_bytes(self, url: str, max_length: int) -> bytes:
                body = document(url, max_length)
                if body is None:
                    raise DownloadHTTPError("it is not there", 404)
                if len(body) > max_length:
                    raise DownloadLengthMismatchError("it is too large")
                return body

        return SiteFetcher()

    @contextlib.contextmanager
    def mapped(self) -> Iterator[None]:
        """Raise errors of ours for those of tuf."""
        from tuf.api import exceptions

        problem: tuple[str, TrustReason]
        try:
            yield
            return
        except StoreError as error:
            raise_alone(error)
        except exceptions.DownloadHTTPError:
            problem = (
                "is not there: the site is not signed, or not all of its signatures were copied",
                "missing",
            )
        except exceptions.ExpiredMetadataError as error:
            # Its text names the document, which may be one that was not fetched now.
            raise_alone(
                TrustError(
                    f"{str(error).removeprefix('Final ')}: the site was not signed again in time, "
                    "an old copy of it is served, or the clock of this machine is ahead",
                    reason="expired",
                )
            )
        except exceptions.BadVersionNumberError as error:
            problem = self._wrong_version(error)
        except exceptions.UnsignedMetadataError as error:
            problem = (
                f"is not signed as it must be: {error}; is the root file that of this site?",
                "unsigned",
            )
        except exceptions.LengthOrHashMismatchError as error:
            problem = f"has other bytes than were signed: {error}", "mismatch"
        except OSError as error:
            raise_alone(_folder_error(error), error)
        except Exception as error:
            problem = f"is refused: {type(error).__name__}", "mismatch"
        raise_alone(
            TrustError(f"{self._name or 'the root document'} {problem[0]}", reason=problem[1])
        )

    def _wrong_version(self, error: Exception) -> tuple[str, TrustReason]:
        version, _, rest = self._name.partition(".")
        is_versioned = rest in {f"{role}.json" for role in _VERSIONED}
        if is_versioned and str(version_of(self._body)) != version:
            return f"is another version than was signed: {error}", "mismatch"
        return f"is older than what was seen before: {error}", "rollback"


def _folder_error(error: OSError) -> StoreError:
    return StoreError(
        f"signatures cannot be verified without a folder for temporary files: {reason_of(error)}"
    )


def _is_signed(role: str, body: bytes, root: bytes) -> bool:
    from tuf.api.metadata import Metadata, Root

    with contextlib.suppress(Exception):
        document = Metadata.from_bytes(body)
        Metadata[Root].from_bytes(root).signed.verify_delegate(
            role, document.signed_bytes, document.signatures
        )
        return bool(document.signed.type == role)
    return False


def _read(path: Path) -> bytes:
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    return b""
