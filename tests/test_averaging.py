"""Averaged optimisers: what is averaged, when it begins, and what the network holds between trainings."""

import sys

import numpy as np
import pytest

import clstm
from clstm.optimizers import ASGD, NAMED, NTASGD, SGD, OptimizerState, make

SIZE = 50


@pytest.fixture
def problem(rng):
    """Quadratic functions with a random gradient added: weights, and a function of them and of the step."""
    centre, noise = rng.standard_normal(SIZE), rng.standard_normal((100, SIZE))
    return rng.standard_normal(SIZE), lambda weights, step: weights - centre + noise[step]


def fit(optimizer, weights, gradient, state, epochs, steps=4):
    """What a trainer does; the validation loss of an epoch is a number that falls and rises again."""
    for _ in range(epochs):
        optimizer.begin(weights, state)
        for _ in range(steps):
            optimizer.update(weights, gradient(weights, state.step), state)
        optimizer.end(weights, state)
        optimizer.validated(abs(state.step - 10) + 1.0, state)


AVERAGING = [ASGD(0.1, t0=0), ASGD(0.1, t0=6, lambd=0.01), NTASGD(0.1, patience=1), NTASGD(0.1, patience=3)]


@pytest.mark.parametrize("optimizer", [*AVERAGING, *(make(name) for name in NAMED)], ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_two_trainings_and_three_are_five(optimizer, dtype, problem):
    weights, gradient = problem
    whole, parts = weights.astype(dtype), weights.astype(dtype)
    of_whole, of_parts = OptimizerState(), OptimizerState()

    def typed(weights, step):
        return gradient(weights, step).astype(dtype)

    fit(optimizer, whole, typed, of_whole, 5)
    fit(optimizer, parts, typed, of_parts, 2)
    fit(optimizer, parts, typed, of_parts, 3)
    np.testing.assert_array_equal(parts, whole)
    assert of_parts.numbers() == of_whole.numbers()
    assert of_parts.buffers.keys() == of_whole.buffers.keys()
    for name, buffer in of_whole.buffers.items():
        np.testing.assert_array_equal(of_parts.buffers[name], buffer)


@pytest.mark.parametrize("optimizer", AVERAGING, ids=repr)
def test_without_being_asked_it_begins_again(optimizer, problem):
    weights, gradient = problem
    whole, state, other = weights.copy(), OptimizerState(), OptimizerState()
    optimizer.validated(1.0, state)
    optimizer.validated(1.0, other)
    for step in range(6):
        optimizer.update(weights, gradient(weights, step), state)
    for step in range(6):
        optimizer.update(whole, gradient(whole, step), other)
        if step < 5:
            optimizer.end(whole, other)
            optimizer.begin(whole, other)
    optimizer.end(whole, other)
    optimizer.update(whole, np.ones(SIZE), other)
    optimizer.update(weights, np.ones(SIZE), state)
    np.testing.assert_array_equal(whole, weights)


def test_the_network_has_the_average_between_trainings_and_the_weights_within(problem):
    weights, gradient = problem
    optimizer, state, raw = ASGD(0.1, t0=2, lambd=0), OptimizerState(), []
    assert optimizer.averaged(state) is None
    optimizer.begin(weights, state)
    optimizer.end(weights, state)  # nothing is there to be exchanged
    for step in range(7):
        optimizer.update(weights, gradient(weights, step), state)
        raw.append(weights.copy())
    average = optimizer.averaged(state).copy()
    np.testing.assert_allclose(average, np.mean(raw[3:], axis=0), rtol=1e-13)
    optimizer.end(weights, state)
    np.testing.assert_array_equal(weights, average)
    assert optimizer.averaged(state) is None
    optimizer.end(weights, state)
    np.testing.assert_array_equal(weights, average)
    optimizer.begin(weights, state)
    np.testing.assert_array_equal(weights, raw[-1])
    optimizer.begin(weights, state)
    np.testing.assert_array_equal(weights, raw[-1])


def test_others_do_not_average(problem):
    weights, gradient = problem
    sgd, state = SGD(0.1), OptimizerState()
    sgd.begin(weights, state)
    sgd.update(weights, gradient(weights, 0), state)
    before = weights.copy()
    sgd.validated(1.0, state)
    sgd.end(weights, state)
    np.testing.assert_array_equal(weights, before)
    assert sgd.averaged(state) is None


# The trigger


def triggers(losses, patience):
    """After which of the losses averaging begins, by the definition: worse than the best of those before the last n."""
    for k, loss in enumerate(losses):
        if k > patience and loss > min(losses[: k - patience]):
            return k
    return None


@pytest.mark.parametrize("patience", [1, 2, 5])
@pytest.mark.parametrize("seed", range(6))
def test_the_trigger_is_that_of_the_definition(patience, seed):
    losses = np.random.default_rng(seed).standard_normal(12) / 2 - np.arange(12) * 0.2
    optimizer, state, found = NTASGD(patience=patience), OptimizerState(), None
    for k, loss in enumerate(losses):
        optimizer.validated(float(loss), state)
        if found is None and optimizer.is_averaging(state):
            found = k
    assert found == triggers(list(losses), patience)


def test_the_examples_of_the_definition_do_trigger():
    found = [
        triggers(list(np.random.default_rng(seed).standard_normal(12) / 2 - np.arange(12) * 0.2), patience)
        for seed in range(6)
        for patience in (1, 2, 5)
    ]
    assert None in found
    assert len(set(found)) > 4


def test_a_loss_that_is_not_finite_is_the_worst():
    optimizer, state = NTASGD(patience=1), OptimizerState()
    for loss in (np.nan, 5.0, 4.0, np.inf):
        assert not optimizer.is_averaging(state)
        optimizer.validated(loss, state)
    assert optimizer.is_averaging(state)
    assert state.extra == {"best": 4.0, "recent": [sys.float_info.max], "trigger": 0}


def test_all_weights_from_the_trigger_on_are_averaged(problem):
    weights, gradient = problem
    optimizer, state, plain = NTASGD(0.1, patience=1, weight_decay=0.01), OptimizerState(), weights.copy()
    sgd, sgd_state, raw = SGD(0.1, weight_decay=0.01), OptimizerState(), []
    for step in range(9):
        optimizer.update(weights, gradient(weights, step), state)
        sgd.update(plain, gradient(plain, step), sgd_state)
        np.testing.assert_allclose(weights, plain, rtol=1e-14)
        raw.append(weights.copy())
        if step == 3:
            for loss in (1.0, 2.0, 3.0):
                assert optimizer.averaged(state) is None
                optimizer.validated(loss, state)
    np.testing.assert_allclose(optimizer.averaged(state), np.mean(raw[3:], axis=0), rtol=1e-13)


def test_without_validation_it_is_sgd(problem):
    weights, gradient = problem
    optimizer, state, found = NTASGD(0.1), OptimizerState(), weights.copy()
    fit_without = [optimizer.update(found, gradient(found, step), state) for step in range(8)]
    sgd, sgd_state, plain = SGD(0.1), OptimizerState(), weights.copy()
    for step in range(len(fit_without)):
        sgd.update(plain, gradient(plain, step), sgd_state)
    np.testing.assert_allclose(found, plain, rtol=1e-14)
    assert state.buffers == {}


# In a trainer


@pytest.mark.parametrize("optimizer", [ASGD(0.2, t0=4), NTASGD(0.2, patience=1)], ids=["asgd", "ntasgd"])
def test_a_trainer_gives_the_average(rng, optimizer):
    x, y = rng.standard_normal((30, 5, 2)), rng.standard_normal((30, 5, 3))
    found, raw = [], []
    for _ in range(2):
        net = clstm.Network([clstm.LSTM(2, 4, rng=0), clstm.Dense(4, 3, rng=1)])
        trainer = clstm.Trainer(net, optimizer=optimizer, rng=2)
        for epochs in (6,) if not found else (2, 4):
            trainer.fit(x[:20], y[:20], epochs=epochs, batch_size=7, validation=(x[20:], y[20:]), progress=False)
        found.append(net.flat_parameters.copy())
        optimizer.begin(net.flat_parameters, trainer.optimizer_state)
        raw.append(net.flat_parameters.copy())
    np.testing.assert_array_equal(*found)
    np.testing.assert_array_equal(*raw)
