/* Work on flat arrays, in blocks that depend on n alone, so that the threads cannot change a bit of a sum. */
#ifndef CLSTM_FLAT_H
#define CLSTM_FLAT_H

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
    void *out, *first, *second, *third; /* the last three: what an optimiser remembers */
    double factor;
    clstm_activation function;
    ptrdiff_t n, block;
    double sum[MAX_BLOCKS];
};

static inline void flat_block(void *context, ptrdiff_t block, int worker) {
    (void)worker;
    struct flat *flat = context;
    const ptrdiff_t at = block * flat->block, left = flat->n - at;
    flat->run(flat, block, at, left < flat->block ? left : flat->block);
}

static inline clstm_status check_flat(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n) {
    clstm_status status = check_runtime(runtime);
    if (!status) status = check_dtype(dtype);
    if (!status && n != 0) status = check_size(n);
    return status;
}

/* Returns the number of blocks. */
static inline ptrdiff_t run_flat(struct flat *flat, const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n) {
    flat->arithmetic = arithmetic_of(dtype);
    flat->isa = runtime->isa;
    flat->n = n;
    const ptrdiff_t share = (n + MAX_BLOCKS - 1) / MAX_BLOCKS;
    flat->block = share <= LEAST_BLOCK ? LEAST_BLOCK : (share + BLOCK_MULTIPLE - 1) / BLOCK_MULTIPLE * BLOCK_MULTIPLE;
    const ptrdiff_t blocks = (n + flat->block - 1) / flat->block;
    clstm_parallel(n < WORTH_THREADS ? 1 : runtime->threads, blocks, flat_block, flat);
    return blocks;
}

#endif
