/* One row moved against rows of the other table that stay as they are.
 *
 * The skip-gram objective of one row is then convex, and rows do not depend on each other: each is
 * trained by one thread. Dot products and sigmoids are those of _sgns.h; the updates are sums of
 * single elements in a fixed order, so that all processors give the same bits.
 */
#ifndef GRAPHEMBED_GROWTH_H
#define GRAPHEMBED_GROWTH_H

#include "_sgns.h"

#define GE_MAX_LOT 5  /* rows that a row is held against at a time */

/* Move `row` by the gains of n <= GE_MAX_LOT rows: (label - sigmoid(row . other)) * rate * times. */
static inline void ge_move_row(
    const ge_instructions *use, float *row, float *const *others, const float *times, int64_t n,
    float label, int64_t stride, float rate)
{
    float lanes[4 * GE_MAX_LOT], gains[GE_MAX_LOT];
    float *const self[1] = {row};
    use->dots(others, others, self, n, 1, 0, stride, lanes, 1, others);
    use->sigmoids(lanes, gains, n);
    for (int64_t i = 0; i < n; i++) {
        const float gain = (label - gains[i]) * (rate * times[i]);
        const float *GE_RESTRICT other = others[i];
        float *GE_RESTRICT moved = row;
        for (int64_t j = 0; j < stride; j++)
            moved[j] += gain * other[j];
    }
}

/* Train a row on n <= GE_MAX_LOT contexts, which share the negatives that begin with this number. */
static inline void ge_train_row(
    const ge_instructions *use, float *row, const int32_t *contexts, int64_t n, float *table,
    int64_t stride, const ge_noise *noise, int64_t negative, int64_t first, float rate)
{
    float *others[GE_MAX_LOT], times[GE_MAX_LOT];
    for (int64_t i = 0; i < n; i++) {
        others[i] = table + (int64_t)contexts[i] * stride;
        times[i] = 1.0f;
    }
    ge_move_row(use, row, others, times, n, 1.0f, stride, rate);
    for (int64_t k = 0; k < negative; k += GE_MAX_LOT) {
        const int64_t size = negative - k < GE_MAX_LOT ? negative - k : GE_MAX_LOT;
        for (int64_t i = 0; i < size; i++) {
            int32_t drawn;
            ge_draw_negatives(&drawn, 1, noise, first + k + i);
            others[i] = table + (int64_t)drawn * stride;
            times[i] = (float)n;
            for (int64_t j = 0; j < n; j++)
                times[i] -= contexts[j] == drawn;
        }
        ge_move_row(use, row, others, times, size, 0.0f, stride, rate);
    }
}

#endif
