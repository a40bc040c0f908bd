"""Japanese vowels: which of nine men says /ae/, from sequences of 12 cepstral coefficients

Official split: 270 utterances to train on, 370 to test, 7 to 29 steps long. The classifier has its defaults, which were
chosen by cross-validation on the training part (docs/howto/estimators.md has the table), and five networks instead of
one.
"""

import datasets

from clstm.estimators import LSTMClassifier

TARGET = "accuracy >= 0.98"
BASELINES = {"logistic regression on 4 segments": 0.986, "1-NN with DTW (published)": 0.949}


def run(seed):
    """Trains on the official training part, tests on the other."""
    train, test = datasets.japanese_vowels()
    model = LSTMClassifier(networks=5, random_state=seed).fit(train.x, train.y)
    return {"accuracy": model.score(test.x, test.y)}
