/* What the cells share, on vectors: included by the files of one instruction set and one precision. */
#ifndef CLSTM_UNITS_H
#define CLSTM_UNITS_H

#include "../kernels/activations.h"
#include "cell.h"

/* Goes over the vectors of units of a tile, row by row. `z` is the first gate of each; further ones are `groups` apart. */
struct unit_walk {
    ptrdiff_t row, end_row, unit, first_unit, end_unit;
    vec *z;
    int group, groups, apart;
};

CLSTM_INLINE struct unit_walk first_unit_of(const struct tile *tile, void *z) {
    const ptrdiff_t width = tile->panels * tile->groups * V;
    return (struct unit_walk){tile->row, tile->row + tile->rows, tile->unit, tile->unit, tile->unit + width, z,
                              0,         tile->groups,           tile->apart};
}

CLSTM_INLINE void next_unit(struct unit_walk *at, const int column) {
    if (column) { /* one vector in each row */
        at->z += at->apart;
        at->row++;
        return;
    }
    at->unit += V;
    at->z++;
    if (++at->group < at->groups) return;
    at->group = 0;
    at->z += at->apart - at->groups;
    if (at->unit < at->end_unit) return;
    at->unit = at->first_unit;
    at->row++;
}

#define FOR_EACH_UNIT(at, column, tile, z) \
    for (struct unit_walk at = first_unit_of(tile, z); at.row < at.end_row; next_unit(&at, column))

CLSTM_INLINE int is_column(const struct tile *tile) { return tile->panels == 1 && tile->groups == 1; }

/* Functions of the kind finish_function that let `units` go over a tile: of a form that the compiler knows, and of any. */
#define CELL_OF_FORM(name, direction, units, form)                                  \
    static void name(const struct fused *fused, const struct tile *tile, void *z) { \
        const struct cell_##direction *s = (const struct cell_##direction *)fused;  \
        if (is_column(tile)) units(s, form, 1, tile, z);                            \
        else units(s, form, 0, tile, z);                                            \
    }
#define CELL_OF_ANY_FORM(name, direction, units)                                    \
    static void name(const struct fused *fused, const struct tile *tile, void *z) { \
        const struct cell_##direction *s = (const struct cell_##direction *)fused;  \
        units(s, s->form, 0, tile, z);                                              \
    }

/* Into memory of the caller, which is not padded. */
CLSTM_INLINE void store_units(real *row, ptrdiff_t unit, ptrdiff_t hidden, vec v) {
    if (unit + V <= hidden) store(row + unit, v);
    else store_part(row + unit, v, hidden - unit);
}

CLSTM_INLINE vec load_units(const real *row, ptrdiff_t unit, ptrdiff_t hidden) {
    return unit + V <= hidden ? load(row + unit) : load_part(row + unit, hidden - unit);
}

CLSTM_INLINE vec limited(vec x, vec limit) { return min_(limit, max_(-limit, x)); }

/* The activation of an argument that may be limited. */
CLSTM_INLINE vec gate_of(const clstm_activation kind, const int clip, vec z, vec limit) {
    return activated(kind, clip ? limited(z, limit) : z);
}

/* The derivative of limited() times d, by its argument. */
CLSTM_INLINE vec inside(vec d, vec x, vec limit) { return masked(d, (x < limit) & (x > -limit)); }

/* An activation whose argument may be limited, and the values that it has at the limits. */
struct way_back {
    clstm_activation kind;
    int clip;
    vec low, high;
};

CLSTM_INLINE struct way_back way_back_of(const clstm_activation kind, const int clip, real limit) {
    struct way_back way = {.kind = kind, .clip = clip};
    if (clip) way.low = activated(kind, broadcast(-limit)), way.high = activated(kind, broadcast(limit));
    return way;
}

/* The derivative times d, by the value y: activations are monotone, so that the argument is inside if the value is. */
CLSTM_INLINE vec back_through(const struct way_back way, vec y, vec d) {
    d *= slope_at(way.kind, y);
    return way.clip ? masked(d, (y < way.high) & (y > way.low)) : d;
}

/* A mask of zoneout, or its rate. */
CLSTM_INLINE vec zone_of(const real *mask, real rate, ptrdiff_t at) { return mask ? load(mask + at) : broadcast(rate); }

/* Rows of h: those of c, unless h is projected. */
CLSTM_INLINE ptrdiff_t h_at(ptrdiff_t ld, ptrdiff_t ld_h, const struct cell_form form, ptrdiff_t row, ptrdiff_t unit) {
    return row * (form.projects ? ld_h : ld) + unit;
}

/* h_t of h_new, to everybody who wants it. */
CLSTM_INLINE void emit_h(const struct cell_forward *s, const struct cell_form form, ptrdiff_t row, ptrdiff_t unit,
                         vec h) {
    const ptrdiff_t at = h_at(s->ld, s->ld_h, form, row, unit);
    if (form.zone_h) {
        const vec zone = zone_of(s->zone_h, s->limits.zone_h, at);
        h = fma_(zone, load(s->h_prev + at), (broadcast(1) - zone) * h);
    }
    store(s->h + at, h);
    if (form.mask) store(s->u + at, h * load(s->mask + at));
    if (s->y && !form.show_c) store_units(s->y[row], unit, s->hidden, h);
}

/* A part of the whole gradient of a state, to a caller who wants to see it. */
CLSTM_INLINE void emit_flow(real *const *rows, ptrdiff_t row, ptrdiff_t unit, ptrdiff_t width, vec d) {
    if (rows) store_units(rows[row], unit, width, d);
}

/* The gradient of h_new, and the part of it that goes straight to h_{t-1}. */
struct dh {
    vec dh, direct;
};

CLSTM_INLINE struct dh collect_dh(const struct cell_backward *s, const struct cell_form form, ptrdiff_t row,
                                  ptrdiff_t unit, vec z) {
    const ptrdiff_t at = h_at(s->ld, s->ld_h, form, row, unit);
    struct dh d = {form.mask ? z * load(s->mask + at) : z, broadcast(0)};
    if (form.direct) d.dh += load(s->direct + at);
    if (s->dy && !form.show_c) d.dh += load_units(s->dy[row], unit, s->hidden);
    if (form.flow) emit_flow(s->flow_h, row, unit, s->hidden, d.dh);
    if (form.zone_h) {
        d.direct = zone_of(s->zone_h, s->limits.zone_h, at) * d.dh;
        d.dh -= d.direct;
    }
    return d;
}

/* A first stage that has nothing to do but to collect the gradient of h_new for the second, or for a function over rows. */
static void collect_for_later(const struct fused *fused, const struct tile *tile, void *all) {
    const struct cell_backward *s = (const struct cell_backward *)fused;
    FOR_EACH_UNIT(walk, 0, tile, all) {
        const ptrdiff_t at = h_at(s->ld, s->ld_h, s->form, walk.row, walk.unit);
        const struct dh d = collect_dh(s, s->form, walk.row, walk.unit, *walk.z);
        store(s->dh + at, d.dh);
        if (s->form.direct) store(s->direct + at, d.direct);
    }
}

/* The gradient of a pre-activation, limited if that is wanted, as a block of the tape. */
CLSTM_INLINE vec emit_dz(const struct cell_backward *s, const struct cell_form form, ptrdiff_t row, ptrdiff_t unit,
                         int block, vec dz) {
    if (form.clip_gradient) dz = limited(dz, broadcast(s->limits.gradient));
    store(s->blocks + (row * form.blocks + form.first + block) * s->ld + unit, dz);
    return dz;
}

#endif
