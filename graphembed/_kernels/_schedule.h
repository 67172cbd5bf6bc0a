/* Which bucket of the grid a thread trains next.
 *
 * With a table of centres and one of contexts, diagonal d holds the buckets (row, row + d) modulo
 * the number of parts. A bucket follows (row, d - 1), which had the same centres, and
 * (row + 1, d - 1), which had the same contexts.
 *
 * With one table for both, no two buckets that share a part may be trained side by side, whether it
 * has the centres or the contexts. There diagonal d pairs the parts whose sum is d: each meets each
 * once, itself too. The lower of two trains both their buckets, when both have come to d.
 *
 * Nothing else orders the buckets: no thread waits at the end of a diagonal, and the result is the
 * same whoever trains them, and when.
 */
#ifndef GRAPHEMBED_SCHEDULE_H
#define GRAPHEMBED_SCHEDULE_H

#include <stdint.h>
#if defined(_MSC_VER)
#include <intrin.h>
#include <windows.h>
#else
#include <sched.h>
#endif

typedef struct {
    int32_t *lock;    /* 0: open */
    int32_t *begun;   /* buckets begun in all */
    int32_t *next;    /* (n_parts,) the diagonal that a row is at */
    int32_t *busy;    /* (n_parts,) whether a thread is at it */
    int32_t n_parts;
    int32_t last;     /* diagonals next .. last - 1 are to be trained */
    int32_t n_buckets; /* that are to be begun */
    int32_t one_table;
} ge_schedule;

/* The part of the contexts. */
static inline int32_t ge_column(const ge_schedule *grid, int32_t row, int32_t diagonal)
{
    const int32_t n = grid->n_parts;
    return grid->one_table ? (n + diagonal - row) % n : (row + diagonal) % n;
}

/* words: 2 + 2 * n_parts, zero but for words[2:2 + n_parts], which are `first`. */
static inline ge_schedule ge_make_schedule(
    int32_t *words, int32_t n_parts, int32_t first, int32_t last, int32_t one_table)
{
    ge_schedule grid;
    grid.lock = words;
    grid.begun = words + 1;
    grid.next = words + 2;
    grid.busy = words + 2 + n_parts;
    grid.n_parts = n_parts;
    grid.last = last;
    grid.one_table = one_table;
    grid.n_buckets = 0;
    for (int32_t diagonal = first; diagonal < last; diagonal++)
        for (int32_t row = 0; row < n_parts; row++)
            grid.n_buckets += !one_table || row <= ge_column(&grid, row, diagonal);
    return grid;
}

static inline int ge_is_ready(const ge_schedule *grid, int32_t row)
{
    const int32_t diagonal = grid->next[row], column = ge_column(grid, row, diagonal);
    if (grid->busy[row] || diagonal >= grid->last)
        return 0;
    return grid->one_table ? row <= column && grid->next[column] == diagonal
                           : grid->next[(row + 1) % grid->n_parts] >= diagonal;
}

static inline void ge_give_way(void)
{
#if defined(_MSC_VER)
    SwitchToThread();
#else
    sched_yield();
#endif
}

static inline void ge_acquire(int32_t *lock)
{
#if defined(_MSC_VER)
    while (_InterlockedExchange((volatile long *)lock, 1))
#else
    while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE))
#endif
        ge_give_way();
}

static inline void ge_release(int32_t *lock)
{
#if defined(_MSC_VER)
    _InterlockedExchange((volatile long *)lock, 0);
#else
    __atomic_store_n(lock, 0, __ATOMIC_RELEASE);
#endif
}

/* A row whose next bucket may be trained, the one furthest behind; -1: none now; -2: none is left. */
static inline int32_t ge_try_begin(const ge_schedule *grid)
{
    int32_t best = -1;
    ge_acquire(grid->lock);
    if (*grid->begun == grid->n_buckets)
        best = -2;
    for (int32_t row = 0; best != -2 && row < grid->n_parts; row++) {
        if (ge_is_ready(grid, row) && (best == -1 || grid->next[row] < grid->next[best]))
            best = row;
    }
    if (best >= 0) {
        grid->busy[best] = 1;
        ++*grid->begun;
    }
    ge_release(grid->lock);
    return best;
}

/* Wait for a bucket; -1 when all have been begun. */
static inline int32_t ge_begin_bucket(const ge_schedule *grid)
{
    int32_t row;
    while ((row = ge_try_begin(grid)) == -1)
        ge_give_way();
    return row < 0 ? -1 : row;
}

static inline void ge_end_bucket(const ge_schedule *grid, int32_t row)
{
    const int32_t column = ge_column(grid, row, grid->next[row]);
    ge_acquire(grid->lock);
    grid->busy[row] = 0;
    grid->next[row]++;
    if (grid->one_table && column != row)
        grid->next[column]++;
    ge_release(grid->lock);
}

#endif
