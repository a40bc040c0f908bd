"""An LSTM behind an embedding: the network multiplies the vector of each symbol once, see `clstm.embedding.Vectors`.

Forward, that has the bits of the two layers by hand; gradients are sums in another order, so that they are proved
against the reference.
"""

import numpy as np
import pytest
import reference
import reference_training as training
from cases import TOLERANCE, Case, close, doubles, same_bits, settings

import clstm
from clstm import _core
from clstm.embedding import Vectors

NUM = 5
CASES = [
    Case(N=2, T=5, I=1, H=1, seed=1),
    Case(N=4, T=6, I=3, H=17, L=2, bidirectional=True, lengths=(6, 0, 1, 5), seed=2),
    Case(N=11, T=30, I=20, H=33, L=2, lengths=(30, 2, 0, 30, 30, 30, 29, 1, 30, 30, 30), bias=False, seed=3),
    Case(N=3, T=90, I=6, H=16, bidirectional=True, with_state=False, seed=4),
    Case(N=1, T=40, I=130, H=72, seed=5),
    Case(N=5, T=4, I=2, H=100, lengths=(0, 0, 0, 0, 0), seed=6),
]


def build(case, dtype, num=NUM):
    """A network of embedding and LSTM, and what `Case.build` gives but with symbols for x, -1 where there is none."""
    lstm, x, state, dy, dstate = case.build(dtype)
    rng = np.random.default_rng(case.seed)
    symbols = rng.integers(0, num, (case.N, case.T))
    symbols[symbols == 1] = 0  # which leaves one that is never used
    if case.lengths is not None:
        symbols[np.isnan(x).any(axis=2)] = -1
    embedding = clstm.Embedding(num, case.I, dtype=dtype, rng=rng)
    embedding.parameters()["weight"][...] = rng.normal(size=(num, case.I))
    return clstm.Network([embedding, lstm]), symbols, [None, state], dy, [None, dstate]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_everything_is_that_of_the_reference(machine, case, dtype):
    net, symbols, state, dy, dstate = build(case, dtype)
    y, final, tape = net.forward(symbols, state, case.lengths)
    _, dinitial, grads = net.backward(tape, dy, dstate)

    embedding, lstm = net.layers
    weight = doubles(embedding.parameters()["weight"])
    expected_y, expected_final, reference_tape = reference.lstm_forward(
        training.embedding_forward(np.maximum(symbols, 0), weight),
        doubles(lstm.parameters()),
        state=doubles(state[1]),
        lengths=case.lengths,
        **case.sizes(),
    )
    dx, expected_dinitial, expected_grads = reference.lstm_backward(reference_tape, doubles(dy), doubles(dstate[1]))
    expected = [expected_y, *expected_final, *expected_dinitial, *expected_grads.values()]
    expected.append(training.embedding_backward(dx, np.maximum(symbols, 0), weight))
    own = [values for name, values in grads.items() if name != "0.weight"]
    found = [y, *final[1], *dinitial[1], *own, grads["0.weight"]]
    for actual, wanted in zip(found, expected, strict=True):
        assert actual.dtype == dtype
        close(actual, wanted, TOLERANCE[dtype])
    assert not grads["0.weight"][1].any()


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("isa", _core.available_isas())
def test_forward_has_the_bits_of_the_layers_by_hand(isa, case, dtype):
    net, symbols, state, _, _ = build(case, dtype)
    embedding, lstm = net.layers
    with settings(isa, "native"):
        y, (h, c), _ = lstm.forward(embedding(symbols, lengths=case.lengths), state[1], case.lengths)
        for threads in (1, 2, 3):
            with settings(threads=threads):
                found = net.forward(symbols, state, case.lengths)
                same_bits(found[0], y)
                same_bits(found[1][1][0], h)
                same_bits(found[1][1][1], c)
                same_bits(net.infer(symbols, state, case.lengths)[0], y)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", CASES[1:5], ids=str)
def test_gradients_have_the_same_bits_for_every_number_of_threads(case, dtype):
    net, symbols, state, dy, dstate = build(case, dtype)

    def gradients(threads):
        with settings(threads=threads):
            _, _, tape = net.forward(symbols, state, case.lengths)
            return net.backward(tape, dy, dstate)[2]

    expected = gradients(1)
    for threads in (2, 3):
        for name, found in gradients(threads).items():
            same_bits(found, expected[name])


def test_many_symbols_are_looked_up():
    """Where more vectors would be multiplied than there are steps to save, nothing changes to the layers by hand."""
    few, many = 10, 11
    for num in (few, many):
        net, symbols, _, dy, _ = build(Case(N=4, T=5, I=3, H=4), "float32", num)
        embedding, lstm = net.layers
        y, _, tape = net.forward(symbols)
        assert isinstance(embedding._refer(symbols, None, None)[0], Vectors) == (num == few)
        grads = net.backward(tape, dy)[2]
        vectors, _, embedding_tape = embedding.forward(symbols)
        expected, _, lstm_tape = lstm.forward(vectors)
        dx, _, by_hand = lstm.backward(lstm_tape, dy)
        same_bits(y, expected)
        if num == many:
            same_bits(grads["0.weight"], embedding.backward(embedding_tape, dx)[2]["weight"])
            same_bits(grads["1.weight_ih_l0"], by_hand["weight_ih_l0"])


def test_gradients_are_added_to_those_that_are_passed():
    net, symbols, _, dy, _ = build(CASES[1], "float64")
    lengths = CASES[1].lengths
    fresh = net.backward(net.forward(symbols, lengths=lengths)[2], dy)[2]
    passed = {name: np.ones_like(values) for name, values in fresh.items()}
    net.backward(net.forward(symbols, lengths=lengths)[2], dy, grads=passed)
    for name, values in fresh.items():
        np.testing.assert_allclose(passed[name], values + 1, rtol=1e-13)


def test_a_layer_of_ones_own_gets_an_array():
    class Mine(clstm.LSTM):
        def forward(self, x, state=None, lengths=None):
            assert isinstance(x, np.ndarray)
            return super().forward(x, state, lengths)

    net = clstm.Network([clstm.Embedding(2, 3, rng=0), Mine(3, 4, rng=0)])
    symbols = np.zeros((2, 20), int)
    y, _, tape = net.forward(symbols)
    net.backward(tape, np.ones_like(y))


@pytest.mark.parametrize("wrong", [-1, NUM])
def test_a_wrong_symbol_is_named(wrong):
    net, symbols, *_ = build(CASES[0], "float32")
    symbols[1, 2] = wrong
    for run in (net, net.forward):
        with pytest.raises(
            ValueError, match=rf"in layers\[0\] \(Embedding\): x: .* from 0 to 4, got {wrong} at \[1, 2\]"
        ):
            run(symbols)
    with pytest.raises(ValueError, match=r"in layers\[1\] \(LSTM\): state"):
        net.infer(np.zeros((2, 5), int), [None, np.zeros(3)])
