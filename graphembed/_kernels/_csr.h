/* Arcs as records: a key (source << bits | target) and, where stride is 2, a float64 weight. */
#ifndef GE_CSR_H
#define GE_CSR_H

#include <stdint.h>
#include <string.h>

enum { GE_DIGIT = 12 };

static inline double ge_weight(const uint64_t *record) {
    double weight;
    memcpy(&weight, record + 1, 8);
    return weight;
}

static inline void ge_put(uint64_t *record, int stride, uint64_t key, double weight) {
    record[0] = key;
    if (stride == 2)
        memcpy(record + 1, &weight, 8);
}

/* Sort n records by their keys less `base`, which have `bits` bits; equal keys keep their order. */
static inline void ge_sort(uint64_t *records, uint64_t *scratch, int64_t n, int stride,
                           uint64_t base, int bits) {
    int64_t i, places[1 << GE_DIGIT];
    uint64_t *from = records, *to = scratch, *other;
    int n_passes = (bits + GE_DIGIT - 1) / GE_DIGIT, width, shift, pass;
    for (i = 1; i < n && records[(i - 1) * stride] <= records[i * stride];)
        i++;
    if (i >= n || n_passes == 0)
        return;
    width = (bits + n_passes - 1) / n_passes;
    for (pass = 0; pass < n_passes; pass++) {
        const uint64_t mask = ((uint64_t)1 << width) - 1;
        int64_t before = 0, count;
        shift = pass * width;
        memset(places, 0, (size_t)(mask + 1) * sizeof *places);
        for (i = 0; i < n; i++)
            places[(from[i * stride] - base) >> shift & mask]++;
        for (i = 0; i <= (int64_t)mask; i++) {
            count = places[i];
            places[i] = before;
            before += count;
        }
        for (i = 0; i < n; i++) {
            const uint64_t *record = from + i * stride;
            uint64_t *place = to + places[(*record - base) >> shift & mask]++ * stride;
            place[0] = record[0];
            if (stride == 2)
                place[1] = record[1];
        }
        other = from;
        from = to;
        to = other;
    }
    if (from != records)
        memcpy(records, from, (size_t)n * stride * sizeof *records);
}

/* Add up the records from i on that have its key, in their order; returns the first of the next. */
static inline int64_t ge_sum(const uint64_t *records, int64_t i, int64_t n, int stride,
                             double *sum) {
    const uint64_t key = records[i * stride];
    double total = stride == 2 ? ge_weight(records + i * stride) : 1.0;
    for (i++; i < n && records[i * stride] == key; i++)
        total += stride == 2 ? ge_weight(records + i * stride) : 1.0;
    *sum = total;
    return i;
}

#endif
