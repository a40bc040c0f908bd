from collections.abc import Callable
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

_Real = NDArray[Any]  # float32 or float64, all arrays of a call alike
_Lengths = NDArray[np.intp]
_Noise = tuple[int, NDArray[np.int64] | None, int, int, int]
_Pieces = tuple[int, int, NDArray[np.intp], NDArray[np.intp], NDArray[np.intp] | None, NDArray[np.intp] | None]

BACKENDS: tuple[str, ...]
ACTIVATIONS: tuple[str, ...]
CELLS: tuple[str, ...]
MERGES: tuple[str, ...]
NOISES: tuple[str, ...]
POOLS: tuple[str, ...]
LOSSES: tuple[str, ...]
SCORES: tuple[str, ...]
CRF_REDUCTIONS: tuple[str, ...]

def available_isas() -> list[str]: ...
def get_isa() -> str: ...
def set_isa(name: str) -> None: ...
def get_backend() -> Literal["auto", "native", "blas"]: ...
def set_backend(name: str) -> None: ...
def get_threads() -> int: ...
def set_threads(threads: int) -> None: ...
def address(array: NDArray[Any]) -> int: ...
def cpu_count() -> int: ...
def threads_running() -> int: ...
def threads_stop() -> None: ...
def blas_loaded() -> bool: ...
def load_blas(functions: dict[str, Any]) -> None: ...

@final
class Scratch:
    def __new__(cls, size: int) -> Scratch: ...

@final
class StackTape: ...

@final
class Stack:
    @property
    def parameters(self) -> int: ...
    @property
    def description(self) -> dict[str, Any]: ...
    def __new__(cls, description: dict[str, Any]) -> Stack: ...
    def forward(
        self,
        flat: _Real,
        x: _Real,
        lengths: _Lengths | None,
        h0: _Real | None,
        c0: _Real | None,
        y: _Real | None,
        h: _Real | None,
        c: _Real | None,
        keep: bool = True,
        symbols: NDArray[np.int64] | None = None,
        noise: _Noise | None = None,
        pieces: _Pieces | None = None,
    ) -> StackTape | None: ...
    def tape_size(self, N: int, T: int, lengths: _Lengths | None = None, noise: _Noise | None = None) -> int: ...
    def release(self, tape: StackTape) -> None: ...
    def let_go(self) -> None: ...
    def noise(self, kind: str, index: int, seed: int, row: int, step: int, to: _Real) -> None: ...
    def backward(
        self,
        flat: _Real,
        tape: StackTape,
        x: _Real,
        dy: _Real | None,
        dh: _Real | None,
        dc: _Real | None,
        dx: _Real | None,
        dh0: _Real | None,
        dc0: _Real | None,
        grads: list[_Real],
        bptt: int = 0,
        flow_h: _Real | None = None,
        flow_c: _Real | None = None,
    ) -> None: ...
    def step(self, flat: _Real, x: Any, state: Any, out: Any) -> Any: ...
    def read_tape(
        self,
        tape: StackTape,
        index: int,
        gates: list[_Real | None],
        c: _Real | None,
        h: _Real | None,
    ) -> None: ...

@final
class StackStream:
    def __new__(cls, stack: Stack, flat: _Real, N: int, y: _Real) -> StackStream: ...
    def step(
        self,
        x: Any,
        out: Any = None,
        reset: NDArray[np.bool_] | None = None,
        h: _Real | None = None,
        c: _Real | None = None,
    ) -> _Real | None: ...
    def reload(self, flat: _Real) -> None: ...
    def reset(self, h: _Real | None, c: _Real | None) -> None: ...
    def state(self, h: _Real | None, c: _Real | None) -> None: ...

def dense_forward(w: _Real, b: _Real | None, x: _Real, y: _Real) -> None: ...
def dense_backward(w: _Real, x: _Real, dy: _Real, dx: _Real | None, dw: _Real, db: _Real | None) -> None: ...
def embedding_forward(w: _Real, index: NDArray[np.int64], y: _Real) -> None: ...
def embedding_backward(index: NDArray[np.int64], dy: _Real, dw: _Real) -> None: ...
def pool_forward(
    mode: str, split: int, x: _Real, lengths: _Lengths | None, y: _Real, pieces: _Pieces | None = None
) -> None: ...
def pool_backward(
    mode: str, split: int, x: _Real, lengths: _Lengths | None, dy: _Real, dx: _Real, pieces: _Pieces | None = None
) -> None: ...
def attention_forward(scores: _Real, x: _Real, lengths: _Lengths | None, weights: _Real, y: _Real) -> None: ...
def attention_backward(
    weights: _Real, x: _Real, lengths: _Lengths | None, dy: _Real, dscores: _Real, dx: _Real | None
) -> None: ...
def loss(
    kind: int,
    prediction: _Real,
    target: NDArray[Any],
    lengths: _Lengths | None,
    weight: _Real | None,
    summed: bool,
    gradient: bool,
    vector: NDArray[np.float64] | None = None,
    number: float = 0,
    full: bool = False,
    ignored: int | None = None,
) -> tuple[float, _Real | None, float]: ...
def attend_forward(
    score: str,
    scale: float,
    query: _Real,
    keys: _Real,
    values: _Real,
    vector: _Real | None,
    query_lengths: _Lengths | None,
    lengths: _Lengths | None,
    weights: _Real,
    context: _Real,
) -> None: ...
def attend_backward(
    score: str,
    scale: float,
    query: _Real,
    keys: _Real,
    values: _Real,
    vector: _Real | None,
    query_lengths: _Lengths | None,
    lengths: _Lengths | None,
    weights: _Real,
    dcontext: _Real,
    dweights: _Real | None,
    dquery: _Real | None,
    dkeys: _Real | None,
    dvalues: _Real | None,
    dvector: _Real | None,
) -> None: ...
def ctc(
    logits: _Real,
    lengths: _Lengths | None,
    target: NDArray[np.int64],
    target_lengths: _Lengths,
    weight: _Real | None,
    blank: int,
    total: bool,
    zero_infinity: bool,
    gradient: bool = True,
) -> tuple[float, _Real | None]: ...
def ctc_beam(
    logits: _Real,
    lengths: _Lengths | None,
    blank: int,
    width: int,
    prune: float,
    labels: NDArray[np.int64],
    label_lengths: _Lengths,
    score: NDArray[np.float64],
    function: Callable[[tuple[int, ...]], NDArray[np.float64]] | None = None,
) -> None: ...
def crf_loss(
    parameters: tuple[_Real, _Real, _Real],
    emissions: _Real,
    paths: NDArray[np.int64],
    lengths: _Lengths | None = None,
    weights: _Real | None = None,
    reduction: str = "mean",
    gradient: bool = True,
    grads: tuple[_Real, _Real, _Real] | None = None,
    rows: NDArray[np.float64] | None = None,
) -> tuple[float, _Real | None, float]: ...
def crf_best(
    parameters: tuple[_Real, _Real, _Real],
    emissions: _Real,
    lengths: _Lengths | None,
    paths: NDArray[np.int64],
    scores: NDArray[np.float64] | None,
) -> None: ...
def crf_marginals(
    parameters: tuple[_Real, _Real, _Real],
    emissions: _Real,
    lengths: _Lengths | None,
    marginals: _Real | None,
    log_z: NDArray[np.float64] | None,
) -> None: ...
def global_norm(flat: _Real) -> float: ...
def scale(flat: _Real, factor: float) -> None: ...
def clip(flat: _Real, limit: float) -> None: ...
def clip_norms(flat: _Real, stops: NDArray[np.intp], limit: float) -> None: ...
def sgd_update(
    weights: _Real,
    gradient: _Real,
    velocity: _Real | None = None,
    *,
    learning_rate: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    step: int = 1,
) -> None: ...
def adam_update(
    weights: _Real,
    gradient: _Real,
    mean: _Real,
    square: _Real,
    largest: _Real | None = None,
    *,
    learning_rate: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    step: int = 1,
) -> None: ...
def rmsprop_update(
    weights: _Real,
    gradient: _Real,
    square: _Real,
    mean: _Real | None = None,
    velocity: _Real | None = None,
    *,
    learning_rate: float,
    alpha: float = 0.99,
    epsilon: float = 1e-8,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
) -> None: ...
def adagrad_update(
    weights: _Real,
    gradient: _Real,
    total: _Real,
    *,
    learning_rate: float,
    learning_rate_decay: float = 0.0,
    epsilon: float = 1e-10,
    weight_decay: float = 0.0,
    step: int = 1,
) -> None: ...
def asgd_update(
    weights: _Real,
    gradient: _Real,
    average: _Real | None = None,
    *,
    learning_rate: float,
    lambd: float = 0.0,
    alpha: float = 0.75,
    t0: float = 0.0,
    weight_decay: float = 0.0,
    step: int = 1,
) -> None: ...
def layer_norm_forward(
    epsilon: float, x: _Real, gain: _Real | None, bias: _Real | None, moments: NDArray[np.float64], y: _Real
) -> None: ...
def layer_norm_backward(
    x: _Real,
    gain: _Real | None,
    moments: NDArray[np.float64],
    dy: _Real,
    dx: _Real | None,
    dgain: _Real | None,
    dbias: _Real | None,
) -> None: ...
def dropout(
    rate: float,
    once: bool,
    noise: _Noise | None,
    x: _Real,
    y: _Real,
    lengths: _Lengths | None = None,
    pieces: _Pieces | None = None,
) -> None: ...
def activate_backward(name: str, y: _Real, dy: _Real, dz: _Real) -> None: ...
def activate(name: str, array: _Real, isa: str | None = None) -> _Real: ...
