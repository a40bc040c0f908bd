/* What every processor of the architecture has: SSE2 on x86-64, NEON (with fused multiply-add) on ARM. */
#include "../ground/compiler.h"

#if CLSTM_ARM
#include <arm_neon.h>
#define PRODUCT_VECTORS 4 /* 32 registers */
#else
#define PRODUCT_VECTORS 2 /* 16 registers */
#endif
#define PRODUCT_ROWS 4
#define REAL_BITS 32
#define INSTANCE clstm_kernels_baseline_f32
#define VECTOR_BYTES 16
#include "instance.h"
