/* Optimisers and clipping through the public header, in exact-size buffers, against their definitions in double. */
#include "../clstm_training.h"
#include "check.h"

enum { MOST_BUFFERS = 3, STEPS = 4 };

/* An optimiser with its options, and how many of its buffers are there. */
struct optimizer {
    const char *name;
    clstm_status (*step)(const clstm_runtime *, clstm_dtype, ptrdiff_t n, int64_t step, int variant, void *w,
                         const void *g, void *const *buffers);
    /* The same for one element. */
    void (*expected)(int64_t step, int variant, double *w, double g, double *const *buffers);
    int variants;
    unsigned (*buffers)(int variant); /* a bit for each of those that are not NULL */
};

/* ---- each optimiser twice: the call, and the formula for one element */

static clstm_sgd_options sgd_options(int64_t step, int variant) {
    return (clstm_sgd_options){
        0.1, variant & 1 ? 0.9 : 0, variant == 7 ? 0.25 : 0, variant & 2 ? 0.01 : 0, variant == 5, step};
}

static clstm_status sgd_step(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, int64_t step, int variant,
                             void *w, const void *g, void *const *buffers) {
    const clstm_sgd_options options = sgd_options(step, variant);
    return clstm_sgd(runtime, dtype, n, &options, w, g, buffers[0]);
}

static void sgd_expected(int64_t step, int variant, double *w, double g, double *const *buffers) {
    const clstm_sgd_options o = sgd_options(step, variant);
    g += o.weight_decay * *w;
    double m = g;
    if (buffers[0]) *buffers[0] = m = step == 1 ? g : o.momentum * *buffers[0] + (1 - o.dampening) * g;
    *w -= o.learning_rate * (o.nesterov ? g + o.momentum * m : m);
}

static unsigned sgd_buffers(int variant) { return variant & 1; }

static clstm_adam_options adam_options(int64_t step, int variant) {
    return (clstm_adam_options){0.01, 0.9, 0.999, 1e-8, variant & 1 ? 0.01 : 0, (variant & 2) != 0, step};
}

static clstm_status adam_step(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, int64_t step, int variant,
                              void *w, const void *g, void *const *buffers) {
    const clstm_adam_options options = adam_options(step, variant);
    return clstm_adam(runtime, dtype, n, &options, w, g, buffers[0], buffers[1], buffers[2]);
}

static void adam_expected(int64_t step, int variant, double *w, double g, double *const *buffers) {
    const clstm_adam_options o = adam_options(step, variant);
    const double unbias1 = 1 - pow(o.beta1, (double)step), unbias2 = 1 - pow(o.beta2, (double)step);
    if (o.decoupled) *w -= o.learning_rate * o.weight_decay * *w;
    else g += o.weight_decay * *w;
    *buffers[0] = o.beta1 * *buffers[0] + (1 - o.beta1) * g;
    *buffers[1] = o.beta2 * *buffers[1] + (1 - o.beta2) * g * g;
    if (buffers[2]) *buffers[2] = fmax(*buffers[2], *buffers[1]);
    *w -= o.learning_rate / unbias1 * *buffers[0] / (sqrt(*buffers[buffers[2] ? 2 : 1]) / sqrt(unbias2) + o.epsilon);
}

static unsigned adam_buffers(int variant) { return variant & 4 ? 7 : 3; }

static clstm_rmsprop_options rmsprop_options(int variant) {
    return (clstm_rmsprop_options){0.01, 0.9, 1e-4, variant & 2 ? 0.5 : 0, variant & 4 ? 0.01 : 0};
}

static clstm_status rmsprop_step(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, int64_t step,
                                 int variant, void *w, const void *g, void *const *buffers) {
    (void)step;
    const clstm_rmsprop_options options = rmsprop_options(variant);
    return clstm_rmsprop(runtime, dtype, n, &options, w, g, buffers[0], buffers[1], buffers[2]);
}

static void rmsprop_expected(int64_t step, int variant, double *w, double g, double *const *buffers) {
    (void)step;
    const clstm_rmsprop_options o = rmsprop_options(variant);
    g += o.weight_decay * *w;
    double v = *buffers[0] = o.alpha * *buffers[0] + (1 - o.alpha) * g * g;
    if (buffers[1]) {
        const double m = *buffers[1] = o.alpha * *buffers[1] + (1 - o.alpha) * g;
        v = fmax(v - m * m, 0);
    }
    double d = g / (sqrt(v) + o.epsilon);
    if (buffers[2]) *buffers[2] = d = o.momentum * *buffers[2] + d;
    *w -= o.learning_rate * d;
}

static unsigned rmsprop_buffers(int variant) { return 1u | (variant & 1 ? 2 : 0) | (variant & 2 ? 4 : 0); }

static clstm_adagrad_options adagrad_options(int64_t step, int variant) {
    return (clstm_adagrad_options){0.1, variant & 1 ? 0.3 : 0, 1e-10, variant & 2 ? 0.01 : 0, step};
}

static clstm_status adagrad_step(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, int64_t step,
                                 int variant, void *w, const void *g, void *const *buffers) {
    const clstm_adagrad_options options = adagrad_options(step, variant);
    return clstm_adagrad(runtime, dtype, n, &options, w, g, buffers[0]);
}

static void adagrad_expected(int64_t step, int variant, double *w, double g, double *const *buffers) {
    const clstm_adagrad_options o = adagrad_options(step, variant);
    g += o.weight_decay * *w;
    *buffers[0] += g * g;
    *w -= o.learning_rate / (1 + (double)(step - 1) * o.learning_rate_decay) * g / (sqrt(*buffers[0]) + o.epsilon);
}

static unsigned adagrad_buffers(int variant) { return variant >= 0; }

static clstm_asgd_options asgd_options(int64_t step, int variant) {
    return (clstm_asgd_options){0.1, variant & 1 ? 0.2 : 0, 0.75, variant & 2 ? 1 : 1e6, variant & 4 ? 0.01 : 0, step};
}

static clstm_status asgd_step(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, int64_t step, int variant,
                              void *w, const void *g, void *const *buffers) {
    const clstm_asgd_options options = asgd_options(step, variant);
    return clstm_asgd(runtime, dtype, n, &options, w, g, buffers[0]);
}

static void asgd_expected(int64_t step, int variant, double *w, double g, double *const *buffers) {
    const clstm_asgd_options o = asgd_options(step, variant);
    const double before = (double)(step - 1);
    const double rate = o.learning_rate / pow(1 + o.lambd * o.learning_rate * before, o.alpha);
    *w = (1 - o.lambd * rate) * *w - rate * (g + o.weight_decay * *w);
    if (buffers[0]) *buffers[0] += (*w - *buffers[0]) / fmax(1, before - o.t0);
}

static unsigned asgd_buffers(int variant) { return variant < 8; }

static const struct optimizer optimizers[] = {
    {"sgd", sgd_step, sgd_expected, 8, sgd_buffers},
    {"adam", adam_step, adam_expected, 8, adam_buffers},
    {"rmsprop", rmsprop_step, rmsprop_expected, 8, rmsprop_buffers},
    {"adagrad", adagrad_step, adagrad_expected, 4, adagrad_buffers},
    {"asgd", asgd_step, asgd_expected, 9, asgd_buffers},
};

/* ---- what holds for all of them */

static void compare(clstm_dtype dtype, const void *found, const double *expected, ptrdiff_t n, const char *name,
                    const char *what) {
    double worst = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        const double error = fabs(get(dtype, found, i) - expected[i]) / (1 + fabs(expected[i]));
        if (!(error <= worst)) worst = error == error ? error : INFINITY;
    }
    CHECK(worst < (dtype == CLSTM_F32 ? 1e-5 : 1e-13), "%s of %s is off by %g", what, name, worst);
}

/* The arrays of a run: the weights, then the buffers. */
struct arrays {
    void *w, *buffers[MOST_BUFFERS];
};

static struct arrays arrays_of(clstm_dtype dtype, ptrdiff_t n, const void *w, unsigned buffers) {
    struct arrays arrays = {buffer((size_t)n * size_of(dtype)), {NULL}};
    for (ptrdiff_t i = 0; i < n; i++) set(dtype, arrays.w, i, get(CLSTM_F64, w, i));
    for (int k = 0; k < MOST_BUFFERS; k++)
        if (buffers >> k & 1) arrays.buffers[k] = constant_buffer(dtype, n, 0);
    return arrays;
}

static void check_optimizer(const struct optimizer *optimizer, clstm_dtype dtype, ptrdiff_t n, int variant,
                            const clstm_runtime *one, const clstm_runtime *two) {
    const unsigned buffers = optimizer->buffers(variant);
    const void *start = random_buffer(CLSTM_F64, n, 1);
    const struct arrays a = arrays_of(dtype, n, start, buffers), b = arrays_of(dtype, n, start, buffers);
    struct arrays expected = arrays_of(CLSTM_F64, n, start, buffers);
    for (int64_t step = 1; step <= STEPS; step++) {
        const void *g = random_buffer(dtype, n, 1);
        CHECK(optimizer->step(one, dtype, n, step, variant, a.w, g, a.buffers) == CLSTM_OK, "%s", optimizer->name);
        CHECK(optimizer->step(two, dtype, n, step, variant, b.w, g, b.buffers) == CLSTM_OK, "%s", optimizer->name);
        for (ptrdiff_t i = 0; i < n; i++) {
            double *own[MOST_BUFFERS] = {NULL};
            for (int k = 0; k < MOST_BUFFERS; k++)
                if (expected.buffers[k]) own[k] = (double *)expected.buffers[k] + i;
            optimizer->expected(step, variant, (double *)expected.w + i, get(dtype, g, i), own);
        }
        compare(dtype, a.w, expected.w, n, optimizer->name, "w");
    }
    const size_t bytes = (size_t)n * size_of(dtype);
    CHECK(memcmp(a.w, b.w, bytes) == 0, "%s depends on the threads", optimizer->name);
    for (int k = 0; k < MOST_BUFFERS; k++) {
        if (a.buffers[k] == NULL) continue;
        compare(dtype, a.buffers[k], expected.buffers[k], n, optimizer->name, "a buffer");
        CHECK(memcmp(a.buffers[k], b.buffers[k], bytes) == 0, "%s depends on the threads", optimizer->name);
    }
}

/* ---- clipping */

static void check_clip(clstm_dtype dtype, ptrdiff_t n, const clstm_runtime *one, const clstm_runtime *two) {
    void *x = random_buffer(dtype, n, 3), *y = buffer((size_t)n * size_of(dtype));
    double *expected = constant_buffer(CLSTM_F64, n, 0);
    if (n > 3) set(dtype, x, 1, INFINITY), set(dtype, x, 2, -INFINITY);
    for (ptrdiff_t i = 0; i < n; i++) expected[i] = fmin(fmax(get(dtype, x, i), -0.75), 0.75);
    if (n > 3) set(dtype, x, 3, NAN);
    memcpy(y, x, (size_t)n * size_of(dtype));
    CHECK(clstm_clip(one, dtype, n, x, 0.75) == CLSTM_OK && clstm_clip(two, dtype, n, y, 0.75) == CLSTM_OK, "clip");
    CHECK(memcmp(x, y, (size_t)n * size_of(dtype)) == 0, "clip depends on the threads");
    if (n > 3) {
        CHECK(isnan(get(dtype, x, 3)), "NaN became %g", get(dtype, x, 3));
        set(dtype, x, 3, expected[3]);
    }
    compare(dtype, x, expected, n, "clip", "x");
}

static void check_clip_norms(clstm_dtype dtype, ptrdiff_t n, const clstm_runtime *one, const clstm_runtime *two) {
    const ptrdiff_t stops[] = {n / 3, n / 3, n / 2, n};
    void *x = random_buffer(dtype, n, 3), *y = buffer((size_t)n * size_of(dtype));
    memcpy(y, x, (size_t)n * size_of(dtype));
    double *expected = constant_buffer(CLSTM_F64, n, 0);
    for (int k = 0; k < 4; k++) {
        double sum = 0;
        const ptrdiff_t start = k ? stops[k - 1] : 0;
        for (ptrdiff_t i = start; i < stops[k]; i++) sum += get(dtype, x, i) * get(dtype, x, i);
        const double factor = fmin(1, 2 / (sqrt(sum) + 1e-6));
        for (ptrdiff_t i = start; i < stops[k]; i++) expected[i] = factor * get(dtype, x, i);
    }
    CHECK(clstm_clip_norms(one, dtype, 4, stops, x, 2) == CLSTM_OK, "clip norms");
    CHECK(clstm_clip_norms(two, dtype, 4, stops, y, 2) == CLSTM_OK, "clip norms");
    CHECK(memcmp(x, y, (size_t)n * size_of(dtype)) == 0, "clipping of norms depends on the threads");
    compare(dtype, x, expected, n, "clip norms", "x");
}

/* ---- statuses */

static void check_statuses(void) {
    clstm_runtime runtime = runtime_of(CLSTM_ISA_BASELINE, CLSTM_NATIVE, 1);
    const clstm_dtype f32 = CLSTM_F32, bad = (clstm_dtype)3;
    float x[4] = {0}, g[4] = {0}, m[4] = {0}, v[4] = {0};
    void *const buffers[] = {m, v, NULL}, *const none[] = {NULL, NULL, NULL};
    for (size_t k = 0; k < sizeof optimizers / sizeof *optimizers; k++) {
        const struct optimizer *it = &optimizers[k];
        CHECK(it->step(&runtime, f32, -1, 1, 0, x, g, buffers) == CLSTM_BAD_SIZE, "n of %s", it->name);
        CHECK(it->step(&runtime, bad, 4, 1, 0, x, g, buffers) == CLSTM_BAD_OPTION, "dtype of %s", it->name);
        CHECK(it->step(&runtime, f32, 0, 1, 0, x, g, buffers) == CLSTM_OK, "no elements of %s", it->name);
        if (it->step != rmsprop_step)
            CHECK(it->step(&runtime, f32, 4, 0, 0, x, g, buffers) == CLSTM_BAD_OPTION, "step of %s", it->name);
    }
    CHECK(sgd_step(&runtime, f32, 4, 1, 1, x, g, none) == CLSTM_BAD_OPTION, "no momentum buffer");
    CHECK(rmsprop_step(&runtime, f32, 4, 1, 2, x, g, buffers) == CLSTM_BAD_OPTION, "no velocity");
    const ptrdiff_t stops[] = {2, 1}, good[] = {1, 4};
    CHECK(clstm_clip(&runtime, f32, 4, x, 0) == CLSTM_BAD_OPTION, "limit");
    CHECK(clstm_clip(&runtime, f32, 4, x, NAN) == CLSTM_BAD_OPTION, "limit");
    CHECK(clstm_clip(&runtime, f32, -1, x, 1) == CLSTM_BAD_SIZE, "n");
    CHECK(clstm_clip_norms(&runtime, f32, 2, stops, x, 1) == CLSTM_BAD_SIZE, "stops");
    CHECK(clstm_clip_norms(&runtime, f32, 2, good, x, -1) == CLSTM_BAD_OPTION, "limit");
    CHECK(clstm_clip_norms(&runtime, bad, 2, good, x, 1) == CLSTM_BAD_OPTION, "dtype");
    group("optimizers: statuses");
}

static void check_isa(clstm_isa isa, clstm_dtype dtype) {
    static const ptrdiff_t lengths[] = {1, 17, 70000};
    const clstm_runtime one = runtime_of(isa, CLSTM_NATIVE, 1), two = runtime_of(isa, CLSTM_NATIVE, 2);
    for (int i = 0; i < 3; i++) {
        const ptrdiff_t n = lengths[i];
        for (size_t k = 0; k < sizeof optimizers / sizeof *optimizers; k++) {
            for (int variant = 0; variant < optimizers[k].variants; variant++)
                check_optimizer(&optimizers[k], dtype, n, variant, &one, &two);
            buffers_free();
        }
        check_clip(dtype, n, &one, &two);
        check_clip_norms(dtype, n, &one, &two);
        buffers_free();
    }
    char name[80];
    snprintf(name, sizeof name, "optimizers: %s %s", clstm_isa_name(isa), dtype_names[dtype]);
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
