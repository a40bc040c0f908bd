/* The order in which the steps of a batch are computed.
 *
 * Rows are sorted by falling length (stably), so that the rows still alive at step s are the first alive[s] of them,
 * and the steps are laid one after another: row r of step s has the flat index start[s] + r. Nothing is computed for
 * padding, and no loop asks whether a row has ended. */
#ifndef CLSTM_PLAN_H
#define CLSTM_PLAN_H

#include "../clstm.h"
#include "../ground/arena.h"

struct plan {
    ptrdiff_t N, T;             /* rows; steps of the longest row */
    ptrdiff_t rows;             /* sum of the lengths */
    ptrdiff_t *order;           /* [N] row r is sequence order[r] of the caller */
    ptrdiff_t *length;          /* [N] of row r */
    ptrdiff_t *alive;           /* [T] rows longer than s */
    ptrdiff_t *start;           /* [T+1] */
    const clstm_pieces *pieces; /* of the caller, during a call; NULL: his sequences are his rows */
};

/* BAD_SIZE, BAD_LENGTH, BAD_INDEX, or TOO_LARGE when N T is no ptrdiff_t. */
clstm_status check_batch(const clstm_batch *batch);

/* Steps of sequence n. */
static inline ptrdiff_t length_of(const clstm_batch *batch, ptrdiff_t n) {
    return batch->lengths ? batch->lengths[n] : batch->T;
}

/* The first two axes of the caller's arrays. */
static inline ptrdiff_t caller_rows(const clstm_batch *batch) { return batch->pieces ? batch->pieces->rows : batch->N; }

static inline ptrdiff_t caller_times(const clstm_batch *batch) {
    return batch->pieces ? batch->pieces->times : batch->T;
}

/* Where the caller has step s of sequence n. */
static inline ptrdiff_t caller_row(const clstm_pieces *pieces, ptrdiff_t n) { return pieces ? pieces->row[n] : n; }

static inline ptrdiff_t caller_time(const clstm_pieces *pieces, ptrdiff_t n, ptrdiff_t s) {
    if (!pieces) return s;
    return pieces->time ? pieces->time[pieces->start[n] + s] : pieces->start[n] + s;
}

/* Places the arrays and sets the sizes; batch has passed check_batch. */
void plan_lay_out(struct plan *plan, struct arena *arena, const clstm_batch *batch);
/* Computes the arrays. */
void plan_fill(struct plan *plan, const clstm_batch *batch);

/* The time of step s of row r in a direction that runs forward (reverse 0) or backward within the row's length. */
static inline ptrdiff_t plan_time(const struct plan *plan, int reverse, ptrdiff_t s, ptrdiff_t r) {
    return reverse ? plan->length[r] - 1 - s : s;
}

#endif
