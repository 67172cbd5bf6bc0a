"""From ids to node indices: hash tables for words and scattered integers, bit maps for dense ones."""

from cython.parallel cimport prange

from graphembed._kernels._typedefs cimport int32_t, int64_t, uint8_t, uint64_t

ctypedef fused id_t:
    int32_t
    int64_t


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
    int32_t ge_rank(uint64_t word, int place)
    void ge_set(uint8_t *flag)


def hash_words(
    const uint8_t[::1] text,       # IN   (n_bytes,)
    const int64_t[:, ::1] spans,   # IN   (n_words, 2), begin and length
    uint64_t[::1] hashes,          # OUT  (n_words,)
    uint64_t seed,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Hash words."""
    cdef int64_t i
    cdef const uint8_t *start
    if begin == end or text.shape[0] == 0:
        return
    start = &text[0]
    for i in prange(begin, end, nogil=True, schedule="static", num_threads=n_threads):
        hashes[i] = ge_hash(start + spans[i, 0], spans[i, 1], seed)


def number_words(
    const uint8_t[::1] text,       # IN   (n_bytes,)
    const int64_t[:, ::1] spans,   # IN   (n_words, 2)
    const uint64_t[::1] hashes,    # IN   (n_words,)
    uint64_t[:, ::1] slots,        # INOUT  (a power of two, 2), zero at first
    uint64_t[::1] store,           # INOUT  records, as _tables.h says
    int64_t[::1] used,             # INOUT  (2,): numbers given, length of the records
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
    uint64_t[:, ::1] slots,        # INOUT  (a power of two, 2), zero at first
    int64_t[::1] distinct,         # INOUT  half as long as slots: the integer of every number
    int64_t[::1] used,             # INOUT  (1,): numbers given
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
    uint8_t[::1] present,          # INOUT  flags of low, low + 1, ...
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Set the flags of the ids that occur."""
    cdef int64_t i
    for i in prange(begin, end, nogil=True, schedule="static", num_threads=n_threads):
        ge_set(&present[ids[i] - low])


def pack_flags(
    const uint8_t[::1] present,    # IN   (n,), a multiple of 64
    uint64_t[::1] flags,           # OUT  (n / 64,)
    int32_t[::1] counts,           # OUT  (n / 64,)
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Pack 64 flags into a word, and count them."""
    cdef int64_t i, k
    cdef uint64_t word
    cdef int32_t count
    for i in prange(begin, end, nogil=True, schedule="static", num_threads=n_threads):
        word = 0
        count = 0
        for k in range(64):
            word = word | <uint64_t>present[64 * i + k] << k
            count = count + present[64 * i + k]
        flags[i] = word
        counts[i] = count


def rank_ids(
    const id_t[:] ids,             # IN   (n,)
    int64_t low,
    const uint64_t[::1] flags,     # IN   packed flags of low, low + 1, ...
    const int32_t[::1] before,     # IN   flags set before every word
    int32_t[::1] ranks,            # OUT  (n,), may be `ids`
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Replace ids by their places among those that occur."""
    cdef int64_t i, place
    for i in prange(begin, end, nogil=True, schedule="static", num_threads=n_threads):
        place = ids[i] - low
        ranks[i] = before[place >> 6] + ge_rank(flags[place >> 6], place & 63)


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
