# LSTM one step at a time, with weights that are packed once.

@cython.final
@cython.auto_pickle(False)
cdef class StackStream:
    """A stream of the core in memory of NumPy, and the array of its outputs.

    The core lets one thread in at a time; `check` raises RuntimeError for another.
    """

    cdef Stack stack
    cdef object memory
    cdef void *stream
    cdef Py_ssize_t N, I, R
    cdef Kind kind
    cdef bint short_step
    cdef object y, y_row  # (N, R), and for one row the same memory as (R,)
    cdef void *y_data

    def __cinit__(self, Stack stack not None, flat, Py_ssize_t N, y):
        cdef clstm_runtime runtime = current()
        cdef size_t size
        check(clstm_stream_size(&runtime, &stack.stack, N, &size))
        self.stack, self.kind = stack, stack.kind
        self.N, self.I, self.R = N, stack.stack.input_size, stack.size_h
        # For one row, a megabyte of weights takes ten microseconds, see (d); for more there is more to compute
        self.short_step = stack.weight_bytes() * (N + 1) / 2 < 1 << 20
        self.y, self.y_row = y, y[0] if N == 1 else None
        self.y_data = block(y, "y", self.kind, N * self.R, True)
        self.memory = memory(size)
        self.stream = aligned(self.memory)
        cdef clstm_weights *weights = stack.weights(flat)
        cdef clstm_status status
        with nogil:
            status = clstm_stream_load(&runtime, &stack.stack, N, weights, self.stream)
        PyMem_Free(weights)
        check(status)

    def step(self, x, out=None, reset=None, h=None, c=None):
        """One step: returns out, or for None the stream's own array; None if x or out does not fit as it is. The rows
        of which `reset` (N,) is not 0 start from h and c (L, H), or zeros."""
        cdef Rows x_ = rows(x, self.kind, self.I), out_
        if x_.data == NULL or x_.count != self.N:
            return None
        cdef void *y_ = self.y_data
        cdef Py_ssize_t stride = self.R
        if out is None:
            out = self.y if x_.ndim == 2 else self.y_row
        else:
            out_ = rows(out, self.kind, self.R, True)
            if out_.data == NULL or out_.count != self.N or out_.ndim != x_.ndim:
                return None
            y_, stride = out_.data, out_.stride
        cdef clstm_status status
        if reset is not None:
            self.reset_rows(reset, h, c)
        if self.short_step:
            status = clstm_stream_step(self.stream, x_.data, x_.stride, y_, stride)
        else:
            with nogil:
                status = clstm_stream_step(self.stream, x_.data, x_.stride, y_, stride)
        check(status)
        return out

    def reload(self, flat):
        """Reads the parameters again."""
        cdef clstm_weights *weights = self.stack.weights(flat)
        cdef clstm_status status
        with nogil:
            status = clstm_stream_reload(self.stream, weights)
        PyMem_Free(weights)
        check(status)

    def reset(self, h, c):
        """Sets the state, (L, N, H) each, or None for zeros."""
        check(clstm_stream_reset(self.stream, self.stack.state(h, c, self.N, False)))

    cdef int reset_rows(self, object flags, object h, object c) except -1:
        """Sets the state of some rows to h and c, (L, H) each, or None for zeros."""
        cdef const uint8_t *flags_ = <const uint8_t *>block(flags, "reset", BOOL, self.N)
        return check(clstm_stream_reset_rows(self.stream, flags_, self.stack.state(h, c, 1, False)))

    def state(self, h, c):
        """Reads the state into h and c, (L, N, H) each."""
        check(clstm_stream_state(self.stream, self.stack.state(h, c, self.N, True)))
