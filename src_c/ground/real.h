/* The precision of the file that includes this: REAL_BITS is 32 or 64.
 *
 * Every numeric file is written once and compiled once per precision; only names that other files see carry a suffix,
 * given by REAL_NAME(name): name_f32 or name_f64. */
#ifndef CLSTM_REAL_H
#define CLSTM_REAL_H

#include <stddef.h>
#include <stdint.h>

#if REAL_BITS == 32
typedef float real;
typedef int32_t real_bits; /* an integer as wide as a real: masks and exponents */
#define REAL_NAME(name) name##_f32
#elif REAL_BITS == 64
typedef double real;
typedef int64_t real_bits;
#define REAL_NAME(name) name##_f64
#else
#error "define REAL_BITS as 32 or 64 before including real.h"
#endif

/* Rows of internal buffers are padded to whole cache lines, so that every vector access of every instruction set is a
 * full one. The padding always holds zeros or values computed from zeros. */
#define CACHE_LINE 64

static inline ptrdiff_t padded(ptrdiff_t count) {
    const ptrdiff_t line = CACHE_LINE / (ptrdiff_t)sizeof(real);
    return (count + line - 1) / line * line;
}

#endif
