/* Arcs as records: a key (source << bits | target) and, where stride is 2, a float64 weight. */
#ifndef GE_CSR_H
#define GE_CSR_H

#include <stdint.h>
#include <string.h>

enum { GE_DIGIT = 12, GE_MAX_PASSES = 6 };  /* keys have at most 62 bits */

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

/* Sort n < 2^32 records by their keys less `base`, which have `bits` bits; equal keys keep their
   order. Counting sorts from the lowest digit on, all counted in one sweep. */
static inline void ge_sort(uint64_t *records, uint64_t *scratch, int64_t n, int stride,
                           uint64_t base, int bits) {
    uint32_t places[GE_MAX_PASSES][1 << GE_DIGIT], before, count;
    uint64_t *from = records, *to = scratch, *other, key, mask;
    int n_passes = (bits + GE_DIGIT - 1) / GE_DIGIT, width, pass;
    int64_t i;
    for (i = 1; i < n && records[(i - 1) * stride] <= records[i * stride];)
        i++;
    if (i >= n || n_passes == 0)
        return;
    width = (bits + n_passes - 1) / n_passes;
    mask = ((uint64_t)1 << width) - 1;
    memset(places, 0, (size_t)n_passes * sizeof *places);
    for (i = 0; i < n; i++)
        for (key = records[i * stride] - base, pass = 0; pass < n_passes; pass++, key >>= width)
            places[pass][key & mask]++;
    for (pass = 0; pass < n_passes; pass++) {
        uint32_t *const place = places[pass];
        const int shift = pass * width;
        for (i = 0, before = 0; i <= (int64_t)mask; i++) {
            count = place[i];
            place[i] = before;
            before += count;
        }
        for (i = 0; i < n; i++) {
            const uint64_t *record = from + i * stride;
            uint64_t *written = to + place[(*record - base) >> shift & mask]++ * (int64_t)stride;
            written[0] = record[0];
            if (stride == 2)
                written[1] = record[1];
        }
        other = from;
        from = to;
        to = other;
    }
    if (from != records)
        memcpy(records, from, (size_t)n * stride * sizeof *records);
}

/* Write the arcs of edges first .. last - 1 into the buckets of their sources. */
static inline void ge_deal(const int32_t *source, const int32_t *target, const double *weights,
                           int64_t first, int64_t last, int mirror, int shift,
                           const int32_t *bucket, int bits, int64_t *places, uint64_t *records,
                           int stride) {
    double weight = 1.0;
    int64_t i;
    for (i = first; i < last; i++) {
        const uint64_t u = (uint64_t)source[i], v = (uint64_t)target[i];
        if (stride == 2) {
            weight = weights[i];
            if (weight == 0)
                continue;
        }
        ge_put(records + places[bucket[u >> shift]]++ * stride, stride, u << bits | v, weight);
        if (mirror && u != v)
            ge_put(records + places[bucket[v >> shift]]++ * stride, stride, v << bits | u, weight);
    }
}

/* Number of different keys; *unlike: whether parallel arcs have a sum other than 1, *bad: the first
   record of a sum outside low .. high, or -1. Sums are made in the order of the records. */
static inline int64_t ge_look_at_sums(const uint64_t *records, int64_t n, int stride, double low,
                                      double high, int8_t *unlike, int64_t *bad) {
    int64_t i, distinct = n > 0, run = 0;
    double total;
    int other = 0;
    *bad = -1;
    if (stride == 1) {
        for (i = 1; i < n; i++)
            distinct += records[i] != records[i - 1];
        *unlike = distinct < n;
        return distinct;
    }
    total = n > 0 ? ge_weight(records) : 1.0;
    for (i = 1; i <= n; i++) {
        if (i < n && records[2 * i] == records[2 * (i - 1)]) {
            total += ge_weight(records + 2 * i);
            continue;
        }
        other |= total != 1.0;
        if (!(low <= total && total <= high) && *bad < 0)
            *bad = run;
        run = i;
        distinct += i < n;
        total = i < n ? ge_weight(records + 2 * i) : 1.0;
    }
    *unlike = (int8_t)other;
    return distinct;
}

/* Write the rows first .. last - 1 of sorted records; their arcs begin at `arc`. weights: NULL, or
   the sums. No branch depends on the arcs. */
static inline void ge_write_rows(const uint64_t *records, int64_t n, int stride, int bits,
                                 int64_t first, int64_t last, int64_t arc, int64_t *indptr,
                                 int32_t *indices, float *weights) {
    const uint64_t mask = ((uint64_t)1 << bits) - 1;
    uint64_t key, previous = ~(uint64_t)0;
    double total = 0.0;
    int64_t i, end = arc;
    memset(indptr + first + 1, 0, (size_t)(last - first) * sizeof *indptr);
    for (i = 0; i < n; i++) {
        key = records[i * stride];
        end += key != previous;
        indices[end - 1] = (int32_t)(key & mask);
        indptr[(key >> bits) + 1] = end;
        if (weights) {
            total = (key == previous ? total : 0.0) +
                    (stride == 2 ? ge_weight(records + i * stride) : 1.0);
            weights[end - 1] = (float)total;
        }
        previous = key;
    }
    end = arc;
    for (i = first + 1; i <= last; i++) {
        end = indptr[i] > end ? indptr[i] : end;
        indptr[i] = end;
    }
}

#endif
