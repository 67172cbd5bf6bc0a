"""From edges to CSR: arcs are dealt into buckets of neighbouring sources, and the buckets sorted.

Chunks of edges and buckets are worked on side by side; the order of parallel edges is that of the
input throughout, so no sum depends on the chunks or the threads.
"""

from cython.parallel cimport prange

from graphembed._kernels._typedefs cimport (
    float32_t, float64_t, int8_t, int32_t, int64_t, uint32_t, uint64_t,
)

ctypedef fused key_t:
    uint32_t
    uint64_t


cdef extern from "_csr.h" nogil:
    int64_t ge_claim(int32_t *taken)
    void ge_give_back(int32_t *taken, int64_t slot)
    void ge_count(
        const int32_t *source, const int32_t *target, const float64_t *weights, int64_t first,
        int64_t last, int mirror, int shift, int32_t *counts,
    )
    void ge_deal(
        const int32_t *source, const int32_t *target, const float64_t *weights, int64_t first,
        int64_t last, int mirror, int shift, const int32_t *bucket, int bits, int64_t *places,
        void *keys, float64_t *values, int wide,
    )
    void ge_sort_bucket(
        const void *keys, float64_t *weights, int64_t n, int64_t arc, int64_t first, int64_t last,
        int bits, int wide, int64_t *ends, int32_t *targets, uint64_t *scratch,
    )
    int64_t ge_look_at_sums(
        const int32_t *targets, const float64_t *weights, int64_t n, int64_t arc,
        const int64_t *ends, int64_t n_rows, float64_t low, float64_t high, int8_t *unlike,
        int64_t *bad,
    )
    void ge_merge_rows(
        const int32_t *targets, const float64_t *weights, int64_t begin, int64_t arc,
        int64_t *ends, int64_t n_rows, int32_t *indices, float32_t *sums,
    )


def count_groups(
    const int32_t[::1] source,     # IN   (n_edges,)
    const int32_t[::1] target,     # IN   (n_edges,)
    const float64_t[::1] weights,  # IN   (n_edges,), or empty; an edge of weight 0 is left out
    bint mirror,
    int shift,
    int32_t[:, ::1] counts,        # OUT  (n_chunks, n_groups): arcs by chunk of the edges and by
                                   #      group of sources, node >> shift; zero at first
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Count arcs; with `mirror`, those from target to source, too, but loops once."""
    cdef int64_t c, n = source.shape[0], n_chunks = counts.shape[0]
    cdef const float64_t *values = NULL
    if n == 0:
        return
    if weights.shape[0] > 0:
        values = &weights[0]
    for c in prange(
        begin, end, nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads
    ):
        ge_count(&source[0], &target[0], values, n * c // n_chunks, n * (c + 1) // n_chunks,
                 mirror, shift, &counts[c, 0])


def deal_arcs(
    const int32_t[::1] source,     # IN   as above
    const int32_t[::1] target,     # IN
    const float64_t[::1] weights,  # IN
    bint mirror,
    int shift,
    const int32_t[::1] bucket,     # IN   (n_groups,), rising
    int bits,
    int64_t[:, ::1] places,        # IN OUT  (n_chunks, n_buckets): where the next arc goes
    key_t[::1] keys,               # OUT  (n_arcs,), source << bits | target, or its lower half
    float64_t[::1] values,         # OUT  (n_arcs,), weights, or empty
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Write every arc into its bucket, in the order of the edges."""
    cdef int64_t c, n = source.shape[0], n_chunks = places.shape[0]
    if n == 0 or keys.shape[0] == 0:
        return
    for c in prange(
        begin, end, nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads
    ):
        if weights.shape[0] > 0:
            ge_deal(&source[0], &target[0], &weights[0], n * c // n_chunks,
                    n * (c + 1) // n_chunks, mirror, shift, &bucket[0], bits, &places[c, 0],
                    &keys[0], &values[0], sizeof(key_t) == 8)
        else:
            ge_deal(&source[0], &target[0], NULL, n * c // n_chunks, n * (c + 1) // n_chunks,
                    mirror, shift, &bucket[0], bits, &places[c, 0], &keys[0], NULL,
                    sizeof(key_t) == 8)


def sort_buckets(
    const key_t[::1] keys,         # IN   (n_arcs,), bucket by bucket
    float64_t[::1] values,         # IN OUT  (n_arcs,), weights, or empty; sorted like the arcs
    const int64_t[::1] starts,     # IN   (n_buckets + 1,), of the buckets in keys
    const int64_t[::1] nodes,      # IN   (n_buckets + 1,), of the buckets in the nodes
    int bits,
    uint64_t[:, ::1] scratch,      # OUT  (n_threads, largest bucket in words: 1 an arc, 2 if keys
                                   #      are wide, 3 with weights)
    int32_t[::1] taken,            # IN OUT  (n_threads,), zero: which of them are in use
    float64_t low,                 # of the sums that are allowed
    float64_t high,
    int64_t[::1] indptr,           # OUT  (n_nodes + 1,) but for indptr[0], which is 0
    int32_t[::1] targets,          # OUT  (n_arcs,), may be `keys` if they are narrow
    int64_t[::1] n_distinct,       # OUT  (n_buckets,), arcs when parallel ones are one
    int8_t[::1] unlike,            # OUT  (n_buckets,), whether some sum is not 1
    int64_t[::1] bad,              # OUT  (n_buckets,), first arc of a sum not allowed, or -1
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Sort buckets by (source, target) and look at the sums of parallel arcs."""
    cdef int64_t b
    cdef const key_t *first_key = NULL
    cdef float64_t *weights = NULL
    cdef int32_t *first_target = NULL
    if keys.shape[0] > 0:
        first_key, first_target = &keys[0], &targets[0]
    if values.shape[0] > 0:
        weights = &values[0]
    for b in prange(
        begin, end, nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads
    ):
        _sort_bucket(first_key, weights, starts[b + 1] - starts[b], starts[b], nodes[b],
                     nodes[b + 1], bits, scratch, &taken[0], low, high, &indptr[1], first_target,
                     &n_distinct[b], &unlike[b], &bad[b])


cdef inline void _sort_bucket(
    const key_t *keys,
    float64_t *weights,
    int64_t n,
    int64_t arc,
    int64_t first,
    int64_t last,
    int bits,
    uint64_t[:, ::1] scratch,
    int32_t *taken,
    float64_t low,
    float64_t high,
    int64_t *ends,
    int32_t *targets,
    int64_t *n_distinct,
    int8_t *unlike,
    int64_t *bad,
) noexcept nogil:
    cdef int64_t slot = ge_claim(taken)
    if weights != NULL:
        weights += arc
        ge_sort_bucket(keys + arc, weights, n, arc, first, last, bits, sizeof(key_t) == 8, ends,
                       targets + arc, &scratch[slot, 0])
        n_distinct[0] = ge_look_at_sums(targets + arc, weights, n, arc, ends + first, last - first,
                                        low, high, unlike, bad)
    else:
        ge_sort_bucket(keys + arc, NULL, n, arc, first, last, bits, sizeof(key_t) == 8, ends,
                       targets + arc, &scratch[slot, 0])
        n_distinct[0] = ge_look_at_sums(targets + arc, NULL, n, arc, ends + first, last - first,
                                        low, high, unlike, bad)
    ge_give_back(taken, slot)


def merge_rows(
    const int32_t[::1] targets,    # IN   (n_arcs,), sorted, as above
    const float64_t[::1] values,   # IN   (n_arcs,), or empty
    const int64_t[::1] starts,     # IN   (n_buckets + 1,)
    const int64_t[::1] nodes,      # IN   (n_buckets + 1,)
    const int64_t[::1] arcs,       # IN   (n_buckets + 1,), of the buckets in the CSR
    int64_t[::1] indptr,           # IN OUT  (n_nodes + 1,)
    int32_t[::1] indices,          # OUT  (n_distinct,), may be `targets` if none are parallel
    float32_t[::1] weights,        # OUT  (n_distinct,), or empty
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Make parallel arcs one, and sum their weights."""
    cdef int64_t b
    cdef const float64_t *summands = NULL
    cdef float32_t *sums = NULL
    if indices.shape[0] == 0:
        return
    if values.shape[0] > 0:
        summands = &values[0]
    if weights.shape[0] > 0:
        sums = &weights[0]
    for b in prange(
        begin, end, nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads
    ):
        ge_merge_rows(&targets[0], summands, starts[b], arcs[b], &indptr[nodes[b] + 1],
                      nodes[b + 1] - nodes[b], &indices[0], sums)


def is_symmetric(
    const int64_t[::1] indptr,     # IN   (n_nodes + 1,)
    const int32_t[::1] indices,    # IN   (n_arcs,), rising in every row
    const float32_t[::1] weights,  # IN   (n_arcs,), or empty
    int64_t[::1] cursor,           # IN OUT  (n_nodes,), at first indptr[:-1]
    int64_t begin,
    int64_t end,
) -> bool:
    """Whether every arc of rows begin .. end - 1 has its equal reverse; rows are asked in order.

    Row j meets its lower arcs (j, i), i < j, in the order of i, one for each upper arc (i, j);
    cursor[j] is the next one.
    """
    cdef int64_t i, j, k, back
    cdef bint weighted = weights.shape[0] > 0, good = True
    with nogil:
        for i in range(begin, end):
            k = cursor[i]
            if k < indptr[i + 1] and indices[k] < i:  # a lower arc that no upper arc has met
                good = False
            while good and k < indptr[i + 1]:
                j = indices[k]
                if j > i:
                    back = cursor[j]
                    cursor[j] = back + 1
                    good = back < indptr[j + 1] and indices[back] == i and (
                        not weighted or weights[back] == weights[k]
                    )
                k += 1
            if not good:
                break
    return good
