#define REAL_BITS 64
#include "crf_chain.h"

#include <math.h>
#include <string.h>

#include "../ground/real.h"
#include "../kernels/kernels.h"

#define LEAST_FACTOR 1e-150
#define LEAST_SUM 1e-100

/* Two numbers are what every instruction set can add at once; four of these vectors are a cache line, to which rows are
 * padded, and sums that do not wait for each other. */
typedef double pair __attribute__((vector_size(16), aligned(8), may_alias));
enum { PAIRS = 4, LINE = 2 * PAIRS };

void chain_lay_out(struct chain *chain, struct arena *arena, ptrdiff_t tags) {
    chain->C = tags;
    chain->width = padded(tags);
    double **const matrices[] = {&chain->out_of, &chain->into, &chain->factor_out_of, &chain->factor_into};
    double **const vectors[] = {&chain->shift, &chain->start, &chain->end};
    for (int k = 0; k < 4; k++) *matrices[k] = arena_take(arena, times(tags, chain->width), sizeof(double));
    for (int k = 0; k < 3; k++) *vectors[k] = arena_take(arena, chain->width, sizeof(double));
}

void chain_row_lay_out(struct chain_row *row, const struct chain *chain, struct arena *arena, ptrdiff_t T) {
    double **const steps[] = {&row->alpha, &row->factor, &row->sum};
    double **const vectors[] = {&row->terms, &row->back, &row->exact};
    for (int k = 0; k < 3; k++) *steps[k] = arena_take(arena, times(T, chain->width), sizeof(double));
    for (int k = 0; k < 3; k++) *vectors[k] = arena_take(arena, chain->width, sizeof(double));
    row->pairs = arena_take(arena, times(chain->C, chain->width), sizeof(double));
}

static double greatest(ptrdiff_t n, const double *x) {
    double top = -INFINITY;
    for (ptrdiff_t j = 0; j < n; j++) top = x[j] > top ? x[j] : top;
    return top;
}

/* to = exp(x), 0 where that is less than LEAST_FACTOR; NaN stays NaN. */
static void factors(const struct chain *chain, const double *x, double *to) {
    chain->kernels->activate(CLSTM_EXP, chain->C, x, to);
    for (ptrdiff_t j = 0; j < chain->C; j++) to[j] = to[j] < LEAST_FACTOR ? 0 : to[j];
}

void chain_prepare(struct chain *chain, clstm_isa isa, const clstm_crf *crf) {
    const ptrdiff_t C = chain->C, width = chain->width;
    double *const matrices[] = {chain->out_of, chain->into, chain->factor_out_of, chain->factor_into};
    for (int k = 0; k < 4; k++) memset(matrices[k], 0, (size_t)(C * width) * sizeof(double));
    chain->kernels = kernels_of(isa);
    for (ptrdiff_t j = 0; j < C; j++) {
        double *into = chain->into + j * width, *factor = chain->factor_into + j * width;
        for (ptrdiff_t i = 0; i < C; i++)
            chain->out_of[i * width + j] = into[i] = number_at(crf->dtype, crf->transitions, i * C + j);
        const double top = greatest(C, into);
        chain->shift[j] = isfinite(top) ? top : 0;
        for (ptrdiff_t i = 0; i < C; i++) factor[i] = into[i] - chain->shift[j];
        factors(chain, factor, factor);
        for (ptrdiff_t i = 0; i < C; i++) chain->factor_out_of[i * width + j] = factor[i];
        chain->start[j] = number_at(crf->dtype, crf->start, j);
        chain->end[j] = number_at(crf->dtype, crf->end, j);
    }
}

void chain_read(const struct chain *chain, struct chain_row *row, clstm_dtype dtype, ptrdiff_t length,
                const void *emissions) {
    const ptrdiff_t C = chain->C, width = chain->width;
    for (ptrdiff_t t = 0; t < length; t++) {
        double *to = row->alpha + t * width;
        if (dtype == CLSTM_F64) memcpy(to, (const double *)emissions + t * C, (size_t)C * sizeof(double));
        else
            for (ptrdiff_t j = 0; j < C; j++) to[j] = (double)((const float *)emissions)[t * C + j];
    }
}

/* y [width] = or, to add, += sum_i x[i stride] m[i], of n rows of m, each `width` apart. */
static void combine(ptrdiff_t n, ptrdiff_t width, const double *x, ptrdiff_t stride, const double *m, double *y,
                    int add) {
    for (ptrdiff_t j = 0; j < width; j += LINE) {
        pair *to = (pair *)(y + j), sum[PAIRS] = {{0}};
        for (int k = 0; add && k < PAIRS; k++) sum[k] = to[k];
        for (ptrdiff_t i = 0; i < n; i++) {
            const pair *row = (const pair *)(m + i * width + j);
            const pair factor = {x[i * stride], x[i * stride]};
            for (int k = 0; k < PAIRS; k++) sum[k] += factor * row[k];
        }
        for (int k = 0; k < PAIRS; k++) to[k] = sum[k];
    }
}

/* log sum_i exp(x_i + w_i) and its terms exp(x_i + w_i - greatest), with their sum. Of nothing but -infinity the sum of
 * the terms is 0, and that of the logarithms what they are, NaN if there is one. */
static double log_sum(const struct chain *chain, const double *x, const double *w, double *terms, double *total) {
    double all = 0;
    *total = 0;
    for (ptrdiff_t i = 0; i < chain->C; i++) all += terms[i] = x[i] + w[i];
    const double top = greatest(chain->C, terms);
    if (top == -INFINITY) {
        memset(terms, 0, (size_t)chain->C * sizeof *terms);
        return all;
    }
    for (ptrdiff_t i = 0; i < chain->C; i++) terms[i] -= top;
    chain->kernels->activate(CLSTM_EXP, chain->C, terms, terms);
    for (ptrdiff_t i = 0; i < chain->C; i++) *total += terms[i];
    return top + log(*total);
}

static void advance(const struct chain *chain, struct chain_row *row, ptrdiff_t t) {
    const ptrdiff_t width = chain->width;
    double *alpha = row->alpha + t * width, *sum = row->sum + t * width, total;
    combine(chain->C, width, row->factor + (t - 1) * width, 1, chain->factor_out_of, sum, 0);
    for (ptrdiff_t j = 0; j < chain->C; j++)
        if (sum[j] >= LEAST_SUM) {
            alpha[j] += chain->shift[j] + log(sum[j]);
        } else {
            alpha[j] += log_sum(chain, alpha - width, chain->into + j * width, row->terms, &total);
            sum[j] = 0;
        }
}

/* Moves the greatest alpha to 0 and returns what it was; if no tag can be reached, -infinity, or NaN if there is one. */
static double rescale(const struct chain *chain, double *alpha, double *factor) {
    double top = greatest(chain->C, alpha), all = 0;
    for (ptrdiff_t j = 0; j < chain->C; j++) all += alpha[j];
    for (ptrdiff_t j = 0; j < chain->C; j++) alpha[j] -= top == -INFINITY ? 0 : top;
    factors(chain, alpha, factor);
    return top == -INFINITY ? all : top;
}

/* The score is subtracted step by step: the difference stays small where both of them are large. */
double chain_forward(const struct chain *chain, struct chain_row *row, ptrdiff_t length, const int64_t *tags) {
    const ptrdiff_t width = chain->width;
    double difference = 0;
    for (ptrdiff_t t = 0; t < length; t++) {
        double *alpha = row->alpha + t * width, score = tags ? alpha[tags[t]] : 0;
        if (tags) score += t ? chain->out_of[tags[t - 1] * width + tags[t]] : chain->start[tags[0]];
        if (t > 0) advance(chain, row, t);
        else
            for (ptrdiff_t j = 0; j < chain->C; j++) alpha[j] += chain->start[j];
        difference += rescale(chain, alpha, row->factor + t * width) - score;
    }
    const double last = log_sum(chain, row->alpha + (length - 1) * width, chain->end, row->terms, &row->total);
    return difference + (last - (tags ? chain->end[tags[length - 1]] : 0));
}

/* What a sum that was too small hands back: each term's share of g, to row->exact, and to pairs. */
static void hand_back(const struct chain *chain, struct chain_row *row, ptrdiff_t t, ptrdiff_t j, double *pairs) {
    const ptrdiff_t width = chain->width;
    double total;
    log_sum(chain, row->alpha + (t - 1) * width, chain->into + j * width, row->terms, &total);
    const double share = row->alpha[t * width + j] / total;
    for (ptrdiff_t i = 0; i < chain->C; i++) {
        row->exact[i] += share * row->terms[i];
        if (pairs) pairs[i * width + j] += share * row->terms[i];
    }
}

void chain_backward(const struct chain *chain, struct chain_row *row, ptrdiff_t length, double scale, double *pairs) {
    const ptrdiff_t C = chain->C, width = chain->width;
    double *g = row->alpha + (length - 1) * width;
    for (ptrdiff_t j = 0; j < C; j++) g[j] = scale * (row->terms[j] / row->total);
    for (ptrdiff_t t = length - 1; t > 0; t--, g -= width) {
        double *sum = row->sum + t * width, *before = g - width;
        const double *factor = row->factor + (t - 1) * width;
        memset(row->exact, 0, (size_t)width * sizeof(double));
        for (ptrdiff_t j = 0; j < C; j++)
            if (sum[j] > 0) sum[j] = g[j] / sum[j];
            else if (g[j] != 0) hand_back(chain, row, t, j, pairs);
        combine(C, width, sum, 1, chain->factor_into, row->back, 0);
        for (ptrdiff_t i = 0; i < C; i++) before[i] = factor[i] * row->back[i] + row->exact[i];
    }
}

void chain_add_pairs(const struct chain *chain, struct chain_row *row, ptrdiff_t length) {
    const ptrdiff_t width = chain->width;
    for (ptrdiff_t i = 0; i < chain->C; i++)
        combine(length - 1, width, row->factor + i, width, row->sum + width, row->pairs + i * width, 1);
}
