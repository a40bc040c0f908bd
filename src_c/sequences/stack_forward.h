/* Forward over a stack, for training (with a tape) and for inference (without). Included by the files of one
 * precision. */
#ifndef CLSTM_STACK_FORWARD_H
#define CLSTM_STACK_FORWARD_H

#include "pass.h"

/* Working memory of a forward call. */
struct forward_scratch {
    struct plan plan;                                    /* inference only: a tape has its own */
    real *input[2], *recurrent[2], *bias[2], *second[2]; /* packed weights by direction */
    real *peephole[2];
    real *mask[2], *dropped[2];  /* of recurrent dropout, [N, ld]; w_hh after weight drop */
    real **wide;                 /* [threads] masks of a row of input */
    real *table[2];              /* z of each symbol, by direction */
    struct slots ring[2];        /* inference only */
    real *between[2];            /* inference only: outputs of the layer below, and of this one, [rows, D H] */
    struct pass_scratch *worker; /* [threads] */
};

static void forward_lay_out(struct forward_scratch *scratch, struct arena *arena, const struct shape *shape,
                            const struct plan *plan, int ring) {
    const ptrdiff_t ld = shape->ld, state = times(plan->N, ld), gates = times(shape->cell.gates, ld);
    for (int d = 0; d < shape->D && !shape->blas; d++) {
        scratch->input[d] = arena_take(arena, times(widest_layer(shape), gates), sizeof(real));
        scratch->recurrent[d] = arena_take(arena, times(shape->H, gates), sizeof(real));
        scratch->bias[d] = arena_take(arena, gates, sizeof(real));
        scratch->second[d] = arena_take(arena, shape->cell.two_sums ? gates : 0, sizeof(real));
    }
    for (int d = 0; d < shape->D; d++)
        scratch->peephole[d] = arena_take(arena, times(shape->cell.form.peephole, ld), sizeof(real));
    noise_lay_out(scratch->mask, scratch->dropped, arena, shape, plan);
    for (int d = 0; d < shape->D; d++)
        scratch->table[d] = arena_take(arena, times(shape->num, shape->row), sizeof(real));
    for (int d = 0; d < shape->D && ring; d++) {
        scratch->ring[d].ring = 1;
        scratch->ring[d].h = arena_take(arena, times(2, state), sizeof(real));
        scratch->ring[d].c = shape->cell.has_c ? arena_take(arena, state, sizeof(real)) : NULL;
    }
    const ptrdiff_t between = shape->L > 1 && ring ? times(plan->rows, shape->D * shape->H) : 0;
    for (int i = 0; i < 2; i++) scratch->between[i] = arena_take(arena, between, sizeof(real));
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

/* One part of packing the weights of one direction into gate panels: a segment of the input, so that each is a term of
 * its own, or the recurrent matrix and the vectors. */
static void pack_forward_task(void *context, ptrdiff_t task, int worker) {
    struct forward_layer *layer = context;
    const ptrdiff_t d = task / PACK_PARTS, part = task % PACK_PARTS;
    struct pass *pass = &layer->pass[d];
    const struct shape *shape = pass->shape;
    const struct kernels *kernels = shape->kernels;
    const ptrdiff_t width = input_width(&pass->input), H = shape->H;
    const struct panels panels = cell_panels(shape);
    if (part < pass->input.segments) {
        const ptrdiff_t before = part == 0 ? 0 : pass->input.width[0];
        real *dst = layer->scratch->input[d] + before * shape->cell.gates * shape->ld;
        pass->packed.input[part] = dst;
        kernels->pack_gates(dst, (const real *)pass->weights->w_ih + before, width, H, pass->input.width[part], &panels,
                            all_panels(panels));
    } else if (part == PACK_PARTS - 1) {
        pass->packed.recurrent = layer->scratch->recurrent[d];
        pass->packed.bias = layer->scratch->bias[d];
        kernels->pack_gates(layer->scratch->recurrent[d], pass->weights->w_hh, H, H, H, &panels, all_panels(panels));
        pack_bias(shape, layer->scratch->bias[d], pass->weights->b, all_panels(panels));
        if (shape->cell.two_sums) {
            pass->packed.second = layer->scratch->second[d];
            pack_second(shape, layer->scratch->second[d], pass->weights->b_hn, all_panels(panels));
        }
    }
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
        layer->pass[d].packed.peephole = layer->scratch->peephole[d];
        pad_rows(layer->scratch->peephole[d], layer->pass[d].weights->peephole, shape->cell.form.peephole, shape);
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
    for (ptrdiff_t i = 0; i < pass->plan->N * shape->ld; i++) pass->slots.u[i] = h[i] * mask[i];
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

/* tape NULL: inference. */
static void forward_stack(const struct shape *shape, struct forward_scratch *scratch, const struct tape *tape,
                          const struct plan *plan, const clstm_weights *weights, clstm_sequence x, clstm_state initial,
                          clstm_sequence y, clstm_state final) {
    const ptrdiff_t D = shape->D, H = shape->H, N = plan->N;
    for (ptrdiff_t l = 0; l < shape->L; l++) {
        struct forward_layer layer = {.worker = scratch->worker, .scratch = scratch};
        const int last = l == shape->L - 1;
        for (int d = 0; d < D; d++) {
            const ptrdiff_t index = l * D + d;
            struct pass *pass = &layer.pass[d];
            layer.weights[d] = weights[index];
            *pass = (struct pass){.shape = shape,
                                  .plan = plan,
                                  .index = index,
                                  .reverse = is_reverse(shape, d),
                                  .weights = &layer.weights[d]};
            if (has_noise(shape, CLSTM_NOISE_WEIGHT)) {
                drop_weights(shape, index, weights[index].w_hh, scratch->dropped[d]);
                layer.weights[d].w_hh = scratch->dropped[d];
            }
            if (tape) {
                const struct layer_tape own = tape_at(tape, index);
                pass->slots = (struct slots){0, own.h, own.c, own.blocks, own.u};
            } else {
                pass->slots = scratch->ring[d];
            }
            if (reads_symbols(shape, l)) pass->table = scratch->table[d];
            if (tape && !pass->table) {
                pass->input = tape_input(tape, shape, l, x);
            } else {
                pass->input = (struct input){.segments = 1, .width = {layer_width(shape, l)}};
                pass->input.segment[0] = l == 0 ? at_caller(x) : at_packed(scratch->between[l & 1], D * H, 0);
            }
            if (last) pass->output = at_caller(y);
            else if (!tape) pass->output = at_packed(scratch->between[(l + 1) & 1], D * H, 0);
            if (pass->output.base) pass->output.base += d * H;
            read_state(pass->slots.h, state_at(initial.h, shape, N, index), plan, H, shape->ld);
            read_state(pass->slots.c, state_at(initial.c, shape, N, index), plan, H, shape->ld);
            if (shape->cell.form.mask) start_mask(pass, scratch->mask[d]);
        }
        if (tape && mixes_input(shape, l)) mix_forward(shape, scratch, tape, l, x);
        run_layer(&layer, shape, plan, l);
        for (int d = 0; d < D; d++)
            write_final(&layer.pass[d], state_at(final.h, shape, N, l * D + d), state_at(final.c, shape, N, l * D + d));
    }
}

#endif
