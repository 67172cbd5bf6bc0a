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

#define GE_MOST_ROWS (GE_TILE + 1) /* inner nodes whose sums are in registers at a time */

/* Steps of one centre at a few inner nodes. */
typedef struct {
    int64_t n_steps;
    int n_rows;
    float *centre, *inner[GE_MOST_ROWS];       /* their rows; beyond n_rows the first again */
    int steps[GE_MOST_ROWS], left[GE_MOST_ROWS]; /* how many are at a row, how many with bit 0 */
} ge_steps;

/* Take the first steps that have one centre and are at GE_MOST_ROWS inner nodes at most,
 * GE_MAX_REPEATS at each. */
static inline void ge_take_steps(
    ge_steps *taken, const int32_t *centres, const uint32_t *steps, int64_t n_steps,
    float *input, float *inner, int64_t stride)
{
    int64_t i = 0;
    int n = 0;
    for (; i < n_steps && centres[i] == centres[0]; i++) {
        float *row = inner + (int64_t)(steps[i] >> 1) * stride;
        int k = 0;
        while (k < n && taken->inner[k] != row)
            k++;
        if (k == n) {
            if (n == GE_MOST_ROWS)
                break;
            taken->inner[n] = row;
            taken->steps[n] = taken->left[n] = 0;
            n++;
        }
        if (taken->steps[k] == GE_MAX_REPEATS)
            break;
        taken->steps[k]++;
        taken->left[k] += !(steps[i] & 1);
    }
    taken->n_steps = i;
    taken->n_rows = n;
    taken->centre = input + (int64_t)centres[0] * stride;
    for (; n < GE_MOST_ROWS; n++)
        taken->inner[n] = taken->inner[0];
}

/* Train the steps of one bucket in their order, a few of one centre at a time. With
 *     gain = (1 - bit - sigmoid(centre . inner)) * rate
 * for each of them, all taken before the update, each inner node moves by the sum of
 * gain * centre and the centre by the sum of gain * inner. */
static void ge_train_steps(
    const ge_instructions *use, const int32_t *centres, const uint32_t *steps, int64_t n_steps,
    float *input, float *inner, int64_t stride, float rate)
{
    float lanes[4 * GE_MOST_ROWS], gains[GE_MOST_ROWS];
    ge_steps both[2];
    int odd = 0;
    ge_take_steps(&both[0], centres, steps, n_steps, input, inner, stride);
    for (int64_t first = 0; first < n_steps; first += both[odd].n_steps, odd = !odd) {
        ge_steps *now = &both[odd], *next = &both[!odd];
        const int n = now->n_rows;
        const int64_t ahead = first + now->n_steps < n_steps ? first + now->n_steps : first;
        /* What comes next is prefetched while these are moved. */
        ge_take_steps(next, centres + ahead, steps + ahead, n_steps - ahead, input, inner, stride);
        use->dots(&now->centre, now->inner, now->inner + 1, 1, n - 1, 1, stride, lanes, n,
                  &next->centre);
        use->sigmoids(lanes, gains, n);
        for (int k = 0; k < n; k++)
            gains[k] = ((float)now->left[k] - (float)now->steps[k] * gains[k]) * rate;
        use->move(&now->centre, now->inner, now->inner + 1, 1, n - 1, 1, stride, gains, n,
                  next->inner, next->inner + 1);
    }
}

#endif
