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
#include "cell_step.h"
#include "noise.h"

/* Operations of a step that are worth another thread. */
enum { SPLIT_OPERATIONS = 50000 };

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
        find_symbols(pass->shape, pass->plan, pass->reverse, s, r0, n, pass->table, pass->shape->x_row,
                     scratch->input[0] + at);
        return;
    }
    for (int i = 0; i < pass->input.segments; i++)
        find_rows(&pass->input.segment[i], pass->plan, pass->reverse, s, r0, n, scratch->input[i] + at);
}

/* Adds the input products of a stage to its sums. */
static void add_input_terms(struct fused *fused, const struct pass *pass, const struct pass_scratch *scratch,
                            int index) {
    const ptrdiff_t width = fused->panels.vectors * pass->shape->kernels->lanes;
    for (int i = 0; i < pass->input.segments; i++)
        fused->term[fused->terms++] = (struct term){
            .rows = (const real *const *)scratch->input[i],
            .step = 1,
            .k = pass->input.width[i],
            .panels = pass->packed.stage[index].input[i],
            .panel_stride = pass->input.width[i] * width,
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

/* z = b + w_ih x of these rows, for the gates of a stage. */
static void project_stage(const struct pass *pass, const struct pass_scratch *scratch, ptrdiff_t rows, int index) {
    const struct shape *shape = pass->shape;
    const struct stage *stage = &shape->stage[index];
    const struct panels panels = stage_panels(shape, stage);
    struct fused terms = {.panels = panels};
    add_input_terms(&terms, pass, scratch, index);
    struct product product = {
        .rows = rows,
        .terms = terms.terms,
        .bias = pass->packed.stage[index].bias,
        .c = scratch->z_rows,
        .columns = shape->row,
        .panel_step = panels.groups * shape->kernels->lanes,
        .panels = panels,
    };
    memcpy(product.term, terms.term, sizeof product.term);
    block_vectors(product.vector, shape, panels, shape->cell.x_block + stage->first);
    struct split_product split = {shape->kernels, &product, pass->split};
    clstm_parallel(pass->split, pass->split, split_product_task, &split);
}

/* w_ih x for a function over rows. */
static void project_stored(const struct pass *pass, const struct pass_scratch *scratch, ptrdiff_t rows) {
    struct cell_forward step = cell_forward_of(pass->shape, 0, 0);
    step.z = scratch->z_rows;
    step.store_at = 0;
    step.fused.rows = rows;
    add_input_terms(&step.fused, pass, scratch, 0);
    struct shared_step shared = {pass->shape->kernels, &step.fused, all_panels(step.fused.panels), pass->split};
    clstm_parallel(pass->split, pass->split, shared_step_task, &shared);
}

static void project_native(const struct pass *pass, const struct pass_scratch *scratch, ptrdiff_t rows) {
    if (pass->shape->cell.norm) {
        project_stored(pass, scratch, rows);
        return;
    }
    for (int i = 0; i < (pass->shape->cell.late ? 2 : 1); i++) project_stage(pass, scratch, rows, i);
}

/* C [n, ldc] += A [n,k] W^T in the blocks of some gates, W [gates H, ldw]: one product, or one per gate where these do not
 * stand side by side. */
static void gates_by_blas(const struct shape *shape, ptrdiff_t n, ptrdiff_t k, const real *a, ptrdiff_t lda,
                          const real *w, ptrdiff_t ldw, real *c, ptrdiff_t ldc, const int *block, int gates) {
    const clstm_dtype dtype = sizeof(real) == sizeof(float) ? CLSTM_F32 : CLSTM_F64;
    const ptrdiff_t calls = side_by_side(shape, block, gates) ? 1 : gates, width = gates * shape->H / calls;
    for (ptrdiff_t i = 0; i < calls; i++)
        clstm_gemm_row_major(&shape->runtime->blas, dtype, n, width, k, (clstm_matrix){a, lda, CLSTM_PLAIN},
                             (clstm_matrix){w + i * width * ldw, ldw, CLSTM_TRANSPOSED}, 1, c + block[i] * shape->ld,
                             ldc);
}

static void start_block(real *z, const real *b, const struct shape *shape) {
    if (b) copy_padded(z, b, shape->H, shape->ld);
    else memset(z, 0, (size_t)shape->ld * sizeof(real));
}

/* The blocks of a row to which BLAS adds. A row of a table has none of h where these are others than those of the input. */
static void start_blocks(const struct pass *pass, real *z, int of_table) {
    const struct cell *cell = &pass->shape->cell;
    const ptrdiff_t H = pass->shape->H, ld = pass->shape->ld;
    const real *b = cell->norm ? NULL : pass->weights->b;
    for (int gate = 0; gate < cell->gates; gate++) {
        if (cell->norm && !of_table) start_block(z + cell->h_block[gate] * ld, NULL, pass->shape);
        start_block(z + cell->x_block[gate] * ld, b ? b + gate * H : NULL, pass->shape);
    }
    if (cell->two_sums) start_block(z + cell->h_block[cell->gates - 1] * ld, pass->weights->b_hn, pass->shape);
}

/* Rows of z are those of one range of all rows (BLAS is not split) or of a table, so they follow each other. */
static void project_blas(const struct pass *pass, struct pass_scratch *scratch, ptrdiff_t rows, int to_table) {
    const struct shape *shape = pass->shape;
    const ptrdiff_t width = input_width(&pass->input);
    for (ptrdiff_t q = 0; q < rows; q++) {
        real *to = scratch->gathered + q * width;
        for (int i = 0; i < pass->input.segments; to += pass->input.width[i], i++)
            memcpy(to, scratch->input[i][q], (size_t)pass->input.width[i] * sizeof(real));
        start_blocks(pass, scratch->z_rows[q], to_table);
    }
    gates_by_blas(shape, rows, width, scratch->gathered, width, pass->weights->w_ih, width, scratch->z_rows[0],
                  to_table ? shape->x_row : shape->row, shape->cell.x_block, shape->cell.gates);
}

static void project(const struct pass *pass, struct pass_scratch *scratch, ptrdiff_t rows, int to_table) {
    if (pass->shape->blas) project_blas(pass, scratch, rows, to_table);
    else project_native(pass, scratch, rows);
}

/* The table's rows for n symbols from `symbol` on. */
static void project_symbols(const struct pass *pass, struct pass_scratch *scratch, ptrdiff_t symbol, ptrdiff_t n) {
    const struct located *vectors = &pass->input.segment[0];
    for (ptrdiff_t i = 0; i < n; i++) {
        scratch->input[0][i] = vectors->base + (symbol + i) * vectors->stride_t;
        scratch->z_rows[i] = pass->table + (symbol + i) * pass->shape->x_row;
    }
    project(pass, scratch, n, 1);
}

static void copy_from_table(const struct pass *pass, struct pass_scratch *scratch, ptrdiff_t rows) {
    const struct shape *shape = pass->shape;
    for (ptrdiff_t q = 0; q < rows; q++) {
        if (shape->x_row < shape->row && shape->blas) start_blocks(pass, scratch->z_rows[q], 0);
        memcpy(scratch->z_rows[q], scratch->input[0][q], (size_t)shape->x_row * sizeof(real));
    }
}

/* Panels of whole vectors, whose sums a BLAS has left in the blocks, or for a projection in h. */
static void start_from_blocks(struct fused *fused, const struct shape *shape, const struct stage *stage) {
    const ptrdiff_t V = shape->kernels->lanes, count = (stage->units + V - 1) / V;
    const int *x_block = shape->cell.x_block + stage->first, *h_block = shape->cell.h_block + stage->first;
    fused->panels = (struct panels){.full = count, .vectors = stage->gates, .gates = stage->gates, .groups = 1};
    block_vectors(fused->vector, shape, fused->panels, stage->projects ? (const int[]){0} : x_block);
    block_vectors(fused->second_vector, shape, fused->panels, h_block);
}

/* Few rows stream the weights through the caches and use each of them but once or twice: then every other step goes
 * through them from the end. With more rows, the order of memory is worth more. */
enum { FEW_ROWS = 12 };

/* What is the same in all steps of a range of rows; `together`: the input products are part of each step. */
static struct cell_forward prepare_stage(const struct pass *pass, const struct pass_scratch *scratch, int index,
                                         int together) {
    const struct shape *shape = pass->shape;
    const struct stage *stage = &shape->stage[index];
    const struct packed_stage *packed = &pass->packed.stage[index];
    const int input_terms = together && !pass->table && !stage->projects ? pass->input.segments : 0;
    struct cell_forward step = cell_forward_of(shape, index, input_terms);
    struct fused *fused = &step.fused;
    fused->bias = shape->cell.norm ? NULL : packed->bias;
    fused->second = packed->second;
    step.peephole = pass->packed.peephole;
    step.norm = pass->packed.norm;
    step.form = pass->form;
    step.y = pass->output.base && index == (pass->form.show_c ? 0 : shape->stages - 1) ? scratch->y : NULL;
    if (shape->blas) {
        start_from_blocks(fused, shape, stage);
        return step;
    }
    if (input_terms) add_input_terms(fused, pass, scratch, index);
    fused->term[fused->terms++] =
        recurrent_term(shape, stage, (const real *const *)(index ? scratch->inner : scratch->h), packed->recurrent);
    return step;
}

/* Adds the recurrent products of a stage by BLAS; z are the rows of the blocks. */
static void recurrent_by_blas(const struct pass *pass, struct pass_scratch *scratch, struct cell_forward *step,
                              int index, real *const *z) {
    const struct shape *shape = pass->shape;
    const struct stage *stage = &shape->stage[index];
    const ptrdiff_t n = step->fused.rows;
    const real *a = index ? step->inner : step->u_prev, *w = pass->weights->w_hh;
    const clstm_dtype dtype = sizeof(real) == sizeof(float) ? CLSTM_F32 : CLSTM_F64;
    const ptrdiff_t lda = index ? shape->ld : shape->ld_h;
    if (!stage->projects) {
        gates_by_blas(shape, n, stage->k, a, lda, w + stage->first * shape->H * stage->k, stage->k, z[0], shape->row,
                      shape->cell.h_block + stage->first, stage->gates);
        return;
    }
    memset(step->h, 0, (size_t)(n * shape->ld_h) * sizeof(real));
    clstm_gemm_row_major(&shape->runtime->blas, dtype, n, shape->R, shape->H, (clstm_matrix){a, lda, CLSTM_PLAIN},
                         (clstm_matrix){pass->weights->w_hr, shape->H, CLSTM_TRANSPOSED}, 0, step->h, shape->ld_h);
    for (ptrdiff_t i = 0; i < n; i++) scratch->inner[i] = step->h + i * shape->ld_h;
    step->fused.start = scratch->inner;
}

/* The stages of a step whose products a BLAS computes, each before the kernel ends its sums. */
static void step_by_blas(const struct pass *pass, struct pass_scratch *scratch, struct cell_forward step[2],
                         real *const *z) {
    const struct shape *shape = pass->shape;
    for (int i = 0; i < shape->stages; i++) {
        recurrent_by_blas(pass, scratch, &step[i], i, z);
        if (i == 0 && shape->cell.norm) shape->cell.forward_rows(step, 0, step->fused.rows);
        else shape->kernels->fused(&step[i].fused, all_panels(step[i].fused.panels));
    }
}

/* Where step s of the rows from r0 on reads and writes. */
static void aim(const struct pass *pass, const struct pass_scratch *scratch, struct cell_forward *step, ptrdiff_t r0,
                ptrdiff_t s) {
    const struct shape *shape = pass->shape;
    const ptrdiff_t at = r0 * shape->ld, at_h = r0 * shape->ld_h;
    real *blocks = blocks_of(pass, s), *c_prev = slot_c(pass, s), *c = slot_c(pass, s + 1);
    step->blocks = blocks ? blocks + r0 * shape->row : NULL;
    step->h_prev = slot_h(pass, s) + at_h;
    step->u_prev = slot_u(pass, s) + at_h;
    step->h = slot_h(pass, s + 1) + at_h;
    if (c) step->c_prev = c_prev + at, step->c = c + at;
    if (pass->mask) step->mask = pass->mask + at_h, step->u = slot_u(pass, s + 1) + at_h;
    step->inner = inner_of(pass, s, r0);
    step->zone_h = scratch->zone_h, step->zone_c = scratch->zone_c;
    if (pass->slots.scales) step->scales = pass->slots.scales + (pass->plan->start[s] + r0) * SCALES;
}

/* Step s of n rows; z is where the input products of its rows stand, or NULL if they are part of this step. */
static void pass_step(const struct pass *pass, struct pass_scratch *scratch, struct cell_forward step[2],
                      struct range range, ptrdiff_t s, ptrdiff_t n, real *const *z, struct clstm_team *team) {
    const struct shape *shape = pass->shape;
    const ptrdiff_t r0 = range.r0, index = pass->index;
    if (scratch->zone_h) draw_rows(shape, pass->plan, CLSTM_NOISE_ZONE_H, index, s, r0, n, scratch->zone_h);
    if (scratch->zone_c) draw_rows(shape, pass->plan, CLSTM_NOISE_ZONE_C, index, s, r0, n, scratch->zone_c);
    if (pass->output.base) find_rows(&pass->output, pass->plan, pass->reverse, s, r0, n, scratch->y);
    if (!shape->blas && !z) find_input(pass, scratch, 0, s, r0, n);
    for (int i = 0; i < shape->stages; i++) {
        const struct stage *stage = &shape->stage[i];
        aim(pass, scratch, &step[i], r0, s);
        step[i].fused.rows = n;
        step[i].fused.start = shape->cell.norm || stage->projects ? NULL : pass->table && !z ? scratch->input[0] : z;
        step[i].z = z;
        await_forward(&step[i], stage);
    }
    if (!shape->blas) {
        for (ptrdiff_t i = 0; i < n; i++) scratch->h[i] = (real *)step[0].u_prev + i * shape->ld_h;
        for (ptrdiff_t i = 0; step[0].inner && i < n; i++) scratch->inner[i] = step[0].inner + i * shape->ld;
        run_stages(shape, step, n <= FEW_ROWS && (s & 1), pass->split, team);
        return;
    }
    step_by_blas(pass, scratch, step, z);
}

/* Whether the input product is part of each step: when both packed matrices stay in a core's second-level cache and
 * tiles are full anyway, when the input is so narrow that its product is next to nothing, or when it stands in a table. */
static int input_in_step(const struct pass *pass, ptrdiff_t rows) {
    enum { NARROW = 16, CACHE_BYTES = 512 * 1024 };
    const ptrdiff_t width = input_width(&pass->input);
    if (pass->shape->blas || pass->shape->cell.norm) return 0;
    if (pass->table) return 1;
    if (rows < 4) return width <= NARROW;
    return (size_t)times(width + pass->shape->R, pass->shape->cell.gates * pass->shape->ld) <=
           CACHE_BYTES / sizeof(real);
}

/* The steps [s0, s1), whose input products are in scratch->z or on the tape unless they are part of each step. */
struct steps {
    const struct pass *pass;
    struct pass_scratch *scratch;
    struct range range;
    ptrdiff_t s0, s1;
    struct cell_forward step[2];
    int together;
};

static void run_steps(void *context, struct clstm_team *team) {
    struct steps *steps = context;
    real *const *z = steps->together ? NULL : steps->scratch->z_rows;
    for (ptrdiff_t s = steps->s0; s < steps->s1; s++) {
        const ptrdiff_t n = rows_alive(steps->pass->plan, steps->range, s);
        pass_step(steps->pass, steps->scratch, steps->step, steps->range, s, n, z, team);
        if (z) z += n;
    }
}

/* All steps of a range of rows. */
static void pass_rows(const struct pass *pass, struct pass_scratch *scratch, struct range range) {
    const struct plan *plan = pass->plan;
    const int together = input_in_step(pass, range.r1 - range.r0);
    struct steps steps = {.pass = pass, .scratch = scratch, .range = range, .together = together};
    for (int i = 0; i < pass->shape->stages; i++) steps.step[i] = prepare_stage(pass, scratch, i, together);
    for (ptrdiff_t s0 = 0, s1; s0 < plan->T && rows_alive(plan, range, s0) > 0; s0 = s1) {
        ptrdiff_t rows = rows_alive(plan, range, s0), n;
        for (s1 = s0 + 1; s1 < plan->T && (n = rows_alive(plan, range, s1)) > 0 && rows + n <= CHUNK; s1++) rows += n;
        if (!together) {
            find_chunk(pass, scratch, range, s0, s1);
            if (pass->table) copy_from_table(pass, scratch, rows);
            else project(pass, scratch, rows, 0);
        }
        steps.s0 = s0, steps.s1 = s1;
        if (pass->split > 1) clstm_team_work(pass->split, run_steps, &steps);
        else run_steps(&steps, NULL);
    }
}

/* hT [N,R], cT [N,H] of one layer and direction: row r stands in the slot of its last step. */
static void write_final(const struct pass *pass, real *hT, real *cT) {
    const ptrdiff_t H = pass->shape->H, R = pass->shape->R;
    for (ptrdiff_t r = 0; r < pass->plan->N; r++) {
        const ptrdiff_t slot = pass->plan->length[r], n = pass->plan->order[r];
        if (hT) memcpy(hT + n * R, slot_h(pass, slot) + r * pass->shape->ld_h, (size_t)R * sizeof(real));
        if (cT && pass->slots.c) memcpy(cT + n * H, slot_c(pass, slot) + r * pass->shape->ld, (size_t)H * sizeof(real));
    }
}

#endif
