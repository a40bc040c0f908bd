/* The one inner loop: a tile of sums in registers, R rows by P panels of NV vectors.
 *
 * For each k, P NV vectors of weights are loaded once and used for R rows, and one broadcast element of each row for
 * P NV vectors: R P NV fused multiply-adds for P NV + R loads. The sizes are constants at each call, so that the
 * loops over r, p and j disappear and `sums` lives in registers.
 *
 * Where registers are few, a tile takes a panel in several slices of PRODUCT_VECTORS vectors each, more rows at a time
 * instead: 2 rows by 4 vectors are as many sums as 4 by 2, but need 6 loads for 8 multiply-adds and not 4. */
#ifndef CLSTM_TILE_H
#define CLSTM_TILE_H

#include "simd.h"

/* R P is MAX_ROWS at the most. */
#define TILE_SUMS(name) vec name[MAX_ROWS][PRODUCT_VECTORS]

/* The vectors `first` .. first + vectors - 1 of a panel. They stand together for all k, slice behind slice, so that each
 * is read front to back. */
struct slice {
    int first, vectors;
};

/* sums[r P + p][j] += sum over k of row[r][k] panel[p][k][first + j] */
CLSTM_INLINE void add_term(vec sums[MAX_ROWS][PRODUCT_VECTORS], const int R, const int P, const struct slice slice,
                           const struct term *term, ptrdiff_t row, ptrdiff_t panel) {
    const real *a[MAX_ROWS], *b = term->panels + panel * term->panel_stride + slice.first * V * term->k;
    const ptrdiff_t step = term->step, panel_stride = term->panel_stride;
    CLSTM_UNROLL for (int r = 0; r < R; r++) a[r] = term->rows[row + r] + term->offset;
    ptrdiff_t at = 0;
    for (ptrdiff_t k = 0; k < term->k; k++, at += step, b += slice.vectors * V) {
        CLSTM_UNROLL for (int p = 0; p < P; p++) {
            vec w[PRODUCT_VECTORS];
            CLSTM_UNROLL for (int j = 0; j < slice.vectors; j++) w[j] = load(b + p * panel_stride + j * V);
            CLSTM_UNROLL for (int r = 0; r < R; r++) {
                const vec x = broadcast(a[r][at]);
                CLSTM_UNROLL for (int j = 0; j < slice.vectors; j++) {
                    sums[r * P + p][j] = fma_(x, w[j], sums[r * P + p][j]);
                }
            }
        }
    }
}

/* Vectors of the widest panel. */
enum { PANEL_WIDTHS = PRODUCT_VECTORS == 2 ? 6 : 4 };

/* Vectors of the slice that begins at `first` in a panel of `width` vectors. */
CLSTM_INLINE int slice_vectors(int first, int width) {
    return width - first < PRODUCT_VECTORS ? width - first : PRODUCT_VECTORS;
}

/* Rows are cut into tiles of nearly equal height, at most PRODUCT_ROWS: no tile is left with a single row when it need
 * not. The first row of tile i of `count` is i n / count. */
CLSTM_INLINE ptrdiff_t tile_count(ptrdiff_t n) { return (n + PRODUCT_ROWS - 1) / PRODUCT_ROWS; }

/* Panels that a tile of R rows takes at once: few rows alone are too few independent sums to hide the latency of a
 * multiply-add. One row does nothing but read weights: unless they are in the nearest cache, one stream of them is
 * faster than four, if that makes four sums at least. */
#define PANELS_AT_ONCE(R) (PRODUCT_ROWS / (R) >= 4 ? 4 : PRODUCT_ROWS / (R) >= 2 ? 2 : 1)

/* The order in which one call goes over its panels: groups of `at_once` as long as they are full, then one by one, or all
 * of this from the end. Callers turn the order around from step to step, so that each step begins with the weights
 * that the last one has left in the cache. */
struct panel_order {
    ptrdiff_t begin, at_once, groups, steps;
    int backwards;
};

CLSTM_INLINE struct panel_order panel_order_of(struct panel_range range, struct panels panels, ptrdiff_t at_once) {
    const ptrdiff_t full = range.end < panels.full ? range.end : panels.full, count = range.end - range.begin;
    const ptrdiff_t groups = full > range.begin ? (full - range.begin) / at_once : 0;
    return (struct panel_order){range.begin, at_once, groups, count - groups * (at_once - 1), range.backwards};
}

/* The first panel of step i; it is that of a group if *group. */
CLSTM_INLINE ptrdiff_t panel_at(const struct panel_order *order, ptrdiff_t i, int *group) {
    const ptrdiff_t at = order->backwards ? order->steps - 1 - i : i;
    *group = at < order->groups;
    return order->begin + (*group ? at * order->at_once : at + order->groups * (order->at_once - 1));
}

/* Calls define(R, NV) for all widths of a slice; name##_R_NV are listed by TILE_NAMES. */
#if PRODUCT_VECTORS == 4
#define TILES(define, R) define(R, 1) define(R, 2) define(R, 3) define(R, 4)
#define TILE_NAMES(name, R) {name##_##R##_1, name##_##R##_2, name##_##R##_3, name##_##R##_4}
#else
#define TILES(define, R) define(R, 1) define(R, 2)
#define TILE_NAMES(name, R) {name##_##R##_1, name##_##R##_2}
#endif

#endif
