/* One direction of one layer, from its last step to the first: the recurrence of back-propagation through time. Included
 * by the files of one precision.
 *
 * A step turns the gates on the tape into dz in place and carries dc; dh is the product of the dz of the step after it
 * with w_hh, and is used where it arises. Rows are independent: a task takes a range of rows through a chunk of steps. */
#ifndef CLSTM_REVERSE_H
#define CLSTM_REVERSE_H

#include "../ground/blas.h"
#include "pass.h"

/* A matrix that is multiplied from the left by rows of gradients: `gates` blocks of `width` elements each, which start at
 * `at`. Of its columns, most are in panels, the last few that would not fill a vector narrow. */
struct reverse_weights {
    int gates;
    ptrdiff_t width, at[MAX_GATES];
    ptrdiff_t columns, narrow; /* of columns, the last `narrow` */
    real *panels[MAX_GATES];   /* by run */
    real *rest;                /* kernels.h, pack_narrow */
};

static int blocks_are_one(const struct reverse_weights *weights) {
    for (int gate = 1; gate < weights->gates; gate++)
        if (weights->at[gate] != weights->at[0] + gate * weights->width) return 0;
    return 1;
}

/* Blocks are multiplied in runs, each a term of the sums: one by one or, where they stand side by side and to begin a term
 * takes longer than to end it, as one. */
static int runs_of(const struct reverse_weights *weights) {
    enum { SHORT = 48 };
    return blocks_are_one(weights) && weights->width <= SHORT ? 1 : weights->gates;
}

static void set_reverse_columns(struct reverse_weights *weights, const struct shape *shape, ptrdiff_t columns) {
    enum { SUM_OF_LANES = 6 }; /* as dear as so many multiply-adds */
    const ptrdiff_t V = shape->kernels->lanes, rest = columns % V, gates = weights->gates;
    const ptrdiff_t vectors = gates * ((weights->width + V - 1) / V);
    const int narrow =
        !shape->blas && rest <= NARROW_COLUMNS && rest * (vectors + SUM_OF_LANES) < gates * weights->width;
    weights->columns = columns;
    weights->narrow = narrow ? rest : 0;
}

/* Rows of w_ih or w_hh for some gates, whose dz are in these blocks. */
static struct reverse_weights reverse_weights_of(const struct shape *shape, const int *block, int gates,
                                                 ptrdiff_t columns) {
    struct reverse_weights weights = {.gates = gates, .width = shape->H};
    for (int gate = 0; gate < gates; gate++) weights.at[gate] = block[gate] * shape->ld;
    set_reverse_columns(&weights, shape, columns);
    return weights;
}

/* What the second stage of a step multiplies: the rows of w_hh for the late gates, or w_hr. */
static struct reverse_weights inner_weights_of(const struct shape *shape) {
    const struct cell *cell = &shape->cell;
    if (!cell->form.projects)
        return reverse_weights_of(shape, cell->h_block + cell->gates - cell->late, cell->late, shape->H);
    struct reverse_weights weights = {.gates = 1, .width = shape->R};
    set_reverse_columns(&weights, shape, shape->H);
    return weights;
}

static const real *inner_matrix(const struct shape *shape, const clstm_weights *weights) {
    const ptrdiff_t early = shape->cell.gates - shape->cell.late;
    return shape->cell.form.projects ? weights->w_hr : (const real *)weights->w_hh + early * shape->H * shape->R;
}

static void reverse_weights_lay_out(struct reverse_weights *weights, struct arena *arena, const struct shape *shape) {
    const int runs = runs_of(weights);
    const ptrdiff_t packed = shape->blas ? 0 : weights->gates * weights->width / runs;
    for (int run = 0; run < runs; run++)
        weights->panels[run] = arena_take(arena, times(packed, padded(weights->columns)), sizeof(real));
    weights->rest = arena_take(arena, times(weights->narrow, weights->gates * padded(weights->width)), sizeof(real));
}

enum { REVERSE_PARTS = MAX_GATES + 1 };

/* One part of packing w [gates width, columns]: the panels of a run, or what is narrow. */
static void pack_reverse(const struct shape *shape, const struct reverse_weights *weights, const real *w, int part) {
    const int runs = runs_of(weights);
    const ptrdiff_t columns = weights->columns, wide = columns - weights->narrow,
                    k = weights->gates * weights->width / runs;
    if (part < runs) shape->kernels->pack_columns(weights->panels[part], w + part * k * columns, columns, k, wide);
    else if (part == REVERSE_PARTS - 1)
        shape->kernels->pack_narrow(weights->rest, w + wide, columns, weights->gates, weights->width, weights->narrow);
}

/* Rows of gradients times the panels: adds the terms of a sum, and returns how many. */
static int add_reverse_terms(struct term *terms, const struct shape *shape, const struct reverse_weights *weights,
                             real *const *rows) {
    const int runs = runs_of(weights);
    const ptrdiff_t panel = shape->kernels->product_vectors * shape->kernels->lanes;
    const ptrdiff_t k = weights->gates * weights->width / runs;
    for (int run = 0; run < runs; run++)
        terms[run] = (struct term){(const real *const *)rows, weights->at[run], 1, k, weights->panels[run], k * panel};
    return runs;
}

/* Products that give the gradients of a cell's weights, at most. */
enum { MAX_PRODUCTS = 3 };

struct reverse_pass {
    const struct shape *shape;
    const struct plan *plan;
    ptrdiff_t index; /* of layer and direction */
    ptrdiff_t bptt;  /* steps after which nothing goes further back; 0: all the way */
    int reverse;
    int split; /* threads that share the units of a step; 1: none, ranges of rows go to threads */
    struct layer_tape tape;
    struct cell_form form;
    struct input input;            /* what the layer read */
    struct located dy;             /* gradient of its outputs: the first elements of each row; base NULL: zero */
    struct located flow_h, flow_c; /* out: the whole gradients of its states; base NULL: not wanted */
    const clstm_weights *weights;
    const clstm_gradients *grads;
    struct reverse_weights recurrent, from_input; /* w_hh, of the first stage forward, and w_ih */
    struct reverse_weights inner;                 /* of the second stage */
    real *dh, *dc;                                /* [N, ld_h], [N, ld]; dc NULL: the cell has no c */
    real *direct;                                 /* [N, ld_h]: dh that comes past the products, or NULL */
    real *dm;                                     /* [N, ld]: results of the second stage, or NULL */
    real *peephole, *dpeephole;                   /* [rows, ld], [N, rows, ld] */
    real *norm, *dnorm;                           /* cell.h, NORM_GAIN_X; the second for each of N rows; or NULL */
    real *mask, *dropped;                         /* of recurrent dropout; w_hh after weight drop; or NULL */
    real *sums[MAX_PRODUCTS];                     /* gradients of the weights so far (outer.h) */
    struct located vectors;                       /* of the symbols that the layer read; base NULL: it read none */
    real *by_symbol;                              /* sum of dz of each symbol, [num, x_row] */
};

struct reverse_scratch {
    real **dz, **dy, **dh, **inner, **dm, **flow_h, **flow_c;
    real *zone_h, *zone_c; /* masks of zoneout of a step */
};

static void reverse_scratch_lay_out(struct reverse_scratch *scratch, struct arena *arena, const struct shape *shape,
                                    const struct plan *plan) {
    const ptrdiff_t rows = chunk_capacity(plan);
    scratch->dz = arena_take(arena, rows, sizeof(real *));
    scratch->dy = arena_take(arena, rows, sizeof(real *));
    scratch->dh = arena_take(arena, rows, sizeof(real *));
    scratch->inner = arena_take(arena, rows, sizeof(real *));
    scratch->dm = arena_take(arena, rows, sizeof(real *));
    scratch->flow_h = arena_take(arena, rows, sizeof(real *));
    scratch->flow_c = arena_take(arena, rows, sizeof(real *));
    scratch->zone_h = zone_lay_out(arena, shape, plan, CLSTM_NOISE_ZONE_H);
    scratch->zone_c = zone_lay_out(arena, shape, plan, CLSTM_NOISE_ZONE_C);
}

/* C [n, columns] = rows of gradients, lda apart, times W: one product, or one for each block where these stand apart. */
static void gates_times_blas(const struct shape *shape, const struct reverse_weights *weights, ptrdiff_t n,
                             const real *rows, ptrdiff_t lda, const real *w, double beta, real *c, ptrdiff_t ldc) {
    const clstm_dtype dtype = sizeof(real) == sizeof(float) ? CLSTM_F32 : CLSTM_F64;
    const ptrdiff_t calls = blocks_are_one(weights) ? 1 : weights->gates, columns = weights->columns,
                    k = weights->gates * weights->width / calls;
    for (ptrdiff_t i = 0; i < calls; i++)
        clstm_gemm_row_major(&shape->runtime->blas, dtype, n, columns, k,
                             (clstm_matrix){rows + weights->at[i], lda, CLSTM_PLAIN},
                             (clstm_matrix){w + i * k * columns, columns, CLSTM_PLAIN}, i ? 1 : beta, c, ldc);
}

/* The narrow columns of C = sum over directions of rows of gradients times W. */
static void multiply_rest(const struct shape *shape, ptrdiff_t n, int directions, real *const *const *rows,
                          const struct reverse_weights *const *weights, real *const *c) {
    if (weights[0]->narrow == 0) return;
    const ptrdiff_t V = shape->kernels->lanes;
    struct narrow_product product = {
        .rows = n,
        .columns = weights[0]->narrow,
        .first = weights[0]->columns - weights[0]->narrow,
        .terms = directions,
        .c = c,
    };
    for (int d = 0; d < directions; d++) {
        product.term[d].rows = (const real *const *)rows[d];
        product.term[d].b = weights[d]->rest;
        product.term[d].runs = weights[d]->gates;
        product.term[d].run = (weights[d]->width + V - 1) / V;
        memcpy(product.term[d].start, weights[d]->at, sizeof weights[d]->at);
    }
    shape->kernels->narrow_product(&product);
}

static real *dz_of(const struct reverse_pass *pass, ptrdiff_t s, ptrdiff_t r) {
    return pass->tape.blocks + (pass->plan->start[s] + r) * pass->shape->row;
}

static real *dh_of(const struct reverse_pass *pass, ptrdiff_t s, ptrdiff_t r) {
    return pass->tape.dh + (pass->plan->start[s] + r) * pass->shape->ld_h;
}

static void list_rows(real **rows, real *first, ptrdiff_t ld, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) rows[i] = first + i * ld;
}

/* dh of the rows [r0, r0 + n) = dz of step s times w_hh, to memory. */
static void carry(const struct reverse_pass *pass, struct reverse_scratch *scratch, ptrdiff_t s, ptrdiff_t r0,
                  ptrdiff_t n) {
    const struct shape *shape = pass->shape;
    const struct kernels *kernels = shape->kernels;
    const struct reverse_weights *recurrent = &pass->recurrent;
    real *dh = pass->dh + r0 * shape->ld_h;
    if (shape->blas) {
        gates_times_blas(shape, recurrent, n, dz_of(pass, s, r0), shape->row, pass->weights->w_hh, 0, dh, shape->ld_h);
        return;
    }
    list_rows(scratch->dz, dz_of(pass, s, r0), shape->row, n);
    list_rows(scratch->dh, dh, shape->ld_h, n);
    struct product product = {.rows = n, .c = scratch->dh};
    set_columns(&product, kernels, shape->R - recurrent->narrow);
    product.terms = add_reverse_terms(product.term, shape, recurrent, scratch->dz);
    kernels->product(&product, all_panels(product.panels));
    multiply_rest(shape, n, 1, (real *const *[]){scratch->dz}, &recurrent, scratch->dh);
}

/* What is the same in all steps of a range of rows, of one stage. */
static struct cell_backward prepare_backward(const struct reverse_pass *pass, int index) {
    const struct shape *shape = pass->shape;
    const ptrdiff_t units = index ? shape->H : shape->R;
    return (struct cell_backward){
        .fused = {.units = units, .rest_ld = padded(units), .finish = shape->cell.backward[index]},
        .units = shape->H,
        .hidden = shape->R,
        .ld = shape->ld,
        .ld_h = shape->ld_h,
        .form = pass->form,
        .limits = shape->limits,
        .peephole = pass->peephole,
        .norm = pass->norm,
    };
}

/* What the end of a tile will read: one block before each term of the sums. */
static void await_backward(struct cell_backward *step) {
    struct fused *fused = &step->fused;
    if (step->hidden <= TIME_TO_ARRIVE || step->form.first) return;
    for (int b = 0; b < step->form.blocks; b++)
        fused->await[fused->awaited++] =
            (struct awaited){b < fused->terms ? b : 0, step->blocks + b * step->ld, step->form.blocks * step->ld, NULL};
    if (step->c_prev) fused->await[fused->awaited++] = (struct awaited){fused->terms > 1, step->c_prev, step->ld, NULL};
    if (step->dy) fused->await[fused->awaited++] = (struct awaited){fused->terms > 2 ? 2 : 0, .rows = step->dy};
}

/* Where the caller wants to see the gradients of the states after step s. */
static void find_flow(const struct reverse_pass *pass, struct reverse_scratch *scratch, ptrdiff_t s, ptrdiff_t r0,
                      ptrdiff_t n) {
    if (pass->flow_h.base) find_rows(&pass->flow_h, pass->plan, pass->reverse, s, r0, n, scratch->flow_h);
    if (pass->flow_c.base) find_rows(&pass->flow_c, pass->plan, pass->reverse, s, r0, n, scratch->flow_c);
}

/* Where step s of the rows from r0 on reads and writes. */
static void aim_backward(const struct reverse_pass *pass, const struct reverse_scratch *scratch,
                         struct cell_backward *step, ptrdiff_t s, ptrdiff_t r0) {
    const struct shape *shape = pass->shape;
    const struct plan *plan = pass->plan;
    const ptrdiff_t at = r0 * shape->ld, at_h = r0 * shape->ld_h;
    const ptrdiff_t before = slot_of(plan, s) + r0, after = slot_of(plan, s + 1) + r0;
    step->blocks = dz_of(pass, s, r0);
    step->h_prev = pass->tape.h + before * shape->ld_h;
    step->u_prev = (pass->tape.u ? pass->tape.u : pass->tape.h) + before * shape->ld_h;
    if (shape->cell.has_c) {
        step->c_prev = pass->tape.c + before * shape->ld;
        step->c = pass->tape.c + after * shape->ld;
        step->dc = pass->dc + at;
    }
    step->direct = pass->direct ? pass->direct + at_h : NULL;
    step->dy = pass->dy.base ? (const real *const *)scratch->dy : NULL;
    step->mask = pass->mask ? pass->mask + at_h : NULL;
    step->zone_h = scratch->zone_h, step->zone_c = scratch->zone_c;
    step->dpeephole = pass->dpeephole + at * shape->cell.form.peephole;
    step->flow_h = pass->flow_h.base ? scratch->flow_h : NULL;
    step->flow_c = pass->flow_c.base ? scratch->flow_c : NULL;
    step->dm = pass->dm ? pass->dm + at : NULL;
    step->dh = shape->cell.form.projects ? dh_of(pass, s, r0) : step->dm;
    if (!shape->cell.norm) return;
    step->scales = pass->tape.scales + (plan->start[s] + r0) * SCALES;
    step->dnorm = pass->dnorm + r0 * norm_elements(shape->cell.gates, shape->ld);
}

/* Lets the sums of n rows be the products of rows of gradients with a matrix; `rest` is where its narrow columns go. */
static void sum_products(struct fused *fused, const struct shape *shape, const struct reverse_weights *weights,
                         real *const *rows, real *const *rest, ptrdiff_t n) {
    fused->terms = add_reverse_terms(fused->term, shape, weights, rows);
    fused->first_unit = weights->columns - weights->narrow;
    fused->panels = product_panels(shape->kernels, fused->first_unit);
    multiply_rest(shape, n, 1, (real *const *[]){rows}, &weights, rest);
}

/* Lets them be what stands in memory. */
static void take_from_memory(struct fused *fused) {
    fused->terms = fused->awaited = 0;
    fused->first_unit = 0;
    fused->panels = (struct panels){0};
}

static void run_backward(const struct reverse_pass *pass, const struct fused *fused, ptrdiff_t s,
                         struct clstm_team *team) {
    struct shared_step shared = {pass->shape->kernels, fused, all_panels(fused->panels),
                                 fused->terms ? pass->split : 1};
    shared.range.backwards = fused->rows <= FEW_ROWS && (s & 1);
    clstm_team_share(team, shared.parts, shared_step_task, &shared);
}

/* The gradient of h: from the dz of step s + 1 if `carried`, else from memory. */
static void first_stage(const struct reverse_pass *pass, struct reverse_scratch *scratch, struct cell_backward *step,
                        ptrdiff_t s, ptrdiff_t r0, ptrdiff_t n, int carried, struct clstm_team *team) {
    const struct shape *shape = pass->shape;
    struct fused *fused = &step->fused;
    fused->rows = n;
    fused->rest = pass->dh + r0 * shape->ld_h;
    take_from_memory(fused);
    if (carried && shape->blas) carry(pass, scratch, s + 1, r0, n);
    else if (carried) {
        list_rows(scratch->dz, dz_of(pass, s + 1, r0), shape->row, n);
        list_rows(scratch->dh, pass->dh + r0 * shape->ld_h, shape->ld_h, n);
        sum_products(fused, shape, &pass->recurrent, scratch->dz, scratch->dh, n);
        await_backward(step);
    }
    run_backward(pass, fused, s, team);
}

/* Products with what the first stage has found: dz of the late gates, or the gradient of h. */
static void second_stage(const struct reverse_pass *pass, struct reverse_scratch *scratch, struct cell_backward *step,
                         ptrdiff_t s, ptrdiff_t n, struct clstm_team *team) {
    const struct shape *shape = pass->shape;
    const struct cell *cell = &shape->cell;
    struct fused *fused = &step->fused;
    real *rows = cell->form.projects ? step->dh : step->blocks;
    const ptrdiff_t ld = cell->form.projects ? shape->ld_h : shape->row;
    fused->rows = n;
    fused->rest = step->dm;
    take_from_memory(fused);
    if (shape->blas) {
        gates_times_blas(shape, &pass->inner, n, rows, ld, inner_matrix(shape, pass->weights), 0, step->dm, shape->ld);
    } else {
        list_rows(scratch->inner, rows, ld, n);
        list_rows(scratch->dm, step->dm, shape->ld, n);
        sum_products(fused, shape, &pass->inner, scratch->inner, scratch->dm, n);
    }
    run_backward(pass, fused, s, team);
}

/* The blocks of step s become dz in the rows [r0, r0 + n). */
static void reverse_step(const struct reverse_pass *pass, struct reverse_scratch *scratch, struct cell_backward step[2],
                         ptrdiff_t s, ptrdiff_t r0, ptrdiff_t n, int carried, struct clstm_team *team) {
    const struct shape *shape = pass->shape;
    const struct plan *plan = pass->plan;
    if (n <= 0) return;
    if (pass->dy.base) find_rows(&pass->dy, plan, pass->reverse, s, r0, n, scratch->dy);
    if (scratch->zone_h) draw_rows(shape, plan, CLSTM_NOISE_ZONE_H, pass->index, s, r0, n, scratch->zone_h);
    if (scratch->zone_c) draw_rows(shape, plan, CLSTM_NOISE_ZONE_C, pass->index, s, r0, n, scratch->zone_c);
    if (shape->cell.form.flow) find_flow(pass, scratch, s, r0, n);
    for (int i = 0; i < shape->stages; i++) aim_backward(pass, scratch, &step[i], s, r0);
    first_stage(pass, scratch, step, s, r0, n, carried, team);
    if (shape->stages > 1) second_stage(pass, scratch, &step[1], s, n, team);
    if (!shape->cell.norm) return;
    const ptrdiff_t parts = n < pass->split ? n : pass->split;
    struct shared_rows rows = {.cell = &shape->cell, .backward = step, .rows = n, .parts = parts};
    clstm_team_share(team, parts, shared_rows_task, &rows);
}

/* The gradient of h0: the mask that it met, and what came past the products. */
static void add_direct(const struct reverse_pass *pass) {
    const ptrdiff_t count = pass->plan->N * pass->shape->ld_h;
    for (ptrdiff_t i = 0; pass->mask && i < count; i++) pass->dh[i] *= pass->mask[i];
    for (ptrdiff_t i = 0; pass->direct && i < count; i++) pass->dh[i] += pass->direct[i];
}

/* Forgets what the rows [r0, r0 + n) would hand back. */
static void cut(const struct reverse_pass *pass, ptrdiff_t r0, ptrdiff_t n) {
    const ptrdiff_t ld[] = {pass->shape->ld_h, pass->shape->ld, pass->shape->ld_h};
    real *const carried[] = {pass->dh, pass->dc, pass->direct};
    for (int i = 0; i < 3; i++)
        if (carried[i] && n > 0) memset(carried[i] + r0 * ld[i], 0, (size_t)(n * ld[i]) * sizeof(real));
}

/* The steps [s0, s1) of a range of rows, from the last to the first; after step 0, dh becomes that of the start. */
static void reverse_rows(const struct reverse_pass *pass, struct reverse_scratch *scratch, struct range range,
                         ptrdiff_t s0, ptrdiff_t s1, struct clstm_team *team) {
    const struct plan *plan = pass->plan;
    struct cell_backward step[2];
    for (int i = 0; i < pass->shape->stages; i++) step[i] = prepare_backward(pass, i);
    for (ptrdiff_t s = s1 - 1; s >= s0; s--) {
        const ptrdiff_t n = rows_alive(plan, range, s), longer = s + 1 < plan->T ? rows_alive(plan, range, s + 1) : 0;
        const int is_cut = pass->bptt && (s + 1) % pass->bptt == 0;
        if (is_cut) cut(pass, range.r0, longer);
        reverse_step(pass, scratch, step, s, range.r0, longer, !is_cut, team);
        reverse_step(pass, scratch, step, s, range.r0 + longer, n - longer, 0, team);
    }
    const ptrdiff_t n = rows_alive(plan, range, 0);
    if (s0 == 0 && n > 0) carry(pass, scratch, 0, range.r0, n);
}

#endif
