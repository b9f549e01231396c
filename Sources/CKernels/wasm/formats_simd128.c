// Weights in units with WebAssembly's 128-bit SIMD; rows are plain C's.
#if defined(__wasm_simd128__)
#include <stdint.h>
#include <wasm_simd128.h>

#define CK_SUFFIX simd128
#define W 4
typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));
typedef uint32_t vu __attribute__((vector_size(16)));

#define PRIMITIVE static inline __attribute__((always_inline))
PRIMITIVE vf fma_(vf a, vf b, vf c) { return c + a * b; }
PRIMITIVE vf load_bf16(const void *p) { return (vf)wasm_i32x4_shl(wasm_u32x4_load16x4(p), 16); }
/// Half precision by shifting the fields into place and scaling the exponent by 2^112; infinity and NaN are mended.
PRIMITIVE vf load_f16(const void *p) {
    vu h = (vu)wasm_u32x4_load16x4(p);
    vu value = (vu)((vf)((h & 0x7FFFu) << 13) * 5.192296858534828e33f);
    value |= (vu)((h & 0x7C00u) == 0x7C00u) & 0x7F800000u;
    return (vf)(value | (h & 0x8000u) << 16);
}
PRIMITIVE vf load_i8(const void *p) {
    return (vf)wasm_f32x4_convert_i32x4(wasm_i32x4_extend_low_i16x8(wasm_i16x8_extend_low_i8x16(wasm_v128_load32_zero(p))));
}
PRIMITIVE vf load_u8(const void *p) {
    return (vf)wasm_f32x4_convert_i32x4(wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(wasm_v128_load32_zero(p))));
}
#define NIBBLES_SIGNED 0
PRIMITIVE vf NIBBLES(vu v, int i, int table) {
    (void)table;
    return (vf)wasm_f32x4_convert_i32x4((v128_t)(v >> (unsigned)(4 * i) & 15));
}

#include "../simd/formats.h"
#endif
