/* Packing: matrices and row slices into the order in which tiles read them (kernels.h, "Panels"). */
#ifndef CLSTM_PACK_H
#define CLSTM_PACK_H

#include "transpose.h"

/* Elements of a row that are packed together. A vector that is a line of the cache is written at once, and then few long
 * rows are read best; of shorter ones, the panel has to stay in the nearest cache until its lines are full. */
enum { PACK_BLOCK = (VECTOR_BYTES == 64 ? 4096 : 256) / sizeof(real) };

/* Columns [k0, k1) of V rows: panel[k][lane] = rows[lane][k], the columns of the panel `width` apart. */
CLSTM_INLINE void pack_block(real *panel, ptrdiff_t width, const real *const *rows, ptrdiff_t k0, ptrdiff_t k1) {
    ptrdiff_t k = k0;
    for (; k + QUAD <= k1; k += QUAD) {
        vec columns[QUAD];
        load_columns(columns, rows, k);
        CLSTM_UNROLL for (int j = 0; j < QUAD; j++) store(panel + (k + j) * width, columns[j]);
    }
    for (; k < k1; k++)
        for (int lane = 0; lane < V; lane++) panel[k * width + lane] = rows[lane][k];
}

/* The same where rows behind the first ones are NULL, which gives zeros. */
static void pack_block_part(real *panel, ptrdiff_t width, const real *const *rows, ptrdiff_t k0, ptrdiff_t k1) {
    const real *some[V];
    ptrdiff_t count = 0;
    for (int lane = 0; lane < V; lane++) {
        some[lane] = rows[lane] ? rows[lane] : rows[0];
        count += rows[lane] != NULL;
    }
    const ivec mask = first_lanes(count);
    pack_block(panel, width, some, k0, k1);
    for (ptrdiff_t k = k0; k < k1; k++) store(panel + k * width, masked(load(panel + k * width), mask));
}

/* One slice of a panel: slice[k][lane] = rows[lane][k] for the lanes of `vectors` vectors, of each of which at least the
 * first has a row, and the last if all have. */
static void pack_slice(real *slice, const real *const *rows, ptrdiff_t k, int vectors) {
    const ptrdiff_t width = vectors * V;
    for (ptrdiff_t k0 = 0; k0 < k; k0 += PACK_BLOCK) {
        const ptrdiff_t k1 = k - k0 < PACK_BLOCK ? k : k0 + PACK_BLOCK;
        for (ptrdiff_t lane = 0; lane < width; lane += V)
            if (rows[lane + V - 1]) pack_block(slice + lane, width, rows + lane, k0, k1);
            else pack_block_part(slice + lane, width, rows + lane, k0, k1);
    }
}

/* One panel of `vectors` vectors, slice by slice. */
static void pack_panel(real *panel, const real *const *rows, ptrdiff_t k, int vectors) {
    for (int first = 0; first < vectors; first += PRODUCT_VECTORS) {
        const int left = vectors - first;
        pack_slice(panel + first * V * k, rows + first * V, k, left < PRODUCT_VECTORS ? left : PRODUCT_VECTORS);
    }
}

static void pack_gates(real *dst, const real *w, ptrdiff_t ldw, ptrdiff_t hidden, ptrdiff_t k,
                       const struct panels *panels, struct panel_range range) {
    const real *rows[MAX_VECTORS * V];
    for (ptrdiff_t panel = range.begin; panel < range.end; panel++) {
        const ptrdiff_t unit = panel * panels->groups * V, left = hidden - unit;
        const ptrdiff_t apart = panel < panels->full ? panels->groups * V : left; /* lanes from gate to gate */
        const int vectors = panel < panels->full ? panels->vectors : panels->last;
        for (ptrdiff_t lane = 0; lane < vectors * V; lane++) {
            const ptrdiff_t gate = lane / apart, inside = lane % apart;
            rows[lane] = gate < panels->gates && inside < left ? w + (gate * hidden + unit + inside) * ldw : NULL;
        }
        pack_panel(dst, rows, k, vectors);
        dst += k * vectors * V;
    }
}

static void pack_rows(real *dst, const real *w, ptrdiff_t ldw, ptrdiff_t out, ptrdiff_t k) {
    const real *rows[PRODUCT_VECTORS * V];
    for (ptrdiff_t row = 0; row < out; row += PRODUCT_VECTORS * V) {
        const ptrdiff_t left = (out - row + V - 1) / V;
        const int vectors = left < PRODUCT_VECTORS ? (int)left : PRODUCT_VECTORS;
        for (ptrdiff_t lane = 0; lane < vectors * V; lane++)
            rows[lane] = row + lane < out ? w + (row + lane) * ldw : NULL;
        pack_panel(dst, rows, k, vectors);
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
        if (j < count && count > V) store(to + count - V, load(from + count - V));
        else store_part(to + j, load_part(from + j, count - j), count - j);
    }
}

#endif
