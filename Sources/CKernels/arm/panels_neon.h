// Panels with NEON: four vectors hold the 16 rows of a panel. Included with DOT_PRODUCT 1 for CPUs that have the instruction.
#include <arm_neon.h>
#include <stdint.h>

#define W 4
#define SIGNED_BYTES 1
#define TILE_VECTORS 4
#define TILE_STEP 4
#define TILE_REGISTERS 0
#define FEW_TOKENS 8
#define DIRECT_TOKENS 4
typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));
typedef uint32_t vu __attribute__((vector_size(16)));

#define PRIMITIVE static inline __attribute__((always_inline))
PRIMITIVE vf fma_(vf a, vf b, vf c) { return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
PRIMITIVE vf load_f16(const void *p) {
    uint16x4_t v;
    __builtin_memcpy(&v, p, sizeof v);
    return (vf)vcvt_f32_f16(vreinterpret_f16_u16(v));
}
PRIMITIVE int8x16_t signed_(int bits, vu w) { return (int8x16_t)(bits == 8 ? w ^ 0x80808080u : w); }

#if DOT_PRODUCT
#define measure_dots 16
typedef int32x4_t dots;
PRIMITIVE dots begin(int32_t start) { return vdupq_n_s32(start); }
PRIMITIVE dots dot_(int bits, int group, dots s, vu w, vu x) {
    (void)group;
    return vdotq_s32(s, signed_(bits, w), (int8x16_t)x);
}
PRIMITIVE vi finish(dots s, int32_t start) { (void)start; return (vi)s; }
#else
#define measure_dots 6
/// Rows 0 and 1, rows 2 and 3: two sums each.
typedef struct { int32x4_t low, high; } dots;
PRIMITIVE dots begin(int32_t start) {
    (void)start;
    return (dots){vdupq_n_s32(0), vdupq_n_s32(0)};
}
PRIMITIVE dots dot_(int bits, int group, dots s, vu w, vu x) {
    (void)group;
    int8x16_t v = signed_(bits, w), a = (int8x16_t)x;
    s.low = vpadalq_s16(s.low, vmull_s8(vget_low_s8(v), vget_low_s8(a)));
    s.high = vpadalq_s16(s.high, vmull_high_s8(v, a));
    return s;
}
PRIMITIVE vi finish(dots s, int32_t start) { return (vi)vaddq_s32(vpaddq_s32(s.low, s.high), vdupq_n_s32(start)); }
#endif

#include "../simd/panels.h"
