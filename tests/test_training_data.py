"""What a trainer takes as data: lists, masks, weights, iterables, memory-mapped arrays, batches of similar length."""

import copy
import tracemalloc

import numpy as np
import pytest

import clstm
from clstm.training.data import Arrays, Fit
from clstm.training.order import Plan


def follower(rng=1, **options):
    """Sequences of 2 features to sequences of 1."""
    return clstm.Network([clstm.LSTM(2, 5, rng=rng, **options), clstm.Dense(5, 1, rng=rng)])


def reader():
    """Sequences of 2 features to one vector of 3."""
    return clstm.Network([clstm.LSTM(2, 5, rng=1), clstm.Pool("mean"), clstm.Dense(5, 3, rng=2)])


def tagger():
    """Indices to scores of 3 classes, at each step."""
    return clstm.Network([clstm.Embedding(6, 4, rng=0), clstm.LSTM(4, 5, rng=1), clstm.Dense(5, 3, rng=2)])


LENGTHS = np.array([6, 1, 3, 4, 6, 2, 3, 5])


def padded(rng, N=8, T=6):
    return rng.standard_normal((N, T, 2)).astype(np.float32), rng.standard_normal((N, T, 1)).astype(np.float32)


def as_list(array, lengths=LENGTHS):
    return [row[:steps] for row, steps in zip(array, lengths, strict=True)]


def same_training(make, one, other, **options):
    """Whether two calls of fit, by their arguments, train to the same bits."""
    trainers = [clstm.Trainer(make(), rng=5, **options) for _ in range(2)]
    histories = [trainer.fit(**arguments) for trainer, arguments in zip(trainers, (one, other), strict=True)]
    np.testing.assert_array_equal(trainers[0].net.flat_parameters, trainers[1].net.flat_parameters)
    assert histories[0]["loss"] == histories[1]["loss"]
    assert histories[0].get("val_loss") == histories[1].get("val_loss")


# Lists


@pytest.mark.parametrize("bptt", [None, 2])
def test_lists_are_padded_arrays_with_lengths(rng, bptt):
    x, y = padded(rng)
    common = {"epochs": 2, "batch_size": 3}
    same_training(
        follower,
        {"x": x, "y": y, "lengths": LENGTHS, "validation": (x, y, LENGTHS), **common},
        {"x": as_list(x), "y": as_list(y), "validation": (as_list(x), as_list(y)), **common},
        bptt=bptt,
    )


def test_lists_of_a_network_that_removes_time(rng):
    x, _ = padded(rng)
    y = rng.standard_normal((8, 3))
    weight = rng.random(8)
    same_training(
        reader,
        {"x": x, "y": y, "lengths": LENGTHS, "sample_weight": weight, "batch_size": 3},
        {"x": as_list(x), "y": y, "sample_weight": weight, "batch_size": 3},
    )


def test_lists_of_symbols_and_classes(rng):
    x, y = rng.integers(6, size=(8, 6)), rng.integers(3, size=(8, 6))
    same_training(
        tagger,
        {"x": x, "y": y, "lengths": LENGTHS, "batch_size": 3},
        {"x": as_list(x), "y": as_list(y), "batch_size": 3},
        loss="cross_entropy",
    )


def test_predictions_of_lists_are_lists(rng):
    x, _ = padded(rng)
    trainer = clstm.Trainer(follower(), rng=0)
    whole = trainer.predict(x, lengths=LENGTHS)
    for found, expected in zip(trainer.predict(as_list(x), batch_size=3), as_list(whole), strict=True):
        np.testing.assert_array_equal(found, expected)
    trainer = clstm.Trainer(reader(), rng=0)
    np.testing.assert_array_equal(trainer.predict(as_list(x), batch_size=3), trainer.predict(x, lengths=LENGTHS))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"y": np.ones((8, 6, 1))}, ValueError, "y: expected a list of 8 arrays, as x is one, got ndarray"),
        ({"y": [np.ones((6, 1))] * 7}, ValueError, "y: expected a list of 8 arrays.*got 7 of them"),
        ({"y": [np.ones((6, 1))] * 8}, ValueError, r"y\[1\]: expected shape \(1, 1\), to fit x\[1\]"),
        ({"x": [np.ones((6, 3))] * 8}, ValueError, r"x\[0\]: expected shape \(T, 2\)"),
        ({"lengths": LENGTHS}, ValueError, "lengths: expected None, because x is a list"),
        ({"mask": np.ones((8, 6), bool)}, ValueError, "mask: expected None, because x is a list"),
        ({"x": [np.ones((0, 2))] * 8}, ValueError, "x: expected at least one step"),
        ({"sample_weight": [1.0] * 7}, ValueError, "sample_weight"),
    ],
)
def test_bad_lists_are_named(rng, change, error, message):
    x, y = padded(rng)
    trainer = clstm.Trainer(follower(), rng=0)
    with pytest.raises(error, match=message):
        trainer.fit(**{"x": as_list(x), "y": as_list(y), **change})
    assert trainer.steps == 0


# Weights and masks


def test_weights_of_rows_are_repetitions(rng):
    """In the full batch: a row of weight 3 counts as three of them."""
    x, y = padded(rng)
    weight = np.array([1, 3, 0, 2, 1, 1, 1, 1])
    repeated = np.repeat(np.arange(8), weight)
    one, other = clstm.Trainer(follower(), rng=0), clstm.Trainer(follower(), rng=0)
    first = one.step(x, y, sample_weight=weight)
    second = other.step(x[repeated], y[repeated])
    assert first == pytest.approx(second, rel=1e-6)
    np.testing.assert_allclose(one.net.flat_parameters, other.net.flat_parameters, rtol=1e-3, atol=1e-5)
    assert one.evaluate(x, y, sample_weight=weight) == pytest.approx(one.evaluate(x[repeated], y[repeated]), rel=1e-6)


def test_a_mask_of_lengths_is_lengths(rng):
    x, y = padded(rng)
    mask = np.arange(6) < LENGTHS[:, np.newaxis]
    one, other = clstm.Trainer(follower(), rng=0), clstm.Trainer(follower(), rng=0)
    first = one.fit(x, y, lengths=LENGTHS, epochs=2, batch_size=3)
    second = other.fit(x, y, mask=mask, epochs=2, batch_size=3)
    np.testing.assert_allclose(first["loss"], second["loss"], rtol=1e-6)
    np.testing.assert_allclose(one.net.flat_parameters, other.net.flat_parameters, rtol=1e-4, atol=1e-6)


def test_steps_outside_of_a_mask_are_as_if_they_were_not_there(rng):
    x, y = padded(rng)
    mask = rng.random((8, 6)) < 0.6
    mask[:, 0] = True
    dirty = x.copy(), y.copy()
    dirty[0][~mask], dirty[1][~mask] = 7, -1e6
    trainers = [clstm.Trainer(follower(), rng=0) for _ in range(2)]
    for trainer, (one_x, one_y) in zip(trainers, ((x, y), dirty), strict=True):
        trainer.fit(one_x, one_y, mask=mask, epochs=2, batch_size=3)
    np.testing.assert_array_equal(*(trainer.net.flat_parameters for trainer in trainers))
    assert trainers[0].evaluate(x, y, mask=mask) == trainers[0].evaluate(*dirty, mask=mask)
    np.testing.assert_array_equal(trainers[0].predict(x, mask=mask), trainers[0].predict(dirty[0], mask=mask))


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        (np.ones(7), ValueError, "sample_weight: .*8"),
        (-np.ones(8), ValueError, "sample_weight: "),
        (np.zeros(8), ValueError, "sample_weight: "),
        (np.full(8, np.nan), ValueError, "sample_weight: "),
        (np.ones(8, complex), TypeError, "sample_weight: "),
    ],
)
def test_bad_weights_are_named(rng, weight, error, message):
    x, y = padded(rng)
    trainer = clstm.Trainer(follower(), rng=0)
    for call in (trainer.fit, trainer.step, trainer.evaluate):
        with pytest.raises(error, match=message):
            call(x, y, sample_weight=weight)


# Iterables of batches


def batches_of(x, y, size=3):
    return [(x[start : start + size], y[start : start + size]) for start in range(0, len(x), size)]


@pytest.mark.parametrize("form", ["list", "callable", "epochs", "dicts"])
def test_iterables_of_batches(rng, form):
    x, y = padded(rng)
    batches, seen = batches_of(x, y), []

    def numbered(epoch):
        seen.append(epoch)
        return iter(batches)

    given = {
        "list": batches,
        "callable": lambda: iter(batches),
        "epochs": numbered,
        "dicts": [{"x": one, "y": other} for one, other in batches],
    }[form]
    same_training(
        follower,
        {"x": x, "y": y, "shuffle": False, "batch_size": 3, "epochs": 3, "validation": (x, y)},
        {"x": given, "epochs": 3, "validation": (x, y)},
    )
    assert seen == ([1, 2, 3] if form == "epochs" else [])


def test_an_iterator_is_used_up_epoch_by_epoch(rng):
    x, y = padded(rng)
    same_training(
        follower,
        {"x": x[:6], "y": y[:6], "shuffle": False, "batch_size": 2, "epochs": 1},
        {"x": iter(batches_of(x, y, 2)), "epochs": 1, "steps_per_epoch": 3},
    )
    with pytest.raises(ValueError, match="x: expected a source of 3 batches in each epoch, got one that ends after 1"):
        clstm.Trainer(follower()).fit(iter(batches_of(x, y, 2)), epochs=2, steps_per_epoch=3)


def test_an_iterable_to_validate_with(rng):
    x, y = padded(rng)
    trainer = clstm.Trainer(follower(), rng=0)
    history = trainer.fit(x, y, epochs=2, validation=lambda: iter(batches_of(x, y)))
    assert history["val_loss"][-1] == pytest.approx(trainer.evaluate(x, y), rel=1e-12)
    with pytest.raises(ValueError, match="validation: expected an iterable that can be gone through again"):
        trainer.fit(x, y, validation=iter(batches_of(x, y)))


@pytest.mark.parametrize(
    ("batches", "error", "message"),
    [
        ([], ValueError, "x: expected a source of at least one batch, got one that ends after 0"),
        (
            [(np.ones((2, 3, 2)), np.ones((2, 3, 1))), (np.ones((2, 3, 4)), np.ones((2, 3, 1)))],
            ValueError,
            "in batch 2 of",
        ),
        (
            [(np.ones((2, 3, 2)), np.ones((2, 4, 1)))],
            ValueError,
            r"in batch 1 of the source: y: expected shape \(2, 3, 1\)",
        ),
        ([np.ones((2, 3, 2))], TypeError, r"x, batch 1: expected \(x, y\)"),
        ([{"x": np.ones((2, 3, 2))}], ValueError, "x, batch 1: expected x, y"),
        ([(np.ones((2, 3, 2)),) * 5], TypeError, "x, batch 1: .*got 5 entries"),
    ],
)
def test_sources_that_end_early_or_change_shape_are_named(batches, error, message):
    trainer = clstm.Trainer(follower(), rng=0)
    with pytest.raises(error, match=message):
        trainer.fit(batches)
    assert np.isfinite(trainer.net.flat_parameters).all()


def test_arguments_that_iterables_have_themselves_are_refused(rng):
    x, y = padded(rng)
    trainer = clstm.Trainer(follower(), rng=0)
    with pytest.raises(ValueError, match="lengths: expected None, because x is an iterable"):
        trainer.fit(batches_of(x, y), lengths=LENGTHS)
    with pytest.raises(ValueError, match="steps_per_epoch: expected None"):
        trainer.fit(x, y, steps_per_epoch=3)
    with pytest.raises(TypeError, match="y: expected targets"):
        trainer.fit(x)


# Memory-mapped arrays


def peak_of(call):
    """Bytes that a call allocates at most."""
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def mapped(folder, name, array):
    array.tofile(folder / name)
    return np.memmap(folder / name, array.dtype, "r", shape=array.shape)


def test_memory_mapped_arrays_are_read_by_batches(rng, tmp_path):
    x, y = padded(rng, N=40_000, T=20)
    maps = mapped(tmp_path, "x", x), mapped(tmp_path, "y", y)
    common = {"epochs": 1, "batch_size": 100, "progress": False}
    trainers = [clstm.Trainer(follower(), rng=0, bptt=10) for _ in range(2)]
    trainers[0].fit(x, y, **common)
    assert peak_of(lambda: trainers[1].fit(*maps, **common)) < x.nbytes / 2
    np.testing.assert_array_equal(*(trainer.net.flat_parameters for trainer in trainers))


def test_checks_of_a_memory_mapped_array_make_no_copy_of_it(rng, tmp_path):
    rows, steps = 3000, 1000
    x = mapped(tmp_path, "x", np.zeros((rows, steps), np.int64))
    trainer = clstm.Trainer(tagger(), loss="cross_entropy", rng=0)
    assert peak_of(lambda: Arrays(Fit(trainer.net, trainer.loss), x, x)) < x.nbytes / 2


# Orders


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("max_padding", [None, 0.0, 0.1, 1.0])
def test_every_row_is_taken_once_and_padding_is_bounded(rng, shuffle, max_padding):
    lengths = rng.integers(0, 40, size=517)
    for seed in range(3):
        batches = Plan(16, shuffle, max_padding).batches(517, lengths, np.random.default_rng(seed))
        taken = [np.arange(517)[batch] for batch in batches]
        assert sorted(np.concatenate(taken)) == list(range(517))
        assert max(map(len, taken)) <= 16
        if max_padding is not None:
            for batch in taken:
                cells = lengths[batch].max() * len(batch)
                assert cells - lengths[batch].sum() <= max_padding * cells + 1e-9


def test_batches_of_similar_length_are_few_and_in_random_order(rng):
    lengths = rng.integers(20, 40, size=1000)
    batches = Plan(16, True, 0.1).batches(1000, lengths, np.random.default_rng(0))
    assert len(batches) < 1.3 * 1000 / 16
    longest = np.array([lengths[batch].max() for batch in batches])
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.3
    again = Plan(16, True, 0.1).batches(1000, lengths, np.random.default_rng(0))
    assert all((one == other).all() for one, other in zip(batches, again, strict=True))
    other = Plan(16, True, 0.1).batches(1000, lengths, np.random.default_rng(1))
    assert any(len(one) != len(two) or (one != two).any() for one, two in zip(batches, other, strict=False))


def test_training_with_batches_of_similar_length(rng):
    x, y = padded(rng, N=8)
    trainer = clstm.Trainer(follower(), rng=0)
    history = trainer.fit(x, y, lengths=LENGTHS, epochs=2, batch_size=3, max_padding=0.0)
    assert trainer.steps == 2 * len(set(LENGTHS.tolist()))
    assert np.isfinite(history["loss"]).all()
    with pytest.raises(ValueError, match="max_padding: expected a number from 0 to 1"):
        trainer.fit(x, y, lengths=LENGTHS, max_padding=1.5)


# Accumulated gradients


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "padded"])
@pytest.mark.parametrize("loss", ["mse", clstm.losses.MSE(reduction="sum")], ids=["mean", "sum"])
def test_accumulated_batches_are_one_large_batch(rng, loss, lengths):
    x, y = padded(rng)
    net = clstm.Network([clstm.LSTM(2, 5, dtype="float64", rng=1), clstm.Dense(5, 1, dtype="float64", rng=2)])
    large = clstm.Trainer(net, copy.deepcopy(loss), optimizer=clstm.SGD(0.01), clip_norm=0.5, rng=0)
    parts = clstm.Trainer(
        copy.deepcopy(net), copy.deepcopy(loss), optimizer=clstm.SGD(0.01), clip_norm=0.5, accumulate=3, rng=0
    )
    expected = large.fit(x, y, lengths=lengths, epochs=2, batch_size=6, shuffle=False)
    found = parts.fit(x, y, lengths=lengths, epochs=2, batch_size=2, shuffle=False)
    assert parts.steps == large.steps == 4
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-12)
    np.testing.assert_allclose(found["gradient_norm"], expected["gradient_norm"], rtol=1e-10)
    np.testing.assert_allclose(parts.net.flat_parameters, large.net.flat_parameters, rtol=1e-10, atol=1e-12)


def test_batches_of_an_iterable_that_wait_at_its_end_make_a_step(rng):
    x, y = padded(rng)
    same_training(
        follower,
        {"x": x, "y": y, "shuffle": False, "batch_size": 2, "epochs": 2},
        {"x": batches_of(x, y, 2), "epochs": 2},
        accumulate=3,
    )
    trainer = clstm.Trainer(follower(), accumulate=3, rng=0)
    trainer.fit(batches_of(x, y, 2), epochs=2)
    assert trainer.steps == 4


def test_metrics_of_an_epoch_that_failed_do_not_count(rng):
    x, y = padded(rng)
    bad = y.copy()
    bad[7] = np.nan
    trainer = clstm.Trainer(follower(), optimizer=clstm.SGD(0.0), metrics=["mae"], rng=0)
    with pytest.raises(FloatingPointError, match="epoch 1, batch 4"):
        trainer.fit(x, bad, batch_size=2, shuffle=False)
    found = trainer.fit(x, y, epochs=1, batch_size=3)["mae"]
    assert found == [pytest.approx(trainer.score(x, y)["mae"], rel=1e-9)]


def test_accumulation_and_pieces_of_time_are_refused():
    with pytest.raises(ValueError, match="accumulate: expected 1, because with bptt"):
        clstm.Trainer(follower(), accumulate=2, bptt=3)
    with pytest.raises(ValueError, match="accumulate: expected an int of at least 1, got 0"):
        clstm.Trainer(follower(), accumulate=0)


# Clipping, schedules


def test_clipping_of_all_kinds(rng):
    x, y = padded(rng)
    seen = []

    class Recorder(clstm.optimizers.Optimizer):
        def update(self, weights, gradient, state):
            seen.append(gradient.copy())
            state.step += 1

    net = follower()
    for options in ({}, {"clip_value": 1e-3}, {"clip_each_norm": 1e-2}, {"clip_norm": 1e-2}):
        clstm.Trainer(net, optimizer=Recorder(), **options).step(x, y)
    plain, by_value, each, joint = seen
    np.testing.assert_array_equal(by_value, np.clip(plain, -1e-3, 1e-3))
    assert np.linalg.norm(joint) == pytest.approx(1e-2, rel=1e-3)
    start = 0
    for values in net.parameters().values():
        own, before = each[start : start + values.size], plain[start : start + values.size]
        start += values.size
        assert np.linalg.norm(own) == pytest.approx(min(1e-2, np.linalg.norm(before)), rel=1e-3)


@pytest.mark.parametrize("per", ["step", "epoch"])
def test_schedules_count_steps_or_epochs(rng, per):
    x, y = padded(rng)
    schedule = clstm.schedules.Function(lambda count: 1 / (1 + count), per=per)
    log = clstm.callbacks.LearningRateLog()
    trainer = clstm.Trainer(follower(), learning_rate=0.1, schedule=schedule, rng=0)
    history = trainer.fit(x, y, epochs=2, batch_size=4, callbacks=[log])
    counts = [0, 1, 2, 3] if per == "step" else [0, 0, 1, 1]
    np.testing.assert_allclose(log.rates, [0.1 / (1 + count) for count in counts])
    np.testing.assert_allclose(history["learning_rate"], [log.rates[1], log.rates[3]])


def test_a_plateau_lowers_the_rate(rng):
    x, y = padded(rng)
    schedule = clstm.schedules.ReduceOnPlateau(factor=0.5, patience=1)
    trainer = clstm.Trainer(follower(), optimizer=clstm.SGD(0.0), schedule=schedule, rng=0)
    trainer.optimizer.learning_rate = 0
    trainer.fit(x, y, epochs=6, validation=(x, y))
    assert trainer.optimizer_state.rate < 1
