"""Edge lists as text: blocks of lines become pairs of ids and weights, many blocks side by side."""

from cython.parallel cimport prange

from graphembed._kernels._typedefs cimport float64_t, int32_t, int64_t, uint8_t, uint64_t

ctypedef fused id_t:
    int32_t
    int64_t



cdef extern from "_parse.h" nogil:
    enum:
        GE_PADDING
        GE_MAX_EXPONENT
        GE_TALLY_SIZE
        GE_TALLY_LINES
        GE_TALLY_EDGES
        GE_TALLY_ODD
        GE_TALLY_WORDS
        GE_TALLY_WIDE
        GE_TALLY_FOREIGN
    ctypedef struct ge_layout:
        int64_t separator
        int64_t source
        int64_t target
        int64_t weight
        int64_t width
    void ge_read_lines(
        const uint8_t *text, int64_t begin, int64_t end, const ge_layout *layout,
        const uint64_t *powers, int words, int64_t *ids, float64_t *weights, int64_t *odd,
        int64_t *tally,
    )

PADDING = GE_PADDING              # bytes that must be readable behind the text
MAX_EXPONENT = GE_MAX_EXPONENT    # powers holds 5^-MAX_EXPONENT .. 5^MAX_EXPONENT
# Columns of a tally: lines seen, slots filled, odd lines, whether there is a word where integers
# were wanted, an integer outside 0 .. 2^31 - 1, bytes that are not ASCII (1) or NUL (2).
TALLY_SIZE = GE_TALLY_SIZE
TALLY_LINES = GE_TALLY_LINES
TALLY_EDGES = GE_TALLY_EDGES
TALLY_ODD = GE_TALLY_ODD
TALLY_WORDS = GE_TALLY_WORDS
TALLY_WIDE = GE_TALLY_WIDE
TALLY_FOREIGN = GE_TALLY_FOREIGN


def read_integers(
    const uint8_t[::1] text,       # IN   (n_bytes + PADDING,), a newline at n_bytes
    const int64_t[::1] cuts,       # IN   (n_blocks + 1,), starts of lines
    const int64_t[::1] layout,     # IN   (5,): separator, columns source, target, weight, width
    const uint64_t[:, ::1] powers,   # IN   (2 * MAX_EXPONENT + 1, 2), powers of five, 128 bits
    int64_t[:, ::1] ids,           # OUT  (n_bytes // 2 + n_blocks, 2), block b from cuts[b] // 2 + b
    float64_t[::1] weights,        # OUT  as long as ids, or empty
    int64_t[:, ::1] odd,           # OUT  as long as ids, 4 columns: slot, line, begin, end
    int64_t[:, ::1] tally,         # OUT  (n_blocks, TALLY_SIZE)
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Read blocks of lines whose ids are integers."""
    cdef int64_t b
    cdef ge_layout columns = _columns(layout)
    for b in prange(
        begin, end, nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads
    ):
        _read_block(text, cuts, &columns, powers, 0, ids, weights, odd, tally, b)


def read_words(
    const uint8_t[::1] text,       # IN   as above
    const int64_t[::1] cuts,       # IN
    const int64_t[::1] layout,     # IN
    const uint64_t[:, ::1] powers,   # IN
    int64_t[:, ::1] spans,         # OUT  as ids above, 4 columns: begin and length of both ids
    float64_t[::1] weights,        # OUT
    int64_t[:, ::1] odd,           # OUT
    int64_t[:, ::1] tally,         # OUT
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Find the ids in blocks of lines, whatever they are."""
    cdef int64_t b
    cdef ge_layout columns = _columns(layout)
    for b in prange(
        begin, end, nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads
    ):
        _read_block(text, cuts, &columns, powers, 1, spans, weights, odd, tally, b)


cdef ge_layout _columns(const int64_t[::1] layout):
    cdef ge_layout columns
    columns.separator = layout[0]
    columns.source = layout[1]
    columns.target = layout[2]
    columns.weight = layout[3]
    columns.width = layout[4]
    return columns


cdef void _read_block(
    const uint8_t[::1] text,
    const int64_t[::1] cuts,
    const ge_layout *columns,
    const uint64_t[:, ::1] powers,
    int words,
    int64_t[:, ::1] ids,
    float64_t[::1] weights,
    int64_t[:, ::1] odd,
    int64_t[:, ::1] tally,
    int64_t b,
) noexcept nogil:
    cdef int64_t first = cuts[b] // 2 + b
    cdef float64_t *values = NULL
    if columns.weight >= 0:
        values = &weights[first]
    if words:
        ge_read_lines(&text[0], cuts[b], cuts[b + 1], columns, &powers[0, 0], 1, &ids[first, 0],
                      values, &odd[first, 0], &tally[b, 0])
    else:
        ge_read_lines(&text[0], cuts[b], cuts[b + 1], columns, &powers[0, 0], 0, &ids[first, 0],
                      values, &odd[first, 0], &tally[b, 0])


def gather_integers(
    const int64_t[:, ::1] ids,     # IN   as read_integers left them
    const float64_t[::1] weights,  # IN   as long as ids, or empty
    const int64_t[::1] cuts,       # IN   (n_blocks + 1,)
    const int64_t[::1] places,     # IN   (n_blocks + 1,), where the edges of every block begin
    id_t[::1] source,              # OUT  (n_edges,)
    id_t[::1] target,              # OUT  (n_edges,)
    float64_t[::1] kept,           # OUT  (n_edges,), or empty
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Put the edges of blocks side by side."""
    cdef int64_t b, i, first, place
    for b in prange(begin, end, nogil=True, schedule="static", num_threads=n_threads):
        first = cuts[b] // 2 + b
        place = places[b]
        for i in range(places[b + 1] - place):
            source[place + i] = <id_t>ids[first + i, 0]
            target[place + i] = <id_t>ids[first + i, 1]
        if weights.shape[0] > 0:
            for i in range(places[b + 1] - place):
                kept[place + i] = weights[first + i]


def gather_words(
    const int64_t[:, ::1] spans,   # IN   as read_words left them
    const float64_t[::1] weights,  # IN   as long as spans, or empty
    const int64_t[::1] cuts,       # IN   (n_blocks + 1,)
    const int64_t[::1] places,     # IN   (n_blocks + 1,)
    int64_t[:, ::1] words,         # OUT  (n_edges, 4)
    float64_t[::1] kept,           # OUT  (n_edges,), or empty
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Put the spans of blocks side by side."""
    cdef int64_t b, i, k, first, place
    for b in prange(begin, end, nogil=True, schedule="static", num_threads=n_threads):
        first = cuts[b] // 2 + b
        place = places[b]
        for i in range(places[b + 1] - place):
            for k in range(4):
                words[place + i, k] = spans[first + i, k]
        if weights.shape[0] > 0:
            for i in range(places[b + 1] - place):
                kept[place + i] = weights[first + i]
