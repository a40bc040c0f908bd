"""Sampling against its definition and by the frequencies of many draws; generating against the network anew for each
symbol."""

import numpy as np
import pytest
from cases import TOLERANCE, native, same_bits
from hypothesis import given
from hypothesis import strategies as st

import clstm
from clstm import sampling


def by_definition(logits, temperature, top_k, top_p):
    """Probabilities of one row, symbol by symbol."""
    order = sorted(range(len(logits)), key=lambda c: (-logits[c], c))
    if temperature == 0:
        kept = order[:1]
        weights = {kept[0]: 1.0}
    else:
        kept = order[: top_k or len(order)]
        weights = {c: np.exp((logits[c] - logits[order[0]]) / temperature) for c in kept}
        total, reached, nucleus = sum(weights.values()), 0.0, []
        for c in kept:
            nucleus.append(c)
            reached += weights[c] / total
            if top_p is not None and reached >= top_p:
                break
        weights = {c: weights[c] for c in nucleus}
    found = np.zeros(len(logits))
    for c, weight in weights.items():
        found[c] = weight / sum(weights.values())
    return found


@given(
    st.lists(st.integers(-60, 60), min_size=1, max_size=9),
    st.sampled_from([0, 0.1, 0.7, 1.0, 3.0]),
    st.sampled_from([None, 1, 2, 5, 100]),
    st.sampled_from([None, 1e-9, 0.3, 0.61, 0.97, 1.0]),
)
def test_probabilities_are_those_of_the_definition(tenths, temperature, top_k, top_p):
    logits = np.array(tenths) / 10 + np.arange(len(tenths)) * 1e-3 * np.sign(len(set(tenths)) - 2)
    found = sampling.probabilities([logits], temperature=temperature, top_k=top_k, top_p=top_p)
    np.testing.assert_allclose(found[0], by_definition(logits, temperature, top_k, top_p), rtol=1e-12, atol=1e-15)


def test_of_equal_scores_the_first_counts_as_greater():
    logits = [[1.0, 2.0, 2.0, 2.0, 0.0]]
    for options, kept in (({"top_k": 2}, [1, 2]), ({"top_p": 0.25}, [1]), ({"temperature": 0}, [1])):
        assert np.flatnonzero(sampling.probabilities(logits, **options)[0]).tolist() == kept


def test_extremes_are_finite():
    logits = np.array([[1e300, -1e300, 0.0], [-np.inf, 3.0, -np.inf], [-1e300, -1e300, -np.inf]])
    found = sampling.probabilities(logits, temperature=1e-300)
    np.testing.assert_array_equal(found, [[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0]])
    single = np.array([[2.5, -300, -np.inf]], np.float32)
    same_bits(sampling.probabilities(single), sampling.probabilities(single.astype(np.float64)))


@pytest.mark.parametrize(
    "options", [{}, {"temperature": 0.5}, {"temperature": 2.0, "top_k": 4}, {"top_p": 0.8}, {"top_k": 3, "top_p": 0.9}]
)
def test_draws_are_as_frequent_as_they_are_probable(options):
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(1)
    logits, count = rng.normal(size=7), 20000
    p = sampling.probabilities([logits], **options)[0]
    symbols = sampling.sample(np.repeat([logits], count, axis=0), rng=rng, **options)
    assert symbols.dtype == np.int64
    seen = np.bincount(symbols, minlength=7)
    assert not seen[p == 0].any()
    assert stats.chisquare(seen[p > 0], count * p[p > 0]).pvalue > 1e-3


class Draws(np.random.Generator):
    """A generator whose numbers are known."""

    def __init__(self, numbers):
        super().__init__(np.random.PCG64(0))
        self.numbers = numbers

    def random(self, size):
        return np.array(self.numbers)


def test_a_draw_is_the_symbol_at_which_the_sum_passes_it():
    logits = np.log([[0.25, 1e-300, 0.5, 0.25, 1e-300]] * 6)
    logits[:, [1, 4]] = -np.inf
    largest = np.nextafter(1, 0)
    found = sampling.sample(logits, rng=Draws([0.0, 0.24, 0.2500001, 0.74, 0.76, largest]))
    assert found.tolist() == [0, 0, 2, 2, 3, 3]


def test_one_number_is_drawn_for_each_row():
    logits = np.zeros((5, 3))
    rng, other = np.random.default_rng(0), np.random.default_rng(0)
    sampling.sample(logits, rng=rng)
    other.random(5)
    assert rng.random() == other.random()
    sampling.sample(logits, temperature=0, rng=rng)
    assert rng.random() == other.random()
    same_bits(sampling.sample(logits, rng=3), sampling.sample(logits, top_k=3, rng=np.random.default_rng(3)))


@pytest.mark.parametrize(
    ("logits", "options", "message"),
    [
        ([1.0], {}, r"logits: expected shape \(N, C\)"),
        (np.zeros((0, 3)), {}, "logits: expected shape"),
        ([[0, np.nan]], {}, "logits: expected finite numbers or minus infinity, and not this alone, got nan"),
        ([[0, 1], [0, np.inf]], {}, "logits: .* got inf as the greatest of row 1"),
        ([[-np.inf, -np.inf]], {}, "logits: .* got -inf"),
        ([["a"]], {}, "logits: expected an array of real numbers"),
        ([[0.0]], {"temperature": -1}, "temperature: expected a number of at least 0, got -1"),
        ([[0.0]], {"temperature": np.nan}, "temperature: expected"),
        ([[0.0]], {"temperature": "hot"}, "temperature: expected"),
        ([[0.0]], {"top_k": 0}, "top_k: expected"),
        ([[0.0]], {"top_k": 1.5}, "top_k: expected"),
        ([[0.0]], {"top_p": 0}, r"top_p: expected a number in \(0, 1\], got 0"),
        ([[0.0]], {"top_p": 1.1}, r"top_p: expected a number in \(0, 1\], got 1.1"),
        ([[0.0]], {"rng": "seed"}, "rng: expected"),
    ],
)
def test_bad_arguments_are_refused(logits, options, message):
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        sampling.sample(logits, **options)


# Texts


def network(dtype="float32", extra=()):
    return clstm.Network(
        [
            clstm.Embedding(6, 5, dtype=dtype, rng=0),
            clstm.LSTM(5, 8, num_layers=2, dtype=dtype, rng=1),
            *extra,
            clstm.GRU(8, 9, learned_state=True, dtype=dtype, rng=2),
            clstm.Dense(9, 6, dtype=dtype, rng=3),
        ]
    )


def anew(net, prompt, steps, rng, **options):
    """All symbols from the start for each new one, row by row with the draws of a batch."""
    texts = [list(row) for row in prompt]
    for _ in range(steps):
        logits = np.concatenate([net(np.array([text]))[:, -1] for text in texts])
        for text, symbol in zip(texts, sampling.sample(logits, rng=rng, **options), strict=True):
            text.append(int(symbol))
    return [text[len(row) :] for text, row in zip(texts, prompt, strict=True)]


class Memory(clstm.Layer):
    """A layer of one's own with a state: no stream knows it."""

    takes_state = True

    def __init__(self):
        super().__init__()

    def forward(self, x, state=None, lengths=None):
        sums = np.cumsum(x, axis=1) + (0 if state is None else state)
        return sums.astype(x.dtype), sums[:, -1:], None


@pytest.mark.parametrize(
    "options", [{}, {"temperature": 0.3}, {"top_k": 2}, {"top_p": 0.5}, {"temperature": 0}], ids=str
)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_texts_are_those_of_the_network_anew(isa, dtype, options):
    net = network(dtype)
    prompt = [[1, 2, 3], [5], [0, 0, 4, 1]]
    padded = [[1, 2, 3, -1], [5, 99, 99, 99], [0, 0, 4, 1]]
    with native():
        found = sampling.generate(net, padded, 12, lengths=[3, 1, 4], rng=7, **options)
        wanted = anew(net, prompt, 12, np.random.default_rng(7), **options)
    assert found.dtype == np.int64
    assert found.tolist() == wanted
    single = sampling.generate(net, prompt[0], 12, rng=7, **options)
    assert single.tolist() == anew(net, prompt[:1], 12, np.random.default_rng(7), **options)[0]


def test_layers_with_a_state_of_their_own_are_carried_on():
    net = network(extra=[Memory()])
    found = sampling.generate(net, [[1, 2], [3, 0]], 10, rng=7)
    assert found.tolist() == anew(net, [[1, 2], [3, 0]], 10, np.random.default_rng(7))


def test_networks_in_networks_and_single_layers_write_too():
    inner = clstm.Network([clstm.LSTM(5, 8, rng=1), clstm.Dense(8, 6, rng=2)])
    net = clstm.Network([clstm.Embedding(6, 5, rng=0), inner])
    found = sampling.generate(net, [[1, 2]], 10, rng=7)
    assert found.tolist() == anew(net, [[1, 2]], 10, np.random.default_rng(7))
    table = clstm.Embedding(4, 4, rng=0)  # what follows depends on the last symbol alone
    table.parameters()["weight"][:] = 50 * np.roll(np.eye(4), 1, axis=1)
    assert sampling.generate(table, [2], 6, rng=0).tolist() == [3, 0, 1, 2, 3, 0]


def test_bad_networks_and_prompts_are_refused():
    net = network()
    both = clstm.Network([clstm.Embedding(6, 5), clstm.LSTM(5, 4, bidirectional=True), clstm.Dense(8, 6)])
    pooled = clstm.Network([clstm.Embedding(6, 5), clstm.LSTM(5, 4), clstm.Pool("last"), clstm.Dense(4, 6)])
    wide = clstm.Network([clstm.Embedding(6, 5), clstm.LSTM(5, 7)])
    for error, arguments, options, message in [
        (TypeError, (None, [1], 2), {}, "net: expected a Network or another Layer"),
        (ValueError, (clstm.LSTM(3, 4), [1], 2), {}, "net: expected one that takes symbols"),
        (ValueError, (both, [1], 2), {}, "net: expected one that reads forward only"),
        (ValueError, (pooled, [1], 2), {}, r"net: expected one that gives scores \(N, T, C\)"),
        (ValueError, (wide, [1], 2), {}, "net: expected scores of at most the 6 symbols that it takes, got 7"),
        (ValueError, (net, [], 2), {}, "prompt: expected"),
        (TypeError, (net, [0.5], 2), {}, "prompt: expected"),
        (ValueError, (net, [1], 0), {}, "steps: expected"),
        (ValueError, (net, [[1]], 2), {"lengths": [0]}, "lengths: expected at least 1 in each row, got 0"),
        (ValueError, (net, [[1]], 2), {"lengths": [2]}, "lengths: expected"),
        (ValueError, (net, [1], 2), {"top_p": 2.0}, "top_p: expected"),
    ]:
        with pytest.raises(error, match=f"^{message}"):
            sampling.generate(*arguments, **options)
