"""Starting weights: schemes, rules by parameter and gate, functions of one's own."""

import numpy as np
import pytest

import clstm

LAYERS = [clstm.LSTM, clstm.GRU, clstm.RNN]
CELLS = [clstm.LSTMCell, clstm.GRUCell, clstm.RNNCell]


def blocks(layer, name, gates):
    """The rows of each gate."""
    values = layer.parameters()[name]
    return values.reshape(gates, -1, *values.shape[1:])


@pytest.mark.parametrize("make", LAYERS)
def test_keras_is_glorot_orthogonal_and_zero(make):
    layer = make(30, 40, num_layers=2, bidirectional=True, dtype="float64", rng=0)
    for name, values in layer.parameters().items():
        if name.startswith("weight_ih"):
            limit = np.sqrt(6 / sum(values.shape))
            assert abs(values.mean()) < 0.02
            assert 0.95 * limit < abs(values).max() <= limit
        elif name.startswith("weight_hh"):
            np.testing.assert_allclose(values.T @ values, np.eye(40), atol=1e-12)
        elif make is clstm.LSTM:
            np.testing.assert_array_equal(values.reshape(4, 40), [[0] * 40, [1] * 40, [0] * 40, [0] * 40])
        else:
            assert not values.any()


@pytest.mark.parametrize("make", LAYERS + CELLS)
def test_pytorch_is_uniform(make):
    layer = make(30, 64, init="pytorch", rng=0)
    for values in layer.parameters().values():
        assert 0.9 / 8 < abs(values).max() <= 1 / 8
        assert abs(values.mean()) < 0.05


def test_cells_without_a_forget_gate_have_no_forget_bias():
    for options in ({"coupled": True}, {"forget_gate": False, "peephole": True}):
        lstm = clstm.LSTM(3, 4, **options, rng=0)
        assert not lstm.parameters()["bias_l0"].any()
    assert not lstm.parameters()["peephole_l0"].any()


def test_gates_have_rules_of_their_own():
    init = {"bias.f": 3, "bias.i": -2.5, "weight_ih.g": "zeros", "weight_hh.o": lambda rng, shape: np.full(shape, 7.0)}
    lstm = clstm.LSTM(3, 4, num_layers=2, bidirectional=True, init=init, rng=0)
    usual = clstm.LSTM(3, 4, num_layers=2, bidirectional=True, rng=0)
    for suffix in ("l0", "l0_reverse", "l1", "l1_reverse"):
        np.testing.assert_array_equal(blocks(lstm, f"bias_{suffix}", 4)[:, 0], [-2.5, 3, 0, 0])
        assert not blocks(lstm, f"weight_ih_{suffix}", 4)[2].any()
        assert (blocks(lstm, f"weight_hh_{suffix}", 4)[3] == 7).all()
    np.testing.assert_array_equal(blocks(lstm, "weight_ih_l0", 4)[0], blocks(usual, "weight_ih_l0", 4)[0])


def test_a_rule_for_a_parameter_replaces_what_the_scheme_says_of_its_gates():
    assert (clstm.LSTM(3, 4, init={"bias": 0.5}, rng=0).parameters()["bias_l0"] == 0.5).all()
    f = blocks(clstm.LSTM(3, 4, init={"bias": 0.5, "bias.f": 2}, rng=0), "bias_l0", 4)[1]
    assert (f == 2).all()


def test_a_scheme_can_be_the_base():
    lstm = clstm.LSTM(3, 16, init={"like": "pytorch", "weight_hh": "orthogonal"}, dtype="float64", rng=0)
    parameters = lstm.parameters()
    np.testing.assert_allclose(parameters["weight_hh_l0"].T @ parameters["weight_hh_l0"], np.eye(16), atol=1e-12)
    assert 0 < abs(parameters["bias_l0"]).max() <= 1 / 4


def test_chrono_spreads_the_times_of_forgetting():
    """With f = sigmoid(b_f), a unit forgets in 1 / (1 - f) = 1 + exp(b_f) steps: 2 to `longest`, evenly."""
    lstm = clstm.LSTM(1, 5000, init={"bias": clstm.init.Chrono(200), "weight_hh": 0, "weight_ih": 0}, rng=0)
    i, f, g, o = blocks(lstm, "bias_l0", 4)
    times = 1 + np.exp(f)
    assert 2 <= times.min() < 3
    assert 199 < times.max() <= 200.001
    assert abs(times.mean() - 101) < 3
    np.testing.assert_array_equal(i, -f)
    assert not g.any()
    assert not o.any()
    coupled = clstm.LSTM(1, 6, coupled=True, init={"bias": clstm.init.Chrono(200)}, rng=0)
    assert (blocks(coupled, "bias_l0", 3)[0] <= 0).all()


@pytest.mark.parametrize("make", LAYERS + CELLS)
def test_a_function_sets_everything(make):
    seen = {}

    def init(name, shape, rng):
        seen[name] = shape
        return rng.normal(size=shape)

    layer = make(2, 3, init=init, rng=5)
    parameters, rng = layer.parameters(), np.random.default_rng(5)
    assert seen == {name: values.shape for name, values in parameters.items()}
    for values in parameters.values():
        np.testing.assert_array_equal(values, rng.normal(size=values.shape).astype(np.float32))


def test_both_precisions_draw_the_same_numbers_and_draw_again():
    one, two = (clstm.GRU(3, 4, init="pytorch", dtype=dtype, rng=0) for dtype in ("float32", "float64"))
    np.testing.assert_array_equal(one.flat_parameters, two.flat_parameters.astype(np.float32))
    two.reset_parameters(1)
    np.testing.assert_array_equal(
        two.flat_parameters, clstm.GRU(3, 4, init="pytorch", dtype="float64", rng=1).flat_parameters
    )


@pytest.mark.parametrize(
    ("init", "error", "message"),
    [
        ("torch", ValueError, "init: expected one of 'keras', 'pytorch', got 'torch'"),
        (3, TypeError, r"init: expected one of 'keras', 'pytorch', a dict of rules or a function, got 3 \(int\)"),
        ({"bias.x": 1}, ValueError, r"a key of init: expected one of 'like', 'weight_ih', .*'bias.o', got 'bias.x'"),
        ({"bias_hn": 1}, ValueError, "a key of init: expected one of"),
        ({"like": "torch"}, ValueError, r"init\['like'\]: expected one of"),
        (
            {"weight_hh.f": "ones"},
            ValueError,
            r"init\['weight_hh.f'\]: expected one of 'glorot_uniform', 'orthogonal', 'zeros'",
        ),
        ({"bias": "orthogonal"}, ValueError, r"init\['bias'\]: expected one of 'zeros', got 'orthogonal'"),
        ({"bias.f": np.nan}, ValueError, r"init\['bias.f'\]: expected a finite number, a name or a function, got nan"),
        (
            {"bias.f": clstm.init.Chrono(9)},
            ValueError,
            r"init\['bias.f'\]: expected a rule for one gate or matrix, got Chrono\(9\), which is for the whole bias",
        ),
        ({"bias": None}, TypeError, r"init\['bias'\]: expected a number, a name or a function, got None"),
        ({"bias": lambda rng, shape: np.zeros(3)}, ValueError, r"init\['bias'\]: expected an array of shape \(16,\)"),
        ({"bias": lambda rng, shape: np.full(shape, np.nan)}, ValueError, r"init\['bias'\]: expected finite values"),
        (lambda name, shape, rng: "zero", ValueError, "init: expected an array of shape"),
    ],
)
def test_wrong_schemes_are_named(init, error, message):
    with pytest.raises(error, match=message):
        clstm.LSTM(3, 4, init=init, rng=0)


@pytest.mark.parametrize("limit", [np.nan, np.inf, -1])
def test_uniform_is_checked(limit):
    with pytest.raises(ValueError, match="limit: expected a finite number, 0 or above, got"):
        clstm.init.Uniform(limit)
    with pytest.raises(TypeError, match=r"limit: expected a finite number, 0 or above, got '1' \(str\)"):
        clstm.init.Uniform("1")


def test_chrono_is_checked():
    with pytest.raises(ValueError, match="longest: expected a number of steps above 2, got 2"):
        clstm.init.Chrono(2)
    with pytest.raises(ValueError, match="init: expected a cell with an input gate for Chrono, got one with r z n"):
        clstm.GRU(3, 4, init={"bias": clstm.init.Chrono(9)})
