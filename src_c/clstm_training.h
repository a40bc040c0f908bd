/* clstm: what training needs beyond the gradients of layers: losses and optimisers. Words, memory, errors and threads as in
 * clstm.h. */
#ifndef CLSTM_TRAINING_H
#define CLSTM_TRAINING_H

#include "clstm.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- losses ---------------------------------------------------------------------------------------------------- */

/* Losses are means over all valid elements (steps beyond lengths do not count; a batch with no valid step has loss
 * 0), summed in double. gradient has the shape of prediction, overwritten, zero beyond lengths, or NULL. All
 * arrays are contiguous. */

/* mean (prediction - target)^2 over [N,T,F]. */
clstm_status clstm_mse(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch, ptrdiff_t features,
                       const void *prediction, const void *target, double *loss, void *gradient);
/* mean of -log softmax(logits)[target] over [N,T]: logits [N,T,C], target [N,T] each 0 .. C-1 within lengths (checked
 * before anything is written; beyond lengths never read). */
clstm_status clstm_cross_entropy(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch,
                                 ptrdiff_t classes, const void *logits, const int64_t *target, double *loss,
                                 void *gradient);

/* ---- optimisers, on flat buffers of n elements ------------------------------------------------------------------ */

/* sqrt(sum x^2), summed in double in fixed blocks: the same bits for every number of threads. */
clstm_status clstm_global_norm(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, const void *x,
                               double *norm);
/* x *= factor */
clstm_status clstm_scale(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, void *x, double factor);
/* x = min(max(x, -limit), limit); NaN stays NaN. limit > 0. */
clstm_status clstm_clip(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, void *x, double limit);
/* Each of `parts` arrays that follow one another in x is scaled by min(1, limit / (its norm + 1e-6)), so that no norm is
 * above the limit. stops [parts] says where each ends, none before its neighbour; the last is the size of x. limit > 0. */
clstm_status clstm_clip_norms(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t parts, const ptrdiff_t *stops,
                              void *x, double limit);

/* Optimisers, in the form of PyTorch. w and the buffers that an optimiser remembers have n elements, as g has, and change
 * in place; g stays as it is. All buffers are zeros before the first step, where nothing else is said. step counts from
 * 1. A step whose numbers do not fit is refused (CLSTM_BAD_OPTION) before anything is written.
 *
 * Stochastic gradient descent with momentum (Polyak) or Nesterov's look-ahead:
 *     g = g + weight_decay w     m = momentum m + (1 - dampening) g (m = g in the first step)
 *     w = w - learning_rate (nesterov ? g + momentum m : m)
 * momentum_buffer may be NULL when momentum is 0. */
typedef struct clstm_sgd_options {
    double learning_rate, momentum, dampening, weight_decay;
    int nesterov;
    int64_t step;
} clstm_sgd_options;
clstm_status clstm_sgd(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, const clstm_sgd_options *options,
                       void *w, const void *g, void *momentum_buffer);

/* Adam (Kingma and Ba 2015, algorithm 1, epsilon outside the root); decoupled != 0 is AdamW (Loshchilov and Hutter 2019):
 *     decoupled: w = w - learning_rate weight_decay w      otherwise: g = g + weight_decay w
 *     m = beta1 m + (1 - beta1) g     v = beta2 v + (1 - beta2) g^2
 *     w = w - learning_rate / (1 - beta1^step) m / (sqrt(v) / sqrt(1 - beta2^step) + epsilon)
 * With `largest`, which may be NULL, it is AMSGrad (Reddi, Kale and Kumar 2018):
 *     largest = max(largest, v)     and largest stands in the place of v in the last line. */
typedef struct clstm_adam_options {
    double learning_rate, beta1, beta2, epsilon, weight_decay;
    int decoupled;
    int64_t step;
} clstm_adam_options;
clstm_status clstm_adam(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, const clstm_adam_options *options,
                        void *w, const void *g, void *m, void *v, void *largest);

/* RMSprop (Tieleman and Hinton 2012; centered: Graves 2013, eq. 38 to 45):
 *     g = g + weight_decay w     v = alpha v + (1 - alpha) g^2     m = m + (1 - alpha) (g - m)
 *     d = g / (sqrt(v) + epsilon), or with `m` d = g / (sqrt(max(v - m^2, 0)) + epsilon)
 *     w = w - learning_rate d, or with `velocity` = momentum velocity + d: w = w - learning_rate velocity
 * m is NULL where it is not centered; velocity may be NULL when momentum is 0. */
typedef struct clstm_rmsprop_options {
    double learning_rate, alpha, epsilon, momentum, weight_decay;
} clstm_rmsprop_options;
clstm_status clstm_rmsprop(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n,
                           const clstm_rmsprop_options *options, void *w, const void *g, void *v, void *m,
                           void *velocity);

/* Adagrad (Duchi, Hazan and Singer 2011):
 *     g = g + weight_decay w     sum = sum + g^2
 *     w = w - learning_rate / (1 + (step - 1) learning_rate_decay) g / (sqrt(sum) + epsilon)
 * Before the first step sum may hold any numbers that are at least 0. */
typedef struct clstm_adagrad_options {
    double learning_rate, learning_rate_decay, epsilon, weight_decay;
    int64_t step;
} clstm_adagrad_options;
clstm_status clstm_adagrad(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n,
                           const clstm_adagrad_options *options, void *w, const void *g, void *sum);

/* Averaged stochastic gradient descent (Polyak and Juditsky 1992; the rates are those of Bottou 2012):
 *     rate = learning_rate / (1 + lambd learning_rate (step - 1))^alpha     share = 1 / max(1, step - 1 - t0)
 *     w = (1 - lambd rate) w - rate (g + weight_decay w)     average = average + share (w - average)
 * average may be NULL: then there is none. */
typedef struct clstm_asgd_options {
    double learning_rate, lambd, alpha, t0, weight_decay;
    int64_t step;
} clstm_asgd_options;
clstm_status clstm_asgd(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, const clstm_asgd_options *options,
                        void *w, const void *g, void *average);

#ifdef __cplusplus
}
#endif

#endif
