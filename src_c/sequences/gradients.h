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
    ptrdiff_t blocks;              /* of rows, per direction */
    int outers;                    /* products that give the gradients of the weights .. */
    struct outer_shares shares[2]; /* .. and their shares */
    ptrdiff_t s0, s1;              /* the chunks of steps at hand */
    ptrdiff_t q0, q1;              /* rows of which dx is wanted now, */
    ptrdiff_t dx_tasks;            /* in so many equal parts */
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
    const ptrdiff_t height = shape->cell.gates * shape->H;
    if (shape->blas) return (struct outer_shares){height, columns, height, columns};
    return outer_shares_of(shape->kernels, height, columns, threads);
}

/* The gradients of a layer's weights are one product, dz times input, h and one, or two where a gate has different dz for
 * the input and for h. Their columns: */
static int weight_outers(const struct shape *shape, ptrdiff_t layer, ptrdiff_t columns[2]) {
    const ptrdiff_t width = step_width(shape, layer), H = shape->H;
    const int outers = shape->cell.two_sums ? 2 : 1;
    columns[0] = outers == 2 ? width + 1 : width + H + 1;
    columns[1] = outers == 2 ? H + 1 : 0;
    return outers;
}

/* As many columns as that of any layer. */
static ptrdiff_t most_columns(const struct shape *shape, int outer) {
    ptrdiff_t first[2], upper[2];
    weight_outers(shape, 0, first);
    weight_outers(shape, shape->L > 1 ? 1 : 0, upper); /* layers above the first are all alike */
    return first[outer] > upper[outer] ? first[outer] : upper[outer];
}

static int weight_shares(const struct shape *shape, const struct plan *plan, ptrdiff_t layer,
                         struct outer_shares shares[2]) {
    ptrdiff_t columns[2];
    const int outers = weight_outers(shape, layer, columns);
    for (int i = 0; i < outers; i++) shares[i] = shares_of(shape, columns[i], batched_threads(shape, plan, layer));
    return outers;
}

static struct outer_shares symbol_shares(const struct shape *shape, const struct plan *plan) {
    return shares_of(shape, shape->I + 1, batched_threads(shape, plan, 0));
}

static struct outer_shares larger_shares(struct outer_shares a, struct outer_shares b) {
    return (struct outer_shares){.m = a.m > b.m ? a.m : b.m, .k = a.k > b.k ? a.k : b.k};
}

/* As large as those of any product. */
static struct outer_shares largest_shares(const struct shape *shape, const struct plan *plan) {
    struct outer_shares found = shape->symbols ? symbol_shares(shape, plan) : (struct outer_shares){0};
    for (ptrdiff_t layer = 0; layer < shape->L && layer < 2; layer++) {
        struct outer_shares shares[2];
        const int outers = weight_shares(shape, plan, layer, shares);
        for (int i = 0; i < outers; i++) found = larger_shares(found, shares[i]);
    }
    return found;
}

/* ---- gradients of the weights ---- */

/* The dz of one direction on the tape, in the order of its steps. */
static struct located dz_located(const struct reverse_pass *pass) {
    return at_packed(pass->tape.blocks, pass->shape->row, pass->reverse);
}

/* For each flat index q: dz, and what was multiplied with it: the input's segments and h of the step before. */
static void find_left(const struct reverse_pass *pass, ptrdiff_t q0, ptrdiff_t n, real **left) {
    const struct located dz = dz_located(pass);
    for (struct walk at = walk_from(pass->plan, q0, q0 + n); at.q < at.end; walk_on(&at, pass->plan))
        find_rows(&dz, pass->plan, pass->reverse, at.s, at.r, at.n, left + at.q - q0);
}

static void find_inputs(const struct reverse_pass *pass, ptrdiff_t q0, ptrdiff_t n, real **right[OUTER_SEGMENTS]) {
    for (struct walk at = walk_from(pass->plan, q0, q0 + n); at.q < at.end; walk_on(&at, pass->plan))
        for (int k = 0; k < pass->input.segments; k++)
            find_rows(&pass->input.segment[k], pass->plan, pass->reverse, at.s, at.r, at.n, right[k] + at.q - q0);
}

static void find_h(const struct reverse_pass *pass, ptrdiff_t q0, ptrdiff_t n, real **h) {
    const struct plan *plan = pass->plan;
    for (struct walk at = walk_from(plan, q0, q0 + n); at.q < at.end; walk_on(&at, plan))
        for (ptrdiff_t r = 0; r < at.n; r++)
            h[at.q - q0 + r] =
                (pass->tape.u ? pass->tape.u : pass->tape.h) + (slot_of(plan, at.s) + at.r + r) * pass->shape->ld;
}

static void find_both(const void *source, ptrdiff_t q0, ptrdiff_t n, real **left, real **right[OUTER_SEGMENTS]) {
    const struct reverse_pass *pass = source;
    find_left(pass, q0, n, left);
    find_inputs(pass, q0, n, right);
    find_h(pass, q0, n, right[pass->input.segments]);
}

static void find_of_input(const void *source, ptrdiff_t q0, ptrdiff_t n, real **left, real **right[OUTER_SEGMENTS]) {
    find_left(source, q0, n, left);
    find_inputs(source, q0, n, right);
}

static void find_of_h(const void *source, ptrdiff_t q0, ptrdiff_t n, real **left, real **right[OUTER_SEGMENTS]) {
    find_left(source, q0, n, left);
    find_h(source, q0, n, right[0]);
}

/* The gradient of some columns of the weights, whose segments the caller sets. */
static struct outer gates_outer(const struct reverse_pass *pass, const int block[MAX_GATES], real *sums) {
    const struct shape *shape = pass->shape;
    struct outer outer = {
        .kernels = shape->kernels,
        .blocks = shape->cell.gates,
        .width = shape->H,
        .source = pass,
        .sums = sums,
        .panel = outer_panel_width(shape->kernels, shape->blas, shape->cell.gates * shape->H),
    };
    for (int gate = 0; gate < shape->cell.gates; gate++) outer.block[gate] = block[gate] * shape->ld;
    return outer;
}

/* Product `index` of those for the gradients of the weights. */
static struct outer outer_of(const struct reverse_pass *pass, int index) {
    const struct cell *cell = &pass->shape->cell;
    struct outer outer = gates_outer(pass, index ? cell->h_block : cell->x_block, pass->sums[index]);
    outer.find = !cell->two_sums ? find_both : index ? find_of_h : find_of_input;
    for (int i = 0; index == 0 && i < pass->input.segments; i++)
        outer.segment_width[outer.segments++] = pass->input.width[i];
    if (index || !cell->two_sums) outer.segment_width[outer.segments++] = pass->shape->H;
    return outer;
}

static void add_weights(const struct reverse_pass *pass) {
    const struct outer outer = outer_of(pass, 0);
    const ptrdiff_t width = input_width(&pass->input), H = pass->shape->H, M = outer_height(&outer);
    if (pass->plan->rows == 0) return;
    real *w_hh = pass->dropped ? pass->dropped : pass->grads->w_hh;
    outer_add_columns(&outer, pass->grads->w_ih, width, 0);
    if (pass->dropped) memset(w_hh, 0, (size_t)(M * H) * sizeof(real));
    if (pass->shape->cell.two_sums) {
        const struct outer second = outer_of(pass, 1);
        outer_add_ones(&outer, pass->grads->b, width, 0, M);
        outer_add_columns(&second, w_hh, H, 0);
        outer_add_ones(&second, pass->grads->b_hn, H, M - H, M);
    } else {
        outer_add_columns(&outer, w_hh, H, width);
        outer_add_ones(&outer, pass->grads->b, width + H, 0, M);
    }
    if (pass->dropped) add_dropped(pass->shape, pass->index, w_hh, pass->dh, pass->grads->w_hh);
}

/* Over the rows, in their order. */
static void add_peepholes(const struct reverse_pass *pass) {
    const ptrdiff_t rows = pass->shape->cell.form.peephole, H = pass->shape->H, ld = pass->shape->ld;
    for (ptrdiff_t r = 0; r < pass->plan->N; r++)
        for (ptrdiff_t row = 0; row < rows; row++) {
            real *restrict sum = (real *)pass->grads->peephole + row * H;
            const real *restrict own = pass->dpeephole + (r * rows + row) * ld;
            for (ptrdiff_t unit = 0; unit < H; unit++) sum[unit] += own[unit];
        }
}

/* ---- gradients by symbol ---- */

/* For each symbol from q0 on: the sum of its dz, and its vector. */
static void find_symbol_outer(const void *source, ptrdiff_t q0, ptrdiff_t n, real **left,
                              real **right[OUTER_SEGMENTS]) {
    const struct reverse_pass *pass = source;
    for (ptrdiff_t i = 0; i < n; i++) {
        left[i] = pass->by_symbol + (q0 + i) * pass->shape->row;
        right[0][i] = pass->vectors.base + (q0 + i) * pass->vectors.stride_t;
    }
}

static struct outer symbol_outer_of(const struct reverse_pass *pass) {
    struct outer outer = gates_outer(pass, pass->shape->cell.x_block, pass->sums[0]);
    outer.segments = 1;
    outer.segment_width[0] = pass->shape->I;
    outer.find = find_symbol_outer;
    return outer;
}

/* Adds elements [begin, end) of the dz of the steps [s0, s1) to those of their symbols. */
static void add_to_symbols(const struct reverse_pass *pass, struct backward_worker *worker, ptrdiff_t s0, ptrdiff_t s1,
                           ptrdiff_t begin, ptrdiff_t end) {
    const ptrdiff_t width = pass->shape->row;
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
            gates_times_blas(shape, n, width, layer->pass[d].tape.blocks + q0 * shape->row,
                             layer->pass[d].weights->w_ih, shape->cell.x_block, 0, worker->dx, width);
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
    for (int i = 0; i < layer->outers; i++) tasks += outer_tasks(&layer->shares[i]);
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
    const ptrdiff_t per_direction = weight_tasks(layer) / layer->shape->D, first = outer_tasks(&layer->shares[0]);
    const ptrdiff_t own = task % per_direction;
    const int index = own >= first;
    const struct outer outer = outer_of(&layer->pass[task / per_direction], index);
    const struct block block = outer_block(&layer->shares[index], index ? own - first : own);
    for (ptrdiff_t s1 = layer->s1, s0; s1 > layer->s0; s1 = s0) {
        s0 = chunk_start(plan, s1);
        outer_run(&outer, &layer->worker[worker].outer, &block, plan->start[s0], plan->start[s1], s1 < plan->T);
    }
}

static void sum_task(const struct backward_layer *layer, ptrdiff_t task, int worker) {
    const struct reverse_pass *pass = &layer->pass[task / layer->symbol_parts];
    const ptrdiff_t part = task % layer->symbol_parts, width = layer->shape->row;
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
            own->dz[d][i] = layer->pass[d].by_symbol + (first + i) * layer->shape->row;
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
        add_to_symbols(pass, &layer->worker[0], 0, layer->plan->T, 0, shape->row);
        outer_blas(&outer, &layer->worker[0].outer, &shape->runtime->blas, shape->num);
        if (layer->dvectors)
            gates_times_blas(shape, shape->num, shape->I, pass->by_symbol, pass->weights->w_ih, shape->cell.x_block, d,
                             layer->dvectors, shape->I);
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
