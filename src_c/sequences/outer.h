/* Gradients of weights: C [M,K] = sum over q of left[q] [M] outer right[q] [K], with q over all rows of all steps.
 * Included by the files of one precision.
 *
 * C is computed transposed: the M of the gates become lanes, of which there are always enough, and the K tiles of
 * rows, so that a narrow input or the one for the bias costs its own arithmetic and no vector of its own. The sum is cut
 * into chunks of q that are packed (left into panels, right into tiles) and multiplied while they are in cache; chunks
 * are added in order. Tasks own blocks of C, so the sums do not depend on the threads. */
#ifndef CLSTM_OUTER_H
#define CLSTM_OUTER_H

#include "../ground/blas.h"
#include "../ground/threads.h"
#include "layout.h"

enum { OUTER_CHUNK = 256, OUTER_SEGMENTS = 3, FEW_COLUMNS = 32 };

/* Columns [k0, k1) of rows [m0, m1) of C. */
struct block {
    ptrdiff_t m0, m1, k0, k1;
};

/* left[q] has `blocks` runs of `width` elements (the gates), which start at the elements `block`; right[q] is a few
 * segments and a one behind them, whose column is the gradient of the bias. `find` gives the addresses for q0 <= q < q0 + n. */
struct outer {
    const struct kernels *kernels;
    ptrdiff_t blocks, width, block[MAX_GATES];
    int segments;
    ptrdiff_t segment_width[OUTER_SEGMENTS];
    const void *source;
    void (*find)(const void *source, ptrdiff_t q0, ptrdiff_t n, real **left, real **right[OUTER_SEGMENTS]);
    /* C transposed, in panels of `panel` rows m each: [M / panel][outer_depth][panel]. */
    real *sums;
    ptrdiff_t panel;
};

struct outer_scratch {
    real **left, **right[OUTER_SEGMENTS];
    real *tiles, *panel;
};

static inline ptrdiff_t outer_height(const struct outer *outer) { return outer->blocks * outer->width; }

static inline ptrdiff_t outer_columns(const struct outer *outer) {
    ptrdiff_t columns = 1;
    for (int i = 0; i < outer->segments; i++) columns += outer->segment_width[i];
    return columns;
}

/* How C [height,columns] is shared out: blocks of m rows by k columns, by which k goes first, because its tiles are the
 * finer measure. */
struct outer_shares {
    ptrdiff_t height, columns, m, k;
};

/* A BLAS takes all rows as one panel. */
static inline ptrdiff_t outer_panel_width(const struct kernels *kernels, int blas, ptrdiff_t height) {
    return blas ? padded(height) : kernels->product_vectors * kernels->lanes;
}

/* Rows k of a panel of `sums`: whole vectors can be read from any column on, by which add_transposed reads. */
static inline ptrdiff_t outer_depth(const struct kernels *kernels, ptrdiff_t columns) {
    return columns + kernels->lanes - 1;
}

/* Elements of `sums`. */
static inline ptrdiff_t outer_sums(const struct kernels *kernels, int blas, ptrdiff_t height, ptrdiff_t columns) {
    const ptrdiff_t panel = outer_panel_width(kernels, blas, height);
    return times(times(parts_of(height, panel), panel), outer_depth(kernels, columns));
}

static inline real *outer_sums_at(const struct outer *outer, ptrdiff_t m, ptrdiff_t k) {
    return outer->sums + (m / outer->panel * outer_depth(outer->kernels, outer_columns(outer)) + k) * outer->panel;
}

static inline struct outer_shares outer_shares_of(const struct kernels *kernels, ptrdiff_t height, ptrdiff_t columns,
                                                  int threads) {
    enum { FEW_TILES = 4 };
    const ptrdiff_t tile = kernels->product_rows, panel = kernels->product_vectors * kernels->lanes;
    const ptrdiff_t tiles = parts_of(columns, tile), panels = parts_of(height, panel),
                    most = parts_of(tiles, FEW_TILES);
    const ptrdiff_t by_k = threads < most ? threads : most, by_m = parts_of(threads, by_k);
    return (struct outer_shares){height, columns, parts_of(panels, by_m) * panel, parts_of(tiles, by_k) * tile};
}

static inline ptrdiff_t outer_tasks(const struct outer_shares *shares) {
    return parts_of(shares->height, shares->m) * parts_of(shares->columns, shares->k);
}

static inline struct block outer_block(const struct outer_shares *shares, ptrdiff_t task) {
    const ptrdiff_t across = parts_of(shares->columns, shares->k);
    const ptrdiff_t m0 = task / across * shares->m, k0 = task % across * shares->k;
    const ptrdiff_t m1 = m0 + shares->m, k1 = k0 + shares->k;
    return (struct block){m0, m1 < shares->height ? m1 : shares->height, k0,
                          k1 < shares->columns ? k1 : shares->columns};
}

/* Scratch for one worker that computes such blocks. */
static inline void outer_lay_out(struct outer_scratch *scratch, struct arena *arena, const struct kernels *kernels,
                                 int blas, const struct outer_shares *shares) {
    const ptrdiff_t tall = padded(shares->k + kernels->product_rows);
    scratch->left = arena_take(arena, OUTER_CHUNK, sizeof(real *));
    for (int i = 0; i < OUTER_SEGMENTS; i++) scratch->right[i] = arena_take(arena, OUTER_CHUNK, sizeof(real *));
    scratch->tiles = arena_take(arena, times(OUTER_CHUNK, tall), sizeof(real));
    scratch->panel = arena_take(arena, times(OUTER_CHUNK, outer_panel_width(kernels, blas, shares->m)), sizeof(real));
}

/* Columns [k0, k0 + count) of right as a tile: tile[q][k - k0], the one behind the segments. */
static void outer_pack_tile(const struct outer *outer, struct outer_scratch *scratch, real *tile, ptrdiff_t width,
                            ptrdiff_t k0, ptrdiff_t count, ptrdiff_t n) {
    ptrdiff_t begin = 0; /* of the segment, in columns of C */
    for (int i = 0; i < outer->segments; begin += outer->segment_width[i], i++) {
        const ptrdiff_t from = begin > k0 ? begin : k0;
        ptrdiff_t to = begin + outer->segment_width[i];
        if (to > k0 + count) to = k0 + count;
        if (to > from)
            outer->kernels->pack_piece(tile, width, from - k0, (const real *const *)scratch->right[i], from - begin,
                                       to - from, n);
    }
    for (ptrdiff_t q = 0; begin < k0 + count && q < n; q++) tile[q * width + begin - k0] = 1;
}

/* Rows [m0, m0 + count) of left as a panel: panel[q][m - m0], zeros behind them. */
static void outer_pack_panel(const struct outer *outer, struct outer_scratch *scratch, ptrdiff_t width, ptrdiff_t m0,
                             ptrdiff_t count, ptrdiff_t n) {
    for (ptrdiff_t m = m0; m < m0 + count;) {
        const ptrdiff_t block = m / outer->width, inside = m % outer->width;
        const ptrdiff_t left = outer->width - inside, wanted = m0 + count - m;
        const ptrdiff_t piece = left < wanted ? left : wanted;
        outer->kernels->pack_piece(scratch->panel, width, m - m0, (const real *const *)scratch->left,
                                   outer->block[block] + inside, piece, n);
        m += piece;
    }
    for (ptrdiff_t q = 0; count < width && q < n; q++)
        memset(scratch->panel + q * width + count, 0, (size_t)(width - count) * sizeof(real));
}

/* Width of the tiles of a block: the rows of a full tile, so that they are read front to back, or all columns where
 * these are few lines of the cache anyway. */
static inline ptrdiff_t tile_width(const struct outer *outer, const struct block *block) {
    const ptrdiff_t columns = block->k1 - block->k0;
    return columns <= FEW_COLUMNS ? columns : outer->kernels->product_rows;
}

/* Whether the rows of left are a panel as they stand: all of C in its lanes, one row after another. */
static int is_panel(const struct outer *outer, const struct outer_scratch *scratch, ptrdiff_t width, ptrdiff_t n) {
    if (outer_height(outer) != width) return 0;
    for (ptrdiff_t i = 0; i < outer->blocks; i++)
        if (outer->block[i] != i * outer->width) return 0;
    for (ptrdiff_t q = 1; q < n; q++)
        if (scratch->left[q] != scratch->left[q - 1] + width) return 0;
    return 1;
}

/* One panel of one chunk times all tiles: n terms of the sums of its rows. */
static void outer_panel(const struct outer *outer, struct outer_scratch *scratch, const struct block *block,
                        ptrdiff_t m, ptrdiff_t n, int accumulate) {
    const struct kernels *kernels = outer->kernels;
    const ptrdiff_t height = tile_width(outer, block), full = kernels->product_vectors * kernels->lanes;
    const ptrdiff_t count = block->m1 - m < full ? block->m1 - m : full;
    const ptrdiff_t vectors = parts_of(count, kernels->lanes), width = vectors * kernels->lanes;
    const real *panel = scratch->left[0];
    if (!is_panel(outer, scratch, width, n)) {
        outer_pack_panel(outer, scratch, width, m, count, n);
        panel = scratch->panel;
    }
    for (ptrdiff_t k = block->k0; k < block->k1; k += height) {
        const real *a[FEW_COLUMNS];
        real *c[FEW_COLUMNS];
        const ptrdiff_t rows = block->k1 - k < height ? block->k1 - k : height;
        for (ptrdiff_t r = 0; r < rows; r++) {
            a[r] = scratch->tiles + (k - block->k0) * n + r;
            c[r] = outer_sums_at(outer, m, k + r);
        }
        struct product product = {
            .rows = rows,
            .terms = 1,
            .term = {{.rows = a, .step = height, .k = n, .panels = panel}},
            .c = c,
            .accumulate = accumulate,
        };
        set_columns(&product, kernels, width);
        kernels->product(&product, all_panels(product.panels));
    }
}

/* The terms q0 <= q < q1 of a block of C; the first ones start the sums, later ones are added. */
static void outer_run(const struct outer *outer, struct outer_scratch *scratch, const struct block *block, ptrdiff_t q0,
                      ptrdiff_t q1, int later) {
    const struct kernels *kernels = outer->kernels;
    const ptrdiff_t height = tile_width(outer, block);
    for (ptrdiff_t q = q0; q < q1; q += OUTER_CHUNK) {
        const ptrdiff_t n = q1 - q < OUTER_CHUNK ? q1 - q : OUTER_CHUNK;
        outer->find(outer->source, q, n, scratch->left, scratch->right);
        for (ptrdiff_t k = block->k0; k < block->k1; k += height)
            outer_pack_tile(outer, scratch, scratch->tiles + (k - block->k0) * n, height, k,
                            block->k1 - k < height ? block->k1 - k : height, n);
        for (ptrdiff_t m = block->m0; m < block->m1; m += kernels->product_vectors * kernels->lanes)
            outer_panel(outer, scratch, block, m, n, later || q > q0);
    }
}

/* All of C, terms 0 .. rows-1, by BLAS. */
static void outer_blas(const struct outer *outer, struct outer_scratch *scratch, const clstm_blas *blas,
                       ptrdiff_t rows) {
    const clstm_dtype dtype = sizeof(real) == sizeof(float) ? CLSTM_F32 : CLSTM_F64;
    const ptrdiff_t columns = outer_columns(outer), ldk = padded(columns), height = outer_height(outer);
    const ptrdiff_t ld = outer->panel;
    for (ptrdiff_t q = 0; q < rows; q += OUTER_CHUNK) {
        const ptrdiff_t n = rows - q < OUTER_CHUNK ? rows - q : OUTER_CHUNK;
        outer->find(outer->source, q, n, scratch->left, scratch->right);
        outer_pack_tile(outer, scratch, scratch->tiles, ldk, 0, columns, n);
        outer_pack_panel(outer, scratch, ld, 0, height, n);
        clstm_gemm_row_major(blas, dtype, columns, ld, n, (clstm_matrix){scratch->tiles, ldk, CLSTM_TRANSPOSED},
                             (clstm_matrix){scratch->panel, ld, CLSTM_PLAIN}, q > 0, outer->sums, ld);
    }
}

/* to [M,width] += the columns of C from `begin` on. */
static void outer_add_columns(const struct outer *outer, real *to, ptrdiff_t width, ptrdiff_t begin) {
    const ptrdiff_t height = outer_height(outer), panel = outer->panel;
    for (ptrdiff_t m = 0; m < height; m += panel)
        outer->kernels->add_transposed(to + m * width, width, outer_sums_at(outer, m, begin), panel, width,
                                       height - m < panel ? height - m : panel);
}

/* to [m1 - m0] += rows [m0, m1) of the column of ones. */
static void outer_add_ones(const struct outer *outer, real *to, ptrdiff_t column, ptrdiff_t m0, ptrdiff_t m1) {
    for (ptrdiff_t m = m0; to && m < m1; m++) to[m - m0] += outer_sums_at(outer, m, column)[m % outer->panel];
}

#endif
