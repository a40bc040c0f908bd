"""The tasks of the benchmark: that sequences follow the rules of their task, and criteria accept and refuse.

Rules are written a second time here, in another way than in the generators. Shares are compared with probabilities
within five standard deviations.
"""

import importlib
import importlib.util
import math
import re
import sys
import types
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


def load_bench():
    """The folder of the source tree as a package, without the tree on the path."""
    spec = importlib.util.spec_from_file_location("bench", ROOT / "bench" / "__init__.py")
    package = importlib.util.module_from_spec(spec)
    sys.modules["bench"] = package
    spec.loader.exec_module(package)


if "bench" not in sys.modules:
    load_bench()
adding, copy_memory, criteria, digits, long_lags, published, reber, sequences, temporal_order, two_sequence = (
    importlib.import_module(f"bench.tasks_1997.{name}")
    for name in (
        *("adding", "copy_memory", "criteria", "digits", "long_lags", "published", "reber", "sequences"),
        *("temporal_order", "two_sequence"),
    )
)

GENERATORS = {
    "reber": reber.strings,
    "2a": lambda count, rng: long_lags.regular(count, rng, p=20),
    "2b": lambda count, rng: long_lags.irregular(count, rng, p=20),
    "2c": lambda count, rng: long_lags.distracting(count, rng, q=20, p=30),
    "3a": two_sequence.clean,
    "3b": two_sequence.noisy,
    "3c": two_sequence.noisy_targets,
    "addition": adding.addition,
    "multiplication": adding.multiplication,
    "6a": temporal_order.order,
    "6b": lambda count, rng: temporal_order.order(count, rng, relevant=3),
    "copying": lambda count, rng: copy_memory.copying(count, rng, T=30),
}
INPUTS = {"reber": 7, "2a": 21, "2b": 21, "2c": 34, "6a": 8, "6b": 8, "copying": 10}  # symbols
FEATURES = {"3a": 1, "3b": 1, "3c": 1, "addition": 2, "multiplication": 2}
OUTPUTS = {"reber": 7, "2a": 21, "2b": 21, "2c": 2, "6a": 4, "6b": 8, "copying": 9}
AT_EACH_STEP = ("reber", "2a", "2b", "copying")


def generator(seed=0):
    return np.random.default_rng(seed)


def assert_share(found, probability):
    """That so many of what was drawn (bool) are as likely as they should be."""
    found = np.asarray(found)
    deviation = math.sqrt(probability * (1 - probability) / found.size)
    assert abs(found.mean() - probability) <= 5 * deviation


def assert_uniform(values, low, high):
    """That all integers from low to high come, and nothing else, equally often."""
    count = Counter(values.tolist())
    assert sorted(count) == list(range(low, high + 1))
    for value in count:
        assert_share(values == value, 1 / (high - low + 1))


def perfect(data):
    """Outputs that are exactly what is expected."""
    return data.judged.astype(np.float64)


# All generators


@pytest.mark.parametrize("name", GENERATORS)
def test_shapes_and_types(name):
    data = GENERATORS[name](50, generator())
    N, T = data.x.shape[:2]
    assert (N, len(data)) == (50, 50)
    assert data.mask.shape == (N, T)
    assert data.mask.dtype == bool
    assert data.lengths.shape == (N,)
    assert data.lengths.max() == T  # no step that nobody needs
    assert data.y.dtype == np.float32
    K = OUTPUTS.get(name, 1)
    assert data.y.shape == ((N, T, K) if name in AT_EACH_STEP else (N, K))
    if name in INPUTS:
        assert (data.x.shape, data.x.dtype) == ((N, T), np.int64)
        assert 0 <= data.x.min() <= data.x.max() < INPUTS[name]
    else:
        assert (data.x.shape, data.x.dtype) == ((N, T, FEATURES[name]), np.float32)


@pytest.mark.parametrize("name", GENERATORS)
def test_the_error_counts_where_the_paper_says(name):
    data = GENERATORS[name](50, generator())
    steps = np.arange(data.x.shape[1])
    for row, length in enumerate(data.lengths):
        wanted = steps < length if name in AT_EACH_STEP else steps == length - 1
        assert (data.mask[row] == wanted).all()
        assert not data.x[row, length:].any()


@pytest.mark.parametrize("name", [name for name in GENERATORS if name not in ("3a", "3b", "3c")])
def test_labels_are_the_same_as_the_vectors(name):
    data = GENERATORS[name](50, generator())
    if data.labels is None:
        assert name in ("addition", "multiplication")
        return
    where = data.mask if data.labels.ndim == 2 else slice(None)
    assert (data.y[where].argmax(axis=-1) == data.labels[where]).all()
    assert (data.y[where].sum(axis=-1) == 1).all()
    if data.labels.ndim == 2:
        assert not data.y[~data.mask].any()


@pytest.mark.parametrize("name", GENERATORS)
def test_the_same_seed_gives_the_same_sequences(name):
    one, two, other = (GENERATORS[name](30, generator(seed)) for seed in (3, 3, 4))
    for field in ("x", "y", "lengths", "mask", "labels", "expected"):
        a, b = getattr(one, field), getattr(two, field)
        assert (a is None and b is None) or (a == b).all()
    assert one.x.shape != other.x.shape or not (one.x == other.x).all()


@pytest.mark.parametrize("name", GENERATORS)
def test_take(name):
    data = GENERATORS[name](30, generator())
    part = data.take(np.array([4, 2, 4]))
    for field in ("x", "y", "lengths", "mask", "labels", "expected"):
        whole, some = getattr(data, field), getattr(part, field)
        assert (whole is None and some is None) or (some == whole[[4, 2, 4]]).all()
    assert len(data.take(slice(5))) == 5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: long_lags.regular(1, generator(), p=1), "p: expected at least 2, got 1"),
        (lambda: long_lags.irregular(1, generator(), p=0), "p: expected at least 2, got 0"),
        (lambda: long_lags.distracting(1, generator(), q=0), "q: expected at least 1, got 0"),
        (lambda: long_lags.distracting(1, generator(), p=0), "p: expected at least 1, got 0"),
        (lambda: two_sequence.clean(1, generator(), T=3, N=3), "T: expected at least 4, got 3"),
        (lambda: two_sequence.noisy(1, generator(), N=0), "N: expected at least 1, got 0"),
        (lambda: adding.addition(1, generator(), T=19), "T: expected at least 20, got 19"),
        (lambda: temporal_order.order(1, generator(), relevant=4), "relevant: expected 2 or 3, got 4"),
        (lambda: copy_memory.copying(1, generator(), T=0), "T: expected at least 1, got 0"),
    ],
)
def test_sizes_that_make_no_sense(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_one_hot():
    found = sequences.one_hot(np.array([[1, 0, 2], [2, 1, 1]]), 3, np.array([3, 1]))
    wanted = np.array([[[0, 1, 0], [1, 0, 0], [0, 0, 1]], [[0, 0, 1], [0, 0, 0], [0, 0, 0]]], np.float32)
    np.testing.assert_array_equal(found, wanted, strict=True)


# Criteria


def test_largest_and_mean_errors():
    outputs, targets = np.array([[0.5, 0.0], [1.0, 0.25]]), np.array([[0.0, 0.25], [1.0, 0.0]])
    np.testing.assert_allclose(criteria.largest_errors(outputs, targets), [0.5, 0.25])
    np.testing.assert_allclose(criteria.mean_errors(outputs, targets), [0.375, 0.125])
    steps = np.stack([outputs, outputs], axis=1)
    mask = np.array([[True, False], [False, False]])
    np.testing.assert_allclose(criteria.largest_errors(steps, np.stack([targets, targets], axis=1), mask), [0.5, 0])


def test_a_nan_is_wrong():
    outputs = np.array([[0.0], [np.nan]])
    assert criteria.wrong(outputs, np.zeros((2, 1)), 0.1) == 1
    recent = criteria.Recent(0.1, size=2)
    assert not recent.add(outputs, np.zeros((2, 1)))
    assert recent.count_wrong() == 1
    nan = np.full((1, 1, 2), np.nan)
    assert not criteria.most_active(nan, np.array([[[True, False]]]), np.array([[True]]))


def test_an_error_as_large_as_the_tolerance_is_wrong():
    assert criteria.wrong(np.array([[0.25], [0.2499]]), np.zeros((2, 1)), 0.25) == 1


def test_recent_sequences_have_to_be_enough():
    recent = criteria.Recent(0.1, size=10)
    assert not recent.add(np.zeros((9, 1)), np.zeros((9, 1)))
    assert recent.solved_after is None
    assert recent.add(np.zeros((1, 1)), np.zeros((1, 1)))
    assert (recent.seen, recent.solved_after) == (10, 10)


def test_recent_sequences_forget_old_errors():
    recent = criteria.Recent(0.1, size=10)
    recent.add(np.ones((3, 1)), np.zeros((3, 1)))
    met = [recent.add(np.zeros((1, 1)), np.zeros((1, 1))) for _ in range(11)]
    assert met == [False] * 9 + [True] * 2
    assert recent.solved_after == 13
    assert not recent.add(np.ones((1, 1)), np.zeros((1, 1)))
    assert recent.solved_after == 13  # the first time counts


def test_recent_sequences_with_some_wrong_ones():
    recent = criteria.Recent(0.1, wrong_below=3, size=10)
    assert not recent.add(np.zeros((9, 1)), np.zeros((9, 1)))  # ten have to have come
    recent = criteria.Recent(0.1, wrong_below=3, size=10)
    outputs = np.zeros((10, 1))
    outputs[:3] = 1
    assert not recent.add(outputs, np.zeros((10, 1)))
    assert recent.count_wrong() == 3
    assert recent.add(np.zeros((1, 1)), np.zeros((1, 1)))


def test_recent_sequences_have_a_mean_error():
    recent = criteria.Recent(0.3, mean_below=0.1, size=4)
    assert not recent.add(np.full((4, 2), 0.2), np.zeros((4, 2)))  # all right, but not close
    assert recent.add(np.full((3, 2), 0.05), np.zeros((3, 2)))


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_batches_do_not_change_what_is_recent(batch):
    rng = generator()
    outputs = rng.uniform(0, 0.2, (448, 1)) * (np.arange(448) < 300)[:, np.newaxis]
    recent = criteria.Recent(0.1, size=64)
    met = [recent.add(outputs[k : k + batch], np.zeros((batch, 1))) for k in range(0, 448, batch)]
    last = np.flatnonzero(outputs[:, 0] >= 0.1)[-1]
    exactly = last + 1 + 64
    assert recent.solved_after == -(-exactly // batch) * batch
    assert met[-1]


# Experiment 1: embedded Reber grammar

LOOP = "T*V(?:PXT*V)*(?:V|PS)"
REBER = f"B(?:TS*X(?:S|X{LOOP})|P{LOOP})E"
EMBEDDED = re.compile(f"B(?:T{REBER}T|P{REBER}P)E")
# From https://www.willamette.edu/~gorr/classes/cs449/reber.html
GOOD = ("BTSSXXTVVE", "BPVVE", "BTXXVPSE", "BPVPXVPXVPXVVE", "BTSXXVPSE")
BAD = ("BTSSPXSE", "BPTVVB", "BTXXVVSE", "BPVSPSE", "BTSSSE")
# All of length 8, from https://jamesmccaffrey.wordpress.com/2015/08/26/programmatically-generating-reber-grammar-strings
EIGHT = {"BTSSSXSE", "BPTTTVVE", "BTXXVPSE", "BPTTVPSE", "BPVPXVVE", "BTSXXVVE", "BTXXTVVE"}
COMPLETIONS = ("TXSE", "XSE", "VVE", "SE", "VE", "E", "")  # from each state of the grammar


def inner_strings(count, seed):
    symbols, _, lengths = reber.walk(count, generator(seed))
    return ["".join(reber.SYMBOLS[k] for k in row[:length]) for row, length in zip(symbols, lengths)]


def test_the_expression_of_the_test_knows_the_grammar():
    assert all(re.fullmatch(REBER, text) for text in GOOD)
    assert not any(re.fullmatch(REBER, text) for text in BAD)
    assert all(re.fullmatch(REBER, text) for text in EIGHT)


def test_strings_of_the_reber_grammar():
    texts = inner_strings(20_000, seed=1)
    assert all(re.fullmatch(REBER, text) for text in texts)
    assert {text for text in texts if len(text) == 8} == EIGHT
    assert min(map(len, texts)) == 5


def test_strings_of_the_embedded_grammar():
    data = reber.strings(20_000, generator(1))
    texts = reber.texts(data)
    assert all(EMBEDDED.fullmatch(text) for text in texts)
    assert all(text[1] == text[-2] for text in texts)
    assert min(map(len, texts)) == 9  # the shortest lag of the paper
    assert (data.lengths == [len(text) - 1 for text in texts]).all()


def test_choices_of_the_grammar_are_fair():
    texts = reber.texts(reber.strings(20_000, generator(2)))
    assert_share([text[1] == "T" for text in texts], 1 / 2)
    assert_share([text[3] == "T" for text in texts], 1 / 2)
    assert_share([text[4] == "S" for text in texts if text[3] == "T"], 1 / 2)
    assert_share([text[4] == "T" for text in texts if text[3] == "P"], 1 / 2)
    assert_share([text[2:-2] == "BTXSE" for text in texts], 1 / 8)
    assert_share([text[2:-2] == "BPVVE" for text in texts], 1 / 8)


def test_possible_symbols_are_those_that_can_be_completed():
    data = reber.strings(150, generator(3))
    for row, text in enumerate(reber.texts(data)):
        ends = {f"{middle}{branch}E" for middle in COMPLETIONS for branch in "TP"} | {"E", ""}
        ends |= {f"{outer}BPVVE{outer}E" for outer in "TP"} | {f"BPVVE{outer}E" for outer in "TP"}
        for step in range(len(text) - 1):
            begun = text[: step + 1]
            can = [any(EMBEDDED.fullmatch(begun + symbol + end) for end in ends) for symbol in reber.SYMBOLS]
            assert data.expected[row, step].tolist() == can


def test_what_comes_is_possible():
    data = reber.strings(500, generator(4))
    assert (data.expected & (data.y > 0)).sum() == data.mask.sum()
    assert not data.expected[~data.mask].any()


def test_training_and_test_set():
    training, test = reber.training_and_test(generator(5))
    assert (len(training), len(test)) == (256, 256)
    assert not set(reber.texts(training)) & set(reber.texts(test))
    assert all(EMBEDDED.fullmatch(text) for text in reber.texts(test))


def test_reber_criterion():
    data = reber.strings(100, generator(6))
    outputs = np.where(data.expected, 0.4, 0.3)
    assert reber.is_solved(outputs, data)
    beyond = outputs.copy()
    beyond[~data.mask] = generator().uniform(size=7)
    assert reber.is_solved(beyond, data)
    forgot = outputs.copy()  # T or P before the end, without knowing which one
    forgot[np.arange(100), data.lengths - 2] = np.isin(np.arange(7), (reber.T, reber.P))
    assert not reber.is_solved(forgot, data)
    equal = outputs.copy()
    equal[3, 2] = 0.5
    assert not reber.is_solved(equal, data)
    one_of_two = outputs.copy()
    one_of_two[0, 0] = np.arange(7) == reber.T
    assert not reber.is_solved(one_of_two, data)


# Experiment 2: long time lags


def test_regular_sequences():
    data = long_lags.regular(1000, generator(), p=100)
    seen = {(*row, end) for row, end in zip(data.x.tolist(), data.labels[:, -1].tolist())}
    x, y, middle = 99, 100, tuple(range(99))
    assert seen == {(x, *middle, x), (y, *middle, y)}
    assert_share(data.x[:, 0] == y, 1 / 2)
    assert (data.x[:, 1:] == data.labels[:, :-1]).all()


def test_irregular_sequences():
    data = long_lags.irregular(2000, generator(), p=10)
    assert (data.x[:, 0] == data.labels[:, -1]).all()
    assert (data.x[:, 1:] == data.labels[:, :-1]).all()
    assert data.x.shape == (2000, 10)
    assert_uniform(data.x[:, 0], 9, 10)
    assert_uniform(data.x[:, 1:].ravel(), 0, 8)


@pytest.mark.parametrize(("q", "p"), [(20, 20), (20, 5), (5, 40)])
def test_distracting_sequences(q, p):
    data = long_lags.distracting(4000, generator(), q=q, p=p)
    e, b, x, y = range(p, p + 4)
    assert data.lengths.min() == q + 3  # with the symbol that is to be predicted q + 4
    middle = []
    for row, length, label in zip(data.x, data.lengths, data.labels):
        assert row[0] == b
        assert row[1] == (x, y)[label]
        assert row[length - 1] == e
        middle.extend(row[2 : length - 1].tolist())
    assert_uniform(np.array(middle), 0, p - 1)
    assert_uniform(data.labels, 0, 1)


def test_lengths_of_distracting_sequences():
    lengths = long_lags.distracting(20_000, generator(1), q=50, p=50).lengths + 1
    assert abs(lengths.mean() - (50 + 13)) < 5 * math.sqrt(90 / 20_000)  # deviation of a geometric number
    for k in range(5):
        assert_share(lengths == 50 + 4 + k, 0.1 * 0.9**k)


@pytest.mark.parametrize(
    ("make", "judge", "limit"),
    [
        (long_lags.regular, long_lags.is_solved_regular, 0.25),
        (long_lags.irregular, long_lags.is_solved_irregular, 0.25),
        (long_lags.distracting, long_lags.is_solved_distracting, 0.2),
    ],
    ids=["2a", "2b", "2c"],
)
def test_criteria_of_long_lags(make, judge, limit):
    data = make(40, generator(), p=12)
    assert judge(perfect(data), data)
    assert judge(np.abs(perfect(data) - 0.99 * limit), data)
    flawed = perfect(data)
    last = flawed[7] if flawed.ndim == 2 else flawed[7, -1]
    last[:] = 1 - last
    assert not judge(flawed, data)


def test_only_the_end_is_judged_without_regularities():
    data = long_lags.irregular(40, generator(), p=12)
    outputs = perfect(data)
    outputs[:, :-1] = 1 / 11
    assert long_lags.is_solved_irregular(outputs, data)
    assert not long_lags.is_solved_regular(outputs, data)


# Experiment 3: two sequences


@pytest.mark.parametrize("N", [1, 3])
@pytest.mark.parametrize("make", [two_sequence.clean, two_sequence.noisy_targets])
def test_first_elements_without_noise(make, N):
    data = make(3000, generator(), T=40, N=N)
    assert (data.x[:, :N, 0] == (1 - 2 * data.labels)[:, np.newaxis]).all()
    assert_uniform(data.labels, 0, 1)
    assert_uniform(data.lengths, 40, 44)


@pytest.mark.parametrize("make", [two_sequence.clean, two_sequence.noisy, two_sequence.noisy_targets])
def test_noise_has_a_variance_of_a_fifth(make):
    data = make(2000, generator(1), T=100, N=3)
    rest = np.concatenate([row[3:length, 0] for row, length in zip(data.x, data.lengths)])
    assert abs(rest.mean()) < 5 * math.sqrt(0.2 / rest.size)
    assert abs(rest.var() - 0.2) < 5 * 0.2 * math.sqrt(2 / rest.size)


def test_first_elements_with_noise():
    data = two_sequence.noisy(4000, generator(2), T=40, N=3)
    noise = data.x[:, :3, 0] - (1 - 2 * data.labels)[:, np.newaxis]
    assert abs(noise.mean()) < 5 * math.sqrt(0.2 / noise.size)
    assert abs(noise.var() - 0.2) < 5 * 0.2 * math.sqrt(2 / noise.size)


def test_targets_of_two_sequences():
    for make in (two_sequence.clean, two_sequence.noisy):
        data = make(100, generator(3))
        assert (data.y[:, 0] == np.where(data.labels == 0, 1, 0)).all()  # class 1 is the label 0
    data = two_sequence.noisy_targets(20_000, generator(3), T=20)
    np.testing.assert_allclose(data.expected[:, 0], np.where(data.labels == 0, 0.2, 0.8), rtol=1e-6)
    noise = data.y - data.expected
    assert abs(noise.mean()) < 5 * math.sqrt(0.1 / noise.size)
    assert abs(noise.var() - 0.1) < 5 * 0.1 * math.sqrt(2 / noise.size)


def test_criteria_of_two_sequences():
    data = two_sequence.clean(256, generator(4))
    right = perfect(data)
    assert two_sequence.st2(right, data)
    one = right.copy()
    one[5] = 0.5
    assert two_sequence.misclassified(one, data) == 1
    assert not two_sequence.st1(one, data)
    assert not two_sequence.st2(one, data)
    coarse = np.abs(right - 0.02)
    assert two_sequence.st1(coarse, data)
    assert not two_sequence.st2(coarse, data)


def test_criteria_of_two_sequences_with_noise():
    data = two_sequence.noisy(256, generator(5))
    outputs = perfect(data)
    outputs[:5] = 0.5
    assert two_sequence.st1(outputs, data, noisy=True)
    assert two_sequence.st2(outputs, data, noisy=True)
    assert not two_sequence.st2(np.abs(outputs - 0.05), data, noisy=True)
    outputs[5] = 0.5
    assert not two_sequence.st1(outputs, data, noisy=True)


def test_criterion_of_noisy_targets():
    data = two_sequence.noisy_targets(256, generator(6))
    right = perfect(data)
    assert two_sequence.is_solved_noisy_targets(right, data)
    assert not two_sequence.is_solved_noisy_targets(data.y, data)
    assert not two_sequence.is_solved_noisy_targets(right + 0.016, data)
    one = right.copy()
    one[0] += 0.11
    assert not two_sequence.is_solved_noisy_targets(one, data)


# Experiments 4 and 5: adding and multiplication


@pytest.mark.parametrize("T", [20, 100])
def test_marks(T):
    data = adding.addition(20_000, generator(), T=T)
    assert_uniform(data.lengths, T, T + T // 10)
    first_marked = 0
    for row, length in zip(data.x, data.lengths):
        marks = row[:length, 1]
        assert marks[0] == marks[-1] == -1
        places = np.flatnonzero(marks == 1)
        assert set(marks.tolist()) <= {-1, 0, 1}
        assert (marks[1:-1] >= 0).all()
        assert len(places) in (1, 2)
        assert places[0] < 10 or len(places) == 1
        assert places[-1] < T // 2
        first_marked += len(places) == 1
    share = 1 / 10 + 9 / 10 / (T // 2 - 1)
    assert_share(np.arange(20_000) < first_marked, share)


def test_places_of_the_marks():
    places = adding.marks(20_000, generator(1), 100)
    assert_uniform(places[:, 0], 0, 9)
    assert (places[:, 0] != places[:, 1]).all()
    for first in range(10):  # the second is one of the 49 that are left of the first 50
        second = places[places[:, 0] == first, 1]
        assert sorted(set(second.tolist())) == [place for place in range(50) if place != first]
    assert_share(places[:, 1] == 30, 1 / 49)


@pytest.mark.parametrize(("make", "low"), [(adding.addition, -1), (adding.multiplication, 0)])
def test_numbers_are_uniform(make, low):
    data = make(2000, generator(2), T=100)
    numbers = np.concatenate([row[1:length, 0] for row, length in zip(data.x, data.lengths)])
    assert low <= numbers.min() <= numbers.max() <= 1
    for share in (1 / 4, 1 / 2, 3 / 4):
        assert_share(numbers < low + (1 - low) * share, share)


@pytest.mark.parametrize("T", [20, 100])
def test_sums_and_products(T):
    data = adding.addition(5000, generator(3), T=T)
    for row, target in zip(data.x, data.y):
        total = sum(float(number) for number, mark in row if mark == 1)
        assert abs(target[0] - (0.5 + total / 4)) < 1e-6
    data = adding.multiplication(5000, generator(3), T=T)
    for row, target in zip(data.x, data.y):
        product = math.prod(float(number) for number, mark in row if mark == 1)
        assert abs(target[0] - product) < 1e-6


def test_a_marked_first_pair_counts_for_nothing():
    for make, neutral in ((adding.addition, 0), (adding.multiplication, 1)):
        data = make(5000, generator(4))
        alone = (data.x[..., 1] == 1).sum(axis=1) == 1
        assert (data.x[alone, 0, 0] == neutral).all()
        assert not (data.x[~alone, 0, 0] == neutral).any()


def test_criterion_of_addition():
    data = adding.addition(2100, generator(5))
    recent = adding.addition_criterion()
    assert recent.add(data.y[:2000], data.y[:2000])
    assert not adding.addition_criterion().add(data.y[:2000] + 0.011, data.y[:2000])  # all right, mean too large
    wrong = data.y[:2000].copy()
    wrong[1500] += 0.041
    assert not adding.addition_criterion().add(wrong, data.y[:2000])


@pytest.mark.parametrize("n_seq", [13, 140])
def test_criterion_of_multiplication(n_seq):
    data = adding.multiplication(2000, generator(6))
    outputs = data.y.copy()
    outputs[: n_seq - 1] += 0.05
    assert adding.multiplication_criterion(n_seq).add(outputs, data.y)
    outputs[n_seq - 1] += 0.05
    assert not adding.multiplication_criterion(n_seq).add(outputs, data.y)


# Experiment 6: temporal order

RULES = {
    2: {"XX": "Q", "XY": "R", "YX": "S", "YY": "U"},
    3: dict(zip(("XXX", "XXY", "XYX", "XYY", "YXX", "YXY", "YYX", "YYY"), "QRSUVABC")),
}


@pytest.mark.parametrize("relevant", [2, 3])
def test_temporal_order(relevant):
    data = temporal_order.order(20_000, generator(), relevant)
    assert_uniform(data.lengths, 100, 110)
    found, others = [], Counter()
    for row, length, label in zip(data.x, data.lengths, data.labels):
        text = "".join(temporal_order.SYMBOLS[k] for k in row[:length])
        assert re.fullmatch("E[abcdXY]+B", text)
        places = [match.start() + 1 for match in re.finditer("[XY]", text)]
        assert len(places) == relevant
        found.append(places)
        word = "".join(text[place - 1] for place in places)
        assert RULES[relevant][word] == temporal_order.CLASSES[relevant][label]
        others.update(text[1:60].replace("X", "").replace("Y", ""))
    for k, (low, high) in enumerate(((10, 20), (50, 60)) if relevant == 2 else ((10, 20), (33, 43), (66, 76))):
        assert_uniform(np.array(found)[:, k], low, high)
    assert_uniform(data.labels, 0, 2**relevant - 1)
    total = sum(others.values())
    for symbol in "abcd":
        assert abs(others[symbol] / total - 1 / 4) < 5 * math.sqrt(3 / 16 / total)


@pytest.mark.parametrize("relevant", [2, 3])
def test_criterion_of_temporal_order(relevant):
    data = temporal_order.order(2000, generator(1), relevant)
    assert temporal_order.criterion().add(data.y, data.y)
    assert not temporal_order.criterion().add(np.abs(data.y - 0.11), data.y)  # all right, mean too large
    one = data.y.copy()
    one[1999] = np.abs(one[1999] - 0.3)
    assert not temporal_order.criterion().add(one, data.y)


# Copy memory


def test_copying():
    data = copy_memory.copying(3000, generator(), T=25)
    assert data.x.shape == (3000, 45)
    assert (data.x[:, 10:34] == 8).all()  # T - 1 blanks
    assert (data.x[:, 34] == 9).all()
    assert (data.x[:, 35:] == 8).all()
    assert (data.labels[:, :35] == 8).all()
    assert (data.labels[:, 35:] == data.x[:, :10]).all()
    assert_uniform(data.x[:, :10].ravel(), 0, 7)


@pytest.mark.parametrize("T", [1, 100, 500])
def test_baseline_of_copying(T):
    data = copy_memory.copying(50, generator(), T=T)
    guess = np.zeros(data.y.shape)
    guess[:, : T + 10, 8] = 1
    guess[:, T + 10 :, :8] = 1 / 8
    given = guess[data.y > 0]
    assert given.size == 50 * (T + 20)
    assert copy_memory.baseline(T) == pytest.approx(-np.log(given).mean(), rel=1e-12)


def test_baseline_is_the_published_formula():
    assert copy_memory.baseline(100) == pytest.approx(0.17328679513998632)  # 10 log(8) / 120
    assert copy_memory.baseline(500) == pytest.approx(10 * math.log(8) / 520)


def test_share_copied():
    data = copy_memory.copying(100, generator(), T=5)
    assert copy_memory.share_copied(data.y, data) == 1
    blank = np.zeros(data.y.shape)
    blank[..., 8] = 1
    assert copy_memory.share_copied(blank, data) == 0
    guess = generator().uniform(size=(2000, 25, 8))
    many = copy_memory.copying(2000, generator(1), T=5)
    assert abs(copy_memory.share_copied(guess, many) - 1 / 8) < 5 * math.sqrt(7 / 64 / 20_000)


# Digits


@pytest.fixture
def fake_digits(monkeypatch):
    images = np.arange(3 * 64).reshape(3, 8, 8) % 17.0
    module = types.ModuleType("sklearn.datasets")
    module.load_digits = lambda: types.SimpleNamespace(images=images, target=np.array([3, 0, 9]))
    monkeypatch.setitem(sys.modules, "sklearn", types.ModuleType("sklearn"))
    monkeypatch.setitem(sys.modules, "sklearn.datasets", module)
    return images


@pytest.fixture
def fake_mnist1d(monkeypatch):
    module = types.ModuleType("mnist1d.data")
    module.get_dataset_args = lambda: {"num_samples": 5}
    x = np.arange(5 * 40.0).reshape(5, 40)
    parts = {"x": x[:4], "y": np.arange(4), "x_test": x[4:], "y_test": np.array([7])}
    module.make_dataset = lambda args: parts if args == {"num_samples": 5} else None
    monkeypatch.setitem(sys.modules, "mnist1d", types.ModuleType("mnist1d"))
    monkeypatch.setitem(sys.modules, "mnist1d.data", module)
    return x


def test_digits_as_rows_and_pixels(fake_digits):
    rows, pixels = digits.rows(), digits.pixels()
    assert (rows.x.shape, pixels.x.shape) == ((3, 8, 8), (3, 64, 1))
    assert rows.x.dtype == pixels.x.dtype == np.float32
    np.testing.assert_allclose(rows.x, fake_digits / 16)
    np.testing.assert_allclose(pixels.x[:, 9, 0], fake_digits[:, 1, 1] / 16)
    for data in (rows, pixels):
        assert data.labels.tolist() == [3, 0, 9]
        assert (data.lengths == data.x.shape[1]).all()
        assert (data.mask.sum(axis=1) == 1).all()
        assert data.mask[:, -1].all()
        assert (data.y.argmax(axis=1) == data.labels).all()


def test_mnist1d(fake_mnist1d):
    training, test = digits.mnist1d()
    assert (training.x.shape, test.x.shape) == ((4, 40, 1), (1, 40, 1))
    np.testing.assert_array_equal(training.x[..., 0], fake_mnist1d[:4].astype(np.float32))
    assert (training.labels.tolist(), test.labels.tolist()) == ([0, 1, 2, 3], [7])


@pytest.mark.parametrize(
    ("load", "package", "module"),
    [(digits.rows, "scikit-learn", "sklearn.datasets"), (digits.mnist1d, "mnist1d", "mnist1d.data")],
    ids=["rows", "mnist1d"],
)
def test_a_package_that_is_not_there_is_named(monkeypatch, load, package, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        load()


def test_the_digits_of_scikit_learn():
    pytest.importorskip("sklearn")
    rows, pixels = digits.rows(), digits.pixels()
    assert (rows.x.shape, pixels.x.shape) == ((1797, 8, 8), (1797, 64, 1))
    assert (rows.x.min(), rows.x.max()) == (0, 1)
    assert sorted(set(rows.labels.tolist())) == list(range(10))
    np.testing.assert_array_equal(rows.x.reshape(1797, 64), pixels.x[..., 0])


@pytest.mark.filterwarnings("default")  # what it imports may warn
def test_the_signals_of_mnist1d():
    pytest.importorskip("mnist1d")
    training, test = digits.mnist1d()
    assert (training.x.shape, test.x.shape) == ((4000, 40, 1), (1000, 40, 1))
    assert Counter(np.concatenate([training.labels, test.labels]).tolist()) == dict.fromkeys(range(10), 500)
    again, _ = digits.mnist1d()
    np.testing.assert_array_equal(training.x, again.x)


def test_split(fake_digits):
    training, test = digits.split(digits.rows(), 1, generator())
    assert (len(training), len(test)) == (2, 1)
    assert sorted((*training.labels, *test.labels)) == [0, 3, 9]


def test_accuracy(fake_digits):
    data = digits.rows()
    outputs = data.y.copy()
    assert digits.accuracy(outputs, data) == 1
    outputs[0] = np.arange(10) == 5
    assert digits.accuracy(outputs, data) == pytest.approx(2 / 3)


# What the paper reports


@pytest.mark.parametrize("row", published.CONDITIONS, ids=lambda row: row.task)
def test_the_published_number_of_weights_follows_from_the_architecture(row):
    assert published.weights_of(row) == row.weights


@pytest.mark.parametrize("row", published.CONDITIONS, ids=lambda row: row.task)
def test_each_row_of_the_conditions_has_a_result(row):
    found = [result for result in published.results(row.task) if result.method == "LSTM"]
    assert found
    for result in found:
        assert result.weights == row.weights
        assert result.learning_rate == row.learning_rate
        assert result.sequences > 0
        assert re.fullmatch(r"table [1-9]|section 5\.2", result.source)


@pytest.mark.parametrize("row", published.CONDITIONS, ids=lambda row: row.task)
def test_biases_of_gates_are_one_for_each_block(row):
    for biases in (row.output_gate_bias, row.input_gate_bias):
        assert biases in (None, published.RANDOM) or len(biases) == row.blocks


def test_weights_of_other_methods_in_table_2_follow_from_theirs():
    for result in published.results("2a"):
        p = int(result.setting.removeprefix("p="))
        if result.method in ("RTRL", "BPTT"):  # a recurrent unit and p+1 outputs, each layer fed by all below
            assert result.weights == (p + 2) ** 2


def test_published_figures():
    assert published.conditions("6a").input_gate_bias == (-2, -4)
    assert [row.sequences for row in published.results("6a")] == [31_390]
    assert [row.sequences for row in published.results("4")] == [74_000, 209_000, 853_000]
    assert min(row.sequences for row in published.results("1") if row.method == "LSTM") == 8_440
    assert len(published.results("2c")) == 9


@pytest.mark.parametrize(
    ("task", "inputs", "outputs"), [("6a", 8, 4), ("6b", 8, 8), ("4-1", 2, 1), ("3a", 1, 1), ("2c-1", 54, 2)]
)
def test_published_sizes_are_those_of_the_generators(task, inputs, outputs):
    made = {
        "6a": temporal_order.order,
        "6b": lambda count, rng: temporal_order.order(count, rng, relevant=3),
        "4-1": adding.addition,
        "3a": two_sequence.clean,
        "2c-1": long_lags.distracting,
    }[task](300, generator())
    row = published.conditions(task)
    assert (row.inputs, row.outputs) == (inputs, outputs)
    assert made.y.shape[1] == outputs
    assert (made.x.max() + 1 if made.x.ndim == 2 else made.x.shape[2]) == inputs


@pytest.mark.parametrize(("task", "relevant", "lag"), [("6a", 2, 40), ("6b", 3, 24)])
def test_the_published_lag_of_the_temporal_order(task, relevant, lag):
    data = temporal_order.order(20_000, generator(), relevant)
    last = data.x.shape[1] - 1 - np.argmax(np.isin(data.x, (4, 5))[:, ::-1], axis=1)
    assert (data.lengths - 1 - last).min() == lag == published.conditions(task).lag


def test_the_published_lag_of_adding():
    data = adding.addition(20_000, generator())
    last = data.x.shape[1] - 1 - np.argmax((data.x[..., 1] == 1)[:, ::-1], axis=1)
    assert (data.lengths - 1 - last).min() == 50 == published.conditions("4-1").lag
