"""The training loop: batches, epochs, validation, history.

One step is always the same: forward, loss and its gradient, backward into one flat buffer, clipping by the norm of
that buffer, update. All of it is one call into the core each; what stands here is order, bookkeeping and checks.

(a) Everything is checked before anything changes: `fit` looks at all targets before the first step.
(b) Weights change in one place, `_update`. What is not finite is found before, or undone after, so that the weights are
    always good ones, and fit the optimiser's state and the history.
(c) The only random numbers are those of `rng`: a permutation for each shuffled epoch and, if the network takes noise, a
    seed for each batch.
"""

from __future__ import annotations

import math
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays, _core, budget, losses, optimizers
from .batches import Data
from .gradient_flow import GradientFlow, flow_of_loss
from .layer import CheckedGradients, Layer
from .long_sequences import OptionalSize, check_cuttable, check_recurrent
from .network import Network
from .noise import Noise
from .progress import bar as bar_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import ArrayLike

    from .losses import Loss
    from .noise import Noise
    from .optimizers import Optimizer

LOSS_ROWS = 32  # rows whose losses `evaluate` sums in one go; a constant, so that batches do not change the bits


class Trainer:
    """Trains a network with mini-batches.

    Parameters
    ----------
    net : Layer
        Usually a `Network`. Its parameters are trained in place.
    loss : str, Loss or callable
        "mse", "mae", "huber", "quantile", "gaussian_nll": targets are real numbers. "binary_cross_entropy": answers yes
        or no. "cross_entropy": class numbers 0 to C-1, where the network gives C features, the scores of the classes.
        Or one of these with other options, see `clstm.losses`, or a function ``(prediction, target) -> (loss,
        gradient)``, see `clstm.losses.OwnLoss`.
    optimizer : str or Optimizer
        "sgd", "rmsprop", "adagrad", "adam", "adamw", "amsgrad", "asgd" or "ntasgd", which are `SGD`, `RMSprop` and so
        on with their defaults ("amsgrad" is ``Adam(amsgrad=True)``), or an object of these.
    learning_rate : float, optional
        For an optimiser that is given by its name.
    clip_norm : float, optional
        Gradients whose joint norm over all parameters is larger are scaled down to it. None: never.
    bptt : int, optional
        Truncated back-propagation through time: each batch is cut into pieces of so many steps, and each piece makes a
        step of the optimiser. Piece by piece the state is carried on, but no gradient goes back; it starts anew with
        each batch. For networks that keep the axis of time and read forward only. None: whole sequences.
    memory : int, optional
        Bytes for the tapes of recurrent layers, see `LSTM.forward`: for sequences whose tapes take more, less is kept
        and more computed. None: as many as it takes.
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
    clip_norm : float or None
    bptt, memory : int or None
    rng : numpy.random.Generator
    epoch : int
        How many epochs have been completed, in all calls of `fit`.
    history : dict of list
        What each of them gave, see `fit`.

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
    bptt = OptionalSize(check_cuttable)
    memory = OptionalSize(check_recurrent)

    def __init__(
        self,
        net: Layer,
        loss: str | Loss | Callable[..., Any] = "mse",
        optimizer: str | Optimizer = "adam",
        *,
        learning_rate: float | None = None,
        clip_norm: float | None = None,
        bptt: int | None = None,
        memory: int | None = None,
        rng: int | np.random.Generator | None = None,
    ) -> None:
        if not isinstance(net, Layer):
            raise _arrays.wrong(TypeError, "net", "a Network or another Layer", _arrays.kind(net))
        if net.flat_parameters.size == 0:
            raise _arrays.wrong(ValueError, "net", "a layer with parameters", f"{net!r}, which has none")
        self.net = net
        self.loss = losses.make(loss)
        self.optimizer = optimizers.make(optimizer, learning_rate)
        self.clip_norm, self.bptt, self.memory = clip_norm, bptt, memory
        self.rng = _arrays.generator(rng)
        self.epoch = 0
        self.history: dict[str, list] = {
            name: [] for name in ("epoch", "loss", "learning_rate", "gradient_norm", "seconds")
        }
        self._make_gradients()

    @property
    def optimizer(self) -> Optimizer:
        """The optimiser; assigning another one starts with a new state."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, optimizer: str | Optimizer) -> None:
        made = optimizers.make(optimizer)
        self.optimizer_state = made.state_for(self.net._shapes)
        self._optimizer = made

    def __repr__(self):
        given = "".join(f", {name}={value}" for name in ("bptt", "memory") if (value := getattr(self, name)))
        return f"Trainer({self.net!r}, {self.loss.name!r}, {self.optimizer!r}, clip_norm={self.clip_norm!r}{given})"

    def __getstate__(self):
        """Everything but the gradients: their names are views of the flat one, which a copy would tear apart."""
        return {name: value for name, value in vars(self).items() if name not in ("_gradient", "_gradients")}

    def __setstate__(self, state):
        vars(self).update(state)
        self._make_gradients()

    def _make_gradients(self):
        self._gradient, gradients = self.net.zeros_like_parameters()
        self._gradients = CheckedGradients(gradients)

    # Training

    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        epochs: int = 10,
        batch_size: int = 32,
        validation: tuple[Any, ...] | None = None,
        callbacks: Iterable[Callable[[Trainer, dict[str, Any]], Any]] = (),
        progress: bool = True,
        lengths: ArrayLike | None = None,
        shuffle: bool = True,
    ) -> dict[str, list]:
        """Trains for some epochs, in each of which every row is used once.

        A further call goes on where the last one ended: with the optimiser's state, the generator and the count of
        epochs.

        Parameters
        ----------
        x : array_like
            What the network takes: (N, T, F), (N, F) or integers (N, T).
        y : array_like
            Targets, in the shape of what the network gives: (N, T, F) or (N, F) for "mse", where a last axis of 1 may
            be missing; integers (N, T) or (N,) for "cross_entropy".
        epochs : int
            How many more.
        batch_size : int
            Rows of a step. The last batch of an epoch may be smaller.
        validation : (x, y) or (x, y, lengths), optional
            Data on which the loss is computed after each epoch.
        callbacks : sequence of callables
            Each is called as ``callback(trainer, logs)`` after each epoch, with what this epoch adds to the history.
            If one returns a true value, training ends. An exception is passed on, with a note that names the epoch;
            the epoch itself is complete then.
        progress : bool
            Whether to show a bar on stderr. There is none where stderr is not a terminal, or tqdm (the extra
            ``clstm-toolkit[progress]``) is not installed.
        lengths : array_like of int, (N,), optional
            Valid steps of each row. Later ones have no influence, whatever stands there.
        shuffle : bool
            Whether each epoch takes the rows in a new random order.

        Returns
        -------
        history : dict of list
            One entry for each epoch of this and earlier calls: "epoch", counted from 1; "loss", the mean over all
            elements of the training data, of each batch (or piece of one) before its step; "learning_rate";
            "gradient_norm", the mean over the steps, before clipping; "seconds"; with validation "val_loss", NaN for
            epochs without.

        Raises
        ------
        TypeError, ValueError
            An argument does not fit, or a parameter of the network is not finite; nothing has changed then.
        FloatingPointError
            A loss or a gradient is not finite. Network and optimiser are as they were before that batch, or piece.
        """
        data = self._data(x, y, lengths)
        held_out = None if validation is None else self._validation(validation)
        epochs = _arrays.size("epochs", epochs)
        batch_size = _arrays.size("batch_size", batch_size)
        shuffle = _arrays.flag("shuffle", shuffle)
        callbacks = callables(callbacks)
        progress = _arrays.flag("progress", progress)
        self._check_long(data, min(batch_size, data.rows))
        self._check_parameters()

        steps = math.ceil(data.rows / batch_size)
        with bar_of(epochs * steps, progress) as bar:
            for _ in range(epochs):
                started = perf_counter()
                logs = self._run_averaged_epoch(data, batch_size, shuffle, bar)
                if held_out is not None:
                    logs["val_loss"] = self._loss_of(held_out, batch_size)
                    self.optimizer.validated(logs["val_loss"], self.optimizer_state)
                logs["seconds"] = perf_counter() - started
                self._record(logs)
                if self._call(callbacks, logs):
                    break
        return {name: list(values) for name, values in self.history.items()}

    def step(self, x: ArrayLike, y: ArrayLike, lengths: ArrayLike | None = None) -> float:
        """One step with all rows, as `fit` does for each batch.

        Parameters
        ----------
        x, y, lengths
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
        if self.bptt is not None:
            data = self._data(x, y, lengths)
            self._check_long(data, data.rows)
            self._check_parameters()
            done = list(self._train(data.batch(slice(None))))
            return math.fsum(loss * weight for loss, _, weight in done) / sum(weight for _, _, weight in done)
        x = _arrays.array_of("x", x)
        lengths, mask = self._lengths(x, lengths)
        self._check_parameters()
        prediction, _, tape = self._forward(x, None, lengths, self._seed())
        y = self.loss.checked(y, prediction.shape, mask, "y")
        return self._update(Data(x, y, lengths, mask), prediction, tape)[0]

    def _run_averaged_epoch(self, data, batch_size, shuffle, bar):
        """One pass over the data, after which the network has the average, if the optimiser makes one."""
        weights = self.net.flat_parameters
        self.optimizer.begin(weights, self.optimizer_state)
        try:
            return self._run_epoch(data, batch_size, shuffle, bar)
        finally:
            self.optimizer.end(weights, self.optimizer_state)

    def _run_epoch(self, data, batch_size, shuffle, bar):
        """One pass over the data; returns what it adds to the history, but for the seconds."""
        epoch = self.epoch + 1
        bar.set_description(f"epoch {epoch}", refresh=False)
        order = self.rng.permutation(data.rows) if shuffle else None
        loss_sum = norm_sum = 0.0
        weight_sum = steps = 0
        for start in range(0, data.rows, batch_size):
            stop = min(start + batch_size, data.rows)
            batch = data.batch(slice(start, stop) if order is None else order[start:stop])
            try:
                for loss, norm, weight in self._train(batch):
                    loss_sum += loss * weight
                    weight_sum += weight
                    norm_sum += norm
                    steps += 1
            except FloatingPointError as error:
                raise FloatingPointError(f"epoch {epoch}, batch {start // batch_size + 1}: {error}") from None
            bar.set_postfix(loss=f"{loss_sum / max(weight_sum, 1):.4g}", refresh=False)
            bar.update()
        return {
            "epoch": epoch,
            "loss": loss_sum / weight_sum,
            "learning_rate": self.optimizer.learning_rate,
            "gradient_norm": norm_sum / steps,
        }

    def _train(self, batch):
        """The steps of a batch, one for each piece of it: yields loss, norm of the gradient, and weight of each."""
        seed, state = self._seed(), None
        for first, piece in batch.pieces(self.bptt):
            prediction, state, tape = self._forward(piece.x, state, piece.lengths, seed, first)
            try:
                loss, norm = self._update(piece, prediction, tape)
            except FloatingPointError as error:
                place = "" if piece is batch else f"piece from step {first} on: "
                raise FloatingPointError(f"{place}{error}") from None
            yield loss, norm, piece.weight

    def _seed(self):
        """Of what is random in a batch."""
        return int(self.rng.integers(2**63)) if self.net.takes_noise else None

    def _forward(self, x, state, lengths, seed, first_step=0):
        """The first half of a step."""
        options = {} if self.memory is None else {"memory": self.memory}
        if seed is not None:
            options["noise"] = Noise(seed, first_step=first_step) if first_step else seed
        return self.net.forward(x, state, lengths, **options)

    def _update(self, batch, prediction, tape):
        """The second half of a step, from the prediction on; returns loss and norm of the gradient."""
        loss, dy = self.loss(prediction, batch.y, batch.mask)
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss}, {batch.suspicion()}; this step was not taken")
        self._gradient.fill(0)
        self.net.backward(tape, dy, None, self._gradients, False)
        norm = _core.global_norm(self._gradient)
        if not norm <= optimizers.LARGEST_NORM[self._gradient.dtype]:
            raise FloatingPointError(
                f"the norm of the gradient is {norm}, {batch.suspicion()}; this step was not taken"
            )
        if self.clip_norm is not None:
            factor = self.clip_norm / (norm + 1e-6)
            if factor < 1:
                _core.scale(self._gradient, factor)
        if self.optimizer.is_ordinary(self.optimizer_state.rate):
            self.optimizer.update(self.net.flat_parameters, self._gradient, self.optimizer_state)
        else:
            self._update_carefully()
        return loss, norm

    def _update_carefully(self):
        """An update that may overflow, or is not our own: undone if it fails."""
        weights, state = self.net.flat_parameters, self.optimizer_state
        old_weights, old_state = weights.copy(), state.copy()
        try:
            self.optimizer.update(weights, self._gradient, state)
            if not (np.isfinite(weights).all() and state.is_finite()):
                raise FloatingPointError(f"{self.optimizer!r} makes a parameter infinite or NaN; this step was undone")
        except BaseException:
            weights[...] = old_weights
            self.optimizer_state = old_state
            raise

    def _record(self, logs):
        """Adds an epoch to the history; a new name gets NaN for the epochs before it, a missing one for this."""
        self.epoch = logs["epoch"]
        for name in {**self.history, **logs}:
            values = self.history.setdefault(name, [math.nan] * (len(self.history["epoch"]) - 1))
            values.append(logs.get(name, math.nan))

    def _call(self, callbacks, logs):
        """Calls all of them; returns whether one wants to stop."""
        stop = False
        for callback in callbacks:
            try:
                stop = bool(callback(self, dict(logs))) or stop
            except BaseException as error:
                add_note(error, f"raised by the callback {callback!r} after epoch {logs['epoch']}, which is complete")
                raise
        return stop

    # Using what was trained

    def evaluate(self, x: ArrayLike, y: ArrayLike, lengths: ArrayLike | None = None, *, batch_size: int = 256) -> float:
        """The loss on some data.

        Parameters
        ----------
        x, y, lengths
            As for `fit`.
        batch_size : int
            Rows that are computed at a time, rounded up to a multiple of 32. It bounds the memory that is needed;
            results are the same bits for each.

        Returns
        -------
        loss : float
        """
        return self._loss_of(self._data(x, y, lengths), _arrays.size("batch_size", batch_size))

    def predict(self, x: ArrayLike, lengths: ArrayLike | None = None, *, batch_size: int = 256) -> np.ndarray:
        """What the network gives: ``net(x, lengths=lengths)``, computed in batches.

        Parameters
        ----------
        x : array_like
        lengths : array_like of int, (N,), optional
        batch_size : int
            Rows that are computed at a time. It bounds the memory that is needed; results are the same bits for each.

        Returns
        -------
        y : ndarray
            (N, T, F) or (N, F); zero beyond the lengths.
        """
        inputs, valid, _ = self._input(x, lengths)
        batch_size = _arrays.size("batch_size", batch_size)
        first = self._infer(inputs[:batch_size], None if valid is None else valid[:batch_size])
        found = np.empty((len(inputs), *first.shape[1:]), first.dtype)
        found[:batch_size] = first
        for start in range(batch_size, len(inputs), batch_size):
            rows = slice(start, start + batch_size)
            found[rows] = self._infer(inputs[rows], None if valid is None else valid[rows])
        return found

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

    def _loss_of(self, data, batch_size):
        """The mean loss, of sums over fixed groups of rows, whatever the batches."""
        batch_size = math.ceil(batch_size / LOSS_ROWS) * LOSS_ROWS
        terms, weights = [], []
        for start in range(0, data.rows, batch_size):
            batch = data.batch(slice(start, start + batch_size), trim=False)
            prediction = self._infer(batch.x, batch.lengths)
            for first in range(0, batch.rows, LOSS_ROWS):
                rows = slice(first, first + LOSS_ROWS)
                part = batch.batch(rows, trim=False)
                terms.append(part.weight * self.loss(prediction[rows], part.y, part.mask, gradient=False)[0])
                weights.append(part.weight)
        return math.fsum(terms) / sum(weights)

    def _infer(self, x, lengths):
        return self.net.infer(x, None, lengths)[0]

    # Checks

    def _data(self, x, y, lengths):
        """Everything checked that a training or evaluation needs."""
        x, lengths, mask = self._input(x, lengths)
        shape = self._infer(x[:1], None if lengths is None else lengths[:1]).shape
        y = self.loss.checked(y, (len(x), *shape[1:]), mask, "y")
        if mask is not None and not mask.any():
            raise _arrays.wrong(ValueError, "lengths", "at least one valid step", "zeros only")
        return Data(x, y, lengths, mask)

    def _validation(self, validation):
        """The same for the data of `fit` to validate with."""
        expected = "a tuple (x, y) or (x, y, lengths)"
        if not isinstance(validation, (tuple, list)):
            raise _arrays.wrong(TypeError, "validation", expected, _arrays.kind(validation))
        if len(validation) not in (2, 3):
            raise _arrays.wrong(ValueError, "validation", expected, f"{len(validation)} entries")
        try:
            return self._data(*validation, *[None] * (3 - len(validation)))
        except (TypeError, ValueError) as error:
            raise type(error)(f"in validation: {error}") from error

    def _input(self, x, lengths):
        """x as an array that fits the network, the lengths, and those for the loss."""
        x = _arrays.array_of("x", x)
        net, features = self.net, self.net.input_size
        if not net.takes_indices and features is not None and x.shape[-1:] != (features,):
            raise _arrays.wrong(ValueError, "x", f"{features} features in the last axis", f"shape {x.shape}")
        if x.ndim == 0 or 0 in x.shape:
            raise _arrays.wrong(ValueError, "x", "at least one row and no empty axis", f"shape {x.shape}")
        lengths, mask = self._lengths(x, lengths)
        symbols = number_of_symbols(net)
        if symbols is not None:
            x = _arrays.integers("x", x)
            valid = True if lengths is None or x.ndim != 2 else np.arange(x.shape[1]) < lengths[:, np.newaxis]
            _arrays.in_range("x", x, symbols, "an index", valid)
        return x, lengths, mask

    def _lengths(self, x, lengths):
        """The lengths for the network, and for the loss, which has no use for them where the network removes time."""
        if lengths is None:
            return None, None
        if x.ndim + self.net.takes_indices != 3:
            raise _arrays.wrong(ValueError, "lengths", "None, because x has no time axis", _arrays.kind(lengths))
        lengths = _arrays.lengths(lengths, *x.shape[:2])
        return lengths, None if self.net.removes_time else lengths

    def _check_long(self, data, rows):
        """Raises for data that cannot be cut in time, and for a budget that is too small for a batch of whole rows."""
        steps = data.x.shape[1] if data.x.ndim + self.net.takes_indices == 3 else None
        if self.bptt is not None and steps is None:
            raise _arrays.wrong(ValueError, "bptt", "None, because x has no time axis", self.bptt)
        if self.memory is not None:
            budget.check_batches(self.net, self.memory, rows, min(steps, self.bptt or steps))

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


def callables(callbacks):
    """A list of them; raises TypeError for whatever is none."""
    if not isinstance(callbacks, (list, tuple)):
        raise _arrays.wrong(TypeError, "callbacks", "a list or tuple of callables", _arrays.kind(callbacks))
    for k, callback in enumerate(callbacks):
        if not callable(callback):
            raise _arrays.wrong(TypeError, f"callbacks[{k}]", "a callable", _arrays.kind(callback))
    return list(callbacks)


def number_of_symbols(net):
    """How many different indices a network takes, as its first layer says; None if it does not say."""
    while isinstance(net, Network):
        net = net.layers[0]
    return getattr(net, "num_embeddings", None) if net.takes_indices else None


def add_note(error, note):
    """What BaseException.add_note does; Python 3.10 has none, and does not show it either."""
    error.__notes__ = [*getattr(error, "__notes__", []), note]
