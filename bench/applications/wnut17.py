"""New and rare entities in social media: WNUT-17.

The official parts: 3,394 texts train, 1,287 test. The parameters were chosen on the dev part, of 1,009 texts, see
docs/howto/tagging_with_an_estimator.md; it does not train. No outside vectors of words. Entities are counted by seqeval:
one is found if its first word, its last one and its type are right.
"""

import datasets
from seqeval.metrics import f1_score, precision_score, recall_score

from clstm.estimators import LSTMTagger

TARGET = "entity F1 >= 0.22"
BASELINES = {"most frequent tag of each word": 0.060, "best system of 2017, with outside vectors": 0.419}


def run(seed):
    """F1, precision and recall of entities."""
    train, _, test = datasets.wnut17()
    tagger = LSTMTagger(tag_bias={"O": -1.0}, random_state=seed).fit(*train)
    found = tagger.predict(test.sentences)
    return {
        "entity F1": f1_score(test.tags, found),
        "precision": precision_score(test.tags, found),
        "recall": recall_score(test.tags, found),
    }
