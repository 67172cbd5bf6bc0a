"""Random-walk kernels on CSR graphs.

Step ``k`` of walk ``w`` is a function of ``(seed, w, k)``: the same walks for any number of
threads and in any order. Row ``i`` of `walks` is walk ``walk_ids[i]`` and begins at ``starts[i]``.
A walk ends at a node without out-edges; the rest of its row is -1. A call does the steps
``first_step <= k < last_step`` and finds the earlier ones in `walks`. The loops over a group of
walkers are in `_kernels/_walks.h`, `_return.h` and `_rejection.h`.
"""

from cython.parallel cimport prange
from libc.stdint cimport uint8_t

from graphembed._kernels._alias cimport alias_row
from graphembed._kernels._rng cimport alias_draw, draw, permute as permute_place, stream
from graphembed._kernels._typedefs cimport float32_t, float64_t, int32_t, int64_t, uint64_t


cdef extern from "_walks.h" nogil:
    ctypedef struct Csr "ge_graph":
        const int64_t *indptr
        const int32_t *indices
        const float32_t *weights
        const uint64_t *cells
        const float64_t *strengths
        const uint8_t *filter
        bint directed
        const int32_t *layers
        int64_t period
        int64_t stride

    ctypedef struct Rows "ge_rows":
        const int32_t *starts
        const int64_t *walk_ids
        int32_t *walks
        int64_t length
        int64_t first
        int64_t last
        int64_t first_step
        int64_t last_step
        uint64_t seed

    int64_t degree_of "ge_degree"(const Csr *graph, int32_t v)
    double weight_of "ge_weight"(const Csr *graph, int64_t arc)
    void first_order_rows "ge_first_order_rows"(const Csr *graph, const Rows *rows)
    void alias_rows "ge_alias_rows"(
        const Csr *graph, const int64_t *offsets, const uint64_t *cells, const Rows *rows
    )


cdef extern from "_rejection.h" nogil:
    ctypedef struct Law "ge_law":
        pass

    Law make_law "ge_make_law"(double p, double q)
    double factor_of "ge_factor"(
        const Csr *graph, const Law *law, int64_t first, int64_t degree, int32_t t, int32_t x
    )
    void filter_row "ge_filter_row"(const int32_t *row, int64_t n, uint8_t *filter)
    void rejection_rows "ge_rejection_rows"(const Csr *graph, const Law *law, const Rows *rows)


cdef extern from "_return.h" nogil:
    void return_rows "ge_return_rows"(const Csr *graph, double ratio, const Rows *rows)


cdef Csr _csr(const int64_t[::1] indptr, const int32_t[::1] indices) noexcept nogil:
    cdef Csr graph
    graph.indptr = &indptr[0]
    graph.indices = &indices[0] if indices.shape[0] > 0 else NULL
    graph.weights = NULL
    graph.cells = NULL
    graph.strengths = NULL
    graph.filter = NULL
    graph.directed = True
    graph.layers = NULL
    graph.period = graph.stride = 0
    return graph


cdef Rows _rows(
    const int32_t[::1] starts, const int64_t[::1] walk_ids, int32_t[:, ::1] walks,
    int64_t first_step, int64_t last_step, uint64_t seed,
) noexcept nogil:
    cdef Rows rows
    rows.starts = &starts[0]
    rows.walk_ids = &walk_ids[0]
    rows.walks = &walks[0, 0]
    rows.length = walks.shape[1]
    rows.first = rows.last = 0
    rows.first_step = first_step
    rows.last_step = last_step
    rows.seed = seed
    return rows


cdef int64_t _chunk(int64_t n_rows, int n_threads) noexcept nogil:
    """Rows that a thread takes at a time: some groups full, and some for each thread."""
    return min(1024, max(1, (n_rows + 4 * n_threads - 1) // (4 * n_threads)))


# ---------------------------------------------------------------------------------------------
# First order
# ---------------------------------------------------------------------------------------------


cdef void _first_order_part(
    const Csr *graph, Rows rows, int64_t first, int64_t last
) noexcept nogil:
    rows.first = first
    rows.last = last
    first_order_rows(graph, &rows)


def first_order_walks(
    const int64_t[::1] indptr,     # IN   (n_nodes + 1,)
    const int32_t[::1] indices,    # IN   (n_arcs,)
    const uint64_t[::1] cells,     # IN   (n_arcs,) alias cells, or (0,) if unweighted
    const int32_t[::1] starts,     # IN   (n_rows,)
    const int64_t[::1] walk_ids,   # IN   (n_rows,)
    int32_t[:, ::1] walks,         # OUT  (n_rows, walk_length), -1 after a dead end
    int64_t first_step,
    int64_t last_step,
    uint64_t seed,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Walk in proportion to the weights of the out-arcs. O(1) per step."""
    cdef int64_t k, chunk = _chunk(end - begin, n_threads)
    cdef Csr graph = _csr(indptr, indices)
    cdef Rows rows = _rows(starts, walk_ids, walks, first_step, last_step, seed)
    if cells.shape[0] > 0:
        graph.cells = &cells[0]
    for k in prange(
        (end - begin + chunk - 1) // chunk, nogil=True, schedule="dynamic",
        num_threads=n_threads, chunksize=1,
    ):
        _first_order_part(&graph, rows, begin + k * chunk, min(end, begin + (k + 1) * chunk))


def metapath_walks(
    const int64_t[:, ::1] indptr,  # IN   (n_layers, n_nodes + 1), each layer rows of `indices`
    const int32_t[::1] indices,    # IN   (n_kept,)
    const uint64_t[::1] cells,     # IN   (n_kept,) alias cells, or (0,) if unweighted
    const int32_t[::1] layers,     # IN   (period,) layer of step k at (k - 1) % period
    const int32_t[::1] starts,     # IN   (n_rows,)
    const int64_t[::1] walk_ids,   # IN   (n_rows,)
    int32_t[:, ::1] walks,         # OUT  (n_rows, walk_length), -1 after a dead end
    int64_t first_step,
    int64_t last_step,
    uint64_t seed,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Walk in proportion to the weights of the arcs that the step may take. O(1) per step."""
    cdef int64_t k, chunk = _chunk(end - begin, n_threads)
    cdef Csr graph = _csr(indptr[0], indices)
    cdef Rows rows = _rows(starts, walk_ids, walks, first_step, last_step, seed)
    graph.layers = &layers[0]
    graph.period = layers.shape[0]
    graph.stride = indptr.shape[1]
    if cells.shape[0] > 0:
        graph.cells = &cells[0]
    for k in prange(
        (end - begin + chunk - 1) // chunk, nogil=True, schedule="dynamic",
        num_threads=n_threads, chunksize=1,
    ):
        _first_order_part(&graph, rows, begin + k * chunk, min(end, begin + (k + 1) * chunk))


# ---------------------------------------------------------------------------------------------
# Second order where only the return arc's weight changes
# ---------------------------------------------------------------------------------------------


cdef void _return_part(
    const Csr *graph, double ratio, Rows rows, int64_t first, int64_t last
) noexcept nogil:
    rows.first = first
    rows.last = last
    return_rows(graph, ratio, &rows)


def return_walks(
    const int64_t[::1] indptr,       # IN   (n_nodes + 1,) of an undirected graph
    const int32_t[::1] indices,      # IN   (n_arcs,) sorted within a row
    const float32_t[::1] weights,    # IN   (n_arcs,), or (0,) if unweighted
    const uint64_t[::1] cells,       # IN   (n_arcs,) alias cells, or (0,) if unweighted
    const float64_t[::1] strengths,  # IN   (n_nodes,) sums of weights, or (0,) if unweighted
    const int32_t[::1] starts,       # IN   (n_rows,)
    const int64_t[::1] walk_ids,     # IN   (n_rows,)
    int32_t[:, ::1] walks,           # OUT  (n_rows, walk_length), -1 after a dead end
    double ratio,
    int64_t first_step,
    int64_t last_step,
    uint64_t seed,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Walk by weights, of which that of the return arc is multiplied by `ratio`.

    O(1) per step, unless the return arc has most of a node's weight and a small ratio.
    """
    cdef int64_t k, chunk = _chunk(end - begin, n_threads)
    cdef Csr graph = _csr(indptr, indices)
    cdef Rows rows = _rows(starts, walk_ids, walks, first_step, last_step, seed)
    if weights.shape[0] > 0:
        graph.weights = &weights[0]
        graph.cells = &cells[0]
        graph.strengths = &strengths[0]
    for k in prange(
        (end - begin + chunk - 1) // chunk, nogil=True, schedule="dynamic",
        num_threads=n_threads, chunksize=1,
    ):
        _return_part(&graph, ratio, rows, begin + k * chunk, min(end, begin + (k + 1) * chunk))


# ---------------------------------------------------------------------------------------------
# Second order by rejection: no table of the pairs of arcs
# ---------------------------------------------------------------------------------------------


def build_filter(
    const int64_t[::1] indptr,     # IN   (n_nodes + 1,)
    const int32_t[::1] indices,    # IN   (n_arcs,)
    uint8_t[::1] filter,           # OUT  (n_arcs,)
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Build the filter of every row, which tells most missing arcs from one byte."""
    cdef int64_t v
    for v in prange(
        begin, end, nogil=True, schedule="dynamic", chunksize=256, num_threads=n_threads
    ):
        if indptr[v + 1] > indptr[v]:
            filter_row(&indices[indptr[v]], indptr[v + 1] - indptr[v], &filter[indptr[v]])


cdef void _rejection_part(
    const Csr *graph, const Law *law, Rows rows, int64_t first, int64_t last
) noexcept nogil:
    rows.first = first
    rows.last = last
    rejection_rows(graph, law, &rows)


def rejection_walks(
    const int64_t[::1] indptr,       # IN   (n_nodes + 1,)
    const int32_t[::1] indices,      # IN   (n_arcs,) sorted within a row
    const float32_t[::1] weights,    # IN   (n_arcs,), or (0,) if unweighted
    const uint64_t[::1] cells,       # IN   (n_arcs,) alias cells, or (0,) if unweighted
    const float64_t[::1] strengths,  # IN   (n_nodes,) sums of weights, or (0,) if unweighted
    const uint8_t[::1] filter,       # IN   (n_arcs,), or (0,): go without
    const int32_t[::1] starts,       # IN   (n_rows,)
    const int64_t[::1] walk_ids,     # IN   (n_rows,)
    int32_t[:, ::1] walks,           # OUT  (n_rows, walk_length), -1 after a dead end
    double p,
    double q,
    bint directed,
    int64_t first_step,
    int64_t last_step,
    uint64_t seed,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Second-order walks by rejection: a step costs a few trials, O(log degree) each at most."""
    cdef int64_t k, chunk = _chunk(end - begin, n_threads)
    cdef Csr graph = _csr(indptr, indices)
    cdef Rows rows = _rows(starts, walk_ids, walks, first_step, last_step, seed)
    cdef Law law = make_law(p, q)
    graph.directed = directed
    if weights.shape[0] > 0:
        graph.weights = &weights[0]
        graph.cells = &cells[0]
        graph.strengths = &strengths[0]
    if filter.shape[0] > 0:
        graph.filter = &filter[0]
    for k in prange(
        (end - begin + chunk - 1) // chunk, nogil=True, schedule="dynamic",
        num_threads=n_threads, chunksize=1,
    ):
        _rejection_part(&graph, &law, rows, begin + k * chunk, min(end, begin + (k + 1) * chunk))


# ---------------------------------------------------------------------------------------------
# Second order by precomputed alias tables, one for every arc
# ---------------------------------------------------------------------------------------------


cdef void _second_order_row(
    const Csr *graph, const Law *law, int32_t t, int32_t v, double *scratch, uint64_t *cells
) noexcept nogil:
    cdef int64_t k, first = graph.indptr[v], degree = degree_of(graph, v)
    for k in range(degree):
        scratch[k] = weight_of(graph, first + k) * factor_of(
            graph, law, graph.indptr[t], degree_of(graph, t), t, graph.indices[first + k]
        )
    alias_row(<const float64_t *>scratch, degree, cells)


cdef void _second_order_rows(
    const Csr *graph,
    const Law *law,
    const int64_t *offsets,
    int64_t t,
    double *scratch,
    uint64_t *cells,
) noexcept nogil:
    cdef int64_t arc
    for arc in range(graph.indptr[t], graph.indptr[t + 1]):
        if offsets[arc + 1] > offsets[arc]:
            _second_order_row(
                graph, law, <int32_t>t, graph.indices[arc], scratch, &cells[offsets[arc]]
            )


def build_second_order_alias(
    const int64_t[::1] indptr,      # IN   (n_nodes + 1,)
    const int32_t[::1] indices,     # IN   (n_arcs,) sorted within a row
    const float32_t[::1] weights,   # IN   (n_arcs,), or (0,) if unweighted
    const int64_t[::1] offsets,     # IN   (n_arcs + 1,); arc a has offsets[a + 1] - offsets[a]
    #                                      cells, the out-degree of its head
    float64_t[:, ::1] scratch,      # OUT  (n_blocks, max_degree)
    uint64_t[::1] cells,            # OUT  (offsets[-1],)
    double p,
    double q,
    bint directed,
    int64_t first_tail,
    int64_t last_tail,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Alias table of the next step for every arc that leaves first_tail <= t < last_tail.

    Row b of `scratch` serves the tails first_tail + b, first_tail + b + n_blocks, ...
    """
    cdef int64_t b, k
    cdef int64_t n_tails = last_tail - first_tail, n_blocks = scratch.shape[0]
    cdef uint64_t *first_cell = &cells[0] if cells.shape[0] > 0 else NULL
    cdef Csr graph = _csr(indptr, indices)
    cdef Law law = make_law(p, q)
    graph.directed = directed
    if weights.shape[0] > 0:
        graph.weights = &weights[0]
    for b in prange(
        begin, end, nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads
    ):
        for k in range((n_tails - b + n_blocks - 1) // n_blocks):
            _second_order_rows(
                &graph, &law, &offsets[0], first_tail + b + k * n_blocks, &scratch[b, 0],
                first_cell,
            )


cdef void _alias_part(
    const Csr *graph,
    const int64_t *offsets,
    const uint64_t *second_cells,
    Rows rows,
    int64_t first,
    int64_t last,
) noexcept nogil:
    rows.first = first
    rows.last = last
    alias_rows(graph, offsets, second_cells, &rows)


def alias_walks(
    const int64_t[::1] indptr,         # IN   (n_nodes + 1,)
    const int32_t[::1] indices,        # IN   (n_arcs,)
    const uint64_t[::1] cells,         # IN   (n_arcs,) alias cells, or (0,) if unweighted
    const int64_t[::1] offsets,        # IN   (n_arcs + 1,) of build_second_order_alias
    const uint64_t[::1] second_cells,  # IN   (offsets[-1],) of build_second_order_alias
    const int32_t[::1] starts,         # IN   (n_rows,)
    const int64_t[::1] walk_ids,       # IN   (n_rows,)
    int32_t[:, ::1] walks,             # OUT  (n_rows, walk_length), -1 after a dead end
    int64_t first_step,
    int64_t last_step,
    uint64_t seed,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Second-order walks from the tables of every arc. O(1) per step."""
    cdef int64_t k, chunk = _chunk(end - begin, n_threads)
    cdef Csr graph = _csr(indptr, indices)
    cdef Rows rows = _rows(starts, walk_ids, walks, first_step, last_step, seed)
    cdef const uint64_t *second = &second_cells[0] if second_cells.shape[0] > 0 else NULL
    if cells.shape[0] > 0:
        graph.cells = &cells[0]
    for k in prange(
        (end - begin + chunk - 1) // chunk, nogil=True, schedule="dynamic",
        num_threads=n_threads, chunksize=1,
    ):
        _alias_part(
            &graph, &offsets[0], second, rows, begin + k * chunk,
            min(end, begin + (k + 1) * chunk),
        )


# ---------------------------------------------------------------------------------------------
# What a corpus needs
# ---------------------------------------------------------------------------------------------


def permute(
    int32_t[::1] values,   # OUT  (n_values,) places first, first + 1, ... of the permutation
    int64_t first,
    int64_t n,
    uint64_t seed,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Part of a random permutation of 0 .. n - 1 that is a function of the seed."""
    cdef int64_t i
    cdef int bits = 0
    cdef uint64_t key = stream(seed, 0)
    while (<int64_t>1 << bits) < n:
        bits += 1
    for i in prange(begin, end, nogil=True, schedule="static", num_threads=n_threads):
        values[i] = <int32_t>permute_place(first + i, n, bits, key)


def draw_nodes(
    int32_t[::1] nodes,           # OUT  (n_draws,) draws first, first + 1, ...
    const uint64_t[::1] cells,    # IN   (n_nodes,) one alias table
    int64_t first,
    uint64_t seed,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Draw nodes from a distribution; draw k is a function of (seed, k)."""
    cdef int64_t i
    cdef uint64_t key = stream(seed, 0)
    for i in prange(begin, end, nogil=True, schedule="static", num_threads=n_threads):
        nodes[i] = <int32_t>alias_draw(&cells[0], cells.shape[0], draw(key, first + i))


cdef void _count(const int32_t *walk, int64_t length, int64_t *counts) noexcept nogil:
    cdef int64_t k
    for k in range(length):
        if walk[k] < 0:
            break
        counts[walk[k]] += 1


def count_visits(
    const int32_t[:, ::1] walks,   # IN      (n_rows, walk_length), -1 padded
    int64_t[:, ::1] counts,        # IN OUT  (n_parts, n_nodes): visits in each part of the rows
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Count how often each node stands in the walks, part by part."""
    cdef int64_t part, i
    cdef int64_t n_rows = walks.shape[0], n_parts = counts.shape[0]
    for part in prange(
        begin, end, nogil=True, schedule="static", chunksize=1, num_threads=n_threads
    ):
        for i in range(n_rows * part // n_parts, n_rows * (part + 1) // n_parts):
            _count(&walks[i, 0], walks.shape[1], &counts[part, 0])
