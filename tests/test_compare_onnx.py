"""LSTM, GRU and RNN against ONNX Runtime: forward in float32, of models of one node with random weights.

`clip` is the same on both sides: it limits the arguments of the activations of gates and candidate, bias and peephole
inside, but neither the cell state nor what tanh and the peephole of o get of it.

Rows of length 0 differ: here the final state is the initial one, there it is zero. The RNN of older versions (1.23)
reads outside its memory for them, so that rows of an RNN have at least one step here.
"""

from dataclasses import dataclass
from itertools import cycle, product

import numpy as np
import pytest
from cases import close
from onnx_layout import BLOCKS, INPUTS, operator

pytestmark = pytest.mark.compare
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

TOLERANCE = 1e-5
OPSET, IR_VERSION = 14, 8
STATES = {"LSTM": ("initial_h", "initial_c"), "GRU": ("initial_h",), "RNN": ("initial_h",)}
ACTIVATIONS = {  # with alpha and beta, where ONNX has them
    "sigmoid": ("Sigmoid",),
    "tanh": ("Tanh",),
    "relu": ("Relu",),
    "hard_sigmoid": ("HardSigmoid", 1 / 6, 0.5),
    "hard_sigmoid_0.2": ("HardSigmoid", 0.2, 0.5),
    "identity": ("Affine", 1.0, 0.0),
    "centered_sigmoid_1": ("ScaledTanh", 1.0, 0.5),  # 2 sigmoid(x) - 1 = tanh(x/2)
    "centered_sigmoid_2": ("ScaledTanh", 2.0, 0.5),
}
PLACES = {  # in the order of ONNX, with what is usual there
    "LSTM": {"gate_activation": "sigmoid", "candidate_activation": "tanh", "output_activation": "tanh"},
    "GRU": {"gate_activation": "sigmoid", "candidate_activation": "tanh"},
    "RNN": {"activation": "tanh"},
}


@dataclass(frozen=True)
class Case:
    """Operator, options of the layer (name and value, in pairs), sizes and seed; its str is the test id."""

    kind: str
    options: tuple = ()
    peephole: bool = False
    direction: str = "forward"
    lengths: bool = False
    with_state: bool = True
    bias: bool = True
    N: int = 3
    T: int = 5
    I: int = 6
    H: int = 9
    seed: int = 1

    def __str__(self):
        options = [f"{name}={value}" for name, value in self.options]
        flags = [name for name in ("peephole", "lengths", "with_state", "bias") if getattr(self, name)]
        sizes = f"N{self.N}-T{self.T}-I{self.I}-H{self.H}"
        return "-".join([self.kind, *options, *flags, self.direction, sizes, f"seed{self.seed}"])

    @property
    def directions(self):
        return 2 if self.direction == "bidirectional" else 1

    def attributes(self):
        """Those of the node."""
        options = dict(self.options)
        places = [options.pop(place, usual) for place, usual in PLACES[self.kind].items()] * self.directions
        functions = [ACTIVATIONS[name] for name in places]
        parameters = [function[1:] for function in functions if len(function) > 1]
        found = {"hidden_size": self.H, "direction": self.direction, "activations": [name for name, *_ in functions]}
        if parameters:
            found["activation_alpha"], found["activation_beta"] = map(list, zip(*parameters))
        if "clip" in options:
            found["clip"] = options.pop("clip")
        if self.kind == "LSTM":
            found["input_forget"] = int(options.pop("coupled", False))
        if self.kind == "GRU":
            found["linear_before_reset"] = int(options.pop("reset_after", True))
        assert not options
        return found

    def inputs(self):
        """Those of the node, random, by their names; NaN in the padding of X."""
        rng = np.random.default_rng(self.seed)
        N, T, I, H, D, blocks = self.N, self.T, self.I, self.H, self.directions, len(BLOCKS[self.kind])
        shapes = {"X": (T, N, I), "W": (D, blocks * H, I), "R": (D, blocks * H, H)}
        if self.bias:
            shapes["B"] = D, 2 * blocks * H
        if self.with_state:
            shapes |= dict.fromkeys(STATES[self.kind], (D, N, H))
        if self.peephole:
            shapes["P"] = D, 3 * H
        found = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
        found["W"] /= np.float32(I**0.5)
        found["R"] /= np.float32(H**0.5)
        if self.lengths:
            least = 1 if self.kind == "RNN" else 0
            lengths = np.array([(T, least, T - 1, 1)[n % 4] for n in range(N)], np.int32).clip(least)
            found["sequence_lens"] = lengths
            found["X"][np.arange(T)[:, np.newaxis] >= lengths] = np.nan
        return found


def run(kind, inputs, attributes):
    """The outputs of ONNX Runtime for a model of one node."""
    given = [name if name in inputs else "" for name in INPUTS[: 8 if kind == "LSTM" else 6]]
    outputs = {"Y": 4, "Y_h": 3, "Y_c": 3} if kind == "LSTM" else {"Y": 4, "Y_h": 3}  # with the number of their axes
    weights = [name for name in ("W", "R", "B", "P") if name in inputs]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(kind, given, [*outputs], **attributes)],
        kind,
        [described(name, inputs[name].dtype, inputs[name].shape) for name in inputs if name not in weights],
        [described(name, inputs["X"].dtype, [None] * axes) for name, axes in outputs.items()],
        [onnx.numpy_helper.from_array(inputs[name], name) for name in weights],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {name: array for name, array in inputs.items() if name not in weights})


def described(name, dtype, shape):
    return onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(dtype), shape)


# All options with each other; sizes take turns

SIZES = [(3, 5, 6, 9), (1, 4, 1, 1), (7, 3, 16, 17), (2, 1, 17, 33), (5, 12, 3, 16), (6, 4, 40, 20), (4, 7, 2, 64)]
TURNS = cycle(SIZES)
DIRECTIONS = ("forward", "reverse", "bidirectional")
BOTH = (False, True)


def cases(kind, choices, seed):
    """A case for each of the choices, lists of options, with each direction, with and without everything else."""
    combined = [sum(options, ()) for options in product(*choices)]
    peepholes = BOTH if kind == "LSTM" else (False,)
    every = product(combined, peepholes, DIRECTIONS, BOTH, BOTH, BOTH)
    return [Case(kind, *choice, *next(TURNS), seed=seed + k) for k, choice in enumerate(every)]


CLIP = [(), (("clip", 0.4),)]
COUPLED = [(), (("coupled", True),)]
RELU = [(), (("activation", "relu"),)]
RESET = [(), (("reset_after", False),)]
COMBINED = [
    *cases("LSTM", [COUPLED, CLIP], 1000),
    *cases("GRU", [RESET, CLIP], 2000),
    *cases("RNN", [RELU, CLIP], 3000),
]
ACTIVE = [
    Case(kind, ((place, name),), direction=direction, N=4, T=3, I=5, H=12, seed=4000 + k)
    for k, (kind, place, name, direction) in enumerate(
        (kind, place, name, direction)
        for kind, places in PLACES.items()
        for place in places
        for name in ACTIVATIONS
        for direction in ("forward", "bidirectional")
    )
]
TOGETHER = [
    Case("LSTM", (("gate_activation", "hard_sigmoid_0.2"), ("candidate_activation", "relu"), ("clip", 1.5)), seed=5000),
    Case(
        "LSTM",
        (("gate_activation", "hard_sigmoid_0.2"), ("coupled", True), ("output_activation", "sigmoid")),
        peephole=True,
        direction="bidirectional",
        lengths=True,
        seed=5001,
    ),
    Case("GRU", (("gate_activation", "hard_sigmoid_0.2"), ("candidate_activation", "relu"), ("clip", 1.5)), seed=5002),
    Case("RNN", (("activation", "hard_sigmoid_0.2"), ("clip", 2.0)), direction="bidirectional", seed=5003),
    *[Case(kind, direction="bidirectional", N=2, T=60, I=3, H=20, seed=5100) for kind in PLACES],
    *[Case(kind, lengths=True, N=33, T=9, I=70, H=130, seed=5101) for kind in PLACES],
]


@pytest.mark.parametrize("case", COMBINED + ACTIVE + TOGETHER, ids=str)
def test_outputs_are_those_of_onnx_runtime(case):
    inputs = case.inputs()
    expected = run(case.kind, inputs, case.attributes())
    found = operator(case.kind, inputs, case.direction, **dict(case.options))
    close(found[0], expected[0], TOLERANCE)
    some = inputs["sequence_lens"] > 0 if case.lengths else np.full(case.N, True)
    for ours, theirs in zip(found[1:], expected[1:], strict=True):
        close(ours[:, some], theirs[:, some], TOLERANCE)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_a_row_of_length_0_keeps_its_state_here_and_has_none_there(kind):
    case = Case(kind, lengths=True, direction="bidirectional", N=3, seed=6000)
    inputs = case.inputs()
    assert inputs["sequence_lens"][1] == 0
    expected = run(kind, inputs, case.attributes())[1:]
    found = operator(kind, inputs, case.direction)[1:]
    for ours, theirs, name in zip(found, expected, STATES[kind], strict=True):
        np.testing.assert_array_equal(ours[:, 1], inputs[name][:, 1])
        assert not theirs[:, 1].any()
