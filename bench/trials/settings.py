"""All that a trial is told."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

CELLS = {
    "1997": "the cell of 1997",
    "modern": "LSTM with a forget gate",
    "small": "the same with about as many weights as in the paper",
    "rnn": "plain recurrent layer",
}
LOSSES = ("mse", "cross_entropy", "logistic")
OPTIMIZERS = ("adam", "sgd")


@dataclass(frozen=True)
class Settings:
    """How a network of one kind of cell learns one task.

    Attributes
    ----------
    hidden : int
        Cells; H.
    limit : int
        Sequences after which a trial that has not solved its task ends.
    loss : str
        "mse": linear outputs, mean squared error. "cross_entropy": scores of classes. "logistic": outputs sigmoid(z)
        and half the squared error, summed over the outputs and steps of a sequence, as in the paper.
    batch : int
        Sequences of one update; 1 is on-line learning.
    optimizer : str
        "adam", or "sgd" without momentum.
    learning_rate : float
    halved_after : int or None
        Sequences n after which the learning rate has halved: it is learning_rate / (1 + n / halved_after). None: it
        stays.
    clip_norm : float or None
        Longer gradients are shortened to this norm.
    interval : float or None
        Starting weights are uniform from minus this to this, output weights included, and so are biases that nothing
        else is said about. None: the defaults of clstm, those of Keras.
    input_interval : float or None
        Starting weights of the input are uniform from minus this to this.
    chrono : int or None
        Starting biases of forget and input gates are `clstm.init.Chrono` of so many steps.
    input_bias, output_bias : tuple of float or None
        Starting biases of the input gates, and of the output gates, of the cells in turn.
    g, h : str or None
        Squashing functions of the candidate and of the output of a cell; None: those of the kind of cell.
    direct : bool
        Whether the output units see the inputs, too.
    """

    hidden: int
    limit: int
    loss: str = "mse"
    batch: int = 1
    optimizer: str = "adam"
    learning_rate: float = 0.01
    halved_after: int | None = None
    clip_norm: float | None = None
    interval: float | None = None
    input_interval: float | None = None
    chrono: int | None = None
    input_bias: tuple | None = None
    output_bias: tuple | None = None
    g: str | None = None
    h: str | None = None
    direct: bool = False

    def but(self, **changes) -> Settings:
        """The same settings with some changes."""
        return replace(self, **changes)

    def record(self) -> dict:
        """As the JSON file keeps them: those that say something."""
        return {name: value for name, value in asdict(self).items() if value not in (None, False)}
