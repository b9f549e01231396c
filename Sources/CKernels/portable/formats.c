// Sizes of the weight formats, and their weights as float32.
#include "formats.h"

#pragma STDC FP_CONTRACT OFF

size_t ck_block_length(ck_format format) {
    if (format == CK_F32 || format == CK_F16 || format == CK_BF16) return 1;
    return 32 * ck_blocks_32(format);
}
size_t ck_block_bytes(ck_format format) { return ck_bytes_of_block(format); }
size_t ck_row_bytes(ck_format format, size_t columns) {
    size_t length = ck_block_length(format);
    return length ? columns / length * ck_bytes_of_block(format) : 0;
}

/// Whole blocks of 32 columns, number `first` to the one before `end`.
CK_INLINE void blocks(ck_format format, const uint8_t *row, size_t first, size_t end, float *y) {
    const size_t in_block = ck_blocks_32(format), bytes = ck_bytes_of_block(format);
    for (size_t b = first; b < end; b++, y += 32) {
        const uint8_t *p = row + b / in_block * bytes;
        ck_block_scales s = ck_scales_of_block(format, p, b % in_block);
        int16_t q[32];
        ck_block_integers(format, p, b % in_block, q);
        if (ck_has_shift(format)) {
            for (int i = 0; i < 32; i++) {
                float product = s.scale[0] * (float)q[i];
                y[i] = product + s.shift;
            }
        } else for (int i = 0; i < 32; i++) y[i] = s.scale[i / 16] * (float)q[i];
    }
}

static void blocks_of(ck_format format, const uint8_t *row, size_t first, size_t end, float *y) {
    switch (format) {
    case CK_Q8_0: blocks(CK_Q8_0, row, first, end, y); break;
    case CK_Q4_0: blocks(CK_Q4_0, row, first, end, y); break;
    case CK_Q5_0: blocks(CK_Q5_0, row, first, end, y); break;
    case CK_Q4_K: blocks(CK_Q4_K, row, first, end, y); break;
    case CK_Q5_K: blocks(CK_Q5_K, row, first, end, y); break;
    case CK_Q6_K: blocks(CK_Q6_K, row, first, end, y); break;
    case CK_AFFINE4: blocks(CK_AFFINE4, row, first, end, y); break;
    case CK_AFFINE8: blocks(CK_AFFINE8, row, first, end, y); break;
    default: break;
    }
}

void ck_dequantize(ck_format format, const void *row, size_t first, size_t n, float *y) {
    const uint8_t *p = row;
    switch (format) {
    case CK_F32: __builtin_memcpy(y, p + 4 * first, 4 * n); return;
    case CK_F16: for (size_t i = 0; i < n; i++) y[i] = ck_half_at(p + 2 * (first + i)); return;
    case CK_BF16:
        for (size_t i = 0; i < n; i++) {
            uint32_t bits = (uint32_t)ck_bits16(p + 2 * (first + i)) << 16;
            __builtin_memcpy(y + i, &bits, 4);
        }
        return;
    default: break;
    }
    while (n) {
        size_t skip = first % 32;
        if (skip == 0 && n >= 32) {
            blocks_of(format, p, first / 32, (first + n) / 32, y);
            size_t done = n / 32 * 32;
            first += done, n -= done, y += done;
        } else {
            float whole[32];
            size_t part = 32 - skip < n ? 32 - skip : n;
            blocks_of(format, p, first / 32, first / 32 + 1, whole);
            for (size_t i = 0; i < part; i++) y[i] = whole[skip + i];
            first += part, n -= part, y += part;
        }
    }
}
