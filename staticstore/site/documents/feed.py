"""The feed of a site, ``feed.atom``: what its last publishes changed (RFC 4287).

Its history is in the file itself, so that it also survives in a fresh checkout.  The file
may have been changed by others since: it is parsed within bounds, without a document type,
and of its entries only those elements are kept that we write.
"""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from ...index.about import MOST_FILE_BYTES
from ...index.changes import Action
from ...index.fields import key_to_url_path
from .root_files import read_at_most

if TYPE_CHECKING:
    from ...index.about import About
    from ...index.head import Head
    from ..folder.site_folder import SiteFolder

__all__ = [
    "FEED_MEDIA_TYPE",
    "FEED_NAME",
    "MOST_FEED_BYTES",
    "Feed",
    "entry_of_publish",
    "is_our_feed",
    "our_feed",
    "render_feed",
]

#: Its name at the root of a site.
FEED_NAME = "feed.atom"
#: RFC 4287, section 7.
FEED_MEDIA_TYPE = "application/atom+xml"
#: The most bytes of a feed: of a larger one the oldest entries are left out.
MOST_FEED_BYTES = MOST_FILE_BYTES

_MOST_ENTRIES = 50  # publishes
_MOST_KEYS = 100  # of a publish
_MOST_HREF_BYTES = 1 << 16  # of all keys of a publish, quoted
_ATOM = "http://www.w3.org/2005/Atom"
_XHTML = "http://www.w3.org/1999/xhtml"
_DECLARATION = b'<?xml version="1.0" encoding="utf-8"?>\n'
# No option is named: `--` ends a comment.
_COMMENT = (
    b"<!-- staticstore-feed/1: `staticstore publish` wrote this file and will replace it -->\n"
)
# The second line of our feed, in any version.
_MARK = re.compile(rb"\A<\?xml [^>]*\?>\s*<!-- staticstore-feed/\d+:")
# What XML cannot hold (section 2.2), other controls, and those of the writing direction.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
    "\ufdd0-\ufdef\ufffe\uffff]"
)
_VERBS: Mapping[Action, str] = {"set": "set", "update": "updated", "delete": "deleted"}
# The elements of an entry as we write it, and their attributes.
_ELEMENTS: Mapping[str, Sequence[str]] = {
    **dict.fromkeys((f"{{{_ATOM}}}{name}" for name in ("entry", "id", "title", "updated")), ()),
    f"{{{_ATOM}}}link": ("rel", "href"),
    f"{{{_ATOM}}}content": ("type",),
    **dict.fromkeys((f"{{{_XHTML}}}{name}" for name in ("div", "p", "ul", "li")), ()),
    f"{{{_XHTML}}}a": ("href",),
}


@dataclass(frozen=True)
class Feed:
    """A feed of ours, as it is read again."""

    #: The root URL of its links, with a slash at its end.
    url: str
    id: str
    #: The newest first, with plain names, as they are rendered.
    entries: tuple[Element, ...]

    @property
    def updated(self) -> str:
        """When the newest entry was published; empty without one."""
        return self.entries[0].findtext("updated", "") if self.entries else ""

    @classmethod
    def parse(cls, body: bytes) -> Feed | None:
        """Parse a feed that a publish wrote; None if it is none, or damaged.

        Examples
        --------
        >>> Feed.parse(b"<!DOCTYPE feed><feed/>") is None
        True
        """
        if len(body) > MOST_FEED_BYTES or not is_our_feed(body):
            return None
        try:
            feed = ElementTree.fromstring(body, ElementTree.XMLParser(target=_PlainBuilder()))
        except (ElementTree.ParseError, ValueError, LookupError):
            return None
        links = feed.iterfind(f"{{{_ATOM}}}link[@rel='self']")
        url = next((link.get("href", "") for link in links), "")
        feed_id = feed.findtext(f"{{{_ATOM}}}id", "")
        if feed.tag != f"{{{_ATOM}}}feed" or not url.endswith("/" + FEED_NAME) or not feed_id:
            return None
        entries = map(_plain, feed.iterfind(f"{{{_ATOM}}}entry"))
        kept = tuple(entry for entry in entries if entry is not None and entry.findtext("id"))
        return cls(url.removesuffix(FEED_NAME), feed_id, kept)

    def moved_to(self, url: str) -> Feed:
        """Return the feed with links below another root."""
        for entry in self.entries if url != self.url else ():
            for element in entry.iter():
                href = element.get("href")
                if href is not None and href.startswith(self.url):
                    element.set("href", url + href.removeprefix(self.url))
        return Feed(url, self.id, self.entries)


class _PlainBuilder(ElementTree.TreeBuilder):
    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        # Its entities could make a text of any length (billion laughs).
        raise ValueError("a document type")


def _plain(element: Element, namespace: str = _ATOM) -> Element | None:
    # With plain names, as `render_feed` writes them; None unless all of it is known.
    if element.tag not in _ELEMENTS or set(element.keys()).difference(_ELEMENTS[element.tag]):
        return None
    if not element.get("href", "https:").startswith(("https:", "http:")):
        return None
    own, _, name = element.tag[1:].partition("}")
    copy = Element(name, dict(element.attrib) if own == namespace else {"xmlns": own})
    is_indented = len(element) and not (element.text or "").strip()
    copy.text = None if is_indented else element.text
    for child in element:
        plain = _plain(child, own)
        if plain is None:
            return None
        copy.append(plain)
    return copy


def is_our_feed(body: bytes) -> bool:
    """Return whether any version of staticstore wrote a feed.

    Examples
    --------
    >>> is_our_feed(b'<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"/>')
    False
    """
    return _MARK.match(body) is not None


def our_feed(folder: SiteFolder) -> bytes | None:
    """Return the bytes of a site's feed; None if there is none, or it is not ours."""
    with contextlib.suppress(OSError):
        body = read_at_most(folder.root / FEED_NAME, MOST_FEED_BYTES)
        return body if body is not None and is_our_feed(body) else None
    return None


def entry_of_publish(
    url: str,
    data_path: str,
    head: Head,
    changed: Mapping[Action, Sequence[str]],
    *,
    has_new_about: bool,
) -> Element:
    """Return the entry of a publish; its id is that of lineage and generation.

    Parameters
    ----------
    url : str
        The root URL of the site, with a slash at its end.
    data_path : str
        The path from there to the values.
    head : Head
        The new head.
    changed : mapping
        The keys that were set, updated and deleted.
    has_new_about : bool
        Whether the site's own words have changed.
    """
    entry = Element("entry")
    SubElement(entry, "id").text = _urn(head.lineage, str(head.generation))
    counts = ", ".join(f"{len(changed[action])} {verb}" for action, verb in _VERBS.items())
    SubElement(entry, "title").text = counts
    SubElement(entry, "updated").text = head.published
    SubElement(entry, "link", {"rel": "alternate", "href": url})
    content = SubElement(entry, "content", {"type": "xhtml"})
    division = SubElement(content, "div", {"xmlns": _XHTML})
    if has_new_about:
        SubElement(division, "p").text = "What the site says of itself has changed."
    named = _first_keys(changed, data_path)
    for action, verb in _VERBS.items():
        if not changed[action]:
            continue
        SubElement(division, "p").text = f"{len(changed[action])} {verb}:"
        keys = SubElement(division, "ul")
        for key, path in named[action]:
            item = SubElement(keys, "li")
            if action != "delete":
                item = SubElement(item, "a", {"href": url + path})
            item.text = _text(key)
        if more := len(changed[action]) - len(named[action]):
            SubElement(keys, "li").text = f"and {more} more"
    return entry


def _first_keys(
    changed: Mapping[Action, Sequence[str]], data_path: str
) -> dict[Action, list[tuple[str, str]]]:
    # With their paths below the root.
    left, found = _MOST_HREF_BYTES, dict[Action, list[tuple[str, str]]]()
    for action in _VERBS:
        found[action] = []
        for key in changed[action][: _MOST_KEYS - sum(map(len, found.values()))]:
            path = key_to_url_path(data_path, key)
            left -= len(path)
            if left < 0:
                break
            found[action].append((key, path))
    return found


def render_feed(
    url: str, old: Feed | None, head: Head, about: About | None, entry: Element | None = None
) -> bytes:
    """Return the feed after a publish, of the last 50 and 1 MiB at most.

    Parameters
    ----------
    url : str
        The root URL of the site, with a slash at its end.
    old : Feed or None
        The feed so far.
    head : Head
        The new head.
    about : About or None
        The site's own words: title, description, license and contact.
    entry : Element, optional
        That of this publish, if it changes anything.  It replaces one of the same id, from
        a publish that was interrupted.
    """
    entries = [] if entry is None else [entry]
    new_id = None if entry is None else entry.findtext("id")
    if old is not None:
        older = old.moved_to(url).entries
        entries += [one for one in older if one.findtext("id") != new_id]
    del entries[_MOST_ENTRIES:]
    feed_id = _urn(head.lineage, "feed") if old is None else old.id
    while True:
        body = _encoded(_feed_element(url, feed_id, head, about, entries))
        if len(body) <= MOST_FEED_BYTES:
            return body
        del entries[-(len(entries) // 8 + 1) :]


def _feed_element(
    url: str, feed_id: str, head: Head, about: About | None, entries: Sequence[Element]
) -> Element:
    words: Mapping[str, Any] = {} if about is None else about.fields
    feed = Element("feed", {"xmlns": _ATOM})
    title = _text(words.get("title") or url)
    SubElement(feed, "id").text = feed_id
    SubElement(feed, "title").text = title
    for name, field in (("subtitle", "description"), ("rights", "license")):
        if field in words:
            SubElement(feed, name).text = _text(words[field])
    updated = entries[0].findtext("updated") if entries else None
    SubElement(feed, "updated").text = updated or head.published
    author = SubElement(feed, "author")
    SubElement(author, "name").text = _text(words.get("contact") or title)
    links = {"rel": "self", "type": FEED_MEDIA_TYPE, "href": url + FEED_NAME}
    SubElement(feed, "link", links)
    SubElement(feed, "link", {"rel": "alternate", "href": url})
    SubElement(feed, "generator").text = "staticstore"
    feed.extend(entries)
    return feed


def _encoded(feed: Element) -> bytes:
    ElementTree.indent(feed, " ")
    text: bytes = ElementTree.tostring(feed, "utf-8")
    return _DECLARATION + _COMMENT + text + b"\n"


def _urn(lineage: str, name: str) -> str:
    # RFC 9562, section 5.5: the same name in the same lineage is the same id, on any machine.
    return uuid.uuid5(uuid.UUID(hex=lineage), name).urn


def _text(text: str) -> str:
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
