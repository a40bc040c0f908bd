/* One direction of one layer, from its last step to the first: the recurrence of back-propagation through time. Included
 * by the files of one precision.
 *
 * A step turns the gates on the tape into dz in place and carries dc; dh is the product of the dz of the step after it
 * with w_hh, and is used where it arises. Rows are independent: a task takes a range of rows through a chunk of steps. */
#ifndef CLSTM_REVERSE_H
#define CLSTM_REVERSE_H

#include "pass.h"

/* The columns of a matrix that is multiplied by dz: most in panels, the last few that would not fill a vector narrow. */
struct reverse_weights {
    ptrdiff_t columns, narrow; /* of columns, the last `narrow` */
    const int *block;          /* of dz: of the cell, those for this matrix */
    real *panels[MAX_GATES];   /* by run */
    real *rest;                /* kernels.h, pack_narrow */
};

/* dz of a row is multiplied in runs, each a term of the sums: gate by gate or, where the gates stand side by side and
 * to begin a term takes longer than to end it, as one. */
static int runs_of(const struct shape *shape, const int block[MAX_GATES]) {
    enum { SHORT = 48 };
    return side_by_side(shape, block) && shape->H <= SHORT ? 1 : shape->cell.gates;
}

static struct reverse_weights reverse_weights_of(const struct shape *shape, ptrdiff_t columns, const int *block) {
    enum { SUM_OF_LANES = 6 }; /* as dear as so many multiply-adds */
    const ptrdiff_t V = shape->kernels->lanes, rest = columns % V, gates = shape->cell.gates;
    const ptrdiff_t vectors = gates * ((shape->H + V - 1) / V);
    const int narrow = !shape->blas && rest <= NARROW_COLUMNS && rest * (vectors + SUM_OF_LANES) < gates * shape->H;
    return (struct reverse_weights){.columns = columns, .narrow = narrow ? rest : 0, .block = block};
}

static void reverse_weights_lay_out(struct reverse_weights *weights, struct arena *arena, const struct shape *shape) {
    const int runs = runs_of(shape, weights->block);
    const ptrdiff_t packed = shape->blas ? 0 : shape->cell.gates * shape->H / runs;
    for (int run = 0; run < runs; run++)
        weights->panels[run] = arena_take(arena, times(packed, padded(weights->columns)), sizeof(real));
    weights->rest = arena_take(arena, times(weights->narrow, shape->cell.gates * shape->ld), sizeof(real));
}

enum { REVERSE_PARTS = MAX_GATES + 1 };

/* One part of packing w [G H, columns]: the panels of a run, or what is narrow. */
static void pack_reverse(const struct shape *shape, const struct reverse_weights *weights, const real *w, int part) {
    const int gates = shape->cell.gates, runs = runs_of(shape, weights->block);
    const ptrdiff_t columns = weights->columns, wide = columns - weights->narrow, k = gates * shape->H / runs;
    if (part < runs) shape->kernels->pack_columns(weights->panels[part], w + part * k * columns, columns, k, wide);
    else if (part == REVERSE_PARTS - 1)
        shape->kernels->pack_narrow(weights->rest, w + wide, columns, gates, shape->H, weights->narrow);
}

/* dz times the panels of one direction: adds the terms of a sum, and returns how many. */
static int add_reverse_terms(struct term *terms, const struct shape *shape, const struct reverse_weights *weights,
                             real *const *dz) {
    const int runs = runs_of(shape, weights->block);
    const ptrdiff_t width = shape->kernels->product_vectors * shape->kernels->lanes;
    const ptrdiff_t k = shape->cell.gates * shape->H / runs;
    for (int run = 0; run < runs; run++)
        terms[run] = (struct term){
            (const real *const *)dz, weights->block[run] * shape->ld, 1, k, weights->panels[run], k * width};
    return runs;
}

struct reverse_pass {
    const struct shape *shape;
    const struct plan *plan;
    ptrdiff_t index; /* of layer and direction */
    ptrdiff_t bptt;  /* steps after which nothing goes further back; 0: all the way */
    int reverse;
    int split; /* threads that share the units of a step; 1: none, ranges of rows go to threads */
    struct layer_tape tape;
    struct input input; /* what the layer read */
    struct located dy;  /* gradient of its outputs: H elements of each row; base NULL: zero */
    const clstm_weights *weights;
    const clstm_gradients *grads;
    struct reverse_weights recurrent, from_input; /* w_hh and w_ih */
    real *dh, *dc;                                /* [N, ld]; dc NULL: the cell has no c */
    real *direct;                                 /* [N, ld]: dh that comes past the products, or NULL */
    real *peephole, *dpeephole;                   /* [rows, ld], [N, rows, ld] */
    real *mask, *dropped;                         /* of recurrent dropout; w_hh after weight drop; or NULL */
    real *sums[2];                                /* gradients of the weights so far (outer.h) */
    struct located vectors;                       /* of the symbols that the layer read; base NULL: it read none */
    real *by_symbol;                              /* sum of dz of each symbol, [num, row] */
};

struct reverse_scratch {
    real **dz, **dy, **dh;
    real *zone_h, *zone_c; /* masks of zoneout of a step */
};

static void reverse_scratch_lay_out(struct reverse_scratch *scratch, struct arena *arena, const struct shape *shape,
                                    const struct plan *plan) {
    const ptrdiff_t rows = chunk_capacity(plan);
    scratch->dz = arena_take(arena, rows, sizeof(real *));
    scratch->dy = arena_take(arena, rows, sizeof(real *));
    scratch->dh = arena_take(arena, rows, sizeof(real *));
    scratch->zone_h = zone_lay_out(arena, shape, plan, CLSTM_NOISE_ZONE_H);
    scratch->zone_c = zone_lay_out(arena, shape, plan, CLSTM_NOISE_ZONE_C);
}

/* C [n, width] = dz W, W [G H, ldw]: one product, or one for each gate that are added where these stand apart. */
static void gates_times_blas(const struct shape *shape, ptrdiff_t n, ptrdiff_t width, const real *dz, const real *w,
                             const int block[MAX_GATES], double beta, real *c, ptrdiff_t ldc) {
    const clstm_dtype dtype = sizeof(real) == sizeof(float) ? CLSTM_F32 : CLSTM_F64;
    const ptrdiff_t calls = side_by_side(shape, block) ? 1 : shape->cell.gates,
                    k = shape->cell.gates * shape->H / calls;
    for (ptrdiff_t i = 0; i < calls; i++)
        clstm_gemm_row_major(&shape->runtime->blas, dtype, n, width, k,
                             (clstm_matrix){dz + block[i] * shape->ld, shape->row, CLSTM_PLAIN},
                             (clstm_matrix){w + i * k * width, width, CLSTM_PLAIN}, i ? 1 : beta, c, ldc);
}

/* The narrow columns of C = sum over directions of dz W. */
static void multiply_rest(const struct shape *shape, ptrdiff_t n, int directions, real *const *const *dz,
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
        product.term[d].rows = (const real *const *)dz[d];
        product.term[d].b = weights[d]->rest;
        product.term[d].runs = shape->cell.gates;
        product.term[d].run = (shape->H + V - 1) / V;
        for (int gate = 0; gate < shape->cell.gates; gate++)
            product.term[d].start[gate] = weights[d]->block[gate] * shape->ld;
    }
    shape->kernels->narrow_product(&product);
}

static real *dz_of(const struct reverse_pass *pass, ptrdiff_t s, ptrdiff_t r) {
    return pass->tape.blocks + (pass->plan->start[s] + r) * pass->shape->row;
}

static void find_dz(const struct reverse_pass *pass, struct reverse_scratch *scratch, ptrdiff_t s, ptrdiff_t r0,
                    ptrdiff_t n) {
    const ptrdiff_t ld = pass->shape->ld;
    for (ptrdiff_t i = 0; i < n; i++) {
        scratch->dz[i] = dz_of(pass, s, r0 + i);
        scratch->dh[i] = pass->dh + (r0 + i) * ld;
    }
}

/* dh of the rows [r0, r0 + n) = dz of step s times w_hh, to memory. */
static void carry(const struct reverse_pass *pass, struct reverse_scratch *scratch, ptrdiff_t s, ptrdiff_t r0,
                  ptrdiff_t n) {
    const struct shape *shape = pass->shape;
    const struct kernels *kernels = shape->kernels;
    const struct reverse_weights *recurrent = &pass->recurrent;
    if (shape->blas) {
        gates_times_blas(shape, n, shape->H, dz_of(pass, s, r0), pass->weights->w_hh, shape->cell.h_block, 0,
                         pass->dh + r0 * shape->ld, shape->ld);
        return;
    }
    find_dz(pass, scratch, s, r0, n);
    struct product product = {.rows = n, .c = scratch->dh};
    set_columns(&product, kernels, shape->H - recurrent->narrow);
    product.terms = add_reverse_terms(product.term, shape, recurrent, scratch->dz);
    kernels->product(&product, all_panels(product.panels));
    multiply_rest(shape, n, 1, (real *const *[]){scratch->dz}, &recurrent, scratch->dh);
}

/* What is the same in all steps of a range of rows. */
static struct cell_backward prepare_backward(const struct reverse_pass *pass) {
    const struct shape *shape = pass->shape;
    return (struct cell_backward){
        .fused = {.units = shape->H,
                  .rest_ld = shape->ld,
                  .finish = shape->cell_kernels->backward[shape->cell.general]},
        .hidden = shape->H,
        .ld = shape->ld,
        .form = shape->cell.form,
        .limits = shape->limits,
        .peephole = pass->peephole,
    };
}

/* What the end of a tile will read: one block before each term of the sums. */
static void await_backward(struct cell_backward *step) {
    struct fused *fused = &step->fused;
    if (step->hidden <= TIME_TO_ARRIVE) return;
    for (int b = 0; b < step->form.blocks; b++)
        fused->await[fused->awaited++] =
            (struct awaited){b < fused->terms ? b : 0, step->blocks + b * step->ld, step->form.blocks * step->ld, NULL};
    if (step->c_prev) fused->await[fused->awaited++] = (struct awaited){fused->terms > 1, step->c_prev, step->ld, NULL};
    if (step->dy) fused->await[fused->awaited++] = (struct awaited){fused->terms > 2 ? 2 : 0, .rows = step->dy};
}

/* The blocks of step s become dz in the rows [r0, r0 + n). Their dh comes from the dz of step s + 1 if `carried`, else
 * from memory. */
static void reverse_step(const struct reverse_pass *pass, struct reverse_scratch *scratch, struct cell_backward *step,
                         ptrdiff_t s, ptrdiff_t r0, ptrdiff_t n, int carried, struct clstm_team *team) {
    const struct shape *shape = pass->shape;
    const struct plan *plan = pass->plan;
    const ptrdiff_t first = r0 * shape->ld;
    const ptrdiff_t before = slot_of(plan, s) * shape->ld + first, after = slot_of(plan, s + 1) * shape->ld + first;
    if (n <= 0) return;
    if (carried && shape->blas) {
        carry(pass, scratch, s + 1, r0, n);
        carried = 0;
    }
    if (pass->dy.base) find_rows(&pass->dy, plan, pass->reverse, s, r0, n, scratch->dy);
    struct fused *fused = &step->fused;
    fused->rows = n;
    fused->rest = pass->dh + first;
    fused->terms = fused->awaited = 0;
    fused->first_unit = 0;
    fused->panels = (struct panels){0};
    step->blocks = dz_of(pass, s, r0);
    step->h_prev = pass->tape.h + before;
    if (shape->cell.has_c) {
        step->c_prev = pass->tape.c + before;
        step->c = pass->tape.c + after;
        step->dc = pass->dc + first;
    }
    step->direct = pass->direct ? pass->direct + first : NULL;
    step->dy = pass->dy.base ? (const real *const *)scratch->dy : NULL;
    step->mask = pass->mask ? pass->mask + first : NULL;
    if (scratch->zone_h) draw_rows(shape, plan, CLSTM_NOISE_ZONE_H, pass->index, s, r0, n, scratch->zone_h);
    if (scratch->zone_c) draw_rows(shape, plan, CLSTM_NOISE_ZONE_C, pass->index, s, r0, n, scratch->zone_c);
    step->zone_h = scratch->zone_h, step->zone_c = scratch->zone_c;
    step->dpeephole = pass->dpeephole + first * shape->cell.form.peephole;
    if (carried) {
        const struct reverse_weights *recurrent = &pass->recurrent;
        find_dz(pass, scratch, s + 1, r0, n);
        fused->terms = add_reverse_terms(fused->term, shape, recurrent, scratch->dz);
        fused->first_unit = recurrent->narrow ? shape->H - recurrent->narrow : shape->H;
        fused->panels = product_panels(shape->kernels, fused->first_unit);
        multiply_rest(shape, n, 1, (real *const *[]){scratch->dz}, &recurrent, scratch->dh);
        await_backward(step);
    }
    struct shared_step shared = {shape->kernels, fused, all_panels(fused->panels), carried ? pass->split : 1};
    shared.range.backwards = n <= FEW_ROWS && (s & 1);
    clstm_team_share(team, shared.parts, shared_step_task, &shared);
}

/* The gradient of h0: the mask that it met, and what came past the products. */
static void add_direct(const struct reverse_pass *pass) {
    for (ptrdiff_t i = 0; pass->mask && i < pass->plan->N * pass->shape->ld; i++) pass->dh[i] *= pass->mask[i];
    for (ptrdiff_t i = 0; pass->direct && i < pass->plan->N * pass->shape->ld; i++) pass->dh[i] += pass->direct[i];
}

/* Forgets what the rows [r0, r0 + n) would hand back. */
static void cut(const struct reverse_pass *pass, ptrdiff_t r0, ptrdiff_t n) {
    const ptrdiff_t ld = pass->shape->ld;
    real *const carried[] = {pass->dh, pass->dc, pass->direct};
    for (int i = 0; i < 3; i++)
        if (carried[i] && n > 0) memset(carried[i] + r0 * ld, 0, (size_t)(n * ld) * sizeof(real));
}

/* The steps [s0, s1) of a range of rows, from the last to the first; after step 0, dh becomes that of the start. */
static void reverse_rows(const struct reverse_pass *pass, struct reverse_scratch *scratch, struct range range,
                         ptrdiff_t s0, ptrdiff_t s1, struct clstm_team *team) {
    const struct plan *plan = pass->plan;
    struct cell_backward step = prepare_backward(pass);
    for (ptrdiff_t s = s1 - 1; s >= s0; s--) {
        const ptrdiff_t n = rows_alive(plan, range, s), longer = s + 1 < plan->T ? rows_alive(plan, range, s + 1) : 0;
        const int is_cut = pass->bptt && (s + 1) % pass->bptt == 0;
        if (is_cut) cut(pass, range.r0, longer);
        reverse_step(pass, scratch, &step, s, range.r0, longer, !is_cut, team);
        reverse_step(pass, scratch, &step, s, range.r0 + longer, n - longer, 0, team);
    }
    const ptrdiff_t n = rows_alive(plan, range, 0);
    if (s0 == 0 && n > 0) carry(pass, scratch, 0, range.r0, n);
}

#endif
