"""AttentionPool against a twin in plain NumPy, whose gradient is that of complex steps; and the properties that no twin
is needed for."""

import copy

import numpy as np
import pytest
from cases import TOLERANCE, close, doubles, native, normal, pad, same_bits, settings

import clstm
from clstm import _core

SIZES = [
    # N, T, F, A, lengths
    (3, 5, 4, 6, None),
    (1, 1, 1, 1, None),
    (4, 7, 17, 9, (7, 3, 0, 1)),
    (5, 6, 33, 16, (0, 6, 2, 6, 5)),
    (2, 40, 70, 130, (40, 13)),
    (3, 4, 5, 3, (0, 0, 0)),
]


def build(dtype, N, T, F, A, lengths, seed=0):
    """The layer with random parameters, x with NaN in the padding, and dy."""
    rng = np.random.default_rng(seed)
    pool = clstm.AttentionPool(F, A, dtype=dtype, rng=rng)
    pool.flat_parameters = rng.normal(size=pool.flat_parameters.size) / np.sqrt(F)
    pool.parameters()["vector"][:] *= 3
    x = normal(rng, dtype, N, T, F)
    return pool, x if lengths is None else pad(x, lengths), normal(rng, dtype, N, F)


def pooled(x, parameters, lengths):
    """y and the weights, by the equations, row by row; complex numbers too."""
    y, weights = [], []
    for n, row in enumerate(x):
        row = row if lengths is None else row[: lengths[n]]
        scores = np.tanh(row @ parameters["weight"].T + parameters["bias"]) @ parameters["vector"]
        e = np.exp(scores - scores.real.max(initial=-np.inf)) if len(row) else scores
        a = e / e.sum() if len(row) else e
        y.append(a @ row)
        weights.append(np.concatenate([a, np.zeros(x.shape[1] - len(row))]))
    return np.array(y), np.array(weights)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_values_are_those_of_the_equations(machine, dtype, size):
    pool, x, _ = build(dtype, *size)
    y, weights = pooled(doubles(x), doubles(pool.parameters()), size[-1])
    found, state, _ = pool.forward(x, lengths=size[-1])
    assert (found.dtype, state) == (dtype, None)
    close(found, y, TOLERANCE[dtype])
    close(pool.weights(x, lengths=size[-1]), weights, TOLERANCE[dtype])
    same_bits(pool(x, lengths=size[-1]), found)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_gradients_are_those_of_complex_steps(machine, size):
    pool, x, dy = build("float64", *size)
    lengths = size[-1]
    _, _, tape = pool.forward(x, lengths=lengths)
    dx, dstate, grads = pool.backward(tape, dy)
    assert dstate is None
    assert list(grads) == ["weight", "bias", "vector"]
    assert not np.isnan(dx).any()
    x, rng = np.nan_to_num(x), np.random.default_rng(1)
    for only in ("x", *grads, "all"):
        found, at, way = 0, {}, rng.normal(size=x.shape) if only in ("x", "all") else 0
        for name, values in pool.parameters().items():
            own = rng.normal(size=values.shape) if only in (name, "all") else 0
            at[name] = values + 1e-30j * own
            found += (grads[name] * own).sum()
        found += (dx * way).sum()
        slope = (pooled(x + 1e-30j * way, at, lengths)[0] * dy).sum().imag / 1e-30
        assert abs(found - slope) <= 1e-10 * max(1, abs(slope))


@pytest.mark.parametrize("size", SIZES[:5], ids=str)
def test_single_precision_follows_double(machine, size):
    pool, x, dy = build("float32", *size)
    double = clstm.AttentionPool(size[2], size[3], dtype="float64", rng=0)
    double.load_parameters(pool.parameters())
    results = []
    for layer, kind in ((pool, "float32"), (double, "float64")):
        _, _, tape = layer.forward(x.astype(kind), lengths=size[-1])
        dx, _, grads = layer.backward(tape, dy.astype(kind))
        assert {array.dtype for array in (dx, *grads.values())} == {np.dtype(kind)}
        results.append((dx, *grads.values()))
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max() + 1e-6)


LARGE = (64, 50, 40, 30, (50, 7, 0, 31) * 16)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("lengths", [None, LARGE[-1]])
def test_bits_do_not_depend_on_threads(isa, dtype, lengths):
    pool, x, dy = build(dtype, *LARGE[:4], lengths)
    results = []
    for threads in (1, 2, 3):
        with settings(isa, "native", threads):
            y, _, tape = pool.forward(x, lengths=lengths)
            dx, _, grads = pool.backward(tape, dy)
        results.append((y, dx, *grads.values()))
    for other in results[1:]:
        for found, expected in zip(other, results[0], strict=True):
            same_bits(found, expected)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_rows_do_not_depend_on_the_rest_of_the_batch(isa, dtype):
    pool, x, dy = build(dtype, *LARGE)
    lengths = np.array(LARGE[-1])
    with native():
        y, _, tape = pool.forward(x, lengths=lengths)
        dx, _, _ = pool.backward(tape, dy)
        for rows in (slice(0, 1), slice(1, 7), slice(7, None), [2], [3, 0]):
            part, _, tape = pool.forward(x[rows], lengths=lengths[rows])
            same_bits(part, y[rows])
            same_bits(pool.backward(tape, dy[rows])[0], dx[rows])
        alone = pool(x[1:2, :7])  # without the padding
        same_bits(alone, y[1:2])


def test_gradients_are_added_and_dx_is_not_computed_if_nobody_wants_it():
    pool, x, dy = build("float64", *SIZES[2])
    dx, _, grads = pool.backward(pool.forward(x, lengths=SIZES[2][-1])[2], dy)
    before = {name: np.ones_like(values) for name, values in grads.items()}
    none, _, added = pool.backward(pool.forward(x, lengths=SIZES[2][-1])[2], dy, grads=before, need_dx=False)
    assert none is None
    assert dx is not None
    for name, gradient in added.items():
        close(gradient, 1 + grads[name], 1e-13)
    tape = pool.forward(x, lengths=SIZES[2][-1])[2]
    pool.backward(tape, dy)
    with pytest.raises(ValueError, match="tape"):
        pool.backward(tape, dy)


def test_large_scores_do_not_overflow_and_nan_is_not_hidden():
    pool, x, dy = build("float32", 2, 6, 3, 4, None)
    pool.parameters()["vector"][:] = 1e30
    y, _, tape = pool.forward(x)
    assert np.isfinite(y).all()
    close(pool.weights(x).sum(axis=1), np.ones(2), 1e-6)
    assert np.isfinite(pool.backward(tape, dy)[0]).all()
    x = x.copy()
    x[0, 2, 1] = np.nan
    y = pool(x)
    assert np.isnan(y[0]).any()
    assert np.isfinite(y[1]).all()


def test_it_is_a_layer_like_any_other(tmp_path):
    lstm = clstm.LSTM(3, 5, bidirectional=True, merge="product", rng=0)
    net = clstm.Network([lstm, clstm.AttentionPool(5, 4, rng=1), clstm.Dense(5, 2, rng=2)])
    assert (net.removes_time, net.output_size, net.axes) == (True, 2, "sequence")
    assert repr(net.layers[1]) == "AttentionPool(5, 4)"
    x = np.random.default_rng(0).normal(size=(32, 9, 3)).astype("float32")
    net.save(tmp_path / "net.safetensors")
    for other in (copy.deepcopy(net), clstm.load(tmp_path / "net.safetensors")):
        same_bits(other(x), net(x))
        assert repr(other) == repr(net)
    target = (x[:, :, 0].max(axis=1) > 1.5).astype(int)
    trainer = clstm.Trainer(net, loss="cross_entropy", optimizer=clstm.Adam(0.02), rng=0)
    before = trainer.evaluate(x, target)
    trainer.fit(x, target, epochs=60, batch_size=8, progress=False)
    assert trainer.evaluate(x, target) < before / 2
    with pytest.raises(ValueError, match="takes sequences, but no time axis arrives"):
        clstm.Network([clstm.AttentionPool(5, 4, rng=0), clstm.AttentionPool(5, 4, rng=0)])
    with pytest.raises(ValueError, match="takes 5 features, but 6 arrive"):
        clstm.Network([clstm.GRU(3, 6, rng=0), clstm.AttentionPool(5, 4, rng=0)])


def test_it_attends_to_the_step_that_matters():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 12, 3)).astype("float32")
    marked = rng.integers(12, size=256)
    x[..., 2] = 0
    x[np.arange(256), marked, 2] = 1
    target = x[np.arange(256), marked, :1]
    net = clstm.Network([clstm.AttentionPool(3, 8, rng=0), clstm.Dense(3, 1, rng=1)])
    clstm.Trainer(net, loss="mse", optimizer=clstm.Adam(0.03), rng=0).fit(x, target, epochs=40, progress=False)
    assert net.layers[0].weights(x)[np.arange(256), marked].mean() > 0.9


@pytest.mark.parametrize("isa", _core.available_isas())
def test_every_instruction_set_gives_the_same_to_rounding(isa):
    pool, x, _ = build("float64", *SIZES[4])
    expected = pool(x, lengths=SIZES[4][-1])
    with settings(isa):
        close(pool(x, lengths=SIZES[4][-1]), expected, 1e-13)


def test_what_is_refused():
    pool = clstm.AttentionPool(3, 2, rng=0)
    x = np.zeros((2, 4, 3))
    with pytest.raises(ValueError, match="attention_size: expected an int of at least 1, got 0"):
        clstm.AttentionPool(3, 0)
    with pytest.raises(TypeError, match="input_size: expected an int of at least 1"):
        clstm.AttentionPool(3.0, 2)
    with pytest.raises(ValueError, match="dtype"):
        clstm.AttentionPool(3, 2, dtype="float16")
    with pytest.raises(ValueError, match="x: expected"):
        pool(x[:, :, :2])
    with pytest.raises(ValueError, match="x: expected"):
        pool(x[:, 0])
    with pytest.raises(ValueError, match="lengths"):
        pool(x, lengths=[4, 5])
    with pytest.raises(ValueError, match="state: expected None, because AttentionPool has none"):
        pool(x, x)
    with pytest.raises(ValueError, match=r"dy: expected shape \(2, 3\), got shape \(2, 4, 3\)"):
        pool.backward(pool.forward(x)[2], x)
    with pytest.raises(ValueError, match="dstate: expected None, because AttentionPool has no state"):
        pool.backward(pool.forward(x)[2], x[:, 0], x)
    with pytest.raises(ValueError, match=r"mode: expected one of 'last', 'mean', 'max' \(AttentionPool is a layer"):
        clstm.Pool("attention")
