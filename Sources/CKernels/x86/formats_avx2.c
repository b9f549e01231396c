// Weights in rows and in units with AVX2, FMA and F16C.
#if defined(__x86_64__)
#include <immintrin.h>
#include <stdint.h>
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#define CK_SUFFIX avx2
#define W 8
#define ROWS
#define UNSIGNED_BYTES 0
typedef float vf __attribute__((vector_size(32)));
typedef int32_t vi __attribute__((vector_size(32)));
typedef uint32_t vu __attribute__((vector_size(32)));

#define PRIMITIVE static inline __attribute__((always_inline))
PRIMITIVE vf fma_(vf a, vf b, vf c) { return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
PRIMITIVE vf load_f16(const void *p) { return (vf)_mm256_cvtph_ps(_mm_loadu_si128(p)); }
PRIMITIVE vf load_bf16(const void *p) { return (vf)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(p)), 16); }
PRIMITIVE vf load_i8(const void *p) { return (vf)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(p))); }
PRIMITIVE vf load_u8(const void *p) { return (vf)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(p))); }
#define NIBBLES_SIGNED 0
PRIMITIVE vf NIBBLES(vu v, int i, int table) {
    (void)table;
    return (vf)_mm256_cvtepi32_ps((__m256i)(v >> (unsigned)(4 * i) & 15));
}
/// Up to 6 bits, the sums of two products of each side fit 16 bits together. For 8 bits the sign goes to the activations.
PRIMITIVE vi dots_(int bits, __m256i w0, __m256i x0, __m256i w1, __m256i x1) {
    const __m256i ones = _mm256_set1_epi16(1);
    if (bits < 8) return (vi)_mm256_madd_epi16(_mm256_add_epi16(_mm256_maddubs_epi16(w0, x0), _mm256_maddubs_epi16(w1, x1)), ones);
    return (vi)_mm256_add_epi32(_mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_abs_epi8(w0), _mm256_sign_epi8(x0, w0)), ones),
                                _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_abs_epi8(w1), _mm256_sign_epi8(x1, w1)), ones));
}
#define dots_(bits, w0, x0, w1, x1) dots_(bits, (__m256i)(w0), (__m256i)(x0), (__m256i)(w1), (__m256i)(x1))
/// A byte of ones for every bit that is set.
PRIMITIVE __m256i spread_bits_(const uint16_t *bits) {
    __m256i v = _mm256_set_m128i(_mm_set1_epi16((short)bits[1]), _mm_set1_epi16((short)bits[0]));
    v = _mm256_shuffle_epi8(v, _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
    const __m256i place = _mm256_set1_epi64x((long long)0x8040201008040201u);
    return _mm256_cmpeq_epi8(_mm256_and_si256(v, place), place);
}
#define spread_bits(bits) ((vb)spread_bits_(bits))
#define odd_lanes(a, b) ((vb)_mm256_blend_epi32((__m256i)(a), (__m256i)(b), 0xF0))

#include "../simd/formats.h"
#pragma clang attribute pop
#endif
