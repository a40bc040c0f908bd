#include "../ground/compiler.h"

#if CLSTM_X86
#include <immintrin.h>
CLSTM_TARGET_BEGIN("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")
#define REAL_BITS 64
#define INSTANCE clstm_kernels_avx512_f64
#define VECTOR_BYTES 64
#define PRODUCT_ROWS 6 /* 32 registers: 6 x 4 sums, 4 weights, a broadcast from memory */
#define PRODUCT_VECTORS 4
#include "instance.h"
CLSTM_TARGET_END
#endif
