/* Batches of pieces: the same sequences as rows of an array with lengths, side by side in one long row, and with holes,
 * must give the same bits everywhere, also of what is random; nothing else may be read or written. And single rows of a
 * stream that begin anew. */
#include "check.h"

enum { N = 5, T = 9, I = 7, NUM = 6, MOST_LAYERS = 4, MEMBERS = 10, RESULTS = 6 };
static const ptrdiff_t all_lengths[N] = {4, 9, 0, 1, 9};

struct problem {
    clstm_stack stack;
    clstm_weights weights[MOST_LAYERS];
    clstm_state initial, dfinal;
    clstm_noise noise;
    void *x, *dy; /* [N,T,..], NaN beyond lengths */
    int64_t *symbols;
    ptrdiff_t state_h, state_c; /* elements of h and c */
};

static ptrdiff_t layers_of(const clstm_stack *stack) { return stack->num_layers * stack->directions; }

static ptrdiff_t size_h(const clstm_stack *stack) {
    return stack->projection_size ? stack->projection_size : stack->hidden_size;
}

static ptrdiff_t features_of(const clstm_stack *stack) {
    return stack->merge ? size_h(stack) : stack->directions * size_h(stack);
}

static ptrdiff_t member_count(const clstm_stack *stack, ptrdiff_t index, int member) {
    const ptrdiff_t H = stack->hidden_size, R = size_h(stack), norm = stack->layer_norm;
    const ptrdiff_t gates = stack->cell == CLSTM_LSTM ? 4 : stack->cell == CLSTM_GRU ? 3 : 1, rows = gates * H;
    const ptrdiff_t width = index < stack->directions ? stack->input_size : features_of(stack);
    const ptrdiff_t counts[MEMBERS] = {rows * width,
                                       rows * R,
                                       rows,
                                       stack->cell == CLSTM_GRU && !stack->reset_before ? H : 0,
                                       stack->peephole ? 3 * H : 0,
                                       stack->projection_size * H,
                                       rows * norm,
                                       rows * norm,
                                       H * norm,
                                       H * norm};
    return counts[member];
}

static void *random_steps(clstm_dtype dtype, ptrdiff_t features) {
    void *data = random_buffer(dtype, N * T * features, 1);
    for (ptrdiff_t n = 0; n < N; n++)
        for (ptrdiff_t j = all_lengths[n] * features; j < T * features; j++)
            set(dtype, data, n * T * features + j, NAN);
    return data;
}

static struct problem make_problem(clstm_stack stack, int with_symbols) {
    struct problem p = {.stack = stack, .noise = {.seed = 7, .first_step = 2}};
    const clstm_dtype dtype = stack.dtype;
    p.state_h = layers_of(&stack) * N * size_h(&stack), p.state_c = layers_of(&stack) * N * stack.hidden_size;
    for (ptrdiff_t l = 0; l < layers_of(&stack); l++)
        for (int member = 0; member < MEMBERS; member++)
            ((const void **)&p.weights[l])[member] = random_buffer(dtype, member_count(&stack, l, member), 0.3);
    p.initial = (clstm_state){random_buffer(dtype, p.state_h, 1), random_buffer(dtype, p.state_c, 1)};
    p.dfinal = (clstm_state){random_buffer(dtype, p.state_h, 1), random_buffer(dtype, p.state_c, 1)};
    p.x = with_symbols ? random_buffer(dtype, NUM * I, 1) : random_steps(dtype, I);
    p.dy = random_steps(dtype, features_of(&stack));
    if (with_symbols) {
        p.symbols = buffer(N * T * sizeof *p.symbols);
        for (ptrdiff_t q = 0; q < N * T; q++) p.symbols[q] = q % T < all_lengths[q / T] ? q * 5 % NUM : -1;
    }
    return p;
}

/* y, final h and c, dx, initial dh and dc, and the gradients of the weights; the arrays [rows,times,..] of a batch. And
 * what a look into backward shows, [layers,rows,times,..]. */
struct results {
    clstm_state flow;
    void *data[RESULTS + MOST_LAYERS * MEMBERS];
    ptrdiff_t count[RESULTS + MOST_LAYERS * MEMBERS];
    int used;
};

static void *add_result(struct results *out, clstm_dtype dtype, ptrdiff_t count, double value) {
    out->count[out->used] = count;
    return out->data[out->used++] = constant_buffer(dtype, count, value);
}

/* The h of the last layer and direction, from the tape, are the last features of y that is not merged; where there is
 * nothing, NaN. */
static void check_trace(const struct problem *p, const clstm_batch *batch, const void *tape, const void *y,
                        ptrdiff_t steps) {
    const clstm_dtype dtype = p->stack.dtype;
    const ptrdiff_t H = size_h(&p->stack), F = features_of(&p->stack);
    clstm_trace trace = {.h = constant_buffer(dtype, steps * H, NAN)};
    int wrong = 0;
    CHECK(clstm_stack_read_tape(&p->stack, batch, tape, layers_of(&p->stack) - 1, &trace) == CLSTM_OK, "read_tape");
    for (ptrdiff_t q = 1; q <= steps && !p->stack.merge; q++) {
        const double a = get(dtype, y, q * F - 1), b = get(dtype, trace.h, q * H - 1);
        wrong += a != b && !(isnan(a) && isnan(b));
    }
    CHECK(wrong == 0, "the trace differs from y in %d steps", wrong);
}

static struct results run(const struct problem *p, const clstm_runtime *runtime, clstm_batch batch, const void *x,
                          const void *dy) {
    const clstm_dtype dtype = p->stack.dtype;
    const ptrdiff_t rows = batch.pieces ? batch.pieces->rows : N, times = batch.pieces ? batch.pieces->times : T;
    const ptrdiff_t F = features_of(&p->stack);
    struct results out = {0};
    clstm_gradients grads[MOST_LAYERS];
    clstm_stack_bytes bytes = {0};
    const clstm_sequence y = {add_result(&out, dtype, rows * times * F, NAN), times * F, F};
    const clstm_state final = {add_result(&out, dtype, p->state_h, 0), add_result(&out, dtype, p->state_c, 0)};
    const ptrdiff_t dx_count = batch.symbols ? NUM * I : rows * times * I;
    const clstm_sequence dx = {add_result(&out, dtype, dx_count, NAN), times * I, I};
    const clstm_state dinitial = {add_result(&out, dtype, p->state_h, 0), add_result(&out, dtype, p->state_c, 0)};
    for (ptrdiff_t l = 0; l < layers_of(&p->stack); l++)
        for (int member = 0; member < MEMBERS; member++)
            ((void **)&grads[l])[member] = add_result(&out, dtype, member_count(&p->stack, l, member), 0);
    CHECK(clstm_stack_sizes(runtime, &p->stack, &batch, &bytes) == CLSTM_OK, "sizes");
    void *tape = buffer(bytes.tape);
    const clstm_sequence x_ = {(void *)x, times * I, I}, dy_ = {(void *)dy, times * F, F};
    CHECK(clstm_stack_forward(runtime, &p->stack, &batch, p->weights, x_, p->initial, y, final, tape,
                              buffer(bytes.forward)) == CLSTM_OK,
          "forward");
    check_trace(p, &batch, tape, y.data, rows * times);
    const ptrdiff_t steps = layers_of(&p->stack) * rows * times;
    out.flow.h = constant_buffer(dtype, steps * size_h(&p->stack), NAN);
    if (p->stack.cell == CLSTM_LSTM) out.flow.c = constant_buffer(dtype, steps * p->stack.hidden_size, NAN);
    CHECK(clstm_stack_backward(runtime, &p->stack, &batch, p->weights, x_, dy_, p->dfinal, dx, dinitial, grads, 4,
                               out.flow, tape, buffer(bytes.backward)) == CLSTM_OK,
          "backward");
    return out;
}

/* Where pieces are: in a long row, with a step of nobody between them, or in rows of their own with holes. */
static clstm_pieces make_pieces(int holes) {
    clstm_pieces pieces = {.rows = holes ? N : 1, .times = holes ? 2 * T + 1 : N * (T + 1)};
    ptrdiff_t *row = buffer(N * sizeof *row), *start = buffer(N * sizeof *start), *time = buffer(T * sizeof *time);
    ptrdiff_t *noise_time = buffer((size_t)(pieces.rows * pieces.times) * sizeof *noise_time);
    for (ptrdiff_t s = 0; s < T; s++) time[s] = 2 * s + 1;
    for (ptrdiff_t q = 0; q < pieces.rows * pieces.times; q++)
        noise_time[q] = holes ? (q % pieces.times - 1) / 2 : q % (T + 1);
    for (ptrdiff_t n = 0; n < N; n++) row[n] = holes ? n : 0, start[n] = holes ? 0 : n * (T + 1);
    pieces.row = row, pieces.start = start, pieces.time = holes ? time : NULL, pieces.noise_time = noise_time;
    return pieces;
}

static ptrdiff_t place(const clstm_pieces *pieces, ptrdiff_t n, ptrdiff_t s) {
    const ptrdiff_t q = pieces->start[n] + s;
    return pieces->row[n] * pieces->times + (pieces->time ? pieces->time[q] : q);
}

/* Steps [N,T,features] at the places of the pieces, NaN elsewhere. */
static void *placed(clstm_dtype dtype, const void *from, const clstm_pieces *pieces, ptrdiff_t features) {
    void *to = constant_buffer(dtype, pieces->rows * pieces->times * features, NAN);
    for (ptrdiff_t n = 0; n < N; n++)
        for (ptrdiff_t s = 0; s < all_lengths[n]; s++)
            for (ptrdiff_t j = 0; j < features; j++)
                set(dtype, to, place(pieces, n, s) * features + j, get(dtype, from, (n * T + s) * features + j));
    return to;
}

/* Steps of pieces that are not those of rows; elsewhere there must be NaN. */
static int differences(clstm_dtype dtype, const void *found, const void *expected, const clstm_pieces *pieces,
                       ptrdiff_t features) {
    const void *wanted = placed(dtype, expected, pieces, features);
    int wrong = 0;
    for (ptrdiff_t q = 0; q < pieces->rows * pieces->times * features; q++) {
        const double a = get(dtype, found, q), b = get(dtype, wanted, q);
        wrong += a != b && !(isnan(a) && isnan(b));
    }
    return wrong;
}

/* The gradients of h or c after each step, of all layers and directions. */
static int flow_differences(const struct problem *p, const void *found, const void *expected,
                            const clstm_pieces *pieces, ptrdiff_t width) {
    const clstm_dtype dtype = p->stack.dtype;
    int wrong = 0;
    for (ptrdiff_t l = 0; found && l < layers_of(&p->stack); l++)
        wrong += differences(dtype,
                             (const char *)found + (size_t)(l * pieces->rows * pieces->times * width) * size_of(dtype),
                             (const char *)expected + (size_t)(l * N * T * width) * size_of(dtype), pieces, width);
    return wrong;
}

static int64_t *placed_symbols(const struct problem *p, const clstm_pieces *pieces) {
    const ptrdiff_t count = pieces->rows * pieces->times;
    int64_t *to = buffer((size_t)count * sizeof *to);
    for (ptrdiff_t q = 0; q < count; q++) to[q] = -1;
    for (ptrdiff_t n = 0; n < N; n++)
        for (ptrdiff_t s = 0; s < all_lengths[n]; s++) to[place(pieces, n, s)] = p->symbols[n * T + s];
    return to;
}

static void check_case(clstm_stack stack, int with_symbols, int with_noise, clstm_backend backend) {
    const clstm_dtype dtype = stack.dtype;
    const clstm_runtime runtime = runtime_of(clstm_isa_best(), backend, 2);
    const struct problem p = make_problem(stack, with_symbols);
    clstm_batch batch = {.N = N, .T = T, .lengths = all_lengths, .symbols = p.symbols, .num = p.symbols ? NUM : 0};
    if (with_noise) batch.noise = &p.noise;
    const struct results rows = run(&p, &runtime, batch, p.x, p.dy);
    for (int holes = 0; holes < 2; holes++) {
        const clstm_pieces pieces = make_pieces(holes);
        batch.pieces = &pieces;
        if (p.symbols) batch.symbols = placed_symbols(&p, &pieces);
        const struct results found = run(&p, &runtime, batch, p.symbols ? p.x : placed(dtype, p.x, &pieces, I),
                                         placed(dtype, p.dy, &pieces, features_of(&stack)));
        for (int i = 0; i < rows.used; i++) {
            const int steps = i == 0 || (i == 3 && !p.symbols);
            const int wrong =
                steps ? differences(dtype, found.data[i], rows.data[i], &pieces, i ? I : features_of(&stack))
                      : memcmp(found.data[i], rows.data[i], (size_t)rows.count[i] * size_of(dtype)) != 0;
            CHECK(wrong == 0, "result %d, %s: %d", i, holes ? "holes" : "one row", wrong);
        }
        CHECK(flow_differences(&p, found.flow.h, rows.flow.h, &pieces, size_h(&stack)) == 0, "flow of h");
        CHECK(flow_differences(&p, found.flow.c, rows.flow.c, &pieces, stack.hidden_size) == 0, "flow of c");
    }
    buffers_free();
}

static clstm_status status_of(const clstm_pieces *pieces) {
    const clstm_stack stack = {.input_size = 2, .hidden_size = 3, .num_layers = 1, .directions = 1};
    const clstm_runtime runtime = runtime_of(CLSTM_ISA_BASELINE, CLSTM_NATIVE, 1);
    const clstm_batch batch = {.N = N, .T = T, .lengths = all_lengths, .pieces = pieces};
    clstm_stack_bytes bytes;
    return clstm_stack_sizes(&runtime, &stack, &batch, &bytes);
}

static void check_statuses(void) {
    for (int holes = 0; holes < 2; holes++) {
        const clstm_pieces pieces = make_pieces(holes);
        CHECK(status_of(&pieces) == CLSTM_OK, "good");
        ptrdiff_t *const values[] = {(ptrdiff_t *)pieces.row, (ptrdiff_t *)pieces.start,
                                     (ptrdiff_t *)(holes ? pieces.time : pieces.start + 4)};
        const ptrdiff_t wrong[][2] = {{-1, pieces.rows}, {-1, -5}, {-1, holes ? pieces.times : pieces.times - T + 1}};
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 2; k++) {
                const ptrdiff_t kept = *values[i];
                *values[i] = wrong[i][k];
                CHECK(status_of(&pieces) == CLSTM_BAD_INDEX, "value %d = %d", i, (int)wrong[i][k]);
                *values[i] = kept;
            }
        ((ptrdiff_t *)pieces.row)[2] = -1; /* a piece without steps is nowhere */
        CHECK(status_of(&pieces) == CLSTM_OK, "an empty piece");
    }
    buffers_free();
    group("pieces: statuses");
}

static void check_pool(clstm_dtype dtype, clstm_pool mode) {
    enum { F = 5, SPLIT = 2 };
    const clstm_pieces pieces = make_pieces(0), holes = make_pieces(1);
    const clstm_batch rows = {.N = N, .T = T, .lengths = all_lengths},
                      in_row = {.N = N, .T = T, .lengths = all_lengths, .pieces = &pieces},
                      with_holes = {.N = N, .T = T, .lengths = all_lengths, .pieces = &holes};
    const void *x = random_steps(dtype, F), *dy = random_buffer(dtype, N * F, 1);
    const void *own[2] = {x, placed(dtype, x, &pieces, F)};
    void *y[2], *dx[2];
    for (int i = 0; i < 2; i++) {
        const clstm_batch *batch = i ? &in_row : &rows;
        const ptrdiff_t steps = i ? pieces.times : N * T, stride = i ? pieces.times * F : T * F;
        y[i] = constant_buffer(dtype, N * F, NAN), dx[i] = constant_buffer(dtype, steps * F, NAN);
        const clstm_sequence x_ = {(void *)own[i], stride, F}, dx_ = {dx[i], stride, F};
        CHECK(clstm_pool_forward(dtype, mode, batch, F, SPLIT, x_, y[i]) == CLSTM_OK, "forward");
        CHECK(clstm_pool_backward(dtype, mode, batch, F, SPLIT, x_, dy, dx_) == CLSTM_OK, "backward");
        CHECK(clstm_pool_forward(dtype, mode, &with_holes, F, SPLIT, x_, y[i]) == CLSTM_BAD_OPTION, "holes");
    }
    CHECK(memcmp(y[0], y[1], N * F * size_of(dtype)) == 0, "y of mode %d", mode);
    CHECK(differences(dtype, dx[1], dx[0], &pieces, F) == 0, "dx of mode %d", mode);
    buffers_free();
}

/* A row that begins anew against a stream that does so as a whole; the others go on as in one that does not. */
static void check_stream(clstm_stack stack) {
    enum { ROWS = 3, SOME = 0, ALL, NONE, STREAMS };
    const clstm_dtype dtype = stack.dtype;
    const clstm_runtime runtime = runtime_of(clstm_isa_best(), CLSTM_NATIVE, 1);
    const struct problem p = make_problem(stack, 0);
    const ptrdiff_t H = stack.hidden_size, R = size_h(&stack), L = stack.num_layers;
    const uint8_t flags[ROWS] = {0, 1, 0};
    const clstm_state start = {random_buffer(dtype, L * R, 1), random_buffer(dtype, L * H, 1)};
    const clstm_state of_all = {constant_buffer(dtype, L * ROWS * R, 0), constant_buffer(dtype, L * ROWS * H, 0)};
    for (ptrdiff_t q = 0; q < L * ROWS * R; q++)
        set(dtype, of_all.h, q, get(dtype, start.h, q / (ROWS * R) * R + q % R));
    for (ptrdiff_t q = 0; q < L * ROWS * H; q++)
        set(dtype, of_all.c, q, get(dtype, start.c, q / (ROWS * H) * H + q % H));
    const void *x = random_buffer(dtype, ROWS * I, 1);
    void *y[STREAMS];
    size_t bytes = 0;
    CHECK(clstm_stream_size(&runtime, &stack, ROWS, &bytes) == CLSTM_OK, "size");
    for (int i = 0; i < STREAMS; i++) {
        void *memory = buffer(bytes);
        y[i] = constant_buffer(dtype, ROWS * R, NAN);
        CHECK(clstm_stream_load(&runtime, &stack, ROWS, p.weights, memory) == CLSTM_OK, "load");
        CHECK(clstm_stream_step(memory, x, I, NULL, R) == CLSTM_OK, "step");
        if (i == SOME) CHECK(clstm_stream_reset_rows(memory, flags, start) == CLSTM_OK, "reset_rows");
        if (i == ALL) CHECK(clstm_stream_reset(memory, of_all) == CLSTM_OK, "reset");
        CHECK(clstm_stream_step(memory, x, I, y[i], R) == CLSTM_OK, "step");
    }
    const size_t row = (size_t)R * size_of(dtype);
    for (size_t n = 0; n < ROWS; n++)
        CHECK(memcmp((char *)y[SOME] + n * row, (char *)y[flags[n] ? ALL : NONE] + n * row, row) == 0, "row %d",
              (int)n);
    buffers_free();
}

/* Cells of two stages, and directions that are merged. */
static void check_stages(clstm_dtype dtype, clstm_cell cell) {
    clstm_stack stack = {.dtype = dtype,
                         .cell = cell,
                         .input_size = I,
                         .hidden_size = 17,
                         .num_layers = 2,
                         .directions = 2,
                         .projection_size = cell == CLSTM_LSTM ? 5 : 0,
                         .layer_norm = cell == CLSTM_LSTM,
                         .reset_before = cell == CLSTM_GRU};
    for (int merge = CLSTM_MERGE_CONCAT; merge <= CLSTM_MERGE_PRODUCT; merge++)
        for (int backend = CLSTM_NATIVE; backend <= CLSTM_BLAS; backend++) {
            stack.merge = (clstm_merge)merge;
            check_case(stack, merge & 1, 0, (clstm_backend)backend);
        }
    stack.dropout = stack.recurrent_dropout = stack.zoneout_h = stack.input_noise = 0.3;
    check_case(stack, 0, 1, CLSTM_NATIVE);
    stack.directions = 1, stack.merge = CLSTM_MERGE_CONCAT;
    check_stream(stack);
    group("pieces: stages and merges");
}

int main(void) {
    static const char *const names[] = {"pieces: lstm", "pieces: gru", "pieces: rnn"};
    for (int cell = CLSTM_LSTM; cell <= CLSTM_RNN; cell++)
        for (int dtype = CLSTM_F32; dtype <= CLSTM_F64; dtype++) {
            clstm_stack stack = {.dtype = (clstm_dtype)dtype,
                                 .cell = (clstm_cell)cell,
                                 .input_size = I,
                                 .hidden_size = 17,
                                 .num_layers = 2,
                                 .directions = 2,
                                 .peephole = cell == CLSTM_LSTM};
            for (int backend = CLSTM_NATIVE; backend <= CLSTM_BLAS; backend++)
                for (int with_symbols = 0; with_symbols < 2; with_symbols++)
                    check_case(stack, with_symbols, 0, (clstm_backend)backend);
            stack.dropout = stack.recurrent_dropout = stack.zoneout_h = stack.weight_drop = 0.3;
            check_case(stack, 1, 1, CLSTM_NATIVE);
            stack.input_dropout = stack.input_noise = 0.2;
            check_case(stack, 0, 1, CLSTM_NATIVE);
            stack.directions = 1, stack.go_backwards = 1;
            check_case(stack, 0, 1, CLSTM_NATIVE);
            stack.go_backwards = 0;
            check_stream(stack);
            group(names[cell]);
        }
    for (int dtype = CLSTM_F32; dtype <= CLSTM_F64; dtype++)
        for (int cell = CLSTM_LSTM; cell <= CLSTM_RNN; cell++) check_stages((clstm_dtype)dtype, (clstm_cell)cell);
    check_statuses();
    for (int dtype = CLSTM_F32; dtype <= CLSTM_F64; dtype++)
        for (int mode = CLSTM_POOL_LAST; mode <= CLSTM_POOL_MAX; mode++)
            check_pool((clstm_dtype)dtype, (clstm_pool)mode);
    group("pieces: pool");
    clstm_threads_stop();
    return finish();
}
