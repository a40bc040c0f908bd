/* What the C tests have in common: counting, exact-size buffers, numbers. Each test is a program of one file that
 * includes this once. */
#ifndef CLSTM_TESTS_CHECK_H
#define CLSTM_TESTS_CHECK_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../clstm.h"

static int passed, failed, passed_before, failed_before;

/* Counts one check; a failure is printed with its place and the printf arguments. */
#define CHECK(condition, ...)                                      \
    do {                                                           \
        if (condition) {                                           \
            passed++;                                              \
        } else {                                                   \
            failed++;                                              \
            printf("%s:%d: %s: ", __FILE__, __LINE__, #condition); \
            printf(__VA_ARGS__);                                   \
            printf("\n");                                          \
        }                                                          \
    } while (0)

/* Closes a group of checks with a line. */
static inline void group(const char *name) {
    printf("%-44s %6d passed  %d failed\n", name, passed - passed_before, failed - failed_before);
    fflush(stdout);
    passed_before = passed;
    failed_before = failed;
}

/* The exit code of the program. */
static inline int finish(void) {
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}

/* A buffer whose last byte is the last of its allocation, so that AddressSanitizer sees any access beyond it, on an
 * odd multiple of 8 bytes, and full of NaN, so that what a function leaves unwritten is found. Lives until
 * buffers_free(). */
enum { BUFFER_SHIFT = 8, BUFFERS = 4096 };
static void *buffers[BUFFERS];
static int buffers_used;

static inline void *buffer(size_t bytes) {
    char *block = malloc(bytes + BUFFER_SHIFT);
    if (block == NULL || buffers_used == BUFFERS) {
        printf("out of memory for the test\n");
        exit(2);
    }
    memset(block, 0xff, bytes + BUFFER_SHIFT);
    buffers[buffers_used++] = block;
    return block + BUFFER_SHIFT;
}

static inline void buffers_free(void) {
    while (buffers_used > 0) free(buffers[--buffers_used]);
}

static const char *const dtype_names[] = {"f32", "f64"};

static inline size_t size_of(clstm_dtype dtype) { return dtype == CLSTM_F32 ? sizeof(float) : sizeof(double); }

static inline double get(clstm_dtype dtype, const void *data, ptrdiff_t i) {
    return dtype == CLSTM_F32 ? (double)((const float *)data)[i] : ((const double *)data)[i];
}

static inline void set(clstm_dtype dtype, void *data, ptrdiff_t i, double value) {
    if (dtype == CLSTM_F32) ((float *)data)[i] = (float)value;
    else ((double *)data)[i] = value;
}

/* Pseudo-random numbers, evenly from -1 to 1: the high bits of a linear congruential generator (Knuth's MMIX). */
static uint64_t random_state = 1;

static inline double random_number(void) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (double)(random_state >> 11) / (double)(1ull << 52) - 1;
}

static inline void *random_buffer(clstm_dtype dtype, ptrdiff_t count, double scale) {
    void *data = buffer((size_t)count * size_of(dtype));
    for (ptrdiff_t i = 0; i < count; i++) set(dtype, data, i, scale * random_number());
    return data;
}

static inline void *constant_buffer(clstm_dtype dtype, ptrdiff_t count, double value) {
    void *data = buffer((size_t)count * size_of(dtype));
    for (ptrdiff_t i = 0; i < count; i++) set(dtype, data, i, value);
    return data;
}

/* The greatest |a - b| / (1 + |b|); infinite where one of them is NaN. */
static inline double distance(clstm_dtype dtype, const void *a, const void *b, ptrdiff_t count) {
    double most = 0;
    for (ptrdiff_t i = 0; i < count; i++) {
        const double expected = get(dtype, b, i), error = fabs(get(dtype, a, i) - expected) / (1 + fabs(expected));
        if (!(error <= most)) most = error == error ? error : INFINITY;
    }
    return most;
}

/* Set by the gemm below when it is handed what a BLAS would refuse. */
static int gemm_refused;

#define NAIVE_GEMM(name, real)                                                                                       \
    static inline void name(char *transa, char *transb, int64_t *m, int64_t *n, int64_t *k, void *alpha, void *a_,   \
                            int64_t *lda, void *b_, int64_t *ldb, void *beta, void *c_, int64_t *ldc) {              \
        const int ta = *transa == 'T', tb = *transb == 'T';                                                          \
        const real *a = a_, *b = b_, alpha_ = *(real *)alpha, beta_ = *(real *)beta;                                 \
        real *c = c_;                                                                                                \
        if (*m < 0 || *n < 0 || *k < 0 || *lda < (ta ? *k : *m) || *ldb < (tb ? *n : *k) || *ldc < *m || *lda < 1 || \
            *ldb < 1 || *ldc < 1 || *lda > INT32_MAX || *ldb > INT32_MAX || *ldc > INT32_MAX)                        \
            __atomic_store_n(&gemm_refused, 1, __ATOMIC_RELAXED);                                                    \
        for (int64_t j = 0; j < *n; j++)                                                                             \
            for (int64_t i = 0; i < *m; i++) {                                                                       \
                real sum = 0;                                                                                        \
                for (int64_t p = 0; p < *k; p++)                                                                     \
                    sum += a[ta ? p + i * *lda : i + p * *lda] * b[tb ? j + p * *ldb : p + j * *ldb];                \
                c[i + j * *ldc] = alpha_ * sum + (beta_ == 0 ? 0 : beta_ * c[i + j * *ldc]);                         \
            }                                                                                                        \
    }
NAIVE_GEMM(naive_sgemm, float)
NAIVE_GEMM(naive_dgemm, double)

static inline clstm_runtime runtime_of(clstm_isa isa, clstm_backend backend, int threads) {
    return (clstm_runtime){.isa = isa, .backend = backend, .threads = threads, .blas = {naive_sgemm, naive_dgemm}};
}

#endif
