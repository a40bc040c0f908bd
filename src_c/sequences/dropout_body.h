/* Dropout in one precision: the masks of a stack's dropout, on rows of their own. */
#include "../ground/real.h"

#include "dropout.h"
#include "noise.h"

static void dropout_step(const struct dropout *it, ptrdiff_t n, ptrdiff_t t) {
    const clstm_pieces *pieces = it->batch->pieces;
    const clstm_noise *noise = it->batch->noise;
    const ptrdiff_t row = caller_row(pieces, n), time = caller_time(pieces, n, t);
    const real *x = (const real *)it->x.data + row * it->x.stride_n + time * it->x.stride_t;
    real *y = (real *)it->y.data + row * it->y.stride_n + time * it->y.stride_t;
    if (!noise) {
        memcpy(y, x, (size_t)it->features * sizeof(real));
        return;
    }
    draw(kernels_of(it->runtime->isa), y, it->features, it->kind, it->rate,
         place_of(it->kind, noise->first_layer, noise->seed, noise->rows ? noise->rows[n] : n,
                  noise->first_step + noise_time(pieces, n, t)));
    for (ptrdiff_t j = 0; j < it->features; j++) y[j] *= x[j];
}

static void dropout_task(void *context, ptrdiff_t n, int worker) {
    const struct dropout *it = context;
    const ptrdiff_t steps = length_of(it->batch, n);
    for (ptrdiff_t t = 0; t < steps; t++) dropout_step(it, n, t);
    for (ptrdiff_t t = steps; !it->batch->pieces && t < it->batch->T; t++)
        memset((real *)it->y.data + n * it->y.stride_n + t * it->y.stride_t, 0, (size_t)it->features * sizeof(real));
    (void)worker;
}

void REAL_NAME(dropout)(const struct dropout *it) {
    const double elements = (double)it->batch->N * (double)it->batch->T * (double)it->features;
    clstm_parallel(threads_for(it->runtime, 40 * elements), it->batch->N, dropout_task, (void *)it);
}
