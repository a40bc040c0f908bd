"""Optimisers, clipping and schedules as PyTorch has them: 50 steps in float64, to 1e-10."""

import numpy as np
import pytest

from clstm import schedules
from clstm.optimizers import ASGD, SGD, Adagrad, Adam, AdamW, Clipping, Group, RMSprop

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.compare

STEPS = 50
SHAPES = {"0.weight": (4, 3), "0.bias": (4,), "1.weight": (2, 4), "1.bias": (2,)}


@pytest.fixture(autouse=True)
def like_ours():
    """One thread: those of PyTorch wait by spinning. And its ASGD has the default dtype in the rates of its steps."""
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)


class Problem:
    """The same parameters here and there, and gradients that depend on them: of quadratic functions, with noise."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.size = sum(int(np.prod(shape)) for shape in SHAPES.values())
        self.weights = rng.standard_normal(self.size)
        self.noise = rng.standard_normal((STEPS, self.size)) * 3
        self.stops = Clipping.stops(SHAPES)
        self.params = [
            torch.nn.Parameter(torch.tensor(part.reshape(shape)))
            for part, shape in zip(np.split(self.weights, self.stops[:-1]), SHAPES.values(), strict=True)
        ]

    def gradient(self, step):
        return self.weights + self.noise[step]

    def set_gradients(self, step):
        for param, noise in zip(self.params, np.split(self.noise[step], self.stops[:-1]), strict=True):
            param.grad = param.detach() + torch.tensor(noise).reshape(param.shape)

    def of_torch(self, values=None):
        return np.concatenate([value.detach().numpy().ravel() for value in values or self.params])


def assert_follows(problem, optimizer, theirs):
    """Compares the weights after each step; returns our state."""
    state = optimizer.state_for(SHAPES)
    for step in range(STEPS):
        optimizer.update(problem.weights, problem.gradient(step), state)
        problem.set_gradients(step)
        theirs.step()
        np.testing.assert_allclose(problem.weights, problem.of_torch(), rtol=1e-10, atol=1e-10)
    return state


OPTIMIZERS = {
    "sgd": (SGD(0.1), lambda p: torch.optim.SGD(p, 0.1)),
    "momentum": (
        SGD(0.05, momentum=0.9, weight_decay=0.1),
        lambda p: torch.optim.SGD(p, 0.05, 0.9, weight_decay=0.1),
    ),
    "dampening": (SGD(0.05, momentum=0.9, dampening=0.3), lambda p: torch.optim.SGD(p, 0.05, 0.9, 0.3)),
    "nesterov": (
        SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
        lambda p: torch.optim.SGD(p, 0.05, 0.9, nesterov=True, weight_decay=0.1),
    ),
    "rmsprop": (RMSprop(), torch.optim.RMSprop),
    "rmsprop-momentum": (
        RMSprop(0.02, alpha=0.9, epsilon=1e-6, momentum=0.8, weight_decay=0.1),
        lambda p: torch.optim.RMSprop(p, 0.02, 0.9, 1e-6, 0.1, 0.8),
    ),
    "rmsprop-centered": (RMSprop(0.02, centered=True), lambda p: torch.optim.RMSprop(p, 0.02, centered=True)),
    "rmsprop-all": (
        RMSprop(0.02, alpha=0.3, momentum=0.8, weight_decay=0.1, centered=True),
        lambda p: torch.optim.RMSprop(p, 0.02, 0.3, weight_decay=0.1, momentum=0.8, centered=True),
    ),
    "adagrad": (Adagrad(), torch.optim.Adagrad),
    "adagrad-all": (
        Adagrad(0.3, learning_rate_decay=0.1, initial_accumulator=0.5, epsilon=1e-3, weight_decay=0.1),
        lambda p: torch.optim.Adagrad(p, 0.3, 0.1, 0.1, 0.5, 1e-3),
    ),
    "adam": (Adam(0.02), lambda p: torch.optim.Adam(p, 0.02)),
    "adam-decay": (
        Adam(0.02, beta1=0.8, beta2=0.99, epsilon=1e-6, weight_decay=0.1),
        lambda p: torch.optim.Adam(p, 0.02, (0.8, 0.99), 1e-6, 0.1),
    ),
    "amsgrad": (
        Adam(0.02, beta2=0.7, amsgrad=True, weight_decay=0.1),
        lambda p: torch.optim.Adam(p, 0.02, (0.9, 0.7), weight_decay=0.1, amsgrad=True),
    ),
    "adamw": (AdamW(0.02), lambda p: torch.optim.AdamW(p, 0.02)),
    "adamw-amsgrad": (
        AdamW(0.02, beta2=0.7, weight_decay=0.3, amsgrad=True),
        lambda p: torch.optim.AdamW(p, 0.02, (0.9, 0.7), weight_decay=0.3, amsgrad=True),
    ),
}
AVERAGED = {
    "asgd": (ASGD(), torch.optim.ASGD),
    "asgd-at-once": (ASGD(0.1, t0=0, lambd=0), lambda p: torch.optim.ASGD(p, 0.1, t0=0, lambd=0)),
    "asgd-all": (
        ASGD(0.1, lambd=0.05, alpha=0.6, t0=20, weight_decay=0.1),
        lambda p: torch.optim.ASGD(p, 0.1, 0.05, 0.6, 20, 0.1),
    ),
}


@pytest.mark.parametrize(("ours", "theirs"), OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_fifty_steps_are_those_of_pytorch(ours, theirs):
    problem = Problem()
    assert_follows(problem, ours, theirs(problem.params))


@pytest.mark.parametrize(("ours", "theirs"), AVERAGED.values(), ids=AVERAGED)
def test_fifty_steps_and_averages_are_those_of_pytorch(ours, theirs):
    problem = Problem()
    theirs = theirs(problem.params)
    state = assert_follows(problem, ours, theirs)
    averages = problem.of_torch([theirs.state[param]["ax"] for param in problem.params])
    np.testing.assert_allclose(ours.averaged(state), averages, rtol=1e-10, atol=1e-10)


KINDS = {
    "sgd": (SGD, torch.optim.SGD),
    "rmsprop": (RMSprop, torch.optim.RMSprop),
    "adagrad": (Adagrad, torch.optim.Adagrad),
    "adam": (Adam, torch.optim.Adam),
    "adamw": (AdamW, torch.optim.AdamW),
}


@pytest.mark.parametrize(("ours", "theirs"), KINDS.values(), ids=KINDS)
def test_groups_are_those_of_pytorch(ours, theirs):
    problem = Problem()
    ours = ours(0.02, weight_decay=0.2, decay_biases=False, groups=[Group("0.*", rate=0.5, decay=2)])
    weight0, bias0, weight1, bias1 = problem.params
    groups = [
        {"params": [weight0], "lr": 0.01, "weight_decay": 0.4},
        {"params": [bias0], "lr": 0.01, "weight_decay": 0},
        {"params": [weight1]},
        {"params": [bias1], "weight_decay": 0},
    ]
    assert_follows(problem, ours, theirs(groups, lr=0.02, weight_decay=0.2))


def test_groups_of_asgd_are_those_of_pytorch():
    problem = Problem()
    ours = ASGD(0.1, lambd=0.05, t0=20, weight_decay=0.2, groups=[Group("0.*", rate=0.5, decay=2)])
    groups = [
        {"params": problem.params[:2], "lr": 0.05, "weight_decay": 0.4, "lambd": 0.1},
        {"params": problem.params[2:]},
    ]
    theirs = torch.optim.ASGD(groups, 0.1, 0.05, t0=20, weight_decay=0.2)
    assert_follows(problem, ours, theirs)


# Clipping


@pytest.mark.parametrize("limit", [0.1, 3, 100])
def test_clipping_is_that_of_pytorch(limit):
    problem = Problem()
    for step in range(5):
        for options, clip in (
            ({"value": limit}, lambda params: torch.nn.utils.clip_grad_value_(params, limit)),
            ({"norm": limit}, lambda params: torch.nn.utils.clip_grad_norm_(params, limit)),
            ({"each_norm": limit}, lambda params: [torch.nn.utils.clip_grad_norm_(p, limit) for p in params]),
        ):
            gradient = problem.gradient(step)
            Clipping(**options)(gradient, problem.stops)
            problem.set_gradients(step)
            clip(problem.params)
            expected = problem.of_torch([param.grad for param in problem.params])
            np.testing.assert_allclose(gradient, expected, rtol=1e-13)


# Schedules

S, T = schedules, torch.optim.lr_scheduler


def warm_up(optimizer, warmup, start, then):
    line = T.LinearLR(optimizer, start, 1.0, warmup)
    return T.SequentialLR(optimizer, [line, then], [warmup])


SCHEDULES = {
    "constant": (S.Constant(0.5), lambda o: T.ConstantLR(o, 0.5, 1000)),
    "step": (S.Step(7, factor=0.7), lambda o: T.StepLR(o, 7, 0.7)),
    "milestones": (S.Step(milestones=[3, 20, 20, 41]), lambda o: T.MultiStepLR(o, [3, 20, 20, 41])),
    "exponential": (S.Exponential(0.93), lambda o: T.ExponentialLR(o, 0.93)),
    "cosine": (S.Cosine(60, end=0.02), lambda o: T.CosineAnnealingLR(o, 60, 0.02 * RATE)),
    "cosine-warm": (
        S.Cosine(60, warmup=10, start=0.1),
        lambda o: warm_up(o, 10, 0.1, T.CosineAnnealingLR(o, 50)),
    ),
    "restarts": (S.CosineRestarts(9, end=0.1), lambda o: T.CosineAnnealingWarmRestarts(o, 9, 1, 0.1 * RATE)),
    "restarts-growing": (S.CosineRestarts(7, growth=2), lambda o: T.CosineAnnealingWarmRestarts(o, 7, 2)),
    "one-cycle": (S.OneCycle(60), lambda o: T.OneCycleLR(o, RATE, 60, cycle_momentum=False)),
    "one-cycle-end": (S.OneCycle(51), lambda o: T.OneCycleLR(o, RATE, 51, cycle_momentum=False)),
    "one-cycle-linear": (
        S.OneCycle(60, pct_start=0.45, anneal="linear", div_factor=7, final_div_factor=11),
        lambda o: T.OneCycleLR(
            o,
            RATE,
            60,
            pct_start=0.45,
            anneal_strategy="linear",
            div_factor=7,
            final_div_factor=11,
            cycle_momentum=False,
        ),
    ),
    "one-cycle-three": (
        S.OneCycle(60, pct_start=0.25, three_phase=True),
        lambda o: T.OneCycleLR(o, RATE, 60, pct_start=0.25, three_phase=True, cycle_momentum=False),
    ),
    "function": (S.make(lambda step: 0.9 ** (step**0.5)), lambda o: T.LambdaLR(o, lambda step: 0.9 ** (step**0.5))),
}
RATE = 0.05


@pytest.mark.parametrize(("ours", "theirs"), SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize(
    ("kind", "torch_kind"), [KINDS["sgd"], KINDS["adamw"], KINDS["rmsprop"]], ids=["sgd", "adamw", "rmsprop"]
)
def test_fifty_steps_by_a_schedule_are_those_of_pytorch(ours, theirs, kind, torch_kind):
    problem = Problem()
    optimizer, torch_optimizer = kind(RATE, weight_decay=0.1), torch_kind(problem.params, RATE, weight_decay=0.1)
    state, scheduler = optimizer.state_for(SHAPES), theirs(torch_optimizer)
    for step in range(STEPS):
        state.rate = ours.rate(state.step)
        assert RATE * state.rate == pytest.approx(torch_optimizer.param_groups[0]["lr"], rel=1e-10, abs=1e-15)
        optimizer.update(problem.weights, problem.gradient(step), state)
        problem.set_gradients(step)
        torch_optimizer.step()
        scheduler.step()
        np.testing.assert_allclose(problem.weights, problem.of_torch(), rtol=1e-10, atol=1e-10)
    assert RATE * ours.rate(STEPS) == pytest.approx(torch_optimizer.param_groups[0]["lr"], rel=1e-10, abs=1e-15)


PLATEAUS = [
    {},
    {"patience": 3},
    {"patience": 2, "cooldown": 4},
    {"patience": 1, "threshold": 0.05},
    {"patience": 1, "threshold": 0.3, "threshold_mode": "abs"},
    {"patience": 0, "factor": 0.7, "mode": "max", "threshold": 0.05},
    {"patience": 2, "mode": "max", "threshold": 0.3, "threshold_mode": "abs"},
    {"patience": 0, "factor": 0.5, "least": 0.3},
]


@pytest.mark.parametrize("options", PLATEAUS, ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_plateaus_are_those_of_pytorch(options, seed):
    values = 3 + np.abs(np.random.default_rng(seed).standard_normal(80)) / 2 + 2 * np.cos(np.arange(80) / 12)
    values[7] = np.nan
    ours = S.ReduceOnPlateau(**options)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], RATE)
    named = {name: value for name, value in options.items() if name != "least"}
    theirs = T.ReduceLROnPlateau(optimizer, **named, min_lr=options.get("least", 0) * RATE, eps=0)
    found = set()
    for step, value in enumerate(values):
        ours.observe(value)
        theirs.step(value)
        found.add(ours.rate(step))
        assert RATE * ours.rate(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-10)
    assert len(found) > 1
