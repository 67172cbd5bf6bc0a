/* Which bucket of the grid a thread trains next.
 *
 * Bucket (row, diagonal) follows (row, diagonal - 1), which had the same centres, and
 * (row + 1, diagonal - 1), which had the same contexts. Nothing else orders the buckets: no thread
 * waits at the end of a diagonal, and the result is the same whoever trains them, and when.
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
} ge_schedule;

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
static inline int32_t ge_try_begin(const ge_schedule *grid, int32_t n_buckets)
{
    int32_t best = -1;
    ge_acquire(grid->lock);
    if (*grid->begun == n_buckets)
        best = -2;
    for (int32_t row = 0; best != -2 && row < grid->n_parts; row++) {
        const int32_t diagonal = grid->next[row], above = (row + 1) % grid->n_parts;
        if (!grid->busy[row] && diagonal < grid->last && grid->next[above] >= diagonal &&
            (best == -1 || diagonal < grid->next[best]))
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
static inline int32_t ge_begin_bucket(const ge_schedule *grid, int32_t n_buckets)
{
    int32_t row;
    while ((row = ge_try_begin(grid, n_buckets)) == -1)
        ge_give_way();
    return row < 0 ? -1 : row;
}

static inline void ge_end_bucket(const ge_schedule *grid, int32_t row)
{
    ge_acquire(grid->lock);
    grid->busy[row] = 0;
    grid->next[row]++;
    ge_release(grid->lock);
}

#endif
