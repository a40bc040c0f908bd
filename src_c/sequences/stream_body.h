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
    real *input, *recurrent, *bias, *second; /* gate panels */
    real *peephole;                          /* [rows,ld] */
    real *h[2], *c;                          /* [N] rows, ld apart */
    const real **h_rows[2];                  /* [N] addresses of the rows of h[p] */
    struct cell_forward step[2];
    int parts;        /* ranges of panels for as many threads */
    int worth_waking; /* them, if they sleep */
};

struct stream {
    struct stream_head head;
    struct shape shape; /* its runtime is that of load and not there any more */
    ptrdiff_t N;
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
    real *first_input, *input, *recurrent, *bias, *second, *peephole, *h, *c;
};

static struct stream_arrays stream_lay_out(struct arena *arena, const struct shape *shape, ptrdiff_t N) {
    const ptrdiff_t L = shape->L, H = shape->H, gates = times(shape->cell.gates, shape->ld),
                    state = times(L, times(N, shape->ld));
    return (struct stream_arrays){
        .stream = arena_take(arena, 1, sizeof(struct stream)),
        .layer = arena_take(arena, L, sizeof(struct stream_layer)),
        .x = arena_take(arena, N, sizeof(real *)),
        .h_rows = arena_take(arena, times(2 * L, N), sizeof(real *)),
        .h = arena_take(arena, times(2, state), sizeof(real)),
        .c = arena_take(arena, shape->cell.has_c ? state : 0, sizeof(real)),
        .first_input = arena_take(arena, times(shape->I, gates), sizeof(real)),
        .input = arena_take(arena, times(L - 1, times(H, gates)), sizeof(real)),
        .recurrent = arena_take(arena, times(L, times(H, gates)), sizeof(real)),
        .bias = arena_take(arena, times(L, gates), sizeof(real)),
        .second = arena_take(arena, shape->cell.two_sums ? times(L, gates) : 0, sizeof(real)),
        .peephole = arena_take(arena, times(L, times(shape->cell.form.peephole, shape->ld)), sizeof(real)),
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
    const double H = (double)stream->shape.H;
    const double bytes = stream->shape.cell.gates * ((double)layer->width + H) * H * sizeof(real);
    return bytes * (double)(stream->N + 1) / 2 / (1 << 20);
}

/* Threads that a layer is worth: each should have ten microseconds. */
static int layer_parts(const struct stream *stream, double work, int threads) {
    const ptrdiff_t panels = panel_count(cell_panels(&stream->shape)), most = panels < threads ? panels : threads;
    return work >= (double)most ? (int)most : work < 1 ? 1 : (int)work;
}

static void prepare_steps(struct stream_layer *layer, const struct stream *stream, const struct stream_layer *below) {
    const struct shape *shape = &stream->shape;
    const ptrdiff_t width = panel_width(shape, cell_panels(shape));
    for (int p = 0; p < 2; p++) {
        struct cell_forward *step = &layer->step[p];
        *step = cell_forward_of(shape, 1);
        step->fused.rows = stream->N;
        step->fused.terms = 2;
        step->fused.term[0] = (struct term){.rows = below ? below->h_rows[1 - p] : stream->x,
                                            .step = 1,
                                            .k = layer->width,
                                            .panels = layer->input,
                                            .panel_stride = layer->width * width};
        step->fused.term[1] = (struct term){.rows = layer->h_rows[p],
                                            .step = 1,
                                            .k = shape->H,
                                            .panels = layer->recurrent,
                                            .panel_stride = shape->H * width};
        step->fused.bias = layer->bias;
        step->fused.second = shape->cell.two_sums ? layer->second : NULL;
        step->h_prev = layer->h[p];
        step->h = layer->h[1 - p];
        step->c_prev = step->c = layer->c;
        step->peephole = layer->peephole;
    }
}

static void prepare_layer(struct stream *stream, const struct stream_arrays *arrays, ptrdiff_t l, ptrdiff_t width,
                          int threads) {
    const struct shape *shape = &stream->shape;
    const ptrdiff_t N = stream->N, ld = shape->ld, gates = shape->cell.gates * ld, state = N * ld;
    struct stream_layer *layer = &stream->layer[l];
    *layer = (struct stream_layer){
        .width = width,
        .input = l == 0 ? arrays->first_input : arrays->input + (l - 1) * shape->H * gates,
        .recurrent = arrays->recurrent + l * shape->H * gates,
        .bias = arrays->bias + l * gates,
        .second = arrays->second + (shape->cell.two_sums ? l * gates : 0),
        .peephole = arrays->peephole + l * shape->cell.form.peephole * ld,
        .c = shape->cell.has_c ? arrays->c + l * state : NULL,
    };
    for (int p = 0; p < 2; p++) {
        layer->h[p] = arrays->h + (2 * l + p) * state;
        layer->h_rows[p] = arrays->h_rows + (2 * l + p) * N;
        for (ptrdiff_t n = 0; n < N; n++) layer->h_rows[p][n] = layer->h[p] + n * ld;
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
        .shape = shape,
        .N = N,
        .x = arrays.x,
        .layer = arrays.layer,
    };
    stream->shape.runtime = NULL;
    /* The padding too, which no kernel that has fewer lanes ever writes. */
    memset(arrays.h, 0, (size_t)(2 * shape.L * N * shape.ld) * sizeof(real));
    if (shape.cell.has_c) memset(arrays.c, 0, (size_t)(shape.L * N * shape.ld) * sizeof(real));
    for (ptrdiff_t l = 0; l < shape.L; l++) prepare_layer(stream, &arrays, l, layer_width(&shape, l), runtime->threads);
    REAL_NAME(stream_reload)(&stream->head, weights);
}

void REAL_NAME(stream_reload)(struct stream_head *head, const clstm_weights *weights) {
    const struct stream *stream = (struct stream *)head;
    const struct shape *shape = &stream->shape;
    const struct kernels *kernels = shape->kernels;
    const struct panels panels = cell_panels(shape);
    const struct panel_range all = all_panels(panels);
    const ptrdiff_t H = shape->H;
    for (ptrdiff_t l = 0; l < shape->L; l++) {
        const struct stream_layer *layer = &stream->layer[l];
        kernels->pack_gates(layer->input, weights[l].w_ih, layer->width, H, layer->width, &panels, all);
        kernels->pack_gates(layer->recurrent, weights[l].w_hh, H, H, H, &panels, all);
        pack_bias(shape, layer->bias, weights[l].b, all);
        if (shape->cell.two_sums) pack_second(shape, layer->second, weights[l].b_hn, all);
        pad_rows(layer->peephole, weights[l].peephole, shape->cell.form.peephole, shape);
    }
}

void REAL_NAME(stream_reset)(struct stream_head *head, clstm_state state) {
    const struct stream *stream = (struct stream *)head;
    const ptrdiff_t N = stream->N, H = stream->shape.H, ld = stream->shape.ld;
    for (ptrdiff_t l = 0; l < stream->shape.L; l++)
        for (ptrdiff_t n = 0; n < N; n++) {
            const struct stream_layer *layer = &stream->layer[l];
            const ptrdiff_t from = (l * N + n) * H;
            copy_or_clear(layer->h[stream->now] + n * ld, state.h ? (const real *)state.h + from : NULL, H);
            if (layer->c) copy_or_clear(layer->c + n * ld, state.c ? (const real *)state.c + from : NULL, H);
        }
}

void REAL_NAME(stream_state)(struct stream_head *head, clstm_state state) {
    const struct stream *stream = (struct stream *)head;
    const ptrdiff_t N = stream->N, H = stream->shape.H;
    const size_t bytes = (size_t)H * sizeof(real);
    for (ptrdiff_t l = 0; l < stream->shape.L; l++)
        for (ptrdiff_t n = 0; n < N; n++) {
            const struct stream_layer *layer = &stream->layer[l];
            const ptrdiff_t from = n * stream->shape.ld, to = (l * N + n) * H;
            if (state.h) memcpy((real *)state.h + to, layer->h[stream->now] + from, bytes);
            if (state.c && layer->c) memcpy((real *)state.c + to, layer->c + from, bytes);
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
    struct shared_step shared = {stream->shape.kernels, &layer->step[stream->now].fused,
                                 all_panels(cell_panels(&stream->shape)), layer->parts};
    shared.range.backwards = stream->now;
    if (worth_sharing(stream, layer)) clstm_parallel(layer->parts, layer->parts, shared_step_task, &shared);
    else stream->shape.kernels->fused(shared.step, shared.range);
}

void REAL_NAME(stream_step)(struct stream_head *head, const void *x, ptrdiff_t stride_x, void *y, ptrdiff_t stride_y) {
    struct stream *stream = (struct stream *)head;
    for (ptrdiff_t n = 0; n < stream->N; n++) stream->x[n] = (const real *)x + n * stride_x;
    for (ptrdiff_t l = 0; l < stream->shape.L; l++) run_layer(stream, &stream->layer[l]);
    stream->now = 1 - stream->now;
    stream->steps++;
    const real *h = stream->layer[stream->shape.L - 1].h[stream->now];
    for (ptrdiff_t n = 0; y && n < stream->N; n++)
        memcpy((real *)y + n * stride_y, h + n * stream->shape.ld, (size_t)stream->shape.H * sizeof(real));
}
