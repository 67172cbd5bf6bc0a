"""What a model needs to grow: fingerprints of adjacency, and rows trained against frozen rows."""

from cython.parallel cimport prange
from libc.string cimport memcpy, memset

from graphembed._kernels._rng cimport bounded, draw, stream
from graphembed._kernels._typedefs cimport float32_t, int32_t, int64_t, uint32_t, uint64_t


cdef extern from "_growth.h" nogil:
    enum: GE_MAX_LOT
    ctypedef struct ge_instructions:
        const char *name
    ctypedef struct ge_noise:
        const uint64_t *words
        uint64_t n_nodes
        uint64_t key
    const ge_instructions *ge_instruction_sets
    int ge_n_instruction_sets()
    void ge_train_row(
        const ge_instructions *use, float *row, const int32_t *contexts, int64_t n, float *table,
        int64_t stride, const ge_noise *noise, int64_t negative, int64_t first, float rate,
    )


MAX_LOT = GE_MAX_LOT    # contexts that share their negatives at most


def fingerprint_rows(
    const int64_t[::1] indptr,      # IN   (n_nodes + 1,)
    const int32_t[::1] indices,     # IN   (n_arcs,)
    const float32_t[::1] weights,   # IN   (n_arcs,), or empty: all are 1
    int64_t n_counted,              # arcs to the first n_counted nodes count
    uint64_t[::1] prints,           # OUT  (n_nodes,)
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Sum a hash of (head, weight) over the arcs of every row; the order does not matter."""
    cdef int64_t i
    for i in prange(begin, end, nogil=True, schedule="dynamic", chunksize=256,
                    num_threads=n_threads):
        prints[i] = _fingerprint(indptr, indices, weights, n_counted, i)


cdef uint64_t _fingerprint(
    const int64_t[::1] indptr,
    const int32_t[::1] indices,
    const float32_t[::1] weights,
    int64_t n_counted,
    int64_t i,
) noexcept nogil:
    cdef int64_t a
    cdef uint64_t total = 0
    cdef uint32_t bits = 0x3F800000U    # of 1.0
    for a in range(indptr[i], indptr[i + 1]):
        if indices[a] < n_counted:
            if weights.shape[0]:
                memcpy(&bits, &weights[a], 4)
            total += draw(stream(indices[a], bits), 0)
    return total


def average_rows(
    const int64_t[::1] indptr,      # IN   (n_rows + 1,)
    const int32_t[::1] heads,       # IN   (n_arcs,) rows of `table`
    const float32_t[::1] weights,   # IN   (n_arcs,), not all of a row zero
    const float32_t[:, ::1] table,  # IN   (n_nodes, stride)
    float32_t[:, ::1] means,        # OUT  (n_rows, stride)
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Weighted means of rows of a table, summed in the order of the arcs."""
    cdef int64_t i
    for i in prange(
        begin, end, nogil=True, schedule="dynamic", chunksize=8, num_threads=n_threads
    ):
        _average(indptr[i], indptr[i + 1], heads, weights, table, &means[i, 0])


cdef void _average(
    int64_t first,
    int64_t last,
    const int32_t[::1] heads,
    const float32_t[::1] weights,
    const float32_t[:, ::1] table,
    float32_t *mean,
) noexcept nogil:
    cdef int64_t k, j
    cdef double total = 0.0
    cdef float32_t share
    cdef const float32_t *row
    memset(mean, 0, table.shape[1] * sizeof(float32_t))
    for k in range(first, last):
        total += weights[k]
    for k in range(first, last):
        if weights[k] > 0:
            share = <float32_t>(weights[k] / total)
            row = &table[heads[k], 0]
            for j in range(table.shape[1]):
                mean[j] += share * row[j]


def train_rows(
    const int32_t[:, ::1] walks,     # IN      (n_rows * n_walks, length), -1 padded
    const int64_t[::1] numbers,      # IN      (n_rows,), what tells the rows' draws apart
    float32_t[:, ::1] rows,          # IN OUT  (n_rows, stride)
    float32_t[:, ::1] table,         # IN      (n_nodes, stride), the other table
    const uint64_t[::1] cells,       # IN      (2 * n_nodes,), alias cells, see ge_noise
    int64_t window,
    bint shrink,
    int64_t negative,
    int64_t lot,                     # contexts that share their negatives, 1 to MAX_LOT
    float rate,
    float last_rate,
    int instructions,                # index into INSTRUCTION_SETS of _skipgram
    uint64_t seed,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Train each row, on the nodes that stand within a window of the start of its walks."""
    cdef int64_t i
    for i in prange(begin, end, nogil=True, schedule="dynamic", chunksize=1,
                    num_threads=n_threads):
        _train_row(
            walks, i, walks.shape[0] // rows.shape[0], &rows[i, 0], &table[0, 0], rows.shape[1],
            &cells[0], table.shape[0], window, shrink, negative, lot, rate, last_rate,
            &ge_instruction_sets[instructions], stream(seed, numbers[i]),
        )


cdef void _train_row(
    const int32_t[:, ::1] walks,
    int64_t i,
    int64_t n_walks,
    float *row,
    float *table,
    int64_t stride,
    const uint64_t *cells,
    int64_t n_nodes,
    int64_t window,
    bint shrink,
    int64_t negative,
    int64_t lot,
    float rate,
    float last_rate,
    const ge_instructions *use,
    uint64_t key,
) noexcept nogil:
    cdef int64_t w, k, reach, n = 0, drawn = 0
    cdef int32_t[GE_MAX_LOT] contexts
    cdef ge_noise noise
    cdef float now = rate
    noise.words = cells
    noise.n_nodes = n_nodes
    noise.key = stream(key, 1)
    for w in range(n_walks):
        now = rate + (last_rate - rate) * (<float>w / <float>n_walks)
        reach = 1 + <int64_t>bounded(draw(key, w), window) if shrink else window
        for k in range(1, min(reach + 1, walks.shape[1])):
            if walks[i * n_walks + w, k] < 0:
                break
            contexts[n] = walks[i * n_walks + w, k]
            n = n + 1
            if n == lot:
                ge_train_row(use, row, contexts, n, table, stride, &noise, negative, drawn, now)
                drawn = drawn + negative
                n = 0
    if n > 0:
        ge_train_row(use, row, contexts, n, table, stride, &noise, negative, drawn, now)
