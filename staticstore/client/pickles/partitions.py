"""Values of a snapshot in parts that any process can read, for Dask."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from ... import tuning
from ...index.tables.tabular import import_extra
from ...query.conditions import selected

if TYPE_CHECKING:
    from dask.bag import Bag

    from ..site_snapshot import Values
    from ..view_values import ViewValues

__all__ = ["Partition", "ReadMany", "to_dask_bag"]

#: A function of a module, which yields keys and whole values.
ReadMany = Callable[[Any, Iterable[str]], Iterator[tuple[str, bytes]]]


class Partition:
    """Some values of a snapshot, with their entries alone; pickles without a secret.

    Parameters
    ----------
    read_many : callable
        Reads some of the values, called with them and their keys.
    values : Values or ViewValues
        The values.
    fields : tuple of str, optional
        The fields of the metadata to give with each; None for none.
    """

    __slots__ = ("_fields", "_read_many", "_values")

    def __init__(
        self, read_many: ReadMany, values: Values | ViewValues, fields: tuple[str, ...] | None
    ) -> None:
        self._read_many = read_many
        self._values = values
        self._fields = fields

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the entries, and how their sites are reached."""
        return Partition, (self._read_many, self._values, self._fields)

    def read(self) -> Iterator[tuple[Any, ...]]:
        """Yield keys, whole values, and metadata if fields are wanted; see `read_many`."""
        values, fields = self._values, self._fields
        for pair in self._read_many(values, values.index):
            yield pair if fields is None else (*pair, selected(values.index[pair[0]], fields))


def to_dask_bag(
    read_many: ReadMany,
    values: Values | ViewValues,
    keys: Iterable[str],
    *,
    token: object,
    fields: tuple[str, ...] | None,
    size: int | str | None,
) -> Bag:
    """Return a bag of values; see `StaticStore.to_dask_bag`.

    Parameters
    ----------
    read_many : callable
        As in `Partition`.
    values : Values or ViewValues
        The values of a snapshot.
    keys : iterable of str
        Those wanted, in the order of the bag.
    token : object
        Identifies the snapshot.
    fields : tuple of str or None
        As in `Partition`.
    size : int or str, optional
        Most bytes of a partition.
    """
    bags = import_extra("dask.bag", "dask", what="a bag of Dask")
    from dask.base import tokenize
    from dask.utils import parse_bytes

    most = None if size is None else parse_bytes(size)
    if most is not None and most < 1:
        raise ValueError(f"partition_size is a number of bytes, 1 or more, not {size!r}")
    # Requests count as bytes, except where the user says how many bytes.
    cost = tuning.REQUEST_COST_BYTES if most is None else 0
    names = list(keys)
    digest = hashlib.sha256("\0".join(names).encode("utf-8", "surrogatepass")).hexdigest()
    parts = list(_parts(names, _weights(values, names, cost), most)) or [[]]
    name = f"staticstore-{tokenize(token, digest, fields, list(map(len, parts)))}"
    graph = {
        (name, number): (list, (Partition.read, Partition(read_many, values.only(part), fields)))
        for number, part in enumerate(parts)
    }
    bag: Bag = bags.Bag(graph, name, len(parts))
    return bag


def _weights(values: Values | ViewValues, keys: Iterable[str], cost: int) -> list[int]:
    weights, left = list[int](), iter(keys)
    while some := list(islice(left, tuning.WINDOW_KEYS)):
        contents = values.index.contents_of(some)
        for key in some:
            size = contents[key].size
            size = tuning.LARGE_VALUE_BYTES if size is None else size
            weights.append(size + cost)
    return weights


def _parts(keys: list[str], weights: list[int], most: int | None) -> Iterator[list[str]]:
    if most is None:
        share = sum(weights) // tuning.BAG_PARTS
        most = min(max(share, tuning.BAG_LEAST_BYTES), tuning.BAG_MOST_BYTES)
    start = weight_of_part = 0
    for number, weight in enumerate(weights):
        if number > start and weight_of_part + weight > most:
            yield keys[start:number]
            start, weight_of_part = number, 0
        weight_of_part += weight
    if start < len(keys):
        yield keys[start:]
