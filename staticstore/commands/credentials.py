"""Credentials of the command line: passwords, certificates, header fields."""

from __future__ import annotations

import functools
import logging
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from ..errors import StoreError, quoted, raise_alone
from .terminal import printable

__all__ = [
    "NetrcFile",
    "bucket_options",
    "check_bucket_access",
    "is_authorization",
    "parse_ca",
    "parse_cert",
    "parse_credentials",
    "parse_headers",
    "parse_proxy",
    "parse_timeout",
    "parse_trust",
    "read_auth_file",
    "read_auth_option",
]

_Function = TypeVar("_Function", bound=Callable[..., None])

_LOG = logging.getLogger("staticstore.cli")
_MOST_FILE_BYTES = 1 << 16
_READABLE_BY_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_LONGEST_SECONDS = 1e6
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.1
_BUCKET = re.compile(r"(s3|gs|az):", re.IGNORECASE)
_VISIBLE = re.compile(r"[!-~]+")
_NETRC = re.compile(r"\s*(?:#[^\n]*\n\s*)*(?:machine|default)\s")


@dataclass(frozen=True)
class NetrcFile:
    """The users and passwords of several hosts, from a file that is written as netrc.

    Parameters
    ----------
    path : str
        The file.
    entries : mapping of str to (str, str)
        User and password by host.
    """

    path: str
    entries: Mapping[str, tuple[str, str]] = field(repr=False)

    def entry_for(self, location: str) -> tuple[str, str] | None:
        """Return the entry of exactly the host of a URL; None for a folder.

        Raises
        ------
        StoreError
            The file has no entry for the host.
        """
        try:
            scheme, host = urlsplit(location).scheme, urlsplit(location).hostname
        except ValueError:  # reported where the URL is used
            return None
        if scheme not in ("http", "https") or host is None:
            return None
        if host == "default" or host not in self.entries:
            raise StoreError(f"{quoted(self.path)} has no entry for the host {quoted(host)}")
        return self.entries[host]


def bucket_options(
    keep: Callable[[click.Context, click.Parameter, Any], None] | None = None,
) -> list[Callable[[_Function], _Function]]:
    """Return the options for buckets.

    Parameters
    ----------
    keep : callable, optional
        Keeps what is given; without it, the command gets it as arguments.
    """
    option = functools.partial(click.option, callback=keep, expose_value=keep is None)
    return [
        option(
            "--endpoint",
            metavar="URL",
            help="The host of a bucket, if it is not the provider's own: one that speaks the "
            "protocol of S3 or Azure.",
        ),
        option("--region", metavar="NAME", help="The region of an S3 bucket."),
        option("--anonymous", is_flag=True, help="Send no credentials to a bucket."),
    ]


def parse_trust(path: str) -> bytes:
    """Read the root file of a signed site."""
    from ..client.pickles.settings import checked_trust  # slow to import: python-tuf

    try:
        pinned = checked_trust(path, "index.json")
    except (ValueError, ImportError, StoreError) as error:
        raise click.BadParameter(str(error)) from None
    assert pinned is not None
    return pinned


def check_bucket_access(auth: object, locations: Iterable[str], *, anonymous: bool) -> None:
    """Refuse credentials that do not fit a site, or a site that is in no bucket.

    Parameters
    ----------
    auth : (str, str), "netrc", "instance", NetrcFile or None
        As the options say.
    locations : iterable of str
        The roots, the first one first.
    anonymous : bool
        Whether to send none to a bucket.

    Raises
    ------
    click.UsageError
        They do not fit.  The message repeats no secret.
    """
    first, *others = (_BUCKET.match(location) is not None for location in locations)
    if anonymous and auth is not None:
        raise click.UsageError("--anonymous sends no credentials: give none")
    if anonymous and not (first or any(others)):
        raise click.UsageError("--anonymous is for buckets: s3://, gs:// or az://")
    if auth == "instance" and not first:
        raise click.UsageError("--instance is for buckets: s3://, gs:// or az://")
    if auth == "netrc" and first:
        raise click.UsageError("--netrc is not for buckets: give --auth, or use the environment")
    if first and isinstance(auth, tuple) and not all(map(_VISIBLE.fullmatch, auth)):
        raise click.UsageError("--auth for a bucket is KEY:SECRET, both in ASCII")


def parse_credentials(text: str) -> tuple[str, str | None]:
    """Split ``USER[:PASSWORD]``; only the password may contain colons.

    Raises
    ------
    click.BadParameter
        The text is not UTF-8.  The message does not repeat it.

    Examples
    --------
    >>> parse_credentials("ali:open:sesame"), parse_credentials("ali")
    (('ali', 'open:sesame'), ('ali', None))
    """
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of the command line that are not text
        raise click.BadParameter("user and password must be text in UTF-8") from None
    user, colon, password = text.partition(":")
    return user, password if colon else None


def read_auth_option(text: str) -> tuple[str, str]:
    """Return user and password; ask for a password that is left out.

    Raises
    ------
    click.BadParameter
        There is no terminal to ask at, or no user.
    """
    user, password = parse_credentials(text)
    if password is None:
        if not sys.stdin.isatty():
            raise click.BadParameter(
                "there is no terminal to ask for the password: give USER:PASSWORD, "
                "or use --auth-file"
            )
        password = click.prompt(f"Password for {printable(user)}", hide_input=True, err=True)
    return user, password


def read_auth_file(path: str) -> tuple[str, str] | NetrcFile:
    """Read user and password from a file: ``USER:PASSWORD``, or entries as in netrc.

    The file may be a pipe, such as a shell's ``<(command)``.  A file that
    other users can read is logged as a warning.

    Raises
    ------
    click.BadParameter
        The file cannot be read, or has another format.  The message repeats
        nothing of it.
    """
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            body = file.read(_MOST_FILE_BYTES + 1)
    except OSError as error:
        raise click.BadParameter(f"{quoted(path)} cannot be read: {error.strerror}") from None
    if os.name == "posix" and stat.S_ISREG(mode) and mode & _READABLE_BY_OTHERS:
        _LOG.warning("other users may read the password in %s: chmod 600 it", quoted(path))
    try:
        text = body.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        text = ""
    if len(body) <= _MOST_FILE_BYTES and _NETRC.match(text):
        if not stat.S_ISREG(mode):  # the parser of netrc reads the file once more
            raise click.BadParameter(f"{quoted(path)} must be a plain file, with netrc entries")
        return NetrcFile(path, _netrc_entries(path))
    line, *others = text.split("\n")
    user, password = parse_credentials(line)
    if password is None or any(others) or len(body) > _MOST_FILE_BYTES:
        raise click.BadParameter(
            f"{quoted(path)} must contain exactly one line, USER:PASSWORD, in UTF-8, "
            "or entries as in netrc"
        )
    return user, password


def _netrc_entries(path: str) -> dict[str, tuple[str, str]]:
    import netrc

    try:
        hosts = netrc.netrc(path).hosts
    except netrc.NetrcParseError as error:
        # The parser's message may quote the token it failed at: a password.
        raise_alone(
            click.BadParameter(f"{quoted(path)} is no valid netrc file: line {error.lineno}")
        )
    return {host: (entry[0], entry[2] or "") for host, entry in hosts.items()}


def parse_headers(texts: Iterable[str]) -> dict[str, str]:
    """Return the header fields of texts such as ``Name: value``.

    Raises
    ------
    click.BadParameter
        One is malformed, given twice, or set by staticstore itself.  The message
        repeats no value.

    Examples
    --------
    >>> parse_headers(["X-Api-Key: 12:34"])
    {'X-Api-Key': '12:34'}
    """
    fields: dict[str, str] = {}
    for text in texts:
        from ..transport.http.arguments import checked_headers  # slow to import: requests

        name, colon, value = text.partition(":")
        if not colon or not _TOKEN.fullmatch(name):  # and not repeated: it may be a secret
            raise click.BadParameter("not of the form 'NAME: VALUE'")
        if name.lower() in map(str.lower, fields):
            raise click.BadParameter(f"the header field {name!r} is given twice")
        try:
            fields |= checked_headers({name: value.strip(" \t")})
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return fields


def is_authorization(headers: Iterable[str]) -> bool:
    """Return whether the names of header fields include Authorization."""
    return "authorization" in map(str.lower, headers)


def parse_cert(text: str) -> str | tuple[str, str]:
    """Return the files of a client certificate: ``FILE``, or ``FILE,KEY``.

    Raises
    ------
    click.BadParameter
        A file is not there, or they are no certificate and its key.
    """
    import ssl

    certificate, comma, private_key = text.rpartition(",")
    is_pair = bool(comma) and not os.path.exists(text)  # a name may contain a comma
    files = (certificate, private_key) if is_pair else (text,)
    for path in files:
        if not os.path.isfile(path):
            raise click.BadParameter(f"there is no file {quoted(path)}")
    is_locked = False

    def passphrase() -> str:  # OpenSSL would ask a terminal for it: that is left for later
        nonlocal is_locked
        is_locked = True
        return ""

    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_cert_chain(files[0], private_key if is_pair else None, passphrase)
    except OSError:  # with a message for programmers
        if not is_locked:
            named = " and ".join(map(quoted, files))
            raise click.BadParameter(
                f"no certificate with its private key is in {named}: give FILE,KEY in PEM form"
            ) from None
    return (certificate, private_key) if is_pair else text


def parse_ca(path: str) -> str:
    """Return the path of a file or folder of certificate authorities.

    Raises
    ------
    click.BadParameter
        It is a file without certificates.
    """
    import ssl

    if os.path.isfile(path):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        except OSError:  # with a message for programmers
            raise click.BadParameter(
                f"no certificates are in {quoted(path)}: give a file in PEM form"
            ) from None
    return path


def parse_proxy(text: str) -> str:
    """Return the URL of a proxy.

    Raises
    ------
    click.BadParameter
        It is no such URL.  The message does not repeat it: it may contain a password.
    """
    from ..transport.http.arguments import checked_proxies  # slow to import: requests

    try:
        if "://" in text and checked_proxies({"http": text}):
            return text
    except ValueError:
        pass
    raise click.BadParameter("not a URL, such as http://proxy.example.org:3128")


def parse_timeout(text: str) -> tuple[float, float]:
    """Return the seconds to connect and to read of ``SECONDS``, or of ``CONNECT,READ``.

    Examples
    --------
    >>> parse_timeout("10"), parse_timeout("2.5,60")
    ((10.0, 10.0), (2.5, 60.0))
    """
    try:
        connect, *read = map(float, text.split(","))
    except ValueError:
        connect, read = 0.0, []
    seconds = (connect, *(read or [connect]))
    if len(seconds) != 2 or not all(0 < one < _LONGEST_SECONDS for one in seconds):
        raise click.BadParameter(
            f"{text!r} is not of the form SECONDS or CONNECT,READ, in seconds above 0"
        )
    return seconds[0], seconds[1]
