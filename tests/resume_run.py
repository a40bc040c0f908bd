"""A training that may be killed at any moment: `python resume_run.py FOLDER [kill STAGE COUNT]`.

It goes on from the checkpoint in the folder, if there is one, and writes its last weights to weights.npy. With "kill"
it ends itself by SIGKILL at the COUNTth time that it comes to a stage of writing a file.
"""

import io
import os
import signal
import sys

import numpy as np

import clstm
from clstm import callbacks, safetensors

SEED = 7


def data():
    rng = np.random.default_rng(SEED)
    lengths = rng.integers(4, 13, size=40)
    x = [rng.standard_normal((n, 3)).astype(np.float32) for n in lengths]
    return x, [np.cumsum(part[:, :2], axis=0) for part in x]


def new_trainer():
    """With all that has a state: noise, a schedule that looks at losses, pieces of time, momentum."""
    net = clstm.Network(
        [clstm.LSTM(3, 16, num_layers=2, dropout=0.2, recurrent_dropout=0.1, rng=1), clstm.Dense(16, 2, rng=2)]
    )
    return clstm.Trainer(
        net,
        optimizer=clstm.Adam(0.01),
        schedule=clstm.schedules.ReduceOnPlateau(patience=1),
        clip_norm=1.0,
        bptt=5,
        metrics=["rmse"],
        rng=3,
    )


def fit(trainer, folder, keep=2):
    x, y = data()
    return trainer.fit(
        x[:32],
        y[:32],
        epochs=4,
        batch_size=5,
        max_padding=0.3,
        validation=(x[32:], y[32:]),
        validate_every=7,
        callbacks=[
            callbacks.EarlyStopping("val_loss", patience=50),
            callbacks.Checkpoint(os.path.join(folder, "run.ckpt"), steps=1, keep=keep),
        ],
        progress=False,
    )


def kill_at(stage, count):
    """Lets this process kill itself at the COUNTth call of a function by which files are written."""
    left = [count]

    def deadly(function, before=None):
        def called(*arguments, **options):
            left[0] -= 1
            if left[0] == 0:
                if before:
                    before(*arguments)
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return called

    if stage == "write":  # half of the data has been written
        real = io.open

        class Half(io.BufferedWriter):
            def write(self, part):
                left[0] -= 1
                if left[0] == 0:
                    super().write(bytes(part)[: len(part) // 2])
                    self.flush()
                    os.kill(os.getpid(), signal.SIGKILL)
                return super().write(part)

        def opened(path, mode="r", **options):
            return Half(io.FileIO(path, "x")) if mode == "xb" else real(path, mode, **options)

        safetensors.open = opened
    else:
        setattr(os, stage, deadly(getattr(os, stage)))


def main():
    folder = sys.argv[1]
    if sys.argv[2:3] == ["kill"]:
        kill_at(sys.argv[3], int(sys.argv[4]))
    if "CLSTM_TEST_THREADS" in os.environ:
        clstm.set_num_threads(int(os.environ["CLSTM_TEST_THREADS"]))
    path = os.path.join(folder, "run.ckpt")
    trainer = clstm.Trainer.resume(path) if os.path.exists(path) else new_trainer()
    if trainer.is_unfinished or trainer.epoch == 0:
        fit(trainer, folder)
    np.save(os.path.join(folder, "weights.npy"), trainer.net.flat_parameters)


if __name__ == "__main__":
    main()
