/* What a kind of cell is made of: one file in this folder for each kind, an entry in the table of kernels/instance.h, and
 * a value of clstm_cell. The file describes the sizes of the cell, and has a function for each direction of time that
 * takes over the sums of a tile (kernels.h, struct fused). All else, from packing to threads, is shared.
 *
 * Both functions get the equations of one time step:
 *
 *     u = mask h_{t-1}                                            recurrent dropout; mask is 1 without
 *     z = start + input products + w_hh u                         ends in the tile
 *     h_new, c_new = cell(z, h_{t-1}, c_{t-1})                    the cell's own
 *     c_t = zone_c c_{t-1} + (1 - zone_c) c_new                   zoneout (Krueger et al. 2017); zone is 0 without
 *     h_t = zone_h h_{t-1} + (1 - zone_h) h_new
 */
#ifndef CLSTM_CELL_H
#define CLSTM_CELL_H

#include "../kernels/kernels.h"

/* Which of the options are used. In the fast instance of a cell all of this is known to the compiler. */
struct cell_form {
    int blocks;               /* of ld elements for each row of a step on the tape */
    int forget, coupled;      /* forget gate; f = 1 - i instead */
    int peephole;             /* its rows */
    int clip, cell_clip;      /* limits on pre-activations, on c_new */
    int mask, zone_h, zone_c; /* recurrent dropout, zoneout */
    int direct;               /* a part of dh reaches the step before without the products */
    int clip_gradient;        /* limits on the gradients of pre-activations */
    clstm_activation gate, candidate, output;
};

struct cell_limits {
    real clip, cell_clip, gradient;
    real zone_h, zone_c; /* in inference: rates */
};

/* Sizes of a cell with certain options. Gates are the blocks of H rows of w_ih, w_hh and b. On the tape the dz of gate g
 * stands in block x_block[g] where it goes to w_ih, and in block h_block[g] where it goes to w_hh. The pre-activations of a
 * gate, where they are on the tape, are in its x_block. */
struct cell {
    int gates, two_sums, has_c, general;
    int x_block[MAX_GATES], h_block[MAX_GATES];
    struct cell_form form;
};

struct cell_forward {
    struct fused fused; /* must be first */
    ptrdiff_t hidden, ld;
    struct cell_form form;
    struct cell_limits limits;
    real *blocks;                /* out: [n][form.blocks][ld] what backward needs, or NULL */
    const real *h_prev, *c_prev; /* [n][ld], as all that follow; h_prev is read only if the cell says so by `direct` */
    real *c;                     /* out, may be c_prev */
    real *h;                     /* out, must not be a row of a term */
    real *const *y;              /* out: a second copy of the first H elements of h, or NULL */
    real *u;                     /* out: h times mask */
    const real *mask, *zone_h, *zone_c; /* zone NULL: the rate in limits */
    const real *peephole;               /* [form.peephole][ld] */
};

struct cell_backward {
    struct fused fused; /* z is the part of dh that comes through the products of step t+1; must be first */
    ptrdiff_t hidden, ld;
    struct cell_form form;
    struct cell_limits limits;
    real *blocks; /* in: of forward; out: dz */
    const real *h_prev, *c_prev, *c;
    real *dc;              /* in: dc_t, out: dc_{t-1} */
    real *direct;          /* in: the part of dh that comes past the products, out: that of step t-1 */
    const real *const *dy; /* [n] rows of H elements, or NULL for zero */
    const real *mask, *zone_h, *zone_c;
    const real *peephole;
    real *dpeephole; /* [n][form.peephole][ld], added to */
};

struct cell_kernels {
    /* The sizes of the cell with the options of the stack; 0 if it has not all of them. */
    int (*describe)(const clstm_stack *, struct cell *);
    /* [general]: for the usual form, and for any. */
    void (*forward[2])(const struct fused *, const struct tile *, void *z);
    void (*backward[2])(const struct fused *, const struct tile *, void *z);
};

#endif
