/* Selecting and sorting 64-bit entries; those of a list are all different. */
#ifndef GRAPHEMBED_SELECT_H
#define GRAPHEMBED_SELECT_H

#include <stdint.h>
#include "_rng.h"

/* Put the k smallest of n different entries first, in any order. Pivots are drawn by hashing, so
 * no order of scores takes more than linear time. */
static void ge_select(uint64_t *entries, int64_t n, int64_t k)
{
    int64_t low = 0, high = n - 1;
    while (low < high) {
        const uint64_t pivot
            = entries[low + (int64_t)ge_bounded(ge_draw((uint64_t)low, (uint64_t)high),
                                                (uint64_t)(high - low + 1))];
        int64_t i = low, j = high;
        while (i <= j) {
            while (entries[i] < pivot)
                i++;
            while (entries[j] > pivot)
                j--;
            if (i <= j) {
                const uint64_t other = entries[i];
                entries[i++] = entries[j];
                entries[j--] = other;
            }
        }
        if (k - 1 <= j)
            high = j;
        else if (k - 1 >= i)
            low = i;
        else
            return;
    }
}

static inline void ge_sink(uint64_t *heap, int64_t n, int64_t i)
{
    const uint64_t entry = heap[i];
    int64_t child;
    while ((child = 2 * i + 1) < n) {
        child += child + 1 < n && heap[child + 1] > heap[child];
        if (heap[child] <= entry)
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = entry;
}

static void ge_sort(uint64_t *entries, int64_t n)
{
    for (int64_t i = n / 2 - 1; i >= 0; i--)
        ge_sink(entries, n, i);
    for (int64_t last = n - 1; last > 0; last--) {
        const uint64_t worst = entries[0];
        entries[0] = entries[last];
        entries[last] = worst;
        ge_sink(entries, last, 0);
    }
}

#endif
