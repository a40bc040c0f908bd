"""Losses of real numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arrays, _core
from . import options
from .base import Loss, check_axes, check_shape
from .calls import checked_call, computed

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

SQUARED, ABSOLUTE, HUBER, QUANTILES, GAUSSIAN = map(
    _core.LOSSES.index, ("squared", "absolute", "huber", "quantiles", "gaussian")
)


class RealLoss(Loss):
    """A loss whose targets are real numbers."""

    _outputs = 1  # numbers of a prediction for each number of a target

    def checked(self, target, shape, lengths=None, name="target"):
        """An array of real numbers, of the shape that fits the prediction; a last axis of 1 may be missing."""
        target = _arrays.array_of(name, target)
        if target.dtype.kind not in _arrays.REAL_KINDS:
            raise _arrays.wrong(TypeError, name, "an array of real numbers", f"dtype {target.dtype}")
        if self._outputs != 1:
            if shape[-1] % self._outputs:
                expected = f"a multiple of {self._outputs} features, which {self.name} makes one of"
                raise _arrays.wrong(ValueError, "prediction", expected, f"shape {shape}")
            shape = (*shape[:-1], shape[-1] // self._outputs)
        if shape[-1] == 1 and target.shape == shape[:-1]:
            target = target[..., np.newaxis]
        check_shape(target, shape, name)
        return target


def mse(
    prediction: ArrayLike,
    target: ArrayLike,
    lengths: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    *,
    reduction: str = "mean",
) -> tuple[float, np.ndarray]:
    """Mean squared error: (p - t)^2.

    Parameters
    ----------
    prediction : array_like, (N, ...), or (N, T, ...) with `lengths`
        An array of float64 stays float64, whatever else becomes float32.
    target : array_like, the shape of `prediction`
        Where the last axis of `prediction` is 1, `target` may come without it.
    lengths : array_like of int, (N,), optional
        Valid steps of each row.
    weight : array_like, (N,) or (N, T), optional
        Of each row or step, at least 0 and not all 0. What has the weight 0 is not read.
    reduction : str, default "mean"
        "mean": the sum of w l / the sum of w, with l the loss of a step, itself the mean over its features, and w its
        weight. "sum": the sum of w l. Both are summed in double precision.

    Returns
    -------
    loss : float
        0 where no step is valid.
    gradient : ndarray, the shape of `prediction`
        Zero beyond the lengths.

    Examples
    --------
    >>> import numpy as np
    >>> from clstm.losses import mse
    >>> mse(np.array([[1.0, 2.0]]), np.array([[1.0, 4.0]]))
    (2.0, array([[ 0., -2.]]))
    """
    return checked_call(MSE(reduction=reduction), "prediction", prediction, target, lengths, weight)


class MSE(RealLoss):
    """Mean squared error, see `mse`."""

    name = "mse"

    def compute(self, prediction, target, lengths=None, weight=None, *, gradient=True, grads=None):
        """See `mse`."""
        return computed(self, SQUARED, prediction, target, prediction.dtype, lengths, weight, gradient)


def mae(
    prediction: ArrayLike,
    target: ArrayLike,
    lengths: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    *,
    reduction: str = "mean",
) -> tuple[float, np.ndarray]:
    """Mean absolute error: abs(p - t), whose gradient at 0 is 0. The best prediction is the median.

    Parameters
    ----------
    prediction, target, lengths, weight, reduction
        As for `mse`.

    Returns
    -------
    loss : float
    gradient : ndarray, the shape of `prediction`

    Examples
    --------
    >>> import numpy as np
    >>> from clstm.losses import mae
    >>> mae(np.array([[1.0, 2.0]]), np.array([[1.0, 4.0]]))
    (1.0, array([[ 0. , -0.5]]))
    """
    return checked_call(MAE(reduction=reduction), "prediction", prediction, target, lengths, weight)


class MAE(RealLoss):
    """Mean absolute error, see `mae`."""

    name = "mae"

    def compute(self, prediction, target, lengths=None, weight=None, *, gradient=True, grads=None):
        """See `mae`."""
        return computed(self, ABSOLUTE, prediction, target, prediction.dtype, lengths, weight, gradient)


def huber(
    prediction: ArrayLike,
    target: ArrayLike,
    lengths: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    *,
    delta: float = 1.0,
    reduction: str = "mean",
) -> tuple[float, np.ndarray]:
    """Huber's loss: with d = p - t, d^2 / 2 where abs(d) <= delta, else delta (abs(d) - delta / 2).

    Parameters
    ----------
    prediction, target, lengths, weight, reduction
        As for `mse`.
    delta : float, default 1.0
        Above 0, in the unit of the target: larger errors count as outliers, and pull no more for being larger.

    Returns
    -------
    loss : float
    gradient : ndarray, the shape of `prediction`

    References
    ----------
    P. J. Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35 (1964).

    Examples
    --------
    >>> import numpy as np
    >>> from clstm.losses import huber
    >>> huber(np.array([[1.5, 9.0]]), np.array([[1.0, 4.0]]))
    (2.3125, array([[0.25, 0.5 ]]))
    """
    return checked_call(Huber(delta=delta, reduction=reduction), "prediction", prediction, target, lengths, weight)


class Huber(RealLoss):
    """Huber's loss, see `huber`.

    Parameters
    ----------
    delta : float, default 1.0
    reduction : str, default "mean"
    """

    name = "huber"
    delta = options.Option(_arrays.positive)

    def __init__(self, *, delta: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def compute(self, prediction, target, lengths=None, weight=None, *, gradient=True, grads=None):
        """See `huber`."""
        dtype = prediction.dtype
        return computed(self, HUBER, prediction, target, dtype, lengths, weight, gradient, None, self.delta)


def quantile(
    prediction: ArrayLike,
    target: ArrayLike,
    lengths: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    *,
    quantiles: ArrayLike = (0.1, 0.5, 0.9),
    reduction: str = "mean",
) -> tuple[float, np.ndarray]:
    """Quantile or pinball loss: max(q (t - p), (q - 1) (t - p)), whose gradient at p = t is 0.

    The best prediction is the quantile: t is below it with probability q. The loss of a step is the mean over features
    and quantiles.

    Parameters
    ----------
    prediction : array_like, (N, F Q) or (N, T, F Q)
        Of F features, Q quantiles each, those of a feature side by side: ``prediction.reshape(..., F, Q)``. An array of
        float64 stays float64, whatever else becomes float32.
    target : array_like, (N, F) or (N, T, F)
        With one feature the last axis may be missing.
    lengths, weight, reduction
        As for `mse`.
    quantiles : float or array_like, (Q,), default (0.1, 0.5, 0.9)
        Between 0 and 1.

    Returns
    -------
    loss : float
    gradient : ndarray, the shape of `prediction`

    References
    ----------
    R. Koenker and G. Bassett, "Regression quantiles", Econometrica 46 (1978).

    Examples
    --------
    The lower quantile is too high by 1, the upper one too low by 2:

    >>> import numpy as np
    >>> from clstm.losses import quantile
    >>> loss, gradient = quantile(np.array([[5.0, 2.0]]), np.array([4.0]), quantiles=[0.25, 0.75])
    >>> loss == (0.75 * 1 + 0.75 * 2) / 2
    True
    >>> gradient
    array([[ 0.375, -0.375]])
    """
    loss = Quantile(quantiles=quantiles, reduction=reduction)
    return checked_call(loss, "prediction", prediction, target, lengths, weight)


class Quantile(RealLoss):
    """Quantile or pinball loss, see `quantile`.

    Parameters
    ----------
    quantiles : float or array_like, (Q,), default (0.1, 0.5, 0.9)
    reduction : str, default "mean"
    """

    name = "quantile"
    least_axes = 2
    quantiles = options.Option(options.quantiles)

    def __init__(self, quantiles: ArrayLike = (0.1, 0.5, 0.9), *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.quantiles: Any = quantiles

    @property
    def _outputs(self):
        return len(self.quantiles)

    def checked(self, target, shape, lengths=None, name="target"):
        """An array of real numbers, with one feature for each Q of the prediction."""
        check_axes(shape, "F Q")
        return super().checked(target, shape, lengths, name)

    def compute(self, prediction, target, lengths=None, weight=None, *, gradient=True, grads=None):
        """See `quantile`."""
        dtype = prediction.dtype
        return computed(self, QUANTILES, prediction, target, dtype, lengths, weight, gradient, self.quantiles)


def gaussian_nll(
    prediction: ArrayLike,
    target: ArrayLike,
    lengths: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    *,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> tuple[float, np.ndarray]:
    """Negative log-likelihood of a normal distribution: (log v + (m - t)^2 / v) / 2, with v = exp(s) + eps.

    Parameters
    ----------
    prediction : array_like, (N, 2 F) or (N, T, 2 F)
        First the means m of F features, then F numbers s, which are the logarithms of the variances but for `eps`. Any
        s will do: nothing overflows, and the gradient is that of the formula everywhere. An array of float64 stays
        float64, whatever else becomes float32.
    target : array_like, (N, F) or (N, T, F)
        With one feature the last axis may be missing.
    lengths, weight, reduction
        As for `mse`.
    full : bool, default False
        Whether to add log(2 pi) / 2, which changes no gradient.
    eps : float, default 1e-6
        Above 0. The least variance, in the squared unit of the target: with none, a target that is met exactly would
        have a loss without bound.

    Returns
    -------
    loss : float
    gradient : ndarray, the shape of `prediction`

    References
    ----------
    D. A. Nix and A. S. Weigend, "Estimating the mean and variance of the target probability distribution", IEEE
    International Conference on Neural Networks (1994).

    Examples
    --------
    >>> import numpy as np
    >>> from clstm.losses import gaussian_nll
    >>> loss, gradient = gaussian_nll(np.array([[3.0, np.log(4)]]), np.array([5.0]))
    >>> print(f"{loss:.4f}, (log 4 + 2^2 / 4) / 2 is {(np.log(4) + 1) / 2:.4f}")
    1.1931, (log 4 + 2^2 / 4) / 2 is 1.1931
    >>> gradient.round(4) + 0.0
    array([[-0.5,  0. ]])
    """
    loss = GaussianNLL(full=full, eps=eps, reduction=reduction)
    return checked_call(loss, "prediction", prediction, target, lengths, weight)


class GaussianNLL(RealLoss):
    """Negative log-likelihood of a normal distribution, see `gaussian_nll`.

    Parameters
    ----------
    full : bool, default False
    eps : float, default 1e-6
    reduction : str, default "mean"
    """

    name = "gaussian_nll"
    least_axes = 2
    full = options.Option(_arrays.flag)
    eps = options.Option(_arrays.positive)
    _outputs = 2

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full, self.eps = full, eps

    def checked(self, target, shape, lengths=None, name="target"):
        """An array of real numbers, with half as many features as the prediction."""
        check_axes(shape, "2 F")
        return super().checked(target, shape, lengths, name)

    def compute(self, prediction, target, lengths=None, weight=None, *, gradient=True, grads=None):
        """See `gaussian_nll`."""
        given = (None, self.eps, self.full)
        return computed(self, GAUSSIAN, prediction, target, prediction.dtype, lengths, weight, gradient, *given)
