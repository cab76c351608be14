"""Signed sites, and what an attacker makes of them, written with python-tuf directly."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from staticstore import publish

__all__ = ["SignedSite", "new_key"]

_ROLES = ("root", "targets", "snapshot", "timestamp")


def new_key() -> CryptoSigner:
    """Return a new key."""
    return CryptoSigner.generate_ed25519()


class SignedSite:
    """A site in a folder, signed by keys of its own; versions count from 1.

    Attributes
    ----------
    root : Path
        The folder.
    keys : dict of str to list of CryptoSigner
        The keys of each role; two of the three of the root have to sign.
    lives : dict of str to timedelta
        How long the documents of each role hold.
    versions : dict of str to int
        The last version of each role.
    """

    def __init__(self, root: Path, values: dict[str, bytes] | None = None) -> None:
        self.root = root
        self.modified = 1_700_000_000
        self.begin()
        self.publish(values or {"a.txt": b"one"})

    def begin(self) -> None:
        """Make new keys, and the first root document of them."""
        renew = new_key()
        self.keys = {
            "root": [new_key() for _ in range(3)],
            "targets": [new_key()],
            "snapshot": [renew],
            "timestamp": [renew],
        }
        self.lives = dict.fromkeys(_ROLES, timedelta(days=730))
        self.lives["timestamp"] = timedelta(days=14)
        self.versions = dict.fromkeys(_ROLES, 0)
        self.write_root()

    @property
    def trust(self) -> Path:
        """The folder of the signatures."""
        return self.root / "trust"

    @property
    def pinned(self) -> Path:
        """The first root document."""
        return self.trust / "1.root.json"

    def files(self) -> dict[str, bytes]:
        """Return all files of the site that a host serves."""
        paths = (path for path in self.root.rglob("*") if path.is_file())
        return {path.relative_to(self.root).as_posix(): path.read_bytes() for path in paths}

    def copy(self) -> dict[str, bytes]:
        """Return the signatures as they are; see `restore`."""
        return {path.name: path.read_bytes() for path in self.trust.iterdir()}

    def restore(self, files: dict[str, bytes]) -> None:
        """Put files into ``trust/``, with a newer time."""
        for name, body in files.items():
            (self.trust / name).write_bytes(body)
        self._touch()

    def _touch(self) -> None:
        self.modified += 1
        os.utime(self.trust / "timestamp.json", (self.modified, self.modified))

    def write(self, name: str, signed: Any, keys: list[CryptoSigner]) -> bytes:
        """Sign a document and write it."""
        document: Metadata[Any] = Metadata(signed)
        for key in keys:
            document.sign(key, append=True)
        body = document.to_bytes()
        self.trust.mkdir(parents=True, exist_ok=True)
        (self.trust / name).write_bytes(body)
        return body

    def _of(self, role: str) -> dict[str, Any]:
        self.versions[role] += 1
        now = datetime.now(UTC).replace(microsecond=0)
        return {"version": self.versions[role], "expires": now + self.lives[role]}

    def write_root(self, *, signers: list[CryptoSigner] | None = None) -> None:
        """Write the next root document, signed by the keys before and after it."""
        root = Root(**self._of("root"), consistent_snapshot=True)
        for role in _ROLES:
            for key in self.keys[role]:
                root.add_key(key.public_key, role)
        root.roles["root"].threshold = 2
        name = f"{self.versions['root']}.root.json"
        self.write(name, root, signers or self.keys["root"])

    def publish(
        self, values: dict[str, bytes] | None = None, *, sign: bool = True, **options: Any
    ) -> None:
        """Write values, publish them, and sign the head."""
        for key, value in (values or {}).items():
            path = self.root / "data" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(value)
        with self._set_aside():
            publish(self.root, **options)
        if sign:
            self.sign()

    @contextlib.contextmanager
    def _set_aside(self) -> Iterator[None]:
        # Without the site's own keys `publish` refuses a site that is signed.
        aside = self.root.with_name(f"{self.root.name}-trust")
        self.trust.rename(aside)
        try:
            yield
        finally:
            aside.rename(self.trust)

    def sign(self) -> None:
        """Sign the head as it is."""
        self.write_targets()
        self.write_snapshot()
        self.write_timestamp()

    def write_targets(self, head: bytes | None = None) -> None:
        """Write the next targets, and the head under its digest."""
        head = head or (self.root / "index.head.json").read_bytes()
        targets = Targets(**self._of("targets"))
        target = TargetFile.from_data("index.head.json", head, ["sha256"])
        targets.targets["index.head.json"] = target
        self.trust.mkdir(exist_ok=True)
        (self.trust / f"{hashlib.sha256(head).hexdigest()}.index.head.json").write_bytes(head)
        self.write(f"{self.versions['targets']}.targets.json", targets, self.keys["targets"])

    def write_snapshot(self) -> None:
        """Write the next snapshot."""
        snapshot = Snapshot(**self._of("snapshot"))
        snapshot.meta["targets.json"] = MetaFile(version=self.versions["targets"])
        self.write(f"{self.versions['snapshot']}.snapshot.json", snapshot, self.keys["snapshot"])

    def write_timestamp(self, *, snapshot: int | None = None, hashes: bool = False) -> None:
        """Write the next timestamp, with the digest of the snapshot or without."""
        timestamp = Timestamp(**self._of("timestamp"))
        version = snapshot or self.versions["snapshot"]
        timestamp.snapshot_meta = MetaFile(version=version)
        if hashes:
            body = (self.trust / f"{version}.snapshot.json").read_bytes()
            timestamp.snapshot_meta = MetaFile.from_data(version, body, ["sha256"])
        self.write("timestamp.json", timestamp, self.keys["timestamp"])
        self._touch()
