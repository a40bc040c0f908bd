"""Clipping of gradients by value and by norm, against NumPy."""

import json

import numpy as np
import pytest
import reference_training

import clstm
from clstm.optimizers import Clipping, clip_each_norm, clip_norm, clip_value

SHAPES = {"a": (3, 5), "empty": (0, 4), "b": (40_000,), "c": (1,), "d": (1000, 70)}
STOPS = Clipping.stops(SHAPES)
TOLERANCE = {"float32": 1e-6, "float64": 1e-14}


@pytest.fixture(params=TOLERANCE)
def dtype(request):
    return request.param


@pytest.fixture
def gradient(rng, dtype):
    return (rng.standard_normal(STOPS[-1]) * 10.0 ** rng.integers(-3, 3, STOPS[-1])).astype(dtype)


def parts(flat):
    return dict(zip(SHAPES, np.split(flat, STOPS[:-1]), strict=True))


def by_each_norm(flat, limit):
    """The reference, parameter by parameter."""
    clipped = [reference_training.clip_by_global_norm({"": part}, limit)[0][""] for part in parts(flat).values()]
    return np.concatenate(clipped)


def test_by_value(isa, gradient):
    expected = np.clip(gradient, -0.5, 0.5)
    assert not np.array_equal(expected, gradient)
    clip_value(gradient, 0.5)
    np.testing.assert_array_equal(gradient, expected, strict=True)


def test_by_value_nan_stays_and_infinities_do_not(isa, dtype):
    for size in (5, 100):
        flat = np.ones(size, dtype)
        flat[:4] = np.nan, np.inf, -np.inf, -0.0
        clip_value(flat, 2)
        np.testing.assert_array_equal(flat[:5], [np.nan, 2, -2, 0, 1])


def test_each_norm(isa, gradient, dtype):
    gradient[STOPS[1] : STOPS[2]] *= np.asarray(1e-6, dtype)  # this one is small enough
    before = parts(gradient.copy())
    expected = by_each_norm(gradient.astype(float), 3.0)
    clip_each_norm(gradient, STOPS, 3.0)
    np.testing.assert_allclose(gradient, expected, rtol=TOLERANCE[dtype])
    np.testing.assert_array_equal(parts(gradient)["b"], before["b"])
    for name in ("a", "d"):
        assert np.linalg.norm(parts(gradient)[name]) == pytest.approx(3, rel=1e-4)


def test_global_norm(isa, gradient, dtype):
    clipped, expected = reference_training.clip_by_global_norm(parts(gradient.astype(float)), 3.0)
    assert clip_norm(gradient, 3.0) == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(gradient, np.concatenate(list(clipped.values())), rtol=TOLERANCE[dtype])
    before = gradient.copy()
    assert clip_norm(gradient, 3.1) == pytest.approx(3, rel=1e-5)
    np.testing.assert_array_equal(gradient, before)


def test_a_norm_that_is_known_is_taken(gradient, dtype):
    expected = gradient * np.asarray(0.5, dtype)
    assert clip_norm(gradient, 1, 2 - 1e-6) == 2 - 1e-6
    np.testing.assert_allclose(gradient, expected, rtol=TOLERANCE[dtype])


def test_one_after_another(gradient, dtype):
    expected = by_each_norm(np.clip(gradient.astype(float), -2, 2), 1.5)
    clipped, _ = reference_training.clip_by_global_norm(parts(expected), 2.0)
    wrong_norm = 1e-3  # of what comes in, which is not what is clipped by norm
    Clipping(value=2, each_norm=1.5, norm=2)(gradient, STOPS, wrong_norm)
    np.testing.assert_allclose(gradient, np.concatenate(list(clipped.values())), rtol=4 * TOLERANCE[dtype])


def test_the_known_norm_is_used_by_itself(gradient):
    before = gradient.copy()
    Clipping(norm=2)(gradient, STOPS, 1.0)
    np.testing.assert_array_equal(gradient, before)
    Clipping()(gradient, STOPS)
    np.testing.assert_array_equal(gradient, before)


def test_bits_do_not_depend_on_threads(gradient):
    found, before = [], clstm.get_num_threads()
    for threads in (1, 2):
        clstm.set_num_threads(threads)
        found.append(gradient.copy())
        Clipping(value=20, each_norm=1.5, norm=2)(found[-1], STOPS)
    clstm.set_num_threads(before)
    np.testing.assert_array_equal(*found)


def test_it_is_true_if_it_does_anything():
    assert not Clipping()
    for name in ("value", "each_norm", "norm"):
        assert Clipping(**{name: 1})


def test_repr_and_config():
    clipping = Clipping(value=1, norm=0.1)
    assert repr(clipping) == "Clipping(value=1.0, norm=0.1)"
    assert Clipping(**json.loads(json.dumps(clipping.config()))).config() == clipping.config()


@pytest.mark.parametrize("name", ["value", "each_norm", "norm"])
def test_bad_limits_are_named(name):
    for limit in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match=f"{name}: expected a finite number, above 0, or None"):
            Clipping(**{name: limit})
    with pytest.raises(TypeError, match=f"{name}: "):
        Clipping(**{name: "1"})


def test_stops_that_are_not_those_of_the_gradient_are_refused():
    with pytest.raises(ValueError, match="stops"):
        clip_each_norm(np.ones(3), Clipping.stops({"a": (2,)}), 1.0)
    with pytest.raises(ValueError, match="a size"):
        clip_each_norm(np.ones(3), np.array([4, 3], np.intp), 1.0)
