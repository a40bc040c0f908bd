/* y = x w^T + b in one precision, over the packed products of kernels/ or a BLAS. */
#include "../ground/real.h"

#include "dense.h"
#include "outer.h"

struct dense {
    const clstm_runtime *runtime;
    const struct kernels *kernels;
    ptrdiff_t in, out, T, rows; /* rows = N T */
    int threads, blas;
    clstm_sequence x, dx;
    const real *w, *b, *dy;
    real *y, *dw, *db;
    real *panels, *bias; /* packed w (backward: by columns) and b */
    struct dense_worker *worker;
    struct outer_shares shares;
    real *sums;
};

struct dense_worker {
    real **from, **to;
    real *gathered;
    struct outer_scratch outer;
};

static struct dense dense_of(const clstm_runtime *runtime, const clstm_dense *dense, const clstm_batch *batch) {
    struct dense it = {
        .runtime = runtime,
        .kernels = kernels_of(runtime->isa),
        .in = dense->in,
        .out = dense->out,
        .T = batch->T,
        .rows = batch->N * batch->T,
        .blas = runtime->backend == CLSTM_BLAS,
    };
    it.threads = it.blas ? 1 : threads_for(runtime, 2.0 * (double)it.in * (double)it.out * (double)it.rows);
    it.shares = it.blas ? (struct outer_shares){it.out, it.in + 1, it.out, it.in + 1}
                        : outer_shares_of(it.kernels, it.out, it.in + 1, it.threads);
    return it;
}

static void dense_lay_out(struct dense *it, struct arena *arena, int backward) {
    const ptrdiff_t in = padded(it->in), out = padded(it->out);
    it->panels = arena_take(arena, times(in, out), sizeof(real));
    it->bias = arena_take(arena, out, sizeof(real));
    it->sums = arena_take(arena, backward ? outer_sums(it->kernels, it->blas, it->out, it->in + 1) : 0, sizeof(real));
    it->worker = arena_take(arena, it->threads, sizeof *it->worker);
    for (int i = 0; i < it->threads; i++) {
        struct dense_worker measured, *worker = it->worker ? &it->worker[i] : &measured;
        worker->from = arena_take(arena, CHUNK, sizeof(real *));
        worker->to = arena_take(arena, CHUNK, sizeof(real *));
        worker->gathered = arena_take(arena, times(CHUNK, it->in), sizeof(real));
        if (backward) outer_lay_out(&worker->outer, arena, it->kernels, it->blas, &it->shares);
    }
}

static int dense_fits(const struct dense *it) {
    const ptrdiff_t in = padded(it->in + 1);
    return clstm_gemm_fits(OUTER_CHUNK, it->out, in, in, in, it->out);
}

clstm_status REAL_NAME(dense_sizes)(const clstm_runtime *runtime, const clstm_dense *dense, const clstm_batch *batch,
                                    clstm_dense_bytes *bytes) {
    struct dense it = dense_of(runtime, dense, batch);
    struct arena forward = {0}, backward = {0};
    dense_lay_out(&it, &forward, 0);
    dense_lay_out(&it, &backward, 1);
    int overflow = it.blas && !dense_fits(&it);
    const clstm_dense_bytes result = {arena_bytes(&forward, &overflow), arena_bytes(&backward, &overflow)};
    if (overflow) return CLSTM_TOO_LARGE;
    *bytes = result;
    return CLSTM_OK;
}

static real *sequence_row(const struct dense *it, clstm_sequence sequence, ptrdiff_t q) {
    return (real *)sequence.data + q / it->T * sequence.stride_n + q % it->T * sequence.stride_t;
}

/* The addresses of n rows from q on. */
static void find_sequence(const struct dense *it, clstm_sequence sequence, ptrdiff_t q, ptrdiff_t n, real **found) {
    const ptrdiff_t from_last_step = sequence.stride_n - (it->T - 1) * sequence.stride_t;
    real *row = sequence_row(it, sequence, q);
    for (ptrdiff_t i = 0, t = q % it->T; i < n; i++) {
        found[i] = row;
        t = t + 1 < it->T ? t + 1 : 0;
        row += t > 0 ? sequence.stride_t : from_last_step;
    }
}

static ptrdiff_t chunk_rows(const struct dense *it, ptrdiff_t q0) {
    return it->rows - q0 < CHUNK ? it->rows - q0 : CHUNK;
}

static void dense_product(const struct dense *it, const struct dense_worker *worker, ptrdiff_t rows, ptrdiff_t k,
                          ptrdiff_t columns, const real *bias) {
    const struct kernels *kernels = it->kernels;
    const ptrdiff_t panel = kernels->product_vectors * kernels->lanes;
    struct product product = {
        .rows = rows,
        .terms = 1,
        .term = {{(const real *const *)worker->from, 0, 1, k, it->panels, k * panel}},
        .bias = bias,
        .c = worker->to,
    };
    set_columns(&product, kernels, columns);
    kernels->product(&product, all_panels(product.panels));
}

static void forward_chunk(void *context, ptrdiff_t task, int index) {
    const struct dense *it = context;
    const struct dense_worker *worker = &it->worker[index];
    const ptrdiff_t q0 = task * CHUNK, n = chunk_rows(it, q0);
    find_sequence(it, it->x, q0, n, worker->from);
    for (ptrdiff_t i = 0; i < n; i++) worker->to[i] = it->y + (q0 + i) * it->out;
    dense_product(it, worker, n, it->in, it->out, it->bias);
}

static void dense_forward_blas(const struct dense *it) {
    const clstm_dtype dtype = sizeof(real) == sizeof(float) ? CLSTM_F32 : CLSTM_F64;
    real *gathered = it->worker[0].gathered;
    for (ptrdiff_t q0 = 0; q0 < it->rows; q0 += CHUNK) {
        const ptrdiff_t n = chunk_rows(it, q0);
        real *y = it->y + q0 * it->out;
        for (ptrdiff_t i = 0; i < n; i++) {
            memcpy(gathered + i * it->in, sequence_row(it, it->x, q0 + i), (size_t)it->in * sizeof(real));
            if (it->b) memcpy(y + i * it->out, it->b, (size_t)it->out * sizeof(real));
        }
        clstm_gemm_row_major(&it->runtime->blas, dtype, n, it->out, it->in,
                             (clstm_matrix){gathered, it->in, CLSTM_PLAIN},
                             (clstm_matrix){it->w, it->in, CLSTM_TRANSPOSED}, it->b ? 1 : 0, y, it->out);
    }
}

void REAL_NAME(dense_forward)(const clstm_runtime *runtime, const clstm_dense *dense, const clstm_batch *batch,
                              const void *w, const void *b, clstm_sequence x, void *y, void *scratch) {
    struct dense it = dense_of(runtime, dense, batch);
    struct arena arena = arena_over(scratch);
    dense_lay_out(&it, &arena, 0);
    it.w = w, it.b = b, it.x = x, it.y = y;
    if (it.blas) {
        dense_forward_blas(&it);
        return;
    }
    it.kernels->pack_rows(it.panels, it.w, it.in, it.out, it.in);
    if (b) it.kernels->pack_rows(it.bias, b, 1, it.out, 1);
    else it.bias = NULL;
    clstm_parallel(it.threads, (it.rows + CHUNK - 1) / CHUNK, forward_chunk, &it);
}

/* dw += dy^T x, db += sum of dy */
static void find_dense(const void *source, ptrdiff_t q0, ptrdiff_t n, real **left, real **right[OUTER_SEGMENTS]) {
    const struct dense *it = source;
    find_sequence(it, it->x, q0, n, right[0]);
    for (ptrdiff_t i = 0; i < n; i++) left[i] = (real *)it->dy + (q0 + i) * it->out; /* read only */
}

static struct outer outer_of(const struct dense *it) {
    return (struct outer){
        .kernels = it->kernels,
        .blocks = 1,
        .width = it->out,
        .segments = 1,
        .segment_width = {it->in},
        .source = it,
        .find = find_dense,
        .sums = it->sums,
        .panel = outer_panel_width(it->kernels, it->blas, it->out),
    };
}

static void add_dense(const struct dense *it) {
    const struct outer outer = outer_of(it);
    outer_add_columns(&outer, it->dw, it->in, 0);
    outer_add_ones(&outer, it->db, it->in, 0, it->out);
}

static void backward_task(void *context, ptrdiff_t task, int index) {
    struct dense *it = context;
    struct dense_worker *worker = &it->worker[index];
    const ptrdiff_t weight_tasks = outer_tasks(&it->shares);
    if (task < weight_tasks) {
        const struct outer outer = outer_of(it);
        const struct block block = outer_block(&it->shares, task);
        outer_run(&outer, &worker->outer, &block, 0, it->rows, 0);
        return;
    }
    const ptrdiff_t q0 = (task - weight_tasks) * CHUNK, n = chunk_rows(it, q0);
    find_sequence(it, it->dx, q0, n, worker->to);
    for (ptrdiff_t i = 0; i < n; i++) worker->from[i] = (real *)it->dy + (q0 + i) * it->out; /* read only */
    dense_product(it, worker, n, it->out, it->in, NULL);
}

static void dense_backward_blas(struct dense *it) {
    const clstm_dtype dtype = sizeof(real) == sizeof(float) ? CLSTM_F32 : CLSTM_F64;
    const struct outer outer = outer_of(it);
    real *gathered = it->worker[0].gathered;
    outer_blas(&outer, &it->worker[0].outer, &it->runtime->blas, it->rows);
    add_dense(it);
    for (ptrdiff_t q0 = 0; it->dx.data && q0 < it->rows; q0 += CHUNK) {
        const ptrdiff_t n = chunk_rows(it, q0);
        clstm_gemm_row_major(&it->runtime->blas, dtype, n, it->in, it->out,
                             (clstm_matrix){it->dy + q0 * it->out, it->out, CLSTM_PLAIN},
                             (clstm_matrix){it->w, it->in, CLSTM_PLAIN}, 0, gathered, it->in);
        for (ptrdiff_t i = 0; i < n; i++)
            memcpy(sequence_row(it, it->dx, q0 + i), gathered + i * it->in, (size_t)it->in * sizeof(real));
    }
}

void REAL_NAME(dense_backward)(const clstm_runtime *runtime, const clstm_dense *dense, const clstm_batch *batch,
                               const void *w, clstm_sequence x, const void *dy, clstm_sequence dx, void *dw, void *db,
                               void *scratch) {
    struct dense it = dense_of(runtime, dense, batch);
    struct arena arena = arena_over(scratch);
    dense_lay_out(&it, &arena, 1);
    it.w = w, it.x = x, it.dx = dx, it.dy = dy, it.dw = dw, it.db = db;
    if (it.blas) {
        dense_backward_blas(&it);
        return;
    }
    if (dx.data) it.kernels->pack_columns(it.panels, it.w, it.in, it.out, it.in);
    const ptrdiff_t dx_tasks = dx.data ? (it.rows + CHUNK - 1) / CHUNK : 0;
    clstm_parallel(it.threads, outer_tasks(&it.shares) + dx_tasks, backward_task, &it);
    add_dense(&it);
}
