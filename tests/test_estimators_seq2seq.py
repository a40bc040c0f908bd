"""Seq2Seq: copies what it does not know, looks where it should, keeps sources apart, and says what does not fit."""

import copy
import pickle

import datasets
import numpy as np
import pytest

import clstm
from clstm.estimators import NotFittedError, Seq2Seq, load
from clstm.estimators.seq2seq import SPECIAL, sentence_of
from clstm.text import words

SMALL = {"dim": 16, "hidden_size": 24, "dropout": 0.0, "batch_size": 16, "learning_rate": 0.02, "random_state": 0}


def swapped(rng, count, rare):
    """Pairs whose targets are the sources backwards; one token of each is one that occurs nowhere else."""
    sources = []
    for n in range(count):
        text = [f"w{k}" for k in rng.integers(0, 6, rng.integers(2, 5))]
        text[rng.integers(len(text))] = f"{rare}{n}"
        sources.append(text)
    return sources, [text[::-1] for text in sources]


@pytest.fixture(scope="module")
def copier():
    """A model that has learnt to write backwards, unknown tokens included; it must not be changed."""
    model = Seq2Seq(
        None,
        min_count=2,
        replace_unknown=True,
        attention_score="general",
        **{**SMALL, "learning_rate": 0.01},
        epochs=15,
    )
    return model.fit(*swapped(np.random.default_rng(0), 700, "rare"))


def test_unknown_tokens_are_copied_from_where_the_decoder_looks(copier):
    sources, targets = swapped(np.random.default_rng(1), 60, "new")
    assert not any(text[0] in copier.source_vocabulary_ for text in sources if text[0].startswith("new"))
    assert copier.score(sources, targets) > 0.9


def test_unknown_tokens_are_never_written_where_they_are_not_replaced():
    sources, targets = swapped(np.random.default_rng(0), 200, "rare")
    model = Seq2Seq(None, min_count=2, **SMALL, epochs=4).fit(sources, targets)
    unseen, _ = swapped(np.random.default_rng(1), 40, "new")
    assert not any(token in SPECIAL for text in model.predict(unseen) for token in text)
    stopped = model.set_params(patience=1).fit(sources, targets)
    assert "val_loss" in stopped.history_


def test_attention_says_where_it_looks(copier):
    source = ["w1", "w2", "w3", "w4"]
    tokens, text, weights = copier.attention(source)
    assert tokens == source
    assert text == copier.predict([source])[0] == source[::-1]
    assert weights.shape == (4, 4)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    assert weights.argmax(axis=1).tolist() == [3, 2, 1, 0]


def test_a_prediction_depends_on_no_other_row(copier):
    sources, _ = swapped(np.random.default_rng(2), 30, "new")
    together = copier.predict(sources)
    assert together == [copier.predict([source])[0] for source in sources]
    greedy = copy.copy(copier).set_params(beam_width=1)
    assert np.mean([a == b for a, b in zip(together, greedy.predict(sources))]) > 0.8


def test_score_is_the_share_of_exact_matches(copier):
    sources = [["w1", "w2"], ["w3", "w4", "w5"]]
    right = copier.predict(sources)
    assert copier.score(sources, right) == 1
    assert copier.score(sources, [right[0], right[1][:-1]]) == 0.5


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_seed_gives_the_same_bits(threads):
    clstm.set_num_threads(threads)
    sources, targets = swapped(np.random.default_rng(0), 40, "rare")
    models = [Seq2Seq(None, **{**SMALL, "dropout": 0.2}, epochs=2).fit(sources, targets) for _ in range(2)]
    clstm.set_num_threads(1)
    models.append(Seq2Seq(None, **{**SMALL, "dropout": 0.2}, epochs=2).fit(sources, targets))
    other = Seq2Seq(None, **{**SMALL, "dropout": 0.2, "random_state": 1}, epochs=2).fit(sources, targets)
    flat = [model.net_.flat_parameters for model in [*models, other]]
    assert np.array_equal(flat[0], flat[1])
    assert np.array_equal(flat[0], flat[2])
    assert not np.array_equal(flat[0], flat[3])


def test_files_and_pickles_write_the_same(copier, tmp_path):
    sources, _ = swapped(np.random.default_rng(3), 12, "new")
    expected = copier.predict(sources)
    copier.save(tmp_path / "model.safetensors")
    for again in (load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(copier)), copy.deepcopy(copier)):
        assert again.predict(sources) == expected
        assert again.get_params() == copier.get_params()
        assert again.history_ == copier.history_


def test_early_stopping_validates_on_sources_that_it_has_not_learnt():
    sources = [[f"w{n % 10}", f"v{n % 7}"] for n in range(140)]
    model = Seq2Seq(None, validation_fraction=0.3, patience=2, random_state=0)
    from clstm.estimators.fitting import Recipe

    train, held = model._split(sources, Recipe.of(model), np.random.default_rng(0))
    seen, unseen = ({tuple(sources[n]) for n in rows} for rows in (train, held))
    assert not seen & unseen
    assert len(unseen) == 21
    assert sorted([*train, *held]) == list(range(140))
    assert model._split(sources, Recipe.of(Seq2Seq(None)), np.random.default_rng(0))[1] is None


def test_early_stopping_stops():
    sources, targets = swapped(np.random.default_rng(0), 120, "rare")
    model = Seq2Seq(None, **{**SMALL, "learning_rate": 0.3}, epochs=40, patience=2)
    history = model.fit(sources, targets).history_
    assert len(history["loss"]) < 40
    assert "val_loss" in history


@pytest.mark.parametrize("side", [None, "source", "target", "both"])
def test_letters_are_made_small_where_it_is_said(side):
    model = Seq2Seq(lowercase=side, epochs=1, dim=4, hidden_size=4, random_state=0)
    model.fit(["Big CAT", "Dog runs"], ["Große KATZE", "Hund rennt"])
    assert ("big" in model.source_vocabulary_) == (side in ("source", "both"))
    assert ("Big" in model.source_vocabulary_) != (side in ("source", "both"))
    assert ("katze" in model.target_vocabulary_) == (side in ("target", "both"))
    assert ("KATZE" in model.target_vocabulary_) != (side in ("target", "both"))
    assert model.attention("Big CAT")[0] == ["Big", "CAT"]


def test_sentences_are_put_together_as_they_were():
    for text in ("It's 7:45, isn't it?", "Sie sagte: „Komm (bitte)!“", "Well-known, 3.50 $5", "a – b", "Wie geht's?"):
        assert sentence_of(words(text)) == text
    texts = datasets.tatoeba()[1].german
    assert np.mean([sentence_of(words(text)) == text for text in texts]) > 0.997


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"tokens": "letters"}, "tokens: expected one of 'words', 'characters', got 'letters'"),
        ({"tokens": 3}, "tokens: expected one of 'words', 'characters', got 3"),
        ({"lowercase": True}, "lowercase: expected one of 'source', 'target', 'both', got True"),
        ({"min_count": 0}, "min_count: expected an int of at least 1, got 0"),
        ({"min_count": 9}, "min_count: expected at most 2, as often as any token occurs, got 9"),
        ({"attention_score": "much"}, "attention_score: expected one of"),
        (
            {"attention_score": None, "replace_unknown": True},
            "replace_unknown: expected False, because without attention nobody looks, got True",
        ),
        ({"attention_score": "dot"}, "attention: expected 'general' or 'additive' with two directions"),
        ({"replace_unknown": 1}, "replace_unknown: expected True or False, got 1"),
        ({"beam_width": 0}, "beam_width: expected an int of at least 1, got 0"),
        ({"length_penalty": -1}, "length_penalty: expected a number of at least 0, got -1"),
        ({"label_smoothing": 2}, "label_smoothing: expected"),
        ({"dim": 0}, "dim: expected an int of at least 1, got 0"),
        ({"hidden_size": 1.5}, "hidden_size: expected an int of at least 1, got 1.5"),
        ({"num_layers": None}, "num_layers: expected an int of at least 1, got None"),
        ({"bidirectional": "yes"}, "bidirectional: expected True or False, got 'yes'"),
        ({"dropout": 1}, r"dropout: expected a number in \[0, 1\), got 1"),
        ({"epochs": 0}, "epochs: expected an int of at least 1, got 0"),
        ({"batch_size": -1}, "batch_size: expected an int of at least 1, got -1"),
        ({"learning_rate": 0}, "learning_rate: expected a finite number above 0, got 0"),
        ({"patience": 0}, "patience: expected an int of at least 1, got 0"),
        ({"patience": 1, "validation_fraction": 1}, "validation_fraction: expected a number between 0 and 1, got 1"),
        ({"random_state": "x"}, "random_state: expected an int"),
        ({"progress": 1}, "progress: expected True or False, got 1"),
    ],
)
def test_parameters_that_do_not_fit_are_named(params, message):
    model = Seq2Seq(**{"epochs": 1, **params})
    with pytest.raises((TypeError, ValueError), match=message):
        model.fit(["a b", "a d"], ["x", "y"])
    assert not hasattr(model, "net_")


@pytest.mark.parametrize(
    ("sources", "targets", "message"),
    [
        ("a text", ["x"], "sources: expected a list of texts, got str"),
        (["a"], "x", "targets: expected a list of texts, got str"),
        ([], [], "sources: expected at least one text, got none"),
        (["a", "b"], ["x"], "targets: expected 2, as many as sources, got 1"),
        (["a", " "], ["x", "y"], r"sources\[1\]: expected at least one token, got ' '"),
        (["a", "b"], ["x", ""], r"targets\[1\]: expected at least one token, got ''"),
        (["a", ["b"]], ["x", "y"], r"sources\[1\]: expected a str \(lists of tokens with tokens=None\), got list"),
        (["a", None], ["x", "y"], r"sources\[1\]: expected a str"),
        (["a", b"b"], ["x", "y"], r"sources\[1\]: expected a str"),
    ],
)
def test_texts_that_do_not_fit_are_named(sources, targets, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Seq2Seq(epochs=1).fit(sources, targets)


def test_tokens_that_do_not_fit_are_named():
    model = Seq2Seq(None, epochs=1)
    with pytest.raises(TypeError, match=r"sources\[0\]: expected a list of str \(texts with tokens='words'\), got str"):
        model.fit(["a b"], [["x"]])
    with pytest.raises(TypeError, match=r"targets\[0\]\[1\]: expected a str, got int"):
        model.fit([["a"]], [["x", 3]])
    with pytest.raises(ValueError, match=r"sources\[0\]\[0\]: expected none of <pad>, <s>, </s>, <unk>, got '<pad>'"):
        model.fit([["<pad>"]], [["x"]])
    with pytest.raises(ValueError, match="at least 2"):
        model.set_params(patience=1).fit([["a"], ["a"]], [["x"], ["y"]])


def test_who_has_learnt_nothing_says_so():
    for use in (lambda m: m.predict(["a"]), lambda m: m.attention("a"), lambda m: m.score(["a"], ["b"])):
        with pytest.raises(NotFittedError, match="this Seq2Seq has learnt nothing yet: call fit first"):
            use(Seq2Seq())


def test_without_attention_it_writes_and_does_not_look():
    options = {**SMALL, "replace_unknown": False, "attention_score": None, "bidirectional": False}
    model = Seq2Seq("characters", **options, epochs=3).fit(["ab", "ba"] * 8, ["x", "y"] * 8)
    assert all(isinstance(text, str) for text in model.predict(["ab", "ba"]))
    with pytest.raises(ValueError, match="attention_score: expected another one at fit, got None"):
        model.attention("ab")


def test_grid_search_takes_it():
    selection = pytest.importorskip("sklearn.model_selection")
    sources = [["a", "b"], ["b", "a"], ["a", "a"]] * 8
    search = selection.GridSearchCV(Seq2Seq(None, **{**SMALL, "batch_size": 4}), {"epochs": [1, 40]}, cv=2)
    search.fit(sources, [text[::-1] for text in sources])
    assert search.best_params_ == {"epochs": 40}
    assert search.best_score_ > 0.6
