"""Metrics of all data at once, as functions. Parameters and results are those of `Metric.update` and of the classes."""

from __future__ import annotations

from typing import Any

from .classification import F1, Accuracy, Perplexity, Precision, Recall
from .edits import CER, WER
from .regression import MAE, MASE, R2, RMSE, SMAPE


def _once(metric, *data):
    metric.update(*data)
    return metric.result()


def accuracy(
    prediction: Any,
    target: Any,
    lengths: Any = None,
    weight: Any = None,
    *,
    top_k: int = 1,
    ignore_index: int | None = None,
) -> float:
    """The share of positions whose class is right, see `Accuracy`."""
    return _once(Accuracy(top_k, ignore_index=ignore_index), prediction, target, lengths, weight)


def f1(
    prediction: Any,
    target: Any,
    lengths: Any = None,
    weight: Any = None,
    *,
    average: str = "macro",
    ignore_index: int | None = None,
) -> float:
    """The F1 score, see `F1`."""
    return _once(F1(average, ignore_index=ignore_index), prediction, target, lengths, weight)


def precision(
    prediction: Any,
    target: Any,
    lengths: Any = None,
    weight: Any = None,
    *,
    average: str = "macro",
    ignore_index: int | None = None,
) -> float:
    """The precision, see `Precision`."""
    return _once(Precision(average, ignore_index=ignore_index), prediction, target, lengths, weight)


def recall(
    prediction: Any,
    target: Any,
    lengths: Any = None,
    weight: Any = None,
    *,
    average: str = "macro",
    ignore_index: int | None = None,
) -> float:
    """The recall, see `Recall`."""
    return _once(Recall(average, ignore_index=ignore_index), prediction, target, lengths, weight)


def perplexity(
    prediction: Any, target: Any, lengths: Any = None, weight: Any = None, *, ignore_index: int | None = None
) -> float:
    """exp of the mean cross-entropy, see `Perplexity`."""
    return _once(Perplexity(ignore_index=ignore_index), prediction, target, lengths, weight)


def rmse(prediction: Any, target: Any, lengths: Any = None, weight: Any = None) -> float:
    """The square root of the mean squared error, see `RMSE`."""
    return _once(RMSE(), prediction, target, lengths, weight)


def mae(prediction: Any, target: Any, lengths: Any = None, weight: Any = None) -> float:
    """The mean absolute error, see `MAE`."""
    return _once(MAE(), prediction, target, lengths, weight)


def mase(
    prediction: Any, target: Any, lengths: Any = None, weight: Any = None, *, series: Any, season: int = 1
) -> float:
    """The mean absolute scaled error, see `MASE`."""
    return _once(MASE(series, season), prediction, target, lengths, weight)


def smape(prediction: Any, target: Any, lengths: Any = None, weight: Any = None) -> float:
    """The symmetric mean absolute percentage error, see `SMAPE`."""
    return _once(SMAPE(), prediction, target, lengths, weight)


def r2(prediction: Any, target: Any, lengths: Any = None, weight: Any = None) -> float:
    """The share of the variance that is explained, see `R2`."""
    return _once(R2(), prediction, target, lengths, weight)


def cer(prediction: Any, target: Any, lengths: Any = None, *, decode: Any = None) -> float:
    """The character error rate, see `CER`."""
    return _once(CER(decode), prediction, target, lengths)


def wer(
    prediction: Any, target: Any, lengths: Any = None, *, decode: Any = None, separator: int | None = None
) -> float:
    """The word error rate, see `WER`."""
    return _once(WER(decode, separator=separator), prediction, target, lengths)
