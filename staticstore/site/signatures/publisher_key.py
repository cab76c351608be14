"""A key of a publisher: an ed25519 key of our own, or one elsewhere, by its URI."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlparse, urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.signer import (
    SIGNER_FOR_URI_SCHEME,
    CryptoSigner,
    HSMSigner,
    Key,
    Signer,
    SSlibKey,
)

from ...disk.file_system import read_regular
from ...errors import StoreError, quoted, raise_alone, reason_of
from .passphrases import AskPassphrases, asked

__all__ = ["PublisherKey", "check_different", "signer_elsewhere"]

_LIBRARY_VARIABLE = "PYKCS11LIB"  # securesystemslib's, for tokens
_MOST_URI_CHARACTERS = 2048
_MOST_KEY_BYTES = 64 << 10


@dataclass(frozen=True)
class PublisherKey:
    """A key that is going to be named in a root document.

    Attributes
    ----------
    public : Key
        The public half.
    signer : Signer
        Signs with it.
    private : Ed25519PrivateKey or None
        The private half; None if it is elsewhere.
    uri : str or None
        Where it is, in the words of securesystemslib; None for a key of our own.
    """

    public: Key
    signer: Signer = field(repr=False)
    private: Ed25519PrivateKey | None = field(default=None, repr=False)
    uri: str | None = None

    @classmethod
    def generate(cls) -> PublisherKey:
        """Return a new ed25519 key."""
        private = Ed25519PrivateKey.generate()
        signer = CryptoSigner(private)
        return cls(signer.public_key, signer, private)

    @classmethod
    def elsewhere(cls, text: str, ask: AskPassphrases) -> PublisherKey:
        """Return the key that a text names: ``URI``, or ``URI,PUBLIC.pem``.

        Parameters
        ----------
        text : str
            A URI of a scheme that securesystemslib knows, then the file of the public
            key in PEM form; without one, the token of an ``hsm:`` URI is asked.
        ask : callable
            Called when a PIN or a passphrase is needed.

        Raises
        ------
        StoreError
            The key cannot be used; or nothing says what its public half is.
        """
        uri, comma, path = text.rpartition(",")
        uri, path = (uri, path) if comma and path.endswith(".pem") else (text, "")
        _check_scheme(uri)
        try:
            if path:
                key = SSlibKey.from_crypto(load_pem_public_key(_read(path)))
            elif uri.startswith(f"{HSMSigner.SCHEME}:"):
                parts = urlsplit(uri)
                if parts.path and not parts.path.isdecimal():
                    raise StoreError(f"{quoted(uri)} must be such as hsm:2?label=TOKEN")
                number = int(parts.path) if parts.path else None
                label = dict(parse_qsl(parts.query)).get("label")
                uri, key = HSMSigner.import_(number, label, lambda name: asked(ask, name)[0])
            else:
                raise StoreError(
                    f"the public key of {quoted(uri)} is not known: give URI,PUBLIC.pem"
                )
        except StoreError:
            raise
        except (ValueError, UnsupportedAlgorithm) as error:
            what = f"{quoted(path)} is no public key in PEM form" if path else str(error)
            raise_alone(StoreError(f"the key {quoted(uri)} cannot be used: {what}"), error)
        except Exception as error:  # of any library behind the scheme
            raise_alone(_unusable(uri, error), error)
        return cls(key, signer_elsewhere(uri, key, ask), uri=uri)


def check_different(keys: Iterable[PublisherKey], known: Iterable[str]) -> None:
    """Check that new keys are different ones: two names of one key are one key.

    Parameters
    ----------
    keys : iterable of PublisherKey
        The new keys of a role.
    known : iterable of str
        The ids of those that it has.

    Raises
    ------
    StoreError
        A key is given twice, or counts already.
    """
    seen = set(known)
    for key in keys:
        if key.public.keyid in seen:
            raise StoreError(f"the key {quoted(str(key.uri))} is given twice, or counts already")
        seen.add(key.public.keyid)


def signer_elsewhere(uri: str, key: Key, ask: AskPassphrases) -> Signer:
    """Return what signs with a key that is elsewhere.

    Parameters
    ----------
    uri : str
        Of a scheme that securesystemslib knows.
    key : Key
        The public half.
    ask : callable
        Called when a PIN or a passphrase is needed, once for each secret.

    Raises
    ------
    StoreError
        It cannot be used.
    """
    _check_scheme(uri)
    secrets: dict[str, str] = {}

    def secret(name: str) -> str:
        if name not in secrets:
            secrets[name] = asked(ask, name)[0]
        return secrets[name]

    try:
        return Signer.from_priv_key_uri(uri, key, secret)
    except StoreError:
        raise
    except Exception as error:  # of any library behind the scheme
        raise_alone(_unusable(uri, error), error)


def _check_scheme(uri: str) -> None:
    scheme, colon, _ = uri.partition(":")
    if not colon or scheme not in SIGNER_FOR_URI_SCHEME or len(uri) > _MOST_URI_CHARACTERS:
        known = ", ".join(f"{one}:" for one in sorted(SIGNER_FOR_URI_SCHEME))
        raise StoreError(f"{quoted(uri[:80])} is no URI of a key that is elsewhere: {known}")
    if scheme == CryptoSigner.SCHEME:  # securesystemslib reads any file to its end
        _read(os.path.join(os.environ.get(CryptoSigner.PREFIX_ENV_VAR, ""), urlparse(uri).path))
    if scheme == HSMSigner.SCHEME and not os.environ.get(_LIBRARY_VARIABLE):
        raise StoreError(
            f"the key {quoted(uri)} cannot be used: name the PKCS #11 library of the token in "
            f"{_LIBRARY_VARIABLE}"
        )


def _unusable(uri: str, error: Exception) -> StoreError:
    # Not the library's own words, which may repeat what it was given.
    extra = "; the extra of securesystemslib for it brings what is missing"
    is_library = type(error).__name__ == "UnsupportedLibraryError"
    return StoreError(
        f"the key {quoted(uri)} cannot be used: {type(error).__name__}{extra if is_library else ''}"
    )


def _read(path: str) -> bytes:
    try:
        return read_regular(Path(path).expanduser(), _MOST_KEY_BYTES)
    except OSError as error:
        raise StoreError(f"{quoted(path)} cannot be read: {reason_of(error)}") from None
