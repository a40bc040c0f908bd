#include <string.h>

#include "../ground/threads.h"
#include "check.h"
#include "plan.h"
#include "rowwise.h"

static clstm_status check(clstm_dtype dtype, clstm_pool mode, const clstm_batch *batch, ptrdiff_t features,
                          ptrdiff_t split) {
    if (check_dtype(dtype) != CLSTM_OK) return CLSTM_BAD_OPTION;
    if (mode != CLSTM_POOL_LAST && mode != CLSTM_POOL_MEAN && mode != CLSTM_POOL_MAX) return CLSTM_BAD_OPTION;
    if (features < 1 || split < 0 || split > features) return CLSTM_BAD_SIZE;
    if (batch->pieces && batch->pieces->time) return CLSTM_BAD_OPTION; /* steps are one stride apart */
    return check_batch(batch);
}

/* The first element of step t of sequence n. */
static char *at(const struct rowwise *rows, const clstm_batch *batch, clstm_sequence s, ptrdiff_t n, ptrdiff_t t) {
    const ptrdiff_t row = caller_row(batch->pieces, n), time = caller_time(batch->pieces, n, t);
    return (char *)s.data + (row * s.stride_n + time * s.stride_t) * (ptrdiff_t)rows->size;
}

clstm_status clstm_pool_forward(clstm_dtype dtype, clstm_pool mode, const clstm_batch *batch, ptrdiff_t features,
                                ptrdiff_t split, clstm_sequence x, void *y) {
    const clstm_status status = check(dtype, mode, batch, features, split);
    if (status != CLSTM_OK) return status;
    const struct rowwise *rows = rowwise_of(dtype);
    const size_t row = (size_t)features * rows->size, front = (size_t)split * rows->size;
    for (ptrdiff_t n = 0; n < batch->N; n++) {
        const ptrdiff_t steps = length_of(batch, n);
        char *y_n = (char *)y + (size_t)n * row;
        if (steps == 0) {
            memset(y_n, 0, row);
        } else if (mode == CLSTM_POOL_MEAN) {
            rows->mean(features, steps, at(rows, batch, x, n, 0), x.stride_t, y_n);
        } else if (mode == CLSTM_POOL_MAX) {
            rows->greatest(features, steps, at(rows, batch, x, n, 0), x.stride_t, y_n);
        } else {
            memcpy(y_n, at(rows, batch, x, n, steps - 1), front);
            memcpy(y_n + front, at(rows, batch, x, n, 0) + front, row - front);
        }
    }
    return CLSTM_OK;
}

clstm_status clstm_pool_backward(clstm_dtype dtype, clstm_pool mode, const clstm_batch *batch, ptrdiff_t features,
                                 ptrdiff_t split, clstm_sequence x, const void *dy, clstm_sequence dx) {
    const clstm_status status = check(dtype, mode, batch, features, split);
    if (status != CLSTM_OK) return status;
    const struct rowwise *rows = rowwise_of(dtype);
    const size_t row = (size_t)features * rows->size, front = (size_t)split * rows->size;
    for (ptrdiff_t n = 0; n < batch->N; n++) {
        const ptrdiff_t steps = length_of(batch, n);
        const char *dy_n = (const char *)dy + (size_t)n * row;
        for (ptrdiff_t t = 0; t < (batch->pieces ? steps : batch->T); t++) memset(at(rows, batch, dx, n, t), 0, row);
        if (steps == 0) continue;
        if (mode == CLSTM_POOL_MEAN) {
            rows->divide(features, dy_n, (double)steps, at(rows, batch, dx, n, 0));
            for (ptrdiff_t t = 1; t < steps; t++) memcpy(at(rows, batch, dx, n, t), at(rows, batch, dx, n, 0), row);
        } else if (mode == CLSTM_POOL_MAX) {
            rows->greatest_backward(features, steps, at(rows, batch, x, n, 0), x.stride_t, dy_n,
                                    at(rows, batch, dx, n, 0), dx.stride_t);
        } else {
            memcpy(at(rows, batch, dx, n, steps - 1), dy_n, front);
            memcpy(at(rows, batch, dx, n, 0) + front, dy_n + front, row - front);
        }
    }
    return CLSTM_OK;
}

/* ---- attention ---- */

/* Arguments of a call; rows of the batch are its tasks. */
struct attention {
    clstm_isa isa;
    const struct rowwise *rows;
    const clstm_batch *batch;
    ptrdiff_t features;
    const void *scores, *weights, *dy;
    void *to_weights, *y, *dscores;
    clstm_sequence x, dx;
};

static void *element(const struct attention *it, const void *array, ptrdiff_t i) {
    return (char *)array + (size_t)i * it->rows->size;
}

/* Clears what lies beyond the steps of row n in an array [N,T]. */
static void clear_beyond(const struct attention *it, void *array, ptrdiff_t n, ptrdiff_t steps) {
    const ptrdiff_t T = it->batch->T;
    memset(element(it, array, n * T + steps), 0, (size_t)(T - steps) * it->rows->size);
}

static void attention_task(void *context, ptrdiff_t n, int worker) {
    const struct attention *it = context;
    const ptrdiff_t T = it->batch->T, F = it->features, steps = length_of(it->batch, n);
    void *weights = element(it, it->to_weights, n * T), *y = element(it, it->y, n * F);
    clear_beyond(it, it->to_weights, n, steps);
    if (steps > 0) {
        it->rows->softmax(it->isa, steps, element(it, it->scores, n * T), weights);
        it->rows->weighted(F, steps, weights, at(it->rows, it->batch, it->x, n, 0), it->x.stride_t, y);
    } else {
        memset(y, 0, (size_t)F * it->rows->size);
    }
    (void)worker;
}

static void attention_backward_task(void *context, ptrdiff_t n, int worker) {
    const struct attention *it = context;
    const ptrdiff_t T = it->batch->T, F = it->features, steps = length_of(it->batch, n);
    const void *dy = element(it, it->dy, n * F);
    clear_beyond(it, it->dscores, n, steps);
    it->rows->weighted_backward(F, steps, element(it, it->weights, n * T), at(it->rows, it->batch, it->x, n, 0),
                                it->x.stride_t, dy, element(it, it->dscores, n * T));
    for (ptrdiff_t t = 0; it->dx.data && t < T; t++)
        if (t < steps)
            it->rows->multiply(F, element(it, it->weights, n * T + t), dy, at(it->rows, it->batch, it->dx, n, t));
        else memset(at(it->rows, it->batch, it->dx, n, t), 0, (size_t)F * it->rows->size);
    (void)worker;
}

static clstm_status check_attention(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch,
                                    ptrdiff_t features) {
    const clstm_status status = check_runtime(runtime);
    if (batch->pieces) return CLSTM_BAD_OPTION;
    return status ? status : check(dtype, CLSTM_POOL_MEAN, batch, features, 0);
}

/* Waking another thread costs microseconds: with fewer elements, the caller works alone. */
static void run_rows(struct attention *it, const clstm_runtime *runtime, void (*task)(void *, ptrdiff_t, int)) {
    enum { WORTH_THREADS = 65536 };
    const double elements = (double)it->batch->N * (double)it->batch->T * (double)it->features;
    clstm_parallel(elements < WORTH_THREADS ? 1 : runtime->threads, it->batch->N, task, it);
}

clstm_status clstm_attention_forward(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch,
                                     ptrdiff_t features, const void *scores, clstm_sequence x, void *weights, void *y) {
    const clstm_status status = check_attention(runtime, dtype, batch, features);
    if (status) return status;
    struct attention it = {.isa = runtime->isa,
                           .rows = rowwise_of(dtype),
                           .batch = batch,
                           .features = features,
                           .scores = scores,
                           .to_weights = weights,
                           .y = y,
                           .x = x};
    run_rows(&it, runtime, attention_task);
    return CLSTM_OK;
}

clstm_status clstm_attention_backward(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch,
                                      ptrdiff_t features, const void *weights, clstm_sequence x, const void *dy,
                                      void *dscores, clstm_sequence dx) {
    const clstm_status status = check_attention(runtime, dtype, batch, features);
    if (status) return status;
    struct attention it = {.rows = rowwise_of(dtype),
                           .batch = batch,
                           .features = features,
                           .weights = weights,
                           .dy = dy,
                           .dscores = dscores,
                           .x = x,
                           .dx = dx};
    run_rows(&it, runtime, attention_backward_task);
    return CLSTM_OK;
}
