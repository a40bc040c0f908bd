"""clstm, by its public interface."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from functools import partial

import numpy as np

from ..data import SEED
from ..variants import VARIANTS
from .base import Engine, NotAvailable, array_of

LEARNING_RATE = 1e-3  # of all engines that train epochs
CLIP_NORM = 1.0


class Clstm(Engine):
    """LSTM, its stream, and Trainer."""

    packages = ("clstm",)
    works = ("train", "forward", "step", "epoch", "memory")
    dtypes = ("float32", "float64")
    ragged = True

    def __init__(self, threads):
        import clstm

        super().__init__(threads)
        clstm.set_num_threads(threads)

    def version(self):
        import clstm

        config = clstm.show_config(mode="dict")
        return f"{clstm.__version__} ({config['isa']})"

    def layer(self, row, weights):
        import clstm

        _, _, I, H, L, D = row.shape
        layer = clstm.LSTM(I, H, num_layers=L, bidirectional=D == 2, dtype=row.dtype)
        set_weights(layer.parameters(), weights)
        return layer

    def train(self, row, data):
        if row.variant is not None:
            return self.train_variant(row, data)
        layer = self.layer(row, data.weights)
        x, dy = batch_first(data.x), batch_first(data.dy)
        lengths = None if row.lengths is None else np.array(row.lengths)

        def call():
            y, _, tape = layer.forward(x, lengths=lengths)
            dx, _, grads = layer.backward(tape, dy)
            return y, dx, grads

        def arrays(result):
            y, dx, grads = result
            found = {"y": time_major(y), "dx": time_major(dx)}
            names = {"dw_ih": "weight_ih_l0", "dw_hh": "weight_hh_l0", "db": "bias_l0"}
            return found | {name: grads[key] for name, key in names.items()}

        return call, arrays

    def train_variant(self, row, data):
        layer = variant_layer(row)
        x, dy = batch_first(data.x), batch_first(data.dy[:, :, : layer.output_size])  # a projection has fewer
        noise = SEED if layer.takes_noise else None

        def call():
            y, _, tape = layer.forward(x, noise=noise)
            return y, *layer.backward(tape, dy)

        def arrays(result):
            y, dx, _, grads = result
            return {"y": time_major(y), "dx": time_major(dx)} | {f"d{name}": grads[name] for name in grads}

        return call, arrays

    def forward(self, row, data):
        layer, x = self.layer(row, data.weights), batch_first(data.x)
        return (lambda: layer(x)[0]), array_of("y", time_major)

    def step(self, row, data):
        layer = self.layer(row, data.weights)
        step, x = layer.stream(batch=1).step, data.x[0].copy()
        return partial(step, x), array_of("h", np.array)

    def epoch(self, row, data):
        import clstm

        _, N, I, H, L, _ = row.shape
        symbols = len(data.embedding)
        layers = clstm.Embedding(symbols, I), clstm.LSTM(I, H, num_layers=L), clstm.Dense(H, symbols)
        parameters = [list(layer.parameters().values()) for layer in layers]
        parameters[0][0][...] = data.embedding
        set_weights(layers[1].parameters(), data.weights)
        parameters[2][0][...], parameters[2][1][...] = data.dense, 0
        adam = clstm.Adam(LEARNING_RATE)
        trainer = clstm.Trainer(clstm.Network(layers), loss="cross_entropy", optimizer=adam, clip_norm=CLIP_NORM)

        def call():
            history = trainer.fit(data.x, data.y, epochs=1, batch_size=N, shuffle=False, progress=False)
            return history["loss"][-1]

        def arrays(loss):
            return {"loss": loss, "loss_after": trainer.evaluate(data.x[:N], data.y[:N])}

        return call, arrays

    def memory(self, row, data):
        """Bytes that a call allocates beside its results, as tracemalloc counts them."""
        layer = self.layer(row, data.weights)
        x, dy = batch_first(data.x), batch_first(data.dy)
        layer(x)  # what is made once, by the first call, is none of it
        inference, kept = counted(lambda: layer(x))
        results = bytes_of(inference[0], *inference[1])
        training, kept_by_training = counted(lambda: layer.forward(x))
        backward = counted(lambda: layer.backward(training[2], dy))[1]
        found = {
            "inference_scratch": kept["peak"] - results,
            "tape": kept_by_training["held"] - results,
            "forward_scratch": kept_by_training["peak"] - kept_by_training["held"],
            "backward_peak": backward["peak"],
        }
        return lambda: found, lambda found: found


class ClstmAVX2(Clstm):
    """The same where the processor had no AVX-512."""

    environment = {"CLSTM_ISA": "avx2"}  # noqa: RUF012


class ClstmPlain(Clstm):
    """The plain LSTM beside a variant, on the same input."""

    works = ("train",)
    compared = False

    @classmethod
    def can(cls, row):
        return row.variant is not None and super().can(row)

    def train(self, row, data):
        return super().train(replace(row, variant=None), data)


class ClstmCell(Clstm):
    """LSTMCell, called with its state."""

    works = ("step",)

    def step(self, row, data):
        import clstm

        cell = clstm.LSTMCell(row.shape.I, row.shape.H, dtype=row.dtype)
        for parameter, values in zip(cell.parameters().values(), data.weights[0][0]):
            parameter[...] = values
        x, state = data.x[0].copy(), None

        def call():
            nonlocal state
            state = cell(x, state)
            return state[0]

        return call, array_of("h")


def variant_layer(row):
    """The layer of a variant, with the same parameters wherever it is made."""
    import clstm

    variant, (_, _, I, H, L, D) = VARIANTS[row.variant], row.shape
    sizes = {"num_layers": L, "bidirectional": D == 2, "dtype": row.dtype, "rng": SEED}
    try:
        layer = getattr(clstm, variant.kind)(I, H, **sizes, **variant.arguments(H))
    except (TypeError, ValueError) as error:  # an option that this version does not have
        raise NotAvailable(str(error)) from error
    rng = np.random.default_rng(SEED)
    for name, values in layer.parameters().items():
        if not name.startswith("weight"):  # they start with all the same number
            values += 0.1 * rng.standard_normal(values.shape)
    return layer


def set_weights(parameters, weights):
    values = [values for layer in weights for direction in layer for values in direction]
    for parameter, one in zip(parameters.values(), values, strict=True):
        parameter[...] = one


def batch_first(a):
    return np.ascontiguousarray(a.swapaxes(0, 1))


def time_major(a):
    return a.swapaxes(0, 1)


def bytes_of(*arrays):
    return sum(array.nbytes for array in arrays)


def counted(call):
    """What a call returns, and the bytes that were allocated at most, and at its end."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    result = call()
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return result, {"held": held - before, "peak": peak - before}
