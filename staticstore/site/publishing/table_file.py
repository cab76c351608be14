"""The index as a Parquet file, which the head names: ``publish(parquet=True)``."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import TYPE_CHECKING

from ... import tuning
from ...errors import IndexFormatError, StoreError
from ...index.forms.parsing import canonical_lines_of
from ...index.head import Head, NamedDocument, Role, bounded
from ...index.snapshot import Index
from ..documents.document_files import write_document
from ..documents.head_files import HeadFiles

if TYPE_CHECKING:
    import pyarrow as pa

    from ..folder.site_folder import SiteFolder
    from .plan import PublishPlan

__all__ = ["check_tables", "parquet_of", "with_table"]


def check_tables(wanted: bool | None, head: Head | None) -> None:
    """Check, before anything begins, that a table can be written if one has to be.

    Parameters
    ----------
    wanted : bool or None
        Whether the site is to have a table; None if it is to keep the one that it has.
    head : Head or None
        The head from which the publish continues.

    Raises
    ------
    StoreError
        pyarrow is not installed.
    """
    keeps = wanted is None and head is not None and head.table is not None
    if (wanted or keeps) and importlib.util.find_spec("pyarrow") is None:
        why = "the site has a table, which" if keeps else "a table"
        without = "; or publish without one (parquet=False, --no-parquet)" if keeps else ""
        raise StoreError(
            f"{why} needs the package `pyarrow` to be written, which the extra `arrow` brings"
            f"{without}"
        )


def with_table(folder: SiteFolder, plan: PublishPlan, wanted: bool | None) -> PublishPlan:
    """Return a plan whose head names a table of the index, or none; write the table.

    Parameters
    ----------
    folder : SiteFolder
        The site, locked.
    plan : PublishPlan
        What is going to be published.
    wanted : bool or None
        As in `check_tables`.

    Raises
    ------
    OSError
        The table cannot be written.
    StoreError
        The index has too many different fields.
    """
    old = None if plan.old_head is None else plan.old_head.table
    table, warnings = None, list[str]()
    if wanted or (wanted is None and old is not None):
        if old is not None and _is_of(folder, old, plan):
            table = old
        else:
            table, warnings = _write_table(folder, plan)
    href = None if table is None else table.href
    plan = plan._replace(
        report=replace(plan.report, table=href, warnings=[*plan.report.warnings, *warnings]),
        last=replace(plan.last, report=replace(plan.last.report, table=href)),
    )
    if table == plan.head.table:
        return plan
    head = bounded(replace(plan.head, table=table))
    files = HeadFiles(head, {}) if plan.files is None else replace(plan.files, head=head)
    return plan._replace(head=head, files=files)


def _is_of(folder: SiteFolder, table: NamedDocument, plan: PublishPlan) -> bool:
    """Return whether a table of the old head is of the new index, and is there."""
    assert plan.old_head is not None
    is_the_same = plan.old_head.index.sha256 == plan.head.index.sha256
    return is_the_same and folder.read_document(table) is not None


def _write_table(folder: SiteFolder, plan: PublishPlan) -> tuple[NamedDocument, list[str]]:
    from ...index.tables.columns import read_columns

    body = bytes(plan.body)
    try:
        index = Index(canonical_lines_of(body))
    except IndexFormatError:  # an empty index
        index = Index.parse(body)
    try:
        read = read_columns(index.stored)
    except ValueError as error:
        reason = f"{error}".partition(":")[0]
        raise StoreError(
            f"no table can be written: {reason}; publish without one (parquet=False, --no-parquet)"
        ) from error
    text = parquet_of(read.table)
    document = NamedDocument.of(Role.TABLE, text)
    write_document(folder, document, text)
    return document, [f"index/*.parquet: {warning}" for warning in read.warnings]


def parquet_of(table: pa.Table) -> bytes:
    """Return a table, sorted by key, as a Parquet file for partial reads."""
    import pyarrow as pa
    from pyarrow import parquet

    # Groups of rows, statistics and the index of pages let them skip the rest.
    sink = pa.BufferOutputStream()
    parquet.write_table(
        table,
        sink,
        row_group_size=tuning.TABLE_GROUP_ROWS,
        compression="zstd",
        write_page_index=True,
        sorting_columns=[parquet.SortingColumn(0)],
    )
    body: bytes = sink.getvalue().to_pybytes()
    return body
