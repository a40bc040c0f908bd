/* Stacks in one precision: sizes, and the entry points of stack.h. */
#include "../ground/real.h"

#include "stack.h"
#include "stack_backward.h"
#include "stack_forward.h"

#if REAL_BITS == 32
int stack_fits(const clstm_stack *stack) {
    struct cell cell;
    return describe_cell(kernels_of(CLSTM_ISA_BASELINE), stack, 0, 0, &cell);
}
#endif

/* The largest sizes that reach a BLAS. */
static int blas_fits(const struct shape *shape, const struct plan *plan) {
    const ptrdiff_t chunk = chunk_capacity(plan) > OUTER_CHUNK ? chunk_capacity(plan) : OUTER_CHUNK;
    const ptrdiff_t rows = shape->num > chunk ? shape->num : chunk;
    const ptrdiff_t columns = padded(widest_layer(shape) + shape->H + shape->R + 1);
    return clstm_gemm_fits(rows, shape->row, columns, columns, columns, shape->row);
}

clstm_status REAL_NAME(stack_sizes)(const clstm_runtime *runtime, const clstm_stack *stack, const clstm_batch *batch,
                                    clstm_stack_bytes *bytes) {
    const struct shape shape = shape_for(runtime, stack, batch);
    struct arena on_tape = {0}, forward = {0}, infer = {0}, backward = {0};
    struct tape tape;
    struct plan plan;
    struct forward_scratch forward_scratch = {0};
    struct backward_scratch backward_scratch = {0};
    tape_lay_out(&tape, &on_tape, &shape, batch);
    plan_lay_out(&plan, &infer, batch);
    forward_lay_out(&forward_scratch, &forward, &shape, &plan, 0);
    forward_lay_out(&forward_scratch, &infer, &shape, &plan, 1);
    backward_lay_out(&backward_scratch, &backward, &shape, &plan);
    int overflow = shape.blas && !blas_fits(&shape, &plan);
    const clstm_stack_bytes result = {arena_bytes(&on_tape, &overflow), arena_bytes(&forward, &overflow),
                                      arena_bytes(&infer, &overflow), arena_bytes(&backward, &overflow)};
    if (overflow) return CLSTM_TOO_LARGE;
    *bytes = result;
    return CLSTM_OK;
}

void REAL_NAME(stack_noise)(const clstm_stack *stack, clstm_noise_kind kind, ptrdiff_t index, uint64_t seed,
                            int64_t row, ptrdiff_t step, ptrdiff_t n, void *to) {
    const struct kernels *kernels = kernels_of(clstm_isa_best());
    const struct place place = place_of(kind, index, seed, row, step);
    if (kind != CLSTM_NOISE_ADDED) {
        draw(kernels, to, n, kind, noise_rate(stack, kind), place);
        return;
    }
    memset(to, 0, (size_t)n * sizeof(real));
    kernels->add_normal(to, n, &place, stack->input_noise);
}

void REAL_NAME(stack_forward)(const clstm_runtime *runtime, const clstm_stack *stack, const clstm_batch *batch,
                              const clstm_weights *weights, clstm_sequence x, clstm_state initial, clstm_sequence y,
                              clstm_state final, void *tape_buffer, void *scratch_buffer) {
    const struct shape shape = shape_for(runtime, stack, batch);
    struct arena on_tape = arena_over(tape_buffer), in_scratch = arena_over(scratch_buffer);
    struct tape tape;
    struct forward_scratch scratch;
    tape_lay_out(&tape, &on_tape, &shape, batch);
    plan_fill(&tape.plan, batch);
    forward_lay_out(&scratch, &in_scratch, &shape, &tape.plan, 0);
    forward_stack(&shape, &scratch, &tape, &tape.plan, weights, x, initial, y, final);
    clear_padding(y, batch, y_width(&shape));
}

void REAL_NAME(stack_infer)(const clstm_runtime *runtime, const clstm_stack *stack, const clstm_batch *batch,
                            const clstm_weights *weights, clstm_sequence x, clstm_state initial, clstm_sequence y,
                            clstm_state final, void *scratch_buffer) {
    clstm_batch quiet = *batch;
    quiet.noise = NULL;
    const struct shape shape = shape_for(runtime, stack, &quiet);
    struct arena arena = arena_over(scratch_buffer);
    struct plan plan;
    struct forward_scratch scratch = {0};
    plan_lay_out(&plan, &arena, batch);
    plan_fill(&plan, batch);
    forward_lay_out(&scratch, &arena, &shape, &plan, 1);
    forward_stack(&shape, &scratch, NULL, &plan, weights, x, initial, y, final);
    clear_padding(y, batch, y_width(&shape));
}

void REAL_NAME(stack_backward)(const clstm_runtime *runtime, const clstm_stack *stack, const clstm_batch *batch,
                               const clstm_weights *weights, clstm_sequence x, clstm_sequence dy, clstm_state dfinal,
                               clstm_sequence dx, clstm_state dinitial, const clstm_gradients *grads, ptrdiff_t bptt,
                               clstm_state flow, void *tape_buffer, void *scratch_buffer) {
    struct shape shape = shape_for(runtime, stack, batch);
    if (flow.h || flow.c) describe_cell(shape.kernels, stack, shape.noise != NULL, 1, &shape.cell);
    struct arena on_tape = arena_over(tape_buffer), in_scratch = arena_over(scratch_buffer);
    struct tape tape; /* its plan was filled by forward */
    struct backward_scratch scratch;
    tape_lay_out(&tape, &on_tape, &shape, batch);
    backward_lay_out(&scratch, &in_scratch, &shape, &tape.plan);
    backward_stack(&shape, &scratch, &tape, weights, x, dy, dfinal, dx, dinitial, grads, bptt, batch, flow);
    for (ptrdiff_t index = 0; index < shape.L * shape.D; index++) {
        clear_padding(flow_of(flow.h, batch, index, shape.R), batch, shape.R);
        clear_padding(flow_of(flow.c, batch, index, shape.H), batch, shape.H);
    }
    if (!shape.symbols) clear_padding(dx, batch, shape.I);
}

void REAL_NAME(stack_read_tape)(const clstm_stack *stack, const clstm_batch *batch, const void *tape_buffer,
                                ptrdiff_t index, const clstm_trace *trace) {
    const clstm_runtime none = {.threads = 1};
    const struct shape shape = shape_for(&none, stack, batch);
    struct arena on_tape = arena_over((void *)tape_buffer); /* read only below */
    struct tape tape;
    tape_lay_out(&tape, &on_tape, &shape, batch);
    const struct layer_tape own = tape_at(&tape, index);
    const struct plan *plan = &tape.plan;
    /* Members of the trace: elements, where the first row stands on the tape, and how far one is behind the other. */
    const struct cell_form *form = &shape.cell.form;
    struct {
        void *to;
        const real *from;
        ptrdiff_t width, distance;
    } part[6] = {
        [4] = {trace->c, own.c ? own.c + plan->N * shape.ld : NULL, shape.H, shape.ld},
        [5] = {trace->h, own.h + plan->N * shape.ld_h, shape.R, shape.ld_h},
    };
    for (int k = 0; k < 4 && form->first + k < form->blocks; k++) {
        part[k].to = trace->gates[k], part[k].from = own.blocks + (form->first + k) * shape.ld;
        part[k].width = shape.H, part[k].distance = shape.row;
    }
    for (int k = 0; k < 6; k++) {
        if (!part[k].to || !part[k].from) continue;
        const clstm_sequence target = {part[k].to, caller_times(batch) * part[k].width, part[k].width};
        const struct located rows = at_caller(target);
        for (ptrdiff_t s = 0; s < plan->T; s++)
            for (ptrdiff_t r = 0; r < plan->alive[s]; r++) {
                const ptrdiff_t t = plan_time(plan, is_reverse(&shape, index % shape.D), s, r);
                memcpy(row_at(&rows, plan, t, r), part[k].from + (plan->start[s] + r) * part[k].distance,
                       (size_t)part[k].width * sizeof(real));
            }
        clear_padding(target, batch, part[k].width);
    }
}
