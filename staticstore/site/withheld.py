"""The one rule of what is kept back: secrets, litter and our own files, by their names.

A host's key, a file in a data folder and the path of a request are all held
against it, in every spelling that a file system takes for the same name: HFS+,
APFS, NTFS, ZFS and ext4 fold case and Unicode forms and pass over characters
that show nothing; NTFS also passes over dots and spaces at the end, opens
streams behind a colon, and gives long names short ones (git's `is_hfs_dotgit`
and `is_ntfs_dotgit` know the same).
"""

from __future__ import annotations

import fnmatch
import functools
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable
from typing import Literal, NamedTuple

__all__ = [
    "FIRST_BYTES",
    "Withheld",
    "folded",
    "holds_private_key",
    "is_spelled",
    "may_be_withheld",
    "withheld_key",
]

#: How much of a file's beginning `holds_private_key` wants to see, in bytes.
FIRST_BYTES = 1 << 16

# Files or folders, or paths of them; `*` stands for any part of one name.
_SECRETS = """
    .git .hg .svn .htpasswd .htaccess .netrc _netrc .ssh .aws .gnupg .pgpass .npmrc .pypirc
    .git-credentials .env .env.*
"""
# What came to the list later, and may be published already.
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
# Of these, only files: a folder of such a name is as likely to hold data.
_NEWER_SECRET_FILES = """
    credentials *.env *.p12 *.pfx *.kdbx *.jks *.keystore *.ppk *.tfstate *.tfstate.backup
    terraform.tfvars
"""
_LITTER = ".ds_store thumbs.db desktop.ini"
# What came to the list later: of macOS, Windows, KDE, GNOME and NFS; of programs that edit
# files (Office, LibreOffice, Vim, Kate, Emacs, Jupyter); of rsync and Syncthing.
_NEWER_LITTER = """
    ._* .appledouble .spotlight-v100 .trashes .fseventsd .temporaryitems .documentrevisions-v100
    .apdisk __macosx ehthumbs.db ehthumbs_vista.db $recycle.bin
    .directory .trash-* .goutputstream-* .fuse_hidden* .nfs0*
    ~$* .~lock.*# .swp .*.swp .swo .*.swo .*.swn .*.swx .*.kate-swp .#* .ipynb_checkpoints
    .rsync-partial .~tmp~ .stfolder .stversions .syncthing.*
"""
_OURS = ".staticstore .staticstore-*"

_PART = "[^/\n]*"  # of a name
# What NTFS passes over behind a name.
_IGNORED = r"[. ]*+(?::[^/\n:]*+){0,2}"
# What OpenSSH calls its keys, and copies of them; the .pub half is public.
_SSH_KEY = (
    r"id_(?:rsa|dsa|ecdsa|ed25519|xmss|(?:rsa|dsa|ecd|ed2)~[1-4])(?:_sk)?"
    rf"(?:\.(?!pub{_IGNORED}(?:/|$)){_PART})?"
)
# Unicode's Default_Ignorable_Code_Point, of which HFS+ and ext4 take no notice in names.
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

# How a key begins: RFC 7468, OpenPGP's armor, the format of ssh.com.
_BEGIN_KEY = rb"-{4,5} ?BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)? ?-{4,5}"
# A line's end, or what stands for it in JSON.
_BREAK = rb"(?:[ \t]*+(?:\r?\n|(?:\\++[rn])++))"
# A key goes on with a line of base64, perhaps behind fields (RFC 1421) and an empty line; a text
# about keys does not.  Where other things stand before its beginning, that line has to be long.
_PRIVATE_KEY = re.compile(
    rb"^[ \t]*+%(begin)b%(break)b(?:[ \t]*+[A-Za-z-]++: .*+\n)*+"
    rb"\s*+[A-Za-z0-9+/]++={0,2}[ \t\r]*+$"
    rb"|%(begin)b%(break)b++[ \t]*+[A-Za-z0-9+/]{16}" % {b"begin": _BEGIN_KEY, b"break": _BREAK},
    re.MULTILINE,
)
# How a file begins that is a key and nothing else; the second is PuTTY's.
_FIRST_LINE = re.compile(rb"\s*+(?:%b|PuTTY-User-Key-File-)" % _BEGIN_KEY)
# In JSON, as in the keys of Google's service accounts; a schema has an object there.
_JSON_KEY = re.compile(rb'"private_key"\s*+:\s*+(?:"[^"]|\[?\s*+\d)')


class Withheld(NamedTuple):
    """Why something is kept back."""

    #: ``"secret"`` is warned of; nobody misses ``"litter"``.
    kind: Literal["secret", "litter"]
    #: For people.
    reason: str
    #: The names that are withheld, as the rule reads them.
    names: tuple[str, ...]
    #: Whether earlier versions published such names.
    is_new: bool


def may_be_withheld(keys: Iterable[str]) -> bool:
    """Return whether `withheld_key` may find one among many; False if there is none for sure.

    Examples
    --------
    >>> may_be_withheld(["a.csv", "b.csv"]), may_be_withheld(["a.csv", ".env"])
    (False, True)
    """
    text = "\n".join(keys)
    # The pattern takes four times as long (benchmark: publish-unchanged).
    if text.isascii() and not any(mark in text for mark in "~:\\"):
        names = text.lower().replace("/", "\n")
        beginning, ending = _hints()
        if not beginning.search(names) and not ending.search(names):
            return False
    return _matches(text)


def withheld_key(key: str, allowed: Collection[str] = ()) -> Withheld | None:
    """Say why the value of a key is kept back; None if it is not.

    Every segment is looked at, in every spelling.  Other names that start with
    a dot are data: zarr's are.

    Parameters
    ----------
    key : str
        A key, or a path below a site's data folder or root.  With a slash at
        its end it is that of a folder.
    allowed : collection of str, optional
        Names that are not kept back, with ``*`` and ``?`` as in shell patterns,
        or whole keys.

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
    r"""Return the one spelling of all that a file system may take for the same path.

    Examples
    --------
    >>> folded(".G\u200cIT\\config")
    '.git/config'
    """
    if not text.isascii():
        for _ in range(2):  # what is folded may show another form
            text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text).upper().casefold())
    return text.lower().replace("\\", "/")


def is_spelled(path: str, names: tuple[str, ...]) -> bool:
    """Return whether a path is one of some names, in any spelling; `*` stands for any part of one.

    Examples
    --------
    >>> is_spelled("About.TOML.", ("about.toml",)), is_spelled("x/about.toml", ("about.toml",))
    (True, False)
    """
    text = folded(path)
    return re.fullmatch(rf"(?:{_any_of(names, '~' in text)}){_IGNORED}", text) is not None


def _segmented(text: str) -> str:
    """Return keys, a line each, as the pattern reads them: a slash before each segment."""
    return "/" + folded(text).replace("\n", "\n/")


def _matches(text: str) -> bool:
    folded = _segmented(text)
    return _pattern(has_short_names="~" in folded).search(folded) is not None


@functools.cache
def _pattern(*, has_short_names: bool) -> re.Pattern[str]:
    """Return what finds withheld names in folded keys."""
    secrets, newer, files, litter, ours = (
        _any_of(paths.split(), has_short_names)
        for paths in (_SECRETS, _NEWER_SECRETS, _NEWER_SECRET_FILES, _LITTER, _OURS)
    )
    stray = _any_of(_NEWER_LITTER.split(), False)  # whose other spellings do no harm
    return re.compile(
        rf"/(?:(?:(?P<secret>{secrets}|{_SSH_KEY})|(?P<newer>{newer})"
        rf"|(?P<litter>{litter})|(?P<stray>{stray})|(?P<ours>{ours})){_IGNORED}(?=/|$)"
        rf"|(?P<file>{files}){_IGNORED}$)",
        re.MULTILINE,
    )


@functools.cache
def _hints() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return what finds how withheld names begin and end, in names of ASCII, a line each."""
    lists = (_SECRETS, _NEWER_SECRETS, _NEWER_SECRET_FILES, _LITTER, _NEWER_LITTER, _OURS)
    paths = " ".join(lists).split()
    names = {path.partition("/")[0].lower() for path in paths}
    beginnings = {name for name in names if name[0] not in ".*"}
    endings = {name[2:] for name in names if name[0] == "*"}
    return (
        re.compile(rf"^(?:\.|id_|{'|'.join(map(re.escape, sorted(beginnings)))})", re.MULTILINE),
        re.compile(rf"\.(?:{'|'.join(map(re.escape, sorted(endings)))})[. ]*$", re.MULTILINE),
    )


def _any_of(paths: Iterable[str], has_short_names: bool) -> str:
    """Return what matches any of some paths; what many have in common is looked at once."""
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
    """Return what matches the names of 8.3 characters that NTFS gives a name beside it.

    The first four have a number behind six characters, the next ones behind
    two and a checksum.
    """
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
    """Return NTFS's checksum of a long name, which git has found out for .gitmodules: 7eba."""
    total = 0
    for character in name:
        total = (total * 37 + ord(character)) & 0xFFFF
    product = (total * 314159269) & 0xFFFFFFFF
    if product >= 1 << 31:
        product = (1 << 32) - product
    product -= (product * 1152921497 >> 60) * 1000000007
    return f"{product & 0xFFFF:04x}"[::-1]


def holds_private_key(first_bytes: bytes) -> bool:
    """Return whether a file that begins so is a private key, or holds one.

    A text *about* keys is published: what counts is a file that begins as keys
    do, the first line of a key with more of it behind, or a value for
    ``"private_key"`` in JSON.

    Parameters
    ----------
    first_bytes : bytes
        The first `FIRST_BYTES` bytes of the file, or all of them.

    Examples
    --------
    >>> holds_private_key(b"-----BEGIN CERTIFICATE-----")
    False
    """
    if first_bytes.startswith((b"\xff\xfe", b"\xfe\xff")):  # UTF-16, which PowerShell writes
        first_bytes = first_bytes[2:].replace(b"\0", b"")
    text = first_bytes.removeprefix(b"\xef\xbb\xbf")
    if _FIRST_LINE.match(text):
        return True
    # Every file that is published is searched, and the pattern takes eighty times as long.
    if b"PRIVATE KEY" in text and _PRIVATE_KEY.search(text):
        return True
    return _JSON_KEY.search(text) is not None
