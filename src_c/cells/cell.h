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
 *
 * A step may have a second stage, whose products need what the first has found, its `inner` rows: the candidate of a GRU
 * that resets before the product, or h_new = w_hr m of an LSTM with projection. Backward, the stages come the other way
 * round. Where gates need to know all sums of a row, which end in many tiles, the sums are stored and a function over
 * rows follows: layer normalisation. */
#ifndef CLSTM_CELL_H
#define CLSTM_CELL_H

#include "../kernels/kernels.h"

/* Which of the options are used. In the fast instance of a cell all of this is known to the compiler. */
struct cell_form {
    int blocks;               /* of ld elements for each row of a step on the tape */
    int first;                /* of them, that of the first gate */
    int forget, coupled;      /* forget gate; f = 1 - i instead */
    int peephole;             /* its rows */
    int clip, cell_clip;      /* limits on pre-activations, on c_new */
    int projects;             /* h_new = w_hr m */
    int mask, zone_h, zone_c; /* recurrent dropout, zoneout */
    int direct;               /* a part of dh reaches the step before without the products */
    int clip_gradient;        /* limits on the gradients of pre-activations */
    int flow;                 /* backward shows the whole gradients of h and c */
    int show_c;               /* y is c */
    clstm_activation gate, candidate, output;
};

struct cell_limits {
    real clip, cell_clip, gradient;
    real zone_h, zone_c; /* in inference: rates */
};

/* Weights of layer normalisation, or the sums of their gradients over the steps of a row: one after another, `gates` blocks
 * of ld elements each for the first three, one for the others. */
enum { NORM_GAIN_X, NORM_GAIN_H, NORM_BIAS, NORM_GAIN_C };

static inline ptrdiff_t norm_elements(int gates, ptrdiff_t ld) { return (NORM_GAIN_C * gates + 2) * ld; }

/* What normalisation of a row keeps: 1 / deviation of its input products, of the recurrent ones, and of its cell. */
enum { SCALE_X, SCALE_H, SCALE_C, SCALES = 4 };

struct cell_forward {
    struct fused fused;      /* must be first */
    ptrdiff_t units, hidden; /* elements of c, of h */
    ptrdiff_t ld, ld_h;      /* rows of c, of the blocks, and inner ones; rows of h and of all that has its size */
    struct cell_form form;
    struct cell_limits limits;
    real *blocks;                       /* out: [n][form.blocks][ld] what backward needs, or NULL */
    const real *h_prev, *u_prev;        /* [n][ld_h] h before the step, and masked */
    const real *c_prev;                 /* [n][ld] */
    real *c;                            /* out, may be c_prev */
    real *h;                            /* out, must not be a row of a term */
    real *const *y;                     /* out: a second copy of the first elements of h, or c; or NULL */
    real *u;                            /* out: h times mask */
    real *inner;                        /* [n][ld] out of the first stage, a term of the second */
    const real *mask, *zone_h, *zone_c; /* zone NULL: the rate in limits */
    const real *peephole;               /* [form.peephole][ld] */
    real *const *z;                     /* [n] rows of sums that are stored, [form.blocks][ld] .. */
    int store_at;                       /* .. from this block on */
    const real *norm;                   /* see NORM_GAIN_X */
    real *scales;                       /* out: [n][SCALES], or NULL */
};

struct cell_backward {
    struct fused fused; /* z is the part of dh that comes through the products of step t+1; must be first */
    ptrdiff_t units, hidden, ld, ld_h;
    struct cell_form form;
    struct cell_limits limits;
    real *blocks; /* in: of forward; out: dz */
    const real *h_prev, *u_prev, *c_prev, *c;
    real *dc;              /* in: dc_t, out: dc_{t-1} */
    real *direct;          /* in: the part of dh that comes past the products, out: that of step t-1 */
    const real *const *dy; /* [n] rows of H elements, or NULL for zero */
    const real *mask, *zone_h, *zone_c;
    const real *peephole;
    real *dpeephole;                     /* [n][form.peephole][ld], added to */
    real *const *flow_h, *const *flow_c; /* out: [n] rows of the whole gradients, or NULL; only with form.flow */
    real *dh; /* [n][ld_h] out of the first stage, where there is a second: the gradient of h_new */
    real *dm; /* [n][ld] the gradient of o q(c), where a function over rows needs it */
    const real *norm, *scales;
    real *dnorm; /* [n] rows like norm, added to */
};

typedef void finish_function(const struct fused *, const struct tile *, void *z);

/* What the `describe` of a kind of cell completes; it returns 0 if it has not all options of a stack.
 *
 * Gates are the blocks of H rows of w_ih, w_hh and b. On the tape the dz of gate g stands in block x_block[g] where it goes
 * to w_ih, and in block h_block[g] where it goes to w_hh. The pre-activations of a gate, where they are on the tape, are in
 * its x_block. */
struct cell {
    int gates, two_sums, has_c;
    int general; /* not the usual form */
    int late;    /* gates, the last ones, that belong to the second stage: their w_hh multiplies the inner rows */
    int norm;    /* layer normalisation: sums are stored */
    int x_block[MAX_GATES], h_block[MAX_GATES];
    struct cell_form form;
    /* By stage, in the order of their going; and over rows, if sums are stored. */
    finish_function *forward[2], *backward[2];
    void (*forward_rows)(const struct cell_forward *, ptrdiff_t begin, ptrdiff_t end);
    void (*backward_rows)(const struct cell_backward *, ptrdiff_t begin, ptrdiff_t end);
};

#endif
