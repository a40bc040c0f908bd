/* Status texts, processor detection, row-major products over BLAS. */
#include "../ground/blas.h"
#include "check.h"

static void check_statuses(void) {
    for (int a = 0; a <= CLSTM_STATUS_COUNT; a++) {
        const char *text = clstm_status_message((clstm_status)a);
        CHECK(text != NULL && *text != '\0', "status %d", a);
        for (int b = 0; text != NULL && b < a; b++)
            CHECK(strcmp(text, clstm_status_message((clstm_status)b)) != 0, "%d and %d: %s", a, b, text);
    }
    CHECK(clstm_status_message((clstm_status)99) != NULL, "status 99");
    group("ground: statuses");
}

static void check_processor(void) {
    const clstm_isa best = clstm_isa_best();
    CHECK(clstm_cpu_count() >= 1, "%d", clstm_cpu_count());
    CHECK(clstm_isa_available(CLSTM_ISA_BASELINE), "the baseline");
    for (int isa = 0; isa < CLSTM_ISA_COUNT; isa++) {
        CHECK(clstm_isa_available((clstm_isa)isa) == (isa <= (int)best), "%d", isa);
        CHECK(clstm_isa_name((clstm_isa)isa) != NULL, "%d", isa);
    }
    CHECK(!clstm_isa_available(CLSTM_ISA_COUNT) && !clstm_isa_available((clstm_isa)-1), "isa that does not exist");
    CHECK(clstm_isa_name(CLSTM_ISA_COUNT) != NULL, "isa that does not exist");
    printf("processors %d, best instruction set %s\n", clstm_cpu_count(), clstm_isa_name(best));
    group("ground: processor");
}

/* op(A) or op(B) [rows, columns] in exact-size memory, with `gap` elements between the stored rows. */
static clstm_matrix random_matrix(clstm_dtype dtype, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t gap, int op) {
    const ptrdiff_t stored_rows = op ? columns : rows, width = op ? rows : columns, ld = width + gap;
    const ptrdiff_t count = stored_rows > 0 && width > 0 ? (stored_rows - 1) * ld + width : 0;
    return (clstm_matrix){random_buffer(dtype, count, 1), ld, op ? CLSTM_TRANSPOSED : CLSTM_PLAIN};
}

static double element(clstm_dtype dtype, const clstm_matrix *matrix, ptrdiff_t row, ptrdiff_t column) {
    if (matrix->op == CLSTM_TRANSPOSED) return get(dtype, matrix->data, column * matrix->ld + row);
    return get(dtype, matrix->data, row * matrix->ld + column);
}

static void check_product(clstm_dtype dtype, const ptrdiff_t size[3], int op_a, int op_b, double beta) {
    const clstm_blas blas = {naive_sgemm, naive_dgemm};
    const ptrdiff_t m = size[0], n = size[1], k = size[2], ldc = n + 3;
    const ptrdiff_t count = m > 0 && n > 0 ? (m - 1) * ldc + n : 0;
    const clstm_matrix a = random_matrix(dtype, m, k, 2, op_a), b = random_matrix(dtype, k, n, 1, op_b);
    void *c = random_buffer(dtype, count, 1), *before = buffer((size_t)count * size_of(dtype));
    memcpy(before, c, (size_t)count * size_of(dtype));
    if (beta == 0)
        for (ptrdiff_t i = 0; i < m; i++)
            for (ptrdiff_t j = 0; j < n; j++) set(dtype, c, i * ldc + j, NAN); /* must not be read */
    CHECK(clstm_gemm_fits(m, n, k, a.ld, b.ld, ldc), "sizes of a small product");
    clstm_gemm_row_major(&blas, dtype, m, n, k, a, b, beta, c, ldc);
    double worst = 0;
    for (ptrdiff_t q = 0; q < count; q++) {
        const ptrdiff_t i = q / ldc, j = q % ldc;
        double expected = get(dtype, before, q);
        if (j < n) {
            expected *= beta;
            for (ptrdiff_t p = 0; p < k; p++) expected += element(dtype, &a, i, p) * element(dtype, &b, p, j);
        }
        const double error = fabs(get(dtype, c, q) - expected);
        if (!(error <= worst)) worst = error == error ? error : INFINITY;
    }
    CHECK(worst < (dtype == CLSTM_F32 ? 1e-5 : 1e-14), "m %d n %d k %d op %d %d beta %g: off by %g", (int)m, (int)n,
          (int)k, op_a, op_b, beta, worst);
    buffers_free();
}

static void check_products(void) {
    static const ptrdiff_t sizes[][3] = {{1, 1, 1}, {3, 4, 5}, {7, 2, 1}, {1, 6, 4}, {5, 1, 3},
                                         {0, 3, 2}, {3, 0, 2}, {3, 4, 0}, {1, 1, 0}};
    static const double betas[] = {0, 1, -0.5};
    for (int dtype = CLSTM_F32; dtype <= CLSTM_F64; dtype++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            for (int ops = 0; ops < 4; ops++)
                for (int b = 0; b < 3; b++) check_product((clstm_dtype)dtype, sizes[s], ops & 1, ops >> 1, betas[b]);
    CHECK(!gemm_refused, "a gemm was called with sizes that a BLAS refuses");
    group("ground: row-major products");

    const ptrdiff_t most = INT32_MAX;
    CHECK(clstm_gemm_fits(most, most, most, most, most, most), "the greatest int");
    for (int i = 0; i < 6; i++) {
        ptrdiff_t s[6] = {1, 1, 1, 1, 1, 1};
        s[i] = most + 1;
        CHECK(!clstm_gemm_fits(s[0], s[1], s[2], s[3], s[4], s[5]), "size %d above the greatest int", i);
        s[i] = -1;
        CHECK(!clstm_gemm_fits(s[0], s[1], s[2], s[3], s[4], s[5]), "size %d negative", i);
    }
    group("ground: limits of a BLAS");
}

int main(void) {
    check_statuses();
    check_processor();
    check_products();
    return finish();
}
