/* Vectors of one instruction set and one precision; included by what is compiled once for each instruction set:
 * instance.h and training/lattice_body.h.
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

#if CLSTM_X86
#include <emmintrin.h> /* min and max of the baseline */
#endif

typedef real vec __attribute__((vector_size(VECTOR_BYTES)));
typedef real_bits ivec __attribute__((vector_size(VECTOR_BYTES)));
typedef real loose_vec __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));

enum { V = VECTOR_BYTES / sizeof(real) }; /* lanes */

CLSTM_INLINE vec load(const real *p) { return *(const loose_vec *)p; }
CLSTM_INLINE void store(real *p, vec v) { *(loose_vec *)p = v; }
/* s - 0 is s for every s, -0 and NaN included, so that compilers drop the subtraction. */
CLSTM_INLINE vec broadcast(real s) { return s - (vec){0}; }

/* All ones in the first `count` lanes. */
CLSTM_INLINE ivec first_lanes(ptrdiff_t count) {
    ivec lane;
    for (int i = 0; i < V; i++) lane[i] = i;
    return lane < (real_bits)count - (ivec){0};
}

CLSTM_INLINE vec masked(vec v, ivec mask) { return (vec)((ivec)v & mask); }

/* Fewer than V elements, as two copies of constant size that may overlap. */
CLSTM_INLINE void copy_few(real *to, const real *from, ptrdiff_t count) {
    CLSTM_UNROLL for (ptrdiff_t size = V / 2; size > 0; size /= 2) {
        if (count >= size) {
            memcpy(to, from, (size_t)size * sizeof(real));
            memcpy(to + count - size, from + count - size, (size_t)size * sizeof(real));
            return;
        }
    }
}

/* The first `count` < V lanes from memory, zeros above; nothing beyond them is touched. */
CLSTM_INLINE vec load_part(const real *p, ptrdiff_t count) {
#if VECTOR_BYTES == 64 && REAL_BITS == 32
    return (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), p);
#elif VECTOR_BYTES == 64
    return (vec)_mm512_maskz_loadu_pd((__mmask8)((1u << count) - 1), p);
#elif VECTOR_BYTES == 32 && REAL_BITS == 32
    return (vec)_mm256_maskload_ps(p, (__m256i)first_lanes(count));
#elif VECTOR_BYTES == 32
    return (vec)_mm256_maskload_pd(p, (__m256i)first_lanes(count));
#else
    real lanes[V] = {0};
    copy_few(lanes, p, count);
    return load(lanes);
#endif
}

/* Stores under a mask take AMD's processors dozens of cycles before AVX-512. */
CLSTM_INLINE void store_part(real *p, vec v, ptrdiff_t count) {
#if VECTOR_BYTES == 64 && REAL_BITS == 32
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << count) - 1), (__m512)v);
#elif VECTOR_BYTES == 64
    _mm512_mask_storeu_pd(p, (__mmask8)((1u << count) - 1), (__m512d)v);
#else
    real lanes[V];
    store(lanes, v);
    copy_few(p, lanes, count);
#endif
}

/* Lanes of a where the mask is all ones, of b where it is zero; comparisons of vectors give such masks. (POSIX has the
 * plain name.) */
CLSTM_INLINE vec select_(ivec mask, vec a, vec b) { return (vec)((mask & (ivec)a) | (~mask & (ivec)b)); }

CLSTM_INLINE real root_(real x) { return REAL_BITS == 32 ? __builtin_sqrtf((float)x) : __builtin_sqrt(x); }

/* The smaller or larger of two numbers, and b if one of them is NaN (on ARM: NaN). */
#if VECTOR_BYTES == 64 && REAL_BITS == 32
#define LANEWISE(op, a, b) ((vec)_mm512_##op##_ps((__m512)(a), (__m512)(b)))
#elif VECTOR_BYTES == 64
#define LANEWISE(op, a, b) ((vec)_mm512_##op##_pd((__m512d)(a), (__m512d)(b)))
#elif VECTOR_BYTES == 32 && REAL_BITS == 32
#define LANEWISE(op, a, b) ((vec)_mm256_##op##_ps((__m256)(a), (__m256)(b)))
#elif VECTOR_BYTES == 32
#define LANEWISE(op, a, b) ((vec)_mm256_##op##_pd((__m256d)(a), (__m256d)(b)))
#elif CLSTM_ARM && REAL_BITS == 32
#define LANEWISE(op, a, b) ((vec)v##op##q_f32((float32x4_t)(a), (float32x4_t)(b)))
#elif CLSTM_ARM
#define LANEWISE(op, a, b) ((vec)v##op##q_f64((float64x2_t)(a), (float64x2_t)(b)))
#elif REAL_BITS == 32
#define LANEWISE(op, a, b) ((vec)_mm_##op##_ps((__m128)(a), (__m128)(b)))
#else
#define LANEWISE(op, a, b) ((vec)_mm_##op##_pd((__m128d)(a), (__m128d)(b)))
#endif
CLSTM_INLINE vec min_(vec a, vec b) { return LANEWISE(min, a, b); }
CLSTM_INLINE vec max_(vec a, vec b) { return LANEWISE(max, a, b); }

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
