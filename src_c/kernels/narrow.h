/* Products with few columns: lanes go along k. */
#ifndef CLSTM_NARROW_H
#define CLSTM_NARROW_H

#include "transpose.h"

/* The sums of all lanes of QUAD vectors: first within each 16 bytes, then over these, in one order for all. */
CLSTM_INLINE void add_lanes(real sums[QUAD], const vec v[QUAD]) {
    vec columns[QUAD];
    real lanes[V];
    turn_quads(columns, v);
    CLSTM_UNROLL for (int j = 1; j < QUAD; j++) columns[0] += columns[j];
    store(lanes, columns[0]);
    CLSTM_UNROLL for (int i = 0; i < QUAD; i++) {
        sums[i] = lanes[i];
        CLSTM_UNROLL for (int q = QUAD; q < V; q += QUAD) sums[i] += lanes[q + i];
    }
}

/* R rows by C columns */
CLSTM_INLINE void narrow_tile(const struct narrow_product *s, const int R, const int C, ptrdiff_t row,
                              ptrdiff_t column) {
    vec sums[2][4];
    CLSTM_UNROLL for (int j = 0; j < C; j++) { CLSTM_UNROLL for (int r = 0; r < 4; r++) sums[j][r] = (vec){0}; }
    for (int i = 0; i < s->terms; i++) {
        const ptrdiff_t width = s->term[i].runs * s->term[i].run * V;
        const real *b = s->term[i].b + column * width;
        for (ptrdiff_t run = 0; run < s->term[i].runs; run++) {
            const ptrdiff_t start = s->term[i].start[run];
            for (ptrdiff_t k = 0; k < s->term[i].run; k++, b += V) {
                CLSTM_UNROLL for (int r = 0; r < R; r++) {
                    const vec a = load(s->term[i].rows[row + r] + start + k * V);
                    CLSTM_UNROLL for (int j = 0; j < C; j++) sums[j][r] = fma_(a, load(b + j * width), sums[j][r]);
                }
            }
        }
    }
    CLSTM_UNROLL for (int j = 0; j < C; j++) {
        real c[4];
        CLSTM_UNROLL for (int r = 0; r < 4; r += QUAD) {
            if (r < R) add_lanes(c + r, sums[j] + r);
        }
        CLSTM_UNROLL for (int r = 0; r < R; r++) s->c[row + r][s->first + column + j] = c[r];
    }
}

typedef void narrow_tile_function(const struct narrow_product *, ptrdiff_t row, ptrdiff_t column);

#define NARROW_TILE(R, C)                                                                                        \
    CLSTM_NOINLINE void narrow_tile_##R##_##C(const struct narrow_product *s, ptrdiff_t row, ptrdiff_t column) { \
        narrow_tile(s, R, C, row, column);                                                                       \
    }
NARROW_TILE(4, 1)
NARROW_TILE(4, 2)
NARROW_TILE(1, 1)
NARROW_TILE(1, 2)

static void narrow_product_kernel(const struct narrow_product *s) {
    for (ptrdiff_t column = 0; column < s->columns; column += 2) {
        const int pair = column + 1 < s->columns;
        narrow_tile_function *const four = pair ? narrow_tile_4_2 : narrow_tile_4_1;
        narrow_tile_function *const one = pair ? narrow_tile_1_2 : narrow_tile_1_1;
        ptrdiff_t row = 0;
        for (; row + 4 <= s->rows; row += 4) four(s, row, column);
        for (; row < s->rows; row++) one(s, row, column);
    }
}

static void pack_narrow(real *dst, const real *w, ptrdiff_t ldw, int gates, ptrdiff_t hidden, ptrdiff_t columns) {
    const ptrdiff_t run = (hidden + V - 1) / V * V;
    for (ptrdiff_t column = 0; column < columns; column++)
        for (int gate = 0; gate < gates; gate++, dst += run)
            for (ptrdiff_t unit = 0; unit < run; unit++)
                dst[unit] = unit < hidden ? w[(gate * hidden + unit) * ldw + column] : 0;
}

#endif
