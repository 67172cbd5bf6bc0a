"""Random-walk kernels on CSR graphs.

Step ``k`` of walk ``w`` is a function of ``(seed, w, k)``: the same walks for any number of
threads and in any order. Row ``i`` of `walks` is walk ``walk_ids[i]`` and begins at ``starts[i]``.
A walk ends at a node without out-edges; the rest of its row is -1.
"""

from cython.parallel cimport prange

from graphembed._kernels._alias cimport alias_row
from graphembed._kernels._rng cimport alias_draw, bounded, draw, stream, unit
from graphembed._kernels._typedefs cimport float32_t, float64_t, int32_t, int64_t, uint64_t


cdef struct Csr:
    # The graph's arrays, filled in once per call; NULL where the graph is unweighted.
    const int64_t *indptr
    const int32_t *indices      # sorted within a row
    const float32_t *weights
    const uint64_t *cells       # first-order alias cells, one per arc
    const float64_t *strengths  # sum of the weights of a node's out-arcs
    bint directed


cdef struct Law:
    # The second-order law of Grover and Leskovec 2016, eq. 2: from t over v to x the weight of
    # v -> x is multiplied by 1/p if x is t, by 1 if the arc t -> x exists, by 1/q otherwise.
    double return_factor    # 1 / p
    double outward_factor   # 1 / q
    double envelope         # upper bound of the factors of all x other than t
    double lower            # lower bound of the same


cdef Csr _csr(const int64_t[::1] indptr, const int32_t[::1] indices) noexcept nogil:
    cdef Csr graph
    graph.indptr = &indptr[0]
    graph.indices = &indices[0] if indices.shape[0] > 0 else NULL
    graph.weights = NULL
    graph.cells = NULL
    graph.strengths = NULL
    graph.directed = True
    return graph


cdef Law _law(double p, double q) noexcept nogil:
    cdef Law law
    law.return_factor = 1.0 / p
    law.outward_factor = 1.0 / q
    law.envelope = max(1.0, law.outward_factor)
    law.lower = min(1.0, law.outward_factor)
    return law


cdef inline int64_t _degree(const Csr *graph, int32_t v) noexcept nogil:
    return graph.indptr[v + 1] - graph.indptr[v]


cdef inline double _weight(const Csr *graph, int64_t arc) noexcept nogil:
    return graph.weights[arc] if graph.weights != NULL else 1.0


cdef inline int64_t _find_arc(const Csr *graph, int32_t t, int32_t x) noexcept nogil:
    """The arc t -> x by bisection of t's sorted row, or -1."""
    cdef int64_t middle, low = graph.indptr[t], high = graph.indptr[t + 1]
    cdef int64_t end = high
    while low < high:
        middle = (low + high) >> 1
        if graph.indices[middle] < x:
            low = middle + 1
        else:
            high = middle
    return low if low < end and graph.indices[low] == x else -1


cdef inline double _factor(const Csr *graph, const Law *law, int32_t t, int32_t x) noexcept nogil:
    if x == t:
        return law.return_factor
    # An undirected graph has both arcs: search the shorter row.
    if not graph.directed and _degree(graph, x) < _degree(graph, t):
        t, x = x, t
    return 1.0 if _find_arc(graph, t, x) >= 0 else law.outward_factor


cdef inline int64_t _first_order_arc(const Csr *graph, int32_t v, uint64_t r) noexcept nogil:
    """An out-arc of v, drawn in proportion to its weight."""
    cdef int64_t first = graph.indptr[v]
    cdef int64_t degree = graph.indptr[v + 1] - first
    if graph.cells != NULL:
        return first + <int64_t>alias_draw(&graph.cells[first], degree, r)
    return first + <int64_t>bounded(r, degree)


cdef int64_t _chunk(int64_t n_rows, int n_threads) noexcept nogil:
    """Walks that a thread takes at a time: 64, fewer where there are not many for each thread."""
    return min(64, max(1, n_rows // (16 * n_threads)))


cdef inline void _end_walk(int32_t *walk, int64_t step, int64_t length) noexcept nogil:
    while step < length:
        walk[step] = -1
        step += 1


# ---------------------------------------------------------------------------------------------
# First order
# ---------------------------------------------------------------------------------------------


cdef void _first_order_walk(
    const Csr *graph, int32_t *walk, int64_t length, int32_t v, uint64_t key
) noexcept nogil:
    cdef int64_t step = 0
    walk[0] = v
    while step + 1 < length and _degree(graph, v) > 0:
        step += 1
        v = graph.indices[_first_order_arc(graph, v, draw(key, step))]
        walk[step] = v
    _end_walk(walk, step + 1, length)


def first_order_walks(
    const int64_t[::1] indptr,     # IN   (n_nodes + 1,)
    const int32_t[::1] indices,    # IN   (n_arcs,)
    const uint64_t[::1] cells,     # IN   (n_arcs,) alias cells, or (0,) if unweighted
    const int32_t[::1] starts,     # IN   (n_rows,)
    const int64_t[::1] walk_ids,   # IN   (n_rows,)
    int32_t[:, ::1] walks,         # OUT  (n_rows, walk_length), -1 after a dead end
    uint64_t seed,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Walk in proportion to the weights of the out-arcs. O(1) per step."""
    cdef int64_t i
    cdef Csr graph = _csr(indptr, indices)
    if cells.shape[0] > 0:
        graph.cells = &cells[0]
    for i in prange(
        begin, end, nogil=True, schedule="dynamic", num_threads=n_threads,
        chunksize=_chunk(end - begin, n_threads),
    ):
        _first_order_walk(
            &graph, &walks[i, 0], walks.shape[1], starts[i], stream(seed, walk_ids[i])
        )


# ---------------------------------------------------------------------------------------------
# Second order by rejection: no table beyond the first-order one
# ---------------------------------------------------------------------------------------------


cdef int64_t _scan_arc(
    const Csr *graph, const Law *law, int32_t t, int32_t v, double u
) noexcept nogil:
    """The exact draw by enumeration: the arc at which the running sum passes u times the total."""
    cdef int64_t arc
    cdef double total = 0.0, running = 0.0
    for arc in range(graph.indptr[v], graph.indptr[v + 1]):
        total += _weight(graph, arc) * _factor(graph, law, t, graph.indices[arc])
    for arc in range(graph.indptr[v], graph.indptr[v + 1]):
        running += _weight(graph, arc) * _factor(graph, law, t, graph.indices[arc])
        if running > u * total:
            return arc
    return graph.indptr[v + 1] - 1


cdef int64_t _rejection_arc(
    const Csr *graph, const Law *law, int32_t t, int32_t v, uint64_t key
) noexcept nogil:
    """The out-arc of v after a step t -> v, by rejection from the first-order law.

    The part of the return arc's mass above the envelope is a lot of its own (`excess`), so a
    small p does not raise the envelope (Yang et al. 2019, KnightKing, section 4). One trial draws
    a point on [0, excess + envelope * strength): below `excess` it is the return arc; otherwise
    the height (point - excess) / strength is uniform in [0, envelope) and a proposal is accepted
    if the height is below its factor. A row that refuses as many trials as it has arcs is
    enumerated instead; each trial is independent, so the law stays exact.
    """
    cdef int64_t arc, back = -1, trial, limit = max(16, _degree(graph, v))
    cdef double strength = graph.strengths[v] if graph.cells != NULL else <double>_degree(graph, v)
    cdef double excess = 0.0, point, height
    cdef int32_t x
    if law.return_factor > law.envelope:
        back = _find_arc(graph, v, t)
        if back >= 0:
            excess = (law.return_factor - law.envelope) * _weight(graph, back)
    for trial in range(limit):
        point = unit(draw(key, 2 * trial)) * (excess + law.envelope * strength)
        if point < excess:
            return back
        height = (point - excess) / strength
        arc = _first_order_arc(graph, v, draw(key, 2 * trial + 1))
        x = graph.indices[arc]
        if x == t:
            if height < law.return_factor:
                return arc
        elif height < law.lower or height < _factor(graph, law, t, x):
            return arc
    return _scan_arc(graph, law, t, v, unit(draw(key, 2 * limit)))


cdef void _rejection_walk(
    const Csr *graph, const Law *law, int32_t *walk, int64_t length, int32_t v, uint64_t key
) noexcept nogil:
    cdef int64_t arc, step = 0
    cdef int32_t t = -1
    walk[0] = v
    while step + 1 < length and _degree(graph, v) > 0:
        step += 1
        if step == 1:
            arc = _first_order_arc(graph, v, draw(key, step))
        else:
            arc = _rejection_arc(graph, law, t, v, draw(key, step))
        t = v
        v = graph.indices[arc]
        walk[step] = v
    _end_walk(walk, step + 1, length)


def rejection_walks(
    const int64_t[::1] indptr,       # IN   (n_nodes + 1,)
    const int32_t[::1] indices,      # IN   (n_arcs,) sorted within a row
    const float32_t[::1] weights,    # IN   (n_arcs,), or (0,) if unweighted
    const uint64_t[::1] cells,       # IN   (n_arcs,) alias cells, or (0,) if unweighted
    const float64_t[::1] strengths,  # IN   (n_nodes,) sums of weights, or (0,) if unweighted
    const int32_t[::1] starts,       # IN   (n_rows,)
    const int64_t[::1] walk_ids,     # IN   (n_rows,)
    int32_t[:, ::1] walks,           # OUT  (n_rows, walk_length), -1 after a dead end
    double p,
    double q,
    bint directed,
    uint64_t seed,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Second-order walks without tables. A step costs a few trials of O(log degree)."""
    cdef int64_t i
    cdef Csr graph = _csr(indptr, indices)
    cdef Law law = _law(p, q)
    graph.directed = directed
    if weights.shape[0] > 0:
        graph.weights = &weights[0]
        graph.cells = &cells[0]
        graph.strengths = &strengths[0]
    for i in prange(
        begin, end, nogil=True, schedule="dynamic", num_threads=n_threads,
        chunksize=_chunk(end - begin, n_threads),
    ):
        _rejection_walk(
            &graph, &law, &walks[i, 0], walks.shape[1], starts[i], stream(seed, walk_ids[i])
        )


# ---------------------------------------------------------------------------------------------
# Second order by precomputed alias tables, one for every arc
# ---------------------------------------------------------------------------------------------


cdef void _second_order_row(
    const Csr *graph, const Law *law, int32_t t, int32_t v, double *scratch, uint64_t *cells
) noexcept nogil:
    cdef int64_t k, first = graph.indptr[v], degree = _degree(graph, v)
    for k in range(degree):
        scratch[k] = _weight(graph, first + k) * _factor(graph, law, t, graph.indices[first + k])
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
    cdef Law law = _law(p, q)
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


cdef void _alias_walk(
    const Csr *graph,
    const int64_t *offsets,
    const uint64_t *second_cells,
    int32_t *walk,
    int64_t length,
    int32_t v,
    uint64_t key,
) noexcept nogil:
    cdef int64_t arc = -1, step = 0
    walk[0] = v
    while step + 1 < length and _degree(graph, v) > 0:
        step += 1
        if step == 1:
            arc = _first_order_arc(graph, v, draw(key, step))
        else:
            arc = graph.indptr[v] + <int64_t>alias_draw(
                &second_cells[offsets[arc]], _degree(graph, v), draw(key, step)
            )
        v = graph.indices[arc]
        walk[step] = v
    _end_walk(walk, step + 1, length)


def alias_walks(
    const int64_t[::1] indptr,         # IN   (n_nodes + 1,)
    const int32_t[::1] indices,        # IN   (n_arcs,)
    const uint64_t[::1] cells,         # IN   (n_arcs,) alias cells, or (0,) if unweighted
    const int64_t[::1] offsets,        # IN   (n_arcs + 1,) of build_second_order_alias
    const uint64_t[::1] second_cells,  # IN   (offsets[-1],) of build_second_order_alias
    const int32_t[::1] starts,         # IN   (n_rows,)
    const int64_t[::1] walk_ids,       # IN   (n_rows,)
    int32_t[:, ::1] walks,             # OUT  (n_rows, walk_length), -1 after a dead end
    uint64_t seed,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Second-order walks from the tables of every arc. O(1) per step."""
    cdef int64_t i
    cdef Csr graph = _csr(indptr, indices)
    cdef const uint64_t *second = &second_cells[0] if second_cells.shape[0] > 0 else NULL
    if cells.shape[0] > 0:
        graph.cells = &cells[0]
    for i in prange(
        begin, end, nogil=True, schedule="dynamic", num_threads=n_threads,
        chunksize=_chunk(end - begin, n_threads),
    ):
        _alias_walk(
            &graph, &offsets[0], second, &walks[i, 0], walks.shape[1], starts[i],
            stream(seed, walk_ids[i]),
        )


def count_visits(
    const int32_t[:, ::1] walks,   # IN      (n_rows, walk_length), -1 padded
    int64_t[::1] counts,           # IN OUT  (n_nodes,), visits are added
):
    """Count how often each node stands in the walks."""
    cdef int64_t i, k
    with nogil:
        for i in range(walks.shape[0]):
            for k in range(walks.shape[1]):
                if walks[i, k] < 0:
                    break
                counts[walks[i, k]] += 1


def shuffle(
    int32_t[::1] values,   # IN OUT  (n,)
    uint64_t seed,
):
    """Put the values into a random order (Fisher and Yates)."""
    cdef int64_t i, j
    cdef uint64_t key = stream(seed, 0)
    with nogil:
        for i in range(values.shape[0] - 1, 0, -1):
            j = bounded(draw(key, i), i + 1)
            values[i], values[j] = values[j], values[i]
