"""JAX has no LSTM: this one is written with lax.scan, as its users do."""

from __future__ import annotations

import numpy as np

from .base import Engine, array_of


class Jax(Engine):
    """The input products of all steps in front of the scan."""

    packages = ("jax",)
    works = ("train", "forward", "step")
    environment = {"JAX_PLATFORMS": "cpu"}  # noqa: RUF012
    dtypes = ("float32", "float64")
    hoist = True

    def version(self):
        import jax

        return jax.__version__

    def forward_function(self, row):
        import jax.numpy as jnp
        from jax import lax

        _, N, _, H, _, _ = row.shape
        zero = jnp.zeros((N, H), row.dtype)

        def run(w, x):
            w_ih, w_hh, b = w
            if self.hoist:
                return lambda state, z: cell(state, z + state[0] @ w_hh), x @ w_ih + b
            return lambda state, x_t: cell(state, x_t @ w_ih + state[0] @ w_hh + b), x

        def forward(x, weights):
            for layer in weights:
                outputs = []
                for direction, w in enumerate(layer):
                    body, inputs = run(w, x)
                    outputs.append(lax.scan(body, (zero, zero), inputs, reverse=direction == 1)[1])
                x = jnp.concatenate(outputs, -1)
            return x

        return forward

    def on_device(self, row, data):
        """x, dy and weights; float64 has to be allowed before an array is made."""
        import jax

        jax.config.update("jax_enable_x64", row.dtype == "float64")
        weights = [[(w_ih.T, w_hh.T, b) for w_ih, w_hh, b in layer] for layer in data.weights]
        return jax.tree.map(lambda a: jax.device_put(np.ascontiguousarray(a)), (data.x, data.dy, weights))

    def train(self, row, data):
        import jax

        x, dy, weights = self.on_device(row, data)
        forward = self.forward_function(row)

        @jax.jit
        def train(x, weights, dy):
            y, back = jax.vjp(forward, x, weights)
            return y, back(dy)

        def arrays(result):
            y, (dx, dweights) = result
            dw_ih, dw_hh, db = dweights[0][0]
            found = {"y": y, "dx": dx, "dw_ih": dw_ih.T, "dw_hh": dw_hh.T, "db": db}
            return {name: np.asarray(a) for name, a in found.items()}

        return (lambda: jax.block_until_ready(train(x, weights, dy))), arrays

    def forward(self, row, data):
        import jax

        x, _, weights = self.on_device(row, data)
        run = jax.jit(self.forward_function(row))
        return (lambda: run(x, weights).block_until_ready()), array_of("y")

    def step(self, row, data):
        import jax
        import jax.numpy as jnp

        x, _, weights = self.on_device(row, data)
        x, (w_ih, w_hh, b) = x[0], weights[0][0]
        state = (jnp.zeros((1, row.shape.H), row.dtype),) * 2
        run = jax.jit(lambda x, state, w_ih, w_hh, b: cell(state, x @ w_ih + b + state[0] @ w_hh)[0])

        def call():
            nonlocal state
            state = run(x, state, w_ih, w_hh, b)
            return state[0].block_until_ready()

        return call, array_of("h")


class JaxInScan(Jax):
    """The input products inside the scan."""

    works = ("train", "forward")
    hoist = False


def cell(state, z):
    """(h, c) after a step and h, from the state before it and the gates before their activations."""
    import jax
    import jax.numpy as jnp

    i, f, g, o = jnp.split(z, 4, -1)
    c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h
