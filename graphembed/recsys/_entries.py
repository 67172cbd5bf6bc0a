"""From pairs of ids to the entries of a matrix: numbering ids, and merging repeated pairs."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from graphembed._ingest.edge_list import Array
from graphembed._ingest.ids import object_array
from graphembed._ingest.integers import index_integers

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Entries(NamedTuple):
    """Pairs as places among the ids of users and items, with what belongs to each pair."""

    users: Array
    items: Array
    values: Array | None
    times: Array | None
    user_ids: Array
    item_ids: Array

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of users and items."""
        return len(self.user_ids), len(self.item_ids)

    def describe(self, k: int) -> str:
        """Name a pair the way the user knows it."""
        user, item = self.user_ids[self.users[k]], self.item_ids[self.items[k]]
        return f"the pair ({plain(user)!r}, {plain(item)!r})"


def plain(value: Any) -> Any:
    """Return the Python value of a numpy scalar."""
    return value.item() if isinstance(value, np.generic) else value


def code_integers(ids: Array) -> tuple[Array, Array]:
    """Return the distinct integers, ascending, and the place of every one among them."""
    distinct, codes, _ = index_integers(ids, ids[:1])
    return distinct, codes


def code_ids(ids: Array) -> tuple[Array, Array]:
    """Return the distinct ids and the place of every one: ascending, or by first appearance."""
    if ids.dtype != object:
        return code_integers(ids)
    values = ids.tolist()
    index = {value: k for k, value in enumerate(dict.fromkeys(values))}
    codes = np.fromiter(map(index.__getitem__, values), np.int32, len(values))
    return object_array(index, len(index)), codes


def locate(ids: Array, universe: Array) -> Array:
    """Return the place of every id in `universe`, -1 where it is not there."""
    if ids.dtype != object and universe.dtype != object:
        if not len(universe):
            return np.full(len(ids), -1)
        order = np.argsort(universe, kind="stable")
        place = np.searchsorted(universe, ids, sorter=order)
        found = order[np.minimum(place, len(universe) - 1)]
        return np.where(universe[found] == ids, found, -1)
    index = {value: k for k, value in enumerate(universe.tolist())}
    return np.array([index.get(value, -1) for value in ids.tolist()], np.int64)


def unite(ids: Array, others: Array) -> Array:
    """Put the ids of `others` that are not in `ids` behind them."""
    new = others[locate(others, ids) < 0]
    if not len(new):
        return ids
    if (ids.dtype == object) != (new.dtype == object):
        numbers, words = (new, ids) if ids.dtype == object else (ids, new)
        spelled = set(words.tolist()).intersection(map(str, numbers.tolist()))
        if spelled:
            raise ValueError(
                f"ids are numbers in one table, text in the other, such as {min(spelled)} and "
                f"{min(spelled)!r}: convert one of them, or read the second file with like="
            )
    if ids.dtype == new.dtype:
        return np.concatenate([ids, new])
    values = [*ids.tolist(), *new.tolist()]
    return object_array(values, len(values))


def rows_of(matrix: sp.csr_matrix) -> Array:
    """Return the row of every entry."""
    rows = np.arange(matrix.shape[0], dtype=np.int32)
    return np.repeat(rows, np.diff(matrix.indptr))


def make_csr(data: Array, indices: Array, indptr: Array, shape: tuple[int, int]) -> sp.csr_matrix:
    """Make a read-only matrix of canonical arrays, which are not copied."""
    index = np.int32 if len(indices) < 2**31 else np.int64
    matrix = sp.csr_matrix(shape)
    parts = {
        "data": data,
        "indices": indices.astype(index, copy=False),
        "indptr": indptr.astype(index, copy=False),
    }
    for name, array in parts.items():  # the constructor would make writable copies
        setattr(matrix, name, read_only(array))
    matrix.has_sorted_indices = matrix.has_canonical_format = True
    return matrix


def read_only(array: Array) -> Array:
    """Return a view that cannot be written to."""
    view = array.view()
    view.flags.writeable = False
    return view


def merge(entries: Entries, duplicates: str) -> tuple[sp.csr_matrix, Array | None]:
    """Sort pairs by user and item, and make one entry of the pairs that are the same.

    O(m log m) time for m pairs, O(m) if they are sorted; 24 bytes a pair besides the result.
    """
    users, items, values, times = entries[:4]
    n_users, n_items = entries.shape
    keys = users.astype(np.int64) * n_items + items
    order = None
    if not (keys[1:] > keys[:-1]).all():
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
    repeated = keys[1:] == keys[:-1]
    if times is not None and order is not None and repeated.any():
        tied = np.flatnonzero(np.append(repeated, False) | np.append(False, repeated))
        order[tied] = order[tied][np.lexsort((times[order[tied]], keys[tied]))]
    if repeated.any() and duplicates == "error":
        k = int(np.argmax(repeated))
        raise ValueError(
            f"{entries.describe(k if order is None else int(order[k]))} occurs more than once: "
            "choose duplicates='last' or 'sum'"
        )
    last = np.flatnonzero(np.append(~repeated, [True] * bool(len(keys))))
    kept = last if order is None else order[last]
    data = np.ones(len(kept)) if values is None else values[kept].astype(np.float64)
    if duplicates == "sum" and repeated.any():
        every = np.ones(len(keys)) if values is None else values.astype(np.float64)
        data = np.add.reduceat(every if order is None else every[order], [0, *(last[:-1] + 1)])
    with np.errstate(over="ignore", under="ignore"):  # an error below
        small = data.astype(np.float32)
    good = (small > 0) & np.isfinite(small)
    if not good.all():
        k = int(np.argmin(good))
        raise ValueError(
            f"{entries.describe(int(kept[k]))} has the value {data[k]}, which does not fit float32 "
            "as a number > 0: scale the values"
        )
    indptr = np.zeros(n_users + 1, np.int64)
    np.cumsum(np.bincount(users[kept], minlength=n_users), out=indptr[1:])
    matrix = make_csr(small, items[kept].astype(np.int32), indptr, entries.shape)
    return matrix, None if times is None else times[kept]


def same(a: Array | None, b: Array | None) -> bool:
    """Tell whether two arrays hold the same, types of ids included."""
    if a is None or b is None:
        return a is b
    if a.dtype == object or b.dtype == object:
        return a.dtype == b.dtype and a.tolist() == b.tolist()
    return bool(np.array_equal(a, b))


def check_values(values: Any, count: int, name: str, *, zeros: bool = False) -> Array:
    """Check ratings or weights: a finite number for each pair, above zero unless `zeros`."""
    array = _numbers(values, count, name)
    bad = ~(array >= 0 if zeros else array > 0)
    if bad.any():
        k = int(np.argmax(bad))
        raise ValueError(
            f"{name} must be {'>= 0' if zeros else '> 0'}, got {name}[{k}] = {array[k]}: leave "
            "such entries out, or shift the ratings"
        )
    return array


def check_times(times: Any, count: int, name: str) -> Array:
    """Check times: int64 or float64; datetime64 and ISO dates as microseconds."""
    array = np.asarray(times)
    if array.dtype.kind in "OU" and array.shape == (count,):
        array = iso_times(array.tolist(), name)
    if array.dtype.kind == "M":
        if np.isnat(array).any():
            raise ValueError(f"{name}[{int(np.argmax(np.isnat(array)))}] is no time")
        array = array.astype("datetime64[us]").astype(np.int64)
    array = _numbers(array, count, name)
    return array.astype(np.float64 if array.dtype.kind == "f" else np.int64)


def iso_times(values: list[Any], name: str) -> Array:
    """Turn ISO dates, or datetimes, into microseconds since 1970; UTC where no zone is given."""
    moments = np.empty(len(values), np.int64)
    for k, value in enumerate(values):
        try:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise ValueError(
                f"{name}[{k}] is {value!r:.80}, neither a number nor an ISO date such as "
                "2024-05-01T12:00:00: convert the times first (pandas.to_datetime does)"
            ) from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        moments[k] = (moment - _EPOCH) // timedelta(microseconds=1)
    return moments


def _numbers(values: Any, count: int, name: str) -> Array:
    array = np.asarray(values)
    if array.shape != (count,) or array.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} must be {count} real numbers, one for every interaction, got shape "
            f"{array.shape} and dtype {array.dtype}: convert it (times may be datetime64, too)"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        k = int(np.argmin(np.isfinite(array)))
        raise ValueError(f"{name} must be finite, got {name}[{k}] = {array[k]}")
    return array
