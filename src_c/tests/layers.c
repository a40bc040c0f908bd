/* Dense, embedding, pooling and attention through the public header, in exact-size buffers, against their definitions. */
#include "check.h"

static double tolerance(clstm_dtype dtype) { return dtype == CLSTM_F32 ? 1e-5 : 1e-13; }

/* A sequence with gaps between rows that ends with its last element. */
static clstm_sequence strided(clstm_dtype dtype, ptrdiff_t N, ptrdiff_t T, ptrdiff_t F, double scale) {
    const ptrdiff_t stride_t = F + 3, stride_n = T * stride_t + 1;
    return (clstm_sequence){random_buffer(dtype, (N - 1) * stride_n + (T - 1) * stride_t + F, scale), stride_n,
                            stride_t};
}

static double at(clstm_dtype dtype, clstm_sequence s, ptrdiff_t n, ptrdiff_t t, ptrdiff_t j) {
    return get(dtype, s.data, n * s.stride_n + t * s.stride_t + j);
}

static void set_at(clstm_dtype dtype, clstm_sequence s, ptrdiff_t n, ptrdiff_t t, ptrdiff_t j, double value) {
    set(dtype, s.data, n * s.stride_n + t * s.stride_t + j, value);
}

/* ---- dense */

struct dense_case {
    clstm_dense dense;
    clstm_batch batch;
    clstm_sequence x;
    void *w, *b, *dy;
};

struct dense_results {
    void *y, *dw, *db;
    clstm_sequence dx;
};

static struct dense_results run_dense(const clstm_runtime *runtime, const struct dense_case *in) {
    const clstm_dtype dtype = in->dense.dtype;
    const ptrdiff_t NT = in->batch.N * in->batch.T, I = in->dense.in, O = in->dense.out;
    struct dense_results out = {
        .y = constant_buffer(dtype, NT * O, NAN),
        .dw = constant_buffer(dtype, O * I, 0.5),
        .db = constant_buffer(dtype, O, 0.5),
        .dx = strided(dtype, in->batch.N, in->batch.T, I, 0),
    };
    clstm_dense_bytes bytes = {0};
    clstm_status status = clstm_dense_sizes(runtime, &in->dense, &in->batch, &bytes);
    CHECK(status == CLSTM_OK, "%s", clstm_status_message(status));
    status = clstm_dense_forward(runtime, &in->dense, &in->batch, in->w, in->b, in->x, out.y, buffer(bytes.forward));
    CHECK(status == CLSTM_OK, "%s", clstm_status_message(status));
    status = clstm_dense_backward(runtime, &in->dense, &in->batch, in->w, in->x, in->dy, out.dx, out.dw, out.db,
                                  buffer(bytes.backward));
    CHECK(status == CLSTM_OK, "%s", clstm_status_message(status));
    return out;
}

/* The definition, in double. */
static struct dense_results expected_dense(const struct dense_case *in) {
    const clstm_dtype dtype = in->dense.dtype;
    const ptrdiff_t T = in->batch.T, NT = in->batch.N * T, I = in->dense.in, O = in->dense.out;
    double *dw = constant_buffer(CLSTM_F64, O * I, 0.5), *db = constant_buffer(CLSTM_F64, O, 0.5);
    struct dense_results out = {.y = buffer((size_t)(NT * O) * size_of(dtype)),
                                .dw = buffer((size_t)(O * I) * size_of(dtype)),
                                .db = buffer((size_t)O * size_of(dtype)),
                                .dx = strided(dtype, in->batch.N, T, I, 0)};
    for (ptrdiff_t q = 0; q < NT; q++) {
        for (ptrdiff_t o = 0; o < O; o++) {
            const double dy = get(dtype, in->dy, q * O + o);
            double sum = in->b == NULL ? 0 : get(dtype, in->b, o);
            for (ptrdiff_t i = 0; i < I; i++) {
                const double x = at(dtype, in->x, q / T, q % T, i);
                sum += x * get(dtype, in->w, o * I + i);
                dw[o * I + i] += dy * x;
            }
            set(dtype, out.y, q * O + o, sum);
            db[o] += dy;
        }
        for (ptrdiff_t i = 0; i < I; i++) {
            double sum = 0;
            for (ptrdiff_t o = 0; o < O; o++) sum += get(dtype, in->dy, q * O + o) * get(dtype, in->w, o * I + i);
            set_at(dtype, out.dx, q / T, q % T, i, sum);
        }
    }
    for (ptrdiff_t i = 0; i < O * I; i++) set(dtype, out.dw, i, dw[i]);
    for (ptrdiff_t o = 0; o < O; o++) set(dtype, out.db, o, db[o]);
    return out;
}

static void compare_dense(const struct dense_case *in, const struct dense_results *out,
                          const struct dense_results *expected) {
    const clstm_dtype dtype = in->dense.dtype;
    const ptrdiff_t N = in->batch.N, T = in->batch.T, I = in->dense.in, O = in->dense.out;
    double error = distance(dtype, out->y, expected->y, N * T * O);
    CHECK(error < tolerance(dtype), "y is off by %g", error);
    error = distance(dtype, out->dw, expected->dw, O * I);
    CHECK(error < 5 * tolerance(dtype), "dw is off by %g", error);
    error = distance(dtype, out->db, expected->db, O);
    CHECK(error < 5 * tolerance(dtype), "db is off by %g", error);
    error =
        distance(dtype, out->dx.data, expected->dx.data, (N - 1) * out->dx.stride_n + (T - 1) * out->dx.stride_t + I);
    CHECK(error < tolerance(dtype), "dx is off by %g, or the gaps between its rows were written", error);
}

static void check_dense(clstm_dtype dtype, const ptrdiff_t size[4], int bias) {
    const ptrdiff_t N = size[0], T = size[1], I = size[2], O = size[3];
    struct dense_case in = {{dtype, I, O},
                            {.N = N, .T = T},
                            strided(dtype, N, T, I, 1),
                            random_buffer(dtype, O * I, 1 / sqrt((double)I)),
                            bias ? random_buffer(dtype, O, 1) : NULL,
                            random_buffer(dtype, N * T * O, 1 / sqrt((double)O))};
    const struct dense_results expected = expected_dense(&in);
    for (int isa = 0; isa < CLSTM_ISA_COUNT; isa++) {
        if (!clstm_isa_available((clstm_isa)isa)) continue;
        for (int backend = CLSTM_NATIVE; backend <= CLSTM_BLAS; backend++) {
            const clstm_runtime one = runtime_of((clstm_isa)isa, (clstm_backend)backend, 1);
            const clstm_runtime two = runtime_of((clstm_isa)isa, (clstm_backend)backend, 2);
            const struct dense_results a = run_dense(&one, &in), b = run_dense(&two, &in);
            compare_dense(&in, &a, &expected);
            CHECK(memcmp(a.y, b.y, (size_t)(N * T * O) * size_of(dtype)) == 0, "y depends on the threads");
            CHECK(memcmp(a.dw, b.dw, (size_t)(O * I) * size_of(dtype)) == 0, "dw depends on the threads");
            CHECK(memcmp(a.db, b.db, (size_t)O * size_of(dtype)) == 0, "db depends on the threads");
            int different = 0;
            for (ptrdiff_t q = 0; q < N * T * I; q++) {
                const ptrdiff_t n = q / I / T, t = q / I % T;
                different += at(dtype, a.dx, n, t, q % I) != at(dtype, b.dx, n, t, q % I);
            }
            CHECK(different == 0, "dx depends on the threads");
        }
    }
    buffers_free();
}

static void check_dense_statuses(void) {
    const clstm_runtime runtime = runtime_of(CLSTM_ISA_BASELINE, CLSTM_NATIVE, 1);
    const clstm_batch batch = {.N = 2, .T = 3}, empty = {.N = 0, .T = 3};
    const clstm_dense good = {CLSTM_F32, 2, 3}, in = {CLSTM_F32, 0, 3}, out = {CLSTM_F32, 2, -1};
    const clstm_dense type = {(clstm_dtype)5, 2, 3}, large = {CLSTM_F64, PTRDIFF_MAX / 4, PTRDIFF_MAX / 4};
    clstm_dense_bytes bytes;
    CHECK(clstm_dense_sizes(&runtime, &good, &batch, &bytes) == CLSTM_OK, "good");
    CHECK(clstm_dense_sizes(&runtime, &in, &batch, &bytes) == CLSTM_BAD_SIZE, "in = 0");
    CHECK(clstm_dense_sizes(&runtime, &out, &batch, &bytes) == CLSTM_BAD_SIZE, "out = -1");
    CHECK(clstm_dense_sizes(&runtime, &good, &empty, &bytes) == CLSTM_BAD_SIZE, "N = 0");
    CHECK(clstm_dense_sizes(&runtime, &type, &batch, &bytes) == CLSTM_BAD_OPTION, "dtype = 5");
    CHECK(clstm_dense_sizes(&runtime, &large, &batch, &bytes) == CLSTM_TOO_LARGE, "a huge layer");
    group("dense: statuses");
}

/* ---- embedding */

static void check_embedding(clstm_dtype dtype) {
    enum { NUM = 5, DIM = 7, COUNT = 6 };
    const int64_t order[COUNT] = {4, 0, 3, 3, 4, 4};
    int64_t *index = buffer(sizeof order);
    memcpy(index, order, sizeof order);
    void *w = random_buffer(dtype, NUM * DIM, 1), *y = constant_buffer(dtype, COUNT * DIM, NAN);
    void *dw = constant_buffer(dtype, NUM * DIM, 0.5), *dy = random_buffer(dtype, COUNT * DIM, 1);
    CHECK(clstm_embedding_forward(dtype, NUM, DIM, COUNT, index, w, y) == CLSTM_OK, "forward");
    CHECK(clstm_embedding_backward(dtype, NUM, DIM, COUNT, index, dy, dw) == CLSTM_OK, "backward");
    double expected[NUM * DIM];
    int wrong = 0;
    for (int i = 0; i < NUM * DIM; i++) expected[i] = 0.5;
    for (int q = 0; q < COUNT; q++)
        for (int j = 0; j < DIM; j++) {
            expected[index[q] * DIM + j] += get(dtype, dy, q * DIM + j);
            wrong += get(dtype, y, q * DIM + j) != get(dtype, w, index[q] * DIM + j);
        }
    CHECK(wrong == 0, "%d elements of y", wrong);
    for (int i = 0; i < NUM * DIM; i++) wrong += !(fabs(get(dtype, dw, i) - expected[i]) < tolerance(dtype));
    CHECK(wrong == 0, "%d elements of dw", wrong);

    const double before = get(dtype, y, 0), dw_before = get(dtype, dw, 4 * DIM);
    index[5] = NUM;
    CHECK(clstm_embedding_forward(dtype, NUM, DIM, COUNT, index, dy, y) == CLSTM_BAD_INDEX, "index too large");
    index[5] = -1;
    CHECK(clstm_embedding_backward(dtype, NUM, DIM, COUNT, index, dy, dw) == CLSTM_BAD_INDEX, "index negative");
    CHECK(get(dtype, y, 0) == before && get(dtype, dw, 4 * DIM) == dw_before, "written in spite of a bad index");
    CHECK(clstm_embedding_forward(dtype, 0, DIM, COUNT, index, w, y) == CLSTM_BAD_SIZE, "num");
    CHECK(clstm_embedding_forward(dtype, NUM, 0, COUNT, index, w, y) == CLSTM_BAD_SIZE, "dim");
    CHECK(clstm_embedding_forward(dtype, NUM, DIM, -1, index, w, y) == CLSTM_BAD_SIZE, "count");
    CHECK(clstm_embedding_forward((clstm_dtype)2, NUM, DIM, COUNT, index, w, y) == CLSTM_BAD_OPTION, "dtype");
    CHECK(clstm_embedding_forward(dtype, NUM, DIM, 0, NULL, w, NULL) == CLSTM_OK, "nothing to do");
    buffers_free();
}

/* ---- pool */

/* The step whose gradient MAX takes: the first NaN, else the first greatest. */
static ptrdiff_t greatest_step(clstm_dtype dtype, clstm_sequence x, ptrdiff_t n, ptrdiff_t steps, ptrdiff_t j) {
    ptrdiff_t best = 0;
    for (ptrdiff_t t = 0; t < steps; t++) {
        if (isnan(at(dtype, x, n, t, j))) return t;
        if (at(dtype, x, n, t, j) > at(dtype, x, n, best, j)) best = t;
    }
    return best;
}

/* d y[n,j] / d x[n,t,j] */
static double pool_weight(clstm_dtype dtype, clstm_pool mode, clstm_sequence x, ptrdiff_t n, ptrdiff_t steps,
                          ptrdiff_t t, ptrdiff_t j, ptrdiff_t split) {
    if (t >= steps) return 0;
    if (mode == CLSTM_POOL_MEAN) return 1 / (double)steps;
    if (mode == CLSTM_POOL_MAX) return t == greatest_step(dtype, x, n, steps, j);
    return t == (j < split ? steps - 1 : 0);
}

static void check_pool(clstm_dtype dtype, clstm_pool mode, const ptrdiff_t size[3], ptrdiff_t split, int with_lengths) {
    const ptrdiff_t N = size[0], T = size[1], F = size[2];
    ptrdiff_t *lengths = buffer((size_t)N * sizeof *lengths);
    for (ptrdiff_t n = 0; n < N; n++) lengths[n] = with_lengths ? (T + 1 + n) % (T + 1) : T; /* 0 1 2 .. */
    const clstm_batch batch = {.N = N, .T = T, .lengths = with_lengths ? lengths : NULL};
    clstm_sequence x = strided(dtype, N, T, F, 1), dx = strided(dtype, N, T, F, 1);
    void *y = constant_buffer(dtype, N * F, NAN), *dy = random_buffer(dtype, N * F, 1);
    for (ptrdiff_t t = 0; T >= 3 && t < T; t++) set_at(dtype, x, N - 1, t, 0, t == 0 ? -2 : 1); /* equal steps */
    if (T >= 3 && mode == CLSTM_POOL_MAX && lengths[N - 1] > 2) set_at(dtype, x, N - 1, 1, F - 1, NAN);
    CHECK(clstm_pool_forward(dtype, mode, &batch, F, split, x, y) == CLSTM_OK, "forward");
    CHECK(clstm_pool_backward(dtype, mode, &batch, F, split, x, dy, dx) == CLSTM_OK, "backward");
    int wrong_y = 0, wrong_dx = 0;
    for (ptrdiff_t n = 0; n < N; n++)
        for (ptrdiff_t j = 0; j < F; j++) {
            const double found = get(dtype, y, n * F + j);
            double expected = 0;
            for (ptrdiff_t t = 0; t < T; t++) {
                const double weight = pool_weight(dtype, mode, x, n, lengths[n], t, j, split);
                if (weight != 0) expected += weight * at(dtype, x, n, t, j);
                wrong_dx += !(fabs(at(dtype, dx, n, t, j) - weight * get(dtype, dy, n * F + j)) < tolerance(dtype));
            }
            wrong_y += isnan(expected) ? !isnan(found) : !(fabs(found - expected) < tolerance(dtype));
        }
    CHECK(wrong_y == 0, "mode %d T %d F %d split %d: %d elements of y", mode, (int)T, (int)F, (int)split, wrong_y);
    CHECK(wrong_dx == 0, "mode %d T %d F %d split %d: %d elements of dx", mode, (int)T, (int)F, (int)split, wrong_dx);
    buffers_free();
}

static void check_pool_statuses(void) {
    ptrdiff_t lengths[] = {3, 0};
    clstm_batch batch = {.N = 2, .T = 3, .lengths = lengths};
    float x[2 * 3 * 4] = {0}, y[2 * 4] = {0};
    const clstm_sequence sequence = {x, 12, 4};
    const clstm_batch none = {.N = 0, .T = 3};
    CHECK(clstm_pool_forward(CLSTM_F32, CLSTM_POOL_LAST, &batch, 4, 4, sequence, y) == CLSTM_OK, "good");
    CHECK(clstm_pool_forward(CLSTM_F32, CLSTM_POOL_LAST, &none, 4, 4, sequence, y) == CLSTM_BAD_SIZE, "N");
    CHECK(clstm_pool_forward(CLSTM_F32, CLSTM_POOL_LAST, &batch, 0, 0, sequence, y) == CLSTM_BAD_SIZE, "features");
    CHECK(clstm_pool_forward(CLSTM_F32, CLSTM_POOL_LAST, &batch, 4, 5, sequence, y) == CLSTM_BAD_SIZE, "split");
    CHECK(clstm_pool_backward(CLSTM_F32, CLSTM_POOL_LAST, &batch, 4, -1, sequence, y, sequence) == CLSTM_BAD_SIZE,
          "split");
    CHECK(clstm_pool_forward(CLSTM_F32, (clstm_pool)3, &batch, 4, 4, sequence, y) == CLSTM_BAD_OPTION, "mode");
    CHECK(clstm_pool_backward((clstm_dtype)-1, CLSTM_POOL_MAX, &batch, 4, 4, sequence, y, sequence) == CLSTM_BAD_OPTION,
          "dtype");
    lengths[1] = 4;
    CHECK(clstm_pool_forward(CLSTM_F32, CLSTM_POOL_MEAN, &batch, 4, 4, sequence, y) == CLSTM_BAD_LENGTH, "length");
    lengths[1] = -1;
    CHECK(clstm_pool_backward(CLSTM_F32, CLSTM_POOL_MEAN, &batch, 4, 4, sequence, y, sequence) == CLSTM_BAD_LENGTH,
          "length");
    group("pool: statuses");
}

/* ---- attention */

struct attention_results {
    void *weights, *y, *dscores;
    clstm_sequence dx;
};

static struct attention_results attention_buffers(clstm_dtype dtype, const ptrdiff_t size[3]) {
    const ptrdiff_t N = size[0], T = size[1], F = size[2];
    return (struct attention_results){constant_buffer(dtype, N * T, NAN), constant_buffer(dtype, N * F, NAN),
                                      constant_buffer(dtype, N * T, NAN), strided(dtype, N, T, F, 0)};
}

/* The definition, in double. */
static struct attention_results expected_attention(clstm_dtype dtype, const ptrdiff_t size[3], const ptrdiff_t *lengths,
                                                   const void *scores, clstm_sequence x, const void *dy) {
    const ptrdiff_t N = size[0], T = size[1], F = size[2];
    const struct attention_results out = attention_buffers(dtype, size);
    for (ptrdiff_t n = 0; n < N; n++) {
        double sum = 0, mean = 0, da[64];
        for (ptrdiff_t t = 0; t < lengths[n]; t++) sum += exp(get(dtype, scores, n * T + t));
        for (ptrdiff_t j = 0; j < F; j++) set(dtype, out.y, n * F + j, 0);
        for (ptrdiff_t t = 0; t < T; t++) {
            const double a = t < lengths[n] ? exp(get(dtype, scores, n * T + t)) / sum : 0;
            set(dtype, out.weights, n * T + t, a);
            da[t] = 0;
            for (ptrdiff_t j = 0; a > 0 && j < F; j++) {
                const double v = get(dtype, dy, n * F + j);
                set(dtype, out.y, n * F + j, get(dtype, out.y, n * F + j) + a * at(dtype, x, n, t, j));
                set_at(dtype, out.dx, n, t, j, a * v);
                da[t] += v * at(dtype, x, n, t, j);
            }
            mean += a * da[t];
        }
        for (ptrdiff_t t = 0; t < T; t++)
            set(dtype, out.dscores, n * T + t, get(dtype, out.weights, n * T + t) * (da[t] - mean));
    }
    return out;
}

static void check_attention(clstm_dtype dtype, const ptrdiff_t size[3], int with_lengths) {
    const ptrdiff_t N = size[0], T = size[1], F = size[2];
    ptrdiff_t *lengths = buffer((size_t)N * sizeof *lengths);
    for (ptrdiff_t n = 0; n < N; n++) lengths[n] = with_lengths ? (T + 1 + n) % (T + 1) : T; /* 0 1 2 .. */
    const clstm_batch batch = {.N = N, .T = T, .lengths = with_lengths ? lengths : NULL};
    const clstm_sequence x = strided(dtype, N, T, F, 1);
    const void *scores = random_buffer(dtype, N * T, 5), *dy = random_buffer(dtype, N * F, 1);
    for (ptrdiff_t n = 0; n < N; n++)
        for (ptrdiff_t t = lengths[n]; t < T; t++) set_at(dtype, x, n, t, 0, NAN);
    const struct attention_results expected = expected_attention(dtype, size, lengths, scores, x, dy);
    const ptrdiff_t extent = (N - 1) * x.stride_n + (T - 1) * x.stride_t + F;
    for (int isa = 0; isa < CLSTM_ISA_COUNT; isa++) {
        if (!clstm_isa_available((clstm_isa)isa)) continue;
        struct attention_results out[2];
        for (int i = 0; i < 2; i++) {
            const clstm_runtime runtime = runtime_of((clstm_isa)isa, CLSTM_NATIVE, 1 + i);
            out[i] = attention_buffers(dtype, size);
            CHECK(clstm_attention_forward(&runtime, dtype, &batch, F, scores, x, out[i].weights, out[i].y) == CLSTM_OK,
                  "forward");
            CHECK(clstm_attention_backward(&runtime, dtype, &batch, F, out[i].weights, x, dy, out[i].dscores,
                                           out[i].dx) == CLSTM_OK,
                  "backward");
            CHECK(clstm_attention_backward(&runtime, dtype, &batch, F, out[i].weights, x, dy, out[i].dscores,
                                           (clstm_sequence){0}) == CLSTM_OK,
                  "backward without dx");
        }
        const void *const found[] = {out[0].weights, out[0].y, out[0].dscores, out[0].dx.data};
        const void *const again[] = {out[1].weights, out[1].y, out[1].dscores, out[1].dx.data};
        const void *const wanted[] = {expected.weights, expected.y, expected.dscores, expected.dx.data};
        const ptrdiff_t count[] = {N * T, N * F, N * T, extent};
        for (int i = 0; i < 4; i++) {
            const double error = distance(dtype, found[i], wanted[i], count[i]);
            CHECK(error < 3 * tolerance(dtype), "attention result %d is off by %g", i, error);
            CHECK(distance(dtype, again[i], found[i], count[i]) == 0, "attention result %d depends on the threads", i);
        }
    }
    buffers_free();
}

static void check_attention_statuses(void) {
    clstm_runtime runtime = runtime_of(CLSTM_ISA_BASELINE, CLSTM_NATIVE, 1);
    const clstm_batch batch = {.N = 1, .T = 2}, none = {.N = 0, .T = 2};
    float x[2 * 3] = {0}, s[2] = {0}, a[2], y[3];
    const clstm_sequence sequence = {x, 6, 3};
    CHECK(clstm_attention_forward(&runtime, CLSTM_F32, &batch, 3, s, sequence, a, y) == CLSTM_OK, "good");
    CHECK(clstm_attention_forward(&runtime, CLSTM_F32, &none, 3, s, sequence, a, y) == CLSTM_BAD_SIZE, "N");
    CHECK(clstm_attention_backward(&runtime, CLSTM_F32, &batch, 0, a, sequence, y, s, sequence) == CLSTM_BAD_SIZE, "F");
    CHECK(clstm_attention_forward(&runtime, (clstm_dtype)7, &batch, 3, s, sequence, a, y) == CLSTM_BAD_OPTION, "dtype");
    runtime.threads = 0;
    CHECK(clstm_attention_forward(&runtime, CLSTM_F32, &batch, 3, s, sequence, a, y) == CLSTM_BAD_SIZE, "threads");
    group("attention: statuses");
}

int main(void) {
    static const ptrdiff_t dense_sizes[][4] = {
        {1, 1, 1, 1}, {3, 4, 17, 1}, {2, 5, 1, 33}, {19, 3, 40, 65}, {1, 1, 270, 260}};
    static const ptrdiff_t pool_sizes[][3] = {{1, 1, 1}, {4, 3, 17}, {7, 5, 130}};
    for (size_t s = 0; s < sizeof dense_sizes / sizeof *dense_sizes; s++)
        for (int dtype = CLSTM_F32; dtype <= CLSTM_F64; dtype++)
            for (int bias = 0; bias < 2; bias++) check_dense((clstm_dtype)dtype, dense_sizes[s], bias);
    CHECK(!gemm_refused, "a gemm was called with sizes that a BLAS refuses");
    group("dense");
    check_dense_statuses();
    check_embedding(CLSTM_F32);
    check_embedding(CLSTM_F64);
    group("embedding");
    for (size_t s = 0; s < sizeof pool_sizes / sizeof *pool_sizes; s++)
        for (int dtype = CLSTM_F32; dtype <= CLSTM_F64; dtype++)
            for (int mode = CLSTM_POOL_LAST; mode <= CLSTM_POOL_MAX; mode++)
                for (int variant = 0; variant < 4; variant++) {
                    const ptrdiff_t F = pool_sizes[s][2], split = variant & 1 ? F : F / 2;
                    check_pool((clstm_dtype)dtype, (clstm_pool)mode, pool_sizes[s], split, variant >> 1);
                }
    group("pool");
    check_pool_statuses();
    static const ptrdiff_t attention_sizes[][3] = {{1, 1, 1}, {4, 3, 17}, {40, 31, 60}};
    for (size_t s = 0; s < sizeof attention_sizes / sizeof *attention_sizes; s++)
        for (int dtype = CLSTM_F32; dtype <= CLSTM_F64; dtype++)
            for (int with_lengths = 0; with_lengths < 2; with_lengths++)
                check_attention((clstm_dtype)dtype, attention_sizes[s], with_lengths);
    group("attention");
    check_attention_statuses();
    clstm_threads_stop();
    return finish();
}
