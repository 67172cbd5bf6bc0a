/* The arithmetic of _sgns.h for vectors of GE_WIDTH floats. No include guard: _sgns.h includes
 * this file once for every instruction set, with GE_WIDTH, GE_TARGET and GE_NAME set.
 *
 * A dot product is summed over GE_LANES fixed lanes, element j in lane j mod GE_LANES, and the
 * lanes are folded in a fixed order: all widths give the same bits.
 */
#if defined(GE_VECTORS)
typedef float GE_NAME(vector) __attribute__((vector_size(4 * GE_WIDTH), aligned(4), may_alias));
#else
typedef struct { float v[GE_WIDTH]; } GE_NAME(vector);
#endif
#define V GE_NAME(vector)
#define LOAD(p) (*(const V *)(p))
#define STORE(p, value) (*(V *)(p) = (value))

/* Dot products of one or two centres (h) with their contexts (o) and with n shared negatives (t).
 *
 * Each is left as 4 lanes, to be folded by ge_finish_dots: in `left` those of h0, in `right` those
 * of h1; the context's first (if with_context), then the negatives'. `rows`, `n` and
 * `with_context` are constants of the caller, so that all sums stay in registers.
 */
GE_INLINE void GE_NAME(dots)(
    const float *h0, const float *h1, const float *o0, const float *o1, float *const *t,
    const int rows, const int n, const int with_context, int64_t stride,
    float *left, float *right, const float *next0, const float *next1)
{
    float sums[2][GE_TILE + 1][GE_LANES];
    for (int first = 0; first < GE_LANES; first += GE_WIDTH) {
        V a = {0}, a0 = {0}, a1 = {0}, a2 = {0}, a3 = {0}, a4 = {0};
        V b = {0}, b0 = {0}, b1 = {0}, b2 = {0}, b3 = {0}, b4 = {0};
        for (int64_t j = first; j < stride; j += GE_LANES) {
            const V x = LOAD(h0 + j), y = LOAD(h1 + j);
            if (with_context) {
                GE_MULTIPLY_ADD(a, x, LOAD(o0 + j));
                if (rows > 1)
                    GE_MULTIPLY_ADD(b, y, LOAD(o1 + j));
                if (first == 0) { /* one cache line of the centres to come */
                    GE_PREFETCH(next0 + j);
                    if (rows > 1)
                        GE_PREFETCH(next1 + j);
                }
            }
#define GE_NEGATIVE(k)                             \
    if (n > k) {                                   \
        const V negative = LOAD(t[k] + j);         \
        GE_MULTIPLY_ADD(a##k, x, negative);        \
        if (rows > 1)                              \
            GE_MULTIPLY_ADD(b##k, y, negative);    \
    }
            GE_NEGATIVE(0) GE_NEGATIVE(1) GE_NEGATIVE(2) GE_NEGATIVE(3) GE_NEGATIVE(4)
#undef GE_NEGATIVE
        }
        STORE(&sums[0][GE_TILE][first], a);
        STORE(&sums[1][GE_TILE][first], b);
#define GE_NEGATIVE(k)                             \
    if (n > k) {                                   \
        STORE(&sums[0][k][first], a##k);           \
        STORE(&sums[1][k][first], b##k);           \
    }
        GE_NEGATIVE(0) GE_NEGATIVE(1) GE_NEGATIVE(2) GE_NEGATIVE(3) GE_NEGATIVE(4)
#undef GE_NEGATIVE
    }
    for (int r = 0; r < rows; r++) {
        float *out = r == 0 ? left : right;
        if (with_context)
            ge_fold_to_4(out, sums[r][GE_TILE]);
        for (int k = 0; k < n; k++)
            ge_fold_to_4(out + 4 * (k + with_context), sums[r][k]);
    }
}

/* Move the rows of a block: pair by pair the centre and its context, at the end the negatives.
 *
 * gains[0] belongs to the context (if with_context), the next n to the negatives;
 * the gains of the next pair lie `gain_stride` further.
 */
GE_INLINE void GE_NAME(move)(
    float *const *h, float *const *o, float *const *t, int64_t n_pairs, const int n,
    const int with_context, int64_t stride, const float *gains, int64_t gain_stride,
    float *const *next_o, float *const *next_t)
{
    for (int64_t j = 0; j < stride; j += GE_WIDTH) {
        const float *gain = gains;
        V d0 = {0}, d1 = {0}, d2 = {0}, d3 = {0}, d4 = {0};
        V t0 = d0, t1 = d0, t2 = d0, t3 = d0, t4 = d0;
#define GE_NEGATIVE(k)                      \
    if (n > k) {                            \
        t##k = LOAD(t[k] + j);              \
        if (j % GE_LANES == 0)              \
            GE_PREFETCH(next_t[k] + j);     \
    }
        GE_NEGATIVE(0) GE_NEGATIVE(1) GE_NEGATIVE(2) GE_NEGATIVE(3) GE_NEGATIVE(4)
#undef GE_NEGATIVE
        for (int64_t i = 0; i < n_pairs; i++, gain += gain_stride) {
            const V centre = LOAD(h[i] + j);
            V moved = centre;
            if (with_context) {
                V context = LOAD(o[i] + j);
                GE_SCALED_ADD(moved, gain[0], context);
                GE_SCALED_ADD(context, gain[0], centre);
                STORE(o[i] + j, context);
                if (j % GE_LANES == 0) { /* one cache line of the rows to come */
                    GE_PREFETCH(next_o[i] + j);
                }
            }
#define GE_NEGATIVE(k)                                           \
    if (n > k) {                                                 \
        GE_SCALED_ADD(moved, gain[k + with_context], t##k);      \
        GE_SCALED_ADD(d##k, gain[k + with_context], centre);     \
    }
            GE_NEGATIVE(0) GE_NEGATIVE(1) GE_NEGATIVE(2) GE_NEGATIVE(3) GE_NEGATIVE(4)
#undef GE_NEGATIVE
            STORE(h[i] + j, moved);
        }
#define GE_NEGATIVE(k)                                           \
    if (n > k) {                                                 \
        t##k = LOAD(t[k] + j); /* as the contexts have left it */ \
        GE_ADD(t##k, d##k);                                      \
        STORE(t[k] + j, t##k);                                   \
    }
        GE_NEGATIVE(0) GE_NEGATIVE(1) GE_NEGATIVE(2) GE_NEGATIVE(3) GE_NEGATIVE(4)
#undef GE_NEGATIVE
    }
}

#define GE_BLOCK_DOTS(n, with_context)                                                            \
    for (i = 0; i + 2 <= n_pairs; i += 2)                                                         \
        GE_NAME(dots)(h[i], h[i + 1], o[i], o[i + 1], t, 2, n, with_context, stride,              \
                      lanes + 4 * i * n_gains, lanes + 4 * (i + 1) * n_gains, next_h[i], next_h[i + 1]);     \
    if (i < n_pairs)                                                                              \
        GE_NAME(dots)(h[i], h[i], o[i], o[i], t, 1, n, with_context, stride,                      \
                      lanes + 4 * i * n_gains, lanes + 4 * i * n_gains, next_h[i], next_h[i])

GE_TARGET static void GE_NAME(block_dots)(
    float *const *h, float *const *o, float *const *t, int64_t n_pairs, int n, int with_context,
    int64_t stride, float *lanes, int64_t n_gains, float *const *next_h)
{
    int64_t i;
    if (!with_context) {
        if (n == GE_TILE) { GE_BLOCK_DOTS(GE_TILE, 0); } else { GE_BLOCK_DOTS(1, 0); }
        return;
    }
    switch (n) {
    case 0: GE_BLOCK_DOTS(0, 1); break;
    case 1: GE_BLOCK_DOTS(1, 1); break;
    case 2: GE_BLOCK_DOTS(2, 1); break;
    case 3: GE_BLOCK_DOTS(3, 1); break;
    case 4: GE_BLOCK_DOTS(4, 1); break;
    default: GE_BLOCK_DOTS(GE_TILE, 1);
    }
}

#define GE_BLOCK_MOVE(n, with_context)                                                            \
    GE_NAME(move)(h, o, t, n_pairs, n, with_context, stride, gains, n_gains, next_o, \
                  next_t)

GE_TARGET static void GE_NAME(block_move)(
    float *const *h, float *const *o, float *const *t, int64_t n_pairs, int n, int with_context,
    int64_t stride, const float *gains, int64_t n_gains,
    float *const *next_o, float *const *next_t)
{
    if (!with_context) {
        if (n == GE_TILE) { GE_BLOCK_MOVE(GE_TILE, 0); } else { GE_BLOCK_MOVE(1, 0); }
        return;
    }
    switch (n) {
    case 0: GE_BLOCK_MOVE(0, 1); break;
    case 1: GE_BLOCK_MOVE(1, 1); break;
    case 2: GE_BLOCK_MOVE(2, 1); break;
    case 3: GE_BLOCK_MOVE(3, 1); break;
    case 4: GE_BLOCK_MOVE(4, 1); break;
    default: GE_BLOCK_MOVE(GE_TILE, 1);
    }
}

/* 1 / (1 + exp(-dot)) of n dot products given as 4 lanes each. */
GE_TARGET static void GE_NAME(sigmoids)(
    const float *GE_RESTRICT lanes, float *GE_RESTRICT values, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        values[i] = (lanes[4 * i] + lanes[4 * i + 2]) + (lanes[4 * i + 1] + lanes[4 * i + 3]);
    for (int64_t i = 0; i < n; i++)
        values[i] = ge_sigmoid(values[i]);
}

#undef GE_BLOCK_DOTS
#undef GE_BLOCK_MOVE
#undef V
#undef LOAD
#undef STORE
#undef GE_WIDTH
#undef GE_TARGET
#undef GE_NAME
