# Losses

LOSSES = (  # in the order of clstm_loss_kind
    "squared", "absolute", "huber", "quantiles", "gaussian", "binary", "classes", "class_probabilities",
)


def loss(
    int kind, prediction, target, lengths, weight, bint summed, bint gradient, vector=None, double number=0,
    bint full=False, ignored=None,
):
    """The value of a loss, its gradient or None, and what the mean is divided by.

    prediction (N, ...) or (N, T, F ...); weight None, (N,) or (N, T); `vector` holds quantiles or weights of classes,
    `number` is delta, epsilon or the smoothing.
    """
    cdef Kind dtype = kind_of(prediction)
    cdef clstm_runtime runtime = current()
    cdef bint of_steps = weight is not None and weight.ndim == 2
    cdef Py_ssize_t size = prediction.size
    cdef clstm_batch batch = batch_of(prediction.shape[0], prediction.shape[1] if prediction.ndim > 2 else 1, lengths)
    cdef Py_ssize_t steps = batch.N * batch.T, vector_size = 0 if vector is None else len(vector)
    cdef Py_ssize_t width = size // max(steps, 1), target_size = size
    cdef Kind target_dtype = dtype
    if vector_size == 0 if kind == CLSTM_QUANTILES else vector is not None and vector_size != width:
        raise ValueError("vector: expected one number for each quantile or class")
    cdef clstm_loss it
    it.kind, it.dtype, it.features, it.sum = <clstm_loss_kind>kind, dtype_of(dtype), width, summed
    it.delta = it.epsilon = it.smoothing = number
    it.full, it.has_ignored, it.ignored = full, ignored is not None, 0 if ignored is None else ignored
    it.quantile_count, it.quantile = vector_size, <const double *>block(vector, "vector", F64, vector_size)
    it.class_weight = it.quantile
    it.weight_of_steps, it.weight = of_steps, block(weight, "weight", dtype, steps if of_steps else batch.N)
    if kind == CLSTM_QUANTILES or kind == CLSTM_GAUSSIAN:
        it.features = width // (vector_size if kind == CLSTM_QUANTILES else 2)
        target_size = steps * it.features
    elif kind == CLSTM_CLASSES:
        target_dtype, target_size = INT64, steps
    found = empty_like(prediction, order="C") if gradient else None
    cdef const void *prediction_ = block(prediction, "prediction", dtype, size)
    cdef const void *target_ = block(target, "target", target_dtype, target_size)
    cdef void *gradient_ = block(found, "gradient", dtype, size, True)
    cdef double value = 0, divisor = 0
    cdef clstm_status status
    with nogil:
        status = clstm_loss_compute(&runtime, &it, &batch, prediction_, target_, &value, &divisor, gradient_)
    check(status)
    return value, found, divisor
