"""Beam search on tables of probabilities against all sequences that there are."""

import itertools

import numpy as np
import pytest
from cases import same_bits

from clstm.beam import Hypothesis, beam_search, take_rows


def table_of(seed, C=4, order=2, rows=1):
    """Log-probabilities of the next symbol after each `order` symbols, by row."""
    p = np.random.default_rng(seed).dirichlet(np.ones(C), (rows, *[C] * order))
    return np.log(p)


def stepper(table, width, calls=None):
    """A step function whose state is the symbol before the last, (1, B)."""

    def step(symbols, state):
        row = np.arange(len(symbols)) // width
        if calls is not None:
            calls.append(len(symbols))
        return table[row, state["before"][0], symbols], {"before": symbols[np.newaxis], "nothing": [None, (None,)]}

    return step


def start_state(rows, start):
    return {"before": np.full((1, rows), start), "nothing": [None, (None,)]}


def every(table, row, start, end, max_steps, penalty):
    """All sequences that end, the best first."""
    C, found = table.shape[-1], []
    letters = [symbol for symbol in range(C) if symbol != end]
    for length in range(max_steps):
        for symbols in itertools.product(letters, repeat=length):
            path, total = (start, start, *symbols, end), 0.0
            for a, b, c in zip(path, path[1:], path[2:], strict=False):
                total += table[row, a, b, c]
            found.append((total / ((6 + length) / 6) ** penalty, symbols, total))
    return sorted(found, key=lambda one: -one[0])


@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0, 3.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_finds_the_best_there_is(seed, penalty):
    rows, width = 3, 4 * 3**4  # all continuations of the last step
    table = table_of(seed, rows=rows)
    found = beam_search(
        stepper(table, width),
        start_state(rows, 0),
        rows=rows,
        width=width,
        start=0,
        end=3,
        max_steps=5,
        length_penalty=penalty,
        best=20,
    )
    for n in range(rows):
        wanted = every(table, n, 0, 3, 5, penalty)
        known = {symbols: total for _, symbols, total in wanted}
        names = [tuple(one.symbols.tolist()) for one in found[n]]
        assert len(set(names)) == 20  # of equally probable ones, any order will do
        np.testing.assert_allclose([one.score for one in found[n]], [score for score, *_ in wanted[:20]], rtol=1e-12)
        np.testing.assert_allclose(
            [one.log_probability for one in found[n]], [known[name] for name in names], rtol=1e-12
        )
        assert all(one.ended for one in found[n])


def by_definition(table, row, width, best, max_steps, penalty):
    """The search in lists of Python."""
    living, ended = [((), 0.0)], []
    for t in range(max_steps):
        more = []
        for symbols, total in living:
            a, b = (0, 0, *symbols)[-2:]
            more += [((*symbols, c), total + table[row, a, b, c]) for c in range(table.shape[-1])]
        more = sorted(more, key=lambda one: -one[1])[:width]
        divisor = ((6 + t) / 6) ** penalty
        ended += [(total / divisor, symbols[:-1]) for symbols, total in more if symbols[-1] == 3]
        living = [one for one in more if one[0][-1] != 3]
    left = sorted(((total / ((5 + max_steps) / 6) ** penalty, symbols) for symbols, total in living), reverse=True)
    return (sorted(ended, reverse=True) + left)[:best]


@pytest.mark.parametrize("width", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(8))
def test_a_narrow_beam_finds_what_the_definition_does(seed, width):
    table = table_of(seed, C=5, rows=2)
    penalty = seed / 4
    found = beam_search(
        stepper(table, width),
        start_state(2, 0),
        rows=2,
        width=width,
        start=0,
        end=3,
        max_steps=6,
        length_penalty=penalty,
        best=width,
    )
    for n in range(2):
        wanted = by_definition(table, n, width, width, 6, penalty)
        assert [tuple(one.symbols.tolist()) for one in found[n]] == [symbols for _, symbols in wanted]
        np.testing.assert_allclose([one.score for one in found[n]], [score for score, _ in wanted], rtol=1e-12)


def test_a_search_that_is_done_takes_no_more_steps():
    table = np.log([[[[0.05, 0.05, 0.9]] * 3] * 3])
    calls = []
    found = beam_search(stepper(table, 2, calls), start_state(1, 0), width=2, start=0, end=2, max_steps=50, best=1)
    assert found[0][0].symbols.tolist() == []
    assert calls == [2]


def test_without_an_end_all_steps_are_taken():
    table = table_of(0)
    found = beam_search(stepper(table, 9), start_state(1, 0), width=9, start=0, max_steps=3, best=9)
    assert [len(one.symbols) for one in found[0]] == [3] * 9
    assert not any(one.ended for one in found[0])
    assert sorted((one.score for one in found[0]), reverse=True) == [one.score for one in found[0]]


def test_what_is_excluded_is_never_chosen():
    found = beam_search(
        stepper(table_of(0), 9), start_state(1, 0), width=9, start=0, max_steps=3, best=9, excluded=[1, 2]
    )
    assert {int(symbol) for one in found[0] for symbol in one.symbols} == {0, 3}
    assert len(found[0]) == 8  # there are no more


def test_of_equal_ones_the_first_is_kept():
    table = np.log(np.full((1, 3, 3, 3), 1 / 3))
    found = beam_search(stepper(table, 2), start_state(1, 0), width=2, start=0, max_steps=2, best=2)
    assert [one.symbols.tolist() for one in found[0]] == [[0, 0], [0, 1]]


def test_rows_of_states_are_taken():
    h = np.arange(12).reshape(2, 3, 2)
    found = take_rows({"a": [None, (h, h)], "b": h}, np.array([2, 2, 0, 1]))
    assert isinstance(found["a"], list)
    assert isinstance(found["a"][1], tuple)
    for array in (*found["a"][1], found["b"]):
        same_bits(array, h[:, [2, 2, 0, 1]])


def test_states_of_another_form_have_a_function():
    table = table_of(0)

    def step(symbols, state):
        return table[0, state, symbols], symbols

    found = beam_search(
        step, np.zeros(1, int), width=4, start=0, end=3, max_steps=4, reorder=lambda state, index: state[index]
    )
    wanted = beam_search(stepper(table, 4), start_state(1, 0), width=4, start=0, end=3, max_steps=4)
    assert isinstance(found[0][0], Hypothesis)
    same_bits(found[0][0].symbols, wanted[0][0].symbols)


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (np.zeros((1, 3)), {}, r"step: expected log-probabilities of shape \(4, C\), got shape \(1, 3\)"),
        (np.full((4, 3), np.nan), {}, "step: expected log-probabilities, which are at most 0, got nan"),
        (np.ones((4, 3)), {}, "step: expected log-probabilities, which are at most 0, got 1.0"),
        (None, {"width": 0}, "width: expected"),
        (None, {"best": 5}, "best: expected at most 4, which is the width, got 5"),
        (None, {"max_steps": 0}, "max_steps: expected"),
        (None, {"length_penalty": -1.0}, "length_penalty: expected"),
        (None, {"rows": 0}, "rows: expected"),
    ],
)
def test_bad_arguments_are_refused(given, options, message):
    arguments = {"width": 4, "start": 0, "end": 2, "max_steps": 3, **options}
    with pytest.raises(ValueError, match=f"^{message}"):
        beam_search(lambda symbols, state: (given, state), None, **arguments)
