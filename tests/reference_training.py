"""What stands around the LSTM in plain NumPy: dense, embedding and pooling layers, losses,
gradient clipping and optimisers. The slow, obviously right twin of the C core's training functions.

A backward function takes the gradient of its output first and then what the forward took; what it
needs from the forward it computes again. Optimisers are functions of (parameters, gradients,
state) and return new ones; nothing is changed in place.

Like ``reference.py``, everything differentiable also runs in complex numbers.
"""

import numpy as np


def dense_forward(x, w, b=0):
    """y = x w^T + b over the last axis.

    Parameters
    ----------
    x : (..., I)
    w : (O, I)
    b : (O,) or 0

    Returns
    -------
    y : (..., O)
    """
    return x @ w.T + b


def dense_backward(dy, x, w):
    """Gradients of `dense_forward`: dx (..., I), dw (O, I), db (O,)."""
    dx = dy @ w
    dy_rows = dy.reshape(-1, w.shape[0])  # the leading axes are one long batch
    x_rows = x.reshape(-1, w.shape[1])
    return dx, dy_rows.T @ x_rows, dy_rows.sum(axis=0)


def embedding_forward(indices, w):
    """Row ``indices[...]`` of the table w (V, E), as an array (..., E)."""
    return w[indices]


def embedding_backward(dy, indices, w):
    """Gradient dw (V, E) of `embedding_forward`; an index that occurs twice adds up."""
    dw = np.zeros_like(w, dtype=np.result_type(w, dy))
    np.add.at(dw, indices, dy)
    return dw


def picked_steps(valid, mode, bidirectional):
    """The step (F,) from which "last" or "max" takes each feature of one row, `valid` (steps, F).

    A maximum is the first of equals. In complex numbers the real part decides: which step is
    picked does not change under an infinitesimal step into the complex plane.
    """
    if mode == "max":
        return valid.real.argmax(axis=0)
    steps, F = valid.shape
    picked = np.full(F, steps - 1)
    if bidirectional:
        picked[F // 2 :] = 0  # the reverse direction ends at step 0
    return picked


def pool_forward(x, mode, lengths=None, bidirectional=False):
    """One vector for each row of the batch.

    Parameters
    ----------
    x : (N, T, F)
    mode : "last", "mean" or "max"
        Over the valid steps. "last" with `bidirectional` takes the first half of the features at
        the last valid step and the second half at step 0: where each direction has read it all.
    lengths : (N,) of int, or None
        Valid steps of each row; None is T for all. A row of length 0 gives zeros.
    bidirectional : bool

    Returns
    -------
    y : (N, F)
    """
    N, T, F = x.shape
    y = np.zeros((N, F), x.dtype)
    for n, length in enumerate([T] * N if lengths is None else lengths):
        valid = x[n, :length]
        if length == 0:
            continue
        if mode == "mean":
            y[n] = valid.sum(axis=0) / length
        else:
            y[n] = valid[picked_steps(valid, mode, bidirectional), np.arange(F)]
    return y


def pool_backward(dy, x, mode, lengths=None, bidirectional=False):
    """Gradient dx (N, T, F) of `pool_forward`; zero in the padding."""
    N, T, F = x.shape
    dx = np.zeros((N, T, F), np.result_type(x, dy))
    for n, length in enumerate([T] * N if lengths is None else lengths):
        valid = x[n, :length]
        if length == 0:
            continue
        if mode == "mean":
            dx[n, :length] = dy[n] / length
        else:
            dx[n, picked_steps(valid, mode, bidirectional), np.arange(F)] = dy[n]
    return dx


def valid_positions(shape, lengths):
    """Mask of the positions that count: all of `shape`, or step t of row n if t < lengths[n]."""
    if lengths is None:
        return np.ones(shape, bool)
    N, T = shape
    return np.arange(T) < np.asarray(lengths).reshape(N, 1)


def mse(prediction, target, lengths=None):
    """Mean squared error over all valid elements.

    Parameters
    ----------
    prediction, target : (N, ...), or (N, T, ...) with lengths
    lengths : (N,) of int, or None

    Returns
    -------
    loss : scalar
        Zero where nothing is valid.
    gradient : the shape of prediction
    """
    valid = valid_positions(prediction.shape[:2], lengths)
    error = prediction[valid] - target[valid]
    count = max(error.size, 1)
    gradient = np.zeros_like(prediction)
    gradient[valid] = 2 * error / count
    return (error**2).sum() / count, gradient


def cross_entropy(logits, target, lengths=None):
    """Mean over all valid positions of -log softmax(logits)[target].

    Parameters
    ----------
    logits : (N, C) or (N, T, C)
    target : (N,) or (N, T) of int
        Not read in the padding.
    lengths : (N,) of int, or None

    Returns
    -------
    loss : scalar
        Zero where nothing is valid.
    gradient : the shape of logits
    """
    valid = valid_positions(target.shape, lengths)
    z, labels = logits[valid], target[valid]  # (V, C), (V,)
    count = max(len(z), 1)
    each = np.arange(len(z))

    # softmax does not change when a constant is taken from all logits, so the largest real part is
    # a safe one, and the function stays analytic
    shifted = z - z.real.max(axis=1, keepdims=True)
    total = np.exp(shifted).sum(axis=1, keepdims=True)
    log_probability = shifted - np.log(total)
    loss = -log_probability[each, labels].sum() / count

    dz = np.exp(log_probability)  # softmax - one_hot(target)
    dz[each, labels] -= 1
    gradient = np.zeros_like(logits)
    gradient[valid] = dz / count
    return loss, gradient


def clip_by_global_norm(grads, max_norm):
    """Scale all gradients by one factor so that their joint norm is at most max_norm.

    Returns
    -------
    clipped : dict
    norm : scalar
        The norm before clipping.
    """
    norm = np.sqrt(sum((gradient**2).sum() for gradient in grads.values()))
    factor = np.minimum(1, max_norm / (norm + 1e-6))
    return {name: gradient * factor for name, gradient in grads.items()}, norm


def sgd_step(params, grads, state, *, lr, momentum=0.0, dampening=0.0, nesterov=False, weight_decay=0.0):
    """Stochastic gradient descent with momentum, as PyTorch defines it.

    Parameters
    ----------
    params, grads : dict of ndarray
    state : dict
        ``{}`` before the first step, then what the step before returned.
    lr, momentum, dampening, weight_decay : float
        The decay is an L2 penalty: it is added to the gradient.
    nesterov : bool

    Returns
    -------
    params, state : dict
    """
    new_params, velocity = {}, {}
    for name, p in params.items():
        # gradient of loss + weight_decay / 2 |p|^2
        g = grads[name] + weight_decay * p
        # v = momentum v + (1 - dampening) g; the first v is g
        v = momentum * state["velocity"][name] + (1 - dampening) * g if state else g
        velocity[name] = v
        # Nesterov looks one momentum step ahead
        update = g + momentum * v if nesterov else v
        new_params[name] = p - lr * update
    return new_params, {"velocity": velocity}


def adam_step(
    params,
    grads,
    state,
    *,
    lr=1e-3,
    betas=(0.9, 0.999),
    eps=1e-8,
    weight_decay=0.0,
    decoupled=False,
    amsgrad=False,
):
    """Adam (Kingma and Ba 2015), or with `decoupled` AdamW (Loshchilov and Hutter 2019).

    As PyTorch defines them: both moments are corrected for their start at zero, and `eps` is added
    to the square root, not under it.

    Parameters
    ----------
    params, grads : dict of ndarray
    state : dict
        ``{}`` before the first step, then what the step before returned.
    lr, betas, eps, weight_decay : float
        The decay is an L2 penalty in Adam; in AdamW it shrinks the parameters directly.
    decoupled : bool
    amsgrad : bool
        The largest second moment so far is used (Reddi, Kale and Kumar 2018).

    Returns
    -------
    params, state : dict
    """
    beta1, beta2 = betas
    step = state["step"] + 1 if state else 1
    new_params, first, second, largest = {}, {}, {}, {}
    for name, p in params.items():
        g = grads[name]
        if decoupled:
            p = p - lr * weight_decay * p
        else:
            g = g + weight_decay * p
        # moving averages of g and of g^2
        m = beta1 * (state["first"][name] if state else 0) + (1 - beta1) * g
        v = beta2 * (state["second"][name] if state else 0) + (1 - beta2) * g**2
        first[name], second[name] = m, v
        if amsgrad:
            v = largest[name] = np.maximum(v, state["largest"][name]) if state else v
        # after k steps the averages hold a share 1 - beta^k of all weights
        m_hat = m / (1 - beta1**step)
        v_hat = v / (1 - beta2**step)
        new_params[name] = p - lr * m_hat / (np.sqrt(v_hat) + eps)
    return new_params, {"step": step, "first": first, "second": second, "largest": largest}


def rmsprop_step(
    params,
    grads,
    state,
    *,
    lr=0.01,
    alpha=0.99,
    eps=1e-8,
    weight_decay=0.0,
    momentum=0.0,
    centered=False,
):
    """RMSprop (Tieleman and Hinton 2012), or with `centered` that of Graves 2013, as PyTorch defines them.

    Parameters
    ----------
    params, grads : dict of ndarray
    state : dict
        ``{}`` before the first step, then what the step before returned.
    lr, alpha, eps, weight_decay, momentum : float
    centered : bool

    Returns
    -------
    params, state : dict
    """
    zero = dict.fromkeys(params, 0)
    state = state or {"square": zero, "mean": zero, "velocity": zero}
    new_params, square, mean, velocity = {}, {}, {}, {}
    for name, p in params.items():
        g = grads[name] + weight_decay * p
        # running means of g^2 and of g; their difference is a variance
        square[name] = alpha * state["square"][name] + (1 - alpha) * g**2
        mean[name] = alpha * state["mean"][name] + (1 - alpha) * g
        v = np.maximum(square[name] - mean[name] ** 2, 0) if centered else square[name]
        velocity[name] = momentum * state["velocity"][name] + g / (np.sqrt(v) + eps)
        new_params[name] = p - lr * velocity[name]
    return new_params, {"square": square, "mean": mean, "velocity": velocity}


def adagrad_step(params, grads, state, *, lr=0.01, lr_decay=0.0, weight_decay=0.0, initial=0.0, eps=1e-10):
    """Adagrad (Duchi, Hazan and Singer 2011), as PyTorch defines it.

    Parameters
    ----------
    params, grads : dict of ndarray
    state : dict
        ``{}`` before the first step, then what the step before returned.
    lr, lr_decay, weight_decay, initial, eps : float
        `initial` is where the sums of squares begin.

    Returns
    -------
    params, state : dict
    """
    step = state["step"] + 1 if state else 1
    new_params, total = {}, {}
    for name, p in params.items():
        g = grads[name] + weight_decay * p
        total[name] = (state["total"][name] if state else initial) + g**2
        new_params[name] = p - lr / (1 + (step - 1) * lr_decay) * g / (np.sqrt(total[name]) + eps)
    return new_params, {"step": step, "total": total}


def asgd_step(params, grads, state, *, lr=0.01, lambd=1e-4, alpha=0.75, t0=1e6, weight_decay=0.0):
    """Averaged stochastic gradient descent (Polyak and Juditsky 1992), as PyTorch defines it.

    Parameters
    ----------
    params, grads : dict of ndarray
    state : dict
        ``{}`` before the first step, then what the step before returned.
    lr, lambd, alpha, t0, weight_decay : float

    Returns
    -------
    params, state : dict
        ``state["average"]`` has the averages.
    """
    done = state["step"] if state else 0
    rate = lr / (1 + lambd * lr * done) ** alpha
    new_params, average = {}, {}
    for name, p in params.items():
        g = grads[name] + weight_decay * p
        w = new_params[name] = p * (1 - lambd * rate) - rate * g
        before = state["average"][name] if state else 0
        average[name] = before + (w - before) / max(1, done - t0)
    return new_params, {"step": done + 1, "average": average}
