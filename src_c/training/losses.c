/* Losses over a batch. A row is summed by itself and its padding never looked at; rows are summed in order within
 * blocks that depend on N alone, and blocks in order: neither threads nor padding can change a bit. */
#include <string.h>

#include "../ground/arena.h"
#include "../ground/threads.h"
#include "../sequences/check.h"
#include "../sequences/plan.h"
#include "arithmetic.h"

enum { MAX_BLOCKS = 256 };

struct loss {
    clstm_isa isa;
    const struct arithmetic *arithmetic;
    const clstm_batch *batch;
    ptrdiff_t width; /* features or classes */
    const void *prediction, *target;
    void *gradient;
    double scale;
    double (*row)(const struct loss *, ptrdiff_t n, ptrdiff_t length);
    ptrdiff_t rows; /* of a block */
    double sum[MAX_BLOCKS];
};

static ptrdiff_t valid_steps(const clstm_batch *batch) {
    ptrdiff_t steps = 0;
    for (ptrdiff_t n = 0; n < batch->N; n++) steps += length_of(batch, n);
    return steps;
}

static void loss_block(void *context, ptrdiff_t block, int worker) {
    (void)worker;
    struct loss *loss = context;
    const ptrdiff_t T = loss->batch->T, width = loss->width, begin = block * loss->rows;
    const ptrdiff_t end = begin + loss->rows < loss->batch->N ? begin + loss->rows : loss->batch->N;
    double sum = 0;
    for (ptrdiff_t n = begin; n < end; n++) {
        const ptrdiff_t length = length_of(loss->batch, n);
        sum += loss->row(loss, n, length);
        if (loss->gradient && length < T)
            memset(element(loss->arithmetic, loss->gradient, (n * T + length) * width), 0,
                   (size_t)((T - length) * width * loss->arithmetic->size));
    }
    loss->sum[block] = sum;
}

/* The mean of what loss->row sums, with `valid` terms; loss->scale is set by the caller. */
static double mean_loss(struct loss *loss, const clstm_runtime *runtime, double valid) {
    const ptrdiff_t N = loss->batch->N, elements = N * loss->batch->T * loss->width;
    loss->rows = (N + MAX_BLOCKS - 1) / MAX_BLOCKS;
    const ptrdiff_t blocks = (N + loss->rows - 1) / loss->rows;
    clstm_parallel(elements < WORTH_THREADS ? 1 : runtime->threads, blocks, loss_block, loss);
    double sum = 0;
    for (ptrdiff_t block = 0; block < blocks; block++) sum += loss->sum[block];
    return valid > 0 ? sum / valid : 0;
}

static clstm_status check_loss(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch,
                               ptrdiff_t width) {
    clstm_status status = check_runtime(runtime);
    if (!status) status = check_dtype(dtype);
    if (!status) status = check_size(width);
    if (!status) status = check_batch(batch);
    if (!status && times(times(batch->N, batch->T), width) > PTRDIFF_MAX / 8) status = CLSTM_TOO_LARGE;
    return status;
}

static double squared_error_row(const struct loss *loss, ptrdiff_t n, ptrdiff_t length) {
    const struct arithmetic *arithmetic = loss->arithmetic;
    const ptrdiff_t at = n * loss->batch->T * loss->width;
    return arithmetic->squared_error(loss->isa, length * loss->width, element(arithmetic, loss->prediction, at),
                                     element(arithmetic, loss->target, at), loss->scale,
                                     element(arithmetic, loss->gradient, at));
}

clstm_status clstm_mse(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch, ptrdiff_t features,
                       const void *prediction, const void *target, double *loss, void *gradient) {
    const clstm_status status = check_loss(runtime, dtype, batch, features);
    if (status) return status;
    const double valid = (double)valid_steps(batch) * (double)features;
    struct loss it = {
        .isa = runtime->isa,
        .arithmetic = arithmetic_of(dtype),
        .batch = batch,
        .width = features,
        .prediction = prediction,
        .target = target,
        .gradient = gradient,
        .scale = 2 / valid,
        .row = squared_error_row,
    };
    *loss = mean_loss(&it, runtime, valid);
    return CLSTM_OK;
}

static double softmax_error_row(const struct loss *loss, ptrdiff_t n, ptrdiff_t length) {
    const struct arithmetic *arithmetic = loss->arithmetic;
    const ptrdiff_t q = n * loss->batch->T;
    return arithmetic->softmax_error(
        loss->isa, length, loss->width, element(arithmetic, loss->prediction, q * loss->width),
        (const int64_t *)loss->target + q, loss->scale, element(arithmetic, loss->gradient, q * loss->width));
}

static clstm_status check_targets(const clstm_batch *batch, ptrdiff_t classes, const int64_t *target) {
    for (ptrdiff_t n = 0; n < batch->N; n++)
        for (ptrdiff_t q = n * batch->T, end = q + length_of(batch, n); q < end; q++)
            if (target[q] < 0 || target[q] >= classes) return CLSTM_BAD_INDEX;
    return CLSTM_OK;
}

clstm_status clstm_cross_entropy(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch,
                                 ptrdiff_t classes, const void *logits, const int64_t *target, double *loss,
                                 void *gradient) {
    clstm_status status = check_loss(runtime, dtype, batch, classes);
    if (!status) status = check_targets(batch, classes, target);
    if (status) return status;
    const double valid = (double)valid_steps(batch);
    struct loss it = {
        .isa = runtime->isa,
        .arithmetic = arithmetic_of(dtype),
        .batch = batch,
        .width = classes,
        .prediction = logits,
        .target = target,
        .gradient = gradient,
        .scale = 1 / valid,
        .row = softmax_error_row,
    };
    *loss = mean_loss(&it, runtime, valid);
    return CLSTM_OK;
}
