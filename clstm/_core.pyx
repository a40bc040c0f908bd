# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The C core for Python: arrays asserted, the GIL released around each call, a status raised as an exception.

Policy lives above, in .py files: what is converted, what is allowed, how an error reads. Here an array that does not
fit is a mistake of clstm itself, and the short error is only there so that no such mistake writes out of bounds.

(a) Arrays come through the buffer protocol. `block` takes the address of a contiguous one, `sequence` of [N,T,F] with
    strides. The caller of a function holds a reference to each array, so addresses stay good while the GIL is released.
(b) The settings (instruction set, backend, threads) are one struct behind one lock, copied at the start of a call.
    A tape keeps the copy of the forward call: backward has to run with the settings of its tape.
(c) Nothing else is kept between calls, so that any number of threads may use the same objects.
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_STRIDES, PyBuffer_IsContiguous, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer

from numpy import empty, empty_like, uint8


# Statuses

cdef int check(clstm_status status) except -1:
    """Raises what a status of the C core means: the one place where that is decided."""
    if status == CLSTM_OK:
        return 0
    message = clstm_status_message(status).decode()
    if status == CLSTM_TOO_LARGE:
        raise OverflowError(message)
    raise ValueError(message)


# Arrays

cdef enum Kind:
    F32 = CLSTM_F32
    F64 = CLSTM_F64
    INT64
    INTP


cdef Py_ssize_t itemsize_of(Kind kind) noexcept nogil:
    if kind == F32:
        return 4
    return 8 if kind == F64 or kind == INT64 else sizeof(ptrdiff_t)


cdef bint is_of(const Py_buffer *view, Kind kind) noexcept:
    """Whether a buffer holds native, aligned elements of a kind; the format has one letter if it is native."""
    cdef char letter = view.format[0] if view.format != NULL else b"B"
    cdef Py_ssize_t itemsize = itemsize_of(kind)
    if view.itemsize != itemsize or <size_t>view.buf % <size_t>itemsize != 0:
        return False
    if kind == F32:
        return letter == b"f"
    if kind == F64:
        return letter == b"d"
    return letter in b"ilqn"


cdef void *block(object array, str name, Kind kind, Py_ssize_t size, bint write=False) except? NULL:
    """The address of a contiguous array with `size` elements; None is NULL."""
    if array is None:
        return NULL
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES | PyBUF_FORMAT)
    cdef bint fits = (
        is_of(&view, kind) and view.len == size * view.itemsize
        and PyBuffer_IsContiguous(&view, b"C") and not (write and view.readonly)
    )
    cdef void *data = view.buf
    PyBuffer_Release(&view)
    if not fits:
        raise ValueError(f"{name}: expected {size} contiguous elements of the right type")
    return data


cdef clstm_sequence sequence(object array, str name, Kind kind, clstm_batch batch, Py_ssize_t features,
                             bint write=False) except *:
    """[N,T,F] with any strides but that of the last axis; None has no data."""
    cdef clstm_sequence found
    found.data, found.stride_n, found.stride_t = NULL, 0, 0
    if array is None:
        return found
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES | PyBUF_FORMAT)
    cdef bint fits = (
        is_of(&view, kind) and view.ndim == 3 and not (write and view.readonly)
        and view.shape[0] == batch.N and view.shape[1] == batch.T and view.shape[2] == features
        and (view.strides[2] == view.itemsize or features == 1)
        and view.strides[0] % view.itemsize == 0 and view.strides[1] % view.itemsize == 0
    )
    if fits:
        found.data = view.buf
        # A stride that is never taken may be anything, and products over a BLAS look at it
        found.stride_t = view.strides[1] // view.itemsize if batch.T > 1 else features
        found.stride_n = view.strides[0] // view.itemsize if batch.N > 1 else batch.T * found.stride_t
    PyBuffer_Release(&view)
    if not fits:
        raise ValueError(f"{name}: expected ({batch.N}, {batch.T}, {features}) of the right type, last axis contiguous")
    return found


cdef clstm_batch batch_of(Py_ssize_t N, Py_ssize_t T, object lengths) except *:
    """The batch; it points into `lengths`, which the caller keeps."""
    cdef clstm_batch batch
    batch.N, batch.T = N, T
    batch.lengths = <const ptrdiff_t *>block(lengths, "lengths", INTP, N)
    return batch


cdef Kind kind_of(object array) except *:
    """float32 or float64, by what the array holds."""
    cdef str letter = array.dtype.char
    if letter == "f":
        return F32
    if letter == "d":
        return F64
    raise TypeError(f"expected an array of float32 or float64, got {array.dtype}")


cdef inline clstm_dtype dtype_of(Kind kind) noexcept nogil:
    return CLSTM_F32 if kind == F32 else CLSTM_F64


cdef object memory(size_t size):
    """Uninitialised bytes owned by NumPy, with room for `aligned`."""
    return empty(size + 64, uint8)


cdef void *aligned(object memory) except NULL:
    """The first address in `memory` that starts a cache line; no need of the core, only its speed."""
    cdef Py_buffer view
    PyObject_GetBuffer(memory, &view, PyBUF_STRIDES)
    cdef void *data = view.buf
    PyBuffer_Release(&view)
    return <void *>((<size_t>data + 63) & ~<size_t>63)


# Settings

cdef clstm_runtime settings
cdef cython.pymutex settings_lock
settings.isa = clstm_isa_best()
settings.backend = CLSTM_AUTO
settings.threads = clstm_cpu_count()
settings.blas.sgemm = settings.blas.dgemm = NULL

BACKENDS = ("auto", "native", "blas")
ACTIVATIONS = ("exp", "sigmoid", "tanh")


cdef clstm_runtime current() noexcept:
    """A copy of the settings, for one call."""
    cdef clstm_runtime copy
    with settings_lock:
        copy = settings
    return copy


cdef str isa_name(int isa):
    return clstm_isa_name(<clstm_isa>isa).decode()


cdef clstm_isa isa_of(str name) except *:
    cdef int isa
    for isa in range(<int>CLSTM_ISA_COUNT):
        if isa_name(isa) == name and clstm_isa_available(<clstm_isa>isa):
            return <clstm_isa>isa
    raise ValueError(f"expected an instruction set of {', '.join(available_isas())}, got {name!r}")


def available_isas():
    """The names of the instruction sets that this build has and this machine runs, the least first."""
    return [isa_name(isa) for isa in range(CLSTM_ISA_COUNT) if clstm_isa_available(<clstm_isa>isa)]


def get_isa():
    """The name of the instruction set in use."""
    return isa_name(current().isa)


def set_isa(str name):
    """Uses another instruction set from the next call on."""
    cdef clstm_isa isa = isa_of(name)
    with settings_lock:
        settings.isa = isa


def get_backend():
    """The backend in use: "auto", "native" or "blas"."""
    return BACKENDS[<int>current().backend]


def set_backend(str name):
    """Uses another backend from the next call on; "blas" needs `load_blas` before."""
    cdef int backend = BACKENDS.index(name)
    if backend == CLSTM_BLAS and not blas_loaded():
        raise ValueError("load_blas comes before the backend blas")
    with settings_lock:
        settings.backend = <clstm_backend>backend


def get_threads():
    """How many threads a call may use."""
    return current().threads


def set_threads(int threads):
    """Uses at most so many threads from the next call on."""
    if threads < 1:
        raise ValueError("at least one thread is needed")
    with settings_lock:
        settings.threads = threads


def cpu_count():
    """The number of processors that this process may run on."""
    return clstm_cpu_count()


def threads_running():
    """Worker threads of the pool that exist now."""
    return clstm_threads_running()


def threads_stop():
    """Ends the pool; the next call that needs one starts it again. Not at the same time as other calls."""
    with nogil:
        clstm_threads_stop()


def blas_loaded():
    """Whether the products of a BLAS are there."""
    return current().blas.dgemm != NULL


def load_blas(dict functions):
    """Takes sgemm and dgemm from the capsules that a Cython module exports, as scipy.linalg.cython_blas does.

    The widths of integers that their signatures name do not matter: see `clstm_gemm` in clstm.h.
    """
    cdef clstm_gemm sgemm = gemm_of(functions, "sgemm")
    cdef clstm_gemm dgemm = gemm_of(functions, "dgemm")
    with settings_lock:
        settings.blas.sgemm = sgemm
        settings.blas.dgemm = dgemm


cdef clstm_gemm gemm_of(dict functions, str name) except NULL:
    capsule = functions.get(name)
    if capsule is None:
        raise ImportError(f"the BLAS has no {name}")
    cdef const char *signature = PyCapsule_GetName(capsule)
    text = signature.decode() if signature != NULL else ""
    if not text.startswith("void (char *, char *, ") or text.count(",") != 12:
        raise ImportError(f"the BLAS has a {name} of an unknown signature: {text}")
    return <clstm_gemm>PyCapsule_GetPointer(capsule, signature)


# LSTM

@cython.final
@cython.auto_pickle(False)
cdef class LSTMTape:
    """What `LSTMStack.forward` saves. Backward uses it up; that it does so once is for its caller to see to."""

    cdef clstm_runtime runtime
    cdef clstm_batch batch
    cdef object stack, lengths, memory


@cython.final
cdef class LSTMStack:
    """The sizes of a stack of LSTM layers, which say where each parameter stands in one flat buffer.

    The order is w_ih, w_hh, b (if there is one) of each layer and direction, index l D + d.
    """

    cdef clstm_lstm lstm
    cdef Kind kind
    cdef bint bias
    cdef readonly Py_ssize_t parameters

    def __cinit__(self, str dtype, Py_ssize_t input_size, Py_ssize_t hidden_size, Py_ssize_t num_layers,
                  Py_ssize_t directions, bint bias):
        self.kind = F32 if dtype == "float32" else F64
        self.bias = bias
        self.lstm.dtype = dtype_of(self.kind)
        self.lstm.input_size = input_size
        self.lstm.hidden_size = hidden_size
        self.lstm.num_layers = num_layers
        self.lstm.directions = directions
        # As Python integers, which do not overflow
        upper = (num_layers - 1) * (<object>directions * hidden_size)
        rows = 4 * <object>hidden_size * directions
        self.parameters = rows * (input_size + upper + num_layers * (<object>hidden_size + bias))

    def __reduce__(self):
        dtype = "float32" if self.kind == F32 else "float64"
        return LSTMStack, (dtype, self.lstm.input_size, self.lstm.hidden_size, self.lstm.num_layers,
                           self.lstm.directions, self.bias)

    cdef Py_ssize_t width(self, Py_ssize_t k) noexcept nogil:
        """The input size of the layer and direction with index k."""
        return self.lstm.input_size if k < self.lstm.directions else self.lstm.directions * self.lstm.hidden_size

    cdef clstm_weights *weights(self, object flat) except NULL:
        """The parameters of each layer and direction, to be given back to PyMem_Free."""
        cdef char *next = <char *>block(flat, "parameters", self.kind, self.parameters)
        cdef Py_ssize_t count = self.lstm.num_layers * self.lstm.directions
        cdef Py_ssize_t row = 4 * self.lstm.hidden_size * itemsize_of(self.kind)
        cdef clstm_weights *weights = <clstm_weights *>PyMem_Malloc(count * sizeof(clstm_weights))
        if weights == NULL:
            raise MemoryError
        cdef Py_ssize_t k
        for k in range(count):
            weights[k].w_ih = next
            next += row * self.width(k)
            weights[k].w_hh = next
            next += row * self.lstm.hidden_size
            weights[k].b = next if self.bias else NULL
            next += row if self.bias else 0
        return weights

    cdef clstm_gradients *gradients(self, list arrays) except NULL:
        """The same for gradients, each in an array of its own."""
        cdef Py_ssize_t count = self.lstm.num_layers * self.lstm.directions
        cdef Py_ssize_t row = 4 * self.lstm.hidden_size, each = 2 + self.bias
        if len(arrays) != count * each:
            raise ValueError("grads: expected one array for each parameter")
        cdef clstm_gradients *grads = <clstm_gradients *>PyMem_Malloc(count * sizeof(clstm_gradients))
        if grads == NULL:
            raise MemoryError
        cdef Py_ssize_t k
        try:
            for k in range(count):
                grads[k].w_ih = block(arrays[k * each], "grads", self.kind, row * self.width(k), True)
                grads[k].w_hh = block(arrays[k * each + 1], "grads", self.kind, row * self.lstm.hidden_size, True)
                grads[k].b = block(arrays[k * each + 2], "grads", self.kind, row, True) if self.bias else NULL
        except BaseException:
            PyMem_Free(grads)
            raise
        return grads

    cdef clstm_state state(self, object h, object c, Py_ssize_t N, bint write) except *:
        cdef Py_ssize_t size = self.lstm.num_layers * self.lstm.directions * N * self.lstm.hidden_size
        cdef clstm_state state
        state.h = block(h, "h", self.kind, size, write)
        state.c = block(c, "c", self.kind, size, write)
        return state

    cdef clstm_lstm_bytes sizes(self, clstm_runtime runtime, clstm_batch batch) except *:
        cdef clstm_lstm_bytes sizes
        cdef clstm_status status
        with nogil:
            status = clstm_lstm_sizes(&runtime, &self.lstm, &batch, &sizes)
        check(status)
        return sizes

    def forward(self, flat, x, lengths, h0, c0, y, h, c, bint keep=True):
        """Writes y, h and c; returns a tape, or None if it is not to be kept."""
        cdef clstm_runtime runtime = current()
        cdef clstm_batch batch = batch_of(x.shape[0], x.shape[1], lengths)
        cdef clstm_sequence x_ = sequence(x, "x", self.kind, batch, self.lstm.input_size)
        cdef clstm_sequence y_ = sequence(
            y, "y", self.kind, batch, self.lstm.directions * self.lstm.hidden_size, True)
        cdef clstm_state initial = self.state(h0, c0, batch.N, False), final = self.state(h, c, batch.N, True)
        cdef clstm_lstm_bytes sizes = self.sizes(runtime, batch)
        scratch = memory(sizes.forward if keep else sizes.infer)
        cdef void *scratch_ = aligned(scratch)
        cdef void *tape_ = NULL
        cdef LSTMTape tape = None
        if keep:
            tape = LSTMTape.__new__(LSTMTape)
            tape.runtime, tape.batch = runtime, batch
            tape.stack, tape.lengths, tape.memory = self, lengths, memory(sizes.tape)
            tape_ = aligned(tape.memory)
        cdef clstm_weights *weights = self.weights(flat)
        cdef clstm_status status
        with nogil:
            if keep:
                status = clstm_lstm_forward(
                    &runtime, &self.lstm, &batch, weights, x_, initial, y_, final, tape_, scratch_)
            else:
                status = clstm_lstm_infer(&runtime, &self.lstm, &batch, weights, x_, initial, y_, final, scratch_)
        PyMem_Free(weights)
        check(status)
        return tape

    def backward(self, flat, LSTMTape tape not None, x, dy, dh, dc, dx, dh0, dc0, list grads not None):
        """Writes dx, dh0 and dc0, adds to grads, and uses the tape up."""
        if tape.stack is not self:
            raise ValueError("tape: it is of another stack")
        cdef clstm_sequence x_ = sequence(x, "x", self.kind, tape.batch, self.lstm.input_size)
        cdef clstm_sequence dx_ = sequence(dx, "dx", self.kind, tape.batch, self.lstm.input_size, True)
        cdef clstm_sequence dy_ = sequence(
            dy, "dy", self.kind, tape.batch, self.lstm.directions * self.lstm.hidden_size)
        cdef clstm_state final = self.state(dh, dc, tape.batch.N, False)
        cdef clstm_state initial = self.state(dh0, dc0, tape.batch.N, True)
        scratch = memory(self.sizes(tape.runtime, tape.batch).backward)
        cdef void *scratch_ = aligned(scratch)
        cdef void *tape_ = aligned(tape.memory)
        cdef clstm_weights *weights = self.weights(flat)
        cdef clstm_gradients *gradients = NULL
        cdef clstm_status status
        try:
            gradients = self.gradients(grads)
            with nogil:
                status = clstm_lstm_backward(&tape.runtime, &self.lstm, &tape.batch, weights, x_, dy_, final, dx_,
                                             initial, gradients, tape_, scratch_)
        finally:
            PyMem_Free(weights)
            PyMem_Free(gradients)
        check(status)

    def read_tape(self, LSTMTape tape not None, Py_ssize_t index, i, f, g, o, c, h):
        """Writes the gates and states, (N, T, H) each, of one layer and direction."""
        if tape.stack is not self:
            raise ValueError("tape: it is of another stack")
        cdef Py_ssize_t size = tape.batch.N * tape.batch.T * self.lstm.hidden_size
        cdef clstm_trace trace
        trace.i, trace.f = block(i, "i", self.kind, size, True), block(f, "f", self.kind, size, True)
        trace.g, trace.o = block(g, "g", self.kind, size, True), block(o, "o", self.kind, size, True)
        trace.c, trace.h = block(c, "c", self.kind, size, True), block(h, "h", self.kind, size, True)
        cdef void *tape_ = aligned(tape.memory)
        cdef clstm_status status
        with nogil:
            status = clstm_lstm_read_tape(&self.lstm, &tape.batch, tape_, index, &trace)
        check(status)


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


def pool_forward(str mode, Py_ssize_t split, x, lengths, y):
    """y (N, F) = one vector for each sequence of x (N, T, F)"""
    cdef Kind kind = kind_of(x)
    cdef clstm_pool mode_ = <clstm_pool><int>POOLS.index(mode)
    cdef clstm_batch batch = batch_of(x.shape[0], x.shape[1], lengths)
    cdef Py_ssize_t features = x.shape[2]
    cdef clstm_sequence x_ = sequence(x, "x", kind, batch, features)
    cdef void *y_ = block(y, "y", kind, batch.N * features, True)
    cdef clstm_status status
    with nogil:
        status = clstm_pool_forward(dtype_of(kind), mode_, &batch, features, split, x_, y_)
    check(status)


def pool_backward(str mode, Py_ssize_t split, x, lengths, dy, dx):
    """Writes dx (N, T, F)."""
    cdef Kind kind = kind_of(x)
    cdef clstm_pool mode_ = <clstm_pool><int>POOLS.index(mode)
    cdef clstm_batch batch = batch_of(x.shape[0], x.shape[1], lengths)
    cdef Py_ssize_t features = x.shape[2]
    cdef clstm_sequence x_ = sequence(x, "x", kind, batch, features)
    cdef clstm_sequence dx_ = sequence(dx, "dx", kind, batch, features, True)
    cdef const void *dy_ = block(dy, "dy", kind, batch.N * features)
    cdef clstm_status status
    with nogil:
        status = clstm_pool_backward(dtype_of(kind), mode_, &batch, features, split, x_, dy_, dx_)
    check(status)


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


# Activations

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
