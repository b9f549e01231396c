// AVX-512 (F, BW, VL, DQ): one vector holds all 16 partial sums.
#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c"))), apply_to = function)

#define CK_SUFFIX avx512
#define W 16
#define TILE_ROWS 4
#define TILE_TOKENS 6
#define WIDEN_BLOCKS 0
typedef float vf __attribute__((vector_size(64)));

#define PRIMITIVE static inline __attribute__((always_inline))
PRIMITIVE __mmask16 first_lanes(unsigned long n) { return (__mmask16)((1u << n) - 1); }
PRIMITIVE vf fma_(vf a, vf b, vf c) { return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
PRIMITIVE vf load_part(const float *p, unsigned long n) { return (vf)_mm512_maskz_loadu_ps(first_lanes(n), p); }
PRIMITIVE void store_part(float *p, vf v, unsigned long n) { _mm512_mask_storeu_ps(p, first_lanes(n), (__m512)v); }
PRIMITIVE vf load_f16(const void *p) { return (vf)_mm512_cvtph_ps(_mm256_loadu_si256(p)); }
PRIMITIVE vf load_bf16(const void *p) {
    return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p)), 16);
}

// Stores whole vectors where there is room: masked stores of compressed lanes are slow.
PRIMITIVE unsigned long compact_block(const float *x, float cutoff, int i, int *indices, float *values, unsigned long room) {
    __m512 v = _mm512_loadu_ps(x);
    __mmask16 above = _mm512_cmp_ps_mask(v, _mm512_set1_ps(cutoff), _CMP_GT_OQ);
    __m512i at = _mm512_add_epi32(_mm512_set1_epi32(i), _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    unsigned long count = (unsigned long)__builtin_popcount(above);
    __mmask16 kept = first_lanes(room >= 16 ? 16 : room);
    _mm512_mask_storeu_epi32(indices, kept, _mm512_maskz_compress_epi32(above, at));
    _mm512_mask_storeu_ps(values, kept, _mm512_maskz_compress_ps(above, v));
    return count;
}
#define COMPACT_BLOCK compact_block

#include "../simd/kernels.h"
#pragma clang attribute pop
#endif
