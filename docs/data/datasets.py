"""The data sets of tutorials, tests and benchmarks: one function for each, with NumPy and the standard library alone.

They are real, small, and come with the repository of clstm, not with the package: README.md beside this file says for
each where it is from, its licence, and whom to credit. Copy this folder and `import datasets` to work with them::

    import datasets

    train, test = datasets.japanese_vowels()
    print(len(train.x), train.x[0].shape, train.y[:3])

Times are `datetime64`, series are float64, features of sequences float32, missing values NaN. Where a set has an
official split, it is returned as such; where it has none, the docstring says which one we use.
"""

from __future__ import annotations

import csv
import io
import json
import lzma
import wave
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

HERE = Path(__file__).resolve().parent
SPEAKERS = ("george", "jackson", "lucas", "nicolas")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
WAV_RATE = 8000  # samples per second of `spoken_digits_wav`


class DataError(ValueError):
    """A file of the data sets is missing, or is not what it should be."""


class Series(NamedTuple):
    """A series in time: `time` (n,) of datetime64, `values` (n,) or (n, C) float64, `names` of the C columns."""

    time: np.ndarray
    values: np.ndarray
    names: tuple[str, ...]


class Watched(NamedTuple):
    """A series with known anomalies: `time` (n,), `values` (n,), `windows` (k, 2), first and last time of each."""

    time: np.ndarray
    values: np.ndarray
    windows: np.ndarray


class Labelled(NamedTuple):
    """Sequences of one class each: `x` list of N arrays (T_n, F) float32, `y` (N,) int64."""

    x: list[np.ndarray]
    y: np.ndarray


class Walks(NamedTuple):
    """As `Labelled`, with the `building` (N,) of each walk, 1 to 3."""

    x: list[np.ndarray]
    y: np.ndarray
    building: np.ndarray


class Reviews(NamedTuple):
    """`texts` list of N str, `y` (N,) int64: 1 praises, 0 does not; `site` (N,) str: amazon, imdb or yelp."""

    texts: list[str]
    y: np.ndarray
    site: np.ndarray


class Tagged(NamedTuple):
    """`sentences` and `tags`: lists of lists of str, one tag for each token."""

    sentences: list[list[str]]
    tags: list[list[str]]


class Pairs(NamedTuple):
    """Sentences and their translations: two lists of str of one length."""

    english: list[str]
    german: list[str]


class Digits(NamedTuple):
    """`x` list of N arrays (T_n, 13) float32; `digit`, `speaker` (str), `index` (N,): take 0 to 49 of this digit."""

    x: list[np.ndarray]
    digit: np.ndarray
    speaker: np.ndarray
    index: np.ndarray


class Recordings(NamedTuple):
    """`waves` list of N arrays (samples,) float32 within [-1, 1], 8000 samples a second; `digit`, `index` (N,)."""

    waves: list[np.ndarray]
    digit: np.ndarray
    index: np.ndarray


# Series


def airline() -> Series:
    """Monthly totals of international airline passengers, in thousands, January 1949 to December 1960: (144,).

    Usual test part: the last 24 months. Box and Jenkins (1970), series G; long in the public record.
    """
    rows = _rows("airline.csv")
    return Series(_times(rows, "Date", "M"), _numbers(rows, "Passengers"), ("passengers",))


def co2() -> Series:
    """Weekly carbon dioxide at Mauna Loa in ppm, 29 March 1958 to 29 December 2001: (2284,), 59 of them NaN.

    Usual test part: the last 104 weeks. Keeling and Whorf, CDIAC; public domain.
    """
    rows = _rows("co2.csv")
    time = np.array([f"{day[:4]}-{day[4:6]}-{day[6:]}" for day in (row["date"] for row in rows)], "datetime64[D]")
    return Series(time, _numbers(rows, "co2"), ("co2",))


def seattle_weather() -> Series:
    """Seattle's weather by day, 2012 to 2015: (1461, 4).

    Columns: precipitation (mm), highest and lowest temperature (degrees Celsius), wind (m/s). Usual test part: the
    last 365 days. NOAA; public domain. The labels (rain, sun ...) of this release are known to be wrong and left out.
    """
    rows = _rows("seattle-weather.csv")
    names = ("precipitation", "temp_max", "temp_min", "wind")
    time = np.array([row["date"].replace("/", "-") for row in rows], "datetime64[D]")
    return Series(time, np.stack([_numbers(rows, name) for name in names], axis=1), names)


def sunspots() -> Series:
    """Yearly means of the number of sunspots, 1700 to 2008: (309,).

    Usual test part: the last 50 years. NOAA National Geophysical Data Center; public domain.
    """
    rows = _rows("sunspots.csv")
    return Series(_times(rows, "YEAR", "Y"), _numbers(rows, "SUNACTIVITY"), ("sunspots",))


def nyc_taxi() -> Watched:
    """Taxi passengers in New York by half hours, 1 July 2014 to 31 January 2015: (10320,); five anomalies.

    They are the marathon, Thanksgiving, Christmas, New Year and a snow storm; nothing says so within the series.
    Numenta Anomaly Benchmark (MIT), from figures of the city's Taxi and Limousine Commission.
    """
    return _watched("nyc_taxi.csv", "realKnownCause/nyc_taxi.csv")


def ambient_temperature() -> Watched:
    """Temperature of an office by hours, in degrees Fahrenheit, July 2013 to May 2014: (7267,); two anomalies.

    Some hours are missing: there are gaps in `time`. Numenta Anomaly Benchmark (MIT).
    """
    return _watched("ambient_temperature.csv.xz", "realKnownCause/ambient_temperature_system_failure.csv")


def _watched(name, label):
    rows = _rows(name)
    windows = np.array(json.loads(_text("nab-windows.json"))[label], "datetime64[s]").reshape(-1, 2)
    return Watched(_times(rows, "timestamp", "s"), _numbers(rows, "value"), windows)


# Sequences of one class


def japanese_vowels() -> tuple[Labelled, Labelled]:
    """Nine men say /ae/: who is it? The official `train` (270) and `test` (370) part.

    Each utterance is (T, 12), T from 7 to 29: cepstral coefficients of linear prediction; y is the speaker, 1 to 9.
    Kudo, Toyama and Shimbo (1999); UCI, CC BY 4.0.
    """
    return _utterances("JapaneseVowels_TRAIN.ts.xz"), _utterances("JapaneseVowels_TEST.ts.xz")


def _utterances(name):
    x, y = [], []
    for line in _text(name).split("@data\n")[1].splitlines():
        *channels, speaker = line.split(":")
        x.append(np.array([channel.split(",") for channel in channels], np.float32).T.copy())
        y.append(int(speaker))
    return Labelled(x, np.array(y))


def indoor_movement() -> Walks:
    """People walk in offices: will they leave the room (1) or not (-1)? 314 walks, (T, 4), T from 19 to 129.

    The channels are the strengths of radio signals of four anchors, scaled to [-1, 1], 8 samples a second. There are
    three buildings (1 to 3); usual split: train on 1 and 2, test on 3. Bacciu et al. (2014); UCI, CC BY 4.0.
    """
    x = []
    with zipfile.ZipFile(_path("IndoorMovement.zip")) as archive:

        def table(name):
            return np.loadtxt(io.StringIO(archive.read(name).decode()), delimiter=",", ndmin=2)

        target, building = table("dataset/MovementAAL_target.csv"), table("groups/MovementAAL_DatasetGroup.csv")
        for number in target[:, 0].astype(int):
            x.append(table(f"dataset/MovementAAL_RSS_{number}.csv").astype(np.float32))
    return Walks(x, target[:, 1].astype(np.int64), building[:, 1].astype(np.int64))


def spoken_digits() -> Digits:
    """Four speakers say each digit fifty times: 2000 recordings as (T, 13) MFCC.

    Windows of 25 ms every 10 ms. `DIGITS` has the words. Official split: `index` 0 to 4 is the test part; a harder one
    leaves a speaker out. Free Spoken Digit Dataset, Jackson et al.; CC BY-SA 4.0.
    """
    x, digit, speaker, index = [], [], [], []
    for name in SPEAKERS:
        with np.load(_path(f"fsdd-mfcc13-{name}.npz")) as part:
            x += np.split(part["x"].astype(np.float32), np.cumsum(part["length"].astype(int))[:-1])
            digit += part["digit"].tolist()
            index += part["index"].tolist()
            speaker += [name] * len(part["length"])
    return Digits(x, np.array(digit), np.array(speaker), np.array(index))


def spoken_digits_wav() -> Recordings:
    """Fifty of the recordings of `spoken_digits` as sound: the test part (`index` 0 to 4) of the speaker jackson."""
    waves, digit, index = [], [], []
    with zipfile.ZipFile(_path("fsdd-wav-jackson-test.zip")) as archive:
        for name in sorted(archive.namelist()):
            number, _, take = name.removesuffix(".wav").split("_")
            with archive.open(name) as file, wave.open(io.BytesIO(file.read())) as sound:
                samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
            waves.append(samples.astype(np.float32) / 32768)
            digit.append(int(number))
            index.append(int(take))
    return Recordings(waves, np.array(digit), np.array(index))


# Texts


def tinyshakespeare() -> tuple[str, str]:
    """Plays of Shakespeare: the first 90 % of 1,115,394 characters as `train`, the last 10 % as `test`.

    65 different characters. What is to be validated on is cut from `train`. The text is in the public domain.
    """
    text = _text("tinyshakespeare.txt.xz")
    cut = len(text) * 9 // 10
    return text[:cut], text[cut:]


def sentiment() -> Reviews:
    """1000 sentences each of reviews of phones (amazon), films (imdb) and restaurants (yelp), half of them praise.

    No official split: ten folds, or train on two sites and test on the third. Kotzias et al. (2015); UCI, CC BY 4.0.
    """
    texts, y, site = [], [], []
    for name in ("amazon_cells", "imdb", "yelp"):
        for line in _text(f"{name}_labelled.txt.xz").rstrip("\n").split("\n"):
            text, label = line.split("\t")
            texts.append(text.strip())
            y.append(int(label))
            site.append(name.split("_")[0])
    return Reviews(texts, np.array(y), np.array(site))


def wnut17() -> tuple[Tagged, Tagged, Tagged]:
    """New and rare entities in social media, the official `train`, `dev` and `test`: 3394, 1009 and 1287 texts.

    Tags are O, and B- and I- of corporation, creative-work, group, location, person, product. Derczynski et al. (2017);
    CC BY 4.0.
    """
    return _tagged("wnut17-train.conll.xz"), _tagged("wnut17-dev.conll.xz"), _tagged("wnut17-test.conll.xz")


def ewt() -> tuple[Tagged, Tagged]:
    """English web texts with their parts of speech, the official `train` (12544) and `dev` (2001) sentences.

    17 universal tags. The `dev` part is what the benchmark tests on, so validate on a part of `train`. Universal
    Dependencies English Web Treebank, Silveira et al. (2014); CC BY-SA 4.0.
    """
    return _tagged("ud-ewt-train.tsv.xz"), _tagged("ud-ewt-dev.tsv.xz")


def _tagged(name):
    sentences, tags = [], []
    fresh = True
    for line in _text(name).split("\n"):
        if not line.strip():
            fresh = True
            continue
        if fresh:
            sentences.append([])
            tags.append([])
            fresh = False
        token, tag = line.split("\t")
        sentences[-1].append(token)
        tags[-1].append(tag)
    return Tagged(sentences, tags)


def tatoeba() -> tuple[Pairs, Pairs, Pairs]:
    """46,744 short English sentences with a German translation, as `train`, `dev` and `test` (about 80, 10, 10 %).

    No official split. Ours is by the English side: a checksum of its letters, without case and punctuation, says where
    all its translations go, so no English sentence of `dev` or `test` occurs in `train`. Sentences of tatoeba.org,
    CC BY 2.0 FR.
    """
    parts = Pairs([], []), Pairs([], []), Pairs([], [])
    for line in _text("tatoeba-eng-deu.tsv.xz").rstrip("\n").split("\n"):
        english, german = line.split("\t")
        letters = "".join(letter for letter in english.casefold() if letter.isalnum())
        part = parts[{0: 1, 1: 2}.get(zlib.crc32(letters.encode()) % 10, 0)]
        part.english.append(english)
        part.german.append(german)
    return parts


# Reading


def _path(name):
    path = HERE / name
    if not path.is_file():
        raise DataError(f"{path} is missing: the data sets come with the repository of clstm, not with the package")
    return path


def _text(name):
    path = _path(name)
    try:
        data = path.read_bytes()
        return (lzma.decompress(data) if path.suffix == ".xz" else data).decode("utf-8")
    except (lzma.LZMAError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is damaged: {error}") from error


def _rows(name):
    return list(csv.DictReader(io.StringIO(_text(name))))


def _times(rows, column, unit):
    return np.array([row[column] for row in rows], f"datetime64[{unit}]")


def _numbers(rows, column):
    """The column as float64; what is empty becomes NaN."""
    return np.array([row[column] or "nan" for row in rows], np.float64)
