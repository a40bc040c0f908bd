/* The sizes derived from a stack, the tape, and the packed weights. Included by the files of one precision. */
#ifndef CLSTM_LAYOUT_H
#define CLSTM_LAYOUT_H

#include "../cells/cell.h"
#include "address.h"

/* Rows of a time-batched product that are worked on together: enough for full tiles, few enough to stay in cache. */
enum { CHUNK = 96 };

struct shape {
    const clstm_runtime *runtime;
    const struct kernels *kernels;
    const clstm_stack *stack;
    const clstm_noise *noise; /* NULL: nothing is random */
    const struct cell_kernels *cell_kernels;
    struct cell cell;
    struct cell_limits limits;
    ptrdiff_t I, H, L, D;
    int backwards;     /* the one direction is the reverse one */
    ptrdiff_t ld, row; /* padded(H); elements of the blocks of a step and row */
    int blas;          /* products by BLAS, on the calling thread */
    /* Layer 0 reads symbols, each of `num`; row n has its own from symbols[n symbol_stride] on. NULL: it reads x. */
    const int64_t *symbols;
    ptrdiff_t num, symbol_stride;
};

/* The cell of a stack with all its options; 0 if it does not have them. */
static inline int describe_cell(const struct kernels *kernels, const clstm_stack *stack, int noise, struct cell *cell) {
    struct cell_form *form = &cell->form;
    const int fits = kernels->cells[stack->cell]->describe(stack, cell);
    form->clip = stack->clip > 0;
    form->clip_gradient = stack->gradient_clip > 0;
    form->mask = noise && stack->recurrent_dropout > 0;
    form->zone_h = stack->zoneout_h > 0;
    form->zone_c = stack->zoneout_c > 0;
    form->direct = form->direct || form->zone_h || form->mask; /* the gradient of the final h does not meet the mask */
    form->gate = stack->gate_activation ? stack->gate_activation : CLSTM_SIGMOID;
    form->candidate = stack->candidate_activation ? stack->candidate_activation : CLSTM_TANH;
    form->output = stack->output_activation ? stack->output_activation : CLSTM_TANH;
    cell->general = cell->general || form->mask || form->zone_h || form->zone_c || form->clip || form->clip_gradient ||
                    form->gate != CLSTM_SIGMOID || form->candidate != CLSTM_TANH || form->output != CLSTM_TANH;
    return fits && (cell->has_c || !form->zone_c);
}

static inline struct shape shape_with(const clstm_runtime *runtime, const clstm_stack *stack,
                                      const clstm_noise *noise) {
    const struct kernels *kernels = kernels_of(runtime->isa);
    struct shape shape = {
        .runtime = runtime,
        .kernels = kernels,
        .stack = stack,
        .noise = noise,
        .cell_kernels = kernels->cells[stack->cell],
        .limits = {(real)stack->clip, (real)stack->cell_clip, (real)stack->gradient_clip, (real)stack->zoneout_h,
                   (real)stack->zoneout_c},
        .I = stack->input_size,
        .H = stack->hidden_size,
        .L = stack->num_layers,
        .D = stack->directions,
        .ld = padded(stack->hidden_size),
        .backwards = stack->go_backwards != 0,
        .blas = runtime->backend == CLSTM_BLAS,
    };
    describe_cell(kernels, stack, noise != NULL, &shape.cell);
    shape.row = times(shape.cell.form.blocks, shape.ld);
    return shape;
}

static inline struct shape shape_of(const clstm_runtime *runtime, const clstm_stack *stack) {
    return shape_with(runtime, stack, NULL);
}

/* The same for the sequences of a batch, which may be of symbols. */
static inline struct shape shape_for(const clstm_runtime *runtime, const clstm_stack *stack, const clstm_batch *batch) {
    struct shape shape = shape_with(runtime, stack, batch->noise);
    shape.symbols = batch->symbols;
    shape.num = batch->symbols ? batch->num : 0;
    shape.symbol_stride = batch->T;
    return shape;
}

/* Whether direction d goes from the end. */
static inline int is_reverse(const struct shape *shape, ptrdiff_t d) { return shape->backwards || d == 1; }

static inline ptrdiff_t layer_width(const struct shape *shape, ptrdiff_t layer) {
    return layer == 0 ? shape->I : shape->D * shape->H;
}

static inline int reads_symbols(const struct shape *shape, ptrdiff_t layer) { return layer == 0 && shape->symbols; }

/* What of its input a layer multiplies for each step; symbols are multiplied once each. */
static inline ptrdiff_t step_width(const struct shape *shape, ptrdiff_t layer) {
    return reads_symbols(shape, layer) ? 0 : layer_width(shape, layer);
}

static inline ptrdiff_t widest_layer(const struct shape *shape) {
    const ptrdiff_t upper = shape->L > 1 ? shape->D * shape->H : 0;
    return shape->I > upper ? shape->I : upper;
}

/* The tape of one layer and direction, rows padded to ld. Slot 0 of h and c is the initial state; step s reads slot s
 * and writes slot s+1. Slot 0 has N rows, slot s+1 has the alive[s] rows that take step s: for equal lengths h and c
 * are [T+1,N,ld] and the blocks (the gates of an LSTM) [T,N,blocks,ld]. */
struct layer_tape {
    real *blocks, *c, *h; /* c NULL: the cell has none */
    real *u;              /* h times the mask of recurrent dropout, what w_hh multiplies; NULL: that is h */
};

struct tape {
    struct plan plan;
    struct layer_tape first; /* the others follow, all of one size */
    ptrdiff_t distance;      /* in elements */
    real *mixed[2]; /* changed copies of the input of the first layer and of those above, in the order of time */
};

enum { EVERY_STEP = -1 };

static inline double noise_rate(const clstm_stack *stack, clstm_noise_kind kind) {
    const double rates[CLSTM_NOISE_COUNT] = {stack->dropout,           stack->input_dropout, stack->input_noise,
                                             stack->recurrent_dropout, stack->weight_drop,   stack->zoneout_h,
                                             stack->zoneout_c};
    return rates[kind];
}

static inline int has_noise(const struct shape *shape, clstm_noise_kind kind) {
    return shape->noise && noise_rate(shape->stack, kind) > 0;
}

/* Whether a layer reads a changed copy of its input. */
static inline int mixes_input(const struct shape *shape, ptrdiff_t layer) {
    return has_noise(shape, CLSTM_NOISE_INPUT) || has_noise(shape, layer ? CLSTM_NOISE_DROPOUT : CLSTM_NOISE_ADDED);
}

static inline ptrdiff_t slot_of(const struct plan *plan, ptrdiff_t slot) {
    return slot == 0 ? 0 : plan->N + plan->start[slot - 1];
}

static inline void tape_lay_out(struct tape *tape, struct arena *arena, const struct shape *shape,
                                const clstm_batch *batch) {
    plan_lay_out(&tape->plan, arena, batch);
    const struct plan *plan = &tape->plan;
    const ptrdiff_t blocks = times(plan->rows, shape->row);
    const ptrdiff_t h = times(plan->N + plan->rows, shape->ld), c = shape->cell.has_c ? h : 0;
    /* One piece for all, so that the distance is the same: each part is whole cache lines because ld is. */
    tape->first.blocks = arena_take(arena, blocks, sizeof(real));
    tape->first.c = shape->cell.has_c ? arena_take(arena, c, sizeof(real)) : NULL;
    tape->first.h = arena_take(arena, h, sizeof(real));
    const ptrdiff_t u = shape->cell.form.mask ? h : 0;
    tape->first.u = u ? arena_take(arena, u, sizeof(real)) : NULL;
    ptrdiff_t distance;
    if (__builtin_add_overflow(blocks, c, &distance) || __builtin_add_overflow(distance, h, &distance) ||
        __builtin_add_overflow(distance, u, &distance)) {
        arena->overflow = 1;
        return;
    }
    tape->distance = distance;
    arena_take(arena, times(shape->L * shape->D - 1, distance), sizeof(real));
    for (ptrdiff_t l = 0; l < 2; l++) {
        const ptrdiff_t each = times(plan->rows, padded(layer_width(shape, l))), count = l ? shape->L - 1 : 1;
        tape->mixed[l] = mixes_input(shape, l) ? arena_take(arena, times(count, each), sizeof(real)) : NULL;
    }
}

/* The changed copy of the input of a layer, or NULL. */
static inline real *mixed_at(const struct tape *tape, const struct shape *shape, ptrdiff_t layer) {
    if (layer == 0 || !tape->mixed[1]) return tape->mixed[layer > 0];
    return tape->mixed[1] + (layer - 1) * tape->plan.rows * padded(layer_width(shape, layer));
}

static inline struct layer_tape tape_at(const struct tape *tape, ptrdiff_t index) {
    const ptrdiff_t shift = index * tape->distance;
    return (struct layer_tape){tape->first.blocks + shift, tape->first.c ? tape->first.c + shift : NULL,
                               tape->first.h + shift, tape->first.u ? tape->first.u + shift : NULL};
}

/* For the rows [r0, r0 + n) at step s of a direction: the rows of a table, of `width` elements each, that belong to their
 * symbols. */
static inline void find_symbols(const struct shape *shape, const struct plan *plan, int reverse, ptrdiff_t s,
                                ptrdiff_t r0, ptrdiff_t n, real *table, ptrdiff_t width, real **found) {
    for (ptrdiff_t i = 0; i < n; i++) {
        const ptrdiff_t row = plan->order[r0 + i] * shape->symbol_stride;
        found[i] = table + shape->symbols[row + plan_time(plan, reverse, s, r0 + i)] * width;
    }
}

/* What layer `layer` reads, before any noise: x, nothing (symbols), or the h of the layer below in its directions. */
static inline struct input tape_source(const struct tape *tape, const struct shape *shape, ptrdiff_t layer,
                                       clstm_sequence x) {
    if (reads_symbols(shape, layer)) return (struct input){0};
    if (layer == 0) return (struct input){.segments = 1, .segment = {at_caller(x)}, .width = {shape->I}};
    struct input input = {.segments = (int)shape->D};
    for (int d = 0; d < shape->D; d++) {
        real *h = tape_at(tape, (layer - 1) * shape->D + d).h + tape->plan.N * shape->ld;
        input.segment[d] = at_packed(h, shape->ld, is_reverse(shape, d));
        input.width[d] = shape->H;
    }
    return input;
}

/* The same as it is multiplied. */
static inline struct input tape_input(const struct tape *tape, const struct shape *shape, ptrdiff_t layer,
                                      clstm_sequence x) {
    const ptrdiff_t width = layer_width(shape, layer);
    if (!mixed_at(tape, shape, layer)) return tape_source(tape, shape, layer, x);
    return (struct input){
        .segments = 1, .segment = {at_packed(mixed_at(tape, shape, layer), padded(width), 0)}, .width = {width}};
}

/* Initial states: h0 or c0 [N,H] of one layer and direction (NULL: zero) into N padded rows in the plan's order, if
 * there are any. */
static inline void read_state(real *rows, const real *state, const struct plan *plan, ptrdiff_t H, ptrdiff_t ld) {
    if (!rows) return;
    if (!state) {
        memset(rows, 0, (size_t)(plan->N * ld) * sizeof(real));
        return;
    }
    for (ptrdiff_t r = 0; r < plan->N; r++) copy_padded(rows + r * ld, state + plan->order[r] * H, H, ld);
}

static inline real *state_at(void *state, const struct shape *shape, ptrdiff_t N, ptrdiff_t index) {
    return state ? (real *)state + index * N * shape->H : NULL;
}

/* Clears what lies beyond the lengths of an output [N,T,F] of the caller. */
static inline void clear_padding(clstm_sequence sequence, const clstm_batch *batch, ptrdiff_t width) {
    if (!sequence.data || !batch->lengths) return;
    for (ptrdiff_t n = 0; n < batch->N; n++)
        for (ptrdiff_t t = batch->lengths[n]; t < batch->T; t++)
            memset((real *)sequence.data + n * sequence.stride_n + t * sequence.stride_t, 0,
                   (size_t)width * sizeof(real));
}

static inline ptrdiff_t parts_of(ptrdiff_t size, ptrdiff_t share) { return (size + share - 1) / share; }

/* Threads worth waking for a number of floating-point operations: each should have fifty microseconds. */
static inline int threads_for(const clstm_runtime *runtime, double operations) {
    const double worth = operations / 5e6;
    return worth >= runtime->threads ? runtime->threads : worth < 1 ? 1 : (int)worth;
}

/* Threads that pack the weights of one layer: moving a number takes as long as some thirty operations. */
static inline int pack_threads(const struct shape *shape, ptrdiff_t layer) {
    const double rows = (double)(shape->cell.gates * shape->H * shape->D);
    return threads_for(shape->runtime, 30 * rows * (double)(layer_width(shape, layer) + shape->H));
}

/* Floating-point operations of the products of one layer, forward. */
static inline double layer_operations(const struct shape *shape, const struct plan *plan, ptrdiff_t layer) {
    const double each = 2.0 * shape->cell.gates * (double)shape->H * (double)shape->D;
    const double once = (double)shape->num * (double)shape->I;
    return each * ((double)(step_width(shape, layer) + shape->H) * (double)plan->rows + (layer == 0 ? once : 0));
}

static inline struct panels cell_panels(const struct shape *shape) {
    return gate_panels(shape->kernels, shape->cell.gates, shape->H);
}

/* Where the vectors of a panel stand in the blocks of a row. */
static inline void block_vectors(ptrdiff_t vector[MAX_VECTORS], const struct shape *shape, struct panels panels,
                                 const int block[MAX_GATES]) {
    for (int j = 0; j < panels.vectors; j++)
        vector[j] = block[j / panels.groups] * shape->ld + j % panels.groups * shape->kernels->lanes;
}

/* [rows,H] as padded rows. */
static inline void pad_rows(real *to, const real *from, ptrdiff_t rows, const struct shape *shape) {
    for (ptrdiff_t row = 0; row < rows; row++)
        copy_padded(to + row * shape->ld, from + row * shape->H, shape->H, shape->ld);
}

/* Whether these blocks of a row are one run of numbers. */
static inline int side_by_side(const struct shape *shape, const int block[MAX_GATES]) {
    int contiguous = shape->H == shape->ld || shape->cell.gates == 1;
    for (int gate = 1; gate < shape->cell.gates; gate++) contiguous = contiguous && block[gate] == block[0] + gate;
    return contiguous;
}

/* Elements of a panel for each k. */
static inline ptrdiff_t panel_width(const struct shape *shape, struct panels panels) {
    return panels.vectors * shape->kernels->lanes;
}

/* Clears some panels of a packed vector. */
static inline void clear_panels(const struct shape *shape, real *dst, struct panels panels, struct panel_range range) {
    const ptrdiff_t end = range.end < panels.full ? range.end : panels.full;
    const ptrdiff_t vectors = (end - range.begin) * panels.vectors + (range.end > panels.full ? panels.last : 0);
    memset(dst, 0, (size_t)(vectors * shape->kernels->lanes) * sizeof(real));
}

/* Packs some panels of a vector [gates,H]; NULL is zero. */
static inline void pack_bias(const struct shape *shape, real *dst, const real *b, struct panel_range range) {
    const struct panels panels = cell_panels(shape);
    if (b) shape->kernels->pack_gates(dst, b, 1, shape->H, 1, &panels, range);
    else clear_panels(shape, dst, panels, range);
}

/* The same for the second sum of the last gate, whose b is [H]. */
static inline void pack_second(const struct shape *shape, real *dst, const real *b, struct panel_range range) {
    const struct panels panels = cell_panels(shape);
    const ptrdiff_t full = panels.groups * shape->kernels->lanes, width = panel_width(shape, panels);
    clear_panels(shape, dst, panels, range);
    for (ptrdiff_t panel = range.begin; b && panel < range.end; panel++) {
        const ptrdiff_t units = panel < panels.full ? full : panels.units, left = shape->H - panel * full;
        copy_or_clear(dst + (panel - range.begin) * width + (panels.gates - 1) * units, b + panel * full,
                      left < units ? left : units);
    }
}

/* Sums over fewer units are too short for anything to arrive during them. */
enum { TIME_TO_ARRIVE = 48 };

/* The blocks on the tape, and y, which nobody has touched for a while and whose order no processor guesses. */
static inline void await_forward(struct cell_forward *step) {
    struct fused *fused = &step->fused;
    fused->awaited = 0;
    if (step->hidden <= TIME_TO_ARRIVE) return;
    for (int b = 0; step->blocks && b < step->form.blocks; b++)
        fused->await[fused->awaited++] =
            (struct awaited){.base = step->blocks + b * step->ld, .stride = step->form.blocks * step->ld};
    if (step->y) fused->await[fused->awaited++] = (struct awaited){.rows = (const real *const *)step->y};
}

/* What is the same in all steps of a cell. `input_terms` are the terms of the sums that come from the input. */
static inline struct cell_forward cell_forward_of(const struct shape *shape, int input_terms) {
    struct cell_forward step = {
        .fused = {.panels = cell_panels(shape),
                  .two_sums = shape->cell.two_sums,
                  .resume = input_terms,
                  .first_unit = shape->H,
                  .units = shape->H,
                  .finish = shape->cell_kernels->forward[shape->cell.general]},
        .hidden = shape->H,
        .ld = shape->ld,
        .form = shape->cell.form,
        .limits = shape->limits,
    };
    block_vectors(step.fused.vector, shape, step.fused.panels, shape->cell.x_block);
    return step;
}

/* A step of some rows whose panels are shared by threads. */
struct shared_step {
    const struct kernels *kernels;
    const struct fused *step;
    struct panel_range range;
    ptrdiff_t parts;
};

static inline void shared_step_task(void *context, ptrdiff_t part, int worker) {
    const struct shared_step *shared = context;
    shared->kernels->fused(shared->step, part_of(shared->range, part, shared->parts));
    (void)worker;
}

#endif
