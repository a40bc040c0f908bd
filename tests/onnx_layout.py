"""The operators LSTM, GRU and RNN of ONNX computed by clstm: which block of their tensors is which of ours.

Sizes of their tensors: T steps, N rows, I features, H units, D directions.
"""

import numpy as np

import clstm

LAYERS = {"LSTM": clstm.LSTM, "GRU": clstm.GRU, "RNN": clstm.RNN}
INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
STATES = ("initial_h", "initial_c")
BLOCKS = {"LSTM": "iofg", "GRU": "zrn", "RNN": "h"}  # ONNX calls our g c, and our n h
OUR_BLOCKS = {"LSTM": "ifgo", "GRU": "rzn", "RNN": "h"}


def operator(kind, inputs, direction="forward", layout=0, **options):
    """Y, Y_h and, of an LSTM, Y_c: of the inputs by their names, and the options of the layer."""
    inputs = dict(inputs)
    for name in STATES if layout else ("X",):  # our x has the rows first, our states have them second
        if name in inputs:
            inputs[name] = inputs[name].swapaxes(0, 1)
    if direction == "reverse":  # the second half of a layer that has the same parameters in both directions
        for name in {"W", "R", "B", "P", *STATES} & inputs.keys():
            inputs[name] = np.concatenate([inputs[name], inputs[name]])
    layer = layer_of(kind, {name: inputs[name] for name in ("W", "R", "B", "P") if name in inputs}, options)
    state = tuple(inputs.get(name) for name in STATES)
    y, final = layer(inputs["X"], state if kind == "LSTM" else state[0], inputs.get("sequence_lens"))
    y = y.reshape(*y.shape[:2], -1, layer.hidden_size)  # (N, T, D, H)
    final = final if kind == "LSTM" else (final,)
    if direction == "reverse":
        y, final = y[:, :, 1:], tuple(array[1:] for array in final)
    if layout:
        return y, *(array.swapaxes(0, 1) for array in final)
    return y.transpose(1, 2, 0, 3), *final


def layer_of(kind, weights, options):
    """The layer that has the weights of an operator."""
    directions, _, H = weights["R"].shape
    if "P" in weights:
        options = {**options, "peephole": True}
    layer = LAYERS[kind](weights["W"].shape[2], H, bidirectional=directions == 2, bias="B" in weights, rng=0, **options)
    ours = OUR_BLOCKS[kind].replace("f", "") if options.get("coupled") else OUR_BLOCKS[kind]
    parameters = {}
    for direction, suffix in zip(range(directions), ("_l0", "_l0_reverse")):
        W, R, B, P = (weights[name][direction] if name in weights else None for name in "WRBP")
        parameters["weight_ih" + suffix] = reordered(W, BLOCKS[kind], ours)
        parameters["weight_hh" + suffix] = reordered(R, BLOCKS[kind], ours)
        if B is not None:
            of_W, of_R = np.split(B, 2)
            if "bias_hn" + suffix in layer.parameters():  # inside the reset
                parameters["bias_hn" + suffix] = of_R[-H:]
                of_R = np.append(of_R[:-H], np.zeros_like(of_R[-H:]))
            parameters["bias" + suffix] = reordered(of_W + of_R, BLOCKS[kind], ours)
        if P is not None:
            parameters["peephole" + suffix] = reordered(P, "iof", ours.replace("g", "")).reshape(-1, H)
    layer.load_parameters(parameters)
    return layer


def reordered(array, theirs, ours):
    """The blocks of rows in another order; those that are not in `ours` are left out."""
    blocks = dict(zip(theirs, np.split(array, len(theirs))))
    return np.concatenate([blocks[name] for name in ours])
