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
    const ptrdiff_t first = panel * s->panel_step + slice.first * s->vector_step;
    if (first + (P - 1) * s->panel_step + (slice.vectors - 1) * s->vector_step + V <= s->columns) {
        CLSTM_UNROLL for (int r = 0; r < R; r++) {
            CLSTM_UNROLL for (int p = 0; p < P; p++) {
                CLSTM_UNROLL for (int j = 0; j < slice.vectors; j++) {
                    real *c = s->c[row + r] + first + p * s->panel_step + j * s->vector_step;
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
            const ptrdiff_t column = first + i % P * s->panel_step + j * s->vector_step;
            write_part(s->c[row + i / P] + column, lanes[i][j], s->columns - column, s->accumulate);
        }
}

/* Asks for the places of the results: they arrive during the sums. */
CLSTM_INLINE void prefetch_results(const struct product *s, const int R, const int P, const struct slice slice,
                                   ptrdiff_t row, ptrdiff_t panel) {
    const ptrdiff_t first = panel * s->panel_step + slice.first * s->vector_step;
    CLSTM_UNROLL for (int i = 0; i < R * P; i++) {
        CLSTM_UNROLL for (int j = 0; j < slice.vectors; j++) {
            __builtin_prefetch(s->c[row + i / P] + first + i % P * s->panel_step + j * s->vector_step, 1);
        }
    }
}

CLSTM_INLINE void product_tile(const struct product *s, const int R, const int P, const int WIDTH, ptrdiff_t row,
                               ptrdiff_t panel) {
    FOR_EACH_SLICE(slice, WIDTH) {
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
}

typedef void product_tile_function(const struct product *, ptrdiff_t row, ptrdiff_t panel);

#define PRODUCT_TILE(R, NV)                                                                                \
    CLSTM_NOINLINE void product_tile_##R##_##NV(const struct product *s, ptrdiff_t row, ptrdiff_t panel) { \
        product_tile(s, R, 1, NV, row, panel);                                                             \
    }
TILES(PRODUCT_TILE, 1)
TILES(PRODUCT_TILE, 2)
TILES(PRODUCT_TILE, 3)
TILES(PRODUCT_TILE, 4)

/* [vectors - 1][rows - 1] */
static product_tile_function *const product_tiles[MAX_VECTORS][PRODUCT_ROWS] = {
    TILE_NAMES(product_tile, 1), TILE_NAMES(product_tile, 2), TILE_NAMES(product_tile, 3), TILE_NAMES(product_tile, 4)};

/* A single row takes several full panels at once (tile.h, PANELS_AT_ONCE). */
CLSTM_NOINLINE void product_single_row(const struct product *s, ptrdiff_t panel) {
    product_tile(s, 1, PANELS_AT_ONCE(1), PRODUCT_VECTORS, 0, panel);
}

static void product_panel(const struct product *s, ptrdiff_t panel) {
    const ptrdiff_t tiles = tile_count(s->rows);
    const int vectors = panel < s->panels.full ? s->panels.vectors : s->panels.last;
    for (ptrdiff_t i = 0; i < tiles; i++) {
        const ptrdiff_t row = i * s->rows / tiles, end = (i + 1) * s->rows / tiles;
        product_tiles[vectors - 1][end - row - 1](s, row, panel);
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
