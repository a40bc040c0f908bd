"""Optimisers, norm and scaling: against the NumPy reference, and by hand."""

import copy
import json
import pickle

import numpy as np
import pytest
import reference_training

import clstm
from clstm import _core
from clstm.optimizers import (
    ASGD,
    LARGEST_NORM,
    NAMED,
    NTASGD,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Group,
    Optimizer,
    OptimizerState,
    RMSprop,
    from_config,
    make,
)

TOLERANCE = {"float32": 2e-6, "float64": 1e-14}
SIZES = [1, 7, 16, 17, 1000, 40_001]

SGDS = {
    "plain": {},
    "decay": {"weight_decay": 0.1},
    "momentum": {"momentum": 0.9},
    "momentum-decay": {"momentum": 0.9, "weight_decay": 0.1},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "nesterov-decay": {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1},
    "dampening": {"momentum": 0.9, "dampening": 0.25},
}
ADAMS = {
    "plain": {},
    "decay": {"weight_decay": 0.1},
    "other": {"beta1": 0.5, "beta2": 0.9, "epsilon": 1e-3, "weight_decay": 0.01},
    "amsgrad": {"amsgrad": True, "beta2": 0.5, "weight_decay": 0.1},
}
# Options here and there; those of the reference
RMSPROPS = {
    "plain": {},
    "decay": {"weight_decay": 0.1},
    "momentum": {"momentum": 0.9, "alpha": 0.5},
    "centered": {"centered": True, "epsilon": 1e-3},
    "all": {"centered": True, "momentum": 0.5, "alpha": 0.9, "epsilon": 1e-2, "weight_decay": 0.1},
}
ADAGRADS = {
    "plain": {},
    "decay": {"weight_decay": 0.1, "epsilon": 1e-3},
    "slower": {"learning_rate_decay": 0.5},
    "initial": {"initial_accumulator": 2.0},
}
ASGDS = {
    "plain": {},
    "averaging": {"t0": 1},
    "at once": {"t0": 0, "lambd": 0},
    "all": {"t0": 2.5, "lambd": 0.1, "alpha": 0.5, "weight_decay": 0.1},
}
NAMES_OF_REFERENCE = {
    "learning_rate": "lr",
    "learning_rate_decay": "lr_decay",
    "initial_accumulator": "initial",
    "epsilon": "eps",
}


@pytest.fixture
def threads():
    """Sets the number of threads, and sets it back."""
    before = clstm.get_num_threads()
    yield clstm.set_num_threads
    clstm.set_num_threads(before)


def run(optimizer, weights, gradients):
    """The weights after a step with each of the gradients."""
    weights, state = weights.copy(), OptimizerState()
    for gradient in gradients:
        optimizer.update(weights, gradient, state)
    assert state.step == len(gradients)
    return weights


def reference_run(step, weights, gradients, **options):
    """The same by the reference, in float64."""
    params, state = {"w": weights.astype(float)}, {}
    for gradient in gradients:
        params, state = step(params, {"w": gradient.astype(float)}, state, **options)
    return params["w"]


def problem(rng, size, dtype, steps=5):
    weights = rng.standard_normal(size).astype(dtype)
    gradients = (rng.standard_normal((steps, size)) * 10.0 ** rng.integers(-4, 3, (1, size))).astype(dtype)
    return weights, gradients


def assert_close(found, expected, dtype):
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("options", SGDS.values(), ids=SGDS)
def test_sgd_is_that_of_the_reference(isa, rng, options, size, dtype):
    weights, gradients = problem(rng, size, dtype)
    expected = reference_run(reference_training.sgd_step, weights, gradients, lr=0.01, **options)
    assert_close(run(SGD(0.01, **options), weights, gradients), expected, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("options", ADAMS.values(), ids=ADAMS)
@pytest.mark.parametrize("kind", [Adam, AdamW], ids=["adam", "adamw"])
def test_adam_is_that_of_the_reference(isa, rng, kind, options, size, dtype):
    weights, gradients = problem(rng, size, dtype)
    optimizer = kind(0.01, **options)
    expected = reference_run(
        reference_training.adam_step,
        weights,
        gradients,
        lr=0.01,
        betas=(optimizer.beta1, optimizer.beta2),
        eps=optimizer.epsilon,
        weight_decay=optimizer.weight_decay,
        decoupled=kind is AdamW,
        amsgrad=optimizer.amsgrad,
    )
    assert_close(run(optimizer, weights, gradients), expected, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("kind", "step", "options"),
    [(RMSprop, reference_training.rmsprop_step, options) for options in RMSPROPS.values()]
    + [(Adagrad, reference_training.adagrad_step, options) for options in ADAGRADS.values()]
    + [(ASGD, reference_training.asgd_step, options) for options in ASGDS.values()],
    ids=[f"{kind}-{name}" for kind, all_ in (("rms", RMSPROPS), ("ada", ADAGRADS), ("asgd", ASGDS)) for name in all_],
)
def test_the_others_are_those_of_the_reference(rng, kind, step, options, size, dtype):
    weights, gradients = problem(rng, size, dtype)
    if kind is ASGD:
        gradients *= np.asarray(0.01, dtype)
    named = {NAMES_OF_REFERENCE.get(name, name): value for name, value in options.items()}
    expected = reference_run(step, weights, gradients, lr=0.01, **named)
    assert_close(run(kind(0.01, **options), weights, gradients), expected, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("options", ASGDS.values(), ids=ASGDS)
def test_the_average_is_that_of_the_reference(rng, options, dtype):
    weights, gradients = problem(rng, 33, dtype)
    gradients *= np.asarray(0.01, dtype)
    optimizer, state, params, reference_state = (
        ASGD(0.01, **options),
        OptimizerState(),
        {"w": weights.astype(float)},
        {},
    )
    for gradient in gradients:
        optimizer.update(weights, gradient, state)
        params, reference_state = reference_training.asgd_step(
            params, {"w": gradient.astype(float)}, reference_state, lr=0.01, **options
        )
    assert_close(optimizer.averaged(state), reference_state["average"]["w"], dtype)


# By hand


def test_sgd_by_hand():
    weights, gradients = np.array([1.0]), np.array([[2.0], [4.0]])
    # velocities 2, then 0.5 * 2 + 4 = 5
    assert run(SGD(0.1), weights, gradients) == pytest.approx(1 - 0.2 - 0.4)
    assert run(SGD(0.1, momentum=0.5), weights, gradients) == pytest.approx(1 - 0.2 - 0.5)
    # ahead of them: 2 + 0.5 * 2, then 4 + 0.5 * 5
    assert run(SGD(0.1, momentum=0.5, nesterov=True), weights, gradients) == pytest.approx(1 - 0.3 - 0.65)
    # gradients 2 + 1, then 4 + 0.7
    assert run(SGD(0.1, weight_decay=1), weights, gradients) == pytest.approx(1 - 0.3 - 0.47)


def test_the_first_step_of_adam_is_the_learning_rate_against_the_sign():
    weights, gradients = np.zeros(3), np.array([[5.0, -1e-3, 0.0]])
    np.testing.assert_allclose(run(Adam(0.1), weights, gradients), [-0.1, 0.1, 0], rtol=1e-4)


def test_the_decay_of_adamw_does_not_pass_through_the_running_means():
    weights, gradients = np.array([2.0]), np.array([[0.0]])
    assert run(AdamW(0.1, weight_decay=0.5), weights, gradients) == pytest.approx(2 * (1 - 0.1 * 0.5))
    assert run(Adam(0.1, weight_decay=0.5), weights, gradients) == pytest.approx(2 - 0.1)


def test_with_learning_rate_zero_nothing_moves(rng):
    weights, gradients = problem(rng, 33, "float64")
    others = (RMSprop(0, momentum=0.9, weight_decay=0.1), Adagrad(0), ASGD(0, weight_decay=0.1), NTASGD(0))
    for optimizer in (SGD(0, momentum=0.9, weight_decay=0.1), Adam(0, weight_decay=0.1), AdamW(0), *others):
        np.testing.assert_array_equal(run(optimizer, weights, gradients), weights)


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_the_learning_rate_may_change_between_steps(rng, kind):
    weights, gradients = problem(rng, 5, "float64", steps=3)
    optimizer = SGD(momentum=0.9) if kind == "sgd" else Adam()
    step = reference_training.sgd_step if kind == "sgd" else reference_training.adam_step
    options = {"momentum": 0.9} if kind == "sgd" else {}
    found, state, params, reference_state = weights.copy(), OptimizerState(), {"w": weights}, {}
    for gradient, rate in zip(gradients, (0.1, 0.01, 0.3), strict=True):
        optimizer.learning_rate = rate
        optimizer.update(found, gradient, state)
        params, reference_state = step(params, {"w": gradient}, reference_state, lr=rate, **options)
    np.testing.assert_allclose(found, params["w"], rtol=1e-14, atol=1e-14)


def test_momentum_may_begin_later(rng):
    weights, gradients = problem(rng, 5, "float64", steps=3)
    found, state, optimizer = weights.copy(), OptimizerState(), SGD(0.1)
    optimizer.update(found, gradients[0], state)
    optimizer.momentum = 0.5
    optimizer.update(found, gradients[1], state)
    optimizer.update(found, gradients[2], state)
    expected = weights - 0.1 * (gradients[0] + gradients[1] + gradients[2] + 0.5 * gradients[1])
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)


def test_one_optimiser_serves_two_networks(rng):
    weights, gradients = problem(rng, 9, "float64")
    shared = Adam(0.01)
    expected = run(shared, weights, gradients), run(shared, -weights, 3 * gradients)
    found, states = [weights.copy(), -weights], [OptimizerState(), OptimizerState()]
    for gradient in gradients:
        shared.update(found[0], gradient, states[0])
        shared.update(found[1], 3 * gradient, states[1])
    np.testing.assert_array_equal(found, expected)


def test_the_gradient_stays_as_it_is(rng):
    weights, gradients = problem(rng, 33, "float32")
    before = gradients.copy()
    for optimizer in (SGD(momentum=0.9, nesterov=True, weight_decay=0.1), *(make(name) for name in NAMED)):
        run(optimizer, weights, gradients)
    np.testing.assert_array_equal(gradients, before)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_bits_do_not_depend_on_threads(isa, rng, threads, dtype):
    weights, gradients = problem(rng, 200_003, dtype, steps=2)
    found = []
    for count in (1, 2):
        threads(count)
        scaled = gradients[0].copy()
        _core.scale(scaled, 0.3)
        found.append(
            [
                run(SGD(0.1, momentum=0.9), weights, gradients),
                *(run(make(name, 0.1), weights, gradients) for name in NAMED),
                scaled,
                np.array(_core.global_norm(gradients)),
            ]
        )
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)


# State


def test_a_state_and_its_copy_are_two(rng):
    weights, gradients = problem(rng, 9, "float64")
    optimizer, state, found = Adam(), OptimizerState(), weights.copy()
    optimizer.update(found, gradients[0], state)
    middle, kept = found.copy(), state.copy()
    optimizer.update(found, gradients[1], state)
    assert (state.step, kept.step) == (2, 1)
    optimizer.update(middle, gradients[1], kept)
    np.testing.assert_array_equal(middle, found)
    for twin in (pickle.loads(pickle.dumps(state)), copy.deepcopy(state)):
        assert twin.step == state.step
        assert list(twin.buffers) == ["mean", "square"]
        np.testing.assert_array_equal(twin.buffers["square"], state.buffers["square"])


def test_is_finite_looks_at_each_buffer():
    state = OptimizerState()
    assert state.is_finite()
    for name in ("mean", "square"):
        state.buffer(name, np.zeros(3))
    assert state.is_finite()
    state.buffers["square"][1] = np.inf
    assert not state.is_finite()


# Norm and scaling


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("size", SIZES)
def test_norm_and_scale(isa, rng, size, dtype):
    x = (rng.standard_normal(size) * 10).astype(dtype)
    assert _core.global_norm(x) == pytest.approx(np.linalg.norm(x.astype(float)), rel=1e-13)
    scaled = x.copy()
    _core.scale(scaled, 0.3)
    np.testing.assert_allclose(scaled, x * np.asarray(0.3, dtype), rtol=2 * np.finfo(dtype).eps)


def test_the_norm_of_float32_overflows_no_earlier_than_double(isa):
    assert _core.global_norm(np.full(4, 1e38, np.float32)) == pytest.approx(2e38, rel=1e-6)
    assert _core.global_norm(np.full(4, 1e-38, np.float32)) == pytest.approx(2e-38, rel=1e-6)


@pytest.mark.parametrize("place", [0, 5, 1999])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_norm_is_finite_only_if_all_are(isa, place, value):
    x = np.ones(2000, np.float32)
    x[place] = value
    assert not np.isfinite(_core.global_norm(x))


# Hyperparameters

KINDS = (SGD, RMSprop, Adagrad, Adam, AdamW, ASGD, NTASGD)
NOT_NUMBERS = ("nesterov", "patience")
NUMBERS = [(kind, name) for kind in KINDS for name in kind.hyperparameters if name not in NOT_NUMBERS]
NUMBERS += [(SGD, "dampening")]


@pytest.mark.parametrize(("kind", "name"), NUMBERS, ids=[f"{kind.__name__}-{name}" for kind, name in NUMBERS])
def test_a_hyperparameter_is_checked_when_it_is_made_and_when_it_is_set(kind, name):
    optimizer = kind()
    before = getattr(optimizer, name)
    for value in (np.nan, np.inf, -np.inf, -0.1, np.float32(-2)):
        with pytest.raises(ValueError, match=f"{name}: expected a finite number.*got {value}"):
            kind(**{name: value})
        with pytest.raises(ValueError, match=f"{name}: expected a finite number"):
            setattr(optimizer, name, value)
    with pytest.raises(ValueError, match=f"{name}: expected a finite number.*got inf"):
        kind(**{name: 10**400})
    for value in ("0.1", None, True, 1j, [0.1], np.ones(1)):
        with pytest.raises(TypeError, match=f"{name}: expected a finite number"):
            kind(**{name: value})
    assert getattr(optimizer, name) == before
    setattr(optimizer, name, np.float32(0.5))
    assert getattr(optimizer, name) == 0.5
    assert type(getattr(optimizer, name)) is float


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SGD(momentum=1), ValueError, "momentum: .*below 1, got 1"),
        (lambda: Adam(beta1=1), ValueError, "beta1: .*below 1, got 1"),
        (lambda: Adam(beta2=1.0), ValueError, "beta2: .*below 1, got 1"),
        (lambda: Adam(epsilon=0), ValueError, "epsilon: .*above 0, got 0"),
        (lambda: SGD(nesterov=True), ValueError, "momentum: .*nesterov"),
        (lambda: SGD(nesterov=1, momentum=0.5), TypeError, "nesterov: expected True or False"),
        (lambda: SGD(nesterov=True, momentum=0.5, dampening=0.1), ValueError, "dampening: .*nesterov"),
        (lambda: RMSprop(alpha=1), ValueError, "alpha: .*below 1, got 1"),
        (lambda: RMSprop(centered=0), TypeError, "centered: expected True or False"),
        (lambda: Adam(amsgrad=None), TypeError, "amsgrad: expected True or False"),
        (lambda: NTASGD(patience=0), ValueError, "patience: expected an int of at least 1"),
        (lambda: NTASGD(patience=1.5), TypeError, "patience: expected an int of at least 1"),
        (lambda: Adam(decay_biases=1), TypeError, "decay_biases: expected True or False"),
        (lambda: Adam(groups="0.*"), TypeError, "groups: expected a sequence of clstm.optimizers.Group"),
        (lambda: Adam(groups=Group("0.*")), TypeError, "groups: expected a sequence of clstm.optimizers.Group"),
        (lambda: Adam(groups=[("0.*", 1)]), TypeError, r"groups\[0\]: expected a clstm.optimizers.Group, got \('0"),
        (lambda: Group(0), TypeError, "match: expected a pattern"),
        (lambda: Group("*", rate=-1), ValueError, "rate: expected a finite number, at least 0"),
        (lambda: Group("*", decay="1"), TypeError, "decay: expected a finite number, at least 0"),
    ],
)
def test_bad_hyperparameters_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


MADE = [
    SGD(0.3, momentum=0.5, nesterov=True),
    SGD(0.3, momentum=0.5, dampening=0.1),
    RMSprop(0.1, alpha=0.5, centered=True, momentum=0.3),
    Adagrad(learning_rate_decay=0.1, initial_accumulator=1 / 3),
    Adam(0.5, beta2=0.9),
    Adam(amsgrad=True, groups=[Group("0.*", rate=0.1), Group("*bias*", decay=0)]),
    AdamW(epsilon=1e-3, decay_biases=False),
    ASGD(t0=3, lambd=0.1),
    NTASGD(30, patience=2),
]


@pytest.mark.parametrize("optimizer", MADE, ids=repr)
def test_repr_pickle_copy_and_config_make_an_equal_one(optimizer):
    config = json.loads(json.dumps(optimizer.config()))
    twins = (eval(repr(optimizer)), pickle.loads(pickle.dumps(optimizer)), copy.copy(optimizer))
    for twin in (*twins, from_config(optimizer.name, config)):
        assert type(twin) is type(optimizer)
        assert twin.config() == optimizer.config()
        assert repr(twin) == repr(optimizer)
        for name in (*optimizer.hyperparameters, *optimizer.options):
            assert getattr(twin, name) == getattr(optimizer, name)


def test_every_name_makes_its_own():
    assert [type(make(name)) for name in NAMED] == [SGD, RMSprop, Adagrad, Adam, AdamW, Adam, ASGD, NTASGD]
    assert make("amsgrad").amsgrad
    assert not make("adam").amsgrad
    assert make("amsgrad", 0.5).learning_rate == 0.5
    for name in NAMED:
        assert NAMED[make(name).name] in (NAMED[name], Adam)


@pytest.mark.parametrize(
    ("name", "config", "error", "message"),
    [
        ("lion", {}, ValueError, "name: expected one of 'sgd'"),
        ("sgd", [], TypeError, "config: expected a dict"),
        ("sgd", {**SGD().config(), "beta1": 1}, ValueError, "config: .*with unknown"),
        ("adam", {"learning_rate": 1}, ValueError, "config: .*without"),
        ("sgd", {**SGD().config(), "momentum": 2}, ValueError, "momentum: "),
    ],
)
def test_a_config_that_does_not_fit_is_refused(name, config, error, message):
    with pytest.raises(error, match=message):
        from_config(name, config)


# The promise that is_ordinary makes


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(1e3),
        SGD(1e3, momentum=0.9999, nesterov=True, weight_decay=1e-3),
        SGD(1e-3, momentum=0.9999, weight_decay=1e3),
        Adam(1e3, weight_decay=1e-3),
        Adam(1e3, epsilon=1e-12, beta1=0.9, beta2=0.82),
        AdamW(1e3, weight_decay=1e-3),
        AdamW(1e-3, weight_decay=1e3, beta2=1 - 1e-8),
        Adam(1e3, amsgrad=True, epsilon=1e-12, beta1=0.9, beta2=0.82),
        Adam(1, groups=[Group("*", rate=1e3, decay=3)], weight_decay=1e-4),
        RMSprop(1e3, epsilon=1e-12, momentum=0.9999, weight_decay=1e-3, alpha=1 - 1e-8),
        RMSprop(1e3, alpha=0, weight_decay=1e-3),
        RMSprop(1e2, centered=True),
        RMSprop(1e2, centered=True, alpha=0),
        RMSprop(5e-3, centered=True, momentum=0.9999),
        Adagrad(1e3, epsilon=1e-12, weight_decay=1e-3),
        Adagrad(1e-3, weight_decay=1e3, initial_accumulator=1),
        ASGD(1e3, lambd=5e-4, weight_decay=5e-4, t0=0),
        ASGD(1e-3, lambd=1e3, t0=10),
        NTASGD(1e3, weight_decay=1e-3),
    ],
    ids=repr,
)
def test_an_ordinary_step_stays_finite_with_the_largest_gradients(isa, optimizer, dtype):
    """Long runs of the largest gradient of one sign, then of none: what makes buffers and steps largest."""
    assert optimizer.is_ordinary()
    largest = 0.99 * LARGEST_NORM[np.dtype(dtype)]
    weights, state = np.ones(3, dtype), optimizer.state_for({"w": (3,)})
    optimizer.validated(1.0, state)
    gradients = [[largest, 0, -1e-30]] * 300 + [[0, largest, 0]] * 300
    for gradient in np.array(gradients, dtype):
        optimizer.update(weights, gradient, state)
    assert np.isfinite(weights).all()
    assert state.is_finite() or isinstance(optimizer, Adagrad)


@pytest.mark.parametrize(
    "optimizer",
    [SGD(1e30), SGD(weight_decay=1e30), SGD(momentum=0.99999), Adam(1e30), Adam(epsilon=1e-30), Adam(beta1=0.9999)]
    + [Adam(beta2=0), AdamW(10, weight_decay=10), Optimizer(), RMSprop(epsilon=1e-30), RMSprop(alpha=1 - 1e-9)]
    + [RMSprop(momentum=0.99999), RMSprop(10, weight_decay=1), RMSprop(centered=True, weight_decay=0.1)]
    + [
        RMSprop(1e3, centered=True),
        RMSprop(0.1, centered=True, epsilon=1e-12),
        RMSprop(10, centered=True, momentum=0.9999),
    ]
    + [Adagrad(1e30), Adagrad(epsilon=1e-30), ASGD(1e30), ASGD(10, lambd=1), ASGD(weight_decay=1e30), NTASGD(1e30)]
    + [SGD(groups=[Group("*", rate=1e30)]), AdamW(groups=[Group("*", decay=1e6)])],
    ids=repr,
)
def test_what_may_overflow_is_not_ordinary(optimizer):
    assert not optimizer.is_ordinary()


@pytest.mark.parametrize("name", NAMED)
def test_the_defaults_are_ordinary_unless_a_schedule_is_not(name):
    assert make(name).is_ordinary()
    assert make(name).is_ordinary(10)
    assert not make(name).is_ordinary(1e30)
