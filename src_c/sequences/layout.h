/* The sizes derived from an LSTM, the tape, and the packed weights. Included by the files of one precision. */
#ifndef CLSTM_LAYOUT_H
#define CLSTM_LAYOUT_H

#include "address.h"

/* Rows of a time-batched product that are worked on together: enough for full tiles, few enough to stay in cache. */
enum { CHUNK = 96 };

struct shape {
    const clstm_runtime *runtime;
    const struct kernels *kernels;
    ptrdiff_t I, H, L, D;
    ptrdiff_t ld; /* padded(H) */
    int blas;     /* products by BLAS, on the calling thread */
    /* Layer 0 reads symbols, each of `num`; row n has its own from symbols[n symbol_stride] on. NULL: it reads x. */
    const int64_t *symbols;
    ptrdiff_t num, symbol_stride;
};

static inline struct shape shape_of(const clstm_runtime *runtime, const clstm_stack *stack) {
    return (struct shape){
        .runtime = runtime,
        .kernels = kernels_of(runtime->isa),
        .I = stack->input_size,
        .H = stack->hidden_size,
        .L = stack->num_layers,
        .D = stack->directions,
        .ld = padded(stack->hidden_size),
        .blas = runtime->backend == CLSTM_BLAS,
    };
}

/* The same for the sequences of a batch, which may be of symbols. */
static inline struct shape shape_for(const clstm_runtime *runtime, const clstm_stack *stack, const clstm_batch *batch) {
    struct shape shape = shape_of(runtime, stack);
    shape.symbols = batch->symbols;
    shape.num = batch->symbols ? batch->num : 0;
    shape.symbol_stride = batch->T;
    return shape;
}

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
 * are [T+1,N,ld] and gates [T,N,4,ld]. */
struct layer_tape {
    real *gates, *c, *h;
};

struct tape {
    struct plan plan;
    struct layer_tape first; /* the others follow, all of one size */
    ptrdiff_t distance;      /* in elements */
};

static inline ptrdiff_t slot_of(const struct plan *plan, ptrdiff_t slot) {
    return slot == 0 ? 0 : plan->N + plan->start[slot - 1];
}

static inline void tape_lay_out(struct tape *tape, struct arena *arena, const struct shape *shape,
                                const clstm_batch *batch) {
    plan_lay_out(&tape->plan, arena, batch);
    const struct plan *plan = &tape->plan;
    const ptrdiff_t gates = times(plan->rows, times(4, shape->ld));
    const ptrdiff_t state = times(plan->N + plan->rows, shape->ld);
    /* One piece for all, so that the distance is the same: each part is whole cache lines because ld is. */
    tape->first.gates = arena_take(arena, gates, sizeof(real));
    tape->first.c = arena_take(arena, state, sizeof(real));
    tape->first.h = arena_take(arena, state, sizeof(real));
    ptrdiff_t distance;
    if (__builtin_add_overflow(gates, state, &distance) || __builtin_add_overflow(distance, state, &distance)) {
        arena->overflow = 1;
        return;
    }
    tape->distance = distance;
    arena_take(arena, times(shape->L * shape->D - 1, distance), sizeof(real));
}

static inline struct layer_tape tape_at(const struct tape *tape, ptrdiff_t index) {
    const ptrdiff_t shift = index * tape->distance;
    return (struct layer_tape){tape->first.gates + shift, tape->first.c + shift, tape->first.h + shift};
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

/* What layer `layer` multiplied at each step, by the tape: x, nothing (symbols), or the h of the layer below in its
 * directions. */
static inline struct input tape_input(const struct tape *tape, const struct shape *shape, ptrdiff_t layer,
                                      clstm_sequence x) {
    if (reads_symbols(shape, layer)) return (struct input){0};
    if (layer == 0) return (struct input){.segments = 1, .segment = {at_caller(x)}, .width = {shape->I}};
    struct input input = {.segments = (int)shape->D};
    for (int d = 0; d < shape->D; d++) {
        real *h = tape_at(tape, (layer - 1) * shape->D + d).h + tape->plan.N * shape->ld;
        input.segment[d] = at_packed(h, shape->ld, d);
        input.width[d] = shape->H;
    }
    return input;
}

/* Initial states: h0 or c0 [N,H] of one layer and direction (NULL: zero) into N padded rows in the plan's order. */
static inline void read_state(real *rows, const real *state, const struct plan *plan, ptrdiff_t H, ptrdiff_t ld) {
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
    const double rows = 4.0 * (double)shape->H * (double)shape->D;
    return threads_for(shape->runtime, 30 * rows * (double)(layer_width(shape, layer) + shape->H));
}

/* Floating-point operations of the products of one layer, forward. */
static inline double layer_operations(const struct shape *shape, const struct plan *plan, ptrdiff_t layer) {
    const double each = 8.0 * (double)shape->H * (double)shape->D, once = (double)shape->num * (double)shape->I;
    return each * ((double)(step_width(shape, layer) + shape->H) * (double)plan->rows + (layer == 0 ? once : 0));
}

/* A step of some rows whose panels are shared by threads. */
struct shared_step {
    const struct kernels *kernels;
    const struct gate_rows *step;
    struct panel_range range;
    ptrdiff_t parts;
};

static inline void shared_step_task(void *context, ptrdiff_t part, int worker) {
    const struct shared_step *shared = context;
    shared->kernels->gate_rows(shared->step, part_of(shared->range, part, shared->parts));
    (void)worker;
}

#endif
