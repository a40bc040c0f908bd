/* clstm: recurrent networks, above all long short-term memory, the C core. This header is its manual; what training
 * needs beyond gradients, losses and optimisers, stands in clstm_training.h.
 *
 * Words. T time steps, N batch, I input size, H hidden size, L layers, D directions. x input, h hidden state, c cell
 * state, y output sequence; gates i f g o of an LSTM in this order; z their pre-activations. d<name> is the gradient of
 * the loss with respect to <name>. Shapes stand in brackets, the last axis is contiguous unless strides are given;
 * strides and sizes count elements, not bytes.
 *
 * The equations of an LSTM (Hochreiter and Schmidhuber 1997, with the forget gate of Gers, Schmidhuber and Cummins 2000;
 * the other cells stand at clstm_cell):
 *
 *     z_t = w_ih x_t + w_hh h_{t-1} + b                      [4H] = z_i z_f z_g z_o
 *     i = sigmoid(z_i)   f = sigmoid(z_f)   g = tanh(z_g)   o = sigmoid(z_o)
 *     c_t = f c_{t-1} + i g                                  h_t = o tanh(c_t)
 *
 * Memory. The caller owns every buffer. Functions that need working memory have a twin that says how many bytes;
 * nothing is allocated in a step or in a loop over time, and no pointer is kept after return. `tape` is what forward
 * saves for backward, `scratch` is meaningless after return. Buffers need no particular alignment.
 *
 * Gradients. Of parameters: accumulated, so that the caller clears them. Of inputs and states: overwritten. A NULL
 * gradient is not wanted and not computed.
 *
 * Errors. Functions return a status; CLSTM_OK is 0. On any other status nothing was written. Indices and sizes are
 * checked; pointers are trusted. Numbers are not inspected: NaN and infinities are data and propagate. Recurrent layers
 * take denormal numbers for zero and make none, so that a state that fades away does not slow them down.
 *
 * Threads. Every function may be called from several threads at once, on disjoint outputs. A call uses up to
 * runtime->threads threads of one pool that all calls share; a call that finds the pool busy works alone. Results are
 * the same bits for every number of threads, and a row of a result does not depend on the other rows of the batch
 * (with the native backend; a BLAS may decide otherwise).
 */
#ifndef CLSTM_H
#define CLSTM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- ground ---------------------------------------------------------------------------------------------------- */

typedef enum {
    CLSTM_OK = 0,
    CLSTM_BAD_SIZE,    /* a size is below its least value */
    CLSTM_TOO_LARGE,   /* a buffer would have more bytes, or a BLAS call larger sizes, than their integers hold */
    CLSTM_BAD_LENGTH,  /* a sequence length is negative or more than T */
    CLSTM_BAD_INDEX,   /* a token or class index, or the place of a piece, is out of range */
    CLSTM_BAD_OPTION,  /* a dtype, backend, instruction set or mode that does not exist here */
    CLSTM_IN_USE,      /* another thread is working on the same stream */
    CLSTM_STATUS_COUNT /* the number of statuses, not one of them */
} clstm_status;

/* A static English sentence, never NULL. */
const char *clstm_status_message(clstm_status status);

typedef enum { CLSTM_F32 = 0, CLSTM_F64 = 1 } clstm_dtype;

/* Instruction sets. The baseline is SSE2 on x86-64 and NEON on 64-bit ARM. */
typedef enum {
    CLSTM_ISA_BASELINE = 0,
    CLSTM_ISA_AVX2,   /* with FMA */
    CLSTM_ISA_AVX512, /* F, DQ, BW, VL */
    CLSTM_ISA_COUNT
} clstm_isa;

/* 1 if this build has kernels for it and this processor and operating system run it. */
int clstm_isa_available(clstm_isa isa);
/* The best available one. */
clstm_isa clstm_isa_best(void);
/* "baseline" (on ARM "neon"), "avx2", "avx512"; never NULL. */
const char *clstm_isa_name(clstm_isa isa);

/* Who computes matrix products. NATIVE: packed kernels of our own. BLAS: the table below. AUTO: per product whichever
 * measures fastest while results keep their bits for every number of threads and every batch; today that is always
 * NATIVE. */
typedef enum { CLSTM_AUTO = 0, CLSTM_NATIVE, CLSTM_BLAS } clstm_backend;

/* A Fortran gemm (column-major), sizes by address. The core passes the address of 64-bit integers whose value fits a
 * 32-bit int: on a little-endian machine a BLAS with either width reads the right number. */
typedef void (*clstm_gemm)(char *transa, char *transb, int64_t *m, int64_t *n, int64_t *k, void *alpha, void *a,
                           int64_t *lda, void *b, int64_t *ldb, void *beta, void *c, int64_t *ldc);
typedef struct clstm_blas {
    clstm_gemm sgemm, dgemm; /* may be NULL if backend is not BLAS */
} clstm_blas;

/* How calls run. Plain data: copy it, keep several, change it between calls. */
typedef struct clstm_runtime {
    clstm_isa isa;
    clstm_backend backend;
    int threads; /* at least 1 */
    clstm_blas blas;
} clstm_runtime;

/* The number of processors this process may run on, at least 1. */
int clstm_cpu_count(void);

/* Stops and joins the worker threads of the pool, which is started again by the next call that needs it. For tests and
 * orderly unloading; must not run at the same time as other calls. A child of fork starts with an empty pool. */
void clstm_threads_stop(void);
/* Worker threads that exist now, not counting callers. */
int clstm_threads_running(void);

/* Activations. USUAL is what the cell has in its paper: sigmoid for gates, tanh else. */
typedef enum {
    CLSTM_USUAL = 0,
    CLSTM_SIGMOID,
    CLSTM_TANH,
    CLSTM_RELU,
    CLSTM_HARD_SIGMOID,       /* x / 6 + 1/2 between 0 and 1: PyTorch, Keras 3 */
    CLSTM_HARD_SIGMOID_FIFTH, /* x / 5 + 1/2 between 0 and 1: ONNX, Keras 2 */
    CLSTM_IDENTITY,
    CLSTM_CENTERED_SIGMOID_2, /* 4 sigmoid(x) - 2: g of Hochreiter and Schmidhuber 1997 */
    CLSTM_CENTERED_SIGMOID_1, /* 2 sigmoid(x) - 1: their h */
    CLSTM_EXP,                /* for clstm_activate only */
    CLSTM_ACTIVATION_COUNT
} clstm_activation;

/* ---- arrays ---------------------------------------------------------------------------------------------------- */

/* A batch of sequences, all T steps long or each of its own length. Row n has the steps 0 .. lengths[n]-1; what lies
 * beyond is never read, and outputs there are zero. A length of 0 is allowed: the final state is the initial one. */
typedef struct clstm_batch {
    ptrdiff_t N, T;           /* at least 1 */
    const ptrdiff_t *lengths; /* [N], each 0 .. T; NULL: all T */
    /* Recurrent layers over symbols. Where this is not NULL, [N,T], step t of row n reads vector symbols[n T + t] of the `num` that
     * stand in x, [num,I] with rows stride_t apart; dx is [num,I] contiguous. Their products with w_ih are computed once
     * for each symbol instead of once for each step. Symbols beyond lengths are never read. */
    const int64_t *symbols;
    ptrdiff_t num; /* at least 1; each symbol is 0 .. num-1, or BAD_INDEX */
    /* Recurrent layers: where this is not NULL, what a stack has of dropout, zoneout and noise is at work (in forward and
     * in its backward). Else, as in inference, nothing is random, and zoneout takes its expectation. */
    const struct clstm_noise *noise;
    /* Recurrent layers and pools: where this is not NULL, the rows stand in other places than one below another. */
    const struct clstm_pieces *pieces;
} clstm_batch;

/* A batch whose rows are pieces of the caller's: parts of longer sequences between which no state is carried, sequences
 * that do not begin at time 0, or have holes in which nothing is valid, or stand one behind another in one row.
 *
 * Step s of piece n is in row row[n] of x, y, dx, dy, traces and symbols, at the time start[n] + s, or with `time` at
 * time[start[n] + s]; those are [rows,times,F], and symbols [rows,times]. States are by piece. No step may be in two
 * pieces. Of what no piece has, nothing is read, and nothing written: who wants zeros there clears before. */
typedef struct clstm_pieces {
    ptrdiff_t rows, times;       /* each row is 0 .. rows-1, and each time 0 .. times-1, or BAD_INDEX */
    const ptrdiff_t *row;        /* [N] */
    const ptrdiff_t *start;      /* [N], at least 0 */
    const ptrdiff_t *time;       /* or NULL */
    const ptrdiff_t *noise_time; /* [rows,times] the time that noise has for a step; NULL: its time */
} clstm_pieces;

/* Random numbers are a function of the seed, of the place in the stack, of the row's number, and of the step: they do not
 * depend on threads, nor on how rows are put into batches or time is cut. */
typedef struct clstm_noise {
    uint64_t seed;
    const int64_t *rows;  /* [N] a number for each row (or piece), of which the low 32 bits count; NULL: 0 .. N-1 */
    ptrdiff_t first_step; /* of the time 0 of this batch */
    /* Where a stack is a part of a larger one: the number of its layer 0 there, and the index of that layer and its
     * direction 0. A part has one direction, or all. */
    ptrdiff_t first_layer, first_index;
} clstm_noise;

/* [N,T,F] in memory of the caller: element (n,t,j) at data[n stride_n + t stride_t + j]. */
typedef struct clstm_sequence {
    void *data; /* may be NULL where a function says so */
    ptrdiff_t stride_n, stride_t;
} clstm_sequence;

/* ---- recurrent layers ------------------------------------------------------------------------------------------ */

/* Kinds of cells, with the G gates of their parameters in this order:
 *
 *     LSTM   i f g o, as above; or i g o if coupled or no_forget
 *     GRU    r z n (Cho et al. 2014, in the form of PyTorch):
 *            r = sigmoid(z_r)   z = sigmoid(z_z)   n = tanh(w_n x + b_n + r (u_n h_{t-1} + b_hn))
 *            h_t = (1 - z) n + z h_{t-1}
 *     RNN    one (Elman 1990): h_t = tanh(z)
 */
typedef enum { CLSTM_LSTM = 0, CLSTM_GRU, CLSTM_RNN, CLSTM_CELL_COUNT } clstm_cell;

/* What the two directions of a layer give together, for the layer above and for y: F features at each step. CONCAT: side
 * by side, forward direction first, F = D R, with R = P or H elements of h. Else F = R: h + h', (h + h') / 2, h h'. */
typedef enum {
    CLSTM_MERGE_CONCAT = 0,
    CLSTM_MERGE_SUM,
    CLSTM_MERGE_MEAN,
    CLSTM_MERGE_PRODUCT,
    CLSTM_MERGE_COUNT
} clstm_merge;

/* A stack of L layers in D directions. Layer l and direction d have index l D + d wherever arrays go over both. Layer
 * 0 reads x [I], layer l > 0 reads the F outputs of layer l-1. What is 0 is the usual. */
typedef struct clstm_stack {
    clstm_dtype dtype;
    ptrdiff_t input_size, hidden_size, num_layers, directions; /* I, H, L >= 1; D is 1 or 2 */
    clstm_cell cell;
    clstm_activation gate_activation, candidate_activation, output_activation; /* gate: not RNN; output: LSTM only */
    /* Limits, or 0 for none: on the arguments of the gates' and the candidate's activations (ONNX "clip"), on the cell
     * state (TensorFlow "cell_clip"), and on the gradients of those arguments (Graves 2013), by which the gradient is no
     * longer exact. */
    double clip, cell_clip, gradient_clip;
    /* LSTM only. Peepholes: i and f also see p c_{t-1}, o sees p c_t (Gers and Schmidhuber 2000). Coupled: f = 1 - i
     * (Greff et al. 2017). No forget gate: f = 1 (Hochreiter and Schmidhuber 1997); excludes coupled. */
    int peephole, coupled, no_forget;
    /* LSTM only. P, or 0 for none: h_t = w_hr (o tanh(c_t)) has P elements instead of H, and so have y and all that reads h
     * (Sak, Senior and Beaufays 2014). */
    ptrdiff_t projection_size;
    /* LSTM only; excludes no_forget. Layer normalisation (Ba, Kiros and Hinton 2016): N(a) has mean 0 and variance 1 over the
     * elements of a, z = gain_ih N(w_ih x) + gain_hh N(w_hh h) + b, and tanh(gain_c N(c_t) + bias_c) stands for tanh(c_t). */
    int layer_norm;
    /* GRU only: n = tanh(w_n x + b_n + u_n (r h_{t-1})), as in Cho et al. 2014 and as ONNX's default; there is no b_hn. */
    int reset_before;
    /* The one direction goes from the last valid step of each row to its first, as ONNX "reverse"; y stays in the order of
     * time. Excludes directions = 2. */
    int go_backwards;
    clstm_merge merge; /* but for CONCAT, directions are 2 */
    int show_c;        /* LSTM only: y is c_t of the last layer, not h_t, so that H stands for R in its features */
    /* Regularisation; rates are in [0,1). What is kept is divided by 1 - rate.
     *     dropout            between layers: of what layer l > 0 reads, anew in each step (as PyTorch)
     *     input_dropout      of what each layer reads, recurrent_dropout of h_{t-1} on its way to w_hh: one mask for all
     *                        steps of a row (Gal and Ghahramani 2016)
     *     weight_drop        of the elements of w_hh, one mask for all rows and steps (Merity et al. 2018)
     *     zoneout_h, _c      units that keep their h or c in a step (Krueger et al. 2017)
     *     input_noise        standard deviation of what is added to x */
    double dropout, input_dropout, recurrent_dropout, weight_drop, zoneout_h, zoneout_c, input_noise;
} clstm_stack;

/* The masks and noise of a stack, to look at: to [n], of the layer (DROPOUT, INPUT, ADDED) or layer and direction `index`.
 * Of the mask on w_hh, `row` is the row of the matrix and step has no meaning, as for INPUT and RECURRENT; else `row` is
 * the number of a row of the batch, and step its time. Masks of zoneout are 1 where the old state is kept. */
typedef enum {
    CLSTM_NOISE_DROPOUT = 0,
    CLSTM_NOISE_INPUT,
    CLSTM_NOISE_ADDED,
    CLSTM_NOISE_RECURRENT,
    CLSTM_NOISE_WEIGHT,
    CLSTM_NOISE_ZONE_H,
    CLSTM_NOISE_ZONE_C,
    CLSTM_NOISE_COUNT
} clstm_noise_kind;
clstm_status clstm_stack_noise(const clstm_stack *stack, clstm_noise_kind kind, ptrdiff_t index, uint64_t seed,
                               int64_t row, ptrdiff_t step, ptrdiff_t n, void *to);

/* Parameters of one layer and direction: w_ih [G H, I or F], w_hh [G H,R], b [G H] (NULL:
 * zero), b_hn [H] of a GRU (NULL: zero), peephole [3,H] i f o, or [2,H] i o without a forget gate of its own, w_hr [P,H],
 * gain_ih and gain_hh [G H], gain_c and bias_c [H]. Those of options that are not used are not looked at. Read during the
 * call. */
typedef struct clstm_weights {
    const void *w_ih, *w_hh, *b, *b_hn, *peephole, *w_hr, *gain_ih, *gain_hh, *gain_c, *bias_c;
} clstm_weights;

/* Their gradients, same shapes, accumulated; biases may be NULL. */
typedef struct clstm_gradients {
    void *w_ih, *w_hh, *b, *b_hn, *peephole, *w_hr, *gain_ih, *gain_hh, *gain_c, *bias_c;
} clstm_gradients;

/* h [L D, N, R] and c [L D, N, H] of every layer and direction, contiguous; a NULL member is zero when read and not wanted
 * when written. Only an LSTM has c. */
typedef struct clstm_state {
    void *h, *c;
} clstm_state;

typedef struct clstm_stack_bytes {
    size_t tape;                     /* forward, backward and trace */
    size_t forward, infer, backward; /* scratch of each */
} clstm_stack_bytes;

/* How large the buffers of a call must be; depends on runtime->threads and backend. Errors: BAD_SIZE, BAD_LENGTH,
 * TOO_LARGE, BAD_OPTION. */
clstm_status clstm_stack_sizes(const clstm_runtime *runtime, const clstm_stack *stack, const clstm_batch *batch,
                               clstm_stack_bytes *bytes);

/* y of x, and a tape for backward. weights [L D]; y [N,T,F] or data NULL; initial and final may be the same
 * memory. The tape keeps no pointer. */
clstm_status clstm_stack_forward(const clstm_runtime *runtime, const clstm_stack *stack, const clstm_batch *batch,
                                 const clstm_weights *weights, clstm_sequence x, clstm_state initial, clstm_sequence y,
                                 clstm_state final, void *tape, void *scratch);

/* The same numbers to the bit, without a tape. */
clstm_status clstm_stack_infer(const clstm_runtime *runtime, const clstm_stack *stack, const clstm_batch *batch,
                               const clstm_weights *weights, clstm_sequence x, clstm_state initial, clstm_sequence y,
                               clstm_state final, void *scratch);

/* Exact back-propagation through time. The arguments are those of the forward call whose tape it is; the tape is used
 * up: its gates are overwritten. dy [N,T,F] (data NULL: zero; beyond lengths it is never read), dfinal the gradient
 * of the final state, dx [N,T,I] (data NULL: not wanted), dinitial the gradient of the initial state, grads [L D].
 * Truncated, if bptt > 0: of the steps of a direction, counted in its own order from 0 in each row, none hands anything
 * back to the one before it if its number is a multiple of bptt.
 *
 * flow, to be looked at: h [L D,N,T,R] and c [L D,N,T,H] contiguous, in the order of time, overwritten; a NULL member
 * is not wanted.
 * The whole gradients of the loss with respect to h_t and c_t, whichever way they come: dh_t from y of this step and
 * from later steps, dc_t from h_t and from later steps. Zero beyond lengths. */
clstm_status clstm_stack_backward(const clstm_runtime *runtime, const clstm_stack *stack, const clstm_batch *batch,
                                  const clstm_weights *weights, clstm_sequence x, clstm_sequence dy, clstm_state dfinal,
                                  clstm_sequence dx, clstm_state dinitial, const clstm_gradients *grads, ptrdiff_t bptt,
                                  clstm_state flow, void *tape, void *scratch);

/* What happened inside: gates and states of one layer and direction (index l D + d), read from a tape that backward
 * has not used, in the order of time for both directions. Each pointer is [N,T,H], for h [N,T,R], contiguous or NULL; zero beyond
 * lengths. Gates are those of the parameters in their order (GRU: r z q n, with q = u_n h_{t-1} + b_hn; RNN: h_t). */
typedef struct clstm_trace {
    void *gates[4], *c, *h;
} clstm_trace;
clstm_status clstm_stack_read_tape(const clstm_stack *stack, const clstm_batch *batch, const void *tape,
                                   ptrdiff_t index, const clstm_trace *trace);

/* ---- recurrent layers, one step at a time ---------------------------------------------------------------------- */

/* A stream is a stack of recurrent layers that takes one step in each call and remembers its state: for data that come one
 * after another, and for real-time threads. It lives in memory of the caller, packed weights, state and all.
 *
 * Weights are read, and copied in the order of the kernels, by load and by reload, and by nothing else: what is
 * written into them afterwards has no effect before the next reload. The runtime is that of load; products are always
 * NATIVE. Each step has the bits of the same step of clstm_stack_infer.
 *
 * A step checks nothing but the flag below, and allocates nothing. With runtime->threads = 1 it also takes no lock and
 * makes no system call, so that its time is bounded: load has touched all memory that it uses, but for x and y. With
 * more threads a step of a large layer is shared out to the pool, which may put threads to sleep and wake them.
 *
 * Only one thread at a time may use a stream. A call that finds another one at work in it returns IN_USE at once and
 * has changed nothing. */

/* How many bytes a stream of N rows needs. Errors: BAD_SIZE, TOO_LARGE, BAD_OPTION (also for directions other than 1, for show_c, and
 * for go_backwards:
 * a stream cannot see the future). */
clstm_status clstm_stream_size(const clstm_runtime *runtime, const clstm_stack *stack, ptrdiff_t N, size_t *bytes);

/* Makes a stream in `memory`, of that many bytes, uninitialised. weights [L] are read during the call; the state is
 * zero. The memory holds pointers into itself: it must not be moved, and a copy of it is no stream. There is nothing
 * to be released but the memory. No other thread may use the stream yet. Errors: those of clstm_stream_size. */
clstm_status clstm_stream_load(const clstm_runtime *runtime, const clstm_stack *stack, ptrdiff_t N,
                               const clstm_weights *weights, void *memory);

/* Reads weights [L] again; the state stays. */
clstm_status clstm_stream_reload(void *memory, const clstm_weights *weights);

/* Sets the state: h [L,N,R], c [L,N,H] contiguous, copied; a NULL member is zero. */
clstm_status clstm_stream_reset(void *memory, clstm_state state);

/* Sets the state of some rows: those whose flags [N] are not 0, all of them to h [L,R], c [L,H]; a NULL member is
 * zero. */
clstm_status clstm_stream_reset_rows(void *memory, const uint8_t *flags, clstm_state state);

/* Reads the state into h [L,N,R], c [L,N,H] contiguous; a NULL member is not wanted. */
clstm_status clstm_stream_state(void *memory, clstm_state state);

/* One step: x [N,I] with rows stride_x apart, y [N,R] with rows stride_y apart, or NULL: h of the last layer. y is
 * written when all else is done, so that it may overlap x. */
clstm_status clstm_stream_step(void *memory, const void *x, ptrdiff_t stride_x, void *y, ptrdiff_t stride_y);

/* One step of one layer (L = D = 1) without a stream: weights are read in each call, so that they are never out of
 * date, which costs more than the step itself. x [N,I] has rows stride_x apart; initial and final are [N,H] and may be
 * the same memory, or overlap x: they are written when all else is done. Same bits as clstm_stack_infer with T = 1. */
clstm_status clstm_stack_step_size(const clstm_runtime *runtime, const clstm_stack *stack, ptrdiff_t N,
                                   size_t *scratch);
clstm_status clstm_stack_step(const clstm_runtime *runtime, const clstm_stack *stack, ptrdiff_t N,
                              const clstm_weights *weights, const void *x, ptrdiff_t stride_x, clstm_state initial,
                              clstm_state final, void *scratch);

/* ---- other layers ---------------------------------------------------------------------------------------------- */

/* y = x w^T + b on every step: x [N,T,in] strided, w [out,in], b [out] or NULL, y [N,T,out] contiguous. `lengths` of
 * the batch are not used: a dense layer has no memory. */
typedef struct clstm_dense {
    clstm_dtype dtype;
    ptrdiff_t in, out; /* at least 1 */
} clstm_dense;
typedef struct clstm_dense_bytes {
    size_t forward, backward;
} clstm_dense_bytes;
clstm_status clstm_dense_sizes(const clstm_runtime *runtime, const clstm_dense *dense, const clstm_batch *batch,
                               clstm_dense_bytes *bytes);
clstm_status clstm_dense_forward(const clstm_runtime *runtime, const clstm_dense *dense, const clstm_batch *batch,
                                 const void *w, const void *b, clstm_sequence x, void *y, void *scratch);
/* dy [N,T,out] contiguous; dx [N,T,in] or data NULL, overwritten; dw, db accumulated, db may be NULL. */
clstm_status clstm_dense_backward(const clstm_runtime *runtime, const clstm_dense *dense, const clstm_batch *batch,
                                  const void *w, clstm_sequence x, const void *dy, clstm_sequence dx, void *dw,
                                  void *db, void *scratch);

/* y[q] = w[index[q]]: index [count] each 0 .. num-1, w [num,dim], y [count,dim]. All indices are checked before
 * anything is written. Errors: BAD_SIZE, BAD_INDEX. */
clstm_status clstm_embedding_forward(clstm_dtype dtype, ptrdiff_t num, ptrdiff_t dim, ptrdiff_t count,
                                     const int64_t *index, const void *w, void *y);
/* dw[index[q]] += dy[q], in the order of q. */
clstm_status clstm_embedding_backward(clstm_dtype dtype, ptrdiff_t num, ptrdiff_t dim, ptrdiff_t count,
                                      const int64_t *index, const void *dy, void *dw);

/* One vector for a sequence: x [N,T,F] strided -> y [N,F] contiguous. LAST takes step length-1; with `split` < F the
 * features from `split` on are taken at step 0, where a reverse direction ends (split = F: none). MEAN and MAX go over
 * the valid steps. A sequence of length 0 gives zeros. NaN propagates through MAX. Pieces may have no `time` (BAD_OPTION). */
typedef enum { CLSTM_POOL_LAST = 0, CLSTM_POOL_MEAN, CLSTM_POOL_MAX } clstm_pool;
clstm_status clstm_pool_forward(clstm_dtype dtype, clstm_pool mode, const clstm_batch *batch, ptrdiff_t features,
                                ptrdiff_t split, clstm_sequence x, void *y);
/* dx [N,T,F] strided, overwritten (zeros beyond lengths); MAX sends the gradient to the first greatest step of x. */
clstm_status clstm_pool_backward(clstm_dtype dtype, clstm_pool mode, const clstm_batch *batch, ptrdiff_t features,
                                 ptrdiff_t split, clstm_sequence x, const void *dy, clstm_sequence dx);

/* The weighted mean of a sequence, as attention makes it: y[n] = sum over t of a[n,t] x[n,t], a[n] = softmax of scores[n]
 * over the steps of row n. scores, weights (which are a) [N,T] and y [N,F] contiguous; a row of length 0 gives zeros. */
clstm_status clstm_attention_forward(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch,
                                     ptrdiff_t features, const void *scores, clstm_sequence x, void *weights, void *y);
/* dscores [N,T], and dx [N,T,F] strided or data NULL: both overwritten, zeros beyond lengths. */
clstm_status clstm_attention_backward(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch,
                                      ptrdiff_t features, const void *weights, clstm_sequence x, const void *dy,
                                      void *dscores, clstm_sequence dx);

/* Layer normalisation (Ba, Kiros and Hinton 2016) over the features of each step:
 *
 *     y = gain (x - mean(x)) / sqrt(variance(x) + epsilon) + bias            sums in double, the variance is that of all F
 *
 * x [N,T,F] strided, gain and bias [F] or NULL (1 and 0), y [N,T,F] contiguous; moments [N,T,2] are what backward needs.
 * `lengths` of the batch are not used: as a dense layer, it has no memory. */
clstm_status clstm_layer_norm_forward(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch,
                                      ptrdiff_t features, double epsilon, clstm_sequence x, const void *gain,
                                      const void *bias, double *moments, void *y);
/* Bytes of the scratch of backward. */
clstm_status clstm_layer_norm_size(const clstm_batch *batch, ptrdiff_t features, size_t *scratch);
/* dy [N,T,F] contiguous; dx [N,T,F] strided or data NULL, overwritten; dgain and dbias [F] accumulated, or NULL. */
clstm_status clstm_layer_norm_backward(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch,
                                       ptrdiff_t features, clstm_sequence x, const void *gain, const double *moments,
                                       const void *dy, clstm_sequence dx, void *dgain, void *dbias, void *scratch);

/* Dropout: y = x times a mask whose elements are 0 with the probability `rate`, in [0,1), else 1 / (1 - rate). The mask is
 * drawn anew for each step or, if `once`, is one for all steps of a row (Gal and Ghahramani 2016). Without noise in the
 * batch y = x. The gradient is the same function of dy. x and y [N,T,F] strided, different memory; y is zero beyond
 * lengths. */
clstm_status clstm_dropout(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch,
                           ptrdiff_t features, double rate, int once, clstm_sequence x, clstm_sequence y);

/* dz = dy f'(z) by the value y = f(z) of clstm_activate, n elements each; dz may be dy. */
clstm_status clstm_activate_backward(const clstm_runtime *runtime, clstm_dtype dtype, clstm_activation function,
                                     ptrdiff_t n, const void *y, const void *dy, void *dz);

/* ---- activations ------------------------------------------------------------------------------------------------ */
/* Attention over a memory, for T queries of each row: scores e[t,s] of query t and step s of the memory, weights
 * a[t] = softmax over s of scale e[t], context[t] = sum over s of a[t,s] value[s]. With q [N,T,K] and k [N,S,K],
 *
 *     PRODUCT    e[t,s] = q[t] . k[s]                Luong, Pham and Manning 2015, "dot"; "general" has W q for q
 *     ADDITIVE   e[t,s] = v . tanh(q[t] + k[s])      Bahdanau, Cho and Bengio 2015, with W_q and W_k applied before
 *
 * The values [N,S,M] may be the keys. Rows of `queries` and `memory` are as many; steps beyond their lengths are never
 * read. A query beyond its length, or over a memory of length 0, has weights and context zero, and no gradient. */
typedef enum { CLSTM_SCORE_PRODUCT = 0, CLSTM_SCORE_ADDITIVE } clstm_score;
typedef struct clstm_attend {
    clstm_dtype dtype;
    clstm_score score;
    ptrdiff_t keys, values; /* K and M, at least 1 */
    double scale;           /* finite */
} clstm_attend;
typedef struct clstm_attended {
    clstm_sequence query, keys, values; /* [N,T,K], [N,S,K], [N,S,M] */
    const void *v;                      /* [K]; ADDITIVE only */
} clstm_attended;
typedef struct clstm_attend_gradients {
    /* In the shapes of the above, overwritten; data NULL: not wanted. dkeys and dvalues may be one array, which gets their
     * sum, where K is M. */
    clstm_sequence dquery, dkeys, dvalues;
    void *dv; /* [K] accumulated, or NULL; ADDITIVE only */
} clstm_attend_gradients;
typedef struct clstm_attend_bytes {
    size_t forward, backward; /* scratch of each */
} clstm_attend_bytes;
/* Errors: BAD_SIZE, also where the batches have different N; BAD_LENGTH, BAD_OPTION (pieces among them), TOO_LARGE. */
clstm_status clstm_attend_sizes(const clstm_runtime *runtime, const clstm_attend *attend, const clstm_batch *queries,
                                const clstm_batch *memory, clstm_attend_bytes *bytes);
/* weights [N,T,S] and context [N,T,M], contiguous, overwritten. Products are those of the native backend always. */
clstm_status clstm_attend_forward(const clstm_runtime *runtime, const clstm_attend *attend, const clstm_batch *queries,
                                  const clstm_batch *memory, const clstm_attended *in, void *weights, void *context,
                                  void *scratch);
/* weights as forward has left them; dcontext [N,T,M], and dweights [N,T,S] or NULL for zero, contiguous. The tanh of
 * ADDITIVE are computed again: nothing of size T S K is ever kept. */
clstm_status clstm_attend_backward(const clstm_runtime *runtime, const clstm_attend *attend, const clstm_batch *queries,
                                   const clstm_batch *memory, const clstm_attended *in, const void *weights,
                                   const void *dcontext, const void *dweights, const clstm_attend_gradients *out,
                                   void *scratch);

/* ---- activations, for tests and teaching ------------------------------------------------------------------------ */

/* y = f(x) by the kernels' own vector code; y may be x. Exp, sigmoid, tanh and the centered sigmoids are at most 3.5 ulp
 * from the exact value. */
clstm_status clstm_activate(const clstm_runtime *runtime, clstm_dtype dtype, clstm_activation function, ptrdiff_t n,
                            const void *x, void *y);

#ifdef __cplusplus
}
#endif

#endif
