"""The trainer: what it consists of, and what it can do. Its loop is in `loop`, one step of it in `stepping`, the forms
of data in `data`, checkpoints in `checkpoint` and `snapshot`.

Everything is checked before anything changes: `fit` looks at all targets before the first step.
"""

from __future__ import annotations

import math
import os
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arrays, _core, budget, losses, optimizers, schedules
from ..callbacks import checked
from ..gradient_flow import GradientFlow, flow_of_loss
from ..layer import Layer
from ..metrics import make as make_metric
from . import checkpoint, snapshot
from .data import Fit, Rows, rows_source, source_of
from .evaluation import predictions, scores, validation_of
from .long_sequences import OptionalSize, check_cuttable, check_recurrent
from .loop import Position, Run
from .order import Plan
from .stepping import Stepper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import ArrayLike

    from ..callbacks import Callback
    from ..losses import Loss
    from ..metrics import Metric
    from ..noise import Noise
    from ..optimizers import Optimizer
    from ..schedules import Schedule
    from .diagnosis import Diagnosis
    from .rate_finder import RateFinding


class Trainer:
    """Trains a network with mini-batches.

    Parameters
    ----------
    net : Layer
        Usually a `Network`. Its parameters are trained in place.
    loss : str, Loss or callable
        A name, such as "mse" (mean squared error; targets are real numbers, in the shape of what the network gives) or
        "cross_entropy" (targets are class numbers 0 to C-1, where the network gives C features, the scores of the
        classes), for a loss of `clstm.losses` with its defaults; an object of these classes; or a function
        ``(prediction, target) -> (loss, gradient)``.
    optimizer : str or Optimizer
        A name, such as "sgd", "adam" or "adamw", for an optimiser of `clstm.optimizers` with its defaults, or an object
        of these classes.
    learning_rate : float, optional
        For an optimiser that is given by its name.
    schedule : Schedule or callable, optional
        A factor of the learning rate for each step, see `clstm.schedules`; a callable gives it for the number of steps
        that are done. None: always 1.
    clip_norm : float, optional
        Gradients whose joint norm over all parameters is larger are scaled down to it (Pascanu, Mikolov and Bengio
        2013). None: never.
    clip_each_norm : float, optional
        The same for the norm of the gradient of each parameter, before `clip_norm`.
    clip_value : float, optional
        Elements of the gradient are limited to this size, before norms are.
    accumulate : int, default 1
        How many batches make one step: their gradients are added up to that of one large batch, to the last digits.
    bptt : int, optional
        Truncated back-propagation through time: each batch is cut into pieces of so many steps, and each piece makes a
        step of the optimiser. Piece by piece the state is carried on, but no gradient goes back; it starts anew with
        each batch. For networks that keep the axis of time and read forward only. None: whole sequences.
    memory : int, optional
        Bytes for the tapes of recurrent layers, see `LSTM.forward`: for sequences whose tapes take more, less is kept
        and more computed. None: as many as it takes.
    metrics : sequence of str, Metric or callable
        What else is measured, in training and validation, see `clstm.metrics`.
    rng : int or numpy.random.Generator, optional
        Seed or generator for the order of the rows; None: fresh entropy.

    Attributes
    ----------
    net : Layer
    loss : Loss
    optimizer : Optimizer
        Its hyperparameters may be changed between epochs, ``trainer.optimizer.learning_rate = 1e-4``. Another optimiser
        may be assigned, which starts anew.
    optimizer_state : OptimizerState
    schedule : Schedule
    clip_norm, clip_each_norm, clip_value : float or None
    accumulate : int
    bptt, memory : int or None
    metrics : tuple of Metric
    rng : numpy.random.Generator
    epoch : int
        How many epochs have been completed, in all calls of `fit`.
    steps : int
        How many steps the optimiser has made, in all calls of `fit` and `step`.
    history : dict of list
        What each epoch gave, see `fit`.
    validations : list of dict
        What each validation gave: "epoch", "step", "val_loss" and metrics.

    Notes
    -----
    The same data, network, seed and settings give the same bits, with any number of threads.

    One thread at a time may train a network.

    Examples
    --------
    Tell from 20 noisy steps whether a wave is slow or fast:

    >>> import numpy as np, clstm
    >>> rng = np.random.default_rng(0)
    >>> fast = rng.integers(2, size=200)
    >>> x = np.sin(np.arange(20) * (0.5 + fast[:, None])) + 0.3 * rng.standard_normal((200, 20))
    >>> x = x[:, :, None]
    >>> net = clstm.Network([clstm.LSTM(1, 8, rng=1), clstm.Pool("last"), clstm.Dense(8, 2, rng=2)])
    >>> trainer = clstm.Trainer(net, loss="cross_entropy", learning_rate=0.02, clip_norm=1.0, rng=3)
    >>> history = trainer.fit(x[:150], fast[:150], epochs=8, validation=(x[150:], fast[150:]))
    >>> history["loss"][-1] < history["loss"][0] / 2
    True
    >>> guess = trainer.predict(x[150:]).argmax(axis=1)
    >>> bool((guess == fast[150:]).mean() > 0.9)
    True
    """

    clip_norm = optimizers.positive(optional=True)
    clip_each_norm = optimizers.positive(optional=True)
    clip_value = optimizers.positive(optional=True)
    bptt = OptionalSize(check_cuttable)
    memory = OptionalSize(check_recurrent)

    def __init__(
        self,
        net: Layer,
        loss: str | Loss | Callable[..., tuple[float, np.ndarray]] = "mse",
        optimizer: str | Optimizer = "adam",
        *,
        learning_rate: float | None = None,
        schedule: Schedule | Callable[[int], float] | None = None,
        clip_norm: float | None = None,
        clip_each_norm: float | None = None,
        clip_value: float | None = None,
        accumulate: int = 1,
        bptt: int | None = None,
        memory: int | None = None,
        metrics: Iterable[str | Metric | Callable[..., float]] = (),
        rng: int | np.random.Generator | None = None,
    ) -> None:
        if not isinstance(net, Layer):
            raise _arrays.wrong(TypeError, "net", "a Network or another Layer", _arrays.kind(net))
        if net.flat_parameters.size == 0:
            raise _arrays.wrong(ValueError, "net", "a layer with parameters", f"{net!r}, which has none")
        self.net = net
        self.loss = losses.make(loss)
        self.loss.attach(net)
        self.optimizer = optimizers.make(optimizer, learning_rate)
        self.schedule = schedules.make(schedule)
        self.clip_norm, self.clip_each_norm, self.clip_value = clip_norm, clip_each_norm, clip_value
        self.accumulate = _arrays.size("accumulate", accumulate)
        self.bptt, self.memory = bptt, memory
        if self.bptt is not None and self.accumulate > 1:
            raise _arrays.wrong(ValueError, "accumulate", "1, because with bptt each piece makes a step", accumulate)
        self.metrics = tuple(map(make_metric, listed("metrics", metrics)))
        self.rng = _arrays.generator(rng)
        self.epoch = self.steps = 0
        self.history: dict[str, list] = {
            name: [] for name in ("epoch", "loss", "gradient_norm", "learning_rate", "seconds")
        }
        self.validations: list[dict[str, float]] = []
        self._run: Run | None = None  # a call of fit that is going on
        self._unfinished: dict[str, Any] | None = None  # one that was stopped, and may be gone on with
        self._stepper = Stepper(self)

    @property
    def optimizer(self) -> Optimizer:
        """The optimiser; assigning another one starts with a new state."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, optimizer: str | Optimizer) -> None:
        made = optimizers.make(optimizer)
        self.optimizer_state = made.state_for(self.net._shapes)
        self._optimizer = made

    @property
    def learning_rate(self) -> float:
        """That of the last step, or the first one's without a schedule."""
        return self.optimizer.learning_rate * self.optimizer_state.rate

    @property
    def is_unfinished(self) -> bool:
        """Whether a `fit` was stopped on its way, by a time limit, Ctrl-C or the end of the process, and the next call
        goes on with it. `drop_unfinished` makes it start anew."""
        return self._unfinished is not None

    @property
    def is_sound(self) -> bool:
        """Whether `fit` is going on, or has ended without an error; for callbacks, at its end."""
        return self._run is None or self._run.sound or not self._run.ended

    @property
    def is_complete(self) -> bool:
        """Whether `fit` has come to its end, so that nothing is to be gone on with; for callbacks, at its end."""
        return self._run is not None and self._run.sound and not self._run.unfinished

    def drop_unfinished(self) -> None:
        """Lets the next `fit` start anew, where otherwise it would go on with one that was stopped."""
        self._unfinished = None

    def __repr__(self):
        usual = {"clip_each_norm": None, "clip_value": None, "accumulate": 1, "bptt": None, "memory": None}
        given = {name: getattr(self, name) for name in usual}
        given = {"clip_norm": self.clip_norm} | {name: value for name, value in given.items() if value != usual[name]}
        options = "".join(f", {name}={value!r}" for name, value in given.items())
        return f"Trainer({self.net!r}, {self.loss.name!r}, {self.optimizer!r}{options})"

    def __getstate__(self):
        """Everything but the gradients: their names are views of the flat one, which a copy would tear apart."""
        return {name: value for name, value in vars(self).items() if name not in ("_stepper", "_run")}

    def __setstate__(self, state):
        vars(self).update(state)
        self._run, self._stepper = None, Stepper(self)

    # Training

    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int = 10,
        batch_size: int = 32,
        validation: Any = None,
        validate_every: int | None = None,
        callbacks: Iterable[Callback | Callable[[Trainer, dict[str, Any]], Any]] = (),
        progress: bool = True,
        lengths: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        sample_weight: Any = None,
        shuffle: bool = True,
        max_padding: float | None = None,
        steps_per_epoch: int | None = None,
    ) -> dict[str, list]:
        """Trains for some epochs, in each of which every row is used once.

        A further call goes on where the last one ended: with the optimiser's state, the generator and the count of
        epochs. A call that was stopped on its way (`is_unfinished`) is gone on with, by the same arguments.

        Parameters
        ----------
        x : array_like, list of ndarray, or iterable of batches
            What the network takes: (N, T, F), (N, F) or integers (N, T). Memory-mapped arrays may be larger than
            memory: no more than a batch is read at a time, or a block for checks. A list is of sequences of unequal
            length, (T_n, F) or integers (T_n,). With y None it is an iterable of batches, or a callable that makes one
            (if it takes an argument, from the number of the epoch): each (x, y), (x, y, lengths), (x, y, lengths,
            sample_weight) or a dict of these names and "mask".
        y : array_like, or list
            Targets, as the loss takes them: in the shape of what the network gives for "mse", where a last axis of 1
            may be missing; integers (N, T) or (N,) for "cross_entropy". For a list of sequences, and a network that
            gives something at each step, a list of arrays.
        epochs : int
            How many more.
        batch_size : int
            Rows of a batch. The last batch of an epoch may be smaller.
        validation : (x, y), (x, y, lengths), (x, y, lengths, sample_weight), or iterable of batches, optional
            Data on which the loss and the metrics are computed after each epoch.
        validate_every : int, optional
            Validate after so many steps of the optimiser instead; `validations` has what comes out, and the history the
            last of an epoch.
        callbacks : sequence of Callback or callables
            See `clstm.callbacks`. Plain functions are called as ``callback(trainer, logs)`` after each epoch, with what
            this epoch adds to the history. If one returns a true value, training ends.
        progress : bool
            Whether to show a bar on stderr. There is none where stderr is not a terminal, or tqdm (the extra
            ``clstm-toolkit[progress]``) is not installed.
        lengths : array_like of int, (N,), optional
            Valid steps of each row. Later ones have no influence, whatever stands there.
        mask : array_like of bool, (N, T), optional
            The same for any shape, see `LSTM`.
        sample_weight : array_like, (N,) or (N, T), optional
            How much each row, or step, counts in the loss; at least 0. For a list of sequences also a list.
        shuffle : bool
            Whether each epoch takes the rows in a new random order. (Iterables have their own order.)
        max_padding : float, optional
            Batches of rows of similar length, in which at most this share of the steps is padding, 0 to 1; rows are
            still taken at random. None: rows as they come.
        steps_per_epoch : int, optional
            How many batches of an iterable make an epoch; None: all.

        Returns
        -------
        history : dict of list
            One entry for each epoch of this and earlier calls: "epoch", counted from 1; "loss", the mean over all
            elements of the training data, of each batch (or piece of one) before its step; metrics by their names;
            "learning_rate" of the last step; "gradient_norm", the mean over the steps, before clipping; "seconds"; with
            validation "val_loss" and metrics, NaN for epochs without. `history_frame` has it as a DataFrame.

        Raises
        ------
        TypeError, ValueError
            An argument does not fit, or a parameter of the network is not finite; nothing has changed then.
        FloatingPointError
            A loss or a gradient is not finite. Network and optimiser are as they were before that batch, or piece.
        CallbackError
            A callback has raised, which is the cause; the step or epoch before is complete.
        KeyboardInterrupt
            At Ctrl-C, after the step that was being made (see `clstm.callbacks.StopOnInterrupt`).
        """
        fit = Fit(self.net, self.loss)
        source = source_of(fit, x, y, lengths, mask, sample_weight, steps_per_epoch)
        held_out = None if validation is None else validation_of(fit, validation, batch_size)
        epochs = _arrays.size("epochs", epochs)
        plan = plan_of(batch_size, shuffle, max_padding)
        callbacks = checked(callbacks)
        progress = _arrays.flag("progress", progress)
        if validate_every is not None:
            validate_every = _arrays.size("validate_every", validate_every)
            if held_out is None:
                raise _arrays.wrong(ValueError, "validate_every", "None without validation", validate_every)
        self._check_long(source, plan.batch_size)
        self._check_parameters()
        run = Run(self, source, held_out, plan, callbacks, epochs, validate_every, progress)
        states = run.go_on(self._unfinished) if run.goes_on_with(self._unfinished) else None
        self._run, self._unfinished = run, None
        try:
            run.run(states)
        finally:
            self._run = None
            if run.sound and run.unfinished:
                self._unfinished = run.describe()
        return {name: list(values) for name, values in self.history.items()}

    def step(
        self,
        x: Any,
        y: Any,
        lengths: ArrayLike | None = None,
        *,
        mask: ArrayLike | None = None,
        sample_weight: Any = None,
    ) -> float:
        """One step with all rows, as `fit` does for each batch; with `bptt`, one for each piece.

        Parameters
        ----------
        x, y, lengths, mask, sample_weight
            As for `fit`.

        Returns
        -------
        loss : float
            Before the step.

        Raises
        ------
        TypeError, ValueError, FloatingPointError
            As for `fit`.
        """
        source = source_of(Fit(self.net, self.loss), x, y, lengths, mask, sample_weight)
        self._check_long(source, source.rows)
        self._check_parameters()
        position = Position()
        rows, stepper = Rows(source, slice(None)), self._stepper
        stepper.clear()
        seed, steps, state = stepper.seed(), rows.steps, None
        for begin in [0] if self.bptt is None else range(0, steps, self.bptt):
            end = steps if self.bptt is None else min(begin + self.bptt, steps)
            batch = rows.batch(begin, end)
            done, _, state = stepper.run(batch, state, seed, begin)
            position.add(done)
        return position.logs()["loss"]

    def _averaged(self):
        """While it is entered, the network has the averaged weights, if the optimiser averages and is training."""
        average = None if self._run is None or self._run.ended else self.optimizer.averaged(self.optimizer_state)
        return nullcontext() if average is None else Exchanged(self.net.flat_parameters, average)

    def _record(self, logs):
        """Adds an epoch to the history; a new name gets NaN for the epochs before it, a missing one for this."""
        self.epoch = logs["epoch"]
        for name in {**self.history, **logs}:
            values = self.history.setdefault(name, [math.nan] * (len(self.history["epoch"]) - 1))
            values.append(logs.get(name, math.nan))

    def history_frame(self) -> Any:
        """The history as a DataFrame, with a row for each epoch.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        try:
            from pandas import DataFrame
        except ImportError as error:
            raise ImportError(
                "history_frame needs pandas: pip install pandas; `history` is the same as a dict"
            ) from error
        return DataFrame(self.history).set_index("epoch")

    # Using what was trained

    def evaluate(
        self,
        x: Any,
        y: Any = None,
        lengths: ArrayLike | None = None,
        *,
        mask: ArrayLike | None = None,
        sample_weight: Any = None,
        batch_size: int = 256,
    ) -> float:
        """The loss on some data.

        Parameters
        ----------
        x, y, lengths, mask, sample_weight
            As for `fit`.
        batch_size : int
            Rows that are computed at a time, rounded up to a multiple of 32. It bounds the memory that is needed;
            results are the same bits for each.

        Returns
        -------
        loss : float
        """
        source = source_of(Fit(self.net, self.loss), x, y, lengths, mask, sample_weight)
        return scores(self, source, _arrays.size("batch_size", batch_size), ())["loss"]

    def score(
        self,
        x: Any,
        y: Any = None,
        lengths: ArrayLike | None = None,
        *,
        mask: ArrayLike | None = None,
        sample_weight: Any = None,
        batch_size: int = 256,
    ) -> dict[str, float]:
        """The loss and all metrics on some data; arguments as for `evaluate`.

        Returns
        -------
        dict of float
            "loss" and the names of the metrics.
        """
        source = source_of(Fit(self.net, self.loss), x, y, lengths, mask, sample_weight)
        return scores(self, source, _arrays.size("batch_size", batch_size), self.metrics)

    def predict(
        self,
        x: Any,
        lengths: ArrayLike | None = None,
        *,
        mask: ArrayLike | None = None,
        batch_size: int = 256,
    ) -> Any:
        """What the network gives: ``net(x, lengths=lengths)``, computed in batches.

        Parameters
        ----------
        x : array_like, or list of ndarray
        lengths : array_like of int, (N,), optional
        mask : array_like of bool, (N, T), optional
        batch_size : int
            Rows that are computed at a time. It bounds the memory that is needed; results are the same bits for each.

        Returns
        -------
        y : ndarray, or list of ndarray
            (N, T, F) or (N, F), zero beyond the lengths; a list for a list, if there is still a time axis.
        """
        return predictions(self.net, x, lengths, mask, _arrays.size("batch_size", batch_size))

    def gradient_flow(
        self,
        x: ArrayLike,
        y: ArrayLike,
        lengths: ArrayLike | None = None,
        *,
        noise: int | Noise | None = None,
        bptt: int | None = None,
    ) -> dict[str, GradientFlow]:
        """`Network.gradient_flow` with the loss of this trainer, for all rows at once. A net that is a recurrent layer
        and no network has the place "0".

        Examples
        --------
        >>> import numpy as np, clstm
        >>> trainer = clstm.Trainer(clstm.LSTM(3, 4, rng=0))
        >>> flow = trainer.gradient_flow(np.ones((2, 10, 3)), np.ones((2, 10, 4)))["0"]
        >>> flow.over_batch("c").shape
        (1, 10)
        """
        return flow_of_loss(self.net, self.loss, x, y, lengths, noise, bptt)

    # Looking at it

    def diagnose(
        self, x: Any, y: Any, lengths: ArrayLike | None = None, *, sample_weight: Any = None, rows: int = 64
    ) -> Diagnosis:
        """Says in words what looks wrong: gradients that explode or vanish, saturated gates, dead units, a learning
        rate far off, a loss that rises or overfits.

        A step is tried on a copy, with the first rows of some data; this trainer stays as it is.

        Parameters
        ----------
        x, y, lengths, sample_weight
            As for `fit`, but no iterables.
        rows : int, default 64
            How many of them are looked at, at most.

        Returns
        -------
        Diagnosis
            To be printed; `findings` has what was found, `parameters` the norms of each parameter, of its gradient and
            of its change in a step.

        Examples
        --------
        >>> import numpy as np, clstm
        >>> net = clstm.Network([clstm.LSTM(1, 8, rng=0), clstm.Dense(8, 1, rng=0)])
        >>> trainer = clstm.Trainer(net, learning_rate=30.0, rng=0)
        >>> x = np.random.default_rng(0).normal(size=(16, 20, 1))
        >>> for finding in trainer.diagnose(x, x).findings:
        ...     print(finding.kind)
        learning rate
        """
        from . import diagnosis, rate_finder  # for those who ask

        source = rows_source(Fit(self.net, self.loss), x, y, lengths, None, sample_weight)
        chosen = Rows(source, slice(_arrays.size("rows", rows)))
        return diagnosis.diagnose(self, rate_finder.first_piece(chosen, self.bptt))

    def find_learning_rate(
        self,
        x: Any,
        y: Any,
        lengths: ArrayLike | None = None,
        *,
        sample_weight: Any = None,
        batch_size: int = 32,
        low: float = 1e-6,
        high: float = 10.0,
        steps: int = 100,
    ) -> RateFinding:
        """Tries learning rates that rise from step to step, until training fails (Smith 2017), on a copy of this one.

        Parameters
        ----------
        x, y, lengths, sample_weight, batch_size
            As for `fit`, but no iterables.
        low, high : float
            The first and the last rate.
        steps : int
            How many steps there are at most; at least 20.

        Returns
        -------
        RateFinding
            `suggestion` is where the loss falls fastest; `clstm.plot.learning_rates` draws the whole.

        Raises
        ------
        FloatingPointError
            Training fails at once.

        Examples
        --------
        >>> import numpy as np, clstm
        >>> net = clstm.Network([clstm.LSTM(1, 8, rng=0), clstm.Dense(8, 1, rng=0)])
        >>> trainer = clstm.Trainer(net, rng=0)
        >>> x = np.random.default_rng(0).normal(size=(64, 20, 1))
        >>> found = trainer.find_learning_rate(x, x)
        >>> 1e-4 < found.suggestion < 1
        True
        """
        from . import rate_finder  # for those who ask

        source = rows_source(Fit(self.net, self.loss), x, y, lengths, None, sample_weight)
        low, high = rate_finder.checked_rates(low, high)
        if _arrays.size("steps", steps) < rate_finder.LEAST_STEPS:
            raise _arrays.wrong(ValueError, "steps", f"at least {rate_finder.LEAST_STEPS}", steps)
        if math.isnan(self.optimizer.learning_rate):
            raise _arrays.wrong(ValueError, "optimizer", "one with a learning rate", repr(self.optimizer))
        self._check_parameters()
        return rate_finder.search(self, source, plan_of(batch_size, True, None), low, high, steps)

    # Saving and going on

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a checkpoint, from which `resume` makes this trainer again; also within `fit`, by a callback.

        It holds the network, the state of the optimiser, of the schedule and of the generator, the history and, within
        `fit`, the place in the data and the states of the callbacks. The file is complete or not there: it is written
        beside `path`, synced and renamed, and has a checksum. If anything fails, an older file at `path` stays as it
        was.

        Parameters
        ----------
        path : str or path-like

        Raises
        ------
        TypeError
            The state of a callback holds something that no file can.
        OSError
            The file cannot be written.

        Examples
        --------
        >>> import os, tempfile, numpy as np, clstm
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "run.ckpt")
        >>> x, y = np.ones((4, 3, 1)), np.zeros((4, 3, 2))
        >>> trainer = clstm.Trainer(clstm.LSTM(1, 2, rng=0), rng=0)
        >>> history = trainer.fit(x, y, epochs=2)
        >>> trainer.save(path)
        >>> again = clstm.Trainer.resume(path)
        >>> trainer.fit(x, y, epochs=2)["loss"] == again.fit(x, y, epochs=2)["loss"]
        True
        >>> folder.cleanup()
        """
        checkpoint.write(path, snapshot.take(self))

    @classmethod
    def resume(
        cls,
        path: str | os.PathLike[str],
        net: Layer | None = None,
        *,
        loss: Loss | Callable[..., tuple[float, np.ndarray]] | None = None,
        optimizer: Optimizer | None = None,
        schedule: Schedule | Callable[[int], float] | None = None,
        metrics: Iterable[str | Metric | Callable[..., float]] | None = None,
    ) -> Trainer:
        """The trainer of a checkpoint, as it was when it was written: it goes on to the same bits as if it had never
        stopped, with any number of threads.

        If the checkpoint was written within `fit`, ``fit`` with the same data and arguments goes on with that call,
        from the step behind which it was written; otherwise it trains for more epochs.

        Parameters
        ----------
        path : str or path-like
        net : Layer, optional
            A network of the same configuration, which gets the parameters of the checkpoint. None: a new one.
        loss, optimizer, schedule, metrics : optional
            What is no object of clstm's own and so has no description in the file: the function or object that the
            trainer had. None: that of the file.

        Returns
        -------
        Trainer

        Raises
        ------
        ValueError
            The file is damaged, of a newer version, or of another network; or something of one's own is missing.
        OSError
            The file cannot be read.
        """
        given = {"loss": loss, "optimizer": optimizer, "schedule": schedule, "metrics": metrics}
        return snapshot.restore(cls, os.fsdecode(path), checkpoint.read(path), net, given)

    # Checks

    def _check_long(self, source, rows):
        """Raises for data that cannot be cut in time, and for a budget that is too small for a batch of whole rows."""
        if source.rows is None:
            return
        steps = source.longest
        if self.bptt is not None and steps is None:
            raise _arrays.wrong(ValueError, "bptt", "None, because x has no time axis", self.bptt)
        if self.bptt is not None and (self.loss.of_sequences or not source.cuts_y):
            raise _arrays.wrong(ValueError, "bptt", "None, because targets cannot be cut in time", self.bptt)
        if self.memory is not None:
            budget.check_batches(self.net, self.memory, min(rows, source.rows), min(steps, self.bptt or steps))

    def _check_parameters(self):
        if math.isfinite(_core.global_norm(self.net.flat_parameters)):
            return
        for name, values in self.net.parameters().items():
            bad = ~np.isfinite(values)
            if bad.any():
                place = [int(axis) for axis in np.argwhere(bad)[0]]
                raise _arrays.wrong(
                    ValueError, f"net.parameters()[{name!r}]", "finite values", f"{values[bad][0]} at {place}"
                )


class Exchanged:
    """While it is entered, an array has other values."""

    def __init__(self, array: np.ndarray, values: np.ndarray) -> None:
        self.array, self.values = array, values

    def __enter__(self):
        self.own = self.array.copy()
        self.array[...] = self.values

    def __exit__(self, *error):
        self.array[...] = self.own


def listed(name, value):
    """A list; raises TypeError for a text or what has no members."""
    if isinstance(value, (str, dict)) or not hasattr(value, "__iter__"):
        raise _arrays.wrong(TypeError, name, "a list or tuple", _arrays.kind(value))
    return list(value)


def plan_of(batch_size, shuffle, max_padding):
    """How rows become batches, checked."""
    batch_size = _arrays.size("batch_size", batch_size)
    shuffle = _arrays.flag("shuffle", shuffle)
    if max_padding is not None:
        max_padding = _arrays.number("max_padding", max_padding, "a number from 0 to 1, or None")
        if not 0 <= max_padding <= 1:
            raise _arrays.wrong(ValueError, "max_padding", "a number from 0 to 1, or None", max_padding)
    return Plan(batch_size, shuffle, max_padding)
