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


cdef void extend(void *context, ptrdiff_t row, ptrdiff_t length, const int64_t *labels,
                 double *extra) noexcept with gil:
    """Calls what is in the list [function, classes, error]; after its first error, nothing is added any more."""
    cdef list function = <list>context
    cdef Py_ssize_t i, classes = function[1]
    cdef const double *found
    if function[2] is None:
        try:
            given = function[0](tuple([labels[i] for i in range(length)]))
            found = <const double *>block(given, "extra", F64, classes)
            memcpy(extra, found, classes * sizeof(double))
            return
        except BaseException as error:
            function[2] = error
    for i in range(classes):
        extra[i] = 0


def ctc_beam(logits, lengths, Py_ssize_t blank, Py_ssize_t width, double prune, labels, label_lengths, score,
             function=None):
    """Writes labels (N, best, T) int64, label_lengths (N, best) intp and score (N, best) float64.

    The function gets a tuple of labels and gives float64 (C,).
    """
    cdef Kind kind = kind_of(logits)
    cdef clstm_runtime runtime = current()
    cdef clstm_batch batch = batch_of(logits.shape[0], logits.shape[1], lengths)
    cdef Py_ssize_t best = labels.shape[1]
    cdef list context = [function, logits.shape[2], None]
    cdef clstm_ctc_beam_options options
    options.classes, options.blank, options.width, options.best = logits.shape[2], blank, width, best
    options.prune, options.extend, options.context = prune, NULL, <void *>context
    if function is not None:
        options.extend = extend
    cdef const void *logits_ = block(logits, "logits", kind, logits.size)
    cdef int64_t *labels_ = <int64_t *>block(labels, "labels", INT64, batch.N * best * batch.T, True)
    cdef ptrdiff_t *ends_ = <ptrdiff_t *>block(label_lengths, "label_lengths", INTP, batch.N * best, True)
    cdef double *score_ = <double *>block(score, "score", F64, batch.N * best, True)
    cdef size_t bytes = 0
    cdef clstm_status status
    with nogil:
        status = clstm_ctc_beam_size(&runtime, &batch, &options, &bytes)
    check(status)
    scratch = memory(bytes)
    cdef void *scratch_ = aligned(scratch)
    with nogil:
        status = clstm_ctc_beam(&runtime, dtype_of(kind), &batch, &options, logits_, labels_, ends_, score_, scratch_)
    check(status)
    if context[2] is not None:
        raise context[2]
