/* The entry points of one precision; stack.c has checked the arguments. */
#ifndef CLSTM_STACK_H
#define CLSTM_STACK_H

#include "../clstm.h"

#define CLSTM_DECLARE_STACK(suffix)                                                                                   \
    clstm_status stack_sizes_##suffix(const clstm_runtime *, const clstm_stack *, const clstm_batch *,                \
                                      clstm_stack_bytes *);                                                           \
    void stack_forward_##suffix(const clstm_runtime *, const clstm_stack *, const clstm_batch *,                      \
                                const clstm_weights *, clstm_sequence x, clstm_state initial, clstm_sequence y,       \
                                clstm_state final, void *tape, void *scratch);                                        \
    void stack_infer_##suffix(const clstm_runtime *, const clstm_stack *, const clstm_batch *, const clstm_weights *, \
                              clstm_sequence x, clstm_state initial, clstm_sequence y, clstm_state final,             \
                              void *scratch);                                                                         \
    void stack_backward_##suffix(const clstm_runtime *, const clstm_stack *, const clstm_batch *,                     \
                                 const clstm_weights *, clstm_sequence x, clstm_sequence dy, clstm_state dfinal,      \
                                 clstm_sequence dx, clstm_state dinitial, const clstm_gradients *, ptrdiff_t bptt,    \
                                 clstm_state flow, void *tape, void *scratch);                                        \
    void stack_noise_##suffix(const clstm_stack *, clstm_noise_kind, ptrdiff_t index, uint64_t seed, int64_t row,     \
                              ptrdiff_t step, ptrdiff_t n, void *to);                                                 \
    void stack_read_tape_##suffix(const clstm_stack *, const clstm_batch *, const void *tape, ptrdiff_t index,        \
                                  const clstm_trace *);

CLSTM_DECLARE_STACK(f32)
CLSTM_DECLARE_STACK(f64)

/* Whether the cell of a stack, of valid numbers, has the options that it shall have. */
int stack_fits(const clstm_stack *stack);

/* The sizes and options of a stack. */
clstm_status check_stack(const clstm_stack *stack);

#endif
