/* Norms, scaling and activations of flat arrays through the public header, in exact-size buffers, against their
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
    float x[4] = {0};
    double number;
    CHECK(clstm_global_norm(&runtime, f32, -1, x, &number) == CLSTM_BAD_SIZE, "n");
    CHECK(clstm_scale(&runtime, bad, 4, x, 1) == CLSTM_BAD_OPTION, "dtype");
    CHECK(clstm_activate(&runtime, f32, CLSTM_USUAL, 4, x, x) == CLSTM_BAD_OPTION, "function");
    CHECK(clstm_activate(&runtime, f32, CLSTM_TANH, -1, x, x) == CLSTM_BAD_SIZE, "n");
    runtime.isa = CLSTM_ISA_COUNT;
    CHECK(clstm_scale(&runtime, f32, 4, x, 1) == CLSTM_BAD_OPTION, "isa");
    runtime.isa = CLSTM_ISA_BASELINE;
    runtime.threads = 0;
    CHECK(clstm_scale(&runtime, f32, 4, x, 1) == CLSTM_BAD_SIZE, "threads");
    group("flat: statuses");
}

static void check_isa(clstm_isa isa, clstm_dtype dtype) {
    static const ptrdiff_t lengths[] = {1, 17, 70000};
    const clstm_runtime one = runtime_of(isa, CLSTM_NATIVE, 1), two = runtime_of(isa, CLSTM_NATIVE, 2);
    for (int i = 0; i < 3; i++) {
        check_norm_and_scale(dtype, lengths[i], &one, &two);
        check_activations(dtype, lengths[i], &one, &two);
        buffers_free();
    }
    char name[80];
    snprintf(name, sizeof name, "flat: %s %s", clstm_isa_name(isa), dtype_names[dtype]);
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
