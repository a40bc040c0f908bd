/* Streams and single steps through the public header, in exact-size buffers: each step has the bits of clstm_stack_infer
 * over the whole sequence, whatever the instruction set, the threads and the layout of x and y; and what two threads
 * may do to one stream. */
#include "check.h"

#if defined(_WIN32)
#include "../ground/sync_windows.h"
#else
#include "../ground/sync_posix.h"
#endif

enum { MOST_LAYERS = 3 };

struct problem {
    clstm_stack stack;
    clstm_batch batch;
    clstm_weights weights[MOST_LAYERS];
    clstm_sequence x, y; /* y as infer found it */
    clstm_state initial, final;
};

static ptrdiff_t states(const struct problem *in) { return in->stack.num_layers * in->batch.N * in->stack.hidden_size; }

static clstm_state new_state(const struct problem *in, double value) {
    return (clstm_state){constant_buffer(in->stack.dtype, states(in), value),
                         constant_buffer(in->stack.dtype, states(in), value)};
}

static void random_weights(struct problem *in, int bias) {
    const clstm_dtype dtype = in->stack.dtype;
    const ptrdiff_t H = in->stack.hidden_size;
    for (ptrdiff_t l = 0; l < in->stack.num_layers; l++) {
        const ptrdiff_t width = l == 0 ? in->stack.input_size : H;
        in->weights[l].w_ih = random_buffer(dtype, 4 * H * width, 1 / sqrt((double)width));
        in->weights[l].w_hh = random_buffer(dtype, 4 * H * H, 1 / sqrt((double)H));
        in->weights[l].b = bias ? random_buffer(dtype, 4 * H, 1) : NULL;
    }
}

/* The rows of a step of x are `stride_n` apart, with gaps. */
static struct problem new_problem(clstm_dtype dtype, const ptrdiff_t size[5], int bias) {
    const ptrdiff_t N = size[0], T = size[1], I = size[2], H = size[3], L = size[4];
    struct problem in = {.stack = {.dtype = dtype, .input_size = I, .hidden_size = H, .num_layers = L, .directions = 1},
                         .batch = {.N = N, .T = T}};
    const ptrdiff_t stride_n = T * I + 3;
    in.x = (clstm_sequence){random_buffer(dtype, (N - 1) * stride_n + T * I, 1), stride_n, I};
    in.y = (clstm_sequence){constant_buffer(dtype, N * T * H, NAN), T * H, H};
    random_weights(&in, bias);
    in.initial = (clstm_state){random_buffer(dtype, states(&in), 1), random_buffer(dtype, states(&in), 1)};
    in.final = new_state(&in, NAN);
    return in;
}

static void infer(const clstm_runtime *runtime, const struct problem *in, clstm_state initial) {
    clstm_stack_bytes bytes = {0};
    CHECK(clstm_stack_sizes(runtime, &in->stack, &in->batch, &bytes) == CLSTM_OK, "sizes");
    CHECK(clstm_stack_infer(runtime, &in->stack, &in->batch, in->weights, in->x, initial, in->y, in->final,
                            buffer(bytes.infer)) == CLSTM_OK,
          "infer");
}

static void *new_stream(const clstm_runtime *runtime, const struct problem *in) {
    size_t bytes = 0;
    CHECK(clstm_stream_size(runtime, &in->stack, in->batch.N, &bytes) == CLSTM_OK, "size");
    void *memory = buffer(bytes);
    CHECK(clstm_stream_load(runtime, &in->stack, in->batch.N, in->weights, memory) == CLSTM_OK, "load");
    return memory;
}

static void *at(clstm_dtype dtype, clstm_sequence s, ptrdiff_t t) {
    return (char *)s.data + (size_t)(t * s.stride_t) * size_of(dtype);
}

/* Runs all steps into a y like that of infer; every third step is not asked for y. */
static void same_steps(const struct problem *in, void *stream, const char *what) {
    const clstm_dtype dtype = in->stack.dtype;
    const ptrdiff_t N = in->batch.N, T = in->batch.T, H = in->stack.hidden_size;
    clstm_sequence y = in->y;
    y.data = constant_buffer(dtype, N * T * H, NAN);
    int different = 0;
    for (ptrdiff_t t = 0; t < T; t++) {
        const int wanted = t % 3 != 2;
        void *to = wanted ? at(dtype, y, t) : NULL;
        CHECK(clstm_stream_step(stream, at(dtype, in->x, t), in->x.stride_n, to, y.stride_n) == CLSTM_OK, "step");
        for (ptrdiff_t n = 0; n < N; n++)
            for (ptrdiff_t j = 0; j < H; j++) {
                const double found = get(dtype, y.data, n * y.stride_n + t * H + j);
                different += wanted ? found != get(dtype, in->y.data, n * y.stride_n + t * H + j) : !isnan(found);
            }
    }
    CHECK(different == 0, "%d elements of y are not those of infer %s", different, what);
}

static int same(const struct problem *in, const void *a, const void *b) {
    return memcmp(a, b, (size_t)states(in) * size_of(in->stack.dtype)) == 0;
}

static void check_stream(const clstm_runtime *runtime, struct problem *in) {
    void *stream = new_stream(runtime, in);
    infer(runtime, in, (clstm_state){NULL, NULL});
    same_steps(in, stream, "from zero");
    const clstm_state found = new_state(in, NAN);
    CHECK(clstm_stream_state(stream, found) == CLSTM_OK, "state");
    CHECK(same(in, found.h, in->final.h) && same(in, found.c, in->final.c), "the state is not that of infer");

    CHECK(clstm_stream_reset(stream, in->initial) == CLSTM_OK, "reset");
    CHECK(clstm_stream_state(stream, (clstm_state){found.h, NULL}) == CLSTM_OK, "state");
    CHECK(clstm_stream_state(stream, (clstm_state){NULL, found.c}) == CLSTM_OK, "state");
    CHECK(same(in, found.h, in->initial.h) && same(in, found.c, in->initial.c), "the state is not what was set");
    infer(runtime, in, in->initial);
    same_steps(in, stream, "from a state");

    const struct problem before = *in; /* other weights have no effect before reload, which leaves the state */
    CHECK(clstm_stream_reset(stream, in->initial) == CLSTM_OK, "reset");
    random_weights(in, before.weights[0].b != NULL);
    same_steps(&before, stream, "before reload");
    CHECK(clstm_stream_reset(stream, (clstm_state){in->initial.h, NULL}) == CLSTM_OK, "reset");
    CHECK(clstm_stream_reload(stream, in->weights) == CLSTM_OK, "reload");
    in->y.data = constant_buffer(in->stack.dtype, in->batch.N * in->batch.T * in->stack.hidden_size, NAN);
    infer(runtime, in, (clstm_state){in->initial.h, NULL});
    same_steps(in, stream, "after reload");
}

/* y may be x, and initial final. */
static void check_overlap(const clstm_runtime *runtime, const struct problem *in) {
    const clstm_dtype dtype = in->stack.dtype;
    const ptrdiff_t N = in->batch.N, H = in->stack.hidden_size, size = N * H;
    void *stream = new_stream(runtime, in), *other = new_stream(runtime, in);
    void *x = random_buffer(dtype, size, 1), *y = constant_buffer(dtype, size, NAN);
    for (int t = 0; t < 3; t++) {
        clstm_stream_step(other, x, H, y, H);
        clstm_stream_step(stream, x, H, x, H);
        CHECK(memcmp(x, y, (size_t)size * size_of(dtype)) == 0, "step %d into x", t);
    }
}

static void check_step(const clstm_runtime *runtime, struct problem *in, int with_state) {
    struct problem one = *in;
    one.batch.T = 1;
    const clstm_state initial = with_state ? in->initial : (clstm_state){NULL, NULL}, found = new_state(in, NAN);
    infer(runtime, &one, initial);
    size_t bytes = 0;
    CHECK(clstm_stack_step_size(runtime, &in->stack, in->batch.N, &bytes) == CLSTM_OK, "size");
    CHECK(clstm_stack_step(runtime, &in->stack, in->batch.N, in->weights, in->x.data, in->x.stride_n, initial, found,
                           buffer(bytes)) == CLSTM_OK,
          "step");
    CHECK(same(in, found.h, in->final.h) && same(in, found.c, in->final.c), "the step is not that of infer");
    if (!with_state) return;
    const clstm_state own = new_state(in, NAN);
    memcpy(own.h, in->initial.h, (size_t)states(in) * size_of(in->stack.dtype));
    memcpy(own.c, in->initial.c, (size_t)states(in) * size_of(in->stack.dtype));
    clstm_stack_step(runtime, &in->stack, in->batch.N, in->weights, in->x.data, in->x.stride_n, own, own,
                     buffer(bytes));
    CHECK(same(in, own.h, in->final.h) && same(in, own.c, in->final.c), "the step in place is not that of infer");
    clstm_stack_step(runtime, &in->stack, in->batch.N, in->weights, in->x.data, in->x.stride_n, initial,
                     (clstm_state){own.h, NULL}, buffer(bytes));
    CHECK(same(in, own.h, in->final.h), "the step without c is not that of infer");
}

static void check_problem(clstm_dtype dtype, const ptrdiff_t size[5], int bias, clstm_isa isa) {
    for (int threads = 1; threads <= 4; threads += threads) {
        const clstm_runtime runtime = runtime_of(isa, threads == 2 ? CLSTM_AUTO : CLSTM_NATIVE, threads);
        struct problem in = new_problem(dtype, size, bias);
        check_stream(&runtime, &in);
        if (in.stack.input_size == in.stack.hidden_size) check_overlap(&runtime, &in);
        for (int with_state = 0; with_state < 2 && in.stack.num_layers == 1; with_state++)
            check_step(&runtime, &in, with_state);
        buffers_free();
    }
}

/* The backend of a stream is always native; a single step does what infer does. */
static void check_blas(clstm_dtype dtype) {
    static const ptrdiff_t size[5] = {3, 2, 5, 19, 1};
    struct problem in = new_problem(dtype, size, 1);
    const clstm_runtime blas = runtime_of(clstm_isa_best(), CLSTM_BLAS, 1);
    const clstm_runtime native = runtime_of(clstm_isa_best(), CLSTM_NATIVE, 1);
    infer(&native, &in, in.initial);
    void *stream = new_stream(&blas, &in);
    clstm_stream_reset(stream, in.initial);
    same_steps(&in, stream, "of the native backend");
    check_step(&blas, &in, 0);
    check_step(&blas, &in, 1);
    buffers_free();
}

static void check_statuses(void) {
    clstm_runtime runtime = runtime_of(CLSTM_ISA_BASELINE, CLSTM_NATIVE, 1);
    const clstm_stack good = {
        .dtype = CLSTM_F32, .input_size = 2, .hidden_size = 300, .num_layers = 1, .directions = 1};
    clstm_stack both = good, deep = good, none = good, type = good, large = good;
    both.directions = 2;
    deep.num_layers = 2;
    none.hidden_size = 0;
    type.dtype = (clstm_dtype)2;
    large.hidden_size = PTRDIFF_MAX / 1024;
    size_t bytes = 7;
    CHECK(clstm_stream_size(&runtime, &both, 1, &bytes) == CLSTM_BAD_OPTION, "directions");
    CHECK(clstm_stream_size(&runtime, &none, 1, &bytes) == CLSTM_BAD_SIZE, "H = 0");
    CHECK(clstm_stream_size(&runtime, &type, 1, &bytes) == CLSTM_BAD_OPTION, "dtype");
    CHECK(clstm_stream_size(&runtime, &good, 0, &bytes) == CLSTM_BAD_SIZE, "N = 0");
    CHECK(clstm_stream_size(&runtime, &large, 1, &bytes) == CLSTM_TOO_LARGE, "H");
    CHECK(clstm_stream_size(&runtime, &good, PTRDIFF_MAX / 1024, &bytes) == CLSTM_TOO_LARGE, "N");
    large = deep;
    large.num_layers = PTRDIFF_MAX / 1024;
    CHECK(clstm_stream_size(&runtime, &large, 1, &bytes) == CLSTM_TOO_LARGE, "L");
    CHECK(clstm_stream_load(&runtime, &both, 1, NULL, NULL) == CLSTM_BAD_OPTION, "load");
    CHECK(clstm_stack_step_size(&runtime, &deep, 1, &bytes) == CLSTM_BAD_OPTION, "layers of a step");
    CHECK(clstm_stack_step_size(&runtime, &both, 1, &bytes) == CLSTM_BAD_OPTION, "directions of a step");
    CHECK(clstm_stack_step_size(&runtime, &good, 0, &bytes) == CLSTM_BAD_SIZE, "rows of a step");
    CHECK(clstm_stack_step_size(&runtime, &good, PTRDIFF_MAX / 1024, &bytes) == CLSTM_TOO_LARGE, "N of a step");
    runtime.threads = 0;
    CHECK(clstm_stream_size(&runtime, &good, 1, &bytes) == CLSTM_BAD_SIZE, "threads");
    CHECK(clstm_stack_step(&runtime, &good, 1, NULL, NULL, 0, (clstm_state){0}, (clstm_state){0}, NULL) ==
              CLSTM_BAD_SIZE,
          "threads of a step");
    CHECK(bytes == 7, "written in spite of an error");
    CHECK(strcmp(clstm_status_message(CLSTM_IN_USE), "unknown status") != 0, "no message");
    group("stream: statuses");
}

/* ---- two threads and one stream */

enum { CALLERS = 3, CALLS = 3000 };
static struct problem shared;
static void *shared_stream;
static int callers, steps_done, refused, wrong;

static void count(clstm_status status, int *done) {
    if (status == CLSTM_OK) __atomic_add_fetch(done, 1, __ATOMIC_RELAXED);
    else if (status == CLSTM_IN_USE) __atomic_add_fetch(&refused, 1, __ATOMIC_RELAXED);
    else __atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
}

static void caller_main(void) {
    const int caller = __atomic_fetch_add(&callers, 1, __ATOMIC_RELAXED);
    float x[8] = {1, 2, 3, 4, 5, 6, 7, 8}, y[40], h[40], c[40];
    int others = 0;
    for (int i = 0; i < CALLS; i++) {
        count(clstm_stream_step(shared_stream, x, 8, y, 40), &steps_done);
        if (caller > 0 || i % 16) continue;
        count(clstm_stream_state(shared_stream, (clstm_state){h, c}), &others);
        count(clstm_stream_reload(shared_stream, shared.weights), &others);
    }
}

/* Refused calls change nothing: the state is that of as many steps as were taken. */
static void check_threads(int threads) {
    static const ptrdiff_t size[5] = {1, 1, 8, 40, 1};
    const clstm_runtime runtime = runtime_of(clstm_isa_best(), CLSTM_NATIVE, threads);
    shared = new_problem(CLSTM_F32, size, 1);
    shared_stream = new_stream(&runtime, &shared);
    callers = steps_done = refused = wrong = 0;
    sync_thread thread[CALLERS];
    for (int i = 0; i < CALLERS; i++) CHECK(thread_start(&thread[i], caller_main, 1 << 20), "no thread for the test");
    for (int i = 0; i < CALLERS; i++) thread_join(thread[i]);
    CHECK(wrong == 0, "%d calls failed", wrong);
    const clstm_state found = new_state(&shared, NAN), expected = new_state(&shared, NAN);
    CHECK(clstm_stream_state(shared_stream, found) == CLSTM_OK, "the stream is free again");
    void *alone = new_stream(&runtime, &shared);
    const float x[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    for (int i = 0; i < steps_done; i++) clstm_stream_step(alone, x, 8, NULL, 0);
    clstm_stream_state(alone, expected);
    CHECK(same(&shared, found.h, expected.h) && same(&shared, found.c, expected.c), "%d steps", steps_done);
    buffers_free();
}

int main(void) {
    /* N T I H L; the last ones are large enough for several threads and for several groups of panels */
    static const ptrdiff_t sizes[][5] = {{1, 4, 1, 1, 1},   {1, 5, 16, 16, 2}, {2, 4, 3, 17, 3},    {3, 4, 9, 9, 1},
                                         {4, 3, 33, 31, 2}, {5, 3, 2, 64, 1},  {6, 3, 7, 65, 2},    {7, 3, 50, 50, 1},
                                         {1, 3, 17, 70, 3}, {1, 3, 70, 70, 1}, {7, 2, 100, 100, 1}, {1, 3, 9, 290, 2},
                                         {2, 2, 90, 250, 1}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int isa = 0; isa < CLSTM_ISA_COUNT; isa++)
            for (int variant = 0; variant < 4 && clstm_isa_available((clstm_isa)isa); variant++)
                check_problem((clstm_dtype)(variant & 1), sizes[s], variant >> 1, (clstm_isa)isa);
    group("stream: the bits of infer");
    check_blas(CLSTM_F32);
    check_blas(CLSTM_F64);
    group("stream: backends");
    check_statuses();
    check_threads(1);
    check_threads(2);
    group("stream: several callers");
    clstm_threads_stop();
    return finish();
}
