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

/* y = exp(x - top) of GROUP elements, and the sum of those from `first` on. */
CLSTM_INLINE void exp_group(struct sums *sums, const real *x, real top, real *y, ptrdiff_t first) {
    real counted[GROUP];
    CLSTM_UNROLL for (int j = 0; j < GROUP; j += V) store(y + j, exp_(load(x + j) - broadcast(top)));
    if (first == 0) {
        add_elements(sums, y);
        return;
    }
    for (ptrdiff_t j = 0; j < GROUP; j++) counted[j] = j < first ? 0 : y[j];
    add_elements(sums, counted);
}

/* One position with at least GROUP classes. With M the largest logit, e_j = exp(x_j - M) and S = sum e_j,
 *
 *     loss = log S - (x_target - M)      gradient_j = scale e_j / S - scale [j = target]
 *
 * of which it returns S and adds the rest to the loss. Nothing overflows, S >= 1, and a logit of -infinity is a class of
 * probability 0. What M becomes where there are NaNs does not matter, because x - M and so the sum keep them. The
 * gradient at the target is scale (e - S) / S in double: where the model is sure, 1 - e / S in single precision would be
 * nothing but rounding errors. The last classes are taken as the end of a whole group, which begins among others. */
static double softmax_position(double *loss, ptrdiff_t classes, const real *logits, ptrdiff_t target, real scale,
                               real *gradient) {
    const ptrdiff_t last = classes - GROUP;
    vec best = larger(broadcast(-INFINITY), logits + last);
    for (ptrdiff_t i = 0; i < last; i += GROUP) best = larger(best, logits + i);
    const real top = largest_lane(best);

    struct sums sums = {0};
    real e[GROUP];
    ptrdiff_t i = 0;
    for (; i < last; i += GROUP) exp_group(&sums, logits + i, top, gradient ? gradient + i : e, 0);
    exp_group(&sums, logits + last, top, gradient ? gradient + last : e, i - last);
    const double total = total_of(sums);
    *loss -= (double)logits[target] - (double)top;
    if (gradient) {
        const vec factor = broadcast((real)((double)scale / total));
        const double e_target = (double)gradient[target];
        memcpy(e, gradient + last, sizeof e);
        for (i = 0; i < last; i += V) store(gradient + i, load(gradient + i) * factor);
        CLSTM_UNROLL for (int j = 0; j < GROUP; j += V) store(gradient + last + j, load(e + j) * factor);
        gradient[target] = (real)((double)scale * ((e_target - total) / total));
    }
    return total;
}

/* The same with fewer classes: the others have probability 0. */
static double softmax_few(double *loss, ptrdiff_t classes, const real *logits, ptrdiff_t target, real scale,
                          real *gradient) {
    real all[GROUP], slopes[GROUP];
    copy_tail(all, logits, classes, -INFINITY);
    const double total = softmax_position(loss, GROUP, all, target, scale, gradient ? slopes : NULL);
    for (ptrdiff_t j = 0; gradient && j < classes; j++) gradient[j] = slopes[j];
    return total;
}

/* The logarithms of several S are that of their product. */
static double softmax_error_kernel(ptrdiff_t positions, ptrdiff_t classes, const real *logits, const int64_t *target,
                                   real scale, real *gradient) {
    double loss = 0, product = 1;
    for (ptrdiff_t q = 0; q < positions; q++, logits += classes) {
        product *= (classes < GROUP ? softmax_few : softmax_position)(&loss, classes, logits, (ptrdiff_t)target[q],
                                                                      scale, gradient);
        if (gradient) gradient += classes;
        if (product < 1e200) continue;
        loss += log(product);
        product = 1;
    }
    return loss + log(product);
}

#endif
