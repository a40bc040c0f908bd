/* The gated recurrent unit (Cho et al. 2014), in the form that resets after the product, as PyTorch and cuDNN do:
 *
 *     r = s(z_r)    z = s(z_z)    n = p(x_n + r q)    h_new = (1 - z) n + z h_{t-1}
 *
 * x_n = w_n x + b_n is the first sum of gate n, q = u_n h_{t-1} + b_hn the second. On the tape: r z q n. */
#ifndef CLSTM_CELL_GRU_H
#define CLSTM_CELL_GRU_H

#include "units.h"

static int describe_gru(const clstm_stack *stack, struct cell *cell) {
    *cell = (struct cell){
        .gates = 3, .two_sums = 1, .x_block = {0, 1, 3}, .h_block = {0, 1, 2}, .form = {.blocks = 4, .direct = 1}};
    return !(stack->coupled || stack->no_forget || stack->peephole || stack->cell_clip > 0 || stack->output_activation);
}

static const struct cell_form USUAL_GRU = {
    .blocks = 4, .direct = 1, .gate = CLSTM_SIGMOID, .candidate = CLSTM_TANH, .output = CLSTM_TANH};

/* Two loops for the reason of the LSTM: n has to wait for r. */
CLSTM_INLINE void gru_forward_units(const struct cell_forward *s, const struct cell_form form, const int column,
                                    const struct tile *tile, vec *all) {
    const ptrdiff_t ld = s->ld;
    const vec limit = broadcast(s->limits.clip);
    const int n = tile->groups;
    FOR_EACH_UNIT(walk, column, tile, all) {
        const ptrdiff_t row = walk.row, unit = walk.unit;
        vec *z = walk.z;
        const vec r = gate_of(form.gate, form.clip, z[0], limit);
        const vec q = z[2 * n];
        z[n] = gate_of(form.gate, form.clip, z[n], limit);
        z[0] = fma_(r, q, z[FIRST_SUMS + 2 * n]);
        if (s->blocks) {
            real *blocks = s->blocks + row * 4 * ld + unit;
            store(blocks, r);
            store(blocks + ld, z[n]);
            store(blocks + 2 * ld, q);
        }
    }
    FOR_EACH_UNIT(walk, column, tile, all) {
        const ptrdiff_t row = walk.row, unit = walk.unit;
        vec *z = walk.z;
        const vec new = gate_of(form.candidate, form.clip, z[0], limit);
        if (s->blocks) store(s->blocks + (row * 4 + 3) * ld + unit, new);
        emit_h(s, form, row, unit, fma_(z[n], load(s->h_prev + row * ld + unit) - new, new));
    }
}

/*     dn = dh (1 - z) p'     dz = dh (h_{t-1} - n) s'     dr = dn q s'     dq = dn r     dh_{t-1} = dh z + .. */
CLSTM_INLINE void gru_backward_units(const struct cell_backward *s, const struct cell_form form, const int column,
                                     const struct tile *tile, vec *all) {
    const ptrdiff_t ld = s->ld;
    const struct way_back gate = way_back_of(form.gate, form.clip, s->limits.clip);
    const struct way_back candidate = way_back_of(form.candidate, form.clip, s->limits.clip);
    FOR_EACH_UNIT(walk, column, tile, all) {
        const ptrdiff_t row = walk.row, unit = walk.unit;
        vec *sum = walk.z;
        const ptrdiff_t at = row * ld + unit;
        real *blocks = s->blocks + row * 4 * ld + unit;
        const vec r = load(blocks), z = load(blocks + ld), q = load(blocks + 2 * ld), n = load(blocks + 3 * ld);
        const struct dh d = collect_dh(s, form, row, unit, *sum);
        const vec dz = d.dh * (load(s->h_prev + at) - n);
        const vec dn = emit_dz(s, form, row, unit, 3, back_through(candidate, n, d.dh * (broadcast(1) - z)));
        emit_dz(s, form, row, unit, 1, back_through(gate, z, dz));
        emit_dz(s, form, row, unit, 0, back_through(gate, r, dn * q));
        store(blocks + 2 * ld, dn * r);
        store(s->direct + at, fma_(d.dh, z, d.direct));
    }
}

static void gru_forward_usual(const struct fused *fused, const struct tile *tile, void *z) {
    const struct cell_forward *s = (const struct cell_forward *)fused;
    if (is_column(tile)) gru_forward_units(s, USUAL_GRU, 1, tile, z);
    else gru_forward_units(s, USUAL_GRU, 0, tile, z);
}
static void gru_forward_any(const struct fused *fused, const struct tile *tile, void *z) {
    const struct cell_forward *s = (const struct cell_forward *)fused;
    gru_forward_units(s, s->form, 0, tile, z);
}
static void gru_backward_usual(const struct fused *fused, const struct tile *tile, void *z) {
    const struct cell_backward *s = (const struct cell_backward *)fused;
    if (is_column(tile)) gru_backward_units(s, USUAL_GRU, 1, tile, z);
    else gru_backward_units(s, USUAL_GRU, 0, tile, z);
}
static void gru_backward_any(const struct fused *fused, const struct tile *tile, void *z) {
    const struct cell_backward *s = (const struct cell_backward *)fused;
    gru_backward_units(s, s->form, 0, tile, z);
}

static const struct cell_kernels gru_cell = {
    .describe = describe_gru,
    .forward = {gru_forward_usual, gru_forward_any},
    .backward = {gru_backward_usual, gru_backward_any},
};

#endif
