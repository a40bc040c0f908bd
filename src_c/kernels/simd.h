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

/* The lanes of two vectors by turns, a0 b0 a1 b1 ..: of their lower and of their upper halves. */
#define LANES (VECTOR_BYTES * 8 / REAL_BITS)
#if LANES == 16
#define LOWER_HALVES 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define UPPER_HALVES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif LANES == 8
#define LOWER_HALVES 0, 8, 1, 9, 2, 10, 3, 11
#define UPPER_HALVES 4, 12, 5, 13, 6, 14, 7, 15
#elif LANES == 4
#define LOWER_HALVES 0, 4, 1, 5
#define UPPER_HALVES 2, 6, 3, 7
#else
#define LOWER_HALVES 0, 2
#define UPPER_HALVES 1, 3
#endif
#if defined(__clang__)
CLSTM_INLINE vec interleave_lower(vec a, vec b) { return __builtin_shufflevector(a, b, LOWER_HALVES); }
CLSTM_INLINE vec interleave_upper(vec a, vec b) { return __builtin_shufflevector(a, b, UPPER_HALVES); }
#else
CLSTM_INLINE vec interleave_lower(vec a, vec b) { return __builtin_shuffle(a, b, (ivec){LOWER_HALVES}); }
CLSTM_INLINE vec interleave_upper(vec a, vec b) { return __builtin_shuffle(a, b, (ivec){UPPER_HALVES}); }
#endif

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
