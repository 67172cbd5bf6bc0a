/* Sampled neighbours of many nodes, and the numbering of the nodes they make up.
 *
 * What is drawn for a target is a function of the block's key and the target alone. On a large graph
 * every row start, row and table entry misses the caches, and none of these loads depends on
 * another: so each loop runs ahead of itself with prefetches.
 */
#ifndef GRAPHEMBED_NEIGHBORS_H
#define GRAPHEMBED_NEIGHBORS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "_rng.h"
#include "_walks.h"

enum {
    GE_AHEAD = 16,    /* loads in flight */
    GE_TARGETS = 16,  /* targets whose rows are read together */
    GE_LISTED = 32,   /* so many places are looked through in no time */
    GE_ARRIVALS = 1,  /* streams of a target's key, beside that of the draws */
    GE_WAITING = 2,
};

/* Rows of the in-neighbours, and the tables of draws in proportion to their weights. */
typedef struct {
    const int64_t *indptr;
    const int32_t *indices;
    const float *weights;    /* NULL: all 1 */
    const uint64_t *cells;   /* alias cells of the weights; NULL: draws are uniform */
    const double *strengths; /* sums of the rows' weights, where there are cells */
    const int64_t *order;    /* the graph's arc at every place of `indices`; NULL: the place */
} ge_in_rows;

/* Targets and their slots, one for each sampled neighbour. */
typedef struct {
    const int32_t *targets;
    const int64_t *indptr; /* slots of target i are indptr[i] .. indptr[i + 1] */
    int64_t fanout;        /* -1: all */
    int replace;
    uint64_t key;
    int64_t *arcs;   /* out: its arc; until then its place in `indices` */
    int32_t *nodes;  /* out: the neighbour */
    float *values;   /* out: what it counts; NULL if there are no weights */
    double *keys;    /* scratch, one per slot; NULL unless by weight without replacement */
} ge_slots;

static inline void ge_count_slots(const int64_t *indptr, const int32_t *targets, int64_t fanout,
    int replace, int64_t *counts, int64_t begin, int64_t end)
{
    int64_t i;
    for (i = begin; i < end; i++) {
        int64_t degree;
        if (i + GE_AHEAD < end)
            GE_PREFETCH(&indptr[targets[i + GE_AHEAD]]);
        degree = indptr[targets[i] + 1] - indptr[targets[i]];
        if (fanout < 0 || (degree < fanout && !replace) || degree == 0)
            counts[i] = degree;
        else
            counts[i] = fanout;
    }
}

/* ------------------------------------------------------------------------------------------------
 * A uniform subset of k places out of n, k < n
 * --------------------------------------------------------------------------------------------- */

static inline int ge_is_among(const int64_t *places, int64_t n, int64_t place)
{
    int64_t i;
    int found = 0;
    for (i = 0; i < n; i++)
        found |= places[i] == place;
    return found;
}

/* Floyd's algorithm (Bentley and Floyd 1987) where n <= 64. */
static inline void ge_choose_masked(int64_t *places, int64_t k, int64_t n, uint64_t key)
{
    uint64_t chosen = 0;
    int64_t j;
    for (j = 0; j < k; j++) {
        const uint64_t last = (uint64_t)(n - k + j);
        const uint64_t drawn = ge_bounded(ge_draw(key, (uint64_t)j), last + 1);
        const uint64_t place = (chosen >> drawn) & 1 ? last : drawn;
        chosen |= UINT64_C(1) << place;
        places[j] = (int64_t)place;
    }
}

/* The same where k * k is small beside n. */
static inline void ge_choose_listed(int64_t *places, int64_t k, int64_t n, uint64_t key)
{
    int64_t j;
    for (j = 0; j < k; j++) {
        const int64_t last = n - k + j;
        const int64_t drawn
            = (int64_t)ge_bounded(ge_draw(key, (uint64_t)j), (uint64_t)last + 1);
        places[j] = ge_is_among(places, j, drawn) ? last : drawn;
    }
}

/* One place after the other is taken or left (Knuth 1997, algorithm 3.4.2 S). */
static inline void ge_choose_in_turn(int64_t *places, int64_t k, int64_t n, uint64_t key)
{
    int64_t i, j = 0;
    for (i = 0; j < k; i++)
        if (ge_bounded(ge_draw(key, (uint64_t)i), (uint64_t)(n - i)) < (uint64_t)(k - j))
            places[j++] = i;
}

static inline void ge_choose(int64_t *places, int64_t k, int64_t n, uint64_t key)
{
    if (n <= 64)
        ge_choose_masked(places, k, n, key);
    else if (k <= GE_LISTED || k / 8 < n / k)
        ge_choose_listed(places, k, n, key);
    else
        ge_choose_in_turn(places, k, n, key);
}

/* ------------------------------------------------------------------------------------------------
 * k < n places drawn one after the other in proportion to their weights, without replacement
 * --------------------------------------------------------------------------------------------- */

/* Exponential with mean 1. */
static inline double ge_exponential(uint64_t r)
{
    return -log((double)((r >> 11) + 1) * (1.0 / 9007199254740992.0));
}

/* Sift the entry at the root of a max-heap down. */
static inline void ge_sift(double *keys, int64_t *places, int64_t n)
{
    const double key = keys[0];
    const int64_t place = places[0];
    int64_t i = 0, child;
    while ((child = 2 * i + 1) < n) {
        child += child + 1 < n && keys[child + 1] > keys[child];
        if (keys[child] <= key)
            break;
        keys[i] = keys[child];
        places[i] = places[child];
        i = child;
    }
    keys[i] = key;
    places[i] = place;
}

/* Continue a sample of m places to k: the rest have arrival times with rate w, and the first k - m
 * of them are taken in their order (Efraimidis and Spirakis 2006). O(n) logarithms. */
static inline void ge_choose_arrivals(
    const float *weights, int64_t *places, double *keys, int64_t m, int64_t k, int64_t n, uint64_t key)
{
    int64_t *heap = places + m;
    const int64_t room = k - m;
    int64_t i, n_heap = 0;
    for (i = 0; i < n; i++) {
        double time;
        if (ge_is_among(places, m, i))
            continue;
        time = ge_exponential(ge_draw(key, (uint64_t)i)) / (double)weights[i];
        if (n_heap < room) { /* grow it by its end */
            int64_t child = n_heap++;
            while (child > 0 && keys[(child - 1) / 2] < time) {
                keys[child] = keys[(child - 1) / 2];
                heap[child] = heap[(child - 1) / 2];
                child = (child - 1) / 2;
            }
            keys[child] = time;
            heap[child] = i;
        } else if (time < keys[0]) {
            keys[0] = time;
            heap[0] = i;
            ge_sift(keys, heap, room);
        }
    }
    while (--n_heap > 0) { /* the latest goes to the end */
        const double time = keys[n_heap];
        const int64_t place = heap[n_heap];
        keys[n_heap] = keys[0];
        heap[n_heap] = heap[0];
        keys[0] = time;
        heap[0] = place;
        ge_sift(keys, heap, n_heap);
    }
}

static inline int ge_is_drawn(int64_t k, int64_t n)
{
    return 2 * n > 3 * k;
}

/* Unless most places are taken, they are drawn from the alias table and those that are among the
 * chosen are refused. How often that happens does not depend on what comes next, so that after too
 * many refusals the other way may go on. */
static inline void ge_choose_weighted(const float *weights, const uint64_t *cells, int64_t *places,
    double *keys, int64_t k, int64_t n, uint64_t key)
{
    const int64_t n_trials = ge_is_drawn(k, n) ? 2 * k + 8 : 0;
    int64_t trial, m = 0;
    for (trial = 0; trial < n_trials && m < k; trial++) {
        const int64_t place
            = (int64_t)ge_alias_draw(cells, (uint64_t)n, ge_draw(key, (uint64_t)trial));
        if (!ge_is_among(places, m, place))
            places[m++] = place;
    }
    if (m < k)
        ge_choose_arrivals(weights, places, keys, m, k, n, ge_stream(key, GE_ARRIVALS));
}

/* What the chosen count, so that their mean has the expectation of the row's mean of w. Their order
 * is that of arrivals with rate w; given the time t of the (k + 1)-th, each of the others has
 * arrived with probability 1 - exp(-w t) (Cohen and Kaplan 2007, rank conditioning). The times
 * between arrivals are drawn afterwards: their rate is the weight of what is still to come. */
static inline void ge_weigh_chosen(const float *weights, const int64_t *places, int64_t k,
    int64_t n, double total, float *values, uint64_t key)
{
    double time = 0.0, rest = total;
    int64_t j;
    for (j = 0; j <= k; j++) {
        time += ge_exponential(ge_draw(key, (uint64_t)j)) / rest;
        if (j < k)
            rest -= (double)weights[places[j]];
        if (rest < total * 1e-12) /* lost in rounding */
            rest = total * 1e-12;
    }
    for (j = 0; j < k; j++) {
        const double weight = (double)weights[places[j]];
        values[j] = (float)(weight / -expm1(-weight * time) * (double)k / (double)n);
    }
}

/* ------------------------------------------------------------------------------------------------
 * Blocks
 * --------------------------------------------------------------------------------------------- */

/* Fill the slots of target i with places within its row. */
static inline void ge_sample_row(const ge_in_rows *rows, const ge_slots *slots, int64_t i)
{
    const int32_t v = slots->targets[i];
    const int64_t slot = slots->indptr[i], k = slots->indptr[i + 1] - slot;
    const int64_t first = rows->indptr[v], n = rows->indptr[v + 1] - first;
    const uint64_t key = ge_stream(slots->key, (uint64_t)v);
    int64_t *places = slots->arcs + slot;
    int64_t j;
    if (slots->replace && slots->fanout > 0) {
        for (j = 0; j < k; j++) {
            const uint64_t r = ge_draw(key, (uint64_t)j);
            places[j] = (int64_t)(rows->cells != NULL
                    ? ge_alias_draw(rows->cells + first, (uint64_t)n, r)
                    : ge_bounded(r, (uint64_t)n));
        }
    } else if (k == n) {
        for (j = 0; j < k; j++)
            places[j] = j;
    } else if (rows->cells != NULL) {
        ge_choose_weighted(
            rows->weights + first, rows->cells + first, places, slots->keys + slot, k, n, key);
    } else
        ge_choose(places, k, n, key);
    for (j = 0; j < k; j++) {
        places[j] += first;
        GE_PREFETCH(&rows->indices[places[j]]);
        if (slots->values != NULL)
            GE_PREFETCH(&rows->weights[places[j]]);
        if (rows->order != NULL)
            GE_PREFETCH(&rows->order[places[j]]);
    }
}

/* What the neighbours of target i count. */
static inline void ge_weigh_row(const ge_in_rows *rows, const ge_slots *slots, int64_t i)
{
    const int32_t v = slots->targets[i];
    const int64_t slot = slots->indptr[i], k = slots->indptr[i + 1] - slot;
    const int64_t n = rows->indptr[v + 1] - rows->indptr[v];
    const int by_weight = rows->cells != NULL && slots->fanout > 0;
    int64_t j;
    if (by_weight && slots->replace) { /* the draws stand for the weights */
        for (j = slot; j < slot + k; j++)
            slots->values[j] = (float)(rows->strengths[v] / (double)n);
    } else if (by_weight && k < n) {
        ge_weigh_chosen(rows->weights, slots->arcs + slot, k, n, rows->strengths[v],
            slots->values + slot, ge_stream(ge_stream(slots->key, (uint64_t)v), GE_WAITING));
    } else {
        for (j = slot; j < slot + k; j++)
            slots->values[j] = rows->weights[slots->arcs[j]];
    }
}

/* Prefetch what the draws of a row by weight look up first. */
static inline void ge_expect_row(const ge_in_rows *rows, const ge_slots *slots, int64_t i)
{
    const int32_t v = slots->targets[i];
    const int64_t first = rows->indptr[v], n = rows->indptr[v + 1] - first;
    const uint64_t key = ge_stream(slots->key, (uint64_t)v);
    const int64_t k = slots->indptr[i + 1] - slots->indptr[i];
    int64_t j;
    GE_PREFETCH(&rows->strengths[v]);
    if (slots->replace || ge_is_drawn(k, n))
        for (j = 0; j < k; j++)
            GE_PREFETCH(
                &rows->cells[first + (int64_t)ge_bounded(ge_draw(key, (uint64_t)j), (uint64_t)n)]);
    else
        for (j = 0; j < n; j += 16)
            GE_PREFETCH(&rows->weights[first + j]);
}

static inline void ge_sample_slots(
    const ge_in_rows *rows, const ge_slots *slots, int64_t begin, int64_t end)
{
    const int by_weight = rows->cells != NULL && slots->fanout > 0;
    int64_t group, i, j;
    for (group = begin; group < end; group += GE_TARGETS) {
        const int64_t last = group + GE_TARGETS < end ? group + GE_TARGETS : end;
        for (i = group; i < last; i++)
            if (by_weight)
                ge_expect_row(rows, slots, i);
        for (i = group; i < last; i++) {
            if (i + GE_AHEAD < end)
                GE_PREFETCH(&rows->indptr[slots->targets[i + GE_AHEAD]]);
            ge_sample_row(rows, slots, i);
        }
        for (j = slots->indptr[group]; j < slots->indptr[last]; j++)
            slots->nodes[j] = rows->indices[slots->arcs[j]];
        for (i = group; i < last && slots->values != NULL; i++)
            ge_weigh_row(rows, slots, i);
        for (j = slots->indptr[group]; j < slots->indptr[last] && rows->order != NULL; j++)
            slots->arcs[j] = rows->order[slots->arcs[j]];
    }
}

/* ------------------------------------------------------------------------------------------------
 * Numbers
 * --------------------------------------------------------------------------------------------- */

static inline uint32_t ge_cell_of(int32_t node, int bits)
{
    return (uint32_t)(((uint64_t)((uint32_t)node * UINT32_C(0x9E3779B1))) >> (32 - bits));
}

/* Number the nodes begin .. end - 1 by first appearance, after the n that node_index holds, and put
 * their numbers in their place. `table` has 2^bits cells, some of them free: 0, or
 * (node + 1) << 32 | number. Returns how many nodes node_index holds then. */
static inline int64_t ge_number_nodes(int32_t *nodes, int32_t *node_index, int64_t n,
    uint64_t *table, int bits, int64_t begin, int64_t end)
{
    const uint32_t mask = (uint32_t)((UINT64_C(1) << bits) - 1);
    int64_t i;
    for (i = begin; i < end; i++) {
        const int32_t node = nodes[i];
        const uint64_t name = (uint64_t)node + 1;
        uint32_t cell = ge_cell_of(node, bits);
        if (i + GE_AHEAD < end)
            GE_PREFETCH(&table[ge_cell_of(nodes[i + GE_AHEAD], bits)]);
        while (table[cell] != 0 && table[cell] >> 32 != name)
            cell = (cell + 1) & mask;
        if (table[cell] == 0) {
            table[cell] = name << 32 | (uint64_t)n;
            node_index[n++] = node;
        }
        nodes[i] = (int32_t)(uint32_t)table[cell];
    }
    return n;
}

#endif
