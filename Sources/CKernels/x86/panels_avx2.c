// Panels with AVX2: two vectors hold the 16 rows of a panel. Products of pairs add up in 16 bits as long as they fit: 8 groups of
// 4-bit weights (8 * 2 * 15 * 127 < 2^15), 4 of 5 bits, 2 of 6 bits, 1 of 8 bits (as |w - 128| <= 128 times +-127).
#if defined(__x86_64__)
#include <immintrin.h>
#include <stdint.h>
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#define CK_SUFFIX avx2
#define W 8
#define SIGNED_BYTES 1
#define TILE_VECTORS 2
#define TILE_STEP 4
#define TILE_REGISTERS 0
#define FEW_TOKENS 8
#define DIRECT_TOKENS 4
#define measure_dots 6
typedef float vf __attribute__((vector_size(32)));
typedef int32_t vi __attribute__((vector_size(32)));
typedef uint32_t vu __attribute__((vector_size(32)));
typedef struct { __m256i pairs, sum; } dots;

#define PRIMITIVE static inline __attribute__((always_inline))
PRIMITIVE vf fma_(vf a, vf b, vf c) { return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
PRIMITIVE vf load_f16(const void *p) { return (vf)_mm256_cvtph_ps(_mm_loadu_si128(p)); }
PRIMITIVE dots begin(int32_t start) {
    (void)start;
    return (dots){_mm256_setzero_si256(), _mm256_setzero_si256()};
}
PRIMITIVE __m256i add_pairs(__m256i sum, __m256i pairs) { return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))); }
/// Keeps the compiler from adding in another order, for which it would hold (and spill) a whole block of weights.
#define IN_ORDER(x) __asm__("" : "+x"(x))
PRIMITIVE dots dot_(int bits, int group, dots s, vu w, vu x) {
    if (bits == 8) {
        // maddubs wants its first factor unsigned: |w - 128|, with the sign moved over to x.
        __m256i v = _mm256_xor_si256((__m256i)w, _mm256_set1_epi8((char)0x80));
        s.sum = add_pairs(s.sum, _mm256_maddubs_epi16(_mm256_abs_epi8(v), _mm256_sign_epi8((__m256i)x, v)));
        IN_ORDER(s.sum);
        return s;
    }
    s.pairs = _mm256_add_epi16(s.pairs, _mm256_maddubs_epi16((__m256i)w, (__m256i)x));
    IN_ORDER(s.pairs);
    const int room = bits == 4 ? 8 : bits == 5 ? 4 : 2;
    if (group % room == room - 1 && room < 8) {
        s.sum = add_pairs(s.sum, s.pairs);
        s.pairs = _mm256_setzero_si256();
    }
    return s;
}
PRIMITIVE vi finish(dots s, int32_t start) { return (vi)_mm256_add_epi32(add_pairs(s.sum, s.pairs), _mm256_set1_epi32(start)); }

#include "../simd/panels.h"
#pragma clang attribute pop
#endif
