"""Short English sentences into German: BLEU by sacrebleu, on sentences that are not in the training part.

`datasets.tatoeba` splits by the English side, without case and punctuation. The first 2000 different English sentences
of its test part, in an order drawn by a fixed seed, are translated; all German sentences that the part has for one of
them are its references. BLEU is sacrebleu's default: case counts, its own tokens ("13a").

Sources are read in small letters, targets are written with their capitals, words are those of `clstm.text.words`.
Hyper-parameters were chosen on the dev part, see docs/howto/translation.md.
"""

import datasets
import numpy as np
import sacrebleu

from clstm.estimators import Seq2Seq

TARGET = "BLEU >= 30"
UNIT = ""
BASELINES = {"translation of the most similar sentence (tf-idf)": 22.9}
SENTENCES = 2000


def run(seed):
    """BLEU of the beam search, and the share of sentences for which it writes one of the references."""
    train, _, test = datasets.tatoeba()
    sources, references = questions(test)
    model = Seq2Seq(lowercase="source", min_count=2, dropout=0.0, epochs=4, random_state=seed)
    model.fit(train.english, train.german)
    written = model.predict(sources)
    return {
        "BLEU": bleu(written, references),
        "exactly a reference": np.mean([text in known for text, known in zip(written, references)]),
    }


def questions(part):
    """Some sentences of a part, and for each the list of its translations."""
    known = {}
    for english, german in zip(*part):
        known.setdefault(english, []).append(german)
    sources = np.random.default_rng(0).permutation(sorted(known))[:SENTENCES].tolist()
    return sources, [known[source] for source in sources]


def bleu(written, references):
    """sacrebleu's, with as many references as each sentence has."""
    most = max(map(len, references))
    streams = [[known[k] if k < len(known) else None for known in references] for k in range(most)]
    return sacrebleu.corpus_bleu(written, streams).score
