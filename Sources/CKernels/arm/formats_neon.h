// What simd/formats.h needs, for NEON. CK_DOT8(s, w, x) adds products of 16 bytes to four sums: which ones to which does not matter.
#define W 4
#define ROWS
#define UNSIGNED_BYTES 0
typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));
typedef uint32_t vu __attribute__((vector_size(16)));

#define PRIMITIVE static inline __attribute__((always_inline))
PRIMITIVE vf fma_(vf a, vf b, vf c) { return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
PRIMITIVE uint16x4_t load_4(const void *p) {
    uint16x4_t v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}
PRIMITIVE int8x8_t load_4_bytes(const void *p) {
    uint32_t v;
    __builtin_memcpy(&v, p, sizeof v);
    return vreinterpret_s8_u32(vdup_n_u32(v));
}
PRIMITIVE vf load_f16(const void *p) { return (vf)vcvt_f32_f16(vreinterpret_f16_u16(load_4(p))); }
PRIMITIVE vf load_bf16(const void *p) { return (vf)vshll_n_u16(load_4(p), 16); }
PRIMITIVE vf load_i8(const void *p) { return (vf)vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(load_4_bytes(p))))); }
PRIMITIVE vf load_u8(const void *p) {
    return (vf)vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vreinterpret_u8_s8(load_4_bytes(p))))));
}
#define NIBBLES_SIGNED 0
PRIMITIVE vf NIBBLES(vu v, int i, int table) {
    (void)table;
    return (vf)vcvtq_f32_u32((uint32x4_t)(v >> (unsigned)(4 * i) & 15));
}
#define dots_(bits, w0, x0, w1, x1)                                                                                    \
    ((void)(bits), (vi)CK_DOT8(CK_DOT8(vdupq_n_s32(0), (int8x16_t)(w0), (int8x16_t)(x0)), (int8x16_t)(w1), (int8x16_t)(x1)))
/// A byte of ones for every bit that is set.
PRIMITIVE uint8x16_t spread_bits_(const uint16_t *bits) {
    const uint8x8_t place = vcreate_u8(0x8040201008040201u);
    return vtstq_u8(vcombine_u8(vdup_n_u8((uint8_t)bits[0]), vdup_n_u8((uint8_t)(bits[0] >> 8))), vcombine_u8(place, place));
}
#define spread_bits(bits) ((vb)spread_bits_(bits))

#include "../simd/formats.h"
