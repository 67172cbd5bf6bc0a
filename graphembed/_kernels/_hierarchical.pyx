"""Skip-gram with hierarchical softmax on the grid of `_skipgram.pyx`, for any number of threads.

The tree is an array `up` of 2 n_nodes - 2 words: places 0 .. n_nodes - 1 are the leaves (the nodes
of the graph), n_nodes + i is inner node i, and the last inner node is the root, which has no place.
A word is the step to the parent: (inner node << 1 | bit). The path of a node is read upwards.

The loss of a pair is a sum over the inner nodes of the context's path, so a pair need not be
trained as a whole: inner nodes, not leaves, are dealt to the columns of the grid, and the steps of
a pool are sorted into its buckets. Buckets that share neither row nor column share no row of
either table, the root's included.
"""

from cython.parallel cimport prange
from libc.string cimport memset

from graphembed._kernels._rng cimport stream
from graphembed._kernels._schedule cimport (
    Schedule,
    begin_bucket,
    column_of,
    end_bucket,
    make_schedule,
)
from graphembed._kernels._typedefs cimport float32_t, int32_t, int64_t, uint32_t, uint64_t
from graphembed._kernels._windows cimport first_walk, length, reach


cdef extern from "_hs.h" nogil:
    ctypedef struct ge_instructions:
        pass
    const ge_instructions *ge_instruction_sets
    void ge_train_steps(
        const ge_instructions *use, const int32_t *centres, const uint32_t *steps,
        int64_t n_steps, float *input, float *inner, int64_t stride, float rate,
    )


# ---------------------------------------------------------------------------------------------
# Tree
# ---------------------------------------------------------------------------------------------


def build_tree(
    const int64_t[::1] visits,   # IN      (n_nodes,)
    const int32_t[::1] order,    # IN      (n_nodes,), nodes by rising visits
    uint32_t[::1] up,            # OUT     (2 * n_nodes - 2,)
    int64_t[::1] weights,        # OUT     (n_nodes - 1,), visits below each inner node
    int64_t[::1] sums,           # OUT     (n_nodes - 1,), of the weights in the subtree
    int64_t[::1] leaf,           # IN OUT  (1,), leaves that have a parent; 0 at first
    int64_t begin,
    int64_t end,
    int _n_threads,              # ranges are done one after the other
):
    """Huffman's tree: inner node i joins the two lightest trees that are left.

    Leaves are taken in `order` and inner nodes in the order of their making, which is that of
    rising weight too. Of equal weight a leaf comes before an inner node: the tree of least depth.
    """
    cdef int64_t i
    with nogil:
        for i in range(begin, end):
            weights[i] = sums[i] = 0
            leaf[0] += _join(visits, order, up, weights, sums, leaf[0], i, 0)
            leaf[0] += _join(visits, order, up, weights, sums, leaf[0], i, 1)
            sums[i] += weights[i]


cdef inline bint _join(
    const int64_t[::1] visits,
    const int32_t[::1] order,
    uint32_t[::1] up,
    int64_t[::1] weights,
    int64_t[::1] sums,
    int64_t leaf,
    int64_t i,
    int bit,
) noexcept nogil:
    """Hang the lightest tree that is left below inner node i; returns whether it is a leaf."""
    cdef int64_t inner = 2 * i + bit - leaf   # so many have a parent: each before took two trees
    cdef uint32_t step = <uint32_t>i << 1 | bit
    if leaf < visits.shape[0] and (inner == i or visits[order[leaf]] <= weights[inner]):
        weights[i] += visits[order[leaf]]
        up[order[leaf]] = step
        return True
    weights[i] += weights[inner]
    sums[i] += sums[inner]
    up[visits.shape[0] + inner] = step
    return False


def deal_columns(
    const uint32_t[::1] up,        # IN      (2 * n_nodes - 2,)
    const int64_t[::1] weights,    # IN      (n_nodes - 1,)
    const int64_t[::1] sums,       # IN      (n_nodes - 1,)
    int64_t limit,
    int32_t[::1] column,           # OUT     (n_nodes - 1,)
    int64_t[::1] loads,            # IN OUT  (n_parts,), steps of each column; 0 at first
    int64_t begin,
    int64_t end,
    int _n_threads,                # ranges are done one after the other
):
    """Deal inner nodes to columns, from the root down, each to the column with the fewest steps.

    A subtree of at most `limit` steps in all stays together.
    """
    cdef int64_t i, j, parent, c, lightest, n_inner = column.shape[0]
    with nogil:
        for j in range(begin, end):
            i = n_inner - 1 - j
            if j > 0:
                parent = up[n_inner + 1 + i] >> 1
                if sums[parent] <= limit:
                    column[i] = column[parent]
                    continue
            lightest = 0
            for c in range(1, loads.shape[0]):
                if loads[c] < loads[lightest]:
                    lightest = c
            column[i] = <int32_t>lightest
            loads[lightest] += sums[i] if sums[i] <= limit else weights[i]


# ---------------------------------------------------------------------------------------------
# Steps
# ---------------------------------------------------------------------------------------------


def count_steps(
    const int32_t[:, ::1] walks,     # IN   (n_walks, walk_length), -1 padded
    const int64_t[::1] walk_ids,     # IN   (n_walks,)
    const int32_t[::1] part,         # IN   (n_nodes,), row of each centre
    const uint32_t[::1] up,          # IN   (2 * n_nodes - 2,)
    const int32_t[::1] column,       # IN   (n_nodes - 1,)
    int64_t[::1] n_pairs,            # OUT  (n_chunks,)
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
    """Count the pairs, and the steps of every bucket, chunk by chunk of the walks."""
    cdef int64_t c
    for c in prange(
        begin, end, nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads
    ):
        _count_chunk(
            walks, walk_ids, part, up, column, n_pairs, counts, n_parts, window, shrink, first,
            last, seed, c,
        )


cdef void _count_chunk(
    const int32_t[:, ::1] walks,
    const int64_t[::1] walk_ids,
    const int32_t[::1] part,
    const uint32_t[::1] up,
    const int32_t[::1] column,
    int64_t[::1] n_pairs,
    int64_t[:, ::1] counts,
    int64_t n_parts,
    int64_t window,
    bint shrink,
    int64_t first,
    int64_t last,
    uint64_t seed,
    int64_t c,
) noexcept nogil:
    cdef int64_t i, j, k, n, far, row, place, n_chunks = counts.shape[0], n_nodes = part.shape[0]
    cdef int64_t inner, root = up.shape[0]
    cdef uint64_t key
    n_pairs[c] = 0
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
                if k == j:
                    continue
                n_pairs[c] += 1
                place = walks[i, k]
                while place < root:
                    inner = up[place] >> 1
                    counts[c, row + column[inner]] += 1
                    place = n_nodes + inner


def fill_steps(
    const int32_t[:, ::1] walks,     # IN      (n_walks, walk_length), -1 padded
    const int64_t[::1] walk_ids,     # IN      (n_walks,)
    const int32_t[::1] part,         # IN      (n_nodes,), row of each centre
    const uint32_t[::1] up,          # IN      (2 * n_nodes - 2,)
    const int32_t[::1] column,       # IN      (n_nodes - 1,)
    int64_t[:, ::1] cursors,         # IN OUT  (n_chunks, n_parts ** 2), first place of each chunk
    int32_t[::1] centres,            # OUT     (n_steps,)
    uint32_t[::1] steps,             # OUT     (n_steps,)
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
    """Sort the steps into their buckets, in the order of the walks, those of a pair upwards."""
    cdef int64_t c
    for c in prange(
        begin, end, nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads
    ):
        _fill_chunk(
            walks, walk_ids, part, up, column, cursors, centres, steps, n_parts, window, shrink,
            first, last, seed, c,
        )


cdef void _fill_chunk(
    const int32_t[:, ::1] walks,
    const int64_t[::1] walk_ids,
    const int32_t[::1] part,
    const uint32_t[::1] up,
    const int32_t[::1] column,
    int64_t[:, ::1] cursors,
    int32_t[::1] centres,
    uint32_t[::1] steps,
    int64_t n_parts,
    int64_t window,
    bint shrink,
    int64_t first,
    int64_t last,
    uint64_t seed,
    int64_t c,
) noexcept nogil:
    cdef int64_t i, j, k, n, far, row, place, n_chunks = cursors.shape[0], n_nodes = part.shape[0]
    cdef int64_t bucket, at, root = up.shape[0]
    cdef uint32_t step
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
                if k == j:
                    continue
                place = walks[i, k]
                while place < root:
                    step = up[place]
                    bucket = row + column[step >> 1]
                    at = cursors[c, bucket]
                    cursors[c, bucket] = at + 1
                    centres[at] = walks[i, j]
                    steps[at] = step
                    place = n_nodes + (step >> 1)


# ---------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------


def train_diagonals(
    int64_t first,
    int64_t last,
    const int64_t[::1] starts,     # IN      (n_parts ** 2 + 1,), first step of each bucket
    const int32_t[::1] centres,    # IN      (n_steps,)
    const uint32_t[::1] steps,     # IN      (n_steps,)
    float32_t[:, ::1] input,       # IN OUT  (n_nodes, stride), the embedding
    float32_t[:, ::1] inner,       # IN OUT  (n_nodes - 1, stride), the inner nodes' vectors
    const float32_t[::1] rates,    # IN      (n_parts,), learning rate of each diagonal
    int32_t[::1] schedule,         # IN OUT  as in `_skipgram.train_diagonals`
    int instructions,              # index into INSTRUCTION_SETS
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Train the buckets (row, (row + diagonal) mod n_parts), first <= diagonal < last.

    The items are workers: each takes buckets until none is left.
    """
    cdef int64_t _worker
    cdef Schedule grid = make_schedule(
        &schedule[0], <int32_t>rates.shape[0], <int32_t>first, <int32_t>last, False
    )
    for _worker in prange(
        begin, end, nogil=True, schedule="static", chunksize=1, num_threads=n_threads
    ):
        _train_buckets(
            &grid, &ge_instruction_sets[instructions], starts, centres, steps, input, inner, rates
        )


cdef void _train_buckets(
    const Schedule *grid,
    const ge_instructions *use,
    const int64_t[::1] starts,
    const int32_t[::1] centres,
    const uint32_t[::1] steps,
    float32_t[:, ::1] input,
    float32_t[:, ::1] inner,
    const float32_t[::1] rates,
) noexcept nogil:
    cdef int64_t bucket, first
    cdef int32_t diagonal, row = begin_bucket(grid)
    while row >= 0:
        diagonal = grid.next[row]
        bucket = row * grid.n_parts + column_of(grid, row, diagonal)
        first = starts[bucket]
        if starts[bucket + 1] > first:
            ge_train_steps(
                use, &centres[first], &steps[first], starts[bucket + 1] - first, &input[0, 0],
                &inner[0, 0], input.shape[1], rates[diagonal],
            )
        end_bucket(grid, row)
        row = begin_bucket(grid)
