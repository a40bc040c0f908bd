"""`clstm classify`: which class a sequence or a text belongs to."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from . import models
from .arguments import add_impute, add_model, add_report, add_training
from .errors import CommandError, UsageError, refused_in
from .files import check_outputs, read_bytes, write_outputs
from .pictures import new_figure, picture
from .sequences import Form, check_complete, check_varied, read_sequences
from .text import begin, counted, field, finish, listed, paragraph, percent, shortened, table

DESCRIPTION = """\
Learn which class sequences or texts belong to, and classify others.

Files are read in one of these forms:
  a row for each sequence    numbers of one channel, the oldest first, and a
                             label; empty fields at the end make it shorter
  a row for each step        with --id: rows with the same id make a sequence,
                             columns of numbers are its channels
  JSON lines, .jsonl         {"x": [[0.1, 2], [0.3, 1]], "label": "walk"}
  texts                      with --text: the column of the texts
A part of the data is held out, and tested on, beside the baseline that always
says the most frequent class. A saved model knows how its files were read.
"""
EXAMPLES = """\
examples:
  clstm classify gestures.csv --target label
      learns four fifths of the rows, and tests on the others
  clstm classify walks.csv --target room --id walk --time t --save m.safetensors
      a row for each step; the model goes to a file
  clstm classify --model m.safetensors new_walks.csv
      the class of each sequence in another file, and how sure it is
  clstm classify reviews.csv --target stars --text review --test more.csv
      texts; all of reviews.csv is learnt, and more.csv is the test
  clstm classify gestures.csv --predict new.csv --json > new.json
      everything for another program
"""
SHOWN = 12  # classes of a confusion table, if they fit


class Test(NamedTuple):
    """How good the model is on what it has not learnt.

    Attributes
    ----------
    where : str
        Which sequences these are.
    classes : list of str
    confusion : ndarray of int
        A row for each true class, a column for each predicted one.
    usual : str
        The most frequent class of what was learnt.
    """

    where: str
    classes: list[str]
    confusion: np.ndarray
    usual: str

    @property
    def accuracy(self):
        """Share of the sequences whose class is right."""
        return np.trace(self.confusion) / self.confusion.sum()

    @property
    def baseline(self):
        """The same for who always says the most frequent class."""
        return self.confusion[self.classes.index(self.usual)].sum() / self.confusion.sum()


def add_arguments(parser):
    """What `clstm classify` takes."""
    add = parser.add_argument
    add("file", metavar="FILE", help="what to learn; with --model: what to classify")
    add("--target", metavar="NAME", help="the column of the labels (label)")
    add("--id", metavar="NAME", help="there is a row for each step; the column that says to which sequence it belongs")
    add("--time", metavar="NAME", help="the column that has to grow from step to step; it is no channel")
    add("--text", metavar="NAME", help="classify texts; the column that holds them")
    add("--test", metavar="FILE", help="test on this file, and learn all of the first")
    add("--predict", metavar="FILE", help="classify this file with what was learnt")
    add_model(parser, "classify")
    add_impute(parser)
    add_training(parser, hold_out=0.2)
    add_report(parser, "the confusion table")


def run(args):
    """The command; raises `CommandError`."""
    check_outputs(args, args.file, args.test, args.predict, args.model)
    (classify if args.model else learn)(args)


def classify(args):
    """With a saved model."""
    model = models.load(args, "test", "predict", "impute", "plot", "seed")
    columns = {"target": "target", "id": "id", "time": "time", "text": "text", "channels": None}
    form = Form(**models.reading_of(args, model, **columns))
    if (type(model).__name__ == "LSTMTextClassifier") != (form.text is not None):
        raise UsageError("argument --text: needed for a model of texts, and only for one")
    found = read(args.file, form, model.get_params().get("impute"), labels=False)
    told = predictions(model, found)
    finish(args, prediction_lines(told), {"predictions": told})


def learn(args):
    """Learns, tests, and classifies a file."""
    check_arguments(args)
    form = Form(args.target or "label", args.id, args.time, args.text)
    data = read(args.file, form, args.impute)
    with refused_in(args.file):
        check_varied(data)
    form = form._replace(channels=data.channels)
    test = None if args.test is None else read(args.test, form, args.impute)
    new = None if args.predict is None else read(args.predict, form, args.impute, labels=False)
    learnt, tested, where = parts(args, data, test)
    document = {"data": data_document(args, data)}
    begin(args, args.file, *data_lines(args, document["data"]))
    estimator = (
        models.make(args, "LSTMTextClassifier")
        if form.text
        else models.make(args, "LSTMClassifier", impute=args.impute)
    )
    model = models.learn(args, estimator, args.file, learnt.x, np.array(learnt.labels), names=learnt.names)
    model.reading_ = form._asdict()
    lines, result = [], judged(model, learnt, tested, where) if tested.x else None
    if result is not None:
        document["test"] = test_document(result)
        lines += ["", *test_lines(result)]
    if new is not None:
        document["predictions"] = predictions(model, new)
        lines += ["", *prediction_lines(document["predictions"])]
    finish(args, lines, document, write_outputs(args, model, drawn(args, result)))


def check_arguments(args):
    """Raises UsageError for arguments that do not go together."""
    share = models.share_held_out(args)
    if args.text and (args.id or args.time or args.impute):
        raise UsageError("argument --text: a text has no --id, --time or --impute")
    if args.time and not args.id:
        raise UsageError("argument --time: goes with --id, for a file with a row for each step")
    if args.plot and args.test is None and not share:
        raise UsageError("argument --plot: there is no test to draw, with --hold-out 0 and without --test")


def read(path, form, impute, labels=True):
    """A file, whose missing values will be filled or are an error; raises CommandError."""
    data = read_bytes(path)
    with refused_in(path):
        found = read_sequences(path, data, form, labels)
        if impute is None:
            check_complete(found)
    return found


def parts(args, data, test):
    """What is learnt, what is tested on, and which that is; raises CommandError."""
    classes = sorted(set(data.labels))
    if len(classes) < 2:
        raise CommandError(f"{args.file}: expected at least 2 classes, got {classes[0]!r} everywhere")
    if test is None:
        rows, held = models.hold_out(args, args.file, "sequences", data.labels)
        return data.take(rows), data.take(held), f"{len(held)} sequences held out of {args.file}"
    for label, name in zip(test.labels, test.names, strict=True):
        if label not in classes:
            text = f"{name}: expected a label that was learnt, {listed(classes)}, got {label!r}"
            raise CommandError(f"{args.test}: {text}")
    return data, test, f"{len(test.x)} sequences of {args.test}"


def judged(model, learnt, tested, where):
    """The test."""
    classes = [str(name) for name in model.classes_]
    confusion = np.zeros((len(classes), len(classes)), int)
    for true, said in zip(tested.labels, model.predict(tested.x), strict=True):
        confusion[classes.index(true), classes.index(str(said))] += 1
    return Test(where, classes, confusion, Counter(learnt.labels).most_common(1)[0][0])


def predictions(model, found):
    """For each sequence its name, the class, and the probabilities of all classes."""
    classes = [str(name) for name in model.classes_]
    told = []
    for name, row in zip(found.names, model.predict_proba(found.x), strict=True):
        told.append(
            {"sequence": name, "label": classes[row.argmax()], "probabilities": dict(zip(classes, row.tolist()))}
        )
    return told


# Text, JSON and a picture


def data_document(args, data):
    """What was read, for JSON."""
    found = {"file": args.file, "sequences": len(data.x), "classes": dict(Counter(data.labels).most_common())}
    if not args.text:
        lengths = list(map(len, data.x))
        found |= {"shortest": min(lengths), "longest": max(lengths), "channels": data.x[0].shape[1]}
    return found


def data_lines(args, told):
    """What was read."""
    if args.text:
        what = field("texts", f"{told['sequences']}, in column {args.text}")
    else:
        shortest, longest, channels = told["shortest"], told["longest"], told["channels"]
        steps = f"{shortest}" if shortest == longest else f"{shortest} to {longest}"
        text = f"{told['sequences']}, of {steps} steps and {channels} channel{'s' * (channels > 1)}"
        what = field("sequences", text)
    return [what, field("classes", counted(told["classes"]))]


def test_document(test):
    """The test, for JSON."""
    return {
        "where": test.where,
        "accuracy": test.accuracy,
        "most_frequent_class": test.usual,
        "baseline": test.baseline,
        "classes": test.classes,
        "confusion": test.confusion,
    }


def test_lines(test):
    """Accuracy, baseline, and the confusion table."""
    rows = [
        ["", "accuracy"],
        ["LSTM", f"{test.accuracy:.3f}"],
        [f"most frequent class, {shortened(test.usual, 24)}", f"{test.baseline:.3f}"],
    ]
    lines = [*paragraph(f"Test: {test.where}"), "", *table(rows)]
    if test.accuracy <= test.baseline:
        lines += ["", *paragraph("The LSTM is no better than who always says the most frequent class.")]
    return [*lines, "", *confusion_lines(test)]


def confusion_lines(test):
    """The whole table if it fits, or a line for each class."""
    names = [shortened(name, 16) for name in test.classes]
    rows = [["true \\ predicted", *names]]
    rows += [[name, *map(str, row)] for name, row in zip(names, test.confusion.tolist(), strict=True)]
    lines = table(rows)
    if len(names) <= SHOWN and max(map(len, lines)) <= 80:
        return lines
    rows = [["class", "tested", "right", "most often taken for"]]
    for k, (name, row) in enumerate(zip(names, test.confusion, strict=True)):
        others = np.where(np.arange(len(row)) == k, 0, row)
        wrong = f"{names[others.argmax()]} {others.max()}" if others.any() else "-"
        rows.append([name, str(row.sum()), percent(row[k] / row.sum()) if row.sum() else "-", wrong])
    return table(rows)


def prediction_lines(told):
    """A line for each sequence: its class, how probable that is, and the next best."""
    rows = [["sequence", "class", "probability", "next best", ""]]
    for entry in told:
        (label, best), (other, second) = Counter(entry["probabilities"]).most_common(2)
        rows.append(
            [
                shortened(entry["sequence"], 24),
                shortened(label, 16),
                f"{best:.3f}",
                shortened(other, 16),
                f"{second:.3f}",
            ]
        )
    return table(rows)


def drawn(args, test):
    """The picture of the confusion table; None if there is to be none."""
    if args.plot is None:
        return None
    count = len(test.classes)
    size = max(5, min(12, 2.5 + 0.45 * count))
    figure = new_figure(size + 0.5, size)
    ax = figure.add_subplot()
    shares = test.confusion / np.maximum(test.confusion.sum(axis=1, keepdims=True), 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [shortened(name, 16) for name in test.classes]
    turned = {"rotation": 45, "ha": "right"} if max(map(len, names)) > 3 else {}
    ax.set_xticks(range(count), names, **turned)
    ax.set_yticks(range(count), names)
    for row, column in np.argwhere(test.confusion) if count <= 30 else ():
        colour = "white" if shares[row, column] > 0.5 else "black"
        ax.text(column, row, str(test.confusion[row, column]), ha="center", va="center", color=colour)
    ax.set(
        xlabel="predicted",
        ylabel="true",
        title=f"accuracy {test.accuracy:.3f}, most frequent class {test.baseline:.3f}",
    )
    ax.spines[:].set_visible(False)
    return picture(args.plot, figure)
