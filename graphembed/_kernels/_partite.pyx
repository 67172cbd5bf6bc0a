"""Graphs whose nodes fall into classes."""

from cython.parallel cimport prange

from graphembed._kernels._typedefs cimport float32_t, int8_t, int32_t, int64_t


cdef bint _colour_neighbours(
    const int32_t *row, int64_t degree, int8_t colour, int8_t *colours, int32_t *queue,
    int64_t *tail,
) noexcept nogil:
    """Give the neighbours of a node the other colour; False if one has the node's own."""
    cdef int64_t k
    cdef int32_t x
    for k in range(degree):
        x = row[k]
        if colours[x] == 0:
            colours[x] = -colour
            queue[tail[0]] = x
            tail[0] += 1
        elif colours[x] == colour:
            return False
    return True


def two_colour(
    const int64_t[::1] indptr,    # IN      (n_nodes + 1,) of an undirected graph
    const int32_t[::1] indices,   # IN      (n_arcs,)
    int8_t[::1] colours,          # IN OUT  (n_nodes,): 0 not coloured, 1 or -1
    int32_t[::1] queue,           # IN OUT  (n_nodes,): nodes in the order of their colouring
    int64_t[::1] state,           # IN OUT  (3,): nodes done, nodes coloured, next root
    int64_t n_steps,
):
    """Colour nodes by breadth-first search for about `n_steps` nodes and arcs.

    Returns whether no two neighbours have one colour so far.
    """
    cdef int64_t n_nodes = colours.shape[0]
    cdef int64_t head = state[0], tail = state[1], root = state[2], seen = 0, first, degree
    cdef int32_t v
    cdef bint good = True
    with nogil:
        while good and head < n_nodes and seen < n_steps:
            if head == tail:
                while colours[root] != 0:
                    root += 1
                colours[root] = 1
                queue[tail] = <int32_t>root
                tail += 1
            v = queue[head]
            head += 1
            first = indptr[v]
            degree = indptr[v + 1] - first
            if degree > 0:
                good = _colour_neighbours(
                    &indices[first], degree, colours[v], &colours[0], &queue[0], &tail
                )
            seen += degree + 1
    state[0] = head
    state[1] = tail
    state[2] = root
    return good


# ---------------------------------------------------------------------------------------------
# Arcs by the types of their ends: layer l of a node holds its heads of the type
# wanted[l, type of the node]
# ---------------------------------------------------------------------------------------------


def count_heads(
    const int64_t[::1] indptr,       # IN   (n_nodes + 1,)
    const int32_t[::1] indices,      # IN   (n_arcs,)
    const int32_t[::1] node_types,   # IN   (n_nodes,)
    const int32_t[:, ::1] wanted,    # IN   (n_layers, n_types), -1 for none
    int64_t[:, ::1] counts,          # OUT  (n_layers, n_nodes + 1), from column 1 on
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Count the heads of every node in every layer."""
    cdef int64_t v, arc, layer, n_layers = wanted.shape[0], n
    cdef int32_t head_type
    for v in prange(
        begin, end, nogil=True, schedule="dynamic", chunksize=256, num_threads=n_threads
    ):
        for layer in range(n_layers):
            head_type = wanted[layer, node_types[v]]
            n = 0
            if head_type >= 0:
                for arc in range(indptr[v], indptr[v + 1]):
                    n = n + (node_types[indices[arc]] == head_type)
            counts[layer, v + 1] = n


def gather_heads(
    const int64_t[::1] indptr,       # IN   (n_nodes + 1,)
    const int32_t[::1] indices,      # IN   (n_arcs,)
    const float32_t[::1] weights,    # IN   (n_arcs,), or (0,) if unweighted
    const int32_t[::1] node_types,   # IN   (n_nodes,)
    const int32_t[:, ::1] wanted,    # IN   (n_layers, n_types), -1 for none
    const int64_t[:, ::1] rows,      # IN   (n_layers, n_nodes + 1), sums of the counts
    int32_t[::1] heads,              # OUT  (n_kept,)
    float32_t[::1] head_weights,     # OUT  (n_kept,), or (0,) if unweighted
    int64_t begin,
    int64_t end,
    int n_threads,
):
    """Put the heads of every node, and their weights, into its rows."""
    cdef int64_t v, arc, layer, n_layers = wanted.shape[0], k
    cdef int32_t head_type
    cdef bint weighted = weights.shape[0] > 0
    for v in prange(
        begin, end, nogil=True, schedule="dynamic", chunksize=256, num_threads=n_threads
    ):
        for layer in range(n_layers):
            head_type = wanted[layer, node_types[v]]
            k = rows[layer, v]
            if head_type >= 0:
                for arc in range(indptr[v], indptr[v + 1]):
                    if node_types[indices[arc]] == head_type:
                        heads[k] = indices[arc]
                        if weighted:
                            head_weights[k] = weights[arc]
                        k = k + 1
