"""What the file of a forecaster says beside its networks, and how that is read without being trusted."""

from __future__ import annotations

import json

from .. import _arrays
from ..ensemble import Ensemble
from .checks import floats, number, preparation_of, state_of
from .results import LEVELS, Band, Fitted, least_values

ENTRY = "clstm.forecaster"  # its name among the metadata of the file
FORMAT = 1
OPTIONS = ("horizon", "season", "log", "networks", "hidden_size", "window", "epochs", "seed")
MOST_VALUES = 10**8  # that a series in a file may have had


def written(options, fitted):
    """The text of the entry; numbers in it come back as the same bits."""
    preparation, band, count, level, tail = fitted
    state = {
        "format": FORMAT,
        "options": options,
        **state_of(preparation),
        "growth": band.growth,
        "sizes": band.sizes.tolist(),
        "count": count,
        "level": level,
        "tail": tail.tolist(),
    }
    return json.dumps(state, allow_nan=False)


def read(text):
    """Options and `Fitted` from the text of an entry.

    Raises
    ------
    TypeError, ValueError, KeyError, AttributeError, RecursionError
        Something is not what it should be.
    """
    state = json.loads(text)
    if state["format"] != FORMAT:
        raise ValueError(f"format {state['format']!r:.40}; this clstm reads {FORMAT}")
    preparation = preparation_of(state)
    growth, level = (number(state[name], name) for name in ("growth", "level"))
    band = Band(growth, floats(state["sizes"], "sizes", len(LEVELS)))
    tail = floats(state["tail"], "tail", preparation.plan.window)
    options = {name: state["options"][name] for name in OPTIONS}
    return options, Fitted(preparation, band, _arrays.size("count", state["count"]), level, tail)


def check(horizon, fitted, net):
    """Raises ValueError unless horizon, `Fitted` and networks go together."""
    if not least_values(horizon) <= fitted.count <= MOST_VALUES:
        raise _arrays.wrong(ValueError, "count", f"{least_values(horizon)} to {MOST_VALUES}", fitted.count)
    if not isinstance(net, Ensemble) or (net.input_size, net.output_size, net.removes_time) != (1, 1, True):
        raise ValueError(f"the network {net!r:.80} makes no forecasts")
