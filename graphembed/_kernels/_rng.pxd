# Counter-based random numbers and the alias draw, see _rng.h.
from libc.stdint cimport uint64_t


cdef extern from "_rng.h" nogil:
    uint64_t stream "ge_stream"(uint64_t seed, uint64_t task)
    uint64_t draw "ge_draw"(uint64_t key, uint64_t counter)
    uint64_t bounded "ge_bounded"(uint64_t r, uint64_t n)
    double unit "ge_unit"(uint64_t r)
    uint64_t alias_draw "ge_alias_draw"(const uint64_t *cells, uint64_t n, uint64_t r)
    uint64_t permute "ge_permute"(uint64_t i, uint64_t n, int bits, uint64_t key)
