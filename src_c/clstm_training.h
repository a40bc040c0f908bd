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

/* Stochastic gradient descent with momentum (Polyak) or Nesterov's look-ahead, in the form of PyTorch:
 *     g = g + weight_decay w     m = momentum m + g (m = g in the first step)
 *     w = w - learning_rate (nesterov ? g + momentum m : m)
 * momentum_buffer [n] may be NULL when momentum is 0. step counts from 1. */
typedef struct clstm_sgd_options {
    double learning_rate, momentum, weight_decay;
    int nesterov;
    int64_t step;
} clstm_sgd_options;
clstm_status clstm_sgd(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, const clstm_sgd_options *options,
                       void *w, const void *g, void *momentum_buffer);

/* Adam (Kingma and Ba 2015, algorithm 1, epsilon outside the root as in PyTorch); decoupled != 0 is AdamW
 * (Loshchilov and Hutter 2019):
 *     decoupled: w = w - learning_rate weight_decay w      otherwise: g = g + weight_decay w
 *     m = beta1 m + (1 - beta1) g     v = beta2 v + (1 - beta2) g^2
 *     w = w - learning_rate / (1 - beta1^step) m / (sqrt(v) / sqrt(1 - beta2^step) + epsilon)
 * step counts from 1. */
typedef struct clstm_adam_options {
    double learning_rate, beta1, beta2, epsilon, weight_decay;
    int decoupled;
    int64_t step;
} clstm_adam_options;
clstm_status clstm_adam(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, const clstm_adam_options *options,
                        void *w, const void *g, void *m, void *v);

#ifdef __cplusplus
}
#endif

#endif
