// Panels with NEON as every 64-bit Arm CPU has it.
#if defined(__aarch64__)
#define CK_SUFFIX neon
#define DOT_PRODUCT 0
#include "panels_neon.h"
#endif
