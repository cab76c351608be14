"""Credentials for a bucket, from arguments, the environment or files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode

from ...errors import AuthorizationError, quoted, raise_alone
from .azure import AccountKey, SharedAccess
from .credential import AccessKey, Anonymous, BearerToken, BucketCredential
from .location import BucketLocation
from .profile import aws_settings
from .signer import BucketSigner

__all__ = ["bucket_authentication"]

_PREFIXES = {"s3": ("aws_",), "gs": ("google_",), "az": ("azure_storage_", "azure_")}
# The names of obstore, and of what its credential providers return.
_NAMES = {
    "s3": {"access_key_id", "secret_access_key", "session_token", "token"},
    "gs": {
        "access_key_id",
        "secret_access_key",
        "token",
        "application_credentials",
        "service_account",
        "service_account_path",
        "service_account_key",
    },
    "az": {
        "access_key",
        "account_key",
        "account_name",
        "bearer_token",
        "sas_key",
        "sas_token",
        "token",
    },
}
# Of obstore, which push uses: send none.
_SKIPPING = {
    "s3": "AWS_SKIP_SIGNATURE",
    "gs": "GOOGLE_SKIP_SIGNATURE",
    "az": "AZURE_SKIP_SIGNATURE",
}
_FORMS = {
    "s3": "(access key id, secret access key) or a mapping with access_key_id, "
    "secret_access_key and, of temporary credentials, session_token",
    "gs": "(access id, secret) of an HMAC key, or a mapping with token, service_account (a file), "
    "service_account_key (its contents), or access_key_id and secret_access_key",
    "az": "(account, key) or a mapping with account_key, sas_token or token",
}
_WHERE = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, select a profile that has keys by "
    "AWS_PROFILE, or give a function as auth, such as obstore's Boto3CredentialProvider",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS to a file of credentials, or run "
    "'gcloud auth application-default login'",
    "az": "set AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_TOKEN",
}


def bucket_authentication(auth: Any, bucket: BucketLocation, *, anonymous: bool) -> BucketSigner:
    """Return what signs requests to a bucket.

    Parameters
    ----------
    auth : (str, str), mapping, callable, "instance" or None
        As in `StaticStore.connect`; None for what the environment and the user's files
        have.  A function is called now, and again before what it returned expires.
    bucket : BucketLocation
        The bucket.
    anonymous : bool
        Whether to send none.

    Raises
    ------
    TypeError, ValueError
        It has another form, or lacks something.
    AuthorizationError
        None was found.
    StoreError
        A file cannot be read, or a package is missing.
    """
    if anonymous:
        return BucketSigner(bucket, Anonymous)
    if auth is None:
        return BucketSigner(bucket, partial(_found, bucket))
    if auth == "instance":
        from .instance import instance_credentials  # seldom needed

        auth = partial(instance_credentials, bucket.scheme)
    if callable(auth):
        return BucketSigner(bucket, lambda: _given(auth(), bucket))
    return BucketSigner(bucket, partial(_given, auth, bucket))


def _given(auth: Any, bucket: BucketLocation) -> BucketCredential:
    form = (
        f"auth for {bucket.scheme}:// is {_FORMS[bucket.scheme]}, a function that returns it, "
        'or "instance"'
    )
    if auth is None:
        return _found(bucket)
    if isinstance(auth, tuple | list) and len(auth) == 2:
        first = "account_name" if bucket.scheme == "az" else "access_key_id"
        second = "account_key" if bucket.scheme == "az" else "secret_access_key"
        auth = {first: auth[0], second: auth[1]}
    if not isinstance(auth, Mapping):
        raise_alone(TypeError(form))
    fields = {_own_name(str(name), bucket.scheme): value for name, value in auth.items()}
    expires_at = fields.pop("expires_at", None)
    if expires_at is not None and not isinstance(expires_at, datetime):
        raise TypeError("expires_at of the credentials is a datetime")
    if expires_at is not None and expires_at.tzinfo is None:
        expires_at = expires_at.replace(tzinfo=UTC)
    if unknown := sorted(fields.keys() - _NAMES[bucket.scheme]):
        raise ValueError(f"{form}, without {', '.join(map(repr, unknown))}")
    credential = _CREDENTIALS[bucket.scheme](fields, expires_at)
    if credential is None:
        raise_alone(ValueError(form))
    return credential


def _own_name(name: str, scheme: str) -> str:
    name = name.lower()
    for prefix in _PREFIXES[scheme]:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


def _found(bucket: BucketLocation) -> BucketCredential:
    if os.environ.get(_SKIPPING[bucket.scheme], "").lower() in ("1", "true"):
        return Anonymous()
    found = _FINDERS[bucket.scheme]()
    credential = _CREDENTIALS[bucket.scheme](found, None)
    if credential is None:
        is_by_profile = bucket.scheme == "s3" and "AWS_ACCESS_KEY_ID" not in os.environ
        profile = os.environ.get("AWS_PROFILE") if is_by_profile else None
        of_profile = (
            f"AWS_PROFILE selects {quoted(profile)}, which has no keys; " if profile else ""
        )
        raise AuthorizationError(
            f"no credentials were found for {bucket}: {of_profile}{_WHERE[bucket.scheme]}; "
            'auth="instance" (--instance) asks the cloud machine that this runs on, '
            "anonymous=True (--anonymous) reads a public bucket"
        )
    return credential


def _access_key(fields: Mapping[str, Any], expires_at: datetime | None) -> AccessKey | None:
    identity, secret = fields.get("access_key_id"), fields.get("secret_access_key")
    token = fields.get("session_token") or fields.get("token")
    if not _is_text(identity) or not _is_text(secret) or not (token is None or _is_text(token)):
        return None
    return AccessKey(str(identity), str(secret), token, expires_at)


def _of_google(fields: Mapping[str, Any], expires_at: datetime | None) -> BucketCredential | None:
    if "access_key_id" in fields or "secret_access_key" in fields:
        return _access_key(fields, expires_at)
    if _is_text(fields.get("token")):
        return BearerToken(fields["token"], expires_at)
    from .google import GoogleCredential  # slow to import: google-auth

    key = fields.get("service_account_key")
    if key is not None:
        try:
            contents = json.loads(key) if isinstance(key, str) else key
        except ValueError:  # which quotes the secret
            contents = None
        return GoogleCredential.of_mapping(contents) if isinstance(contents, Mapping) else None
    for name in ("service_account", "service_account_path", "application_credentials"):
        if fields.get(name):
            return GoogleCredential.of_file(fields[name])
    return None


def _of_azure(fields: Mapping[str, Any], expires_at: datetime | None) -> BucketCredential | None:
    key = fields.get("account_key") or fields.get("access_key")
    if _is_text(key):
        return AccountKey(str(key), fields.get("account_name"))
    access = fields.get("sas_token") or fields.get("sas_key")
    if access is not None and not isinstance(access, str):  # pairs, as obstore has them
        access = urlencode(list(access))
    if _is_text(access):
        return SharedAccess(str(access), expires_at)
    token = fields.get("token") or fields.get("bearer_token")
    return BearerToken(str(token), expires_at) if _is_text(token) else None


def _is_text(value: object) -> bool:
    # What a header field can hold.
    return isinstance(value, str) and value != "" and value.isascii() and value.isprintable()


def _variables(names: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    found = {}
    for field, variables in names.items():
        value = next(filter(None, map(os.environ.get, variables)), None)
        if value is not None:
            found[field] = value
    return found


def _find_for_s3() -> dict[str, str]:
    keys = _variables(
        {
            "access_key_id": ("AWS_ACCESS_KEY_ID",),
            "secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
            "session_token": ("AWS_SESSION_TOKEN",),
        }
    )
    return keys if "access_key_id" in keys else aws_settings(os.environ)


def _find_for_google() -> dict[str, str]:
    from .google import gcloud_file

    found = _variables(
        {
            "service_account": ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH"),
            "service_account_key": ("GOOGLE_SERVICE_ACCOUNT_KEY",),
            "application_credentials": ("GOOGLE_APPLICATION_CREDENTIALS",),
        }
    )
    path = None if found else gcloud_file()
    return found if path is None else {"application_credentials": str(path)}


def _find_for_azure() -> dict[str, str]:
    return _variables(
        {
            "account_key": ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY"),
            "account_name": ("AZURE_STORAGE_ACCOUNT_NAME",),
            "sas_token": ("AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY"),
            "token": ("AZURE_STORAGE_TOKEN",),
        }
    )


_CREDENTIALS: dict[str, Callable[[Mapping[str, Any], datetime | None], BucketCredential | None]] = {
    "s3": _access_key,
    "gs": _of_google,
    "az": _of_azure,
}
_FINDERS = {"s3": _find_for_s3, "gs": _find_for_google, "az": _find_for_azure}
