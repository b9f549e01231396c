// Weights in rows and in units with NEON.
#if defined(__aarch64__)
#include <arm_neon.h>

#define CK_SUFFIX neon
#define CK_DOT8(s, w, x) vpadalq_s16(vpadalq_s16(s, vmull_s8(vget_low_s8(w), vget_low_s8(x))), vmull_high_s8(w, x))
#include "formats_neon.h"
#endif
