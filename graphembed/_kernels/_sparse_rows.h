/* The loops of _sparse.h over rows first <= i < last. No include guard: _sparse.h includes this file
 * once for every type of number (REAL) and instruction set, with vectors of GE_BYTES. What is
 * named with a final _ below is an array of REAL, or a number of that type.
 *
 * Sums run over the entries of a row in their order, and dot products over GE_LANES fixed lanes, so
 * that all instruction sets give the same bits.
 */

#if defined(GE_VECTORS)
typedef REAL GE_NAME(vector) __attribute__((vector_size(GE_BYTES), aligned(sizeof(REAL)), may_alias));
enum { GE_NAME(width) = GE_BYTES / sizeof(REAL) };
#define W GE_NAME(width)
#define V GE_NAME(vector)
#define LOAD(p) (*(const V *)(p))
#define STORE(p, value) (*(V *)(p) = (value))
#endif

GE_INLINE REAL GE_NAME(dot)(const REAL *a, const REAL *b, int64_t n)
{
    REAL lanes[GE_LANES] = {0};
    int64_t j = 0;
#if defined(GE_VECTORS)
    if (n >= GE_LANES) {
        V sums[GE_LANES / W];
        for (int l = 0; l < GE_LANES / W; l++)
            sums[l] = LOAD(a + l * W) * LOAD(b + l * W);
        for (j = GE_LANES; j + GE_LANES <= n; j += GE_LANES)
            for (int l = 0; l < GE_LANES / W; l++)
                sums[l] += LOAD(a + j + l * W) * LOAD(b + j + l * W);
        for (int l = 0; l < GE_LANES / W; l++)
            STORE(lanes + l * W, sums[l]);
    }
#else
    for (; j + GE_LANES <= n; j += GE_LANES)
        for (int l = 0; l < GE_LANES; l++)
            lanes[l] += a[j + l] * b[j + l];
#endif
    for (int l = 0; j + l < n; l++)
        lanes[l] += a[j + l] * b[j + l];
    return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
           ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

/* sums += factor * row */
GE_INLINE void GE_NAME(add)(REAL *GE_RESTRICT sums, REAL factor, const REAL *row, int64_t n)
{
    int64_t j = 0;
#if defined(GE_VECTORS)
    for (; j + W <= n; j += W)
        STORE(sums + j, LOAD(sums + j) + factor * LOAD(row + j));
#endif
    for (; j < n; j++)
        sums[j] += factor * row[j];
}

/* The value of entry k; `kind` is a constant of the caller, here and below. */
GE_INLINE REAL GE_NAME(value)(
    const int32_t *order, const REAL *values, int64_t heads, REAL scale, int64_t k, const int kind)
{
    const int64_t place = kind == GE_ORDERED || kind == GE_SIGNED_ORDERED ? order[k] : k;
    const REAL value = kind == GE_ONES ? 1 : values[place * heads];
    if (kind == GE_SIGNED || kind == GE_SIGNED_ORDERED)
        return (0 > value ? 0 : value) * scale;
    return value;
}

/* A tile of so many columns of one row of the product: `count` vectors, or `width` < GE_LANES
 * numbers; both are constants of the caller. */
#if defined(GE_VECTORS)
GE_INLINE void GE_NAME(vectors)(
    const int32_t *indices, const int32_t *order, const REAL *values, int64_t heads, REAL scale,
    const REAL *x, int64_t stride, const REAL *bias, REAL *out, int64_t k, int64_t end,
    const int count, const int kind)
{
    V s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    for (; k < end; k++) {
        const REAL *row = x + indices[k] * stride;
        const REAL value = GE_NAME(value)(order, values, heads, scale, k, kind);
        s0 += value * LOAD(row);
        if (count > 1)
            s1 += value * LOAD(row + W);
        if (count > 2)
            s2 += value * LOAD(row + 2 * W);
        if (count > 3)
            s3 += value * LOAD(row + 3 * W);
    }
    if (bias) {
        s0 += LOAD(bias);
        if (count > 1)
            s1 += LOAD(bias + W);
        if (count > 2)
            s2 += LOAD(bias + 2 * W);
        if (count > 3)
            s3 += LOAD(bias + 3 * W);
    }
    STORE(out, s0);
    if (count > 1)
        STORE(out + W, s1);
    if (count > 2)
        STORE(out + 2 * W, s2);
    if (count > 3)
        STORE(out + 3 * W, s3);
}
#endif

GE_INLINE void GE_NAME(numbers)(
    const int32_t *indices, const int32_t *order, const REAL *values, int64_t heads, REAL scale,
    const REAL *x, int64_t stride, const REAL *bias, REAL *out, int64_t k, int64_t end,
    const int width, const int kind)
{
    REAL sums[GE_LANES] = {0};
    for (; k < end; k++) {
        const REAL *row = x + indices[k] * stride;
        const REAL value = GE_NAME(value)(order, values, heads, scale, k, kind);
        for (int t = 0; t < width; t++)
            sums[t] += value * row[t];
    }
    for (int t = 0; t < width; t++)
        out[t] = bias ? sums[t] + bias[t] : sums[t];
}

GE_INLINE void GE_NAME(row)(
    const int32_t *indices, const int32_t *order, const REAL *values, int64_t heads, REAL scale,
    const REAL *x, int64_t stride, const REAL *bias, REAL *out, int64_t width, int64_t k,
    int64_t end, const int kind)
{
#define GE_TILE(name, size)                                                                \
    GE_NAME(name)(indices, order, values, heads, scale, x + j, stride, bias ? bias + j : 0, \
                  out + j, k, end, size, kind)
    int64_t j = 0;
#if defined(GE_VECTORS)
    for (; j + 4 * W <= width; j += 4 * W)
        GE_TILE(vectors, 4);
    for (; j + 2 * W <= width; j += 2 * W)
        GE_TILE(vectors, 2);
    for (; j + W <= width; j += W)
        GE_TILE(vectors, 1);
#else
    for (; j + GE_LANES <= width; j += GE_LANES)
        GE_TILE(numbers, GE_LANES);
#endif
    switch (width - j) {
    case 7: GE_TILE(numbers, 7); break;
    case 6: GE_TILE(numbers, 6); break;
    case 5: GE_TILE(numbers, 5); break;
    case 4: GE_TILE(numbers, 4); break;
    case 3: GE_TILE(numbers, 3); break;
    case 2: GE_TILE(numbers, 2); break;
    case 1: GE_TILE(numbers, 1); break;
    default: break;
    }
#undef GE_TILE
}

/* out[i, h, :] = bias[h, :] + sum of values[entry, h] * x[column, h, :]; `bias` may be NULL. */
GE_TARGET static void GE_NAME(multiply)(
    const int64_t *indptr, const int32_t *indices, const int32_t *order, const void *values_,
    double scale_, int kind, const void *x_, const void *bias_, void *out_, int64_t heads,
    int64_t width, int64_t first, int64_t last)
{
    const REAL *values = values_;
    const REAL *x = x_;
    const REAL *bias = bias_;
    REAL *out = out_;
    const REAL scale = (REAL)scale_;
    const int64_t stride = heads * width;
#define GE_ROWS(kind)                                                                      \
    for (int64_t i = first; i < last; i++)                                                 \
        for (int64_t h = 0; h < heads; h++)                                                \
            GE_NAME(row)(indices, order, values + h, heads, scale, x + h * width, stride,  \
                         bias ? bias + h * width : 0, out + i * stride + h * width, width, \
                         indptr[i], indptr[i + 1], kind);                                  \
    break
    switch (kind) {
    case GE_ONES: GE_ROWS(GE_ONES);
    case GE_VALUES: GE_ROWS(GE_VALUES);
    case GE_ORDERED: GE_ROWS(GE_ORDERED);
    case GE_SIGNED: GE_ROWS(GE_SIGNED);
    default: GE_ROWS(GE_SIGNED_ORDERED);
    }
#undef GE_ROWS
}

/* out[entry, h] = left[row, h, :] . right[column, h, :] */
GE_TARGET static void GE_NAME(sample)(
    const int64_t *indptr, const int32_t *indices, const void *left_, const void *right_, void *out_,
    int64_t heads, int64_t width, int64_t first, int64_t last)
{
    const REAL *left = left_;
    const REAL *right = right_;
    REAL *out = out_;
    const int64_t stride = heads * width;
    for (int64_t i = first; i < last; i++)
        for (int64_t k = indptr[i]; k < indptr[i + 1]; k++)
            for (int64_t h = 0; h < heads; h++)
                out[k * heads + h] = GE_NAME(dot)(
                    left + i * stride + h * width, right + indices[k] * stride + h * width, width);
}

/* The largest numbers of each column among a row's entries, and at which of them they are. A NaN is
 * larger than any number. */
GE_TARGET static void GE_NAME(take_maxima)(
    const int64_t *indptr, const int32_t *indices, const void *x_, void *out_, int32_t *places,
    int64_t width, int64_t first, int64_t last)
{
    const REAL *x = x_;
    REAL *out = out_;
    for (int64_t i = first; i < last; i++) {
        REAL *GE_RESTRICT best = out + i * width;
        int32_t *GE_RESTRICT place = places + i * width;
        const int64_t begin = indptr[i], end = indptr[i + 1];
        if (begin == end) {
            for (int64_t j = 0; j < width; j++) {
                best[j] = 0;
                place[j] = -1;
            }
            continue;
        }
        for (int64_t j = 0; j < width; j++) {
            best[j] = x[indices[begin] * width + j];
            place[j] = 0;
        }
        for (int64_t k = begin + 1; k < end; k++) {
            const REAL *row = x + indices[k] * width;
            const int32_t number = (int32_t)(k - begin);
            for (int64_t j = 0; j < width; j++) {
                const int is_larger = (row[j] > best[j]) | ((row[j] != row[j]) & (best[j] == best[j]));
                best[j] = is_larger ? row[j] : best[j];
                place[j] = is_larger ? number : place[j];
            }
        }
    }
}

/* The gradients of the maxima go to where these were taken; rows of the transpose. */
GE_TARGET static void GE_NAME(return_maxima)(
    const int64_t *indptr, const int32_t *targets, const int32_t *order, const int64_t *starts,
    const int32_t *places, const void *grad_, void *out_, int64_t width, int64_t first, int64_t last)
{
    const REAL *grad = grad_;
    REAL *out = out_;
    for (int64_t i = first; i < last; i++) {
        REAL *GE_RESTRICT sums = out + i * width;
        for (int64_t j = 0; j < width; j++)
            sums[j] = 0;
        for (int64_t k = indptr[i]; k < indptr[i + 1]; k++) {
            const int64_t target = targets[k];
            const int32_t number = (int32_t)(order[k] - starts[target]);
            const int32_t *place = places + target * width;
            const REAL *row = grad + target * width;
            for (int64_t j = 0; j < width; j++)
                sums[j] += place[j] == number ? row[j] : 0;
        }
    }
}

/* From the scores of `width` heads (a constant of the caller) subtract the largest of the row. */
GE_INLINE void GE_NAME(shift)(
    REAL *scores, int64_t heads, int64_t begin, int64_t end, const int width)
{
    REAL largest[GE_LANES];
    for (int h = 0; h < width; h++)
        largest[h] = scores[begin * heads + h];
    for (int64_t k = begin + 1; k < end; k++)
        for (int h = 0; h < width; h++)
            largest[h] = scores[k * heads + h] > largest[h] ? scores[k * heads + h] : largest[h];
    for (int64_t k = begin; k < end; k++)
        for (int h = 0; h < width; h++)
            scores[k * heads + h] -= largest[h];
}

/* Divide powers by their sum over the row. */
GE_INLINE void GE_NAME(divide)(
    REAL *powers, int64_t heads, int64_t begin, int64_t end, const int width)
{
    REAL sums[GE_LANES] = {0};
    for (int64_t k = begin; k < end; k++)
        for (int h = 0; h < width; h++)
            sums[h] += powers[k * heads + h];
    for (int h = 0; h < width; h++)
        sums[h] = 1 / sums[h];
    for (int64_t k = begin; k < end; k++)
        for (int h = 0; h < width; h++)
            powers[k * heads + h] *= sums[h];
}

#define GE_BY_HEADS(name)                                                                        \
    for (int64_t i = first; i < last; i++)                                                       \
        for (int64_t h = 0; h < heads && indptr[i] < indptr[i + 1]; h += GE_LANES) {             \
            if (heads - h >= GE_LANES)                                                           \
                GE_NAME(name)(scores + h, heads, indptr[i], indptr[i + 1], GE_LANES);            \
            else if (heads - h == 1)                                                             \
                GE_NAME(name)(scores + h, heads, indptr[i], indptr[i + 1], 1);                   \
            else                                                                                 \
                GE_NAME(name)(scores + h, heads, indptr[i], indptr[i + 1], (int)(heads - h));    \
        }

/* Softmax over each row, in place. The powers are taken of all rows in one go: rows are short. */
GE_INLINE void GE_NAME(normalise)(
    const int64_t *indptr, REAL *scores, int64_t heads, int64_t first, int64_t last)
{
    GE_BY_HEADS(shift)
    for (int64_t e = indptr[first] * heads; e < indptr[last] * heads; e++)
        scores[e] = GE_EXP(scores[e]);
    GE_BY_HEADS(divide)
}
#undef GE_BY_HEADS

GE_TARGET static void GE_NAME(softmax)(
    const int64_t *indptr, const void *scores_, void *out_, int64_t heads, int64_t first,
    int64_t last)
{
    const REAL *scores = scores_;
    REAL *out = out_;
    for (int64_t e = indptr[first] * heads; e < indptr[last] * heads; e++)
        out[e] = scores[e];
    GE_NAME(normalise)(indptr, out, heads, first, last);
}

/* Its gradient: alpha * (grad - sum of alpha * grad over the row). */
GE_TARGET static void GE_NAME(softmax_backward)(
    const int64_t *indptr, const void *alpha_, const void *grad_, void *out_, int64_t heads,
    int64_t first, int64_t last)
{
    const REAL *alpha = alpha_;
    const REAL *grad = grad_;
    REAL *out = out_;
    for (int64_t i = first; i < last; i++)
        for (int64_t h = 0; h < heads; h++) {
            REAL sum = 0;
            for (int64_t k = indptr[i]; k < indptr[i + 1]; k++)
                sum += alpha[k * heads + h] * grad[k * heads + h];
            for (int64_t k = indptr[i]; k < indptr[i + 1]; k++)
                out[k * heads + h] = alpha[k * heads + h] * (grad[k * heads + h] - sum);
        }
}

/* Attention of GAT (Velickovic et al. 2018, eq. 3 and 4): the weights, negative where they are
 * dropped. `edge` may be NULL. */
GE_TARGET static void GE_NAME(weigh)(
    const int64_t *indptr, const int32_t *indices, const void *source_, const void *target_,
    const void *edge_, void *alpha_, int64_t heads, double slope_, uint64_t seed, int64_t threshold,
    int64_t first, int64_t last)
{
    const REAL *source = source_;
    const REAL *target = target_;
    const REAL *edge = edge_;
    REAL *alpha = alpha_;
    const REAL slope = (REAL)slope_;
    const ge_mask_key key = ge_mask_of(seed);
    for (int64_t i = first; i < last; i++)
        for (int64_t k = indptr[i]; k < indptr[i + 1]; k++)
            for (int64_t h = 0; h < heads; h++) {
                REAL score = source[indices[k] * heads + h] + target[i * heads + h];
                if (edge)
                    score += edge[k * heads + h];
                alpha[k * heads + h] = score * (score > 0 ? 1 : slope);
            }
    GE_NAME(normalise)(indptr, alpha, heads, first, last);
    if (threshold > INT32_MIN)
        for (int64_t e = indptr[first] * heads; e < indptr[last] * heads; e++)
            alpha[e] = ge_mask(key, e) >= threshold ? alpha[e] : -alpha[e];
}

/* Its gradients in the sources' features and scores; rows of the transpose. grad_scores has the
 * gradient of every entry's score. dots: grad . out of every target and head. */
GE_TARGET static void GE_NAME(weigh_backward)(
    const int64_t *indptr, const int32_t *targets, const int32_t *order, const void *x_,
    const void *source_, const void *target_, const void *edge_, const void *alpha_, double scale_,
    const void *grad_, const void *dots_, void *grad_x_, void *grad_source_, void *grad_scores_,
    int64_t heads, int64_t width, double slope_, int64_t first, int64_t last)
{
    const REAL *x = x_;
    const REAL *source = source_;
    const REAL *target = target_;
    const REAL *edge = edge_;
    const REAL *alpha = alpha_;
    const REAL *grad = grad_;
    const REAL *dots = dots_;
    REAL *grad_x = grad_x_;
    REAL *grad_source = grad_source_;
    REAL *grad_scores = grad_scores_;
    const REAL scale = (REAL)scale_;
    const REAL slope = (REAL)slope_;
    const int64_t stride = heads * width;
    for (int64_t i = first; i < last; i++) {
        for (int64_t j = 0; j < stride; j++)
            grad_x[i * stride + j] = 0;
        for (int64_t h = 0; h < heads; h++)
            grad_source[i * heads + h] = 0;
        for (int64_t k = indptr[i]; k < indptr[i + 1]; k++) {
            const int64_t e = order[k] * heads, t = targets[k] * heads;
            for (int64_t h = 0; h < heads; h += GE_LANES) {
                const int n = heads - h < GE_LANES ? (int)(heads - h) : GE_LANES;
                const REAL *g = grad + (t + h) * width, *own = x + (i * heads + h) * width;
                REAL factors[GE_LANES], gains[GE_LANES];
                for (int l = 0; l < n; l++)
                    gains[l] = GE_NAME(dot)(g + l * width, own + l * width, width);
                for (int l = 0; l < n; l++) { /* see above: a negative weight was dropped */
                    const REAL weight = alpha[e + h + l];
                    const REAL kept = weight < 0 ? 0 : scale;
                    REAL score = source[i * heads + h + l] + target[t + h + l];
                    if (edge)
                        score += edge[e + h + l];
                    factors[l] = GE_ABS(weight) * kept;
                    gains[l] = GE_ABS(weight) * (kept * gains[l] - dots[t + h + l]);
                    gains[l] *= score > 0 ? 1 : slope;
                }
                for (int l = 0; l < n; l++) {
                    grad_scores[e + h + l] = gains[l];
                    grad_source[i * heads + h + l] += gains[l];
                }
                for (int l = 0; l < n; l++)
                    GE_NAME(add)(grad_x + (i * heads + h + l) * width, factors[l], g + l * width, width);
            }
        }
    }
}

/* out[i, h] = left[i, h, :] . right[i, h, :], of rows first .. last - 1, each of one head. */
GE_TARGET static void GE_NAME(dots)(
    const void *left_, const void *right_, void *out_, int64_t width, int64_t first, int64_t last)
{
    const REAL *left = left_;
    const REAL *right = right_;
    REAL *out = out_;
    for (int64_t i = first; i < last; i++)
        out[i] = GE_NAME(dot)(left + i * width, right + i * width, width);
}

/* Sums over the entries of each row. */
GE_TARGET static void GE_NAME(sum_entries)(
    const int64_t *indptr, const void *entries_, void *out_, int64_t heads, int64_t first, int64_t last)
{
    const REAL *entries = entries_;
    REAL *out = out_;
    for (int64_t i = first; i < last; i++) {
        for (int64_t h = 0; h < heads; h++)
            out[i * heads + h] = 0;
        for (int64_t k = indptr[i]; k < indptr[i + 1]; k++)
            for (int64_t h = 0; h < heads; h++)
                out[i * heads + h] += entries[k * heads + h];
    }
}

/* Columns first .. last - 1 of x become rows. */
GE_TARGET static void GE_NAME(transpose)(
    const void *x_, void *out_, int64_t n_rows, int64_t n_columns, int64_t first, int64_t last)
{
    const REAL *x = x_;
    REAL *out = out_;
    for (int64_t i = 0; i < n_rows; i += GE_LANES) {
        const int64_t n = n_rows - i < GE_LANES ? n_rows - i : GE_LANES;
        for (int64_t j = first; j < last; j++)
            for (int64_t l = 0; l < n; l++)
                out[j * n_rows + i + l] = x[(i + l) * n_columns + j];
    }
}

/* Dropout of elements first .. last - 1. */
GE_TARGET static void GE_NAME(drop)(
    const void *x_, void *out_, uint64_t seed, int64_t threshold, double scale_, int64_t first,
    int64_t last)
{
    const REAL *x = x_;
    REAL *out = out_;
    const REAL scale = (REAL)scale_;
    const ge_mask_key key = ge_mask_of(seed);
    for (; first < last && threshold <= INT32_MAX; ) {
        /* within 2^32 elements only the low half of the number changes */
        const int64_t left = (INT64_C(1) << 32) - (first & INT64_C(0xFFFFFFFF));
        const int64_t n = last - first < left ? last - first : left;
        const ge_mask_key part = ge_mask_part(key, first);
        const REAL *GE_RESTRICT from = x + first;
        REAL *GE_RESTRICT to = out + first;
        const uint32_t low = (uint32_t)first;
        for (int64_t j = 0; j < n; j++)
            to[j] = ge_mask_low(part, low + (uint32_t)j) >= (int32_t)threshold ? from[j] * scale : 0;
        first += n;
    }
    for (; first < last; first++)
        out[first] = 0;
}

static const ge_row_loops GE_NAME(loops) = {
    GE_NAME(multiply), GE_NAME(sample), GE_NAME(take_maxima), GE_NAME(return_maxima),
    GE_NAME(softmax), GE_NAME(softmax_backward), GE_NAME(weigh), GE_NAME(weigh_backward),
    GE_NAME(dots), GE_NAME(sum_entries), GE_NAME(transpose), GE_NAME(drop),
};

#undef V
#undef W
#undef LOAD
#undef STORE
#undef REAL
#undef GE_EXP
#undef GE_ABS
#undef GE_NAME
#undef GE_TARGET
#undef GE_BYTES
