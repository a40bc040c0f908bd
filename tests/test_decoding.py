"""Decoders: against all paths one by one, and with language models."""

import numpy as np
import pytest
import reference_ctc
from hypothesis import given
from hypothesis import strategies as st

import clstm
from clstm.decoding import ctc_beam, ctc_greedy

EVERYTHING = 4000  # wider than there are prefixes in the problems here


def all_labellings(logits, blank):
    """Every labelling of one row (T, C) with its probability, the most probable first."""
    return sorted(reference_ctc.readings(logits, blank).items(), key=lambda item: -item[1])


def as_tuples(found):
    return [tuple(labels.tolist()) for labels, _ in found]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("T", "C", "blank"), [(1, 2, 0), (5, 3, 0), (6, 3, 2), (4, 5, 1), (3, 1, 0), (8, 2, 1)])
def test_a_wide_beam_finds_every_labelling_with_its_probability(isa, rng, T, C, blank, dtype):
    logits = rng.standard_normal((1, T, C)).astype(dtype)
    expected = all_labellings(logits[0].astype(float), blank)
    (found,) = ctc_beam(logits, blank=blank, width=EVERYTHING, best=EVERYTHING)
    assert as_tuples(found) == [labels for labels, _ in expected]
    probabilities = np.exp([score for _, score in found])
    np.testing.assert_allclose(probabilities, [p for _, p in expected], rtol=1e-13 if dtype == "float64" else 1e-12)
    assert probabilities.sum() == pytest.approx(1, rel=1e-12)
    assert ctc_beam(logits, blank=blank, width=EVERYTHING)[0][0][1] == found[0][1]


@given(st.integers(0, 9999), st.integers(1, 6), st.integers(2, 3), st.integers(1, 5))
def test_a_narrow_beam_never_says_more_than_the_truth(seed, T, C, width):
    logits = 2 * np.random.default_rng(seed).standard_normal((1, T, C))
    truth = reference_ctc.readings(logits[0], 0)
    (found,) = ctc_beam(logits, width=width, best=width)
    assert len(set(as_tuples(found))) == len(found) <= width
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True)
    for labels, score in zip(as_tuples(found), scores, strict=True):
        assert np.exp(score) <= truth[labels] * (1 + 1e-12)


def plain_search(logits, blank, width):
    """Prefix beam search in dicts: the slow twin, for beams in which prefixes are dropped and come back."""
    log_y = reference_ctc.log_softmax(logits)
    beam = {(): (0.0, -np.inf)}
    for y in log_y:
        found = {}

        def add(prefix, blank_, label, found=found):
            before = found.get(prefix, (-np.inf, -np.inf))
            found[prefix] = np.logaddexp(before[0], blank_), np.logaddexp(before[1], label)

        for prefix, (in_blank, in_label) in beam.items():
            both = np.logaddexp(in_blank, in_label)
            add(prefix, both + y[blank], in_label + y[prefix[-1]] if prefix else -np.inf)
            for c in set(range(len(y))) - {blank}:
                add((*prefix, c), -np.inf, (in_blank if prefix[-1:] == (c,) else both) + y[c])
        best = sorted(found.items(), key=lambda item: -np.logaddexp(*item[1]))
        beam = dict(best[:width])
    return [(prefix, np.logaddexp(*logs)) for prefix, logs in beam.items()]


@pytest.mark.parametrize("width", [1, 2, 3, 7, 20])
def test_narrow_beams_are_those_of_the_plain_search(isa, rng, width):
    logits = rng.standard_normal((1, 40, 6))
    expected = plain_search(logits[0], 2, width)
    (found,) = ctc_beam(logits, blank=2, width=width, best=width)
    assert as_tuples(found) == [prefix for prefix, _ in expected]
    np.testing.assert_allclose([s for _, s in found], [s for _, s in expected], rtol=1e-12)


def test_rows_end_at_their_lengths_and_do_not_depend_on_threads(rng):
    logits = rng.standard_normal((5, 30, 8)).astype(np.float32)
    lengths = [30, 0, 1, 17, 29]
    greedy, beams = ctc_greedy(logits, lengths), ctc_beam(logits, lengths, best=3)
    alone = [
        ctc_beam(row[np.newaxis, : max(1, end)], [end], best=3)[0] for row, end in zip(logits, lengths, strict=True)
    ]
    logits[np.arange(30) >= np.array(lengths)[:, np.newaxis]] = np.nan
    clstm.set_num_threads(2)
    for found in (ctc_beam(logits, lengths, best=3), alone):
        assert [as_tuples(row) for row in found] == [as_tuples(row) for row in beams]
        assert [[s for _, s in row] for row in found] == [[s for _, s in row] for row in beams]
    assert [row.tolist() for row in ctc_greedy(logits, lengths)] == [row.tolist() for row in greedy]
    assert greedy[1].tolist() == []
    assert as_tuples(beams[1]) == [()]
    assert beams[1][0][1] == 0


def test_greedy_reads_the_most_probable_path(rng):
    logits = rng.standard_normal((20, 9, 4))
    for row, labels in zip(logits, ctc_greedy(logits, blank=2), strict=True):
        assert tuple(labels.tolist()) == reference_ctc.read(row.argmax(axis=1).tolist(), 2)
        assert labels.dtype == np.int64


def test_a_sure_network_reads_the_same_both_ways(rng):
    path = rng.integers(5, size=(3, 60))
    logits = 30 * np.eye(5)[path]
    for greedy, beam in zip(ctc_greedy(logits), ctc_beam(logits), strict=True):
        np.testing.assert_array_equal(greedy, beam[0][0])


def test_pruned_classes_are_not_appended(rng):
    y = np.array([[0.5, 0.46, 0.04], [0.5, 0.04, 0.46]])
    logits = np.log(y)[np.newaxis]
    assert set(as_tuples(ctc_beam(logits, best=8)[0])) == {(), (1,), (2,), (1, 2), (2, 1)}
    assert set(as_tuples(ctc_beam(logits, best=8, prune=0.1)[0])) == {(), (1,), (2,), (1, 2)}
    assert ctc_beam(logits, prune=1)[0][0][0].tolist() == []
    assert as_tuples(ctc_beam(logits, prune=0.01, best=5)[0]) == as_tuples(ctc_beam(logits, best=5)[0])


# Language models


@pytest.mark.parametrize("weight", [1.0, 0.3, 0.0])
def test_a_language_model_adds_to_each_label(isa, rng, weight):
    logits, table = rng.standard_normal((1, 5, 3)), rng.standard_normal((3, 3))
    asked = []

    def bigram(labels):
        asked.append(labels)
        return table[labels[-1] if labels else 0]

    def added(labels):
        return weight * sum(table[before, label] for before, label in zip((0, *labels), labels, strict=False))

    expected = sorted(
        ((labels, np.log(p) + added(labels)) for labels, p in all_labellings(logits[0], 0)), key=lambda item: -item[1]
    )
    how = {"language_model": bigram, "language_weight": weight, "width": EVERYTHING, "best": EVERYTHING}
    (found,) = ctc_beam(logits, **how)
    assert as_tuples(found) == [labels for labels, _ in expected]
    np.testing.assert_allclose([score for _, score in found], [score for _, score in expected], rtol=1e-12, atol=1e-14)
    assert asked[0] == ()
    assert len(asked) == len(set(asked)) == len(expected)


def test_a_language_model_can_forbid_labels(rng):
    logits = rng.standard_normal((2, 6, 4))
    found = ctc_beam(logits, width=50, best=50, language_model=lambda labels: [0, 0, -np.inf, -np.inf if labels else 0])
    for row in found:
        assert row
        assert all(2 not in labels and 3 not in labels[1:] for labels in as_tuples(row))


def test_an_error_of_a_language_model_is_raised():
    class OwnError(Exception):
        pass

    def fails(labels):
        if labels:
            raise OwnError(labels)
        return np.zeros(3)

    with pytest.raises(OwnError, match="1,"):
        ctc_beam(np.eye(3)[[[1, 1, 0]]], language_model=fails)


def test_nothing_is_found_where_nothing_is_known():
    logits = np.zeros((2, 3, 4))
    logits[0, 1, 2] = np.nan
    found = ctc_beam(logits)
    assert found[0] == []
    assert len(found[1]) == 1
    logits[0] = [0, -np.inf, -np.inf, -np.inf]
    assert as_tuples(ctc_beam(logits, best=9)[0]) == [()]


X = np.zeros((2, 3, 4))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ctc_greedy(X[0]), ValueError, r"logits: expected shape \(N, T, C\)"),
        (lambda: ctc_greedy(X, blank=4), ValueError, "blank: expected an int from 0 to 3, got 4"),
        (lambda: ctc_greedy(X, [3, 4]), ValueError, r"lengths: .*got 4 at \[1\]"),
        (lambda: ctc_beam(X.astype(str)), TypeError, "logits: expected an array of real numbers"),
        (lambda: ctc_beam(X, blank=-1), ValueError, "blank: expected an int from 0 to 3, got -1"),
        (lambda: ctc_beam(X, width=0), ValueError, "width: expected an int of at least 1, got 0"),
        (lambda: ctc_beam(X, width=2, best=3), ValueError, "best: expected at most width, 2, got 3"),
        (lambda: ctc_beam(X, prune=1.5), ValueError, "prune: expected a number from 0 to 1, got 1.5"),
        (lambda: ctc_beam(X, prune="no"), TypeError, "prune: expected a number"),
        (lambda: ctc_beam(X, language_model=3), TypeError, "language_model: expected a function.*got int"),
        (lambda: ctc_beam(X, language_model=lambda _: 0), ValueError, r"language_model\(\(\)\): expected shape \(4,\)"),
        (lambda: ctc_beam(X, language_model=lambda _: [np.nan] * 4), ValueError, r"language_model\(\(\)\): .*got nan"),
        (
            lambda: ctc_beam(X, language_model=lambda _: [0] * 4, language_weight=np.inf),
            ValueError,
            "language_weight: expected a finite number",
        ),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
