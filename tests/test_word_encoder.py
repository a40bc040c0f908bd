"""WordEncoder against a twin that reads word by word, in plain NumPy, whose gradient is that of complex steps."""

import copy
import pickle

import numpy as np
import pytest
from cases import TOLERANCE, close, doubles, normal, pad, same_bits, settings
from reference import step_forward

import clstm
from clstm.word_encoder import WordEncoder

WORDS, DIM, CHARACTERS, CHARACTER_DIM, SIZE, LONGEST = 12, 3, 7, 4, 6, 5

KINDS = ["lstm", "conv"]
CASES = [
    # N, T, categories, lengths
    (3, 4, (), None),
    (1, 1, (3,), None),
    (4, 6, (3, 5), (6, 2, 0, 5)),
    (2, 3, (2,), (0, 0)),
]


def build(kind, dtype, N, T, categories, lengths, **options):
    """The layer with large parameters, and words of which some are equal, and some have no character."""
    rng = np.random.default_rng(N + T)
    sizes = {"max_characters": LONGEST, "characters": kind, "categories": categories, "category_dim": 2}
    encoder = WordEncoder(WORDS, DIM, CHARACTERS, CHARACTER_DIM, SIZE, **sizes, **options, dtype=dtype, rng=rng)
    encoder.flat_parameters = rng.normal(size=encoder.flat_parameters.size)
    spelt = rng.integers(1, CHARACTERS, (5, LONGEST)) * (np.arange(LONGEST) < rng.integers(0, LONGEST + 1, (5, 1)))
    parts = [rng.integers(0, WORDS, (N, T, 1)), *(rng.integers(0, count, (N, T, 1)) for count in categories)]
    x = np.concatenate([*parts, spelt[rng.integers(0, 5, (N, T))]], axis=2).astype(dtype)
    return encoder, x if lengths is None else pad(x, lengths), normal(rng, dtype, N, T, encoder.output_size)


def spelt_by_lstm(vectors, parameters):
    """The final states of both directions, of the vectors of characters (C, dim)."""
    ends = []
    for suffix, steps in (("", vectors), ("_reverse", vectors[::-1])):
        weights = [parameters[f"characters.1.{name}_l0{suffix}"] for name in ("weight_ih", "weight_hh", "bias")]
        h = c = np.zeros((1, SIZE // 2))
        for step in steps:
            h, c, _ = step_forward(step[np.newaxis], h, c, *weights)
        ends.append(h[0])
    return np.concatenate(ends)


def spelt_by_convolution(vectors, parameters):
    """The greatest value of each feature over all windows of three characters."""
    weight, bias = parameters["characters.1.weight"], parameters["characters.1.bias"]
    if not len(vectors):
        return np.zeros(SIZE)
    padded = np.concatenate([np.zeros((1, CHARACTER_DIM)), vectors, np.zeros((1, CHARACTER_DIM))])
    found = np.array([np.einsum("owi,wi->o", weight, padded[t : t + 3]) + bias for t in range(len(vectors))])
    return found[found.real.argmax(axis=0), np.arange(SIZE)]


def twin(kind, x, parameters, lengths, categories):
    """y, by the definition, word by word; complex numbers too."""
    y = np.zeros((*x.shape[:2], DIM + SIZE + 2 * len(categories)), parameters["words.weight"].dtype)
    for n, row in enumerate(x if lengths is None else [r[:length] for r, length in zip(x, lengths, strict=True)]):
        for t, features in enumerate(row.astype(int)):
            word, values, characters = np.split(features, [1, 1 + len(categories)])
            vectors = parameters["characters.0.weight"][characters[characters > 0]]
            spelt = (spelt_by_lstm if kind == "lstm" else spelt_by_convolution)(vectors, parameters)
            own = [parameters[f"category_{k}.weight"][value] for k, value in enumerate(values)]
            y[n, t] = np.concatenate([parameters["words.weight"][word[0]], spelt, *own])
    return y


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_values_are_those_of_the_definition(kind, case, dtype):
    encoder, x, _ = build(kind, dtype, *case)
    expected = twin(kind, doubles(x), doubles(encoder.parameters()), case[3], case[2])
    y, state, _ = encoder.forward(x, lengths=case[3])
    assert (y.dtype, state) == (dtype, None)
    np.testing.assert_allclose(y, expected, rtol=0, atol=TOLERANCE[dtype] * max(1, np.abs(expected).max()))
    same_bits(encoder(x, lengths=case[3]), y)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_complex_steps(kind, case):
    encoder, x, dy = build(kind, "float64", *case)
    _, _, tape = encoder.forward(x, lengths=case[3])
    dx, dstate, grads = encoder.backward(tape, dy)
    assert (dstate, list(grads)) == (None, list(encoder.parameters()))
    same_bits(dx, np.zeros(x.shape))
    rng = np.random.default_rng(1)
    for only in (*grads, "all"):
        found, at = 0, {}
        for name, values in encoder.parameters().items():
            way = rng.normal(size=values.shape) if only in (name, "all") else np.zeros(values.shape)
            at[name] = values + 1e-30j * way
            found += (grads[name] * way).sum()
        slope = (twin(kind, x, at, case[3], case[2]) * dy).sum().imag / 1e-30
        assert abs(found - slope) <= 1e-10 * max(1, abs(slope)), only


def test_single_precision_follows_double():
    encoder, x, dy = build("lstm", "float32", *CASES[2])
    double = WordEncoder(**{**encoder.config(), "dtype": "float64"}, rng=0)
    double.load_parameters(encoder.parameters())
    (_, _, tape), (_, _, other) = encoder.forward(x, lengths=CASES[2][3]), double.forward(x, lengths=CASES[2][3])
    grads, expected = encoder.backward(tape, dy)[2], double.backward(other, dy)[2]
    for name, gradient in grads.items():
        assert gradient.dtype == np.float32
        close(gradient, expected[name], 1e-4)


def test_gradients_are_added():
    encoder, x, dy = build("lstm", "float64", *CASES[2])
    lengths = CASES[2][3]
    once = encoder.backward(encoder.forward(x, lengths=lengths)[2], dy)[2]
    flat, grads = encoder.zeros_like_parameters()
    flat += 1
    for _ in range(2):
        dx, _, same = encoder.backward(encoder.forward(x, lengths=lengths)[2], dy, grads=grads, need_dx=False)
        assert dx is None
        assert same is grads
    for name, gradient in grads.items():
        np.testing.assert_allclose(gradient, 1 + 2 * once[name], rtol=0, atol=1e-12)


# What no twin is needed for


@pytest.mark.parametrize("kind", KINDS)
def test_bits_do_not_depend_on_threads_nor_on_other_sentences(kind):
    encoder, x, dy = build(kind, "float32", 40, 30, (3,), None)
    results = []
    for threads in (1, 2):
        with settings(None, None, threads):
            y, _, tape = encoder.forward(x)
            results.append((y, *encoder.backward(tape, dy)[2].values()))
    for found, expected in zip(*results, strict=True):
        same_bits(found, expected)
    same_bits(encoder(x[7:9, :20]), y[7:9, :20])


def test_in_a_network_lists_are_as_arrays_with_lengths():
    N, T, categories, lengths = CASES[2]
    encoder, x, _ = build("lstm", "float32", N, T, categories, lengths)
    net = clstm.Network([encoder, clstm.LSTM(encoder.output_size, 4, rng=0)])
    y = net(np.nan_to_num(x), lengths=lengths)
    for part, row, length in zip(net([r[:n] for r, n in zip(x, lengths, strict=True)]), y, lengths, strict=True):
        same_bits(part, row[:length])
        assert not row[length:].any()


def test_rare_words_are_dropped_the_same_way_however_batches_are_cut():
    case = (30, 20, (3,), None)
    encoder, x, _ = build("lstm", "float64", *case, word_dropout=0.4, first_rare=5)
    assert encoder.takes_noise
    y = encoder.forward(x, noise=3)[0]
    same_bits(encoder.forward(x[10:], noise=clstm.Noise(3, rows=np.arange(10, 30)))[0], y[10:])
    changed = (y != encoder(x)).any(axis=2)
    assert not changed[x[..., 0] < 5].any()
    assert changed[x[..., 0] == 5].any()
    assert 0.3 < changed[x[..., 0] >= 5].mean() < 0.5
    unknown = encoder.parameters()["words.weight"][0]
    same_bits(y[changed][:, :DIM], np.broadcast_to(unknown, (changed.sum(), DIM)))
    same_bits(y[..., DIM:], encoder(x)[..., DIM:])
    assert (encoder.forward(x)[0] != encoder.forward(x)[0]).any()  # fresh entropy


def test_the_gradient_of_a_dropped_word_is_that_of_the_unknown_one():
    encoder, x, dy = build("lstm", "float64", 6, 5, (), None, word_dropout=0.5, first_rare=4)
    y, _, tape = encoder.forward(x, noise=1)
    words = np.where((y != encoder(x)).any(axis=2), 0, x[..., 0]).astype(int)
    expected = np.zeros((WORDS, DIM))
    np.add.at(expected, words, dy[..., :DIM])
    np.testing.assert_allclose(encoder.backward(tape, dy)[2]["words.weight"], expected, rtol=0, atol=1e-12)


def test_copies_pickles_and_files(tmp_path):
    encoder, x, _ = build("conv", "float32", 3, 4, (3,), None, word_dropout=0.2)
    net = clstm.Network([encoder, clstm.Dense(encoder.output_size, 2, rng=0)])
    net.save(tmp_path / "net.safetensors")
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), clstm.load(tmp_path / "net.safetensors")):
        same_bits(other(x), net(x))
        assert other.layers[0].config() == encoder.config()
    assert repr(encoder) == (
        "WordEncoder(12, 3, 7, 4, 6, max_characters=5, characters='conv', categories=[3], category_dim=2, "
        "word_dropout=0.2)"
    )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_words": 0}, ValueError, "num_words: expected an int of at least 1, got 0"),
        ({"num_words": 2**25}, ValueError, "num_words: expected no more than 16777216"),
        ({"max_characters": None}, TypeError, "max_characters: expected an int of at least 1"),
        ({"characters": "gru"}, ValueError, "characters: expected one of 'lstm', 'conv', got 'gru'"),
        ({"character_size": 3}, ValueError, "character_size: expected an even number"),
        ({"categories": "a"}, TypeError, r"categories: expected a list of int, got str"),
        ({"categories": [3, 0]}, ValueError, r"categories\[1\]: expected an int of at least 1, got 0"),
        ({"word_dropout": 1.0}, ValueError, r"word_dropout: expected a number in \[0, 1\)"),
        ({"first_rare": 0}, ValueError, "first_rare: expected an int of at least 1"),
        ({"dtype": "int8"}, ValueError, "dtype: expected"),
    ],
)
def test_arguments_are_checked(options, error, message):
    sizes = {"num_words": 3, "dim": 2, "num_characters": 4, "character_dim": 2, "character_size": 2}
    with pytest.raises(error, match=message):
        WordEncoder(**{**sizes, **options})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((0, WORDS), "integers from 0 to 11 as feature 0, got 12"),
        ((0, -1), "integers from 0 to 11 as feature 0, got -1"),
        ((1, 3), "integers from 0 to 2 as feature 1, got 3"),
        ((2, 7), "integers from 0 to 6 as feature 2, got 7"),
        ((2, 0.5), "integers from 0 to 6 as feature 2, got 0.5"),
        ((2, np.nan), "integers from 0 to 6 as feature 2, got nan"),
    ],
)
def test_symbols_are_checked(change, message):
    encoder, x, _ = build("lstm", "float32", 2, 3, (3,), None)
    x = x.copy()
    x[1, 2, change[0]] = change[1]
    with pytest.raises(ValueError, match=f"x: expected {message}"):
        encoder(x)
    encoder(x, lengths=[3, 2])  # it is not read


def test_other_bad_input():
    encoder, x, dy = build("lstm", "float32", 2, 3, (3,), None)
    with pytest.raises(ValueError, match=r"x: expected shape \(N, T, 7\)"):
        encoder(x[..., :6])
    with pytest.raises(ValueError, match="state: expected None, because WordEncoder has none"):
        encoder.forward(x, np.zeros(3))
    _, _, tape = encoder.forward(x)
    with pytest.raises(ValueError, match=r"dy: expected shape \(2, 3, 11\)"):
        encoder.backward(tape, dy[..., :2])
    encoder.backward(tape, dy)
    with pytest.raises(ValueError, match="tape: expected one that backward has not used"):
        encoder.backward(tape, dy)
