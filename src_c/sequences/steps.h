/* The steps of one direction of one layer, forward: what training and inference share. Included by the files of one
 * precision. */
#ifndef CLSTM_STEPS_H
#define CLSTM_STEPS_H

#include "input_products.h"

/* Panels of whole vectors, whose sums a BLAS has left in the blocks, or for a projection in h. */
static void start_from_blocks(struct fused *fused, const struct shape *shape, const struct stage *stage) {
    const ptrdiff_t V = shape->kernels->lanes, count = (stage->units + V - 1) / V;
    const int *x_block = shape->cell.x_block + stage->first, *h_block = shape->cell.h_block + stage->first;
    fused->panels = (struct panels){.full = count, .vectors = stage->gates, .gates = stage->gates, .groups = 1};
    block_vectors(fused->vector, shape, fused->panels, stage->projects ? (const int[]){0} : x_block);
    block_vectors(fused->second_vector, shape, fused->panels, h_block);
}

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
