"""Starts a real Caddy for one site."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from .daemon import LOGGED, PATIENCE, Daemon, LoggedRequest

# Paths are relative to the server's folder, so none has to be quoted.
CONFIGURATION = """\
{{
    admin off
    auto_https off
    servers {{
        log_credentials
    }}
}}
http://{host}:{port} {{
    bind {host}
    root * www
    log {{
        output file access.log
    }}
    {extra}
}}
http://settle.invalid:{port} {{
    bind {host}
    respond 204
}}
"""


class Caddy(Daemon):
    """A Caddy that serves the folder `site`, the root of which is at `url`.

    The number of bytes in its log is that of the body alone.

    Parameters
    ----------
    site : Path
        The folder; it may change while it is served.
    extra : str
        Lines for the site's block; without a ``file_server`` nothing is served.
    """

    program = "caddy"

    def __init__(self, site: Path, *, extra: str = "file_server") -> None:
        super().__init__()
        self.site = site
        self.extra = extra

    @property
    def url(self) -> str:
        """The site's root URL, with a final slash."""
        return f"http://{self.host}:{self.port}/"

    def environment(self) -> dict[str, str]:
        """Make it write to its own folder, and use one thread: see `settle`."""
        folders = {name: str(self.folder) for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME")}
        return {"GOMAXPROCS": "1", **folders}

    def configure(self) -> list[str]:
        """Write the configuration."""
        (self.folder / "www").symlink_to(self.site.resolve(), target_is_directory=True)
        text = CONFIGURATION.format(host=self.host, port=self.port, extra=self.extra)
        (self.folder / "Caddyfile").write_text(text, "utf-8")
        (self.folder / "access.log").touch()
        return ["run", "--config", "Caddyfile", "--adapter", "caddyfile"]

    def is_ready(self) -> bool:
        """Read it from Caddy's own log."""
        return b"serving initial configuration" in (self.folder / "output.log").read_bytes()

    def settle(self) -> None:
        """Make a request of our own, which Caddy answers after logging the others."""
        with socket.create_connection((self.host, self.port), PATIENCE) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\nHost: settle.invalid\r\n\r\n")
            while connection.recv(4096):
                pass

    def read_log(self, line: str) -> LoggedRequest:
        """Parse a line, which is JSON."""
        record = json.loads(line)
        request = record["request"]
        found = {**request["headers"], "Host": [request["host"]]}
        headers = {name: found[name][0] for name in LOGGED if name in found}
        return LoggedRequest(
            request["method"], request["uri"], record["status"], record["size"], headers
        )
