#include "../ground/compiler.h"

#if CLSTM_X86
#include <immintrin.h>
CLSTM_TARGET_BEGIN("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")
#define INSTANCE clstm_lattice_avx512
#define VECTOR_BYTES 64
#include "lattice_body.h"
CLSTM_TARGET_END
#endif
