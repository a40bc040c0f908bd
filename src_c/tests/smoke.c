/* Recurrent layers through the public header: cells and options, both precisions, every instruction set that runs here,
 * both backends, one and two threads, in exact-size buffers. The sizes include 1 and no multiple of any vector width.
 *
 * What must be equal to the bit is compared so: inference with training, one thread with two. What may differ by
 * rounding is compared with the baseline instruction set, native, on one thread, whose gradient in float64 is compared
 * with central differences of the loss  sum(dy y) + sum(dh h_final) + sum(dc c_final). */
#include "problem.h"

/* What the trace must say of itself, of y and of padding. */
static void check_trace(const struct inputs *in, const struct results *out, const void *tape) {
    const clstm_dtype dtype = in->stack.dtype;
    const ptrdiff_t N = in->batch.N, T = in->batch.T, H = in->stack.hidden_size, D = in->stack.directions;
    double worst = 0;
    int wrong = 0;
    for (ptrdiff_t d = 0; d < D; d++) {
        void *a[6]; /* i f g o c h */
        for (int k = 0; k < 6; k++) a[k] = constant_buffer(dtype, N * T * H, NAN);
        const clstm_trace trace = {{a[0], a[1], a[2], a[3]}, a[4], a[5]};
        const ptrdiff_t index = (in->stack.num_layers - 1) * D + d;
        CHECK(clstm_stack_read_tape(&in->stack, &in->batch, tape, index, &trace) == CLSTM_OK, "read_tape");
        for (ptrdiff_t q = 0; q < N * T * H; q++) {
            const ptrdiff_t j = q % H, t = q / H % T, n = q / H / T, length = length_of(&in->batch, n);
            const ptrdiff_t before = d == 0 ? t - 1 : t + 1;
            double v[6];
            for (int k = 0; k < 6; k++) v[k] = get(dtype, a[k], q);
            wrong += v[5] != get(dtype, out->data[Y], (n * T + t) * D * H + d * H + j);
            if (t >= length) {
                for (int k = 0; k < 6; k++) wrong += v[k] != 0;
                continue;
            }
            const double c_before = before < 0 || before >= length ? get(dtype, in->initial.c, (index * N + n) * H + j)
                                                                   : get(dtype, a[4], (n * T + before) * H + j);
            worst = fmax(worst, fabs(v[4] - (v[1] * c_before + v[0] * v[2])));
            worst = fmax(worst, fabs(v[5] - v[3] * tanh(v[4])));
        }
    }
    CHECK(wrong == 0, "%d of the trace differ from y, or are not zero beyond lengths", wrong);
    CHECK(worst < (dtype == CLSTM_F32 ? 1e-6 : 1e-14), "the trace misses its equations by %g", worst);
}

/* Forward, inference (which must give the same bits), trace, backward. */
static struct results run(const clstm_runtime *runtime, const struct inputs *in) {
    struct results out = make_results(in), same = make_results(in);
    clstm_stack_bytes bytes = {0};
    clstm_status status = clstm_stack_sizes(runtime, &in->stack, &in->batch, &bytes);
    CHECK(status == CLSTM_OK, "%s", clstm_status_message(status));
    void *tape = buffer(bytes.tape);
    status = clstm_stack_forward(runtime, &in->stack, &in->batch, in->weights, in->x, in->initial, y_of(in, &out),
                                 final_of(&out), tape, buffer(bytes.forward));
    CHECK(status == CLSTM_OK, "%s", clstm_status_message(status));
    status = clstm_stack_infer(runtime, &in->stack, &in->batch, in->weights, in->x, in->initial, y_of(in, &same),
                               final_of(&same), buffer(bytes.infer));
    CHECK(status == CLSTM_OK, "%s", clstm_status_message(status));
    for (int i = 0; i < FORWARD_RESULTS; i++) {
        const size_t size = (size_t)out.count[i] * size_of(in->stack.dtype);
        CHECK(memcmp(out.data[i], same.data[i], size) == 0, "%s of infer is not that of forward", result_name(i));
    }
    if (in->usual) check_trace(in, &out, tape);
    run_backward(runtime, in, &out, none, tape, bytes.backward);
    return out;
}

static void check_case(const struct inputs *in, clstm_isa isa, const struct results *expected) {
    const clstm_dtype dtype = in->stack.dtype;
    for (int backend = CLSTM_NATIVE; backend <= CLSTM_BLAS; backend++) {
        const clstm_runtime one_thread = runtime_of(isa, (clstm_backend)backend, 1);
        const clstm_runtime two_threads = runtime_of(isa, (clstm_backend)backend, 2);
        const struct results one = run(&one_thread, in), two = run(&two_threads, in);
        for (int i = 0; i < one.used; i++) {
            const char *name = result_name(i);
            const size_t size = (size_t)one.count[i] * size_of(dtype);
            CHECK(memcmp(one.data[i], two.data[i], size) == 0, "%s depends on the threads (%s)", name,
                  backend == CLSTM_BLAS ? "blas" : "native");
            const double error = distance(dtype, one.data[i], expected->data[i], one.count[i]);
            CHECK(error < (dtype == CLSTM_F32 ? 2e-5 : 1e-12), "%s is off by %g (%s)", name, error,
                  backend == CLSTM_BLAS ? "blas" : "native");
        }
    }
}

static double dot(const void *a, const void *b, ptrdiff_t count) {
    double sum = 0;
    for (ptrdiff_t i = 0; i < count; i++) sum += ((const double *)a)[i] * ((const double *)b)[i];
    return sum;
}

static double loss(const clstm_runtime *runtime, const struct inputs *in) {
    struct results out = make_results(in);
    clstm_stack_bytes bytes;
    clstm_stack_sizes(runtime, &in->stack, &in->batch, &bytes);
    clstm_stack_infer(runtime, &in->stack, &in->batch, in->weights, in->x, in->initial, y_of(in, &out), final_of(&out),
                      buffer(bytes.infer));
    double sum = dot(in->dfinal.h, out.data[H_FINAL], in->state_h);
    if (in->stack.cell == CLSTM_LSTM) sum += dot(in->dfinal.c, out.data[C_FINAL], in->state_c);
    const ptrdiff_t features = y_size(&in->stack);
    for (ptrdiff_t n = 0; n < in->batch.N; n++)
        for (ptrdiff_t t = 0; t < length_of(&in->batch, n); t++)
            sum += dot((const double *)in->dy.data + n * in->dy.stride_n + t * in->dy.stride_t,
                       (const double *)out.data[Y] + (n * in->batch.T + t) * features, features);
    return sum;
}

/* One element of an input against one of a gradient. */
static void check_derivative(const clstm_runtime *runtime, const struct inputs *in, const void *element, double found,
                             const char *name) {
    const double step = 1e-5;
    double *value = (double *)element;
    const double kept = *value;
    const int buffers_kept = buffers_used;
    *value = kept + step;
    const double above = loss(runtime, in);
    *value = kept - step;
    const double expected = (above - loss(runtime, in)) / (2 * step);
    *value = kept;
    while (buffers_used > buffers_kept) free(buffers[--buffers_used]);
    CHECK(fabs(found - expected) < 1e-7 * (1 + fabs(expected)), "%s is %.10g, not %.10g", name, found, expected);
}

/* Some elements of every gradient, the first and the last among them. */
static void check_gradient(const struct inputs *in, const struct results *out) {
    enum { SAMPLES = 5 };
    const clstm_runtime runtime = runtime_of(CLSTM_ISA_BASELINE, CLSTM_NATIVE, 1);
    const clstm_batch of_x = batch_of_x(in);
    for (int i = DX; i < out->used; i++) {
        if (i == DC && in->stack.cell != CLSTM_LSTM) continue;
        for (ptrdiff_t s = 0; s < SAMPLES && out->count[i] > 0; s++) {
            const ptrdiff_t q = s * (out->count[i] - 1) / (SAMPLES - 1);
            const ptrdiff_t I = in->stack.input_size, row = q / I, n = row / of_x.T, t = row % of_x.T;
            const double found = ((const double *)out->data[i])[q];
            const void *const *members =
                (const void *const *)&in->weights[i < GRADIENTS ? 0 : (i - GRADIENTS) / MEMBERS];
            if (i == DX && t >= length_of(&of_x, n)) {
                CHECK(found == 0, "dx is %g beyond lengths", found);
                continue;
            }
            const ptrdiff_t x_row = n * in->x.stride_n + t * in->x.stride_t;
            const double *from = i == DX   ? (const double *)in->x.data + x_row - row * I
                                 : i == DH ? in->initial.h
                                 : i == DC ? in->initial.c
                                           : members[(i - GRADIENTS) % MEMBERS];
            check_derivative(&runtime, in, from + q, i < GRADIENTS ? found : found - 0.5, result_name(i));
        }
    }
}

/* Absent states, biases and gradients count as zero, and what is not wanted changes nothing else. */
static void check_absent(clstm_dtype dtype, int variant, const struct dimensions *d) {
    const clstm_runtime runtime = runtime_of(clstm_isa_best(), CLSTM_AUTO, 2);
    struct inputs in = make_inputs(d, variant, dtype);
    in.initial = in.dfinal =
        (clstm_state){constant_buffer(dtype, in.state_h, 0), constant_buffer(dtype, in.state_c, 0)};
    for (ptrdiff_t l = 0; l < d->L * d->D; l++) {
        in.weights[l].b = constant_buffer(dtype, 4 * d->H, 0);
        in.weights[l].b_hn = constant_buffer(dtype, d->H, 0);
    }
    const struct results expected = run(&runtime, &in);

    struct results out = make_results(&in);
    clstm_gradients grads[MOST_LAYERS];
    for (ptrdiff_t l = 0; l < d->L * d->D; l++) {
        in.weights[l].b = in.weights[l].b_hn = NULL;
        memcpy(&grads[l], &out.data[GRADIENTS + MEMBERS * l], sizeof *grads);
        grads[l].b = grads[l].b_hn = NULL;
    }
    clstm_stack_bytes bytes;
    clstm_stack_sizes(&runtime, &in.stack, &in.batch, &bytes);
    void *tape = buffer(bytes.tape);
    CHECK(clstm_stack_forward(&runtime, &in.stack, &in.batch, in.weights, in.x, none, (clstm_sequence){0}, none, tape,
                              buffer(bytes.forward)) == CLSTM_OK,
          "forward");
    CHECK(clstm_stack_backward(&runtime, &in.stack, &in.batch, in.weights, in.x, in.dy, none, (clstm_sequence){0}, none,
                               grads, 0, none, tape, buffer(bytes.backward)) == CLSTM_OK,
          "backward");
    CHECK(clstm_stack_infer(&runtime, &in.stack, &in.batch, in.weights, in.x, none, y_of(&in, &out), none,
                            buffer(bytes.infer)) == CLSTM_OK,
          "infer");
    for (int i = 0; i < out.used; i++) {
        if (i != Y && (i < GRADIENTS || is_bias((i - GRADIENTS) % MEMBERS))) continue;
        CHECK(memcmp(out.data[i], expected.data[i], (size_t)out.count[i] * size_of(dtype)) == 0, "%s", result_name(i));
    }
    buffers_free();
}

/* Everything that is random, in buffers of exact size: the same bits for every number of threads, and others for another
 * seed; inference takes no notice. */
static void check_noise(const struct dimensions *d, int variant, clstm_dtype dtype) {
    struct inputs in = make_inputs(d, variant, dtype);
    int64_t *rows = buffer((size_t)d->N * sizeof *rows);
    for (ptrdiff_t n = 0; n < d->N; n++) rows[n] = 100 - n;
    clstm_noise noise = {.seed = 7, .rows = rows, .first_step = 3};
    in.batch.noise = &noise;
    in.stack.dropout = in.stack.recurrent_dropout = in.stack.weight_drop = in.stack.zoneout_h = 0.4;
    in.stack.zoneout_c = in.stack.cell == CLSTM_LSTM ? 0.3 : 0;
    in.stack.input_dropout = in.stack.input_noise = d->num ? 0 : 0.2;
    struct results out[3];
    for (int i = 0; i < 3; i++) {
        const clstm_runtime runtime = runtime_of(clstm_isa_best(), CLSTM_NATIVE, 1 + i);
        noise.seed = i < 2 ? 7 : 8;
        out[i] = make_results(&in);
        clstm_stack_bytes bytes;
        CHECK(clstm_stack_sizes(&runtime, &in.stack, &in.batch, &bytes) == CLSTM_OK, "sizes");
        void *tape = buffer(bytes.tape);
        CHECK(clstm_stack_forward(&runtime, &in.stack, &in.batch, in.weights, in.x, in.initial, y_of(&in, &out[i]),
                                  final_of(&out[i]), tape, buffer(bytes.forward)) == CLSTM_OK,
              "forward");
        run_backward(&runtime, &in, &out[i], none, tape, bytes.backward);
        struct results quiet = make_results(&in);
        CHECK(clstm_stack_infer(&runtime, &in.stack, &in.batch, in.weights, in.x, in.initial, y_of(&in, &quiet),
                                final_of(&quiet), buffer(bytes.infer)) == CLSTM_OK,
              "infer");
    }
    for (int i = 0; i < out[0].used; i++)
        CHECK(memcmp(out[0].data[i], out[1].data[i], (size_t)out[0].count[i] * size_of(dtype)) == 0, "%s by threads",
              result_name(i));
    CHECK(d->T * d->N * d->H < 100 ||
              memcmp(out[0].data[Y], out[2].data[Y], (size_t)out[0].count[Y] * size_of(dtype)) != 0,
          "another seed");
    buffers_free();
}

/* What the gradients of the states must say of themselves: in the last layer that of the last h is dy and that of the final
 * h, and nothing stands beyond lengths. */
static void check_last_flow(const struct inputs *in, const void *flow_h) {
    const clstm_dtype dtype = in->stack.dtype;
    const ptrdiff_t N = in->batch.N, T = in->batch.T, R = in->size_h, D = in->stack.directions;
    int wrong = 0;
    for (ptrdiff_t q = 0; q < D * N * T * R; q++) {
        const ptrdiff_t j = q % R, t = q / R % T, n = q / R / T % N, d = q / R / T / N,
                        length = length_of(&in->batch, n);
        const ptrdiff_t index = (in->stack.num_layers - 1) * D + d;
        const double found = get(dtype, flow_h, index * N * T * R + q % (N * T * R));
        if (t >= length) wrong += found != 0;
        if (t >= length || t != (d == 0 ? length - 1 : 0)) continue;
        const double expected = get(dtype, in->dy.data, n * in->dy.stride_n + t * in->dy.stride_t + d * R + j) +
                                get(dtype, in->dfinal.h, (index * N + n) * R + j);
        wrong += fabs(found - expected) > (dtype == CLSTM_F32 ? 1e-6 : 1e-14);
    }
    CHECK(wrong == 0, "%d of the gradients of h are wrong at the end, or are not zero beyond lengths", wrong);
}

/* The whole gradients of the states: the same bits for every number of threads, and without effect on other results. */
static void check_flow(const struct inputs *in, const struct results *expected) {
    const clstm_dtype dtype = in->stack.dtype;
    const ptrdiff_t count[] = {in->state_h * in->batch.T, in->state_c * in->batch.T};
    void *flow[4][2];
    for (int i = 0; i < 4; i++) {
        const clstm_runtime runtime = runtime_of(clstm_isa_best(), i < 2 ? CLSTM_NATIVE : CLSTM_BLAS, 1 + i % 2);
        struct results out = make_results(in);
        clstm_stack_bytes bytes;
        CHECK(clstm_stack_sizes(&runtime, &in->stack, &in->batch, &bytes) == CLSTM_OK, "sizes");
        void *tape = buffer(bytes.tape);
        CHECK(clstm_stack_forward(&runtime, &in->stack, &in->batch, in->weights, in->x, in->initial, y_of(in, &out),
                                  final_of(&out), tape, buffer(bytes.forward)) == CLSTM_OK,
              "forward");
        flow[i][0] = constant_buffer(dtype, count[0], NAN);
        flow[i][1] = in->stack.cell == CLSTM_LSTM ? constant_buffer(dtype, count[1], NAN) : NULL;
        run_backward(&runtime, in, &out, (clstm_state){flow[i][0], flow[i][1]}, tape, bytes.backward);
        for (int k = DX; k < out.used; k++) {
            const double error = distance(dtype, out.data[k], expected->data[k], out.count[k]);
            CHECK(error < (dtype == CLSTM_F32 ? 2e-5 : 1e-12), "%s is off by %g (flow)", result_name(k), error);
        }
        for (int k = 0; k < 2 && flow[i][k]; k++)
            CHECK(memcmp(flow[i][k], flow[i & 2][k], (size_t)count[k] * size_of(dtype)) == 0,
                  "flow depends on threads");
        if (!in->stack.merge && !in->stack.show_c) check_last_flow(in, flow[i][0]);
    }
}

static clstm_status status_of(const struct inputs *in, const clstm_runtime *runtime) {
    clstm_stack_bytes bytes;
    return clstm_stack_sizes(runtime, &in->stack, &in->batch, &bytes);
}

/* The status after one wrong value. */
#define EXPECT(lvalue, wrong, status)                                                              \
    do {                                                                                           \
        __typeof__(lvalue) kept = lvalue;                                                          \
        lvalue = wrong;                                                                            \
        const clstm_status found = status_of(&in, &runtime);                                       \
        CHECK(found == status, "%s = %s gives: %s", #lvalue, #wrong, clstm_status_message(found)); \
        lvalue = kept;                                                                             \
    } while (0)

static void check_statuses(void) {
    struct inputs in = make_inputs(&all_dimensions[2], 0, CLSTM_F32);
    clstm_runtime runtime = runtime_of(CLSTM_ISA_BASELINE, CLSTM_NATIVE, 1);
    ptrdiff_t *lengths = (ptrdiff_t *)in.batch.lengths;
    CHECK(status_of(&in, &runtime) == CLSTM_OK, "the case itself");
    EXPECT(in.stack.input_size, 0, CLSTM_BAD_SIZE);
    EXPECT(in.stack.hidden_size, -1, CLSTM_BAD_SIZE);
    EXPECT(in.stack.num_layers, 0, CLSTM_BAD_SIZE);
    EXPECT(in.batch.N, 0, CLSTM_BAD_SIZE);
    EXPECT(in.batch.T, 0, CLSTM_BAD_SIZE);
    EXPECT(runtime.threads, 0, CLSTM_BAD_SIZE);
    EXPECT(in.stack.hidden_size, PTRDIFF_MAX / 2, CLSTM_TOO_LARGE);
    EXPECT(in.stack.input_size, PTRDIFF_MAX / 2, CLSTM_TOO_LARGE);
    EXPECT(lengths[1], -1, CLSTM_BAD_LENGTH);
    EXPECT(lengths[4], in.batch.T + 1, CLSTM_BAD_LENGTH);
    in.batch.symbols = random_symbols(&in.batch, 1);
    EXPECT(in.batch.num, 0, CLSTM_BAD_SIZE);
    EXPECT(in.batch.num, PTRDIFF_MAX / 2, CLSTM_TOO_LARGE);
    in.batch.symbols = NULL;
    EXPECT(in.stack.dtype, (clstm_dtype)7, CLSTM_BAD_OPTION);
    EXPECT(in.stack.cell, CLSTM_CELL_COUNT, CLSTM_BAD_OPTION);
    EXPECT(in.stack.clip, NAN, CLSTM_BAD_OPTION);
    EXPECT(in.stack.gradient_clip, -1, CLSTM_BAD_OPTION);
    EXPECT(in.stack.gate_activation, CLSTM_EXP, CLSTM_BAD_OPTION);
    EXPECT(runtime.isa, CLSTM_ISA_COUNT, CLSTM_BAD_OPTION);
    in.stack.no_forget = 1;
    EXPECT(in.stack.coupled, 1, CLSTM_BAD_OPTION);
    in.stack.no_forget = 0, in.stack.peephole = 1;
    EXPECT(in.stack.cell, CLSTM_GRU, CLSTM_BAD_OPTION);
    EXPECT(in.stack.cell, CLSTM_RNN, CLSTM_BAD_OPTION);
    in.stack.peephole = 0;
    in.stack.no_forget = 1;
    EXPECT(in.stack.layer_norm, 1, CLSTM_BAD_OPTION);
    in.stack.no_forget = 0;
    EXPECT(in.stack.projection_size, -1, CLSTM_BAD_SIZE);
    EXPECT(in.stack.projection_size, PTRDIFF_MAX / 2, CLSTM_TOO_LARGE);
    EXPECT(in.stack.reset_before, 1, CLSTM_BAD_OPTION);
    in.stack.cell = CLSTM_GRU;
    EXPECT(in.stack.layer_norm, 1, CLSTM_BAD_OPTION);
    EXPECT(in.stack.projection_size, 3, CLSTM_BAD_OPTION);
    EXPECT(in.stack.output_activation, CLSTM_RELU, CLSTM_BAD_OPTION);
    EXPECT(in.stack.zoneout_c, 0.5, CLSTM_BAD_OPTION);
    in.stack.cell = CLSTM_RNN;
    EXPECT(in.stack.gate_activation, CLSTM_SIGMOID, CLSTM_BAD_OPTION);
    EXPECT(in.stack.dropout, 1, CLSTM_BAD_OPTION);
    EXPECT(in.stack.input_noise, -1, CLSTM_BAD_OPTION);
    in.stack.cell = CLSTM_LSTM;
    EXPECT(in.stack.go_backwards, in.stack.directions == 2, CLSTM_BAD_OPTION);
    EXPECT(runtime.backend, (clstm_backend)9, CLSTM_BAD_OPTION);
    EXPECT(in.stack.merge, CLSTM_MERGE_COUNT, CLSTM_BAD_OPTION);
    in.stack.directions = 1;
    EXPECT(in.stack.merge, CLSTM_MERGE_MEAN, CLSTM_BAD_OPTION);
    const clstm_status directions = (in.stack.directions = 3, status_of(&in, &runtime));
    CHECK(directions == CLSTM_BAD_SIZE || directions == CLSTM_BAD_OPTION, "directions = 3 gives %d", directions);
    buffers_free();
    group("lstm: statuses");
}

/* The last valid step of the longest row names a symbol that is none. */
static void check_wrong_symbol(void) {
    struct inputs in = make_inputs(&all_dimensions[7], 0, CLSTM_F32);
    const clstm_runtime runtime = runtime_of(CLSTM_ISA_BASELINE, CLSTM_NATIVE, 1);
    struct results out = make_results(&in);
    clstm_stack_bytes bytes;
    CHECK(clstm_stack_sizes(&runtime, &in.stack, &in.batch, &bytes) == CLSTM_OK, "sizes");
    int64_t *last = (int64_t *)in.batch.symbols + in.batch.lengths[0] - 1;
    for (*last = -1; *last <= 7; *last += 8) {
        const clstm_status status = clstm_stack_infer(&runtime, &in.stack, &in.batch, in.weights, in.x, in.initial,
                                                      y_of(&in, &out), final_of(&out), buffer(bytes.infer));
        CHECK(status == CLSTM_BAD_INDEX, "symbol %d of 7 gives: %s", (int)*last, clstm_status_message(status));
        CHECK(isnan(get(CLSTM_F32, out.data[Y], 0)), "y was written");
    }
    buffers_free();
    group("lstm: wrong symbols");
}

static void check_all(const struct dimensions *d, int variant, clstm_dtype dtype) {
    const struct inputs in = make_inputs(d, variant, dtype);
    const clstm_runtime baseline = runtime_of(CLSTM_ISA_BASELINE, CLSTM_NATIVE, 1);
    const struct results expected = run(&baseline, &in);
    for (int isa = 0; isa < CLSTM_ISA_COUNT; isa++)
        if (clstm_isa_available((clstm_isa)isa)) check_case(&in, (clstm_isa)isa, &expected);
    if (dtype == CLSTM_F64) check_gradient(&in, &expected);
    if (d->N < 20) check_flow(&in, &expected);
    buffers_free();
    check_absent(dtype, variant, d);
    if (d->N < 20) check_noise(d, variant, dtype);
    char name[100];
    snprintf(name, sizeof name, "%s: T%d N%d I%d H%d L%d D%d%s %s", variant_names[variant], (int)d->T, (int)d->N,
             (int)d->I, (int)d->H, (int)d->L, (int)d->D, d->num ? " symbols" : "", dtype_names[dtype]);
    group(name);
}

/* The plain LSTM with all sizes, the others with one; merges where there are two directions. */
static int is_run(int dimensions, int variant) {
    if (variants[variant].merge) return all_dimensions[dimensions].D == 2 && (dimensions + variant) % 3 == 0;
    return variant == 0 || dimensions == variant;
}

int main(void) {
    for (int i = 0; i < DIMENSIONS; i++)
        for (int variant = 0; variant < VARIANTS; variant++)
            for (int dtype = CLSTM_F32; dtype <= CLSTM_F64; dtype++)
                if (is_run(i, variant)) check_all(&all_dimensions[i], variant, (clstm_dtype)dtype);
    check_statuses();
    check_wrong_symbol();
    CHECK(!gemm_refused, "a gemm was called with sizes that a BLAS refuses");
    clstm_threads_stop();
    return finish();
}
