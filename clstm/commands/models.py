"""Estimators: made by arguments, trained, saved with what was read, and read again."""

from __future__ import annotations

import numpy as np

from .errors import CommandError, UsageError, refused_in

MADE_BY = {  # the estimators of each subcommand
    "classify": ("LSTMClassifier", "LSTMTextClassifier"),
    "forecast": ("Forecaster",),
    "tag": ("LSTMTagger",),
    "generate": ("CharLM", "WordLM"),
    "detect": ("LSTMAnomalyDetector",),
    "translate": ("Seq2Seq",),
    "transcribe": ("SpeechRecognizer",),
}


def make(args, kind, **options):
    """An estimator of this class with --epochs, --seed, --set, and what else the command chooses.

    Raises
    ------
    UsageError
        It has no parameter that --set names.
    """
    from .. import estimators

    kind = getattr(estimators, kind)
    options |= {"random_state": args.seed, "progress": not args.quiet}
    if args.epochs is not None:
        options["epochs"] = args.epochs
    known = kind().get_params()
    for name, _ in args.set:
        if name not in known:
            raise UsageError(f"argument --set: {kind.__name__} has no parameter {name!r}, but {', '.join(known)}")
    return kind(**{**options, **dict(args.set)})


def learn(args, model, where, *data):
    """Trains it; raises CommandError that says where the data are from, UsageError for what --set has set."""
    names = tuple(f"{name}:" for name, _ in args.set)
    try:
        model.fit(*data)
    except (TypeError, ValueError) as error:
        if names and str(error).startswith(names):
            raise UsageError(f"argument --set: {error}") from error
        if isinstance(error, TypeError):
            raise
        raise CommandError(f"{where}: {error}") from error
    return model.set_params(progress=False)  # a model in a file does not know who looked on


def load(args, *others):
    """The model of --model.

    Parameters
    ----------
    args : argparse.Namespace
    *others : str
        Names of options that have no meaning with it.

    Raises
    ------
    CommandError
        The file cannot be read, or is the model of another command.
    UsageError
        One of these options is given.
    """
    from .. import estimators

    for name in others:
        if getattr(args, name) not in (None, []):
            raise UsageError(f"argument --{name}: not with --model, which learns nothing")
    with refused_in(args.model):
        model = estimators.load(args.model)
    name = type(model).__name__
    if name not in MADE_BY[args.command]:
        hint = "".join(f"; clstm {command} uses it" for command, kinds in MADE_BY.items() if name in kinds)
        raise CommandError(f"{args.model}: expected a model of clstm {args.command}, got {name}{hint}")
    return model


def hold_out(args, where, what, groups):
    """Rows to learn from and rows to test on, by --hold-out and --seed.

    Parameters
    ----------
    args : argparse.Namespace
    where, what : str
        The file, and what its rows are called, for messages.
    groups : list
        What each row belongs to: of each group about the same share is held out, but never all of it.

    Returns
    -------
    learnt, tested : list of int
        In the order of the file.

    Raises
    ------
    CommandError
        There is to be a test, but the groups are too small for it.
    """
    rng = np.random.default_rng(args.seed)
    places = {}
    for row, group in enumerate(groups):
        places.setdefault(group, []).append(row)
    chosen = set()
    for rows in places.values():
        count = min(len(rows) - 1, round(args.hold_out * len(rows)))
        chosen |= set(rng.permutation(rows)[:count].tolist())
    if args.hold_out and not chosen:
        each = f" of each of {len(places)} kinds" if len(places) > 1 else ""
        hint = "--hold-out 0 learns all, without a test"
        raise CommandError(f"{where}: expected more {what}{each} to hold some out, got {len(groups)} in all ({hint})")
    return [row for row in range(len(groups)) if row not in chosen], sorted(chosen)
