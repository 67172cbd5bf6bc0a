"""Integer ids become indices in ascending order: by a bit map, or by a hash table if far apart."""

import secrets
import sys

import numpy as np

from graphembed._ingest.edge_list import Array, check_n_nodes
from graphembed._ingest.threads import n_threads, run
from graphembed._kernels import _tables

_IDS_PER_CALL = 2**18  # between two calls Ctrl-C is heard
_MARKS_PER_CALL = 2**24
_SLOTS = 2**12
_MOST_FLAGS = 4  # threads that mark ids, each with bits of its own
_LOW_HALF = slice(0, 4) if sys.byteorder == "little" else slice(7, 3, -1)


def index_integers(
    source: Array, target: Array, *, reuse: bool = False
) -> tuple[Array, Array, Array]:
    """Give the integer ids of an edge list their indices, in the order of the ids.

    Parameters
    ----------
    source, target : ndarray of int32 or int64
        The ids.
    reuse : bool, default=False
        Whether the indices may be written over ids that are int32.

    Returns
    -------
    tuple of (node_ids, source indices, target indices)
        int64, int32, int32. They are the arrays that were given, where these are int32 and hold
        every integer from 0 on.

    Notes
    -----
    Ids that lie within a range of 4 times the number of edges: O(range) time, a bit for every
    integer in it and each of at most 4 threads, and 1.5 bytes. Others: 48 to 96 bytes for every
    node, 4 bytes for every end of an edge.
    """
    if not len(source):
        empty = np.empty(0, np.int32)
        return np.empty(0, np.int64), empty, empty
    low = min(int(source.min()), int(target.min()))
    spread = max(int(source.max()), int(target.max())) - low + 1
    if spread > 4 * len(source) + 1024:  # ids far apart
        return _index_by_hashing(source, target)
    cells, node_ids = _find_ids(source, target, low, spread)
    check_n_nodes(len(node_ids))
    if low == 0 and len(node_ids) == spread and source.dtype == target.dtype == np.int32:
        return node_ids, source, target
    ranks = []
    for ids in (source, target):
        rank = ids if reuse and ids.dtype == np.int32 else np.empty(len(ids), np.int32)
        run(
            lambda *part: _tables.rank_ids(ids, low, cells, rank, *part),  # noqa: B023
            len(ids),
            work=len(ids) // 2,
        )
        ranks.append(rank)
    return node_ids, ranks[0], ranks[1]


def _find_ids(source: Array, target: Array, low: int, spread: int) -> tuple[Array, Array]:
    """Cells for `rank_ids`, and the ids that occur."""
    flags = np.zeros((min(n_threads(), _MOST_FLAGS), -(-spread // 32)), np.uint32)
    for ids in (source, target):
        for start in range(0, len(ids), _MARKS_PER_CALL):
            some = ids[start : start + _MARKS_PER_CALL]
            run(
                lambda *part: _tables.mark_ids(some, low, flags, *part),  # noqa: B023
                len(flags),
                work=len(some) // 4,
            )
    cells, counts = np.empty(flags.shape[1], np.uint64), np.empty(flags.shape[1], np.int32)
    run(
        lambda *part: _tables.join_flags(flags, cells, counts, *part),
        len(cells),
        work=flags.size // 8,
    )
    bits = np.unpackbits(cells.view(np.uint8).reshape(-1, 8)[:, _LOW_HALF], bitorder="little")
    before = (np.cumsum(counts, dtype=np.int64) - counts).astype(np.uint64)
    return cells | before << np.uint64(32), np.flatnonzero(bits) + low


def _index_by_hashing(source: Array, target: Array) -> tuple[Array, Array, Array]:
    seed = secrets.randbits(64)
    used = np.zeros(1, np.int64)
    slots, distinct = np.zeros((_SLOTS, 2), np.uint64), np.empty(_SLOTS // 2, np.int64)
    ends = []
    for ids in (source, target):
        ids = np.ascontiguousarray(ids, np.int64)
        numbers = np.empty(len(ids), np.int32)
        done = 0
        while done < len(ids):
            end = min(done + _IDS_PER_CALL, len(ids))
            done = _tables.number_integers(ids, slots, distinct, used, numbers, seed, done, end)
            if done < end:
                check_n_nodes(int(used[0]) + 1)
                slots, distinct = _doubled(slots, distinct, seed)
        ends.append(numbers)
    del slots
    known = distinct[: int(used[0])]
    order = np.argsort(known)
    rank = np.empty(len(known), np.int32)
    rank[order] = np.arange(len(known), dtype=np.int32)
    for numbers in ends:
        run(
            lambda *part: _tables.renumber(numbers, rank, numbers, *part),  # noqa: B023
            len(numbers),
            work=len(numbers) // 4,
        )
    return known[order], ends[0], ends[1]


def _doubled(slots: Array, distinct: Array, seed: int) -> tuple[Array, Array]:
    larger = np.zeros((2 * len(slots), 2), np.uint64)
    _tables.move_slots(slots, larger, seed, False)
    return larger, np.concatenate([distinct, np.empty_like(distinct)])
