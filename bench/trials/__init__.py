"""Trials: the tasks of bench/tasks_1997 learnt by networks of clstm, and a table of that beside the published figures.

| module | what it has |
| --- | --- |
| settings | `Settings`: all that a trial is told, hidden units to learning rate |
| experiments | the table of experiments: task, published figures, and the settings of each kind of cell |
| problems | the tasks as a training loop needs them: what comes next, and whether it is solved |
| learner | a network with its loss and optimiser |
| trial | one trial: a task, a kind of cell, a seed |
| results | the trials as they are kept in a JSON file |
| table | the table |
| command | `python -m bench tasks_1997` |
"""
