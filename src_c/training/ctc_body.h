/* struct ctc_real of one precision; REAL_BITS is set by the including file. Inner loops of a constant length become
 * vectors at any level of optimisation. */
#include "../ground/real.h"

#include "ctc.h"

enum { BLOCK = 8 };

static double greatest(ptrdiff_t n, const real *x) {
    real top[BLOCK];
    ptrdiff_t i = 0;
    for (int k = 0; k < BLOCK; k++) top[k] = x[0];
    for (; i + BLOCK <= n; i += BLOCK)
        for (int k = 0; k < BLOCK; k++) top[k] = x[i + k] > top[k] ? x[i + k] : top[k];
    for (; i < n; i++) top[0] = x[i] > top[0] ? x[i] : top[0];
    for (int k = 1; k < BLOCK; k++) top[0] = top[k] > top[0] ? top[k] : top[0];
    return (double)top[0];
}

static void shifted(ptrdiff_t n, const void *x_, double *u) {
    const real *x = x_;
    const double top = greatest(n, x);
    ptrdiff_t i = 0;
    for (; i + BLOCK <= n; i += BLOCK)
        for (int k = 0; k < BLOCK; k++) u[i + k] = (double)x[i + k] - top;
    for (; i < n; i++) u[i] = (double)x[i] - top;
}

static double shifted_one(ptrdiff_t n, const void *x, ptrdiff_t i) {
    return (double)((const real *)x)[i] - greatest(n, x);
}

static double get(const void *x, ptrdiff_t i) { return (double)((const real *)x)[i]; }

static void narrow(ptrdiff_t n, const double *x, void *y_) {
    real *y = y_;
    ptrdiff_t i = 0;
    for (; i + BLOCK <= n; i += BLOCK)
        for (int k = 0; k < BLOCK; k++) y[i + k] = (real)x[i + k];
    for (; i < n; i++) y[i] = (real)x[i];
}

static void scale_but(ptrdiff_t n, double factor_, void *y_, ptrdiff_t count, const ptrdiff_t *index,
                      const double *value) {
    real *y = y_;
    const real factor = (real)factor_;
    ptrdiff_t i = 0;
    for (; i + BLOCK <= n; i += BLOCK)
        for (int k = 0; k < BLOCK; k++) y[i + k] *= factor;
    for (; i < n; i++) y[i] *= factor;
    for (i = 0; i < count; i++) y[index[i]] = (real)value[i];
}

static void fill(ptrdiff_t n, double value, void *y_) {
    real *y = y_;
    for (ptrdiff_t i = 0; i < n; i++) y[i] = (real)value;
}

const struct ctc_real REAL_NAME(clstm_ctc) = {
    .size = sizeof(real),
    .shifted = shifted,
    .shifted_one = shifted_one,
    .get = get,
    .narrow = narrow,
    .scale_but = scale_but,
    .fill = fill,
};
