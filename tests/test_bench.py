"""The benchmark: what it counts, compares, keeps and prints. Nothing here looks at how long anything took."""

import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import clstm

ROOT = Path(__file__).parents[1]


def load_bench():
    """The folder of the source tree as a package, without the tree on the path: an installed clstm stays what it is."""
    spec = importlib.util.spec_from_file_location("bench", ROOT / "bench" / "__init__.py")
    package = importlib.util.module_from_spec(spec)
    sys.modules["bench"] = package
    spec.loader.exec_module(package)


load_bench()
command, data, engines, long, machine, page, plots, report, results_, rows, run, sweeps, tables, targets = (
    importlib.import_module(f"bench.{name}")
    for name in (
        *(
            "__main__",
            "data",
            "engines",
            "long",
            "machine",
            "page",
            "plots",
            "report",
            "results",
            "rows",
            "run",
            "sweeps",
        ),
        *("tables", "targets"),
    )
)
Row, Shape, Results = rows.Row, rows.Shape, results_.Results


def facts(seconds, **more):
    return {"median_s": seconds, "min_s": seconds, "spread": 1.0, "version": "1", "quiet": True, **more}


def record(row, times, threads=1):
    found = {name: facts(seconds, difference=1e-7) for name, seconds in times.items()}
    return run.finished(row, threads, found, {})


def row_of(id_):
    return rows.select(rows.all_rows(), [id_])[0]


def is_there(variant):
    """Whether this clstm has it."""
    return set(variant.arguments(6)) <= set(getattr(clstm, variant.kind).__init__.__kwdefaults__)


@pytest.fixture
def canned():
    """Results of a machine with a peak of 100 GFLOP/s that reads 50 GB/s."""
    here = {"cpu": "a processor", "cores": 2, "caches": {"L1": 32768}, "memory_gib": 8.0, "revision": None}
    limits = {"float32": 100.0, "float64": 50.0, "read": {"128": 50.0, "512": 50.0}}
    found = Results({
        "format": 1,
        "date": "2026-01-01T00:00:00+00:00",
        "machine": {**here, "system": "a system", "python": "3.11.7"},
        "options": {},
        "limits": {"1": limits, "2": {**limits, "float32": 200.0}},
        "rows": [],
    })  # fmt: skip
    small = row_of("train:small")
    found.put(record(small, {"clstm": 0.005, "torch": 0.006, "jax": 0.008}))
    found.put(record(small, {"clstm": 0.003, "torch": 0.0045}, threads=2))
    found.put(record(row_of("step:H=64"), {"clstm": 2e-6, "clstm-kernel": 1.4e-6, "ort": 8e-6}))
    for id_, times in (
        ("float64:small", {"clstm": 0.01, "torch": 0.02}),
        ("isa:char-LM", {"clstm": 0.1, "clstm-avx2": 0.125}),
        ("ragged:unsorted", {"clstm": 0.02, "torch-packed": 0.1, "torch-padded": 0.06}),
        ("denormals:train-steady", {"clstm": 0.1}),
        ("denormals:train-decaying", {"clstm": 0.103}),
    ):
        found.put(record(row_of(id_), times))
    for T in (10, 100, 1000):
        found.put(record(row_of(f"sweep-T:T={T}"), {"clstm": 1e-5 * T * (1 + (T == 1000))}))
    return found


class TestWhatIsCounted:
    def test_operations_of_training_are_three_times_those_of_inference(self):
        # 100 steps of 32 sequences; 256 rows of weights with 32 + 64 columns; a multiplication and an addition each
        assert row_of("forward:small").flops == 100 * 32 * 2 * 256 * 96
        assert row_of("train:small").flops == 3 * row_of("forward:small").flops

    def test_upper_layers_read_both_directions(self):
        assert rows.product_flops(Shape(1, 1, 3, 5, L=2, D=2)) == 2 * 20 * 2 * ((3 + 5) + (10 + 5))

    def test_an_epoch_counts_its_output_layer(self):
        row = Row("epoch", "x", "epoch", Shape(4, 3, 5, 7), batches=2)
        assert row.flops == 3 * 2 * 4 * 3 * (2 * 28 * (5 + 7) + 2 * 7 * rows.VOCABULARY)

    @pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("float64", 8)])
    def test_a_step_reads_all_weights(self, dtype, size):
        assert Row("step", "x", "step", Shape(1, 1, 3, 5), dtype=dtype).weight_bytes == 20 * 8 * size

    def test_variants_have_products_of_their_own(self):
        plain = row_of("train:small").flops
        assert row_of("variant:small-peephole").flops == plain
        assert row_of("variant:small-GRU").flops == plain * 3 // 4
        # reads 32 of the 64 numbers of h, and projects h to them
        assert row_of("variant:small-proj_size").flops == 3 * 100 * 32 * (2 * 256 * (32 + 32) + 2 * 64 * 32)
        assert row_of("variant:small-dropout").shape.L == 2  # there is nothing between the layers of one

    def test_padding_is_no_work(self):
        unsorted, ordered = row_of("ragged:unsorted"), row_of("ragged:sorted")
        assert unsorted.steps == ordered.steps == sum(unsorted.lengths) == 3705
        assert sorted(unsorted.lengths, reverse=True) == list(ordered.lengths) != list(unsorted.lengths)
        assert min(unsorted.lengths) >= 20
        assert max(unsorted.lengths) <= 200
        assert abs(row_of("ragged:equal").steps - 3705) < 32

    def test_every_row_has_a_name_of_its_own(self):
        names = [row.id for row in rows.all_rows()]
        assert len(set(names)) == len(names)

    def test_every_row_has_someone_to_do_it(self):
        for row in rows.all_rows():
            assert any(run.takes_part(name, row) for name in engines.ENGINES if engines.is_own(name)), row.id


class TestSelection:
    @pytest.mark.parametrize(
        ("patterns", "names"),
        [
            (["train:small"], ["train:small"]),
            (["step"], [f"step:H={h}" for h in (16, 32, 64, 128, 256, 512)]),
            (["train:w*", "train:t?ny"], ["train:wide", "train:tiny"]),
        ],
    )
    def test_patterns(self, patterns, names):
        assert [row.id for row in rows.select(rows.all_rows(), patterns)] == names

    def test_a_pattern_without_rows_is_an_error(self):
        with pytest.raises(ValueError, match="no row is named 'training'; the kinds are train, forward"):
            rows.select(rows.all_rows(), ["train", "training"])

    def test_arguments(self):
        args = command.parser().parse_args(["--rows", "train:small,step:*", "--threads", "1,4", "--rounds", "3"])
        assert (args.command, args.rows, args.threads, args.rounds) == ("run", ["train:small", "step:*"], [1, 4], 3)
        assert args.engines == list(engines.ENGINES)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--engines", "torch,theano"], "no engine is named theano"),
            (["--threads", "0"], "expected a number from 1, got '0'"),
            (["--rows", "nothing"], "no row is named 'nothing'"),
            (["--text", "no-such-file"], "no-such-file is no file"),
        ],
    )
    def test_bad_arguments(self, arguments, message, capsys):
        with pytest.raises(SystemExit, match="2"):
            command.main(arguments)
        assert message in capsys.readouterr().err

    def test_rows_can_be_listed(self, capsys):
        assert command.main(["--list", "--rows", "train:tiny,forward:tiny"]) == 0
        assert capsys.readouterr().out == "train:tiny\nforward:tiny\n"


class TestData:
    def test_the_loss_of_ragged_sequences_does_not_see_the_padding(self):
        row = row_of("ragged:unsorted")
        dy = data.make(row).dy
        for n, length in enumerate(row.lengths):
            assert dy[:length, n].all()
            assert not dy[length:, n].any()

    def test_decaying_input_ends_below_the_least_normal_number(self):
        made = data.make(row_of("denormals:train-decaying"))
        least = np.finfo(np.float32).tiny
        half = len(made.x) // 2 + 1
        assert 0 < np.abs(made.x[half:]).max() < least
        assert np.abs(made.dy[len(made.dy) // 9 : half - 2]).max() < least
        y = clstm.LSTM(64, 64, rng=0)(made.x.swapaxes(0, 1)[:1])[0]
        assert np.isfinite(y).all()

    def test_characters_follow_one_another(self, tmp_path):
        text = tmp_path / "text"
        text.write_text("abacabad" * 10)
        row = Row("epoch", "x", "epoch", Shape(4, 3, 5, 7), batches=2, text=str(text))
        made = data.make(row)
        assert made.x.shape == made.y.shape == (6, 4)
        assert made.x.ravel()[1:].tolist() == made.y.ravel()[:-1].tolist()
        assert made.x[0].tolist() == [0, 1, 0, 2]  # the frequent ones first

    def test_a_text_that_is_too_short_is_an_error(self, tmp_path):
        text = tmp_path / "text"
        text.write_text("short")
        with pytest.raises(ValueError, match="expected at least 13 characters, got 5"):
            data.make(Row("epoch", "x", "epoch", Shape(4, 3, 5, 7), batches=1, text=str(text)))

    def test_an_invented_text_is_long_enough_and_always_the_same(self):
        texts = [data.invented_text(np.random.default_rng(1), 1000) for _ in range(2)]
        assert texts[0] == texts[1]
        assert len(texts[0]) >= 1000


class TestEngines:
    @pytest.mark.parametrize("work", ["forward", "step"])
    def test_clstm_and_numpy_agree(self, work):
        """For a step, where there may be no stream, the cell stands in."""
        row = Row("x", "x", work, Shape(1 if work == "step" else 6, 1, 5, 5))
        found = []
        for name in ("clstm" if work == "forward" else "clstm-cell", "numpy"):
            engine = engines.engine_class(name)(clstm.get_num_threads())
            call, arrays = getattr(engine, work)(row, data.make(row))
            for _ in range(3):
                result = call()
            found.append(arrays(result))
        (name,) = found[0]
        np.testing.assert_allclose(found[0][name], found[1][name], atol=1e-6)

    def test_memory_of_training_is_gates_and_states(self):
        row = Row("memory", "x", "memory", Shape(20, 16, 8, 16))
        engine = engines.engine_class("clstm")(clstm.get_num_threads())
        call, arrays = engine.memory(row, data.make(row))
        found = arrays(call())
        least = 6 * 20 * 16 * 16 * 4
        assert least <= found["tape"] < 1.2 * least
        assert found["inference_scratch"] < found["tape"]

    def test_one_epoch_gives_its_loss(self):
        row = Row("epoch", "x", "epoch", Shape(5, 3, 4, 6), batches=2)
        engine = engines.engine_class("clstm")(clstm.get_num_threads())
        call, arrays = engine.epoch(row, data.make(row))
        found = arrays(call())
        assert 0 < found["loss_after"] < found["loss"] < 2 * np.log(rows.VOCABULARY)

    @pytest.mark.parametrize("name", rows.VARIANTS)
    def test_variants(self, name):
        row = Row("variant", f"tiny-{name}", "train", Shape(4, 3, 5, 6, L=2), variant=name)
        engine = engines.engine_class("clstm")(clstm.get_num_threads())
        if is_there(rows.VARIANTS[name]):
            call, arrays = engine.train(row, data.make(row))
            found, again = arrays(call()), arrays(call())
            assert {"y", "dx", "dweight_ih_l0", "dweight_hh_l1"} <= set(found)
            for key, values in found.items():
                np.testing.assert_array_equal(values, again[key])
        else:
            with pytest.raises(engines.NotAvailable, match="unexpected"):
                engine.train(row, data.make(row))
        plain, arrays = engines.engine_class("clstm-plain")(clstm.get_num_threads()).train(row, data.make(row))
        assert arrays(plain())["dw_ih"].shape == (24, 5)

    @pytest.mark.compare
    @pytest.mark.parametrize("name", [k for k, variant in rows.VARIANTS.items() if variant.loop and is_there(variant)])
    def test_loops_in_pytorch_have_the_results_of_clstm(self, name):
        pytest.importorskip("torch")
        row = Row("variant", f"tiny-{name}", "train", Shape(4, 3, 5, 6, L=2), dtype="float64", variant=name)
        found = []
        for engine in ("clstm", "torch-loop", "torch-loop-tuned"):
            call, arrays = engines.engine_class(engine)(clstm.get_num_threads()).train(row, data.make(row))
            found.append(arrays(call()))
        for key, values in found[0].items():
            np.testing.assert_allclose(found[1][key], values, atol=1e-12, err_msg=key)
            np.testing.assert_allclose(found[2][key], values, atol=1e-12, err_msg=key)

    def test_who_can_do_what(self):
        can = {name: [row.id for row in rows.all_rows() if run.takes_part(name, row)] for name in engines.ENGINES}
        assert can["torch-fused"] == ["epoch:char-LM", "epoch:tiny"]
        assert can["torch-packed"] == ["ragged:unsorted", "ragged:sorted"]
        assert set(can["clstm-avx2"]) == {row.id for row in rows.all_rows() if row.kind == "isa"}
        assert not any(name.startswith(("train", "float64")) for name in can["ort"])
        assert set(can["clstm-plain"]) == {row.id for row in rows.all_rows() if row.kind == "variant"}
        assert "variant:tiny-layer_norm" in can["torch-loop"]
        assert can["torch-loop-tuned"] == can["torch-loop"]
        assert "variant:tiny-GRU" not in can["torch-loop"]


class TestRun:
    def test_short_calls_are_timed_in_groups(self):
        assert run.plan(1e-6, 1.0, 10) == (20, 5000)
        assert run.plan(2.0, 1.0, 7) == (1, 1)

    def test_summary(self):
        found = run.summary([[1.0, 2.0], [3.0, 5.0]])
        assert found == {"median_s": 2.5, "min_s": 1.0, "spread": 4 / 1.5, "samples": 4}

    def test_rows_that_are_compared_take_turns(self, monkeypatch):
        seen = []

        def measured_once(row, *_):
            seen.append(row.id)
            seconds = float(len(seen))
            own = {"blocks": [[seconds]], "quiet": [True]}
            peer = {"blocks": [[seconds / 2]], "quiet": [len(seen) < 3]} | ({"invalid": True} if seconds == 2 else {})
            return {"clstm": own, "torch": peer, "jax": dict(own)}, {"jax": "error: x"} if seconds == 5 else {}

        monkeypatch.setattr(run, "measure_once", measured_once)
        few = [row_of("sweep-H:H=1"), row_of("sweep-H:H=2")]
        one, two = run.measure(few, 3, 1, {}, None, None)
        assert seen == ["sweep-H:H=1", "sweep-H:H=2"] * 3
        assert (one["engines"]["clstm"]["median_s"], two["engines"]["clstm"]["median_s"]) == (3, 4)
        assert (one["engines"]["torch"]["quiet"], one["engines"]["clstm"]["quiet"]) == (False, True)
        assert one["skipped"] == {"jax": "error: x"}
        assert set(one["engines"]) == {"clstm", "torch"}
        assert [one["best_peer"], two["best_peer"]] == ["torch", "jax"]
        assert "blocks" not in one["engines"]["clstm"]

    def test_an_engine_with_other_results_counts_for_nothing(self):
        row = row_of("forward:tiny")
        loaded = {name: facts(seconds) for name, seconds in (("clstm", 3.0), ("torch", 2.0), ("jax", 1.0))}
        y = np.ones((2, 2), np.float32)
        run.compare(row, loaded, {"clstm": {"y": y}, "torch": {"y": y * 1.00001}, "jax": {"y": y + np.float32(0.01)}})
        found = run.finished(row, 1, loaded, {})
        assert loaded["jax"]["invalid"]
        assert (found["best_peer"], found["ratio"]) == ("torch", pytest.approx(2 / 3))
        assert "INVALID: the results of jax differ" in report.line(Results({"limits": {}, "rows": []}), found)

    def test_the_plain_lstm_is_not_compared_with_a_variant(self):
        row = row_of("variant:tiny-peephole")
        loaded = {name: facts(seconds) for name, seconds in (("clstm", 3.0), ("clstm-plain", 2.0), ("torch-loop", 9.0))}
        y = np.ones((2, 2), np.float32)
        run.compare(row, loaded, {"clstm": {"y": y}, "clstm-plain": {"dx": y}, "torch-loop": {"y": y}})
        found = run.finished(row, 1, loaded, {})
        assert (found["best_peer"], found["ratio"], tables.cost(found)) == ("torch-loop", 3.0, 1.5)

    def test_y_is_compared_where_it_is_valid(self):
        row = Row("ragged", "x", "train", Shape(3, 2, 1, 1), lengths=(3, 1))
        y = np.ones((3, 2, 1))
        padded = y.copy()
        padded[1:, 1] = 7
        assert run.difference(row, "y", padded, y) == 0
        assert run.difference(row, "dx", padded, y) == 6

    def test_nothing_is_waited_for_without_patience(self):
        assert machine.Patience(60, 0).wait() in (True, False, None)
        assert machine.physical_cores()


class TestResults:
    def test_limits(self, canned):
        train, step = canned.row("train", "small", 1), canned.row("step", "H=64", 1)
        assert canned.fraction(train) == pytest.approx(train["flops"] / 1e11 / 0.005)
        assert canned.limit_seconds(step) == pytest.approx(4 * 64 * 128 * 4 / 50e9)
        assert canned.fraction(canned.row("float64", "small", 1)) == pytest.approx(train["flops"] / 50e9 / 0.01)

    def test_forms_of_clstm_are_no_peers(self, canned):
        assert results_.best_peer(canned.row("step", "H=64", 1)) == "ort"
        assert results_.best_peer(canned.row("isa", "char-LM", 1)) is None

    def test_a_row_that_is_measured_again_replaces_the_old_one(self, canned):
        before = [(row["name"], row["threads"]) for row in canned.rows]
        canned.put(record(row_of("train:small"), {"clstm": 0.004, "torch": 0.006}))
        assert [(row["name"], row["threads"]) for row in canned.rows] == before
        assert canned.seconds("train", "small", 1) == 0.004

    def test_files(self, canned, tmp_path):
        path = tmp_path / "folder" / "results.json"
        canned.write(path)
        assert Results.read(path).found == canned.found
        assert [file.name for file in path.parent.iterdir()] == ["results.json"]
        path.write_text("{}")
        with pytest.raises(ValueError, match="expected results of the benchmark"):
            Results.read(path)


class TestReport:
    def test_tables(self, canned):
        text = report.text(canned)
        words = " ".join(text.split())
        assert "| small | 5 ms | 94.4 | 94 % | torch | 6 ms | 1.20x | 1e-07 |" in words
        assert "| train:small | 1.67x |" in words
        assert "| T = 1000 | 1 | clstm | 1250.0 | 2.00x | no |" in words
        assert all(len({len(line) for line in block}) == 1 for block in blocks(text))

    def test_a_line(self, canned):
        line = report.line(canned, canned.row("train", "small", 1))
        assert "clstm 5 ms, 94.4 GFLOP/s, 94 % of the limit  torch 6 ms" in line
        assert "ratio 1.20x" in line

    def test_the_command_prints_them_again(self, canned, tmp_path, capsys):
        canned.write(tmp_path / "results.json")
        assert command.main(["report", str(tmp_path / "results.json")]) == 0
        assert capsys.readouterr().out.strip() == report.text(canned)
        with pytest.raises(SystemExit, match="no-such"):
            command.main(["report", str(tmp_path / "no-such.json")])

    def test_limits_of_an_earlier_run_count(self):
        results = Results({"limits": {}})
        run.keep_limits(results, 1, [{"float32": 100.0, "float64": 50.0, "read": {32: 200.0}}])
        run.keep_limits(results, 1, [None, {"float32": 90.0, "float64": 51.0, "read": {32: 210.0}}])
        assert results.found["limits"] == {"1": {"float32": 100.0, "float64": 51.0, "read": {"32": 210.0}}}

    def test_tables_for_the_documentation(self, canned, tmp_path):
        (path,) = page.write(canned, tmp_path)
        text = path.read_text(encoding="utf-8")
        assert path == tmp_path / "speed.md"
        assert "versions: clstm 1" in text
        assert "### Training" in text
        line = next(line for line in text.splitlines() if line.startswith("| small")).replace(page.UNBROKEN, " ")
        assert [cell.strip() for cell in line.split("|")[3:8]] == ["5 ms", "94", "94 %", "torch 6 ms", "1.20x"]

    def test_tables_of_variants(self, canned, tmp_path):
        times = {"clstm": 1.08e-3, "clstm-plain": 1e-3, "torch-loop": 36e-3}
        canned.put(record(row_of("variant:char-LM-zoneout"), times))
        canned.put(record(row_of("variant:char-LM-GRU"), {"clstm": 1.2e-3, "clstm-plain": 1e-3}))
        speed, variants = page.write(canned, tmp_path)
        assert (speed.name, variants.name) == ("speed.md", "variants.md")
        words = " ".join(variants.read_text(encoding="utf-8").replace(page.UNBROKEN, " ").split())
        assert "| zoneout | 1.08x | - | - | - |" in words
        assert "| zoneout | 1.08 ms, 36 ms, 33.33x | - | - | - |" in words
        found = {target.name: target.verdict for target in targets.variants(canned)}
        assert found["zoneout char-LM, 1 thr: against the plain LSTM"] == "met"
        assert found["zoneout char-LM, 1 thr: against a loop in PyTorch"] == "met"
        assert found["GRU char-LM, 1 thr: against the plain LSTM"] == "missed"
        assert found["GRU char-LM, 2 thr: against the plain LSTM"] == "not measured"

    def test_plots(self, canned, tmp_path):
        canned.put(record(row_of("sweep-H:H=16"), {"clstm": 1e-3}))
        names = [path.name for path in plots.draw(canned, tmp_path)]
        expected = ["train", "float64", "step", "sweep-T", "sweep-H"]
        assert names == [f"speed-{name}.svg" for name in expected]
        assert all((tmp_path / name).stat().st_size > 1000 for name in names)


def blocks(text):
    """The tables of a text, as lists of lines."""
    return [[line for line in part.splitlines() if line.startswith("|")] for part in text.split("##")[1:]]


class TestSweeps:
    @staticmethod
    def points(*pairs):
        return [sweeps.Point(size, seconds, seconds / size, 1.0) for size, seconds in pairs]

    def test_growth_is_against_the_least_before(self):
        assert sweeps.growth(self.points((1, 2.0), (2, 2.0), (4, 8.0))) == {1: 1.0, 2: 1.0, 4: 2.0}

    def test_a_cliff_is_what_a_larger_size_does_faster(self):
        assert sweeps.cliffs(self.points((15, 1.0), (16, 1.1), (17, 3.0), (32, 2.0), (64, 4.0))) == {17: 1.5}


class TestTargets:
    def test_verdicts(self, canned):
        found = {name: (seen, verdict) for name, _, seen, verdict in targets.judged(targets.all_targets(canned))}
        expected = {
            "training small, 1 thr: against the best peer": ("1.200", "missed"),
            "training small, 2 thr: against the best peer": ("1.500", "met"),
            "training small, 1 thr: share of sgemm peak": ("0.944", "met"),
            "training wide, 1 thr: against the best peer": ("-", "not measured"),
            "one step H=64: us": ("2.000", "met"),
            "one step H=64: us above the kernel": ("0.600", "missed"),
            "ragged unsorted, 1 thr: against torch-packed": ("5.000", "met"),
            "ragged unsorted, 1 thr: against torch-padded": ("3.000", "met"),
            "float64 small: against torch": ("2.000", "met"),
            "AVX2 char-LM: against the best instruction set": ("0.800", "missed"),
            "decaying input against steady input, train": ("1.030", "met"),
            "linear in T: largest growth of cost": ("2.000", "missed"),
        }
        assert {name: found[name] for name in expected} == expected

    def test_the_exit_code_tells(self, canned, tmp_path, capsys):
        canned.write(tmp_path / "results.json")
        assert command.main(["targets", str(tmp_path / "results.json")]) == 1
        assert "missed" in capsys.readouterr().out


def test_a_quick_run_from_start_to_end(tmp_path):
    """With clstm alone: whatever else is installed is not needed."""
    shutil.copytree(ROOT / "bench", tmp_path / "bench")  # away from the tree, whose clstm may not be built
    arguments = ["--quick", "--no-limits", "--rows", "train:tiny,memory:tiny", "--engines", "clstm", "--threads", "1"]
    environment = {**os.environ, "PYTHONPATH": str(Path(clstm.__file__).parents[1])}
    call = [sys.executable, "-m", "bench", *arguments, "--out", "results.json"]
    done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "train:tiny" in done.stdout
    (train, memory) = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert train["engines"]["clstm"]["difference"] == 0
    assert train["engines"]["clstm"]["median_s"] >= train["engines"]["clstm"]["min_s"] > 0
    assert memory["engines"]["clstm"]["bytes"]["tape"] > 0


class TestLong:
    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no module resource")
    def test_a_budget_is_measured(self, capsys):
        assert long.main(["--steps", "300", "--sizes", "300", "2", "3", "16", "--rounds", "1"]) == 0
        head, _, usual, *budgets = capsys.readouterr().out.splitlines()
        assert head == "y and dx: 0.0 MB"
        assert usual.split()[:2] == ["usual", "1"]
        assert [line.split()[0] for line in budgets] == ["1/2", "1/5", "least"]
        assert all(int(line.split()[1]) > 1 for line in budgets)
