/* struct arithmetic of one precision; REAL_BITS is set by the including file. */
#include <math.h>

#include "../ground/real.h"

#include "../kernels/kernels.h"
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
        .weight_decay = (real)options->weight_decay,
        .nesterov = options->nesterov != 0,
        .first = options->step == 1,
    });
}

static void adam(clstm_isa isa, ptrdiff_t n, const clstm_adam_options *options, void *w, const void *g, void *m,
                 void *v) {
    const double step = (double)options->step, decay = options->weight_decay;
    kernels_of(isa)->adam(&(struct adam_update){
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
    });
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
    .activate = activate,
};
