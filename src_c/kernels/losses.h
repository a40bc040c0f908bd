/* Losses of one row of numbers, and their gradients. */
#ifndef CLSTM_LOSSES_H
#define CLSTM_LOSSES_H

#include <math.h>

#include "activations.h"
#include "sums.h"

CLSTM_INLINE void squared_error_group(struct sums *sums, const real *prediction, const real *target, real scale,
                                      real *gradient) {
    CLSTM_UNROLL for (int j = 0; j < PARTS; j++) {
        const narrow_vec p = *(const narrow_vec *)(prediction + j * D), t = *(const narrow_vec *)(target + j * D);
        const double_vec exact = in_double(p - t);
        sums->part[j] += exact * exact;
        if (gradient) *(narrow_vec *)(gradient + j * D) = (p - t) * scale;
    }
}

static double squared_error_kernel(ptrdiff_t n, const real *prediction, const real *target, real scale,
                                   real *gradient) {
    struct sums sums = {0};
    ptrdiff_t i = 0;
    for (; i + GROUP <= n; i += GROUP)
        squared_error_group(&sums, prediction + i, target + i, scale, gradient ? gradient + i : NULL);
    if (i < n) {
        real p[GROUP], t[GROUP], g[GROUP];
        copy_tail(p, prediction + i, n - i, 0);
        copy_tail(t, target + i, n - i, 0);
        squared_error_group(&sums, p, t, scale, g);
        for (ptrdiff_t j = i; gradient && j < n; j++) gradient[j] = g[j - i];
    }
    return total_of(sums);
}

CLSTM_INLINE vec larger(vec best, const real *x) {
    CLSTM_UNROLL for (int j = 0; j < GROUP; j += V) best = max_(best, load(x + j));
    return best;
}

CLSTM_INLINE real largest_lane(vec x) {
    real lanes[V];
    store(lanes, x);
    CLSTM_UNROLL for (int half = V / 2; half > 0; half /= 2) {
        CLSTM_UNROLL for (int j = 0; j < half; j++) lanes[j] = lanes[j] > lanes[j + half] ? lanes[j] : lanes[j + half];
    }
    return lanes[0];
}

/* y = exp(x - top), and its sum */
CLSTM_INLINE void exp_group(struct sums *sums, const real *x, real top, real *y) {
    CLSTM_UNROLL for (int j = 0; j < GROUP; j += V) store(y + j, exp_(load(x + j) - broadcast(top)));
    add_elements(sums, y);
}

/* With M the largest logit, e_j = exp(x_j - M) and S = sum e_j,
 *
 *     loss = log S - (x_target - M)      gradient_j = scale e_j / S - scale [j = target]
 *
 * Nothing overflows, S >= 1, and a logit of -infinity is a class of probability 0. What M becomes where there are NaNs
 * does not matter, because x - M and so the sum keep them. The gradient at the target is scale (e - S) / S in double:
 * where the model is sure, 1 - e / S in single precision would be nothing but rounding errors. */
static double softmax_error_kernel(ptrdiff_t classes, const real *logits, ptrdiff_t target, real scale,
                                   real *gradient) {
    const ptrdiff_t full = classes / GROUP * GROUP;
    real tail[GROUP], e[GROUP];
    copy_tail(tail, logits + full, classes - full, -INFINITY);
    vec best = larger(broadcast(-INFINITY), tail);
    for (ptrdiff_t i = 0; i < full; i += GROUP) best = larger(best, logits + i);
    const real top = largest_lane(best);

    struct sums sums = {0};
    for (ptrdiff_t i = 0; i < full; i += GROUP) exp_group(&sums, logits + i, top, gradient ? gradient + i : e);
    exp_group(&sums, tail, top, e);
    const double total = total_of(sums), shifted = (double)logits[target] - (double)top;
    if (gradient) {
        const real factor = (real)((double)scale / total);
        const double e_target = (double)(target < full ? gradient[target] : e[target - full]);
        for (ptrdiff_t j = 0; j < full; j++) gradient[j] *= factor;
        for (ptrdiff_t j = full; j < classes; j++) gradient[j] = factor * e[j - full];
        gradient[target] = (real)((double)scale * ((e_target - total) / total));
    }
    return log(total) - shifted;
}

#endif
