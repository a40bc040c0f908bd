/* Streams in one precision. Whatever a step needs is worked out by load: a step sets the addresses of the rows of x,
 * calls the kernel once for each layer, and copies h to y. */
#include "../ground/real.h"

#include "../ground/threads.h"
#include "layout.h"
#include "stream.h"

/* One layer. Its h stands in two places, because a step may not write what it reads: arguments [p] are those of a step
 * that reads h[p] and writes h[1 - p]. */
struct stream_layer {
    ptrdiff_t width;
    real *input, *recurrent, *bias; /* gate panels */
    real *h[2], *c;                 /* [N] rows, ld apart */
    const real **h_rows[2];         /* [N] addresses of the rows of h[p] */
    struct gate_rows step[2];
    int parts;        /* ranges of panels for as many threads */
    int worth_waking; /* them, if they sleep */
};

struct stream {
    struct stream_head head;
    const struct kernels *kernels;
    ptrdiff_t N, L, H, ld;
    struct panels panels;
    int now;        /* the state is in h[now] of each layer */
    uint32_t steps; /* taken */
    int tries;      /* see worth_sharing */
    const real **x; /* [N] rows of the caller */
    struct stream_layer *layer;
};

/* The arrays of all layers; those of layer l follow those of layer l - 1. */
struct stream_arrays {
    struct stream *stream;
    struct stream_layer *layer;
    const real **x, **h_rows;
    real *first_input, *input, *recurrent, *bias, *h, *c;
};

static struct stream_arrays stream_lay_out(struct arena *arena, const struct shape *shape, ptrdiff_t N) {
    const ptrdiff_t L = shape->L, H = shape->H, gates = times(4, shape->ld), state = times(L, times(N, shape->ld));
    return (struct stream_arrays){
        .stream = arena_take(arena, 1, sizeof(struct stream)),
        .layer = arena_take(arena, L, sizeof(struct stream_layer)),
        .x = arena_take(arena, N, sizeof(real *)),
        .h_rows = arena_take(arena, times(2 * L, N), sizeof(real *)),
        .h = arena_take(arena, times(2, state), sizeof(real)),
        .c = arena_take(arena, state, sizeof(real)),
        .first_input = arena_take(arena, times(shape->I, gates), sizeof(real)),
        .input = arena_take(arena, times(L - 1, times(H, gates)), sizeof(real)),
        .recurrent = arena_take(arena, times(L, times(H, gates)), sizeof(real)),
        .bias = arena_take(arena, times(L, gates), sizeof(real)),
    };
}

clstm_status REAL_NAME(stream_size)(const clstm_stack *stack, ptrdiff_t N, size_t *bytes) {
    const clstm_runtime any = {.threads = 1};
    const struct shape shape = shape_of(&any, stack);
    struct arena arena = {0};
    int overflow = 0;
    stream_lay_out(&arena, &shape, N);
    const size_t needed = arena_bytes(&arena, &overflow);
    if (overflow) return CLSTM_TOO_LARGE;
    *bytes = needed;
    return CLSTM_OK;
}

/* The time of a step of a layer, in megabytes of weights read for a single row: each takes ten microseconds. Rows cost
 * extra once there is more arithmetic than reading, from two rows on. */
static double layer_work(const struct stream *stream, const struct stream_layer *layer) {
    const double bytes = 4.0 * (double)(layer->width + stream->H) * (double)stream->H * sizeof(real);
    return bytes * (double)(stream->N + 1) / 2 / (1 << 20);
}

/* Threads that a layer is worth: each should have ten microseconds. */
static int layer_parts(const struct stream *stream, double work, int threads) {
    const ptrdiff_t panels = panel_count(stream->panels), most = panels < threads ? panels : threads;
    return work >= (double)most ? (int)most : work < 1 ? 1 : (int)work;
}

static void prepare_steps(struct stream_layer *layer, const struct stream *stream, const struct stream_layer *below) {
    const ptrdiff_t panel = 4 * stream->kernels->lanes;
    for (int p = 0; p < 2; p++)
        layer->step[p] = (struct gate_rows){
            .rows = stream->N,
            .hidden = stream->H,
            .ld = stream->ld,
            .terms = 2,
            .term = {{.rows = below ? below->h_rows[1 - p] : stream->x,
                      .step = 1,
                      .k = layer->width,
                      .panels = layer->input,
                      .panel_stride = layer->width * panel},
                     {.rows = layer->h_rows[p],
                      .step = 1,
                      .k = stream->H,
                      .panels = layer->recurrent,
                      .panel_stride = stream->H * panel}},
            .bias = layer->bias,
            .panels = stream->panels,
            .c_prev = layer->c,
            .c = layer->c,
            .h = layer->h[1 - p],
        };
}

static void prepare_layer(struct stream *stream, const struct stream_arrays *arrays, ptrdiff_t l, ptrdiff_t width,
                          int threads) {
    const ptrdiff_t N = stream->N, gates = 4 * stream->ld, state = N * stream->ld;
    struct stream_layer *layer = &stream->layer[l];
    *layer = (struct stream_layer){
        .width = width,
        .input = l == 0 ? arrays->first_input : arrays->input + (l - 1) * stream->H * gates,
        .recurrent = arrays->recurrent + l * stream->H * gates,
        .bias = arrays->bias + l * gates,
        .c = arrays->c + l * state,
    };
    for (int p = 0; p < 2; p++) {
        layer->h[p] = arrays->h + (2 * l + p) * state;
        layer->h_rows[p] = arrays->h_rows + (2 * l + p) * N;
        for (ptrdiff_t n = 0; n < N; n++) layer->h_rows[p][n] = layer->h[p] + n * stream->ld;
    }
    const double work = layer_work(stream, layer);
    layer->parts = layer_parts(stream, work, threads);
    layer->worth_waking = work >= 4.0 * layer->parts;
    prepare_steps(layer, stream, l == 0 ? NULL : layer - 1);
}

void REAL_NAME(stream_load)(const clstm_runtime *runtime, const clstm_stack *stack, ptrdiff_t N,
                            const clstm_weights *weights, void *memory) {
    const struct shape shape = shape_of(runtime, stack);
    struct arena arena = arena_over(memory);
    const struct stream_arrays arrays = stream_lay_out(&arena, &shape, N);
    struct stream *stream = arrays.stream;
    *stream = (struct stream){
        .head = {.dtype = stack->dtype},
        .kernels = shape.kernels,
        .N = N,
        .L = shape.L,
        .H = shape.H,
        .ld = shape.ld,
        .panels = gate_panels(shape.kernels, shape.H),
        .x = arrays.x,
        .layer = arrays.layer,
    };
    /* The padding too, which no kernel that has fewer lanes ever writes. */
    memset(arrays.h, 0, (size_t)(2 * shape.L * N * shape.ld) * sizeof(real));
    memset(arrays.c, 0, (size_t)(shape.L * N * shape.ld) * sizeof(real));
    for (ptrdiff_t l = 0; l < shape.L; l++) prepare_layer(stream, &arrays, l, layer_width(&shape, l), runtime->threads);
    REAL_NAME(stream_reload)(&stream->head, weights);
}

void REAL_NAME(stream_reload)(struct stream_head *head, const clstm_weights *weights) {
    const struct stream *stream = (struct stream *)head;
    const ptrdiff_t H = stream->H;
    const struct panel_range all = all_panels(stream->panels);
    for (ptrdiff_t l = 0; l < stream->L; l++) {
        const struct stream_layer *layer = &stream->layer[l];
        stream->kernels->pack_gates(layer->input, weights[l].w_ih, layer->width, H, layer->width, all);
        stream->kernels->pack_gates(layer->recurrent, weights[l].w_hh, H, H, H, all);
        if (weights[l].b) stream->kernels->pack_gates(layer->bias, weights[l].b, 1, H, 1, all);
        else memset(layer->bias, 0, (size_t)(4 * stream->ld) * sizeof(real));
    }
}

void REAL_NAME(stream_reset)(struct stream_head *head, clstm_state state) {
    const struct stream *stream = (struct stream *)head;
    const ptrdiff_t N = stream->N, H = stream->H, ld = stream->ld;
    for (ptrdiff_t l = 0; l < stream->L; l++)
        for (ptrdiff_t n = 0; n < N; n++) {
            const struct stream_layer *layer = &stream->layer[l];
            const ptrdiff_t from = (l * N + n) * H;
            copy_or_clear(layer->h[stream->now] + n * ld, state.h ? (const real *)state.h + from : NULL, H);
            copy_or_clear(layer->c + n * ld, state.c ? (const real *)state.c + from : NULL, H);
        }
}

void REAL_NAME(stream_state)(struct stream_head *head, clstm_state state) {
    const struct stream *stream = (struct stream *)head;
    const ptrdiff_t N = stream->N, H = stream->H;
    const size_t bytes = (size_t)H * sizeof(real);
    for (ptrdiff_t l = 0; l < stream->L; l++)
        for (ptrdiff_t n = 0; n < N; n++) {
            const struct stream_layer *layer = &stream->layer[l];
            const ptrdiff_t from = n * stream->ld, to = (l * N + n) * H;
            if (state.h) memcpy((real *)state.h + to, layer->h[stream->now] + from, bytes);
            if (state.c) memcpy((real *)state.c + to, layer->c + from, bytes);
        }
}

/* To wake a thread takes ten microseconds of the waker, and more until it comes: much for a layer of twenty. But where
 * steps follow each other closely, workers are still awake from the step before, and such a layer is shared out too.
 * For this to begin, and to go on when a worker was late once, some steps in a row wake them in any case: TRIES after
 * each that found them awake, and TRIES of PERIOD steps. */
static int worth_sharing(struct stream *stream, const struct stream_layer *layer) {
    enum { TRIES = 8, PERIOD = 128 };
    if (layer->parts == 1) return 0;
    if (layer->worth_waking) return 1;
    if (stream->steps % PERIOD == 0 || clstm_threads_awake() > 0) stream->tries = TRIES;
    return stream->tries > 0 ? stream->tries-- : 0;
}

/* Every other step goes through the weights from the end: what the step before has used last is still in the cache. */
static void run_layer(struct stream *stream, const struct stream_layer *layer) {
    struct shared_step shared = {stream->kernels, &layer->step[stream->now], all_panels(stream->panels), layer->parts};
    shared.range.backwards = stream->now;
    if (worth_sharing(stream, layer)) clstm_parallel(layer->parts, layer->parts, shared_step_task, &shared);
    else stream->kernels->gate_rows(shared.step, shared.range);
}

void REAL_NAME(stream_step)(struct stream_head *head, const void *x, ptrdiff_t stride_x, void *y, ptrdiff_t stride_y) {
    struct stream *stream = (struct stream *)head;
    for (ptrdiff_t n = 0; n < stream->N; n++) stream->x[n] = (const real *)x + n * stride_x;
    for (ptrdiff_t l = 0; l < stream->L; l++) run_layer(stream, &stream->layer[l]);
    stream->now = 1 - stream->now;
    stream->steps++;
    const real *h = stream->layer[stream->L - 1].h[stream->now];
    for (ptrdiff_t n = 0; y && n < stream->N; n++)
        memcpy((real *)y + n * stride_y, h + n * stream->ld, (size_t)stream->H * sizeof(real));
}
