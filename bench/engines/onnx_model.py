"""The LSTM operator of ONNX as a model, for the engines that run one."""

from __future__ import annotations

import numpy as np

OPSET = 17
IR_VERSION = 9  # what engines of the last years read


def build(row, weights) -> bytes:
    """Whole sequences, or for the work "step" one step whose state goes in and out. ONNX's gates are i o f c."""
    from onnx import helper, numpy_helper

    T, N, I, H, _, D = row.shape
    nodes, constants, x = [], [], "x"

    def constant(name, a):
        constants.append(numpy_helper.from_array(np.ascontiguousarray(a), name))
        return name

    for k, layer in enumerate(weights):
        named = zip(("w", "r", "b"), operands(layer, H))
        inputs = [x, *(constant(f"{name}{k}", a) for name, a in named)]
        if row.work == "step":
            nodes.append(helper.make_node("LSTM", [*inputs, "", "h0", "c0"], ["y", "h1", "c1"], hidden_size=H))
            continue
        direction = "bidirectional" if D == 2 else "forward"
        nodes.append(helper.make_node("LSTM", inputs, [f"y{k}"], hidden_size=H, direction=direction))
        # (T, D, N, H) -> (T, N, D*H)
        nodes.append(helper.make_node("Transpose", [f"y{k}"], [f"t{k}"], perm=[0, 2, 1, 3]))
        shape = constant(f"s{k}", np.array([T, N, D * H], np.int64))
        nodes.append(helper.make_node("Reshape", [f"t{k}", shape], [f"x{k}"]))
        x = f"x{k}"
    if row.work == "step":
        state = ((1, 1, H), (1, 1, H))
        inputs, outputs = values(("x", "h0", "c0"), ((1, 1, I), *state)), values(("h1", "c1"), state)
    else:
        inputs, outputs = values(("x",), ((T, N, I),)), values((x,), ((T, N, D * H),))
    graph = helper.make_graph(nodes, "lstm", inputs, outputs, constants)
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION).SerializeToString()


def operands(layer, H):
    """W (D, 4H, I), R (D, 4H, H) and B (D, 8H) of both directions."""

    def reordered(a):
        return a.reshape(4, H, -1)[[0, 3, 1, 2]].reshape(a.shape)

    w, r, b = (np.stack([reordered(direction[k]) for direction in layer]) for k in range(3))
    return w, r, np.concatenate([b, np.zeros_like(b)], axis=1)


def values(names, shapes):
    from onnx import TensorProto, helper

    return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in zip(names, shapes)]
