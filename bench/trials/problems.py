"""The tasks as a training loop needs them: the next sequences, whether the task is solved, and a test at the end.

A problem has two generators of random numbers: that of the sequences which are learnt, and that of the sequences which
are tested. So what is learnt does not depend on how often it is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ..tasks_1997 import adding, copy_memory, digits, long_lags, reber, temporal_order, two_sequence
from ..tasks_1997.criteria import TESTED, wrong
from ..tasks_1997.sequences import Sequences

MADE = 256  # sequences that are made at a time, about
GLANCE = 100  # sequences of the first look, which saves most of the long ones


class Problem:
    """A task.

    Parameters
    ----------
    make : callable
        ``make(count, rng)`` gives Sequences.
    rng, test_rng : numpy.random.Generator
    inputs, outputs : int
        Features, or symbols; and output units.

    Attributes
    ----------
    inputs, outputs : int
    at_end : bool
        Whether there are outputs at the end of a sequence only.
    """

    at_end = True

    def __init__(
        self,
        make: Callable[..., Sequences],
        rng: np.random.Generator,
        test_rng: np.random.Generator,
        inputs: int,
        outputs: int,
    ) -> None:
        self.make, self.rng, self.test_rng = make, rng, test_rng
        self.inputs, self.outputs = inputs, outputs
        self.made, self.next = None, 0

    def batch(self, count: int) -> Sequences:
        """The next sequences to be learnt from."""
        if self.made is None or self.next + count > len(self.made):
            self.made, self.next = self.make(max(MADE // count, 1) * count, self.rng), 0
        self.next += count
        return trimmed(self.made.take(slice(self.next - count, self.next)))

    def is_solved(self, learner, outputs: np.ndarray, batch: Sequences) -> bool:
        """Whether the task is solved now.

        Parameters
        ----------
        learner : Learner
            It has learnt from the batch.
        outputs : ndarray
            What it gave before that.
        batch : Sequences
        """
        raise NotImplementedError

    def test(self, learner) -> dict[str, float]:
        """What a test after the training finds."""
        raise NotImplementedError


def trimmed(data):
    """Without the steps that are padding in all of them."""
    steps = int(data.lengths.max())
    if steps == data.x.shape[1]:
        return data
    cut = {"x": data.x[:, :steps], "mask": data.mask[:, :steps]}
    if data.y.ndim == 3:
        cut |= {name: getattr(data, name)[:, :steps] for name in ("y", "labels", "expected")
                if getattr(data, name) is not None}  # fmt: skip
    return Sequences(**{**vars(data), **cut})


# Judged by the sequences that it learns from


class OnLine(Problem):
    """Adding, multiplication and temporal order: 2000 sequences in a row, each before it was learnt from."""

    def __init__(self, make, criterion, *args) -> None:
        super().__init__(make, *args)
        self.recent = criterion()

    def is_solved(self, learner, outputs, batch):
        return self.recent.add(outputs, batch.y)

    def test(self, learner):
        data = self.make(TESTED, self.test_rng)
        return {"wrong": wrong(learner.outputs(data), data.y, self.recent.tolerance), "of": TESTED}


def addition(rng, test_rng, T):
    return OnLine(partial(adding.addition, T=T), adding.addition_criterion, rng, test_rng, 2, 1)


def multiplication(rng, test_rng, n_seq):
    return OnLine(adding.multiplication, partial(adding.multiplication_criterion, n_seq), rng, test_rng, 2, 1)


def order(rng, test_rng, relevant):
    make, symbols = partial(temporal_order.order, relevant=relevant), len(temporal_order.SYMBOLS)
    return OnLine(make, temporal_order.criterion, rng, test_rng, symbols, 2**relevant)


# Judged by a look at other sequences, from time to time


class Looked(Problem):
    """A task that is solved when a look at the network says so, after every `every` sequences."""

    every: int

    def is_solved(self, learner, outputs, batch):
        before = learner.seen - len(batch)
        return learner.seen // self.every > before // self.every and self.look(learner)

    def look(self, learner) -> bool:
        """Whether the task is solved now."""
        raise NotImplementedError


class Reber(Looked):
    """The embedded Reber grammar: strings at random of 256; all of these, and 256 others, have to be predicted."""

    at_end = False
    every = 100

    def __init__(self, rng, test_rng) -> None:
        symbols = len(reber.SYMBOLS)
        super().__init__(self._pick, rng, test_rng, symbols, symbols)
        self.training, self.tested = reber.training_and_test(test_rng)

    def _pick(self, count, rng):
        return self.training.take(rng.integers(len(self.training), size=count))

    def look(self, learner):
        return all(reber.is_solved(learner.outputs(data), data) for data in (self.tested, self.training))

    def test(self, learner):
        fresh = reber.strings(TESTED, self.test_rng)
        outputs = learner.outputs(fresh)
        failed = sum(not reber.is_solved(outputs[k : k + 1], fresh.take(slice(k, k + 1))) for k in range(TESTED))
        return {"wrong": failed, "of": TESTED}


class LongLag(Looked):
    """Tasks 2a, 2b and 2c: 10,000 sequences are right."""

    every = 100

    def __init__(self, make, is_right, at_end, *args) -> None:
        super().__init__(make, *args)
        self.is_right, self.at_end = is_right, at_end

    def look(self, learner):
        return all(self._passes(learner, count) for count in (GLANCE, long_lags.TESTED))

    def _passes(self, learner, count):
        for _ in range(0, count, GLANCE):
            data = self.make(GLANCE, self.test_rng)
            if not self.is_right(learner.outputs(data), data):
                return False
        return True

    def test(self, learner):
        failed = 0
        for _ in range(0, TESTED, 10):
            data = self.make(10, self.test_rng)
            outputs = learner.outputs(data)
            parts = [slice(k, k + 1) for k in range(10)]
            failed += sum(not self.is_right(outputs[part], data.take(part)) for part in parts)
        return {"wrong": failed, "of": TESTED}


def regular(rng, test_rng, p):
    make = partial(long_lags.regular, p=p)
    return LongLag(make, long_lags.is_solved_regular, False, rng, test_rng, p + 1, p + 1)


def irregular(rng, test_rng, p):
    make = partial(long_lags.irregular, p=p)
    return LongLag(make, long_lags.is_solved_irregular, False, rng, test_rng, p + 1, p + 1)


def distracting(rng, test_rng, q, p):
    make = partial(long_lags.distracting, q=q, p=p)
    return LongLag(make, long_lags.is_solved_distracting, True, rng, test_rng, p + 4, 2)


class TwoSequence(Looked):
    """Tasks 3a, 3b and 3c: 256 sequences, always the same ones."""

    every = 100

    def __init__(self, make, is_right, tolerance, *args) -> None:
        super().__init__(make, *args)
        self.is_right, self.tolerance = is_right, tolerance
        self.tested = make(two_sequence.TESTED_IN_TRAINING, self.test_rng)

    def look(self, learner):
        return self.is_right(learner.outputs(self.tested), self.tested)

    def test(self, learner):
        data = self.make(TESTED, self.test_rng)
        return {"wrong": wrong(learner.outputs(data), data.judged, self.tolerance), "of": TESTED}


def signal(rng, test_rng, variant, N):
    """Task 3a, 3b or 3c: "clean", "noisy" or "noisy_targets"."""
    generator = getattr(two_sequence, variant)
    judges = {
        "clean": (two_sequence.st2, 0.2),
        "noisy": (partial(two_sequence.st2, noisy=True), 0.2),
        "noisy_targets": (two_sequence.is_solved_noisy_targets, 0.1),
    }
    return TwoSequence(partial(generator, N=N), *judges[variant], rng, test_rng, 1, 1)


class Copying(Looked):
    """Copy memory: the cross-entropy of 128 other sequences is below 0.8 of what is possible without memory."""

    at_end = False
    every = 1600
    count = 128
    share = 0.8

    def __init__(self, rng, test_rng, T) -> None:
        make = partial(copy_memory.copying, T=T)
        super().__init__(make, rng, test_rng, copy_memory.SYMBOLS, copy_memory.BLANK + 1)
        self.tested = self.make(self.count, test_rng)
        self.baseline = copy_memory.baseline(T)

    def look(self, learner):
        return entropy(learner.outputs(self.tested), self.tested) < self.share * self.baseline

    def test(self, learner):
        data = self.make(self.count, self.test_rng)
        outputs = learner.outputs(data)
        share = copy_memory.share_copied(outputs, data)
        return {"of_baseline": entropy(outputs, data) / self.baseline, "copied": share}


def entropy(probabilities, data):
    """The mean of -log p of the labels, in nats."""
    given = np.take_along_axis(probabilities, data.labels[..., np.newaxis], axis=-1)
    return float(-np.mean(np.log(np.maximum(given, np.finfo(np.float32).tiny), dtype=np.float64)))


# Judged by a test at the end only


class Digits(Problem):
    """Images or signals of ten classes, some epochs of them; a test set tells what was learnt."""

    def __init__(self, training, tested, rng, test_rng) -> None:
        super().__init__(None, rng, test_rng, training.x.shape[2], digits.CLASSES)
        self.training, self.tested = training, tested
        self.order = np.zeros(0, np.int64)

    def batch(self, count):
        """The next sequences; each comes once in an epoch, the last batch of which may be smaller."""
        if len(self.order) == 0:
            self.order = self.rng.permutation(len(self.training))
        taken, self.order = np.split(self.order, [count])
        return self.training.take(taken)

    def is_solved(self, learner, outputs, batch):
        return False

    def test(self, learner):
        return {"accuracy": digits.accuracy(learner.outputs(self.tested), self.tested), "of": len(self.tested)}


def images(rng, test_rng, load):
    """scikit-learn's digits, "rows" or "pixels"; a fifth of them is the test set."""
    data = getattr(digits, load)()
    return Digits(*digits.split(data, len(data) // 5, test_rng), rng, test_rng)


def signals(rng, test_rng):
    """MNIST-1D."""
    return Digits(*digits.mnist1d(), rng, test_rng)
