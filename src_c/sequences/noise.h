/* What is random in a stack: the places of its numbers, and the masks that they make. Included by the files of one
 * precision. */
#ifndef CLSTM_SEQUENCES_NOISE_H
#define CLSTM_SEQUENCES_NOISE_H

#include "merge.h"

static inline int has_one_mask(clstm_noise_kind kind) {
    return kind == CLSTM_NOISE_INPUT || kind == CLSTM_NOISE_RECURRENT || kind == CLSTM_NOISE_WEIGHT;
}

/* Whether it is that of a layer, whose directions read the same. */
static inline int is_of_layer(clstm_noise_kind kind) {
    return kind == CLSTM_NOISE_DROPOUT || kind == CLSTM_NOISE_INPUT || kind == CLSTM_NOISE_ADDED;
}

/* The index of a layer, or layer and direction, in the stack of which this one may be a part. */
static inline ptrdiff_t index_of(const struct shape *shape, clstm_noise_kind kind, ptrdiff_t index) {
    return index + (is_of_layer(kind) ? shape->noise->first_layer : shape->noise->first_index);
}

static inline struct place place_of(clstm_noise_kind kind, ptrdiff_t index, uint64_t seed, int64_t row,
                                    ptrdiff_t step) {
    return (struct place){seed, (uint32_t)kind << 24 | (uint32_t)index, (uint32_t)row,
                          (uint32_t)(has_one_mask(kind) ? EVERY_STEP : step)};
}

/* n numbers of a kind: factors, or zeros and ones of zoneout. */
static inline void draw(const struct kernels *kernels, real *to, ptrdiff_t n, clstm_noise_kind kind, double rate,
                        struct place place) {
    const uint32_t threshold = (uint32_t)(rate * 0x1p32);
    if (kind == CLSTM_NOISE_ZONE_H || kind == CLSTM_NOISE_ZONE_C) kernels->random_mask(to, n, &place, threshold, 1, 0);
    else kernels->random_mask(to, n, &place, threshold, 0, (real)(1 / (1 - rate)));
}

/* The time, for noise, of step t of sequence n. */
static inline ptrdiff_t noise_time(const clstm_pieces *pieces, ptrdiff_t n, ptrdiff_t t) {
    const ptrdiff_t time = caller_time(pieces, n, t);
    return pieces && pieces->noise_time ? pieces->noise_time[pieces->row[n] * pieces->times + time] : time;
}

/* The place of row r at time t; of a mask for all its steps, t is none of them. */
static inline struct place row_place(const struct shape *shape, const struct plan *plan, clstm_noise_kind kind,
                                     ptrdiff_t index, ptrdiff_t r, ptrdiff_t t) {
    const clstm_noise *noise = shape->noise;
    const ptrdiff_t n = plan->order[r];
    return place_of(kind, index_of(shape, kind, index), noise->seed, noise->rows ? noise->rows[n] : n,
                    noise->first_step + (has_one_mask(kind) ? 0 : noise_time(plan->pieces, n, t)));
}

/* A padded mask for each of the rows [r0, r0 + n): at step s of a direction, or of all its steps (EVERY_STEP). */
static inline void draw_rows(const struct shape *shape, const struct plan *plan, clstm_noise_kind kind, ptrdiff_t index,
                             ptrdiff_t s, ptrdiff_t r0, ptrdiff_t n, real *to) {
    const double rate = noise_rate(shape->stack, kind);
    const ptrdiff_t width = noise_width(shape, kind), ld = padded(width);
    for (ptrdiff_t i = 0; i < n; i++, to += ld) {
        const ptrdiff_t t = s == EVERY_STEP ? 0 : plan_time(plan, is_reverse(shape, index % shape->D), s, r0 + i);
        draw(shape->kernels, to, width, kind, rate, row_place(shape, plan, kind, index, r0 + i, t));
        memset(to + width, 0, (size_t)(ld - width) * sizeof(real));
    }
}

/* Room for the masks on h and for dropped weights, by direction; NULL where there are none. */
static inline void noise_lay_out(real *mask[2], real *dropped[2], struct arena *arena, const struct shape *shape,
                                 const struct plan *plan) {
    const ptrdiff_t weights = times(times(shape->cell.gates, shape->H), shape->R);
    for (int d = 0; d < shape->D; d++) {
        mask[d] = shape->cell.form.mask ? arena_take(arena, times(plan->N, shape->ld_h), sizeof(real)) : NULL;
        dropped[d] = has_noise(shape, CLSTM_NOISE_WEIGHT) ? arena_take(arena, weights, sizeof(real)) : NULL;
    }
}

/* ---- the weights ---- */

/* dropped [G H, R] = w_hh times its mask */
static inline void drop_weights(const struct shape *shape, ptrdiff_t index, const real *w, real *dropped) {
    const double rate = noise_rate(shape->stack, CLSTM_NOISE_WEIGHT);
    const ptrdiff_t R = shape->R, rows = shape->cell.gates * shape->H,
                    place = index_of(shape, CLSTM_NOISE_WEIGHT, index);
    for (ptrdiff_t row = 0; row < rows; row++, dropped += R, w += R) {
        draw(shape->kernels, dropped, R, CLSTM_NOISE_WEIGHT, rate,
             place_of(CLSTM_NOISE_WEIGHT, place, shape->noise->seed, row, EVERY_STEP));
        for (ptrdiff_t k = 0; k < R; k++) dropped[k] *= w[k];
    }
}

/* gradient += that of the dropped weights times their mask */
static inline void add_dropped(const struct shape *shape, ptrdiff_t index, const real *of_dropped, real *mask,
                               real *gradient) {
    const double rate = noise_rate(shape->stack, CLSTM_NOISE_WEIGHT);
    const ptrdiff_t R = shape->R, rows = shape->cell.gates * shape->H,
                    place = index_of(shape, CLSTM_NOISE_WEIGHT, index);
    for (ptrdiff_t row = 0; row < rows; row++, of_dropped += R, gradient += R) {
        draw(shape->kernels, mask, R, CLSTM_NOISE_WEIGHT, rate,
             place_of(CLSTM_NOISE_WEIGHT, place, shape->noise->seed, row, EVERY_STEP));
        for (ptrdiff_t k = 0; k < R; k++) gradient[k] += mask[k] * of_dropped[k];
    }
}

/* ---- the input of a layer ---- */

/* row *= the masks of this row, time and layer */
static inline void mask_input(const struct shape *shape, const struct plan *plan, ptrdiff_t layer, ptrdiff_t r,
                              ptrdiff_t t, real *row, real *mask) {
    const clstm_noise_kind kinds[] = {CLSTM_NOISE_INPUT, noise_between(shape, layer)};
    const ptrdiff_t width = layer_width(shape, layer);
    for (int k = 0; k < 2; k++) {
        if (!has_noise(shape, kinds[k]) || kinds[k] == CLSTM_NOISE_ADDED) continue;
        draw(shape->kernels, mask, width, kinds[k], noise_rate(shape->stack, kinds[k]),
             row_place(shape, plan, kinds[k], layer, r, t));
        for (ptrdiff_t j = 0; j < width; j++) row[j] *= mask[j];
    }
}

/* Rows [q0, q1), in the order of time, of the changed copy of a layer's input. */
struct mix {
    const struct shape *shape;
    const struct plan *plan;
    ptrdiff_t layer, parts;
    struct input from;
    struct located to; /* or, backward, what the gradient of the input becomes that of */
    real *const *mask; /* by worker, as wide as any layer */
};

static inline void mix_row(const struct mix *mix, ptrdiff_t r, ptrdiff_t t, real *mask) {
    real *row = row_at(&mix->to, mix->plan, t, r), *to = row;
    if (mix->from.segments == 2 && mix->shape->merge)
        merge_row(mix->shape->merge, mix->shape->R, row_at(&mix->from.segment[0], mix->plan, t, r),
                  row_at(&mix->from.segment[1], mix->plan, t, r), row);
    else
        for (int k = 0; k < mix->from.segments; to += mix->from.width[k++])
            memcpy(to, row_at(&mix->from.segment[k], mix->plan, t, r), (size_t)mix->from.width[k] * sizeof(real));
    if (mix->from.segments && noise_between(mix->shape, mix->layer) == CLSTM_NOISE_ADDED &&
        has_noise(mix->shape, CLSTM_NOISE_ADDED)) {
        const struct place place = row_place(mix->shape, mix->plan, CLSTM_NOISE_ADDED, mix->layer, r, t);
        mix->shape->kernels->add_normal(row, mix->shape->I, &place, mix->shape->stack->input_noise);
    }
    mask_input(mix->shape, mix->plan, mix->layer, r, t, row, mask);
}

static inline void mix_task(void *context, ptrdiff_t part, int worker) {
    const struct mix *mix = context;
    const ptrdiff_t q0 = part * mix->plan->rows / mix->parts, q1 = (part + 1) * mix->plan->rows / mix->parts;
    if (q0 == q1) return;
    for (struct walk at = walk_from(mix->plan, q0, q1); at.q < at.end; walk_on(&at, mix->plan))
        for (ptrdiff_t r = at.r; r < at.r + at.n; r++) mix_row(mix, r, at.s, mix->mask[worker]);
}

/* For each thread, a mask as wide as any layer's input. */
static inline real **wide_lay_out(struct arena *arena, const struct shape *shape, int threads) {
    const int wanted = has_input_noise(shape, 0) || has_input_noise(shape, 1);
    real **wide = arena_take(arena, threads, sizeof *wide);
    for (int i = 0; i < threads; i++) {
        real *own = arena_take(arena, wanted ? padded(widest_layer(shape)) : 0, sizeof(real));
        if (wide) wide[i] = own;
    }
    return wide;
}

/* A number takes some ten operations. */
static inline int mix_threads(const struct shape *shape, const struct plan *plan, ptrdiff_t layer) {
    return shape->blas ? 1 : threads_for(shape->runtime, 10.0 * (double)plan->rows * (double)layer_width(shape, layer));
}

/* Every row, shared by threads; without segments in `from`, rows are only multiplied by their masks. */
static inline void run_mix(struct mix *mix, int threads) {
    mix->parts = threads;
    if (mix->plan->rows > 0) clstm_parallel(threads, mix->parts, mix_task, mix);
}

#endif
