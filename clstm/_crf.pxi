# Conditional random field

CRF_REDUCTIONS = ("mean", "token_mean", "sum")  # in the order of clstm_crf_reduction


cdef clstm_crf crf_of(tuple parameters, Kind kind) except *:
    """The field of (transitions, start, end); it points into these arrays, which the caller keeps."""
    cdef clstm_crf crf
    transitions, start, end = parameters
    crf.dtype, crf.tags = dtype_of(kind), start.shape[0]
    crf.transitions = block(transitions, "transitions", kind, crf.tags * crf.tags)
    crf.start = block(start, "start", kind, crf.tags)
    crf.end = block(end, "end", kind, crf.tags)
    return crf


cdef clstm_crf_bytes crf_bytes(const clstm_runtime *runtime, const clstm_crf *crf, const clstm_batch *batch) except *:
    cdef clstm_crf_bytes sizes
    cdef clstm_status status
    with nogil:
        status = clstm_crf_sizes(runtime, crf, batch, &sizes)
    check(status)
    return sizes


def crf_loss(parameters, emissions, paths, lengths=None, weights=None, str reduction="mean", bint gradient=True,
             grads=None, rows=None):
    """The loss, its gradient by emissions (N, T, C), and its weight; adds to grads, and writes -log p of each row.

    parameters and grads are (transitions, start, end), paths int64 (N, T), weights (N,), rows float64 (N,).
    """
    cdef Kind kind = kind_of(emissions)
    cdef clstm_runtime runtime = current()
    cdef clstm_crf crf = crf_of(parameters, kind)
    cdef clstm_batch batch = batch_of(emissions.shape[0], emissions.shape[1], lengths)
    cdef clstm_crf_reduction how = <clstm_crf_reduction><int>CRF_REDUCTIONS.index(reduction)
    cdef Py_ssize_t size = batch.N * batch.T * crf.tags
    found = empty_like(emissions, order="C") if gradient else None
    cdef const void *emissions_ = block(emissions, "emissions", kind, size)
    cdef const int64_t *paths_ = <const int64_t *>block(paths, "paths", INT64, batch.N * batch.T)
    cdef const void *weights_ = block(weights, "weights", kind, batch.N)
    cdef double *rows_ = <double *>block(rows, "rows", F64, batch.N, True)
    cdef void *found_ = block(found, "gradient", kind, size, True)
    cdef clstm_crf_gradients gradients
    cdef const clstm_crf_gradients *gradients_ = NULL
    if grads is not None:
        gradients.transitions = block(grads[0], "grads", kind, crf.tags * crf.tags, True)
        gradients.start = block(grads[1], "grads", kind, crf.tags, True)
        gradients.end = block(grads[2], "grads", kind, crf.tags, True)
        gradients_ = &gradients
    scratch = memory(crf_bytes(&runtime, &crf, &batch).loss)
    cdef void *scratch_ = aligned(scratch)
    cdef double loss = 0, weight = 0
    cdef clstm_status status
    with nogil:
        status = clstm_crf_loss(&runtime, &crf, &batch, how, emissions_, paths_, weights_, &loss, &weight, rows_,
                                found_, gradients_, scratch_)
    check(status)
    return loss, found, weight


def crf_best(parameters, emissions, lengths, paths, scores):
    """Writes the best paths int64 (N, T) and their scores float64 (N,)."""
    cdef Kind kind = kind_of(emissions)
    cdef clstm_runtime runtime = current()
    cdef clstm_crf crf = crf_of(parameters, kind)
    cdef clstm_batch batch = batch_of(emissions.shape[0], emissions.shape[1], lengths)
    cdef const void *emissions_ = block(emissions, "emissions", kind, batch.N * batch.T * crf.tags)
    cdef int64_t *paths_ = <int64_t *>block(paths, "paths", INT64, batch.N * batch.T, True)
    cdef double *scores_ = <double *>block(scores, "scores", F64, batch.N, True)
    scratch = memory(crf_bytes(&runtime, &crf, &batch).best)
    cdef void *scratch_ = aligned(scratch)
    cdef clstm_status status
    with nogil:
        status = clstm_crf_best(&runtime, &crf, &batch, emissions_, paths_, scores_, scratch_)
    check(status)


def crf_marginals(parameters, emissions, lengths, marginals, log_z):
    """Writes the marginals (N, T, C) and log Z float64 (N,)."""
    cdef Kind kind = kind_of(emissions)
    cdef clstm_runtime runtime = current()
    cdef clstm_crf crf = crf_of(parameters, kind)
    cdef clstm_batch batch = batch_of(emissions.shape[0], emissions.shape[1], lengths)
    cdef Py_ssize_t size = batch.N * batch.T * crf.tags
    cdef const void *emissions_ = block(emissions, "emissions", kind, size)
    cdef void *marginals_ = block(marginals, "marginals", kind, size, True)
    cdef double *log_z_ = <double *>block(log_z, "log_z", F64, batch.N, True)
    scratch = memory(crf_bytes(&runtime, &crf, &batch).marginals)
    cdef void *scratch_ = aligned(scratch)
    cdef clstm_status status
    with nogil:
        status = clstm_crf_marginals(&runtime, &crf, &batch, emissions_, marginals_, log_z_, scratch_)
    check(status)
