/* One row of a linear-chain conditional random field: forward, backward and best path, all in double.
 *
 * The recursion of the log-sums, of tags i before and j after, with emissions e and transitions W,
 *
 *     alpha_t(j) = e_t(j) + log sum_i exp(alpha_{t-1}(i) + W(i,j))
 *
 * is computed with two kinds of factors that are at most 1: exp(alpha_{t-1}(i)), since alpha is kept with its maximum at
 * 0, and exp(W(i,j) - shift(j)), which is the same at each step. So the sum is a product of a vector and a matrix, and
 * only C exponentials and logarithms are left of C^2 in each step.
 *
 * Why this is as exact as the logarithms: factors below LEAST_FACTOR = 1e-150 are taken for 0, so that no product is
 * subnormal, and each term of a sum that is lost, whether by one factor or the other, is below 1e-150. A sum of at least
 * LEAST_SUM = 1e-100 has lost less than C 1e-50 of itself, which no double shows. A smaller one (what leads to j is
 * forbidden, or nearly so, or not worth comparing with the best) is computed again from the logarithms, for this t and j
 * alone, forward and backward. The same holds for the derivatives, with g_t(j) = d log Z / d e_t(j), the marginal:
 *
 *     r_t(j) = g_t(j) / sum_t(j)     g_{t-1}(i) = exp(alpha_{t-1}(i)) sum_j exp(W(i,j) - shift(j)) r_t(j)
 *
 * where r is at most 1e100, and what a lost factor makes of it below 1e-50. Nothing is ever subtracted. */
#ifndef CLSTM_CRF_CHAIN_H
#define CLSTM_CRF_CHAIN_H

#include "../clstm_training.h"
#include "../ground/arena.h"

struct kernels;

/* The parameters, prepared once for a call. */
struct chain {
    const struct kernels *kernels;       /* of double */
    ptrdiff_t C, width;                  /* tags, and what they are padded to with zeros */
    double *out_of, *into;               /* [C][width] W(i,j) as [i][j], and as [j][i] */
    double *factor_out_of, *factor_into; /* exp(W(i,j) - shift(j)) both ways */
    double *shift, *start, *end;         /* [width] */
};

/* Working memory for one row at a time. */
struct chain_row {
    double *alpha;        /* [T][width] emissions; alpha, its maximum at 0; after backward the marginals, times scale */
    double *factor;       /* [T][width] exp(alpha) */
    double *sum;          /* [T][width] the sums, 0 where they are too small; after backward r, times scale */
    double *terms;        /* [width] those of the last log-sum, by their greatest */
    double *back, *exact; /* [width] */
    double *pairs;        /* [C][width] */
    double total;         /* sum of the terms of log Z */
};

/* Places the arrays; chain->C and chain->width are set. */
void chain_lay_out(struct chain *chain, struct arena *arena, ptrdiff_t tags);
void chain_row_lay_out(struct chain_row *row, const struct chain *chain, struct arena *arena, ptrdiff_t T);
void chain_prepare(struct chain *chain, clstm_isa isa, const clstm_crf *crf);

/* alpha = emissions [length][C] */
void chain_read(const struct chain *chain, struct chain_row *row, clstm_dtype dtype, ptrdiff_t length,
                const void *emissions);

/* log Z less the score of the path `tags`; NULL: log Z. Length is at least 1 here and below. */
double chain_forward(const struct chain *chain, struct chain_row *row, ptrdiff_t length, const int64_t *tags);

/* After chain_forward. Of the expected transitions, times scale, adds to pairs [C][width] those whose sums were too
 * small; NULL: they are not wanted. */
void chain_backward(const struct chain *chain, struct chain_row *row, ptrdiff_t length, double scale, double *pairs);

/* The others: row->pairs += sum over t of exp(alpha_{t-1}(i)) r_t(j), to be multiplied by factor_out_of. */
void chain_add_pairs(const struct chain *chain, struct chain_row *row, ptrdiff_t length);

/* The best path of what chain_read has read, among equal ones that with the lowest last tag, of these that with the lowest
 * before it, and so on; and its score. from [T][width] is working memory. */
double chain_best(const struct chain *chain, struct chain_row *row, ptrdiff_t length, int32_t *from, int64_t *path);

static inline double number_at(clstm_dtype dtype, const void *array, ptrdiff_t i) {
    return dtype == CLSTM_F32 ? (double)((const float *)array)[i] : ((const double *)array)[i];
}

static inline void put_number(clstm_dtype dtype, void *array, ptrdiff_t i, double value) {
    if (dtype == CLSTM_F32) ((float *)array)[i] = (float)value;
    else ((double *)array)[i] = value;
}

#endif
