# Fixed-width types of every kernel: int64 row pointers, int32 nodes, float32 weights and tables.
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t

ctypedef float float32_t
ctypedef double float64_t
