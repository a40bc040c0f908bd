"""`clstm tag`: a tag for each word of a sentence."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import NamedTuple

import numpy as np

from . import models
from .arguments import add_model, add_report, add_training
from .errors import CommandError, UsageError
from .files import check_outputs, write_outputs
from .sentences import read_learnt, read_sentences
from .text import begin, counted, field, finish, paragraph, print_json, shortened, table

DESCRIPTION = """\
Learn tags of words, such as parts of speech or names, and tag sentences.

A file to learn from has a word, a tab and its tag in each line, and an empty
line between sentences. A part of the sentences is held out, and tested on,
beside the baseline that gives each word the tag that it most often has.
"""
EXAMPLES = """\
examples:
  clstm tag train.tsv --test dev.tsv --save tagger.safetensors
      learns one file, tests on another, and keeps the model
  clstm tag train.tsv --hold-out 0.1
      learns nine tenths of the sentences, and tests on the others
  clstm tag --model tagger.safetensors sentences.txt
      tags sentences: one in each line, or a word in each line
  clstm tag --model tagger.safetensors < sentences.txt > tagged.tsv
      the same from another program, and for another one
"""


class Test(NamedTuple):
    """How good the model is on what it has not learnt.

    Attributes
    ----------
    where : str
        Which sentences these are.
    tokens : int
    accuracy, baseline : float
        Share of the right tags; of the model, and of each word's most frequent tag.
    unseen : float or None
        The share among words that were not learnt; None if there are none.
    entities : dict or None
        Precision, recall and F1 of whole names, if the tags are those of names (B-, I-, O) and seqeval is installed.
    by_tag : list of tuple
        Tag, how often it is there, and the shares of those that are found, and of those given that are right.
    """

    where: str
    tokens: int
    accuracy: float
    baseline: float
    unseen: float | None
    entities: dict | None
    by_tag: list


def add_arguments(parser):
    """What `clstm tag` takes."""
    add = parser.add_argument
    add("file", nargs="?", metavar="FILE", help="what to learn; with --model: what to tag (standard input)")
    add("--test", metavar="FILE", help="test on this file, and learn all of the first")
    add_model(parser, "tag")
    add_training(parser, hold_out=0.1)
    add_report(parser)


def run(args):
    """The command; raises `CommandError`."""
    if args.file is None and args.model is None:
        raise UsageError("the following arguments are required: FILE to learn from, or --model")
    check_outputs(args, args.file, args.test, args.model)
    (tag if args.model else learn)(args)


def tag(args):
    """With a saved model."""
    model = models.load(args, "test", "seed")
    sentences = read_sentences(args.file)
    tags = model.predict(sentences)
    if args.json:
        pairs = zip(sentences, tags, strict=True)
        print_json({"sentences": [{"tokens": words, "tags": given} for words, given in pairs]})
        return
    for words, given in zip(sentences, tags, strict=True):
        print(*(f"{word}\t{name}" for word, name in zip(words, given, strict=True)), "", sep="\n")


def learn(args):
    """Learns, and tests."""
    models.share_held_out(args)
    sentences, tags = read_learnt(args.file)
    test = None if args.test is None else read_learnt(args.test)
    learnt, tested, where = parts(args, sentences, tags, test)
    counts = Counter(name for row in tags for name in row)
    data = {"file": args.file, "sentences": len(tags), "words": counts.total(), "tags": dict(counts.most_common())}
    amount = field("sentences", f"{data['sentences']:,} of {data['words']:,} words")
    begin(args, args.file, amount, field("tags", counted(data["tags"])))
    model = models.learn(args, models.make(args, "LSTMTagger"), args.file, *learnt)
    result = judged(model, learnt, tested, where) if tested[0] else None
    lines = [] if result is None else ["", *test_lines(result)]
    document = {"data": data, "test": None if result is None else result._asdict()}
    finish(args, lines, document, write_outputs(args, model))


def parts(args, sentences, tags, test):
    """What is learnt, what is tested on, each sentences and tags, and which that is; raises CommandError."""
    if len({name for row in tags for name in row}) < 2:
        raise CommandError(f"{args.file}: expected at least 2 tags, got {tags[0][0]!r} everywhere")
    if test is not None:
        return (sentences, tags), test, f"{len(test[0]):,} sentences of {args.test}"
    rows, held = models.hold_out(args, args.file, "sentences", [None] * len(tags))
    learnt, tested = (([sentences[k] for k in part], [tags[k] for k in part]) for part in (rows, held))
    return learnt, tested, f"{len(held):,} sentences held out of {args.file}"


def judged(model, learnt, tested, where):
    """The test."""
    usual = most_frequent_tags(*learnt)
    common = Counter(name for row in learnt[1] for name in row).most_common(1)[0][0]
    said = model.predict(tested[0])
    words = [word for row in tested[0] for word in row]
    true = np.array([name for row in tested[1] for name in row])
    given = np.array([name for row in said for name in row])
    naive = np.array([usual.get(word, common) for word in words])
    new = np.array([word not in usual for word in words])
    right = true == given
    return Test(
        where,
        len(words),
        right.mean(),
        (true == naive).mean(),
        right[new].mean() if new.any() else None,
        entities(tested[1], said),
        [
            (name, count, right[true == name].mean(), right[given == name].mean() if (given == name).any() else None)
            for name, count in Counter(true.tolist()).most_common()
        ],
    )


def most_frequent_tags(sentences, tags):
    """The tag that each word has most often."""
    counts = defaultdict(Counter)
    for words, names in zip(sentences, tags, strict=True):
        for word, name in zip(words, names, strict=True):
            counts[word][name] += 1
    return {word: found.most_common(1)[0][0] for word, found in counts.items()}


def entities(true, said):
    """What seqeval says of names, or None."""
    names = {name for row in true for name in row}
    if not all(name == "O" or name[:2] in ("B-", "I-") for name in names) or "O" not in names:
        return None
    try:
        from seqeval.metrics import f1_score, precision_score, recall_score
    except ImportError:
        return None
    scores = {"precision": precision_score, "recall": recall_score, "f1": f1_score}
    return {name: float(score(true, said, zero_division=0)) for name, score in scores.items()}


# Text


def test_lines(test):
    """Accuracy, baseline, and a line for each tag."""
    rows = [["", "accuracy"], ["LSTM", f"{test.accuracy:.3f}"]]
    rows.append(["each word's most frequent tag", f"{test.baseline:.3f}"])
    if test.unseen is not None:
        rows.append(["LSTM, words that it has not learnt", f"{test.unseen:.3f}"])
    lines = [*paragraph(f"Test: {test.where}, {test.tokens:,} words"), "", *table(rows)]
    if test.accuracy <= test.baseline:
        lines += ["", *paragraph("The LSTM is no better than each word's most frequent tag.")]
    if test.entities is not None:
        words = "F1 {f1:.3f}, precision {precision:.3f}, recall {recall:.3f}".format(**test.entities)
        lines += ["", *paragraph(f"Whole names, by seqeval: {words}")]
    rows = [["tag", "words", "found", "right"]]
    for name, count, found, right in test.by_tag[:20]:
        rows.append([shortened(name, 24), str(count), f"{found:.3f}", "-" if right is None else f"{right:.3f}"])
    more = [f"  and {len(test.by_tag) - 20} more"] if len(test.by_tag) > 20 else []
    return [*lines, "", *table(rows), *more]
