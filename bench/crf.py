"""The conditional random field beside pytorch-crf, for the table of the losses: one thread each, taken in turns.

A step is loss and gradients of emissions, transitions, start and end; `best` is Viterbi. The sizes are 16 sentences of
100 words with 20 tags.
"""

from time import perf_counter

import numpy as np

import clstm
from clstm.losses import CRFLoss

N, T, C = 16, 100, 20
ROUNDS = 40


def batch(dtype="float32"):
    """Emissions and tags."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, T, C)).astype(dtype), rng.integers(C, size=(N, T))


def ours(what="step", dtype="float32"):
    """A function that does it once."""
    clstm.set_num_threads(1)
    emissions, tags = batch(dtype)
    crf, loss = clstm.CRF(C, dtype=dtype, rng=0), CRFLoss()
    loss.attach(crf)
    _, grads = crf.zeros_like_parameters()
    if what == "best":
        return lambda: crf.decode(emissions)
    return lambda: loss.compute(emissions, tags, grads=grads)


def peer(what="step", dtype="float32"):
    """The same with pytorch-crf."""
    import torch
    import torchcrf

    torch.set_num_threads(1)
    emissions, tags = (torch.from_numpy(array) for array in batch(dtype))
    crf = torchcrf.CRF(C, batch_first=True).to(emissions.dtype)
    emissions.requires_grad_(what == "step")
    mask = torch.ones(N, T, dtype=torch.bool)  # without one it makes one of a type that PyTorch warns of

    def step():
        emissions.grad = None
        crf.zero_grad()
        (-crf(emissions, tags, mask=mask, reduction="mean")).backward()

    return step if what == "step" else lambda: crf.decode(emissions, mask=mask)


ROWS = [
    (f"CRF {name}, N={N} T={T} C={C}, {dtype}", lambda w=what, d=dtype: ours(w, d), lambda w=what, d=dtype: peer(w, d))
    for what, name in (("step", "loss and gradients"), ("best", "Viterbi"))
    for dtype in ("float32", "float64")
]


def seconds(function):
    """Of one call."""
    start = perf_counter()
    function()
    return perf_counter() - start


def ratio(what="step", dtype="float32", rounds=ROUNDS):
    """How many times as long as ours the peer takes: the shortest of some calls each, in turns."""
    own, other = ours(what, dtype), peer(what, dtype)
    own(), other()
    pairs = [(seconds(own), seconds(other)) for _ in range(rounds)]
    return min(pair[1] for pair in pairs) / min(pair[0] for pair in pairs)
