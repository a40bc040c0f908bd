/* C = bias + A B, or C += A B, over packed panels. Panels outside, rows inside: a panel stays in the nearest cache
 * while all rows pass over it. */
#ifndef CLSTM_PRODUCT_H
#define CLSTM_PRODUCT_H

#include "tile.h"

/* The first `count` lanes of a sum into C, none if count is not positive. */
static void write_part(real *c, const real *sum, ptrdiff_t count, int accumulate) {
    for (ptrdiff_t lane = 0; lane < count && lane < V; lane++) c[lane] = accumulate ? c[lane] + sum[lane] : sum[lane];
}

CLSTM_INLINE void write_tile(const struct product *s, vec sums[MAX_ROWS][PRODUCT_VECTORS], const int R, const int P,
                             const struct slice slice, ptrdiff_t row, ptrdiff_t panel) {
    const ptrdiff_t first = panel * s->panel_step, *vector = s->vector + slice.first;
    if (first + (P - 1) * s->panel_step + vector[slice.vectors - 1] + V <= s->columns) {
        CLSTM_UNROLL for (int r = 0; r < R; r++) {
            CLSTM_UNROLL for (int p = 0; p < P; p++) {
                CLSTM_UNROLL for (int j = 0; j < slice.vectors; j++) {
                    real *c = s->c[row + r] + first + p * s->panel_step + vector[j];
                    store(c, s->accumulate ? load(c) + sums[r * P + p][j] : sums[r * P + p][j]);
                }
            }
        }
        return;
    }
    real lanes[MAX_ROWS][PRODUCT_VECTORS][V]; /* indexed by variables, so that this rare path stays short */
    CLSTM_UNROLL for (int i = 0; i < R * P; i++) {
        CLSTM_UNROLL for (int j = 0; j < slice.vectors; j++) store(lanes[i][j], sums[i][j]);
    }
    for (int i = 0; i < R * P; i++)
        for (int j = 0; j < slice.vectors; j++) {
            const ptrdiff_t column = first + i % P * s->panel_step + vector[j];
            write_part(s->c[row + i / P] + column, lanes[i][j], s->columns - column, s->accumulate);
        }
}

/* Asks for the places of the results: they arrive during the sums. */
CLSTM_INLINE void prefetch_results(const struct product *s, const int R, const int P, const struct slice slice,
                                   ptrdiff_t row, ptrdiff_t panel) {
    const ptrdiff_t first = panel * s->panel_step, *vector = s->vector + slice.first;
    CLSTM_UNROLL for (int i = 0; i < R * P; i++) {
        CLSTM_UNROLL for (int j = 0; j < slice.vectors; j++) {
            __builtin_prefetch(s->c[row + i / P] + first + i % P * s->panel_step + vector[j], 1);
        }
    }
}

CLSTM_INLINE void product_tile(const struct product *s, const int R, const int P, const struct slice slice,
                               ptrdiff_t row, ptrdiff_t panel) {
    TILE_SUMS(sums);
    CLSTM_UNROLL for (int r = 0; r < R; r++) {
        CLSTM_UNROLL for (int p = 0; p < P; p++) {
            CLSTM_UNROLL for (int j = 0; j < slice.vectors; j++) {
                const ptrdiff_t at = (panel + p) * s->panels.vectors + slice.first + j;
                sums[r * P + p][j] = s->bias ? load(s->bias + at * V) : (vec){0};
            }
        }
    }
    prefetch_results(s, R, P, slice, row, panel);
    for (int i = 0; i < s->terms; i++) add_term(sums, R, P, slice, &s->term[i], row, panel);
    write_tile(s, sums, R, P, slice, row, panel);
}

typedef void product_tile_function(const struct product *, int first, ptrdiff_t row, ptrdiff_t panel);

#define PRODUCT_TILE(R, NV)                                                                                           \
    CLSTM_NOINLINE void product_tile_##R##_##NV(const struct product *s, int first, ptrdiff_t row, ptrdiff_t panel) { \
        product_tile(s, R, 1, (struct slice){first, NV}, row, panel);                                                 \
    }
TILES(PRODUCT_TILE, 1)
TILES(PRODUCT_TILE, 2)
TILES(PRODUCT_TILE, 3)
TILES(PRODUCT_TILE, 4)
#if PRODUCT_ROWS == 6
TILES(PRODUCT_TILE, 5)
TILES(PRODUCT_TILE, 6)
#endif

/* [rows - 1][vectors of the slice - 1] */
static product_tile_function *const product_tiles[PRODUCT_ROWS][PRODUCT_VECTORS] = {
    TILE_NAMES(product_tile, 1), TILE_NAMES(product_tile, 2), TILE_NAMES(product_tile, 3), TILE_NAMES(product_tile, 4),
#if PRODUCT_ROWS == 6
    TILE_NAMES(product_tile, 5), TILE_NAMES(product_tile, 6),
#endif
};

/* A single row takes several full panels at once (tile.h, PANELS_AT_ONCE). */
CLSTM_NOINLINE void product_single_row(const struct product *s, ptrdiff_t panel) {
    product_tile(s, 1, PANELS_AT_ONCE(1), (struct slice){0, PRODUCT_VECTORS}, 0, panel);
}

/* A last panel that needs half of a register: multiply-adds of 32 bytes are twice as many in the same time as of 64. */
#if VECTOR_BYTES == 64
typedef real half_vec __attribute__((vector_size(VECTOR_BYTES / 2), aligned(sizeof(real)), may_alias));
enum { HALF = V / 2, HALF_ROWS = 8 };

CLSTM_INLINE half_vec half_fma(half_vec a, half_vec b, half_vec c) {
#if REAL_BITS == 32
    return (half_vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return (half_vec)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#endif
}

/* `count` <= HALF columns from `first` on. */
CLSTM_NOINLINE void half_tile(const struct product *s, ptrdiff_t row, ptrdiff_t first, ptrdiff_t count) {
    const ptrdiff_t panel = s->panels.full;
    const half_vec zero = {0};
    half_vec sums[HALF_ROWS];
    CLSTM_UNROLL for (int r = 0; r < HALF_ROWS; r++) {
        sums[r] = s->bias ? *(const half_vec *)(s->bias + panel * s->panels.vectors * V) : zero;
    }
    for (int i = 0; i < s->terms; i++) {
        const struct term *term = &s->term[i];
        const real *a[HALF_ROWS], *b = term->panels + panel * term->panel_stride;
        CLSTM_UNROLL for (int r = 0; r < HALF_ROWS; r++) a[r] = term->rows[row + r] + term->offset;
        for (ptrdiff_t k = 0, at = 0; k < term->k; k++, at += term->step, b += V) {
            const half_vec w = *(const half_vec *)b;
            CLSTM_UNROLL for (int r = 0; r < HALF_ROWS; r++) sums[r] = half_fma(a[r][at] - zero, w, sums[r]);
        }
    }
    for (int r = 0; r < HALF_ROWS; r++) write_part(s->c[row + r] + first, (const real *)&sums[r], count, s->accumulate);
}

/* Takes as many rows as it can; returns how many. */
static ptrdiff_t product_half_panel(const struct product *s, ptrdiff_t panel, int vectors) {
    const ptrdiff_t first = panel * s->panel_step, count = s->columns - first;
    ptrdiff_t row = 0;
    if (vectors > 1 || panel < s->panels.full || count > HALF) return 0;
    for (; row + HALF_ROWS <= s->rows; row += HALF_ROWS) half_tile(s, row, first, count);
    return row;
}
#else
static ptrdiff_t product_half_panel(const struct product *s, ptrdiff_t panel, int vectors) {
    (void)s, (void)panel, (void)vectors;
    return 0;
}
#endif

static void product_panel(const struct product *s, ptrdiff_t panel) {
    const int vectors = panel < s->panels.full ? s->panels.vectors : s->panels.last;
    const ptrdiff_t done = product_half_panel(s, panel, vectors), rows = s->rows - done, tiles = tile_count(rows);
    for (ptrdiff_t i = 0; i < tiles; i++) {
        const ptrdiff_t row = done + i * rows / tiles, end = done + (i + 1) * rows / tiles;
        for (int first = 0; first < vectors; first += PRODUCT_VECTORS)
            product_tiles[end - row - 1][slice_vectors(first, vectors) - 1](s, first, row, panel);
    }
}

static void product_kernel(const struct product *s, struct panel_range range) {
    const int wide = s->rows == 1 && s->panels.vectors == PRODUCT_VECTORS;
    const struct panel_order order = panel_order_of(range, s->panels, wide ? PANELS_AT_ONCE(1) : 1);
    for (ptrdiff_t i = 0; i < order.steps; i++) {
        int group;
        const ptrdiff_t panel = panel_at(&order, i, &group);
        if (wide && group) product_single_row(s, panel);
        else product_panel(s, panel);
    }
}

#endif
