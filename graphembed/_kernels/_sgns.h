/* One bucket of skip-gram with negative sampling (Mikolov et al. 2013, eq. 4).
 *
 * Arithmetic is laid out so that every processor gives the same bits: sums run over 32 fixed
 * lanes that are folded in a fixed order, and nothing is contracted to fused multiply-adds
 * (-ffp-contract=off). The function is compiled for several instruction sets and the best one is
 * chosen when the module is loaded; they differ in speed only.
 */
#ifndef GRAPHEMBED_SGNS_H
#define GRAPHEMBED_SGNS_H

#include <stdint.h>
#include <string.h>
#include "_rng.h"

#define GE_LANES 16 /* rows of a table are padded to a multiple of this many floats */

#define GE_SIGMOID_CELLS 1024 /* linear interpolation on [-8, 8]: error < 3.1e-6 inside, */
#define GE_SIGMOID_BOUND 8.0f /* 3.4e-4 outside, where 0 and 1 are taken                 */

/* A sanitizer's run time is not there yet when the loader resolves clones. */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define GE_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define GE_CLONES
#endif

#if defined(__GNUC__)
#define GE_INLINE static inline __attribute__((always_inline))
#define GE_PREFETCH(address) __builtin_prefetch(address, 1)
typedef float ge_vector __attribute__((vector_size(32), aligned(4), may_alias));
#define GE_MULTIPLY_ADD(sum, a, b) ((sum) += (a) * (b))
#define GE_SCALED_ADD(sum, factor, a) ((sum) += (factor) * (a))
#else /* the same arithmetic, lane by lane */
#define GE_INLINE static inline
#define GE_PREFETCH(address) ((void)0)
typedef struct { float v[8]; } ge_vector;
#define GE_MULTIPLY_ADD(sum, a, b) \
    for (int l_ = 0; l_ < 8; l_++) (sum).v[l_] += (a).v[l_] * (b).v[l_]
#define GE_SCALED_ADD(sum, factor, a) \
    for (int l_ = 0; l_ < 8; l_++) (sum).v[l_] += (factor) * (a).v[l_]
#endif
#define GE_WIDTH 8 /* floats of a ge_vector */

GE_INLINE float ge_dot(const float *left, const float *right, int64_t stride)
{
    const ge_vector *a = (const ge_vector *)left, *b = (const ge_vector *)right;
    ge_vector s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    float lanes[4 * GE_WIDTH];
    int64_t j = 0, n = stride / GE_WIDTH;
    for (; j + 4 <= n; j += 4) {
        GE_MULTIPLY_ADD(s0, a[j], b[j]);
        GE_MULTIPLY_ADD(s1, a[j + 1], b[j + 1]);
        GE_MULTIPLY_ADD(s2, a[j + 2], b[j + 2]);
        GE_MULTIPLY_ADD(s3, a[j + 3], b[j + 3]);
    }
    if (j < n) { /* rows are padded to GE_LANES = 2 vectors */
        GE_MULTIPLY_ADD(s0, a[j], b[j]);
        GE_MULTIPLY_ADD(s1, a[j + 1], b[j + 1]);
    }
    memcpy(lanes, &s0, sizeof s0);
    memcpy(lanes + GE_WIDTH, &s1, sizeof s1);
    memcpy(lanes + 2 * GE_WIDTH, &s2, sizeof s2);
    memcpy(lanes + 3 * GE_WIDTH, &s3, sizeof s3);
    for (int width = 2 * GE_WIDTH; width > 0; width /= 2)
        for (int l = 0; l < width; l++)
            lanes[l] += lanes[l + width];
    return lanes[0];
}

GE_INLINE float ge_sigmoid(const float *table, float x)
{
    float place, fraction;
    int cell;
    if (x >= GE_SIGMOID_BOUND)
        return 1.0f;
    if (!(x > -GE_SIGMOID_BOUND)) /* also a NaN, which must not become an index */
        return x != x ? x : 0.0f;
    place = (x + GE_SIGMOID_BOUND) * (GE_SIGMOID_CELLS / (2.0f * GE_SIGMOID_BOUND));
    cell = (int)place;
    if (cell == GE_SIGMOID_CELLS) /* the sum above may round up to the bound */
        cell--;
    fraction = place - (float)cell;
    return table[cell] + fraction * (table[cell + 1] - table[cell]);
}

/* Train the pairs of one bucket in order.
 *
 * For a pair (centre, context): the targets are the context (label 1) and `negative` draws from
 * the alias cells over `members` (label 0; a draw of the context itself is left out). With
 * g_k = (label_k - sigmoid(centre . target_k)) * rate, all taken before the update,
 *     target_k += g_k * centre,     centre += sum_k g_k * target_k.
 * A node that is drawn twice is moved twice, one after the other.
 */
GE_CLONES
static void ge_train_pairs(
    const int32_t *centres, const int32_t *contexts, int64_t n_pairs,
    float *input, float *output, int64_t stride,
    const uint64_t *cells, const int32_t *members, int64_t n_members,
    int64_t negative, float rate, uint64_t key, const float *sigmoid,
    int32_t *targets, float *gains)
{
    uint64_t counter = 0;
    for (int64_t i = 0; i < n_pairs; i++) {
        float *h = input + (int64_t)centres[i] * stride;
        int64_t n_targets = 1;
        if (i + 2 < n_pairs) {
            const float *h_next = input + (int64_t)centres[i + 2] * stride;
            const float *o_next = output + (int64_t)contexts[i + 2] * stride;
            for (int64_t j = 0; j < stride; j += GE_LANES) {
                GE_PREFETCH(h_next + j);
                GE_PREFETCH(o_next + j);
            }
        }
        targets[0] = contexts[i];
        for (int64_t k = 0; k < negative; k++) {
            int32_t node = members[ge_alias_draw(cells, n_members, ge_draw(key, counter++))];
            targets[n_targets] = node;
            n_targets += node != contexts[i];
        }
        for (int64_t k = 0; k < n_targets; k++) {
            const float *o = output + (int64_t)targets[k] * stride;
            gains[k] = ((k == 0 ? 1.0f : 0.0f) - ge_sigmoid(sigmoid, ge_dot(h, o, stride))) * rate;
        }
        for (int64_t j = 0; j < stride; j += GE_WIDTH) {
            const ge_vector centre = *(const ge_vector *)(h + j);
            ge_vector moved = centre;
            for (int64_t k = 0; k < n_targets; k++) {
                ge_vector *o = (ge_vector *)(output + (int64_t)targets[k] * stride + j);
                ge_vector target = *o;
                GE_SCALED_ADD(moved, gains[k], target);
                GE_SCALED_ADD(target, gains[k], centre);
                *o = target;
            }
            *(ge_vector *)(h + j) = moved;
        }
    }
}

#endif
