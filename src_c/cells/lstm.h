/* Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers, Schmidhuber and Cummins 2000).
 *
 *     i = s(z_i + p_i c_{t-1})    f = s(z_f + p_f c_{t-1})    g = p(z_g)
 *     c_new = f c_{t-1} + i g     o = s(z_o + p_o c_new)      h_new = o q(c_new)
 *
 * with s, p, q the activations of the gates (sigmoid), of the candidate and of the output (tanh). Options: peepholes p
 * (Gers and Schmidhuber 2000), f = 1 - i (coupled: Greff et al. 2017), f = 1 (the cell of 1997). Without a forget gate of
 * its own the gates are i g o. Limits act on the arguments of s and p, and on c_new. */
#ifndef CLSTM_CELL_LSTM_H
#define CLSTM_CELL_LSTM_H

#include "units.h"

static const struct cell_form USUAL_LSTM = {
    .blocks = 4, .forget = 1, .gate = CLSTM_SIGMOID, .candidate = CLSTM_TANH, .output = CLSTM_TANH};

static int describe_lstm(const clstm_stack *stack, struct cell *cell) {
    const int gates = stack->coupled || stack->no_forget ? 3 : 4;
    *cell = (struct cell){.gates = gates,
                          .has_c = 1,
                          .general = gates == 3 || stack->peephole || stack->cell_clip > 0,
                          .x_block = {0, 1, 2, 3},
                          .h_block = {0, 1, 2, 3},
                          .form = {
                              .blocks = gates,
                              .forget = gates == 4,
                              .coupled = stack->coupled,
                              .peephole = stack->peephole ? gates - 1 : 0,
                              .cell_clip = stack->cell_clip > 0,
                          }};
    return !(stack->coupled && stack->no_forget);
}

/* The peephole of a gate times a cell state. */
CLSTM_INLINE vec peep(const real *peephole, const struct cell_form form, ptrdiff_t ld, ptrdiff_t unit, int row, vec z,
                      vec c) {
    return form.peephole ? fma_(load(peephole + row * ld + unit), c, z) : z;
}

/* f by i, where it is no gate. */
CLSTM_INLINE vec forget_of(const struct cell_form form, vec i) {
    return form.coupled ? broadcast(1) - i : broadcast(1);
}

/* c_new before any limit. */
CLSTM_INLINE vec next_c(vec i, vec f, vec g, vec c_prev) { return fma_(f, c_prev, i * g); }

/* Two loops, because q(c_new) has to wait for three gates: of one unit after another, half of the time would be waiting,
 * and a processor does not look as far ahead as the next but one. */
CLSTM_INLINE void lstm_forward_units(const struct cell_forward *s, const struct cell_form form, const int column,
                                     const struct tile *tile, vec *all) {
    const ptrdiff_t ld = s->ld;
    const vec limit = broadcast(s->limits.clip);
    const int n = tile->groups, g_at = form.forget ? 2 : 1, o_at = g_at + 1;
    FOR_EACH_UNIT(walk, column, tile, all) {
        const ptrdiff_t row = walk.row, unit = walk.unit;
        vec *z = walk.z;
        const ptrdiff_t at = row * ld + unit;
        const vec c_prev = load(s->c_prev + at);
        const vec i = gate_of(form.gate, form.clip, peep(s->peephole, form, ld, unit, 0, z[0], c_prev), limit);
        const vec f = form.forget
                          ? gate_of(form.gate, form.clip, peep(s->peephole, form, ld, unit, 1, z[n], c_prev), limit)
                          : forget_of(form, i);
        const vec g = gate_of(form.candidate, form.clip, z[g_at * n], limit);
        vec c = next_c(i, f, g, c_prev);
        if (form.cell_clip) c = limited(c, broadcast(s->limits.cell_clip));
        const vec o = gate_of(form.gate, form.clip, peep(s->peephole, form, ld, unit, o_at - 1, z[o_at * n], c), limit);
        if (s->blocks) {
            real *blocks = s->blocks + row * form.blocks * ld + unit;
            store(blocks, i);
            if (form.forget) store(blocks + ld, f);
            store(blocks + g_at * ld, g);
            store(blocks + o_at * ld, o);
        }
        z[0] = o;
        z[n] = c;
        if (form.zone_c) {
            const vec zone = zone_of(s->zone_c, s->limits.zone_c, at);
            c = fma_(zone, c_prev, (broadcast(1) - zone) * c);
        }
        store(s->c + at, c);
    }
    FOR_EACH_UNIT(walk, column, tile, all)
    emit_h(s, form, walk.row, walk.unit, walk.z[0] * activated(form.output, walk.z[n]));
}

/* q(c_new) is computed again: keeping it would cost a sixth more tape.
 *
 *     dc' = dc (1 - zone_c) + dh o q'(c_new) + p_o dz_o      dz_o = dh q(c_new) s'
 *     dz_i = dc' g s'     dz_f = dc' c_{t-1} s'     dz_g = dc' i p'     (coupled: dz_i = dc' (g - c_{t-1}) s')
 *     dc_{t-1} = dc zone_c + dc' f + p_i dz_i + p_f dz_f
 */
CLSTM_INLINE void lstm_backward_units(const struct cell_backward *s, const struct cell_form form, const int column,
                                      const struct tile *tile, vec *all) {
    const ptrdiff_t ld = s->ld;
    const struct way_back gate = way_back_of(form.gate, form.clip, s->limits.clip);
    const struct way_back candidate = way_back_of(form.candidate, form.clip, s->limits.clip);
    const vec cell_limit = broadcast(s->limits.cell_clip);
    const int g_at = form.forget ? 2 : 1, o_at = g_at + 1;
    FOR_EACH_UNIT(walk, column, tile, all) {
        const ptrdiff_t row = walk.row, unit = walk.unit;
        vec *z = walk.z;
        const ptrdiff_t at = row * ld + unit;
        const real *blocks = s->blocks + row * form.blocks * ld + unit;
        const vec i = load(blocks), g = load(blocks + g_at * ld), o = load(blocks + o_at * ld);
        const vec f = form.forget ? load(blocks + ld) : forget_of(form, i), c_prev = load(s->c_prev + at);
        const vec c = form.zone_c || form.cell_clip ? next_c(i, f, g, c_prev) : load(s->c + at);
        const vec c_new = form.cell_clip ? limited(c, cell_limit) : c, q = activated(form.output, c_new);
        const struct dh d = collect_dh(s, form, row, unit, z[0]);
        const vec dz_o = emit_dz(s, form, row, unit, o_at, back_through(gate, o, d.dh * q));
        const vec dc = load(s->dc + at);
        vec kept = broadcast(0), dc_new = dc;
        if (form.zone_c) {
            kept = zone_of(s->zone_c, s->limits.zone_c, at) * dc;
            dc_new -= kept;
        }
        dc_new = fma_(d.dh * o, slope_at(form.output, q), dc_new);
        if (form.peephole) dc_new = fma_(load(s->peephole + (form.peephole - 1) * ld + unit), dz_o, dc_new);
        if (form.cell_clip) dc_new = inside(dc_new, c, cell_limit);
        const vec di = form.coupled ? dc_new * (g - c_prev) : dc_new * g;
        const vec dz_i = emit_dz(s, form, row, unit, 0, back_through(gate, i, di));
        vec dz_f = broadcast(0);
        if (form.forget) dz_f = emit_dz(s, form, row, unit, 1, back_through(gate, f, dc_new * c_prev));
        emit_dz(s, form, row, unit, g_at, back_through(candidate, g, dc_new * i));
        vec dc_prev = form.zone_c ? fma_(dc_new, f, kept) : dc_new * f;
        if (form.peephole) {
            real *sums = s->dpeephole + row * form.peephole * ld + unit;
            dc_prev = fma_(load(s->peephole + unit), dz_i, dc_prev);
            store(sums, fma_(dz_i, c_prev, load(sums)));
            if (form.forget) {
                dc_prev = fma_(load(s->peephole + ld + unit), dz_f, dc_prev);
                store(sums + ld, fma_(dz_f, c_prev, load(sums + ld)));
            }
            sums += (form.peephole - 1) * ld;
            store(sums, fma_(dz_o, c_new, load(sums)));
        }
        store(s->dc + at, dc_prev);
        if (form.direct) store(s->direct + at, d.direct);
    }
}

static void lstm_forward_usual(const struct fused *fused, const struct tile *tile, void *z) {
    const struct cell_forward *s = (const struct cell_forward *)fused;
    if (is_column(tile)) lstm_forward_units(s, USUAL_LSTM, 1, tile, z);
    else lstm_forward_units(s, USUAL_LSTM, 0, tile, z);
}
static void lstm_forward_any(const struct fused *fused, const struct tile *tile, void *z) {
    const struct cell_forward *s = (const struct cell_forward *)fused;
    lstm_forward_units(s, s->form, 0, tile, z);
}
static void lstm_backward_usual(const struct fused *fused, const struct tile *tile, void *z) {
    const struct cell_backward *s = (const struct cell_backward *)fused;
    if (is_column(tile)) lstm_backward_units(s, USUAL_LSTM, 1, tile, z);
    else lstm_backward_units(s, USUAL_LSTM, 0, tile, z);
}
static void lstm_backward_any(const struct fused *fused, const struct tile *tile, void *z) {
    const struct cell_backward *s = (const struct cell_backward *)fused;
    lstm_backward_units(s, s->form, 0, tile, z);
}

static const struct cell_kernels lstm_cell = {
    .describe = describe_lstm,
    .forward = {lstm_forward_usual, lstm_forward_any},
    .backward = {lstm_backward_usual, lstm_backward_any},
};

#endif
