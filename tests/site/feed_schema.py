"""Whether a feed is valid: what RFC 4287 demands, and the part of its schema that we use."""

from __future__ import annotations

from functools import cache
from typing import Any

__all__ = ["feed_problems"]

# From the RELAX NG of RFC 4287, appendix B, in its XML syntax: the elements that a feed of ours
# may have.
_SCHEMA = """
<grammar xmlns="http://relaxng.org/ns/structure/1.0" ns="http://www.w3.org/2005/Atom"
  datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes">
 <start><element name="feed"><interleave>
  <ref name="id"/>
  <element name="title"><text/></element>
  <optional><element name="subtitle"><text/></element></optional>
  <optional><element name="rights"><text/></element></optional>
  <ref name="updated"/>
  <oneOrMore><element name="author">
   <element name="name"><data type="string"><param name="minLength">1</param></data></element>
  </element></oneOrMore>
  <oneOrMore><ref name="link"/></oneOrMore>
  <optional><element name="generator"><text/></element></optional>
  <zeroOrMore><ref name="entry"/></zeroOrMore>
 </interleave></element></start>
 <define name="entry"><element name="entry"><interleave>
  <ref name="id"/>
  <element name="title"><text/></element>
  <ref name="updated"/>
  <zeroOrMore><ref name="link"/></zeroOrMore>
  <element name="content"><attribute name="type"><value>xhtml</value></attribute>
   <element name="div" ns="http://www.w3.org/1999/xhtml"><ref name="xhtml"/></element>
  </element>
 </interleave></element></define>
 <define name="xhtml"><zeroOrMore><choice><text/>
  <element><nsName ns="http://www.w3.org/1999/xhtml"/>
   <zeroOrMore><attribute><name ns="">href</name></attribute></zeroOrMore>
   <ref name="xhtml"/></element>
 </choice></zeroOrMore></define>
 <define name="id"><element name="id"><data type="anyURI">
  <param name="pattern">[a-z]+:.+</param></data></element></define>
 <define name="updated"><element name="updated"><data type="dateTime"/></element></define>
 <define name="link"><element name="link"><interleave>
  <attribute name="href"><data type="anyURI"/></attribute>
  <optional><attribute name="rel"/></optional>
  <optional><attribute name="type"><data type="string">
   <param name="pattern">.+/.+</param></data></attribute></optional>
 </interleave></element></define>
</grammar>
"""


@cache
def _schema() -> Any:
    from lxml import etree

    return etree.RelaxNG(etree.fromstring(_SCHEMA))


def feed_problems(body: bytes) -> list[str]:
    """Return what is wrong with a feed: by its schema, and ids that occur twice."""
    from lxml import etree

    feed = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
    schema = _schema()
    problems = [] if schema.validate(feed) else [str(error) for error in schema.error_log]
    ids = [element.text for element in feed.iter("{http://www.w3.org/2005/Atom}id")]
    return problems + sorted(one for one in set(ids) if ids.count(one) > 1)
