"""LSTMTextClassifier: what it learns, its probabilities, word dropout, weights, scikit-learn, what it refuses."""

import pickle

import numpy as np
import pytest

import clstm
from clstm.estimators import LSTMTextClassifier, load

GOOD = ["works well", "a great phone", "great sound", "I like it"]
BAD = ["does not work", "a poor phone", "poor sound", "I hate it"]
TEXTS = (GOOD + BAD) * 6
LABELS = (["good"] * 4 + ["bad"] * 4) * 6
SMALL = {"hidden_size": 6, "embedding_size": 6, "networks": 1, "random_state": 0}


@pytest.fixture(scope="module")
def model():
    return LSTMTextClassifier(**SMALL | {"networks": 2}, learning_rate=2e-2, epochs=10).fit(TEXTS, LABELS)


def test_it_learns(model):
    assert model.classes_.tolist() == ["bad", "good"]
    assert model.score(TEXTS, LABELS) > 0.9
    assert model.predict(["a GREAT phone", "poor"]).tolist() == ["good", "bad"]
    assert [len(history["loss"]) for history in model.history_] == [10, 10]


def test_probabilities_are_those_of_the_mean_of_the_networks(model):
    texts = ["a great phone", "it does", "poor " * 20, ""]
    x = model.vocabulary_.encode(texts[0].split())[np.newaxis]
    scores = sum(net(x) for net in model.net_.layers)[0].astype(float) / 2
    expected = np.exp(scores) / np.exp(scores).sum()
    found = model.predict_proba(texts)
    np.testing.assert_allclose(found[0], expected, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    for k, text in enumerate(texts):  # no text depends on its neighbours
        np.testing.assert_array_equal(model.predict_proba([text])[0], found[k])
    many = model.predict_proba(texts * 200)
    np.testing.assert_array_equal(many, np.tile(found, (200, 1)))


def test_unknown_words_and_texts_without_any_are_one_token(model):
    one, two, three = model.predict_proba(["zebra", "", "\t"])
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, three)


def test_tokens_are_taken_as_they_are(model):
    np.testing.assert_array_equal(
        model.predict_proba([["a", "GREAT", "phone"]]), model.predict_proba(["a great phone"])
    )
    exact = LSTMTextClassifier(**SMALL, lower=False, epochs=1).fit([["A b", "c"], ["d"]], [0, 1])
    assert set(exact.vocabulary_.symbols) == {"<unk>", "A b", "c", "d"}
    letters = LSTMTextClassifier(**SMALL, tokens="characters", epochs=1).fit(TEXTS, LABELS)
    assert set(letters.vocabulary_.symbols) == {"<unk>", *"".join(TEXTS).lower()}


def test_word_dropout_replaces_its_share_of_words_anew_each_time():
    model = LSTMTextClassifier(word_dropout=0.25)
    x = [np.full(40, k + 1) for k in range(50)]
    rng = np.random.default_rng(0)
    epochs = [list(model._batches(x, np.arange(50), np.arange(50.0), 16, rng)) for _ in range(2)]
    for epoch in epochs:
        assert [len(batch) for batch, *_ in epoch] == [16, 16, 16, 2]
        tokens, target, lengths, weight = (np.concatenate(parts) for parts in zip(*epoch, strict=True))
        assert sorted(target) == list(range(50))
        np.testing.assert_array_equal(weight, target)
        assert (lengths == 40).all()
        dropped = tokens == 0
        assert 0.2 < dropped.mean() < 0.3
        assert (tokens[~dropped] == (target[:, np.newaxis] + 1).repeat(40, axis=1)[~dropped]).all()
    assert not np.array_equal(epochs[0][0][1], epochs[1][0][1])
    short = [np.array([3]), np.array([1, 2])]
    ((tokens, target, lengths, weight),) = LSTMTextClassifier(word_dropout=0.0)._batches(
        short, np.array([0, 1]), None, 2, rng
    )
    assert [tokens[row, : lengths[row]].tolist() for row in target.argsort()] == [[3], [1, 2]]
    assert weight is None


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
def test_settings_make_the_network(pooling):
    model = LSTMTextClassifier(
        **SMALL, pooling=pooling, num_layers=2, bidirectional=pooling != "last", embedding_dropout=0.0, epochs=1
    ).fit(TEXTS, LABELS)
    embedding, lstm, pool, dropout, dense = model.net_.layers
    assert (embedding.dim, lstm.num_layers, lstm.dropout, dropout.rate) == (6, 2, 0.5, 0.5)
    assert lstm.bidirectional == (pooling != "last")
    assert getattr(pool, "mode", "attention") == pooling
    assert dense.output_size == 2


def test_weights_count_as_often_as_they_say():
    texts, labels = ["phone", "phone", "phone"], [0, 0, 1]
    settings = {**SMALL, "epochs": 60, "learning_rate": 3e-2, "weight_decay": 0.0}
    settings |= {"word_dropout": 0.0, "embedding_dropout": 0.0, "dropout": 0.0}
    for weight, expected in ((None, 1 / 3), ([1, 1, 6], 0.75), ([1, 0, 0], 0)):
        model = LSTMTextClassifier(**settings).fit(texts, labels, sample_weight=weight)
        assert model.predict_proba(["phone"])[0, 1] == pytest.approx(expected, abs=0.03)
    assert model.score(texts, labels) == pytest.approx(2 / 3)
    assert model.score(texts, labels, sample_weight=[1, 1, 6]) == 0.25


def test_a_seed_gives_the_same_bits_on_any_number_of_threads():
    found = []
    for threads in (1, 2):
        clstm.set_num_threads(threads)
        found.append(LSTMTextClassifier(**SMALL, epochs=2).fit(TEXTS, LABELS).net_.flat_parameters.copy())
    np.testing.assert_array_equal(*found)
    other = LSTMTextClassifier(**SMALL | {"random_state": 1}, epochs=2).fit(TEXTS, LABELS)
    assert (other.net_.flat_parameters != found[0]).any()


def test_early_stopping():
    model = LSTMTextClassifier(**SMALL, epochs=60, patience=2, learning_rate=0.05, validation_fraction=0.4)
    model.fit(TEXTS[:24] + ["odd one"] * 8, LABELS[:24] + ["good", "bad"] * 4, sample_weight=np.ones(32))
    (history,) = model.history_
    losses = history["val_loss"]
    assert len(losses) < 60
    assert losses.index(min(losses)) == len(losses) - 3


def test_partial_fit_goes_on(model):
    online = LSTMTextClassifier(**SMALL | {"networks": 2}, learning_rate=2e-2)
    online.partial_fit(TEXTS[:4], LABELS[:4], classes=["bad", "good", "so-so"])
    assert online.classes_.tolist() == ["bad", "good", "so-so"]
    for _ in range(15):
        online.partial_fit(TEXTS, LABELS)
    assert online.score(TEXTS[:4], LABELS[:4]) == 1
    assert [len(history["loss"]) for history in online.history_] == [16, 16]
    before = model.predict_proba(TEXTS[:1])
    copy = pickle.loads(pickle.dumps(model))
    for _ in range(2):  # after fit, and after partial_fit
        kept = copy.predict_proba(TEXTS[:1])
        copy = pickle.loads(pickle.dumps(copy.partial_fit(TEXTS, LABELS)))
        assert (copy.predict_proba(TEXTS[:1]) != kept).any()
    np.testing.assert_array_equal(model.predict_proba(TEXTS[:1]), before)


def test_partial_fit_refuses_new_labels(model):
    before = model.net_.flat_parameters.copy()
    with pytest.raises(ValueError, match=r"y: expected labels of the classes 'bad', 'good', got 'awful' at \[1\]"):
        model.partial_fit(["a", "b"], ["good", "awful"])
    with pytest.raises(ValueError, match="classes: expected those of the first call"):
        model.partial_fit(["a", "b"], ["good", "bad"], classes=["good", "awful"])
    with pytest.raises(ValueError, match="classes: expected at least 2"):
        LSTMTextClassifier().partial_fit(["a", "b"], ["good", "good"])
    np.testing.assert_array_equal(model.net_.flat_parameters, before)


def test_pickle_and_files(model, tmp_path):
    model.save(tmp_path / "model.safetensors")
    for same in (load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(same.predict_proba(TEXTS), model.predict_proba(TEXTS))
        assert same.predict(TEXTS).tolist() == model.predict(TEXTS).tolist()
        before = same.predict_proba(TEXTS)
        same.partial_fit(TEXTS, LABELS)
        assert (same.predict_proba(TEXTS) != before).any()


def test_scikit_learn_takes_it():
    sklearn = pytest.importorskip("sklearn")
    from sklearn.model_selection import GridSearchCV, cross_val_score

    model = LSTMTextClassifier(**SMALL, learning_rate=2e-2, epochs=5)
    assert sklearn.base.is_classifier(model)
    assert sklearn.utils.get_tags(model).input_tags.string
    scores = cross_val_score(model, TEXTS, LABELS, cv=3)  # stratified: the order of labels is that of a classifier
    assert scores.mean() > 0.8
    search = GridSearchCV(model, {"epochs": [1, 8]}, cv=2).fit(np.array(TEXTS, object), LABELS)
    assert search.best_params_ == {"epochs": 8}
    assert search.predict(TEXTS[:1]).tolist() == ["good"]


@pytest.mark.parametrize(
    ("settings", "texts", "y", "error", "message"),
    [
        ({}, "text", [0], TypeError, "X: expected a list of str, got str"),
        ({}, [], [], ValueError, "X: expected at least one text, got none"),
        ({}, ["a", 3], [0, 1], TypeError, r"X\[1\]: expected a str, or a list of str, got 3"),
        ({}, ["a", ["b", 3]], [0, 1], TypeError, r"X\[1\]: expected a str, or a list of str"),
        ({}, ["a", None], [0, 1], TypeError, r"X\[1\]: expected a str, or a list of str, got None"),
        ({}, ["", " "], [0, 1], ValueError, "X: expected at least one token, got empty texts"),
        ({}, ["a", "b"], [0], ValueError, r"y: expected 2 labels, one for each text, got 1"),
        ({}, ["a", "b"], [1, 1], ValueError, "y: expected labels of at least 2 classes, got one class"),
        ({}, ["a", "b"], [0.5, 1], ValueError, "y: expected labels of classes, got Unknown label type"),
        ({"min_count": 3}, ["a", "b"], [0, 1], ValueError, "symbols: expected one 3 times or more"),
        ({"tokens": "bytes"}, ["a", "b"], [0, 1], ValueError, "tokens: expected one of 'words', 'characters'"),
        ({"pooling": "sum"}, ["a", "b"], [0, 1], ValueError, "pooling: expected one of"),
        ({"word_dropout": 1.0}, ["a", "b"], [0, 1], ValueError, "word_dropout: expected a number in"),
        ({"networks": 0}, ["a", "b"], [0, 1], ValueError, "networks: expected an int of at least 1"),
        ({"patience": 0}, ["a", "b"], [0, 1], ValueError, "patience: expected an int of at least 1"),
        ({"lower": 1}, ["a", "b"], [0, 1], TypeError, "lower: expected True or False"),
    ],
)
def test_what_fit_refuses(settings, texts, y, error, message):
    model = LSTMTextClassifier(**settings)
    with pytest.raises(error, match=message):
        model.fit(texts, y)
    with pytest.raises(ValueError, match="this LSTMTextClassifier has learnt nothing yet"):
        model.predict(["a"])


@pytest.mark.parametrize("weight", [[1, -1], [0, 0], [np.nan, 1]], ids=str)
def test_weights_that_are_none(weight):
    with pytest.raises(ValueError, match=r"sample_weight: expected (finite weights|at least one weight above 0)"):
        LSTMTextClassifier().fit(["a", "b"], [0, 1], sample_weight=weight)
    with pytest.raises(ValueError, match="sample_weight: expected shape"):
        LSTMTextClassifier().fit(["a", "b"], [0, 1], sample_weight=[1])
