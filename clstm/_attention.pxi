# Attention over a memory

SCORES = ("product", "additive")  # of clstm_score


cdef struct Attended:
    clstm_attend attend
    clstm_batch queries, memory
    clstm_attended arrays


cdef Attended attended_of(str score, double scale, query, keys, values, vector, query_lengths, lengths) except *:
    """What a call is about; it points into the arrays, which the caller keeps."""
    cdef Attended found
    cdef Kind kind = kind_of(values)
    found.attend.dtype = dtype_of(kind)
    found.attend.score = <clstm_score><int>SCORES.index(score)
    found.attend.scale = scale
    found.attend.keys, found.attend.values = keys.shape[2], values.shape[2]
    found.queries = batch_of(query.shape[0], query.shape[1], query_lengths)
    found.memory = batch_of(values.shape[0], values.shape[1], lengths)
    found.arrays.query = sequence(query, "query", kind, found.queries, found.attend.keys)
    found.arrays.keys = sequence(keys, "keys", kind, found.memory, found.attend.keys)
    found.arrays.values = sequence(values, "values", kind, found.memory, found.attend.values)
    found.arrays.v = block(vector, "vector", kind, found.attend.keys)
    if (vector is None) != (found.attend.score == CLSTM_SCORE_PRODUCT):
        raise ValueError("vector: expected one for additive scores, and none for others")
    return found


def attend_forward(str score, double scale, query, keys, values, vector, query_lengths, lengths, weights, context):
    """weights (N, T, S) = softmax of the scores over the steps of the memory; context (N, T, M) = weights values"""
    cdef clstm_runtime runtime = current()
    cdef Kind kind = kind_of(values)
    cdef Attended it = attended_of(score, scale, query, keys, values, vector, query_lengths, lengths)
    cdef Py_ssize_t NT = it.queries.N * it.queries.T
    cdef void *weights_ = block(weights, "weights", kind, NT * it.memory.T, True)
    cdef void *context_ = block(context, "context", kind, NT * it.attend.values, True)
    cdef clstm_attend_bytes sizes
    cdef clstm_status status
    with nogil:
        status = clstm_attend_sizes(&runtime, &it.attend, &it.queries, &it.memory, &sizes)
    check(status)
    scratch = memory(sizes.forward)
    cdef void *scratch_ = aligned(scratch)
    with nogil:
        status = clstm_attend_forward(
            &runtime, &it.attend, &it.queries, &it.memory, &it.arrays, weights_, context_, scratch_)
    check(status)


def attend_backward(str score, double scale, query, keys, values, vector, query_lengths, lengths, weights, dcontext,
                    dweights, dquery, dkeys, dvalues, dvector):
    """Writes dquery, dkeys and dvalues, each of which may be None; adds to dvector."""
    cdef clstm_runtime runtime = current()
    cdef Kind kind = kind_of(values)
    cdef Attended it = attended_of(score, scale, query, keys, values, vector, query_lengths, lengths)
    cdef Py_ssize_t NT = it.queries.N * it.queries.T
    cdef const void *weights_ = block(weights, "weights", kind, NT * it.memory.T)
    cdef const void *dcontext_ = block(dcontext, "dcontext", kind, NT * it.attend.values)
    cdef const void *dweights_ = block(dweights, "dweights", kind, NT * it.memory.T)
    cdef clstm_attend_gradients gradients
    gradients.dquery = sequence(dquery, "dquery", kind, it.queries, it.attend.keys, True)
    gradients.dkeys = sequence(dkeys, "dkeys", kind, it.memory, it.attend.keys, True)
    gradients.dvalues = sequence(dvalues, "dvalues", kind, it.memory, it.attend.values, True)
    gradients.dv = block(dvector, "dvector", kind, it.attend.keys, True)
    cdef clstm_attend_bytes sizes
    cdef clstm_status status
    with nogil:
        status = clstm_attend_sizes(&runtime, &it.attend, &it.queries, &it.memory, &sizes)
    check(status)
    scratch = memory(sizes.backward)
    cdef void *scratch_ = aligned(scratch)
    with nogil:
        status = clstm_attend_backward(&runtime, &it.attend, &it.queries, &it.memory, &it.arrays, weights_, dcontext_,
                                       dweights_, &gradients, scratch_)
    check(status)
