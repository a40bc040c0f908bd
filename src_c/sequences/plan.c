#include "plan.h"

static int piece_fits(const clstm_batch *batch, ptrdiff_t n) {
    const clstm_pieces *pieces = batch->pieces;
    const ptrdiff_t length = length_of(batch, n), start = pieces->start[n];
    if (length == 0) return 1;
    if (pieces->row[n] < 0 || pieces->row[n] >= pieces->rows || start < 0) return 0;
    if (!pieces->time) return start <= pieces->times - length;
    for (ptrdiff_t s = 0; s < length; s++)
        if (pieces->time[start + s] < 0 || pieces->time[start + s] >= pieces->times) return 0;
    return 1;
}

clstm_status check_batch(const clstm_batch *batch) {
    ptrdiff_t rows;
    if (batch->N < 1 || batch->T < 1) return CLSTM_BAD_SIZE;
    if (__builtin_mul_overflow(batch->N, batch->T, &rows)) return CLSTM_TOO_LARGE;
    for (ptrdiff_t n = 0; batch->lengths && n < batch->N; n++)
        if (batch->lengths[n] < 0 || batch->lengths[n] > batch->T) return CLSTM_BAD_LENGTH;
    for (ptrdiff_t n = 0; batch->pieces && n < batch->N; n++)
        if (!piece_fits(batch, n)) return CLSTM_BAD_INDEX;
    return CLSTM_OK;
}

void plan_lay_out(struct plan *plan, struct arena *arena, const clstm_batch *batch) {
    plan->N = batch->N;
    plan->pieces = batch->pieces;
    plan->T = plan->rows = 0;
    for (ptrdiff_t n = 0; n < batch->N; n++) {
        const ptrdiff_t length = length_of(batch, n);
        plan->rows += length;
        if (length > plan->T) plan->T = length;
    }
    plan->order = arena_take(arena, plan->N, sizeof *plan->order);
    plan->length = arena_take(arena, plan->N, sizeof *plan->length);
    plan->alive = arena_take(arena, plan->T, sizeof *plan->alive);
    plan->start = arena_take(arena, plan->T + 1, sizeof *plan->start);
}

/* Counting sort: a row goes behind all longer rows, of which there are alive[its length]. */
void plan_fill(struct plan *plan, const clstm_batch *batch) {
    ptrdiff_t *count = plan->start; /* of rows by length, then the next free place for each length */
    for (ptrdiff_t t = 0; t <= plan->T; t++) count[t] = 0;
    for (ptrdiff_t n = 0; n < plan->N; n++) count[length_of(batch, n)]++;
    ptrdiff_t longer = 0;
    for (ptrdiff_t t = plan->T; t >= 0; t--) {
        const ptrdiff_t equal = count[t];
        if (t < plan->T) plan->alive[t] = longer;
        count[t] = longer;
        longer += equal;
    }
    for (ptrdiff_t n = 0; n < plan->N; n++) {
        const ptrdiff_t length = length_of(batch, n), r = count[length]++;
        plan->order[r] = n;
        plan->length[r] = length;
    }
    plan->start[0] = 0;
    for (ptrdiff_t s = 0; s < plan->T; s++) plan->start[s + 1] = plan->start[s] + plan->alive[s];
}
