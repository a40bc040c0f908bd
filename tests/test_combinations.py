"""All options of recurrent layers together, in random combinations: every result and every gradient against the NumPy
twin (`reference_cells.py`), on every instruction set.

A combination is drawn by a seed and a number, with which its test id begins. A run has the same ones everywhere;
``python3 dev.py test tests/test_combinations.py --combinations 5000 --combinations-seed 1`` has others.

What can be drawn is listed here, what there is to draw is asked of the constructors and of forward and backward: an
option that is not listed fails a test.
"""

import inspect
from dataclasses import dataclass, replace

import numpy as np
import pytest
import reference_cells as twin
from cases import LAYERS, NOISE, TOLERANCE, Case, close, doubles, given, members, same_results, settings, tolerance_of

import clstm
from clstm import _core

FLAGS, LIMITS, ACTIVATIONS, RATES = (False, True), (None, 0.3, 0.7, 1.5), tuple(twin.ACTIVATIONS), (0.0, 0.1, 0.5)
OPTIONS = {  # the values of each option of a constructor; the first is the usual one
    "peephole": FLAGS,
    "coupled": FLAGS,
    "forget_gate": (True, False),
    "clip": LIMITS,
    "cell_clip": LIMITS,
    "proj_size": (0, 1, 5, 16, 20),
    "layer_norm": FLAGS,
    "reset_after": (True, False),
    "merge": ("concat", "sum", "mean", "product"),
    "output": ("h", "c"),
    "gradient_clip": LIMITS,
    "gate_activation": ("sigmoid", *ACTIVATIONS),
    "candidate_activation": ("tanh", *ACTIVATIONS),
    "output_activation": ("tanh", *ACTIVATIONS),
    "activation": ("tanh", *ACTIVATIONS),
    "go_backwards": FLAGS,
    **dict.fromkeys(("dropout", "input_dropout", "recurrent_dropout", "weight_drop"), RATES),
    **dict.fromkeys(("zoneout_h", "zoneout_c"), RATES),
    "input_noise": (0.0, 0.5),
}
DRAWN_WITH_THE_SIZES = {"num_layers", "bidirectional", "bias", "dtype"}
OF_STARTING_WEIGHTS = {"init", "rng"}  # parameters are random here anyway
OF_THE_START = {"learned_state"}  # of which the twin knows nothing: test_outputs.py
FORWARD = {"x", "state", "lengths", "noise"} | {"memory", "mask", "resets"}  # which have tests of their own:
# test_long.py, test_pieces.py and test_pieces_options.py
BACKWARD = {"tape", "dy", "dstate", "grads", "need_dx", "bptt"}
EXCLUDED = [
    {"coupled": True, "forget_gate": False},
    {"layer_norm": True, "forget_gate": False},
    {"bidirectional": True, "go_backwards": True},
    *({"bidirectional": False, "merge": merge} for merge in ("sum", "mean", "product")),
]
WIDE = {"relu", "identity", "centered_sigmoid_2"}  # gates beyond 1, with which states would grow from step to step

# Each size of a vector, one less and one more; then what needs several panels of weights, and several tiles of rows
HIDDEN = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 63, 64, 65)
INPUTS = (1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 33)
ROWS = (1, 1, 2, 3, 4, 5, 6, 7, 8, 13, 20)
STEPS = (1, 2, 3, 4, 5, 6, 7, 9, 12)
SYMBOLS = 3  # few, so that a network multiplies their vectors and not those of all steps
MARGIN = 3e-6  # several rounding errors of float32
LEAST = 1e-30
GROWTH = 100  # of an error of 1e-7, which leaves a tenth of the tolerance


@dataclass(frozen=True)
class Combination(Case):
    """A case, and how its layer is called."""

    name: str = ""
    backend: str = "auto"
    threads: int = 1
    symbols: bool = False  # behind an Embedding, in a network
    without: tuple = ()  # which parts of the state, of dstate, or dy are None
    added: bool = False  # gradients are added to arrays that are passed
    need_dx: bool = True
    bptt: int = None
    noise: clstm.Noise = None
    init = "pytorch"  # without the factorisations of orthogonal matrices, which take most of the time

    def __str__(self):
        call = [self.backend, f"threads{self.threads}", *(f"no_{name}" for name in self.without)]
        call += [name for name in ("symbols", "added") if getattr(self, name)] + ["no_dx"] * (not self.need_dx)
        call += [f"bptt{self.bptt}"] * (self.bptt is not None) + [repr(self.noise)] * (self.noise is not None)
        return "-".join([self.name, super().__str__(), *call])


def drawn(seed, number):
    """Combination `number` of a seed."""
    rng = np.random.default_rng((seed, number))
    kind = one(rng, ("lstm", "lstm", "gru", "rnn"))
    N, T, H = one(rng, ROWS), one(rng, STEPS), one(rng, HIDDEN)
    bidirectional = chance(rng, 0.4)
    options = options_drawn(rng, kind, bidirectional)
    return Combination(
        kind,
        tuple((name, value) for name, value in options.items() if value != OPTIONS[name][0]),
        N=N,
        T=T,
        I=one(rng, INPUTS),
        H=H,
        L=one(rng, (1, 1, 2, 3)),
        bidirectional=bidirectional,
        lengths=tuple(int(n) for n in rng.integers(0, T + 1, N)) if chance(rng, 0.5) else None,
        bias=chance(rng, 0.8),
        seed=int(rng.integers(2**31)),
        name=f"{seed}:{number}",
        backend=one(rng, ("native", "native", "blas")),
        threads=one(rng, (1, 2, 3)),
        symbols=chance(rng, 0.2),
        without=without_drawn(rng, "hc" if kind == "lstm" else "h"),
        added=chance(rng, 0.2),
        need_dx=chance(rng, 0.8),
        bptt=int(rng.integers(1, T + 2)) if chance(rng, 0.25) else None,
        noise=noise_drawn(rng, N) if any(options.get(name) for name in NOISE) else None,
    )


def one(rng, values):
    return values[rng.integers(len(values))]


def chance(rng, p):
    return bool(rng.random() < p)


def options_drawn(rng, kind, bidirectional):
    """A value for each option of a kind, of which no two exclude each other."""
    names = known_options(kind)
    options = {name: one(rng, OPTIONS[name][1:]) if chance(rng, 0.3) else OPTIONS[name][0] for name in names}
    for excluded in EXCLUDED:
        both = options | {"bidirectional": bidirectional}
        if all(both.get(name) == value for name, value in excluded.items()):
            name = one(rng, [name for name in excluded if name in options])
            options[name] = OPTIONS[name][0]
    if options.get("gate_activation") in WIDE:
        options["clip"] = min(options["clip"] or 0.7, 0.7)
    return options


def without_drawn(rng, members):
    """Which parts of the state and of the gradients are None; some gradient there has to be."""
    parts = ["dy", *(f"{name}_{part}" for name in ("state", "dstate") for part in members)]
    without = [part for part in parts if chance(rng, 0.2)]
    if all(f"dstate_{part}" in without for part in members):
        without = [part for part in without if part != "dy"]
    return tuple(without)


def noise_drawn(rng, N):
    """From a seed alone, or of some rows and steps of something larger."""
    seed = int(rng.integers(2**63))
    if chance(rng, 0.5):
        return clstm.Noise(seed)
    return clstm.Noise(seed, rng.permutation(3 * N)[:N].tolist(), int(rng.integers(1000)))


def options_of(kind):
    """What the constructor takes, beside the sizes and what has to do with starting weights."""
    found = inspect.signature(LAYERS[kind]).parameters.values()
    names = [p.name for p in found if p.kind is inspect.Parameter.KEYWORD_ONLY]
    return [name for name in names if name not in DRAWN_WITH_THE_SIZES | OF_STARTING_WEIGHTS | OF_THE_START]


def known_options(kind):
    alone = {"output"} if kind != "lstm" else set()  # without c, y can only be h
    return [name for name in options_of(kind) if name in OPTIONS and name not in alone]


@pytest.mark.parametrize("kind", LAYERS)
def test_no_option_is_left_out(kind):
    """Whoever adds an option adds its values to OPTIONS, or an argument of a call to `Combination`."""
    unknown = set(options_of(kind)) - set(OPTIONS)
    unknown |= set(inspect.signature(LAYERS[kind].forward).parameters) - FORWARD - {"self"}
    unknown |= set(inspect.signature(LAYERS[kind].backward).parameters) - BACKWARD - {"self"}
    assert not unknown, (
        f"{LAYERS[kind].__name__} has options that this test does not draw: {', '.join(sorted(unknown))}"
    )


def test_every_option_is_drawn():
    """In the combinations of the usual run, and every size, and every way of calling."""
    cases = [drawn(0, number) for number in range(200)]
    for kind in LAYERS:
        assert {name for case in cases if case.kind == kind for name, _ in case.options} == set(known_options(kind))
    assert {case.H for case in cases} == set(HIDDEN)
    for way in ("symbols", "added", "need_dx"):
        assert {getattr(case, way) for case in cases} == {False, True}


class Problem:
    """What a combination is computed from, in one precision: arrays, and the layer that they are for."""

    def __init__(self, case, dtype, scale=1.0):
        self.case = case
        self.layer, self.x, state, self.dy, dstate = case.build(dtype)
        self.layer.flat_parameters[...] *= scale
        self.state, self.dstate = self.parts("state", state), self.parts("dstate", dstate)
        if "dy" in case.without:
            self.dy = None
        self.noise = case.noise
        if case.symbols:
            self.build_symbols(dtype)

    def parts(self, name, arrays):
        """The state with None for the parts that are left out; None if that is all of them."""
        kept = tuple(None if f"{name}_{p}" in self.case.without else a for p, a in zip("hc", arrays, strict=False))
        return None if all(part is None for part in kept) else kept

    def build_symbols(self, dtype):
        """The layer in a network behind an Embedding; -1 stands in the padding."""
        case, rng = self.case, np.random.default_rng(self.case.seed)
        embedding = clstm.Embedding(SYMBOLS, case.I, dtype=dtype, rng=0)
        embedding.parameters()["weight"][...] = rng.normal(size=(SYMBOLS, case.I))
        self.symbols = rng.integers(0, SYMBOLS, (case.N, case.T))
        self.x = embedding(self.symbols)
        if case.lengths is not None:
            self.symbols[np.arange(case.T) >= np.reshape(case.lengths, (-1, 1))] = -1
        self.net = clstm.Network([embedding, self.layer])
        if self.noise is not None:
            self.noise = self.noise.for_layer(1)

    def expected(self, disturb=lambda values: values):
        """The results by name, of the twin, from x and parameters that a function may disturb."""
        case, options = self.case, self.case.twin(bptt=self.case.bptt)
        x = disturb(doubles(self.x))
        parameters = {name: disturb(doubles(values)) for name, values in self.layer.parameters().items()}
        masks = {} if self.noise is None else doubles(self.layer.masks(case.N, case.T, self.noise))
        start, dend = (self.filled(options, state) for state in (self.state, self.dstate))
        shape = case.N, case.T, options.y_size
        dy = np.zeros(shape) if self.dy is None else doubles(self.dy)
        y, final, tape = twin.forward(x, parameters, options, state=start, lengths=case.lengths, noise=masks)
        dx, dinitial, grads = twin.backward(tape, dy, dend)
        zones = {name: getattr(self.layer, name, 0.0) for name in ("zoneout_h", "zoneout_c")}
        mean = {f"zone_{name[-1]}": [rate] * len(tape.sequences) for name, rate in zones.items()}
        inferred, after, _ = twin.forward(x, parameters, options, state=start, lengths=case.lengths, noise=mean)
        found = named("final", final) | named("dinitial", dinitial) | named("inferred_final", after)
        return {"y": y, "dx": dx, "inferred": inferred} | found | self.summed(grads, dx)

    def filled(self, options, state):
        shapes = [(self.case.L * len(options.suffixes), self.case.N, size) for size in options.state_sizes]
        state = (None,) * len(shapes) if state is None else state
        return tuple(np.zeros(shape) if a is None else doubles(a) for shape, a in zip(shapes, state, strict=True))

    def summed(self, grads, dx):
        """The gradients by the names of the network, if there is one, and on top of what they are added to."""
        if self.case.symbols:
            weight = np.zeros((SYMBOLS, self.case.I))
            valid = self.symbols >= 0
            np.add.at(weight, self.symbols[valid], dx[valid])
            grads = {"0.weight": weight, **{f"1.{name}": gradient for name, gradient in grads.items()}}
        return {name: gradient + self.case.added for name, gradient in grads.items()}

    def found(self):
        """The results by the same names, of the core."""
        case = self.case
        if case.symbols:
            run, x, state, dstate = self.net, self.symbols, [None, given(self.state)], [None, given(self.dstate)]
        else:
            run, x, state, dstate = self.layer, self.x, given(self.state), given(self.dstate)
        inferred, inferred_final = run.infer(x, state, case.lengths)
        y, final, tape = run.forward(x, state, case.lengths, noise=case.noise)
        grads = {name: np.ones_like(values) for name, values in run.parameters().items()} if case.added else None
        need_dx = case.need_dx and not case.symbols
        dx, dinitial, grads = run.backward(tape, self.dy, dstate, grads, need_dx, bptt=case.bptt)
        if case.symbols:
            final, dinitial, inferred_final = final[1], dinitial[1], inferred_final[1]
        if case.noise is None:
            same_results((y, final), (inferred, inferred_final))
        assert (dx is None) == (not need_dx)
        parts = named("final", final) | named("dinitial", dinitial) | named("inferred_final", inferred_final)
        return {"y": y, "inferred": inferred} | ({} if dx is None else {"dx": dx}) | parts | grads


def named(name, state):
    return {f"{name}_{part}": array for part, array in zip("hc", members(state), strict=False)}


def least_distance(compute):
    """What a function of the twin returns, and how near to a kink of an activation or a limit anything came in it.

    That is relative to the largest number of a row; what is exactly on a kink is no matter of rounding.
    """
    distances = []

    def watched(z, low, high):
        size = np.maximum(np.abs(z).max(axis=1, keepdims=True), LEAST)
        for bound in (low, high):
            distance = np.abs(z - bound)
            if np.isfinite(bound) and distance.any():
                distances.append((distance / size)[distance > 0].min())
        return np.where(z < low, low, np.where(z > high, high, z))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(twin, "clamp", watched)
        return compute(), min(distances, default=np.inf)


def growth(problem, expected):
    """By how much a relative error of x and of the parameters grows on its way to a result, as `close` measures it."""
    rng, size, found = np.random.default_rng(0), 1e-7, [0.0]
    for _ in range(2):
        disturbed = problem.expected(lambda values: values * (1 + size * rng.standard_normal(values.shape)))
        for name, values in expected.items():
            error = np.abs(disturbed[name] - values).max()
            found.append(error / np.abs(values).max() / size if error else 0.0)
    return max(found)


def well_posed(case, dtype):
    """The problem of a combination, and its results.

    With other data and smaller weights where float32 would be no proof: where its rounding errors grow from step to
    step, or decide on which side of a kink something is. If that does not help, without the limits, where an f
    near 1 or a normalisation may hold what they limit. The core has no say in that.
    """
    without_limit = tuple(option for option in case.options if option[0] not in ("clip", "cell_clip"))
    for again in range(50):
        options = case.options if again < 25 else without_limit
        problem = Problem(replace(case, seed=case.seed + again, options=options), dtype, 0.95 ** (again % 25))
        expected, distance = least_distance(problem.expected)
        if dtype == "float64" or (distance > MARGIN and growth(problem, expected) < GROWTH):
            return problem, expected
    raise AssertionError(f"{case}: no data that can be computed in float32")


def pytest_generate_tests(metafunc):
    if "combination" in metafunc.fixturenames:
        count, seed = (metafunc.config.getoption(name) for name in ("combinations", "combinations_seed"))
        metafunc.parametrize("combination", [drawn(seed, number) for number in range(count)], ids=str)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_every_result_is_that_of_the_twin(combination, dtype):
    problem, expected = well_posed(combination, dtype)
    for isa in _core.available_isas():
        with settings(isa, combination.backend, combination.threads):
            found = problem.found()
        for name, array in found.items():
            assert array.dtype == dtype
            try:
                close(array, expected[name], tolerance_of(combination, dtype))
            except AssertionError as error:
                raise AssertionError(f"{combination} on {isa}: {name}: {error}") from error
