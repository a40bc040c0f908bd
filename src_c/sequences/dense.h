/* The entry points of one precision; dense.c has checked the arguments. */
#ifndef CLSTM_DENSE_H
#define CLSTM_DENSE_H

#include "../clstm.h"

#define CLSTM_DECLARE_DENSE(suffix)                                                                              \
    clstm_status dense_sizes_##suffix(const clstm_runtime *, const clstm_dense *, const clstm_batch *,           \
                                      clstm_dense_bytes *);                                                      \
    void dense_forward_##suffix(const clstm_runtime *, const clstm_dense *, const clstm_batch *, const void *w,  \
                                const void *b, clstm_sequence x, void *y, void *scratch);                        \
    void dense_backward_##suffix(const clstm_runtime *, const clstm_dense *, const clstm_batch *, const void *w, \
                                 clstm_sequence x, const void *dy, clstm_sequence dx, void *dw, void *db,        \
                                 void *scratch);

CLSTM_DECLARE_DENSE(f32)
CLSTM_DECLARE_DENSE(f64)

#endif
