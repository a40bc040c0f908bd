"""LSTM networks with a C core: exact gradients, fast on a CPU, nothing needed but NumPy and SciPy.

>>> import numpy as np, clstm
>>> net = clstm.Network([clstm.LSTM(1, 16, rng=0), clstm.Pool("last"), clstm.Dense(16, 2, rng=0)])
>>> net(np.zeros((500, 20, 1))).shape
(500, 2)

Arrays are batch-first, (N, T, F): sequences, steps, features.
"""

from . import beam, callbacks, decoding, init, losses, metrics, optimizers, sampling, schedules
from .attention import Attention
from .attention_pool import AttentionPool
from .cells import GRUCell, LSTMCell, RNNCell
from .config import get_num_threads, set_backend, set_num_threads, show_config
from .conv import Conv1d
from .crf import CRF
from .dense import Dense
from .dropout import Dropout
from .embedding import Embedding
from .encoder_decoder import EncoderDecoder
from .ensemble import Ensemble
from .gradient_flow import GradientFlow
from .gru import GRU
from .layer import Layer, Tape
from .layer_norm import LayerNorm
from .lstm import LSTM
from .model_file import load
from .network import Network
from .noise import Noise
from .optimizers import ASGD, NTASGD, SGD, Adagrad, Adam, AdamW, RMSprop
from .pool import Pool
from .repeat import RepeatLast
from .rnn import RNN
from .stream import Stream
from .trace import Trace
from .training.trainer import Trainer
from .word_encoder import WordEncoder

__version__ = "0.1.0"

# What not every program needs is imported when it is first named: rooms, and a function of one
LAZY = {"estimators": "estimators", "online": "online", "speech": "speech", "text": "text", "tune": "tuning.tune"}


def __getattr__(name: str) -> object:
    if name not in LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, _, member = LAZY[name].partition(".")
    found = import_module(f".{module}", __name__)
    return getattr(found, member) if member else found


def __dir__() -> list[str]:
    return sorted({*globals(), *LAZY})


__all__ = [
    "ASGD",
    "CRF",
    "GRU",
    "LSTM",
    "NTASGD",
    "RNN",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Attention",
    "AttentionPool",
    "Conv1d",
    "Dense",
    "Dropout",
    "Embedding",
    "EncoderDecoder",
    "Ensemble",
    "GRUCell",
    "GradientFlow",
    "LSTMCell",
    "Layer",
    "LayerNorm",
    "Network",
    "Noise",
    "Pool",
    "RMSprop",
    "RNNCell",
    "RepeatLast",
    "Stream",
    "Tape",
    "Trace",
    "Trainer",
    "WordEncoder",
    "beam",
    "callbacks",
    "decoding",
    "get_num_threads",
    "init",
    "load",
    "losses",
    "metrics",
    "optimizers",
    "sampling",
    "schedules",
    "set_backend",
    "set_num_threads",
    "show_config",
]
