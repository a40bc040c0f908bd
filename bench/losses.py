"""Losses against those of other packages: value and gradient with respect to the prediction, on one thread.

Both take turns in one process, and the least of their times count: what else the machine does can only add to them.
Before that, both have to give the same. A row is a function that returns a `Duel`, in `ROWS`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import clstm
from clstm import losses

from .report import render
from .tables import Table


class Duel(NamedTuple):
    """The same work twice; each returns the loss and the gradient."""

    ours: Callable[[], tuple[float, Any]]
    peer: Callable[[], tuple[float, Any]]
    package: str
    wanted: float  # time of the peer by ours, at least
    tolerance: float


class Measured(NamedTuple):
    """Seconds."""

    ours: float
    peer: float

    @property
    def ratio(self) -> float:
        """How many times as long the peer takes."""
        return self.peer / self.ours


def ctc(N: int, T: int, C: int, S: int, dtype: str) -> Duel:
    """CTC with the softmax before it, forward and backward, against PyTorch's."""
    import torch

    rng = np.random.default_rng(0)
    logits, target = rng.standard_normal((N, T, C)).astype(dtype), rng.integers(1, C, (N, S))
    loss = losses.CTC()
    checked = loss.checked(target, logits.shape)
    leaf = torch.from_numpy(logits.transpose(1, 0, 2).copy()).requires_grad_()  # as PyTorch has it: (T, N, C)
    target_, steps, labels = torch.from_numpy(target), torch.full((N,), T), torch.full((N,), S)

    def peer():
        leaf.grad = None
        found = torch.nn.functional.ctc_loss(torch.nn.functional.log_softmax(leaf, 2), target_, steps, labels)
        found.backward()
        return found.item(), leaf.grad.transpose(0, 1)

    return Duel(lambda: loss(logits, checked), peer, "torch", 1.0, 1e-4 if dtype == "float32" else 1e-8)


def crf(N: int, T: int, C: int, dtype: str) -> Duel:
    """A conditional random field with the gradients of its own parameters, against pytorch-crf."""
    import torch
    import torchcrf

    rng = np.random.default_rng(0)
    emissions, tags = rng.standard_normal((N, T, C)).astype(dtype), rng.integers(C, size=(N, T))
    own, loss = clstm.CRF(C, dtype=dtype, rng=0), losses.CRFLoss()
    loss.attach(own)
    _, grads = own.zeros_like_parameters()
    leaf, tags_ = torch.from_numpy(emissions.copy()).requires_grad_(), torch.from_numpy(tags)
    other = torchcrf.CRF(C, batch_first=True).to(leaf.dtype)
    with torch.no_grad():
        for theirs, values in zip(
            (other.transitions, other.start_transitions, other.end_transitions), grads, strict=True
        ):
            theirs.copy_(torch.from_numpy(own.parameters()[values].copy()))
    mask = torch.ones(N, T, dtype=torch.bool)  # without one it makes one of a type that PyTorch warns of

    def ours():
        found = loss.compute(emissions, tags, grads=grads)
        return found.loss, found.gradient

    def peer():
        leaf.grad = None
        other.zero_grad()
        found = -other(leaf, tags_, mask=mask, reduction="mean")
        found.backward()
        return found.item(), leaf.grad

    return Duel(ours, peer, "pytorch-crf", 10.0, 1e-4 if dtype == "float32" else 1e-10)


ROWS: dict[str, Callable[[], Duel]] = {
    "ctc": lambda: ctc(16, 200, 64, 40, "float32"),
    "ctc-float64": lambda: ctc(16, 200, 64, 40, "float64"),
    "ctc-long": lambda: ctc(4, 1000, 64, 100, "float32"),
    "ctc-long-float64": lambda: ctc(4, 1000, 64, 100, "float64"),
    "crf": lambda: crf(16, 100, 20, "float32"),
    "crf-float64": lambda: crf(16, 100, 20, "float64"),
}


def agree(duel: Duel) -> None:
    """Raises unless both give the same loss and gradient."""
    (ours, our_gradient), (peer, peer_gradient) = duel.ours(), duel.peer()
    difference = abs(ours - peer) / (1 + abs(peer))
    difference = max(difference, float(np.abs(our_gradient - np.asarray(peer_gradient)).max()))
    if not difference <= duel.tolerance:
        raise ValueError(f"clstm and {duel.package} differ by {difference:.2g}, more than {duel.tolerance}")


def measure(duel: Duel, rounds: int) -> Measured:
    """The least times of both in some rounds, in which they take turns."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for call, found in zip((duel.ours, duel.peer), times, strict=True):
            begin = time.perf_counter()
            call()
            found.append(time.perf_counter() - begin)
    return Measured(min(times[0]), min(times[1]))


def table(found: dict[str, tuple[Duel, Measured]]) -> Table:
    """The times, their ratios, and what was wanted."""
    rows = [
        [name, duel.package, f"{1e3 * m.ours:.2f}", f"{1e3 * m.peer:.2f}", f"{m.ratio:.1f}", f"{duel.wanted:g}"]
        for name, (duel, m) in found.items()
    ]
    header = ["row", "peer", "clstm ms", "peer ms", "ratio", "wanted"]
    return Table("Losses: value and gradient, one thread", header, rows)


def one_thread() -> None:
    """For us, and for PyTorch if it is there."""
    clstm.set_num_threads(1)
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)


def main(arguments: list[str]) -> int:
    """The command `losses`; returns 1 if a ratio is below what is wanted."""
    parser = argparse.ArgumentParser(prog="bench losses", description=__doc__)
    parser.add_argument("--only", default=",".join(ROWS), help=f"default: {','.join(ROWS)}")
    parser.add_argument("--rounds", type=int, default=30, help="default: 30")
    args = parser.parse_args(arguments)
    names = args.only.split(",")
    if unknown := set(names) - set(ROWS):
        parser.error(f"no row is named {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    one_thread()
    found = {}
    for name in names:
        try:
            duel = ROWS[name]()
        except ImportError as error:
            print(f"{name}: left out, {error}")
            continue
        agree(duel)
        found[name] = duel, measure(duel, args.rounds)
    print(render(table(found)))
    return int(any(m.ratio < duel.wanted for duel, m in found.values()))
