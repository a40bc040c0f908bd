"""Language models: what they say of a text beside a twin that goes step by step, what they write, what they refuse."""

import math
import pickle
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

import clstm
from clstm.estimators import CharLM, WordLM, load
from clstm.estimators.language_model import END
from clstm.estimators.streams import rows_of, split, steps_of_epoch

TEXT = "the cat sat on the mat. the dog sat on the log. " * 12
NAMES = ["anna", "hanna", "emma", "emil", "ida", "adam"] * 8
SMALL = {"hidden_size": 12, "num_layers": 1, "embedding_size": 8, "bptt": 16, "random_state": 0}


@pytest.fixture(scope="module")
def model():
    return CharLM(**SMALL | {"num_layers": 2}, epochs=3).fit(TEXT)


@pytest.fixture(scope="module")
def names():
    return CharLM(**SMALL | {"hidden_size": 24}, epochs=30, learning_rate=2e-2, batch_size=8).fit(NAMES)


def log_probabilities_of(model, tokens):
    """One symbol after another, with the state carried by hand."""
    numbers = [model.vocabulary_.number(token) for token in (END, *tokens)]
    found, state = [], None
    for last, following in pairwise(numbers):
        y, state = model.net_.infer(np.array([[last]]), state)
        scores = y[0, 0].astype(float)
        found.append(scores[following] - np.log(np.exp(scores - scores.max()).sum()) - scores.max())
    return np.array(found)


def test_log_probabilities_carry_the_state_over_all_of_the_text(model, monkeypatch):
    text = TEXT[7:90]
    found = model.log_probabilities(text)
    np.testing.assert_allclose(found, log_probabilities_of(model, text), atol=1e-5)
    assert model.score(text) == pytest.approx(found.mean(), abs=1e-12)
    assert model.perplexity(text) == pytest.approx(math.exp(-found.mean()))
    monkeypatch.setattr("clstm.estimators.language_model.SCORES", 7 * len(model.vocabulary_))  # 7 symbols at a time
    np.testing.assert_allclose(model.log_probabilities(text), found, atol=1e-6)


def test_several_texts_end_each_for_itself(names):
    texts = ["emma", "ida"]
    expected = np.concatenate([log_probabilities_of(names, [*text, END]) for text in texts])
    assert names.score(texts) == pytest.approx(expected.mean(), abs=1e-6)
    assert names.score(texts) == names.score(tuple(texts[::-1]))
    assert names.ends_
    written = [names.generate(40, random_state=seed) for seed in range(20)]
    assert all(len(text) < 40 for text in written)
    assert len(set(written) & set(NAMES)) > 2


def test_learning_lowers_the_loss(model):
    assert not model.ends_
    longer = CharLM(**SMALL, epochs=12, learning_rate=2e-2).fit(TEXT)
    assert longer.perplexity(TEXT) < 4 < model.perplexity(TEXT) < len(model.vocabulary_)
    assert longer.history_["loss"][-1] == pytest.approx(-longer.score(TEXT), abs=0.25)


def test_generate_is_reproducible_and_reads_its_prompt(model):
    first = model.generate(30, "the ", temperature=0.7, random_state=3)
    assert model.generate(30, "the ", temperature=0.7, random_state=3) == first
    assert model.generate(30, "the ", temperature=0.7, random_state=4) != first
    assert len(first) == 30
    prompt = "the dog s"
    scores, _ = model.net_.infer(model.vocabulary_.encode([END, *prompt])[np.newaxis])
    assert model.generate(1, prompt, temperature=0) == model.vocabulary_.symbols[scores[0, -1].argmax()]
    assert model.generate(12, prompt, temperature=5, top_k=1) == model.generate(12, prompt, temperature=0)
    assert model.generate(12, prompt, top_p=1e-9) == model.generate(12, prompt, temperature=0)


def test_trace_has_what_each_symbol_has_made(model):
    text = "the mat"
    trace = model.trace(text)
    assert trace.f.shape == (2, 1, len(text), 12)
    lstm = model.net_.layers[1]
    whole = lstm.trace(model.net_.layers[0](model.vocabulary_.encode([END, *text])[np.newaxis]))
    for name in trace:
        np.testing.assert_allclose(getattr(trace, name), getattr(whole, name)[:, :, 1:], atol=1e-6)


def test_min_count_makes_an_unknown_symbol_that_is_never_written():
    model = CharLM(**SMALL, min_count=20, epochs=2).fit(TEXT)
    assert set(model.vocabulary_.symbols) == {END, "<unk>", *(c for c in set(TEXT) if TEXT.count(c) >= 20)}
    number = model.vocabulary_.number("<unk>")
    assert model.vocabulary_.number("ß") == number
    assert model.score("ßß") == model.score("xy")
    model.net_.layers[-1].parameters()["bias"][number] = 50
    assert "<" not in model.generate(50, "ß", random_state=0)
    known = CharLM(**SMALL, vocabulary_size=6, epochs=1).fit(TEXT)
    counts = [TEXT.count(symbol) for symbol in known.vocabulary_.symbols[2:]]
    assert counts == [count for _, count in Counter(TEXT).most_common(4)]


def test_words_lines_and_signs():
    text = "The cat sat (on the mat), we’ll.\nDon't pay 3.50!\n"
    model = WordLM(**SMALL | {"embedding_size": 12}, min_count=1, epochs=1).fit(text)
    tokens = model._tokens(text)
    assert tokens[-7:] == [".", "\n", "Don't", "pay", "3.50", "!", "\n"]
    assert model._text(tokens) == text
    lower = WordLM(lower=True, epochs=1, hidden_size=12, embedding_size=12, random_state=0).fit(text * 2)
    assert lower.score("THE CAT") == lower.score("the cat")
    assert "The" not in lower.vocabulary_
    assert lower.net_.tied
    written = lower.generate(9, "the", random_state=0)
    assert len(lower._tokens(written)) == 9


def test_dropout_is_for_training_only():
    model = CharLM(**SMALL | {"num_layers": 2}, dropout=0.5, epochs=1).fit(TEXT)
    assert model.score("the cat") == model.score("the cat")
    np.testing.assert_allclose(model.log_probabilities("the cat"), log_probabilities_of(model, "the cat"), atol=1e-5)
    assert model.trace("the cat").h.shape == (2, 1, 7, 12)


def test_a_seed_gives_the_same_bits_on_any_number_of_threads():
    found = []
    for threads in (1, 2):
        clstm.set_num_threads(threads)
        found.append(CharLM(**SMALL, epochs=2, dropout=0.2).fit(TEXT).net_.flat_parameters.copy())
    np.testing.assert_array_equal(*found)
    other = CharLM(**SMALL | {"random_state": 1}, epochs=2, dropout=0.2).fit(TEXT)
    assert (other.net_.flat_parameters != found[0]).any()


@pytest.mark.parametrize("texts", [TEXT, NAMES], ids=["one", "several"])
def test_early_stopping_keeps_the_best_weights(texts):
    model = CharLM(**SMALL, epochs=25, patience=1, learning_rate=0.3, clip_norm=None).fit(texts)
    losses = model.history_["val_loss"]
    assert len(losses) < 25
    assert losses.index(min(losses)) == len(losses) - 2
    if texts is TEXT:
        (_,), (rest,) = split(model._numbered(TEXT, [list(TEXT)], model.vocabulary_), 0.1, None)
        assert len(rest) == round(0.1 * (len(TEXT) + 1)) + 1
        y, _ = model.net_.infer(rest[np.newaxis, :-1])
        loss = clstm.losses.CrossEntropy()(y, rest[np.newaxis, 1:])[0]
        assert loss == pytest.approx(min(losses), abs=1e-5)


def test_partial_fit_goes_on(model):
    online = CharLM(**SMALL, learning_rate=2e-2)
    for _ in range(6):
        assert online.partial_fit(TEXT) is online
    losses = online.history_["loss"]
    assert len(losses) == 6
    assert losses[-1] < losses[0] / 1.5
    copy = pickle.loads(pickle.dumps(model))
    before = copy.score("the dog")
    copy.set_params(learning_rate=1e-3).partial_fit("the dog " * 20)
    assert copy.score("the dog") > before
    assert model.score("the dog") == before


def test_partial_fit_that_fails_changes_nothing(model):
    before = model.net_.flat_parameters.copy()
    with pytest.raises(ValueError, match=r"X: expected only characters that fit has seen .*got 'ß' at position 3"):
        model.partial_fit("theß")
    np.testing.assert_array_equal(model.net_.flat_parameters, before)


def test_pickle_and_files(model, tmp_path):
    model.save(tmp_path / "model.safetensors")
    for same in (load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(model))):
        assert type(same) is CharLM
        assert same.vocabulary_ == model.vocabulary_
        assert same.score("the mat") == model.score("the mat")
        assert same.generate(20, random_state=1) == model.generate(20, random_state=1)
        same.partial_fit(TEXT)
    words = WordLM(epochs=1, hidden_size=12, embedding_size=12, random_state=0).fit("to be or not to be " * 5)
    words.save(tmp_path / "words.safetensors")
    assert load(tmp_path / "words.safetensors").perplexity("to be") == words.perplexity("to be")


def test_scikit_learn_searches():
    selection = pytest.importorskip("sklearn.model_selection")
    search = selection.GridSearchCV(CharLM(**SMALL, learning_rate=2e-2), {"epochs": [1, 8]}, cv=2).fit(NAMES)
    assert search.best_params_ == {"epochs": 8}


@pytest.mark.parametrize(
    ("settings", "text", "error", "message"),
    [
        ({}, "", ValueError, r"X\[0\]: expected at least one character, got ''"),
        ({}, [], ValueError, "X: expected at least one text, got none"),
        ({}, ["ab", ""], ValueError, r"X\[1\]: expected at least one character"),
        ({}, b"ab", TypeError, "X: expected a str or a list of str, got bytes"),
        ({}, ["ab", 3], TypeError, r"X\[1\]: expected a str, got 3 \(int\)"),
        ({}, 3, TypeError, "X: expected a str or a list of str, got int"),
        ({"patience": 2}, "a", ValueError, "X: expected at least 3 symbols"),
        ({"min_count": 9}, "ab", ValueError, "symbols: expected one 9 times or more"),
        ({"hidden_size": 0}, TEXT, ValueError, "hidden_size: expected an int of at least 1, got 0"),
        ({"bptt": 1.5}, TEXT, TypeError, "bptt: expected an int"),
        ({"dropout": 1}, TEXT, ValueError, "dropout: expected a number in"),
        ({"tied": True}, TEXT, ValueError, "tied: expected False where embedding_size=64 is not hidden_size=128"),
        ({"vocabulary_size": 2}, TEXT, ValueError, "max_size: expected more than the 2 special symbols"),
        ({"learning_rate": 0}, TEXT, ValueError, "learning_rate: expected a finite number above 0"),
        ({"random_state": "x"}, TEXT, TypeError, "random_state: expected an int"),
    ],
)
def test_what_fit_refuses(settings, text, error, message):
    model = CharLM(**settings)
    with pytest.raises(error, match=message):
        model.fit(text)
    with pytest.raises(ValueError, match="this CharLM has learnt nothing yet"):
        model.score("a")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.generate(0), ValueError, "length: expected an int of at least 1"),
        (lambda m: m.generate(3, 5), TypeError, "prompt: expected a str, got int"),
        (lambda m: m.generate(3, "thé"), ValueError, "prompt: expected only characters .*got 'é' at position 2"),
        (lambda m: m.generate(3, temperature=-1), ValueError, "temperature: expected"),
        (lambda m: m.generate(3, top_p=0), ValueError, "top_p: expected"),
        (lambda m: m.score(["the", "thé"]), ValueError, r"X\[1\]: expected only characters"),
        (lambda m: m.log_probabilities(["the"]), TypeError, "X: expected a str, got list"),
        (lambda m: m.trace(["the"]), TypeError, "X: expected a str, got list"),
        (lambda m: m.trace(""), ValueError, r"X\[0\]: expected at least one character"),
    ],
)
def test_what_a_model_refuses(model, call, error, message):
    with pytest.raises(error, match=message):
        call(model)


# How texts are cut


def test_one_text_becomes_streams_that_leave_nothing_out():
    sequence = np.arange(1001)
    rows = rows_of([sequence], 8, 10)
    assert [len(x) for x, _ in rows] == [125] * 8
    np.testing.assert_array_equal(np.concatenate([x for x, _ in rows]), sequence[:-1])
    np.testing.assert_array_equal(np.concatenate([y for _, y in rows]), sequence[1:])
    assert len(rows_of([sequence], 8, 400)) == 2
    assert len(rows_of([sequence], 8, 4000)) == 1
    assert [len(x) for x, _ in rows_of([sequence], longest=300)] == [250] * 4


def test_several_texts_become_a_row_each_and_long_ones_streams():
    texts = [np.arange(n) for n in (5, 3, 401)]
    rows = rows_of(texts, 4, 100)
    assert [len(x) for x, _ in rows] == [4, 2, 133, 133, 134]
    assert all((y == x + 1).all() for x, y in rows)


def test_steps_of_an_epoch():
    assert steps_of_epoch([np.zeros(100)] * 4, 4, 30) == 4
    assert steps_of_epoch([np.zeros(100)] * 4, 2, 30) == 8
    assert steps_of_epoch([np.zeros(10)] * 3 + [np.zeros(100)], 4, 30) == 5
