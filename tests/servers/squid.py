"""Starts a real squid: a proxy that can require a password."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import shutil
import signal
import socket
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, unquote

from .daemon import LOGGED, PATIENCE, Daemon, LoggedRequest

# Requested and refused only to see that squid has got there; it is not logged.
SETTLE = "http://127.0.0.1/staticstore-settle"

# Paths are relative to the server's folder, so none has to be quoted.  Folders and programs that
# are never used are named too if squid would not start without them.
CONFIGURATION = """\
{user}
http_port 127.0.0.1:{port}
visible_hostname localhost
dns_nameservers 127.0.0.1
dns_timeout 1 second
hosts_file hosts
icp_port 0
pinger_enable off
unlinkd_program /bin/sh
netdb_filename none
max_filedescriptors 1024
shutdown_lifetime 0 seconds
pid_filename none
coredump_dir none
mime_table mime.conf
icon_directory .
err_page_stylesheet none
{errors}
cache {caching} all
cache_mem 4 MB
memory_cache_shared off
strip_query_terms off
uri_whitespace encode
logformat requests {record}
acl settle url_regex ^{settle}$
access_log stdio:access.log logformat=requests !settle
cache_log cache.log
cache_store_log none
logfile_rotate 0
http_access deny settle
acl here dst 127.0.0.0/8
http_access deny !here
{auth}
http_access allow all
"""

AUTH = """\
auth_param basic program ./basic_ncsa_auth passwords
auth_param basic children 1 startup=1 idle=1
auth_param basic realm proxy
auth_param basic utf8 on
acl known proxy_auth REQUIRED
http_access deny !known
"""

# With "#" squid quotes a field as in a URL (a URL twice): blanks separate the fields.
RECORD = ["%#rm", "%#ru", "%>Hs", "%<st", *(f"%#{{{name}}}>h" for name in LOGGED)]


class Squid(Daemon):
    """A squid that forwards to loopback and nowhere else.

    `CONNECT` is allowed to any port.  A tunnel is logged when it ends.

    Parameters
    ----------
    auth : (user, password), optional
        Require these credentials, in ``Proxy-Authorization``.
    names : iterable of str
        Host names that mean this machine to the proxy, but not to its clients.
    caches : bool
        Keep responses in memory, as their header fields allow.
    """

    program = "squid"

    # It has nothing to save, and would otherwise wait two seconds.
    farewell = signal.SIGKILL

    def __init__(
        self,
        *,
        auth: tuple[str, str] | None = None,
        names: Iterable[str] = ("localhost",),
        caches: bool = False,
    ) -> None:
        super().__init__()
        self.auth = auth
        self.names = tuple(names)
        self.caches = caches

    @property
    def url(self) -> str:
        """The proxy's URL, without credentials."""
        return f"http://{self.host}:{self.port}"

    @property
    def url_with_auth(self) -> str:
        """The proxy's URL with the required credentials, quoted."""
        if self.auth is None:
            return self.url
        user, password = (quote(part, safe="") for part in self.auth)
        return f"http://{user}:{password}@{self.host}:{self.port}"

    @property
    def _service(self) -> str:
        # Two squids of one name would share their memory; a port has only one squid.
        return f"staticstore{self.port}"

    def configure(self) -> list[str]:
        """Write the configuration, and give the folder to the user that squid becomes."""
        if self.auth is not None:
            user, password = self.auth
            # The helper accepts nothing simpler.
            digest = hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()
            (self.folder / "passwords").write_text(f"{user}:{digest}\n", "utf-8")
            # Copied, since its folder may be closed to the user that squid becomes.
            helpers = [*self.found.prefix.glob("usr/lib*/squid/basic_ncsa_auth")]
            assert helpers, "this squid has no basic_ncsa_auth"
            shutil.copy(helpers[0], self.folder)
        (self.folder / "hosts").write_text("".join(f"127.0.0.1 {name}\n" for name in self.names))
        (self.folder / "mime.conf").touch()
        templates = self.found.prefix / "usr/share/squid/errors/templates"
        text = CONFIGURATION.format(
            user="cache_effective_user nobody" if os.geteuid() == 0 else "",
            port=self.port,
            errors=f"error_directory {templates}" if templates.is_dir() else "",
            record=" ".join(RECORD),
            settle=SETTLE,
            caching="allow" if self.caches else "deny",
            auth=AUTH if self.auth else "",
        )
        (self.folder / "squid.conf").write_text(text)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            for path in (self.folder, *self.folder.iterdir()):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        return ["-N", "-f", "squid.conf", "-n", self._service]

    def is_ready(self) -> bool:
        """Read in squid's own log that the port is bound, and try whether it listens there yet.

        Squid logs that it accepts connections just before it does.  To connect would not do
        alone: once in 28,000 times the kernel picks the same port, still free, for our end.
        """
        log = self.folder / "cache.log"
        if not log.exists() or b"Accepting HTTP Socket connections" not in log.read_bytes():
            return False
        with contextlib.suppress(ConnectionRefusedError):
            self.settle()
            return True
        return False

    def clear(self) -> None:
        """Remove squid's shared memory, named after the service."""
        for segment in Path("/dev/shm").glob(f"{self._service}-*"):
            segment.unlink(missing_ok=True)

    def settle(self) -> None:
        """Make a request of our own: squid answers it after logging the others."""
        with socket.create_connection((self.host, self.port), PATIENCE) as connection:
            connection.sendall(f"GET {SETTLE} HTTP/1.0\r\n\r\n".encode())
            while connection.recv(4096):
                pass

    def read_log(self, line: str) -> LoggedRequest:
        """Parse a line in the format of `RECORD`."""
        method, target, status, sent, *fields = line.split(" ")
        pairs = zip(LOGGED, fields, strict=True)
        headers = {name: unquote(field) for name, field in pairs if field != "-"}
        return LoggedRequest(unquote(method), unquote(target), int(status), int(sent), headers)
