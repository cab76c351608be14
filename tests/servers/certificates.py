"""Certificates for tests of TLS, good ones and bad ones, from authorities of our own."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import trustme

# A certificate (with its chain) and its private key, each a file in PEM.
Pair: TypeAlias = tuple[Path, Path]


@dataclass(frozen=True)
class Certificates:
    """The files written by `write_certificates`.

    `authority` is the one to trust, and has signed all except `foreign`, which
    is otherwise right and signed by `foreign_authority`.
    """

    authority: Path
    foreign_authority: Path
    server: Pair
    expired: Pair
    other_host: Pair
    foreign: Pair
    client: Pair

    def context(self, pair: Pair, *, ask_client: bool = False) -> ssl.SSLContext:
        """Create a server's context, for `RawServer`; it can require a client certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*pair)
        if ask_client:
            context.load_verify_locations(self.authority)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def write_certificates(folder: Path) -> Certificates:
    """Create all of them, and write them into the folder."""

    def write(name: str, certificate: trustme.LeafCert) -> Pair:
        chain, key = folder / f"{name}.pem", folder / f"{name}.key"
        chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        certificate.private_key_pem.write_to_path(key)
        return chain, key

    ours, foreign = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(folder / "authority.pem")
    foreign.cert_pem.write_to_path(folder / "foreign_authority.pem")
    here = ("127.0.0.1", "localhost")
    first, last = datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)
    return Certificates(
        authority=folder / "authority.pem",
        foreign_authority=folder / "foreign_authority.pem",
        server=write("server", ours.issue_cert(*here)),
        expired=write("expired", ours.issue_cert(*here, not_before=first, not_after=last)),
        other_host=write("other_host", ours.issue_cert("elsewhere.example")),
        foreign=write("foreign", foreign.issue_cert(*here)),
        client=write("client", ours.issue_cert("reader@data.example", common_name="reader")),
    )
