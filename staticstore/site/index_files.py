"""What a mirror says of its values: what the origin says, or the index of a part of it."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from ..client.origin import Origin
from ..errors import IndexFormatError
from ..index.head import Document, Head
from ..index.named import named_documents
from ..index.snapshot import Index
from ..transport.integrity import prepared_file, sync_folder
from .about_copy import fetch_about
from .folder import SiteFolder
from .history import (
    Step,
    forget,
    holds,
    later_than,
    next_step,
    read_head,
    reader_of,
    remove_forgotten,
    taking_effect,
    write_documents,
)
from .incoming import parts_of
from .mirror_note import read_mirror_note

__all__ = ["Said", "about_to_say", "of_a_part", "of_the_whole", "write_named"]

_Entries = Callable[[], Iterable[tuple[str, Mapping[str, Any]]]]


class Said(NamedTuple):
    """What a site shall say: its index and its head."""

    body: bytes
    #: None on a site without one.
    head: Head | None
    #: None if the head that stands there names this index already, and all is there.
    step: Step | None
    #: The hrefs of the packs that the index names.
    packs: frozenset[str] = frozenset()


def of_the_whole(
    folder: SiteFolder, origin: Origin, packs: frozenset[str], entries: _Entries
) -> Said:
    """Return what the origin says, byte for byte; what is missing of it is fetched.

    What the head names beside the index is left out if it cannot be had: it
    only makes the site faster.  An index that cannot be had to the byte is
    written as that of a part is, for no head of the origin describes it.

    Raises
    ------
    NotConnectedError
        The store was disconnected.
    """
    body = _body_of(folder, origin)
    if body is None:
        return of_a_part(folder, origin, dict(entries()))
    head = origin.head
    if head is None:
        return Said(body, None, None, packs)
    documents = _missing_documents(folder, origin, head)
    if not documents and read_head(folder) == head and holds(folder, head.index, body):
        return Said(body, head, None, packs)
    return Said(body, head, Step(head, documents, _text_of(origin, head)), packs)


def of_a_part(folder: SiteFolder, origin: Origin, entries: Mapping[str, Mapping[str, Any]]) -> Said:
    """Return an index of these entries, and a head of the folder's own lineage that names it."""
    index = Index.from_entries(entries)
    body = index.canonical()
    head = read_head(folder)
    if head is not None and head.lineage in _lineages_of(folder, origin):
        head = None
    found = fetch_about(folder, origin)
    head, step = next_step(folder, head, index, body, about=None if found is None else found[0])
    if step is not None and found is not None:
        step = replace(step, documents={**step.documents, found[0]: found[1]})
    return Said(body, head, step)


def _lineages_of(folder: SiteFolder, origin: Origin) -> set[str | None]:
    """Return the lineages whose generations the origin counts."""
    known = read_mirror_note(folder).origin
    heads = (origin.head, known.head)
    return {known.left, *(head.lineage for head in heads if head is not None)}


def _body_of(folder: SiteFolder, origin: Origin) -> bytes | None:
    """Return the bytes in which the index came; None if they cannot be had again."""
    body = b"".join(origin.snapshot.document())
    if hashlib.sha256(body).hexdigest() == origin.sha256:
        return body
    return origin.read_index(parts_of(folder))


def _text_of(origin: Origin, head: Head) -> bytes:
    """Return the head as it came, with all that is unknown in it, if the host still has it."""
    text = origin.read_head()
    try:
        if text is not None and Head.parse(text) == head:
            return text
    except IndexFormatError:
        pass
    return head.encode()


def _missing_documents(folder: SiteFolder, origin: Origin, head: Head) -> dict[Document, bytes]:
    """Return what a head names beside the index and does not stand there, as far as it is had."""
    here, parts = reader_of(folder), parts_of(folder)
    missing: dict[Document, bytes] = {}

    def read(document: Document) -> bytes | None:
        if (body := missing.get(document) or here(document)) is None:
            body = origin.read(document, parts)
            if body is not None:
                missing[document] = body
        return body

    for document in named_documents(head, read):
        if document != head.index:
            read(document)
    return missing


def write_named(folder: SiteFolder, said: Said) -> None:
    """Write what the head will name, which harms nobody.

    Raises
    ------
    OSError
        Something cannot be written.
    """
    if said.step is not None:
        write_documents(folder, said.step, said.body)


@contextlib.contextmanager
def about_to_say(
    folder: SiteFolder, said: Said, old_body: bytes | None, old_packs: frozenset[str]
) -> Iterator[None]:
    """Have index and head on the disk; they take their names after the block, the head last.

    What is right already keeps its time.  What the head names is there: `write_named`.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    said : Said
        What it shall say.
    old_body : bytes or None
        The index that stands there.
    old_packs : frozenset of str
        The hrefs of the packs that this names.

    Raises
    ------
    OSError
        Something cannot be written, or the block raised it; what was said before still stands.
    """
    body = None if said.body == old_body else said.body
    if said.head is None:
        with _about_to_say_plainly(folder, body):
            yield
        return
    with taking_effect(folder, said.head, body=body, step=said.step):
        forget(folder, old_packs - said.packs)
        yield
    remove_forgotten(folder, said.head, said.packs)


@contextlib.contextmanager
def _about_to_say_plainly(folder: SiteFolder, body: bytes | None) -> Iterator[None]:
    with contextlib.ExitStack() as name:
        if body is not None:
            modified = later_than(folder.index)
            name.enter_context(prepared_file(folder.index, body, modified=modified))
        yield
        folder.head.unlink(missing_ok=True)  # else it would name another index
    sync_folder(folder.root)
