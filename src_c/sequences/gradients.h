/* The products of back-propagation that need no recurrence, as tasks for threads: gradients of the weights and of the input
 * of one layer, over all rows of a chunk of steps. Where the layer reads symbols, the dz of each symbol are added up
 * instead, and these products are computed once, over the symbols. Included by the files of one precision. */
#ifndef CLSTM_GRADIENTS_H
#define CLSTM_GRADIENTS_H

#include "weight_gradients.h"

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
    ptrdiff_t blocks;                         /* of rows, per direction */
    int products;                             /* that give the gradients of the weights .. */
    struct outer_shares shares[MAX_PRODUCTS]; /* .. and their shares */
    ptrdiff_t s0, s1;                         /* the chunks of steps at hand */
    ptrdiff_t q0, q1;                         /* rows of which dx is wanted now, */
    ptrdiff_t dx_tasks;                       /* in so many equal parts */
    /* Of a layer that reads symbols: */
    ptrdiff_t symbol_parts;            /* parts of dz whose sums by symbol are tasks; 0 for other layers */
    struct outer_shares symbol_shares; /* of the gradient of w_ih */
    real *dvectors;                    /* gradient of their vectors, [num, I], or NULL */
};

/* ---- gradients by symbol ---- */

/* For each symbol from q0 on: the sum of its dz, and its vector. */
static void find_symbol_outer(const void *source, ptrdiff_t q0, ptrdiff_t n, real **left,
                              real **right[OUTER_SEGMENTS]) {
    const struct reverse_pass *pass = source;
    for (ptrdiff_t i = 0; i < n; i++) {
        left[i] = pass->by_symbol + (q0 + i) * pass->shape->x_row;
        right[0][i] = pass->vectors.base + (q0 + i) * pass->vectors.stride_t;
    }
}

static struct outer symbol_outer_of(const struct reverse_pass *pass) {
    struct outer outer = gates_outer(pass, pass->shape->cell.x_block, pass->shape->cell.gates, pass->sums[0]);
    outer.segments = 1;
    outer.segment_width[0] = pass->shape->I;
    outer.find = find_symbol_outer;
    return outer;
}

/* Adds elements [begin, end) of the dz of the steps [s0, s1) to those of their symbols. */
static void add_to_symbols(const struct reverse_pass *pass, struct backward_worker *worker, ptrdiff_t s0, ptrdiff_t s1,
                           ptrdiff_t begin, ptrdiff_t end) {
    const struct shape *shape = pass->shape;
    for (ptrdiff_t s = s0; s < s1; s++) {
        const ptrdiff_t n = pass->plan->alive[s];
        find_symbols(shape, pass->plan, pass->reverse, s, 0, n, pass->by_symbol, shape->x_row, worker->c);
        shape->kernels->add_rows(worker->c, begin, dz_of(pass, s, 0) + begin, shape->row, n, end - begin);
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
    };
    set_columns(&product, kernels, wide);
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
            gates_times_blas(shape, &layer->pass[d].from_input, n, layer->pass[d].tape.blocks + q0 * shape->row,
                             shape->row, layer->pass[d].weights->w_ih, 0, worker->dx, width);
            for (struct walk at = walk_from(plan, q0, q0 + n); at.q < at.end; walk_on(&at, plan))
                find_rows(&layer->dx, plan, layer->pass[d].reverse, at.s, at.r, at.n, worker->c + at.q - q0);
            for (ptrdiff_t i = 0; i < n; i++)
                if (d == 0) memcpy(worker->c[i], worker->dx + i * width, (size_t)width * sizeof(real));
                else add_into(worker->c[i], worker->dx + i * width, width);
        }
}

/* ---- tasks ---- */

static ptrdiff_t weight_tasks(const struct backward_layer *layer) {
    ptrdiff_t tasks = 0;
    for (int i = 0; i < layer->products; i++) tasks += outer_tasks(&layer->shares[i]);
    return tasks * layer->shape->D;
}

/* The first step of the chunk that ends before step s1: as many steps as fill one chunk of rows, at least one. */
static ptrdiff_t chunk_start(const struct plan *plan, ptrdiff_t s1) {
    ptrdiff_t s0 = s1 - 1;
    while (s0 > 0 && plan->start[s1] - plan->start[s0 - 1] <= OUTER_CHUNK) s0--;
    return s0;
}

static void weight_task(const struct backward_layer *layer, ptrdiff_t task, int worker) {
    const struct plan *plan = layer->plan;
    const ptrdiff_t per_direction = weight_tasks(layer) / layer->shape->D;
    ptrdiff_t own = task % per_direction;
    int index = 0;
    for (; own >= outer_tasks(&layer->shares[index]); index++) own -= outer_tasks(&layer->shares[index]);
    const struct outer outer = outer_of(&layer->pass[task / per_direction], index);
    const struct block block = outer_block(&layer->shares[index], own);
    for (ptrdiff_t s1 = layer->s1, s0; s1 > layer->s0; s1 = s0) {
        s0 = chunk_start(plan, s1);
        outer_run(&outer, &layer->worker[worker].outer, &block, plan->start[s0], plan->start[s1], s1 < plan->T);
    }
}

static void sum_task(const struct backward_layer *layer, ptrdiff_t task, int worker) {
    const struct reverse_pass *pass = &layer->pass[task / layer->symbol_parts];
    const ptrdiff_t part = task % layer->symbol_parts, width = layer->shape->x_row;
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
            own->dz[d][i] = layer->pass[d].by_symbol + (first + i) * layer->shape->x_row;
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
        add_to_symbols(pass, &layer->worker[0], 0, layer->plan->T, 0, shape->x_row);
        outer_blas(&outer, &layer->worker[0].outer, &shape->runtime->blas, shape->num);
        if (layer->dvectors)
            gates_times_blas(shape, &pass->from_input, shape->num, pass->by_symbol, shape->x_row, pass->weights->w_ih,
                             d, layer->dvectors, shape->I);
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
