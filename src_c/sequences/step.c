/* Public entry points of the single step: arguments are checked here. A BLAS gets the step as a sequence with T = 1. */
#include "step.h"

#include "../ground/processor.h"
#include "check.h"
#include "stack.h"

clstm_status clstm_stack_step_size(const clstm_runtime *runtime, const clstm_stack *stack, ptrdiff_t N,
                                   size_t *scratch) {
    clstm_status status = check_runtime(runtime);
    if (!status) status = check_stack(stack);
    if (!status && (stack->num_layers != 1 || stack->directions != 1)) status = CLSTM_BAD_OPTION;
    if (!status) status = check_size(N);
    if (status) return status;
    if (runtime->backend != CLSTM_BLAS)
        return (stack->dtype == CLSTM_F32 ? step_size_f32 : step_size_f64)(runtime, stack, N, scratch);
    clstm_stack_bytes bytes;
    status = clstm_stack_sizes(runtime, stack, &(clstm_batch){.N = N, .T = 1}, &bytes);
    if (!status) *scratch = bytes.infer;
    return status;
}

clstm_status clstm_stack_step(const clstm_runtime *runtime, const clstm_stack *stack, ptrdiff_t N,
                              const clstm_weights *weights, const void *x, ptrdiff_t stride_x, clstm_state initial,
                              clstm_state final, void *scratch) {
    size_t bytes;
    const clstm_status status = clstm_stack_step_size(runtime, stack, N, &bytes);
    if (status) return status;
    if (runtime->backend == CLSTM_BLAS)
        return clstm_stack_infer(runtime, stack, &(clstm_batch){.N = N, .T = 1}, weights,
                                 (clstm_sequence){(void *)x, stride_x, stack->input_size}, initial, (clstm_sequence){0},
                                 final, scratch);
    const float_mode mode = float_mode_flush();
    (stack->dtype == CLSTM_F32 ? step_f32 : step_f64)(runtime, stack, N, weights, x, stride_x, initial, final, scratch);
    float_mode_set(mode);
    return CLSTM_OK;
}
