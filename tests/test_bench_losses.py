"""The benchmark of losses: what it compares and prints. Nothing here looks at how long anything took."""

import importlib

import numpy as np
import pytest
from test_bench import load_bench

load_bench()
losses = importlib.import_module("bench.losses")


def duel(peer_loss=1.0, wanted=0.0):
    return losses.Duel(lambda: (1.0, np.ones(2)), lambda: (peer_loss, np.ones(2)), "nothing", wanted, 1e-3)


def test_both_take_turns_and_have_to_agree():
    order = []
    both = duel()._replace(ours=lambda: order.append("ours"), peer=lambda: order.append("peer"))
    measured = losses.measure(both, 3)
    assert order == ["ours", "peer"] * 3
    assert 0 < measured.ours
    assert measured.ratio == measured.peer / measured.ours
    losses.agree(duel())
    losses.agree(duel(1.001))
    with pytest.raises(ValueError, match=r"clstm and nothing differ by 0.\d+, more than 0.001"):
        losses.agree(duel(2.0))


def test_the_command_prints_a_row_for_each(monkeypatch, capsys):
    def absent():
        raise ImportError("there is no such package")

    monkeypatch.setattr(losses, "one_thread", lambda: None)
    monkeypatch.setattr(losses, "ROWS", {"one": duel, "slow": lambda: duel(wanted=1e9), "none": absent})
    assert losses.main(["--only", "one,none", "--rounds", "2"]) == 0
    printed = capsys.readouterr().out
    assert "none: left out, there is no such package" in printed
    assert "| one " in printed
    assert losses.main(["--rounds", "2"]) == 1
    with pytest.raises(SystemExit):
        losses.main(["--only", "two"])


@pytest.mark.compare
def test_the_rows_agree_with_their_peers():
    pytest.importorskip("torch")
    losses.agree(losses.ctc(2, 30, 8, 5, "float32"))
    losses.agree(losses.ctc(2, 30, 8, 5, "float64"))
