/* Blocks of V x V elements whose rows become columns. */
#ifndef CLSTM_TRANSPOSE_H
#define CLSTM_TRANSPOSE_H

#include "simd.h"

/* log2 V rounds, each of which puts the lanes of rows i and i + V/2 by turns: a round moves every element by one bit of
 * its address (row, lane), and after all rounds row and lane have changed places. */
CLSTM_INLINE void transpose_block(vec rows[V]) {
    CLSTM_UNROLL for (int round = V; round > 1; round /= 2) {
        vec next[V];
        CLSTM_UNROLL for (int i = 0; i < V / 2; i++) {
            next[2 * i] = interleave_lower(rows[i], rows[i + V / 2]);
            next[2 * i + 1] = interleave_upper(rows[i], rows[i + V / 2]);
        }
        CLSTM_UNROLL for (int i = 0; i < V; i++) rows[i] = next[i];
    }
}

/* to[j][i] += from[i][j] for i < rows, j < columns. Both may end within a block: what lies beyond `from` must be
 * readable up to whole blocks, and is not used. */
static void add_transposed(real *to, ptrdiff_t ldto, const real *from, ptrdiff_t ldfrom, ptrdiff_t rows,
                           ptrdiff_t columns) {
    for (ptrdiff_t j0 = 0; j0 < columns; j0 += V)
        for (ptrdiff_t i0 = 0; i0 < rows; i0 += V) {
            vec block[V];
            const ptrdiff_t count = rows - i0, height = columns - j0 < V ? columns - j0 : V;
            CLSTM_UNROLL for (int i = 0; i < V; i++) block[i] = load(from + (i0 + i) * ldfrom + j0);
            transpose_block(block);
            for (ptrdiff_t j = 0; j < height; j++) {
                real *row = to + (j0 + j) * ldto + i0;
                if (count >= V) store(row, load(row) + block[j]);
                else store_part(row, load_part(row, count) + block[j], count);
            }
        }
}

#endif
