"""Write CSV (RFC 4180): UTF-8, a comma between fields, CR and LF after each row."""

import csv
import io


def csv_table(rows: list[list[str]]) -> bytes:
    """Return the rows as a file; the first holds the names of the columns."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
