/* Vectors of one instruction set and one precision; included by instance.h only.
 *
 * VECTOR_BYTES is the width of a register. The types are GCC/Clang vector types, so that arithmetic is written with
 * operators; the few things they cannot say (fused multiply-add) come from one intrinsic per instruction set.
 *
 * The project is compiled with -ffp-contract=off and says `fma` where it means it: were the compiler free to fuse, two
 * tiles of different height could round differently, and a row's result would depend on its neighbours. */
#ifndef CLSTM_SIMD_H
#define CLSTM_SIMD_H

#include <string.h>

#include "../ground/compiler.h"
#include "../ground/real.h"

typedef real vec __attribute__((vector_size(VECTOR_BYTES)));
typedef real_bits ivec __attribute__((vector_size(VECTOR_BYTES)));
typedef real loose_vec __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));

enum { V = VECTOR_BYTES / sizeof(real) }; /* lanes */

CLSTM_INLINE vec load(const real *p) { return *(const loose_vec *)p; }
CLSTM_INLINE void store(real *p, vec v) { *(loose_vec *)p = v; }
/* s - 0 is s for every s, -0 and NaN included, so that compilers drop the subtraction. */
CLSTM_INLINE vec broadcast(real s) { return s - (vec){0}; }

/* The first `count` lanes from memory, zeros above; nothing beyond them is touched. */
CLSTM_INLINE vec load_part(const real *p, ptrdiff_t count) {
    real lanes[V] = {0};
    for (ptrdiff_t j = 0; j < count; j++) lanes[j] = p[j];
    return load(lanes);
}

CLSTM_INLINE void store_part(real *p, vec v, ptrdiff_t count) {
    real lanes[V];
    store(lanes, v);
    for (ptrdiff_t j = 0; j < count; j++) p[j] = lanes[j];
}

/* Lanes of a where the mask is all ones, of b where it is zero; comparisons of vectors give such masks. (POSIX has the
 * plain name.) */
CLSTM_INLINE vec select_(ivec mask, vec a, vec b) { return (vec)((mask & (ivec)a) | (~mask & (ivec)b)); }

/* a b + c, rounded once where the instruction set can, twice on the x86-64 baseline. */
CLSTM_INLINE vec fma_(vec a, vec b, vec c) {
#if VECTOR_BYTES == 64 && REAL_BITS == 32
    return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif VECTOR_BYTES == 64
    return (vec)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif VECTOR_BYTES == 32 && REAL_BITS == 32
    return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif VECTOR_BYTES == 32
    return (vec)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif CLSTM_ARM && REAL_BITS == 32
    return (vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#elif CLSTM_ARM
    return (vec)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
    return a * b + c;
#endif
}

#endif
