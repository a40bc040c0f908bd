/* Public entry points of attention over a memory: arguments are checked here, before anything is written. */
#include "attention.h"

#include <math.h>

#include "check.h"
#include "plan.h"

static clstm_status check_attend(const struct attend_call *call) {
    const clstm_attend *attend = call->attend;
    clstm_status status = check_runtime(call->runtime);
    if (!status) status = check_dtype(attend->dtype);
    if (!status && (int)attend->score != CLSTM_SCORE_PRODUCT && (int)attend->score != CLSTM_SCORE_ADDITIVE)
        status = CLSTM_BAD_OPTION;
    if (!status && !isfinite(attend->scale)) status = CLSTM_BAD_OPTION;
    if (!status) status = check_size(attend->keys);
    if (!status) status = check_size(attend->values);
    if (!status && (call->queries->pieces || call->memory->pieces)) status = CLSTM_BAD_OPTION;
    if (!status) status = check_batch(call->queries);
    if (!status) status = check_batch(call->memory);
    if (!status && call->queries->N != call->memory->N) status = CLSTM_BAD_SIZE;
    return status;
}

clstm_status clstm_attend_sizes(const clstm_runtime *runtime, const clstm_attend *attend, const clstm_batch *queries,
                                const clstm_batch *memory, clstm_attend_bytes *bytes) {
    const struct attend_call call = {runtime, attend, queries, memory};
    const clstm_status status = check_attend(&call);
    if (status) return status;
    return (attend->dtype == CLSTM_F32 ? attend_sizes_f32 : attend_sizes_f64)(&call, bytes);
}

clstm_status clstm_attend_forward(const clstm_runtime *runtime, const clstm_attend *attend, const clstm_batch *queries,
                                  const clstm_batch *memory, const clstm_attended *in, void *weights, void *context,
                                  void *scratch) {
    clstm_attend_bytes bytes;
    const struct attend_call call = {runtime, attend, queries, memory};
    const clstm_status status = clstm_attend_sizes(runtime, attend, queries, memory, &bytes);
    if (status) return status;
    (attend->dtype == CLSTM_F32 ? attend_forward_f32 : attend_forward_f64)(&call, in, weights, context, scratch);
    return CLSTM_OK;
}

clstm_status clstm_attend_backward(const clstm_runtime *runtime, const clstm_attend *attend, const clstm_batch *queries,
                                   const clstm_batch *memory, const clstm_attended *in, const void *weights,
                                   const void *dcontext, const void *dweights, const clstm_attend_gradients *out,
                                   void *scratch) {
    clstm_attend_bytes bytes;
    const struct attend_call call = {runtime, attend, queries, memory};
    const clstm_status status = clstm_attend_sizes(runtime, attend, queries, memory, &bytes);
    if (status) return status;
    (attend->dtype == CLSTM_F32 ? attend_backward_f32 : attend_backward_f64)(&call, in, weights, dcontext, dweights,
                                                                             out, scratch);
    return CLSTM_OK;
}
