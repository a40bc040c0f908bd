/* The gradient of the LSTM cell on tiles: the product with the recurrent weights ends with dh of some units in
 * registers, and their gates become dz there. */
#ifndef CLSTM_GATES_BACKWARD_H
#define CLSTM_GATES_BACKWARD_H

#include "gates.h"

/* dz of the four gates, and dc of the step before, from dh (whole) and dc (from later steps). tanh(c) is computed
 * again: keeping it would cost a sixth more tape. sigmoid' = s (1 - s), tanh' = 1 - t^2. */
CLSTM_INLINE struct unit unit_backward(struct unit u, vec c_prev, vec dh, vec dc) {
    const vec one = broadcast(1), t = tanh_(u.c);
    const vec dct = fma_(dh * u.o, fma_(-t, t, one), dc);
    return (struct unit){
        .i = dct * u.g * u.i * (one - u.i),
        .f = dct * c_prev * u.f * (one - u.f),
        .g = dct * u.i * fma_(-u.g, u.g, one),
        .o = dh * t * u.o * (one - u.o),
        .c = dct * u.f,
    };
}

/* From memory of the caller, which is not padded. */
CLSTM_INLINE vec load_units(const real *row, ptrdiff_t unit, ptrdiff_t hidden) {
    return unit + V <= hidden ? load(row + unit) : load_part(row + unit, hidden - unit);
}

/* dh [V] of one row without dy; its gates become dz and its dc that of the step before. */
CLSTM_INLINE void finish_unit_backward(const struct gate_rows_backward *s, vec dh, ptrdiff_t row, ptrdiff_t unit) {
    const ptrdiff_t ld = s->ld, at = row * ld + unit;
    real *gates = s->gates + row * 4 * ld + unit;
    const struct unit u = {.i = load(gates),
                           .f = load(gates + ld),
                           .g = load(gates + 2 * ld),
                           .o = load(gates + 3 * ld),
                           .c = load(s->c + at)};
    if (s->dy) dh += load_units(s->dy[row], unit, s->hidden);
    const struct unit d = unit_backward(u, load(s->c_prev + at), dh, load(s->dc + at));
    store(gates, d.i);
    store(gates + ld, d.f);
    store(gates + 2 * ld, d.g);
    store(gates + 3 * ld, d.o);
    store(s->dc + at, d.c);
}

CLSTM_NOINLINE void finish_tile_backward(const struct gate_rows_backward *s, vec dh[MAX_ROWS][PRODUCT_VECTORS], int R,
                                         int P, int vectors, ptrdiff_t row, ptrdiff_t unit) {
    for (ptrdiff_t r = row; r < row + R; r++)
        for (int p = 0; p < P; p++, dh++)
            for (int j = 0; j < vectors; j++)
                finish_unit_backward(s, (*dh)[j], r, unit + (p * PRODUCT_VECTORS + j) * V);
}

/* Asks for what the end of the tile will read, one gate before each term of the sums if there are four: it arrives during
 * these, and not so much at once that the weights have to wait. */
CLSTM_INLINE void prefetch_inputs(const struct gate_rows_backward *s, const int R, const int vectors, ptrdiff_t row,
                                  ptrdiff_t unit, int gate) {
    CLSTM_UNROLL for (int r = 0; r < R; r++) {
        const real *gates = s->gates + (row + r) * 4 * s->ld + gate * s->ld + unit;
        CLSTM_UNROLL for (int j = 0; j < vectors * V; j += 64 / (int)sizeof(real)) {
            __builtin_prefetch(gates + j, 1);
            if (gate == 1) __builtin_prefetch(s->c_prev + (row + r) * s->ld + unit + j);
            if (gate == 2 && s->dy) __builtin_prefetch(s->dy[row + r] + unit + j);
        }
    }
}

CLSTM_INLINE void backward_tile(const struct gate_rows_backward *s, const int R, const int P, const int vectors,
                                ptrdiff_t row, ptrdiff_t panel) {
    const struct slice slice = {0, vectors};
    const ptrdiff_t unit = panel * PRODUCT_VECTORS * V;
    TILE_SUMS(sums);
    CLSTM_UNROLL for (int i = 0; i < R * P; i++) {
        CLSTM_UNROLL for (int j = 0; j < vectors; j++) sums[i][j] = (vec){0};
    }
    for (int i = 0; i < s->terms; i++) {
        if (s->terms == 4) prefetch_inputs(s, R, P * vectors, row, unit, i);
        add_term(sums, R, P, slice, &s->term[i], row, panel);
    }
    vec dh[MAX_ROWS][PRODUCT_VECTORS]; /* as in gate_sums */
    CLSTM_UNROLL for (int i = 0; i < R * P; i++) {
        CLSTM_UNROLL for (int j = 0; j < vectors; j++) dh[i][j] = sums[i][j];
    }
    finish_tile_backward(s, dh, R, P, vectors, row, unit);
}

typedef void backward_tile_function(const struct gate_rows_backward *, ptrdiff_t row, ptrdiff_t panel);

#define BACKWARD_TILE(R, NV)                                                                                           \
    CLSTM_NOINLINE void backward_tile_##R##_##NV(const struct gate_rows_backward *s, ptrdiff_t row, ptrdiff_t panel) { \
        backward_tile(s, R, 1, NV, row, panel);                                                                        \
    }
TILES(BACKWARD_TILE, 1)
TILES(BACKWARD_TILE, 2)
#if PRODUCT_VECTORS == 4
TILES(BACKWARD_TILE, 3)
TILES(BACKWARD_TILE, 4)
#endif

/* [vectors - 1][rows - 1] */
static backward_tile_function *const backward_tiles[PRODUCT_VECTORS][PRODUCT_ROWS] = {
    TILE_NAMES(backward_tile, 1), TILE_NAMES(backward_tile, 2),
#if PRODUCT_VECTORS == 4
    TILE_NAMES(backward_tile, 3), TILE_NAMES(backward_tile, 4)
#endif
};

/* A single row takes several full panels at once (tile.h, PANELS_AT_ONCE). */
CLSTM_NOINLINE void backward_single_row(const struct gate_rows_backward *s, ptrdiff_t panel) {
    backward_tile(s, 1, PANELS_AT_ONCE(1), PRODUCT_VECTORS, 0, panel);
}

static void backward_panel(const struct gate_rows_backward *s, ptrdiff_t panel) {
    const ptrdiff_t tiles = tile_count(s->rows);
    const int vectors = panel < s->panels.full ? s->panels.vectors : s->panels.last;
    for (ptrdiff_t i = 0; i < tiles; i++) {
        const ptrdiff_t row = i * s->rows / tiles, height = (i + 1) * s->rows / tiles - row;
        backward_tiles[vectors - 1][height - 1](s, row, panel);
    }
}

static void gate_rows_backward_kernel(const struct gate_rows_backward *s, struct panel_range range) {
    const struct panel_order order = panel_order_of(range, s->panels, s->rows == 1 ? PANELS_AT_ONCE(1) : 1);
    for (ptrdiff_t i = 0; i < order.steps; i++) {
        int group;
        const ptrdiff_t panel = panel_at(&order, i, &group);
        if (s->rows == 1 && group) backward_single_row(s, panel);
        else backward_panel(s, panel);
    }
    for (ptrdiff_t row = 0; range.begin == 0 && row < s->rows; row++)
        for (ptrdiff_t unit = s->first_unit; unit < s->hidden; unit += V)
            finish_unit_backward(s, load(s->dh + row * s->ld + unit), row, unit);
}

#endif
