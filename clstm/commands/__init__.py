"""The subcommands of the command line, a file each, and the rooms that they share.

A subcommand `name` is the module `clstm.commands.name`. It has ``DESCRIPTION`` and ``EXAMPLES``, which its help begins
and ends with, ``add_arguments(parser)``, and ``run(args)``, which raises `CommandError` for data and `UsageError` for
arguments that do not fit. What the others are for:

    arguments.py        kinds of arguments, and those that several subcommands have
    errors.py           the two exceptions, and what becomes of a ValueError
    files.py            files that are read, and files that are written: checked first, complete or not there at all
    text.py             lines for 80 columns, tables, numbers, JSON
    pictures.py         pictures as bytes
    tables.py dates.py  CSV files and the dates in them
"""

COMMANDS = {"forecast": "forecast a column of a CSV file"}  # name: what it does, for `clstm --help`
