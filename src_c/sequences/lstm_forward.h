/* Forward over a stack, for training (with a tape) and for inference (without). Included by the files of one
 * precision. */
#ifndef CLSTM_LSTM_FORWARD_H
#define CLSTM_LSTM_FORWARD_H

#include "../ground/threads.h"
#include "lstm_pass.h"

/* Working memory of a forward call. */
struct forward_scratch {
    struct plan plan;                        /* inference only: a tape has its own */
    real *input[2], *recurrent[2], *bias[2]; /* packed weights by direction */
    struct slots ring[2];                    /* inference only */
    real *between[2];            /* inference only: outputs of the layer below, and of this one, [rows, D H] */
    struct pass_scratch *worker; /* [threads] */
};

static void forward_lay_out(struct forward_scratch *scratch, struct arena *arena, const struct shape *shape,
                            const struct plan *plan, int ring) {
    const ptrdiff_t ld = shape->ld, state = times(plan->N, ld);
    for (int d = 0; d < shape->D && !shape->blas; d++) {
        scratch->input[d] = arena_take(arena, times(widest_layer(shape), times(4, ld)), sizeof(real));
        scratch->recurrent[d] = arena_take(arena, times(shape->H, times(4, ld)), sizeof(real));
        scratch->bias[d] = arena_take(arena, times(4, ld), sizeof(real));
    }
    for (int d = 0; d < shape->D && ring; d++) {
        scratch->ring[d].ring = 1;
        scratch->ring[d].h = arena_take(arena, times(2, state), sizeof(real));
        scratch->ring[d].c = arena_take(arena, state, sizeof(real));
    }
    const ptrdiff_t between = shape->L > 1 && ring ? times(plan->rows, shape->D * shape->H) : 0;
    for (int i = 0; i < 2; i++) scratch->between[i] = arena_take(arena, between, sizeof(real));
    const int threads = shape->blas ? 1 : shape->runtime->threads;
    scratch->worker = arena_take(arena, threads, sizeof *scratch->worker);
    for (int i = 0; i < threads; i++) {
        struct pass_scratch measured;
        pass_lay_out(scratch->worker ? &scratch->worker[i] : &measured, arena, shape, plan, ring);
    }
}

/* Gate panels of the weights of one pass; each segment of the input has its own, so that it is a term of its own. */
static void pack_pass(struct pass *pass, real *input, real *recurrent, real *bias) {
    const struct shape *shape = pass->shape;
    const struct kernels *kernels = shape->kernels;
    const ptrdiff_t width = input_width(&pass->input), H = shape->H;
    const real *w = pass->weights->w_ih;
    for (int i = 0; i < pass->input.segments; i++) {
        const ptrdiff_t k = pass->input.width[i];
        kernels->pack_gates(input, w, width, H, k);
        pass->packed.input[i] = input;
        input += k * 4 * shape->ld;
        w += k;
    }
    kernels->pack_gates(recurrent, pass->weights->w_hh, H, H, H);
    if (pass->weights->b) kernels->pack_gates(bias, pass->weights->b, 1, H, 1);
    else memset(bias, 0, (size_t)(4 * shape->ld) * sizeof(real));
    pass->packed.recurrent = recurrent;
    pass->packed.bias = bias;
}

struct forward_layer {
    struct pass pass[2];
    struct pass_scratch *worker;
    ptrdiff_t blocks; /* of rows, per direction */
};

static void forward_task(void *context, ptrdiff_t task, int worker) {
    const struct forward_layer *layer = context;
    const struct pass *pass = &layer->pass[task / layer->blocks];
    const ptrdiff_t block = task % layer->blocks, N = pass->plan->N;
    pass_rows(pass, &layer->worker[worker], (struct range){block * N / layer->blocks, (block + 1) * N / layer->blocks});
}

static void run_layer(struct forward_layer *layer, const struct shape *shape, const struct plan *plan,
                      ptrdiff_t index) {
    const int threads = shape->blas ? 1 : threads_for(shape->runtime, layer_operations(shape, plan, index));
    layer->blocks = row_blocks(shape, plan, threads);
    clstm_parallel(threads, layer->blocks * shape->D, forward_task, layer);
}

/* tape NULL: inference. */
static void forward_stack(const struct shape *shape, struct forward_scratch *scratch, const struct tape *tape,
                          const struct plan *plan, const clstm_weights *weights, clstm_sequence x, clstm_state initial,
                          clstm_sequence y, clstm_state final) {
    const ptrdiff_t D = shape->D, H = shape->H, N = plan->N;
    for (ptrdiff_t l = 0; l < shape->L; l++) {
        struct forward_layer layer = {.worker = scratch->worker};
        const int last = l == shape->L - 1;
        for (int d = 0; d < D; d++) {
            const ptrdiff_t index = l * D + d;
            struct pass *pass = &layer.pass[d];
            *pass = (struct pass){.shape = shape, .plan = plan, .reverse = d, .weights = &weights[index]};
            if (tape) {
                const struct layer_tape own = tape_at(tape, index);
                pass->slots = (struct slots){0, own.h, own.c, own.gates};
                pass->input = tape_input(tape, shape, l, x);
            } else {
                pass->slots = scratch->ring[d];
                pass->input = (struct input){.segments = 1, .width = {layer_width(shape, l)}};
                pass->input.segment[0] = l == 0 ? at_caller(x) : at_packed(scratch->between[l & 1], D * H, 0);
            }
            if (last) pass->output = at_caller(y);
            else if (!tape) pass->output = at_packed(scratch->between[(l + 1) & 1], D * H, 0);
            if (pass->output.base) pass->output.base += d * H;
            if (!shape->blas) pack_pass(pass, scratch->input[d], scratch->recurrent[d], scratch->bias[d]);
            read_state(pass->slots.h, state_at(initial.h, shape, N, index), plan, H, shape->ld);
            read_state(pass->slots.c, state_at(initial.c, shape, N, index), plan, H, shape->ld);
        }
        run_layer(&layer, shape, plan, l);
        for (int d = 0; d < D; d++)
            write_final(&layer.pass[d], state_at(final.h, shape, N, l * D + d), state_at(final.c, shape, N, l * D + d));
    }
}

#endif
