# Which bucket of the grid a thread trains next, see _schedule.h.
from graphembed._kernels._typedefs cimport int32_t


cdef extern from "_schedule.h" nogil:
    ctypedef struct Schedule "ge_schedule":
        int32_t *next
        int32_t n_parts
        bint one_table

    Schedule make_schedule "ge_make_schedule"(
        int32_t *words, int32_t n_parts, int32_t first, int32_t last, bint one_table
    )
    int32_t column_of "ge_column"(const Schedule *grid, int32_t row, int32_t diagonal)
    int32_t begin_bucket "ge_begin_bucket"(const Schedule *grid)
    void end_bucket "ge_end_bucket"(const Schedule *grid, int32_t row)
