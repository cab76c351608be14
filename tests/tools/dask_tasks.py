"""What the tests of Dask run in its processes."""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

from staticstore import StaticStore, URLValue

__all__ = ["CALLS", "PASSWORD", "digest", "digest_of", "named_digest", "password", "value_size"]

#: The environment variables with the password, and with the folder that counts the calls.
PASSWORD = "STATICSTORE_TEST_PASSWORD"
CALLS = "STATICSTORE_TEST_CALLS"


def password() -> tuple[str, str]:
    """Return credentials, and note which process asks for them."""
    folder = os.environ.get(CALLS)
    if folder is not None:
        number = len(list(Path(folder).glob(f"{os.getpid()}-*")))
        (Path(folder) / f"{os.getpid()}-{number}").touch()
    return "ali", os.environ[PASSWORD]


def digest(data: bytes) -> str:
    """Return the sha256 of some bytes."""
    return hashlib.sha256(data).hexdigest()


def named_digest(item: tuple[str, bytes]) -> tuple[str, str, int]:
    """Return a key, the sha256 of its value, and the process."""
    key, data = item
    return key, digest(data), os.getpid()


def digest_of(store: StaticStore, key: str) -> str:
    """Return the sha256 of a value of a store."""
    return digest(store[key].read())


def value_size(value: URLValue) -> int:
    """Return the number of bytes that a value has when it is read."""
    return len(value.read())


def again(one: Any) -> Any:
    """Return an object as a task of another process gets it."""
    return pickle.loads(pickle.dumps(one))
