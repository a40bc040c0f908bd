/* One direction of one layer, forward in its own order of steps: what it works on, where its states stand, and how its
 * rows and units are shared by threads. Included by the files of one precision.
 *
 * Rows of a batch never meet, so a task takes a range of rows through all steps, without waiting for others. */
#ifndef CLSTM_PASS_H
#define CLSTM_PASS_H

#include "cell_step.h"
#include "noise.h"

/* Operations of a step that are worth another thread. */
enum { SPLIT_OPERATIONS = 50000 };

/* Few rows stream the weights through the caches and use each of them but once or twice: then every other step goes
 * through them from the end. With more rows, the order of memory is worth more. */
enum { FEW_ROWS = 12 };

/* Slots of a tape, or for inference two of h, one of c and of the inner rows that are used again and again. What there is
 * none of is NULL. */
struct slots {
    int ring;
    real *h, *c, *u, *inner;
    real *blocks, *scales; /* not in a ring */
};

struct pass {
    const struct shape *shape;
    const struct plan *plan;
    ptrdiff_t index; /* of layer and direction */
    int reverse;
    int split; /* threads that share the units of a step; 1: none, ranges of rows go to threads */
    struct input input;
    real *table; /* z of each symbol, [num, row], where the input is the vectors of the symbols; else NULL */
    const clstm_weights *weights;
    real *mask; /* of recurrent dropout, [N, ld], or NULL */
    struct packed_cell packed;
    struct slots slots;
    struct cell_form form;
    struct located output; /* the first elements of its rows; base NULL: none */
};

/* Addresses of rows, and the z of one chunk where there are no gates to put it in. */
struct pass_scratch {
    real **input[2], **h, **inner, **z_rows, **y;
    real *z;
    real *zone_h, *zone_c; /* masks of zoneout of a step */
    real *gathered;        /* BLAS: the input rows of a chunk, side by side */
};

/* NULL: nothing to draw. */
static inline real *zone_lay_out(struct arena *arena, const struct shape *shape, const struct plan *plan,
                                 clstm_noise_kind kind) {
    return has_noise(shape, kind) ? arena_take(arena, times(plan->N, padded(noise_width(shape, kind))), sizeof(real))
                                  : NULL;
}

static inline ptrdiff_t chunk_capacity(const struct plan *plan) { return plan->N > CHUNK ? plan->N : CHUNK; }

static inline void pass_lay_out(struct pass_scratch *scratch, struct arena *arena, const struct shape *shape,
                                const struct plan *plan, int ring) {
    const ptrdiff_t rows = chunk_capacity(plan);
    for (int i = 0; i < 2; i++) scratch->input[i] = arena_take(arena, rows, sizeof(real *));
    scratch->h = arena_take(arena, rows, sizeof(real *));
    scratch->inner = arena_take(arena, rows, sizeof(real *));
    scratch->z_rows = arena_take(arena, rows, sizeof(real *));
    scratch->y = arena_take(arena, rows, sizeof(real *));
    scratch->z = arena_take(arena, ring ? times(rows, shape->row) : 0, sizeof(real));
    scratch->zone_h = zone_lay_out(arena, shape, plan, CLSTM_NOISE_ZONE_H);
    scratch->zone_c = zone_lay_out(arena, shape, plan, CLSTM_NOISE_ZONE_C);
    scratch->gathered = arena_take(arena, shape->blas ? times(rows, widest_layer(shape)) : 0, sizeof(real));
}

static inline real *slot_h(const struct pass *pass, ptrdiff_t slot) {
    const ptrdiff_t rows = pass->slots.ring ? (slot & 1) * pass->plan->N : slot_of(pass->plan, slot);
    return pass->slots.h + rows * pass->shape->ld_h;
}

/* What w_hh multiplies. */
static inline real *slot_u(const struct pass *pass, ptrdiff_t slot) {
    return pass->slots.u ? pass->slots.u + (slot_h(pass, slot) - pass->slots.h) : slot_h(pass, slot);
}

/* NULL if the cell has none. */
static inline real *slot_c(const struct pass *pass, ptrdiff_t slot) {
    if (!pass->slots.c) return NULL;
    return pass->slots.c + (pass->slots.ring ? 0 : slot_of(pass->plan, slot)) * pass->shape->ld;
}

static inline real *blocks_of(const struct pass *pass, ptrdiff_t s) {
    return pass->slots.blocks ? pass->slots.blocks + pass->plan->start[s] * pass->shape->row : NULL;
}

/* Of row r. */
static inline real *inner_of(const struct pass *pass, ptrdiff_t s, ptrdiff_t r) {
    if (!pass->slots.inner) return NULL;
    return pass->slots.inner + ((pass->slots.ring ? 0 : pass->plan->start[s]) + r) * pass->shape->ld;
}

/* Rows [r0, r1) of a batch; at step s those below alive[s] are there. */
struct range {
    ptrdiff_t r0, r1;
};

static inline ptrdiff_t rows_alive(const struct plan *plan, struct range range, ptrdiff_t s) {
    const ptrdiff_t end = plan->alive[s] < range.r1 ? plan->alive[s] : range.r1;
    return end > range.r0 ? end - range.r0 : 0;
}

/* The first row of block `block` of `blocks`: rows are sorted by length, and each block has its share of the steps. */
static ptrdiff_t block_start(const struct plan *plan, ptrdiff_t block, ptrdiff_t blocks) {
    if (block == blocks) return plan->N;
    ptrdiff_t r = 0;
    for (ptrdiff_t steps = 0; r < plan->N && steps * blocks < block * plan->rows; r++) steps += plan->length[r];
    return r;
}

static struct range block_of_rows(const struct plan *plan, ptrdiff_t block, ptrdiff_t blocks) {
    return (struct range){block_start(plan, block, blocks), block_start(plan, block + 1, blocks)};
}

/* Ranges of rows per direction that keep `threads` busy; a range is not cut below a full tile. */
static ptrdiff_t row_blocks(const struct shape *shape, const struct plan *plan, int threads) {
    const ptrdiff_t wanted = (threads + shape->D - 1) / shape->D, most = (plan->N + MAX_ROWS - 1) / MAX_ROWS;
    return shape->blas ? 1 : wanted < most ? wanted : most;
}

/* Threads that share the units of each step, where there are fewer ranges of rows than threads: the directions run one
 * after another then. A step takes a few microseconds at least, so that meeting after each is worth it. */
static int split_of(const struct shape *shape, const struct plan *plan, int threads, ptrdiff_t blocks) {
    const double step = 2.0 * shape->cell.gates * (double)shape->H * (double)shape->R * (double)plan->N;
    const ptrdiff_t most = shape->H / (shape->kernels->product_vectors * shape->kernels->lanes);
    if (shape->blas || blocks * shape->D >= threads) return 1;
    const double worth = step / SPLIT_OPERATIONS;
    const int split = worth < threads ? (int)worth : threads;
    return split < 2 || most < 2 ? 1 : split < most ? split : (int)most;
}

#endif
