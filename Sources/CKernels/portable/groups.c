// Rows in groups, as MLX stores them, to blocks of the affine formats.
#include "formats.h"

CK_INLINE void blocks(ck_format format, const uint8_t *numbers, const void *scales, const void *biases, ck_format scale_format, size_t group,
                      size_t first, size_t count, uint8_t *out) {
    for (size_t c = first; c < first + count; c += 32, out += ck_bytes_of_block(format)) {
        float scale[2];
        ck_dequantize(scale_format, scales, c / group, 1, scale);
        ck_dequantize(scale_format, biases, c / group, 1, scale + 1);
        __builtin_memcpy(out, scale, 8);
        uint8_t q[32];
        for (size_t i = 0; i < 32; i++) q[i] = format == CK_AFFINE4 ? numbers[(c + i) / 2] >> (i % 2 * 4) & 15 : numbers[c + i];
        ck_store_block_numbers(format, q, out, 0);
    }
}

void ck_group_blocks(ck_format format, const void *numbers, const void *scales, const void *biases, ck_format scale_format, size_t group,
                     size_t first, size_t count, void *out) {
    if (format == CK_AFFINE4) blocks(CK_AFFINE4, numbers, scales, biases, scale_format, group, first, count, out);
    if (format == CK_AFFINE8) blocks(CK_AFFINE8, numbers, scales, biases, scale_format, group, first, count, out);
}
