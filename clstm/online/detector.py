"""OnlineAnomalyDetector: how unexpected an event of a stream is."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _arrays
from .forecaster import OnlineForecaster
from .kept import Kept
from .running import Errors


class OnlineAnomalyDetector(Kept):
    """Says how far each event of a stream is from what an `OnlineForecaster` had foretold.

    `score_one` judges an event, `learn_one` learns it. A score is the error in running deviations of such errors, over
    several channels the root mean square of that. An anomaly hardly raises the deviation, because no error counts as
    more than 4 deviations there.

    Parameters
    ----------
    threshold : float, default 6.0
        Scores above it are anomalies for `predict_one`; above 0.
    grace : int, default 100
        Events, the warm-up of the forecaster among them, in which all scores are 0, since it is not known yet what is
        usual.
    **options
        Of the forecaster: all that `OnlineForecaster` takes, by name.

    Attributes
    ----------
    forecaster : OnlineForecaster

    Examples
    --------
    >>> import math
    >>> from clstm.online import OnlineAnomalyDetector
    >>> model, found = OnlineAnomalyDetector(rng=0), []
    >>> for t in range(600):
    ...     event = {"load": math.sin(t / 3) + (3 if t == 500 else 0)}
    ...     if model.predict_one(event):
    ...         found.append(t)
    ...     model.learn_one(event)
    >>> found[0]
    500
    """

    def __init__(self, *, threshold: float = 6.0, grace: int = 100, **options: Any) -> None:
        self.threshold = _arrays.positive("threshold", threshold)
        self.grace = _arrays.size_or_0("grace", grace)
        self.forecaster = OnlineForecaster(**options)
        self._errors: Errors | None = None  # None: no event yet

    @property
    def events(self) -> int:
        """How many have been learnt."""
        return self.forecaster.events

    def learn_one(self, x: Any, exog: Any = None) -> None:
        """Learns an event.

        Parameters
        ----------
        x : float, dict of float, or array_like (C,)
            What came.
        exog : float, dict of float, or array_like (E,), optional
            What else was known of the event before it came, such as its hour. All events have it, or none.

        Raises
        ------
        TypeError, ValueError
            As from `OnlineForecaster.learn_one`; nothing has changed then.
        """
        error = self._error(x, exog)
        warm = self.forecaster.events >= self.forecaster.warm_up
        self.forecaster.learn_one(x, exog)
        if self._errors is None:
            half_life = self.forecaster.half_life
            self._errors = Errors(self.forecaster._form.channels, 1.0 if half_life is None else 0.5 ** (1 / half_life))
        if warm:
            self._errors.update(error, ~np.isnan(error))

    def score_one(self, x: Any, exog: Any = None) -> float:
        """How unexpected an event is; nothing is learnt.

        Parameters
        ----------
        x, exog
            As for `learn_one`.

        Returns
        -------
        float
            In deviations, at least 0; 0 within the grace, and for an event of which nothing is known.
        """
        error = self._error(x, exog)
        if self.events < max(self.grace, self.forecaster.warm_up + 1):
            return 0.0
        known = ~np.isnan(error)
        deviations = error[known] / self._errors.deviation[known]
        return float(np.sqrt(np.mean(deviations**2))) if known.any() else 0.0

    def predict_one(self, x: Any, exog: Any = None) -> bool:
        """Whether the score of an event is above the threshold.

        Parameters
        ----------
        x, exog
            As for `learn_one`.

        Returns
        -------
        bool
        """
        return self.score_one(x, exog) > self.threshold

    def _error(self, x, exog):
        """The absolute errors (C,) of an event; NaN where nothing is known of it, or before it."""
        forecaster = self.forecaster
        form, _, values, known = forecaster._checked(x, exog)
        if forecaster._form is None:
            return np.full(form.channels, np.nan)
        return np.abs(values - forecaster._next(known))

    def __repr__(self):
        options = ", ".join(f"{name}={getattr(self.forecaster, name)!r}" for name in OnlineForecaster.parameters)
        return f"{type(self).__name__}(threshold={self.threshold!r}, grace={self.grace!r}, {options})"

    # Files

    def _kept(self):
        kept = self.forecaster._kept()
        return {
            "threshold": self.threshold,
            "grace": self.grace,
            "errors": self._errors.state(),
            "forecaster": kept,
        }

    @classmethod
    def _restored(cls, found):
        self = cls(threshold=found["threshold"], grace=found["grace"], **found["forecaster"]["parameters"])
        self.forecaster = OnlineForecaster._restored(found["forecaster"])
        half_life = self.forecaster.half_life
        self._errors = Errors(self.forecaster._form.channels, 1.0 if half_life is None else 0.5 ** (1 / half_life))
        self._errors.load(found["errors"])
        return self
