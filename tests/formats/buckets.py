"""Makes listings of buckets as S3 and others give them."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape

__all__ = ["AMAZON", "GOOGLE", "listing", "made"]

AMAZON = "http://s3.amazonaws.com/doc/2006-03-01/"
GOOGLE = "http://doc.s3.amazonaws.com/2006-03-01"


def made(key: str, size: int = 7, **others: str) -> str:
    """Return an object of a listing; others are elements, as they stand in the document."""
    fields = {
        "Key": escape(key),
        "LastModified": "2026-11-29T18:00:00.000Z",
        "ETag": "&quot;0cc175b9c0f1b6a831c399e269772661&quot;",
        "Size": str(size),
        "Owner": "<ID>ali</ID><DisplayName>ali</DisplayName>",
        "StorageClass": "STANDARD",
        **others,
    }
    return f"<Contents>{''.join(f'<{n}>{v}</{n}>' for n, v in fields.items())}</Contents>"


def listing(objects: Iterable[str], *, namespace: str | None = AMAZON, **page: str) -> bytes:
    """Return a page; `page` has its own elements, as they stand in the document."""
    attribute = f' xmlns="{namespace}"' if namespace else ""
    elements = "".join(f"<{name}>{value}</{name}>" for name, value in page.items())
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<ListBucketResult{attribute}>{elements}{''.join(objects)}</ListBucketResult>"
    ).encode()
