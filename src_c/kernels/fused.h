/* Sums of products that a cell takes over tile by tile (kernels.h, struct fused): they go from the registers to an array
 * that stays in the nearest cache, and z is never written to memory. */
#ifndef CLSTM_FUSED_H
#define CLSTM_FUSED_H

#include "tile.h"

/* Sums of a tile; behind them, if a gate has two sums, those that were first. */
enum { FUSED_VECTORS = 2 * FIRST_SUMS };

/* Where the sums of a tile start: vector j of row and panel i at from[i] + offset[j]. */
struct fused_start {
    const real *from[MAX_ROWS];
    const ptrdiff_t *offset;
};

static const ptrdiff_t side_by_side_offsets[] = {0, V, 2 * V, 3 * V, 4 * V, 5 * V}, no_offsets[MAX_VECTORS];
static const real zeros[V];

static void start_at_vectors(struct fused_start *start, const vec *z, int width, int rows, int panels) {
    for (int i = 0; i < rows * panels; i++) start->from[i] = (const real *)(z + i * width);
    start->offset = side_by_side_offsets;
}

static void start_sums(struct fused_start *start, const struct fused *s, int rows, int panels, ptrdiff_t row,
                       ptrdiff_t panel) {
    const ptrdiff_t step = s->panels.groups * V, width = s->panels.vectors * V;
    for (int i = 0, r = 0; r < rows; r++)
        for (int p = 0; p < panels; p++, i++)
            start->from[i] = s->start  ? s->start[row + r] + (panel + p) * step
                             : s->bias ? s->bias + (panel + p) * width
                                       : zeros;
    start->offset = s->start ? s->vector : s->bias ? side_by_side_offsets : no_offsets;
}

/* Asks for what the end of a tile of R rows will need (struct awaited). */
CLSTM_INLINE void ask_for(const struct fused *s, const int R, int term, ptrdiff_t row, ptrdiff_t unit,
                          ptrdiff_t units) {
    enum { LINE = 64 / sizeof(real) };
    for (int i = 0; i < s->awaited; i++) {
        const struct awaited *await = &s->await[i];
        if (await->term != term) continue;
        if (await->base) {
            const real *first = await->base + row * await->stride + unit;
            for (ptrdiff_t u = 0; u < units; u += LINE) {
                CLSTM_UNROLL for (int r = 0; r < R; r++) __builtin_prefetch(first + r * await->stride + u, 1);
            }
        } else {
            CLSTM_UNROLL for (int r = 0; r < R; r++) {
                const real *first = await->rows[row + r] + unit;
                for (ptrdiff_t u = 0; u < units; u += LINE) __builtin_prefetch(first + u, 1);
            }
        }
    }
}

/* Sums of a tile: terms [i0, i1) from `start` on, into z[i * width] for row and panel i. */
struct fused_sums {
    const struct fused *s;
    struct fused_start start;
    vec *z;
    int i0, i1, width;
    ptrdiff_t row, panel;
};

/* The sums of one slice of R rows by P panels. */
CLSTM_INLINE void fused_slice(const struct fused_sums *own, const int R, const int P, const struct slice slice) {
    const struct fused *s = own->s;
    const ptrdiff_t step = s->panels.groups * V;
    const int width = PANEL_WIDTHS == PRODUCT_VECTORS ? slice.vectors : own->width;
    TILE_SUMS(sums);
    CLSTM_UNROLL for (int i = 0; i < R * P; i++) {
        CLSTM_UNROLL for (int j = 0; j < slice.vectors; j++) {
            sums[i][j] = load(own->start.from[i] + own->start.offset[slice.first + j]);
        }
    }
    for (int i = own->i0; i < own->i1; i++) {
        if (s->awaited && slice.first == 0) ask_for(s, R, i, own->row, own->panel * step, P * step);
        add_term(sums, R, P, slice, &s->term[i], own->row, own->panel);
    }
    CLSTM_UNROLL for (int i = 0; i < R * P; i++) {
        CLSTM_UNROLL for (int j = 0; j < slice.vectors; j++) own->z[i * width + slice.first + j] = sums[i][j];
    }
}

typedef void fused_slice_function(const struct fused_sums *, int first);

#define FUSED_SLICE(name, R, P, NV)                                                              \
    CLSTM_NOINLINE void name##_##R##_##NV(const struct fused_sums *own, int first) {             \
        fused_slice(own, R, P, (struct slice){PANEL_WIDTHS == PRODUCT_VECTORS ? 0 : first, NV}); \
    }
#define FUSED_PANEL(R, NV) FUSED_SLICE(fused_panel, R, 1, NV)
#define FUSED_PANELS(R, NV) FUSED_SLICE(fused_panels, R, PANELS_AT_ONCE(R), NV)
TILES(FUSED_PANEL, 1)
TILES(FUSED_PANEL, 2)
TILES(FUSED_PANEL, 3)
TILES(FUSED_PANEL, 4)
TILES(FUSED_PANELS, 1)
TILES(FUSED_PANELS, 2)
#if PRODUCT_ROWS == 6
TILES(FUSED_PANEL, 5)
TILES(FUSED_PANEL, 6)
TILES(FUSED_PANELS, 3)
#endif

/* [rows - 1][vectors of the slice - 1]: one panel at a time, and several at once (tile.h, PANELS_AT_ONCE) */
static fused_slice_function *const one_panel[PRODUCT_ROWS][PRODUCT_VECTORS] = {
    TILE_NAMES(fused_panel, 1), TILE_NAMES(fused_panel, 2), TILE_NAMES(fused_panel, 3), TILE_NAMES(fused_panel, 4),
#if PRODUCT_ROWS == 6
    TILE_NAMES(fused_panel, 5), TILE_NAMES(fused_panel, 6),
#endif
};
static fused_slice_function *const several_panels[PRODUCT_ROWS / 2][PRODUCT_VECTORS] = {
    TILE_NAMES(fused_panels, 1),
    TILE_NAMES(fused_panels, 2),
#if PRODUCT_ROWS == 6
    TILE_NAMES(fused_panels, 3),
#endif
};

/* All slices, by the functions for a number of rows and panels. */
static void run_slices(const struct fused_sums *own, fused_slice_function *const slices[PRODUCT_VECTORS]) {
    for (int first = 0; first < own->width; first += PRODUCT_VECTORS)
        slices[slice_vectors(first, own->width) - 1](own, first);
}

/* The second sums: of the last gate they start again, the others go on. */
static void restart_sums(vec *z, const struct fused *s, int rows, int panels, int width, ptrdiff_t row,
                         ptrdiff_t panel) {
    const struct panels *all = &s->panels;
    const vec *first = z + FIRST_SUMS;
    for (int i = 0; i < rows * panels; i++)
        for (int j = 0; j < width; j++) {
            const ptrdiff_t at = panel + i % panels, units = at < all->full ? all->groups * V : all->units;
            const ptrdiff_t before = (all->gates - 1) * units - j * V; /* lanes of other gates in this vector */
            const ivec others = first_lanes(before < 0 ? 0 : before < V ? before : V);
            vec start = {0};
            if (before < V && s->second) start = load(s->second + (at * all->vectors + j) * V);
            else if (before < V && s->start)
                start = load(s->start[row + i / panels] + at * all->groups * V + s->second_vector[j]);
            z[i * width + j] = masked(first[i * width + j], others) + start;
        }
}

/* z of a tile. */
static void tile_sums(vec *z, fused_slice_function *const slices[PRODUCT_VECTORS], const struct fused *s, int rows,
                      int panels, int width, ptrdiff_t row, ptrdiff_t panel) {
    struct fused_sums own = {.s = s, .z = z, .i1 = s->terms, .width = width, .row = row, .panel = panel};
    start_sums(&own.start, s, rows, panels, row, panel);
    if (!s->two_sums) {
        run_slices(&own, slices);
        return;
    }
    own.z = z + FIRST_SUMS;
    own.i1 = s->resume;
    run_slices(&own, slices);
    restart_sums(z, s, rows, panels, width, row, panel);
    start_at_vectors(&own.start, z, width, rows, panels);
    own.z = z;
    own.i0 = s->resume;
    own.i1 = s->terms;
    run_slices(&own, slices);
}

/* The lanes of the last panel, `units` of each gate side by side, become vectors of their own, zeros above. */
CLSTM_INLINE void spread_gates(const vec *from, int width, vec *to, const int gates, const int groups,
                               ptrdiff_t units) {
    real lanes[(MAX_VECTORS + MAX_GATES) * V];
    for (int j = 0; j < width; j++) store(lanes + j * V, from[j]);
    for (int j = width; j < width + groups; j++) store(lanes + j * V, (vec){0});
    for (int u = 0; u < groups; u++) {
        const ptrdiff_t left = units - u * V;
        const ivec mask = first_lanes(left < V ? left : V);
        for (int g = 0; g < gates; g++) to[g * groups + u] = masked(load(lanes + g * units + u * V), mask);
    }
}

CLSTM_INLINE void spread_rows(const vec *from, const int width, vec *to, const int gates, const int groups,
                              ptrdiff_t units, int rows) {
    for (int i = 0; i < rows; i++) spread_gates(from + i * width, width, to + i * gates * groups, gates, groups, units);
}

/* The same for all rows; where a panel is for one vector of units, the sizes are known to the compiler. */
static void spread_tile(const vec *from, vec *to, const struct panels *panels, int rows) {
    const int groups = (int)((panels->units + V - 1) / V), width = panels->last;
    switch (groups == 1 ? panels->gates * 8 + width : 0) {
    case 4 * 8 + 1: spread_rows(from, 1, to, 4, 1, panels->units, rows); return;
    case 4 * 8 + 2: spread_rows(from, 2, to, 4, 1, panels->units, rows); return;
    case 4 * 8 + 3: spread_rows(from, 3, to, 4, 1, panels->units, rows); return;
    case 3 * 8 + 1: spread_rows(from, 1, to, 3, 1, panels->units, rows); return;
    case 3 * 8 + 2: spread_rows(from, 2, to, 3, 1, panels->units, rows); return;
    default: spread_rows(from, width, to, panels->gates, groups, panels->units, rows);
    }
}

/* Takes over the tile of some rows of the last panel. */
static void finish_last(const struct fused *s, vec *z, int rows, ptrdiff_t row) {
    const struct panels *panels = &s->panels;
    const int groups = (int)((panels->units + V - 1) / V), gates = panels->gates, width = gates * groups;
    const struct tile tile = {rows, 1, groups, width, row, panels->full * panels->groups * V};
    vec spread[FUSED_VECTORS];
    if (gates == 1) { /* is as it should be */
        s->finish(s, &tile, z);
        return;
    }
    spread_tile(z, spread, panels, rows);
    if (s->two_sums) spread_tile(z + FIRST_SUMS, spread + FIRST_SUMS, panels, rows);
    s->finish(s, &tile, spread);
}

static void fused_panel(const struct fused *s, ptrdiff_t panel) {
    const ptrdiff_t tiles = tile_count(s->rows);
    const struct panels *panels = &s->panels;
    const int width = panel < panels->full ? panels->vectors : panels->last;
    for (ptrdiff_t i = 0; i < tiles; i++) {
        const ptrdiff_t row = tiles == 1 ? 0 : i * s->rows / tiles,
                        end = tiles == 1 ? s->rows : (i + 1) * s->rows / tiles;
        const int height = (int)(end - row);
        vec z[FUSED_VECTORS];
        tile_sums(z, one_panel[height - 1], s, height, 1, width, row, panel);
        if (panel == panels->full) {
            finish_last(s, z, height, row);
            continue;
        }
        const struct tile tile = {height, 1, panels->groups, width, row, panel * panels->groups * V};
        s->finish(s, &tile, z);
    }
}

/* All rows of `at_once` full panels. */
static void fused_wide(const struct fused *s, ptrdiff_t panel, int at_once) {
    const struct panels *panels = &s->panels;
    const int rows = (int)s->rows, width = panels->vectors;
    const struct tile tile = {rows, at_once, panels->groups, width, 0, panel * panels->groups * V};
    vec z[FUSED_VECTORS];
    tile_sums(z, several_panels[rows - 1], s, rows, at_once, width, 0, panel);
    s->finish(s, &tile, z);
}

static void fused_rest(const struct fused *s) {
    for (ptrdiff_t row = 0; row < s->rows; row++)
        for (ptrdiff_t unit = s->first_unit; unit < s->units; unit += V) {
            vec z = load(s->rest + row * s->rest_ld + unit);
            const struct tile tile = {1, 1, 1, 1, row, unit};
            s->finish(s, &tile, &z);
        }
}

/* Panels that a step takes at once. One row does nothing but read weights, in one stream if they are in no near cache and
 * a panel has sums enough (tile.h, PANELS_AT_ONCE). */
static int fused_at_once(const struct fused *s) {
    enum { NEAREST_CACHE = 32 << 10 };
    if (s->rows > PRODUCT_ROWS / 2) return 1;
    ptrdiff_t k = 0;
    for (int i = 0; i < s->terms; i++) k += s->term[i].k;
    const ptrdiff_t weights = k * panel_count(s->panels) * s->panels.vectors * VECTOR_BYTES;
    if (s->rows == 1 && s->panels.gates > 1 && PRODUCT_VECTORS == 4 && weights > NEAREST_CACHE) return 1;
    return PANELS_AT_ONCE((int)s->rows);
}

static void fused_kernel(const struct fused *s, struct panel_range range) {
    const int at_once = fused_at_once(s);
    const struct panel_order order = panel_order_of(range, s->panels, at_once);
    for (ptrdiff_t i = 0; i < order.steps; i++) {
        int group;
        const ptrdiff_t panel = panel_at(&order, i, &group);
        if (group && at_once > 1) fused_wide(s, panel, at_once);
        else fused_panel(s, panel);
    }
    if (range.begin == 0) fused_rest(s);
}

#endif
