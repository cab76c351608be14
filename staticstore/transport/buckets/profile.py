"""The files of AWS's own tools, ``~/.aws/credentials`` and ``~/.aws/config``."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path

from ...errors import StoreError, raise_alone

__all__ = ["aws_settings"]

# With any of these the endpoint of a profile does not count.
_ENDPOINT_NAMES = {
    "AWS_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
}


def aws_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings in the files of AWS's tools that the environment lacks.

    Only keys, a region and an endpoint are taken from a profile.  For anything else (a role
    to assume, a single sign-on) use AWS's command to set environment variables.

    Parameters
    ----------
    environment : mapping
        The environment: ``AWS_PROFILE``, ``AWS_SHARED_CREDENTIALS_FILE`` and
        ``AWS_CONFIG_FILE`` select the profile and its files.

    Returns
    -------
    dict
        Settings of obstore's S3 store.

    Raises
    ------
    StoreError
        A file cannot be parsed.
    """
    profile = environment.get("AWS_PROFILE", "default")
    home = Path(environment.get("HOME") or environment.get("USERPROFILE") or ".") / ".aws"
    credentials = _section(
        environment.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials", profile
    )
    config = _section(
        environment.get("AWS_CONFIG_FILE") or home / "config",
        profile if profile == "default" else f"profile {profile}",
    )
    found = {}
    if not {"AWS_REGION", "AWS_DEFAULT_REGION"} & environment.keys() and "region" in config:
        found["region"] = config["region"]
    if not _ENDPOINT_NAMES & environment.keys() and config.get("endpoint_url"):
        found["endpoint"] = config["endpoint_url"]
    elsewhere = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SKIP_SIGNATURE")
    if any(name in environment for name in elsewhere):
        return found
    keys = credentials if "aws_access_key_id" in credentials else config
    for name in ("access_key_id", "secret_access_key", "session_token"):
        if f"aws_{name}" in keys:
            found[name] = keys[f"aws_{name}"]
    return found


def _section(path: str | Path, name: str) -> Mapping[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        # The parser's own message may quote a secret.
        raise_alone(StoreError(f"{path} cannot be parsed"))
    return parser[name] if parser.has_section(name) else {}
