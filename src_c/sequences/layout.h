/* The sizes derived from a stack, the tape, and the packed weights. Included by the files of one precision. */
#ifndef CLSTM_LAYOUT_H
#define CLSTM_LAYOUT_H

#include "../cells/cell.h"
#include "address.h"

/* Rows of a time-batched product that are worked on together: enough for full tiles, few enough to stay in cache. */
enum { CHUNK = 96 };

/* The sums that one stage of a step computes: those of `gates` gates of the cell, from the first on, or h = w_hr m. */
struct stage {
    int first, gates, projects;
    int block, blocks;  /* on the tape, that are written where the sums end */
    ptrdiff_t units, k; /* of each gate; elements of what the recurrent weights of this stage multiply */
};

struct shape {
    const clstm_runtime *runtime;
    const struct kernels *kernels;
    const clstm_stack *stack;
    const clstm_noise *noise; /* NULL: nothing is random */
    struct cell cell;
    int stages; /* of a step */
    struct stage stage[2];
    struct cell_limits limits;
    ptrdiff_t I, H, L, D, R; /* R: elements of h */
    int backwards;           /* the one direction is the reverse one */
    clstm_merge merge;       /* of the outputs of two directions; CONCAT, which is 0, also where there is one */
    ptrdiff_t ld, ld_h;      /* padded(H), padded(R) */
    ptrdiff_t row, x_row;    /* elements of the blocks of a step and row; of those that belong to the input */
    int blas;                /* products by BLAS, on the calling thread */
    /* Layer 0 reads symbols, each of `num`; the caller's row n has its own from symbols[n symbol_stride] on. NULL: it
     * reads x. */
    const int64_t *symbols;
    ptrdiff_t num, symbol_stride;
};

static inline int has_options_of_lstm(const clstm_stack *stack) {
    return stack->coupled || stack->no_forget || stack->peephole || stack->cell_clip > 0 || stack->zoneout_c > 0 ||
           stack->projection_size > 0 || stack->layer_norm || stack->show_c;
}

/* The cell of a stack with all its options; 0 if it does not have them. */
static inline int describe_cell(const struct kernels *kernels, const clstm_stack *stack, int noise, int flow,
                                struct cell *cell) {
    struct cell_form *form = &cell->form;
    *cell = (struct cell){0};
    form->flow = flow;
    form->clip = stack->clip > 0;
    form->clip_gradient = stack->gradient_clip > 0;
    form->mask = noise && stack->recurrent_dropout > 0;
    form->zone_h = stack->zoneout_h > 0;
    form->zone_c = stack->zoneout_c > 0;
    form->direct = form->zone_h || form->mask; /* the gradient of the final h does not meet the mask */
    form->gate = stack->gate_activation ? stack->gate_activation : CLSTM_SIGMOID;
    form->candidate = stack->candidate_activation ? stack->candidate_activation : CLSTM_TANH;
    form->output = stack->output_activation ? stack->output_activation : CLSTM_TANH;
    cell->general = flow || form->mask || form->zone_h || form->zone_c || form->clip || form->clip_gradient ||
                    form->gate != CLSTM_SIGMOID || form->candidate != CLSTM_TANH || form->output != CLSTM_TANH;
    if (!kernels->describe[stack->cell](stack, cell)) return 0;
    return stack->cell == CLSTM_LSTM
               ? !stack->reset_before
               : !has_options_of_lstm(stack) && !(stack->reset_before && stack->cell != CLSTM_GRU);
}

static inline void set_stages(struct shape *shape) {
    const struct cell *cell = &shape->cell;
    const ptrdiff_t H = shape->H, R = shape->R;
    const int early = cell->gates - cell->late, blocks = cell->form.blocks - cell->late;
    shape->stages = cell->late > 0 || cell->form.projects ? 2 : 1;
    shape->stage[0] = (struct stage){0, early, 0, 0, cell->norm ? 0 : blocks, H, R};
    if (cell->form.projects) shape->stage[1] = (struct stage){0, 1, 1, 0, 0, R, H};
    else shape->stage[1] = (struct stage){early, cell->late, 0, blocks, cell->late, H, H};
}

static inline struct shape shape_with(const clstm_runtime *runtime, const clstm_stack *stack,
                                      const clstm_noise *noise) {
    const struct kernels *kernels = kernels_of(runtime->isa);
    struct shape shape = {
        .runtime = runtime,
        .kernels = kernels,
        .stack = stack,
        .noise = noise,
        .limits = {(real)stack->clip, (real)stack->cell_clip, (real)stack->gradient_clip, (real)stack->zoneout_h,
                   (real)stack->zoneout_c},
        .I = stack->input_size,
        .H = stack->hidden_size,
        .L = stack->num_layers,
        .D = stack->directions,
        .R = stack->projection_size > 0 ? stack->projection_size : stack->hidden_size,
        .ld = padded(stack->hidden_size),
        .backwards = stack->go_backwards != 0,
        .merge = stack->merge,
        .blas = runtime->backend == CLSTM_BLAS,
    };
    describe_cell(kernels, stack, noise != NULL, 0, &shape.cell);
    set_stages(&shape);
    shape.ld_h = padded(shape.R);
    shape.row = times(shape.cell.form.blocks, shape.ld);
    shape.x_row = shape.cell.norm ? times(shape.cell.gates, shape.ld) : shape.row;
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
    shape.symbol_stride = caller_times(batch);
    return shape;
}

/* Whether direction d goes from the end. */
static inline int is_reverse(const struct shape *shape, ptrdiff_t d) { return shape->backwards || d == 1; }

/* F: what a layer gives at each step to the one above. */
static inline ptrdiff_t output_width(const struct shape *shape) {
    return shape->merge ? shape->R : shape->D * shape->R;
}

/* Whether y is c, in this layer. */
static inline int shows_c(const struct shape *shape, ptrdiff_t layer) {
    return shape->cell.form.show_c && layer == shape->L - 1;
}

/* The cell of one layer. */
static inline struct cell_form form_of(const struct shape *shape, ptrdiff_t layer) {
    struct cell_form form = shape->cell.form;
    form.show_c = shows_c(shape, layer);
    return form;
}

/* What each direction of a layer gives, and the last layer to the caller. */
static inline ptrdiff_t given_width(const struct shape *shape, ptrdiff_t layer) {
    return shows_c(shape, layer) ? shape->H : shape->R;
}

static inline ptrdiff_t widest_given(const struct shape *shape) {
    const ptrdiff_t last = given_width(shape, shape->L - 1);
    return shape->R > last ? shape->R : last;
}

static inline ptrdiff_t y_width(const struct shape *shape) {
    return (shape->merge ? 1 : shape->D) * given_width(shape, shape->L - 1);
}

static inline ptrdiff_t layer_width(const struct shape *shape, ptrdiff_t layer) {
    return layer == 0 ? shape->I : output_width(shape);
}

static inline int reads_symbols(const struct shape *shape, ptrdiff_t layer) { return layer == 0 && shape->symbols; }

/* What of its input a layer multiplies for each step; symbols are multiplied once each. */
static inline ptrdiff_t step_width(const struct shape *shape, ptrdiff_t layer) {
    return reads_symbols(shape, layer) ? 0 : layer_width(shape, layer);
}

static inline ptrdiff_t widest_layer(const struct shape *shape) {
    const ptrdiff_t upper = shape->L > 1 ? output_width(shape) : 0;
    return shape->I > upper ? shape->I : upper;
}

/* The tape of one layer and direction, rows padded to ld, those of h to ld_h. Slot 0 of h and c is the initial state; step
 * s reads slot s and writes slot s+1. Slot 0 has N rows, slot s+1 has the alive[s] rows that take step s: for equal
 * lengths h and c are [T+1,N,ld] and the blocks (the gates of an LSTM) [T,N,blocks,ld], as all that follow. What there is
 * none of is NULL. */
struct layer_tape {
    real *blocks, *c, *h;
    real *u;      /* like h, times the mask of recurrent dropout, what w_hh multiplies; NULL: that is h */
    real *inner;  /* [ld] what the second stage multiplies */
    real *dh;     /* [ld_h] projection, from backward: gradient of h */
    real *scales; /* [SCALES] of layer normalisation */
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

/* Elements of a mask on the state or on w_hh. */
static inline ptrdiff_t noise_width(const struct shape *shape, clstm_noise_kind kind) {
    return kind == CLSTM_NOISE_ZONE_C ? shape->H : shape->R;
}

static inline int has_noise(const struct shape *shape, clstm_noise_kind kind) {
    return shape->noise && noise_rate(shape->stack, kind) > 0;
}

/* The kind of noise that only the first layer has, or only those above it: by its number in the larger stack of which
 * this one may be a part. */
static inline clstm_noise_kind noise_between(const struct shape *shape, ptrdiff_t layer) {
    return shape->noise && shape->noise->first_layer + layer > 0 ? CLSTM_NOISE_DROPOUT : CLSTM_NOISE_ADDED;
}

/* Whether the input of a layer is changed at random. */
static inline int has_input_noise(const struct shape *shape, ptrdiff_t layer) {
    return has_noise(shape, CLSTM_NOISE_INPUT) || has_noise(shape, noise_between(shape, layer));
}

/* Whether a layer reads a changed copy of its input: with noise, or of two directions that are merged. */
static inline int mixes_input(const struct shape *shape, ptrdiff_t layer) {
    return has_input_noise(shape, layer) || (layer > 0 && shape->merge);
}

static inline ptrdiff_t slot_of(const struct plan *plan, ptrdiff_t slot) {
    return slot == 0 ? 0 : plan->N + plan->start[slot - 1];
}

/* Elements of the members of a layer_tape, in their order. */
enum { TAPE_PARTS = 7 };
static inline void tape_parts(ptrdiff_t parts[TAPE_PARTS], const struct shape *shape, const struct plan *plan) {
    const struct cell *cell = &shape->cell;
    const ptrdiff_t slots = plan->N + plan->rows;
    const ptrdiff_t found[TAPE_PARTS] = {
        times(plan->rows, shape->row),
        cell->has_c ? times(slots, shape->ld) : 0,
        times(slots, shape->ld_h),
        cell->form.mask ? times(slots, shape->ld_h) : 0,
        shape->stages > 1 ? times(plan->rows, shape->ld) : 0,
        cell->form.projects ? times(plan->rows, shape->ld_h) : 0,
        cell->norm ? times(plan->rows / CACHE_LINE + 1, SCALES * CACHE_LINE) : 0,
    };
    memcpy(parts, found, sizeof found);
}

/* One piece for all layers, so that the distance is the same: each part is whole cache lines. */
static inline void tape_lay_out(struct tape *tape, struct arena *arena, const struct shape *shape,
                                const clstm_batch *batch) {
    plan_lay_out(&tape->plan, arena, batch);
    const struct plan *plan = &tape->plan;
    ptrdiff_t parts[TAPE_PARTS];
    real *found[TAPE_PARTS];
    tape_parts(parts, shape, plan);
    tape->distance = 0;
    for (int i = 0; i < TAPE_PARTS; i++) {
        found[i] = parts[i] ? arena_take(arena, parts[i], sizeof(real)) : NULL;
        if (__builtin_add_overflow(tape->distance, parts[i], &tape->distance)) arena->overflow = 1;
    }
    if (arena->overflow) return;
    tape->first = (struct layer_tape){found[0], found[1], found[2], found[3], found[4], found[5], found[6]};
    arena_take(arena, times(shape->L * shape->D - 1, tape->distance), sizeof(real));
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

static inline real *moved(real *first, ptrdiff_t shift) { return first ? first + shift : NULL; }

static inline struct layer_tape tape_at(const struct tape *tape, ptrdiff_t index) {
    const struct layer_tape *first = &tape->first;
    const ptrdiff_t shift = index * tape->distance;
    return (struct layer_tape){
        moved(first->blocks, shift), moved(first->c, shift),  moved(first->h, shift),      moved(first->u, shift),
        moved(first->inner, shift),  moved(first->dh, shift), moved(first->scales, shift),
    };
}

/* For the rows [r0, r0 + n) at step s of a direction: the rows of a table, of `width` elements each, that belong to their
 * symbols. */
static inline void find_symbols(const struct shape *shape, const struct plan *plan, int reverse, ptrdiff_t s,
                                ptrdiff_t r0, ptrdiff_t n, real *table, ptrdiff_t width, real **found) {
    for (ptrdiff_t i = 0; i < n; i++) {
        const ptrdiff_t n_i = plan->order[r0 + i], t = plan_time(plan, reverse, s, r0 + i);
        const ptrdiff_t row = caller_row(plan->pieces, n_i) * shape->symbol_stride;
        found[i] = table + shape->symbols[row + caller_time(plan->pieces, n_i, t)] * width;
    }
}

/* What the directions of a layer give: their h, or c. */
static inline struct input tape_given(const struct tape *tape, const struct shape *shape, ptrdiff_t layer) {
    struct input given = {.segments = (int)shape->D};
    const int show_c = shows_c(shape, layer);
    const ptrdiff_t ld = show_c ? shape->ld : shape->ld_h;
    for (int d = 0; d < shape->D; d++) {
        const struct layer_tape own = tape_at(tape, layer * shape->D + d);
        given.segment[d] = at_packed((show_c ? own.c : own.h) + tape->plan.N * ld, ld, is_reverse(shape, d));
        given.width[d] = given_width(shape, layer);
    }
    return given;
}

/* What layer `layer` reads, before any noise: x, nothing (symbols), or the h of the layer below in its directions. */
static inline struct input tape_source(const struct tape *tape, const struct shape *shape, ptrdiff_t layer,
                                       clstm_sequence x) {
    if (reads_symbols(shape, layer)) return (struct input){0};
    if (layer == 0) return (struct input){.segments = 1, .segment = {at_caller(x)}, .width = {shape->I}};
    return tape_given(tape, shape, layer - 1);
}

/* The same as it is multiplied. */
static inline struct input tape_input(const struct tape *tape, const struct shape *shape, ptrdiff_t layer,
                                      clstm_sequence x) {
    const ptrdiff_t width = layer_width(shape, layer);
    if (!mixed_at(tape, shape, layer)) return tape_source(tape, shape, layer, x);
    return (struct input){
        .segments = 1, .segment = {at_packed(mixed_at(tape, shape, layer), padded(width), 0)}, .width = {width}};
}

/* Initial states: h0 or c0 [N,width] of one layer and direction (NULL: zero) into N padded rows in the plan's order, if
 * there are any. */
static inline void read_state(real *rows, const real *state, const struct plan *plan, ptrdiff_t width) {
    const ptrdiff_t ld = padded(width);
    if (!rows) return;
    if (!state) {
        memset(rows, 0, (size_t)(plan->N * ld) * sizeof(real));
        return;
    }
    for (ptrdiff_t r = 0; r < plan->N; r++) copy_padded(rows + r * ld, state + plan->order[r] * width, width, ld);
}

/* h or c of one layer and direction, of `width` elements. */
static inline real *state_at(void *state, ptrdiff_t N, ptrdiff_t index, ptrdiff_t width) {
    return state ? (real *)state + index * N * width : NULL;
}

/* Clears what lies beyond the lengths of an output [N,T,F] of the caller, but not what is between pieces. */
static inline void clear_padding(clstm_sequence sequence, const clstm_batch *batch, ptrdiff_t width) {
    if (!sequence.data || !batch->lengths || batch->pieces) return;
    for (ptrdiff_t n = 0; n < batch->N; n++)
        for (ptrdiff_t t = batch->lengths[n]; t < batch->T; t++)
            memset((real *)sequence.data + n * sequence.stride_n + t * sequence.stride_t, 0,
                   (size_t)width * sizeof(real));
}

/* Whether these blocks of a row are one run of numbers. */
static inline int side_by_side(const struct shape *shape, const int *block, int gates) {
    int contiguous = shape->H == shape->ld || gates == 1;
    for (int gate = 1; gate < gates; gate++) contiguous = contiguous && block[gate] == block[0] + gate;
    return contiguous;
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
    return threads_for(shape->runtime, 30 * rows * (double)(layer_width(shape, layer) + shape->R));
}

/* Floating-point operations of the products of one layer, forward. */
static inline double layer_operations(const struct shape *shape, const struct plan *plan, ptrdiff_t layer) {
    const double each = 2.0 * shape->cell.gates * (double)shape->H * (double)shape->D, rows = (double)plan->rows;
    const double once = (double)shape->num * (double)shape->I;
    const double projection = shape->cell.form.projects ? 2.0 * (double)(shape->R * shape->H * shape->D) : 0;
    return each * ((double)(step_width(shape, layer) + shape->R) * rows + (layer == 0 ? once : 0)) + projection * rows;
}

#endif
