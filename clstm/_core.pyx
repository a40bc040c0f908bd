# cython: language_level=3, binding=False, embedsignature=True, embedsignature.format=clinic
# cython: boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The C core for Python: arrays asserted, the GIL released around each call, a status raised as an exception.

Policy lives above, in .py files: what is converted, what is allowed, how an error reads. Here an array that does not
fit is a mistake of clstm itself, and the short error is only there so that no such mistake writes out of bounds.

(a) Arrays come through the buffer protocol. `block` takes the address of a contiguous one, `sequence` of [N,T,F] with
    strides. The caller of a function holds a reference to each array, so addresses stay good while the GIL is released.
(b) The settings (instruction set, backend, threads) are one struct behind one lock, copied at the start of a call.
    A tape keeps the copy of the forward call: backward has to run with the settings of its tape. A stream keeps the
    copy of the moment it was made.
(c) Nothing else is kept between calls, so that any number of threads may use the same objects; but for two buffers in
    each stack, which a call takes out and puts back, and others do without meanwhile: working memory, and the memory of
    the tape that backward used up last. To get fresh pages for them in each step of training takes 4 to 7 % of the
    time. A call that needs far less lets go of them, and inference of the tape.
(d) The GIL is released around each call of the core, but not around a single step that takes less than some ten
    microseconds: a Python thread that waits for it would get it then, and may keep it for five milliseconds, which is
    ten thousand times as long as the step of a small layer.
(e) A single step has a way in that is as short as can be: if its arguments are NumPy arrays that fit as they are, it
    runs; if anything is unusual it returns None, and the caller checks, converts and comes again.

The binding is one module of several files: this one has what all share, and includes the others.
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_STRIDES, PyBuffer_IsContiguous, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer
from libc.string cimport memcpy

from numpy import dtype, empty, empty_like, ndarray, uint8


# Statuses

cdef int check(clstm_status status) except -1:
    """Raises what a status of the C core means: the one place where that is decided."""
    if status == CLSTM_OK:
        return 0
    message = clstm_status_message(status).decode()
    if status == CLSTM_TOO_LARGE:
        raise OverflowError(message)
    if status == CLSTM_IN_USE:
        raise RuntimeError(message)
    raise ValueError(message)


# Arrays

cdef enum Kind:
    F32 = CLSTM_F32
    F64 = CLSTM_F64
    INT64
    INTP
    BOOL


cdef Py_ssize_t itemsize_of(Kind kind) noexcept nogil:
    if kind == F32:
        return 4
    if kind == BOOL:
        return 1
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
    if kind == BOOL:
        return letter == b"?"
    return letter in b"ilqn"


cdef object float32 = dtype("float32"), float64 = dtype("float64")


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
    """[N,T,F], or of pieces [rows,times,F], with any strides but that of the last axis; None has no data."""
    cdef clstm_sequence found
    cdef Py_ssize_t N = rows_of(batch), T = times_of(batch)
    found.data, found.stride_n, found.stride_t = NULL, 0, 0
    if array is None:
        return found
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES | PyBUF_FORMAT)
    cdef bint fits = (
        is_of(&view, kind) and view.ndim == 3 and not (write and view.readonly)
        and view.shape[0] == N and view.shape[1] == T and view.shape[2] == features
        and (view.strides[2] == view.itemsize or features == 1)
        and view.strides[0] % view.itemsize == 0 and view.strides[1] % view.itemsize == 0
    )
    if fits:
        found.data = view.buf
        # A stride that is never taken may be anything, and products over a BLAS look at it
        found.stride_t = view.strides[1] // view.itemsize if T > 1 else features
        found.stride_n = view.strides[0] // view.itemsize if N > 1 else T * found.stride_t
    PyBuffer_Release(&view)
    if not fits:
        raise ValueError(f"{name}: expected ({N}, {T}, {features}) of the right type, last axis contiguous")
    return found


cdef struct Rows:
    char *data  # NULL: the array does not fit as it is
    Py_ssize_t count, stride
    int ndim


cdef Rows rows(object array, Kind kind, Py_ssize_t features, bint write=False) noexcept:
    """The rows of a plain ndarray (N, F), or (F,), which is one row; their elements of this kind and contiguous."""
    cdef Rows found
    cdef Py_buffer view
    found.data, found.count, found.stride, found.ndim = NULL, 1, features, 0
    if type(array) is not ndarray:
        return found
    try:
        PyObject_GetBuffer(array, &view, PyBUF_STRIDES | PyBUF_FORMAT)
    except Exception:  # a dtype that buffers do not know
        return found
    cdef int last = view.ndim - 1
    if (
        (view.ndim == 1 or view.ndim == 2) and view.shape[last] == features and view.shape[0] > 0
        and (view.strides[last] == view.itemsize or features == 1) and view.strides[0] % view.itemsize == 0
        and is_of(&view, kind) and not (write and view.readonly)
    ):
        found.data, found.ndim = <char *>view.buf, view.ndim
        if view.ndim == 2:
            found.count = view.shape[0]
            found.stride = view.strides[0] // view.itemsize if found.count > 1 else features
    PyBuffer_Release(&view)
    return found


cdef bint block_fits(object array, Kind kind, Py_ssize_t N, Py_ssize_t features, bint write, void **data) noexcept:
    """Whether an array is (N, F) and contiguous as it is, and its address; NULL for None."""
    data[0] = NULL
    if array is None:
        return not write
    cdef Rows found = rows(array, kind, features, write)
    data[0] = found.data
    return found.data != NULL and found.ndim == 2 and found.count == N and found.stride == features


cdef clstm_batch batch_of(Py_ssize_t N, Py_ssize_t T, object lengths) except *:
    """The batch; it points into `lengths`, which the caller keeps."""
    cdef clstm_batch batch
    batch.N, batch.T = N, T
    batch.lengths = <const ptrdiff_t *>block(lengths, "lengths", INTP, N)
    batch.symbols, batch.num, batch.noise, batch.pieces = NULL, 0, NULL, NULL
    return batch


cdef clstm_pieces pieces_of(tuple pieces, Py_ssize_t N) except *:
    """Those of a batch of N: rows, times, row, start, time, noise_time, by the names of clstm_pieces."""
    cdef clstm_pieces found
    rows, times, row, start, time, noise_time = pieces
    found.rows, found.times = rows, times
    found.row = <const ptrdiff_t *>block(row, "row", INTP, N)
    found.start = <const ptrdiff_t *>block(start, "start", INTP, N)
    found.time = <const ptrdiff_t *>block(time, "time", INTP, 0 if time is None else len(time))
    found.noise_time = <const ptrdiff_t *>block(noise_time, "noise_time", INTP, found.rows * found.times)
    return found


cdef inline Py_ssize_t rows_of(clstm_batch batch) noexcept nogil:
    """The first axis of the arrays of a batch."""
    return batch.N if batch.pieces == NULL else batch.pieces.rows


cdef inline Py_ssize_t times_of(clstm_batch batch) noexcept nogil:
    """The second."""
    return batch.T if batch.pieces == NULL else batch.pieces.times


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


cdef enum:
    LITTLE_MEMORY = 1 << 20  # bytes that are not worth a thought


@cython.final
@cython.auto_pickle(False)
cdef class Scratch:
    """Working memory of a call."""

    cdef object owner
    cdef void *data
    cdef size_t size

    def __cinit__(self, size_t size):
        self.owner, self.size = memory(size), size
        self.data = aligned(self.owner)


def address(array not None):
    """Where the memory of an array starts."""
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES)
    cdef size_t found = <size_t>view.buf
    PyBuffer_Release(&view)
    return found


# Settings

cdef clstm_runtime settings
cdef cython.pymutex settings_lock
settings.isa = clstm_isa_best()
settings.backend = CLSTM_AUTO
settings.threads = clstm_cpu_count()
settings.blas.sgemm = settings.blas.dgemm = NULL

BACKENDS = ("auto", "native", "blas")
# In the order of clstm_activation; the first is the cell's own, the last is for `activate` alone
ACTIVATIONS = (
    "usual", "sigmoid", "tanh", "relu", "hard_sigmoid", "hard_sigmoid_0.2", "identity", "centered_sigmoid_2",
    "centered_sigmoid_1", "exp",
)
CELLS = ("lstm", "gru", "rnn")  # in the order of clstm_cell
MERGES = ("concat", "sum", "mean", "product")  # of clstm_merge
NOISES = ("dropout", "input", "added", "recurrent", "weight", "zone_h", "zone_c")  # of clstm_noise_kind


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


include "_stack.pxi"
include "_stream.pxi"
include "_layers.pxi"
include "_attention.pxi"
include "_losses.pxi"
include "_ctc.pxi"
include "_crf.pxi"
include "_optimizers.pxi"
