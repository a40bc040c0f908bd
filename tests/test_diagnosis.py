"""What `diagnose` says of networks that are wrong in a known way, and the learning-rate finder."""

import numpy as np
import pytest
from matplotlib.figure import Figure

import clstm
from clstm import plot


@pytest.fixture
def data(rng):
    x = rng.standard_normal((40, 30, 2)).astype(np.float32)
    return x, np.cumsum(x[:, :, :1], axis=1) / 5


def new_trainer(layer=None, **options):
    layer = clstm.LSTM(2, 12, rng=1) if layer is None else layer
    net = clstm.Network([layer, clstm.Dense(layer.output_size, 1, rng=2)])
    return clstm.Trainer(net, **{"rng": 0, **options})


def kinds(trainer, data, **options):
    return {finding.kind for finding in trainer.diagnose(*data, **options).findings}


def test_nothing_looks_wrong_in_a_usual_training(data):
    trainer = new_trainer()
    assert kinds(trainer, data) == set()
    trainer.fit(*data, epochs=5)
    found = trainer.diagnose(*data)
    assert found.findings == []
    assert str(found).endswith("nothing looks wrong")
    assert set(found.parameters) == set(trainer.net.parameters())


def test_it_changes_nothing(data):
    trainer = new_trainer(layer=clstm.LSTM(2, 12, dropout=0.0, recurrent_dropout=0.2, rng=1), clip_norm=0.1)
    trainer.fit(*data, epochs=1)
    before = trainer.net.flat_parameters.copy(), trainer.rng.bit_generator.state, trainer.optimizer_state.copy()
    trainer.diagnose(*data)
    trainer.find_learning_rate(*data, steps=20)
    np.testing.assert_array_equal(trainer.net.flat_parameters, before[0])
    assert trainer.rng.bit_generator.state == before[1]
    assert trainer.optimizer_state.numbers() == before[2].numbers()
    assert (trainer.steps, trainer.epoch) == (2, 1)


@pytest.mark.parametrize(("rate", "size"), [(30.0, "large"), (1e-9, "small")])
def test_a_learning_rate_far_off(data, rate, size):
    (finding,) = new_trainer(learning_rate=rate).diagnose(*data).findings
    assert finding.kind == "learning rate"
    assert f"probably too {size}" in finding.text


def test_the_report_of_parameters_is_that_of_a_step(data):
    trainer = new_trainer(optimizer=clstm.SGD(0.1))
    before = {name: values.copy() for name, values in trainer.net.parameters().items()}
    found = trainer.diagnose(*data)
    loss = trainer.step(*data)
    assert found.loss == pytest.approx(loss, rel=1e-6)
    for name, values in trainer.net.parameters().items():
        report = found.parameters[name]
        assert report.update == pytest.approx(np.linalg.norm(values - before[name]), rel=1e-3)
        assert report.gradient == pytest.approx(report.update / 0.1, rel=1e-3)
    assert found.gradient_norm == pytest.approx(
        np.sqrt(sum(report.gradient**2 for report in found.parameters.values())), rel=1e-5
    )


def test_a_parameter_that_is_not_finite(data):
    trainer = new_trainer()
    trainer.net.parameters()["0.weight_hh_l0"][3, 1] = np.nan
    (finding,) = trainer.diagnose(*data).findings
    assert (finding.kind, finding.place) == ("not finite", "0.weight_hh_l0")
    assert "1 of 576 values" in finding.text


def test_a_gradient_that_vanishes_and_one_that_explodes(data):
    x = data[0]
    for scale, kind in ((0.2, "vanishing gradient"), (3.0, "exploding gradient")):
        rnn = clstm.RNN(2, 8, activation="identity", rng=1)
        rnn.parameters()["weight_hh_l0"][...] = scale * np.eye(8)
        net = clstm.Network([rnn, clstm.Pool("last"), clstm.Dense(8, 1, rng=2)])
        trainer = clstm.Trainer(net, rng=0)
        found = trainer.diagnose(0.01 * x, np.ones((40, 1))).findings
        assert kind in {finding.kind for finding in found}, found


def test_gates_that_are_saturated_and_units_that_do_nothing(data):
    layer = clstm.LSTM(2, 12, init={"bias.o": -30.0}, rng=1)
    found = new_trainer(layer).diagnose(*data).findings
    assert any(finding.kind == "saturated gate" and finding.place == "layer 0, o" for finding in found)
    layer = clstm.LSTM(2, 12, rng=1)
    trainer = new_trainer(layer)
    for name in ("0.weight_ih_l0", "0.weight_hh_l0"):
        gate = trainer.net.parameters()[name].reshape(4, 12, -1)
        gate[:, 5] = 0
    (finding,) = (one for one in trainer.diagnose(*data).findings if one.kind == "dead units")
    assert "1 of 12 units hardly move" in finding.text


def test_open_forget_gates_are_no_finding(data):
    layer = clstm.LSTM(2, 12, init={"bias.f": 8.0}, rng=1)
    assert "saturated gate" not in kinds(new_trainer(layer), data)


def test_what_the_history_tells(data):
    trainer = new_trainer(clip_norm=1e-4)
    trainer.fit(*data, epochs=1)
    assert "clipping" in kinds(trainer, data)
    trainer = new_trainer()
    trainer.history |= {"loss": [3.0, 1.0, 2.0], "gradient_norm": [1.0] * 3}
    assert "divergence" in kinds(trainer, data)
    trainer.history |= {"loss": [5, 4, 3, 2, 1, 0.5], "val_loss": [5.0, 4, 3, 4, 5, 6], "gradient_norm": [1.0] * 6}
    assert kinds(trainer, data) == {"overfitting"}


def test_parameters_that_learn_nothing(data):
    net = clstm.Network([clstm.Embedding(10, 4, rng=0), clstm.LSTM(4, 8, rng=1), clstm.Dense(8, 3, rng=2)])
    trainer = clstm.Trainer(net, "cross_entropy", rng=0)
    x, y = np.zeros((4, 6), int), np.zeros((4, 6), int)
    assert "no gradient" not in kinds(trainer, (x, y))
    net = clstm.Network([clstm.LSTM(2, 8, rng=1), clstm.Pool("last"), clstm.Dense(8, 1, rng=2)])
    trainer = clstm.Trainer(net, rng=0)
    assert "no gradient" in kinds(trainer, (np.zeros((4, 5, 2)), np.ones((4, 1))))


@pytest.mark.parametrize("options", [{"lengths": [30] * 20 + [3] * 20}, {"rows": 4}])
def test_lengths_and_few_rows(data, options):
    assert kinds(new_trainer(), data, **options) == set()


# The learning-rate finder


def test_the_suggestion_is_one_that_trains(data):
    trainer = new_trainer()
    found = trainer.find_learning_rate(*data)
    assert 1e-3 < found.suggestion < 1
    assert len(found.rates) == len(found.losses) == len(found.smoothed)
    assert (np.diff(found.rates) > 0).all()
    trainer.optimizer.learning_rate = found.suggestion
    history = trainer.fit(*data, epochs=10)
    assert history["loss"][-1] < history["loss"][0] / 2


def test_the_search_ends_where_training_fails(data):
    found = new_trainer(optimizer="sgd").find_learning_rate(*data, low=1e-3, high=1e9, steps=200)
    assert found.rates[-1] < 1e8
    assert np.isfinite(found.losses).all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"low": 0}, ValueError, "low: expected a positive number"),
        ({"low": 1.0, "high": 0.5}, ValueError, "high: expected a number above low, which is 1.0"),
        ({"low": "a"}, TypeError, "low"),
        ({"steps": 0}, ValueError, "steps"),
        ({"steps": 19}, ValueError, "steps: expected at least 20, got 19"),
        ({"batch_size": 0}, ValueError, "batch_size"),
    ],
)
def test_bad_arguments_are_named(data, change, error, message):
    with pytest.raises(error, match=message):
        new_trainer().find_learning_rate(*data, **change)


def test_an_optimiser_without_a_rate_is_refused(data):
    class Descent(clstm.optimizers.Optimizer):
        def update(self, weights, gradient, state):
            weights -= gradient

    with pytest.raises(ValueError, match="optimizer: expected one with a learning rate"):
        new_trainer(optimizer=Descent()).find_learning_rate(*data)


def test_the_picture(data):
    found = new_trainer().find_learning_rate(*data, steps=50)
    ax = plot.learning_rates(found, ax=Figure().add_subplot())
    assert ax.get_xscale() == "log"
    labels = [text.get_text() for text in ax.legend_.get_texts()]
    assert labels == ["loss of the batch", "smoothed", f"suggestion: {found.suggestion:.2g}"]
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), found.smoothed)
