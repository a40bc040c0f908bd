# Other layers

def dense_forward(w, b, x, y):
    """y (N, T, out) = x (N, T, in) w^T + b"""
    cdef Kind kind = kind_of(w)
    cdef clstm_runtime runtime = current()
    cdef clstm_batch batch = batch_of(x.shape[0], x.shape[1], None)
    cdef clstm_dense dense
    dense.dtype, dense.output_size, dense.input_size = dtype_of(kind), w.shape[0], w.shape[1]
    cdef const void *w_ = block(w, "w", kind, dense.output_size * dense.input_size)
    cdef const void *b_ = block(b, "b", kind, dense.output_size)
    cdef clstm_sequence x_ = sequence(x, "x", kind, batch, dense.input_size)
    cdef void *y_ = block(y, "y", kind, batch.N * batch.T * dense.output_size, True)
    cdef clstm_dense_bytes sizes
    cdef clstm_status status
    with nogil:
        status = clstm_dense_sizes(&runtime, &dense, &batch, &sizes)
    check(status)
    scratch = memory(sizes.forward)
    cdef void *scratch_ = aligned(scratch)
    with nogil:
        status = clstm_dense_forward(&runtime, &dense, &batch, w_, b_, x_, y_, scratch_)
    check(status)


def dense_backward(w, x, dy, dx, dw, db):
    """Writes dx, adds to dw and db."""
    cdef Kind kind = kind_of(w)
    cdef clstm_runtime runtime = current()
    cdef clstm_batch batch = batch_of(x.shape[0], x.shape[1], None)
    cdef clstm_dense dense
    dense.dtype, dense.output_size, dense.input_size = dtype_of(kind), w.shape[0], w.shape[1]
    cdef const void *w_ = block(w, "w", kind, dense.output_size * dense.input_size)
    cdef clstm_sequence x_ = sequence(x, "x", kind, batch, dense.input_size)
    cdef clstm_sequence dx_ = sequence(dx, "dx", kind, batch, dense.input_size, True)
    cdef const void *dy_ = block(dy, "dy", kind, batch.N * batch.T * dense.output_size)
    cdef void *dw_ = block(dw, "dw", kind, dense.output_size * dense.input_size, True)
    cdef void *db_ = block(db, "db", kind, dense.output_size, True)
    cdef clstm_dense_bytes sizes
    cdef clstm_status status
    with nogil:
        status = clstm_dense_sizes(&runtime, &dense, &batch, &sizes)
    check(status)
    scratch = memory(sizes.backward)
    cdef void *scratch_ = aligned(scratch)
    with nogil:
        status = clstm_dense_backward(&runtime, &dense, &batch, w_, x_, dy_, dx_, dw_, db_, scratch_)
    check(status)


def embedding_forward(w, index, y):
    """y[q] = w[index[q]]"""
    cdef Kind kind = kind_of(w)
    cdef Py_ssize_t num = w.shape[0], dim = w.shape[1], count = index.size
    cdef const void *w_ = block(w, "w", kind, num * dim)
    cdef const int64_t *index_ = <const int64_t *>block(index, "index", INT64, count)
    cdef void *y_ = block(y, "y", kind, count * dim, True)
    cdef clstm_status status
    with nogil:
        status = clstm_embedding_forward(dtype_of(kind), num, dim, count, index_, w_, y_)
    check(status)


def embedding_backward(index, dy, dw):
    """dw[index[q]] += dy[q]"""
    cdef Kind kind = kind_of(dw)
    cdef Py_ssize_t num = dw.shape[0], dim = dw.shape[1], count = index.size
    cdef const int64_t *index_ = <const int64_t *>block(index, "index", INT64, count)
    cdef const void *dy_ = block(dy, "dy", kind, count * dim)
    cdef void *dw_ = block(dw, "dw", kind, num * dim, True)
    cdef clstm_status status
    with nogil:
        status = clstm_embedding_backward(dtype_of(kind), num, dim, count, index_, dy_, dw_)
    check(status)


POOLS = ("last", "mean", "max")


cdef clstm_batch pool_batch(x, lengths, pieces, clstm_pieces *pieces_) except *:
    cdef clstm_batch batch
    if pieces is None:
        return batch_of(x.shape[0], x.shape[1], lengths)
    batch = batch_of(lengths.size, max(1, lengths.max()), lengths)
    pieces_[0] = pieces_of(pieces, batch.N)
    batch.pieces = pieces_
    return batch


def pool_forward(str mode, Py_ssize_t split, x, lengths, y, pieces=None):
    """y (N, F) = one vector for each sequence of x (N, T, F), or for each piece"""
    cdef Kind kind = kind_of(x)
    cdef clstm_pool mode_ = <clstm_pool><int>POOLS.index(mode)
    cdef clstm_pieces pieces_
    cdef clstm_batch batch = pool_batch(x, lengths, pieces, &pieces_)
    cdef Py_ssize_t features = x.shape[2]
    cdef clstm_sequence x_ = sequence(x, "x", kind, batch, features)
    cdef void *y_ = block(y, "y", kind, batch.N * features, True)
    cdef clstm_status status
    with nogil:
        status = clstm_pool_forward(dtype_of(kind), mode_, &batch, features, split, x_, y_)
    check(status)


def pool_backward(str mode, Py_ssize_t split, x, lengths, dy, dx, pieces=None):
    """Writes dx (N, T, F)."""
    cdef Kind kind = kind_of(x)
    cdef clstm_pool mode_ = <clstm_pool><int>POOLS.index(mode)
    cdef clstm_pieces pieces_
    cdef clstm_batch batch = pool_batch(x, lengths, pieces, &pieces_)
    cdef Py_ssize_t features = x.shape[2]
    cdef clstm_sequence x_ = sequence(x, "x", kind, batch, features)
    cdef clstm_sequence dx_ = sequence(dx, "dx", kind, batch, features, True)
    cdef const void *dy_ = block(dy, "dy", kind, batch.N * features)
    cdef clstm_status status
    with nogil:
        status = clstm_pool_backward(dtype_of(kind), mode_, &batch, features, split, x_, dy_, dx_)
    check(status)


def attention_forward(scores, x, lengths, weights, y):
    """weights (N, T) = softmax of the scores over the steps of each row; y (N, F) = sum over t of weights x"""
    cdef Kind kind = kind_of(x)
    cdef clstm_runtime runtime = current()
    cdef clstm_batch batch = batch_of(x.shape[0], x.shape[1], lengths)
    cdef Py_ssize_t features = x.shape[2]
    cdef clstm_sequence x_ = sequence(x, "x", kind, batch, features)
    cdef const void *scores_ = block(scores, "scores", kind, batch.N * batch.T)
    cdef void *weights_ = block(weights, "weights", kind, batch.N * batch.T, True)
    cdef void *y_ = block(y, "y", kind, batch.N * features, True)
    cdef clstm_status status
    with nogil:
        status = clstm_attention_forward(&runtime, dtype_of(kind), &batch, features, scores_, x_, weights_, y_)
    check(status)


def attention_backward(weights, x, lengths, dy, dscores, dx):
    """Writes dscores (N, T), and dx (N, T, F) or None, which is what comes through y alone."""
    cdef Kind kind = kind_of(x)
    cdef clstm_runtime runtime = current()
    cdef clstm_batch batch = batch_of(x.shape[0], x.shape[1], lengths)
    cdef Py_ssize_t features = x.shape[2]
    cdef clstm_sequence x_ = sequence(x, "x", kind, batch, features)
    cdef clstm_sequence dx_ = sequence(dx, "dx", kind, batch, features, True)
    cdef const void *weights_ = block(weights, "weights", kind, batch.N * batch.T)
    cdef const void *dy_ = block(dy, "dy", kind, batch.N * features)
    cdef void *dscores_ = block(dscores, "dscores", kind, batch.N * batch.T, True)
    cdef clstm_status status
    with nogil:
        status = clstm_attention_backward(
            &runtime, dtype_of(kind), &batch, features, weights_, x_, dy_, dscores_, dx_)
    check(status)


def layer_norm_forward(double epsilon, x, gain, bias, moments, y):
    """y (N, T, F) = gain N(x) + bias; moments (N, T, 2) are for backward"""
    cdef Kind kind = kind_of(x)
    cdef clstm_runtime runtime = current()
    cdef clstm_batch batch = batch_of(x.shape[0], x.shape[1], None)
    cdef Py_ssize_t features = x.shape[2], steps = batch.N * batch.T
    cdef clstm_sequence x_ = sequence(x, "x", kind, batch, features)
    cdef const void *gain_ = block(gain, "gain", kind, features)
    cdef const void *bias_ = block(bias, "bias", kind, features)
    cdef double *moments_ = <double *>block(moments, "moments", F64, 2 * steps, True)
    cdef void *y_ = block(y, "y", kind, steps * features, True)
    cdef clstm_status status
    with nogil:
        status = clstm_layer_norm_forward(
            &runtime, dtype_of(kind), &batch, features, epsilon, x_, gain_, bias_, moments_, y_)
    check(status)


def layer_norm_backward(x, gain, moments, dy, dx, dgain, dbias):
    """Writes dx, adds to dgain and dbias; each may be None."""
    cdef Kind kind = kind_of(x)
    cdef clstm_runtime runtime = current()
    cdef clstm_batch batch = batch_of(x.shape[0], x.shape[1], None)
    cdef Py_ssize_t features = x.shape[2], steps = batch.N * batch.T
    cdef clstm_sequence x_ = sequence(x, "x", kind, batch, features)
    cdef clstm_sequence dx_ = sequence(dx, "dx", kind, batch, features, True)
    cdef const void *gain_ = block(gain, "gain", kind, features)
    cdef const double *moments_ = <const double *>block(moments, "moments", F64, 2 * steps)
    cdef const void *dy_ = block(dy, "dy", kind, steps * features)
    cdef void *dgain_ = block(dgain, "dgain", kind, features, True)
    cdef void *dbias_ = block(dbias, "dbias", kind, features, True)
    cdef size_t size
    cdef clstm_status status
    with nogil:
        status = clstm_layer_norm_size(&batch, features, &size)
    check(status)
    scratch = memory(size)
    cdef void *scratch_ = aligned(scratch)
    with nogil:
        status = clstm_layer_norm_backward(
            &runtime, dtype_of(kind), &batch, features, x_, gain_, moments_, dy_, dx_, dgain_, dbias_, scratch_)
    check(status)


def dropout(double rate, bint once, tuple noise, x, y, lengths=None, pieces=None):
    """y = x times a random mask; noise as `Noise.core` gives it, None: nothing is dropped. y is zero beyond lengths."""
    cdef Kind kind = kind_of(x)
    cdef clstm_runtime runtime = current()
    cdef clstm_pieces pieces_
    cdef clstm_batch batch = pool_batch(x, lengths, pieces, &pieces_)
    cdef clstm_noise noise_
    if noise is not None:
        noise_.seed, rows, noise_.first_step, noise_.first_layer, noise_.first_index = noise
        noise_.rows = <const int64_t *>block(rows, "noise", INT64, batch.N)
        batch.noise = &noise_
    cdef Py_ssize_t features = x.shape[2]
    cdef clstm_sequence x_ = sequence(x, "x", kind, batch, features)
    cdef clstm_sequence y_ = sequence(y, "y", kind, batch, features, True)
    cdef clstm_status status
    with nogil:
        status = clstm_dropout(&runtime, dtype_of(kind), &batch, features, rate, once, x_, y_)
    check(status)


# Activations

def activate_backward(str name, y, dy, dz):
    """dz = dy f'(z), by y = f(z); dz may be dy."""
    cdef Kind kind = kind_of(y)
    cdef clstm_runtime runtime = current()
    cdef clstm_activation function = <clstm_activation><int>ACTIVATIONS.index(name)
    cdef Py_ssize_t n = y.size
    cdef const void *y_ = block(y, "y", kind, n)
    cdef const void *dy_ = block(dy, "dy", kind, n)
    cdef void *dz_ = block(dz, "dz", kind, n, True)
    cdef clstm_status status
    with nogil:
        status = clstm_activate_backward(&runtime, dtype_of(kind), function, n, y_, dy_, dz_)
    check(status)


def activate(str name, array, isa=None):
    """exp, sigmoid or tanh of an array by the kernels' own code, on the instruction set in use or the one named."""
    cdef Kind kind = kind_of(array)
    cdef clstm_runtime runtime = current()
    cdef clstm_activation function = <clstm_activation><int>ACTIVATIONS.index(name)
    if isa is not None:
        runtime.isa = isa_of(isa)
    found = empty_like(array, order="C")
    cdef Py_ssize_t n = array.size
    cdef const void *x = block(array, "array", kind, n)
    cdef void *y = block(found, "y", kind, n, True)
    cdef clstm_status status
    with nogil:
        status = clstm_activate(&runtime, dtype_of(kind), function, n, x, y)
    check(status)
    return found
