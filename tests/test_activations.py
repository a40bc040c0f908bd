"""The kernels' exp, sigmoid and tanh, in units in the last place against mpmath, on every instruction set.

An exact value stands as (high + low) 2^exponent with high in [0.5, 1), so that the error of a subnormal result or of a
double can be measured in double precision.
"""

from functools import cache

import mpmath
import numpy as np
import pytest

from clstm import _core

LARGEST_ERROR = 3.5  # ulp, promised by the C header

FUNCTIONS = {
    "exp": (mpmath.exp, np.exp),
    "sigmoid": (lambda x: 1 / (1 + mpmath.exp(-x)), lambda x: np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))),
    "tanh": (mpmath.tanh, np.tanh),
}

every_function = pytest.mark.parametrize("function", FUNCTIONS)
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
every_isa = pytest.mark.parametrize("isa", _core.available_isas())


def exact_by_mpmath(function, x):
    """high, low and exponent of f(x); good to 2^-100 or so of f(x)."""
    with mpmath.workprec(160):
        parts = [mpmath.frexp(FUNCTIONS[function][0](mpmath.mpf(float(value)))) for value in x]
        high = [float(fraction) for fraction, _ in parts]
        low = [float(fraction - first) for (fraction, _), first in zip(parts, high, strict=True)]
    return np.array(high), np.array(low), np.array([int(exponent) for _, exponent in parts])


def exact_for_float32(function, x):
    """The same from NumPy's double precision, which is 2^29 times as fine as what it is compared with."""
    high, exponent = np.frexp(FUNCTIONS[function][1](x.astype(np.float64)))
    return high, np.zeros_like(high), exponent.astype(int)


def errors_in_ulp(found, exact):
    """|found - exact|, in units of the spacing of found's dtype at the exact value."""
    high, low, exponent = exact
    info = np.finfo(found.dtype)
    spacing = np.ldexp(1.0, np.maximum(exponent, info.minexp + 1) - (info.nmant + 1) - exponent)
    return np.abs((np.ldexp(found.astype(np.float64), -exponent) - high) - low) / spacing


def largest_argument(function, dtype):
    """Up to here the results are finite; from somewhere below it on they do not change for sigmoid and tanh."""
    return {"exp": np.log(np.finfo(dtype).max) * (1 - 1e-7), "sigmoid": 60.0, "tanh": 30.0}[function]


def least_argument(function, dtype):
    """Down to here the results are not zero, but subnormal for exp and sigmoid."""
    return -30.0 if function == "tanh" else np.log(np.finfo(dtype).smallest_subnormal) * (1 - 1e-7)


def arguments(function, dtype, count):
    """Numbers where something changes, and evenly and randomly spread ones on several scales."""
    rng = np.random.default_rng(7)
    info = np.finfo(dtype)
    low, high = least_argument(function, dtype), largest_argument(function, dtype)
    # Where the reduction steps from one multiple of ln 2 (tanh: of half of it) to the next, and the multiples
    steps = np.arange(np.floor(low / np.log(2)), high / np.log(2), 0.25) * np.log(2)
    magnitudes = 2.0 ** rng.uniform(info.minexp - info.nmant, 3, count)  # down to the least subnormal number
    least = float(info.smallest_subnormal)
    edges = np.array([least, 2 * least, info.tiny - least, info.tiny, info.eps / 2, info.eps, 0.5, 1, 2])
    spread = np.linspace(low, high, count)
    near = [rng.uniform(-width, width, count) for width in (0.4, 2, 10)]
    points = np.concatenate(
        [steps, magnitudes, -magnitudes, edges, -edges, spread, *near, rng.uniform(low, high, count)]
    )
    x = np.unique(points.astype(dtype))
    x = np.unique(np.concatenate([x, np.nextafter(x, dtype(np.inf)), np.nextafter(x, dtype(-np.inf))]))
    return x[(x >= low) & (x <= high)]


@cache
def exact_cases(function, dtype):
    """Arguments of one function and precision and their exact results, computed once for all instruction sets."""
    if dtype is np.float32:
        x = arguments(function, dtype, 20000)
        return x, exact_for_float32(function, x)
    x = arguments(function, dtype, 2000)
    return x, exact_by_mpmath(function, x)


@every_function
def test_double_precision_is_a_good_reference_for_float32(function):
    x = arguments(function, np.float32, 100)
    high, low, exponent = exact_by_mpmath(function, x)
    approximate, _, its_exponent = exact_for_float32(function, x)
    difference = (np.ldexp(approximate, its_exponent - exponent) - high) - low
    assert np.abs(difference).max() < 2.0**-50


@every_isa
@every_dtype
@every_function
def test_error_is_at_most_3_5_ulp(function, dtype, isa, record_property):
    x, exact = exact_cases(function, dtype)
    error = errors_in_ulp(_core.activate(function, x, isa), exact)
    worst = int(error.argmax())  # NaN counts as the largest
    record_property("worst error in ulp", float(error[worst]))
    print(f"\n{function} {np.dtype(dtype)} {isa}: at most {error[worst]:.2f} ulp, at {x[worst]!r}, {x.size} arguments")
    assert error[worst] <= LARGEST_ERROR


@every_isa
@every_dtype
def test_exp_overflows_to_infinity_and_underflows_to_zero(dtype, isa):
    info = np.finfo(dtype)
    overflow, underflow = np.log(float(info.max)), np.log(float(info.smallest_subnormal)) - np.log(2)
    x = np.array([overflow * (1 + 1e-6), 2 * overflow, info.max, np.inf], dtype)
    assert (_core.activate("exp", x, isa) == np.inf).all()
    x = np.array([underflow * (1 + 1e-6), 2 * underflow, info.min, -np.inf], dtype)
    for function in ("exp", "sigmoid"):
        found = _core.activate(function, x, isa)
        assert (found == 0).all()
        assert not np.signbit(found).any()


@every_isa
@every_dtype
def test_large_arguments_saturate(dtype, isa):
    x = np.array([45, 1e3, 1e9, 1e30, np.finfo(dtype).max, np.inf], dtype)
    one = np.ones_like(x)
    np.testing.assert_array_equal(_core.activate("sigmoid", x, isa), one)
    np.testing.assert_array_equal(_core.activate("tanh", x, isa), one)
    np.testing.assert_array_equal(_core.activate("tanh", -x, isa), -one)


@every_isa
@every_dtype
@every_function
def test_nan_gives_nan_whatever_its_bits(function, dtype, isa):
    bits = {np.float32: np.uint32, np.float64: np.uint64}[dtype]
    info = np.finfo(dtype)
    exponent = ((1 << info.nexp) - 1) << info.nmant
    payloads = [1 << (info.nmant - 1), (1 << info.nmant) - 1, (1 << (info.nmant - 1)) + 1, 0x55, 1]
    signs = [0, 1 << (info.nexp + info.nmant)]
    x = np.array([sign | exponent | payload for sign in signs for payload in payloads], bits).view(dtype)
    assert np.isnan(_core.activate(function, x, isa)).all()


@every_isa
@every_dtype
def test_zeros_and_subnormal_arguments(dtype, isa):
    info = np.finfo(dtype)
    least = info.smallest_subnormal
    x = np.array([0, least, 3 * least, info.tiny - least, info.tiny, info.eps**2], dtype)
    x = np.concatenate([x, -x])
    np.testing.assert_array_equal(_core.activate("exp", x, isa), np.ones_like(x))
    np.testing.assert_array_equal(_core.activate("sigmoid", x, isa), np.full_like(x, 0.5))
    found = _core.activate("tanh", x, isa)
    np.testing.assert_array_equal(found, x)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(x))


@every_isa
@every_dtype
def test_tanh_is_odd_and_never_beyond_one(dtype, isa):
    x, _ = exact_cases("tanh", dtype)
    found = _core.activate("tanh", x, isa)
    np.testing.assert_array_equal(_core.activate("tanh", -x, isa), -found)
    assert np.abs(found).max() == 1


@every_isa
@every_dtype
def test_sigmoid_is_never_beyond_one(dtype, isa):
    x, _ = exact_cases("sigmoid", dtype)
    found = _core.activate("sigmoid", x, isa)
    assert found.min() > 0
    assert found.max() == 1


@every_isa
@every_dtype
@every_function
def test_bits_do_not_depend_on_the_place_or_the_neighbours(function, dtype, isa, rng):
    x = rng.uniform(-30, 30, 48).astype(dtype)  # three vectors of the widest instruction set
    x[::7] = [np.nan, np.inf, -np.inf, 0, -1e-40, 1e30, -100]
    alone = np.array([_core.activate(function, x[j : j + 1], isa)[0] for j in range(x.size)], dtype)
    for length in range(1, x.size + 1):
        for begin in (0, 1, x.size - length):
            part = x[begin : begin + length]
            assert _core.activate(function, part, isa).tobytes() == alone[begin : begin + part.size].tobytes()


@every_dtype
@every_function
def test_large_arrays_and_empty_ones(function, dtype, rng):
    x = rng.uniform(-30, 30, 100_003).astype(dtype)  # more than one block of work for the threads
    parts = [_core.activate(function, part) for part in np.array_split(x, 7)]
    assert _core.activate(function, x).tobytes() == np.concatenate(parts).tobytes()
    assert _core.activate(function, x[:0]).shape == (0,)
