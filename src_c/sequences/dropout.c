/* The public entry point of dropout: arguments are checked here, before anything is written. */
#include "dropout.h"

#include "check.h"
#include "plan.h"

clstm_status clstm_dropout(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch,
                           ptrdiff_t features, double rate, int once, clstm_sequence x, clstm_sequence y) {
    clstm_status status = check_runtime(runtime);
    if (!status) status = check_dtype(dtype);
    if (!status) status = check_size(features);
    if (!status) status = check_batch(batch);
    if (!status && !(rate >= 0 && rate < 1)) status = CLSTM_BAD_OPTION;
    if (status) return status;
    const struct dropout it = {runtime, batch, features, rate, once ? CLSTM_NOISE_INPUT : CLSTM_NOISE_DROPOUT, x, y};
    (dtype == CLSTM_F32 ? dropout_f32 : dropout_f64)(&it);
    return CLSTM_OK;
}
