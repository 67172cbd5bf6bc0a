"""Skip-gram with negative sampling over int32 walks, deterministic on any number of threads.

Nodes are split at random into P parts and the pairs of a pool of walks are sorted into P x P
buckets by (part of the centre, part of the context). Buckets that share neither part share no row
of either table, so they are trained side by side, each by one thread (see `_schedule.h`); the
negatives of a bucket are drawn from its context part. What is computed depends on the seed alone
(the grid of Zhu et al. 2019, GraphVite, section 3.2, and of Lerer et al. 2019, PyTorch-BigGraph,
section 3.1).
"""

from cython.parallel cimport prange
from libc.string cimport memset

from graphembed._kernels._alias cimport alias_row
from graphembed._kernels._rng cimport bounded, draw, stream, unit
from graphembed._kernels._schedule cimport (
    Schedule,
    begin_bucket,
    column_of,
    end_bucket,
    make_schedule,
)
from graphembed._kernels._typedefs cimport float32_t, float64_t, int32_t, int64_t, uint64_t
from graphembed._kernels._windows cimport first_walk, length, reach


cdef extern from "_sgns.h" nogil:
    enum: GE_LANES
    enum: GE_MAX_BLOCK
    ctypedef struct ge_instructions:
        const char *name
    ctypedef struct ge_noise:
        const uint64_t *words
        uint64_t n_nodes
        uint64_t key
    const ge_instructions *ge_instruction_sets
    int ge_n_instruction_sets()
    int64_t ge_scratch_size(int64_t negative, int64_t block)
    void ge_train_pairs(
        const ge_instructions *use, const int32_t *centres, const int32_t *contexts,
        int64_t n_pairs, float *input, float *output, int64_t stride,
        const ge_noise *noise, int64_t negative, int64_t block, float rate,
        int32_t *negatives, float *scratch,
    )


cdef struct Tables:
    # What all buckets of a pool have in common.
    const ge_instructions *use
    float *input
    float *output
    int64_t stride
    int64_t negative
    int64_t block
    uint64_t seed


LANES = GE_LANES            # rows of a table are padded to a multiple of this many floats
MAX_BLOCK = GE_MAX_BLOCK    # pairs that share their negatives at most

# Those that this processor has, the fastest last.
INSTRUCTION_SETS = tuple(
    [ge_instruction_sets[i].name.decode() for i in range(ge_n_instruction_sets())]
)


def scratch_size(int64_t negative, int64_t block):
    """Floats of work space that the training of one bucket needs."""
    return ge_scratch_size(negative, block)


def fill_uniform(
    float32_t[:, ::1] table,   # OUT  (n_rows, stride), zero from column n_components on
    int64_t n_components,
    uint64_t seed,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """word2vec's start: uniform on [-0.5, 0.5) / n_components."""
    cdef int64_t i, j
    cdef uint64_t key
    for i in prange(begin, end, nogil=True, schedule="static", num_threads=n_threads):
        key = stream(seed, i)
        memset(&table[i, 0], 0, table.shape[1] * sizeof(float32_t))
        for j in range(n_components):
            table[i, j] = <float32_t>((unit(draw(key, j)) - 0.5) / n_components)


def draw_parts(
    const int32_t[::1] order,   # IN   (n_nodes,), nodes by falling frequency
    int32_t[::1] part,          # OUT  (n_nodes,)
    int32_t[:, ::1] members,    # OUT  (n_parts, n_strata), -1 where a part has no node
    uint64_t seed,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Split the nodes into random parts of equal size and about equal frequency.

    Every run of n_parts nodes in `order` (a stratum) is dealt out at random, one node a part.
    """
    cdef int64_t s
    for s in prange(begin, end, nogil=True, schedule="static", num_threads=n_threads):
        _deal_stratum(order, part, members, s, stream(seed, s))


cdef void _deal_stratum(
    const int32_t[::1] order,
    int32_t[::1] part,
    int32_t[:, ::1] members,
    int64_t s,
    uint64_t key,
) noexcept nogil:
    cdef int64_t i, j, n_parts = members.shape[0]
    cdef int64_t node_at
    # members[:, s] is shuffled in place as the permutation of the places 0 .. n_parts - 1.
    for i in range(n_parts):
        members[i, s] = <int32_t>i
    for i in range(n_parts - 1, 0, -1):
        j = bounded(draw(key, i), i + 1)
        members[i, s], members[j, s] = members[j, s], members[i, s]
    for i in range(n_parts):
        node_at = s * n_parts + members[i, s]
        if node_at < order.shape[0]:
            members[i, s] = order[node_at]
            part[order[node_at]] = <int32_t>i
        else:
            members[i, s] = -1


cdef inline int64_t _n_members(const int32_t[:, ::1] members, int64_t p) noexcept nogil:
    # Only the last stratum can lack nodes.
    cdef int64_t n_strata = members.shape[1]
    return n_strata if members[p, n_strata - 1] >= 0 else n_strata - 1


def build_noise(
    const int32_t[:, ::1] members,   # IN   (n_parts, n_strata), -1 where a part has no node
    const float64_t[::1] noise,      # IN   (n_nodes,), positive: frequency ** ns_exponent
    float64_t[:, ::1] scratch,       # OUT  (n_parts, n_strata)
    uint64_t[:, ::1] cells,          # OUT  (n_parts, 2 * n_strata), alias cells, see ge_noise
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Alias table of the negatives of every part."""
    cdef int64_t p
    for p in prange(
        begin, end, nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads
    ):
        _build_part(members, noise, &scratch[p, 0], &cells[p, 0], p)


cdef void _build_part(
    const int32_t[:, ::1] members,
    const float64_t[::1] noise,
    float64_t *scratch,
    uint64_t *cells,
    int64_t p,
) noexcept nogil:
    cdef int64_t s, n = _n_members(members, p)
    for s in range(n):
        scratch[s] = noise[members[p, s]]
    alias_row(<const float64_t *>scratch, n, cells)
    for s in range(n - 1, -1, -1):    # in place: cell s becomes the words 2 s and 2 s + 1
        cells[2 * s + 1] = members[p, <int64_t>(cells[s] >> 32)]
        cells[2 * s] = (<uint64_t>members[p, s] << 32) | (cells[s] & 0xFFFFFFFFU)


# ---------------------------------------------------------------------------------------------
# Pairs
# ---------------------------------------------------------------------------------------------


def count_pairs(
    const int32_t[:, ::1] walks,     # IN   (n_walks, walk_length), -1 padded
    const int64_t[::1] walk_ids,     # IN   (n_walks,)
    const int32_t[::1] part,         # IN   (n_nodes,)
    int64_t[:, ::1] counts,          # OUT  (n_chunks, n_parts ** 2)
    int64_t n_parts,
    int64_t window,
    bint shrink,
    int64_t first,                   # the centres stand at positions first .. last - 1
    int64_t last,
    uint64_t seed,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Count the pairs of every bucket, chunk by chunk of the walks."""
    cdef int64_t c
    for c in prange(
        begin, end, nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads
    ):
        _count_chunk(
            walks, walk_ids, part, counts, n_parts, window, shrink, first, last, seed, c
        )


cdef void _count_chunk(
    const int32_t[:, ::1] walks,
    const int64_t[::1] walk_ids,
    const int32_t[::1] part,
    int64_t[:, ::1] counts,
    int64_t n_parts,
    int64_t window,
    bint shrink,
    int64_t first,
    int64_t last,
    uint64_t seed,
    int64_t c,
) noexcept nogil:
    cdef int64_t i, j, k, n, far, row, n_chunks = counts.shape[0]
    cdef uint64_t key
    memset(&counts[c, 0], 0, counts.shape[1] * sizeof(int64_t))
    for i in range(
        first_walk(c, n_chunks, walks.shape[0]), first_walk(c + 1, n_chunks, walks.shape[0])
    ):
        key = stream(seed, walk_ids[i])
        n = length(walks, i)
        for j in range(first, min(n, last)):
            far = reach(key, j, window, shrink)
            row = part[walks[i, j]] * n_parts
            for k in range(max(0, j - far), min(n, j + far + 1)):
                if k != j:
                    counts[c, row + part[walks[i, k]]] += 1


def fill_pairs(
    const int32_t[:, ::1] walks,     # IN      (n_walks, walk_length), -1 padded
    const int64_t[::1] walk_ids,     # IN      (n_walks,)
    const int32_t[::1] part,         # IN      (n_nodes,)
    int64_t[:, ::1] cursors,         # IN OUT  (n_chunks, n_parts ** 2), first place of each chunk
    int32_t[::1] centres,            # OUT     (n_pairs,)
    int32_t[::1] contexts,           # OUT     (n_pairs,)
    int64_t n_parts,
    int64_t window,
    bint shrink,
    int64_t first,                   # the centres stand at positions first .. last - 1
    int64_t last,
    uint64_t seed,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Sort the pairs into their buckets, in the order of the walks."""
    cdef int64_t c
    for c in prange(
        begin, end, nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads
    ):
        _fill_chunk(
            walks, walk_ids, part, cursors, centres, contexts, n_parts, window, shrink, first, last,
            seed, c,
        )


cdef void _fill_chunk(
    const int32_t[:, ::1] walks,
    const int64_t[::1] walk_ids,
    const int32_t[::1] part,
    int64_t[:, ::1] cursors,
    int32_t[::1] centres,
    int32_t[::1] contexts,
    int64_t n_parts,
    int64_t window,
    bint shrink,
    int64_t first,
    int64_t last,
    uint64_t seed,
    int64_t c,
) noexcept nogil:
    cdef int64_t i, j, k, n, far, row, place, bucket, n_chunks = cursors.shape[0]
    cdef uint64_t key
    for i in range(
        first_walk(c, n_chunks, walks.shape[0]), first_walk(c + 1, n_chunks, walks.shape[0])
    ):
        key = stream(seed, walk_ids[i])
        n = length(walks, i)
        for j in range(first, min(n, last)):
            far = reach(key, j, window, shrink)
            row = part[walks[i, j]] * n_parts
            for k in range(max(0, j - far), min(n, j + far + 1)):
                if k != j:
                    bucket = row + part[walks[i, k]]
                    place = cursors[c, bucket]
                    cursors[c, bucket] = place + 1
                    centres[place] = walks[i, j]
                    contexts[place] = walks[i, k]


# ---------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------


def train_diagonals(
    int64_t first,
    int64_t last,
    const int64_t[::1] starts,       # IN      (n_parts ** 2 + 1,), first pair of each bucket
    const int32_t[::1] centres,      # IN      (n_pairs,)
    const int32_t[::1] contexts,     # IN      (n_pairs,)
    float32_t[:, ::1] input,         # IN OUT  (n_nodes, stride), the embedding
    float32_t[:, ::1] output,        # IN OUT  (n_nodes, stride), the context vectors
    const int32_t[:, ::1] members,   # IN      (n_parts, n_strata)
    const uint64_t[:, ::1] cells,    # IN      (n_parts, 2 * n_strata) of build_noise
    const float32_t[::1] rates,      # IN      (n_parts,), learning rate of each diagonal
    int32_t[:, ::1] negatives,       # OUT     (n_parts, 2 * negative), scratch
    float32_t[:, ::1] scratch,       # OUT     (n_parts, scratch_size(negative, block))
    int32_t[::1] schedule,           # IN OUT  (2 + 2 * n_parts,), zero but for [2:2 + n_parts],
    #                                          which are `first`
    int64_t block,                   # pairs that share their negatives, 1 to MAX_BLOCK
    int instructions,                # index into INSTRUCTION_SETS
    uint64_t seed,
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Train the buckets of some diagonals, see `_schedule.h`.

    With ``output is input`` there is one table, and a pair moves two rows of it. The items are
    workers: each takes buckets until none is left.
    """
    cdef int64_t _worker
    cdef Tables tables
    cdef Schedule grid = make_schedule(
        &schedule[0], <int32_t>members.shape[0], <int32_t>first, <int32_t>last,
        &input[0, 0] == &output[0, 0],
    )
    tables.use = &ge_instruction_sets[instructions]
    tables.input = &input[0, 0]
    tables.output = &output[0, 0]
    tables.stride = input.shape[1]
    tables.negative = negatives.shape[1] // 2
    tables.block = block
    tables.seed = seed
    for _worker in prange(
        begin, end, nogil=True, schedule="static", chunksize=1, num_threads=n_threads
    ):
        _train_buckets(
            &grid, &tables, starts, centres, contexts, members, cells, rates, negatives, scratch
        )


cdef void _train_buckets(
    const Schedule *grid,
    const Tables *tables,
    const int64_t[::1] starts,
    const int32_t[::1] centres,
    const int32_t[::1] contexts,
    const int32_t[:, ::1] members,
    const uint64_t[:, ::1] cells,
    const float32_t[::1] rates,
    int32_t[:, ::1] negatives,
    float32_t[:, ::1] scratch,
) noexcept nogil:
    cdef int32_t diagonal, column, row = begin_bucket(grid)
    while row >= 0:
        diagonal = grid.next[row]
        column = column_of(grid, row, diagonal)
        _train_bucket(
            grid, row, column, tables, starts, centres, contexts, members, cells, rates[diagonal],
            &negatives[row, 0], &scratch[row, 0],
        )
        if grid.one_table and column != row:
            _train_bucket(
                grid, column, row, tables, starts, centres, contexts, members, cells,
                rates[diagonal], &negatives[row, 0], &scratch[row, 0],
            )
        end_bucket(grid, row)
        row = begin_bucket(grid)


cdef void _train_bucket(
    const Schedule *grid,
    int64_t row,
    int64_t column,
    const Tables *tables,
    const int64_t[::1] starts,
    const int32_t[::1] centres,
    const int32_t[::1] contexts,
    const int32_t[:, ::1] members,
    const uint64_t[:, ::1] cells,
    float rate,
    int32_t *negatives,
    float32_t *scratch,
) noexcept nogil:
    cdef int64_t bucket = row * grid.n_parts + column, first = starts[bucket]
    cdef ge_noise noise
    if starts[bucket + 1] == first:
        return
    noise.words = &cells[column, 0]
    noise.n_nodes = _n_members(members, column)
    noise.key = stream(tables.seed, bucket)
    ge_train_pairs(
        tables.use, &centres[first], &contexts[first], starts[bucket + 1] - first, tables.input,
        tables.output, tables.stride, &noise, tables.negative, tables.block, rate, negatives,
        scratch,
    )
