"""Training as PyTorch does it: losses, clipping, and optimisers on two-layer networks."""

import numpy as np
import pytest

import clstm
from clstm.losses import cross_entropy, mse

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.compare

TOLERANCE = {"float32": 1e-6, "float64": 1e-10}
STEPS = 3

# Adam divides each gradient by its size, so that one of 1e-8 among others of 1e-2 is all rounding: these data have none
SEED = 3

OPTIMIZERS = {
    "sgd": (clstm.SGD(0.1), lambda p: torch.optim.SGD(p, 0.1)),
    "sgd-decay": (clstm.SGD(0.1, weight_decay=0.01), lambda p: torch.optim.SGD(p, 0.1, weight_decay=0.01)),
    "momentum": (clstm.SGD(0.1, momentum=0.9), lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
    "nesterov-decay": (
        clstm.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
        lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    ),
    "adam": (clstm.Adam(), torch.optim.Adam),
    "adam-decay": (
        clstm.Adam(0.002, beta1=0.8, beta2=0.99, epsilon=1e-6, weight_decay=0.01),
        lambda p: torch.optim.Adam(p, 0.002, (0.8, 0.99), 1e-6, 0.01),
    ),
    "adamw": (clstm.AdamW(), torch.optim.AdamW),
    "adamw-decay": (clstm.AdamW(0.002, weight_decay=0.1), lambda p: torch.optim.AdamW(p, 0.002, weight_decay=0.1)),
}


@pytest.fixture(autouse=True)
def one_thread():
    """The threads of PyTorch wait by spinning, and then neither library gets on."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Twin(torch.nn.Module):
    """The same network in PyTorch. Its second bias stays zero: two biases would learn at twice the rate of one."""

    def __init__(self, net):
        super().__init__()
        *first, lstm, dense = net.layers
        dtype = getattr(torch, net.dtype.name)
        if first:
            self.embedding = torch.nn.Embedding(first[0].num_embeddings, first[0].dim, dtype=dtype)
        self.lstm = torch.nn.LSTM(
            lstm.input_size,
            lstm.hidden_size,
            lstm.num_layers,
            batch_first=True,
            bidirectional=lstm.bidirectional,
            dtype=dtype,
        )
        self.dense = torch.nn.Linear(dense.input_size, dense.output_size, dtype=dtype)
        for name, parameter in self.named_parameters():
            if "bias_hh" in name:
                parameter.requires_grad_(False).zero_()
        with torch.no_grad():
            for parameter, values in zip(self.trained(), net.parameters().values(), strict=True):
                parameter.copy_(torch.from_numpy(values.copy()))

    def trained(self):
        """Its parameters in the order of ours."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def forward(self, x, lengths=None):
        if x.dtype == torch.int64:
            x = self.embedding(x)
        if lengths is None:
            return self.dense(self.lstm(x)[0])
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=x.shape[1])
        return self.dense(y)


def follower(dtype, bidirectional=False):
    lstm = clstm.LSTM(3, 7, num_layers=2, bidirectional=bidirectional, dtype=dtype, rng=1)
    return clstm.Network([lstm, clstm.Dense(lstm.output_size, 2, dtype=dtype, rng=2)])


def tagger(dtype):
    lstm = clstm.LSTM(5, 6, num_layers=2, bidirectional=True, dtype=dtype, rng=1)
    return clstm.Network([clstm.Embedding(9, 5, dtype=dtype, rng=0), lstm, clstm.Dense(12, 4, dtype=dtype, rng=2)])


def largest_difference(net, twin):
    return max(
        np.abs(values - parameter.detach().numpy()).max()
        for values, parameter in zip(net.parameters().values(), twin.trained(), strict=True)
    )


@pytest.mark.parametrize("clip_norm", [None, 0.1])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("pair", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_steps_on_sequences_of_numbers(pair, dtype, clip_norm):
    (ours, theirs), rng = pair, np.random.default_rng(SEED)
    x = rng.standard_normal((5, 8, 3)).astype(dtype)
    y = rng.standard_normal((5, 8, 2)).astype(dtype)
    net = follower(dtype)
    twin = Twin(net)
    before = [values.copy() for values in net.parameters().values()]
    trainer, optimizer = clstm.Trainer(net, "mse", ours, clip_norm=clip_norm), theirs(twin.trained())
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(twin(torch.from_numpy(x)), torch.from_numpy(y))
        loss.backward()
        if clip_norm is not None:
            assert torch.nn.utils.clip_grad_norm_(twin.trained(), clip_norm) > clip_norm
        optimizer.step()
        assert trainer.step(x, y) == pytest.approx(loss.item(), rel=10 * TOLERANCE[dtype])
    assert largest_difference(net, twin) < TOLERANCE[dtype]
    assert all((old != new).any() for old, new in zip(before, net.parameters().values(), strict=True))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("pair", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_steps_on_padded_sequences_of_indices(pair, dtype):
    (ours, theirs), rng = pair, np.random.default_rng(SEED)
    x, y = rng.integers(9, size=(6, 7)), rng.integers(4, size=(6, 7))
    lengths = np.array([7, 1, 4, 2, 7, 5])
    net = tagger(dtype)
    twin = Twin(net)
    trainer, optimizer = clstm.Trainer(net, "cross_entropy", ours), theirs(twin.trained())
    masked = torch.from_numpy(np.where(np.arange(7) < lengths[:, None], y, -100))  # -100 is ignored
    for _ in range(STEPS):
        optimizer.zero_grad()
        logits = twin(torch.from_numpy(x), torch.from_numpy(lengths))
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), masked.flatten())
        loss.backward()
        optimizer.step()
        assert trainer.step(x, y, lengths) == pytest.approx(loss.item(), rel=10 * TOLERANCE[dtype])
    assert largest_difference(net, twin) < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_losses_and_their_gradients(rng, dtype):
    prediction = (5 * rng.standard_normal((6, 7, 4))).astype(dtype)
    target, labels = rng.standard_normal((6, 7, 4)).astype(dtype), rng.integers(4, size=(6, 7))
    for ours, theirs in (
        (mse(prediction, target), lambda p: torch.nn.functional.mse_loss(p, torch.from_numpy(target))),
        (
            cross_entropy(prediction, labels),
            lambda p: torch.nn.functional.cross_entropy(p.flatten(0, 1), torch.from_numpy(labels).flatten()),
        ),
    ):
        leaf = torch.from_numpy(prediction.copy()).requires_grad_()
        loss = theirs(leaf)
        loss.backward()
        assert ours[0] == pytest.approx(loss.item(), rel=TOLERANCE[dtype])
        np.testing.assert_allclose(ours[1], leaf.grad.numpy(), rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("max_norm", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_clipping_is_that_of_clip_grad_norm(rng, dtype, max_norm):
    """Seen through one step of plain SGD with learning rate 1, which subtracts the clipped gradient."""
    x, y = rng.standard_normal((5, 8, 3)).astype(dtype), 3 * rng.standard_normal((5, 8, 2)).astype(dtype)
    net = follower(dtype, bidirectional=True)
    twin, before = Twin(net), net.flat_parameters.copy()
    torch.nn.functional.mse_loss(twin(torch.from_numpy(x)), torch.from_numpy(y)).backward()
    norm = torch.nn.utils.clip_grad_norm_(twin.trained(), max_norm).item()
    history = clstm.Trainer(net, optimizer=clstm.SGD(1.0), clip_norm=max_norm).fit(x, y, epochs=1, shuffle=False)
    clipped = np.concatenate([parameter.grad.numpy().ravel() for parameter in twin.trained()])
    np.testing.assert_allclose(before - net.flat_parameters, clipped, rtol=0, atol=10 * TOLERANCE[dtype])
    assert history["gradient_norm"][0] == pytest.approx(norm, rel=10 * TOLERANCE[dtype])
    assert 0.01 < norm < 100  # so that some of the limits clip, and one does not
