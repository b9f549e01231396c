// Blocks of the weight formats, one at a time, in plain C. The layouts are described in ckernels_formats.h.
#ifndef CK_FORMATS_H
#define CK_FORMATS_H

#include "../include/ckernels_formats.h"
#include "half.h"

#define CK_INLINE static inline __attribute__((always_inline))

CK_INLINE uint16_t ck_bits16(const uint8_t *p) { uint16_t v; __builtin_memcpy(&v, p, 2); return v; }
CK_INLINE uint32_t ck_bits32(const uint8_t *p) { uint32_t v; __builtin_memcpy(&v, p, 4); return v; }
CK_INLINE float ck_half_at(const uint8_t *p) { return ck_half(ck_bits16(p)); }
CK_INLINE float ck_float_at(const uint8_t *p) { float v; __builtin_memcpy(&v, p, 4); return v; }

/// Blocks of 32 columns in the block a format stores (1 or 8), and that block's bytes; 0 for plain formats.
CK_INLINE size_t ck_blocks_32(ck_format format) {
    switch (format) {
    case CK_Q8_0: case CK_Q4_0: case CK_Q5_0: case CK_AFFINE4: case CK_AFFINE8: return 1;
    case CK_Q4_K: case CK_Q5_K: case CK_Q6_K: return 8;
    default: return 0;
    }
}
CK_INLINE size_t ck_bytes_of_block(ck_format format) {
    switch (format) {
    case CK_F32: return 4;
    case CK_F16: case CK_BF16: return 2;
    case CK_Q8_0: return 34;
    case CK_Q4_0: return 18;
    case CK_Q5_0: return 22;
    case CK_Q4_K: return 144;
    case CK_Q5_K: return 176;
    case CK_Q6_K: return 210;
    case CK_AFFINE4: return 24;
    case CK_AFFINE8: return 40;
    default: return 0;
    }
}

/// Scale and minimum of sub-block j of Q4_K and Q5_K, 6 bits each in 12 bytes: for j < 4 the low bits of bytes j and j + 4; else
/// nibbles of byte j + 4, with the two bits left over above bytes j - 4 and j.
CK_INLINE void ck_k_scale(const uint8_t *s, size_t j, unsigned *scale, unsigned *minimum) {
    if (j < 4) {
        *scale = s[j] & 63u;
        *minimum = s[j + 4] & 63u;
    } else {
        *scale = (s[j + 4] & 15u) | (s[j - 4] >> 6) << 4;
        *minimum = (unsigned)(s[j + 4] >> 4) | (s[j] >> 6) << 4;
    }
}

/// The 32 weights of sub-block j of the block at p as whole numbers: signed ones for Q8_0, Q4_0, Q5_0 and Q6_K, the stored bits for
/// Q4_K, Q5_K, affine4 and affine8.
CK_INLINE void ck_block_integers(ck_format format, const uint8_t *p, size_t j, int16_t *q) {
    switch (format) {
    case CK_Q8_0:
        for (int i = 0; i < 32; i++) q[i] = (int8_t)p[2 + i];
        break;
    case CK_Q4_0:
        for (int i = 0; i < 16; i++) {
            q[i] = (int16_t)((p[2 + i] & 15) - 8);
            q[i + 16] = (int16_t)((p[2 + i] >> 4) - 8);
        }
        break;
    case CK_Q5_0: {
        uint32_t high = ck_bits32(p + 2);
        for (int i = 0; i < 16; i++) {
            q[i] = (int16_t)(((p[6 + i] & 15) | (high >> i & 1) << 4) - 16);
            q[i + 16] = (int16_t)((p[6 + i] >> 4 | (high >> (i + 16) & 1) << 4) - 16);
        }
        break;
    }
    case CK_Q4_K:
        for (size_t i = 0; i < 32; i++) q[i] = p[16 + j / 2 * 32 + i] >> (j % 2 * 4) & 15;
        break;
    case CK_Q5_K:
        for (size_t i = 0; i < 32; i++)
            q[i] = (int16_t)((p[48 + j / 2 * 32 + i] >> (j % 2 * 4) & 15) | (p[16 + i] >> j & 1) << 4);
        break;
    case CK_Q6_K: {
        const uint8_t *low = p + j / 4 * 64 + j % 2 * 32, *high = p + 128 + j / 4 * 32;
        for (size_t i = 0; i < 32; i++)
            q[i] = (int16_t)(((low[i] >> (j % 4 / 2 * 4) & 15) | (high[i] >> (j % 4 * 2) & 3) << 4) - 32);
        break;
    }
    case CK_AFFINE4:
        for (int i = 0; i < 16; i++) {
            q[i] = p[8 + i] & 15;
            q[i + 16] = p[8 + i] >> 4;
        }
        break;
    case CK_AFFINE8:
        for (int i = 0; i < 32; i++) q[i] = p[8 + i];
        break;
    default: break;
    }
}

/// The inverse of both, into a block of zeros: scale and minimum of sub-block j of Q4_K and Q5_K.
CK_INLINE void ck_store_k_scale(uint8_t *s, size_t j, unsigned scale, unsigned minimum) {
    if (j < 4) {
        s[j] |= (uint8_t)scale;
        s[j + 4] |= (uint8_t)minimum;
    } else {
        s[j + 4] = (uint8_t)((scale & 15) | minimum << 4);
        s[j - 4] |= (uint8_t)(scale >> 4 << 6);
        s[j] |= (uint8_t)(minimum >> 4 << 6);
    }
}

/// The numbers of sub-block j, each plus the format's offset (128, 8, 16 and 32 for Q8_0, Q4_0, Q5_0 and Q6_K).
CK_INLINE void ck_store_block_numbers(ck_format format, const uint8_t *q, uint8_t *p, size_t j) {
    switch (format) {
    case CK_Q8_0: for (size_t i = 0; i < 32; i++) p[2 + i] = q[i] ^ 0x80; break;
    case CK_Q4_0: for (size_t i = 0; i < 16; i++) p[2 + i] = (uint8_t)(q[i] | q[i + 16] << 4); break;
    case CK_Q5_0:
        for (size_t i = 0; i < 32; i++) {
            p[2 + i / 8] |= (uint8_t)(q[i] >> 4 << (i % 8));
            p[6 + i % 16] |= (uint8_t)((q[i] & 15) << (i / 16 * 4));
        }
        break;
    case CK_Q4_K: for (size_t i = 0; i < 32; i++) p[16 + j / 2 * 32 + i] |= (uint8_t)(q[i] << (j % 2 * 4)); break;
    case CK_Q5_K:
        for (size_t i = 0; i < 32; i++) {
            p[48 + j / 2 * 32 + i] |= (uint8_t)((q[i] & 15) << (j % 2 * 4));
            p[16 + i] |= (uint8_t)(q[i] >> 4 << j);
        }
        break;
    case CK_Q6_K:
        for (size_t i = 0; i < 32; i++) {
            p[j / 4 * 64 + j % 2 * 32 + i] |= (uint8_t)((q[i] & 15) << (j % 4 / 2 * 4));
            p[128 + j / 4 * 32 + i] |= (uint8_t)(q[i] >> 4 << (j % 4 * 2));
        }
        break;
    case CK_AFFINE4: for (size_t i = 0; i < 16; i++) p[8 + i] = (uint8_t)(q[i] | q[i + 16] << 4); break;
    case CK_AFFINE8: for (size_t i = 0; i < 32; i++) p[8 + i] = q[i]; break;
    default: break;
    }
}

/// What sub-block j's whole numbers are multiplied by: columns 0 ... 15 by scale[0], the others by scale[1]; then `shift` is added.
typedef struct { float scale[2], shift; } ck_block_scales;
CK_INLINE ck_block_scales ck_scales_of_block(ck_format format, const uint8_t *p, size_t j) {
    switch (format) {
    case CK_Q8_0: case CK_Q4_0: case CK_Q5_0: {
        float d = ck_half_at(p);
        return (ck_block_scales){{d, d}, 0};
    }
    case CK_Q4_K: case CK_Q5_K: {
        unsigned scale, minimum;
        ck_k_scale(p + 4, j, &scale, &minimum);
        float d = ck_half_at(p) * (float)scale;
        return (ck_block_scales){{d, d}, -(ck_half_at(p + 2) * (float)minimum)};
    }
    case CK_Q6_K: {
        float d = ck_half_at(p + 208);
        return (ck_block_scales){{d * (float)(int8_t)p[192 + 2 * j], d * (float)(int8_t)p[193 + 2 * j]}, 0};
    }
    case CK_AFFINE4: case CK_AFFINE8: {
        float d = ck_float_at(p);
        return (ck_block_scales){{d, d}, ck_float_at(p + 4)};
    }
    default: return (ck_block_scales){{0, 0}, 0};
    }
}
CK_INLINE int ck_has_shift(ck_format format) {
    return format == CK_Q4_K || format == CK_Q5_K || format == CK_AFFINE4 || format == CK_AFFINE8;
}

#endif
