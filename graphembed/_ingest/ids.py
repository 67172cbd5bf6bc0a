"""Rules for node ids: what is an id, and in which order ids become indices.

Integer ids are an int64 array, anything else is an object array of the user's own hashables.
"""

import numbers
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from graphembed._ingest.edge_list import Array, check_n_nodes, refuse_set
from graphembed._ingest.integers import index_integers
from graphembed.exceptions import GraphFormatError

_INT64 = np.iinfo(np.int64)


def object_array(values: Iterable[Any], count: int) -> Array:
    """Make a 1-D object array, also where the values are tuples."""
    return np.fromiter(values, dtype=object, count=count)


def ids_from(values: Any, where: str) -> Array:
    """Check ids and bring them into an int64 or object array.

    Parameters
    ----------
    values : array or iterable
        The ids.
    where : str
        Text with one ``{}`` for the position, for error messages: ``"nodes[{}]"``.

    Returns
    -------
    ndarray
        int64 if every id is a whole number, else object.
    """
    refuse_set(values, where.removesuffix("[{}]"))
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            raise GraphFormatError(
                f"{where.format('...')}: ids must be 1-D, got shape {values.shape}"
            )
        if values.dtype.kind in "iuf":
            return _ids_from_numbers(values, where)
        if values.dtype.kind not in "OUST":
            raise GraphFormatError(
                f"{where.format('...')}: ids of dtype {values.dtype} are not supported; "
                "use integers or strings"
            )
        return _ids_from_list(values.tolist(), where)
    return _ids_from_list(values if isinstance(values, list) else list(values), where)


def _ids_from_numbers(values: Array, where: str) -> Array:
    if values.dtype.kind == "f":
        return _ids_from_floats(values, where)
    if values.dtype.kind == "u" and values.size and values.max() > _INT64.max:
        position = int(np.argmax(values > _INT64.max))
        raise _too_large(where.format(position), values[position])
    return values.astype(np.int64, copy=False)


def _ids_from_floats(values: Array, where: str) -> Array:
    exact = 2 ** min(53, np.finfo(values.dtype).nmant + 1)
    bad = ~(np.abs(values) < exact)
    bad |= np.trunc(values) != values
    if bad.any():
        position = int(np.argmax(bad))
        value = float(values[position])
        if np.isfinite(value) and value.is_integer():
            raise GraphFormatError(
                f"{where.format(position)}: the id {value!r} is too large to be exact in "
                f"{values.dtype}; hand ids over as integers or strings"
            )
        raise GraphFormatError(f"{where.format(position)}: an id must be whole, got {value!r}")
    return values.astype(np.int64)


def _ids_from_list(values: Sequence[Any], where: str) -> Array:
    if not values:
        return np.empty(0, dtype=np.int64)
    kinds = set(map(type, values))
    if not kinds <= {int, str}:
        values = [_one_id(value, where, position) for position, value in enumerate(values)]
        kinds = set(map(type, values))
    if int not in kinds:
        return object_array(values, len(values))
    for position, value in enumerate(values) if _beyond_int64(values, kinds) else ():
        if type(value) is int and not _INT64.min <= value <= _INT64.max:
            raise _too_large(where.format(position), value)
    if kinds == {int}:
        return np.array(values, dtype=np.int64)
    return object_array(values, len(values))


def _beyond_int64(values: Sequence[Any], kinds: set[type]) -> bool:
    whole = values if kinds == {int} else [value for value in values if type(value) is int]
    return bool(min(whole) < _INT64.min or max(whole) > _INT64.max)


def _one_id(value: Any, where: str, position: int) -> Any:
    """Check one id of any type; whole numbers become int, numpy strings become str."""
    if isinstance(value, bool | np.bool_):
        raise GraphFormatError(f"{where.format(position)}: an id must not be a bool, got {value!r}")
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, float | np.floating):
        return int(_ids_from_floats(np.array([value]), where.format(position))[0])
    if isinstance(value, str):
        return str(value)
    if value is None:
        raise GraphFormatError(f"{where.format(position)}: an id must not be None")
    try:
        hash(value)
        if not isinstance(value, complex | np.complexfloating) and value == value:
            return value
    except TypeError:  # pandas.NA is hashable, but not even comparable
        pass
    raise GraphFormatError(
        f"{where.format(position)}: an id must be hashable and equal to itself, got {value!r}"
    )


def _too_large(where: str, value: Any) -> GraphFormatError:
    return GraphFormatError(
        f"{where}: integer ids must fit int64, got {int(value)}; hand it over as a string"
    )


def matrix_ids(nodes: Iterable[Any] | None, n_nodes: int, name: str = "nodes") -> Array:
    """Ids of the rows of a matrix: 0..n-1, or the user's, which must be distinct."""
    check_n_nodes(n_nodes)
    if nodes is None:
        return np.arange(n_nodes, dtype=np.int64)
    ids = ids_from(nodes, f"{name}[{{}}]")
    if len(ids) != n_nodes:
        raise GraphFormatError(
            f"{name} must name every row of the matrix: {n_nodes} ids wanted, got {len(ids)}"
        )
    check_distinct(ids, name)
    return ids.copy()


def check_distinct(ids: Array, name: str) -> None:
    """Refuse ids that name two nodes."""
    if ids.dtype != object:
        values = np.sort(ids)
        twice = np.flatnonzero(values[1:] == values[:-1])
        if len(twice):
            raise GraphFormatError(f"{name} must be distinct, got {int(values[twice[0]])} twice")
        return
    if len(set(ids.tolist())) == len(ids):
        return
    seen: set[Any] = set()
    for value in ids.tolist():
        if value in seen:
            raise GraphFormatError(f"{name} must be distinct, got {value!r} twice")
        seen.add(value)


def append_nodes(ids: Array, nodes: Iterable[Any] | None) -> Array:
    """Put the ids of `nodes` that are not there yet behind `ids`."""
    if nodes is None:
        return ids
    merged = dict.fromkeys(chain(ids.tolist(), ids_from(nodes, "nodes[{}]").tolist()))
    return ids_from(list(merged), "nodes[{}]")


def index_edges(
    source: Array, target: Array, nodes: Iterable[Any] | None, *, reuse: bool = False
) -> tuple[Array, Array, Array]:
    """Give the ids of an edge list their indices.

    `nodes` come first, in their order; the other ids follow, ascending if all ids are integers,
    else in the order in which the edges name them. With `reuse`, the indices may be written over
    int32 ids.

    Returns
    -------
    tuple of (node_ids, source indices, target indices)
        The indices are int32.
    """
    first = np.empty(0, np.int64) if nodes is None else ids_from(nodes, "nodes[{}]")
    if object in (first.dtype, source.dtype, target.dtype):
        return _index_hashables(source, target, first)
    node_ids, source, target = index_integers(source, target, reuse=reuse)
    if not len(first):
        return node_ids, source, target
    return _move_to_front(first, node_ids, source, target)


def _index_hashables(source: Array, target: Array, first: Array) -> tuple[Array, Array, Array]:
    sources, targets = source.tolist(), target.tolist()
    seen = dict.fromkeys(
        chain(first.tolist(), chain.from_iterable(zip(sources, targets, strict=True)))
    )
    index = {node: number for number, node in enumerate(seen)}
    source, target = (
        np.fromiter(map(index.__getitem__, ids), dtype=np.int32, count=len(ids))
        for ids in (sources, targets)
    )
    return object_array(seen, len(seen)), source, target


def _move_to_front(
    first: Array, node_ids: Array, source: Array, target: Array
) -> tuple[Array, Array, Array]:
    _, where = np.unique(first, return_index=True)
    first = first[np.sort(where)]
    rest = node_ids[~np.isin(node_ids, first)]
    final = np.concatenate([first, rest])
    check_n_nodes(len(final))
    order = np.argsort(final, kind="stable").astype(np.int32)
    rank = order[np.searchsorted(final, node_ids, sorter=order)]
    return final, rank[source], rank[target]
