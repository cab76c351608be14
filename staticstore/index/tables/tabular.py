"""What makes tables of its entries: a snapshot, a store."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ...processes import fork_gate
from ...query.conditions import Where, selection

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from .columns import Columns

__all__ = ["Tabular", "import_extra"]


class Tabular:
    """The tables of a snapshot: a row for each entry, a column for each field."""

    __slots__ = ()

    def _tabled(self) -> Any:
        # The snapshot: a store returns its current one.
        return self

    def to_arrow(
        self,
        select: Iterable[str] | None = None,
        *,
        where: Where | None = None,
        dates: Iterable[str] = (),
        **equals: Any,
    ) -> pa.Table:
        """Return the entries as a table of Arrow, in key order.

        The first column is ``key``; the fields follow by name, or as in `select`.  Types
        are those of JSON: ``int64``, ``double`` (also for integers among floats),
        ``bool``, ``string``, lists and structs; a null and a field that is missing are
        null.  A field whose values have no type in common becomes its JSON text, and so
        does one with integers of more than 64 bits (among floats: beyond the largest float),
        with objects of more than 1,000 different members, or nested more than 32 levels
        deep.  A field called ``key`` becomes the column ``key_``.

        Parameters
        ----------
        select : iterable of str, optional
            The fields wanted; one that no entry has is a column of nulls.  By default all.
        where : mapping, optional
            Conditions, as in `query`.
        dates : iterable of str, optional
            The fields with dates, which become ``date32``, or ``timestamp[us, tz=UTC]``
            if one of the values has a time.  They are read as in conditions: a time
            without a zone is in UTC.  What is no date becomes null.
        **equals
            Conditions as keywords, as in `query`.

        Returns
        -------
        pyarrow.Table
            Of the entries that fulfill all conditions.  It is the caller's own.

        Warns
        -----
        UserWarning
            A field becomes JSON text, is called ``key``, or has values that are no dates;
            names it.

        Raises
        ------
        ImportError
            pyarrow is not installed: the extra ``arrow`` brings it.
        TypeError
            As `query`; `dates` is a single text.
        ValueError
            The entries have more than 10,000 different fields: select some.

        Notes
        -----
        A million entries of eight fields take two to three seconds, and the memory of the
        table and 150 MB at most.  Other threads run meanwhile.  Any number of threads may
        call it.

        Examples
        --------
        >>> from staticstore import Index
        >>> index = Index.from_entries({"a": {"size": 5, "type": "table"}, "b": {"size": 1.5}})
        >>> index.to_arrow().to_pylist()
        [{'key': 'a', 'size': 5.0, 'type': 'table'}, {'key': 'b', 'size': 1.5, 'type': None}]
        >>> index.to_arrow(["size"], type="table").to_pydict()
        {'key': ['a'], 'size': [5]}
        """
        return self._arrow(select, where, dates, equals)

    def to_pandas(
        self,
        select: Iterable[str] | None = None,
        *,
        where: Where | None = None,
        dates: Iterable[str] = (),
        **equals: Any,
    ) -> pd.DataFrame:
        """Return the entries as a data frame of pandas; see `to_arrow`.

        The columns have Arrow's types (`pandas.ArrowDtype`), so that integers stay
        integers where some are missing, and nothing is copied.

        Parameters
        ----------
        select, where, dates, **equals
            As in `to_arrow`.

        Returns
        -------
        pandas.DataFrame
            ``key`` is its first column.

        Raises
        ------
        ImportError
            pandas or pyarrow is not installed: the extra ``pandas`` brings both.
        TypeError, ValueError
            As `to_arrow`.

        Examples
        --------
        >>> from staticstore import Index
        >>> index = Index.from_entries({"a": {"size": 5}, "b": {}})
        >>> int(index.to_pandas()["size"].sum())
        5
        """
        pandas = import_extra("pandas", "pandas")
        table = self._arrow(select, where, dates, equals)
        return table.to_pandas(types_mapper=pandas.ArrowDtype)

    def to_polars(
        self,
        select: Iterable[str] | None = None,
        *,
        where: Where | None = None,
        dates: Iterable[str] = (),
        **equals: Any,
    ) -> pl.DataFrame:
        """Return the entries as a data frame of polars; see `to_arrow`.

        Parameters
        ----------
        select, where, dates, **equals
            As in `to_arrow`.

        Returns
        -------
        polars.DataFrame
            ``key`` is its first column.

        Raises
        ------
        ImportError
            polars or pyarrow is not installed: the extra ``polars`` brings both.
        TypeError, ValueError
            As `to_arrow`.

        Examples
        --------
        >>> from staticstore import Index
        >>> Index.from_entries({"a": {"size": 5}, "b": {}}).to_polars().rows()
        [('a', 5), ('b', None)]
        """
        polars = import_extra("polars", "polars")
        return polars.from_arrow(self._arrow(select, where, dates, equals))

    def _arrow(
        self,
        select: Iterable[str] | None,
        where: Where | None,
        dates: Iterable[str],
        equals: dict[str, Any],
    ) -> Any:
        fields, of_dates = selection(select), selection(dates) or ()
        import_extra("pyarrow", "arrow")
        from .columns import read_columns

        index = self._tabled()
        keys = index.query_keys(where=where, **equals) if where is not None or equals else None
        read: Columns = read_columns(index.stored, keys, fields, of_dates)
        for warning in read.warnings:
            warnings.warn(warning, stacklevel=3)
        return read.table


def import_extra(name: str, extra: str, *, what: str = "a table") -> Any:
    """Import a package that an extra brings.

    Parameters
    ----------
    name, extra : str
        The package, and the extra.
    what : str, optional
        What it is needed for.

    Raises
    ------
    ImportError
        It is not installed; the message names the extra.
    """
    import importlib

    try:
        with fork_gate().passing():
            return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"{what} needs the package `{name.partition('.')[0]}`, which the extra `{extra}` brings"
        ) from error
