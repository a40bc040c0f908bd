"""The data sets of docs/data: what `datasets` promises of each, and that each file has its source and licence."""

import datasets
import numpy as np
import pytest


@pytest.mark.parametrize(
    ("name", "shape", "first", "last", "unit", "missing"),
    [
        ("airline", (144,), 112, 432, "M", 0),
        ("co2", (2284,), 316.1, 371.5, "D", 59),
        ("seattle_weather", (1461, 4), 0.0, 3.5, "D", 0),
        ("sunspots", (309,), 5, 2.9, "Y", 0),
        ("nyc_taxi", (10320,), 10844, 26288, "s", 0),
        ("ambient_temperature", (7267,), 69.88083514, 72.58408858, "s", 0),
    ],
)
def test_series_are_whole_and_in_order(name, shape, first, last, unit, missing):
    series = getattr(datasets, name)()
    assert series.values.shape == shape
    assert series.values.dtype == np.float64
    assert (series.values.flat[0], series.values.flat[-1]) == (first, last)
    assert series.time.shape == shape[:1]
    assert series.time.dtype == np.dtype(f"datetime64[{unit}]")
    assert (np.diff(series.time) > np.timedelta64(0)).all()
    assert np.isnan(series.values).sum() == missing


@pytest.mark.parametrize(("name", "windows"), [("nyc_taxi", 5), ("ambient_temperature", 2)])
def test_windows_of_anomalies_lie_within_the_series(name, windows):
    series = getattr(datasets, name)()
    assert series.windows.shape == (windows, 2)
    assert (series.windows[:, 0] < series.windows[:, 1]).all()
    assert np.isin(series.windows, series.time).all()


def test_japanese_vowels_have_the_official_split():
    train, test = datasets.japanese_vowels()
    assert np.bincount(train.y).tolist() == [0] + 9 * [30]
    assert np.bincount(test.y).tolist() == [0, 31, 35, 88, 44, 29, 24, 40, 50, 29]
    lengths = [len(x) for x in train.x + test.x]
    assert (min(lengths), max(lengths)) == (7, 29)
    assert {x.shape[1] for x in train.x + test.x} == {12}
    assert train.x[0][0, :2].tolist() == [np.float32(1.860936), np.float32(-0.207383)]


def test_indoor_movement_has_three_buildings():
    walks = datasets.indoor_movement()
    assert np.bincount(walks.building).tolist() == [0, 104, 106, 104]
    assert set(walks.y) == {-1, 1}
    lengths = [len(x) for x in walks.x]
    assert (len(lengths), min(lengths), max(lengths), sum(lengths)) == (314, 19, 129, 13197)
    assert all(x.shape[1] == 4 and np.abs(x).max() <= 1 for x in walks.x)


def test_spoken_digits_are_the_frames_of_two_thousand_recordings():
    digits = datasets.spoken_digits()
    assert len(digits.x) == 2000
    assert {x.shape[1:] for x in digits.x} == {(13,)}
    assert np.unique(digits.speaker).tolist() == list(datasets.SPEAKERS)
    takes = set(zip(digits.speaker.tolist(), digits.digit.tolist(), digits.index.tolist()))
    assert takes == {(s, d, i) for s in datasets.SPEAKERS for d in range(10) for i in range(50)}


def test_recordings_have_as_many_frames_as_the_features_of_the_same_recordings():
    recordings, digits = datasets.spoken_digits_wav(), datasets.spoken_digits()
    jackson = digits.speaker == "jackson"
    for sound, digit, index in zip(recordings.waves, recordings.digit, recordings.index):
        (row,) = np.flatnonzero(jackson & (digits.digit == digit) & (digits.index == index))
        assert len(digits.x[row]) == pytest.approx(1 + (len(sound) - 200) / 80, abs=2)
        assert 0.05 < np.abs(sound).max() <= 1


def test_texts_are_whole():
    train, test = datasets.tinyshakespeare()
    assert len(train + test) == 1115394
    assert len(set(train + test)) == 65
    reviews = datasets.sentiment()
    assert np.unique(reviews.site, return_counts=True)[1].tolist() == [1000, 1000, 1000]
    assert [reviews.y[reviews.site == site].sum() for site in ("amazon", "imdb", "yelp")] == [500, 500, 500]
    assert all(reviews.texts)


@pytest.mark.parametrize(("name", "sizes", "kinds"), [("wnut17", [3394, 1009, 1287], 13), ("ewt", [12544, 2001], 17)])
def test_each_token_has_a_tag(name, sizes, kinds):
    parts = getattr(datasets, name)()
    assert [len(part.sentences) for part in parts] == sizes
    for part in parts:
        assert [len(tags) for tags in part.tags] == [len(tokens) for tokens in part.sentences]
        assert all(part.sentences)
    assert len({tag for tags in parts[0].tags for tag in tags}) == kinds


def test_no_english_sentence_of_one_part_of_tatoeba_is_in_another():
    parts = datasets.tatoeba()
    assert sum(len(part.english) for part in parts) == 46744
    assert all(len(part.english) == len(part.german) for part in parts)
    letters = [{"".join(filter(str.isalnum, text.casefold())) for text in part.english} for part in parts]
    assert not letters[0] & (letters[1] | letters[2])
    assert not letters[1] & letters[2]
    assert all(0.09 < len(part.english) / 46744 < 0.11 for part in parts[1:])


def test_each_file_has_its_licence_and_the_readme_names_no_other():
    readme = (datasets.HERE / "README.md").read_text(encoding="utf-8")
    table = [line for line in readme.splitlines() if line.startswith("| `")]
    named = [name.strip("` ") for line in table for name in line.split("|")[2].split(", ")]
    speakers = "fsdd-mfcc13-{george,jackson,lucas,nicolas}.npz"
    named.remove(speakers)
    named += [f"fsdd-mfcc13-{speaker}.npz" for speaker in datasets.SPEAKERS]
    files = {path.name for path in datasets.HERE.iterdir() if path.is_file()} - {"README.md", "datasets.py"}
    assert set(named) == files


def test_a_missing_or_damaged_file_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets, "HERE", tmp_path)
    with pytest.raises(datasets.DataError, match=r"airline\.csv is missing: the data sets come with the repository"):
        datasets.airline()
    (tmp_path / "tinyshakespeare.txt.xz").write_bytes(b"version https://git-lfs")
    with pytest.raises(datasets.DataError, match=r"tinyshakespeare\.txt\.xz is damaged: Input format not supported"):
        datasets.tinyshakespeare()
