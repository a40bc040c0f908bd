/* Layer normalisation, dropout and gradients of activations through the public header, in exact-size buffers, against
 * their definitions. */
#include "check.h"

static double tolerance(clstm_dtype dtype) { return dtype == CLSTM_F32 ? 1e-5 : 1e-12; }

static clstm_sequence strided(clstm_dtype dtype, ptrdiff_t N, ptrdiff_t T, ptrdiff_t F, double scale) {
    const ptrdiff_t stride_t = F + 3, stride_n = T * stride_t + 1;
    return (clstm_sequence){random_buffer(dtype, (N - 1) * stride_n + (T - 1) * stride_t + F, scale), stride_n,
                            stride_t};
}

static double at(clstm_dtype dtype, clstm_sequence s, ptrdiff_t n, ptrdiff_t t, ptrdiff_t j) {
    return get(dtype, s.data, n * s.stride_n + t * s.stride_t + j);
}

/* ---- layer normalisation */

struct norm_case {
    clstm_dtype dtype;
    ptrdiff_t N, T, F;
    clstm_sequence x;
    void *gain, *bias, *dy;
};

struct norm_results {
    void *y, *dgain, *dbias;
    clstm_sequence dx;
};

static struct norm_results norm_buffers(const struct norm_case *in) {
    return (struct norm_results){
        .y = constant_buffer(in->dtype, in->N * in->T * in->F, NAN),
        .dgain = constant_buffer(in->dtype, in->F, 0.5),
        .dbias = constant_buffer(in->dtype, in->F, 0.5),
        .dx = strided(in->dtype, in->N, in->T, in->F, 0),
    };
}

static struct norm_results run_norm(const clstm_runtime *runtime, const struct norm_case *in) {
    const struct norm_results out = norm_buffers(in);
    const clstm_batch batch = {.N = in->N, .T = in->T};
    double *moments = constant_buffer(CLSTM_F64, in->N * in->T * 2, NAN);
    size_t bytes = 0;
    clstm_status status =
        clstm_layer_norm_forward(runtime, in->dtype, &batch, in->F, 1e-3, in->x, in->gain, in->bias, moments, out.y);
    CHECK(status == CLSTM_OK, "%s", clstm_status_message(status));
    CHECK(clstm_layer_norm_size(&batch, in->F, &bytes) == CLSTM_OK, "size");
    status = clstm_layer_norm_backward(runtime, in->dtype, &batch, in->F, in->x, in->gain, moments, in->dy, out.dx,
                                       in->gain ? out.dgain : NULL, out.dbias, buffer(bytes));
    CHECK(status == CLSTM_OK, "%s", clstm_status_message(status));
    status = clstm_layer_norm_backward(runtime, in->dtype, &batch, in->F, in->x, in->gain, moments, in->dy,
                                       (clstm_sequence){0}, NULL, NULL, buffer(bytes));
    CHECK(status == CLSTM_OK, "nothing wanted: %s", clstm_status_message(status));
    return out;
}

/* The gradient of sum(dy y) by its definition: dv_j / dx_k = r (delta_jk - 1/F - v_j v_k / F), v = (x - mean) r. */
static struct norm_results expected_norm(const struct norm_case *in) {
    const struct norm_results out = norm_buffers(in);
    double dgain[300] = {0}, dbias[300] = {0}, v[300];
    for (ptrdiff_t q = 0; q < in->N * in->T; q++) {
        const ptrdiff_t n = q / in->T, t = q % in->T, F = in->F;
        double mean = 0, variance = 0;
        for (ptrdiff_t j = 0; j < F; j++) mean += at(in->dtype, in->x, n, t, j) / (double)F;
        for (ptrdiff_t j = 0; j < F; j++) variance += pow(at(in->dtype, in->x, n, t, j) - mean, 2) / (double)F;
        const double r = 1 / sqrt(variance + 1e-3);
        for (ptrdiff_t j = 0; j < F; j++) {
            v[j] = (at(in->dtype, in->x, n, t, j) - mean) * r;
            const double gain = in->gain ? get(in->dtype, in->gain, j) : 1;
            const double bias = in->bias ? get(in->dtype, in->bias, j) : 0, dy = get(in->dtype, in->dy, q * F + j);
            set(in->dtype, out.y, q * F + j, gain * v[j] + bias);
            dgain[j] += v[j] * dy;
            dbias[j] += dy;
        }
        for (ptrdiff_t k = 0; k < F; k++) {
            double dx = 0;
            for (ptrdiff_t j = 0; j < F; j++)
                dx += get(in->dtype, in->dy, q * F + j) * (in->gain ? get(in->dtype, in->gain, j) : 1) * r *
                      ((j == k) - 1 / (double)F - v[j] * v[k] / (double)F);
            set(in->dtype, out.dx.data, n * out.dx.stride_n + t * out.dx.stride_t + k, dx);
        }
    }
    for (ptrdiff_t j = 0; j < in->F; j++) {
        if (in->gain) set(in->dtype, out.dgain, j, 0.5 + dgain[j]);
        set(in->dtype, out.dbias, j, 0.5 + dbias[j]);
    }
    return out;
}

static void check_norm(clstm_dtype dtype, const ptrdiff_t size[3], int plain) {
    const ptrdiff_t N = size[0], T = size[1], F = size[2];
    const struct norm_case in = {dtype,
                                 N,
                                 T,
                                 F,
                                 strided(dtype, N, T, F, 2),
                                 plain ? NULL : random_buffer(dtype, F, 1),
                                 plain ? NULL : random_buffer(dtype, F, 1),
                                 random_buffer(dtype, N * T * F, 1)};
    const struct norm_results expected = expected_norm(&in);
    const ptrdiff_t extent = (N - 1) * in.x.stride_n + (T - 1) * in.x.stride_t + F;
    struct norm_results out[2];
    for (int i = 0; i < 2; i++) {
        const clstm_runtime runtime = runtime_of(CLSTM_ISA_BASELINE, CLSTM_NATIVE, 1 + 2 * i);
        out[i] = run_norm(&runtime, &in);
    }
    const void *const found[] = {out[0].y, out[0].dx.data, out[0].dgain, out[0].dbias};
    const void *const again[] = {out[1].y, out[1].dx.data, out[1].dgain, out[1].dbias};
    const void *const wanted[] = {expected.y, expected.dx.data, expected.dgain, expected.dbias};
    const ptrdiff_t count[] = {N * T * F, extent, F, F};
    for (int i = 0; i < 4; i++) {
        const double error = distance(dtype, found[i], wanted[i], count[i]);
        CHECK(error < 20 * tolerance(dtype), "result %d of F %d is off by %g", i, (int)F, error);
        CHECK(distance(dtype, again[i], found[i], count[i]) == 0, "result %d depends on the threads", i);
    }
    buffers_free();
}

static void check_norm_statuses(void) {
    clstm_runtime runtime = runtime_of(CLSTM_ISA_BASELINE, CLSTM_NATIVE, 1);
    const clstm_batch batch = {.N = 1, .T = 2}, none = {.N = 1, .T = 0};
    float x[2 * 3] = {0}, y[2 * 3];
    double moments[4], scratch[8];
    size_t bytes;
    const clstm_sequence s = {x, 6, 3};
    const clstm_dtype f32 = CLSTM_F32;
    CHECK(clstm_layer_norm_forward(&runtime, f32, &batch, 3, 0.1, s, NULL, NULL, moments, y) == CLSTM_OK, "good");
    CHECK(clstm_layer_norm_forward(&runtime, f32, &none, 3, 0, s, NULL, NULL, moments, y) == CLSTM_BAD_SIZE, "T");
    CHECK(clstm_layer_norm_forward(&runtime, f32, &batch, 3, -1, s, NULL, NULL, moments, y) == CLSTM_BAD_OPTION,
          "epsilon");
    CHECK(clstm_layer_norm_size(&batch, 0, &bytes) == CLSTM_BAD_SIZE, "features");
    CHECK(clstm_layer_norm_backward(&runtime, (clstm_dtype)5, &batch, 3, s, NULL, moments, x, s, NULL, NULL, scratch) ==
              CLSTM_BAD_OPTION,
          "dtype");
    runtime.threads = 0;
    CHECK(clstm_layer_norm_forward(&runtime, f32, &batch, 3, 0, s, NULL, NULL, moments, y) == CLSTM_BAD_SIZE,
          "threads");
    group("layer normalisation: statuses");
}

/* ---- dropout */

enum { DROPOUT_SEED = 5 };

/* The mask of a stack with such dropout, or that on the input of its layer 0. */
static void *mask_of(clstm_dtype dtype, double rate, int once, int64_t row, ptrdiff_t step, ptrdiff_t n) {
    const clstm_stack stack = {.dtype = dtype,
                               .input_size = n,
                               .hidden_size = n,
                               .num_layers = 2,
                               .directions = 1,
                               .dropout = rate,
                               .input_dropout = rate};
    void *mask = constant_buffer(dtype, n, NAN);
    CHECK(clstm_stack_noise(&stack, once ? CLSTM_NOISE_INPUT : CLSTM_NOISE_DROPOUT, 1, DROPOUT_SEED, row, step, n,
                            mask) == CLSTM_OK,
          "mask");
    return mask;
}

static void check_dropout(clstm_dtype dtype, clstm_isa isa, int once, int random) {
    enum { N = 3, T = 5, F = 37 };
    static const int64_t rows[N] = {7, 1000000007, 2};
    const ptrdiff_t lengths[N] = {5, 0, 2};
    const clstm_noise noise = {.seed = DROPOUT_SEED, .rows = rows, .first_step = 11, .first_layer = 1};
    const clstm_batch batch = {.N = N, .T = T, .lengths = lengths, .noise = random ? &noise : NULL};
    const clstm_sequence x = strided(dtype, N, T, F, 1), y = strided(dtype, N, T, F, 1);
    for (int n = 0; n < N; n++)
        for (ptrdiff_t t = lengths[n]; t < T; t++) set(dtype, x.data, n * x.stride_n + t * x.stride_t, NAN);
    const clstm_runtime runtime = runtime_of(isa, CLSTM_NATIVE, 2);
    CHECK(clstm_dropout(&runtime, dtype, &batch, F, 0.4, once, x, y) == CLSTM_OK, "dropout");
    int wrong = 0, dropped = 0;
    for (int n = 0; n < N; n++)
        for (ptrdiff_t t = 0; t < T; t++) {
            const void *mask = random ? mask_of(dtype, 0.4, once, rows[n], 11 + t, F) : constant_buffer(dtype, F, 1);
            for (ptrdiff_t j = 0; j < F; j++) {
                const double expected = t < lengths[n] ? get(dtype, mask, j) * at(dtype, x, n, t, j) : 0;
                wrong += !(fabs(at(dtype, y, n, t, j) - expected) < tolerance(dtype));
                dropped += t < lengths[n] && get(dtype, mask, j) == 0;
            }
        }
    CHECK(wrong == 0, "%d elements are wrong", wrong);
    CHECK(random ? dropped > 40 && dropped < 170 : dropped == 0, "%d of 259 are dropped", dropped);
    buffers_free();
}

/* Steps of two rows side by side, and a hole that stays as it is. */
static void check_dropout_of_pieces(clstm_dtype dtype) {
    enum { F = 9 };
    static const int64_t rows[2] = {4, 9};
    const ptrdiff_t lengths[2] = {2, 3}, row[2] = {0, 0}, start[2] = {0, 3};
    const ptrdiff_t time[6] = {6, 7, 0, 1, 2, 3};
    const clstm_pieces pieces = {.rows = 1, .times = 6, .row = row, .start = start, .noise_time = time};
    const clstm_noise noise = {.seed = DROPOUT_SEED, .rows = rows, .first_layer = 1};
    const clstm_batch batch = {.N = 2, .T = 3, .lengths = lengths, .noise = &noise, .pieces = &pieces};
    const clstm_sequence x = {constant_buffer(dtype, 6 * F, 1), 6 * F, F};
    const clstm_sequence y = {constant_buffer(dtype, 6 * F, -1), 6 * F, F};
    const clstm_runtime runtime = runtime_of(CLSTM_ISA_BASELINE, CLSTM_NATIVE, 1);
    CHECK(clstm_dropout(&runtime, dtype, &batch, F, 0.5, 0, x, y) == CLSTM_OK, "dropout");
    for (ptrdiff_t t = 0; t < 6; t++) {
        const void *expected = t == 2 ? constant_buffer(dtype, F, -1) : mask_of(dtype, 0.5, 0, rows[t > 2], time[t], F);
        CHECK(distance(dtype, (char *)y.data + (size_t)(t * F) * size_of(dtype), expected, F) == 0, "step %d", (int)t);
    }
    buffers_free();
}

static void check_dropout_statuses(void) {
    const clstm_runtime runtime = runtime_of(CLSTM_ISA_BASELINE, CLSTM_NATIVE, 1);
    ptrdiff_t length = 2;
    const clstm_batch batch = {.N = 1, .T = 2, .lengths = &length};
    float x[2 * 3] = {0}, y[2 * 3];
    const clstm_sequence from = {x, 6, 3}, to = {y, 6, 3};
    CHECK(clstm_dropout(&runtime, CLSTM_F32, &batch, 3, 0, 0, from, to) == CLSTM_OK, "good");
    CHECK(clstm_dropout(&runtime, CLSTM_F32, &batch, 3, 1, 0, from, to) == CLSTM_BAD_OPTION, "rate");
    CHECK(clstm_dropout(&runtime, CLSTM_F32, &batch, 3, NAN, 0, from, to) == CLSTM_BAD_OPTION, "rate");
    CHECK(clstm_dropout(&runtime, CLSTM_F32, &batch, 0, 0.5, 0, from, to) == CLSTM_BAD_SIZE, "features");
    CHECK(clstm_dropout(&runtime, (clstm_dtype)2, &batch, 3, 0.5, 0, from, to) == CLSTM_BAD_OPTION, "dtype");
    length = 3;
    CHECK(clstm_dropout(&runtime, CLSTM_F32, &batch, 3, 0.5, 0, from, to) == CLSTM_BAD_LENGTH, "length");
    group("dropout: statuses");
}

/* ---- activations */

/* Against differences of the activation itself; z stays away from where it has no slope. */
static void check_activation(clstm_activation function) {
    enum { n = 70001 };
    const clstm_runtime one = runtime_of(CLSTM_ISA_BASELINE, CLSTM_NATIVE, 1),
                        three = runtime_of(CLSTM_ISA_BASELINE, CLSTM_NATIVE, 3);
    const clstm_dtype f64 = CLSTM_F64;
    const double step = 1e-5;
    double *z = random_buffer(f64, n, 4), *dy = random_buffer(f64, n, 1), *dz = constant_buffer(f64, n, NAN);
    double *y = buffer(n * sizeof *y), *above = buffer(n * sizeof *y), *below = buffer(n * sizeof *y);
    float *y32 = buffer(n * sizeof *y32), *dz32 = buffer(n * sizeof *dz32);
    for (int i = 0; i < n; i++) {
        const double corner[] = {0, 2.5, 3};
        for (int k = 0; k < 3; k++)
            if (fabs(fabs(z[i]) - corner[k]) < 1e-3) z[i] += z[i] < 0 ? -2e-3 : 2e-3;
        above[i] = z[i] + step, below[i] = z[i] - step;
    }
    CHECK(clstm_activate(&one, f64, function, n, z, y) == CLSTM_OK, "activate");
    CHECK(clstm_activate(&one, f64, function, n, above, above) == CLSTM_OK, "activate");
    CHECK(clstm_activate(&one, f64, function, n, below, below) == CLSTM_OK, "activate");
    CHECK(clstm_activate_backward(&one, f64, function, n, y, dy, dz) == CLSTM_OK, "backward");
    double error = 0, error32 = 0;
    for (int i = 0; i < n; i++) {
        error = fmax(error, fabs(dz[i] - dy[i] * (above[i] - below[i]) / (2 * step)) / (1 + fabs(y[i])));
        y32[i] = (float)y[i], dz32[i] = (float)dy[i];
    }
    CHECK(error < 1e-9, "activation %d: the slope is off by %g", (int)function, error);
    CHECK(clstm_activate_backward(&three, CLSTM_F32, function, n, y32, dz32, dz32) == CLSTM_OK, "in place");
    for (int i = 0; i < n; i++) error32 = fmax(error32, fabs((double)dz32[i] - dz[i]) / (1 + fabs(y[i])));
    CHECK(error32 < 1e-6, "activation %d: float is off by %g", (int)function, error32);
    double *again = constant_buffer(f64, n, NAN);
    CHECK(clstm_activate_backward(&three, f64, function, n, y, dy, again) == CLSTM_OK, "threads");
    CHECK(memcmp(again, dz, n * sizeof *dz) == 0, "activation %d depends on the threads", (int)function);
    buffers_free();
}

static void check_activation_statuses(void) {
    const clstm_runtime runtime = runtime_of(CLSTM_ISA_BASELINE, CLSTM_NATIVE, 1);
    float x[2] = {0};
    CHECK(clstm_activate_backward(&runtime, CLSTM_F32, CLSTM_TANH, 0, x, x, x) == CLSTM_OK, "nothing");
    CHECK(clstm_activate_backward(&runtime, CLSTM_F32, CLSTM_USUAL, 2, x, x, x) == CLSTM_BAD_OPTION, "function");
    CHECK(clstm_activate_backward(&runtime, CLSTM_F32, CLSTM_TANH, -1, x, x, x) == CLSTM_BAD_SIZE, "n");
    CHECK(clstm_activate_backward(&runtime, (clstm_dtype)9, CLSTM_TANH, 2, x, x, x) == CLSTM_BAD_OPTION, "dtype");
    group("activations: statuses");
}

int main(void) {
    static const ptrdiff_t norm_sizes[][3] = {{1, 1, 1}, {3, 4, 17}, {2, 5, 8}, {70, 3, 130}};
    for (size_t s = 0; s < sizeof norm_sizes / sizeof *norm_sizes; s++)
        for (int dtype = CLSTM_F32; dtype <= CLSTM_F64; dtype++)
            for (int plain = 0; plain < 2; plain++) check_norm((clstm_dtype)dtype, norm_sizes[s], plain);
    group("layer normalisation");
    check_norm_statuses();
    for (int dtype = CLSTM_F32; dtype <= CLSTM_F64; dtype++) {
        for (int isa = 0; isa < CLSTM_ISA_COUNT; isa++)
            for (int variant = 0; variant < 4 && clstm_isa_available((clstm_isa)isa); variant++)
                check_dropout((clstm_dtype)dtype, (clstm_isa)isa, variant & 1, variant >> 1);
        check_dropout_of_pieces((clstm_dtype)dtype);
    }
    group("dropout");
    check_dropout_statuses();
    for (int function = CLSTM_SIGMOID; function < CLSTM_ACTIVATION_COUNT; function++)
        check_activation((clstm_activation)function);
    group("activations");
    check_activation_statuses();
    clstm_threads_stop();
    return finish();
}
