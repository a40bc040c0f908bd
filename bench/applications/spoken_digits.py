"""Spoken digits of a speaker who was never heard: train on three, test on the fourth, for each of the four.

2000 recordings of one digit each, as 13 MFCC a frame; silence at both ends is cut off. What counts is the share of
recordings in which `SpeechRecognizer` hears exactly the one digit, by CTC decoding: nothing tells it that there is one.

Each voice is normalised by mean and deviation of its own recordings, those of the test speaker included: without their
labels, but all of them at once, as somebody would have it who has recordings of a speaker to write down. BASELINES have
the same frames: a logistic regression of means and deviations of five pieces without and with that, and with it a
support vector machine (radial basis, C = 3) of the means of eight pieces.

Hyper-parameters were chosen on speakers of the training parts: train on two, validate on the third, see
docs/howto/speech.md.
"""

import datasets
import numpy as np

from clstm.estimators import SpeechRecognizer
from clstm.speech import trim

TARGET = "accuracy >= 0.90"
UNIT = ""
BASELINES = {"logistic regression": 0.585, "voices normalised": 0.762, "support vector machine": 0.80}


def run(seed):
    """The share of right recordings of each speaker by training on the others, and their mean."""
    digits = datasets.spoken_digits()
    x, words = [trim(frames) for frames in digits.x], np.array(datasets.DIGITS)[digits.digit]
    found = {}
    for name in datasets.SPEAKERS:
        train, test = np.flatnonzero(digits.speaker != name), np.flatnonzero(digits.speaker == name)
        model = SpeechRecognizer(warp=0.1, random_state=seed)
        model.fit([x[n] for n in train], words[train], digits.speaker[train])
        heard = model.predict([x[n] for n in test], digits.speaker[test])
        found[name] = np.mean([a == b for a, b in zip(heard, words[test])])
    return {"accuracy": np.mean(list(found.values())), **found}
