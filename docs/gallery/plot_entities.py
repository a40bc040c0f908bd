"""
Finding names in tweets
=======================

Which words of a text are names, of whom or of what? In newspapers this is nearly solved. WNUT-17 (Derczynski et al.
2017) asks it of tweets and forum posts, and its test part has names that training has not seen: new bands, new films,
places misspelt. Knowing the names of last year helps little.

This page trains a `LSTMTagger`: an LSTM reads the words, and the characters of each word, in both directions, and a
conditional random field chooses tags that fit together.
"""

import datasets
import matplotlib.pyplot as plt
import numpy as np
from seqeval.metrics import classification_report, f1_score, precision_score, recall_score

from clstm.estimators import LSTMTagger

train, dev, test = datasets.wnut17()

for sentence, tags in zip(train.sentences[2:5], train.tags[2:5], strict=True):
    print(
        " ".join(
            word if tag == "O" else f"{word}[{tag}]"
            for word, tag in zip(sentence, tags, strict=True)
        )
    )

# %%
# *B-* begins a name, *I-* goes on with it, *O* is outside. There are six types of names. How many of those in the test
# part are there in training?


def entities(sentences, tags):
    """The names in tagged sentences, as tuples of words in small letters."""
    found = []
    for sentence, row in zip(sentences, tags, strict=True):
        inside = False
        for word, tag in zip(sentence, row, strict=True):
            if tag.startswith("B-") or (tag != "O" and not inside):
                found.append([])
            if tag != "O":
                found[-1].append(word.lower())
            inside = tag != "O"
    return [tuple(name) for name in found]


seen = set(entities(*train))
names = entities(*test)
print(
    f"{len(names)} names in the test part, {np.mean([name in seen for name in names]):.0%} of them seen in training"
)

# %%
# The baseline
# ------------
#
# Each word gets the tag that it had most often in training, and words never seen get *O*. seqeval counts a name as
# found if its first word, its last word and its type are right; F1 is the harmonic mean of precision and recall.

counts = {}
for sentence, tags in zip(*train, strict=True):
    for word, tag in zip(sentence, tags, strict=True):
        own = counts.setdefault(word, {})
        own[tag] = own.get(tag, 0) + 1
usual = {word: max(own, key=own.get) for word, own in counts.items()}
guess = [[usual.get(word, "O") for word in sentence] for sentence in test.sentences]
print(f"most frequent tag: F1 {f1_score(test.tags, guess):.3f}")

# %%
# Nearly nothing: a memory does not help with what is new.
#
# The tagger
# ----------
#
# It has to go by how a name is spelt and by what stands around it. What keeps it from learning training by heart
# matters here: half of what the layers give is dropped, and words that occur once are taken for unknown half of the
# time, so that it learns what to do with unknown ones.
#
# The texts are few, and do not even have all common words, so that too much is unknown in others. A tagger of parts of
# speech has seen more: its vectors of words, of 4000 sentences of the English Web Treebank, are where this one starts.

speech = datasets.ewt()[0]
speech_tagger = LSTMTagger(crf=False, epochs=3, random_state=0)
speech_tagger.fit(speech.sentences[:4000], speech.tags[:4000])

tagger = LSTMTagger(epochs=8, random_state=0)
_ = tagger.fit(*train, vectors=speech_tagger.word_vectors())

# %%
# How careful should it be?
# -------------------------
#
# Nineteen words in twenty are *O*, so that a doubtful word becomes *O* too, and most names are missed. `tag_bias` takes
# something from the score of *O*. How much is a choice that the dev part makes, and never the test part.

print("taken from O   precision  recall   F1   on the dev part")
f1 = {}
for bias in (0.0, 0.5, 1.0, 1.5, 2.0):
    found = tagger.set_params(tag_bias={"O": -bias}).predict(dev.sentences)
    f1[bias] = f1_score(dev.tags, found)
    p, r = precision_score(dev.tags, found), recall_score(dev.tags, found)
    print(f"{bias:12.1f}{p:12.3f}{r:8.3f}{f1[bias]:7.3f}")
best = max(f1, key=f1.get)
_ = tagger.set_params(tag_bias={"O": -best})

# %%
# Now the test part, once.

found = tagger.predict(test.sentences)
print(classification_report(test.tags, found, digits=3, zero_division=0))

# %%
# Persons are found best: they look alike everywhere. Products and works of art can be any words at all. And all of it is
# worse than on the dev part, which comes from another site. The best system of the competition reached an F1 of
# 0.419, with vectors of words from billions of words of text, and lists of names. To be quick, this page trains less
# than the benchmark (``python -m bench tasks``), which trains two networks, in the end with the dev part too: 0.266.
#
# How sure is it?
# ---------------
#
# `predict_marginals` gives the probability of each tag, over all paths of tags. Of the sentences of the test part, this
# is the one with the most names found and right.

right = [
    sum(a == b != "O" for a, b in zip(row, own, strict=True)) if row == own and len(row) < 16 else 0
    for row, own in zip(test.tags, found, strict=True)
]
shown = int(np.argmax(right))
sentence = test.sentences[shown]
p = tagger.predict_marginals([sentence])[0]
rows = [k for k, tag in enumerate(tagger.classes_) if p[:, k].max() > 0.02]

fig, ax = plt.subplots(figsize=(9, 3.5), layout="constrained")
image = ax.imshow(p[:, rows].T, vmin=0, vmax=1, cmap="Blues", aspect="auto")
ax.set_xticks(range(len(sentence)), sentence, rotation=45, ha="right")
ax.set_yticks(range(len(rows)), tagger.classes_[rows])
ax.set(title="The probability of each tag for each word", xlabel="word", ylabel="tag")
fig.colorbar(image, label="probability")
plt.show()

# %%
# And a text of your own? `clstm.text.words` cuts it into tokens. Persons are easier than products here, too.

from clstm.text import words

for text in ("I met Anna Schmidt in Berlin yesterday", "new iPhone from Apple looks great"):
    tokens = words(text)
    tags = tagger.predict([tokens])[0]
    print(" ".join(f"{word}[{tag}]" for word, tag in zip(tokens, tags, strict=True)))

# %%
# What to try next
# ----------------
#
# - `networks=3` trains three of them, whose scores are averaged: some points of F1, for three times the time.
# - Leave the vectors of the other tagger out. What changes more, precision or recall?
# - `crf=False` chooses each tag by itself: how many names then begin in their middle?
# - `vectors=`: words of GloVe or fastText, in a dict. They know words that these 3,394 texts do not have.
