// Compares every version of the kernels this machine can run with plain C, and prints a hash of the bits the versions with
// fused multiply-add computed: it must be the same on every machine. Built and run by Scripts/check-arm.sh, natively and
// under an emulator, where `swift test` cannot go.
#include "ckernels_table.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static uint64_t state = 1;
static uint32_t next(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}
static float number(void) { return (float)((int)(next() % 20001) - 10000) / 5000; }

enum { SIZE = 24 * 700, OUT = 24 * 40 };
static float w[SIZE], x[SIZE], results[5][OUT];
static uint16_t half[SIZE];
static int failures;

static void compare(const char *what, const ck_isa *isas, int count, uint64_t *hash, float tolerance) {
    for (int v = 1; v < count; v++)
        for (int i = 0; i < OUT; i++) {
            float a = results[0][i], b = results[v][i];
            if (!(fabsf(a - b) <= tolerance * (1 + fabsf(a))) && !(a != a && b != b) && a != b) {
                if (failures++ < 10) printf("%s: %s differs at %d: %g, plain C %g\n", what, ck_isa_name(isas[v]), i, b, a);
                break;
            }
            if (memcmp(&results[1][i], &b, 4)) {
                if (failures++ < 10) printf("%s: %s and %s differ in a bit\n", what, ck_isa_name(isas[1]), ck_isa_name(isas[v]));
                break;
            }
        }
    if (count > 1)
        for (int i = 0; i < OUT; i++) {
            uint32_t bits;
            memcpy(&bits, &results[1][i], 4);
            *hash = (*hash ^ bits) * 1099511628211u;
        }
}

/// Products of random panels with random tokens. The halves of scales are finite and of a sensible size.
static void panels(const ck_isa *isas, int count, uint64_t *hash) {
    enum { COLUMNS = 1024, ROWS = 40, TOKENS = 24 };
    static _Alignas(64) uint8_t panel[3 * (COLUMNS / 32) * 640];
    static _Alignas(64) uint8_t activations[TOKENS * COLUMNS * 2];
    for (int round = 0; round < 160; round++) {
        const ck_format format = (ck_format)(CK_Q8_0 + round % 8);
        const size_t step = format >= CK_Q4_K && format <= CK_Q6_K ? 256 : 32, record = ck_panel_record_bytes(format);
        const size_t k = step * (1 + next() % (COLUMNS / step)), stride = ck_panel_bytes(format, k);
        const size_t rows = 1 + next() % ROWS, tokens = 1 + next() % TOKENS, first = next() % tokens, some = 1 + next() % (tokens - first);
        for (size_t at = 0; at < 3 * stride; at += record) {
            for (size_t i = 0; i < record; i++) panel[at + i] = (uint8_t)(next() >> 5);
            for (size_t i = 0; i < 32; i++) {
                const uint16_t scale = (uint16_t)(0x1C00 + (next() & 0x83FF));
                const float factor = number() / 64;
                if (format < CK_AFFINE4) memcpy(panel + at + 2 * i, &scale, 2);
                else memcpy(panel + at + 4 * i, &factor, 4);
            }
        }
        for (int v = 0; v < count; v++) {
            const ck_panel_kernels *kernel = ck_panel_kernels_for(isas[v]);
            for (int i = 0; i < OUT; i++) results[v][i] = 7;
            kernel->quantize_activations(x, 300, k, tokens, 0, tokens, activations);
            kernel->panel_matmul(format, panel, stride, rows, k, activations, first, some, tokens, results[v], ROWS);
        }
        compare("panels", isas, count, hash, 1e-3f);
    }
}

/// Products of encoded rows, as they are and as units.
static void formats(const ck_isa *isas, int count, uint64_t *hash) {
    enum { COLUMNS = 2560, ROWS = 40 };
    static uint8_t rows[ROWS * COLUMNS * 4];
    static _Alignas(64) uint8_t activations[3 * COLUMNS * 2], units[128 * COLUMNS * 4];
    static float a[COLUMNS];
    static int32_t chosen[ROWS], survivors[COLUMNS];
    for (int round = 0; round < 77; round++) {
        const ck_format format = (ck_format)(round % 11);
        const size_t length = ck_block_length(format), step = length < 32 ? 32 : length, k = step * (1 + next() % (COLUMNS / step));
        const size_t bytes = ck_row_bytes(format, k), first = next() % ROWS, some = ROWS - first;
        for (size_t r = 0; r < ROWS; r++) ck_quantize_row(format, w + next() % (SIZE - COLUMNS), k, rows + r * bytes);
        for (int i = 0; i < ROWS; i++) chosen[i] = (int32_t)(next() % ROWS);
        size_t survived = 0;
        for (size_t i = 0; i < k; i++)
            if (next() % 6 == 0) {
                survivors[survived] = (int32_t)i;
                a[survived++] = number();
            }
        ck_pack_units(format, rows, bytes, ROWS, k, 0, ROWS, units);
        for (int v = 0; v < count; v++) {
            const ck_format_kernels *kernel = ck_format_kernels_for(isas[v]);
            for (int i = 0; i < OUT; i++) results[v][i] = 7;
            kernel->units_accumulate(format, units, ROWS, survivors, survived, a, first, some, results[v]);
            if (length < 32) continue;
            ck_panel_kernels_for(isas[v])->quantize_activations(x, 300, k, 3, 0, 3, activations);
            kernel->dot_rows(format, rows, bytes, chosen, ROWS - 3, k, activations, 1, 3, results[v] + 100);
        }
        compare("rows and units", isas, count, hash, 1e-3f);
    }
}

int main(void) {
    static const ck_isa all[] = {CK_ISA_PORTABLE, CK_ISA_AVX2, CK_ISA_AVX512, CK_ISA_NEON};
    ck_isa isas[4];
    int count = 0;
    for (int i = 0; i < 4; i++) if (ck_isa_available(all[i])) isas[count++] = all[i];
    for (int i = 0; i < SIZE; i++) {
        w[i] = number();
        x[i] = number();
        half[i] = (uint16_t)(0x3800 + (next() & 0x83FF));
    }
    uint64_t hash = 14695981039346656037u;
    for (int round = 0; round < 600; round++) {
        size_t k = round < 80 ? (size_t)round : next() % 650, rows = next() % 10, tokens = next() % 24;
        size_t n = next() % 600, stride = k + next() % 4;
        for (int v = 0; v < count; v++) {
            const ck_kernels *kernel = ck_kernels_for(isas[v]);
            float *y = results[v];
            for (int i = 0; i < OUT; i++) y[i] = 7;
            switch (round % 3) {
            case 0: kernel->matmul_f32(w + 1, stride, rows, k, x + 3, stride, tokens, y, 17); break;
            case 1: kernel->matmul_f16(half + 1, stride, rows, k, x + 3, stride, tokens, y, 17); break;
            case 2: kernel->matmul_bf16(half + 1, stride, rows, k, x + 3, stride, tokens, y, 17); break;
            }
        }
        compare("matmul", isas, count, &hash, 1e-3f);
        for (int v = 0; v < count; v++) {
            const ck_kernels *kernel = ck_kernels_for(isas[v]);
            float *y = results[v];
            const float *taps[5] = {x, x + 100, 0, x + 200, x + 300};
            for (int i = 0; i < OUT; i++) y[i] = x[i];
            switch (round % 12) {
            case 0: kernel->gelu_multiply_f32(w, x, y, n); break;
            case 1: kernel->silu_f32(w, y, n); break;
            case 2: kernel->softcap_f32(w, 1.5f, y, n); break;
            case 3: kernel->softmax_f32(y, n); break;
            case 4: kernel->rms_norm_f32(x, w, 1e-6f, y, n); break;
            case 5: kernel->rope_f32(y, w, w + 300, n / 2); break;
            case 6: kernel->weighted_sum_f32(w, 13, x, n, y, n); break;
            case 7: kernel->weighted_taps_f32(taps, w, 5, y, n); break;
            case 8: kernel->f16_to_f32(half, y, n); break;
            case 9: kernel->glu_f32(w, x, y, n); break;
            case 10: kernel->gelu_cutoff_multiply_f32(w, 0.3f, x, y, n); break;
            case 11:
                y[0] = kernel->sum_f32(x, n);
                y[1] = kernel->sum_squares_f32(x, n);
                y[2] = kernel->dot_f32(x, w, n);
                y[3] = kernel->max_f32(x, n);
                y[4] = kernel->sum_squared_deviations_f32(x, 0.2f, n);
                break;
            }
        }
        compare("rows", isas, count, &hash, 1e-4f);
    }
    panels(isas, count, &hash);
    formats(isas, count, &hash);
    for (int v = 0; v < count; v++) printf("checked: %s\n", ck_isa_name(isas[v]));
    if (count > 1) printf("bits: %016llx\n", (unsigned long long)hash);
    return failures != 0;
}
