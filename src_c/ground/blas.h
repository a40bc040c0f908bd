/* Row-major products over a Fortran BLAS: the one place that reasons about transposition. */
#ifndef CLSTM_BLAS_H
#define CLSTM_BLAS_H

#include "../clstm.h"

typedef enum { CLSTM_PLAIN = 0, CLSTM_TRANSPOSED = 1 } clstm_transpose;

/* A row-major matrix: element (row, column) of the stored matrix at data[row ld + column]. */
typedef struct clstm_matrix {
    const void *data;
    ptrdiff_t ld;
    clstm_transpose op;
} clstm_matrix;

/* 1 if m, n, k and all leading dimensions fit a BLAS with 32-bit int. Callers check before they write anything. */
int clstm_gemm_fits(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, ptrdiff_t lda, ptrdiff_t ldb, ptrdiff_t ldc);

/* C [m,n] = op(A) [m,k] op(B) [k,n] + beta C, row-major; sizes may be 0. Sizes have passed clstm_gemm_fits. */
void clstm_gemm_row_major(const clstm_blas *blas, clstm_dtype dtype, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k,
                          clstm_matrix a, clstm_matrix b, double beta, void *c, ptrdiff_t ldc);

#endif
