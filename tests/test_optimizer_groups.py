"""Groups of parameters: factors of learning rate and weight decay, frozen parameters, biases without decay."""

import json
import pickle

import numpy as np
import pytest

import clstm
from clstm.optimizers import NAMED, NTASGD, SGD, Adam, AdamW, Group, OptimizerState, make

SHAPES = {"0.weight": (3, 4), "1.weight_ih_l0": (8, 3), "1.weight_hh_l0": (8, 2), "1.bias_l0": (8,), "2.weight": (5, 2)}
SHAPES |= {"2.bias": (5,)}
SIZE = 12 + 24 + 16 + 8 + 10 + 5
PLACES = {
    "0.weight": slice(0, 12),
    "1.weight_ih_l0": slice(12, 36),
    "1.weight_hh_l0": slice(36, 52),
    "1.bias_l0": slice(52, 60),
    "2.weight": slice(60, 70),
    "2.bias": slice(70, 75),
}


def spans_of(**options):
    return SGD(**options).state_for(SHAPES).spans


def run(optimizer, weights, gradients, state):
    weights = weights.copy()
    for gradient in gradients:
        optimizer.update(weights, gradient, state)
    return weights


@pytest.fixture
def problem(rng):
    return rng.standard_normal(SIZE), rng.standard_normal((4, SIZE))


def test_neighbours_with_the_same_factors_are_one_span():
    assert spans_of() is None
    assert spans_of(groups=[Group("*")]) == [(0, SIZE, 1, 1)]
    assert spans_of(groups=[Group("1.*", rate=0.5)]) == [(0, 12, 1, 1), (12, 60, 0.5, 1), (60, 75, 1, 1)]
    assert spans_of(decay_biases=False) == [(0, 52, 1, 1), (52, 60, 1, 0), (60, 70, 1, 1), (70, 75, 1, 0)]
    assert spans_of(groups=[Group("2.*", decay=3)], decay_biases=False)[2:] == [(60, 70, 1, 3), (70, 75, 1, 0)]


def test_the_first_group_that_matches_counts():
    groups = [Group("*.bias*", rate=2), Group("1.*", rate=3), Group("*", rate=4, decay=0)]
    spans = [(0, 12, 4, 0), (12, 52, 3, 1), (52, 60, 2, 1), (60, 70, 4, 0), (70, 75, 2, 1)]
    assert spans_of(groups=groups) == spans


def test_names_are_matched_with_upper_and_lower_case():
    with pytest.raises(ValueError, match=r"groups: .*'0\.WEIGHT'"):
        spans_of(groups=[Group("0.WEIGHT")])


def test_a_pattern_that_matches_nothing_is_named_with_the_parameters():
    with pytest.raises(ValueError, match=r"groups: .*there are 0.weight, 1.weight_ih_l0.*2.bias\), got '3\.\*'"):
        spans_of(groups=[Group("0.*"), Group("3.*")])
    with pytest.raises(ValueError, match=r"groups: .*3"):
        clstm.Trainer(clstm.Network([clstm.Dense(2, 1, rng=0)]), optimizer=Adam(groups=[Group("3.*")]))


@pytest.mark.parametrize("name", NAMED)
def test_a_group_is_trained_as_by_an_optimiser_of_its_own(name, problem):
    weights, gradients = problem
    kind, config = type(make(name)), {**make(name).config(), "groups": (), "weight_decay": 0.1}
    grouped = kind(**{**config, "groups": [Group("1.*", rate=0.5, decay=0.25), Group("2.bias", rate=2, decay=0)]})
    state = grouped.state_for(SHAPES)
    grouped.validated(1.0, state)
    found = run(grouped, weights, gradients, state)
    for place, rate, decay in ((slice(0, 12), 1, 1), (slice(12, 60), 0.5, 0.25), (PLACES["2.bias"], 2, 0)):
        own = kind(**{**config, "learning_rate": config["learning_rate"] * rate, "weight_decay": 0.1 * decay})
        if name == "asgd":
            own.lambd *= decay
        expected = run(own, weights[place], gradients[:, place], OptimizerState())
        np.testing.assert_allclose(found[place], expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("name", NAMED)
def test_frozen_parameters_keep_their_bits(name, problem):
    weights, gradients = problem
    kind, config = type(make(name)), make(name).config()
    optimizer = kind(**{**config, "weight_decay": 0.1, "groups": [Group("1.*", rate=0)]})
    state = optimizer.state_for(SHAPES)
    optimizer.validated(1.0, state)
    found = run(optimizer, weights, gradients, state)
    changed = found != weights
    assert not changed[12:60].any()
    assert changed[:12].all()
    assert changed[60:].all()
    optimizer.end(found, state)  # of those that average too
    np.testing.assert_array_equal(found[12:60], weights[12:60])
    assert not np.array_equal(found[:12], weights[:12])


@pytest.mark.parametrize("kind", [SGD, AdamW])
def test_biases_are_left_out_of_the_decay(kind, problem):
    weights, gradients = problem
    optimizer = kind(0.1, weight_decay=0.5, decay_biases=False)
    found = run(optimizer, weights, gradients, optimizer.state_for(SHAPES))
    for name, place in PLACES.items():
        own = kind(0.1, weight_decay=0 if len(SHAPES[name]) == 1 else 0.5)
        expected = run(own, weights[place], gradients[:, place], OptimizerState())
        np.testing.assert_allclose(found[place], expected, rtol=1e-14, atol=1e-15)


def test_bits_do_not_depend_on_threads(rng):
    shapes = {"a": (300, 300), "b": (100_001,), "c": (7,)}
    size = 90_000 + 100_001 + 7
    weights, gradients = rng.standard_normal(size), rng.standard_normal((2, size))
    optimizer, found = AdamW(0.1, decay_biases=False, groups=[Group("a", rate=0.3)]), []
    before = clstm.get_num_threads()
    for threads in (1, 2):
        clstm.set_num_threads(threads)
        found.append(run(optimizer, weights, gradients, optimizer.state_for(shapes)))
    clstm.set_num_threads(before)
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("options", [{"decay_biases": False}, {"groups": [Group("*", rate=0.1)]}])
def test_a_state_without_names_is_refused(options, problem):
    weights, gradients = problem
    before, state = weights.copy(), OptimizerState()
    with pytest.raises(ValueError, match="state: expected one from state_for"):
        SGD(**options).update(weights, gradients[0], state)
    np.testing.assert_array_equal(weights, before)
    assert (state.step, state.buffers) == (0, {})


@pytest.mark.parametrize(("change", "name"), [((1, 0), "weights"), ((0, 1), "gradient")])
def test_arrays_of_another_size_are_refused(change, name):
    optimizer = Adam(groups=[Group("0.*", rate=0.1)])
    state, weights = optimizer.state_for(SHAPES), np.ones(SIZE + change[0])
    with pytest.raises(ValueError, match=f"{name}: expected {SIZE} elements"):
        optimizer.update(weights, np.ones(SIZE + change[1]), state)
    assert (weights == 1).all()
    assert (state.step, state.buffers) == (0, {})


def test_a_buffer_of_another_size_is_refused(problem):
    weights, gradients = problem
    optimizer = Adam(groups=[Group("0.*", rate=0.1)])
    state = optimizer.state_for(SHAPES)
    state.buffers["square"] = np.zeros(SIZE + 1)
    with pytest.raises(ValueError, match=f"square: expected {SIZE} elements"):
        optimizer.update(weights, gradients[0], state)


def test_groups_do_not_change():
    group, optimizer = Group("0.*", rate=0.1), Adam(groups=[Group("0.*")])
    with pytest.raises(AttributeError, match="rate"):
        group.rate = 2
    for name in ("groups", "decay_biases"):
        with pytest.raises(AttributeError):
            setattr(optimizer, name, ())
    assert group == Group("0.*", rate=0.1)
    assert hash(group) == hash(Group("0.*", rate=0.1))
    assert group != Group("0.*")
    assert group != "0.*"
    assert pickle.loads(pickle.dumps(group)) == group
    assert repr(Group("a", rate=0, decay=2)) == "Group('a', rate=0.0, decay=2.0)"


def test_groups_in_a_trainer(rng):
    x, y = rng.standard_normal((20, 6, 2)), rng.standard_normal((20, 6, 3))
    net = clstm.Network([clstm.LSTM(2, 4, rng=0), clstm.Dense(4, 3, rng=1)])
    before = {name: array.copy() for name, array in net.parameters().items()}
    trainer = clstm.Trainer(net, optimizer=Adam(0.1, groups=[Group("0.*", rate=0)]), rng=2)
    trainer.fit(x, y, epochs=2, progress=False)
    for name, array in net.parameters().items():
        assert np.array_equal(array, before[name]) == name.startswith("0.")
    optimizer, state = trainer.optimizer, trainer.optimizer_state
    with pytest.raises(ValueError, match="groups: "):
        trainer.optimizer = Adam(groups=[Group("lstm")])
    assert trainer.optimizer is optimizer
    assert trainer.optimizer_state is state


# The state in a file


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMED)
def test_a_state_goes_on_from_its_arrays_and_numbers_to_the_bit(name, problem, dtype):
    weights, gradients = (array.astype(dtype) for array in problem)
    kind, config = type(make(name)), make(name).config()
    optimizer = kind(**{**config, "weight_decay": 1 / 3, "groups": [Group("1.*", rate=1 / 3, decay=0.1)]})
    state = optimizer.state_for(SHAPES)
    state.rate = 1 / 7
    for loss in (1.0, 2.0, 3.0):
        optimizer.validated(loss, state)
    half = run(optimizer, weights, gradients[:2], state)
    arrays = {name: array.copy() for name, array in state.arrays().items()}
    twin = OptimizerState.restored(arrays, json.loads(json.dumps(state.numbers())))
    assert twin.numbers() == state.numbers()
    assert (twin.step, twin.rate, twin.spans) == (2, 1 / 7, state.spans)
    for array in arrays.values():
        array[...] = np.nan  # the state has its own
    expected = run(optimizer, half, gradients[2:], state)
    np.testing.assert_array_equal(run(optimizer, half, gradients[2:], twin), expected)
    for name, buffer in state.buffers.items():
        np.testing.assert_array_equal(twin.buffers[name], buffer, strict=True)


def test_a_copy_shares_no_lists():
    optimizer = NTASGD(patience=2)
    state = optimizer.state_for(SHAPES)
    optimizer.validated(1.0, state)
    kept = state.copy()
    for loss in (2.0, 3.0, 4.0):
        optimizer.validated(loss, state)
    assert kept.extra == {"best": None, "recent": [1.0]}
    assert optimizer.is_averaging(state)
    assert not optimizer.is_averaging(kept)


@pytest.mark.parametrize(
    ("arrays", "numbers", "message"),
    [
        ({}, {}, "numbers: expected a dict of step, rate, spans and extra"),
        ({}, [1], "numbers: expected a dict"),
        ({"mean": [1.0]}, OptimizerState().numbers(), r"arrays\['mean'\]: expected one axis"),
        ({"mean": np.zeros((2, 2))}, OptimizerState().numbers(), r"arrays\['mean'\]: expected one axis"),
        ({"mean": np.zeros(2, np.int64)}, OptimizerState().numbers(), r"arrays\['mean'\]: expected one axis"),
    ],
)
def test_what_makes_no_state_is_refused(arrays, numbers, message):
    with pytest.raises(ValueError, match=message):
        OptimizerState.restored(arrays, numbers)
