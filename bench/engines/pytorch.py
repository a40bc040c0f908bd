"""PyTorch: nn.LSTM as it comes, which runs on oneDNN in float32, and other ways of using it."""

from __future__ import annotations

import numpy as np

from .base import Engine, array_of
from .own import CLIP_NORM, LEARNING_RATE

KINDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class Torch(Engine):
    """nn.LSTM as it comes."""

    packages = ("torch",)
    works = ("train", "forward", "step", "epoch")
    dtypes = ("float32", "float64")

    def __init__(self, threads):
        import torch

        super().__init__(threads)
        torch.set_num_threads(threads)

    def version(self):
        import torch

        return torch.__version__

    def around(self, row):
        import torch

        return torch.inference_mode() if row.work in ("forward", "step") else super().around(row)

    def layer(self, row, weights, batch_first=False):
        import torch

        _, _, I, H, L, D = row.shape
        kind = getattr(torch, row.dtype)
        layer = torch.nn.LSTM(I, H, L, bidirectional=D == 2, batch_first=batch_first, dtype=kind)
        for number, directions in enumerate(weights):
            for direction, values in enumerate(directions):
                suffix = f"_l{number}" + "_reverse" * direction
                set_weights(layer, [name + suffix for name in KINDS], values)
        return layer

    def train(self, row, data):
        import torch

        layer = self.layer(row, data.weights)
        x, dy = torch.from_numpy(data.x.copy()).requires_grad_(), torch.from_numpy(data.dy.copy())
        wanted = [x, *layer.parameters()]
        run = self.over_lengths(row, layer)

        def call():
            y = run(x)
            return y, *torch.autograd.grad(y, wanted, dy)

        return call, train_arrays

    def over_lengths(self, row, layer):
        return lambda x: layer(x)[0]

    def forward(self, row, data):
        import torch

        layer, x = self.layer(row, data.weights), torch.from_numpy(data.x)
        return (lambda: layer(x)[0]), array_of("y", to_numpy)

    def step(self, row, data):
        import torch

        x, zero = torch.from_numpy(data.x), torch.zeros(1, 1, row.shape.H)
        run, state = self.compiled(self.layer(row, data.weights), x, (zero, zero.clone())), (zero, zero.clone())

        def call():
            nonlocal state
            y, state = run(x, state)
            return y

        return call, array_of("h", to_numpy)

    def compiled(self, layer, *arguments):
        return layer

    def epoch(self, row, data):
        import torch

        N = row.shape.N
        embedding = torch.nn.Embedding.from_pretrained(torch.from_numpy(data.embedding.copy()), freeze=False)
        layer, dense = self.layer(row, data.weights, batch_first=True), torch.nn.Linear(row.shape.H, len(data.dense))
        set_weights(dense, ["weight", "bias"], [data.dense, np.zeros(len(data.dense), np.float32)])
        for name, parameter in layer.named_parameters():
            # Two trained biases would be one that learns twice as fast; the loss could not be compared.
            parameter.requires_grad_(not name.startswith("bias_hh"))
        parameters = [p for part in (embedding, layer, dense) for p in part.parameters() if p.requires_grad]
        optimizer = self.adam(parameters)
        x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)

        def loss_of(rows):
            scores = dense(layer(embedding(x[rows]))[0])
            return torch.nn.functional.cross_entropy(scores.flatten(0, 1), y[rows].flatten())

        def call():
            total = 0.0
            for start in range(0, len(x), N):
                optimizer.zero_grad()
                loss = loss_of(slice(start, start + N))
                loss.backward()
                torch.nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
                optimizer.step()
                total += loss.item()
            return total / row.batches

        def arrays(loss):
            with torch.inference_mode():
                return {"loss": loss, "loss_after": loss_of(slice(0, N)).item()}

        return call, arrays

    def adam(self, parameters):
        import torch

        return torch.optim.Adam(parameters, lr=LEARNING_RATE)


class TorchPacked(Torch):
    """Packed sequences, for different lengths: packing and unpacking are part of the work."""

    ragged = True

    @classmethod
    def can(cls, row):
        return row.lengths is not None and super().can(row)

    def over_lengths(self, row, layer):
        import torch
        from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

        lengths, (T, *_) = torch.tensor(row.lengths), row.shape
        is_sorted = list(row.lengths) == sorted(row.lengths, reverse=True)

        def run(x):
            packed = pack_padded_sequence(x, lengths, enforce_sorted=is_sorted)
            return pad_packed_sequence(layer(packed)[0], total_length=T)[0]

        return run


class TorchPadded(TorchPacked):
    """The padding computed like everything else; only the loss, of which dy is the gradient, does not see it."""

    def over_lengths(self, row, layer):
        return Torch.over_lengths(self, row, layer)


class TorchJit(Torch):
    """Traced and frozen, for inference."""

    works = ("forward", "step")
    dtypes = ("float32",)

    def forward(self, row, data):
        import torch

        x = torch.from_numpy(data.x)
        run = self.compiled(self.layer(row, data.weights), x)
        return (lambda: run(x)[0]), array_of("y", to_numpy)

    def compiled(self, layer, *arguments):
        import torch

        return torch.jit.freeze(torch.jit.trace(layer.eval(), arguments))


class TorchCell(Torch):
    """nn.LSTMCell."""

    works = ("step",)

    def step(self, row, data):
        import torch

        H = row.shape.H
        cell = torch.nn.LSTMCell(row.shape.I, H)
        set_weights(cell, KINDS, data.weights[0][0])
        x, state = torch.from_numpy(data.x[0]), (torch.zeros(1, H), torch.zeros(1, H))

        def call():
            nonlocal state
            state = cell(x, state)
            return state[0]

        return call, array_of("h", to_numpy)


class TorchFused(Torch):
    """The epoch with Adam's update in one kernel."""

    works = ("epoch",)

    def adam(self, parameters):
        import torch

        return torch.optim.Adam(parameters, lr=LEARNING_RATE, fused=True)


def set_weights(layer, names, values):
    """Copies weights; bias_hh, for which there is none, becomes zero."""
    import torch

    with torch.no_grad():
        for index, name in enumerate(names):
            parameter = getattr(layer, name)
            parameter.copy_(torch.from_numpy(values[index])) if index < len(values) else parameter.zero_()


def train_arrays(result):
    return dict(zip(("y", "dx", "dw_ih", "dw_hh", "db"), map(to_numpy, result[:5])))


def to_numpy(tensor):
    return tensor.detach().numpy()
