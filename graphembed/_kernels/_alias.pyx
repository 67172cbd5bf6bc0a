"""Alias tables: one draw from a discrete distribution in constant time (Walker 1977)."""

from cython.parallel cimport prange

from graphembed._kernels._alias cimport alias_row
from graphembed._kernels._typedefs cimport float32_t, float64_t, int64_t, uint64_t


def build_alias(
    const int64_t[::1] indptr,      # IN   (n_rows + 1,)
    const float32_t[::1] weights,   # IN   (n_cells,), positive
    uint64_t[::1] cells,            # OUT  (n_cells,), packed as in _rng.h
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Build one alias table per row of a CSR structure. O(cells of the rows) time."""
    cdef int64_t i, first, n
    for i in prange(
        begin, end, nogil=True, schedule="dynamic", chunksize=256, num_threads=n_threads
    ):
        first = indptr[i]
        n = indptr[i + 1] - first
        if n > 0:
            alias_row(&weights[first], n, &cells[first])


def sum_rows(
    const int64_t[::1] indptr,      # IN   (n_rows + 1,)
    const float32_t[::1] weights,   # IN   (n_cells,)
    float64_t[::1] sums,            # OUT  (n_rows,)
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Sum the weights of each row, in their order."""
    cdef int64_t i
    for i in prange(
        begin, end, nogil=True, schedule="dynamic", chunksize=256, num_threads=n_threads
    ):
        sums[i] = _sum(weights, indptr[i], indptr[i + 1])


cdef inline double _sum(const float32_t[::1] weights, int64_t first, int64_t last) noexcept nogil:
    cdef double total = 0.0
    cdef int64_t k
    for k in range(first, last):
        total += weights[k]
    return total
