/* What is done to flat arrays beside updates: norm, scaling, clipping, activations. */
#include "flat.h"

#include <math.h>

static void run_sum(struct flat *flat, ptrdiff_t block, ptrdiff_t at, ptrdiff_t n) {
    flat->sum[block] = flat->arithmetic->sum_of_squares(flat->isa, n, element(flat->arithmetic, flat->in, at));
}

static double norm_of(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, const void *x) {
    struct flat flat = {.run = run_sum, .in = x};
    const ptrdiff_t blocks = run_flat(&flat, runtime, dtype, n);
    double sum = 0;
    for (ptrdiff_t block = 0; block < blocks; block++) sum += flat.sum[block];
    return sqrt(sum);
}

clstm_status clstm_global_norm(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, const void *x,
                               double *norm) {
    const clstm_status status = check_flat(runtime, dtype, n);
    if (status) return status;
    *norm = norm_of(runtime, dtype, n, x);
    return CLSTM_OK;
}

static void run_scale(struct flat *flat, ptrdiff_t block, ptrdiff_t at, ptrdiff_t n) {
    (void)block;
    flat->arithmetic->scale(flat->isa, n, element(flat->arithmetic, flat->out, at), flat->factor);
}

static void scale_by(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, void *x, double factor) {
    run_flat(&(struct flat){.run = run_scale, .out = x, .factor = factor}, runtime, dtype, n);
}

clstm_status clstm_scale(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, void *x, double factor) {
    const clstm_status status = check_flat(runtime, dtype, n);
    if (status) return status;
    scale_by(runtime, dtype, n, x, factor);
    return CLSTM_OK;
}

static void run_clip(struct flat *flat, ptrdiff_t block, ptrdiff_t at, ptrdiff_t n) {
    (void)block;
    flat->arithmetic->clip(n, element(flat->arithmetic, flat->out, at), flat->factor);
}

clstm_status clstm_clip(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, void *x, double limit) {
    clstm_status status = check_flat(runtime, dtype, n);
    if (!status && !(limit > 0)) status = CLSTM_BAD_OPTION;
    if (status) return status;
    run_flat(&(struct flat){.run = run_clip, .out = x, .factor = limit}, runtime, dtype, n);
    return CLSTM_OK;
}

clstm_status clstm_clip_norms(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t parts, const ptrdiff_t *stops,
                              void *x, double limit) {
    clstm_status status = check_flat(runtime, dtype, parts);
    if (!status && !(limit > 0)) status = CLSTM_BAD_OPTION;
    for (ptrdiff_t k = 0; !status && k < parts; k++)
        if (stops[k] < (k ? stops[k - 1] : 0)) status = CLSTM_BAD_SIZE;
    if (status) return status;
    const struct arithmetic *arithmetic = arithmetic_of(dtype);
    for (ptrdiff_t k = 0; k < parts; k++) {
        const ptrdiff_t start = k ? stops[k - 1] : 0, n = stops[k] - start;
        void *part = element(arithmetic, x, start);
        const double factor = limit / (norm_of(runtime, dtype, n, part) + 1e-6);
        if (factor < 1) scale_by(runtime, dtype, n, part, factor);
    }
    return CLSTM_OK;
}

static void run_activate(struct flat *flat, ptrdiff_t block, ptrdiff_t at, ptrdiff_t n) {
    (void)block;
    flat->arithmetic->activate(flat->isa, flat->function, n, element(flat->arithmetic, flat->in, at),
                               element(flat->arithmetic, flat->out, at));
}

clstm_status clstm_activate(const clstm_runtime *runtime, clstm_dtype dtype, clstm_activation function, ptrdiff_t n,
                            const void *x, void *y) {
    clstm_status status = check_flat(runtime, dtype, n);
    if (!status && ((int)function <= CLSTM_USUAL || function >= CLSTM_ACTIVATION_COUNT)) status = CLSTM_BAD_OPTION;
    if (status) return status;
    run_flat(&(struct flat){.run = run_activate, .function = function, .in = x, .out = y}, runtime, dtype, n);
    return CLSTM_OK;
}
