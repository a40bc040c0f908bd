/* Back-propagation through time over a stack, from a tape. Included by the files of one precision.
 *
 * Per layer the steps are taken in chunks, from the last to the first: the recurrence of a chunk (lstm_reverse.h), and
 * then what needs no recurrence, the gradients of the weights (outer.h) and of the input, as products over all rows of
 * the chunk, whose dz are still in the cache. */
#ifndef CLSTM_LSTM_BACKWARD_H
#define CLSTM_LSTM_BACKWARD_H

#include "outer.h"
#include "lstm_reverse.h"

struct backward_worker {
    struct reverse_scratch reverse;
    struct outer_scratch outer;
    real **dz[2], **c;
    real *dx; /* BLAS: a chunk of dx */
};

struct backward_scratch {
    struct reverse_weights recurrent[2], from_input[2]; /* by direction */
    real *dh[2], *dc[2], *sums[2];
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
        scratch->recurrent[d] = reverse_weights_of(shape, shape->H);
        reverse_weights_lay_out(&scratch->recurrent[d], arena, shape);
        scratch->from_input[d] = (struct reverse_weights){.columns = widest, .narrow = NARROW_COLUMNS};
        reverse_weights_lay_out(&scratch->from_input[d], arena, shape);
        scratch->dh[d] = arena_take(arena, times(plan->N, shape->ld), sizeof(real));
        scratch->dc[d] = arena_take(arena, times(plan->N, shape->ld), sizeof(real));
        scratch->sums[d] = arena_take(
            arena, outer_sums(shape->kernels, shape->blas, 4 * shape->H, widest + shape->H + 1), sizeof(real));
    }
    const ptrdiff_t between = shape->L > 1 ? times(plan->rows, shape->D * shape->H) : 0;
    for (int i = 0; i < 2; i++) scratch->between[i] = arena_take(arena, between, sizeof(real));
    scratch->worker = arena_take(arena, threads, sizeof *scratch->worker);
    for (int i = 0; i < threads; i++) {
        struct backward_worker measured, *worker = scratch->worker ? &scratch->worker[i] : &measured;
        reverse_scratch_lay_out(&worker->reverse, arena, plan);
        outer_lay_out(&worker->outer, arena, shape->kernels, shape->blas, &shares);
        for (int d = 0; d < 2; d++) worker->dz[d] = arena_take(arena, rows, sizeof(real *));
        worker->c = arena_take(arena, rows, sizeof(real *));
        worker->dx = arena_take(arena, shape->blas ? times(rows, widest) : 0, sizeof(real));
    }
}

/* ---- gradients of the weights ---- */

/* The dz of one direction on the tape, in the order of its steps. */
static struct located dz_located(const struct reverse_pass *pass) {
    return at_packed(pass->tape.gates, 4 * pass->shape->ld, pass->reverse);
}

/* For each flat index q: dz, and what was multiplied with it: the input's segments and h of the step before. */
static void find_outer(const void *source, ptrdiff_t q0, ptrdiff_t n, real **left, real **right[OUTER_SEGMENTS]) {
    const struct reverse_pass *pass = source;
    const struct plan *plan = pass->plan;
    const ptrdiff_t ld = pass->shape->ld;
    const struct located dz = dz_located(pass);
    const int segments = pass->input.segments;
    for (struct walk at = walk_from(plan, q0, q0 + n); at.q < at.end; walk_on(&at, plan)) {
        const ptrdiff_t i = at.q - q0;
        real **h = right[segments] + i;
        find_rows(&dz, plan, pass->reverse, at.s, at.r, at.n, left + i);
        for (int k = 0; k < segments; k++)
            find_rows(&pass->input.segment[k], plan, pass->reverse, at.s, at.r, at.n, right[k] + i);
        for (ptrdiff_t r = 0; r < at.n; r++) h[r] = pass->tape.h + (slot_of(plan, at.s) + at.r + r) * ld;
    }
}

static struct outer outer_of(const struct reverse_pass *pass) {
    struct outer outer = {
        .kernels = pass->shape->kernels,
        .blocks = 4,
        .width = pass->shape->H,
        .ld = pass->shape->ld,
        .segments = pass->input.segments + 1,
        .source = pass,
        .find = find_outer,
        .sums = pass->sums,
        .panel = outer_panel_width(pass->shape->kernels, pass->shape->blas, 4 * pass->shape->H),
    };
    for (int i = 0; i < pass->input.segments; i++) outer.segment_width[i] = pass->input.width[i];
    outer.segment_width[pass->input.segments] = pass->shape->H;
    return outer;
}

static void add_weights(const struct reverse_pass *pass) {
    const struct outer outer = outer_of(pass);
    const ptrdiff_t width = input_width(&pass->input), H = pass->shape->H;
    if (pass->plan->rows == 0) return;
    outer_add_columns(&outer, pass->grads->w_ih, width, 0);
    outer_add_columns(&outer, pass->grads->w_hh, H, width);
    outer_add_ones(&outer, pass->grads->b, width + H);
}

/* ---- gradient of the input ---- */

struct backward_layer {
    const struct shape *shape;
    const struct plan *plan;
    struct reverse_pass pass[2];
    struct located dx; /* gradient of the layer's input in the order of time; base NULL: not wanted */
    struct backward_worker *worker;
    ptrdiff_t blocks; /* of rows, per direction */
    struct outer_shares shares;
    ptrdiff_t s0, s1;   /* the chunks of steps at hand */
    ptrdiff_t q0, q1;   /* rows of which dx is wanted now, */
    ptrdiff_t dx_tasks; /* in so many equal parts */
};

/* Addresses of dz (by direction) and of dx for flat indices q0 <= q < q0 + n in the order of time. */
static void find_dx(const struct backward_layer *layer, struct backward_worker *worker, ptrdiff_t q0, ptrdiff_t n) {
    const struct plan *plan = layer->plan;
    for (struct walk at = walk_from(plan, q0, q0 + n); at.q < at.end; walk_on(&at, plan)) {
        find_rows(&layer->dx, plan, 0, at.s, at.r, at.n, worker->c + at.q - q0);
        for (int d = 0; d < layer->shape->D; d++) {
            const struct located dz = dz_located(&layer->pass[d]);
            find_rows(&dz, plan, 0, at.s, at.r, at.n, worker->dz[d] + at.q - q0);
        }
    }
}

/* dx = sum over directions and gates of dz w_ih: one sum, in one order. */
static void dx_native(const struct backward_layer *layer, struct backward_worker *worker, ptrdiff_t n) {
    const struct shape *shape = layer->shape;
    const struct kernels *kernels = shape->kernels;
    const struct reverse_weights *weights[2] = {&layer->pass[0].from_input, &layer->pass[1].from_input};
    const ptrdiff_t wide = weights[0]->columns - weights[0]->narrow;
    real *const *dz[2] = {worker->dz[0], worker->dz[1]};
    struct product product = {
        .rows = n,
        .c = worker->c,
        .columns = wide,
        .panel_step = kernels->product_vectors * kernels->lanes,
        .vector_step = kernels->lanes,
        .panels = product_panels(kernels, wide),
    };
    for (int d = 0; d < shape->D; d++)
        product.terms += add_reverse_terms(product.term + product.terms, shape, weights[d], dz[d]);
    kernels->product(&product, all_panels(product.panels));
    multiply_rest(shape, n, (int)shape->D, dz, weights, worker->c);
}

static void add_into(real *to, const real *from, ptrdiff_t count) {
    for (ptrdiff_t i = 0; i < count; i++) to[i] += from[i];
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
            for (struct walk at = walk_from(plan, q0, q0 + n); at.q < at.end; walk_on(&at, plan))
                find_rows(&layer->dx, plan, d, at.s, at.r, at.n, worker->c + at.q - q0);
            for (ptrdiff_t i = 0; i < n; i++)
                if (d == 0) memcpy(worker->c[i], worker->dx + i * width, (size_t)width * sizeof(real));
                else add_into(worker->c[i], worker->dx + i * width, width);
        }
}

/* ---- one layer ---- */

static void pack_backward_task(void *context, ptrdiff_t task, int worker) {
    const struct backward_layer *layer = context;
    const struct reverse_pass *pass = &layer->pass[task / (2 * REVERSE_PARTS)];
    const int part = (int)(task % REVERSE_PARTS);
    if (task / REVERSE_PARTS % 2 == 0) pack_reverse(layer->shape, &pass->recurrent, pass->weights->w_hh, part);
    else if (layer->dx.base) pack_reverse(layer->shape, &pass->from_input, pass->weights->w_ih, part);
    (void)worker;
}

static void run_recurrence(const struct backward_layer *layer, ptrdiff_t task, int worker, struct clstm_team *team) {
    const struct range rows = block_of_rows(layer->plan, task % layer->blocks, layer->blocks);
    reverse_rows(&layer->pass[task / layer->blocks], &layer->worker[worker].reverse, rows, layer->s0, layer->s1, team);
}

static void recurrence_task(void *context, ptrdiff_t task, int worker) { run_recurrence(context, task, worker, NULL); }

/* All tasks where threads share the units of each step. */
static void recurrence_body(void *context, struct clstm_team *team) {
    const struct backward_layer *layer = context;
    for (ptrdiff_t task = 0; task < layer->blocks * layer->shape->D; task++) run_recurrence(layer, task, 0, team);
}

static ptrdiff_t weight_tasks(const struct backward_layer *layer) {
    return outer_tasks(&layer->shares) * layer->shape->D;
}

/* The first step of the chunk that ends before step s1: as many steps as fill one chunk of rows, at least one. */
static ptrdiff_t chunk_start(const struct plan *plan, ptrdiff_t s1) {
    ptrdiff_t s0 = s1 - 1;
    while (s0 > 0 && plan->start[s1] - plan->start[s0 - 1] <= OUTER_CHUNK) s0--;
    return s0;
}

static void batched_task(void *context, ptrdiff_t task, int worker) {
    struct backward_layer *layer = context;
    const struct plan *plan = layer->plan;
    if (task < weight_tasks(layer)) {
        const ptrdiff_t per_direction = outer_tasks(&layer->shares);
        const struct outer outer = outer_of(&layer->pass[task / per_direction]);
        const struct block block = outer_block(&layer->shares, task % per_direction);
        for (ptrdiff_t s1 = layer->s1, s0; s1 > layer->s0; s1 = s0) {
            s0 = chunk_start(plan, s1);
            outer_run(&outer, &layer->worker[worker].outer, &block, plan->start[s0], plan->start[s1], s1 < plan->T);
        }
    } else {
        const ptrdiff_t part = task - weight_tasks(layer), rows = layer->q1 - layer->q0;
        const ptrdiff_t begin = part * rows / layer->dx_tasks, end = (part + 1) * rows / layer->dx_tasks;
        find_dx(layer, &layer->worker[worker], layer->q0 + begin, end - begin);
        dx_native(layer, &layer->worker[worker], end - begin);
    }
}

/* Chunks whose recurrence is computed before their products. One thread finds dz in its own cache after one chunk. Of
 * several, each needs what the others have just written, which comes slowly from the cache of another core: they go on
 * until that has left for the shared one. */
static ptrdiff_t chunks_at_once(const struct shape *shape, int threads) {
    enum { SHARED_CACHE = 8 << 20 };
    const ptrdiff_t bytes = OUTER_CHUNK * 4 * shape->ld * (ptrdiff_t)sizeof(real);
    return threads == 1 ? 1 : SHARED_CACHE / bytes;
}

static void run_chunks(struct backward_layer *layer, int threads, int batched) {
    const struct plan *plan = layer->plan;
    if (layer->pass[0].split > 1) clstm_team_work(layer->pass[0].split, recurrence_body, layer);
    else clstm_parallel(threads, layer->blocks * layer->shape->D, recurrence_task, layer);
    /* The directions meet the same steps of the input in different chunks: dx of both has to wait for all chunks. */
    layer->q0 = layer->shape->D == 1 ? plan->start[layer->s0] : 0;
    layer->q1 = layer->shape->D == 1 ? plan->start[layer->s1] : layer->s0 == 0 ? plan->rows : 0;
    /* As many for each thread, as far as there are rows. */
    const ptrdiff_t rows = layer->dx.base ? layer->q1 - layer->q0 : 0, parts = parts_of(parts_of(rows, CHUNK), batched);
    layer->dx_tasks = parts * batched < rows ? parts * batched : rows;
    clstm_parallel(batched, weight_tasks(layer) + layer->dx_tasks, batched_task, layer);
}

static void run_layer_backward(struct backward_layer *layer, ptrdiff_t index) {
    const struct shape *shape = layer->shape;
    const struct plan *plan = layer->plan;
    const double operations = layer_operations(shape, plan, index);
    const int threads = threads_for(shape->runtime, operations), batched = batched_threads(shape, plan, index);
    layer->shares = weight_shares(shape, plan, index);
    layer->blocks = row_blocks(shape, plan, threads);
    const int split = split_of(shape, plan, threads, layer->blocks);
    for (int d = 0; d < shape->D; d++) layer->pass[d].split = split;
    clstm_parallel(pack_threads(shape, index), shape->D * 2 * REVERSE_PARTS, pack_backward_task, layer);
    for (layer->s1 = plan->T; layer->s1 > 0; layer->s1 = layer->s0) {
        layer->s0 = chunk_start(plan, layer->s1);
        for (ptrdiff_t n = chunks_at_once(shape, batched); n > 1 && layer->s0 > 0; n--)
            layer->s0 = chunk_start(plan, layer->s0);
        run_chunks(layer, threads, batched);
    }
}

static void run_layer_backward_blas(struct backward_layer *layer) {
    const struct shape *shape = layer->shape;
    layer->blocks = 1;
    layer->s1 = layer->plan->T;
    clstm_parallel(1, shape->D, recurrence_task, layer);
    for (int d = 0; d < shape->D; d++) {
        const struct outer outer = outer_of(&layer->pass[d]);
        outer_blas(&outer, &layer->worker[0].outer, &shape->runtime->blas, layer->plan->rows);
    }
    if (layer->dx.base) dx_blas(layer, &layer->worker[0]);
}

/* ---- the stack ---- */

/* dh0, dc0 [N,H] of one layer and direction from the padded rows in the plan's order. */
static void write_gradient(real *to, const real *rows, const struct reverse_pass *pass) {
    const ptrdiff_t H = pass->shape->H;
    for (ptrdiff_t r = 0; to && r < pass->plan->N; r++)
        memcpy(to + pass->plan->order[r] * H, rows + r * pass->shape->ld, (size_t)H * sizeof(real));
}

/* w_ih of a layer has its own width; the memory for it is that of the widest. */
static struct reverse_weights from_input_of(const struct shape *shape, const struct reverse_weights *memory,
                                            ptrdiff_t width) {
    struct reverse_weights weights = *memory;
    const struct reverse_weights sizes = reverse_weights_of(shape, width);
    weights.columns = sizes.columns;
    weights.narrow = sizes.narrow;
    return weights;
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
                .split = 1,
                .tape = tape_at(tape, index),
                .input = tape_input(tape, shape, l, x),
                .dy = upper,
                .weights = &weights[index],
                .grads = &grads[index],
                .recurrent = scratch->recurrent[d],
                .from_input = from_input_of(shape, &scratch->from_input[d], layer_width(shape, l)),
                .dh = scratch->dh[d],
                .dc = scratch->dc[d],
                .sums = scratch->sums[d],
            };
            if (pass->dy.base) pass->dy.base += d * H;
            read_state(pass->dh, state_at(dfinal.h, shape, N, index), plan, H, shape->ld);
            read_state(pass->dc, state_at(dfinal.c, shape, N, index), plan, H, shape->ld);
        }
        if (shape->blas) run_layer_backward_blas(&layer);
        else run_layer_backward(&layer, l);
        for (int d = 0; d < D; d++) {
            add_weights(&layer.pass[d]);
            write_gradient(state_at(dinitial.h, shape, N, l * D + d), layer.pass[d].dh, &layer.pass[d]);
            write_gradient(state_at(dinitial.c, shape, N, l * D + d), layer.pass[d].dc, &layer.pass[d]);
        }
        upper = layer.dx;
    }
}

#endif
