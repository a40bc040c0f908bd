"""The losses in plain NumPy: the slow, obviously right twin of src_c/training. Values also run in complex numbers, so
that the complex step proves the gradients, which are written by hand.

A loss here is a function of (prediction (..., F), target, options) that returns what each step loses, (...), and the
gradient of that, (..., F). `total` puts steps together, by lengths and weights.
"""

from typing import NamedTuple

import numpy as np


class Options(NamedTuple):
    """Those of all losses; each looks at its own."""

    delta: float = 1.0
    quantiles: tuple = (0.1, 0.5, 0.9)
    full: bool = False
    eps: float = 1e-6
    pos_weight: object = None
    class_weight: object = None
    label_smoothing: float = 0.0
    ignore_index: int | None = None


USUAL = Options()


def size(d):
    """|d|, analytic away from 0: the real part decides."""
    return np.where(d.real < 0, -d, d)


def squared(p, t, options):
    """Loss of each step and its gradient; so for all below."""
    d = p - t
    return (d**2).mean(axis=-1), 2 * d / d.shape[-1]


def absolute(p, t, options):
    d = p - t
    return size(d).mean(axis=-1), np.sign(d.real) / d.shape[-1]


def huber(p, t, options):
    d, delta = p - t, options.delta
    small = np.abs(d.real) <= delta
    value = np.where(small, d**2 / 2, delta * (size(d) - delta / 2))
    return value.mean(axis=-1), np.where(small, d, delta * np.sign(d.real)) / d.shape[-1]


def quantile(p, t, options):
    tau = np.array(options.quantiles)
    d = t[..., np.newaxis] - p.reshape(*t.shape, len(tau))
    value = np.where(d.real >= 0, tau * d, (tau - 1) * d)
    slope = np.where(d.real > 0, -tau, np.where(d.real < 0, 1 - tau, 0.0))
    count = p.shape[-1]
    return value.sum(axis=(-1, -2)) / count, slope.reshape(p.shape) / count


def gaussian(p, t, options):
    m, s = np.split(p, 2, axis=-1)
    v = np.exp(s) + options.eps
    value = (np.log(v) + (m - t) ** 2 / v) / 2 + options.full * np.log(2 * np.pi) / 2
    dm, dv = (m - t) / v, (1 / v - ((m - t) / v) ** 2) / 2
    return value.mean(axis=-1), np.concatenate([dm, dv * np.exp(s)], axis=-1) / t.shape[-1]


def binary(p, t, options):
    t = (1 - options.label_smoothing) * t + options.label_smoothing / 2
    w = 1.0 if options.pos_weight is None else np.array(options.pos_weight)
    yes = 1 / (1 + np.exp(-p))
    value = -(w * t * np.log(yes) + (1 - t) * np.log(1 - yes))
    return value.mean(axis=-1), (-w * t * (1 - yes) + (1 - t) * yes) / p.shape[-1]


def mixture(x, q):
    """-sum over c of q_c log softmax(x)_c."""
    x = x - x.real.max(axis=-1, keepdims=True)
    log_p = x - np.log(np.exp(x).sum(axis=-1, keepdims=True))
    return -(q * log_p).sum(axis=-1), q.sum(axis=-1, keepdims=True) * np.exp(log_p) - q


def class_weights(classes, options):
    return np.ones(classes) if options.class_weight is None else np.array(options.class_weight, float)


def classes(x, y, options):
    C, smoothing = x.shape[-1], options.label_smoothing
    q = (1 - smoothing) * np.eye(C)[np.clip(y, 0, C - 1)] + smoothing / C
    return mixture(x, class_weights(C, options) * q)


def probabilities(x, t, options):
    C, smoothing = x.shape[-1], options.label_smoothing
    return mixture(x, class_weights(C, options) * ((1 - smoothing) * t + smoothing / C))


LOSSES = {
    "mse": squared,
    "mae": absolute,
    "huber": huber,
    "quantile": quantile,
    "gaussian_nll": gaussian,
    "binary_cross_entropy": binary,
    "cross_entropy": classes,
    "cross_entropy-probabilities": probabilities,
}


def total(name, p, t, lengths=None, weight=None, reduction="mean", options=USUAL):
    """The loss, its gradient, and what the mean is divided by.

    Parameters
    ----------
    name : str
        A key of LOSSES.
    p, t : (N, F) or (N, T, F), and (N,) or (N, T) of int for "cross_entropy"
    lengths : (N,) of int, or None
    weight : (N,) or (N, T), or None
    reduction : "mean" or "sum"
    options : Options
    """
    steps = p.shape[:-1]
    valid = np.ones(steps, bool) if lengths is None else np.arange(steps[1]) < np.array(lengths)[:, np.newaxis]
    w = np.ones(steps)
    if weight is not None:
        w = w * (weight if np.ndim(weight) == len(steps) else np.array(weight)[:, np.newaxis])
    share = np.ones(steps)  # of the divisor, besides w
    if name == "cross_entropy":
        counts = valid & (t != options.ignore_index) if options.ignore_index is not None else valid
        safe = np.where(counts, t, 0)
        share, t, valid = class_weights(p.shape[-1], options)[safe], safe, counts
    w = np.where(valid, w, 0.0)
    counted = w > 0
    gradient = np.zeros_like(p)
    value, slope = LOSSES[name](p[counted], t[counted], options)
    divisor = (w * share).sum()
    scale = 1.0 if reduction == "sum" else 1 / divisor if divisor > 0 else 0.0
    gradient[counted] = scale * w[counted][:, np.newaxis] * slope
    return scale * (w[counted] * value).sum(), gradient, divisor
