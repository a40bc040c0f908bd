/* One step of one layer in one precision; step.c has checked the arguments. */
#ifndef CLSTM_STEP_H
#define CLSTM_STEP_H

#include "../clstm.h"

#define CLSTM_DECLARE_STEP(suffix)                                                                                    \
    clstm_status step_size_##suffix(const clstm_runtime *, const clstm_stack *, ptrdiff_t N, size_t *bytes);          \
    void step_##suffix(const clstm_runtime *, const clstm_stack *, ptrdiff_t N, const clstm_weights *, const void *x, \
                       ptrdiff_t stride_x, clstm_state initial, clstm_state final, void *scratch);

CLSTM_DECLARE_STEP(f32)
CLSTM_DECLARE_STEP(f64)

#endif
