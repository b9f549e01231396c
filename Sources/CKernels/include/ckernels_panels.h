/// Products of quantised matrices whose rows are interleaved by 16 ("panels").
///
/// **Activations** are quantised once per product, a block of 32 columns at a time: d = max|x| / 127, q = x / d rounded to
/// the nearest integer (ties to even), and the sums of q over the block and over its first half. A block whose d has no
/// finite reciprocal counts as zero; one that holds an infinity or a NaN gives NaN.
///
/// **Panels.** 16 consecutive rows form a panel; missing rows of the last one are zero. A panel is a sequence of records, a
/// multiple of 64 bytes each, in column order, so the first columns of a matrix are the first records of each panel. Scales
/// of a record come first, 16 at a time, one per row. Weights follow in blocks of 32 columns, as unsigned numbers: Q8_0 plus
/// 128, Q4_0 plus 8, Q5_0 plus 16, Q6_K plus 32, the others as they are. Column c of a block belongs to group c / 4; a group
/// is 64 bytes, byte 4 * row + c % 4.
///
///   8 bits    groups 0 ... 7
///   4 bits    64 bytes for each two groups: the even one in the low, the odd one in the high nibbles; 256 bytes together
///   1 bit     (the fifth bit) 64 bytes: bit g of a byte belongs to group g
///   2 bits    (bits 4 and 5) 64 bytes for groups 0 ... 3, then 64 for 4 ... 7: bits 2 (g % 4) and 2 (g % 4) + 1
///
///   format    columns  bytes   record
///   Q8_0           64   1088   f16 d[2][16]; 2 times 8 bits
///   Q4_0           64    576   f16 d[2][16]; 2 times 4 bits
///   Q5_0           64    704   f16 d[2][16]; 2 times (4 bits, 1 bit)
///   Q4_K          256   2304   f16 d[16], dmin[16]; scales; 8 times 4 bits
///   Q5_K          256   2816   f16 d[16], dmin[16]; scales; 8 times (4 bits, 1 bit)
///   Q6_K          256   3392   f16 d[16], 32 zero bytes; int8 scale[16][16] (16 columns each); 8 times (4 bits, 2 bits)
///   affine4        32    384   f32 scale[16], bias[16]; 4 bits
///   affine8        32    640   f32 scale[16], bias[16]; 8 bits
///
/// The scales of Q4_K and Q5_K have 6 bits: byte low[8][16] holds a block's scale & 15 and (min & 15) << 4, byte
/// high[4][16] of two blocks scale >> 4 and (min >> 4) << 2 in the low nibble for the even, in the high nibble for the odd one.
/// Columns are a multiple of 32 (256 for the K formats); where a record is not full its rest is zero.
///
/// **Sums.** acc = 0, then for every block of 32 columns, ascending, with exact integer sums and x.d the activation's scale:
///
///   Q8_0, Q4_0, Q5_0   acc = fma(sum of w * q, w.d * x.d, acc)
///   Q6_K               acc = fma(scale0 * sum0 + scale1 * sum1, w.d * x.d, acc)                        halves of 16 columns
///   Q4_K, Q5_K         acc = fma(sum of w * q, (d * scale) * x.d, acc); acc = fma(sum of q, -(dmin * min) * x.d, acc)
///   affine             acc = fma(sum of w * q, scale * x.d, acc); acc = fma(sum of q, bias * x.d, acc)
///
/// So an output depends on its row and its token only, in every version but plain C to the last bit (plain C rounds products).
#ifndef CKERNELS_PANELS_H
#define CKERNELS_PANELS_H

#include "ckernels.h"

#ifdef __cplusplus
extern "C" {
#endif

// MARK: Activations

/// Tokens are held in tiles of 12, the last one smaller. A tile of n tokens is int8 q[k / 32][n][32], then
/// ck_block_sums[k / 32][n].
#define CK_TILE_TOKENS 12

/// What belongs to a block of 32 quantised activations.
typedef struct {
    float d;
    float sum;                ///< Sum of the q.
    int32_t minus_8_sums;     ///< -8 times the sum of the q: where the sum for 4-bit weights stored plus 8 starts.
    int32_t minus_8_sums_0;   ///< The same for the first 16 columns.
} ck_block_sums;

/// Bytes of `tokens` quantised rows of k elements (k a multiple of 32). Alignment 16; 64 is faster.
static inline size_t ck_activations_bytes(size_t tokens, size_t k) { return tokens * (k / 32) * (32 + sizeof(ck_block_sums)); }

/// The quantised values of a token's block.
static inline const int8_t *ck_activation_block(const void *activations, size_t token, size_t tokens, size_t k, size_t block) {
    size_t tile = token / CK_TILE_TOKENS * CK_TILE_TOKENS, n = tokens - tile < CK_TILE_TOKENS ? tokens - tile : CK_TILE_TOKENS;
    return (const int8_t *)activations + ck_activations_bytes(tile, k) + (block * n + (token - tile)) * 32;
}
/// The scale and the sums of a token's block.
static inline const ck_block_sums *ck_activation_sums(const void *activations, size_t token, size_t tokens, size_t k, size_t block) {
    size_t tile = token / CK_TILE_TOKENS * CK_TILE_TOKENS, n = tokens - tile < CK_TILE_TOKENS ? tokens - tile : CK_TILE_TOKENS;
    return (const ck_block_sums *)((const char *)activations + ck_activations_bytes(tile, k) + (k / 32) * n * 32)
         + block * n + (token - tile);
}
/// Blocks from one block of a token to its next one: both pointers above advance by this many.
static inline size_t ck_activation_stride(size_t token, size_t tokens) {
    size_t tile = token / CK_TILE_TOKENS * CK_TILE_TOKENS;
    return tokens - tile < CK_TILE_TOKENS ? tokens - tile : CK_TILE_TOKENS;
}

/// Quantises rows first ..< first + count of `tokens` (row t of k elements at x + t * x_stride). Calls for different rows may run
/// at the same time.
void ck_quantize_activations(const float *x, size_t x_stride, size_t k, size_t tokens, size_t first, size_t count,
                             void *activations);

// MARK: Panels. For the block formats; the plain ones have no panels (sizes are 0, functions do nothing).

/// Columns and bytes of a record.
size_t ck_panel_record_columns(ck_format format);
size_t ck_panel_record_bytes(ck_format format);
/// Bytes of 16 interleaved rows of k columns.
size_t ck_panel_bytes(ck_format format, size_t k);

/// Interleaves `rows` <= 16 rows of k columns; the missing ones become zero.
void ck_pack_panel(ck_format format, const void *w, size_t row_bytes, size_t rows, size_t k, void *panel);
/// Row `lane` of a panel as ck_pack_panel was given it, byte for byte.
void ck_unpack_panel(ck_format format, const void *panel, size_t lane, size_t k, void *row);
/// Elements first ..< first + n of row `lane` of a panel.
void ck_panel_dequantize(ck_format format, const void *panel, size_t lane, size_t first, size_t n, float *y);

/// y[t * y_stride + r] = row r times token first_token + t, for r < rows and t < count; `tokens` have been quantised. Rows start at a
/// panel and need not end with one. `w` needs an alignment of 4; 64 is faster.
void ck_panel_matmul(ck_format format, const void *w, size_t panel_stride_bytes, size_t rows, size_t k, const void *activations,
                     size_t first_token, size_t count, size_t tokens, float *y, size_t y_stride);

/// Runs `steps` rounds of independent 8-bit dot products with this machine's best instruction for them and sets `operations` to the
/// multiplications and additions done. The value only keeps the work alive.
float ck_measure_int8(size_t steps, double *operations);

#ifdef __cplusplus
}
#endif
#endif
