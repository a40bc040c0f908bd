"""Attention, and what stands around it, in plain NumPy, by the equations; complex numbers too, for complex steps."""

import numpy as np
import reference_cells as cells


def softmax(e):
    """Over the last axis."""
    exps = np.exp(e - e.real.max(axis=-1, keepdims=True))
    return exps / exps.sum(axis=-1, keepdims=True)


def scores(kind, parameters, query, memory, scale=False):
    """(T, S) of query (T, Q) and memory (S, M)."""
    if kind == "dot":
        return query @ memory.T / (np.sqrt(query.shape[1]) if scale else 1)
    if kind == "general":
        return query @ parameters["weight"].T @ memory.T
    u = np.tanh(
        (query @ parameters["weight_query"].T)[:, np.newaxis] + (memory @ parameters["weight_memory"].T)[np.newaxis]
    )
    return u @ parameters["vector"]


def attend(kind, parameters, query, memory, lengths=None, query_lengths=None, scale=False):
    """context (N, T, M) and weights (N, T, S), row by row, of what is valid."""
    N, T, S = len(query), query.shape[1], memory.shape[1]
    context = np.zeros((N, T, memory.shape[2]), np.result_type(query, memory, *parameters.values()))
    weights = np.zeros((N, T, S), context.dtype)
    for n in range(N):
        t = T if query_lengths is None else query_lengths[n]
        s = S if lengths is None else lengths[n]
        if t and s:
            weights[n, :t, :s] = softmax(scores(kind, parameters, query[n, :t], memory[n, :s], scale))
            context[n, :t] = weights[n, :t, :s] @ memory[n, :s]
    return context, weights


def encoder_decoder(config, parameters, x, lengths, inputs, target_lengths, noise=None):
    """Scores (N, T, C) and weights of the attention (None without), of symbols x (N, S) and inputs (N, T) of the
    decoder, which are symbols too where they are not valid; `noise` has that of `reference_cells.forward` for both."""
    noise = noise or {}
    p = {name: values.astype(complex) for name, values in parameters.items()}
    own = {
        part: {name.split(".", 2)[2]: p[name] for name in p if name.startswith(f"{part}.1.")}
        for part in ("encoder", "decoder")
    }
    H, both = config["hidden_size"], config["bidirectional"]
    one_way = cells.Options(config["cell"], H, config["num_layers"])
    two_ways = cells.Options(config["cell"], H, config["num_layers"], both, merge=config["merge"])
    embedded = p["encoder.0.weight"][x]
    memory, state, _ = cells.forward(embedded, own["encoder"], two_ways, lengths=lengths, noise=noise.get("encoder"))
    if both:
        sides = [np.concatenate([member[0::2], member[1::2]], axis=2) for member in state]
        names = ("bridge_h", "bridge_c")
        state = tuple(
            member @ p[f"{name}.weight"].T + p[f"{name}.bias"] for name, member in zip(names, sides, strict=False)
        )
    embedded = p["decoder.0.weight"][inputs]
    u, _, _ = cells.forward(
        embedded, own["decoder"], one_way, state=state, lengths=target_lengths, noise=noise.get("decoder")
    )
    weights = None
    if config["attention"]:
        score = {name.split(".")[1]: p[name] for name in p if name.startswith("attention.")}
        context, weights = attend(config["attention"], score, u, memory, lengths, target_lengths)
        u = np.tanh(np.concatenate([context, u], axis=2) @ p["combine.weight"].T)
    y = u @ p["output.weight"].T + p["output.bias"]
    for n in range(len(y)):
        y[n, len(y[n]) if target_lengths is None else target_lengths[n] :] = 0
    return y, weights
