"""What people do with LSTMs, on real data: a module for each task, which `python -m bench tasks` runs.

A module `bench/applications/<task>.py` has

- a docstring: its first line is the title of the task; the rest says what is split how, and on which data the
  hyper-parameters were chosen, and whether figures of the test part were seen on the way;
- ``TARGET``: str, what is to be reached: the name of a figure, ``>=`` or ``<=``, and a number, as in
  ``"accuracy >= 0.98"``; several are separated by commas, as in ``"windows found >= 4, false alarms <= 2"``;
- ``BASELINES``: dict of str to float, what simpler or published methods reach on the same split, in the figure that
  ``TARGET`` names first;
- ``UNIT``: str, the unit of that figure, for example ``"ppm"``; may be left out if it has none;
- ``run(seed)``: trains with this seed and tests; returns a dict of str to float with the figures, those of ``TARGET``
  among them. The same seed gives the same figures. Nothing else is done when the module is imported.

It uses the public face of clstm and `datasets` of docs/data, which is found when a task is run. Each call of `run` has
a process of its own, which `--threads` tells how many threads clstm may take.
"""
