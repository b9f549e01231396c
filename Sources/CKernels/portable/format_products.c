// Encoders, and products with weights in rows and in units, in plain C: the ones the others are compared with.
#include "../include/ckernels_table.h"
#include "units.h"

#pragma STDC FP_CONTRACT OFF
#define CK_SUFFIX portable
#include "encode.h"

CK_INLINE float dot_row(ck_format format, const uint8_t *row, size_t k, const int8_t *x, const ck_block_sums *sums, size_t stride) {
    const size_t in_block = ck_blocks_32(format), bytes = ck_bytes_of_block(format);
    float acc = 0;
    for (size_t b = 0; b < k / 32; b++, x += 32 * stride, sums += stride) {
        const uint8_t *p = row + b / in_block * bytes;
        const size_t j = b % in_block;
        int16_t q[32];
        ck_block_integers(format, p, j, q);
        int32_t sum0 = 0, sum1 = 0;
        for (int i = 0; i < 16; i++) {
            sum0 += q[i] * x[i];
            sum1 += q[i + 16] * x[i + 16];
        }
        float product;
        if (format == CK_Q6_K) {
            product = (float)((int8_t)p[192 + 2 * j] * sum0 + (int8_t)p[193 + 2 * j] * sum1) * (ck_half_at(p + 208) * sums->d);
            acc += product;
            continue;
        }
        const ck_block_scales s = ck_scales_of_block(format, p, j);
        product = (float)(sum0 + sum1) * (s.scale[0] * sums->d);
        acc += product;
        if (ck_has_shift(format)) {
            product = sums->sum * (s.shift * sums->d);
            acc += product;
        }
    }
    return acc;
}

#define DOT(FORMAT)                                                                                                    \
    case FORMAT:                                                                                                       \
        for (size_t i = 0; i < count; i++) y[i] = dot_row(FORMAT, (const uint8_t *)w + (rows ? (size_t)rows[i] : i) * row_bytes, k, x, sums, stride); \
        break;
static void CK(dot_rows) CK_DOT_ROWS_PARAMETERS {
    const int8_t *x = ck_activation_block(activations, token, tokens, k, 0);
    const ck_block_sums *sums = ck_activation_sums(activations, token, tokens, k, 0);
    const size_t stride = ck_activation_stride(token, tokens);
    switch (format) {
    DOT(CK_Q8_0) DOT(CK_Q4_0) DOT(CK_Q5_0) DOT(CK_Q4_K) DOT(CK_Q5_K) DOT(CK_Q6_K) DOT(CK_AFFINE4) DOT(CK_AFFINE8)
    default: break;
    }
}

CK_INLINE void accumulate(ck_format format, const void *matrix, size_t padded, const int32_t *survivors, size_t count, const float *a,
                          size_t first, size_t end, float *y) {
    ck_unit_scale s[CK_STRIP];
    const size_t shared = ck_shape_of_units(format).shared;
    size_t held = SIZE_MAX;
    for (size_t j = 0; j < count; j++) {
        const size_t unit = (size_t)survivors[j];
        const ck_unit u = ck_find_unit(format, matrix, padded, unit);
        if (!ck_is_plain(format) && unit / shared != held) {
            held = unit / shared;
            for (size_t o = first; o < end; o++) s[o - first] = ck_scale_of_unit(format, u, padded, o);
        }
        for (size_t o = first; o < end; o++) {
            float weight = ck_unit_number(format, u.row, o);
            if (!ck_is_plain(format)) weight = s[o - first].scale * weight;
            if (ck_has_shift(format)) weight = weight + s[o - first].shift;
            weight = a[j] * weight;
            y[o - first] += weight;
        }
    }
}

#define ACCUMULATE(FORMAT) case FORMAT: accumulate(FORMAT, units_matrix, padded, survivors, count, a, o, o + n, y); break;
static void CK(units_accumulate) CK_UNITS_ACCUMULATE_PARAMETERS {
    const size_t padded = ck_padded_outputs(outputs), end = first_output + output_count;
    for (size_t o = first_output, n; o < end; o += n, y += n) {
        n = end - o < CK_STRIP ? end - o : CK_STRIP;
        switch (format) {
        ACCUMULATE(CK_F32) ACCUMULATE(CK_F16) ACCUMULATE(CK_BF16)
        ACCUMULATE(CK_Q8_0) ACCUMULATE(CK_Q4_0) ACCUMULATE(CK_Q5_0) ACCUMULATE(CK_Q4_K) ACCUMULATE(CK_Q5_K) ACCUMULATE(CK_Q6_K)
        ACCUMULATE(CK_AFFINE4) ACCUMULATE(CK_AFFINE8)
        default: break;
        }
    }
}

CK_DEFINE_FORMAT_TABLE
