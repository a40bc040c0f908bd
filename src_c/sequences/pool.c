#include <string.h>

#include "check.h"
#include "plan.h"
#include "rowwise.h"

static clstm_status check(clstm_dtype dtype, clstm_pool mode, const clstm_batch *batch, ptrdiff_t features,
                          ptrdiff_t split) {
    if (check_dtype(dtype) != CLSTM_OK) return CLSTM_BAD_OPTION;
    if (mode != CLSTM_POOL_LAST && mode != CLSTM_POOL_MEAN && mode != CLSTM_POOL_MAX) return CLSTM_BAD_OPTION;
    if (features < 1 || split < 0 || split > features) return CLSTM_BAD_SIZE;
    return check_batch(batch);
}

static ptrdiff_t steps_of(const clstm_batch *batch, ptrdiff_t n) {
    return batch->lengths == NULL ? batch->T : batch->lengths[n];
}

/* Element (n, t, 0). */
static char *at(const struct rowwise *rows, clstm_sequence s, ptrdiff_t n, ptrdiff_t t) {
    return (char *)s.data + (n * s.stride_n + t * s.stride_t) * (ptrdiff_t)rows->size;
}

clstm_status clstm_pool_forward(clstm_dtype dtype, clstm_pool mode, const clstm_batch *batch, ptrdiff_t features,
                                ptrdiff_t split, clstm_sequence x, void *y) {
    const clstm_status status = check(dtype, mode, batch, features, split);
    if (status != CLSTM_OK) return status;
    const struct rowwise *rows = rowwise_of(dtype);
    const size_t row = (size_t)features * rows->size, front = (size_t)split * rows->size;
    for (ptrdiff_t n = 0; n < batch->N; n++) {
        const ptrdiff_t steps = steps_of(batch, n);
        char *y_n = (char *)y + (size_t)n * row;
        if (steps == 0) {
            memset(y_n, 0, row);
        } else if (mode == CLSTM_POOL_MEAN) {
            rows->mean(features, steps, at(rows, x, n, 0), x.stride_t, y_n);
        } else if (mode == CLSTM_POOL_MAX) {
            rows->greatest(features, steps, at(rows, x, n, 0), x.stride_t, y_n);
        } else {
            memcpy(y_n, at(rows, x, n, steps - 1), front);
            memcpy(y_n + front, at(rows, x, n, 0) + front, row - front);
        }
    }
    return CLSTM_OK;
}

clstm_status clstm_pool_backward(clstm_dtype dtype, clstm_pool mode, const clstm_batch *batch, ptrdiff_t features,
                                 ptrdiff_t split, clstm_sequence x, const void *dy, clstm_sequence dx) {
    const clstm_status status = check(dtype, mode, batch, features, split);
    if (status != CLSTM_OK) return status;
    const struct rowwise *rows = rowwise_of(dtype);
    const size_t row = (size_t)features * rows->size, front = (size_t)split * rows->size;
    for (ptrdiff_t n = 0; n < batch->N; n++) {
        const ptrdiff_t steps = steps_of(batch, n);
        const char *dy_n = (const char *)dy + (size_t)n * row;
        for (ptrdiff_t t = 0; t < batch->T; t++) memset(at(rows, dx, n, t), 0, row);
        if (steps == 0) continue;
        if (mode == CLSTM_POOL_MEAN) {
            rows->divide(features, dy_n, (double)steps, at(rows, dx, n, 0));
            for (ptrdiff_t t = 1; t < steps; t++) memcpy(at(rows, dx, n, t), at(rows, dx, n, 0), row);
        } else if (mode == CLSTM_POOL_MAX) {
            rows->greatest_backward(features, steps, at(rows, x, n, 0), x.stride_t, dy_n, at(rows, dx, n, 0),
                                    dx.stride_t);
        } else {
            memcpy(at(rows, dx, n, steps - 1), dy_n, front);
            memcpy(at(rows, dx, n, 0) + front, dy_n + front, row - front);
        }
    }
    return CLSTM_OK;
}
