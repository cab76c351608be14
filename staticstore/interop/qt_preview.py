"""A widget of Qt that shows a value: a picture, a table, or text.

Importing this module imports Qt's widgets, of the binding that `qt_core` finds.
"""

from __future__ import annotations

import csv
from html import escape
from typing import TYPE_CHECKING, Any

from .desktop import in_thread, qt_dispatch
from .qt_core import qt_core, qt_module

if TYPE_CHECKING:
    from ..client.value import URLValue

__all__ = ["ValuePreview"]

QtCore: Any = qt_core()
QtGui: Any = qt_module(QtCore, "QtGui")
QtWidgets: Any = qt_module(QtCore, "QtWidgets")

_MOST_BYTES = 4 << 20  # of a value
_SHOWN_PIXELS = 400  # width and height of a picture
_MOST_PIXELS = 1 << 25  # of a picture that is decoded, at 4 or 8 bytes each
# Decoders of other formats do too much with what a host sends: an SVG can load local files.
_FORMATS = {
    "image/bmp": b"bmp",
    "image/gif": b"gif",
    "image/jpeg": b"jpeg",
    "image/png": b"png",
    "image/tiff": b"tiff",
    "image/webp": b"webp",
}
_MOST_LINES, _MOST_COLUMNS = 100, 500  # of a text


class ValuePreview(QtWidgets.QTextBrowser):  # type: ignore[misc]
    """Shows a value: a picture, CSV as a table, the first lines of a text or of JSON.

    A value is read whole and verified, in a thread, so that the window does
    not wait.  Its content is shown and never interpreted: markup is shown as
    text, and a picture must have the format of its media type (PNG, JPEG, GIF,
    BMP, WebP or TIFF, of 33 megapixels at most).  A message takes the place of
    a value that cannot be read, fails verification, is too large, or is of
    another kind.

    Parameters
    ----------
    parent : QWidget, optional
        The owner.
    largest : int, optional
        The size of the largest value to read, in bytes.  By default 4 MiB.

    Notes
    -----
    Pictures are scaled to 400 pixels, and texts cut after 100 lines.  The
    kind is taken from `URLValue.media_type`.

    Examples
    --------
    Beside a table that shows a `StoreTableModel`::

        preview = ValuePreview()
        rows = table.selectionModel()
        rows.currentRowChanged.connect(
            lambda index: preview.show_value(store.get(model.key(index.row()), None))
        )
    """

    def __init__(self, parent: Any = None, *, largest: int = _MOST_BYTES) -> None:
        super().__init__(parent)
        #: The value that is shown, or None.
        self.value: URLValue | None = None
        self._largest = largest
        self._dispatch = qt_dispatch(self)

    def show_value(self, value: URLValue | None) -> None:
        """Read a value and show it; None clears the widget.

        A value that is shown already is not read again.  If the key is the
        same, the old value stays until the new one has been read.
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
            if value is self.value:  # no other value was chosen meanwhile
                self._show(preview)

        in_thread(
            lambda: _preview_of(value, self._largest),
            show,
            failed=lambda error: show(escape(str(error))),
            dispatch=self._dispatch,
        )

    def _show(self, preview: Any) -> None:
        if isinstance(preview, QtGui.QImage):
            kind = QtGui.QTextDocument.ResourceType.ImageResource
            self.document().addResource(kind.value, QtCore.QUrl("value"), preview)
            preview = '<img src="value">'
        self.setHtml(preview)


def _preview_of(value: URLValue, largest: int) -> Any:
    # Runs in a thread; returns a QImage, or HTML.
    media_type = value.media_type or "values of unknown type"
    kind = media_type.partition(";")[0].strip().lower()
    is_text = kind.startswith("text/") or kind.endswith("json")
    if not (is_text or kind in _FORMATS):
        return f"There is no preview of {escape(media_type)}."
    data = _read(value, largest)
    if data is None:
        return "This value is too large for a preview."
    if is_text:
        return _html(data.decode("utf-8", "replace"), is_table=kind == "text/csv")
    return _picture(data, kind)


def _read(value: URLValue, largest: int) -> bytes | None:
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
    buffer = QtCore.QBuffer()
    buffer.setData(data)
    # The reader has no name here: it must not outlive the buffer, which its destructor may use.
    image = _image_of(QtGui.QImageReader(buffer, _FORMATS[kind]))
    if image is None:
        return "This picture has too many pixels for a preview."
    if image.isNull():
        return f"Qt cannot read this as {kind}."
    fit = image.size().scaled(
        _SHOWN_PIXELS, _SHOWN_PIXELS, QtCore.Qt.AspectRatioMode.KeepAspectRatio
    )
    return image.scaled(
        fit.expandedTo(QtCore.QSize(1, 1)),
        QtCore.Qt.AspectRatioMode.IgnoreAspectRatio,
        QtCore.Qt.TransformationMode.SmoothTransformation,
    )


def _image_of(reader: Any) -> Any:
    # A null image if the format is another; None if the picture is too large.
    reader.setAutoDetectImageFormat(False)
    reader.setDecideFormatFromContent(False)
    if not reader.canRead():  # otherwise it would write errors to the standard error
        return QtGui.QImage()
    size = reader.size()  # reads only the header
    if size.width() * size.height() > _MOST_PIXELS:
        return None
    return reader.read() if size.isValid() else QtGui.QImage()


def _html(text: str, *, is_table: bool) -> str:
    """Return the first lines of a text as HTML.

    Examples
    --------
    >>> _html("a < b", is_table=False)
    '<pre>a &lt; b</pre>'
    """
    lines = [line[:_MOST_COLUMNS] for line in text.splitlines()[:_MOST_LINES]]
    if not is_table:
        return f"<pre>{'<br>'.join(map(escape, lines))}</pre>"
    cell = "<td style='white-space: pre'>"  # or Qt would break words to fit narrow columns
    rows = [cell + cell.join(map(escape, cells)) for cells in csv.reader(lines)]
    return f"<table cellpadding=3><tr style='font-weight: bold'>{'<tr>'.join(rows)}</table>"
