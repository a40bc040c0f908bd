/* Gradients of weights: C [M,K] = sum over q of left[q] [M] outer right[q] [K], with q over all rows of all steps.
 * Included by the files of one precision.
 *
 * The sum is cut into chunks of q that are packed (left into tiles, right into panels) and multiplied while they are in
 * cache; chunks are added in order. Tasks own blocks of rows of C, so the sums do not depend on the threads. */
#ifndef CLSTM_OUTER_H
#define CLSTM_OUTER_H

#include "../ground/blas.h"
#include "../ground/threads.h"
#include "layout.h"

enum { OUTER_CHUNK = 256, OUTER_SEGMENTS = 3 };

/* left[q] has `blocks` runs of `width` elements at a distance of `ld` (the gates); right[q] is a few segments and a one
 * behind them, whose column is the gradient of the bias. `find` gives the addresses for q0 <= q < q0 + n. */
struct outer {
    const struct kernels *kernels;
    ptrdiff_t rows; /* of q */
    ptrdiff_t blocks, width, ld;
    int segments;
    ptrdiff_t segment_width[OUTER_SEGMENTS];
    const void *source;
    void (*find)(const void *source, ptrdiff_t q0, ptrdiff_t n, const real **left, const real **right[OUTER_SEGMENTS]);
    /* Receives row m of C: adds it to the caller's gradients. */
    void *target;
    void (*add)(void *target, ptrdiff_t m, const real *c);
};

struct outer_scratch {
    const real **left, **right[OUTER_SEGMENTS];
    real *tiles, *panel, *c;
};

static inline ptrdiff_t outer_height(const struct outer *outer) { return outer->blocks * outer->width; }

static inline ptrdiff_t outer_columns(const struct outer *outer) {
    ptrdiff_t columns = 1;
    for (int i = 0; i < outer->segments; i++) columns += outer->segment_width[i];
    return columns;
}

/* Scratch for one worker that owns `height` rows of C at the most. A BLAS takes all columns as one panel. */
static inline void outer_lay_out(struct outer_scratch *scratch, struct arena *arena, const struct kernels *kernels,
                                 int blas, ptrdiff_t height, ptrdiff_t columns) {
    const ptrdiff_t tall = height + kernels->product_rows;
    const ptrdiff_t panel = blas ? padded(columns) : kernels->product_vectors * kernels->lanes;
    scratch->left = arena_take(arena, OUTER_CHUNK, sizeof(real *));
    for (int i = 0; i < OUTER_SEGMENTS; i++) scratch->right[i] = arena_take(arena, OUTER_CHUNK, sizeof(real *));
    scratch->tiles = arena_take(arena, times(OUTER_CHUNK, tall), sizeof(real));
    scratch->panel = arena_take(arena, times(OUTER_CHUNK, panel), sizeof(real));
    scratch->c = arena_take(arena, times(tall, padded(columns)), sizeof(real));
}

/* Rows [m0, m0 + count) of left^T as a tile: tile[q][m - m0]. */
static void outer_pack_tile(const struct outer *outer, struct outer_scratch *scratch, real *tile, ptrdiff_t width,
                            ptrdiff_t m0, ptrdiff_t count, ptrdiff_t n) {
    for (ptrdiff_t m = m0; m < m0 + count;) {
        const ptrdiff_t block = m / outer->width, inside = m % outer->width;
        const ptrdiff_t left = outer->width - inside, wanted = m0 + count - m;
        const ptrdiff_t piece = left < wanted ? left : wanted;
        outer->kernels->pack_piece(tile, width, m - m0, scratch->left, block * outer->ld + inside, piece, n);
        m += piece;
    }
}

/* Columns [k0, k0 + width) of right as a panel: panel[q][k - k0], the one behind the segments, zeros behind it. */
static void outer_pack_panel(const struct outer *outer, struct outer_scratch *scratch, ptrdiff_t k0, ptrdiff_t width,
                             ptrdiff_t n) {
    ptrdiff_t begin = 0; /* of the segment, in columns of C */
    for (int i = 0; i < outer->segments; begin += outer->segment_width[i], i++) {
        const ptrdiff_t from = begin > k0 ? begin : k0;
        ptrdiff_t to = begin + outer->segment_width[i];
        if (to > k0 + width) to = k0 + width;
        if (to > from)
            outer->kernels->pack_piece(scratch->panel, width, from - k0, scratch->right[i], from - begin, to - from, n);
    }
    for (ptrdiff_t k = begin > k0 ? begin : k0; k < k0 + width; k++)
        for (ptrdiff_t q = 0; q < n; q++) scratch->panel[q * width + k - k0] = k == begin;
}

/* One chunk: n terms of the sums of rows [m0, m1). */
static void outer_chunk(const struct outer *outer, struct outer_scratch *scratch, ptrdiff_t m0, ptrdiff_t m1,
                        ptrdiff_t q0, ptrdiff_t n) {
    const struct kernels *kernels = outer->kernels;
    const ptrdiff_t height = kernels->product_rows, columns = outer_columns(outer), ldc = padded(columns);
    const ptrdiff_t full = kernels->product_vectors * kernels->lanes;
    outer->find(outer->source, q0, n, scratch->left, scratch->right);
    for (ptrdiff_t m = m0; m < m1; m += height)
        outer_pack_tile(outer, scratch, scratch->tiles + (m - m0) * n, height, m, m1 - m < height ? m1 - m : height, n);
    for (ptrdiff_t k = 0; k < columns; k += full) {
        const ptrdiff_t left = (columns - k + kernels->lanes - 1) / kernels->lanes * kernels->lanes;
        const ptrdiff_t width = left < full ? left : full;
        outer_pack_panel(outer, scratch, k, width, n);
        for (ptrdiff_t m = m0; m < m1; m += height) {
            const real *a[MAX_ROWS];
            real *c[MAX_ROWS];
            const ptrdiff_t count = m1 - m < height ? m1 - m : height;
            for (ptrdiff_t r = 0; r < count; r++) {
                a[r] = scratch->tiles + (m - m0) * n + r;
                c[r] = scratch->c + (m - m0 + r) * ldc + k;
            }
            kernels->product(&(struct product){
                .rows = count,
                .terms = 1,
                .term = {{.rows = a, .step = height, .k = n, .panels = scratch->panel}},
                .c = c,
                .columns = width,
                .panel_step = full,
                .vector_step = kernels->lanes,
                .panel_end = 1,
                .vectors = kernels->product_vectors,
                .accumulate = q0 > 0,
            });
        }
    }
}

/* Rows [m0, m1) of C, added to the gradients. */
static void outer_rows(const struct outer *outer, struct outer_scratch *scratch, ptrdiff_t m0, ptrdiff_t m1) {
    for (ptrdiff_t q = 0; q < outer->rows; q += OUTER_CHUNK)
        outer_chunk(outer, scratch, m0, m1, q, outer->rows - q < OUTER_CHUNK ? outer->rows - q : OUTER_CHUNK);
    const ptrdiff_t ldc = padded(outer_columns(outer));
    for (ptrdiff_t m = m0; m < m1 && outer->rows > 0; m++) outer->add(outer->target, m, scratch->c + (m - m0) * ldc);
}

/* The same for all rows by BLAS; the chunk of `right` is laid side by side in scratch->panel first. */
static void outer_blas(const struct outer *outer, struct outer_scratch *scratch, const clstm_blas *blas) {
    const clstm_dtype dtype = sizeof(real) == sizeof(float) ? CLSTM_F32 : CLSTM_F64;
    const ptrdiff_t columns = outer_columns(outer), ldc = padded(columns), height = outer_height(outer);
    for (ptrdiff_t q = 0; q < outer->rows; q += OUTER_CHUNK) {
        const ptrdiff_t n = outer->rows - q < OUTER_CHUNK ? outer->rows - q : OUTER_CHUNK;
        outer->find(outer->source, q, n, scratch->left, scratch->right);
        outer_pack_panel(outer, scratch, 0, ldc, n);
        outer_pack_tile(outer, scratch, scratch->tiles, height, 0, height, n);
        clstm_gemm_row_major(blas, dtype, height, columns, n, (clstm_matrix){scratch->tiles, height, CLSTM_TRANSPOSED},
                             (clstm_matrix){scratch->panel, ldc, CLSTM_PLAIN}, q > 0, scratch->c, ldc);
    }
    for (ptrdiff_t m = 0; m < height && outer->rows > 0; m++) outer->add(outer->target, m, scratch->c + m * ldc);
}

#endif
