"""
Parts of speech
===============

Is *run* a verb or a noun? It depends on the sentence. This page gives each word of English web texts (blogs, reviews,
mails, answers: the Universal Dependencies English Web Treebank) one of 17 tags such as NOUN, VERB and ADJ.
"""

import datasets
import matplotlib.pyplot as plt
import numpy as np

from clstm.estimators import LSTMTagger

train, dev = datasets.ewt()
print(*map("/".join, zip(train.sentences[7], train.tags[7], strict=True)))

# %%
# To be quick, this page trains with the first PART sentences of the 12,544, and tests on the whole dev part.

PART = 4000
sentences, tags = train.sentences[:PART], train.tags[:PART]

# %%
# The baseline
# ------------
#
# Each word gets the tag that it has most often; a word never seen gets the tag that is the most frequent of all.

counts, every = {}, {}
for sentence, row in zip(sentences, tags, strict=True):
    for word, tag in zip(sentence, row, strict=True):
        own = counts.setdefault(word, {})
        own[tag] = own.get(tag, 0) + 1
        every[tag] = every.get(tag, 0) + 1
usual = {word: max(own, key=own.get) for word, own in counts.items()}
most = max(every, key=every.get)
baseline = [[usual.get(word, most) for word in sentence] for sentence in dev.sentences]

# %%
# The tagger
# ----------
#
# An LSTM reads the words in both directions, so that each tag is chosen by the whole sentence; another one has read
# the characters of each word, so that *-ing* and *-ly* tell something of words that are new. A tag says little here
# that the words do not, so that `crf=False` chooses each one by itself, which is faster.

tagger = LSTMTagger(crf=False, epochs=4, random_state=0)
tagger.fit(sentences, tags)
found = tagger.predict(dev.sentences)

# %%
# How good is it?
# ---------------


def accuracy(guess, words=lambda word: True):
    """The share of tags that are right, for some of the words."""
    right = [
        own == tag
        for sentence, row, tags in zip(dev.sentences, guess, dev.tags, strict=True)
        for word, own, tag in zip(sentence, row, tags, strict=True)
        if words(word)
    ]
    return np.mean(right)


print(f"{'':28}{'all words':>10}{'new words':>10}")
for name, guess in (("most frequent tag", baseline), ("LSTMTagger", found)):
    print(
        f"{name:28}{accuracy(guess):10.3f}{accuracy(guess, lambda word: word not in usual):10.3f}"
    )

# %%
# Most of the gain is in words that training has not seen: by their characters and their neighbours, most of them get
# the right tag. With all sentences the benchmark (``python -m bench tasks``) reaches 0.943; the baseline, 0.861.
#
# What is mistaken for what
# -------------------------

names = list(tagger.classes_)
number = {tag: k for k, tag in enumerate(names)}
table = np.zeros((len(names), len(names)))
for row, own in zip(dev.tags, found, strict=True):
    for tag, guess in zip(row, own, strict=True):
        if tag in number:
            table[number[tag], number[guess]] += 1
share = table / np.maximum(1, table.sum(axis=1, keepdims=True))

fig, ax = plt.subplots(figsize=(8, 6.5), layout="constrained")
image = ax.imshow(share, vmin=0, vmax=1, cmap="Blues")
ax.set_xticks(range(len(names)), names, rotation=90)
ax.set_yticks(
    range(len(names)),
    [f"{name} ({int(count)})" for name, count in zip(names, table.sum(axis=1), strict=True)],
)
for true, guess in zip(*np.nonzero(share > 0.03), strict=True):
    color = "white" if share[true, guess] > 0.5 else "black"
    ax.text(
        guess,
        true,
        f"{100 * share[true, guess]:.0f}",
        ha="center",
        va="center",
        fontsize=7,
        color=color,
    )
ax.set(
    xlabel="tag that was given",
    ylabel="right tag (how many words)",
    title="Of each tag, how much got which, in %",
)
fig.colorbar(image, label="share")
plt.show()

# %%
# Names (PROPN) and nouns are hard to tell apart, as they are for people who annotate. X is a rest, of foreign words and
# typing errors.
#
# The same word twice
# -------------------

for text in ("I run every day", "it was a long run", "they can fish", "open the can"):
    print(
        " ".join(
            f"{word}/{tag}"
            for word, tag in zip(text.split(), tagger.predict([text.split()])[0], strict=True)
        )
    )

# %%
# What to try next
# ----------------
#
# - All sentences: leave out ``PART``. How much do three times as many bring?
# - ``characters="conv"``: a convolution instead of an LSTM over the characters. Is it worse?
# - `predict_marginals` tells how sure the tagger is: are the words whose best tag is below 0.6 the wrong ones?
