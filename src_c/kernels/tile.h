/* The one inner loop: a tile of sums in registers, R rows by P panels of NV vectors.
 *
 * For each k, P NV vectors of weights are loaded once and used for R rows, and one broadcast element of each row for
 * P NV vectors: R P NV fused multiply-adds for P NV + R loads. The sizes are constants at each call, so that the
 * loops over r, p and j disappear and `sums` lives in registers. */
#ifndef CLSTM_TILE_H
#define CLSTM_TILE_H

#include "simd.h"

/* R P is MAX_ROWS at the most. */
#define TILE_SUMS(name) vec name[MAX_ROWS][MAX_VECTORS]

/* sums[r P + p][j] += sum over k of row[r][k] panel[p][k][j] */
CLSTM_INLINE void add_term(vec sums[MAX_ROWS][MAX_VECTORS], const int R, const int P, const int NV,
                           const struct term *term, ptrdiff_t row, ptrdiff_t panel) {
    const real *a[MAX_ROWS], *b = term->panels + panel * term->panel_stride;
    const ptrdiff_t step = term->step, panel_stride = term->panel_stride;
    CLSTM_UNROLL for (int r = 0; r < R; r++) a[r] = term->rows[row + r] + term->offset;
    ptrdiff_t at = 0;
    for (ptrdiff_t k = 0; k < term->k; k++, at += step, b += NV * V) {
        CLSTM_UNROLL for (int p = 0; p < P; p++) {
            vec w[MAX_VECTORS];
            CLSTM_UNROLL for (int j = 0; j < NV; j++) w[j] = load(b + p * panel_stride + j * V);
            CLSTM_UNROLL for (int r = 0; r < R; r++) {
                const vec x = broadcast(a[r][at]);
                CLSTM_UNROLL for (int j = 0; j < NV; j++) sums[r * P + p][j] = fma_(x, w[j], sums[r * P + p][j]);
            }
        }
    }
}

/* Rows are cut into tiles of nearly equal height, at most `height`: no tile is left with a single row when it need
 * not. The first row of tile i of `count` is i n / count. */
CLSTM_INLINE ptrdiff_t tile_count(ptrdiff_t n, ptrdiff_t height) { return (n + height - 1) / height; }

/* Panels that a tile of R rows takes at once: few rows alone are too few independent sums to hide the latency of a
 * multiply-add. */
#define PANELS_AT_ONCE(R, HEIGHT) ((HEIGHT) / (R) >= 4 ? 4 : (HEIGHT) / (R) >= 2 ? 2 : 1)

#endif
