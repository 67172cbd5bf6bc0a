"""From ids to node indices: hash tables for words and scattered integers, bit maps for dense."""

from cython.parallel cimport prange

from graphembed._kernels._typedefs cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

ctypedef fused id_t:
    int32_t
    int64_t

cdef enum:
    STEP = 1 << 14  # items that a thread does in one go


cdef extern from "_tables.h" nogil:
    uint64_t ge_hash(const uint8_t *p, int64_t n, uint64_t key)
    int64_t ge_number_words(
        const uint8_t *text, const int64_t *spans, const uint64_t *hashes, uint64_t *slots,
        uint64_t mask, uint64_t *store, int64_t room, int64_t *used, int32_t *numbers,
        int64_t begin, int64_t end,
    )
    int64_t ge_number_integers(
        const int64_t *ids, uint64_t *slots, uint64_t mask, uint64_t key, int64_t *distinct,
        int64_t *n_distinct, int32_t *numbers, int64_t begin, int64_t end,
    )
    void ge_move_slots(
        const uint64_t *source, uint64_t n_slots, uint64_t *target, uint64_t mask, uint64_t key,
        int words,
    )
    void ge_unpack_words(
        const uint64_t *store, int64_t n_words, uint8_t *text, int64_t *ends
    )
    uint32_t ge_count_bits(uint32_t x)
    void ge_rank_ids(
        const char *ids, int64_t size, int64_t stride, int64_t low, const uint64_t *cells,
        int32_t *ranks, int64_t begin, int64_t end,
    )


def hash_words(
    const uint8_t[::1] text,       # IN   (n_bytes,)
    const int64_t[:, ::1] spans,   # IN   (n_words, 2), begin and length
    uint64_t[::1] hashes,          # OUT  (n_words,)
    uint64_t seed,
    int64_t begin,
    int64_t end,
):
    """Hash words."""
    cdef int64_t i
    cdef const uint8_t *start
    if begin == end:
        return
    start = &text[0]
    with nogil:
        for i in range(begin, end):
            hashes[i] = ge_hash(start + spans[i, 0], spans[i, 1], seed)


def number_words(
    const uint8_t[::1] text,       # IN   (n_bytes,)
    const int64_t[:, ::1] spans,   # IN   (n_words, 2)
    const uint64_t[::1] hashes,    # IN   (n_words,)
    uint64_t[:, ::1] slots,        # IN OUT  (a power of two, 2), zero at first
    uint64_t[::1] store,           # IN OUT  records, as _tables.h says
    int64_t[::1] used,             # IN OUT  (2,): numbers given, length of the records
    int32_t[::1] numbers,          # OUT  (n_words,)
    int64_t begin,
    int64_t end,
) -> int:
    """Number words by first appearance; returns where it stopped because a table was full."""
    cdef int64_t stop = begin
    if begin < end:
        with nogil:
            stop = ge_number_words(
                &text[0], &spans[0, 0], &hashes[0], &slots[0, 0], slots.shape[0] - 1, &store[0],
                store.shape[0], &used[0], &numbers[0], begin, end,
            )
    return stop


def unpack_words(
    const uint64_t[::1] store,     # IN   records, as _tables.h says
    uint8_t[::1] text,             # OUT  as long as all words
    int64_t[::1] ends,             # OUT  (n_words,), of the words in text
):
    """Write the words side by side, in the order of their numbers."""
    with nogil:
        if ends.shape[0] > 0:
            ge_unpack_words(&store[0], ends.shape[0], &text[0], &ends[0])


def number_integers(
    const int64_t[::1] ids,        # IN   (n,)
    uint64_t[:, ::1] slots,        # IN OUT  (a power of two, 2), zero at first
    int64_t[::1] distinct,         # IN OUT  half as long as slots: the integer of every number
    int64_t[::1] used,             # IN OUT  (1,): numbers given
    int32_t[::1] numbers,          # OUT  (n,)
    uint64_t seed,
    int64_t begin,
    int64_t end,
) -> int:
    """Number integers by first appearance; returns where it stopped because a table was full."""
    cdef int64_t stop = begin
    if begin < end:
        with nogil:
            stop = ge_number_integers(
                &ids[0], &slots[0, 0], slots.shape[0] - 1, seed, &distinct[0], &used[0],
                &numbers[0], begin, end,
            )
    return stop


def move_slots(
    const uint64_t[:, ::1] source,   # IN   (n_slots, 2)
    uint64_t[:, ::1] target,       # OUT  (a larger power of two, 2), zero
    uint64_t seed,
    bint words,
):
    """Copy a table into a larger one."""
    with nogil:
        ge_move_slots(
            &source[0, 0], source.shape[0], &target[0, 0], target.shape[0] - 1, seed, words
        )


def mark_ids(
    const id_t[:] ids,             # IN   (n,)
    int64_t low,
    uint32_t[:, ::1] flags,        # IN OUT  (n_chunks, n_cells): bits of low, low + 1, ..., whether
                                   #        they occur in a chunk of the ids
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Set the flags of the ids that occur, one row of flags for each chunk."""
    cdef int64_t c
    for c in prange(begin, end, nogil=True, schedule="static", num_threads=n_threads):
        _mark_chunk(ids, low, flags, c)


cdef void _mark_chunk(
    const id_t[:] ids, int64_t low, uint32_t[:, ::1] flags, int64_t c
) noexcept nogil:
    cdef int64_t i, n = ids.shape[0], n_chunks = flags.shape[0]
    cdef uint64_t place
    cdef uint32_t *row = &flags[c, 0]
    for i in range(n * c // n_chunks, n * (c + 1) // n_chunks):
        place = <uint64_t>(ids[i] - low)
        row[place >> 5] |= <uint32_t>1 << (place & 31)


def join_flags(
    const uint32_t[:, ::1] flags,  # IN   (n_chunks, n_cells)
    uint64_t[::1] cells,           # OUT  (n_cells,), flags of all chunks
    int32_t[::1] counts,           # OUT  (n_cells,)
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Put the flags of all chunks together, and count them."""
    cdef int64_t i, c
    cdef uint32_t word
    for i in prange(begin, end, nogil=True, schedule="static", num_threads=n_threads):
        word = 0
        for c in range(flags.shape[0]):
            word = word | flags[c, i]
        cells[i] = word
        counts[i] = ge_count_bits(word)


def rank_ids(
    const id_t[:] ids,             # IN   (n,)
    int64_t low,
    const uint64_t[::1] cells,     # IN   (n_cells,), as _tables.h says
    int32_t[::1] ranks,            # OUT  (n,), may be `ids`
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Replace ids by their places among those that occur."""
    cdef int64_t k
    if begin == end:
        return
    for k in prange(
        (end - begin + STEP - 1) // STEP, nogil=True, schedule="static", num_threads=n_threads
    ):
        ge_rank_ids(
            <const char *>&ids[0], sizeof(id_t), ids.strides[0], low, &cells[0], &ranks[0],
            begin + k * STEP, min(end, begin + (k + 1) * STEP),
        )


def renumber(
    const int32_t[::1] numbers,    # IN   (n,)
    const int32_t[::1] rank,       # IN   (n_numbers,)
    int32_t[::1] ranks,            # OUT  (n,), may be `numbers`
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Replace numbers by their ranks."""
    cdef int64_t i
    for i in prange(begin, end, nogil=True, schedule="static", num_threads=n_threads):
        ranks[i] = rank[numbers[i]]
