/* One step of a cell for some rows: how its weights are packed, and the arguments of its kernels. What sequences, streams
 * and single steps share. Included by the files of one precision. */
#ifndef CLSTM_CELL_STEP_H
#define CLSTM_CELL_STEP_H

#include "../ground/team.h"
#include "layout.h"

static inline struct panels stage_panels(const struct shape *shape, const struct stage *stage) {
    return gate_panels(shape->kernels, stage->gates, stage->units);
}

/* Where the vectors of a panel stand in the blocks of a row. */
static inline void block_vectors(ptrdiff_t vector[MAX_VECTORS], const struct shape *shape, struct panels panels,
                                 const int *block) {
    for (int j = 0; j < panels.vectors; j++)
        vector[j] = block[j / panels.groups] * shape->ld + j % panels.groups * shape->kernels->lanes;
}

/* [rows,H] as padded rows. */
static inline void pad_rows(real *to, const real *from, ptrdiff_t rows, const struct shape *shape) {
    for (ptrdiff_t row = 0; row < rows; row++)
        copy_padded(to + row * shape->ld, from + row * shape->H, shape->H, shape->ld);
}

/* Elements of a panel for each k. */
static inline ptrdiff_t panel_width(const struct shape *shape, struct panels panels) {
    return panels.vectors * shape->kernels->lanes;
}

/* ---- packed weights ---- */

/* Those of one stage, in gate panels. */
struct packed_stage {
    real *input[2]; /* by segment of the input; NULL: it is not read here */
    real *recurrent, *bias;
    real *second; /* start of the second sum of a gate, or NULL */
};

struct packed_cell {
    struct packed_stage stage[2];
    real *peephole; /* [rows][ld] */
    real *norm;     /* cell.h, NORM_GAIN_X */
};

/* Elements of a packed vector of all gates of a stage. */
static inline ptrdiff_t packed_elements(const struct stage *stage) { return times(stage->gates, padded(stage->units)); }

/* For inputs of `width` elements. */
static inline void packed_lay_out(struct packed_cell *packed, struct arena *arena, const struct shape *shape,
                                  ptrdiff_t width) {
    for (int i = 0; i < shape->stages; i++) {
        const struct stage *stage = &shape->stage[i];
        const ptrdiff_t each = packed_elements(stage);
        struct packed_stage *own = &packed->stage[i];
        own->input[0] = stage->projects ? NULL : arena_take(arena, times(width, each), sizeof(real));
        own->recurrent = arena_take(arena, times(stage->k, each), sizeof(real));
        own->bias = stage->projects ? NULL : arena_take(arena, each, sizeof(real));
        own->second = shape->cell.two_sums ? arena_take(arena, each, sizeof(real)) : NULL;
    }
}

/* The weights that are not packed. */
static inline void vectors_lay_out(struct packed_cell *packed, struct arena *arena, const struct shape *shape) {
    packed->peephole = arena_take(arena, times(shape->cell.form.peephole, shape->ld), sizeof(real));
    packed->norm =
        shape->cell.norm ? arena_take(arena, norm_elements(shape->cell.gates, shape->ld), sizeof(real)) : NULL;
}

/* Clears some panels of a packed vector. */
static inline void clear_panels(const struct shape *shape, real *dst, struct panels panels, struct panel_range range) {
    const ptrdiff_t end = range.end < panels.full ? range.end : panels.full;
    const ptrdiff_t vectors = (end - range.begin) * panels.vectors + (range.end > panels.full ? panels.last : 0);
    memset(dst, 0, (size_t)(vectors * shape->kernels->lanes) * sizeof(real));
}

/* Packs some panels of a vector [gates,H]; NULL is zero. */
static inline void pack_bias(const struct shape *shape, const struct stage *stage, real *dst, const real *b,
                             struct panel_range range) {
    const struct panels panels = stage_panels(shape, stage);
    if (b) shape->kernels->pack_gates(dst, b + stage->first * shape->H, 1, shape->H, 1, &panels, range);
    else clear_panels(shape, dst, panels, range);
}

/* The same for the second sum of the last gate, whose b is [H]. */
static inline void pack_second(const struct shape *shape, const struct stage *stage, real *dst, const real *b,
                               struct panel_range range) {
    const struct panels panels = stage_panels(shape, stage);
    const ptrdiff_t full = panels.groups * shape->kernels->lanes, width = panel_width(shape, panels);
    clear_panels(shape, dst, panels, range);
    for (ptrdiff_t panel = range.begin; b && panel < range.end; panel++) {
        const ptrdiff_t units = panel < panels.full ? full : panels.units, left = shape->H - panel * full;
        copy_or_clear(dst + (panel - range.begin) * width + (panels.gates - 1) * units, b + panel * full,
                      left < units ? left : units);
    }
}

/* Some panels of a stage's columns [begin, begin + k) of w_ih, whose rows have `width` elements. */
static inline void pack_input(const struct shape *shape, const struct stage *stage, real *dst, const real *w_ih,
                              ptrdiff_t width, ptrdiff_t begin, ptrdiff_t k, struct panel_range range) {
    const struct panels panels = stage_panels(shape, stage);
    shape->kernels->pack_gates(dst, w_ih + stage->first * shape->H * width + begin, width, shape->H, k, &panels, range);
}

/* Some panels of w_hh or w_hr. */
static inline void pack_recurrent(const struct shape *shape, const struct stage *stage, real *dst,
                                  const clstm_weights *weights, struct panel_range range) {
    const struct panels panels = stage_panels(shape, stage);
    const real *w = stage->projects ? weights->w_hr : (const real *)weights->w_hh + stage->first * shape->H * stage->k;
    shape->kernels->pack_gates(dst, w, stage->k, stage->units, stage->k, &panels, range);
}

/* All of a cell's weights but those of the input. */
static inline void pack_cell(const struct shape *shape, const struct packed_cell *packed,
                             const clstm_weights *weights) {
    const struct cell *cell = &shape->cell;
    for (int i = 0; i < shape->stages; i++) {
        const struct stage *stage = &shape->stage[i];
        const struct packed_stage *own = &packed->stage[i];
        const struct panel_range all = all_panels(stage_panels(shape, stage));
        pack_recurrent(shape, stage, own->recurrent, weights, all);
        if (own->bias) pack_bias(shape, stage, own->bias, cell->norm ? NULL : weights->b, all);
        if (own->second) pack_second(shape, stage, own->second, weights->b_hn, all);
    }
}

/* Parts that there are none of stay zero. */
static inline void pad_norm(real *norm, const clstm_weights *weights, const struct shape *shape) {
    const ptrdiff_t ld = shape->ld, gates = shape->cell.gates;
    const real *const by_gate[] = {weights->gain_ih, weights->gain_hh, weights->b};
    memset(norm, 0, (size_t)norm_elements((int)gates, ld) * sizeof(real));
    for (int i = 0; i < NORM_GAIN_C; i++)
        if (by_gate[i]) pad_rows(norm + i * gates * ld, by_gate[i], gates, shape);
    pad_rows(norm + NORM_GAIN_C * gates * ld, weights->gain_c, 1, shape);
    pad_rows(norm + (NORM_GAIN_C * gates + 1) * ld, weights->bias_c, 1, shape);
}

static inline void pad_vectors(real *peephole, real *norm, const clstm_weights *weights, const struct shape *shape) {
    pad_rows(peephole, weights->peephole, shape->cell.form.peephole, shape);
    if (norm) pad_norm(norm, weights, shape);
}

/* ---- arguments of the kernels ---- */

/* Sums over fewer units are too short for anything to arrive during them. */
enum { TIME_TO_ARRIVE = 48 };

/* The blocks on the tape, and y, which nobody has touched for a while and whose order no processor guesses. */
static inline void await_forward(struct cell_forward *step, const struct stage *stage) {
    struct fused *fused = &step->fused;
    fused->awaited = 0;
    if (step->hidden <= TIME_TO_ARRIVE) return;
    for (int b = 0; step->blocks && b < stage->blocks; b++)
        fused->await[fused->awaited++] = (struct awaited){.base = step->blocks + (stage->block + b) * step->ld,
                                                          .stride = step->form.blocks * step->ld};
    if (step->y) fused->await[fused->awaited++] = (struct awaited){.rows = (const real *const *)step->y};
}

/* What is the same in all steps of stage `index`. `input_terms` are the terms of the sums that come from the input. */
static inline struct cell_forward cell_forward_of(const struct shape *shape, int index, int input_terms) {
    const struct stage *stage = &shape->stage[index];
    struct cell_forward step = {
        .fused = {.panels = stage_panels(shape, stage),
                  .two_sums = shape->cell.two_sums,
                  .resume = input_terms,
                  .first_unit = stage->units,
                  .units = stage->units,
                  .finish = shape->cell.forward[index]},
        .units = shape->H,
        .hidden = shape->R,
        .ld = shape->ld,
        .ld_h = shape->ld_h,
        .form = shape->cell.form,
        .limits = shape->limits,
        .store_at = shape->cell.gates,
    };
    block_vectors(step.fused.vector, shape, step.fused.panels, shape->cell.x_block + stage->first);
    return step;
}

/* The term of a stage that is multiplied by the recurrent weights. */
static inline struct term recurrent_term(const struct shape *shape, const struct stage *stage, const real *const *rows,
                                         const real *panels) {
    return (struct term){.rows = rows,
                         .step = 1,
                         .k = stage->k,
                         .panels = panels,
                         .panel_stride = stage->k * panel_width(shape, stage_panels(shape, stage))};
}

/* A stage of a step of some rows, whose panels are shared by threads. */
struct shared_step {
    const struct kernels *kernels;
    const struct fused *step;
    struct panel_range range;
    ptrdiff_t parts;
};

static inline void shared_step_task(void *context, ptrdiff_t part, int worker) {
    const struct shared_step *shared = context;
    shared->kernels->fused(shared->step, part_of(shared->range, part, shared->parts));
    (void)worker;
}

/* The function over rows that follows the sums of some cells, whose rows are shared by threads. */
struct shared_rows {
    const struct cell *cell;
    const struct cell_forward *forward; /* or */
    const struct cell_backward *backward;
    ptrdiff_t rows, parts;
};

static inline void shared_rows_task(void *context, ptrdiff_t part, int worker) {
    const struct shared_rows *shared = context;
    const ptrdiff_t begin = part * shared->rows / shared->parts, end = (part + 1) * shared->rows / shared->parts;
    if (shared->forward) shared->cell->forward_rows(shared->forward, begin, end);
    else shared->cell->backward_rows(shared->backward, begin, end);
    (void)worker;
}

/* All stages of a step forward. `backwards`: through the panels from the end. */
static inline void run_stages(const struct shape *shape, const struct cell_forward step[2], int backwards,
                              ptrdiff_t parts, struct clstm_team *team) {
    for (int i = 0; i < shape->stages; i++) {
        const struct fused *fused = &step[i].fused;
        struct shared_step shared = {shape->kernels, fused, all_panels(fused->panels), parts};
        shared.range.backwards = backwards;
        clstm_team_share(team, parts, shared_step_task, &shared);
        if (i > 0 || !shape->cell.norm) continue;
        struct shared_rows rows = {.cell = &shape->cell, .forward = step, .rows = fused->rows, .parts = parts};
        clstm_team_share(team, parts, shared_rows_task, &rows);
    }
}

#endif
