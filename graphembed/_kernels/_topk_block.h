/* The inner products of _topk.h for vectors of GE_WIDTH floats. No include guard: _topk.h includes
 * this file once for every instruction set, with GE_WIDTH, GE_TARGET and GE_NAME set.
 */
#define GE_COLUMNS (2 * GE_WIDTH)

#if defined(GE_VECTORS)
typedef float GE_NAME(vector) __attribute__((vector_size(4 * GE_WIDTH), aligned(4), may_alias));
typedef uint32_t GE_NAME(mask) __attribute__((vector_size(4 * GE_WIDTH)));
#define V GE_NAME(vector)
#define LOAD(p) (*(const V *)(p))
#define STORE(p, value) (*(V *)(p) = (value))
#define GE_EACH_ROW(do) do(0) do(1) do(2) do(3) do(4) do(5)

/* Add the products of GE_ROWS queries with a panel to their scores, which begin anew with the first
 * part; whether one of them is above its query's threshold. */
GE_INLINE int GE_NAME(tile)(const float *queries, const float *panel, int64_t width,
    const float *thresholds, float *scores, int first)
{
    const V zero = {0};
    GE_NAME(mask) above = {0};
    uint64_t words[GE_WIDTH / 2], any = 0;
#define GE_SUMS(r)                                                                       \
    V a##r = first ? zero : LOAD(scores + r * GE_COLUMNS);                               \
    V b##r = first ? zero : LOAD(scores + r * GE_COLUMNS + GE_WIDTH);
    GE_EACH_ROW(GE_SUMS)
#undef GE_SUMS
    for (int64_t j = 0; j < width; j++, panel += GE_COLUMNS, queries += GE_ROWS) {
        const V a = LOAD(panel), b = LOAD(panel + GE_WIDTH);
#define GE_TERM(r) a##r += queries[r] * a; b##r += queries[r] * b;
        GE_EACH_ROW(GE_TERM)
#undef GE_TERM
    }
#define GE_FINISH(r)                                            \
    {                                                           \
        const V threshold = zero + thresholds[r];               \
        above |= (GE_NAME(mask))((a##r > threshold) | (b##r > threshold)); \
        STORE(scores + r * GE_COLUMNS, a##r);                   \
        STORE(scores + r * GE_COLUMNS + GE_WIDTH, b##r);        \
    }
    GE_EACH_ROW(GE_FINISH)
#undef GE_FINISH
    memcpy(words, &above, sizeof words);
    for (int i = 0; i < GE_WIDTH / 2; i++)
        any |= words[i];
    return any != 0;
}
#undef GE_EACH_ROW

/* Bit l is set where score l of a row is above the threshold. */
GE_INLINE uint32_t GE_NAME(hits)(const float *row, float threshold)
{
    const V thresholds = (V){0} + threshold;
    GE_NAME(mask) low, high, bits;
    uint64_t words[GE_WIDTH / 2], any = 0;
    memcpy(&low, ge_bits, sizeof low);
    memcpy(&high, ge_bits + GE_WIDTH, sizeof high);
    bits = ((GE_NAME(mask))(LOAD(row) > thresholds) & low)
        | ((GE_NAME(mask))(LOAD(row + GE_WIDTH) > thresholds) & high);
    memcpy(words, &bits, sizeof words);
    for (int i = 0; i < GE_WIDTH / 2; i++)
        any |= words[i];
    return (uint32_t)(any | any >> 32);
}
#undef LOAD
#undef STORE
#undef V
#else
GE_INLINE int GE_NAME(tile)(const float *queries, const float *panel, int64_t width,
    const float *thresholds, float *scores, int first)
{
    int any = 0;
    for (int i = 0; first && i < GE_ROWS * GE_COLUMNS; i++)
        scores[i] = 0.0f;
    for (int64_t j = 0; j < width; j++)
        for (int r = 0; r < GE_ROWS; r++)
            for (int l = 0; l < GE_COLUMNS; l++)
                scores[r * GE_COLUMNS + l] += queries[j * GE_ROWS + r] * panel[j * GE_COLUMNS + l];
    for (int r = 0; r < GE_ROWS; r++)
        for (int l = 0; l < GE_COLUMNS; l++)
            any |= scores[r * GE_COLUMNS + l] > thresholds[r];
    return any;
}

GE_INLINE uint32_t GE_NAME(hits)(const float *row, float threshold)
{
    uint32_t bits = 0;
    for (int l = 0; l < GE_COLUMNS; l++)
        bits |= (uint32_t)(row[l] > threshold) << l;
    return bits;
}
#endif

/* Offer the n targets of a panel to a group of queries. */
GE_INLINE void GE_NAME(offer)(const ge_products *in, ge_best *best, int64_t begin, int64_t n,
    int64_t first, int64_t group, const float *thresholds, const float *scores)
{
    for (int r = 0; r < GE_ROWS; r++) {
        const float *row = scores + r * GE_COLUMNS;
        uint32_t hits = GE_NAME(hits)(row, thresholds[r]);
        for (int l; hits != 0 && (l = ge_lowest_bit(hits)) < n; hits &= hits - 1) {
            const int64_t place = begin + l;
            if (row[l] > best->thresholds[group + r - first])
                ge_offer(best, group + r - first, group + r,
                    in->candidates != NULL ? in->candidates[place] : (int32_t)place, row[l]);
        }
    }
}

/* Offer all targets to the queries first .. last - 1. */
GE_TARGET static void GE_NAME(sweep)(
    const ge_products *in, ge_best *best, int64_t first, int64_t last)
{
    for (int64_t begin = 0; begin < in->n_candidates; begin += GE_COLUMNS) {
        const int64_t rest = in->n_candidates - begin;
        const int64_t n = rest < GE_COLUMNS ? rest : GE_COLUMNS;
        for (int64_t part = 0; part < in->width; part += GE_PART) {
            const int is_last = part + GE_PART >= in->width;
            const int64_t width = is_last ? in->width - part : GE_PART;
            ge_pack(in, begin, n, GE_COLUMNS, part, width);
            for (int64_t group = first; group < last; group += GE_ROWS) {
                float *scores
                    = in->scores + (in->width > GE_PART ? (group - first) * GE_COLUMNS : 0);
                float thresholds[GE_ROWS];
                int any;
                for (int r = 0; r < GE_ROWS; r++)
                    thresholds[r]
                        = group + r < last ? best->thresholds[group + r - first] : INFINITY;
                any = GE_NAME(tile)(in->packed + (group - first) * in->width + part * GE_ROWS,
                    in->panel, width, thresholds, scores, part == 0);
                if (any && is_last)
                    GE_NAME(offer)(in, best, begin, n, first, group, thresholds, scores);
            }
        }
    }
}

#undef GE_COLUMNS
#undef GE_WIDTH
#undef GE_TARGET
#undef GE_NAME
