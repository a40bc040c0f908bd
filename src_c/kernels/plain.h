/* Updates of flat arrays that are compiled once, for the instruction set that every processor has: memory is their limit,
 * and a body for each instruction set would gain little and weigh much. They live with the kernels for the flags of the
 * compiler, which turns their loops into vectors. All arrays have n elements; formulas stand in clstm_training.h. */
#ifndef CLSTM_PLAIN_H
#define CLSTM_PLAIN_H

#include "kernels.h"

/* m NULL: not centered; velocity NULL: no momentum. rest is 1 - alpha. */
struct rmsprop_update {
    ptrdiff_t n;
    real *w, *v, *m, *velocity;
    const real *g;
    real learning_rate, alpha, rest, epsilon, momentum, l2;
};

struct adagrad_update {
    ptrdiff_t n;
    real *w, *sum;
    const real *g;
    real rate, epsilon, l2;
};

/* average NULL: none. keep is 1 - lambd rate. */
struct asgd_update {
    ptrdiff_t n;
    real *w, *average;
    const real *g;
    real rate, keep, share, l2;
};

void REAL_NAME(clstm_plain_amsgrad)(const struct adam_update *, real *largest);
void REAL_NAME(clstm_plain_rmsprop)(const struct rmsprop_update *);
void REAL_NAME(clstm_plain_adagrad)(const struct adagrad_update *);
void REAL_NAME(clstm_plain_asgd)(const struct asgd_update *);
void REAL_NAME(clstm_plain_clip)(ptrdiff_t n, real *x, real limit);

#endif
