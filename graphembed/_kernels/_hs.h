/* One bucket of skip-gram with hierarchical softmax (Mikolov et al. 2013, eq. 3; Perozzi et al.
 * 2014, section 4.2.2).
 *
 * A step is one inner node on the way from a context to the root, packed with the branch that was
 * taken there: (inner node << 1 | bit). Its loss is -log sigmoid((1 - 2 bit) * centre . inner).
 * The steps are trained by the kernels of _sgns.h, so all instruction sets give the same bits.
 */
#ifndef GRAPHEMBED_HS_H
#define GRAPHEMBED_HS_H

#include "_sgns.h"

#define GE_MOST_STEPS (GE_TILE + 1) /* whose sums are in registers at a time */

/* Steps of one centre at different inner nodes. */
typedef struct {
    int size;
    float *centre, *inner[GE_MOST_STEPS]; /* their rows; beyond the size the first again */
} ge_steps;

static inline void ge_take_steps(
    ge_steps *taken, const int32_t *centres, const uint32_t *steps, int64_t n_steps,
    float *input, float *inner, int64_t stride)
{
    int n = 0;
    taken->centre = input + (int64_t)centres[0] * stride;
    while (n < GE_MOST_STEPS && n < n_steps && centres[n] == centres[0]) {
        float *row = inner + (int64_t)(steps[n] >> 1) * stride;
        int k = 0;
        while (k < n && taken->inner[k] != row)
            k++;
        if (k < n)
            break;
        taken->inner[n++] = row;
    }
    taken->size = n;
    for (; n < GE_MOST_STEPS; n++)
        taken->inner[n] = taken->inner[0];
}

/* Train the steps of one bucket in their order, as many at a time as have one centre and different
 * inner nodes, GE_MOST_STEPS at most. With
 *     gain = (1 - bit - sigmoid(centre . inner)) * rate
 * for each of them, all taken before the update, each inner node moves by gain * centre and the
 * centre by the sum of gain * inner. */
static void ge_train_steps(
    const ge_instructions *use, const int32_t *centres, const uint32_t *steps, int64_t n_steps,
    float *input, float *inner, int64_t stride, float rate)
{
    float lanes[4 * GE_MOST_STEPS], gains[GE_MOST_STEPS];
    ge_steps both[2];
    int64_t first = 0;
    int odd = 0;
    ge_take_steps(&both[0], centres, steps, n_steps, input, inner, stride);
    while (first < n_steps) {
        ge_steps *now = &both[odd], *next = &both[!odd];
        const int64_t ahead = first + now->size < n_steps ? first + now->size : first;
        /* What comes next is prefetched while these are moved. */
        ge_take_steps(next, centres + ahead, steps + ahead, n_steps - ahead, input, inner, stride);
        use->dots(&now->centre, now->inner, now->inner + 1, 1, now->size - 1, 1, stride, lanes,
                  now->size, &next->centre);
        use->sigmoids(lanes, gains, now->size);
        for (int k = 0; k < now->size; k++)
            gains[k] = ((float)(1 - (int)(steps[first + k] & 1)) - gains[k]) * rate;
        use->move(&now->centre, now->inner, now->inner + 1, 1, now->size - 1, 1, stride, gains,
                  now->size, next->inner, next->inner + 1);
        first += now->size;
        odd = !odd;
    }
}

#endif
