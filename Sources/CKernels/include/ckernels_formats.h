/// Weight formats: rows of blocks as GGUF stores them, their encoders, rows in groups as MLX stores them, and the transposed layout of
/// sparse layers ("units").
///
/// **Blocks.** All numbers are little endian; f16 is IEEE half precision. A row is a sequence of blocks without padding.
///
///   format    columns  bytes   block                                                                weight of column c
///   Q8_0           32     34   f16 d; int8 q[32]                                                    d * q[c]
///   Q4_0           32     18   f16 d; 16 bytes: low nibbles columns 0 ... 15, high ones 16 ... 31   d * (q - 8)
///   Q5_0           32     22   f16 d; uint32 fifth bits; 16 bytes of nibbles as above               d * (q - 16)
///   Q4_K          256    144   f16 d, dmin; 12 bytes of 6-bit scales; nibbles                       d * scale * q - dmin * min
///   Q5_K          256    176   f16 d, dmin; 12 bytes of 6-bit scales; fifth bits[32]; nibbles       the same
///   Q6_K          256    210   nibbles[128]; two more bits[64]; int8 scale[16]; f16 d               d * scale * (q - 32)
///   affine4        32     24   f32 scale, bias; 16 bytes of nibbles as in Q4_0                      scale * q + bias
///   affine8        32     40   f32 scale, bias; 32 unsigned bytes                                   scale * q + bias
///
/// Blocks may start at any byte. Weights have float32's rounding of the formula as written: equal, bit for bit, to the `gguf` Python
/// package's. Columns are a multiple of the block's.
#ifndef CKERNELS_FORMATS_H
#define CKERNELS_FORMATS_H

#include "ckernels.h"

#ifdef __cplusplus
extern "C" {
#endif

// MARK: Rows

/// Columns and bytes of a block; plain formats have blocks of 1. 0 for a value that is no format.
size_t ck_block_length(ck_format format);
size_t ck_block_bytes(ck_format format);
/// Bytes of a row.
size_t ck_row_bytes(ck_format format, size_t columns);

/// Elements first ..< first + n of a row.
void ck_dequantize(ck_format format, const void *row, size_t first, size_t n, float *y);

/// Encodes n elements (whole blocks). Q8_0 rounds as GGUF defines it; the others look for the scales of least squared error. Values that
/// are not finite make the block's weights infinite or NaN, or are taken for the largest number that the format can hold.
void ck_quantize_row(ck_format format, const float *x, size_t n, void *row);

/// y[i] = row rows[i] (row i where `rows` is NULL) times `token`, one of `tokens` quantised by ck_quantize_activations (ckernels_panels.h, which
/// defines the sums too: the same bits as ck_panel_matmul). For the block formats; k is a multiple of the block length.
void ck_dot_rows(ck_format format, const void *w, size_t row_bytes, const int32_t *rows, size_t count, size_t k, const void *activations,
                 size_t token, size_t tokens, float *y);

// MARK: Groups
//
// What MLX calls affine quantisation: the numbers of a row one behind the other (4 bits: even columns in the low nibbles), and apart
// from them, in one of the plain formats, a scale and a bias for every `group` columns (32, 64 or 128).

/// Columns first ..< first + count of a row in groups, both multiples of 32, as blocks of affine4 or affine8. `numbers`, `scales` and
/// `biases` are those of the row.
void ck_group_blocks(ck_format format, const void *numbers, const void *scales, const void *biases, ck_format scale_format, size_t group,
                     size_t first, size_t count, void *blocks);

// MARK: Units
//
// Layout of a matrix [outputs, units] whose units (columns) are used one at a time: a unit's weights lie side by side over all outputs.
// Rows of the layout are padded to P = outputs rounded up to 128, so that they start at multiples of 64 bytes.
//
//   format               group of units    record of a group
//   F32, F16, BF16       1                 P elements
//   Q4_0                 32                f16 d[P]; 32 rows of nibbles
//   Q8_0, Q5_0           32                f16 d[P]; 32 rows of int8
//   Q4_K                 256               f16 d[P], dmin[P]; 8 times (uint8 scale[P], min[P]; 32 rows of nibbles)
//   Q5_K                 256               f16 d[P], dmin[P]; 8 times (uint8 scale[P], min[P]; 32 rows of uint8)
//   Q6_K                 256               f16 d[P]; 16 times (int8 scale[P]; 16 rows of int8)
//   affine4, affine8     32                f32 scale[P], bias[P]; 32 rows of nibbles / uint8
//
// A row of nibbles: 64 bytes for 128 outputs, read as 16 numbers of 32 bits; bits 4 i ... 4 i + 3 of number l belong to output 16 i + l.
// A prefix of whole groups is the layout of those units alone.

/// Bytes of the layout; units a multiple of the format's block length.
size_t ck_units_bytes(ck_format format, size_t outputs, size_t units);
/// Transposes rows first_output ..< first_output + output_count of a matrix in layout rows (row 0 at `w`); `first_output` is a multiple of
/// 128, and `output_count` is too unless the rows end there. Calls for different outputs may run at the same time.
void ck_pack_units(ck_format format, const void *w, size_t row_bytes, size_t outputs, size_t units, size_t first_output, size_t output_count,
                   void *out);
/// Rows first_output ..< first_output + output_count as ck_pack_units was given them, byte for byte, to `w`.
void ck_unpack_units(ck_format format, const void *units_matrix, size_t outputs, size_t units, size_t first_output, size_t output_count,
                     void *w, size_t row_bytes);
/// y[i] += sum over j < count, ascending, of a[j] * weight(first_output + i, survivors[j]), each a fused multiply-add with the weight
/// as ck_dequantize gives it, for i < output_count. The same bits for any split of outputs or survivors.
void ck_units_accumulate(ck_format format, const void *units_matrix, size_t outputs, const int32_t *survivors, size_t count, const float *a,
                         size_t first_output, size_t output_count, float *y);
/// Weights of output `output` for units first ..< first + n.
void ck_units_dequantize(ck_format format, const void *units_matrix, size_t outputs, size_t output, size_t first, size_t n, float *y);

#ifdef __cplusplus
}
#endif
#endif
