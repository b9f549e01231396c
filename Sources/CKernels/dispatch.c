// The public entry points: one table, filled after one look at the CPU.
#include "include/ckernels_table.h"

const ck_kernels *ck_kernels_for(ck_isa isa) {
    switch (isa) {
    case CK_ISA_PORTABLE: return &ck_kernels_portable;
#if defined(__x86_64__)
    case CK_ISA_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")
                   ? &ck_kernels_avx2 : 0;
    case CK_ISA_AVX512:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")
                       && __builtin_cpu_supports("avx512dq") && ck_kernels_for(CK_ISA_AVX2)
                   ? &ck_kernels_avx512 : 0;
#elif defined(__aarch64__)
    case CK_ISA_NEON: return &ck_kernels_neon;
#elif defined(__wasm_simd128__)
    case CK_ISA_SIMD128: return &ck_kernels_simd128;
#endif
    default: return 0;
    }
}

#if defined(__aarch64__)
static int has_dot_product(void) {
#if defined(__APPLE__)
    return 1;
#elif defined(__linux__)
    unsigned long getauxval(unsigned long);
    return (int)(getauxval(16) >> 20 & 1);   // AT_HWCAP, HWCAP_ASIMDDP
#else
    return 0;
#endif
}
#endif

const ck_panel_kernels *ck_panel_kernels_for(ck_isa isa) {
    if (!ck_kernels_for(isa)) return 0;
    switch (isa) {
#if defined(__x86_64__)
    case CK_ISA_AVX2: return &ck_panel_kernels_avx2;
    case CK_ISA_AVX512: return __builtin_cpu_supports("avx512vnni") ? &ck_panel_kernels_avx512 : &ck_panel_kernels_avx2;
#elif defined(__aarch64__)
    case CK_ISA_NEON: return has_dot_product() ? &ck_panel_kernels_neon_dot : &ck_panel_kernels_neon;
#endif
    default: return &ck_panel_kernels_portable;
    }
}

const ck_format_kernels *ck_format_kernels_for(ck_isa isa) {
    if (!ck_kernels_for(isa)) return 0;
    switch (isa) {
#if defined(__x86_64__)
    case CK_ISA_AVX2: return &ck_format_kernels_avx2;
    case CK_ISA_AVX512: return __builtin_cpu_supports("avx512vnni") ? &ck_format_kernels_avx512 : &ck_format_kernels_avx2;
#elif defined(__aarch64__)
    case CK_ISA_NEON: return has_dot_product() ? &ck_format_kernels_neon_dot : &ck_format_kernels_neon;
#elif defined(__wasm_simd128__)
    case CK_ISA_SIMD128: return &ck_format_kernels_simd128;
#endif
    default: return &ck_format_kernels_portable;
    }
}

// Written once with the same values by whichever threads come first, or by ck_select_isa.
static const ck_kernels *selected;
static const ck_panel_kernels *selected_panels;
static const ck_format_kernels *selected_formats;
static ck_isa selected_isa;

static const ck_kernels *probe(void) {
    static const ck_isa best_first[] = {CK_ISA_AVX512, CK_ISA_AVX2, CK_ISA_NEON, CK_ISA_SIMD128, CK_ISA_PORTABLE};
    for (size_t i = 0;; i++)
        if (ck_kernels_for(best_first[i])) {
            ck_select_isa(best_first[i]);
            return ck_kernels_for(best_first[i]);
        }
}

static inline const ck_kernels *table(void) {
    const ck_kernels *kernels = __atomic_load_n(&selected, __ATOMIC_ACQUIRE);
    return __builtin_expect(kernels != 0, 1) ? kernels : probe();
}

static inline const ck_panel_kernels *panel_table(void) {
    const ck_panel_kernels *kernels = __atomic_load_n(&selected_panels, __ATOMIC_ACQUIRE);
    if (__builtin_expect(kernels != 0, 1)) return kernels;
    probe();
    return __atomic_load_n(&selected_panels, __ATOMIC_ACQUIRE);
}

static inline const ck_format_kernels *format_table(void) {
    const ck_format_kernels *kernels = __atomic_load_n(&selected_formats, __ATOMIC_ACQUIRE);
    if (__builtin_expect(kernels != 0, 1)) return kernels;
    probe();
    return __atomic_load_n(&selected_formats, __ATOMIC_ACQUIRE);
}

ck_isa ck_current_isa(void) {
    table();
    return __atomic_load_n(&selected_isa, __ATOMIC_RELAXED);
}

int ck_isa_available(ck_isa isa) { return ck_kernels_for(isa) != 0; }

int ck_select_isa(ck_isa isa) {
    const ck_kernels *kernels = ck_kernels_for(isa);
    if (!kernels) return 0;
    __atomic_store_n(&selected_isa, isa, __ATOMIC_RELAXED);
    __atomic_store_n(&selected_panels, ck_panel_kernels_for(isa), __ATOMIC_RELEASE);
    __atomic_store_n(&selected_formats, ck_format_kernels_for(isa), __ATOMIC_RELEASE);
    __atomic_store_n(&selected, kernels, __ATOMIC_RELEASE);
    return 1;
}

const char *ck_isa_name(ck_isa isa) {
    switch (isa) {
    case CK_ISA_AVX2: return "AVX2";
    case CK_ISA_AVX512: return "AVX-512";
    case CK_ISA_NEON: return "NEON";
    case CK_ISA_SIMD128: return "SIMD128";
    default: return "portable C";
    }
}

#define ENTRY_POINT(name, parameters, arguments) void ck_##name parameters { table()->name arguments; }
#define VALUE_ENTRY_POINT(type, name, parameters, arguments) type ck_##name parameters { return table()->name arguments; }
CK_KERNELS(ENTRY_POINT, VALUE_ENTRY_POINT)

#define PANEL_ENTRY_POINT(name, parameters, arguments) void ck_##name parameters { panel_table()->name arguments; }
#define PANEL_VALUE_ENTRY_POINT(type, name, parameters, arguments)                                                     \
    type ck_##name parameters { return panel_table()->name arguments; }
CK_PANEL_KERNELS(PANEL_ENTRY_POINT, PANEL_VALUE_ENTRY_POINT)

#define FORMAT_ENTRY_POINT(name, parameters, arguments) void ck_##name parameters { format_table()->name arguments; }
CK_FORMAT_KERNELS(FORMAT_ENTRY_POINT, )

// Builtins become calls into the platform's libm; no header is needed, so bare WebAssembly compiles too.
double ck_exp(double x) { return __builtin_exp(x); }
double ck_log(double x) { return __builtin_log(x); }
double ck_pow(double x, double y) { return __builtin_pow(x, y); }
double ck_sin(double x) { return __builtin_sin(x); }
double ck_cos(double x) { return __builtin_cos(x); }
double ck_tanh(double x) { return __builtin_tanh(x); }
double ck_sqrt(double x) { return __builtin_sqrt(x); }
