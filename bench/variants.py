"""The variants of the LSTM that are timed beside the plain one, and what they are made by."""

from __future__ import annotations

from typing import Any, NamedTuple


class Variant(NamedTuple):
    """One variant.

    `loop` says whether a loop over time in PyTorch is timed beside it: where PyTorch has no layer of that kind.
    """

    options: dict[str, Any]
    kind: str = "LSTM"  # the class
    gates: int = 4
    layers: int = 1  # at least
    halved: bool = False  # projection to half of H
    loop: bool = False

    def arguments(self, hidden_size: int) -> dict[str, Any]:
        """Those of the constructor, beside the sizes."""
        return self.options | ({"proj_size": self.projected(hidden_size)} if self.halved else {})

    def projected(self, hidden_size: int) -> int:
        """The projection size; 0 without a projection."""
        return hidden_size // 2 if self.halved else 0


RATE = 0.2
VARIANTS = {
    "peephole": Variant({"peephole": True}, loop=True),
    "coupled": Variant({"coupled": True}, gates=3),
    "clip": Variant({"clip": 3.0}),
    "cell_clip": Variant({"cell_clip": 3.0}),
    "zoneout": Variant({"zoneout_h": 0.1, "zoneout_c": 0.1}, loop=True),
    "dropout": Variant({"dropout": RATE}, layers=2),
    "input_dropout": Variant({"input_dropout": RATE}),
    "recurrent_dropout": Variant({"recurrent_dropout": RATE}, loop=True),
    "weight_drop": Variant({"weight_drop": RATE}),
    "input_noise": Variant({"input_noise": 0.1}),
    "layer_norm": Variant({"layer_norm": True}, loop=True),
    "proj_size": Variant({}, halved=True),
    "GRU": Variant({}, kind="GRU", gates=3),
    "reset_before": Variant({"reset_after": False}, kind="GRU", gates=3),
    "RNN": Variant({}, kind="RNN", gates=1),
}
SIZES = ("char-LM", "small", "batch-1", "tiny")
