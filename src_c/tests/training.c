/* Losses, norms and activations through the public header, in exact-size buffers, against their
 * definitions in double. */
#include "../clstm_training.h"
#include "check.h"

static double tolerance(clstm_dtype dtype) { return dtype == CLSTM_F32 ? 1e-5 : 1e-13; }

static void bits_equal(clstm_dtype dtype, const void *a, const void *b, ptrdiff_t n, const char *name) {
    CHECK(memcmp(a, b, (size_t)n * size_of(dtype)) == 0, "%s depends on the threads", name);
}

static void *copy_of(clstm_dtype dtype, const void *data, ptrdiff_t n) {
    void *copy = buffer((size_t)n * size_of(dtype));
    memcpy(copy, data, (size_t)n * size_of(dtype));
    return copy;
}

/* ---- losses; [N,T] with lengths, N T F elements */

struct losses {
    clstm_dtype dtype;
    clstm_batch batch;
    ptrdiff_t F, valid; /* valid steps */
};

static struct losses make_losses(clstm_dtype dtype, const ptrdiff_t size[3], int with_lengths) {
    struct losses in = {dtype, {.N = size[0], .T = size[1]}, size[2], size[0] * size[1]};
    if (!with_lengths) return in;
    ptrdiff_t *lengths = buffer((size_t)size[0] * sizeof *lengths);
    in.valid = 0;
    for (ptrdiff_t n = 0; n < size[0]; n++) in.valid += lengths[n] = (2 * n + size[1]) % (size[1] + 1);
    in.batch.lengths = lengths;
    return in;
}

static int is_valid(const struct losses *in, ptrdiff_t q) {
    return in->batch.lengths == NULL || q % in->batch.T < in->batch.lengths[q / in->batch.T];
}

/* Random numbers, NaN beyond lengths. */
static void *random_steps(const struct losses *in) {
    const ptrdiff_t NT = in->batch.N * in->batch.T;
    void *data = random_buffer(in->dtype, NT * in->F, 2);
    for (ptrdiff_t i = 0; i < NT * in->F; i++)
        if (!is_valid(in, i / in->F)) set(in->dtype, data, i, NAN);
    return data;
}

static void check_loss(const struct losses *in, double loss, double expected, const void *gradient,
                       const double *expected_gradient) {
    CHECK(fabs(loss - expected) <= tolerance(in->dtype) * (1 + expected), "loss %g, not %g", loss, expected);
    double worst = 0;
    for (ptrdiff_t i = 0; i < in->batch.N * in->batch.T * in->F; i++) {
        const double error = fabs(get(in->dtype, gradient, i) - expected_gradient[i]);
        if (!(error <= worst)) worst = error == error ? error : INFINITY;
    }
    CHECK(worst <= tolerance(in->dtype), "the gradient is off by %g", worst);
}

static void check_mse(const struct losses *in, const clstm_runtime *one, const clstm_runtime *two) {
    const ptrdiff_t count = in->batch.N * in->batch.T * in->F;
    const double elements = (double)(in->valid > 0 ? in->valid * in->F : 1);
    void *a = random_steps(in), *b = random_steps(in), *g1 = constant_buffer(in->dtype, count, NAN);
    void *g2 = constant_buffer(in->dtype, count, NAN);
    double expected = 0, loss1 = NAN, loss2 = NAN, loss3 = NAN, *gradient = constant_buffer(CLSTM_F64, count, 0);
    for (ptrdiff_t i = 0; i < count; i++) {
        if (!is_valid(in, i / in->F)) continue;
        const double difference = get(in->dtype, a, i) - get(in->dtype, b, i);
        expected += difference * difference / elements;
        gradient[i] = 2 * difference / elements;
    }
    CHECK(clstm_mse(one, in->dtype, &in->batch, in->F, a, b, &loss1, g1) == CLSTM_OK, "mse");
    CHECK(clstm_mse(two, in->dtype, &in->batch, in->F, a, b, &loss2, g2) == CLSTM_OK, "mse");
    CHECK(clstm_mse(one, in->dtype, &in->batch, in->F, a, b, &loss3, NULL) == CLSTM_OK, "mse");
    CHECK(loss1 == loss2 && loss1 == loss3, "%.17g %.17g %.17g", loss1, loss2, loss3);
    bits_equal(in->dtype, g1, g2, count, "gradient of mse");
    check_loss(in, loss1, expected, g1, gradient);
}

static void check_cross_entropy(const struct losses *in, const clstm_runtime *one, const clstm_runtime *two) {
    const ptrdiff_t NT = in->batch.N * in->batch.T, C = in->F;
    void *logits = random_steps(in), *g1 = constant_buffer(in->dtype, NT * C, NAN);
    void *g2 = constant_buffer(in->dtype, NT * C, NAN);
    int64_t *target = buffer((size_t)NT * sizeof *target);
    double expected = 0, loss1 = NAN, loss2 = NAN, loss3 = NAN, *gradient = constant_buffer(CLSTM_F64, NT * C, 0);
    for (ptrdiff_t q = 0; q < NT; q++) {
        target[q] = is_valid(in, q) ? q * 7 % C : -99;
        if (!is_valid(in, q)) continue;
        double sum = 0;
        for (ptrdiff_t j = 0; j < C; j++) sum += exp(get(in->dtype, logits, q * C + j));
        expected += (log(sum) - get(in->dtype, logits, q * C + target[q])) / (double)in->valid;
        for (ptrdiff_t j = 0; j < C; j++)
            gradient[q * C + j] = (exp(get(in->dtype, logits, q * C + j)) / sum - (j == target[q])) / (double)in->valid;
    }
    CHECK(clstm_cross_entropy(one, in->dtype, &in->batch, C, logits, target, &loss1, g1) == CLSTM_OK, "cross entropy");
    CHECK(clstm_cross_entropy(two, in->dtype, &in->batch, C, logits, target, &loss2, g2) == CLSTM_OK, "cross entropy");
    CHECK(clstm_cross_entropy(one, in->dtype, &in->batch, C, logits, target, &loss3, NULL) == CLSTM_OK,
          "cross entropy");
    CHECK(loss1 == loss2 && loss1 == loss3, "%.17g %.17g %.17g", loss1, loss2, loss3);
    bits_equal(in->dtype, g1, g2, NT * C, "gradient of cross entropy");
    check_loss(in, loss1, expected, g1, gradient);

    if (in->valid == 0) return;
    ptrdiff_t last = NT - 1;
    while (!is_valid(in, last)) last--;
    const double before = get(in->dtype, g1, 0), loss_before = loss1;
    for (int wrong = 0; wrong < 2; wrong++) {
        target[last] = wrong ? C : -1;
        set(in->dtype, logits, 0, 9);
        CHECK(clstm_cross_entropy(two, in->dtype, &in->batch, C, logits, target, &loss1, g1) == CLSTM_BAD_INDEX,
              "class %d", (int)target[last]);
        CHECK(loss1 == loss_before && get(in->dtype, g1, 0) == before, "written in spite of a bad class");
    }
}

/* ---- flat buffers */

static void check_norm_and_scale(clstm_dtype dtype, ptrdiff_t n, const clstm_runtime *one, const clstm_runtime *two) {
    void *x = random_buffer(dtype, n, 3), *y = copy_of(dtype, x, n), *z = copy_of(dtype, x, n);
    double sum = 0, norm1 = NAN, norm2 = NAN;
    for (ptrdiff_t i = 0; i < n; i++) sum += get(dtype, x, i) * get(dtype, x, i);
    CHECK(clstm_global_norm(one, dtype, n, x, &norm1) == CLSTM_OK, "norm");
    CHECK(clstm_global_norm(two, dtype, n, x, &norm2) == CLSTM_OK, "norm");
    CHECK(norm1 == norm2, "the norm depends on the threads: %.17g %.17g", norm1, norm2);
    CHECK(fabs(norm1 - sqrt(sum)) < 1e-12 * sqrt(sum), "norm %.17g, not %.17g", norm1, sqrt(sum));
    CHECK(clstm_scale(one, dtype, n, y, 0.75) == CLSTM_OK && clstm_scale(two, dtype, n, z, 0.75) == CLSTM_OK, "scale");
    bits_equal(dtype, y, z, n, "scale");
    for (ptrdiff_t i = 0; i < n; i++) set(dtype, x, i, 0.75 * get(dtype, x, i));
    CHECK(distance(dtype, y, x, n) < tolerance(dtype), "scale");
}

/* ---- activations */

static double exact(int function, double x) {
    return function == CLSTM_EXP ? exp(x) : function == CLSTM_SIGMOID ? 1 / (1 + exp(-x)) : tanh(x);
}

static void check_activations(clstm_dtype dtype, ptrdiff_t n, const clstm_runtime *one, const clstm_runtime *two) {
    for (int i = 0; i < 3; i++) {
        const int function = (const int[]){CLSTM_EXP, CLSTM_SIGMOID, CLSTM_TANH}[i];
        void *x = random_buffer(dtype, n, 12), *y = constant_buffer(dtype, n, NAN), *z = copy_of(dtype, x, n);
        CHECK(clstm_activate(one, dtype, (clstm_activation)function, n, x, y) == CLSTM_OK, "activate");
        CHECK(clstm_activate(two, dtype, (clstm_activation)function, n, z, z) == CLSTM_OK, "activate in place");
        bits_equal(dtype, y, z, n, "activation, or on where its result goes,");
        double worst = 0;
        for (ptrdiff_t i = 0; i < n; i++) {
            const double expected = exact(function, get(dtype, x, i));
            const double error = fabs(get(dtype, y, i) - expected) / fabs(expected);
            if (!(error <= worst)) worst = error == error ? error : INFINITY;
        }
        CHECK(worst <= 4 * (dtype == CLSTM_F32 ? 0x1p-23 : 0x1p-52), "function %d is off by %g", function, worst);
        const double special[] = {NAN, INFINITY, -INFINITY};
        for (int k = 0; k < 3; k++) {
            const double expected = exact(function, special[k]);
            set(dtype, x, n - 1, special[k]);
            CHECK(clstm_activate(one, dtype, (clstm_activation)function, n, x, y) == CLSTM_OK, "activate");
            const double found = get(dtype, y, n - 1);
            CHECK(isnan(expected) ? isnan(found) : found == expected, "function %d of %g is %g", function, special[k],
                  found);
        }
    }
}

/* ---- statuses */

static void check_statuses(void) {
    clstm_runtime runtime = runtime_of(CLSTM_ISA_BASELINE, CLSTM_NATIVE, 1);
    const clstm_dtype f32 = CLSTM_F32, bad = (clstm_dtype)3;
    const ptrdiff_t lengths[] = {1, 3};
    const clstm_batch batch = {.N = 2, .T = 2}, empty = {.N = 0, .T = 1}, longer = {.N = 2, .T = 2, .lengths = lengths};
    const int64_t target[4] = {0};
    float x[4] = {0};
    double number;
    CHECK(clstm_mse(&runtime, f32, &empty, 1, x, x, &number, NULL) == CLSTM_BAD_SIZE, "N");
    CHECK(clstm_mse(&runtime, f32, &batch, 0, x, x, &number, NULL) == CLSTM_BAD_SIZE, "features");
    CHECK(clstm_mse(&runtime, f32, &longer, 1, x, x, &number, NULL) == CLSTM_BAD_LENGTH, "length");
    CHECK(clstm_mse(&runtime, bad, &batch, 1, x, x, &number, NULL) == CLSTM_BAD_OPTION, "dtype");
    CHECK(clstm_cross_entropy(&runtime, f32, &batch, 0, x, target, &number, NULL) == CLSTM_BAD_SIZE, "classes");
    CHECK(clstm_cross_entropy(&runtime, f32, &longer, 1, x, target, &number, NULL) == CLSTM_BAD_LENGTH, "length");
    CHECK(clstm_global_norm(&runtime, f32, -1, x, &number) == CLSTM_BAD_SIZE, "n");
    CHECK(clstm_scale(&runtime, bad, 4, x, 1) == CLSTM_BAD_OPTION, "dtype");
    CHECK(clstm_activate(&runtime, f32, CLSTM_USUAL, 4, x, x) == CLSTM_BAD_OPTION, "function");
    CHECK(clstm_activate(&runtime, f32, CLSTM_TANH, -1, x, x) == CLSTM_BAD_SIZE, "n");
    runtime.isa = CLSTM_ISA_COUNT;
    CHECK(clstm_scale(&runtime, f32, 4, x, 1) == CLSTM_BAD_OPTION, "isa");
    runtime.isa = CLSTM_ISA_BASELINE;
    runtime.threads = 0;
    CHECK(clstm_scale(&runtime, f32, 4, x, 1) == CLSTM_BAD_SIZE, "threads");
    group("training: statuses");
}

static void check_isa(clstm_isa isa, clstm_dtype dtype) {
    static const ptrdiff_t sizes[][3] = {{1, 1, 1}, {3, 4, 17}, {5, 1, 3}, {40, 9, 33}}, lengths[] = {1, 17, 70000};
    const clstm_runtime one = runtime_of(isa, CLSTM_NATIVE, 1), two = runtime_of(isa, CLSTM_NATIVE, 2);
    for (int i = 0; i < 8; i++) {
        const struct losses in = make_losses(dtype, sizes[i / 2], i % 2);
        check_mse(&in, &one, &two);
        check_cross_entropy(&in, &one, &two);
        buffers_free();
    }
    for (int i = 0; i < 3; i++) {
        check_norm_and_scale(dtype, lengths[i], &one, &two);
        check_activations(dtype, lengths[i], &one, &two);
        buffers_free();
    }
    char name[80];
    snprintf(name, sizeof name, "training: %s %s", clstm_isa_name(isa), dtype_names[dtype]);
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
