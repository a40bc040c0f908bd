/* The plain recurrent network (Elman 1990): h_new = p(z), p = tanh or any other activation. */
#ifndef CLSTM_CELL_RNN_H
#define CLSTM_CELL_RNN_H

#include "units.h"

static void rnn_forward(const struct fused *fused, const struct tile *tile, void *all) {
    const struct cell_forward *s = (const struct cell_forward *)fused;
    const struct cell_form form = s->form;
    FOR_EACH_UNIT(walk, 0, tile, all) {
        const ptrdiff_t row = walk.row, unit = walk.unit;
        vec *z = walk.z;
        const vec limit = broadcast(s->limits.clip);
        const vec h = gate_of(form.candidate, form.clip, *z, limit);
        if (s->blocks) store(s->blocks + row * s->ld + unit, h);
        emit_h(s, form, row, unit, h);
    }
}

static void rnn_backward(const struct fused *fused, const struct tile *tile, void *all) {
    const struct cell_backward *s = (const struct cell_backward *)fused;
    const struct cell_form form = s->form;
    const struct way_back way = way_back_of(form.candidate, form.clip, s->limits.clip);
    FOR_EACH_UNIT(walk, 0, tile, all) {
        const ptrdiff_t row = walk.row, unit = walk.unit;
        vec *z = walk.z;
        const vec h = load(s->blocks + row * s->ld + unit);
        const struct dh d = collect_dh(s, form, row, unit, *z);
        emit_dz(s, form, row, unit, 0, back_through(way, h, d.dh));
        if (form.direct) store(s->direct + row * s->ld + unit, d.direct);
    }
}

static int describe_rnn(const clstm_stack *stack, struct cell *cell) {
    cell->gates = cell->form.blocks = 1;
    cell->forward[0] = rnn_forward;
    cell->backward[0] = rnn_backward;
    return !(stack->gate_activation || stack->output_activation);
}

#endif
