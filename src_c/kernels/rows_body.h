/* struct row_kernels of one precision; REAL_BITS is set by the including file. */
#include <math.h>

#include "../ground/real.h"

#include "rows.h"

enum { SUMS = 8 }; /* that do not wait for each other */

static double total_of(const double sum[SUMS]) {
    double total = 0;
    for (int k = 0; k < SUMS; k++) total += sum[k];
    return total;
}

static double sum_of(ptrdiff_t n, const real *x) {
    double sum[SUMS] = {0};
    ptrdiff_t j = 0;
    for (; j + SUMS <= n; j += SUMS)
        for (int k = 0; k < SUMS; k++) sum[k] += (double)x[j + k];
    for (; j < n; j++) sum[j % SUMS] += (double)x[j];
    return total_of(sum);
}

static double sum_of_squares(ptrdiff_t n, const real *x, double mean) {
    double sum[SUMS] = {0};
    ptrdiff_t j = 0;
    for (; j + SUMS <= n; j += SUMS)
        for (int k = 0; k < SUMS; k++) sum[k] += ((double)x[j + k] - mean) * ((double)x[j + k] - mean);
    for (; j < n; j++) sum[j % SUMS] += ((double)x[j] - mean) * ((double)x[j] - mean);
    return total_of(sum);
}

static void moments(ptrdiff_t n, const void *x, double epsilon, double found[2]) {
    found[0] = sum_of(n, x) / (double)n;
    found[1] = 1 / sqrt(sum_of_squares(n, x, found[0]) / (double)n + epsilon);
}

static void normalise(ptrdiff_t n, const void *x_, const double at[2], const void *gain_, const void *bias_, void *y_) {
    const real *x = x_, *gain = gain_, *bias = bias_;
    real *y = y_;
    for (ptrdiff_t j = 0; j < n; j++) y[j] = (real)(((double)x[j] - at[0]) * at[1]);
    for (ptrdiff_t j = 0; gain && j < n; j++) y[j] *= gain[j];
    for (ptrdiff_t j = 0; bias && j < n; j++) y[j] += bias[j];
}

/* Of u = gain dy, and of u v. */
static void sums_of_gradient(ptrdiff_t n, const real *x, const double at[2], const real *gain, const real *dy,
                             double *sum_u, double *sum_uv) {
    double u[SUMS] = {0}, uv[SUMS] = {0};
    ptrdiff_t j = 0;
    for (; j + SUMS <= n; j += SUMS) {
        double own[SUMS];
        for (int k = 0; k < SUMS; k++) own[k] = (double)dy[j + k];
        for (int k = 0; gain && k < SUMS; k++) own[k] *= (double)gain[j + k];
        for (int k = 0; k < SUMS; k++) u[k] += own[k], uv[k] += own[k] * ((double)x[j + k] - at[0]);
    }
    for (; j < n; j++) {
        const double own = gain ? (double)gain[j] * (double)dy[j] : (double)dy[j];
        u[j % SUMS] += own, uv[j % SUMS] += own * ((double)x[j] - at[0]);
    }
    *sum_u = total_of(u);
    *sum_uv = total_of(uv) * at[1];
}

/* With v = N(x):  dx = moments[1] (u - mean(u) - v mean(u v)) */
static void normalise_backward(ptrdiff_t n, const void *x_, const double at[2], const void *gain_, const void *dy_,
                               void *dx_) {
    const real *x = x_, *gain = gain_, *dy = dy_;
    real *dx = dx_;
    double sum_u, sum_uv;
    sums_of_gradient(n, x, at, gain, dy, &sum_u, &sum_uv);
    const double mean = sum_u / (double)n, slope = at[1] * sum_uv / (double)n;
    if (gain)
        for (ptrdiff_t j = 0; j < n; j++)
            dx[j] = (real)(at[1] * ((double)gain[j] * (double)dy[j] - mean - ((double)x[j] - at[0]) * slope));
    else
        for (ptrdiff_t j = 0; j < n; j++)
            dx[j] = (real)(at[1] * ((double)dy[j] - mean - ((double)x[j] - at[0]) * slope));
}

static void normalise_sums(ptrdiff_t n, const void *x_, const double at[2], const void *dy_, double *dgain,
                           double *dbias) {
    const real *x = x_, *dy = dy_;
    for (ptrdiff_t j = 0; dgain && j < n; j++) dgain[j] += ((double)x[j] - at[0]) * at[1] * (double)dy[j];
    for (ptrdiff_t j = 0; dbias && j < n; j++) dbias[j] += (double)dy[j];
}

static void add_sums(ptrdiff_t n, const double *sums, void *y_) {
    real *y = y_;
    for (ptrdiff_t j = 0; j < n; j++) y[j] = (real)((double)y[j] + sums[j]);
}

/* The formulas of slope_at in activations.h. */
static real slope(clstm_activation function, real y) {
    switch (function) {
    case CLSTM_SIGMOID: return y * (1 - y);
    case CLSTM_TANH: return 1 - y * y;
    case CLSTM_RELU: return y > 0;
    case CLSTM_HARD_SIGMOID: return y > 0 && y < 1 ? (real)(1.0 / 6) : 0;
    case CLSTM_HARD_SIGMOID_FIFTH: return y > 0 && y < 1 ? (real)0.2 : 0;
    case CLSTM_CENTERED_SIGMOID_2: return 1 - y * y / 4;
    case CLSTM_CENTERED_SIGMOID_1: return (1 - y * y) / 2;
    case CLSTM_EXP: return y;
    default: return 1;
    }
}

#define WITH_SLOPE(function)                                                     \
    case function:                                                               \
        for (ptrdiff_t j = 0; j < n; j++) dz[j] = dy[j] * slope(function, y[j]); \
        return;

static void activate_backward(clstm_activation function, ptrdiff_t n, const void *y_, const void *dy_, void *dz_) {
    const real *y = y_, *dy = dy_;
    real *dz = dz_;
    switch (function) { /* a loop for each, so that none has a choice in it */
        WITH_SLOPE(CLSTM_SIGMOID)
        WITH_SLOPE(CLSTM_TANH)
        WITH_SLOPE(CLSTM_RELU)
    default:
        for (ptrdiff_t j = 0; j < n; j++) dz[j] = dy[j] * slope(function, y[j]);
    }
}

const struct row_kernels REAL_NAME(clstm_rows) = {
    .size = sizeof(real),
    .moments = moments,
    .normalise = normalise,
    .normalise_backward = normalise_backward,
    .normalise_sums = normalise_sums,
    .add_sums = add_sums,
    .activate_backward = activate_backward,
};
