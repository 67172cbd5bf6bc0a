"""Exact top k: by inner product, fused with the selection, and of ready scores.

The loops are in `_topk.h`, compiled for several instruction sets that give the same bits.
"""

from cython.parallel cimport prange
from libc.math cimport NAN

from graphembed._kernels._typedefs cimport float32_t, int32_t, int64_t, uint64_t


cdef extern from "_topk.h" nogil:
    enum: GE_ROWS
    enum: GE_MAX_COLUMNS
    enum: GE_PART
    ctypedef struct ge_instructions:
        const char *name
    ctypedef struct ge_best:
        int64_t k
        int64_t room
        uint64_t *entries
        int64_t *counts
        float32_t *thresholds
        int64_t *places
        const int64_t *indptr
        const int32_t *indices
    ctypedef struct ge_products:
        const float32_t *queries
        const float32_t *targets
        const int32_t *candidates
        int64_t n_candidates
        int64_t width
        float32_t *panel
        float32_t *packed
        float32_t *scores
    const ge_instructions *ge_instruction_sets
    int ge_n_instruction_sets()
    void ge_top_products(
        const ge_instructions *use, const ge_products *products, ge_best *best, int64_t first,
        int64_t last, int32_t *targets, float32_t *scores,
    )
    bint ge_top_of_row(
        ge_best *best, const float32_t *row, int64_t n, int64_t query, int32_t *targets,
        float32_t *scores,
    )


ROWS = GE_ROWS  # queries of a tile

# Those that this processor has, the fastest last.
INSTRUCTION_SETS = tuple(
    [ge_instruction_sets[i].name.decode() for i in range(ge_n_instruction_sets())]
)


def work_size(int64_t block, int64_t width):
    """Floats of work space that a thread needs for so many queries at a time."""
    return GE_MAX_COLUMNS * (GE_PART + block) + block * width


def top_products(
    const float32_t[:, ::1] queries,    # IN   (n, width), finite products with all targets
    const float32_t[:, ::1] targets,    # IN   (m, width)
    const int32_t[::1] candidates,      # IN   (n_candidates,), ascending, or empty: all targets
    const int64_t[::1] exclude_indptr,  # IN   (n + 1,), or empty
    const int32_t[::1] exclude,         # IN   targets left out, ascending for every query
    int32_t[:, ::1] top,                # OUT  (n, k), -1 where there are too few
    float32_t[:, ::1] scores,           # OUT  (n, k), -inf there
    float32_t[:, ::1] work,             # scratch (n_threads, work_size(block, width))
    uint64_t[:, :, ::1] entries,        # scratch (n_threads, block, > k); block: queries at a
                                        #      time, a multiple of ROWS
    float32_t[:, ::1] thresholds,       # scratch (n_threads, block)
    int64_t[:, :, ::1] counts,          # scratch (n_threads, 2, block)
    int instructions,                   # index into INSTRUCTION_SETS
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Find the k targets with the largest inner products; the lower index wins a tie.

    O(n m width) time.
    """
    cdef int part
    cdef int64_t n = end - begin
    cdef ge_products products
    cdef ge_best best
    if n == 0 or top.shape[1] == 0:
        return
    products.queries = &queries[0, 0]
    products.targets = &targets[0, 0]
    products.candidates = &candidates[0] if candidates.shape[0] > 0 else NULL
    products.n_candidates = candidates.shape[0] if candidates.shape[0] > 0 else targets.shape[0]
    products.width = targets.shape[1]
    best.k, best.room = top.shape[1], entries.shape[2]
    best.indptr = &exclude_indptr[0] if exclude.shape[0] > 0 else NULL
    best.indices = &exclude[0] if exclude.shape[0] > 0 else NULL
    for part in prange(n_threads, nogil=True, schedule="static", num_threads=n_threads):
        _part_of_products(
            &ge_instruction_sets[instructions], products, best, &top[0, 0], &scores[0, 0],
            &work[part, 0], &entries[part, 0, 0], &thresholds[part, 0], &counts[part, 0, 0],
            entries.shape[1], begin + n * part // n_threads, begin + n * (part + 1) // n_threads,
        )


cdef void _part_of_products(
    const ge_instructions *use, ge_products products, ge_best best, int32_t *top,
    float32_t *scores, float32_t *work, uint64_t *entries, float32_t *thresholds, int64_t *counts,
    int64_t block, int64_t begin, int64_t end,
) noexcept nogil:
    products.panel, products.scores = work, work + GE_MAX_COLUMNS * GE_PART
    products.packed = products.scores + GE_MAX_COLUMNS * block
    best.entries, best.thresholds, best.counts = entries, thresholds, counts
    best.places = counts + block
    while begin < end:
        ge_top_products(use, &products, &best, begin, min(begin + block, end), top, scores)
        begin += block


def top_of_rows(
    const float32_t[:, ::1] values,     # IN   (n, m)
    const int64_t[::1] exclude_indptr,  # IN   (n + 1,), or empty
    const int32_t[::1] exclude,         # IN   columns left out, ascending for every row
    int32_t[:, ::1] top,                # OUT  (n, k), -1 where there are too few
    float32_t[:, ::1] scores,           # OUT  (n, k), -inf there; NaN in a row with one
    uint64_t[:, ::1] entries,           # scratch (n_threads, > k)
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Find the k largest of every row that are above -inf; the lower column wins a tie.

    O(n m) time.
    """
    cdef int part
    cdef int64_t n = end - begin
    cdef ge_best best
    if n == 0 or top.shape[1] == 0:
        return
    best.k, best.room = top.shape[1], entries.shape[1]
    best.indptr = &exclude_indptr[0] if exclude.shape[0] > 0 else NULL
    best.indices = &exclude[0] if exclude.shape[0] > 0 else NULL
    for part in prange(n_threads, nogil=True, schedule="static", num_threads=n_threads):
        _part_of_rows(
            best, &values[0, 0], values.shape[1], &top[0, 0], &scores[0, 0], &entries[part, 0],
            begin + n * part // n_threads, begin + n * (part + 1) // n_threads,
        )


cdef void _part_of_rows(
    ge_best best, const float32_t *values, int64_t n, int32_t *top, float32_t *scores,
    uint64_t *entries, int64_t begin, int64_t end,
) noexcept nogil:
    cdef int64_t i, count, place
    cdef float32_t threshold
    best.entries, best.counts, best.thresholds, best.places = entries, &count, &threshold, &place
    for i in range(begin, end):
        if not ge_top_of_row(
            &best, values + i * n, n, i, top + i * best.k, scores + i * best.k
        ):
            scores[i * best.k] = NAN
