"""Starts a real lighttpd that lists folders."""

from __future__ import annotations

from pathlib import Path

from .daemon import Daemon, LoggedRequest

# Paths are relative to the server's folder, so none has to be quoted.
CONFIGURATION = """\
server.bind = "{host}"
server.port = {port}
server.document-root = "{folder}/www"
server.errorlog = "{folder}/error.log"
dir-listing.activate = "enable"
mimetype.assign = (".txt" => "text/plain")
"""


class Lighttpd(Daemon):
    """A lighttpd that serves the folder `site`, the root of which is at `url`.

    It writes its log of requests late, so that it has none here.

    Parameters
    ----------
    site : Path
        The folder; it may change while it is served.
    """

    program = "lighttpd"

    def __init__(self, site: Path) -> None:
        super().__init__()
        self.site = site

    @property
    def url(self) -> str:
        """The site's root URL, with a final slash."""
        return f"http://{self.host}:{self.port}/"

    def configure(self) -> list[str]:
        """Write the configuration."""
        (self.folder / "www").symlink_to(self.site.resolve(), target_is_directory=True)
        (self.folder / "access.log").touch()
        text = CONFIGURATION.format(host=self.host, port=self.port, folder=self.folder)
        (self.folder / "lighttpd.conf").write_text(text, "utf-8")
        modules = self.found.prefix / "usr/lib/lighttpd"
        return ["-D", "-f", "lighttpd.conf", "-m", str(modules)]

    def is_ready(self) -> bool:
        """Read it from lighttpd's own log."""
        log = self.folder / "error.log"
        return log.exists() and b"server started" in log.read_bytes()

    def settle(self) -> None:
        """Do nothing: there is no log that could be late."""

    def read_log(self, line: str) -> LoggedRequest:
        """Never called: there is no log."""
        raise AssertionError(line)
