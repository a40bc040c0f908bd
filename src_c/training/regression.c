/* Losses of real numbers. The formulas stand in clstm_training.h; d = p - t. */
#include <math.h>

#include "losses.h"

double clstm_squared_run(const struct loss *loss, ptrdiff_t q, ptrdiff_t steps, double scale) {
    const struct arithmetic *arithmetic = loss->arithmetic;
    const ptrdiff_t at = q * loss->width;
    return arithmetic->squared_error(loss->isa, steps * loss->width, element(arithmetic, loss->prediction, at),
                                     element(arithmetic, loss->target, at), 2 * scale,
                                     element(arithmetic, loss->gradient, at));
}

/* A chunk of elements whose target has the shape of the prediction. Slopes keep a NaN of d. */
typedef void pointwise(const clstm_loss *options, struct chunk *chunk, ptrdiff_t count);

/* above where d > 0, below where d < 0, else d. */
static pair by_sign(pair d, pair above, pair below) { return either(d > 0, above, either(d < 0, below, d)); }

static void absolute(const clstm_loss *options, struct chunk *chunk, ptrdiff_t count) {
    (void)options;
    for (ptrdiff_t j = 0; j < count; j += PAIR) {
        const pair d = *at(chunk->p, j) - *at(chunk->t, j);
        *at(chunk->value, j) = size_of(d);
        *at(chunk->slope, j) = by_sign(d, (pair){1, 1}, (pair){-1, -1});
    }
}

/* With the slope s, which is d between -delta and delta, the loss is s (d - s / 2). */
static void huber(const clstm_loss *options, struct chunk *chunk, ptrdiff_t count) {
    const pair delta = {options->delta, options->delta};
    for (ptrdiff_t j = 0; j < count; j += PAIR) {
        const pair d = *at(chunk->p, j) - *at(chunk->t, j);
        const pair slope = either(d > delta, delta, either(d < -delta, -delta, d));
        *at(chunk->value, j) = slope * (d - 0.5 * slope);
        *at(chunk->slope, j) = slope;
    }
}

static double pointwise_run(const struct loss *loss, pointwise *each, ptrdiff_t q, ptrdiff_t steps, double scale) {
    const ptrdiff_t first = q * loss->width, n = steps * loss->width;
    struct chunk chunk;
    double sum = 0;
    for (ptrdiff_t i = 0; i < n; i += CHUNK) {
        const ptrdiff_t count = chunk_at(i, n);
        fetch(loss, loss->prediction, first + i, count, chunk.p);
        fetch(loss, loss->target, first + i, count, chunk.t);
        each(loss->options, &chunk, count);
        sum += sum_of_values(&chunk, count);
        store_slopes(loss, &chunk, first + i, count, scale);
    }
    return sum;
}

double clstm_absolute_run(const struct loss *loss, ptrdiff_t q, ptrdiff_t steps, double scale) {
    return pointwise_run(loss, absolute, q, steps, scale);
}

double clstm_huber_run(const struct loss *loss, ptrdiff_t q, ptrdiff_t steps, double scale) {
    return pointwise_run(loss, huber, q, steps, scale);
}

/* The targets of `count` elements, from element i of all steps on, and chunk.e = tau. */
static void fetch_quantiles(const struct loss *loss, struct chunk *chunk, ptrdiff_t i, ptrdiff_t count) {
    const ptrdiff_t quantiles = loss->options->quantile_count;
    ptrdiff_t next = i % quantiles, features = (i + count - 1) / quantiles - i / quantiles + 1, feature = 0;
    double t[CHUNK + 1];
    fetch(loss, loss->target, i / quantiles, features, t);
    for (ptrdiff_t j = 0; j < count; j++) {
        chunk->t[j] = t[feature];
        chunk->e[j] = loss->options->quantile[next];
        if (++next == quantiles) next = 0, feature++;
    }
    if (count % PAIR) chunk->t[count] = chunk->e[count] = 0;
}

static void quantile(struct chunk *chunk, ptrdiff_t count) {
    for (ptrdiff_t j = 0; j < count; j += PAIR) {
        const pair d = *at(chunk->p, j) - *at(chunk->t, j), tau = *at(chunk->e, j), slope = by_sign(d, 1 - tau, -tau);
        *at(chunk->value, j) = slope * d;
        *at(chunk->slope, j) = slope;
    }
}

double clstm_quantiles_run(const struct loss *loss, ptrdiff_t q, ptrdiff_t steps, double scale) {
    const ptrdiff_t n = steps * loss->width, first = q * loss->width;
    struct chunk chunk;
    double sum = 0;
    for (ptrdiff_t i = 0; i < n; i += CHUNK) {
        const ptrdiff_t count = chunk_at(i, n);
        fetch(loss, loss->prediction, first + i, count, chunk.p);
        fetch_quantiles(loss, &chunk, first + i, count);
        quantile(&chunk, count);
        sum += sum_of_values(&chunk, count);
        store_slopes(loss, &chunk, first + i, count, scale);
    }
    return sum;
}

/* chunk.p the means, chunk.e = s, whose slopes it becomes. With a = exp(-|s|) <= 1 and v = epsilon + exp(s),
 *
 *     s > 0:  v = exp(s) u, u = 1 + epsilon a      log v = s + log u      1 / v = a / u      exp(s) / v = 1 / u
 *     else:   v = u = epsilon + a                  log v = log u          1 / v = 1 / u      exp(s) / v = a / u
 *
 *     d loss / dm = d / v      d loss / ds = (1 - d^2 / v) exp(s) / v / 2 */
static void gaussian(const struct loss *loss, struct chunk *chunk, ptrdiff_t count) {
    const double epsilon = loss->options->epsilon, constant = loss->options->full ? log(2 * acos(-1.0)) : 0;
    const pair one = {1, 1}, zero = {0, 0};
    double a_[CHUNK], u_[CHUNK];
    for (ptrdiff_t j = 0; j < count; j += PAIR) *at(a_, j) = -size_of(*at(chunk->e, j));
    exp_in_double(loss, count, a_);
    if (count % PAIR) a_[count] = 1;
    for (ptrdiff_t j = 0; j < count; j += PAIR) {
        const pair d = *at(chunk->p, j) - *at(chunk->t, j), s = *at(chunk->e, j), a = *at(a_, j);
        const pair u = either(s > 0, 1 + epsilon * a, epsilon + a), above = a / u, below = 1 / u;
        const pair precision = either(s > 0, above, below), square = d * d * precision;
        *at(u_, j) = u;
        *at(chunk->value, j) = constant + either(s > 0, s, zero) + square;
        *at(chunk->slope, j) = d * precision;
        *at(chunk->e, j) = 0.5 * (one - square) * either(s > 0, below, above);
    }
    for (ptrdiff_t j = 0; j < count; j++) chunk->value[j] = 0.5 * (chunk->value[j] + log(u_[j]));
}

/* Means and s of `count` elements, from element i of all steps on; where the second half of a step begins, F behind. */
static void gather(const struct loss *loss, struct chunk *chunk, ptrdiff_t i, ptrdiff_t count) {
    const ptrdiff_t F = loss->options->features;
    for (ptrdiff_t j = 0, more; j < count; j += more) {
        const ptrdiff_t feature = (i + j) % F, from = (i + j) / F * 2 * F + feature;
        more = F - feature < count - j ? F - feature : count - j;
        loss->arithmetic->load(more, element(loss->arithmetic, loss->prediction, from), chunk->p + j);
        loss->arithmetic->load(more, element(loss->arithmetic, loss->prediction, from + F), chunk->e + j);
    }
    if (count % PAIR) chunk->p[count] = chunk->e[count] = 0;
}

static void scatter(const struct loss *loss, struct chunk *chunk, ptrdiff_t i, ptrdiff_t count, double scale) {
    const ptrdiff_t F = loss->options->features;
    for (ptrdiff_t j = 0; j < count; j += PAIR) {
        *at(chunk->slope, j) *= scale;
        *at(chunk->e, j) *= scale;
    }
    for (ptrdiff_t j = 0, more; j < count; j += more) {
        const ptrdiff_t feature = (i + j) % F, to = (i + j) / F * 2 * F + feature;
        more = F - feature < count - j ? F - feature : count - j;
        loss->arithmetic->store(more, chunk->slope + j, element(loss->arithmetic, loss->gradient, to));
        loss->arithmetic->store(more, chunk->e + j, element(loss->arithmetic, loss->gradient, to + F));
    }
}

double clstm_gaussian_run(const struct loss *loss, ptrdiff_t q, ptrdiff_t steps, double scale) {
    const ptrdiff_t F = loss->options->features, first = q * F, n = steps * F;
    struct chunk chunk;
    double sum = 0;
    for (ptrdiff_t i = 0; i < n; i += CHUNK) {
        const ptrdiff_t count = chunk_at(i, n);
        gather(loss, &chunk, first + i, count);
        fetch(loss, loss->target, first + i, count, chunk.t);
        gaussian(loss, &chunk, count);
        sum += sum_of_values(&chunk, count);
        if (loss->gradient) scatter(loss, &chunk, first + i, count, scale);
    }
    return sum;
}
