/* C = bias + A B, or C += A B, over packed panels. Panels outside, rows inside: a panel stays in the nearest cache
 * while all rows pass over it. */
#ifndef CLSTM_PRODUCT_H
#define CLSTM_PRODUCT_H

#include "tile.h"

/* The first `count` lanes of a sum into C, none if count is not positive. */
static void write_part(real *c, const real *sum, ptrdiff_t count, int accumulate) {
    for (ptrdiff_t lane = 0; lane < count && lane < V; lane++) c[lane] = accumulate ? c[lane] + sum[lane] : sum[lane];
}

CLSTM_INLINE void write_tile(const struct product *s, vec sums[MAX_ROWS][MAX_VECTORS], const int R, const int P,
                             const int NV, ptrdiff_t row, ptrdiff_t panel) {
    const ptrdiff_t last = (panel + P - 1) * s->panel_step + (NV - 1) * s->vector_step;
    if (last + V <= s->columns) {
        CLSTM_UNROLL for (int r = 0; r < R; r++) {
            CLSTM_UNROLL for (int p = 0; p < P; p++) {
                CLSTM_UNROLL for (int j = 0; j < NV; j++) {
                    real *c = s->c[row + r] + (panel + p) * s->panel_step + j * s->vector_step;
                    store(c, s->accumulate ? load(c) + sums[r * P + p][j] : sums[r * P + p][j]);
                }
            }
        }
        return;
    }
    real lanes[MAX_ROWS][MAX_VECTORS][V]; /* indexed by variables, so that this rare path stays short */
    CLSTM_UNROLL for (int i = 0; i < R * P; i++) {
        CLSTM_UNROLL for (int j = 0; j < NV; j++) store(lanes[i][j], sums[i][j]);
    }
    for (int i = 0; i < R * P; i++)
        for (int j = 0; j < NV; j++) {
            const ptrdiff_t column = (panel + i % P) * s->panel_step + j * s->vector_step;
            write_part(s->c[row + i / P] + column, lanes[i][j], s->columns - column, s->accumulate);
        }
}

CLSTM_INLINE void product_tile(const struct product *s, const int R, const int P, const int NV, ptrdiff_t row,
                               ptrdiff_t panel) {
    TILE_SUMS(sums);
    CLSTM_UNROLL for (int r = 0; r < R; r++) {
        CLSTM_UNROLL for (int p = 0; p < P; p++) {
            CLSTM_UNROLL for (int j = 0; j < NV; j++) {
                sums[r * P + p][j] = s->bias ? load(s->bias + ((panel + p) * s->vectors + j) * V) : (vec){0};
            }
        }
    }
    for (int i = 0; i < s->terms; i++) add_term(sums, R, P, NV, &s->term[i], row, panel);
    write_tile(s, sums, R, P, NV, row, panel);
}

typedef void product_tile_function(const struct product *, ptrdiff_t row, ptrdiff_t panel);

#define PRODUCT_TILE(R, P, NV)                                                                                   \
    CLSTM_NOINLINE void product_tile_##R##_##P##_##NV(const struct product *s, ptrdiff_t row, ptrdiff_t panel) { \
        product_tile(s, R, P, NV, row, panel);                                                                   \
    }
#define PRODUCT_TILES(NV) PRODUCT_TILE(1, 1, NV) PRODUCT_TILE(2, 1, NV) PRODUCT_TILE(3, 1, NV) PRODUCT_TILE(4, 1, NV)
#define PRODUCT_TILE_NAMES(NV) \
    product_tile_1_1_##NV, product_tile_2_1_##NV, product_tile_3_1_##NV, product_tile_4_1_##NV

#if PRODUCT_ROWS == 6
#define TALL_TILES(NV) PRODUCT_TILE(5, 1, NV) PRODUCT_TILE(6, 1, NV)
#define TALL_TILE_NAMES(NV) , product_tile_5_1_##NV, product_tile_6_1_##NV
#else
#define TALL_TILES(NV)
#define TALL_TILE_NAMES(NV)
#endif

PRODUCT_TILES(1)
TALL_TILES(1)
PRODUCT_TILES(2)
TALL_TILES(2)
#if PRODUCT_VECTORS == 4
PRODUCT_TILES(3)
TALL_TILES(3)
PRODUCT_TILES(4)
TALL_TILES(4)
#endif

#if PRODUCT_VECTORS == 2 /* the four gates side by side, in lower tiles */
PRODUCT_TILE(1, 1, 4)
PRODUCT_TILE(2, 1, 4)
#endif

/* [vectors - 1][rows - 1] */
static product_tile_function *const product_tiles[PRODUCT_VECTORS][PRODUCT_ROWS] = {
    {PRODUCT_TILE_NAMES(1) TALL_TILE_NAMES(1)},
    {PRODUCT_TILE_NAMES(2) TALL_TILE_NAMES(2)},
#if PRODUCT_VECTORS == 4
    {PRODUCT_TILE_NAMES(3) TALL_TILE_NAMES(3)},
    {PRODUCT_TILE_NAMES(4) TALL_TILE_NAMES(4)},
#endif
};

/* A single row takes several full panels at once (tile.h, PANELS_AT_ONCE). */
enum { ROW_PANELS = PANELS_AT_ONCE(1, PRODUCT_ROWS) };
CLSTM_NOINLINE void product_single_row(const struct product *s, ptrdiff_t panel) {
    product_tile(s, 1, ROW_PANELS, PRODUCT_VECTORS, 0, panel);
}

static void product_kernel(const struct product *s) {
    const ptrdiff_t tiles = tile_count(s->rows, PRODUCT_ROWS), width = s->vectors * V;
    /* Every panel but the last of the matrix is full. */
    const ptrdiff_t last = s->panel_end - 1, full_end = s->columns >= s->panel_end * width ? s->panel_end : last;
    ptrdiff_t panel = s->panel_begin;
    if (s->rows == 1)
        for (; panel + ROW_PANELS <= full_end; panel += ROW_PANELS) product_single_row(s, panel);
    for (; panel < s->panel_end; panel++) {
        const ptrdiff_t vectors = panel < full_end ? s->vectors : (s->columns - panel * width + V - 1) / V;
        for (ptrdiff_t i = 0; i < tiles; i++) {
            const ptrdiff_t row = i * s->rows / tiles, end = (i + 1) * s->rows / tiles;
            product_tiles[vectors - 1][end - row - 1](s, row, panel);
        }
    }
}

#if PRODUCT_VECTORS == 2
static product_tile_function *const gate_product_tiles[GATE_ROWS] = {product_tile_1_1_4, product_tile_2_1_4};
#else
#define gate_product_tiles product_tiles[3] /* GATE_ROWS is PRODUCT_ROWS there */
#endif

static void gate_product_kernel(const struct product *s) {
    const ptrdiff_t tiles = tile_count(s->rows, GATE_ROWS);
    for (ptrdiff_t panel = s->panel_begin; panel < s->panel_end; panel++)
        for (ptrdiff_t i = 0; i < tiles; i++) {
            const ptrdiff_t row = i * s->rows / tiles, end = (i + 1) * s->rows / tiles;
            gate_product_tiles[end - row - 1](s, row, panel);
        }
}

#endif
