// Panels with AVX-512 and VNNI: one vector holds the 16 rows of a panel.
#if defined(__x86_64__)
#include <immintrin.h>
#include <stdint.h>
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c"))), apply_to = function)

#define CK_SUFFIX avx512
#define W 16
#define SIGNED_BYTES 0
#define TILE_VECTORS 2
#define TILE_STEP 4
#define TILE_REGISTERS 1
#define FEW_TOKENS 32
#define DIRECT_TOKENS 8
#define measure_dots 20
typedef float vf __attribute__((vector_size(64)));
typedef int32_t vi __attribute__((vector_size(64)));
typedef uint32_t vu __attribute__((vector_size(64)));
typedef vi dots;

#define PRIMITIVE static inline __attribute__((always_inline))
PRIMITIVE vf fma_(vf a, vf b, vf c) { return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
PRIMITIVE vf load_f16(const void *p) { return (vf)_mm512_cvtph_ps(_mm256_loadu_si256(p)); }
PRIMITIVE dots begin(int32_t start) { return (vi)_mm512_set1_epi32(start); }
PRIMITIVE dots dot_(int bits, int group, dots s, vu w, vu x) {
    (void)bits, (void)group;
    return (vi)_mm512_dpbusd_epi32((__m512i)s, (__m512i)w, (__m512i)x);
}
PRIMITIVE vi finish(dots s, int32_t start) { (void)start; return s; }

#include "../simd/panels.h"
#pragma clang attribute pop
#endif
