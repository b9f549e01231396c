// The layout "units": sizes, packing, and reading it back.
#include "units.h"

#pragma STDC FP_CONTRACT OFF

size_t ck_units_bytes(ck_format format, size_t outputs, size_t units) {
    return units / ck_shape_of_units(format).group * ck_units_record_bytes(format, ck_padded_outputs(outputs));
}

/// Scales of output `o`, from the block at p, to the record (number `j` of those shared by fewer units).
CK_INLINE void pack_scales(ck_format format, const uint8_t *p, size_t j, uint8_t *record, uint8_t *scales, size_t padded, size_t o) {
    switch (format) {
    case CK_Q8_0: case CK_Q4_0: case CK_Q5_0: __builtin_memcpy(record + 2 * o, p, 2); break;
    case CK_Q4_K: case CK_Q5_K: {
        unsigned scale, minimum;
        ck_k_scale(p + 4, j, &scale, &minimum);
        __builtin_memcpy(record + 2 * o, p, 2);
        __builtin_memcpy(record + 2 * padded + 2 * o, p + 2, 2);
        scales[o] = (uint8_t)scale;
        scales[padded + o] = (uint8_t)minimum;
        break;
    }
    case CK_Q6_K:
        __builtin_memcpy(record + 2 * o, p + 208, 2);
        scales[o] = p[192 + j];
        break;
    case CK_AFFINE4: case CK_AFFINE8:
        __builtin_memcpy(record + 4 * o, p, 4);
        __builtin_memcpy(record + 4 * padded + 4 * o, p + 4, 4);
        break;
    default: break;
    }
}

/// One strip of outputs: `rows` of them exist.
CK_INLINE void pack_strip(ck_format format, const uint8_t *w, size_t row_bytes, size_t rows, size_t padded, size_t units, size_t first,
                          uint8_t *out) {
    const ck_units_shape shape = ck_shape_of_units(format);
    const size_t in_block = ck_blocks_32(format), bytes = ck_bytes_of_block(format), row = padded / 2 * shape.half_bytes;
    for (size_t b = 0; b < units / 32; b++) {
        uint8_t q[CK_STRIP][32] = {{0}};   // the stored numbers: nibbles without their offset, or bytes
        const ck_unit u = ck_find_unit(format, out, padded, 32 * b);
        uint8_t *record = (uint8_t *)u.record, *scales = (uint8_t *)u.scales;
        for (size_t o = 0; o < rows; o++) {
            const uint8_t *p = w + o * row_bytes + b / in_block * bytes;
            int16_t numbers[32];
            ck_block_integers(format, p, b % in_block, numbers);
            for (int i = 0; i < 32; i++) q[o][i] = (uint8_t)(numbers[i] + (format == CK_Q4_0 ? 8 : 0));
            for (size_t part = 0; part < 32 / shape.shared; part++)
                pack_scales(format, p, b % in_block * (32 / shape.shared) + part, record,
                            scales + part * (padded * shape.scales + shape.shared * row), padded, first + o);
        }
        for (size_t o = rows; o < CK_STRIP; o++) {
            const size_t size = shape.head == 8 ? 4 : 2;   // of a scale
            for (size_t i = 0; i < shape.head; i += size) __builtin_memset(record + padded * i + size * (first + o), 0, size);
            for (size_t part = 0; part < 32 / shape.shared; part++)
                for (size_t i = 0; i < shape.scales; i++)
                    scales[part * (padded * shape.scales + shape.shared * row) + padded * i + first + o] = 0;
        }
        for (size_t i = 0; i < 32; i++) {
            uint8_t *to = (uint8_t *)ck_find_unit(format, out, padded, 32 * b + i).row + first / 2 * shape.half_bytes;
            if (ck_has_nibbles(format))
                for (size_t l = 0; l < 16; l++)
                    for (size_t k = 0; k < 4; k++) to[4 * l + k] = (uint8_t)(q[32 * k + l][i] | q[32 * k + 16 + l][i] << 4);
            else for (size_t o = 0; o < CK_STRIP; o++) to[o] = q[o][i];
        }
    }
}

static void pack_plain(size_t bytes, const uint8_t *w, size_t row_bytes, size_t rows, size_t padded, size_t units, size_t first, uint8_t *out) {
    for (size_t i = 0; i < units; i++) {
        uint8_t *to = out + (i * padded + first) * bytes;
        for (size_t o = 0; o < CK_STRIP; o++) {
            if (o >= rows) __builtin_memset(to + o * bytes, 0, bytes);
            else if (bytes == 2) __builtin_memcpy(to + 2 * o, w + o * row_bytes + 2 * i, 2);
            else __builtin_memcpy(to + 4 * o, w + o * row_bytes + 4 * i, 4);
        }
    }
}

void ck_pack_units(ck_format format, const void *w, size_t row_bytes, size_t outputs, size_t units, size_t first_output, size_t output_count,
                   void *out) {
    const size_t padded = ck_padded_outputs(outputs);
    for (size_t first = first_output; first < first_output + output_count; first += CK_STRIP) {
        const size_t left = first_output + output_count - first, rows = left < CK_STRIP ? left : CK_STRIP;
        const uint8_t *p = (const uint8_t *)w + first * row_bytes;
        switch (format) {
        case CK_F32: case CK_F16: case CK_BF16: pack_plain(ck_bytes_of_block(format), p, row_bytes, rows, padded, units, first, out); break;
        case CK_Q8_0: pack_strip(CK_Q8_0, p, row_bytes, rows, padded, units, first, out); break;
        case CK_Q4_0: pack_strip(CK_Q4_0, p, row_bytes, rows, padded, units, first, out); break;
        case CK_Q5_0: pack_strip(CK_Q5_0, p, row_bytes, rows, padded, units, first, out); break;
        case CK_Q4_K: pack_strip(CK_Q4_K, p, row_bytes, rows, padded, units, first, out); break;
        case CK_Q5_K: pack_strip(CK_Q5_K, p, row_bytes, rows, padded, units, first, out); break;
        case CK_Q6_K: pack_strip(CK_Q6_K, p, row_bytes, rows, padded, units, first, out); break;
        case CK_AFFINE4: pack_strip(CK_AFFINE4, p, row_bytes, rows, padded, units, first, out); break;
        case CK_AFFINE8: pack_strip(CK_AFFINE8, p, row_bytes, rows, padded, units, first, out); break;
        default: break;
        }
    }
}

/// Scales of output `o` to block `j` of the one at p: the inverse of pack_scales.
CK_INLINE void unpack_scales(ck_format format, ck_unit u, size_t j, size_t padded, size_t o, uint8_t *p) {
    switch (format) {
    case CK_Q8_0: case CK_Q4_0: case CK_Q5_0: __builtin_memcpy(p, u.record + 2 * o, 2); break;
    case CK_Q4_K: case CK_Q5_K:
        __builtin_memcpy(p, u.record + 2 * o, 2);
        __builtin_memcpy(p + 2, u.record + 2 * padded + 2 * o, 2);
        ck_store_k_scale(p + 4, j, u.scales[o], u.scales[padded + o]);
        break;
    case CK_Q6_K:
        __builtin_memcpy(p + 208, u.record + 2 * o, 2);
        p[192 + j] = u.scales[o];
        break;
    case CK_AFFINE4: case CK_AFFINE8:
        __builtin_memcpy(p, u.record + 4 * o, 4);
        __builtin_memcpy(p + 4, u.record + 4 * padded + 4 * o, 4);
        break;
    default: break;
    }
}

/// The stored number of output `o`, plus the format's offset where the layout takes it off.
CK_INLINE uint8_t stored_number(ck_format format, const uint8_t *row, size_t o) {
    if (ck_has_nibbles(format)) return row[ck_nibble_byte(o)] >> (o / 16 % 2 * 4) & 15;
    return (uint8_t)(row[o] + (format == CK_Q8_0 ? 128 : format == CK_Q5_0 ? 16 : format == CK_Q6_K ? 32 : 0));
}

CK_INLINE void unpack_rows(ck_format format, const void *matrix, size_t padded, size_t units, size_t first, size_t count, uint8_t *w,
                           size_t row_bytes) {
    const size_t shared = ck_shape_of_units(format).shared, parts = 32 / shared, in_block = ck_blocks_32(format);
    for (size_t o = 0; o < count; o++) __builtin_memset(w + o * row_bytes, 0, units / 32 / in_block * ck_bytes_of_block(format));
    for (size_t b = 0; b < units / 32; b++)
        for (size_t o = 0; o < count; o++) {
            uint8_t *p = w + o * row_bytes + b / in_block * ck_bytes_of_block(format), q[32];
            for (size_t i = 0; i < 32; i++) q[i] = stored_number(format, ck_find_unit(format, matrix, padded, 32 * b + i).row, first + o);
            ck_store_block_numbers(format, q, p, b % in_block);
            for (size_t part = 0; part < parts; part++)
                unpack_scales(format, ck_find_unit(format, matrix, padded, 32 * b + part * shared), b % in_block * parts + part, padded, first + o, p);
        }
}

void ck_unpack_units(ck_format format, const void *units_matrix, size_t outputs, size_t units, size_t first_output, size_t output_count,
                     void *w, size_t row_bytes) {
    const size_t padded = ck_padded_outputs(outputs), size = ck_bytes_of_block(format);
    uint8_t *rows = w;
    switch (format) {
    case CK_F32: case CK_F16: case CK_BF16:
        for (size_t i = 0; i < units; i++)
            for (size_t o = 0; o < output_count; o++)
                __builtin_memcpy(rows + o * row_bytes + i * size, (const uint8_t *)units_matrix + (i * padded + first_output + o) * size, size);
        break;
#define CASE(F) case F: unpack_rows(F, units_matrix, padded, units, first_output, output_count, rows, row_bytes); break
    CASE(CK_Q8_0); CASE(CK_Q4_0); CASE(CK_Q5_0); CASE(CK_Q4_K); CASE(CK_Q5_K); CASE(CK_Q6_K); CASE(CK_AFFINE4); CASE(CK_AFFINE8);
#undef CASE
    default: break;
    }
}

void ck_units_dequantize(ck_format format, const void *units_matrix, size_t outputs, size_t output, size_t first, size_t n, float *y) {
    const size_t padded = ck_padded_outputs(outputs);
    for (size_t i = 0; i < n; i++) {
        ck_unit u = ck_find_unit(format, units_matrix, padded, first + i);
        ck_unit_scale s = ck_scale_of_unit(format, u, padded, output);
        float product = s.scale * ck_unit_number(format, u.row, output);
        y[i] = ck_has_shift(format) ? product + s.shift : product;
    }
}
