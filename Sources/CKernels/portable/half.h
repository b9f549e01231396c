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

#endif
