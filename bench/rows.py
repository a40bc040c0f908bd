"""What is measured: the rows of the benchmark, their sizes, and how their work is counted.

A row belongs to a kind and is written ``kind:name``, as in ``train:small``. `work` is what an engine is asked to do:

- train: forward and backward over sequences, gradients of x and of every weight, given dy; no optimiser
- forward: inference over sequences
- step: one time step of one sequence; the state is kept between calls
- epoch: one epoch of training with embedding, output layer, loss, clipping and Adam
- memory: nothing is timed, bytes are counted
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import NamedTuple

from .variants import SIZES, VARIANTS


class Shape(NamedTuple):
    """Steps T, batch N, input I, hidden H, layers L, directions D."""

    T: int
    N: int
    I: int
    H: int
    L: int = 1
    D: int = 1


SHAPES = {
    "small": Shape(100, 32, 32, 64),
    "char-LM": Shape(64, 32, 128, 256, L=2),
    "PTB-medium": Shape(35, 20, 650, 650, L=2),
    "row-MNIST": Shape(28, 128, 28, 128),
    "pixel-MNIST": Shape(784, 64, 1, 128),
    "wide": Shape(50, 64, 512, 512),
    "bidirectional": Shape(40, 32, 100, 200, D=2),
    "tiny": Shape(50, 16, 8, 16),
    "batch-1": Shape(200, 1, 64, 128),
}
STEP_SIZES = (16, 32, 64, 128, 256, 512)
FLOAT64 = ("small", "char-LM", "PTB-medium", "wide", "tiny")
RAGGED = Shape(200, 32, 64, 128)
SHORTEST = 20
RAGGED_SEED = 712  # of the lengths, so that they sum to 3,705 of the 6,400 steps
DENORMALS = Shape(2000, 16, 64, 64)
EPOCHS = {"char-LM": (SHAPES["char-LM"], 50), "tiny": (SHAPES["tiny"], 400)}  # shape, batches
VOCABULARY = 65  # distinct characters, as in a plain English text
SWEPT_T = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
SWEPT_N = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
LARGEST_H = 700
OWN = ("clstm",)
WITH_PLAIN = ("clstm", "clstm-plain", "torch-loop", "torch-loop-tuned")


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes
    ----------
    kind, name : str
    work : str
        "train", "forward", "step", "epoch" or "memory".
    shape : Shape
    dtype : str
    lengths : tuple of int or None
        Valid steps of each sequence; None: all T.
    data : str
        "usual": normal random numbers. "steady" and "decaying": weights with which states fade; x and dy stay as they
        are, or fade beyond the least normal number, see `bench.data`.
    batches : int
        Of an epoch.
    variant : str or None
        A key of `bench.variants.VARIANTS`; None: the plain LSTM.
    text : str or None
        File with the text of an epoch; None: an invented one.
    engines : tuple of str or None
        The engines that take part; None: all that can.
    threads : tuple of int or None
        The numbers of threads with which the row is measured; None: all that are asked for.
    rounds : int or None
        At most so many; None: as many as are asked for.
    turns : int
        How often the rows of its kind are gone through, one row after the other. More than one where rows are compared
        with each other, so that no moment of the machine counts for one of them alone.
    seconds : float
        Of measuring for each engine in a turn, at least, in all rounds together.
    """

    kind: str
    name: str
    work: str
    shape: Shape
    dtype: str = "float32"
    lengths: tuple[int, ...] | None = None
    data: str = "usual"
    batches: int = 0
    variant: str | None = None
    text: str | None = None
    engines: tuple[str, ...] | None = None
    threads: tuple[int, ...] | None = None
    rounds: int | None = None
    turns: int = 1
    seconds: float = 1.0

    @property
    def id(self) -> str:
        return f"{self.kind}:{self.name}"

    @property
    def steps(self) -> int:
        """Valid steps of all sequences, for one layer and direction."""
        each = self.shape.T * self.shape.N if self.lengths is None else sum(self.lengths)
        return each * max(1, self.batches)

    @property
    def flops(self) -> int:
        """Multiplications and additions of the products. Activations, embedding, loss and optimiser are not counted."""
        _, _, _, H, _, D = self.shape
        variant = None if self.variant is None else VARIANTS[self.variant]
        step = product_flops(self.shape, *(() if variant is None else (variant.gates, variant.projected(H))))
        if self.work == "epoch":
            step += 2 * D * H * VOCABULARY
        return step * self.steps * (1 if self.work in ("forward", "step") else 3)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the matrices, all of which a step has to read."""
        return product_flops(self.shape) // 2 * (8 if self.dtype == "float64" else 4)


def product_flops(shape, gates=4, projected=0):
    """Of one step of one sequence, forward: 2 * 4H * (inputs + H) for each layer and direction.

    With a projection, its size stands in the place of H where h is read, and there is one more product. Backward takes
    twice as many: for each product, one for the gradient of each factor.
    """
    _, _, I, H, L, D = shape
    R = projected or H
    products = sum(2 * gates * H * ((I if layer == 0 else D * R) + R) * D for layer in range(L))
    return products + 2 * H * projected * D * L


def ragged_lengths(ordered):
    """Lengths drawn uniformly from 20 to 200; longest first if ordered."""
    draw = random.Random(RAGGED_SEED)
    lengths = [draw.randint(SHORTEST, RAGGED.T) for _ in range(RAGGED.N)]
    return tuple(sorted(lengths, reverse=True) if ordered else lengths)


def swept_h():
    """Every H to 100, then multiples of the vector width, their neighbours, and sizes that people choose."""
    sizes = set(range(1, 101)) | set(range(100, LARGEST_H + 1, 50))
    for vectors in range(112, LARGEST_H + 1, 16):
        sizes.update((vectors - 1, vectors, vectors + 1, vectors + 8))
    return sorted(size for size in sizes if size <= LARGEST_H)


def ragged_rows():
    short = RAGGED._replace(T=round(sum(ragged_lengths(False)) / RAGGED.N))
    yield Row("ragged", "unsorted", "train", RAGGED, lengths=ragged_lengths(False))
    yield Row("ragged", "sorted", "train", RAGGED, lengths=ragged_lengths(True))
    yield Row("ragged", "equal", "train", short, engines=(*OWN, "torch"))  # as many steps, all of the same length
    yield Row("ragged", "full", "train", RAGGED, engines=(*OWN, "torch"))


def sweep_rows(engines):
    few = {"engines": engines, "rounds": 1, "turns": 3, "seconds": 0.1}
    for T in SWEPT_T:
        yield Row("sweep-T", f"T={T}", "train", Shape(T, 16, 64, 64), **few)
    for N in SWEPT_N:
        yield Row("sweep-N", f"N={N}", "train", Shape(50, N, 128, 128), **few)
    few["seconds"] = 0.05
    for H in swept_h():
        yield Row("sweep-H", f"H={H}", "train", Shape(20, 16, H, H), threads=(1,), **few)


def isa_rows():
    both = {"engines": ("clstm", "clstm-avx2"), "threads": (1,)}
    for name, shape in SHAPES.items():
        yield Row("isa", name, "train", shape, **both)
    for name in FLOAT64:
        yield Row("isa", f"{name}-float64", "train", SHAPES[name], dtype="float64", **both)


def variant_rows():
    """Each variant, with the plain LSTM and, where PyTorch has no such layer, loops in PyTorch."""
    for size in SIZES:
        for name, variant in VARIANTS.items():
            shape = SHAPES[size]._replace(L=max(SHAPES[size].L, variant.layers))
            yield Row("variant", f"{size}-{name}", "train", shape, variant=name, engines=WITH_PLAIN, seconds=0.5)


def all_rows(text=None, batches=None, sweep_engines=OWN) -> list[Row]:
    """Every row of the benchmark, in the order in which they are measured.

    Parameters
    ----------
    text : str, optional
        File for the epochs.
    batches : int, optional
        Of each epoch, instead of the usual number.
    sweep_engines : tuple of str
        Who takes part in the sweeps.
    """
    rows = [Row("train", name, "train", shape) for name, shape in SHAPES.items()]
    rows += [Row("forward", name, "forward", shape) for name, shape in SHAPES.items()]
    rows += [Row("step", f"H={H}", "step", Shape(1, 1, H, H)) for H in STEP_SIZES]
    rows += ragged_rows()
    rows += [Row("float64", name, "train", SHAPES[name], dtype="float64") for name in FLOAT64]
    for name, (shape, usual) in EPOCHS.items():
        rows.append(Row("epoch", name, "epoch", shape, batches=batches or usual, text=text, rounds=3))
    for work in ("forward", "train"):
        rows += [Row("denormals", f"{work}-{data}", work, DENORMALS, data=data) for data in ("steady", "decaying")]
    rows += isa_rows()
    rows += variant_rows()
    rows += [Row("memory", name, "memory", shape, engines=OWN, threads=(1,)) for name, shape in SHAPES.items()]
    rows += sweep_rows(sweep_engines)
    return rows


def select(rows, patterns) -> list[Row]:
    """The rows that one of the patterns names.

    Parameters
    ----------
    rows : sequence of Row
    patterns : sequence of str
        ``kind:name``, where ``*`` and ``?`` stand for any characters; ``kind`` alone is ``kind:*``.

    Raises
    ------
    ValueError
        A pattern names no row.
    """
    wanted = set()
    for pattern in patterns:
        full = pattern if ":" in pattern else f"{pattern}:*"
        found = [row.id for row in rows if fnmatchcase(row.id, full)]
        if not found:
            kinds = ", ".join(dict.fromkeys(row.kind for row in rows))
            raise ValueError(f"no row is named {pattern!r}; the kinds are {kinds}")
        wanted.update(found)
    return [row for row in rows if row.id in wanted]


def hurried(row: Row) -> Row:
    """The same row with as little measuring as possible, to see that everything runs."""
    return replace(row, rounds=min(row.rounds or 2, 2), seconds=0.02, batches=min(row.batches, 3))
