"""The conditional random field: against all paths one by one, against complex steps through a forward recursion in
plain NumPy, and where scores are extreme; its layer, and its loss."""

import copy
import pickle
from itertools import pairwise

import numpy as np
import pytest
import reference_crf as twin
from cases import TOLERANCE, close, pad, same_bits, settings

import clstm
from clstm import _core
from clstm.losses import CRFLoss

SIZES = [(1, 1), (1, 4), (6, 1), (4, 3), (3, 5), (7, 2), (2, 9), (3, 8)]  # T, C
REDUCTIONS = ("mean", "token_mean", "sum")


def layer_of(C, dtype="float64", scale=1.0, seed=0, forbidden=None):
    """With random parameters."""
    crf = clstm.CRF(C, forbidden=forbidden, dtype=dtype, rng=0)
    crf.flat_parameters = np.random.default_rng(seed).normal(size=crf.flat_parameters.size) * scale
    return crf


def field_of(crf):
    """The same for the twin, in double."""
    return twin.Field(*(values.astype(np.float64) for values in crf._scores()))


def loss_of(crf, reduction="mean"):
    loss = CRFLoss(reduction=reduction)
    loss.attach(crf)
    return loss


def zeros(crf):
    return crf.zeros_like_parameters()[1]


# Against all paths


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_sums_over_paths_are_those_of_all_of_them(isa, dtype, size):
    (T, C), rng = size, np.random.default_rng(1)
    crf = layer_of(C, dtype)
    emissions = (2 * rng.normal(size=(3, T, C))).astype(dtype)
    tags = rng.integers(C, size=(3, T))
    found = crf.marginals(emissions)
    assert found.dtype == dtype
    paths, scores = crf.best(emissions)
    log_z, log_p = crf.log_partition(emissions), crf.log_likelihood(emissions, tags)
    for n, row in enumerate(emissions.astype(np.float64)):
        expected = twin.over_all_paths(field_of(crf), row)
        close(found[n], expected.marginals, 1e-12 if dtype == "float64" else 1e-6)
        assert tuple(paths[n]) == expected.path
        np.testing.assert_allclose(scores[n], expected.score, rtol=1e-13)
        np.testing.assert_allclose(log_z[n], expected.log_z, rtol=1e-13)
        own = twin.score(field_of(crf), row, tags[n]) - expected.log_z
        np.testing.assert_allclose(log_p[n], own, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_gradients_are_what_is_expected_less_what_is_there(isa, size):
    (T, C), rng = size, np.random.default_rng(2)
    crf, emissions, tags = layer_of(C), rng.normal(size=(1, T, C)), rng.integers(C, size=(1, T))
    grads = zeros(crf)
    found = loss_of(crf).compute(emissions, tags, grads=grads)
    expected = twin.over_all_paths(field_of(crf), emissions[0])
    there, pairs = np.zeros((T, C)), expected.pairs.copy()
    there[np.arange(T), tags[0]] = 1
    np.add.at(pairs, (tags[0, :-1], tags[0, 1:]), -1)
    slopes = expected.marginals - there
    for own, slope in (
        (found.gradient[0], slopes),
        (grads["transitions"], pairs),
        (grads["start"], slopes[0]),
        (grads["end"], slopes[-1]),
    ):
        np.testing.assert_allclose(own, slope, rtol=0, atol=1e-13)


@pytest.mark.parametrize("seed", range(20))
def test_of_equal_paths_the_lowest_tags_win(seed):
    rng = np.random.default_rng(seed)
    crf = clstm.CRF(3, dtype="float64", rng=0)
    crf.flat_parameters = rng.integers(2, size=crf.flat_parameters.size)
    emissions = rng.integers(2, size=(1, 4, 3)).astype(float)
    (path,), (score,) = crf.best(emissions)
    expected = twin.over_all_paths(field_of(crf), emissions[0])
    assert (tuple(path), score) == (expected.path, expected.score)


# Gradients


def batch(dtype, N, T, C, lengths, seed=3):
    """Emissions with NaN and tags out of range in the padding, and weights of which one is 0."""
    rng = np.random.default_rng(seed)
    emissions = rng.normal(size=(N, T, C)).astype(dtype)
    tags = rng.integers(C, size=(N, T))
    if lengths is not None:
        emissions = pad(emissions, lengths)
        tags[np.arange(T) >= np.reshape(lengths, (-1, 1))] = -7
        lengths = np.array(lengths, np.intp)
    weights = rng.uniform(0.5, 2, N).astype(dtype)
    weights[-1] = 0
    return emissions, tags, lengths, weights


BATCHES = [
    # N, T, C, lengths
    (2, 1, 1, None),
    (3, 5, 3, (5, 1, 3)),
    (5, 7, 8, (0, 7, 2, 1, 4)),
    (4, 6, 17, None),
    (40, 9, 20, (9, 4, 0, 1) * 10),
]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("size", BATCHES, ids=str)
def test_gradients_are_those_of_complex_steps(isa, reduction, weighted, size):
    emissions, tags, lengths, weights = batch("float64", *size)
    N, T, C = emissions.shape
    crf = layer_of(C)
    grads = zeros(crf)
    found = loss_of(crf, reduction).compute(emissions, tags, lengths, weights if weighted else None, grads=grads)
    full = np.full(N, T) if lengths is None else lengths
    weights = weights if weighted else np.ones(N)
    emissions, rng = np.nan_to_num(emissions), np.random.default_rng(4)
    value, divisor = twin.loss(field_of(crf), emissions, tags, full, weights, reduction)
    np.testing.assert_allclose(found.loss, value, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found.weight, divisor, rtol=1e-14)
    for only in ("emissions", *grads, "all"):
        way = rng.normal(size=emissions.shape) if only in ("emissions", "all") else np.zeros(emissions.shape)
        expected, at = (found.gradient * way).sum(), []
        for name, values in crf.parameters().items():
            own = rng.normal(size=values.shape) if only in (name, "all") else 0
            at.append(values + 1e-30j * own)
            expected += (grads[name] * own).sum()
        value, _ = twin.loss(twin.Field(*at), emissions + 1e-30j * way, tags, full, weights, reduction)
        slope = value.imag / 1e-30
        assert abs(expected - slope) <= 1e-10 * max(1, abs(slope))


@pytest.mark.parametrize("size", BATCHES, ids=str)
def test_single_precision_follows_double(isa, size):
    emissions, tags, lengths, weights = batch("float32", *size)
    single = layer_of(size[2], "float32")
    double = clstm.CRF(size[2], dtype="float64", rng=0)
    double.load_parameters(single.parameters())
    results = []
    for crf, dtype in ((single, "float32"), (double, "float64")):
        grads = zeros(crf)
        found = loss_of(crf).compute(emissions.astype(dtype), tags, lengths, weights.astype(dtype), grads=grads)
        assert {array.dtype for array in (found.gradient, *grads.values())} == {np.dtype(dtype)}
        results.append((np.array(found.loss), found.gradient, *grads.values()))
    for own, expected in zip(*results, strict=True):
        np.testing.assert_allclose(own, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_gradients_are_added_to_and_not_computed_if_nobody_wants_them():
    emissions, tags, lengths, weights = batch("float64", *BATCHES[2])
    crf = layer_of(8)
    loss, fresh = loss_of(crf), zeros(crf)
    found = loss.compute(emissions, tags, lengths, weights, grads=fresh)
    before = {name: np.full_like(values, 3) for name, values in fresh.items()}
    none = loss.compute(emissions, tags, lengths, weights, gradient=False, grads=before)
    assert none.gradient is None
    assert none[::2] == found[::2] == loss.compute(emissions, tags, lengths, weights, gradient=False)[::2]
    same_bits(loss.compute(emissions, tags, lengths, weights).gradient, found.gradient)
    for name, values in fresh.items():
        np.testing.assert_allclose(before[name], 3 + values, rtol=0, atol=1e-14)
    assert loss(emissions, tags, lengths, weights)[0] == found.loss


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_batch_without_a_step_or_without_a_weight_has_no_loss(reduction):
    emissions, tags, _, _ = batch("float64", 3, 4, 2, None)
    crf = layer_of(2)
    for lengths, own in ((np.zeros(3, np.intp), None), (None, np.zeros(3))):
        grads = zeros(crf)
        found = loss_of(crf, reduction).compute(emissions * np.nan, tags * 0, lengths, own, grads=grads)
        assert (found.loss, found.weight) == (0, 0)
        for array in (found.gradient, *grads.values()):
            assert not array.any()


# Bits


def everything(crf, emissions, tags, lengths, weights):
    grads = zeros(crf)
    found = loss_of(crf).compute(emissions, tags, lengths, weights, grads=grads)
    paths, scores = crf.best(emissions, lengths)
    rest = crf.marginals(emissions, lengths), crf.log_partition(emissions, lengths)
    return (np.array(found.loss), found.gradient, *grads.values(), scores, *rest, *paths)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_bits_do_not_depend_on_threads(isa, dtype):
    arrays = batch(dtype, 70, 31, 20, (31, 7, 0, 12, 1) * 14)
    results = []
    for threads in (1, 2, 3):
        with settings(isa, "native", threads):
            results.append(everything(layer_of(20, dtype), *arrays))
    for other in results[1:]:
        for found, expected in zip(other, results[0], strict=True):
            same_bits(found, expected)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_rows_depend_neither_on_the_rest_of_the_batch_nor_on_the_padding(isa, dtype):
    emissions, tags, lengths, _ = batch(dtype, *BATCHES[4])
    crf = layer_of(20, dtype)
    loss, valid = loss_of(crf, "sum"), np.where(tags < 0, 0, tags)
    gradient, log_p = loss.compute(emissions, tags, lengths).gradient, crf.log_likelihood(emissions, tags, lengths)
    marginals, paths = crf.marginals(emissions, lengths), crf.decode(emissions, lengths)
    for n in (0, 1, 2, 7, 39):
        length = lengths[n]
        assert not gradient[n, length:].any()
        assert not marginals[n, length:].any()
        if length == 0:
            continue
        alone, own = np.ascontiguousarray(emissions[n : n + 1, :length]), valid[n : n + 1, :length]
        same_bits(loss.compute(alone, own).gradient[0], gradient[n, :length])
        same_bits(crf.marginals(alone)[0], marginals[n, :length])
        same_bits(crf.decode(alone)[0], paths[n])
        same_bits(crf.log_likelihood(alone, own), log_p[n : n + 1])


def test_lists_are_rows_with_lengths():
    emissions, tags, lengths, _ = batch("float32", *BATCHES[4])
    crf = layer_of(20, "float32")
    parts = [row[:length] for row, length in zip(emissions, lengths, strict=True)]
    paths = [row[:length] for row, length in zip(tags, lengths, strict=True)]
    for found, expected in zip(crf.decode(parts), crf.decode(emissions, lengths), strict=True):
        same_bits(found, expected)
    for found, expected in zip(crf.marginals(parts), crf.marginals(emissions, lengths), strict=True):
        same_bits(found, expected[: len(found)])
    same_bits(crf.log_partition(parts), crf.log_partition(emissions, lengths))
    same_bits(crf.log_likelihood(parts, paths), crf.log_likelihood(emissions, tags, lengths))
    assert [len(path) for path in crf.decode([np.zeros((0, 20))])] == [0]


# Extremes


def exact(x):
    """Multiples of 1/1024, whose sums have no rounding errors."""
    return np.round(np.asarray(x) * 1024) / 1024


def check_extremes(crf, emissions, tags):
    """Against all paths, and against the twin in long double: to a few units in the last place of the largest score."""
    precise = twin.Field(*(values.astype(np.longdouble) for values in field_of(crf)))
    row = emissions[0].astype(np.longdouble)
    expected = twin.over_all_paths(precise, row)
    unit = 2e-16 * max(1, np.abs(crf.flat_parameters).max(), np.abs(emissions).max())
    log_p = float(twin.score(precise, row, tags[0]) - expected.log_z)
    np.testing.assert_allclose(float(twin.log_partition(precise, row)), float(expected.log_z), rtol=1e-15)
    np.testing.assert_allclose(crf.log_partition(emissions)[0], float(expected.log_z), rtol=1e-14)
    np.testing.assert_allclose(crf.log_likelihood(emissions, tags)[0], log_p, rtol=1e-14, atol=8 * unit)
    (path,), (score,) = crf.best(emissions)
    assert (tuple(path), score) == (expected.path, expected.score)
    grads = zeros(crf)
    gradient = loss_of(crf).compute(emissions, tags, grads=grads).gradient[0]
    there, pairs = np.zeros_like(gradient), expected.pairs.copy()
    there[np.arange(len(there)), tags[0]] = 1
    np.add.at(pairs, (tags[0, :-1], tags[0, 1:]), -1)
    np.testing.assert_allclose(crf.marginals(emissions)[0], expected.marginals, rtol=0, atol=8 * unit)
    np.testing.assert_allclose(gradient, expected.marginals - there, rtol=0, atol=8 * unit)
    np.testing.assert_allclose(grads["transitions"], pairs, rtol=0, atol=16 * unit)


@pytest.mark.parametrize("scale", [50, 300, 1e3, 1e6])
@pytest.mark.parametrize("where", ["emissions", "transitions", "both"])
@pytest.mark.parametrize("seed", range(5))
def test_scores_may_be_far_apart(isa, scale, where, seed):
    rng = np.random.default_rng(seed)
    crf = layer_of(4, scale=1 if where == "emissions" else scale, seed=seed)
    emissions = exact(rng.normal(size=(1, 5, 4)) * (1 if where == "transitions" else scale))
    crf.flat_parameters = exact(crf.flat_parameters)
    check_extremes(crf, emissions, rng.integers(4, size=(1, 5)))


@pytest.mark.parametrize("chance", [0.3, 0.6, 0.9, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_transitions_may_be_all_but_forbidden(isa, chance, seed):
    rng = np.random.default_rng(seed)
    crf = layer_of(4, seed=seed)
    crf.parameters()["transitions"][rng.random((4, 4)) < chance] = -1e4
    crf.flat_parameters = exact(crf.flat_parameters)
    check_extremes(crf, exact(rng.normal(size=(1, 5, 4))), rng.integers(4, size=(1, 5)))


def test_a_grammar_that_only_goes_forward(isa):
    forbidden = [(i, j) for i in range(4) for j in range(4) if j not in (i, i + 1)]
    forbidden += [("start", j) for j in (1, 2, 3)] + [(j, "end") for j in (0, 1, 2)]
    crf = layer_of(4, forbidden=forbidden)
    crf.flat_parameters = exact(crf.flat_parameters)
    emissions = exact(np.random.default_rng(5).normal(size=(1, 6, 4)))
    check_extremes(crf, emissions, np.array([[0, 0, 1, 2, 2, 3]]))
    assert list(crf.decode(emissions[:, :4])[0]) == [0, 1, 2, 3]
    assert crf.log_likelihood(emissions, [[0, 0, 2, 2, 2, 3]])[0] == -np.inf
    # Three steps are too few to come to the end
    assert crf.log_partition(emissions[:, :3])[0] == -np.inf
    assert np.isnan(crf.marginals(emissions[:, :3])).all()
    assert np.isnan(crf.log_likelihood(emissions[:, :3], [[0, 1, 2]])[0])
    assert np.isfinite(crf.marginals(emissions[[0, 0]], [3, 6])[1]).all()


def test_forbidden_transitions_have_no_gradient(isa):
    forbidden = [(0, 1), (2, 0), ("start", 1), (2, "end")]
    crf = layer_of(3, forbidden=forbidden)
    emissions, tags = np.random.default_rng(6).normal(size=(4, 9, 3)), np.zeros((4, 9), int)
    grads = zeros(crf)
    loss_of(crf).compute(emissions, tags, grads=grads)
    for mask, values in zip(crf._masks, grads.values(), strict=True):
        assert mask.any()
        assert (values[mask] == 0).all()
        assert (values[~mask] != 0).all()
    for path in crf.decode(100 * emissions):
        assert path[0] != 1
        assert path[-1] != 2
        assert {(0, 1), (2, 0)}.isdisjoint(pairwise(path))


def test_long_rows_keep_their_digits():
    rng = np.random.default_rng(7)
    crf, emissions = layer_of(5), 3 * rng.normal(size=(1, 20000, 5))
    sums = crf.marginals(emissions).sum(axis=2)
    np.testing.assert_allclose(sums, 1, rtol=0, atol=1e-11)
    tags = crf.decode(emissions)[0][np.newaxis]
    field = field_of(crf)
    expected = twin.score(field, emissions[0], tags[0]) - twin.log_partition(field, emissions[0])
    np.testing.assert_allclose(crf.log_likelihood(emissions, tags)[0], expected, rtol=1e-11)


@pytest.mark.parametrize("place", ["emissions", "transitions", "start", "end"])
def test_nan_is_not_hidden(isa, place):
    crf, emissions = layer_of(3), np.ones((2, 4, 3))
    if place == "emissions":
        emissions[1, 2, 0] = np.nan
    else:
        crf.parameters()[place][..., 1] = np.nan
    assert np.isnan(crf.log_partition(emissions)[1])
    assert np.isnan(crf.marginals(emissions)[1]).all()
    assert np.isnan(loss_of(crf).compute(emissions, np.ones((2, 4), int)).loss)
    assert np.isfinite(crf.log_partition(emissions)[0]) == (place == "emissions")


# The layer


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_emissions_and_gradients_go_through(dtype):
    emissions, _, lengths, _ = batch(dtype, *BATCHES[2])
    crf = layer_of(8, dtype)
    y, state, tape = crf.forward(emissions, lengths=lengths)
    assert state is None
    expected = np.nan_to_num(emissions)
    same_bits(y, expected)
    same_bits(crf(emissions, lengths=lengths), expected)
    dx, dstate, grads = crf.backward(tape, emissions)
    assert dstate is None
    same_bits(dx, expected)
    assert list(grads) == ["transitions", "start", "end"]
    assert not any(values.any() for values in grads.values())
    none, _, _ = crf.backward(crf.forward(emissions)[2], emissions, need_dx=False)
    assert none is None
    assert crf(expected) is expected
    with pytest.raises(ValueError, match="tape"):
        crf.backward(tape, emissions)


def tagger(dtype="float64", forbidden=None):
    crf = clstm.CRF(4, forbidden=forbidden, dtype=dtype, rng=2)
    body = [clstm.LSTM(3, 6, bidirectional=True, dtype=dtype, rng=0), clstm.Dense(12, 4, dtype=dtype, rng=1)]
    return clstm.Network([*body, crf])


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_in_a_network_sequences_have_all_their_forms(dtype):
    rng, net = np.random.default_rng(8), tagger(dtype)
    lengths = np.array([5, 2, 7])
    x = pad(rng.normal(size=(3, 7, 3)).astype(dtype), lengths)
    y = net(x, lengths=lengths)
    without = clstm.Network([copy.deepcopy(layer) for layer in net.layers[:2]])
    same_bits(y, without(x, lengths=lengths))
    mask = np.arange(7) < lengths[:, None]
    holes = mask.copy()
    holes[0, 1] = False
    same_bits(net(x, mask=mask), y)
    found, _, tape = net.forward(x, mask=holes)
    same_bits(found, without(x, mask=holes))
    dx, _, _ = net.backward(tape, np.ones_like(found))
    assert not dx[0, 1].any()
    parts = [row[:length] for row, length in zip(x, lengths, strict=True)]
    listed, _, tape = net.forward(parts)
    for own, row, length in zip(listed, y, lengths, strict=True):
        np.testing.assert_allclose(own, row[:length], rtol=0, atol=TOLERANCE[dtype])
    net.backward(tape, [np.ones_like(part) for part in listed])
    for own, other in zip(net[-1].decode(listed), net[-1].decode(y, lengths), strict=True):
        same_bits(own, other)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("forbidden", [None, [(0, 1), ("start", 2), (3, "end")]])
def test_files_copies_and_pickles(dtype, forbidden, tmp_path):
    net = tagger(dtype, forbidden)
    emissions = np.random.default_rng(9).normal(size=(2, 6, 4)).astype(dtype)
    net.save(tmp_path / "model.safetensors")
    others = [clstm.load(tmp_path / "model.safetensors"), copy.deepcopy(net), pickle.loads(pickle.dumps(net))]
    for other in others:
        assert repr(other) == repr(net)
        same_bits(other.flat_parameters, net.flat_parameters)
        assert other[-1].forbidden == net[-1].forbidden
        same_bits(other[-1].marginals(emissions), net[-1].marginals(emissions))


def test_starting_parameters():
    crf = clstm.CRF(30, forbidden=[(0, 1), ("start", 2), (3, "end")], rng=0)
    values = crf.flat_parameters
    assert np.abs(values).max() <= 0.1
    assert abs(values.std() - 0.1 / np.sqrt(3)) < 0.005
    parameters = crf.parameters()
    assert parameters["transitions"][0, 1] == parameters["start"][2] == parameters["end"][3] == 0
    assert (values == 0).sum() == 3
    same_bits(clstm.CRF(30, rng=0).parameters()["transitions"][1:], parameters["transitions"][1:])
    assert repr(clstm.CRF(3)) == "CRF(3)"
    assert repr(clstm.CRF(3, forbidden=())) == "CRF(3)"
    assert repr(clstm.CRF(3, forbidden=[(0, "end")])) == "CRF(3, forbidden=[[0, 'end']])"


# The loss


def test_attach_finds_the_last_layer():
    net = tagger()
    loss = CRFLoss()
    loss.attach(net)
    assert loss.layer is net[-1]
    outer = clstm.Network([clstm.Dense(3, 3, dtype="float64", rng=0), net])
    loss.attach(outer)
    assert loss.layer is net[-1]
    crf = clstm.CRF(3)
    loss.attach(crf)
    assert loss.layer is crf
    for wrong in (clstm.Dense(3, 3), clstm.Network([clstm.CRF(3), clstm.Dense(3, 3)])):
        with pytest.raises(ValueError, match=r"net: expected .* last layer is a CRF, .* got .*Dense\(3, 3\)"):
            loss.attach(wrong)
    assert loss.layer is crf
    made = clstm.losses.make("crf")
    assert isinstance(made, CRFLoss)
    assert made.config() == {"reduction": "mean"}
    assert CRFLoss(**CRFLoss(reduction="token_mean").config()).reduction == "token_mean"


def test_gradient_flow_knows_the_loss():
    rng = np.random.default_rng(10)
    flow = tagger().gradient_flow(rng.normal(size=(2, 5, 3)), rng.integers(4, size=(2, 5)), "crf")
    assert (flow["0"].over_batch("h") > 0).all()


def spans(rng, N, T):
    """Words 0 to 9 and tags O B I: 8 and 9 are outside, other even ones begin a span, odd ones go on with one, or are
    outside if there is none. A fifth of the words is a lie."""
    words = rng.integers(10, size=(N, T))
    tags = np.zeros((N, T), int)
    for n in range(N):
        for t in range(T):
            inside = t > 0 and tags[n, t - 1] > 0
            tags[n, t] = 0 if words[n, t] > 7 else 1 if words[n, t] % 2 == 0 else 2 if inside else 0
    lie = rng.random((N, T)) < 0.2
    return np.where(lie, rng.integers(10, size=(N, T)), words), tags


def test_it_learns_and_keeps_to_its_rules():
    """A loop of training: loss, accuracy, and no I after O or at the start."""
    rng = np.random.default_rng(11)
    x, tags = spans(rng, 120, 12)
    lengths = rng.integers(1, 13, size=120)
    forbidden = [(0, 2), ("start", 2)]
    crf = clstm.CRF(3, forbidden=forbidden, rng=2)
    net = clstm.Network([clstm.Embedding(10, 6, rng=0), clstm.Dense(6, 3, rng=1), crf])
    loss, optimizer, state = CRFLoss(), clstm.Adam(0.05), clstm.optimizers.OptimizerState()
    loss.attach(net)
    target = loss.checked(tags, (*x.shape, 3), lengths)
    losses, before = [], net[-1].flat_parameters.copy()
    for _ in range(60):
        y, _, tape = net.forward(x, lengths=lengths)
        flat, grads = net.zeros_like_parameters()
        found = loss.compute(y, target, lengths, grads={name: grads[f"2.{name}"] for name in loss.layer.parameters()})
        net.backward(tape, found.gradient, grads=grads)
        optimizer.update(net.flat_parameters, flat, state)
        losses.append(found.loss)
    assert losses[-1] < 0.6 * losses[0]
    moved = net[-1].flat_parameters != before
    assert moved.sum() == moved.size - 2
    valid = np.arange(12) < lengths[:, None]
    paths = net[-1].decode(net(x, lengths=lengths), lengths)
    right = np.concatenate(paths) == tags[valid]
    alone = net(x, lengths=lengths).argmax(axis=2)[valid] == tags[valid]
    assert right.mean() > 0.75
    assert right.mean() > alone.mean() + 0.05
    for path in paths:
        assert path[0] != 2
        assert (0, 2) not in pairwise(path)


# Bad input


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_tags": 0}, ValueError, "num_tags: expected an int of at least 1, got 0"),
        ({"num_tags": 2.0}, TypeError, "num_tags: expected an int"),
        ({"forbidden": "no"}, TypeError, r"forbidden: expected pairs \(from, to\), or None, got str"),
        ({"forbidden": 3}, TypeError, r"forbidden: expected pairs \(from, to\), or None, got int"),
        ({"forbidden": [3]}, TypeError, r"forbidden\[0\]: expected a pair \(from, to\), got 3 \(int\)"),
        ({"forbidden": ["ab"]}, TypeError, r"forbidden\[0\]: expected a pair \(from, to\), got 'ab' \(str\)"),
        ({"forbidden": [(0, 1), (0, 1, 2)]}, ValueError, r"forbidden\[1\]: expected a pair .*, got \(0, 1, 2\)"),
        ({"forbidden": [(0, 3)]}, ValueError, r"forbidden\[0\]: expected an int from 0 to 2, got 3"),
        ({"forbidden": [(0, 1.0)]}, TypeError, r"forbidden\[0\]: expected an int from 0 to 2, got 1.0"),
        ({"forbidden": [("end", 1)]}, ValueError, r"forbidden\[0\]: expected a tag or 'start' as the first"),
        ({"forbidden": [(1, "start")]}, ValueError, r"forbidden\[0\]: expected a tag or 'end' as the second"),
        ({"forbidden": [("start", "end")]}, ValueError, r"forbidden\[0\]: expected a tag on one side at least"),
        (
            {"forbidden": [("start", j) for j in range(3)]},
            ValueError,
            "forbidden: expected a tag that may be the first",
        ),
        ({"forbidden": [(j, "end") for j in range(3)]}, ValueError, "forbidden: expected a tag that may be the last"),
        ({"dtype": "float16"}, ValueError, "dtype: expected"),
    ],
)
def test_what_a_layer_does_not_take(arguments, error, message):
    with pytest.raises(error, match=message):
        clstm.CRF(**{"num_tags": 3} | arguments)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda crf: crf.decode(np.zeros((2, 4))), ValueError, r"emissions: expected shape \(N, T, 3\)"),
        (lambda crf: crf.decode(np.zeros((2, 4, 5))), ValueError, r"emissions: expected shape \(N, T, 3\)"),
        (lambda crf: crf.decode(np.zeros((2, 4, 3)), [5, 1]), ValueError, "lengths: expected a number of steps"),
        (lambda crf: crf.decode(np.zeros((2, 4, 3), complex)), TypeError, "emissions: expected an array of real"),
        (lambda crf: crf.decode([np.zeros((2, 4))]), ValueError, r"emissions\[0\]: expected shape \(T, 3\)"),
        (lambda crf: crf.decode([np.zeros((2, 3))], [2]), ValueError, "lengths: expected None, because emissions is"),
        (
            lambda crf: crf.log_likelihood(np.zeros((1, 2, 3)), [[0, 3]]),
            ValueError,
            r"tags: .* 0 to 2, got 3 at \[0, 1\]",
        ),
        (lambda crf: crf.log_likelihood(np.zeros((1, 2, 3)), [[0]]), ValueError, r"tags: expected shape \(1, 2\)"),
        (lambda crf: crf.log_likelihood(np.zeros((1, 2, 3)), [[0.0, 1]]), TypeError, "tags: expected an array of int"),
        (lambda crf: crf.log_likelihood([np.zeros((2, 3))], np.zeros((1, 2), int)), TypeError, "tags: expected a list"),
        (lambda crf: crf.log_likelihood([np.zeros((2, 3))], []), ValueError, "tags: expected 1 arrays"),
        (lambda crf: crf.log_likelihood([np.zeros((2, 3))], [[0]]), ValueError, r"tags\[0\]: expected shape \(2,\)"),
        (lambda crf: crf.log_likelihood([np.zeros((2, 3))], [[0, -1]]), ValueError, r"tags\[0\]: .* got -1 at \[1\]"),
        (lambda crf: crf.forward(np.zeros((2, 3))), ValueError, r"x: expected shape \(N, T, 3\)"),
        (
            lambda crf: crf.forward(np.zeros((2, 2, 3)), state=1),
            ValueError,
            "state: expected None, because CRF has none",
        ),
    ],
)
def test_what_the_methods_do_not_take(call, error, message):
    with pytest.raises(error, match=message):
        call(clstm.CRF(3, rng=0))


@pytest.mark.parametrize(
    ("target", "lengths", "error", "message"),
    [
        ([[0, 1, 3]], None, ValueError, r"target: expected one of 3 tags, from 0 to 2, got 3 at \[0, 2\]"),
        ([[0, -1, 3]], [2], ValueError, r"target: expected one of 3 tags, from 0 to 2, got -1 at \[0, 1\]"),
        ([[0.0, 1, 2]], None, TypeError, "target: expected an array of integers"),
        ([0, 1, 2], None, ValueError, r"target: expected shape \(1, 3\), to fit the prediction, got shape \(3,\)"),
        ([[1, 0, 2]], None, ValueError, r"target: expected a path that is not forbidden, got 2 at \[0, 2\]"),
        ([[2, 0, 0]], None, ValueError, r"target: expected a path that is not forbidden, got 2 at \[0, 0\]"),
        ([[0, 1, 9]], [2], ValueError, r"target: expected a path that is not forbidden, got 1 at \[0, 1\]"),
    ],
)
def test_what_is_no_target(target, lengths, error, message):
    crf = clstm.CRF(3, forbidden=[(0, 2), ("start", 2), (1, "end")], rng=0)
    lengths = None if lengths is None else np.array(lengths)
    with pytest.raises(error, match=message):
        loss_of(crf).checked(target, (1, 3, 3), lengths)
    assert loss_of(crf).checked([[0, 1, 2]], (1, 3, 3)).shape == (1, 3)
    loss_of(crf).checked([[0, 0, 9]], (1, 3, 3), np.array([2]))


def test_targets_are_looked_at_part_by_part(tmp_path, monkeypatch):
    monkeypatch.setattr("clstm.losses.crf.BLOCK", 20)
    target = np.memmap(tmp_path / "tags", np.uint8, "w+", shape=(50, 6))
    loss = loss_of(clstm.CRF(3, forbidden=[(0, 2)], rng=0))
    lengths = np.arange(50) % 7
    same_bits(np.asarray(loss.checked(target, (50, 6, 3), lengths)), np.asarray(target))
    target[40, 4] = 2
    with pytest.raises(ValueError, match=r"target: .* not forbidden, got 2 at \[40, 4\]"):
        loss.checked(target, (50, 6, 3), lengths)
    target[33, 4] = 7
    with pytest.raises(ValueError, match=r"target: .* got 7 at \[33, 4\]"):
        loss.checked(target, (50, 6, 3), lengths)
    lengths[33], lengths[40] = 4, 3
    loss.checked(target, (50, 6, 3), lengths)


def test_what_the_loss_does_not_take():
    with pytest.raises(ValueError, match="reduction: expected one of 'mean', 'token_mean', 'sum', got 'none'"):
        CRFLoss(reduction="none")
    emissions, tags, lengths, _ = batch("float64", *BATCHES[1])
    with pytest.raises(ValueError, match="loss: expected one that `attach` has given the CRF of a network, got none"):
        CRFLoss().compute(emissions, tags, lengths)
    with pytest.raises(
        ValueError, match=r"weight: expected shape \(3,\), a weight for each row, .*, got shape \(3, 5\)"
    ):
        loss_of(layer_of(3)).compute(emissions, tags, lengths, np.ones((3, 5)))
    with pytest.raises(ValueError, match=r"prediction: expected shape \(N, T, 3\), got shape \(3, 5, 4\)"):
        loss_of(layer_of(3)).checked(tags, (3, 5, 4), lengths)
    before = zeros(layer_of(3))
    with pytest.raises(ValueError, match="index"):
        loss_of(layer_of(3)).compute(emissions, np.full((3, 5), 3), grads=before)
    assert not any(values.any() for values in before.values())


def test_reductions_of_the_core_are_those_of_the_loss():
    assert _core.CRF_REDUCTIONS == REDUCTIONS
