/* struct rowwise of one precision; REAL_BITS is set by the including file.
 *
 * Reductions over the steps take BLOCK columns at a time and go through memory row by row, with what they have found
 * so far in an array that stays in the first-level cache. The loops are simple enough for compilers to vectorise. */
#include "../ground/real.h"

#include "../kernels/kernels.h"
#include "rowwise.h"

enum { BLOCK = 64 };

static ptrdiff_t block_at(ptrdiff_t begin, ptrdiff_t n) { return n - begin < BLOCK ? n - begin : BLOCK; }

static void add(ptrdiff_t n, const void *x_, void *y_) {
    const real *x = x_;
    real *y = y_;
    for (ptrdiff_t j = 0; j < n; j++) y[j] += x[j];
}

static void divide(ptrdiff_t n, const void *x_, double divisor, void *y_) {
    const real *x = x_;
    real *y = y_;
    for (ptrdiff_t j = 0; j < n; j++) y[j] = (real)((double)x[j] / divisor);
}

static void mean(ptrdiff_t n, ptrdiff_t steps, const void *x_, ptrdiff_t stride, void *y_) {
    const real *x = x_;
    real *y = y_;
    double sum[BLOCK];
    for (ptrdiff_t begin = 0; begin < n; begin += BLOCK) {
        const ptrdiff_t count = block_at(begin, n);
        for (ptrdiff_t j = 0; j < count; j++) sum[j] = 0;
        for (ptrdiff_t t = 0; t < steps; t++)
            for (ptrdiff_t j = 0; j < count; j++) sum[j] += (double)x[t * stride + begin + j];
        for (ptrdiff_t j = 0; j < count; j++) y[begin + j] = (real)(sum[j] / (double)steps);
    }
}

/* Nothing is greater than a NaN, so that the first one stays. */
static int is_greater(real a, real b) { return a > b || (a != a && b == b); }

static void greatest(ptrdiff_t n, ptrdiff_t steps, const void *x_, ptrdiff_t stride, void *y_) {
    const real *x = x_;
    real *y = y_;
    for (ptrdiff_t j = 0; j < n; j++) y[j] = x[j];
    for (ptrdiff_t t = 1; t < steps; t++)
        for (ptrdiff_t j = 0; j < n; j++) y[j] = is_greater(x[t * stride + j], y[j]) ? x[t * stride + j] : y[j];
}

static void greatest_backward(ptrdiff_t n, ptrdiff_t steps, const void *x_, ptrdiff_t stride, const void *dy_,
                              void *dx_, ptrdiff_t dx_stride) {
    const real *x = x_, *dy = dy_;
    real *dx = dx_, best[BLOCK];
    ptrdiff_t where[BLOCK];
    for (ptrdiff_t begin = 0; begin < n; begin += BLOCK) {
        const ptrdiff_t count = block_at(begin, n);
        for (ptrdiff_t j = 0; j < count; j++) {
            best[j] = x[begin + j];
            where[j] = 0;
        }
        for (ptrdiff_t t = 1; t < steps; t++)
            for (ptrdiff_t j = 0; j < count; j++) {
                const real value = x[t * stride + begin + j];
                const int better = is_greater(value, best[j]);
                best[j] = better ? value : best[j];
                where[j] = better ? t : where[j];
            }
        for (ptrdiff_t j = 0; j < count; j++) dx[where[j] * dx_stride + begin + j] = dy[begin + j];
    }
}

static void softmax(clstm_isa isa, ptrdiff_t n, const void *x_, void *y_) {
    const real *x = x_;
    real *y = y_, top = x[0];
    double sum = 0;
    for (ptrdiff_t t = 1; t < n; t++) top = x[t] > top ? x[t] : top;
    for (ptrdiff_t t = 0; t < n; t++) y[t] = x[t] - top;
    kernels_of(isa)->activate(CLSTM_EXP, n, y, y);
    for (ptrdiff_t t = 0; t < n; t++) sum += (double)y[t];
    for (ptrdiff_t t = 0; t < n; t++) y[t] = (real)((double)y[t] / sum);
}

static void weighted(ptrdiff_t n, ptrdiff_t steps, const void *a_, const void *x_, ptrdiff_t stride, void *y_) {
    const real *a = a_, *x = x_;
    real *y = y_;
    double sum[BLOCK];
    for (ptrdiff_t begin = 0; begin < n; begin += BLOCK) {
        const ptrdiff_t count = block_at(begin, n);
        for (ptrdiff_t j = 0; j < count; j++) sum[j] = 0;
        for (ptrdiff_t t = 0; t < steps; t++)
            for (ptrdiff_t j = 0; j < count; j++) sum[j] += (double)a[t] * (double)x[t * stride + begin + j];
        for (ptrdiff_t j = 0; j < count; j++) y[begin + j] = (real)sum[j];
    }
}

/* In a few sums that do not wait for each other. */
static double dot(ptrdiff_t n, const real *x, const real *y) {
    enum { SUMS = 8 };
    double sum[SUMS] = {0}, total = 0;
    ptrdiff_t j = 0;
    for (; j + SUMS <= n; j += SUMS)
        for (int k = 0; k < SUMS; k++) sum[k] += (double)x[j + k] * (double)y[j + k];
    for (; j < n; j++) total += (double)x[j] * (double)y[j];
    for (int k = 0; k < SUMS; k++) total += sum[k];
    return total;
}

static void weighted_backward(ptrdiff_t n, ptrdiff_t steps, const void *a_, const void *x_, ptrdiff_t stride,
                              const void *dy, void *ds_) {
    const real *a = a_, *x = x_;
    real *ds = ds_;
    double mean = 0;
    for (ptrdiff_t t = 0; t < steps; t++) {
        const double da = dot(n, x + t * stride, dy);
        ds[t] = (real)da;
        mean += (double)a[t] * da;
    }
    for (ptrdiff_t t = 0; t < steps; t++) ds[t] = (real)((double)a[t] * ((double)ds[t] - mean));
}

static void multiply(ptrdiff_t n, const void *factor, const void *x_, void *y_) {
    const real a = *(const real *)factor, *x = x_;
    real *y = y_;
    for (ptrdiff_t j = 0; j < n; j++) y[j] = a * x[j];
}

const struct rowwise REAL_NAME(clstm_rowwise) = {
    .size = sizeof(real),
    .add = add,
    .divide = divide,
    .mean = mean,
    .greatest = greatest,
    .greatest_backward = greatest_backward,
    .softmax = softmax,
    .weighted = weighted,
    .weighted_backward = weighted_backward,
    .multiply = multiply,
};
