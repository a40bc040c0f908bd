"""What the tests of LSTMs share: problems, settings, and what counts as equal."""

from dataclasses import dataclass

import numpy as np

import clstm
from clstm import _core

TOLERANCE = {"float64": 1e-10, "float32": 1e-4}
MACHINES = [f"{isa}-{backend}" for isa in _core.available_isas() for backend in ("native", "blas")]


@dataclass(frozen=True)
class Case:
    """Sizes, options and seed of one problem; its str is the test id."""

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

    def __str__(self):
        sizes = f"N{self.N}-T{self.T}-I{self.I}-H{self.H}-L{self.L}-D{1 + self.bidirectional}"
        state = "state" if self.with_state else "nostate"
        lengths = "lengths" + "_".join(map(str, self.lengths)) if self.lengths else "full"
        return f"{sizes}-{state}-{lengths}-{'bias' if self.bias else 'nobias'}-seed{self.seed}"

    def options(self):
        return {"hidden_size": self.H, "num_layers": self.L, "bidirectional": self.bidirectional}

    def build(self, dtype):
        """The layer, and x, state, dy, dstate; x and dy with NaN in the padding."""
        rng = np.random.default_rng(self.seed)
        lstm = clstm.LSTM(
            self.I,
            self.H,
            num_layers=self.L,
            bidirectional=self.bidirectional,
            bias=self.bias,
            dtype=dtype,
            rng=rng,
        )
        for name, values in lstm.parameters().items():
            if "bias" in name:  # the starting bias is mostly zero
                values += rng.normal(size=values.shape)
        D = 1 + self.bidirectional
        x = self.pad(normal(rng, dtype, self.N, self.T, self.I))
        dy = self.pad(normal(rng, dtype, self.N, self.T, D * self.H))
        state, dstate = (tuple(normal(rng, dtype, self.L * D, self.N, self.H) for _ in "hc") for _ in range(2))
        return lstm, x, state if self.with_state else None, dy, dstate

    def pad(self, array, value=np.nan):
        return array if self.lengths is None else pad(array, self.lengths, value)


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
        return {name: array.astype(np.float64) for name, array in values.items()}
    if isinstance(values, tuple):
        return tuple(array.astype(np.float64) for array in values)
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
