"""Trainers with losses of whole sequences, parameters of a loss, and networks that are given the target: each learns,
goes on to the same bits, and refuses by name what does not go together."""

import numpy as np
import pytest

import clstm
from clstm import callbacks

# What is trained: a network, a loss, and data for `fit`


def ctc_task(rng, form="list"):
    """Labels that are shown for some steps each, with pauses, at unknown times."""
    x, y = [], []
    for _ in range(24):
        labels = rng.integers(1, 4, size=rng.integers(1, 4))
        steps = [symbol for label in labels for symbol in [*[label] * rng.integers(1, 3), *[0] * rng.integers(1, 3)]]
        x.append(np.eye(4, dtype=np.float32)[steps])
        y.append(labels)
    net = clstm.Network([clstm.LSTM(4, 12, rng=1), clstm.Dense(12, 4, rng=2)])
    if form == "padded":
        return net, "ctc", *padded(x), y
    return net, "ctc", x, None, y


def crf_task(rng, form="list"):
    """A tag that never follows itself, seen through noise."""
    x, y = [], []
    for _ in range(24):
        tags = np.cumsum(rng.integers(1, 3, size=rng.integers(2, 9))) % 3
        x.append((np.eye(3)[tags] + 0.7 * rng.standard_normal((len(tags), 3))).astype(np.float32))
        y.append(tags)
    net = clstm.Network([clstm.LSTM(3, 6, rng=1), clstm.Dense(6, 3, rng=2), clstm.CRF(3, rng=3)])
    if form == "padded":
        return net, "crf", *padded(x), padded(y)[0]
    return net, "crf", x, None, y


def translation_task(rng, form="list"):
    """Sequences backwards."""
    x = [rng.integers(3, 8, size=rng.integers(1, 6)) for _ in range(24)]
    y = [np.append(row[::-1], 2) for row in x]
    net = clstm.EncoderDecoder(8, 8, 8, 12, dropout=0.0, recurrent_dropout=0.1, rng=1)
    if form == "padded":
        return net, "cross_entropy", *padded(x), padded(y)[0]
    return net, "cross_entropy", x, None, y


def padded(parts):
    """One array, and the lengths."""
    lengths = np.array([len(part) for part in parts])
    found = np.zeros((len(parts), lengths.max(), *parts[0].shape[1:]), parts[0].dtype)
    for row, part in zip(found, parts, strict=True):
        row[: len(part)] = part
    return found, lengths


TASKS = {"ctc": ctc_task, "crf": crf_task, "translation": translation_task}


@pytest.fixture(params=TASKS)
def task(request):
    return TASKS[request.param]


def trained(task, form, epochs=4, **options):
    net, loss, x, lengths, y = task(np.random.default_rng(0), form)
    trainer = clstm.Trainer(net, loss, clstm.Adam(0.03), rng=3, **options)
    trainer.fit(x, y, lengths=lengths, epochs=epochs, batch_size=5, validation=(x, y, lengths), max_padding=0.5)
    return trainer


def test_lists_are_padded_arrays_with_lengths(task):
    one, other = trained(task, "list"), trained(task, "padded")
    np.testing.assert_array_equal(one.net.flat_parameters, other.net.flat_parameters)
    assert one.history["val_loss"] == other.history["val_loss"]


def test_it_learns(task):
    losses = trained(task, "list", epochs=40).history["val_loss"]
    assert losses[-1] < losses[0] / 3


def test_every_parameter_is_trained(task):
    net = task(np.random.default_rng(0))[0]
    before = {name: values.copy() for name, values in net.parameters().items()}
    after = trained(task, "list").net.parameters()
    assert all((after[name] != values).any() for name, values in before.items())


class StopAt(callbacks.Callback):
    pauses = True

    def __init__(self, steps):
        self.steps = steps

    def on_step_end(self, trainer, logs):
        return logs["step"] == self.steps


def test_it_goes_on_to_the_same_bits(task, tmp_path):
    net, loss, x, lengths, y = task(np.random.default_rng(0))
    fit = {"x": x, "y": y, "lengths": lengths, "epochs": 3, "batch_size": 5, "validation": (x, y, lengths)}
    whole = clstm.Trainer(net, loss, rng=3)
    paused = clstm.Trainer(task(np.random.default_rng(0))[0], loss, rng=3)
    whole.fit(**fit, callbacks=[StopAt(0)])
    paused.fit(**fit, callbacks=[StopAt(7)])
    paused.save(tmp_path / "run")
    again = clstm.Trainer.resume(tmp_path / "run")
    again.fit(**fit, callbacks=[StopAt(0)])
    np.testing.assert_array_equal(again.net.flat_parameters, whole.net.flat_parameters)
    assert again.history["val_loss"] == whole.history["val_loss"]


def test_accumulated_batches_are_one_large_batch(task):
    """Also of the gradients that a loss has of its own."""
    found = []
    for batch_size, accumulate in ((12, 1), (4, 3)):
        net, loss, x, lengths, y = task(np.random.default_rng(0), "padded")
        if task is translation_task:
            net = clstm.EncoderDecoder(8, 8, 8, 12, rng=1)
        trainer = clstm.Trainer(net, loss, clstm.SGD(0.1), accumulate=accumulate, rng=3)
        trainer.fit(x, y, lengths=lengths, epochs=1, batch_size=batch_size, shuffle=False)
        found.append(net.flat_parameters.copy())
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-6)


def test_weights_of_rows(task):
    net, loss, x, lengths, y = task(np.random.default_rng(0))
    trainer = clstm.Trainer(net, loss, rng=3)
    weight = np.zeros(24)
    weight[[2, 5]] = 1, 3
    three = trainer.evaluate([x[k] for k in (2, 5)], [y[k] for k in (2, 5)], sample_weight=[1, 3])
    assert trainer.evaluate(x, y, lengths, sample_weight=weight) == pytest.approx(three, rel=1e-6)


def test_what_cannot_be_cut_is_refused():
    for task in TASKS.values():
        net, loss, x, lengths, y = task(np.random.default_rng(0))
        with pytest.raises(ValueError, match="bptt: expected None"):
            clstm.Trainer(net, loss, bptt=2).fit(x, y, lengths=lengths)


def test_sequences_without_a_step_have_no_influence():
    net, loss, x, _, y = crf_task(np.random.default_rng(0))
    empty = np.zeros((0, 3), np.float32)
    trainer = clstm.Trainer(net, loss, rng=3)
    expected = trainer.evaluate(x[:4], y[:4], sample_weight=[1, 1, 1, 1])
    found = trainer.evaluate(
        [*x[:2], empty, *x[2:4]], [*y[:2], np.zeros(0, int), *y[2:4]], sample_weight=[1, 1, 0, 1, 1]
    )
    assert found == pytest.approx(expected, rel=1e-6)
    trainer.fit([*x[:4], empty], [*y[:4], np.zeros(0, int)], epochs=1, batch_size=2)
    assert np.isfinite(net.flat_parameters).all()


def test_masks_with_holes_are_refused_where_sequences_count_as_wholes():
    for task in (ctc_task, crf_task):
        net, loss, x, lengths, y = task(np.random.default_rng(0), "padded")
        mask = np.arange(x.shape[1]) < lengths[:, np.newaxis]
        with pytest.raises(ValueError, match="mask: expected None, because of the loss"):
            clstm.Trainer(net, loss).fit(x, y, mask=mask)
    net, loss, x, lengths, y = translation_task(np.random.default_rng(0), "padded")
    with pytest.raises(ValueError, match="mask: expected None, because this network is given the target"):
        clstm.Trainer(net, loss).fit(x, y, mask=x > 0)


def test_a_loss_with_parameters_needs_their_layer():
    net = clstm.Network([clstm.LSTM(3, 6, rng=1), clstm.Dense(6, 3, rng=2)])
    with pytest.raises(ValueError, match="net: expected a network whose last layer is a CRF"):
        clstm.Trainer(net, "crf")


def test_labels_longer_than_the_input_allows_are_named():
    net, loss, x, _, y = ctc_task(np.random.default_rng(0))
    y[7] = np.ones(40, int)
    with pytest.raises(ValueError, match=r"y.*7"):
        clstm.Trainer(net, loss).fit(x, y)


def test_a_crf_decodes_better_than_its_emissions():
    trainer = trained(crf_task, "list", epochs=40)
    _, _, x, _, y = crf_task(np.random.default_rng(1))
    crf, emissions = trainer.net.layers[-1], trainer.predict(x)
    right = np.mean(np.concatenate(crf.decode(emissions)) == np.concatenate(y))
    alone = np.mean(np.concatenate([row.argmax(axis=1) for row in emissions]) == np.concatenate(y))
    assert right > alone


def test_error_rates_of_ctc_and_accuracy_of_translations():
    trainer = trained(ctc_task, "list", epochs=40, metrics=["cer"])
    assert trainer.history["val_cer"][-1] < 0.2 < trainer.history["val_cer"][0]
    trainer = trained(translation_task, "list", epochs=60, metrics=["accuracy"])
    assert trainer.history["val_accuracy"][-1] > 0.9 > trainer.history["val_accuracy"][0]


def test_scheduled_sampling_goes_on_to_the_same_bits():
    def new():
        net, loss, x, _, y = translation_task(np.random.default_rng(0))
        net.scheduled = 0.4
        return clstm.Trainer(net, loss, rng=3), x, y

    (one, x, y), (other, *_) = new(), new()
    one.fit(x, y, epochs=2, batch_size=5)
    other.fit(x, y, epochs=2, batch_size=5, callbacks=[StopAt(3)])
    other.fit(x, y, epochs=2, batch_size=5, callbacks=[StopAt(3)])
    np.testing.assert_array_equal(one.net.flat_parameters, other.net.flat_parameters)


def test_a_network_that_needs_the_target_predicts_by_its_own_methods():
    net, loss, x, _, y = translation_task(np.random.default_rng(0))
    trainer = clstm.Trainer(net, loss)
    with pytest.raises(TypeError, match="greedy, beam and sample"):
        trainer.predict(x)
    with pytest.raises(ValueError, match=r"y: expected 24 rows, as x has, got 23"):
        trainer.fit(x, y[:23])
    bad = [*x[:3], np.array([9]), *x[4:]]
    with pytest.raises(ValueError, match=r"x: expected an index from 0 to 7, got 9 at \[3, 0\]"):
        trainer.fit(bad, y)
