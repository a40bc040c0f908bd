"""The next character: Shakespeare, 1.1 million characters

The first 90 % of the text train, the last 10 % test, with the state carried over all of it. The recipe is the default
of `CharLM`, two layers of 128.
"""

import datasets

from clstm.estimators import CharLM

TARGET = "cross-entropy <= 1.55"
UNIT = "nats per character"
BASELINES = {"Witten-Bell 3-grams": 2.05, "5-grams": 1.67, "6-grams": 1.70}


def run(seed: int) -> dict[str, float]:
    """One training, some ten minutes on one core."""
    train, test = datasets.tinyshakespeare()
    return {"cross-entropy": -CharLM(random_state=seed).fit(train).score(test)}
