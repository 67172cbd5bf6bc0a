/* Second-order walks by rejection, and by enumeration of the law where that is refused too often.
 *
 * Walkers of a group need different numbers of trials, so they do not step together: in each round
 * every walker does one trial, and those that have moved enter their next node.
 */
#ifndef GRAPHEMBED_REJECTION_H
#define GRAPHEMBED_REJECTION_H

#include "_walks.h"

/* Grover and Leskovec 2016, eq. 2: from t over v to x the weight of v -> x is multiplied by 1/p if
 * x is t, by 1 if the arc t -> x exists, by 1/q otherwise. */
typedef struct {
    double return_factor;  /* 1 / p */
    double outward_factor; /* 1 / q */
    double envelope;       /* upper bound of the factors of all x other than t */
    double lower;          /* lower bound of the same */
} ge_law;

static inline ge_law ge_make_law(double p, double q)
{
    ge_law law;
    law.return_factor = 1.0 / p;
    law.outward_factor = 1.0 / q;
    law.envelope = law.outward_factor > 1.0 ? law.outward_factor : 1.0;
    law.lower = law.outward_factor < 1.0 ? law.outward_factor : 1.0;
    return law;
}

/* The filter of a row of n arcs is n bytes: each head sets two bits of one byte. Both bits set: the
 * arc may exist (one wrong answer in about fifteen); else it does not. One cache line answers, and
 * for a walker that tries several heads it is mostly the same one. */
static inline int64_t ge_filter_byte(int32_t x, int64_t n, uint8_t *bits)
{
    const uint64_t hash = (uint64_t)(uint32_t)x * GE_GOLDEN;
    uint64_t low;
    *bits = (uint8_t)(1u << ((hash >> 23) & 7) | 1u << ((hash >> 29) & 7));
    return (int64_t)ge_multiply_high(hash, (uint64_t)n, &low);
}

static inline void ge_filter_row(const int32_t *row, int64_t n, uint8_t *filter)
{
    int64_t i;
    uint8_t bits;
    for (i = 0; i < n; i++)
        filter[i] = 0;
    for (i = 0; i < n; i++) {
        const int64_t place = ge_filter_byte(row[i], n, &bits);
        filter[place] |= bits;
    }
}

/* 0 if x is surely not in the row of `degree` arcs that begins at `first`. */
static inline int ge_maybe(const ge_graph *graph, int64_t first, int64_t degree, int32_t x)
{
    uint8_t bits;
    const int64_t place = ge_filter_byte(x, degree, &bits);
    return graph->filter == NULL || (graph->filter[first + place] & bits) == bits;
}

/* The place of x in that row, or -1. */
static inline int64_t ge_place(const ge_graph *graph, int64_t first, int64_t degree, int32_t x)
{
    if (degree == 0 || !ge_maybe(graph, first, degree, x))
        return -1;
    return ge_find(graph->indices + first, degree, x);
}

static inline double ge_factor(
    const ge_graph *graph, const ge_law *law, int64_t first, int64_t degree, int32_t t, int32_t x)
{
    if (x == t)
        return law->return_factor;
    return ge_place(graph, first, degree, x) >= 0 ? 1.0 : law->outward_factor;
}

typedef struct {
    uint64_t key;          /* of the walk */
    uint64_t step_key;     /* of the step */
    int64_t first, degree; /* the row of node */
    int64_t tail_first, tail_degree; /* the row of tail */
    int64_t arc;           /* proposed */
    double strength;       /* of node */
    double excess;         /* mass of the return arc above the envelope */
    double height;         /* of the trial: accepted if below the factor */
    double weight;         /* of the arc tail -> node */
    int32_t *walk;
    int64_t step;          /* that is being drawn */
    int64_t trial;
    uint32_t position;     /* within the alias cell */
    int32_t tail;          /* t, or -1 at the first step */
    int32_t node;          /* v */
    int32_t next;          /* x */
} ge_walker;

/* Trials of a step before its law is enumerated: about as many as cost as much. */
static inline int64_t ge_trials(const ge_law *law, int64_t tail_degree, int64_t degree)
{
    const int64_t shorter = tail_degree < degree ? tail_degree : degree;
    return 2 + (law->outward_factor < 1.0 ? shorter : degree) / 2;
}

/* One of a list of arcs, in proportion to their masses, in one pass: each takes the place of the
 * one chosen before with the share of its mass in the sum so far (Chao 1982). */
typedef struct {
    uint64_t key, counter;
    double total;
    int64_t chosen;
} ge_choice;

static inline void ge_choose(ge_choice *choice, double mass, int64_t arc)
{
    choice->total += mass;
    if (ge_unit(ge_draw(choice->key, choice->counter)) * choice->total < mass)
        choice->chosen = arc;
    choice->counter += mass > 0.0; /* an arc without mass leaves no trace */
}

/* An arc of node by the exact law, every arc visited: O(degree). */
static inline int64_t ge_scan_arc(
    const ge_graph *graph, const ge_law *law, const ge_walker *w, ge_choice choice)
{
    int64_t arc;
    for (arc = w->first; arc < w->first + w->degree; arc++)
        ge_choose(&choice, ge_weight(graph, arc)
            * ge_factor(graph, law, w->tail_first, w->tail_degree, w->tail, graph->indices[arc]),
            arc);
    return choice.chosen;
}

/* An arc of node to x other than tail, in proportion to the weights, where tail has at most half of
 * the weight: two proposals on average. */
static inline int64_t ge_other_arc(const ge_graph *graph, const ge_walker *w, ge_choice choice)
{
    for (;;) {
        const uint64_t r = ge_draw(choice.key, choice.counter++);
        uint64_t low;
        const int64_t arc = w->first + (int64_t)(graph->cells != NULL
            ? ge_alias_draw(graph->cells + w->first, (uint64_t)w->degree, r)
            : ge_multiply_high(r, (uint64_t)w->degree, &low));
        if (graph->indices[arc] != w->tail)
            return arc;
    }
}

/* An arc of node by the exact law for q > 1, by enumeration of the common neighbours: O(shorter
 * row). The law is a sum of lots: the return arc; what the common neighbours have more than others,
 * 1 - 1/q; and 1/q of all arcs but the return arc. */
static inline int64_t ge_lots_arc(
    const ge_graph *graph, const ge_law *law, const ge_walker *w, ge_choice choice)
{
    const double above = 1.0 - law->outward_factor;
    const int by_tail = w->tail_degree < w->degree;
    const int64_t first = by_tail ? w->tail_first : w->first; /* the shorter row */
    const int64_t degree = by_tail ? w->tail_degree : w->degree;
    const int64_t longer_first = by_tail ? w->first : w->tail_first;
    const int64_t longer_degree = by_tail ? w->degree : w->tail_degree;
    const int64_t back = ge_place(graph, w->first, w->degree, w->tail);
    const double weight = back >= 0 ? ge_weight(graph, w->first + back) : 0.0;
    const double others = law->outward_factor * (w->strength - weight);
    int64_t found[64];
    double point;
    int64_t i, end = first;
    int k, n;
    if (2.0 * weight > w->strength) /* the difference would lose the light arcs */
        return ge_scan_arc(graph, law, w, choice);
    while (end < first + degree) { /* 64 at a time, so that no branch depends on the filter */
        i = end;
        end = first + degree - i > 64 ? i + 64 : first + degree;
        for (n = 0; i < end; i++) {
            const int32_t x = graph->indices[i];
            found[n] = i;
            n += (x != w->tail) & ge_maybe(graph, longer_first, longer_degree, x);
        }
        for (k = 0; k < n; k++) {
            const int64_t place
                = ge_find(graph->indices + longer_first, longer_degree, graph->indices[found[k]]);
            const int64_t arc = by_tail && place >= 0 ? w->first + place : found[k];
            ge_choose(&choice, place >= 0 ? above * ge_weight(graph, arc) : 0.0, arc);
        }
    }
    point = ge_unit(ge_draw(choice.key, choice.counter++))
        * (choice.total + others + law->return_factor * weight);
    if (point < choice.total)
        return choice.chosen;
    if (point < choice.total + others)
        return ge_other_arc(graph, w, choice);
    return back >= 0 ? w->first + back : ge_other_arc(graph, w, choice);
}

static inline int64_t ge_enumerated_arc(
    const ge_graph *graph, const ge_law *law, const ge_walker *w)
{
    ge_choice choice;
    choice.key = w->step_key;
    choice.counter = 2 * (uint64_t)w->trial;
    choice.total = 0.0;
    choice.chosen = w->first + w->degree - 1;
    return law->outward_factor < 1.0 ? ge_lots_arc(graph, law, w, choice)
                                     : ge_scan_arc(graph, law, w, choice);
}

/* Start the next row in this place; 0 if there is none left. */
static inline int ge_walker_start(
    ge_walker *w, const ge_graph *graph, const ge_rows *rows, int64_t *next_row)
{
    while (*next_row < rows->last) {
        const int64_t i = (*next_row)++, step = rows->first_step;
        w->walk = rows->walks + i * rows->length;
        if (step == 0)
            w->walk[0] = rows->starts[i];
        else if (w->walk[step - 1] < 0) {
            ge_end_walk(w->walk, step, rows->last_step);
            continue;
        }
        w->step = step > 1 ? step : 1;
        w->node = w->walk[w->step - 1];
        w->tail = -1;
        w->tail_first = w->tail_degree = 0;
        w->weight = 1.0;
        if (step > 1) { /* resumed */
            w->tail = w->walk[step - 2];
            w->tail_first = graph->indptr[w->tail];
            w->tail_degree = ge_degree(graph, w->tail);
            w->weight = ge_weight(graph, ge_find_arc(graph, w->tail, w->node));
        }
        w->key = ge_stream(rows->seed, (uint64_t)rows->walk_ids[i]);
        GE_PREFETCH(&graph->indptr[w->node]);
        GE_PREFETCH(&graph->indptr[w->node + 1]);
        if (graph->strengths != NULL)
            GE_PREFETCH(&graph->strengths[w->node]);
        return 1;
    }
    return 0;
}

/* The walker has come to a node: prepare the trials of its next step. 0 if the walk has ended. */
static inline int ge_walker_enter(
    ge_walker *w, const ge_graph *graph, const ge_law *law, const ge_rows *rows)
{
    w->first = graph->indptr[w->node];
    w->degree = graph->indptr[w->node + 1] - w->first;
    if (w->step >= rows->last_step || w->degree == 0) {
        ge_end_walk(w->walk, w->step, rows->last_step);
        return 0;
    }
    w->step_key = ge_draw(w->key, (uint64_t)w->step);
    w->trial = 0;
    w->strength = graph->strengths != NULL ? graph->strengths[w->node] : (double)w->degree;
    w->excess = 0.0;
    if (law->return_factor > law->envelope && w->tail >= 0) {
        if (graph->directed) {
            const int64_t place = ge_place(graph, w->first, w->degree, w->tail);
            if (place >= 0)
                w->excess = (law->return_factor - law->envelope)
                    * ge_weight(graph, w->first + place);
        }
        else /* both arcs exist and have one weight */
            w->excess = (law->return_factor - law->envelope) * w->weight;
    }
    return 1;
}

/* Draw a point of a trial and the arc it proposes. 1: the point lies in the excess of the return
 * arc. An arc that needs no trial gets a height below all factors.
 *
 * The part of the return arc's mass above the envelope is a lot of its own, so a small p does not
 * raise the envelope (Yang et al. 2019, KnightKing, section 4). One trial draws a point on
 * [0, excess + envelope * strength): below excess it is the return arc; otherwise the height
 * (point - excess) / strength is uniform in [0, envelope) and a proposal is accepted if the height
 * is below its factor. After some refusals the law is enumerated instead; each trial is independent,
 * so it stays exact. */
static inline int ge_walker_propose(
    ge_walker *w, const ge_graph *graph, const ge_law *law, const int weighted)
{
    uint64_t r = w->step_key, low;
    w->height = -1.0;
    w->position = 0;
    if (w->degree == 1) {
        w->arc = w->first;
        return 0;
    }
    if (w->tail >= 0) {
        double point;
        if (w->trial == ge_trials(law, w->tail_degree, w->degree)) {
            w->arc = ge_enumerated_arc(graph, law, w);
            return 0;
        }
        point = ge_unit(ge_draw(w->step_key, 2 * (uint64_t)w->trial))
            * (w->excess + law->envelope * w->strength);
        if (point < w->excess) {
            w->next = w->tail;
            return 1;
        }
        w->height = (point - w->excess) / w->strength;
        r = ge_draw(w->step_key, 2 * (uint64_t)w->trial + 1);
        w->trial++;
    }
    w->arc = w->first + (int64_t)ge_multiply_high(r, (uint64_t)w->degree, &low);
    if (weighted)
        w->position = (uint32_t)(low >> 32);
    return 0;
}

static inline void ge_rejection_group(
    const ge_graph *graph, const ge_law *law, const ge_rows *rows, const int weighted)
{
    ge_walker walkers[GE_GROUP];
    /* Places of the walkers that have moved, that try, that have proposed, that ask. */
    uint8_t moved[GE_GROUP], ready[2 * GE_GROUP], proposed[GE_GROUP], asking[GE_GROUP];
    int n_moved = 0, n_ready = 0, k;
    int64_t next_row = rows->first;
    while (n_moved < GE_GROUP && ge_walker_start(&walkers[n_moved], graph, rows, &next_row)) {
        moved[n_moved] = (uint8_t)n_moved;
        n_moved++;
    }
    while (n_moved + n_ready > 0) {
        int n_started = 0, n_proposed = 0, n_asking = 0;
        for (k = 0; k < n_moved; k++) {
            ge_walker *w = &walkers[moved[k]];
            if (ge_walker_enter(w, graph, law, rows))
                ready[n_ready++] = moved[k];
            else if (ge_walker_start(w, graph, rows, &next_row))
                moved[n_started++] = moved[k];
        }
        n_moved = n_started;
        for (k = 0; k < n_ready; k++) {
            ge_walker *w = &walkers[ready[k]];
            if (ge_walker_propose(w, graph, law, weighted)) {
                moved[n_moved++] = ready[k];
                continue;
            }
            proposed[n_proposed++] = ready[k];
            if (weighted) {
                GE_PREFETCH(&graph->cells[w->arc]);
                GE_PREFETCH(&graph->weights[w->arc]);
            }
            GE_PREFETCH(&graph->indices[w->arc]);
        }
        for (k = 0; weighted && k < n_proposed; k++) {
            ge_walker *w = &walkers[proposed[k]];
            if (w->degree > 1 && (w->height >= 0.0 || w->tail < 0)) {
                const uint64_t cell = graph->cells[w->arc];
                const int64_t other = w->first + (int64_t)(cell >> 32);
                w->arc = w->position < (uint32_t)cell ? w->arc : other;
                GE_PREFETCH(&graph->indices[w->arc]);
                GE_PREFETCH(&graph->weights[w->arc]);
            }
        }
        n_ready = 0;
        for (k = 0; k < n_proposed; k++) {
            ge_walker *w = &walkers[proposed[k]];
            const int32_t x = graph->indices[w->arc];
            const int back = x == w->tail;
            const int accept = w->height < (back ? law->return_factor : law->lower);
            const int ask = !accept & !back;
            w->next = x;
            moved[n_moved] = proposed[k];
            n_moved += accept;
            asking[n_asking] = proposed[k];
            n_asking += ask;
            ready[n_ready] = proposed[k];
            n_ready += !accept & !ask;
            if (graph->filter != NULL) {
                uint8_t bits;
                GE_PREFETCH(&graph->filter[w->tail_first
                    + ge_filter_byte(x, w->tail_degree, &bits)]);
            }
        }
        for (k = 0; k < n_asking; k++) {
            ge_walker *w = &walkers[asking[k]];
            const int adjacent = ge_place(graph, w->tail_first, w->tail_degree, w->next) >= 0;
            const int accept = w->height < (adjacent ? 1.0 : law->outward_factor);
            moved[n_moved] = asking[k];
            n_moved += accept;
            ready[n_ready] = asking[k];
            n_ready += !accept;
        }
        for (k = n_started; k < n_moved; k++) {
            ge_walker *w = &walkers[moved[k]];
            if (weighted && w->next != w->tail)
                w->weight = graph->weights[w->arc];
            w->walk[w->step++] = w->next;
            w->tail = w->node;
            w->tail_first = w->first;
            w->tail_degree = w->degree;
            w->node = w->next;
            GE_PREFETCH(&graph->indptr[w->node]);
            GE_PREFETCH(&graph->indptr[w->node + 1]);
            if (weighted)
                GE_PREFETCH(&graph->strengths[w->node]);
        }
    }
}

static inline void ge_rejection_rows(
    const ge_graph *graph, const ge_law *law, const ge_rows *rows)
{
    if (graph->cells != NULL)
        ge_rejection_group(graph, law, rows, 1);
    else
        ge_rejection_group(graph, law, rows, 0);
}

#endif
