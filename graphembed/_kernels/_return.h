/* Second-order walks whose memory is the return arc alone: from t over v the weight of v -> t is
 * multiplied by a ratio, all others are left as they are.
 *
 * That is node2vec's law (Grover and Leskovec 2016, eq. 2) for q = 1, with the ratio 1/p, and on a
 * bipartite graph, where no neighbour of v is one of t, with the ratio q/p. Whether two nodes are
 * adjacent is never asked, so the walkers step together as first-order walkers do.
 */
#ifndef GRAPHEMBED_RETURN_H
#define GRAPHEMBED_RETURN_H

#include "_walks.h"

/* Refused draws of a step before all arcs are visited: about as many as cost as much. */
#define GE_REFUSALS(degree) (2 + (degree) / 2)

/* An arc by the exact law, every arc visited. */
static inline int64_t ge_scan_return(const ge_graph *graph, double ratio, int64_t first,
    int64_t degree, int32_t tail, double unit)
{
    double total = 0.0;
    int64_t arc, last = first;
    int pass;
    for (pass = 0; pass < 2; pass++) {
        const double point = unit * total;
        double sum = 0.0;
        for (arc = first; arc < first + degree; arc++) {
            const double mass
                = ge_weight(graph, arc) * (graph->indices[arc] == tail ? ratio : 1.0);
            sum += mass;
            if (pass == 1 && point < sum)
                return arc;
            if (mass > 0.0)
                last = arc;
        }
        total = sum;
    }
    return last;
}

/* The first draw gave the return arc, of which only the share `ratio` < 1 is taken: accept it or
 * draw again. Each trial is independent, so the law stays exact when all arcs are visited instead. */
static inline int64_t ge_settle_return(const ge_graph *graph, double ratio, uint64_t step_key,
    int64_t first, int64_t degree, int32_t tail, int64_t arc)
{
    uint64_t counter = 2;
    int64_t trial;
    for (trial = 0; trial < GE_REFUSALS(degree); trial++, counter += 2) {
        uint64_t r, low;
        if (graph->indices[arc] != tail
            || ge_unit(ge_draw(step_key, counter)) < ratio)
            return arc;
        r = ge_draw(step_key, counter + 1);
        arc = first + (int64_t)(graph->cells != NULL
            ? ge_alias_draw(graph->cells + first, (uint64_t)degree, r)
            : ge_multiply_high(r, (uint64_t)degree, &low));
    }
    return ge_scan_return(graph, ratio, first, degree, tail, ge_unit(ge_draw(step_key, counter)));
}

/* The group's first nodes as if they had been come to: from nowhere, or resumed. */
static inline void ge_return_tails(const ge_graph *graph, const ge_rows *rows,
    const ge_group *group, int32_t *tails, double *weights)
{
    int k;
    for (k = 0; k < group->n; k++) {
        tails[k] = -1;
        weights[k] = 0.0;
        if (rows->first_step > 1) {
            tails[k] = group->walk[k][rows->first_step - 2];
            weights[k] = graph->weights == NULL ? 1.0
                : ge_weight(graph, ge_find_arc(graph, tails[k], group->node[k]));
        }
    }
}

/* With a ratio above 1 the surplus of the return arc is a lot of its own; with a ratio below 1 the
 * return arc is drawn like the others and may be refused. */
static inline void ge_return_group(const ge_graph *graph, double ratio, const ge_rows *rows,
    int64_t begin, int64_t n, const int weighted)
{
    const double surplus = ratio > 1.0 ? ratio - 1.0 : 0.0;
    ge_group group;
    double weights[GE_GROUP]; /* of the arc tail -> node */
    int32_t tails[GE_GROUP];
    uint8_t back[GE_GROUP];
    int64_t step;
    int k;
    ge_group_start(&group, graph, rows, begin, n);
    ge_return_tails(graph, rows, &group, tails, weights);
    for (step = rows->first_step > 1 ? rows->first_step : 1; step < rows->last_step; step++) {
        for (k = 0; k < group.n; k++) {
            const int64_t first = graph->indptr[group.node[k]];
            const int64_t degree = graph->indptr[group.node[k] + 1] - first;
            uint64_t key, low;
            if (degree == 0) {
                ge_group_leave(&group, k, step, rows->last_step);
                tails[k] = tails[group.n];
                weights[k] = weights[group.n];
                k--;
                continue;
            }
            group.counter[k] += GE_GOLDEN;
            key = ge_mix64(group.counter[k]);
            back[k] = 0;
            if (surplus > 0.0) {
                const double lot = surplus * weights[k];
                const double all = weighted ? graph->strengths[group.node[k]] : (double)degree;
                back[k] = ge_unit(ge_draw(key, 0)) * (lot + all) < lot;
            }
            group.first[k] = first;
            group.degree[k] = degree;
            group.arc[k] = first
                + (int64_t)ge_multiply_high(ge_draw(key, 1), (uint64_t)degree, &low);
            if (weighted) {
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
            GE_PREFETCH(&graph->weights[group.arc[k]]);
        }
        for (k = 0; k < group.n; k++) {
            const int32_t t = tails[k];
            int32_t x = back[k] ? t : graph->indices[group.arc[k]];
            if (ratio < 1.0 && x == t && group.degree[k] > 1) {
                group.arc[k] = ge_settle_return(graph, ratio, ge_mix64(group.counter[k]),
                    group.first[k], group.degree[k], t, group.arc[k]);
                x = graph->indices[group.arc[k]];
            }
            if (!weighted)
                weights[k] = 1.0;
            else if (x != t) /* both arcs of an edge have one weight */
                weights[k] = graph->weights[group.arc[k]];
            group.walk[k][step] = x;
            tails[k] = group.node[k];
            group.node[k] = x;
            GE_PREFETCH(&graph->indptr[x]);
            GE_PREFETCH(&graph->indptr[x + 1]);
            if (weighted)
                GE_PREFETCH(&graph->strengths[x]);
        }
    }
}

static inline void ge_return_rows(const ge_graph *graph, double ratio, const ge_rows *rows)
{
    int64_t i;
    for (i = rows->first; i < rows->last; i += GE_GROUP) {
        const int64_t n = i + GE_GROUP < rows->last ? GE_GROUP : rows->last - i;
        if (graph->cells != NULL)
            ge_return_group(graph, ratio, rows, i, n, 1);
        else
            ge_return_group(graph, ratio, rows, i, n, 0);
    }
}

#endif
