"""The losses as PyTorch has them: values and gradients to 1e-10 in float64, with weights, masks and both reductions."""

import numpy as np
import pytest

from clstm import losses

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.compare
functional = torch.nn.functional

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
N, T, F = 5, 6, 4
LENGTHS = np.array([6, 1, 4, 0, 3])
VECTOR = np.array([0.5, 2.0, 0.0, 1.25])  # of classes


@pytest.fixture(autouse=True)
def one_thread():
    """The threads of PyTorch wait by spinning, and then neither library gets on."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tensor(array):
    return torch.from_numpy(np.ascontiguousarray(array))


def numbers(rng, dtype):
    return rng.standard_normal((N, T, F)).astype(dtype)


def shares(rng, dtype):
    return rng.random((N, T, F)).astype(dtype)


def gaussian(p, t):
    mean, s = p.chunk(2, dim=-1)
    return functional.gaussian_nll_loss(mean, t, s.exp() + 1e-3, full=True, eps=1e-6, reduction="none")


def of_classes(p, y, **options):
    return functional.cross_entropy(p.flatten(0, 1), y.flatten(0, 1), reduction="none", **options).reshape(N, T, 1)


def vector(p):
    return tensor(VECTOR).to(p.dtype)


# Loss, numbers of a prediction for each of a target, target, what PyTorch has for each element
REAL = {
    "mse": (losses.MSE(), 1, numbers, lambda p, t: functional.mse_loss(p, t, reduction="none")),
    "mae": (losses.MAE(), 1, numbers, lambda p, t: functional.l1_loss(p, t, reduction="none")),
    "huber": (losses.Huber(delta=0.7), 1, numbers, lambda p, t: functional.huber_loss(p, t, "none", 0.7)),
    "gaussian": (losses.GaussianNLL(full=True, eps=1e-3), 2, numbers, gaussian),
    "binary": (
        losses.BinaryCrossEntropy(),
        1,
        shares,
        lambda p, t: functional.binary_cross_entropy_with_logits(p, t, reduction="none"),
    ),
    "binary-weight": (
        losses.BinaryCrossEntropy(pos_weight=VECTOR),
        1,
        shares,
        lambda p, t: functional.binary_cross_entropy_with_logits(p, t, reduction="none", pos_weight=vector(p)),
    ),
}


def compare(found, prediction, expected, dtype):
    """`expected` is a function of the prediction as a tensor."""
    leaf = tensor(prediction).requires_grad_()
    value = expected(leaf)
    value.backward()
    assert found.loss == pytest.approx(value.item(), rel=TOLERANCE[dtype])
    np.testing.assert_allclose(found.gradient, leaf.grad.numpy(), rtol=0, atol=TOLERANCE[dtype])
    assert np.abs(found.gradient).max() > 0.001


def step_weights(rng, kind, dtype):
    """For us, and of all steps for PyTorch."""
    if kind == "none":
        return None, np.ones((N, T), dtype)
    weight = rng.uniform(0.1, 2, N if kind == "rows" else (N, T)).astype(dtype)
    return weight, np.broadcast_to(weight[:, None], (N, T)) if kind == "rows" else weight


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("padded", [False, True], ids=["full", "padded"])
@pytest.mark.parametrize("kind", ["none", "rows", "steps"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", REAL)
def test_losses_of_numbers(rng, name, reduction, kind, padded, dtype):
    loss, outputs, make_target, each = REAL[name]
    prediction = rng.standard_normal((N, T, outputs * F)).astype(dtype)
    target, (weight, weights) = make_target(rng, dtype), step_weights(rng, kind, dtype)
    lengths = LENGTHS if padded else None
    if padded:
        weights = weights * (np.arange(T) < LENGTHS[:, None])
    w = tensor(weights)

    def expected(p):
        total = (w * each(p, tensor(target)).mean(dim=-1)).sum()
        return total / w.sum() if reduction == "mean" else total

    loss.reduction = reduction
    compare(loss.compute(prediction, target, lengths, weight), prediction, expected, dtype)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", REAL)
def test_without_weights_the_mean_is_that_of_pytorch(rng, name, reduction):
    """Its mean is over all elements, as ours is; its sum too, where ours is the mean over the features."""
    loss, outputs, make_target, each = REAL[name]
    prediction, target = rng.standard_normal((N, T, outputs * F)), make_target(rng, "float64")
    loss.reduction = reduction
    found = loss.compute(prediction, target)

    def expected(p):
        return each(p, tensor(target)).mean() if reduction == "mean" else each(p, tensor(target)).sum() / F

    compare(found, prediction, expected, "float64")


CLASSES = {
    "plain": {},
    "weight": {"weight": VECTOR},
    "smooth": {"label_smoothing": 0.2},
    "ignore": {"ignore_index": -100},
    "ignore-class": {"ignore_index": 1},
    "all": {"weight": VECTOR, "label_smoothing": 0.2, "ignore_index": 1},
}


def our_options(options):
    return {"class_weight" if name == "weight" else name: value for name, value in options.items()}


def their_options(options, p):
    return {name: vector(p) if name == "weight" else value for name, value in options.items()}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("padded", [False, True], ids=["full", "padded"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", CLASSES)
def test_cross_entropy_of_class_numbers(rng, name, reduction, padded, dtype):
    """The mean of PyTorch divides by the weights of the targets; padding is what it ignores."""
    options, prediction = CLASSES[name], (3 * rng.standard_normal((N, T, F))).astype(dtype)
    target, lengths = rng.integers(F, size=(N, T)), LENGTHS if padded else None
    ignored = options.get("ignore_index", -100)
    masked = np.where(np.arange(T) < LENGTHS[:, None], target, ignored) if padded else target
    loss = losses.CrossEntropy(**our_options(options), reduction=reduction)
    found = loss.compute(prediction, target, lengths)

    def expected(p):
        theirs = their_options(options, p)
        return functional.cross_entropy(p.flatten(0, 1), tensor(masked).flatten(), reduction=reduction, **theirs)

    compare(found, prediction, expected, dtype)


@pytest.mark.parametrize("kind", ["rows", "steps"])
@pytest.mark.parametrize("name", CLASSES)
def test_cross_entropy_with_weights_of_samples(rng, name, kind):
    """PyTorch has none: its losses of each step, weighted, over the weights of the targets, weighted."""
    options, prediction = CLASSES[name], 3 * rng.standard_normal((N, T, F))
    target, (weight, weights) = rng.integers(F, size=(N, T)), step_weights(rng, kind, "float64")
    found = losses.CrossEntropy(**our_options(options)).compute(prediction, target, None, weight)
    share = VECTOR[target] if "weight" in options else np.ones((N, T))
    share = np.where(target == options.get("ignore_index", -100), 0, share)

    def expected(p):
        each = of_classes(p, tensor(target), **their_options(options, p))[..., 0]
        return (tensor(weights) * each).sum() / (weights * share).sum()

    compare(found, prediction, expected, "float64")


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("options", [{}, {"weight": VECTOR}, {"weight": VECTOR, "label_smoothing": 0.2}])
def test_cross_entropy_of_probabilities(rng, options, reduction, dtype):
    prediction = (3 * rng.standard_normal((N, T, F))).astype(dtype)
    target = rng.dirichlet(np.ones(F), (N, T)).astype(dtype)
    found = losses.CrossEntropy(**our_options(options), reduction=reduction).compute(prediction, target)

    def expected(p):
        theirs = their_options(options, p)
        return functional.cross_entropy(p.flatten(0, 1), tensor(target).flatten(0, 1), reduction=reduction, **theirs)

    compare(found, prediction, expected, dtype)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_quantiles_are_those_of_a_formula_in_pytorch(rng, reduction):
    """PyTorch has no such loss, but its automatic derivatives."""
    quantiles = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    prediction, target = rng.standard_normal((N, T, F * 3)), rng.standard_normal((N, T, F))
    found = losses.Quantile(reduction=reduction).compute(prediction, target)

    def expected(p):
        d = tensor(target)[..., None] - p.reshape(N, T, F, 3)
        value = torch.maximum(quantiles * d, (quantiles - 1) * d)
        return value.mean() if reduction == "mean" else value.sum() / (F * 3)

    compare(found, prediction, expected, "float64")
