/* One direction of one layer, forward in its own order of steps: what training and inference share. Included by the
 * files of one precision.
 *
 * Rows of a batch never meet, so a task takes a range of rows through all steps, without waiting for others. The
 * product with the input needs no recurrence: it is either computed for a chunk of steps at once, where tiles are full
 * and each weight is fetched once, or, where weights are small, as a first part of each step's sums, which saves
 * writing z. Both add the same terms in the same order: the bits are equal. So are they where the input is symbols, whose
 * products are computed once for each symbol, into a table from which the sums of a step start. */
#ifndef CLSTM_PASS_H
#define CLSTM_PASS_H

#include "../ground/blas.h"
#include "../ground/team.h"
#include "noise.h"

/* Operations of a step that are worth another thread. */
enum { SPLIT_OPERATIONS = 50000 };

struct packed_weights {
    const real *input[2], *recurrent, *bias; /* gate panels; input by segment */
    const real *second;                      /* start of the second sum of a gate, or NULL */
    const real *peephole;                    /* [rows][ld] */
};

/* Slots of h and c: all of them on a tape, or for inference two of h and one of c that are used again and again. */
struct slots {
    int ring;
    real *h, *c, *blocks; /* blocks NULL in a ring, c where the cell has none */
    real *u;              /* like h, or NULL: recurrent dropout */
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
    struct packed_weights packed;
    struct slots slots;
    struct located output; /* the first H elements of its rows; base NULL: none */
};

/* Addresses of rows, and the z of one chunk where there are no gates to put it in. */
struct pass_scratch {
    real **input[2], **h, **z_rows, **y;
    real *z;
    real *zone_h, *zone_c; /* masks of zoneout of a step */
    real *gathered;        /* BLAS: the input rows of a chunk, side by side */
};

/* NULL: nothing to draw. */
static inline real *zone_lay_out(struct arena *arena, const struct shape *shape, const struct plan *plan,
                                 clstm_noise_kind kind) {
    return has_noise(shape, kind) ? arena_take(arena, times(plan->N, shape->ld), sizeof(real)) : NULL;
}

static inline ptrdiff_t chunk_capacity(const struct plan *plan) { return plan->N > CHUNK ? plan->N : CHUNK; }

static inline void pass_lay_out(struct pass_scratch *scratch, struct arena *arena, const struct shape *shape,
                                const struct plan *plan, int ring) {
    const ptrdiff_t rows = chunk_capacity(plan);
    for (int i = 0; i < 2; i++) scratch->input[i] = arena_take(arena, rows, sizeof(real *));
    scratch->h = arena_take(arena, rows, sizeof(real *));
    scratch->z_rows = arena_take(arena, rows, sizeof(real *));
    scratch->y = arena_take(arena, rows, sizeof(real *));
    scratch->z = arena_take(arena, ring ? times(rows, shape->row) : 0, sizeof(real));
    scratch->zone_h = zone_lay_out(arena, shape, plan, CLSTM_NOISE_ZONE_H);
    scratch->zone_c = zone_lay_out(arena, shape, plan, CLSTM_NOISE_ZONE_C);
    scratch->gathered = arena_take(arena, shape->blas ? times(rows, widest_layer(shape)) : 0, sizeof(real));
}

static inline real *slot_h(const struct pass *pass, ptrdiff_t slot) {
    const ptrdiff_t rows = pass->slots.ring ? (slot & 1) * pass->plan->N : slot_of(pass->plan, slot);
    return pass->slots.h + rows * pass->shape->ld;
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
    const double step = 2.0 * shape->cell.gates * (double)shape->H * (double)shape->H * (double)plan->N;
    const ptrdiff_t most = shape->H / (shape->kernels->product_vectors * shape->kernels->lanes);
    if (shape->blas || blocks * shape->D >= threads) return 1;
    const double worth = step / SPLIT_OPERATIONS;
    const int split = worth < threads ? (int)worth : threads;
    return split < 2 || most < 2 ? 1 : split < most ? split : (int)most;
}

struct split_product {
    const struct kernels *kernels;
    const struct product *product;
    ptrdiff_t parts;
};

static void split_product_task(void *context, ptrdiff_t part, int worker) {
    const struct split_product *split = context;
    split->kernels->product(split->product, part_of(all_panels(split->product->panels), part, split->parts));
    (void)worker;
}

/* The input of these rows; of symbols, their rows of the table. */
static void find_input(const struct pass *pass, const struct pass_scratch *scratch, ptrdiff_t at, ptrdiff_t s,
                       ptrdiff_t r0, ptrdiff_t n) {
    if (pass->table) {
        find_symbols(pass->shape, pass->plan, pass->reverse, s, r0, n, pass->table, pass->shape->row,
                     scratch->input[0] + at);
        return;
    }
    for (int i = 0; i < pass->input.segments; i++)
        find_rows(&pass->input.segment[i], pass->plan, pass->reverse, s, r0, n, scratch->input[i] + at);
}

static struct term input_term(const struct pass *pass, const struct pass_scratch *scratch, int segment) {
    const ptrdiff_t k = pass->input.width[segment];
    return (struct term){
        .rows = (const real *const *)scratch->input[segment],
        .step = 1,
        .k = k,
        .panels = pass->packed.input[segment],
        .panel_stride = k * cell_panels(pass->shape).vectors * pass->shape->kernels->lanes,
    };
}

/* Where x and z of the steps [s0, s1) stand; in a ring the z of the chunk follow each other in scratch->z. */
static void find_chunk(const struct pass *pass, struct pass_scratch *scratch, struct range range, ptrdiff_t s0,
                       ptrdiff_t s1) {
    const ptrdiff_t stride = pass->shape->row;
    ptrdiff_t rows = 0;
    for (ptrdiff_t s = s0; s < s1; s++) {
        const ptrdiff_t n = rows_alive(pass->plan, range, s);
        real *z = pass->slots.ring ? scratch->z + rows * stride : blocks_of(pass, s) + range.r0 * stride;
        find_input(pass, scratch, rows, s, range.r0, n);
        for (ptrdiff_t i = 0; i < n; i++) scratch->z_rows[rows + i] = z + i * stride;
        rows += n;
    }
}

/* z = b + w_ih x of these rows. */
static void project_native(const struct pass *pass, const struct pass_scratch *scratch, ptrdiff_t rows) {
    const struct panels panels = cell_panels(pass->shape);
    struct product product = {
        .rows = rows,
        .terms = pass->input.segments,
        .bias = pass->packed.bias,
        .c = scratch->z_rows,
        .columns = pass->shape->row,
        .panel_step = panels.groups * pass->shape->kernels->lanes,
        .panels = panels,
    };
    block_vectors(product.vector, pass->shape, panels, pass->shape->cell.x_block);
    for (int i = 0; i < pass->input.segments; i++) product.term[i] = input_term(pass, scratch, i);
    struct split_product split = {pass->shape->kernels, &product, pass->split};
    clstm_parallel(pass->split, pass->split, split_product_task, &split);
}

/* C [n, row] += A [n,k] W^T in some blocks, W [G H, ldw]: one product, or one per gate where these do not stand side by
 * side. */
static void gates_by_blas(const struct shape *shape, ptrdiff_t n, ptrdiff_t k, const real *a, ptrdiff_t lda,
                          const real *w, ptrdiff_t ldw, real *c, const int block[MAX_GATES]) {
    const clstm_dtype dtype = sizeof(real) == sizeof(float) ? CLSTM_F32 : CLSTM_F64;
    const ptrdiff_t calls = side_by_side(shape, block) ? 1 : shape->cell.gates;
    const ptrdiff_t width = shape->cell.gates * shape->H / calls;
    for (ptrdiff_t i = 0; i < calls; i++)
        clstm_gemm_row_major(&shape->runtime->blas, dtype, n, width, k, (clstm_matrix){a, lda, CLSTM_PLAIN},
                             (clstm_matrix){w + i * width * ldw, ldw, CLSTM_TRANSPOSED}, 1, c + block[i] * shape->ld,
                             shape->row);
}

static void start_block(real *z, const real *b, const struct shape *shape) {
    if (b) copy_padded(z, b, shape->H, shape->ld);
    else memset(z, 0, (size_t)shape->ld * sizeof(real));
}

/* Rows of z are those of one range of all rows (BLAS is not split), so they follow each other. */
static void project_blas(const struct pass *pass, struct pass_scratch *scratch, ptrdiff_t rows) {
    const struct shape *shape = pass->shape;
    const ptrdiff_t width = input_width(&pass->input), H = shape->H, ld = shape->ld;
    const real *b = pass->weights->b;
    const int last = shape->cell.gates - 1;
    for (ptrdiff_t q = 0; q < rows; q++) {
        real *to = scratch->gathered + q * width;
        for (int i = 0; i < pass->input.segments; to += pass->input.width[i], i++)
            memcpy(to, scratch->input[i][q], (size_t)pass->input.width[i] * sizeof(real));
        for (int gate = 0; gate <= last; gate++)
            start_block(scratch->z_rows[q] + shape->cell.x_block[gate] * ld, b ? b + gate * H : NULL, shape);
        if (shape->cell.two_sums)
            start_block(scratch->z_rows[q] + shape->cell.h_block[last] * ld, pass->weights->b_hn, shape);
    }
    gates_by_blas(shape, rows, width, scratch->gathered, width, pass->weights->w_ih, width, scratch->z_rows[0],
                  shape->cell.x_block);
}

static void project(const struct pass *pass, struct pass_scratch *scratch, ptrdiff_t rows) {
    if (pass->shape->blas) project_blas(pass, scratch, rows);
    else project_native(pass, scratch, rows);
}

/* The table's rows for n symbols from `symbol` on. */
static void project_symbols(const struct pass *pass, struct pass_scratch *scratch, ptrdiff_t symbol, ptrdiff_t n) {
    const struct located *vectors = &pass->input.segment[0];
    for (ptrdiff_t i = 0; i < n; i++) {
        scratch->input[0][i] = vectors->base + (symbol + i) * vectors->stride_t;
        scratch->z_rows[i] = pass->table + (symbol + i) * pass->shape->row;
    }
    project(pass, scratch, n);
}

static void copy_from_table(const struct pass *pass, struct pass_scratch *scratch, ptrdiff_t rows) {
    for (ptrdiff_t q = 0; q < rows; q++)
        memcpy(scratch->z_rows[q], scratch->input[0][q], (size_t)pass->shape->row * sizeof(real));
}

/* Panels of whole vectors, whose sums a BLAS has left in the blocks. */
static void start_from_blocks(struct fused *fused, const struct shape *shape) {
    const ptrdiff_t V = shape->kernels->lanes;
    const int gates = shape->cell.gates;
    fused->panels = (struct panels){.full = (shape->H + V - 1) / V, .vectors = gates, .gates = gates, .groups = 1};
    block_vectors(fused->vector, shape, fused->panels, shape->cell.x_block);
    block_vectors(fused->second_vector, shape, fused->panels, shape->cell.h_block);
}

/* Few rows stream the weights through the caches and use each of them but once or twice: then every other step goes
 * through them from the end. With more rows, the order of memory is worth more. */
enum { FEW_ROWS = 12 };

/* What is the same in all steps of a range of rows; `together`: the input products are part of each step. */
static struct cell_forward prepare_step(const struct pass *pass, const struct pass_scratch *scratch, int together) {
    const struct shape *shape = pass->shape;
    const int input_terms = together && !pass->table ? pass->input.segments : 0;
    struct cell_forward step = cell_forward_of(shape, input_terms);
    struct fused *fused = &step.fused;
    fused->bias = pass->packed.bias;
    fused->second = pass->packed.second;
    step.peephole = pass->packed.peephole;
    step.y = pass->output.base ? scratch->y : NULL;
    if (shape->blas) {
        start_from_blocks(fused, shape);
        return step;
    }
    for (int i = 0; i < input_terms; i++) fused->term[fused->terms++] = input_term(pass, scratch, i);
    fused->term[fused->terms++] = (struct term){
        .rows = (const real *const *)scratch->h,
        .step = 1,
        .k = shape->H,
        .panels = pass->packed.recurrent,
        .panel_stride = shape->H * fused->panels.vectors * shape->kernels->lanes,
    };
    return step;
}

/* Step s of n rows; z is where the input products of its rows stand, or NULL if they are part of this step. */
static void pass_step(const struct pass *pass, struct pass_scratch *scratch, struct cell_forward *step,
                      struct range range, ptrdiff_t s, ptrdiff_t n, real *const *z, struct clstm_team *team) {
    const struct shape *shape = pass->shape;
    const ptrdiff_t ld = shape->ld, first = range.r0 * ld;
    const ptrdiff_t index = pass->index;
    real *u = slot_u(pass, s) + first, *c_prev = slot_c(pass, s), *c = slot_c(pass, s + 1);
    real *blocks = blocks_of(pass, s);
    step->fused.rows = n;
    step->fused.start = z;
    step->blocks = blocks ? blocks + range.r0 * shape->row : NULL;
    step->h_prev = slot_h(pass, s) + first;
    step->h = slot_h(pass, s + 1) + first;
    if (c) step->c_prev = c_prev + first, step->c = c + first;
    if (pass->mask) step->mask = pass->mask + first, step->u = slot_u(pass, s + 1) + first;
    if (scratch->zone_h) draw_rows(shape, pass->plan, CLSTM_NOISE_ZONE_H, index, s, range.r0, n, scratch->zone_h);
    if (scratch->zone_c) draw_rows(shape, pass->plan, CLSTM_NOISE_ZONE_C, index, s, range.r0, n, scratch->zone_c);
    step->zone_h = scratch->zone_h, step->zone_c = scratch->zone_c;
    await_forward(step);
    if (step->y) find_rows(&pass->output, pass->plan, pass->reverse, s, range.r0, n, scratch->y);
    if (shape->blas) {
        gates_by_blas(shape, n, shape->H, u, ld, pass->weights->w_hh, shape->H, z[0], shape->cell.h_block);
    } else {
        if (!z) find_input(pass, scratch, 0, s, range.r0, n);
        if (pass->table) step->fused.start = scratch->input[0];
        for (ptrdiff_t i = 0; i < n; i++) scratch->h[i] = u + i * ld;
    }
    struct shared_step shared = {shape->kernels, &step->fused, all_panels(step->fused.panels), pass->split};
    shared.range.backwards = n <= FEW_ROWS && (s & 1);
    clstm_team_share(team, shared.parts, shared_step_task, &shared);
}

/* Whether the input product is part of each step: when both packed matrices stay in a core's second-level cache and
 * tiles are full anyway, when the input is so narrow that its product is next to nothing, or when it stands in a table. */
static int input_in_step(const struct pass *pass, ptrdiff_t rows) {
    enum { NARROW = 16, CACHE_BYTES = 512 * 1024 };
    const ptrdiff_t width = input_width(&pass->input);
    if (pass->shape->blas) return 0;
    if (pass->table) return 1;
    if (rows < 4) return width <= NARROW;
    return (size_t)times(width + pass->shape->H, pass->shape->cell.gates * pass->shape->ld) <=
           CACHE_BYTES / sizeof(real);
}

/* The steps [s0, s1), whose input products are in scratch->z or on the tape unless they are part of each step. */
struct steps {
    const struct pass *pass;
    struct pass_scratch *scratch;
    struct range range;
    ptrdiff_t s0, s1;
    struct cell_forward step;
    int together;
};

static void run_steps(void *context, struct clstm_team *team) {
    struct steps *steps = context;
    real *const *z = steps->together ? NULL : steps->scratch->z_rows;
    for (ptrdiff_t s = steps->s0; s < steps->s1; s++) {
        const ptrdiff_t n = rows_alive(steps->pass->plan, steps->range, s);
        pass_step(steps->pass, steps->scratch, &steps->step, steps->range, s, n, z, team);
        if (z) z += n;
    }
}

/* All steps of a range of rows. */
static void pass_rows(const struct pass *pass, struct pass_scratch *scratch, struct range range) {
    const struct plan *plan = pass->plan;
    const int together = input_in_step(pass, range.r1 - range.r0);
    struct steps steps = {.pass = pass,
                          .scratch = scratch,
                          .range = range,
                          .step = prepare_step(pass, scratch, together),
                          .together = together};
    for (ptrdiff_t s0 = 0, s1; s0 < plan->T && rows_alive(plan, range, s0) > 0; s0 = s1) {
        ptrdiff_t rows = rows_alive(plan, range, s0), n;
        for (s1 = s0 + 1; s1 < plan->T && (n = rows_alive(plan, range, s1)) > 0 && rows + n <= CHUNK; s1++) rows += n;
        if (!together) {
            find_chunk(pass, scratch, range, s0, s1);
            if (pass->table) copy_from_table(pass, scratch, rows);
            else project(pass, scratch, rows);
        }
        steps.s0 = s0, steps.s1 = s1;
        if (pass->split > 1) clstm_team_work(pass->split, run_steps, &steps);
        else run_steps(&steps, NULL);
    }
}

/* hT, cT [N,H] of one layer and direction: row r stands in the slot of its last step. */
static void write_final(const struct pass *pass, real *hT, real *cT) {
    const ptrdiff_t H = pass->shape->H, ld = pass->shape->ld;
    const size_t bytes = (size_t)H * sizeof(real);
    for (ptrdiff_t r = 0; r < pass->plan->N; r++) {
        const ptrdiff_t slot = pass->plan->length[r], n = pass->plan->order[r];
        if (hT) memcpy(hT + n * H, slot_h(pass, slot) + r * ld, bytes);
        if (cT && pass->slots.c) memcpy(cT + n * H, slot_c(pass, slot) + r * ld, bytes);
    }
}

#endif
