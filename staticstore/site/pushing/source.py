"""The source of a push: the files that a site's index and head describe."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ... import tuning
from ...disk.atomic import is_link
from ...disk.file_system import open_regular
from ...errors import StoreError, quoted, reason_of
from ...index.about import ABOUT_NAME
from ...index.blocks import named_documents
from ...index.fields import Content, parse_media_type
from ...index.head import Head, NamedDocument, Role
from ...index.snapshot import Index
from ...transport.values.verifier import Verifier
from ...trust.documents import signed_files
from ...trust.layout import TIMESTAMP_NAME, TRUST_FOLDER, trust_path
from ..about import published_about, read_files, served_type
from ..documents.exports import EXPORTS
from ..documents.feed import FEED_NAME, is_our_feed
from ..documents.packs import pack_digest
from ..exports import noted_exports
from ..folder.data_file import UNKNOWN, FileDigest, FoundFile, inert_type
from ..folder.hashing import hash_files
from ..folder.last_publish import LastPublish
from ..folder.notes import digest_in_state, read_notes
from ..folder.retention import copies_of, packs_of
from ..folder.scan import scan
from ..folder.site_folder import SiteFolder, link_problem
from ..folder.trust_files import read_trust
from ..guards import first_few
from ..verify import head_problems
from .cloud import Served

__all__ = ["PushSource", "Upload", "served_fresh", "verified_pieces"]

_IMMUTABLE = "public, max-age=31536000, immutable"
_NO_CACHE = "no-cache"
_BESIDE = (".nojekyll", "index.html", FEED_NAME)


class Upload(NamedTuple):
    """A file to upload, and what its bytes must be."""

    #: The path below the root, here and at the target.
    href: str
    #: The file to read.
    path: str | Path
    #: Bytes.
    size: int
    #: Lowercase hex.
    sha256: str
    served: Served
    #: Whether it is a value served as another media type than the index says.
    is_inert: bool = False
    #: The file as the scan found it, if it is a value.
    found: FoundFile | None = None


@dataclass(frozen=True)
class PushSource:
    """A snapshot of a site that has not changed since it was published."""

    folder: SiteFolder
    index: Index
    #: The bytes of ``index.json`` and of the head.
    body: bytes
    head_body: bytes
    head: Head
    #: The values, by key.
    files: dict[str, FoundFile]
    #: The bytes of the root of the blocks; None for an empty index.
    block_root: bytes | None
    #: What the head names, in the order of the upload.
    documents: tuple[NamedDocument, ...]
    #: Files for the host, by name: the page, the feed, and `.nojekyll`.
    beside: dict[str, bytes]
    #: ``about.json``, and the files that it names, by name.
    about: dict[str, bytes]
    #: The index in other forms.
    exports: list[Upload]
    #: The signatures, by name; the timestamp is the last one.
    trust: dict[str, bytes]

    @classmethod
    def open(
        cls, site: str | os.PathLike[str], data: str | os.PathLike[str] | None = None
    ) -> PushSource:
        """Read a site, and hash the files that changed since it was published.

        Raises
        ------
        StoreError
            It is not published, or has changed since.
        IndexFormatError
            Its index or head cannot be parsed.
        """
        folder = SiteFolder.open(site, data)
        body = folder.read_published(folder.index.name)
        head_body = folder.read_published(folder.head.name)
        index, head = Index.parse(body), Head.parse(head_body)
        problems = [("index.json", warning) for warning in index.warnings]
        problems += head_problems(folder, index, body)
        files, stale = _values(folder, index, head)
        about, changed = _about(folder, head)
        exports, outdated = _exports(folder, head)
        problems += stale + changed + outdated
        if problems:
            named = first_few([f"{quoted(path)}: {what}" for path, what in problems], "; ")
            raise StoreError(
                f"nothing is pushed, because the site has changed since it was published: "
                f"{named}. Publish it again"
            )
        root = folder.read_document(head.blocks) if head.blocks is not None else None
        documents = tuple(named_documents(head, lambda document: root))
        _check_links(folder)
        beside = {
            name: folder.read_published(name) for name in _BESIDE if (folder.root / name).is_file()
        }
        if not is_our_feed(beside.get(FEED_NAME, b"")):
            beside.pop(FEED_NAME, None)
        return cls(
            folder=folder,
            index=index,
            body=body,
            head_body=head_body,
            head=head,
            files=files,
            block_root=root,
            documents=documents,
            beside=beside,
            about=about,
            exports=exports,
            trust=_signatures(folder, head_body),
        )

    def values(self, keys: Iterable[str], *, active: bool) -> Iterator[Upload]:
        """Yield the uploads of values; unless `active`, as types that no browser runs."""
        for key in keys:
            metadata = self.index[key]
            content = Content.of(metadata)
            assert content.size is not None, "`open` compares it"
            assert content.sha256 is not None, "`open` compares it"
            wanted = parse_media_type(metadata.get("media_type")) or UNKNOWN
            served = Served(wanted if active else inert_type(wanted), _NO_CACHE)
            file = self.files[key]
            yield Upload(
                self.folder.data_path + key,
                file.path,
                content.size,
                content.sha256,
                served,
                is_inert=served.media_type != wanted,
                found=file,
            )

    def packs(self) -> Iterator[Upload]:
        """Yield the uploads of the packs that the index names."""
        for href in sorted(packs_of(self.index)):
            sha256 = pack_digest(href)
            assert sha256 is not None, "`packs_of` returns no other hrefs"
            path = self.folder.root / href
            try:
                size = path.stat().st_size
            except OSError as error:
                raise StoreError(f"{href} cannot be read: {reason_of(error)}") from error
            yield Upload(href, path, size, sha256, Served("application/zip", _IMMUTABLE))

    def copies(self) -> Iterator[Upload]:
        """Yield the uploads of the compressed copies that the index names."""
        found = {copy.href: copy for copy in copies_of(self.index).values()}
        for href, copy in sorted(found.items()):
            # Never with a content coding: readers verify the bytes as they are.
            served = Served("application/zstd", _IMMUTABLE)
            yield Upload(href, self.folder.root / href, copy.size, copy.sha256, served)

    def digest_named(self) -> list[Upload]:
        """Return the uploads of all files named by their digest."""
        named = map(self._named, self.documents)
        return [*self.packs(), *self.copies(), *named, *self.signatures()]

    def signatures(self) -> list[Upload]:
        """Return the uploads of the signatures, except the timestamp."""
        return [
            Upload(
                trust_path(name),
                self.folder.root / trust_path(name),
                len(body),
                hashlib.sha256(body).hexdigest(),
                Served(served_type(name), _IMMUTABLE),
            )
            for name, body in self.trust.items()
            if name != TIMESTAMP_NAME
        ]

    def stages(self) -> list[list[Upload]]:
        """Return the uploads of those files in stages; each must end before the next."""
        roles = (
            (Role.ABOUT, Role.CHANGES, Role.TABLE),
            (Role.BLOCK_LIST, Role.BLOCK_ROOT),
            (Role.INDEX,),
        )
        named = [[self._named(one) for one in self.documents if one.role in some] for some in roles]
        return [[*self.packs(), *self.copies()], *named, self.signatures()]

    def _named(self, document: NamedDocument) -> Upload:
        served = Served(served_type(document.href), _IMMUTABLE)
        path = self.folder.root / document.href
        return Upload(document.href, path, document.size, document.sha256, served)


def served_fresh(href: str) -> Served:
    """Return how to serve a file that can change: caches revalidate each time."""
    return Served(served_type(href), _NO_CACHE)


def verified_pieces(upload: Upload) -> Iterator[bytes]:
    """Read a file in pieces; the last one is yielded when all are verified.

    Yields
    ------
    bytes
        At most 1 MiB.

    Raises
    ------
    StoreError
        The file cannot be read, or a link has replaced it.
    IntegrityError
        Its size or digest differs.
    """
    verifier = Verifier(upload.size, upload.sha256)
    last = b""
    try:
        with open_regular(upload.path) as file:
            _check_same(upload, os.fstat(file.fileno()))
            while piece := file.read(tuning.PUSH_PIECE_BYTES):
                verifier.feed(piece)
                if last:
                    yield last
                last = piece
        verifier.finish()
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(f"it cannot be read: {reason_of(error)}") from error
    finally:
        verifier.close()
    yield last


def _check_same(upload: Upload, status: os.stat_result) -> None:
    found = upload.found
    if found is not None and not found.is_same(status):
        again = found.found_again()
        if again is None or not again.is_same(status):
            raise StoreError("a link has taken its place since it was found")


def _about(folder: SiteFolder, head: Head) -> tuple[dict[str, bytes], list[tuple[str, str]]]:
    # By name, and the files that changed.  One that is missing is ignored: a mirror may lack it.
    about = published_about(folder, head)
    body = None if head.about is None else folder.read_document(head.about)
    if about is None or body is None:
        return {}, []
    found, changed = {ABOUT_NAME: body}, []
    for name, content in read_files(folder, about).items():
        if isinstance(content, bytes):
            found[name] = content
        elif os.path.lexists(folder.root / name):
            changed.append((name, content))
    return found, changed


def _exports(folder: SiteFolder, head: Head) -> tuple[list[Upload], list[tuple[str, str]]]:
    # And the problems; `verified_pieces` hashes what is uploaded.
    exports, outdated = [], []
    for name, noted in noted_exports(folder).items():
        path = folder.root / EXPORTS[name].file
        if noted.of_index != head.index.sha256 or is_link(path) or not path.is_file():
            outdated.append((path.name, "it is missing, or of another index"))
        else:
            size, sha256 = path.stat().st_size, noted.digests[-1]
            exports.append(Upload(path.name, path, size, sha256, served_fresh(path.name)))
    return exports, outdated


def _signatures(folder: SiteFolder, head: bytes) -> dict[str, bytes]:
    files = signed_files(read_trust(folder))
    if files == {}:
        return {}
    if files is None or head not in files.values():
        raise StoreError(
            "nothing is pushed, because the signatures of the site are not those of its head: "
            "publish it again with --sign"
        )
    return files


def _values(
    folder: SiteFolder, index: Index, head: Head
) -> tuple[dict[str, FoundFile], list[tuple[str, str]]]:
    # By key, and the problems.  The publisher's notes suffice here, since `verified_pieces`
    # hashes what is uploaded.
    found = scan(folder.data, published=index, exempts=lambda _: True)
    expired = LastPublish.expired_keys(folder, head.index.sha256)
    known = read_notes(folder.notes).digests()
    noted = {
        file.key: digest_in_state(known, file.key, file.size, file.mtime_ns, file.inode)
        for file in found.files
    }
    unknown = [file for file in found.files if noted[file.key] is None]
    hashed = hash_files(unknown, seeks_keys=False)
    contents = index.contents_of(list(index))
    stale, data = [], folder.data_path
    for key, digest in noted.items():
        outcome = hashed[key] if digest is None else digest
        if isinstance(outcome, FileDigest):
            if key not in contents:
                if key not in expired:
                    stale.append((data + key, "it is not in the index"))
            elif (contents[key].size, contents[key].sha256) != (outcome.size, outcome.sha256):
                stale.append((data + key, "it differs from the index"))
        elif key in contents:
            stale.append((data + key, outcome.reason))
    files = {file.key: file for file in found.files}
    stale += [(data + key, "there is no such file") for key in contents if key not in files]
    return files, stale


def _check_links(folder: SiteFolder) -> None:
    # `read_published` would follow a link out of the site.
    root, data = os.fspath(folder.root), os.fspath(folder.data)
    for name in (*_BESIDE, folder.index.name, folder.head.name, TRUST_FOLDER):
        if problem := link_problem(root, data, os.path.join(root, name)):
            raise StoreError(f"nothing is pushed, because of {name}: {problem}")
