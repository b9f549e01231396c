// Weights in rows and in units with AVX-512 and VNNI.
#if defined(__x86_64__)
#include <immintrin.h>
#include <stdint.h>
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c"))), apply_to = function)

#define CK_SUFFIX avx512
#define W 16
#define ROWS
#define UNSIGNED_BYTES 1
typedef float vf __attribute__((vector_size(64)));
typedef int32_t vi __attribute__((vector_size(64)));
typedef uint32_t vu __attribute__((vector_size(64)));

#define PRIMITIVE static inline __attribute__((always_inline))
PRIMITIVE vf fma_(vf a, vf b, vf c) { return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
PRIMITIVE vf load_f16(const void *p) { return (vf)_mm512_cvtph_ps(_mm256_loadu_si256(p)); }
PRIMITIVE vf load_bf16(const void *p) { return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p)), 16); }
PRIMITIVE vf load_i8(const void *p) { return (vf)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(p))); }
PRIMITIVE vf load_u8(const void *p) { return (vf)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(p))); }
/// The low 4 bits of an index choose one of 16 numbers: no mask, no conversion.
#define NIBBLES_SIGNED 1
PRIMITIVE vf NIBBLES(vu v, int i, int table) {
    const vf whole = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return (vf)_mm512_permutexvar_ps((__m512i)(v >> (unsigned)(4 * i)), (__m512)(table ? whole - 8 : whole));
}
#define dots_(bits, w0, x0, w1, x1)                                                                                    \
    ((void)(bits), (vi)_mm512_dpbusd_epi32(_mm512_dpbusd_epi32(_mm512_setzero_si512(), (__m512i)(w0), (__m512i)(x0)), (__m512i)(w1), (__m512i)(x1)))
#define spread_bits(bits)                                                                                              \
    ((vb)_mm512_movm_epi8(_cvtu64_mask64(bits[0] | (uint64_t)bits[1] << 16 | (uint64_t)bits[2] << 32 | (uint64_t)bits[3] << 48)))
#define odd_lanes(a, b) ((vb)_mm512_mask_blend_epi32(0xF0F0, (__m512i)(a), (__m512i)(b)))

#include "../simd/formats.h"
#pragma clang attribute pop
#endif
