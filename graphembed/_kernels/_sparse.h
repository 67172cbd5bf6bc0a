/* Products, maxima, softmax and attention over the rows of a CSR matrix, and dropout.
 *
 * Compiled for float and double, and on x86 also for AVX2; the bits are the same. A kernel works on
 * rows first <= i < last and writes nothing else than these, or, of the transpose, the entries that
 * belong to them. x is (n, heads, width), a product without heads has one.
 */
#ifndef GRAPHEMBED_SPARSE_H
#define GRAPHEMBED_SPARSE_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#include "_rng.h"

#define GE_LANES 8

#if defined(__GNUC__) && !defined(GE_SCALAR)
#define GE_VECTORS 1 /* the compiler has vector types */
#endif
#if defined(__GNUC__)
#define GE_INLINE static inline __attribute__((always_inline))
#define GE_RESTRICT __restrict__
#else
#define GE_INLINE static inline
#define GE_RESTRICT __restrict
#endif

/* Where the values of a product are: nowhere (all 1), in the order of the entries, or at order[k].
 * Of signed values the positive ones count `scale` times, the others not at all. */
enum { GE_ONES, GE_VALUES, GE_ORDERED, GE_SIGNED, GE_SIGNED_ORDERED };

/* The mask of dropout: 32 bits as a function of a seed and the number of the element. Two rounds of
 * multiply and shift ("lowbias32", Wellons 2018, "Prospecting for hash functions"), with the halves
 * of the mixed seed added before each: without the second, masks of different seeds would be shifted
 * copies of each other. 32-bit arithmetic, because that is what SSE2 and AVX2 have. */
typedef struct { uint32_t first, second; } ge_mask_key;

GE_INLINE ge_mask_key ge_mask_of(uint64_t seed)
{
    const uint64_t mixed = ge_mix64(seed + GE_GOLDEN);
    const ge_mask_key key = {(uint32_t)mixed, (uint32_t)(mixed >> 32)};
    return key;
}

/* The key of elements that have the high half of the number in common. */
GE_INLINE ge_mask_key ge_mask_part(ge_mask_key key, int64_t element)
{
    key.second += (uint32_t)((uint64_t)element >> 32) * 0x9E3779B9u;
    return key;
}

GE_INLINE int32_t ge_mask_low(ge_mask_key key, uint32_t element)
{
    uint32_t bits = element + key.first;
    bits ^= bits >> 16;
    bits *= 0x7FEB352Du;
    bits ^= bits >> 15;
    bits += key.second;
    bits *= 0x846CA68Bu;
    bits ^= bits >> 16;
    return (int32_t)bits;
}

GE_INLINE int32_t ge_mask(ge_mask_key key, int64_t element)
{
    return ge_mask_low(ge_mask_part(key, element), (uint32_t)element);
}

/* exp(x) of x <= 0, relative error < 4e-6 and absolute < 2e-7, 1.6e-38 below -87; NaN stays NaN.
 * The polynomial is that of ge_sigmoid in _sgns.h. */
GE_INLINE float ge_exp_f(float x)
{
    const float y = (x < -87.0f ? -87.0f : x) * 1.44269504f; /* log2(e) */
    const float shifted = y + 12582912.0f; /* 3 * 2^22: the low bits are now the nearest integer */
    const float fraction = y - (shifted - 12582912.0f);
    float power, sum;
    uint32_t bits;
    memcpy(&bits, &shifted, 4);
    bits = (bits + 127u) << 23; /* 2^n as a float */
    memcpy(&power, &bits, 4);
    sum = 0.0013264727f * fraction + 0.0096715128f;
    sum = sum * fraction + 0.0555073374f;
    sum = sum * fraction + 0.2402224208f;
    sum = sum * fraction + 0.6931469776f;
    sum = sum * fraction + 1.0f;
    return sum * power;
}

/* The loops of _sparse_rows.h; void stands for the type of number. */
typedef struct {
    void (*multiply)(const int64_t *indptr, const int32_t *indices, const int32_t *order,
        const void *values, double scale, int kind, const void *x, const void *bias, void *out,
        int64_t heads, int64_t width, int64_t first, int64_t last);
    void (*sample)(const int64_t *indptr, const int32_t *indices, const void *left,
        const void *right, void *out, int64_t heads, int64_t width, int64_t first,
        int64_t last);
    void (*take_maxima)(const int64_t *indptr, const int32_t *indices, const void *x,
        void *out, int32_t *places, int64_t width, int64_t first, int64_t last);
    void (*return_maxima)(const int64_t *indptr, const int32_t *targets, const int32_t *order,
        const int64_t *starts, const int32_t *places, const void *grad, void *out,
        int64_t width, int64_t first, int64_t last);
    void (*softmax)(const int64_t *indptr, const void *scores, void *out, int64_t heads,
        int64_t first, int64_t last);
    void (*softmax_backward)(const int64_t *indptr, const void *alpha, const void *grad,
        void *out, int64_t heads, int64_t first, int64_t last);
    void (*weigh)(const int64_t *indptr, const int32_t *indices, const void *source,
        const void *target, const void *edge, void *alpha, int64_t heads, double slope,
        uint64_t seed, int64_t threshold, int64_t first, int64_t last);
    void (*weigh_backward)(const int64_t *indptr, const int32_t *targets,
        const int32_t *order, const void *x, const void *source, const void *target,
        const void *edge, const void *alpha, double scale, const void *grad, const void *dots,
        void *grad_x, void *grad_source, void *grad_scores, int64_t heads, int64_t width,
        double slope, int64_t first, int64_t last);
    void (*dots)(const void *left, const void *right, void *out, int64_t width, int64_t first,
        int64_t last);
    void (*sum_entries)(const int64_t *indptr, const void *entries, void *out, int64_t heads,
        int64_t first, int64_t last);
    void (*transpose)(const void *x, void *out, int64_t n_rows, int64_t n_columns, int64_t first,
        int64_t last);
    void (*drop)(const void *x, void *out, uint64_t seed, int64_t threshold, double scale,
        int64_t first, int64_t last);
} ge_row_loops;

#define REAL float
#define GE_EXP ge_exp_f
#define GE_ABS fabsf
#define GE_TARGET
#define GE_BYTES 16
#define GE_NAME(x) ge_baseline_f_##x
#include "_sparse_rows.h"
#define REAL double
#define GE_EXP exp
#define GE_ABS fabs
#define GE_TARGET
#define GE_BYTES 16
#define GE_NAME(x) ge_baseline_d_##x
#include "_sparse_rows.h"

#if defined(GE_VECTORS) && defined(__x86_64__)
#define REAL float
#define GE_EXP ge_exp_f
#define GE_ABS fabsf
#define GE_TARGET __attribute__((target("avx2")))
#define GE_BYTES 32
#define GE_NAME(x) ge_avx2_f_##x
#include "_sparse_rows.h"
#define REAL double
#define GE_EXP exp
#define GE_ABS fabs
#define GE_TARGET __attribute__((target("avx2")))
#define GE_BYTES 32
#define GE_NAME(x) ge_avx2_d_##x
#include "_sparse_rows.h"

#define GE_X86_CLONES 1
#endif

/* The fastest that this processor has, or, with `plain`, what every one has. */
static inline const ge_row_loops *ge_row_loops_of(int is_double, int plain)
{
#if defined(GE_X86_CLONES)
    __builtin_cpu_init();
    if (!plain && __builtin_cpu_supports("avx2"))
        return is_double ? &ge_avx2_d_loops : &ge_avx2_f_loops;
#endif
    (void)plain;
    return is_double ? &ge_baseline_d_loops : &ge_baseline_f_loops;
}

/* How often each column is there; counts[column + 1], so that their sums are where rows begin. */
static inline void ge_count_columns(const int32_t *indices, int64_t *counts, int64_t first,
                                    int64_t last)
{
    for (int64_t k = first; k < last; k++)
        counts[indices[k] + 1]++;
}

/* Deal entries first .. last - 1 to their columns, in order. */
static inline void ge_group(const int32_t *indices, int64_t *places, int32_t *order, int64_t first,
                            int64_t last)
{
    for (int64_t k = first; k < last; k++)
        order[places[indices[k]]++] = (int32_t)k;
}

/* Deal the entries of rows first .. last - 1 to the rows of the transpose, in order. */
static inline void ge_deal_entries(const int64_t *indptr, const int32_t *indices, int64_t *places,
                                   int32_t *rows, int32_t *order, int64_t first, int64_t last)
{
    for (int64_t i = first; i < last; i++)
        for (int64_t k = indptr[i]; k < indptr[i + 1]; k++) {
            const int64_t place = places[indices[k]]++;
            rows[place] = (int32_t)i;
            order[place] = (int32_t)k;
        }
}

#endif
