/* Hash tables from integers and from words to their numbers, counted by first appearance.

   Open addressing with linear probing; a slot is (hash or key, number + 1), number + 1 == 0: empty.
   The key of the hash is random in every process, so that no file can be made to collide; numbers do
   not depend on it. A word is stored as a record: its length << 32 | its number, then its bytes,
   padded to 8; slots hold the place of the record + 1. */
#ifndef GE_TABLES_H
#define GE_TABLES_H

#include <stdint.h>
#include <string.h>

enum { GE_AHEAD = 8 };  /* items whose slots are fetched in advance */

#if defined(_MSC_VER) && !defined(__clang__)
#define GE_PREFETCH(address)
#else
#define GE_PREFETCH(address) __builtin_prefetch(address)
#endif

/* A second copy for processors that count bits in one instruction; the loader chooses. */
#if defined(__x86_64__) && defined(__linux__) && defined(__GLIBC__) && defined(__GNUC__) && \
    !defined(__SANITIZE_ADDRESS__) && (!defined(__clang__) || __clang_major__ >= 14)
#define GE_POPCOUNT_CLONES __attribute__((target_clones("popcnt", "default")))
#else
#define GE_POPCOUNT_CLONES
#endif

static inline uint64_t ge_mix(uint64_t x) {  /* the finaliser of SplitMix64 */
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static inline uint64_t ge_hash(const uint8_t *p, int64_t n, uint64_t key) {
    uint64_t word, h = ge_mix(key + (uint64_t)n);
    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&word, p, 8);
        h = ge_mix(h ^ word);
    }
    word = 0;
    memcpy(&word, p, (size_t)n);
    return ge_mix(h ^ word);
}

static inline int64_t ge_words_of(int64_t n_bytes) {  /* 64-bit words of a record */
    return 1 + (n_bytes + 7) / 8;
}

/* Number words begin .. end - 1 of (begin, length) spans; returns where it stopped for want of room.
   used[0]: numbers given, used[1]: words of the store that are in use. */
static inline int64_t ge_number_words(const uint8_t *text, const int64_t *spans,
                                      const uint64_t *hashes, uint64_t *slots, uint64_t mask,
                                      uint64_t *store, int64_t room, int64_t *used,
                                      int32_t *numbers, int64_t begin, int64_t end) {
    int64_t i;
    for (i = begin; i < end; i++) {
        const uint8_t *p = text + spans[2 * i];
        const int64_t n = spans[2 * i + 1];
        const uint64_t hash = hashes[i];
        uint64_t at = hash & mask;
        if (i + 2 * GE_AHEAD < end)
            GE_PREFETCH(slots + 2 * (hashes[i + 2 * GE_AHEAD] & mask));
        if (i + GE_AHEAD < end) {
            const uint64_t *slot = slots + 2 * (hashes[i + GE_AHEAD] & mask);
            if (slot[1])
                GE_PREFETCH(store + slot[1] - 1);
        }
        for (;; at = (at + 1) & mask) {
            uint64_t *slot = slots + 2 * at;
            if (slot[1] == 0) {
                if (2 * (uint64_t)used[0] > mask || used[1] + ge_words_of(n) > room)
                    return i;
                store[used[1]] = (uint64_t)n << 32 | (uint64_t)used[0];
                store[used[1] + ge_words_of(n) - 1] = n ? 0 : store[used[1]];
                memcpy(store + used[1] + 1, p, (size_t)n);
                slot[0] = hash;
                slot[1] = (uint64_t)used[1] + 1;
                numbers[i] = (int32_t)used[0]++;
                used[1] += ge_words_of(n);
                break;
            }
            if (slot[0] == hash) {
                const uint64_t *record = store + slot[1] - 1;
                if (record[0] >> 32 == (uint64_t)n && memcmp(record + 1, p, (size_t)n) == 0) {
                    numbers[i] = (int32_t)record[0];
                    break;
                }
            }
        }
    }
    return end;
}

static inline void ge_unpack_words(const uint64_t *store, int64_t n_words, uint8_t *text,
                                   int64_t *ends) {
    int64_t i, n, end = 0;
    for (i = 0; i < n_words; i++) {
        n = (int64_t)(*store >> 32);
        memcpy(text + end, store + 1, (size_t)n);
        end += n;
        ends[i] = end;
        store += ge_words_of(n);
    }
}

/* Number integers; distinct[k] is number k. */
static inline int64_t ge_number_integers(const int64_t *ids, uint64_t *slots, uint64_t mask,
                                         uint64_t key, int64_t *distinct, int64_t *n_distinct,
                                         int32_t *numbers, int64_t begin, int64_t end) {
    int64_t i;
    for (i = begin; i < end; i++) {
        uint64_t at = ge_mix(key ^ (uint64_t)ids[i]) & mask;
        if (i + 2 * GE_AHEAD < end)
            GE_PREFETCH(slots + 2 * (ge_mix(key ^ (uint64_t)ids[i + 2 * GE_AHEAD]) & mask));
        for (;; at = (at + 1) & mask) {
            uint64_t *slot = slots + 2 * at;
            if (slot[1] == 0) {
                if (2 * (uint64_t)*n_distinct > mask)
                    return i;
                slot[0] = (uint64_t)ids[i];
                slot[1] = (uint64_t)*n_distinct + 1;
                distinct[*n_distinct] = ids[i];
                numbers[i] = (int32_t)(*n_distinct)++;
                break;
            }
            if (slot[0] == (uint64_t)ids[i]) {
                numbers[i] = (int32_t)(slot[1] - 1);
                break;
            }
        }
    }
    return end;
}

/* Move the filled slots of a table into one that is empty and larger; words: slots hold hashes. */
static inline void ge_move_slots(const uint64_t *from, uint64_t n_slots, uint64_t *to,
                                 uint64_t mask, uint64_t key, int words) {
    uint64_t i, at;
    for (i = 0; i < n_slots; i++)
        if (from[2 * i + 1]) {
            at = (words ? from[2 * i] : ge_mix(key ^ from[2 * i])) & mask;
            while (to[2 * at + 1])
                at = (at + 1) & mask;
            to[2 * at] = from[2 * i];
            to[2 * at + 1] = from[2 * i + 1];
        }
}

static inline uint32_t ge_count_bits(uint32_t x) {
#if defined(_MSC_VER) && !defined(__clang__)
    x -= x >> 1 & 0x55555555u;
    x = (x & 0x33333333u) + (x >> 2 & 0x33333333u);
    x = (x + (x >> 4)) & 0x0F0F0F0Fu;
    return x * 0x01010101u >> 24;
#else
    return (uint32_t)__builtin_popcount(x);
#endif
}

/* Replace the ids in begin .. end - 1 by the number of ids that occur below them. A cell has flags
   for 32 integers from `low` on in its low half, and the number of flags set in the cells before in
   its high half. The ids have 4 or 8 bytes and lie `stride` bytes apart. */
GE_POPCOUNT_CLONES static void ge_rank_ids(const char *ids, int64_t size, int64_t stride,
                                           int64_t low, const uint64_t *cells, int32_t *ranks,
                                           int64_t begin, int64_t end) {
    int64_t i, id;
    int32_t narrow;
    for (i = begin; i < end; i++) {
        if (size == 4) {
            memcpy(&narrow, ids + i * stride, 4);
            id = narrow;
        } else {
            memcpy(&id, ids + i * stride, 8);
        }
        const uint64_t place = (uint64_t)(id - low), cell = cells[place >> 5];
        const uint32_t below = (uint32_t)cell & (((uint32_t)1 << (place & 31)) - 1);
        ranks[i] = (int32_t)((uint32_t)(cell >> 32) + ge_count_bits(below));
    }
}

#endif
