"""A pane of Qt that shows what a value is: a picture, a table, or text.

Importing this module imports Qt's widgets, of the binding that `qt_core` finds.
"""

from __future__ import annotations

import csv
from html import escape
from typing import Any

from ..client.value import URLValue
from .desktop import in_thread, qt_dispatch
from .qt_core import qt_core, qt_module

__all__ = ["ValuePreview"]

QtCore: Any = qt_core()
QtGui: Any = qt_module(QtCore, "QtGui")
QtWidgets: Any = qt_module(QtCore, "QtWidgets")

_LARGEST = 4 << 20  # bytes of a value
_WIDEST = 400  # pixels of a picture
_MOST_PIXELS = 1 << 25  # of one that is decoded, each of which takes 4 or 8 bytes
# Others run too much code on what a host sends: an SVG loads files of this machine.
_FORMATS = {
    "image/bmp": b"bmp",
    "image/gif": b"gif",
    "image/jpeg": b"jpeg",
    "image/png": b"png",
    "image/tiff": b"tiff",
    "image/webp": b"webp",
}
_LINES, _COLUMNS = 100, 500


class ValuePreview(QtWidgets.QTextBrowser):  # type: ignore[misc]
    """Shows a value: a picture, CSV as a table, the first lines of a text or of JSON.

    A value is read whole and verified, in a thread, so that the window does
    not wait.  What a value contains is shown and never followed: markup in
    it is text, and a picture is what its media type says (PNG, JPEG, GIF, BMP,
    WebP or TIFF, of 33 megapixels at most) or is not shown.  One that cannot
    be read, or fails its check, is said in words in its place; so is one that
    is too large or of another kind.

    Parameters
    ----------
    parent : QWidget, optional
        What it lives in.
    largest : int, optional
        The bytes that a value may have to be read.  By default 4 MiB.

    Notes
    -----
    Pictures are scaled to 400 pixels, texts cut after 100 lines.  The
    kind is that of `URLValue.media_type`.

    Examples
    --------
    Beside a table that shows a `StoreTableModel`::

        preview = ValuePreview()
        rows = table.selectionModel()
        rows.currentRowChanged.connect(
            lambda index: preview.show_value(store.get(model.key(index.row()), None))
        )
    """

    def __init__(self, parent: Any = None, *, largest: int = _LARGEST) -> None:
        super().__init__(parent)
        #: The value that is shown, or None.
        self.value: URLValue | None = None
        self._largest = largest
        self._dispatch = qt_dispatch(self)

    def show_value(self, value: URLValue | None) -> None:
        """Read a value and show it, or show none.

        What is shown already is not read again.  Of two values with one key
        the first stays until the other is read.
        """
        before, self.value = self.value, value
        if value is None:
            self.clear()
            return
        if before is None or before.key != value.key:
            self.setPlainText("reading …")
        elif (value.url, value.metadata) == (before.url, before.metadata):
            self.value = before
            return

        def show(preview: Any) -> None:
            if value is self.value:  # and no other is shown meanwhile
                self._show(preview)

        in_thread(
            lambda: _preview_of(value, self._largest),
            show,
            failed=lambda error: show(escape(str(error))),
            dispatch=self._dispatch,
        )

    def _show(self, preview: Any) -> None:
        """Show a picture, or HTML."""
        if isinstance(preview, QtGui.QImage):
            kind = QtGui.QTextDocument.ResourceType.ImageResource
            self.document().addResource(kind.value, QtCore.QUrl("value"), preview)
            preview = '<img src="value">'
        self.setHtml(preview)


def _preview_of(value: URLValue, largest: int) -> Any:
    """Read a value; return a picture of it, or HTML.  This is done in a thread."""
    said = value.media_type or "what is of an unknown type"
    kind = said.partition(";")[0].strip().lower()
    is_text = kind.startswith("text/") or kind.endswith("json")
    if not (is_text or kind in _FORMATS):
        return f"There is no preview of {escape(said)}."
    data = _read(value, largest)
    if data is None:
        return "This is too large for a preview."
    if is_text:
        return _html(data.decode("utf-8", "replace"), is_table=kind == "text/csv")
    return _picture(data, kind)


def _read(value: URLValue, largest: int) -> bytes | None:
    """Return the bytes of a value, verified; None if they are more."""
    size = value.size
    if size is not None:
        return value.read() if size <= largest else None
    data = bytearray()
    for piece in value.iterdata():
        data += piece
        if len(data) > largest:
            return None
    return bytes(data)


def _picture(data: bytes, kind: str) -> Any:
    """Decode a picture of the format that is said, and of no other; or say why not, as HTML."""
    buffer = QtCore.QBuffer()
    buffer.setData(data)
    # The reader must not outlive the buffer, which its end may still look at: it has no name here.
    image = _image_of(QtGui.QImageReader(buffer, _FORMATS[kind]))
    if image is None:
        return "This picture has too many pixels for a preview."
    if image.isNull():
        return f"This is no {kind} that Qt can show."
    fit = image.size().scaled(_WIDEST, _WIDEST, QtCore.Qt.AspectRatioMode.KeepAspectRatio)
    return image.scaled(
        fit.expandedTo(QtCore.QSize(1, 1)),
        QtCore.Qt.AspectRatioMode.IgnoreAspectRatio,
        QtCore.Qt.TransformationMode.SmoothTransformation,
    )


def _image_of(reader: Any) -> Any:
    """Return what a reader decodes, a null image if it is of another format; None if too large."""
    reader.setAutoDetectImageFormat(False)
    reader.setDecideFormatFromContent(False)
    if not reader.canRead():  # other beginnings are complained of on the standard error
        return QtGui.QImage()
    size = reader.size()  # which is read from its beginning alone
    if size.width() * size.height() > _MOST_PIXELS:
        return None
    return reader.read() if size.isValid() else QtGui.QImage()


def _html(text: str, *, is_table: bool) -> str:
    """Return the beginning of a text as HTML.

    Examples
    --------
    >>> _html("a < b", is_table=False)
    '<pre>a &lt; b</pre>'
    """
    lines = [line[:_COLUMNS] for line in text.splitlines()[:_LINES]]
    if not is_table:
        return f"<pre>{'<br>'.join(map(escape, lines))}</pre>"
    cell = "<td style='white-space: pre'>"  # or Qt would break words to make columns narrow
    rows = [cell + cell.join(map(escape, cells)) for cells in csv.reader(lines)]
    return f"<table cellpadding=3><tr style='font-weight: bold'>{'<tr>'.join(rows)}</table>"
