// Matrix products for many tokens at once, as the encoders need them: outer products over rows interleaved in a vector.
// Included by kernels.h. Here an element is summed column by column: blocks of GEMM_COLUMNS columns, each from zero in column
// order, the blocks' sums added in order. No reduction inside a vector is left, and the register tile is square.

#define GEMM_COLUMNS 256
/// Rows of a register tile: two vectors.
#define GEMM_ROWS (2 * W)
/// Rows side by side in packed weights; a multiple of every GEMM_ROWS.
#define GEMM_PANEL CK_GEMM_PANEL
/// Tokens of a register tile. 2 * GEMM_TOKENS sums, two weights and a broadcast fit the registers.
#if W == 8
#define GEMM_TOKENS 6
#else
#define GEMM_TOKENS 12
#endif
/// Tokens whose interleaved columns stay in the second-level cache; a multiple of every GEMM_TOKENS.
#define GEMM_GROUP 192
/// Rows whose sums stay in the second-level cache from one block of columns to the next.
#define GEMM_PART 512

_Static_assert(GEMM_ROWS * GEMM_COLUMNS + GEMM_GROUP * GEMM_COLUMNS <= CK_GEMM_SCRATCH, "scratch of the gemm kernels");

/// y += (or =) sums over `k` columns. `w` holds GEMM_ROWS rows side by side, `w_stride` from column to column; `x` the tokens
/// side by side, GEMM_TOKENS from column to column. `rows` of them and `TOKENS` tokens are stored.
#define GEMM_TILE(TOKENS)                                                                                              \
    static void CK(gemm_tile_##TOKENS)(const float *w, size_t w_stride, const float *x, size_t k, size_t rows,        \
                                       int add, float *y, size_t y_stride) {                                          \
        vf s[TOKENS][2];                                                                                               \
        UNROLL for (int t = 0; t < TOKENS; t++) s[t][0] = s[t][1] = splat(0);                                          \
        for (size_t i = 0; i < k; i++) {                                                                               \
            vf a = load(w + i * w_stride), b = load(w + i * w_stride + W);                                             \
            UNROLL for (int t = 0; t < TOKENS; t++) {                                                                  \
                vf c = splat(x[i * GEMM_TOKENS + t]);                                                                  \
                s[t][0] = fma_(a, c, s[t][0]);                                                                         \
                s[t][1] = fma_(b, c, s[t][1]);                                                                         \
            }                                                                                                          \
        }                                                                                                              \
        UNROLL for (int t = 0; t < TOKENS; t++) {                                                                      \
            float *out = y + t * y_stride;                                                                             \
            if (rows == GEMM_ROWS) {                                                                                   \
                store(out, add ? load(out) + s[t][0] : s[t][0]);                                                       \
                store(out + W, add ? load(out + W) + s[t][1] : s[t][1]);                                               \
            } else {                                                                                                   \
                size_t n = rows < W ? rows : W, m = rows - n;                                                          \
                store_part(out, add ? load_part(out, n) + s[t][0] : s[t][0], n);                                       \
                if (m) store_part(out + W, add ? load_part(out + W, m) + s[t][1] : s[t][1], m);                        \
            }                                                                                                          \
        }                                                                                                              \
    }
GEMM_TILE(1) GEMM_TILE(2) GEMM_TILE(3) GEMM_TILE(4) GEMM_TILE(5) GEMM_TILE(6)
#if GEMM_TOKENS == 12
GEMM_TILE(7) GEMM_TILE(8) GEMM_TILE(9) GEMM_TILE(10) GEMM_TILE(11) GEMM_TILE(12)
#endif

typedef void CK(gemm_tile)(const float *, size_t, const float *, size_t, size_t, int, float *, size_t);
static CK(gemm_tile) *const CK(gemm_tiles)[] = {
    0, CK(gemm_tile_1), CK(gemm_tile_2), CK(gemm_tile_3), CK(gemm_tile_4), CK(gemm_tile_5), CK(gemm_tile_6),
#if GEMM_TOKENS == 12
    CK(gemm_tile_7), CK(gemm_tile_8), CK(gemm_tile_9), CK(gemm_tile_10), CK(gemm_tile_11), CK(gemm_tile_12),
#endif
};

/// Exchanges rows and columns of W x W words held in `r`.
INLINE void CK(transpose)(vf *r) {
#if W == 16
#define EXCHANGE(D, LOW, HIGH)                                                                                         \
    UNROLL for (int i = 0; i < 16; i++)                                                                                \
        if (!(i & D)) {                                                                                                \
            vf a = r[i], b = r[i + D];                                                                                 \
            r[i] = __builtin_shufflevector(a, b, LOW);                                                                 \
            r[i + D] = __builtin_shufflevector(a, b, HIGH);                                                            \
        }
#define LIST(...) __VA_ARGS__
    EXCHANGE(1, LIST(0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30),
             LIST(1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31))
    EXCHANGE(2, LIST(0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
             LIST(2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))
    EXCHANGE(4, LIST(0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27),
             LIST(4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31))
    EXCHANGE(8, LIST(0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
             LIST(8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
#undef EXCHANGE
#undef LIST
#else
    float in[W][W], out[W][W];
    __builtin_memcpy(in, r, sizeof in);
    UNROLL for (int i = 0; i < W; i++)
        UNROLL for (int j = 0; j < W; j++) out[j][i] = in[i][j];
    __builtin_memcpy(r, out, sizeof out);
#endif
}

/// `rows` <= 32 rows of `k` columns to [k][32]; missing rows become zeros.
static void CK(gemm_panel_f32)(const float *w, size_t w_stride, size_t rows, size_t k, float *out) {
    for (size_t first = 0; first < GEMM_PANEL; first += W) {
        for (size_t i = 0; i < k; i += W) {
            const size_t n = k - i < W ? k - i : W;
            vf r[W];
            UNROLL for (size_t j = 0; j < W; j++) {
                const float *p = w + (first + j) * w_stride + i;
                r[j] = first + j >= rows ? splat(0) : n == W ? load(p) : load_part(p, n);
            }
            CK(transpose)(r);
            if (n == W) UNROLL for (size_t j = 0; j < W; j++) store(out + (i + j) * GEMM_PANEL + first, r[j]);
            else for (size_t j = 0; j < n; j++) store(out + (i + j) * GEMM_PANEL + first, r[j]);
        }
    }
}

/// The same for bfloat16: two columns are one word while rows and columns change places.
static void CK(gemm_panel_bf16)(const uint16_t *w, size_t w_stride, size_t rows, size_t k, float *out) {
    for (size_t first = 0; first < GEMM_PANEL; first += W) {
        for (size_t i = 0; i < k; i += 2 * W) {
            const size_t n = k - i < 2 * W ? k - i : 2 * W;
            vf r[W];
            UNROLL for (size_t j = 0; j < W; j++) {
                const uint16_t *p = w + (first + j) * w_stride + i;
                r[j] = splat(0);
                if (first + j < rows) {
                    if (n == 2 * W) {
                        __builtin_memcpy(&r[j], p, sizeof r[j]);
                    } else {
                        uint16_t words[2 * W] = {0};
                        for (size_t c = 0; c < n; c++) words[c] = p[c];
                        __builtin_memcpy(&r[j], words, sizeof r[j]);
                    }
                }
            }
            CK(transpose)(r);
            UNROLL for (size_t j = 0; j < W; j++) {
                vf even = (vf)((vu)r[j] << 16), odd = (vf)((vu)r[j] & 0xFFFF0000u);
                if (2 * j < n) store(out + (i + 2 * j) * GEMM_PANEL + first, even);
                if (2 * j + 1 < n) store(out + (i + 2 * j + 1) * GEMM_PANEL + first, odd);
            }
        }
    }
}

static void CK(gemm_panel_f16)(const uint16_t *w, size_t w_stride, size_t rows, size_t k, float *out) {
    for (size_t i = 0; i < k; i += GEMM_COLUMNS) {
        const size_t n = k - i < GEMM_COLUMNS ? k - i : GEMM_COLUMNS;
        float widened[GEMM_COLUMNS];
        for (size_t r = 0; r < GEMM_PANEL; r++) {
            if (r < rows) CK(f16_to_f32)(w + r * w_stride + i, widened, n);
            for (size_t c = 0; c < n; c++) out[(i + c) * GEMM_PANEL + r] = r < rows ? widened[c] : 0;
        }
    }
}

#define GEMM_PACK(FORMAT, TYPE)                                                                                        \
    static void CK(gemm_pack_##FORMAT)(const TYPE *w, size_t w_stride, size_t rows, size_t k, float *packed) {         \
        for (size_t r = 0; r < rows; r += GEMM_PANEL)                                                                  \
            CK(gemm_panel_##FORMAT)(w + r * w_stride, w_stride, rows - r < GEMM_PANEL ? rows - r : GEMM_PANEL, k,      \
                                    packed + r * k);                                                                   \
    }
GEMM_PACK(f32, float)
GEMM_PACK(f16, uint16_t)
GEMM_PACK(bf16, uint16_t)

/// `tokens` <= GEMM_TOKENS tokens of `k` columns to [k][GEMM_TOKENS].
static void CK(gemm_pack_tokens)(const float *x, size_t x_stride, size_t tokens, size_t k, float *out) {
    size_t i = 0;
    for (; i + W <= k; i += W)
        for (size_t first = 0; first < GEMM_TOKENS; first += W) {
            vf r[W];
            UNROLL for (size_t j = 0; j < W; j++)
                r[j] = first + j < tokens ? load(x + (first + j) * x_stride + i) : splat(0);
            CK(transpose)(r);
            const size_t n = GEMM_TOKENS - first < W ? GEMM_TOKENS - first : W;
            UNROLL for (size_t j = 0; j < W; j++) {
                if (n == W) store(out + (i + j) * GEMM_TOKENS + first, r[j]);
                else store_part(out + (i + j) * GEMM_TOKENS + first, r[j], n);
            }
        }
    for (; i < k; i++)
        for (size_t t = 0; t < tokens; t++) out[i * GEMM_TOKENS + t] = x[t * x_stride + i];
}

/// The loops around the tiles. PACK makes `panel` and `panel_stride` of rows r … r + n, columns i … i + columns.
#define GEMM_LOOPS(PACK)                                                                                               \
    float *const panel_memory = scratch, *const packed = scratch + GEMM_ROWS * GEMM_COLUMNS;                           \
    (void)panel_memory;                                                                                                \
    if (k == 0 && !add)                                                                                                \
        for (size_t t = 0; t < tokens; t++)                                                                            \
            for (size_t r = 0; r < rows; r++) y[t * y_stride + r] = 0;                                                 \
    for (size_t group = 0, part = 0; group < tokens;                                                                   \
         part += GEMM_PART, part = part < rows ? part : (group += GEMM_GROUP, 0)) {                                    \
        const size_t group_end = tokens - group < GEMM_GROUP ? tokens : group + GEMM_GROUP;                            \
        const size_t part_end = rows - part < GEMM_PART ? rows : part + GEMM_PART;                                     \
        for (size_t i = 0; i < k; i += GEMM_COLUMNS) {                                                                 \
            const size_t columns = k - i < GEMM_COLUMNS ? k - i : GEMM_COLUMNS;                                        \
            for (size_t t = group; t < group_end; t += GEMM_TOKENS)                                                    \
                CK(gemm_pack_tokens)(x + t * x_stride + i, x_stride,                                                   \
                                     group_end - t < GEMM_TOKENS ? group_end - t : GEMM_TOKENS, columns,               \
                                     packed + (t - group) * GEMM_COLUMNS);                                             \
            for (size_t r = part; r < part_end; r += GEMM_ROWS) {                                                      \
                const size_t n = part_end - r < GEMM_ROWS ? part_end - r : GEMM_ROWS;                                  \
                const float *panel;                                                                                    \
                size_t panel_stride;                                                                                   \
                PACK                                                                                                   \
                for (size_t t = group; t < group_end; t += GEMM_TOKENS)                                                \
                    CK(gemm_tiles)[group_end - t < GEMM_TOKENS ? group_end - t : GEMM_TOKENS](                         \
                        panel, panel_stride, packed + (t - group) * GEMM_COLUMNS, columns, n, add || i > 0,            \
                        y + t * y_stride + r, y_stride);                                                               \
            }                                                                                                          \
        }                                                                                                              \
    }

static void CK(gemm_packed_f32) CK_GEMM_PACKED_PARAMETERS {
    GEMM_LOOPS(panel = w + r / GEMM_PANEL * GEMM_PANEL * k + i * GEMM_PANEL + r % GEMM_PANEL; panel_stride = GEMM_PANEL;)
}

/// Weights that lie [k, rows] already are read where they are; the last rows, whose vectors would reach too far, are copied.
static void CK(gemm_transposed_f32) CK_GEMM_TRANSPOSED_PARAMETERS {
    GEMM_LOOPS(if (n == GEMM_ROWS) {
                   panel = w + i * w_stride + r;
                   panel_stride = w_stride;
               } else {
                   for (size_t c = 0; c < columns; c++)
                       for (size_t j = 0; j < GEMM_ROWS; j++)
                           panel_memory[c * GEMM_ROWS + j] = j < n ? w[(i + c) * w_stride + r + j] : 0;
                   panel = panel_memory;
                   panel_stride = GEMM_ROWS;
               })
}
