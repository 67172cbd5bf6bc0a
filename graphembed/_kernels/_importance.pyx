"""Importance neighbourhoods: the nodes that short walks from a seed visit most.

The loops are in `_importance.h`.
"""

from cython.parallel cimport prange, threadid

from graphembed._kernels._typedefs cimport float32_t, float64_t, int32_t, int64_t, uint64_t
from libc.stdint cimport uint32_t

cdef enum:
    SEEDS = 16  # that a thread does in one go


cdef extern from "_importance.h" nogil:
    enum: GE_SIDE
    enum: GE_MAX_TRAVERSALS
    ctypedef struct ge_arcs:
        const int64_t *indptr
        const int32_t *indices
        const float32_t *weights
        const uint64_t *cells
        const float64_t *strengths
        const float32_t *penalties
        const int64_t *in_indptr
        const int32_t *in_indices
        const float32_t *in_weights
    ctypedef struct ge_law:
        int64_t n_walks
        int64_t n_traversals
        int64_t stride
        uint64_t key
        uint64_t *limits
        float64_t survival
        int64_t top
    ctypedef struct ge_visits:
        uint64_t *table
        int bits
        uint32_t *used
        int64_t n_used
    ctypedef struct ge_walkers:
        pass
    ctypedef struct ge_front:
        float64_t *masses
        uint64_t *bits
    void ge_sample_top(
        const ge_arcs *graph, const ge_law *law, int32_t seed, ge_walkers *walkers,
        ge_visits *visits, uint64_t *entries, int32_t *nodes, float32_t *weights,
    )
    void ge_exact_top(
        const ge_arcs *graph, int64_t n_nodes, const ge_law *law, const int32_t *seeds,
        int n_seeds, ge_front *front, ge_front *other, uint64_t *entries, int64_t room,
        int32_t *nodes, float32_t *weights,
    )


SIDE = GE_SIDE                      # seeds whose exact laws are computed together
MAX_TRAVERSALS = GE_MAX_TRAVERSALS


cdef ge_arcs _arcs(
    const int64_t[::1] indptr, const int32_t[::1] indices, const float32_t[::1] penalties
) noexcept:
    cdef ge_arcs graph
    graph.indptr = &indptr[0]
    graph.indices = &indices[0]
    graph.penalties = &penalties[0] if penalties.shape[0] > 0 else NULL
    graph.weights, graph.cells, graph.strengths = NULL, NULL, NULL
    graph.in_indptr, graph.in_indices, graph.in_weights = NULL, NULL, NULL
    return graph


def sample_top(
    const int64_t[::1] indptr,       # IN   (n_nodes + 1,)
    const int32_t[::1] indices,      # IN   (n_arcs,), at least one
    const uint64_t[::1] cells,       # IN   (n_arcs,), alias cells, or empty: draws are uniform
    const float32_t[::1] penalties,  # IN   (n_nodes,), what a visit counts, or empty: 1
    const int32_t[::1] seeds,        # IN   (n_seeds,)
    int32_t[:, ::1] nodes,           # OUT  (n_seeds, top), -1 where there are too few
    float32_t[:, ::1] weights,       # OUT  (n_seeds, top), each row sums to 1; 0 there
    int64_t n_walks,
    int64_t stride,                  # steps from one counted node to the next
    const uint64_t[::1] limits,      # IN   (n_traversals,): limit 2^63 (1 - restart)^t
    uint64_t[:, ::1] tables,         # scratch (n_threads, 2^bits), zero; some cells stay free
    uint32_t[:, ::1] used,           # scratch (n_threads, visited nodes at most + 1)
    uint64_t[:, ::1] entries,        # scratch (n_threads, visited nodes at most)
    int bits,
    uint64_t key,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Walk from seeds and find the nodes visited most. O(n_walks n_traversals) time a seed."""
    cdef int64_t t, chunk, n_chunks = (end - begin + SEEDS - 1) // SEEDS
    cdef int thread
    cdef ge_arcs graph
    cdef ge_law law
    if begin == end:
        return
    graph = _arcs(indptr, indices, penalties)
    graph.cells = &cells[0] if cells.shape[0] > 0 else NULL
    law.n_walks, law.n_traversals, law.stride = n_walks, limits.shape[0], stride
    law.key, law.top, law.survival = key, nodes.shape[1], 0.0
    for t in range(limits.shape[0]):
        law.limits[t] = limits[t]
    for chunk in prange(
        n_chunks, nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads
    ):
        thread = threadid()
        _sample_chunk(
            &graph, &law, &seeds[0], &nodes[0, 0], &weights[0, 0], &tables[thread, 0],
            &used[thread, 0], &entries[thread, 0], bits, begin + chunk * SEEDS,
            min(end, begin + (chunk + 1) * SEEDS),
        )


cdef void _sample_chunk(
    const ge_arcs *graph, const ge_law *law, const int32_t *seeds, int32_t *nodes,
    float32_t *weights, uint64_t *table, uint32_t *used, uint64_t *entries, int bits,
    int64_t begin, int64_t end,
) noexcept nogil:
    cdef ge_walkers walkers
    cdef ge_visits visits
    cdef int64_t i
    visits.table, visits.bits, visits.used = table, bits, used
    for i in range(begin, end):
        ge_sample_top(
            graph, law, seeds[i], &walkers, &visits, entries, nodes + i * law.top,
            weights + i * law.top,
        )


def exact_top(
    const int64_t[::1] indptr,        # IN   (n_nodes + 1,)
    const int32_t[::1] indices,       # IN   (n_arcs,), at least one
    const float32_t[::1] arc_weights,  # IN   (n_arcs,), or empty: all 1
    const float64_t[::1] strengths,   # IN   (n_nodes,), sums of the rows' weights
    const int64_t[::1] in_indptr,     # IN   (n_nodes + 1,), the arcs by target,
    const int32_t[::1] in_indices,    # IN   (n_arcs,), their sources ascending,
    const float32_t[::1] in_weights,  # IN   (n_arcs,), or empty: all 1
    const float32_t[::1] penalties,   # IN   (n_nodes,), what a visit counts, or empty: 1
    const int32_t[::1] seeds,         # IN   (n_seeds,)
    int32_t[:, ::1] nodes,            # OUT  (n_seeds, top), -1 where there are too few
    float32_t[:, ::1] weights,        # OUT  (n_seeds, top), each row sums to 1; 0 there
    int64_t n_traversals,
    int64_t stride,                   # steps from one counted node to the next
    double survival,                  # above 0, or n_traversals is 1
    float64_t[:, :, :, ::1] masses,   # scratch (n_threads, 2, n_nodes, SIDE), zero
    uint64_t[:, :, ::1] marks,        # scratch (n_threads, 2, (n_nodes + 63) / 64), zero
    uint64_t[:, :, ::1] entries,      # scratch (n_threads, SIDE, > top)
    uint64_t key,                     # of ties
    int64_t begin,                    # of SIDE seeds each
    int64_t end,
    int n_threads,
):
    """Find the nodes with the largest expected visits; O(n_traversals stride n_arcs) time."""
    cdef int64_t side
    cdef int thread
    cdef ge_arcs graph
    cdef ge_law law
    if begin == end:
        return
    graph = _arcs(indptr, indices, penalties)
    graph.weights = &arc_weights[0] if arc_weights.shape[0] > 0 else NULL
    graph.strengths = &strengths[0]
    graph.in_indptr, graph.in_indices = &in_indptr[0], &in_indices[0]
    graph.in_weights = &in_weights[0] if in_weights.shape[0] > 0 else NULL
    law.n_walks, law.n_traversals, law.stride = 0, n_traversals, stride
    law.key, law.top, law.survival = key, nodes.shape[1], survival
    for side in prange(
        begin, end, nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads
    ):
        thread = threadid()
        _exact_side(
            &graph, indptr.shape[0] - 1, &law, &seeds[side * GE_SIDE],
            <int>min(GE_SIDE, seeds.shape[0] - side * GE_SIDE), &masses[thread, 0, 0, 0],
            &masses[thread, 1, 0, 0], &marks[thread, 0, 0], &marks[thread, 1, 0],
            &entries[thread, 0, 0], entries.shape[2], &nodes[side * GE_SIDE, 0],
            &weights[side * GE_SIDE, 0],
        )


cdef void _exact_side(
    const ge_arcs *graph, int64_t n_nodes, const ge_law *law, const int32_t *seeds, int n_seeds,
    float64_t *here, float64_t *there, uint64_t *marks_here, uint64_t *marks_there,
    uint64_t *entries, int64_t room, int32_t *nodes, float32_t *weights,
) noexcept nogil:
    cdef ge_front front, other
    front.masses, front.bits = here, marks_here
    other.masses, other.bits = there, marks_there
    ge_exact_top(
        graph, n_nodes, law, seeds, n_seeds, &front, &other, entries, room, nodes, weights
    )
