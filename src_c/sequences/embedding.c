#include <string.h>

#include "check.h"
#include "rowwise.h"

static clstm_status check(clstm_dtype dtype, ptrdiff_t num, ptrdiff_t dim, ptrdiff_t count, const int64_t *index) {
    if (check_dtype(dtype) != CLSTM_OK) return CLSTM_BAD_OPTION;
    if (num < 1 || dim < 1 || count < 0) return CLSTM_BAD_SIZE;
    for (ptrdiff_t q = 0; q < count; q++)
        if (index[q] < 0 || index[q] >= num) return CLSTM_BAD_INDEX;
    return CLSTM_OK;
}

clstm_status clstm_embedding_forward(clstm_dtype dtype, ptrdiff_t num, ptrdiff_t dim, ptrdiff_t count,
                                     const int64_t *index, const void *w, void *y) {
    const clstm_status status = check(dtype, num, dim, count, index);
    if (status != CLSTM_OK) return status;
    const size_t row = (size_t)dim * rowwise_of(dtype)->size;
    for (ptrdiff_t q = 0; q < count; q++)
        memcpy((char *)y + (size_t)q * row, (const char *)w + (size_t)index[q] * row, row);
    return CLSTM_OK;
}

clstm_status clstm_embedding_backward(clstm_dtype dtype, ptrdiff_t num, ptrdiff_t dim, ptrdiff_t count,
                                      const int64_t *index, const void *dy, void *dw) {
    const clstm_status status = check(dtype, num, dim, count, index);
    if (status != CLSTM_OK) return status;
    const struct rowwise *rows = rowwise_of(dtype);
    const size_t row = (size_t)dim * rows->size;
    for (ptrdiff_t q = 0; q < count; q++)
        rows->add(dim, (const char *)dy + (size_t)q * row, (char *)dw + (size_t)index[q] * row);
    return CLSTM_OK;
}
