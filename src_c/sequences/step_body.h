/* One step in one precision, with weights as they stand in the caller's memory.
 *
 * Packing them all and then taking the step would write a second copy of the weights to memory and read it again. So
 * panels are packed in groups, and each group is used while it is in a core's own cache. */
#include "../ground/real.h"

#include "../ground/threads.h"
#include "layout.h"
#include "step.h"

enum { GROUP_BYTES = 512 * 1024 }; /* packed weights of a group, at most: half of a usual second-level cache */

struct step_worker {
    real *input, *recurrent, *bias; /* one group of panels */
};

struct step {
    struct shape shape;
    ptrdiff_t N, panels, group; /* panels, and how many are packed at once */
    const clstm_weights *weights;
    const real **x, **h; /* [N] rows of x and of the state before */
    real *zeros;         /* [ld] h of a state that is NULL */
    real *h_next, *c;    /* [N] rows, ld apart */
    struct step_worker *worker;
};

static int step_threads(const struct shape *shape, ptrdiff_t N) {
    /* Packing a weight costs about as much as using it for some ten rows. */
    return threads_for(shape->runtime, 8.0 * (double)shape->H * (double)(shape->I + shape->H) * (double)(N + 10));
}

static void step_lay_out(struct step *step, struct arena *arena, const struct shape *shape, ptrdiff_t N) {
    const ptrdiff_t V = shape->kernels->lanes, ld = shape->ld, k = shape->I + shape->H;
    const int threads = step_threads(shape, N);
    step->shape = *shape;
    step->N = N;
    step->panels = panel_count(gate_panels(shape->kernels, shape->H));
    const ptrdiff_t fit = GROUP_BYTES / (ptrdiff_t)sizeof(real) / (4 * V) / k;
    const ptrdiff_t share = (step->panels + threads - 1) / threads;
    step->group = fit < 1 ? 1 : fit < share ? fit : share;
    step->x = arena_take(arena, N, sizeof(real *));
    step->h = arena_take(arena, N, sizeof(real *));
    step->zeros = arena_take(arena, ld, sizeof(real));
    step->h_next = arena_take(arena, times(N, ld), sizeof(real));
    step->c = arena_take(arena, times(N, ld), sizeof(real));
    step->worker = arena_take(arena, threads, sizeof *step->worker);
    for (int i = 0; i < threads; i++) {
        struct step_worker measured, *worker = step->worker ? &step->worker[i] : &measured;
        const ptrdiff_t packed = times(4 * V, step->group);
        worker->input = arena_take(arena, times(shape->I, packed), sizeof(real));
        worker->recurrent = arena_take(arena, times(shape->H, packed), sizeof(real));
        worker->bias = arena_take(arena, packed, sizeof(real));
    }
}

clstm_status REAL_NAME(step_size)(const clstm_runtime *runtime, const clstm_stack *stack, ptrdiff_t N, size_t *bytes) {
    const struct shape shape = shape_of(runtime, stack);
    struct arena arena = {0};
    struct step step = {0};
    int overflow = 0;
    step_lay_out(&step, &arena, &shape, N);
    const size_t needed = arena_bytes(&arena, &overflow);
    if (overflow) return CLSTM_TOO_LARGE;
    *bytes = needed;
    return CLSTM_OK;
}

static void step_task(void *context, ptrdiff_t task, int worker) {
    const struct step *step = context;
    const struct step_worker *own = &step->worker[worker];
    const ptrdiff_t V = step->shape.kernels->lanes, H = step->shape.H, I = step->shape.I, first = task * step->group;
    const ptrdiff_t end = first + step->group < step->panels ? first + step->group : step->panels;
    const ptrdiff_t units = end * V < H ? (end - first) * V : H - first * V;
    const clstm_weights *weights = step->weights;
    const struct kernels *kernels = step->shape.kernels;
    const struct panel_range group = {.begin = first, .end = end};
    kernels->pack_gates(own->input, weights->w_ih, I, H, I, group);
    kernels->pack_gates(own->recurrent, weights->w_hh, H, H, H, group);
    if (weights->b) kernels->pack_gates(own->bias, weights->b, 1, H, 1, group);
    else memset(own->bias, 0, (size_t)((end - first) * 4 * V) * sizeof(real));
    const struct gate_rows rows = {
        .rows = step->N,
        .hidden = units, /* the group is a layer of its own, as it were */
        .ld = step->shape.ld,
        .terms = 2,
        .term = {{.rows = step->x, .step = 1, .k = I, .panels = own->input, .panel_stride = I * 4 * V},
                 {.rows = step->h, .step = 1, .k = H, .panels = own->recurrent, .panel_stride = H * 4 * V}},
        .bias = own->bias,
        .panels = gate_panels(kernels, units),
        .c_prev = step->c + first * V,
        .c = step->c + first * V,
        .h = step->h_next + first * V,
    };
    kernels->gate_rows(&rows, all_panels(rows.panels));
}

void REAL_NAME(step)(const clstm_runtime *runtime, const clstm_stack *stack, ptrdiff_t N, const clstm_weights *weights,
                     const void *x, ptrdiff_t stride_x, clstm_state initial, clstm_state final, void *scratch) {
    const struct shape shape = shape_of(runtime, stack);
    const ptrdiff_t H = shape.H, ld = shape.ld;
    struct arena arena = arena_over(scratch);
    struct step step;
    step_lay_out(&step, &arena, &shape, N);
    step.weights = weights;
    memset(step.zeros, 0, (size_t)H * sizeof(real));
    for (ptrdiff_t n = 0; n < N; n++) {
        step.x[n] = (const real *)x + n * stride_x;
        step.h[n] = initial.h ? (const real *)initial.h + n * H : step.zeros;
        if (initial.c) copy_padded(step.c + n * ld, (const real *)initial.c + n * H, H, ld);
        else memset(step.c + n * ld, 0, (size_t)ld * sizeof(real));
    }
    const ptrdiff_t groups = (step.panels + step.group - 1) / step.group;
    clstm_parallel(step_threads(&shape, N), groups, step_task, &step);
    for (ptrdiff_t n = 0; n < N; n++) {
        if (final.h) memcpy((real *) final.h + n * H, step.h_next + n * ld, (size_t)H * sizeof(real));
        if (final.c) memcpy((real *) final.c + n * H, step.c + n * ld, (size_t)H * sizeof(real));
    }
}
