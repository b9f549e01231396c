// Encoders of the block formats, compiled once for every instruction set: the same additions everywhere, and so the same bits. Except for Q8_0 they look for the scales of least squared error: from a number of first guesses,
// weights are rounded and the scales fitted to the rounded weights by least squares, in turn.
#ifndef CK_ENCODE_H
#define CK_ENCODE_H

#include "formats.h"

#pragma STDC FP_CONTRACT OFF
#pragma clang diagnostic ignored "-Wpsabi"   // Vectors are passed between inlined functions only.

// MARK: 8 numbers at a time

typedef float v8 __attribute__((vector_size(32)));
typedef int32_t i8 __attribute__((vector_size(32)));

CK_INLINE v8 all(float x) { return x - (v8){0}; }
CK_INLINE v8 pick(i8 mask, v8 a, v8 b) { return (v8)((mask & (i8)a) | (~mask & (i8)b)); }
/// The nearest whole number in lowest ... highest (below 2^22); ties to even.
CK_INLINE v8 whole(v8 x, float lowest, float highest) {
    x = pick(x > all(lowest), x, all(lowest));
    x = pick(x < all(highest), x, all(highest));
    return (x + all(12582912.0f)) - all(12582912.0f);
}
CK_INLINE float total(v8 x) { return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7])); }
CK_INLINE v8 at(const float *x, int i) { v8 v; __builtin_memcpy(&v, x + 8 * i, 32); return v; }
CK_INLINE float magnitude(float x) { return x < 0 ? -x : x; }

/// The largest magnitude; infinite or NaN if any number is.
static float largest(const float *x, size_t n) {
    uint32_t greatest = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        __builtin_memcpy(&bits, x + i, 4);
        bits &= 0x7FFFFFFFu;
        if (bits > greatest) greatest = bits;
    }
    float m;
    __builtin_memcpy(&m, &greatest, 4);
    return m;
}
CK_INLINE int is_finite(float x) { return magnitude(x) <= 3.402823466e38f; }

/// y = x / m, with magnitudes up to 1, so that squares neither overflow nor vanish.
static void normalise(const float *x, size_t n, float m, float *y) {
    for (size_t i = 0; i < n; i++) y[i] = x[i] / m;
}

// MARK: One scale: x = d q, q in -limit ... limit - 1

typedef struct { float xq, qq; } fit1;
/// Sums for the best scale of the q that belong to 1 / d = r. N is 16 or 32.
CK_INLINE fit1 round1(const float *x, int n, float r, float limit) {
    v8 xq = all(0), qq = all(0);
    for (int i = 0; i < n / 8; i++) {
        v8 q = whole(at(x, i) * all(r), -limit, limit - 1);
        xq += q * at(x, i);
        qq += q * q;
    }
    return (fit1){total(xq), total(qq)};
}
CK_INLINE float error1(const float *x, int n, float d, float limit) {
    v8 sum = all(0);
    float r = d != 0 ? 1 / d : 0;
    for (int i = 0; i < n / 8; i++) {
        v8 e = at(x, i) - all(d) * whole(at(x, i) * all(r), -limit, limit - 1);
        sum += e * e;
    }
    return total(sum);
}

/// The scale of least squared error for normalised x: the squared error is |x|^2 - (x.q)^2 / q.q. The extreme number may become
/// -limit (one step more than is to be had above zero) or, where the other side needs that step, limit - 1; a little more or
/// less of the range may be given up for finer steps.
CK_INLINE float scale1(const float *x, int n, float limit) {
    float extreme = 0;
    for (int i = 0; i < n; i++) if (magnitude(x[i]) > magnitude(extreme)) extreme = x[i];
    if (extreme == 0) return 0;
    float best = 0, d = 0;
    for (int sign = -1; sign <= 1; sign += 2)
        for (int step = -14; step <= 8; step++) {
            float r = (float)sign * (limit + 0.125f * (float)step) / extreme;
            for (int again = 0; again < 2; again++) {
                fit1 f = round1(x, n, r, limit);
                if (!(f.qq > 0)) break;
                if (f.xq * f.xq > best * f.qq) {
                    best = f.xq * f.xq / f.qq;
                    d = f.xq / f.qq;
                } else if (again) break;
                if (!(f.xq != 0)) break;
                r = f.qq / f.xq;
            }
        }
    return d;
}

/// The best scale among a number's neighbours in half precision (their steps are wide where numbers are small).
CK_INLINE uint16_t half_scale1(const float *x, int n, float d, float m, float limit) {
    const uint16_t middle = ck_half_of(d * m);
    uint16_t best = middle;
    float least = error1(x, n, ck_half(middle) / m, limit);
    for (int step = -1; step <= 1; step += 2) {
        const uint16_t h = (uint16_t)(middle + step);
        if (((h ^ middle) & 0x8000) || (h & 0x7FFF) >= 0x7C00) continue;
        const float e = error1(x, n, ck_half(h) / m, limit);
        if (e < least) least = e, best = h;
    }
    return best;
}

CK_INLINE void numbers1(const float *x, int n, float d, float limit, int8_t *q) {
    const float r = d != 0 ? 1 / d : 0;
    for (int i = 0; i < n / 8; i++) {
        v8 v = whole(at(x, i) * all(r), -limit, limit - 1);
        for (int j = 0; j < 8; j++) q[8 * i + j] = (int8_t)v[j];
    }
}

CK_INLINE void put16(uint8_t *p, uint16_t v) { __builtin_memcpy(p, &v, 2); }
CK_INLINE void put_float(uint8_t *p, float v) { __builtin_memcpy(p, &v, 4); }
#define NOT_A_NUMBER 0x7E00

/// d = max|x| / 127, and q = x / d rounded to the nearest whole number, halves away from zero, as GGUF defines it.
static void encode_q8_0(const float *x, uint8_t *p) {
    const float m = largest(x, 32), d = m / 127.0f, r = d != 0 ? 1.0f / d : 0;
    if (!is_finite(m)) {
        __builtin_memset(p, 0, 34);
        put16(p, NOT_A_NUMBER);
        return;
    }
    put16(p, ck_half_of(d));
    for (int i = 0; i < 32; i++) {
        float v = x[i] * r;   // beyond 127 only where 1 / d is infinite
        v = v > 127 ? 127 : v < -127 ? -127 : v == v ? v : 0;
        int32_t down = (int32_t)magnitude(v);
        int32_t q = magnitude(v) - (float)down >= 0.5f ? down + 1 : down;
        p[2 + i] = (uint8_t)(int8_t)(v < 0 ? -q : q);
    }
}

/// Q4_0 and Q5_0.
CK_INLINE void encode_scaled(const float *x, int bits, uint8_t *p) {
    const float m = largest(x, 32), limit = (float)(1 << (bits - 1));
    int8_t q[32] = {0};
    uint16_t d = 0;
    if (!is_finite(m)) d = NOT_A_NUMBER;
    else if (1 / m <= 3.402823466e38f) {
        float y[32];
        normalise(x, 32, m, y);
        d = half_scale1(y, 32, scale1(y, 32, limit), m, limit);
        numbers1(y, 32, ck_half(d) / m, limit, q);
    }
    put16(p, d);
    uint32_t fifth = 0;
    for (int i = 0; i < 32; i++) {
        q[i] = (int8_t)(q[i] + (1 << (bits - 1)));
        fifth |= (uint32_t)(q[i] >> 4) << i;
    }
    p += 2;
    if (bits == 5) {
        __builtin_memcpy(p, &fifth, 4);
        p += 4;
    }
    for (int i = 0; i < 16; i++) p[i] = (uint8_t)((q[i] & 15) | (q[i + 16] & 15) << 4);
}

// MARK: Scale and offset: x = s q + o, q in 0 ... limit

typedef struct { float s, o, error; } fit2;

/// Rounds 32 numbers for a scale and an offset, and fits both to what came out; the error is that of the fit. If `negative`,
/// the offset may not be above zero.
CK_INLINE fit2 round2(const float *x, float s, float o, float limit, int negative, float sx, float sxx) {
    v8 q1 = all(0), qq8 = all(0), xq8 = all(0);
    const float r = s != 0 ? 1 / s : 0;
    for (int i = 0; i < 4; i++) {
        v8 q = whole((at(x, i) - all(o)) * all(r), 0, limit);
        q1 += q;
        qq8 += q * q;
        xq8 += q * at(x, i);
    }
    const float n = 32, q = total(q1), qq = total(qq8), xq = total(xq8), determinant = n * qq - q * q;
    fit2 f = {0, sx / n, 0};
    if (determinant > 0) {
        f.s = (n * xq - sx * q) / determinant;
        f.o = (qq * sx - q * xq) / determinant;
    }
    if (negative && f.o > 0) {
        f.o = 0;
        f.s = qq > 0 ? xq / qq : 0;
    }
    f.error = sxx - 2 * f.s * xq - 2 * f.o * sx + f.s * f.s * qq + 2 * f.s * f.o * q + n * f.o * f.o;
    return f;
}

/// The scale and offset of least squared error for 32 normalised numbers.
CK_INLINE fit2 scale2(const float *x, float limit, int negative, int guesses) {
    float lowest = x[0], highest = x[0];
    v8 sum = all(0), squares = all(0);
    for (int i = 0; i < 32; i++) {
        if (x[i] < lowest) lowest = x[i];
        if (x[i] > highest) highest = x[i];
    }
    for (int i = 0; i < 4; i++) {
        sum += at(x, i);
        squares += at(x, i) * at(x, i);
    }
    if (negative && lowest > 0) lowest = 0;
    const float sx = total(sum), sxx = total(squares), range = highest - lowest;
    fit2 best = {0, lowest, 3.402823466e38f};
    if (!(range > 0)) return best;
    // Guesses leave out a part of a step at both ends, or reach beyond them.
    for (int g = 0; g < guesses; g++) {
        const float part = guesses > 1 ? -0.5f + 2.5f * (float)g / (float)(guesses - 1) : 0;
        float s = range / (limit + part), o = lowest + 0.5f * part * s;
        for (int again = 0; again < 4; again++) {
            fit2 f = round2(x, s, o, limit, negative, sx, sxx);
            const int better = f.error < best.error;
            if (better) best = f;
            else if (again > 1) break;
            s = f.s;
            o = f.o;
        }
    }
    return best;
}

CK_INLINE float error2(const float *x, float s, float o, float limit) {
    v8 sum = all(0);
    const float r = s != 0 ? 1 / s : 0;
    for (int i = 0; i < 4; i++) {
        v8 e = at(x, i) - (all(s) * whole((at(x, i) - all(o)) * all(r), 0, limit) + all(o));
        sum += e * e;
    }
    return total(sum);
}
CK_INLINE void numbers2(const float *x, float s, float o, float limit, uint8_t *q) {
    const float r = s != 0 ? 1 / s : 0;
    for (int i = 0; i < 4; i++) {
        v8 v = whole((at(x, i) - all(o)) * all(r), 0, limit);
        for (int j = 0; j < 8; j++) q[8 * i + j] = (uint8_t)v[j];
    }
}

CK_INLINE void encode_affine(const float *x, int bits, uint8_t *p) {
    const float m = largest(x, 32);
    uint8_t q[32] = {0};
    float s = 0, o = 0;
    if (!is_finite(m)) s = o = ck_half(NOT_A_NUMBER);
    else if (1 / m <= 3.402823466e38f) {
        float y[32];
        normalise(x, 32, m, y);
        fit2 f = scale2(y, (float)((1 << bits) - 1), 0, bits == 4 ? 21 : 5);
        numbers2(y, f.s, f.o, (float)((1 << bits) - 1), q);
        s = f.s * m;
        o = f.o * m;
    }
    put_float(p, s);
    put_float(p + 4, o);
    for (int i = 0; i < 32; i++) {
        if (bits == 8) p[8 + i] = q[i];
        else if (i < 16) p[8 + i] = (uint8_t)(q[i] | q[i + 16] << 4);
    }
}

// MARK: Blocks of 256

typedef struct { uint8_t scale[8], minimum[8], q[256]; float error; } k_block;

/// Scales and minima of 6 bits next to the wanted ones, for given d and dmin, and the weights.
CK_INLINE void choose_k(const float *x, const fit2 *wanted, float d, float dmin, float limit, k_block *b) {
    b->error = 0;
    for (int j = 0; j < 8; j++) {
        const int scale = d > 0 ? (int)(wanted[j].s / d + 0.5f) : 0, minimum = dmin > 0 ? (int)(-wanted[j].o / dmin + 0.5f) : 0;
        float least = 3.402823466e38f;
        int best_scale = 0, best_minimum = 0;
        for (int s = scale - 1; s <= scale + 1; s++)
            for (int m = minimum - 1; m <= minimum + 1; m++) {
                if (s < 0 || s > 63 || m < 0 || m > 63) continue;
                const float e = error2(x + 32 * j, d * (float)s, -(dmin * (float)m), limit);
                if (e < least) least = e, best_scale = s, best_minimum = m;
            }
        if (least == 3.402823466e38f) best_scale = scale > 63 ? 63 : 0, best_minimum = minimum > 63 ? 63 : 0;
        b->scale[j] = (uint8_t)best_scale;
        b->minimum[j] = (uint8_t)best_minimum;
        numbers2(x + 32 * j, d * (float)best_scale, -(dmin * (float)best_minimum), limit, b->q + 32 * j);
        b->error += least;
    }
}

/// Q4_K and Q5_K.
CK_INLINE void encode_k(const float *x, int bits, uint8_t *p) {
    const float m = largest(x, 256), limit = (float)((1 << bits) - 1);
    k_block best = {{0}, {0}, {0}, 3.402823466e38f};
    uint16_t best_d = 0, best_dmin = 0;
    if (!is_finite(m)) best_d = best_dmin = NOT_A_NUMBER;
    else if (1 / m <= 3.402823466e38f) {
        float y[256];
        fit2 wanted[8];
        normalise(x, 256, m, y);
        float s = 0, o = 0;
        for (int j = 0; j < 8; j++) {
            wanted[j] = scale2(y + 32 * j, limit, 1, 15);
            if (wanted[j].s > s) s = wanted[j].s;
            if (-wanted[j].o > o) o = -wanted[j].o;
        }
        float d = s / 63, dmin = o / 63;
        for (int round = 0; round < 4; round++) {
            const uint16_t half_d = ck_half_of(d * m), half_dmin = ck_half_of(dmin * m);
            d = ck_half(half_d) / m;
            dmin = ck_half(half_dmin) / m;
            k_block b;
            choose_k(y, wanted, d, dmin, limit, &b);
            if (b.error < best.error) best = b, best_d = half_d, best_dmin = half_dmin;
            else if (round) break;
            // d and dmin of least squares for these whole numbers: x = d u - dmin v.
            double uu = 0, uv = 0, vv = 0, xu = 0, xv = 0;
            for (int j = 0; j < 8; j++) {
                float q1 = 0, qq = 0, xq = 0, x1 = 0;
                for (int i = 0; i < 32; i++) {
                    const float q = (float)b.q[32 * j + i], v = y[32 * j + i];
                    q1 += q;
                    qq += q * q;
                    xq += q * v;
                    x1 += v;
                }
                const double scale = b.scale[j], minimum = b.minimum[j];
                uu += scale * scale * qq;
                uv += scale * minimum * q1;
                vv += minimum * minimum * 32;
                xu += scale * xq;
                xv += minimum * x1;
            }
            const double determinant = uu * vv - uv * uv;
            if (determinant > 1e-9 * uu * vv) {
                d = (float)((xu * vv - xv * uv) / determinant);
                dmin = (float)((xu * uv - xv * uu) / determinant);
            } else if (uu > 0) d = (float)(xu / uu);
            if (!(d > 0) || !(dmin >= 0)) break;
        }
    }
    put16(p, best_d);
    put16(p + 2, best_dmin);
    p += 4;
    for (int j = 0; j < 4; j++) {
        p[j] = (uint8_t)(best.scale[j] | best.scale[j + 4] >> 4 << 6);
        p[j + 4] = (uint8_t)(best.minimum[j] | best.minimum[j + 4] >> 4 << 6);
        p[j + 8] = (uint8_t)((best.scale[j + 4] & 15) | (best.minimum[j + 4] & 15) << 4);
    }
    p += 12;
    if (bits == 5) {
        for (int i = 0; i < 32; i++) {
            unsigned fifth = 0;
            for (int j = 0; j < 8; j++) fifth |= (unsigned)(best.q[32 * j + i] >> 4) << j;
            p[i] = (uint8_t)fifth;
        }
        p += 32;
    }
    for (int j = 0; j < 8; j += 2)
        for (int i = 0; i < 32; i++) p[16 * j + i] = (uint8_t)((best.q[32 * j + i] & 15) | (best.q[32 * j + 32 + i] & 15) << 4);
}

typedef struct { int8_t scale[16], q[256]; float error; } q6_block;

static void encode_q6_k(const float *x, uint8_t *p) {
    const float m = largest(x, 256), limit = 32;
    q6_block best = {{0}, {0}, 3.402823466e38f};
    uint16_t best_d = 0;
    if (!is_finite(m)) best_d = NOT_A_NUMBER;
    else if (1 / m <= 3.402823466e38f) {
        float y[256], wanted[16], extreme = 0;
        normalise(x, 256, m, y);
        for (int j = 0; j < 16; j++) {
            wanted[j] = scale1(y + 16 * j, 16, limit);
            if (magnitude(wanted[j]) > magnitude(extreme)) extreme = wanted[j];
        }
        float d = extreme / -128;
        for (int round = 0; round < 4; round++) {
            const uint16_t half_d = ck_half_of(d * m);
            d = ck_half(half_d) / m;
            if (d == 0) break;
            q6_block b;
            b.error = 0;
            double uu = 0, xu = 0;
            for (int j = 0; j < 16; j++) {
                // Wanted scales may have either sign: the number at -32 decides. The other sign is as good a guess for some.
                const float ratio = wanted[j] / d;
                const int near = (int)(ratio < 0 ? ratio - 0.5f : ratio + 0.5f);
                float least = 3.402823466e38f;
                int best_scale = 0;
                for (int s = near - 2; s <= near + 2; s++) {
                    if (s < -128 || s > 127) continue;
                    const float e = error1(y + 16 * j, 16, d * (float)s, limit);
                    if (e < least) least = e, best_scale = s;
                }
                if (least == 3.402823466e38f) best_scale = near < 0 ? -128 : 127;
                b.scale[j] = (int8_t)best_scale;
                b.error += least;
                numbers1(y + 16 * j, 16, d * (float)best_scale, limit, b.q + 16 * j);
                float qq = 0, xq = 0;
                for (int i = 16 * j; i < 16 * j + 16; i++) {
                    qq += (float)(b.q[i] * b.q[i]);
                    xq += (float)b.q[i] * y[i];
                }
                uu += (double)best_scale * best_scale * qq;
                xu += (double)best_scale * xq;
            }
            if (b.error < best.error) best = b, best_d = half_d;
            else if (round) break;
            if (!(uu > 0)) break;
            d = (float)(xu / uu);
        }
    }
    for (int half = 0; half < 2; half++) {
        const int8_t *q = best.q + 128 * half;
        for (int i = 0; i < 32; i++) {
            const int a = q[i] + 32, b = q[i + 32] + 32, c = q[i + 64] + 32, e = q[i + 96] + 32;
            p[64 * half + i] = (uint8_t)((a & 15) | (c & 15) << 4);
            p[64 * half + 32 + i] = (uint8_t)((b & 15) | (e & 15) << 4);
            p[128 + 32 * half + i] = (uint8_t)(a >> 4 | b >> 4 << 2 | c >> 4 << 4 | e >> 4 << 6);
        }
    }
    __builtin_memcpy(p + 192, best.scale, 16);
    put16(p + 208, best_d);
}

static void CK(quantize_row)(ck_format format, const float *x, size_t n, void *row) {
    uint8_t *p = row;
    const size_t length = ck_block_length(format), bytes = ck_bytes_of_block(format);
    for (size_t i = 0; length && i + length <= n; i += length, x += length, p += bytes)
        switch (format) {
        case CK_F32: put_float(p, *x); break;
        case CK_F16: put16(p, ck_half_of(*x)); break;
        case CK_BF16: {
            uint32_t bits;
            __builtin_memcpy(&bits, x, 4);
            put16(p, *x != *x ? (uint16_t)(bits >> 16 | 0x40) : (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16));
            break;
        }
        case CK_Q8_0: encode_q8_0(x, p); break;
        case CK_Q4_0: encode_scaled(x, 4, p); break;
        case CK_Q5_0: encode_scaled(x, 5, p); break;
        case CK_Q4_K: encode_k(x, 4, p); break;
        case CK_Q5_K: encode_k(x, 5, p); break;
        case CK_Q6_K: encode_q6_k(x, p); break;
        case CK_AFFINE4: encode_affine(x, 4, p); break;
        case CK_AFFINE8: encode_affine(x, 8, p); break;
        }
}

#endif
