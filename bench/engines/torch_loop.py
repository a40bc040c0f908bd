"""PyTorch where it has no layer: a loop over time, as its users write it, and the same with all that can be done before
the loop taken out of it.

As its users write it means as the documentation of `nn.LSTMCell` does: a cell for x[t], which computes both products of
a step and draws what is random in it. The other one computes the products with the input, and draws, for all steps at
once, and takes the steps apart by `unbind`, because the backward of x[t] clears a whole array for each step. Steps are
not compiled: with `torch.compile` (PyTorch 2.13, sizes of `tiny`) a loop took longer than as it is, and minutes to
compile.
"""

from __future__ import annotations

import itertools

import numpy as np

from ..data import SEED
from ..variants import VARIANTS
from .own import variant_layer
from .pytorch import Torch, to_numpy


class TorchLoop(Torch):
    """Peepholes, zoneout, recurrent dropout, layer normalisation; a cell that does everything in its step."""

    before_the_loop = False
    packages = ("torch", "clstm")
    works = ("train",)

    @classmethod
    def can(cls, row):
        return row.variant is not None and VARIANTS[row.variant].loop and super().can(row)

    def train(self, row, data):
        import torch

        own = variant_layer(row)  # its weights and, once, its masks
        parameters = {name: torch.tensor(values, requires_grad=True) for name, values in own.parameters().items()}
        x, dy = torch.from_numpy(data.x.copy()).requires_grad_(), torch.from_numpy(data.dy.copy())
        wanted = [x, *parameters.values()]
        start, step, draw = LOOPS[row.variant]
        T, N, _, H, L, _ = row.shape
        layers = [
            {name.removesuffix(f"_l{k}"): values for name, values in parameters.items() if name.endswith(f"_l{k}")}
            for k in range(L)
        ]

        def call(masks=None):
            y = x
            for k, weights in enumerate(layers):
                inputs = start(y, weights).unbind(0) if self.before_the_loop else started(start, y, weights)
                drawn = draw(own, T, N, H, self.before_the_loop) if masks is None else by_step(masks[k])
                y = run_layer(step, inputs, weights, drawn, y.new_zeros(N, H))
            return y, *torch.autograd.grad(y, wanted, dy)

        names = ("y", "dx", *(f"d{name}" for name in parameters))
        same_masks = dict(zip(names, map(to_numpy, call(masks_of(own, N, T)))))
        return call, lambda _: same_masks


def masks_of(layer, N, T):
    """Those that clstm draws, for each layer, by name: (N, H), and of zoneout (T, N, H)."""
    import torch

    drawn = layer.masks(N, T, SEED)
    found = [{} for _ in range(layer.num_layers)]
    for name, masks in drawn.items():
        for k, mask in enumerate(masks):
            by_time = np.ascontiguousarray(mask.swapaxes(0, 1)).astype(bool) if name.startswith("zone") else mask
            found[k][name] = torch.from_numpy(by_time)
    return found


class TunedTorchLoop(TorchLoop):
    """The product with the input, and what is random, is computed for all steps at once."""

    before_the_loop = True


def started(start, x, weights):
    """The products with the input, step by step."""
    for t in range(len(x)):
        yield start(x[t], weights)


def by_step(noise):
    """Masks of steps one after another; those of all steps again and again."""
    return zip(*noise.values()) if "zone_h" in noise else itertools.repeat(tuple(noise.values()))


def run_layer(step, inputs, weights, noise, zero):
    """y (T, N, H) of one layer, by the input products and the masks of each step."""
    import torch

    h = c = zero
    outputs = []
    for z, masks in zip(inputs, noise):
        h, c = step(z, h, c, weights, masks)
        outputs.append(h)
    return torch.stack(outputs)


def products(x, weights):
    return linear(x, weights["weight_ih"], weights["bias"])


def linear(*arguments):
    import torch

    return torch.nn.functional.linear(*arguments)


def plain_step(z, h, c):
    """From the sums of all four gates."""
    i, f, g, o = z.chunk(4, 1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def recurrent_dropout(z, h, c, weights, masks):
    return plain_step(z + linear(h * masks[0], weights["weight_hh"]), h, c)


def zoneout(z, h, c, weights, zones):
    import torch

    new_h, new_c = plain_step(z + linear(h, weights["weight_hh"]), h, c)
    return torch.where(zones[0], h, new_h), torch.where(zones[1], c, new_c)


def peephole(z, h, c, weights, masks):
    i, f, g, o = (z + linear(h, weights["weight_hh"])).chunk(4, 1)
    p_i, p_f, p_o = weights["peephole"].unbind(0)
    c = (f + p_f * c).sigmoid() * c + (i + p_i * c).sigmoid() * g.tanh()
    return (o + p_o * c).sigmoid() * c.tanh(), c


def normalised(a, *gain_and_bias):
    import torch

    return torch.nn.functional.layer_norm(a, a.shape[-1:], *gain_and_bias)


def normalised_products(x, weights):
    return normalised(linear(x, weights["weight_ih"]), weights["gain_ih"], weights["bias"])


def layer_norm(z, h, c, weights, masks):
    z = z + normalised(linear(h, weights["weight_hh"]), weights["gain_hh"])
    i, f, g, o = z.chunk(4, 1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * normalised(c, weights["gain_c"], weights["bias_c"]).tanh(), c


def nothing(layer, T, N, H, at_once):
    return itertools.repeat(())


def draw_recurrent(layer, T, N, H, at_once):
    import torch

    return itertools.repeat((torch.nn.functional.dropout(torch.ones(N, H), layer.recurrent_dropout),))


def draw_zones(layer, T, N, H, at_once):
    """For each step, or for all steps at once, which is faster."""
    import torch

    rates = layer.zoneout_h, layer.zoneout_c
    if at_once:
        return zip(*(torch.rand(T, N, H) < rate for rate in rates))
    return (tuple(torch.rand(N, H) < rate for rate in rates) for _ in range(T))


LOOPS = {  # what precedes the loop, its body, and what draws the masks of a call
    "peephole": (products, peephole, nothing),
    "zoneout": (products, zoneout, draw_zones),
    "recurrent_dropout": (products, recurrent_dropout, draw_recurrent),
    "layer_norm": (normalised_products, layer_norm, nothing),
}
