"""Metrics: figures that people read, beside the loss that a network is trained by.

A metric is an object that batches are shown to one after another, ``update(prediction, target, lengths, weight)``, and
that then says its ``result()``. It keeps counts and sums, not means of means, so that the batches do not matter. The
functions of the same names take all data at once.
"""

from __future__ import annotations

from typing import Any

from .. import _arrays
from .base import Function, Metric
from .classification import F1, Accuracy, Perplexity, Precision, Recall
from .edits import CER, WER, edit_distance
from .functions import accuracy, cer, f1, mae, mase, perplexity, precision, r2, recall, rmse, smape, wer
from .regression import MAE, MASE, R2, RMSE, SMAPE

NAMED = {
    metric.name: metric for metric in (Accuracy, F1, Precision, Recall, Perplexity, RMSE, MAE, SMAPE, R2, CER, WER)
}


def make(metric: Any) -> Metric:
    """The metric that somebody means by an object, a name, or a function of his own.

    Parameters
    ----------
    metric : Metric, str or callable
        A metric is taken as it is. A function becomes a `Function`, the mean over batches by their rows.

    Returns
    -------
    Metric

    Raises
    ------
    TypeError, ValueError
        For anything else; the message lists the known names.

    Examples
    --------
    >>> from clstm import metrics
    >>> metrics.make("accuracy")
    Accuracy()
    """
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, type) and issubclass(metric, Metric):
        raise _arrays.wrong(TypeError, "metrics", f"an object {metric.__name__}(...)", "the class")
    if callable(metric):
        return Function(metric)
    if metric == MASE.name:
        raise _arrays.wrong(ValueError, "metrics", "MASE(series), which needs the training series", "'mase'")
    return NAMED[_arrays.choice("metrics", metric, tuple(NAMED))]()


def from_config(name: str, config: dict[str, Any]) -> Metric:
    """The metric of the class with this name, with what its `config` returned, perhaps by way of JSON."""
    known = {metric.__name__: metric for metric in NAMED.values()}
    return known[_arrays.choice("name", name, tuple(known))](**config)


__all__ = [
    "CER",
    "F1",
    "MAE",
    "MASE",
    "R2",
    "RMSE",
    "SMAPE",
    "WER",
    "Accuracy",
    "Function",
    "Metric",
    "Perplexity",
    "Precision",
    "Recall",
    "accuracy",
    "cer",
    "edit_distance",
    "f1",
    "from_config",
    "mae",
    "make",
    "mase",
    "perplexity",
    "precision",
    "r2",
    "recall",
    "rmse",
    "smape",
    "wer",
]
