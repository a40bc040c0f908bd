/* The outputs of two directions become one of as many features, and its gradient becomes theirs. Included by the files of one
 * precision. */
#ifndef CLSTM_SEQUENCES_MERGE_H
#define CLSTM_SEQUENCES_MERGE_H

#include "../ground/threads.h"
#include "layout.h"

/* y = a + b, (a + b) / 2 or a b; y may be a */
static inline void merge_row(clstm_merge merge, ptrdiff_t width, const real *a, const real *b, real *y) {
    if (merge == CLSTM_MERGE_PRODUCT)
        for (ptrdiff_t j = 0; j < width; j++) y[j] = a[j] * b[j];
    else if (merge == CLSTM_MERGE_MEAN)
        for (ptrdiff_t j = 0; j < width; j++) y[j] = (a[j] + b[j]) / 2;
    else
        for (ptrdiff_t j = 0; j < width; j++) y[j] = a[j] + b[j];
}

/* Every row of a batch in the order of time: of `given` to y or, if there is dgiven, of dy to that. */
struct merge {
    const struct shape *shape;
    const struct plan *plan;
    ptrdiff_t parts, width;
    struct located given[2]; /* what the directions gave, rows of `width` elements */
    struct located y;        /* or dy */
    struct located dgiven[2];
};

/* dy times what the other direction gave of a product, dy / 2 of a mean, which both share; that of a sum is dy itself. */
static inline void unmerge_row(const struct merge *merge, ptrdiff_t r, ptrdiff_t t) {
    const real *dy = row_at(&merge->y, merge->plan, t, r);
    for (int d = 0; d < 2; d++) {
        const real *other = row_at(&merge->given[1 - d], merge->plan, t, r);
        real *to = row_at(&merge->dgiven[d], merge->plan, t, r);
        if (merge->shape->merge == CLSTM_MERGE_PRODUCT)
            for (ptrdiff_t j = 0; j < merge->width; j++) to[j] = dy[j] * other[j];
        else
            for (ptrdiff_t j = 0; d == 0 && j < merge->width; j++) to[j] = dy[j] / 2;
    }
}

static inline void merge_task(void *context, ptrdiff_t part, int worker) {
    const struct merge *merge = context;
    const struct plan *plan = merge->plan;
    const ptrdiff_t q0 = part * plan->rows / merge->parts, q1 = (part + 1) * plan->rows / merge->parts;
    if (q0 == q1) return;
    for (struct walk at = walk_from(plan, q0, q1); at.q < at.end; walk_on(&at, plan))
        for (ptrdiff_t r = at.r; r < at.r + at.n; r++)
            if (merge->dgiven[0].base) unmerge_row(merge, r, at.s);
            else
                merge_row(merge->shape->merge, merge->width, row_at(&merge->given[0], plan, at.s, r),
                          row_at(&merge->given[1], plan, at.s, r), row_at(&merge->y, plan, at.s, r));
    (void)worker;
}

static inline void run_merge(struct merge *merge) {
    const struct shape *shape = merge->shape;
    const double operations = 5.0 * (double)merge->plan->rows * (double)merge->width;
    merge->parts = shape->blas ? 1 : threads_for(shape->runtime, operations);
    if (merge->plan->rows > 0) clstm_parallel((int)merge->parts, merge->parts, merge_task, merge);
}

#endif
