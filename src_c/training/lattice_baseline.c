#include "../ground/compiler.h"

#if CLSTM_ARM
#include <arm_neon.h>
#endif
#define INSTANCE clstm_lattice_baseline
#define VECTOR_BYTES 16
#include "lattice_body.h"
