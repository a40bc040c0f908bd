"""
From English to German
======================

A network reads a sentence, word by word, and writes another one. Where does it look while it writes? That it looks at
all, at the words that matter now and not at a summary of everything, is called attention: the idea that machine
translation was changed by in 2015.
"""

import datasets
import matplotlib.pyplot as plt
import numpy as np
import sacrebleu

from clstm.estimators import Seq2Seq
from clstm.text import words

# %%
# Sentences
# ---------
#
# People of tatoeba.org have written short sentences and translated each other's. `datasets.tatoeba` splits them by their
# English side: what is tested was not learnt, not even with another translation.

train, dev, test = datasets.tatoeba()
for english, german in list(zip(*train))[4000::6000]:
    print(f"{english:28} {german}")

# %%
# This page has a minute, and the whole takes several. So we learn and translate the shortest sentences only,
# those of up to four words and signs.

chosen = [n for n, english in enumerate(train.english) if len(words(english)) <= 4]
sources, targets = [[side[n] for n in chosen] for side in train]

known = {}
for english, german in zip(*test):
    if len(words(english)) <= 4:
        known.setdefault(english, []).append(german)
asked = np.random.default_rng(0).permutation(sorted(known))[:500].tolist()
references = [known[english] for english in asked]
print(f"{len(sources)} pairs to learn, {len(asked)} sentences to translate")

# %%
# BLEU compares pieces of up to four words with those of the references; 100 is a copy of them. sacrebleu computes it.


def bleu(written):
    """BLEU, with as many references as each sentence has."""
    most = max(map(len, references))
    return sacrebleu.corpus_bleu(
        written,
        [[texts[k] if k < len(texts) else None for texts in references] for k in range(most)],
    ).score


# %%
# A simple answer
# ---------------
#
# A *translation memory* looks up the most similar English sentence that it has, and gives its translation.

from sklearn.feature_extraction.text import TfidfVectorizer

similar = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\w+|[^\w\s]", sublinear_tf=True)
nearest = (similar.fit_transform(sources) @ similar.transform(asked).T).toarray().argmax(axis=0)
memory = [targets[n] for n in nearest]
print(f"translation memory: BLEU {bleu(memory):.1f}")

# %%
# The network
# -----------
#
# `Seq2Seq` numbers the words, trains an encoder and a decoder with attention, and looks for the best sentence with a beam
# search. Words that occur only once are not learnt.

model = Seq2Seq(
    lowercase="source",
    min_count=2,
    dim=96,
    hidden_size=96,
    epochs=5,
    batch_size=16,
    dropout=0.0,
    random_state=0,
)
model.fit(sources, targets)
written = model.predict(asked)
print(f"Seq2Seq:            BLEU {bleu(written):.1f}")

# %%
# A dozen of its translations, not selected:

for english, german, texts in list(zip(asked, written, references))[:12]:
    print(f"{english:24} {german:32} {'(right)' if german in texts else texts[0]}")

# %%
# Where it looks
# --------------
#
# Each row is a word that was written, and shows how much the decoder looked at each word of the source.

fig, axes = plt.subplots(1, 3, figsize=(9, 3.6), layout="constrained")
for ax, sentence in zip(axes, ("Tom is sleeping.", "Where is he?", "I am hungry.")):
    source, target, weights = model.attention(sentence)
    ax.imshow(weights, cmap="Blues", vmin=0, vmax=1)
    ax.set_xticks(range(len(source)), source, rotation=60)
    ax.set_yticks(range(len(target)), target)
axes[0].set(xlabel="read", ylabel="written")
plt.show()

# %%
# Nobody told it which word belongs to which: it found out, because looking at the right place makes the next word easier
# to guess.
#
# What to try next
# ----------------
#
# * All sentences: ``bench/applications/tatoeba.py``, BLEU near 40 in two and a half minutes.
# * ``beam_width=1`` writes the most probable word at each step. How much is lost?
# * ``attention_score=None``: everything has to go through one state. Watch what happens to longer sentences.
# * The other direction: ``fit(targets, sources)``.
