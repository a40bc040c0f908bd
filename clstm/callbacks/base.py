"""What a trainer tells while it trains, and whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import _arrays

if TYPE_CHECKING:
    from ..training.trainer import Trainer


class CallbackError(RuntimeError):
    """A callback has raised; what it raised is the cause (``__cause__``).

    The step or epoch that the message names is complete: network, optimiser and history fit each other.
    """


class Callback:
    """Base class of callbacks: whoever wants to know what happens in `Trainer.fit` writes some of its methods.

    A callback that returns a true value from one of the methods `on_step_end`, `on_validation_end` and `on_epoch_end`
    stops the training. It may change the learning rate, save files, or look at anything; what it raises ends the
    training as a `CallbackError`.

    Attributes
    ----------
    pauses : bool
        Whether a stop that it wants may be gone on from by `fit` with the same arguments (a time limit), or ends the
        training for good (early stopping).
    runs_last : bool
        Whether it is called after the others, because it saves what they have done.

    Examples
    --------
    >>> import numpy as np, clstm
    >>> class Halve(clstm.callbacks.Callback):
    ...     def on_epoch_end(self, trainer, logs):
    ...         trainer.optimizer.learning_rate /= 2
    >>> trainer = clstm.Trainer(clstm.LSTM(1, 2, rng=0), learning_rate=0.1, rng=0)
    >>> history = trainer.fit(np.ones((4, 3, 1)), np.zeros((4, 3, 2)), epochs=3, callbacks=[Halve()])
    >>> history["learning_rate"]
    [0.1, 0.05, 0.025]
    """

    pauses: bool = False
    runs_last: bool = False

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Before the first step of a new training."""

    def on_fit_resume(self, trainer: Trainer, state: dict[str, Any]) -> None:
        """Instead of `on_fit_begin`, where a training goes on: `state` is what `state` has returned."""

    def on_step_end(self, trainer: Trainer, logs: dict[str, Any]) -> bool | None:
        """After each step of the optimiser: "epoch", "step" (of all epochs), "loss", "gradient_norm" and
        "learning_rate" of that step."""

    def on_validation_end(self, trainer: Trainer, logs: dict[str, Any]) -> bool | None:
        """After each validation: "epoch", "step", "val_loss" and metrics."""

    def on_epoch_end(self, trainer: Trainer, logs: dict[str, Any]) -> bool | None:
        """After each epoch: what it adds to the history."""

    def on_interrupt(self, trainer: Trainer) -> bool | None:
        """At Ctrl-C, after the step that was being made: true if training shall stop without an exception."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """At the end of `fit`, also after an error: the place to close what was opened."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of this callback: what JSON knows, and arrays."""
        return {}

    def listens_to(self, event: str) -> bool:
        """Whether this callback has a method of its own for an event."""
        return getattr(type(self), event) is not getattr(Callback, event)

    def __repr__(self):
        return f"{type(self).__name__}()"


class AfterEpoch(Callback):
    """A plain function as a callback: ``function(trainer, logs)`` after each epoch."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def on_epoch_end(self, trainer, logs):
        """Calls the function."""
        return self.function(trainer, logs)

    def __repr__(self):
        return repr(self.function)


def checked(callbacks: Any) -> list[Callback]:
    """A list of callbacks; raises TypeError for whatever is none."""
    if not isinstance(callbacks, (list, tuple)):
        raise _arrays.wrong(TypeError, "callbacks", "a list or tuple of callbacks", _arrays.kind(callbacks))
    found = []
    for k, callback in enumerate(callbacks):
        if isinstance(callback, type) and issubclass(callback, Callback):
            raise _arrays.wrong(TypeError, f"callbacks[{k}]", "an object", f"the class {callback.__name__}")
        if not isinstance(callback, Callback) and not callable(callback):
            raise _arrays.wrong(TypeError, f"callbacks[{k}]", "a Callback or a callable", _arrays.kind(callback))
        found.append(callback if isinstance(callback, Callback) else AfterEpoch(callback))
    return found
