/* Arcs on their way to CSR, as keys: source << bits | target, and their float64 weights.

   A key is wide, 8 bytes, or narrow, its lower 4 bytes: these tell the sources of a bucket apart where
   it has at most 2^(32 - bits) of them. Both kinds share the code below; `wide` is a constant in it. */
#ifndef GE_CSR_H
#define GE_CSR_H

#include <stdint.h>
#include <string.h>

#if defined(_MSC_VER)
#include <intrin.h>
#endif

enum { GE_DIGIT = 12, GE_MAX_PASSES = 3 };  /* targets have at most 31 bits */

static inline uint64_t ge_key(const void *keys, int64_t i, int wide) {
    return wide ? ((const uint64_t *)keys)[i] : ((const uint32_t *)keys)[i];
}

static inline void ge_put(void *keys, int64_t i, uint64_t key, int wide) {
    if (wide)
        ((uint64_t *)keys)[i] = key;
    else
        ((uint32_t *)keys)[i] = (uint32_t)key;
}

/* A key counted from the first source of its bucket. */
static inline uint64_t ge_within(uint64_t key, int64_t first, int bits, int wide) {
    key -= (uint64_t)first << bits;
    return wide ? key : (uint32_t)key;
}

/* Take one of the pieces of scratch memory; there are as many as threads. */
static inline int64_t ge_claim(int32_t *taken) {
    int64_t slot = 0;
#if defined(_MSC_VER)
    while (_InterlockedExchange((volatile long *)taken + slot, 1))
#else
    while (__atomic_exchange_n(taken + slot, 1, __ATOMIC_ACQUIRE))
#endif
        slot++;
    return slot;
}

static inline void ge_give_back(int32_t *taken, int64_t slot) {
#if defined(_MSC_VER)
    _InterlockedExchange((volatile long *)taken + slot, 0);
#else
    __atomic_store_n(taken + slot, 0, __ATOMIC_RELEASE);
#endif
}

/* Count the arcs of edges first .. last - 1 by the group of their source. */
static inline void ge_count(const int32_t *source, const int32_t *target, const double *weights,
                            int64_t first, int64_t last, int mirror, int shift, int32_t *counts) {
    int64_t i;
    for (i = first; i < last; i++) {
        if (weights && weights[i] == 0)
            continue;
        counts[source[i] >> shift]++;
        if (mirror)
            counts[target[i] >> shift] += source[i] != target[i];
    }
}

/* Write the arcs of edges first .. last - 1 into the buckets of their sources. */
static inline void ge_deal(const int32_t *source, const int32_t *target, const double *weights,
                           int64_t first, int64_t last, int mirror, int shift,
                           const int32_t *bucket, int bits, int64_t *places, void *keys,
                           double *values, int wide) {
    int64_t i, place;
    for (i = first; i < last; i++) {
        const uint64_t u = (uint64_t)source[i], v = (uint64_t)target[i];
        if (weights && weights[i] == 0)
            continue;
        place = places[bucket[u >> shift]]++;
        ge_put(keys, place, u << bits | v, wide);
        if (weights)
            values[place] = weights[i];
        if (mirror && u != v) {
            place = places[bucket[v >> shift]]++;
            ge_put(keys, place, v << bits | u, wide);
            if (weights)
                values[place] = weights[i];
        }
    }
}

/* Sort by target, stably, by counting digits from the lowest on. The target of an item begins at bit
   `low`. The first pass reads keys: it copies them, or with `low` it makes items, the number of the
   key in the low half, and above it a narrow key, or the target of a wide one. Returns the sorted
   items, in one of the two scratch arrays. */
static inline void *ge_sort(const void *keys, int64_t n, int bits, int wide, int low,
                            uint32_t (*places)[1 << GE_DIGIT], int width, int n_passes,
                            void *scratch, void *other) {
    const uint64_t targets = ((uint64_t)1 << bits) - 1;
    const int big = wide || low;
    uint32_t before, count;
    uint64_t item;
    void *from = scratch, *to = other;
    int64_t i;
    int pass;
    for (pass = 0; pass < n_passes; pass++) {
        uint32_t *const place = places[pass];
        const int shift = low + pass * width;
        const uint64_t mask = (targets >> pass * width) & (((uint64_t)1 << width) - 1);
        for (i = 0, before = 0; i <= (int64_t)mask; i++) {
            count = place[i];
            place[i] = before;
            before += count;
        }
        if (pass == 0) {
            for (i = 0; i < n; i++) {
                item = ge_key(keys, i, wide);
                if (low)
                    item = (wide ? item & targets : item) << 32 | (uint64_t)i;
                ge_put(to, place[item >> shift & mask]++, item, big);
            }
            from = to;
            to = scratch;
        } else {
            for (i = 0; i < n; i++) {
                item = ge_key(from, i, big);
                ge_put(to, place[item >> shift & mask]++, item, big);
            }
            scratch = from;
            from = to;
            to = scratch;
        }
    }
    return from;
}

/* Bring the arcs of a bucket into the order of (source, target); parallel ones keep theirs. The
   bucket has n < 2^32 arcs from `arc` on; its nodes are first .. last - 1. keys, targets and weights
   (or NULL) are those of the bucket; narrow keys may lie where the targets go. ends[u]: where row u
   ends. scratch: 2 n keys, or with weights 3 n words. */
static inline void ge_sort_bucket(const void *keys, double *weights, int64_t n, int64_t arc,
                                  int64_t first, int64_t last, int bits, int wide, int64_t *ends,
                                  int32_t *targets, uint64_t *scratch) {
    uint32_t places[GE_MAX_PASSES][1 << GE_DIGIT];
    const int n_passes = (bits + GE_DIGIT - 1) / GE_DIGIT, width = (bits + n_passes - 1) / n_passes;
    const int low = weights ? 32 : 0;
    const uint64_t mask = ((uint64_t)1 << bits) - 1, digit = ((uint64_t)1 << width) - 1;
    double *const values = (double *)(scratch + 2 * n);
    uint64_t key, previous = 0, falls = 0;
    int64_t *const rows = ends + first;
    int64_t i, place, row, before = arc;
    const void *items;
    memset(rows, 0, (size_t)(last - first) * sizeof *rows);
    memset(places, 0, (size_t)n_passes * sizeof *places);
    for (i = 0; i < n; i++) {
        key = ge_within(ge_key(keys, i, wide), first, bits, wide);
        falls |= key < previous;
        previous = key;
        rows[key >> bits]++;
        places[0][key & digit]++;
        if (n_passes > 1)
            places[1][(key & mask) >> width & digit]++;
        if (n_passes > 2)
            places[2][(key & mask) >> 2 * width]++;
    }
    for (row = 0; row < last - first; row++) {
        place = rows[row];
        rows[row] = before;
        before += place;
    }
    if (!falls) {
        for (i = 0; i < n; i++) {
            key = ge_within(ge_key(keys, i, wide), first, bits, wide);
            rows[key >> bits]++;
            targets[i] = (int32_t)(key & mask);
        }
        return;
    }
    items = ge_sort(keys, n, bits, wide, low, places, width, n_passes, scratch,
                    wide || low ? (void *)(scratch + n) : (void *)((uint32_t *)scratch + n));
    if (!weights) {
        for (i = 0; i < n; i++) {
            key = ge_within(ge_key(items, i, wide), first, bits, wide);
            targets[rows[key >> bits]++ - arc] = (int32_t)(key & mask);
        }
        return;
    }
    for (i = 0; i < n; i++) {
        const uint64_t item = ((const uint64_t *)items)[i];
        const uint32_t number = (uint32_t)item;
        key = ge_within(wide ? ge_key(keys, number, 1) : item >> 32, first, bits, wide);
        place = rows[key >> bits]++ - arc;
        targets[place] = (int32_t)(key & mask);
        values[place] = weights[number];
    }
    memcpy(weights, values, (size_t)n * sizeof *weights);
}

/* Number of different arcs in sorted rows; ends: where n_rows rows end, the first of them begins at
   `arc`. *unlike: whether parallel arcs have a sum other than 1, *bad: the first arc of a sum outside
   low .. high, or -1. Sums are made in the order of the arcs. */
static inline int64_t ge_look_at_sums(const int32_t *targets, const double *weights, int64_t n,
                                      int64_t arc, const int64_t *ends, int64_t n_rows, double low,
                                      double high, int8_t *unlike, int64_t *bad) {
    int64_t i, row, run, begin, end, distinct = n;
    double total;
    int other = 0;
    *bad = -1;
    if (!weights) {
        for (i = 1; i < n; i++)
            distinct -= targets[i] == targets[i - 1];
        for (row = 0, begin = 0; row < n_rows; row++, begin = end) {  /* a row may begin alike */
            end = ends[row] - arc;
            distinct += begin > 0 && begin < end && targets[begin] == targets[begin - 1];
        }
        *unlike = distinct < n;
        return distinct;
    }
    for (row = 0, i = 0; row < n_rows; row++)
        for (end = ends[row] - arc; i < end;) {
            run = i;
            total = weights[i];
            for (i++; i < end && targets[i] == targets[run]; i++, distinct--)
                total += weights[i];
            other |= total != 1.0;
            if (!(low <= total && total <= high) && *bad < 0)
                *bad = arc + run;
        }
    *unlike = (int8_t)other;
    return distinct;
}

/* Write rows with parallel arcs as one; the rows are in targets and weights (or NULL) from `begin` on
   and go to indices, perhaps the same array, and sums (or NULL) from `arc` on. */
static inline void ge_merge_rows(const int32_t *targets, const double *weights, int64_t begin,
                                 int64_t arc, int64_t *ends, int64_t n_rows, int32_t *indices,
                                 float *sums) {
    int64_t i, row, end;
    int32_t previous;
    double total;
    for (row = 0; row < n_rows; row++, begin = end) {
        end = ends[row];
        for (i = begin, previous = -1, total = 0.0; i < end; i++) {
            const int is_new = targets[i] != previous;
            previous = targets[i];
            arc += is_new;
            indices[arc - 1] = previous;
            if (sums) {
                total = (is_new ? 0.0 : total) + (weights ? weights[i] : 1.0);
                sums[arc - 1] = (float)total;
            }
        }
        ends[row] = arc;
    }
}

#endif
