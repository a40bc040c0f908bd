"""Attention, and what stands around it, in plain NumPy, by the equations; complex numbers too, for complex steps."""

import numpy as np


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
