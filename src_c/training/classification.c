/* Losses of classes. The formulas stand in clstm_training.h. */
#include <math.h>

#include "../ground/compiler.h"
#include "losses.h"

/* log(1 + e) for e from 0 to 1, with z = e / (2 + e) <= 1/3:
 *
 *     log(1 + e) = log((1 + z) / (1 - z)) = 2 (z + z^3 / 3 + z^5 / 5 + ..)
 *
 * Small e keep all their digits, and what is left out is less than 1e-17 of the sum. Pairs go
 * side by side, so that their sums do not wait for themselves. */
enum { ABREAST = 4 };
static void log1p_of(double *e, ptrdiff_t count, double *y) {
    enum { TERMS = 17 };
    static const double factor[TERMS] = {2.0,      2.0 / 3,  2.0 / 5,  2.0 / 7,  2.0 / 9,  2.0 / 11,
                                         2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21, 2.0 / 23,
                                         2.0 / 25, 2.0 / 27, 2.0 / 29, 2.0 / 31, 2.0 / 33};
    for (ptrdiff_t j = 0; j < count; j += ABREAST * PAIR) {
        pair z[ABREAST], square[ABREAST], series[ABREAST];
        CLSTM_UNROLL for (int i = 0; i < ABREAST; i++) {
            const pair e_i = *at(e, j + PAIR * i);
            z[i] = e_i / (2 + e_i);
            square[i] = z[i] * z[i];
            series[i] = (pair){0, 0};
        }
        for (int k = TERMS - 1; k >= 0; k--) {
            CLSTM_UNROLL for (int i = 0; i < ABREAST; i++) series[i] = series[i] * square[i] + factor[k];
        }
        CLSTM_UNROLL for (int i = 0; i < ABREAST; i++) * at(y, j + PAIR * i) = z[i] * series[i];
    }
}

/* chunk.e = w. With e = exp(-|x|) and softplus(x) = log(1 + exp(x)) = max(x, 0) + log(1 + e),
 *
 *     loss = a softplus(x) + b softplus(-x)     slope = a sigmoid(x) - b sigmoid(-x)     a = 1 - t, b = w t
 *
 * where nothing cancels: all terms of the loss are at least 0, and so one that is nearly 0 keeps its digits. A logit of
 * infinity is a class of probability 1. */
static void binary(const struct loss *loss, struct chunk *chunk, ptrdiff_t count) {
    const double smoothing = loss->options->smoothing;
    const pair zero = {0, 0};
    double e_[CHUNK], log1p_[CHUNK];
    for (ptrdiff_t j = 0; j < count; j += PAIR) *at(e_, j) = -size_of(*at(chunk->p, j));
    exp_in_double(loss, count, e_);
    for (ptrdiff_t j = count; j % (ABREAST * PAIR); j++) e_[j] = 1;
    log1p_of(e_, count, log1p_);
    for (ptrdiff_t j = 0; j < count; j += PAIR) {
        const pair x = *at(chunk->p, j), t = (1 - smoothing) * *at(chunk->t, j) + 0.5 * smoothing, e = *at(e_, j);
        const pair a = 1 - t, b = *at(chunk->e, j) * t, larger = 1 / (1 + e), smaller = e * larger;
        const pair_bits above = x > 0;
        const pair beyond = either(above, a, b); /* what |x| is multiplied by */
        *at(chunk->value, j) = (a + b) * *at(log1p_, j) + either(beyond == 0, zero, beyond * size_of(x));
        *at(chunk->slope, j) = a * either(above, larger, smaller) - b * either(above, smaller, larger);
    }
}

double clstm_binary_run(const struct loss *loss, ptrdiff_t q, ptrdiff_t steps, double scale) {
    const double *weight = loss->options->class_weight;
    const ptrdiff_t first = q * loss->width, n = steps * loss->width;
    struct chunk chunk;
    double sum = 0;
    ptrdiff_t feature = 0;
    for (ptrdiff_t j = 0; j < CHUNK; j++) chunk.e[j] = 1;
    for (ptrdiff_t i = 0; i < n; i += CHUNK) {
        const ptrdiff_t count = chunk_at(i, n);
        fetch(loss, loss->prediction, first + i, count, chunk.p);
        fetch(loss, loss->target, first + i, count, chunk.t);
        for (ptrdiff_t j = 0; weight && j < count; j++) {
            chunk.e[j] = weight[feature];
            feature = feature + 1 < loss->width ? feature + 1 : 0;
        }
        binary(loss, &chunk, count);
        sum += sum_of_values(&chunk, count);
        store_slopes(loss, &chunk, first + i, count, scale);
    }
    return sum;
}

double clstm_classes_run(const struct loss *loss, ptrdiff_t q, ptrdiff_t steps, double scale) {
    const struct arithmetic *arithmetic = loss->arithmetic;
    return arithmetic->softmax_error(
        loss->isa, steps, loss->width, element(arithmetic, loss->prediction, q * loss->width),
        (const int64_t *)loss->target + q, scale, element(arithmetic, loss->gradient, q * loss->width));
}

/* ---- a target that is a mixture of classes, smoothed or given */

/* chunk.t = q_c of `count` classes from class i on. */
static void load_mixture(const struct loss *loss, struct chunk *chunk, ptrdiff_t q, ptrdiff_t i, ptrdiff_t count) {
    const struct arithmetic *arithmetic = loss->arithmetic;
    const clstm_loss *options = loss->options;
    const double smoothing = options->smoothing, even = smoothing / (double)options->features;
    if (options->kind == CLSTM_CLASSES) {
        const int64_t target = ((const int64_t *)loss->target)[q] - i;
        for (ptrdiff_t j = 0; j < count; j++) chunk->t[j] = j == target;
    } else {
        arithmetic->load(count, element(arithmetic, loss->target, q * loss->width + i), chunk->t);
    }
    for (ptrdiff_t j = 0; j < count; j++) {
        const double weight = options->class_weight ? options->class_weight[i + j] : 1;
        chunk->t[j] = weight * ((1 - smoothing) * chunk->t[j] + even);
    }
}

/* chunk.p = x - top, chunk.e = exp(x - top). */
static void load_exp(const struct loss *loss, struct chunk *chunk, ptrdiff_t at, ptrdiff_t count, double top) {
    loss->arithmetic->load(count, element(loss->arithmetic, loss->prediction, at), chunk->p);
    for (ptrdiff_t j = 0; j < count; j++) chunk->e[j] = chunk->p[j] -= top;
    exp_in_double(loss, count, chunk->e);
}

static double largest_logit(const struct loss *loss, struct chunk *chunk, ptrdiff_t at) {
    double top = -INFINITY;
    for (ptrdiff_t i = 0; i < loss->width; i += CHUNK) {
        const ptrdiff_t count = chunk_at(i, loss->width);
        loss->arithmetic->load(count, element(loss->arithmetic, loss->prediction, at + i), chunk->p);
        for (ptrdiff_t j = 0; j < count; j++) top = chunk->p[j] > top ? chunk->p[j] : top;
    }
    return top;
}

/* One step. With M the largest logit, e_c = exp(x_c - M), S = sum e_c and Q = sum q_c,
 *
 *     loss = Q log S - sum q_c (x_c - M)      slope_c = Q e_c / S - q_c
 *
 * The exponentials of many classes are computed twice, for there is nowhere to keep them in double. */
static double mixture_step(const struct loss *loss, struct chunk *chunk, ptrdiff_t q, double scale) {
    const ptrdiff_t classes = loss->width, first = q * classes;
    const double top = largest_logit(loss, chunk, first);
    double total = 0, mass = 0, linear = 0;
    for (ptrdiff_t i = 0; i < classes; i += CHUNK) {
        const ptrdiff_t count = chunk_at(i, classes);
        load_exp(loss, chunk, first + i, count, top);
        load_mixture(loss, chunk, q, i, count);
        for (ptrdiff_t j = 0; j < count; j++) {
            total += chunk->e[j];
            mass += chunk->t[j];
            linear += chunk->t[j] != 0 ? chunk->t[j] * chunk->p[j] : 0;
        }
    }
    for (ptrdiff_t i = 0; loss->gradient && i < classes; i += CHUNK) {
        const ptrdiff_t count = chunk_at(i, classes);
        if (classes > CHUNK) {
            load_exp(loss, chunk, first + i, count, top);
            load_mixture(loss, chunk, q, i, count);
        }
        for (ptrdiff_t j = 0; j < count; j++) chunk->slope[j] = scale * (mass * (chunk->e[j] / total) - chunk->t[j]);
        loss->arithmetic->store(count, chunk->slope, element(loss->arithmetic, loss->gradient, first + i));
    }
    return mass * log(total) - linear;
}

double clstm_mixture_run(const struct loss *loss, ptrdiff_t q, ptrdiff_t steps, double scale) {
    struct chunk chunk;
    double sum = 0;
    for (ptrdiff_t step = 0; step < steps; step++) sum += mixture_step(loss, &chunk, q + step, scale);
    return sum;
}
