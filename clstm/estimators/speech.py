"""SpeechRecognizer: features of recordings in, labels out."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arrays, schedules
from ..dense import Dense
from ..dropout import Dropout
from ..lstm import LSTM
from ..metrics import edit_distance
from ..network import Network
from ..sampling import log_softmax
from .base import Estimator, generator_of
from .fitting import Recipe, children, held_out, trained, trainer_of
from .frames import Augmentation
from .front_end import FrontEnd
from .hearing import agreed, log_probability, members_of, scores_of, steps_needed, surest
from .recordings import changing, checked_labels, checked_recordings, checked_speakers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

UNITS = ("words", "characters")
DEVIATIONS = ("noise", "offset", "stretch", "warp", "mix")
LAST_RATE = 0.02  # the learning rate of the end, as a part of that of the beginning
SHARES = 0.4, 0.9  # of what is heard, learnt in the first and in the last round of `adapt`
ADAPTED_RATE = 0.2  # the learning rate at the end of a round, as a part of that of its beginning
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
        Cepstral mean and variance normalisation, and of covariances too: the features of all recordings of a speaker
        go through the linear map that gives them mean 0 and the covariances of an average voice, and otherwise changes
        them least. It takes away loudness, and much of microphone and voice. Where nobody says who speaks, each
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
    mix : float, default 0.1
        In training: features are mixed with each other at random, by a matrix I + mix G / sqrt(F) that is the same in a
        whole recording, G of standard normal numbers. So nothing hangs on a perfect alignment of voices.
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
    front_end_ : FrontEnd
        What was measured of the features in training, and the voices of the speakers of `fit` and `adapt`.
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

    Somebody else, who speaks softly; it listens before it writes down:

    >>> others = [0.2 * record(text) for text in texts]
    >>> model.adapt(others[:40], ["bob"] * 40, rounds=2).predict([0.2 * record("low high")], ["bob"])
    ['low high']
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
        mix: float = 0.1,
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
        self.mix = mix
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
        names = checked_speakers(speakers, len(X))
        labels, texts = checked_labels("y", y, len(X), self.units)
        classes = sorted({label for row in labels for label in row})
        numbers = {label: k for k, label in enumerate(classes, 1)}
        targets = [np.array([numbers[label] for label in row]) for row in labels]
        for n, (x, target) in enumerate(zip(X, targets, strict=True)):
            self._check_steps(n, len(x), target)
        train, held = np.arange(len(X)), None
        if recipe.patience is not None:
            train, held = held_out(len(X), recipe.validation_fraction, rng)
        learnt = [X[n] for n in train], None if names is None else [names[n] for n in train]
        front_end = FrontEnd.of(*learnt, self.cmvn, self.deltas, self.stack)
        X = front_end.aligned(X, names)

        def fit(trainer, arguments):
            if held is not None:
                arguments["validation"] = [front_end.steps(X[n]) for n in held], [targets[n] for n in held]
            chosen = [X[n] for n in train], [targets[n] for n in train]
            trainer.fit(changing(*chosen, front_end, augmentation, recipe.batch_size, trainer.rng), **arguments)

        schedule = schedules.Cosine(recipe.epochs, end=LAST_RATE, per="epoch")
        make = self._maker(front_end.size, len(classes) + 1)
        net, histories = trained(make, fit, recipe, rng, loss="ctc", metrics=["cer"], schedule=schedule)
        self.net_, self.history_, self.front_end_ = net, histories[0], front_end
        self.classes_, self.texts_, self.n_features_in_ = classes, texts, len(front_end.voice.mean)
        return self

    def adapt(
        self,
        X: Sequence[ArrayLike] | np.ndarray,
        speakers: ArrayLike | None = None,
        *,
        rounds: int = 4,
        epochs: int = 5,
    ) -> SpeechRecognizer:
        """Gets used to other voices, by listening: nobody says what is said (Lee 2013; in speech recognition,
        unsupervised speaker adaptation).

        In each round it transcribes the recordings and learns, with the augmentation of `fit`, from those that it
        hears most surely: 40 % in the first round, 90 % in the last, of each text that it hears often. The recordings
        of `fit` are not needed. A model that understands nobody can only get used to its own mistakes.

        Parameters
        ----------
        X : list of array_like (T_n, F), or array (N, T, F)
            Some dozens of recordings of the words that will be said, better hundreds.
        speakers : array_like, (N,), optional
            Who speaks, for `cmvn`; their voices are known from then on.
        rounds : int, default 4
        epochs : int, default 5
            Of each round.

        Returns
        -------
        SpeechRecognizer
            Itself. `copy.deepcopy` keeps what it was before.

        Raises
        ------
        NotFittedError
        TypeError, ValueError
            A recording or an argument does not fit, or nothing is heard in any of the recordings; nothing has changed.
        """
        self._check_fitted()
        augmentation, recipe, rng = self._check(), Recipe.of(self), generator_of(self.random_state)
        rounds, epochs = _arrays.size("rounds", rounds), _arrays.size("epochs", epochs)
        X = self._recordings(X)
        names = checked_speakers(speakers, len(X))
        front_end, net = copy.deepcopy(self.front_end_), copy.deepcopy(self.net_)
        front_end.meet(X, names)
        aligned = front_end.aligned(X, names)
        schedule, members = schedules.Cosine(epochs, end=ADAPTED_RATE, per="epoch"), members_of(net)
        for share in np.linspace(*SHARES, rounds):
            rows, labels = self._surely_heard(net, front_end, aligned, share)
            chosen = [aligned[n] for n in rows]
            for member, child in zip(members, children(rng, len(members)), strict=True):
                trainer = trainer_of(member, "ctc", recipe, child, schedule=schedule)
                changed = changing(chosen, labels, front_end, augmentation, recipe.batch_size, child)
                trainer.fit(changed, epochs=epochs, progress=recipe.progress)
        self.front_end_, self.net_ = front_end, net
        return self

    def _surely_heard(self, net, front_end, aligned, share):
        """Which recordings are learnt in a round, and the labels that are heard in them."""
        steps = [front_end.steps(x) for x in aligned]
        scores = scores_of(net, steps)
        found = [agreed(one, self.beam_width) for one in scores]
        sure = [log_probability(one, labels) for one, labels in zip(scores, found, strict=True)]
        rows = surest(found, sure, share)
        rows = [n for n in rows if self._steps_at_least(len(aligned[n]), front_end.stack) >= steps_needed(found[n])]
        if not rows:
            raise _arrays.wrong(ValueError, "X", "recordings in which something is heard", "none")
        return rows, [found[n] for n in rows]

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
        deviations = [_arrays.deviation(name, getattr(self, name)) for name in DEVIATIONS]
        return Augmentation(*deviations, _arrays.rate("mask", self.mask))

    def _steps_at_least(self, frames, stack):
        """Of a recording that is made as short as it gets in training."""
        return -(-max(1, round(frames / (1 + self.stretch))) // stack)

    def _check_steps(self, n, frames, target):
        steps, needed = self._steps_at_least(frames, self.stack), steps_needed(target)
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
        steps = self._read(X, speakers)
        return [np.exp(log_softmax(scores)) for scores in self.net_(steps)]

    def _read(self, X, speakers):
        """What the networks read."""
        self._check_fitted()
        X = self._recordings(X)
        aligned = self.front_end_.aligned(X, checked_speakers(speakers, len(X)))
        return [self.front_end_.steps(x) for x in aligned]

    def _heard(self, X, speakers):
        """Lists of labels."""
        width = _arrays.size("beam_width", self.beam_width)
        steps = self._read(X, speakers)
        scores = scores_of(self.net_, steps)
        return [[self.classes_[number - 1] for number in agreed(one, width)] for one in scores]

    def predict(self, X: Sequence[ArrayLike] | np.ndarray, speakers: ArrayLike | None = None) -> list[Labels]:
        """What is said in each recording.

        Parameters
        ----------
        X : list of array_like (T_n, F), or array (N, T, F)
        speakers : array_like, (N,), optional
            Who speaks, for `cmvn`. Speakers of `fit` and `adapt` have the voice that was measured there; of others, the
            recordings here say together what their voice is like. If the training knew who speaks, this should be known
            too.

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
        labels, _ = checked_labels("y", y, len(heard), self.units)
        edits = sum(edit_distance(a, b) for a, b in zip(heard, labels, strict=True))
        return 1 - edits / sum(map(len, labels))
