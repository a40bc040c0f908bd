"""
Characters, and what the cells learn
====================================

A network reads Shakespeare one character after another, and each time guesses the next. Nobody tells it what a word is,
or a line, or a speaker. What does it write, and what do its cells remember while it reads?
"""

# %%
# The text
# --------
#
# 1.1 million characters of plays, 65 different ones; the last tenth is for the test. A name, a colon, some lines, an empty
# line.

from collections import Counter

import datasets
import matplotlib.pyplot as plt
import numpy as np

from clstm.estimators import CharLM

train, test = datasets.tinyshakespeare()
first = test.index("BAPTISTA:\nI know him well")
print(test[first : first + 300])

# %%
# The model
# ---------
#
# One layer of 128 LSTM units, eight times through the text: a minute. The text is read in 32 streams side by side, 64
# characters at a time, and the state of each is carried on from piece to piece.

model = CharLM(num_layers=1, epochs=8, random_state=0).fit(train)

# %%
# How good is it?
# ---------------
#
# The measure is the cross-entropy, in nats per character: minus the logarithm of the probability that the model gave to
# what came. Guessing among 65 characters costs 4.17. Counting what followed the last characters in the training text, with
# the smoothing of Witten and Bell, is what was done for decades.


def follow(probability, n):
    """Better probabilities of the characters of the test, by counts of what followed n before."""
    pieces = Counter(train[k : k + n + 1] for k in range(len(train) - n))
    seen, kinds = Counter(), Counter()
    for piece, count in pieces.items():
        seen[piece[:-1]] += count
        kinds[piece[:-1]] += 1
    for k in range(n, len(test)):
        before = test[k - n : k]
        if before in seen:
            new = kinds[before]  # as often as something new came, what shorter pieces say counts
            count = pieces[test[k - n : k + 1]]
            probability[k] = (count + new * probability[k]) / (seen[before] + new)


probability = np.full(len(test), 1 / len(set(train)))
print(f"all characters alike        {-np.log(probability).mean():.2f}")
for n in range(6):
    follow(probability, n)
    print(f"counts, {n} characters before {-np.log(probability).mean():.2f}")
print(f"this model                  {-model.score(test):.2f}")

# %%
# Counts get worse when they look at more than four characters, because most sequences of six have never been seen. The
# network, with a few hundred kilobytes of weights, is not bound to any number. Two layers and forty times through the
# text, the defaults of `CharLM`, take ten minutes and reach 1.54 (``python -m bench tasks``).
#
# What it writes
# --------------
#
# The temperature says how daring it is: at 0.5, it takes what is probable; at 1, it draws from what it believes.

for temperature in (0.5, 1.0):
    print(f"--- temperature {temperature}\n")
    print("ROMEO:" + model.generate(350, "ROMEO:", temperature=temperature, random_state=1), "\n")

# %%
# Names, colons, lines of the right length, words that are English or could be; and no sense. It has learnt form, and form
# needs a memory: to end a line in time, something must know how long the line is.
#
# Is there a cell that counts?
# ----------------------------
#
# ``trace`` has the cell states, outputs and gates at every character. We take 40 000 characters of the training text, and look
# for the unit that goes best along with the number of characters since the line began, and for the one that goes along with
# being in the name of a speaker.

part = train[-40_000:]


def since_line_began(text):
    """How many characters ago the line of each character began."""
    return np.concatenate([np.arange(len(line) + 1) for line in text.split("\n")])[:-1]


def in_name(text):
    """Whether each character is in a line that ends with a colon, after an empty line."""
    lines = text.split("\n")
    names = [k > 0 and lines[k - 1] == "" and line.endswith(":") for k, line in enumerate(lines)]
    return np.repeat(names, [len(line) + 1 for line in lines])[:-1]


def follower(trace, values):
    """The cell state c or output h, and the number of the unit, that correlates best with values."""
    found = []
    for name in ("c", "h"):
        units = getattr(trace, name)[0, 0]
        correlation = np.corrcoef(units.T, values)[-1, :-1]
        unit = int(np.abs(correlation).argmax())
        found.append((abs(correlation[unit]), name, unit, correlation[unit]))
    return max(found)[1:]


trace = model.trace(part)
counter = follower(trace, since_line_began(part))
namer = follower(trace, in_name(part))
for what, (name, unit, correlation) in (("line", counter), ("name", namer)):
    print(f"{what}: {name} of unit {unit}, correlation {correlation:+.2f}")

# %%
# Here are both, on a text that has not trained: each character has the colour of what the unit says when it has been read.

passage = test[first : test.index("\n\n", first + 600)]
lines = passage.split("\n")
shown = model.trace(test[: first + len(passage)])  # it has read the text before, too


def colour(ax, name, unit, title):
    """The passage as characters in a grid, coloured by a unit."""
    values = getattr(shown, name)[0, 0, first:, unit]
    grid, k = np.full((len(lines), max(map(len, lines)) + 1), np.nan), 0
    for row, line in enumerate(lines):
        for column, character in enumerate(line + " "):  # the end of a line as a space
            if k < len(values):
                grid[row, column] = values[k]
            ax.text(column, row, character, family="monospace", ha="center", va="center")
            k += 1
    limit = np.nanmax(np.abs(grid))
    ax.imshow(grid, cmap="RdBu_r", vmin=-1.5 * limit, vmax=1.5 * limit, aspect="auto")
    ax.set_title(f"{title}: {name} of unit {unit}", loc="left", fontsize=10)
    ax.axis("off")


figure, axes = plt.subplots(2, figsize=(8, 10), layout="constrained")
colour(axes[0], *counter[:2], "the line")
colour(axes[1], *namer[:2], "the name")

# %%
# The first one is a clock: it runs from one end of the scale to the other while the line goes on, and is set back at its end.
# The other one is of one colour in names and of another in speech. Nobody has asked for either; guessing the next
# character well was enough of a reason.
#
# How a clock is made
# -------------------
#
# The gates of that unit, over some lines. What the cell holds is multiplied by the forget gate f, and i times g is added.

_, unit, _ = counter
begin, end = first, first + 130
steps, text = np.arange(begin, end), test[begin:end]
figure, (above, below) = plt.subplots(2, sharex=True, figsize=(9, 4.5), layout="constrained")
above.plot(steps, shown.c[0, 0, begin:end, unit], color="C0", label="cell state c")
above.plot(
    steps,
    shown.i[0, 0, begin:end, unit] * shown.g[0, 0, begin:end, unit],
    color="C1", label="what is added, i g", linestyle="--",
)  # fmt: skip
below.plot(steps, shown.f[0, 0, begin:end, unit], color="C3", label="forget gate f")
below.plot(steps, shown.i[0, 0, begin:end, unit], color="C2", linestyle="--", label="input gate i")
for ax in (above, below):
    for k in np.flatnonzero(np.array(list(text)) == "\n"):
        ax.axvline(begin + k, color="0.8", zorder=0)
    ax.legend(loc="upper right", ncols=2, fontsize="small")
above.set(ylabel="state", title="grey lines: a line of the text ends")
below.set(ylabel="gate (0 shut, 1 open)", ylim=(-0.05, 1.3), yticks=(0, 0.5, 1), xlabel="character")
_ = below.set_xticks(steps[::1], [c if c != "\n" else "" for c in text], fontsize=6)

# %%
# At the end of a line the forget gate shuts: whatever the cell held is gone. At the same moment the input gate opens, and
# sets the state to a fixed value. Then the forget gate stays open, so that the state lasts, and the candidate takes a little
# away with every character: an hourglass, turned over at each new line. In a name it runs the other way, because names
# end by a colon, not by their length. Sepp Hochreiter and Jürgen Schmidhuber built the cell to keep a number without loss;
# the forget gate, which resets it, came three years later, from Felix Gers. Here both do their work.
#
# What to try next
# ----------------
#
# - Look for other cells: one that knows whether a word is about to end, or which counts the lines of a speech.
# - ``num_layers=2, epochs=40``: does the second layer keep other things than the first?
# - A text of your own, by ``CharLM(patience=3, dropout=0.2)`` if it is small; :doc:`/howto/language_models` has more.
