"""The node tests that come with ONNX, of the recurrent operators that a layer of clstm can be."""

from pathlib import Path

import pytest
from cases import close
from onnx_files import read_node, read_tensor
from onnx_layout import operator

DATA = Path(__file__).parent / "data" / "onnx"

NODES = [
    "test_gru_batchwise",
    "test_gru_defaults",
    "test_gru_seq_length",
    "test_gru_with_initial_bias",
    "test_lstm_batchwise",
    "test_lstm_defaults",
    "test_lstm_with_initial_bias",
    "test_lstm_with_peepholes",
    "test_rnn_seq_length",
    "test_simple_rnn_batchwise",
    "test_simple_rnn_defaults",
    "test_simple_rnn_with_initial_bias",
]


def check(name):
    kind, attributes = read_node(DATA / name / "model.onnx")
    data = DATA / name / "test_data_set_0"
    inputs, expected = (dict(map(read_tensor, data.glob(f"{what}_*.pb"))) for what in ("input", "output"))
    assert attributes.pop("hidden_size") == inputs["R"].shape[2]
    options = {"layout": attributes.pop("layout", 0)}
    if kind == "GRU":
        options["reset_after"] = bool(attributes.pop("linear_before_reset", 0))
    found = dict(zip(("Y", "Y_h", "Y_c"), operator(kind, inputs, **options)))
    assert not attributes
    assert expected
    for output, values in expected.items():
        close(found[output], values, 1e-6)


@pytest.mark.parametrize("name", NODES)
def test_outputs_are_those_of_the_node(name):
    check(name)


def test_every_node_is_named():
    assert {path.name for path in DATA.iterdir() if path.is_dir()} == {*NODES}
