"""The front end of a recogniser: frames of somebody's speech become what a network reads."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .frames import stacked, with_deltas
from .state import registered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .frames import Augmentation

LEAST = 0.01  # of a deviation, as a part of that of all voices: nothing gets more than 100 times as large
SMALL = 1e-2  # of the largest deviation: features that are smaller are measured in smaller units, for precision
FAMILIAR = 400  # frames after which a voice's own correlations count as much as those of all voices


@registered
@dataclass(frozen=True)
class Voice:
    """What the frames of somebody, or of one recording, are like: mean (F,), covariance (F, F), and how many."""

    mean: np.ndarray
    covariance: np.ndarray
    frames: int

    @classmethod
    def of(cls, recordings: Sequence[np.ndarray]) -> Voice:
        """That of recordings (T_n, F)."""
        frames = np.concatenate(recordings).astype(np.float64)
        mean = frames.mean(axis=0)
        return cls(mean, (frames - mean).T @ (frames - mean) / len(frames), len(frames))

    @classmethod
    def between(cls, voices: Sequence[Voice]) -> Voice:
        """The mean of some voices, each with the weight of its frames: what is within them, not between them."""
        weights = np.array([voice.frames for voice in voices], float)
        mean, covariance = (
            np.average([getattr(voice, name) for voice in voices], axis=0, weights=weights)
            for name in ("mean", "covariance")
        )
        return cls(mean, covariance, int(weights.sum()))

    @cached_property
    def deviation(self) -> np.ndarray:
        """Of each feature (F,)."""
        return np.sqrt(np.diag(self.covariance))

    @cached_property
    def unit(self) -> np.ndarray:
        """The same, with 1 for features that are constant."""
        return np.where(self.deviation > 0, self.deviation, 1)

    @cached_property
    def correlation(self) -> np.ndarray:
        """Of the features with each other (F, F); a constant one has none with others."""
        found = self.covariance / np.outer(self.unit, self.unit)
        np.fill_diagonal(found, 1)
        return found

    def alignment(self, model: Voice) -> np.ndarray:
        """The matrix A (F, F) by which (x - mean) A of this voice has the covariance of another.

        Of all linear maps that give a normal distribution of covariance C the covariance P, it moves points least, by
        the distance that features have as they are, which of cepstra is that of logarithmic spectra:
        A = C^-1/2 (C^1/2 P C^1/2)^1/2 C^-1/2 (Olkin and Pukelsheim 1982). The fewer frames a voice has, the more its
        own correlations are taken for those of the model; without any, A only changes deviations.
        """
        unit = np.minimum(1, model.unit / (SMALL * model.unit.max()))
        trust = self.frames / (self.frames + FAMILIAR)
        size = np.maximum(self.deviation, LEAST * model.unit) / unit
        ours = np.outer(size, size) * (trust * self.correlation + (1 - trust) * model.correlation)
        theirs = model.covariance / np.outer(unit, unit)
        root, inverse = power(ours, 0.5), power(ours, -0.5)
        found = inverse @ power(root @ theirs @ root, 0.5) @ inverse
        return found * unit / unit[:, np.newaxis]

    def state(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Voice:
        """A voice of a dict that `state` gave."""
        voice = cls(**state)
        F = voice.mean.size
        if voice.mean.shape != (F,) or voice.covariance.shape != (F, F) or voice.frames < 1:
            raise ValueError(f"no voice has shapes {voice.mean.shape} and {voice.covariance.shape}")
        return voice


@registered
@dataclass
class FrontEnd:
    """What was measured in training, and the way of a recording into the network.

    Attributes
    ----------
    stack : int
        Frames that make one step.
    deltas : bool
    voice : Voice
        That of the training: voices are made like it.
    known : dict
        Voices by the names of speakers; None: all recordings have the voice of the training, as they are.
    mean, scale : ndarray of float32, (F',)
        Of the features in training.
    """

    stack: int
    deltas: bool
    voice: Voice
    known: dict[Any, Voice] | None
    mean: np.ndarray = field(default_factory=lambda: np.zeros(1, np.float32))
    scale: np.ndarray = field(default_factory=lambda: np.ones(1, np.float32))

    @classmethod
    def of(cls, X: list[np.ndarray], names: list | None, cmvn: bool, deltas: bool, stack: int) -> FrontEnd:
        """That of recordings in training."""
        if not cmvn:
            self = cls(stack, deltas, Voice.of(X), None)
        elif names is None:
            self = cls(stack, deltas, Voice.between([Voice.of([x]) for x in X]), {})
        else:
            known = voices_of(X, names)
            self = cls(stack, deltas, Voice.between(list(known.values())), known)
        frames = np.concatenate([self._features(x) for x in self.aligned(X, names)])
        deviation = frames.std(axis=0)
        self.mean, self.scale = frames.mean(axis=0), np.where(deviation > 0, deviation, 1).astype(np.float32)
        return self

    def meet(self, X: list[np.ndarray], names: list | None) -> None:
        """Remembers the voices of speakers that are not known yet."""
        if self.known is not None and names is not None:
            self.known = {**voices_of(X, names), **self.known}

    def aligned(self, X: list[np.ndarray], names: list | None) -> list[np.ndarray]:
        """Recordings, as if the voice of the training had spoken them: (T_n, F) of float32, in units of its deviations.

        Somebody who is known has the voice that was measured then, others that of their recordings here; without names
        each recording is somebody.
        """
        if self.known is None:
            return [((x - self.voice.mean) / self.voice.unit).astype(np.float32) for x in X]
        if names is None:
            names, voices = list(range(len(X))), {n: Voice.of([x]) for n, x in enumerate(X)}
        else:
            voices = {**voices_of(X, names), **self.known}
        matrices = {name: voices[name].alignment(self.voice) / self.voice.unit for name in set(names)}
        return [((x - voices[name].mean) @ matrices[name]).astype(np.float32) for x, name in zip(X, names, strict=True)]

    def _features(self, x):
        return with_deltas(x) if self.deltas else x

    def steps(self, x: np.ndarray) -> np.ndarray:
        """What a network reads of an aligned recording: (ceil(T / stack), stack F')."""
        return stacked((self._features(x) - self.mean) / self.scale, self.stack)

    def changed(self, x: np.ndarray, augmentation: Augmentation, rng: np.random.Generator) -> np.ndarray:
        """The same in training."""
        x = self._features(augmentation.of_frames(x, self.voice.unit, rng))
        return stacked(augmentation.of_features((x - self.mean) / self.scale, rng), self.stack)

    @property
    def size(self) -> int:
        """Features of a step."""
        return self.stack * len(self.scale)

    def state(self) -> dict[str, Any]:
        """For a file."""
        return vars(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> FrontEnd:
        """A front end of a dict that `state` gave."""
        self = cls(**state)
        F = len(self.voice.mean) * (2 if self.deltas else 1)
        if self.mean.shape != (F,) or self.scale.shape != (F,) or not isinstance(self.voice, Voice):
            raise ValueError(f"no front end of {F} features has means of shape {self.mean.shape}")
        return self


def voices_of(X: list[np.ndarray], names: list) -> dict[Any, Voice]:
    """The voice of each speaker."""
    own: dict[Any, list[np.ndarray]] = {}
    for x, name in zip(X, names, strict=True):
        own.setdefault(name, []).append(x)
    return {name: Voice.of(recordings) for name, recordings in own.items()}


def power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """Of a symmetric matrix whose eigenvalues are not negative; what is nearly 0 is taken to be a little more."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 1e-12 * values[-1]) ** exponent) @ vectors.T
