// Plain C versions of every kernel: the ones the others are compared with.
//
// Written to be read; compilers may vectorise them but must not reorder or contract. Products are rounded before they are added.
#include "../include/ckernels_table.h"
#include "half.h"

#pragma STDC FP_CONTRACT OFF
#define CK_SUFFIX portable
#define LANES 16

static float reduce(const float s[LANES]) {
    float a[8], b[4];
    for (int i = 0; i < 8; i++) a[i] = s[i] + s[i + 8];
    for (int i = 0; i < 4; i++) b[i] = a[i] + a[i + 4];
    return (b[0] + b[2]) + (b[1] + b[3]);
}

static inline float f16(uint16_t h) { return ck_half(h); }
static inline float bf16(uint16_t h) { union { uint32_t u; float f; } v = { (uint32_t)h << 16 }; return v.f; }
static inline float f32(float x) { return x; }

#define MATMUL(NAME, TYPE, LOAD)                                                                                       \
    static void NAME(const TYPE *w, size_t w_stride, size_t rows, size_t k, const float *x, size_t x_stride, size_t tokens,   \
              float *y, size_t y_stride) {                                                                             \
        for (size_t r = 0; r < rows; r++)                                                                              \
            for (size_t t = 0; t < tokens; t++) {                                                                      \
                const TYPE *a = w + r * w_stride;                                                                      \
                const float *b = x + t * x_stride;                                                                     \
                float s[LANES] = {0};                                                                                  \
                size_t i = 0;                                                                                          \
                for (; i + LANES <= k; i += LANES)                                                                     \
                    for (int j = 0; j < LANES; j++) s[j] += LOAD(a[i + j]) * b[i + j];                                 \
                for (int j = 0; i + j < k; j++) s[j] += LOAD(a[i + j]) * b[i + j];                                     \
                y[t * y_stride + r] = reduce(s);                                                                       \
            }                                                                                                          \
    }
MATMUL(CK(matmul_f32), float, f32)
MATMUL(CK(matmul_f16), uint16_t, f16)
MATMUL(CK(matmul_bf16), uint16_t, bf16)

#define GEMM_PACK(NAME, TYPE, LOAD)                                                                                    \
    static void NAME CK_GEMM_PACK_PARAMETERS(TYPE) {                                                                   \
        for (size_t panel = 0; panel < rows; panel += CK_GEMM_PANEL)                                                   \
            for (size_t i = 0; i < k; i++)                                                                             \
                for (size_t r = panel; r < panel + CK_GEMM_PANEL; r++)                                                 \
                    packed[panel * k + i * CK_GEMM_PANEL + r - panel] = r < rows ? LOAD(w[r * w_stride + i]) : 0;      \
    }
GEMM_PACK(CK(gemm_pack_f32), float, f32)
GEMM_PACK(CK(gemm_pack_f16), uint16_t, f16)
GEMM_PACK(CK(gemm_pack_bf16), uint16_t, bf16)

#define GEMM(WEIGHT)                                                                                                   \
    (void)scratch;                                                                                                     \
    for (size_t t = 0; t < tokens; t++)                                                                                \
        for (size_t r = 0; r < rows; r++) {                                                                            \
            float *out = y + t * y_stride + r;                                                                         \
            if (!add) *out = 0;                                                                                        \
            for (size_t block = 0; block < k; block += 256) {                                                          \
                float s = 0;                                                                                           \
                for (size_t i = block; i < k && i < block + 256; i++) s += WEIGHT * x[t * x_stride + i];               \
                *out = add || block > 0 ? *out + s : s;                                                                \
            }                                                                                                          \
        }
static void CK(gemm_packed_f32) CK_GEMM_PACKED_PARAMETERS {
    GEMM(w[r / CK_GEMM_PANEL * CK_GEMM_PANEL * k + i * CK_GEMM_PANEL + r % CK_GEMM_PANEL])
}
static void CK(gemm_transposed_f32) CK_GEMM_TRANSPOSED_PARAMETERS { GEMM(w[i * w_stride + r]) }

static void CK(f16_to_f32)(const uint16_t *x, float *y, size_t n) { for (size_t i = 0; i < n; i++) y[i] = f16(x[i]); }
static void CK(bf16_to_f32)(const uint16_t *x, float *y, size_t n) { for (size_t i = 0; i < n; i++) y[i] = bf16(x[i]); }

#define ROW_SUM(EXPR)                                                                                                  \
    float s[LANES] = {0};                                                                                              \
    for (size_t i = 0; i < n; i++) s[i % LANES] += (EXPR);                                                             \
    return reduce(s);

static float CK(sum_squares_f32)(const float *x, size_t n) { ROW_SUM(x[i] * x[i]) }
static float CK(sum_f32)(const float *x, size_t n) { ROW_SUM(x[i]) }
static float CK(sum_squared_deviations_f32)(const float *x, float mean, size_t n) { ROW_SUM((x[i] - mean) * (x[i] - mean)) }
static float CK(dot_f32)(const float *x, const float *y, size_t n) { ROW_SUM(x[i] * y[i]) }

static float CK(max_f32)(const float *x, size_t n) {
    float m = -__builtin_inff();
    for (size_t i = 0; i < n; i++) if (x[i] > m) m = x[i];
    return m;
}

static void CK(rms_norm_f32)(const float *x, const float *w, float eps, float *y, size_t n) {
    float scale = 1.0f / __builtin_sqrtf(CK(sum_squares_f32)(x, n) / (float)n + eps);
    if (w) for (size_t i = 0; i < n; i++) y[i] = x[i] * scale * w[i];
    else for (size_t i = 0; i < n; i++) y[i] = x[i] * scale;
}

static void CK(axpy_f32)(float a, const float *x, float *y, size_t n) { for (size_t i = 0; i < n; i++) y[i] += a * x[i]; }
static void CK(multiply_add_f32)(const float *a, const float *x, float *y, size_t n) { for (size_t i = 0; i < n; i++) y[i] += a[i] * x[i]; }
static void CK(scale_f32)(float a, const float *x, float *y, size_t n) { for (size_t i = 0; i < n; i++) y[i] = a * x[i]; }
static void CK(multiply_f32)(const float *a, const float *x, float *y, size_t n) { for (size_t i = 0; i < n; i++) y[i] = a[i] * x[i]; }
static void CK(add_f32)(const float *x, float *y, size_t n) { for (size_t i = 0; i < n; i++) y[i] += x[i]; }

static inline float gelu(float x) { return 0.5f * x * (1.0f + __builtin_tanhf(0.7978845608028654f * (x + 0.044715f * x * x * x))); }
static inline float sigmoid(float x) { return 1.0f / (1.0f + __builtin_expf(-x)); }

static size_t CK(compact_above_f32)(const float *x, float cutoff, size_t n, int32_t *indices, float *values) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (!(x[i] > cutoff)) continue;
        indices[count] = (int32_t)i;
        values[count++] = x[i];
    }
    return count;
}
static void CK(gelu_f32)(const float *x, float *y, size_t n) { for (size_t i = 0; i < n; i++) y[i] = gelu(x[i]); }
static void CK(gelu_multiply_f32)(const float *g, const float *u, float *y, size_t n) { for (size_t i = 0; i < n; i++) y[i] = gelu(g[i]) * u[i]; }
static void CK(gelu_cutoff_multiply_f32)(const float *g, float cutoff, const float *u, float *y, size_t n) {
    for (size_t i = 0; i < n; i++) { float v = g[i] - cutoff; y[i] = v > 0 ? gelu(v) * u[i] : 0; }
}
static void CK(silu_f32)(const float *x, float *y, size_t n) { for (size_t i = 0; i < n; i++) y[i] = x[i] * sigmoid(x[i]); }
static void CK(glu_f32)(const float *a, const float *b, float *y, size_t n) { for (size_t i = 0; i < n; i++) y[i] = a[i] * sigmoid(b[i]); }
static void CK(softcap_f32)(const float *x, float cap, float *y, size_t n) { for (size_t i = 0; i < n; i++) y[i] = cap * __builtin_tanhf(x[i] / cap); }

static void CK(rms_norm_gelu_f32)(const float *x, const float *w, float eps, float *y, size_t n) {
    CK(rms_norm_f32)(x, w, eps, y, n);
    CK(gelu_f32)(y, y, n);
}
static void CK(rms_norm_add_f32)(const float *z, const float *w, float eps, const float *a, const float *x, float *y, size_t n) {
    const float scale = 1.0f / __builtin_sqrtf(CK(sum_squares_f32)(z, n) / (float)n + eps);
    for (size_t i = 0; i < n; i++) {
        float v = z[i] * scale * w[i];
        if (a) v *= a[i];
        y[i] = x ? x[i] + v : v;
    }
}
static void CK(softmax_f32)(float *x, size_t n) {
    if (!n) return;
    float m = CK(max_f32)(x, n);
    for (size_t i = 0; i < n; i++) x[i] = __builtin_expf(x[i] - m);
    float scale = 1.0f / CK(sum_f32)(x, n);
    for (size_t i = 0; i < n; i++) x[i] *= scale;
}

static void CK(rope_f32)(float *x, const float *cos, const float *sin, size_t half) {
    for (size_t j = 0; j < half; j++) {
        float a = x[j], b = x[j + half];
        x[j] = a * cos[j] - b * sin[j];
        x[j + half] = b * cos[j] + a * sin[j];
    }
}

static void CK(weighted_sum_add_f32)(const float *p, size_t count, const float *v, size_t v_stride, float *out, size_t n) {
    for (size_t j = 0; j < count; j++) for (size_t d = 0; d < n; d++) out[d] += p[j] * v[j * v_stride + d];
}
static void CK(weighted_sum_f32)(const float *p, size_t count, const float *v, size_t v_stride, float *out, size_t n) {
    for (size_t d = 0; d < n; d++) out[d] = 0;
    CK(weighted_sum_add_f32)(p, count, v, v_stride, out, n);
}

static inline float i8(int8_t x) { return (float)x; }
MATMUL(CK(matmul_i8), int8_t, i8)
#define SCORES(NAME, TYPE, PRODUCT)                                                                                    \
    static void NAME CK_MATMUL_PARAMETERS(TYPE) { PRODUCT CK_MATMUL_ARGUMENTS; }
SCORES(CK(scores_f32), float, CK(matmul_f32))
SCORES(CK(scores_f16), uint16_t, CK(matmul_f16))
SCORES(CK(scores_i8), int8_t, CK(matmul_i8))

static float CK(exp_sum_f32)(float *x, float m, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = __builtin_expf(x[i] - m);
    return CK(sum_f32)(x, n);
}
static void CK(scale_axpy_f32)(float b, float a, const float *x, float *y, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = a * x[i] + b * y[i];
}

#define WEIGHTED_SUMS(NAME, TYPE, LOAD)                                                                                \
    static void NAME CK_WEIGHTED_SUMS_PARAMETERS(TYPE) {                                                               \
        for (size_t r = 0; r < rows; r++)                                                                              \
            for (size_t j = 0; j < count; j++)                                                                         \
                for (size_t d = 0; d < n; d++) out[r * out_stride + d] += p[r * p_stride + j] * LOAD(v[j * v_stride + d]); \
    }
WEIGHTED_SUMS(CK(weighted_sums_f32), float, f32)
WEIGHTED_SUMS(CK(weighted_sums_f16), uint16_t, f16)
WEIGHTED_SUMS(CK(weighted_sums_i8), int8_t, i8)

static void CK(f32_to_f16)(const float *x, uint16_t *y, size_t n) { for (size_t i = 0; i < n; i++) y[i] = ck_half_of(x[i]); }

static float CK(f32_to_i8)(const float *x, int8_t *y, size_t n) {
    float largest = 0;
    for (size_t i = 0; i < n; i++) { float a = __builtin_fabsf(x[i]); if (a > largest) largest = a; }
    float scale = largest / 127.0f;
    if (!(scale > 1e-30f && scale < 1e30f)) scale = 0;
    const float inverse = scale > 0 ? 1.0f / scale : 0;
    for (size_t i = 0; i < n; i++) {
        union { float f; int32_t i; } v = { x[i] * inverse + 12582912.0f };   // rounds to an integer in the low bits
        y[i] = (int8_t)(uint8_t)(uint32_t)v.i;
    }
    return scale;
}

static void CK(weighted_taps_f32)(const float *const *x, const float *w, size_t taps, float *y, size_t channels) {
    for (size_t c = 0; c < channels; c++) y[c] = 0;
    for (size_t t = 0; t < taps; t++)
        if (x[t]) for (size_t c = 0; c < channels; c++) y[c] += w[t * channels + c] * x[t][c];
}

static float CK(measure_read)(const void *bytes, size_t count) {
    uint32_t sum[LANES] = {0}, word;
    for (size_t i = 0; i + 4 * LANES <= count; i += 4 * LANES)
        for (int j = 0; j < LANES; j++) {
            __builtin_memcpy(&word, (const char *)bytes + i + 4 * j, 4);
            sum[j] += word;
        }
    for (int j = 1; j < LANES; j++) sum[0] += sum[j];
    return (float)sum[0];
}

static float CK(measure_fma)(size_t steps, double *operations) {
    float s[LANES];
    for (int j = 0; j < LANES; j++) s[j] = (float)j;
    for (size_t i = 0; i < steps; i++) for (int j = 0; j < LANES; j++) s[j] = s[j] * 0.999f + 0.001f;
    *operations = 2.0 * LANES * (double)steps;
    return reduce(s);
}

CK_DEFINE_TABLE
