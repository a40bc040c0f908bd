/* Back-propagation through time over a stack, from a tape. Included by the files of one precision.
 *
 * Per layer the steps are taken in chunks, from the last to the first: the recurrence of a chunk (reverse.h), and
 * then what needs no recurrence (gradients.h), as products over all rows of the chunk, whose dz are still in the
 * cache. */
#ifndef CLSTM_STACK_BACKWARD_H
#define CLSTM_STACK_BACKWARD_H

#include "gradients.h"

struct backward_scratch {
    struct reverse_weights recurrent[2], inner[2], from_input[2]; /* by direction */
    real *dh[2], *dc[2], *direct[2], *dm[2], *sums[2][MAX_PRODUCTS];
    real *peephole[2], *dpeephole[2], *norm[2], *dnorm[2];
    real *mask[2], *dropped[2], **wide; /* as in forward */
    real *between[2];                   /* gradients of a layer's inputs, [rows, F], by turns */
    real *merged[2];                    /* of the outputs of each direction; of a mean, the first is that of both */
    real *by_symbol[2];                 /* sum of dz of each symbol, [num, x_row], by direction */
    struct backward_worker *worker;
};

/* Matrices that are multiplied from the left. */
static void reverse_matrices_lay_out(struct backward_scratch *scratch, struct arena *arena, const struct shape *shape,
                                     int d) {
    const struct cell *cell = &shape->cell;
    scratch->recurrent[d] = reverse_weights_of(shape, cell->h_block, cell->gates - cell->late, shape->R);
    reverse_weights_lay_out(&scratch->recurrent[d], arena, shape);
    if (shape->stages > 1) {
        scratch->inner[d] = inner_weights_of(shape);
        reverse_weights_lay_out(&scratch->inner[d], arena, shape);
    }
    scratch->from_input[d] = reverse_weights_of(shape, cell->x_block, cell->gates, widest_layer(shape));
    scratch->from_input[d].narrow = NARROW_COLUMNS; /* at most, of any layer */
    reverse_weights_lay_out(&scratch->from_input[d], arena, shape);
}

/* What goes from step to step, and sums over the steps. */
static void carried_lay_out(struct backward_scratch *scratch, struct arena *arena, const struct shape *shape,
                            const struct plan *plan, int d) {
    const struct cell *cell = &shape->cell;
    const ptrdiff_t rows = times(plan->N, shape->ld), rows_h = times(plan->N, shape->ld_h);
    const ptrdiff_t peephole = times(cell->form.peephole, shape->ld);
    const ptrdiff_t norm = cell->norm ? norm_elements(cell->gates, shape->ld) : 0;
    struct weight_product products[MAX_PRODUCTS];
    const int count = weight_products(shape, products);
    scratch->dh[d] = arena_take(arena, rows_h, sizeof(real));
    scratch->dc[d] = cell->has_c ? arena_take(arena, rows, sizeof(real)) : NULL;
    scratch->direct[d] = cell->form.direct ? arena_take(arena, rows_h, sizeof(real)) : NULL;
    scratch->dm[d] = cell->norm || shape->stages > 1 ? arena_take(arena, rows, sizeof(real)) : NULL;
    for (int i = 0; i < count; i++) {
        const ptrdiff_t own = most_columns(shape, &products[i]),
                        of_symbols = i == 0 && shape->num > 0 ? shape->I + 1 : 0;
        const ptrdiff_t elements = outer_sums(shape->kernels, shape->blas, product_height(shape, &products[i]),
                                              own > of_symbols ? own : of_symbols);
        scratch->sums[d][i] = arena_take(arena, elements, sizeof(real));
    }
    scratch->peephole[d] = arena_take(arena, peephole, sizeof(real));
    scratch->dpeephole[d] = arena_take(arena, times(plan->N, peephole), sizeof(real));
    scratch->norm[d] = norm ? arena_take(arena, norm, sizeof(real)) : NULL;
    scratch->dnorm[d] = norm ? arena_take(arena, times(plan->N, norm), sizeof(real)) : NULL;
}

static void backward_lay_out(struct backward_scratch *scratch, struct arena *arena, const struct shape *shape,
                             const struct plan *plan) {
    const int threads = shape->blas ? 1 : shape->runtime->threads;
    const ptrdiff_t rows = chunk_capacity(plan), widest = widest_layer(shape);
    const struct outer_shares shares = largest_shares(shape, plan);
    for (int d = 0; d < shape->D; d++) {
        reverse_matrices_lay_out(scratch, arena, shape, d);
        carried_lay_out(scratch, arena, shape, plan, d);
    }
    noise_lay_out(scratch->mask, scratch->dropped, arena, shape, plan);
    scratch->wide = wide_lay_out(arena, shape, threads);
    for (int d = 0; d < shape->D; d++)
        scratch->by_symbol[d] = arena_take(arena, times(shape->num, shape->x_row), sizeof(real));
    const ptrdiff_t between = shape->L > 1 ? times(plan->rows, output_width(shape)) : 0;
    for (int i = 0; i < 2; i++) scratch->between[i] = arena_take(arena, between, sizeof(real));
    const int merged = shape->merge == CLSTM_MERGE_PRODUCT ? 2 : shape->merge == CLSTM_MERGE_MEAN;
    for (int i = 0; i < 2; i++)
        scratch->merged[i] = arena_take(arena, i < merged ? times(plan->rows, widest_given(shape)) : 0, sizeof(real));
    scratch->worker = arena_take(arena, threads, sizeof *scratch->worker);
    for (int i = 0; i < threads; i++) {
        struct backward_worker measured, *worker = scratch->worker ? &scratch->worker[i] : &measured;
        reverse_scratch_lay_out(&worker->reverse, arena, shape, plan);
        outer_lay_out(&worker->outer, arena, shape->kernels, shape->blas, &shares);
        for (int d = 0; d < 2; d++) worker->dz[d] = arena_take(arena, rows, sizeof(real *));
        worker->c = arena_take(arena, rows, sizeof(real *));
        worker->dx = arena_take(arena, shape->blas ? times(rows, widest) : 0, sizeof(real));
    }
}

/* ---- one layer ---- */

enum { REVERSE_MATRICES = 3 };

static void pack_backward_task(void *context, ptrdiff_t task, int worker) {
    const struct backward_layer *layer = context;
    const struct shape *shape = layer->shape;
    const struct reverse_pass *pass = &layer->pass[task / (REVERSE_MATRICES * REVERSE_PARTS)];
    const int part = (int)(task % REVERSE_PARTS), matrix = (int)(task / REVERSE_PARTS % REVERSE_MATRICES);
    if (matrix == 0) pack_reverse(shape, &pass->recurrent, pass->weights->w_hh, part);
    if (matrix == 1 && shape->stages > 1) pack_reverse(shape, &pass->inner, inner_matrix(shape, pass->weights), part);
    if (matrix == 2 && (layer->dx.base || layer->dvectors))
        pack_reverse(shape, &pass->from_input, pass->weights->w_ih, part);
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

/* Chunks whose recurrence is computed before their products. One thread finds dz in its own cache after one chunk. Of
 * several, each needs what the others have just written, which comes slowly from the cache of another core: they go on
 * until that has left for the shared one. */
static ptrdiff_t chunks_at_once(const struct shape *shape, int threads) {
    enum { SHARED_CACHE = 8 << 20 };
    const ptrdiff_t bytes = OUTER_CHUNK * shape->row * (ptrdiff_t)sizeof(real);
    return threads == 1 ? 1 : SHARED_CACHE / bytes;
}

static void run_chunks(struct backward_layer *layer, int threads, int batched) {
    const struct plan *plan = layer->plan;
    if (layer->pass[0].split > 1) clstm_team_work(layer->pass[0].split, recurrence_body, layer);
    else clstm_parallel(threads, layer->blocks * layer->shape->D, recurrence_task, layer);
    /* A reverse direction meets the steps of the input in other chunks: dx has to wait for all of them. */
    const int in_time = layer->shape->D == 1 && !layer->shape->backwards;
    layer->q0 = in_time ? plan->start[layer->s0] : 0;
    layer->q1 = in_time ? plan->start[layer->s1] : layer->s0 == 0 ? plan->rows : 0;
    /* As many for each thread, as far as there are rows. */
    const ptrdiff_t rows = layer->dx.base ? layer->q1 - layer->q0 : 0, parts = parts_of(parts_of(rows, CHUNK), batched);
    layer->dx_tasks = parts * batched < rows ? parts * batched : rows;
    const ptrdiff_t sums = layer->symbol_parts * layer->shape->D;
    clstm_parallel(batched, weight_tasks(layer) + sums + layer->dx_tasks, batched_task, layer);
}

static void run_layer_backward(struct backward_layer *layer, ptrdiff_t index) {
    const struct shape *shape = layer->shape;
    const struct plan *plan = layer->plan;
    const double operations = layer_operations(shape, plan, index);
    const int threads = threads_for(shape->runtime, operations), batched = batched_threads(shape, plan, index);
    layer->products = weight_shares(shape, plan, index, layer->shares);
    if (reads_symbols(shape, index)) {
        layer->symbol_parts = batched;
        layer->symbol_shares = symbol_shares(shape, plan);
    }
    layer->blocks = row_blocks(shape, plan, threads);
    const int split = split_of(shape, plan, threads, layer->blocks);
    for (int d = 0; d < shape->D; d++) layer->pass[d].split = split;
    clstm_parallel(pack_threads(shape, index), shape->D * REVERSE_MATRICES * REVERSE_PARTS, pack_backward_task, layer);
    for (layer->s1 = plan->T; layer->s1 > 0; layer->s1 = layer->s0) {
        layer->s0 = chunk_start(plan, layer->s1);
        for (ptrdiff_t n = chunks_at_once(shape, batched); n > 1 && layer->s0 > 0; n--)
            layer->s0 = chunk_start(plan, layer->s0);
        run_chunks(layer, threads, batched);
    }
}

static void run_layer_backward_blas(struct backward_layer *layer, ptrdiff_t index) {
    const struct shape *shape = layer->shape;
    layer->blocks = 1;
    layer->products = weight_shares(shape, layer->plan, index, layer->shares);
    layer->s1 = layer->plan->T;
    clstm_parallel(1, shape->D, recurrence_task, layer);
    for (int d = 0; d < shape->D; d++) {
        for (int i = 0; i < layer->products; i++) {
            const struct outer outer = outer_of(&layer->pass[d], i);
            outer_blas(&outer, &layer->worker[0].outer, &shape->runtime->blas, layer->plan->rows);
        }
    }
    if (layer->dx.base) dx_blas(layer, &layer->worker[0]);
}

/* ---- the stack ---- */

/* dh0 or dc0 [N,width] of one layer and direction from the padded rows in the plan's order. */
static void write_gradient(real *to, const real *rows, const struct reverse_pass *pass, ptrdiff_t width) {
    const ptrdiff_t ld = padded(width);
    for (ptrdiff_t r = 0; to && rows && r < pass->plan->N; r++)
        memcpy(to + pass->plan->order[r] * width, rows + r * ld, (size_t)width * sizeof(real));
}

static void start_vectors(const struct reverse_pass *pass) {
    const struct shape *shape = pass->shape;
    const ptrdiff_t N = pass->plan->N, peephole = shape->cell.form.peephole * shape->ld;
    pad_vectors(pass->peephole, pass->norm, pass->weights, shape);
    if (pass->dm)
        memset(pass->dm, 0, (size_t)(N * shape->ld) * sizeof(real)); /* the padding, which is multiplied too */
    memset(pass->dpeephole, 0, (size_t)(N * peephole) * sizeof(real));
    if (pass->dnorm) memset(pass->dnorm, 0, (size_t)(N * norm_elements(shape->cell.gates, shape->ld)) * sizeof(real));
}

/* Draws the masks of forward again. */
static void start_noise(const struct reverse_pass *pass, clstm_weights *weights) {
    if (pass->mask)
        draw_rows(pass->shape, pass->plan, CLSTM_NOISE_RECURRENT, pass->index, EVERY_STEP, 0, pass->plan->N,
                  pass->mask);
    if (!pass->dropped) return;
    drop_weights(pass->shape, pass->index, weights->w_hh, pass->dropped);
    weights->w_hh = pass->dropped;
}

/* The gradient of a changed copy becomes that of the input: what was masked stays so. */
static void mix_backward(const struct backward_layer *layer, const struct backward_scratch *scratch, ptrdiff_t index) {
    struct mix mix = {
        .shape = layer->shape, .plan = layer->plan, .layer = index, .to = layer->dx, .mask = scratch->wide};
    run_mix(&mix, mix_threads(layer->shape, layer->plan, index));
}

/* w_ih of a layer has its own width; the memory for it is that of the widest. */
static struct reverse_weights from_input_of(const struct shape *shape, const struct reverse_weights *memory,
                                            ptrdiff_t width) {
    struct reverse_weights weights = *memory;
    set_reverse_columns(&weights, shape, width);
    return weights;
}

/* [N,T,width] of one layer and direction; of pieces [rows,times,width]. */
static clstm_sequence flow_of(void *flow, const clstm_batch *batch, ptrdiff_t index, ptrdiff_t width) {
    const ptrdiff_t row = caller_times(batch) * width;
    return (clstm_sequence){flow ? (real *)flow + index * caller_rows(batch) * row : NULL, row, width};
}

/* The gradient of the output of each direction, from that of what the layer gives. */
static void split_gradient(const struct shape *shape, const struct backward_scratch *scratch, const struct tape *tape,
                           ptrdiff_t layer, struct located dy, struct located dgiven[2]) {
    const ptrdiff_t width = given_width(shape, layer);
    for (ptrdiff_t d = 0; d < shape->D; d++) {
        dgiven[d] = dy;
        if (dy.base && !shape->merge) dgiven[d].base += d * width;
    }
    if (!dy.base || !shape->merge || shape->merge == CLSTM_MERGE_SUM) return;
    for (int d = 0; d < 2; d++)
        dgiven[d] = at_packed(scratch->merged[shape->merge == CLSTM_MERGE_PRODUCT ? d : 0], width, 0);
    const struct input on_tape = tape_given(tape, shape, layer);
    struct merge merge = {.shape = shape,
                          .plan = &tape->plan,
                          .width = width,
                          .given = {on_tape.segment[0], on_tape.segment[1]},
                          .y = dy,
                          .dgiven = {dgiven[0], dgiven[1]}};
    run_merge(&merge);
}

static void backward_stack(const struct shape *shape, struct backward_scratch *scratch, const struct tape *tape,
                           const clstm_weights *weights, clstm_sequence x, clstm_sequence dy, clstm_state dfinal,
                           clstm_sequence dx, clstm_state dinitial, const clstm_gradients *grads, ptrdiff_t bptt,
                           const clstm_batch *batch, clstm_state flow) {
    const struct plan *plan = &tape->plan;
    const ptrdiff_t D = shape->D, H = shape->H, R = shape->R, N = plan->N;
    struct located upper = at_caller(dy);
    for (ptrdiff_t l = shape->L - 1; l >= 0; l--) {
        struct backward_layer layer = {.shape = shape, .plan = plan, .worker = scratch->worker};
        if (reads_symbols(shape, l)) layer.dvectors = dx.data;
        else layer.dx = l == 0 ? at_caller(dx) : at_packed(scratch->between[l & 1], layer_width(shape, l), 0);
        struct located dgiven[2];
        split_gradient(shape, scratch, tape, l, upper, dgiven);
        clstm_weights own[2]; /* as they were multiplied */
        for (int d = 0; d < D; d++) {
            const ptrdiff_t index = l * D + d;
            struct reverse_pass *pass = &layer.pass[d];
            own[d] = weights[index];
            *pass = (struct reverse_pass){
                .shape = shape,
                .plan = plan,
                .index = index,
                .bptt = bptt,
                .reverse = is_reverse(shape, d),
                .split = 1,
                .tape = tape_at(tape, index),
                .input = tape_input(tape, shape, l, x),
                .form = form_of(shape, l),
                .dy = dgiven[d],
                .flow_h = at_caller(flow_of(flow.h, batch, index, R)),
                .flow_c = at_caller(flow_of(flow.c, batch, index, H)),
                .weights = &own[d],
                .mask = scratch->mask[d],
                .dropped = scratch->dropped[d],
                .grads = &grads[index],
                .recurrent = scratch->recurrent[d],
                .inner = scratch->inner[d],
                .from_input = from_input_of(shape, &scratch->from_input[d], layer_width(shape, l)),
                .dh = scratch->dh[d],
                .dc = scratch->dc[d],
                .direct = scratch->direct[d],
                .dm = scratch->dm[d],
                .peephole = scratch->peephole[d],
                .dpeephole = scratch->dpeephole[d],
                .norm = scratch->norm[d],
                .dnorm = scratch->dnorm[d],
                .sums = {scratch->sums[d][0], scratch->sums[d][1], scratch->sums[d][2]},
            };
            if (reads_symbols(shape, l)) {
                pass->vectors = at_caller(x);
                pass->by_symbol = scratch->by_symbol[d];
                memset(pass->by_symbol, 0, (size_t)(shape->num * shape->x_row) * sizeof(real));
            }
            /* Where dh has another way than the products, that of the final state takes it. */
            real *dh = state_at(dfinal.h, N, index, R);
            read_state(pass->direct, dh, plan, R);
            read_state(pass->dh, pass->direct ? NULL : dh, plan, R);
            read_state(pass->dc, state_at(dfinal.c, N, index, H), plan, H);
            start_vectors(pass);
            start_noise(pass, &own[d]);
        }
        if (shape->blas) run_layer_backward_blas(&layer, l);
        else run_layer_backward(&layer, l);
        for (int d = 0; d < D; d++) {
            add_vectors(&layer.pass[d]);
            add_direct(&layer.pass[d]);
            write_gradient(state_at(dinitial.h, N, l * D + d, R), layer.pass[d].dh, &layer.pass[d], R);
            write_gradient(state_at(dinitial.c, N, l * D + d, H), layer.pass[d].dc, &layer.pass[d], H);
            add_weights(&layer.pass[d]); /* which uses dh as working memory */
        }
        if (reads_symbols(shape, l)) run_symbols(&layer);
        if (layer.dx.base && has_input_noise(shape, l)) mix_backward(&layer, scratch, l);
        upper = layer.dx;
    }
}

#endif
