"""A file below ``data/``: its state, digest, media type and first bytes."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable
from typing import NamedTuple

from ... import tuning
from ...disk.file_system import open_descriptor

__all__ = [
    "FIRST_BYTES",
    "UNKNOWN",
    "FileDigest",
    "FoundFile",
    "PointerFoundError",
    "ReplacedError",
    "SecretFoundError",
    "digest_of",
    "holds_private_key",
    "inert_type",
    "media_type_of",
    "pointer_problem",
]

#: How much of the beginning of a file `holds_private_key` needs.
FIRST_BYTES = 1 << 16

# All expressions are compiled at their first use: few files need one, and each process that
# hashes would compile them when it starts.  benchmark: publish-small
# The first line of a private key: RFC 7468, OpenPGP's armor, the format of ssh.com.
_BEGIN_KEY = rb"-{4,5} ?BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)? ?-{4,5}"
# A line break, or its escape in JSON.
_BREAK = rb"(?:[ \t]*+(?:\r?\n|(?:\\++[rn])++))"
# The first line of a key is followed by a line of base64, perhaps after header fields (RFC 1421)
# and an empty line; in a text about keys it is not.  If it does not begin its line, the base64
# has to be long.
_PRIVATE_KEY = (
    rb"(?m)^[ \t]*+%(begin)b%(break)b(?:[ \t]*+[A-Za-z-]++: .*+\n)*+"
    rb"\s*+[A-Za-z0-9+/]++={0,2}[ \t\r]*+$"
    rb"|%(begin)b%(break)b++[ \t]*+[A-Za-z0-9+/]{16}" % {b"begin": _BEGIN_KEY, b"break": _BREAK}
)
# The beginning of a file that is nothing but a key, after white space; the second is PuTTY's.
_FIRST_LINE = rb"\s*+%b" % _BEGIN_KEY
_PUTTY = b"PuTTY-User-Key-File-"
# In JSON, as in the keys of Google's service accounts; a JSON schema has an object there.
_JSON_KEY = rb'"private_key"\s*+:\s*+(?:"[^"]|\[?\s*+\d)'

# git-lfs, docs/spec.md: below 1,024 bytes, with the version first; also its earlier names.
_LFS = (
    rb"(?:\xef\xbb\xbf)?version https?://(?:git-lfs\.github\.com/spec|hawser\.github\.com/spec"
    rb"|git-media\.io)/v/?[0-9]"
)
_MOST_LFS_BYTES = 1024
# git-annex, doc/internals/pointer_file: the path of the object, in one line, below 32 KiB.
_ANNEX = rb"[/\\]annex[/\\]objects[/\\][A-Z0-9]+[A-Za-z0-9_+-]*--"
_MOST_ANNEX_BYTES = 1 << 15


class FoundFile(NamedTuple):
    """A file to publish, in the state in which a scan found it."""

    key: str
    #: Where it is opened; of a link, its own path and not its target's.
    path: str
    #: Bytes.
    size: int
    #: Modification time, nanoseconds since 1970.
    mtime_ns: int
    inode: int
    #: Of its file system; None if unknown.
    device: int | None = None
    #: Whether the scan reached it through a link within the data folder.
    is_linked: bool = False

    @classmethod
    def of(
        cls, key: str, path: str, status: os.stat_result, *, is_linked: bool = False
    ) -> FoundFile:
        """Describe a file by its status."""
        size, mtime_ns = status.st_size, status.st_mtime_ns
        return cls(key, path, size, mtime_ns, status.st_ino, status.st_dev, is_linked)

    def is_same(self, status: os.stat_result) -> bool:
        """Return whether an opened file is the one that was found, and unchanged.

        A file system may give the inode of a removed file to the next new one, so
        the inode alone proves little.  For a file found through a link it has to do.
        """
        if status.st_ino != self.inode or self.device not in (None, status.st_dev):
            return False
        is_unchanged = status.st_mtime_ns == self.mtime_ns and status.st_size == self.size
        return is_unchanged or self.is_linked

    def found_again(self) -> FoundFile | None:
        """Return the file that has the name now; None if it is missing or behind a link.

        Editors replace a file by a new one, and some file systems change inode
        numbers; a link, however, may lead to what must not be published.
        """
        # With a slash at its end, a link would be followed.
        data = self.path.removesuffix(self.key.replace("/", os.sep)).rstrip(os.sep) or os.sep
        try:
            status = _status_without_links(data, self.key)
        except OSError:
            return None
        return FoundFile.of(self.key, self.path, status) if stat.S_ISREG(status.st_mode) else None


def _status_without_links(data: str, key: str) -> os.stat_result:
    """Return the status of the file of a key; raise OSError if its path has a link."""
    *above, name = key.split("/")
    if os.open not in os.supports_dir_fd:  # Windows
        place = os.path.join(os.path.realpath(data), *above, name)
        if os.path.realpath(place) != place:
            raise NotADirectoryError
        return os.lstat(place)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    folder = os.open(data, flags)
    try:
        for segment in above:
            below = os.open(segment, flags, dir_fd=folder)
            os.close(folder)
            folder = below
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    finally:
        os.close(folder)


class FileDigest(NamedTuple):
    """The digest of a file, and the state in which the file was hashed."""

    #: 64 lowercase hex digits.
    sha256: str
    #: Bytes.
    size: int
    #: Modification time, nanoseconds since 1970.
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, sha256: str, status: os.stat_result) -> FileDigest:
        """Return the digest of a file in the state that the system gives."""
        return cls(sha256, status.st_size, status.st_mtime_ns, status.st_ino)


class SecretFoundError(Exception):
    """The file holds a private key."""


class PointerFoundError(Exception):
    """The file is a pointer of Git LFS or git-annex; the text says what to do."""


class ReplacedError(Exception):
    """The file was replaced by another one, or by a link to another one."""


def digest_of(
    path: str,
    reached: Callable[[int], bool] | None = None,
    *,
    is_wanted: Callable[[os.stat_result], bool] | None = None,
    seeks_keys: bool = True,
) -> FileDigest | None:
    """Hash a file once; None if it changed meanwhile.

    Parameters
    ----------
    path : str
        The file.
    reached : callable, optional
        Called with the number of bytes read so far, after each piece of 1 MiB.  If it
        returns False, the hashing stops.
    is_wanted : callable, optional
        Called with the status of the opened file; returns whether to hash it.
    seeks_keys : bool, optional
        Whether to refuse private keys and pointers of Git LFS and git-annex.

    Returns
    -------
    FileDigest or None
        None if the file changed, was replaced, or was not read to its end.

    Raises
    ------
    SecretFoundError
        The file holds a private key.
    PointerFoundError
        The file is a pointer.
    ReplacedError
        `is_wanted` returned False.
    OSError
        The file cannot be read, or is no regular file.
    """
    descriptor, before = open_descriptor(path)
    try:
        if is_wanted is not None and not is_wanted(before):
            raise ReplacedError
        size = before.st_size
        piece = os.read(descriptor, min(tuning.HASHED_PIECE_BYTES, size))
        if seeks_keys:
            if holds_private_key(piece[:FIRST_BYTES]):
                raise SecretFoundError
            if problem := pointer_problem(piece, size):
                raise PointerFoundError(problem)
        hasher = hashlib.sha256(piece)  # an update takes longer.  benchmark: publish-small
        position = len(piece)
        while piece:
            if reached is not None and not reached(position):
                return None
            if position == size:  # no further: a file may grow faster than it can be read
                break
            piece = os.read(descriptor, min(tuning.HASHED_PIECE_BYTES, size - position))
            hasher.update(piece)
            position += len(piece)
    finally:
        os.close(descriptor)
    if position != size:
        return None
    after = os.stat(path)  # the name may lead to another file by now
    if after.st_size != size or after.st_mtime_ns != before.st_mtime_ns:
        return None
    if after.st_ino != before.st_ino or after.st_dev != before.st_dev:
        return None
    return FileDigest(hasher.hexdigest(), size, before.st_mtime_ns, before.st_ino)


def holds_private_key(first_bytes: bytes) -> bool:
    """Return whether a file with this beginning is or holds a private key.

    A text *about* keys passes.  Refused are a file that begins as a key does, the
    first line of a key with a part of the key after it, and a value for
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
    # An expression takes up to 80 times as long.  benchmark: publish-small
    if b"PRIVATE KEY" in text and (re.match(_FIRST_LINE, text) or re.search(_PRIVATE_KEY, text)):
        return True
    if text.lstrip().startswith(_PUTTY):
        return True
    return b'"private_key"' in text and re.search(_JSON_KEY, text) is not None


def pointer_problem(first_bytes: bytes, size: int) -> str | None:
    r"""Return why a file is a pointer to another one, and what to do, or None.

    Parameters
    ----------
    first_bytes : bytes
        The beginning of the file: at least 1 KiB, or all of it.
    size : int
        The size of the file, in bytes.

    Examples
    --------
    >>> pointer_problem(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a", 128)
    "it is a Git LFS pointer and not the file itself: run 'git lfs pull', and publish again"
    >>> pointer_problem(b"version 1", 9) is None
    True
    """
    if size < _MOST_LFS_BYTES and b"version " in first_bytes[:11] and re.match(_LFS, first_bytes):
        kind, command = "Git LFS", "git lfs pull"
    elif size < _MOST_ANNEX_BYTES and b"annex" in first_bytes[:6] and re.match(_ANNEX, first_bytes):
        kind, command = "git-annex", "git annex get"
    else:
        return None
    return f"it is a {kind} pointer and not the file itself: run '{command}', and publish again"


#: The type of bytes of an unknown type (RFC 2046, section 4.5.1).
UNKNOWN = "application/octet-stream"
_TEXT = "text/plain; charset=utf-8"
# Run by browsers: HTML, all XML (whose namespaces allow scripts), and scripts, by all of their
# names (WHATWG, MIME Sniffing, 4.6).
_ACTIVE = (
    r"text/html|text/xsl|[^/]+/(?:[^/]*\+)?xml(?:-[^/]*)?"
    r"|[^/]+/(?:x-)?(?:ecma|java|j|live)script[\d.]*"
)
# Types with parts of other types, and types that browsers ignore, so that they guess one.
_GUESSED = r"(?:multipart|message|\*)/.*|(?:application|unknown)/unknown"

# Not `mimetypes`: it reads the types of the operating system, so that two machines would
# publish two indexes of the same files.
_SUFFIXES = {
    "application/fits": "fits",
    "application/geo+json": "geojson",
    "application/geopackage+sqlite3": "gpkg",
    "application/gml+xml": "gml",
    "application/gpx+xml": "gpx",
    "application/gzip": "gz tgz",
    "application/json": "json",
    "application/jsonl": "jsonl",
    "application/pdf": "pdf",
    "application/toml": "toml",
    "application/topo+json": "topojson",
    "application/vnd.apache.parquet": "parquet",
    "application/vnd.flatgeobuf": "fgb",
    "application/vnd.google-earth.kml+xml": "kml",
    "application/vnd.google-earth.kmz": "kmz",
    "application/vnd.laszip": "laz",
    "application/vnd.pmtiles": "pmtiles",
    "application/vnd.sqlite3": "sqlite",
    "application/wasm": "wasm",
    "application/wmo-GRIB2": "grb grib grib2",
    "application/x-bzip2": "bz2",
    "application/x-hdf5": "h5 hdf5",
    "application/x-ndjson": "ndjson",
    "application/x-netcdf": "nc nc4",
    "application/x-tar": "tar",
    "application/x-xz": "xz",
    "application/xml": "xml",
    "application/yaml": "yaml yml",
    "application/zip": "zip",
    "application/zstd": "zst",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "image/avif": "avif",
    "image/bmp": "bmp",
    "image/gif": "gif",
    "image/jp2": "jp2",
    "image/jpeg": "jpeg jpg",
    "image/png": "png",
    "image/svg+xml": "svg",
    "image/tiff": "tif tiff",
    "image/vnd.microsoft.icon": "ico",
    "image/webp": "webp",
    "text/css": "css",
    "text/csv": "csv",
    "text/html": "htm html",
    "text/javascript": "js mjs",
    "text/markdown": "md",
    "text/plain": "txt",
    "text/tab-separated-values": "tsv",
    "text/x-rst": "rst",
    "video/mp4": "mp4",
    "video/webm": "webm",
}
_BY_SUFFIX = {
    suffix: media_type for media_type, suffixes in _SUFFIXES.items() for suffix in suffixes.split()
}
# The JSON documents of a zarr store, version 2, which are named so without a stem; those of
# version 3 are named zarr.json.
_WITHOUT_STEM = dict.fromkeys(("zarray", "zattrs", "zgroup", "zmetadata"), "application/json")


def media_type_of(key: str) -> str | None:
    """Return the media type of a value by its key alone; None if it is unknown.

    Examples
    --------
    >>> media_type_of("terrain/DEM.tif"), media_type_of("chunks/0.0")
    ('image/tiff', None)
    """
    before, dot, suffix = key.rpartition(".")
    found = _BY_SUFFIX.get(suffix.lower()) if dot else None
    if found is None and dot and (not before or before[-1] == "/"):
        return _WITHOUT_STEM.get(suffix.lower())
    return found


def inert_type(media_type: str) -> str:
    """Return a media type under which browsers run nothing in a value.

    Parameters
    ----------
    media_type : str
        The type in its index: ``type/subtype``, perhaps with parameters.

    Examples
    --------
    >>> inert_type("Image/SVG+XML; charset=utf-8"), inert_type("image/png")
    ('text/plain; charset=utf-8', 'image/png')
    """
    essence = media_type.partition(";")[0].strip().lower()
    # A type after a comma would take precedence (WHATWG, Fetch, 2.2.2).
    if "," in media_type or re.fullmatch(_GUESSED, essence):
        return UNKNOWN
    return _TEXT if re.fullmatch(_ACTIVE, essence) else media_type
