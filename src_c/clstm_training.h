/* clstm: what training needs beyond the gradients of layers: losses and optimisers. Words, memory, errors and threads as in
 * clstm.h. */
#ifndef CLSTM_TRAINING_H
#define CLSTM_TRAINING_H

#include "clstm.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- losses ---------------------------------------------------------------------------------------------------- */

/* What is summed over the steps of a batch, for a prediction p and a target t of F features each unless said otherwise.
 * The loss of a step is the mean over its features. */
typedef enum {
    CLSTM_SQUARED = 0, /* (p - t)^2 */
    CLSTM_ABSOLUTE,    /* |p - t|; the gradient at 0 is 0 */
    CLSTM_HUBER,       /* d = p - t: d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2) (Huber 1964) */
    /* max(tau (t - p), (tau - 1) (t - p)) for each of Q quantiles tau of each feature, prediction [F,Q] (Koenker and
     * Bassett 1978); the mean is over the quantiles too, and the gradient at 0 is 0. */
    CLSTM_QUANTILES,
    /* The negative logarithm of a normal density, (log v + (m - t)^2 / v) / 2, with log(2 pi) / 2 added if `full`:
     * prediction [2,F] the means m, then s; v = epsilon + exp(s). Nothing overflows, whatever s is. */
    CLSTM_GAUSSIAN,
    /* -(w t log sigmoid(p) + (1 - t) log(1 - sigmoid(p))), w = class_weight; t is (1 - smoothing) t + smoothing / 2. */
    CLSTM_BINARY,
    /* -sum over c of q_c log softmax(p)_c, prediction [C], C = features:
     *     CLASSES: target y one int64, q_c = class_weight_c ((1 - smoothing) [c = y] + smoothing / C)
     *     CLASS_PROBABILITIES: target t [C], q_c = class_weight_c ((1 - smoothing) t_c + smoothing / C)
     * where a logit of -infinity is a class of probability 0. */
    CLSTM_CLASSES,
    CLSTM_CLASS_PROBABILITIES,
    CLSTM_LOSS_COUNT
} clstm_loss_kind;

/* One loss; what its kind does not name is not looked at. All arrays are contiguous, and belong to the caller. */
typedef struct clstm_loss {
    clstm_loss_kind kind;
    clstm_dtype dtype; /* of predictions, targets, weights and gradients */
    ptrdiff_t features;
    int sum;            /* 0: the mean, by the weights */
    const void *weight; /* [N], or [N,T] if weight_of_steps, at least 0; NULL: 1 */
    int weight_of_steps;
    double delta;             /* above 0 */
    ptrdiff_t quantile_count; /* Q */
    const double *quantile;   /* [Q], between 0 and 1 */
    double epsilon;           /* above 0 */
    int full;
    const double *class_weight; /* BINARY: [F]; of classes: [C]; at least 0; NULL: 1 */
    double smoothing;           /* 0 to 1 */
    int has_ignored;            /* CLASSES: steps whose target is `ignored` do not count */
    int64_t ignored;
} clstm_loss;

/* With w the weight of a step and l its loss,
 *
 *     value = sum of w l / divisor (the mean), or sum of w l          divisor = sum of w
 *
 * over the valid steps, summed in double. For CLASSES the weight of the class y is a factor of w in the divisor (as it
 * is of w l unless smoothing makes it one of each term). Steps that do not count (beyond lengths, ignored, or of weight
 * 0) are not read. If the divisor is 0, so is the mean. Targets of CLASSES are checked first, all of them within
 * lengths: BAD_INDEX.
 *
 * prediction [N,T, what the kind says], target [N,T, what the kind says], gradient that of value with respect to
 * prediction, overwritten, zero where nothing counts, or NULL. */
clstm_status clstm_loss_compute(const clstm_runtime *runtime, const clstm_loss *loss, const clstm_batch *batch,
                                const void *prediction, const void *target, double *value, double *divisor,
                                void *gradient);

/* Connectionist temporal classification (Graves et al. 2006): -log of the probability that a network which says one of C
 * classes or, as one of them, a blank at each step, says the labels of a row in their order, each once or several times in
 * a row, with blanks anywhere between, and one between equal labels:
 *
 *     logits [N,T,C]     target [N,S], the first target_lengths[n] of row n: 0 .. C-1, but the blank; others never read
 *     row n: l_n = -log sum over all paths of prod over t of softmax(logits[t])[path[t]]
 *     mean: sum w_n l_n / max(1, target_lengths[n]) / sum w_n, as in PyTorch; sum: sum w_n l_n
 *
 * A row with fewer steps than labels + equal neighbours, or with probability 0, has an infinite loss and a gradient of
 * NaN, as in PyTorch; with zero_infinity both are 0. A row of weight 0 has no part in either. Sums over paths are in
 * double whatever the dtype. */
typedef struct clstm_ctc_options {
    ptrdiff_t classes, blank; /* C; 0 .. C-1 */
    int sum, zero_infinity;
} clstm_ctc_options;
/* Bytes of scratch, which grow with the threads of runtime. */
clstm_status clstm_ctc_size(const clstm_runtime *runtime, const clstm_batch *batch, const clstm_ctc_options *options,
                            ptrdiff_t S, size_t *bytes);
/* target_lengths [N] each 0 .. S, and S may be 0; weight [N] of dtype, or NULL: all 1. gradient [N,T,C] is with respect to
 * logits, overwritten, zero beyond lengths, or NULL. BAD_INDEX: a target that is no class, or the blank. */
clstm_status clstm_ctc(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch,
                       const clstm_ctc_options *options, ptrdiff_t S, const void *logits, const int64_t *target,
                       const ptrdiff_t *target_lengths, const void *weight, double *loss, void *gradient,
                       void *scratch);

/* Prefix beam search (Graves 2012; Hannun et al. 2014): the most probable labellings of each row, exactly where the beam
 * is as wide as there are prefixes. At a step, a class with a probability below `prune`, 0 .. 1, is not appended.
 *
 * `extend`, or NULL: a language model. It writes to extra [C] what is added to the logarithm of the probability of a prefix,
 * labels [length] of row `row`, when a class is appended; it is called once whenever a prefix comes into the beam, on the
 * calling thread, and may not call with the same scratch. */
typedef struct clstm_ctc_beam_options {
    ptrdiff_t classes, blank, width, best; /* the last two at least 1 */
    double prune;
    void (*extend)(void *context, ptrdiff_t row, ptrdiff_t length, const int64_t *labels, double *extra);
    void *context;
} clstm_ctc_beam_options;
clstm_status clstm_ctc_beam_size(const clstm_runtime *runtime, const clstm_batch *batch,
                                 const clstm_ctc_beam_options *options, size_t *bytes);
/* labels [N,best,T], of which the first label_lengths[n,k] are written, label_lengths [N,best], score [N,best]: the
 * logarithm of the probability of the prefixes that were kept, and what extend has added; falling. Where there are fewer
 * than `best`, the length is -1 and the score -infinity. */
clstm_status clstm_ctc_beam(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch,
                            const clstm_ctc_beam_options *options, const void *logits, int64_t *labels,
                            ptrdiff_t *label_lengths, double *score, void *scratch);

/* ---- linear-chain conditional random field ---------------------------------------------------------------------- */

/* A distribution over paths of tags (Lafferty, McCallum and Pereira 2001; over the outputs of a recurrent network, Huang
 * et al. 2015 and Lample et al. 2016). The score of a path y_0 .. y_{L-1} of a row with L steps, and its probability, are
 *
 *     s(y) = start(y_0) + sum_t emission_t(y_t) + sum_{t>0} transition(y_{t-1}, y_t) + end(y_{L-1})
 *     p(y) = exp(s(y)) / Z                                                Z = sum over all paths of exp(s)
 *
 * All in log space and in double, whatever the precision of the arrays. -infinity forbids a transition, a start or an end:
 * a path that uses one has probability 0 and the loss infinity, and a row that has no other paths the loss NaN. Cost: of
 * each step C^2 multiplications, and C exponentials and logarithms; but for sums of less than 1e-100 of what they could
 * be, which take C exponentials each. */
typedef struct clstm_crf {
    clstm_dtype dtype;
    ptrdiff_t tags;          /* C >= 1 */
    const void *transitions; /* [C,C] from the tag before, to the tag after */
    const void *start, *end; /* [C] */
} clstm_crf;

/* Their gradients, same shapes, accumulated. */
typedef struct clstm_crf_gradients {
    void *transitions, *start, *end;
} clstm_crf_gradients;

/* What the loss is divided by: the sum of the weights of all rows with a step; that of weight times steps; nothing. */
typedef enum { CLSTM_CRF_MEAN = 0, CLSTM_CRF_TOKEN_MEAN, CLSTM_CRF_SUM, CLSTM_CRF_REDUCTION_COUNT } clstm_crf_reduction;

/* Scratch of each call; depends on runtime->threads. Errors: BAD_SIZE, BAD_LENGTH, TOO_LARGE, BAD_OPTION. */
typedef struct clstm_crf_bytes {
    size_t loss, best, marginals;
} clstm_crf_bytes;
clstm_status clstm_crf_sizes(const clstm_runtime *runtime, const clstm_crf *crf, const clstm_batch *batch,
                             clstm_crf_bytes *bytes);

/* Reduced -weight log p(path), and its gradients. emissions [N,T,C]; paths [N,T], each tag 0 .. C-1 within lengths
 * (checked before anything is written; beyond lengths never read), weights [N] or NULL, all 1. A row of length 0 or weight
 * 0 adds nothing, whatever stands there.
 *     loss, weight    the divisor of a mean; with SUM, what it is with MEAN
 *     rows            [N] -log p of each row, not weighted, 0 where nothing is added; or NULL
 *     demissions      [N,T,C] overwritten, zero beyond lengths; or NULL
 *     gradients       or NULL
 * Sums over rows are made in blocks that depend on N and C alone. Errors: those of sizes, and BAD_INDEX. */
clstm_status clstm_crf_loss(const clstm_runtime *runtime, const clstm_crf *crf, const clstm_batch *batch,
                            clstm_crf_reduction reduction, const void *emissions, const int64_t *paths,
                            const void *weights, double *loss, double *weight, double *rows, void *demissions,
                            const clstm_crf_gradients *gradients, void *scratch);

/* The path of the greatest score (Viterbi 1967): paths [N,T], -1 beyond lengths, and its score [N], 0 for a row of length
 * 0; or NULL. Of equal ones, that with the lowest last tag, of these that with the lowest before it, and so on. */
clstm_status clstm_crf_best(const clstm_runtime *runtime, const clstm_crf *crf, const clstm_batch *batch,
                            const void *emissions, int64_t *paths, double *scores, void *scratch);

/* p(y_t = j) over all paths: marginals [N,T,C], zero beyond lengths; log Z [N], 0 for a row of length 0. Either may be
 * NULL. */
clstm_status clstm_crf_marginals(const clstm_runtime *runtime, const clstm_crf *crf, const clstm_batch *batch,
                                 const void *emissions, void *marginals, double *log_z, void *scratch);

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
