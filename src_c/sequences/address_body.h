/* Addresses of many rows, for one precision; REAL_BITS is set by the including file. In a file of its own, because it is
 * called in each step of each layer: what calls it is compiled for size. */
#include "../ground/real.h"

#include "address.h"

/* Steps of pieces, in the caller's arrays. */
static void find_in_pieces(const struct located *rows, const struct plan *plan, int reverse, ptrdiff_t s, ptrdiff_t r0,
                           ptrdiff_t n, real **found) {
    for (ptrdiff_t i = 0; i < n; i++) found[i] = row_at(rows, plan, plan_time(plan, reverse, s, r0 + i), r0 + i);
}

void find_rows(const struct located *rows, const struct plan *plan, int reverse, ptrdiff_t s, ptrdiff_t r0, ptrdiff_t n,
               real **found) {
    const ptrdiff_t *order = plan->order + r0, *length = plan->length + r0, *start = plan->start;
    const ptrdiff_t width = rows->stride_t;
    if (rows->packed && rows->reverse == reverse) {
        real *first = rows->base + (start[s] + r0) * width;
        for (ptrdiff_t i = 0; i < n; i++) found[i] = first + i * width;
    } else if (rows->packed) {
        for (ptrdiff_t i = 0; i < n; i++) found[i] = rows->base + (start[length[i] - 1 - s] + r0 + i) * width;
    } else if (plan->pieces) {
        find_in_pieces(rows, plan, reverse, s, r0, n, found);
    } else if (reverse) {
        for (ptrdiff_t i = 0; i < n; i++)
            found[i] = rows->base + order[i] * rows->stride_n + (length[i] - 1 - s) * width;
    } else {
        for (ptrdiff_t i = 0; i < n; i++) found[i] = rows->base + s * width + order[i] * rows->stride_n;
    }
}
