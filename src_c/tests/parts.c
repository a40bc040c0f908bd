/* A stack that is computed in parts, layer by layer and direction by direction, with all that is random: each part says
 * where in the whole it stands, and the results are those of the whole, forward to the bit. */
#include "check.h"

enum { N = 4, T = 6, I = 5, H = 17, L = 3, D = 2, GATES = 3 };

static const clstm_stack whole = {.input_size = I,
                                  .hidden_size = H,
                                  .num_layers = L,
                                  .directions = D,
                                  .cell = CLSTM_GRU,
                                  .dropout = 0.3,
                                  .input_dropout = 0.2,
                                  .recurrent_dropout = 0.3,
                                  .weight_drop = 0.4,
                                  .zoneout_h = 0.2,
                                  .input_noise = 0.5};

static ptrdiff_t width_of(ptrdiff_t layer) { return layer ? D * H : I; }

/* One layer and direction of it. */
static clstm_stack part_of(const clstm_stack *stack, ptrdiff_t layer, ptrdiff_t d) {
    clstm_stack part = *stack;
    part.input_size = width_of(layer);
    part.num_layers = part.directions = 1;
    part.go_backwards = d == 1;
    return part;
}

static clstm_weights random_weights(clstm_dtype dtype, ptrdiff_t width) {
    return (clstm_weights){.w_ih = random_buffer(dtype, GATES * H * width, 0.5),
                           .w_hh = random_buffer(dtype, GATES * H * H, 0.5),
                           .b = random_buffer(dtype, GATES * H, 1),
                           .b_hn = random_buffer(dtype, H, 1)};
}

static clstm_gradients zero_gradients(clstm_dtype dtype, ptrdiff_t width) {
    return (clstm_gradients){.w_ih = constant_buffer(dtype, GATES * H * width, 0),
                             .w_hh = constant_buffer(dtype, GATES * H * H, 0),
                             .b = constant_buffer(dtype, GATES * H, 0),
                             .b_hn = constant_buffer(dtype, H, 0)};
}

static clstm_sequence dense(clstm_dtype dtype, void *data, ptrdiff_t features, ptrdiff_t first) {
    return (clstm_sequence){(char *)data + (size_t)first * size_of(dtype), T * features, features};
}

/* Forward, and backward into gradients. */
static void run(const clstm_stack *stack, const clstm_batch *batch, const clstm_weights *weights, clstm_sequence x,
                clstm_sequence y, clstm_sequence dy, clstm_sequence dx, const clstm_gradients *grads) {
    const clstm_runtime runtime = runtime_of(clstm_isa_best(), CLSTM_NATIVE, 1);
    const clstm_state none = {NULL, NULL};
    clstm_stack_bytes bytes = {0};
    CHECK(clstm_stack_sizes(&runtime, stack, batch, &bytes) == CLSTM_OK, "sizes");
    void *tape = buffer(bytes.tape);
    CHECK(clstm_stack_forward(&runtime, stack, batch, weights, x, none, y, none, tape, buffer(bytes.forward)) ==
              CLSTM_OK,
          "forward");
    CHECK(clstm_stack_backward(&runtime, stack, batch, weights, x, dy, none, dx, none, grads, 0, none, tape,
                               buffer(bytes.backward)) == CLSTM_OK,
          "backward");
}

static void check_parts(clstm_dtype dtype) {
    clstm_stack stack = whole;
    stack.dtype = dtype;
    const ptrdiff_t lengths[N] = {6, 0, 3, 5};
    clstm_noise noise = {.seed = 7, .first_step = 11};
    const clstm_batch batch = {.N = N, .T = T, .lengths = lengths, .noise = &noise};
    clstm_weights weights[L * D];
    clstm_gradients grads[L * D];
    for (ptrdiff_t k = 0; k < L * D; k++) {
        weights[k] = random_weights(dtype, width_of(k / D));
        grads[k] = zero_gradients(dtype, width_of(k / D));
    }
    void *x = random_buffer(dtype, N * T * I, 1), *y = constant_buffer(dtype, N * T * D * H, NAN);
    void *dy = random_buffer(dtype, N * T * D * H, 1);
    run(&stack, &batch, weights, dense(dtype, x, I, 0), dense(dtype, y, D * H, 0), dense(dtype, dy, D * H, 0),
        (clstm_sequence){0}, grads);
    for (ptrdiff_t l = 0; l < L; l++) {
        void *next = constant_buffer(dtype, N * T * D * H, NAN);
        for (ptrdiff_t d = 0; d < D; d++) {
            const clstm_stack part = part_of(&stack, l, d);
            const clstm_gradients found = zero_gradients(dtype, width_of(l));
            noise.first_layer = l, noise.first_index = l * D + d;
            run(&part, &batch, &weights[l * D + d], dense(dtype, x, width_of(l), 0), dense(dtype, next, D * H, d * H),
                dense(dtype, dy, D * H, d * H), (clstm_sequence){0}, &found);
            if (l < L - 1) continue;
            const double error = distance(dtype, found.w_hh, grads[l * D + d].w_hh, GATES * H * H);
            CHECK(error < (dtype == CLSTM_F32 ? 1e-5 : 1e-13), "dw_hh of direction %d is off by %g", (int)d, error);
        }
        x = next;
    }
    CHECK(memcmp(x, y, (size_t)(N * T * D * H) * size_of(dtype)) == 0, "y of parts, %s", dtype_names[dtype]);
    buffers_free();
}

int main(void) {
    check_parts(CLSTM_F32);
    check_parts(CLSTM_F64);
    group("parts of a stack");
    clstm_threads_stop();
    return finish();
}
