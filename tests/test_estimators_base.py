"""What estimators share: parameters by name, what an unfitted one says, files, what they refuse, several networks."""

import json
import pickle

import numpy as np
import pytest

import clstm
from clstm import safetensors
from clstm.estimators import NotFittedError, load
from clstm.estimators import state as states
from clstm.estimators.base import ENTRY, Estimator, generator_of
from clstm.estimators.fitting import Recipe, children, held_out, trained


class LastValue(Estimator):
    """The smallest estimator: one number from a sequence."""

    kind = "regressor"

    def __init__(self, hidden_size=3, epochs=2, networks=2, random_state=None, marks=None):
        self.hidden_size = hidden_size
        self.epochs = epochs
        self.networks = networks
        self.random_state = random_state
        self.marks = marks

    def make(self, rng):
        """A network."""
        H = self.hidden_size
        return clstm.Network([clstm.LSTM(1, H, rng=rng), clstm.Pool("last"), clstm.Dense(H, 1, rng=rng)])

    def fit(self, X, y):
        """Learns."""
        recipe = Recipe.of(self)
        rng = generator_of(self.random_state)
        self.net_, self.history_ = trained(
            self.make, lambda trainer, arguments: trainer.fit(X, y, **arguments), recipe, rng, loss="mse"
        )
        self.scale_ = np.array([1 / 3, np.inf, np.nan])
        self.labels_ = np.array(["a", 2, None], object)
        return self

    def predict(self, X):
        """Tells."""
        self._check_fitted()
        return self.net_(X)[:, 0]


@pytest.fixture
def data(rng):
    x = rng.normal(size=(20, 5, 1))
    return x, x.sum(axis=(1, 2))


def test_parameters_are_kept_as_they_are_given():
    marks = np.arange(3)
    model = LastValue(4, marks=marks)
    assert model.get_params()["marks"] is marks
    assert list(model.get_params()) == ["hidden_size", "epochs", "networks", "random_state", "marks"]
    assert repr(model) == "LastValue(hidden_size=4, marks=array([0, 1, 2]))"
    assert model.set_params(epochs=9, marks=None) is model
    assert model.epochs == 9
    assert repr(model) == "LastValue(hidden_size=4, epochs=9)"


def test_an_unknown_parameter_changes_nothing():
    model = LastValue()
    with pytest.raises(ValueError, match=r"depth: expected a parameter of LastValue: hidden_size, epochs.*got depth"):
        model.set_params(epochs=5, depth=2)
    assert model.epochs == 2


def test_an_unfitted_one_says_so(tmp_path):
    for call in (lambda model: model.predict(0), lambda model: model.save(tmp_path / "model.safetensors")):
        with pytest.raises((NotFittedError, ValueError), match="this LastValue has learnt nothing yet: call fit first"):
            call(LastValue())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epochs", 0, "epochs: expected an int of at least 1, got 0"),
        ("networks", 1.5, "networks: expected an int"),
        ("random_state", "x", "random_state: expected an int"),
        ("random_state", -1, "random_state: expected a seed"),
    ],
)
def test_fit_names_the_parameter_that_is_wrong(data, name, value, message):
    model = LastValue(**{name: value})
    with pytest.raises((TypeError, ValueError), match=message):
        model.fit(*data)
    assert "net_" not in vars(model)


def test_a_seed_gives_the_same_bits_and_networks_do_not_depend_on_their_number(data, tmp_path):
    one, two, three = (LastValue(networks=n, random_state=5).fit(*data) for n in (1, 2, 2))
    np.testing.assert_array_equal(two.predict(data[0]), three.predict(data[0]))
    np.testing.assert_array_equal(one.net_.flat_parameters, two.net_.layers[0].flat_parameters)
    two.save(tmp_path / "two")
    three.save(tmp_path / "three")
    assert (tmp_path / "two").read_bytes() == (tmp_path / "three").read_bytes()
    assert [len(history["loss"]) for history in two.history_] == [2, 2]


def test_random_states_of_scikit_learn():
    state = np.random.RandomState(3)
    assert generator_of(state).random() != generator_of(state).random()
    assert generator_of(np.random.RandomState(3)).random() == generator_of(np.random.RandomState(3)).random()
    assert len({child.random() for child in children(np.random.default_rng(0), 5)}) == 5


def test_save_and_load(data, tmp_path):
    model = LastValue(random_state=0).fit(*data)
    model.save(tmp_path / "model.safetensors")
    same = load(tmp_path / "model.safetensors")
    assert repr(same) == repr(model)
    np.testing.assert_array_equal(same.predict(data[0]), model.predict(data[0]))
    np.testing.assert_array_equal(same.scale_, model.scale_, strict=True)
    np.testing.assert_array_equal(same.labels_, model.labels_, strict=True)
    assert same.history_ == model.history_
    np.testing.assert_array_equal(clstm.load(tmp_path / "model.safetensors")(data[0]), model.net_(data[0]))
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict(data[0]), model.predict(data[0]))


def test_what_a_file_cannot_hold_leaves_the_old_file(data, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"old")
    model = LastValue(random_state=np.random.default_rng(0)).fit(*data)
    with pytest.raises(TypeError, match=r"a file cannot hold Generator"):
        model.save(path)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda entry: entry.update({"class": "Nobody"}), "unknown estimator 'Nobody'"),
        (lambda entry: entry.update({"format": 2}), "format 2"),
        (lambda entry: entry["params"].update({"depth": 1}), "depth"),
        (lambda entry: entry["learnt"].update({"predict": 1}), "nothing that is learnt is named 'predict'"),
        (lambda entry: entry["learnt"].update({"__class__": 1}), "nothing that is learnt is named"),
        (lambda entry: entry.pop("learnt"), "learnt"),
    ],
)
def test_a_file_is_not_trusted(data, tmp_path, change, reason):
    path = tmp_path / "model.safetensors"
    LastValue(random_state=0).fit(*data).save(path)
    tensors, metadata = safetensors.read(path)
    entry = states.read(metadata[ENTRY])
    change(entry)
    safetensors.write(path, tensors, {**metadata, ENTRY: states.written(entry)})
    with pytest.raises(ValueError, match=f"model.safetensors.*{reason}"):
        load(path)


def test_a_network_is_no_estimator(tmp_path):
    clstm.Dense(2, 1).save(tmp_path / "dense.safetensors")
    with pytest.raises(ValueError, match=r"dense.safetensors.*no estimator"):
        load(tmp_path / "dense.safetensors")


VALUES = [
    None,
    True,
    3,
    0.1,
    float("inf"),
    "text",
    (1, ("a", 2.5)),
    [[1], []],
    {"a": 1, 2: (3,)},
    np.float32(0.1),
    np.datetime64("2020-01-01T12"),
    np.array(["2020-01", "2021-02"], "M8[M]"),
    np.arange(6, dtype="i2").reshape(2, 3),
    np.array([0.1, -np.inf], "f4"),
    np.array([True, False]),
    np.array(["a", "längeres"]),
    np.zeros((0, 3)),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_come_back_as_they_were(value):
    back = states.read(states.written(value))
    assert type(back) is type(value)
    if isinstance(value, (np.ndarray, np.generic)):
        assert back.dtype == value.dtype
        np.testing.assert_array_equal(back, value, strict=True)
    else:
        assert back == value


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, 1j, np.array([1j]), lambda: 0], ids=lambda value: type(value).__name__
)
def test_values_that_a_file_cannot_hold(value):
    with pytest.raises(TypeError, match="a file cannot hold"):
        states.written(value)


@pytest.mark.parametrize(
    "text",
    [
        {"array": [1], "dtype": "O", "shape": [1]},
        {"array": [1], "dtype": "<f8", "shape": [3]},
        {"object": "Popen", "state": None},
        {"other": 1},
    ],
    ids=str,
)
def test_texts_that_are_no_values(text):
    with pytest.raises(ValueError, match=r"holds no array|reshape|unknown class|no value is written"):
        states.read(json.dumps(text))


def test_held_out_rows(rng):
    train, validate = held_out(10, 0.25, rng)
    assert len(validate) == 2
    assert sorted([*train, *validate]) == list(range(10))
    assert [len(part) for part in held_out(2, 0.99, rng)] == [1, 1]
    with pytest.raises(ValueError, match="X: expected at least 2 sequences"):
        held_out(1, 0.5, rng)
