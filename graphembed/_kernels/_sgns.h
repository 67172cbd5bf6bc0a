/* One bucket of skip-gram with negative sampling (Mikolov et al. 2013, eq. 4).
 *
 * Pairs are trained in blocks that share their negatives, so that the dot products and the updates
 * are small matrix products (Ji et al. 2016, "Parallelizing word2vec in shared and distributed
 * memory", share them in a window). Arithmetic is laid out so that every processor gives the same
 * bits (see _sgns_block.h), and nothing is contracted to fused multiply-adds (-ffp-contract=off).
 * It is compiled for several instruction sets; they differ in speed only.
 */
#ifndef GRAPHEMBED_SGNS_H
#define GRAPHEMBED_SGNS_H

#include <stdint.h>
#include <string.h>
#include "_rng.h"

#define GE_LANES 16    /* rows of a table are padded to a multiple of this many floats */
#define GE_TILE 5      /* negatives whose sums are in registers at a time */
#define GE_MAX_BLOCK 64 /* pairs that share their negatives at most */
#define GE_MAX_REPEATS 4 /* how often a centre or a context may be in a block */

#if defined(__GNUC__)
#define GE_INLINE static inline __attribute__((always_inline))
#define GE_RESTRICT __restrict__
#define GE_PREFETCH(address) __builtin_prefetch(address, 1)
#else
#define GE_INLINE static inline
#define GE_RESTRICT
#define GE_PREFETCH(address) ((void)0)
#endif

#if defined(__GNUC__) && !defined(GE_SCALAR)
#define GE_VECTORS 1 /* the compiler has vector types */
#define GE_ADD(sum, a) ((sum) += (a))
#define GE_MULTIPLY_ADD(sum, a, b) ((sum) += (a) * (b))
#define GE_SCALED_ADD(sum, factor, a) ((sum) += (factor) * (a))
#else /* the same arithmetic, lane by lane */
#define GE_LANE_LOOP for (int l_ = 0; l_ < (int)(sizeof(GE_NAME(vector)) / 4); l_++)
#define GE_ADD(sum, a) GE_LANE_LOOP (sum).v[l_] += (a).v[l_]
#define GE_MULTIPLY_ADD(sum, a, b) GE_LANE_LOOP (sum).v[l_] += (a).v[l_] * (b).v[l_]
#define GE_SCALED_ADD(sum, factor, a) GE_LANE_LOOP (sum).v[l_] += (factor) * (a).v[l_]
#endif

/* Fold 16 lanes to 4: lane l and l + 8, then l and l + 4. */
GE_INLINE void ge_fold_to_4(float *four, const float *lanes)
{
    for (int l = 0; l < 4; l++)
        four[l] = (lanes[l] + lanes[l + 8]) + (lanes[l + 4] + lanes[l + 12]);
}

/* 1 / (1 + exp(-x)), error < 1.2e-7 for every x; NaN stays NaN.
 *
 * exp(-x) = 2^(n + f) with n whole and |f| <= 1/2; the polynomial is 2^f to 9.2e-8 (relative),
 * fitted by iteratively reweighted least squares.
 */
GE_INLINE float ge_sigmoid(float x)
{
    float y = x < -30.0f ? -30.0f : x;
    float shifted, fraction, power;
    uint32_t bits;
    y = y > 30.0f ? 30.0f : y;
    y *= -1.44269504f;           /* -log2(e) */
    shifted = y + 12582912.0f;   /* 3 * 2^22: the low bits are now the nearest integer */
    fraction = y - (shifted - 12582912.0f);
    memcpy(&bits, &shifted, 4);
    bits = (bits + 127u) << 23;  /* 2^n as a float */
    memcpy(&power, &bits, 4);
    y = 0.0013264727f * fraction + 0.0096715128f;
    y = y * fraction + 0.0555073374f;
    y = y * fraction + 0.2402224208f;
    y = y * fraction + 0.6931469776f;
    y = y * fraction + 1.0f;
    return 1.0f / (1.0f + y * power);
}

#define GE_WIDTH 4 /* SSE2, NEON, or whatever the compiler makes of it */
#define GE_TARGET
#define GE_NAME(x) ge_baseline_##x
#include "_sgns_block.h"

#if defined(GE_VECTORS) && defined(__x86_64__)
#define GE_X86_CLONES 1
#define GE_WIDTH 8
#define GE_TARGET __attribute__((target("avx2")))
#define GE_NAME(x) ge_avx2_##x
#include "_sgns_block.h"
#define GE_WIDTH 16
#define GE_TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl")))
#define GE_NAME(x) ge_avx512_##x
#include "_sgns_block.h"
#endif

typedef struct {
    const char *name;
    void (*dots)(float *const *, float *const *, float *const *, int64_t, int, int, int64_t,
                 float *, int64_t, float *const *);
    void (*move)(float *const *, float *const *, float *const *, int64_t, int, int, int64_t,
                 const float *, int64_t, float *const *, float *const *);
    void (*sigmoids)(const float *, float *, int64_t);
} ge_instructions;

#define GE_INSTRUCTIONS(set) \
    { #set, ge_##set##_block_dots, ge_##set##_block_move, ge_##set##_sigmoids }

/* Slowest first; ge_n_instruction_sets() of them run on this processor. */
static const ge_instructions ge_instruction_sets[] = {
    GE_INSTRUCTIONS(baseline),
#if defined(GE_X86_CLONES)
    GE_INSTRUCTIONS(avx2),
    GE_INSTRUCTIONS(avx512),
#endif
};

static inline int ge_n_instruction_sets(void)
{
#if defined(GE_X86_CLONES)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2"))
        return 1;
    return 2 + (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"));
#else
    return 1;
#endif
}

/* How many of the first `most` nodes may share a block: no node more than GE_MAX_REPEATS times. The
 * gains of a block are taken before its updates, and many stale ones for one row would overshoot. */
static inline int64_t ge_few_repeats(const int32_t *nodes, int64_t most)
{
    uint64_t seen = 0;
    int repeats = 0;
    for (int64_t i = 0; i < most; i++) {
        repeats += seen >> (nodes[i] & 63) & 1;
        seen |= UINT64_C(1) << (nodes[i] & 63);
    }
    if (repeats < GE_MAX_REPEATS) /* nearly always */
        return most;
    for (int64_t i = GE_MAX_REPEATS; i < most; i++) {
        repeats = 0;
        for (int64_t k = 0; k < i; k++)
            repeats += nodes[k] == nodes[i];
        if (repeats >= GE_MAX_REPEATS)
            return i;
    }
    return most;
}

/* Find the rows of the next tile of negatives, from the k-th on; returns how many: up to GE_TILE
 * beside the contexts, then GE_TILE or one at a time. */
static inline int ge_tile(
    float **rows, const int32_t *negatives, int64_t k, int64_t negative, float *output,
    int64_t stride)
{
    int n = negative - k >= GE_TILE ? GE_TILE : k == 0 ? (int)negative : 1;
    for (int i = 0; i < n; i++)
        rows[i] = output + (int64_t)negatives[k + i] * stride;
    return n;
}

/* A part's noise distribution as an alias table with the nodes beside the threshold, so that a draw
 * is one access to memory: word 2 i is (own node << 32 | threshold), word 2 i + 1 the other node. */
typedef struct {
    const uint64_t *words;
    uint64_t n_nodes;
    uint64_t key;
} ge_noise;

/* The negatives of the block that begins with a pair of this number. */
static inline void ge_draw_negatives(
    int32_t *negatives, int64_t negative, const ge_noise *noise, int64_t pair)
{
    for (int64_t k = 0; k < negative; k++) {
        uint64_t low, r = ge_draw(noise->key, (uint64_t)(pair * negative + k));
        const uint64_t *cell = noise->words + 2 * ge_multiply_high(r, noise->n_nodes, &low);
        negatives[k] = (int32_t)((low >> 32) < (uint32_t)cell[0] ? cell[0] >> 32 : cell[1]);
    }
}

static inline void ge_prefetch_noise(int64_t negative, const ge_noise *noise, int64_t pair)
{
    for (int64_t k = 0; k < negative; k++)
        GE_PREFETCH(noise->words + 2 * ge_bounded(
            ge_draw(noise->key, (uint64_t)(pair * negative + k)), noise->n_nodes));
}

/* Floats of work space that ge_train_pairs needs. */
static inline int64_t ge_scratch_size(int64_t negative, int64_t block)
{
    return 5 * block * (negative + 1);
}

/* The pairs of a block. */
typedef struct {
    int64_t size;
    int32_t centres[GE_MAX_BLOCK], contexts[GE_MAX_BLOCK];
    float *h[GE_MAX_BLOCK], *o[GE_MAX_BLOCK]; /* their rows */
} ge_block;

/* Take the pairs first, first + step, first + 2 * step, ... */
static inline void ge_gather(
    ge_block *block, const int32_t *centres, const int32_t *contexts, int64_t n_pairs,
    int64_t first, int64_t step, float *input, float *output, int64_t stride)
{
    int64_t i = 0;
    for (int64_t place = first; place < n_pairs; place += step, i++) {
        block->centres[i] = centres[place];
        block->contexts[i] = contexts[place];
        block->h[i] = input + (int64_t)centres[place] * stride;
        block->o[i] = output + (int64_t)contexts[place] * stride;
    }
    block->size = i;
}

/* Train the pairs of one bucket in blocks of at most `most`, whose pairs lie as far apart as they
 * can in the bucket's order.
 *
 * A block draws `negative` nodes from the noise distribution. With
 *     gain(pair, target) = (label - sigmoid(centre . target)) * rate
 * for the pair's context (label 1) and every negative but the context itself (label 0), all taken
 * before the update, each pair moves its context by gain * centre and its centre by the sum of
 * gain * target; then each negative is moved by the sum of gain * centre over the pairs. More than
 * GE_TILE negatives are taken GE_TILE at a time, each lot with the centres as the last has left
 * them.
 */
static void ge_train_pairs(
    const ge_instructions *use, const int32_t *centres, const int32_t *contexts, int64_t n_pairs,
    float *input, float *output, int64_t stride,
    const ge_noise *noise, int64_t negative, int64_t most, float rate,
    int32_t *negatives, float *scratch)
{
    const int64_t step = (n_pairs + most - 1) / most, n_gains = negative + 1;
    float *gains = scratch, *lanes = scratch + most * n_gains;
    float *t[GE_TILE], *next_t[GE_TILE];
    ge_block blocks[2];
    ge_gather(&blocks[0], centres, contexts, n_pairs, 0, step, input, output, stride);
    ge_draw_negatives(negatives, negative, noise, 0);
    for (int64_t first = 0; first < step; first++) {
        ge_block *now = &blocks[first & 1], *next = &blocks[~first & 1];
        int32_t *drawn = negatives + (first & 1) * negative;
        int32_t *next_drawn = negatives + (~first & 1) * negative;
        const int64_t ahead = first + 1 < step ? first + 1 : first;
        int64_t begin, size;
        int n;
        /* What comes next is prefetched while this block is moved. */
        ge_gather(next, centres, contexts, n_pairs, ahead, step, input, output, stride);
        ge_draw_negatives(next_drawn, negative, noise, ahead * most);
        ge_prefetch_noise(negative, noise, (first + 2) * most);
        if (next->size < now->size) { /* a row to prefetch for every pair */
            next->h[next->size] = now->h[0];
            next->o[next->size] = now->o[0];
        }
        for (begin = 0; begin < now->size; begin += size) {
            float **h = now->h + begin, **o = now->o + begin;
            const int32_t *own = now->contexts + begin;
            size = ge_few_repeats(now->centres + begin, now->size - begin);
            size = ge_few_repeats(own, size);
            if (begin > 0)
                ge_draw_negatives(drawn, negative, noise, first * most + begin);
            for (int64_t k = 0; k < negative; k += n) {
                n = ge_tile(t, drawn, k, negative, output, stride);
                use->dots(h, o, t, size, n, k == 0, stride, lanes + 4 * (k + (k > 0)), n_gains,
                          next->h + begin);
            }
            use->sigmoids(lanes, gains, size * n_gains);
            for (int64_t i = 0; i < size; i++) {
                /* In one table a node is no context of its own. */
                const int32_t self = input == output ? now->centres[begin + i] : -1;
                float *gain = gains + i * n_gains;
                gain[0] = own[i] == self ? 0.0f : (1.0f - gain[0]) * rate;
                for (int64_t k = 0; k < negative; k++)
                    gain[k + 1] = (drawn[k] == own[i]) | (drawn[k] == self)
                        ? 0.0f : -rate * gain[k + 1];
            }
            for (int64_t k = 0; k < negative; k += n) {
                n = ge_tile(t, drawn, k, negative, output, stride);
                ge_tile(next_t, next_drawn, k, negative, output, stride);
                use->move(h, o, t, size, n, k == 0, stride, gains + k + (k > 0), n_gains,
                          next->o + begin, next_t);
            }
        }
    }
}

#endif
