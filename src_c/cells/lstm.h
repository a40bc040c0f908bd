/* Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers, Schmidhuber and Cummins 2000).
 *
 *     i = s(z_i + p_i c_{t-1})    f = s(z_f + p_f c_{t-1})    g = p(z_g)
 *     c_new = f c_{t-1} + i g     o = s(z_o + p_o c_new)      m = o q(c_new)     h_new = m, or w_hr m
 *
 * with s, p, q the activations of the gates (sigmoid), of the candidate and of the output (tanh). Options: peepholes p
 * (Gers and Schmidhuber 2000), f = 1 - i (coupled: Greff et al. 2017), f = 1 (the cell of 1997), a projection as second
 * stage (Sak, Senior and Beaufays 2014). Without a forget gate of its own the gates are i g o. Limits act on the arguments
 * of s and p, and on c_new. */
#ifndef CLSTM_CELL_LSTM_H
#define CLSTM_CELL_LSTM_H

#include "units.h"

static const struct cell_form USUAL_LSTM = {
    .blocks = 4, .forget = 1, .gate = CLSTM_SIGMOID, .candidate = CLSTM_TANH, .output = CLSTM_TANH};

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

/* The gates of one vector of units, and c_new. */
struct lstm_unit {
    vec i, f, g, o, c;
};

CLSTM_INLINE int candidate_at(const struct cell_form form) { return form.forget ? 2 : 1; }
CLSTM_INLINE int output_at(const struct cell_form form) { return form.forget ? 3 : 2; }

/* From pre-activations that are n vectors apart. */
CLSTM_INLINE struct lstm_unit lstm_unit_of(const struct cell_forward *s, const struct cell_form form, ptrdiff_t unit,
                                           const vec *z, int n, vec c_prev, vec limit) {
    const real *p = s->peephole;
    const ptrdiff_t ld = s->ld;
    const int g_at = candidate_at(form), o_at = output_at(form);
    struct lstm_unit at;
    at.i = gate_of(form.gate, form.clip, peep(p, form, ld, unit, 0, z[0], c_prev), limit);
    at.f = form.forget ? gate_of(form.gate, form.clip, peep(p, form, ld, unit, 1, z[n], c_prev), limit)
                       : forget_of(form, at.i);
    at.g = gate_of(form.candidate, form.clip, z[g_at * n], limit);
    at.c = next_c(at.i, at.f, at.g, c_prev);
    if (form.cell_clip) at.c = limited(at.c, broadcast(s->limits.cell_clip));
    at.o = gate_of(form.gate, form.clip, peep(p, form, ld, unit, o_at - 1, z[o_at * n], at.c), limit);
    return at;
}

CLSTM_INLINE void keep_gates(real *blocks, const struct cell_form form, ptrdiff_t ld, const struct lstm_unit at) {
    store(blocks, at.i);
    if (form.forget) store(blocks + ld, at.f);
    store(blocks + candidate_at(form) * ld, at.g);
    store(blocks + output_at(form) * ld, at.o);
}

/* c_t of c_new. */
CLSTM_INLINE void emit_c(const struct cell_forward *s, const struct cell_form form, ptrdiff_t row, ptrdiff_t unit,
                         vec c, vec c_prev) {
    const ptrdiff_t at = row * s->ld + unit;
    if (form.zone_c) {
        const vec zone = zone_of(s->zone_c, s->limits.zone_c, at);
        c = fma_(zone, c_prev, (broadcast(1) - zone) * c);
    }
    store(s->c + at, c);
    if (form.show_c && s->y) store_units(s->y[row], unit, s->units, c);
}

/* m is h, or goes to the second stage. */
CLSTM_INLINE void emit_m(const struct cell_forward *s, const struct cell_form form, ptrdiff_t row, ptrdiff_t unit,
                         vec m) {
    if (form.projects) store(s->inner + row * s->ld + unit, m);
    else emit_h(s, form, row, unit, m);
}

/* Two loops, because q(c_new) has to wait for three gates: of one unit after another, half of the time would be waiting,
 * and a processor does not look as far ahead as the next but one. */
CLSTM_INLINE void lstm_forward_units(const struct cell_forward *s, const struct cell_form form, const int column,
                                     const struct tile *tile, vec *all) {
    const ptrdiff_t ld = s->ld;
    const vec limit = broadcast(s->limits.clip);
    const int n = tile->groups;
    FOR_EACH_UNIT(walk, column, tile, all) {
        const ptrdiff_t row = walk.row, unit = walk.unit;
        const vec c_prev = load(s->c_prev + row * ld + unit);
        const struct lstm_unit found = lstm_unit_of(s, form, unit, walk.z, n, c_prev, limit);
        if (s->blocks) keep_gates(s->blocks + row * form.blocks * ld + unit, form, ld, found);
        walk.z[0] = found.o;
        walk.z[n] = found.c;
        emit_c(s, form, row, unit, found.c, c_prev);
    }
    FOR_EACH_UNIT(walk, column, tile, all)
    emit_m(s, form, walk.row, walk.unit, walk.z[0] * activated(form.output, walk.z[n]));
}

/* What is the same for all units of a backward step. */
struct lstm_back {
    struct way_back gate, candidate;
    vec cell_limit;
};

CLSTM_INLINE struct lstm_back lstm_back_of(const struct cell_backward *s, const struct cell_form form) {
    return (struct lstm_back){way_back_of(form.gate, form.clip, s->limits.clip),
                              way_back_of(form.candidate, form.clip, s->limits.clip), broadcast(s->limits.cell_clip)};
}

/* i f g of the tape, c_{t-1}, and c_new before and after its limit. */
struct lstm_kept {
    vec i, f, g, c_prev, c, c_new;
};

CLSTM_INLINE struct lstm_kept lstm_kept_at(const struct cell_backward *s, const struct cell_form form, ptrdiff_t row,
                                           ptrdiff_t unit, const struct lstm_back *back) {
    const ptrdiff_t ld = s->ld, at = row * ld + unit;
    const real *blocks = s->blocks + (row * form.blocks + form.first) * ld + unit;
    struct lstm_kept kept;
    kept.i = load(blocks), kept.g = load(blocks + candidate_at(form) * ld);
    kept.f = form.forget ? load(blocks + ld) : forget_of(form, kept.i);
    kept.c_prev = load(s->c_prev + at);
    kept.c = form.zone_c || form.cell_clip ? next_c(kept.i, kept.f, kept.g, kept.c_prev) : load(s->c + at);
    kept.c_new = form.cell_clip ? limited(kept.c, back->cell_limit) : kept.c;
    return kept;
}

/* From c_new and z_o to what was before them: dz_i, dz_f and dz_g, which are returned in this order. `from_m` is what
 * comes to c_new through m.
 *
 *     dc' = dc (1 - zone_c) + from_m + p_o dz_o
 *     dz_i = dc' g s'     dz_f = dc' c_{t-1} s'     dz_g = dc' i p'     (coupled: dz_i = dc' (g - c_{t-1}) s')
 *     dc_{t-1} = dc zone_c + dc' f + p_i dz_i + p_f dz_f
 */
struct lstm_dz {
    vec i, f, g;
};

CLSTM_INLINE struct lstm_dz lstm_cell_backward(const struct cell_backward *s, const struct cell_form form,
                                               ptrdiff_t row, ptrdiff_t unit, const struct lstm_back *back,
                                               const struct lstm_kept *kept, vec from_m, vec dz_o) {
    const ptrdiff_t ld = s->ld, at = row * ld + unit;
    vec dc = load(s->dc + at), held = broadcast(0);
    if (form.show_c && s->dy) dc += load_units(s->dy[row], unit, s->units);
    vec dc_new = dc;
    if (form.zone_c) {
        held = zone_of(s->zone_c, s->limits.zone_c, at) * dc;
        dc_new -= held;
    }
    dc_new += from_m;
    if (form.peephole) dc_new = fma_(load(s->peephole + (form.peephole - 1) * ld + unit), dz_o, dc_new);
    if (form.flow) emit_flow(s->flow_c, row, unit, s->units, dc_new + held);
    if (form.cell_clip) dc_new = inside(dc_new, kept->c, back->cell_limit);
    const vec di = form.coupled ? dc_new * (kept->g - kept->c_prev) : dc_new * kept->g;
    struct lstm_dz dz = {.i = emit_dz(s, form, row, unit, 0, back_through(back->gate, kept->i, di))};
    if (form.forget) dz.f = emit_dz(s, form, row, unit, 1, back_through(back->gate, kept->f, dc_new * kept->c_prev));
    dz.g = emit_dz(s, form, row, unit, candidate_at(form), back_through(back->candidate, kept->g, dc_new * kept->i));
    vec dc_prev = form.zone_c ? fma_(dc_new, kept->f, held) : dc_new * kept->f;
    if (form.peephole) {
        real *sums = s->dpeephole + row * form.peephole * ld + unit;
        store(sums, fma_(dz.i, kept->c_prev, load(sums)));
        dc_prev = fma_(load(s->peephole + unit), dz.i, dc_prev);
        if (form.forget) {
            store(sums + ld, fma_(dz.f, kept->c_prev, load(sums + ld)));
            dc_prev = fma_(load(s->peephole + ld + unit), dz.f, dc_prev);
        }
        real *last = sums + (form.peephole - 1) * ld;
        store(last, fma_(dz_o, kept->c_new, load(last)));
    }
    store(s->dc + at, dc_prev);
    return dz;
}

/* q(c_new) is computed again: keeping it would cost a sixth more tape.
 *
 *     dz_o = dm q(c_new) s'     and to c_new comes dm o q'(c_new)
 */
CLSTM_INLINE void lstm_backward_units(const struct cell_backward *s, const struct cell_form form, const int column,
                                      const struct tile *tile, vec *all) {
    const ptrdiff_t ld = s->ld;
    const struct lstm_back back = lstm_back_of(s, form);
    const int o_at = output_at(form);
    FOR_EACH_UNIT(walk, column, tile, all) {
        const ptrdiff_t row = walk.row, unit = walk.unit;
        const struct lstm_kept kept = lstm_kept_at(s, form, row, unit, &back);
        const vec o = load(s->blocks + (row * form.blocks + o_at) * ld + unit), q = activated(form.output, kept.c_new);
        const struct dh d = form.projects ? (struct dh){.dh = walk.z[0]} : collect_dh(s, form, row, unit, walk.z[0]);
        const vec dz_o = emit_dz(s, form, row, unit, o_at, back_through(back.gate, o, d.dh * q));
        lstm_cell_backward(s, form, row, unit, &back, &kept, d.dh * o * slope_at(form.output, q), dz_o);
        if (form.direct && !form.projects) store(s->direct + row * ld + unit, d.direct);
    }
}

CELL_OF_FORM(lstm_forward_usual, forward, lstm_forward_units, USUAL_LSTM)
CELL_OF_FORM(lstm_backward_usual, backward, lstm_backward_units, USUAL_LSTM)
CELL_OF_ANY_FORM(lstm_forward_any, forward, lstm_forward_units)
CELL_OF_ANY_FORM(lstm_backward_any, backward, lstm_backward_units)

/* h_new = w_hr m */
static void project_forward(const struct fused *fused, const struct tile *tile, void *all) {
    const struct cell_forward *s = (const struct cell_forward *)fused;
    FOR_EACH_UNIT(walk, 0, tile, all)
    emit_h(s, s->form, walk.row, walk.unit, walk.z[0]);
}

#include "lstm_norm.h"

static int describe_lstm(const clstm_stack *stack, struct cell *cell) {
    struct cell_form *form = &cell->form;
    cell->gates = stack->coupled || stack->no_forget ? 3 : 4;
    cell->has_c = 1;
    form->blocks = cell->gates;
    form->forget = cell->gates == 4;
    form->coupled = stack->coupled;
    form->peephole = stack->peephole ? cell->gates - 1 : 0;
    form->cell_clip = stack->cell_clip > 0;
    form->projects = stack->projection_size > 0;
    form->show_c = stack->show_c;
    cell->general |= cell->gates == 3 || stack->peephole || form->cell_clip || form->projects || form->show_c;
    for (int gate = 0; gate < cell->gates; gate++) cell->x_block[gate] = cell->h_block[gate] = gate;
    cell->forward[0] = cell->general ? lstm_forward_any : lstm_forward_usual;
    cell->backward[0] = cell->general ? lstm_backward_any : lstm_backward_usual;
    if (form->projects) {
        cell->forward[1] = project_forward;
        cell->backward[0] = collect_for_later, cell->backward[1] = lstm_backward_any;
    }
    if (stack->layer_norm) describe_norm(cell);
    return !(stack->coupled && stack->no_forget) && !(stack->layer_norm && stack->no_forget);
}

#endif
