/* Problems for the test of recurrent layers: sizes, cells and options, what a call reads, and what it writes. */
#ifndef CLSTM_TESTS_PROBLEM_H
#define CLSTM_TESTS_PROBLEM_H

#include "check.h"

struct dimensions {
    ptrdiff_t T, N, I, H, L, D;
    int with_lengths;
    ptrdiff_t num; /* of symbols; 0: real numbers */
};

static const struct dimensions all_dimensions[] = {
    {1, 1, 1, 1, 1, 1, 0, 0},   {4, 3, 1, 17, 2, 2, 1, 0},  {7, 5, 3, 16, 2, 2, 1, 0},
    {3, 1, 20, 33, 1, 2, 0, 0}, {5, 19, 7, 40, 3, 1, 1, 0}, {12, 70, 24, 72, 1, 2, 1, 0},
    {3, 2, 5, 17, 2, 2, 0, 1},  {6, 5, 20, 16, 1, 1, 1, 7}, {9, 40, 3, 33, 1, 2, 1, 130},
};
enum { DIMENSIONS = sizeof all_dimensions / sizeof *all_dimensions, MOST_LAYERS = 4 };

/* The plain LSTM, and other cells and options of which every line is reached somewhere. */
static const clstm_stack variants[] = {
    {.cell = CLSTM_LSTM},
    {.cell = CLSTM_GRU},
    {.cell = CLSTM_RNN},
    {.cell = CLSTM_LSTM, .peephole = 1, .clip = 2, .cell_clip = 1.5, .gate_activation = CLSTM_HARD_SIGMOID},
    {.cell = CLSTM_LSTM, .coupled = 1, .peephole = 1, .output_activation = CLSTM_CENTERED_SIGMOID_1},
    {.cell = CLSTM_LSTM, .no_forget = 1, .candidate_activation = CLSTM_CENTERED_SIGMOID_2},
    {.cell = CLSTM_GRU, .clip = 2, .gate_activation = CLSTM_HARD_SIGMOID_FIFTH, .candidate_activation = CLSTM_IDENTITY},
    {.cell = CLSTM_RNN, .clip = 3, .candidate_activation = CLSTM_RELU},
    {.cell = CLSTM_GRU, .reset_before = 1, .merge = CLSTM_MERGE_MEAN},
    {.cell = CLSTM_LSTM, .projection_size = 9, .peephole = 1, .merge = CLSTM_MERGE_SUM},
    {.cell = CLSTM_LSTM, .layer_norm = 1, .coupled = 1},
    {.cell = CLSTM_LSTM, .layer_norm = 1, .projection_size = 5, .cell_clip = 1.5, .merge = CLSTM_MERGE_PRODUCT},
    {.cell = CLSTM_LSTM, .projection_size = 7, .peephole = 1, .show_c = 1, .merge = CLSTM_MERGE_MEAN},
    {.cell = CLSTM_LSTM, .layer_norm = 1, .projection_size = 9, .show_c = 1},
};
enum { VARIANTS = sizeof variants / sizeof *variants };
static const char *const variant_names[VARIANTS] = {"lstm",
                                                    "gru",
                                                    "rnn",
                                                    "lstm peephole",
                                                    "coupled",
                                                    "no forget",
                                                    "gru, others",
                                                    "relu",
                                                    "reset before, mean",
                                                    "projection, sum",
                                                    "layer norm",
                                                    "layer norm, projection, product",
                                                    "projection, mean, y is c",
                                                    "layer norm, projection, y is c"};

/* Everything a case reads. x and dy have gaps between their rows; beyond lengths they are NaN. */
struct inputs {
    clstm_stack stack;
    clstm_batch batch;
    clstm_weights weights[MOST_LAYERS];
    clstm_sequence x, dy; /* x of symbols: one row with a step for each */
    clstm_state initial, dfinal;
    ptrdiff_t size_h, state_h, state_c; /* elements of h in a step, of h and c in a state */
    int usual;                          /* a plain LSTM */
};

/* Everything a case writes, as a list, so that two of them can be compared in a loop. */
enum {
    Y,
    H_FINAL,
    C_FINAL,
    FORWARD_RESULTS,
    DX = FORWARD_RESULTS,
    DH,
    DC,
    GRADIENTS,
    MEMBERS = 10,
    MOST_RESULTS = GRADIENTS + 4 * MEMBERS
};
static const char *const result_names[] = {"y",        "h",        "c",       "dx",     "dh0",       "dc0",
                                           "dw_ih",    "dw_hh",    "db",      "db_hn",  "dpeephole", "dw_hr",
                                           "dgain_ih", "dgain_hh", "dgain_c", "dbias_c"};
struct results {
    int used;
    void *data[MOST_RESULTS];
    ptrdiff_t count[MOST_RESULTS];
};

static const char *result_name(int i) {
    return result_names[i < GRADIENTS ? i : GRADIENTS + (i - GRADIENTS) % MEMBERS];
}

static ptrdiff_t length_of(const clstm_batch *batch, ptrdiff_t n) {
    return batch->lengths ? batch->lengths[n] : batch->T;
}

static ptrdiff_t size_of_h(const clstm_stack *stack) {
    return stack->projection_size ? stack->projection_size : stack->hidden_size;
}

static ptrdiff_t output_size(const clstm_stack *stack) {
    return (stack->merge ? 1 : stack->directions) * size_of_h(stack);
}

/* Features of y. */
static ptrdiff_t y_size(const clstm_stack *stack) {
    return stack->show_c ? (stack->merge ? 1 : stack->directions) * stack->hidden_size : output_size(stack);
}

static ptrdiff_t input_size(const clstm_stack *stack, ptrdiff_t index) {
    return index < stack->directions ? stack->input_size : output_size(stack);
}

static int gates_of(const clstm_stack *stack) {
    if (stack->cell == CLSTM_LSTM) return stack->coupled || stack->no_forget ? 3 : 4;
    return stack->cell == CLSTM_GRU ? 3 : 1;
}

/* Elements of member `member` of clstm_weights. */
static ptrdiff_t member_count(const clstm_stack *stack, ptrdiff_t index, int member) {
    const ptrdiff_t H = stack->hidden_size, rows = gates_of(stack) * H, norm = stack->layer_norm;
    const ptrdiff_t second = stack->cell == CLSTM_GRU && !stack->reset_before;
    const ptrdiff_t counts[MEMBERS] = {rows * input_size(stack, index),
                                       rows * size_of_h(stack),
                                       rows,
                                       second * H,
                                       stack->peephole ? rows - H : 0,
                                       stack->projection_size * H,
                                       norm * rows,
                                       norm * rows,
                                       norm * H,
                                       norm * H};
    return counts[member];
}

static int is_bias(int member) { return member == 2 || member == 3; }

/* A strided sequence of random numbers, NaN beyond lengths. */
static clstm_sequence random_sequence(clstm_dtype dtype, const clstm_batch *batch, ptrdiff_t features) {
    const ptrdiff_t stride_t = features + 1, stride_n = batch->T * stride_t + 2;
    const ptrdiff_t count = (batch->N - 1) * stride_n + (batch->T - 1) * stride_t + features;
    void *data = random_buffer(dtype, count, 1);
    for (ptrdiff_t n = 0; n < batch->N; n++)
        for (ptrdiff_t t = length_of(batch, n); t < batch->T; t++)
            for (ptrdiff_t j = 0; j < features; j++) set(dtype, data, n * stride_n + t * stride_t + j, NAN);
    return (clstm_sequence){data, stride_n, stride_t};
}

static clstm_sequence dense_sequence(void *data, ptrdiff_t T, ptrdiff_t features) {
    return (clstm_sequence){data, T * features, features};
}

/* Any symbols; -1 beyond lengths. */
static const int64_t *random_symbols(const clstm_batch *batch, ptrdiff_t num) {
    int64_t *symbols = buffer((size_t)(batch->N * batch->T) * sizeof *symbols);
    for (ptrdiff_t q = 0; q < batch->N * batch->T; q++) {
        const int64_t symbol = (int64_t)((random_number() + 1) / 2 * (double)num);
        symbols[q] = q % batch->T >= length_of(batch, q / batch->T) ? -1 : symbol < num ? symbol : num - 1;
    }
    return symbols;
}

/* N and T of x, or of the vectors of the symbols. */
static clstm_batch batch_of_x(const struct inputs *in) {
    return in->batch.symbols ? (clstm_batch){.N = 1, .T = in->batch.num} : in->batch;
}

static struct inputs make_inputs(const struct dimensions *d, int variant, clstm_dtype dtype) {
    struct inputs in = {.stack = variants[variant], .batch = {.N = d->N, .T = d->T, .num = d->num}};
    in.stack.dtype = dtype;
    in.stack.input_size = d->I, in.stack.hidden_size = d->H, in.stack.num_layers = d->L, in.stack.directions = d->D;
    if (d->with_lengths) {
        ptrdiff_t *lengths = buffer((size_t)d->N * sizeof *lengths);
        for (ptrdiff_t n = 0; n < d->N; n++) lengths[n] = (d->T + n * (d->T - 1)) % (d->T + 1); /* T, T-2, .., also 0 */
        in.batch.lengths = lengths;
    }
    if (d->num) in.batch.symbols = random_symbols(&in.batch, d->num);
    const clstm_batch of_x = batch_of_x(&in);
    in.x = random_sequence(dtype, &of_x, d->I);
    in.size_h = size_of_h(&in.stack);
    in.dy = random_sequence(dtype, &in.batch, y_size(&in.stack));
    in.state_h = d->L * d->D * d->N * in.size_h, in.state_c = d->L * d->D * d->N * d->H;
    in.usual = variant == 0;
    in.initial = (clstm_state){random_buffer(dtype, in.state_h, 1), random_buffer(dtype, in.state_c, 1)};
    in.dfinal = (clstm_state){random_buffer(dtype, in.state_h, 1), random_buffer(dtype, in.state_c, 1)};
    for (ptrdiff_t l = 0; l < d->L * d->D; l++) {
        const ptrdiff_t width = input_size(&in.stack, l);
        const double scales[MEMBERS] = {
            1 / sqrt((double)width), 1 / sqrt((double)in.size_h), 1, 1, 1, 1 / sqrt((double)d->H), 1, 1, 1, 1};
        for (int member = 0; member < MEMBERS; member++)
            ((const void **)&in.weights[l])[member] =
                random_buffer(dtype, member_count(&in.stack, l, member), scales[member]);
    }
    return in;
}

static void *add_result(struct results *out, clstm_dtype dtype, ptrdiff_t count, double value) {
    out->count[out->used] = count;
    return out->data[out->used++] = constant_buffer(dtype, count, value);
}

/* Buffers of NaN; gradients of weights, which are accumulated, start at 0.5. */
static struct results make_results(const struct inputs *in) {
    const clstm_dtype dtype = in->stack.dtype;
    const ptrdiff_t NT = in->batch.N * in->batch.T, D = in->stack.directions;
    const ptrdiff_t c = in->stack.cell == CLSTM_LSTM ? in->state_c : 0;
    struct results out = {0};
    add_result(&out, dtype, NT * y_size(&in->stack), NAN);
    add_result(&out, dtype, in->state_h, NAN);
    add_result(&out, dtype, c, NAN);
    add_result(&out, dtype, batch_of_x(in).N * batch_of_x(in).T * in->stack.input_size, NAN);
    add_result(&out, dtype, in->state_h, NAN);
    add_result(&out, dtype, c, NAN);
    for (ptrdiff_t l = 0; l < in->stack.num_layers * D; l++) {
        for (int member = 0; member < MEMBERS; member++)
            add_result(&out, dtype, member_count(&in->stack, l, member), 0.5);
    }
    return out;
}

static clstm_sequence y_of(const struct inputs *in, const struct results *out) {
    return dense_sequence(out->data[Y], in->batch.T, y_size(&in->stack));
}

static clstm_state final_of(const struct results *out) { return (clstm_state){out->data[H_FINAL], out->data[C_FINAL]}; }

static const clstm_state none = {NULL, NULL};

static void run_backward(const clstm_runtime *runtime, const struct inputs *in, struct results *out, clstm_state flow,
                         void *tape, size_t bytes) {
    clstm_gradients grads[MOST_LAYERS];
    for (int l = 0; GRADIENTS + MEMBERS * l < out->used; l++)
        memcpy(&grads[l], &out->data[GRADIENTS + MEMBERS * l], sizeof *grads);
    const clstm_status status =
        clstm_stack_backward(runtime, &in->stack, &in->batch, in->weights, in->x, in->dy, in->dfinal,
                             dense_sequence(out->data[DX], batch_of_x(in).T, in->stack.input_size),
                             (clstm_state){out->data[DH], out->data[DC]}, grads, 0, flow, tape, buffer(bytes));
    CHECK(status == CLSTM_OK, "%s", clstm_status_message(status));
}

#endif
