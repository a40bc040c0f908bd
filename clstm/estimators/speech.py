"""SpeechRecognizer: features of recordings in, labels out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arrays, schedules
from ..decoding import ctc_beam, ctc_greedy
from ..dense import Dense
from ..dropout import Dropout
from ..ensemble import Ensemble
from ..losses import ctc
from ..lstm import LSTM
from ..metrics import edit_distance
from ..network import Network
from ..sampling import log_softmax
from .base import Estimator, generator_of
from .fitting import Recipe, held_out, trained
from .frames import Augmentation, Voice, plain, stacked, with_deltas

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

UNITS = ("words", "characters")
BLANK = "<blank>"
LAST_RATE = 0.02  # the learning rate of the end, as a part of that of the beginning
UNEVEN = 0.1  # by which lengths are changed before rows of similar length are put together, so that batches differ
Labels = str | list[str]


class SpeechRecognizer(Estimator):
    """Recordings of speech become labels: a bidirectional LSTM over frames of features, trained by connectionist
    temporal classification (Graves, Fernández, Gomez and Schmidhuber 2006), without knowing when a label is said.

    Parameters
    ----------
    units : str, default "words"
        What texts are made of: "words", between white space, or "characters".
    beam_width : int, default 1
        1: the best path is read (`clstm.decoding.ctc_greedy`), otherwise beginnings that are kept in a beam search.
    cmvn : bool, default True
        Cepstral mean and variance normalisation: each feature has mean 0 and deviation 1 over all recordings of a
        speaker, which takes away loudness, and much of microphone and voice. Where nobody says who speaks, each
        recording is a speaker of its own; if it has few words, much of what they are is taken away too.
    deltas : bool, default True
        Whether the slopes of all features over five frames are features too.
    stack : int, default 3
        Frames that make one step of the network. A recording needs a step for each label.
    noise : float, default 0.3
        In training: deviation of the noise that is added to features, in units of their own deviation.
    offset : float, default 0.3
        In training: deviation, in the same units, of what is added to a feature in a whole recording; half of it is
        that of the logarithm of what the feature is multiplied by. So nothing hangs on a perfect normalisation.
    stretch : float, default 0.5
        In training: a recording gets up to this share longer, or shorter.
    warp : float, default 0.0
        In training: the axis of frequency is stretched or shrunk by up to this share, as by a shorter or longer throat
        (Jaitly and Hinton 2013). For cepstra, as `clstm.speech.mfcc` makes them, and nothing else.
    mask : float, default 0.0
        In training: up to this share of the frames, one behind the other, is hidden (Park et al. 2019).
    hidden_size, num_layers : int, default 64 and 2
        Of the LSTM.
    bidirectional : bool, default True
        False: only what has been heard counts.
    dropout : float, default 0.3
        Rate before, between and behind the layers.
    epochs, batch_size, learning_rate, weight_decay, clip_norm : default 25, 32, 5e-3, 1e-2, 1.0
        Of the training by `AdamW`; the rate falls over the epochs by half a cosine.
    validation_fraction : float, default 0.1
        Part of the recordings that early stopping looks at. Without `patience` all are learnt.
    patience : int or None, default None
        Epochs without a better loss, after which training stops.
    networks : int, default 1
        How many are trained. Of what they hear, the labels count that all of them together find most probable.
    random_state : int, Generator, RandomState or None
        Seed of all that is random.
    progress : bool, default False
        Whether to show a bar.

    Attributes
    ----------
    net_ : Network or Ensemble
        (N, T, F) to the scores (N, T, C) of the blank, which is class 0, and of `classes_`.
    classes_ : list of str
    n_features_in_ : int
    mean_, scale_ : ndarray
        Of the features in training, after `cmvn` and `deltas`.
    texts_ : bool
        Whether labels were texts, and not lists.
    history_ : dict of list
        What each epoch of the first network gave, see `Trainer.fit`.

    Examples
    --------
    Two tones, one or two after the other, in recordings of unequal length:

    >>> import numpy as np
    >>> from clstm.estimators import SpeechRecognizer
    >>> rng = np.random.default_rng(0)
    >>> def record(text):
    ...     tones = [{"low": [1, 0], "high": [0, 1]}[word] for word in text.split()]
    ...     frames = np.concatenate([[tone] * rng.integers(4, 8) + [[0, 0]] * 3 for tone in tones])
    ...     return frames + 0.1 * rng.standard_normal(frames.shape)
    >>> texts = ["low", "high", "low high", "high low", "low low"] * 16
    >>> recordings = [record(text) for text in texts]
    >>> model = SpeechRecognizer(hidden_size=16, num_layers=1, stack=2, epochs=15, learning_rate=0.03, random_state=0)
    >>> model.fit(recordings[:60], texts[:60]).score(recordings[60:], texts[60:]) > 0.9
    True
    >>> model.predict([record("high low")])
    ['high low']
    """

    def __init__(
        self,
        units: str = "words",
        beam_width: int = 1,
        cmvn: bool = True,
        deltas: bool = True,
        stack: int = 3,
        noise: float = 0.3,
        offset: float = 0.3,
        stretch: float = 0.5,
        warp: float = 0.0,
        mask: float = 0.0,
        hidden_size: int = 64,
        num_layers: int = 2,
        bidirectional: bool = True,
        dropout: float = 0.3,
        epochs: int = 25,
        batch_size: int = 32,
        learning_rate: float = 5e-3,
        weight_decay: float = 1e-2,
        clip_norm: float | None = 1.0,
        validation_fraction: float = 0.1,
        patience: int | None = None,
        networks: int = 1,
        random_state: Any = None,
        progress: bool = False,
    ) -> None:
        self.units = units
        self.beam_width = beam_width
        self.cmvn = cmvn
        self.deltas = deltas
        self.stack = stack
        self.noise = noise
        self.offset = offset
        self.stretch = stretch
        self.warp = warp
        self.mask = mask
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.networks = networks
        self.random_state = random_state
        self.progress = progress

    # Learning

    def fit(
        self, X: Sequence[ArrayLike] | np.ndarray, y: Sequence[Labels], speakers: ArrayLike | None = None
    ) -> SpeechRecognizer:
        """Learns from recordings and what is said in them.

        Parameters
        ----------
        X : list of array_like (T_n, F), or array (N, T, F)
            Features of the frames of each recording, such as `clstm.speech.mfcc` gives.
        y : sequence of str, or of lists of str
            A text, whose words or characters are the labels, or the labels themselves; none may be empty.
        speakers : array_like, (N,), optional
            Who speaks, numbers or names, for `cmvn`.

        Returns
        -------
        SpeechRecognizer
            Itself.

        Raises
        ------
        TypeError, ValueError
            A parameter, a recording or a label does not fit, such as more labels than steps; the message has its name
            and place.
        """
        augmentation = self._check()
        recipe, rng = Recipe.of(self), generator_of(self.random_state)
        X = checked_recordings("X", X)
        voices = self._voices(X, speakers)
        labels, texts = self._labels("y", y, len(X))
        classes = sorted({label for row in labels for label in row})
        numbers = {label: k for k, label in enumerate(classes, 1)}
        targets = [np.array([numbers[label] for label in row]) for row in labels]
        for n, (x, target) in enumerate(zip(X, targets, strict=True)):
            self._check_steps(n, max(1, round(len(x) / (1 + augmentation.stretch))), target)
        train, held = np.arange(len(X)), None
        if recipe.patience is not None:
            train, held = held_out(len(X), recipe.validation_fraction, rng)
        frames = np.concatenate([self._features(X[n], voices[n]) for n in train])
        self.mean_, scale = frames.mean(axis=0), frames.std(axis=0)
        self.scale_ = np.where(scale > 0, scale, 1).astype(np.float32)

        def fit(trainer, arguments):
            seed = int(trainer.rng.integers(2**63))
            if held is not None:
                arguments["validation"] = (
                    [self._steps(X[n], voices[n]) for n in held],
                    [targets[n] for n in held],
                )

            def batches(epoch):
                rng = np.random.default_rng([seed, epoch])
                made = [self._changed(X[n], voices[n], augmentation, rng) for n in train]
                for rows in alike([len(x) for x in made], recipe.batch_size, rng):
                    yield [made[k] for k in rows], [targets[train[k]] for k in rows]

            trainer.fit(batches, **arguments)

        schedule = schedules.Cosine(recipe.epochs, end=LAST_RATE, per="epoch")
        make = self._maker(self.stack * len(scale), len(classes) + 1)
        net, histories = trained(make, fit, recipe, rng, loss="ctc", metrics=["cer"], schedule=schedule)
        self.net_, self.history_ = net, histories[0]
        self.classes_, self.texts_, self.n_features_in_ = classes, texts, X[0].shape[1]
        return self

    def _maker(self, features, classes):
        """Makes a network from a generator."""

        def make(rng):
            options = {"num_layers": self.num_layers, "bidirectional": self.bidirectional, "dropout": self.dropout}
            size = self.hidden_size * (2 if self.bidirectional else 1)
            return Network(
                [
                    Dropout(self.dropout / 3, per="sequence"),
                    LSTM(features, self.hidden_size, **options, rng=rng),
                    Dropout(self.dropout),
                    Dense(size, classes, rng=rng),
                ]
            )

        return make

    # Features

    def _voices(self, X, speakers):
        """The voice of each recording; None without `cmvn`."""
        if speakers is not None:
            speakers = _arrays.array_of("speakers", speakers)
            if speakers.shape != (len(X),):
                expected = f"shape ({len(X)},), a speaker for each recording"
                raise _arrays.wrong(ValueError, "speakers", expected, f"shape {speakers.shape}")
        if not self.cmvn:
            return [None] * len(X)
        if speakers is None:
            return [Voice.of([x]) for x in X]
        names = speakers.tolist()
        voices = {name: Voice.of([x for x, own in zip(X, names, strict=True) if own == name]) for name in set(names)}
        return [voices[name] for name in names]

    def _features(self, x, voice, warp=None):
        """(T, F') of x (T, F), not scaled."""
        x = plain(x, warp) if voice is None else voice.normalised(x, warp)
        return with_deltas(x) if self.deltas else x

    def _scaled(self, x, voice, warp=None):
        return (self._features(x, voice, warp) - self.mean_) / self.scale_

    def _steps(self, x, voice):
        """What the network reads."""
        return stacked(self._scaled(x, voice), self.stack)

    def _changed(self, x, voice, augmentation, rng):
        """The same in training."""
        x, warp = augmentation.of_frames(x, rng)
        return stacked(augmentation.of_features(self._scaled(x, voice, warp), rng), self.stack)

    # Checks

    def _check(self):
        """Checks all parameters that are not the recipe's, and returns how recordings are changed."""
        _arrays.choice("units", self.units, UNITS)
        _arrays.size("beam_width", self.beam_width)
        for name in ("cmvn", "deltas", "bidirectional"):
            _arrays.flag(name, getattr(self, name))
        for name in ("stack", "hidden_size", "num_layers"):
            _arrays.size(name, getattr(self, name))
        _arrays.rate("dropout", self.dropout)
        deviations = [_arrays.deviation(name, getattr(self, name)) for name in ("noise", "offset", "stretch", "warp")]
        return Augmentation(*deviations, _arrays.rate("mask", self.mask))

    def _check_steps(self, n, frames, target):
        steps = -(-frames // self.stack)
        needed = len(target) + int((target[1:] == target[:-1]).sum())
        if steps < needed:
            expected = f"at least {needed} steps of {self.stack} frames for the labels of y[{n}]"
            got = f"{steps}" + (", when it is stretched to its shortest" if self.stretch else "")
            raise _arrays.wrong(ValueError, f"X[{n}]", expected, got)

    def _recordings(self, X):
        """Those of somebody who wants to know what is said in them."""
        X = checked_recordings("X", X)
        if X[0].shape[1] != self.n_features_in_:
            raise _arrays.wrong(ValueError, "X", f"{self.n_features_in_} features, as at fit", X[0].shape[1])
        return X

    def _labels(self, name, y, count):
        """Lists of labels, and whether they were texts."""
        if isinstance(y, (str, bytes, dict)) or not hasattr(y, "__len__"):
            raise _arrays.wrong(TypeError, name, "a list of texts, or of lists of labels", _arrays.kind(y))
        if len(y) != count:
            raise _arrays.wrong(ValueError, name, f"{count}, as many as X has recordings", len(y))
        texts = isinstance(y[0], str)
        return [self._labels_of(f"{name}[{n}]", row, texts) for n, row in enumerate(y)], texts

    def _labels_of(self, name, row, texts):
        if isinstance(row, str) != texts or not hasattr(row, "__iter__"):
            raise _arrays.wrong(TypeError, name, "a str, as y[0]" if texts else "a list of str", _arrays.kind(row))
        found = list(row) if not texts or self.units == "characters" else row.split()
        if not found:
            raise _arrays.wrong(ValueError, name, "at least one label", repr(row))
        for label in found:
            if not isinstance(label, str):
                raise _arrays.wrong(TypeError, name, "labels that are str", f"{label!r} ({_arrays.kind(label)})")
        return found

    # Hearing

    def label_probabilities(
        self, X: Sequence[ArrayLike] | np.ndarray, speakers: ArrayLike | None = None
    ) -> list[np.ndarray]:
        """How probable each label is at each step, and that there is none.

        Parameters
        ----------
        X : list of array_like (T_n, F), or array (N, T, F)
        speakers : array_like, (N,), optional
            As in `predict`.

        Returns
        -------
        list of ndarray, (ceil(T_n / stack), 1 + labels)
            The blank first, then `classes_`. Of several networks, by the mean of their scores.
        """
        return [np.exp(log_softmax(scores)) for scores in self._scores(X, speakers)]

    def _scores(self, X, speakers):
        steps = self._read(X, speakers)
        return self.net_(steps)

    def _read(self, X, speakers):
        """What the networks read."""
        self._check_fitted()
        X = self._recordings(X)
        return [self._steps(x, voice) for x, voice in zip(X, self._voices(X, speakers), strict=True)]

    def _heard(self, X, speakers):
        """Lists of labels."""
        width = _arrays.size("beam_width", self.beam_width)
        steps = self._read(X, speakers)
        members = self.net_.layers if isinstance(self.net_, Ensemble) else [self.net_]
        found = []
        for scores in zip(*[member(steps) for member in members], strict=True):
            numbers = agreed(scores, [decoded(one, width) for one in scores])
            found.append([self.classes_[number - 1] for number in numbers])
        return found

    def predict(self, X: Sequence[ArrayLike] | np.ndarray, speakers: ArrayLike | None = None) -> list[Labels]:
        """What is said in each recording.

        Parameters
        ----------
        X : list of array_like (T_n, F), or array (N, T, F)
        speakers : array_like, (N,), optional
            Who speaks: with `cmvn` the recordings of a speaker say together what this voice is like. They need not be
            speakers of the training, but if it knew who speaks, this should be known too.

        Returns
        -------
        list of str, or of lists of str
            As the labels were; empty where nothing is heard.

        Raises
        ------
        NotFittedError
        TypeError, ValueError
            A recording does not fit.
        """
        heard = self._heard(X, speakers)
        if not self.texts_:
            return heard
        return [("" if self.units == "characters" else " ").join(row) for row in heard]

    def score(
        self, X: Sequence[ArrayLike] | np.ndarray, y: Sequence[Labels], speakers: ArrayLike | None = None
    ) -> float:
        """1 - the label error rate, the edits that turn what is heard into y for each label of y. Below 0 with
        more edits than labels.

        Parameters
        ----------
        X : list of array_like (T_n, F), or array (N, T, F)
        y : sequence of str, or of lists of str
        speakers : array_like, (N,), optional
            As in `predict`.

        Returns
        -------
        float
        """
        heard = self._heard(X, speakers)
        labels, _ = self._labels("y", y, len(heard))
        edits = sum(edit_distance(a, b) for a, b in zip(heard, labels, strict=True))
        return 1 - edits / sum(map(len, labels))


def decoded(scores, width):
    """The labels that scores (T, C) say."""
    if width == 1:
        return ctc_greedy(scores[np.newaxis])[0]
    (((numbers, _),),) = ctc_beam(scores[np.newaxis], width=width)
    return numbers


def agreed(scores, candidates):
    """Of the labels that networks hear, those that all of them together find most probable. (The mean of scores says
    nothing: each network says a label at a step of its own.)"""
    if len(candidates) == 1:
        return candidates[0]
    return min(candidates, key=lambda labels: sum(ctc(one[np.newaxis], [labels], reduction="sum")[0] for one in scores))


def alike(lengths, size, rng):
    """The rows of an epoch's batches: of similar lengths, in random order."""
    uneven = np.array(lengths) * np.exp(rng.uniform(-UNEVEN, UNEVEN, len(lengths)))
    order = np.argsort(uneven)
    starts = range(0, len(order), size)
    return [order[starts[k] : starts[k] + size] for k in rng.permutation(len(starts))]


def checked_recordings(name, X):
    """A list of arrays (T_n, F) of float32; at least one, all of F finite features and at least a frame."""
    if isinstance(X, (str, bytes, dict)) or not hasattr(X, "__len__"):
        raise _arrays.wrong(TypeError, name, "a list of arrays (T, F), or an array (N, T, F)", _arrays.kind(X))
    if not len(X):
        raise _arrays.wrong(ValueError, name, "at least one recording", "none")
    found = []
    for n, row in enumerate(X):
        x = _arrays.real(f"{name}[{n}]", row, np.dtype(np.float32))
        if x.ndim != 2 or 0 in x.shape:
            raise _arrays.wrong(ValueError, f"{name}[{n}]", "shape (T, F), with at least a frame", f"shape {x.shape}")
        if found and x.shape[1] != found[0].shape[1]:
            expected = f"{found[0].shape[1]} features, as {name}[0] has"
            raise _arrays.wrong(ValueError, f"{name}[{n}]", expected, x.shape[1])
        if not np.isfinite(x).all():
            t, f = np.argwhere(~np.isfinite(x))[0]
            raise _arrays.wrong(ValueError, f"{name}[{n}]", "finite values", f"{x[t, f]} at frame {t}, feature {f}")
        found.append(x)
    return found
