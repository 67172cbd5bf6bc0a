"""Sort the arcs of an edge list into CSR arrays, on all cores."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from graphembed._ingest.edge_list import FLOAT32, Array
from graphembed._ingest.threads import run
from graphembed._kernels import _csr
from graphembed.exceptions import GraphFormatError

_MAX_GROUPS = 2**14  # what a chunk of edges counts in cache
_BUCKET = 2**15  # arcs of a bucket, unless there would be more than _MAX_BUCKETS
_MAX_BUCKETS = 2**10
_CHUNK = 2**16  # edges of a chunk, unless there would be more than _MAX_CHUNKS
_MAX_CHUNKS = 64
_SCRATCH = 2**21  # records sorted in one go


@dataclass(frozen=True)
class SortedArcs:
    """Arcs sorted by source and target, parallel ones side by side.

    Record i is ``source << bits | target`` and, in a second column, the bits of a float64 weight.
    `unlike` tells whether parallel arcs have a sum other than 1; `bad` is the first record of a sum
    that is no normal float32, or -1.
    """

    records: Array
    bits: int
    starts: Array
    nodes: Array
    n_distinct: Array
    unlike: bool
    bad: int

    def pair(self, record: int) -> tuple[int, int]:
        """Source and target of a record."""
        key = int(self.records[record, 0])
        return key >> self.bits, key & ((1 << self.bits) - 1)

    def total(self, record: int) -> float:
        """Sum of the weights from a record on that belong to the same arc."""
        stop = record + 1
        while stop < len(self.records) and self.records[stop, 0] == self.records[record, 0]:
            stop += 1
        if self.records.shape[1] == 1:
            return float(stop - record)
        return float(sum(self.records[record:stop, 1].view(np.float64).tolist()))


def sort_arcs(
    source: Array, target: Array, weights: Array | None, n_nodes: int, *, mirror: bool
) -> SortedArcs:
    """Sort arcs, with `mirror` also their reverses; arcs of weight 0 are left out.

    Parameters
    ----------
    source, target : ndarray of int32, shape (n_edges,)
        Node indices.
    weights : ndarray of float64, shape (n_edges,), or None
        Finite and >= 0.
    n_nodes : int
        Number of nodes.
    mirror : bool
        Whether the edges are undirected, each listed once.

    Returns
    -------
    SortedArcs
        The arcs.

    Notes
    -----
    O(n_nodes + n_edges) time. Memory: a record of 8 bytes for every arc, 16 with weights, and as
    much for the 2^21 arcs, or the arcs of one node if they are more, that are sorted at a time.
    """
    bits = max(1, (n_nodes - 1).bit_length())
    shift = max(0, bits - (_MAX_GROUPS - 1).bit_length())
    values = np.empty(0) if weights is None else weights
    n_chunks = max(1, min(_MAX_CHUNKS, len(source) // _CHUNK))
    counts = np.empty((n_chunks, ((n_nodes - 1) >> shift) + 1), np.int64)
    edges = (source, target, values, mirror, shift)
    run(lambda *part: _csr.count_groups(*edges, counts, *part), n_chunks, work=len(source) // 8)
    bucket, first_groups = _join_groups(counts.sum(axis=0))
    counts = np.add.reduceat(counts, first_groups, axis=1)
    starts = _bounds(counts.sum(axis=0))
    places = np.cumsum(counts, axis=0) - counts + starts[:-1]
    records = np.empty((int(starts[-1]), 1 if weights is None else 2), np.uint64)
    run(
        lambda *part: _csr.deal_arcs(*edges, bucket, bits, places, records, *part),
        n_chunks,
        work=len(source) // 2,
    )
    nodes = np.append(first_groups << shift, n_nodes)
    return _sort_buckets(records, starts, nodes, bits)


def _bounds(counts: Array) -> Array:
    return np.concatenate([[0], np.cumsum(counts)])


def _join_groups(sizes: Array) -> tuple[Array, Array]:
    """Make buckets of groups of sources: the bucket of every group, the first group of each."""
    total = int(sizes.sum())
    limit = max(_BUCKET, -(-total // _MAX_BUCKETS))
    _, first, bucket = np.unique(
        (np.cumsum(sizes) - sizes) // limit, return_index=True, return_inverse=True
    )
    return bucket.astype(np.int32), first


def _sort_buckets(records: Array, starts: Array, nodes: Array, bits: int) -> SortedArcs:
    n_buckets = len(nodes) - 1
    n_distinct, bad = np.empty(n_buckets, np.int64), np.empty(n_buckets, np.int64)
    unlike = np.empty(n_buckets, np.int8)
    largest = int(np.diff(starts).max())
    if largest >= 2**32:
        raise GraphFormatError("more than 2**32 edges have the same source, or neighbouring ones")
    room = max(largest, min(_SCRATCH, len(records)))
    scratch = np.empty((room, records.shape[1]), np.uint64)
    low, high = float(FLOAT32.tiny), float(FLOAT32.max)
    # A bucket fits behind those that begin in the same half of the scratch memory.
    for begin, end in pairwise(_runs(starts, room)):
        some = slice(begin, end)
        bounds = slice(begin, end + 1)
        buckets = (records, starts[bounds], nodes[bounds], bits)
        common = (*buckets, int(starts[begin]), scratch, low, high)
        found = (n_distinct[some], unlike[some], bad[some])
        run(
            lambda *part: _csr.sort_buckets(*common, *found, *part),  # noqa: B023
            end - begin,
            work=int(starts[end] - starts[begin]),
        )
    where = bad[bad >= 0]
    first_bad = int(where[0]) if len(where) else -1
    return SortedArcs(records, bits, starts, nodes, n_distinct, bool(unlike.any()), first_bad)


def _runs(starts: Array, room: int) -> list[int]:
    """Cut the buckets into runs of at most `room` records."""
    cuts = [0]
    while cuts[-1] < len(starts) - 1:
        limit = int(starts[cuts[-1]]) + room
        cuts.append(int(np.searchsorted(starts, limit, side="right")) - 1)
    return cuts


def write_csr(
    arcs: SortedArcs, n_nodes: int, *, weighted: bool
) -> tuple[Array, Array, Array | None]:
    """Sum parallel arcs in float64, in their order, and write indptr, indices and weights.

    Parameters
    ----------
    arcs : SortedArcs
        The arcs.
    n_nodes : int
        Number of nodes.
    weighted : bool
        Whether the sums are wanted.

    Returns
    -------
    tuple of (indptr, indices, weights)
        int64, int32, and float32 or None.
    """
    bounds = _bounds(arcs.n_distinct)
    indptr = np.empty(n_nodes + 1, np.int64)
    indices = np.empty(int(bounds[-1]), np.int32)
    weights = np.empty(len(indices) if weighted else 0, np.float32)
    run(
        lambda *part: _csr.write_rows(
            arcs.records,
            arcs.starts,
            arcs.nodes,
            arcs.bits,
            bounds,
            indptr,
            indices,
            weights,
            *part,
        ),
        len(arcs.n_distinct),
        work=len(arcs.records) // 4,
    )
    return indptr, indices, weights if weighted else None
