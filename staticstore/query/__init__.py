"""Predicates: conditions on one field of an entry, for queries, subscriptions and mirrors.

A predicate stands where an equal value could: ``store.query(size=ge(1000))``.  It is a
small value, immutable, equal to others that were written alike, shown as it was written,
and can be pickled.

Notes
-----
The rules of comparison, which the command line shares:

* Values are of four kinds: numbers, instants, other texts, and true and false.  Values
  of different kinds, lists and objects are neither less nor greater than one another.
* A text that is a date (``2024-05-01``) or a time (``2024-05-01T12:30:00.5+02:00``, RFC
  3339, section 5.6) is an instant.  Without a zone it is in UTC; seconds may be missing.
* A date as an upper end means the whole day: ``le("2024-05-01")`` includes its evening,
  and ``gt("2024-05-01")`` begins after it.
* Equality is Python's ``==`` on decoded JSON.
* A field that is null is missing.  A missing field fulfills only `missing`, `ne` and
  `none_of`, and equals None.
* ``a.b`` names field ``b`` of the object ``a``, where there is no field ``a.b``.

Examples
--------
>>> between("2024-01-01", "2024-12-31")
between('2024-01-01', '2024-12-31')
>>> from staticstore.index.snapshot import Index
>>> index = Index.from_entries({"a": {"size": 5}, "b": {"size": 50}, "c": {}})
>>> list(index.query_keys(size=any_of(missing(), gt(10))))
['b', 'c']
"""

from __future__ import annotations

from .boxes import intersects
from .combinations import all_of, any_of, none_of
from .conditions import any_where
from .order import between, ge, gt, le, lt
from .predicates import Predicate, exists, missing, ne, one_of
from .texts import contains, like, matches

__all__ = [
    "Predicate",
    "all_of",
    "any_of",
    "any_where",
    "between",
    "contains",
    "exists",
    "ge",
    "gt",
    "intersects",
    "le",
    "like",
    "lt",
    "matches",
    "missing",
    "ne",
    "none_of",
    "one_of",
]
