"""moto's server that checks signatures, as a program: ``python -m tests.servers.s3_app``.

With a folder, its bucket has what the folder has: a file is put there when it is asked for.
When it is ready it says where, and which keys it takes: a key, and one with a session token.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.types import StartResponse, WSGIEnvironment

from moto import settings
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.s3.models import s3_backends
from moto.sts.models import sts_backends
from werkzeug.serving import make_server

BUCKET = "sites"
_EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
_POLICY = json.dumps({"Version": "2012-10-17", "Statement": [_EVERYTHING]})


class FolderBucket:
    """Puts the files of a folder into the bucket, each before it is asked for."""

    def __init__(self, app: DomainDispatcherApplication, folder: Path) -> None:
        self._app = app
        self._folder = folder
        self._known: dict[str, tuple[int, int, int]] = {}
        self._backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        self._backend.create_bucket(BUCKET, "eu-central-1")

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Any:
        path = unquote_to_bytes(environ["RAW_URI"].partition("?")[0]).decode()
        if path.startswith(f"/{BUCKET}/") and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            self._bring(path.removeprefix(f"/{BUCKET}/"))
        return self._app(environ, start)

    def _bring(self, name: str) -> None:
        file = self._folder / name
        if not file.is_file():
            if self._known.pop(name, None):
                self._backend.delete_object(BUCKET, name)
            return
        found = file.stat()
        now = (found.st_mtime_ns, found.st_size, found.st_ino)
        if self._known.get(name) != now:
            self._known[name] = now
            self._backend.put_object(BUCKET, name, file.read_bytes())


def _key() -> dict[str, str]:
    iam = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    iam.create_user("us-east-1", "ali")
    iam.put_user_policy("ali", "everything", _POLICY)
    key = iam.create_access_key("ali")
    return {"access_key_id": key.access_key_id, "secret_access_key": key.secret_access_key}


def _temporary_key() -> dict[str, str]:
    iam = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    role = iam.create_role("reader", _POLICY, "/", None, "", [], "3600")
    iam.put_role_policy("reader", "everything", _POLICY)
    key = sts_backends[DEFAULT_ACCOUNT_ID]["aws"].assume_role(
        "us-east-1", "session", role.arn, "", 3600, ""
    )
    return {
        "access_key_id": key.access_key_id,
        "secret_access_key": key.secret_access_key,
        "session_token": key.session_token,
    }


def main() -> None:
    """Serve until the process is killed."""
    logging.getLogger("werkzeug").setLevel(logging.INFO)
    app: Any = DomainDispatcherApplication(create_backend_app)
    if len(sys.argv) > 1:
        app = FolderBucket(app, Path(sys.argv[1]))
    keys = {"key": _key(), "temporary": _temporary_key()}
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    # The handler gives moto the path as it was sent.
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=MotoRequestHandler)
    os.environ["MOTO_PORT"] = str(server.port)
    url = f"http://127.0.0.1:{server.port}"
    print(f"Running on {url} with {json.dumps(keys)}", file=sys.stderr, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
