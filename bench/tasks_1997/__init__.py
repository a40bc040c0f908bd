"""Tasks that ask a network to remember: the experiments of the LSTM paper of 1997, and a few later ones.

"The paper" is, in all modules here, Hochreiter and Schmidhuber, Long Short-Term Memory, Neural Computation 9(8), 1997.

| module | experiment of the paper | generators |
| --- | --- | --- |
| reber | 1, embedded Reber grammar | `strings`, `training_and_test` |
| long_lags | 2a, 2b, 2c, noise-free and noisy sequences | `regular`, `irregular`, `distracting` |
| two_sequence | 3a, 3b, 3c, noise and signal on one channel | `clean`, `noisy`, `noisy_targets` |
| adding | 4 adding, 5 multiplication | `addition`, `multiplication` |
| temporal_order | 6a, 6b | `order` |
| copy_memory | (Arjovsky, Shah and Bengio 2016) | `copying` |
| digits | (images read row by row, or point by point) | `rows`, `pixels`, `mnist1d` |

All give `Sequences` (sequences.py). When a task counts as solved is said by functions beside its generator, made of
those in criteria.py. published.py has the tables of the paper as data. Everything here needs NumPy only.
"""
