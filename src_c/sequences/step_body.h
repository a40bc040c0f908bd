/* One step in one precision, with weights as they stand in the caller's memory.
 *
 * Packing them all and then taking the step would write a second copy of the weights to memory and read it again. So
 * panels are packed in groups, and each group is used while it is in a core's own cache. Cells that need all sums of a row
 * before they go on take it as a sequence of one step. */
#include "../ground/real.h"

#include "../ground/threads.h"
#include "cell_step.h"
#include "stack.h"
#include "step.h"

enum { GROUP_BYTES = 512 * 1024 }; /* packed weights of a group, at most: half of a usual second-level cache */

struct step_worker {
    real *input, *recurrent, *bias, *second; /* one group of panels */
};

struct step {
    struct shape shape;
    ptrdiff_t N, panels, group; /* panels, and how many are packed at once */
    const clstm_weights *weights;
    const real **x, **h_rows; /* [N] rows of x and of h */
    real *h, *h_next, *c;     /* [N] rows, ld apart; c NULL: the cell has none */
    real *peephole;           /* [rows, ld] */
    struct step_worker *worker;
};

static int step_threads(const struct shape *shape, ptrdiff_t N) {
    /* Packing a weight costs about as much as using it for some ten rows. */
    return threads_for(shape->runtime,
                       2.0 * shape->cell.gates * (double)shape->H * (double)(shape->I + shape->H) * (double)(N + 10));
}

static void step_lay_out(struct step *step, struct arena *arena, const struct shape *shape, ptrdiff_t N) {
    const struct stage *stage = &shape->stage[0];
    const struct panels panels = stage_panels(shape, stage);
    const ptrdiff_t width = panel_width(shape, panels), ld = shape->ld, k = shape->I + shape->H;
    const int threads = step_threads(shape, N);
    step->shape = *shape;
    step->N = N;
    step->panels = panel_count(panels);
    const ptrdiff_t fit = GROUP_BYTES / (ptrdiff_t)sizeof(real) / width / k;
    const ptrdiff_t share = (step->panels + threads - 1) / threads;
    step->group = fit < 1 ? 1 : fit < share ? fit : share;
    step->x = arena_take(arena, N, sizeof(real *));
    step->h_rows = arena_take(arena, N, sizeof(real *));
    step->h = arena_take(arena, times(N, ld), sizeof(real));
    step->h_next = arena_take(arena, times(N, ld), sizeof(real));
    step->c = shape->cell.has_c ? arena_take(arena, times(N, ld), sizeof(real)) : NULL;
    step->peephole = arena_take(arena, times(shape->cell.form.peephole, ld), sizeof(real));
    step->worker = arena_take(arena, threads, sizeof *step->worker);
    for (int i = 0; i < threads; i++) {
        struct step_worker measured, *worker = step->worker ? &step->worker[i] : &measured;
        const ptrdiff_t packed = times(width, step->group);
        worker->input = arena_take(arena, times(shape->I, packed), sizeof(real));
        worker->recurrent = arena_take(arena, times(shape->H, packed), sizeof(real));
        worker->bias = arena_take(arena, packed, sizeof(real));
        worker->second = arena_take(arena, shape->cell.two_sums ? packed : 0, sizeof(real));
    }
}

static int is_sequence(const struct shape *shape) { return shape->cell.norm || shape->stages > 1; }

static clstm_status sequence_size(const clstm_runtime *runtime, const clstm_stack *stack, ptrdiff_t N, size_t *bytes) {
    const clstm_batch batch = {.N = N, .T = 1};
    clstm_stack_bytes sizes;
    const clstm_status status = REAL_NAME(stack_sizes)(runtime, stack, &batch, &sizes);
    if (status == CLSTM_OK) *bytes = sizes.infer;
    return status;
}

clstm_status REAL_NAME(step_size)(const clstm_runtime *runtime, const clstm_stack *stack, ptrdiff_t N, size_t *bytes) {
    const struct shape shape = shape_of(runtime, stack);
    if (is_sequence(&shape)) return sequence_size(runtime, stack, N, bytes);
    struct arena arena = {0};
    struct step step = {0};
    int overflow = 0;
    step_lay_out(&step, &arena, &shape, N);
    const size_t needed = arena_bytes(&arena, &overflow);
    if (overflow) return CLSTM_TOO_LARGE;
    *bytes = needed;
    return CLSTM_OK;
}

/* The panels of a group, which is a layer of its own, as it were. */
static void run_group(const struct step *step, const struct step_worker *own, ptrdiff_t unit, ptrdiff_t units) {
    const struct shape *shape = &step->shape;
    const ptrdiff_t width = panel_width(shape, stage_panels(shape, &step->shape.stage[0]));
    struct cell_forward rows = cell_forward_of(shape, 0, 1);
    struct fused *fused = &rows.fused;
    fused->panels = gate_panels(shape->kernels, shape->cell.gates, units);
    fused->rows = step->N;
    fused->terms = 2;
    fused->term[0] = (struct term){
        .rows = step->x, .step = 1, .k = shape->I, .panels = own->input, .panel_stride = shape->I * width};
    fused->term[1] = (struct term){
        .rows = step->h_rows, .step = 1, .k = shape->H, .panels = own->recurrent, .panel_stride = shape->H * width};
    fused->bias = own->bias;
    fused->second = shape->cell.two_sums ? own->second : NULL;
    rows.units = rows.hidden = units;
    rows.h_prev = rows.u_prev = step->h + unit;
    if (step->c) rows.c_prev = rows.c = step->c + unit;
    rows.h = step->h_next + unit;
    rows.peephole = step->peephole + unit;
    shape->kernels->fused(fused, all_panels(fused->panels));
}

static void step_task(void *context, ptrdiff_t task, int worker) {
    const struct step *step = context;
    const struct shape *shape = &step->shape;
    const struct step_worker *own = &step->worker[worker];
    const struct stage *stage = &step->shape.stage[0];
    const struct panels panels = stage_panels(shape, stage);
    const ptrdiff_t each = panels.groups * shape->kernels->lanes, H = shape->H, first = task * step->group;
    const ptrdiff_t end = first + step->group < step->panels ? first + step->group : step->panels;
    const clstm_weights *weights = step->weights;
    const struct panel_range group = {.begin = first, .end = end};
    pack_input(shape, stage, own->input, weights->w_ih, shape->I, 0, shape->I, group);
    pack_recurrent(shape, stage, own->recurrent, weights, group);
    pack_bias(shape, stage, own->bias, weights->b, group);
    if (shape->cell.two_sums) pack_second(shape, stage, own->second, weights->b_hn, group);
    run_group(step, own, first * each, end * each < H ? (end - first) * each : H - first * each);
}

/* [N,H] of the caller, NULL is zero, as padded rows. */
static void read_rows(real *rows, const real *state, const struct step *step) {
    const ptrdiff_t H = step->shape.H, ld = step->shape.ld;
    for (ptrdiff_t n = 0; rows && n < step->N; n++)
        if (state) copy_padded(rows + n * ld, state + n * H, H, ld);
        else memset(rows + n * ld, 0, (size_t)ld * sizeof(real));
}

static void write_rows(real *state, const real *rows, const struct step *step) {
    const ptrdiff_t H = step->shape.H, ld = step->shape.ld;
    for (ptrdiff_t n = 0; state && rows && n < step->N; n++)
        memcpy(state + n * H, rows + n * ld, (size_t)H * sizeof(real));
}

void REAL_NAME(step)(const clstm_runtime *runtime, const clstm_stack *stack, ptrdiff_t N, const clstm_weights *weights,
                     const void *x, ptrdiff_t stride_x, clstm_state initial, clstm_state final, void *scratch) {
    const struct shape shape = shape_of(runtime, stack);
    struct arena arena = arena_over(scratch);
    struct step step;
    if (is_sequence(&shape)) {
        const clstm_batch batch = {.N = N, .T = 1};
        const clstm_sequence from = {(void *)x, stride_x, shape.I}, nowhere = {0}; /* read only */
        REAL_NAME(stack_infer)(runtime, stack, &batch, weights, from, initial, nowhere, final, scratch);
        return;
    }
    step_lay_out(&step, &arena, &shape, N);
    step.weights = weights;
    read_rows(step.h, initial.h, &step);
    read_rows(step.c, initial.c, &step);
    pad_rows(step.peephole, weights->peephole, shape.cell.form.peephole, &shape);
    for (ptrdiff_t n = 0; n < N; n++) {
        step.x[n] = (const real *)x + n * stride_x;
        step.h_rows[n] = step.h + n * shape.ld;
    }
    const ptrdiff_t groups = (step.panels + step.group - 1) / step.group;
    clstm_parallel(step_threads(&shape, N), groups, step_task, &step);
    write_rows(final.h, step.h_next, &step);
    write_rows(final.c, step.c, &step);
}
