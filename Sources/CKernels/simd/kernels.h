// The vector versions of all kernels, written once. A file per instruction set includes this after defining
//
//   CK_SUFFIX                     its suffix
//   W                             float lanes of its vector: 16, 8 or 4
//   vf                            that vector, a Clang vector type
//   fma_(a, b, c)                 a * b + c
//   load_part(p, n), store_part(p, v, n)            the first n < W lanes; missing lanes load as 0
//   load_f16(p), load_bf16(p)                       W elements widened to float32
//   TILE_ROWS, TILE_TOKENS        register tile of a matrix product: TILE_ROWS * TILE_TOKENS * 16 / W accumulators
//   COMPACT_BLOCK                 if it has one: keeps the lanes of a vector above a cutoff, with their indices; gives their number
//   WIDEN_BLOCKS                  1 if 16-bit weights are widened once for a block of tokens (where widening is dear)
//
// A reduction always has 16 partial sums, held in V = 16 / W vectors, so every instruction set adds in the same order.
#include "../include/ckernels_table.h"

#pragma STDC FP_CONTRACT OFF

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")
#define V (16 / W)

typedef int32_t vi __attribute__((vector_size(4 * W)));
typedef uint32_t vu __attribute__((vector_size(4 * W)));
typedef struct { vf part[V]; } sums;

// MARK: Vectors

INLINE vf splat(float x) { return x - (vf){0}; }
INLINE vf load(const float *p) { vf v; __builtin_memcpy(&v, p, sizeof v); return v; }
INLINE void store(float *p, vf v) { __builtin_memcpy(p, &v, sizeof v); }
INLINE vf load_f32(const float *p) { return load(p); }
INLINE vf select_(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }
INLINE vf minimum(vf a, vf b) { return select_(a < b, a, b); }
INLINE vf maximum(vf a, vf b) { return select_(a > b, a, b); }

INLINE vf load_f16_part(const uint16_t *p, size_t n) {
    uint16_t buffer[W] = {0};
    __builtin_memcpy(buffer, p, 2 * n);
    return load_f16(buffer);
}
INLINE vf load_bf16_part(const uint16_t *p, size_t n) {
    uint16_t buffer[W] = {0};
    __builtin_memcpy(buffer, p, 2 * n);
    return load_bf16(buffer);
}
INLINE vf load_f32_part(const float *p, size_t n) { return load_part(p, n); }

/// ((0+8)+(4+12)) + ((2+10)+(6+14)) and the odd ones likewise, as in plain C.
INLINE float reduce(const sums *s) {
#if W == 16
    typedef float v8 __attribute__((vector_size(32)));
    v8 e = __builtin_shufflevector(s->part[0], s->part[0], 0, 1, 2, 3, 4, 5, 6, 7)
         + __builtin_shufflevector(s->part[0], s->part[0], 8, 9, 10, 11, 12, 13, 14, 15);
#elif W == 8
    vf e = s->part[0] + s->part[1];
#endif
    typedef float v4 __attribute__((vector_size(16)));
    typedef float v2 __attribute__((vector_size(8)));
#if W == 4
    v4 f = (s->part[0] + s->part[2]) + (s->part[1] + s->part[3]);
#else
    v4 f = __builtin_shufflevector(e, e, 0, 1, 2, 3) + __builtin_shufflevector(e, e, 4, 5, 6, 7);
#endif
    v2 g = __builtin_shufflevector(f, f, 0, 1) + __builtin_shufflevector(f, f, 2, 3);
    return g[0] + g[1];
}

/// Four reductions at once, to four values side by side: the same additions, in shared instructions.
INLINE void reduce_four(const sums *a, const sums *b, const sums *c, const sums *d, float *y) {
#if W == 16
    typedef float v4 __attribute__((vector_size(16)));
    vf p = a->part[0], q = b->part[0], r = c->part[0], s = d->part[0];
    // i + 8: eight sums each of a and b, of c and d.
    vf ab = __builtin_shufflevector(p, q, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23)
          + __builtin_shufflevector(p, q, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    vf cd = __builtin_shufflevector(r, s, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23)
          + __builtin_shufflevector(r, s, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    // i + 4: four sums each, in the order a, b, c, d.
    vf f = __builtin_shufflevector(ab, cd, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27)
         + __builtin_shufflevector(ab, cd, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
    // i + 2, then i + 1, inside each four.
    f = f + __builtin_shufflevector(f, f, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
    f = f + __builtin_shufflevector(f, f, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
    v4 sum = __builtin_shufflevector(f, f, 0, 4, 8, 12);
    __builtin_memcpy(y, &sum, sizeof sum);
#else
    y[0] = reduce(a);
    y[1] = reduce(b);
    y[2] = reduce(c);
    y[3] = reduce(d);
#endif
}

// MARK: Elementary functions. The last vector of a row is padded, so an element's value never depends on its place.

/// e^x: x = n ln 2 + r, a polynomial in r, and 2^n in two factors so that results down to the smallest denormal and up to
/// infinity come out right. Cephes coefficients; error below 2 units in the last place.
INLINE vf exp_(vf x) {
    vf c = minimum(maximum(x, splat(-105.0f)), splat(90.0f));
    vf t = fma_(c, splat(1.44269504088896341f), splat(12582912.0f));   // 1.5 * 2^23: rounds to an integer in the low bits
    vi n = (vi)t - (vi)splat(12582912.0f);
    vf f = t - splat(12582912.0f);
    vf r = fma_(f, splat(-0.693359375f), c);
    r = fma_(f, splat(2.12194440e-4f), r);
    vf p = splat(1.9875691500e-4f);
    p = fma_(p, r, splat(1.3981999507e-3f));
    p = fma_(p, r, splat(8.3334519073e-3f));
    p = fma_(p, r, splat(4.1665795894e-2f));
    p = fma_(p, r, splat(1.6666665459e-1f));
    p = fma_(p, r, splat(5.0000001201e-1f));
    p = fma_(p, r * r, r) + splat(1.0f);
    vi half = n >> 1;
    vf y = p * (vf)((half + 127) << 23) * (vf)((n - half + 127) << 23);
    return select_(x != x, x, y);
}

INLINE vf sigmoid_(vf x) { return splat(1.0f) / (splat(1.0f) + exp_(-x)); }

/// tanh x: an odd polynomial (Cephes) up to 0.625, beyond it 1 - 2 / (e^2|x| + 1).
INLINE vf tanh_(vf x) {
    const vu sign_bit = (vu){0} + 0x80000000u;
    vf a = (vf)((vu)x & ~sign_bit);
    vf z = x * x;
    vf p = splat(-5.70498872745e-3f);
    p = fma_(p, z, splat(2.06390887954e-2f));
    p = fma_(p, z, splat(-5.37397155531e-2f));
    p = fma_(p, z, splat(1.33314422036e-1f));
    p = fma_(p, z, splat(-3.33332819422e-1f));
    vf near = fma_(p * z, x, x);
    vf far = splat(1.0f) - splat(2.0f) / (exp_(a + a) + splat(1.0f));
    far = (vf)((vu)far | ((vu)x & sign_bit));
    return select_(x != x, x, select_(a < splat(0.625f), near, far));
}

/// 0.5 x (1 + tanh u) = x sigmoid(2u): one exponential, and no cancellation where x is far below zero.
INLINE vf gelu_(vf x) {
    vf u = splat(1.5957691216057308f) * fma_(splat(0.044715f) * x * x, x, x);
    return x * sigmoid_(u);
}

// MARK: Rows

/// Runs `STATEMENTS` for whole vectors and once more for a padded rest; `AT(p)` loads from p, `PUT(p, v)` stores.
#define EACH(n, STATEMENTS)                                                                                            \
    do {                                                                                                               \
        size_t i = 0;                                                                                                  \
        for (; i + W <= n; i += W) {                                                                                   \
            const size_t rest = W;                                                                                     \
            STATEMENTS                                                                                                 \
        }                                                                                                              \
        if (i < n) {                                                                                                   \
            const size_t rest = n - i;                                                                                 \
            STATEMENTS                                                                                                 \
        }                                                                                                              \
    } while (0)
#define AT(p) (rest == W ? load((p) + i) : load_part((p) + i, rest))
#define PUT(p, v) (rest == W ? store((p) + i, v) : store_part((p) + i, v, rest))

static void CK(f16_to_f32)(const uint16_t *x, float *y, size_t n) {
    EACH(n, vf v = rest == W ? load_f16(x + i) : load_f16_part(x + i, rest); PUT(y, v););
}
static void CK(bf16_to_f32)(const uint16_t *x, float *y, size_t n) {
    EACH(n, vf v = rest == W ? load_bf16(x + i) : load_bf16_part(x + i, rest); PUT(y, v););
}

static size_t CK(compact_above_f32)(const float *x, float cutoff, size_t n, int32_t *indices, float *values) {
    size_t count = 0, i = 0;
#ifdef COMPACT_BLOCK
    for (; i + W <= n; i += W) count += COMPACT_BLOCK(x + i, cutoff, (int32_t)i, indices + count, values + count, n - count);
#endif
    for (; i < n; i++) {
        indices[count] = (int32_t)i;
        values[count] = x[i];
        count += x[i] > cutoff;
    }
    return count;
}

// MARK: Matrix products

/// Columns of a row handled before the next tile: the weights and activations of a tile stay in the first-level cache.
#define BLOCK_COLUMNS 512
/// Rows and tokens whose partial sums are held between blocks of columns (on the stack).
#define BLOCK_ROWS 32
#define BLOCK_TOKENS 24
/// How far ahead of a matrix-vector product its weights are fetched.
#define PREFETCH_BYTES 8192


/// `ROWS` x `TOKENS` products over `k` columns. Sums start at zero or continue `sums_in_out`; they end there or, reduced, in y.
#define TILE(FORMAT, TYPE, ROWS, TOKENS)                                                                               \
    static void CK(FORMAT##_##ROWS##x##TOKENS)(const TYPE *w, size_t w_stride, const float *x, size_t x_stride,        \
                                               size_t k, sums *sums_in_out, int first, int last, float *y,             \
                                               size_t y_stride) {                                                      \
        sums s[ROWS][TOKENS];                                                                                          \
        UNROLL for (int r = 0; r < ROWS; r++)                                                                          \
            UNROLL for (int t = 0; t < TOKENS; t++)                                                                    \
                UNROLL for (int v = 0; v < V; v++) s[r][t].part[v] = splat(0);                                         \
        if (!first)                                                                                                    \
            UNROLL for (int r = 0; r < ROWS; r++)                                                                      \
                UNROLL for (int t = 0; t < TOKENS; t++) s[r][t] = sums_in_out[r * TOKENS + t];                         \
        size_t i = 0;                                                                                                  \
        for (; i + 16 <= k; i += 16) {                                                                                 \
            UNROLL for (int v = 0; v < V; v++) {                                                                       \
                vf b[TOKENS];                                                                                          \
                UNROLL for (int t = 0; t < TOKENS; t++) b[t] = load(x + t * x_stride + i + v * W);                     \
                UNROLL for (int r = 0; r < ROWS; r++) {                                                                \
                    vf a = load_##FORMAT(w + r * w_stride + i + v * W);                                                \
                    UNROLL for (int t = 0; t < TOKENS; t++) s[r][t].part[v] = fma_(a, b[t], s[r][t].part[v]);          \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        UNROLL for (int v = 0; v < V; v++, i += W) {                                                                   \
            size_t n = i >= k ? 0 : k - i < W ? k - i : W;                                                             \
            if (n == 0) continue;                                                                                      \
            UNROLL for (int r = 0; r < ROWS; r++) {                                                                    \
                vf a = load_##FORMAT##_part(w + r * w_stride + i, n);                                                  \
                UNROLL for (int t = 0; t < TOKENS; t++)                                                                \
                    s[r][t].part[v] = fma_(a, load_part(x + t * x_stride + i, n), s[r][t].part[v]);                    \
            }                                                                                                          \
        }                                                                                                              \
        if (last && ROWS == 4)                                                                                         \
            UNROLL for (int t = 0; t < TOKENS; t++)                                                                    \
                reduce_four(&s[0][t], &s[ROWS > 1][t], &s[ROWS / 2][t], &s[ROWS - 1][t], y + t * y_stride);            \
        else if (last)                                                                                                 \
            UNROLL for (int r = 0; r < ROWS; r++)                                                                      \
                UNROLL for (int t = 0; t < TOKENS; t++) y[t * y_stride + r] = reduce(&s[r][t]);                        \
        else                                                                                                           \
            UNROLL for (int r = 0; r < ROWS; r++)                                                                      \
                UNROLL for (int t = 0; t < TOKENS; t++) sums_in_out[r * TOKENS + t] = s[r][t];                         \
    }

/// One row times one vector. Memory decides the speed here: rows are walked one after the other in address order, with a
/// prefetch well ahead; walking several rows side by side was slower (docs/performance.md).
#define VECTOR(FORMAT, TYPE)                                                                                           \
    INLINE float CK(FORMAT##_row)(const TYPE *w, const float *x, size_t k) {                                          \
        sums s;                                                                                                        \
        UNROLL for (int v = 0; v < V; v++) s.part[v] = splat(0);                                                       \
        size_t i = 0;                                                                                                  \
        for (; i + 64 / sizeof(TYPE) <= k; i += 64 / sizeof(TYPE)) {                                                   \
            __builtin_prefetch((const char *)(w + i) + PREFETCH_BYTES, 0, 3);                                          \
            UNROLL for (size_t j = 0; j < 64 / sizeof(TYPE); j += 16)                                                  \
                UNROLL for (int v = 0; v < V; v++)                                                                     \
                    s.part[v] = fma_(load_##FORMAT(w + i + j + v * W), load(x + i + j + v * W), s.part[v]);            \
        }                                                                                                              \
        for (; i + 16 <= k; i += 16)                                                                                   \
            UNROLL for (int v = 0; v < V; v++)                                                                         \
                s.part[v] = fma_(load_##FORMAT(w + i + v * W), load(x + i + v * W), s.part[v]);                        \
        UNROLL for (int v = 0; v < V; v++, i += W) {                                                                   \
            size_t n = i >= k ? 0 : k - i < W ? k - i : W;                                                             \
            if (n) s.part[v] = fma_(load_##FORMAT##_part(w + i, n), load_part(x + i, n), s.part[v]);                   \
        }                                                                                                              \
        return reduce(&s);                                                                                             \
    }

#if TILE_TOKENS == 6
#define TILES(FORMAT, TYPE, ROWS)                                                                                      \
    TILE(FORMAT, TYPE, ROWS, 1) TILE(FORMAT, TYPE, ROWS, 2) TILE(FORMAT, TYPE, ROWS, 3)                       \
    TILE(FORMAT, TYPE, ROWS, 4) TILE(FORMAT, TYPE, ROWS, 5) TILE(FORMAT, TYPE, ROWS, 6)
#define TILE_NAMES(FORMAT, ROWS)                                                                                       \
    CK(FORMAT##_##ROWS##x1), CK(FORMAT##_##ROWS##x2), CK(FORMAT##_##ROWS##x3), CK(FORMAT##_##ROWS##x4),                \
        CK(FORMAT##_##ROWS##x5), CK(FORMAT##_##ROWS##x6)
#else
#define TILES(FORMAT, TYPE, ROWS)                                                                                      \
    TILE(FORMAT, TYPE, ROWS, 1) TILE(FORMAT, TYPE, ROWS, 2) TILE(FORMAT, TYPE, ROWS, 3)
#define TILE_NAMES(FORMAT, ROWS) CK(FORMAT##_##ROWS##x1), CK(FORMAT##_##ROWS##x2), CK(FORMAT##_##ROWS##x3)
#endif

#define TILE_TYPE(FORMAT, TYPE)                                                                                        \
    typedef void CK(tile_##FORMAT)(const TYPE *, size_t, const float *, size_t, size_t, sums *, int, int, float *, size_t);
TILE_TYPE(f32, float)
TILE_TYPE(f16, uint16_t)
TILE_TYPE(bf16, uint16_t)

/// Rows r … of a product too large for the caches: blocks of columns, whose partial sums are held between them. `AT` is the
/// place of row `rr`, column `i` of the weights, `STRIDE` their stride, `PREPARE` what happens before a block is used.
#define BLOCKS(FORMAT, ROWS, AT, STRIDE, PREPARE)                                                                      \
    static CK(tile_##FORMAT) *const narrow[] = {0, TILE_NAMES(FORMAT, 1)}, *const wide[] = {0, TILE_NAMES(FORMAT, ROWS)}; \
    sums held[BLOCK_ROWS * BLOCK_TOKENS];                                                                              \
    for (; r < rows; r += BLOCK_ROWS) {                                                                                \
        size_t r_end = rows - r < BLOCK_ROWS ? rows : r + BLOCK_ROWS;                                                  \
        for (size_t t = 0; t < tokens; t += BLOCK_TOKENS) {                                                            \
            size_t t_end = tokens - t < BLOCK_TOKENS ? tokens : t + BLOCK_TOKENS;                                      \
            for (size_t i = 0; i < k; i += BLOCK_COLUMNS) {                                                            \
                size_t columns = k - i < BLOCK_COLUMNS ? k - i : BLOCK_COLUMNS;                                        \
                sums *slot = held;                                                                                     \
                PREPARE                                                                                                \
                for (size_t tt = t, n; tt < t_end; tt += n) {                                                          \
                    n = t_end - tt < TILE_TOKENS ? t_end - tt : TILE_TOKENS;                                           \
                    for (size_t rr = r, step; rr < r_end; rr += step) {                                                \
                        step = r_end - rr < ROWS ? 1 : ROWS;                                                           \
                        (step == 1 ? narrow : wide)[n](AT, STRIDE, x + tt * x_stride + i, x_stride, columns, slot,     \
                                                       i == 0, i + columns == k, y + tt * y_stride + rr, y_stride);    \
                        slot += step * n;                                                                              \
                    }                                                                                                  \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }
#define BLOCKS_float(FORMAT, ROWS) BLOCKS(FORMAT, ROWS, w + rr * w_stride + i, w_stride, )
#if WIDEN_BLOCKS
#define BLOCKS_uint16_t(FORMAT, ROWS)                                                                                  \
    float widened[BLOCK_ROWS * BLOCK_COLUMNS];                                                                         \
    BLOCKS(f32, ROWS, widened + (rr - r) * BLOCK_COLUMNS, BLOCK_COLUMNS,                                               \
           for (size_t rr = r; rr < r_end; rr++) CK(FORMAT##_to_f32)(w + rr * w_stride + i,                            \
                                                                     widened + (rr - r) * BLOCK_COLUMNS, columns);)
#else
#define BLOCKS_uint16_t(FORMAT, ROWS) BLOCKS_float(FORMAT, ROWS)
#endif

#define MATMUL_(FORMAT, TYPE, ROWS)                                                                                    \
    TILES(FORMAT, TYPE, ROWS)                                                                                          \
    TILES(FORMAT, TYPE, 1)                                                                                             \
    VECTOR(FORMAT, TYPE)                                                                                               \
    static void CK(matmul_##FORMAT) CK_MATMUL_PARAMETERS(TYPE) {                                                       \
        static CK(tile_##FORMAT) *const one_row[] = {0, TILE_NAMES(FORMAT, 1)}, *const tiled[] = {0, TILE_NAMES(FORMAT, ROWS)};     \
        size_t r = 0;                                                                                                  \
        if (tokens == 1)                                                                                               \
            for (; r < rows; r++) y[r] = CK(FORMAT##_row)(w + r * w_stride, x, k);                                     \
        if (tokens <= 2 * TILE_TOKENS || k == 0) {                                                                   \
            while (r < rows) {                                                                                         \
                size_t step = rows - r < ROWS ? 1 : ROWS;                                                              \
                for (size_t t = 0, n; t < tokens; t += n) {                                                            \
                    n = tokens - t < TILE_TOKENS ? tokens - t : TILE_TOKENS;                                           \
                    (step == 1 ? one_row : tiled)[n](w + r * w_stride, w_stride, x + t * x_stride, x_stride, k, 0, 1,  \
                                                     1, y + t * y_stride + r, y_stride);                               \
                }                                                                                                      \
                r += step;                                                                                             \
            }                                                                                                          \
            return;                                                                                                    \
        }                                                                                                              \
        BLOCKS_##TYPE(FORMAT, ROWS)                                                                                    \
    }
#define MATMUL(FORMAT, TYPE) MATMUL__(FORMAT, TYPE, TILE_ROWS)
#define MATMUL__(FORMAT, TYPE, ROWS) MATMUL_(FORMAT, TYPE, ROWS)

MATMUL(f32, float)
MATMUL(f16, uint16_t)
MATMUL(bf16, uint16_t)

#include "gemm.h"

// MARK: Sums and norms

/// Sum over i of a product `A * B`, where `a` is `x[i]`; padding must contribute zero.
#define ROW_SUM(...)                                                                                                   \
    sums s;                                                                                                            \
    UNROLL for (int v = 0; v < V; v++) s.part[v] = splat(0);                                                           \
    size_t i = 0;                                                                                                      \
    const size_t rest = W;                                                                                             \
    for (; i + 16 <= n; )                                                                                              \
        UNROLL for (int v = 0; v < V; v++, i += W) { __VA_ARGS__ }                                                     \
    UNROLL for (int v = 0; v < V; v++, i += W) {                                                                       \
        const size_t rest = i >= n ? 0 : n - i < W ? n - i : W;                                                        \
        if (rest) { __VA_ARGS__ }                                                                                      \
    }                                                                                                                  \
    return reduce(&s);

static float CK(sum_squares_f32)(const float *x, size_t n) {
    ROW_SUM(vf a = AT(x); s.part[v] = fma_(a, a, s.part[v]);)
}
static float CK(sum_f32)(const float *x, size_t n) { ROW_SUM(s.part[v] += AT(x);) }
static float CK(dot_f32)(const float *x, const float *y, size_t n) {
    ROW_SUM(s.part[v] = fma_(AT(x), AT(y), s.part[v]);)
}

/// 0 ... W - 1, to blank the padding of a last vector.
INLINE vi lanes_below(size_t n) {
    int32_t index[W];
    UNROLL for (int j = 0; j < W; j++) index[j] = j;
    vi v;
    __builtin_memcpy(&v, index, sizeof v);
    return v < (vi){0} + (int32_t)n;
}

static float CK(sum_squared_deviations_f32)(const float *x, float mean, size_t n) {
    ROW_SUM(vf d = AT(x) - splat(mean); if (rest < W) d = select_(lanes_below(rest), d, splat(0));
            s.part[v] = fma_(d, d, s.part[v]);)
}

static float CK(max_f32)(const float *x, size_t n) {
    const vf lowest = splat(-__builtin_inff());
    vf m = lowest;
    EACH(n, vf a = AT(x); if (rest < W) a = select_(lanes_below(rest), a, lowest); m = select_(a > m, a, m););
    float best = m[0];
    for (int j = 1; j < W; j++) if (m[j] > best) best = m[j];
    return best;
}

static void CK(rms_norm_f32)(const float *x, const float *w, float eps, float *y, size_t n) {
    const vf scale = splat(1.0f / __builtin_elementwise_sqrt(CK(sum_squares_f32)(x, n) / (float)n + eps));
    if (w) EACH(n, PUT(y, AT(x) * scale * AT(w)););
    else EACH(n, PUT(y, AT(x) * scale););
}

static void CK(rms_norm_gelu_f32)(const float *x, const float *w, float eps, float *y, size_t n) {
    const vf scale = splat(1.0f / __builtin_elementwise_sqrt(CK(sum_squares_f32)(x, n) / (float)n + eps));
    EACH(n, PUT(y, gelu_(AT(x) * scale * AT(w))););
}
static void CK(rms_norm_add_f32)(const float *z, const float *w, float eps, const float *a, const float *x, float *y, size_t n) {
    const vf scale = splat(1.0f / __builtin_elementwise_sqrt(CK(sum_squares_f32)(z, n) / (float)n + eps));
    if (a && x) EACH(n, PUT(y, AT(x) + AT(z) * scale * AT(w) * AT(a)););
    else if (x) EACH(n, PUT(y, AT(x) + AT(z) * scale * AT(w)););
    else if (a) EACH(n, PUT(y, AT(z) * scale * AT(w) * AT(a)););
    else EACH(n, PUT(y, AT(z) * scale * AT(w)););
}

static void CK(axpy_f32)(float a, const float *x, float *y, size_t n) {
    const vf factor = splat(a);
    EACH(n, PUT(y, fma_(factor, AT(x), AT(y))););
}
static void CK(multiply_add_f32)(const float *a, const float *x, float *y, size_t n) {
    EACH(n, PUT(y, fma_(AT(a), AT(x), AT(y))););
}
static void CK(scale_f32)(float a, const float *x, float *y, size_t n) {
    const vf factor = splat(a);
    EACH(n, PUT(y, factor * AT(x)););
}
static void CK(multiply_f32)(const float *a, const float *x, float *y, size_t n) { EACH(n, PUT(y, AT(a) * AT(x));); }
static void CK(add_f32)(const float *x, float *y, size_t n) { EACH(n, PUT(y, AT(y) + AT(x));); }

static void CK(gelu_f32)(const float *x, float *y, size_t n) { EACH(n, PUT(y, gelu_(AT(x)));); }
static void CK(gelu_multiply_f32)(const float *g, const float *u, float *y, size_t n) {
    EACH(n, PUT(y, gelu_(AT(g)) * AT(u)););
}
static void CK(gelu_cutoff_multiply_f32)(const float *g, float cutoff, const float *u, float *y, size_t n) {
    const vf limit = splat(cutoff);
    EACH(n, vf v = AT(g) - limit; PUT(y, select_(v > splat(0), gelu_(v) * AT(u), splat(0))););
}
static void CK(silu_f32)(const float *x, float *y, size_t n) { EACH(n, vf v = AT(x); PUT(y, v * sigmoid_(v));); }
static void CK(glu_f32)(const float *a, const float *b, float *y, size_t n) { EACH(n, PUT(y, AT(a) * sigmoid_(AT(b)));); }
static void CK(softcap_f32)(const float *x, float cap, float *y, size_t n) {
    const vf c = splat(cap);
    EACH(n, PUT(y, c * tanh_(AT(x) / c)););
}

static void CK(softmax_f32)(float *x, size_t n) {
    if (!n) return;
    const vf m = splat(CK(max_f32)(x, n));
    EACH(n, PUT(x, exp_(AT(x) - m)););
    CK(scale_f32)(1.0f / CK(sum_f32)(x, n), x, x, n);
}

static void CK(rope_f32)(float *x, const float *cos, const float *sin, size_t half) {
    float *z = x + half;
    EACH(half, vf a = AT(x); vf b = AT(z); vf c = AT(cos); vf s = AT(sin);
         PUT(x, fma_(a, c, -(b * s))); PUT(z, fma_(b, c, a * s)););
}

// MARK: Weighted sums

/// Columns whose sums stay in registers while the rows go by.
#define COLUMNS (W == 8 ? 8 : 16)

/// `STEPS` vectors of columns: sums over j < count of WEIGHT * VALUE, j ascending, skipping j where not PRESENT.
#define COLUMN_SUMS(STEPS, START, PRESENT, WEIGHT, VALUE)                                                              \
    for (; i + STEPS * W <= n; i += STEPS * W) {                                                                       \
        const size_t rest = W;                                                                                         \
        vf s[STEPS];                                                                                                   \
        UNROLL for (int c = 0; c < STEPS; c++) s[c] = START(i + c * W);                                                \
        for (size_t j = 0; j < count; j++)                                                                             \
            if (PRESENT) {                                                                                             \
                UNROLL for (int c = 0; c < STEPS; c++) s[c] = fma_(WEIGHT(i + c * W), VALUE(i + c * W), s[c]);         \
            }                                                                                                          \
        UNROLL for (int c = 0; c < STEPS; c++) store(out + i + c * W, s[c]);                                           \
        (void)rest;                                                                                                    \
    }
#define COLUMN_SUMS_REST(START, PRESENT, WEIGHT, VALUE)                                                                \
    if (i < n) {                                                                                                       \
        const size_t rest = n - i;                                                                                     \
        vf s = START(i);                                                                                               \
        for (size_t j = 0; j < count; j++)                                                                             \
            if (PRESENT) s = fma_(WEIGHT(i), VALUE(i), s);                                                             \
        store_part(out + i, s, rest);                                                                                  \
    }
#define PIECE(p) (rest == W ? load(p) : load_part(p, rest))
#define ROW_WEIGHT(at) splat(p[j])
#define ROW_VALUE(at) PIECE(v + j * v_stride + (at))
#define FROM_ZERO(at) splat(0)
#define FROM_OUT(at) PIECE(out + (at))

static void CK(weighted_sum_f32)(const float *p, size_t count, const float *v, size_t v_stride, float *out, size_t n) {
    size_t i = 0;
    COLUMN_SUMS(COLUMNS, FROM_ZERO, 1, ROW_WEIGHT, ROW_VALUE)
    COLUMN_SUMS(4, FROM_ZERO, 1, ROW_WEIGHT, ROW_VALUE)
    COLUMN_SUMS(1, FROM_ZERO, 1, ROW_WEIGHT, ROW_VALUE)
    COLUMN_SUMS_REST(FROM_ZERO, 1, ROW_WEIGHT, ROW_VALUE)
}
static void CK(weighted_sum_add_f32)(const float *p, size_t count, const float *v, size_t v_stride, float *out, size_t n) {
    size_t i = 0;
    COLUMN_SUMS(COLUMNS, FROM_OUT, 1, ROW_WEIGHT, ROW_VALUE)
    COLUMN_SUMS(4, FROM_OUT, 1, ROW_WEIGHT, ROW_VALUE)
    COLUMN_SUMS(1, FROM_OUT, 1, ROW_WEIGHT, ROW_VALUE)
    COLUMN_SUMS_REST(FROM_OUT, 1, ROW_WEIGHT, ROW_VALUE)
}

#define TAP_WEIGHT(at) PIECE(w + j * channels + (at))
#define TAP_VALUE(at) PIECE(x[j] + (at))

static void CK(weighted_taps_f32)(const float *const *x, const float *w, size_t taps, float *y, size_t channels) {
    float *out = y;
    const size_t n = channels, count = taps;
    size_t i = 0;
    COLUMN_SUMS(8, FROM_ZERO, x[j], TAP_WEIGHT, TAP_VALUE)
    COLUMN_SUMS(1, FROM_ZERO, x[j], TAP_WEIGHT, TAP_VALUE)
    COLUMN_SUMS_REST(FROM_ZERO, x[j], TAP_WEIGHT, TAP_VALUE)
}

#include "attention.h"

// MARK: Limits of the machine

static float CK(measure_read)(const void *bytes, size_t count) {
    vu s[8];
    UNROLL for (int j = 0; j < 8; j++) s[j] = (vu){0};
    const char *p = bytes;
    for (size_t i = 0; i + 8 * sizeof(vu) <= count; i += 8 * sizeof(vu)) {
        UNROLL for (int j = 0; j < 8; j++) {
            vu v;
            __builtin_memcpy(&v, p + i + j * sizeof v, sizeof v);
            s[j] += v;
        }
    }
    UNROLL for (int j = 1; j < 8; j++) s[0] += s[j];
    return (float)s[0][0];
}

static float CK(measure_fma)(size_t steps, double *operations) {
    vf s[12];
    UNROLL for (int j = 0; j < 12; j++) s[j] = splat((float)j);
    const vf a = splat(0.999f), b = splat(0.001f);
    for (size_t i = 0; i < steps; i++) UNROLL for (int j = 0; j < 12; j++) s[j] = fma_(s[j], a, b);
    UNROLL for (int j = 1; j < 12; j++) s[0] += s[j];
    *operations = 2.0 * W * 12 * (double)steps;
    return s[0][0];
}

CK_DEFINE_TABLE
