/* The entry points of one precision; attention.c has checked the arguments. */
#ifndef CLSTM_ATTENTION_H
#define CLSTM_ATTENTION_H

#include "../clstm.h"

/* What a call is about. */
struct attend_call {
    const clstm_runtime *runtime;
    const clstm_attend *attend;
    const clstm_batch *queries, *memory;
};

#define CLSTM_DECLARE_ATTEND(suffix)                                                                               \
    clstm_status attend_sizes_##suffix(const struct attend_call *, clstm_attend_bytes *);                          \
    void attend_forward_##suffix(const struct attend_call *, const clstm_attended *, void *weights, void *context, \
                                 void *scratch);                                                                   \
    void attend_backward_##suffix(const struct attend_call *, const clstm_attended *, const void *weights,         \
                                  const void *dcontext, const void *dweights, const clstm_attend_gradients *,      \
                                  void *scratch);

CLSTM_DECLARE_ATTEND(f32)
CLSTM_DECLARE_ATTEND(f64)

#endif
