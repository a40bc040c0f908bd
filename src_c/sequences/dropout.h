/* The entry point of one precision; dropout.c has checked the arguments. */
#ifndef CLSTM_DROPOUT_H
#define CLSTM_DROPOUT_H

#include "../clstm.h"

struct dropout {
    const clstm_runtime *runtime;
    const clstm_batch *batch;
    ptrdiff_t features;
    double rate;
    clstm_noise_kind kind; /* INPUT: one mask for all steps; DROPOUT: one for each */
    clstm_sequence x, y;
};

void dropout_f32(const struct dropout *);
void dropout_f64(const struct dropout *);

#endif
