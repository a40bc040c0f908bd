/* What the machine can do, measured without Python in between. Compiled by limits.py, which calls it. */
#include <stddef.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

/* Seconds for one row-major C [n,n] = A B, or A B' when transposed; `gemm` is sgemm or dgemm of a Fortran BLAS, whose
   integers may have 32 or 64 bits: on a little-endian machine the address of a small 64-bit one serves both. */
typedef void gemm_function(const char *, const char *, const void *, const void *, const void *, const void *,
                           const void *, const void *, const void *, const void *, const void *, void *, const void *);

double run_gemm(gemm_function *gemm, int transposed, long long n, const void *one, const void *zero, const void *a,
                const void *b, void *c, int repeats) {
    double start = now();
    for (int r = 0; r < repeats; r++) gemm(transposed ? "T" : "N", "N", &n, &n, &n, one, b, &n, a, &n, zero, c, &n);
    return (now() - start) / repeats;
}

/* The widest vector that the processor has: one of twice its width would spill sums. */
#if defined(__AVX512F__)
typedef float vector __attribute__((vector_size(64)));
#elif defined(__AVX__)
typedef float vector __attribute__((vector_size(32)));
#else
typedef float vector __attribute__((vector_size(16)));
#endif

enum { SUMS = 8 }; /* enough to hide the latency of an addition, and no more than there are registers for */

/* Reads `bytes` from p in `streams` places at once, each its own part of the array. One stream is what hardware
   prefetching is made for; several keep more requests on their way. */
static inline __attribute__((always_inline)) vector read_once(const char *p, size_t bytes, int streams) {
    size_t part = bytes / streams, stride = SUMS / streams * sizeof(vector);
    vector sums[SUMS] = {0};
    for (size_t at = 0; at + stride <= part; at += stride)
        for (int s = 0; s < streams; s++)
            for (int k = 0; k < SUMS / streams; k++)
                sums[s * (SUMS / streams) + k] += *(const vector *)(p + s * part + at + k * sizeof(vector));
    for (int k = 1; k < SUMS; k++) sums[0] += sums[k];
    return sums[0];
}

/* Seconds for reading the array once; p is aligned to 64 bytes, and bytes is a multiple of 512. */
double run_read(const void *p, size_t bytes, int streams, int repeats, float *sink) {
    vector sum = {0};
    double start = now();
    for (int r = 0; r < repeats; r++) {
        __asm__ volatile("" ::: "memory"); /* the array could have changed: it is read again */
        sum += streams == 1   ? read_once(p, bytes, 1)
               : streams == 2 ? read_once(p, bytes, 2)
               : streams == 4 ? read_once(p, bytes, 4)
                              : read_once(p, bytes, 8);
    }
    double seconds = (now() - start) / repeats;
    *sink = sum[0];
    return seconds;
}
