"""Starts a real nginx for one site: the most common host."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import socket
from pathlib import Path
from urllib.parse import unquote

from .daemon import LOGGED, PATIENCE, Daemon, LoggedRequest

# Paths are relative to the server's folder, so none has to be quoted.
CONFIGURATION = """\
{user}
daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 512; }}
http {{
    log_format requests escape=json '{record}';
    access_log access.log requests;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    sendfile on;
    default_type application/octet-stream;
    types {{
        text/html html;
        text/plain txt;
        text/csv csv;
        image/png png;
        image/tiff tif tiff;
        application/json json;
        application/geo+json geojson;
    }}
    server {{
        listen unix:settle.sock;
        access_log off;
        return 204;
    }}
    server {{
        listen {address}{ssl};
        root www;
        {options}
    }}
}}
"""

GZIP = ["gzip on;", "gzip_types *;", "gzip_min_length 1;", "gzip_proxied any;"]

RECORD = {
    "method": "$request_method",
    "target": "$request_uri",
    "status": "$status",
    "sent": "$bytes_sent",
    **{name: "$http_" + name.lower().replace("-", "_") for name in LOGGED},
}


class Nginx(Daemon):
    """An nginx that serves the folder `site`, the root of which is at `url`.

    Parameters
    ----------
    site : Path
        The folder; it may change while it is served.
    gzip : bool
        Compress for every client that accepts it.
    max_ranges : int, optional
        How many ranges a request may ask for; 0 turns ranges off.
    auth : (user, password), optional
        Require these credentials.
    tls : (certificate file, key file), optional
        Use https.
    location : str
        The path of the site's root, quoted as in a URL.
    extra : str
        Lines of configuration for nginx's `server` block.
    """

    program = "nginx"

    def __init__(
        self,
        site: Path,
        *,
        gzip: bool = False,
        max_ranges: int | None = None,
        auth: tuple[str, str] | None = None,
        tls: tuple[Path, Path] | None = None,
        location: str = "/",
        extra: str = "",
        host: str = "127.0.0.1",
    ) -> None:
        super().__init__(host)
        self.site = site
        self.gzip = gzip
        self.max_ranges = max_ranges
        self.auth = auth
        self.tls = tls
        self.location = f"/{location.strip('/')}/".replace("//", "/")
        self.extra = extra

    @property
    def url(self) -> str:
        """The site's root URL, with a final slash."""
        scheme = "https" if self.tls else "http"
        return f"{scheme}://{self.host}:{self.port}{self.location}"

    def configure(self) -> list[str]:
        """Write the configuration, the password and the certificate."""
        # A link instead of nginx's own `alias`, which treats $ and slashes specially.
        root = self.folder / "www" / unquote(self.location).strip("/")
        root.parent.mkdir(parents=True, exist_ok=True)
        root.symlink_to(self.site.resolve(), target_is_directory=True)
        options = list(GZIP) if self.gzip else []
        if self.max_ranges is not None:
            options.append(f"max_ranges {self.max_ranges};")
        if self.auth is not None:
            options += ['auth_basic "site";', "auth_basic_user_file passwords;"]
            user, password = self.auth
            # Hashed, because nginx takes a colon in a plain password for its end.
            digest = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
            encoded = base64.b64encode(digest).decode()
            (self.folder / "passwords").write_text(f"{user}:{{SHA}}{encoded}\n", "utf-8")
        if self.tls is not None:
            options += ["ssl_certificate certificate.pem;", "ssl_certificate_key key.pem;"]
            for source, name in zip(self.tls, ("certificate.pem", "key.pem"), strict=True):
                shutil.copyfile(source, self.folder / name)
        options += self.extra.splitlines()
        text = CONFIGURATION.format(
            # If root runs the tests, nginx's worker could not read their folders.
            user="user root;" if os.geteuid() == 0 else "",
            record=json.dumps(RECORD),
            address=f"{self.host}:{self.port}",
            ssl=" ssl" if self.tls else "",
            options="\n        ".join(options),
        )
        (self.folder / "nginx.conf").write_text(text, "utf-8")
        return ["-p", f"{self.folder}/", "-c", "nginx.conf"]

    def is_ready(self) -> bool:
        """Ask on the socket in the server's folder, which no other server uses."""
        try:
            self.settle()
        except OSError:
            return False
        return True

    def settle(self) -> None:
        """Make a request of our own: the only worker answers it after logging the others."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(self.folder / "settle.sock"))
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while connection.recv(4096):
                pass

    def read_log(self, line: str) -> LoggedRequest:
        """Parse a line in the format of `RECORD`."""
        record: dict[str, str] = json.loads(line)
        headers = {name: record[name] for name in LOGGED if record[name]}
        status, sent = int(record["status"]), int(record["sent"])
        return LoggedRequest(record["method"], record["target"], status, sent, headers)
