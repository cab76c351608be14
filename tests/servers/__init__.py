"""The servers that tests start: real ones, one that misbehaves on purpose, and a relay.

All listen on loopback, each at a port that was free, and stop at the end of
their ``with`` block.  `start` and `stop` can be called instead, repeatedly:
the port stays the same.

    Nginx, Apache, Caddy, Lighttpd, Squid    programs of this machine, or of Debian (debian.py)
    PythonServer    what `python -m http.server` does
    S3Server        moto's, which speaks S3; SignedS3Server checks signatures
    AzureServer     Azurite, which speaks Azure Blob Storage
    RawServer       a script decides about every byte; serve_files does the rest
    Relay           counts, delays and cuts the traffic to any of them
"""

from .apache import Apache
from .azure import AzureServer, require_azurite
from .caddy import Caddy
from .certificates import Certificates, write_certificates
from .daemon import LoggedRequest
from .debian import Program, Unavailable, find, require
from .files import Files, requiring_password, serve_files
from .lighttpd import Lighttpd
from .nginx import Nginx
from .plain import PlainRequest, PythonServer
from .raw import RawServer
from .relay import Relay
from .s3 import S3Server, SignedS3Server
from .squid import Squid
from .wire import Answer, ClientGone, Request, Wire

__all__ = [
    "Answer",
    "Apache",
    "AzureServer",
    "Caddy",
    "Certificates",
    "ClientGone",
    "Files",
    "Lighttpd",
    "LoggedRequest",
    "Nginx",
    "PlainRequest",
    "Program",
    "PythonServer",
    "RawServer",
    "Relay",
    "Request",
    "S3Server",
    "SignedS3Server",
    "Squid",
    "Unavailable",
    "Wire",
    "find",
    "require",
    "require_azurite",
    "requiring_password",
    "serve_files",
    "write_certificates",
]
