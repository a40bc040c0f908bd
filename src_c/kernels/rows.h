/* Arithmetic on single rows of numbers that is compiled once for each precision, for the instruction set that every
 * processor has, and lives with the kernels for the flags of the compiler, which turns its loops into vectors. Both
 * precisions are behind one table, so that layer_norm.c and activation.c do without a type. */
#ifndef CLSTM_ROWS_H
#define CLSTM_ROWS_H

#include "../clstm.h"

/* Arrays have n elements. */
struct row_kernels {
    size_t size; /* bytes of one element */
    /* The mean of x and 1 / sqrt(variance + epsilon). */
    void (*moments)(ptrdiff_t n, const void *x, double epsilon, double moments[2]);
    /* y = gain N(x) + bias with N(x) = moments[1] (x - moments[0]); a gain that is NULL is 1, a bias 0. */
    void (*normalise)(ptrdiff_t n, const void *x, const double moments[2], const void *gain, const void *bias, void *y);
    /* dx of dy, or NULL: not wanted. */
    void (*normalise_backward)(ptrdiff_t n, const void *x, const double moments[2], const void *gain, const void *dy,
                               void *dx);
    /* dgain += N(x) dy, dbias += dy; NULL: not wanted. */
    void (*normalise_sums)(ptrdiff_t n, const void *x, const double moments[2], const void *dy, double *dgain,
                           double *dbias);
    /* y += sums */
    void (*add_sums)(ptrdiff_t n, const double *sums, void *y);
    /* dz = dy f'(z), of an activation whose slope its value y = f(z) tells; dz may be dy. */
    void (*activate_backward)(clstm_activation function, ptrdiff_t n, const void *y, const void *dy, void *dz);
};

extern const struct row_kernels clstm_rows_f32, clstm_rows_f64;

static inline const struct row_kernels *row_kernels_of(clstm_dtype dtype) {
    return dtype == CLSTM_F32 ? &clstm_rows_f32 : &clstm_rows_f64;
}

#endif
