"""LSTM networks with a C core: exact gradients, fast on a CPU, nothing needed but NumPy and SciPy.

>>> import numpy as np, clstm
>>> net = clstm.Network([clstm.LSTM(1, 16, rng=0), clstm.Pool("last"), clstm.Dense(16, 2, rng=0)])
>>> net(np.zeros((500, 20, 1))).shape
(500, 2)

Arrays are batch-first, (N, T, F): sequences, steps, features.
"""

from .config import get_num_threads, set_backend, set_num_threads, show_config
from .dense import Dense
from .embedding import Embedding
from .ensemble import Ensemble
from .layer import Layer, Tape
from .lstm import LSTM, Trace
from .lstm_cell import LSTMCell
from .model_file import load
from .network import Network
from .optimizers import SGD, Adam, AdamW
from .pool import Pool
from .stream import Stream
from .trainer import Trainer

__version__ = "0.1.0"

__all__ = [
    "LSTM",
    "SGD",
    "Adam",
    "AdamW",
    "Dense",
    "Embedding",
    "Ensemble",
    "LSTMCell",
    "Layer",
    "Network",
    "Pool",
    "Stream",
    "Tape",
    "Trace",
    "Trainer",
    "get_num_threads",
    "load",
    "set_backend",
    "set_num_threads",
    "show_config",
]
