"""`clstm transcribe`: what is said in recordings."""

from __future__ import annotations

import io
import os
import zipfile
from collections import Counter
from typing import NamedTuple

import numpy as np

from . import models
from .arguments import add_model, add_report, add_training
from .errors import CommandError, UsageError, refused_in, without_name
from .files import check_outputs, read_bytes, write_outputs
from .tables import TableError, check_names, read_table
from .text import begin, counted, field, finish, listed, paragraph, shortened, table

DESCRIPTION = """\
Learn what is said in short recordings, and transcribe others.

Recordings are a folder of .wav files with a table labels.csv, whose columns
are file and label; or an .npz file with features: x, the frames of all
recordings one after the other, length, how many each has, and label.
A part of the recordings is held out, and tested on, beside the baseline that
always says the most frequent text.
"""
EXAMPLES = """\
examples:
  clstm transcribe digits --save digits.safetensors
      learns the recordings of a folder, tests, and keeps the model
  clstm transcribe --model digits.safetensors one.wav two.wav
      what is said in others
  clstm transcribe features.npz --target digit --hold-out 0.3
      features instead of recordings; the labels have another name
  clstm transcribe names --set units=characters --epochs 40
      texts are made of characters instead of words
  clstm transcribe digits --speaker speaker --save digits.safetensors
      a column says who speaks: each voice is normalised by all it says
  clstm transcribe --model digits.safetensors --voice cid --adapt cids
      recordings of one new voice: get used to it first
"""
TABLE = "labels.csv"
FEW = 200  # recordings, with which the usual number of epochs makes few steps


class Recordings(NamedTuple):
    """Features (T, F) of recordings, their texts or None, their names, who speaks or None, and samples per second or
    None for features."""

    x: list
    texts: list[str] | None
    names: list[str]
    speakers: list[str] | None
    rate: int | None

    def take(self, rows):
        """Some of them."""
        return Recordings(*(part and [part[row] for row in rows] for part in self[:4]), self.rate)


class Test(NamedTuple):
    """How good the model is on what it has not learnt: shares of wrong labels, and of texts that are exactly right."""

    where: str
    label_error_rate: float
    exact: float
    usual: str
    baseline_label_error_rate: float
    baseline_exact: float
    mistakes: list


def add_arguments(parser):
    """What `clstm transcribe` takes."""
    add = parser.add_argument
    what = "a folder of recordings or an .npz file to learn; with --model: .wav files, folders or .npz files"
    add("files", nargs="+", metavar="FILE", help=what)
    add("--labels", metavar="CSV", help=f"the table of files and labels; default: {TABLE} in the folder")
    add("--target", metavar="NAME", help="the column, or key, of the texts (label)")
    add("--speaker", metavar="NAME", help="the column, or key, of who speaks; default: each recording is a voice")
    add("--test", metavar="FILE", help="test on this folder or .npz file, and learn all of the first")
    add("--voice", metavar="NAME", help="with --model: who speaks all of these recordings, somebody known or new")
    what = "with --model: get used to the voices of these recordings first"
    add("--adapt", action="store_true", default=None, help=what)
    add_model(parser, "transcribe")
    add_training(parser, hold_out=0.2)
    add_report(parser)


def run(args):
    """The command; raises `CommandError`."""
    check_outputs(args, *args.files, args.labels, args.test, args.model)
    (transcribe if args.model else learn)(args)


def transcribe(args):
    """With a saved model."""
    model = models.load(args, "labels", "target", "speaker", "test", "seed", may_save=args.adapt)
    rate = models.reading_of(args, model, rate=0)["rate"]
    found = [read_others(path, rate) for path in args.files]
    for path, recordings in zip(args.files, found, strict=True):
        check_features(path, recordings, model.n_features_in_)
    x, names = ([one for recordings in found for one in recordings[part]] for part in (0, 2))
    speakers = None if args.voice is None else [args.voice] * len(x)
    if args.adapt:
        adapt(args, model, x, speakers)
    said = [text if isinstance(text, str) else " ".join(text) for text in model.predict(x, speakers)]
    pairs = [{"file": name, "text": text} for name, text in zip(names, said, strict=True)]
    lines = [f"{name}\t{text}" for name, text in zip(names, said, strict=True)]
    finish(args, lines, {"transcriptions": pairs}, write_outputs(args, model))


def adapt(args, model, x, speakers):
    """Gets used to voices; raises CommandError."""
    try:
        model.set_params(progress=not args.quiet).adapt(x, speakers).set_params(progress=False)
    except ValueError as error:
        raise CommandError(f"argument --adapt: {without_name(error, ('X',))}") from error


def learn(args):
    """Learns, and tests."""
    models.refuse(args, "goes with --model", "voice", "adapt")
    models.share_held_out(args)
    if len(args.files) > 1:
        raise UsageError(f"expected one folder or .npz file to learn, got {len(args.files)}")
    (path,) = args.files
    target = args.target or "label"
    recordings = read_recordings(path, args.labels, target, args.speaker)
    test = None if args.test is None else read_recordings(args.test, None, target, args.speaker)
    learnt, tested, where = parts(args, path, recordings, test)
    data = data_document(path, recordings)
    begin(args, path, *data_lines(data))
    model = models.make(args, "SpeechRecognizer")
    models.learn(args, model, path, learnt.x, learnt.texts, learnt.speakers, names=learnt.names)
    model.reading_ = {"rate": recordings.rate}
    result = judged(model, learnt, tested, where) if tested is not None else None
    lines = [] if result is None else ["", *test_lines(result, data)]
    document = {"data": data, "test": None if result is None else result._asdict()}
    finish(args, lines, document, write_outputs(args, model))


# Reading


def read_recordings(path, labels, target, speaker):
    """Recordings with their texts, from a folder or an .npz file; raises CommandError."""
    if os.path.isdir(path):
        return read_folder(path, labels or os.path.join(path, TABLE), target, speaker)
    if labels is not None:
        raise UsageError("argument --labels: goes with a folder of recordings")
    return read_features(path, target, speaker)


def read_folder(folder, labels, target, speaker):
    """The recordings that a table names, in its order."""
    data = read_bytes(labels)
    with refused_in(labels):
        rows = read_table(data)
        check_names(rows, ["file", target, *([speaker] if speaker else [])])
        pairs = list(zip(rows.column("file"), rows.column(target), rows.lines, strict=True))
        for name, text, line in pairs:
            if not (name and text):
                raise TableError(f"line {line}: expected a file and its {target}, got {name!r} and {text!r}")
        speakers = list(rows.column(speaker)) if speaker else None
    found = [read_wav(os.path.join(folder, name)) for name, _, _ in pairs]
    rates = {rate: pair for (_, rate), pair in zip(found, pairs, strict=True)}
    if len(rates) > 1:
        told = " and ".join(f"{rate} in {pair[0]!r}" for rate, pair in list(rates.items())[:2])
        raise CommandError(f"{folder}: expected the same number of samples per second everywhere, got {told}")
    texts, names = [pair[1] for pair in pairs], [pair[0] for pair in pairs]
    return Recordings([x for x, _ in found], texts, names, speakers, found[0][1])


def read_wav(path):
    """Features of a recording, and its samples per second."""
    from .. import speech

    read_bytes(path)  # says what is wrong with a name in our words
    with refused_in(path):
        signal, rate = speech.read_wav(path)
        return speech.mfcc(signal, rate), rate


def read_features(path, target=None, speaker=None):
    """Features of an .npz file, with their texts and who speaks if these are named."""
    data = read_bytes(path)
    with refused_in(path):
        if not data.startswith(b"PK"):
            raise TableError("expected a folder or an .npz file, got neither")
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (zipfile.BadZipFile, EOFError, AttributeError, TypeError) as error:
            raise TableError(f"expected an .npz file, got a damaged one: {error}") from error
        for name in ("x", "length", *filter(None, (target, speaker))):
            if name not in arrays:
                raise TableError(f"no array {name!r}; there are {listed(list(arrays))}")
        x, length = arrays["x"], arrays["length"]
        if x.ndim != 2 or x.dtype.kind not in "fiu" or length.ndim != 1 or length.dtype.kind not in "iu":
            raise TableError("expected x (frames, features) and length (recordings,) of whole numbers")
        if not len(length) or length.min() < 1 or length.sum() != len(x):
            raise TableError(f"expected lengths of at least 1 that sum to the {len(x)} frames of x")
        if not np.isfinite(x).all():
            raise TableError(f"expected finite features, got {x[~np.isfinite(x)][0]}")
        recordings = np.split(x.astype(np.float32), np.cumsum(length)[:-1])
        texts, speakers = (None if name is None else [str(one) for one in arrays[name]] for name in (target, speaker))
        for name, given in ((target, texts), (speaker, speakers)):
            if given is not None and len(given) != len(length):
                raise TableError(f"expected a {name} for each of the {len(length)} recordings, got {len(given)}")
    return Recordings(recordings, texts, [f"{path}[{k}]" for k in range(len(length))], speakers, None)


def read_others(path, rate):
    """Recordings to transcribe; those learnt had so many samples per second, None: were features, 0: are not known."""
    if rate is None or (rate == 0 and path.lower().endswith(".npz")):
        return read_features(path)
    paths = [path]
    if os.path.isdir(path):
        paths = sorted(os.path.join(path, name) for name in os.listdir(path) if name.lower().endswith(".wav"))
        if not paths:
            raise CommandError(f"{path}: no .wav files in this folder")
    found = [read_wav(path) for path in paths]
    for path, (_, own) in zip(paths, found, strict=True):
        if rate and own != rate:
            raise CommandError(f"{path}: expected {rate} samples per second, as in the recordings learnt, got {own}")
    return Recordings([x for x, _ in found], None, paths, None, rate)


def check_features(path, recordings, count):
    """Raises CommandError unless all have as many features as were learnt."""
    for x, name in zip(recordings.x, recordings.names, strict=True):
        if x.shape[1] != count:
            raise CommandError(f"{path}: {name}: expected {count} features a frame, as were learnt, got {x.shape[1]}")


# Test


def parts(args, path, recordings, test):
    """What is learnt, what is tested on or None, and which that is; raises CommandError."""
    if test is not None:
        check_features(args.test, test, recordings.x[0].shape[1])
        if test.rate != recordings.rate:
            raise CommandError(f"{args.test}: expected {recordings.rate} samples per second, got {test.rate}")
        return recordings, test, f"{len(test.x)} recordings of {args.test}"
    rows, held = models.hold_out(args, path, "recordings", recordings.texts)
    where = f"{len(held)} recordings held out of {path}"
    return recordings.take(rows), recordings.take(held) if held else None, where


def judged(model, learnt, tested, where):
    """The test."""
    usual = Counter(learnt.texts).most_common(1)[0][0]
    said = [text if isinstance(text, str) else " ".join(text) for text in model.predict(tested.x, tested.speakers)]
    right = [text == true for text, true in zip(said, tested.texts, strict=True)]
    mistakes = [
        {"file": name, "text": true, "heard": text}
        for name, true, text in zip(tested.names, tested.texts, said, strict=True)
        if text != true
    ]
    return Test(
        where,
        1 - float(model.score(tested.x, tested.texts, tested.speakers)),
        float(np.mean(right)),
        usual,
        error_rate(model.units, [usual] * len(said), tested.texts),
        float(np.mean([text == usual for text in tested.texts])),
        mistakes,
    )


def error_rate(units, said, texts):
    """Edits between what is said and what is right, as a share of the labels."""
    from .. import metrics

    return (metrics.cer if units == "characters" else metrics.wer)(said, texts)


# Text


def data_document(path, recordings):
    """What was read, for JSON."""
    return {
        "file": path,
        "recordings": len(recordings.x),
        "frames": sum(map(len, recordings.x)),
        "features": recordings.x[0].shape[1],
        "samples_per_second": recordings.rate,
        "texts": dict(Counter(recordings.texts).most_common()),
        "speakers": recordings.speakers and dict(Counter(recordings.speakers).most_common()),
    }


def data_lines(data):
    """What was read."""
    made = f"{data['features']} features"
    if data["samples_per_second"]:
        made = f"{data['features']} cepstral coefficients of {data['samples_per_second']} samples a second"
    amount = f"{data['recordings']} of {data['frames']:,} frames in all; {made}"
    speakers = [field("speakers", counted(data["speakers"]))] if data["speakers"] else []
    return [field("recordings", amount), field("texts", counted(data["texts"])), *speakers]


def test_lines(test, data):
    """Model and baseline, and some mistakes."""
    rows = [["", "exactly right", "label errors"]]
    rows.append(["LSTM", f"{test.exact:.3f}", f"{test.label_error_rate:.3f}"])
    usual = f"most frequent text, {shortened(test.usual, 20)}"
    rows.append([usual, f"{test.baseline_exact:.3f}", f"{test.baseline_label_error_rate:.3f}"])
    lines = [*paragraph(f"Test: {test.where}"), "", *table(rows)]
    if test.exact <= test.baseline_exact:
        told = "The LSTM is no better than who always says the most frequent text."
        if data["recordings"] < FEW:
            told += " So few recordings need more --epochs, or smaller batches: --set batch_size=4."
        lines += ["", *paragraph(told)]
    if test.mistakes:
        rows = [["mistakes", "heard", "said"]]
        for one in test.mistakes[:8]:
            rows.append([shortened(one["file"], 30), shortened(one["heard"], 20), shortened(one["text"], 20)])
        more = [f"  and {len(test.mistakes) - 8} more"] if len(test.mistakes) > 8 else []
        lines += ["", *table(rows), *more]
    return lines
