"""What a careful user writes with NumPy alone: input products of all steps at once, arithmetic in place."""

from __future__ import annotations

import numpy as np

from .base import Engine, array_of


class PlainNumPy(Engine):
    """A loop over steps; the sigmoid is 0.5 * (1 + tanh(z / 2)), and its columns of the weights are halved once."""

    packages = ("numpy",)
    works = ("forward", "step")

    def version(self):
        return np.__version__

    def forward(self, row, data):
        layers = [[halved(w) for w in layer] for layer in data.weights]

        def call():
            y = data.x
            for layer in layers:
                y = run_layer(y, layer)
            return y

        return call, array_of("y")

    def step(self, row, data):
        w_ih, w_hh, b = halved(data.weights[0][0])
        w = np.vstack([w_ih, w_hh])  # one product with [x h]
        I, H = row.shape.I, row.shape.H
        both, c, x = np.zeros((1, I + H), np.float32), np.zeros((1, H), np.float32), data.x[0]
        h = both[:, I:]

        def call():
            both[:, :I] = x
            z = both @ w
            z += b
            update(z, c, h)
            return h

        return call, array_of("h", np.array)


def halved(weights):
    w_ih, w_hh, b = weights
    scale = np.repeat(np.float32([0.5, 0.5, 1, 0.5]), len(b) // 4)
    return np.ascontiguousarray((w_ih * scale[:, None]).T), np.ascontiguousarray((w_hh * scale[:, None]).T), b * scale


def update(z, c, h):
    """One step from the gates before their activations, all in place."""
    H = c.shape[1]
    np.tanh(z, out=z)
    for gates in (z[:, : 2 * H], z[:, 3 * H :]):
        gates += 1
        gates *= 0.5
    c *= z[:, H : 2 * H]
    c += z[:, :H] * z[:, 2 * H : 3 * H]
    np.multiply(np.tanh(c), z[:, 3 * H :], out=h)


def run_layer(x, layer):
    T, N, _ = x.shape
    H = len(layer[0][2]) // 4
    y = np.empty((T, N, H * len(layer)), np.float32)
    for direction, (w_ih, w_hh, b) in enumerate(layer):
        z = (x.reshape(T * N, -1) @ w_ih + b).reshape(T, N, -1)
        h, c = np.zeros((N, H), np.float32), np.zeros((N, H), np.float32)
        for t in range(T) if direction == 0 else reversed(range(T)):
            z[t] += h @ w_hh
            h = y[t, :, direction * H : (direction + 1) * H]
            update(z[t], c, h)
    return y
