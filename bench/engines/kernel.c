/* One step of a stream in a loop of C: what is left when Python is taken away. Built with the core by kernel.py. */
#include "clstm.h"

#include <time.h>

static clstm_runtime runtime_of(int threads) {
    clstm_runtime runtime = {clstm_isa_best(), CLSTM_NATIVE, threads, {0, 0}};
    return runtime;
}

static clstm_stack layer_of(ptrdiff_t I, ptrdiff_t H) {
    clstm_stack lstm = {CLSTM_F32, I, H, 1, 1};
    return stack;
}

/* Bytes that the stream needs; 0 if the core refuses. */
size_t kernel_bytes(int threads, ptrdiff_t I, ptrdiff_t H) {
    clstm_runtime runtime = runtime_of(threads);
    clstm_stack lstm = layer_of(I, H);
    size_t bytes;
    return clstm_stream_size(&runtime, &stack, 1, &bytes) ? 0 : bytes;
}

/* Makes the stream in `memory`; 0 if all is well. */
int kernel_load(int threads, ptrdiff_t I, ptrdiff_t H, const float *w_ih, const float *w_hh, const float *b,
                void *memory) {
    clstm_runtime runtime = runtime_of(threads);
    clstm_stack lstm = layer_of(I, H);
    clstm_weights weights = {w_ih, w_hh, b};
    return (int)clstm_stream_load(&runtime, &stack, 1, &weights, memory);
}

/* Takes steps with the same x [I]; y [H] is the last h. Returns seconds for one. */
double kernel_steps(void *memory, const float *x, ptrdiff_t I, float *y, ptrdiff_t H, ptrdiff_t steps) {
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (ptrdiff_t s = 0; s < steps; s++) clstm_stream_step(memory, x, I, y, H);
    clock_gettime(CLOCK_MONOTONIC, &end);
    return (end.tv_sec - start.tv_sec + 1e-9 * (end.tv_nsec - start.tv_nsec)) / steps;
}
