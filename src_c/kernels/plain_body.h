/* The loops of plain.h in one precision; REAL_BITS is set by the including file. Each works on a copy of its numbers,
 * which stores to the arrays cannot change. */
#include "../ground/compiler.h"
#include "../ground/real.h"

#include "plain.h"

static inline real root(real x) { return REAL_BITS == 32 ? (real)__builtin_sqrtf((float)x) : (real)__builtin_sqrt(x); }

void REAL_NAME(clstm_plain_amsgrad)(const struct adam_update *s, real *restrict largest) {
    const struct adam_update a = *s;
    const real *restrict gradient = a.g;
    real *restrict w = a.w, *restrict m = a.m, *restrict v = a.v;
    for (ptrdiff_t i = 0; i < a.n; i++) {
        const real g = gradient[i] + a.l2 * w[i];
        m[i] = a.beta1 * m[i] + a.rest1 * g;
        v[i] = a.beta2 * v[i] + a.rest2 * g * g;
        largest[i] = largest[i] > v[i] ? largest[i] : v[i];
        w[i] = a.decay * w[i] - a.step_size * m[i] / (a.root_scale * root(largest[i]) + a.epsilon);
    }
}

/* The flags are constants at each call, so that the loop has no branch. */
CLSTM_INLINE void rmsprop_loop(const struct rmsprop_update *s, const int centered, const int with_momentum) {
    const struct rmsprop_update a = *s;
    const real *restrict gradient = a.g;
    real *restrict w = a.w, *restrict v = a.v, *restrict m = a.m, *restrict velocity = a.velocity;
    for (ptrdiff_t i = 0; i < a.n; i++) {
        const real g = gradient[i] + a.l2 * w[i];
        real variance = v[i] = a.alpha * v[i] + a.rest * g * g;
        if (centered) {
            m[i] += a.rest * (g - m[i]);
            const real difference = variance - m[i] * m[i]; /* rounding may put it below zero */
            variance = difference > 0 ? difference : 0;
        }
        real d = g / (root(variance) + a.epsilon);
        if (with_momentum) velocity[i] = d = a.momentum * velocity[i] + d;
        w[i] -= a.learning_rate * d;
    }
}

void REAL_NAME(clstm_plain_rmsprop)(const struct rmsprop_update *s) {
    if (s->m) s->velocity ? rmsprop_loop(s, 1, 1) : rmsprop_loop(s, 1, 0);
    else s->velocity ? rmsprop_loop(s, 0, 1) : rmsprop_loop(s, 0, 0);
}

void REAL_NAME(clstm_plain_adagrad)(const struct adagrad_update *s) {
    const struct adagrad_update a = *s;
    const real *restrict gradient = a.g;
    real *restrict w = a.w, *restrict sum = a.sum;
    for (ptrdiff_t i = 0; i < a.n; i++) {
        const real g = gradient[i] + a.l2 * w[i];
        sum[i] += g * g;
        w[i] -= a.rate * g / (root(sum[i]) + a.epsilon);
    }
}

CLSTM_INLINE void asgd_loop(const struct asgd_update *s, const int with_average) {
    const struct asgd_update a = *s;
    const real *restrict gradient = a.g;
    real *restrict w = a.w, *restrict average = a.average;
    for (ptrdiff_t i = 0; i < a.n; i++) {
        const real next = a.keep * w[i] - a.rate * (gradient[i] + a.l2 * w[i]);
        w[i] = next;
        /* a share of 1 is exact: the average is w then, whatever it was */
        if (with_average) average[i] = a.share == 1 ? next : average[i] + a.share * (next - average[i]);
    }
}

void REAL_NAME(clstm_plain_asgd)(const struct asgd_update *s) { s->average ? asgd_loop(s, 1) : asgd_loop(s, 0); }

void REAL_NAME(clstm_plain_clip)(ptrdiff_t n, real *restrict x, real limit) {
    for (ptrdiff_t i = 0; i < n; i++) {
        const real least = x[i] < -limit ? -limit : x[i];
        x[i] = least > limit ? limit : least;
    }
}
