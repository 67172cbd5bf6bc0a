"""From edges to CSR: arcs are dealt into buckets of neighbouring sources, and the buckets sorted.

Chunks of edges and buckets are worked on side by side; the order of parallel edges is that of the
input throughout, so no sum depends on the chunks or the threads.
"""

from cython.parallel cimport prange

from graphembed._kernels._typedefs cimport float32_t, float64_t, int32_t, int64_t, uint64_t


cdef extern from "_csr.h" nogil:
    float64_t ge_weight(const uint64_t *record)
    void ge_put(uint64_t *record, int stride, uint64_t key, float64_t weight)
    void ge_sort(
        uint64_t *records, uint64_t *scratch, int64_t n, int stride, uint64_t base, int bits
    )
    int64_t ge_sum(const uint64_t *records, int64_t i, int64_t n, int stride, float64_t *sum)


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
    int64_t[:, ::1] places,        # INOUT  (n_chunks, n_buckets): where the next arc goes
    uint64_t[:, ::1] records,      # OUT  (n_arcs, 1), or with weights (n_arcs, 2)
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Write every arc into its bucket, in the order of the edges."""
    cdef int64_t c
    for c in prange(
        begin, end, nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads
    ):
        if weights.shape[0] > 0:
            _deal_chunk(source, target, weights, mirror, shift, bucket, bits, places, records, 2, c)
        else:
            _deal_chunk(source, target, weights, mirror, shift, bucket, bits, places, records, 1, c)


cdef inline void _deal_chunk(
    const int32_t[::1] source,
    const int32_t[::1] target,
    const float64_t[::1] weights,
    bint mirror,
    int shift,
    const int32_t[::1] bucket,
    int bits,
    int64_t[:, ::1] places,
    uint64_t[:, ::1] records,
    int stride,
    int64_t c,
) noexcept nogil:
    cdef int64_t i, n = source.shape[0], n_chunks = places.shape[0]
    cdef int64_t *place
    cdef uint64_t u, v
    cdef float64_t weight = 1.0
    for i in range(n * c // n_chunks, n * (c + 1) // n_chunks):
        if stride == 2:
            weight = weights[i]
            if weight == 0:
                continue
        u = <uint64_t>source[i]
        v = <uint64_t>target[i]
        place = &places[c, bucket[u >> shift]]
        ge_put(&records[place[0], 0], stride, (u << bits) | v, weight)
        place[0] += 1
        if mirror and u != v:
            place = &places[c, bucket[v >> shift]]
            ge_put(&records[place[0], 0], stride, (v << bits) | u, weight)
            place[0] += 1


def sort_buckets(
    uint64_t[:, ::1] records,      # INOUT  as above; each bucket is sorted
    const int64_t[::1] starts,     # IN   (n_buckets + 1,), of the buckets in records
    const int64_t[::1] nodes,      # IN   (n_buckets + 1,), of the buckets in the nodes
    int bits,
    int64_t origin,                # records[origin] has its place at scratch[0]
    uint64_t[:, ::1] scratch,      # OUT  as long as the buckets begin .. end
    float64_t low,                 # of the sums that are allowed
    float64_t high,
    int64_t[::1] n_distinct,       # OUT  (n_buckets,), arcs when parallel ones are one
    int64_t[::1] first_unlike,     # OUT  (n_buckets,), where the first arc begins whose sum is not 1
    int64_t[::1] first_bad,        # OUT  (n_buckets,), or whose sum is not allowed; -1 for none
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
                         first_unlike, first_bad, 2, b)
        else:
            _sort_bucket(records, starts, nodes, bits, origin, scratch, low, high, n_distinct,
                         first_unlike, first_bad, 1, b)


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
    int64_t[::1] first_unlike,
    int64_t[::1] first_bad,
    int stride,
    int64_t b,
) noexcept nogil:
    cdef int64_t i = 0, following, n = starts[b + 1] - starts[b], distinct = 0
    cdef int key_bits = bits
    cdef uint64_t *bucket
    cdef float64_t total
    first_unlike[b] = -1
    first_bad[b] = -1
    n_distinct[b] = 0
    if n == 0:
        return
    while ((nodes[b + 1] - nodes[b] - 1) >> (key_bits - bits)) > 0:
        key_bits += 1
    bucket = &records[starts[b], 0]
    ge_sort(bucket, &scratch[starts[b] - origin, 0], n, stride, <uint64_t>nodes[b] << bits,
            key_bits)
    while i < n:
        following = ge_sum(bucket, i, n, stride, &total)
        if total != 1.0 and first_unlike[b] < 0:
            first_unlike[b] = starts[b] + i
        if not low <= total <= high and first_bad[b] < 0:
            first_bad[b] = starts[b] + i
        distinct += 1
        i = following
    n_distinct[b] = distinct


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
    cdef int64_t i = 0, n = starts[b + 1] - starts[b], arc = arcs[b], node = nodes[b]
    cdef int64_t source
    cdef const uint64_t *bucket = NULL
    cdef uint64_t key
    cdef float64_t total
    if n > 0:
        bucket = &records[starts[b], 0]
    indptr[node] = arc
    while i < n:
        key = bucket[i * stride]
        source = <int64_t>(key >> bits)
        i = ge_sum(bucket, i, n, stride, &total)
        while node < source:
            node += 1
            indptr[node] = arc
        indices[arc] = <int32_t>(key & ((<uint64_t>1 << bits) - 1))
        if weights.shape[0] > 0:
            weights[arc] = <float32_t>total
        arc += 1
    while node < nodes[b + 1]:
        node += 1
        indptr[node] = arc


def is_symmetric(
    const int64_t[::1] indptr,     # IN   (n_nodes + 1,)
    const int32_t[::1] indices,    # IN   (n_arcs,), rising in every row
    const float32_t[::1] weights,  # IN   (n_arcs,), or empty
    int64_t[::1] cursor,           # INOUT  (n_nodes,), at first indptr[:-1]
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
