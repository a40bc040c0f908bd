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


def clip(flat, double limit):
    """x = min(max(x, -limit), limit)"""
    cdef Kind kind = kind_of(flat)
    cdef clstm_runtime runtime = current()
    cdef Py_ssize_t n = flat.size
    cdef void *x = block(flat, "flat", kind, n, True)
    cdef clstm_status status
    with nogil:
        status = clstm_clip(&runtime, dtype_of(kind), n, x, limit)
    check(status)


def clip_norms(flat, stops, double limit):
    """Each of the arrays in `flat` that end at `stops` is scaled down to a norm of `limit`, if it has a larger one."""
    cdef Kind kind = kind_of(flat)
    cdef clstm_runtime runtime = current()
    cdef Py_ssize_t n = flat.size, parts = stops.size
    cdef void *x = block(flat, "flat", kind, n, True)
    cdef const ptrdiff_t *ends = <const ptrdiff_t *>block(stops, "stops", INTP, parts)
    if n != (ends[parts - 1] if parts > 0 else 0):
        raise ValueError("stops: expected the last to be the size of the array")
    cdef clstm_status status
    with nogil:
        status = clstm_clip_norms(&runtime, dtype_of(kind), parts, ends, x, limit)
    check(status)


cdef struct Updated:  # what all optimisers take
    Kind kind
    Py_ssize_t n
    void *w
    const void *g


cdef Updated updated(weights, gradient) except *:
    cdef Updated found
    found.kind, found.n = kind_of(weights), weights.size
    found.w = block(weights, "weights", found.kind, found.n, True)
    found.g = block(gradient, "gradient", found.kind, found.n)
    if found.g == NULL:
        raise ValueError("gradient: expected an array, got None")
    return found


cdef void *remembered(buffer, str name, Updated to, bint needed=True) except? NULL:
    """The address of a buffer, or NULL if it may be None and is."""
    if needed and buffer is None:
        raise ValueError(f"{name}: expected an array, got None")
    return block(buffer, name, to.kind, to.n, True)


def sgd_update(weights, gradient, velocity=None, *, double learning_rate, double momentum=0.0, double dampening=0.0,
               double weight_decay=0.0, bint nesterov=False, int64_t step=1):
    """One step of stochastic gradient descent; weights and velocity change in place."""
    cdef Updated to = updated(weights, gradient)
    cdef clstm_runtime runtime = current()
    cdef clstm_sgd_options options
    options.learning_rate, options.momentum, options.dampening = learning_rate, momentum, dampening
    options.weight_decay, options.nesterov, options.step = weight_decay, nesterov, step
    cdef void *m = remembered(velocity, "velocity", to, momentum != 0)
    cdef clstm_status status
    with nogil:
        status = clstm_sgd(&runtime, dtype_of(to.kind), to.n, &options, to.w, to.g, m)
    check(status)


def adam_update(weights, gradient, mean, square, largest=None, *, double learning_rate, double beta1=0.9,
                double beta2=0.999, double epsilon=1e-8, double weight_decay=0.0, bint decoupled=False,
                int64_t step=1):
    """One step of Adam, with `decoupled` of AdamW, with `largest` of AMSGrad; weights and buffers change in place."""
    cdef Updated to = updated(weights, gradient)
    cdef clstm_runtime runtime = current()
    cdef clstm_adam_options options
    options.learning_rate, options.beta1, options.beta2, options.epsilon = learning_rate, beta1, beta2, epsilon
    options.weight_decay, options.decoupled, options.step = weight_decay, decoupled, step
    cdef void *m = remembered(mean, "mean", to)
    cdef void *v = remembered(square, "square", to)
    cdef void *x = remembered(largest, "largest", to, False)
    cdef clstm_status status
    with nogil:
        status = clstm_adam(&runtime, dtype_of(to.kind), to.n, &options, to.w, to.g, m, v, x)
    check(status)


def rmsprop_update(weights, gradient, square, mean=None, velocity=None, *, double learning_rate, double alpha=0.99,
                   double epsilon=1e-8, double momentum=0.0, double weight_decay=0.0):
    """One step of RMSprop, with `mean` of the centered one; weights and buffers change in place."""
    cdef Updated to = updated(weights, gradient)
    cdef clstm_runtime runtime = current()
    cdef clstm_rmsprop_options options
    options.learning_rate, options.alpha, options.epsilon = learning_rate, alpha, epsilon
    options.momentum, options.weight_decay = momentum, weight_decay
    cdef void *v = remembered(square, "square", to)
    cdef void *m = remembered(mean, "mean", to, False)
    cdef void *d = remembered(velocity, "velocity", to, momentum != 0)
    cdef clstm_status status
    with nogil:
        status = clstm_rmsprop(&runtime, dtype_of(to.kind), to.n, &options, to.w, to.g, v, m, d)
    check(status)


def adagrad_update(weights, gradient, total, *, double learning_rate, double learning_rate_decay=0.0,
                   double epsilon=1e-10, double weight_decay=0.0, int64_t step=1):
    """One step of Adagrad; weights and total change in place."""
    cdef Updated to = updated(weights, gradient)
    cdef clstm_runtime runtime = current()
    cdef clstm_adagrad_options options
    options.learning_rate, options.learning_rate_decay = learning_rate, learning_rate_decay
    options.epsilon, options.weight_decay, options.step = epsilon, weight_decay, step
    cdef void *s = remembered(total, "total", to)
    cdef clstm_status status
    with nogil:
        status = clstm_adagrad(&runtime, dtype_of(to.kind), to.n, &options, to.w, to.g, s)
    check(status)


def asgd_update(weights, gradient, average=None, *, double learning_rate, double lambd=0.0, double alpha=0.75,
                double t0=0.0, double weight_decay=0.0, int64_t step=1):
    """One step of averaged stochastic gradient descent; weights and average, if there is one, change in place."""
    cdef Updated to = updated(weights, gradient)
    cdef clstm_runtime runtime = current()
    cdef clstm_asgd_options options
    options.learning_rate, options.lambd, options.alpha, options.t0 = learning_rate, lambd, alpha, t0
    options.weight_decay, options.step = weight_decay, step
    cdef void *a = remembered(average, "average", to, False)
    cdef clstm_status status
    with nogil:
        status = clstm_asgd(&runtime, dtype_of(to.kind), to.n, &options, to.w, to.g, a)
    check(status)
