"""The tutorials of docs/gallery: their order, what is reset before each, and how long all of them took.

sphinx-gallery runs them; docs/conf.py names what is here.
"""

import os
import time
from pathlib import Path

from sphinx.util import logging

import clstm

logger = logging.getLogger(__name__)

# From what most people come for to what few do; what is not named comes last
ORDER = [
    "plot_forecasting",
    "plot_weather",
    "plot_stocks",
    "plot_sequence_classification",
    "plot_sentiment",
    "plot_characters",
    "plot_translation",
    "plot_spoken_digits",
    "plot_anomalies",
    "plot_online",
    "plot_entities",
    "plot_part_of_speech",
    "plot_tuning",
    "plot_gates",
]


def place(file):
    """Sorts files, among them those of the grid on the first page."""
    name = Path(file).stem
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)


class Order:
    """Sorts the files of a folder."""

    def __init__(self, folder):
        del folder

    def __call__(self, filename):
        return place(filename)

    def __repr__(self):
        return f"Order({ORDER})"  # Sphinx reads pages again when this changes


def processes():
    """How many tutorials run at a time."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def reset(conf, file):
    """Before each tutorial: one thread, because others run beside it."""
    clstm.set_num_threads(1)


def setup(app):
    """Says how long the tutorials took, all together."""
    started = []
    app.connect("builder-inited", lambda app: started.append(time.perf_counter()), priority=1)
    app.connect("builder-inited", lambda app: logger.info("tutorials: %.0f s", time.perf_counter() - started[0]), 999)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
