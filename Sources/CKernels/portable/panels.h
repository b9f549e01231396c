// Where things lie in the records of a panel (ckernels_panels.h): shared by all versions of the kernels.
#ifndef CK_PANELS_H
#define CK_PANELS_H

#include "../include/ckernels_table.h"

/// A constant of a format, chosen when the format is known: by the compiler, where it is a constant.
#define CK_BY_FORMAT(FORMAT, Q8_0, Q4_0, Q5_0, Q4_K, Q5_K, Q6_K, A4, A8)                                               \
    ((FORMAT) == CK_Q8_0 ? (Q8_0) : (FORMAT) == CK_Q4_0 ? (Q4_0) : (FORMAT) == CK_Q5_0 ? (Q5_0)                        \
     : (FORMAT) == CK_Q4_K ? (Q4_K) : (FORMAT) == CK_Q5_K ? (Q5_K) : (FORMAT) == CK_Q6_K ? (Q6_K)                      \
     : (FORMAT) == CK_AFFINE4 ? (A4) : (FORMAT) == CK_AFFINE8 ? (A8) : 0)

/// Bytes of a record, blocks of 32 columns in it, bytes in front of the first block's weights, bytes of a block's weights.
#define CK_RECORD_BYTES(F) CK_BY_FORMAT(F, 1088u, 576u, 704u, 2304u, 2816u, 3392u, 384u, 640u)
#define CK_RECORD_BLOCKS(F) CK_BY_FORMAT(F, 2u, 2u, 2u, 8u, 8u, 8u, 1u, 1u)
#define CK_RECORD_HEAD(F) CK_BY_FORMAT(F, 64u, 64u, 64u, 256u, 256u, 320u, 128u, 128u)
#define CK_BLOCK_WEIGHTS(F) CK_BY_FORMAT(F, 512u, 256u, 320u, 256u, 320u, 384u, 256u, 512u)
/// Bits of a stored weight, and what was added to make it unsigned.
#define CK_BITS(F) CK_BY_FORMAT(F, 8, 4, 5, 4, 5, 6, 4, 8)
#define CK_OFFSET(F) CK_BY_FORMAT(F, 128, 8, 16, 0, 0, 32, 0, 0)

/// How sums of blocks are scaled: by one factor; by one factor and the activations' sum by another; by two whole numbers
/// and a factor.
enum { CK_SCALED, CK_SHIFTED, CK_HALVED };
#define CK_KIND(F) CK_BY_FORMAT(F, CK_SCALED, CK_SCALED, CK_SCALED, CK_SHIFTED, CK_SHIFTED, CK_HALVED, CK_SHIFTED, CK_SHIFTED)

/// A block of 16 rows x 32 columns, ready for use: weights as bytes in groups, factors, and for CK_HALVED the whole numbers.
typedef struct {
    uint8_t q[512];
    float a[16];
    union {
        float b[16];
        struct { int16_t scale0[16], scale1[16]; };
    };
} ck_wide_block;

#endif
