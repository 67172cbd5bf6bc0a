from libc.stdint cimport int64_t, uint64_t

from graphembed._kernels._typedefs cimport float32_t, float64_t

ctypedef fused weight_t:
    float32_t
    float64_t


cdef inline void alias_row(
    const weight_t *weights, int64_t n, uint64_t *cells
) noexcept nogil:
    """Fill the n alias cells of one row by one sweep, without scratch memory.

    Walker's alias method in the sweeping form of Huebschle-Schneider and Sanders 2022
    ("Parallel weighted random sampling", section 3): one finger on the light items, one on the
    heavy items; the heavy item under the finger fills up light cells until it is light itself.
    All weights are positive. Cell i starts as its own alias, so a cell that rounding leaves over
    at the end keeps its own outcome.
    """
    cdef int64_t i, light, heavy, following
    cdef double total = 0.0, mean, rest
    for i in range(n):
        total += weights[i]
        cells[i] = <uint64_t>i << 32
    mean = total / n
    light = _next_light(weights, n, mean, 0)
    heavy = _next_heavy(weights, n, mean, 0)
    if heavy == n:
        return
    rest = weights[heavy]
    while True:
        if rest > mean:
            if light == n:
                return
            cells[light] = _cell(weights[light] / mean, heavy)
            rest += weights[light] - mean
            light = _next_light(weights, n, mean, light + 1)
        else:
            following = _next_heavy(weights, n, mean, heavy + 1)
            if following == n:
                return
            cells[heavy] = _cell(rest / mean, following)
            rest += weights[following] - mean
            heavy = following


cdef inline int64_t _next_light(
    const weight_t *weights, int64_t n, double mean, int64_t i
) noexcept nogil:
    while i < n and weights[i] > mean:
        i += 1
    return i


cdef inline int64_t _next_heavy(
    const weight_t *weights, int64_t n, double mean, int64_t i
) noexcept nogil:
    while i < n and weights[i] <= mean:
        i += 1
    return i


cdef inline uint64_t _cell(double keep, int64_t other) noexcept nogil:
    cdef double scaled = keep * 4294967296.0
    cdef uint64_t threshold = 0
    if scaled >= 4294967295.0:
        threshold = 4294967295
    elif scaled > 0.0:
        threshold = <uint64_t>scaled
    return (<uint64_t>other << 32) | threshold
