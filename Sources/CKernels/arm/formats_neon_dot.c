// Weights in rows and in units with NEON and its dot products of bytes.
#if defined(__aarch64__)
#include <arm_neon.h>
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)

#define CK_SUFFIX neon_dot
#define CK_DOT8(s, w, x) vdotq_s32(s, w, x)
#include "formats_neon.h"
#pragma clang attribute pop
#endif
