# Recurrent layers over sequences: the description of a stack, which says where its parameters stand, and its tape.

@cython.final
@cython.auto_pickle(False)
cdef class StackTape:
    """What `Stack.forward` saves. Backward uses it up; that it does so once is for its caller to see to."""

    cdef clstm_runtime runtime
    cdef clstm_batch batch
    cdef clstm_noise noise
    cdef clstm_pieces pieces
    cdef object stack, lengths, symbols, rows, places, memory


cdef enum:
    MEMBERS = 10  # of clstm_weights and clstm_gradients


@cython.final
cdef class Stack:
    """A stack of recurrent layers: its sizes and options, which say where each parameter stands in one flat buffer.

    The order is that of clstm_weights (those that there are) of each layer and direction, index l D + d. Others may
    stand behind them, of which the core knows nothing.
    """

    cdef clstm_stack stack
    cdef Kind kind
    cdef object dtype
    cdef readonly dict description
    cdef bint bias, has_c
    cdef int gates
    cdef Py_ssize_t size_h  # elements of h: the projection size, or the hidden size
    cdef readonly Py_ssize_t parameters
    cdef Py_ssize_t behind  # elements that follow them
    cdef Py_ssize_t first[MEMBERS]  # elements of each member in the first layer, and in those above it
    cdef Py_ssize_t upper[MEMBERS]
    cdef Scratch spare
    cdef object used_tape

    def __cinit__(self, dict description not None):
        """`description` has the sizes and options by the names of clstm_stack, `bias`, and `behind`, the number of
        elements that follow the parameters in the buffer; what is missing is usual."""
        options = dict(description)
        self.description = description
        self.kind = F32 if options.pop("dtype") == "float32" else F64
        self.dtype = float32 if self.kind == F32 else float64
        self.bias = options.pop("bias")
        self.behind = options.pop("behind", 0)
        self.stack.dtype = dtype_of(self.kind)
        self.stack.input_size = options.pop("input_size")
        self.stack.hidden_size = options.pop("hidden_size")
        self.stack.num_layers = options.pop("num_layers")
        self.stack.directions = options.pop("directions")
        self.stack.cell = <clstm_cell><int>CELLS.index(options.pop("cell"))
        self.stack.gate_activation = activation_of(options.pop("gate_activation", "usual"))
        self.stack.candidate_activation = activation_of(options.pop("candidate_activation", "usual"))
        self.stack.output_activation = activation_of(options.pop("output_activation", "usual"))
        self.stack.clip = options.pop("clip", 0)
        self.stack.cell_clip = options.pop("cell_clip", 0)
        self.stack.gradient_clip = options.pop("gradient_clip", 0)
        self.stack.peephole = options.pop("peephole", False)
        self.stack.coupled = options.pop("coupled", False)
        self.stack.no_forget = options.pop("no_forget", False)
        self.stack.projection_size = options.pop("projection_size", 0)
        self.stack.layer_norm = options.pop("layer_norm", False)
        self.stack.reset_before = options.pop("reset_before", False)
        self.stack.go_backwards = options.pop("go_backwards", False)
        self.stack.merge = <clstm_merge><int>MERGES.index(options.pop("merge", MERGES[0]))
        self.stack.show_c = options.pop("show_c", False)
        self.stack.dropout = options.pop("dropout", 0)
        self.stack.input_dropout = options.pop("input_dropout", 0)
        self.stack.recurrent_dropout = options.pop("recurrent_dropout", 0)
        self.stack.weight_drop = options.pop("weight_drop", 0)
        self.stack.zoneout_h = options.pop("zoneout_h", 0)
        self.stack.zoneout_c = options.pop("zoneout_c", 0)
        self.stack.input_noise = options.pop("input_noise", 0)
        if options:
            raise ValueError(f"unknown options: {', '.join(options)}")
        self.has_c = self.stack.cell == CLSTM_LSTM
        self.size_h = self.stack.projection_size or self.stack.hidden_size
        self.gates = {
            CLSTM_LSTM: 3 if self.stack.coupled or self.stack.no_forget else 4, CLSTM_GRU: 3, CLSTM_RNN: 1,
        }[self.stack.cell]
        directions = <object>self.stack.directions
        first = self.counts_of(self.stack.input_size)
        upper = self.counts_of(<object>self.size_h * (1 if self.stack.merge else directions))
        self.parameters = directions * (sum(first) + (self.stack.num_layers - 1) * sum(upper))
        for j in range(MEMBERS):
            self.first[j], self.upper[j] = first[j], upper[j]

    def __reduce__(self):
        return Stack, (self.description,)

    cdef Py_ssize_t count(self) noexcept nogil:
        """Layers and directions."""
        return self.stack.num_layers * self.stack.directions

    cdef Py_ssize_t output_width(self) noexcept nogil:
        """Features of y."""
        cdef Py_ssize_t each = self.stack.hidden_size if self.stack.show_c else self.size_h
        return each * (1 if self.stack.merge else self.stack.directions)

    cdef tuple counts_of(self, object width):
        """Elements of the parameters of one layer and direction, by the size of its input; as Python integers, which do
        not overflow."""
        H, R, P = <object>self.stack.hidden_size, <object>self.size_h, <object>self.stack.projection_size
        rows = self.gates * H
        second = self.bias and self.stack.cell == CLSTM_GRU and not self.stack.reset_before
        peepholes = (self.gates - 1) * self.stack.peephole
        norm = self.stack.layer_norm
        return (
            rows * width, rows * R, rows * self.bias, H * second, H * peepholes, P * H,
            rows * norm, rows * norm, H * norm, H * norm,
        )

    cdef Py_ssize_t *counts(self, Py_ssize_t k) noexcept nogil:
        """The same of the layer and direction with index k."""
        return &self.first[0] if k < self.stack.directions else &self.upper[0]

    cdef int find_weights(self, object flat, const void **weights) except -1:
        """Where the parameters of each layer and direction stand: MEMBERS addresses each, NULL where there is none."""
        cdef char *next = <char *>block(flat, "parameters", self.kind, self.parameters + self.behind)
        cdef Py_ssize_t k, j, size
        for k in range(self.count()):
            for j in range(MEMBERS):
                size = self.counts(k)[j]
                weights[k * MEMBERS + j] = next if size else NULL
                next += size * itemsize_of(self.kind)
        return 0

    cdef clstm_weights *weights(self, object flat) except NULL:
        """The same, to be given back to PyMem_Free."""
        cdef clstm_weights *weights = <clstm_weights *>PyMem_Malloc(self.count() * sizeof(clstm_weights))
        if weights == NULL:
            raise MemoryError
        try:
            self.find_weights(flat, <const void **>weights)
        except BaseException:
            PyMem_Free(weights)
            raise
        return weights

    cdef clstm_gradients *gradients(self, list arrays) except NULL:
        """The same for gradients, each in an array of its own."""
        cdef Py_ssize_t k, j, used = 0
        cdef clstm_gradients *grads = <clstm_gradients *>PyMem_Malloc(self.count() * sizeof(clstm_gradients))
        cdef void **members = <void **>grads
        if grads == NULL:
            raise MemoryError
        try:
            for k in range(self.count()):
                for j in range(MEMBERS):
                    members[k * MEMBERS + j] = NULL
                    if self.counts(k)[j]:
                        if used == len(arrays):
                            raise ValueError("grads: expected one array for each parameter")
                        members[k * MEMBERS + j] = block(arrays[used], "grads", self.kind, self.counts(k)[j], True)
                        used += 1
            if used != len(arrays):
                raise ValueError("grads: expected one array for each parameter")
        except BaseException:
            PyMem_Free(grads)
            raise
        return grads

    cdef clstm_state state(self, object h, object c, Py_ssize_t N, bint write) except *:
        """h (L D, N, R) and c (L D, N, H), each an array or None; c is None where the cell has none."""
        cdef Py_ssize_t rows = self.count() * N
        cdef clstm_state state
        state.h = block(h, "h", self.kind, rows * self.size_h, write)
        state.c = block(c, "c", self.kind, rows * self.stack.hidden_size, write)
        return state

    cdef clstm_stack_bytes sizes(self, clstm_runtime runtime, clstm_batch batch) except *:
        cdef clstm_stack_bytes sizes
        cdef clstm_status status
        with nogil:
            status = clstm_stack_sizes(&runtime, &self.stack, &batch, &sizes)
        check(status)
        return sizes

    cdef clstm_noise noise_of(self, tuple noise, Py_ssize_t N) except *:
        """Noise as `Noise.core` gives it; it points into the numbers of the rows, which the caller keeps."""
        cdef clstm_noise found
        found.seed, rows, found.first_step, found.first_layer, found.first_index = noise
        found.rows = <const int64_t *>block(rows, "noise", INT64, N)
        return found

    def tape_size(self, Py_ssize_t N, Py_ssize_t T, lengths=None, tuple noise=None):
        """How many bytes the tape of such a call of `forward` has."""
        cdef clstm_batch batch = batch_of(N, T, lengths)
        cdef clstm_noise noise_
        if noise is not None:
            noise_ = self.noise_of(noise, N)
            batch.noise = &noise_
        return self.sizes(current(), batch).tape

    cdef clstm_sequence input(self, object x, str name, clstm_batch batch, bint write=False) except *:
        """x (N, T, I), or the vectors of symbols (num, I)."""
        if batch.symbols == NULL:
            return sequence(x, name, self.kind, batch, self.stack.input_size, write)
        cdef clstm_sequence found
        found.data = block(x, name, self.kind, batch.num * self.stack.input_size, write)
        found.stride_n, found.stride_t = 0, self.stack.input_size
        return found

    def forward(self, flat, x, lengths, h0, c0, y, h, c, bint keep=True, symbols=None, noise=None,
                pieces=None):
        """Writes y, h and c; returns a tape, or None if it is not to be kept. With symbols (N, T) int64, x are their
        vectors (num, I). With noise, as `Noise.core` gives it, masks are drawn. `pieces`, of which `lengths` has the
        steps, are what `pieces_of` takes."""
        cdef clstm_runtime runtime = current()
        steps = x if symbols is None else symbols
        cdef clstm_batch batch
        cdef clstm_pieces pieces_
        if pieces is None:
            batch = batch_of(steps.shape[0], steps.shape[1], lengths)
        else:
            batch = batch_of(lengths.size, max(1, lengths.max()), lengths)
            pieces_ = pieces_of(pieces, batch.N)
            batch.pieces = &pieces_
        if symbols is not None:
            batch.symbols = <const int64_t *>block(symbols, "symbols", INT64, rows_of(batch) * times_of(batch))
            batch.num = x.shape[0]
        cdef clstm_noise noise_
        if noise is not None:
            noise_ = self.noise_of(noise, batch.N)
            batch.noise = &noise_
        cdef clstm_sequence x_ = self.input(x, "x", batch)
        cdef clstm_sequence y_ = sequence(y, "y", self.kind, batch, self.output_width(), True)
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
            if noise is not None:
                tape.noise, tape.rows = noise_, noise[1]
                tape.batch.noise = &tape.noise
            if pieces is not None:
                tape.places, tape.pieces = pieces, pieces_
                tape.batch.pieces = &tape.pieces
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

    def backward(self, flat, StackTape tape not None, x, dy, dh, dc, dx, dh0, dc0, list grads not None,
                 Py_ssize_t bptt=0, flow_h=None, flow_c=None):
        """Writes dx, in the shape of x, dh0 and dc0, adds to grads, and uses the tape up. flow_h and flow_c, of shape
        (L D, N, T, H) or None, get the whole gradients of h and c after each step; of pieces, N and T are those of the
        arrays."""
        if tape.stack is not self:
            raise ValueError("tape: it is of another stack")
        cdef clstm_sequence x_ = self.input(x, "x", tape.batch)
        cdef clstm_sequence dx_ = self.input(dx, "dx", tape.batch, True)
        cdef clstm_sequence dy_ = sequence(dy, "dy", self.kind, tape.batch, self.output_width())
        cdef clstm_state final = self.state(dh, dc, tape.batch.N, False)
        cdef clstm_state initial = self.state(dh0, dc0, tape.batch.N, True)
        cdef clstm_state flow = self.state(flow_h, flow_c, rows_of(tape.batch) * times_of(tape.batch), True)
        cdef Scratch scratch = self.take_scratch(self.sizes(tape.runtime, tape.batch).backward)
        cdef void *tape_ = aligned(tape.memory)
        cdef clstm_weights *weights = self.weights(flat)
        cdef clstm_gradients *gradients = NULL
        cdef clstm_status status
        try:
            gradients = self.gradients(grads)
            with nogil:
                status = clstm_stack_backward(&tape.runtime, &self.stack, &tape.batch, weights, x_, dy_, final, dx_,
                                              initial, gradients, bptt, flow, tape_, scratch.data)
        finally:
            PyMem_Free(weights)
            PyMem_Free(gradients)
            self.give_back(scratch)
        check(status)
        self.release(tape)

    def release(self, StackTape tape not None):
        """Keeps the memory of a tape that is of no more use for the next one."""
        with cython.critical_section(self):
            self.used_tape, tape.memory = tape.memory, None

    def let_go(self):
        """Gives back all memory that is kept for the next call."""
        with cython.critical_section(self):
            self.used_tape = self.spare = None

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

    def read_tape(self, StackTape tape not None, Py_ssize_t index, list gates not None, c, h):
        """Writes the gates and states, (N, T, H) or for h (N, T, R), each or None, of one layer and direction."""
        if tape.stack is not self:
            raise ValueError("tape: it is of another stack")
        cdef Py_ssize_t steps = rows_of(tape.batch) * times_of(tape.batch), size = steps * self.stack.hidden_size, k
        cdef clstm_trace trace
        for k in range(4):
            trace.gates[k] = block(gates[k], "gates", self.kind, size, True) if k < len(gates) else NULL
        trace.c, trace.h = block(c, "c", self.kind, size, True), block(h, "h", self.kind, steps * self.size_h, True)
        cdef void *tape_ = aligned(tape.memory)
        cdef clstm_status status
        with nogil:
            status = clstm_stack_read_tape(&self.stack, &tape.batch, tape_, index, &trace)
        check(status)

    def noise(self, str kind, Py_ssize_t index, seed, row, Py_ssize_t step, to):
        """Writes the mask, or what is added, of one place into an array (n,): see clstm_stack_noise."""
        cdef clstm_noise_kind kind_ = <clstm_noise_kind><int>NOISES.index(kind)
        cdef Py_ssize_t n = to.size
        check(clstm_stack_noise(&self.stack, kind_, index, seed, row, step, n, block(to, "to", self.kind, n, True)))

    cdef double weight_bytes(self) noexcept nogil:
        """What a step of all layers reads, for one direction."""
        cdef double H = self.stack.hidden_size, L = self.stack.num_layers
        cdef double width = self.stack.input_size + (2 * L - 1) * self.size_h
        return (self.gates * width + L * self.stack.projection_size) * H * itemsize_of(self.kind)

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
        """One step of a single layer; returns `out`, or for None a new state. None if anything does not fit as it is.

        The GIL is kept for short steps, see (d): here packing the weights costs as much as using them for ten rows.
        """
        cdef Rows x_ = rows(x, self.kind, self.stack.input_size)
        cdef Py_ssize_t N = x_.count
        cdef clstm_state initial, final
        initial.h = initial.c = NULL
        if x_.data == NULL or x_.ndim != 2 or not (state is None or self.state_fits(state, N, False, &initial)):
            return None
        if out is None:
            out = empty((N, self.size_h), self.dtype)
            if self.has_c:
                out = out, empty((N, self.stack.hidden_size), self.dtype)
        if not self.state_fits(out, N, True, &final):
            return None
        cdef clstm_runtime runtime = current()
        cdef clstm_weights weights
        cdef size_t size
        check(clstm_stack_step_size(&runtime, &self.stack, N, &size))  # also that there is one layer
        self.find_weights(flat, <const void **>&weights)
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

    cdef bint state_fits(self, object state, Py_ssize_t N, bint write, clstm_state *found) noexcept:
        """Whether a state, (h, c) or h alone, is of arrays that the core can use as they are; and where."""
        cdef Py_ssize_t R = self.size_h, item = itemsize_of(self.kind)
        found.c = NULL
        if not self.has_c:
            return block_fits(state, self.kind, N, R, write, &found.h)
        if not (type(state) is tuple and len(<tuple>state) == 2):
            return False
        return (
            block_fits((<tuple>state)[0], self.kind, N, R, write, &found.h)
            and block_fits((<tuple>state)[1], self.kind, N, self.stack.hidden_size, write, &found.c)
            and not (write and overlap(found.h, found.c, N * R * item, N * self.stack.hidden_size * item))
        )


cdef clstm_activation activation_of(str name) except *:
    return <clstm_activation><int>ACTIVATIONS.index(name)


cdef bint overlap(const void *a, const void *b, Py_ssize_t size_a, Py_ssize_t size_b) noexcept:
    """Whether two blocks of so many bytes have one in common."""
    cdef Py_ssize_t distance = <const char *>a - <const char *>b
    return -size_a < distance < size_b
