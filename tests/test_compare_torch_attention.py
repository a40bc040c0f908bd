"""Attention as PyTorch computes it: its own function for "dot", a few lines for the others."""

import numpy as np
import pytest
from cases import close
from test_attention import KINDS, build

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.compare


@pytest.fixture(autouse=True)
def one_thread():
    """The threads of PyTorch wait by spinning, and then neither library gets on."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_pytorch_computes_the_same(kind):
    layer, query, memory, dcontext, _, steps = build("float64", kind, (3, 4, 5, 6, 7, 8, (5, 2, 1), None))
    context, _, tape = layer.forward(query, memory, **steps)
    dquery, dmemory, grads = layer.backward(tape, dcontext)
    q, m = (torch.tensor(array, requires_grad=True) for array in (query, np.nan_to_num(memory)))
    p = {name: torch.tensor(values, requires_grad=True) for name, values in layer.parameters().items()}
    mask = torch.arange(5) < torch.tensor(steps["lengths"])[:, None, None]
    if kind[0] == "dot":
        scale = None if kind[1] else 1.0
        y = torch.nn.functional.scaled_dot_product_attention(q, m, m, attn_mask=mask, scale=scale)
    else:
        if kind[0] == "general":
            e = q @ p["weight"].T @ m.transpose(1, 2)
        else:
            e = torch.tanh((q @ p["weight_query"].T)[:, :, None] + (m @ p["weight_memory"].T)[:, None]) @ p["vector"]
        y = torch.softmax(e.masked_fill(~mask, -torch.inf), dim=-1) @ m
    y.backward(torch.tensor(dcontext))
    close(context, y.detach().numpy(), 1e-12)
    for found, tensor in ((dquery, q), (dmemory, m), *((grads[name], p[name]) for name in p)):
        close(found, tensor.grad.numpy(), 1e-10)
