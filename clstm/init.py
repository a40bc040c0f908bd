"""Starting weights: schemes by name, control by parameter and by gate, functions of one's own.

A rule is what one parameter, or the rows of one gate, starts as: a number, a name of `RULES`, or a function
``rule(rng, shape)`` that returns an array. A scheme is a dict of rules by parameter ("weight_ih", "weight_hh", "bias",
..) and by parameter and gate ("bias.f", "weight_hh.g"), which go over those of the whole parameter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    _Rule = float | str | Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
    _Init = str | dict[str, Any] | Callable[[str, tuple[int, ...], np.random.Generator], np.ndarray]


def glorot_uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform in +-sqrt(6 / (fan_in + fan_out)), for a matrix (out, in) (Glorot and Bengio 2010, eq. 16)."""
    limit = np.sqrt(6 / sum(shape))
    return rng.uniform(-limit, limit, shape)


def orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """A random matrix (rows, columns) with orthonormal columns, or rows if these are fewer, all directions equally
    likely (Saxe, McClelland and Ganguli 2014; Mezzadri 2007)."""
    rows, columns = shape
    if rows < columns:
        return orthogonal(rng, (columns, rows)).T
    q, r = np.linalg.qr(rng.standard_normal(shape))
    return q * np.sign(np.diagonal(r))


def zeros(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Zero."""
    return np.zeros(shape)


FINITE_LIMIT = "a finite number, 0 or above"


class Uniform:
    """Uniform between -limit and limit.

    Parameters
    ----------
    limit : float
        Finite, at least 0.
    """

    def __init__(self, limit: float) -> None:
        self.limit = _arrays.number("limit", limit, FINITE_LIMIT)
        if not 0 <= self.limit < np.inf:
            raise _arrays.wrong(ValueError, "limit", FINITE_LIMIT, limit)

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return rng.uniform(-self.limit, self.limit, shape)

    def __repr__(self):
        return f"Uniform({self.limit})"


class Chrono:
    """Biases of the gates of an LSTM for dependencies of up to `longest` steps (Tallec and Ollivier 2018, eq. 16).

    The bias of the forget gate is log(u), u uniform in [1, longest - 1], that of the input gate its negative, that of
    the others zero: units forget within times that are spread evenly up to `longest`. It is a rule for "bias" as a
    whole.

    Parameters
    ----------
    longest : float
        Steps, more than 2.

    Examples
    --------
    >>> import clstm
    >>> lstm = clstm.LSTM(3, 4, init={"bias": clstm.init.Chrono(100)}, rng=0)
    >>> i, f, g, o = lstm.parameters()["bias_l0"].reshape(4, 4)
    >>> bool((i == -f).all() and (f >= 0).all())
    True
    """

    def __init__(self, longest: float) -> None:
        self.longest = _arrays.number("longest", longest, "a number of steps above 2")
        if not 2 < self.longest < np.inf:
            raise _arrays.wrong(ValueError, "longest", "a number of steps above 2", longest)

    def by_gate(self, rng: np.random.Generator, shape: tuple[int, ...], gates: tuple[str, ...]) -> np.ndarray:
        """The biases (G*H,) of a cell with these gates."""
        if "i" not in gates:
            raise _arrays.wrong(
                ValueError, "init", "a cell with an input gate for Chrono", f"one with {' '.join(gates)}"
            )
        bias = np.zeros((len(gates), shape[0] // len(gates)))
        bias[gates.index("i")] = -np.log(rng.uniform(1, self.longest - 1, bias.shape[1]))
        if "f" in gates:
            bias[gates.index("f")] = -bias[gates.index("i")]
        return bias.ravel()

    def __repr__(self):
        return f"Chrono({self.longest:g})"


RULES: dict[str, _Rule] = {"glorot_uniform": glorot_uniform, "orthogonal": orthogonal, "zeros": zeros}

# Keras: Glorot and Bengio 2010; Saxe, McClelland and Ganguli 2014; the forget bias of Jozefowicz, Zaremba and Sutskever
# 2015. PyTorch: everything uniform in +-1 / sqrt(H), whose limit is known to the layer only.
GAINS: dict[str, Any] = {"gain_ih": 1.0, "gain_hh": 1.0, "gain_c": 1.0, "bias_c": 0.0}  # Ba, Kiros and Hinton 2016
SCHEMES: dict[str, dict[str, Any]] = {
    "keras": {
        "weight_ih": "glorot_uniform",
        "weight_hh": "orthogonal",
        "weight_hr": "glorot_uniform",
        "bias.f": 1.0,
        **GAINS,
    },
    "pytorch": {"h0": "zeros", "c0": "zeros", **GAINS},
}


def checked(value: Any, parameters: tuple[str, ...], gates: tuple[str, ...]) -> Any:
    """`init` as it was given, if a layer with these parameters and gates can start so."""
    if callable(value):
        return value
    if isinstance(value, str):
        return _arrays.choice("init", value, tuple(SCHEMES))
    if not isinstance(value, dict):
        expected = f"one of {', '.join(map(repr, SCHEMES))}, a dict of rules or a function"
        raise _arrays.wrong(TypeError, "init", expected, f"{value!r} ({_arrays.kind(value)})")
    blocks = tuple(f"{name}.{gate}" for name in parameters if name in WITH_GATES for gate in gates)
    for key, rule in value.items():
        if key == "like":
            _arrays.choice("init['like']", rule, tuple(SCHEMES))
            continue
        _arrays.choice("a key of init", key, ("like", *parameters, *blocks))
        check_rule(f"init[{key!r}]", key, rule)
    return value


def check_rule(what, key, rule):
    """Raises if a parameter, or a gate of one, cannot start by this rule."""
    if isinstance(rule, str):
        _arrays.choice(what, rule, tuple(RULES) if key.startswith(MATRICES) else OF_VECTORS)
    elif hasattr(rule, "by_gate"):
        if key != "bias":
            raise _arrays.wrong(
                ValueError, what, "a rule for one gate or matrix", f"{rule!r}, which is for the whole bias"
            )
    elif not callable(rule):
        number = _arrays.number(what, rule, "a number, a name or a function")
        if not np.isfinite(number):
            raise _arrays.wrong(ValueError, what, "a finite number, a name or a function", rule)


WITH_GATES = ("weight_ih", "weight_hh", "bias")
MATRICES = ("weight_", "peephole")  # how their names begin
OF_VECTORS = ("zeros",)


def base_of(name: str) -> str:
    """ "weight_hh" of "weight_hh_l0_reverse"."""
    return name.split("_l", 1)[0] if "_l" in name else name


def draw(
    init: Any, rng: np.random.Generator, parameters: Mapping[str, np.ndarray], gates: tuple[str, ...], H: int
) -> None:
    """Sets all parameters: a function of one's own is called as ``init(name, shape, rng)``."""
    for name, values in parameters.items():
        if callable(init):
            values[...] = result_of(init(name, values.shape, rng), values.shape, "init", name)
        else:
            draw_one(*rules_of(init, H), rng, name, values, gates)


def rules_of(init, H):
    """The rules by parameter and gate, and that for whatever has none."""
    given = {"like": init} if isinstance(init, str) else init
    like = given.get("like", "keras")
    scheme = {key: rule for key, rule in SCHEMES[like].items() if key.split(".")[0] not in given}
    return {**scheme, **given}, Uniform(1 / np.sqrt(H)) if like == "pytorch" else "zeros"


def draw_one(rules, otherwise, rng, name, values, gates):
    """Sets one parameter, and then its gates that have rules of their own."""
    base = base_of(name)
    rule = rules.get(base, otherwise)
    if hasattr(rule, "by_gate"):
        values[...] = rule.by_gate(rng, values.shape, gates)
    else:
        values[...] = value_of(rule, rng, values.shape, base)
    if base in WITH_GATES:
        for gate, block in zip(gates, values.reshape(len(gates), -1, *values.shape[1:]), strict=True):
            key = f"{base}.{gate}"
            if key in rules:
                block[...] = value_of(rules[key], rng, block.shape, key)


def value_of(rule, rng, shape, key):
    """What a rule gives."""
    if isinstance(rule, str):
        rule = RULES[rule]
    return result_of(rule(rng, shape), shape, f"init[{key!r}]", key) if callable(rule) else rule


def result_of(value, shape, what, name):
    """What a function has returned, if it is an array of this shape of finite numbers."""
    value = np.asarray(value)
    if value.dtype.kind not in _arrays.REAL_KINDS or not (value.shape == shape or value.ndim == 0):
        raise _arrays.wrong(ValueError, what, f"an array of shape {shape} for {name}", f"{value.dtype} {value.shape}")
    if not np.isfinite(value).all():
        raise _arrays.wrong(ValueError, what, f"finite values for {name}", "others")
    return value
