# LSTM over sequences: the sizes of a stack, which say where its parameters stand, and its tape.

@cython.final
@cython.auto_pickle(False)
cdef class StackTape:
    """What `Stack.forward` saves. Backward uses it up; that it does so once is for its caller to see to."""

    cdef clstm_runtime runtime
    cdef clstm_batch batch
    cdef object stack, lengths, symbols, memory


@cython.final
cdef class Stack:
    """The sizes of a stack of LSTM layers, which say where each parameter stands in one flat buffer.

    The order is w_ih, w_hh, b (if there is one) of each layer and direction, index l D + d.
    """

    cdef clstm_stack stack
    cdef Kind kind
    cdef object dtype
    cdef bint bias
    cdef readonly Py_ssize_t parameters
    cdef Scratch spare
    cdef object used_tape

    def __cinit__(self, str dtype, Py_ssize_t input_size, Py_ssize_t hidden_size, Py_ssize_t num_layers,
                  Py_ssize_t directions, bint bias):
        self.kind = F32 if dtype == "float32" else F64
        self.dtype = float32 if self.kind == F32 else float64
        self.bias = bias
        self.stack.dtype = dtype_of(self.kind)
        self.stack.input_size = input_size
        self.stack.hidden_size = hidden_size
        self.stack.num_layers = num_layers
        self.stack.directions = directions
        # As Python integers, which do not overflow
        upper = (num_layers - 1) * (<object>directions * hidden_size)
        rows = 4 * <object>hidden_size * directions
        self.parameters = rows * (input_size + upper + num_layers * (<object>hidden_size + bias))

    def __reduce__(self):
        dtype = "float32" if self.kind == F32 else "float64"
        return Stack, (dtype, self.stack.input_size, self.stack.hidden_size, self.stack.num_layers,
                          self.stack.directions, self.bias)

    cdef Py_ssize_t width(self, Py_ssize_t k) noexcept nogil:
        """The input size of the layer and direction with index k."""
        return self.stack.input_size if k < self.stack.directions else self.stack.directions * self.stack.hidden_size

    cdef clstm_weights *weights(self, object flat) except NULL:
        """The parameters of each layer and direction, to be given back to PyMem_Free."""
        cdef Py_ssize_t count = self.stack.num_layers * self.stack.directions
        cdef clstm_weights *weights = <clstm_weights *>PyMem_Malloc(count * sizeof(clstm_weights))
        if weights == NULL:
            raise MemoryError
        try:
            self.find_weights(flat, weights)
        except BaseException:
            PyMem_Free(weights)
            raise
        return weights

    cdef int find_weights(self, object flat, clstm_weights *weights) except -1:
        """The same into an array of the caller."""
        cdef char *next = <char *>block(flat, "parameters", self.kind, self.parameters)
        cdef Py_ssize_t row = 4 * self.stack.hidden_size * itemsize_of(self.kind), k
        for k in range(self.stack.num_layers * self.stack.directions):
            weights[k].w_ih = next
            next += row * self.width(k)
            weights[k].w_hh = next
            next += row * self.stack.hidden_size
            weights[k].b = next if self.bias else NULL
            next += row if self.bias else 0
        return 0

    cdef clstm_gradients *gradients(self, list arrays) except NULL:
        """The same for gradients, each in an array of its own."""
        cdef Py_ssize_t count = self.stack.num_layers * self.stack.directions
        cdef Py_ssize_t row = 4 * self.stack.hidden_size, each = 2 + self.bias
        if len(arrays) != count * each:
            raise ValueError("grads: expected one array for each parameter")
        cdef clstm_gradients *grads = <clstm_gradients *>PyMem_Malloc(count * sizeof(clstm_gradients))
        if grads == NULL:
            raise MemoryError
        cdef Py_ssize_t k
        try:
            for k in range(count):
                grads[k].w_ih = block(arrays[k * each], "grads", self.kind, row * self.width(k), True)
                grads[k].w_hh = block(arrays[k * each + 1], "grads", self.kind, row * self.stack.hidden_size, True)
                grads[k].b = block(arrays[k * each + 2], "grads", self.kind, row, True) if self.bias else NULL
        except BaseException:
            PyMem_Free(grads)
            raise
        return grads

    cdef clstm_state state(self, object h, object c, Py_ssize_t N, bint write) except *:
        cdef Py_ssize_t size = self.stack.num_layers * self.stack.directions * N * self.stack.hidden_size
        cdef clstm_state state
        state.h = block(h, "h", self.kind, size, write)
        state.c = block(c, "c", self.kind, size, write)
        return state

    cdef clstm_stack_bytes sizes(self, clstm_runtime runtime, clstm_batch batch) except *:
        cdef clstm_stack_bytes sizes
        cdef clstm_status status
        with nogil:
            status = clstm_stack_sizes(&runtime, &self.stack, &batch, &sizes)
        check(status)
        return sizes

    cdef clstm_sequence input(self, object x, str name, clstm_batch batch, bint write=False) except *:
        """x (N, T, I), or the vectors of symbols (num, I)."""
        if batch.symbols == NULL:
            return sequence(x, name, self.kind, batch, self.stack.input_size, write)
        cdef clstm_sequence found
        found.data = block(x, name, self.kind, batch.num * self.stack.input_size, write)
        found.stride_n, found.stride_t = 0, self.stack.input_size
        return found

    def forward(self, flat, x, lengths, h0, c0, y, h, c, bint keep=True, symbols=None):
        """Writes y, h and c; returns a tape, or None if it is not to be kept. With symbols (N, T) int64, x are their
        vectors (num, I)."""
        cdef clstm_runtime runtime = current()
        steps = x if symbols is None else symbols
        cdef clstm_batch batch = batch_of(steps.shape[0], steps.shape[1], lengths)
        if symbols is not None:
            batch.symbols = <const int64_t *>block(symbols, "symbols", INT64, batch.N * batch.T)
            batch.num = x.shape[0]
        cdef clstm_sequence x_ = self.input(x, "x", batch)
        cdef clstm_sequence y_ = sequence(
            y, "y", self.kind, batch, self.stack.directions * self.stack.hidden_size, True)
        cdef clstm_state initial = self.state(h0, c0, batch.N, False), final = self.state(h, c, batch.N, True)
        cdef clstm_stack_bytes sizes = self.sizes(runtime, batch)
        cdef Scratch scratch = self.take_scratch(sizes.forward if keep else sizes.infer)
        cdef void *tape_ = NULL
        cdef StackTape tape = None
        tape_memory = self.tape_memory(sizes.tape if keep else 0)
        if keep:
            tape = StackTape.__new__(StackTape)
            tape.runtime, tape.batch = runtime, batch
            tape.stack, tape.lengths, tape.symbols, tape.memory = self, lengths, symbols, tape_memory
            tape_ = aligned(tape.memory)
        cdef clstm_weights *weights = self.weights(flat)
        cdef clstm_status status
        with nogil:
            if keep:
                status = clstm_stack_forward(
                    &runtime, &self.stack, &batch, weights, x_, initial, y_, final, tape_, scratch.data)
            else:
                status = clstm_stack_infer(&runtime, &self.stack, &batch, weights, x_, initial, y_, final,
                                           scratch.data)
        PyMem_Free(weights)
        self.give_back(scratch)
        check(status)
        return tape

    def backward(self, flat, StackTape tape not None, x, dy, dh, dc, dx, dh0, dc0, list grads not None):
        """Writes dx, in the shape of x, dh0 and dc0, adds to grads, and uses the tape up."""
        if tape.stack is not self:
            raise ValueError("tape: it is of another stack")
        cdef clstm_sequence x_ = self.input(x, "x", tape.batch)
        cdef clstm_sequence dx_ = self.input(dx, "dx", tape.batch, True)
        cdef clstm_sequence dy_ = sequence(
            dy, "dy", self.kind, tape.batch, self.stack.directions * self.stack.hidden_size)
        cdef clstm_state final = self.state(dh, dc, tape.batch.N, False)
        cdef clstm_state initial = self.state(dh0, dc0, tape.batch.N, True)
        cdef Scratch scratch = self.take_scratch(self.sizes(tape.runtime, tape.batch).backward)
        cdef void *tape_ = aligned(tape.memory)
        cdef clstm_weights *weights = self.weights(flat)
        cdef clstm_gradients *gradients = NULL
        cdef clstm_status status
        try:
            gradients = self.gradients(grads)
            with nogil:
                status = clstm_stack_backward(&tape.runtime, &self.stack, &tape.batch, weights, x_, dy_, final, dx_,
                                              initial, gradients, tape_, scratch.data)
        finally:
            PyMem_Free(weights)
            PyMem_Free(gradients)
            self.give_back(scratch)
        check(status)
        with cython.critical_section(self):
            self.used_tape, tape.memory = tape.memory, None

    cdef object tape_memory(self, size_t size):
        """Memory for a tape, or None for size 0: what the last one used if that fits, see (c)."""
        cdef object spare
        with cython.critical_section(self):
            spare, self.used_tape = self.used_tape, None
        if size == 0:
            return None
        if spare is not None and size <= <size_t>len(spare) - 64 and <size_t>len(spare) < 2 * size + 4096:
            return spare
        spare = None  # before more is asked for
        return memory(size)

    def read_tape(self, StackTape tape not None, Py_ssize_t index, i, f, g, o, c, h):
        """Writes the gates and states, (N, T, H) each, of one layer and direction."""
        if tape.stack is not self:
            raise ValueError("tape: it is of another stack")
        cdef Py_ssize_t size = tape.batch.N * tape.batch.T * self.stack.hidden_size
        cdef clstm_trace trace
        trace.i, trace.f = block(i, "i", self.kind, size, True), block(f, "f", self.kind, size, True)
        trace.g, trace.o = block(g, "g", self.kind, size, True), block(o, "o", self.kind, size, True)
        trace.c, trace.h = block(c, "c", self.kind, size, True), block(h, "h", self.kind, size, True)
        cdef void *tape_ = aligned(tape.memory)
        cdef clstm_status status
        with nogil:
            status = clstm_stack_read_tape(&self.stack, &tape.batch, tape_, index, &trace)
        check(status)

    cdef double weight_bytes(self) noexcept nogil:
        """What a step of all layers reads, for one direction."""
        cdef double H = self.stack.hidden_size, width = self.stack.input_size + (2 * self.stack.num_layers - 1) * H
        return 4 * H * width * itemsize_of(self.kind)

    cdef Scratch take_scratch(self, size_t size):
        """The spare one if it is there, large enough and not much too large, otherwise a new one."""
        cdef Scratch scratch
        with cython.critical_section(self):
            scratch, self.spare = self.spare, None
        if scratch is None or scratch.size < size or scratch.size // 8 > size + LITTLE_MEMORY:
            scratch = None  # before more is asked for
            scratch = Scratch(size)
        return scratch

    cdef void give_back(self, Scratch scratch) noexcept:
        """Makes it the spare one; of several, the last stays. (Without the GIL, swapping takes a lock.)"""
        with cython.critical_section(self):
            scratch, self.spare = self.spare, scratch

    def step(self, flat, x, state, out):
        """One step of a single layer; returns `out`, or for None a new (h, c). None if anything does not fit as it is.

        The GIL is kept for short steps, see (d): here packing the weights costs as much as using them for ten rows.
        """
        cdef Rows x_ = rows(x, self.kind, self.stack.input_size)
        cdef Py_ssize_t N = x_.count, H = self.stack.hidden_size
        cdef clstm_state initial, final
        if x_.data == NULL or x_.ndim != 2:
            return None
        initial.h = initial.c = NULL
        if state is not None and not (
            type(state) is tuple and len(<tuple>state) == 2
            and block_fits((<tuple>state)[0], self.kind, N, H, False, &initial.h)
            and block_fits((<tuple>state)[1], self.kind, N, H, False, &initial.c)
        ):
            return None
        if out is None:
            out = empty((N, H), self.dtype), empty((N, H), self.dtype)
        if not (
            type(out) is tuple and len(<tuple>out) == 2
            and block_fits((<tuple>out)[0], self.kind, N, H, True, &final.h)
            and block_fits((<tuple>out)[1], self.kind, N, H, True, &final.c)
            and not overlap(final.h, final.c, N * H * itemsize_of(self.kind))
        ):
            return None
        cdef clstm_runtime runtime = current()
        cdef clstm_weights weights
        cdef size_t size
        check(clstm_stack_step_size(&runtime, &self.stack, N, &size))  # also that there is one layer
        self.find_weights(flat, &weights)
        cdef Scratch scratch = self.take_scratch(size)
        cdef clstm_status status
        if self.weight_bytes() * (N + 10) < 1 << 20:
            status = clstm_stack_step(
                &runtime, &self.stack, N, &weights, x_.data, x_.stride, initial, final, scratch.data)
        else:
            with nogil:
                status = clstm_stack_step(
                    &runtime, &self.stack, N, &weights, x_.data, x_.stride, initial, final, scratch.data)
        self.give_back(scratch)
        check(status)
        return out


cdef bint overlap(const void *a, const void *b, Py_ssize_t size) noexcept:
    """Whether two blocks of as many bytes have one in common."""
    cdef Py_ssize_t distance = <const char *>a - <const char *>b
    return -size < distance < size
