"""The location of a site in a bucket: ``s3://``, ``gs://``, ``az://``."""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from ...errors import quoted, raise_alone

__all__ = ["SCHEMES", "BucketLocation", "endpoint_from_environment"]

#: The schemes of buckets: S3 and its like, Google Cloud Storage, Azure Blob Storage.
SCHEMES = ("s3", "gs", "az")

_AZURE_VERSION = "2021-12-02"
_NAME = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._-]{1,221}")
_HOST_LABEL = re.compile(r"[a-z0-9-]{3,63}")  # with a dot, no certificate would fit
_REGION = re.compile(r"[A-Za-z0-9-]{1,63}")
_AWS_REGION = re.compile(r"[a-z]{2,4}(-[a-z]{1,12}){1,3}-[0-9]{1,2}")
_ACCOUNT = re.compile(r"[a-z0-9-]{3,63}")
_DEFAULT_REGION = "us-east-1"
_ENDPOINT_VARIABLES = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": (),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
_OWN_OPTIONS = {"s3": {"endpoint", "region"}, "gs": {"endpoint"}, "az": {"endpoint"}}


class BucketLocation(NamedTuple):
    """A bucket, or a container of Azure, and the host that has it.

    Examples
    --------
    >>> bucket = BucketLocation.parse("s3://maps/public site", None, "eu-central-1")
    >>> bucket.url
    'https://maps.s3.eu-central-1.amazonaws.com/public%20site/'
    >>> bucket.location
    's3://maps/public%20site?region=eu-central-1'
    """

    #: One of `SCHEMES`.
    scheme: str
    name: str
    #: Quoted, with a slash at its end; empty for the whole bucket.
    prefix: str
    #: The URL of a host that speaks the protocol; None for the provider's own.
    endpoint: str | None
    #: Of S3; empty for others.
    region: str = ""

    @classmethod
    def parse(cls, text: str, endpoint: str | None, region: str | None) -> BucketLocation:
        """Return the bucket that a URL names.

        Parameters
        ----------
        text : str
            ``s3://bucket/prefix`` or the like.  A query may have an ``endpoint`` and a
            ``region`` of its own.
        endpoint, region : str or None
            As in `StaticStore`; None for what the environment or the configuration file of
            AWS's tools says.

        Raises
        ------
        ValueError
            The URL names no bucket, has a user, or the options do not fit it.
        StoreError
            The configuration file of AWS's tools cannot be parsed.
        """
        parts = urlsplit(text)
        scheme = parts.scheme.lower()
        if "@" in parts.netloc:
            raise ValueError(
                f"the URL of a bucket has no user and password: {scheme}://BUCKET/PREFIX, with "
                "credentials from the environment, or by connect(auth=...)"
            )
        if not _NAME.fullmatch(parts.netloc):
            found = f", and {quoted(parts.netloc)} is no bucket's name" if parts.netloc else ""
            raise ValueError(f"the URL names no bucket: it is {scheme}://BUCKET/PREFIX{found}")
        if parts.fragment:
            raise ValueError("a root URL has no fragment: leave out what follows '#'")
        own = _own_options(scheme, parts.query)
        endpoint = own.get("endpoint", endpoint) or endpoint_from_environment(scheme)
        # Percent-decoded, as obstore reads it.
        prefix = quote(unquote(parts.path).strip("/"), safe="/~")
        prefix = prefix and prefix + "/"
        if {"", ".", ".."} & set(prefix[:-1].split("/") if prefix else ()):
            raise ValueError("the prefix of a bucket has no empty segment and no . or ..")
        if scheme == "az" and endpoint is None:
            endpoint = _azure_endpoint()
        if endpoint is not None:
            endpoint = _checked_endpoint(endpoint)
        found_region = _region(own.get("region", region)) if scheme == "s3" else ""
        return cls(scheme, parts.netloc, prefix, endpoint, found_region)

    @property
    def url(self) -> str:
        """The URL of the root, ending in a slash."""
        if self.endpoint is not None:
            return f"{self.endpoint}/{self.name}/{self.prefix}"
        if self.scheme == "gs":
            return f"https://storage.googleapis.com/{self.name}/{self.prefix}"
        domain = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        host = f"s3.{self.region}.{domain}"
        if _HOST_LABEL.fullmatch(self.name):
            return f"https://{self.name}.{host}/{self.prefix}"
        return f"https://{host}/{self.name}/{self.prefix}"

    @property
    def location(self) -> str:
        """The bucket's own URL, with all that the environment has added."""
        pinned = {"endpoint": self.endpoint, "region": self.region}
        query = urlencode({name: value for name, value in pinned.items() if value}, safe=":/")
        text = f"{self.scheme}://{self.name}/{self.prefix.removesuffix('/')}"
        return f"{text}?{query}" if query else text

    @property
    def fields(self) -> dict[str, str]:
        """The header fields that every request has, signed or not."""
        # The default of Azure for anonymous requests is of 2009, without quotes around tags.
        return {"x-ms-version": _AZURE_VERSION} if self.scheme == "az" else {}

    @property
    def account(self) -> str:
        """The storage account of Azure that the endpoint names."""
        parts = urlsplit(self.endpoint or "")
        first = parts.path.strip("/").partition("/")[0]  # of an emulator
        return first or (parts.hostname or "").partition(".")[0]

    def in_region(self, region: str) -> BucketLocation | None:
        """Return this bucket in the region that its host names; None if that is no region.

        The host is made of the name, below the domain of the provider or at the same
        endpoint; nothing else that a host says leads anywhere.

        Examples
        --------
        >>> bucket = BucketLocation.parse("s3://maps/a", None, "us-east-1")
        >>> bucket.in_region("eu-west-3").url, bucket.in_region("example.org/")
        ('https://maps.s3.eu-west-3.amazonaws.com/a/', None)
        """
        names = _AWS_REGION if self.endpoint is None else _REGION
        is_elsewhere = self.scheme == "s3" and region != self.region
        return self._replace(region=region) if is_elsewhere and names.fullmatch(region) else None

    def shares_credentials(self, other: BucketLocation | None) -> bool:
        """Return whether explicit credentials for the other bucket are for this one, too."""
        return other is not None and (self.scheme, self.endpoint) == (other.scheme, other.endpoint)

    def __str__(self) -> str:
        """Show it as people write it."""
        return f"{self.scheme}://{self.name}/{self.prefix}"


def _own_options(scheme: str, query: str) -> dict[str, str]:
    # Without what is in it: a signature, for instance.
    try:
        pairs = parse_qsl(query, strict_parsing=True, keep_blank_values=True) if query else []
    except ValueError:
        pairs = [("", "")]
    own = dict(pairs)
    allowed = _OWN_OPTIONS[scheme]
    if len(own) != len(pairs) or not own.keys() <= allowed or not all(own.values()):
        raise_alone(
            ValueError(f"the query of {scheme}:// has at most {', '.join(sorted(allowed))}")
        )
    return own


def endpoint_from_environment(scheme: str) -> str | None:
    """Return the endpoint that the environment names for buckets of a scheme.

    For S3 that includes the configuration file of AWS's tools.
    """
    named = next(filter(None, map(os.environ.get, _ENDPOINT_VARIABLES[scheme])), None)
    if named is not None or scheme != "s3":
        return named
    from .profile import aws_settings  # slow to import

    return aws_settings(os.environ).get("endpoint")


def _azure_endpoint() -> str:
    account = os.environ.get("AZURE_STORAGE_ACCOUNT_NAME", "")
    if not _ACCOUNT.fullmatch(account):
        raise ValueError(
            "set AZURE_STORAGE_ACCOUNT_NAME to the owner of the container, "
            "or give endpoint='https://ACCOUNT.blob.core.windows.net'"
        )
    return f"https://{account}.blob.core.windows.net"


def _checked_endpoint(endpoint: Any) -> str:
    try:
        parts = urlsplit(endpoint)
        is_usable = parts.port != 0 and parts.scheme in ("http", "https") and parts.hostname
    except (ValueError, AttributeError, TypeError):
        is_usable = False
    if not is_usable or "@" in parts.netloc or re.search(r"[?#\s]", endpoint):
        raise_alone(ValueError("endpoint is a URL such as https://minio.example.org:9000"))
    return str(endpoint).rstrip("/")


def _region(given: str | None) -> str:
    region = given or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region is None:
        from .profile import aws_settings  # slow to import

        region = aws_settings(os.environ).get("region", _DEFAULT_REGION)
    if not isinstance(region, str) or not _REGION.fullmatch(region):
        raise ValueError("region is a name such as 'eu-central-1'")
    return region
