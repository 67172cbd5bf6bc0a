/* Random walks on a CSR graph, many walkers at a time in one thread.
 *
 * A step is a chain of loads that depend on each other, and on a large graph each of them misses
 * the caches. So a thread keeps a group of walkers and takes them through a step together, one load
 * of the chain after the other: what a walker needs next is prefetched while the others have their
 * turn (Sun et al. 2021, ThunderRW). What a walker does depends on its own key alone, hence neither
 * the size of a group nor its members matter to the walks.
 */
#ifndef GRAPHEMBED_WALKS_H
#define GRAPHEMBED_WALKS_H

#include <stddef.h>
#include <stdint.h>

#include "_rng.h"

#if defined(__GNUC__) || defined(__clang__)
#define GE_PREFETCH(address) __builtin_prefetch(address)
#elif defined(_MSC_VER) && (defined(_M_X64) || defined(_M_IX86))
#include <xmmintrin.h>
#define GE_PREFETCH(address) _mm_prefetch((const char *)(address), _MM_HINT_T0)
#else
#define GE_PREFETCH(address) ((void)(address))
#endif

#define GE_GROUP 64 /* walkers of a group at most */

typedef struct {
    const int64_t *indptr;
    const int32_t *indices;  /* sorted within a row */
    const float *weights;    /* NULL if unweighted */
    const uint64_t *cells;   /* first-order alias cells, one per arc; NULL if unweighted */
    const double *strengths; /* sum of the weights of a node's out-arcs; NULL if unweighted */
    const uint8_t *filter;   /* one byte per arc, see ge_filter_row; may be NULL */
    int directed;
    /* Along a metapath the rows depend on the step: step k reads layer layers[(k - 1) % period],
     * which begins at indptr + layer * stride. NULL if there is one layer for all steps. */
    const int32_t *layers;
    int64_t period, stride;
} ge_graph;

/* Rows first..last of a block of walks, and the steps first_step..last_step of each. Steps before
 * first_step have been walked: where a walk stands can be read off its row. */
typedef struct {
    const int32_t *starts;
    const int64_t *walk_ids;
    int32_t *walks;
    int64_t length;
    int64_t first, last;
    int64_t first_step, last_step;
    uint64_t seed;
} ge_rows;

static inline int64_t ge_degree(const ge_graph *graph, int32_t v)
{
    return graph->indptr[v + 1] - graph->indptr[v];
}

static inline const int64_t *ge_indptr_at(const ge_graph *graph, int64_t step)
{
    if (graph->layers == NULL)
        return graph->indptr;
    return graph->indptr + graph->layers[(step - 1) % graph->period] * graph->stride;
}

static inline void ge_end_walk(int32_t *walk, int64_t step, int64_t end)
{
    for (; step < end; step++)
        walk[step] = -1;
}

/* The place of x in the sorted row of n nodes, or -1. */
static inline int64_t ge_find(const int32_t *row, int64_t n, int32_t x)
{
    const int32_t *base = row;
    if (n == 0)
        return -1;
    while (n > 1) { /* without an unpredictable branch */
        const int64_t half = n >> 1;
        base += (base[half - 1] < x) ? half : 0;
        n -= half;
    }
    return *base == x ? base - row : -1;
}

/* The arc t -> x, or -1. */
static inline int64_t ge_find_arc(const ge_graph *graph, int32_t t, int32_t x)
{
    const int64_t first = graph->indptr[t];
    const int64_t place = ge_find(graph->indices + first, graph->indptr[t + 1] - first, x);
    return place < 0 ? -1 : first + place;
}

static inline double ge_weight(const ge_graph *graph, int64_t arc)
{
    return graph->weights != NULL ? (double)graph->weights[arc] : 1.0;
}

/* ------------------------------------------------------------------------------------------------
 * First order
 * --------------------------------------------------------------------------------------------- */

/* Walkers that take every step together. */
typedef struct {
    uint64_t counter[GE_GROUP]; /* the next draw is mix64(counter + golden) */
    int64_t arc[GE_GROUP];
    int64_t first[GE_GROUP];
    int64_t degree[GE_GROUP];
    uint32_t position[GE_GROUP]; /* within the alias cell */
    int32_t node[GE_GROUP];
    int32_t *walk[GE_GROUP];
    int n;
} ge_group;

/* Put rows first..first + n on their nodes; those that have ended are left out. */
static inline void ge_group_start(
    ge_group *group, const ge_graph *graph, const ge_rows *rows, int64_t first, int64_t n)
{
    int64_t i;
    group->n = 0;
    for (i = first; i < first + n; i++) {
        int32_t *walk = rows->walks + i * rows->length;
        const int k = group->n;
        if (rows->first_step == 0)
            walk[0] = rows->starts[i];
        else if (walk[rows->first_step - 1] < 0) {
            ge_end_walk(walk, rows->first_step, rows->last_step);
            continue;
        }
        group->node[k] = rows->first_step == 0 ? walk[0] : walk[rows->first_step - 1];
        group->walk[k] = walk;
        group->counter[k] = ge_stream(rows->seed, (uint64_t)rows->walk_ids[i])
            + (uint64_t)(rows->first_step > 1 ? rows->first_step : 1) * GE_GOLDEN;
        GE_PREFETCH(&graph->indptr[group->node[k]]);
        group->n++;
    }
}

/* Walker k stands at a dead end: the last walker takes its place. */
static inline void ge_group_leave(ge_group *group, int k, int64_t step, int64_t last_step)
{
    const int last = --group->n;
    ge_end_walk(group->walk[k], step, last_step);
    group->node[k] = group->node[last];
    group->walk[k] = group->walk[last];
    group->counter[k] = group->counter[last];
    group->arc[k] = group->arc[last];
}

static inline void ge_first_order_group(
    const ge_graph *graph, const ge_rows *rows, int64_t begin, int64_t n, const int weighted)
{
    ge_group group;
    int64_t step;
    int k;
    ge_group_start(&group, graph, rows, begin, n);
    for (step = rows->first_step > 1 ? rows->first_step : 1; step < rows->last_step; step++) {
        const int64_t *indptr = ge_indptr_at(graph, step), *next = ge_indptr_at(graph, step + 1);
        for (k = 0; k < group.n; k++) {
            const int64_t first = indptr[group.node[k]];
            const int64_t degree = indptr[group.node[k] + 1] - first;
            uint64_t low;
            if (degree == 0) {
                ge_group_leave(&group, k--, step, rows->last_step);
                continue;
            }
            group.counter[k] += GE_GOLDEN;
            group.arc[k] = first
                + (int64_t)ge_multiply_high(ge_mix64(group.counter[k]), (uint64_t)degree, &low);
            if (weighted) {
                group.first[k] = first;
                group.position[k] = (uint32_t)(low >> 32);
                GE_PREFETCH(&graph->cells[group.arc[k]]);
            }
            GE_PREFETCH(&graph->indices[group.arc[k]]);
        }
        for (k = 0; weighted && k < group.n; k++) {
            const uint64_t cell = graph->cells[group.arc[k]];
            const int64_t other = group.first[k] + (int64_t)(cell >> 32);
            group.arc[k] = group.position[k] < (uint32_t)cell ? group.arc[k] : other;
            GE_PREFETCH(&graph->indices[group.arc[k]]);
        }
        for (k = 0; k < group.n; k++) {
            const int32_t x = graph->indices[group.arc[k]];
            group.walk[k][step] = x;
            group.node[k] = x;
            GE_PREFETCH(&next[x]);
            GE_PREFETCH(&next[x + 1]);
        }
    }
}

static inline void ge_first_order_rows(const ge_graph *graph, const ge_rows *rows)
{
    int64_t i;
    for (i = rows->first; i < rows->last; i += GE_GROUP) {
        const int64_t n = i + GE_GROUP < rows->last ? GE_GROUP : rows->last - i;
        if (graph->cells != NULL)
            ge_first_order_group(graph, rows, i, n, 1);
        else
            ge_first_order_group(graph, rows, i, n, 0);
    }
}

/* ------------------------------------------------------------------------------------------------
 * Second order by alias tables, one for every arc
 * --------------------------------------------------------------------------------------------- */

/* offsets[a] .. offsets[a + 1] are the cells of the step after arc a. */
static inline void ge_alias_group(const ge_graph *graph, const int64_t *offsets,
    const uint64_t *cells, const ge_rows *rows, int64_t begin, int64_t n)
{
    ge_group group;
    int64_t step;
    int k;
    ge_group_start(&group, graph, rows, begin, n);
    for (step = rows->first_step > 1 ? rows->first_step : 1; step < rows->last_step; step++) {
        for (k = 0; k < group.n; k++) {
            const int32_t v = group.node[k];
            const int64_t first = graph->indptr[v], degree = graph->indptr[v + 1] - first;
            uint64_t low;
            if (degree == 0) {
                ge_group_leave(&group, k--, step, rows->last_step);
                continue;
            }
            if (step == rows->first_step && step > 1) /* resumed */
                group.arc[k] = ge_find_arc(graph, group.walk[k][step - 2], v);
            group.counter[k] += GE_GOLDEN;
            group.first[k] = first;
            group.degree[k] = (int64_t)ge_multiply_high(
                ge_mix64(group.counter[k]), (uint64_t)degree, &low); /* own outcome */
            group.position[k] = (uint32_t)(low >> 32);
            if (step > 1)
                GE_PREFETCH(&cells[offsets[group.arc[k]] + group.degree[k]]);
            else if (graph->cells != NULL)
                GE_PREFETCH(&graph->cells[first + group.degree[k]]);
        }
        for (k = 0; k < group.n; k++) {
            int64_t own = group.degree[k];
            if (step > 1 || graph->cells != NULL) {
                const uint64_t cell = step > 1 ? cells[offsets[group.arc[k]] + own]
                                               : graph->cells[group.first[k] + own];
                own = group.position[k] < (uint32_t)cell ? own : (int64_t)(cell >> 32);
            }
            group.arc[k] = group.first[k] + own;
            GE_PREFETCH(&graph->indices[group.arc[k]]);
            GE_PREFETCH(&offsets[group.arc[k]]);
        }
        for (k = 0; k < group.n; k++) {
            const int32_t x = graph->indices[group.arc[k]];
            group.walk[k][step] = x;
            group.node[k] = x;
            GE_PREFETCH(&graph->indptr[x]);
            GE_PREFETCH(&graph->indptr[x + 1]);
        }
    }
}

static inline void ge_alias_rows(const ge_graph *graph, const int64_t *offsets,
    const uint64_t *cells, const ge_rows *rows)
{
    int64_t i;
    for (i = rows->first; i < rows->last; i += GE_GROUP) {
        const int64_t n = i + GE_GROUP < rows->last ? GE_GROUP : rows->last - i;
        ge_alias_group(graph, offsets, cells, rows, i, n);
    }
}

#endif
