"""Estimators: made by arguments, trained, saved with what was read, and read again."""

from __future__ import annotations

import numpy as np

from .errors import CommandError, UsageError, refused_in, without_name

MADE_BY = {  # the estimators of each subcommand
    "classify": ("LSTMClassifier", "LSTMTextClassifier"),
    "forecast": ("Forecaster", "LSTMForecaster"),
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
    options |= {"random_state": args.seed or 0, "progress": not args.quiet}
    if args.epochs is not None:
        options["epochs"] = args.epochs
    return kind(**{**options, **chosen(args, kind.__name__, kind().get_params())})


def chosen(args, kind, known):
    """What --set says; raises UsageError for a name that is no known parameter."""
    for name, _ in args.set:
        if name not in known:
            raise UsageError(f"argument --set: {kind} has no parameter {name!r}, but {', '.join(known)}")
    return dict(args.set)


def learn(args, model, where, *data, names=(), **options):
    """Trains it; raises CommandError with the file that the data are from, or UsageError for a parameter of --set."""
    parameters = tuple(f"{name}:" for name in model.get_params())
    try:
        model.fit(*data, **options)
    except (TypeError, ValueError) as error:
        if args.set and str(error).startswith(parameters):
            raise UsageError(f"argument --set: {error}") from error
        if isinstance(error, TypeError):
            raise
        raise CommandError(f"{where}: {without_name(error, names)}") from error
    return model.set_params(progress=False)  # a model in a file does not know who looked on


def load(args, *others, may_save=False):
    """The model of --model.

    Parameters
    ----------
    args : argparse.Namespace
    *others : str
        Names of options that have no meaning with a model, besides those of training.
    may_save : bool
        Whether the model changes, so that --save has a meaning.

    Raises
    ------
    CommandError
        The file cannot be read, or is the model of another command.
    UsageError
        One of these options is given.
    """
    saving = [] if may_save else ["save"]
    refuse(args, "not with --model, which learns nothing", *others, *saving, "hold_out", "epochs", "set")
    with refused_in(args.model):
        model = read(args.model)
    name = type(model).__name__
    if name not in MADE_BY[args.command]:
        hint = "".join(f"; clstm {command} uses it" for command, kinds in MADE_BY.items() if name in kinds)
        raise CommandError(f"{args.model}: expected a model of clstm {args.command}, got {name}{hint}")
    return model


def refuse(args, why, *names):
    """Raises UsageError if one of these options is given."""
    for name in names:
        if getattr(args, name, None) not in (None, []):
            raise UsageError(f"argument --{name.replace('_', '-')}: {why}")


def reading_of(args, model, **options):
    """How the files of a model are read: as it was when it learnt; for a model that Python has saved, by options.

    Parameters
    ----------
    args : argparse.Namespace
    model : Estimator
    **options
        For each thing to know the name of an option, or the value that a model of Python has.

    Returns
    -------
    dict

    Raises
    ------
    CommandError, UsageError
    """
    known = getattr(model, "reading_", None)
    if known is None:
        return {key: getattr(args, name, name) if isinstance(name, str) else name for key, name in options.items()}
    if not (isinstance(known, dict) and known.keys() == options.keys() and all(map(is_plain, known.values()))):
        raise CommandError(f"{args.model}: expected a model that knows {', '.join(options)}, got {known!r:.60}")
    names = [name for name in options.values() if isinstance(name, str)]
    refuse(args, "not with this model, which knows how to read its files", *names)
    return known


def is_plain(value):
    """Whether a value is one that a command keeps in a file."""
    if isinstance(value, list):
        return all(isinstance(part, str) for part in value)
    return value is None or isinstance(value, (bool, int, str))


def read(path):
    """The estimator, or the `Forecaster`, in a file."""
    from .. import estimators, forecasting, safetensors
    from ..forecasting.file import ENTRY

    with safetensors.Reader(path) as reader:
        is_forecaster = ENTRY in reader.metadata
    return forecasting.Forecaster.load(path) if is_forecaster else estimators.load(path)


def share_held_out(args):
    """--hold-out, or what is usual; 0 if there is a file for the test."""
    if args.test is None:
        return args.usual_hold_out if args.hold_out is None else args.hold_out
    if args.hold_out is not None:
        raise UsageError("argument --hold-out: not with --test, for which all of the first file is learnt")
    return 0


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
    rng, share = np.random.default_rng(args.seed or 0), share_held_out(args)
    places = {}
    for row, group in enumerate(groups):
        places.setdefault(group, []).append(row)
    chosen = set()
    for rows in places.values():
        count = min(len(rows) - 1, round(share * len(rows)))
        chosen |= set(rng.permutation(rows)[:count].tolist())
    if share and not chosen:
        each = f" of each of {len(places)} kinds" if len(places) > 1 else ""
        hint = "--hold-out 0 learns all, without a test"
        raise CommandError(f"{where}: expected more {what}{each} to hold some out, got {len(groups)} in all ({hint})")
    return [row for row in range(len(groups)) if row not in chosen], sorted(chosen)
