"""Callbacks: what they are told, what they may do, and what stays when they fail."""

import csv
import math
import sys

import numpy as np
import pandas
import pytest

import clstm
from clstm.callbacks import (
    Callback,
    CallbackError,
    Checkpoint,
    CSVLog,
    EarlyStopping,
    LearningRateLog,
    SaveBest,
    TimeLimit,
)


def new_trainer(**options):
    net = clstm.Network([clstm.LSTM(2, 5, rng=1), clstm.Dense(5, 1, rng=2)])
    return clstm.Trainer(net, **{"rng": 0, **options})


@pytest.fixture
def data(rng):
    return rng.standard_normal((10, 6, 2)).astype(np.float32), rng.standard_normal((10, 6, 1)).astype(np.float32)


class Recorder(Callback):
    """Writes down what it is told."""

    def __init__(self):
        self.seen = []

    def on_fit_begin(self, trainer):
        self.seen.append("begin")

    def on_step_end(self, trainer, logs):
        assert logs["step"] == trainer.steps == trainer.optimizer_state.step
        assert set(logs) == {"epoch", "step", "loss", "gradient_norm", "learning_rate"}
        self.seen.append(f"step {logs['step']}")

    def on_validation_end(self, trainer, logs):
        assert logs == trainer.validations[-1]
        self.seen.append(f"validation {logs['step']}")

    def on_epoch_end(self, trainer, logs):
        assert logs == {name: values[-1] for name, values in trainer.history.items()}
        self.seen.append(f"epoch {logs['epoch']}")

    def on_fit_end(self, trainer):
        self.seen.append("end")


def test_events_come_in_their_order(data):
    recorder = Recorder()
    new_trainer().fit(*data, epochs=2, batch_size=5, validation=data, callbacks=[recorder])
    steps = ["step 1", "step 2", "validation 2", "epoch 1", "step 3", "step 4", "validation 4", "epoch 2"]
    assert recorder.seen == ["begin", *steps, "end"]


def test_validation_every_few_steps(data):
    recorder, trainer = Recorder(), new_trainer()
    history = trainer.fit(*data, epochs=2, batch_size=2, validation=data, validate_every=3, callbacks=[recorder])
    assert [entry for entry in recorder.seen if "validation" in entry] == [f"validation {k}" for k in (3, 6, 9)]
    assert [entry["epoch"] for entry in trainer.validations] == [1, 2, 2]
    assert history["val_loss"] == [trainer.validations[0]["val_loss"], trainer.validations[2]["val_loss"]]
    with pytest.raises(ValueError, match="validate_every: expected None without validation"):
        trainer.fit(*data, validate_every=3)


def test_an_epoch_without_its_own_validation_gets_one_at_its_end(data):
    trainer = new_trainer()
    trainer.fit(*data, epochs=2, batch_size=5, validation=data, validate_every=100)
    assert [entry["step"] for entry in trainer.validations] == [2, 4]


@pytest.mark.parametrize("event", ["on_step_end", "on_validation_end", "on_epoch_end"])
def test_each_event_may_stop(data, event):
    class Stop(Callback):
        pass

    setattr(Stop, event, lambda self, trainer, logs: True)
    trainer = new_trainer()
    trainer.fit(*data, epochs=9, batch_size=5, validation=data, callbacks=[Stop()])
    assert trainer.steps == (1 if event == "on_step_end" else 2)
    assert not trainer.is_unfinished


@pytest.mark.parametrize("event", ["on_fit_begin", "on_step_end", "on_validation_end", "on_epoch_end", "on_fit_end"])
def test_what_a_callback_raises_is_chained_and_training_may_go_on(data, event):
    class Fails(Callback):
        def __repr__(self):
            return "Fails()"

    def fail(self, trainer, logs=None):
        raise KeyError("why")

    setattr(Fails, event, fail)
    trainer, recorder = new_trainer(), Recorder()
    with pytest.raises(CallbackError, match=r"Fails\(\) failed .*KeyError\('why'\)") as caught:
        trainer.fit(*data, epochs=3, batch_size=5, validation=data, callbacks=[recorder, Fails()])
    assert isinstance(caught.value.__cause__, KeyError)
    assert recorder.seen[-1] == "end", "the others end in order"
    assert np.isfinite(trainer.net.flat_parameters).all()
    assert trainer.optimizer_state.step == trainer.steps
    assert len(trainer.history["loss"]) == trainer.epoch
    assert trainer.fit(*data, epochs=1)["epoch"][-1] == trainer.epoch


def test_plain_functions_and_bad_callbacks(data):
    seen = []
    new_trainer().fit(*data, epochs=2, callbacks=[lambda trainer, logs: seen.append(logs["epoch"])])
    assert seen == [1, 2]
    for bad, message in (([EarlyStopping], "got the class EarlyStopping"), (["x"], "got str"), ("x", "list or tuple")):
        with pytest.raises(TypeError, match=rf"callbacks.*{message}"):
            new_trainer().fit(*data, callbacks=bad)


# Early stopping


def test_early_stopping_restores_the_best_weights(data):
    x, y = data
    trainer, stopping = new_trainer(optimizer=clstm.Adam(0.3)), EarlyStopping(patience=4)
    best = []
    history = trainer.fit(
        x[:5],
        y[:5],
        epochs=500,
        validation=(x[5:], y[5:]),
        callbacks=[stopping, lambda trainer, logs: best.append(trainer.net.flat_parameters.copy())],
    )
    losses = history["val_loss"]
    assert len(losses) < 500
    assert stopping.best == min(losses)
    assert stopping.best_epoch == losses.index(min(losses)) + 1 == len(losses) - 4
    assert stopping.stopped_epoch == len(losses)
    np.testing.assert_array_equal(trainer.net.flat_parameters, best[stopping.best_epoch - 1])
    assert trainer.evaluate(x[5:], y[5:]) == min(losses)


def test_early_stopping_may_leave_the_last_weights(data):
    x, y = data
    trainer = new_trainer(optimizer=clstm.Adam(0.3))
    history = trainer.fit(
        x[:5],
        y[:5],
        epochs=500,
        validation=(x[5:], y[5:]),
        callbacks=[EarlyStopping(patience=4, restore_best=False)],
    )
    assert trainer.evaluate(x[5:], y[5:]) == history["val_loss"][-1] > min(history["val_loss"])


@pytest.mark.parametrize(
    ("mode", "min_delta", "values", "epochs"),
    [
        ("min", 0.0, [3, 2, 2, 2, 1], 4),
        ("max", 0.0, [1, 2, 3, 3, 3, 9], 5),
        ("min", 0.5, [3, 2.8, 2.6, 1], 3),
        ("min", 0.0, [3, math.nan, math.nan, 1], 3),
    ],
)
def test_when_early_stopping_stops(data, monkeypatch, mode, min_delta, values, epochs):
    left = iter(values)
    monkeypatch.setattr("clstm.training.loop.scores", lambda *_: {"loss": next(left)})
    trainer = new_trainer()
    stopping = EarlyStopping(patience=2, mode=mode, min_delta=min_delta, restore_best=False)
    trainer.fit(*data, epochs=len(values), validation=data, callbacks=[stopping])
    assert trainer.epoch == epochs


def test_early_stopping_by_the_loss_of_training_or_by_what_there_is_not(data):
    trainer = new_trainer(optimizer=clstm.SGD(0.0))
    trainer.fit(*data, epochs=50, callbacks=[EarlyStopping("loss", patience=3)])
    assert trainer.epoch <= 8
    with pytest.raises(CallbackError, match=r"monitor: expected one of .*loss.*got 'accuracy'"):
        new_trainer().fit(*data, epochs=3, callbacks=[EarlyStopping("accuracy")])


# Logs


def test_a_csv_log_has_a_line_for_each_epoch(data, tmp_path):
    path = tmp_path / "log.csv"
    history = new_trainer().fit(*data, epochs=3, validation=data, callbacks=[CSVLog(path)])
    with open(path, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val_loss"]) for row in rows] == history["val_loss"]
    assert set(rows[0]) == set(history)


class StopAt(Callback):
    pauses = True

    def __init__(self, steps):
        self.steps = steps

    def on_step_end(self, trainer, logs):
        return logs["step"] == self.steps


def test_logs_of_a_training_that_goes_on_from_an_older_checkpoint(data, tmp_path):
    def callbacks(steps):
        return [CSVLog(tmp_path / "log.csv"), LearningRateLog(), StopAt(steps), Checkpoint(tmp_path / "run")]

    fit = {"x": data[0], "y": data[1], "epochs": 5, "batch_size": 5}
    new_trainer().fit(**fit, callbacks=callbacks(5))
    old = (tmp_path / "run").read_bytes()
    clstm.Trainer.resume(tmp_path / "run").fit(**fit, callbacks=callbacks(8))
    (tmp_path / "run").write_bytes(old)  # the later life is lost
    again, log = clstm.Trainer.resume(tmp_path / "run"), callbacks(0)
    again.fit(**fit, callbacks=log)
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", "1", "2", "3", "4", "5"]
    assert log[1].steps == list(range(1, 11))


# Files


def test_the_best_network_is_saved(data, tmp_path):
    x, y = data
    path, trainer = tmp_path / "best.safetensors", new_trainer(optimizer=clstm.Adam(0.3))
    history = trainer.fit(x[:5], y[:5], epochs=20, validation=(x[5:], y[5:]), callbacks=[SaveBest(path)])
    found = clstm.Trainer(clstm.load(path)).evaluate(x[5:], y[5:])
    assert found == min(history["val_loss"]) < history["val_loss"][-1]


def test_checkpoints_by_the_clock(data, tmp_path):
    trainer = new_trainer()
    trainer.fit(*data, epochs=3, batch_size=2, callbacks=[Checkpoint(tmp_path / "run", seconds=1e-9, keep=100)])
    assert len(list(tmp_path.iterdir())) == trainer.steps == 15


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: EarlyStopping(patience=0), ValueError, "patience"),
        (lambda: EarlyStopping(3), TypeError, "monitor"),
        (lambda: EarlyStopping(mode="best"), ValueError, "mode: expected one of 'auto', 'min', 'max'"),
        (lambda: EarlyStopping(min_delta=-1), ValueError, "min_delta"),
        (lambda: TimeLimit(0), ValueError, "seconds"),
        (lambda: TimeLimit(None), TypeError, "seconds"),
        (lambda: Checkpoint("x", steps=0), ValueError, "steps"),
        (lambda: Checkpoint("x", keep=0), ValueError, "keep"),
        (lambda: Checkpoint("x", seconds=-1), ValueError, "seconds"),
        (lambda: Checkpoint(3), TypeError, "expected str"),
    ],
)
def test_bad_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


# The history as a table


def test_the_history_as_a_data_frame(data):
    trainer = new_trainer()
    trainer.fit(*data, epochs=3)
    frame = trainer.history_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert frame["loss"].tolist() == trainer.history["loss"]
    assert frame.index.tolist() == [1, 2, 3]


def test_without_pandas_the_data_frame_is_an_import_error_that_says_so(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="history_frame needs pandas: pip install pandas"):
        new_trainer().history_frame()
