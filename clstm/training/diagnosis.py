"""What looks wrong in a training, in words.

A step is tried on a copy of the trainer, the gates are looked at, and the history. Thresholds are generous: what is
reported is far from what trains well, and what is not reported need not be well.
"""

from __future__ import annotations

import copy
import math
from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..gradient_flow import flow_of_loss
from ..network import Network
from ..recurrent import RecurrentLayer
from .stepping import Stepper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .batches import Batch
    from .trainer import Trainer

VANISHED, EXPLODED = 1e-5, 1e4  # of the gradient at one step relative to another
SATURATED, SHUT = 0.8, 0.95  # shares of the values of a gate
DEAD = 1e-4  # how far a unit moves, relative to what all do
UPDATE_LOW, UPDATE_HIGH = 1e-6, 0.1  # of a weight matrix in a step, relative to the matrix
CLIPPED = 5.0  # times the limit, the mean norm of the gradient
BACK_UP, OVERFITTED = 1.2, 1.05  # times its least value, the loss of training and of validation


class Finding(NamedTuple):
    """Something that looks wrong.

    Attributes
    ----------
    kind : str
        "not finite", "exploding gradient", "vanishing gradient", "saturated gate", "dead units", "learning rate",
        "clipping", "no gradient", "divergence" or "overfitting".
    place : str
        A layer or a parameter by its name, or "training".
    text : str
        What was seen, and what may help.
    """

    kind: str
    place: str
    text: str

    def __str__(self):
        return f"{self.kind}, {self.place}: {self.text}"


class ParameterReport(NamedTuple):
    """Of one parameter: the norms of its values, of its gradient, and of its change in one step."""

    norm: float
    gradient: float
    update: float

    @property
    def ratio(self) -> float:
        """Of the change to the values; NaN where these are 0."""
        return self.update / self.norm if self.norm else math.nan


class Diagnosis(NamedTuple):
    """What `Trainer.diagnose` has seen; printed, it says so in words.

    Attributes
    ----------
    findings : list of Finding
    parameters : dict of ParameterReport
        By name.
    loss : float
    gradient_norm : float
        Of all parameters, before clipping.
    """

    findings: list[Finding]
    parameters: dict[str, ParameterReport]
    loss: float
    gradient_norm: float

    def __str__(self):
        lines = [f"loss {self.loss:.4g}, norm of the gradient {self.gradient_norm:.4g}", ""]
        width = max(map(len, self.parameters), default=0)
        lines.append(f"{'parameter':{width}}  {'norm':>9}  {'gradient':>9}  {'change in a step':>16}")
        for name, report in self.parameters.items():
            ratio = "" if math.isnan(report.ratio) else f"{report.ratio:.1e} of it"
            lines.append(f"{name:{width}}  {report.norm:9.3g}  {report.gradient:9.3g}  {ratio:>16}")
        lines += ["", *(fill(f"- {finding}", 100, subsequent_indent="  ") for finding in self.findings)]
        return "\n".join(lines if self.findings else [*lines, "nothing looks wrong"])


def diagnose(trainer: Trainer, batch: Batch) -> Diagnosis:
    """What looks wrong, by a batch."""
    bad = not_finite(trainer)
    if bad:
        return Diagnosis(bad, {}, math.nan, math.nan)
    twin = copy.deepcopy(trainer)
    try:
        loss, norm, parameters = tried_step(twin, batch)
    except FloatingPointError as error:
        found = Finding("exploding gradient", "training", f"{error}")
        return Diagnosis([found], {}, math.nan, math.nan)
    findings = [
        *of_flow(trainer, batch),
        *of_units(trainer, batch),
        *of_updates(trainer, parameters),
        *of_history(trainer),
    ]
    return Diagnosis(findings, parameters, loss, norm)


def not_finite(trainer: Trainer) -> list[Finding]:
    """Parameters with NaN or infinities."""
    return [
        Finding("not finite", name, f"{int((~np.isfinite(values)).sum())} of {values.size} values are NaN or infinite")
        for name, values in trainer.net.parameters().items()
        if not np.isfinite(values).all()
    ]


def tried_step(twin: Trainer, batch: Batch) -> tuple[float, float, dict[str, ParameterReport]]:
    """Loss, norm of the gradient and what happens to each parameter in a step."""
    before = {name: values.copy() for name, values in twin.net.parameters().items()}
    twin.accumulate = 1
    clips = twin.clip_norm, twin.clip_each_norm, twin.clip_value
    twin.clip_norm = twin.clip_each_norm = twin.clip_value = None
    stepper = Stepper(twin)
    prediction, _, tape = stepper.forward(batch, None, stepper.seed())
    seen: dict[str, float] = {}
    update, stepper.update = stepper.update, lambda _: 0.0
    loss = stepper.backward(batch, prediction, tape).loss
    seen = {name: norm_of(gradient) for name, gradient in stepper.gradients.items()}
    twin.clip_norm, twin.clip_each_norm, twin.clip_value = clips
    norm = update(batch)
    reports = {
        name: ParameterReport(norm_of(before[name]), seen[name], norm_of(values - before[name]))
        for name, values in twin.net.parameters().items()
    }
    return loss, norm, reports


def norm_of(array: np.ndarray) -> float:
    """The root of the sum of squares."""
    return float(np.linalg.norm(array.astype(np.float64)))


def of_flow(trainer: Trainer, batch: Batch) -> Iterator[Finding]:
    """How the gradient fares on its way through time."""
    if batch.options or not any(True for _ in recurrent_layers(trainer.net)):
        return
    flows = flow_of_loss(trainer.net, trainer.loss, batch.x, batch.y, batch.lengths, None, None)
    for name, flow in flows.items():
        for k, norms in enumerate(flow.over_batch("h")):
            place = f"layer {name}" + (f", index {k}" if len(flow.h) > 1 else "")
            known = norms[norms > 0]
            if len(known) < 2:
                continue
            least, most = known.min() / known.max(), known.max()
            if least < VANISHED:
                text = (
                    f"dL/dh is {least:.0e} of its largest value at some steps: what happened there is hardly learned "
                    "from. A larger forget bias, an LSTM instead of an RNN, or init=clstm.init.Chrono may help"
                )
                yield Finding("vanishing gradient", place, text)
            if most / known[-1] > EXPLODED:
                text = f"dL/dh grows {most / known[-1]:.0e} times on its way back: clip_norm=1 may help"
                yield Finding("exploding gradient", place, text)


def recurrent_layers(net: Any, place: str = "") -> Iterator[tuple[str, RecurrentLayer]]:
    """All of a network, by their places."""
    if isinstance(net, RecurrentLayer):
        yield place or "0", net
    elif isinstance(net, Network):
        for k, layer in enumerate(net.layers):
            yield from recurrent_layers(layer, f"{place}.{k}" if place else str(k))


def inputs(net: Any, x: Any, lengths: Any, place: str = "") -> Iterator[tuple[str, RecurrentLayer, Any, Any]]:
    """Each recurrent layer with what it reads."""
    if isinstance(net, RecurrentLayer):
        yield place or "0", net, x, lengths
    elif isinstance(net, Network):
        for k, layer in enumerate(net.layers):
            yield from inputs(layer, x, lengths, f"{place}.{k}" if place else str(k))
            x = layer.infer(x, None, lengths)[0]
            lengths = None if layer.removes_time or lengths is None else layer.lengths_after(lengths)


def of_units(trainer: Trainer, batch: Batch) -> Iterator[Finding]:
    """Gates that are shut or open all of the time, and units that do nothing."""
    if batch.options:
        return
    for name, layer, x, lengths in inputs(trainer.net, batch.x, batch.lengths):
        trace = layer.trace(x, lengths=lengths)
        for gate in trace:
            yield from of_gate(f"layer {name}", gate, trace)
        steps = np.arange(trace.h.shape[2]) < (trace.h.shape[2] if lengths is None else lengths[:, np.newaxis])
        steps = np.broadcast_to(steps, trace.h.shape[1:3])
        for k, h in enumerate(trace.h):
            moves = h[steps].std(axis=0)
            still = int((moves <= DEAD * max(float(moves.max()), 1e-30)).sum())
            if still:
                place = f"layer {name}" + (f", index {k}" if len(trace.h) > 1 else "")
                text = f"{still} of {moves.size} units hardly move: a smaller learning rate or other starting weights"
                yield Finding("dead units", place, f"{text} may help")


def of_gate(place: str, gate: str, trace: Any) -> Iterator[Finding]:
    """One gate, candidate or state. A forget gate that is open is as it should be."""
    if gate == "c":
        return
    left, right = (float(np.nanmean(share)) for share in trace.saturation(gate))
    if gate in ("f", "z"):
        wrong, share = left > SHUT, left
    else:
        wrong, share = left + right > SATURATED, left + right
    if wrong:
        text = (
            f"{share:.0%} of the values of {gate} are at an end of its range, where hardly any gradient passes: "
            "smaller weights or inputs (scale x), or a smaller learning rate may help"
        )
        yield Finding("saturated gate", f"{place}, {gate}", text)


def of_updates(trainer: Trainer, parameters: dict[str, ParameterReport]) -> Iterator[Finding]:
    """Whether steps are of a sensible size."""
    still = [name for name, report in parameters.items() if report.gradient == 0]
    if still:
        yield Finding(
            "no gradient", ", ".join(still), "the gradient is exactly 0: nothing is learned there by these data"
        )
    shapes = {name: values.ndim for name, values in trainer.net.parameters().items()}
    ratios = [r.ratio for name, r in parameters.items() if shapes[name] > 1 and r.norm > 0 and r.gradient > 0]
    if not ratios:
        return
    typical = float(np.median(ratios))
    if typical > UPDATE_HIGH or typical < UPDATE_LOW:
        size = "large" if typical > UPDATE_HIGH else "small"
        text = (
            f"a step changes weights by {typical:.0e} of their size; about 1e-3 is usual, so that a learning rate of "
            f"{trainer.learning_rate:.1e} is probably too {size}; find_learning_rate tries some"
        )
        yield Finding("learning rate", "training", text)


def of_history(trainer: Trainer) -> Iterator[Finding]:
    """What losses and norms over the epochs tell."""
    loss, norms = trainer.history["loss"], trainer.history["gradient_norm"]
    if norms and trainer.clip_norm is not None and norms[-1] > CLIPPED * trainer.clip_norm:
        times = norms[-1] / trainer.clip_norm
        text = f"the gradient is {times:.0f} times clip_norm, so that nearly every step is cut: a larger one may help"
        yield Finding("clipping", "training", text)
    if len(loss) >= 3 and loss[-1] > BACK_UP * min(loss):
        text = (
            f"the loss was {min(loss):.4g} and is {loss[-1]:.4g} again: a smaller learning rate or clip_norm may help"
        )
        yield Finding("divergence", "training", text)
    held_out = [value for value in trainer.history.get("val_loss", []) if not math.isnan(value)]
    if len(held_out) >= 5 and held_out[-1] > OVERFITTED * min(held_out) and loss[-1] < loss[len(loss) // 2]:
        text = (
            f"the validation loss was {min(held_out):.4g} and is {held_out[-1]:.4g}, while that of training still "
            "falls: callbacks.EarlyStopping, dropout or more data may help"
        )
        yield Finding("overfitting", "training", text)
