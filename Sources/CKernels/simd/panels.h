// The vector versions of the panel kernels, written once. A file per instruction set includes this after defining
//
//   CK_SUFFIX                  its suffix
//   W                          rows in a vector: 16, 8 or 4, each 4 bytes of weights, an integer sum or a float
//   vf, vi, vu                 that vector of float, int32_t and uint32_t (Clang vector types)
//   fma_(a, b, c)              a * b + c
//   load_f16(p)                W half-precision numbers widened to float32
//   SIGNED_BYTES               1 if weights of 8 bits are multiplied as w - 128
//   dots                       the sums of a block's dot products while they grow
//   begin(start)               such sums, starting at `start` in every row
//   dot_(bits, g, s, w, x)     adds to s, row by row, 4 weights w (of `bits` bits) times 4 activations x; g counts the groups since `begin`
//   finish(s, start)           the sums of a block (or of half a block): vi
//   TILE_VECTORS, TILE_STEP    register tile of a product with many tokens: vectors of rows (a multiple of 16 / W), tokens (at most 4)
//   FEW_TOKENS                 tokens up to which weights are used without widening them first
//   DIRECT_TOKENS              those of them that pass together, 4 or 8, as registers allow
//   TILE_REGISTERS             1 if there are registers for its float sums besides the integer ones
//   measure_dots               independent sums that `measure_int8` keeps going
#include "../include/ckernels_panels.h"
#include "../portable/panels.h"

#pragma STDC FP_CONTRACT OFF

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")
#define V (16 / W)

/// How far ahead of the product the weights are fetched where they are read once.
#define PREFETCH_BYTES 8192

// MARK: Vectors

INLINE vf splat(float x) { return x - (vf){0}; }
INLINE vi splat_int(int32_t x) { return x + (vi){0}; }
INLINE vf load(const float *p) { vf v; __builtin_memcpy(&v, p, sizeof v); return v; }
INLINE void store(float *p, vf v) { __builtin_memcpy(p, &v, sizeof v); }
INLINE vu load_bytes(const void *p) { vu v; __builtin_memcpy(&v, p, sizeof v); return v; }
INLINE void store_bytes(void *p, vu v) { __builtin_memcpy(p, &v, sizeof v); }
/// 4 activations, the same for every row.
INLINE vu splat_bytes(const void *p) { uint32_t x; __builtin_memcpy(&x, p, 4); return x + (vu){0}; }
INLINE vf to_float(vi x) { return __builtin_convertvector(x, vf); }
INLINE vu widen_u8(const uint8_t *p) {
    typedef uint8_t bytes __attribute__((vector_size(W)));
    bytes b;
    __builtin_memcpy(&b, p, W);
    return __builtin_convertvector(b, vu);
}
INLINE vf widen_s8(const uint8_t *p) {
    typedef int8_t bytes __attribute__((vector_size(W)));
    bytes b;
    __builtin_memcpy(&b, p, W);
    return to_float(__builtin_convertvector(b, vi));
}

// MARK: Activations

static void CK(quantize_activations)(const float *x, size_t x_stride, size_t k, size_t tokens, size_t first, size_t count, void *activations) {
    for (size_t t = first; t < first + count; t++) {
        int8_t *q = (int8_t *)ck_activation_block(activations, t, tokens, k, 0);
        ck_block_sums *sums = (ck_block_sums *)ck_activation_sums(activations, t, tokens, k, 0);
        const size_t stride = ck_activation_stride(t, tokens);
        const float *row = x + t * x_stride;
        for (size_t block = 0; block < k / 32; block++, row += 32, q += 32 * stride, sums += stride) {
            // Magnitudes compare like the integers of their bits, and a NaN is above everything.
            vu greatest = {0};
            UNROLL for (int i = 0; i < 32; i += W) greatest = __builtin_elementwise_max(greatest, (vu)load(row + i) & 0x7FFFFFFFu);
            uint32_t bits = __builtin_reduce_max(greatest);
            float d;
            __builtin_memcpy(&d, &bits, 4);
            d /= 127.0f;
            float r = 1.0f / d;
            if (!(r > 0 && r < __builtin_inff())) {
                *sums = (ck_block_sums){r < __builtin_inff() || d != d ? d : 0, 0, 0, 0};
                __builtin_memset(q, 0, 32);
                continue;
            }
            vi sum[2] = {{0}, {0}};
            UNROLL for (int i = 0; i < 32; i += W) {
                typedef int8_t bytes __attribute__((vector_size(W)));
                // Adding 1.5 * 2^23 rounds to an integer (ties to even) in the low bits.
                vi v = (vi)(load(row + i) * splat(r) + splat(12582912.0f)) - (vi)splat(12582912.0f);
                bytes b = __builtin_convertvector(v, bytes);
                __builtin_memcpy(q + i, &b, W);
                sum[i / 16] += v;
            }
            int32_t sum0 = __builtin_reduce_add(sum[0]), both = __builtin_reduce_add(sum[0] + sum[1]);
            *sums = (ck_block_sums){d, (float)both, -8 * both, -8 * sum0};
        }
    }
}

// MARK: Weights of a record

/// Group g of a block's weights, for the rows of vector v.
INLINE vu group_(const int bits, const uint8_t *p, int g, int v) {
    const uint8_t *at = p + 4 * W * v;
    if (bits == 8) return load_bytes(at + 64 * g);
    vu low = load_bytes(at + 64 * (g / 2));
    vu w = (g % 2 ? low >> 4 : low) & 0x0F0F0F0Fu;
    if (bits == 5) {
        vu high = load_bytes(at + 256);
        w |= (g < 4 ? high << (4 - g) : high >> (g - 4)) & 0x10101010u;
    }
    if (bits == 6) {
        vu high = load_bytes(at + 256 + 64 * (g / 4));
        int shift = 4 - 2 * (g % 4);
        w |= (shift >= 0 ? high << (shift & 7) : high >> (-shift & 7)) & 0x30303030u;
    }
    return w;
}

/// Factors of a block: `a` scales, `b` is the shift's, `c` and `d` are the halves' whole numbers.
typedef struct { vf a, b, c, d; } factors;

INLINE factors factors_(const ck_format format, const uint8_t *record, int j, int v) {
    factors f;
    f.a = f.b = f.c = f.d = (vf){0};
    if (format == CK_Q8_0 || format == CK_Q4_0 || format == CK_Q5_0) f.a = load_f16(record + 32 * j + 2 * W * v);
    if (format == CK_Q4_K || format == CK_Q5_K) {
        vu low = widen_u8(record + 64 + 16 * j + W * v), high = widen_u8(record + 192 + 16 * (j / 2) + W * v) >> (unsigned)(j % 2 * 4);
        f.a = load_f16(record + 2 * W * v) * to_float((vi)((low & 15u) | (high & 3u) << 4));
        f.b = -load_f16(record + 32 + 2 * W * v) * to_float((vi)(low >> 4 | (high & 12u) << 2));
    }
    if (format == CK_Q6_K) {
        f.a = load_f16(record + 2 * W * v);
        f.c = widen_s8(record + 64 + 32 * j + W * v);
        f.d = widen_s8(record + 64 + 32 * j + 16 + W * v);
    }
    if (format == CK_AFFINE4 || format == CK_AFFINE8) {
        f.a = load((const float *)(const void *)record + W * v);
        f.b = load((const float *)(const void *)record + 16 + W * v);
    }
    return f;
}

/// What the integer sums start at, as a multiple of -8 times the activations' sum.
#define START(FORMAT) ((CK_OFFSET(FORMAT) - (SIGNED_BYTES && CK_BITS(FORMAT) == 8 ? 128 : 0)) / 8)

/// A block's integer sums scaled and added to `acc`. Halves: both products and their sum stay below 2^24, so they are exact
/// in float32: the same as whole numbers.
INLINE vf scaled(const int kind, vi sum, vi sum1, factors f, float d, float s, vf acc) {
    vf total = kind == CK_HALVED ? fma_(to_float(sum1), f.d, to_float(sum) * f.c) : to_float(sum);
    acc = fma_(total, f.a * splat(d), acc);
    return kind == CK_SHIFTED ? fma_(splat(s), f.b * splat(d), acc) : acc;
}

// MARK: Few tokens: weights are read once and used where they are

/// One panel times `TOKENS` tokens, `blocks` blocks of 32 columns. `stride`: blocks from one block of a token to its next.
#define DIRECT(FORMAT, TOKENS)                                                                                         \
    static void CK(direct_##FORMAT##_##TOKENS)(const uint8_t *record, size_t blocks, const int8_t *x, const ck_block_sums *sums, \
                                               size_t stride, float *out, size_t out_stride) {                         \
        vf acc[TOKENS][V];                                                                                             \
        UNROLL for (int t = 0; t < TOKENS; t++) UNROLL for (int v = 0; v < V; v++) acc[t][v] = splat(0);               \
        const size_t n = CK_RECORD_BLOCKS(FORMAT);                                                                     \
        for (; blocks >= n; blocks -= n, record += CK_RECORD_BYTES(FORMAT)) {                                          \
            UNROLL for (unsigned i = 0; i < CK_RECORD_HEAD(FORMAT); i += 64) __builtin_prefetch(record + PREFETCH_BYTES + i, 0, 3); \
            if (n == 1) direct(FORMAT, TOKENS, record, 0, x, sums, stride, acc);                                       \
            else                                                                                                       \
                for (unsigned j = 0; j < n; j += 2) {                                                                  \
                    direct(FORMAT, TOKENS, record, j, x + 32 * stride * j, sums + stride * j, stride, acc);            \
                    direct(FORMAT, TOKENS, record, j + 1, x + 32 * stride * (j + 1), sums + stride * (j + 1), stride, acc); \
                }                                                                                                      \
            x += 32 * stride * n;                                                                                      \
            sums += stride * n;                                                                                        \
        }                                                                                                              \
        if (blocks) direct(FORMAT, TOKENS, record, 0, x, sums, stride, acc);                                           \
        UNROLL for (int t = 0; t < TOKENS; t++)                                                                        \
            UNROLL for (int v = 0; v < V; v++) store(out + (size_t)t * out_stride + W * v, acc[t][v]);                 \
    }

INLINE void direct(const ck_format format, const int tokens, const uint8_t *record, unsigned j, const int8_t *x,
                   const ck_block_sums *sums, size_t stride, vf (*acc)[V]) {
    const int bits = CK_BITS(format), kind = CK_KIND(format);
    const uint8_t *p = record + CK_RECORD_HEAD(format) + j * CK_BLOCK_WEIGHTS(format);
    (void)stride;
    UNROLL for (unsigned i = 0; i < CK_BLOCK_WEIGHTS(format); i += 64) __builtin_prefetch(p + PREFETCH_BYTES + i, 0, 3);
    factors f[V];
    UNROLL for (int v = 0; v < V; v++) f[v] = factors_(format, record, (int)j, v);
    dots s[DIRECT_TOKENS][V];
    vi first[DIRECT_TOKENS][V];
    UNROLL for (int half = 0; half < (kind == CK_HALVED ? 2 : 1); half++) {
        const int groups = kind == CK_HALVED ? 4 : 8;
        int32_t start[DIRECT_TOKENS];
        UNROLL for (int t = 0; t < tokens; t++) {
            start[t] = START(format) * (kind != CK_HALVED ? sums[t].minus_8_sums : half ? sums[t].minus_8_sums - sums[t].minus_8_sums_0 : sums[t].minus_8_sums_0);
            UNROLL for (int v = 0; v < V; v++) s[t][v] = begin(start[t]);
        }
        UNROLL for (int g = 0; g < groups; g++) {
            vu w[V];
            UNROLL for (int v = 0; v < V; v++) w[v] = group_(bits, p, g + 4 * half, v);
            UNROLL for (int t = 0; t < tokens; t++) {
                vu b = splat_bytes(x + 32 * t + 4 * (g + 4 * half));
                UNROLL for (int v = 0; v < V; v++) s[t][v] = dot_(bits, g, s[t][v], w[v], b);
            }
        }
        UNROLL for (int t = 0; t < tokens; t++)
            UNROLL for (int v = 0; v < V; v++) {
                vi sum = finish(s[t][v], start[t]);
                if (kind == CK_HALVED && half == 0) first[t][v] = sum;
                else if (kind == CK_HALVED) acc[t][v] = scaled(kind, first[t][v], sum, f[v], sums[t].d, sums[t].sum, acc[t][v]);
                else acc[t][v] = scaled(kind, sum, sum, f[v], sums[t].d, sums[t].sum, acc[t][v]);
            }
    }
}

typedef void CK(direct_kernel)(const uint8_t *, size_t, const int8_t *, const ck_block_sums *, size_t, float *, size_t);
#if DIRECT_TOKENS == 8
#define DIRECTS(FORMAT)                                                                                                \
    DIRECT(FORMAT, 1) DIRECT(FORMAT, 2) DIRECT(FORMAT, 3) DIRECT(FORMAT, 4)                                            \
    DIRECT(FORMAT, 5) DIRECT(FORMAT, 6) DIRECT(FORMAT, 7) DIRECT(FORMAT, 8)
#define DIRECT_NAMES(FORMAT)                                                                                           \
    {0, CK(direct_##FORMAT##_1), CK(direct_##FORMAT##_2), CK(direct_##FORMAT##_3), CK(direct_##FORMAT##_4),            \
     CK(direct_##FORMAT##_5), CK(direct_##FORMAT##_6), CK(direct_##FORMAT##_7), CK(direct_##FORMAT##_8)}
#else
#define DIRECTS(FORMAT) DIRECT(FORMAT, 1) DIRECT(FORMAT, 2) DIRECT(FORMAT, 3) DIRECT(FORMAT, 4)
#define DIRECT_NAMES(FORMAT)                                                                                           \
    {0, CK(direct_##FORMAT##_1), CK(direct_##FORMAT##_2), CK(direct_##FORMAT##_3), CK(direct_##FORMAT##_4)}
#endif

// MARK: Many tokens: weights are widened once for a block of tokens

/// Panels side by side in a tile; columns (in blocks of 32), tokens and rows of a cache block.
#define TILE_PANELS (TILE_VECTORS * W / 16)
#define BLOCK_COLUMNS 16
#define BLOCK_TOKENS 192
#define BLOCK_ROWS 128

/// A block of 16 rows x 32 columns, ready for use.
typedef struct {
    uint8_t q[512];
    float a[16], b[16], c[16];
} __attribute__((aligned(64))) wide_block;

INLINE void widen(const ck_format format, const uint8_t *record, int j, wide_block *wide) {
    const uint8_t *p = record + CK_RECORD_HEAD(format) + (unsigned)j * CK_BLOCK_WEIGHTS(format);
    // The next block of columns.
    const unsigned ahead = BLOCK_COLUMNS / CK_RECORD_BLOCKS(format) * CK_RECORD_BYTES(format);
    UNROLL for (unsigned i = 0; i < CK_BLOCK_WEIGHTS(format); i += 64) __builtin_prefetch(p + ahead + i, 0, 2);
    if (j == 0) UNROLL for (unsigned i = 0; i < CK_RECORD_HEAD(format); i += 64) __builtin_prefetch(record + ahead + i, 0, 2);
    UNROLL for (int v = 0; v < V; v++) {
        UNROLL for (int g = 0; g < 8; g++) store_bytes(wide->q + 64 * g + 4 * W * v, group_(CK_BITS(format), p, g, v));
        factors f = factors_(format, record, j, v);
        store(wide->a + W * v, f.a);
        if (CK_KIND(format) == CK_SHIFTED) store(wide->b + W * v, f.b);
        if (CK_KIND(format) == CK_HALVED) {
            store(wide->b + W * v, f.c);
            store(wide->c + W * v, f.d);
        }
    }
}

/// The tile: TILE_VECTORS vectors of rows x `tokens`, `blocks` blocks of columns. Float sums continue those in `held`, [token][16 * TILE_PANELS].
INLINE void tile(const int kind, const int bits, const int multiple, const int tokens, const wide_block *wide, size_t blocks, const int8_t *x,
                 const ck_block_sums *sums, size_t stride, float *held) {
    vf acc[4][TILE_VECTORS];
    if (TILE_REGISTERS)
        UNROLL for (int t = 0; t < tokens; t++) UNROLL for (int v = 0; v < TILE_VECTORS; v++) acc[t][v] = load(held + 16 * TILE_PANELS * t + W * v);
    for (size_t block = 0; block < blocks; block++, x += 32 * stride, sums += stride) {
        dots s[4][TILE_VECTORS];
        vi first[4][TILE_VECTORS];
        UNROLL for (int half = 0; half < (kind == CK_HALVED ? 2 : 1); half++) {
            const int groups = kind == CK_HALVED ? 4 : 8;
            int32_t start[4];
            UNROLL for (int t = 0; t < tokens; t++) {
                start[t] = multiple * (kind != CK_HALVED ? sums[t].minus_8_sums : half ? sums[t].minus_8_sums - sums[t].minus_8_sums_0 : sums[t].minus_8_sums_0);
                UNROLL for (int v = 0; v < TILE_VECTORS; v++) s[t][v] = begin(start[t]);
            }
            UNROLL for (int g = 0; g < groups; g++) {
                vu w[TILE_VECTORS];
                UNROLL for (int v = 0; v < TILE_VECTORS; v++)
                    w[v] = load_bytes(wide[(size_t)(v / V) * BLOCK_COLUMNS + block].q + 64 * (g + 4 * half) + 4 * W * (v % V));
                UNROLL for (int t = 0; t < tokens; t++) {
                    vu b = splat_bytes(x + 32 * t + 4 * (g + 4 * half));
                    UNROLL for (int v = 0; v < TILE_VECTORS; v++) s[t][v] = dot_(bits, g, s[t][v], w[v], b);
                }
            }
            if (kind == CK_HALVED && half == 0) {
                UNROLL for (int t = 0; t < tokens; t++) UNROLL for (int v = 0; v < TILE_VECTORS; v++) first[t][v] = finish(s[t][v], start[t]);
                continue;
            }
            factors f[TILE_VECTORS];
            UNROLL for (int v = 0; v < TILE_VECTORS; v++) {
                const wide_block *at = wide + (size_t)(v / V) * BLOCK_COLUMNS + block;
                f[v].a = load(at->a + W * (v % V));
                f[v].b = f[v].c = f[v].d = (vf){0};
                if (kind == CK_SHIFTED) f[v].b = load(at->b + W * (v % V));
                if (kind == CK_HALVED) {
                    f[v].c = load(at->b + W * (v % V));
                    f[v].d = load(at->c + W * (v % V));
                }
            }
            UNROLL for (int t = 0; t < tokens; t++)
                UNROLL for (int v = 0; v < TILE_VECTORS; v++) {
                    float *slot = held + 16 * TILE_PANELS * t + W * v;
                    vi sum = finish(s[t][v], start[t]);
                    vf total = scaled(kind, kind == CK_HALVED ? first[t][v] : sum, sum, f[v], sums[t].d, sums[t].sum, TILE_REGISTERS ? acc[t][v] : load(slot));
                    if (TILE_REGISTERS) acc[t][v] = total;
                    else store(slot, total);
                }
        }
    }
    if (TILE_REGISTERS)
        UNROLL for (int t = 0; t < tokens; t++) UNROLL for (int v = 0; v < TILE_VECTORS; v++) store(held + 16 * TILE_PANELS * t + W * v, acc[t][v]);
}

#define TILE(NAME, KIND, BITS, MULTIPLE, TOKENS)                                                                       \
    static void CK(tile_##NAME##_##TOKENS)(const wide_block *wide, size_t blocks, const int8_t *x, const ck_block_sums *sums, \
                                           size_t stride, float *held) {                                               \
        tile(KIND, BITS, MULTIPLE, TOKENS, wide, blocks, x, sums, stride, held);                                       \
    }
typedef void CK(tile_kernel)(const wide_block *, size_t, const int8_t *, const ck_block_sums *, size_t, float *);

#define TILES(NAME, KIND, BITS, MULTIPLE)                                                                              \
    TILE(NAME, KIND, BITS, MULTIPLE, 1) TILE(NAME, KIND, BITS, MULTIPLE, 2) TILE(NAME, KIND, BITS, MULTIPLE, 3)        \
    TILE(NAME, KIND, BITS, MULTIPLE, 4)
#define TILE_NAMES(NAME) {0, CK(tile_##NAME##_1), CK(tile_##NAME##_2), CK(tile_##NAME##_3), CK(tile_##NAME##_4)}

/// Tokens of the next tile from `token` on: at most `left`, and none past the end of its quantised tile.
INLINE size_t tile_tokens(size_t most, size_t token, size_t left) {
    size_t rest = CK_TILE_TOKENS - token % CK_TILE_TOKENS, n = left < rest ? left : rest;
    return n < most ? n : most;
}

/// Blocks of rows, of tokens, of columns; float sums are held between blocks of columns, in the order [tile of rows][token][row].
INLINE void blocked(const ck_format format, CK(tile_kernel) *const *tiles, const uint8_t *w, size_t panel_stride, size_t rows, size_t k,
                    const void *activations, size_t first_token, size_t count, size_t tokens, float *y, size_t y_stride) {
    enum { TILE_ROWS = 16 * TILE_PANELS };
    wide_block wide[TILE_PANELS * BLOCK_COLUMNS];
    float held[BLOCK_ROWS * BLOCK_TOKENS] __attribute__((aligned(64)));
    const size_t n = CK_RECORD_BLOCKS(format);
    for (size_t r = 0; r < rows; r += BLOCK_ROWS) {
        const size_t r_end = rows - r < BLOCK_ROWS ? rows : r + BLOCK_ROWS;
        for (size_t t = 0, m; t < count; t += m) {
            m = count - t < BLOCK_TOKENS ? count - t : BLOCK_TOKENS;
            __builtin_memset(held, 0, (r_end - r + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS * m * sizeof(float));
            for (size_t block = 0; block < k / 32; block += BLOCK_COLUMNS) {
                const size_t columns = k / 32 - block < BLOCK_COLUMNS ? k / 32 - block : BLOCK_COLUMNS;
                float *slot = held;
                for (size_t rr = r; rr < r_end; rr += TILE_ROWS) {
                    for (size_t panel = 0; panel < TILE_PANELS; panel++) {
                        // Rows past the end repeat the first panel: their sums are not stored.
                        const uint8_t *from = w + (rr / 16 + (rr + 16 * panel < r_end ? panel : 0)) * panel_stride;
                        for (size_t j = 0; j < columns; j++)
                            widen(format, from + (block + j) / n * CK_RECORD_BYTES(format), (int)((block + j) % n),
                                  wide + panel * BLOCK_COLUMNS + j);
                    }
                    for (size_t i = t, step; i < t + m; i += step, slot += step * TILE_ROWS) {
                        const size_t token = first_token + i;
                        step = tile_tokens(TILE_STEP, token, t + m - i);
                        tiles[step](wide, columns, ck_activation_block(activations, token, tokens, k, block),
                                    ck_activation_sums(activations, token, tokens, k, block), ck_activation_stride(token, tokens), slot);
                    }
                }
            }
            const float *slot = held;
            for (size_t rr = r; rr < r_end; rr += TILE_ROWS) {
                const size_t lanes = r_end - rr < TILE_ROWS ? r_end - rr : TILE_ROWS;
                for (size_t i = t; i < t + m; i++, slot += TILE_ROWS) {
                    if (lanes == TILE_ROWS) __builtin_memcpy(y + i * y_stride + rr, slot, TILE_ROWS * sizeof(float));
                    else __builtin_memcpy(y + i * y_stride + rr, slot, lanes * sizeof(float));
                }
            }
        }
    }
}

#define PRODUCT(FORMAT)                                                                                                \
    DIRECTS(FORMAT)                                                                                                    \
    TILES(FORMAT, CK_KIND(FORMAT), CK_BITS(FORMAT), START(FORMAT))                                                     \
    static void CK(product_##FORMAT)(const uint8_t *w, size_t panel_stride, size_t rows, size_t k, const void *activations, \
                                     size_t first_token, size_t count, size_t tokens, float *y, size_t y_stride) {     \
        static CK(direct_kernel) *const kernels[] = DIRECT_NAMES(FORMAT);                                              \
        static CK(tile_kernel) *const tiles[] = TILE_NAMES(FORMAT);                                                    \
        if (count > FEW_TOKENS) blocked(FORMAT, tiles, w, panel_stride, rows, k, activations, first_token, count, tokens, y, y_stride); \
        else few(kernels, w, panel_stride, rows, k, activations, first_token, count, tokens, y, y_stride);             \
    }

static void few(CK(direct_kernel) *const *kernels, const uint8_t *w, size_t panel_stride, size_t rows, size_t k, const void *activations,
                size_t first_token, size_t count, size_t tokens, float *y, size_t y_stride) {
    for (size_t r = 0; r < rows; r += 16, w += panel_stride)
        for (size_t t = 0, step; t < count; t += step) {
            const size_t token = first_token + t;
            // Steps of one size: 5 and 4 tokens go better together than 8 and 1.
            const size_t rest = tile_tokens(CK_TILE_TOKENS, token, count - t), steps = (rest + DIRECT_TOKENS - 1) / DIRECT_TOKENS;
            step = (rest + steps - 1) / steps;
            const int8_t *x = ck_activation_block(activations, token, tokens, k, 0);
            const ck_block_sums *sums = ck_activation_sums(activations, token, tokens, k, 0);
            const size_t stride = ck_activation_stride(token, tokens);
            if (rows - r >= 16) kernels[step](w, k / 32, x, sums, stride, y + t * y_stride + r, y_stride);
            else {
                float out[DIRECT_TOKENS][16];
                kernels[step](w, k / 32, x, sums, stride, out[0], 16);
                for (size_t i = 0; i < step; i++) __builtin_memcpy(y + (t + i) * y_stride + r, out[i], (rows - r) * sizeof(float));
            }
        }
}

PRODUCT(CK_Q8_0)
PRODUCT(CK_Q4_0)
PRODUCT(CK_Q5_0)
PRODUCT(CK_Q4_K)
PRODUCT(CK_Q5_K)
PRODUCT(CK_Q6_K)
PRODUCT(CK_AFFINE4)
PRODUCT(CK_AFFINE8)

static void CK(panel_matmul)(ck_format format, const void *w, size_t panel_stride, size_t rows, size_t k, const void *activations,
                             size_t first_token, size_t count, size_t tokens, float *y, size_t y_stride) {
#define CASE(F)                                                                                                        \
    case F: CK(product_##F)(w, panel_stride, rows, k, activations, first_token, count, tokens, y, y_stride); break;
    switch (format) {
        CASE(CK_Q8_0)
        CASE(CK_Q4_0)
        CASE(CK_Q5_0)
        CASE(CK_Q4_K)
        CASE(CK_Q5_K)
        CASE(CK_Q6_K)
        CASE(CK_AFFINE4)
        CASE(CK_AFFINE8)
    default: break;
    }
#undef CASE
}

// MARK: Limits of the machine

static float CK(measure_int8)(size_t steps, double *operations) {
    dots s[measure_dots];
    // Six pairs of factors, so that no product serves twice; the compiler must take the activations for new in every round.
    uint32_t activations[3] = {0x01FF0203u, 0x02030405u, 0xFF040201u};
    vu w[2] = {{0}, {0}};
    for (int i = 0; i < W; i++) {
        w[0][i] = 0x01020304u * (uint32_t)(i % 4);
        w[1][i] = 0x03020100u + (uint32_t)(i % 4);
    }
    UNROLL for (int i = 0; i < measure_dots; i++) s[i] = begin(i);
    for (size_t step = 0; step < steps; step++) {
        __asm__ volatile("" : "+m"(activations));
        vu x[3];
        UNROLL for (int i = 0; i < 3; i++) x[i] = splat_bytes(activations + i);
        UNROLL for (int i = 0; i < measure_dots; i++) s[i] = dot_(4, 1, s[i], w[i % 2], x[i % 3]);
    }
    vi sum = {0};
    UNROLL for (int i = 0; i < measure_dots; i++) sum ^= finish(s[i], i);
    *operations = 2.0 * 4 * W * measure_dots * (double)steps;
    return (float)sum[0];
}

CK_DEFINE_PANEL_TABLE
