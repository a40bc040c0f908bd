# Mirrors src_c/clstm.h and src_c/clstm_training.h, where every name is explained; nothing else stands here.

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t, uint8_t, uint64_t


cdef extern from "clstm.h" nogil:
    ctypedef enum clstm_status:
        CLSTM_OK
        CLSTM_BAD_SIZE
        CLSTM_TOO_LARGE
        CLSTM_BAD_LENGTH
        CLSTM_BAD_INDEX
        CLSTM_BAD_OPTION
        CLSTM_IN_USE
        CLSTM_STATUS_COUNT

    const char *clstm_status_message(clstm_status status)

    ctypedef enum clstm_dtype:
        CLSTM_F32
        CLSTM_F64

    ctypedef enum clstm_isa:
        CLSTM_ISA_BASELINE
        CLSTM_ISA_AVX2
        CLSTM_ISA_AVX512
        CLSTM_ISA_COUNT

    int clstm_isa_available(clstm_isa isa)
    clstm_isa clstm_isa_best()
    const char *clstm_isa_name(clstm_isa isa)

    ctypedef enum clstm_backend:
        CLSTM_AUTO
        CLSTM_NATIVE
        CLSTM_BLAS

    ctypedef void (*clstm_gemm)(char *transa, char *transb, int64_t *m, int64_t *n, int64_t *k, void *alpha, void *a,
                                int64_t *lda, void *b, int64_t *ldb, void *beta, void *c, int64_t *ldc) noexcept nogil

    ctypedef struct clstm_blas:
        clstm_gemm sgemm
        clstm_gemm dgemm

    ctypedef struct clstm_runtime:
        clstm_isa isa
        clstm_backend backend
        int threads
        clstm_blas blas

    int clstm_cpu_count()
    void clstm_threads_stop()
    int clstm_threads_running()

    ctypedef enum clstm_activation:
        CLSTM_USUAL
        CLSTM_SIGMOID
        CLSTM_TANH
        CLSTM_RELU
        CLSTM_HARD_SIGMOID
        CLSTM_HARD_SIGMOID_FIFTH
        CLSTM_IDENTITY
        CLSTM_CENTERED_SIGMOID_2
        CLSTM_CENTERED_SIGMOID_1
        CLSTM_EXP
        CLSTM_ACTIVATION_COUNT

    ctypedef struct clstm_noise:
        uint64_t seed
        const int64_t *rows
        ptrdiff_t first_step
        ptrdiff_t first_layer
        ptrdiff_t first_index

    ctypedef struct clstm_pieces:
        ptrdiff_t rows
        ptrdiff_t times
        const ptrdiff_t *row
        const ptrdiff_t *start
        const ptrdiff_t *time
        const ptrdiff_t *noise_time

    ctypedef struct clstm_batch:
        ptrdiff_t N
        ptrdiff_t T
        const ptrdiff_t *lengths
        const int64_t *symbols
        ptrdiff_t num
        const clstm_noise *noise
        const clstm_pieces *pieces

    ctypedef struct clstm_sequence:
        void *data
        ptrdiff_t stride_n
        ptrdiff_t stride_t

    ctypedef enum clstm_cell:
        CLSTM_LSTM
        CLSTM_GRU
        CLSTM_RNN
        CLSTM_CELL_COUNT

    ctypedef enum clstm_merge:
        CLSTM_MERGE_CONCAT
        CLSTM_MERGE_SUM
        CLSTM_MERGE_MEAN
        CLSTM_MERGE_PRODUCT
        CLSTM_MERGE_COUNT

    ctypedef struct clstm_stack:
        clstm_dtype dtype
        ptrdiff_t input_size
        ptrdiff_t hidden_size
        ptrdiff_t num_layers
        ptrdiff_t directions
        clstm_cell cell
        clstm_activation gate_activation
        clstm_activation candidate_activation
        clstm_activation output_activation
        double clip
        double cell_clip
        double gradient_clip
        int peephole
        int coupled
        int no_forget
        ptrdiff_t projection_size
        int layer_norm
        int reset_before
        int go_backwards
        clstm_merge merge
        int show_c
        double dropout
        double input_dropout
        double recurrent_dropout
        double weight_drop
        double zoneout_h
        double zoneout_c
        double input_noise

    ctypedef enum clstm_noise_kind:
        CLSTM_NOISE_DROPOUT
        CLSTM_NOISE_INPUT
        CLSTM_NOISE_ADDED
        CLSTM_NOISE_RECURRENT
        CLSTM_NOISE_WEIGHT
        CLSTM_NOISE_ZONE_H
        CLSTM_NOISE_ZONE_C
        CLSTM_NOISE_COUNT

    clstm_status clstm_stack_noise(const clstm_stack *stack, clstm_noise_kind kind, ptrdiff_t index, uint64_t seed,
                                   int64_t row, ptrdiff_t step, ptrdiff_t n, void *to)

    ctypedef struct clstm_weights:
        const void *w_ih
        const void *w_hh
        const void *b
        const void *b_hn
        const void *peephole
        const void *w_hr
        const void *gain_ih
        const void *gain_hh
        const void *gain_c
        const void *bias_c

    ctypedef struct clstm_gradients:
        void *w_ih
        void *w_hh
        void *b
        void *b_hn
        void *peephole
        void *w_hr
        void *gain_ih
        void *gain_hh
        void *gain_c
        void *bias_c

    ctypedef struct clstm_state:
        void *h
        void *c

    ctypedef struct clstm_stack_bytes:
        size_t tape
        size_t forward
        size_t infer
        size_t backward

    clstm_status clstm_stack_sizes(const clstm_runtime *runtime, const clstm_stack *stack, const clstm_batch *batch,
                                   clstm_stack_bytes *bytes)
    clstm_status clstm_stack_forward(const clstm_runtime *runtime, const clstm_stack *stack, const clstm_batch *batch,
                                     const clstm_weights *weights, clstm_sequence x, clstm_state initial,
                                     clstm_sequence y, clstm_state final, void *tape, void *scratch)
    clstm_status clstm_stack_infer(const clstm_runtime *runtime, const clstm_stack *stack, const clstm_batch *batch,
                                   const clstm_weights *weights, clstm_sequence x, clstm_state initial,
                                   clstm_sequence y, clstm_state final, void *scratch)
    clstm_status clstm_stack_backward(const clstm_runtime *runtime, const clstm_stack *stack, const clstm_batch *batch,
                                      const clstm_weights *weights, clstm_sequence x, clstm_sequence dy,
                                      clstm_state dfinal, clstm_sequence dx, clstm_state dinitial,
                                      const clstm_gradients *grads, ptrdiff_t bptt, clstm_state flow, void *tape,
                                      void *scratch)

    ctypedef struct clstm_trace:
        void *gates[4]
        void *c
        void *h

    clstm_status clstm_stack_read_tape(const clstm_stack *stack, const clstm_batch *batch, const void *tape,
                                       ptrdiff_t index, const clstm_trace *trace)

    clstm_status clstm_stream_size(const clstm_runtime *runtime, const clstm_stack *stack, ptrdiff_t N, size_t *bytes)
    clstm_status clstm_stream_load(const clstm_runtime *runtime, const clstm_stack *stack, ptrdiff_t N,
                                   const clstm_weights *weights, void *memory)
    clstm_status clstm_stream_reload(void *memory, const clstm_weights *weights)
    clstm_status clstm_stream_reset(void *memory, clstm_state state)
    clstm_status clstm_stream_reset_rows(void *memory, const uint8_t *flags, clstm_state state)
    clstm_status clstm_stream_state(void *memory, clstm_state state)
    clstm_status clstm_stream_step(void *memory, const void *x, ptrdiff_t stride_x, void *y, ptrdiff_t stride_y)

    clstm_status clstm_stack_step_size(const clstm_runtime *runtime, const clstm_stack *stack, ptrdiff_t N,
                                       size_t *scratch)
    clstm_status clstm_stack_step(const clstm_runtime *runtime, const clstm_stack *stack, ptrdiff_t N,
                                  const clstm_weights *weights, const void *x, ptrdiff_t stride_x,
                                  clstm_state initial, clstm_state final, void *scratch)

    ctypedef struct clstm_dense:
        clstm_dtype dtype
        ptrdiff_t input_size "in"
        ptrdiff_t output_size "out"

    ctypedef struct clstm_dense_bytes:
        size_t forward
        size_t backward

    clstm_status clstm_dense_sizes(const clstm_runtime *runtime, const clstm_dense *dense, const clstm_batch *batch,
                                   clstm_dense_bytes *bytes)
    clstm_status clstm_dense_forward(const clstm_runtime *runtime, const clstm_dense *dense, const clstm_batch *batch,
                                     const void *w, const void *b, clstm_sequence x, void *y, void *scratch)
    clstm_status clstm_dense_backward(const clstm_runtime *runtime, const clstm_dense *dense, const clstm_batch *batch,
                                      const void *w, clstm_sequence x, const void *dy, clstm_sequence dx, void *dw,
                                      void *db, void *scratch)

    clstm_status clstm_embedding_forward(clstm_dtype dtype, ptrdiff_t num, ptrdiff_t dim, ptrdiff_t count,
                                         const int64_t *index, const void *w, void *y)
    clstm_status clstm_embedding_backward(clstm_dtype dtype, ptrdiff_t num, ptrdiff_t dim, ptrdiff_t count,
                                          const int64_t *index, const void *dy, void *dw)

    ctypedef enum clstm_pool:
        CLSTM_POOL_LAST
        CLSTM_POOL_MEAN
        CLSTM_POOL_MAX

    clstm_status clstm_pool_forward(clstm_dtype dtype, clstm_pool mode, const clstm_batch *batch, ptrdiff_t features,
                                    ptrdiff_t split, clstm_sequence x, void *y)
    clstm_status clstm_pool_backward(clstm_dtype dtype, clstm_pool mode, const clstm_batch *batch, ptrdiff_t features,
                                     ptrdiff_t split, clstm_sequence x, const void *dy, clstm_sequence dx)

    clstm_status clstm_attention_forward(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch,
                                         ptrdiff_t features, const void *scores, clstm_sequence x, void *weights,
                                         void *y)
    clstm_status clstm_attention_backward(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch,
                                          ptrdiff_t features, const void *weights, clstm_sequence x, const void *dy,
                                          void *dscores, clstm_sequence dx)

    clstm_status clstm_layer_norm_forward(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch,
                                          ptrdiff_t features, double epsilon, clstm_sequence x, const void *gain,
                                          const void *bias, double *moments, void *y)
    clstm_status clstm_layer_norm_size(const clstm_batch *batch, ptrdiff_t features, size_t *scratch)
    clstm_status clstm_layer_norm_backward(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch,
                                           ptrdiff_t features, clstm_sequence x, const void *gain,
                                           const double *moments, const void *dy, clstm_sequence dx, void *dgain,
                                           void *dbias, void *scratch)

    clstm_status clstm_dropout(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch,
                               ptrdiff_t features, double rate, int once, clstm_sequence x, clstm_sequence y)

    clstm_status clstm_activate_backward(const clstm_runtime *runtime, clstm_dtype dtype, clstm_activation function,
                                         ptrdiff_t n, const void *y, const void *dy, void *dz)
    ctypedef enum clstm_score:
        CLSTM_SCORE_PRODUCT
        CLSTM_SCORE_ADDITIVE

    ctypedef struct clstm_attend:
        clstm_dtype dtype
        clstm_score score
        ptrdiff_t keys
        ptrdiff_t values
        double scale

    ctypedef struct clstm_attended:
        clstm_sequence query
        clstm_sequence keys
        clstm_sequence values
        const void *v

    ctypedef struct clstm_attend_gradients:
        clstm_sequence dquery
        clstm_sequence dkeys
        clstm_sequence dvalues
        void *dv

    ctypedef struct clstm_attend_bytes:
        size_t forward
        size_t backward

    clstm_status clstm_attend_sizes(const clstm_runtime *runtime, const clstm_attend *attend,
                                    const clstm_batch *queries, const clstm_batch *memory, clstm_attend_bytes *bytes)
    clstm_status clstm_attend_forward(const clstm_runtime *runtime, const clstm_attend *attend,
                                      const clstm_batch *queries, const clstm_batch *memory,
                                      const clstm_attended *inputs, void *weights, void *context, void *scratch)
    clstm_status clstm_attend_backward(const clstm_runtime *runtime, const clstm_attend *attend,
                                       const clstm_batch *queries, const clstm_batch *memory,
                                       const clstm_attended *inputs, const void *weights, const void *dcontext,
                                       const void *dweights, const clstm_attend_gradients *outputs, void *scratch)

    clstm_status clstm_activate(const clstm_runtime *runtime, clstm_dtype dtype, clstm_activation function,
                                ptrdiff_t n, const void *x, void *y)


cdef extern from "clstm_training.h" nogil:
    ctypedef enum clstm_loss_kind:
        CLSTM_SQUARED
        CLSTM_ABSOLUTE
        CLSTM_HUBER
        CLSTM_QUANTILES
        CLSTM_GAUSSIAN
        CLSTM_BINARY
        CLSTM_CLASSES
        CLSTM_CLASS_PROBABILITIES

    ctypedef struct clstm_loss:
        clstm_loss_kind kind
        clstm_dtype dtype
        ptrdiff_t features
        int sum
        const void *weight
        int weight_of_steps
        double delta
        ptrdiff_t quantile_count
        const double *quantile
        double epsilon
        int full
        const double *class_weight
        double smoothing
        int has_ignored
        int64_t ignored

    clstm_status clstm_loss_compute(const clstm_runtime *runtime, const clstm_loss *loss, const clstm_batch *batch,
                                    const void *prediction, const void *target, double *value, double *divisor,
                                    void *gradient)

    ctypedef struct clstm_ctc_options:
        ptrdiff_t classes
        ptrdiff_t blank
        int sum
        int zero_infinity

    clstm_status clstm_ctc_size(const clstm_runtime *runtime, const clstm_batch *batch,
                                const clstm_ctc_options *options, ptrdiff_t S, size_t *bytes)
    clstm_status clstm_ctc(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch,
                           const clstm_ctc_options *options, ptrdiff_t S, const void *logits, const int64_t *target,
                           const ptrdiff_t *target_lengths, const void *weight, double *loss, void *gradient,
                           void *scratch)

    ctypedef struct clstm_ctc_beam_options:
        ptrdiff_t classes
        ptrdiff_t blank
        ptrdiff_t width
        ptrdiff_t best
        double prune
        void (*extend)(void *context, ptrdiff_t row, ptrdiff_t length, const int64_t *labels,
                       double *extra) noexcept nogil
        void *context

    clstm_status clstm_ctc_beam_size(const clstm_runtime *runtime, const clstm_batch *batch,
                                     const clstm_ctc_beam_options *options, size_t *bytes)
    clstm_status clstm_ctc_beam(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch,
                                const clstm_ctc_beam_options *options, const void *logits, int64_t *labels,
                                ptrdiff_t *label_lengths, double *score, void *scratch)

    ctypedef struct clstm_crf:
        clstm_dtype dtype
        ptrdiff_t tags
        const void *transitions
        const void *start
        const void *end

    ctypedef struct clstm_crf_gradients:
        void *transitions
        void *start
        void *end

    ctypedef enum clstm_crf_reduction:
        CLSTM_CRF_MEAN
        CLSTM_CRF_TOKEN_MEAN
        CLSTM_CRF_SUM

    ctypedef struct clstm_crf_bytes:
        size_t loss
        size_t best
        size_t marginals

    clstm_status clstm_crf_sizes(const clstm_runtime *runtime, const clstm_crf *crf, const clstm_batch *batch,
                                 clstm_crf_bytes *bytes)
    clstm_status clstm_crf_loss(const clstm_runtime *runtime, const clstm_crf *crf, const clstm_batch *batch,
                                clstm_crf_reduction reduction, const void *emissions, const int64_t *paths,
                                const void *weights, double *loss, double *weight, double *rows, void *demissions,
                                const clstm_crf_gradients *gradients, void *scratch)
    clstm_status clstm_crf_best(const clstm_runtime *runtime, const clstm_crf *crf, const clstm_batch *batch,
                                const void *emissions, int64_t *paths, double *scores, void *scratch)
    clstm_status clstm_crf_marginals(const clstm_runtime *runtime, const clstm_crf *crf, const clstm_batch *batch,
                                     const void *emissions, void *marginals, double *log_z, void *scratch)

    clstm_status clstm_global_norm(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, const void *x,
                                   double *norm)
    clstm_status clstm_scale(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, void *x, double factor)
    clstm_status clstm_clip(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, void *x, double limit)
    clstm_status clstm_clip_norms(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t parts,
                                  const ptrdiff_t *stops, void *x, double limit)

    ctypedef struct clstm_sgd_options:
        double learning_rate
        double momentum
        double dampening
        double weight_decay
        int nesterov
        int64_t step

    clstm_status clstm_sgd(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n,
                           const clstm_sgd_options *options, void *w, const void *g, void *momentum_buffer)

    ctypedef struct clstm_adam_options:
        double learning_rate
        double beta1
        double beta2
        double epsilon
        double weight_decay
        int decoupled
        int64_t step

    clstm_status clstm_adam(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n,
                            const clstm_adam_options *options, void *w, const void *g, void *m, void *v,
                            void *largest)

    ctypedef struct clstm_rmsprop_options:
        double learning_rate
        double alpha
        double epsilon
        double momentum
        double weight_decay

    clstm_status clstm_rmsprop(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n,
                               const clstm_rmsprop_options *options, void *w, const void *g, void *v, void *m,
                               void *velocity)

    ctypedef struct clstm_adagrad_options:
        double learning_rate
        double learning_rate_decay
        double epsilon
        double weight_decay
        int64_t step

    clstm_status clstm_adagrad(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n,
                               const clstm_adagrad_options *options, void *w, const void *g, void *sum)

    ctypedef struct clstm_asgd_options:
        double learning_rate
        double lambd
        double alpha
        double t0
        double weight_decay
        int64_t step

    clstm_status clstm_asgd(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n,
                            const clstm_asgd_options *options, void *w, const void *g, void *average)
