/* The algorithm of Viterbi (1967): as the forward recursion, with the greatest term in the place of the log-sum. */
#include <math.h>

#include "crf_chain.h"

typedef double pair __attribute__((vector_size(16), aligned(8), may_alias));
typedef int64_t index_pair __attribute__((vector_size(16), aligned(8), may_alias));
enum { PAIRS = 4, LINE = 2 * PAIRS };

static index_pair chosen(index_pair mask, index_pair a, index_pair b) { return (a & mask) | (b & ~mask); }

/* For tags j .. j+LINE-1: best(j) = max_i before(i) + W(i,j), and the first i that has it. */
static void best_before(const struct chain *chain, const double *before, ptrdiff_t j, double *best, int32_t *from) {
    const double *w = chain->out_of + j;
    pair top[PAIRS];
    index_pair where[PAIRS] = {{0}};
    for (int k = 0; k < PAIRS; k++) top[k] = ((const pair *)w)[k] + (pair){before[0], before[0]};
    for (ptrdiff_t i = 1; i < chain->C; i++) {
        const pair *row = (const pair *)(w + i * chain->width), of_i = {before[i], before[i]};
        const index_pair i_pair = {i, i};
        for (int k = 0; k < PAIRS; k++) {
            const pair score = row[k] + of_i;
            const index_pair better = score > top[k];
            top[k] = (pair)chosen(better, (index_pair)score, (index_pair)top[k]);
            where[k] = chosen(better, i_pair, where[k]);
        }
    }
    for (int k = 0; k < LINE; k++) {
        best[j + k] = top[k / 2][k % 2];
        from[j + k] = (int32_t)where[k / 2][k % 2];
    }
}

double chain_best(const struct chain *chain, struct chain_row *row, ptrdiff_t length, int32_t *from, int64_t *path) {
    const ptrdiff_t C = chain->C, width = chain->width;
    for (ptrdiff_t j = 0; j < C; j++) row->alpha[j] += chain->start[j];
    for (ptrdiff_t t = 1; t < length; t++) {
        double *alpha = row->alpha + t * width;
        for (ptrdiff_t j = 0; j < width; j += LINE) best_before(chain, alpha - width, j, row->back, from + t * width);
        for (ptrdiff_t j = 0; j < C; j++) alpha[j] += row->back[j];
    }
    const double *last = row->alpha + (length - 1) * width;
    ptrdiff_t tag = 0;
    for (ptrdiff_t j = 1; j < C; j++)
        if (last[j] + chain->end[j] > last[tag] + chain->end[tag]) tag = j;
    const double score = last[tag] + chain->end[tag];
    for (ptrdiff_t t = length - 1; t >= 0; t--) {
        path[t] = tag;
        if (t > 0) tag = from[t * width + tag];
    }
    return score;
}
