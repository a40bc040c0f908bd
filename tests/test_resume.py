"""Checkpoints: a run that was stopped, or killed at any moment, ends in the same bits as one that was not."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import resume_run

import clstm
from clstm import callbacks, safetensors
from clstm.callbacks import CallbackError, Checkpoint, EarlyStopping, StopOnInterrupt, TimeLimit
from clstm.training import checkpoint

SCRIPT = Path(resume_run.__file__)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The last weights of a run that nobody stops, and its history."""
    folder = tmp_path_factory.mktemp("undisturbed")
    trainer = resume_run.new_trainer()
    resume_run.fit(trainer, folder)
    return trainer.net.flat_parameters.copy(), trainer.history


def run_script(folder, *arguments, threads=None, kill_after=None):
    """The script in a process of its own; returns its exit code."""
    env = {**os.environ, "PYTHONPATH": str(Path(clstm.__file__).parent.parent)}
    if threads:
        env["CLSTM_TEST_THREADS"] = str(threads)
    process = subprocess.Popen([sys.executable, SCRIPT, folder, *arguments], env=env)
    try:
        return process.wait(kill_after)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def finished(folder):
    """The last weights, of a run that is gone on with until it ends."""
    assert run_script(folder) == 0
    return np.load(Path(folder) / "weights.npy")


# Killed


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("stage", ["write", "fsync", "replace", "link"])
def test_killed_while_a_checkpoint_is_written(tmp_path, undisturbed, stage):
    """Twice: at a first stage of writing, and at a later one of the run that goes on."""
    for count in ("3", "8"):
        assert run_script(tmp_path, "kill", stage, count) == -signal.SIGKILL
        if (tmp_path / "run.ckpt").exists():
            checkpoint.read(tmp_path / "run.ckpt")  # is whole
    np.testing.assert_array_equal(finished(tmp_path), undisturbed[0])
    assert not list(tmp_path.glob(".*.tmp")), "what a killed writer leaves is removed"


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_killed_at_twenty_random_moments(tmp_path, undisturbed, threads):
    """Each time a run is killed once and gone on with by another number of threads; moments are those of a clock."""
    rng = np.random.default_rng()
    started = time.monotonic()
    assert run_script(tmp_path / ".", threads=threads) == 0
    whole = time.monotonic() - started
    for k in range(10):
        folder = tmp_path / str(k)
        folder.mkdir()
        run_script(folder, threads=threads, kill_after=whole * rng.uniform(0.2, 1))
        np.testing.assert_array_equal(finished(folder), undisturbed[0])


def test_killed_again_and_again(tmp_path, undisturbed):
    """By its own hand every few files: each life is a few steps long."""
    code, lives = -signal.SIGKILL, 0
    while code == -signal.SIGKILL and lives < 20:
        code, lives = run_script(tmp_path, "kill", "replace", "9"), lives + 1
    assert lives > 3
    np.testing.assert_array_equal(finished(tmp_path), undisturbed[0])


# Stopped


def test_every_step_is_one_to_go_on_from(tmp_path, undisturbed):
    """In one process: from each of the checkpoints of a run, kept under the names of their steps."""
    trainer = resume_run.new_trainer()
    resume_run.fit(trainer, tmp_path, keep=1000)
    paths = sorted(tmp_path.glob("run.ckpt.*"), key=lambda path: int(path.suffix[1:]))
    assert len(paths) == trainer.steps - 1
    for path in paths[:: len(paths) // 12]:
        again = clstm.Trainer.resume(path)
        assert again.steps == int(path.suffix[1:])
        history = resume_run.fit(again, tmp_path, keep=1000)
        np.testing.assert_array_equal(again.net.flat_parameters, undisturbed[0])
        for name in ("loss", "val_loss", "rmse", "val_rmse", "gradient_norm", "learning_rate"):
            assert history[name] == undisturbed[1][name], name
        assert again.validations == trainer.validations


class StopAt(callbacks.Callback):
    """Stops as a time limit does, after some steps."""

    pauses = True

    def __init__(self, steps):
        self.steps = steps

    def on_step_end(self, trainer, logs):
        return logs["step"] == self.steps


def small(rng=0, **options):
    net = clstm.Network([clstm.LSTM(2, 5, dropout=0.0, rng=1), clstm.Dense(5, 1, rng=2)])
    return clstm.Trainer(net, rng=rng, **options)


X, Y = np.random.default_rng(0).standard_normal((2, 10, 6, 2)).astype(np.float32)
Y = Y[..., :1]


def test_a_fit_that_was_paused_is_gone_on_with(tmp_path):
    whole, paused = small(), small()
    expected = whole.fit(X, Y, epochs=3, batch_size=3)
    paused.fit(X, Y, epochs=3, batch_size=3, callbacks=[StopAt(6)])
    assert paused.steps == 6
    assert paused.is_unfinished
    paused.save(tmp_path / "paused")
    for trainer in (clstm.Trainer.resume(tmp_path / "paused"), paused):
        found = trainer.fit(X, Y, epochs=3, batch_size=3, callbacks=[StopAt(6)])
        assert not trainer.is_unfinished
        assert found["loss"] == expected["loss"]
        np.testing.assert_array_equal(trainer.net.flat_parameters, whole.net.flat_parameters)


def test_other_arguments_are_no_way_to_go_on():
    trainer = small()
    trainer.fit(X, Y, epochs=3, batch_size=3, callbacks=[StopAt(6)])
    steps = trainer.steps
    for change, message in (
        ({"batch_size": 4}, "batch_size: expected 3 as in the fit that was not finished"),
        ({"epochs": 2}, "epochs: expected 3"),
        ({"shuffle": False}, "shuffle: expected True"),
        ({"x": X[:9], "y": Y[:9]}, "rows: expected 10"),
        ({"callbacks": []}, "callbacks: expected"),
    ):
        with pytest.raises(ValueError, match=message):
            trainer.fit(**{"x": X, "y": Y, "epochs": 3, "batch_size": 3, "callbacks": [StopAt(6)], **change})
    assert trainer.is_unfinished
    assert trainer.steps == steps
    trainer.drop_unfinished()
    assert trainer.fit(X, Y, epochs=1, batch_size=4)["epoch"] == [1, 2]


def test_a_time_limit(tmp_path):
    trainer = small()
    trainer.fit(X, Y, epochs=10**6, batch_size=3, callbacks=[TimeLimit(0.2)])
    assert 0 < trainer.steps
    assert trainer.epoch < 10**6
    assert trainer.is_unfinished


def interrupting(step):
    """A callback that presses Ctrl-C in the middle of a training."""

    class Interrupting(callbacks.Callback):
        def on_step_end(self, trainer, logs):
            if logs["step"] == step:
                signal.raise_signal(signal.SIGINT)

    return Interrupting()


@pytest.fixture
def ctrl_c():
    """Ctrl-C is noticed, also in a process that was started in the background, where a shell has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_waits_for_the_end_of_a_step(tmp_path, capsys):
    whole, path = small(), tmp_path / "run.ckpt"
    whole.fit(X, Y, epochs=2, batch_size=3)
    trainer, pressed = small(), [interrupting(3), Checkpoint(path)]
    with pytest.raises(KeyboardInterrupt, match="after step 3"):
        trainer.fit(X, Y, epochs=2, batch_size=3, callbacks=pressed)
    assert trainer.steps == 3
    for again in (trainer, clstm.Trainer.resume(path)):
        again.fit(X, Y, epochs=2, batch_size=3, callbacks=pressed)
        np.testing.assert_array_equal(again.net.flat_parameters, whole.net.flat_parameters)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_quietly_with_a_callback_and_says_so(capsys):
    trainer = small()
    history = trainer.fit(X, Y, epochs=2, batch_size=3, callbacks=[interrupting(6), StopOnInterrupt()])
    assert history["epoch"] == [1]
    assert "stopped by Ctrl-C in epoch 2, after step 6; the network is usable" in capsys.readouterr().err
    assert trainer.is_unfinished


def test_checkpoints_of_a_fit_that_ended_early_are_ended():
    class Ends(callbacks.Callback):
        def on_epoch_end(self, trainer, logs):
            return logs["epoch"] == 2

    trainer = small()
    trainer.fit(X, Y, epochs=5, callbacks=[Ends()])
    assert not trainer.is_unfinished
    assert trainer.fit(X, Y, epochs=2)["epoch"] == [1, 2, 3, 4]


# Writing fails


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path, monkeypatch):
    path, trainer = tmp_path / "run.ckpt", small()
    real, count = os.fsync, [0]

    def full(handle):
        count[0] += 1
        if count[0] > 4:  # a file and its folder for each of the first two checkpoints
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CallbackError, match="No space left") as caught:
        trainer.fit(X, Y, epochs=9, callbacks=[Checkpoint(path)])
    assert isinstance(caught.value.__cause__, OSError)
    assert trainer.epoch == 3
    monkeypatch.undo()
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.ckpt"]
    whole = small()
    whole.fit(X, Y, epochs=9)
    again = clstm.Trainer.resume(path)
    assert again.epoch == 2
    again.fit(X, Y, epochs=9, callbacks=[Checkpoint(path)])
    np.testing.assert_array_equal(again.net.flat_parameters, whole.net.flat_parameters)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of file sizes")
def test_a_file_that_may_grow_no_further(tmp_path):
    """The system itself refuses, in the middle of the data."""
    import resource

    path, trainer = tmp_path / "run.ckpt", small()
    trainer.save(path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
        with pytest.raises(OSError, match="too large") as caught:
            trainer.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.ckpt"]


def test_a_folder_that_may_not_be_written_to(tmp_path, monkeypatch):
    """Root may write anywhere, so that the system's answer is put in its mouth."""
    folder = tmp_path / "folder"
    folder.mkdir()
    path, trainer = folder / "run.ckpt", small()
    trainer.save(path)
    before = path.read_bytes()
    folder.chmod(0o500)

    def refused(path, *arguments, **options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(safetensors, "open", refused, raising=False)
    with pytest.raises(CallbackError, match="Permission denied"):
        trainer.fit(X, Y, epochs=3, callbacks=[Checkpoint(path)])
    monkeypatch.undo()
    folder.chmod(0o700)
    assert path.read_bytes() == before
    assert trainer.epoch == 1


def test_the_last_checkpoint_has_the_weights_with_which_fit_ends(tmp_path):
    trainer = small(optimizer=clstm.Adam(0.3))
    held_out = X[::-1].copy(), Y[::-1].copy()
    stopping = EarlyStopping(patience=3)
    trainer.fit(X, Y, epochs=50, validation=held_out, callbacks=[Checkpoint(tmp_path / "run", keep=2), stopping])
    assert stopping.best_epoch < trainer.epoch < 50
    again = clstm.Trainer.resume(tmp_path / "run")
    np.testing.assert_array_equal(again.net.flat_parameters, trainer.net.flat_parameters)
    assert again.evaluate(*held_out) == stopping.best
    assert not again.is_unfinished
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", f"run.{trainer.steps - 1}"]


def saving(path, epoch):
    """A function that saves after an epoch, whatever other callbacks have to do yet."""
    return lambda trainer, logs: trainer.save(path) if logs["epoch"] == epoch else None


def test_a_fit_that_was_killed_before_its_end_ends(tmp_path):
    """After the last epoch, or after early stopping has stopped it: the best weights are restored by the next life."""
    path, held_out, last = tmp_path / "run", (X[::-1].copy(), Y[::-1].copy()), 50
    for patience in (3, 50):  # then to the epoch at which it was stopped
        epochs = last
        fit = {"x": X, "y": Y, "epochs": epochs, "validation": held_out}
        trainer = small(optimizer=clstm.Adam(0.3))
        trainer.fit(**fit, callbacks=[EarlyStopping(patience=patience), Checkpoint(path, steps=1)])
        expected, last = trainer.net.flat_parameters.copy(), trainer.epoch
        killed = small(optimizer=clstm.Adam(0.3))
        before_its_end = [EarlyStopping(patience=patience), saving(path, last)]
        killed.fit(**fit, callbacks=before_its_end)
        again = clstm.Trainer.resume(path)
        assert again.is_unfinished
        assert (again.net.flat_parameters != expected).any()
        again.fit(**fit, callbacks=before_its_end)
        assert again.epoch == last
        np.testing.assert_array_equal(again.net.flat_parameters, expected)
        assert not again.is_unfinished


def test_a_fit_that_has_only_to_end_is_no_obstacle(tmp_path):
    path, trainer = tmp_path / "run", small()
    trainer.fit(X, Y, epochs=2, callbacks=[saving(path, 2)])
    again = clstm.Trainer.resume(path)
    assert again.fit(X, Y, epochs=3)["epoch"] == [1, 2, 3, 4, 5]
    again = clstm.Trainer.resume(path)
    assert again.fit(X, Y, epochs=2, callbacks=[saving(path, 9)])["epoch"] == [1, 2]


# Older ones


def test_older_checkpoints_are_kept_as_asked(tmp_path):
    trainer = small()
    trainer.fit(X, Y, epochs=5, batch_size=5, callbacks=[Checkpoint(tmp_path / "run", steps=2, keep=3)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run.6", "run.8"]
    assert clstm.Trainer.resume(tmp_path / "run").steps == 10
    assert clstm.Trainer.resume(tmp_path / "run.8").steps == 8


def test_older_checkpoints_are_copies_where_there_are_no_links(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refused)
    trainer = small()
    trainer.fit(X, Y, epochs=5, batch_size=5, callbacks=[Checkpoint(tmp_path / "run", steps=2, keep=3)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run.6", "run.8"]
    assert clstm.Trainer.resume(tmp_path / "run.6").steps == 6


# Files that are none


def altered(path, change):
    """A checkpoint whose description was changed, with a checksum that fits."""
    tensors, metadata = safetensors.read(path)
    found = json.loads(metadata[checkpoint.ENTRY])
    change(found)
    text = json.dumps(found)
    safetensors.write(path, tensors, {checkpoint.ENTRY: text, checkpoint.CHECKSUM: checkpoint.checksum(text, tensors)})


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "run.ckpt"
    trainer = small()
    trainer.fit(X, Y, epochs=1)
    trainer.save(path)
    good = path.read_bytes()
    for at in range(0, len(good), max(1, len(good) // 40)):
        path.write_bytes(good[:at])
        with pytest.raises(ValueError, match=r"run\.ckpt"):
            clstm.Trainer.resume(path)
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(ValueError, match=r"run\.ckpt"):
            clstm.Trainer.resume(path)


def test_what_is_no_checkpoint_or_of_a_newer_version(tmp_path):
    path = tmp_path / "run.ckpt"
    small().net.save(path)
    with pytest.raises(ValueError, match="no checkpoint of clstm"):
        clstm.Trainer.resume(path)
    with pytest.raises(OSError, match="absent"):
        clstm.Trainer.resume(tmp_path / "absent")
    small().save(path)
    altered(path, lambda found: found.update(format=2))
    with pytest.raises(ValueError, match="written in format 2 by clstm"):
        clstm.Trainer.resume(path)
    small().save(path)
    altered(path, lambda found: found.pop("epoch"))
    with pytest.raises(ValueError, match=r"run\.ckpt: .*epoch"):
        clstm.Trainer.resume(path)


def test_another_network_is_refused(tmp_path):
    path = tmp_path / "run.ckpt"
    trainer = small()
    trainer.fit(X, Y, epochs=1)
    trainer.save(path)
    other = clstm.Network([clstm.LSTM(2, 6, rng=1), clstm.Dense(6, 1, rng=2)])
    before = other.flat_parameters.copy()
    with pytest.raises(ValueError, match="net: expected the network of the checkpoint"):
        clstm.Trainer.resume(path, other)
    np.testing.assert_array_equal(other.flat_parameters, before)
    same = clstm.Network([clstm.LSTM(2, 5, rng=8), clstm.Dense(5, 1, rng=9)])
    assert clstm.Trainer.resume(path, same).net is same
    np.testing.assert_array_equal(same.flat_parameters, trainer.net.flat_parameters)


def test_what_is_of_ones_own_is_asked_for(tmp_path):
    def own(prediction, target):
        return float(((prediction - target) ** 2).mean()), 2 * (prediction - target) / prediction.size

    class Descent(clstm.optimizers.Optimizer):
        def update(self, weights, gradient, state):
            weights -= 0.1 * gradient
            state.step += 1

    def halved(step):
        return 0.5

    path = tmp_path / "run.ckpt"
    net = small().net
    trainer = clstm.Trainer(net, own, Descent(), schedule=halved, rng=0)
    trainer.fit(X, Y, epochs=1)
    trainer.save(path)
    mine = {"loss": own, "optimizer": Descent(), "schedule": halved}
    for name in mine:
        with pytest.raises(ValueError, match=rf"{name}: expected what the trainer had"):
            clstm.Trainer.resume(path, **{key: value for key, value in mine.items() if key != name})
    again = clstm.Trainer.resume(path, **mine)
    assert again.fit(X, Y, epochs=1)["loss"] == trainer.fit(X, Y, epochs=1)["loss"]


# What is in it


@pytest.mark.parametrize("bits", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_every_generator_goes_on(tmp_path, bits):
    rng = np.random.Generator(getattr(np.random, bits)(3))
    trainer = small(rng)
    trainer.fit(X, Y, epochs=1, batch_size=3)
    trainer.save(tmp_path / "run")
    again = clstm.Trainer.resume(tmp_path / "run")
    assert again.fit(X, Y, epochs=1, batch_size=3)["loss"] == trainer.fit(X, Y, epochs=1, batch_size=3)["loss"]


@pytest.mark.parametrize("name", list(clstm.optimizers.NAMED))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_optimiser_goes_on(tmp_path, name, dtype):
    net = clstm.Network([clstm.LSTM(2, 5, dtype=dtype, rng=1), clstm.Dense(5, 1, dtype=dtype, rng=2)])
    trainer = clstm.Trainer(net, optimizer=name, rng=0)
    validation = (X[:2], Y[:2])
    trainer.fit(X, Y, epochs=3, batch_size=3, validation=validation)
    trainer.save(tmp_path / "run")
    again = clstm.Trainer.resume(tmp_path / "run")
    assert again.optimizer.config() == trainer.optimizer.config()
    for one in (trainer, again):
        one.fit(X, Y, epochs=3, batch_size=3, validation=validation)
    np.testing.assert_array_equal(again.net.flat_parameters, trainer.net.flat_parameters)
    assert again.history["val_loss"] == trainer.history["val_loss"]


def test_early_stopping_goes_on_with_its_best_weights(tmp_path):
    path = tmp_path / "run"
    data = {"x": X, "y": Y, "epochs": 30, "batch_size": 3, "validation": (X[::-1].copy(), Y[::-1].copy())}
    whole, paused = (small(optimizer=clstm.Adam(0.3)) for _ in range(2))
    whole.fit(**data, callbacks=[EarlyStopping(patience=3), StopAt(10**9)])
    paused.fit(**data, callbacks=[EarlyStopping(patience=3), StopAt(14)])
    paused.save(path)
    again = clstm.Trainer.resume(path)
    again.fit(**data, callbacks=[EarlyStopping(patience=3), StopAt(14)])
    assert again.epoch == whole.epoch < 30
    np.testing.assert_array_equal(again.net.flat_parameters, whole.net.flat_parameters)
