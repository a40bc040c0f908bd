"""What the paper reports: the conditions of its experiments, and its results, row by row.

The figures are those of tables 1 to 11 and of the text of section 5, compared in two independent transcriptions. Where
the paper has no number, there is None. `weights_of` counts weights from the other columns of table 10, and gives each
of the numbers that the paper prints.

Two things to know about table 10. Its caption has the ranges of g and h the wrong way round: the text of all
experiments and equations 3 to 5 say g from -2 to 2 and h from -1 to 1, as it is here. And the hidden layer is fully
connected including the gates: cells *and gates* see the activations of all cells *and gates* of the step before (column
c, "F"). A layer whose recurrent weights come from the cells alone has fewer weights.
"""

from __future__ import annotations

from typing import Any, NamedTuple

RANDOM = "random"  # a bias drawn like the weights
LOGISTIC, G, H = (0, 1), (-2, 2), (-1, 1)  # ranges of the squashing functions


class Conditions(NamedTuple):
    """A row of table 10, with columns of table 11.

    Attributes
    ----------
    task : str
        "1-1" to "6b".
    steps : int
        The shortest sequence. Of task 2c the paper writes q, where the shortest sequence is q + 4.
    lag : int
        The least number of steps from the last relevant input to the target. Of task 2c it is q; the text has q + 1.
    blocks, cells : int
        Blocks of memory cells, and cells in each: they share their gates.
    inputs, outputs, weights : int
    connections : str
        "F": cells and gates are fed by inputs, cells and gates; outputs by cells. "B": each layer by all layers below,
        that is cell and gate by the inputs, outputs by inputs and cell.
    output_gate_bias, input_gate_bias : tuple of float, RANDOM or None
        Of each block. None: no bias, or, for the output gate of 2a and 2b, no such gate.
    biased : str or None
        Which units have biases: "gates", "hidden" (cells and gates), "all" (outputs, too) or None.
    h, g : tuple or None
        Ranges of the squashing functions, which are scaled logistic ones; None is the identity.
    learning_rate : float
    interval : float
        Starting weights are from minus this to this.
    test_size : int or None
        Sequences of the test set.
    tolerance : float or None
        Absolute errors at the end of the sequence have to be below this; None: another criterion.
    """

    task: str
    steps: int
    lag: int
    blocks: int
    cells: int
    inputs: int
    outputs: int
    weights: int
    connections: str
    output_gate_bias: Any
    input_gate_bias: Any
    biased: str | None
    h: tuple | None
    g: tuple | None
    learning_rate: float
    interval: float
    test_size: int | None
    tolerance: float | None


# fmt: off
CONDITIONS = (
    Conditions("1-1", 9, 9, 4, 1, 7, 7, 264, "F", (-1, -2, -3, -4), RANDOM, "gates", H, G, 0.1, 0.2, 256, None),
    Conditions("1-2", 9, 9, 3, 2, 7, 7, 276, "F", (-1, -2, -3), RANDOM, "gates", H, G, 0.1, 0.2, 256, None),
    Conditions("1-3", 9, 9, 3, 2, 7, 7, 276, "F", (-1, -2, -3), RANDOM, "gates", H, G, 0.2, 0.2, 256, None),
    Conditions("1-4", 9, 9, 4, 1, 7, 7, 264, "F", (-1, -2, -3, -4), RANDOM, "gates", H, G, 0.5, 0.2, 256, None),
    Conditions("1-5", 9, 9, 3, 2, 7, 7, 276, "F", (-1, -2, -3), RANDOM, "gates", H, G, 0.5, 0.2, 256, None),
    Conditions("2a", 100, 100, 1, 1, 101, 101, 10504, "B", None, None, None, None, LOGISTIC, 1.0, 0.2, None, 0.25),
    Conditions("2b", 100, 100, 1, 1, 101, 101, 10504, "B", None, None, None, None, LOGISTIC, 1.0, 0.2, 10_000, 0.25),
    Conditions("2c-1", 50, 50, 2, 1, 54, 2, 364, "F", None, None, None, H, G, 0.01, 0.2, 10_000, 0.2),
    Conditions("2c-2", 100, 100, 2, 1, 104, 2, 664, "F", None, None, None, H, G, 0.01, 0.2, 10_000, 0.2),
    Conditions("2c-3", 200, 200, 2, 1, 204, 2, 1264, "F", None, None, None, H, G, 0.01, 0.2, 10_000, 0.2),
    Conditions("2c-4", 500, 500, 2, 1, 504, 2, 3064, "F", None, None, None, H, G, 0.01, 0.2, 10_000, 0.2),
    Conditions("2c-5", 1000, 1000, 2, 1, 1004, 2, 6064, "F", None, None, None, H, G, 0.01, 0.2, 10_000, 0.2),
    Conditions("2c-6", 1000, 1000, 2, 1, 504, 2, 3064, "F", None, None, None, H, G, 0.01, 0.2, 10_000, 0.2),
    Conditions("2c-7", 1000, 1000, 2, 1, 204, 2, 1264, "F", None, None, None, H, G, 0.01, 0.2, 10_000, 0.2),
    Conditions("2c-8", 1000, 1000, 2, 1, 104, 2, 664, "F", None, None, None, H, G, 0.01, 0.2, 10_000, 0.2),
    Conditions("2c-9", 1000, 1000, 2, 1, 54, 2, 364, "F", None, None, None, H, G, 0.01, 0.2, 10_000, 0.2),
    Conditions("3a", 100, 100, 3, 1, 1, 1, 102, "F", (-2, -4, -6), (-1, -3, -5), "hidden", H, G, 1.0, 0.1, 2560, 0.2),
    Conditions("3b", 100, 100, 3, 1, 1, 1, 102, "F", (-2, -4, -6), (-1, -3, -5), "hidden", H, G, 1.0, 0.1, 2560, 0.2),
    Conditions("3c", 100, 100, 3, 1, 1, 1, 102, "F", (-2, -4, -6), (-1, -3, -5), "hidden", H, G, 0.1, 0.1, 2560, None),
    Conditions("4-1", 100, 50, 2, 2, 2, 1, 93, "F", RANDOM, (-3, -6), "all", H, G, 0.5, 0.1, 2560, 0.04),
    Conditions("4-2", 500, 250, 2, 2, 2, 1, 93, "F", RANDOM, (-3, -6), "all", H, G, 0.5, 0.1, 2560, 0.04),
    Conditions("4-3", 1000, 500, 2, 2, 2, 1, 93, "F", RANDOM, (-3, -6), "all", H, G, 0.5, 0.1, 2560, 0.04),
    Conditions("5", 100, 50, 2, 2, 2, 1, 93, "F", RANDOM, RANDOM, "all", H, G, 0.1, 0.1, 2560, 0.04),
    Conditions("6a", 100, 40, 2, 2, 8, 4, 156, "F", RANDOM, (-2, -4), "all", H, G, 0.5, 0.1, 2560, 0.3),
    Conditions("6b", 100, 24, 3, 2, 8, 8, 308, "F", RANDOM, (-2, -4, -6), "all", H, G, 0.1, 0.1, 2560, 0.3),
)
# fmt: on


class Result(NamedTuple):
    """What a method needed: a row of one of tables 1 to 9.

    Attributes
    ----------
    task : str
        As in `Conditions` for LSTM; else the experiment.
    source : str
        Where in the paper.
    method : str
        "LSTM", "RTRL", "BPTT", "ELM" (Elman net), "RCC" (recurrent cascade-correlation) or "CH" (the neural sequence
        chunker with two nets).
    setting : str
        What distinguishes the row.
    weights : int, (int, int) or None
        A pair is a range. Those of other methods in table 1 are estimates of the paper.
    learning_rate : float, (float, float) or None
    success : float or None
        Per cent of the trials.
    sequences : int
        Presented until success, the mean of the trials that had it; where success is 0, the method had none after so
        many.
    trials : int or None
    more : dict
        What else the table tells.
    """

    task: str
    source: str
    method: str
    setting: str
    weights: Any
    learning_rate: Any
    success: float | None
    sequences: int
    trials: int | None
    more: dict


def reber():
    """Table 1: embedded Reber grammar. Results of other methods are from Smith and Zipser, Cleeremans, and Fahlman."""
    others = (
        ("RTRL", "3 hidden units", 170, 0.05, None, 173_000),  # successful: "some fraction"
        ("RTRL", "12 hidden units", 494, 0.1, None, 25_000),  # successful: "some fraction"
        ("ELM", "15 hidden units", 435, None, 0, 200_000),
        ("RCC", "7 to 9 hidden units", (119, 198), None, 50, 182_000),
    )
    own = (
        ("1-1", "4 blocks of 1", 264, 0.1, 100, 39_740),
        ("1-2", "3 blocks of 2", 276, 0.1, 100, 21_730),
        ("1-3", "3 blocks of 2", 276, 0.2, 97, 14_060),
        ("1-4", "4 blocks of 1", 264, 0.5, 97, 9_500),
        ("1-5", "3 blocks of 2", 276, 0.5, 100, 8_440),
    )
    for row in others:
        yield Result("1", "table 1", *row, None, {})
    for task, *row in own:
        yield Result(task, "table 1", "LSTM", *row, 30, {"range": (3_800, 24_100)} if task == "1-5" else {})


def long_lags():
    """Table 2: task 2a. The text of section 5.2: task 2b. Table 3: task 2c."""
    others = (
        ("RTRL", "p=4", 36, 1.0, 78, 1_043_000),
        ("RTRL", "p=4", 36, 4.0, 56, 892_000),
        ("RTRL", "p=4", 36, 10.0, 22, 254_000),
        ("RTRL", "p=10", 144, (1.0, 10.0), 0, 5_000_000),
        ("RTRL", "p=100", 10_404, (1.0, 10.0), 0, 5_000_000),
        ("BPTT", "p=100", 10_404, (1.0, 10.0), 0, 5_000_000),
        ("CH", "p=100", 10_506, 1.0, 33, 32_400),
        ("LSTM", "p=100", 10_504, 1.0, 100, 5_040),
    )
    for row in others:
        yield Result("2a", "table 2", *row, 18, {})
    yield Result("2b", "section 5.2", "LSTM", "p=100", 10_504, 1.0, 100, 5_680, 18, {})
    distracting = (
        ("2c-1", 50, 50, 364, 30_000),
        ("2c-2", 100, 100, 664, 31_000),
        ("2c-3", 200, 200, 1264, 33_000),
        ("2c-4", 500, 500, 3064, 38_000),
        ("2c-5", 1000, 1000, 6064, 49_000),
        ("2c-6", 1000, 500, 3064, 49_000),
        ("2c-7", 1000, 200, 1264, 75_000),
        ("2c-8", 1000, 100, 664, 135_000),
        ("2c-9", 1000, 50, 364, 203_000),
    )
    for task, q, p, weights, sequences in distracting:
        yield Result(task, "table 3", "LSTM", f"q={q}, p={p}", weights, 0.01, None, sequences, 20, {"q": q, "p": p})


def two_sequence():
    """Tables 4 to 6. `sequences` is when ST2 was met; the share that is misclassified is of 2560 sequences after it."""
    rows = (
        ("3a", "table 4", 100, 3, 1.0, 39_850, {"st1": 27_380, "misclassified": 0.000195}),
        ("3a", "table 4", 100, 1, 1.0, 64_330, {"st1": 58_370, "misclassified": 0.000117}),
        ("3a", "table 4", 1000, 3, 1.0, 452_460, {"st1": 446_850, "misclassified": 0.000078}),
        ("3b", "table 5", 100, 3, 1.0, 43_250, {"st1": 41_740, "misclassified": 0.00828}),
        ("3b", "table 5", 100, 1, 1.0, 78_430, {"st1": 74_950, "misclassified": 0.01500}),
        ("3b", "table 5", 1000, 1, 1.0, 485_080, {"st1": 481_060, "misclassified": 0.01207}),
        ("3c", "table 6", 100, 3, 0.1, 269_650, {"misclassified": 0.00558, "mean_difference": 0.014}),
        ("3c", "table 6", 100, 1, 0.1, 565_640, {"misclassified": 0.00441, "mean_difference": 0.012}),
    )
    for task, source, T, N, learning_rate, sequences, more in rows:
        more = {"T": T, "N": N, **more}
        yield Result(task, source, "LSTM", f"T={T}, N={N}", 102, learning_rate, None, sequences, 10, more)


def marked_numbers():
    """Table 7: adding. Table 8: multiplication. `wrong` is of 2560 test sequences; `error` is as the table has it.

    The table calls `error` the mean squared error. That of its second row cannot be one: 14 errors of at most 1, and
    2546 below 0.04, give 0.0071 at most. The text has numbers like it as bounds of "the average test set error".
    """
    yield Result("4-1", "table 7", "LSTM", "T=100", 93, 0.5, None, 74_000, 10, {"wrong": 1})
    yield Result("4-2", "table 7", "LSTM", "T=500", 93, 0.5, None, 209_000, 10, {"wrong": 0})
    more = {"wrong": 1, "range": (370_000, 2_020_000)}
    yield Result("4-3", "table 7", "LSTM", "T=1000", 93, 0.5, None, 853_000, 10, more)
    more = {"n_seq": 140, "wrong": 139, "error": 0.0223}
    yield Result("5", "table 8", "LSTM", "T=100, n_seq=140", 93, 0.1, None, 482_000, 10, more)
    more = {"n_seq": 13, "wrong": 14, "error": 0.0139}
    yield Result("5", "table 8", "LSTM", "T=100, n_seq=13", 93, 0.1, None, 1_273_000, 10, more)


def temporal_order():
    """Table 9. `wrong` is of 2560 test sequences."""
    yield Result("6a", "table 9", "LSTM", "2 symbols", 156, 0.5, None, 31_390, 20, {"wrong": 1})
    yield Result("6b", "table 9", "LSTM", "3 symbols", 308, 0.1, None, 571_100, 10, {"wrong": 2})


RESULTS = (*reber(), *long_lags(), *two_sequence(), *marked_numbers(), *temporal_order())


def conditions(task) -> Conditions:
    """The row of table 10 of a task, such as "4-1" or "6a"."""
    return next(row for row in CONDITIONS if row.task == task)


def results(task) -> list[Result]:
    """The rows of a task; of a task such as "2c", those of all its parts."""
    return [row for row in RESULTS if row.task == task or row.task.startswith(f"{task}-")]


def weights_of(row) -> int:
    """The number of weights that a row of table 10 has to have."""
    cells = row.blocks * row.cells
    if row.connections == "B":  # a cell and its input gate, which see inputs; outputs, which see inputs and cell
        return 2 * row.inputs + row.outputs * (row.inputs + cells)
    gates = 2 * row.blocks
    biases = {None: 0, "gates": gates, "hidden": gates + cells, "all": gates + cells + row.outputs}
    return (cells + gates) * (row.inputs + cells + gates) + row.outputs * cells + biases[row.biased]
