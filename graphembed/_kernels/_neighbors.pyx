"""Sampled in-neighbours of many nodes, as rows of a block whose nodes are numbered.

What is drawn for a target is a function of ``(key, target)``: the same for any number of threads.
The loops over a group of targets are in `_neighbors.h`.
"""

from cython.parallel cimport prange

from graphembed._kernels._rng cimport stream
from graphembed._kernels._typedefs cimport float32_t, float64_t, int32_t, int64_t, uint64_t

cdef enum:
    TARGETS = 128  # that a thread does in one go


cdef extern from "_neighbors.h" nogil:
    ctypedef struct Rows "ge_in_rows":
        const int64_t *indptr
        const int32_t *indices
        const float32_t *weights
        const uint64_t *cells
        const float64_t *strengths
        const int64_t *order

    ctypedef struct Slots "ge_slots":
        const int32_t *targets
        const int64_t *indptr
        int64_t fanout
        bint replace
        uint64_t key
        int64_t *arcs
        int32_t *nodes
        float32_t *values
        float64_t *keys

    void ge_count_slots(
        const int64_t *indptr, const int32_t *targets, int64_t fanout, bint replace,
        int64_t *counts, int64_t begin, int64_t end,
    )
    void ge_sample_slots(const Rows *rows, const Slots *slots, int64_t begin, int64_t end)
    int64_t ge_number_nodes(
        int32_t *nodes, int32_t *node_index, int64_t n, uint64_t *table, int bits, int64_t begin,
        int64_t end,
    )


def count_targets(
    const int32_t[::1] indices,    # IN   (n_arcs,)
    int64_t[::1] counts,           # IN OUT  (n_nodes,), zero at first
    int64_t begin,
    int64_t end,
):
    """Count the arcs begin .. end - 1 by target; one thread."""
    cdef int64_t arc
    with nogil:
        for arc in range(begin, end):
            counts[indices[arc]] += 1


def deal_by_target(
    const int64_t[::1] indptr,     # IN   (n_nodes + 1,)
    const int32_t[::1] indices,    # IN   (n_arcs,)
    int64_t[::1] places,           # IN OUT  (n_nodes,): where the next arc of a target goes
    int32_t[::1] sources,          # OUT  (n_arcs,), by target
    int64_t[::1] order,            # OUT  (n_arcs,), arc at every place
    int64_t begin,
    int64_t end,
):
    """Deal the arcs of the sources begin .. end - 1 to their targets, in order; one thread."""
    cdef int64_t source, arc, place
    with nogil:
        for source in range(begin, end):
            for arc in range(indptr[source], indptr[source + 1]):
                place = places[indices[arc]]
                places[indices[arc]] = place + 1
                sources[place] = <int32_t>source
                order[place] = arc


def layer_key(uint64_t seed, uint64_t batch, uint64_t layer) -> int:
    """Return the key of one layer of one batch."""
    return stream(stream(seed, batch), layer)


def count_slots(
    const int64_t[::1] indptr,     # IN   (n_nodes + 1,)
    const int32_t[::1] targets,    # IN   (n_targets,)
    int64_t fanout,                # -1: all
    bint replace,
    int64_t[::1] counts,           # OUT  (n_targets,)
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Count the neighbours that will be sampled for each target."""
    cdef int64_t chunk, n_chunks = (end - begin + TARGETS - 1) // TARGETS
    if begin == end:
        return
    for chunk in prange(n_chunks, nogil=True, schedule="static", num_threads=n_threads):
        ge_count_slots(&indptr[0], &targets[0], fanout, replace, &counts[0],
                       begin + chunk * TARGETS, min(end, begin + (chunk + 1) * TARGETS))


def sample_slots(
    const int64_t[::1] indptr,       # IN   (n_nodes + 1,), of the in-neighbours
    const int32_t[::1] indices,      # IN   (n_arcs,)
    const float32_t[::1] weights,    # IN   (n_arcs,), or empty
    const uint64_t[::1] cells,       # IN   (n_arcs,), alias cells, or empty: draws are uniform
    const float64_t[::1] strengths,  # IN   (n_nodes,), sums of the rows' weights; empty as cells
    const int64_t[::1] order,        # IN   (n_arcs,), the arc at every place of `indices`, or empty
    const int32_t[::1] targets,      # IN   (n_targets,)
    const int64_t[::1] slots,        # IN   (n_targets + 1,), where the neighbours of each begin
    int64_t fanout,
    bint replace,
    int64_t[::1] arcs,               # OUT  (n_slots,)
    int32_t[::1] nodes,              # OUT  (n_slots,), where they come from
    float32_t[::1] values,           # OUT  (n_slots,), what each counts; empty as weights
    float64_t[::1] keys,             # OUT  (n_slots,), scratch of draws by weight without
                                     #      replacement, else empty
    uint64_t key,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Sample neighbours of targets. O(n_slots) time; by weight O(degree) for a few targets."""
    cdef int64_t chunk, n_chunks = (end - begin + TARGETS - 1) // TARGETS
    cdef Rows rows
    cdef Slots out
    if begin == end or nodes.shape[0] == 0:
        return
    rows.indptr, rows.indices = &indptr[0], &indices[0]
    rows.weights = &weights[0] if weights.shape[0] > 0 else NULL
    rows.cells = &cells[0] if cells.shape[0] > 0 else NULL
    rows.strengths = &strengths[0] if strengths.shape[0] > 0 else NULL
    rows.order = &order[0] if order.shape[0] > 0 else NULL
    out.targets, out.indptr, out.fanout, out.replace = &targets[0], &slots[0], fanout, replace
    out.key, out.arcs, out.nodes = key, &arcs[0], &nodes[0]
    out.values = &values[0] if values.shape[0] > 0 else NULL
    out.keys = &keys[0] if keys.shape[0] > 0 else NULL
    for chunk in prange(
        n_chunks, nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads
    ):
        ge_sample_slots(&rows, &out, begin + chunk * TARGETS,
                        min(end, begin + (chunk + 1) * TARGETS))


def number_nodes(
    int32_t[::1] nodes,            # IN OUT  (n,): nodes, then their numbers
    int32_t[::1] node_index,       # IN OUT  (room,): node of every number
    int64_t[::1] n_known,          # IN OUT  (1,): how many of node_index are filled
    uint64_t[::1] table,           # IN OUT  (a power of two,), zero at first; some cell stays free
    int bits,                      # its logarithm, 1 to 32
    int64_t begin,
    int64_t end,
):
    """Number nodes by first appearance, continuing earlier calls; one thread."""
    if begin < end:
        with nogil:
            n_known[0] = ge_number_nodes(&nodes[0], &node_index[0], n_known[0], &table[0], bits,
                                         begin, end)
