"""OnlineForecaster: foretells a stream, and learns from each of its events."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .. import _arrays
from ..optimizers import AdamW
from .kept import Kept
from .learner import Learner
from .running import Moments, Size
from .values import Form

IMPUTE = ("forward", "mean", "forecast")
MOST = 10.0  # deviations to which what the network sees, and is to give, is limited


class OnlineForecaster(Kept):
    """Foretells the next events of a stream, and learns from each in turn.

    `predict_one` says what comes next, `learn_one` takes what came. Each costs the same, however long the stream has
    been: values are scaled by running means, the network carries its state on, and its gradient goes back over the last
    `bptt` events alone. Methods and forms are those of river's forecasters, which is not needed.

    The network foretells by how much the next value differs from the last one, in deviations of such changes, and
    starts with 0: a new forecaster repeats the last value, and gets better from there.

    Parameters
    ----------
    hidden_size : int
    num_layers : int
    bptt : int
        Over how many events the gradient goes back.
    every : int
        A step of the optimiser is made at each event whose number it divides: more learn less, and cost less.
    learning_rate : float
        Of AdamW; above 0 and at most 1.
    weight_decay : float
    clip_norm : float or None
        Gradients whose norm is larger are scaled down to it.
    half_life : float, optional
        Events after which a value counts half in running means and deviations. None: all count the same.
    warm_up : int
        Events in which only means and deviations are learnt.
    impute : str, optional
        What the network sees in place of a missing value (NaN, None, or a name that is not in the dict): "forward", the
        last known one; "mean", the running mean; "forecast", what it had foretold. No error is learnt there. None:
        missing values are refused.
    rng : int or numpy.random.Generator, optional
        Seed or generator for the starting weights; None: fresh entropy.

    Attributes
    ----------
    events : int
        How many have been learnt.

    Notes
    -----
    The first event decides the form of all: a number, a dict of numbers by name, or an array (C,).

    A copy by pickle or `save` goes on to the same bits as the original.

    Examples
    --------
    >>> import math
    >>> from clstm.online import OnlineForecaster
    >>> model, errors = OnlineForecaster(rng=0), []
    >>> for t in range(600):
    ...     y = math.sin(t / 3)
    ...     errors.append(abs(y - model.predict_one()))
    ...     model.learn_one(y)
    >>> sum(errors[-100:]) < sum(errors[20:120]) / 3
    True
    >>> len(model.forecast(horizon=3))
    3
    """

    parameters: ClassVar[tuple[str, ...]] = (
        "hidden_size",
        "num_layers",
        "bptt",
        "every",
        "learning_rate",
        "weight_decay",
        "clip_norm",
        "half_life",
        "warm_up",
        "impute",
    )

    def __init__(
        self,
        hidden_size: int = 16,
        num_layers: int = 1,
        *,
        bptt: int = 32,
        every: int = 1,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-2,
        clip_norm: float | None = 1.0,
        half_life: float | None = None,
        warm_up: int = 16,
        impute: str | None = None,
        rng: int | np.random.Generator | None = None,
    ) -> None:
        self.hidden_size = _arrays.size("hidden_size", hidden_size)
        self.num_layers = _arrays.size("num_layers", num_layers)
        self.bptt, self.every = _arrays.size("bptt", bptt), _arrays.size("every", every)
        self.learning_rate = _arrays.number("learning_rate", learning_rate, "a number above 0, at most 1")
        if not 0 < self.learning_rate <= 1:
            raise _arrays.wrong(ValueError, "learning_rate", "a number above 0, at most 1", learning_rate)
        self.weight_decay = _arrays.rate("weight_decay", weight_decay)
        self.clip_norm = _arrays.limit("clip_norm", clip_norm)
        self.half_life = _arrays.limit("half_life", half_life)
        self.warm_up = _arrays.size("warm_up", warm_up)
        self.impute = None if impute is None else _arrays.choice("impute", impute, IMPUTE)
        self._rng = _arrays.generator(rng)
        self.events = 0
        self._form: Form | None = None  # of y; None: no event yet
        self._known: Form | None = None  # of x; None: there is none

    def _start(self, form, known):
        """Makes all that depends on the form of the first event."""
        C, E = form.channels, 0 if known is None else known.channels
        self._form, self._known = form, known
        keep = 1.0 if self.half_life is None else 0.5 ** (1 / self.half_life)
        self._moments, self._changes, self._exog = Moments(C, keep), Size(C, keep), Moments(E, keep)
        self._last, self._change = np.full(C, np.nan), np.zeros(C)
        self._learner = Learner(
            2 * C + E,
            C,
            hidden_size=self.hidden_size,
            num_layers=self.num_layers,
            bptt=self.bptt,
            every=self.every,
            optimizer=AdamW(self.learning_rate, weight_decay=self.weight_decay),
            clip=self.clip_norm,
            rng=self._rng,
        )

    # Learning

    def learn_one(self, y: Any, x: Any = None) -> None:
        """Learns an event.

        Parameters
        ----------
        y : float, dict of float, or array_like (C,)
            What came.
        x : float, dict of float, or array_like (E,), optional
            What else was known of this event before it came, such as its hour. All events have it, or none.

        Raises
        ------
        TypeError, ValueError
            The event has another form than the first, or values that are missing or not finite; nothing has changed.
        """
        form, known, values, exog = self._checked(y, x)
        if self._form is None:
            self._start(form, known)
        given = ~np.isnan(values)
        filled = values if given.all() else np.where(given, values, self._stand_in(exog))
        before = ~np.isnan(self._last)
        change = np.where(before, filled - self._last, 0.0)
        if self.events >= self.warm_up:
            target = limited(change / self._changes.deviation)
            self._learner.learn(self._input(self._last, self._change, exog), np.where(given & before, target, np.nan))
        self._changes.update(change, given & before)
        self._moments.update(filled, given)
        self._exog.update(exog, np.ones(len(exog), bool))
        self._last, self._change = filled, change
        self.events += 1

    def _checked(self, y, x):
        """Forms and values of an event, checked against those of the first."""
        form = Form.of("y", y) if self._form is None else self._form
        values = form.values("y", y, self.impute is not None)
        known = self._known if self._form is not None else None if x is None else Form.of("x", x)
        return form, known, values, self._checked_exog(known, x)

    def _checked_exog(self, known, x):
        if (known is None) != (x is None):
            raise _arrays.wrong(ValueError, "x", "None, as before" if known is None else "a value, as before", x)
        return np.empty(0) if known is None else known.values("x", x, False)

    def _stand_in(self, exog):
        """What the network sees where a value is missing."""
        if self.impute == "mean":
            return np.where(self._moments.weight > 0, self._moments.mean, np.nan)
        return self._next(exog) if self.impute == "forecast" else self._last

    def _input(self, last, change, exog):
        """What the network sees: the last values, their last changes, and what is known of the next event."""
        parts = [self._moments.scaled(last), change / self._changes.deviation]
        if self._known is not None:
            parts.append(self._exog.scaled(exog))
        found = limited(np.concatenate(parts)).astype(np.float32)
        found[np.isnan(found)] = 0  # a channel of which nothing has been known yet
        return found

    # Foretelling

    def predict_one(self, x: Any = None) -> Any:
        """What comes next.

        Parameters
        ----------
        x : float, dict of float, or array_like (E,), optional
            What is known of the next event, if events have that.

        Returns
        -------
        float, dict of float, or ndarray (C,)
            In the form of the events; NaN before the first of them.
        """
        return float("nan") if self._form is None else self.forecast(1, None if x is None else [x])[0]

    def forecast(self, horizon: int, xs: Any = None) -> list[Any]:
        """What comes next, several steps on: each forecast is seen as if it had come.

        Parameters
        ----------
        horizon : int
        xs : list, optional
            What is known of each of these events, if events have that.

        Returns
        -------
        list
            `horizon` forecasts, each as from `predict_one`.
        """
        horizon = _arrays.size("horizon", horizon)
        if xs is not None and (not isinstance(xs, (list, tuple, np.ndarray)) or len(xs) != horizon):
            raise _arrays.wrong(ValueError, "xs", f"a list of {horizon}, one for each step", _arrays.kind(xs))
        if self._form is None:
            return [float("nan")] * horizon
        exogs = [self._checked_exog(self._known, None if xs is None else xs[k]) for k in range(horizon)]
        last, change, found = self._last, self._change, []
        state = self._learner.state
        for exog in exogs:
            step, state = self._learner.predict(self._input(last, change, exog), state)
            change = step * self._changes.deviation
            last = last + change
            found.append(self._form.give(last))
        return found

    def _next(self, exog):
        """The next values (C,)."""
        step, _ = self._learner.predict(self._input(self._last, self._change, exog), self._learner.state)
        return self._last + step * self._changes.deviation

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.parameters)})"

    # Files

    def _kept(self):
        if self._form is None:
            raise _arrays.wrong(ValueError, "self", "a model that has learnt an event", "one that has learnt none")
        return {
            "parameters": {name: getattr(self, name) for name in self.parameters},
            "y": list(self._form),
            "x": None if self._known is None else list(self._known),
            "events": self.events,
            "moments": self._moments.state(),
            "changes": self._changes.state(),
            "exog": self._exog.state(),
            "last": self._last,
            "change": self._change,
            "learner": self._learner.kept(),
        }

    @classmethod
    def _restored(cls, found):
        self = cls(**found["parameters"], rng=0)
        self._start(Form(*found["y"]), None if found["x"] is None else Form(*found["x"]))
        self.events, self._last, self._change = found["events"], found["last"], found["change"]
        self._moments.load(found["moments"])
        self._changes.load(found["changes"])
        self._exog.load(found["exog"])
        self._learner.load(found["learner"])
        return self


def limited(values: np.ndarray) -> np.ndarray:
    """Deviations of at most MOST; NaN stays."""
    return np.minimum(np.maximum(values, -MOST), MOST)
