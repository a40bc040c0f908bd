/* Connectionist temporal classification and its beam search through the public header, in exact-size buffers, against
 * all paths one by one. */
#include "../clstm_training.h"
#include "check.h"

enum { MOST_STEPS = 6 };

struct problem {
    clstm_dtype dtype;
    clstm_batch batch;
    clstm_ctc_options options;
    ptrdiff_t S;
    void *logits, *weight;
    int64_t *target;
    ptrdiff_t *ends;
};

/* Targets of 0 .. S labels, of which some repeat; lengths 0 .. T; NaN and wrong labels where nothing is to be read. */
static struct problem make_problem(clstm_dtype dtype, ptrdiff_t N, ptrdiff_t T, ptrdiff_t C, ptrdiff_t S, int variant) {
    struct problem in = {dtype, {.N = N, .T = T}, {C, variant % C, variant & 1, 1}, S, NULL, NULL, NULL, NULL};
    ptrdiff_t *lengths = buffer((size_t)N * sizeof *lengths);
    in.batch.lengths = lengths;
    in.logits = random_buffer(dtype, N * T * C, 2);
    in.weight = variant & 2 ? constant_buffer(dtype, N, 0.5) : NULL;
    in.target = buffer((size_t)(N * S) * sizeof *in.target);
    in.ends = buffer((size_t)N * sizeof *in.ends);
    for (ptrdiff_t n = 0; n < N; n++) {
        lengths[n] = n == 0 ? T : (3 * n + variant) % (T + 1);
        in.ends[n] = C > 1 ? (n + variant) % (S + 1) : 0;
        for (ptrdiff_t j = 0; j < S; j++)
            in.target[n * S + j] = j < in.ends[n] ? (in.options.blank + 1 + (j + n) / 2 % (C - 1)) % C : -5;
        for (ptrdiff_t i = lengths[n] * C; i < T * C; i++) set(dtype, in.logits, n * T * C + i, NAN);
    }
    return in;
}

/* The labels of a path of classes, and how many there are. */
static ptrdiff_t read_path(const struct problem *in, const ptrdiff_t *path, ptrdiff_t steps, int64_t *labels) {
    ptrdiff_t count = 0;
    for (ptrdiff_t t = 0; t < steps; t++)
        if (path[t] != in->options.blank && (t == 0 || path[t] != path[t - 1])) labels[count++] = path[t];
    return count;
}

static double softmax_at(const struct problem *in, ptrdiff_t n, ptrdiff_t t, ptrdiff_t c) {
    const ptrdiff_t C = in->options.classes, at = (n * in->batch.T + t) * C;
    double sum = 0;
    for (ptrdiff_t k = 0; k < C; k++) sum += exp(get(in->dtype, in->logits, at + k));
    return exp(get(in->dtype, in->logits, at + c)) / sum;
}

/* The probability of the labels of row n, and in `at` [T,C], or NULL, that of its paths that have class k at step t. */
static double all_paths(const struct problem *in, ptrdiff_t n, const int64_t *labels, ptrdiff_t count, double *at) {
    const ptrdiff_t steps = in->batch.lengths[n], C = in->options.classes;
    ptrdiff_t path[MOST_STEPS] = {0};
    int64_t found[MOST_STEPS];
    double sum = 0;
    for (;;) {
        double p = 1;
        for (ptrdiff_t t = 0; t < steps; t++) p *= softmax_at(in, n, t, path[t]);
        if (read_path(in, path, steps, found) == count && memcmp(found, labels, (size_t)count * sizeof *found) == 0) {
            sum += p;
            for (ptrdiff_t t = 0; at && t < steps; t++) at[t * C + path[t]] += p;
        }
        ptrdiff_t t = 0;
        while (t < steps && ++path[t] == C) path[t++] = 0;
        if (t == steps) return sum;
    }
}

/* What the loss and the gradient should be; impossible rows are left out. */
static double expected_loss(const struct problem *in, double *gradient) {
    const ptrdiff_t T = in->batch.T, C = in->options.classes;
    double loss = 0, at[MOST_STEPS * 8];
    for (ptrdiff_t n = 0; n < in->batch.N; n++) {
        memset(at, 0, sizeof at);
        const double p = all_paths(in, n, in->target + n * in->S, in->ends[n], at);
        double scale = in->weight ? 0.5 : 1;
        if (!in->options.sum) scale = 1 / (double)(in->batch.N * (in->ends[n] > 0 ? in->ends[n] : 1));
        if (p == 0) continue;
        loss -= scale * log(p);
        for (ptrdiff_t t = 0; t < in->batch.lengths[n]; t++)
            for (ptrdiff_t c = 0; c < C; c++)
                gradient[(n * T + t) * C + c] = scale * (softmax_at(in, n, t, c) - at[t * C + c] / p);
    }
    return loss;
}

static clstm_status run(const struct problem *in, const clstm_runtime *runtime, double *loss, void *gradient) {
    size_t bytes = 0;
    const clstm_status status = clstm_ctc_size(runtime, &in->batch, &in->options, in->S, &bytes);
    if (status) return status;
    void *scratch = buffer(bytes);
    return clstm_ctc(runtime, in->dtype, &in->batch, &in->options, in->S, in->logits, in->target, in->ends, in->weight,
                     loss, gradient, scratch);
}

static void check_loss(const struct problem *in, const clstm_runtime *one, const clstm_runtime *two) {
    const ptrdiff_t count = in->batch.N * in->batch.T * in->options.classes;
    const double tolerance = in->dtype == CLSTM_F32 ? 1e-6 : 1e-13;
    double *expected = constant_buffer(CLSTM_F64, count, 0), loss1 = NAN, loss2 = NAN, loss3 = NAN, worst = 0;
    void *g1 = constant_buffer(in->dtype, count, NAN), *g2 = constant_buffer(in->dtype, count, NAN);
    const double loss = expected_loss(in, expected);
    CHECK(run(in, one, &loss1, g1) == CLSTM_OK, "ctc");
    CHECK(run(in, two, &loss2, g2) == CLSTM_OK, "ctc");
    CHECK(run(in, two, &loss3, NULL) == CLSTM_OK, "ctc");
    CHECK(loss1 == loss2 && loss1 == loss3, "%.17g %.17g %.17g", loss1, loss2, loss3);
    CHECK(memcmp(g1, g2, (size_t)count * size_of(in->dtype)) == 0, "the gradient depends on the threads");
    CHECK(fabs(loss1 - loss) <= 1e-12 * (1 + loss), "loss %.17g, not %.17g", loss1, loss);
    for (ptrdiff_t i = 0; i < count; i++) {
        const double error = fabs(get(in->dtype, g1, i) - expected[i]);
        if (!(error <= worst)) worst = error == error ? error : INFINITY;
    }
    CHECK(worst <= tolerance, "the gradient is off by %g", worst);
}

/* Many steps and labels, on several threads: more states than a block, windows that move. */
static void check_long(const clstm_runtime *one, const clstm_runtime *two, clstm_dtype dtype) {
    struct problem in = make_problem(dtype, 5, 90, 40, 33, 3);
    const ptrdiff_t count = 5 * 90 * 40;
    ptrdiff_t *lengths = buffer(5 * sizeof *lengths);
    for (ptrdiff_t n = 0; n < 5; n++) lengths[n] = 90 - 10 * n;
    in.batch.lengths = lengths;
    in.logits = random_buffer(dtype, count, 500); /* weights far apart, and y that a double does not hold */
    double loss1 = NAN, loss2 = NAN, sum = 0;
    void *g1 = constant_buffer(dtype, count, NAN), *g2 = constant_buffer(dtype, count, NAN);
    CHECK(run(&in, one, &loss1, g1) == CLSTM_OK && run(&in, two, &loss2, g2) == CLSTM_OK, "ctc");
    CHECK(loss1 == loss2 && loss1 > 100, "%.17g %.17g", loss1, loss2);
    CHECK(memcmp(g1, g2, (size_t)count * size_of(dtype)) == 0, "the gradient depends on the threads");
    for (ptrdiff_t i = 0; i < count; i++) sum += get(dtype, g1, i);
    CHECK(fabs(sum) < 1e-4, "the gradient adds up to %g", sum);
}

static int asked;

/* Prefers short labellings: each label costs 1. */
static void cost(void *context, ptrdiff_t row, ptrdiff_t length, const int64_t *labels, double *extra) {
    asked++;
    for (ptrdiff_t i = 0; i < length; i++) asked += labels[i] < 0 || row < 0;
    for (ptrdiff_t c = 0; c < *(ptrdiff_t *)context; c++) extra[c] = -1;
}

static void check_beam(const struct problem *in, const clstm_runtime *runtime, int with_costs) {
    enum { WIDTH = 600, BEST = 5 };
    const ptrdiff_t N = in->batch.N, T = in->batch.T;
    ptrdiff_t C = in->options.classes;
    const clstm_ctc_beam_options options = {C, in->options.blank, WIDTH, BEST, 0, with_costs ? cost : NULL, &C};
    int64_t *labels = buffer((size_t)(N * BEST * T) * sizeof *labels);
    ptrdiff_t *ends = buffer((size_t)(N * BEST) * sizeof *ends);
    double *score = buffer((size_t)(N * BEST) * sizeof *score);
    size_t bytes = 0;
    CHECK(clstm_ctc_beam_size(runtime, &in->batch, &options, &bytes) == CLSTM_OK, "size");
    asked = 0;
    CHECK(clstm_ctc_beam(runtime, in->dtype, &in->batch, &options, in->logits, labels, ends, score, buffer(bytes)) ==
              CLSTM_OK,
          "beam");
    CHECK((asked >= N) == with_costs, "asked %d times", asked);
    for (ptrdiff_t k = 0; k < N * BEST; k++) {
        if (ends[k] < 0) {
            CHECK(score[k] == -INFINITY && k % BEST > 0, "nothing");
            continue;
        }
        const double p = log(all_paths(in, k / BEST, labels + k * T, ends[k], NULL));
        const double expected = p - (with_costs ? (double)ends[k] : 0);
        CHECK(fabs(score[k] - expected) < 1e-12 * (1 + fabs(expected)), "%g, not %g", score[k], expected);
        CHECK(k % BEST == 0 || score[k] <= score[k - 1], "the scores do not fall");
    }
}

static void check_isa(clstm_isa isa, clstm_dtype dtype) {
    static const ptrdiff_t sizes[][4] = {{1, 1, 1, 0}, {2, 1, 3, 1}, {5, 4, 3, 4},
                                         {4, 5, 2, 3}, {3, 6, 4, 2}, {6, 4, 6, 0}};
    const clstm_runtime one = runtime_of(isa, CLSTM_NATIVE, 1), two = runtime_of(isa, CLSTM_NATIVE, 2);
    for (int i = 0; i < 6; i++)
        for (int variant = 0; variant < 4; variant++) {
            const ptrdiff_t *size = sizes[i];
            const struct problem in = make_problem(dtype, size[0], size[1], size[2], size[3], variant);
            check_loss(&in, &one, &two);
            if (size[1] < MOST_STEPS) check_beam(&in, &two, variant & 1);
            buffers_free();
        }
    check_long(&one, &two, dtype);
    buffers_free();
    char name[80];
    snprintf(name, sizeof name, "ctc: %s %s", clstm_isa_name(isa), dtype_names[dtype]);
    group(name);
}

static void check_statuses(void) {
    const clstm_runtime runtime = runtime_of(CLSTM_ISA_BASELINE, CLSTM_NATIVE, 1);
    struct problem in = make_problem(CLSTM_F32, 2, 3, 4, 2, 0);
    double loss = 7, gradient = 7;
    void *g = constant_buffer(CLSTM_F32, 24, 7);
    in.ends[1] = 3;
    CHECK(run(&in, &runtime, &loss, g) == CLSTM_BAD_LENGTH, "target length");
    in.ends[1] = 1;
    for (int wrong = 0; wrong < 3; wrong++) {
        in.target[2] = (const int64_t[]){-1, 4, in.options.blank}[wrong];
        CHECK(run(&in, &runtime, &loss, g) == CLSTM_BAD_INDEX, "class %d", (int)in.target[2]);
    }
    gradient = get(CLSTM_F32, g, 0);
    CHECK(loss == 7 && gradient == 7, "written in spite of a bad target");
    in.target[2] = 2;
    in.dtype = (clstm_dtype)3;
    CHECK(run(&in, &runtime, &loss, g) == CLSTM_BAD_OPTION, "dtype");
    in.dtype = CLSTM_F32;
    in.options.blank = 4;
    CHECK(run(&in, &runtime, &loss, g) == CLSTM_BAD_INDEX, "blank");
    in.options.blank = 0;
    in.S = -1;
    CHECK(run(&in, &runtime, &loss, g) == CLSTM_BAD_SIZE, "S");
    in.S = PTRDIFF_MAX / 1024;
    in.batch.T = 100000;
    CHECK(run(&in, &runtime, &loss, g) == CLSTM_TOO_LARGE, "S");
    in.S = 2;
    in.options.classes = 0;
    CHECK(run(&in, &runtime, &loss, g) == CLSTM_BAD_SIZE, "classes");

    size_t bytes;
    clstm_ctc_beam_options beam = {4, 0, 0, 1, 0, NULL, NULL};
    CHECK(clstm_ctc_beam_size(&runtime, &in.batch, &beam, &bytes) == CLSTM_BAD_SIZE, "width");
    beam.width = PTRDIFF_MAX / 1024;
    CHECK(clstm_ctc_beam_size(&runtime, &in.batch, &beam, &bytes) == CLSTM_TOO_LARGE, "width");
    beam = (clstm_ctc_beam_options){4, 4, 1, 1, 0, NULL, NULL};
    CHECK(clstm_ctc_beam_size(&runtime, &in.batch, &beam, &bytes) == CLSTM_BAD_INDEX, "blank");
    beam = (clstm_ctc_beam_options){4, 0, 1, 1, NAN, NULL, NULL};
    CHECK(clstm_ctc_beam_size(&runtime, &in.batch, &beam, &bytes) == CLSTM_BAD_OPTION, "prune");
    buffers_free();
    group("ctc: statuses");
}

int main(void) {
    for (int isa = 0; isa < CLSTM_ISA_COUNT; isa++)
        for (int dtype = CLSTM_F32; clstm_isa_available((clstm_isa)isa) && dtype <= CLSTM_F64; dtype++)
            check_isa((clstm_isa)isa, (clstm_dtype)dtype);
    check_statuses();
    clstm_threads_stop();
    return finish();
}
