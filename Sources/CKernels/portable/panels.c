// Panels in plain C: packing and unpacking for every version, and the products the others are compared with.
#include "../include/ckernels_panels.h"
#include "formats.h"
#include "panels.h"

#pragma STDC FP_CONTRACT OFF
#define CK_SUFFIX portable

size_t ck_panel_record_columns(ck_format format) { return 32 * (size_t)CK_RECORD_BLOCKS(format); }
size_t ck_panel_record_bytes(ck_format format) { return CK_RECORD_BYTES(format); }
size_t ck_panel_bytes(ck_format format, size_t k) {
    size_t columns = ck_panel_record_columns(format);
    return columns ? (k / columns + (k % columns != 0)) * ck_panel_record_bytes(format) : 0;
}

/// The weights of block `j` of the unit at `p`, unsigned.
static inline __attribute__((always_inline)) void row_block(ck_format format, const uint8_t *p, size_t j, uint8_t *q) {
    int16_t numbers[32];
    ck_block_integers(format, p, j, numbers);
    for (int i = 0; i < 32; i++) q[i] = (uint8_t)(numbers[i] + CK_OFFSET(format));
}

// MARK: Packing

/// The scales of block `j` (of the record) of row `lane`.
static inline __attribute__((always_inline)) void pack_scales(ck_format format, const uint8_t *p, size_t j, size_t lane, uint8_t *record) {
    switch (format) {
    case CK_Q8_0: case CK_Q4_0: case CK_Q5_0: __builtin_memcpy(record + 32 * j + 2 * lane, p, 2); break;
    case CK_Q4_K: case CK_Q5_K: {
        if (j == 0) {
            __builtin_memcpy(record + 2 * lane, p, 2);
            __builtin_memcpy(record + 32 + 2 * lane, p + 2, 2);
        }
        unsigned scale, minimum;
        ck_k_scale(p + 4, j, &scale, &minimum);
        record[64 + 16 * j + lane] = (uint8_t)((scale & 15) | (minimum & 15) << 4);
        record[192 + 16 * (j / 2) + lane] |= (uint8_t)(((scale >> 4) | (minimum >> 4) << 2) << (j % 2 * 4));
        break;
    }
    case CK_Q6_K:
        if (j == 0) __builtin_memcpy(record + 2 * lane, p + 208, 2);
        record[64 + 16 * (2 * j) + lane] = p[192 + 2 * j];
        record[64 + 16 * (2 * j + 1) + lane] = p[192 + 2 * j + 1];
        break;
    case CK_AFFINE4: case CK_AFFINE8:
        __builtin_memcpy(record + 4 * lane, p, 4);
        __builtin_memcpy(record + 64 + 4 * lane, p + 4, 4);
        break;
    default: break;
    }
}

/// Weights of 16 rows x 32 columns, in groups, to their place in a record.
static inline __attribute__((always_inline)) void pack_weights(ck_format format, const uint8_t (*g)[64], uint8_t *out) {
    if (CK_BITS(format) == 8) {
        __builtin_memcpy(out, g, 512);
        return;
    }
    for (int pair = 0; pair < 4; pair++)
        for (int i = 0; i < 64; i++) out[64 * pair + i] = (uint8_t)((g[2 * pair][i] & 15) | g[2 * pair + 1][i] << 4);
    if (CK_BITS(format) == 5)
        for (int i = 0; i < 64; i++) {
            unsigned high = 0;
            for (int group = 0; group < 8; group++) high |= (unsigned)(g[group][i] >> 4) << group;
            out[256 + i] = (uint8_t)high;
        }
    if (CK_BITS(format) == 6)
        for (int half = 0; half < 2; half++)
            for (int i = 0; i < 64; i++) {
                unsigned high = 0;
                for (int group = 0; group < 4; group++) high |= (unsigned)(g[4 * half + group][i] >> 4) << (2 * group);
                out[256 + 64 * half + i] = (uint8_t)high;
            }
}

static inline __attribute__((always_inline)) void pack(ck_format format, const uint8_t *w, size_t row_bytes, size_t rows, size_t k, uint8_t *panel) {
    for (size_t block = 0; block < k / 32; block += CK_RECORD_BLOCKS(format), panel += CK_RECORD_BYTES(format)) {
        __builtin_memset(panel, 0, CK_RECORD_BYTES(format));
        for (size_t j = 0; j < CK_RECORD_BLOCKS(format) && block + j < k / 32; j++) {
            uint8_t g[8][64] = {{0}};
            for (size_t lane = 0; lane < rows; lane++) {
                const uint8_t *p = w + lane * row_bytes + (block + j) / ck_blocks_32(format) * ck_bytes_of_block(format);
                uint8_t q[32];
                row_block(format, p, (block + j) % ck_blocks_32(format), q);
                for (int group = 0; group < 8; group++) __builtin_memcpy(&g[group][4 * lane], q + 4 * group, 4);
                pack_scales(format, p, j, lane, panel);
            }
            pack_weights(format, (const uint8_t(*)[64])g, panel + CK_RECORD_HEAD(format) + j * CK_BLOCK_WEIGHTS(format));
        }
    }
}

#define EACH_FORMAT(CALL)                                                                                              \
    switch (format) {                                                                                                  \
    case CK_Q8_0: CALL(CK_Q8_0); break;                                                                                \
    case CK_Q4_0: CALL(CK_Q4_0); break;                                                                                \
    case CK_Q5_0: CALL(CK_Q5_0); break;                                                                                \
    case CK_Q4_K: CALL(CK_Q4_K); break;                                                                                \
    case CK_Q5_K: CALL(CK_Q5_K); break;                                                                                \
    case CK_Q6_K: CALL(CK_Q6_K); break;                                                                                \
    case CK_AFFINE4: CALL(CK_AFFINE4); break;                                                                          \
    case CK_AFFINE8: CALL(CK_AFFINE8); break;                                                                          \
    default: break;                                                                                                    \
    }

void ck_pack_panel(ck_format format, const void *w, size_t row_bytes, size_t rows, size_t k, void *panel) {
#define CALL(F) pack(F, w, row_bytes, rows, k, panel)
    EACH_FORMAT(CALL)
#undef CALL
}

// MARK: Unpacking

/// Weight (unsigned) of a row and column (below 32) in a block's weights.
static inline __attribute__((always_inline)) unsigned weight(ck_format format, const uint8_t *p, size_t lane, size_t column) {
    size_t group = column / 4, i = 4 * lane + column % 4;
    if (CK_BITS(format) == 8) return p[64 * group + i];
    unsigned q = (p[64 * (group / 2) + i] >> (group % 2 * 4)) & 15u;
    if (CK_BITS(format) == 5) q |= ((p[256 + i] >> group) & 1u) << 4;
    if (CK_BITS(format) == 6) q |= ((p[256 + 64 * (group / 4) + i] >> (group % 4 * 2)) & 3u) << 4;
    return q;
}

/// Factor, second factor, or whole numbers of a row in block `j` of a record.
typedef struct { float a, b; int scale0, scale1; } scales;

static inline __attribute__((always_inline)) scales scales_at(ck_format format, const uint8_t *record, size_t j, size_t lane) {
    scales s = {0, 0, 0, 0};
    switch (format) {
    case CK_Q8_0: case CK_Q4_0: case CK_Q5_0: s.a = ck_half_at(record + 32 * j + 2 * lane); break;
    case CK_Q4_K: case CK_Q5_K: {
        unsigned low = record[64 + 16 * j + lane], high = record[192 + 16 * (j / 2) + lane] >> (j % 2 * 4);
        s.a = ck_half_at(record + 2 * lane) * (float)((low & 15) | (high & 3) << 4);
        s.b = -(ck_half_at(record + 32 + 2 * lane) * (float)(low >> 4 | ((high >> 2) & 3) << 4));
        break;
    }
    case CK_Q6_K:
        s.a = ck_half_at(record + 2 * lane);
        s.scale0 = (int8_t)record[64 + 32 * j + lane];
        s.scale1 = (int8_t)record[64 + 32 * j + 16 + lane];
        break;
    case CK_AFFINE4: case CK_AFFINE8:
        __builtin_memcpy(&s.a, record + 4 * lane, 4);
        __builtin_memcpy(&s.b, record + 64 + 4 * lane, 4);
        break;
    default: break;
    }
    return s;
}

static inline __attribute__((always_inline)) void unpack(ck_format format, const uint8_t *panel, size_t lane, size_t first, size_t n, float *y) {
    const size_t columns = 32 * CK_RECORD_BLOCKS(format);
    for (size_t i = first; i < first + n; i++) {
        const uint8_t *record = panel + i / columns * CK_RECORD_BYTES(format);
        size_t j = i % columns / 32;
        scales s = scales_at(format, record, j, lane);
        int q = (int)weight(format, record + CK_RECORD_HEAD(format) + j * CK_BLOCK_WEIGHTS(format), lane, i % 32) - CK_OFFSET(format);
        if (CK_KIND(format) == CK_SCALED) y[i - first] = s.a * (float)q;
        else if (CK_KIND(format) == CK_SHIFTED) y[i - first] = s.a * (float)q + s.b;
        else y[i - first] = s.a * (float)(i % 32 < 16 ? s.scale0 : s.scale1) * (float)q;
    }
}

void ck_panel_dequantize(ck_format format, const void *panel, size_t lane, size_t first, size_t n, float *y) {
#define CALL(F) unpack(F, panel, lane, first, n, y)
    EACH_FORMAT(CALL)
#undef CALL
}

/// Scales of row `lane` in block `j` of a record to block `i` of the unit at p.
static inline __attribute__((always_inline)) void unpack_scales(ck_format format, const uint8_t *record, size_t j, size_t lane, uint8_t *p, size_t i) {
    switch (format) {
    case CK_Q8_0: case CK_Q4_0: case CK_Q5_0: __builtin_memcpy(p, record + 32 * j + 2 * lane, 2); break;
    case CK_Q4_K: case CK_Q5_K: {
        unsigned low = record[64 + 16 * j + lane], high = record[192 + 16 * (j / 2) + lane] >> (j % 2 * 4);
        __builtin_memcpy(p, record + 2 * lane, 2);
        __builtin_memcpy(p + 2, record + 32 + 2 * lane, 2);
        ck_store_k_scale(p + 4, i, (low & 15) | (high & 3) << 4, low >> 4 | ((high >> 2) & 3) << 4);
        break;
    }
    case CK_Q6_K:
        __builtin_memcpy(p + 208, record + 2 * lane, 2);
        p[192 + 2 * i] = record[64 + 32 * j + lane];
        p[193 + 2 * i] = record[64 + 32 * j + 16 + lane];
        break;
    case CK_AFFINE4: case CK_AFFINE8:
        __builtin_memcpy(p, record + 4 * lane, 4);
        __builtin_memcpy(p + 4, record + 64 + 4 * lane, 4);
        break;
    default: break;
    }
}

static inline __attribute__((always_inline)) void unpack_row(ck_format format, const uint8_t *panel, size_t lane, size_t k, uint8_t *row) {
    __builtin_memset(row, 0, k / 32 / ck_blocks_32(format) * ck_bytes_of_block(format));
    for (size_t block = 0; block < k / 32; block++) {
        const uint8_t *record = panel + block / CK_RECORD_BLOCKS(format) * CK_RECORD_BYTES(format);
        const size_t j = block % CK_RECORD_BLOCKS(format), i = block % ck_blocks_32(format);
        uint8_t *p = row + block / ck_blocks_32(format) * ck_bytes_of_block(format), q[32];
        for (size_t c = 0; c < 32; c++)
            q[c] = (uint8_t)weight(format, record + CK_RECORD_HEAD(format) + j * CK_BLOCK_WEIGHTS(format), lane, c);
        ck_store_block_numbers(format, q, p, i);
        unpack_scales(format, record, j, lane, p, i);
    }
}

void ck_unpack_panel(ck_format format, const void *panel, size_t lane, size_t k, void *row) {
#define CALL(F) unpack_row(F, panel, lane, k, row)
    EACH_FORMAT(CALL)
#undef CALL
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
            uint32_t greatest = 0;
            for (int i = 0; i < 32; i++) {
                uint32_t bits;
                __builtin_memcpy(&bits, row + i, 4);
                bits &= 0x7FFFFFFF;
                if (bits > greatest) greatest = bits;
            }
            float d;
            __builtin_memcpy(&d, &greatest, 4);
            d /= 127.0f;
            float r = 1.0f / d;
            if (!(r < __builtin_inff())) d = d != d ? d : 0;
            const int usable = r > 0 && r < __builtin_inff();
            int32_t sum0 = 0, sum1 = 0;
            for (int i = 0; i < 32; i++) {
                // Adding 1.5 * 2^23 rounds to an integer, ties to even.
                float product = row[i] * r;
                int32_t value = usable ? (int32_t)((product + 12582912.0f) - 12582912.0f) : 0;
                q[i] = (int8_t)value;
                if (i < 16) sum0 += value;
                else sum1 += value;
            }
            *sums = (ck_block_sums){d, (float)(sum0 + sum1), -8 * (sum0 + sum1), -8 * sum0};
        }
    }
}

// MARK: Products

static inline __attribute__((always_inline)) void widen(ck_format format, const uint8_t *record, size_t j, ck_wide_block *wide) {
    const uint8_t *p = record + CK_RECORD_HEAD(format) + j * CK_BLOCK_WEIGHTS(format);
    if (CK_BITS(format) == 8) __builtin_memcpy(wide->q, p, 512);
    else
        for (size_t group = 0; group < 8; group++)
            for (size_t i = 0; i < 64; i++) wide->q[64 * group + i] = (uint8_t)weight(format, p, i / 4, 4 * group + i % 4);
    for (size_t lane = 0; lane < 16; lane++) {
        scales s = scales_at(format, record, j, lane);
        wide->a[lane] = s.a;
        if (CK_KIND(format) == CK_SHIFTED) wide->b[lane] = s.b;
        if (CK_KIND(format) == CK_HALVED) {
            wide->scale0[lane] = (int16_t)s.scale0;
            wide->scale1[lane] = (int16_t)s.scale1;
        }
    }
}

static inline int32_t group_dot(const uint8_t *w, const int8_t *x) {
    return w[0] * x[0] + w[1] * x[1] + w[2] * x[2] + w[3] * x[3];
}

static inline __attribute__((always_inline)) void product(ck_format format, const uint8_t *w, size_t panel_stride, size_t rows, size_t k, const void *activations,
                                                          size_t first_token, size_t count, size_t tokens, float *y, size_t y_stride) {
    enum { TOKENS = 8 };
    for (size_t r = 0; r < rows; r += 16, w += panel_stride)
        for (size_t t = 0; t < count; t += TOKENS) {
            const size_t n = count - t < TOKENS ? count - t : TOKENS;
            float acc[TOKENS][16] = {{0}};
            ck_wide_block wide;
            for (size_t block = 0; block < k / 32; block++) {
                widen(format, w + block / CK_RECORD_BLOCKS(format) * CK_RECORD_BYTES(format), block % CK_RECORD_BLOCKS(format), &wide);
                for (size_t i = 0; i < n; i++) {
                    const int8_t *q = ck_activation_block(activations, first_token + t + i, tokens, k, block);
                    const ck_block_sums *s = ck_activation_sums(activations, first_token + t + i, tokens, k, block);
                    int32_t sum0[16] = {0}, sum1[16] = {0};
                    for (int group = 0; group < 4; group++)
                        for (int lane = 0; lane < 16; lane++) {
                            sum0[lane] += group_dot(wide.q + 64 * group + 4 * lane, q + 4 * group);
                            sum1[lane] += group_dot(wide.q + 64 * (group + 4) + 4 * lane, q + 4 * (group + 4));
                        }
                    const int32_t start = CK_OFFSET(format) / 8 * s->minus_8_sums, start0 = CK_OFFSET(format) / 8 * s->minus_8_sums_0;
                    for (int lane = 0; lane < 16; lane++) {
                        int32_t sum = CK_KIND(format) == CK_HALVED
                            ? wide.scale0[lane] * (sum0[lane] + start0) + wide.scale1[lane] * (sum1[lane] + start - start0)
                            : sum0[lane] + sum1[lane] + start;
                        acc[i][lane] += (float)sum * (wide.a[lane] * s->d);
                        if (CK_KIND(format) == CK_SHIFTED) acc[i][lane] += s->sum * (wide.b[lane] * s->d);
                    }
                }
            }
            for (size_t i = 0; i < n; i++)
                for (size_t lane = 0; lane < 16 && r + lane < rows; lane++) y[(t + i) * y_stride + r + lane] = acc[i][lane];
        }
}

#define PRODUCT(F)                                                                                                     \
    static void product_##F(const uint8_t *w, size_t panel_stride, size_t rows, size_t k, const void *activations,     \
                            size_t first_token, size_t count, size_t tokens, float *y, size_t y_stride) {              \
        product(F, w, panel_stride, rows, k, activations, first_token, count, tokens, y, y_stride);                    \
    }
PRODUCT(CK_Q8_0) PRODUCT(CK_Q4_0) PRODUCT(CK_Q5_0) PRODUCT(CK_Q4_K) PRODUCT(CK_Q5_K) PRODUCT(CK_Q6_K) PRODUCT(CK_AFFINE4)
PRODUCT(CK_AFFINE8)

static void CK(panel_matmul)(ck_format format, const void *w, size_t panel_stride, size_t rows, size_t k, const void *activations,
                             size_t first_token, size_t count, size_t tokens, float *y, size_t y_stride) {
#define CALL(F) product_##F(w, panel_stride, rows, k, activations, first_token, count, tokens, y, y_stride)
    EACH_FORMAT(CALL)
#undef CALL
}

static float CK(measure_int8)(size_t steps, double *operations) {
    uint8_t w[64];
    int8_t x[4] = {1, -2, 3, -4};
    int32_t sums[16] = {0};
    for (int i = 0; i < 64; i++) w[i] = (uint8_t)i;
    for (size_t step = 0; step < steps; step++) {
        x[step % 4] ^= 1;
        for (int lane = 0; lane < 16; lane++) sums[lane] += group_dot(w + 4 * lane, x);
    }
    for (int lane = 1; lane < 16; lane++) sums[0] ^= sums[lane];
    *operations = 2.0 * 64 * (double)steps;
    return (float)sums[0];
}

CK_DEFINE_PANEL_TABLE
