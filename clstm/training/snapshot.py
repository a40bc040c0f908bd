"""What of a trainer goes into a checkpoint, and how it becomes a trainer again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import _arrays, losses, metrics, optimizers, schedules
from ..model_file import build, describe
from .checkpoint import generator_of, generator_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..layer import Layer
    from .trainer import Trainer

NUMBERS = ("clip_norm", "clip_each_norm", "clip_value", "accumulate", "bptt", "memory")


def take(trainer: Trainer) -> dict[str, Any]:
    """The value of a checkpoint, see `checkpoint`."""
    run, state = trainer._run, trainer.optimizer_state
    # Until it has ended, a run is to be gone on with, if only to end: callbacks may change the network then
    unfinished = trainer._unfinished if run is None else run.describe() if run.unfinished or not run.ended else None
    return {
        "net": {"description": describe(trainer.net), "parameters": trainer.net.parameters()},
        "loss": described(trainer.loss),
        "optimizer": described(trainer.optimizer),
        "optimizer state": {"numbers": state.numbers(), "arrays": state.arrays()},
        "schedule": {**described(trainer.schedule), "state": trainer.schedule.state()},
        "metrics": [{**described(metric), "name": type(metric).__name__} for metric in trainer.metrics],
        "options": {name: getattr(trainer, name) for name in NUMBERS},
        "generator": generator_state(trainer.rng),
        "epoch": trainer.epoch,
        "steps": trainer.steps,
        "history": trainer.history,
        "validations": trainer.validations,
        "in fit": run is not None and not run.ended,
        "unfinished": unfinished,
    }


def described(thing: Any) -> dict[str, Any]:
    """Name and configuration of an object of clstm; of one that is the user's own, the name alone."""
    cls = type(thing)
    own = not cls.__module__.startswith("clstm.") or getattr(thing, "function", None) is not None
    name = getattr(getattr(thing, "function", thing), "__name__", getattr(thing, "name", cls.__name__))
    return {"name": name, "config": None if own else thing.config()}


def restore(cls: type[Trainer], path: str, found: dict[str, Any], net: Layer | None, given: dict[str, Any]) -> Trainer:
    """The trainer of a checkpoint; `given` has what is of the user's own."""
    try:
        trainer = cls(
            net_of(found["net"], net),
            made("loss", found["loss"], given["loss"], losses.from_config),
            made("optimizer", found["optimizer"], given["optimizer"], optimizers.from_config),
            schedule=made("schedule", found["schedule"], given["schedule"], schedules.from_config),
            metrics=metrics_of(found["metrics"], given["metrics"]),
            rng=generator_of(found["generator"]),
            **found["options"],
        )
        state = found["optimizer state"]
        trainer.optimizer_state = optimizers.OptimizerState.restored(state["arrays"], state["numbers"])
        trainer.schedule.load_state(found["schedule"]["state"])
        trainer.epoch, trainer.steps = found["epoch"], found["steps"]
        trainer.history, trainer.validations = found["history"], found["validations"]
        trainer._unfinished = found["unfinished"]
        if found["in fit"]:
            trainer.optimizer.end(trainer.net.flat_parameters, trainer.optimizer_state)
    except KeyError as error:
        raise ValueError(f"{path}: it has no {error}") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    return trainer


def net_of(found: dict[str, Any], net: Layer | None) -> Layer:
    """The network of a checkpoint, or the one that was given, with its parameters."""
    if net is None:
        net = build(found["description"])
    elif describe(net) != found["description"]:
        expected = f"the network of the checkpoint, {build(found['description'])!r}"
        raise _arrays.wrong(ValueError, "net", expected, repr(net))
    net.load_parameters(found["parameters"])
    return net


def made(name: str, found: dict[str, Any], given: Any, make: Callable[[str, dict[str, Any]], Any]) -> Any:
    """An object by its description, or the one that was given."""
    if given is not None:
        return given
    if found["config"] is None:
        expected = f"what the trainer had, {found['name']}, because no file holds what is not clstm's own"
        raise _arrays.wrong(ValueError, name, expected, "None")
    return make(found["name"], found["config"])


def metrics_of(found: list[dict[str, Any]], given: Any) -> Any:
    """The metrics of a checkpoint, or those that were given."""
    if given is not None:
        return given
    return [made("metrics", one, None, metrics.from_config) for one in found]
