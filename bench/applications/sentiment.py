"""Praise or blame: sentences of three review sites together

3000 sentences, half of them praise, in ten stratified folds that the seed shuffles: each fold is tested by a model that
the nine others trained. "one site left out" is the mean accuracy on each site of a model that the two others trained.
The defaults of `LSTMTextClassifier` were chosen on folds of another seed, 100.
"""

import datasets
import numpy as np

from clstm.estimators import LSTMTextClassifier

TARGET = "accuracy >= 0.80"
BASELINES = {"tf-idf (words and pairs) with logistic regression, C=1": 0.821, "C=10": 0.838}
FOLDS = 10


def run(seed: int) -> dict[str, float]:
    """Ten folds, then the three sites."""
    texts, y, site = datasets.sentiment()
    return {
        "accuracy": np.mean([accuracy(texts, y, folds_of(y, seed) == fold, seed) for fold in range(FOLDS)]),
        "one site left out": np.mean([accuracy(texts, y, site == name, seed) for name in np.unique(site)]),
    }


def folds_of(y, seed):
    """The fold of each sentence; each class is spread over all of them."""
    rng, fold = np.random.default_rng(seed), np.empty(len(y), int)
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        fold[rows] = np.arange(len(rows)) % FOLDS
    return fold


def accuracy(texts, y, tested, seed):
    """Of a model that all other sentences trained."""
    train, test = np.flatnonzero(~tested), np.flatnonzero(tested)
    model = LSTMTextClassifier(random_state=seed).fit([texts[k] for k in train], y[train])
    return model.score([texts[k] for k in test], y[test])
