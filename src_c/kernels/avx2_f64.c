#include "../ground/compiler.h"

#if CLSTM_X86
#include <immintrin.h>
CLSTM_TARGET_BEGIN("avx2,fma")
#define REAL_BITS 64
#define INSTANCE clstm_kernels_avx2_f64
#define VECTOR_BYTES 32
#define PRODUCT_ROWS 6 /* 16 registers: 6 x 2 sums, 2 weights, a broadcast */
#define PRODUCT_VECTORS 2
#include "instance.h"
CLSTM_TARGET_END
#endif
