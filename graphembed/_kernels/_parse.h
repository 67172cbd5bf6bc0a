/* Lines of an edge list: fields, integers, decimal numbers.

   Every line ends with a newline (the caller puts one behind the last byte), and GE_PADDING readable
   bytes follow, so that eight bytes may be loaded anywhere. What is not plain is not decided here:
   the line is listed as odd, and Python reads it by the rules, or finds the error. */
#ifndef GE_PARSE_H
#define GE_PARSE_H

#include <stdint.h>
#include <string.h>

#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#endif

enum { GE_PADDING = 16 };
enum { GE_TALLY_LINES, GE_TALLY_EDGES, GE_TALLY_ODD, GE_TALLY_WORDS, GE_TALLY_WIDE,
       GE_TALLY_FOREIGN, GE_TALLY_SIZE };
enum { GE_MAX_EXPONENT = 64 };  /* of the table of powers of five */

typedef struct {
    int64_t separator;                /* ' ': runs of white space; 0: every line is odd */
    int64_t source, target, weight;   /* columns, all different; weight -1: there is none */
    int64_t width;                    /* number of columns */
} ge_layout;

typedef enum { GE_SKIP, GE_EDGE, GE_ODD, GE_WORD } ge_kind;

static inline int ge_trailing_zeros(uint64_t x) {
#if defined(_MSC_VER) && !defined(__clang__)
    unsigned long at;
    _BitScanForward64(&at, x);
    return (int)at;
#else
    return __builtin_ctzll(x);
#endif
}

static inline int ge_leading_zeros(uint64_t x) {
#if defined(_MSC_VER) && !defined(__clang__)
    unsigned long at;
    _BitScanReverse64(&at, x);
    return 63 - (int)at;
#else
    return __builtin_clzll(x);
#endif
}

static inline uint64_t ge_multiply(uint64_t a, uint64_t b, uint64_t *high) {
#ifdef __SIZEOF_INT128__
    unsigned __int128 product = (unsigned __int128)a * b;
    *high = (uint64_t)(product >> 64);
    return (uint64_t)product;
#else
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t low = a0 * b0, middle = a1 * b0 + (low >> 32);
    uint64_t other = a0 * b1 + (uint32_t)middle;
    *high = a1 * b1 + (middle >> 32) + (other >> 32);
    return (other << 32) | (uint32_t)low;
#endif
}

/* Eight bytes, the first one lowest. */
static inline uint64_t ge_load8(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* Number of digits at the start of eight bytes; *values: the bytes less '0'. */
static inline int ge_count_digits(uint64_t word, uint64_t *values) {
    uint64_t v = word ^ 0x3030303030303030u;
    uint64_t bad = (v | (v + 0x7676767676767676u)) & 0x8080808080808080u;
    *values = v;
    return bad ? ge_trailing_zeros(bad) >> 3 : 8;
}

/* The number written by n <= 8 digits, n > 0. */
static inline uint64_t ge_join_digits(uint64_t values, int n) {
    uint64_t v = values << (64 - 8 * n);
    v = (v * (1 + (10u << 8))) >> 8 & 0x00FF00FF00FF00FFu;
    v = (v * (1 + (100u << 16))) >> 16 & 0x0000FFFF0000FFFFu;
    return (v * (1 + ((uint64_t)10000 << 32))) >> 32;
}

static const uint64_t ge_power10[9] = {
    1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};

/* Read digits on top of *value; returns their number, which may be beyond what fits. */
static inline int64_t ge_digits(const uint8_t **p, uint64_t *value) {
    const uint8_t *start = *p;
    uint64_t values;
    int n;
    do {
        n = ge_count_digits(ge_load8(*p), &values);
        if (n)
            *value = *value * ge_power10[n] + ge_join_digits(values, n);
        *p += n;
    } while (n == 8);
    return *p - start;
}

/* An integer as Python spells it, without a sign: no leading zeros, at most `limit` < 10^19. */
static inline int ge_unsigned(const uint8_t **p, uint64_t limit, uint64_t *value) {
    const uint8_t *start = *p;
    uint64_t values;
    int64_t n = ge_count_digits(ge_load8(start), &values);
    if (n > 0 && n < 8) {
        *value = ge_join_digits(values, (int)n);
        *p = start + n;
    } else {
        *value = 0;
        n = ge_digits(p, value);
    }
    /* 19 digits may exceed int64, but not uint64 */
    return n > 0 && !(*start == '0' && n > 1) && n <= 19 && *value <= limit;
}

/* m * 10^e, correctly rounded (Lemire 2021, "Number parsing at a gigabyte per second", section 5);
   0 where the result is not a normal number, or not certain. powers[e + GE_MAX_EXPONENT]: the high
   and low 64 bits of 5^e, scaled to 128 bits. */
static inline int ge_scale(uint64_t m, int64_t e, const uint64_t *powers, double *value) {
    uint64_t high, low, carry, mantissa;
    int64_t exponent;
    int zeros, upper;
    if (e == 0 || m == 0) {
        *value = (double)m;
        return 1;
    }
    if (e < -GE_MAX_EXPONENT || e > GE_MAX_EXPONENT)
        return 0;
    powers += 2 * (e + GE_MAX_EXPONENT);
    zeros = ge_leading_zeros(m);
    low = ge_multiply(m << zeros, powers[0], &high);
    if ((high & 0x1FF) == 0x1FF) {
        ge_multiply(m << zeros, powers[1], &carry);
        low += carry;
        high += low < carry;
    }
    if (low == UINT64_MAX && (e < -27 || e > 55))
        return 0;
    upper = (int)(high >> 63);
    mantissa = high >> (upper + 9);
    exponent = ((217706 * e) >> 16) + 63 + upper - zeros + 1023;
    if (exponent <= 0 || exponent >= 2046)
        return 0;
    /* halfway between two numbers: only here the even one must be chosen */
    if (low <= 1 && e >= -4 && e <= 23 && (mantissa & 3) == 1 && mantissa << (upper + 9) == high)
        mantissa &= ~(uint64_t)1;
    mantissa = (mantissa + (mantissa & 1)) >> 1;
    if (mantissa >> 53) {
        mantissa >>= 1;
        exponent++;
    }
    mantissa = (mantissa & (((uint64_t)1 << 52) - 1)) | (uint64_t)exponent << 52;
    memcpy(value, &mantissa, 8);
    return 1;
}

/* A decimal number >= 0; 0 where Python must read it. */
static inline int ge_decimal(const uint8_t **p, const uint64_t *powers, double *value) {
    const uint8_t *start;
    uint64_t m = 0, written = 0;
    int64_t n, e = 0, zeros = 0;
    int negative = 0;
    *p += **p == '+';
    n = ge_digits(p, &m);
    if (**p == '.') {
        *p += 1;
        if (m == 0)
            for (zeros = n; (*p)[zeros - n] == '0'; zeros++)
                ;
        e = ge_digits(p, &m);
        n += e;
        e = -e;
    }
    if (n == 0 || n - zeros > 19)
        return 0;
    if ((**p | 32) == 'e') {
        start = *p += 1;
        if (**p == '-' || **p == '+') {
            negative = **p == '-';
            start = *p += 1;
        }
        n = ge_digits(p, &written);
        if (*p == start || n > 4)
            return 0;
        e += negative ? -(int64_t)written : (int64_t)written;
    }
    return ge_scale(m, e, powers, value);
}

/* ASCII characters for which str.isspace() is true. */
static inline int ge_is_space(uint8_t c) {
    return c == ' ' || (c >= 9 && c <= 13) || (c >= 28 && c <= 31);
}

/* Whether a byte sequence of UTF-8 may be white space for str.split(): C2 85, C2 A0, E1 9A 80,
   E2 80 xx, E2 81 9F, E3 80 80. Others that begin alike only cost time. */
static inline int ge_may_be_space(const uint8_t *p) {
    return (p[0] == 0xC2 && (p[1] == 0x85 || p[1] == 0xA0)) || (p[0] == 0xE1 && p[1] == 0x9A) ||
           (p[0] == 0xE2 && (p[1] == 0x80 || p[1] == 0x81)) || (p[0] == 0xE3 && p[1] == 0x80);
}

/* Bits: 1 for a byte beyond ASCII, 2 for NUL, 4 for a quotation mark. */
static inline int ge_look_over(const uint8_t *p, const uint8_t *end) {
    uint8_t any = 0, nul = 0, quote = 0;
    for (; p < end; p++) {
        any |= *p;
        nul |= *p == 0;
        quote |= *p == '"';
    }
    return (any >> 7) | nul << 1 | quote << 2;
}

static inline ge_kind ge_read_id(const uint8_t *text, const uint8_t *a, const uint8_t *b, int words,
                                 int64_t *id) {
    uint64_t value;
    int negative;
    if (a == b)
        return GE_ODD;
    if (words) {
        id[0] = a - text;
        id[1] = b - a;
        return GE_EDGE;
    }
    negative = *a == '-';
    a += negative;
    if (!ge_unsigned(&a, (uint64_t)INT64_MAX + negative, &value) || a != b ||
        (negative && value == 0))
        return GE_WORD;
    *id = (int64_t)(negative ? 0 - value : value);
    return GE_EDGE;
}

/* One line by the rules, fields in any column. ids: two integers, or two (begin, length). */
static ge_kind ge_read_line(const uint8_t *text, const uint8_t *a, const uint8_t *b,
                            const ge_layout *layout, const uint64_t *powers, int look, int words,
                            int64_t *ids, double *weight) {
    const uint8_t separator = (uint8_t)layout->separator;
    const uint8_t *p, *q, *r;
    ge_kind kind, result = GE_EDGE;
    int64_t column = 0;
    while (a < b && (*a == ' ' || *a == '\r'))
        a++;
    while (b > a && (b[-1] == ' ' || b[-1] == '\r'))
        b--;
    for (p = a; p < b && ge_is_space(*p);)
        p++;
    if (p == b || *a == '#' || *a == '%')
        return GE_SKIP;
    if (separator == 0)
        return GE_ODD;
    if (look)
        for (p = a; p < b; p++)
            if ((*p == '"' && separator != ' ') || (*p >= 0x80 && ge_may_be_space(p)))
                return GE_ODD;
    for (p = a; p <= b; p = q + 1, column++) {
        if (separator == ' ') {
            while (p < b && ge_is_space(*p))
                p++;
            if (p == b)
                break;
            for (q = p; q < b && !ge_is_space(*q);)
                q++;
            r = q;
        } else {
            for (q = p; q < b && *q != separator;)
                q++;
            r = q;
            while (p < r && ge_is_space(*p))
                p++;
            while (r > p && ge_is_space(r[-1]))
                r--;
        }
        if (column == layout->source || column == layout->target) {
            kind = ge_read_id(text, p, r, words, ids + (column == layout->target) * (1 + words));
            if (kind == GE_ODD)
                return GE_ODD;
            if (kind == GE_WORD)
                result = GE_WORD;
        } else if (column == layout->weight) {
            if (!ge_decimal(&p, powers, weight) || p != r)
                return GE_ODD;
        }
    }
    return column == layout->width ? result : GE_ODD;
}

/* The usual line, read from its start: integer, separator, integer, perhaps a weight, newline.
   Returns the start of the next line, or NULL if it must be read by the rules. */
static inline const uint8_t *ge_read_plain(const uint8_t *p, const ge_layout *layout,
                                           const uint64_t *powers, int64_t *ids, double *weight) {
    uint64_t source, target;
    if (!ge_unsigned(&p, INT64_MAX, &source) || *p++ != layout->separator ||
        !ge_unsigned(&p, INT64_MAX, &target))
        return NULL;
    if (layout->weight >= 0)
        if (*p++ != layout->separator || !ge_decimal(&p, powers, weight))
            return NULL;
    while (*p == ' ' || *p == '\r')
        p++;
    if (*p != '\n')
        return NULL;
    ids[0] = (int64_t)source;
    ids[1] = (int64_t)target;
    return p + 1;
}

/* Read the lines in text[begin, end). Slot k of ids and weights is for the k-th line that is not
   blank or a comment; odd lists those left to Python as (slot, line, begin, end), lines counted
   from 0. Integers stop at the first word: the file must be read as one of words. Words are given as
   (begin, length). */
static void ge_read_lines(const uint8_t *text, int64_t begin, int64_t end,
                                 const ge_layout *layout, const uint64_t *powers, int words,
                                 int64_t *ids, double *weights, int64_t *odd, int64_t *tally) {
    const int plain = !words && layout->separator && layout->source == 0 && layout->target == 1 &&
                      layout->width == (layout->weight < 0 ? 2 : 3);
    const uint8_t *p = text + begin, *const stop = text + end, *line_end, *next;
    int64_t lines = 0, edges = 0, n_odd = 0;
    uint64_t wide = 0;
    int look = -1;
    ge_kind kind;
    double unused, *weight = &unused;
    memset(tally, 0, GE_TALLY_SIZE * sizeof *tally);
    for (; p < stop; p = next, lines++) {
        int64_t *pair = ids + edges * (2 + 2 * words);
        if (layout->weight >= 0)
            weight = weights + edges;
        if (plain) {
            next = ge_read_plain(p, layout, powers, pair, weight);
            if (next) {
                wide |= (uint64_t)(pair[0] | pair[1]);
                edges++;
                continue;
            }
        }
        if (look < 0) {
            look = ge_look_over(text + begin, stop);
            tally[GE_TALLY_FOREIGN] = look & 3;
        }
        line_end = memchr(p, '\n', (size_t)(stop - p) + 1);
        next = line_end + 1;
        kind = ge_read_line(text, p, line_end, layout, powers, look, words, pair, weight);
        if (kind == GE_SKIP)
            continue;
        if (kind == GE_WORD) {
            tally[GE_TALLY_WORDS] = 1;
            break;
        }
        if (kind == GE_ODD) {
            memset(pair, 0, (2 + 2 * words) * sizeof *pair);
            odd[0] = edges;
            odd[1] = lines;
            odd[2] = p - text;
            odd[3] = line_end - text;
            odd += 4;
            n_odd++;
        } else if (!words) {
            wide |= (uint64_t)(pair[0] | pair[1]);
        }
        edges++;
    }
    tally[GE_TALLY_LINES] = lines;
    tally[GE_TALLY_EDGES] = edges;
    tally[GE_TALLY_ODD] = n_odd;
    tally[GE_TALLY_WIDE] = wide > INT32_MAX;
}

#endif
