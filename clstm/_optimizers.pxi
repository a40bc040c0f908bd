# Optimisers

def global_norm(flat):
    """sqrt(sum x^2), summed in double."""
    cdef Kind kind = kind_of(flat)
    cdef clstm_runtime runtime = current()
    cdef Py_ssize_t n = flat.size
    cdef const void *x = block(flat, "flat", kind, n)
    cdef double norm = 0
    cdef clstm_status status
    with nogil:
        status = clstm_global_norm(&runtime, dtype_of(kind), n, x, &norm)
    check(status)
    return norm


def scale(flat, double factor):
    """x *= factor"""
    cdef Kind kind = kind_of(flat)
    cdef clstm_runtime runtime = current()
    cdef Py_ssize_t n = flat.size
    cdef void *x = block(flat, "flat", kind, n, True)
    cdef clstm_status status
    with nogil:
        status = clstm_scale(&runtime, dtype_of(kind), n, x, factor)
    check(status)


def sgd_update(weights, gradient, velocity=None, *, double learning_rate, double momentum=0.0,
               double weight_decay=0.0, bint nesterov=False, int64_t step=1):
    """One step of stochastic gradient descent; weights and velocity change in place."""
    cdef Kind kind = kind_of(weights)
    cdef clstm_runtime runtime = current()
    cdef Py_ssize_t n = weights.size
    if velocity is None and momentum != 0:
        raise ValueError("velocity: expected an array, because momentum is not 0")
    cdef clstm_sgd_options options
    options.learning_rate, options.momentum, options.weight_decay = learning_rate, momentum, weight_decay
    options.nesterov, options.step = nesterov, step
    cdef void *w = block(weights, "weights", kind, n, True)
    cdef const void *g = block(gradient, "gradient", kind, n)
    cdef void *v = block(velocity, "velocity", kind, n, True)
    cdef clstm_status status
    with nogil:
        status = clstm_sgd(&runtime, dtype_of(kind), n, &options, w, g, v)
    check(status)


def adam_update(weights, gradient, mean, square, *, double learning_rate, double beta1=0.9, double beta2=0.999,
                double epsilon=1e-8, double weight_decay=0.0, bint decoupled=False, int64_t step=1):
    """One step of Adam, or with `decoupled` of AdamW; weights, mean and square change in place."""
    cdef Kind kind = kind_of(weights)
    cdef clstm_runtime runtime = current()
    cdef Py_ssize_t n = weights.size
    cdef clstm_adam_options options
    options.learning_rate, options.beta1, options.beta2, options.epsilon = learning_rate, beta1, beta2, epsilon
    options.weight_decay, options.decoupled, options.step = weight_decay, decoupled, step
    cdef void *w = block(weights, "weights", kind, n, True)
    cdef const void *g = block(gradient, "gradient", kind, n)
    cdef void *m = block(mean, "mean", kind, n, True)
    cdef void *v = block(square, "square", kind, n, True)
    if g == NULL or m == NULL or v == NULL:
        raise ValueError("gradient, mean, square: expected arrays, got None")
    cdef clstm_status status
    with nogil:
        status = clstm_adam(&runtime, dtype_of(kind), n, &options, w, g, m, v)
    check(status)
