/* Sums in double precision. Element i is added to partial sum i mod GROUP, whatever the width of a register: the order
 * of the additions is that of the data alone, and there are enough independent sums to hide their latency. */
#ifndef CLSTM_SUMS_H
#define CLSTM_SUMS_H

#include "simd.h"

/* D doubles are a register, and PARTS registers hold the partial sums. */
enum { GROUP = 16, D = VECTOR_BYTES / sizeof(double), PARTS = GROUP / D };

typedef double double_vec __attribute__((vector_size(VECTOR_BYTES)));
/* As many reals as there are doubles in a register, in memory. */
typedef real narrow_vec __attribute__((vector_size(D * sizeof(real)), aligned(sizeof(real)), may_alias));

struct sums {
    double_vec part[PARTS];
};

/* (__builtin_convertvector is taken apart into halves and quarters by gcc 12.) */
CLSTM_INLINE double_vec in_double(narrow_vec x) {
#if VECTOR_BYTES == 64 && REAL_BITS == 32
    return (double_vec)_mm512_cvtps_pd((__m256)x);
#elif VECTOR_BYTES == 32 && REAL_BITS == 32
    return (double_vec)_mm256_cvtps_pd((__m128)x);
#else
    return __builtin_convertvector(x, double_vec);
#endif
}

/* Adds the squares of GROUP elements, or the elements. */
CLSTM_INLINE void add_squares(struct sums *sums, const real *x) {
    CLSTM_UNROLL for (int j = 0; j < PARTS; j++) {
        const double_vec exact = in_double(*(const narrow_vec *)(x + j * D));
        sums->part[j] += exact * exact;
    }
}

CLSTM_INLINE void add_elements(struct sums *sums, const real *x) {
    CLSTM_UNROLL for (int j = 0; j < PARTS; j++) sums->part[j] += in_double(*(const narrow_vec *)(x + j * D));
}

/* Halves are added until one number is left: the same order for every D. */
CLSTM_INLINE double total_of(struct sums sums) {
    CLSTM_UNROLL for (int half = PARTS / 2; half > 0; half /= 2) {
        CLSTM_UNROLL for (int j = 0; j < half; j++) sums.part[j] += sums.part[j + half];
    }
    double lanes[D];
    memcpy(lanes, &sums.part[0], sizeof lanes);
    CLSTM_UNROLL for (int half = D / 2; half > 0; half /= 2) {
        CLSTM_UNROLL for (int j = 0; j < half; j++) lanes[j] += lanes[j + half];
    }
    return lanes[0];
}

/* Fewer than GROUP elements, `rest` in the place of those that are missing. */
CLSTM_INLINE void copy_tail(real *to, const real *from, ptrdiff_t count, real rest) {
    for (ptrdiff_t j = 0; j < GROUP; j++) to[j] = j < count ? from[j] : rest;
}

#endif
