"""Sparse products, maxima, softmax and attention over the rows of a CSR matrix, and dropout.

Rows are those of the result: each is written by one thread, and a gradient is a product with the
transpose, so that nothing is added to by two threads and all sums run in one order.
"""

from cython.parallel cimport prange

from graphembed._kernels._typedefs cimport float32_t, float64_t, int32_t, int64_t, uint64_t

ctypedef fused real_t:
    float32_t
    float64_t


cdef extern from "_sparse.h" nogil:
    ctypedef struct ge_row_loops:
        void (*multiply)(
            const int64_t *indptr, const int32_t *indices, const int32_t *order,
            const void *values, double scale, int kind, const void *x,
            const void *bias, void *out, int64_t heads, int64_t width,
            int64_t first, int64_t last
        ) noexcept nogil
        void (*sample)(
            const int64_t *indptr, const int32_t *indices, const void *left,
            const void *right, void *out, int64_t heads, int64_t width,
            int64_t first, int64_t last
        ) noexcept nogil
        void (*take_maxima)(
            const int64_t *indptr, const int32_t *indices, const void *x, void *out,
            int32_t *places, int64_t width, int64_t first, int64_t last
        ) noexcept nogil
        void (*return_maxima)(
            const int64_t *indptr, const int32_t *targets, const int32_t *order,
            const int64_t *starts, const int32_t *places, const void *grad,
            void *out, int64_t width, int64_t first, int64_t last
        ) noexcept nogil
        void (*softmax)(
            const int64_t *indptr, const void *scores, void *out, int64_t heads,
            int64_t first, int64_t last
        ) noexcept nogil
        void (*softmax_backward)(
            const int64_t *indptr, const void *alpha, const void *grad, void *out,
            int64_t heads, int64_t first, int64_t last
        ) noexcept nogil
        void (*weigh)(
            const int64_t *indptr, const int32_t *indices, const void *source,
            const void *target, const void *edge, void *alpha, int64_t heads,
            double slope, uint64_t seed, int64_t threshold, int64_t first,
            int64_t last
        ) noexcept nogil
        void (*weigh_backward)(
            const int64_t *indptr, const int32_t *targets, const int32_t *order,
            const void *x, const void *source, const void *target, const void *edge,
            const void *alpha, double scale, const void *grad, const void *dots,
            void *grad_x, void *grad_source, void *grad_scores, int64_t heads,
            int64_t width, double slope, int64_t first, int64_t last
        ) noexcept nogil
        void (*dots)(
            const void *left, const void *right, void *out, int64_t width,
            int64_t first, int64_t last
        ) noexcept nogil
        void (*sum_entries)(
            const int64_t *indptr, const void *entries, void *out, int64_t heads,
            int64_t first, int64_t last
        ) noexcept nogil
        void (*transpose)(
            const void *x, void *out, int64_t n_rows, int64_t n_columns,
            int64_t first, int64_t last
        ) noexcept nogil
        void (*drop)(
            const void *x, void *out, uint64_t seed, int64_t threshold,
            double scale, int64_t first, int64_t last
        ) noexcept nogil

    enum:
        GE_ONES
        GE_VALUES
        GE_ORDERED
        GE_SIGNED
        GE_SIGNED_ORDERED

    const ge_row_loops *ge_row_loops_of(int is_double, int plain)
    void ge_count_columns(
        const int32_t *indices, int64_t *counts, int64_t first, int64_t last)
    void ge_group(
        const int32_t *indices, int64_t *places, int32_t *order, int64_t first, int64_t last)
    void ge_deal_entries(
        const int64_t *indptr, const int32_t *indices, int64_t *places, int32_t *rows,
        int32_t *order, int64_t first, int64_t last)

# Rows that a thread takes at a time.
cdef enum:
    ROWS = 64

cdef bint _plain = False


def use_baseline(bint plain) -> None:
    """Use the loops that every processor has, or the fastest; for tests."""
    global _plain
    _plain = plain


def multiply(
    const int64_t[::1] indptr,   # IN   (n_rows + 1,)
    const int32_t[::1] indices,  # IN   (n_entries,), not empty
    const int32_t[::1] order,    # IN   (n_entries,), where the value of each entry is, or empty
    const real_t[::1] values,    # IN   (n_entries * heads,), or empty: all 1
    bint signed,                 # whether only positive values count, `scale` times
    double scale,
    const real_t[::1] x,         # IN   (n_columns * heads * width,)
    const real_t[::1] bias,      # IN   (heads * width,), added to every row, or empty
    real_t[::1] out,             # OUT  (n_rows * heads * width,), not empty
    int64_t heads,               # 1 if there are no values
    int64_t width,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Rows of the product: sums of value times row of x, each head with values of its own."""
    cdef const real_t *addend = NULL
    cdef int64_t c, first
    cdef int kind = GE_ONES
    cdef const int32_t *places = NULL
    cdef const real_t *numbers = NULL
    cdef const ge_row_loops *loops = ge_row_loops_of(sizeof(real_t) == 8, _plain)
    if values.shape[0] > 0:
        kind = GE_SIGNED if signed else GE_VALUES
        numbers = &values[0]
        if order.shape[0] > 0:
            kind = GE_SIGNED_ORDERED if signed else GE_ORDERED
            places = &order[0]
    if bias.shape[0] > 0:
        addend = &bias[0]
    for c in prange(
        (end - begin + ROWS - 1) // ROWS,
        nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads,
    ):
        first = begin + c * ROWS
        loops.multiply(&indptr[0], &indices[0], places, numbers, scale, kind, &x[0], addend,
                       &out[0], heads, width, first, min(first + ROWS, end))


def sample(
    const int64_t[::1] indptr,   # IN   (n_rows + 1,)
    const int32_t[::1] indices,  # IN   (n_entries,), not empty
    const real_t[::1] left,      # IN   (n_rows * heads * width,), not empty
    const real_t[::1] right,     # IN   (n_columns * heads * width,)
    real_t[::1] out,             # OUT  (n_entries * heads,)
    int64_t heads,
    int64_t width,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Dot product of a row of `left` and a row of `right` for every entry and head."""
    cdef int64_t c, first
    cdef const ge_row_loops *loops = ge_row_loops_of(sizeof(real_t) == 8, _plain)
    for c in prange(
        (end - begin + ROWS - 1) // ROWS,
        nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads,
    ):
        first = begin + c * ROWS
        loops.sample(&indptr[0], &indices[0], &left[0], &right[0], &out[0], heads, width, first,
                     min(first + ROWS, end))


def take_maxima(
    const int64_t[::1] indptr,   # IN   (n_rows + 1,)
    const int32_t[::1] indices,  # IN   (n_entries,), not empty
    const real_t[::1] x,         # IN   (n_columns * width,)
    real_t[::1] out,             # OUT  (n_rows * width,), not empty; 0 in rows without entries
    int32_t[::1] places,         # OUT  (n_rows * width,): the first of the row's entries that has
                                 #      the maximum, counted from 0; -1 in rows without entries
    int64_t width,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Largest number of each column of x among the entries of a row; NaN is the largest."""
    cdef int64_t c, first
    cdef const ge_row_loops *loops = ge_row_loops_of(sizeof(real_t) == 8, _plain)
    for c in prange(
        (end - begin + ROWS - 1) // ROWS,
        nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads,
    ):
        first = begin + c * ROWS
        loops.take_maxima(&indptr[0], &indices[0], &x[0], &out[0], &places[0], width, first,
                          min(first + ROWS, end))


def return_maxima(
    const int64_t[::1] indptr,   # IN   (n_columns + 1,), of the transpose
    const int32_t[::1] targets,  # IN   (n_entries,), its columns, not empty
    const int32_t[::1] order,    # IN   (n_entries,), where its entries are in the matrix
    const int64_t[::1] starts,   # IN   (n_rows + 1,), indptr of the matrix
    const int32_t[::1] places,   # IN   (n_rows * width,), of take_maxima
    const real_t[::1] grad,      # IN   (n_rows * width,), of the maxima
    real_t[::1] out,             # OUT  (n_columns * width,), not empty
    int64_t width,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Gradient of the maxima in x."""
    cdef int64_t c, first
    cdef const ge_row_loops *loops = ge_row_loops_of(sizeof(real_t) == 8, _plain)
    for c in prange(
        (end - begin + ROWS - 1) // ROWS,
        nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads,
    ):
        first = begin + c * ROWS
        loops.return_maxima(&indptr[0], &targets[0], &order[0], &starts[0], &places[0], &grad[0],
                            &out[0], width, first, min(first + ROWS, end))


def softmax(
    const int64_t[::1] indptr,  # IN   (n_rows + 1,)
    const real_t[::1] scores,   # IN   (n_entries * heads,), not empty
    real_t[::1] out,            # OUT  (n_entries * heads,)
    int64_t heads,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Softmax over the entries of each row."""
    cdef int64_t c, first
    cdef const ge_row_loops *loops = ge_row_loops_of(sizeof(real_t) == 8, _plain)
    for c in prange(
        (end - begin + ROWS - 1) // ROWS,
        nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads,
    ):
        first = begin + c * ROWS
        loops.softmax(&indptr[0], &scores[0], &out[0], heads, first, min(first + ROWS, end))


def softmax_backward(
    const int64_t[::1] indptr,  # IN   (n_rows + 1,)
    const real_t[::1] alpha,    # IN   (n_entries * heads,), not empty: the result of softmax
    const real_t[::1] grad,     # IN   (n_entries * heads,), of that
    real_t[::1] out,            # OUT  (n_entries * heads,), gradient of the scores
    int64_t heads,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Gradient of the softmax in the scores."""
    cdef int64_t c, first
    cdef const ge_row_loops *loops = ge_row_loops_of(sizeof(real_t) == 8, _plain)
    for c in prange(
        (end - begin + ROWS - 1) // ROWS,
        nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads,
    ):
        first = begin + c * ROWS
        loops.softmax_backward(&indptr[0], &alpha[0], &grad[0], &out[0], heads, first,
                               min(first + ROWS, end))


def weigh(
    const int64_t[::1] indptr,   # IN   (n_targets + 1,)
    const int32_t[::1] indices,  # IN   (n_entries,), not empty
    const real_t[::1] source,    # IN   (n_sources * heads,), scores
    const real_t[::1] target,    # IN   (n_targets * heads,)
    const real_t[::1] edge,      # IN   (n_entries * heads,), or empty
    real_t[::1] alpha,           # OUT  (n_entries * heads,), negative where dropped
    int64_t heads,
    double slope,                # of the leaky ReLU
    int64_t threshold,           # an entry is kept if its random 32 bits are not below it, as a
                                 #      signed number; -2^31 keeps all, 2^31 none
    uint64_t seed,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Softmax of leaky ReLUs of sums of scores over the entries of each target, with dropout."""
    cdef int64_t c, first
    cdef const real_t *extra = NULL
    cdef const ge_row_loops *loops = ge_row_loops_of(sizeof(real_t) == 8, _plain)
    if edge.shape[0] > 0:
        extra = &edge[0]
    for c in prange(
        (end - begin + ROWS - 1) // ROWS,
        nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads,
    ):
        first = begin + c * ROWS
        loops.weigh(&indptr[0], &indices[0], &source[0], &target[0], extra, &alpha[0], heads,
                    slope, seed, threshold, first, min(first + ROWS, end))


def weigh_backward(
    const int64_t[::1] indptr,   # IN   (n_sources + 1,), of the transpose
    const int32_t[::1] targets,  # IN   (n_entries,), its columns, not empty
    const int32_t[::1] order,    # IN   (n_entries,), where its entries are in the matrix
    const real_t[::1] x,         # IN   (n_sources * heads * width,)
    const real_t[::1] source,    # IN   (n_sources * heads,), as in weigh
    const real_t[::1] target,    # IN   (n_targets * heads,)
    const real_t[::1] edge,      # IN   (n_entries * heads,), or empty
    const real_t[::1] alpha,     # IN   (n_entries * heads,)
    double scale,                # of what is kept
    const real_t[::1] grad,      # IN   (n_targets * heads * width,), of the sums of alpha * x
    const real_t[::1] dots,      # IN   (n_targets * heads,): grad . sum
    real_t[::1] grad_x,          # OUT  (n_sources * heads * width,), not empty
    real_t[::1] grad_source,     # OUT  (n_sources * heads,)
    real_t[::1] grad_scores,     # OUT  (n_entries * heads,), of each entry's sum of scores
    int64_t heads,
    int64_t width,
    double slope,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Gradients of the sums of alpha * x, by source."""
    cdef int64_t c, first
    cdef const real_t *extra = NULL
    cdef const ge_row_loops *loops = ge_row_loops_of(sizeof(real_t) == 8, _plain)
    if edge.shape[0] > 0:
        extra = &edge[0]
    for c in prange(
        (end - begin + ROWS - 1) // ROWS,
        nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads,
    ):
        first = begin + c * ROWS
        loops.weigh_backward(&indptr[0], &targets[0], &order[0], &x[0], &source[0], &target[0],
                             extra, &alpha[0], scale, &grad[0], &dots[0], &grad_x[0],
                             &grad_source[0], &grad_scores[0], heads, width, slope, first,
                             min(first + ROWS, end))


def dots(
    const real_t[::1] left,   # IN   (n_rows * width,), not empty
    const real_t[::1] right,  # IN   (n_rows * width,)
    real_t[::1] out,          # OUT  (n_rows,)
    int64_t width,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Dot products of the rows of two dense matrices."""
    cdef int64_t c, first
    cdef const ge_row_loops *loops = ge_row_loops_of(sizeof(real_t) == 8, _plain)
    for c in prange(
        (end - begin + ROWS - 1) // ROWS,
        nogil=True, schedule="static", num_threads=n_threads,
    ):
        first = begin + c * ROWS
        loops.dots(&left[0], &right[0], &out[0], width, first, min(first + ROWS, end))


def sum_entries(
    const int64_t[::1] indptr,  # IN   (n_rows + 1,)
    const real_t[::1] entries,  # IN   (n_entries * heads,), not empty
    real_t[::1] out,            # OUT  (n_rows * heads,)
    int64_t heads,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Sums over the entries of each row."""
    cdef int64_t c, first
    cdef const ge_row_loops *loops = ge_row_loops_of(sizeof(real_t) == 8, _plain)
    for c in prange(
        (end - begin + ROWS - 1) // ROWS,
        nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads,
    ):
        first = begin + c * ROWS
        loops.sum_entries(&indptr[0], &entries[0], &out[0], heads, first,
                          min(first + ROWS, end))


def transpose(
    const real_t[::1] x,  # IN   (n_rows * n_columns,), not empty
    real_t[::1] out,      # OUT  (n_columns * n_rows,)
    int64_t n_rows,
    int64_t n_columns,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Columns begin .. end - 1 of a dense matrix, as rows."""
    cdef int64_t c, first
    cdef const ge_row_loops *loops = ge_row_loops_of(sizeof(real_t) == 8, _plain)
    for c in prange(
        (end - begin + ROWS - 1) // ROWS,
        nogil=True, schedule="static", num_threads=n_threads,
    ):
        first = begin + c * ROWS
        loops.transpose(&x[0], &out[0], n_rows, n_columns, first, min(first + ROWS, end))


def drop(
    const real_t[::1] x,  # IN   (n,), not empty
    real_t[::1] out,      # OUT  (n,), may be x
    int64_t threshold,    # as in weigh
    double scale,         # of what is kept
    uint64_t seed,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Dropout: element i is kept by the i-th random number of the seed."""
    cdef int64_t c, first, step = 4096
    cdef const ge_row_loops *loops = ge_row_loops_of(sizeof(real_t) == 8, _plain)
    for c in prange(
        (end - begin + step - 1) // step, nogil=True, schedule="static", num_threads=n_threads,
    ):
        first = begin + c * step
        loops.drop(&x[0], &out[0], seed, threshold, scale, first, min(first + step, end))


def count_columns(
    const int32_t[::1] indices,  # IN   (n_entries,), not empty
    int64_t[::1] counts,         # IN OUT  (n_columns + 1,): of column j at j + 1
    int64_t begin,
    int64_t end,
) -> None:
    """Count the entries of each column."""
    with nogil:
        ge_count_columns(&indices[0], &counts[0], begin, end)


def group(
    const int32_t[::1] indices,  # IN   (n_entries,), not empty
    int64_t[::1] places,         # IN OUT  (n_columns + 1,), at first where each column begins
    int32_t[::1] order,          # OUT  (n_entries,): entries by column, in order within each
    int64_t begin,
    int64_t end,
) -> None:
    """Sort entries begin .. end - 1 by column; entries are asked in order."""
    with nogil:
        ge_group(&indices[0], &places[0], &order[0], begin, end)


def deal_entries(
    const int64_t[::1] indptr,   # IN   (n_rows + 1,)
    const int32_t[::1] indices,  # IN   (n_entries,), not empty
    int64_t[::1] places,         # IN OUT  (n_columns + 1,), at first indptr of the transpose
    int32_t[::1] rows,           # OUT  (n_entries,), columns of the transpose
    int32_t[::1] order,          # OUT  (n_entries,), where its entries are in the matrix
    int64_t begin,
    int64_t end,
) -> None:
    """Deal the entries of rows begin .. end - 1 to the transpose; rows are asked in order."""
    with nogil:
        ge_deal_entries(&indptr[0], &indices[0], &places[0], &rows[0], &order[0], begin, end)
