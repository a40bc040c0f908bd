"""`clstm translate`: one text becomes another one."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import NamedTuple

from . import models
from .arguments import add_model, add_report, add_training
from .errors import CommandError, UsageError, refused_in
from .files import check_outputs, read_bytes, write_outputs
from .pictures import new_figure, picture
from .sentences import read_input
from .tables import TableError, text_of
from .text import begin, field, finish, paragraph, shortened, table

DESCRIPTION = """\
Learn to make one text of another: to translate, spell out, convert.

The file has a pair in each line: a text, a tab, and what it becomes. A part of
the pairs, none of whose sources is learnt, is held out, and tested on, beside
the baseline that gives the translation of the most similar source.
"""
EXAMPLES = """\
examples:
  clstm translate pairs.tsv --save english_german.safetensors
      learns, tests, shows some translations, and keeps the model
  clstm translate --model english_german.safetensors "I am cold." "Go on!"
      translates what stands on the command line
  clstm translate --model english_german.safetensors < english.txt > german.txt
      or each line of the standard input
  clstm translate dates.tsv --set tokens=characters --plot attention.png
      character by character; where the network looks while it writes
"""
SHOWN = 5  # translations of the test


class Test(NamedTuple):
    """How good the model is on what it has not learnt.

    Attributes
    ----------
    where : str
        Which pairs these are.
    scores : dict of dict
        "lstm" and "most_similar": share of what is exactly right, character error rate, and BLEU if sacrebleu is there.
    examples : list of dict
        Source, what is written, and what is right.
    """

    where: str
    scores: dict
    examples: list


def add_arguments(parser):
    """What `clstm translate` takes."""
    add = parser.add_argument
    add("words", nargs="*", metavar="TEXT", help="the file of pairs; with --model: texts to translate (standard input)")
    add("--test", metavar="FILE", help="test on the pairs of this file, and learn all of the first")
    add_model(parser, "translate")
    add_training(parser, hold_out=0.05)
    add_report(parser, "where the network looks while it writes the first translation")


def run(args):
    """The command; raises `CommandError`."""
    if args.model is None and len(args.words) != 1:
        raise UsageError(f"expected one file of pairs, or --model, got {len(args.words) or 'none'}")
    check_outputs(args, *(args.words if args.model is None else []), args.test, args.model)
    (translate if args.model else learn)(args)


def translate(args):
    """With a saved model."""
    model = models.load(args, "test", "seed")
    texts = args.words
    if not texts:
        texts = [line for line in read_input(None)[1].splitlines() if line.strip()]
    for text in texts:
        if not text.strip():
            raise CommandError("expected a text to translate, got an empty one")
    said = model.predict(texts)
    written = write_outputs(args, None, drawn(args, model, texts[0]))
    pairs = [{"source": source, "target": target} for source, target in zip(texts, said, strict=True)]
    finish(args, said, {"translations": pairs}, written)


def learn(args):
    """Learns, and tests."""
    models.share_held_out(args)
    if args.plot is not None and dict(args.set).get("attention_score", "") is None:
        raise UsageError("argument --plot: there is nothing to draw with attention_score=null")
    (path,) = args.words
    pairs = read_pairs(path)
    test = None if args.test is None else read_pairs(args.test)
    learnt, tested, where = parts(args, path, pairs, test)
    data = {"file": path, "pairs": len(pairs), "sources": len({source for source, _ in pairs})}
    first = " -> ".join(shortened(text, 28) for text in pairs[0])
    amount = field("pairs", f"{data['pairs']:,}, of {data['sources']:,} different sources")
    begin(args, path, amount, field("first", first))
    model = models.learn(args, models.make(args, "Seq2Seq"), path, *map(list, zip(*learnt, strict=True)))
    result = judged(model, learnt, tested, where) if tested else None
    lines = [] if result is None else ["", *test_lines(result)]
    document = {"data": data, "test": None if result is None else result._asdict()}
    finish(args, lines, document, write_outputs(args, model, drawn(args, model, (tested or learnt)[0][0])))


def read_pairs(path):
    """Sources and targets, from the first two of the columns of a file with tabs."""
    with refused_in(path):
        pairs = []
        for line, content in enumerate(text_of(read_bytes(path), header=False).splitlines(), 1):
            columns = [part.strip() for part in content.split("\t")]
            if len(columns) < 2 and not columns[0]:
                continue
            if len(columns) < 2 or not (columns[0] and columns[1]):
                raise TableError(f"line {line}: expected a text, a tab and another text, got {content!r:.60}")
            pairs.append((columns[0], columns[1]))
    return pairs


def parts(args, path, pairs, test):
    """What is learnt, what is tested on, and which that is; raises CommandError."""
    if test is not None:
        return pairs, test, f"{len(test):,} pairs of {args.test}"
    sources = list(dict.fromkeys(source for source, _ in pairs))
    _, held = models.hold_out(args, path, "different sources", [None] * len(sources))
    chosen = {sources[row] for row in held}
    tested = [pair for pair in pairs if pair[0] in chosen]
    return [pair for pair in pairs if pair[0] not in chosen], tested, f"{len(tested):,} pairs held out of {path}"


def judged(model, learnt, tested, where):
    """The test; a source counts once, with all its targets as right ones."""
    right = defaultdict(list)
    for source, target in tested:
        right[source].append(target)
    sources = list(right)
    said = model.predict(sources)
    scores = {
        name: scored(written, list(right.values()))
        for name, written in (("lstm", said), ("most_similar", most_similar(learnt, sources)))
    }
    examples = [
        {"source": source, "written": text, "right": right[source][0]}
        for source, text in list(zip(sources, said, strict=True))[:SHOWN]
    ]
    return Test(where, scores, examples)


def scored(written, right):
    """Figures of texts beside those that would be right."""
    from .. import metrics

    found = {
        "exact": sum(text in targets for text, targets in zip(written, right, strict=True)) / len(written),
        "character_error_rate": metrics.cer(written, [targets[0] for targets in right]),
    }
    try:
        import sacrebleu
    except ImportError:
        return found
    most = max(map(len, right))
    references = [[targets[k] if k < len(targets) else None for targets in right] for k in range(most)]
    return found | {"bleu": sacrebleu.corpus_bleu(written, references).score}


def most_similar(learnt, sources):
    """The target of the source that was learnt with the largest share of words in common (Jaccard's index)."""
    words = [set(source.lower().split()) for source, _ in learnt]
    places = defaultdict(list)
    for row, some in enumerate(words):
        for word in some:
            places[word].append(row)
    found = []
    for source in sources:
        own = set(source.lower().split())
        common = Counter(row for word in own for row in places.get(word, ()))
        best = max(common, key=lambda row: common[row] / len(own | words[row]), default=0)
        found.append(learnt[best][1])
    return found


def test_lines(test):
    """Figures of model and baseline, and some translations."""
    names = {"lstm": "LSTM", "most_similar": "translation of the most similar source"}
    keys = list(test.scores["lstm"])
    heads = {"exact": "exactly right", "character_error_rate": "errors/char.", "bleu": "BLEU"}
    rows = [["", *(heads[key] for key in keys)]]
    for name, scores in test.scores.items():
        rows.append([names[name], *(f"{scores[key]:.1f}" if key == "bleu" else f"{scores[key]:.3f}" for key in keys)])
    lines = [*paragraph(f"Test: {test.where}"), "", *table(rows)]
    for example in test.examples:
        lines += ["", *(field(name, shortened(text, 62)) for name, text in example.items())]
    return lines


def drawn(args, model, source):
    """The picture of the attention; None if there is to be none."""
    if args.plot is None:
        return None
    with refused_in("--plot"):
        read, written, weights = model.attention(source)
    figure = new_figure(1.5 + 0.45 * max(len(read), 4), 1.5 + 0.4 * max(len(written), 3))
    ax = figure.add_subplot()
    image = ax.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ax.set_xticks(range(len(read)), read, rotation=60, ha="right")
    ax.set_yticks(range(len(written)), written)
    ax.set(xlabel="read", ylabel="written")
    figure.colorbar(image, label="weight")
    return picture(args.plot, figure)
