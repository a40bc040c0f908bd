/* The gradient of an activation; the activation itself is a kernel, see training/optimizers.c. */
#include "../ground/threads.h"
#include "../kernels/rows.h"
#include "check.h"

enum { BLOCK = 16384, WORTH_THREADS = 65536 };

struct activation {
    const struct row_kernels *rows;
    clstm_activation function;
    ptrdiff_t n;
    const char *y, *dy;
    char *dz;
};

static void activation_task(void *context, ptrdiff_t block, int worker) {
    const struct activation *it = context;
    const ptrdiff_t begin = block * BLOCK, count = it->n - begin < BLOCK ? it->n - begin : BLOCK;
    const size_t at = (size_t)begin * it->rows->size;
    it->rows->activate_backward(it->function, count, it->y + at, it->dy + at, it->dz + at);
    (void)worker;
}

clstm_status clstm_activate_backward(const clstm_runtime *runtime, clstm_dtype dtype, clstm_activation function,
                                     ptrdiff_t n, const void *y, const void *dy, void *dz) {
    clstm_status status = check_runtime(runtime);
    if (!status) status = check_dtype(dtype);
    if (!status && n < 0) status = CLSTM_BAD_SIZE;
    if (!status && ((int)function <= CLSTM_USUAL || function >= CLSTM_ACTIVATION_COUNT)) status = CLSTM_BAD_OPTION;
    if (status) return status;
    struct activation it = {row_kernels_of(dtype), function, n, y, dy, dz};
    clstm_parallel(n < WORTH_THREADS ? 1 : runtime->threads, (n + BLOCK - 1) / BLOCK, activation_task, &it);
    return CLSTM_OK;
}
