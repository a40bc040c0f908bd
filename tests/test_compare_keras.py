"""LSTM, GRU and RNN against Keras 3: forward and all gradients in float64.

Keras runs on TensorFlow here: on PyTorch, its products of float64 are float32. Its mask does what our lengths do, if
zero_output_for_mask is set. The bias of its GRU is two rows, of which we have one, and the last block of the other.
"""

from itertools import product

import numpy as np
import pytest
from cases import given, members

import clstm

pytestmark = pytest.mark.compare
with pytest.MonkeyPatch.context() as environment:
    environment.setenv("KERAS_BACKEND", "tensorflow")
    environment.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    tensorflow = pytest.importorskip("tensorflow")
    keras = pytest.importorskip("keras")

KINDS = {
    "lstm": (clstm.LSTM, keras.layers.LSTM),
    "gru": (clstm.GRU, keras.layers.GRU),
    "rnn": (clstm.RNN, keras.layers.SimpleRNN),
}
ACTIVATIONS = {name: name for name in ("sigmoid", "tanh", "relu", "hard_sigmoid")} | {"linear": "identity"}
MERGES = {"concat": "concat", "sum": "sum", "mean": "ave", "product": "mul"}
OPTIONS = list(product(KINDS, (1, 2), (False, True), (False, True), (None, "ragged"), (True, False)))
ACTIVE = [
    *product(("lstm", "gru"), ACTIVATIONS, ("sigmoid",)),
    *product(("lstm", "gru"), ("tanh", "relu"), ACTIVATIONS),
    *product(("rnn",), ACTIVATIONS, (None,)),
]


def our_options(kind, activation, recurrent_activation):
    """The options of our layer that say the same."""
    if kind == "rnn":
        return {"activation": ACTIVATIONS[activation]}
    places = {"gate": recurrent_activation, "candidate": activation}
    if kind == "lstm":
        places["output"] = activation
    return {f"{place}_activation": ACTIVATIONS[name] for place, name in places.items()}


def twins_of(layer, kind, **options):
    """The same stack in Keras: a layer for each of num_layers."""
    options.update(use_bias=layer.bias, return_sequences=True, return_state=True, zero_output_for_mask=True)
    twins = []
    for k in range(layer.num_layers):
        twin = KINDS[kind][1](layer.hidden_size, dtype="float64", **options)
        if layer.bidirectional:
            twin = keras.layers.Bidirectional(twin, merge_mode=MERGES[layer.merge], dtype="float64")
        twin.build((None, None, layer.output_size if k else layer.input_size))
        for cell, suffix in cells_of(twin, k):
            for name, values in theirs(layer.parameters(), suffix).items():
                getattr(cell, name).assign(values)
        twins.append(twin)
    return twins


def cells_of(twin, k):
    """Each cell of layer k, with the suffix of its parameters."""
    if isinstance(twin, keras.layers.Bidirectional):
        return (twin.forward_layer.cell, f"_l{k}"), (twin.backward_layer.cell, f"_l{k}_reverse")
    return ((twin.cell, f"_l{k}"),)


def theirs(values, suffix, gradients=False):
    """Parameters of Keras, or their gradients, by their names: transposed, those of a GRU in the order z r n."""
    names = {"kernel": "weight_ih", "recurrent_kernel": "weight_hh", "bias": "bias"}
    found = {name: values[our + suffix] for name, our in names.items() if our + suffix in values}
    inside = values.get("bias_hn" + suffix)
    if inside is not None:
        bias = found["bias"]
        found["bias"] = np.stack([bias, bias if gradients else np.zeros_like(bias)], axis=1)
        found["bias"][-len(inside) :, 1] = inside
    rows, H = found["recurrent_kernel"].shape
    if rows == 3 * H:
        found = {name: np.concatenate([np.split(array, 3)[k] for k in (1, 0, 2)]) for name, array in found.items()}
    return {name: array.T for name, array in found.items()}


def close(actual, expected):
    np.testing.assert_allclose(actual, np.asarray(expected), rtol=0, atol=1e-10, strict=True)


def prove(layer, twins, rng, N, T, with_state, lengths):
    """Everything that forward and backward return is that of the twins."""
    D, count = 1 + layer.bidirectional, 2 if isinstance(layer, clstm.LSTM) else 1
    x, dy = rng.normal(size=(N, T, layer.input_size)), rng.normal(size=(N, T, layer.output_size))
    shape = layer.num_layers * D, N, layer.hidden_size
    state, dstate = (tuple(rng.normal(size=shape) for _ in range(count)) for _ in range(2))
    y, final, tape = layer.forward(x, given(state) if with_state else None, lengths)
    dx, dinitial, grads = layer.backward(tape, dy, given(dstate))

    tx, tstate = tensorflow.constant(x), tuple(map(tensorflow.constant, state))
    mask = None if lengths is None else tensorflow.sequence_mask(lengths, T)
    variables = [
        (getattr(cell, name).value, gradient)
        for k, twin in enumerate(twins)
        for cell, suffix in cells_of(twin, k)
        for name, gradient in theirs(grads, suffix, gradients=True).items()
    ]
    with tensorflow.GradientTape() as record:
        record.watch([tx, *tstate])
        ty, tfinal = tx, []
        for k, twin in enumerate(twins):  # states direction by direction, h and c of each
            initial = [member[index] for index in range(k * D, k * D + D) for member in tstate]
            ty, *states = twin(ty, initial_state=initial if with_state else None, mask=mask)
            tfinal += states
        tfinal = [tensorflow.stack(tfinal[member::count]) for member in range(count)]
        loss = sum(tensorflow.reduce_sum(a * b) for a, b in zip((ty, *tfinal), (dy, *dstate), strict=True))
    tdx, tdstate, tgradients = record.gradient(loss, [tx, tstate, [variable for variable, _ in variables]])

    close(y, ty)
    close(dx, tdx)
    for found, expected in zip(members(final), tfinal, strict=True):
        close(found, expected)
    for found, expected in zip(members(dinitial), tdstate, strict=True):
        if with_state:
            close(found, expected)
    assert len(variables) == sum(len(twin.trainable_variables) for twin in twins)
    for (_, found), expected in zip(variables, tgradients, strict=True):
        close(found, expected)


@pytest.mark.parametrize(("kind", "num_layers", "bidirectional", "with_state", "lengths", "bias"), OPTIONS)
def test_forward_and_all_gradients_are_those_of_keras(kind, num_layers, bidirectional, with_state, lengths, bias):
    rng = np.random.default_rng(OPTIONS.index((kind, num_layers, bidirectional, with_state, lengths, bias)))
    sizes = {"num_layers": num_layers, "bidirectional": bidirectional, "bias": bias}
    layer = KINDS[kind][0](4, 9, **sizes, dtype="float64", rng=rng)
    layer.flat_parameters += rng.normal(size=layer.flat_parameters.size) / 5
    prove(layer, twins_of(layer, kind), rng, 5, 7, with_state, [2, 7, 0, 4, 1] if lengths else None)


@pytest.mark.parametrize(("kind", "activation", "recurrent_activation"), ACTIVE)
def test_activations_are_those_of_keras(kind, activation, recurrent_activation):
    rng = np.random.default_rng(1000 + ACTIVE.index((kind, activation, recurrent_activation)))
    options = {"activation": activation}
    if recurrent_activation:
        options["recurrent_activation"] = recurrent_activation
    layer = KINDS[kind][0](4, 9, dtype="float64", rng=rng, **our_options(kind, activation, recurrent_activation))
    layer.flat_parameters += rng.normal(size=layer.flat_parameters.size) / 5
    prove(layer, twins_of(layer, kind, **options), rng, 3, 4, True, [2, 4, 3])


@pytest.mark.parametrize(("kind", "merge", "lengths"), [*product(KINDS, ("sum", "mean", "product"), (None, "ragged"))])
def test_merged_directions_are_those_of_keras(kind, merge, lengths):
    rng = np.random.default_rng(2000)
    layer = KINDS[kind][0](4, 9, num_layers=2, bidirectional=True, merge=merge, dtype="float64", rng=rng)
    layer.flat_parameters += rng.normal(size=layer.flat_parameters.size) / 5
    prove(layer, twins_of(layer, kind), rng, 5, 7, True, [2, 7, 1, 4, 1] if lengths else None)


@pytest.mark.parametrize(("kind", "merge"), [*product(KINDS, MERGES)])
def test_the_last_is_what_keras_gives_without_sequences(kind, merge):
    rng = np.random.default_rng(2001)
    layer = KINDS[kind][0](4, 9, bidirectional=True, merge=merge, output="last", dtype="float64", rng=rng)
    layer.flat_parameters += rng.normal(size=layer.flat_parameters.size) / 5
    (twin,) = twins_of(layer, kind)
    twin.return_sequences = False
    for direction in (twin.forward_layer, twin.backward_layer):
        direction.return_sequences = direction.zero_output_for_mask = False
    x, lengths = rng.normal(size=(5, 7, 4)), [2, 7, 1, 4, 1]
    y = twin(tensorflow.constant(x), mask=tensorflow.sequence_mask(lengths, 7))[0]
    close(layer(x, lengths=lengths)[0], y)
