"""LSTMTagger: it learns, from words, from characters, from neighbours; what it may not do; files; what it refuses."""

import copy
import itertools
import pickle
import re

import numpy as np
import pytest
from cases import same_bits, settings

import clstm
from clstm.estimators import LSTMTagger, load
from clstm.estimators.sentences import SHAPES, encoded, normal, shape_of, vocabulary_of
from clstm.estimators.tagger import forbidden_of
from clstm.text import Vocabulary

SMALL = {"hidden_size": 8, "word_dim": 8, "character_dim": 6, "character_size": 8, "batch_size": 8, "dropout": 0.1}
SMALL |= {"learning_rate": 0.03, "random_state": 0}
FIRST, LAST, OTHER = ["anna", "bob", "carla"], ["smith", "jones", "brown"], ["sees", "and", "the", "sea", "."]


def names(count, seed):
    """Sentences in which a first name begins a person, and a last name goes on with it, or is nothing by itself."""
    rng = np.random.default_rng(seed)
    sentences, tags = [], []
    for _ in range(count):
        sentence, row = [], []
        for _ in range(rng.integers(1, 5)):
            kind = rng.integers(4)
            if kind == 0:
                sentence += [rng.choice(FIRST), rng.choice(LAST)]
                row += ["B-person", "I-person"]
            elif kind == 1:
                sentence.append(rng.choice(LAST))
                row.append("O")
            sentence.append(rng.choice(OTHER))
            row.append("O")
        sentences.append([str(word) for word in sentence])
        tags.append(row)
    return sentences, tags


@pytest.fixture(scope="module")
def fitted():
    return LSTMTagger(**SMALL, epochs=12).fit(*names(150, 1))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"crf": False},
        {"characters": "conv", "character_size": 7},
        {"num_layers": 2},
        {"networks": 2},
        {"patience": 4, "epochs": 16},
    ],
    ids=str,
)
def test_it_learns_words_and_their_neighbours(options):
    tagger = LSTMTagger(**{**SMALL, "epochs": 12, **options}).fit(*names(150, 1))
    sentences, tags = names(60, 2)
    assert tagger.score(sentences, tags) > 0.98
    most = sum(row.count("O") for row in tags) / sum(map(len, tags))
    assert most < 0.8
    assert list(tagger.classes_) == ["B-person", "I-person", "O"]
    assert len(tagger.history_) == options.get("networks", 1)


def test_a_word_that_training_has_not_seen_is_known_by_its_end():
    rng = np.random.default_rng(0)
    stems = ["".join(rng.choice(list("abcdefg"), 4)) for _ in range(300)]
    sentences = [[stem + end for end in rng.permutation(["ing", "ly", "ed"])] for stem in stems]
    tags = [[{"g": "NOUN", "y": "ADV", "d": "VERB"}[word[-1]] for word in row] for row in sentences]
    for characters in ("lstm", "conv"):
        tagger = LSTMTagger(**SMALL, characters=characters, crf=False, epochs=8).fit(sentences[:250], tags[:250])
        assert not any(word in tagger.words_ for word in sentences[280])
        assert tagger.score(sentences[250:], tags[250:]) > 0.95


def test_shapes_tell_what_letters_do_not():
    words = "https://a.de www.a.de @bob #fun 3.14 12:30 -5 4th B2B ... :-) small iPhone Bob McDonald USA".split()
    words += "Été été A 東京".split()
    found = [shape_of(word) for word in words]
    assert found == [0, 0, 1, 2, 3, 3, 3, 4, 4, 5, 5, 6, 9, 7, 9, 8, 7, 6, 7, 9]
    assert len(SHAPES) == 9
    assert normal("Ab3-12É") == "ab0-00é"


# The rules of BIO


def test_the_crf_never_begins_inside(fitted):
    rng = np.random.default_rng(0)
    words = [*FIRST, *LAST, *OTHER, "new"]
    for row in fitted.predict([[str(word) for word in rng.choice(words, 12)] for _ in range(200)]):
        assert all(tag != "I-person" or before != "O" for before, tag in zip(["O", *row], row, strict=False))


def test_what_is_forbidden():
    number = {tag: k for k, tag in enumerate(["B-x", "B-y", "I-x", "I-y", "O"])}
    expected = {("start", 2), (1, 2), (3, 2), (4, 2), ("start", 3), (0, 3), (2, 3), (4, 3)}
    assert set(forbidden_of(number, [np.array([0, 2, 4])])) == expected
    assert forbidden_of(number, [np.array([0, 2, 4]), np.array([2])]) is None  # the data do it
    assert forbidden_of(number, [np.array([0, 3])]) is None
    assert forbidden_of({"O": 0, "B-x": 1}, [np.array([0, 1])]) is None
    assert forbidden_of({"O": 0, "B-x": 1, "NOUN": 2}, [np.array([0, 1])]) is None


# Probabilities


@pytest.mark.parametrize("networks", [1, 2])
def test_marginals_are_sums_over_all_paths(networks):
    tagger = LSTMTagger(**SMALL, networks=networks, epochs=2).fit(*names(20, 1))
    sentence = ["anna", "smith", "the", "brown"]
    crf, emissions = tagger._crf(), tagger.net_(coded(tagger, sentence))[0]
    start, end, between = (crf.parameters()[name] for name in ("start", "end", "transitions"))
    never = {tuple(pair) for pair in crf.forbidden}
    found, best = np.zeros((4, 3)), (-np.inf, None)
    for path in itertools.product(range(3), repeat=4):
        if any(pair in never for pair in zip(("start", *path), path, strict=False)):
            continue
        score = start[path[0]] + end[path[-1]] + sum(map(float, emissions[np.arange(4), path]))
        score += sum(between[pair] for pair in itertools.pairwise(path))
        found[np.arange(4), path] += np.exp(score)
        best = max(best, (score, path))
    np.testing.assert_allclose(tagger.predict_marginals([sentence])[0], found / found.sum(axis=1)[0], atol=1e-5)
    assert tagger.predict([sentence]) == [[str(tagger.classes_[k]) for k in best[1]]]


def coded(tagger, *sentences):
    return encoded(list(sentences), tagger.words_, tagger.characters_)


def test_the_scores_of_networks_count_by_their_mean():
    tagger = LSTMTagger(**SMALL, networks=3, epochs=1).fit(*names(20, 1))
    nets, crf = tagger.net_.layers, tagger._crf()
    for name, values in crf.parameters().items():
        mean = np.mean([net.layers[-1].parameters()[name] for net in nets], axis=0)
        np.testing.assert_allclose(values, mean, atol=1e-6)
        assert (values != nets[0].layers[-1].parameters()[name]).any()


def test_without_crf_each_word_stands_alone():
    tagger = LSTMTagger(**SMALL, crf=False, epochs=1).fit(*names(20, 1))
    sentences = names(10, 3)[0]
    p = tagger.predict_marginals(sentences)
    for row, tags in zip(p, tagger.predict(sentences), strict=True):
        np.testing.assert_allclose(row.sum(axis=1), 1, atol=1e-6)
        assert tagger.classes_[row.argmax(axis=1)].tolist() == tags


@pytest.mark.parametrize("options", [{}, {"crf": False}], ids=str)
def test_a_bias_makes_tags_more_frequent(options):
    tagger = LSTMTagger(**SMALL, epochs=2, **options).fit(*names(40, 1))
    sentences = names(40, 2)[0]
    counts = []
    for bias in (None, {"O": -1.5}, {"O": -1.5, "B-person": 1}, {"O": 100}):
        found = tagger.set_params(tag_bias=bias).predict(sentences)
        counts.append(sum(row.count("O") for row in found))
        shifted = tagger.predict_marginals(sentences)
        assert found == [tagger.classes_[p.argmax(axis=1)].tolist() for p in shifted] or "crf" not in options
    assert counts[0] > counts[1] > counts[2]
    assert counts[3] == sum(map(len, sentences))


# The same, always


def test_training_is_the_same_with_any_number_of_threads():
    results = []
    for threads in (1, 2):
        with settings(None, None, threads):
            tagger = LSTMTagger(**{**SMALL, "hidden_size": 40}, epochs=2, patience=1, word_dropout=0.3)
            results.append(tagger.fit(*names(60, 1)).net_.flat_parameters)
    same_bits(*results)


def test_a_sentence_does_not_depend_on_the_others(fitted):
    sentences = names(150, 4)[0]
    p = fitted.predict_marginals(sentences)
    for n in (0, 70, 149):
        same_bits(fitted.predict_marginals(sentences[n : n + 1])[0], p[n])
    assert [len(row) for row in p] == list(map(len, sentences))


@pytest.mark.parametrize("options", [{}, {"crf": False, "networks": 2}, {"networks": 2}], ids=str)
def test_files_copies_and_pickles(tmp_path, options):
    tagger = LSTMTagger(**SMALL, epochs=1, **options).fit(*names(20, 1))
    tagger.save(tmp_path / "tagger.safetensors")
    sentences, tags = names(10, 2)
    expected = tagger.predict_marginals(sentences)
    for other in (load(tmp_path / "tagger.safetensors"), pickle.loads(pickle.dumps(tagger)), copy.deepcopy(tagger)):
        assert other.get_params() == tagger.get_params()
        assert other.predict(sentences) == tagger.predict(sentences)
        assert other.score(sentences, tags) == tagger.score(sentences, tags)
        for found, p in zip(other.predict_marginals(sentences), expected, strict=True):
            same_bits(found, p)
    assert clstm.load(tmp_path / "tagger.safetensors").output_size == 3


def test_tools_of_scikit_learn_take_it():
    model_selection = pytest.importorskip("sklearn.model_selection")
    base = pytest.importorskip("sklearn.base")
    tagger = LSTMTagger(**SMALL, epochs=1)
    assert base.clone(tagger).get_params() == tagger.get_params()
    search = model_selection.GridSearchCV(tagger, {"learning_rate": [1e-6, 0.03]}, cv=2, n_jobs=1)
    assert search.fit(*names(40, 1)).best_params_ == {"learning_rate": 0.03}


# What training is told


def test_weights_say_which_sentences_count():
    sentences = [["one", "word"]] * 40
    tags = [["A", "A"]] * 20 + [["A", "B"]] * 20
    for weight, expected in (([9] * 20 + [1] * 20, "A"), ([0] * 20 + [1] * 20, "B")):
        for options in ({}, {"crf": False}, {"patience": 3}):
            tagger = LSTMTagger(**SMALL, epochs=6, **options).fit(sentences, tags, weight)
            assert tagger.predict([["one", "word"]]) == [["A", expected]]


def test_score_counts_words_by_the_weights_of_sentences(fitted):
    sentences = [["the"], ["the", "sea", "."]]
    tags = [["O"], ["B-person", "O", "O"]]
    assert fitted.predict(sentences) == [["O"], ["O", "O", "O"]]
    assert fitted.score(sentences, tags) == pytest.approx(3 / 4)
    assert fitted.score(sentences, tags, [3, 1]) == pytest.approx(5 / 6)


def test_vectors_tell_of_words_that_training_has_not_seen():
    rng = np.random.default_rng(0)
    vectors = {word: np.array([1.0, 0, 0, 0]) + 0.1 * rng.normal(size=4) for word in [*FIRST, "dora", "Zoe"]}
    vectors |= {word: np.array([0, 1.0, 0, 0]) + 0.1 * rng.normal(size=4) for word in [*OTHER, "but"]}
    sentences, tags = names(100, 1)
    tagger = LSTMTagger(**{**SMALL, "word_dim": 99}, epochs=8)
    tagger.fit(sentences, tags, vectors=vectors)
    encoder = tagger.net_.layers[0]
    assert encoder.part("words").dim == 4
    assert "dora" in tagger.words_
    assert "Zoe" in tagger.words_
    assert tagger.words_.number("smith") < tagger.words_.number("dora")
    found = encoder.part("words").parameters()["weight"][tagger.words_.number("dora")]
    np.testing.assert_allclose(found, vectors["dora"] * found[0] / vectors["dora"][0], rtol=1e-4)  # but for its decay
    first = LSTMTagger(**SMALL, epochs=8).fit(sentences, tags)
    assert "dora" not in first.words_


@pytest.mark.parametrize("networks", [1, 2])
def test_vectors_of_one_tagger_are_for_another(networks):
    one = LSTMTagger(**SMALL, networks=networks, epochs=2).fit(*names(20, 1))
    vectors = one.word_vectors()
    assert list(vectors) == list(one.words_)
    still = {"learning_rate": 1e-9, "epochs": 1, "weight_decay": 0.0}
    other = LSTMTagger(**{**SMALL, **still}).fit([["new", "the"]], [["X", "Y"]], vectors=vectors)
    assert set(other.words_) == {*vectors, "new"}
    for word, vector in other.word_vectors().items():
        if word in vectors:
            np.testing.assert_allclose(vector, vectors[word], atol=1e-7)
    assert np.abs(other.word_vectors()["new"]).max() <= 0.05 + 1e-6


def test_min_count_and_rare_words():
    sentences = [["B", "a", "a", "7"], ["a", "b", "c", "8"], ["d"]]
    words, first_rare = vocabulary_of(sentences, 1, {})
    assert words.symbols == ("<unk>", "a", "0", "b", "c", "d")
    assert first_rare == 4
    assert vocabulary_of(sentences, 2, {})[0].symbols == ("<unk>", "a", "0", "b")
    assert vocabulary_of([["a", "a", "<unk>", "<unk>", "b"]], 1, {"<unk>": 0})[1] == 2
    words, first_rare = vocabulary_of(sentences, 2, {"B": 0, "e": 0, "d": 0})
    assert (words.symbols, first_rare) == (("<unk>", "a", "0", "B", "d", "e"), 3)


def test_words_as_numbers():
    words, characters = (
        Vocabulary(["<unk>", "ab"], unknown="<unk>"),
        Vocabulary(["<pad>", "<unk>", "a", "b"], unknown="<unk>"),
    )
    x = encoded([["Ab", "b"], ["a" * 11 + "b" * 15]], words, characters)
    assert [part.shape for part in x] == [(2, 22), (1, 22)]
    assert x[0][:, :5].tolist() == [[1, 7, 1, 3, 0], [0, 6, 3, 0, 0]]
    assert x[1][0, 2:].tolist() == [2] * 10 + [3] * 10


# What it refuses


SENTENCES, TAGS = [["a", "b"], ["c"]], [["O", "B-person"], ["O"]]


@pytest.mark.parametrize(
    ("sentences", "tags", "error", "message"),
    [
        (
            "a b",
            TAGS,
            TypeError,
            "sentences: expected a list of lists of tokens (clstm.text.words makes one of a text), got str",
        ),
        (
            ["a b", "c"],
            TAGS,
            TypeError,
            "sentences[0]: expected a list of tokens (clstm.text.words makes one of a text), got str",
        ),
        ([], [], ValueError, "sentences: expected at least one sentence, got none"),
        ([["a", "b"], []], [["O", "B-person"], []], ValueError, "sentences[1]: expected at least one token, got none"),
        ([["a", 1], ["c"]], TAGS, TypeError, "sentences[0][1]: expected a str, got 1 (int)"),
        ([["a", ""], ["c"]], TAGS, ValueError, "sentences[0][1]: expected a token, got an empty str"),
        (SENTENCES, TAGS[:1], ValueError, "tags: expected 2 lists, one for each sentence, got 1"),
        (SENTENCES, [["O", "B-person"], ["O", "O"]], ValueError, "tags[1]: expected 1 tags, one for each token, got 2"),
        (SENTENCES, [["O", None], ["O"]], TypeError, "tags[0][1]: expected a str, got None (NoneType)"),
        (SENTENCES, "OO", TypeError, "tags: expected a list of lists of tags, one for each token, got str"),
        (SENTENCES, ["OO", "O"], TypeError, "tags[0]: expected a list of tags, one for each token, got str"),
        (SENTENCES, 7, TypeError, "tags: expected a list of lists of tags, one for each token, got int"),
    ],
)
def test_sentences_and_tags_are_checked(fitted, sentences, tags, error, message):
    tagger = LSTMTagger()
    with pytest.raises(error, match=re.escape(message)):
        tagger.fit(sentences, tags)
    assert not [name for name in vars(tagger) if name.endswith("_")]
    if message.startswith("sentences"):
        for method in (fitted.predict, fitted.predict_marginals):
            with pytest.raises(error, match=re.escape(message)):
                method(sentences)
    else:
        with pytest.raises(error, match=re.escape(message)):
            fitted.score(sentences, tags)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"crf": 1}, TypeError, "crf: expected True or False, got 1 (int)"),
        ({"bidirectional": None}, TypeError, "bidirectional: expected True or False"),
        ({"word_dim": 0}, ValueError, "word_dim: expected an int of at least 1, got 0"),
        ({"min_count": 0}, ValueError, "min_count: expected an int of at least 1, got 0"),
        ({"hidden_size": 2.5}, TypeError, "hidden_size: expected an int of at least 1, got 2.5 (float)"),
        ({"num_layers": 0}, ValueError, "num_layers: expected an int of at least 1, got 0"),
        ({"characters": None}, TypeError, "characters: expected one of 'lstm', 'conv', got None"),
        ({"character_size": 5}, ValueError, 'character_size: expected an even number for characters="lstm"'),
        ({"dropout": 1}, ValueError, "dropout: expected a number in [0, 1), got 1"),
        ({"word_dropout": -0.1}, ValueError, "word_dropout: expected a number in [0, 1), got -0.1"),
        ({"epochs": 0}, ValueError, "epochs: expected an int of at least 1, got 0"),
        ({"learning_rate": 0}, ValueError, "learning_rate: expected a finite number above 0, got 0"),
        ({"validation_fraction": 1}, ValueError, "validation_fraction: expected a number between 0 and 1, got 1"),
        ({"tag_bias": [1]}, TypeError, "tag_bias: expected a dict from tags to numbers, or None, got list"),
        ({"tag_bias": {"Z": 1}}, ValueError, "tag_bias: expected tags of the training data: 'B-person', 'O', got 'Z'"),
        ({"tag_bias": {"O": "1"}}, TypeError, "tag_bias['O']: expected a finite number, got '1' (str)"),
        ({"tag_bias": {"O": np.inf}}, ValueError, "tag_bias['O']: expected a finite number, got inf"),
        ({"random_state": "a"}, TypeError, "random_state: expected an int, a numpy.random.Generator or None"),
    ],
)
def test_parameters_are_checked(options, error, message):
    tagger = LSTMTagger(**options)
    with pytest.raises(error, match=re.escape(message)):
        tagger.fit(SENTENCES, TAGS)
    assert not [name for name in vars(tagger) if name.endswith("_")]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"sample_weight": [1]}, ValueError, "sample_weight: expected shape (2,), got shape (1,)"),
        (
            {"sample_weight": [1, -1]},
            ValueError,
            "sample_weight: expected finite weights of at least 0, got -1.0 at [1]",
        ),
        ({"sample_weight": [0, 0]}, ValueError, "sample_weight: expected at least one weight above 0, got zeros only"),
        (
            {"sample_weight": [1, np.nan]},
            ValueError,
            "sample_weight: expected finite weights of at least 0, got nan at [1]",
        ),
        ({"vectors": [1]}, TypeError, "vectors: expected a mapping from words to their vectors, got list"),
        ({"vectors": {}}, ValueError, "vectors: expected at least one word, got none"),
        ({"vectors": {1: [1]}}, TypeError, "vectors: expected words as str, got 1 (int)"),
        ({"vectors": {"a": [1, 2], "b": [1]}}, ValueError, "vectors['b']: expected shape (2,), got shape (1,)"),
        ({"vectors": {"a": []}}, ValueError, "vectors['a']: expected shape (1,), got shape (0,)"),
        ({"vectors": {"a": [np.inf]}}, ValueError, "vectors['a']: expected finite values, got inf at [0]"),
        ({"vectors": {"a": "b"}}, TypeError, "vectors['a']: expected an array of real numbers"),
    ],
)
def test_other_arguments_are_checked(arguments, error, message):
    with pytest.raises(error, match=re.escape(message)):
        LSTMTagger().fit(SENTENCES, TAGS, **arguments)


def test_what_else_is_an_error(fitted):
    with pytest.raises(ValueError, match="this LSTMTagger has learnt nothing yet: call fit first"):
        LSTMTagger().predict(SENTENCES)
    with pytest.raises(ValueError, match=r"tags\[0\]\[1\]: expected a tag of the training data: .*, got 'B-place'"):
        fitted.score([["the", "sea"]], [["O", "B-place"]])
    with pytest.raises(
        ValueError, match="sentences: expected at least 2, to train on some and validate on others, got 1"
    ):
        LSTMTagger(patience=2).fit(SENTENCES[:1], TAGS[:1])
