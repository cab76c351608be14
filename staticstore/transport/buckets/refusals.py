"""What the host of a bucket means by a refusal, and what to do about it."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

from ...errors import AuthorizationError, HTTPStatusError, TransportError
from ..http.failures import ElsewhereError
from .signer import BucketSigner

if TYPE_CHECKING:
    from requests.auth import AuthBase

    from ..http.response import Response
    from ..http.root import Root
    from .location import BucketLocation

__all__ = ["Refusal", "check_bucket", "moved", "refusal_of"]

_LOG = logging.getLogger("staticstore")

# The statuses whose body may say what is wrong with the request itself.
_EXPLAINED_STATUSES = frozenset({301, 307, 400, 401, 403, 404, 409})
_MOST_BODY_BYTES = 1 << 14
_FIELDS = ("Date", "x-amz-bucket-region", "x-ms-error-code")

_CODE = re.compile(r"<Code>(\w{1,64})</Code>")
_REGION = re.compile(r"<Region>([a-z0-9-]{1,63})</Region>")
_REGION_NAME = re.compile(r"[a-z0-9-]{1,63}")
_SKEW_SECONDS = 300  # S3 and Azure allow 15 minutes

_ELSEWHERE = {
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
    "TemporaryRedirect",
}
_EXPIRED = {"ExpiredToken", "InvalidToken", "TokenRefreshRequired", "RequestExpired"}
_NO_BUCKET = {"NoSuchBucket", "ContainerNotFound"}
# Those that concern the credentials, whatever was asked for; others may be about one file.
_OF_CREDENTIALS = {
    "AuthenticationFailed": "the signature is refused: the key, the shared access signature or "
    "the token is wrong, or has expired",
    "AuthenticationRequired": "the host wants credentials, or does not accept the token",
    "InvalidAccessKeyId": "the host does not know the access key",
    "InvalidAuthenticationInfo": "the host cannot read the credentials, or they have expired",
    "InvalidSecurity": "the host does not accept the credentials",
    "NoAuthenticationInformation": "the host wants credentials",
    "PublicAccessNotPermitted": "the account allows no anonymous reads: connect with credentials",
    "RequestTimeTooSkewed": "the host does not accept the time of the signature",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key",
}
_REQUESTER_PAYS = {
    "s3": "; if the requester pays for this bucket, connect with "
    "headers={'x-amz-request-payer': 'requester'} (--header)",
    "gs": "; if the requester pays for this bucket, connect with "
    "headers={'x-goog-user-project': PROJECT} (--header)",
    "az": "",
}


class Refusal(NamedTuple):
    """Why a host refuses a request to a bucket."""

    message: str
    #: Whether it concerns every request, and not the file that was asked for.
    is_general: bool
    #: Whether other credentials are needed.
    is_authorization: bool
    #: The other region that the bucket is in, if the host names it.
    region: str | None = None


def moved(root: Root, auth: AuthBase | None, region: str) -> tuple[Root, AuthBase] | None:
    """Return the root in the region that its host named, and its signer.

    Parameters
    ----------
    root : Root
        The root of a site in a bucket.
    auth : AuthBase or None
        What signs the requests to it.
    region : str
        The name, which is not believed to be one.

    Returns
    -------
    (Root, AuthBase) or None
        None if the name is none of another region, or `auth` is the caller's own and signs
        for no other one.
    """
    bucket = root.bucket and root.bucket.in_region(region)
    if bucket is None or not isinstance(auth, BucketSigner):
        return None
    _LOG.info("%s is in the region %s, which saves a request if it is given", root, bucket.region)
    return root.of_bucket(bucket), auth.for_bucket(bucket)


def check_bucket(
    response: Response,
    bucket: BucketLocation,
    *,
    key: str | None,
    has_body: bool,
    answers: Collection[int],
) -> None:
    """Raise what the host says is wrong with all requests, or with this one.

    Parameters
    ----------
    response : Response
        The answer, whose body is not read yet.
    bucket : BucketLocation
        The bucket.
    key : str or None
        For the error.
    has_body : bool
        Whether the request was no HEAD.
    answers : collection of int
        Statuses that are no errors, unless the host says that all requests are refused.

    Raises
    ------
    AuthorizationError
        Other credentials are needed.
    ElsewhereError
        The bucket is in another region, which the host names.
    HTTPStatusError
        The bucket is elsewhere, or there is none.
    """
    if response.status not in _EXPLAINED_STATUSES:
        return
    body = b""
    if has_body:
        with contextlib.suppress(TransportError):
            body = response.read(_MOST_BODY_BYTES)
    fields = {name: response.header(name) or "" for name in _FIELDS}
    refusal = refusal_of(bucket, response.status, fields, body, datetime.now(UTC))
    if refusal is None or (response.status in answers and not refusal.is_general):
        return
    kind = AuthorizationError if refusal.is_authorization else HTTPStatusError
    error = kind(refusal.message, key=key, url=response.url, status=response.status)
    response.close(error)
    if refusal.region is not None:
        raise ElsewhereError(refusal.region, error)
    raise error


def refusal_of(
    bucket: BucketLocation, status: int, fields: Mapping[str, str], body: bytes, now: datetime
) -> Refusal | None:
    """Return why a host refuses; None if it does not say.

    Parameters
    ----------
    bucket : BucketLocation
        The bucket.
    status : int
        The HTTP status code.
    fields : mapping
        The header fields, whatever their case.
    body : bytes
        Of the answer, perhaps only its beginning; nothing of it is shown.
    now : datetime
        In UTC.
    """
    text = body.decode("utf-8", "replace")
    match = _CODE.search(text)
    code = match[1] if match else fields.get("x-ms-error-code", "")
    code = code if code.isalnum() else ""
    region = _region_in(fields, text)
    if code in _ELSEWHERE or (status in (301, 400) and region not in (None, bucket.region)):
        where = f"in the region {region}: give region='{region}'" if region else "in another region"
        message = f"the bucket is {where}{' (--region)' if region else ''}"
        return Refusal(message, True, False, region)
    if code in _NO_BUCKET:
        return Refusal(f"there is no bucket or container {bucket.name!r}", True, False)
    if code in _EXPIRED:
        message = "the temporary credentials have expired: get new ones, and connect again"
        return Refusal(message, True, True)
    if code == "UserProjectMissing":
        return Refusal(f"the requester pays{_REQUESTER_PAYS['gs']}", True, True)
    if code in _OF_CREDENTIALS:
        return Refusal(f"{_OF_CREDENTIALS[code]}{_skew(fields, now)} ({code})", True, True)
    if status == 403:
        message = (
            f"the host refused with 403 Forbidden{f' ({code})' if code else ''}: the credentials "
            "may not read this, or none were sent (anonymous=True)"
        )
        hint = _skew(fields, now) or _REQUESTER_PAYS[bucket.scheme]
        return Refusal(message + hint, False, True)
    return None


def _region_in(fields: Mapping[str, str], text: str) -> str | None:
    match = _REGION.search(text)
    found = match[1] if match else fields.get("x-amz-bucket-region", "")
    return found if _REGION_NAME.fullmatch(found) else None


def _skew(fields: Mapping[str, str], now: datetime) -> str:
    try:
        theirs = parsedate_to_datetime(fields.get("Date", ""))
        seconds = (now - theirs.replace(tzinfo=theirs.tzinfo or UTC)).total_seconds()
    except (ValueError, OverflowError):
        return ""
    if abs(seconds) < _SKEW_SECONDS:
        return ""
    direction = "ahead of" if seconds > 0 else "behind"
    return f"; this machine's clock is {abs(seconds) / 60:.0f} minutes {direction} the host's"
