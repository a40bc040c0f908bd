/* The conditional random field through the public header, in exact-size buffers, against sums over all paths. */
#include "../clstm_training.h"
#include "check.h"

static double tolerance(clstm_dtype dtype) { return dtype == CLSTM_F32 ? 2e-6 : 1e-12; }

struct problem {
    clstm_crf crf;
    clstm_batch batch;
    void *emissions, *weights;
    int64_t *paths;
};

/* Emissions are NaN and tags out of range beyond lengths; one transition is forbidden, and one all but forbidden. */
static struct problem make(clstm_dtype dtype, const ptrdiff_t size[3], int with_lengths) {
    const ptrdiff_t N = size[0], T = size[1], C = size[2];
    struct problem it = {.crf = {.dtype = dtype, .tags = C}, .batch = {.N = N, .T = T}};
    void *transitions = random_buffer(dtype, C * C, 2);
    if (C > 2) set(dtype, transitions, 1, -INFINITY), set(dtype, transitions, 2 * C, -1e4);
    it.crf.transitions = transitions;
    it.crf.start = random_buffer(dtype, C, 2);
    it.crf.end = random_buffer(dtype, C, 2);
    it.emissions = random_buffer(dtype, N * T * C, 3);
    it.weights = random_buffer(dtype, N, 1);
    it.paths = buffer((size_t)(N * T) * sizeof *it.paths);
    ptrdiff_t *lengths = buffer((size_t)N * sizeof *lengths);
    for (ptrdiff_t n = 0; n < N; n++) {
        set(dtype, it.weights, n, n == 1 ? 0 : fabs(get(dtype, it.weights, n)) + 0.5);
        lengths[n] = with_lengths ? (2 * n + T) % (T + 1) : T;
        for (ptrdiff_t t = 0; t < T; t++) {
            const int valid = t < lengths[n];
            it.paths[n * T + t] = valid ? (n + 3 * t) % C == 1 ? 0 : (n + 3 * t) % C : -99;
            for (ptrdiff_t j = 0; !valid && j < C; j++) set(dtype, it.emissions, (n * T + t) * C + j, NAN);
        }
    }
    if (with_lengths) it.batch.lengths = lengths;
    return it;
}

static ptrdiff_t steps_of(const struct problem *it, ptrdiff_t n) {
    return it->batch.lengths ? it->batch.lengths[n] : it->batch.T;
}

static double score_of(const struct problem *it, ptrdiff_t n, const int64_t *path) {
    const ptrdiff_t L = steps_of(it, n), C = it->crf.tags;
    const clstm_dtype dtype = it->crf.dtype;
    double score = get(dtype, it->crf.start, path[0]) + get(dtype, it->crf.end, path[L - 1]);
    for (ptrdiff_t t = 0; t < L; t++) score += get(dtype, it->emissions, (n * it->batch.T + t) * C + path[t]);
    for (ptrdiff_t t = 1; t < L; t++) score += get(dtype, it->crf.transitions, path[t - 1] * C + path[t]);
    return score;
}

/* The next path as a number to the base C, whose last digit is the last tag; 0 after the last one. */
static int next_path(int64_t *path, ptrdiff_t length, ptrdiff_t tags) {
    for (ptrdiff_t t = length - 1; t >= 0; t--) {
        if (++path[t] < tags) return 1;
        path[t] = 0;
    }
    return 0;
}

/* log Z; adds `scale` times the expected numbers of tags and transitions. */
static double sum_paths(const struct problem *it, ptrdiff_t n, double scale, double *tags, double *transitions) {
    const ptrdiff_t L = steps_of(it, n), C = it->crf.tags, T = it->batch.T;
    int64_t path[8] = {0};
    double z = 0;
    do z += exp(score_of(it, n, path));
    while (next_path(path, L, C));
    do {
        const double p = scale * exp(score_of(it, n, path)) / z;
        for (ptrdiff_t t = 0; t < L; t++) tags[(n * T + t) * C + path[t]] += p;
        for (ptrdiff_t t = 1; t < L; t++) transitions[path[t - 1] * C + path[t]] += p;
    } while (next_path(path, L, C));
    return log(z);
}

static void near(clstm_dtype dtype, const void *found, const double *expected, ptrdiff_t n, double size,
                 const char *name) {
    double worst = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        const double error = fabs(get(dtype, found, i) - expected[i]);
        if (!(error <= worst)) worst = error == error ? error : INFINITY;
    }
    CHECK(worst <= size * tolerance(dtype), "%s is off by %g", name, worst);
}

struct found {
    double loss, weight, *rows;
    void *demissions, *transitions, *start, *end;
};

static struct found run_loss(const struct problem *it, const clstm_runtime *runtime, clstm_crf_reduction reduction,
                             const void *weights) {
    const ptrdiff_t N = it->batch.N, C = it->crf.tags, all = N * it->batch.T * C;
    const clstm_dtype dtype = it->crf.dtype;
    struct found found = {NAN,
                          NAN,
                          buffer((size_t)N * sizeof(double)),
                          constant_buffer(dtype, all, NAN),
                          constant_buffer(dtype, C * C, 0.5),
                          constant_buffer(dtype, C, 0.5),
                          constant_buffer(dtype, C, 0.5)};
    const clstm_crf_gradients gradients = {found.transitions, found.start, found.end};
    clstm_crf_bytes bytes;
    CHECK(clstm_crf_sizes(runtime, &it->crf, &it->batch, &bytes) == CLSTM_OK, "sizes");
    double loss = NAN, weight = NAN;
    CHECK(clstm_crf_loss(runtime, &it->crf, &it->batch, reduction, it->emissions, it->paths, weights, &found.loss,
                         &found.weight, found.rows, found.demissions, &gradients, buffer(bytes.loss)) == CLSTM_OK,
          "loss");
    CHECK(clstm_crf_loss(runtime, &it->crf, &it->batch, reduction, it->emissions, it->paths, weights, &loss, &weight,
                         NULL, NULL, NULL, buffer(bytes.loss)) == CLSTM_OK,
          "loss alone");
    CHECK(loss == found.loss && weight == found.weight, "without gradients %.17g, not %.17g", loss, found.loss);
    return found;
}

static void check_loss(const struct problem *it, const clstm_runtime *one, const clstm_runtime *two,
                       clstm_crf_reduction reduction, const void *weights) {
    const ptrdiff_t N = it->batch.N, T = it->batch.T, C = it->crf.tags;
    const clstm_dtype dtype = it->crf.dtype;
    double *tags = constant_buffer(CLSTM_F64, N * T * C, 0), *transitions = constant_buffer(CLSTM_F64, C * C, 0.5);
    double *start = constant_buffer(CLSTM_F64, C, 0.5), *end = constant_buffer(CLSTM_F64, C, 0.5), loss = 0, sum = 0;
    for (ptrdiff_t n = 0; n < N; n++)
        sum += (weights ? get(dtype, weights, n) : 1) *
               (double)(reduction == CLSTM_CRF_TOKEN_MEAN ? steps_of(it, n) : steps_of(it, n) > 0);
    for (ptrdiff_t n = 0; n < N; n++) {
        const ptrdiff_t L = steps_of(it, n);
        const int64_t *path = it->paths + n * T;
        const double weight = weights ? get(dtype, weights, n) : 1;
        const double scale = weight / (reduction == CLSTM_CRF_SUM || sum == 0 ? 1 : sum);
        if (L == 0) continue;
        loss += scale * (sum_paths(it, n, scale, tags, transitions) - score_of(it, n, path));
        for (ptrdiff_t t = 0; t < L; t++) tags[(n * T + t) * C + path[t]] -= scale;
        for (ptrdiff_t t = 1; t < L; t++) transitions[path[t - 1] * C + path[t]] -= scale;
        for (ptrdiff_t j = 0; j < C; j++) start[j] += tags[n * T * C + j];
        for (ptrdiff_t j = 0; j < C; j++) end[j] += tags[(n * T + L - 1) * C + j];
    }
    const struct found a = run_loss(it, one, reduction, weights), b = run_loss(it, two, reduction, weights);
    CHECK(fabs(a.loss - loss) <= 20 * tolerance(dtype) * (1 + fabs(loss)), "loss %g, not %g", a.loss, loss);
    CHECK(fabs(a.weight - sum) <= 1e-12 * sum, "weight %g, not %g", a.weight, sum);
    const double size = 1 + (reduction == CLSTM_CRF_SUM ? (double)(N * T) : 0);
    near(dtype, a.demissions, tags, N * T * C, size, "demissions");
    near(dtype, a.transitions, transitions, C * C, size, "dtransitions");
    near(dtype, a.start, start, C, size, "dstart");
    near(dtype, a.end, end, C, size, "dend");
    CHECK(a.loss == b.loss && memcmp(a.rows, b.rows, (size_t)N * sizeof(double)) == 0, "the loss depends on threads");
    CHECK(memcmp(a.demissions, b.demissions, (size_t)(N * T * C) * size_of(dtype)) == 0 &&
              memcmp(a.transitions, b.transitions, (size_t)(C * C) * size_of(dtype)) == 0,
          "a gradient depends on threads");
}

static void check_rest(const struct problem *it, const clstm_runtime *runtime) {
    const ptrdiff_t N = it->batch.N, T = it->batch.T, C = it->crf.tags;
    const clstm_dtype dtype = it->crf.dtype;
    double *marginals = constant_buffer(CLSTM_F64, N * T * C, 0), *unused = constant_buffer(CLSTM_F64, C * C, 0);
    double *log_z = buffer((size_t)N * sizeof(double)), *again = buffer((size_t)N * sizeof(double));
    double *scores = buffer((size_t)N * sizeof(double));
    void *found = constant_buffer(dtype, N * T * C, NAN);
    int64_t *paths = buffer((size_t)(N * T) * sizeof *paths);
    clstm_crf_bytes bytes;
    CHECK(clstm_crf_sizes(runtime, &it->crf, &it->batch, &bytes) == CLSTM_OK, "sizes");
    CHECK(clstm_crf_marginals(runtime, &it->crf, &it->batch, it->emissions, found, log_z, buffer(bytes.marginals)) ==
              CLSTM_OK,
          "marginals");
    CHECK(clstm_crf_marginals(runtime, &it->crf, &it->batch, it->emissions, NULL, again, buffer(bytes.marginals)) ==
              CLSTM_OK,
          "log Z");
    CHECK(clstm_crf_best(runtime, &it->crf, &it->batch, it->emissions, paths, scores, buffer(bytes.best)) == CLSTM_OK,
          "best");
    for (ptrdiff_t n = 0; n < N; n++) {
        const ptrdiff_t L = steps_of(it, n);
        int64_t path[8] = {0};
        double best = -INFINITY;
        for (ptrdiff_t t = L; t < T; t++) CHECK(paths[n * T + t] == -1, "a tag beyond the length");
        CHECK(log_z[n] == again[n], "log Z depends on the marginals");
        if (L == 0) CHECK(scores[n] == 0 && log_z[n] == 0, "a row without steps");
        if (L == 0) continue;
        const double expected = sum_paths(it, n, 1, marginals, unused);
        do best = fmax(best, score_of(it, n, path));
        while (next_path(path, L, C));
        CHECK(fabs(log_z[n] - expected) <= 1e-12 * (1 + fabs(expected)), "log Z %g, not %g", log_z[n], expected);
        CHECK(fabs(scores[n] - best) <= 1e-12 * (1 + fabs(best)), "score %g, not %g", scores[n], best);
        CHECK(fabs(score_of(it, n, paths + n * T) - best) <= 1e-12 * (1 + fabs(best)), "another path");
    }
    near(dtype, found, marginals, N * T * C, 1, "marginals");
}

/* More rows than blocks, and enough work for several threads. */
static void check_many(clstm_dtype dtype, const clstm_runtime *one, const clstm_runtime *two) {
    const struct problem it = make(dtype, (const ptrdiff_t[]){75, 12, 19}, 1);
    const struct found a = run_loss(&it, one, CLSTM_CRF_MEAN, NULL), b = run_loss(&it, two, CLSTM_CRF_MEAN, NULL);
    CHECK(a.loss == b.loss && isfinite(a.loss), "%.17g %.17g", a.loss, b.loss);
    CHECK(memcmp(a.demissions, b.demissions, 75 * 12 * 19 * size_of(dtype)) == 0, "demissions depend on threads");
    CHECK(memcmp(a.transitions, b.transitions, 19 * 19 * size_of(dtype)) == 0, "transitions depend on threads");
    const struct found c = run_loss(&it, two, CLSTM_CRF_SUM, it.weights);
    CHECK(isfinite(c.loss), "%g", c.loss);
    double *scores = buffer(75 * sizeof(double));
    int64_t *paths = buffer(75 * 12 * sizeof *paths);
    clstm_crf_bytes bytes;
    CHECK(clstm_crf_sizes(two, &it.crf, &it.batch, &bytes) == CLSTM_OK, "sizes");
    CHECK(clstm_crf_best(two, &it.crf, &it.batch, it.emissions, paths, scores, buffer(bytes.best)) == CLSTM_OK, "best");
    void *marginals = constant_buffer(dtype, 75 * 12 * 19, NAN);
    CHECK(clstm_crf_marginals(two, &it.crf, &it.batch, it.emissions, marginals, NULL, buffer(bytes.marginals)) ==
              CLSTM_OK,
          "marginals");
    for (ptrdiff_t n = 0; n < 75; n++) {
        double sum = 0;
        for (ptrdiff_t i = 0; i < 12 * 19; i++) sum += get(dtype, marginals, n * 12 * 19 + i);
        CHECK(fabs(sum - (double)steps_of(&it, n)) < 1e-4, "marginals of %d with the sum %g", (int)n, sum);
    }
}

static void check_statuses(void) {
    clstm_runtime runtime = runtime_of(CLSTM_ISA_BASELINE, CLSTM_NATIVE, 1);
    float x[8] = {0}, d[8] = {7};
    int64_t path[2] = {0, 2};
    double loss = 7, weight = 7;
    const ptrdiff_t longer[] = {3};
    const clstm_crf crf = {.tags = 2, .transitions = x, .start = x, .end = x};
    const clstm_crf none = {.tags = 0}, wrong = {.dtype = (clstm_dtype)7, .tags = 2};
    const clstm_batch batch = {.N = 1, .T = 2}, empty = {.N = 0, .T = 2}, bad = {.N = 1, .T = 2, .lengths = longer};
    const clstm_batch huge = {.N = PTRDIFF_MAX / 4, .T = 2};
    const clstm_pieces pieces = {.rows = 1, .times = 2};
    const clstm_batch cut = {.N = 1, .T = 2, .pieces = &pieces};
    clstm_crf_bytes bytes;
    CHECK(clstm_crf_sizes(&runtime, &none, &batch, &bytes) == CLSTM_BAD_SIZE, "tags");
    CHECK(clstm_crf_sizes(&runtime, &wrong, &batch, &bytes) == CLSTM_BAD_OPTION, "dtype");
    CHECK(clstm_crf_sizes(&runtime, &crf, &empty, &bytes) == CLSTM_BAD_SIZE, "N");
    CHECK(clstm_crf_sizes(&runtime, &crf, &bad, &bytes) == CLSTM_BAD_LENGTH, "length");
    CHECK(clstm_crf_sizes(&runtime, &crf, &cut, &bytes) == CLSTM_BAD_OPTION, "pieces");
    CHECK(clstm_crf_sizes(&runtime, &crf, &huge, &bytes) == CLSTM_TOO_LARGE, "size");
    CHECK(clstm_crf_sizes(&runtime, &(clstm_crf){.tags = PTRDIFF_MAX / 2048}, &batch, &bytes) == CLSTM_TOO_LARGE, "C");
    CHECK(clstm_crf_sizes(&runtime, &crf, &batch, &bytes) == CLSTM_OK, "sizes");
    void *scratch = buffer(bytes.loss);
    CHECK(clstm_crf_loss(&runtime, &crf, &batch, CLSTM_CRF_MEAN, x, path, NULL, &loss, &weight, NULL, d, NULL,
                         scratch) == CLSTM_BAD_INDEX,
          "a tag");
    path[1] = -1;
    CHECK(clstm_crf_loss(&runtime, &crf, &batch, CLSTM_CRF_MEAN, x, path, NULL, &loss, &weight, NULL, d, NULL,
                         scratch) == CLSTM_BAD_INDEX,
          "a tag");
    CHECK(clstm_crf_loss(&runtime, &crf, &batch, CLSTM_CRF_REDUCTION_COUNT, x, path, NULL, &loss, &weight, NULL, d,
                         NULL, scratch) == CLSTM_BAD_OPTION,
          "reduction");
    CHECK(loss == 7 && weight == 7 && d[0] == 7, "written in spite of a bad argument");
    CHECK(clstm_crf_best(&runtime, &none, &batch, x, path, NULL, scratch) == CLSTM_BAD_SIZE, "tags");
    CHECK(clstm_crf_marginals(&runtime, &none, &batch, x, d, NULL, scratch) == CLSTM_BAD_SIZE, "tags");
    group("crf: statuses");
}

static void check_isa(clstm_isa isa, clstm_dtype dtype) {
    static const ptrdiff_t sizes[][3] = {{1, 1, 1}, {3, 4, 3}, {2, 1, 9}, {4, 5, 4}, {2, 3, 17}, {40, 2, 2}};
    const clstm_runtime one = runtime_of(isa, CLSTM_NATIVE, 1), two = runtime_of(isa, CLSTM_NATIVE, 2);
    for (int i = 0; i < 12; i++) {
        const struct problem it = make(dtype, sizes[i / 2], i % 2);
        for (int reduction = 0; reduction < CLSTM_CRF_REDUCTION_COUNT; reduction++) {
            check_loss(&it, &one, &two, (clstm_crf_reduction)reduction, NULL);
            check_loss(&it, &one, &two, (clstm_crf_reduction)reduction, it.weights);
        }
        check_rest(&it, &one);
        buffers_free();
    }
    check_many(dtype, &one, &two);
    buffers_free();
    char name[80];
    snprintf(name, sizeof name, "crf: %s %s", clstm_isa_name(isa), dtype_names[dtype]);
    group(name);
}

int main(void) {
    for (int isa = 0; isa < CLSTM_ISA_COUNT; isa++)
        for (int dtype = CLSTM_F32; clstm_isa_available((clstm_isa)isa) && dtype <= CLSTM_F64; dtype++)
            check_isa((clstm_isa)isa, (clstm_dtype)dtype);
    check_statuses();
    clstm_threads_stop();
    return finish();
}
