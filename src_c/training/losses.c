/* The frame of all losses over a batch: which steps count, and by what weight. A row is summed by itself and its
 * padding never looked at; rows are summed in order within blocks that depend on N alone, and blocks in order: neither
 * threads nor padding can change a bit. */
#include "losses.h"

#include <string.h>

#include "../ground/threads.h"
#include "../sequences/check.h"
#include "../sequences/plan.h"

static loss_run *const runs[CLSTM_LOSS_COUNT] = {
    [CLSTM_SQUARED] = clstm_squared_run,   [CLSTM_ABSOLUTE] = clstm_absolute_run,
    [CLSTM_HUBER] = clstm_huber_run,       [CLSTM_QUANTILES] = clstm_quantiles_run,
    [CLSTM_GAUSSIAN] = clstm_gaussian_run, [CLSTM_BINARY] = clstm_binary_run,
    [CLSTM_CLASSES] = clstm_classes_run,   [CLSTM_CLASS_PROBABILITIES] = clstm_mixture_run,
};

static int64_t class_at(const struct loss *loss, ptrdiff_t q) { return ((const int64_t *)loss->target)[q]; }

static double weight_at(const struct loss *loss, ptrdiff_t n, ptrdiff_t t) {
    const clstm_loss *options = loss->options;
    if (!options->weight) return 1;
    const ptrdiff_t i = options->weight_of_steps ? n * loss->batch->T + t : n;
    return options->dtype == CLSTM_F32 ? (double)((const float *)options->weight)[i]
                                       : ((const double *)options->weight)[i];
}

/* By what the loss of a step is multiplied: 0 where the step does not count. */
static double factor_of(const struct loss *loss, ptrdiff_t n, ptrdiff_t t) {
    const clstm_loss *options = loss->options;
    const double weight = weight_at(loss, n, t);
    if (options->kind != CLSTM_CLASSES) return weight;
    const int64_t target = class_at(loss, n * loss->batch->T + t);
    if (options->has_ignored && target == options->ignored) return 0;
    return loss->by_class ? weight * options->class_weight[target] : weight;
}

/* What a step adds to the divisor. */
static double share_of(const struct loss *loss, ptrdiff_t n, ptrdiff_t t) {
    const clstm_loss *options = loss->options;
    const double factor = factor_of(loss, n, t);
    const int split = options->kind == CLSTM_CLASSES && options->class_weight && !loss->by_class;
    return split && factor != 0 ? factor * options->class_weight[class_at(loss, n * loss->batch->T + t)] : factor;
}

static double divisor_of(const struct loss *loss) {
    double sum = 0;
    for (ptrdiff_t n = 0; n < loss->batch->N; n++) {
        const ptrdiff_t length = length_of(loss->batch, n);
        if (loss->even && length > 0) sum += share_of(loss, n, 0) * (double)length;
        for (ptrdiff_t t = 0; t < length && !loss->even; t++) sum += share_of(loss, n, t);
    }
    return sum;
}

static void no_gradient(const struct loss *loss, ptrdiff_t q, ptrdiff_t steps) {
    if (loss->gradient && steps > 0)
        memset(element(loss->arithmetic, loss->gradient, q * loss->width), 0,
               (size_t)(steps * loss->width * loss->arithmetic->size));
}

static double row_sum(const struct loss *loss, ptrdiff_t n, ptrdiff_t length) {
    const ptrdiff_t q = n * loss->batch->T;
    double sum = 0;
    for (ptrdiff_t t = 0, end; t < length; t = end) {
        const double factor = factor_of(loss, n, t);
        end = loss->even ? length : t + 1;
        while (end < length && factor_of(loss, n, end) == factor) end++;
        if (factor == 0) no_gradient(loss, q + t, end - t);
        else sum += factor * loss->run(loss, q + t, end - t, factor * loss->scale);
    }
    no_gradient(loss, q + length, loss->batch->T - length);
    return sum;
}

static void loss_block(void *context, ptrdiff_t block, int worker) {
    (void)worker;
    struct loss *loss = context;
    const ptrdiff_t begin = block * loss->rows;
    const ptrdiff_t end = begin + loss->rows < loss->batch->N ? begin + loss->rows : loss->batch->N;
    double sum = 0;
    for (ptrdiff_t n = begin; n < end; n++) sum += row_sum(loss, n, length_of(loss->batch, n));
    loss->sum[block] = sum;
}

static double sum_of_rows(struct loss *loss, int threads) {
    const ptrdiff_t N = loss->batch->N, elements = N * loss->batch->T * loss->width;
    loss->rows = (N + MAX_BLOCKS - 1) / MAX_BLOCKS;
    const ptrdiff_t blocks = (N + loss->rows - 1) / loss->rows;
    clstm_parallel(elements < WORTH_THREADS ? 1 : threads, blocks, loss_block, loss);
    double sum = 0;
    for (ptrdiff_t block = 0; block < blocks; block++) sum += loss->sum[block];
    return sum;
}

static ptrdiff_t width_of(const clstm_loss *options) {
    const ptrdiff_t each = options->kind == CLSTM_QUANTILES  ? options->quantile_count
                           : options->kind == CLSTM_GAUSSIAN ? 2
                                                             : 1;
    return times(options->features, each);
}

static clstm_status check_loss(const clstm_runtime *runtime, const clstm_loss *options, const clstm_batch *batch) {
    clstm_status status = check_runtime(runtime);
    if (!status) status = check_dtype(options->dtype);
    if (!status && ((int)options->kind < 0 || options->kind >= CLSTM_LOSS_COUNT)) status = CLSTM_BAD_OPTION;
    if (!status) status = check_size(options->features);
    if (!status && options->kind == CLSTM_QUANTILES) status = check_size(options->quantile_count);
    if (!status) status = check_batch(batch);
    if (!status && times(times(batch->N, batch->T), width_of(options)) > PTRDIFF_MAX / 8) status = CLSTM_TOO_LARGE;
    return status;
}

static clstm_status check_classes(const clstm_loss *options, const clstm_batch *batch, const int64_t *target) {
    if (options->kind != CLSTM_CLASSES) return CLSTM_OK;
    for (ptrdiff_t n = 0; n < batch->N; n++)
        for (ptrdiff_t q = n * batch->T, end = q + length_of(batch, n); q < end; q++)
            if ((target[q] < 0 || target[q] >= options->features) &&
                !(options->has_ignored && target[q] == options->ignored))
                return CLSTM_BAD_INDEX;
    return CLSTM_OK;
}

clstm_status clstm_loss_compute(const clstm_runtime *runtime, const clstm_loss *options, const clstm_batch *batch,
                                const void *prediction, const void *target, double *value, double *divisor,
                                void *gradient) {
    clstm_status status = check_loss(runtime, options, batch);
    if (!status) status = check_classes(options, batch, target);
    if (status) return status;
    const int classes = options->kind == CLSTM_CLASSES, smooth = classes && options->smoothing != 0;
    struct loss loss = {
        .options = options,
        .isa = runtime->isa,
        .arithmetic = arithmetic_of(options->dtype),
        .batch = batch,
        .prediction = prediction,
        .target = target,
        .gradient = gradient,
        .width = width_of(options),
        .run = smooth ? clstm_mixture_run : runs[options->kind],
        .even = !(options->weight && options->weight_of_steps) &&
                !(classes && (options->class_weight || options->has_ignored)),
        .by_class = classes && !smooth && options->class_weight,
    };
    const ptrdiff_t terms = options->kind == CLSTM_CLASSES || options->kind == CLSTM_CLASS_PROBABILITIES ? 1
                            : options->kind == CLSTM_GAUSSIAN ? options->features
                                                              : loss.width;
    *divisor = divisor_of(&loss);
    if (*divisor == 0 && !options->sum) {
        *value = 0;
        no_gradient(&loss, 0, batch->N * batch->T);
        return CLSTM_OK;
    }
    const double count = (options->sum ? 1 : *divisor) * (double)terms;
    loss.scale = 1 / count;
    *value = sum_of_rows(&loss, runtime->threads) / count;
    return CLSTM_OK;
}
