"""The names that are withheld: of secrets, of litter, and of our own files.

One rule for a host's key, a file in a data folder and the path of a request, in
every spelling that a file system takes for the same name: HFS+, APFS, NTFS, ZFS
and ext4 fold case and Unicode forms and ignore invisible characters; NTFS also
ignores dots and spaces at the end, opens streams after a colon, and gives long
names short ones (as git's `is_hfs_dotgit` and `is_ntfs_dotgit` know).
"""

from __future__ import annotations

import fnmatch
import functools
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable
from pathlib import PurePath
from typing import Literal, NamedTuple

__all__ = [
    "Withheld",
    "folded",
    "is_hidden",
    "may_be_withheld",
    "path_below",
    "unfinished",
    "withheld_key",
]

# Files or folders, or paths of such; `*` stands for any part of one name.
_SECRETS = """
    .git .hg .svn .htpasswd .htaccess .netrc _netrc .ssh .aws .gnupg .pgpass .npmrc .pypirc
    .git-credentials .env .env.*
"""
# Added later, so they may be published already.
_NEWER_SECRETS = """
    .gitconfig .gitcookies .hgrc .bzr .jj
    .htdigest .htgroup .user.ini web.config wp-config.php
    .cdsapirc .ecmwfapirc .dodsrc .urs_cookies .planet.json kaggle.json
    .docker/config.json .docker/trust .dockercfg .kube .vault-token .terraform .terraformrc
    .terraform.d/credentials.tfrc.json
    .s3cfg .boto .passwd-s3fs .mc/config.json .mcli/config.json rclone.conf .rclone.conf
    .azure .oci .config/gcloud .config/gh/hosts.yml .config/earthengine .databrickscfg
    application_default_credentials.json .huggingface/token .cache/huggingface/token
    .jupyter/jupyter_notebook_config.json .jupyter/jupyter_server_config.json
    jupyter_cookie_secret .ipython/profile_default/history.sqlite .streamlit/secrets.toml
    .my.cnf .mylogin.cnf .pg_service.conf .odbc.ini .smbcredentials
    .curlrc .wgetrc .msmtprc .fetchmailrc .password-store secring.gpg
    .cargo/credentials.toml .m2/settings.xml .composer/auth.json
    .envrc .Renviron .Rhistory .dbshell
    .bash_history .python_history .zsh_history .psql_history .mysql_history .sqlite_history
    .node_repl_history .*_history
"""
# Files only: a folder with such a name is as likely to hold data.
_NEWER_SECRET_FILES = """
    credentials *.env *.p12 *.pfx *.kdbx *.jks *.keystore *.ppk *.tfstate *.tfstate.backup
    terraform.tfvars
"""
_LITTER = ".ds_store thumbs.db desktop.ini"
# Added later: from macOS, Windows, KDE, GNOME and NFS; from editors (Office, LibreOffice, Vim,
# Kate, Emacs, Jupyter); from rsync and Syncthing.
_NEWER_LITTER = """
    ._* .appledouble .spotlight-v100 .trashes .fseventsd .temporaryitems .documentrevisions-v100
    .apdisk __macosx ehthumbs.db ehthumbs_vista.db $recycle.bin
    .directory .trash-* .goutputstream-* .fuse_hidden* .nfs0*
    ~$* .~lock.*# .swp .*.swp .swo .*.swo .*.swn .*.swx .*.kate-swp .#* .ipynb_checkpoints
    .rsync-partial .~tmp~ .stfolder .stversions .syncthing.*
"""
_OURS = ".staticstore .staticstore-*"
# Sources that `publish` reads in the site's folder, in any form, and copies of them.
_READ_BY_PUBLISH = ("about.toml*", "metadata.*")

# Of unfinished downloads (`.part.json` was ours), of files being saved, and of backups.
_UNFINISHED = (
    *(".part", ".part.json", ".partial", ".filepart", ".crdownload", ".download", ".opdownload"),
    *(".aria2", ".!ut", ".bc!", ".tmp", ".temp", ".swp", "~", "#"),
)
_ENDINGS = (*_UNFINISHED, *map(str.upper, _UNFINISHED))
_TAIL_CHARACTERS = 4
_TAILS = tuple(ending[-_TAIL_CHARACTERS:] for ending in _ENDINGS)

_PART = "[^/\n]*"  # of a name
# Ignored by NTFS at the end of a name.
_IGNORED = r"[. ]*+(?::[^/\n:]*+){0,2}"
# The keys of OpenSSH, and copies of them; the .pub half is public.
_SSH_KEY = (
    r"id_(?:rsa|dsa|ecdsa|ed25519|xmss|(?:rsa|dsa|ecd|ed2)~[1-4])(?:_sk)?"
    rf"(?:\.(?!pub{_IGNORED}(?:/|$)){_PART})?"
)
# Unicode's Default_Ignorable_Code_Point, which HFS+ and ext4 ignore in names.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)

_REASONS = {
    "secret": "it may hold secrets, going by its name",
    "litter": "the operating system put it there",
    "stray": "a program put it there for its own use, going by its name",
    "ours": "staticstore put it there",
}


class Withheld(NamedTuple):
    """Why a path is withheld."""

    #: Whether to warn of it (``"secret"``) or not (``"litter"``).
    kind: Literal["secret", "litter"]
    #: In words.
    reason: str
    #: The names in the path that are withheld, folded.
    names: tuple[str, ...]
    #: Whether earlier versions published such names.
    is_new: bool


def may_be_withheld(keys: Iterable[str]) -> bool:
    """Return whether `withheld_key` may withhold any of many keys; False is certain.

    Examples
    --------
    >>> may_be_withheld(["a.csv", "b.csv"]), may_be_withheld(["a.csv", ".env"])
    (False, True)
    """
    text = "\n".join(keys)
    # The pattern takes four times as long.  benchmark: publish-again
    if text.isascii() and not any(mark in text for mark in "~:\\"):
        names = "\n" + text.lower().replace("/", "\n")
        beginning, ending = _hints()
        if not beginning.search(names) and not ending.search(names):
            return False
    lines = _segmented(text)
    return _pattern(has_short_names="~" in lines).search(lines) is not None


def withheld_key(key: str, allowed: Collection[str] = ()) -> Withheld | None:
    """Return why a key is withheld; None if it is not.

    Each segment is compared in every spelling.  Other names that start with a dot
    are data, for instance those of zarr.

    Parameters
    ----------
    key : str
        A key, or a path below a site's data folder or root.  The path of a folder
        ends with a slash.
    allowed : collection of str, optional
        Names that are not withheld, with ``*`` and ``?`` as in shell patterns, or
        whole keys.

    Examples
    --------
    >>> withheld_key("a/.GIT./config").names
    ('.git',)
    >>> withheld_key("a/.GIT./config", [".git"]) is None
    True
    >>> withheld_key("a/.zarray") is None
    True
    """
    text = _segmented(key)
    found = list(_pattern(has_short_names="~" in text).finditer(text))
    if allowed and found:
        names = [folded(name) for name in allowed]
        found = [
            match
            for match in found
            if text[1:] not in names
            and not any(fnmatch.fnmatchcase(_name(match), name) for name in names)
        ]
    if not found:
        return None
    kinds = [str(match.lastgroup) for match in found]
    is_litter = {"litter", "stray", "ours"} >= set(kinds)
    kind: Literal["secret", "litter"] = "litter" if is_litter else "secret"
    return Withheld(
        kind,
        _REASONS["secret" if kind == "secret" else kinds[0]],
        tuple(map(_name, found)),
        {"newer", "file", "stray"} >= set(kinds),
    )


def _name(match: re.Match[str]) -> str:
    return match[str(match.lastgroup)]


def folded(text: str) -> str:
    r"""Return one spelling for all paths that a file system may take for the same.

    Examples
    --------
    >>> folded(".G\u200cIT\\config")
    '.git/config'
    """
    if not text.isascii():
        for _ in range(2):  # folding may produce another form
            text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text).upper().casefold())
    return text.lower().replace("\\", "/")


def is_hidden(path: str) -> bool:
    """Return whether a path below a site's root is the publisher's own.

    Hidden are withheld names, names that begin with a dot, and what `publish` reads:
    ``about.toml`` and metadata files, in any form, and copies of them.

    Parameters
    ----------
    path : str
        The path, with slashes.

    Examples
    --------
    >>> is_hidden(".staticstore/notes.json"), is_hidden("data/.env"), is_hidden("data/.zarray")
    (True, True, False)
    >>> is_hidden("About.TOML."), is_hidden("x/about.toml")
    (True, False)
    """
    if path == ".nojekyll":
        return False
    text = folded(path)
    if text.startswith("."):
        return True
    names = _any_of(_READ_BY_PUBLISH, "~" in text)
    return (
        re.fullmatch(f"(?:{names}){_IGNORED}", text) is not None or withheld_key(path) is not None
    )


def unfinished(keys: Collection[str]) -> list[str]:
    """Return the keys with names that programs give to unfinished files and backups.

    Unlike the names that `withheld_key` refuses, these may be data.

    Examples
    --------
    >>> unfinished(["a.csv", "b/a.csv.part", "a.csv~", "#a.csv#", "c#"])
    ['b/a.csv.part', 'a.csv~', '#a.csv#']
    """
    # A million keys have few different tails, and only some keys need all endings.
    tails = {tail for tail in {key[-_TAIL_CHARACTERS:] for key in keys} if tail.endswith(_TAILS)}
    found = [key for key in keys if key.endswith(_ENDINGS)] if tails else []
    return [key for key in found if key[-1] != "#" or key.rpartition("/")[2][0] == "#"]


def _segmented(text: str) -> str:
    # One key a line, with a slash before each segment, as the pattern expects them.
    return "/" + folded(text).replace("\n", "\n/")


@functools.cache
def _pattern(*, has_short_names: bool) -> re.Pattern[str]:
    secrets, newer, files, litter, ours = (
        _any_of(paths.split(), has_short_names)
        for paths in (_SECRETS, _NEWER_SECRETS, _NEWER_SECRET_FILES, _LITTER, _OURS)
    )
    stray = _any_of(_NEWER_LITTER.split(), False)  # their other spellings do no harm
    return re.compile(
        rf"/(?:(?:(?P<secret>{secrets}|{_SSH_KEY})|(?P<newer>{newer})"
        rf"|(?P<litter>{litter})|(?P<stray>{stray})|(?P<ours>{ours})){_IGNORED}(?=/|$)"
        rf"|(?P<file>{files}){_IGNORED}$)",
        re.MULTILINE,
    )


@functools.cache
def _hints() -> tuple[re.Pattern[str], re.Pattern[str]]:
    # How withheld names begin and end, to be searched in ASCII names, one a line.
    lists = (_SECRETS, _NEWER_SECRETS, _NEWER_SECRET_FILES, _LITTER, _NEWER_LITTER, _OURS)
    paths = " ".join(lists).split()
    names = {path.partition("/")[0].lower() for path in paths}
    beginnings = {name for name in names if name[0] not in ".*"}
    endings = {name[2:] for name in names if name[0] == "*"}
    return (
        # A search for a character is faster than one for the beginning of a line.
        re.compile(rf"\n(?:\.|id_|{'|'.join(map(re.escape, sorted(beginnings)))})"),
        re.compile(rf"\.(?:{'|'.join(map(re.escape, sorted(endings)))})[. ]*$", re.MULTILINE),
    )


def _any_of(paths: Iterable[str], has_short_names: bool) -> str:
    # Common beginnings are factored out, so that each is compared once.
    if has_short_names:
        return "|".join(_path_pattern(path, _both_names) for path in paths)
    groups: dict[str, list[str]] = {}
    for path in paths:
        pattern = _path_pattern(path, _long_name)
        start = next((one for one in (r"\.", rf"{_PART}\.") if pattern.startswith(one)), "")
        groups.setdefault(start, []).append(pattern.removeprefix(start))
    return "|".join(f"{start}(?:{'|'.join(rest)})" for start, rest in groups.items())


def _path_pattern(path: str, name_pattern: Callable[[str], str]) -> str:
    return rf"{_IGNORED}/".join(map(name_pattern, path.split("/")))


def _long_name(name: str) -> str:
    return re.escape(name.lower()).replace(r"\*", _PART)


def _both_names(name: str) -> str:
    short = _short_pattern(name)
    return _long_name(name) if short is None else f"(?:{_long_name(name)}|{short})"


def _short_pattern(name: str) -> str | None:
    # NTFS's second names, of 8.3 characters: the first four have a number after six
    # characters, later ones after two characters and a checksum.
    base, dot, extension = name.lower().lstrip(".").rpartition(".")
    if not dot:
        base, extension = extension, ""
    base = base.replace(".", "")
    ending = rf"\.{re.escape(extension[:3])}" if dot else ""
    if extension == "*":
        ending = rf"(?:\.{_PART})?"
    if base == "*" and ending:
        return rf"[^/\n]{{1,6}}~[1-4]{ending}"
    if "*" in base:
        return None
    later = re.escape(base[:2]) + _checksum(name)
    return rf"(?:{re.escape(base[:6])}~[1-4]|{later}~[1-9]){ending}"


def _checksum(name: str) -> str:
    # NTFS's checksum of a long name; git's source has that of .gitmodules: 7eba.
    total = 0
    for character in name:
        total = (total * 37 + ord(character)) & 0xFFFF
    product = (total * 314159269) & 0xFFFFFFFF
    if product >= 1 << 31:
        product = (1 << 32) - product
    product -= (product * 1152921497 >> 60) * 1000000007
    return f"{product & 0xFFFF:04x}"[::-1]


def path_below(top: str, real: str) -> str | None:
    """Return a real path relative to a folder above it, with slashes, or None."""
    path = PurePath(real)
    return path.relative_to(top).as_posix() if path.is_relative_to(top) else None
