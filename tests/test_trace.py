"""What a trace says of the gates; that the gates themselves are right is proven in test_lstm.py and test_cells.py."""

import copy
import pickle

import numpy as np
import pytest

import clstm

LENGTHS = [7, 0, 3, 5]


def a_trace(make=clstm.LSTM, lengths=None, **options):
    layer = make(3, 5, num_layers=2, bidirectional=True, init="pytorch", rng=0, **options)
    layer.flat_parameters *= 6
    return layer.trace(np.random.default_rng(1).normal(size=(4, 7, 3)), lengths=lengths)


def valid_values(array, lengths):
    """For each layer and direction the valid steps of all rows, (steps, H)."""
    return [np.concatenate([part[n, :length] for n, length in enumerate(lengths)]) for part in array]


@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize(
    ("make", "name", "low"),
    [
        (clstm.LSTM, "i", 0.1),
        (clstm.LSTM, "g", -0.9),
        (clstm.GRU, "z", 0.1),
        (clstm.GRU, "n", -0.9),
        (clstm.RNN, "h", -0.9),
    ],
)
def test_saturation_is_a_share_of_valid_steps(make, name, low, lengths):
    trace = a_trace(make, lengths)
    left, right = trace.saturation(name)
    for k, values in enumerate(valid_values(getattr(trace, name), lengths or [7] * 4)):
        np.testing.assert_allclose(left[k], (values < low).mean(axis=0))
        np.testing.assert_allclose(right[k], (values > 0.9).mean(axis=0))
    assert 0 < left.max() <= 1
    assert 0 < right.max() <= 1
    np.testing.assert_array_equal(trace[1].saturation(name)[0], left[1])
    everything = trace.saturation(name, low=2, high=-2)
    assert all((share == 1).all() for share in everything)


@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize(("make", "name"), [(clstm.LSTM, "f"), (clstm.GRU, "z")])
def test_half_life_is_that_of_the_mean_factor(make, name, lengths):
    trace = a_trace(make, lengths)
    half_life = trace.half_life()
    for k, values in enumerate(valid_values(getattr(trace, name), lengths or [7] * 4)):
        factor = np.prod(values.astype(float), axis=0) ** (1 / len(values))
        np.testing.assert_allclose(factor ** half_life[k], 0.5)


def test_without_a_forget_gate_nothing_is_forgotten():
    assert (a_trace(forget_gate=False, lengths=LENGTHS).half_life() == np.inf).all()
    assert (a_trace(coupled=True, lengths=LENGTHS).half_life() > 0).all()


@pytest.mark.parametrize(("f", "expected"), [(-0.5, 1), (0.5, 1), (-2, np.inf), (1, np.inf), (-1, np.inf), (0, 0)])
def test_of_a_gate_below_0_the_size_counts(f, expected):
    lstm = clstm.LSTM(1, 2, gate_activation="identity", init={"weight_ih": 0, "weight_hh": 0, "bias.f": f}, rng=0)
    assert (lstm.trace(np.ones((2, 3, 1))).half_life() == expected).all()


def test_no_valid_step_gives_no_number():
    trace = a_trace(lengths=[0] * 4)
    assert np.isnan(trace.half_life()).all()
    assert np.isnan(trace.saturation("o")[1]).all()


def test_a_trace_is_looked_at_and_copied():
    trace = a_trace(clstm.GRU)
    assert list(trace) == ["r", "z", "n", "h"]
    assert {"r", "z", "n", "h", "saturation"} <= set(dir(trace))
    for other in (copy.deepcopy(trace), pickle.loads(pickle.dumps(trace))):
        np.testing.assert_array_equal(other.n, trace.n)
    with pytest.raises(AttributeError, match="this trace has r, z, n, h, but no f"):
        trace.f  # noqa: B018
    assert repr(trace) == "Trace(r z n h, each (4, 4, 7, 5) float32)"


def test_what_a_trace_cannot_say():
    trace = a_trace(clstm.RNN)
    with pytest.raises(ValueError, match="trace: expected one with a forget gate or update gate, got Trace"):
        trace.half_life()
    with pytest.raises(ValueError, match="name: expected one of 'h', got 'f'"):
        trace.saturation("f")
    with pytest.raises(TypeError, match="low: expected a number, got 'x'"):
        trace.saturation("h", low="x")
    with pytest.raises(ValueError, match="trace: expected one with the axes of rows, steps and units"):
        trace[0, 0].saturation("h")
