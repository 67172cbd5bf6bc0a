# Which places of a walk are paired, and which walks belong to a chunk.
from graphembed._kernels._rng cimport bounded, draw
from graphembed._kernels._typedefs cimport int32_t, int64_t, uint64_t


cdef inline int64_t length(const int32_t[:, ::1] walks, int64_t i) noexcept nogil:
    cdef int64_t n = walks.shape[1]
    while n > 0 and walks[i, n - 1] < 0:
        n -= 1
    return n


cdef inline int64_t reach(
    uint64_t key, int64_t position, int64_t window, bint shrink
) noexcept nogil:
    """word2vec's reduced window: uniform on 1 .. window."""
    return 1 + <int64_t>bounded(draw(key, position), window) if shrink else window


cdef inline int64_t first_walk(int64_t chunk, int64_t n_chunks, int64_t n_walks) noexcept nogil:
    return n_walks * chunk // n_chunks
