/* Back-propagation through time over a stack, from a tape. Included by the files of one precision.
 *
 * Per layer: first the recurrence, from the last step to the first, which turns the gates on the tape into dz in place
 * and carries dh and dc; rows are independent, so tasks own ranges of rows. Then what needs no recurrence, batched
 * over all steps: the gradients of the weights (outer.h) and of the input. */
#ifndef CLSTM_LSTM_BACKWARD_H
#define CLSTM_LSTM_BACKWARD_H

#include "outer.h"
#include "lstm_pass.h"

/* One direction of one layer. */
struct reverse_pass {
    const struct shape *shape;
    const struct plan *plan;
    int reverse;
    struct layer_tape tape;
    struct input input; /* what the layer read */
    struct located dy;  /* gradient of its outputs: H elements of each row; base NULL: zero */
    const clstm_weights *weights;
    const clstm_gradients *grads;
    real *recurrent[4];    /* w_hh by gate, column panels: dh = dz w_hh */
    real *input_panels[4]; /* w_ih by gate */
    real *dh, *dc;         /* [N, ld] */
};

struct backward_worker {
    const real **rows, **dy;
    const real **dz[2];
    real **c;
    real *dx; /* BLAS: a chunk of dx */
    struct outer_scratch outer;
};

struct backward_scratch {
    real *recurrent[2], *input[2]; /* packed weights by direction */
    real *dh[2], *dc[2];
    real *between[2]; /* gradients of a layer's inputs, [rows, D H], by turns */
    struct backward_worker *worker;
};

/* Threads that share the products of a layer which are batched over time, and how they share the weights' gradients. */
static int batched_threads(const struct shape *shape, const struct plan *plan, ptrdiff_t layer) {
    return shape->blas ? 1 : threads_for(shape->runtime, 2 * layer_operations(shape, plan, layer));
}

static struct outer_shares weight_shares(const struct shape *shape, const struct plan *plan, ptrdiff_t layer) {
    const ptrdiff_t columns = layer_width(shape, layer) + shape->H + 1;
    if (shape->blas) return (struct outer_shares){4 * shape->H, columns, 4 * shape->H, columns};
    return outer_shares_of(shape->kernels, 4 * shape->H, columns, batched_threads(shape, plan, layer));
}

/* As large as those of any layer. */
static struct outer_shares largest_shares(const struct shape *shape, const struct plan *plan) {
    const ptrdiff_t last = shape->L > 1 ? 1 : 0; /* layers above the first are all alike */
    const struct outer_shares a = weight_shares(shape, plan, 0), b = weight_shares(shape, plan, last);
    return (struct outer_shares){.m = a.m > b.m ? a.m : b.m, .k = a.k > b.k ? a.k : b.k};
}

static void backward_lay_out(struct backward_scratch *scratch, struct arena *arena, const struct shape *shape,
                             const struct plan *plan) {
    const int threads = shape->blas ? 1 : shape->runtime->threads;
    const ptrdiff_t rows = chunk_capacity(plan), widest = widest_layer(shape);
    const struct outer_shares shares = largest_shares(shape, plan);
    for (int d = 0; d < shape->D; d++) {
        const ptrdiff_t packed = shape->blas ? 0 : 4 * shape->H;
        scratch->recurrent[d] = arena_take(arena, times(packed, shape->ld), sizeof(real));
        scratch->input[d] = arena_take(arena, times(packed, padded(widest)), sizeof(real));
        scratch->dh[d] = arena_take(arena, times(plan->N, shape->ld), sizeof(real));
        scratch->dc[d] = arena_take(arena, times(plan->N, shape->ld), sizeof(real));
    }
    const ptrdiff_t between = shape->L > 1 ? times(plan->rows, shape->D * shape->H) : 0;
    for (int i = 0; i < 2; i++) scratch->between[i] = arena_take(arena, between, sizeof(real));
    scratch->worker = arena_take(arena, threads, sizeof *scratch->worker);
    for (int i = 0; i < threads; i++) {
        struct backward_worker measured, *worker = scratch->worker ? &scratch->worker[i] : &measured;
        worker->rows = arena_take(arena, rows, sizeof(real *));
        worker->dy = arena_take(arena, rows, sizeof(real *));
        worker->c = arena_take(arena, rows, sizeof(real *));
        for (int d = 0; d < 2; d++) worker->dz[d] = arena_take(arena, rows, sizeof(real *));
        worker->dx = arena_take(arena, shape->blas ? times(rows, widest) : 0, sizeof(real));
        outer_lay_out(&worker->outer, arena, shape->kernels, shape->blas, &shares);
    }
}

/* ---- the recurrence ---- */

/* dh_{t-1} = dz w_hh, gate by gate. */
static void carry_native(const struct reverse_pass *pass, struct backward_worker *worker, real *dz, real *dh,
                         ptrdiff_t n) {
    const struct shape *shape = pass->shape;
    const struct kernels *kernels = shape->kernels;
    for (ptrdiff_t i = 0; i < n; i++) {
        worker->rows[i] = dz + i * 4 * shape->ld;
        worker->c[i] = dh + i * shape->ld;
    }
    struct product product = {
        .rows = n,
        .terms = 4,
        .c = worker->c,
        .columns = shape->H,
        .panel_step = kernels->product_vectors * kernels->lanes,
        .vector_step = kernels->lanes,
        .panels = product_panels(kernels, shape->H),
        .range = all_panels(product_panels(kernels, shape->H)),
    };
    for (int gate = 0; gate < 4; gate++)
        product.term[gate] = (struct term){worker->rows, gate * shape->ld,      1,
                                           shape->H,     pass->recurrent[gate], shape->H * product.panel_step};
    kernels->product(&product);
}

/* C [n, width] = dz W, W [4H, ldw]: one product, or four that are added where rows of dz are padded. */
static void gates_times_blas(const struct shape *shape, ptrdiff_t n, ptrdiff_t width, const real *dz, const real *w,
                             double beta, real *c, ptrdiff_t ldc) {
    const clstm_dtype dtype = sizeof(real) == sizeof(float) ? CLSTM_F32 : CLSTM_F64;
    const ptrdiff_t calls = shape->H == shape->ld ? 1 : 4, k = 4 * shape->H / calls;
    for (ptrdiff_t i = 0; i < calls; i++)
        clstm_gemm_row_major(&shape->runtime->blas, dtype, n, width, k,
                             (clstm_matrix){dz + i * shape->ld, 4 * shape->ld, CLSTM_PLAIN},
                             (clstm_matrix){w + i * k * width, width, CLSTM_PLAIN}, i ? 1 : beta, c, ldc);
}

static void reverse_rows(const struct reverse_pass *pass, struct backward_worker *worker, struct range range) {
    const struct shape *shape = pass->shape;
    const struct plan *plan = pass->plan;
    const ptrdiff_t ld = shape->ld, first = range.r0 * ld;
    for (ptrdiff_t s = plan->T - 1; s >= 0; s--) {
        const ptrdiff_t n = rows_alive(plan, range, s);
        if (n == 0) continue;
        real *gates = pass->tape.gates + plan->start[s] * 4 * ld + 4 * first;
        for (ptrdiff_t i = 0; pass->dy.base && i < n; i++)
            worker->dy[i] = row_at(&pass->dy, plan, plan_time(plan, pass->reverse, s, range.r0 + i), range.r0 + i);
        shape->kernels->gate_rows_backward(&(struct gate_rows_backward){
            .rows = n,
            .hidden = shape->H,
            .ld = ld,
            .gates = gates,
            .c_prev = pass->tape.c + slot_of(plan, s) * ld + first,
            .c = pass->tape.c + slot_of(plan, s + 1) * ld + first,
            .dh = pass->dh + first,
            .dc = pass->dc + first,
            .dy = pass->dy.base ? worker->dy : NULL,
        });
        if (shape->blas) gates_times_blas(shape, n, shape->H, gates, pass->weights->w_hh, 0, pass->dh + first, ld);
        else carry_native(pass, worker, gates, pass->dh + first, n);
    }
}

/* ---- gradients of the weights ---- */

/* For each flat index q: dz, and what was multiplied with it: the input's segments and h of the step before. */
static void find_outer(const void *source, ptrdiff_t q0, ptrdiff_t n, const real **left,
                       const real **right[OUTER_SEGMENTS]) {
    const struct reverse_pass *pass = source;
    const struct plan *plan = pass->plan;
    const ptrdiff_t ld = pass->shape->ld;
    struct walk at = walk_from(plan, q0);
    for (ptrdiff_t i = 0; i < n; i++, walk_on(&at, plan)) {
        const ptrdiff_t t = plan_time(plan, pass->reverse, at.s, at.r);
        left[i] = pass->tape.gates + (q0 + i) * 4 * ld;
        for (int segment = 0; segment < pass->input.segments; segment++)
            right[segment][i] = row_at(&pass->input.segment[segment], plan, t, at.r);
        right[pass->input.segments][i] = pass->tape.h + (slot_of(plan, at.s) + at.r) * ld;
    }
}

static void add_into(real *to, const real *from, ptrdiff_t count) {
    for (ptrdiff_t i = 0; i < count; i++) to[i] += from[i];
}

static void add_weights(void *target, const struct block *block, const real *c, ptrdiff_t ldc) {
    const struct reverse_pass *pass = target;
    const struct kernels *kernels = pass->shape->kernels;
    const ptrdiff_t width = input_width(&pass->input), H = pass->shape->H;
    outer_add_columns(kernels, pass->grads->w_ih, width, 0, block, c, ldc);
    outer_add_columns(kernels, pass->grads->w_hh, H, width, block, c, ldc);
    outer_add_ones(pass->grads->b, width + H, block, c, ldc);
}

static struct outer outer_of(struct reverse_pass *pass) {
    struct outer outer = {
        .kernels = pass->shape->kernels,
        .rows = pass->plan->rows,
        .blocks = 4,
        .width = pass->shape->H,
        .ld = pass->shape->ld,
        .segments = pass->input.segments + 1,
        .source = pass,
        .find = find_outer,
        .target = pass,
        .add = add_weights,
    };
    for (int i = 0; i < pass->input.segments; i++) outer.segment_width[i] = pass->input.width[i];
    outer.segment_width[pass->input.segments] = pass->shape->H;
    return outer;
}

/* ---- one layer ---- */

struct backward_layer {
    const struct shape *shape;
    const struct plan *plan;
    struct reverse_pass pass[2];
    struct located dx; /* gradient of the layer's input in the order of time; base NULL: not wanted */
    struct backward_worker *worker;
    ptrdiff_t blocks; /* of rows, per direction */
    struct outer_shares shares;
    ptrdiff_t weight_tasks, dx_tasks;
};

static void recurrence_task(void *context, ptrdiff_t task, int worker) {
    const struct backward_layer *layer = context;
    const ptrdiff_t block = task % layer->blocks, N = layer->plan->N;
    reverse_rows(&layer->pass[task / layer->blocks], &layer->worker[worker],
                 (struct range){block * N / layer->blocks, (block + 1) * N / layer->blocks});
}

/* Addresses of dz (by direction) and of dx for flat indices q0 <= q < q0 + n in the order of time. */
static void find_dx(const struct backward_layer *layer, struct backward_worker *worker, ptrdiff_t q0, ptrdiff_t n) {
    const struct plan *plan = layer->plan;
    struct walk at = walk_from(plan, q0);
    for (ptrdiff_t i = 0; i < n; i++, walk_on(&at, plan)) {
        worker->c[i] = row_at(&layer->dx, plan, at.s, at.r);
        for (int d = 0; d < layer->shape->D; d++) {
            const ptrdiff_t q = plan->start[plan_time(plan, d, at.s, at.r)] + at.r;
            worker->dz[d][i] = layer->pass[d].tape.gates + q * 4 * layer->shape->ld;
        }
    }
}

/* dx = sum over directions and gates of dz w_ih: one sum, in one order. */
static void dx_native(const struct backward_layer *layer, struct backward_worker *worker, ptrdiff_t n) {
    const struct shape *shape = layer->shape;
    const struct kernels *kernels = shape->kernels;
    const ptrdiff_t width = input_width(&layer->pass[0].input);
    struct product product = {
        .rows = n,
        .c = worker->c,
        .columns = width,
        .panel_step = kernels->product_vectors * kernels->lanes,
        .vector_step = kernels->lanes,
        .panels = product_panels(kernels, width),
        .range = all_panels(product_panels(kernels, width)),
    };
    for (int d = 0; d < shape->D; d++)
        for (int gate = 0; gate < 4; gate++)
            product.term[product.terms++] = (struct term){worker->dz[d],
                                                          gate * shape->ld,
                                                          1,
                                                          shape->H,
                                                          layer->pass[d].input_panels[gate],
                                                          shape->H * product.panel_step};
    kernels->product(&product);
}

/* BLAS wants whole rows of dz one after another: a direction at a time, in its own order of steps. */
static void dx_blas(const struct backward_layer *layer, struct backward_worker *worker) {
    const struct shape *shape = layer->shape;
    const struct plan *plan = layer->plan;
    const ptrdiff_t width = input_width(&layer->pass[0].input);
    for (int d = 0; d < shape->D; d++)
        for (ptrdiff_t q0 = 0; q0 < plan->rows; q0 += CHUNK) {
            const ptrdiff_t n = plan->rows - q0 < CHUNK ? plan->rows - q0 : CHUNK;
            gates_times_blas(shape, n, width, layer->pass[d].tape.gates + q0 * 4 * shape->ld,
                             layer->pass[d].weights->w_ih, 0, worker->dx, width);
            struct walk at = walk_from(plan, q0);
            for (ptrdiff_t i = 0; i < n; i++, walk_on(&at, plan)) {
                real *dx = row_at(&layer->dx, plan, plan_time(plan, d, at.s, at.r), at.r);
                if (d == 0) memcpy(dx, worker->dx + i * width, (size_t)width * sizeof(real));
                else add_into(dx, worker->dx + i * width, width);
            }
        }
}

static void weights_and_dx_task(void *context, ptrdiff_t task, int worker) {
    struct backward_layer *layer = context;
    if (task < layer->weight_tasks) {
        const ptrdiff_t per_direction = layer->weight_tasks / layer->shape->D;
        const struct outer outer = outer_of(&layer->pass[task / per_direction]);
        const struct block block = outer_block(&layer->shares, task % per_direction);
        outer_run(&outer, &layer->worker[worker].outer, &block);
    } else {
        const ptrdiff_t q0 = (task - layer->weight_tasks) * CHUNK, left = layer->plan->rows - q0;
        const ptrdiff_t n = left < CHUNK ? left : CHUNK;
        find_dx(layer, &layer->worker[worker], q0, n);
        dx_native(layer, &layer->worker[worker], n);
    }
}

static void weights_and_dx_blas(struct backward_layer *layer) {
    for (int d = 0; d < layer->shape->D; d++) {
        const struct outer outer = outer_of(&layer->pass[d]);
        outer_blas(&outer, &layer->worker[0].outer, &layer->shape->runtime->blas);
    }
    if (layer->dx.base) dx_blas(layer, &layer->worker[0]);
}

/* Column panels of the weights by gate. */
static void pack_reverse(struct reverse_pass *pass, int with_input, real *recurrent, real *input) {
    const struct kernels *kernels = pass->shape->kernels;
    const ptrdiff_t H = pass->shape->H, ld = pass->shape->ld, width = input_width(&pass->input);
    for (int gate = 0; gate < 4; gate++) {
        pass->recurrent[gate] = recurrent + gate * H * ld;
        kernels->pack_columns(pass->recurrent[gate], (const real *)pass->weights->w_hh + gate * H * H, H, H, H);
        pass->input_panels[gate] = input + gate * H * padded(width);
        if (with_input)
            kernels->pack_columns(pass->input_panels[gate], (const real *)pass->weights->w_ih + gate * H * width, width,
                                  H, width);
    }
}

static void run_layer_backward(struct backward_layer *layer, ptrdiff_t index) {
    const struct shape *shape = layer->shape;
    if (shape->blas) {
        layer->blocks = 1;
        clstm_parallel(1, shape->D, recurrence_task, layer);
        weights_and_dx_blas(layer);
        return;
    }
    const int threads = threads_for(shape->runtime, layer_operations(shape, layer->plan, index));
    layer->blocks = row_blocks(shape, layer->plan, threads);
    clstm_parallel(threads, layer->blocks * shape->D, recurrence_task, layer);

    const int batched = batched_threads(shape, layer->plan, index);
    layer->shares = weight_shares(shape, layer->plan, index);
    layer->weight_tasks = outer_tasks(&layer->shares) * shape->D;
    layer->dx_tasks = layer->dx.base ? (layer->plan->rows + CHUNK - 1) / CHUNK : 0;
    clstm_parallel(batched, layer->weight_tasks + layer->dx_tasks, weights_and_dx_task, layer);
}

/* dh0, dc0 [N,H] of one layer and direction from the padded rows in the plan's order. */
static void write_gradient(real *to, const real *rows, const struct reverse_pass *pass) {
    const ptrdiff_t H = pass->shape->H;
    for (ptrdiff_t r = 0; to && r < pass->plan->N; r++)
        memcpy(to + pass->plan->order[r] * H, rows + r * pass->shape->ld, (size_t)H * sizeof(real));
}

static void backward_stack(const struct shape *shape, struct backward_scratch *scratch, const struct tape *tape,
                           const clstm_weights *weights, clstm_sequence x, clstm_sequence dy, clstm_state dfinal,
                           clstm_sequence dx, clstm_state dinitial, const clstm_gradients *grads) {
    const struct plan *plan = &tape->plan;
    const ptrdiff_t D = shape->D, H = shape->H, N = plan->N;
    struct located upper = at_caller(dy);
    for (ptrdiff_t l = shape->L - 1; l >= 0; l--) {
        struct backward_layer layer = {.shape = shape, .plan = plan, .worker = scratch->worker};
        layer.dx = l == 0 ? at_caller(dx) : at_packed(scratch->between[l & 1], D * H, 0);
        for (int d = 0; d < D; d++) {
            const ptrdiff_t index = l * D + d;
            struct reverse_pass *pass = &layer.pass[d];
            *pass = (struct reverse_pass){
                .shape = shape,
                .plan = plan,
                .reverse = d,
                .tape = tape_at(tape, index),
                .input = tape_input(tape, shape, l, x),
                .dy = upper,
                .weights = &weights[index],
                .grads = &grads[index],
                .dh = scratch->dh[d],
                .dc = scratch->dc[d],
            };
            if (pass->dy.base) pass->dy.base += d * H;
            read_state(pass->dh, state_at(dfinal.h, shape, N, index), plan, H, shape->ld);
            read_state(pass->dc, state_at(dfinal.c, shape, N, index), plan, H, shape->ld);
            if (!shape->blas) pack_reverse(pass, layer.dx.base != NULL, scratch->recurrent[d], scratch->input[d]);
        }
        run_layer_backward(&layer, l);
        for (int d = 0; d < D; d++) {
            write_gradient(state_at(dinitial.h, shape, N, l * D + d), layer.pass[d].dh, &layer.pass[d]);
            write_gradient(state_at(dinitial.c, shape, N, l * D + d), layer.pass[d].dc, &layer.pass[d]);
        }
        upper = layer.dx;
    }
}

#endif
