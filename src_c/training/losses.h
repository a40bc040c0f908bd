/* What the losses share. losses.c knows which steps count and by what weight; regression.c and classification.c know
 * what a loss is, and work on runs of steps of one row that have the same weight. */
#ifndef CLSTM_TRAINING_LOSSES_H
#define CLSTM_TRAINING_LOSSES_H

#include "arithmetic.h"

struct loss;
/* The sum of a loss over all elements of `steps` steps, from step q of [N T] on; gradient = scale times that of the
 * sum. */
typedef double loss_run(const struct loss *loss, ptrdiff_t q, ptrdiff_t steps, double scale);

loss_run clstm_squared_run, clstm_absolute_run, clstm_huber_run, clstm_quantiles_run, clstm_gaussian_run;
loss_run clstm_binary_run, clstm_classes_run, clstm_mixture_run;

enum { MAX_BLOCKS = 256 };

struct loss {
    const clstm_loss *options;
    clstm_isa isa;
    const struct arithmetic *arithmetic;
    const clstm_batch *batch;
    const void *prediction, *target;
    void *gradient;
    ptrdiff_t width; /* elements of the prediction of a step */
    loss_run *run;
    int even;       /* all steps of a row have the same weight */
    int by_class;   /* the weight of the class is a factor of the whole loss of a step */
    double scale;   /* of the gradient of a step of weight 1 */
    ptrdiff_t rows; /* of a block */
    double sum[MAX_BLOCKS];
};

/* A few elements in double: arithmetic is the same for both precisions, and costs less than to fetch them. They are
 * taken two at a time, which all processors can; an odd count is padded by a zero. */
enum { CHUNK = 64, PAIR = 2 };

typedef double pair __attribute__((vector_size(16), aligned(8), may_alias));
typedef int64_t pair_bits __attribute__((vector_size(16), aligned(8), may_alias));

struct chunk {
    double p[CHUNK], t[CHUNK]; /* prediction and target */
    double e[CHUNK];           /* what a loss needs besides */
    double value[CHUNK], slope[CHUNK];
};

static inline ptrdiff_t chunk_at(ptrdiff_t begin, ptrdiff_t n) { return n - begin < CHUNK ? n - begin : CHUNK; }

static inline pair *at(double *x, ptrdiff_t j) { return (pair *)(x + j); }
/* a where the mask is all ones, b where it is zero. */
static inline pair either(pair_bits mask, pair a, pair b) {
    return (pair)((mask & (pair_bits)a) | (~mask & (pair_bits)b));
}
static inline pair size_of(pair x) { return (pair)((pair_bits)x & INT64_MAX); }

/* exp of n numbers in place. */
static inline void exp_in_double(const struct loss *loss, ptrdiff_t n, double *x) {
    clstm_arithmetic_f64.activate(loss->isa, CLSTM_EXP, n, x, x);
}

/* Elements from i on of an array of the caller. */
static inline void fetch(const struct loss *loss, const void *array, ptrdiff_t i, ptrdiff_t count, double *to) {
    loss->arithmetic->load(count, element(loss->arithmetic, array, i), to);
    if (count % PAIR) to[count] = 0;
}

/* The sum of the first `count` values, in a few sums that do not wait for each other. */
static inline double sum_of_values(struct chunk *chunk, ptrdiff_t count) {
    enum { SUMS = 4 };
    pair sum[SUMS] = {{0}};
    for (ptrdiff_t j = count; j % (SUMS * PAIR); j++) chunk->value[j] = 0;
    for (ptrdiff_t j = 0; j < count; j += SUMS * PAIR)
        for (int k = 0; k < SUMS; k++) sum[k] += *at(chunk->value, j + PAIR * k);
    const pair total = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    return total[0] + total[1];
}

/* The slopes times scale, as the gradient from element i on. */
static inline void store_slopes(const struct loss *loss, struct chunk *chunk, ptrdiff_t i, ptrdiff_t count,
                                double scale) {
    if (!loss->gradient) return;
    for (ptrdiff_t j = 0; j < count; j += PAIR) *at(chunk->slope, j) *= scale;
    loss->arithmetic->store(count, chunk->slope, element(loss->arithmetic, loss->gradient, i));
}

#endif
