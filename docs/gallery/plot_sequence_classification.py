"""
Which class does a sequence belong to?
======================================

A recording, a walk, a heartbeat: a sequence of measurements, as long as it happens to be, and one question about the
whole of it. We ask who is speaking and whether somebody will leave the room, compare with a method that knows nothing of
time, and look at what the network knows while the sequence is still going on.
"""

# %%
# Nine men say /ae/
# -----------------
#
# The `Japanese vowels <https://doi.org/10.1016/S0167-8655(99)00077-X>`_ are recordings of nine men, each as a sequence of
# twelve cepstral coefficients, 7 to 29 steps long. 270 utterances are there to learn from, 370 to be tested on. Can you see
# who is who?

import datasets
import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clstm.estimators import LSTMClassifier

train, test = datasets.japanese_vowels()
figure, axes = plt.subplots(2, 4, sharex=True, sharey=True, figsize=(8, 4), layout="constrained")
for row, speaker in zip(axes, (1, 6), strict=True):
    for one, number in zip(row, np.flatnonzero(train.y == speaker), strict=False):
        image = one.imshow(train.x[number].T, aspect="auto", cmap="RdBu", vmin=-1.5, vmax=1.5)
        one.set(xlim=(-0.5, 25), title=f"speaker {speaker}")
figure.supxlabel("step")
figure.supylabel("coefficient")
_ = figure.colorbar(image, ax=axes, label="value")

# %%
# Something simple
# ----------------
#
# Before anything that learns time, something that hardly does: cut each sequence into four pieces of equal length, take the
# mean of every channel in each, and its deviation over the whole, and give these 60 numbers to a logistic regression.


def segments(sequences):
    """Means of each channel in four pieces of a sequence, and deviations over all of it."""
    means = [[piece.mean(axis=0) for piece in np.array_split(x, 4)] for x in sequences]
    return [np.concatenate([*own, x.std(axis=0)]) for own, x in zip(means, sequences, strict=True)]


simple = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
simple.fit(segments(train.x), train.y)
print(f"logistic regression: {simple.score(segments(test.x), test.y):.3f}")

# %%
# An LSTM
# -------
#
# ``LSTMClassifier`` takes the sequences as they are, a list of arrays of unequal length. It scales each channel by the
# training data and reads each sequence in both directions. A vowel is there all the time, so we take the mean over all steps
# (``pooling="mean"``); a dense layer makes nine scores of it. We train three such networks and take the mean of their scores.

vowels = LSTMClassifier(pooling="mean", networks=3, random_state=0).fit(train.x, train.y)
print(f"LSTM: {vowels.score(test.x, test.y):.3f}")

# %%
# On this task the two are about equal: the difference is a few of 370 utterances, less than another seed makes. A vowel
# hardly changes while it lasts, so there is little in the order of the steps that means and deviations do not have.
#
# How much does it have to hear?
# ------------------------------
#
# The same networks can be asked before the utterance is over, without training anew: what do they say after the first two
# steps, after four, and so on?

steps = np.arange(1, 25)
heard = [vowels.score([x[:count] for x in test.x], test.y) for count in steps]
figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
axes.plot(steps, heard, "o-")
axes.axhline(1 / 9, color="0.6", linestyle=":", label="guessing")
axes.set(xlabel="steps that are heard", ylabel="accuracy", ylim=(0, 1.02))
_ = axes.legend()

# %%
# Will they leave the room?
# -------------------------
#
# Now a task where the order is everything. People `walk through offices <https://doi.org/10.1007/s00521-013-1364-4>`_ and
# carry a radio; four anchors measure how strong its signal is, eight times a second. The walk is cut off at a place that
# says nothing by itself; where does it lead, out of the room or not? And the hard part: we learn in two buildings, and are
# tested in a third.

walks = datasets.indoor_movement()


def part(chosen):
    """Some of the walks, and where they lead."""
    return [x for x, own in zip(walks.x, chosen, strict=True) if own], walks.y[chosen]


known, unknown = part(walks.building < 3), part(walks.building == 3)
simple.fit(segments(known[0]), known[1])
print(f"logistic regression: {simple.score(segments(unknown[0]), unknown[1]):.3f}")

# %%
# Little better than a coin. (Without the scaling it is 0.71, but who could have known before?) What matters here is where a
# walk ends up, so the network goes by what it has at the last step, as it does by default. It is a smaller one, because
# there are only 210 walks to learn from.

walking = LSTMClassifier(hidden_size=32, networks=5, random_state=0).fit(*known)
print(f"LSTM: {walking.score(*unknown):.3f}")

# %%
# The order of the steps does tell something here, in a building that the network has never been in. And what does it think on
# the way? Each line is a walk in building 3, from its beginning; its colour is how it really goes on.

figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
leaves = list(walking.classes_).index(1)
for number in range(0, len(unknown[0]), 5):
    x, y = unknown[0][number], unknown[1][number]
    prefixes = [x[:count] for count in range(1, len(x) + 1)]
    seconds = np.arange(1, len(x) + 1) / 8
    axes.plot(
        seconds,
        walking.predict_proba(prefixes)[:, leaves],
        color="C1" if y == 1 else "C0",
        alpha=0.6,
    )
axes.axhline(0.5, color="0.6", linestyle=":")
axes.plot([], [], color="C1", label="leaves the room")
axes.plot([], [], color="C0", label="stays in it")
axes.set(xlabel="time since the walk began (s)", ylabel="probability of leaving", ylim=(0, 1))
_ = axes.legend(loc="center right")

# %%
# It changes its mind on the way, some walks several times: it says where a walk leads that is over *now*, because in training
# it was only asked at the end.
#
# What to try next
# ----------------
#
# - ``python -m bench tasks`` in the repository has both tasks with three seeds; the table in :doc:`/howto/estimators` is what
#   the defaults were chosen by.
# - Take ``pooling="attention"``, and look at the weights of the steps.
# - Which parameters are best? :doc:`plot_tuning` searches.
