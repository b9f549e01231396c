// The vector versions of the kernels of attention and of its cache. Included by `kernels.h`.

typedef int8_t vb __attribute__((vector_size(W)));
typedef uint16_t vh __attribute__((vector_size(2 * W)));

INLINE vf load_i8(const int8_t *p) {
    vb v;
    __builtin_memcpy(&v, p, sizeof v);
    return __builtin_convertvector(v, vf);
}
INLINE vf load_i8_part(const int8_t *p, size_t n) {
    int8_t buffer[W] = {0};
    __builtin_memcpy(buffer, p, n);
    return load_i8(buffer);
}

// MARK: Scores

#define BLOCKS_int8_t(FORMAT, ROWS) BLOCKS_float(FORMAT, ROWS)
TILE_TYPE(i8, int8_t)
MATMUL(i8, int8_t)

/// A few queries against many keys: memory decides, so keys are fetched well ahead.
#define SCORES(FORMAT, TYPE) SCORES_(FORMAT, TYPE, TILE_ROWS)
#define SCORES_(FORMAT, TYPE, ROWS) SCORES__(FORMAT, TYPE, ROWS)
#define SCORES__(FORMAT, TYPE, ROWS)                                                                                   \
    static void CK(scores_##FORMAT) CK_MATMUL_PARAMETERS(TYPE) {                                                       \
        static CK(tile_##FORMAT) *const tiled[] = {0, TILE_NAMES(FORMAT, ROWS)};                                       \
        size_t r = 0;                                                                                                  \
        if (tokens > 0 && tokens <= TILE_TOKENS && k > 0)                                                              \
            for (; r + ROWS <= rows; r += ROWS) {                                                                      \
                const TYPE *ahead = w + r * w_stride + SCORES_AHEAD / sizeof(TYPE);                                    \
                if (ahead < w + rows * w_stride)                                                                       \
                    for (size_t i = 0; i < ROWS * w_stride; i += 64 / sizeof(TYPE)) __builtin_prefetch(ahead + i, 0, 3); \
                tiled[tokens](w + r * w_stride, w_stride, x, x_stride, k, 0, 1, 1, y + r, y_stride);                   \
            }                                                                                                          \
        if (r < rows)                                                                                                  \
            CK(matmul_##FORMAT)(w + r * w_stride, w_stride, rows - r, k, x, x_stride, tokens, y + r, y_stride);        \
    }
#define SCORES_AHEAD 8192
SCORES(f32, float)
SCORES(f16, uint16_t)
SCORES(i8, int8_t)

static float CK(exp_sum_f32)(float *x, float m, size_t n) {
    const vf top = splat(m);
    EACH(n, PUT(x, exp_(AT(x) - top)););
    return CK(sum_f32)(x, n);
}

static void CK(scale_axpy_f32)(float b, float a, const float *x, float *y, size_t n) {
    const vf keep = splat(b), factor = splat(a);
    EACH(n, PUT(y, fma_(factor, AT(x), keep * AT(y))););
}

// MARK: Sums of values

/// Rows (queries) and vectors of columns whose sums stay in registers while the values go by.
#define SUM_ROWS 4
#define SUM_STEPS (W == 8 ? 2 : 4)
/// Values taken before the next columns: they stay in the first-level cache for all rows and columns.
#define SUM_BLOCK 32

#define SUM_TILE(FORMAT, TYPE, ROWS, STEPS, NAME)                                                                      \
    static void CK(NAME)(const float *p, size_t p_stride, size_t count, const TYPE *v, size_t v_stride, size_t ahead,  \
                         float *out, size_t out_stride) {                                                              \
        vf s[ROWS][STEPS];                                                                                             \
        UNROLL for (int r = 0; r < ROWS; r++)                                                                          \
            UNROLL for (int c = 0; c < STEPS; c++) s[r][c] = load(out + r * out_stride + c * W);                       \
        for (size_t j = 0; j < count; j++) {                                                                           \
            const TYPE *value = v + j * v_stride;                                                                      \
            if (ahead)                                                                                                 \
                UNROLL for (size_t line = 0; line < STEPS * W * sizeof(TYPE); line += 64)                              \
                    __builtin_prefetch((const char *)(value + ahead) + line, 0, 3);                                    \
            vf b[STEPS];                                                                                               \
            UNROLL for (int c = 0; c < STEPS; c++) b[c] = load_##FORMAT(value + c * W);                                \
            UNROLL for (int r = 0; r < ROWS; r++) {                                                                    \
                vf a = splat(p[r * p_stride + j]);                                                                     \
                UNROLL for (int c = 0; c < STEPS; c++) s[r][c] = fma_(a, b[c], s[r][c]);                               \
            }                                                                                                          \
        }                                                                                                              \
        UNROLL for (int r = 0; r < ROWS; r++)                                                                          \
            UNROLL for (int c = 0; c < STEPS; c++) store(out + r * out_stride + c * W, s[r][c]);                       \
    }

#define WEIGHTED_SUMS(FORMAT, TYPE)                                                                                    \
    SUM_TILE(FORMAT, TYPE, 1, SUM_STEPS, sums_##FORMAT##_1)                                                            \
    SUM_TILE(FORMAT, TYPE, 2, SUM_STEPS, sums_##FORMAT##_2)                                                            \
    SUM_TILE(FORMAT, TYPE, 3, SUM_STEPS, sums_##FORMAT##_3)                                                            \
    SUM_TILE(FORMAT, TYPE, 4, SUM_STEPS, sums_##FORMAT##_4)                                                            \
    SUM_TILE(FORMAT, TYPE, 1, 1, sums_##FORMAT##_narrow)                                                               \
    static void CK(weighted_sums_##FORMAT)(const float *p, size_t p_stride, size_t rows, size_t count, const TYPE *v,  \
                                           size_t v_stride, float *out, size_t out_stride, size_t n) {                 \
        for (size_t j = 0, values; j < count; j += values) {                                                           \
            values = count - j < SUM_BLOCK ? count - j : SUM_BLOCK;                                                    \
            const TYPE *block = v + j * v_stride;                                                                      \
            size_t i = 0;                                                                                              \
            for (; i + SUM_STEPS * W <= n; i += SUM_STEPS * W)                                                         \
                for (size_t r = 0, step; r < rows; r += step) {                                                        \
                    step = rows - r < SUM_ROWS ? rows - r : SUM_ROWS;                                                  \
                    size_t ahead = r == 0 && j + values < count ? SUM_BLOCK * v_stride : 0;                            \
                    (step == 4 ? CK(sums_##FORMAT##_4) : step == 3 ? CK(sums_##FORMAT##_3)                             \
                     : step == 2 ? CK(sums_##FORMAT##_2) : CK(sums_##FORMAT##_1))(                                     \
                        p + r * p_stride + j, p_stride, values, block + i, v_stride, ahead, out + r * out_stride + i,  \
                        out_stride);                                                                                   \
                }                                                                                                      \
            for (; i + W <= n; i += W)                                                                                 \
                for (size_t r = 0; r < rows; r++)                                                                      \
                    CK(sums_##FORMAT##_narrow)(p + r * p_stride + j, p_stride, values, block + i, v_stride, 0,         \
                                               out + r * out_stride + i, out_stride);                                  \
            if (i < n)                                                                                                 \
                for (size_t r = 0; r < rows; r++) {                                                                    \
                    float *y = out + r * out_stride + i;                                                               \
                    vf s = load_part(y, n - i);                                                                        \
                    for (size_t k = 0; k < values; k++)                                                                \
                        s = fma_(splat(p[r * p_stride + j + k]), load_##FORMAT##_part(block + k * v_stride + i, n - i), s); \
                    store_part(y, s, n - i);                                                                           \
                }                                                                                                      \
        }                                                                                                              \
    }
WEIGHTED_SUMS(f32, float)
WEIGHTED_SUMS(f16, uint16_t)
WEIGHTED_SUMS(i8, int8_t)

// MARK: Rounding

static void CK(f32_to_f16)(const float *x, uint16_t *y, size_t n) {
    EACH(n, vf value = AT(x); vu sign = (vu)value & 0x80000000u; vf a = minimum((vf)((vu)value ^ sign), splat(65504.0f));
         vu bits = (vu)a;
         // To even: add half a unit less one, and the last bit kept. Below 2^-14 the sum with 0.5 rounds to multiples of 2^-24.
         vu normal = (bits + 0xFFF + ((bits >> 13) & 1) - 0x38000000u) >> 13;
         vu small = (vu)(a + splat(0.5f)) - (vu)splat(0.5f);
         vu magnitude = (vu)select_((vi)(a < splat(0x1p-14f)), (vf)small, (vf)normal);
         magnitude = (vu)select_((vi)(value != value), (vf)((vu){0} + 0x7E00u), (vf)magnitude);
         vh half = __builtin_convertvector(magnitude | (sign >> 16), vh); __builtin_memcpy(y + i, &half, 2 * rest););
}

static float CK(f32_to_i8)(const float *x, int8_t *y, size_t n) {
    vf largest = splat(0);
    EACH(n, vf a = (vf)((vu)AT(x) & 0x7FFFFFFFu); largest = select_(a > largest, a, largest););
    float top = largest[0];
    for (int j = 1; j < W; j++) if (largest[j] > top) top = largest[j];
    float scale = top / 127.0f;
    if (!(scale > 1e-30f && scale < 1e30f)) scale = 0;
    const vf inverse = splat(scale > 0 ? 1.0f / scale : 0), magic = splat(12582912.0f);
    // 1.5 * 2^23: the sum rounds to an integer in the low bits.
    EACH(n, vi q = (vi)(AT(x) * inverse + magic); vb b = __builtin_convertvector(q, vb); __builtin_memcpy(y + i, &b, rest););
    return scale;
}
