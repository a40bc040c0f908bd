#include "../ground/compiler.h"

#if CLSTM_X86
#include <immintrin.h>
CLSTM_TARGET_BEGIN("avx2,fma")
#define INSTANCE clstm_lattice_avx2
#define VECTOR_BYTES 32
#include "lattice_body.h"
CLSTM_TARGET_END
#endif
