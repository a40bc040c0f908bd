/* The entry points of one precision; lstm.c has checked the arguments. */
#ifndef CLSTM_LSTM_H
#define CLSTM_LSTM_H

#include "../clstm.h"

#define CLSTM_DECLARE_LSTM(suffix)                                                                                     \
    clstm_status lstm_sizes_##suffix(const clstm_runtime *, const clstm_lstm *, const clstm_batch *,                   \
                                     clstm_lstm_bytes *);                                                              \
    void lstm_forward_##suffix(const clstm_runtime *, const clstm_lstm *, const clstm_batch *, const clstm_weights *,  \
                               clstm_sequence x, clstm_state initial, clstm_sequence y, clstm_state final, void *tape, \
                               void *scratch);                                                                         \
    void lstm_infer_##suffix(const clstm_runtime *, const clstm_lstm *, const clstm_batch *, const clstm_weights *,    \
                             clstm_sequence x, clstm_state initial, clstm_sequence y, clstm_state final,               \
                             void *scratch);                                                                           \
    void lstm_backward_##suffix(const clstm_runtime *, const clstm_lstm *, const clstm_batch *, const clstm_weights *, \
                                clstm_sequence x, clstm_sequence dy, clstm_state dfinal, clstm_sequence dx,            \
                                clstm_state dinitial, const clstm_gradients *, void *tape, void *scratch);             \
    void lstm_read_tape_##suffix(const clstm_lstm *, const clstm_batch *, const void *tape, ptrdiff_t index,           \
                                 const clstm_trace *);

CLSTM_DECLARE_LSTM(f32)
CLSTM_DECLARE_LSTM(f64)

/* The sizes and the dtype of a stack. */
clstm_status check_lstm(const clstm_lstm *lstm);

#endif
