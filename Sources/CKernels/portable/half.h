// Half precision in plain C: `_Float16` does not exist for WebAssembly.
#ifndef CK_HALF_H
#define CK_HALF_H

#include <stdint.h>

static inline float ck_half(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, mantissa = h & 1023, bits;
    if (exponent == 31) bits = sign | 0x7F800000u | (mantissa << 13);
    else if (exponent) bits = sign | ((exponent + 112) << 23) | (mantissa << 13);
    else if (!mantissa) bits = sign;
    else {
        uint32_t e = 113;
        while (!(mantissa & 1024)) { mantissa <<= 1; e--; }
        bits = sign | (e << 23) | ((mantissa & 1023) << 13);
    }
    union { uint32_t u; float f; } v = { bits };
    return v.f;
}

/// The nearest number in half precision, ties to even; beyond the largest one that one.
static inline uint16_t ck_half_of(float x) {
    union { float f; uint32_t u; } v = { x };
    uint32_t sign = v.u & 0x80000000u;
    v.u ^= sign;
    if (v.f != v.f) return (uint16_t)(sign >> 16 | 0x7E00);
    if (v.f > 65504.0f) v.f = 65504.0f;
    if (v.f < 0x1p-14f) {
        v.f += 0.5f;   // rounds to multiples of 2^-24
        return (uint16_t)(sign >> 16 | (v.u - 0x3F000000u));
    }
    return (uint16_t)(sign >> 16 | (v.u + 0xFFF + ((v.u >> 13) & 1) - 0x38000000u) >> 13);
}

#endif
