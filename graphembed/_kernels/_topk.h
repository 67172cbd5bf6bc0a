/* The k targets with the largest inner products of many queries, and the k largest of ready scores.
 *
 * A product is summed over the components in their order, one target in each lane of a vector and
 * without fused multiply-add (-ffp-contract=off): so a score has the same bits on every processor,
 * and whatever is asked beside it. Targets are offered in ascending order, and a score must be above
 * the least of the best k so far; few are, so selection costs little beside the products.
 */
#ifndef GRAPHEMBED_TOPK_H
#define GRAPHEMBED_TOPK_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#include "_select.h"

#define GE_ROWS 6          /* queries of a tile, whose sums are in registers */
#define GE_MAX_COLUMNS 32  /* targets of a panel at most */
#define GE_PART 256        /* components of a panel, which stays in the first cache */

#if defined(__GNUC__)
#define GE_INLINE static inline __attribute__((always_inline))
#define GE_RESTRICT __restrict__
#else
#define GE_INLINE static inline
#define GE_RESTRICT __restrict
#endif
#if defined(__GNUC__) && !defined(GE_SCALAR)
#define GE_VECTORS 1 /* the compiler has vector types */
#endif

/* ------------------------------------------------------------------------------------------------
 * Selection
 * --------------------------------------------------------------------------------------------- */

/* The best so far of some queries. An entry is a number that is smaller the better: the score's
 * bits in descending order, then the target's index. */
typedef struct {
    int64_t k, room;     /* room >= k + 1 entries for each query */
    uint64_t *entries;
    int64_t *counts;
    float *thresholds;   /* only better scores may be among the best k */
    int64_t *places;     /* how far the excluded targets have been passed */
    const int64_t *indptr;  /* excluded targets of every query, ascending; NULL: none */
    const int32_t *indices;
} ge_best;

GE_INLINE uint64_t ge_entry(float score, int32_t target)
{
    const float rounded = score + 0.0f; /* -0 is 0 */
    uint32_t bits;
    memcpy(&bits, &rounded, 4);
    bits = bits >> 31 ? bits : bits ^ UINT32_C(0x7FFFFFFF);
    return (uint64_t)bits << 32 | (uint32_t)target;
}

GE_INLINE float ge_score_of(uint64_t entry)
{
    uint32_t bits = (uint32_t)(entry >> 32);
    float score;
    bits = bits >> 31 ? bits : bits ^ UINT32_C(0x7FFFFFFF);
    memcpy(&score, &bits, 4);
    return score;
}

static inline void ge_begin_query(ge_best *best, int64_t slot, int64_t query)
{
    best->counts[slot] = 0;
    best->thresholds[slot] = -INFINITY;
    best->places[slot] = best->indptr != NULL ? best->indptr[query] : 0;
}

/* Leave the best k of a query, of which the last is the threshold from now on. */
GE_INLINE void ge_compact(ge_best *best, int64_t slot)
{
    uint64_t *entries = best->entries + slot * best->room, worst = 0;
    ge_select(entries, best->counts[slot], best->k);
    for (int64_t i = 0; i < best->k; i++)
        worst = entries[i] > worst ? entries[i] : worst;
    best->counts[slot] = best->k;
    best->thresholds[slot] = ge_score_of(worst);
}

/* Consider a target for a query. Inlined, because a call from code with wide vectors to code of the
 * baseline costs hundreds of cycles where the compiler does not clear the vectors first. The targets
 * of a query come in ascending order. */
GE_INLINE void ge_offer(ge_best *best, int64_t slot, int64_t query, int32_t target, float score)
{
    if (best->indptr != NULL) {
        const int64_t end = best->indptr[query + 1];
        int64_t place = best->places[slot];
        while (place < end && best->indices[place] < target)
            place++;
        best->places[slot] = place;
        if (place < end && best->indices[place] == target)
            return;
    }
    best->entries[slot * best->room + best->counts[slot]++] = ge_entry(score, target);
    if (best->counts[slot] == best->room)
        ge_compact(best, slot);
}

/* Write the best k of a query, the best first. */
static void ge_end_query(ge_best *best, int64_t slot, int32_t *targets, float *scores)
{
    uint64_t *entries = best->entries + slot * best->room;
    int64_t n;
    if (best->counts[slot] > best->k)
        ge_compact(best, slot);
    n = best->counts[slot];
    ge_sort(entries, n);
    for (int64_t i = 0; i < best->k; i++) {
        targets[i] = i < n ? (int32_t)(uint32_t)entries[i] : -1;
        scores[i] = i < n ? ge_score_of(entries[i]) : -INFINITY;
    }
}

/* ------------------------------------------------------------------------------------------------
 * Inner products
 * --------------------------------------------------------------------------------------------- */

typedef struct {
    const float *queries;
    const float *targets;
    const int32_t *candidates; /* ascending; NULL: all targets */
    int64_t n_candidates;
    int64_t width;             /* components */
    float *panel;              /* work space, GE_MAX_COLUMNS * GE_PART */
    float *packed;             /* work space, width for each query of a block */
    float *scores;             /* work space, GE_MAX_COLUMNS for each query */
} ge_products;

GE_INLINE int ge_lowest_bit(uint32_t bits)
{
#if defined(__GNUC__)
    return __builtin_ctz(bits);
#else
    int place = 0;
    while (!(bits >> place & 1))
        place++;
    return place;
#endif
}

#define GE_BIT(l) UINT32_C(1) << (l), UINT32_C(1) << ((l) + 1)
#define GE_BYTE(l) GE_BIT(l), GE_BIT((l) + 2), GE_BIT((l) + 4), GE_BIT((l) + 6)
static const uint32_t ge_bits[GE_MAX_COLUMNS] = {GE_BYTE(0), GE_BYTE(8), GE_BYTE(16), GE_BYTE(24)};

/* Put a part of the next targets side by side: component j of target l at panel[j * columns + l]. */
GE_INLINE void ge_pack(const ge_products *in, int64_t first, int64_t n, const int columns,
    int64_t part, int64_t width)
{
    for (int l = 0; l < columns; l++) { /* places beyond the last are filled with its copies */
        const int64_t place = first + (l < n ? l : n - 1);
        const float *row = in->targets + part
            + (in->candidates != NULL ? in->candidates[place] : place) * in->width;
        float *out = in->panel + l;
        for (int64_t j = 0; j < width; j++)
            out[j * columns] = row[j];
    }
}

#define GE_WIDTH 4 /* SSE2, NEON, or whatever the compiler makes of it */
#define GE_TARGET
#define GE_NAME(x) ge_baseline_##x
#include "_topk_block.h"

#if defined(GE_VECTORS) && defined(__x86_64__)
#define GE_X86_CLONES 1
#define GE_WIDTH 8
#define GE_TARGET __attribute__((target("avx2")))
#define GE_NAME(x) ge_avx2_##x
#include "_topk_block.h"
#define GE_WIDTH 16
#define GE_TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl")))
#define GE_NAME(x) ge_avx512_##x
#include "_topk_block.h"
#endif

typedef struct {
    const char *name;
    void (*sweep)(const ge_products *, ge_best *, int64_t, int64_t);
} ge_instructions;

/* Slowest first; ge_n_instruction_sets() of them run on this processor. */
static const ge_instructions ge_instruction_sets[] = {
    {"baseline", ge_baseline_sweep},
#if defined(GE_X86_CLONES)
    {"avx2", ge_avx2_sweep},
    {"avx512", ge_avx512_sweep},
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

/* Put the components of GE_ROWS queries side by side; the last group is filled with the last one.
 * Rows that lie a power of two apart would compete for the same places of a cache. */
static void ge_pack_queries(const ge_products *in, int64_t first, int64_t last)
{
    float *out = in->packed;
    for (int64_t group = first; group < last; group += GE_ROWS)
        for (int64_t j = 0; j < in->width; j++)
            for (int r = 0; r < GE_ROWS; r++) {
                const int64_t query = group + r < last ? group + r : last - 1;
                *out++ = in->queries[query * in->width + j];
            }
}

/* The best targets of the queries first .. last - 1, which must have room in `best`. */
static void ge_top_products(const ge_instructions *use, const ge_products *in, ge_best *best,
    int64_t first, int64_t last, int32_t *targets, float *scores)
{
    for (int64_t i = first; i < last; i++)
        ge_begin_query(best, i - first, i);
    ge_pack_queries(in, first, last);
    use->sweep(in, best, first, last);
    for (int64_t i = first; i < last; i++)
        ge_end_query(best, i - first, targets + i * best->k, scores + i * best->k);
}

/* The best of a row of n scores. Returns 0 if one of them is NaN. */
static int ge_top_of_row(ge_best *best, const float *row, int64_t n, int64_t query,
    int32_t *targets, float *scores)
{
    enum { STRIDE = 16 };
    int64_t j = 0;
    ge_begin_query(best, 0, query);
    for (; j < n; j += STRIDE) {
        const int64_t last = j + STRIDE < n ? j + STRIDE : n;
        const float threshold = best->thresholds[0];
        int hit = 0;
        if (last - j == STRIDE)
            for (int l = 0; l < STRIDE; l++)
                hit |= !(row[j + l] <= threshold);
        else
            hit = 1;
        if (!hit)
            continue;
        for (int64_t i = j; i < last; i++) {
            if (row[i] != row[i])
                return 0;
            if (row[i] > best->thresholds[0])
                ge_offer(best, 0, query, (int32_t)i, row[i]);
        }
    }
    ge_end_query(best, 0, targets, scores);
    return 1;
}

#endif
