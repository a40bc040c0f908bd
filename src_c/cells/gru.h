/* The gated recurrent unit (Cho et al. 2014):
 *
 *     r = s(z_r)    z = s(z_z)    n = p(x_n + r q)    h_new = (1 - z) n + z h_{t-1}
 *
 * in the form that resets after the product, as PyTorch and cuDNN do: x_n = w_n x + b_n is the first sum of gate n, q = u_n
 * h_{t-1} + b_hn the second, on the tape are r z q n; and in the form of the paper, n = p(x_n + u_n (r h_{t-1})), where n
 * is a second stage. */
#ifndef CLSTM_CELL_GRU_H
#define CLSTM_CELL_GRU_H

#include "units.h"

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

CELL_OF_FORM(gru_forward_usual, forward, gru_forward_units, USUAL_GRU)
CELL_OF_FORM(gru_backward_usual, backward, gru_backward_units, USUAL_GRU)
CELL_OF_ANY_FORM(gru_forward_any, forward, gru_forward_units)
CELL_OF_ANY_FORM(gru_backward_any, backward, gru_backward_units)

/* ---- reset before the product: r z on the tape, then n ---- */

/* Until the second stage comes, z stands where h will. */
static void early_gates_forward(const struct fused *fused, const struct tile *tile, void *all) {
    const struct cell_forward *s = (const struct cell_forward *)fused;
    const struct cell_form form = s->form;
    const vec limit = broadcast(s->limits.clip);
    FOR_EACH_UNIT(walk, 0, tile, all) {
        const ptrdiff_t at = walk.row * s->ld + walk.unit;
        const vec r = gate_of(form.gate, form.clip, walk.z[0], limit);
        const vec z = gate_of(form.gate, form.clip, walk.z[tile->groups], limit);
        store(s->inner + at, r * load(s->u_prev + at));
        store(s->h + at, z);
        if (!s->blocks) continue;
        real *blocks = s->blocks + walk.row * 3 * s->ld + walk.unit;
        store(blocks, r);
        store(blocks + s->ld, z);
    }
}

static void late_gate_forward(const struct fused *fused, const struct tile *tile, void *all) {
    const struct cell_forward *s = (const struct cell_forward *)fused;
    const struct cell_form form = s->form;
    const vec limit = broadcast(s->limits.clip);
    FOR_EACH_UNIT(walk, 0, tile, all) {
        const ptrdiff_t at = walk.row * s->ld + walk.unit;
        const vec n = gate_of(form.candidate, form.clip, walk.z[0], limit), z = load(s->h + at);
        if (s->blocks) store(s->blocks + (walk.row * 3 + 2) * s->ld + walk.unit, n);
        emit_h(s, form, walk.row, walk.unit, fma_(z, load(s->h_prev + at) - n, n));
    }
}

/*     dn = dh (1 - z) p'     dz = dh (h_{t-1} - n) s' */
static void late_gate_backward(const struct fused *fused, const struct tile *tile, void *all) {
    const struct cell_backward *s = (const struct cell_backward *)fused;
    const struct cell_form form = s->form;
    const struct way_back gate = way_back_of(form.gate, form.clip, s->limits.clip);
    const struct way_back candidate = way_back_of(form.candidate, form.clip, s->limits.clip);
    FOR_EACH_UNIT(walk, 0, tile, all) {
        const ptrdiff_t row = walk.row, unit = walk.unit, at = row * s->ld + unit;
        const real *blocks = s->blocks + row * 3 * s->ld + unit;
        const vec z = load(blocks + s->ld), n = load(blocks + 2 * s->ld);
        const struct dh d = collect_dh(s, form, row, unit, walk.z[0]);
        emit_dz(s, form, row, unit, 1, back_through(gate, z, d.dh * (load(s->h_prev + at) - n)));
        emit_dz(s, form, row, unit, 2, back_through(candidate, n, d.dh * (broadcast(1) - z)));
        store(s->direct + at, fma_(d.dh, z, d.direct));
    }
}

/* With d(r u) = u_n dn:     dr = d(r u) u s'     du = d(r u) r + .. */
static void early_gates_backward(const struct fused *fused, const struct tile *tile, void *all) {
    const struct cell_backward *s = (const struct cell_backward *)fused;
    const struct cell_form form = s->form;
    const struct way_back gate = way_back_of(form.gate, form.clip, s->limits.clip);
    FOR_EACH_UNIT(walk, 0, tile, all) {
        const ptrdiff_t row = walk.row, unit = walk.unit, at = row * s->ld + unit;
        const vec r = load(s->blocks + row * 3 * s->ld + unit), du = walk.z[0] * r;
        emit_dz(s, form, row, unit, 0, back_through(gate, r, walk.z[0] * load(s->u_prev + at)));
        store(s->direct + at, load(s->direct + at) + (form.mask ? du * load(s->mask + at) : du));
    }
}

static void describe_reset_before(struct cell *cell) {
    for (int gate = 0; gate < 3; gate++) cell->x_block[gate] = cell->h_block[gate] = gate;
    cell->form.blocks = 3;
    cell->late = 1;
    cell->forward[0] = early_gates_forward, cell->forward[1] = late_gate_forward;
    cell->backward[0] = late_gate_backward, cell->backward[1] = early_gates_backward;
}

static void describe_reset_after(struct cell *cell) {
    const int x_block[] = {0, 1, 3}, h_block[] = {0, 1, 2};
    for (int gate = 0; gate < 3; gate++) cell->x_block[gate] = x_block[gate], cell->h_block[gate] = h_block[gate];
    cell->form.blocks = 4;
    cell->two_sums = 1;
    cell->forward[0] = cell->general ? gru_forward_any : gru_forward_usual;
    cell->backward[0] = cell->general ? gru_backward_any : gru_backward_usual;
}

static int describe_gru(const clstm_stack *stack, struct cell *cell) {
    cell->gates = 3;
    cell->form.direct = 1;
    if (stack->reset_before) describe_reset_before(cell);
    else describe_reset_after(cell);
    return !stack->output_activation;
}

#endif
