/* Public entry points of streams: arguments are checked here, and the one flag that keeps two threads apart. */
#include "stream.h"

#include "../ground/processor.h"
#include "check.h"
#include "stack.h"

static clstm_status check_stream(const clstm_runtime *runtime, const clstm_stack *stack, ptrdiff_t N) {
    clstm_status status = check_runtime(runtime);
    if (!status) status = check_stack(stack);
    if (!status && (stack->directions != 1 || stack->go_backwards || stack->show_c)) status = CLSTM_BAD_OPTION;
    return status ? status : check_size(N);
}

clstm_status clstm_stream_size(const clstm_runtime *runtime, const clstm_stack *stack, ptrdiff_t N, size_t *bytes) {
    const clstm_status status = check_stream(runtime, stack, N);
    if (status) return status;
    return (stack->dtype == CLSTM_F32 ? stream_size_f32 : stream_size_f64)(stack, N, bytes);
}

clstm_status clstm_stream_load(const clstm_runtime *runtime, const clstm_stack *stack, ptrdiff_t N,
                               const clstm_weights *weights, void *memory) {
    size_t bytes;
    const clstm_status status = clstm_stream_size(runtime, stack, N, &bytes);
    if (status) return status;
    (stack->dtype == CLSTM_F32 ? stream_load_f32 : stream_load_f64)(runtime, stack, N, weights, memory);
    return CLSTM_OK;
}

/* One atomic exchange: whoever finds the flag set goes away instead of waiting. */
static int enter(struct stream_head *stream) { return !__atomic_exchange_n(&stream->in_use, 1, __ATOMIC_ACQUIRE); }

static clstm_status leave(struct stream_head *stream) {
    __atomic_store_n(&stream->in_use, 0, __ATOMIC_RELEASE);
    return CLSTM_OK;
}

clstm_status clstm_stream_reload(void *memory, const clstm_weights *weights) {
    struct stream_head *stream = stream_in(memory);
    if (!enter(stream)) return CLSTM_IN_USE;
    (stream->dtype == CLSTM_F32 ? stream_reload_f32 : stream_reload_f64)(stream, weights);
    return leave(stream);
}

clstm_status clstm_stream_reset(void *memory, clstm_state state) {
    struct stream_head *stream = stream_in(memory);
    if (!enter(stream)) return CLSTM_IN_USE;
    (stream->dtype == CLSTM_F32 ? stream_reset_f32 : stream_reset_f64)(stream, state);
    return leave(stream);
}

clstm_status clstm_stream_reset_rows(void *memory, const uint8_t *flags, clstm_state state) {
    struct stream_head *stream = stream_in(memory);
    if (!enter(stream)) return CLSTM_IN_USE;
    (stream->dtype == CLSTM_F32 ? stream_reset_rows_f32 : stream_reset_rows_f64)(stream, flags, state);
    return leave(stream);
}

clstm_status clstm_stream_state(void *memory, clstm_state state) {
    struct stream_head *stream = stream_in(memory);
    if (!enter(stream)) return CLSTM_IN_USE;
    (stream->dtype == CLSTM_F32 ? stream_state_f32 : stream_state_f64)(stream, state);
    return leave(stream);
}

clstm_status clstm_stream_step(void *memory, const void *x, ptrdiff_t stride_x, void *y, ptrdiff_t stride_y) {
    struct stream_head *stream = stream_in(memory);
    if (!enter(stream)) return CLSTM_IN_USE;
    const float_mode mode = float_mode_flush();
    (stream->dtype == CLSTM_F32 ? stream_step_f32 : stream_step_f64)(stream, x, stride_x, y, stride_y);
    float_mode_set(mode);
    return leave(stream);
}
