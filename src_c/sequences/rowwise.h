/* Arithmetic on rows of numbers for the layers that do little of it, in both precisions behind one table, so that
 * pool.c and embedding.c do without a type. */
#ifndef CLSTM_ROWWISE_H
#define CLSTM_ROWWISE_H

#include "../clstm.h"

/* x is [steps][n], its rows `stride` elements apart; y is [n]. steps is at least 1. */
struct rowwise {
    size_t size; /* bytes of one element */
    /* y += x */
    void (*add)(ptrdiff_t n, const void *x, void *y);
    /* y = x / divisor */
    void (*divide)(ptrdiff_t n, const void *x, double divisor, void *y);
    /* y = the mean of the rows, summed in double. */
    void (*mean)(ptrdiff_t n, ptrdiff_t steps, const void *x, ptrdiff_t stride, void *y);
    /* y = the greatest of each column; NaN if there is one. */
    void (*greatest)(ptrdiff_t n, ptrdiff_t steps, const void *x, ptrdiff_t stride, void *y);
    /* dx [steps][n], rows dx_stride apart: dy[j] where x has the greatest of column j for the first time, else
     * untouched. A NaN counts as greater than any number. */
    void (*greatest_backward)(ptrdiff_t n, ptrdiff_t steps, const void *x, ptrdiff_t stride, const void *dy, void *dx,
                              ptrdiff_t dx_stride);
    /* y = exp(x - the greatest x) / their sum, n numbers; y may be x. */
    void (*softmax)(clstm_isa isa, ptrdiff_t n, const void *x, void *y);
    /* y = sum over the steps of a[t] x[t], summed in double. */
    void (*weighted)(ptrdiff_t n, ptrdiff_t steps, const void *a, const void *x, ptrdiff_t stride, void *y);
    /* With a[t] = softmax of s: ds[t] = a[t] (dy . x[t] - sum over u of a[u] (dy . x[u])). */
    void (*weighted_backward)(ptrdiff_t n, ptrdiff_t steps, const void *a, const void *x, ptrdiff_t stride,
                              const void *dy, void *ds);
    /* y = factor x, of the element that `factor` points to. */
    void (*multiply)(ptrdiff_t n, const void *factor, const void *x, void *y);
};

extern const struct rowwise clstm_rowwise_f32, clstm_rowwise_f64;

static inline const struct rowwise *rowwise_of(clstm_dtype dtype) {
    return dtype == CLSTM_F32 ? &clstm_rowwise_f32 : &clstm_rowwise_f64;
}

#endif
