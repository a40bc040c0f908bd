"""The file format against the safetensors package, and model files that are damaged, foreign or hostile."""

import json
import os
import stat
import sys
import tracemalloc

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import safetensors.numpy as package
from safetensors import safe_open

import clstm
from clstm import safetensors

DTYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "b1"]


def some_tensors():
    rng = np.random.default_rng(0)
    tensors = {f"a {code}": (rng.integers(0, 2, size=(3, 5)) * 7.5).astype(code) for code in DTYPES}
    shapes = {"scalar": (), "one": (1,), "empty": (0,), "empty matrix": (3, 0, 2), "deep": (1, 2, 1, 3)}
    tensors |= {name: rng.normal(size=shape) for name, shape in shapes.items()}
    tensors["strided"] = rng.normal(size=(6, 8))[::2, ::3]
    tensors['name with " and \n and é'] = np.arange(3)
    return tensors


def same_tensors(actual, expected):
    assert actual.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(actual[name], values, strict=True)


# The format


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "all.safetensors"
    safetensors.write(path, some_tensors(), {"key": "value", "é": "\n"})
    tensors, metadata = safetensors.read(path)
    same_tensors(tensors, some_tensors())
    assert metadata == {"key": "value", "é": "\n"}
    assert all(values.flags.writeable for values in tensors.values())


def test_what_is_written_is_read_by_the_package(tmp_path):
    path = tmp_path / "all.safetensors"
    safetensors.write(path, some_tensors(), {"key": "value"})
    same_tensors(package.load_file(path), some_tensors())
    with safe_open(path, "numpy") as file:
        assert file.metadata() == {"key": "value"}


def test_what_the_package_writes_is_read(tmp_path):
    path = tmp_path / "all.safetensors"
    contiguous = {name: np.ascontiguousarray(values).reshape(values.shape) for name, values in some_tensors().items()}
    package.save_file(contiguous, path, {"key": "value"})
    tensors, metadata = safetensors.read(path)
    same_tensors(tensors, some_tensors())
    assert metadata == {"key": "value"}


def test_no_tensors_and_no_metadata(tmp_path):
    path = tmp_path / "nothing.safetensors"
    safetensors.write(path, {})
    assert safetensors.read(path) == ({}, {})
    assert package.load_file(path) == {}


def test_big_endian_arrays_are_turned(tmp_path):
    path = tmp_path / "big.safetensors"
    safetensors.write(path, {"a": np.arange(5, dtype=">f8")})
    same_tensors(safetensors.read(path)[0], {"a": np.arange(5.0)})


def test_data_are_aligned(tmp_path):
    path = tmp_path / "aligned.safetensors"
    safetensors.write(path, {"a": np.zeros(3, "i1"), "b": np.zeros(2), "c": np.zeros(3, "f4")})
    with safetensors.Reader(path) as reader:
        assert all(begin % dtype.itemsize == 0 for dtype, _, begin, _ in reader.entries.values())


@pytest.mark.parametrize(
    "values", [np.array([1j]), np.array(["text"]), np.array([None]), np.zeros(2, "M8[s]")], ids=str
)
def test_other_dtypes_are_refused(tmp_path, values):
    with pytest.raises(TypeError, match=r"tensors\['a'\]: expected a dtype of safetensors, got"):
        safetensors.write(tmp_path / "no", {"a": values})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("metadata", [{"a": 1}, {1: "a"}, {"a": None}])
def test_metadata_are_strings(tmp_path, metadata):
    with pytest.raises(TypeError, match="metadata: expected strings"):
        safetensors.write(tmp_path / "no", {}, metadata)


def test_the_name_of_the_metadata_is_refused(tmp_path):
    with pytest.raises(ValueError, match="__metadata__"):
        safetensors.write(tmp_path / "no", {"__metadata__": np.zeros(3)})


# Writing


class Failure(Exception):
    pass


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), Failure(), KeyboardInterrupt()], ids=repr)
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, function, error):
    path = tmp_path / "net.safetensors"
    net = clstm.Network([clstm.LSTM(2, 3, rng=0)])
    net.save(path)
    before = path.read_bytes()
    net.flat_parameters[:] = 0

    def fail(*arguments):
        raise error

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(type(error)) as raised:
        net.save(path)
    monkeypatch.undo()
    if isinstance(error, OSError):
        assert raised.value.filename == str(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_an_os_error(tmp_path):
    net = clstm.Network([clstm.LSTM(2, 3)])
    with pytest.raises(FileNotFoundError, match="missing"):
        net.save(tmp_path / "missing" / "net.safetensors")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        net.save(tmp_path / "file" / "net.safetensors")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        net.save(tmp_path / "folder")
    with pytest.raises(OSError, match="nnn"):
        net.save(tmp_path / ("n" * 300))
    with pytest.raises(TypeError):
        net.save(3)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither modes nor, for everybody, symbolic links")
def test_a_file_has_the_usual_mode_and_links_stay(tmp_path):
    path, link = tmp_path / "net.safetensors", tmp_path / "link"
    (tmp_path / "plain").write_text("")
    link.symlink_to(path)
    clstm.LSTM(2, 3).save(link)
    assert link.is_symlink()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert stat.S_ISREG(path.stat().st_mode)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_parameters_that_are_not_finite_are_not_saved(tmp_path, value):
    net = clstm.Network([clstm.LSTM(2, 3), clstm.Dense(3, 1)])
    net.parameters()["1.weight"][0, 2] = value
    with pytest.raises(ValueError, match=r"parameters\['1.weight'\]: expected finite values, got .* at \[0, 2\]"):
        net.save(tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())


# Reading what was not written by us


def file_of(header, data=b"", length=None):
    """The bytes of a file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(shape=(2,), offsets=(0, 8), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


EIGHT = bytes(8)
DAMAGED = {
    "empty": (b"", "at least 8 bytes, got 0"),
    "seven bytes": (bytes(7), "at least 8 bytes, got 7"),
    "text": (b"clstm is a fine program, this is no model file of it", "is larger than 100000000"),
    "header longer than the file": (file_of({}, length=100), "a header of 100 bytes in a file of 10"),
    "huge header": (file_of({}, length=2**63), "is larger than 100000000"),
    "no JSON": (file_of(b"{..."), "no valid JSON"),
    "no UTF-8": (file_of(b'{"\xff": 1}'), "no valid JSON"),
    "empty header": (file_of(b""), "no valid JSON"),
    "NaN": (file_of(b'{"a": NaN}'), "NaN is no JSON"),
    "a list": (file_of([]), "no JSON object but list"),
    "a number": (file_of(b"7"), "no JSON object but int"),
    "deep": (file_of(b"[" * 100_000), "nested too deeply"),
    "a very long number": (file_of(b'{"a": ' + b"1" * 10_000 + b"}"), "no valid JSON|has not exactly"),
    "a key twice": (file_of(b'{"a": {"dtype": "F32", "dtype": "F32"}}'), "a key occurs twice"),
    "a tensor twice": (file_of(b'{"a": {}, "a": {}}'), "a key occurs twice"),
    "metadata as a list": (file_of({"__metadata__": []}), "__metadata__ is no dict of strings"),
    "metadata with numbers": (file_of({"__metadata__": {"a": 1}}), "__metadata__ is no dict of strings"),
    "no entry": (file_of({"a": 3}), "tensor 'a' has not exactly dtype, shape and data_offsets"),
    "no dtype": (file_of({"a": {"shape": [2], "data_offsets": [0, 8]}}, EIGHT), "has not exactly"),
    "one key too many": (file_of({"a": {**entry(), "x": 0}}, EIGHT), "has not exactly"),
    "unknown dtype": (file_of({"a": entry(dtype="F31")}, EIGHT), "has dtype 'F31'; known are F64, F32"),
    "bfloat16": (file_of({"a": entry((4,), dtype="BF16")}, EIGHT), "has dtype 'BF16'"),
    "dtype as a list": (file_of({"a": entry(dtype=[])}, EIGHT), r"has dtype \[\]"),
    "negative shape": (file_of({"a": entry((-2, -1))}, EIGHT), r"has the shape \[-2, -1\]"),
    "shape of floats": (file_of({"a": entry((2.0,))}, EIGHT), r"has the shape \[2.0\]"),
    "shape of booleans": (file_of({"a": entry((True, True), (0, 4))}, bytes(4)), "has the shape"),
    "shape as a number": (file_of({"a": {**entry(), "shape": 2}}, EIGHT), "has the shape 2"),
    "huge shape": (file_of({"a": entry((2**40, 2**40))}, EIGHT), "needs 4835703278458516698824704 bytes"),
    "huge shape, huge offsets": (file_of({"a": entry((2**50,), (0, 2**52))}, EIGHT), "the file has"),
    "larger than any size": (file_of({"a": entry((2**64,))}, EIGHT), "has the shape"),
    "huge and empty": (file_of({"a": entry((2**62, 2**62, 0), (0, 8))}, EIGHT), "needs 0 bytes"),
    "too many axes": (file_of({"a": entry((1,) * 10_000, (0, 4))}, bytes(4)), "has the shape"),
    "one offset": (file_of({"a": entry((2,), (8,))}, EIGHT), r"has the data_offsets \[8\]"),
    "offsets backward": (file_of({"a": entry((2,), (8, 0))}, EIGHT), r"has the data_offsets \[8, 0\]"),
    "negative offsets": (file_of({"a": entry((2,), (-8, 0))}, EIGHT), r"has the data_offsets \[-8, 0\]"),
    "offsets of text": (file_of({"a": entry((2,), ("0", "8"))}, EIGHT), "has the data_offsets"),
    "out of the file": (file_of({"a": entry()}, bytes(7)), "the file has"),
    "gap at the start": (file_of({"a": entry((2,), (4, 12))}, bytes(12)), "leaves a gap before it"),
    "gap in between": (file_of({"a": entry(), "b": entry((2,), (12, 20))}, bytes(20)), "'b' leaves a gap before it"),
    "overlap": (file_of({"a": entry(), "b": entry((2,), (4, 12))}, bytes(12)), "'b' overlaps the one before it"),
    "the same twice": (file_of({"a": entry(), "b": entry()}, EIGHT), "overlaps the one before it"),
    "data without a tensor": (file_of({"a": entry()}, bytes(9)), "the file has"),
    "a pickle": (b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os", "is larger than 100000000"),
}


@pytest.mark.parametrize("function", [safetensors.read, clstm.load])
@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_a_value_error(tmp_path, name, function):
    data, message = DAMAGED[name]
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message) as error:
            function(path)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert str(error.value).startswith(str(path))


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        clstm.load(tmp_path / "missing")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        clstm.load(tmp_path / "folder")


def test_files_stay_usable_after_a_refusal(tmp_path):
    path = tmp_path / "damaged"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="at least 8 bytes"):
        clstm.load(path)
    path.unlink()  # on Windows, an open file could not be removed


# Model files


def model():
    return clstm.Network([clstm.Embedding(5, 3, rng=0), clstm.LSTM(3, 4, rng=1), clstm.Pool("last")])


@pytest.fixture
def saved(tmp_path):
    """Path, tensors and description of a saved model."""
    path = tmp_path / "model.safetensors"
    model().save(path)
    tensors, metadata = safetensors.read(path)
    return path, tensors, json.loads(metadata["clstm"])


def test_a_model_file_is_what_the_docs_say(saved):
    path, tensors, description = saved
    same_tensors(tensors, model().parameters())
    assert description == {
        "format": 1,
        "clstm": clstm.__version__,
        "class": "Network",
        "config": {
            "layers": [
                {"class": "Embedding", "config": {"num_embeddings": 5, "dim": 3, "dtype": "float32"}},
                {
                    "class": "LSTM",
                    "config": {
                        "input_size": 3,
                        "hidden_size": 4,
                        "num_layers": 1,
                        "bidirectional": False,
                        "bias": True,
                        "dtype": "float32",
                    },
                },
                {"class": "Pool", "config": {"mode": "last", "bidirectional": None}},
            ]
        },
    }
    same_tensors(package.load_file(path), model().parameters())


def changed(description, **changes):
    """A description with other values; "layers.1.hidden_size" changes the config of layer 1."""
    description = json.loads(json.dumps(description))
    for place, value in changes.items():
        target = description
        keys = place.split("__")
        if keys[0] == "layer":
            target = description["config"]["layers"][int(keys[1])]
            keys = keys[2:]
            if keys[0] != "class":
                target = target["config"]
        target[keys[0]] = value
    return description


HUGE = 10**12
FOREIGN = {
    "newer": ({"format": 2}, "written in format 2 by clstm '0.1.0'; this one reads up to 1"),
    "no format": ({"format": None}, "no format number"),
    "format true": ({"format": True}, "no format number"),
    "format 0": ({"format": 0}, "no format number"),
    "unknown class": ({"class": "Transformer"}, "unknown class 'Transformer'; known are .*LSTM"),
    "class of a module": ({"class": "os.system"}, "unknown class 'os.system'"),
    "class as a list": ({"class": []}, r"unknown class \[\]"),
    "base class": ({"class": "Layer"}, "unknown class 'Layer'"),
    "config as a list": ({"config": []}, "the config of Network is no object"),
    "no layers": ({"config": {}}, "missing"),
    "layers as text": ({"config": {"layers": "LSTM"}}, "no list"),
    "empty layers": ({"config": {"layers": []}}, "expected 0 tensors, got 4"),
    "a layer without class": ({"config": {"layers": [{"config": {}}]}}, "described by its class and its config"),
    "unknown layer": ({"layer__1__class": "Gru"}, "unknown class 'Gru'"),
    "unknown option": ({"layer__1__zoneout": 0.5}, "zoneout"),
    "huge hidden_size": (
        {"layer__1__hidden_size": HUGE},
        r"tensor '1.weight_ih_l0': expected shape \(4000000000000, 3",
    ),
    "huge num_layers": ({"layer__1__num_layers": HUGE}, "tensor '1.weight_ih_l1' is missing"),
    "huge embedding": ({"layer__0__num_embeddings": HUGE, "layer__0__dim": HUGE}, "tensor '0.weight': expected shape"),
    "larger than a size": ({"layer__1__hidden_size": 2**70}, "tensor '1.weight_ih_l0': expected shape"),
    "negative size": ({"layer__1__hidden_size": -4}, "hidden_size: expected an int of at least 1, got -4"),
    "size as text": ({"layer__1__hidden_size": "4"}, "hidden_size: expected an int of at least 1, got '4'"),
    "size as a float": ({"layer__1__hidden_size": 4.0}, "hidden_size: expected an int of at least 1, got 4.0"),
    "size true": ({"layer__1__hidden_size": True}, "hidden_size: expected an int of at least 1, got True"),
    "flag as a number": ({"layer__1__bidirectional": 1}, "bidirectional: expected True or False, got 1"),
    "unknown mode": ({"layer__2__mode": "median"}, "mode: expected one of 'last', 'mean', 'max', got 'median'"),
    "other dtype": ({"layer__1__dtype": "float64"}, r"layers\[1\]: expected dtype float32"),
    "unknown dtype": ({"layer__1__dtype": "float16"}, "dtype: expected 'float32' or 'float64', got 'float16'"),
    "dtype as a list": ({"layer__1__dtype": ["f4", "f8"]}, "dtype: expected"),
    "sizes that do not follow": ({"layer__0__dim": 4}, "tensor '0.weight': expected shape"),
    "no bias": ({"layer__1__bias": False}, "expected 3 tensors, got 4"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_description_that_does_not_fit_is_a_value_error(saved, name):
    path, tensors, description = saved
    changes, message = FOREIGN[name]
    safetensors.write(path, tensors, {"clstm": json.dumps(changed(description, **changes))})
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message) as error:
            clstm.load(path)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize("text", ["", "7", "[]", "{}", "{", "NaN", '{"format": 1}', "[" * 100_000])
def test_a_description_that_is_none_is_a_value_error(saved, text):
    path, tensors, _ = saved
    safetensors.write(path, tensors, {"clstm": text})
    with pytest.raises(ValueError, match=r"model\.safetensors: "):
        clstm.load(path)


def test_networks_nested_without_end_are_a_value_error(saved):
    path, tensors, _ = saved
    inner = '{"class": "Network", "config": {"layers": ['
    for depth in (100, 330, 900, 5000):
        text = '{"format": 1, ' + (inner * depth)[1:] + "]}}" * depth
        safetensors.write(path, tensors, {"clstm": text})
        with pytest.raises(ValueError, match=r"model\.safetensors: "):
            clstm.load(path)


def test_a_file_of_somebody_else_is_a_value_error(tmp_path):
    path = tmp_path / "other.safetensors"
    package.save_file({"weight": np.zeros((2, 2), "f4")}, path)
    with pytest.raises(ValueError, match="no model of clstm: its metadata have no entry 'clstm'"):
        clstm.load(path)


def spoilt(tensors, name, values):
    return {**tensors, name: values}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: {n: v for n, v in t.items() if n != "1.bias_l0"}, "tensor '1.bias_l0' is missing"),
        (lambda t: spoilt(t, "2.bias", np.zeros(3, "f4")), "expected 4 tensors, got 5"),
        (lambda t: spoilt(t, "1.bias_l0", np.zeros(15, "f4")), r"'1.bias_l0': expected shape \(16,\), got \(15,\)"),
        (lambda t: spoilt(t, "0.weight", np.zeros((3, 5), "f4")), r"'0.weight': expected shape \(5, 3\), got \(3, 5\)"),
        (lambda t: spoilt(t, "0.weight", np.zeros((5, 3), "f8")), "'0.weight': expected dtype float32, got float64"),
        (lambda t: spoilt(t, "0.weight", np.zeros((5, 3), "i4")), "'0.weight': expected dtype float32, got int32"),
        (
            lambda t: spoilt(t, "1.bias_l0", np.full(16, np.nan, "f4")),
            r"\['1.bias_l0'\]: expected finite .* nan",
        ),
        (
            lambda t: spoilt(t, "1.bias_l0", np.full(16, np.inf, "f4")),
            r"\['1.bias_l0'\]: expected finite .* inf",
        ),
    ],
    ids=["missing", "extra", "shape", "transposed", "float64", "int32", "nan", "inf"],
)
def test_tensors_that_do_not_fit_are_a_value_error(saved, change, message):
    path, tensors, description = saved
    safetensors.write(path, change(tensors), {"clstm": json.dumps(description)})
    with pytest.raises(ValueError, match=message) as error:
        clstm.load(path)
    assert str(error.value).startswith(str(path))


def test_a_file_cut_anywhere_is_a_value_error(saved):
    path, _, _ = saved
    whole = path.read_bytes()
    for length in [*range(40), *range(40, len(whole), 37), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"model\.safetensors: "):
            clstm.load(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(ValueError, match="the file has"):
        clstm.load(path)


def test_a_file_that_shrinks_while_it_is_read_is_a_value_error(tmp_path):
    path = tmp_path / "shrinks"
    safetensors.write(path, {"a": np.zeros(10**6)})
    with safetensors.Reader(path) as reader:
        os.truncate(path, 10**6)
        with pytest.raises(ValueError, match="'a' ends early"):
            reader.read("a")


@hypothesis.given(data=st.data())
@hypothesis.settings(max_examples=300, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_changed_bytes_are_a_value_error_or_other_numbers(tmp_path, data):
    path = tmp_path / "model.safetensors"
    model().save(path)
    content = bytearray(path.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(header + 40, len(content) - 1)))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    message = None
    try:
        loaded = clstm.load(path)
    except ValueError as error:
        message = str(error)
    assert np.isfinite(loaded.flat_parameters).all() if message is None else message.startswith(str(path))
