/* Rows become lanes. */
#ifndef CLSTM_TRANSPOSE_H
#define CLSTM_TRANSPOSE_H

#include "simd.h"

#if CLSTM_X86
#include <emmintrin.h>
#endif

/* Elements of 16 bytes, the width within which every instruction set moves them most cheaply. */
enum { QUAD = 16 / sizeof(real) };

/* QUAD elements of each of the rows 0, QUAD, 2 QUAD .. side by side. */
CLSTM_INLINE vec load_quads(const real *const *rows, ptrdiff_t k) {
#define QUAD_OF(i) _mm_loadu_ps((const float *)(rows[(i) * QUAD] + k))
#if VECTOR_BYTES == 64
    __m512 v = _mm512_castps128_ps512(QUAD_OF(0));
    v = _mm512_insertf32x4(v, QUAD_OF(1), 1);
    v = _mm512_insertf32x4(v, QUAD_OF(2), 2);
    return (vec)_mm512_insertf32x4(v, QUAD_OF(3), 3);
#elif VECTOR_BYTES == 32
    return (vec)_mm256_insertf128_ps(_mm256_castps128_ps256(QUAD_OF(0)), QUAD_OF(1), 1);
#else
    return load(rows[0] + k);
#endif
#undef QUAD_OF
}

/* Within each 16 bytes, the lower or the upper halves of a and b by turns: elements, or pairs of floats. */
#if VECTOR_BYTES == 64
#define BY_TURNS(half, type, a, b) ((vec)_mm512_unpack##half##_##type((__m512##type##_)(a), (__m512##type##_)(b)))
#define __m512ps_ __m512
#define __m512pd_ __m512d
#elif VECTOR_BYTES == 32
#define BY_TURNS(half, type, a, b) ((vec)_mm256_unpack##half##_##type((__m256##type##_)(a), (__m256##type##_)(b)))
#define __m256ps_ __m256
#define __m256pd_ __m256d
#elif CLSTM_X86
#define BY_TURNS(half, type, a, b) ((vec)_mm_unpack##half##_##type((__m128##type##_)(a), (__m128##type##_)(b)))
#define __m128ps_ __m128
#define __m128pd_ __m128d
#else
#define BY_TURNS(half, type, a, b) BY_TURNS_##half##_##type(a, b)
#define BY_TURNS_lo_ps(a, b) ((vec)vzip1q_f32((float32x4_t)(a), (float32x4_t)(b)))
#define BY_TURNS_hi_ps(a, b) ((vec)vzip2q_f32((float32x4_t)(a), (float32x4_t)(b)))
#define BY_TURNS_lo_pd(a, b) ((vec)vzip1q_f64((float64x2_t)(a), (float64x2_t)(b)))
#define BY_TURNS_hi_pd(a, b) ((vec)vzip2q_f64((float64x2_t)(a), (float64x2_t)(b)))
#endif

/* Within each 16 bytes at index q: columns[j][q QUAD + i] = v[i][q QUAD + j]. */
CLSTM_INLINE void turn_quads(vec columns[QUAD], const vec v[QUAD]) {
#if REAL_BITS == 64
    columns[0] = BY_TURNS(lo, pd, v[0], v[1]);
    columns[1] = BY_TURNS(hi, pd, v[0], v[1]);
#else
    const vec a = BY_TURNS(lo, ps, v[0], v[1]), b = BY_TURNS(lo, ps, v[2], v[3]);
    const vec c = BY_TURNS(hi, ps, v[0], v[1]), d = BY_TURNS(hi, ps, v[2], v[3]);
    columns[0] = BY_TURNS(lo, pd, a, b);
    columns[1] = BY_TURNS(hi, pd, a, b);
    columns[2] = BY_TURNS(lo, pd, c, d);
    columns[3] = BY_TURNS(hi, pd, c, d);
#endif
}

/* columns[j][lane] = rows[lane][k + j] for j < QUAD */
CLSTM_INLINE void load_columns(vec columns[QUAD], const real *const *rows, ptrdiff_t k) {
    vec v[QUAD];
    CLSTM_UNROLL for (int j = 0; j < QUAD; j++) v[j] = load_quads(rows + j, k);
    turn_quads(columns, v);
}

/* to[j][i] += from[i][j] for i < rows, j < columns; `from` must be readable up to whole vectors both ways. */
static void add_transposed(real *to, ptrdiff_t ldto, const real *from, ptrdiff_t ldfrom, ptrdiff_t rows,
                           ptrdiff_t columns) {
    for (ptrdiff_t i = 0; i < rows; i += V) {
        const real *row[V];
        const ptrdiff_t count = rows - i;
        for (int lane = 0; lane < V; lane++) row[lane] = from + (i + lane) * ldfrom;
        for (ptrdiff_t j = 0; j < columns; j += QUAD) {
            vec sums[QUAD];
            load_columns(sums, row, j);
            CLSTM_UNROLL for (int k = 0; k < QUAD; k++) {
                real *at = to + (j + k) * ldto + i;
                if (j + k >= columns) continue;
                if (count >= V) store(at, load(at) + sums[k]);
                else store_part(at, load_part(at, count) + sums[k], count);
            }
        }
    }
}

#endif
