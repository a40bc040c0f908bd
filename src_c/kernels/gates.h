/* The LSTM cell on tiles: the product ends with the four gates of a unit in four registers, and everything that
 * follows happens there; z is not written to memory. */
#ifndef CLSTM_GATES_H
#define CLSTM_GATES_H

#include "activations.h"
#include "tile.h"

struct unit {
    vec i, f, g, o, c;
};

/* c_t = f c_{t-1} + i g; what is left is h_t = o tanh(c_t) */
CLSTM_INLINE struct unit unit_gates(const vec z[4], vec c_prev) {
    struct unit u = {.i = sigmoid_(z[0]), .f = sigmoid_(z[1]), .g = tanh_(z[2]), .o = sigmoid_(z[3])};
    u.c = fma_(u.f, c_prev, u.i * u.g);
    return u;
}

/* Into memory of the caller, which is not padded. */
CLSTM_INLINE void store_units(real *row, ptrdiff_t unit, ptrdiff_t hidden, vec v) {
    if (unit + V <= hidden) store(row + unit, v);
    else store_part(row + unit, v, hidden - unit);
}

CLSTM_INLINE vec start_of(const struct gate_rows *s, ptrdiff_t row, ptrdiff_t panel, int vector) {
    return s->z ? load(s->z[row] + vector * s->ld + panel * V) : load(s->bias + (panel * MAX_VECTORS + vector) * V);
}

/* z[r P + p][vector] of R rows and P panels of WIDTH vectors */
CLSTM_INLINE void gate_sums(vec z[MAX_ROWS][MAX_VECTORS], const struct gate_rows *s, const int R, const int P,
                            const int WIDTH, ptrdiff_t row, ptrdiff_t panel) {
    FOR_EACH_SLICE(slice, WIDTH) {
        TILE_SUMS(sums);
        CLSTM_UNROLL for (int r = 0; r < R; r++) {
            CLSTM_UNROLL for (int p = 0; p < P; p++) {
                CLSTM_UNROLL for (int j = 0; j < slice.vectors; j++) {
                    sums[r * P + p][j] = start_of(s, row + r, panel + p, slice.first + j);
                }
            }
        }
        for (int i = 0; i < s->terms; i++) add_term(sums, R, P, slice, &s->term[i], row, panel);
        /* A second array, because a variable index would drive the sums themselves out of the registers. */
        CLSTM_UNROLL for (int i = 0; i < R * P; i++) {
            CLSTM_UNROLL for (int j = 0; j < slice.vectors; j++) z[i][slice.first + j] = sums[i][j];
        }
    }
}

/* The last panel: its lanes i f g o, `units` of each side by side, become four vectors, with zeros above. */
CLSTM_INLINE void spread_gates(vec z[MAX_VECTORS], const int WIDTH, ptrdiff_t units) {
    real lanes[(MAX_VECTORS + 1) * V];
    const ivec mask = first_lanes(units);
    CLSTM_UNROLL for (int j = 0; j < WIDTH; j++) store(lanes + j * V, z[j]);
    for (int j = WIDTH; j < MAX_VECTORS + 1; j++) store(lanes + j * V, (vec){0});
    CLSTM_UNROLL for (int j = 0; j < MAX_VECTORS; j++) z[j] = masked(load(lanes + j * units), mask);
}

CLSTM_INLINE void store_gates(const struct gate_rows *s, const struct unit *u, ptrdiff_t row, ptrdiff_t unit) {
    real *gates = s->gates + row * 4 * s->ld + unit;
    store(gates, u->i);
    store(gates + s->ld, u->f);
    store(gates + 2 * s->ld, u->g);
    store(gates + 3 * s->ld, u->o);
}

/* Two loops, because tanh(c) has to wait for three gates: of one unit after another, half of the time would be waiting,
 * and a processor does not look as far ahead as the next but one. */
CLSTM_NOINLINE void finish_units(const struct gate_rows *s, vec z[MAX_ROWS][MAX_VECTORS], int R, int P, ptrdiff_t row,
                                 ptrdiff_t panel) {
    vec(*at)[MAX_VECTORS] = z;
    for (ptrdiff_t r = row; r < row + R; r++)
        for (ptrdiff_t unit = panel * V; unit < (panel + P) * V; unit += V, at++) {
            const struct unit u = unit_gates(*at, load(s->c_prev + r * s->ld + unit));
            store(s->c + r * s->ld + unit, u.c);
            if (s->gates) store_gates(s, &u, r, unit);
            (*at)[0] = u.o;
            (*at)[1] = u.c;
        }
    at = z;
    for (ptrdiff_t r = row; r < row + R; r++)
        for (ptrdiff_t unit = panel * V; unit < (panel + P) * V; unit += V, at++) {
            const vec h = (*at)[0] * tanh_((*at)[1]);
            store(s->h + r * s->ld + unit, h);
            if (s->y) store_units(s->y[r], unit, s->hidden, h);
        }
}

/* Asks for the places of the gates on the tape and of y, which nobody has touched for a while and whose order no
 * processor guesses: they arrive during the sums. */
CLSTM_INLINE void prefetch_outputs(const struct gate_rows *s, const int R, const int P, ptrdiff_t row,
                                   ptrdiff_t panel) {
    CLSTM_UNROLL for (int i = 0; i < R * P; i++) {
        const ptrdiff_t r = row + i / P, unit = (panel + i % P) * V;
        if (s->y) __builtin_prefetch(s->y[r] + unit, 1);
        if (!s->gates) continue;
        const real *gates = s->gates + r * 4 * s->ld + unit;
        if (s->z && s->z[r] + unit == gates) continue; /* read at once, as z */
        CLSTM_UNROLL for (int gate = 0; gate < 4; gate++) __builtin_prefetch(gates + gate * s->ld, 1);
    }
}

CLSTM_INLINE void gate_tile(const struct gate_rows *s, const int R, const int P, ptrdiff_t row, ptrdiff_t panel) {
    vec z[MAX_ROWS][MAX_VECTORS];
    prefetch_outputs(s, R, P, row, panel);
    gate_sums(z, s, R, P, MAX_VECTORS, row, panel);
    finish_units(s, z, R, P, row, panel);
}

/* Of the last panel, which has WIDTH vectors. */
CLSTM_INLINE void last_gate_tile(const struct gate_rows *s, const int R, const int WIDTH, ptrdiff_t row) {
    const ptrdiff_t panel = s->panels.full;
    vec z[MAX_ROWS][MAX_VECTORS];
    gate_sums(z, s, R, 1, WIDTH, row, panel);
    for (int i = 0; i < R; i++) spread_gates(z[i], WIDTH, s->hidden - panel * V);
    finish_units(s, z, R, 1, row, panel);
}

typedef void gate_tile_function(const struct gate_rows *, ptrdiff_t row, ptrdiff_t panel);
typedef void last_gate_tile_function(const struct gate_rows *, ptrdiff_t row);

#define GATE_TILE(R, P)                                                                                  \
    CLSTM_NOINLINE void gate_tile_##R##_##P(const struct gate_rows *s, ptrdiff_t row, ptrdiff_t panel) { \
        gate_tile(s, R, P, row, panel);                                                                  \
    }
#define LAST_GATE_TILE(R, NV)                                                                 \
    CLSTM_NOINLINE void last_gate_tile_##R##_##NV(const struct gate_rows *s, ptrdiff_t row) { \
        last_gate_tile(s, R, NV, row);                                                        \
    }
TILES(GATE_TILE, 1)
TILES(LAST_GATE_TILE, 1)
TILES(LAST_GATE_TILE, 2)
TILES(LAST_GATE_TILE, 3)
GATE_TILE(1, 4)
GATE_TILE(2, 2)
#if PRODUCT_ROWS == 6
GATE_TILE(3, 2)
#endif

/* [rows - 1], one full panel at a time */
static gate_tile_function *const gate_tiles[PRODUCT_ROWS] = TILE_NAMES(gate_tile, 1);
/* [vectors - 1][rows - 1] */
static last_gate_tile_function *const last_gate_tiles[MAX_VECTORS - 1][PRODUCT_ROWS] = {
    TILE_NAMES(last_gate_tile, 1), TILE_NAMES(last_gate_tile, 2), TILE_NAMES(last_gate_tile, 3)};

/* [rows - 1]: a single low tile takes several panels at once, see PANELS_AT_ONCE. */
static gate_tile_function *const wide_gate_tiles[PRODUCT_ROWS] = {gate_tile_1_4, gate_tile_2_2,
#if PRODUCT_ROWS == 6
                                                                  gate_tile_3_2
#endif
};

static void gate_panel(const struct gate_rows *s, ptrdiff_t panel) {
    const ptrdiff_t tiles = tile_count(s->rows);
    for (ptrdiff_t i = 0; i < tiles; i++) {
        const ptrdiff_t row = i * s->rows / tiles, height = (i + 1) * s->rows / tiles - row;
        if (panel < s->panels.full) gate_tiles[height - 1](s, row, panel);
        else last_gate_tiles[s->panels.last - 1][height - 1](s, row);
    }
}

/* Whether one row is multiplied panel by panel (tile.h, PANELS_AT_ONCE). */
static int one_stream(const struct gate_rows *s) {
    enum { NEAREST_CACHE = 32 << 10 };
    ptrdiff_t k = 0;
    for (int i = 0; i < s->terms; i++) k += s->term[i].k;
    return PRODUCT_VECTORS == 4 && k * 4 * s->hidden > NEAREST_CACHE / (ptrdiff_t)sizeof(real);
}

static void gate_rows_kernel(const struct gate_rows *s, struct panel_range range) {
    gate_tile_function *const wide =
        s->rows > PRODUCT_ROWS || (s->rows == 1 && one_stream(s)) ? NULL : wide_gate_tiles[s->rows - 1];
    const struct panel_order order = panel_order_of(range, s->panels, wide ? PANELS_AT_ONCE(s->rows) : 1);
    for (ptrdiff_t i = 0; i < order.steps; i++) {
        int group;
        const ptrdiff_t panel = panel_at(&order, i, &group);
        if (wide && group) wide(s, 0, panel);
        else gate_panel(s, panel);
    }
}

#endif
