/* Packing: matrices and row slices into the order in which tiles read them (kernels.h, "Panels"). */
#ifndef CLSTM_PACK_H
#define CLSTM_PACK_H

#include "simd.h"

/* One panel whose vector j holds the rows first[j] .. of w as lanes, count[j] of them and zeros above. k is walked in
 * short blocks, so that the lines written for one lane are still in cache for the next. */
static void pack_lanes(real *panel, const real *w, ptrdiff_t ldw, ptrdiff_t k, int vectors, const ptrdiff_t *first,
                       const ptrdiff_t *count) {
    enum { BLOCK = 16 };
    for (ptrdiff_t k0 = 0; k0 < k; k0 += BLOCK) {
        const ptrdiff_t k1 = k0 + BLOCK < k ? k0 + BLOCK : k;
        for (int j = 0; j < vectors; j++)
            for (ptrdiff_t lane = 0; lane < V; lane++) {
                real *to = panel + j * V + lane;
                const real *row = w + (first[j] + lane) * ldw;
                if (lane < count[j])
                    for (ptrdiff_t kk = k0; kk < k1; kk++) to[kk * vectors * V] = row[kk];
                else
                    for (ptrdiff_t kk = k0; kk < k1; kk++) to[kk * vectors * V] = 0;
            }
    }
}

static ptrdiff_t lanes_left(ptrdiff_t size, ptrdiff_t begin) {
    const ptrdiff_t left = size - begin;
    return left < 0 ? 0 : left < V ? left : V;
}

static void pack_gates(real *dst, const real *w, ptrdiff_t ldw, ptrdiff_t hidden, ptrdiff_t k) {
    for (ptrdiff_t unit = 0; unit < hidden; unit += V, dst += k * 4 * V) {
        ptrdiff_t first[4], count[4];
        for (int gate = 0; gate < 4; gate++) {
            first[gate] = gate * hidden + unit;
            count[gate] = lanes_left(hidden, unit);
        }
        pack_lanes(dst, w, ldw, k, 4, first, count);
    }
}

/* Vectors that panels starting at column `begin` still hold of `columns`. */
static int vectors_left(ptrdiff_t columns, ptrdiff_t begin) {
    const ptrdiff_t left = (columns - begin + V - 1) / V;
    return left < PRODUCT_VECTORS ? (int)left : PRODUCT_VECTORS;
}

static void pack_rows(real *dst, const real *w, ptrdiff_t ldw, ptrdiff_t out, ptrdiff_t k) {
    for (ptrdiff_t row = 0; row < out; row += PRODUCT_VECTORS * V) {
        const int vectors = vectors_left(out, row);
        ptrdiff_t first[MAX_VECTORS], count[MAX_VECTORS];
        for (int j = 0; j < vectors; j++) {
            first[j] = row + j * V;
            count[j] = lanes_left(out, first[j]);
        }
        pack_lanes(dst, w, ldw, k, vectors, first, count);
        dst += k * vectors * V;
    }
}

static void pack_columns(real *dst, const real *b, ptrdiff_t ldb, ptrdiff_t k, ptrdiff_t columns) {
    for (ptrdiff_t column = 0; column < columns; column += PRODUCT_VECTORS * V) {
        const int vectors = vectors_left(columns, column);
        for (ptrdiff_t kk = 0; kk < k; kk++, dst += vectors * V)
            for (int j = 0; j < vectors; j++) {
                const real *from = b + kk * ldb + column + j * V;
                const ptrdiff_t count = lanes_left(columns, column + j * V);
                store(dst + j * V, count == V ? load(from) : load_part(from, count));
            }
    }
}

static void pack_piece(real *dst, ptrdiff_t width, ptrdiff_t lane0, const real *const *rows, ptrdiff_t offset,
                       ptrdiff_t count, ptrdiff_t k) {
    dst += lane0;
    if (count == PRODUCT_ROWS) { /* a full tile: a copy of constant size needs no call */
        for (ptrdiff_t kk = 0; kk < k; kk++) memcpy(dst + kk * width, rows[kk] + offset, PRODUCT_ROWS * sizeof(real));
        return;
    }
    for (ptrdiff_t kk = 0; kk < k; kk++) {
        const real *from = rows[kk] + offset;
        real *to = dst + kk * width;
        ptrdiff_t j = 0;
        for (; j + V <= count; j += V) store(to + j, load(from + j));
        for (; j < count; j++) to[j] = from[j];
    }
}

#endif
