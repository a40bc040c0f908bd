# Connectionist temporal classification

def ctc(logits, lengths, target, target_lengths, weight, Py_ssize_t blank, bint total, bint zero_infinity,
        bint gradient=True):
    """The loss and its gradient: logits (N, T, C), target (N, S) int64, target_lengths (N,) intp, weight (N,).

    `total` is for the sum instead of the mean.
    """
    cdef Kind kind = kind_of(logits)
    cdef clstm_runtime runtime = current()
    cdef clstm_batch batch = batch_of(logits.shape[0], logits.shape[1], lengths)
    cdef Py_ssize_t size = logits.size, S = target.shape[1]
    cdef clstm_ctc_options options
    options.classes, options.blank, options.sum, options.zero_infinity = logits.shape[2], blank, total, zero_infinity
    found = empty_like(logits, order="C") if gradient else None
    cdef const void *logits_ = block(logits, "logits", kind, size)
    cdef const int64_t *target_ = <const int64_t *>block(target, "target", INT64, batch.N * S)
    cdef const ptrdiff_t *ends_ = <const ptrdiff_t *>block(target_lengths, "target_lengths", INTP, batch.N)
    cdef const void *weight_ = block(weight, "weight", kind, batch.N)
    cdef void *gradient_ = block(found, "gradient", kind, size, True)
    cdef double loss = 0
    cdef size_t bytes = 0
    cdef clstm_status status
    with nogil:
        status = clstm_ctc_size(&runtime, &batch, &options, S, &bytes)
    check(status)
    scratch = memory(bytes)
    cdef void *scratch_ = aligned(scratch)
    with nogil:
        status = clstm_ctc(&runtime, dtype_of(kind), &batch, &options, S, logits_, target_, ends_, weight_, &loss,
                           gradient_, scratch_)
    check(status)
    return loss, found
