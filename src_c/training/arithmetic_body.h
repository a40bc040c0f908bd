/* struct arithmetic of one precision; REAL_BITS is set by the including file. */
#include <math.h>

#include "../ground/real.h"

#include "../kernels/kernels.h"
#include "../kernels/plain.h"
#include "arithmetic.h"

static double squared_error(clstm_isa isa, ptrdiff_t n, const void *prediction, const void *target, double scale,
                            void *gradient) {
    return kernels_of(isa)->squared_error(n, prediction, target, (real)scale, gradient);
}

static double softmax_error(clstm_isa isa, ptrdiff_t positions, ptrdiff_t classes, const void *logits,
                            const int64_t *target, double scale, void *gradient) {
    return kernels_of(isa)->softmax_error(positions, classes, logits, target, (real)scale, gradient);
}

static double sum_of_squares(clstm_isa isa, ptrdiff_t n, const void *x) {
    return kernels_of(isa)->sum_of_squares(n, x);
}

static void scale(clstm_isa isa, ptrdiff_t n, void *x, double factor) { kernels_of(isa)->scale(n, x, (real)factor); }

static void sgd(clstm_isa isa, ptrdiff_t n, const clstm_sgd_options *options, void *w, const void *g,
                void *momentum_buffer) {
    kernels_of(isa)->sgd(&(struct sgd_update){
        .n = n,
        .w = w,
        .momentum_buffer = options->momentum != 0 ? momentum_buffer : NULL,
        .g = g,
        .learning_rate = (real)options->learning_rate,
        .momentum = (real)options->momentum,
        .rest = (real)(1 - options->dampening),
        .weight_decay = (real)options->weight_decay,
        .nesterov = options->nesterov != 0,
        .first = options->step == 1,
    });
}

static void adam(clstm_isa isa, ptrdiff_t n, const clstm_adam_options *options, void *w, const void *g, void *m,
                 void *v, void *largest) {
    const double step = (double)options->step, decay = options->weight_decay;
    const struct adam_update update = {
        .n = n,
        .w = w,
        .m = m,
        .v = v,
        .g = g,
        .beta1 = (real)options->beta1,
        .rest1 = (real)(1 - options->beta1),
        .beta2 = (real)options->beta2,
        .rest2 = (real)(1 - options->beta2),
        .epsilon = (real)options->epsilon,
        .step_size = (real)(options->learning_rate / (1 - pow(options->beta1, step))),
        .root_scale = (real)(1 / sqrt(1 - pow(options->beta2, step))),
        .l2 = options->decoupled ? 0 : (real)decay,
        .decay = options->decoupled ? (real)(1 - options->learning_rate * decay) : 1,
    };
    if (largest) REAL_NAME(clstm_plain_amsgrad)(&update, largest);
    else kernels_of(isa)->adam(&update);
}

static void rmsprop(ptrdiff_t n, const clstm_rmsprop_options *options, void *w, const void *g, void *v, void *m,
                    void *velocity) {
    REAL_NAME(clstm_plain_rmsprop)
    (&(struct rmsprop_update){
        .n = n,
        .w = w,
        .v = v,
        .m = m,
        .velocity = options->momentum != 0 ? velocity : NULL,
        .g = g,
        .learning_rate = (real)options->learning_rate,
        .alpha = (real)options->alpha,
        .rest = (real)(1 - options->alpha),
        .epsilon = (real)options->epsilon,
        .momentum = (real)options->momentum,
        .l2 = (real)options->weight_decay,
    });
}

static void adagrad(ptrdiff_t n, const clstm_adagrad_options *options, void *w, const void *g, void *sum) {
    const double waned = 1 + (double)(options->step - 1) * options->learning_rate_decay;
    REAL_NAME(clstm_plain_adagrad)
    (&(struct adagrad_update){
        .n = n,
        .w = w,
        .sum = sum,
        .g = g,
        .rate = (real)(options->learning_rate / waned),
        .epsilon = (real)options->epsilon,
        .l2 = (real)options->weight_decay,
    });
}

static void asgd(ptrdiff_t n, const clstm_asgd_options *options, void *w, const void *g, void *average) {
    const double before = (double)(options->step - 1), averaged = before - options->t0;
    const double rate =
        options->learning_rate / pow(1 + options->lambd * options->learning_rate * before, options->alpha);
    REAL_NAME(clstm_plain_asgd)
    (&(struct asgd_update){
        .n = n,
        .w = w,
        .average = average,
        .g = g,
        .rate = (real)rate,
        .keep = (real)(1 - options->lambd * rate),
        .share = (real)(averaged > 1 ? 1 / averaged : 1),
        .l2 = (real)options->weight_decay,
    });
}

static void clip(ptrdiff_t n, void *x, double limit) { REAL_NAME(clstm_plain_clip)(n, x, (real)limit); }

static void load(ptrdiff_t n, const void *x_, double *to) {
    const real *x = x_;
    for (ptrdiff_t i = 0; i < n; i++) to[i] = (double)x[i];
}

static void store(ptrdiff_t n, const double *from, void *x_) {
    real *x = x_;
    for (ptrdiff_t i = 0; i < n; i++) x[i] = (real)from[i];
}

static void activate(clstm_isa isa, clstm_activation function, ptrdiff_t n, const void *x, void *y) {
    const struct kernels *kernels = kernels_of(isa);
    kernels->activate(function, n, x, y);
}

const struct arithmetic REAL_NAME(clstm_arithmetic) = {
    .size = sizeof(real),
    .squared_error = squared_error,
    .softmax_error = softmax_error,
    .sum_of_squares = sum_of_squares,
    .scale = scale,
    .sgd = sgd,
    .adam = adam,
    .rmsprop = rmsprop,
    .adagrad = adagrad,
    .asgd = asgd,
    .clip = clip,
    .load = load,
    .store = store,
    .activate = activate,
};
