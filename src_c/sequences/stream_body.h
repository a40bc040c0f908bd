/* Streams in one precision. Whatever a step needs is worked out by load: a step sets the addresses of the rows of x,
 * calls the kernel once for each layer, and copies h to y. */
#include "../ground/real.h"

#include "../ground/threads.h"
#include "cell_step.h"
#include "stream.h"

/* One layer. Its h stands in two places, because a step may not write what it reads: arguments [p] are those of a step
 * that reads h[p] and writes h[1 - p]. */
struct stream_layer {
    ptrdiff_t width;
    struct packed_cell packed;
    real *h[2], *c;                              /* [N] rows, ld_h and ld apart; c NULL: the cell has none */
    const real **h_rows[2];                      /* [N] addresses of the rows of h[p] */
    struct cell_forward step[2][2], products[2]; /* by stage; of the input alone, if sums are stored */
    int parts;                                   /* ranges of panels for as many threads */
    int worth_waking;                            /* them, if they sleep */
};

struct stream {
    struct stream_head head;
    struct shape shape; /* its runtime is that of load and not there any more */
    ptrdiff_t N;
    int now;        /* the state is in h[now] of each layer */
    uint32_t steps; /* taken */
    int tries;      /* see worth_sharing */
    const real **x; /* [N] rows of the caller */
    /* Of whatever layer is at work, for cells that need them: inner rows, and rows of sums that are stored. */
    real *inner;
    const real **inner_rows;
    real **z;
    struct stream_layer *layer;
};

static void layer_lay_out(struct stream_layer *layer, struct arena *arena, const struct shape *shape, ptrdiff_t N,
                          ptrdiff_t width) {
    const ptrdiff_t state = times(N, shape->ld), state_h = times(N, shape->ld_h);
    *layer = (struct stream_layer){.width = width};
    packed_lay_out(&layer->packed, arena, shape, width);
    vectors_lay_out(&layer->packed, arena, shape);
    for (int p = 0; p < 2; p++) {
        layer->h[p] = arena_take(arena, state_h, sizeof(real));
        layer->h_rows[p] = arena_take(arena, N, sizeof(real *));
    }
    layer->c = shape->cell.has_c ? arena_take(arena, state, sizeof(real)) : NULL;
}

static struct stream *stream_lay_out(struct arena *arena, const struct shape *shape, ptrdiff_t N) {
    struct stream *stream = arena_take(arena, 1, sizeof *stream), measured, *found = stream ? stream : &measured;
    *found = (struct stream){.head = {.dtype = shape->stack->dtype}, .shape = *shape, .N = N};
    found->x = arena_take(arena, N, sizeof(real *));
    found->inner = arena_take(arena, shape->stages > 1 ? times(N, shape->ld) : 0, sizeof(real));
    found->inner_rows = arena_take(arena, N, sizeof(real *));
    real *z = arena_take(arena, shape->cell.norm ? times(N, shape->row) : 0, sizeof(real));
    found->z = arena_take(arena, N, sizeof(real *));
    for (ptrdiff_t n = 0; stream && n < N; n++) {
        found->inner_rows[n] = found->inner + n * shape->ld;
        found->z[n] = z + n * shape->row;
    }
    found->layer = arena_take(arena, shape->L, sizeof(struct stream_layer));
    for (ptrdiff_t l = 0; l < shape->L; l++) {
        struct stream_layer layer;
        const size_t before = arena->used;
        layer_lay_out(found->layer ? &found->layer[l] : &layer, arena, shape, N, layer_width(shape, l));
        if (stream || l == 0) continue;
        arena_take(arena, shape->L - 2, arena->used - before); /* layers above the first are all alike */
        break;
    }
    return stream;
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
    const double H = (double)stream->shape.H, R = (double)stream->shape.R;
    const double bytes = stream->shape.cell.gates * ((double)layer->width + R) * H * sizeof(real);
    return bytes * (double)(stream->N + 1) / 2 / (1 << 20);
}

/* Threads that a layer is worth: each should have ten microseconds. */
static int layer_parts(const struct stream *stream, double work, int threads) {
    const struct stage *stage = &stream->shape.stage[0];
    const ptrdiff_t panels = panel_count(stage_panels(&stream->shape, stage)),
                    most = panels < threads ? panels : threads;
    return work >= (double)most ? (int)most : work < 1 ? 1 : (int)work;
}

/* Adds the products with the input to the sums of a stage. */
static void add_input(struct fused *fused, const struct stream_layer *layer, const struct shape *shape,
                      const real *const *x, int index) {
    const ptrdiff_t width = panel_width(shape, fused->panels);
    fused->term[fused->terms++] = (struct term){.rows = x,
                                                .step = 1,
                                                .k = layer->width,
                                                .panels = layer->packed.stage[index].input[0],
                                                .panel_stride = layer->width * width};
}

/* Stage `index` of a step that reads h[p]. */
static struct cell_forward prepare_stage(const struct stream_layer *layer, const struct stream *stream,
                                         const struct stream_layer *below, int p, int index) {
    const struct shape *shape = &stream->shape;
    const struct stage *stage = &shape->stage[index];
    const struct packed_stage *packed = &layer->packed.stage[index];
    const int reads_input = !stage->projects && !shape->cell.norm;
    struct cell_forward step = cell_forward_of(shape, index, reads_input);
    step.fused.rows = stream->N;
    if (reads_input) add_input(&step.fused, layer, shape, below ? below->h_rows[1 - p] : stream->x, index);
    step.fused.term[step.fused.terms++] =
        recurrent_term(shape, stage, index ? stream->inner_rows : layer->h_rows[p], packed->recurrent);
    step.fused.bias = shape->cell.norm ? NULL : packed->bias;
    step.fused.second = packed->second;
    step.h_prev = step.u_prev = layer->h[p];
    step.h = layer->h[1 - p];
    step.c_prev = step.c = layer->c;
    step.inner = stream->inner;
    step.peephole = layer->packed.peephole;
    step.norm = layer->packed.norm;
    step.z = stream->z;
    return step;
}

static struct cell_forward prepare_products(const struct stream_layer *layer, const struct stream *stream,
                                            const struct stream_layer *below, int p) {
    struct cell_forward step = cell_forward_of(&stream->shape, 0, 0);
    step.fused.rows = stream->N;
    step.z = stream->z;
    step.store_at = 0;
    add_input(&step.fused, layer, &stream->shape, below ? below->h_rows[1 - p] : stream->x, 0);
    return step;
}

static void prepare_layer(const struct stream *stream, ptrdiff_t l, int threads) {
    const struct shape *shape = &stream->shape;
    struct stream_layer *layer = &stream->layer[l];
    const struct stream_layer *below = l == 0 ? NULL : layer - 1;
    const ptrdiff_t N = stream->N;
    /* The padding too, which no kernel that has fewer lanes ever writes. */
    for (int p = 0; p < 2; p++) {
        memset(layer->h[p], 0, (size_t)(N * shape->ld_h) * sizeof(real));
        for (ptrdiff_t n = 0; n < N; n++) layer->h_rows[p][n] = layer->h[p] + n * shape->ld_h;
    }
    if (layer->c) memset(layer->c, 0, (size_t)(N * shape->ld) * sizeof(real));
    const double work = layer_work(stream, layer);
    layer->parts = layer_parts(stream, work, threads);
    layer->worth_waking = work >= 4.0 * layer->parts;
    for (int p = 0; p < 2; p++) {
        for (int i = 0; i < shape->stages; i++) layer->step[p][i] = prepare_stage(layer, stream, below, p, i);
        if (shape->cell.norm) layer->products[p] = prepare_products(layer, stream, below, p);
    }
}

void REAL_NAME(stream_load)(const clstm_runtime *runtime, const clstm_stack *stack, ptrdiff_t N,
                            const clstm_weights *weights, void *memory) {
    const struct shape shape = shape_of(runtime, stack);
    struct arena arena = arena_over(memory);
    struct stream *stream = stream_lay_out(&arena, &shape, N);
    stream->shape.runtime = NULL;
    stream->shape.stack = NULL;
    for (ptrdiff_t l = 0; l < shape.L; l++) prepare_layer(stream, l, runtime->threads);
    REAL_NAME(stream_reload)(&stream->head, weights);
}

void REAL_NAME(stream_reload)(struct stream_head *head, const clstm_weights *weights) {
    const struct stream *stream = (struct stream *)head;
    const struct shape *shape = &stream->shape;
    for (ptrdiff_t l = 0; l < shape->L; l++) {
        const struct stream_layer *layer = &stream->layer[l];
        for (int i = 0; i < shape->stages; i++) {
            const struct stage *stage = &shape->stage[i];
            if (!stage->projects)
                pack_input(shape, stage, layer->packed.stage[i].input[0], weights[l].w_ih, layer->width, 0,
                           layer->width, all_panels(stage_panels(shape, stage)));
        }
        pack_cell(shape, &layer->packed, &weights[l]);
        pad_vectors(layer->packed.peephole, layer->packed.norm, &weights[l], shape);
    }
}

/* The state of row n of layer l becomes row `from` of those given. */
static void set_row(const struct stream *stream, ptrdiff_t l, ptrdiff_t n, clstm_state state, ptrdiff_t from) {
    const struct shape *shape = &stream->shape;
    const struct stream_layer *layer = &stream->layer[l];
    const ptrdiff_t H = shape->H, R = shape->R;
    copy_or_clear(layer->h[stream->now] + n * shape->ld_h, state.h ? (const real *)state.h + from * R : NULL, R);
    if (layer->c) copy_or_clear(layer->c + n * shape->ld, state.c ? (const real *)state.c + from * H : NULL, H);
}

void REAL_NAME(stream_reset)(struct stream_head *head, clstm_state state) {
    const struct stream *stream = (struct stream *)head;
    for (ptrdiff_t l = 0; l < stream->shape.L; l++)
        for (ptrdiff_t n = 0; n < stream->N; n++) set_row(stream, l, n, state, l * stream->N + n);
}

void REAL_NAME(stream_reset_rows)(struct stream_head *head, const uint8_t *flags, clstm_state state) {
    const struct stream *stream = (struct stream *)head;
    for (ptrdiff_t n = 0; n < stream->N; n++)
        for (ptrdiff_t l = 0; flags[n] && l < stream->shape.L; l++) set_row(stream, l, n, state, l);
}

void REAL_NAME(stream_state)(struct stream_head *head, clstm_state state) {
    const struct stream *stream = (struct stream *)head;
    const struct shape *shape = &stream->shape;
    const ptrdiff_t N = stream->N, H = shape->H, R = shape->R;
    for (ptrdiff_t l = 0; l < shape->L; l++)
        for (ptrdiff_t n = 0; n < N; n++) {
            const struct stream_layer *layer = &stream->layer[l];
            real *h = state_at(state.h, N, l, R), *c = state_at(state.c, N, l, H);
            if (h) memcpy(h + n * R, layer->h[stream->now] + n * shape->ld_h, (size_t)R * sizeof(real));
            if (c && layer->c) memcpy(c + n * H, layer->c + n * shape->ld, (size_t)H * sizeof(real));
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
static void run_sums(const struct stream *stream, const struct fused *fused, int parts) {
    struct shared_step shared = {stream->shape.kernels, fused, all_panels(fused->panels), parts};
    shared.range.backwards = stream->now;
    if (parts > 1) clstm_parallel(parts, parts, shared_step_task, &shared);
    else stream->shape.kernels->fused(fused, shared.range);
}

static void run_layer(struct stream *stream, const struct stream_layer *layer) {
    const struct cell *cell = &stream->shape.cell;
    const struct cell_forward *step = layer->step[stream->now];
    const int parts = worth_sharing(stream, layer) ? layer->parts : 1;
    if (cell->norm) run_sums(stream, &layer->products[stream->now].fused, parts);
    run_sums(stream, &step[0].fused, parts);
    if (cell->norm) cell->forward_rows(step, 0, stream->N);
    if (stream->shape.stages > 1) run_sums(stream, &step[1].fused, parts);
}

void REAL_NAME(stream_step)(struct stream_head *head, const void *x, ptrdiff_t stride_x, void *y, ptrdiff_t stride_y) {
    struct stream *stream = (struct stream *)head;
    const ptrdiff_t R = stream->shape.R, ld = stream->shape.ld_h;
    for (ptrdiff_t n = 0; n < stream->N; n++) stream->x[n] = (const real *)x + n * stride_x;
    for (ptrdiff_t l = 0; l < stream->shape.L; l++) run_layer(stream, &stream->layer[l]);
    stream->now = 1 - stream->now;
    stream->steps++;
    const real *h = stream->layer[stream->shape.L - 1].h[stream->now];
    for (ptrdiff_t n = 0; y && n < stream->N; n++)
        memcpy((real *)y + n * stride_y, h + n * ld, (size_t)R * sizeof(real));
}
