/* The stream in one precision; stream.c has checked the arguments, and sees to it that one thread at a time is here. */
#ifndef CLSTM_STREAM_H
#define CLSTM_STREAM_H

#include "../clstm.h"
#include "../ground/arena.h"

/* What stream.c knows of a stream: the beginning of its memory. */
struct stream_head {
    clstm_dtype dtype;
    int in_use;
};

/* At the first aligned address of the caller's memory. */
static inline struct stream_head *stream_in(void *memory) { return (struct stream_head *)arena_over(memory).base; }

#define CLSTM_DECLARE_STREAM(suffix)                                                                          \
    clstm_status stream_size_##suffix(const clstm_stack *, ptrdiff_t N, size_t *bytes);                       \
    void stream_load_##suffix(const clstm_runtime *, const clstm_stack *, ptrdiff_t N, const clstm_weights *, \
                              void *memory);                                                                  \
    void stream_reload_##suffix(struct stream_head *, const clstm_weights *);                                 \
    void stream_reset_##suffix(struct stream_head *, clstm_state);                                            \
    void stream_reset_rows_##suffix(struct stream_head *, const uint8_t *flags, clstm_state);                 \
    void stream_state_##suffix(struct stream_head *, clstm_state);                                            \
    void stream_step_##suffix(struct stream_head *, const void *x, ptrdiff_t stride_x, void *y, ptrdiff_t stride_y);

CLSTM_DECLARE_STREAM(f32)
CLSTM_DECLARE_STREAM(f64)

#endif
