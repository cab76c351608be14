"""Indexes that others publish: a module for each form, which reads its documents.

A form is a pure function, ``read(document)``: it does no I/O, keeps nothing, and yields the
same entries and links for the same document.  A text that it yields is a warning about what
it leaves out.  The store fetches the documents, follows the links, and checks every key and
URL.  A form that is made here also says, by ``is_likely(document)``, whether a document looks
like its own; that is for error messages.

Any function of this kind may be given to a store as ``format``, or be installed under a name
as an entry point of the group ``staticstore.formats``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

__all__ = [
    "NAMES",
    "Document",
    "Entry",
    "Link",
    "Read",
    "form_name",
    "known_form",
    "reader_of",
]

#: The forms that are made here; each is a module of this folder.
NAMES = ("autoindex", "conda", "datapackage", "pooch", "s3", "stac", "sums")

_GROUP = "staticstore.formats"


class Document(NamedTuple):
    """A document of a foreign index, as it was fetched.

    Examples
    --------
    >>> Document("https://data.example.org/SHA256SUMS", b"", "text/plain", None).url
    'https://data.example.org/SHA256SUMS'
    """

    #: Where it was found in the end, after redirects.
    url: str
    #: Its bytes, without the content coding of the host.
    body: bytes
    #: The media type that the host gave, without parameters and in lower case, or None.
    media_type: str | None
    #: The note of the `Link` that led here; None for the first document.
    note: str | None


class Entry(NamedTuple):
    """A value that a document lists.

    Examples
    --------
    >>> Entry("dem.tif", {"size": 7}).href is None
    True
    """

    #: The key, as text.  One that cannot be a key is reported and left out.
    key: str
    #: The metadata, or the text of a JSON object in UTF-8 (also as a `msgspec.Raw`, which keeps
    #: the document alive, or as a `late_text.LateText`), which stays as it is.  A digest in
    #: upper case is lowered in a mapping; in a text that is the form's business.
    metadata: Mapping[str, Any] | bytes
    #: Where the value is: a URI reference, relative to the document's URL.  None for a value
    #: that is beside its document, under its key.
    href: str | None = None


class Link(NamedTuple):
    """Another document of the same index.

    Examples
    --------
    >>> Link("collections/a.json").leaf
    False
    """

    #: Where it is: a URI reference, relative to the document's URL.
    href: str
    #: What its reader needs to know of this document: `Document.note` there.
    note: str | None = None
    #: Whether it leads no further and may be asked for at one poll in 24 only.
    leaf: bool = False


#: Reads one document.  What it raises is reported as an `IndexFormatError`; a text is a warning.
Read = Callable[[Document], Iterable[Entry | Link | str]]


def reader_of(form: str | Read) -> Read:
    """Return the function that reads the documents of a form.

    Parameters
    ----------
    form : str or callable
        One of `NAMES`, the name of an entry point, or the function itself.

    Raises
    ------
    ValueError
        There is no form of this name, or its entry point cannot be imported.
    TypeError
        It is neither a text nor a function.

    Examples
    --------
    >>> reader_of("zip")
    Traceback (most recent call last):
    ValueError: no format is named 'zip': there are autoindex, conda, datapackage, pooch, ...
    """
    if callable(form):
        return form
    if not isinstance(form, str):
        raise TypeError(f"format is a name or a function, not {type(form).__name__}")
    if form in NAMES:
        read: Read = importlib.import_module(f"{__name__}.{form}").read
        return read
    from importlib.metadata import entry_points  # slow, and seldom needed

    installed = {point.name: point for point in entry_points(group=_GROUP)}
    if form not in installed:
        import difflib  # slow to import

        names = sorted({*NAMES, *installed})
        alike = difflib.get_close_matches(form.lower(), names, n=1)
        hint = f"did you mean {alike[0]!r}? There" if alike else "there"
        raise ValueError(f"no format is named {form!r}: {hint} are {', '.join(names)}")
    try:
        loaded = installed[form].load()
    except Exception as error:
        raise ValueError(f"the format {form!r} cannot be imported: {error}") from error
    if not callable(loaded):
        raise ValueError(f"the format {form!r} is no function")
    found: Read = loaded
    return found


def form_name(form: str | Read) -> str:
    """Return what a form is called, for people.

    Examples
    --------
    >>> form_name("pooch"), form_name(known_form)
    ('pooch', 'staticstore.formats.known_form')
    """
    if isinstance(form, str):
        return form
    kind = form if hasattr(form, "__qualname__") else type(form)
    return f"{kind.__module__}.{kind.__qualname__}"


def known_form(document: Document) -> str | None:
    """Return the name of the form that a document looks like, for a hint; or None.

    Every form that is made here is asked, in the order of `NAMES`.

    Examples
    --------
    >>> known_form(Document("https://data.example.org/", b"nothing", None, None)) is None
    True
    """
    for name in NAMES:
        try:
            if importlib.import_module(f"{__name__}.{name}").is_likely(document):
                return name
        except Exception:  # a hint only: whatever a form raises, it is not this one
            continue
    return None
