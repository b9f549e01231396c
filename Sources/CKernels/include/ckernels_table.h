// The list of dispatched kernels and the table that holds one version of each.
//
// `FUNCTION(name, parameters, arguments)` for kernels that return nothing, `VALUE(type, name, parameters, arguments)` for the
// others. Everything else (the table, the public entry points, the tables of each instruction set) follows from this list.
#ifndef CK_TABLE_H
#define CK_TABLE_H

#include "ckernels.h"
#include "ckernels_formats.h"
#include "ckernels_panels.h"

#define CK_MATMUL_PARAMETERS(T)                                                                                        \
    (const T *w, size_t w_stride, size_t rows, size_t k, const float *x, size_t x_stride, size_t tokens, float *y,     \
     size_t y_stride)
#define CK_MATMUL_ARGUMENTS (w, w_stride, rows, k, x, x_stride, tokens, y, y_stride)

#define CK_WEIGHTED_SUMS_PARAMETERS(T)                                                                                 \
    (const float *p, size_t p_stride, size_t rows, size_t count, const T *v, size_t v_stride, float *out,              \
     size_t out_stride, size_t n)
#define CK_WEIGHTED_SUMS_ARGUMENTS (p, p_stride, rows, count, v, v_stride, out, out_stride, n)

#define CK_ATTENTION_KERNELS(FUNCTION, VALUE)                                                                          \
    FUNCTION(matmul_i8, CK_MATMUL_PARAMETERS(int8_t), CK_MATMUL_ARGUMENTS)                                             \
    FUNCTION(scores_f32, CK_MATMUL_PARAMETERS(float), CK_MATMUL_ARGUMENTS)                                             \
    FUNCTION(scores_f16, CK_MATMUL_PARAMETERS(uint16_t), CK_MATMUL_ARGUMENTS)                                          \
    FUNCTION(scores_i8, CK_MATMUL_PARAMETERS(int8_t), CK_MATMUL_ARGUMENTS)                                             \
    VALUE(float, exp_sum_f32, (float *x, float m, size_t n), (x, m, n))                                                \
    FUNCTION(scale_axpy_f32, (float b, float a, const float *x, float *y, size_t n), (b, a, x, y, n))                  \
    FUNCTION(weighted_sums_f32, CK_WEIGHTED_SUMS_PARAMETERS(float), CK_WEIGHTED_SUMS_ARGUMENTS)                        \
    FUNCTION(weighted_sums_f16, CK_WEIGHTED_SUMS_PARAMETERS(uint16_t), CK_WEIGHTED_SUMS_ARGUMENTS)                     \
    FUNCTION(weighted_sums_i8, CK_WEIGHTED_SUMS_PARAMETERS(int8_t), CK_WEIGHTED_SUMS_ARGUMENTS)                        \
    FUNCTION(f32_to_f16, (const float *x, uint16_t *y, size_t n), (x, y, n))                                           \
    VALUE(float, f32_to_i8, (const float *x, int8_t *y, size_t n), (x, y, n))

#define CK_GEMM_PACK_PARAMETERS(T) (const T *w, size_t w_stride, size_t rows, size_t k, float *packed)
#define CK_GEMM_PACK_ARGUMENTS (w, w_stride, rows, k, packed)
#define CK_GEMM_PACKED_PARAMETERS                                                                                      \
    (const float *w, size_t rows, size_t k, const float *x, size_t x_stride, size_t tokens, int add, float *y,         \
     size_t y_stride, float *scratch)
#define CK_GEMM_PACKED_ARGUMENTS (w, rows, k, x, x_stride, tokens, add, y, y_stride, scratch)
#define CK_GEMM_TRANSPOSED_PARAMETERS                                                                                  \
    (const float *w, size_t w_stride, size_t rows, size_t k, const float *x, size_t x_stride, size_t tokens, int add,  \
     float *y, size_t y_stride, float *scratch)
#define CK_GEMM_TRANSPOSED_ARGUMENTS (w, w_stride, rows, k, x, x_stride, tokens, add, y, y_stride, scratch)

#define CK_ENCODER_KERNELS(FUNCTION, VALUE)                                                                            \
    FUNCTION(gemm_pack_f32, CK_GEMM_PACK_PARAMETERS(float), CK_GEMM_PACK_ARGUMENTS)                                    \
    FUNCTION(gemm_pack_f16, CK_GEMM_PACK_PARAMETERS(uint16_t), CK_GEMM_PACK_ARGUMENTS)                                 \
    FUNCTION(gemm_pack_bf16, CK_GEMM_PACK_PARAMETERS(uint16_t), CK_GEMM_PACK_ARGUMENTS)                                \
    FUNCTION(gemm_packed_f32, CK_GEMM_PACKED_PARAMETERS, CK_GEMM_PACKED_ARGUMENTS)                                     \
    FUNCTION(gemm_transposed_f32, CK_GEMM_TRANSPOSED_PARAMETERS, CK_GEMM_TRANSPOSED_ARGUMENTS)                         \
    FUNCTION(rms_norm_gelu_f32, (const float *x, const float *w, float eps, float *y, size_t n), (x, w, eps, y, n))    \
    FUNCTION(rms_norm_add_f32,                                                                                         \
             (const float *z, const float *w, float eps, const float *a, const float *x, float *y, size_t n),          \
             (z, w, eps, a, x, y, n))

#define CK_KERNELS(FUNCTION, VALUE)                                                                                    \
    CK_ATTENTION_KERNELS(FUNCTION, VALUE)                                                                              \
    CK_ENCODER_KERNELS(FUNCTION, VALUE)                                                                                \
    FUNCTION(matmul_f32, CK_MATMUL_PARAMETERS(float), CK_MATMUL_ARGUMENTS)                                             \
    FUNCTION(matmul_f16, CK_MATMUL_PARAMETERS(uint16_t), CK_MATMUL_ARGUMENTS)                                          \
    FUNCTION(matmul_bf16, CK_MATMUL_PARAMETERS(uint16_t), CK_MATMUL_ARGUMENTS)                                         \
    FUNCTION(f16_to_f32, (const uint16_t *x, float *y, size_t n), (x, y, n))                                           \
    FUNCTION(bf16_to_f32, (const uint16_t *x, float *y, size_t n), (x, y, n))                                          \
    VALUE(float, sum_squares_f32, (const float *x, size_t n), (x, n))                                                  \
    VALUE(float, sum_f32, (const float *x, size_t n), (x, n))                                                          \
    VALUE(float, sum_squared_deviations_f32, (const float *x, float mean, size_t n), (x, mean, n))                     \
    VALUE(float, max_f32, (const float *x, size_t n), (x, n))                                                          \
    VALUE(float, dot_f32, (const float *x, const float *y, size_t n), (x, y, n))                                       \
    FUNCTION(rms_norm_f32, (const float *x, const float *w, float eps, float *y, size_t n), (x, w, eps, y, n))         \
    FUNCTION(axpy_f32, (float a, const float *x, float *y, size_t n), (a, x, y, n))                                    \
    FUNCTION(multiply_add_f32, (const float *a, const float *x, float *y, size_t n), (a, x, y, n))                     \
    FUNCTION(scale_f32, (float a, const float *x, float *y, size_t n), (a, x, y, n))                                   \
    FUNCTION(multiply_f32, (const float *a, const float *x, float *y, size_t n), (a, x, y, n))                         \
    FUNCTION(add_f32, (const float *x, float *y, size_t n), (x, y, n))                                                 \
    VALUE(size_t, compact_above_f32, (const float *x, float cutoff, size_t n, int32_t *indices, float *values),        \
          (x, cutoff, n, indices, values))                                                                             \
    FUNCTION(gelu_f32, (const float *x, float *y, size_t n), (x, y, n))                                                \
    FUNCTION(gelu_multiply_f32, (const float *g, const float *u, float *y, size_t n), (g, u, y, n))                    \
    FUNCTION(gelu_cutoff_multiply_f32, (const float *g, float cutoff, const float *u, float *y, size_t n),             \
             (g, cutoff, u, y, n))                                                                                     \
    FUNCTION(silu_f32, (const float *x, float *y, size_t n), (x, y, n))                                                \
    FUNCTION(glu_f32, (const float *a, const float *b, float *y, size_t n), (a, b, y, n))                              \
    FUNCTION(softcap_f32, (const float *x, float cap, float *y, size_t n), (x, cap, y, n))                             \
    FUNCTION(softmax_f32, (float *x, size_t n), (x, n))                                                                \
    FUNCTION(rope_f32, (float *x, const float *cos, const float *sin, size_t half), (x, cos, sin, half))               \
    FUNCTION(weighted_sum_f32,                                                                                         \
             (const float *p, size_t count, const float *v, size_t v_stride, float *out, size_t n),                    \
             (p, count, v, v_stride, out, n))                                                                          \
    FUNCTION(weighted_sum_add_f32,                                                                                     \
             (const float *p, size_t count, const float *v, size_t v_stride, float *out, size_t n),                    \
             (p, count, v, v_stride, out, n))                                                                          \
    FUNCTION(weighted_taps_f32, (const float *const *x, const float *w, size_t taps, float *y, size_t channels),       \
             (x, w, taps, y, channels))                                                                                \
    VALUE(float, measure_read, (const void *bytes, size_t count), (bytes, count))                                      \
    VALUE(float, measure_fma, (size_t steps, double *operations), (steps, operations))

/// The kernels of quantised panels have a table of their own: AVX-512 without VNNI takes AVX2's.
#define CK_PANEL_KERNELS(FUNCTION, VALUE)                                                                              \
    FUNCTION(quantize_activations,                                                                                     \
             (const float *x, size_t x_stride, size_t k, size_t tokens, size_t first, size_t count, void *activations), \
             (x, x_stride, k, tokens, first, count, activations))                                                      \
    FUNCTION(panel_matmul,                                                                                             \
             (ck_format format, const void *w, size_t panel_stride_bytes, size_t rows, size_t k, const void *activations, \
              size_t first_token, size_t count, size_t tokens, float *y, size_t y_stride),                             \
             (format, w, panel_stride_bytes, rows, k, activations, first_token, count, tokens, y, y_stride))           \
    VALUE(float, measure_int8, (size_t steps, double *operations), (steps, operations))

#define CK_DOT_ROWS_PARAMETERS                                                                                         \
    (ck_format format, const void *w, size_t row_bytes, const int32_t *rows, size_t count, size_t k, const void *activations, \
     size_t token, size_t tokens, float *y)
#define CK_UNITS_ACCUMULATE_PARAMETERS                                                                                 \
    (ck_format format, const void *units_matrix, size_t outputs, const int32_t *survivors, size_t count, const float *a, \
     size_t first_output, size_t output_count, float *y)

/// The kernels of weights in rows and in units: AVX-512 without VNNI takes AVX2's, too.
#define CK_FORMAT_KERNELS(FUNCTION, VALUE)                                                                             \
    FUNCTION(quantize_row, (ck_format format, const float *x, size_t n, void *row), (format, x, n, row))               \
    FUNCTION(dot_rows, CK_DOT_ROWS_PARAMETERS, (format, w, row_bytes, rows, count, k, activations, token, tokens, y))  \
    FUNCTION(units_accumulate, CK_UNITS_ACCUMULATE_PARAMETERS,                                                         \
             (format, units_matrix, outputs, survivors, count, a, first_output, output_count, y))

#define CK_MEMBER(name, parameters, arguments) void(*name) parameters;
#define CK_VALUE_MEMBER(type, name, parameters, arguments) type(*name) parameters;
typedef struct { CK_KERNELS(CK_MEMBER, CK_VALUE_MEMBER) } ck_kernels;

typedef struct { CK_PANEL_KERNELS(CK_MEMBER, CK_VALUE_MEMBER) } ck_panel_kernels;
typedef struct { CK_FORMAT_KERNELS(CK_MEMBER, CK_VALUE_MEMBER) } ck_format_kernels;

/// The version for `isa`, or NULL if this build or this machine lacks it. Lets tests compare versions side by side without
/// changing what the rest of the process uses.
const ck_kernels *ck_kernels_for(ck_isa isa);
const ck_panel_kernels *ck_panel_kernels_for(ck_isa isa);
const ck_format_kernels *ck_format_kernels_for(ck_isa isa);

/// Versions this build contains; `dispatch.c` asks the CPU which of them may run.
extern const ck_kernels ck_kernels_portable;
extern const ck_panel_kernels ck_panel_kernels_portable;
extern const ck_format_kernels ck_format_kernels_portable;
#if defined(__x86_64__)
extern const ck_kernels ck_kernels_avx2, ck_kernels_avx512;
extern const ck_panel_kernels ck_panel_kernels_avx2, ck_panel_kernels_avx512;
extern const ck_format_kernels ck_format_kernels_avx2, ck_format_kernels_avx512;
#elif defined(__aarch64__)
extern const ck_kernels ck_kernels_neon;
extern const ck_panel_kernels ck_panel_kernels_neon, ck_panel_kernels_neon_dot;
extern const ck_format_kernels ck_format_kernels_neon, ck_format_kernels_neon_dot;
#elif defined(__wasm_simd128__)
extern const ck_kernels ck_kernels_simd128;
extern const ck_format_kernels ck_format_kernels_simd128;
#endif

#define CK_CONCAT_(a, b) a##_##b
#define CK_CONCAT(a, b) CK_CONCAT_(a, b)

// For a file of kernels: `CK(matmul_f32)` is the function's name in that file, `CK_DEFINE_TABLE` fills its table.
#define CK(name) CK_CONCAT(name, CK_SUFFIX)
#define CK_ENTRY(name, parameters, arguments) .name = CK(name),
#define CK_VALUE_ENTRY(type, name, parameters, arguments) .name = CK(name),
#define CK_DEFINE_TABLE const ck_kernels CK_CONCAT(ck_kernels, CK_SUFFIX) = {CK_KERNELS(CK_ENTRY, CK_VALUE_ENTRY)};
#define CK_DEFINE_PANEL_TABLE                                                                                          \
    const ck_panel_kernels CK_CONCAT(ck_panel_kernels, CK_SUFFIX) = {CK_PANEL_KERNELS(CK_ENTRY, CK_VALUE_ENTRY)};

#define CK_DEFINE_FORMAT_TABLE                                                                                         \
    const ck_format_kernels CK_CONCAT(ck_format_kernels, CK_SUFFIX) = {CK_FORMAT_KERNELS(CK_ENTRY, CK_VALUE_ENTRY)};

#endif
