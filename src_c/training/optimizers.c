/* Work on flat arrays, in blocks that depend on n alone, so that the threads cannot change a bit of a sum. */
#include <math.h>

#include "../ground/threads.h"
#include "../sequences/check.h"
#include "arithmetic.h"

/* A block is at least what a thread does in some microseconds, and a whole number of cache lines. */
enum { MAX_BLOCKS = 256, LEAST_BLOCK = 16384, BLOCK_MULTIPLE = 64 };

struct flat {
    const struct arithmetic *arithmetic;
    clstm_isa isa;
    void (*run)(struct flat *, ptrdiff_t block, ptrdiff_t at, ptrdiff_t n); /* elements at .. at + n - 1 */
    const void *options, *in;
    void *out, *first, *second; /* first and second: what an optimiser remembers */
    double factor;
    clstm_activation function;
    ptrdiff_t n, block;
    double sum[MAX_BLOCKS];
};

static void flat_block(void *context, ptrdiff_t block, int worker) {
    (void)worker;
    struct flat *flat = context;
    const ptrdiff_t at = block * flat->block, left = flat->n - at;
    flat->run(flat, block, at, left < flat->block ? left : flat->block);
}

static clstm_status check_flat(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n) {
    clstm_status status = check_runtime(runtime);
    if (!status) status = check_dtype(dtype);
    if (!status && n != 0) status = check_size(n);
    return status;
}

/* Returns the number of blocks. */
static ptrdiff_t run_flat(struct flat *flat, const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n) {
    flat->arithmetic = arithmetic_of(dtype);
    flat->isa = runtime->isa;
    flat->n = n;
    const ptrdiff_t share = (n + MAX_BLOCKS - 1) / MAX_BLOCKS;
    flat->block = share <= LEAST_BLOCK ? LEAST_BLOCK : (share + BLOCK_MULTIPLE - 1) / BLOCK_MULTIPLE * BLOCK_MULTIPLE;
    const ptrdiff_t blocks = (n + flat->block - 1) / flat->block;
    clstm_parallel(n < WORTH_THREADS ? 1 : runtime->threads, blocks, flat_block, flat);
    return blocks;
}

static void run_sum(struct flat *flat, ptrdiff_t block, ptrdiff_t at, ptrdiff_t n) {
    flat->sum[block] = flat->arithmetic->sum_of_squares(flat->isa, n, element(flat->arithmetic, flat->in, at));
}

clstm_status clstm_global_norm(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, const void *x,
                               double *norm) {
    const clstm_status status = check_flat(runtime, dtype, n);
    if (status) return status;
    struct flat flat = {.run = run_sum, .in = x};
    const ptrdiff_t blocks = run_flat(&flat, runtime, dtype, n);
    double sum = 0;
    for (ptrdiff_t block = 0; block < blocks; block++) sum += flat.sum[block];
    *norm = sqrt(sum);
    return CLSTM_OK;
}

static void run_scale(struct flat *flat, ptrdiff_t block, ptrdiff_t at, ptrdiff_t n) {
    (void)block;
    flat->arithmetic->scale(flat->isa, n, element(flat->arithmetic, flat->out, at), flat->factor);
}

clstm_status clstm_scale(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, void *x, double factor) {
    const clstm_status status = check_flat(runtime, dtype, n);
    if (status) return status;
    run_flat(&(struct flat){.run = run_scale, .out = x, .factor = factor}, runtime, dtype, n);
    return CLSTM_OK;
}

static void run_sgd(struct flat *flat, ptrdiff_t block, ptrdiff_t at, ptrdiff_t n) {
    (void)block;
    const struct arithmetic *arithmetic = flat->arithmetic;
    arithmetic->sgd(flat->isa, n, flat->options, element(arithmetic, flat->out, at), element(arithmetic, flat->in, at),
                    element(arithmetic, flat->first, at));
}

clstm_status clstm_sgd(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, const clstm_sgd_options *options,
                       void *w, const void *g, void *momentum_buffer) {
    clstm_status status = check_flat(runtime, dtype, n);
    if (!status && (options->step < 1 || (options->momentum != 0 && !momentum_buffer))) status = CLSTM_BAD_OPTION;
    if (status) return status;
    run_flat(&(struct flat){.run = run_sgd, .options = options, .out = w, .in = g, .first = momentum_buffer}, runtime,
             dtype, n);
    return CLSTM_OK;
}

static void run_adam(struct flat *flat, ptrdiff_t block, ptrdiff_t at, ptrdiff_t n) {
    (void)block;
    const struct arithmetic *arithmetic = flat->arithmetic;
    arithmetic->adam(flat->isa, n, flat->options, element(arithmetic, flat->out, at), element(arithmetic, flat->in, at),
                     element(arithmetic, flat->first, at), element(arithmetic, flat->second, at));
}

clstm_status clstm_adam(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, const clstm_adam_options *options,
                        void *w, const void *g, void *m, void *v) {
    clstm_status status = check_flat(runtime, dtype, n);
    if (!status && options->step < 1) status = CLSTM_BAD_OPTION;
    if (status) return status;
    run_flat(&(struct flat){.run = run_adam, .options = options, .out = w, .in = g, .first = m, .second = v}, runtime,
             dtype, n);
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
