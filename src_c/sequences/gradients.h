/* The products of back-propagation that need no recurrence: gradients of the weights and of the input of one layer, over
 * all rows of a chunk of steps. Where the layer reads symbols, the dz of each symbol are added up instead, and these
 * products are computed once, over the symbols. Included by the files of one precision. */
#ifndef CLSTM_GRADIENTS_H
#define CLSTM_GRADIENTS_H

#include "reverse.h"
#include "outer.h"

struct backward_worker {
    struct reverse_scratch reverse;
    struct outer_scratch outer;
    real **dz[2], **c;
    real *dx; /* BLAS: a chunk of dx */
};

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
    /* Of a layer that reads symbols: */
    ptrdiff_t symbol_parts;            /* parts of dz whose sums by symbol are tasks; 0 for other layers */
    struct outer_shares symbol_shares; /* of the gradient of w_ih */
    real *dvectors;                    /* gradient of their vectors, [num, I], or NULL */
};

/* Threads that share the products of a layer which are batched over time, and how they share the weights' gradients. */
static int batched_threads(const struct shape *shape, const struct plan *plan, ptrdiff_t layer) {
    return shape->blas ? 1 : threads_for(shape->runtime, 2 * layer_operations(shape, plan, layer));
}

static struct outer_shares shares_of(const struct shape *shape, ptrdiff_t columns, int threads) {
    if (shape->blas) return (struct outer_shares){4 * shape->H, columns, 4 * shape->H, columns};
    return outer_shares_of(shape->kernels, 4 * shape->H, columns, threads);
}

static struct outer_shares weight_shares(const struct shape *shape, const struct plan *plan, ptrdiff_t layer) {
    return shares_of(shape, step_width(shape, layer) + shape->H + 1, batched_threads(shape, plan, layer));
}

static struct outer_shares symbol_shares(const struct shape *shape, const struct plan *plan) {
    return shares_of(shape, shape->I + 1, batched_threads(shape, plan, 0));
}

static struct outer_shares larger_shares(struct outer_shares a, struct outer_shares b) {
    return (struct outer_shares){.m = a.m > b.m ? a.m : b.m, .k = a.k > b.k ? a.k : b.k};
}

/* As large as those of any product. */
static struct outer_shares largest_shares(const struct shape *shape, const struct plan *plan) {
    const ptrdiff_t last = shape->L > 1 ? 1 : 0; /* layers above the first are all alike */
    const struct outer_shares found = larger_shares(weight_shares(shape, plan, 0), weight_shares(shape, plan, last));
    return shape->symbols ? larger_shares(found, symbol_shares(shape, plan)) : found;
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

/* The gradient of some columns of the weights, whose segments the caller sets. */
static struct outer gates_outer(const struct reverse_pass *pass) {
    return (struct outer){
        .kernels = pass->shape->kernels,
        .blocks = 4,
        .width = pass->shape->H,
        .ld = pass->shape->ld,
        .source = pass,
        .sums = pass->sums,
        .panel = outer_panel_width(pass->shape->kernels, pass->shape->blas, 4 * pass->shape->H),
    };
}

static struct outer outer_of(const struct reverse_pass *pass) {
    struct outer outer = gates_outer(pass);
    outer.segments = pass->input.segments + 1;
    outer.find = find_outer;
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

/* ---- gradients by symbol ---- */

/* For each symbol from q0 on: the sum of its dz, and its vector. */
static void find_symbol_outer(const void *source, ptrdiff_t q0, ptrdiff_t n, real **left,
                              real **right[OUTER_SEGMENTS]) {
    const struct reverse_pass *pass = source;
    for (ptrdiff_t i = 0; i < n; i++) {
        left[i] = pass->by_symbol + (q0 + i) * 4 * pass->shape->ld;
        right[0][i] = pass->vectors.base + (q0 + i) * pass->vectors.stride_t;
    }
}

static struct outer symbol_outer_of(const struct reverse_pass *pass) {
    struct outer outer = gates_outer(pass);
    outer.segments = 1;
    outer.segment_width[0] = pass->shape->I;
    outer.find = find_symbol_outer;
    return outer;
}

/* Adds elements [begin, end) of the dz of the steps [s0, s1) to those of their symbols. */
static void add_to_symbols(const struct reverse_pass *pass, struct backward_worker *worker, ptrdiff_t s0, ptrdiff_t s1,
                           ptrdiff_t begin, ptrdiff_t end) {
    const ptrdiff_t width = 4 * pass->shape->ld;
    for (ptrdiff_t s = s0; s < s1; s++) {
        const ptrdiff_t n = pass->plan->alive[s];
        find_symbols(pass->shape, pass->plan, pass->reverse, s, 0, n, pass->by_symbol, width, worker->c);
        pass->shape->kernels->add_rows(worker->c, begin, dz_of(pass, s, 0) + begin, width, n, end - begin);
    }
}

/* ---- gradient of the input ---- */

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

/* ---- tasks ---- */

static ptrdiff_t weight_tasks(const struct backward_layer *layer) {
    return outer_tasks(&layer->shares) * layer->shape->D;
}

/* The first step of the chunk that ends before step s1: as many steps as fill one chunk of rows, at least one. */
static ptrdiff_t chunk_start(const struct plan *plan, ptrdiff_t s1) {
    ptrdiff_t s0 = s1 - 1;
    while (s0 > 0 && plan->start[s1] - plan->start[s0 - 1] <= OUTER_CHUNK) s0--;
    return s0;
}

static void weight_task(const struct backward_layer *layer, ptrdiff_t task, int worker) {
    const struct plan *plan = layer->plan;
    const ptrdiff_t per_direction = outer_tasks(&layer->shares);
    const struct outer outer = outer_of(&layer->pass[task / per_direction]);
    const struct block block = outer_block(&layer->shares, task % per_direction);
    for (ptrdiff_t s1 = layer->s1, s0; s1 > layer->s0; s1 = s0) {
        s0 = chunk_start(plan, s1);
        outer_run(&outer, &layer->worker[worker].outer, &block, plan->start[s0], plan->start[s1], s1 < plan->T);
    }
}

static void sum_task(const struct backward_layer *layer, ptrdiff_t task, int worker) {
    const struct reverse_pass *pass = &layer->pass[task / layer->symbol_parts];
    const ptrdiff_t part = task % layer->symbol_parts, width = 4 * layer->shape->ld;
    const ptrdiff_t begin = part * width / layer->symbol_parts, end = (part + 1) * width / layer->symbol_parts;
    for (ptrdiff_t s1 = layer->s1, s0; s1 > layer->s0; s1 = s0) {
        s0 = chunk_start(layer->plan, s1);
        add_to_symbols(pass, &layer->worker[worker], s0, s1, begin, end);
    }
}

static void dx_task(const struct backward_layer *layer, ptrdiff_t task, int worker) {
    const ptrdiff_t rows = layer->q1 - layer->q0;
    const ptrdiff_t begin = task * rows / layer->dx_tasks, end = (task + 1) * rows / layer->dx_tasks;
    find_dx(layer, &layer->worker[worker], layer->q0 + begin, end - begin);
    dx_native(layer, &layer->worker[worker], end - begin);
}

static void batched_task(void *context, ptrdiff_t task, int worker) {
    const struct backward_layer *layer = context;
    const ptrdiff_t weights = weight_tasks(layer), sums = layer->symbol_parts * layer->shape->D;
    if (task < weights) weight_task(layer, task, worker);
    else if (task < weights + sums) sum_task(layer, task - weights, worker);
    else dx_task(layer, task - weights - sums, worker);
}

/* A block of the gradient of w_ih. */
static void symbol_weight_task(const struct backward_layer *layer, ptrdiff_t task, int worker) {
    const ptrdiff_t per_direction = outer_tasks(&layer->symbol_shares);
    const struct outer outer = symbol_outer_of(&layer->pass[task / per_direction]);
    const struct block block = outer_block(&layer->symbol_shares, task % per_direction);
    outer_run(&outer, &layer->worker[worker].outer, &block, 0, layer->shape->num, 0);
}

/* The gradients of some vectors. */
static void vector_task(const struct backward_layer *layer, ptrdiff_t task, int worker) {
    struct backward_worker *own = &layer->worker[worker];
    const ptrdiff_t first = task * CHUNK, left = layer->shape->num - first, n = left < CHUNK ? left : CHUNK;
    for (ptrdiff_t i = 0; i < n; i++) {
        own->c[i] = layer->dvectors + (first + i) * layer->shape->I;
        for (int d = 0; d < layer->shape->D; d++)
            own->dz[d][i] = layer->pass[d].by_symbol + (first + i) * 4 * layer->shape->ld;
    }
    dx_native(layer, own, n);
}

static void symbol_task(void *context, ptrdiff_t task, int worker) {
    const struct backward_layer *layer = context;
    const ptrdiff_t weights = outer_tasks(&layer->symbol_shares) * layer->shape->D;
    if (task < weights) symbol_weight_task(layer, task, worker);
    else vector_task(layer, task - weights, worker);
}

static void run_symbols_blas(struct backward_layer *layer) {
    const struct shape *shape = layer->shape;
    for (int d = 0; d < shape->D; d++) {
        const struct reverse_pass *pass = &layer->pass[d];
        const struct outer outer = symbol_outer_of(pass);
        add_to_symbols(pass, &layer->worker[0], 0, layer->plan->T, 0, 4 * shape->ld);
        outer_blas(&outer, &layer->worker[0].outer, &shape->runtime->blas, shape->num);
        if (layer->dvectors)
            gates_times_blas(shape, shape->num, shape->I, pass->by_symbol, pass->weights->w_ih, d, layer->dvectors,
                             shape->I);
    }
}

static void run_symbols_native(struct backward_layer *layer) {
    const ptrdiff_t weights = outer_tasks(&layer->symbol_shares) * layer->shape->D;
    const ptrdiff_t vectors = layer->dvectors ? parts_of(layer->shape->num, CHUNK) : 0;
    clstm_parallel(batched_threads(layer->shape, layer->plan, 0), weights + vectors, symbol_task, layer);
}

/* When the sums over all steps have been added to the gradients, and their memory is free. */
static void run_symbols(struct backward_layer *layer) {
    if (layer->shape->blas) run_symbols_blas(layer);
    else run_symbols_native(layer);
    for (int d = 0; d < layer->shape->D; d++) {
        const struct outer outer = symbol_outer_of(&layer->pass[d]);
        outer_add_columns(&outer, layer->pass[d].grads->w_ih, layer->shape->I, 0);
    }
}

#endif
