"""Credentials of the cloud machine or container that this runs on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from ...errors import AuthorizationError, raise_alone

__all__ = ["instance_credentials"]

_SECONDS = 5.0  # to connect, and between two bytes: the service is on the machine itself
_MOST_BYTES = 1 << 16
_AWS = "http://169.254.169.254"
_AWS_CONTAINER = "http://169.254.170.2"
_AZURE = "http://169.254.169.254"
_GOOGLE = "metadata.google.internal"
# The body is read below requests, which does not map the errors of urllib3 there.
_OF_THE_SERVICE = (requests.RequestException, HTTPError, OSError)
_OF_ITS_ANSWER = (ValueError, LookupError, TypeError, ArithmeticError, RecursionError)
# Where a token of a container may be sent in the clear.
_CONTAINER_HOSTS = {"localhost", "127.0.0.1", "::1", "169.254.170.2", "169.254.170.23"}


def instance_credentials(scheme: str) -> dict[str, Any]:
    """Return credentials of this machine's metadata service, with their end.

    Parameters
    ----------
    scheme : str
        Of the bucket.

    Returns
    -------
    dict
        With the names of obstore's credential providers.

    Raises
    ------
    AuthorizationError
        There is no such service, or it gives none.
    """
    try:
        with requests.Session() as session:
            session.trust_env = False  # no proxy is between a machine and itself
            return _ASKED[scheme](session)
    except (*_OF_THE_SERVICE, *_OF_ITS_ANSWER) as error:
        raise_alone(
            AuthorizationError(
                f"the metadata service of this machine gives no credentials for {scheme}://: "
                f"{type(error).__name__}"
            ),
            error,
        )


def _asked(
    session: requests.Session, url: str, fields: Mapping[str, str], *, put: bool = False
) -> str:
    method = "PUT" if put else "GET"
    with session.request(
        method, url, headers=fields, timeout=_SECONDS, allow_redirects=False, stream=True
    ) as answer:
        answer.raise_for_status()
        return answer.raw.read(_MOST_BYTES, decode_content=True).decode()


def _of_aws(session: requests.Session) -> dict[str, Any]:
    container = os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if relative := os.environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        container = _AWS_CONTAINER + relative
    if container:
        text = _asked(session, _checked(container), _container_token())
    else:
        host = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", _AWS).rstrip("/")
        seconds = {"X-aws-ec2-metadata-token-ttl-seconds": "300"}
        token = _asked(session, f"{host}/latest/api/token", seconds, put=True)
        fields = {"X-aws-ec2-metadata-token": token}
        roles = f"{host}/latest/meta-data/iam/security-credentials/"
        role = _asked(session, roles, fields).split("\n")[0].strip()
        text = _asked(session, roles + role, fields)
    found = json.loads(text)
    return {
        "access_key_id": found["AccessKeyId"],
        "secret_access_key": found["SecretAccessKey"],
        "token": found["Token"],
        "expires_at": datetime.fromisoformat(found["Expiration"]),
    }


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in _CONTAINER_HOSTS:
        raise ValueError("a container's credentials are not fetched in the clear")
    return url


def _container_token() -> dict[str, str]:
    token = os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    if path := os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
        token = Path(path).read_text("utf-8").strip()
    return {} if token is None else {"Authorization": token}


def _of_google(session: requests.Session) -> dict[str, Any]:
    host = os.environ.get("GCE_METADATA_HOST", _GOOGLE)
    url = f"http://{host}/computeMetadata/v1/instance/service-accounts/default/token"
    found = json.loads(_asked(session, url, {"Metadata-Flavor": "Google"}))
    expires_at = datetime.now(UTC) + timedelta(seconds=int(found["expires_in"]))
    return {"token": found["access_token"], "expires_at": expires_at}


def _of_azure(session: requests.Session) -> dict[str, Any]:
    host = os.environ.get("AZURE_POD_IDENTITY_AUTHORITY_HOST", _AZURE).rstrip("/")
    query = "api-version=2018-02-01&resource=https%3A%2F%2Fstorage.azure.com%2F"
    if client := os.environ.get("AZURE_CLIENT_ID"):
        query += f"&client_id={client}"
    url = f"{host}/metadata/identity/oauth2/token?{query}"
    found = json.loads(_asked(session, url, {"Metadata": "true"}))
    expires_at = datetime.fromtimestamp(int(found["expires_on"]), UTC)
    return {"token": found["access_token"], "expires_at": expires_at}


_ASKED = {"s3": _of_aws, "gs": _of_google, "az": _of_azure}
