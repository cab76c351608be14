"""Makes indexes of conda channels like those of conda-forge: of any size, always the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec import msgpack

__all__ = [
    "Shards",
    "compressed",
    "package",
    "repodata",
    "repodata_bytes",
    "shards_of",
    "value_of",
]

Packages = dict[str, dict[str, Any]]

_DEPENDENCIES = (
    "libgcc >=13",
    "libstdcxx >=13",
    "numpy >=1.19,<3",
    "python >=3.11,<3.12.0a0",
    "python_abi 3.11.* *_cp311",
    "libzlib >=1.3.1,<2.0a0",
    "__glibc >=2.17,<3.0.a0",
)


def value_of(number: int) -> bytes:
    """Return the bytes of a package, as its record describes them."""
    return b"package %d\n" % number


def package(number: int) -> tuple[str, dict[str, Any]]:
    """Return the name of the file of a package, and its record; one in five is a ``.tar.bz2``."""
    value = value_of(number)
    digest = hashlib.sha256(value).hexdigest()
    name, version = f"package-{number % 7000}", f"1.{number}.0"
    build = f"py311h{digest[:7]}_{number % 3}"
    record = {
        "build": build,
        "build_number": number % 3,
        "constrains": ["tensorflow >=2.0"],
        "depends": list(_DEPENDENCIES[: 3 + number % 5]),
        "license": "BSD-3-Clause",
        "license_family": "BSD",
        "md5": hashlib.md5(value, usedforsecurity=False).hexdigest(),
        "name": name,
        "sha256": digest,
        "size": len(value),
        "subdir": "linux-64",
        "timestamp": 1_700_000_000_000 + number,
        "version": version,
    }
    return f"{name}-{version}-{build}.{'conda' if number % 5 else 'tar.bz2'}", record


def _packages(count: int) -> Iterator[tuple[str, dict[str, Any]]]:
    return (package(number) for number in range(count))


def repodata(count: int, **others: Any) -> dict[str, Any]:
    """Return the index of a subdirectory with so many packages; others replace its fields."""
    packages: dict[str, Packages] = {"packages": {}, "packages.conda": {}}
    for name, record in _packages(count):
        packages["packages.conda" if name.endswith(".conda") else "packages"][name] = record
    return {
        "info": {"subdir": "linux-64"},
        **packages,
        "removed": [],
        "repodata_version": 1,
        **others,
    }


def repodata_bytes(count: int, **others: Any) -> bytes:
    """Return the same as it is published, without spaces."""
    return json.dumps(repodata(count, **others), separators=(",", ":")).encode()


class Shards(NamedTuple):
    """An index in shards: the list, and the shards by their hrefs, all compressed."""

    listed: bytes
    shards: dict[str, bytes]


def compressed(body: bytes) -> bytes:
    """Return a document as one frame of Zstandard."""
    import zstandard

    return zstandard.ZstdCompressor(level=3).compress(body)


def shards_of(index: dict[str, Any], **info: str) -> Shards:
    """Cut an index into shards, as CEP 16 describes it."""
    found: dict[str, dict[str, Packages]] = {}
    for kind in ("packages", "packages.conda"):
        for name, record in index[kind].items():
            shard = found.setdefault(record["name"], {"packages": {}, "packages.conda": {}})
            digests = {field: bytes.fromhex(record[field]) for field in ("md5", "sha256")}
            shard[kind][name] = {**record, **digests}
    shards: dict[str, bytes] = {}
    digests_by_name: dict[str, bytes] = {}
    for name, shard in found.items():
        body = compressed(msgpack.encode({**shard, "removed": []}))
        digest = hashlib.sha256(body)
        shards[f"{digest.hexdigest()}.msgpack.zst"] = body
        digests_by_name[name] = digest.digest()
    listed = {
        "version": 1,
        "info": {"subdir": "linux-64", "base_url": "", "shards_base_url": "", **info},
        "shards": digests_by_name,
    }
    return Shards(compressed(msgpack.encode(listed)), shards)
