"""Schedules by hand, their states, and what they refuse."""

import copy
import json
import math
import pickle

import numpy as np
import pytest

from clstm.schedules import (
    NAMED,
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    Function,
    OneCycle,
    ReduceOnPlateau,
    Schedule,
    Step,
    from_config,
    make,
)


def rates(schedule, count):
    return [schedule.rate(step) for step in range(count)]


def seen(schedule, values):
    """The rate after each of the values."""
    found = []
    for value in values:
        schedule.observe(value)
        found.append(schedule.rate(0))
    return found


# By hand


def test_constant():
    assert rates(Constant(), 3) == [1, 1, 1]
    assert rates(Constant(0.5), 3) == [0.5, 0.5, 0.5]


def test_step():
    assert rates(Step(3, factor=0.5), 8) == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]
    assert rates(Step(milestones=[1, 4, 4], factor=0.5), 6) == [1, 0.5, 0.5, 0.5, 0.125, 0.125]
    assert rates(Step(milestones=[]), 3) == [1, 1, 1]


def test_exponential():
    assert rates(Exponential(0.5), 4) == [1, 0.5, 0.25, 0.125]


def test_cosine():
    assert rates(Cosine(4), 7) == pytest.approx([1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2, 0, 0, 0])
    assert rates(Cosine(2, end=0.2), 4) == pytest.approx([1, 0.6, 0.2, 0.2])
    assert rates(Cosine(1), 3) == [1, 0, 0]


def test_the_warm_up_is_a_line_that_loses_no_step():
    assert rates(Cosine(5, warmup=3, end=0.5), 6) == pytest.approx([0.25, 0.5, 0.75, 1, 0.75, 0.5])
    assert rates(Cosine(6, warmup=4, start=0), 7) == pytest.approx([0, 0.25, 0.5, 0.75, 1, 0.5, 0])
    assert rates(Cosine(3, warmup=1, start=1), 2) == [1, 1]


def test_cosine_restarts():
    half = [1, 0.5]
    assert rates(CosineRestarts(2), 6) == pytest.approx(half * 3)
    four = [1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2]
    assert rates(CosineRestarts(2, growth=2, warmup=1), 9) == pytest.approx([0.5, *half, *four, 1, 0.9619397662556434])
    assert CosineRestarts(3).rate(10**12) == 1 - 0.25
    assert CosineRestarts(1, growth=2).rate(2**50 - 1) == 1


def test_one_cycle():
    schedule = OneCycle(10, pct_start=0.5, div_factor=5, final_div_factor=2, anneal="linear")
    assert rates(schedule, 12) == pytest.approx(
        [0.2, 0.4, 0.6, 0.8, 1, 0.82, 0.64, 0.46, 0.28, 0.1, 0.1, 0.1], rel=1e-14
    )
    three = OneCycle(9, pct_start=1 / 3, div_factor=5, final_div_factor=2, three_phase=True, anneal="linear")
    assert rates(three, 10) == pytest.approx([0.2, 0.6, 1, 0.6, 0.2, 0.175, 0.15, 0.125, 0.1, 0.1], rel=1e-14)
    wave = OneCycle(10, pct_start=0.5, div_factor=5)
    assert wave.rate(2) == pytest.approx(0.6)
    assert wave.rate(1) == pytest.approx(0.2 + 0.8 * (1 - math.cos(math.pi / 4)) / 2)


@pytest.mark.parametrize("pct_start", [0, 0.1, 0.05, 1])
def test_one_cycle_with_a_part_of_no_length(pct_start):
    found = rates(OneCycle(10, pct_start=pct_start), 12)
    assert np.isfinite(found).all()
    assert min(found) >= 0
    assert max(found) <= 1


def test_function():
    assert rates(Function(lambda step: step / 2), 3) == [0, 0.5, 1]
    assert rates(Function(np.float32), 3) == [0, 1, 2]


def test_plateau():
    losses = [5, 4, 4, 4, 4, 3, 3, 3, 3, 3, 3]
    assert seen(ReduceOnPlateau(0.5, patience=2), losses) == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]
    assert seen(ReduceOnPlateau(0.5, patience=0), [1, 1, 1]) == [1, 0.5, 0.25]
    assert seen(ReduceOnPlateau(0.5, patience=0, least=0.3), [1, 1, 1, 1]) == [1, 0.5, 0.3, 0.3]
    assert seen(ReduceOnPlateau(0.5, patience=0, cooldown=2), [1] * 7) == [1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]
    assert seen(ReduceOnPlateau(0.5, patience=0, mode="max"), [1, 2, 2, 1.5, 3]) == [1, 1, 0.5, 0.25, 0.25]


def test_the_rate_never_rises_to_its_least():
    assert seen(ReduceOnPlateau(0.5, patience=0, least=2), [1, 1, 1]) == [1, 1, 1]


def test_what_counts_as_better():
    def better(first, second, **options):
        return seen(ReduceOnPlateau(0.5, patience=0, **options), [first, second])[-1] == 1

    assert better(10, 8.9, threshold=0.1)
    assert not better(10, 9.1, threshold=0.1)
    assert better(10, 9.1, threshold=0.5, threshold_mode="abs")
    assert not better(10, 9.6, threshold=0.5, threshold_mode="abs")
    assert better(10, 11.1, threshold=0.1, mode="max")
    assert not better(10, 10.9, threshold=0.1, mode="max")
    assert better(10, 10.6, threshold=0.5, mode="max", threshold_mode="abs")
    assert not better(10, 10.4, threshold=0.5, mode="max", threshold_mode="abs")
    # of a negative value the same share
    assert better(-10, -11.1, threshold=0.1)
    assert not better(-10, -10.9, threshold=0.1)
    assert better(-10, -8.9, threshold=0.1, mode="max")
    assert not better(-10, -9.1, threshold=0.1, mode="max")
    assert not better(10, np.nan)
    assert not better(10, -np.inf)
    assert better(10, 1, threshold=0.5)
    assert seen(ReduceOnPlateau(0.5, patience=0, threshold=2), [np.nan, 1]) == [0.5, 0.5]


# Configuration and state

MADE = [
    Constant(0.5),
    Step(3, factor=0.5, per="step"),
    Step(milestones=[1, 5], factor=1 / 3),
    Exponential(0.9),
    Cosine(20, warmup=3, end=0.1),
    Cosine(20, warmup=3, start=0.2, per="epoch"),
    CosineRestarts(3, growth=2, warmup=2),
    OneCycle(20, pct_start=0.4, anneal="linear", three_phase=True, div_factor=3),
    ReduceOnPlateau(0.5, patience=2, mode="max", threshold_mode="abs", cooldown=1, least=0.1),
]


@pytest.mark.parametrize("schedule", MADE, ids=repr)
def test_config_repr_pickle_and_copy_make_an_equal_one(schedule):
    config = json.loads(json.dumps(schedule.config()))
    twins = (eval(repr(schedule)), pickle.loads(pickle.dumps(schedule)), copy.copy(schedule))
    for twin in (*twins, from_config(type(schedule).__name__, config)):
        assert type(twin) is type(schedule)
        assert twin.config() == schedule.config()
        assert rates(twin, 30) == rates(schedule, 30)


def test_all_schedules_are_made():
    assert {type(schedule).__name__ for schedule in MADE} == set(NAMED)


@pytest.mark.parametrize("cut", range(12))
@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_plateau_goes_on_from_its_state(cut, mode):
    values = [1 / 3, 0.3, 0.3, 0.3, 0.25, 0.3, 0.3, 0.3, 0.3, 0.3, 0.4, 0.2]
    whole = ReduceOnPlateau(1 / 3, patience=1, cooldown=1, mode=mode)
    expected = seen(whole, values)
    first, second = (ReduceOnPlateau(1 / 3, patience=1, cooldown=1, mode=mode) for _ in range(2))
    seen(first, values[:cut])
    second.load_state(json.loads(json.dumps(first.state())))
    assert seen(second, values[cut:]) == expected[cut:]
    assert second.state() == whole.state()


def test_others_have_no_state():
    schedule = Cosine(10)
    schedule.observe(1.0)
    assert schedule.state() == {}
    schedule.load_state({})
    with pytest.raises(ValueError, match="state: expected an empty dict, because Cosine"):
        schedule.load_state(ReduceOnPlateau().state())
    for state in ({}, None, {"rate": 1}):
        with pytest.raises(ValueError, match="state: expected a dict of rate, best, bad, cooling"):
            ReduceOnPlateau().load_state(state)


# What a trainer takes


def test_make():
    schedule = Cosine(3)
    assert make(schedule) is schedule
    assert make(None).rate(7) == 1
    assert make(lambda step: step).rate(7) == 7
    assert make(math.sqrt).per == "step"


@pytest.mark.parametrize(
    ("value", "got"), [("cosine", "'cosine' "), (0.1, "0.1"), (Cosine, "the class Cosine"), ([1, 2], r"\[1, 2\]")]
)
def test_what_is_no_schedule_is_refused_and_the_known_ones_are_named(value, got):
    with pytest.raises(TypeError, match=rf"schedule: expected None, a function.*clstm.schedules.OneCycle.*got {got}"):
        make(value)


def test_a_schedule_of_ones_own():
    class Halving(Schedule):
        def rate(self, step):
            return 0.5**step

    assert make(Halving("epoch")).rate(2) == 0.25
    assert repr(Halving("epoch")) == "Halving(per='epoch')"
    with pytest.raises(NotImplementedError, match="Schedule has no rate"):
        Schedule().rate(0)


@pytest.mark.parametrize(
    ("make_it", "error", "message"),
    [
        (lambda: Constant(-1), ValueError, "factor: expected a finite number, at least 0"),
        (lambda: Constant(per="batch"), ValueError, "per: expected one of 'step', 'epoch', got 'batch'"),
        (lambda: Step(), ValueError, "every: expected either it or milestones, got neither"),
        (lambda: Step(3, milestones=[4]), ValueError, "every: .*got both"),
        (lambda: Step(0), ValueError, "every: expected an int of at least 1"),
        (lambda: Step(3, factor=0), ValueError, "factor: .*above 0"),
        (lambda: Step(milestones=[5, 3]), ValueError, r"milestones: expected ints in ascending order, got \[5, 3\]"),
        (lambda: Step(milestones=[1.5]), TypeError, r"milestones\[0\]: "),
        (lambda: Step(milestones=3), TypeError, "milestones: expected a sequence"),
        (lambda: Exponential("0.9"), TypeError, "factor: "),
        (lambda: Cosine(0), ValueError, "steps: "),
        (lambda: Cosine(5, warmup=5), ValueError, "warmup: expected an int from 0 to 4, got 5"),
        (lambda: Cosine(5, start=2), ValueError, "start: expected a finite number, from 0 to 1, or None, got 2"),
        (lambda: Cosine(5, end=-1), ValueError, "end: "),
        (lambda: CosineRestarts(5, growth=0), ValueError, "growth: "),
        (lambda: CosineRestarts(5, growth=1.5), TypeError, "growth: "),
        (lambda: CosineRestarts(5, warmup=-1), ValueError, "warmup: "),
        (lambda: OneCycle(1), ValueError, "steps: expected an int of at least 2"),
        (lambda: OneCycle(10, pct_start=1.5), ValueError, "pct_start: .*from 0 to 1"),
        (lambda: OneCycle(10, pct_start=0.6, three_phase=True), ValueError, "pct_start: expected at most 0.5"),
        (lambda: OneCycle(10, anneal="cosine"), ValueError, "anneal: expected one of 'cos', 'linear'"),
        (lambda: OneCycle(10, div_factor=0), ValueError, "div_factor: "),
        (lambda: ReduceOnPlateau(1), ValueError, "factor: .*below 1"),
        (lambda: ReduceOnPlateau(patience=-1), ValueError, "patience: "),
        (lambda: ReduceOnPlateau(mode="less"), ValueError, "mode: expected one of 'min', 'max'"),
        (lambda: ReduceOnPlateau().observe("1"), TypeError, "value: "),
        (lambda: Function(3), TypeError, "function: expected a function of the step, got 3"),
        (lambda: Function(lambda step: -1).rate(2), ValueError, "function: .*got -1.0 for 2"),
        (lambda: Function(lambda step: math.nan).rate(2), ValueError, "function: .*got nan for 2"),
        (lambda: Function(lambda step: "1").rate(2), TypeError, "function: "),
        (lambda: from_config("Function", {}), ValueError, "name: .*give the function again"),
        (lambda: from_config("Sine", {}), ValueError, "name: expected one of 'Constant'"),
        (lambda: from_config("Step", []), TypeError, "config: expected a dict"),
        (lambda: from_config("Exponential", {"factor": 1}), ValueError, "config: .*without 'per'"),
    ],
)
def test_bad_arguments_are_named(make_it, error, message):
    with pytest.raises(error, match=message):
        make_it()
