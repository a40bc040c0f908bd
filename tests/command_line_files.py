"""Small files of each kind that the command line reads, under the names that its help uses."""

import contextlib
import io
import sys
import wave
from pathlib import Path

import numpy as np

from clstm.__main__ import main

WORDS = {
    "DET": ["the", "a", "this"],
    "NOUN": ["cat", "dog", "sea", "ship", "book"],
    "VERB": ["sees", "likes", "finds"],
    "PUNCT": ["."],
}
ORDER = ["DET", "NOUN", "VERB", "DET", "NOUN", "PUNCT"]


def run(*words, stdin=""):
    """The exit code, stdout and stderr of a command line."""
    out, err, before = io.StringIO(), io.StringIO(), sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin.encode() if isinstance(stdin, str) else stdin))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(words)
    except SystemExit as left:  # --help
        code = left.code
    finally:
        sys.stdin = before
    return code, out.getvalue(), err.getvalue()


def refused(code, message, words, stdin=""):
    """Asserts that a command line ends with this code and one line on stderr, and changes no file."""
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    found, out, err = run(*words, stdin=stdin)
    assert message in err
    assert (found, err.count("\n"), err.startswith("clstm")) == (code, 1, True)
    assert "wrote" not in out
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def never(*args, **options):
    """Stands where nothing may be learnt."""
    raise AssertionError("learns before everything is checked")


def table(path, header, rows):
    """Writes a CSV file."""
    lines = [",".join(map(str, row)) for row in [header, *rows]]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def months(count, first=2015):
    """Names of months."""
    return [f"{first + k // 12}-{k % 12 + 1:02}" for k in range(count)]


def waves(count, rng, period=12):
    """A trend, a season and a little noise."""
    t = np.arange(count)
    return np.round(100 + t / 2 + 10 * np.sin(2 * np.pi * t / period) + rng.normal(size=count), 3)


def forecast_files():
    rng = np.random.default_rng(0)
    table("sales.csv", ["month", "units"], zip(months(84), waves(84, rng)))
    table("power.csv", ["step", "kW"], enumerate(waves(96, rng, 24)))
    power = Path("power.csv").read_text()
    Path("newer.csv").write_text(power + "".join(f"{k},{value}\n" for k, value in enumerate(waves(8, rng), 96)))
    table("weather.csv", ["month", "max", "min"], zip(months(60), waves(60, rng), waves(60, rng)))
    promotion = rng.integers(0, 2, 66)
    units = [*map(str, waves(60, rng) + 5 * promotion[:60]), *[""] * 6]
    table("shop.csv", ["month", "units", "promotion"], zip(months(66), units, promotion))


def gestures(count, rng):
    """Rising and falling sequences of one channel: (label, numbers)."""
    for k in range(count):
        steps = np.round(np.linspace(0, 1, 5 + k % 3) + 0.1 * rng.normal(size=5 + k % 3), 3)
        yield ("up", steps) if k % 2 else ("down", -steps)


def classify_files():
    rng = np.random.default_rng(1)
    rows = [(label, *steps, *[""] * (7 - len(steps))) for label, steps in gestures(40, rng)]
    table("gestures.csv", ["label", *"abcdefg"], rows)
    table("new.csv", list("abcdefg"), [row[1:] for row in rows[:4]])
    walks = []
    for k, (label, steps) in enumerate(gestures(30, rng)):
        walks += [(f"w{k}", t, value, -value, label) for t, value in enumerate(steps)]
    table("walks.csv", ["walk", "t", "left", "right", "room"], walks)
    table("new_walks.csv", ["right", "walk", "t", "left"], [(row[3], row[0], row[1], row[2]) for row in walks[:20]])
    praise, blame = ["good", "great", "fine"], ["bad", "poor", "awful"]
    for name, count in (("reviews.csv", 40), ("more.csv", 10)):
        texts = [(f"a {(praise if k % 2 else blame)[k % 3]} film", 1 + 4 * (k % 2)) for k in range(count)]
        table(name, ["review", "stars"], texts)


def sentences(count, rng):
    """Sentences of one form: lists of (word, tag)."""
    return [[(str(rng.choice(WORDS[tag])), tag) for tag in ORDER] for _ in range(count)]


def tag_files():
    rng = np.random.default_rng(2)
    for name, count in (("train.tsv", 40), ("dev.tsv", 8)):
        lines = ["".join(f"{word}\t{tag}\n" for word, tag in row) for row in sentences(count, rng)]
        Path(name).write_text("\n".join(lines))
    Path("sentences.txt").write_text("the cat likes a ship.\nthis dog sees the sea.\n")


def generate_files():
    rng = np.random.default_rng(3)
    lines = [" ".join(word for word, _ in row).replace(" .", ".") for row in sentences(120, rng)]
    Path("poems.txt").write_text("The sea\n" + "\n".join(lines) + "\n")


def detect_files():
    rng = np.random.default_rng(4)
    days = np.datetime64("2024-01-01T00:00") + np.arange(240) * np.timedelta64(1, "h")
    value = np.round(10 + 3 * np.sin(np.arange(240) / 4) + 0.1 * rng.normal(size=240), 3)
    value[150:153] = 0
    table("taxi.csv", ["timestamp", "value"], zip(np.datetime_as_string(days, unit="m"), value))
    table("machine.csv", ["volt", "ampere", "kind"], [(v, round(2 * v, 3), "x") for v in value])
    table("tomorrow.csv", ["ampere", "volt"], [(round(2 * v, 3), v) for v in value[100:200]])


def translate_files():
    english, german = ["one", "two", "ten"], ["eins", "zwei", "zehn"]
    pairs = [(f"{a} {b} {c}", (a, b, c)) for a in english for b in english for c in english]
    words = dict(zip(english, german))
    lines = [f"{source}\t{' '.join(words[word] for word in parts)}\tnote" for source, parts in pairs]
    Path("pairs.tsv").write_text("\n".join(lines) + "\n")
    Path("english.txt").write_text("one two two\n\nten ten one\n")
    days = [f"{day}/{month}\t{month:02}-{day:02}" for day in range(1, 13) for month in range(1, 5)]
    Path("dates.tsv").write_text("\n".join(days) + "\n")


def recording(path, tone, rng, rate=8000):
    """Writes a wav file of a fifth of a second."""
    sound = np.sin(2 * np.pi * tone * np.arange(rate // 5) / rate) + 0.05 * rng.normal(size=rate // 5)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((8000 * sound).astype("<i2").tobytes())


def transcribe_files():
    rng = np.random.default_rng(5)
    for folder in ("digits", "names", "cids"):
        Path(folder).mkdir()
        texts = [("low", 300) if k % 2 else ("high", 1500) for k in range(20)]
        for k, (_, tone) in enumerate(texts):
            recording(f"{folder}/{k}.wav", tone, rng)
        rows = [(f"{k}.wav", text, ["ann", "bob"][k // 2 % 2]) for k, (text, _) in enumerate(texts)]
        table(f"{folder}/labels.csv", ["file", "label", "speaker"], rows)
    recording("one.wav", 300, rng)
    recording("two.wav", 1500, rng)
    length = rng.integers(8, 12, 20)
    digit = np.arange(20) % 2
    x = np.repeat(digit, length)[:, None] + 0.1 * rng.normal(size=(length.sum(), 3))
    np.savez("features.npz", x=x, length=length, digit=digit)


FILES = {
    "forecast": forecast_files,
    "classify": classify_files,
    "tag": tag_files,
    "generate": generate_files,
    "detect": detect_files,
    "translate": translate_files,
    "transcribe": transcribe_files,
    "info": lambda: run("forecast", "--save", "airline.safetensors", "--epochs", "1", "--set", "networks=1", "--quiet"),
    "bench": lambda: None,
}
