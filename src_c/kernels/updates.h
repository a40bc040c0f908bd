/* Sums of rows, and what optimisers do to flat arrays. Elements do not depend on each other and memory is the limit, so that these are
 * plain loops, which compilers turn into vectors. */
#ifndef CLSTM_UPDATES_H
#define CLSTM_UPDATES_H

#include "sums.h"

static double sum_of_squares_kernel(ptrdiff_t n, const real *x) {
    struct sums sums = {0};
    ptrdiff_t i = 0;
    for (; i + GROUP <= n; i += GROUP) add_squares(&sums, x + i);
    if (i < n) {
        real tail[GROUP];
        copy_tail(tail, x + i, n - i, 0);
        add_squares(&sums, tail);
    }
    return total_of(sums);
}

static void add_rows(real *const *to, ptrdiff_t offset, const real *from, ptrdiff_t ldfrom, ptrdiff_t rows,
                     ptrdiff_t width) {
    for (ptrdiff_t r = 0; r < rows; r++, from += ldfrom) {
        real *restrict sum = to[r] + offset;
        for (ptrdiff_t i = 0; i < width; i++) sum[i] += from[i];
    }
}

static void scale_kernel(ptrdiff_t n, real *x, real factor) {
    for (ptrdiff_t i = 0; i < n; i++) x[i] *= factor;
}

/* The flags are constants at each call, so that the loop has no branch. */
CLSTM_INLINE void sgd_loop(const struct sgd_update *s, const int first, const int nesterov) {
    const ptrdiff_t n = s->n;
    const real learning_rate = s->learning_rate, momentum = s->momentum, rest = s->rest, weight_decay = s->weight_decay;
    const real *restrict gradient = s->g;
    real *restrict w = s->w, *restrict m = s->momentum_buffer;
    for (ptrdiff_t i = 0; i < n; i++) {
        const real g = gradient[i] + weight_decay * w[i];
        m[i] = first ? g : momentum * m[i] + rest * g;
        w[i] -= learning_rate * (nesterov ? g + momentum * m[i] : m[i]);
    }
}

static void sgd_kernel(const struct sgd_update *s) {
    if (s->momentum_buffer == NULL) {
        const real *restrict g = s->g;
        real *restrict w = s->w;
        for (ptrdiff_t i = 0; i < s->n; i++) w[i] -= s->learning_rate * (g[i] + s->weight_decay * w[i]);
    } else if (s->first) {
        s->nesterov ? sgd_loop(s, 1, 1) : sgd_loop(s, 1, 0);
    } else {
        s->nesterov ? sgd_loop(s, 0, 1) : sgd_loop(s, 0, 0);
    }
}

static void adam_kernel(const struct adam_update *s) {
    const struct adam_update a = *s; /* a copy, which stores to the arrays cannot change */
    const real *restrict gradient = a.g;
    real *restrict w = a.w, *restrict m = a.m, *restrict v = a.v;
    for (ptrdiff_t i = 0; i < a.n; i++) {
        const real g = gradient[i] + a.l2 * w[i];
        m[i] = a.beta1 * m[i] + a.rest1 * g;
        v[i] = a.beta2 * v[i] + a.rest2 * g * g;
        w[i] = a.decay * w[i] - a.step_size * m[i] / (a.root_scale * root_(v[i]) + a.epsilon);
    }
}

#endif
