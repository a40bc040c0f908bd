"""What the tests of recurrent layers share: problems, settings, and what counts as equal."""

from dataclasses import dataclass

import numpy as np
import reference_cells as twin

import clstm
from clstm import _core, noise

TOLERANCE = {"float64": 1e-10, "float32": 1e-4}
LAYERS = {"lstm": clstm.LSTM, "gru": clstm.GRU, "rnn": clstm.RNN}
NOISE = (*noise.OPTIONS, "zoneout_c")


@dataclass(frozen=True)
class Case:
    """Kind, sizes, options (name and value, in pairs) and seed of one problem; its str is the test id."""

    kind: str = "lstm"
    options: tuple = ()
    N: int = 3
    T: int = 5
    I: int = 6
    H: int = 9
    L: int = 1
    bidirectional: bool = False
    with_state: bool = True
    lengths: tuple = None
    bias: bool = True
    seed: int = 1
    init = "keras"

    def __str__(self):
        options = "-".join(f"{name}={value}" for name, value in self.options) or "plain"
        sizes = f"N{self.N}-T{self.T}-I{self.I}-H{self.H}-L{self.L}-D{1 + self.bidirectional}"
        state = "state" if self.with_state else "nostate"
        lengths = "lengths" + "_".join(map(str, self.lengths)) if self.lengths else "full"
        bias = "bias" if self.bias else "nobias"
        return f"{self.kind}-{options}-{sizes}-{state}-{lengths}-{bias}-seed{self.seed}"

    def layer(self, dtype, rng):
        """The layer, all its parameters random."""
        sizes = {"num_layers": self.L, "bidirectional": self.bidirectional, "bias": self.bias}
        options = sizes | dict(self.options) | {"init": self.init, "dtype": dtype, "rng": rng}
        layer = LAYERS[self.kind](self.I, self.H, **options)
        for name, values in layer.parameters().items():
            if "weight" not in name:
                values += rng.normal(size=values.shape)
        return layer

    def twin(self, **more):
        """The same configuration for the twin, which takes noise as arrays, and states as they are."""
        left_out = (*NOISE, "learned_state", *([] if ("output", "c") in self.options else ["output"]))
        options = {"candidate_activation" if k == "activation" else k: v for k, v in self.options if k not in left_out}
        return twin.Options(self.kind, self.H, self.L, self.bidirectional, self.bias, **options, **more)

    def sizes(self):
        """Those that `reference.py`, which only knows the plain LSTM, takes."""
        return {"hidden_size": self.H, "num_layers": self.L, "bidirectional": self.bidirectional}

    def build(self, dtype):
        """The layer, and x, state, dy, dstate; x and dy with NaN in the padding; states are tuples."""
        rng = np.random.default_rng(self.seed)
        layer = self.layer(dtype, rng)
        sizes = self.twin()
        x = self.pad(normal(rng, dtype, self.N, self.T, self.I))
        dy = self.pad(normal(rng, dtype, self.N, self.T, sizes.y_size))
        shapes = [(self.L * len(sizes.suffixes), self.N, size) for size in sizes.state_sizes]
        state, dstate = (tuple(normal(rng, dtype, *shape) for shape in shapes) for _ in range(2))
        return layer, x, state if self.with_state else None, dy, dstate

    def pad(self, array, value=np.nan):
        return array if self.lengths is None else pad(array, self.lengths, value)


def tolerance_of(case, dtype):
    """What is normalised does not depend on its scale, so that gradients are differences of nearly equal numbers (of an
    input of one feature, nearly zero): float32 loses digits, and only float64 proves."""
    lost = 1000 if dtype == "float32" and "layer_norm" in dict(case.options) else 1
    return TOLERANCE[dtype] * lost


def given(state):
    """A tuple as the layer takes it: h alone is no tuple."""
    return state[0] if state is not None and len(state) == 1 else state


def members(state):
    """What a layer returns as a tuple."""
    return state if isinstance(state, tuple) else (state,)


def read_only(array):
    array.flags.writeable = False
    return array


def normal(rng, dtype, *shape):
    return read_only(rng.standard_normal(shape).astype(dtype))


def pad(array, lengths, value=np.nan):
    """A copy of array (N, T, F) with `value` in the padding."""
    padding = np.arange(array.shape[1]) >= np.reshape(lengths, (-1, 1))
    return read_only(np.where(padding[:, :, None], array.dtype.type(value), array))


def close(actual, expected, tolerance):
    """Equal to `tolerance` of the largest value; the same shape; no NaN. What is exactly zero has to be zero."""
    assert actual.shape == expected.shape
    assert np.isfinite(actual).all()
    error = np.abs(actual - expected).max()
    assert error <= tolerance * np.abs(expected).max(), f"error {error}"


def same_bits(actual, expected):
    np.testing.assert_array_equal(actual, expected, strict=True)
    np.testing.assert_array_equal(np.signbit(actual), np.signbit(expected))


def same_results(actual, expected):
    """The same bits in tuples, dicts and arrays."""
    assert type(actual) is type(expected)
    if isinstance(actual, dict):
        assert list(actual) == list(expected)
        same_results(tuple(actual.values()), tuple(expected.values()))
    elif isinstance(actual, tuple):
        for a, b in zip(actual, expected, strict=True):
            same_results(a, b)
    elif actual is not None:
        same_bits(actual, expected)


def doubles(values):
    """The same values in float64."""
    if isinstance(values, dict):
        return {name: doubles(array) for name, array in values.items()}
    if isinstance(values, (tuple, list)):
        return tuple(doubles(array) for array in values)
    return None if values is None else values.astype(np.float64)


class settings:
    """Uses an instruction set, a backend and a number of threads, and then what was used before."""

    def __init__(self, isa=None, backend=None, threads=None):
        self.wanted = isa, backend, threads

    def __enter__(self):
        self.before = _core.get_isa(), _core.get_backend(), _core.get_threads()
        self.use(*self.wanted)

    def __exit__(self, *error):
        self.use(*self.before)

    def use(self, isa, backend, threads):
        if isa:
            _core.set_isa(isa)
        if backend:
            clstm.set_backend(backend)
        if threads:
            clstm.set_num_threads(threads)


def native():
    return settings(backend="native")
