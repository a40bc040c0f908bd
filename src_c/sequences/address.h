/* Where the row of a sequence stands in memory: one rule for the caller's strided arrays, for the packed buffers
 * between layers, and for both directions. Included by the files of one precision. */
#ifndef CLSTM_ADDRESS_H
#define CLSTM_ADDRESS_H

#include <string.h>

#include "../kernels/kernels.h"
#include "plan.h"

/* An array over (time, row). Packed: one row after another in the order of the plan, `stride_t` elements each, and
 * `reverse` if it was written in the order of a backward direction. Else: the caller's [N,T,F]. */
struct located {
    real *base; /* NULL: there is none */
    ptrdiff_t stride_n, stride_t;
    int packed, reverse;
};

static inline struct located at_caller(clstm_sequence sequence) {
    return (struct located){.base = sequence.data, .stride_n = sequence.stride_n, .stride_t = sequence.stride_t};
}

static inline struct located at_packed(real *base, ptrdiff_t width, int reverse) {
    return (struct located){.base = base, .stride_t = width, .packed = 1, .reverse = reverse};
}

static inline real *row_at(const struct located *rows, const struct plan *plan, ptrdiff_t t, ptrdiff_t r) {
    if (rows->packed) return rows->base + (plan->start[plan_time(plan, rows->reverse, t, r)] + r) * rows->stride_t;
    const ptrdiff_t n = plan->order[r];
    return rows->base + caller_row(plan->pieces, n) * rows->stride_n + caller_time(plan->pieces, n, t) * rows->stride_t;
}

/* The same for the rows [r0, r0 + n) at step s of a direction: found[i] is that of row r0 + i. */
#define find_rows REAL_NAME(clstm_find_rows)
void find_rows(const struct located *rows, const struct plan *plan, int reverse, ptrdiff_t s, ptrdiff_t r0, ptrdiff_t n,
               real **found);

/* What a layer reads: one array, or the outputs of the two directions below side by side. */
struct input {
    int segments;
    struct located segment[2];
    ptrdiff_t width[2];
};

static inline ptrdiff_t input_width(const struct input *input) {
    return input->width[0] + (input->segments == 2 ? input->width[1] : 0);
}

/* Walks over the flat indices [q, end) step by step: the n rows from r on of step s. */
struct walk {
    ptrdiff_t q, end, s, r, n;
};

static inline void walk_into(struct walk *walk, const struct plan *plan) {
    const ptrdiff_t rows = plan->alive[walk->s] - walk->r, wanted = walk->end - walk->q;
    walk->n = rows < wanted ? rows : wanted;
}

/* For walk->q < walk->end. */
static inline void walk_on(struct walk *walk, const struct plan *plan) {
    walk->q += walk->n;
    walk->s++;
    walk->r = 0;
    if (walk->q < walk->end) walk_into(walk, plan);
}

/* q < end <= plan->rows */
static inline struct walk walk_from(const struct plan *plan, ptrdiff_t q, ptrdiff_t end) {
    ptrdiff_t low = 0, high = plan->T;
    while (high - low > 1) {
        const ptrdiff_t middle = low + (high - low) / 2;
        if (plan->start[middle] <= q) low = middle;
        else high = middle;
    }
    struct walk walk = {.q = q, .end = end, .s = low, .r = q - plan->start[low]};
    walk_into(&walk, plan);
    return walk;
}

/* Copies `width` elements and clears the padding up to `ld`. */
static inline void copy_padded(real *to, const real *from, ptrdiff_t width, ptrdiff_t ld) {
    memcpy(to, from, (size_t)width * sizeof(real));
    memset(to + width, 0, (size_t)(ld - width) * sizeof(real));
}

/* `width` elements, or zeros where there is nothing to copy. */
static inline void copy_or_clear(real *to, const real *from, ptrdiff_t width) {
    if (from) memcpy(to, from, (size_t)width * sizeof(real));
    else memset(to, 0, (size_t)width * sizeof(real));
}

#endif
