from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

_Real = NDArray[Any]  # float32 or float64, all arrays of a call alike
_Lengths = NDArray[np.intp]

BACKENDS: tuple[str, ...]
ACTIVATIONS: tuple[str, ...]
POOLS: tuple[str, ...]

def available_isas() -> list[str]: ...
def get_isa() -> str: ...
def set_isa(name: str) -> None: ...
def get_backend() -> Literal["auto", "native", "blas"]: ...
def set_backend(name: str) -> None: ...
def get_threads() -> int: ...
def set_threads(threads: int) -> None: ...
def cpu_count() -> int: ...
def threads_running() -> int: ...
def threads_stop() -> None: ...
def blas_loaded() -> bool: ...
def load_blas(functions: dict[str, Any]) -> None: ...

@final
class LSTMTape: ...

@final
class LSTMStack:
    @property
    def parameters(self) -> int: ...
    def __new__(
        cls, dtype: str, input_size: int, hidden_size: int, num_layers: int, directions: int, bias: bool
    ) -> LSTMStack: ...
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
    ) -> LSTMTape | None: ...
    def backward(
        self,
        flat: _Real,
        tape: LSTMTape,
        x: _Real,
        dy: _Real | None,
        dh: _Real | None,
        dc: _Real | None,
        dx: _Real | None,
        dh0: _Real | None,
        dc0: _Real | None,
        grads: list[_Real],
    ) -> None: ...
    def read_tape(
        self,
        tape: LSTMTape,
        index: int,
        i: _Real | None,
        f: _Real | None,
        g: _Real | None,
        o: _Real | None,
        c: _Real | None,
        h: _Real | None,
    ) -> None: ...

def dense_forward(w: _Real, b: _Real | None, x: _Real, y: _Real) -> None: ...
def dense_backward(w: _Real, x: _Real, dy: _Real, dx: _Real | None, dw: _Real, db: _Real | None) -> None: ...
def embedding_forward(w: _Real, index: NDArray[np.int64], y: _Real) -> None: ...
def embedding_backward(index: NDArray[np.int64], dy: _Real, dw: _Real) -> None: ...
def pool_forward(mode: str, split: int, x: _Real, lengths: _Lengths | None, y: _Real) -> None: ...
def pool_backward(mode: str, split: int, x: _Real, lengths: _Lengths | None, dy: _Real, dx: _Real) -> None: ...
def mse(
    prediction: _Real, target: _Real, lengths: _Lengths | None = None, gradient: bool = True
) -> tuple[float, _Real | None]: ...
def cross_entropy(
    logits: _Real, target: NDArray[np.int64], lengths: _Lengths | None = None, gradient: bool = True
) -> tuple[float, _Real | None]: ...
def global_norm(flat: _Real) -> float: ...
def scale(flat: _Real, factor: float) -> None: ...
def sgd_update(
    weights: _Real,
    gradient: _Real,
    velocity: _Real | None = None,
    *,
    learning_rate: float,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    step: int = 1,
) -> None: ...
def adam_update(
    weights: _Real,
    gradient: _Real,
    mean: _Real,
    square: _Real,
    *,
    learning_rate: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    step: int = 1,
) -> None: ...
def activate(name: str, array: _Real, isa: str | None = None) -> _Real: ...
