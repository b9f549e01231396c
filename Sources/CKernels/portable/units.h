// Where things lie in the layout "units" (ckernels_formats.h): shared by all versions of the kernels.
#ifndef CK_UNITS_H
#define CK_UNITS_H

#include "formats.h"

/// Outputs in a strip, and a row of the layout padded to whole strips.
#define CK_STRIP 128
CK_INLINE size_t ck_padded_outputs(size_t outputs) { return (outputs + CK_STRIP - 1) / CK_STRIP * CK_STRIP; }

CK_INLINE int ck_is_plain(ck_format format) { return format == CK_F32 || format == CK_F16 || format == CK_BF16; }
CK_INLINE int ck_has_nibbles(ck_format format) { return format == CK_Q4_0 || format == CK_Q4_K || format == CK_AFFINE4; }

/// Units of a record, units that share scales, bytes of an output's scales at the start of the record and in front of those
/// units, all for one output; twice the bytes of an output's weight.
typedef struct { size_t group, shared, head, scales, half_bytes; } ck_units_shape;
CK_INLINE ck_units_shape ck_shape_of_units(ck_format format) {
    switch (format) {
    case CK_F32: return (ck_units_shape){1, 1, 0, 0, 8};
    case CK_F16: case CK_BF16: return (ck_units_shape){1, 1, 0, 0, 4};
    case CK_Q4_0: return (ck_units_shape){32, 32, 2, 0, 1};
    case CK_Q8_0: case CK_Q5_0: return (ck_units_shape){32, 32, 2, 0, 2};
    case CK_Q4_K: return (ck_units_shape){256, 32, 4, 2, 1};
    case CK_Q5_K: return (ck_units_shape){256, 32, 4, 2, 2};
    case CK_Q6_K: return (ck_units_shape){256, 16, 2, 1, 2};
    case CK_AFFINE4: return (ck_units_shape){32, 32, 8, 0, 1};
    case CK_AFFINE8: return (ck_units_shape){32, 32, 8, 0, 2};
    default: return (ck_units_shape){1, 1, 0, 0, 0};
    }
}
CK_INLINE size_t ck_units_record_bytes(ck_format format, size_t padded) {
    ck_units_shape s = ck_shape_of_units(format);
    return padded * s.head + padded * (s.group / s.shared) * s.scales + padded * s.group / 2 * s.half_bytes;
}

/// A unit's record, the scales it shares, and its row.
typedef struct { const uint8_t *record, *scales, *row; } ck_unit;
CK_INLINE ck_unit ck_find_unit(ck_format format, const void *matrix, size_t padded, size_t unit) {
    ck_units_shape s = ck_shape_of_units(format);
    size_t row = padded / 2 * s.half_bytes, in_group = unit % s.group;
    ck_unit u;
    u.record = (const uint8_t *)matrix + unit / s.group * ck_units_record_bytes(format, padded);
    u.scales = u.record + padded * s.head + in_group / s.shared * (padded * s.scales + s.shared * row);
    u.row = u.scales + padded * s.scales + in_group % s.shared * row;
    return u;
}

/// The weight of output `o` is scale * number + shift.
typedef struct { float scale, shift; } ck_unit_scale;
CK_INLINE ck_unit_scale ck_scale_of_unit(ck_format format, ck_unit u, size_t padded, size_t o) {
    switch (format) {
    case CK_Q8_0: case CK_Q4_0: case CK_Q5_0: return (ck_unit_scale){ck_half_at(u.record + 2 * o), 0};
    case CK_Q4_K: case CK_Q5_K: {
        float d = ck_half_at(u.record + 2 * o), m = ck_half_at(u.record + 2 * padded + 2 * o);
        return (ck_unit_scale){d * (float)u.scales[o], -(m * (float)u.scales[padded + o])};
    }
    case CK_Q6_K: return (ck_unit_scale){ck_half_at(u.record + 2 * o) * (float)(int8_t)u.scales[o], 0};
    case CK_AFFINE4: case CK_AFFINE8:
        return (ck_unit_scale){ck_float_at(u.record + 4 * o), ck_float_at(u.record + 4 * padded + 4 * o)};
    default: return (ck_unit_scale){1, 0};
    }
}
/// The byte with output `o`'s nibble in a row of nibbles; the high one for odd o / 16.
CK_INLINE size_t ck_nibble_byte(size_t o) { return o / 128 * 64 + o % 16 * 4 + o % 128 / 32; }
CK_INLINE float ck_unit_number(ck_format format, const uint8_t *row, size_t o) {
    switch (format) {
    case CK_F32: return ck_float_at(row + 4 * o);
    case CK_F16: return ck_half_at(row + 2 * o);
    case CK_BF16: {
        uint32_t bits = (uint32_t)ck_bits16(row + 2 * o) << 16;
        float v;
        __builtin_memcpy(&v, &bits, 4);
        return v;
    }
    case CK_Q4_0: return (float)(row[ck_nibble_byte(o)] >> (o / 16 % 2 * 4) & 15) - 8.0f;
    case CK_Q4_K: case CK_AFFINE4: return (float)(row[ck_nibble_byte(o)] >> (o / 16 % 2 * 4) & 15);
    case CK_Q8_0: case CK_Q5_0: case CK_Q6_K: return (float)(int8_t)row[o];
    case CK_Q5_K: case CK_AFFINE8: return (float)row[o];
    default: return 0;
    }
}

#endif
