/* Entry points of the conditional random field: checks, memory, rows in parallel. What happens in a row is in
 * crf_chain.c and crf_best.c.
 *
 * The gradients of transitions, start and end are sums over all rows. Rows are added in order within blocks that depend
 * on N and C alone, each block into arrays of its own, and then the blocks in order, so that threads cannot change a
 * bit. */
#include <string.h>

#include "../ground/threads.h"
#include "../sequences/check.h"
#include "../sequences/plan.h"
#include "arithmetic.h"
#include "crf_chain.h"

/* Blocks have C^2 sums each: as many as there may be threads, but not more memory than a batch may take anyway. */
enum { MOST_BLOCKS = 32, LEAST_BLOCKS = 4, MOST_SUMS = 1 << 22 };

/* What a block of rows adds up. */
struct block {
    double loss, *transitions, *start, *end; /* [C][width], [width] */
};

struct call {
    const clstm_crf *crf;
    const clstm_batch *batch;
    struct chain chain;
    struct chain_row *rows; /* [threads] */
    int32_t **from;         /* [threads] [T][width] */
    struct block *blocks;
    ptrdiff_t block_count, block_rows;
    const void *emissions, *weights;
    const int64_t *paths;
    double divisor;
    int pairs_wanted;
    double *row_numbers; /* [N] losses, scores or log Z */
    void *to;            /* [N,T,C] gradients or marginals */
    int64_t *best;
};

enum purpose { LOSS, BEST, MARGINALS };

static void set_blocks(struct call *call, ptrdiff_t N, ptrdiff_t C) {
    const ptrdiff_t fit = MOST_SUMS / times(C, C);
    const ptrdiff_t most = fit > MOST_BLOCKS ? MOST_BLOCKS : fit < LEAST_BLOCKS ? LEAST_BLOCKS : fit;
    call->block_rows = (N + most - 1) / most;
    call->block_count = (N + call->block_rows - 1) / call->block_rows;
}

static void lay_out_blocks(struct call *call, struct arena *arena) {
    const ptrdiff_t C = call->crf->tags, width = call->chain.width;
    set_blocks(call, call->batch->N, C);
    call->blocks = arena_take(arena, call->block_count, sizeof *call->blocks);
    for (ptrdiff_t k = 0; k < call->block_count; k++) {
        const struct block block = {
            .transitions = arena_take(arena, times(C, width), sizeof(double)),
            .start = arena_take(arena, width, sizeof(double)),
            .end = arena_take(arena, width, sizeof(double)),
        };
        if (call->blocks) call->blocks[k] = block;
    }
}

static void lay_out(struct call *call, struct arena *arena, int threads, enum purpose purpose) {
    const ptrdiff_t T = call->batch->T;
    chain_lay_out(&call->chain, arena, call->crf->tags);
    call->rows = arena_take(arena, threads, sizeof *call->rows);
    call->from = purpose == BEST ? arena_take(arena, threads, sizeof *call->from) : NULL;
    for (int k = 0; k < threads; k++) {
        struct chain_row row;
        chain_row_lay_out(&row, &call->chain, arena, T);
        if (call->rows) call->rows[k] = row;
        if (purpose != BEST) continue;
        int32_t *from = arena_take(arena, times(T, call->chain.width), sizeof *from);
        if (call->from) call->from[k] = from;
    }
    if (purpose == LOSS) lay_out_blocks(call, arena);
}

static clstm_status check(const clstm_runtime *runtime, const clstm_crf *crf, const clstm_batch *batch) {
    clstm_status status = check_runtime(runtime);
    if (!status) status = check_dtype(crf->dtype);
    if (!status) status = check_size(crf->tags);
    if (!status && crf->tags > INT32_MAX) status = CLSTM_TOO_LARGE;
    if (!status) status = batch->pieces ? CLSTM_BAD_OPTION : check_batch(batch);
    if (!status && times(times(batch->N, batch->T), crf->tags) > PTRDIFF_MAX / 8) status = CLSTM_TOO_LARGE;
    return status;
}

clstm_status clstm_crf_sizes(const clstm_runtime *runtime, const clstm_crf *crf, const clstm_batch *batch,
                             clstm_crf_bytes *bytes) {
    const clstm_status status = check(runtime, crf, batch);
    if (status) return status;
    size_t found[3];
    int overflow = 0;
    for (int purpose = LOSS; purpose <= MARGINALS; purpose++) {
        struct call call = {.crf = crf, .batch = batch};
        struct arena arena = {0};
        lay_out(&call, &arena, runtime->threads, (enum purpose)purpose);
        found[purpose] = arena_bytes(&arena, &overflow);
    }
    if (overflow) return CLSTM_TOO_LARGE;
    *bytes = (clstm_crf_bytes){.loss = found[LOSS], .best = found[BEST], .marginals = found[MARGINALS]};
    return CLSTM_OK;
}

static void run(struct call *call, const clstm_runtime *runtime, ptrdiff_t tasks, clstm_task *task) {
    const double tags = (double)call->crf->tags, steps = (double)call->batch->N * (double)call->batch->T;
    clstm_parallel(steps * tags * tags < WORTH_THREADS ? 1 : runtime->threads, tasks, task, call);
}

/* Elements of row n in an array [N,T,C]. */
static void *row_of(const struct call *call, const void *array, ptrdiff_t n) {
    const size_t size = call->crf->dtype == CLSTM_F32 ? sizeof(float) : sizeof(double);
    return array ? (char *)array + (size_t)(n * call->batch->T * call->crf->tags) * size : NULL;
}

/* Writes row->alpha, and zeros beyond the length. */
static void put_steps(const struct call *call, const struct chain_row *row, ptrdiff_t n, ptrdiff_t length) {
    const ptrdiff_t C = call->chain.C;
    void *to = row_of(call, call->to, n);
    for (ptrdiff_t t = 0; t < call->batch->T; t++)
        for (ptrdiff_t j = 0; j < C; j++)
            put_number(call->crf->dtype, to, t * C + j, t < length ? row->alpha[t * call->chain.width + j] : 0);
}

/* ---- loss ---- */

static double weight_of(const struct call *call, ptrdiff_t n) {
    return call->weights ? number_at(call->crf->dtype, call->weights, n) : 1;
}

/* The sum of the weights of rows that have a step, or of weight times steps. */
static double total_weight(const struct call *call, clstm_crf_reduction reduction) {
    double sum = 0;
    for (ptrdiff_t n = 0; n < call->batch->N; n++) {
        const ptrdiff_t length = length_of(call->batch, n);
        sum += weight_of(call, n) * (reduction == CLSTM_CRF_TOKEN_MEAN ? (double)length : length > 0);
    }
    return sum;
}

/* Backward, and less what the path has itself: row->alpha becomes the gradient of the emissions. */
static void add_gradients(const struct call *call, struct chain_row *row, const struct block *block, ptrdiff_t length,
                          const int64_t *path, double scale) {
    const struct chain *chain = &call->chain;
    const ptrdiff_t width = chain->width;
    chain_backward(chain, row, length, scale, call->pairs_wanted ? block->transitions : NULL);
    if (call->pairs_wanted) chain_add_pairs(chain, row, length);
    for (ptrdiff_t t = 0; t < length; t++) row->alpha[t * width + path[t]] -= scale;
    if (!call->pairs_wanted) return;
    for (ptrdiff_t t = 1; t < length; t++) block->transitions[path[t - 1] * width + path[t]] -= scale;
    for (ptrdiff_t j = 0; j < chain->C; j++) {
        block->start[j] += row->alpha[j];
        block->end[j] += row->alpha[(length - 1) * width + j];
    }
}

static double loss_row(const struct call *call, struct chain_row *row, const struct block *block, ptrdiff_t n) {
    const int64_t *path = call->paths + n * call->batch->T;
    const double weight = weight_of(call, n);
    const ptrdiff_t length = weight != 0 ? length_of(call->batch, n) : 0;
    double loss = 0;
    if (length > 0) {
        chain_read(&call->chain, row, call->crf->dtype, length, row_of(call, call->emissions, n));
        loss = chain_forward(&call->chain, row, length, path);
        if (call->to || call->pairs_wanted) add_gradients(call, row, block, length, path, weight / call->divisor);
    }
    if (call->to) put_steps(call, row, n, length);
    if (call->row_numbers) call->row_numbers[n] = loss;
    return length > 0 ? weight * loss : 0;
}

static void loss_task(void *context, ptrdiff_t number, int worker) {
    struct call *call = context;
    struct block *block = call->blocks + number;
    struct chain_row *row = call->rows + worker;
    const ptrdiff_t C = call->chain.C, width = call->chain.width, begin = number * call->block_rows;
    const ptrdiff_t end = begin + call->block_rows < call->batch->N ? begin + call->block_rows : call->batch->N;
    memset(row->pairs, 0, (size_t)(C * width) * sizeof(double));
    memset(block->transitions, 0, (size_t)(C * width) * sizeof(double));
    memset(block->start, 0, (size_t)width * sizeof(double));
    memset(block->end, 0, (size_t)width * sizeof(double));
    block->loss = 0;
    for (ptrdiff_t n = begin; n < end; n++) block->loss += loss_row(call, row, block, n);
    for (ptrdiff_t k = 0; call->pairs_wanted && k < C * width; k++)
        block->transitions[k] += row->pairs[k] * call->chain.factor_out_of[k];
}

/* to += the sum of all blocks; rows of `to` are C wide. */
static void add_blocks(const struct call *call, const clstm_crf_gradients *to) {
    const clstm_dtype dtype = call->crf->dtype;
    const ptrdiff_t C = call->chain.C, width = call->chain.width;
    const struct block *all = call->blocks;
    for (ptrdiff_t k = 1; k < call->block_count; k++) {
        for (ptrdiff_t i = 0; i < C * width; i++) all->transitions[i] += call->blocks[k].transitions[i];
        for (ptrdiff_t j = 0; j < C; j++) all->start[j] += call->blocks[k].start[j];
        for (ptrdiff_t j = 0; j < C; j++) all->end[j] += call->blocks[k].end[j];
    }
    for (ptrdiff_t j = 0; j < C; j++) {
        put_number(dtype, to->start, j, number_at(dtype, to->start, j) + all->start[j]);
        put_number(dtype, to->end, j, number_at(dtype, to->end, j) + all->end[j]);
        for (ptrdiff_t i = 0; i < C; i++)
            put_number(dtype, to->transitions, i * C + j,
                       number_at(dtype, to->transitions, i * C + j) + all->transitions[i * width + j]);
    }
}

static clstm_status check_paths(const clstm_crf *crf, const clstm_batch *batch, const int64_t *paths) {
    for (ptrdiff_t n = 0; n < batch->N; n++)
        for (ptrdiff_t q = n * batch->T, end = q + length_of(batch, n); q < end; q++)
            if (paths[q] < 0 || paths[q] >= crf->tags) return CLSTM_BAD_INDEX;
    return CLSTM_OK;
}

clstm_status clstm_crf_loss(const clstm_runtime *runtime, const clstm_crf *crf, const clstm_batch *batch,
                            clstm_crf_reduction reduction, const void *emissions, const int64_t *paths,
                            const void *weights, double *loss, double *weight, double *rows, void *demissions,
                            const clstm_crf_gradients *gradients, void *scratch) {
    clstm_status status = check(runtime, crf, batch);
    if (!status && ((int)reduction < 0 || reduction >= CLSTM_CRF_REDUCTION_COUNT)) status = CLSTM_BAD_OPTION;
    if (!status) status = check_paths(crf, batch, paths);
    if (status) return status;
    struct call call = {.crf = crf, .batch = batch, .emissions = emissions, .paths = paths, .weights = weights};
    struct arena arena = arena_over(scratch);
    lay_out(&call, &arena, runtime->threads, LOSS);
    chain_prepare(&call.chain, runtime->isa, crf);
    *weight = total_weight(&call, reduction);
    call.divisor = reduction == CLSTM_CRF_SUM ? 1 : *weight;
    call.pairs_wanted = gradients != NULL;
    call.row_numbers = rows;
    call.to = demissions;
    run(&call, runtime, call.block_count, loss_task);
    double sum = 0;
    for (ptrdiff_t k = 0; k < call.block_count; k++) sum += call.blocks[k].loss;
    *loss = *weight != 0 ? sum / call.divisor : 0;
    if (gradients) add_blocks(&call, gradients);
    return CLSTM_OK;
}

/* ---- best paths and marginals ---- */

static void best_task(void *context, ptrdiff_t n, int worker) {
    struct call *call = context;
    struct chain_row *row = call->rows + worker;
    const ptrdiff_t length = length_of(call->batch, n), T = call->batch->T;
    double score = 0;
    if (length > 0) {
        chain_read(&call->chain, row, call->crf->dtype, length, row_of(call, call->emissions, n));
        score = chain_best(&call->chain, row, length, call->from[worker], call->best + n * T);
    }
    for (ptrdiff_t t = length; t < T; t++) call->best[n * T + t] = -1;
    if (call->row_numbers) call->row_numbers[n] = score;
}

clstm_status clstm_crf_best(const clstm_runtime *runtime, const clstm_crf *crf, const clstm_batch *batch,
                            const void *emissions, int64_t *paths, double *scores, void *scratch) {
    const clstm_status status = check(runtime, crf, batch);
    if (status) return status;
    struct call call = {.crf = crf, .batch = batch, .emissions = emissions, .best = paths, .row_numbers = scores};
    struct arena arena = arena_over(scratch);
    lay_out(&call, &arena, runtime->threads, BEST);
    chain_prepare(&call.chain, runtime->isa, crf);
    run(&call, runtime, batch->N, best_task);
    return CLSTM_OK;
}

static void marginals_task(void *context, ptrdiff_t n, int worker) {
    struct call *call = context;
    struct chain_row *row = call->rows + worker;
    const ptrdiff_t length = length_of(call->batch, n);
    double log_z = 0;
    if (length > 0) {
        chain_read(&call->chain, row, call->crf->dtype, length, row_of(call, call->emissions, n));
        log_z = chain_forward(&call->chain, row, length, NULL);
        if (call->to) chain_backward(&call->chain, row, length, 1, NULL);
    }
    if (call->to) put_steps(call, row, n, length);
    if (call->row_numbers) call->row_numbers[n] = log_z;
}

clstm_status clstm_crf_marginals(const clstm_runtime *runtime, const clstm_crf *crf, const clstm_batch *batch,
                                 const void *emissions, void *marginals, double *log_z, void *scratch) {
    const clstm_status status = check(runtime, crf, batch);
    if (status) return status;
    struct call call = {.crf = crf, .batch = batch, .emissions = emissions, .to = marginals, .row_numbers = log_z};
    struct arena arena = arena_over(scratch);
    lay_out(&call, &arena, runtime->threads, MARGINALS);
    chain_prepare(&call.chain, runtime->isa, crf);
    run(&call, runtime, batch->N, marginals_task);
    return CLSTM_OK;
}
