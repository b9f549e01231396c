// Panels with NEON's dot product (Armv8.2 and later, every Apple silicon).
#if defined(__aarch64__)
#include <arm_neon.h>
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#define CK_SUFFIX neon_dot
#define DOT_PRODUCT 1
#include "panels_neon.h"
#pragma clang attribute pop
#endif
