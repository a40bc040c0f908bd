"""What all losses share: the protocol by which a trainer uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import _arrays

if TYPE_CHECKING:
    from ..layer import Layer

REDUCTIONS = ("mean", "sum")


class Computed(NamedTuple):
    """What `Loss.compute` returns.

    `loss` is the mean or the sum, `gradient` (or None) that with respect to the prediction, `weight` what the mean is
    divided by: the sum of the weights of all that counts. Means of several batches are added by it.
    """

    loss: float
    gradient: np.ndarray | None
    weight: float


class Loss:
    """What a trainer needs of a loss: `checked` once for all targets, then `compute` for each batch.

    Parameters
    ----------
    reduction : str, default "mean"
        "mean": over all elements that count, by their weights. "sum".

    Attributes
    ----------
    name : str
        By which a trainer knows it.
    least_axes : int
        Of a prediction, without the axis of time.
    aligned : bool
        Whether a target has the axis of time of the prediction, and is cut with it.
    layer : Layer or None
        The layer that holds parameters of the loss, after `attach`.
    """

    name: str
    least_axes: int = 1
    aligned: bool = True
    layer: Layer | None = None

    def __init__(self, *, reduction: str = "mean") -> None:
        self.reduction = _arrays.choice("reduction", reduction, REDUCTIONS)

    def attach(self, net: Layer) -> None:
        """Finds in a network what the loss needs of it; raises ValueError if it is not there."""

    def checked(
        self, target: Any, shape: tuple[int, ...], lengths: np.ndarray | None = None, name: str = "target"
    ) -> Any:
        """The target as something whose rows can be taken for batches by ``target[rows]``, or an error that names it.

        Parameters
        ----------
        target : array_like
        shape : tuple of int
            Of the prediction for all rows of `target`.
        lengths : ndarray of int, (N,), optional
            Checked already. None: all of `target` counts.
        name : str
            What an error calls the target.
        """
        raise NotImplementedError

    def compute(
        self,
        prediction: np.ndarray,
        target: Any,
        lengths: np.ndarray | None = None,
        weight: np.ndarray | None = None,
        *,
        gradient: bool = True,
        grads: dict[str, np.ndarray] | None = None,
    ) -> Computed:
        """The loss of a batch.

        Parameters
        ----------
        prediction : ndarray
        target
            Rows of what `checked` has returned.
        lengths : ndarray of intp, (N,), optional
            Checked already.
        weight : ndarray, (N,) or (N, T), optional
            Of each row or step, of the dtype of the prediction; checked already: finite and at least 0.
        gradient : bool
            Whether that with respect to the prediction is wanted.
        grads : dict of ndarray, optional
            To which the gradients of the parameters of `layer` are added, by their names there.
        """
        raise NotImplementedError

    def __call__(
        self,
        prediction: np.ndarray,
        target: Any,
        lengths: np.ndarray | None = None,
        weight: np.ndarray | None = None,
        gradient: bool = True,
    ) -> tuple[float, np.ndarray | None]:
        """Loss and gradient of `compute`."""
        return self.compute(prediction, target, lengths, weight, gradient=gradient)[:2]

    def __repr__(self):
        given = "" if self.reduction == "mean" else f"reduction={self.reduction!r}"
        return f"{type(self).__name__}({given})"


def check_shape(target, shape, name):
    """Raises unless the target has the shape that fits the prediction."""
    if target.shape != shape:
        raise _arrays.wrong(ValueError, name, f"shape {shape}, to fit the prediction", f"shape {target.shape}")
