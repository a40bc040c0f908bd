"""
What the gates do
=================

An LSTM is a memory cell with three gates. Do they do what their names say? We train the smallest LSTM there is, with a
single unit, on a task that needs a memory, and look at its gates while it works.
"""

# %%
# The task
# --------
#
# A stream of numbers comes in, each with a mark that is mostly 0. At every step the answer is the number that came with
# the *latest mark*: take it, keep it, and ignore everything else until the next mark. Engineers call this
# sample-and-hold. Marks come at random, every tenth step or so.

import matplotlib.pyplot as plt
import numpy as np

import clstm


def sequences(count, steps, rng, every=10):
    """Inputs (count, steps, 2), number and mark, and answers (count, steps, 1)."""
    number, mark = rng.uniform(-1, 1, (count, steps)), rng.random((count, steps)) < 1 / every
    mark[:, 0] = True
    latest = np.maximum.accumulate(np.where(mark, np.arange(steps), 0), axis=1)
    answer = np.take_along_axis(number, latest, axis=1)
    return np.stack([number, mark], axis=2), answer[:, :, np.newaxis]


rng = np.random.default_rng(0)
x, y = sequences(1000, 60, rng)
x_test, y_test = sequences(500, 60, rng)

# %%
# Without a memory
# ----------------
#
# What can be done without one? Say zero always; repeat the number that came last; or fit a linear model that sees the last
# twenty numbers and marks, and their products.


def rmse(answers):
    """Root mean square error from the twentieth step on, where the linear model sees all it needs."""
    return np.sqrt(np.mean((answers - y_test)[:, 19:] ** 2))


def recent(x):
    """For each step from the twentieth on: the last 20 numbers, marks and products."""
    both = np.concatenate([x, x[:, :, :1] * x[:, :, 1:]], axis=2)
    windows = np.lib.stride_tricks.sliding_window_view(both, 20, axis=1)
    return windows.reshape(*windows.shape[:2], -1)


weights, *_ = np.linalg.lstsq(recent(x).reshape(-1, 60), y[:, 19:].ravel(), rcond=None)
linear = np.pad(recent(x_test) @ weights, ((0, 0), (19, 0)))[:, :, np.newaxis]

# %%
# One unit
# --------
#
# Two inputs, one unit, one output: 18 numbers are learnt in all, in a few seconds. Beside it stands a plain recurrent
# network, which has no gates, with one unit and with sixteen.


def trained(layer):
    """A network with this layer, trained on the task."""
    net = clstm.Network([layer, clstm.Dense(layer.hidden_size, 1, rng=2)])
    clstm.Trainer(net, loss="mse", optimizer="adam", learning_rate=0.02, rng=3).fit(
        x, y, epochs=60, batch_size=50, progress=False
    )
    return net


net = trained(clstm.LSTM(2, 1, rng=1))
table = {
    "always zero": 0 * y_test,
    "the last number": x_test[:, :, :1],
    "linear, 20 steps": linear,
    "plain network, 1 unit": trained(clstm.RNN(2, 1, rng=1))(x_test),
    "plain network, 16 units": trained(clstm.RNN(2, 16, rng=1))(x_test),
    "LSTM, 1 unit": net(x_test),
}
for name, answers in table.items():
    print(f"{name:24} {rmse(answers):.3f}")

# %%
# One unit with gates is better than sixteen without.
#
# The gates at work
# -----------------
#
# ``trace`` returns what every gate did at every step. The upper picture has the numbers that come in, grey, those with a mark
# as dots, and the network's answer as a line: it steps from dot to dot and ignores the rest. The lower one has the gates.

trace = net[0].trace(x_test[3:4])
steps = np.arange(60)
marked = x_test[3, :, 1] == 1
figure, (above, below) = plt.subplots(2, sharex=True, figsize=(8, 5), layout="constrained")
above.plot(steps, x_test[3, :, 0], "x", color="0.6", label="numbers without a mark")
above.plot(steps[marked], x_test[3, marked, 0], "o", color="C1", label="numbers with a mark")
above.step(steps, net(x_test[3:4])[0, :, 0], where="mid", color="C0", label="answer")
above.set_ylabel("number")
above.legend(loc="upper right", ncols=3, fontsize="small")
above.set_ylim(-1.1, 1.6)
below.step(steps, trace.i[0, 0, :, 0], where="mid", color="C2", label="input gate i")
below.step(
    steps, trace.f[0, 0, :, 0], where="mid", color="C3", linestyle="--", label="forget gate f"
)
below.step(
    steps, trace.o[0, 0, :, 0], where="mid", color="0.5", linestyle=":", label="output gate o"
)
below.set(xlabel="step", ylabel="gate (0 shut, 1 open)", ylim=(-0.05, 1.45), yticks=(0, 0.5, 1))
below.legend(loc="upper right", ncols=3, fontsize="small")

# %%
# They do what their names say. At a mark the *input gate* opens and the number gets into the cell; otherwise it is shut, and
# whatever comes is ignored. The *forget gate* is open all the time, which is how an LSTM keeps what it has, and goes down at a
# mark. The *output gate* has nothing to do here, because the answer is wanted at every step, and stays where it is.
#
# One thing is not as in the textbook: at a mark the forget gate does not shut. A part of the old number stays, and
# something else has to take it out. It is the candidate g: its weight of the unit's own last output is negative.

at_mark = trace.f[0, 0, marked, 0].mean()
print(f"forget gate at a mark: {at_mark:.2f}")
print(
    f"weight from the last output to the candidate: {net[0].parameters()['weight_hh_l0'][2, 0]:.1f}"
)

# %%
# How long does it keep a number?
# -------------------------------
#
# In training it had to keep one for some ten steps, seldom for forty. What if no mark comes for six hundred? Here, each line is
# a number that came with a mark at step 0; after it, there are none.

kept = np.linspace(-0.9, 0.9, 7)
long = np.concatenate([rng.uniform(-1, 1, (7, 600, 1)), np.zeros((7, 600, 1))], axis=2)
long[:, 0] = np.stack([kept, np.ones(7)], axis=1)
figure, axes = plt.subplots(figsize=(8, 3.2), layout="constrained")
axes.hlines(kept, 0, 600, color="0.8", linewidth=1)
axes.plot(net(long)[:, :, 0].T, color="C0")
axes.axvspan(0, 60, color="C1", alpha=0.15)
axes.text(62, -1.15, "shaded: as long as the sequences of the training", fontsize="small")
_ = axes.set(xlabel="steps since the mark", ylabel="answer", ylim=(-1.25, 1.1))

# %%
# It leaks. The gates of the picture above tell how fast: between marks, what is kept is multiplied by f at every step.

between = trace.f[0, 0, ~marked, 0].mean()
print(
    f"forget gate between marks: {between:.4f}; half is left after {np.log(2) / -np.log(between):.0f} steps"
)

# %%
# And as the input gate is never quite shut either, a little of every number gets in. A network that never had to keep anything
# for longer has no reason to do better: train on sequences with rarer marks, if your data have them.
#
# What to try next
# ----------------
#
# - Give the LSTM sixteen units: what is the error then, and can you still tell what each gate is for?
# - Let marks come every fortieth step (``every=40``, 200 steps), and look at the last picture again.
# - :doc:`/explanation/looking_inside` has the numbers that sum up a trace of many units: saturation, half-life, gradient flow.
