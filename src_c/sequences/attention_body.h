/* Attention over a memory in one precision. A row of the batch is a task: with its lengths T' of the queries and S' of
 * the memory, scores, weights and gradients are products of [T',K], [S',K], [T',M] and [S',M], over the packed products
 * of kernels/, which no other row has a part in. */
#include <string.h>

#include "../ground/real.h"

#include "../ground/threads.h"
#include "attention.h"
#include "layout.h"

enum { TANH_BLOCK = 4096 }; /* elements of tanh(q + k) that exist at a time */
enum { LINE = CACHE_LINE / sizeof(real) };

/* Element (row, column) is data[row * apart + column * step]. */
struct matrix {
    real *data;
    ptrdiff_t apart, step;
};

struct attend {
    const clstm_runtime *runtime;
    const struct kernels *kernels;
    const clstm_batch *queries, *memory;
    clstm_score score;
    ptrdiff_t T, S, K, M;
    ptrdiff_t wide; /* of ADDITIVE: padded(K), for rows of our own */
    real scale;
    int threads;
    clstm_attended in;
    real *weights, *context;
    const real *dcontext, *dweights;
    clstm_attend_gradients out;
    int shared; /* dkeys and dvalues are one array, to which dvalues come first */
    struct attend_worker *worker;
    /* of ADDITIVE */
    real *v, *v_panel; /* [wide], and packed as a column */
    double *dv;        /* [N,K] what each row adds to the gradient of v */
};

struct attend_worker {
    real *keys, *values;    /* for a row of the batch: packed, keys of ADDITIVE [S,wide] */
    real *query, *dcontext; /* packed for CHUNK queries; the query of ADDITIVE [wide] */
    real *ds;               /* [CHUNK,S] gradient of the weights, then of the scores */
    /* of ADDITIVE */
    real *u, *ds_panel;      /* [block,wide] tanh(q + k); a piece of ds packed as a column */
    real *sum_u, *sum_slope; /* [wide] over the steps of a query */
    real *dkeys;             /* [S,wide] */
};

/* Rows of keys whose tanh exist at a time. */
static ptrdiff_t block_rows(const struct attend *it) { return it->wide < TANH_BLOCK ? TANH_BLOCK / it->wide : 1; }

static struct attend attend_of(const struct attend_call *call) {
    const clstm_attend *attend = call->attend;
    struct attend it = {
        .runtime = call->runtime,
        .kernels = kernels_of(call->runtime->isa),
        .queries = call->queries,
        .memory = call->memory,
        .score = attend->score,
        .T = call->queries->T,
        .S = call->memory->T,
        .K = attend->keys,
        .M = attend->values,
        .wide = padded(attend->keys),
        .scale = (real)attend->scale,
    };
    const double pairs = (double)call->memory->N * (double)it.T * (double)it.S;
    const double each = (attend->score == CLSTM_SCORE_ADDITIVE ? 20.0 : 2.0) * (double)it.K + 2.0 * (double)it.M;
    it.threads = threads_for(it.runtime, pairs * each);
    if (it.threads > call->memory->N) it.threads = (int)call->memory->N;
    return it;
}

static void lay_out_additive(const struct attend *it, struct attend_worker *worker, struct arena *arena, int backward) {
    const ptrdiff_t block = block_rows(it), wide = it->wide;
    worker->keys = arena_take(arena, times(it->S, wide), sizeof(real));
    worker->query = arena_take(arena, wide, sizeof(real));
    worker->u = arena_take(arena, times(block, wide), sizeof(real));
    if (!backward) return;
    worker->ds_panel = arena_take(arena, times(block, padded(1)), sizeof(real));
    worker->sum_u = arena_take(arena, wide, sizeof(real));
    worker->sum_slope = arena_take(arena, wide, sizeof(real));
    worker->dkeys = arena_take(arena, times(it->S, wide), sizeof(real));
}

static void attend_lay_out(struct attend *it, struct arena *arena, int backward) {
    const int additive = it->score == CLSTM_SCORE_ADDITIVE;
    const ptrdiff_t S = padded(it->S), M = padded(it->M);
    it->v = arena_take(arena, additive ? it->wide : 0, sizeof(real));
    it->v_panel = arena_take(arena, additive ? times(it->wide, padded(1)) : 0, sizeof(real));
    it->dv = arena_take(arena, backward && additive ? times(it->memory->N, it->K) : 0, sizeof(double));
    it->worker = arena_take(arena, it->threads, sizeof *it->worker);
    for (int i = 0; i < it->threads; i++) {
        struct attend_worker measured, *worker = it->worker ? &it->worker[i] : &measured;
        if (additive) lay_out_additive(it, worker, arena, backward);
        else worker->keys = arena_take(arena, times(S, it->wide), sizeof(real));
        worker->values = arena_take(arena, times(S, M), sizeof(real));
        if (!backward) continue;
        if (!additive) worker->query = arena_take(arena, times(CHUNK, it->wide), sizeof(real));
        worker->dcontext = arena_take(arena, times(CHUNK, M), sizeof(real));
        worker->ds = arena_take(arena, times(CHUNK, it->S), sizeof(real));
    }
}

clstm_status REAL_NAME(attend_sizes)(const struct attend_call *call, clstm_attend_bytes *bytes) {
    struct attend it = attend_of(call);
    struct arena forward = {0}, backward = {0};
    attend_lay_out(&it, &forward, 0);
    attend_lay_out(&it, &backward, 1);
    int overflow = times(times(it.memory->N, it.T), it.S) > PTRDIFF_MAX / (ptrdiff_t)sizeof(real);
    const clstm_attend_bytes result = {arena_bytes(&forward, &overflow), arena_bytes(&backward, &overflow)};
    if (overflow) return CLSTM_TOO_LARGE;
    *bytes = result;
    return CLSTM_OK;
}

/* Row n of a sequence. */
static struct matrix row_of(clstm_sequence sequence, ptrdiff_t n) {
    return (struct matrix){(real *)sequence.data + n * sequence.stride_n, sequence.stride_t, 1};
}

/* Rows from `begin` on. */
static struct matrix rows_from(struct matrix matrix, ptrdiff_t begin) {
    return (struct matrix){matrix.data + begin * matrix.apart, matrix.apart, matrix.step};
}

/* C [rows,columns] = A [rows,k] B, or += it, with B in panels. */
static void multiply(const struct attend *it, struct matrix a, const real *panels, struct matrix c, ptrdiff_t rows,
                     ptrdiff_t k, ptrdiff_t columns, int accumulate) {
    const real *from[CHUNK];
    real *to[CHUNK];
    struct product product = {
        .terms = 1,
        .term = {{from, 0, a.step, k, panels, k * it->kernels->product_vectors * it->kernels->lanes}},
        .c = to,
        .accumulate = accumulate,
    };
    set_columns(&product, it->kernels, columns);
    for (ptrdiff_t row = 0; row < rows; row += CHUNK) {
        product.rows = rows - row < CHUNK ? rows - row : CHUNK;
        for (ptrdiff_t i = 0; i < product.rows; i++) {
            from[i] = a.data + (row + i) * a.apart;
            to[i] = c.data + (row + i) * c.apart;
        }
        it->kernels->product(&product, all_panels(product.panels));
    }
}

static void clear_rows(struct matrix matrix, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t width) {
    for (ptrdiff_t row = begin; matrix.data && row < end; row++)
        memset(matrix.data + row * matrix.apart, 0, (size_t)width * sizeof(real));
}

/* The greatest of n numbers and `least`; maxima that do not wait for each other, as the sums below. */
static real greatest(ptrdiff_t n, const real *x, real least) {
    real top[LINE];
    ptrdiff_t j = 0;
    for (int l = 0; l < LINE; l++) top[l] = least;
    for (; j + LINE <= n; j += LINE)
        for (int l = 0; l < LINE; l++) top[l] = x[j + l] > top[l] ? x[j + l] : top[l];
    for (; j < n; j++) top[0] = x[j] > top[0] ? x[j] : top[0];
    for (int l = 1; l < LINE; l++) top[0] = top[l] > top[0] ? top[l] : top[0];
    return top[0];
}

static double dot(ptrdiff_t n, const real *x, const real *y) {
    enum { SUMS = 8 };
    double sum[SUMS] = {0}, total = 0;
    ptrdiff_t j = 0;
    for (; j + SUMS <= n; j += SUMS)
        for (int k = 0; k < SUMS; k++) sum[k] += (double)x[j + k] * (double)y[j + k];
    for (; j < n; j++) total += (double)x[j] * (double)y[j];
    for (int k = 0; k < SUMS; k++) total += sum[k];
    return total;
}

static double sum_of(ptrdiff_t n, const real *x) {
    double sum[LINE] = {0}, total = 0;
    ptrdiff_t j = 0;
    for (; j + LINE <= n; j += LINE)
        for (int l = 0; l < LINE; l++) sum[l] += (double)x[j + l];
    for (; j < n; j++) total += (double)x[j];
    for (int l = 0; l < LINE; l++) total += sum[l];
    return total;
}

/* x = softmax(scale x), n numbers. */
static void softmax(const struct attend *it, ptrdiff_t n, real *x) {
    for (ptrdiff_t j = 0; j < n; j++) x[j] *= it->scale;
    const real top = greatest(n, x, x[0]);
    for (ptrdiff_t j = 0; j < n; j++) x[j] -= top;
    it->kernels->activate(CLSTM_EXP, n, x, x);
    const double share = 1 / sum_of(n, x);
    for (ptrdiff_t j = 0; j < n; j++) x[j] = (real)((double)x[j] * share);
}

/* ---- forward */

/* A row of K elements as one of `wide`, zeros behind it. */
static void widen(const struct attend *it, const real *row, real *to) {
    memcpy(to, row, (size_t)it->K * sizeof(real));
    memset(to + it->K, 0, (size_t)(it->wide - it->K) * sizeof(real));
}

static void widen_keys(const struct attend *it, struct matrix keys, ptrdiff_t S, real *to) {
    for (ptrdiff_t s = 0; s < S; s++) widen(it, keys.data + s * keys.apart, to + s * it->wide);
}

static void pack_v(struct attend *it) {
    if (it->score != CLSTM_SCORE_ADDITIVE) return;
    widen(it, it->in.v, it->v);
    it->kernels->pack_columns(it->v_panel, it->v, 1, it->wide, 1);
}

/* u[i] = tanh(q + k_{s+i}) for `count` rows of the keys. Loops over whole lines need no vector instructions of their own
 * to be compiled into some. */
static void tanh_of(const struct attend *it, const struct attend_worker *worker, ptrdiff_t s, ptrdiff_t count) {
    const ptrdiff_t wide = it->wide;
    const real *q = worker->query, *key = worker->keys + s * wide;
    real *u = worker->u;
    for (ptrdiff_t i = 0; i < count * wide; i += wide)
        for (ptrdiff_t j = 0; j < wide; j += LINE)
            for (int l = 0; l < LINE; l++) u[i + j + l] = q[j + l] + key[i + j + l];
    it->kernels->activate(CLSTM_TANH, count * wide, u, u);
}

/* scores[s] = v . tanh(q + k_s) */
static void additive_scores(const struct attend *it, const struct attend_worker *worker, const real *q, ptrdiff_t S,
                            real *scores) {
    const ptrdiff_t most = block_rows(it);
    widen(it, q, worker->query);
    for (ptrdiff_t s = 0; s < S; s += most) {
        const ptrdiff_t count = S - s < most ? S - s : most;
        tanh_of(it, worker, s, count);
        multiply(it, (struct matrix){worker->u, it->wide, 1}, it->v_panel, (struct matrix){scores + s, 1, 1}, count,
                 it->wide, 1, 0);
    }
}

static void attend_task(void *all, ptrdiff_t n, int index) {
    const struct attend *it = all;
    const struct attend_worker *worker = &it->worker[index];
    const ptrdiff_t S = length_of(it->memory, n), T = S > 0 ? length_of(it->queries, n) : 0;
    const struct matrix query = row_of(it->in.query, n), keys = row_of(it->in.keys, n),
                        values = row_of(it->in.values, n);
    const struct matrix weights = {it->weights + n * it->T * it->S, it->S, 1};
    const struct matrix context = {it->context + n * it->T * it->M, it->M, 1};
    clear_rows(weights, T, it->T, it->S);
    clear_rows(context, T, it->T, it->M);
    if (T == 0) return;
    if (it->score == CLSTM_SCORE_PRODUCT) {
        it->kernels->pack_rows(worker->keys, keys.data, keys.apart, S, it->K);
        multiply(it, query, worker->keys, weights, T, it->K, S, 0);
    } else {
        widen_keys(it, keys, S, worker->keys);
    }
    for (ptrdiff_t t = 0; t < T; t++) {
        real *row = weights.data + t * it->S;
        if (it->score == CLSTM_SCORE_ADDITIVE) additive_scores(it, worker, query.data + t * query.apart, S, row);
        softmax(it, S, row);
        memset(row + S, 0, (size_t)(it->S - S) * sizeof(real));
    }
    it->kernels->pack_columns(worker->values, values.data, values.apart, S, it->M);
    multiply(it, weights, worker->values, context, T, S, it->M, 0);
}

void REAL_NAME(attend_forward)(const struct attend_call *call, const clstm_attended *in, void *weights, void *context,
                               void *scratch) {
    struct attend it = attend_of(call);
    struct arena arena = arena_over(scratch);
    attend_lay_out(&it, &arena, 0);
    it.in = *in, it.weights = weights, it.context = context;
    pack_v(&it);
    clstm_parallel(it.threads, it.memory->N, attend_task, &it);
}

/* ---- backward */

/* What a task of backward works on: row n of the batch, and of it the queries [t, t + count). */
struct attend_row {
    const struct attend_worker *worker;
    ptrdiff_t n, S, t, count;
    struct matrix query, keys, values, dquery, dkeys, dvalues;
    struct matrix weights, dcontext, ds; /* from query t on */
};

/* ds = scale a (da - sum over r of a_r da_r), with da_s = dcontext . value_s + dweights_s, which stands in ds. */
static void back_through_softmax(const struct attend *it, const struct attend_row *row) {
    for (ptrdiff_t i = 0; i < row->count; i++) {
        const real *a = row->weights.data + i * it->S;
        real *ds = row->ds.data + i * it->S;
        if (it->dweights) {
            const real *more = it->dweights + ((row->n * it->T + row->t + i) * it->S);
            for (ptrdiff_t s = 0; s < row->S; s++) ds[s] += more[s];
        }
        const double mean = dot(row->S, a, ds);
        for (ptrdiff_t s = 0; s < row->S; s++)
            ds[s] = (real)((double)it->scale * (double)a[s] * ((double)ds[s] - mean));
    }
}

/* dquery = ds keys     dkeys += ds^T query */
static void product_backward(const struct attend *it, const struct attend_row *row) {
    const struct attend_worker *worker = row->worker;
    if (row->dquery.data)
        multiply(it, row->ds, worker->keys, rows_from(row->dquery, row->t), row->count, row->S, it->K, 0);
    if (row->dkeys.data) {
        const struct matrix query = rows_from(row->query, row->t), transposed = {row->ds.data, 1, it->S};
        it->kernels->pack_columns(worker->query, query.data, query.apart, row->count, it->K);
        multiply(it, transposed, worker->query, row->dkeys, row->S, row->count, it->K, row->t > 0 || it->shared);
    }
}

/* u = 1 - u^2     dkeys_s += ds_s (1 - u_s^2), for `count` rows */
static void additive_slopes(const struct attend *it, const struct attend_worker *worker, ptrdiff_t s, ptrdiff_t count,
                            const real *ds) {
    const ptrdiff_t wide = it->wide;
    for (ptrdiff_t i = 0; i < count; i++) {
        real *u = worker->u + i * wide, *dkeys = worker->dkeys + (s + i) * wide;
        for (ptrdiff_t j = 0; j < wide; j += LINE)
            for (int l = 0; l < LINE; l++) {
                u[j + l] = 1 - u[j + l] * u[j + l];
                dkeys[j + l] += ds[s + i] * u[j + l];
            }
    }
}

/* Of a query, with u_s = tanh(q + k_s): sum_u = sum over s of ds_s u_s, sum_slope = that of ds_s (1 - u_s^2). */
static void additive_query(const struct attend *it, const struct attend_worker *worker, ptrdiff_t S, const real *ds) {
    const ptrdiff_t most = block_rows(it), wide = it->wide;
    const struct matrix u = {worker->u, 1, wide}; /* transposed */
    for (ptrdiff_t s = 0; s < S; s += most) {
        const ptrdiff_t count = S - s < most ? S - s : most;
        tanh_of(it, worker, s, count);
        it->kernels->pack_columns(worker->ds_panel, ds + s, 1, count, 1);
        multiply(it, u, worker->ds_panel, (struct matrix){worker->sum_u, 1, 1}, wide, count, 1, s > 0);
        additive_slopes(it, worker, s, count, ds);
        multiply(it, u, worker->ds_panel, (struct matrix){worker->sum_slope, 1, 1}, wide, count, 1, s > 0);
    }
}

/* dq_t = v sum_s ds_ts (1 - u_ts^2)     dk_s = v sum_t ds_ts (1 - u_ts^2)     dv += sum_ts ds_ts u_ts */
static void additive_backward(const struct attend *it, const struct attend_row *row) {
    const struct attend_worker *worker = row->worker;
    double *dv = it->dv + row->n * it->K;
    memset(worker->dkeys, 0, (size_t)(row->S * it->wide) * sizeof(real));
    for (ptrdiff_t i = 0; i < row->count; i++) {
        widen(it, row->query.data + (row->t + i) * row->query.apart, worker->query);
        additive_query(it, worker, row->S, row->ds.data + i * it->S);
        real *to = row->dquery.data ? row->dquery.data + (row->t + i) * row->dquery.apart : NULL;
        for (ptrdiff_t j = 0; j < it->K; j++) dv[j] += (double)worker->sum_u[j];
        for (ptrdiff_t j = 0; to && j < it->K; j++) to[j] = it->v[j] * worker->sum_slope[j];
    }
    for (ptrdiff_t s = 0; row->dkeys.data && s < row->S; s++) {
        real *to = row->dkeys.data + s * row->dkeys.apart;
        const real *from = worker->dkeys + s * it->wide;
        for (ptrdiff_t j = 0; j < it->K; j++) to[j] = (row->t > 0 || it->shared ? to[j] : 0) + it->v[j] * from[j];
    }
}

/* The gradients that come from the queries [t, t + count) of a row. */
static void attend_chunk(const struct attend *it, struct attend_row *row) {
    const struct attend_worker *worker = row->worker;
    const ptrdiff_t first = row->n * it->T + row->t;
    row->weights = (struct matrix){it->weights + first * it->S, it->S, 1};
    row->dcontext = (struct matrix){(real *)it->dcontext + first * it->M, it->M, 1}; /* read only */
    row->ds = (struct matrix){worker->ds, it->S, 1};
    multiply(it, row->dcontext, worker->values, row->ds, row->count, it->M, row->S, 0);
    back_through_softmax(it, row);
    if (row->dvalues.data) {
        const struct matrix transposed = {row->weights.data, 1, it->S};
        it->kernels->pack_columns(worker->dcontext, row->dcontext.data, it->M, row->count, it->M);
        multiply(it, transposed, worker->dcontext, row->dvalues, row->S, row->count, it->M, row->t > 0);
    }
    (it->score == CLSTM_SCORE_PRODUCT ? product_backward : additive_backward)(it, row);
}

static void attend_backward_task(void *all, ptrdiff_t n, int index) {
    const struct attend *it = all;
    const ptrdiff_t steps = length_of(it->queries, n), valid = length_of(it->memory, n);
    const ptrdiff_t T = valid > 0 ? steps : 0, S = steps > 0 ? valid : 0;
    const int additive = it->score == CLSTM_SCORE_ADDITIVE;
    struct attend_row row = {
        .worker = &it->worker[index],
        .n = n,
        .S = S,
        .query = row_of(it->in.query, n),
        .keys = row_of(it->in.keys, n),
        .values = row_of(it->in.values, n),
    };
    if (it->out.dquery.data) row.dquery = row_of(it->out.dquery, n);
    if (it->out.dkeys.data) row.dkeys = row_of(it->out.dkeys, n);
    if (it->out.dvalues.data) row.dvalues = row_of(it->out.dvalues, n);
    clear_rows(row.dquery, T, it->T, it->K);
    clear_rows(row.dkeys, S, it->S, it->K);
    clear_rows(row.dvalues, S, it->S, it->M);
    if (additive) {
        memset(it->dv + n * it->K, 0, (size_t)it->K * sizeof(double));
        widen_keys(it, row.keys, S, row.worker->keys);
    } else {
        it->kernels->pack_columns(row.worker->keys, row.keys.data, row.keys.apart, S, it->K);
    }
    it->kernels->pack_rows(row.worker->values, row.values.data, row.values.apart, S, it->M);
    for (row.t = 0; row.t < T; row.t += CHUNK) {
        row.count = T - row.t < CHUNK ? T - row.t : CHUNK;
        attend_chunk(it, &row);
    }
}

/* Rows in their order, whoever has computed them. */
static void add_dv(const struct attend *it) {
    real *dv = it->out.dv;
    for (ptrdiff_t j = 0; dv && j < it->K; j++) {
        double sum = 0;
        for (ptrdiff_t n = 0; n < it->memory->N; n++) sum += it->dv[n * it->K + j];
        dv[j] += (real)sum;
    }
}

void REAL_NAME(attend_backward)(const struct attend_call *call, const clstm_attended *in, const void *weights,
                                const void *dcontext, const void *dweights, const clstm_attend_gradients *out,
                                void *scratch) {
    struct attend it = attend_of(call);
    struct arena arena = arena_over(scratch);
    attend_lay_out(&it, &arena, 1);
    it.in = *in, it.out = *out;
    it.shared = out->dkeys.data && out->dkeys.data == out->dvalues.data;
    it.weights = (real *)weights; /* read only */
    it.dcontext = dcontext, it.dweights = dweights;
    pack_v(&it);
    clstm_parallel(it.threads, it.memory->N, attend_backward_task, &it);
    if (it.score == CLSTM_SCORE_ADDITIVE) add_dv(&it);
}
