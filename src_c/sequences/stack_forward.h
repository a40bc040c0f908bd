/* Forward over a stack, for training (with a tape) and for inference (without). Included by the files of one
 * precision. */
#ifndef CLSTM_STACK_FORWARD_H
#define CLSTM_STACK_FORWARD_H

#include "steps.h"

/* Working memory of a forward call. */
struct forward_scratch {
    struct plan plan;             /* inference only: a tape has its own */
    struct packed_cell packed[2]; /* by direction, for the widest layer */
    real *mask[2], *dropped[2];   /* of recurrent dropout, [N, ld_h]; w_hh after weight drop */
    real **wide;                  /* [threads] masks of a row of input */
    real *table[2];               /* z of each symbol, by direction */
    struct slots ring[2];         /* inference only */
    real *between[2];             /* inference only: outputs of the layer below, and of this one, [rows, F] */
    real *other;                  /* inference only: of the second direction, where they are merged */
    struct pass_scratch *worker;  /* [threads] */
};

static void forward_lay_out(struct forward_scratch *scratch, struct arena *arena, const struct shape *shape,
                            const struct plan *plan, int ring) {
    const ptrdiff_t state = times(plan->N, shape->ld), state_h = times(plan->N, shape->ld_h);
    for (int d = 0; d < shape->D; d++) {
        scratch->packed[d] = (struct packed_cell){0};
        if (!shape->blas) packed_lay_out(&scratch->packed[d], arena, shape, widest_layer(shape));
        vectors_lay_out(&scratch->packed[d], arena, shape);
    }
    noise_lay_out(scratch->mask, scratch->dropped, arena, shape, plan);
    for (int d = 0; d < shape->D; d++)
        scratch->table[d] = arena_take(arena, times(shape->num, shape->x_row), sizeof(real));
    for (int d = 0; d < shape->D && ring; d++) {
        scratch->ring[d].ring = 1;
        scratch->ring[d].h = arena_take(arena, times(2, state_h), sizeof(real));
        scratch->ring[d].inner = shape->stages > 1 ? arena_take(arena, state, sizeof(real)) : NULL;
        scratch->ring[d].c = shape->cell.has_c ? arena_take(arena, state, sizeof(real)) : NULL;
    }
    const ptrdiff_t between = shape->L > 1 && ring ? times(plan->rows, output_width(shape)) : 0;
    for (int i = 0; i < 2; i++) scratch->between[i] = arena_take(arena, between, sizeof(real));
    const ptrdiff_t other = shape->merge && ring ? times(plan->rows, widest_given(shape)) : 0;
    scratch->other = arena_take(arena, other, sizeof(real));
    const int threads = shape->blas ? 1 : shape->runtime->threads;
    scratch->wide = wide_lay_out(arena, shape, threads);
    scratch->worker = arena_take(arena, threads, sizeof *scratch->worker);
    for (int i = 0; i < threads; i++) {
        struct pass_scratch measured;
        pass_lay_out(scratch->worker ? &scratch->worker[i] : &measured, arena, shape, plan, ring);
    }
}

struct forward_layer {
    struct pass pass[2];
    clstm_weights weights[2]; /* as they are multiplied */
    struct pass_scratch *worker;
    const struct forward_scratch *scratch; /* where to pack the weights */
    ptrdiff_t blocks;                      /* of rows, per direction */
    ptrdiff_t symbol_blocks;               /* of symbols, per direction */
};

enum { PACK_PARTS = 3 };

/* Segment `part` of the input, so that each is a term of its own, for all gates. */
static void pack_segment(struct pass *pass, const struct packed_cell *memory, int part) {
    const struct shape *shape = pass->shape;
    const ptrdiff_t before = part == 0 ? 0 : pass->input.width[0];
    for (int i = 0; i < shape->stages; i++) {
        const struct stage *stage = &shape->stage[i];
        if (stage->projects) continue;
        real *dst = memory->stage[i].input[0] + before * packed_elements(stage);
        pass->packed.stage[i].input[part] = dst;
        pack_input(shape, stage, dst, pass->weights->w_ih, input_width(&pass->input), before, pass->input.width[part],
                   all_panels(stage_panels(shape, stage)));
    }
}

/* One part of packing the weights of one direction into gate panels: a segment of the input, or all others. */
static void pack_forward_task(void *context, ptrdiff_t task, int worker) {
    struct forward_layer *layer = context;
    const ptrdiff_t d = task / PACK_PARTS;
    const int part = (int)(task % PACK_PARTS);
    struct pass *pass = &layer->pass[d];
    if (part < pass->input.segments) pack_segment(pass, &layer->scratch->packed[d], part);
    else if (part == PACK_PARTS - 1) pack_cell(pass->shape, &layer->scratch->packed[d], pass->weights);
    (void)worker;
}

static void table_task(void *context, ptrdiff_t task, int worker) {
    const struct forward_layer *layer = context;
    const ptrdiff_t blocks = layer->symbol_blocks, block = task % blocks;
    const struct pass *pass = &layer->pass[task / blocks];
    const ptrdiff_t begin = block * pass->shape->num / blocks, end = (block + 1) * pass->shape->num / blocks;
    for (ptrdiff_t symbol = begin; symbol < end; symbol += CHUNK)
        project_symbols(pass, &layer->worker[worker], symbol, end - symbol < CHUNK ? end - symbol : CHUNK);
}

static void forward_task(void *context, ptrdiff_t task, int worker) {
    const struct forward_layer *layer = context;
    const struct pass *pass = &layer->pass[task / layer->blocks];
    pass_rows(pass, &layer->worker[worker], block_of_rows(pass->plan, task % layer->blocks, layer->blocks));
}

static void run_layer(struct forward_layer *layer, const struct shape *shape, const struct plan *plan,
                      ptrdiff_t index) {
    const int threads = shape->blas ? 1 : threads_for(shape->runtime, layer_operations(shape, plan, index));
    layer->blocks = row_blocks(shape, plan, threads);
    const int split = split_of(shape, plan, threads, layer->blocks);
    for (int d = 0; d < shape->D; d++) layer->pass[d].split = split;
    if (!shape->blas) clstm_parallel(pack_threads(shape, index), shape->D * PACK_PARTS, pack_forward_task, layer);
    for (int d = 0; d < shape->D; d++) {
        const struct packed_cell *packed = &layer->pass[d].packed;
        pad_vectors(packed->peephole, packed->norm, layer->pass[d].weights, shape);
    }
    if (reads_symbols(shape, index)) {
        layer->symbol_blocks = threads < shape->num ? threads : shape->num;
        clstm_parallel(threads, layer->symbol_blocks * shape->D, table_task, layer);
    }
    clstm_parallel(split > 1 ? 1 : threads, layer->blocks * shape->D, forward_task, layer);
}

/* Draws the mask of recurrent dropout, and applies it to the initial state. */
static void start_mask(struct pass *pass, real *mask) {
    const struct shape *shape = pass->shape;
    const real *h = pass->slots.h;
    pass->mask = mask;
    draw_rows(shape, pass->plan, CLSTM_NOISE_RECURRENT, pass->index, EVERY_STEP, 0, pass->plan->N, mask);
    for (ptrdiff_t i = 0; i < pass->plan->N * shape->ld_h; i++) pass->slots.u[i] = h[i] * mask[i];
}

/* The changed copy of a layer's input. */
static void mix_forward(const struct shape *shape, const struct forward_scratch *scratch, const struct tape *tape,
                        ptrdiff_t layer, clstm_sequence x) {
    struct mix mix = {
        .shape = shape,
        .plan = &tape->plan,
        .layer = layer,
        .from = tape_source(tape, shape, layer, x),
        .to = at_packed(mixed_at(tape, shape, layer), padded(layer_width(shape, layer)), 0),
        .mask = scratch->wide,
    };
    run_mix(&mix, mix_threads(shape, &tape->plan, layer));
}

/* Where direction d of a layer writes what it gives, besides a tape: its place in y, or in what the layer above reads.
 * Of two that are merged, the second has a place of its own; on a tape, both are merged from there. */
static struct located output_of(const struct shape *shape, const struct forward_scratch *scratch, int with_tape,
                                ptrdiff_t layer, ptrdiff_t d, clstm_sequence y) {
    const int last = layer == shape->L - 1;
    if (last ? !y.data || (with_tape && shape->merge) : with_tape) return (struct located){0};
    if (d == 1 && shape->merge) return at_packed(scratch->other, given_width(shape, layer), 0);
    struct located output = last ? at_caller(y) : at_packed(scratch->between[(layer + 1) & 1], output_width(shape), 0);
    output.base += d * given_width(shape, layer);
    return output;
}

/* What the directions of a layer have given becomes y, or what the layer above reads. That of a layer below whose h
 * stands on a tape is merged when it is read. */
static void merge_forward(const struct forward_layer *layer, const struct tape *tape, ptrdiff_t index,
                          clstm_sequence y) {
    const struct shape *shape = layer->pass[0].shape;
    const int last = index == shape->L - 1;
    if (last ? !y.data : tape != NULL) return;
    struct merge merge = {.shape = shape,
                          .plan = layer->pass[0].plan,
                          .width = given_width(shape, index),
                          .y = last ? at_caller(y) : layer->pass[0].output};
    const struct input on_tape = tape ? tape_given(tape, shape, index) : (struct input){0};
    for (int d = 0; d < 2; d++) merge.given[d] = tape ? on_tape.segment[d] : layer->pass[d].output;
    run_merge(&merge);
}

/* tape NULL: inference. */
static void forward_stack(const struct shape *shape, struct forward_scratch *scratch, const struct tape *tape,
                          const struct plan *plan, const clstm_weights *weights, clstm_sequence x, clstm_state initial,
                          clstm_sequence y, clstm_state final) {
    const ptrdiff_t D = shape->D, H = shape->H, R = shape->R, N = plan->N;
    for (ptrdiff_t l = 0; l < shape->L; l++) {
        struct forward_layer layer = {.worker = scratch->worker, .scratch = scratch};
        for (int d = 0; d < D; d++) {
            const ptrdiff_t index = l * D + d;
            struct pass *pass = &layer.pass[d];
            layer.weights[d] = weights[index];
            *pass = (struct pass){.shape = shape,
                                  .plan = plan,
                                  .index = index,
                                  .reverse = is_reverse(shape, d),
                                  .form = form_of(shape, l),
                                  .weights = &layer.weights[d],
                                  .packed = scratch->packed[d]};
            if (has_noise(shape, CLSTM_NOISE_WEIGHT)) {
                drop_weights(shape, index, weights[index].w_hh, scratch->dropped[d]);
                layer.weights[d].w_hh = scratch->dropped[d];
            }
            if (tape) {
                const struct layer_tape own = tape_at(tape, index);
                pass->slots = (struct slots){0, own.h, own.c, own.u, own.inner, own.blocks, own.scales};
            } else {
                pass->slots = scratch->ring[d];
            }
            if (reads_symbols(shape, l)) pass->table = scratch->table[d];
            if (tape && !pass->table) {
                pass->input = tape_input(tape, shape, l, x);
            } else {
                pass->input = (struct input){.segments = 1, .width = {layer_width(shape, l)}};
                pass->input.segment[0] =
                    l == 0 ? at_caller(x) : at_packed(scratch->between[l & 1], layer_width(shape, l), 0);
            }
            pass->output = output_of(shape, scratch, tape != NULL, l, d, y);
            read_state(pass->slots.h, state_at(initial.h, N, index, R), plan, R);
            read_state(pass->slots.c, state_at(initial.c, N, index, H), plan, H);
            if (shape->cell.form.mask) start_mask(pass, scratch->mask[d]);
        }
        if (tape && mixes_input(shape, l)) mix_forward(shape, scratch, tape, l, x);
        run_layer(&layer, shape, plan, l);
        if (shape->merge) merge_forward(&layer, tape, l, y);
        for (int d = 0; d < D; d++)
            write_final(&layer.pass[d], state_at(final.h, N, l * D + d, R), state_at(final.c, N, l * D + d, H));
    }
}

#endif
