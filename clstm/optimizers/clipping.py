"""Clipping of gradients: by value, by the norm of each parameter, by the norm of all."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _arrays, _core
from .hyperparameters import positive


class Clipping:
    """What is done to a gradient before the step of an optimiser.

    Of those that are given, first `value` is applied, then `each_norm`, then `norm`.

    Parameters
    ----------
    value : float, optional
        Numbers beyond this, above or below, become it; above 0.
    each_norm : float, optional
        The gradient of a parameter whose norm is larger is scaled down to it; above 0.
    norm : float, optional
        If the joint norm of all gradients is larger, all are scaled down to it; above 0.

    Notes
    -----
    As ``clip_grad_value_`` and ``clip_grad_norm_`` of PyTorch, but that nothing is done to a norm that is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from clstm.optimizers import Clipping
    >>> gradient = np.array([3.0, 4.0, 0.3, -0.4])
    >>> stops = Clipping.stops({"weight": (2, 1), "bias": (2,)})
    >>> Clipping(each_norm=1.0)(gradient, stops)
    >>> gradient.round(3)
    array([ 0.6,  0.8,  0.3, -0.4])
    >>> Clipping(value=0.5)(gradient, stops)
    >>> gradient.round(3)
    array([ 0.5,  0.5,  0.3, -0.4])
    """

    value = positive(optional=True)
    each_norm = positive(optional=True)
    norm = positive(optional=True)

    def __init__(
        self, *, value: float | None = None, each_norm: float | None = None, norm: float | None = None
    ) -> None:
        self.value = value
        self.each_norm = each_norm
        self.norm = norm

    @staticmethod
    def stops(shapes: dict[str, tuple[int, ...]]) -> np.ndarray:
        """Where each parameter ends in the flat buffer, of the shapes by name in their order there."""
        return np.cumsum([_arrays.count_of(shape) for shape in shapes.values()], dtype=np.intp)

    def __call__(self, gradient: np.ndarray, stops: np.ndarray, norm: float | None = None) -> None:
        """Clips a gradient in place.

        Parameters
        ----------
        gradient : ndarray, one axis, float32 or float64
            Contiguous.
        stops : ndarray of intp
            From `stops`.
        norm : float, optional
            The norm of `gradient`, if it is known.
        """
        if self.value is not None:
            clip_value(gradient, self.value)
        if self.each_norm is not None:
            clip_each_norm(gradient, stops, self.each_norm)
        if self.norm is not None:
            clip_norm(gradient, self.norm, norm if self.value is self.each_norm is None else None)

    def config(self) -> dict[str, Any]:
        """The arguments that make an equal one."""
        return {"value": self.value, "each_norm": self.each_norm, "norm": self.norm}

    def __bool__(self):
        return not self.value is self.each_norm is self.norm is None

    def __repr__(self):
        return f"Clipping({', '.join(f'{name}={value}' for name, value in self.config().items() if value is not None)})"


def clip_value(gradient: np.ndarray, limit: float) -> None:
    """Puts all numbers between -limit and limit; NaN stays NaN."""
    _core.clip(gradient, limit)


def clip_each_norm(gradient: np.ndarray, stops: np.ndarray, limit: float) -> None:
    """Scales the gradient of each parameter, which end at `stops`, by ``min(1, limit / (its norm + 1e-6))``."""
    _core.clip_norms(gradient, stops, limit)


def clip_norm(gradient: np.ndarray, limit: float, norm: float | None = None) -> float:
    """Scales a gradient by ``min(1, limit / (norm + 1e-6))``; returns its norm before."""
    norm = _core.global_norm(gradient) if norm is None else norm
    factor = limit / (norm + 1e-6)
    if factor < 1:
        _core.scale(gradient, factor)
    return norm
