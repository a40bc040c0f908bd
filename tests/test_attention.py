"""Attention against a twin in plain NumPy, whose gradient is that of complex steps; and the properties that no twin is
needed for."""

import copy
import itertools

import numpy as np
import pytest
from cases import TOLERANCE, close, doubles, native, normal, pad, same_bits, settings
from reference_attention import attend

import clstm
from clstm import _core

# N, T, S, Q, M, A, lengths of the memory, lengths of the queries; with "dot", M is Q
SIZES = [
    (1, 1, 1, 1, 1, 1, None, None),
    (3, 4, 5, 6, 7, 3, None, None),
    (4, 3, 6, 17, 9, 16, (6, 0, 1, 5), None),
    (5, 7, 4, 9, 33, 31, (4, 2, 0, 4, 1), (7, 3, 2, 0, 1)),
    (2, 130, 101, 5, 6, 4, (101, 97), (130, 96)),
    (2, 3, 40, 2, 3, 2100, (40, 3), None),
    (2, 3, 4, 5, 3, 2, (0, 0), (3, 0)),
]
KINDS = [("dot", False), ("dot", True), ("general", False), ("additive", False)]
EVERY = [pytest.param(kind, size, id=f"{kind[0]}{'-scaled' * kind[1]}-{size}") for kind in KINDS for size in SIZES]


def build(dtype, kind, size, seed=0):
    """The layer with random parameters; query, memory, dcontext and dweights with NaN where nothing is valid."""
    score, scale = kind
    N, T, S, Q, M, A, lengths, query_lengths = size
    M = Q if score == "dot" else M
    rng = np.random.default_rng(seed)
    more = {"attention_size": A} if score == "additive" else {}
    layer = clstm.Attention(Q, M, score=score, scale=scale, dtype=dtype, rng=rng, **more)
    for values in layer.parameters().values():
        values[...] = rng.normal(size=values.shape) / np.sqrt(values.shape[-1])
    arrays = [normal(rng, dtype, N, *shape) for shape in ((T, Q), (S, M), (T, M), (T, S))]
    for k, own in enumerate((query_lengths, lengths, query_lengths, query_lengths)):
        arrays[k] = arrays[k] if own is None else pad(arrays[k], own)
    if lengths is not None:  # the weights have no use for what lies beyond the memory either
        beyond = np.arange(S) >= np.reshape(lengths, (-1, 1, 1))
        arrays[3] = np.where(beyond, arrays[3].dtype.type(np.nan), arrays[3])
    return layer, *arrays, {"lengths": lengths, "query_lengths": query_lengths}


def expected(layer, query, memory, steps):
    parameters = doubles(layer.parameters())
    return attend(layer.score, parameters, doubles(query), doubles(memory), scale=layer.scale, **steps)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("kind", "size"), EVERY)
def test_values_are_those_of_the_equations(machine, dtype, kind, size):
    layer, query, memory, _, _, steps = build(dtype, kind, size)
    context, weights, _ = layer.forward(query, memory, **steps)
    assert context.dtype == weights.dtype == dtype
    for found, wanted in zip((context, weights), expected(layer, query, memory, steps), strict=True):
        close(found, wanted, TOLERANCE[dtype])
    for found, again in zip(layer.infer(query, memory, **steps), (context, weights), strict=True):
        same_bits(found, again)
    same_bits(layer(query, memory, **steps), context)


@pytest.mark.parametrize("with_dweights", [False, True])
@pytest.mark.parametrize(("kind", "size"), EVERY)
def test_gradients_are_those_of_complex_steps(machine, kind, size, with_dweights):
    layer, query, memory, dcontext, dweights, steps = build("float64", kind, size)
    tape = layer.forward(query, memory, **steps)[2]
    dquery, dmemory, grads = layer.backward(tape, dcontext, dweights if with_dweights else None)
    found = {"query": dquery, "memory": dmemory, **grads}
    assert list(grads) == list(layer.parameters())
    values = {"query": np.nan_to_num(query), "memory": np.nan_to_num(memory), **layer.parameters()}
    dcontext, dweights = np.nan_to_num(dcontext), np.nan_to_num(dweights) * with_dweights
    rng = np.random.default_rng(1)
    for only in (*found, "all"):
        slope, at = 0, {}
        for name, value in values.items():
            way = rng.normal(size=value.shape) if only in (name, "all") else np.zeros(value.shape)
            at[name] = value + 1e-30j * way
            slope += (found[name] * way).sum()
        own = {name: at[name] for name in grads}
        context, weights = attend(layer.score, own, at["query"], at["memory"], scale=layer.scale, **steps)
        wanted = ((context * dcontext).sum() + (weights * dweights).sum()).imag / 1e-30
        assert abs(slope - wanted) <= 1e-10 * max(1, abs(wanted))


@pytest.mark.parametrize(("kind", "size"), [case for case in EVERY if case.values[1] != SIZES[-1]])
def test_single_precision_follows_double(isa, kind, size):
    results = []
    for dtype in TOLERANCE:
        layer, query, memory, dcontext, dweights, steps = build("float32", kind, size)
        twin = clstm.Attention(**{**layer.config(), "dtype": dtype}, rng=0)
        twin.load_parameters(layer.parameters())
        tape = twin.forward(query.astype(dtype), memory.astype(dtype), **steps)[2]
        dquery, dmemory, grads = twin.backward(tape, dcontext.astype(dtype), dweights.astype(dtype))
        assert {array.dtype for array in (dquery, dmemory, *grads.values())} == {np.dtype(dtype)}
        results.append((dquery, dmemory, *grads.values()))
    for wanted, found in zip(*results, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max() + 1e-6)


@pytest.mark.parametrize("size", [SIZES[3], SIZES[-1]], ids=str)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_is_not_valid_is_zero(kind, size):
    layer, query, memory, dcontext, _, steps = build("float64", kind, size)
    context, weights, tape = layer.forward(query, memory, **steps)
    dquery, dmemory, _ = layer.backward(tape, dcontext)
    for n, (s, t) in enumerate(zip(steps["lengths"], steps["query_lengths"], strict=True)):
        t = t if s else 0
        s = s if t else 0
        sums = weights[n].sum(axis=1)
        np.testing.assert_allclose(sums[:t], 1, rtol=1e-14)
        for array, end in ((context, t), (weights, t), (dquery, t), (dmemory, s), (weights.swapaxes(1, 2), s)):
            assert not array[n, end:].any()


LARGE = (24, 60, 70, 60, 60, 30, (70, 7, 0, 31) * 6, (60, 3, 20, 0, 11, 1) * 4)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_bits_depend_neither_on_threads_nor_on_other_rows(isa, dtype, kind):
    layer, query, memory, dcontext, dweights, steps = build(dtype, kind, LARGE)
    lengths, query_lengths = (np.array(own) for own in steps.values())
    results = []
    for threads in (1, 2, 3):
        with settings(backend="native", threads=threads):
            context, weights, tape = layer.forward(query, memory, **steps)
            dquery, dmemory, grads = layer.backward(tape, dcontext, dweights)
        results.append((context, weights, dquery, dmemory, *grads.values()))
    for other in results[1:]:
        for found, wanted in zip(other, results[0], strict=True):
            same_bits(found, wanted)
    for rows in (slice(0, 1), slice(5, 9), [7, 3]):
        with native():
            own = {"lengths": lengths[rows], "query_lengths": query_lengths[rows]}
            context, weights, tape = layer.forward(query[rows], memory[rows], **own)
            dquery, dmemory, _ = layer.backward(tape, dcontext[rows], dweights[rows])
        for found, wanted in zip((context, weights, dquery, dmemory), results[0], strict=False):
            same_bits(found, wanted[rows])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_queries_do_not_depend_on_each_other(isa, dtype, kind):
    layer, query, memory, _, _, _ = build(dtype, kind, (2, 110, 33, 19, 20, 15, None, None))
    with native():
        whole = layer(query, memory)
        for t in (0, 57, 109):
            same_bits(layer(query[:, t : t + 1], memory), whole[:, t : t + 1])


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_gradients_are_added_and_can_be_left_out(kind):
    layer, query, memory, dcontext, _, steps = build("float64", kind, SIZES[3])
    once = layer.backward(layer.forward(query, memory, **steps)[2], dcontext)[2]
    grads = {name: np.ones_like(values) for name, values in layer.parameters().items()}
    dquery, dmemory, found = layer.backward(layer.forward(query, memory, **steps)[2], dcontext, None, grads, False)
    assert (dquery, dmemory) == (None, None)
    assert found is grads
    for name in grads:
        np.testing.assert_allclose(found[name], once[name] + 1, rtol=1e-12)


def test_strided_and_converted_arrays_are_taken(rng):
    layer = clstm.Attention(3, 5, score="additive", dtype="float64", rng=0)
    query, memory = rng.normal(size=(4, 6, 9))[:, ::2, 3:6], rng.normal(size=(7, 4, 5)).swapaxes(0, 1)
    wanted = layer(query.copy(), memory.copy())
    same_bits(layer(query, memory), wanted)
    same_bits(layer(query.tolist(), memory.tolist()), wanted)


def test_saving_and_copies(tmp_path, rng):
    query, memory = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5, 4))
    for score, scale in KINDS:
        layer = clstm.Attention(4, 4, score=score, scale=scale, dtype="float64", rng=1)
        layer.save(tmp_path / "attention.safetensors")
        for other in (clstm.load(tmp_path / "attention.safetensors"), copy.deepcopy(layer)):
            assert repr(other) == repr(layer)
            same_bits(other(query, memory), layer(query, memory))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((4, 5), {}, 'memory_size: expected 4, as query_size, because the score is "dot"'),
        ((4, 5), {"score": "cosine"}, "score: expected one of 'dot', 'general', 'additive', got 'cosine'"),
        ((4, 4, 3), {}, 'attention_size: expected None, because the score is "dot" and not "additive"'),
        ((4, 5), {"score": "general", "scale": True}, 'scale: expected False, because the score is "general"'),
        ((0, 5), {}, "query_size: expected"),
    ],
)
def test_bad_configurations_are_refused(arguments, options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        clstm.Attention(*arguments, **options)


def test_bad_arguments_are_refused():
    layer, query, memory = clstm.Attention(2, 2, rng=0), np.zeros((3, 4, 2)), np.zeros((3, 5, 2))
    for given, message in [
        ((query[:2], memory), "query: expected 3 rows, as the memory has, got 2"),
        ((query, memory[..., :1]), "memory: expected shape"),
        ((query, None), "memory: expected"),
        ((query, memory, [6, 0, 0]), "lengths: expected a number of steps from 0 to 5, got 6"),
        ((query, memory, [1]), "lengths: expected shape \\(3,\\), one for each row of memory"),
    ]:
        with pytest.raises((ValueError, TypeError), match=f"^{message}"):
            layer.forward(*given)
    with pytest.raises(ValueError, match=r"^query_lengths: expected shape \(3,\), one for each row of query"):
        layer.forward(query, memory, query_lengths=[1])
    context, _, tape = layer.forward(query, memory)
    with pytest.raises(ValueError, match=r"^dcontext: expected shape"):
        layer.backward(tape, context[:1])
    with pytest.raises(ValueError, match=r"^dweights: expected shape"):
        layer.backward(tape, context, context)
    layer.backward(tape, context)
    with pytest.raises(ValueError, match="used up"):
        layer.backward(tape, context)


def test_instruction_sets_agree(rng):
    query, memory = rng.normal(size=(3, 20, 30)), rng.normal(size=(3, 40, 30))
    for score, scale in KINDS:
        found = []
        for isa in _core.available_isas():
            layer = clstm.Attention(30, 30, score=score, scale=scale, dtype="float64", rng=1)
            with settings(isa, "native"):
                found.append(layer(query, memory))
        for a, b in itertools.pairwise(found):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)
