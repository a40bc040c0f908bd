# Losses

def mse(prediction, target, lengths=None, bint gradient=True):
    """The mean squared error and its gradient: prediction and target (N, ...), with lengths (N, T, ...)."""
    cdef Kind kind = kind_of(prediction)
    cdef clstm_runtime runtime = current()
    cdef Py_ssize_t size = prediction.size
    cdef clstm_batch batch = batch_of(prediction.shape[0], 1 if lengths is None else prediction.shape[1], lengths)
    cdef Py_ssize_t features = size // max(batch.N * batch.T, 1)
    found = empty_like(prediction, order="C") if gradient else None
    cdef const void *prediction_ = block(prediction, "prediction", kind, size)
    cdef const void *target_ = block(target, "target", kind, size)
    cdef void *gradient_ = block(found, "gradient", kind, size, True)
    cdef double loss = 0
    cdef clstm_status status
    with nogil:
        status = clstm_mse(&runtime, dtype_of(kind), &batch, features, prediction_, target_, &loss, gradient_)
    check(status)
    return loss, found


def cross_entropy(logits, target, lengths=None, bint gradient=True):
    """The mean cross-entropy and its gradient: logits (N, ..., C), target (N, ...) int64, with lengths (N, T)."""
    cdef Kind kind = kind_of(logits)
    cdef clstm_runtime runtime = current()
    cdef Py_ssize_t size = logits.size, classes = logits.shape[logits.ndim - 1]
    cdef Py_ssize_t positions = size // max(classes, 1)
    cdef clstm_batch batch = batch_of(logits.shape[0], positions // max(logits.shape[0], 1), lengths)
    found = empty_like(logits, order="C") if gradient else None
    cdef const void *logits_ = block(logits, "logits", kind, size)
    cdef const int64_t *target_ = <const int64_t *>block(target, "target", INT64, positions)
    cdef void *gradient_ = block(found, "gradient", kind, size, True)
    cdef double loss = 0
    cdef clstm_status status
    with nogil:
        status = clstm_cross_entropy(&runtime, dtype_of(kind), &batch, classes, logits_, target_, &loss, gradient_)
    check(status)
    return loss, found
