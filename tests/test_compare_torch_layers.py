"""Conv1d, LayerNorm, activations of Dense, the padding index and tied weights as PyTorch has them."""

import numpy as np
import pytest
from cases import close

import clstm

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.compare

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}


@pytest.fixture(autouse=True)
def one_thread():
    """The threads of PyTorch wait by spinning, and then neither library gets on."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def both(layer, module, x, dy, forward=None):
    """y, dx and gradients by name of a layer, and of a module whose input and output `forward` adapts."""
    y, _, tape = layer.forward(x)
    dx, _, grads = layer.backward(tape, dy)
    theirs = torch.tensor(x, requires_grad=x.dtype.kind == "f")
    expected = module(theirs) if forward is None else forward(module, theirs)
    expected.backward(torch.tensor(dy))
    return (y, dx, grads), (expected.detach().numpy(), None if theirs.grad is None else theirs.grad.numpy())


def over_time(module, x):
    """A module of PyTorch, which has features before time."""
    return module(x.transpose(1, 2)).transpose(1, 2)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("padding", "width", "stride", "dilation"),
    [
        ("valid", 1, 1, 1),
        ("valid", 4, 1, 1),
        ("valid", 3, 2, 1),
        ("valid", 3, 3, 2),
        ("same", 3, 1, 1),
        ("same", 4, 1, 1),
        ("same", 2, 1, 3),
        ("same", 5, 1, 2),
        ("odd", 5, 2, 1),
        ("odd", 3, 3, 2),
        ("causal", 3, 1, 1),
        ("causal", 4, 2, 3),
    ],
)
def test_convolutions(padding, width, stride, dilation, bias, dtype):
    rng, reach = np.random.default_rng(0), (width - 1) * dilation + 1
    options = {"stride": stride, "dilation": dilation, "bias": bias, "dtype": dtype, "rng": rng}
    layer = clstm.Conv1d(7, 11, width, padding="same" if padding == "odd" else padding, **options)
    own = {"valid": 0, "same": "same", "odd": (reach - 1) // 2, "causal": 0}[padding]
    module = torch.nn.Conv1d(7, 11, width, stride, own, dilation, bias=bias, dtype=getattr(torch, dtype))
    with torch.no_grad():
        module.weight[...] = torch.tensor(layer.parameters()["weight"].transpose(0, 2, 1).copy())
        if bias:
            layer.parameters()["bias"][...] = rng.normal(size=11)
            module.bias[...] = torch.tensor(layer.parameters()["bias"].copy())

    def forward(module, x):
        if padding == "causal":
            x = torch.nn.functional.pad(x, (0, 0, reach - 1, 0))
        return over_time(module, x)

    x = rng.normal(size=(5, 23, 7)).astype(dtype)
    dy = rng.normal(size=layer(x).shape).astype(dtype)
    (y, dx, grads), (expected, expected_dx) = both(layer, module, x, dy, forward)
    close(y, expected, TOLERANCE[dtype])
    close(dx, expected_dx, TOLERANCE[dtype])
    close(grads["weight"], module.weight.grad.numpy().transpose(0, 2, 1), TOLERANCE[dtype])
    if bias:
        close(grads["bias"], module.bias.grad.numpy(), TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(4, 6, 33), (5, 8), (3, 7, 1)])
def test_layer_normalisation(shape, dtype):
    rng = np.random.default_rng(0)
    layer = clstm.LayerNorm(shape[-1], epsilon=1e-3, dtype=dtype)
    layer.flat_parameters = rng.normal(size=2 * shape[-1])
    module = torch.nn.LayerNorm(shape[-1], 1e-3, dtype=getattr(torch, dtype))
    module.load_state_dict({name: torch.tensor(values.copy()) for name, values in layer.parameters().items()})
    x, dy = (rng.normal(size=shape).astype(dtype) for _ in range(2))
    (y, dx, grads), (expected, expected_dx) = both(layer, module, 3 * x + 1, dy)
    close(y, expected, TOLERANCE[dtype])
    np.testing.assert_allclose(dx, expected_dx, rtol=0, atol=TOLERANCE[dtype])
    np.testing.assert_allclose(grads["weight"], module.weight.grad, rtol=0, atol=10 * TOLERANCE[dtype])
    close(grads["bias"], module.bias.grad.numpy(), TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("name", "function"), [("tanh", "Tanh"), ("relu", "ReLU"), ("sigmoid", "Sigmoid")])
def test_activations_of_dense(name, function, dtype):
    rng = np.random.default_rng(0)
    layer = clstm.Dense(9, 13, activation=name, dtype=dtype, rng=rng)
    linear = torch.nn.Linear(9, 13, dtype=getattr(torch, dtype))
    linear.load_state_dict({key: torch.tensor(values.copy()) for key, values in layer.parameters().items()})
    module = torch.nn.Sequential(linear, getattr(torch.nn, function)())
    x, dy = rng.normal(size=(4, 6, 9)).astype(dtype), rng.normal(size=(4, 6, 13)).astype(dtype)
    (y, dx, grads), (expected, expected_dx) = both(layer, module, x, dy)
    close(y, expected, TOLERANCE[dtype])
    close(dx, expected_dx, TOLERANCE[dtype])
    close(grads["weight"], linear.weight.grad.numpy(), TOLERANCE[dtype])
    close(grads["bias"], linear.bias.grad.numpy(), TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_padding_index_and_tied_weights(dtype):
    rng = np.random.default_rng(0)
    layers = [clstm.Embedding(8, 5, padding_index=2, dtype=dtype, rng=0), clstm.Dense(5, 8, dtype=dtype, rng=1)]
    net = clstm.Network(layers, tied={"1.weight": "0.weight"})
    embedding = torch.nn.Embedding(8, 5, padding_idx=2, dtype=getattr(torch, dtype))
    linear = torch.nn.Linear(5, 8, dtype=getattr(torch, dtype))
    with torch.no_grad():
        embedding.weight[...] = torch.tensor(net.parameters()["0.weight"].copy())
        linear.bias[...] = torch.tensor(net.parameters()["1.bias"].copy())
    linear.weight = embedding.weight
    x, dy = rng.integers(0, 8, size=(4, 30)), rng.normal(size=(4, 30, 8)).astype(dtype)
    (y, _, grads), (expected, _) = both(net, torch.nn.Sequential(embedding, linear), x, dy)
    close(y, expected, TOLERANCE[dtype])
    close(grads["0.weight"], embedding.weight.grad.numpy(), TOLERANCE[dtype])
    close(grads["1.bias"], linear.bias.grad.numpy(), TOLERANCE[dtype])
