"""Starts a real Apache for one site, with compression modules as Debian enables them."""

from __future__ import annotations

import contextlib
import http.client
import os
import time
from pathlib import Path

from .daemon import LOGGED, PATIENCE, Daemon, LoggedRequest

MODULES = (
    "mpm_event",
    "authz_core",
    "authz_host",
    "alias",
    "autoindex",
    "brotli",
    "deflate",
    "dir",
    "env",
    "filter",
    "headers",
    "mime",
    "negotiation",
    "status",
)

# Paths are relative to the server's folder, so none has to be quoted, except those of modules.
CONFIGURATION = """\
ServerRoot "{folder}"
ServerName localhost
DefaultRuntimeDir .
PidFile apache.pid
ErrorLog error.log
Listen {host}:{port}
{modules}
StartServers 1
ServerLimit 1
ThreadsPerChild 32
MaxRequestWorkers 32
TypesConfig mime.types
DirectoryIndex index.html
{compression}
<Directory "/">
    Options FollowSymLinks Indexes
    Require all granted
</Directory>
<VirtualHost *:{port}>
    DocumentRoot www
    LogFormat "{record}" requests
    CustomLog access.log requests
    {extra}
</VirtualHost>
<VirtualHost *:{port}>
    ServerName settle.invalid
    <Location "/">
        SetHandler server-status
    </Location>
</VirtualHost>
"""

# Debian's own configuration also treats files with this ending as lists of others.
COMPRESSION = """\
AddOutputFilterByType BROTLI_COMPRESS;DEFLATE text/html text/plain text/csv application/json
AddHandler type-map var
"""

TYPES = """\
text/html html
text/plain txt
text/csv csv
application/json json
"""

# Apache escapes tabs and unprintable characters in a field as in C.
RECORD = r"\t".join(["%>s", "%O", "%r", *(f"%{{{name}}}i" for name in LOGGED)])


class Apache(Daemon):
    """An Apache that serves the folder `site`, the root of which is at `url`.

    Parameters
    ----------
    site : Path
        The folder; it may change while it is served.
    compression : bool
        Compress text, and take ``.var`` for lists of files, as many Apaches do.
    extra : str
        Lines of configuration for the ``VirtualHost``.
    """

    program = "apache2"

    def __init__(self, site: Path, *, compression: bool = False, extra: str = "") -> None:
        super().__init__()
        self.site = site
        self.compression = compression
        self.extra = extra

    @property
    def url(self) -> str:
        """The site's root URL, with a final slash."""
        return f"http://{self.host}:{self.port}/"

    def launcher(self) -> list[str]:
        """Drop root, which Apache refuses, but keep access to every folder."""
        if os.geteuid() != 0:
            return []
        capability = "+dac_override"
        nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        return [*nobody, "--inh-caps", capability, "--ambient-caps", capability, "--"]

    def configure(self) -> list[str]:
        """Write the configuration and the media types."""
        (self.folder / "www").symlink_to(self.site.resolve(), target_is_directory=True)
        (self.folder / "mime.types").write_text(TYPES)
        folder = self.found.prefix / "usr/lib/apache2/modules"
        modules = [f'LoadModule {name}_module "{folder}/mod_{name}.so"' for name in MODULES]
        text = CONFIGURATION.format(
            folder=self.folder,
            host=self.host,
            port=self.port,
            modules="\n".join(modules),
            compression=COMPRESSION if self.compression else "",
            record=RECORD,
            extra=self.extra,
        )
        (self.folder / "apache.conf").write_text(text, "utf-8")
        return ["-f", str(self.folder / "apache.conf"), "-D", "FOREGROUND"]

    def is_ready(self) -> bool:
        """Read it from Apache's own log."""
        log = self.folder / "error.log"
        return log.exists() and b"resuming normal operations" in log.read_bytes()

    def settle(self) -> None:
        """Ask Apache for its status, until it is answering only this request."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)
            with contextlib.closing(connection):
                connection.request("GET", "/?auto", headers={"Host": "settle.invalid"})
                lines = connection.getresponse().read().decode().splitlines()
            if {"BusyWorkers: 1", "ConnsAsyncWriting: 0"} <= set(lines):
                return
        raise TimeoutError(f"some client has not read its answer for {PATIENCE:.0f} s")

    def read_log(self, line: str) -> LoggedRequest:
        """Parse a line in the format of `RECORD`."""
        written = [field.encode().decode("unicode_escape") for field in line.split("\t")]
        status, sent, request, *fields = written
        method, target, _ = request.split(" ")
        headers = {name: value for name, value in zip(LOGGED, fields, strict=True) if value != "-"}
        return LoggedRequest(method, target, int(status), int(sent), headers)
