/* The LSTM cell on tiles: the product ends with the four gates of a unit in four registers, and everything that
 * follows happens there; z is not written to memory. */
#ifndef CLSTM_GATES_H
#define CLSTM_GATES_H

#include "activations.h"
#include "tile.h"

struct unit {
    vec i, f, g, o, c, h;
};

/* c_t = f c_{t-1} + i g,  h_t = o tanh(c_t) */
CLSTM_INLINE struct unit unit_forward(vec zi, vec zf, vec zg, vec zo, vec c_prev) {
    struct unit u = {.i = sigmoid_(zi), .f = sigmoid_(zf), .g = tanh_(zg), .o = sigmoid_(zo)};
    u.c = fma_(u.f, c_prev, u.i * u.g);
    u.h = u.o * tanh_(u.c);
    return u;
}

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

/* Loads and stores of H elements in memory of the caller, which is not padded. */
CLSTM_INLINE void store_units(real *row, ptrdiff_t unit, ptrdiff_t hidden, vec v) {
    if (unit + V <= hidden) store(row + unit, v);
    else store_part(row + unit, v, hidden - unit);
}

CLSTM_INLINE vec load_units(const real *row, ptrdiff_t unit, ptrdiff_t hidden) {
    return unit + V <= hidden ? load(row + unit) : load_part(row + unit, hidden - unit);
}

CLSTM_INLINE void finish_unit(const struct gate_rows *s, const vec z[4], ptrdiff_t row, ptrdiff_t unit) {
    const ptrdiff_t at = row * s->ld + unit;
    const struct unit u = unit_forward(z[0], z[1], z[2], z[3], load(s->c_prev + at));
    store(s->c + at, u.c);
    store(s->h + at, u.h);
    if (s->gates) {
        real *gates = s->gates + row * 4 * s->ld + unit;
        store(gates, u.i);
        store(gates + s->ld, u.f);
        store(gates + 2 * s->ld, u.g);
        store(gates + 3 * s->ld, u.o);
    }
    if (s->y) store_units(s->y[row], unit, s->hidden, u.h);
}

CLSTM_INLINE vec start_of(const struct gate_rows *s, ptrdiff_t row, ptrdiff_t panel, int gate) {
    return s->z ? load(s->z + row * 4 * s->ld + gate * s->ld + panel * V) : load(s->bias + (panel * 4 + gate) * V);
}

CLSTM_INLINE void gate_tile(const struct gate_rows *s, const int R, const int P, ptrdiff_t row, ptrdiff_t panel) {
    TILE_SUMS(sums);
    CLSTM_UNROLL for (int r = 0; r < R; r++) {
        CLSTM_UNROLL for (int p = 0; p < P; p++) {
            CLSTM_UNROLL for (int j = 0; j < 4; j++) sums[r * P + p][j] = start_of(s, row + r, panel + p, j);
        }
    }
    for (int i = 0; i < s->terms; i++) add_term(sums, R, P, 4, &s->term[i], row, panel);
    /* A second array, because a variable index would drive the sums themselves out of the registers. */
    vec z[MAX_ROWS][4];
    CLSTM_UNROLL for (int i = 0; i < R * P; i++) { CLSTM_UNROLL for (int j = 0; j < 4; j++) z[i][j] = sums[i][j]; }
    for (int r = 0; r < R; r++)
        for (int p = 0; p < P; p++) finish_unit(s, z[r * P + p], row + r, (panel + p) * V);
}

typedef void gate_tile_function(const struct gate_rows *, ptrdiff_t row, ptrdiff_t panel);

#define GATE_TILE(R, P)                                                                                  \
    CLSTM_NOINLINE void gate_tile_##R##_##P(const struct gate_rows *s, ptrdiff_t row, ptrdiff_t panel) { \
        gate_tile(s, R, P, row, panel);                                                                  \
    }
GATE_TILE(1, 1)
GATE_TILE(2, 1)
#if GATE_ROWS >= 4
GATE_TILE(3, 1)
GATE_TILE(4, 1)
GATE_TILE(1, 4)
GATE_TILE(2, 2)
#else
GATE_TILE(1, 2)
#endif
#if GATE_ROWS == 6
GATE_TILE(5, 1)
GATE_TILE(6, 1)
GATE_TILE(3, 2)
#endif

/* [rows - 1], one panel at a time */
static gate_tile_function *const gate_tiles[GATE_ROWS] = {
    gate_tile_1_1, gate_tile_2_1,
#if GATE_ROWS >= 4
    gate_tile_3_1, gate_tile_4_1,
#endif
#if GATE_ROWS == 6
    gate_tile_5_1, gate_tile_6_1,
#endif
};

/* A single low tile takes several panels at once, see PANELS_AT_ONCE. */
struct wide_gate_tile {
    gate_tile_function *run;
    ptrdiff_t panels;
};
static const struct wide_gate_tile wide_gate_tiles[GATE_ROWS] = {
#if GATE_ROWS >= 4
    {gate_tile_1_4, 4},
    {gate_tile_2_2, 2},
#else
    {gate_tile_1_2, 2},
#endif
#if GATE_ROWS == 6
    {gate_tile_3_2, 2},
#endif
};

static void gate_rows_kernel(const struct gate_rows *s) {
    const ptrdiff_t tiles = tile_count(s->rows, GATE_ROWS);
    ptrdiff_t panel = s->panel_begin;
    if (tiles == 1 && wide_gate_tiles[s->rows - 1].run) {
        const struct wide_gate_tile wide = wide_gate_tiles[s->rows - 1];
        for (; panel + wide.panels <= s->panel_end; panel += wide.panels) wide.run(s, 0, panel);
    }
    for (; panel < s->panel_end; panel++)
        for (ptrdiff_t i = 0; i < tiles; i++) {
            const ptrdiff_t row = i * s->rows / tiles, end = (i + 1) * s->rows / tiles;
            gate_tiles[end - row - 1](s, row, panel);
        }
}

static void gate_rows_backward_kernel(const struct gate_rows_backward *s) {
    const ptrdiff_t ld = s->ld;
    for (ptrdiff_t row = 0; row < s->rows; row++)
        for (ptrdiff_t unit = 0; unit < s->hidden; unit += V) {
            const ptrdiff_t at = row * ld + unit;
            real *gates = s->gates + row * 4 * ld + unit;
            const struct unit u = {.i = load(gates),
                                   .f = load(gates + ld),
                                   .g = load(gates + 2 * ld),
                                   .o = load(gates + 3 * ld),
                                   .c = load(s->c + at)};
            vec dh = load(s->dh + at);
            if (s->dy) dh += load_units(s->dy[row], unit, s->hidden);
            const struct unit d = unit_backward(u, load(s->c_prev + at), dh, load(s->dc + at));
            store(gates, d.i);
            store(gates + ld, d.f);
            store(gates + 2 * ld, d.g);
            store(gates + 3 * ld, d.o);
            store(s->dc + at, d.c);
        }
}

#endif
