/* Layer normalisation of each step by itself. Rows of the batch and their steps are rows here; gradients of gain and bias
 * are summed in blocks of rows that depend on their number alone, and blocks in order. */
#include <string.h>

#include "../ground/arena.h"
#include "../ground/threads.h"
#include "../kernels/rows.h"
#include "check.h"
#include "plan.h"

enum { MAX_BLOCKS = 64, LEAST_ROWS = 16, WORTH_THREADS = 16384 };

struct norm {
    const struct row_kernels *rows;
    ptrdiff_t features, T, count, block; /* all rows, and those of a block */
    double epsilon, *moments;
    const void *gain, *bias, *dy;
    void *y, *dgain, *dbias;
    clstm_sequence x, dx;
    double *sums; /* by block: of gain [F], of bias [F] */
};

static ptrdiff_t blocks_of(const struct norm *it) { return (it->count + it->block - 1) / it->block; }

static struct norm norm_of(clstm_dtype dtype, const clstm_batch *batch, ptrdiff_t features, clstm_sequence x) {
    const ptrdiff_t count = batch->N * batch->T, block = (count + MAX_BLOCKS - 1) / MAX_BLOCKS;
    return (struct norm){.rows = row_kernels_of(dtype),
                         .features = features,
                         .T = batch->T,
                         .count = count,
                         .block = block < LEAST_ROWS ? LEAST_ROWS : block,
                         .x = x};
}

static char *row_at(const struct norm *it, clstm_sequence s, ptrdiff_t q) {
    return (char *)s.data + (q / it->T * s.stride_n + q % it->T * s.stride_t) * (ptrdiff_t)it->rows->size;
}

static void *element(const struct norm *it, const void *array, ptrdiff_t i) {
    return (char *)array + (size_t)i * it->rows->size;
}

static void run(struct norm *it, const clstm_runtime *runtime, clstm_task *task) {
    const int alone = (double)it->count * (double)it->features < WORTH_THREADS;
    clstm_parallel(alone ? 1 : runtime->threads, blocks_of(it), task, it);
}

static clstm_status check(const clstm_batch *batch, ptrdiff_t features) {
    clstm_status status = check_batch(batch);
    if (!status) status = check_size(features);
    if (!status && batch->pieces) status = CLSTM_BAD_OPTION;
    if (!status && times(times(batch->N, batch->T), features) > CLSTM_LARGEST_SIZE) status = CLSTM_TOO_LARGE;
    return status;
}

static clstm_status check_call(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch,
                               ptrdiff_t features) {
    clstm_status status = check_runtime(runtime);
    if (!status) status = check_dtype(dtype);
    return status ? status : check(batch, features);
}

static void forward_task(void *context, ptrdiff_t block, int worker) {
    const struct norm *it = context;
    const ptrdiff_t begin = block * it->block, end = begin + it->block < it->count ? begin + it->block : it->count;
    for (ptrdiff_t q = begin; q < end; q++) {
        const void *x = row_at(it, it->x, q);
        it->rows->moments(it->features, x, it->epsilon, it->moments + 2 * q);
        it->rows->normalise(it->features, x, it->moments + 2 * q, it->gain, it->bias,
                            element(it, it->y, q * it->features));
    }
    (void)worker;
}

clstm_status clstm_layer_norm_forward(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch,
                                      ptrdiff_t features, double epsilon, clstm_sequence x, const void *gain,
                                      const void *bias, double *moments, void *y) {
    clstm_status status = check_call(runtime, dtype, batch, features);
    if (!status && !(epsilon >= 0)) status = CLSTM_BAD_OPTION;
    if (status) return status;
    struct norm it = norm_of(dtype, batch, features, x);
    it.epsilon = epsilon, it.gain = gain, it.bias = bias, it.moments = moments, it.y = y;
    run(&it, runtime, forward_task);
    return CLSTM_OK;
}

clstm_status clstm_layer_norm_size(const clstm_batch *batch, ptrdiff_t features, size_t *scratch) {
    const clstm_status status = check(batch, features);
    if (status) return status;
    const struct norm it = norm_of(CLSTM_F64, batch, features, (clstm_sequence){0});
    if (times(blocks_of(&it), 2 * features) > CLSTM_LARGEST_SIZE) return CLSTM_TOO_LARGE;
    *scratch = (size_t)(blocks_of(&it) * 2 * features) * sizeof(double) + sizeof(double);
    return CLSTM_OK;
}

static void backward_task(void *context, ptrdiff_t block, int worker) {
    const struct norm *it = context;
    const ptrdiff_t F = it->features, begin = block * it->block;
    const ptrdiff_t end = begin + it->block < it->count ? begin + it->block : it->count;
    double *sums = it->sums + block * 2 * F;
    memset(sums, 0, (size_t)(2 * F) * sizeof *sums);
    for (ptrdiff_t q = begin; q < end; q++) {
        const void *x = row_at(it, it->x, q), *dy = element(it, it->dy, q * F);
        const double *moments = it->moments + 2 * q;
        it->rows->normalise_sums(F, x, moments, dy, it->dgain ? sums : NULL, it->dbias ? sums + F : NULL);
        if (it->dx.data) it->rows->normalise_backward(F, x, moments, it->gain, dy, row_at(it, it->dx, q));
    }
    (void)worker;
}

clstm_status clstm_layer_norm_backward(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch,
                                       ptrdiff_t features, clstm_sequence x, const void *gain, const double *moments,
                                       const void *dy, clstm_sequence dx, void *dgain, void *dbias, void *scratch) {
    const clstm_status status = check_call(runtime, dtype, batch, features);
    if (status) return status;
    struct norm it = norm_of(dtype, batch, features, x);
    it.gain = gain, it.moments = (double *)moments, it.dy = dy, it.dx = dx, it.dgain = dgain, it.dbias = dbias;
    it.sums = (double *)(((uintptr_t)scratch + sizeof(double) - 1) / sizeof(double) * sizeof(double));
    run(&it, runtime, backward_task);
    for (ptrdiff_t block = 1; block < blocks_of(&it); block++)
        for (ptrdiff_t j = 0; j < 2 * features; j++) it.sums[j] += it.sums[block * 2 * features + j];
    if (dgain) it.rows->add_sums(features, it.sums, dgain);
    if (dbias) it.rows->add_sums(features, it.sums + features, dbias);
    return CLSTM_OK;
}
