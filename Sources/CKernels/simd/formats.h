// Encoders, and products with weights in rows and in units, written once for all vector instruction sets. A file per instruction set includes this after
// defining
//
//   CK_SUFFIX                     its suffix
//   W                             float lanes of its vector: 16, 8 or 4
//   vf, vi, vu                    that vector of floats, of int32, of uint32 (Clang vector types)
//   fma_(a, b, c)                 a * b + c
//   load_f16(p), load_bf16(p)     W elements widened to float32
//   load_i8(p), load_u8(p)        W bytes widened to float32
//   NIBBLES(v, i, table)          bits 4 i ... 4 i + 3 of each number as float32; if NIBBLES_SIGNED, `table` 1 subtracts 8
//   UNSIGNED_BYTES                1 if weights of 8 bits are multiplied as unsigned numbers, 0 if as signed ones
//   dots_(bits, w0, x0, w1, x1)   per int32: the sum of w0[i] * x0[i] and w1[i] * x1[i] over its 4 bytes; `bits` of a weight
#include "../include/ckernels_table.h"
#include "../portable/encode.h"
#include "../portable/units.h"

#pragma STDC FP_CONTRACT OFF

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

INLINE vf splat(float x) { return x - (vf){0}; }
INLINE vf load(const void *p) { vf v; __builtin_memcpy(&v, p, sizeof v); return v; }
INLINE vi load_i32(const void *p) { vi v; __builtin_memcpy(&v, p, sizeof v); return v; }
INLINE void store(float *p, vf v) { __builtin_memcpy(p, &v, sizeof v); }

// MARK: Units

/// Survivors whose rows are walked together, strip by strip: sums of a strip stay in registers, and the next ones are fetched meanwhile.
#define SURVIVORS 16

/// Outputs first + 16 i + lane ..., i < 8, of a strip; `ahead` are the survivors to fetch.
INLINE void CK(strip)(ck_format format, const ck_unit *units, size_t count, const float *a, size_t padded, size_t first, size_t lane,
                      const ck_unit *ahead, size_t ahead_count, float *y) {
    vf sum[8], scale[8], shift[8];
    const int shifted = ck_has_shift(format) || (format == CK_Q4_0 && !NIBBLES_SIGNED);
    UNROLL for (int i = 0; i < 8; i++) {
        sum[i] = load(y + 16 * i + lane);
        scale[i] = shift[i] = splat(0);
    }
    const uint8_t *held = 0;
    const size_t half_bytes = ck_shape_of_units(format).half_bytes;
    for (size_t j = 0; j < count; j++) {
        const ck_unit u = units[j];
        if (lane == 0 && j < ahead_count) {
            const uint8_t *next = ahead[j].row + first / 2 * half_bytes;
            UNROLL for (size_t i = 0; i < half_bytes; i++) __builtin_prefetch(next + 64 * i, 0, 3);
            if (j == 0 || ahead[j].scales != ahead[j - 1].scales) {
                const size_t head = ck_shape_of_units(format).head, more = ck_shape_of_units(format).scales;
                if (head == 2 || head == 4) {
                    UNROLL for (size_t i = 0; i < 4; i++) __builtin_prefetch(ahead[j].record + 2 * first + 64 * i, 0, 3);
                }
                if (head == 4)
                    UNROLL for (size_t i = 0; i < 4; i++) __builtin_prefetch(ahead[j].record + 2 * padded + 2 * first + 64 * i, 0, 3);
                if (head == 8)
                    UNROLL for (size_t i = 0; i < 8; i++) {
                        __builtin_prefetch(ahead[j].record + 4 * first + 64 * i, 0, 3);
                        __builtin_prefetch(ahead[j].record + 4 * padded + 4 * first + 64 * i, 0, 3);
                    }
                UNROLL for (size_t i = 0; i < more; i++) {
                    __builtin_prefetch(ahead[j].scales + i * padded + first, 0, 3);
                    __builtin_prefetch(ahead[j].scales + i * padded + first + 64, 0, 3);
                }
            }
        }
        if (!ck_is_plain(format) && u.scales != held) {
            held = u.scales;
            UNROLL for (int i = 0; i < 8; i++) {
                const size_t o = first + 16 * (size_t)i + lane;
                switch (format) {
                case CK_Q4_K: case CK_Q5_K:
                    scale[i] = load_f16(u.record + 2 * o) * load_u8(u.scales + o);
                    shift[i] = -(load_f16(u.record + 2 * padded + 2 * o) * load_u8(u.scales + padded + o));
                    break;
                case CK_Q6_K: scale[i] = load_f16(u.record + 2 * o) * load_i8(u.scales + o); break;
                case CK_AFFINE4: case CK_AFFINE8:
                    scale[i] = load(u.record + 4 * o);
                    shift[i] = load(u.record + 4 * padded + 4 * o);
                    break;
                default:
                    scale[i] = load_f16(u.record + 2 * o);
                    if (shifted) shift[i] = scale[i] * splat(-8.0f);
                    break;
                }
            }
        }
        const vf factor = splat(a[j]);
        vu nibbles = {0};
        if (ck_has_nibbles(format)) __builtin_memcpy(&nibbles, u.row + first / 2 + 4 * lane, sizeof nibbles);
        UNROLL for (int i = 0; i < 8; i++) {
            const size_t o = first + 16 * (size_t)i + lane;
            vf w;
            switch (format) {
            case CK_F32: w = load(u.row + 4 * o); break;
            case CK_F16: w = load_f16(u.row + 2 * o); break;
            case CK_BF16: w = load_bf16(u.row + 2 * o); break;
            case CK_Q4_0: case CK_Q4_K: case CK_AFFINE4: w = NIBBLES(nibbles, i, format == CK_Q4_0); break;
            case CK_Q5_K: case CK_AFFINE8: w = load_u8(u.row + o); break;
            default: w = load_i8(u.row + o); break;
            }
            // All but the affine formats: scale * number is exact, so that one rounding is two.
            if (format == CK_AFFINE4 || format == CK_AFFINE8) w = w * scale[i] + shift[i];
            else if (shifted) w = fma_(w, scale[i], shift[i]);
            else if (!ck_is_plain(format)) w = w * scale[i];
            sum[i] = fma_(factor, w, sum[i]);
        }
    }
    UNROLL for (int i = 0; i < 8; i++) store(y + 16 * i + lane, sum[i]);
}

INLINE void CK(accumulate)(ck_format format, const void *matrix, size_t padded, const int32_t *survivors, size_t count, const float *a,
                           size_t first, size_t end, float *y) {
    ck_unit units[2][SURVIVORS];
    size_t held = count < SURVIVORS ? count : SURVIVORS;
    for (size_t j = 0; j < held; j++) units[0][j] = ck_find_unit(format, matrix, padded, (size_t)survivors[j]);
    for (size_t j = 0, side = 0; j < count; side ^= 1) {
        const size_t rest = count - j - held, ahead = rest < SURVIVORS ? rest : SURVIVORS;
        for (size_t n = 0; n < ahead; n++) units[side ^ 1][n] = ck_find_unit(format, matrix, padded, (size_t)survivors[j + held + n]);
        for (size_t o = first / CK_STRIP * CK_STRIP; o < end; o += CK_STRIP) {
            const int whole = o >= first && o + CK_STRIP <= end;
            const size_t from = o < first ? first : o, to = o + CK_STRIP > end ? end : o + CK_STRIP;
            float part[CK_STRIP] = {0};
            if (!whole) for (size_t i = from; i < to; i++) part[i - o] = y[i - first];
            float *out = whole ? y + (o - first) : part;
            for (size_t lane = 0; lane < 16; lane += W)
                CK(strip)(format, units[side], held, a + j, padded, o, lane, units[side ^ 1], ahead, out);
            if (!whole) for (size_t i = from; i < to; i++) y[i - first] = part[i - o];
        }
        j += held;
        held = ahead;
    }
}

#define ACCUMULATE(FORMAT)                                                                                             \
    static void CK(accumulate_##FORMAT)(const void *matrix, size_t padded, const int32_t *survivors, size_t count, const float *a, \
                                        size_t first, size_t end, float *y) {                                          \
        CK(accumulate)(FORMAT, matrix, padded, survivors, count, a, first, end, y);                                    \
    }
ACCUMULATE(CK_F32) ACCUMULATE(CK_F16) ACCUMULATE(CK_BF16) ACCUMULATE(CK_Q8_0) ACCUMULATE(CK_Q4_0) ACCUMULATE(CK_Q5_0)
ACCUMULATE(CK_Q4_K) ACCUMULATE(CK_Q5_K) ACCUMULATE(CK_Q6_K) ACCUMULATE(CK_AFFINE4) ACCUMULATE(CK_AFFINE8)

#define ACCUMULATE_CASE(FORMAT)                                                                                        \
    case FORMAT:                                                                                                       \
        CK(accumulate_##FORMAT)(units_matrix, ck_padded_outputs(outputs), survivors, count, a, first_output,           \
                                first_output + output_count, y);                                                       \
        break;
static void CK(units_accumulate) CK_UNITS_ACCUMULATE_PARAMETERS {
    switch (format) {
    ACCUMULATE_CASE(CK_F32) ACCUMULATE_CASE(CK_F16) ACCUMULATE_CASE(CK_BF16) ACCUMULATE_CASE(CK_Q8_0) ACCUMULATE_CASE(CK_Q4_0)
    ACCUMULATE_CASE(CK_Q5_0) ACCUMULATE_CASE(CK_Q4_K) ACCUMULATE_CASE(CK_Q5_K) ACCUMULATE_CASE(CK_Q6_K)
    ACCUMULATE_CASE(CK_AFFINE4) ACCUMULATE_CASE(CK_AFFINE8)
    default: break;
    }
}

#ifdef ROWS
// MARK: Rows
//
// 16 rows at a time, each walked by itself for up to 64 blocks: first the integer sums and the factors of its blocks, 4 W / 4 blocks
// side by side; then the sums of 16 rows, one per lane, in the order of blocks.

#define ROW_GROUP 16
#define CHUNK 64
/// 16 bytes of each of L blocks in a vector.
#define L (W / 4)
#define GROUP (4 * L)
/// Rows ahead of the one in use that are fetched.
#define ROWS_AHEAD 3

typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef uint8_t vb __attribute__((vector_size(4 * W)));
typedef uint16_t vh __attribute__((vector_size(4 * W)));

/// A token's activations for a chunk of blocks. Vector g of a group of 4 L blocks holds blocks g, g + 4, …: columns 0 ... 15 in
/// `low`, the others in `high`. Blocks past the end are zero.
typedef struct {
    int8_t low[CHUNK * 16], high[CHUNK * 16];
    float d[CHUNK], sum[CHUNK];
    int32_t start[CHUNK], start1[CHUNK];   ///< What makes up for weights stored with an offset (of the halves, for Q6_K).
} CK(chunk);

/// What stored weights are more than meant, in the numbers dots_ gets.
#define OFFSET(F)                                                                                                      \
    ((F) == CK_Q4_0 ? 8 : (F) == CK_Q5_0 ? 16 : (F) == CK_Q6_K ? 32 : (F) == CK_Q8_0 && UNSIGNED_BYTES ? 128          \
     : (F) == CK_AFFINE8 && !UNSIGNED_BYTES ? -128 : 0)

static void CK(prepare)(int32_t offset, int halves, const int8_t *x, const ck_block_sums *sums, size_t stride, size_t blocks,
                        CK(chunk) *c) {
    for (size_t b = 0; b < (blocks + GROUP - 1) / GROUP * GROUP; b++) {
        const size_t at = 16 * (b / GROUP * GROUP + b % 4 * L + b % GROUP / 4);
        if (b >= blocks) {
            __builtin_memset(c->low + at, 0, 16);
            __builtin_memset(c->high + at, 0, 16);
            c->d[b] = c->sum[b] = 0;
            c->start[b] = c->start1[b] = 0;
            continue;
        }
        __builtin_memcpy(c->low + at, x + 32 * b * stride, 16);
        __builtin_memcpy(c->high + at, x + 32 * b * stride + 16, 16);
        const ck_block_sums s = sums[b * stride];
        c->d[b] = s.d;
        c->sum[b] = s.sum;
        if (halves) {
            c->start[b] = s.minus_8_sums_0 * (offset / 8);
            c->start1[b] = (s.minus_8_sums - s.minus_8_sums_0) * (offset / 8);
        } else c->start[b] = s.minus_8_sums * (offset / 8);
    }
}

INLINE bytes16 load_16(const uint8_t *p) { bytes16 v; __builtin_memcpy(&v, p, 16); return v; }
#if W == 16
INLINE vb lanes(const uint8_t *p, size_t s1, size_t s2, size_t s3) {
    typedef uint8_t bytes32 __attribute__((vector_size(32)));
    bytes16 a = load_16(p), b = load_16(p + s1), c = load_16(p + s2), d = load_16(p + s3);
    bytes32 e = __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
                                        26, 27, 28, 29, 30, 31);
    bytes32 f = __builtin_shufflevector(c, d, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
                                        26, 27, 28, 29, 30, 31);
    return __builtin_shufflevector(e, f, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27,
                                   28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53,
                                   54, 55, 56, 57, 58, 59, 60, 61, 62, 63);
}
#elif W == 8
INLINE vb lanes(const uint8_t *p, size_t s1, size_t s2, size_t s3) {
    (void)s2, (void)s3;
    return __builtin_shufflevector(load_16(p), load_16(p + s1), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                   22, 23, 24, 25, 26, 27, 28, 29, 30, 31);
}
#else
INLINE vb lanes(const uint8_t *p, size_t s1, size_t s2, size_t s3) { (void)s1, (void)s2, (void)s3; return load_16(p); }
#endif

/// Bytes between the places of two lanes: blocks 4 apart. The K formats' blocks of 256 hold two such halves.
INLINE vb lanes_of(ck_format format, const uint8_t *p, size_t half) {
    const size_t bytes = ck_bytes_of_block(format);
    if (ck_blocks_32(format) == 1) return lanes(p, 4 * bytes, 8 * bytes, 12 * bytes);
    return lanes(p, half, bytes, bytes + half);
}

INLINE vb every(int x) { return (vb){0} + (uint8_t)x; }
INLINE vb high_nibbles(vb v) { return (vb)((vh)v >> 4) & every(15); }

/// Weights of the blocks g, g + 4, … of a group for which `p` points to the block stored first, columns 0 ... 15 (side 0) or 16 ... 31
/// (side 1). A group of 4 blocks of a K format may start in the middle of the stored block: `middle`.
INLINE vb weights(ck_format format, const uint8_t *p, size_t g, size_t side, size_t middle) {
    const size_t bytes = ck_bytes_of_block(format);
    switch (format) {
    case CK_Q8_0: {
        vb w = lanes_of(format, p + g * bytes + 2 + 16 * side, 0);
        return UNSIGNED_BYTES ? w ^ every(0x80) : w;
    }
    case CK_AFFINE8: {
        vb w = lanes_of(format, p + g * bytes + 8 + 16 * side, 0);
        return UNSIGNED_BYTES ? w : w ^ every(0x80);
    }
    case CK_Q4_0: case CK_AFFINE4: {
        vb w = lanes_of(format, p + g * bytes + (format == CK_Q4_0 ? 2 : 8), 0);
        return side ? high_nibbles(w) : w & every(15);
    }
    case CK_Q5_0: {
        vb w = lanes_of(format, p + g * bytes + 6, 0), high;
        uint16_t bits[L];
        for (size_t i = 0; i < L; i++) bits[i] = ck_bits16(p + (g + 4 * i) * bytes + 2 + 2 * side);
        high = spread_bits(bits);
        return (side ? high_nibbles(w) : w & every(15)) | (high & every(16));
    }
    case CK_Q4_K: case CK_Q5_K: {
        vb w = lanes_of(format, p + (format == CK_Q4_K ? 16 : 48) + 64 * middle + g / 2 * 32 + 16 * side, 64);
        w = g % 2 ? high_nibbles(w) : w & every(15);
        if (format == CK_Q4_K) return w;
        vb fifth = lanes_of(format, p + 16 + 16 * side, 0);
        // Blocks 4 ... 7 have the upper bits.
#if W == 4
        if (middle) fifth = high_nibbles(fifth);
#else
        fifth = odd_lanes(fifth, high_nibbles(fifth));
#endif
        return w | (vb)((vh)(fifth & every(1 << g)) << (4 - g));
    }
    case CK_Q6_K: {
        vb w = lanes_of(format, p + 64 * middle + g % 2 * 32 + 16 * side, 64);
        vb high = lanes_of(format, p + 128 + 32 * middle + 16 * side, 32);
        w = g / 2 ? high_nibbles(w) : w & every(15);
        high &= every(3 << (2 * g));
        return w | (g < 3 ? (vb)((vh)high << (g < 3 ? 4 - 2 * g : 0)) : (vb)((vh)high >> 2));
    }
    default: return every(0);
    }
}

#if W == 16
#define LOW_OF_4(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define HIGH_OF_4(a, b) __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define LOW_PAIRS(a, b) __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define HIGH_PAIRS(a, b) __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
#elif W == 8
#define LOW_OF_4(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define HIGH_OF_4(a, b) __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define LOW_PAIRS(a, b) __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define HIGH_PAIRS(a, b) __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#else
#define LOW_OF_4(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define HIGH_OF_4(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define LOW_PAIRS(a, b) __builtin_shufflevector(a, b, 0, 1, 4, 5)
#define HIGH_PAIRS(a, b) __builtin_shufflevector(a, b, 2, 3, 6, 7)
#endif
/// Sums of four neighbours: number 4 i + g is the sum of lane i of s[g].
INLINE vi sums_of_4(const vi *s) {
    vi a = LOW_OF_4(s[0], s[1]) + HIGH_OF_4(s[0], s[1]);   // s0[0]+s0[2], s1[0]+s1[2], s0[1]+s0[3], s1[1]+s1[3]
    vi b = LOW_OF_4(s[2], s[3]) + HIGH_OF_4(s[2], s[3]);
    return LOW_PAIRS(a, b) + HIGH_PAIRS(a, b);
}

/// What a row's blocks are multiplied by, as stored, for a chunk.
typedef struct {
    uint16_t d[CHUNK], dmin[CHUNK];
    uint8_t scale[CHUNK], minimum[CHUNK];   // also Q6_K's scales of the first and second halves
    float scale32[CHUNK], shift32[CHUNK];
} CK(factors);

INLINE void put_eight(uint16_t *p, uint16_t v) {
    const uint64_t four = v * 0x0001000100010001u;
    __builtin_memcpy(p, &four, 8);
    __builtin_memcpy(p + 4, &four, 8);
}

INLINE void CK(collect)(ck_format format, const uint8_t *p, size_t blocks, CK(factors) *f) {
    const size_t bytes = ck_bytes_of_block(format);
    switch (format) {
    case CK_Q8_0: case CK_Q4_0: case CK_Q5_0: for (size_t b = 0; b < blocks; b++) f->d[b] = ck_bits16(p + b * bytes); break;
    case CK_Q4_K: case CK_Q5_K:
        for (size_t b = 0; b < blocks; b += 8, p += bytes) {
            put_eight(f->d + b, ck_bits16(p));
            put_eight(f->dmin + b, ck_bits16(p + 2));
            const uint32_t s0 = ck_bits32(p + 4), s1 = ck_bits32(p + 8), s2 = ck_bits32(p + 12);
            const uint32_t out[4] = {s0 & 0x3F3F3F3F, (s2 & 0x0F0F0F0F) | (s0 >> 2 & 0x30303030), s1 & 0x3F3F3F3F,
                                     (s2 >> 4 & 0x0F0F0F0F) | (s1 >> 2 & 0x30303030)};
            __builtin_memcpy(f->scale + b, out, 8);
            __builtin_memcpy(f->minimum + b, out + 2, 8);
        }
        break;
    case CK_Q6_K:
        for (size_t b = 0; b < blocks; b += 8, p += bytes) {
            put_eight(f->d + b, ck_bits16(p + 208));
            for (size_t j = 0; j < 8; j++) {
                f->scale[b + j] = p[192 + 2 * j];
                f->minimum[b + j] = p[193 + 2 * j];
            }
        }
        break;
    case CK_AFFINE4: case CK_AFFINE8:
        for (size_t b = 0; b < blocks; b++) {
            f->scale32[b] = ck_float_at(p + b * bytes);
            f->shift32[b] = ck_float_at(p + b * bytes + 4);
        }
        break;
    default: break;
    }
}

/// Integer sums and factors of the blocks of a row; `next` is fetched meanwhile.
INLINE void CK(row)(ck_format format, const uint8_t *row, const uint8_t *next, size_t blocks, const CK(chunk) *x, float *sums, float *scales,
                    float *shifts) {
    const size_t bytes = ck_bytes_of_block(format), in_block = ck_blocks_32(format);
    const size_t bits = format == CK_Q8_0 || format == CK_AFFINE8 ? 8 : 6;
    CK(factors) f;
    CK(collect)(format, row, blocks, &f);
    for (size_t b = 0; b < blocks; b += GROUP) {
        const uint8_t *p = row + b / in_block * bytes;
        const size_t middle = b % in_block / 4, left = blocks - b;
        for (size_t i = 0; i < GROUP * bytes / in_block; i += 64) __builtin_prefetch(next + b * bytes / in_block + i, 0, 3);
        uint8_t last[GROUP < 8 ? 8 * 40 : GROUP * 40];
        if (left < GROUP) {
            __builtin_memset(last, 0, sizeof last);
            __builtin_memcpy(last, p, left / in_block * bytes);
            p = last;
        }
        vi s[4], s1[4], sum;
        UNROLL for (size_t g = 0; g < 4; g++) {
            const vb x0 = (vb)load_i32(x->low + 16 * (b + g * L)), x1 = (vb)load_i32(x->high + 16 * (b + g * L));
            const vb w0 = weights(format, p, g, 0, middle), w1 = weights(format, p, g, 1, middle);
            if (format == CK_Q6_K) {
                s[g] = dots_(bits, w0, x0, every(0), x1);
                s1[g] = dots_(bits, w1, x1, every(0), x0);
            } else s[g] = dots_(bits, w0, x0, w1, x1);
        }
        sum = sums_of_4(s) + load_i32(x->start + b);
        if (format == CK_Q6_K)
            sum = sum * __builtin_convertvector(load_i8(f.scale + b), vi)
                + (sums_of_4(s1) + load_i32(x->start1 + b)) * __builtin_convertvector(load_i8(f.minimum + b), vi);
        store(sums + b, __builtin_convertvector(sum, vf));
    }
    for (size_t b = 0; b < blocks; b += W) {
        const vf d = load(x->d + b);
        switch (format) {
        case CK_Q4_K: case CK_Q5_K:
            store(scales + b, load_f16(f.d + b) * load_u8(f.scale + b) * d);
            store(shifts + b, -(load_f16(f.dmin + b) * load_u8(f.minimum + b)) * d);
            break;
        case CK_AFFINE4: case CK_AFFINE8:
            store(scales + b, load(f.scale32 + b) * d);
            store(shifts + b, load(f.shift32 + b) * d);
            break;
        default: store(scales + b, load_f16(f.d + b) * d); break;
        }
    }
}

#define STEP(S, LOW, HIGH)                                                                                             \
    UNROLL for (int i = 0; i < W; i++)                                                                                 \
        if (!(i & S)) {                                                                                                \
            vf a = m[i], b = m[i + S];                                                                                 \
            m[i] = __builtin_shufflevector(a, b, LOW);                                                                 \
            m[i + S] = __builtin_shufflevector(a, b, HIGH);                                                            \
        }
#define COMMA ,
/// Transposes W vectors: exchanges the parts off the diagonal, in halves, quarters, …
INLINE void transpose(vf *m) {
#if W == 16
    STEP(8, 0 COMMA 1 COMMA 2 COMMA 3 COMMA 4 COMMA 5 COMMA 6 COMMA 7 COMMA 16 COMMA 17 COMMA 18 COMMA 19 COMMA 20 COMMA 21 COMMA 22 COMMA 23,
         8 COMMA 9 COMMA 10 COMMA 11 COMMA 12 COMMA 13 COMMA 14 COMMA 15 COMMA 24 COMMA 25 COMMA 26 COMMA 27 COMMA 28 COMMA 29 COMMA 30 COMMA 31)
    STEP(4, 0 COMMA 1 COMMA 2 COMMA 3 COMMA 16 COMMA 17 COMMA 18 COMMA 19 COMMA 8 COMMA 9 COMMA 10 COMMA 11 COMMA 24 COMMA 25 COMMA 26 COMMA 27,
         4 COMMA 5 COMMA 6 COMMA 7 COMMA 20 COMMA 21 COMMA 22 COMMA 23 COMMA 12 COMMA 13 COMMA 14 COMMA 15 COMMA 28 COMMA 29 COMMA 30 COMMA 31)
    STEP(2, 0 COMMA 1 COMMA 16 COMMA 17 COMMA 4 COMMA 5 COMMA 20 COMMA 21 COMMA 8 COMMA 9 COMMA 24 COMMA 25 COMMA 12 COMMA 13 COMMA 28 COMMA 29,
         2 COMMA 3 COMMA 18 COMMA 19 COMMA 6 COMMA 7 COMMA 22 COMMA 23 COMMA 10 COMMA 11 COMMA 26 COMMA 27 COMMA 14 COMMA 15 COMMA 30 COMMA 31)
    STEP(1, 0 COMMA 16 COMMA 2 COMMA 18 COMMA 4 COMMA 20 COMMA 6 COMMA 22 COMMA 8 COMMA 24 COMMA 10 COMMA 26 COMMA 12 COMMA 28 COMMA 14 COMMA 30,
         1 COMMA 17 COMMA 3 COMMA 19 COMMA 5 COMMA 21 COMMA 7 COMMA 23 COMMA 9 COMMA 25 COMMA 11 COMMA 27 COMMA 13 COMMA 29 COMMA 15 COMMA 31)
#elif W == 8
    STEP(4, 0 COMMA 1 COMMA 2 COMMA 3 COMMA 8 COMMA 9 COMMA 10 COMMA 11, 4 COMMA 5 COMMA 6 COMMA 7 COMMA 12 COMMA 13 COMMA 14 COMMA 15)
    STEP(2, 0 COMMA 1 COMMA 8 COMMA 9 COMMA 4 COMMA 5 COMMA 12 COMMA 13, 2 COMMA 3 COMMA 10 COMMA 11 COMMA 6 COMMA 7 COMMA 14 COMMA 15)
    STEP(1, 0 COMMA 8 COMMA 2 COMMA 10 COMMA 4 COMMA 12 COMMA 6 COMMA 14, 1 COMMA 9 COMMA 3 COMMA 11 COMMA 5 COMMA 13 COMMA 7 COMMA 15)
#else
    STEP(2, 0 COMMA 1 COMMA 4 COMMA 5, 2 COMMA 3 COMMA 6 COMMA 7)
    STEP(1, 0 COMMA 4 COMMA 2 COMMA 6, 1 COMMA 5 COMMA 3 COMMA 7)
#endif
}

INLINE void CK(dot)(ck_format format, const uint8_t *w, size_t row_bytes, const int32_t *rows, size_t count, size_t k, const int8_t *x,
                    const ck_block_sums *block_sums, size_t stride, float *y) {
    CK(chunk) c;
    float sums[ROW_GROUP * CHUNK], scales[ROW_GROUP * CHUNK], shifts[ROW_GROUP * CHUNK];
    const size_t bytes = ck_bytes_of_block(format), in_block = ck_blocks_32(format);
    __builtin_memset(sums, 0, sizeof sums);
    __builtin_memset(scales, 0, sizeof scales);
    __builtin_memset(shifts, 0, sizeof shifts);
    for (size_t i = 0; i < count; i++) y[i] = 0;
    for (size_t first = 0; first < k / 32; first += CHUNK) {
        const size_t blocks = k / 32 - first < CHUNK ? k / 32 - first : CHUNK;
        const uint8_t *from = w + first / in_block * bytes;
        CK(prepare)(OFFSET(format), format == CK_Q6_K, x + 32 * first * stride, block_sums + first * stride, stride, blocks, &c);
        for (size_t r = 0; r < count; r += ROW_GROUP) {
            const size_t group = count - r < ROW_GROUP ? count - r : ROW_GROUP;
            for (size_t i = 0; i < group; i++) {
                const size_t at = r + i, ahead = at + ROWS_AHEAD < count ? at + ROWS_AHEAD : at;
                CK(row)(format, from + (rows ? (size_t)rows[at] : at) * row_bytes, from + (rows ? (size_t)rows[ahead] : ahead) * row_bytes,
                        blocks, &c, sums + i * CHUNK, scales + i * CHUNK, shifts + i * CHUNK);
            }
            for (size_t part = 0; part < group; part += W) {
                float acc_in_out[W] = {0};
                const size_t n = group - part < W ? group - part : W;
                for (size_t i = 0; i < n; i++) acc_in_out[i] = y[r + part + i];
                vf acc = load(acc_in_out);
                for (size_t b = 0; b < blocks; b += W) {
                    vf a[W], s[W];
                    UNROLL for (size_t i = 0; i < W; i++) {
                        a[i] = load(sums + (part + i) * CHUNK + b);
                        s[i] = load(scales + (part + i) * CHUNK + b);
                    }
                    transpose(a);
                    transpose(s);
                    if (ck_has_shift(format)) {
                        vf t[W];
                        UNROLL for (size_t i = 0; i < W; i++) t[i] = load(shifts + (part + i) * CHUNK + b);
                        transpose(t);
                        for (size_t i = 0; i < W && b + i < blocks; i++) {
                            acc = fma_(a[i], s[i], acc);
                            acc = fma_(splat(c.sum[b + i]), t[i], acc);
                        }
                    } else if (b + W <= blocks) {
                        UNROLL for (size_t i = 0; i < W; i++) acc = fma_(a[i], s[i], acc);
                    } else for (size_t i = 0; b + i < blocks; i++) acc = fma_(a[i], s[i], acc);
                }
                store(acc_in_out, acc);
                for (size_t i = 0; i < n; i++) y[r + part + i] = acc_in_out[i];
            }
        }
    }
}

#define DOT(FORMAT)                                                                                                    \
    static void CK(dot_##FORMAT)(const uint8_t *w, size_t row_bytes, const int32_t *rows, size_t count, size_t k, const int8_t *x, \
                                 const ck_block_sums *sums, size_t stride, float *y) {                                 \
        CK(dot)(FORMAT, w, row_bytes, rows, count, k, x, sums, stride, y);                                             \
    }
DOT(CK_Q8_0) DOT(CK_Q4_0) DOT(CK_Q5_0) DOT(CK_Q4_K) DOT(CK_Q5_K) DOT(CK_Q6_K) DOT(CK_AFFINE4) DOT(CK_AFFINE8)

#define DOT_CASE(FORMAT) case FORMAT: CK(dot_##FORMAT)(w, row_bytes, rows, count, k, x, sums, stride, y); break;
static void CK(dot_rows) CK_DOT_ROWS_PARAMETERS {
    const int8_t *x = ck_activation_block(activations, token, tokens, k, 0);
    const ck_block_sums *sums = ck_activation_sums(activations, token, tokens, k, 0);
    const size_t stride = ck_activation_stride(token, tokens);
    switch (format) {
    DOT_CASE(CK_Q8_0) DOT_CASE(CK_Q4_0) DOT_CASE(CK_Q5_0) DOT_CASE(CK_Q4_K) DOT_CASE(CK_Q5_K) DOT_CASE(CK_Q6_K)
    DOT_CASE(CK_AFFINE4) DOT_CASE(CK_AFFINE8)
    default: break;
    }
}
#else
static void CK(dot_rows) CK_DOT_ROWS_PARAMETERS {
    ck_format_kernels_portable.dot_rows(format, w, row_bytes, rows, count, k, activations, token, tokens, y);
}
#endif

CK_DEFINE_FORMAT_TABLE
