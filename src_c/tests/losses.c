/* All losses through the public header, in exact-size buffers, against their definitions in double; gradients against
 * central differences of these. */
#include "../clstm_training.h"
#include "check.h"

enum { WIDEST = 3 * 70 }; /* elements of the prediction of a step */

struct problem {
    clstm_loss loss;
    clstm_batch batch;
    ptrdiff_t steps, width, target_width;
    void *prediction, *target;
};

static int is_of_classes(clstm_loss_kind kind) { return kind == CLSTM_CLASSES || kind == CLSTM_CLASS_PROBABILITIES; }

static int counts(const struct problem *in, ptrdiff_t q) {
    if (in->batch.lengths && q % in->batch.T >= in->batch.lengths[q / in->batch.T]) return 0;
    return !(in->loss.kind == CLSTM_CLASSES && in->loss.has_ignored &&
             ((const int64_t *)in->target)[q] == in->loss.ignored);
}

static double weight_of(const struct problem *in, ptrdiff_t q) {
    if (!counts(in, q)) return 0;
    const clstm_loss *loss = &in->loss;
    return loss->weight ? get(loss->dtype, loss->weight, loss->weight_of_steps ? q : q / in->batch.T) : 1;
}

static double *random_doubles(ptrdiff_t count, double from, double to) {
    double *x = buffer((size_t)count * sizeof *x);
    for (ptrdiff_t i = 0; i < count; i++) x[i] = from + (to - from) * (0.5 + 0.5 * random_number());
    return x;
}

/* No prediction where the slope of the loss jumps, which would be no place for differences. */
static void away_from_targets(struct problem *in) {
    for (ptrdiff_t i = 0; i < in->steps * in->width; i++) {
        const double t = get(in->loss.dtype, in->target, i / (in->width / in->target_width));
        if (fabs(get(in->loss.dtype, in->prediction, i) - t) < 1e-3) set(in->loss.dtype, in->prediction, i, t + 0.01);
    }
}

/* Variant 0 is plain; 1 has all options, lengths and weights of rows; 2 has weights of steps, and sums. */
static struct problem make_problem(clstm_loss_kind kind, clstm_dtype dtype, const ptrdiff_t size[3], int variant) {
    const ptrdiff_t N = size[0], T = size[1], F = size[2], NT = N * T;
    struct problem in = {.batch = {.N = N, .T = T}, .steps = NT, .width = F, .target_width = F};
    in.loss = (clstm_loss){.kind = kind, .dtype = dtype, .features = F, .sum = variant == 2, .delta = 0.5};
    in.loss.quantile_count = 3;
    in.loss.quantile = random_doubles(3, 0.1, 0.9);
    in.loss.epsilon = 0.01;
    if (kind == CLSTM_QUANTILES) in.width = 3 * F;
    if (kind == CLSTM_GAUSSIAN) in.width = 2 * F;
    in.prediction = random_buffer(dtype, NT * in.width, 2);
    in.target = random_buffer(dtype, NT * F, 2);
    if (kind == CLSTM_ABSOLUTE || kind == CLSTM_QUANTILES) away_from_targets(&in);
    for (ptrdiff_t i = 0; i < NT * F && kind >= CLSTM_BINARY; i++)
        set(dtype, in.target, i, fabs(get(dtype, in.target, i)) / 2);
    if (kind == CLSTM_CLASSES) {
        int64_t *target = in.target = buffer((size_t)NT * sizeof *target);
        for (ptrdiff_t q = 0; q < NT; q++) target[q] = q * 7 % F;
    }
    if (variant == 2) {
        void *weight = random_buffer(dtype, NT, 1);
        for (ptrdiff_t q = 0; q < NT; q++) set(dtype, weight, q, q % 4 ? fabs(get(dtype, weight, q)) : 0);
        in.loss.weight = weight;
        in.loss.weight_of_steps = 1;
    }
    if (variant != 1) return in;
    ptrdiff_t *lengths = buffer((size_t)N * sizeof *lengths);
    void *weight = buffer((size_t)N * size_of(dtype));
    for (ptrdiff_t n = 0; n < N; n++) {
        lengths[n] = (2 * n + T) % (T + 1);
        set(dtype, weight, n, (double)(n % 3));
    }
    in.batch.lengths = lengths;
    in.loss.weight = weight;
    in.loss.full = 1;
    in.loss.smoothing = 0.1;
    in.loss.class_weight = random_doubles(F, 0.1, 2);
    in.loss.has_ignored = 1;
    in.loss.ignored = -5;
    for (ptrdiff_t q = 0; q < NT; q++) {
        if (kind == CLSTM_CLASSES && q % 5 == 2) ((int64_t *)in.target)[q] = in.loss.ignored;
        for (ptrdiff_t i = 0; i < in.width && !counts(&in, q); i++) set(dtype, in.prediction, q * in.width + i, NAN);
    }
    return in;
}

/* The loss of one step by its definition, times the number of its terms. */
static double step_value(const clstm_loss *loss, ptrdiff_t width, const double *p, const double *t) {
    const ptrdiff_t F = loss->features;
    double sum = 0, mass = 0, total = 0;
    for (ptrdiff_t i = 0; i < width; i++) total += exp(p[i]);
    for (ptrdiff_t i = 0; i < (loss->kind == CLSTM_GAUSSIAN ? F : width); i++) {
        const double weight = loss->class_weight && loss->kind >= CLSTM_BINARY ? loss->class_weight[i] : 1;
        const double d = loss->kind == CLSTM_QUANTILES ? t[i / 3] - p[i] : p[i] - t[i], smoothing = loss->smoothing;
        switch (loss->kind) {
        case CLSTM_SQUARED: sum += d * d; break;
        case CLSTM_ABSOLUTE: sum += fabs(d); break;
        case CLSTM_HUBER: sum += fabs(d) <= loss->delta ? d * d / 2 : loss->delta * (fabs(d) - loss->delta / 2); break;
        case CLSTM_QUANTILES: sum += fmax(loss->quantile[i % 3] * d, (loss->quantile[i % 3] - 1) * d); break;
        case CLSTM_GAUSSIAN: {
            const double v = loss->epsilon + exp(p[F + i]);
            sum += (log(v) + d * d / v + (loss->full ? log(2 * acos(-1.0)) : 0)) / 2;
            break;
        }
        case CLSTM_BINARY: {
            const double yes = (1 - smoothing) * t[i] + smoothing / 2;
            sum += weight * yes * log(1 + exp(-p[i])) + (1 - yes) * log(1 + exp(p[i]));
            break;
        }
        default: mass = weight * ((1 - smoothing) * t[i] + smoothing / (double)F); sum += mass * (log(total) - p[i]);
        }
    }
    return sum;
}

static void step_in_double(const struct problem *in, ptrdiff_t q, double *p, double *t) {
    for (ptrdiff_t i = 0; i < in->width; i++) p[i] = get(in->loss.dtype, in->prediction, q * in->width + i);
    for (ptrdiff_t i = 0; i < in->target_width; i++)
        t[i] = in->loss.kind == CLSTM_CLASSES ? (double)(((const int64_t *)in->target)[q] == i)
                                              : get(in->loss.dtype, in->target, q * in->target_width + i);
}

static void check_step(const struct problem *in, ptrdiff_t q, double scale, const void *gradient) {
    double p[WIDEST], t[WIDEST], worst = 0;
    step_in_double(in, q, p, t);
    for (ptrdiff_t i = 0; i < in->width; i++) {
        const double found = get(in->loss.dtype, gradient, q * in->width + i), x = p[i], h = 1e-6;
        double expected = 0;
        if (scale > 0) {
            p[i] = x + h;
            expected = step_value(&in->loss, in->width, p, t);
            p[i] = x - h;
            expected = scale * (expected - step_value(&in->loss, in->width, p, t)) / (2 * h);
            p[i] = x;
        }
        const double unit = scale + fabs(expected), error = unit > 0 ? fabs(found - expected) / unit : fabs(found);
        if (!(error <= worst)) worst = error == error ? error : INFINITY;
    }
    CHECK(worst <= (scale > 0 ? 1e-6 : 0), "loss %d: the gradient of step %d is off by %g", in->loss.kind, (int)q,
          worst);
}

static double divisor_of(const struct problem *in) {
    double sum = 0;
    for (ptrdiff_t q = 0; q < in->steps; q++) {
        const double weight = weight_of(in, q);
        const int by_class = in->loss.kind == CLSTM_CLASSES && in->loss.class_weight && weight > 0;
        sum += weight * (by_class ? in->loss.class_weight[((const int64_t *)in->target)[q]] : 1);
    }
    return sum;
}

static void check_problem(const struct problem *in, const clstm_runtime *one, const clstm_runtime *two) {
    const clstm_loss *loss = &in->loss;
    const ptrdiff_t count = in->steps * in->width;
    void *g1 = constant_buffer(loss->dtype, count, NAN), *g2 = constant_buffer(loss->dtype, count, NAN);
    double value[3] = {NAN, NAN, NAN}, divisor[3], expected = 0, p[WIDEST], t[WIDEST];
    for (int i = 0; i < 3; i++)
        CHECK(clstm_loss_compute(i ? two : one, loss, &in->batch, in->prediction, in->target, &value[i], &divisor[i],
                                 (void *[]){g1, g2, NULL}[i]) == CLSTM_OK,
              "loss %d", loss->kind);
    CHECK(value[0] == value[1] && value[0] == value[2] && divisor[0] == divisor[1], "loss %d: %.17g %.17g %.17g",
          loss->kind, value[0], value[1], value[2]);
    CHECK(memcmp(g1, g2, (size_t)count * size_of(loss->dtype)) == 0, "the gradient depends on the threads");
    CHECK(fabs(divisor[0] - divisor_of(in)) <= 1e-13 * divisor[0], "loss %d: divisor %g, not %g", loss->kind,
          divisor[0], divisor_of(in));

    const ptrdiff_t terms = is_of_classes(loss->kind) ? 1 : loss->kind == CLSTM_GAUSSIAN ? loss->features : in->width;
    const double scale = (loss->sum ? 1 : divisor[0] > 0 ? 1 / divisor[0] : 0) / (double)terms;
    for (ptrdiff_t q = 0; q < in->steps; q++) {
        const double factor = scale * weight_of(in, q);
        if (factor > 0) step_in_double(in, q, p, t);
        expected += factor > 0 ? factor * step_value(loss, in->width, p, t) : 0;
        if (in->steps < 100 || q % 37 == 0 || factor == 0) check_step(in, q, factor, g1);
    }
    const double tolerance = loss->dtype == CLSTM_F32 ? 1e-5 : 1e-13;
    CHECK(fabs(value[0] - expected) <= tolerance * (1 + fabs(expected)), "loss %d is %g, not %g", loss->kind, value[0],
          expected);
}

static void check_isa(clstm_isa isa, clstm_dtype dtype) {
    static const ptrdiff_t sizes[][3] = {{1, 1, 1}, {5, 1, 3}, {3, 4, 17}, {2, 2, 70}, {300, 20, 12}};
    const clstm_runtime one = runtime_of(isa, CLSTM_NATIVE, 1), two = runtime_of(isa, CLSTM_NATIVE, 2);
    for (int kind = 0; kind < CLSTM_LOSS_COUNT; kind++)
        for (int i = 0; i < 5; i++)
            for (int variant = 0; variant < 3; variant++) {
                const struct problem in = make_problem((clstm_loss_kind)kind, dtype, sizes[i], variant);
                check_problem(&in, &one, &two);
                buffers_free();
            }
    char name[80];
    snprintf(name, sizeof name, "losses: %s %s", clstm_isa_name(isa), dtype_names[dtype]);
    group(name);
}

static clstm_status status_of(clstm_loss loss, clstm_batch batch, int threads) {
    clstm_runtime runtime = runtime_of(CLSTM_ISA_BASELINE, CLSTM_NATIVE, threads);
    const int64_t target[4] = {0, 1, 2, -7};
    const float x[8] = {0};
    float gradient[8] = {9};
    double value = 9, divisor = 9;
    const clstm_status status = clstm_loss_compute(&runtime, &loss, &batch, x, target, &value, &divisor, gradient);
    CHECK(!status || (value == 9 && divisor == 9 && gradient[0] == 9), "written in spite of status %d", status);
    return status;
}

static void check_statuses(void) {
    const ptrdiff_t lengths[] = {1, 3}, short_ones[] = {2, 1};
    const clstm_batch batch = {.N = 2, .T = 2}, empty = {.N = 0, .T = 1}, longer = {.N = 2, .T = 2, .lengths = lengths};
    const clstm_batch shorter = {.N = 2, .T = 2, .lengths = short_ones};
    const clstm_loss loss = {.kind = CLSTM_SQUARED, .dtype = CLSTM_F32, .features = 1};
    clstm_loss bad = loss;
    CHECK(status_of(loss, batch, 1) == CLSTM_OK, "good");
    CHECK(status_of(loss, batch, 0) == CLSTM_BAD_SIZE, "threads");
    CHECK(status_of(loss, empty, 1) == CLSTM_BAD_SIZE, "N");
    CHECK(status_of(loss, longer, 1) == CLSTM_BAD_LENGTH, "length");
    bad.features = 0;
    CHECK(status_of(bad, batch, 1) == CLSTM_BAD_SIZE, "features");
    bad.features = PTRDIFF_MAX / 4096;
    CHECK(status_of(bad, (clstm_batch){.N = 4096, .T = 4096}, 1) == CLSTM_TOO_LARGE, "elements");
    bad = loss;
    bad.kind = CLSTM_LOSS_COUNT;
    CHECK(status_of(bad, batch, 1) == CLSTM_BAD_OPTION, "kind");
    bad = loss;
    bad.dtype = (clstm_dtype)3;
    CHECK(status_of(bad, batch, 1) == CLSTM_BAD_OPTION, "dtype");
    bad = loss;
    bad.kind = CLSTM_QUANTILES;
    CHECK(status_of(bad, batch, 1) == CLSTM_BAD_SIZE, "quantiles");
    bad.kind = CLSTM_CLASSES;
    bad.features = 2;
    CHECK(status_of(bad, shorter, 1) == CLSTM_BAD_INDEX, "class 2 of 2");
    CHECK(status_of(bad, batch, 1) == CLSTM_BAD_INDEX, "class 2 of 2, before -7");
    bad.has_ignored = 1;
    bad.ignored = 2;
    CHECK(status_of(bad, shorter, 1) == CLSTM_OK, "class 2 is ignored, -7 beyond lengths");
    CHECK(status_of(bad, batch, 1) == CLSTM_BAD_INDEX, "class -7");
    group("losses: statuses");
}

int main(void) {
    for (int isa = 0; isa < CLSTM_ISA_COUNT; isa++)
        for (int dtype = CLSTM_F32; clstm_isa_available((clstm_isa)isa) && dtype <= CLSTM_F64; dtype++)
            check_isa((clstm_isa)isa, (clstm_dtype)dtype);
    check_statuses();
    clstm_threads_stop();
    return finish();
}
