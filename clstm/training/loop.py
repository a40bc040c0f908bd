"""The loop of `fit`: epochs, batches, validation, callbacks, and the place where all of it stands.

(a) The only random numbers are those of the trainer's `rng`: at the start of an epoch what its order is made of, then,
    if the network takes noise, a seed for each batch. So an epoch that was broken off is found again from the state of
    the generator at its start and at the break.
(b) Between two steps everything that is known of the way stands in a `Position`, so that a checkpoint may be written
    there, and training goes on from it to the same bits.
(c) Callbacks are called in their order, those that write checkpoints after the others, which have seen what is written.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

from .. import _arrays
from ..callbacks import CallbackError
from ..progress import bar as bar_of
from .evaluation import scores
from .interrupts import Interrupts
from .stepping import Done

if TYPE_CHECKING:
    from ..callbacks import Callback
    from .order import Plan
    from .trainer import Trainer


class Position:
    """Where a training stands in an epoch.

    Attributes
    ----------
    batch : int
        How many batches are done.
    step : int
        The first step of the next piece of the batch after them.
    state
        What the network carries to that piece.
    seed : int or None
        Of what is random in that batch.
    generator : dict or None
        The state of the generator at the start of the epoch; None before it.
    loss, weight, norm, updates, seconds : float
        Sums over what is done.
    """

    def __init__(self):
        self.batch = self.step = self.updates = 0
        self.state: Any = None
        self.seed: int | None = None
        self.generator: dict | None = None
        self.loss = self.weight = self.norm = self.seconds = 0.0

    def add(self, done: Any) -> None:
        """Counts a step, or a batch that waits for others."""
        self.loss += done.loss * done.weight
        self.weight += done.weight
        if done.norm is not None:
            self.norm += done.norm
            self.updates += 1

    def logs(self) -> dict[str, float]:
        """Means over what is done."""
        return {
            "loss": self.loss / self.weight if self.weight else 0.0,
            "gradient_norm": self.norm / self.updates if self.updates else 0.0,
        }

    def next_batch(self) -> None:
        """Goes to the next batch."""
        self.batch, self.step, self.state, self.seed = self.batch + 1, 0, None, None


class Run:
    """One call of `fit`.

    Parameters
    ----------
    trainer : Trainer
    source : Arrays, Lists or Batches
    validation : Validation or None
    plan : Plan
    callbacks : list of Callback
    epochs : int
        How many more.
    validate_every : int or None
        Steps of the optimiser between validations; None: once in each epoch.
    progress : bool
        Whether a bar is shown.
    """

    def __init__(
        self,
        trainer: Trainer,
        source: Any,
        validation: Any,
        plan: Plan,
        callbacks: list[Callback],
        epochs: int,
        validate_every: int | None,
        progress: bool,
    ) -> None:
        self.trainer, self.source, self.validation, self.plan = trainer, source, validation, plan
        self.callbacks = sorted(callbacks, key=lambda callback: callback.runs_last)
        self.epochs, self.validate_every, self.progress = epochs, validate_every, progress
        self.last = trainer.epoch + epochs
        self.position = Position()
        self.stopped = self.paused = self.sound = self.ended = False
        self.batches: int | None = None  # of an epoch
        self.validated: dict[str, float] = {}  # in this epoch

    # Going on

    def arguments(self) -> dict[str, Any]:
        """What has to be the same where the training is gone on with."""
        return {
            "epochs": self.epochs,
            **self.plan._asdict(),
            "validate_every": self.validate_every,
            "validation": self.validation is not None,
            "callbacks": [type(callback).__name__ for callback in self.callbacks],
            **self.source.describe(),
        }

    def describe(self) -> dict[str, Any]:
        """All that another run needs to go on with this one."""
        return {
            "arguments": self.arguments(),
            "last": self.last,
            "stopped": self.stopped and not self.paused,
            "position": vars(self.position).copy(),
            "validated": dict(self.validated),
            "callbacks": [callback.state() for callback in self.callbacks],
            "metrics": [metric.state() for metric in self.trainer.metrics],
        }

    def goes_on_with(self, unfinished: dict[str, Any] | None) -> bool:
        """Whether there is a run to go on with: one that has only to end yet is left alone by other arguments."""
        if unfinished is None:
            return False
        only_ends = unfinished["stopped"] or self.trainer.epoch >= unfinished["last"]
        return not only_ends or self.arguments() == unfinished["arguments"]

    def go_on(self, unfinished: dict[str, Any]) -> list[dict[str, Any]]:
        """Takes the place of a run that was described; returns the states of its callbacks."""
        own, expected = self.arguments(), unfinished["arguments"]
        for name in sorted(own.keys() | expected.keys()):
            if own.get(name) != expected.get(name):
                wanted = f"{expected.get(name)!r} as in the fit that was not finished (or call drop_unfinished before)"
                raise _arrays.wrong(ValueError, name, wanted, repr(own.get(name)))
        self.last, self.stopped = unfinished["last"], unfinished["stopped"]
        self.validated = dict(unfinished["validated"])
        vars(self.position).update(unfinished["position"])
        for metric, state in zip(self.trainer.metrics, unfinished["metrics"], strict=True):
            metric.load_state(state)
        return unfinished["callbacks"]

    def run(self, states: list[dict[str, Any]] | None = None) -> None:
        """All epochs, or until a callback wants to stop; `states` are those of the callbacks in a run that goes on."""
        trainer = self.trainer
        try:
            trainer.optimizer.begin(trainer.net.flat_parameters, trainer.optimizer_state)
            with Interrupts() as self.interrupts, self.new_bar() as self.bar:
                self.begin(states)
                while trainer.epoch < self.last and not self.stopped:
                    self.epoch()
            self.sound = True
        except KeyboardInterrupt:
            self.sound = self.paused = self.interrupts.clean
            raise
        finally:
            trainer.optimizer.end(trainer.net.flat_parameters, trainer.optimizer_state)
            self.ended = True
            self.end()

    def new_bar(self) -> Any:
        """Of all batches that are left, if their number is known."""
        batches = self.source.count(self.plan)
        left = self.last - self.trainer.epoch
        return bar_of(None if batches is None else left * batches - self.position.batch, self.progress)

    @property
    def unfinished(self) -> bool:
        """Whether there is something to go on with."""
        return self.trainer.epoch < self.last and (self.paused or not self.stopped)

    # An epoch

    def epoch(self) -> None:
        """One pass over the data, or what is left of it."""
        position, rng, number = self.position, self.trainer.rng, self.trainer.epoch + 1
        after = None
        if position.generator is None:
            position.generator = rng.bit_generator.state
            for metric in self.trainer.metrics:
                metric.reset()
        else:  # the order is made once more, and then the generator is where it was
            after, rng.bit_generator.state = rng.bit_generator.state, position.generator
        self.batches, batches = self.source.epoch(number, rng, self.plan, position.batch)
        if after is not None:
            rng.bit_generator.state = after
        self.trainer._stepper.clear()
        self.bar.set_description(f"epoch {number}", refresh=False)
        try:
            for rows in batches:
                self.batch(rows)
                if self.stopped:
                    return
            self.last_step()
        except FloatingPointError as error:
            raise FloatingPointError(f"epoch {number}, batch {position.batch + 1}: {error}") from None
        if not self.stopped:
            self.finish(number)

    def batch(self, rows: Any) -> None:
        """The steps of a batch, one for each piece of it."""
        position, trainer = self.position, self.trainer
        bptt = trainer.bptt
        steps = rows.steps
        if bptt is None or steps <= bptt:
            position.seed = trainer._stepper.seed()
            last = self.batches is not None and position.batch + 1 >= self.batches
            self.piece(rows.batch(), 0, None, last)
            return
        if position.seed is None:
            position.seed = trainer._stepper.seed()
        while position.step < steps and not self.stopped:
            end = min(position.step + bptt, steps)
            try:
                self.piece(rows.batch(position.step, end), position.step, end if end < steps else None, True)
            except FloatingPointError as error:
                raise FloatingPointError(f"piece from step {position.step} on: {error}") from None
            if position.step == 0:
                return

    def last_step(self) -> None:
        """The step of batches that wait for others: of an iterable it is known only at its end that there are none."""
        stepper, position = self.trainer._stepper, self.position
        if stepper.waiting:
            done = Done(position.logs()["loss"], 0.0, stepper.finish(stepper.latest))
            position.add(done)
            self.after_step(done)

    def piece(self, batch: Any, first: int, then: int | None, last: bool) -> None:
        """A step, and the position behind it: step `then` of the same batch, or the next batch."""
        position, trainer = self.position, self.trainer
        started = perf_counter()
        done, prediction, state = trainer._stepper.run(batch, position.state, position.seed, first, last)
        position.add(done)
        for metric in trainer.metrics:
            metric.update(prediction, batch.y, batch.valid, batch.weight)
        if then is None:
            position.next_batch()
            self.bar.set_postfix(loss=f"{position.loss / (position.weight or 1):.4g}", refresh=False)
            self.bar.update()
        else:
            position.step, position.state = then, state
        position.seconds += perf_counter() - started
        if done.norm is not None:
            self.after_step(done)

    def after_step(self, done: Any) -> None:
        """What follows a step of the optimiser: validation if it is due, callbacks."""
        trainer = self.trainer
        if self.validate_every and trainer.steps % self.validate_every == 0:
            self.validate()
        if self.listeners["on_step_end"]:
            logs = {
                "epoch": trainer.epoch + 1,
                "step": trainer.steps,
                "loss": done.loss,
                "gradient_norm": done.norm,
                "learning_rate": trainer.learning_rate,
            }
            self.call("on_step_end", logs)
        self.interrupts.check(self)

    def finish(self, number: int) -> None:
        """The end of an epoch: validation, history, callbacks."""
        trainer, position = self.trainer, self.position
        started = perf_counter()
        logs = {"epoch": number, **position.logs(), "learning_rate": trainer.learning_rate}
        for metric in trainer.metrics:
            logs[metric.name] = metric.result()
            metric.reset()
        if self.validation is not None and (not self.validate_every or not self.validated):
            self.validate()
        logs |= self.validated
        logs["seconds"] = position.seconds + perf_counter() - started
        self.position, self.validated = Position(), {}
        trainer._record(logs)
        if self.validation is None:
            trainer.schedule.observe(logs["loss"])
        self.call("on_epoch_end", logs)

    def validate(self) -> None:
        """Loss and metrics of the validation data."""
        if self.validation is None:
            return
        trainer = self.trainer
        with trainer._averaged():
            found = scores(trainer, self.validation.source, self.validation.batch_size, trainer.metrics)
        self.validated = {f"val_{name}": value for name, value in found.items()}
        trainer.validations.append({"epoch": trainer.epoch + 1, "step": trainer.steps, **self.validated})
        trainer.optimizer.validated(found["loss"], trainer.optimizer_state)
        trainer.schedule.observe(found["loss"])
        self.call("on_validation_end", dict(trainer.validations[-1]))

    # Callbacks

    @property
    def callbacks(self) -> list[Callback]:
        """In the order in which they are called."""
        return self._callbacks

    @callbacks.setter
    def callbacks(self, callbacks: list[Callback]) -> None:
        self._callbacks = callbacks
        names = ("on_step_end", "on_validation_end", "on_epoch_end")
        self.listeners = {name: [c for c in callbacks if c.listens_to(name)] for name in names}

    def begin(self, states: list[dict[str, Any]] | None) -> None:
        """Lets every callback begin, or go on from its state."""
        for k, callback in enumerate(self.callbacks):
            try:
                if states is None:
                    callback.on_fit_begin(self.trainer)
                else:
                    callback.on_fit_resume(self.trainer, states[k])
            except Exception as error:
                raise CallbackError(f"{callback!r} failed before the first step: {error!r}") from error

    def call(self, event: str, logs: dict[str, Any] | None = None) -> None:
        """Calls all that listen to an event; whether one wants to stop is kept."""
        for callback in self.listeners[event]:
            arguments = (self.trainer,) if logs is None else (self.trainer, dict(logs))
            try:
                wants = getattr(callback, event)(*arguments)
            except Exception as error:
                raise CallbackError(f"{callback!r} failed in {event} {self.place()}: {error!r}") from error
            if wants:
                self.stopped, self.paused = True, self.paused or callback.pauses

    def place(self) -> str:
        """Where training stands, in words."""
        trainer = self.trainer
        if self.position.generator is None:
            return f"after epoch {trainer.epoch}, which is complete"
        return f"in epoch {trainer.epoch + 1}, after step {trainer.steps}, which is complete"

    def end(self) -> None:
        """Lets every callback end, also after an error; the first error that one of them has then is raised."""
        failed = None
        for callback in self.callbacks:
            try:
                callback.on_fit_end(self.trainer)
            except Exception as error:
                failed = failed or CallbackError(f"{callback!r} failed in on_fit_end {self.place()}: {error!r}")
                failed.__cause__ = failed.__cause__ or error
        if failed is not None:
            raise failed
