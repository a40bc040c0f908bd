/* Public entry points of the dense layer: arguments are checked here, before anything is written. */
#include "dense.h"

#include "check.h"
#include "plan.h"

clstm_status clstm_dense_sizes(const clstm_runtime *runtime, const clstm_dense *dense, const clstm_batch *batch,
                               clstm_dense_bytes *bytes) {
    clstm_status status = check_runtime(runtime);
    if (!status) status = check_dtype(dense->dtype);
    if (!status) status = check_size(dense->in);
    if (!status) status = check_size(dense->out);
    if (!status) status = check_batch(batch);
    if (status) return status;
    return (dense->dtype == CLSTM_F32 ? dense_sizes_f32 : dense_sizes_f64)(runtime, dense, batch, bytes);
}

clstm_status clstm_dense_forward(const clstm_runtime *runtime, const clstm_dense *dense, const clstm_batch *batch,
                                 const void *w, const void *b, clstm_sequence x, void *y, void *scratch) {
    clstm_dense_bytes bytes;
    const clstm_status status = clstm_dense_sizes(runtime, dense, batch, &bytes);
    if (status) return status;
    (dense->dtype == CLSTM_F32 ? dense_forward_f32 : dense_forward_f64)(runtime, dense, batch, w, b, x, y, scratch);
    return CLSTM_OK;
}

clstm_status clstm_dense_backward(const clstm_runtime *runtime, const clstm_dense *dense, const clstm_batch *batch,
                                  const void *w, clstm_sequence x, const void *dy, clstm_sequence dx, void *dw,
                                  void *db, void *scratch) {
    clstm_dense_bytes bytes;
    const clstm_status status = clstm_dense_sizes(runtime, dense, batch, &bytes);
    if (status) return status;
    (dense->dtype == CLSTM_F32 ? dense_backward_f32 : dense_backward_f64)(runtime, dense, batch, w, x, dy, dx, dw, db,
                                                                          scratch);
    return CLSTM_OK;
}
