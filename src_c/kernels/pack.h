/* Packing: matrices and row slices into the order in which tiles read them (kernels.h, "Panels"). */
#ifndef CLSTM_PACK_H
#define CLSTM_PACK_H

#include "transpose.h"

/* One panel: panel[kk][lane] = rows[lane][kk] for the lanes of `vectors` vectors; a row that is NULL has zeros. */
static void pack_lanes(real *panel, const real *const *rows, ptrdiff_t k, int vectors) {
    const ptrdiff_t width = vectors * V, whole = k - k % V;
    for (ptrdiff_t kk = 0; kk < whole; kk += V)
        for (ptrdiff_t lane0 = 0; lane0 < width; lane0 += V) {
            vec block[V];
            CLSTM_UNROLL for (int i = 0; i < V; i++) {
                block[i] = rows[lane0 + i] ? load(rows[lane0 + i] + kk) : (vec){0};
            }
            transpose_block(block);
            CLSTM_UNROLL for (int i = 0; i < V; i++) store(panel + (kk + i) * width + lane0, block[i]);
        }
    for (ptrdiff_t kk = whole; kk < k; kk++)
        for (ptrdiff_t lane = 0; lane < width; lane++) panel[kk * width + lane] = rows[lane] ? rows[lane][kk] : 0;
}

static void pack_gates(real *dst, const real *w, ptrdiff_t ldw, ptrdiff_t hidden, ptrdiff_t k) {
    const real *rows[4 * V];
    for (ptrdiff_t unit = 0; unit < hidden; unit += V) {
        const ptrdiff_t units = hidden - unit < V ? hidden - unit : V;
        const int vectors = (int)((4 * units + V - 1) / V);
        for (ptrdiff_t lane = 0; lane < vectors * V; lane++)
            rows[lane] = lane < 4 * units ? w + (lane / units * hidden + unit + lane % units) * ldw : NULL;
        pack_lanes(dst, rows, k, vectors);
        dst += k * vectors * V;
    }
}

static void pack_rows(real *dst, const real *w, ptrdiff_t ldw, ptrdiff_t out, ptrdiff_t k) {
    const real *rows[PRODUCT_VECTORS * V];
    for (ptrdiff_t row = 0; row < out; row += PRODUCT_VECTORS * V) {
        const ptrdiff_t left = (out - row + V - 1) / V;
        const int vectors = left < PRODUCT_VECTORS ? (int)left : PRODUCT_VECTORS;
        for (ptrdiff_t lane = 0; lane < vectors * V; lane++) rows[lane] = row + lane < out ? w + (row + lane) * ldw : NULL;
        pack_lanes(dst, rows, k, vectors);
        dst += k * vectors * V;
    }
}

static void pack_columns(real *dst, const real *b, ptrdiff_t ldb, ptrdiff_t k, ptrdiff_t columns) {
    for (ptrdiff_t column = 0; column < columns; column += PRODUCT_VECTORS * V) {
        const ptrdiff_t left = columns - column, lanes = left < PRODUCT_VECTORS * V ? left : PRODUCT_VECTORS * V;
        for (ptrdiff_t kk = 0; kk < k; kk++) {
            const real *from = b + kk * ldb + column;
            ptrdiff_t lane = 0;
            for (; lane + V <= lanes; lane += V, dst += V) store(dst, load(from + lane));
            if (lane < lanes) {
                store(dst, load_part(from + lane, lanes - lane));
                dst += V;
            }
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
