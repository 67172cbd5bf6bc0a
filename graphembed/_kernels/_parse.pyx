"""Edge lists as text: lines become pairs of ids and weights."""

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
    const uint8_t[::1] text,       # IN   (end + PADDING,), a newline at `end`
    const int64_t[::1] layout,     # IN   (5,): separator, columns source, target, weight, width
    const uint64_t[:, ::1] powers,   # IN   (2 * MAX_EXPONENT + 1, 2), powers of five, 128 bits
    int64_t[:, ::1] ids,           # OUT  (n_bytes // 2 + 1, 2)
    float64_t[::1] weights,        # OUT  as long as ids, or empty
    int64_t[:, ::1] odd,           # OUT  as long as ids, 4 columns: slot, line, begin, end
    int64_t[::1] tally,            # OUT  (TALLY_SIZE,)
    int64_t begin,
    int64_t end,
):
    """Read the lines in bytes begin .. end - 1, whose ids are integers."""
    cdef ge_layout columns = _columns(layout)
    cdef float64_t *values = NULL
    if weights.shape[0] > 0:
        values = &weights[0]
    with nogil:
        ge_read_lines(&text[0], begin, end, &columns, &powers[0, 0], 0, &ids[0, 0], values,
                      &odd[0, 0], &tally[0])


def read_words(
    const uint8_t[::1] text,       # IN   as above
    const int64_t[::1] layout,     # IN
    const uint64_t[:, ::1] powers,   # IN
    int64_t[:, ::1] spans,         # OUT  as long as ids above, 4 columns: begin, length of both ids
    float64_t[::1] weights,        # OUT
    int64_t[:, ::1] odd,           # OUT
    int64_t[::1] tally,            # OUT
    int64_t begin,
    int64_t end,
):
    """Find the ids in the lines, whatever they are; those of an odd line are empty."""
    cdef ge_layout columns = _columns(layout)
    cdef float64_t *values = NULL
    if weights.shape[0] > 0:
        values = &weights[0]
    with nogil:
        ge_read_lines(&text[0], begin, end, &columns, &powers[0, 0], 1, &spans[0, 0], values,
                      &odd[0, 0], &tally[0])


cdef ge_layout _columns(const int64_t[::1] layout):
    cdef ge_layout columns
    columns.separator = layout[0]
    columns.source = layout[1]
    columns.target = layout[2]
    columns.weight = layout[3]
    columns.width = layout[4]
    return columns


def split_integers(
    const int64_t[:, ::1] ids,     # IN   (>= n, 2)
    id_t[::1] source,              # OUT  (n,)
    id_t[::1] target,              # OUT  (n,)
):
    """Copy pairs of ids into two arrays."""
    cdef int64_t i
    with nogil:
        for i in range(source.shape[0]):
            source[i] = <id_t>ids[i, 0]
            target[i] = <id_t>ids[i, 1]
