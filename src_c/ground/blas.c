#include "blas.h"

#include <limits.h>
#include <string.h>

static int fits(ptrdiff_t size) { return size >= 0 && size <= INT_MAX; }

int clstm_gemm_fits(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, ptrdiff_t lda, ptrdiff_t ldb, ptrdiff_t ldc) {
    return fits(m) && fits(n) && fits(k) && fits(lda) && fits(ldb) && fits(ldc);
}

/* C = beta C. Not left to the BLAS: some send a product with one row or column to their gemv, which by its
 * definition leaves the result alone when there is nothing to sum. */
static void scale(clstm_dtype dtype, ptrdiff_t m, ptrdiff_t n, double beta, void *c, ptrdiff_t ldc) {
    const size_t size = dtype == CLSTM_F32 ? sizeof(float) : sizeof(double);
    for (ptrdiff_t i = 0; i < m; i++) {
        char *row = (char *)c + (size_t)(i * ldc) * size;
        if (beta == 0) {
            memset(row, 0, (size_t)n * size); /* also where C holds NaN */
        } else if (dtype == CLSTM_F32) {
            for (ptrdiff_t j = 0; j < n; j++) ((float *)row)[j] *= (float)beta;
        } else {
            for (ptrdiff_t j = 0; j < n; j++) ((double *)row)[j] *= beta;
        }
    }
}

/* BLAS demands a leading dimension of at least the stored columns, even of a single row, where it has no meaning. */
static int64_t leading(ptrdiff_t ld, ptrdiff_t columns) { return ld > columns ? ld : columns; }

/* A row-major matrix is, read by columns, its own transpose. So BLAS, asked for C^T = op(B)^T op(A)^T, is given the
 * operands in the opposite order and without any other change: op(B)^T of the transposed storage is op again. */
void clstm_gemm_row_major(const clstm_blas *blas, clstm_dtype dtype, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k,
                          clstm_matrix a, clstm_matrix b, double beta, void *c, ptrdiff_t ldc) {
    if (m == 0 || n == 0) return;
    if (k == 0) {
        scale(dtype, m, n, beta, c, ldc);
        return;
    }
    char op_a = a.op == CLSTM_TRANSPOSED ? 'T' : 'N', op_b = b.op == CLSTM_TRANSPOSED ? 'T' : 'N';
    int64_t rows = m, columns = n, terms = k;
    int64_t lda = leading(a.ld, a.op == CLSTM_TRANSPOSED ? m : k);
    int64_t ldb = leading(b.ld, b.op == CLSTM_TRANSPOSED ? k : n);
    int64_t ldc_ = leading(ldc, n);
    float alpha_f32 = 1, beta_f32 = (float)beta;
    double alpha_f64 = 1, beta_f64 = beta;
    const int single = dtype == CLSTM_F32;
    const clstm_gemm gemm = single ? blas->sgemm : blas->dgemm;
    gemm(&op_b, &op_a, &columns, &rows, &terms, single ? (void *)&alpha_f32 : (void *)&alpha_f64, (void *)b.data, &ldb,
         (void *)a.data, &lda, single ? (void *)&beta_f32 : (void *)&beta_f64, c, &ldc_);
}
