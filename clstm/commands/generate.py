"""`clstm generate`: learns how a text goes, and goes on with one."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

from . import models
from .arguments import add_model, add_report, add_training, positive, positive_number
from .errors import CommandError, UsageError, refused_in
from .files import check_outputs, write_outputs
from .sentences import read_input
from .text import begin, field, finish, paragraph, table

DESCRIPTION = """\
Learn a text, and write more of it.

The network says from all that came before which character, or word, is next.
The end of the text is held out, and tested on: the perplexity is the number
of characters among which it hesitates; the baseline counts which character
follows the two before it.
"""
EXAMPLES = """\
examples:
  clstm generate poems.txt --save poems.safetensors
      learns, tests, writes 500 characters, and keeps the model
  clstm generate --model poems.safetensors --prompt "The sea" --length 200
      goes on with a text, 200 characters
  clstm generate --model poems.safetensors --temperature 0.5 --seed 7
      bolder above 1, more careful below; another seed is another text
  clstm generate poems.txt --words --epochs 5
      word by word
"""


def add_arguments(parser):
    """What `clstm generate` takes."""
    add = parser.add_argument
    add("file", nargs="?", metavar="FILE", help="the text to learn, - for the standard input; not with --model")
    add("--words", action="store_true", help="learn words instead of characters")
    add("--prompt", default="", metavar="TEXT", help="what to go on with")
    add("--length", type=positive, default=500, metavar="N", help="characters, or words, to write (%(default)s)")
    text = "above 1 less likely ones are written more often, below 1 less often (%(default)s)"
    add("--temperature", type=positive_number, default=1.0, metavar="T", help=text)
    add_model(parser, "write")
    add_training(parser, hold_out=0.1)
    add_report(parser)


def run(args):
    """The command; raises `CommandError`."""
    if (args.file is None) == (args.model is None):
        raise UsageError("expected a FILE to learn from, or --model, and not both")
    check_outputs(args, args.file, args.model)
    (generate if args.model else learn)(args)


def generate(args):
    """With a saved model."""
    model = models.load(args)
    if args.words and type(model).__name__ != "WordLM":
        raise CommandError(f"{args.model}: expected a model of words for --words, got one of characters")
    text = written_text(args, model)
    finish(args, [text], {"text": text})


def learn(args):
    """Learns, tests, writes."""
    name, text = read_input(args.file)
    learnt, held = parts(args, name, text)
    data = {"file": name, "characters": len(text), "distinct_characters": len(set(text))}
    begin(args, name, field("text", f"{len(text):,} characters, {len(set(text))} distinct"))
    model = models.learn(args, models.make(args, "WordLM" if args.words else "CharLM"), name, learnt)
    result = judged(args, model, learnt, held) if held else None
    wrote = written_text(args, model)
    lines = ["", *test_lines(result), ""] if result and not args.quiet else []
    finish(args, [*lines, wrote], {"data": data, "test": result, "text": wrote}, write_outputs(args, model))


def parts(args, name, text):
    """What is learnt, and what is held out, from the beginning of a line on if it can be; raises CommandError."""
    share = args.usual_hold_out if args.hold_out is None else args.hold_out
    if not share:
        return text, ""
    cut = round(len(text) * (1 - share))
    line = text.rfind("\n", 0, cut) + 1
    cut = line if line > cut / 2 else cut
    learnt, held = text[:cut], text[cut:]
    if not args.words:
        known = set(learnt)
        held = "".join(letter for letter in held if letter in known)
    if not (held.strip() and learnt.strip()):
        hint = "--hold-out 0 learns all, without a test"
        raise CommandError(f"{name}: expected a longer text to hold some out, got {len(text)} characters ({hint})")
    return learnt, held


def judged(args, model, learnt, held):
    """The test, as a dict for JSON."""
    found = {"where": f"the last {len(held):,} characters", "per": "word" if args.words else "character"}
    found["perplexity"] = float(model.perplexity(held))
    return found if args.words else {**found, "baseline": baseline(learnt, held)}


def written_text(args, model):
    """The prompt, and what the model says behind it."""
    options = {"temperature": args.temperature, "random_state": args.seed or 0}
    between = " " if type(model).__name__ == "WordLM" and args.prompt.strip() == args.prompt != "" else ""
    with refused_in("prompt"):
        return args.prompt + between + model.generate(args.length, args.prompt, **options)


def baseline(learnt, held):
    """Perplexity of counts of three characters in a row, smoothed as Witten and Bell (1991) do.

    p(c | context) = (n(context c) + t p(c | shorter context)) / (n(context) + t), with n the number of times that
    something was there, and t the number of different characters that followed the context.
    """
    counts, symbols = defaultdict(Counter), len(set(learnt))
    for place in range(len(learnt)):
        for order in range(min(place, 2) + 1):
            counts[learnt[place - order : place]][learnt[place]] += 1
    totals = {context: found.total() for context, found in counts.items()}
    nats = 0.0
    for place, letter in enumerate(held):
        share = 1 / symbols
        for order in range(min(place, 2) + 1):
            context = held[place - order : place]
            if context in counts:
                found = counts[context]
                share = (found[letter] + len(found) * share) / (totals[context] + len(found))
        nats -= math.log(share)
    return math.exp(nats / len(held))


def test_lines(result):
    """Perplexity and baseline."""
    rows = [["", f"per {result['per']}:", "perplexity", "bits"], row("LSTM", result["perplexity"])]
    if "baseline" in result:
        rows.append(row("two characters before, counted", result["baseline"]))
    lines = [*paragraph(f"Test: {result['where']}"), "", *table(rows)]
    if result["perplexity"] >= result.get("baseline", math.inf):
        lines += ["", *paragraph("The LSTM is no better than counting.")]
    return lines


def row(name, perplexity):
    """A row of the table."""
    return [name, "", f"{perplexity:.2f}", f"{math.log2(perplexity):.3f}"]
