/* Attention over a memory through the public header, in exact-size buffers, against its definition. */
#include "check.h"

static double tolerance(clstm_dtype dtype) { return dtype == CLSTM_F32 ? 2e-5 : 1e-12; }

struct problem {
    clstm_attend attend;
    clstm_batch queries, memory;
    clstm_attended in;
    void *dcontext, *dweights;
};

struct results {
    void *weights, *context, *dquery, *dkeys, *dvalues, *dv;
};

/* A sequence with gaps between its steps, NaN beyond the lengths. */
static clstm_sequence sequence_of(clstm_dtype dtype, const clstm_batch *batch, ptrdiff_t F) {
    const ptrdiff_t stride_t = F + 2, stride_n = batch->T * stride_t + 1;
    const ptrdiff_t extent = (batch->N - 1) * stride_n + (batch->T - 1) * stride_t + F;
    void *data = random_buffer(dtype, extent, 1);
    for (ptrdiff_t n = 0; n < batch->N; n++)
        for (ptrdiff_t t = batch->lengths ? batch->lengths[n] : batch->T; t < batch->T; t++)
            for (ptrdiff_t j = 0; j < F; j++) set(dtype, data, n * stride_n + t * stride_t + j, NAN);
    return (clstm_sequence){data, stride_n, stride_t};
}

static double at(const struct problem *p, clstm_sequence s, ptrdiff_t n, ptrdiff_t t, ptrdiff_t j) {
    return get(p->attend.dtype, s.data, n * s.stride_n + t * s.stride_t + j);
}

static ptrdiff_t length(const clstm_batch *batch, ptrdiff_t n) { return batch->lengths ? batch->lengths[n] : batch->T; }

static struct results new_results(const struct problem *p, double start) {
    const clstm_dtype dtype = p->attend.dtype;
    const ptrdiff_t N = p->queries.N, T = p->queries.T, S = p->memory.T, K = p->attend.keys, M = p->attend.values;
    return (struct results){
        constant_buffer(dtype, N * T * S, start), constant_buffer(dtype, N * T * M, start),
        constant_buffer(dtype, N * T * K, start), constant_buffer(dtype, N * S * K, start),
        constant_buffer(dtype, N * S * M, start), constant_buffer(dtype, K, 0.5),
    };
}

static void add_to(clstm_dtype dtype, void *array, ptrdiff_t i, double value) {
    set(dtype, array, i, get(dtype, array, i) + value);
}

/* What one pair of a query and a step of the memory adds to the gradients, whose score has the gradient de. */
static void expected_pair(const struct problem *p, const struct results *out, ptrdiff_t n, ptrdiff_t t, ptrdiff_t s,
                          double a, double de) {
    const clstm_dtype dtype = p->attend.dtype;
    const ptrdiff_t T = p->queries.T, S = p->memory.T, K = p->attend.keys, M = p->attend.values;
    for (ptrdiff_t j = 0; j < M; j++) {
        add_to(dtype, out->context, (n * T + t) * M + j, a * at(p, p->in.values, n, s, j));
        add_to(dtype, out->dvalues, (n * S + s) * M + j, a * get(dtype, p->dcontext, (n * T + t) * M + j));
    }
    for (ptrdiff_t j = 0; j < K; j++) {
        const double q = at(p, p->in.query, n, t, j), k = at(p, p->in.keys, n, s, j), u = tanh(q + k);
        const double v = p->in.v ? get(dtype, p->in.v, j) : 0, g = de * v * (1 - u * u);
        add_to(dtype, out->dquery, (n * T + t) * K + j, p->in.v ? g : de * k);
        add_to(dtype, out->dkeys, (n * S + s) * K + j, p->in.v ? g : de * q);
        if (p->in.v) add_to(dtype, out->dv, j, de * u);
    }
}

static void expected_query(const struct problem *p, const struct results *out, ptrdiff_t n, ptrdiff_t t) {
    const clstm_dtype dtype = p->attend.dtype;
    const ptrdiff_t T = p->queries.T, S = length(&p->memory, n), first = (n * T + t) * p->memory.T;
    double a[128], da[128], sum = 0, mean = 0;
    for (ptrdiff_t s = 0; s < S; s++) {
        double e = 0;
        for (ptrdiff_t j = 0; j < p->attend.keys; j++) {
            const double q = at(p, p->in.query, n, t, j), k = at(p, p->in.keys, n, s, j);
            e += p->in.v ? get(dtype, p->in.v, j) * tanh(q + k) : q * k;
        }
        sum += a[s] = exp(p->attend.scale * e);
    }
    for (ptrdiff_t s = 0; s < S; s++) {
        set(dtype, out->weights, first + s, a[s] /= sum);
        da[s] = p->dweights ? get(dtype, p->dweights, first + s) : 0;
        for (ptrdiff_t j = 0; j < p->attend.values; j++)
            da[s] += get(dtype, p->dcontext, (n * T + t) * p->attend.values + j) * at(p, p->in.values, n, s, j);
        mean += a[s] * da[s];
    }
    for (ptrdiff_t s = 0; s < S; s++) expected_pair(p, out, n, t, s, a[s], p->attend.scale * a[s] * (da[s] - mean));
}

static clstm_sequence dense_rows(void *data, const clstm_batch *batch, ptrdiff_t F) {
    return (clstm_sequence){data, batch->T * F, F};
}

static struct results run(const struct problem *p, clstm_isa isa, int threads) {
    const clstm_runtime runtime = runtime_of(isa, CLSTM_NATIVE, threads);
    const struct results out = new_results(p, NAN);
    clstm_attend_bytes bytes = {0};
    CHECK(clstm_attend_sizes(&runtime, &p->attend, &p->queries, &p->memory, &bytes) == CLSTM_OK, "sizes");
    CHECK(clstm_attend_forward(&runtime, &p->attend, &p->queries, &p->memory, &p->in, out.weights, out.context,
                               buffer(bytes.forward)) == CLSTM_OK,
          "forward");
    const clstm_attend_gradients nothing = {.dv = NULL};
    const clstm_attend_gradients gradients = {dense_rows(out.dquery, &p->queries, p->attend.keys),
                                              dense_rows(out.dkeys, &p->memory, p->attend.keys),
                                              dense_rows(out.dvalues, &p->memory, p->attend.values), out.dv};
    CHECK(clstm_attend_backward(&runtime, &p->attend, &p->queries, &p->memory, &p->in, out.weights, p->dcontext,
                                p->dweights, &nothing, buffer(bytes.backward)) == CLSTM_OK,
          "backward of nothing");
    CHECK(clstm_attend_backward(&runtime, &p->attend, &p->queries, &p->memory, &p->in, out.weights, p->dcontext,
                                p->dweights, &gradients, buffer(bytes.backward)) == CLSTM_OK,
          "backward");
    return out;
}

static void compare(const struct problem *p, const struct results *found, const struct results *wanted, double limit) {
    const ptrdiff_t N = p->queries.N, T = p->queries.T, S = p->memory.T, K = p->attend.keys, M = p->attend.values;
    const void *const a[] = {found->weights, found->context, found->dquery, found->dkeys, found->dvalues, found->dv};
    const void *const b[] = {wanted->weights, wanted->context, wanted->dquery,
                             wanted->dkeys,   wanted->dvalues, wanted->dv};
    const ptrdiff_t count[] = {N * T * S, N * T * M, N * T * K, N * S * K, N * S * M, K};
    for (int i = 0; i < 6; i++) {
        const double error = distance(p->attend.dtype, a[i], b[i], count[i]);
        CHECK(error <= limit, "score %d N %d T %d S %d: result %d is off by %g", p->attend.score, (int)N, (int)T,
              (int)S, i, error);
    }
}

static void check_case(clstm_dtype dtype, clstm_score score, const ptrdiff_t size[5], int variant) {
    const ptrdiff_t N = size[0], T = size[1], S = size[2], K = size[3], M = size[4];
    ptrdiff_t *lengths = buffer((size_t)N * sizeof *lengths), *steps = buffer((size_t)N * sizeof *steps);
    for (ptrdiff_t n = 0; n < N; n++) lengths[n] = (S + n) % (S + 1), steps[n] = (T + N - n) % (T + 1);
    struct problem p = {
        .attend = {dtype, score, K, M, variant ? 0.7 : 1},
        .queries = {.N = N, .T = T, .lengths = variant ? steps : NULL},
        .memory = {.N = N, .T = S, .lengths = variant ? lengths : NULL},
        .dcontext = random_buffer(dtype, N * T * M, 1),
        .dweights = variant == 2 ? random_buffer(dtype, N * T * S, 1) : NULL,
    };
    p.in = (clstm_attended){sequence_of(dtype, &p.queries, K), sequence_of(dtype, &p.memory, K),
                            sequence_of(dtype, &p.memory, M),
                            score == CLSTM_SCORE_ADDITIVE ? random_buffer(dtype, K, 1) : NULL};
    const struct results expected = new_results(&p, 0);
    for (ptrdiff_t n = 0; n < N; n++)
        for (ptrdiff_t t = 0; t < length(&p.queries, n); t++) expected_query(&p, &expected, n, t);
    for (int isa = 0; isa < CLSTM_ISA_COUNT; isa++) {
        if (!clstm_isa_available((clstm_isa)isa)) continue;
        const struct results one = run(&p, (clstm_isa)isa, 1), two = run(&p, (clstm_isa)isa, 2);
        compare(&p, &one, &expected, tolerance(dtype) * sqrt((double)(T + S)));
        compare(&p, &two, &one, 0);
    }
    buffers_free();
}

/* One array for the gradients of keys and values gets their sum. */
static void check_shared(clstm_dtype dtype, clstm_score score) {
    enum { N = 2, T = 100, S = 7, K = 9 };
    struct problem p = {
        .attend = {dtype, score, K, K, 1},
        .queries = {.N = N, .T = T},
        .memory = {.N = N, .T = S},
        .dcontext = random_buffer(dtype, N * T * K, 1),
    };
    const clstm_sequence memory = sequence_of(dtype, &p.memory, K);
    p.in = (clstm_attended){sequence_of(dtype, &p.queries, K), memory, memory,
                            score == CLSTM_SCORE_ADDITIVE ? random_buffer(dtype, K, 1) : NULL};
    const struct results apart = run(&p, CLSTM_ISA_BASELINE, 1);
    void *sum = constant_buffer(dtype, N * S * K, NAN), *expected = constant_buffer(dtype, N * S * K, NAN);
    for (ptrdiff_t i = 0; i < N * S * K; i++)
        set(dtype, expected, i, get(dtype, apart.dkeys, i) + get(dtype, apart.dvalues, i));
    const clstm_runtime runtime = runtime_of(CLSTM_ISA_BASELINE, CLSTM_NATIVE, 1);
    const clstm_sequence both = dense_rows(sum, &p.memory, K);
    const clstm_attend_gradients gradients = {.dkeys = both, .dvalues = both};
    clstm_attend_bytes bytes = {0};
    CHECK(clstm_attend_sizes(&runtime, &p.attend, &p.queries, &p.memory, &bytes) == CLSTM_OK, "sizes");
    CHECK(clstm_attend_backward(&runtime, &p.attend, &p.queries, &p.memory, &p.in, apart.weights, p.dcontext, NULL,
                                &gradients, buffer(bytes.backward)) == CLSTM_OK,
          "backward");
    const double error = distance(dtype, sum, expected, N * S * K);
    CHECK(error <= tolerance(dtype), "score %d: the sum is off by %g", score, error);
    buffers_free();
}

static void check_statuses(void) {
    clstm_runtime runtime = runtime_of(CLSTM_ISA_BASELINE, CLSTM_NATIVE, 1);
    const clstm_attend good = {CLSTM_F32, CLSTM_SCORE_PRODUCT, 2, 3, 1};
    const clstm_batch queries = {.N = 2, .T = 3}, memory = {.N = 2, .T = 4}, other = {.N = 3, .T = 4};
    const ptrdiff_t row[2] = {0}, lengths[2] = {5, 0};
    const clstm_pieces pieces = {.rows = 1, .times = 8, .row = row, .start = row};
    const clstm_batch cut = {.N = 2, .T = 4, .pieces = &pieces}, long_one = {.N = 2, .T = 4, .lengths = lengths};
    clstm_attend_bytes bytes;
    clstm_attend bad = good;
    CHECK(clstm_attend_sizes(&runtime, &good, &queries, &memory, &bytes) == CLSTM_OK, "good");
    CHECK(clstm_attend_sizes(&runtime, &good, &queries, &other, &bytes) == CLSTM_BAD_SIZE, "N");
    CHECK(clstm_attend_sizes(&runtime, &good, &queries, &cut, &bytes) == CLSTM_BAD_OPTION, "pieces");
    CHECK(clstm_attend_sizes(&runtime, &good, &queries, &long_one, &bytes) == CLSTM_BAD_LENGTH, "lengths");
    bad.keys = 0;
    CHECK(clstm_attend_sizes(&runtime, &bad, &queries, &memory, &bytes) == CLSTM_BAD_SIZE, "keys");
    bad = good, bad.values = -1;
    CHECK(clstm_attend_forward(&runtime, &bad, &queries, &memory, NULL, NULL, NULL, NULL) == CLSTM_BAD_SIZE, "values");
    bad = good, bad.score = (clstm_score)2;
    CHECK(clstm_attend_backward(&runtime, &bad, &queries, &memory, NULL, NULL, NULL, NULL, NULL, NULL) ==
              CLSTM_BAD_OPTION,
          "score");
    bad = good, bad.scale = NAN;
    CHECK(clstm_attend_sizes(&runtime, &bad, &queries, &memory, &bytes) == CLSTM_BAD_OPTION, "scale");
    bad = good, bad.dtype = (clstm_dtype)9;
    CHECK(clstm_attend_sizes(&runtime, &bad, &queries, &memory, &bytes) == CLSTM_BAD_OPTION, "dtype");
    bad = good, bad.dtype = CLSTM_F64, bad.keys = bad.values = PTRDIFF_MAX / 1024;
    CHECK(clstm_attend_sizes(&runtime, &bad, &queries, &memory, &bytes) == CLSTM_TOO_LARGE, "a huge memory");
    runtime.threads = 0;
    CHECK(clstm_attend_sizes(&runtime, &good, &queries, &memory, &bytes) == CLSTM_BAD_SIZE, "threads");
    group("attention over a memory: statuses");
}

int main(void) {
    static const ptrdiff_t sizes[][5] = {{1, 1, 1, 1, 1}, {4, 3, 5, 17, 6}, {3, 100, 90, 5, 33}, {12, 50, 60, 90, 80}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int dtype = CLSTM_F32; dtype <= CLSTM_F64; dtype++)
            for (int score = CLSTM_SCORE_PRODUCT; score <= CLSTM_SCORE_ADDITIVE; score++)
                for (int variant = 0; variant < 3; variant++)
                    check_case((clstm_dtype)dtype, (clstm_score)score, sizes[s], variant);
    for (int dtype = CLSTM_F32; dtype <= CLSTM_F64; dtype++)
        for (int score = CLSTM_SCORE_PRODUCT; score <= CLSTM_SCORE_ADDITIVE; score++)
            check_shared((clstm_dtype)dtype, (clstm_score)score);
    group("attention over a memory");
    check_statuses();
    clstm_threads_stop();
    return finish();
}
