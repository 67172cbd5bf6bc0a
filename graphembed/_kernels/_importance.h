/* Nodes that short random walks from a seed visit most (Ying et al. 2018, PinSage, section 3.1).
 *
 * What a walk visits is a function of the key, its seed and its number alone. As in _walks.h many
 * walkers take each load together and prefetch the next. The exact law is pushed along the arcs, for
 * some seeds at a time, in a fixed order of sums.
 */
#ifndef GRAPHEMBED_IMPORTANCE_H
#define GRAPHEMBED_IMPORTANCE_H

#include <stdint.h>
#include <string.h>

#include "_rng.h"
#include "_select.h"
#include "_walks.h"

enum {
    GE_WALKERS = 256,  /* that step together */
    GE_SIDE = 8,       /* seeds whose laws are pushed together */
    GE_DENSE = 3,      /* masses are pulled where they leave by more than this part of the arcs */
    GE_MAX_TRAVERSALS = 64,
    GE_TIES = 1,       /* stream of a seed's key, beside the walks */
};

typedef struct {
    const int64_t *indptr;
    const int32_t *indices;
    const float *weights;     /* NULL: all 1 */
    const uint64_t *cells;    /* alias cells of the weights; NULL: all 1 */
    const double *strengths;  /* sums of the rows' weights */
    const float *penalties;   /* what a visit of a node counts; NULL: 1 */
    const int64_t *in_indptr; /* the arcs by target, in the order of their sources */
    const int32_t *in_indices;
    const float *in_weights;
} ge_arcs;

typedef struct {
    int64_t n_walks;
    int64_t n_traversals;     /* at most */
    int64_t stride;           /* steps of a traversal */
    uint64_t key;
    uint64_t limits[GE_MAX_TRAVERSALS]; /* traversal t is made by walks whose lot is below */
    double survival;          /* of a walk after a traversal */
    int64_t top;
} ge_law;

/* ------------------------------------------------------------------------------------------------
 * The choice of the top
 * --------------------------------------------------------------------------------------------- */

/* A bijection of 32-bit numbers that depends on a seed's key: ties are broken by it, and it leads
 * back to the node. Multiply and shift as in "lowbias32" (Wellons 2018). */
static inline uint32_t ge_shuffle(uint64_t key, uint32_t x)
{
    x += (uint32_t)key;
    x ^= x >> 16;
    x *= UINT32_C(0x7FEB352D);
    x ^= x >> 15;
    x += (uint32_t)(key >> 32);
    x *= UINT32_C(0x846CA68B);
    return x ^ x >> 16;
}

static inline uint32_t ge_unshuffle(uint64_t key, uint32_t x)
{
    x ^= x >> 16;
    x *= UINT32_C(0x43021123); /* the factor's inverse */
    x -= (uint32_t)(key >> 32);
    x ^= x >> 15 ^ x >> 30;
    x *= UINT32_C(0x1D69E2A5);
    x ^= x >> 16;
    return x - (uint32_t)key;
}

/* Smaller for larger scores, which are positive, and then in random order. */
static inline uint64_t ge_ranked(float score, int32_t node, uint64_t ties)
{
    uint32_t bits;
    memcpy(&bits, &score, 4);
    return ~((uint64_t)bits << 32 | ge_shuffle(ties, (uint32_t)node));
}

static inline float ge_score_of(uint64_t entry)
{
    const uint32_t bits = (uint32_t)(~entry >> 32);
    float score;
    memcpy(&score, &bits, 4);
    return score;
}

/* Write the best of n entries, whose order is changed. */
static inline void ge_write_top(uint64_t *entries, int64_t n, int64_t top, uint64_t ties,
    int32_t *nodes, float *weights)
{
    double total = 0.0;
    int64_t i;
    if (n > top) {
        ge_select(entries, n, top);
        n = top;
    }
    ge_sort(entries, n);
    for (i = 0; i < n; i++)
        total += (double)ge_score_of(entries[i]);
    for (i = 0; i < top; i++) {
        nodes[i] = i < n ? (int32_t)ge_unshuffle(ties, (uint32_t)~entries[i]) : -1;
        weights[i] = i < n ? (float)((double)ge_score_of(entries[i]) / total) : 0.0f;
    }
}

/* ------------------------------------------------------------------------------------------------
 * Walks
 * --------------------------------------------------------------------------------------------- */

/* Visits of one seed's walks: cells are 0 or (node + 1) << 32 | count. */
typedef struct {
    uint64_t *table;  /* 2^bits cells, some of them free */
    int bits;
    uint32_t *used;   /* those that are not free, and room for one more */
    int64_t n_used;
} ge_visits;

static inline void ge_visit(ge_visits *visits, int32_t node)
{
    const uint32_t mask = (uint32_t)((UINT64_C(1) << visits->bits) - 1);
    const uint64_t name = (uint64_t)node + 1;
    uint32_t cell = (uint32_t)(
        (uint64_t)((uint32_t)node * UINT32_C(0x9E3779B1)) >> (32 - visits->bits));
    uint64_t found = visits->table[cell];
    while (found != 0 && found >> 32 != name) {
        cell = (cell + 1) & mask;
        found = visits->table[cell];
    }
    visits->used[visits->n_used] = cell;
    visits->n_used += found == 0;
    visits->table[cell] = (found != 0 ? found : name << 32) + 1;
}

typedef struct {
    uint64_t counter[GE_WALKERS]; /* the next draw is mix64(counter + golden) */
    uint64_t lot[GE_WALKERS];     /* uniform in [0, 2^63) */
    int64_t first[GE_WALKERS];
    int64_t arc[GE_WALKERS];
    uint32_t position[GE_WALKERS]; /* within the alias cell */
    int32_t node[GE_WALKERS];
    int n;
} ge_walkers;

/* The last walker takes the place of walker k. */
static inline void ge_leave(ge_walkers *walkers, int k)
{
    const int last = --walkers->n;
    walkers->counter[k] = walkers->counter[last];
    walkers->lot[k] = walkers->lot[last];
    walkers->node[k] = walkers->node[last];
}

static inline void ge_step(ge_walkers *walkers, const ge_arcs *graph, const int weighted)
{
    int k;
    for (k = 0; k < walkers->n; k++) {
        const int64_t first = graph->indptr[walkers->node[k]];
        const int64_t degree = graph->indptr[walkers->node[k] + 1] - first;
        uint64_t low;
        if (degree == 0) {
            ge_leave(walkers, k--);
            continue;
        }
        walkers->counter[k] += GE_GOLDEN;
        walkers->arc[k] = first
            + (int64_t)ge_multiply_high(ge_mix64(walkers->counter[k]), (uint64_t)degree, &low);
        if (weighted) {
            walkers->first[k] = first;
            walkers->position[k] = (uint32_t)(low >> 32);
            GE_PREFETCH(&graph->cells[walkers->arc[k]]);
        }
        GE_PREFETCH(&graph->indices[walkers->arc[k]]);
    }
    for (k = 0; weighted && k < walkers->n; k++) {
        const uint64_t cell = graph->cells[walkers->arc[k]];
        const int64_t other = walkers->first[k] + (int64_t)(cell >> 32);
        walkers->arc[k] = walkers->position[k] < (uint32_t)cell ? walkers->arc[k] : other;
        GE_PREFETCH(&graph->indices[walkers->arc[k]]);
    }
    for (k = 0; k < walkers->n; k++) {
        walkers->node[k] = graph->indices[walkers->arc[k]];
        GE_PREFETCH(&graph->indptr[walkers->node[k]]);
    }
}

/* Count what the walks first .. first + n - 1 of a seed visit. */
static inline void ge_walk(const ge_arcs *graph, const ge_law *law, int32_t seed, uint64_t key,
    int64_t first, int n, ge_walkers *walkers, ge_visits *visits)
{
    int64_t t, step;
    int k;
    walkers->n = n;
    for (k = 0; k < n; k++) {
        const uint64_t own = ge_draw(key, (uint64_t)(first + k));
        walkers->lot[k] = ge_draw(own, 0) >> 1;
        walkers->counter[k] = own + GE_GOLDEN;
        walkers->node[k] = seed;
    }
    for (t = 0; t < law->n_traversals; t++) {
        for (k = 0; t > 0 && k < walkers->n; k++)
            if (walkers->lot[k] >= law->limits[t])
                ge_leave(walkers, k--);
        for (step = 0; step < law->stride; step++)
            if (graph->cells != NULL)
                ge_step(walkers, graph, 1);
            else
                ge_step(walkers, graph, 0);
        for (k = 0; k < walkers->n; k++)
            if (walkers->node[k] != seed)
                ge_visit(visits, walkers->node[k]);
    }
}

/* The nodes that the walks of a seed visit most. `entries` has room for all visited nodes. */
static inline void ge_sample_top(const ge_arcs *graph, const ge_law *law, int32_t seed,
    ge_walkers *walkers, ge_visits *visits, uint64_t *entries, int32_t *nodes, float *weights)
{
    const uint64_t key = ge_stream(law->key, (uint64_t)seed), ties = ge_stream(key, GE_TIES);
    int64_t first, i;
    visits->n_used = 0;
    for (first = 0; first < law->n_walks; first += GE_WALKERS) {
        const int64_t rest = law->n_walks - first;
        ge_walk(graph, law, seed, key, first, rest < GE_WALKERS ? (int)rest : GE_WALKERS, walkers,
            visits);
    }
    for (i = 0; i < visits->n_used; i++) {
        const uint64_t found = visits->table[visits->used[i]];
        const int32_t node = (int32_t)(uint32_t)((found >> 32) - 1);
        float score = (float)(uint32_t)found;
        visits->table[visits->used[i]] = 0;
        if (graph->penalties != NULL)
            score *= graph->penalties[node];
        entries[i] = ge_ranked(score, node, ties);
    }
    ge_write_top(entries, visits->n_used, law->top, ties, nodes, weights);
}

/* ------------------------------------------------------------------------------------------------
 * The exact law
 * --------------------------------------------------------------------------------------------- */

/* Masses of GE_SIDE seeds at every node, and the nodes that have some. */
typedef struct {
    double *masses;   /* (n_nodes, GE_SIDE); zero where the bit is not set */
    uint64_t *bits;   /* one for each node */
} ge_front;

static inline int ge_first_bit(uint64_t word)
{
#if defined(__GNUC__)
    return __builtin_ctzll(word);
#else
    int place = 0;
    while (!(word >> place & 1))
        place++;
    return place;
#endif
}

static inline void ge_mark(ge_front *front, int64_t node)
{
    front->bits[node >> 6] |= UINT64_C(1) << (node & 63);
}

static inline int ge_has_mark(const ge_front *front, int64_t node)
{
    return (int)(front->bits[node >> 6] >> (node & 63) & 1);
}

/* Move the masses of a node along its arcs. */
static inline void ge_push_node(const ge_arcs *graph, int64_t node, double *mass, ge_front *to)
{
    const int64_t last = graph->indptr[node + 1];
    double moved[GE_SIDE];
    int64_t arc;
    int s;
    for (s = 0; s < GE_SIDE; s++) {
        moved[s] = mass[s];
        mass[s] = 0.0;
    }
    for (arc = graph->indptr[node]; arc < last; arc++) {
        const int64_t target = graph->indices[arc];
        double *sums = to->masses + target * GE_SIDE;
        ge_mark(to, target);
        if (graph->weights == NULL)
            for (s = 0; s < GE_SIDE; s++)
                sums[s] += moved[s];
        else
            for (s = 0; s < GE_SIDE; s++)
                sums[s] += moved[s] * (double)graph->weights[arc];
    }
}

/* Sum the masses that come to a node along its arcs. */
static inline void ge_pull_node(
    const ge_arcs *graph, int64_t node, const ge_front *from, ge_front *to)
{
    const int64_t first = graph->in_indptr[node], last = graph->in_indptr[node + 1];
    double sums[GE_SIDE] = {0};
    int64_t arc = first;
    int s;
    while (arc < last && !ge_has_mark(from, graph->in_indices[arc]))
        arc++;
    if (arc == last)
        return;
    for (; arc < last; arc++) {
        const double *mass = from->masses + graph->in_indices[arc] * (int64_t)GE_SIDE;
        if (graph->in_weights == NULL)
            for (s = 0; s < GE_SIDE; s++)
                sums[s] += mass[s];
        else
            for (s = 0; s < GE_SIDE; s++)
                sums[s] += mass[s] * (double)graph->in_weights[arc];
    }
    ge_mark(to, node);
    for (s = 0; s < GE_SIDE; s++)
        to->masses[node * GE_SIDE + s] = sums[s];
}

/* Move all masses one step, times a factor; `from` is empty then. Either way a sum is taken in the
 * order of the sources, so that a seed's sums do not depend on the seeds beside it. */
static inline void ge_move(
    const ge_arcs *graph, int64_t n_nodes, ge_front *from, ge_front *to, double factor)
{
    const int64_t n_words = (n_nodes + 63) / 64;
    int64_t word, node, n_arcs = 0;
    uint64_t rest;
    int s, pull;
    for (word = 0; word < n_words; word++) {
        for (rest = from->bits[word]; rest != 0; rest &= rest - 1) {
            double *mass;
            double scale;
            node = word * 64 + ge_first_bit(rest);
            mass = from->masses + node * GE_SIDE;
            scale = factor / graph->strengths[node];
            n_arcs += graph->indptr[node + 1] - graph->indptr[node];
            for (s = 0; s < GE_SIDE; s++)
                mass[s] *= scale;
        }
    }
    pull = n_arcs > graph->indptr[n_nodes] / GE_DENSE;
    for (node = 0; pull && node < n_nodes; node++)
        ge_pull_node(graph, node, from, to);
    for (word = 0; word < n_words; word++) {
        for (rest = from->bits[word]; rest != 0; rest &= rest - 1) {
            double *mass;
            node = word * 64 + ge_first_bit(rest);
            mass = from->masses + node * GE_SIDE;
            if (!pull)
                ge_push_node(graph, node, mass, to);
            else
                for (s = 0; s < GE_SIDE; s++)
                    mass[s] = 0.0;
        }
        from->bits[word] = 0;
    }
}

/* The nodes with the largest expected visits, for GE_SIDE seeds or fewer. With traversal Q and
 * survival a, expected visits are e Q + a e Q^2 + ... = (e + a (e + ...) Q) Q. The fronts are empty
 * before and after; `entries` has room for `room` > top entries of each seed. */
static inline void ge_exact_top(const ge_arcs *graph, int64_t n_nodes, const ge_law *law,
    const int32_t *seeds, int n_seeds, ge_front *front, ge_front *other, uint64_t *entries,
    int64_t room, int32_t *nodes, float *weights)
{
    const int64_t n_words = (n_nodes + 63) / 64;
    uint64_t ties[GE_SIDE];
    int64_t counts[GE_SIDE] = {0}, t, step, word;
    float thresholds[GE_SIDE] = {0};
    int s;
    for (s = 0; s < n_seeds; s++)
        ties[s] = ge_stream(ge_stream(law->key, (uint64_t)seeds[s]), GE_TIES);
    for (t = 0; t < law->n_traversals; t++) {
        for (s = 0; s < n_seeds; s++) {
            front->masses[seeds[s] * (int64_t)GE_SIDE + s] += t > 0 ? 1.0 / law->survival : 1.0;
            ge_mark(front, seeds[s]);
        }
        for (step = 0; step < law->stride; step++) {
            ge_front swapped = *front;
            ge_move(graph, n_nodes, front, other, t > 0 && step == 0 ? law->survival : 1.0);
            *front = *other;
            *other = swapped;
        }
    }
    for (word = 0; word < n_words; word++) {
        for (; front->bits[word] != 0; front->bits[word] &= front->bits[word] - 1) {
            const int64_t node = word * 64 + ge_first_bit(front->bits[word]);
            const float penalty = graph->penalties != NULL ? graph->penalties[node] : 1.0f;
            double *mass = front->masses + node * GE_SIDE;
            for (s = 0; s < n_seeds; s++) {
                const float score = (float)(mass[s] * (double)penalty);
                uint64_t *own = entries + s * room;
                mass[s] = 0.0;
                if (score < thresholds[s] || score == 0.0f || node == seeds[s])
                    continue;
                own[counts[s]++] = ge_ranked(score, (int32_t)node, ties[s]);
                if (counts[s] == room) {
                    uint64_t worst = 0;
                    int64_t i;
                    ge_select(own, room, law->top);
                    for (i = 0; i < law->top; i++)
                        worst = own[i] > worst ? own[i] : worst;
                    counts[s] = law->top;
                    thresholds[s] = ge_score_of(worst);
                }
            }
        }
    }
    for (s = 0; s < n_seeds; s++)
        ge_write_top(entries + s * room, counts[s], law->top, ties[s], nodes + s * law->top,
            weights + s * law->top);
}

#endif
