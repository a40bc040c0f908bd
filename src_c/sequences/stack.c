/* Public entry points of recurrent layers over sequences: arguments are checked here, once, before anything is written. */
#include "stack.h"

#include "../ground/processor.h"
#include "check.h"
#include "plan.h"

clstm_status check_stack(const clstm_stack *stack) {
    const clstm_activation activations[] = {stack->gate_activation, stack->candidate_activation,
                                            stack->output_activation};
    const double limits[] = {stack->clip, stack->cell_clip, stack->gradient_clip};
    const ptrdiff_t sizes[] = {stack->input_size, stack->hidden_size, stack->num_layers};
    clstm_status status = check_dtype(stack->dtype);
    for (size_t i = 0; !status && i < sizeof sizes / sizeof *sizes; i++) status = check_size(sizes[i]);
    if (!status && stack->directions != 1 && stack->directions != 2) status = CLSTM_BAD_OPTION;
    if (!status && ((int)stack->cell < 0 || stack->cell >= CLSTM_CELL_COUNT)) status = CLSTM_BAD_OPTION;
    for (int i = 0; !status && i < 3; i++)
        if ((int)activations[i] < 0 || activations[i] >= CLSTM_EXP) status = CLSTM_BAD_OPTION;
    for (int i = 0; !status && i < 3; i++)
        if (!(limits[i] >= 0)) status = CLSTM_BAD_OPTION;
    const double rates[] = {stack->dropout,     stack->input_dropout, stack->recurrent_dropout,
                            stack->weight_drop, stack->zoneout_h,     stack->zoneout_c};
    for (int i = 0; !status && i < 6; i++)
        if (!(rates[i] >= 0 && rates[i] < 1)) status = CLSTM_BAD_OPTION;
    if (!status && !(stack->input_noise >= 0)) status = CLSTM_BAD_OPTION;
    if (!status && stack->projection_size) status = check_size(stack->projection_size);
    if (!status && stack->go_backwards && stack->directions != 1) status = CLSTM_BAD_OPTION;
    if (!status && ((int)stack->merge < 0 || stack->merge >= CLSTM_MERGE_COUNT)) status = CLSTM_BAD_OPTION;
    if (!status && stack->merge && stack->directions != 2) status = CLSTM_BAD_OPTION;
    return status || stack_fits(stack) ? status : CLSTM_BAD_OPTION;
}

clstm_status clstm_stack_sizes(const clstm_runtime *runtime, const clstm_stack *stack, const clstm_batch *batch,
                               clstm_stack_bytes *bytes) {
    clstm_status status = check_runtime(runtime);
    if (!status) status = check_stack(stack);
    if (!status) status = check_batch(batch);
    if (!status && batch->symbols) status = check_size(batch->num);
    if (!status && batch->symbols && batch->noise && (stack->input_dropout > 0 || stack->input_noise > 0))
        status = CLSTM_BAD_OPTION; /* symbols are multiplied once, but noise is another one each time */
    if (status) return status;
    return (stack->dtype == CLSTM_F32 ? stack_sizes_f32 : stack_sizes_f64)(runtime, stack, batch, bytes);
}

static clstm_status check_symbols(const clstm_batch *batch) {
    for (ptrdiff_t n = 0; batch->symbols && n < batch->N; n++) {
        const ptrdiff_t stride = caller_times(batch), length = length_of(batch, n);
        const int64_t *row = batch->symbols + (length ? caller_row(batch->pieces, n) * stride : 0);
        for (ptrdiff_t s = 0; s < length; s++) {
            const int64_t symbol = row[caller_time(batch->pieces, n, s)];
            if (symbol < 0 || symbol >= batch->num) return CLSTM_BAD_INDEX;
        }
    }
    return CLSTM_OK;
}

/* The sizes of a call are checked by computing them. */
static clstm_status check_call(const clstm_runtime *runtime, const clstm_stack *stack, const clstm_batch *batch) {
    clstm_stack_bytes bytes;
    const clstm_status status = clstm_stack_sizes(runtime, stack, batch, &bytes);
    return status ? status : check_symbols(batch);
}

clstm_status clstm_stack_forward(const clstm_runtime *runtime, const clstm_stack *stack, const clstm_batch *batch,
                                 const clstm_weights *weights, clstm_sequence x, clstm_state initial, clstm_sequence y,
                                 clstm_state final, void *tape, void *scratch) {
    const clstm_status status = check_call(runtime, stack, batch);
    if (status) return status;
    const float_mode mode = float_mode_flush();
    (stack->dtype == CLSTM_F32 ? stack_forward_f32 : stack_forward_f64)(runtime, stack, batch, weights, x, initial, y,
                                                                        final, tape, scratch);
    float_mode_set(mode);
    return CLSTM_OK;
}

clstm_status clstm_stack_infer(const clstm_runtime *runtime, const clstm_stack *stack, const clstm_batch *batch,
                               const clstm_weights *weights, clstm_sequence x, clstm_state initial, clstm_sequence y,
                               clstm_state final, void *scratch) {
    const clstm_status status = check_call(runtime, stack, batch);
    if (status) return status;
    const float_mode mode = float_mode_flush();
    (stack->dtype == CLSTM_F32 ? stack_infer_f32 : stack_infer_f64)(runtime, stack, batch, weights, x, initial, y,
                                                                    final, scratch);
    float_mode_set(mode);
    return CLSTM_OK;
}

clstm_status clstm_stack_backward(const clstm_runtime *runtime, const clstm_stack *stack, const clstm_batch *batch,
                                  const clstm_weights *weights, clstm_sequence x, clstm_sequence dy, clstm_state dfinal,
                                  clstm_sequence dx, clstm_state dinitial, const clstm_gradients *grads, ptrdiff_t bptt,
                                  clstm_state flow, void *tape, void *scratch) {
    const clstm_status status = bptt < 0 ? CLSTM_BAD_SIZE : check_call(runtime, stack, batch);
    if (status) return status;
    const float_mode mode = float_mode_flush();
    (stack->dtype == CLSTM_F32 ? stack_backward_f32 : stack_backward_f64)(
        runtime, stack, batch, weights, x, dy, dfinal, dx, dinitial, grads, bptt, flow, tape, scratch);
    float_mode_set(mode);
    return CLSTM_OK;
}

clstm_status clstm_stack_noise(const clstm_stack *stack, clstm_noise_kind kind, ptrdiff_t index, uint64_t seed,
                               int64_t row, ptrdiff_t step, ptrdiff_t n, void *to) {
    const clstm_status status = check_stack(stack);
    if (status) return status;
    if ((int)kind < 0 || kind >= CLSTM_NOISE_COUNT) return CLSTM_BAD_OPTION;
    if (index < 0 || index >= stack->num_layers * stack->directions) return CLSTM_BAD_INDEX;
    if (n < 0) return CLSTM_BAD_SIZE;
    (stack->dtype == CLSTM_F32 ? stack_noise_f32 : stack_noise_f64)(stack, kind, index, seed, row, step, n, to);
    return CLSTM_OK;
}

clstm_status clstm_stack_read_tape(const clstm_stack *stack, const clstm_batch *batch, const void *tape,
                                   ptrdiff_t index, const clstm_trace *trace) {
    clstm_status status = check_stack(stack);
    if (!status) status = check_batch(batch);
    if (status) return status;
    if (index < 0 || index >= stack->num_layers * stack->directions) return CLSTM_BAD_INDEX;
    (stack->dtype == CLSTM_F32 ? stack_read_tape_f32 : stack_read_tape_f64)(stack, batch, tape, index, trace);
    return CLSTM_OK;
}
