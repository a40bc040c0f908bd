"""The subcommands of the command line, a file each, and the rooms that they share.

A subcommand `name` is the module `clstm.commands.name`. It has ``DESCRIPTION`` and ``EXAMPLES``, which its help begins
and ends with, ``add_arguments(parser)``, and ``run(args)``, which raises `CommandError` for data and `UsageError` for
arguments that do not fit. What the others are for:

    arguments.py        kinds of arguments, and those that several subcommands have
    errors.py           the two exceptions, and what becomes of a ValueError
    files.py            files that are read, and files that are written: checked first, complete or not there at all
    models.py           estimators: made by arguments, trained, saved, read again; what is held out for a test
    tables.py dates.py  CSV files and the dates in them
    sequences.py        sequences and labels, of CSV, JSON lines and texts
    sentences.py        texts and sentences, of files and of the standard input
    text.py             what is printed: lines for 80 columns, tables, numbers, JSON
    pictures.py         pictures as bytes

`forecast` has two files more: several columns, and what it prints.
"""

# Name: what it does, for `clstm --help`
COMMANDS = {
    "forecast": "the next values of a column of a CSV file",
    "classify": "which class sequences or texts belong to",
    "tag": "a tag for each word of a sentence",
    "generate": "more text like one that was learnt",
    "detect": "what is unusual in a series",
    "translate": "one text becomes another one",
    "transcribe": "what is said in recordings",
    "info": "what is in a model file",
    "bench": "how fast this machine trains and runs LSTMs",
}
