"""What the scores of networks say: labels, how probable they are, and which recordings are heard most surely."""

from __future__ import annotations

import numpy as np

from ..decoding import ctc_beam, ctc_greedy
from ..ensemble import Ensemble
from ..losses import ctc

OFTEN = 5  # so often a text is heard before its recordings are compared with each other only


def members_of(net):
    """The networks that hear together."""
    return net.layers if isinstance(net, Ensemble) else [net]


def scores_of(net, steps):
    """For each recording, the scores (T, C) of each network."""
    return list(zip(*[member(steps) for member in members_of(net)], strict=True))


def agreed(scores: list[np.ndarray], width: int) -> np.ndarray:
    """The labels that networks hear in a recording, each by its scores (T, C): of those that one of them hears, what
    all of them find most probable. (The mean of scores says nothing: each network says a label at a step of its own.)
    """
    found = [decoded(one, width) for one in scores]
    return found[0] if len(found) == 1 else max(found, key=lambda labels: log_probability(scores, labels))


def decoded(scores: np.ndarray, width: int) -> np.ndarray:
    """The labels that scores (T, C) say: of the best path, or of a beam search."""
    if width == 1:
        return ctc_greedy(scores[np.newaxis])[0]
    (((labels, _),),) = ctc_beam(scores[np.newaxis], width=width)
    return labels


def log_probability(scores: list[np.ndarray], labels: np.ndarray) -> float:
    """The mean logarithm of the probability of labels, over networks."""
    return -float(np.mean([ctc(one[np.newaxis], [labels], reduction="sum")[0] for one in scores]))


def surest(heard: list[np.ndarray], log_probabilities: list[float], share: float) -> list[int]:
    """The numbers of the recordings that are heard most surely: of each text that is heard often the likeliest `share`,
    so that no text crowds out others, and of all rare ones together. Where nothing is heard, nothing is sure."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for n, labels in enumerate(heard):
        if len(labels):
            groups.setdefault(tuple(labels), []).append(n)
    often = [rows for rows in groups.values() if len(rows) >= OFTEN]
    rare = [n for rows in groups.values() if len(rows) < OFTEN for n in rows]
    chosen = []
    for rows in [*often, rare]:
        likely = sorted(rows, key=lambda n: -log_probabilities[n] / len(heard[n]))
        chosen += likely[: int(np.ceil(share * len(rows)))]
    return sorted(chosen)


def steps_needed(labels):
    """How many CTC needs for labels: one for each, and a blank between equal ones."""
    return len(labels) + int((labels[1:] == labels[:-1]).sum())
