"""From edges to CSR: arcs are dealt into buckets of neighbouring sources, and the buckets sorted.

Chunks of edges and buckets are worked on side by side; the order of parallel edges is that of the
input throughout, so no sum depends on the chunks or the threads.
"""

from cython.parallel cimport prange

from graphembed._kernels._typedefs cimport float32_t, float64_t, int8_t, int32_t, int64_t, uint64_t


cdef extern from "_csr.h" nogil:
    void ge_deal(
        const int32_t *source, const int32_t *target, const float64_t *weights, int64_t first,
        int64_t last, int mirror, int shift, const int32_t *bucket, int bits, int64_t *places,
        uint64_t *records, int stride,
    )
    void ge_sort(
        uint64_t *records, uint64_t *scratch, int64_t n, int stride, uint64_t base, int bits
    )
    int64_t ge_look_at_sums(
        const uint64_t *records, int64_t n, int stride, float64_t low, float64_t high,
        int8_t *unlike, int64_t *bad,
    )
    void ge_write_rows(
        const uint64_t *records, int64_t n, int stride, int bits, int64_t first, int64_t last,
        int64_t arc, int64_t *indptr, int32_t *indices, float32_t *weights,
    )


def count_groups(
    const int32_t[::1] source,     # IN   (n_edges,)
    const int32_t[::1] target,     # IN   (n_edges,)
    const float64_t[::1] weights,  # IN   (n_edges,), or empty; an edge of weight 0 is left out
    bint mirror,
    int shift,
    int64_t[:, ::1] counts,        # OUT  (n_chunks, n_groups): arcs by chunk of the edges and by
                                   #      group of sources, node >> shift
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Count arcs; with `mirror`, those from target to source, too, but loops once."""
    cdef int64_t c
    for c in prange(
        begin, end, nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads
    ):
        _count_chunk(source, target, weights, mirror, shift, counts, c)


cdef void _count_chunk(
    const int32_t[::1] source,
    const int32_t[::1] target,
    const float64_t[::1] weights,
    bint mirror,
    int shift,
    int64_t[:, ::1] counts,
    int64_t c,
) noexcept nogil:
    cdef int64_t i, n = source.shape[0], n_chunks = counts.shape[0]
    cdef bint weighted = weights.shape[0] > 0
    for i in range(counts.shape[1]):
        counts[c, i] = 0
    for i in range(n * c // n_chunks, n * (c + 1) // n_chunks):
        if weighted and weights[i] == 0:
            continue
        counts[c, source[i] >> shift] += 1
        if mirror and source[i] != target[i]:
            counts[c, target[i] >> shift] += 1


def deal_arcs(
    const int32_t[::1] source,     # IN   as above
    const int32_t[::1] target,     # IN
    const float64_t[::1] weights,  # IN
    bint mirror,
    int shift,
    const int32_t[::1] bucket,     # IN   (n_groups,), rising
    int bits,
    int64_t[:, ::1] places,        # IN OUT  (n_chunks, n_buckets): where the next arc goes
    uint64_t[:, ::1] records,      # OUT  (n_arcs, 1), or with weights (n_arcs, 2)
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Write every arc into its bucket, in the order of the edges."""
    cdef int64_t c, n = source.shape[0], n_chunks = places.shape[0]
    if n == 0 or records.shape[0] == 0:
        return
    for c in prange(
        begin, end, nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads
    ):
        if weights.shape[0] > 0:
            ge_deal(&source[0], &target[0], &weights[0], n * c // n_chunks,
                    n * (c + 1) // n_chunks, mirror, shift, &bucket[0], bits, &places[c, 0],
                    &records[0, 0], 2)
        else:
            ge_deal(&source[0], &target[0], NULL, n * c // n_chunks, n * (c + 1) // n_chunks,
                    mirror, shift, &bucket[0], bits, &places[c, 0], &records[0, 0], 1)


def sort_buckets(
    uint64_t[:, ::1] records,      # IN OUT  as above; each bucket is sorted
    const int64_t[::1] starts,     # IN   (n_buckets + 1,), of the buckets in records
    const int64_t[::1] nodes,      # IN   (n_buckets + 1,), of the buckets in the nodes
    int bits,
    int64_t origin,                # records[origin] has its place at scratch[0]
    uint64_t[:, ::1] scratch,      # OUT  as long as the buckets begin .. end
    float64_t low,                 # of the sums that are allowed
    float64_t high,
    int64_t[::1] n_distinct,       # OUT  (n_buckets,), arcs when parallel ones are one
    int8_t[::1] unlike,            # OUT  (n_buckets,), whether some sum is not 1
    int64_t[::1] bad,              # OUT  (n_buckets,), first record of a sum not allowed, or -1
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Sort buckets by (source, target) and look at the sums of parallel arcs."""
    cdef int64_t b
    for b in prange(
        begin, end, nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads
    ):
        if records.shape[1] == 2:
            _sort_bucket(records, starts, nodes, bits, origin, scratch, low, high, n_distinct,
                         unlike, bad, 2, b)
        else:
            _sort_bucket(records, starts, nodes, bits, origin, scratch, low, high, n_distinct,
                         unlike, bad, 1, b)


cdef inline void _sort_bucket(
    uint64_t[:, ::1] records,
    const int64_t[::1] starts,
    const int64_t[::1] nodes,
    int bits,
    int64_t origin,
    uint64_t[:, ::1] scratch,
    float64_t low,
    float64_t high,
    int64_t[::1] n_distinct,
    int8_t[::1] unlike,
    int64_t[::1] bad,
    int stride,
    int64_t b,
) noexcept nogil:
    cdef int64_t n = starts[b + 1] - starts[b]
    cdef int key_bits = bits
    cdef uint64_t *bucket
    unlike[b] = 0
    bad[b] = -1
    n_distinct[b] = 0
    if n == 0:
        return
    while ((nodes[b + 1] - nodes[b] - 1) >> (key_bits - bits)) > 0:
        key_bits += 1
    bucket = &records[starts[b], 0]
    ge_sort(
        bucket, &scratch[starts[b] - origin, 0], n, stride, <uint64_t>nodes[b] << bits, key_bits
    )
    n_distinct[b] = ge_look_at_sums(bucket, n, stride, low, high, &unlike[b], &bad[b])
    if bad[b] >= 0:
        bad[b] += starts[b]


def write_rows(
    const uint64_t[:, ::1] records,  # IN   sorted, as above
    const int64_t[::1] starts,     # IN   (n_buckets + 1,)
    const int64_t[::1] nodes,      # IN   (n_buckets + 1,)
    int bits,
    const int64_t[::1] arcs,       # IN   (n_buckets + 1,), of the buckets in the CSR
    int64_t[::1] indptr,           # OUT  (n_nodes + 1,)
    int32_t[::1] indices,          # OUT  (n_arcs,)
    float32_t[::1] weights,        # OUT  (n_arcs,), or empty
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Write the rows of buckets, parallel arcs summed."""
    cdef int64_t b
    indptr[0] = 0
    for b in prange(
        begin, end, nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads
    ):
        if records.shape[1] == 2:
            _write_bucket(records, starts, nodes, bits, arcs, indptr, indices, weights, 2, b)
        else:
            _write_bucket(records, starts, nodes, bits, arcs, indptr, indices, weights, 1, b)


cdef inline void _write_bucket(
    const uint64_t[:, ::1] records,
    const int64_t[::1] starts,
    const int64_t[::1] nodes,
    int bits,
    const int64_t[::1] arcs,
    int64_t[::1] indptr,
    int32_t[::1] indices,
    float32_t[::1] weights,
    int stride,
    int64_t b,
) noexcept nogil:
    cdef const uint64_t *bucket = NULL
    cdef int32_t *targets = NULL
    cdef float32_t *sums = NULL
    cdef int64_t n = starts[b + 1] - starts[b]
    if n > 0:
        bucket = &records[starts[b], 0]
        targets = &indices[0]
    if weights.shape[0] > 0:
        sums = &weights[0]
        ge_write_rows(
            bucket, n, stride, bits, nodes[b], nodes[b + 1], arcs[b], &indptr[0], targets, sums
        )
    else:
        ge_write_rows(
            bucket, n, stride, bits, nodes[b], nodes[b + 1], arcs[b], &indptr[0], targets, NULL
        )


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
