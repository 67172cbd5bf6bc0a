"""Sort the arcs of an edge list into CSR arrays, on all cores."""

from dataclasses import dataclass

import numpy as np

from graphembed._ingest.edge_list import FLOAT32, Array
from graphembed._ingest.threads import n_threads, run
from graphembed._kernels import _csr
from graphembed.exceptions import GraphFormatError

_GROUP_BITS = 12  # 2^12 groups of nodes: what a chunk of edges counts in cache
_NARROW_BITS = 22  # up to 2^22 nodes keys have 4 bytes: 2^12 buckets of 2^10 nodes
_BUCKET = 2**17  # arcs of a bucket, unless there would be more than _MAX_BUCKETS
_MAX_BUCKETS = 2**10
_SCRATCH_WORDS = 2**25  # of 8 bytes, for all threads together
_CHUNK = 2**16  # edges of a chunk, unless there would be more than _MAX_CHUNKS
_MAX_CHUNKS = 64


@dataclass(frozen=True)
class SortedArcs:
    """Arcs sorted by source and target, parallel ones side by side: a CSR that is not summed.

    Buckets of neighbouring nodes begin at `starts` in the arcs and at `nodes` in the nodes, and
    have `n_distinct` different arcs. `unlike` tells whether parallel arcs have a sum other than 1;
    `bad` is the first arc of a sum that is no normal float32, or -1.
    """

    indptr: Array
    targets: Array
    weights: Array
    starts: Array
    nodes: Array
    n_distinct: Array
    unlike: bool
    bad: int

    def pair(self, arc: int) -> tuple[int, int]:
        """Source and target of an arc."""
        source = int(np.searchsorted(self.indptr, arc, side="right")) - 1
        return source, int(self.targets[arc])

    def total(self, arc: int) -> float:
        """Sum of the weights from an arc on that are parallel to it."""
        rest = self.targets[arc : self.indptr[self.pair(arc)[0] + 1]]
        count = int(np.searchsorted(rest, rest[0], side="right"))
        return float(sum(self.weights[arc : arc + count].tolist()))


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
    O(n_nodes + n_edges) time. Memory: 4 bytes for every arc, which become the targets, above 2^22
    nodes 12, 8 more with weights; 8 bytes a node; and for each thread 8 to 24 bytes for every
    arc of a bucket, of 2^17 arcs, or those of n_nodes / 4096 neighbouring nodes if they are more;
    then only as many threads sort as have 256 MB of it, but at least one.
    """
    bits = max(1, (n_nodes - 1).bit_length())
    narrow = bits <= _NARROW_BITS
    shift = max(0, bits - _GROUP_BITS)
    values = np.empty(0) if weights is None else weights
    n_chunks = max(1, min(_MAX_CHUNKS, len(source) // _CHUNK))
    counts = np.zeros((n_chunks, ((n_nodes - 1) >> shift) + 1), np.int32)
    edges = (source, target, values, mirror, shift)
    run(lambda *part: _csr.count_groups(*edges, counts, *part), n_chunks, work=len(source) // 8)
    sizes = counts.sum(axis=0, dtype=np.int64)
    bucket, first_groups = _join_groups(sizes, 2 ** (32 - bits - shift) if narrow else len(sizes))
    dealt = np.add.reduceat(counts, first_groups, axis=1, dtype=np.int64)
    starts = _bounds(dealt.sum(axis=0))
    places = np.cumsum(dealt, axis=0) - dealt + starts[:-1]
    keys: Array = np.empty(int(starts[-1]), np.uint32 if narrow else np.uint64)
    weights_of_keys = np.empty(0 if weights is None else len(keys))
    run(
        lambda *part: _csr.deal_arcs(*edges, bucket, bits, places, keys, weights_of_keys, *part),
        n_chunks,
        work=len(source) // 2,
    )
    nodes = np.append(first_groups << shift, n_nodes)
    return _sort_buckets(keys, weights_of_keys, starts, nodes, bits)


def _bounds(counts: Array) -> Array:
    return np.concatenate([[0], np.cumsum(counts)])


def _join_groups(sizes: Array, most: int) -> tuple[Array, Array]:
    """Make buckets of groups of sources: the bucket of every group, the first group of each.

    A bucket has at most `most` groups, and lies between multiples of it.
    """
    limit = max(_BUCKET, -(-int(sizes.sum()) // _MAX_BUCKETS))
    by_size, by_place = (np.cumsum(sizes) - sizes) // limit, np.arange(len(sizes)) // most
    _, first, bucket = np.unique(by_size + by_place, return_index=True, return_inverse=True)
    return bucket.astype(np.int32), first


def _sort_buckets(
    keys: Array, weights: Array, starts: Array, nodes: Array, bits: int
) -> SortedArcs:
    n_buckets = len(nodes) - 1
    largest = int(np.diff(starts).max())
    if largest >= 2**32:
        raise GraphFormatError("more than 2**32 edges have the same source, or neighbouring ones")
    words = 3 if len(weights) else keys.itemsize // 4
    n_words = max(1, words * largest)
    # Fewer threads where a hub makes their scratch memory large
    n_slots = max(1, min(n_threads(), _SCRATCH_WORDS // n_words))
    scratch = np.empty((n_slots, n_words), np.uint64)
    taken = np.zeros(len(scratch), np.int32)
    indptr = np.empty(int(nodes[-1]) + 1, np.int64)
    indptr[0] = 0
    targets = keys.view(np.int32) if keys.dtype == np.uint32 else np.empty(len(keys), np.int32)
    n_distinct, bad = np.empty(n_buckets, np.int64), np.empty(n_buckets, np.int64)
    unlike = np.empty(n_buckets, np.int8)
    where = (starts, nodes, bits, scratch, taken, float(FLOAT32.tiny), float(FLOAT32.max))
    run(
        lambda *part: _csr.sort_buckets(
            keys, weights, *where, indptr, targets, n_distinct, unlike, bad, *part
        ),
        n_buckets,
        work=len(keys),
        most=n_slots,
    )
    found = bad[bad >= 0]
    first_bad = int(found[0]) if len(found) else -1
    return SortedArcs(
        indptr, targets, weights, starts, nodes, n_distinct, bool(unlike.any()), first_bad
    )


def write_csr(arcs: SortedArcs, *, weighted: bool) -> tuple[Array, Array, Array | None]:
    """Sum parallel arcs in float64, in their order.

    Parameters
    ----------
    arcs : SortedArcs
        The arcs; their arrays become those of the CSR.
    weighted : bool
        Whether the sums are wanted.

    Returns
    -------
    tuple of (indptr, indices, weights)
        int64, int32, and float32 or None.
    """
    bounds = _bounds(arcs.n_distinct)
    is_simple = bounds[-1] == len(arcs.targets)
    indices = arcs.targets if is_simple else np.empty(int(bounds[-1]), np.int32)
    weights = np.empty(len(indices) if weighted else 0, np.float32)
    if weighted or not is_simple:
        rows = (arcs.targets, arcs.weights, arcs.starts, arcs.nodes, bounds)
        run(
            lambda *part: _csr.merge_rows(*rows, arcs.indptr, indices, weights, *part),
            len(arcs.n_distinct),
            work=len(arcs.targets) // 4,
        )
    return arcs.indptr, indices, weights if weighted else None
