/* Counter-based random numbers: a value is a function of (seed, task, counter).
 *
 * mix64 is the finaliser of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom
 * number generators"). Nothing here has a state, so threads cannot disturb each other.
 */
#ifndef GRAPHEMBED_RNG_H
#define GRAPHEMBED_RNG_H

#include <stdint.h>
#if defined(_MSC_VER)
#include <intrin.h>
#endif

#define GE_GOLDEN UINT64_C(0x9E3779B97F4A7C15) /* 2^64 / golden ratio, SplitMix64's increment */

static inline uint64_t ge_mix64(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* The key of one task (a walk, a bucket, a row) under a seed. */
static inline uint64_t ge_stream(uint64_t seed, uint64_t task)
{
    return ge_mix64(seed + GE_GOLDEN * ge_mix64(task + GE_GOLDEN));
}

/* The counter-th 64 random bits of a stream. */
static inline uint64_t ge_draw(uint64_t key, uint64_t counter)
{
    return ge_mix64(key + (counter + 1) * GE_GOLDEN);
}

/* High and low half of r * n. The high half is uniform in [0, n), biased by at most n / 2^64
 * (Lemire 2019); the low half is the position inside that cell, uniform in [0, 2^64). */
static inline uint64_t ge_multiply_high(uint64_t r, uint64_t n, uint64_t *low)
{
#if defined(_MSC_VER)
    uint64_t high;
#if defined(_M_ARM64)
    high = __umulh(r, n);
    *low = r * n;
#else
    *low = _umul128(r, n, &high);
#endif
    return high;
#else
    unsigned __int128 product = (unsigned __int128)r * n;
    *low = (uint64_t)product;
    return (uint64_t)(product >> 64);
#endif
}

static inline uint64_t ge_bounded(uint64_t r, uint64_t n)
{
    uint64_t low;
    return ge_multiply_high(r, n, &low);
}

/* Uniform in [0, 1), 53 bits. */
static inline double ge_unit(uint64_t r)
{
    return (double)(r >> 11) * (1.0 / 9007199254740992.0);
}

/* An alias cell packs (other outcome << 32 | threshold): keep the cell's own outcome when the
 * position inside the cell is below threshold / 2^32. One 64-bit draw decides both. */
static inline uint64_t ge_alias_draw(const uint64_t *cells, uint64_t n, uint64_t r)
{
    uint64_t low, cell, own = ge_multiply_high(r, n, &low);
    cell = cells[own];
    return (low >> 32) < (cell & UINT64_C(0xFFFFFFFF)) ? own : cell >> 32;
}

/* Place i of a random permutation of 0 .. n - 1, n <= 2^bits < 2n: a Feistel network over the
 * two halves of the bits (Luby and Rackoff 1988), walked along its cycle until the value is below n
 * (Black and Rogaway 2002). Each round can be undone, so it is a bijection; no array is needed.
 * Of few bits a round mixes little: 24 rounds make all orders of 6 places equally likely. Where n is a
 * power of two all orders are even permutations. */
static inline uint64_t ge_permute(uint64_t i, uint64_t n, int bits, uint64_t key)
{
    const int n_low = bits - bits / 2;
    const uint64_t low_mask = (UINT64_C(1) << n_low) - 1;
    const uint64_t high_mask = (UINT64_C(1) << (bits / 2)) - 1;
    const uint64_t n_rounds = bits < 12 ? 24 : 8;
    do {
        uint64_t high = i >> n_low, low = i & low_mask, round;
        for (round = 0; round < n_rounds; round += 2) {
            low ^= (ge_draw(key, round << 32 | high) >> 32) & low_mask;
            high ^= (ge_draw(key, (round + 1) << 32 | low) >> 32) & high_mask;
        }
        i = high << n_low | low;
    } while (i >= n);
    return i;
}

#endif
