/// SIMD kernels of the core. No allocation, no I/O, no global state but the dispatch table.
///
/// Every function exists in plain C (`portable/`) and, where it pays, in faster versions chosen once by `dispatch.c`.
/// Rule for all of them: an output element is summed in an order that depends on the lengths given here only, never on
/// how many rows, tokens or threads are computed together. Reductions over a row use 16 interleaved partial sums
/// (element `i` goes to partial sum `i % 16`), added pairwise: i + 8, then i + 4, then i + 2,
/// then i + 1. Versions with fused multiply-add agree with each other bit for bit; plain C rounds products and may differ.
///
/// Strides count elements, not bytes. Pointers need only their element's alignment. Sizes may be 0.
#ifndef CKERNELS_H
#define CKERNELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// MARK: Formats

/// How elements are stored. The block formats are described in `ckernels_formats.h`.
typedef enum {
    CK_F32 = 0, CK_F16 = 1, CK_BF16 = 2, CK_Q8_0 = 3, CK_Q4_0 = 4, CK_Q5_0 = 5, CK_Q4_K = 6, CK_Q5_K = 7, CK_Q6_K = 8,
    CK_AFFINE4 = 9, CK_AFFINE8 = 10
} ck_format;

// MARK: Instruction sets

/// Instruction sets a kernel may be written for, worst first.
typedef enum { CK_ISA_PORTABLE = 0, CK_ISA_AVX2 = 1, CK_ISA_AVX512 = 2, CK_ISA_NEON = 3, CK_ISA_SIMD128 = 4 } ck_isa;

/// The instruction set in use.
ck_isa ck_current_isa(void);
/// Whether this machine can run `isa`.
int ck_isa_available(ck_isa isa);
/// Uses `isa` from now on; 0 if this machine lacks it. For tests and measurements: not while kernels run.
int ck_select_isa(ck_isa isa);
/// Its name as people write it, such as "AVX-512".
const char *ck_isa_name(ck_isa isa);

/// One round of a spin loop: tells the core that nothing useful happens meanwhile.
static inline void ck_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb");
#endif
}

/// Hands out numbers 0, 1, 2, … to threads that share `next`.
static inline size_t ck_take_number(size_t *next) { return __atomic_fetch_add(next, 1, __ATOMIC_RELAXED); }

/// Asks for `bytes` bytes that will be read soon.
static inline void ck_prefetch(const void *address, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch((const char *)address + i, 0, 3);
}

/// Asks for `bytes` bytes that will be read later: as far as the second-level cache.
static inline void ck_prefetch_later(const void *address, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch((const char *)address + i, 0, 2);
}

/// A lock for work that is done once: who finds it taken waits.
static inline void ck_lock(int32_t *lock) { while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE)) ck_pause(); }
static inline void ck_unlock(int32_t *lock) { __atomic_store_n(lock, 0, __ATOMIC_RELEASE); }

// MARK: Matrix products
// y[t * y_stride + r] = sum_k w[r * w_stride + k] * x[t * x_stride + k]   for t < tokens, r < rows.

void ck_matmul_f32(const float *w, size_t w_stride, size_t rows, size_t k,
                   const float *x, size_t x_stride, size_t tokens, float *y, size_t y_stride);
void ck_matmul_f16(const uint16_t *w, size_t w_stride, size_t rows, size_t k,
                   const float *x, size_t x_stride, size_t tokens, float *y, size_t y_stride);
void ck_matmul_bf16(const uint16_t *w, size_t w_stride, size_t rows, size_t k,
                    const float *x, size_t x_stride, size_t tokens, float *y, size_t y_stride);

// MARK: Matrix products of many tokens
// The same products for the encoders, which always have many tokens. An element is summed in another order than above: column
// by column in blocks of 256 columns, each from zero, the blocks' sums added in order; with `add` onto what y holds.

/// Rows side by side in packed weights.
#define CK_GEMM_PANEL 32
/// Floats of memory that one product works in.
#define CK_GEMM_SCRATCH 57344

/// Packs rows for `ck_gemm_packed_f32`: panels of 32 rows, [k][32] each, the last one filled up with zeros: `k` times `rows`
/// rounded up to 32 floats.
void ck_gemm_pack_f32(const float *w, size_t w_stride, size_t rows, size_t k, float *packed);
void ck_gemm_pack_f16(const uint16_t *w, size_t w_stride, size_t rows, size_t k, float *packed);
void ck_gemm_pack_bf16(const uint16_t *w, size_t w_stride, size_t rows, size_t k, float *packed);
/// The product with packed weights.
void ck_gemm_packed_f32(const float *w, size_t rows, size_t k, const float *x, size_t x_stride, size_t tokens, int add,
                        float *y, size_t y_stride, float *scratch);
/// The product with weights that lie transposed, [k, rows]; `w_stride` from column to column.
void ck_gemm_transposed_f32(const float *w, size_t w_stride, size_t rows, size_t k, const float *x, size_t x_stride,
                            size_t tokens, int add, float *y, size_t y_stride, float *scratch);

// MARK: Element conversion

void ck_f16_to_f32(const uint16_t *x, float *y, size_t n);
void ck_bf16_to_f32(const uint16_t *x, float *y, size_t n);

// MARK: Rows

/// Sum of squares, sum, and sum of squared deviations from `mean`, over n elements.
float ck_sum_squares_f32(const float *x, size_t n);
float ck_sum_f32(const float *x, size_t n);
float ck_sum_squared_deviations_f32(const float *x, float mean, size_t n);
float ck_max_f32(const float *x, size_t n);
float ck_dot_f32(const float *x, const float *y, size_t n);

/// y = x / sqrt(mean(x^2) + eps) * w; `w` may be NULL (no weight). y may be x.
void ck_rms_norm_f32(const float *x, const float *w, float eps, float *y, size_t n);

/// y = gelu_tanh(x / sqrt(mean(x^2) + eps) * w); y may be x.
void ck_rms_norm_gelu_f32(const float *x, const float *w, float eps, float *y, size_t n);
/// y = x + x' * a with x' = z / sqrt(mean(z^2) + eps) * w; `a` may be NULL (1), x may be NULL (0). y may be x or z.
void ck_rms_norm_add_f32(const float *z, const float *w, float eps, const float *a, const float *x, float *y, size_t n);

/// y += a * x
void ck_axpy_f32(float a, const float *x, float *y, size_t n);
/// y += a[i] * x[i]
void ck_multiply_add_f32(const float *a, const float *x, float *y, size_t n);
/// y = a * x (y may be x)
void ck_scale_f32(float a, const float *x, float *y, size_t n);
/// y = a[i] * x[i] (y may be a or x)
void ck_multiply_f32(const float *a, const float *x, float *y, size_t n);
/// y += x
void ck_add_f32(const float *x, float *y, size_t n);

/// y = gelu_tanh(x) = 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))   (y may be x)
void ck_gelu_f32(const float *x, float *y, size_t n);
/// y = gelu_tanh(g) * u   (y may be g or u)
void ck_gelu_multiply_f32(const float *g, const float *u, float *y, size_t n);
/// The elements above `cutoff`, in order: their indices and values; gives their number. Both have room for n.
size_t ck_compact_above_f32(const float *x, float cutoff, size_t n, int32_t *indices, float *values);
/// y = gelu_tanh(max(0, g - cutoff)) * u   (statistical sparsity)
void ck_gelu_cutoff_multiply_f32(const float *g, float cutoff, const float *u, float *y, size_t n);
/// y = x * sigmoid(x)
void ck_silu_f32(const float *x, float *y, size_t n);
/// y = a * sigmoid(b)
void ck_glu_f32(const float *a, const float *b, float *y, size_t n);
/// y = cap * tanh(x / cap)
void ck_softcap_f32(const float *x, float cap, float *y, size_t n);
/// x = softmax(x) in place. n = 0 does nothing.
void ck_softmax_f32(float *x, size_t n);
/// Rotates pairs (x[j], x[j + half]) by angle j: cos[j], sin[j], j < half ("rotate half" RoPE), in place.
void ck_rope_f32(float *x, const float *cos, const float *sin, size_t half);

// MARK: Attention

/// out[d] = sum_j p[j] * v[j * v_stride + d], j ascending, for d < n.
void ck_weighted_sum_f32(const float *p, size_t count, const float *v, size_t v_stride, float *out, size_t n);
/// Continues a weighted sum: out[d] += ... in the same order.
void ck_weighted_sum_add_f32(const float *p, size_t count, const float *v, size_t v_stride, float *out, size_t n);

/// Scores of queries x against keys w: the sums of `ck_matmul_…`, bit for bit, faster where a few queries meet many keys.
/// 8-bit keys come without their scales.
void ck_scores_f32(const float *w, size_t w_stride, size_t rows, size_t k,
                   const float *x, size_t x_stride, size_t tokens, float *y, size_t y_stride);
void ck_scores_f16(const uint16_t *w, size_t w_stride, size_t rows, size_t k,
                   const float *x, size_t x_stride, size_t tokens, float *y, size_t y_stride);
void ck_scores_i8(const int8_t *w, size_t w_stride, size_t rows, size_t k,
                  const float *x, size_t x_stride, size_t tokens, float *y, size_t y_stride);
/// The same product as `ck_matmul_f32` with weights of 8 bits.
void ck_matmul_i8(const int8_t *w, size_t w_stride, size_t rows, size_t k,
                  const float *x, size_t x_stride, size_t tokens, float *y, size_t y_stride);
/// x = e^(x - m) in place; gives the sum.
float ck_exp_sum_f32(float *x, float m, size_t n);
/// y = b * y + a * x
void ck_scale_axpy_f32(float b, float a, const float *x, float *y, size_t n);
/// Continues weighted sums of several rows of weights: out[r * out_stride + d] += sum_j p[r * p_stride + j] * v[j * v_stride + d],
/// j ascending, one after the other, for r < rows, d < n. 8-bit values come without their scales.
void ck_weighted_sums_f32(const float *p, size_t p_stride, size_t rows, size_t count, const float *v, size_t v_stride,
                          float *out, size_t out_stride, size_t n);
void ck_weighted_sums_f16(const float *p, size_t p_stride, size_t rows, size_t count, const uint16_t *v, size_t v_stride,
                          float *out, size_t out_stride, size_t n);
void ck_weighted_sums_i8(const float *p, size_t p_stride, size_t rows, size_t count, const int8_t *v, size_t v_stride,
                         float *out, size_t out_stride, size_t n);
/// Rounds to the nearest half, ties to even; beyond the largest one (65504) to that one.
void ck_f32_to_f16(const float *x, uint16_t *y, size_t n);
/// y = x / scale rounded to the nearest integer, ties to even; gives scale = max |x| / 127, 0 if that is no ordinary number.
float ck_f32_to_i8(const float *x, int8_t *y, size_t n);

// MARK: Convolution

/// Depthwise convolution at one output pixel of channels-last data: y[c] = sum_t w[t * channels + c] * x[t][c], t ascending.
/// `x[t]` is the input pixel under tap t, or NULL where the tap falls on padding.
void ck_weighted_taps_f32(const float *const *x, const float *w, size_t taps, float *y, size_t channels);

// MARK: Limits of the machine (for measurements)

/// Reads `count` bytes at the full speed of this thread; the value only keeps the reads alive.
float ck_measure_read(const void *bytes, size_t count);
/// Runs `steps` rounds of independent fused multiply-adds and sets `operations` to the floating-point operations done
/// (two each).
float ck_measure_fma(size_t steps, double *operations);

// MARK: Pictures

/// One row of interleaved RGB, 8 bits each: y[i] = clamp((sum_j weights[i * weights_stride + j] * x[first[i] + j] + 2^(p-1)) >> p)
/// for j < count[i], i < n pixels, p = precision. The caller sees to it that the sums stay inside 32 bits.
void ck_resample_row_rgb8(const uint8_t *x, const int32_t *first, const int32_t *count, const int32_t *weights,
                          size_t weights_stride, unsigned precision, uint8_t *y, size_t n);
/// y[i] = clamp((sum_j weights[j] * x[j * stride + i] + 2^(p-1)) >> p) for j < count, i < n bytes, p = precision.
void ck_resample_column_u8(const uint8_t *x, size_t stride, const int32_t *weights, size_t count, unsigned precision,
                           uint8_t *y, size_t n);

// MARK: The libm the core needs (double precision)

double ck_exp(double x);
double ck_log(double x);
double ck_pow(double x, double y);
double ck_sin(double x);
double ck_cos(double x);
double ck_tanh(double x);
double ck_sqrt(double x);

#ifdef __cplusplus
}
#endif
#endif
